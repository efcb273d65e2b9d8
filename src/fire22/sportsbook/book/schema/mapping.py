"""The mapping of a book with other tables, as its TOML file says it (`replay/recording.py`: that of recorded files).

    name = "northbet"
    time_zone = "Europe/London"     # of times that are local
    time = "local"                  # or "iso" (UTC, or with an offset), "unix_s", "unix_ms"; none before 1971
    money = "major"                 # or "minor", "micro": a millionth of the major unit
    currency = "GBP"                # of rows that name none (ISO 4217): how many decimals a major unit has
    odds = "american"               # or "decimal", "fractional" ("5/2")
    clock = "wall"                  # or "recorded": the book brings its own time, see tables.clock in columns.py

    [tables.wagers]
    table = "Bets"                  # the book's own name
    where = "{row}.Deleted = 0"     # which rows count, an expression; left out: all
    unique = ["wager_number"]       # which of our columns are unique in the book, besides the id
    [tables.wagers.columns]
    id = "BetId"                    # the book's column of the same meaning
    risk_cents = { column = "Stake", money = "minor" }
    status = { column = "State", codes = { accepted = ["O"], settled = ["W", "L", "P"], voided = ["X"] } }
    channel = { value = "web" }     # the same for every row
    type = { column = "Kind", default = "straight" }                # where the column is empty; its codes are the types
                                    # of `wager_types.py` (a wager of another one is only a bound in the exposure)
    to_win_cents = { sql = "{row}.Payout - {row}.Stake" }           # an expression over the row (`expression.py`)
    accepted_at = { column = "PlacedAt", time = "unix_ms" }

Tables that the book lacks are left out, and so are columns that have a default (`columns.py`). One of the book's tables
can stand for several of ours: wagers with one leg and their settlement in the same row, for example.

What is written in one transaction belongs together: a wager and its legs, a market and its selections, in whichever
order; a report of changes and the change; a settlement and the wager's status. A leg that comes in a later transaction
than its wager is a change of the wager.

A value that cannot be ours (`5,50` as an amount, a code that is not listed, a text where a number should be) makes a
dead letter of its row, which names table, column and value, and moves no figure. The value of a personal column is not
said: a name, an IP address, and what the mapping marks with `personal = true`. Amounts may be REAL: 12.1 is 12.10,
and where a sum of floats is off by less than a millionth of the minor unit, it is taken for what was meant. What really
has a fraction of a minor unit is refused; `sql = "round({row}.Stake, 2)"` says that it shall be rounded.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from fire22.core.outbox import Clock
from fire22.sportsbook.book.mapping_file import read_mapping_file
from fire22.sportsbook.book.schema.columns import NEEDED, TABLES, Column
from fire22.sportsbook.book.schema.expression import Expression, ExpressionError

Name = Annotated[str, Meta(pattern=r'^[^"\x00]+\Z')]
Code = str | int | float
MoneyUnit = Literal["minor", "major", "micro"]
TimeFormat = Literal["iso", "local", "unix_s", "unix_ms"]
OddsFormat = Literal["decimal", "american", "fractional"]
FLAGS: Final = ("true", "false")


class ColumnMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """Where one of our columns comes from: a `column`, the same `value` always, or an `sql` expression.

    Args:
        column: the book's own name of the column.
        value: the same for every row.
        sql: an expression over the row, with `{row}` for the row's name.
        codes: for each of our codes those of the book; the keys of a flag are `true` and `false`.
        default: for rows that have no value.
        money: unit of the amounts.
        time: how times are written.
        odds: how prices are written.
        personal: whether it says something of a person beyond the id: its values are told in no message.
    """

    column: Name | None = None
    value: Code | None = None
    sql: str | None = None
    codes: dict[str, tuple[Code, ...]] = {}
    default: Code | None = None
    money: MoneyUnit | None = None
    time: TimeFormat | None = None
    odds: OddsFormat | None = None
    personal: bool = False


class TableMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the rows of one of our tables come from.

    Args:
        table: the book's own name of the table.
        columns: for each of our columns, where it comes from.
        where: an expression that says which rows count; empty: all.
        unique: which of our columns are unique in the book, besides the id.
    """

    table: Name
    columns: dict[str, Name | ColumnMapping]
    where: str = ""
    unique: tuple[str, ...] = ()

    def column(self, name: str) -> ColumnMapping | None:
        """Where a column comes from; None where the book has none."""
        found = self.columns.get(name)
        return ColumnMapping(column=found) if isinstance(found, str) else found


class BookMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping as its file says it; see the head of this file.

    Args:
        name: of the book.
        tables: for each of our tables, where its rows come from.
        time_zone: IANA name, of times that are local.
        time: how times are written: `iso` is in UTC or with an offset, `unix_s` and `unix_ms` count since 1970.
        money: the unit of amounts: `minor`, `major`, or `micro`, a millionth of the major unit.
        currency: of rows that name none, ISO 4217; it says how many decimals a major unit has.
        odds: how prices are written: `decimal`, `american`, or `fractional` as in `5/2`.
        clock: `wall`, or `recorded`: the book brings its own time, in the table `clock`.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,64}\Z")]
    tables: dict[str, TableMapping]
    time_zone: str = "UTC"
    time: TimeFormat = "iso"
    money: MoneyUnit = "minor"
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] = "USD"
    odds: OddsFormat = "decimal"
    clock: Clock = "wall"


def read_book_mapping(path: Path, currency: str = "") -> BookMapping:
    """Read a mapping.

    Args:
        currency: of the book, as the configuration says it; empty where that is not known.

    Raises:
        SetupError: `mapping_invalid`; the message names every wrong key, `currency` too if it is not the book's.
    """

    def wrong(mapping: BookMapping) -> list[str]:
        return [*_of_zone(mapping), *_of_currency(mapping, currency), *_of_tables(mapping)]

    return read_mapping_file(path, BookMapping, wrong)


def _of_currency(mapping: BookMapping, currency: str) -> list[str]:
    if currency and mapping.currency != currency:
        configured = f"`book.currency` of the configuration is {currency}"
        return [f"currency: it is {mapping.currency}, and {configured}; both must be the same"]
    return []


def _of_zone(mapping: BookMapping) -> list[str]:
    try:
        ZoneInfo(mapping.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return [f"time_zone: there is no {mapping.time_zone}"]
    return []


def _of_tables(mapping: BookMapping) -> list[str]:
    problems = [f"tables.{name} is missing" for name in NEEDED if name not in mapping.tables]
    for name, table in mapping.tables.items():
        known = TABLES.get(name)
        if known is None:
            problems.append(f"tables.{name}: there are {', '.join(TABLES)}")
            continue
        at = f"tables.{name}"
        problems += [f"{at}.unique: {each} is not mapped" for each in table.unique if each not in table.columns]
        problems += [f"{at}.columns.{each} is unknown" for each in table.columns if each not in known]
        problems += [f"{at}.where: {why}" for why in _of_expression(table.where)]
        for each, column in known.items():
            problems += [f"{at}.columns.{each}{why}" for why in _of_column(column, table.column(each))]
    wagers = mapping.tables.get("wagers")
    legs = mapping.tables.get("wager_legs")
    if legs is not None and wagers is not None and legs.table != wagers.table and "leg_no" not in legs.columns:
        problems.append(
            f"tables.wager_legs.columns.leg_no is missing: a wager may have several rows in {legs.table}, and wager_id "
            "alone does not tell them apart; map a number that is another one for each row, such as the row's own id"
        )
    settlements = mapping.tables.get("settlements")
    if wagers is not None and "currency" in wagers.columns and settlements and "currency" not in settlements.columns:
        problems.append(
            "tables.settlements.columns.currency is missing: wagers name theirs, and an amount has the decimals of its "
            "own row's currency"
        )
    if "wager_changes" in mapping.tables and wagers is not None and "version" not in wagers.columns:
        problems.append("tables.wagers.columns.version is missing: tables.wager_changes goes by it")
    return problems


def _of_column(column: Column, mapped: ColumnMapping | None) -> list[str]:
    """What is wrong with the mapping of a column."""
    if mapped is None:
        return [" is missing"] if column.required else []
    problems = []
    if sum(each is not None for each in (mapped.column, mapped.value, mapped.sql)) != 1:
        problems.append(": one of column, value and sql, please")
    for key in ("money", "time", "odds"):
        if getattr(mapped, key) is not None and column.kind != key:
            problems.append(f".{key}: it holds no {key}")
    allowed = FLAGS if column.kind == "flag" else column.codes
    if allowed:
        problems += [f".codes.{each}: there are {', '.join(allowed)}" for each in mapped.codes if each not in allowed]
    elif mapped.codes and column.kind not in ("text", "integer", "number", "currency"):
        problems.append(".codes: it holds no codes")
    if column.kind == "currency":
        for place, each in (*((".codes", one) for one in mapped.codes), *_constants(mapped)):
            if not isinstance(each, str) or not re.fullmatch("[A-Z]{3}", each):
                problems.append(f"{place}: {each} is no currency code of three capital letters")
    problems += [f".sql: {why}" for why in _of_expression(mapped.sql)]
    twice = [each for each in _all(mapped) if _all(mapped).count(each) > 1]
    problems += [f".codes: {each!r} stands there twice" for each in dict.fromkeys(twice)]
    return problems


def _constants(mapped: ColumnMapping) -> list[tuple[str, Code]]:
    """What is the same for all rows, or for those without a value, and where it says so."""
    named = ((".value", mapped.value), (".default", mapped.default))
    return [(place, each) for place, each in named if each is not None]


def _of_expression(text: str | None) -> list[str]:
    try:
        if text:
            Expression(text)
    except ExpressionError as error:
        return [str(error)]
    return []


def _all(mapped: ColumnMapping) -> list[Code]:
    return [each for those in mapped.codes.values() for each in those]

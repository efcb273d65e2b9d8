"""Looks at a mapped book before anything is installed in it: every value that the mapping cannot make ours.

Codes are looked for in the whole of a table, for it is the rare ones that are forgotten, and so are labels, which must
be unique; other values in rows that are spread evenly over it. Nothing is written: the views of the mapping are
temporary ones of the connection.
"""

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final, cast

import apsw
from msgspec import Struct

from fire22.sportsbook.facts import MINOR_MAX, NUMBER_MAX, ODDS_MAX
from fire22.sportsbook.schema.columns import TABLES, Column
from fire22.sportsbook.schema.foreign import BookMapping, ColumnMapping
from fire22.sportsbook.schema.translate import outbox
from fire22.sportsbook.schema.values import ROW, Values, quoted, raw

ROWS_MAX: Final = 100_000  # of each table

_PER_MINOR: Final = {"minor": Decimal(1), "major": Decimal("0.01"), "micro": Decimal(10_000)}
_PATH: Final = re.compile(r"/|(/[^/|\x00-\x1f]{1,64}){1,8}")
_LABEL: Final = re.compile(r"[^/|\x00-\x1f]{1,64}")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

Value = str | int | float | bytes | None


class Unmapped(Struct, frozen=True):
    """A value that is not understood.

    Args:
        table: the book's own name, like `column`; of an SQL expression, its text.
        value: as the book has it.
        count: of the rows that were looked at.
        key: what the first such row is called.
        why: what is wrong with it.
    """

    table: str
    column: str
    value: Value
    count: int
    key: Value
    why: str


def unmapped(connection: apsw.Connection, mapping: BookMapping, *, rows_max: int = ROWS_MAX) -> list[Unmapped]:
    """Every value that the mapping cannot make ours, table by table, the most frequent ones of a column first.

    Args:
        connection: may be read-only; it has temporary views afterwards.
        rows_max: how many rows of each table are looked at.

    Raises:
        apsw.SQLError: the mapping does not fit the book's tables.
    """
    for name, sql in outbox(mapping).views:
        connection.execute(f"DROP VIEW IF EXISTS temp.{name}")
        connection.execute(sql.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))
    values = Values(mapping)
    found = [one for name in mapping.tables for one in _of_table(connection, mapping, values, name, rows_max)]
    return sorted(dict.fromkeys(found), key=lambda one: (one.table, one.column, -one.count, str(one.value)))


def _of_table(
    connection: apsw.Connection, mapping: BookMapping, values: Values, name: str, rows_max: int
) -> Iterator[Unmapped]:
    table = mapping.tables[name]
    where = f"({table.where.replace('{row}', ROW)})" if table.where else "1"
    key = values.of(name, next(iter(TABLES[name])), ROW)
    sampled = f"{where} AND {_spread(connection, table.table, rows_max)} LIMIT {rows_max}"
    for each, column in TABLES[name].items():
        ours = values.of(name, each, ROW)
        mapped = table.column(each) or (ColumnMapping(sql=ours) if (name, each) == ("agents", "path") else None)
        if mapped is None or mapped.value is not None:
            continue
        rows = where if mapped.codes or column.kind in ("code", "flag", "label") else sampled
        refers = column.refers if column.refers in mapping.tables else ""
        known = f"EXISTS(SELECT 1 FROM fire22_{refers} r WHERE r.id = {ours})" if refers else "1"
        sql = (
            f"SELECT theirs, ours, known, count(*), min(key) FROM (SELECT {raw(mapped, ROW)} AS theirs, {ours} AS ours,"
            f" {known} AS known, {key} AS key FROM {quoted(table.table)} {ROW} WHERE {rows})"
            " GROUP BY theirs, typeof(theirs), ours, known"
        )
        judge = _judge(column, mapped, mapped.money or mapping.money)
        for theirs, mine, is_known, count, example in cast("Iterator[tuple[Any, ...]]", connection.execute(sql)):
            why = judge(theirs, mine)
            if not why and mine is not None and not is_known:
                why = f"is none of the {refers}"
            if not why and column.kind == "label" and count > 1:
                why = "is there more than once"
            if why:
                column_name = mapped.column or (mapped.sql if each in table.columns else each)
                yield Unmapped(table.table, str(column_name), theirs, int(count), example, why)


def _spread(connection: apsw.Connection, table: str, rows_max: int) -> str:
    """A condition that holds for about so many rows, evenly over the table."""
    count = cast("int", connection.execute(f"SELECT count(*) FROM {quoted(table)}").get)
    without = connection.execute("SELECT wr FROM pragma_table_list(?)", (table,)).get
    step = -(-count // rows_max)
    return "1" if step <= 1 or without else f"{ROW}.rowid % {step} = 0"


def _judge(column: Column, mapped: ColumnMapping, money: str) -> Callable[[Value, Value], str]:
    """What is wrong with a value: (the book's, ours) → why; empty if nothing is."""
    default = column.default if mapped.default is None else mapped.default
    made = {*mapped.codes, str(default), *(("0", "1") if column.kind == "flag" else ())}

    def judge(theirs: Value, ours: Value) -> str:
        if ours is None:
            if theirs is not None:
                return f"is no {_WORDS[column.kind]}"
            return "" if column.empty or column.derived else "is empty"
        if ours == "" and column.required:
            return "is empty"
        if mapped.codes and str(ours) not in made:
            return "is no known code"
        if column.kind == "money":
            return _money(theirs, ours, money, signed=column.signed)
        return "" if _FITS[column.kind](column, ours) else f"is no {_WORDS[column.kind]}"

    return judge


def _money(theirs: Value, ours: Value, unit: str, *, signed: bool) -> str:
    if not isinstance(ours, int):
        return "is no amount"
    if not -MINOR_MAX <= ours <= MINOR_MAX or (ours < 0 and not signed):
        return "is an amount that cannot be"
    if theirs is not None:
        try:
            exact = Decimal(str(theirs)) / _PER_MINOR[unit]
        except InvalidOperation:
            return "is no amount"
        if exact != exact.to_integral_value():
            return "has a fraction of a minor unit"
    return ""


def _is_json(_: Column, value: Value) -> bool:
    try:
        return isinstance(json.loads(str(value)), list | dict)
    except ValueError:
        return False


_FITS: Final[dict[str, Callable[[Column, Value], bool]]] = {
    "key": lambda _, value: isinstance(value, str | int),
    "text": lambda _, value: isinstance(value, str),
    "label": lambda _, value: isinstance(value, str) and _LABEL.fullmatch(value) is not None,
    "odds": lambda _, value: isinstance(value, float) and 1 < value <= ODDS_MAX,
    "time": lambda _, value: isinstance(value, str) and value[:4] > "1970",
    "date": lambda _, value: isinstance(value, str) and _DATE.fullmatch(value) is not None,
    "integer": lambda _, value: isinstance(value, int) and abs(value) <= NUMBER_MAX,
    "number": lambda _, value: isinstance(value, int | float),
    "flag": lambda _, value: value in (0, 1) and not isinstance(value, str),
    "code": lambda column, value: value in column.codes,
    "json": _is_json,
    "path": lambda _, value: isinstance(value, str) and _PATH.fullmatch(value) is not None,
}
_WORDS: Final = {
    "key": "key", "text": "text", "label": "part of a path", "money": "amount", "odds": "price above 1",
    "time": "time after 1970", "date": "date", "integer": "whole number", "number": "number", "flag": "yes or no",
    "code": "known code", "json": "JSON", "path": "path of agents",
}  # fmt: skip

"""Looks at a mapped book before anything is installed in it: every value that the mapping cannot make ours.

Codes are looked for in the whole of a table, for it is the rare ones that are forgotten, and so are labels, which must
be unique; other values in rows that are spread evenly over it. Nothing is written to the book.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, cast

import apsw
from msgspec import Struct

from fire22.core.outbox import Value, Values, quoted
from fire22.sportsbook.betting.bounds import MINOR_MAX, NUMBER_MAX, ODDS_MAX
from fire22.sportsbook.book.schema.columns import ORDER, TABLES, Column
from fire22.sportsbook.book.schema.mapping import BookMapping
from fire22.sportsbook.book.schema.numbers import BadValueError
from fire22.sportsbook.book.schema.rows import CLOCK, HIDDEN, ColumnReader, TableReader, mapped_column, needs

ROWS_MAX: Final = 100_000  # of each table
LEVELS_MAX: Final = 9  # one more than a path may have, so that a circle gives a path that is refused

_PATH: Final = re.compile(r"/|(/[^/|\x00-\x1f]{1,64}){1,8}")
_LABEL: Final = re.compile(r"[^/|\x00-\x1f]{1,64}")


class Unmapped(Struct, frozen=True):
    """A value that is not understood.

    Args:
        table: the book's own name, like `column`; of an expression, its text.
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


class _Counts:
    """What was found: how often, and where first."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, Value, str], list[Value]] = {}

    def add(self, table: str, column: str, value: Value, key: Value, why: str) -> None:
        found = self._found.setdefault((table, column, type(value).__name__, value, why), [0, key])
        found[0] = cast("int", found[0]) + 1

    def all(self) -> list[Unmapped]:
        return [
            Unmapped(table, column, value, cast("int", count), key, why)
            for (table, column, _, value, why), (count, key) in self._found.items()
        ]


def unmapped(connection: apsw.Connection, mapping: BookMapping, *, rows_max: int = ROWS_MAX) -> list[Unmapped]:
    """Every value that the mapping cannot make ours, table by table, the most frequent ones of a column first.

    Args:
        connection: may be read-only.
        rows_max: how many rows of each table are looked at.

    Raises:
        apsw.SQLError: the mapping does not fit the book's tables.
    """
    counts = _Counts()
    known = _Known()
    columns = {need.name: need.columns for need in needs(mapping)}
    readers = [
        TableReader(name, mapping, columns[mapping.tables[name].table]) for name in ORDER if name in mapping.tables
    ]
    for reader in readers:
        if reader.name in {column.refers for table in TABLES.values() for column in table.values()}:
            known.learn(reader, _rows(connection, reader))
    for reader in readers:
        _look(connection, reader, known, counts, rows_max)
        if reader.name == "agents" and "path" not in reader.table.columns:
            _look_at_paths(connection, reader, counts)
    return sorted(counts.all(), key=lambda one: (one.table, one.column, -one.count, str(one.value)))


class _Known:
    """The keys of the tables that others refer to, in a temporary file of SQLite's."""

    def __init__(self) -> None:
        self._connection = apsw.Connection("")
        self._tables: set[str] = set()

    def learn(self, reader: TableReader, rows: Iterator[Values]) -> None:
        self._tables.add(reader.name)
        self._connection.execute(f"CREATE TABLE {reader.name}(id PRIMARY KEY) WITHOUT ROWID")
        keys = ((key[0],) for row in rows if _holds(reader, row) and (key := reader.key(row)) is not None)
        with self._connection:
            self._connection.executemany(f"INSERT OR IGNORE INTO {reader.name} VALUES(?)", keys)

    def has(self, table: str, key: Value) -> bool:
        """Whether there is such a row; of a table that the book lacks nobody knows."""
        if table not in self._tables:
            return True
        return self._connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (key,)).get is not None  # nosec B608  # names are quoted or those of the own schema


def _rows(connection: apsw.Connection, reader: TableReader) -> Iterator[Values]:
    columns = ", ".join(quoted(name) for name in reader.places)
    return cast("Iterator[Values]", connection.execute(f"SELECT {columns} FROM {quoted(reader.table.table)}"))  # nosec B608  # names are quoted or those of the own schema


def _holds(reader: TableReader, row: Values) -> bool:
    try:
        return reader.holds(row)
    except BadValueError:
        return False


def _look(connection: apsw.Connection, reader: TableReader, known: _Known, counts: _Counts, rows_max: int) -> None:
    table = reader.table.table
    rows = cast("int", connection.execute(f"SELECT count(*) FROM {quoted(table)}").get)  # nosec B608  # names are quoted or those of the own schema
    step = -(-rows // rows_max) or 1
    judges = [_Judge(reader, each, known) for each in reader.readers]
    of_every_row = [each for each in judges if each.of_every_row]
    labels: dict[str, dict[Value, tuple[int, Value]]] = {}
    keys = _Keys(reader)
    for number, row in enumerate(_rows(connection, reader)):
        if not _holds(reader, row):
            continue
        keys.add(row)
        for judge in judges if number % step == 0 else of_every_row:
            theirs, why = judge(row)
            if judge.column.kind == "label" and not why:
                seen = labels.setdefault(judge.theirs, {})
                count, first = seen.get(theirs, (0, _called(reader, row)))
                seen[theirs] = (count + 1, first)
            if why:
                told = HIDDEN if reader.hides(judge.theirs) else theirs
                counts.add(table, judge.theirs, told, _called(reader, row), why)
    for value in [*keys.twice[:1]] * len(keys.twice):
        counts.add(table, keys.columns, value, value, "is the key of rows that differ")
    for column, seen in labels.items():
        for value, (count, first) in seen.items():
            for _ in range(count if count > 1 else 0):
                counts.add(table, column, value, first, "is there more than once")


def _called(reader: TableReader, row: Values) -> Value:
    """The row's key, as the book has it."""
    first = reader.readers[0]
    try:
        return cast("Value", first.raw(row))
    except BadValueError:
        return None


def _look_at_paths(connection: apsw.Connection, reader: TableReader, counts: _Counts) -> None:
    """Paths follow from those above: agents above each other in a circle have none."""
    names = [each.name for each in reader.readers]
    people: dict[Value, tuple[Value, Value]] = {}
    called: dict[Value, Value] = {}
    for row in _rows(connection, reader):
        try:
            made = dict(zip(names, (each.read(row) for each in reader.readers), strict=True))
        except BadValueError:
            continue
        people[made["id"]] = (made["code"], made.get("parent_id"))
        called[made["id"]] = _called(reader, row)
    wrong: dict[Value, str] = {}
    for id in people:
        path, at = "", id
        for _ in range(LEVELS_MAX):
            code, above = people[at]
            path = f"/{code!s}{path}"
            if above is None or above == at or above not in people:
                break
            at = above
        if not _PATH.fullmatch(path) and "/" not in str(people[id][0]):
            wrong[id] = path
    for id, path in list(wrong.items())[:1]:
        counts.add(reader.table.table, "path", path, called[id], "is no path of agents")


class _Keys:
    """The keys of a table's rows, in a temporary file of SQLite's. Rows that are the same to us may share one: a table
    of games has each sport many times.

    Attributes:
        columns: the book's columns that make the key.
        twice: the keys of rows that are unlike the first row of that key.
    """

    def __init__(self, reader: TableReader) -> None:
        self.columns = "/".join(each.theirs for each in reader.readers[: reader.keys])
        self.twice: list[Value] = []
        self._reader = reader
        self._connection = apsw.Connection("")
        self._connection.execute("CREATE TABLE seen(key PRIMARY KEY, row) WITHOUT ROWID; BEGIN")

    def add(self, row: Values) -> None:
        """Look at a row; one that cannot be ours has no key."""
        try:
            ours = self._reader.row(row)
        except BadValueError:
            return
        if ours is None or self._reader.name == CLOCK:
            return
        key, kept = "/".join(map(str, ours[: self._reader.keys])), repr(ours)
        self._connection.execute("INSERT OR IGNORE INTO seen VALUES(?, ?)", (key, kept))
        if not self._connection.changes():
            first = self._connection.execute("SELECT row FROM seen WHERE key = ?", (key,)).get
            if first != kept:
                self.twice.append(key)


class _Judge:
    """Says what is wrong with the values of a column."""

    def __init__(self, table: TableReader, reader: ColumnReader, known: _Known) -> None:
        self.column: Column = TABLES[table.name][reader.name]
        mapped = mapped_column(table.table, reader.name, self.column)
        self.theirs = reader.theirs
        self._reader = reader
        self._known = known
        self._mapped = mapped is not None and mapped.value is None
        coded = mapped is not None and bool(mapped.codes)
        self.of_every_row = self._mapped and (coded or self.column.kind in ("code", "flag", "label", "currency"))
        self._cached: dict[tuple[type, Value], str] = {}

    def __call__(self, row: Values) -> tuple[Value, str]:
        """The book's value, and why that will not do; empty if it will."""
        if not self._mapped:
            return None, ""
        try:
            raw = self._reader.raw(row)
        except BadValueError as error:
            return error.value, error.why
        theirs: Value = float(raw) if isinstance(raw, Decimal) else raw
        if self.of_every_row and (found := self._cached.get((type(theirs), theirs))) is not None:
            return theirs, found
        made = self._judged(row, theirs)
        if self.of_every_row and len(self._cached) < ROWS_MAX:
            self._cached[type(theirs), theirs] = made
        return theirs, made

    def _judged(self, row: Values, theirs: Value) -> str:
        try:
            ours = self._reader.read(row)
        except BadValueError as error:
            return error.why
        column = self.column
        if ours is None:
            if theirs is not None and not (theirs == "" and column.kind == "currency"):
                return f"is no {_WORDS[column.kind]}"
            return "" if column.empty or column.derived or column.rowid else "is empty"
        if ours == "" and column.required:
            return "is empty"
        if column.refers and not self._known.has(column.refers, ours):
            return f"is none of the {column.refers}"
        if _FITS[column.kind](column, ours):
            return ""
        return "is an amount that cannot be" if column.kind == "money" else f"is no {_WORDS[column.kind]}"


def _amount(column: Column, value: Value) -> bool:
    return isinstance(value, int) and -MINOR_MAX <= value <= MINOR_MAX and (value >= 0 or column.signed)


_FITS: Final[dict[str, Callable[[Column, Value], bool]]] = {
    "key": lambda _, value: isinstance(value, str),
    "text": lambda _, value: isinstance(value, str),
    "label": lambda _, value: isinstance(value, str) and _LABEL.fullmatch(value) is not None,
    "money": _amount,
    "odds": lambda _, value: isinstance(value, float) and 1 < value <= ODDS_MAX,
    "time": lambda _, value: isinstance(value, str) and value[:4] > "1970",
    "date": lambda _, value: isinstance(value, str),
    "integer": lambda _, value: isinstance(value, int) and abs(value) <= NUMBER_MAX,
    "number": lambda _, value: isinstance(value, int | float),
    "flag": lambda _, value: value in (0, 1),
    "code": lambda _, value: True,
    "json": lambda _, value: True,
    "path": lambda _, value: isinstance(value, str) and _PATH.fullmatch(value) is not None,
    "currency": lambda _, value: isinstance(value, str),
}
_WORDS: Final = {
    "key": "key", "text": "text", "label": "part of a path", "money": "amount", "odds": "price above 1",
    "time": "time after 1970", "date": "date", "integer": "whole number", "number": "number", "flag": "yes or no",
    "code": "known code", "json": "JSON", "path": "path of agents",
    "currency": "currency code of three capital letters",
}  # fmt: skip

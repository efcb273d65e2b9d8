"""What a user's database gets from us, and what is made of it: pure data, shared by those who install and read it.

A book's own transactions fill `fire22_changes` through triggers that copy values and do nothing else, so no change
exists without its row, no row without its change, and nothing in a row can make the book's own write fail.
`sources/sqlite/install.py` installs, `sources/sqlite/reader.py` reads, `sources/mirror/` keeps a copy of the book in
the shape that a domain wants (`Domain`; the book's is `sportsbook/book/schema`), whose own triggers write the facts. A
recorded book (clock `recorded`) brings its own time: its writer appends rows with `CLOCK_SQL`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec
from msgspec import Struct

Clock = Literal["wall", "recorded"]
Value = str | int | float | bytes | None
Values = tuple[Value, ...]

PREFIX: Final = "fire22_"  # every table, view and trigger of ours in a user's database begins so
CHANGES: Final = "fire22_changes"
META: Final = "fire22_meta"
# What versions up to 4 had in the book; in a mirror the facts still lie in an outbox.
OUTBOX: Final = "fire22_outbox"
REPLACED: Final = "fire22_replaced"

META_SQL: Final = "CREATE TABLE fire22_meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
# `number` names an event for ever, even after trimming: AUTOINCREMENT never gives a number twice, a plain rowid would.
OUTBOX_SQL: Final = (
    "CREATE TABLE fire22_outbox("
    "number INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, timestamp TEXT NOT NULL, data TEXT NOT NULL, "
    "category TEXT NOT NULL DEFAULT '', priority INTEGER NOT NULL DEFAULT 1)"
)
NOW_SQL: Final = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"  # known to every SQLite, and cannot fail

LAYOUT_SQL: Final = f"INSERT INTO fire22_changes(at, source, op, n0) VALUES({NOW_SQL}, '', 'layout', ?)"  # nosec B608  # names are quoted, the rest is constant
# One parameter: the RFC 3339 time before which everything has been written.
CLOCK_SQL: Final = f"INSERT INTO fire22_changes(at, source, op, n0) VALUES({NOW_SQL}, '', 'clock', ?)"  # nosec B608  # names are quoted, the rest is constant


class TableNeed(Struct, frozen=True):
    """A table of the user's database, and its columns whose values are told; `rowid` is one of a table that has it."""

    name: str
    columns: tuple[str, ...]


class OutboxSchema(Struct, frozen=True):
    """What is told of one kind of book.

    Args:
        name: which schema; kept in `fire22_meta`.
        version: raised with every change of what is told, or of what is made of it.
        tables: what must be there before anything is installed.
        clock: whose time such a book follows.
    """

    name: str
    version: int
    tables: tuple[TableNeed, ...]
    clock: Clock = "wall"


class BookChange(Struct, frozen=True, gc=False):
    """A row of the book that was written: what `fire22_changes` holds of it.

    Args:
        number: its place among all changes.
        at: when it was written; RFC 3339.
        source: the book's table; empty for a clock.
        op: "insert", "update", "delete", or of no table: "clock", "layout".
        old, new: the values of the columns of its `TableNeed`, as the book has them; of a clock `new` is its time.
            A layout says from which number on which columns are told of each table (`layout`).
    """

    number: int
    at: str
    source: str
    op: str
    old: Values
    new: Values


class RowChange(Struct, frozen=True, gc=False):
    """A row of the mirror as it shall be from now on.

    Args:
        table: the mirror's.
        key: the values of its key columns.
        row: the values of all columns that are not derived; None where there is no such row any more.
        fresh: whether the book inserted it (in a place where there may have been another).
        before: the key that the row had until now, where it is another one.
        replaces: whether the book deleted another row with this key in the same transaction.
        was: the row as it was before; empty where it was none, None where that is not known or does not matter.
    """

    at: str
    table: str
    key: Values
    row: Values | None
    fresh: bool = False
    before: Values | None = None
    replaces: bool = False
    was: Values | None = None


class Unusable(Struct, frozen=True):
    """A row of the book of which no row of the mirror can be made, and why.

    Args:
        table, column: the book's own names; the column is empty where the whole row is meant.
        key: how the row is called.
        value: what the book holds there, cut where it is long.
        why: "is no amount", "is not mapped" ...
    """

    at: str
    table: str
    key: str
    column: str
    value: str
    why: str

    @property
    def reason(self) -> str:
        """One sentence."""
        where = f"{self.table}.{self.column}" if self.column else self.table
        said = f"{self.value} in {where}" if self.value else where
        return f"{said} {self.why} (row {self.key})."


class MirrorTable(Struct, frozen=True):
    """A table of the mirror.

    Args:
        columns: those that changes carry values of; the key's come first.
        keys: how many of them are the key.
        unique: of which columns no two rows may have the same values: a row that is written takes the place of another.
        derived: what the mirror works out by itself: column → SQL over the named values, such as `:customer_id`.
        follows: derived columns are worked out again when one of these changes.
        ddl: CREATE TABLE.
        personal: columns that say something of the person whose row it is, by the first key column.
        addresses: columns with addresses of machines, of which only matters who shares one.
        person: the column with what people call the person by.
    """

    name: str
    columns: tuple[str, ...]
    keys: int
    unique: tuple[str, ...]
    derived: dict[str, str]
    follows: tuple[str, ...]
    ddl: str
    personal: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    person: str = ""


class Domain(Protocol):
    """What is made of a book's rows."""

    @property
    def outbox(self) -> OutboxSchema:
        """What is told of the book."""

    @property
    def tables(self) -> tuple[MirrorTable, ...]:
        """The mirror's tables, in the order in which a whole book is brought in: what others refer to comes first."""

    @property
    def indexes(self) -> tuple[str, ...]:
        """CREATE INDEX statements of the mirror."""

    @property
    def triggers(self) -> tuple[str, ...]:
        """CREATE TRIGGER statements of the mirror, which write facts to its outbox."""

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """Statements that write the rows which are there to the mirror's outbox, in this order."""

    def sources(self, table: str) -> tuple[str, ...]:
        """The book's tables that rows of a table of the mirror are made of."""

    def key(self, table: str) -> TableNeed | None:
        """The book's table and columns that are the key of a table of the mirror; None where it is worked out
        otherwise."""

    def rows(self, change: BookChange, only: str = "") -> list[RowChange | Unusable]:
        """What a change of the book means for the mirror (or for one table of it)."""

    def order(self, changes: list[RowChange | Unusable]) -> list[RowChange | Unusable]:
        """The changes of some whole transactions as the mirror's triggers need them."""

    def keep(self) -> None:
        """Make lasting what the rows made until now need: called before they are committed."""


class Install(Protocol):
    """How a domain, which may not import the sources, is handed their installer (`sources.sqlite.install.install`)."""

    def __call__(self, path: Path, schema: OutboxSchema, *, bootstrap: bool = True, clock: Clock = "wall") -> object:
        """Install the schema's triggers in the database at `path`."""


def layout(tables: Iterable[TableNeed]) -> bytes:
    """Which columns are told of each table, as JSON."""
    return msgspec.json.encode({need.name: need.columns for need in tables})


def read_layout(text: str | bytes) -> dict[str, tuple[str, ...]]:
    """What `layout` wrote."""
    return msgspec.json.decode(text, type=dict[str, tuple[str, ...]])


def width(tables: Iterable[TableNeed]) -> int:
    """How many values a row of `fire22_changes` must hold, of the old row and of the new one each."""
    return max((len(need.columns) for need in tables), default=1)


def changes_columns(width: int) -> list[str]:
    """The columns of `fire22_changes` that hold values."""
    return [f"{side}{place}" for side in "on" for place in range(width)]


def changes_sql(width: int) -> str:
    """The table that a book's changes are written to. No column has a type: each value stays what it is."""
    columns = ", ".join(changes_columns(width))
    return f"CREATE TABLE fire22_changes(number INTEGER PRIMARY KEY AUTOINCREMENT, at, source, op, {columns})"


def triggers(tables: Sequence[TableNeed]) -> list[tuple[str, str]]:
    """(name, SQL) of the triggers that copy what is written: no functions but the time, no other tables."""
    made: list[tuple[str, str]] = []
    for need in tables:
        columns = [quoted(name) for name in need.columns]
        old, new = ([f"{row}.{name}" for name in columns] for row in ("OLD", "NEW"))
        # A column may take 'a' and 'A' for equal; what is told tells them apart.
        changed = " OR ".join(f"{a} COLLATE BINARY IS NOT {b}" for a, b in zip(new, old, strict=True))
        for op, when, values in (
            ("insert", "", [("n", new)]),
            ("update", f"WHEN {changed} ", [("o", old), ("n", new)]),
            ("delete", "", [("o", old)]),
        ):
            places = [f"{side}{place}" for side, copied in values for place in range(len(copied))]
            copies = [each for _, copied in values for each in copied]
            name = f"{PREFIX}{need.name}_{op}"
            made.append(
                (
                    name,
                    f"CREATE TRIGGER {quoted(name)} AFTER {op.upper()} ON {quoted(need.name)} {when}BEGIN"
                    f" INSERT INTO fire22_changes(at, source, op, {', '.join(places)})"
                    f" VALUES({NOW_SQL}, {literal(need.name)}, '{op}', {', '.join(copies)}); END",  # nosec B608  # names are quoted, the rest is constant
                )
            )
    return made


def quoted(name: str) -> str:
    """A name, as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text, as SQL."""
    return "'" + text.replace("'", "''") + "'"

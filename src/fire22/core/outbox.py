"""What an outbox in a user's database consists of: pure data, shared by those who install, fill and read it.

A book's own transactions fill `fire22_outbox` through triggers, so no event exists without its row and no row without
its event. `sources/outbox.py` installs a schema, `sources/sqlite.py` reads what the triggers wrote, and a domain (such
as `sportsbook/schema`) says which triggers its tables need. A recorded book (clock `recorded`) brings its own time: its
writer appends `system.clock` rows with `CLOCK_SQL`.
"""

from pathlib import Path
from typing import Final, Literal, Protocol

from msgspec import Struct

Clock = Literal["wall", "recorded"]

PREFIX: Final = "fire22_"  # every table, view and trigger of ours in a user's database begins so
OUTBOX: Final = "fire22_outbox"
META: Final = "fire22_meta"
REPLACED: Final = "fire22_replaced"

# `number` names an event for ever, even after trimming: AUTOINCREMENT never gives a number twice, a plain rowid would.
# `fire22_replaced` carries a row from the BEFORE INSERT to the AFTER INSERT trigger of the same insert: INSERT OR
# REPLACE fires no delete trigger (unless recursive_triggers is on), so the old row must be read before it is gone.
TABLES: Final[tuple[tuple[str, str], ...]] = (
    (META, "CREATE TABLE fire22_meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"),
    (
        OUTBOX,
        "CREATE TABLE fire22_outbox("
        "number INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, timestamp TEXT NOT NULL, data TEXT NOT NULL, "
        "category TEXT NOT NULL DEFAULT '', priority INTEGER NOT NULL DEFAULT 1)",
    ),
    (
        REPLACED,
        "CREATE TABLE fire22_replaced("
        "source TEXT NOT NULL, id TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY(source, id)) WITHOUT ROWID",
    ),
)

# One parameter: the RFC 3339 time before which everything has been written.
CLOCK_SQL: Final = "INSERT INTO fire22_outbox(type, timestamp, data) VALUES('system.clock', ?, '{}')"


class TableNeed(Struct, frozen=True):
    """A table of the user's database, and its columns that the triggers read."""

    name: str
    columns: tuple[str, ...]


class OutboxSchema(Struct, frozen=True):
    """The triggers of one kind of book.

    Args:
        name: which schema; kept in `fire22_meta`.
        version: raised with every change of the triggers.
        tables: what must be there before anything is installed.
        triggers: (name, SQL) of each; names begin with `fire22_`, the SQL is one CREATE TRIGGER without semicolon.
        bootstrap: INSERT statements that write the rows which are already there to the outbox, in this order.
        views: (name, SQL) of each view that the triggers read; names begin with `fire22_`, one CREATE VIEW each.
    """

    name: str
    version: int
    tables: tuple[TableNeed, ...]
    triggers: tuple[tuple[str, str], ...]
    bootstrap: tuple[str, ...]
    views: tuple[tuple[str, str], ...] = ()


class Install(Protocol):
    """How a domain, which may not import the sources, is handed their installer (`sources.outbox.install`)."""

    def __call__(self, path: Path, schema: OutboxSchema, *, bootstrap: bool = True, clock: Clock = "wall") -> object:
        """Install the schema's triggers in the database at `path`."""

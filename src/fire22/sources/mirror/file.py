"""The SQLite file of a mirror: its tables and triggers, the facts that these have made, and what is known of the book.

Rows, facts and the source's position become durable in one transaction, before a fact goes into the log and before
anything is trimmed in the book. So the death of any process, at any moment, loses no change and tells none twice: what
is not in the mirror is read again, what is not in the log is told again under the same number.

Each commit is synced (`synchronous=FULL`). What was read together is put in order together, and another grouping may
make other facts: were a commit lost whose facts are in the log, nobody could say where its groups had ended.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import apsw
import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.core.outbox import OUTBOX_SQL, Domain, layout, quoted, read_layout
from fire22.sources.mirror.seal import COLUMN
from fire22.sources.mirror.seconds import SECONDS_SQL

STATES: Final = """
CREATE TABLE fire22_state(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE fire22_now(at TEXT NOT NULL);
INSERT INTO fire22_now VALUES('1970-01-01T00:00:00.000Z');
CREATE TABLE fire22_refused(source TEXT, key TEXT, why TEXT, PRIMARY KEY(source, key)) WITHOUT ROWID;
"""
CACHE_KIB: Final = 16_384


class Fact(NamedTuple):
    """A row of the mirror's outbox; texts as bytes."""

    number: int
    type: bytes
    timestamp: bytes
    data: bytes
    category: bytes
    priority: int


class Position(Struct, frozen=True):
    """How far a book has been read.

    Args:
        number: of the last change that the mirror has.
        witness: what that change said; empty where it was not seen.
        generation: of the installation that the mirror has been compared for.
    """

    number: int = 0
    witness: str = ""
    generation: str = ""


class MirrorLock:
    """Holds a mirror for one reader; the lock goes with the process, however it ends.

    A server that was killed may leave a reader behind for a moment; it must not write beside the next one's.

    Args:
        path: of the mirror's file.

    Raises:
        StorageError: `storage_in_use`, temporary.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.with_name(path.name + ".lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            message = f"Another process reads the book into {path.name}; it is waited for."
            raise StorageError(codes.STORAGE_IN_USE, message, temporary=True) from None

    def release(self) -> None:
        """Let another reader have it."""
        self._file.close()


class MirrorFile:
    """The file of one mirror.

    Args:
        path: of the file; created where there is none.
        domain: what is made of the book's rows.

    Attributes:
        renewed: whether what an earlier version kept lacks the second rows of a key (`seconds.py`).
        fresh: whether the book has still to be brought in: the file is new, or its tables are another version's.
        position: how far the book has been read.
        layout: which columns are told of each table, from the position on.

    Raises:
        StorageError: `storage_corrupt`, the file is damaged.
    """

    def __init__(self, path: Path, domain: Domain) -> None:
        self.path = path
        self._domain = domain
        self.connection = apsw.Connection(str(path))
        self.renewed = False
        self.layout: dict[str, tuple[str, ...]] = {}
        self._stored_layout = self.layout
        self._now = ""
        try:
            with self.errors():
                self.connection.set_busy_timeout(5_000)
                self.connection.execute(
                    f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-{CACHE_KIB}"
                )
                self.fresh = self._begin()
                stored = self.state("position")
                self.position = msgspec.json.decode(stored, type=Position) if stored else Position()
                stored = self.state("layout")
                self.layout = self._stored_layout = read_layout(stored) if stored else {}
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    # Facts.

    def facts(self, after: int, rows_max: int) -> list[Fact]:
        """The next facts."""
        sql = (
            "SELECT number, CAST(type AS BLOB), CAST(timestamp AS BLOB), CAST(data AS BLOB), "
            "CAST(category AS BLOB), priority FROM fire22_outbox WHERE number > ? ORDER BY number LIMIT ?"
        )
        with self.errors():
            found = self.connection.execute(sql, (after, rows_max))
            return [Fact(*values) for values in cast("Iterator[tuple[Any, ...]]", found)]

    def numbers(self) -> tuple[int, int]:
        """Up to which fact the outbox was trimmed, and the highest number ever given."""
        with self.errors():
            last = self.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'fire22_outbox'").get
            return int(self.state("trimmed_to") or 0), int(last) if isinstance(last, int) else 0

    def trim(self, upto: int) -> None:
        """Delete facts that are in the log."""
        with self.transaction():
            self.connection.execute("DELETE FROM fire22_outbox WHERE number <= ?", (upto,))
            self.put("trimmed_to", str(upto))

    # Its tables.

    @property
    def filled(self) -> bool:
        """Whether the book has been copied."""
        return self.state("filled") == "1"

    def create(self, first_fact: int) -> None:
        """Empty tables without triggers; the facts that are there and their numbers stay.

        Args:
            first_fact: no fact has a number below this.
        """
        for kind, name in self._made():
            self.connection.execute(f"DROP {kind} IF EXISTS {quoted(name)}")
        for table in self._domain.tables:
            self.connection.execute(table.ddl)
            self.connection.execute(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {COLUMN}")
        for sql in self._domain.indexes:
            self.connection.execute(sql)
        self.connection.execute("DELETE FROM fire22_refused; DELETE FROM fire22_seconds")
        last = self.numbers()[1]
        if first_fact - 1 > last:
            self.connection.execute("DELETE FROM sqlite_sequence WHERE name = 'fire22_outbox'")
            self.connection.execute("INSERT INTO sqlite_sequence VALUES('fire22_outbox', ?)", (first_fact - 1,))
            self.put("trimmed_to", str(first_fact - 1))
        self.put("tables", self._signature())

    def add_triggers(self, *, tell: bool) -> None:
        """From now on each row that is written tells; with `tell` also those that are there (the bootstrap)."""
        for sql in self._domain.bootstrap if tell else ():
            self.connection.execute(sql)
        for sql in self._domain.triggers:
            self.connection.execute(sql)
        self.put("triggers", self._triggers())

    def _begin(self) -> bool:
        """Whether the file is new, or its tables are those of another version."""
        sql = "SELECT name FROM sqlite_schema WHERE type = 'table'"
        there = {str(row[0]) for row in self.connection.execute(sql)}
        if "fire22_state" not in there:
            with self.transaction():
                self.connection.execute(STATES)
                self.connection.execute(OUTBOX_SQL)
                self.connection.execute(SECONDS_SQL)
            return True
        if "fire22_seconds" not in there:  # of an earlier version
            self.connection.execute(SECONDS_SQL)
            self.renewed = True
        if not self.filled or self.state("tables") != self._signature():
            return True
        self._renew_triggers()
        return False

    def _signature(self) -> str:
        shapes = [(each.name, each.ddl) for each in self._domain.tables]
        needs = layout(self._domain.outbox.tables).decode()
        return msgspec.json.encode([shapes, COLUMN, self._domain.indexes, self._domain.outbox.name, needs]).decode()

    def _triggers(self) -> str:
        return msgspec.json.encode(self._domain.triggers).decode()

    def _renew_triggers(self) -> None:
        """Another version has other triggers over the same tables."""
        if self.state("triggers") == self._triggers():
            return
        with self.transaction():
            for kind, name in self._made():
                if kind == "trigger":
                    self.connection.execute(f"DROP TRIGGER {quoted(name)}")
            self.add_triggers(tell=False)

    def _made(self) -> list[tuple[str, str]]:
        """What was made by a domain: (kind, name)."""
        rows = self.connection.execute(
            "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'trigger')"
            " AND name NOT IN ('fire22_state', 'fire22_now', 'fire22_refused', 'fire22_outbox', 'fire22_seconds')"
            " AND name NOT LIKE 'sqlite_%' ORDER BY type DESC"
        )
        return [(str(kind), str(name)) for kind, name in rows.fetchall()]

    # Its state.

    def set_now(self, at: str) -> None:
        """When what comes next was written to the book; facts without a time of their own are of then."""
        if at != self._now:
            self.connection.execute("UPDATE fire22_now SET at = ?", (at,))
            self._now = at

    def store(self, position: Position) -> None:
        """Keep how far the book has been read, in the transaction of its rows."""
        self.put("position", msgspec.json.encode(position).decode())
        if self.layout is not self._stored_layout:
            self.put("layout", msgspec.json.encode(self.layout).decode())
        self.position = position

    def state(self, key: str) -> str:
        """What is kept under a key; empty if nothing is."""
        found = self.connection.execute("SELECT value FROM fire22_state WHERE key = ?", (key,)).get
        return str(found) if found is not None else ""

    def put(self, key: str, value: str) -> None:
        """Keep something."""
        self.connection.execute("INSERT OR REPLACE INTO fire22_state VALUES(?, ?)", (key, value))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        with self.errors():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._domain.keep()
                self.connection.execute("COMMIT")
                self._stored_layout = self.layout
            except BaseException:
                self._now = ""
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Says of damage that it is this file's, with the way out; the book is not to be suspected of it."""
        try:
            yield
        except (apsw.CorruptError, apsw.NotADBError) as error:
            name = self.path.name
            message = (
                f"{name}, the copy of the book in the data folder, is damaged ({error}): stop the server and delete "
                f"{name}* there; the next start makes it again from the book, or says `book_gap` and how to go on."
            )
            raise StorageError(codes.STORAGE_CORRUPT, message) from error

    @contextlib.contextmanager
    def tried(self) -> Iterator[None]:
        """A transaction of which nothing stays."""
        with self.transaction():
            self.connection.execute("SAVEPOINT tried")
            try:
                yield
            finally:
                self._now = ""
                self.connection.execute("ROLLBACK TO tried; RELEASE tried")

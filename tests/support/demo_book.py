"""A demo book in a file, for tests that write to it and look at what became of it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from msgspec import Raw

from fire22.core.event import Event
from fire22.core.outbox import Domain
from fire22.core.times import to_text
from fire22.sources.follower import Follower
from fire22.sources.mirror.file import Fact
from fire22.sources.sqlite.install import install
from fire22.sources.sqlite.reader import SqliteBook
from fire22.sportsbook.book import database
from fire22.sportsbook.book.schema import book
from fire22.sportsbook.demo.create import create_demo
from tests.support.storage import START_MS


class DemoBook:
    """A new demo book; the same for the same seed.

    Args:
        path: of the file to create.
    """

    def __init__(self, path: Path, seed: int = 1) -> None:
        create_demo(path, seed=seed, now_ms=START_MS, install=install)
        self.path = path
        self.connection = database.connect(path)

    def rows(self, sql: str, *values: str | int | float) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return list(self.connection.execute(sql, values))

    def one(self, sql: str, *values: str | int | float) -> Any:
        """The first column of the first row."""
        return self.connection.execute(sql, values).get

    def column(self, sql: str, *values: str | int | float) -> list[Any]:
        """The first column of what a query finds."""
        return [row[0] for row in self.rows(sql, *values)]

    def told(self) -> list[Event]:
        """The events that the triggers have written since the last call."""
        return told(self.connection)

    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        """The same, as types and data."""
        return [(event.type, msgspec.json.decode(event.data, type=dict[str, Any])) for event in self.told()]

    def dump(self) -> str:
        """Every row of every table."""
        tables = self.column("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        return "\n".join(f"{table}: {row}" for table in tables for row in self.rows(f'SELECT * FROM "{table}"'))


_positions: Final[dict[str, int]] = {}
_gathered: Final[dict[str, list[tuple[str, str, str, str]]]] = {}


class _Kept:
    """The reader of the book that was asked for last: opening one costs more than reading a few changes."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._reader: Follower | None = None

    def reader(self, connection: apsw.Connection, domain: Domain | None) -> Follower:
        """The one of a book; a new one where the book has become another, or its triggers have."""
        path = Path(connection.filename)
        key = (path, connection.pragma("schema_version"), None if domain is None else id(domain))
        if self._reader is None or key != self._key or self._reader.book.replaced():
            self.let_go()
            self._reader, self._key = _open(path, domain), key
        return self._reader

    def let_go(self) -> None:
        """Close it: a mirror has one reader."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


_kept: Final = _Kept()


def told(connection: apsw.Connection, domain: Domain | None = None) -> list[Event]:
    """The events that were made of a book's changes since the last call, by the mirror beside it."""
    return _take(_kept.reader(connection, domain))


def read(path: Path, domain: Domain | None = None) -> list[Event]:
    """The same of a file; it is closed, and its changes are trimmed."""
    reader = _open(path, domain)
    try:
        events = _take(reader)
        reader.trim()
        return events
    finally:
        reader.close()


def _open(path: Path, domain: Domain | None) -> Follower:
    reader = follow(path, domain or book(None))
    try:
        reader.prepare()
    except BaseException:
        reader.close()
        raise
    return reader


def _take(reader: Follower) -> list[Event]:
    events: list[Event] = []
    while True:
        while facts := reader.facts():
            events += map(_event, facts)
            reader.position = facts[-1].number
        if not reader.take():
            break
    _positions[reader.book.book_id] = reader.position
    return events


def follow(
    path: Path, domain: Domain, stored: Callable[[str], int | None] = _positions.get, folder: Path | None = None
) -> Follower:
    """A book in a file and its mirror beside it, opened where the last call has read it to, or a log that says so."""
    _kept.let_go()
    return Follower(SqliteBook(path, domain.outbox), domain, folder or path.parent, stored)


def gather(connection: apsw.Connection) -> None:
    """Put all that was ever told of a book into a temporary table of the connection, for SQL over it."""
    path = Path(connection.filename)
    rows = _gathered.setdefault(str(path), [])
    rows += [
        (each.id.partition(":")[2], each.type, to_text(each.at_ms), bytes(each.data).decode()) for each in read(path)
    ]
    connection.execute("DROP TABLE IF EXISTS temp.told; CREATE TEMP TABLE told(number INTEGER, type, timestamp, data)")
    connection.executemany("INSERT INTO temp.told VALUES(?, ?, ?, ?)", rows)


def _event(fact: Fact) -> Event:
    at = datetime.fromisoformat(fact.timestamp.decode())
    return Event(f"book:{fact.number}", fact.type.decode(), "book", at, Raw(fact.data))

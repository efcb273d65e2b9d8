"""A demo book in a file, for tests that write to it and look at what became of it."""

from datetime import datetime
from pathlib import Path
from typing import Any, cast

import apsw
import msgspec
from msgspec import Raw

from fire22.core.event import Event
from fire22.sources.outbox import install
from fire22.sportsbook import book as books
from tests.storage import START_MS


class DemoBook:
    """A new demo book; the same for the same seed.

    Args:
        path: of the file to create.
    """

    def __init__(self, path: Path, seed: int = 1) -> None:
        books.create(path, seed=seed, now_ms=START_MS, install=install)
        self.path = path
        self.connection = books.connect(path)

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


def told(connection: apsw.Connection) -> list[Event]:
    """The events that the triggers of a book have written since the last call."""
    sql = "SELECT number, type, timestamp, data FROM fire22_outbox ORDER BY number"
    rows = cast("list[tuple[int, str, str, str]]", connection.execute(sql).fetchall())
    connection.execute("DELETE FROM fire22_outbox")
    return [
        Event(f"book:{number}", type, "book", datetime.fromisoformat(at), Raw(data.encode()))
        for number, type, at, data in rows
    ]

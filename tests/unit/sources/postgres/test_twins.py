"""One mapped book in two databases: what is told of it does not hang on where it lies."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from fire22.sources import follower
from fire22.sources.base import Database as Book
from fire22.sources.follower import Follower
from fire22.sources.mirror.file import Fact
from fire22.sources.postgres.install import install
from fire22.sources.postgres.reader import PostgresBook
from fire22.sources.sqlite.install import install as install_sqlite
from fire22.sources.sqlite.reader import SqliteBook
from fire22.sportsbook.book.schema import book
from tests.support.postgres import Database
from tests.support.twins import START_MS, TABLES, Twins, mapping

KINDS: Final = {"INTEGER": "bigint", "REAL": "double precision", "NUMERIC": "numeric"}
# As an engineer who knows PostgreSQL would have made them.
NATIVE: Final = {
    **KINDS,
    "Since TEXT": "Since timestamp",
    "At TEXT": "At timestamp",
    "Kickoff TEXT": "Kickoff timestamp",
    "NUMERIC": "numeric(18, 4)",
    "State TEXT": "State char(1)",
    "Removed INTEGER": "Removed smallint",
}
AT: Final = "2026-03-29"  # the clocks of both books, by the numbers of their changes


def in_postgres(kinds: dict[str, str]) -> str:
    """The tables with other types."""
    return re.sub("|".join(map(re.escape, sorted(kinds, key=len, reverse=True))), lambda at: kinds[at[0]], TABLES)


class PostgresTwins(Twins):
    """Every step is written to the book in SQLite and, in the same words, to the one in PostgreSQL."""

    def __init__(self, folder: Path, seed: int, database: Database) -> None:
        self._postgres = psycopg.connect(database.dsn, autocommit=True)
        super().__init__(folder, seed)
        for connection in (self.demo, self.foreign):
            connection.execute("PRAGMA synchronous=OFF")

    def run(self, sql: str, *values: str | int | float | None) -> None:
        """In both."""
        super().run(sql, *values)
        self._postgres.execute(sql.replace("?", "%s"), values)

    def transaction(self) -> None:
        """Some steps, together."""
        for connection in (self.foreign, self._postgres):
            connection.execute("BEGIN")
        for _ in range(self.random.randint(1, 5)):
            self.step()
        for connection in (self.foreign, self._postgres):
            connection.execute("COMMIT")

    def same_clock(self) -> None:
        """Let the changes have happened at the same times in both; they have the same numbers."""
        at = f"strftime('%Y-%m-%dT%H:%M:%fZ', '{AT}', number || ' seconds')"
        self.foreign.execute(f"UPDATE fire22_changes SET at = {at}")
        self._postgres.execute(f"UPDATE fire22.changes SET at = '{AT}Z'::timestamptz + number * interval '1 second'")

    def close(self) -> None:
        """All."""
        super().close()
        self._postgres.close()


class Reading:
    """A book and its mirror."""

    def __init__(self, book_: Book, folder: Path) -> None:
        folder.mkdir()
        self._follower = Follower(book_, book(mapping()), folder, lambda _: None)
        self._follower.prepare()

    def told(self) -> list[Fact]:
        """The facts since the last call."""
        found: list[Fact] = []
        while True:
            while facts := self._follower.facts():
                found += facts
                self._follower.position = facts[-1].number
            if not self._follower.take():
                return found

    def close(self) -> None:
        """Let both go."""
        self._follower.close()


@pytest.fixture(params=["plain", "native"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The tables of the invented book."""
    made = Database(in_postgres({"plain": KINDS, "native": NATIVE}[request.param]))
    yield made
    made.end()


def said(facts: list[Fact]) -> list[tuple[Any, ...]]:
    """Every byte of them."""
    return [(each.number, each.type, each.timestamp, each.data, each.category, each.priority) for each in facts]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))])
def test_a_mapped_book_gives_the_same_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Database, seed: int
) -> None:
    """A bookmaker who moves from SQLite to PostgreSQL gets the same events, byte for byte and by the same numbers."""
    print(f"seed {seed}")
    monkeypatch.setattr(follower, "_now_ms", lambda: START_MS)
    twins = PostgresTwins(tmp_path, seed, database)
    schema = book(mapping()).outbox
    for _ in range(50):
        twins.step()
    install_sqlite(twins.path, schema)
    install(database.dsn, schema)
    twins.same_clock()
    readings = [
        Reading(SqliteBook(twins.path, schema), tmp_path / "of-sqlite"),
        Reading(PostgresBook(database.dsn, schema), tmp_path / "of-postgres"),
    ]
    try:
        kinds = set()
        for _ in range(30):
            for _ in range(10):
                twins.transaction()
            twins.same_clock()
            in_sqlite, in_postgres_ = (said(reading.told()) for reading in readings)
            assert in_postgres_ == in_sqlite, f"seed {seed}"
            kinds |= {each[1] for each in in_postgres_}
        assert len(kinds) > 15, sorted(kinds)
    finally:
        for reading in readings:
            reading.close()
        twins.close()

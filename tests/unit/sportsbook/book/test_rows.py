"""Whatever a book's own program writes, our triggers let it through, and a fact or a dead letter follows."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from fire22.core.outbox import quoted
from fire22.sources.mirror.rows import UNUSABLE
from fire22.sources.sqlite.install import install
from fire22.sportsbook.book.schema import OUTBOX, TABLES_SQL, book
from fire22.sportsbook.book.schema.mapping import read_book_mapping
from fire22.sportsbook.book.schema.rows import needs
from tests.support.demo_book import read
from tests.support.harbour import TABLES as HARBOUR
from tests.support.twins import ROOT
from tests.support.twins import TABLES as NORTHBET

AT = "2026-03-01T12:00:00.000Z"
# As SQL, so that each comes with the type that it says; half of them are text.
NASTY = (
    "NULL", "0", "-1", "1", "9223372036854775807", "-9223372036854775808", "18446744073709551616", "9e999", "-9e999",
    "-0.0", "0.1 + 0.2", "1e308", "5e-324", "1.0", "2.5", "x''", "x'00'", "x'ff'",
    "x'000102030405060708090a0b0c0d0e0f'",
    "zeroblob(3000)", "''", "' '", "char(0)", "'a' || char(0) || 'b'", "CAST(x'ff' AS TEXT)", "CAST(x'c3' AS TEXT)",
    "CAST(x'eda080' AS TEXT)", "CAST(x'f4908080' AS TEXT)", "char(55296)", "char(65534)", "'\U0001f3b2'",
    f"'{'9' * 5000}'", f"'-{'1' * 5000}.5'", "'9e999'", "'1e400'", "'NaN'", "'nan'", "'Infinity'", "'-inf'", "'0x10'",
    "'5,50'", "'1 200.00'", "'$7.25'", "'1_000'", "'+5'", "'٥'", "'  7  '", "'{'", "'{}'", "'[]'", "'null'", "'\"'",
    "'not json'", f"'{'[' * 3000}{']' * 3000}'", f"'{'[' * 120}1{']' * 120}'", "'[[1e400, \"x\"]]'",
    "'{\"revision\": \"x\"}'",
    "'2026-02-30'", "'9999-12-31T23:59:59.999+23:59'", "'0000-00-00'", "'-4713-11-24 12:00:00'", "'12:00'", "'now'",
    "'/'", "'//a'", "'a|b'", "'a' || char(10)", "'''; DROP TABLE wagers; --'", "'../../etc'", f"'{'x' * 7000}'",
)  # fmt: skip


def loosened(sql: str) -> str:
    """The same tables as a careless engineer would have made them: columns without types, checks and keys."""
    made = []
    source = sqlite3.connect(":memory:")
    source.executescript(sql)
    for name, _ in source.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql <> ''").fetchall():
        if not name.startswith("sqlite_"):
            columns = [row[1] for row in source.execute(f"PRAGMA table_info({quoted(name)})")]
            made.append(f"CREATE TABLE {quoted(name)}({', '.join(map(quoted, columns))})")
    source.close()
    return ";".join(made)


BOOKS = {
    "demo": (TABLES_SQL, None),
    "demo without types": (loosened(TABLES_SQL), None),
    "northbet": (NORTHBET, ROOT / "examples" / "northbet.toml"),
    "harbour": (HARBOUR, ROOT / "examples" / "harbour.toml"),
    "harbour without types": (loosened(HARBOUR), ROOT / "examples" / "harbour.toml"),
}


class Pair:
    """The same book twice: with our triggers and without."""

    def __init__(self, folder: Path, name: str, *, encoding: str, trusted: bool, recursive: bool) -> None:
        sql, mapping = BOOKS[name]
        self.domain = book(read_book_mapping(mapping) if mapping else None)
        self.paths = [folder / "with.db", folder / "without.db"]
        for path in self.paths:
            connection = apsw.Connection(str(path))
            connection.execute(f"PRAGMA encoding='{encoding}'")
            connection.execute(sql)
            connection.close()
        install(self.paths[0], self.domain.outbox)
        read(self.paths[0], self.domain)
        self.connections: list[sqlite3.Connection] = [
            sqlite3.connect(path, isolation_level=None) for path in self.paths
        ]
        for writer in self.connections:
            writer.execute("PRAGMA synchronous=OFF")
            writer.execute(f"PRAGMA trusted_schema={'ON' if trusted else 'OFF'}")
            writer.execute(f"PRAGMA recursive_triggers={'ON' if recursive else 'OFF'}")

    def run(self, sql: str) -> list[str]:
        """What both say: nothing, or their errors."""
        said = []
        for connection in self.connections:
            try:
                connection.execute(sql)
                said.append("")
            except sqlite3.Error as error:
                said.append(str(error))
        return said

    def rows(self, table: str) -> list[list[str]]:
        """What both hold."""
        names = [row[1] for row in self.connections[0].execute(f"PRAGMA table_info({quoted(table)})")]
        values = " || ',' || ".join(f"typeof({quoted(name)}) || quote({quoted(name)})" for name in names)
        sql = f"SELECT hex({values}) FROM {quoted(table)} ORDER BY 1"
        return [[str(row[0]) for row in connection.execute(sql)] for connection in self.connections]

    def close(self) -> None:
        """Both."""
        for connection in self.connections:
            connection.close()


@pytest.fixture(
    params=[("UTF-8", True, False), ("UTF-8", False, True), ("UTF-16le", False, False), ("UTF-16be", True, True)]
)
def how(request: pytest.FixtureRequest) -> Iterator[tuple[str, bool, bool]]:
    """The encoding, whether the schema is trusted, whether triggers are recursive."""
    yield request.param


@pytest.mark.parametrize("name", list(BOOKS))
def test_each_write_succeeds_or_fails_as_without_triggers(
    name: str, how: tuple[str, bool, bool], tmp_path: Path
) -> None:
    """Every column of every table that is told of, with every nasty value, inserted, updated, replaced and deleted."""
    encoding, trusted, recursive = how
    pair = Pair(tmp_path, name, encoding=encoding, trusted=trusted, recursive=recursive)
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    written = 0
    for need in pair.domain.outbox.tables:
        columns = [column for column in need.columns if column != "rowid"]
        for column in columns:
            for value in NASTY if encoding == "UTF-8" and trusted else rng.sample(NASTY, 20):
                others = {each: rng.choice(("1", f"'{AT}'", "'a'", "2.5", "NULL")) for each in columns}
                row = {**others, column: value}
                names = ", ".join(map(quoted, row))
                verb = rng.choice(("INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"))
                values = ", ".join(row.values())
                statements = [f"{verb} INTO {quoted(need.name)}({names}) VALUES({values})"]
                statements.append(
                    f"UPDATE OR IGNORE {quoted(need.name)} SET {quoted(column)} = {value}"
                    f" WHERE {quoted(columns[0])} = 'a'"
                )
                for sql in statements:
                    first, second = pair.run(sql)
                    assert first == second, f"{sql[:200]}: {first!r}, without triggers {second!r}"
                    written += first == ""
            rows = pair.rows(need.name)
            assert len(rows[0]) == len(rows[1])
            if "without types" in name:  # else which of two rows keeps a unique value is SQLite's choice
                assert rows[0] == rows[1]
            first, second = pair.run(f"DELETE FROM {quoted(need.name)}")
            assert first == second
    assert written > 100
    events = read(pair.paths[0], pair.domain)
    assert {UNUSABLE} & {each.type for each in events} or name == "demo"
    pair.close()


def test_a_book_in_another_encoding_tells_what_any_other_tells(tmp_path: Path) -> None:
    """Names in any script, in a book whose texts are UTF-16."""
    for encoding in ("UTF-8", "UTF-16le", "UTF-16be"):
        path = tmp_path / encoding / "book.db"
        path.parent.mkdir()
        connection = apsw.Connection(str(path))
        connection.execute(f"PRAGMA encoding='{encoding}'")
        connection.execute(TABLES_SQL)
        install(path, OUTBOX)
        connection.execute(
            f"INSERT INTO agents VALUES('a', 'M1', 'Zoë \U0001f3b2', NULL, 1, '/M1', 'active', 0, 0, '{AT}')"
        )
        (event,) = read(path)
        assert event.type == "agent.created"
        assert "Zoë \U0001f3b2".encode() in bytes(event.data)
        connection.close()


def test_the_columns_that_are_told_are_the_mapped_ones() -> None:
    """Triggers copy what the mapping needs, expressions included, and nothing else."""
    told = {need.name: need.columns for need in needs(read_book_mapping(ROOT / "examples" / "northbet.toml"))}
    assert set(told["Cash"]) == {"CashNo", "PlayerNo", "Amount", "State", "AskedMs", "ChangedAt"}

"""The mirror of a book: what it refuses, and what it says of damage to its own file."""

import asyncio
from pathlib import Path

import apsw
import msgspec
import pytest

from fire22.core.errors import StorageError
from fire22.core.event import Event
from fire22.core.letter import ROW_REJECTED
from fire22.core.outbox import RowChange, Values
from fire22.sources.kinds import BookAt
from fire22.sources.mirror.seal import Seal
from fire22.sources.sqlite.install import install
from fire22.sportsbook.book.schema.order import ordered
from tests.support.orders import WAIT_S, Orders, Running, reading
from tests.support.storage import opened

AT = "2026-03-01T12:00:00.000Z"


def made(path: Path, key: str) -> apsw.Connection:
    """A book with orders whose id is a key or not."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5_000)
    connection.pragma("journal_mode", "wal")
    connection.execute(f"CREATE TABLE orders(id {key}, name TEXT); CREATE TABLE lines(id, of, what)")
    install(path, Orders.outbox)
    return connection


async def test_a_second_row_under_a_key_is_set_aside(tmp_path: Path) -> None:
    """Where the book does not hold an id to be unique, another row with it takes nobody's place: a dead letter."""
    book = made(tmp_path / "book.db", "INTEGER")
    book.execute("INSERT INTO orders VALUES(1, 'a')")
    at = BookAt("sqlite", str(tmp_path / "book.db"), "tests.support.orders:Orders")
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage) as running:
        await running.events(1)
        book.execute("INSERT INTO orders VALUES(1, 'a')")  # the same again says nothing
        book.execute("INSERT INTO orders VALUES(1, 'other')")
        book.execute("INSERT INTO orders VALUES(2, 'b')")
        events = await running.events(3)
        assert [each.type for each in events] == ["order.made", ROW_REJECTED, "order.made"]
        assert [why for _, why in running.rejected] == ["orders has another row with the same id (row 1)."]
    book.close()


SECOND = "orders has another row with the same id (row {})."
# What is written to orders(1, a) and a second row (1, b), what is told of it beyond the dead letter of the second row,
# and what the mirror then has.
CASES: dict[str, tuple[str, list[str], dict[int, str]]] = {
    "a third row": ("INSERT INTO orders VALUES(1, 'c')", [SECOND.format(1)], {1: "a"}),
    "the second is changed": ("UPDATE orders SET name = 'B' WHERE rowid = 2", [], {1: "a"}),
    "the second is deleted": ("DELETE FROM orders WHERE rowid = 2", [], {1: "a"}),
    "the first is changed": ("UPDATE orders SET name = 'A' WHERE rowid = 1", ["changed A"], {1: "A"}),
    "both are changed": ("UPDATE orders SET name = name || '!'", ["changed a!"], {1: "a!"}),
    "the first is deleted": ("DELETE FROM orders WHERE rowid = 1", ["changed b"], {1: "b"}),
    "both are deleted": ("DELETE FROM orders WHERE id = 1", ["changed b", "gone b"], {}),
    "the second, then the first is deleted": (
        "DELETE FROM orders WHERE rowid = 2; DELETE FROM orders WHERE rowid = 1",
        ["gone a"],
        {},
    ),
    "the second is changed, then the first deleted": (
        "UPDATE orders SET name = 'B' WHERE rowid = 2; DELETE FROM orders WHERE rowid = 1",
        ["changed B"],
        {1: "B"},
    ),
    "the first gets a free key": (
        "UPDATE orders SET id = 2 WHERE rowid = 1",
        ["changed a", "made b"],
        {2: "a", 1: "b"},
    ),
    "the second gets a free key": ("UPDATE orders SET id = 2 WHERE rowid = 2", ["made b"], {1: "a", 2: "b"}),
    "the first gets a taken key": (
        "INSERT INTO orders VALUES(2, 'x'); UPDATE orders SET id = 2 WHERE rowid = 1",
        ["made x", "changed b", SECOND.format(2)],
        {1: "b", 2: "x"},
    ),
    "the second gets a taken key": (
        "INSERT INTO orders VALUES(2, 'x'); UPDATE orders SET id = 2 WHERE rowid = 2",
        ["made x", SECOND.format(2)],
        {1: "a", 2: "x"},
    ),
    "the second gets a taken key, and its first is deleted": (
        "INSERT INTO orders VALUES(2, 'x'); UPDATE orders SET id = 2 WHERE rowid = 2;"
        " DELETE FROM orders WHERE rowid = 3",
        ["made x", SECOND.format(2), "changed b"],
        {1: "a", 2: "b"},
    ),
    "a row like the first comes and leaves": (
        "INSERT INTO orders VALUES(1, 'a'); DELETE FROM orders WHERE rowid = 3; DELETE FROM orders WHERE rowid = 2",
        [],
        {1: "a"},
    ),
}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(("written", "told", "kept"), CASES.values(), ids=CASES)
async def test_a_change_is_that_of_the_row_it_is_of(
    tmp_path: Path, written: str, told: list[str], kept: dict[int, str], again: bool
) -> None:
    """Of two rows with one key a change acts on the right one, also where both were there at the first reading; the
    mirror always has the first of those that the book still has."""
    book = made(tmp_path / "book.db", "INTEGER")
    book.execute("INSERT INTO orders VALUES(1, 'a')")
    book.execute("INSERT INTO orders VALUES(1, 'b')")
    at = BookAt("sqlite", str(tmp_path / "book.db"), "tests.support.orders:Orders")
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage) as running:
        await running.events(2)
        before = 2
        if again:
            install(tmp_path / "book.db", Orders.outbox, again=True)
            last = running.source.status().read_up_to_ms
            running.now_ms += 1
            await running.until(lambda: running.source.status().read_up_to_ms > last)
        book.execute("BEGIN IMMEDIATE")
        book.execute(written)
        book.execute("INSERT INTO orders VALUES(99, 'end')")
        book.execute("COMMIT")
        events = await running.events(before + len(told) + 1)
        said = [_said(each) for each in events]
        assert said == ["made a", SECOND.format(1), *told, "made end"]
        assert kept_rows(tmp_path) == kept | {99: "end"}
        install(tmp_path / "book.db", Orders.outbox, again=True)
        book.execute("INSERT INTO orders VALUES(98, 'compared')")
        assert _said((await running.events(len(said) + 1))[-1]) == "made compared"
    book.close()


def _said(event: Event) -> str:
    data = msgspec.json.decode(event.data)
    return f"{event.type.partition('.')[2]} {data['name']}" if "name" in data else str(data["reason"])


def kept_rows(folder: Path) -> dict[int, str]:
    """The orders that the mirror has."""
    (path,) = folder.glob("mirror-*.db")
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = connection.execute("SELECT id, name FROM orders").fetchall()
        return {int(str(id)): str(name) for id, name in rows}
    finally:
        connection.close()


async def test_a_row_that_is_replaced_is_changed(tmp_path: Path) -> None:
    """Where the id is unique, INSERT OR REPLACE is how a program writes a row anew."""
    book = made(tmp_path / "book.db", "INTEGER PRIMARY KEY")
    book.execute("INSERT INTO orders VALUES(1, 'a'); INSERT OR REPLACE INTO orders VALUES(1, 'b')")
    at = BookAt("sqlite", str(tmp_path / "book.db"), "tests.support.orders:Orders")
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage) as running:
        assert await running.told(2) == ["made a", "changed b"]
    book.close()


def test_a_row_that_is_deleted_and_inserted_is_no_second_one() -> None:
    """In one transaction that is an update, whatever the book holds to be unique."""
    row = ("s1", "Soccer")
    gone, new = RowChange(AT, "sports", ("s1",), None), RowChange(AT, "sports", ("s1",), row, fresh=True)
    [left] = ordered([gone, new], {})
    assert isinstance(left, RowChange)
    assert (left.row, left.replaces) == (row, True)


@pytest.mark.parametrize("where", ["head", "middle"])
async def test_a_damaged_mirror_is_said_and_can_be_made_again(tmp_path: Path, where: str) -> None:
    """The book is not blamed: the message names the file and the way out, which repeats and loses nothing."""
    book = made(tmp_path / "book.db", "INTEGER PRIMARY KEY")
    book.execute("BEGIN")
    book.executemany("INSERT INTO orders VALUES(?, ?)", [(number, f"n{number}" * 50) for number in range(300)])
    book.execute("COMMIT")
    at = BookAt("sqlite", str(tmp_path / "book.db"), "tests.support.orders:Orders")
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(at, tmp_path, storage) as running:
            await running.events(300)
            await running.until(lambda: book.execute("SELECT count(*) FROM fire22_changes").get == 1)
        [mirror] = tmp_path.glob("mirror-*.db")
        data = bytearray(mirror.read_bytes())
        start = 0 if where == "head" else 4096
        data[start:] = b"\xff" * (len(data) - start)
        mirror.write_bytes(data)
        book.execute("UPDATE orders SET name = 'changed' WHERE id = 7")
        running = Running(at, tmp_path, storage)
        with pytest.raises(StorageError, match=mirror.name) as caught:
            await running.task
        assert caught.value.code.name == "storage_corrupt"
        mirror.unlink()
        async with reading(at, tmp_path, storage) as running:
            assert (await running.told(301))[-1] == "changed changed"
    book.close()


async def settled(book: apsw.Connection, running: Running, events: int) -> None:
    """Until so many events are in the log and their changes are trimmed in the book."""
    await running.events(events)
    await running.until(lambda: book.execute("SELECT count(*) FROM fire22_changes").get == 1)


@pytest.mark.parametrize("sql", ["name = 'forged'", "name = CAST(name AS BLOB)", "fire22_seal = fire22_seal + 1"])
async def test_a_changed_value_of_the_mirror_is_damage(tmp_path: Path, sql: str) -> None:
    """A row of the mirror that SQLite finds whole but that is not what was written is named and not gone by; the mirror
    is made anew from the book, and nothing is told twice."""
    book = made(tmp_path / "book.db", "INTEGER PRIMARY KEY")
    at = BookAt("sqlite", str(tmp_path / "book.db"), "tests.support.orders:Orders")
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(at, tmp_path, storage) as running:
            book.execute("INSERT INTO orders VALUES(7, 'a'), (8, 'b')")
            await settled(book, running, 2)
            book.execute("UPDATE orders SET name = 'c' WHERE id = 7; UPDATE orders SET id = 9 WHERE id = 8")
            await settled(book, running, 4)
        [mirror] = tmp_path.glob("mirror-*.db")
        damaging = apsw.Connection(str(mirror))
        damaging.execute("DROP TRIGGER orders_update")  # the fact that is made of it is not the matter
        damaging.execute(f"UPDATE orders SET {sql} WHERE id = 7")
        damaging.execute(Orders.triggers[1])
        damaging.close()
        book.execute("UPDATE orders SET name = 'd' WHERE id = 7")
        running = Running(at, tmp_path, storage)
        with pytest.raises(StorageError, match=f"{mirror.name}.*row 7 of orders") as caught:
            await asyncio.wait_for(running.task, WAIT_S)
        assert caught.value.code.name == "storage_corrupt"
        mirror.unlink()
        async with reading(at, tmp_path, storage) as running:
            assert (await running.told(5))[-1] == "changed d"
            book.execute("UPDATE orders SET name = 'e' WHERE id = 9")
            assert (await running.told(6))[-1] == "changed e"
    book.close()


async def test_a_second_row_of_a_key_is_checked_too(tmp_path: Path) -> None:
    """A row that waits for the place of another one is not put there when it is not what was written."""
    book = made(tmp_path / "book.db", "INTEGER")
    at = BookAt("sqlite", str(tmp_path / "book.db"), "tests.support.orders:Orders")
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(at, tmp_path, storage) as running:
            book.execute("INSERT INTO orders VALUES(1, 'a')")
            book.execute("INSERT INTO orders VALUES(1, 'b')")
            await settled(book, running, 2)
        [mirror] = tmp_path.glob("mirror-*.db")
        damaging = apsw.Connection(str(mirror))
        [(row,)] = damaging.execute("SELECT row FROM fire22_seconds").fetchall()
        assert isinstance(row, bytes)
        damaging.execute("UPDATE fire22_seconds SET row = ?", (row.replace(b"b", b"x"),))
        damaging.close()
        book.execute("DELETE FROM orders WHERE name = 'a'")
        running = Running(at, tmp_path, storage)
        with pytest.raises(StorageError, match="another row of a key in orders"):
            await asyncio.wait_for(running.task, WAIT_S)
    book.close()


async def test_a_mirror_without_checksums_gets_them(tmp_path: Path) -> None:
    """A mirror of an earlier version is made anew from the book at the next start; nothing is told twice or lost."""
    book = made(tmp_path / "book.db", "INTEGER PRIMARY KEY")
    at = BookAt("sqlite", str(tmp_path / "book.db"), "tests.support.orders:Orders")
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(at, tmp_path, storage) as running:
            book.execute("INSERT INTO orders VALUES(1, 'a'), (2, 'b')")
            await settled(book, running, 2)
        [mirror] = tmp_path.glob("mirror-*.db")
        earlier = apsw.Connection(str(mirror))
        for table in Orders.tables:
            earlier.execute(f"ALTER TABLE {table.name} DROP COLUMN fire22_seal")
        earlier.execute("UPDATE fire22_state SET value = '[]' WHERE key = 'tables'")
        earlier.close()
        book.execute("UPDATE orders SET name = 'c' WHERE id = 2")
        async with reading(at, tmp_path, storage) as running:
            assert await running.told(3) == ["made a", "made b", "changed c"]
            book.execute("DELETE FROM orders WHERE id = 1")
            assert (await running.told(4))[-1] == "gone a"
    book.close()


def test_a_seal_is_of_one_table_and_of_each_value() -> None:
    """Rows of two tables, and rows with the same text at another place, have different checksums."""
    rows: list[Values] = [("a", "b"), ("ab", ""), ("a", b"b"), ("a", None), ("a", 1), ("a", 1.0), ("b", "a")]
    assert len({Seal(table).of(row) for table in ("orders", "lines") for row in rows}) == 2 * len(rows)
    for row in rows:
        assert Seal("orders").unpacked(Seal("orders").packed(row)) == row

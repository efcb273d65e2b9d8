"""The mirror of a book: what it refuses, and what it says of damage to its own file."""

from pathlib import Path

import apsw
import msgspec
import pytest

from fire22.core.errors import StorageError
from fire22.core.event import Event
from fire22.core.letter import ROW_REJECTED
from fire22.core.outbox import RowChange
from fire22.sources.kinds import BookAt
from fire22.sources.sqlite.install import install
from fire22.sportsbook.book.schema.order import ordered
from tests.support.orders import Orders, Running, reading
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

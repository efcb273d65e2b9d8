"""The mirror of a book: what it refuses, and what it says of damage to its own file."""

from pathlib import Path

import apsw
import pytest

from fire22.core.errors import StorageError
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

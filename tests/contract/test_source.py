"""What every kind of book must do, whether a thread of the server's reads it or a process of its own.

Another kind of database joins by one more entry in BOOKS.
"""

import contextlib
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import apsw
import psycopg
import pytest
from msgspec import Raw

from fire22.core.errors import BookError
from fire22.core.event import Event, encode_event
from fire22.core.letter import ROW_REJECTED
from fire22.sources import follower
from fire22.sources.base import Database
from fire22.sources.follower import Follower
from fire22.sources.kinds import MAKERS, BookAt
from fire22.sources.mirror.copy import Mirror
from fire22.sources.pipeline import ThreadedBook
from fire22.sources.postgres.install import install as install_postgres
from fire22.sources.postgres.install import uninstall as uninstall_postgres
from fire22.sources.postgres.reader import PostgresReader
from fire22.sources.sqlite.install import install, uninstall
from fire22.sources.sqlite.reader import SqliteReader
from tests.support import orders
from tests.support.orders import TABLES, Orders, Running
from tests.support.postgres import server
from tests.support.storage import Storage, opened


class Book(Protocol):
    """A user's book with orders and lines, and what may happen to it."""

    reader: type
    database: Database
    at: BookAt
    apart: bool

    def write(self, *statements: str) -> None:
        """One transaction of the user's own program."""

    def writing(self) -> AbstractContextManager[None]:
        """Somebody else writes for so long."""

    def changes(self) -> list[int]:
        """The numbers of the changes that are still there."""

    def install(self, *, again: bool = False, book_id: str = "") -> None:
        """Install the triggers."""

    def uninstall(self) -> None:
        """Remove them, and all that we have in the book."""

    def rebuild(self) -> None:
        """Build the table of orders anew, as a migration tool does: its triggers are lost."""

    def save(self) -> Callable[[], None]:
        """Make a backup; what is returned puts it back."""

    def leave(self) -> Callable[[], None]:
        """The book is gone; what is returned brings it back."""

    def replace(self, *statements: str) -> None:
        """Another book is at its place, of the same kind, in which this has been written."""

    def end(self) -> None:
        """It is no longer needed."""


class SqliteFile:
    """A book in a SQLite file."""

    reader: type = SqliteReader

    def __init__(self, folder: Path) -> None:
        self._path = folder / "book.db"
        self.at = BookAt("sqlite", str(self._path), "tests.support.orders:Orders")
        self.apart = False
        self.database = self.at.make()[0]
        self._make(self._path)

    def _make(self, path: Path) -> None:
        with self._opened(path) as connection:
            connection.pragma("journal_mode", "wal")
            for sql in TABLES:
                connection.execute(sql)
        install(path, Orders.outbox)

    @contextlib.contextmanager
    def _opened(self, path: Path) -> Iterator[apsw.Connection]:
        connection = apsw.Connection(str(path))
        try:
            connection.set_busy_timeout(5_000)
            yield connection
        finally:
            connection.close()

    def write(self, *statements: str) -> None:
        with self._opened(self._path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for sql in statements:
                connection.execute(sql)
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        with self._opened(self._path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    def changes(self) -> list[int]:
        with self._opened(self._path) as connection:
            return [int(str(row[0])) for row in connection.execute("SELECT number FROM fire22_changes ORDER BY number")]

    def install(self, *, again: bool = False, book_id: str = "") -> None:
        install(self._path, Orders.outbox, again=again, book_id=book_id)

    def uninstall(self) -> None:
        uninstall(self._path)

    def rebuild(self) -> None:
        self.write(
            TABLES[0].replace("orders", "new"),
            "INSERT INTO new SELECT * FROM orders",
            "DROP TABLE orders",
            "ALTER TABLE new RENAME TO orders",
        )

    def save(self) -> Callable[[], None]:
        copy = self._path.with_name("copy.db")
        self._copy(self._path, copy)
        return lambda: self._copy(copy, self._path)

    def _copy(self, source: Path, target: Path) -> None:
        with self._opened(source) as old, self._opened(target) as new, new.backup("main", old, "main") as step:
            step.step(-1)

    def leave(self) -> Callable[[], None]:
        away = self._path.with_name("away.db")
        self._path.rename(away)

        def back() -> None:
            away.rename(self._path)

        return back

    def replace(self, *statements: str) -> None:
        other = self._path.with_name("other.db")
        self._make(other)
        with self._opened(other) as connection:
            for sql in statements:
                connection.execute(sql)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        other.replace(self._path)

    def end(self) -> None:
        """The folder goes with the test."""


class PostgresDatabase:
    """A book in a database of the server that runs for the tests."""

    reader: type = PostgresReader

    def __init__(self, folder: Path) -> None:
        self._server = server()
        self._name = f"book_{secrets.token_hex(6)}"
        self._admin(f"CREATE DATABASE {self._name}")
        self._dsn = self._server.dsn(self._name)
        self.at = BookAt("postgresql", self._dsn, "tests.support.orders:Orders")
        self.apart = False
        self.database = self.at.make()[0]
        self.write(*TABLES_POSTGRES)
        self.install()

    def _admin(self, *statements: str) -> None:
        with psycopg.connect(self._server.dsn(), autocommit=True) as connection:
            for sql in statements:
                connection.execute(sql)

    def _without_others(self, *statements: str) -> None:
        """Statements that need a database to which nobody is connected."""
        end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{self._name}'"
        self._admin(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false", end, *statements)

    def write(self, *statements: str) -> None:
        with psycopg.connect(self._dsn) as connection:
            for sql in statements:
                connection.execute(sql)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        with psycopg.connect(self._dsn) as connection:
            connection.execute("LOCK TABLE fire22.changes IN SHARE MODE")
            yield

    def changes(self) -> list[int]:
        with psycopg.connect(self._dsn) as connection:
            return [row[0] for row in connection.execute("SELECT number FROM fire22.changes ORDER BY number")]

    def install(self, *, again: bool = False, book_id: str = "") -> None:
        install_postgres(self._dsn, Orders.outbox, again=again, book_id=book_id)

    def uninstall(self) -> None:
        uninstall_postgres(self._dsn)

    def rebuild(self) -> None:
        self.write(
            TABLES_POSTGRES[0].replace("orders", "new"),
            "INSERT INTO new SELECT * FROM orders",
            "DROP TABLE orders",
            "ALTER TABLE new RENAME TO orders",
        )

    def save(self) -> Callable[[], None]:
        copy = f"{self._name}_copy"
        self._without_others(
            f"CREATE DATABASE {copy} TEMPLATE {self._name}", f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true"
        )

        def restore() -> None:
            self._without_others(f"DROP DATABASE {self._name}", f"CREATE DATABASE {self._name} TEMPLATE {copy}")

        return restore

    def leave(self) -> Callable[[], None]:
        self._without_others(f"ALTER DATABASE {self._name} RENAME TO {self._name}_away")

        def back() -> None:
            self._admin(
                f"ALTER DATABASE {self._name}_away RENAME TO {self._name}",
                f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true",
            )

        return back

    def replace(self, *statements: str) -> None:
        self.uninstall()
        self.write("DROP TABLE orders, lines", *TABLES_POSTGRES)
        self.install()
        self.write(*statements)

    def end(self) -> None:
        self._admin(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")


BOOKS: dict[str, Callable[[Path], Book]] = {"postgresql": PostgresDatabase, "sqlite": SqliteFile}
TABLES_POSTGRES = (
    "CREATE TABLE orders(id bigint PRIMARY KEY, name text)",
    "CREATE TABLE lines(id bigint PRIMARY KEY, of bigint, what text)",
)


# What a process does with a book is the same for all kinds; each of them is read by one in tests of its own.
PLACES = {"sqlite": ("thread", "process")}


@pytest.fixture(params=[f"{kind} in a {place}" for kind in sorted(BOOKS) for place in PLACES.get(kind, ("thread",))])
def book(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    """The book under test, with triggers."""
    kind, _, place = request.param.partition(" in a ")
    made = BOOKS[kind](tmp_path)
    made.apart = place == "process"
    # The process that reads finds what this suite makes of the book.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    yield made
    made.end()


@pytest.fixture(params=sorted(BOOKS))
def near(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    """The same, for tests that break the reader from within: it is read in a thread."""
    made = BOOKS[request.param](tmp_path)
    yield made
    made.end()


def reading(book: Book, folder: Path, storage: Storage) -> AbstractAsyncContextManager[Running]:
    """A source at work on the book, ended in the end."""
    return orders.reading(book.at, folder, storage, apart=book.apart)


def order(id: int, name: str) -> str:
    """An order is written."""
    return f"INSERT INTO orders(id, name) VALUES({id}, '{name}')"


def line(id: int, of: int, what: str) -> str:
    """A line of an order is written."""
    return f"INSERT INTO lines(id, of, what) VALUES({id}, {of}, '{what}')"


def test_every_kind_has_its_suite() -> None:
    """A kind that can be configured passes this contract."""
    assert set(BOOKS) == set(MAKERS)


async def test_each_change_is_told_once_in_commit_order(book: Book, tmp_path: Path) -> None:
    """An engineer reads what two programs wrote in the order of their commits, under the book's own ids."""
    book.write(order(1, "before"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.events(1)
        book.write(order(2, "a"), order(3, "b"))
        book.write("UPDATE orders SET name = 'A' WHERE id = 2")
        book.write("DELETE FROM orders WHERE id = 3")
        assert await running.told(5) == ["made before", "made a", "made b", "changed A", "gone b"]
        events = await running.events(5)
        book_id = events[0].id.partition(":")[0]
        assert [each.id for each in events] == [f"{book_id}:{number}" for number in range(1, 6)]
        assert {each.source for each in events} == {book.database.name}


async def test_a_backlog_of_any_size_is_read(book: Book, tmp_path: Path) -> None:
    """What was written while no server ran is read in bounded batches, without a change missing."""
    names = [str(number) for number in range(3_500)]
    book.write(*(order(number, name) for number, name in enumerate(names)))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        assert await running.told(3_500) == [f"made {name}" for name in names]


@pytest.mark.parametrize("header_first", [True, False])
async def test_a_header_is_told_with_its_details(book: Book, tmp_path: Path, header_first: bool) -> None:
    """However the book's program orders what it writes in a transaction, the fact has all of it."""
    details = [line(1, 7, "x"), line(2, 7, "y")]
    book.write(*([order(7, "a"), *details] if header_first else [*details, order(7, "a")]))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        assert await running.told(1) == ["made a: x, y"]


async def test_what_is_rolled_back_is_not_told(book: Book, tmp_path: Path) -> None:
    """A transaction that fails has never been."""
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        with pytest.raises((apsw.ConstraintError, psycopg.IntegrityError)):
            book.write(order(1, "a"), order(1, "again"))
        book.write(order(2, "b"))
        assert await running.told(1) == ["made b"]


async def test_a_row_that_is_written_again_tells_nothing(book: Book, tmp_path: Path) -> None:
    """An equal write is no change, and a deletion and an insert of one row in a transaction tell what differs."""
    book.write(order(1, "a"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.events(1)
        book.write("UPDATE orders SET name = name")
        book.write(order(2, "b"))
        assert await running.told(2) == ["made a", "made b"]


async def test_a_row_that_cannot_be_used_costs_only_itself(book: Book, tmp_path: Path) -> None:
    """It is set aside in its place, with table, column and row; those around it are told."""
    book.write(order(1, "a"), "INSERT INTO orders(id, name) VALUES(2, NULL)", order(3, "b"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        events = await running.events(3)
        assert [each.type for each in events] == ["order.made", ROW_REJECTED, "order.made"]
        assert running.rejected == [(2, "orders.name is empty (row 2).")]


async def test_what_is_in_the_log_is_trimmed(book: Book, tmp_path: Path) -> None:
    """The book does not grow: changes leave it but for the last one, and numbers are never given twice."""
    book.write(order(1, "a"), order(2, "b"), order(3, "c"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.events(3)
        await running.until(lambda: len(book.changes()) == 1)
        [last] = book.changes()
        book.write(order(4, "d"))
        assert (await running.events(4))[-1].id.endswith(":4")
        await running.until(lambda: len(book.changes()) == 1)
        assert book.changes()[0] > last


async def test_trimming_waits_for_who_writes(book: Book, tmp_path: Path) -> None:
    """A reader that dies after the log has its rows and before they are trimmed neither repeats nor loses one."""
    book.write(order(1, "a"), order(2, "b"))
    async with opened(tmp_path / "flows.db") as storage:
        with book.writing():
            async with reading(book, tmp_path, storage) as running:
                await running.events(2)
            assert len(book.changes()) > 1
        book.write(order(3, "c"))
        async with reading(book, tmp_path, storage) as running:
            assert await running.told(3) == ["made a", "made b", "made c"]
            await running.until(lambda: len(book.changes()) == 1)
            assert storage.log.last_seq == 3


async def test_a_restart_without_news_says_nothing(book: Book, tmp_path: Path) -> None:
    """Starting again where nothing happened repeats nothing, and knows at once how far the book was read."""
    book.write(order(1, "a"))
    async with opened(tmp_path / "flows.db") as storage:
        for _ in range(3):
            async with reading(book, tmp_path, storage) as running:
                await running.until(lambda: running.source.status().position == 1)
                await running.until(lambda: running.source.status().read_up_to_ms > 0)
        assert storage.log.last_seq == 1


async def test_an_idle_book_is_not_written_to(book: Book, tmp_path: Path) -> None:
    """Where nothing is written, nothing is read and nothing trimmed: the watermark goes on all the same."""
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.until(lambda: running.source.status().read_up_to_ms > 0)
        before, read_up_to_ms = book.changes(), running.source.status().read_up_to_ms
        running.now_ms += 1
        await running.until(lambda: running.source.status().read_up_to_ms > read_up_to_ms)
        assert (book.changes(), storage.log.last_seq, running.failures) == (before, 0, [])


@pytest.mark.parametrize("seed", range(2))
async def test_a_reader_may_die_at_any_step(
    near: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Before or after the mirror's commit, the log's, or the trimming: nothing is lost, and nothing told twice."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    for owner, name in (
        (Mirror, "apply"),
        (Mirror, "fill"),
        (Mirror, "trim"),
        (near.reader, "trim"),
        (near.reader, "changes"),
        (Follower, "facts"),
        (ThreadedBook, "append"),
    ):
        monkeypatch.setattr(owner, name, mortal(getattr(owner, name), rng))
    written: list[str] = []
    deaths = 0
    async with opened(tmp_path / "flows.db") as storage:
        for _ in range(40):
            for _ in range(rng.randint(1, 4)):
                written.append(f"n{len(written)}")
                near.write(line(len(written), len(written), "x"), order(len(written), written[-1]))
            running = Running(near.at, tmp_path, storage, apart=near.apart)
            with contextlib.suppress(Killed):
                await running.events(len(written))
            deaths += running.task.done()
            with contextlib.suppress(Killed):
                await running.stop()
        rng.random = lambda: 1.0  # type: ignore[method-assign]
        async with reading(near, tmp_path, storage) as running:
            assert await running.told(len(written)) == [f"made {name}: x" for name in written]
            ids = [each.id for each in await running.events(len(written))]
        assert len(set(ids)) == len(written) == storage.log.last_seq
    assert deaths > 5


class Killed(Exception):
    """The process ends here."""


def mortal(does: Callable[..., Any], rng: random.Random) -> Callable[..., Any]:
    """The same, but sometimes the process ends before or after it."""

    def done(*args: Any, **options: Any) -> Any:
        if rng.random() < 0.05:
            raise Killed
        found = does(*args, **options)
        if rng.random() < 0.05:
            raise Killed
        return found

    return done


async def test_a_transaction_larger_than_a_group_is_read_whole(
    near: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is more than fits in memory is taken in parts, and each change is told once."""
    monkeypatch.setattr(follower, "GROUP_ROWS", 10)
    near.write(*(order(number, f"n{number}") for number in range(35)))
    async with opened(tmp_path / "flows.db") as storage, reading(near, tmp_path, storage) as running:
        assert await running.told(35) == [f"made n{number}" for number in range(35)]


async def test_a_book_that_goes_away_and_comes_back(book: Book, tmp_path: Path) -> None:
    """While it is away that is said; then it is read on where it was."""
    book.write(order(1, "a"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.events(1)
        back = book.leave()
        await running.problem("book_missing")
        back()
        book.write(order(2, "b"))
        assert await running.told(2) == ["made a", "made b"]
        await running.problem("")


async def test_another_book_at_the_same_place(book: Book, tmp_path: Path) -> None:
    """It is noticed and read from its beginning, as the other book that it is."""
    book.write(order(1, "a"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.events(1)
        book.replace(order(1, "x"), order(2, "y"))
        assert await running.told(3) == ["made a", "made x", "made y"]
        assert len({each.id.partition(":")[0] for each in await running.events(3)}) == 2


async def test_a_table_that_is_built_anew(book: Book, tmp_path: Path) -> None:
    """That its changes go unseen is said; once the triggers are back, what was written meanwhile is told."""
    book.write(order(1, "a"), order(2, "b"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.events(2)
        book.rebuild()
        book.write(order(3, "unseen"), "UPDATE orders SET name = 'A' WHERE id = 1", "DELETE FROM orders WHERE id = 2")
        await running.problem("book_triggers_missing")
        book.install()
        assert sorted((await running.told(5))[2:]) == ["changed A", "gone b", "made unseen"]
        await running.problem("")
        book.write(order(4, "seen"))
        assert (await running.told(6))[-1] == "made seen"


async def test_a_book_that_is_put_back_from_a_backup(book: Book, tmp_path: Path) -> None:
    """The gap is said and nothing is read over it; taken as it stands, what the book lacks is taken back."""
    book.write(order(1, "a"))
    restore = book.save()
    book.write(order(2, "b"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.events(2)
        restore()
        await running.problem("book_gap")
        book.write(order(2, "c"))  # takes the number and the key of what was read
        assert storage.log.last_seq == 2
        book.install(again=True)
        assert await running.told(3) == ["made a", "made b", "changed c"]
        await running.problem("")


@pytest.mark.parametrize("more", [0, 1, 5])
async def test_numbers_that_are_given_again_are_seen(book: Book, tmp_path: Path, more: int) -> None:
    """Also where a backup has gone on, before anybody looked, beyond what was read of the other."""
    book.write(order(1, "a"))
    restore = book.save()
    book.write(order(2, "b"), order(3, "c"))
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(book, tmp_path, storage) as running:
            await running.events(3)
        restore()
        for number in range(more):
            book.write(order(2 + number, "xyzuv"[number]))
        async with reading(book, tmp_path, storage) as running:
            await running.problem("book_gap")
            assert storage.log.last_seq == 3


async def test_a_new_log_gets_the_book_as_it_stands(book: Book, tmp_path: Path) -> None:
    """A log that has never heard of the book gets all its rows, though their changes are trimmed already."""
    book.write(order(1, "a"), line(1, 1, "x"), order(2, "b"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.until(lambda: len(book.changes()) == 1 and storage.log.last_seq == 2)
    async with opened(tmp_path / "new.db") as storage, reading(book, tmp_path, storage) as running:
        assert await running.told(2) == ["imported a: x", "imported b"]


async def test_a_log_that_is_older_than_what_was_trimmed(book: Book, tmp_path: Path) -> None:
    """It is not gone on with in silence: the message says what to do."""
    book.write(order(1, "a"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.events(1)
    for file in tmp_path.glob("flows.db*"):
        file.with_name(file.name.replace("flows", "old")).write_bytes(file.read_bytes())
    book.write(order(2, "b"))
    async with opened(tmp_path / "flows.db") as storage, reading(book, tmp_path, storage) as running:
        await running.until(lambda: len(book.changes()) == 1 and storage.log.last_seq == 2)
    async with opened(tmp_path / "old.db") as storage:
        running = Running(book.at, tmp_path, storage, apart=book.apart)
        with pytest.raises(BookError, match="was told up to 2, but this log has it only to 1") as caught:
            await running.task
        assert caught.value.code.name == "book_gap"
        assert book.database.anew in caught.value.message


async def test_a_mirror_that_is_lost_is_made_again(book: Book, tmp_path: Path) -> None:
    """Where log and book still meet, that is done without a word."""
    book.write(order(1, "a"), order(2, "b"))
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(book, tmp_path, storage) as running:
            await running.until(lambda: len(book.changes()) == 1 and storage.log.last_seq == 2)
        for file in tmp_path.glob("mirror-*"):
            file.unlink()
        book.write("UPDATE orders SET name = 'A' WHERE id = 1")
        async with reading(book, tmp_path, storage) as running:
            assert await running.told(3) == ["made a", "made b", "changed A"]


@pytest.mark.parametrize("taken", [("2",), ("1", "3"), ("2", "2:0")])
async def test_an_id_that_the_log_has_already(book: Book, tmp_path: Path, taken: tuple[str, ...]) -> None:
    """A fact whose id another event has costs only itself: a dead letter, and those around it are told."""
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(book, tmp_path, storage) as running:
            book.write(order(9, "first"))
            [first] = await running.events(1)
        book_id = first.id.partition(":")[0]
        others = [
            encode_event(
                Event(f"{book_id}:{int(each[0]) + 1}{each[1:]}", "test.made", "test", first.timestamp, Raw(b"1"))
            )
            for each in taken
        ]
        await storage.log.append(others)
        book.write(order(1, "a"), order(2, "b"), order(3, "c"))
        async with reading(book, tmp_path, storage) as running:
            letters = sum(":" not in each for each in taken) - (len(taken) > 1 and ":" in taken[-1])
            events = (await running.events(1 + len(others) + 3 - (not letters)))[1 + len(others) :]
            said = [f"{each.type}" for each in events]
            assert said.count(ROW_REJECTED) == letters
            assert said.count("order.made") == 3 - sum(":" not in each for each in taken)
            assert len(running.rejected) == sum(":" not in each for each in taken)
            book.write(order(4, "d"))
            await running.until(lambda: storage.log.last_seq == 1 + len(others) + len(events) + 1)
            assert running.source.status().problem == ""


@pytest.mark.parametrize("running_on", [False, True])
async def test_triggers_that_are_removed_and_installed_again(book: Book, tmp_path: Path, running_on: bool) -> None:
    """The book has another id then; what the log has of it is not told once more, but the way to go on is."""
    book.write(order(1, "a"), order(2, "b"), order(3, "c"))
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(book, tmp_path, storage) as running:
            known = (await running.events(3))[0].id.partition(":")[0]
            if running_on:
                book.uninstall()
                book.install()
                await running.problem("book_gap")
        if not running_on:
            book.uninstall()
            book.write("UPDATE orders SET name = 'unseen' WHERE id = 3")
            book.install()
        async with reading(book, tmp_path, storage) as running:
            await running.problem("book_gap")
            assert storage.log.last_seq == 3
            book.install(book_id=known)
            book.write(order(4, "d"))
            told = await running.told(4 if running_on else 5)
            assert sorted(told[3:]) == (["made d"] if running_on else ["changed unseen", "made d"])
            await running.problem("")
            book.write(order(5, "e"))
            events = await running.events(len(told) + 1)
            assert {each.id.partition(":")[0] for each in events} == {known}

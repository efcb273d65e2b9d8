"""The SQLite source: what a book's triggers wrote reaches the log, in commit order, whatever dies in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path

import apsw
import msgspec
import pytest
from msgspec import Raw

from fire22.core.errors import BookError, Fire22Error
from fire22.core.event import Event, decode_event, encode_event
from fire22.core.letter import DATA_BYTES_MAX, ROW_REJECTED, RowRejected
from fire22.core.nesting import DEPTH_MAX
from fire22.core.outbox import BookChange, Clock, MirrorTable, OutboxSchema, RowChange, TableNeed, Unusable
from fire22.log.base import SourcePosition
from fire22.sources.follower import Follower
from fire22.sources.pipeline import ThreadedBook, Told
from fire22.sources.reading import Pace
from fire22.sources.sqlite import install as outbox
from fire22.sources.sqlite.reader import SqliteBook
from tests.support.storage import Storage, opened

NOW_MS = 1_772_366_400_000
WAIT_S = 60
QUICK = Pace(poll_s=0.001, look_s=0.005, trim_s=0.005, retry_s=0.005)  # so that nothing is waited for
AT = "2026-03-01T12:00:00.000+00:00"
FORMER = f"""
    CREATE TABLE fire22_meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE fire22_outbox(number INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, timestamp TEXT NOT NULL,
      data TEXT NOT NULL, category TEXT NOT NULL DEFAULT '', priority INTEGER NOT NULL DEFAULT 1);
    CREATE TABLE fire22_replaced(source TEXT NOT NULL, id TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY(source, id));
    INSERT INTO fire22_meta VALUES('book_id', 'abc'), ('clock', 'wall'), ('trimmed_to', '0'), ('schema', 'things'),
      ('version', '4'), ('bootstrapped', '2026-01-01T00:00:00.000Z');
    CREATE TRIGGER fire22_things_insert AFTER INSERT ON things BEGIN
      INSERT INTO fire22_outbox(type, timestamp, data)
      VALUES('thing.made', '{AT}', json_object('id', NEW.id, 'name', NEW.name)); END
"""
SAID = ("type", "timestamp", "data", "category", "priority")


class Things:
    """A domain of one table; a second one says word by word what shall stand in the outbox."""

    outbox = OutboxSchema("things", 1, (TableNeed("things", ("id", "name")), TableNeed("said", ("id", *SAID))))
    tables = (
        MirrorTable("things", ("id", "name"), 1, (), {}, (), "CREATE TABLE things(id PRIMARY KEY, name)"),
        MirrorTable("said", ("id", *SAID), 1, (), {}, (), f"CREATE TABLE said(id PRIMARY KEY, {', '.join(SAID)})"),
    )
    indexes = ()
    triggers = (
        "CREATE TRIGGER things_insert AFTER INSERT ON things BEGIN INSERT INTO fire22_outbox(type, timestamp, data)"
        " SELECT 'thing.made', at, json_object('id', NEW.id, 'name', NEW.name) FROM fire22_now; END",
        "CREATE TRIGGER things_update AFTER UPDATE ON things BEGIN INSERT INTO fire22_outbox(type, timestamp, data)"
        " SELECT 'thing.changed', at, json_object('id', NEW.id, 'name', NEW.name) FROM fire22_now; END",
        "CREATE TRIGGER things_delete AFTER DELETE ON things BEGIN INSERT INTO fire22_outbox(type, timestamp, data)"
        " SELECT 'thing.gone', at, json_object('id', OLD.id, 'name', OLD.name) FROM fire22_now; END",
        "CREATE TRIGGER said_insert AFTER INSERT ON said BEGIN INSERT INTO fire22_outbox(type, timestamp, data,"
        " category, priority) VALUES(NEW.type, NEW.timestamp, NEW.data, coalesce(NEW.category, ''),"
        " coalesce(NEW.priority, 1)); END",
    )
    bootstrap = (
        "INSERT INTO fire22_outbox(type, timestamp, data)"
        " SELECT 'thing.imported', at, json_object('id', id, 'name', name) FROM things, fire22_now",
    )

    def sources(self, table: str) -> tuple[str, ...]:
        """A table is made of the one with its name."""
        return (table,)

    def key(self, table: str) -> TableNeed | None:
        """The id of each."""
        return TableNeed(table, ("id",))

    def rows(self, change: BookChange, only: str = "") -> list[RowChange | Unusable]:
        """Each row as it is."""
        row = change.new if change.op != "delete" else change.old
        kept = None if change.op == "delete" else row
        return [RowChange(change.at, change.source, row[:1], kept)] if only in ("", change.source) else []

    def order(self, changes: list[RowChange | Unusable]) -> list[RowChange | Unusable]:
        """As they came."""
        return changes

    def keep(self) -> None:
        """Its rows need nothing."""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A user's database with triggers."""
    return make_book(tmp_path / "book.db")


def make_book(path: Path, clock: Clock = "wall") -> Path:
    """Another one."""
    with writing(path) as connection:
        connection.pragma("journal_mode", "wal")
        connection.execute("CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute(f"CREATE TABLE said(id INTEGER PRIMARY KEY, {', '.join(SAID)})")
    outbox.install(path, Things.outbox, clock=clock)
    return path


def things_in(path: Path) -> SqliteBook:
    """How the source reaches it."""
    return SqliteBook(path, Things.outbox)


def source_of(path: Path, storage: Storage, told: Told | None = None) -> ThreadedBook:
    """A source that nobody runs yet."""
    return ThreadedBook(
        things_in(path),
        storage.log,
        told or Told(),
        domain=Things(),
        folder=path.parent,
        pace=QUICK,
        now_ms=lambda: NOW_MS,
    )


@contextlib.contextmanager
def writing(path: Path) -> Iterator[apsw.Connection]:
    """The user's own program."""
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(5_000)
        yield connection
    finally:
        connection.close()


def make_things(path: Path, *names: str) -> None:
    """Rows, each in a transaction of its own."""
    with writing(path) as connection:
        for name in names:
            connection.execute("INSERT INTO things(name) VALUES(?)", (name,))


def put_row(
    path: Path, *, type: object = "thing.made", at: object = "2026-03-01T12:00:00.000Z", data: object, **more: object
) -> None:
    """A row straight into the outbox, as a broken trigger might write it."""
    columns = {"type": type, "timestamp": at, "data": data, **more}
    with writing(path) as connection:
        marks = ", ".join("?" for _ in columns)
        connection.execute(f"INSERT INTO said({', '.join(columns)}) VALUES({marks})", tuple(columns.values()))


class Running:
    """A source at work, and what it told."""

    def __init__(self, path: Path, storage: Storage) -> None:
        self.failures: list[str] = []
        self.rejected: list[tuple[int, str]] = []
        told = Told(
            failed=lambda error: self.failures.append(error.code.name),
            rejected=lambda number, why: self.rejected.append((number, why)),
        )
        self.source = source_of(path, storage, told)
        self.storage = storage
        self.task = asyncio.create_task(self.source.run())

    async def events(self, count: int) -> list[Event]:
        """The log's events, once there are so many."""
        await until(lambda: self.storage.log.last_seq >= count, self.task)
        groups = await self.storage.log.groups(0)
        return [decode_event(body) for group in groups for body in group.bodies]

    async def told(self, count: int) -> list[str]:
        """What became of which thing."""
        events = await self.events(count)
        return [f"{each.type.partition('.')[2]} {msgspec.json.decode(each.data)['name']}" for each in events]

    async def names(self, count: int) -> list[str]:
        """The names of the things in the log."""
        return [msgspec.json.decode(event.data)["name"] for event in await self.events(count)]

    async def stop(self) -> None:
        """End it."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def until(holds: Callable[[], bool], task: "asyncio.Task[None] | None" = None) -> None:
    """Until a thread has come so far."""
    async with asyncio.timeout(WAIT_S):
        while not holds():
            if task is not None and task.done():
                task.result()
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def reading(path: Path, storage: Storage) -> AsyncIterator[Running]:
    """A source, ended in the end."""
    running = Running(path, storage)
    try:
        yield running
    finally:
        await running.stop()


def outbox_rows(path: Path) -> list[int]:
    """The numbers that are in the outbox."""
    with writing(path) as connection:
        return [int(str(row[0])) for row in connection.execute("SELECT number FROM fire22_changes ORDER BY number")]


async def ending(path: Path, storage: Storage) -> Fire22Error:
    """What ends a source."""
    with pytest.raises(BookError) as caught:
        async with asyncio.timeout(WAIT_S):
            await source_of(path, storage).run()
    return caught.value


async def test_commit_order(book: Path, tmp_path: Path) -> None:
    """The log has what two programs wrote in the order of their commits, each row once, with the book's own ids."""
    make_things(book, "before")
    async with opened(tmp_path / "flows.db") as storage, reading(book, storage) as running:
        await running.events(1)
        with writing(book) as one, writing(book) as other:
            one.execute("BEGIN IMMEDIATE; INSERT INTO things(name) VALUES('a1'), ('a2')")
            one.execute("COMMIT")
            other.execute("INSERT INTO things(name) VALUES('b1')")
            one.execute("BEGIN; INSERT INTO things(name) VALUES('gone'); ROLLBACK")
            one.execute("INSERT INTO things(name) VALUES('a3')")
        events = await running.events(5)
        assert await running.names(5) == ["before", "a1", "a2", "b1", "a3"]
        book_id = events[0].id.partition(":")[0]
        assert [event.id for event in events] == [f"{book_id}:{number}" for number in range(1, 6)]
        assert {(event.type, event.source) for event in events} == {("thing.made", "sqlite:book")}
        await until(lambda: running.source.status().position == 5)
        status = running.source.status()
        assert (status.name, status.read_up_to_ms, status.recorded, status.problem) == (
            "sqlite:book",
            NOW_MS,
            False,
            "",
        )


async def test_locked_book(tmp_path: Path) -> None:
    """While another program holds the book the source says so, keeps trying, and goes on where it was."""
    book = make_book(tmp_path / "book.db")
    with writing(book) as connection:
        connection.pragma("journal_mode", "delete")
    make_things(book, "a")
    async with opened(tmp_path / "flows.db") as storage, reading(book, storage) as running:
        await until(lambda: running.source.status().read_up_to_ms == NOW_MS, running.task)
        with writing(book) as other:
            other.execute("BEGIN EXCLUSIVE; INSERT INTO things(name) VALUES('b')")
            await until(lambda: "book_locked" in running.failures, running.task)
            assert running.source.status().problem == "book_locked"
            assert running.source.status().read_up_to_ms == NOW_MS
            other.execute("COMMIT")
        assert await running.names(2) == ["a", "b"]
        await until(lambda: running.source.status().problem == "", running.task)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (apsw.IOError, "book_readonly"),
        (apsw.CantOpenError, "book_missing"),
        (apsw.ProtocolError, "book_locked"),
    ],
)
async def test_a_reading_that_fails_is_tried_again(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[apsw.Error], problem: str
) -> None:
    """A disk or share that cannot be read for a while is said, and does not end the source."""
    take, away = Follower.take, [True]

    def failing(reader: Follower) -> bool:
        if away:
            raise error("disk I/O error")
        return take(reader)

    monkeypatch.setattr(Follower, "take", failing)
    make_things(book, "a")
    async with opened(tmp_path / "flows.db") as storage, reading(book, storage) as running:
        await until(lambda: len(running.failures) > 1, running.task)
        assert running.source.status().problem == problem
        away.clear()
        assert await running.names(1) == ["a"]
        await until(lambda: running.source.status().problem == "", running.task)


async def test_full_log(book: Path, tmp_path: Path) -> None:
    """A log that takes no more now is tried again, and no row is left out."""
    make_things(book, *"abcde")
    async with opened(tmp_path / "flows.db", pending_max=4) as storage, reading(book, storage) as running:
        await until(lambda: "overloaded" in running.failures, running.task)
        assert running.source.status().problem == "overloaded"
        assert storage.log.last_seq == 0


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"data": "{"}, "malformed"),
        ({"data": "nonsense"}, "malformed"),
        ({"data": ""}, "malformed"),
        ({"data": '{}, "id": "other"'}, "one JSON value"),
        ({"data": '{}, "data": {}'}, "one JSON value"),
        ({"data": "{} {}"}, ""),
        ({"data": "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1)}, "nested"),
        ({"data": "[" * 5_000 + "]" * 5_000}, "nested"),
        ({"data": "{}", "type": "Thing"}, "$.type"),
        ({"data": "{}", "type": b"th\xffing.made"}, "$.type"),
        ({"data": "{}", "type": 7}, "$.type"),
        ({"data": "{}", "at": "yesterday"}, "$.timestamp"),
        ({"data": "{}", "at": "0001-01-01T00:00:00+14:00"}, "timestamp"),
        ({"data": "{}", "priority": "high"}, "priority"),
        ({"data": "{}", "category": "x" * 65}, "category"),
    ],
)
async def test_bad_row(book: Path, tmp_path: Path, row: dict[str, object], why: str) -> None:
    """A row that is no event becomes one that tells of it in its place, and those around it are not lost."""
    make_things(book, "a")
    put_row(book, **row)
    make_things(book, "b")
    async with opened(tmp_path / "flows.db") as storage, reading(book, storage) as running:
        events = await running.events(3)
        assert [event.type for event in events] == ["thing.made", ROW_REJECTED, "thing.made"]
        assert events[1].id == events[0].id[:-1] + "2"
        told = msgspec.json.decode(events[1].data, type=RowRejected)
        assert why in told.reason
        assert told.data == row["data"]
        assert (told.number, told.id) == (2, events[1].id)
        type = row.get("type", "thing.made")
        assert told.type == (type.decode(errors="replace") if isinstance(type, bytes) else str(type))
        assert told.timestamp == row.get("at", told.timestamp)
        assert running.rejected == [(2, told.reason)]
        await until(lambda: len(outbox_rows(book)) == 1, running.task)


async def test_a_huge_broken_row_is_told_in_part(book: Path, tmp_path: Path) -> None:
    """Megabytes of garbage do not go into the log; how much there was is said."""
    put_row(book, data="x" * (2 * DATA_BYTES_MAX), type="t" * 1000)
    async with opened(tmp_path / "flows.db") as storage, reading(book, storage) as running:
        [event] = await running.events(1)
        told = msgspec.json.decode(event.data, type=RowRejected)
        assert (len(told.data), told.data_bytes, len(told.type)) == (DATA_BYTES_MAX, 2 * DATA_BYTES_MAX, 200)


@pytest.mark.parametrize("type", ["system.configured", ROW_REJECTED, "system.letter_replayed"])
async def test_a_row_does_not_speak_for_the_server(book: Path, tmp_path: Path, type: str) -> None:
    """Whoever may write to the book cannot change the server's settings by it; a recording brings its clock."""
    put_row(book, data="{}", type=type)
    put_row(book, data="{}", type="system.clock")
    async with opened(tmp_path / "flows.db") as storage, reading(book, storage) as running:
        events = await running.events(2)
        assert [event.type for event in events] == [ROW_REJECTED, "system.clock"]
        assert msgspec.json.decode(events[0].data, type=RowRejected).type == type


@pytest.mark.parametrize("data", [' {"name":"x"} ', '{"name":"x","n":1e3}', '{"name":"x","s":"\\u0000"}'])
async def test_odd_rows(book: Path, tmp_path: Path, data: str) -> None:
    """What is JSON is taken, however it is written."""
    put_row(book, data=data)
    async with opened(tmp_path / "flows.db") as storage, reading(book, storage) as running:
        assert await running.names(1) == ["x"]
        assert running.rejected == []


async def test_text_that_is_not_utf8(book: Path, tmp_path: Path) -> None:
    """A name that an old program stored in another encoding neither stops the book nor loses the row."""
    with writing(book) as connection:
        connection.execute("INSERT INTO things(name) VALUES(CAST(x'4de9e9' AS TEXT))")
    make_things(book, "b")
    async with opened(tmp_path / "flows.db") as storage, reading(book, storage) as running:
        assert await running.names(2) == ["M\ufffd\ufffd", "b"]


async def test_recorded_book(tmp_path: Path) -> None:
    """A book that brings its own time says so, from the check before the start on."""
    book = make_book(tmp_path / "book.db", "recorded")
    async with opened(tmp_path / "other.db") as storage:
        source = source_of(book, storage)
        source.check()
        assert source.status().recorded
    async with opened(tmp_path / "flows.db") as storage, reading(book, storage) as running:
        await until(lambda: running.source.status().recorded, running.task)


async def test_a_book_of_a_former_version_goes_on(tmp_path: Path) -> None:
    """Its triggers wrote facts: those that are unread come first, then what was written since, and nothing twice."""
    book = tmp_path / "book.db"
    with writing(book) as connection:
        connection.execute("CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute(f"CREATE TABLE said(id INTEGER PRIMARY KEY, {', '.join(SAID)})")
        connection.execute(FORMER)
        connection.execute("INSERT INTO things(name) VALUES('a'); INSERT INTO things(name) VALUES('b')")
    async with opened(tmp_path / "flows.db") as storage:
        known = Event("abc:1", "thing.made", "test", datetime.fromisoformat(AT), Raw(b'{"id":1,"name":"a"}'))
        await storage.log.append([encode_event(known)], SourcePosition("abc", "1"))
        with pytest.raises(BookError) as caught:
            source_of(book, storage).check()
        assert "fire22 install-triggers" in caught.value.message
        make_things(book, "c")
        outbox.install(book, Things.outbox)
        make_things(book, "d")
        with writing(book) as connection:
            connection.execute("UPDATE things SET name = 'A' WHERE id = 1; DELETE FROM things WHERE id = 2")
        for _ in range(2):
            async with reading(book, storage) as running:
                assert await running.told(6) == ["made a", "made b", "made c", "made d", "changed A", "gone b"]
                assert [each.id for each in await running.events(6)] == [f"abc:{number}" for number in range(1, 7)]
                await until(lambda: len(outbox_rows(book)) == 1, running.task)
        with writing(book) as connection:
            found = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'fire22_outbox'").get
        assert found == 0


async def test_a_mirror_that_is_lost(book: Path, tmp_path: Path) -> None:
    """Where log and book still meet, it is made anew without a word; else the server says what to do."""
    make_things(book, "a", "b")
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(book, storage) as running:
            await until(lambda: len(outbox_rows(book)) == 1 and storage.log.last_seq == 2, running.task)
        lose_mirror(book)
        make_things(book, "c")
        async with reading(book, storage) as running:
            assert await running.told(3) == ["made a", "made b", "made c"]
        with writing(book) as connection:
            connection.execute("UPDATE fire22_meta SET value = '1' WHERE key = 'trimmed_fact'")
        lose_mirror(book)
        assert (await ending(book, storage)).code.name == "book_gap"


def lose_mirror(book: Path) -> None:
    """It is deleted."""
    for file in book.parent.glob("mirror-*"):
        file.unlink()


async def test_no_book(tmp_path: Path) -> None:
    """A book that is not there, or not a book, or has no triggers, is named before a start; while a server runs it is
    missed until it is back."""
    (tmp_path / "text.db").write_text("This is no database, and long enough to be seen as none. " * 20)
    with writing(tmp_path / "bare.db") as connection:
        connection.execute("CREATE TABLE things(id, name)")
    async with opened(tmp_path / "flows.db") as storage:
        for name, code in (
            ("missing.db", "book_missing"),
            ("text.db", "book_corrupt"),
            ("bare.db", "book_missing"),
        ):
            told: list[Fire22Error] = []
            source = source_of(tmp_path / name, storage, Told(failed=told.append))
            with pytest.raises(BookError) as caught:
                source.check()
            assert caught.value.code.name == code
            assert name in caught.value.message
            running = asyncio.create_task(source.run())
            async with asyncio.timeout(WAIT_S):
                while len(told) < 2:
                    await asyncio.sleep(0.01)
            assert source.status().problem == code
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    assert not (tmp_path / "missing.db").exists()

"""The log's file: made whole, checked when it is opened, never silently replaced."""

import asyncio
import contextlib
import errno
import os
import shutil
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from fire22.core import codes
from fire22.core.codes import Code
from fire22.core.errors import RequestError, StorageError
from fire22.feed.rows import read_archive
from fire22.flows.replay_check import check_replay
from fire22.log import file as log_file
from fire22.log import maintenance
from fire22.log.base import Appended, SourcePosition
from fire22.log.database import connect, meta
from fire22.log.file import APPLICATION_ID, FORMAT, open_file, sealed_source
from fire22.log.maintenance import StorageReport, backup, check, check_beside, restore
from fire22.log.sqlite import LogReader
from fire22.process import locked
from fire22.store.base import Put
from fire22.store.sqlite import SqliteStore
from tests.support import archiver
from tests.support.storage import encoded, folding, opened, stored_groups, wait_folded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is, or will be."""
    return tmp_path / "flows.db"


async def write(path: Path, count: int = 200, *, size: int = 200) -> None:
    """A log with some events, closed."""
    async with opened(path) as storage:
        await storage.log.append([encoded(f"e{number}", data="x" * size) for number in range(count)])


def epoch(path: Path) -> str:
    """The epoch that a server would find."""
    connection = open_file(path)
    try:
        return str(meta(connection, "epoch"))
    finally:
        connection.close()


def refused(path: Path, code: Code, *words: str) -> None:
    """Opening fails with the code and a message that holds the words, and changes nothing."""
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(StorageError) as error:
        open_file(path).close()
    assert error.value.code is code, error.value
    for word in words:
        assert word in error.value.message
    assert (path.read_bytes() if path.exists() else None) == before


async def rows_of(path: Path, table: str) -> int:
    """How many rows a table of the file holds."""
    connection = open_file(path)
    try:
        count = connection.execute(f"SELECT count(*) FROM {table}").get
        assert isinstance(count, int)
        return count
    finally:
        connection.close()


def test_a_new_file_is_whole(path: Path) -> None:
    """The first start makes a file that says whose it is, in WAL mode, and leaves nothing else behind."""
    connection = open_file(path)
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("user_version") == FORMAT
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2
    assert [meta(connection, key) for key in ("seq", "offset", "watermark_ms")] == [0, 0, 0]
    connection.close()
    assert [each.name for each in path.parent.iterdir()] == ["flows.db"]


def test_a_half_made_file_is_made_anew(path: Path) -> None:
    """A first start that was killed left a file under another name, which the next start clears away."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(f"flows.db.new{suffix}").write_bytes(b"half")
    open_file(path).close()
    assert [each.name for each in path.parent.iterdir()] == ["flows.db"]


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0", b"not a database, though long enough " * 300])
def test_what_is_no_database_is_refused(path: Path, content: bytes) -> None:
    """An empty, cut or foreign file is named as damaged and left for somebody to look at."""
    path.write_bytes(content)
    refused(path, codes.STORAGE_CORRUPT, "flows.db", "restore a backup")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
async def test_a_cut_file_is_refused(path: Path, share: float) -> None:
    """A file that a copy cut off is named as cut off, with how much is there."""
    await write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, codes.STORAGE_CORRUPT, "cut off", f"{int(len(whole) * share)} of {len(whole)} bytes")


async def test_a_file_of_garbage_behind_a_good_header_is_refused(path: Path) -> None:
    """Overwritten pages are found by the check at the start."""
    await write(path)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    refused(path, codes.STORAGE_CORRUPT, "restore")


async def test_a_lost_main_file_is_not_replaced(path: Path) -> None:
    """With only the write-ahead log left, starting from empty would lose events silently; it is refused."""
    await write(path)
    path.rename(path.with_name("elsewhere"))
    path.with_name("flows.db-wal").write_bytes(b"left")
    refused(path, codes.STORAGE_CORRUPT, "flows.db is missing", "flows.db-wal")
    assert not path.exists()


async def test_a_flipped_byte_is_named(path: Path) -> None:
    """Damage that SQLite does not see is found by the checksum, and the event is named."""
    await write(path, 20)
    content = path.read_bytes()
    at = content.index(b'"id":"e13"') + 60
    path.write_bytes(content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :])
    refused(path, codes.STORAGE_CORRUPT, "log 14 ")


async def test_a_flipped_byte_in_an_old_event_is_found_by_the_full_check(path: Path) -> None:
    """`fire22 check` reads what the start passes over, and a reader that meets it says which event it is."""
    await write(path, 300)
    content = path.read_bytes()
    at = content.index(b'"id":"e13"') + 60
    path.write_bytes(content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :])
    open_file(path).close()
    with pytest.raises(StorageError, match="log 14 ") as found:
        check(path)
    assert found.value.code is codes.STORAGE_CORRUPT
    async with opened(path) as storage:
        with pytest.raises(StorageError, match=r"log 14 .*restore a backup") as met:
            await storage.log.groups(0)
    assert met.value.code is codes.STORAGE_CORRUPT
    assert not met.value.temporary


async def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    """An older program does not touch what it may misread."""
    await write(path, 1)
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", FORMAT + 1)
    connection.close()
    refused(path, codes.STORAGE_FORMAT, f"format {FORMAT + 1}", "newer")


def test_a_file_of_another_program_is_refused(path: Path) -> None:
    """Somebody's own SQLite file under our name is not taken over."""
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)")
    connection.close()
    refused(path, codes.STORAGE_FORMAT, "another program")


async def test_an_older_format_is_brought_up_step_by_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer program migrates the file in place, each step in a transaction, and the events are still there."""
    await write(path, 5)

    def first(connection: apsw.Connection) -> None:
        connection.execute("CREATE TABLE added(x)")

    def second(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO added VALUES(1)")

    monkeypatch.setattr(log_file, "FORMAT", FORMAT + 2)
    monkeypatch.setattr(log_file, "MIGRATIONS", {FORMAT: first, FORMAT + 1: second})
    monkeypatch.setattr(log_file, "check_schema", lambda *_: None)
    connection = open_file(path)
    assert connection.pragma("user_version") == FORMAT + 2
    assert connection.execute("SELECT count(*) FROM added").get == 1
    assert connection.execute("SELECT count(*) FROM log").get == 5
    connection.close()


FORMER: Final = """
ALTER TABLE log RENAME TO sealed;
CREATE TABLE log(
    seq INTEGER PRIMARY KEY, grp INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, crc INTEGER NOT NULL, body BLOB NOT NULL);
INSERT INTO log SELECT seq, grp, id, crc32(body), body FROM sealed;
DROP TABLE sealed; DROP TABLE meta; DROP TABLE source; DROP TABLE state; DROP TABLE feed; DROP TABLE document;
DROP TABLE archive;
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE source(name TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state(flow TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY(flow, key)) WITHOUT ROWID;
CREATE TABLE feed(offset INTEGER PRIMARY KEY, topic TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX feed_topic ON feed(topic, offset);
CREATE TABLE document(
    topic TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY(topic, scope, key)) WITHOUT ROWID;
INSERT INTO meta VALUES('epoch', 'aaaaaaaa'), ('inode', 7), ('seq', 5), ('offset', 9), ('shape', 'x');
INSERT INTO source VALUES('book', '41');
INSERT INTO document VALUES('kpi', '/', '', '{}');
"""


def crc32(*values: Any) -> int:
    """The checksum of former formats, as a function of SQL."""
    return zlib.crc32(values[0])


async def former(path: Path, format: int) -> list[tuple[object, ...]]:
    """A file of an older format with five events, and the schema of today."""
    await write(path, 5)
    connection = apsw.Connection(str(path))
    schema = list(connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name"))
    connection.create_scalar_function("crc32", crc32)
    connection.execute(f"{FORMER} PRAGMA user_version={format}")
    connection.close()
    return schema


@pytest.mark.parametrize("format", [1, 2, 3])
async def test_a_file_of_an_older_format_becomes_what_a_new_one_is(path: Path, format: int) -> None:
    """An older file gets the schema of today and seals: its events and positions stay, and all that follows from them
    is made again, under another epoch."""
    schema = await former(path, format)
    connection = open_file(path)
    assert connection.pragma("user_version") == FORMAT
    assert list(connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name")) == schema
    assert [meta(connection, key) for key in ("seq", "offset", "shape")] == [0, 0, None]
    assert meta(connection, "epoch") != "aaaaaaaa"
    connection.close()
    assert check(path) == StorageReport(5, 0)
    assert [len(group.bodies) for group in stored_groups(path)] == [5]
    reader = LogReader(path)
    assert reader.source_position("book") == "41"
    reader.close()


async def test_damage_in_an_older_file_is_not_sealed(path: Path) -> None:
    """An event that has been changed before its format was brought up is named, and the file stays as it is."""
    await former(path, 3)
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE log SET body = replace(body, 'e3', 'f3') WHERE seq = 4")
    connection.close()
    refused(path, codes.STORAGE_CORRUPT, "log 4 ")
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == 3
    connection.close()


async def test_a_backup_keeps_the_archive(path: Path) -> None:
    """What is kept for ever survives the loss of the disk: it is in the backup and in what is restored from it."""
    async with opened(path) as storage, folding(storage, archiver.engine()):
        await storage.log.append([archiver.number(f"n{key}", key, 1) for key in "abc"])
        await wait_folded(storage, 3)
    copy = path.with_name("backup.db")
    backup(path, copy)
    restore(copy, path, replace=True)
    connection = open_file(path)
    assert [each.key for each in read_archive(connection)] == ["a", "b", "c"]
    connection.close()


async def test_a_flipped_byte_in_the_archive_is_named(path: Path) -> None:
    """A figure of years ago that the disk has changed is not handed out as true."""
    async with opened(path) as storage, folding(storage, archiver.engine()):
        await storage.log.append([archiver.number("n", "2026-03-01", 4711)])
        await wait_folded(storage, 1)
    connection = apsw.Connection(str(path))
    connection.execute("""UPDATE archive SET body = CAST('{"value":4712}' AS BLOB)""")
    connection.close()
    with pytest.raises(StorageError, match="archive kpi / 2026-03-01 1"):
        check(path)
    async with opened(path) as storage:
        with pytest.raises(StorageError, match=r"archive kpi / 2026-03-01 1 is damaged: .*--repair") as met:
            await storage.feed.archived("kpi", "/", limit=10)
    assert met.value.code is codes.STORAGE_CORRUPT


async def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that breaks off is rolled back, and the old version can still open the file."""
    await write(path, 5)

    def broken(connection: apsw.Connection) -> None:
        connection.execute("CREATE TABLE added(x)")
        connection.execute("INSERT INTO missing VALUES(1)")

    with monkeypatch.context() as newer:
        newer.setattr(log_file, "FORMAT", FORMAT + 1)
        newer.setattr(log_file, "MIGRATIONS", {FORMAT: broken})
        refused(path, codes.STORAGE_FAILED, "missing")
    connection = open_file(path)
    assert connection.pragma("user_version") == FORMAT
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'added'").get == 0
    connection.close()


async def test_a_format_without_a_way_up_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file too old to migrate is said to be."""
    await write(path, 1)
    monkeypatch.setattr(log_file, "FORMAT", FORMAT + 1)
    refused(path, codes.STORAGE_FORMAT, "too old")


async def test_the_epoch_stays_when_the_file_is_opened_again(path: Path) -> None:
    """Clients resume over a restart, even one that moved the data folder."""
    await write(path)
    first = epoch(path)
    await write(path, 1)
    assert epoch(path) == first
    moved = path.with_name("moved.db")
    path.rename(moved)
    assert epoch(moved) == first


async def test_the_epoch_changes_when_a_copy_is_put_in_place(path: Path) -> None:
    """After somebody put an older copy there, positions of before are known to be of another feed."""
    await write(path, 5)
    first = epoch(path)
    copy = path.with_name("copy.db")
    shutil.copyfile(path, copy)
    await write(path, 6)
    copy.replace(path)
    second = epoch(path)
    assert second != first
    assert epoch(path) == second


async def test_the_epoch_changes_when_a_backup_is_copied_over_the_file(path: Path) -> None:
    """`cp backup flows.db` keeps the old file's inode; a backup is known as one all the same."""
    await write(path, 5)
    first = epoch(path)
    copy = path.with_name("backup.db")
    backup(path, copy)
    await write(path, 6)
    shutil.copyfile(copy, path)
    second = epoch(path)
    assert second != first
    assert epoch(path) == second


async def test_a_backup_ends_however_often_the_server_commits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy is one snapshot: commits between its steps neither begin it anew nor get into it."""
    monkeypatch.setattr(maintenance, "BACKUP_PAGES", 2)
    await write(path, 500)
    server = connect(path)
    pages = server.pragma("page_count")
    steps: list[tuple[int, int]] = []

    def commit(done: int, of: int) -> None:
        steps.append((done, of))
        assert len(steps) <= of, "the copy begins anew with each commit"
        server.execute("REPLACE INTO source VALUES('late', 0, ?)", (str(done),))

    copy = path.with_name("backup.db")
    backup(path, copy, commit)
    assert len(steps) > 10
    assert steps == [(min(2 * number, of), of) for number, (_, of) in enumerate(steps, 1)]
    assert {of for _, of in steps} == {pages}
    assert check(copy).events == 500
    assert connect(copy).execute("SELECT count(*) FROM source WHERE name = 'late'").get == 0
    server.close()
    assert sorted(each.name for each in path.parent.iterdir()) == ["backup.db", "flows.db"]


@pytest.mark.parametrize("fails", [OSError(errno.EXDEV, "another disk"), AttributeError("copy_file_range")])
async def test_a_backup_to_another_disk(path: Path, monkeypatch: pytest.MonkeyPatch, fails: Exception) -> None:
    """Where the kernel does not copy between two file systems, or has no such call, the backup is the same."""

    def copy_file_range(*_: object) -> int:
        raise fails

    await write(path, 500)
    monkeypatch.setattr(os, "copy_file_range", copy_file_range)
    backup(path, path.with_name("backup.db"))
    assert check(path.with_name("backup.db")).events == 500


@pytest.mark.parametrize("reads", ["what was there before", "nothing"])
async def test_a_backup_beside_a_reader(path: Path, monkeypatch: pytest.MonkeyPatch, reads: str) -> None:
    """Somebody who reads the file as it was keeps the write-ahead log out of it; the copy is whole all the same, and is
    then made page by page."""
    monkeypatch.setattr(maintenance, "SETTLE_TIMES", 2)
    monkeypatch.setattr(maintenance, "BACKUP_PAGES", 3)
    ways: list[str] = []

    def noted(way: str, copy: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: object) -> None:
            ways.append(way)
            copy(*arguments)

        return run

    for way in ("_copy_pages", "_copy_file"):
        monkeypatch.setattr(maintenance, way, noted(way, getattr(maintenance, way)))
    await write(path, 300)
    reader, server = connect(path), connect(path)
    if reads != "nothing":
        reader.execute("BEGIN; SELECT 1 FROM log")
    server.execute("REPLACE INTO source VALUES(?, ?, ?)", sealed_source("book", "before"))
    commits = 0

    def commit(done: int, of: int) -> None:
        nonlocal commits
        commits += 1
        server.execute("REPLACE INTO source VALUES(?, ?, ?)", sealed_source(f"late {commits}", "x" * 4000))
        server.wal_checkpoint()

    copy = path.with_name("backup.db")
    backup(path, copy, commit)
    assert ways == ["_copy_file" if reads == "nothing" else "_copy_pages"]
    assert commits > 5
    assert check(copy).events == 300
    copied = connect(copy)
    assert list(copied.execute("SELECT name, position FROM source")) == [("book", "before")]
    for connection in (copied, reader, server):
        connection.close()


async def test_a_backup_while_the_server_takes_its_write_ahead_log_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cannot do that at once; the backup tries again, and is none the worse for it."""
    await write(path, 50)
    times = 0

    class Busy(apsw.Connection):
        """The server is at it the first three times."""

        def wal_checkpoint(self, *arguments: Any, **more: Any) -> tuple[int, int]:
            nonlocal times
            times += 1
            if times <= 3:
                raise apsw.BusyError("database is locked")
            return super().wal_checkpoint(*arguments, **more)

    with monkeypatch.context() as during:
        during.setattr(maintenance, "connect", lambda path: Busy(str(path)))
        backup(path, path.with_name("backup.db"))
    assert times > 3
    assert check(path.with_name("backup.db")).events == 50


async def test_a_damaged_file_is_no_backup(path: Path) -> None:
    """Whoever makes a backup hears at once that it could not be started from."""
    await write(path, 300)
    connection = connect(path)
    connection.execute("UPDATE log SET body = zeroblob(20) WHERE seq = 290")
    connection.close()
    with pytest.raises(StorageError, match="log 290 is damaged"):
        backup(path, path.with_name("backup.db"))
    assert [each.name for each in path.parent.iterdir()] == ["flows.db"]


async def test_a_backup_under_load_is_the_source_as_of_one_event(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While events come and are folded, the copy is what the log gives up to one event: feed, documents, state."""
    monkeypatch.setattr(maintenance, "BACKUP_PAGES", 1)
    copy = path.with_name("backup.db")
    async with opened(path) as storage, folding(storage, archiver.engine()):
        loop = asyncio.get_running_loop()
        number = 0

        async def say() -> None:
            nonlocal number
            for _ in range(20):
                number += 1
                await storage.log.append([archiver.number(f"n{number}", f"k{number % 7}", number)])

        for _ in range(10):
            await say()
        copied = asyncio.Event()
        begun = number
        told = lambda done, of: asyncio.run_coroutine_threadsafe(say(), loop).result(20)  # noqa: E731
        task = asyncio.create_task(asyncio.to_thread(backup, path, copy, told))
        task.add_done_callback(lambda _: copied.set())
        await copied.wait()
        await task
        await wait_folded(storage, number)
    assert number > begun + 100
    connection = open_file(copy)
    report = check_replay(connection, archiver.engine())
    assert begun - 20 <= report.events <= begun
    taken = [body for group in stored_groups(copy) for body in group.bodies]
    assert [body for group in stored_groups(path) for body in group.bodies][: len(taken)] == taken
    connection.close()


def mirrored(path: Path, number: int) -> apsw.Connection:
    """A source's mirror beside the log, with the number of the last fact that it has told."""
    connection = apsw.Connection(str(path.with_name("mirror-book1.db")))
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE told(number)")
    connection.execute("INSERT INTO told VALUES(?)", (number,))
    return connection


def told_by(path: Path) -> int:
    """What a mirror says."""
    connection = apsw.Connection(str(path))
    try:
        return int(connection.execute("SELECT number FROM told").get)
    finally:
        connection.close()


async def test_a_backup_has_the_mirrors_of_the_same_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a source keeps beside the log is copied with it, and neither is ahead of the other, whatever is committed
    between the first and the last reading; a restore puts both back and keeps aside what was there."""
    await write(path, 5)
    mirror, server = mirrored(path, 5), connect(path)
    server.execute("REPLACE INTO source VALUES(?, ?, ?)", sealed_source("book1", "5"))
    commits = 0

    class Busy(apsw.Connection):
        """Until the log may not be written, both are; between the first two readings the mirror is."""

        def execute(self, statements: str, *arguments: Any, **more: Any) -> Any:
            nonlocal commits
            if statements == "BEGIN IMMEDIATE" and commits < 2:
                commits += 1
                if commits == 1:
                    mirror.execute("UPDATE told SET number = number + 1")
                server.execute("REPLACE INTO source VALUES(?, ?, ?)", sealed_source("book1", str(5 + commits)))
            found = super().execute(statements, *arguments, **more)
            if statements.startswith("BEGIN;") and self.filename.endswith("flows.db") and commits == 1:
                mirror.execute("UPDATE told SET number = number + 1")
            return found

    def busy(path: Path) -> apsw.Connection:
        return Busy(str(path))

    with monkeypatch.context() as during:
        during.setattr(maintenance, "connect", busy)
        backup(path, path.with_name("backup.db"))
    assert commits == 2
    mirror.execute("UPDATE told SET number = 99")
    mirror.close()
    server.close()
    copy = path.with_name("backup.db")
    reader = LogReader(copy)
    assert reader.source_position("book1") == "7"
    reader.close()
    assert told_by(path.with_name("backup.db.mirror-book1.db")) == 7
    restore(copy, path, replace=True)
    assert told_by(path.with_name("mirror-book1.db")) == 7
    assert told_by(path.with_name("mirror-book1.db.replaced")) == 99


async def test_a_backup_has_the_servers_own_rows(path: Path) -> None:
    """Who may sign in is in the backup and in what is restored from it, and nobody else can read it there either."""
    await write(path, 5)
    place = path.with_name("store.db")

    def store(path: Path) -> SqliteStore:
        return SqliteStore(path, asyncio.get_running_loop(), now_ms=lambda: 0)

    with contextlib.closing(store(place)) as rows:
        await rows.write(Put("user/ann", b"1"))
        backup(path, path.with_name("backup.db"))
        await rows.write(Put("user/ann", b"2"), Put("user/ben", b""))
    copy = path.with_name("backup.db.store.db")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    restore(path.with_name("backup.db"), path, replace=True)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    with contextlib.closing(store(place)) as rows:
        assert [(item.key, item.value) for item in await rows.list("", limit=9)] == [("user/ann", b"1")]
    with contextlib.closing(store(path.with_name("store.db.replaced"))) as rows:
        assert len(await rows.list("", limit=9)) == 2


async def test_a_backup_that_fails_leaves_nothing(path: Path) -> None:
    """What could not be copied whole is not left lying about under the name of a backup."""
    await write(path)

    def fail(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(path, path.with_name("backup.db"), fail)
    assert [each.name for each in path.parent.iterdir()] == ["flows.db"]


async def test_a_restored_backup_has_another_epoch_and_the_events(path: Path) -> None:
    """`fire22 restore` puts the backup in place and keeps what was there."""
    await write(path, 5)
    first = epoch(path)
    copy = path.with_name("backup.db")
    backup(path, copy)
    await write(path, 6)
    second = restore(copy, path, replace=True)
    assert second != first
    assert epoch(path) == second
    assert check(path).events == 5
    assert check(path.with_name("flows.db.replaced")).events == 6


async def test_a_check_beside_a_server(path: Path) -> None:
    """While events come and are folded the whole file is read as of one moment, again and again: nothing is missing in
    it, nothing is written, and damage is named."""
    async with opened(path) as storage, folding(storage, archiver.engine()):
        done = asyncio.Event()

        async def say() -> int:
            number = 0
            while not done.is_set():
                number += 1
                await storage.log.append([archiver.number(f"n{number}", f"k{number % 7}", number)])
            return number

        saying = asyncio.create_task(say())
        seen = [0]
        while len(seen) < 6:
            before = storage.log.last_seq
            report = await asyncio.to_thread(check_beside, path)
            assert before <= report.events <= storage.log.last_seq
            if report.events > seen[-1]:
                seen.append(report.events)
        done.set()
        await wait_folded(storage, await saying)
        await storage.writer.submit(
            lambda connection: connection.execute("UPDATE log SET body = zeroblob(20) WHERE seq = 2") and None
        )
        with pytest.raises(StorageError, match="log 2 is damaged"):
            check_beside(path)


async def test_a_damaged_backup_is_not_restored(path: Path) -> None:
    """The running file stays as it is when the backup turns out to be damaged."""
    await write(path, 5)
    copy = path.with_name("backup.db")
    backup(path, copy)
    copy.write_bytes(copy.read_bytes()[:5000])
    before = path.read_bytes()
    with pytest.raises(StorageError) as refusal:
        restore(copy, path, replace=True)
    assert refusal.value.code is codes.STORAGE_CORRUPT
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["backup.db", "flows.db"]


async def test_a_full_disk_refuses_and_recovers(path: Path) -> None:
    """While the disk is full callers are told so and nothing is half accepted; with room made, all goes on."""
    async with opened(path) as storage:
        await storage.log.append([encoded("a")], SourcePosition("book", "1"))
        pages = await storage.writer.submit(lambda connection: connection.pragma("page_count"))
        await storage.writer.submit(lambda connection: connection.pragma("max_page_count", pages))
        large = [encoded(f"large {number}", data="x" * 3000) for number in range(50)]
        outcomes = await storage.append_together([[encoded("b")], large, [encoded("c")]])
        for outcome in outcomes:
            assert isinstance(outcome, StorageError)
            assert outcome.code is codes.STORAGE_FULL
            assert outcome.temporary
        with pytest.raises(StorageError):
            await storage.log.append(large, SourcePosition("book", "2"))
        assert storage.log.last_seq == 1
        assert storage.log.pending == 0
        assert await storage.log.source_position("book") == "1"
        await storage.writer.submit(lambda connection: connection.pragma("max_page_count", 1 << 30))
        answers = await storage.log.append([encoded("b"), *large], SourcePosition("book", "2"))
        assert answers[0] == Appended("b", 2, False)
        assert storage.log.last_seq == 52
        assert await storage.log.source_position("book") == "2"
    assert [len(group.bodies) for group in stored_groups(path)] == [1, 51]


async def test_a_refusal_on_a_full_disk_leaves_the_numbers_alone(path: Path) -> None:
    """A group of which one call conflicts and another finds no room gives its numbers back."""
    async with opened(path) as storage:
        await storage.log.append([encoded("a", data=1)])
        pages = await storage.writer.submit(lambda connection: connection.pragma("page_count"))
        await storage.writer.submit(lambda connection: connection.pragma("max_page_count", pages))
        large = [encoded(f"large {number}", data="x" * 3000) for number in range(50)]
        outcomes = await storage.append_together([[encoded("b")], [encoded("a", data=2)], large])
        assert all(isinstance(outcome, StorageError | RequestError) for outcome in outcomes)
        await storage.writer.submit(lambda connection: connection.pragma("max_page_count", 1 << 30))
        assert await storage.log.append([encoded("c")]) == [Appended("c", 2, False)]


async def test_an_append_after_the_end_is_refused(path: Path) -> None:
    """Whoever appends to a log that has been closed is told to come back, and does not wait for ever."""
    async with opened(path) as storage:
        pass
    with pytest.raises(StorageError) as refusal:
        await storage.log.append([encoded("a")])
    assert refusal.value.code is codes.RESTARTING


async def test_what_is_queued_at_the_end_is_still_written(path: Path) -> None:
    """An orderly end does what was accepted before it."""
    async with opened(path) as storage:
        waiting = storage.log.append([encoded("a")])
    assert await waiting == [Appended("a", 1, False)]
    assert await rows_of(path, "log") == 1


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """A second server on the same data folder is told so, and may start once the first has ended."""
    folder = tmp_path / "data"
    with locked(folder):
        with pytest.raises(StorageError) as refusal, locked(folder):
            raise AssertionError("two servers on one folder")
        assert refusal.value.code is codes.STORAGE_IN_USE
        assert not refusal.value.temporary
    with locked(folder):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A data folder below a file cannot be; the message says which."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as refusal, locked(tmp_path / "file" / "data"):
        raise AssertionError("a folder below a file")
    assert refusal.value.code is codes.STORAGE_FAILED
    assert "data" in refusal.value.message

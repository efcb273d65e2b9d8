"""A book that is read by a process of its own: whatever ends it, or the server, nothing is lost or repeated."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import psutil  # type: ignore[import-untyped]
import pytest

from fire22.core import codes
from fire22.core.errors import BookError, Fire22Error, SetupError, StorageError
from fire22.log.base import Log
from fire22.sources import process, wire
from fire22.sources.kinds import BookAt
from fire22.sources.mirror.file import MirrorLock
from fire22.sources.opening import open_book
from fire22.sources.pipeline import Told
from fire22.sources.process import ProcessBook
from fire22.sources.sqlite.install import install
from tests.support.orders import QUICK, TABLES, WAIT_S, Orders, Running, reading
from tests.support.storage import opened


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BookAt:
    """A book of orders, with triggers; a reader that has died is replaced at once."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setattr(process, "AGAIN_S", 0.001)
    monkeypatch.setattr(process, "AGAIN_S_MAX", 0.001)
    path = tmp_path / "book.db"
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    for sql in TABLES:
        connection.execute(sql)
    connection.close()
    install(path, Orders.outbox)
    return BookAt("sqlite", str(path), "tests.support.orders:Orders")


def write(at: BookAt, *names: str) -> None:
    """Orders, in one transaction."""
    connection = apsw.Connection(at.address)
    connection.set_busy_timeout(5_000)
    with connection:
        for name in names:
            connection.execute("INSERT INTO orders(name) VALUES(?)", (name,))
    connection.close()


def pid(running: Running) -> int:
    """The reader's process."""
    assert isinstance(running.source, ProcessBook)
    return running.source.pid


async def gone(number: int) -> None:
    """Until a process has ended."""
    async with asyncio.timeout(WAIT_S):
        while psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(2))
async def test_the_process_may_be_killed_at_any_moment(at: BookAt, tmp_path: Path, seed: int) -> None:
    """Another one goes on where it was: each order is told once, in the order of the commits."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    names: list[str] = []
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage, apart=True) as running:
        for _ in range(8):
            some = [f"n{len(names) + each}" for each in range(rng.randint(1, 300))]
            names += some
            write(at, *some)
            await running.until(lambda: pid(running) != 0)
            killed = pid(running)
            if rng.random() < 0.5:  # in the midst of reading, or of its start
                await running.until(lambda seen=storage.log.last_seq: storage.log.last_seq > seen)  # type: ignore[misc]
            os.kill(killed, signal.SIGKILL)
            await running.until(lambda killed=killed: pid(running) not in (0, killed))  # type: ignore[misc]
        assert await running.told(len(names)) == [f"made {name}" for name in names]
        ids = [each.id for each in await running.events(len(names))]
        assert len(set(ids)) == len(names) == storage.log.last_seq
        assert "book_reader_ended" in running.failures


async def test_a_process_that_has_died_is_said(at: BookAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at the server's health sees it until another one reads."""
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage, apart=True) as running:
        await running.until(lambda: running.source.file is not None)
        monkeypatch.setattr(process, "AGAIN_S_MAX", 3_600.0)
        monkeypatch.setattr(process, "AGAIN_S", 3_600.0)
        os.kill(pid(running), signal.SIGKILL)
        await running.problem("book_reader_ended")
        assert (pid(running), running.source.file) == (0, None)


async def test_the_process_ends_with_the_source(at: BookAt, tmp_path: Path) -> None:
    """An orderly end closes the book: nothing of what was written lies in its write-ahead log alone."""
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(at, tmp_path, storage, apart=True) as running:
            write(at, "a")
            await running.events(1)
            number = pid(running)
        assert not psutil.pid_exists(number)
    assert not Path(at.address + "-wal").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_what_ends_the_server_does_not_end_the_reader_before_it(
    at: BookAt, tmp_path: Path, number: signal.Signals
) -> None:
    """A terminal or a service manager sends its signal to both: the server drains first, with a book that is read."""
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage, apart=True) as running:
        await running.until(lambda: running.source.file is not None)
        os.kill(pid(running), number)
        write(at, "a")
        assert await running.told(1) == ["made a"]
        assert running.failures == []


SERVER = """
import asyncio, sys
from pathlib import Path
from fire22.sources.kinds import BookAt
from tests.support.orders import Running
from tests.support.storage import opened
async def main():
    folder = Path(sys.argv[1])
    async with opened(folder / "flows.db") as storage:
        at = BookAt("sqlite", sys.argv[2], "tests.support.orders:Orders")
        running = Running(at, folder, storage, apart=True)
        await running.events(int(sys.argv[3]))
        print(running.source.pid, flush=True)
        await running.task
asyncio.run(main())
"""


async def test_a_killed_server_takes_its_reader_along(at: BookAt, tmp_path: Path) -> None:
    """`kill -9` of the server leaves no process that goes on reading; the next server goes on where it was."""
    write(at, "a")
    for count in (1, 2):
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SERVER, str(tmp_path), at.address, str(count)), stdout=asyncio.subprocess.PIPE
        )
        assert server.stdout is not None
        async with asyncio.timeout(WAIT_S):
            reader = int(await server.stdout.readline())
        server.kill()
        await server.wait()
        await gone(reader)
        write(at, f"b{count}")
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage, apart=True) as running:
        assert await running.told(3) == ["made a", "made b1", "made b2"]


@pytest.mark.parametrize("apart", [False, True])
async def test_two_readers_never_write_one_mirror(at: BookAt, tmp_path: Path, apart: bool) -> None:
    """Where the reader of a killed server still runs, the next one waits for it, and says so."""
    write(at, "a")
    async with opened(tmp_path / "flows.db") as storage:
        async with reading(at, tmp_path, storage) as running:
            await running.events(1)
        (mirror,) = tmp_path.glob("mirror-*.db")
        lock = MirrorLock(mirror)
        with pytest.raises(StorageError, match="Another process reads the book"):
            MirrorLock(mirror)
        async with reading(at, tmp_path, storage, apart=apart) as running:
            await running.problem("storage_in_use")
            write(at, "b")
            lock.release()
            assert await running.told(2) == ["made a", "made b"]
            await running.problem("")


async def test_what_trying_again_cannot_mend_ends_the_source(at: BookAt, tmp_path: Path) -> None:
    """A log that is older than what was trimmed: the error is the same as of a reader in a thread."""
    write(at, "a")
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage) as running:
        await running.events(1)
    for file in tmp_path.glob("flows.db*"):
        file.rename(file.with_name("other" + file.name))
    connection = apsw.Connection(at.address)
    connection.execute("UPDATE fire22_meta SET value = '7' WHERE key = 'trimmed_fact'")
    connection.close()
    async with opened(tmp_path / "otherflows.db") as storage:
        for each in tmp_path.glob("mirror-*"):
            each.unlink()
        running = Running(at, tmp_path, storage, apart=True)
        with pytest.raises(BookError) as caught:
            await running.task
        assert (caught.value.code, running.source.file) == (codes.BOOK_GAP, None)


async def test_a_full_log_is_tried_again(at: BookAt, tmp_path: Path) -> None:
    """The reader learns why its events were not taken."""
    write(at, *"abcde")
    async with (
        opened(tmp_path / "flows.db", pending_max=4) as storage,
        reading(at, tmp_path, storage, apart=True) as running,
    ):
        await running.problem("overloaded")
        await running.until(lambda: "overloaded" in running.failures)
        assert storage.log.last_seq == 0


async def test_the_process_is_told_nothing_that_is_the_servers(
    at: BookAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lists processes sees the book's path; what the server has in its environment stays there."""
    monkeypatch.setenv("FIRE22_SECRET", "s3cret")
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage, apart=True) as running:
        await running.until(lambda: running.source.file is not None)
        child = psutil.Process(pid(running))
        assert child.cmdline()[1:] == ["-P", "-m", "fire22.sources.child", Path(at.address).name]
        assert not [name for name in child.environ() if name.startswith("FIRE22_")]


async def test_let_go_is_awaited(at: BookAt, tmp_path: Path) -> None:
    """No book is opened before whoever has another one of its name open has closed it, off the server's loop."""
    said: list[str] = []

    def let_go() -> None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            said.append("in the loop")
        said.append("closed" if source.file is None else "late")

    async with opened(tmp_path / "flows.db") as storage:
        source = make(at, tmp_path, storage.log, Told(let_go=let_go))
        task = asyncio.create_task(source.run())
        async with asyncio.timeout(WAIT_S):
            while source.file is None:
                await asyncio.sleep(0.001)
        assert said == ["closed"]
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def make(at: BookAt, folder: Path, log: Log, told: Told) -> ProcessBook:
    """A source that nobody runs yet."""
    made = open_book(at, log, told, folder=folder, pace=QUICK, apart=True, now_ms=lambda: 0)
    assert isinstance(made, ProcessBook)
    return made


@pytest.mark.parametrize(
    "error",
    [
        BookError(codes.BOOK_GAP, "gone"),
        StorageError(codes.STORAGE_FAILED, "full", temporary=False),
        SetupError(codes.CONFIG_INVALID, "wrong", details={"key": "a", "count": 2}),
    ],
)
def test_an_error_arrives_as_it_was(error: Fire22Error) -> None:
    """Its class, code and text, whether it may pass, and its details."""
    sent = wire.to_server(wire.frame(wire.Failed(wire.Failure.of(error)))[wire.LENGTH_BYTES :])
    assert isinstance(sent, wire.Failed)
    came = sent.failure.error()

    def parts(one: Fire22Error) -> tuple[object, ...]:
        return type(one), one.code, one.message, one.temporary, one.details

    assert parts(came) == parts(error)


MESSAGES: list[tuple[wire.ToReader | wire.ToServer, Callable[[bytes], object]]] = [
    (wire.Begin(BookAt("sqlite", "b", "m:f", ("x",)), "folder", QUICK), wire.to_reader),
    (wire.Answer(None, 7), wire.to_reader),
    (wire.Stop(), wire.to_reader),
    (wire.Append([("a:1", b"{}")], "a", "1"), wire.to_server),
    (wire.Ended(None), wire.to_server),
]


@pytest.mark.parametrize(("message", "read"), MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_arrives_as_it_was(message: wire.ToReader | wire.ToServer, read: Callable[[bytes], object]) -> None:
    """A length, and what it says."""
    sent = wire.frame(message)
    assert wire.length(sent[: wire.LENGTH_BYTES]) == len(sent) - wire.LENGTH_BYTES
    assert read(sent[wire.LENGTH_BYTES :]) == message

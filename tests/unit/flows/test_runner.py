"""The runner: nothing is skipped, nothing is written twice, and what fails is tried again in order."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from fire22 import app
from fire22.core import codes
from fire22.core.errors import Fire22Error, StorageError
from fire22.core.event import encode_event
from fire22.feed.base import Batch, Rows
from fire22.flows.engine import Engine, Rejected
from fire22.flows.replay_check import check_replay
from fire22.flows.runner import BATCHES_MAX, Runner
from fire22.log.base import Appended, Group, SourcePosition
from tests.support.histories import OPEN_TOPICS, History
from tests.support.memory_feed import ListFeed
from tests.support.storage import Storage, encoded, opened, wait_folded


class FakeLog:
    """A log in memory."""

    def __init__(self) -> None:
        self.all: list[Group] = []
        self.last_seq = 0
        self._wakers: list[Callable[[], None]] = []

    def add(self, *bodies: bytes) -> None:
        """A group becomes durable."""
        self.all.append(Group(self.last_seq + 1, bodies))
        self.last_seq += len(bodies)
        for wake in self._wakers:
            wake()

    def append(self, events: object, position: SourcePosition | None = None) -> "asyncio.Future[list[Appended]]":
        """The runner never appends."""
        raise AssertionError("a runner appended to the log")

    async def groups(self, after: int, *, events_max: int = 5000) -> list[Group]:
        """The groups after `after`, at most three at once."""
        return [group for group in self.all if group.first > after][:3]

    async def source_position(self, source: str) -> str | None:
        """Nobody asks."""
        return None

    def on_group(self, wake: Callable[[], None]) -> None:
        """Remember whom to wake."""
        self._wakers.append(wake)


class FakeFeed(ListFeed):
    """A feed in memory that fails as told: each append takes the next of `failures`, None being success."""

    def __init__(self, *failures: Fire22Error | None) -> None:
        super().__init__()
        self.written: list[Batch] = []
        self.tried = 0
        self.held: asyncio.Event | None = None
        self._failures = deque(failures)
        self._grown = asyncio.Event()

    def append(self, batch: Batch, changed: tuple[Rows, ...] = ()) -> "asyncio.Future[None]":
        """Write, or fail."""
        return asyncio.ensure_future(self._append(batch, changed))

    async def _append(self, batch: Batch, changed: tuple[Rows, ...]) -> None:
        self.tried += 1
        if self.held is not None:
            await self.held.wait()
        failure = self._failures.popleft() if self._failures else None
        if failure is not None:
            raise failure
        self.write(batch, changed)
        self.written.append(batch)
        self._grown.set()

    async def wait_seq(self, seq: int) -> None:
        """Until the batch that ends at `seq` is written."""
        while not self.written or self.written[-1].seq < seq:
            self._grown.clear()
            await asyncio.wait_for(self._grown.wait(), 10)


class Sleeper:
    """Time that passes at once, and is counted."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Let everything else run."""
        self.slept.append(seconds)
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def started(runner: Runner) -> AsyncIterator["asyncio.Task[None]"]:
    """The runner at work."""
    task = asyncio.create_task(runner.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
            await task


def history(count: int, seed: int = 1) -> list[bytes]:
    """Events of a small book."""
    return [encode_event(event).body for event in History(seed).take(count)]


def undisturbed(log: FakeLog) -> list[Batch]:
    """What an engine that nothing happens to makes of the log."""
    engine = app.build_engine(OPEN_TOPICS)
    return [engine.fold_group(group).batch for group in log.all]


def full() -> StorageError:
    """What passes."""
    return StorageError(codes.STORAGE_FULL, "full")


async def test_groups_become_batches_in_order() -> None:
    """Whatever was in the log and whatever comes is folded by its groups, once, in order."""
    log, feed = FakeLog(), FakeFeed()
    events = history(120)
    log.add(*events[:40])
    log.add(*events[40:41])
    runner = Runner(log, feed, app.build_engine(OPEN_TOPICS))
    assert runner.behind == 41
    async with started(runner):
        await feed.wait_seq(41)
        for start in range(41, 120, 7):
            log.add(*events[start : start + 7])
        await feed.wait_seq(120)
    assert feed.written == undisturbed(log)
    assert runner.behind == 0


async def test_a_large_group_does_not_hold_the_loop() -> None:
    """While thousands of events are folded other tasks get their turn, and it is one batch all the same."""
    log, feed = FakeLog(), FakeFeed()
    log.add(*history(5000))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while not feed.written:
            turns += 1
            await asyncio.sleep(0)

    async with started(Runner(log, feed, app.build_engine(OPEN_TOPICS))):
        await others()
    assert turns > 10
    assert feed.written == undisturbed(log)


@pytest.mark.parametrize("failing", [0, 1, 3])
async def test_what_fails_for_a_time_is_tried_again_in_order(failing: int) -> None:
    """A disk that is full for a moment costs time and nothing else, though later batches were on their way."""
    log, sleeper = FakeLog(), Sleeper()
    failures = [None] * failing + [full(), full(), None, full()]
    feed = FakeFeed(*failures)
    told: list[Fire22Error] = []
    for body in history(60):
        log.add(body)
    async with started(Runner(log, feed, app.build_engine(OPEN_TOPICS), failed=told.append, sleep=sleeper)):
        await feed.wait_seq(60)
    assert feed.written == undisturbed(log)
    assert told and all(error.code is codes.STORAGE_FULL for error in told)
    assert len(sleeper.slept) == len(told)


async def test_a_silent_batch_that_fails_is_not_overtaken(tmp_path: Path) -> None:
    """A group that says nothing still changes state; the one behind it must not be written without it."""
    bodies = [encode_event(event) for event in History(1, noise=False).take(60)]
    async with opened(tmp_path / "flows.db") as storage:
        for body in bodies:
            await storage.log.append([body])
        engine = app.build_engine(OPEN_TOPICS)
        folded = [engine.fold_group(group) for group in await storage.log.groups(0)]
        batches = [each.batch for each in folded]
        silent = next(at for at, batch in enumerate(batches) if not batch.records and batches[at + 1].records)
        for each in folded[:silent]:
            await storage.feed.append(each.batch, each.rows)
        with pytest.raises(StorageError) as refused:
            await storage.feed.append(folded[silent + 1].batch, folded[silent + 1].rows)
        assert refused.value.code is codes.FEED_MOVED
        for each in folded[silent:]:
            await storage.feed.append(each.batch, each.rows)
        assert storage.feed.checkpoint.seq == 60


@pytest.mark.parametrize(
    "failure",
    [
        StorageError(codes.STORAGE_CORRUPT, "damaged"),
        StorageError(codes.FEED_MOVED, "another engine"),
        ValueError("a mistake"),
    ],
)
async def test_what_trying_again_cannot_mend_ends_the_runner(failure: Exception) -> None:
    """Damage, a second engine, or a mistake of ours is not retried in silence: the server ends loudly."""
    log, sleeper = FakeLog(), Sleeper()
    feed = FakeFeed(None, failure)  # type: ignore[arg-type]
    for body in history(10):
        log.add(body)
    with pytest.raises(BaseExceptionGroup) as ended:
        await asyncio.wait_for(Runner(log, feed, app.build_engine(OPEN_TOPICS), sleep=sleeper).run(), 10)
    assert ended.value.exceptions == (failure,)
    assert len(feed.written) == 1 or feed.written == undisturbed(log)[: len(feed.written)]
    assert sleeper.slept == []


async def test_folding_does_not_run_away_from_the_disk() -> None:
    """While the disk stands still only so many batches wait in memory."""
    log, feed = FakeLog(), FakeFeed()
    feed.held = asyncio.Event()
    for body in history(BATCHES_MAX * 3):
        log.add(body)
    engine = app.build_engine(OPEN_TOPICS)
    async with started(Runner(log, feed, engine)):
        for _ in range(200):
            await asyncio.sleep(0)
        assert engine.checkpoint.seq == BATCHES_MAX
        assert feed.tried <= BATCHES_MAX
        feed.held.set()
        await feed.wait_seq(BATCHES_MAX * 3)
    assert feed.written == undisturbed(log)


async def test_an_unusable_event_is_told_and_passed_over() -> None:
    """An operator hears of an event that no flow can use; the figures go on."""
    log, feed = FakeLog(), FakeFeed()
    told: list[Rejected] = []
    log.add(encoded("bad", type="wager.placed", data={"wagerId": 1}).body, *history(50))
    async with started(Runner(log, feed, app.build_engine(OPEN_TOPICS), rejected=told.append)):
        await feed.wait_seq(51)
    assert [(each.seq, each.id, each.code) for each in told if each.id == "bad"] == [(1, "bad", codes.EVENT_INVALID)]
    assert feed.written[0].records


async def make_room(storage: Storage) -> None:
    """Free the disk; asked again where the request shared a transaction with what found no room."""
    while True:
        with contextlib.suppress(StorageError):
            await storage.writer.submit(lambda connection: connection.pragma("max_page_count", 1 << 30))
            return


async def test_a_full_disk_stops_the_feed_until_there_is_room(tmp_path: Path) -> None:
    """On a real file: while the disk is full the feed waits, then goes on to what an undisturbed run gives."""
    sleeper = Sleeper()
    told: list[Fire22Error] = []
    bodies = [encode_event(event) for event in History(3).take(400)]
    async with opened(tmp_path / "flows.db") as storage:
        for start in range(0, 400, 5):
            await storage.log.append(bodies[start : start + 5])
        pages = await storage.writer.submit(lambda connection: connection.pragma("page_count"))
        await storage.writer.submit(lambda connection: connection.pragma("max_page_count", int(str(pages)) + 8))
        failed = asyncio.Event()

        def fail(error: Fire22Error) -> None:
            told.append(error)
            if len(told) == 3:
                failed.set()

        runner = Runner(
            storage.log, storage.feed, storage.load(app.build_engine(OPEN_TOPICS)), failed=fail, sleep=sleeper
        )
        async with started(runner):
            await asyncio.wait_for(failed.wait(), 10)
            assert storage.feed.checkpoint.seq < 400
            await make_room(storage)
            await wait_folded(storage, 400)
        assert {error.code for error in told} == {codes.STORAGE_FULL}
        report = await storage.writer.submit(lambda connection: check_replay(connection, app.build_engine(OPEN_TOPICS)))
        assert report.events == 400


async def test_a_restarted_engine_goes_on_where_it_was(tmp_path: Path) -> None:
    """After a restart nothing is folded twice and nothing is left out."""
    bodies = [encode_event(event) for event in History(5).take(300)]
    for upto in (100, 200, 300):
        async with opened(tmp_path / "flows.db") as storage:
            engine = storage.load(app.build_engine(OPEN_TOPICS))
            assert engine.checkpoint.seq == upto - 100
            async with started(Runner(storage.log, storage.feed, engine)):
                for start in range(upto - 100, upto, 4):
                    await storage.log.append(bodies[start : start + 4])
                await wait_folded(storage, upto)
            report = await storage.writer.submit(
                lambda connection: check_replay(connection, app.build_engine(OPEN_TOPICS))
            )
            assert report.events == upto


def test_settings_reach_the_engine_as_bytes() -> None:
    """The engine reads the configuration as it stands in the log, key order and all."""
    engine: Engine = app.build_engine(OPEN_TOPICS)
    data = {"flows": {"relay": {"version": 1, "settings": {"open_topics": ["bench"]}}}}
    engine.fold(encoded("c", type="system.configured", data=data).body)
    assert engine.configuration == msgspec.json.encode(data)

"""Power loss: whatever was acknowledged is there afterwards, and the flows go on as if nothing had been.

The power fails at a random write, sync or truncation; then each file is what it was at its last sync, with or without
a random part, torn at sectors, of what was written since (`tests/support/power.py`). A seed gives the history, the
place of the loss and what survives it; how the threads take turns is the machine's own.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import msgspec
import pytest

from fire22 import app
from fire22.core.errors import Fire22Error, StorageError
from fire22.core.event import EncodedEvent, encode_event
from fire22.feed.base import Checkpoint
from fire22.feed.rows import read_checkpoint
from fire22.flows.replay_check import check_replay
from fire22.flows.runner import Runner
from fire22.log.base import Appended, SourcePosition
from fire22.log.file import open_file
from fire22.log.maintenance import check
from tests.support.histories import OPEN_TOPICS, History
from tests.support.power import PowerLoss
from tests.support.storage import Storage, encoded, opened, read_feed, stored_groups, wait_folded

# Closing, SQLite tidies up and ignores what fails; the binding can only print it.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*the power is off:pytest.PytestUnraisableExceptionWarning")

EVENTS = 160


@pytest.fixture
def power() -> Iterator[PowerLoss]:
    """The file layer of one test."""
    layer = PowerLoss()
    yield layer
    layer.unregister()


class Source:
    """Sends its events in calls of a few, some at once, and after a crash goes on from its position in the log.

    The position is stored with each call.
    """

    def __init__(self, events: list[EncodedEvent], random: Random) -> None:
        self.events = events
        self.acknowledged = 0
        self._random = random

    async def send(self, storage: Storage) -> None:
        """Send until all are acknowledged or the power fails."""
        stored = int(await storage.log.source_position("book") or 0)
        assert stored >= self.acknowledged, "an acknowledged position is gone"
        self.acknowledged = stored
        while self.acknowledged < len(self.events):
            calls = []
            start = self.acknowledged
            for _ in range(self._random.randint(1, 4)):
                end = min(len(self.events), start + self._random.randint(1, 6))
                if end > start:
                    calls.append((start, end))
                    start = end
            futures = [
                storage.log.append(self.events[first:last], SourcePosition("book", str(last))) for first, last in calls
            ]
            answers = await asyncio.gather(*futures, return_exceptions=True)
            for (first, last), answer in zip(calls, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                assert [each.seq for each in answer] == list(range(first + 1, last + 1))
                self.acknowledged = last


class Once:
    """Completes a future at the first failure."""

    def __init__(self, future: "asyncio.Future[Fire22Error]") -> None:
        self._future = future

    def __call__(self, error: Fire22Error) -> None:
        """A failure that the runner would try again."""
        if not self._future.done():
            self._future.set_result(error)


async def live(path: Path, power: PowerLoss, source: Source, *, checkpoint_pages: int = 1000) -> Checkpoint:
    """One life of the server, up to the loss of power or the end of the events; what its clients have been shown."""
    shown = Checkpoint(0, 0, 0)
    storage: Storage | None = None
    folding: asyncio.Task[None] | None = None
    try:
        storage = Storage(path, vfs=power.name)
        storage.connection.pragma("wal_autocheckpoint", checkpoint_pages)
        storage.start()
        shown = storage.feed.checkpoint
        assert shown.seq <= storage.log.last_seq
        engine = storage.load(app.build_engine(OPEN_TOPICS))
        failed: asyncio.Future[Fire22Error] = asyncio.get_running_loop().create_future()
        folding = asyncio.create_task(Runner(storage.log, storage.feed, engine, failed=Once(failed)).run())
        await source.send(storage)
        folded = asyncio.ensure_future(wait_folded(storage, len(source.events)))
        ended: tuple[asyncio.Future[None], asyncio.Future[Fire22Error]] = (folded, failed)
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        folded.cancel()
    except (StorageError, apsw.Error):
        assert power.off, "storage failed though the power was on"
    finally:
        if folding is not None:
            folding.cancel()
            with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
                await folding
        if storage is not None:
            shown = storage.feed.checkpoint
            with contextlib.suppress(apsw.Error):
                storage.close()
    return shown


def look(path: Path, source: Source, shown: Checkpoint) -> None:
    """What a person finds on the disk after the loss."""
    if not path.exists():
        assert source.acknowledged == 0
        return
    found = check(path)  # the file opens, every page and every row is whole, no number is missing
    assert found.events >= source.acknowledged, "an acknowledged event is gone"
    groups = stored_groups(path)
    bodies = [body for group in groups for body in group.bodies]
    assert bodies == [event.body for event in source.events[: len(bodies)]]
    connection = open_file(path)
    checkpoint = read_checkpoint(connection)
    assert checkpoint.seq <= len(bodies), "the feed is ahead of the log"
    assert checkpoint.offset >= shown.offset, "a message that clients have seen is gone"
    position = connection.execute("SELECT position FROM source WHERE name = 'book'").get
    assert int(str(position or 0)) == len(bodies), "the source's position and its events disagree"
    check_replay(connection, app.build_engine(OPEN_TOPICS))
    connection.close()


@pytest.mark.parametrize("torn", [False, True], ids=["lost", "torn"])
@pytest.mark.parametrize("seed", range(25))
async def test_what_was_acknowledged_survives(tmp_path: Path, power: PowerLoss, seed: int, torn: bool) -> None:
    """After each of several losses of power the log is whole, and in the end the feed is that of an undisturbed run."""
    random = Random(f"{seed} {torn}")
    path = tmp_path / "flows.db"
    source = Source([encode_event(event) for event in History(seed).take(EVENTS)], random)
    losses = 0
    for _ in range(6):
        power.cut_after(random.randrange(12) if random.random() < 0.2 else random.randrange(400))
        # Small checkpoints, so that the power also fails in the middle of many of them.
        shown = await live(path, power, source, checkpoint_pages=random.choice((8, 40, 1000)))
        losses += power.off
        power.restore(tmp_path, random if torn else None)
        look(path, source, shown)
    print(f"seed {seed}: {losses} losses, {source.acknowledged} of {EVENTS} acknowledged")
    await live(path, power, source)
    assert source.acknowledged == EVENTS
    look(path, source, Checkpoint(0, 0, 0))
    async with opened(tmp_path / "undisturbed.db") as storage:
        engine = app.build_engine(OPEN_TOPICS)
        for group in stored_groups(path):
            folded = engine.fold_group(group)
            await storage.feed.append(folded.batch, folded.rows)
    assert read_feed(path) == read_feed(tmp_path / "undisturbed.db")


@pytest.mark.parametrize("seed", range(30))
async def test_a_call_survives_whole_or_not_at_all(tmp_path: Path, power: PowerLoss, seed: int) -> None:
    """A call of many events that the power interrupts is never half there."""
    random = Random(seed)
    path = tmp_path / "flows.db"
    calls = [
        [encoded(f"{call}.{place}", data="x" * random.randrange(3000)) for place in range(20)] for call in range(12)
    ]
    done: list[int] = []
    storage = Storage(path, vfs=power.name)
    storage.start()
    power.cut_after(random.randrange(500))
    for number, call in enumerate(calls):
        try:
            answer = await storage.log.append(call)
        except StorageError:
            assert power.off
            break
        assert answer[-1] == Appended(call[-1].id, (number + 1) * 20, False)
        done.append(number)
    with contextlib.suppress(apsw.Error):
        storage.close()
    power.restore(tmp_path, random)
    check(path)
    sizes = [len(group.bodies) for group in stored_groups(path)]
    assert len(sizes) >= len(done)
    assert sizes == [20] * len(sizes)


@pytest.mark.parametrize("writes", range(64))
def test_a_first_start_that_loses_power_can_be_repeated(tmp_path: Path, power: PowerLoss, writes: int) -> None:
    """Wherever the making of the file is interrupted, the next start makes or opens a whole one."""
    path = tmp_path / "flows.db"
    power.cut_after(writes)
    with contextlib.suppress(StorageError, apsw.Error):
        open_file(path, vfs=power.name).close()
    power.restore(tmp_path, Random(writes))
    open_file(path, vfs=power.name).close()
    assert check(path).events == 0


async def test_without_a_sync_everything_would_be_lost(tmp_path: Path, power: PowerLoss) -> None:
    """The file layer does lose what was not synced: with `synchronous=OFF` acknowledged events are gone."""
    path = tmp_path / "flows.db"
    storage = Storage(path, vfs=power.name)
    storage.connection.execute("PRAGMA synchronous=OFF")
    storage.start()
    await storage.log.append([encoded("a", data={"some": "thing"})])
    power.off = True
    with contextlib.suppress(apsw.Error):
        storage.close()
    power.restore(tmp_path, None)
    assert check(path).events == 0
    assert msgspec.json.decode(encoded("a").body)["id"] == "a"

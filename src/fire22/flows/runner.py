"""The runner: reads the log by commit groups, lets the engine fold them, appends what it says to the feed.

It folds in slices, so that a large group does not hold the loop, and folds on while earlier batches are on their way to
the disk. What cannot be written is tried again in order; nothing is skipped.

An event on which a flow raises is set aside (`faults.py`): the runner waits until the batches before it are on disk and
rebuilds the engine from there. A failure that belongs to no event ends the folding and nothing else: the engine goes
back to the last batch, and the next start tries again.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final

from fire22.core import codes
from fire22.core.errors import Fire22Error, StorageError
from fire22.feed.base import FeedWriter, StateRow
from fire22.flows.engine import Engine, Folded, Rejected
from fire22.flows.faults import FlowFailed, FoldStopped
from fire22.log.base import Group, Log
from fire22.observability.sample import Sample, lag

BATCHES_MAX: Final = 16  # folded and not yet on disk
SLICE_S: Final = 0.003
RETRY_S: Final = 0.5


class Runner:
    """Owns the engine while it runs.

    Args:
        rejected: told about each event that no flow could use.
        failed: told about each failure that is tried again.
        faulty: told about each event on which a flow raised, and about what has ended the folding.
        sleep: waits before a retry; seconds.

    Attributes:
        stopped: what has ended the folding; None while it goes on.
    """

    def __init__(
        self,
        log: Log,
        feed: FeedWriter,
        engine: Engine,
        *,
        rejected: Callable[[Rejected], None] = lambda _: None,
        failed: Callable[[Fire22Error], None] = lambda _: None,
        faulty: Callable[[FlowFailed | FoldStopped], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = log
        self._feed = feed
        self._engine = engine
        self._rejected = rejected
        self._failed = failed
        self._faulty = faulty
        self.stopped: FoldStopped | None = None
        self._sleep = sleep
        self._news = asyncio.Event()
        self._batches: deque[Folded] = deque()
        self._folded = asyncio.Event()
        self._room = asyncio.Event()
        log.on_group(self._news.set)

    @property
    def behind(self) -> int:
        """Durable events that are not folded yet."""
        return self._log.last_seq - self._engine.checkpoint.seq

    def samples(self) -> Iterator[Sample]:
        """What is measured of the flows, and of what they could not use."""
        yield lag(self.behind, "flows")
        yield lag(len(self._batches), "feed")
        yield from self._engine.letters.samples()

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            StorageError: one that trying again cannot mend.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fold_all(), name="fold")
            tasks.create_task(self._write_all(), name="write-feed")

    async def _fold_all(self) -> None:
        if self.stopped is not None:
            return
        try:
            while True:
                self._news.clear()
                groups = await self._log.groups(self._engine.checkpoint.seq)
                for group in groups:
                    await self._fold(group)
                if not groups:
                    await self._news.wait()
        except FoldStopped as stopped:
            await self._stop(stopped)

    async def _fold(self, group: Group) -> None:
        while len(self._batches) >= BATCHES_MAX:
            await self._some_written()
        engine = self._engine
        began = time.perf_counter()
        engine.begin(group)
        for index, body in enumerate(group.bodies):
            try:
                engine.fold(body)
            except FlowFailed as failed:
                await self._rebuild(failed)
            if index & 31 == 31 and time.perf_counter() - began > SLICE_S:
                await asyncio.sleep(0)
                began = time.perf_counter()
        self._batches.append(engine.flush())
        self._folded.set()
        for rejected in engine.rejected:
            self._rejected(rejected)
        engine.rejected.clear()

    async def _rebuild(self, failed: FlowFailed) -> None:
        """Set aside the event on which a flow raised. In a thread, so that everybody is served meanwhile."""
        self._faulty(failed)
        await asyncio.to_thread(self._engine.rebuild, await self._stored())

    async def _stop(self, stopped: FoldStopped) -> None:
        """Fold no more; what has been folded stays true."""
        # Where not even that goes, the documents are still what they were.
        with contextlib.suppress(FoldStopped):
            await asyncio.to_thread(self._engine.rewind, await self._stored())
        self.stop(stopped)

    def stop(self, stopped: FoldStopped) -> None:
        """Never fold, or no more."""
        self.stopped = stopped
        self._faulty(stopped)

    async def _stored(self) -> Iterable[StateRow]:
        while self._batches:
            await self._some_written()
        return await self._feed.state()

    async def _some_written(self) -> None:
        self._room.clear()
        await self._room.wait()

    async def _write_all(self) -> None:
        while True:
            while not self._batches:
                self._folded.clear()
                await self._folded.wait()
            batches = list(self._batches)
            outcomes = await asyncio.gather(
                *[self._feed.append(each.batch, each.rows) for each in batches], return_exceptions=True
            )
            for outcome in outcomes:
                if outcome is not None:
                    await self._retry_later(outcome)
                    break
                self._batches.popleft()
            self._room.set()

    async def _retry_later(self, error: BaseException) -> None:
        """A batch behind one that failed is refused as `feed_moved`; only the first failure counts."""
        if not isinstance(error, StorageError) or not error.temporary or error.code is codes.FEED_MOVED:
            raise error
        self._failed(error)
        await self._sleep(RETRY_S)

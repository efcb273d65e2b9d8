"""Runs the hub in the event loop: when to flush, when to send heartbeats, who catches up next.

After a quiet interval a message goes out at once; then messages gather for `flush_interval_ms`, and never less than
twice what the last flush took, or until `flush_bytes_max`. Work goes in slices, so nothing else waits long.
"""

import asyncio
from collections.abc import Callable, Iterator

from fire22.core.errors import Fire22Error
from fire22.core.topic import Topic
from fire22.feed.base import Batch, Feed
from fire22.hub.hub import BLOCK_RECORDS, Hub, Supply
from fire22.hub.lane import LaneKey, Subscriber

SLICE_S = 0.005
SNAPSHOT_RECORDS_MAX = 20_000  # how far back a snapshot of a rare lane looks in storage


class HubLoop:
    """Owns a hub's timing.

    Args:
        flush_interval_ms: how long messages gather while they keep coming.
        flush_bytes_max: payload bytes that end the gathering.
        heartbeat_s: a live connection gets a tick at least this often.
        failed: told about a read from storage that failed; the connection stays where it is and is tried again.
    """

    def __init__(
        self,
        hub: Hub,
        feed: Feed,
        *,
        flush_interval_ms: float,
        flush_bytes_max: int,
        heartbeat_s: float,
        failed: Callable[[Fire22Error], None] = lambda _: None,
    ) -> None:
        self.hub = hub
        self._feed = feed
        self._flush_interval_s = flush_interval_ms / 1000
        self._flush_bytes_max = flush_bytes_max
        self._heartbeat_s = heartbeat_s
        self._failed = failed
        self._news = asyncio.Event()
        self._now = asyncio.Event()  # do not gather any longer
        self._work = asyncio.Event()  # somebody may catch up
        self._writing = asyncio.Lock()
        self._changes: list[Callable[[], None]] = []
        self.flush_s = 0.0  # what the last flush took
        feed.on_batch(self._deliver)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_all(), name="flush")
            tasks.create_task(self._beat(), name="heartbeat")
            tasks.create_task(self._catch_up_all(), name="catch-up")

    def change(self, act: Callable[[], None]) -> None:
        """Do what changes a connection's lanes: now, or right after the flush that is under way; in order."""
        if self.hub.flushing:
            self._changes.append(act)
        else:
            act()
            self._work.set()

    def resumed(self) -> None:
        """A connection takes bytes again."""
        self._work.set()

    async def snapshot(self, topic: Topic, key: LaneKey, last: int) -> tuple[list[bytes], int]:
        """What a new subscription begins with, oldest first, and the offset as of which it is."""
        messages, need = self.hub.snapshot(topic, key, last)
        flushed = self.hub.flushed
        below = need.upto if need else 0
        looked = 0
        while below > 1 and len(messages) < last and looked < SNAPSHOT_RECORDS_MAX:
            records = await self._feed.read_back(topic.name, below, records_max=BLOCK_RECORDS)
            if not records:
                break
            for record in records:
                messages = self.hub.older(key, record, last - len(messages))[::-1] + messages
                below = record.offset
            looked += len(records)
        return messages, flushed

    def _deliver(self, batch: Batch) -> None:
        critical = self.hub.deliver(batch)
        self._news.set()
        if critical or self.hub.pending_bytes >= self._flush_bytes_max:
            self._now.set()

    async def _flush_all(self) -> None:
        loop = asyncio.get_running_loop()
        earliest = 0.0
        while True:
            await self._news.wait()
            wait = earliest - loop.time()
            if wait > 0:
                timer = loop.call_later(wait, self._now.set)
                await self._now.wait()
                timer.cancel()
            self._news.clear()
            self._now.clear()
            began = loop.time()
            async with self._writing:
                await _sliced(self.hub.flush())
            self.flush_s = loop.time() - began
            earliest = began + max(self._flush_interval_s, 2 * self.flush_s)
            changes, self._changes = self._changes, []
            for act in changes:
                act()
            self._work.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s / 2)
            async with self._writing:
                await _sliced(self.hub.heartbeat())

    async def _catch_up_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._work.clear()
            waiting = self.hub.catching
            if not waiting:
                await self._work.wait()
                continue
            began = loop.time()
            for subscriber in waiting:
                await self._catch_up(subscriber)
                if loop.time() - began > SLICE_S:
                    await asyncio.sleep(0)
                    began = loop.time()
            await asyncio.sleep(0)

    async def _catch_up(self, subscriber: Subscriber) -> None:
        need = self.hub.catch_up(subscriber)
        if need is None:
            return
        try:
            records = await self._feed.read(need.topic, need.after, need.upto, records_max=BLOCK_RECORDS)
        except Fire22Error as error:
            self._failed(error)
            await asyncio.sleep(1)
            return
        self.hub.catch_up(subscriber, Supply(need, records))


async def _sliced(work: Iterator[None]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in work:
        if loop.time() - began > SLICE_S:
            await asyncio.sleep(0)
            began = loop.time()

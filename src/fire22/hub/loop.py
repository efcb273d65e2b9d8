"""Runs the hub in the event loop: when to flush, when to send heartbeats, who catches up next, what is shed.

After a quiet interval a message goes out at once; then messages gather for `flush_interval_ms`, and never less than
twice what the last flush took, or until `flush_bytes_max`. Work goes in slices, so nothing else waits long.

Load is shed in an order, by how long flushes take: first they come less often, as above; from `shed_ms` on views are
written to once a second at most; from twice that lossy streams are cut to their newest message; from four times that
new connections are refused. What was taken up is let go when flushes take half as long as that step asks for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from fire22.core.codes import Code
from fire22.core.errors import Fire22Error
from fire22.core.message import Json, Message, encode_json
from fire22.core.position import Position
from fire22.core.times import to_text
from fire22.core.topic import Topic
from fire22.feed.base import Batch, Document, Feed, Record
from fire22.hub.base import LaneKey, Page, Pieces, Resumed, Subscriber
from fire22.hub.codec import Codec, Opening
from fire22.hub.delivery import Delivery
from fire22.hub.history import BLOCK_RECORDS, Need, Supply
from fire22.hub.history import Pieces as MemoryPieces
from fire22.hub.mask import Mask
from fire22.observability.sample import Sample, lag

SLICE_S = 0.003
REFUSING = 3  # the load with which no new connections are taken
REFUSING_S = 2.0  # how long after the flush that showed it


class HubLoop:
    """The hub as gateways use it (`base.Hub`): the delivery, and its timing.

    Args:
        flush_interval_ms: how long messages gather while they keep coming.
        flush_bytes_max: payload bytes that end the gathering.
        heartbeat_s: a live connection gets a tick at least this often.
        shed_ms: what a flush takes, from which on load is shed.
        failed: told about a read from storage that failed; the connection stays where it is and is tried again.
        opened: opens what is sealed in a message in JSON; None where nothing is.
    """

    def __init__(
        self,
        delivery: Delivery,
        feed: Feed,
        *,
        flush_interval_ms: float,
        flush_bytes_max: int,
        heartbeat_s: float,
        shed_ms: float = 250.0,
        failed: Callable[[Fire22Error], None] = lambda _: None,
        opened: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._delivery = delivery
        self._feed = feed
        self._flush_interval_s = flush_interval_ms / 1000
        self._flush_bytes_max = flush_bytes_max
        self._heartbeat_s = heartbeat_s
        self._shed_s = shed_ms / 1000
        self._failed = failed
        self._opened = opened
        self._codecs: dict[str, Codec] = {}  # that open, by name
        self._arrived = asyncio.Event()
        self._flush_now = asyncio.Event()  # do not gather any longer
        self._may_catch_up = asyncio.Event()  # somebody can read on
        self._writing = asyncio.Lock()
        self._deferred: list[Callable[[], None]] = []
        self._announced: list[bytes] = []
        self._flush_s = 0.0  # what the last flush took
        self._flushed_at_s = float("-inf")
        feed.on_batch(self._deliver)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_all(), name="flush")
            tasks.create_task(self._beat(), name="heartbeat")
            tasks.create_task(self._catch_up_all(), name="catch-up")

    def samples(self) -> Iterator[Sample]:
        """What is measured of the hub."""
        yield Sample("fire22_flush_seconds", "What the last flush took.", self._flush_s)
        yield lag(self._delivery.pending_bytes, "hub")
        yield from self._delivery.samples()

    def fail(self, code: Code, now_ms: int) -> None:
        """Tell everybody, now and with each tick, that the feed cannot go on."""
        self._delivery.problem = code.name
        data: dict[str, Json] = {"code": code.name, "message": code.meaning}
        self._announced.append(encode_json(Message("alert", to_text(now_ms), data, priority="critical")))
        self._arrived.set()
        self._flush_now.set()

    # What gateways call; see `base.Hub`.

    def codec(self, codec: Codec) -> Codec:
        """See Hub."""
        if self._opened is None:
            return codec
        return self._codecs.setdefault(codec.name, Opening(codec, self._opened))

    def opened(self, message: bytes) -> bytes:
        """See Hub."""
        return message if self._opened is None else self._opened(message)

    @property
    def flushed(self) -> int:
        """See Hub."""
        return self._delivery.flushed

    @property
    def flushing(self) -> bool:
        """See Hub."""
        return self._delivery.flushing

    @property
    def overloaded(self) -> bool:
        """See Hub. A flush long past does not count: perhaps there is none now."""
        since_s = asyncio.get_running_loop().time() - self._flushed_at_s
        return self._delivery.load >= REFUSING and since_s < REFUSING_S

    @property
    def problem(self) -> str:
        """See Hub."""
        return self._delivery.problem

    @property
    def feed(self) -> Feed:
        """See Hub."""
        return self._feed

    def position(self, offset: int) -> Position:
        """See Hub."""
        return self._delivery.position(offset)

    def knows_scope(self, scope: str) -> bool:
        """See Hub."""
        return self._delivery.knows_scope(scope)

    def complete_ms(self, topic: str, scope: str) -> int:
        """See Hub."""
        return self._delivery.complete_ms(topic, scope)

    def document(self, topic: str, scope: str, key: str) -> Document | None:
        """See Hub."""
        return self._delivery.document(topic, scope, key)

    def changed_at(self, topic: str, scope: str) -> int:
        """See Hub."""
        return self._delivery.changed_at(topic, scope)

    def freshness(self, subscriber: Subscriber) -> dict[str, Json]:
        """See Hub."""
        return self._delivery.freshness(subscriber)

    def snapshot(self, topic: Topic, key: LaneKey, last: int) -> Pieces[tuple[Page, int]]:
        """See Hub."""
        flushed = self._delivery.flushed
        return (yield from self._supplied(self._delivery.snapshot_page(topic, key, last))), flushed

    def history(self, key: LaneKey, before: int | None, limit: int) -> Pieces[Page]:
        """See Hub."""
        return (yield from self._supplied(self._delivery.history_page(key, before, limit)))

    def _supplied(self, pieces: MemoryPieces[Page]) -> Pieces[Page]:
        """A page that says how what it needs is read."""
        found: list[Record] | None = None
        while True:
            try:
                need = pieces.send(found)
            except StopIteration as end:
                page: Page = end.value
                return page
            found = yield None if need is None else self._read_back(need)

    def _read_back(self, need: Need) -> Callable[[], Awaitable[list[Record]]]:
        return lambda: self._feed.read_back(need.topic, need.upto, records_max=BLOCK_RECORDS)

    def enter(self, subscriber: Subscriber) -> None:
        """See Hub."""
        self._delivery.enter(subscriber)

    def identify(self, subscriber: Subscriber) -> None:
        """See Hub."""
        self._delivery.identify(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """See Hub."""
        self._delivery.leave(subscriber)

    def writable(self, subscriber: Subscriber) -> None:
        """See Hub."""
        if subscriber.cursors is not None:
            self._may_catch_up.set()

    def resume(self, topic: Topic, position: Position) -> Resumed:
        """See Hub."""
        return self._delivery.resume(topic, position)

    def follow(self, subscriber: Subscriber, key: LaneKey, cursor: int, *, resumed: bool = False) -> None:
        """See Hub."""
        self._delivery.follow(subscriber, key, cursor, resumed=resumed)
        if subscriber.cursors is not None:
            self._may_catch_up.set()

    def unfollow(self, subscriber: Subscriber, topic: str, scope: str) -> bool:
        """See Hub."""
        return self._delivery.unfollow(subscriber, topic, scope)

    def mask(self, subscriber: Subscriber, key: LaneKey, mask: Mask) -> None:
        """See Hub."""
        self._delivery.mask(subscriber, key, mask)
        if subscriber.cursors is not None:
            self._may_catch_up.set()

    def between_flushes(self, act: Callable[[], None]) -> None:
        """See Hub."""
        if self._delivery.flushing:
            self._deferred.append(act)
        else:
            act()
            self._may_catch_up.set()

    # Timing.

    def _deliver(self, batch: Batch) -> None:
        critical = self._delivery.deliver(batch)
        self._arrived.set()
        if critical or self._delivery.pending_bytes >= self._flush_bytes_max:
            self._flush_now.set()

    async def _flush_all(self) -> None:
        loop = asyncio.get_running_loop()
        earliest = 0.0
        while True:
            await self._wait_until_due()
            wait = earliest - loop.time()
            if wait > 0:
                timer = loop.call_later(wait, self._flush_now.set)
                await self._flush_now.wait()
                timer.cancel()
            self._arrived.clear()
            self._flush_now.clear()
            began = loop.time()
            async with self._writing:
                if self._delivery.urgent:
                    await _sliced(self._delivery.overtake())
                await self._sliced_flush(began)
                while self._announced:
                    await _sliced(self._delivery.announce(self._announced.pop(0)))
            self._flushed_at_s = loop.time()
            self._flush_s = self._flushed_at_s - began
            self._delivery.load = _load(self._delivery.load, self._flush_s / self._shed_s)
            earliest = began + max(self._flush_interval_s, 2 * self._flush_s)
            deferred, self._deferred = self._deferred, []
            for act in deferred:
                act()
            self._may_catch_up.set()

    async def _wait_until_due(self) -> None:
        """Until something has come, or something held back is due."""
        due_s = self._delivery.due_s()
        if due_s is None:
            await self._arrived.wait()
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_at(due_s, self._arrived.set)
        await self._arrived.wait()
        timer.cancel()

    async def _sliced_flush(self, now_s: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in self._delivery.flush(now_s):
            if loop.time() - began > SLICE_S:
                await asyncio.sleep(0)
                if self._delivery.urgent:
                    await _sliced(self._delivery.overtake())
                began = loop.time()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s / 2)
            async with self._writing:
                await _sliced(self._delivery.heartbeat())

    async def _catch_up_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._may_catch_up.clear()
            waiting = self._delivery.catching
            if not waiting:
                await self._may_catch_up.wait()
                continue
            began = loop.time()
            for subscriber in waiting:
                await self._catch_up(subscriber)
                if loop.time() - began > SLICE_S:
                    await asyncio.sleep(0)
                    began = loop.time()
            await asyncio.sleep(0)

    async def _catch_up(self, subscriber: Subscriber) -> None:
        need = self._delivery.catch_up(subscriber)
        if need is None:
            return
        try:
            records = await self._feed.read(need.topic, need.after, need.upto, records_max=BLOCK_RECORDS)
        except Fire22Error as error:
            self._failed(error)
            if error.temporary:
                await asyncio.sleep(1)
            else:  # it is no better the next time, and others wait
                subscriber.fail(error)
            return
        self._delivery.catch_up(subscriber, Supply(need, records))


async def _sliced(work: Iterator[None]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in work:
        if loop.time() - began > SLICE_S:
            await asyncio.sleep(0)
            began = loop.time()


def _load(load: int, pressure: float) -> int:
    """How far to shed load.

    Args:
        load: so far.
        pressure: what the last flush took, in units of `shed_ms`.
    """
    wanted = sum(pressure >= step for step in (1, 2, 4))
    if wanted >= load:
        return wanted
    return load - 1 if pressure < 2 ** (load - 1) / 2 else load

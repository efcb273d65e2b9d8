"""A feed whose storage is a list, and its recent part the real ring; and one for which an engine makes the batches."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.core.message import Json
from fire22.core.topic import DIRECT, Kind, Topic
from fire22.feed.base import (
    Archived,
    Batch,
    Checkpoint,
    Document,
    Record,
    Rows,
    StateRow,
    Stored,
    after_all,
    encode_entries,
)
from fire22.feed.ring import Ring
from fire22.flows.base import Flow, Handler
from fire22.flows.engine import Engine, Folded
from fire22.sources.clock import clock_event

EPOCH = "1f0c9a2b"
TOPICS = (
    Topic("wagers", Kind.STREAM, ("status", "amount")),
    Topic("activity", Kind.STREAM),
    Topic("kpi", Kind.VIEW, scopes=True, archived=True),
    Topic("desk", Kind.VIEW, ("total", "open")),
    Topic(DIRECT, Kind.STREAM, internal=True),
)


class _Topics(Flow):
    name = "test"
    version = 1

    def __init__(self) -> None:
        super().__init__()
        self.topics = TOPICS

    def handlers(self) -> dict[str, Handler]:
        return {}


class Kept(Struct):
    """What a feed has written: it is there when the feed is opened again."""

    epoch: str = EPOCH
    shape: str = ""
    checkpoint: Checkpoint = Checkpoint(0, 0, 0)
    lost: int = 0
    records: list[Record] = []
    state: dict[tuple[str, str], bytes] = {}
    documents: dict[tuple[str, str, str], Document] = {}
    archive: dict[tuple[str, str, str, int], Archived] = {}


class ListFeed:
    """See `feed/base.py` for the contract.

    Args:
        kept: what was written before.
    """

    def __init__(self, ring_bytes_max: int = 1 << 20, kept: Kept | None = None) -> None:
        self.kept = kept or Kept()
        self.reading: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)  # how long storage takes
        self._ring_bytes_max = ring_bytes_max
        self._ring = Ring(ring_bytes_max, self.kept.checkpoint.offset)
        self._listeners: list[Callable[[Batch], object]] = []

    @property
    def epoch(self) -> str:
        """Its identity."""
        return self.kept.epoch

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the feed stands."""
        return self.kept.checkpoint

    @property
    def lost(self) -> int:
        """Offset of the newest message that is gone."""
        return self.kept.lost

    @property
    def records(self) -> list[Record]:
        """All that are kept."""
        return self.kept.records

    def begin(self, shape: str) -> bool:
        """Forget what flows of another shape made."""
        forgets = self.kept.shape != shape and self.kept.checkpoint.seq > 0
        if forgets:
            self.kept = Kept(epoch=f"{int(self.kept.epoch, 16) + 1:08x}")
            self._ring = Ring(self._ring_bytes_max, 0)
        self.kept.shape = shape
        return forgets

    def load(self) -> Stored:
        """What an engine goes on from."""
        return Stored(self.checkpoint, self._rows(), self.documents())

    async def state(self) -> list[StateRow]:
        """The rows of the flows' state."""
        return self._rows()

    def append(self, batch: Batch, changed: tuple[Rows, ...] = ()) -> "asyncio.Future[None]":
        """Write a batch when the loop comes round to it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def write() -> None:
            try:
                self.write(batch, changed)
            except StorageError as error:
                if not future.cancelled():
                    future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(None)

        loop.call_soon(write)
        return future

    def write(self, batch: Batch, changed: tuple[Rows, ...] = ()) -> None:
        """Write a batch now."""
        kept = self.kept
        if (batch.expected_seq, batch.expected) != (kept.checkpoint.seq, kept.checkpoint.offset):
            raise StorageError(codes.FEED_MOVED, "The feed is elsewhere.")
        kept.checkpoint = batch.checkpoint
        for record in batch.records:
            kept.records.append(record)
            self._ring.append(record)
        for rows in changed:
            for key, value in rows.changed:
                if value is None:
                    kept.state.pop((rows.table, key), None)
                else:
                    kept.state[rows.table, key] = value
        for document in batch.documents:
            kept.documents[document.topic, document.scope, document.key] = document
        for each in batch.archived:
            kept.archive[each.topic, each.scope, each.key, each.revision] = each
        for deliver in self._listeners:
            deliver(batch)

    def trim(self, *, before_ms: int, bytes_max: int, records_max: int = 500) -> "asyncio.Future[int]":
        """Delete the oldest records that are too old or too much."""
        sizes = [len(encode_entries(record.entries)) for record in self.records]
        excess, count = sum(sizes) - bytes_max, 0
        for record, size in zip(self.records[:records_max], sizes, strict=False):
            if record.at_ms >= before_ms and excess <= 0:
                break
            excess -= size
            count += 1
        self.drop(count)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(count)
        return future

    def drop(self, count: int) -> None:
        """Retention takes the oldest records, and of removed documents all up to there but each topic's newest."""
        kept = self.kept
        if not 0 < count <= len(kept.records):
            return
        kept.lost = kept.records[count - 1].last
        del kept.records[:count]
        gone = [each for each in kept.documents.values() if each.body is None and each.offset <= kept.lost]
        newest = {each.topic: each.offset for each in sorted(gone, key=lambda each: each.offset)}
        for each in gone:
            if each.offset < newest[each.topic]:
                del kept.documents[each.topic, each.scope, each.key]

    def read_nowait(self, topic: str, after: int, upto: int, *, records_max: int) -> list[Record] | None:
        """From the ring, or None."""
        return self._ring.after(topic, after, upto, records_max)

    def stored(self, topic: str, after: int, upto: int, *, records_max: int) -> list[Record]:
        """From the list."""
        found = [each for each in self.records if each.topic == topic and each.last > after and each.offset <= upto]
        return found[:records_max]

    async def read(self, topic: str, after: int, upto: int, *, records_max: int) -> list[Record]:
        """The same, after a while; what is read may be gone when it arrives."""
        found = self.stored(topic, after, upto, records_max=records_max)
        await self.reading()
        return found

    def back_nowait(self, topic: str, before: int) -> tuple[Iterator[Record], bool]:
        """From the ring, newest first."""
        return self._ring.back(topic, before), self._ring.lost <= self.lost

    async def read_back(self, topic: str, before: int, *, records_max: int) -> list[Record]:
        """From the list, newest first."""
        found = [each for each in reversed(self.records) if each.topic == topic and each.offset < before]
        await self.reading()
        return found[:records_max]

    async def archived(
        self,
        topic: str,
        scope: str,
        *,
        key_from: str = "",
        key_to: str | None = None,
        every_revision: bool = False,
        after: tuple[str, int] | None = None,
        limit: int,
    ) -> list[Archived]:
        """A page of the archive, from a dict."""
        await self.reading()
        of = sorted(
            (key, revision)
            for at_topic, at_scope, key, revision in self.kept.archive
            if (at_topic, at_scope) == (topic, scope)
        )
        newest = dict(of)
        wanted = [
            (key, revision)
            for key, revision in of
            if key >= key_from
            and (key_to is None or key < after_all(key_to))
            and (every_revision or newest[key] == revision)
            and (after is None or (key, revision) > after)
        ]
        return [self.kept.archive[topic, scope, key, revision] for key, revision in wanted[:limit]]

    def documents(self) -> list[Document]:
        """Every view's documents."""
        return list(self.kept.documents.values())

    def on_batch(self, deliver: Callable[[Batch], object]) -> None:
        """Call `deliver` with each batch."""
        self._listeners.append(deliver)

    def _rows(self) -> list[StateRow]:
        return [(table, key, value) for (table, key), value in sorted(self.kept.state.items())]


class MemoryFeed(ListFeed):
    """What is said becomes a batch with `commit`."""

    def __init__(self, ring_bytes_max: int = 1 << 20) -> None:
        super().__init__(ring_bytes_max)
        self._engine = Engine((_Topics(),), lambda _type, _data: None)

    @property
    def checkpoint(self) -> Checkpoint:
        """Where what is said will stand: a clock moves it before the batch does."""
        return self._engine.checkpoint

    def say(
        self, topic: str, path: str, data: Json, *, priority: int = 1, expires_ms: int = 0, target: str = ""
    ) -> None:
        """A message of a stream."""
        self._engine.output.stream(
            topic,
            path,
            f"{topic}_said",
            self.checkpoint.watermark_ms,
            msgspec.json.encode(data),
            priority=priority,
            expires_ms=expires_ms,
            target=target,
        )

    def change(self, topic: str, scope: str, body: dict[str, Json] | None, key: str = "") -> None:
        """A document's new state; None removes it."""
        self._engine.output.view(topic, scope, key, f"{topic}_update", self.checkpoint.watermark_ms, body)

    def archive(self, topic: str, scope: str, key: str, revision: int, body: dict[str, Json]) -> None:
        """A document for the archive."""
        self._engine.output.archive(topic, scope, key, revision, self.checkpoint.watermark_ms, body)

    def wait(self, topic: str, scope: str, since_ms: int) -> None:
        """What a scope shows is as of then."""
        self._engine.output.waits(topic, scope, since_ms)

    def settle(self, topic: str, scope: str) -> None:
        """It is as of now."""
        self._engine.output.settled(topic, scope)

    def pass_time(self, watermark_ms: int) -> None:
        """Every source has been read up to here."""
        self._engine.fold(clock_event(watermark_ms).body)

    def commit(self, committed_ms: int = 0) -> Batch:
        """End the commit group, which was written to the log then; 0 numbers messages without gaps."""
        self._engine._committed_ms = committed_ms
        folded: Folded = self._engine.flush()
        self.write(folded.batch, folded.rows)
        return folded.batch


def topics() -> dict[str, Topic]:
    """The topics by name."""
    return {topic.name: topic for topic in TOPICS}

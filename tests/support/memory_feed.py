"""A feed whose storage is a list: the engine makes its batches, and its recent part is the real ring."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from fire22.core.message import Json
from fire22.core.topic import DIRECT, Kind, Topic
from fire22.feed.base import Archived, Batch, Checkpoint, Document, Record, after_all
from fire22.feed.ring import Ring
from fire22.flows.base import Flow, Handler
from fire22.flows.engine import Engine
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


class MemoryFeed:
    """See `feed/base.py`; what is said becomes a batch with `commit`."""

    def __init__(self, ring_bytes_max: int = 1 << 20) -> None:
        self.epoch = EPOCH
        self.lost = 0
        self.records: list[Record] = []
        self.reading: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)  # how long storage takes
        self._engine = Engine((_Topics(),), lambda _type, _data: None)
        self._ring = Ring(ring_bytes_max, 0)
        self._documents: dict[tuple[str, str, str], Document] = {}
        self._archive: dict[tuple[str, str, str, int], Archived] = {}
        self._listeners: list[Callable[[Batch], object]] = []

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the feed stands."""
        return self._engine.checkpoint

    def say(
        self, topic: str, path: str, data: Json, *, priority: int = 1, expires_ms: int = 0, target: str = ""
    ) -> None:
        """A message of a stream."""
        self._engine.stream(
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
        self._engine.view(topic, scope, key, f"{topic}_update", self.checkpoint.watermark_ms, body)

    def archive(self, topic: str, scope: str, key: str, revision: int, body: dict[str, Json]) -> None:
        """A document for the archive."""
        self._engine.archive(topic, scope, key, revision, self.checkpoint.watermark_ms, body)

    def wait(self, topic: str, scope: str, since_ms: int) -> None:
        """What a scope shows is as of then."""
        self._engine.waits(topic, scope, since_ms)

    def settle(self, topic: str, scope: str) -> None:
        """It is as of now."""
        self._engine.settled(topic, scope)

    def pass_time(self, watermark_ms: int) -> None:
        """Every source has been read up to here."""
        self._engine.fold(clock_event(watermark_ms).body)

    def commit(self) -> Batch:
        """End the commit group."""
        batch = self._engine.flush()
        for record in batch.records:
            self.records.append(record)
            self._ring.append(record)
        for document in batch.documents:
            self._documents[document.topic, document.scope, document.key] = document
        for each in batch.archived:
            self._archive[each.topic, each.scope, each.key, each.revision] = each
        for deliver in self._listeners:
            deliver(batch)
        return batch

    def trim(self, records: int) -> None:
        """Retention takes the oldest records."""
        if 0 < records <= len(self.records):
            self.lost = self.records[records - 1].last
            del self.records[:records]

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
            for at_topic, at_scope, key, revision in self._archive
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
        return [self._archive[topic, scope, key, revision] for key, revision in wanted[:limit]]

    def documents(self) -> list[Document]:
        """Every view's documents."""
        return list(self._documents.values())

    def on_batch(self, deliver: Callable[[Batch], object]) -> None:
        """Call `deliver` with each batch."""
        self._listeners.append(deliver)


def topics() -> dict[str, Topic]:
    """The topics by name."""
    return {topic.name: topic for topic in TOPICS}

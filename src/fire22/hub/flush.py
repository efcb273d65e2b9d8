"""The live path: what has come since the last flush is encoded once for each lane and written to every cohort.

*Critical* messages overtake: they go out before a flush that is under way has ended, before what their lane holds back,
and before the backlog of those who are behind. They come once more in their place to whoever reads on by cursor, and a
client drops what it has seen.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from fire22.core.topic import DIRECT, Kind, Topic
from fire22.feed.base import Batch, Document
from fire22.hub.base import Subscriber
from fire22.hub.edge import LiveEdge
from fire22.hub.encoding import CRITICAL, Change, Item
from fire22.hub.lane import Cohort, Lane, Skipped
from fire22.hub.lanes import Lanes
from fire22.hub.mask import Mask, masked_document
from fire22.hub.pacing import Pacing
from fire22.hub.placement import Placement
from fire22.hub.recipients import Recipients
from fire22.hub.statistics import Statistics
from fire22.hub.ticks import Ticks
from fire22.hub.views import Views

# A change: topic, scope, key, the offset of the document before it, and the mask that it is seen through.
_Known = tuple[str, str, str, int, Mask]

OVERTAKE_BYTES: Final = 16 << 10  # what waits before a critical message, for it to be worth a write of its own
MEMBERS_AT_ONCE: Final = 64


class Flush:
    """Takes batches, and writes what they hold to live connections."""

    def __init__(
        self,
        topics: Mapping[str, Topic],
        views: Views,
        lanes: Lanes,
        recipients: Recipients,
        placement: Placement,
        pacing: Pacing,
        ticks: Ticks,
        edge: LiveEdge,
        statistics: Statistics,
    ) -> None:
        self._topics = topics
        self._views = views
        self._lanes = lanes
        self._recipients = recipients
        self._placement = placement
        self._pacing = pacing
        self._ticks = ticks
        self._edge = edge
        self._statistics = statistics
        self._pending: list[Batch] = []
        self._urgent: list[Item] = []
        self.pending_bytes = 0

    @property
    def urgent(self) -> bool:
        """Whether a critical message should overtake what is under way or waits."""
        return bool(self._urgent) and (self._edge.flushing or self.pending_bytes >= OVERTAKE_BYTES)

    def take(self, batch: Batch) -> bool:
        """Take a batch for the next flush; whether something critical is in it."""
        self._pending.append(batch)
        critical = False
        for record in batch.records:
            for index, entry in enumerate(record.entries):
                self.pending_bytes += len(entry.data)
                if entry.priority >= CRITICAL:
                    critical = True
                    if record.topic != DIRECT and self._topics[record.topic].kind is Kind.STREAM:
                        self._urgent.append(Item(record.offset + index, record.topic, entry))
        return critical

    def run(self, now_s: float) -> Iterator[None]:
        """Write what has come to all live connections; yields wherever it may pause.

        Connections that become live in such a pause are at the new offset already and are not written to again.

        Args:
            now_s: seconds of a steady clock, for `max_rate_hz`.
        """
        self._edge.flushing = True
        try:
            written_to = self._edge.offset
            dirty, addressed = self._collect()
            lanes = self._pacing.due(dirty, now_s, written_to)
            # Who is live now. Whoever becomes live in a pause has all of this already.
            waiting = {cohort: tuple(cohort.members) for lane in lanes for cohort in lane.cohorts}
            if addressed:
                yield from self._write_addressed(addressed, waiting)
            self._statistics.flushes += 1
            changes: dict[_Known, Change] = {}
            for lane, changed in lanes.items():
                lane.encoded = self._changes(lane, changed, changes) if changed else self._messages(lane)
                yield
            for cohort, members in waiting.items():
                data = self._data_of(cohort)
                if data:
                    self._statistics.messages += sum(len(lane.encoded) for lane in cohort.lanes) * len(members)
                    yield from self._write(cohort, members, data)
            for lane in lanes:
                lane.end_flush()
            self._placement.place_ahead()
        finally:
            self._edge.flushing = False

    def overtake(self) -> Iterator[None]:
        """Write the critical messages that wait, alone; yields wherever it may pause. Not beside another overtaking."""
        items, self._urgent = self._urgent, []
        messages: dict[Lane, list[bytes]] = {}
        for item in items:
            if item.offset > self._edge.offset and not item.is_expired(self._edge.watermark_ms):
                for lane in self._lanes.reached(item):
                    message = lane.encode_critical(item)
                    lane.sent_early[item.offset] = message
                    messages.setdefault(lane, []).append(message)
        cohorts = {cohort: tuple(cohort.members) for lane in messages for cohort in lane.cohorts}
        packed = {lane: lane.codec.pack(found) for lane, found in messages.items()}
        self._statistics.overtakes += len(items)
        for cohort, members in cohorts.items():
            data = b"".join([packed[lane] for lane in cohort.lanes if lane in packed])
            self._statistics.messages += len(members) * sum(len(messages.get(lane, ())) for lane in cohort.lanes)
            # A flush under way has yet to write to some of them: only then is it known where they stand.
            yield from self._write(cohort, members, data, demotes=False)

    def heartbeat(self) -> Iterator[None]:
        """Send a tick to every live connection to which nothing was written for two calls; called twice an interval."""
        for cohort in self._placement.cohorts:
            cohort.idle_beats += 1
            if cohort.idle_beats >= 2:
                yield from self._write(cohort, tuple(cohort.members), self._tick(cohort))

    def announce(self, message: bytes) -> Iterator[None]:
        """Send to every connection what is in no feed: what becomes of the server itself."""
        for cohort in self._placement.cohorts:
            data = cohort.codec.pack([message]) + self._tick(cohort)
            yield from self._write(cohort, tuple(cohort.members), data)
        for subscriber in self._placement.not_live:
            subscriber.write(subscriber.codec.pack([message]))

    # A flush, step by step.

    def _collect(self) -> tuple[dict[Lane, None], list[Item]]:
        """Take over the pending batches: from here on the live edge is the new offset."""
        batches, self._pending, self.pending_bytes = self._pending, [], 0
        dirty: dict[Lane, None] = {}
        addressed: list[Item] = []
        for batch in batches:
            for record in batch.records:
                if record.topic == DIRECT:
                    addressed += [
                        Item(offset, DIRECT, each) for offset, each in enumerate(record.entries, record.offset)
                    ]
                elif self._topics[record.topic].kind is Kind.STREAM:
                    self._lanes.collect(record, dirty)
            for document in batch.documents:
                before = self._views.apply(document)
                for lane in self._lanes.of_view(document.topic, document.scope):
                    lane.changed.setdefault(document.key, before)
                    dirty[lane] = None
        self._edge.advance(batches)
        if batches:
            self._urgent = [item for item in self._urgent if item.offset > self._edge.offset]
        return dirty, addressed

    def _messages(self, lane: Lane) -> list[bytes]:
        """What has come on a stream, or, while it is held back, what of it is critical."""
        edge, items = self._edge, lane.items
        if lane.written_to is None:
            lane.items = []
        else:
            items = [item for item in items if item.entry.priority >= CRITICAL]
            lane.items = [item for item in lane.items if item.entry.priority < CRITICAL]
        watermark_ms = edge.watermark_ms
        items = [item for item in items if not item.is_expired(watermark_ms) and item.offset not in lane.sent_early]
        if lane.key.lossy and len(items) > 1 and lane.written_to is None and (lane.interval_s or edge.load >= 2):
            items = self._newest(lane, items)
        if lane.sent_early or lane.written_to is not None:
            written_to = edge.written_to(lane)
            # Who joins where the lane has been written to has yet to get what was sent before its turn.
            lane.sent_early |= {item.offset: lane.message(item) for item in items if item.offset > written_to}
            still_early = {offset: message for offset, message in lane.sent_early.items() if offset > written_to}
            lane.tick_due = len(still_early) < len(lane.sent_early)
            lane.sent_early = still_early
        return [lane.encode_critical(each) if each.entry.priority >= CRITICAL else lane.message(each) for each in items]

    def _changes(
        self,
        lane: Lane,
        changed: Mapping[str, Document | None],
        changes: dict[_Known, Change],
    ) -> list[bytes]:
        key = lane.key
        messages: list[bytes] = []
        for name, before in changed.items():
            known = (key.topic, key.scope, name, -1 if before is None else before.offset, key.mask)
            change = changes.get(known)
            if change is None:
                seen = None if before is None else masked_document(before, key.mask)
                after = masked_document(self._views.get(key.topic, key.scope, name), key.mask)
                change = changes[known] = Change(seen, after)
            message = change.message(key.filter, delta=key.delta)
            if message is not None:
                messages.append(message)
        return messages

    def _newest(self, lane: Lane, items: list[Item]) -> list[Item]:
        """The newest message of a lossy stream, and what is critical; the lane notes what is left out."""
        left = [item for item in items[:-1] if item.entry.priority < CRITICAL]
        if left:
            lane.skipped = Skipped(lane.key.topic, lane.key.scope, left[0].offset, left[-1].offset, len(left))
            self._statistics.skipped += len(left) * sum(len(cohort.members) for cohort in lane.cohorts)
        return [item for item in items[:-1] if item.entry.priority >= CRITICAL] + items[-1:]

    def _data_of(self, cohort: Cohort) -> bytes:
        """The finished bytes of a flush for a cohort, with a tick at their end; empty where it has no part in it.

        Where a codec gains by it and no other cohort shares these lanes, their messages and the tick become one frame;
        else each lane's own frames are joined, so that a lane's messages are packed once in any case.
        """
        dirty = [lane for lane in cohort.lanes if lane.encoded]
        skipped = [lane.skipped for lane in cohort.lanes if lane.skipped is not None]
        if not dirty and not skipped and not any(lane.tick_due for lane in cohort.lanes):
            return b""
        if cohort.codec.joins and all(len(lane.cohorts) == 1 for lane in dirty):
            messages = [message for lane in dirty for message in lane.encoded]
            tick = self._ticks.message(self._edge.lowest_written(cohort.lanes), cohort.lanes, skipped)
            return cohort.codec.pack([*messages, tick])
        return b"".join([lane.packed for lane in dirty]) + self._tick(cohort, skipped)

    def _tick(self, cohort: Cohort, skipped: list[Skipped] | None = None) -> bytes:
        return self._ticks.packed(cohort.codec, self._edge.lowest_written(cohort.lanes), cohort.lanes, skipped)

    # Writing.

    def _write_addressed(self, items: list[Item], waiting: Mapping[Cohort, object]) -> Iterator[None]:
        """What is addressed to single connections; the tick of whose cohort is to be written anyway follows then."""
        messages: dict[Subscriber, list[Item]] = {}
        for item in items:
            if not item.is_expired(self._edge.watermark_ms):
                for subscriber in self._recipients.of(item.entry.target):
                    if subscriber.cohort is not None:
                        messages.setdefault(subscriber, []).append(item)
        packed: dict[tuple[str, int, int], bytes] = {}
        for number, (subscriber, found) in enumerate(messages.items()):
            cohort = subscriber.cohort
            if cohort is None:  # it has left in a pause
                continue
            codec = subscriber.codec
            name = (codec.name, found[0].offset, len(found)) if len(found) == len(items) else None
            data = packed.get(name) if name is not None else None
            if data is None:
                data = codec.pack([item.addressed() for item in found])
                if name is not None:
                    packed[name] = data
            self._statistics.messages += len(found)
            self._statistics.written_bytes += len(data)
            if cohort in waiting:
                subscriber.write(data)
            else:
                subscriber.write(data + self._tick(cohort))
                if subscriber.paused:
                    self._placement.demote(subscriber, cohort)
            if number % MEMBERS_AT_ONCE == MEMBERS_AT_ONCE - 1:
                yield

    def _write(
        self, cohort: Cohort, members: tuple[Subscriber, ...], data: bytes, *, demotes: bool = True
    ) -> Iterator[None]:
        cohort.idle_beats = 0
        self._statistics.written_bytes += len(data) * len(members)
        for start in range(0, len(members), MEMBERS_AT_ONCE):
            if start:
                yield
            part = members[start : start + MEMBERS_AT_ONCE]
            if part[0].write_many(part, cohort, data) and demotes:
                for each in part:
                    if each.paused:
                        self._placement.demote(each, cohort)
        yield

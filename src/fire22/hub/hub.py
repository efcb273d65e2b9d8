"""The hub: delivers the feed to connections. Fed by hand: batches, joins and slices of work come from `hub/loop.py`.

A connection is *live* (in a cohort, written to at each flush) or *catching up* (a cursor for each lane that reads the
shared feed at its own pace). First load, resume and a slow reader are the same: a cursor that becomes live in one
synchronous step at exactly the flushed offset. There is no queue for a connection anywhere.

Everything the hub knows is as of `flushed`: documents are taken over at the start of a flush, not before, so a snapshot
and the messages that follow it meet without a gap or a repeat.
"""

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from fire22.core import codes
from fire22.core.message import Json, Message, encode_json
from fire22.core.position import Position
from fire22.core.scope import ROOT, agent_of, ancestors, covers
from fire22.core.times import to_text
from fire22.core.topic import Kind, Topic
from fire22.feed.base import Batch, Document, Entry, Feed, Record
from fire22.hub.codec import Codec
from fire22.hub.lane import Change, Cohort, Lane, LaneKey, Subscriber, encode_document

BLOCK_OFFSETS = 512  # a cached block of a stream covers this aligned range of offsets
BLOCK_RECORDS = 64
_BLOCK_BYTES = 400  # what a cached block costs beside its data, about


class Statistics(Struct):
    """Counters since the start."""

    messages: int = 0
    written_bytes: int = 0
    flushes: int = 0
    demoted: int = 0


class Resumed(Struct, frozen=True):
    """How a subscription begins: at `cursor`, with what was lost said where something was."""

    cursor: int
    recovered: bool
    reason: str = ""
    lost: tuple[int, int] | None = None


class Need(Struct, frozen=True):
    """Records that a cursor needs from storage before it can go on."""

    topic: str
    after: int
    upto: int


class Supply(Struct, frozen=True):
    """What was read for a Need: all its records, or the first BLOCK_RECORDS of them."""

    need: Need
    records: list[Record]


class Hub:
    """All lanes, cohorts and cursors.

    Args:
        feed: read for catching up; its batches are handed to `deliver`.
        topics: what may be followed.
        now_ms: the wall clock, for ticks.
        block_bytes_max: memory for cached blocks.
    """

    def __init__(
        self,
        feed: Feed,
        topics: Mapping[str, Topic],
        *,
        now_ms: Callable[[], int],
        block_bytes_max: int = 32 << 20,
    ) -> None:
        self.topics = topics
        self.statistics = Statistics()
        self._feed = feed
        self._now_ms = now_ms
        self._flushed = feed.checkpoint.offset
        self._watermark_ms = feed.checkpoint.watermark_ms
        self._pending: list[Batch] = []
        self._pending_bytes = 0
        self._documents: dict[tuple[str, str], dict[str, Document]] = {}
        self._tree = next((topic.name for topic in topics.values() if topic.scopes), "")
        for document in feed.documents():
            self._documents.setdefault((document.topic, document.scope), {})[document.key] = document
        self._lanes: dict[LaneKey, Lane] = {}
        self._lane_number = 0
        self._index: dict[tuple[str, str], dict[Lane, None]] = {}
        self._cohorts: dict[tuple[tuple[Lane, ...], str], Cohort] = {}
        self._catching: dict[Subscriber, None] = {}
        self._blocks: dict[tuple[LaneKey, int], bytes] = {}
        self._block_bytes = 0
        self._block_bytes_max = block_bytes_max
        self._flushing = False

    # What it knows, as of `flushed`.

    @property
    def flushed(self) -> int:
        """Offset up to which live connections have everything."""
        return self._flushed

    @property
    def flushing(self) -> bool:
        """Whether a flush is between two of its slices; a live connection's lanes must not change then."""
        return self._flushing

    @property
    def pending_bytes(self) -> int:
        """Payload bytes that wait for the next flush."""
        return self._pending_bytes

    @property
    def watermark_ms(self) -> int:
        """Every source has been read up to this time."""
        return self._watermark_ms

    @property
    def catching(self) -> tuple[Subscriber, ...]:
        """Connections that are not live and could go on."""
        return tuple(each for each in self._catching if not each.paused)

    @property
    def lane_count(self) -> int:
        """Lanes that somebody follows."""
        return len(self._lanes)

    def position(self, offset: int) -> Position:
        """The position of an offset in this feed."""
        return Position(self._feed.epoch, offset)

    def knows_scope(self, scope: str) -> bool:
        """Whether there is such an agent; of a customer, whether the agent above exists."""
        return scope == ROOT or not self._tree or (self._tree, agent_of(scope)) in self._documents

    def documents(self, topic: str, scope: str) -> list[Document]:
        """A view's documents."""
        return list(self._documents.get((topic, scope), {}).values())

    # Subscriptions.

    def resume(self, topic: Topic, position: Position) -> Resumed:
        """Where a subscription with a stored position begins."""
        newest = self._feed.checkpoint.offset
        if position.epoch != self._feed.epoch:
            return Resumed(self._flushed, False, codes.EPOCH_CHANGED.name)
        if position.offset > newest:
            return Resumed(self._flushed, False, codes.POSITION_AHEAD.name)
        # A view is a state: its documents of now are all there is to know, however old the position.
        if topic.kind is Kind.STREAM and position.offset < self._feed.lost:
            lost = (position.offset + 1, self._feed.lost)
            return Resumed(self._flushed, False, codes.POSITION_LOST.name, lost)
        return Resumed(min(position.offset, self._flushed), True)

    def enter(self, subscriber: Subscriber) -> None:
        """Take in a connection that follows nothing yet."""
        self._go_live(subscriber, ())

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a connection."""
        lanes = subscriber.lanes
        self._unplace(subscriber)
        for lane in lanes:
            self._release(lane)

    def follow(self, subscriber: Subscriber, key: LaneKey, cursor: int) -> None:
        """Add a subscription; one on the same topic and scope is replaced. Not while `flushing` and live."""
        cursors = self._cursors(subscriber)
        self._drop(cursors, key.topic, key.scope)
        lane = self._lanes.get(key)
        if lane is None:
            self._lane_number += 1
            lane = self._lanes[key] = Lane(key, subscriber.codec, self._lane_number)
            self._index.setdefault((key.topic, key.scope), {})[lane] = None
        lane.followers += 1
        cursors[lane] = cursor
        self._place(subscriber, cursors)

    def unfollow(self, subscriber: Subscriber, topic: str, scope: str) -> bool:
        """Remove a subscription; whether there was one. Not while `flushing` and live."""
        cursors = self._cursors(subscriber)
        found = self._drop(cursors, topic, scope)
        self._place(subscriber, cursors)
        return found

    # The live path.

    def deliver(self, batch: Batch) -> bool:
        """Take a batch for the next flush; whether something critical is in it."""
        self._pending.append(batch)
        critical = False
        for record in batch.records:
            for entry in record.entries:
                self._pending_bytes += len(entry.data)
                critical = critical or entry.priority >= 3
        return critical

    def flush(self) -> Iterator[None]:
        """Write what has come to all live connections; yields wherever it may pause.

        Connections that become live in such a pause are at the new offset already and are not written to again.
        """
        self._flushing = True
        try:
            touched = self._collect()
            # Who is live now. Whoever becomes live in a pause has all of this already.
            waiting = {cohort: tuple(cohort.members) for lane in touched for cohort in lane.cohorts}
            counts: dict[Lane, int] = {}
            for lane in touched:
                counts[lane] = lane.pack_new(self._watermark_ms)
                yield
            self.statistics.flushes += 1
            ticks: dict[str, bytes] = {}
            for cohort, members in waiting.items():
                data = b"".join([lane.ready for lane in cohort.lanes if lane.ready])
                if not data:
                    continue
                data += ticks.get(cohort.codec.name) or ticks.setdefault(cohort.codec.name, self._tick(cohort.codec))
                self.statistics.messages += sum(counts.get(lane, 0) for lane in cohort.lanes) * len(members)
                yield from self._write(cohort, members, data)
            for lane in touched:
                lane.ready = b""
        finally:
            self._flushing = False

    def heartbeat(self) -> Iterator[None]:
        """Send a tick to every live connection to which nothing was written for two calls; called twice an interval."""
        for cohort in list(self._cohorts.values()):
            cohort.quiet += 1
            if cohort.quiet >= 2:
                yield from self._write(cohort, tuple(cohort.members), self._tick(cohort.codec))

    def _collect(self) -> dict[Lane, None]:
        """Take over the pending batches: from here on `flushed` is the new offset."""
        batches, self._pending, self._pending_bytes = self._pending, [], 0
        touched: dict[Lane, None] = {}
        before: dict[tuple[str, str, str], Document | None] = {}
        for batch in batches:
            for record in batch.records:
                if self.topics[record.topic].kind is Kind.STREAM:
                    self._collect_stream(record, touched)
            for document in batch.documents:
                held = self._documents.setdefault((document.topic, document.scope), {})
                before.setdefault((document.topic, document.scope, document.key), held.get(document.key))
                held[document.key] = document
        for (topic, scope, key), document_before in before.items():
            for lane in self._index.get((topic, scope), ()):
                lane.changes.append(Change(document_before, self._documents[topic, scope][key]))
                touched[lane] = None
        if batches:
            self._flushed = batches[-1].offset
            self._watermark_ms = batches[-1].watermark_ms
        return touched

    def _collect_stream(self, record: Record, touched: dict[Lane, None]) -> None:
        index = self._index
        for offset, entry in enumerate(record.entries, start=record.offset):
            for scope in ancestors(entry.path):
                lanes = index.get((record.topic, scope))
                if lanes:
                    for lane in lanes:
                        lane.entries.append((offset, entry))
                        touched[lane] = None

    def _write(self, cohort: Cohort, members: tuple[Subscriber, ...], data: bytes) -> Iterator[None]:
        cohort.quiet = 0
        self.statistics.written_bytes += len(data) * len(members)
        for index, subscriber in enumerate(members):
            if subscriber.cohort is cohort:  # it may have left in a pause
                subscriber.write(data)
                if subscriber.paused:
                    self._demote(subscriber, cohort)
            if index & 63 == 63:
                yield

    def _demote(self, subscriber: Subscriber, cohort: Cohort) -> None:
        """A live connection takes no more for now: it reads on from here at its own pace."""
        if subscriber.cohort is not cohort:  # the write has ended it
            return
        self._unplace(subscriber)
        subscriber.cursors = dict.fromkeys(cohort.lanes, self._flushed)
        self._catching[subscriber] = None
        self.statistics.demoted += 1

    def _tick(self, codec: Codec, offset: int | None = None) -> bytes:
        now = to_text(self._now_ms())
        position = str(self.position(self._flushed if offset is None else offset))
        data: dict[str, Json] = {"position": position, "time": now, "watermark": to_text(self._watermark_ms)}
        return codec.pack([encode_json(Message("tick", now, data))])

    # Catching up.

    def catch_up(self, subscriber: Subscriber, supplied: Supply | None = None) -> Need | None:
        """Take a connection one block further, and make it live where it is level.

        One that waited for so long that what it has yet to read is no longer kept is told so (`overtaken`).

        Args:
            supplied: what an earlier call said it needs; left aside where the connection stands elsewhere by now.

        Returns:
            What must be read from storage before the next call; None where memory is enough.
        """
        cursors = subscriber.cursors
        if cursors is None:
            return None
        lane = min(cursors, key=cursors.__getitem__, default=None)
        if lane is not None and cursors[lane] < self._flushed:
            low = cursors[lane]
            step = self._block(lane, low, supplied)
            if step is None:
                subscriber.overtaken()
                return None
            if isinstance(step, Need):
                return step
            data, cursors[lane] = step
            position = min(cursors.values())
            if data or position > low:
                subscriber.write(data + self._tick(subscriber.codec, position))
        if subscriber.cursors is cursors:  # the write may have ended the connection
            self._place(subscriber, cursors)
        return None

    def _block(self, lane: Lane, cursor: int, supplied: Supply | None) -> tuple[bytes, int] | Need | None:
        """A lane's bytes after `cursor`, and the offset they reach; None where some of them are gone."""
        key = lane.key
        if self.topics[key.topic].kind is Kind.VIEW:
            changed = [each for each in self.documents(key.topic, key.scope) if each.offset > cursor]
            messages = [encode_document(each, key.scope) for each in changed]
            return self._pack(lane, messages), self._flushed
        records = self._feed.read_nowait(key.topic, cursor, self._flushed, records_max=BLOCK_RECORDS)
        if records is not None:
            return self._stream_block(lane, cursor, records, self._flushed)
        if cursor < self._feed.lost:
            return None
        if supplied is not None and (supplied.need.topic, supplied.need.after) == (key.topic, cursor):
            # The records reach only as far as was asked for; the live edge may have moved on since.
            return self._stream_block(lane, cursor, supplied.records, supplied.need.upto)
        return Need(key.topic, cursor, self._flushed)

    def _stream_block(self, lane: Lane, cursor: int, records: list[Record], upto: int) -> tuple[bytes, int]:
        """The lane's messages in the records up to the end of an aligned block; records are all there are to `upto`,
        or the first BLOCK_RECORDS of them."""
        if not records:
            return b"", upto
        number = max(records[0].offset, cursor + 1) // BLOCK_OFFSETS
        end = min((number + 1) * BLOCK_OFFSETS - 1, upto)
        if len(records) >= BLOCK_RECORDS:
            end = min(end, records[-1].last)
        whole = cursor < number * BLOCK_OFFSETS and end == (number + 1) * BLOCK_OFFSETS - 1
        cached = self._blocks.get((lane.key, number)) if whole else None
        if cached is not None:
            return cached, end
        entries = [
            (offset, entry)
            for record in records
            for offset, entry in enumerate(record.entries, start=record.offset)
            if cursor < offset <= end and covers(lane.key.scope, entry.path)
        ]
        data = self._pack(lane, lane.encode_entries(entries, self._watermark_ms))
        # What will expire is not the same for the next reader.
        if whole and not any(entry.expires_ms > self._watermark_ms for _, entry in entries):
            self._remember((lane.key, number), data)
        return data, end

    def _pack(self, lane: Lane, messages: list[bytes]) -> bytes:
        self.statistics.messages += len(messages)
        return lane.codec.pack(messages) if messages else b""

    def _remember(self, key: tuple[LaneKey, int], data: bytes) -> None:
        self._blocks[key] = data
        self._block_bytes += len(data) + _BLOCK_BYTES
        while self._block_bytes > self._block_bytes_max:
            oldest = next(iter(self._blocks))
            self._block_bytes -= len(self._blocks.pop(oldest)) + _BLOCK_BYTES

    # Snapshots.

    def snapshot(self, topic: Topic, key: LaneKey, last: int) -> tuple[list[bytes], Need | None]:
        """The messages that a new subscription begins with, as of `flushed`, oldest first.

        Returns:
            The messages, and where memory did not reach far enough, what to read back from storage: everything below
            `upto`, to be joined by `older`.
        """
        if topic.kind is Kind.VIEW:
            return [encode_document(each, key.scope) for each in self.documents(topic.name, key.scope)], None
        found: list[bytes] = []
        below = self._flushed + 1
        records, all_kept = self._feed.back_nowait(topic.name, below)
        for record in records:
            if len(found) >= last:
                break
            found += self.older(key, record, last - len(found))
            below = record.offset
        need = None if len(found) >= last or all_kept else Need(topic.name, 0, below)
        return found[::-1], need

    def older(self, key: LaneKey, record: Record, last: int) -> list[bytes]:
        """The newest messages of a record for a lane, newest first, at most `last`."""
        entries: list[tuple[int, Entry]] = [
            (offset, entry)
            for offset, entry in enumerate(record.entries, start=record.offset)
            if offset <= self._flushed and covers(key.scope, entry.path)
        ]
        lane = self._lanes.get(key) or Lane(key, _NO_CODEC)
        return lane.encode_entries(entries, self._watermark_ms)[::-1][:last]

    # Where a connection stands.

    def _cursors(self, subscriber: Subscriber) -> dict[Lane, int]:
        if subscriber.cursors is not None:
            return dict(subscriber.cursors)
        if subscriber.cohort is None:
            return {}
        if self._flushing and subscriber.cohort.lanes:
            raise AssertionError("a live connection's lanes changed within a flush")
        return dict.fromkeys(subscriber.cohort.lanes, self._flushed)

    def _drop(self, cursors: dict[Lane, int], topic: str, scope: str) -> bool:
        for lane in cursors:
            if lane.key.topic == topic and lane.key.scope == scope:
                del cursors[lane]
                self._release(lane)
                return True
        return False

    def _place(self, subscriber: Subscriber, cursors: dict[Lane, int]) -> None:
        """Live where every lane is level, else catching up."""
        self._unplace(subscriber)
        if all(cursor == self._flushed for cursor in cursors.values()):
            self._go_live(subscriber, tuple(cursors))
        else:
            subscriber.cursors = cursors
            self._catching[subscriber] = None

    def _go_live(self, subscriber: Subscriber, lanes: tuple[Lane, ...]) -> None:
        lanes = tuple(sorted(lanes, key=lambda lane: lane.number))
        key = (lanes, subscriber.codec.name)
        cohort = self._cohorts.get(key)
        if cohort is None:
            cohort = self._cohorts[key] = Cohort(lanes, subscriber.codec)
            for lane in lanes:
                lane.cohorts[cohort] = None
        cohort.members[subscriber] = None
        subscriber.cohort = cohort

    def _unplace(self, subscriber: Subscriber) -> None:
        cohort = subscriber.cohort
        if cohort is not None:
            subscriber.cohort = None
            cohort.members.pop(subscriber, None)
            if not cohort.members:
                del self._cohorts[cohort.lanes, cohort.codec.name]
                for lane in cohort.lanes:
                    lane.cohorts.pop(cohort, None)
        if subscriber.cursors is not None:
            subscriber.cursors = None
            self._catching.pop(subscriber, None)

    def _release(self, lane: Lane) -> None:
        lane.followers -= 1
        if not lane.followers:
            del self._lanes[lane.key]
            at = (lane.key.topic, lane.key.scope)
            del self._index[at][lane]
            if not self._index[at]:
                del self._index[at]


class _NoCodec:
    """For a lane that only encodes."""

    name = "none"

    def pack(self, messages: list[bytes]) -> bytes:
        return b"".join(messages)


_NO_CODEC: Codec = _NoCodec()

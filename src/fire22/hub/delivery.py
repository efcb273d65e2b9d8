"""The hub: delivers the feed to connections. Fed by hand: batches, joins and slices of work come from `hub/loop.py`.

A connection is *live* (in a cohort, written to at each flush) or *behind* (a cursor for each lane that reads the shared
feed at its own pace). First load, resume and a slow reader are the same: a cursor that becomes live in one synchronous
step at exactly the level of its lanes. There is no queue for a connection anywhere.

Everything the hub knows is as of `flushed`: documents are taken over at the start of a flush, not before, so a snapshot
and the messages that follow it meet without a gap or a repeat. The *level* of a lane is the offset up to which it has
been written: `flushed`, unless it holds something back (`max_rate_hz`, or the server is under load). A connection's
position never passes the level of one of its lanes.

*Critical* messages overtake: they go out before a flush that is under way has ended, before what their lane holds back,
and before the backlog of those who are behind. They come once more in their place to whoever reads on by cursor, and a
client drops what it has seen.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from fire22.core import codes
from fire22.core.message import Json, Message, encode_json
from fire22.core.position import Position
from fire22.core.scope import ROOT, agent_of, ancestors
from fire22.core.times import to_text
from fire22.core.topic import DIRECT, Kind, Topic
from fire22.feed.base import SETTLED, Batch, Document, Feed, Record
from fire22.hub.base import LaneKey, Resumed, Subscriber
from fire22.hub.codec import Codec
from fire22.hub.encoding import Change, Item
from fire22.hub.history import Block, Need, Part, Past, Supply
from fire22.hub.index import LaneIndex
from fire22.hub.lane import Cohort, CohortKey, Lane, Skipped
from fire22.hub.recipients import Recipients
from fire22.hub.views import Views

LOSSY_OFFSETS: Final = 512  # how far behind the live edge a lossy subscription is at most
HELD_MAX: Final = 4096  # messages that a lane holds back; with more it is written to, whatever its rate
SHED_INTERVAL_S: Final = 1.0  # how often a view is written to under load
OVERTAKE_BYTES: Final = 16 << 10  # what waits before a critical message, for it to be worth a write of its own
MEMBERS_AT_ONCE: Final = 64
CRITICAL: Final = 3


class Statistics(Struct):
    """Counters since the start.

    Args:
        held: times that a view was held back because of load.
        skipped: messages that lossy subscriptions were not sent.
    """

    messages: int = 0
    written_bytes: int = 0
    flushes: int = 0
    demoted: int = 0
    overtakes: int = 0
    held: int = 0
    skipped: int = 0


class Delivery:
    """All lanes, cohorts and cursors.

    Args:
        feed: read for catching up; its batches are handed to `deliver`.
        topics: what may be followed.
        now_ms: the wall clock, for ticks.
        block_bytes_max: memory for encoded blocks of the past.

    Attributes:
        load: how far load is shed: 0 not at all, 1 views are written to once a second at most, 2 lossy streams are cut
            to their newest message in each flush as well.
        problem: the code of what keeps the feed from going on, for the ticks; empty where nothing does.
    """

    def __init__(
        self,
        feed: Feed,
        topics: Mapping[str, Topic],
        *,
        now_ms: Callable[[], int],
        block_bytes_max: int = 32 << 20,
    ) -> None:
        self.topics = dict(topics)
        self.statistics = Statistics()
        self.load = 0
        self.problem = ""
        self._feed = feed
        self._now_ms = now_ms
        self._flushed = feed.checkpoint.offset
        self._watermark_ms = feed.checkpoint.watermark_ms
        self._late: dict[tuple[str, str], int] = {}
        self._late_before: dict[tuple[str, str], int] = {}  # of what the running flush changes
        self._watermark_before = self._watermark_ms
        self._pending: list[Batch] = []
        self._pending_bytes = 0
        self._urgent: list[Item] = []
        self._views = Views(feed.documents(), feed.lost)
        self._past = Past(feed, self.topics, self._views, lambda: self._watermark_ms, block_bytes_max)
        self._tree = next((topic.name for topic in topics.values() if topic.scopes), "")
        self._lanes: dict[LaneKey, Lane] = {}
        self._lane_number = 0
        self._index: dict[str, dict[str, LaneIndex]] = {topic: {} for topic in (*self.topics, DIRECT)}
        self._holding: dict[Lane, None] = {}
        self._cohorts: dict[CohortKey, Cohort] = {}
        self._recipients = Recipients()
        self._behind: dict[Subscriber, None] = {}
        self._waiting: dict[Subscriber, None] = {}  # ahead of a lane that holds back
        self._flushing = False
        self._last_tick: tuple[tuple[object, ...], bytes] = ((), b"")

    # What it knows, as of `flushed`.

    @property
    def flushed(self) -> int:
        """Offset up to which live connections have everything that is not held back."""
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

    def begin(self, waiting: Mapping[tuple[str, str], int]) -> None:
        """Know what waits to be said as of the start; see `Batch.waiting`."""
        self._late = dict(waiting)

    def complete_ms(self, topic: str, scope: str) -> int:
        """Up to which watermark all facts are in what a scope of a topic shows."""
        if not self._late:
            return self._watermark_ms
        waiting, known = self._late, self._watermark_ms
        return min(known, waiting.get((topic, scope), known), waiting.get((topic, ""), known))

    def _complete_before(self, topic: str, scope: str) -> int:
        """The same before the batches of the running flush."""
        known = self._watermark_before
        since = [self._late_before.get(name, self._late.get(name, SETTLED)) for name in ((topic, scope), (topic, ""))]
        return min([known, *(each for each in since if each != SETTLED)])

    @property
    def catching(self) -> tuple[Subscriber, ...]:
        """Connections that are behind and could go on."""
        return tuple(each for each in self._behind if not each.paused)

    @property
    def behind(self) -> int:
        """How many connections are not live."""
        return len(self._behind) + len(self._waiting)

    @property
    def lane_count(self) -> int:
        """Lanes that somebody follows."""
        return len(self._lanes)

    @property
    def urgent(self) -> bool:
        """Whether a critical message should overtake what is under way or waits."""
        return bool(self._urgent) and (self._flushing or self._pending_bytes >= OVERTAKE_BYTES)

    def due_s(self) -> float | None:
        """When the next lane that holds something back may be written to; None where none does."""
        return min((_next_slot_s(lane.written_s, self._interval_s(lane)) for lane in self._holding), default=None)

    def position(self, offset: int) -> Position:
        """The position of an offset in this feed."""
        return Position(self._feed.epoch, offset)

    def knows_scope(self, scope: str) -> bool:
        """Whether there is such an agent; of a customer, whether the agent above exists."""
        return scope == ROOT or not self._tree or self._views.exists(self._tree, agent_of(scope))

    def documents(self, topic: str, scope: str) -> list[Document]:
        """A view's documents."""
        return list(self._views.all(topic, scope))

    def document(self, topic: str, scope: str, key: str) -> Document | None:
        """One of a view's documents."""
        return self._views.find(topic, scope, key)

    def changed_at(self, topic: str, scope: str) -> int:
        """Offset of the newest change of a view's scope, removals included."""
        return self._views.changed_at(topic, scope)

    # Subscriptions.

    def resume(self, topic: Topic, position: Position) -> Resumed:
        """Where a subscription with a stored position begins."""
        newest = self._feed.checkpoint.offset
        if position.epoch != self._feed.epoch:
            return Resumed(self._flushed, False, codes.EPOCH_CHANGED.name)
        if position.offset > newest:
            return Resumed(self._flushed, False, codes.POSITION_AHEAD.name)
        horizon = self._past.horizon(topic.name)
        if position.offset < horizon:
            return Resumed(self._flushed, False, codes.POSITION_LOST.name, (position.offset + 1, horizon))
        return Resumed(min(position.offset, self._flushed), True)

    def enter(self, subscriber: Subscriber) -> None:
        """Take in a connection that follows nothing yet."""
        self._go_live(subscriber, ())

    def identify(self, subscriber: Subscriber) -> None:
        """From now on it receives what is addressed to its `recipient`. Once for each connection."""
        self._recipients.add(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a connection."""
        lanes = subscriber.lanes
        self._recipients.remove(subscriber)
        self._unplace(subscriber)
        for lane in lanes:
            self._release(lane)

    def follow(self, subscriber: Subscriber, key: LaneKey, cursor: int, *, resumed: bool = False) -> None:
        """Add a subscription; one on the same topic and scope is replaced. Not while `flushing` and live.

        Args:
            cursor: the offset after which its messages are to come.
            resumed: whether the cursor is a stored position: what is addressed to this connection comes from there too.
        """
        if self._follow_live(subscriber, key, cursor):
            return
        cursors = self._cursors(subscriber)
        self._drop(cursors, key.topic, key.scope)
        lane = self._take(key, subscriber)
        cursors[lane] = cursor
        if resumed and self.topics[key.topic].kind is Kind.VIEW:
            subscriber.unsure = {*(subscriber.unsure or ()), lane}
        if resumed and (subscriber.resumed_at is None or cursor < subscriber.resumed_at):
            subscriber.resumed_at = cursor
            kept_from = max(cursor, self._past.horizon(DIRECT))  # a view's position may be older than what is kept
            for each in cursors:
                if each.key.to:
                    cursors[each] = min(cursors[each], kept_from)
        self._place(subscriber, cursors)

    def _follow_live(self, subscriber: Subscriber, key: LaneKey, cursor: int) -> bool:
        """The usual case, made cheap for crowds: a live connection adds a lane that it is level with."""
        cohort = subscriber.cohort
        if cohort is None or self._flushing or cursor != self._flushed or self._holding:
            return False
        if any(lane.key.topic == key.topic and lane.key.scope == key.scope for lane in cohort.lanes):
            return False
        lane = self._take(key, subscriber)
        self._unplace(subscriber)
        self._go_live(subscriber, (*cohort.lanes, lane))
        return True

    def _take(self, key: LaneKey, subscriber: Subscriber) -> Lane:
        """The lane of a key, with one follower more."""
        lane = self._lanes.get(key)
        if lane is None:
            self._lane_number += 1
            lane = self._lanes[key] = Lane(key, subscriber.codec, self._lane_number)
            self._index[key.topic].setdefault(key.scope, LaneIndex()).add(lane)
        lane.followers += 1
        return lane

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
            for index, entry in enumerate(record.entries):
                self._pending_bytes += len(entry.data)
                if entry.priority >= CRITICAL:
                    critical = True
                    if record.topic != DIRECT and self.topics[record.topic].kind is Kind.STREAM:
                        self._urgent.append(Item(record.offset + index, record.topic, entry))
        return critical

    def flush(self, now_s: float) -> Iterator[None]:
        """Write what has come to all live connections; yields wherever it may pause.

        Connections that become live in such a pause are at the new offset already and are not written to again.

        Args:
            now_s: seconds of a steady clock, for `max_rate_hz`.
        """
        self._flushing = True
        try:
            level = self._flushed
            touched, addressed = self._collect()
            lanes = self._due(touched, now_s, level)
            # Who is live now. Whoever becomes live in a pause has all of this already.
            waiting = {cohort: tuple(cohort.members) for lane in lanes for cohort in lane.cohorts}
            if addressed:
                yield from self._write_addressed(addressed, waiting)
            self.statistics.flushes += 1
            changes: dict[tuple[str, str, str, int], Change] = {}
            for lane, changed in lanes.items():
                lane.said = self._changes(lane, changed, changes) if changed else self._messages(lane)
                yield
            for cohort, members in waiting.items():
                data = self._data_of(cohort)
                if data:
                    self.statistics.messages += sum(len(lane.said) for lane in cohort.lanes) * len(members)
                    yield from self._write(cohort, members, data)
            for lane in lanes:
                lane.end_flush()
            self._go_on_waiting()
        finally:
            self._flushing = False

    def overtake(self) -> Iterator[None]:
        """Write the critical messages that wait, alone; yields wherever it may pause. Not beside another overtaking."""
        items, self._urgent = self._urgent, []
        messages: dict[Lane, list[bytes]] = {}
        for item in items:
            if item.offset > self._flushed and not item.is_expired(self._watermark_ms):
                for lane in self._reached(item):
                    message = lane.overtakes(item)
                    lane.ahead[item.offset] = message
                    messages.setdefault(lane, []).append(message)
        cohorts = {cohort: tuple(cohort.members) for lane in messages for cohort in lane.cohorts}
        packed = {lane: lane.codec.pack(found) for lane, found in messages.items()}
        self.statistics.overtakes += len(items)
        for cohort, members in cohorts.items():
            data = b"".join([packed[lane] for lane in cohort.lanes if lane in packed])
            self.statistics.messages += len(members) * sum(len(messages.get(lane, ())) for lane in cohort.lanes)
            # A flush under way has yet to write to some of them: not before that is where they stand known.
            yield from self._write(cohort, members, data, demotes=False)

    def heartbeat(self) -> Iterator[None]:
        """Send a tick to every live connection to which nothing was written for two calls; called twice an interval."""
        for cohort in list(self._cohorts.values()):
            cohort.quiet += 1
            if cohort.quiet >= 2:
                tick = self._tick(cohort.codec, self._level_of(cohort), cohort.lanes)
                yield from self._write(cohort, tuple(cohort.members), tick)

    def freshness(self, subscriber: Subscriber) -> dict[str, Json]:
        """What a connection is told of time between two ticks."""
        found: dict[str, Json] = {"time": to_text(self._now_ms())}
        if subscriber.cohort is not None:
            found |= self._complete(subscriber.cohort.lanes)
        return found | ({"problem": self.problem} if self.problem else {})

    def announce(self, message: bytes) -> Iterator[None]:
        """Send to every connection what is in no feed: what becomes of the server itself."""
        for cohort in list(self._cohorts.values()):
            data = cohort.codec.pack([message, self._tick_message(self._level_of(cohort), cohort.lanes)])
            yield from self._write(cohort, tuple(cohort.members), data)
        for subscriber in (*self._behind, *self._waiting):
            subscriber.write(subscriber.codec.pack([message]))

    # A flush, step by step.

    def _collect(self) -> tuple[dict[Lane, None], list[Item]]:
        """Take over the pending batches: from here on `flushed` is the new offset."""
        batches, self._pending, self._pending_bytes = self._pending, [], 0
        self._watermark_before, self._late_before = self._watermark_ms, {}
        touched: dict[Lane, None] = {}
        addressed: list[Item] = []
        for batch in batches:
            for record in batch.records:
                if record.topic == DIRECT:
                    addressed += [
                        Item(offset, DIRECT, each) for offset, each in enumerate(record.entries, record.offset)
                    ]
                elif self.topics[record.topic].kind is Kind.STREAM:
                    self._collect_stream(record, touched)
            for document in batch.documents:
                before = self._views.take(document)
                for lane in self._index[document.topic].get(document.scope, ()):
                    lane.changed.setdefault(document.key, before)
                    touched[lane] = None
            for topic, scope, since_ms in batch.waiting:
                name = (topic, scope)
                self._late_before.setdefault(name, self._late.get(name, SETTLED))
                if since_ms == SETTLED:
                    self._late.pop(name, None)
                else:
                    self._late[name] = since_ms
        if batches:
            self._flushed = batches[-1].offset
            self._watermark_ms = batches[-1].watermark_ms
            self._urgent = [item for item in self._urgent if item.offset > self._flushed]
        return touched, addressed

    def _collect_stream(self, record: Record, touched: dict[Lane, None]) -> None:
        by_scope = self._index[record.topic]
        if not by_scope:
            return
        for offset, entry in enumerate(record.entries, start=record.offset):
            if entry.target:
                continue
            item: Item | None = None
            for scope in ancestors(entry.path):
                index = by_scope.get(scope)
                if index is None:
                    continue
                item = item or Item(offset, record.topic, entry)
                for lane in index.open:
                    lane.items.append(item)
                    touched[lane] = None
                if index.filters:
                    for lane in index.passing(item):
                        lane.items.append(item)
                        touched[lane] = None

    def _reached(self, item: Item) -> Iterator[Lane]:
        for scope in ancestors(item.entry.path):
            index = self._index[item.topic].get(scope)
            if index is not None:
                yield from index.open
                yield from index.passing(item)

    def _interval_s(self, lane: Lane) -> float:
        if self.load and self.topics[lane.key.topic].kind is Kind.VIEW:
            return max(lane.interval_s, SHED_INTERVAL_S)
        return lane.interval_s

    def _due(self, touched: dict[Lane, None], now_s: float, level: int) -> dict[Lane, dict[str, Document | None]]:
        """The lanes to write to, with the documents that have changed; the others hold back from `level` on."""
        due: dict[Lane, dict[str, Document | None]] = {}
        for lane in {**self._holding, **touched} if self._holding else touched:
            interval_s = self._interval_s(lane)
            if interval_s and now_s < _next_slot_s(lane.written_s, interval_s) and len(lane.items) < HELD_MAX:
                self._hold(lane, level, shed=interval_s > lane.interval_s)
                if any(item.entry.priority >= CRITICAL for item in lane.items):
                    due[lane] = {}
            else:
                lane.level = None
                lane.written_s = now_s
                self._holding.pop(lane, None)
                # Taken out at once: from here on the lane's level is the flushed offset to whoever reads it by cursor.
                due[lane], lane.changed = lane.changed, {}
        return due

    def _hold(self, lane: Lane, level: int, *, shed: bool) -> None:
        if lane.level is None:
            lane.level = level
            lane.complete_ms = self._complete_before(lane.key.topic, lane.key.scope)
            self._holding[lane] = None
            self.statistics.held += shed

    def _data_of(self, cohort: Cohort) -> bytes:
        """The finished bytes of a flush for a cohort, with a tick at their end; empty where it has no part in it.

        Where a codec gains by it and no other cohort shares these lanes, their messages and the tick become one frame;
        else each lane's own frames are joined, so that a lane's messages are packed once in any case.
        """
        speaking = [lane for lane in cohort.lanes if lane.said]
        skipped = [lane.skipped for lane in cohort.lanes if lane.skipped is not None]
        if not speaking and not skipped and not any(lane.passed for lane in cohort.lanes):
            return b""
        level = self._level_of(cohort)
        if cohort.codec.joins and all(len(lane.cohorts) == 1 for lane in speaking):
            messages = [message for lane in speaking for message in lane.said]
            return cohort.codec.pack([*messages, self._tick_message(level, cohort.lanes, skipped)])
        return b"".join([lane.packed for lane in speaking]) + self._tick(cohort.codec, level, cohort.lanes, skipped)

    def _messages(self, lane: Lane) -> list[bytes]:
        """What has come on a stream, or, while it is held back, what of it is critical."""
        items = lane.items
        if lane.level is None:
            lane.items = []
        else:
            items = [item for item in items if item.entry.priority >= CRITICAL]
            lane.items = [item for item in lane.items if item.entry.priority < CRITICAL]
        items = [item for item in items if not item.is_expired(self._watermark_ms) and item.offset not in lane.ahead]
        if lane.key.lossy and len(items) > 1 and lane.level is None and (lane.interval_s or self.load >= 2):
            items = self._newest(lane, items)
        level, scope = self._level(lane), lane.key.scope
        if lane.ahead or lane.level is not None:
            # Who joins at the lane's level has yet to be told what has gone out ahead of it.
            lane.ahead |= {item.offset: item.message(scope) for item in items if item.offset > level}
            ahead = {offset: message for offset, message in lane.ahead.items() if offset > level}
            lane.passed = len(ahead) < len(lane.ahead)
            lane.ahead = ahead
        return [lane.overtakes(each) if each.entry.priority >= CRITICAL else each.message(scope) for each in items]

    def _changes(
        self,
        lane: Lane,
        changed: Mapping[str, Document | None],
        changes: dict[tuple[str, str, str, int], Change],
    ) -> list[bytes]:
        key = lane.key
        messages: list[bytes] = []
        for name, before in changed.items():
            known = (key.topic, key.scope, name, -1 if before is None else before.offset)
            change = changes.get(known)
            if change is None:
                change = changes[known] = Change(before, self._views.get(key.topic, key.scope, name))
            message = change.message(key.filter, delta=key.delta)
            if message is not None:
                messages.append(message)
        return messages

    def _newest(self, lane: Lane, items: list[Item]) -> list[Item]:
        left = [item for item in items[:-1] if item.entry.priority < CRITICAL]
        if left:
            lane.skipped = Skipped(lane.key.topic, lane.key.scope, left[0].offset, left[-1].offset, len(left))
            self.statistics.skipped += len(left) * sum(len(cohort.members) for cohort in lane.cohorts)
        return [item for item in items[:-1] if item.entry.priority >= CRITICAL] + items[-1:]

    def _write_addressed(self, items: list[Item], waiting: Mapping[Cohort, object]) -> Iterator[None]:
        """What is addressed to single connections; the tick of whose cohort is to be written anyway follows then."""
        messages: dict[Subscriber, list[Item]] = {}
        for item in items:
            if not item.is_expired(self._watermark_ms):
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
            self.statistics.messages += len(found)
            self.statistics.written_bytes += len(data)
            if cohort in waiting:
                subscriber.write(data)
            else:
                subscriber.write(data + self._tick(codec, self._level_of(cohort), cohort.lanes))
                if subscriber.paused:
                    self._demote(subscriber, cohort)
            if number % MEMBERS_AT_ONCE == MEMBERS_AT_ONCE - 1:
                yield

    def _write(
        self, cohort: Cohort, members: tuple[Subscriber, ...], data: bytes, *, demotes: bool = True
    ) -> Iterator[None]:
        cohort.quiet = 0
        self.statistics.written_bytes += len(data) * len(members)
        for start in range(0, len(members), MEMBERS_AT_ONCE):
            if start:
                yield
            part = members[start : start + MEMBERS_AT_ONCE]
            if part[0].write_many(part, cohort, data) and demotes:
                for each in part:
                    if each.paused:
                        self._demote(each, cohort)
        yield

    def _demote(self, subscriber: Subscriber, cohort: Cohort) -> None:
        """A live connection takes no more for now: it reads on from here at its own pace."""
        if subscriber.cohort is not cohort:  # the write has ended it
            return
        cursors = self._levels(subscriber, cohort)
        self._unplace(subscriber)
        subscriber.cursors = cursors
        self._behind[subscriber] = None
        self.statistics.demoted += 1

    def _level_of(self, cohort: Cohort) -> int:
        """The position of a cohort's members."""
        if not self._holding:
            return self._flushed
        levels = [lane.level for lane in cohort.lanes if lane.level is not None]
        return min(levels, default=self._flushed)

    def _complete(self, lanes: tuple[Lane, ...]) -> dict[str, Json]:
        """Up to when everything is complete that these lanes show, and where it is not so far as the sources are read.

        Args:
            lanes: none of them behind what it has been written.
        """
        known = self._watermark_ms
        if not self._late and not self._holding:
            return {"watermark": to_text(known)}
        late: list[Json] = []
        least = known
        for lane in lanes:
            topic, scope = lane.key.topic, lane.key.scope
            complete = self.complete_ms(topic, scope) if lane.level is None else lane.complete_ms
            if complete < known:
                least = min(least, complete)
                late.append({"target": topic, "scope": scope, "watermark": to_text(complete)})
        said: dict[str, Json] = {"watermark": to_text(least)}
        if late:
            said |= {"readTo": to_text(known), "late": late}
        return said

    def _tick(
        self, codec: Codec, offset: int, lanes: tuple[Lane, ...] | None, skipped: list[Skipped] | None = None
    ) -> bytes:
        if skipped:
            return codec.pack([self._tick_message(offset, lanes, skipped)])
        # Those for whom something waits are few at a time; the others share theirs by codec.
        complete = None if lanes is None else self._complete(lanes)
        name = (codec.name, offset, self._now_ms(), self.problem, complete)
        if self._last_tick[0] != name:
            self._last_tick = (name, codec.pack([self._tick_message(offset, lanes)]))
        return self._last_tick[1]

    def _tick_message(self, offset: int, lanes: tuple[Lane, ...] | None, skipped: list[Skipped] | None = None) -> bytes:
        """A tick.

        Args:
            lanes: of the connections; None where one is behind, so that it is not known how old is what it has.
        """
        now = to_text(self._now_ms())
        data: dict[str, Json] = {"position": str(self.position(offset)), "time": now}
        if lanes is not None:
            data |= self._complete(lanes)
        if self.problem:
            data["problem"] = self.problem
        if skipped:
            data["skipped"] = [
                {"target": each.target, "scope": each.scope, "from": each.first, "to": each.last, "count": each.count}
                for each in skipped
            ]
        return encode_json(Message("tick", now, data))

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
        self._warn(subscriber, cursors)
        below = [lane for lane, cursor in cursors.items() if cursor < self._goal(subscriber, lane)]
        if below and subscriber.cursors is cursors:
            lane = min(below, key=cursors.__getitem__)
            step = self._step(subscriber, lane, cursors[lane], supplied)
            if step is None:
                subscriber.overtaken()
                return None
            if isinstance(step, Need):
                return step
            self._take_step(subscriber, cursors, lane, step)
        if subscriber.cursors is cursors:  # the write may have ended the connection
            self._place(subscriber, cursors)
        return None

    def _goal(self, subscriber: Subscriber, lane: Lane) -> int:
        """How far a connection reads on: a view that was resumed to the newest state, since it may have seen that."""
        return self._flushed if subscriber.unsure and lane in subscriber.unsure else self._level(lane)

    def _step(self, subscriber: Subscriber, lane: Lane, cursor: int, supplied: Supply | None) -> Block | Need | None:
        upto = self._goal(subscriber, lane)
        if lane.key.lossy and upto - cursor > LOSSY_OFFSETS:
            return self._past.skip(lane, cursor, upto - LOSSY_OFFSETS, supplied)
        if subscriber.unsure and lane in subscriber.unsure:
            subscriber.unsure = subscriber.unsure - {lane} or None
            return self._past.newest(lane, cursor, upto)
        return self._past.block(lane, cursor, upto, supplied)

    def _take_step(self, subscriber: Subscriber, cursors: dict[Lane, int], lane: Lane, step: Block) -> None:
        low = min(cursors.values())
        cursors[lane] = step.end
        if step.skipped is not None:
            self.statistics.skipped += step.skipped.count
            known = subscriber.skipped or {}
            known[lane] = known[lane].joined(step.skipped) if lane in known else step.skipped
            subscriber.skipped = known
        position = min(cursors.values())
        still_skipping = lane.key.lossy and self._level(lane) - step.end > LOSSY_OFFSETS
        if step.data or (position > low and not still_skipping):
            skipped = [each for each, of in self._skipped(subscriber) if of in cursors]
            subscriber.skipped = None
            self.statistics.messages += step.count
            level = all(at == self._goal(subscriber, each) for each, at in cursors.items())
            lanes = tuple(each for each in cursors if not each.key.to) if level else None
            subscriber.write(step.data + self._tick(subscriber.codec, position, lanes, skipped))

    def _skipped(self, subscriber: Subscriber) -> list[tuple[Skipped, Lane]]:
        return [(skipped, lane) for lane, skipped in (subscriber.skipped or {}).items()]

    def _warn(self, subscriber: Subscriber, cursors: dict[Lane, int]) -> None:
        """Critical messages come before the backlog."""
        for lane, cursor in cursors.items():
            if lane.critical and lane.critical[-1].offset > max(cursor, subscriber.warned):
                after = max(cursor, subscriber.warned)
                items = [item for item in lane.critical if item.offset > after]
                fresh = [item.message(lane.key.scope) for item in items if not item.is_expired(self._watermark_ms)]
                if fresh:
                    self.statistics.messages += len(fresh)
                    subscriber.write(lane.codec.pack(fresh))
        newest = max((lane.critical[-1].offset for lane in cursors if lane.critical), default=0)
        subscriber.warned = max(subscriber.warned, newest)

    # Snapshots and history.

    def snapshot(self, topic: Topic, key: LaneKey, last: int) -> Part:
        """What a new subscription begins with, as of `flushed`, oldest first, as far as memory reaches."""
        if topic.kind is Kind.VIEW:
            return self._past.documents(key, self._flushed)
        return self._past.page(key, self._flushed + 1, last)

    def history(self, key: LaneKey, before: int | None, limit: int) -> Part:
        """A stream's newest messages below an offset."""
        newest = self._flushed + 1
        return self._past.page(key, newest if before is None else min(before, newest), limit)

    @property
    def past(self) -> Past:
        """For reading pages on from storage."""
        return self._past

    # Where a connection stands.

    def _level(self, lane: Lane) -> int:
        return self._flushed if lane.level is None else lane.level

    def _levels(self, subscriber: Subscriber, cohort: Cohort) -> dict[Lane, int]:
        """The cursors of a live connection."""
        cursors = {lane: self._level(lane) for lane in cohort.lanes}
        recipient = subscriber.recipient
        if recipient is not None:
            key = LaneKey(DIRECT, ROOT, None, False, subscriber.codec.name, to=self._recipients.targets(recipient))
            cursors[Lane(key, subscriber.codec)] = self._flushed
        return cursors

    def _cursors(self, subscriber: Subscriber) -> dict[Lane, int]:
        if subscriber.cursors is not None:
            return dict(subscriber.cursors)
        if subscriber.cohort is None:
            return {}
        if self._flushing and subscriber.cohort.lanes:
            raise AssertionError("a live connection's lanes changed within a flush")
        return self._levels(subscriber, subscriber.cohort)

    def _drop(self, cursors: dict[Lane, int], topic: str, scope: str) -> bool:
        for lane in cursors:
            if lane.key.topic == topic and lane.key.scope == scope and not lane.key.to:
                del cursors[lane]
                self._release(lane)
                return True
        return False

    def _place(self, subscriber: Subscriber, cursors: dict[Lane, int]) -> None:
        """Live where every lane is level, waiting where one is ahead of its lane, else behind."""
        self._unplace(subscriber)
        behind = any(cursor < self._goal(subscriber, lane) for lane, cursor in cursors.items())
        if not behind and all(cursor == self._level(lane) for lane, cursor in cursors.items()):
            subscriber.unsure = None
            self._go_live(subscriber, tuple(lane for lane in cursors if not lane.key.to))
            return
        subscriber.cursors = cursors
        (self._behind if behind else self._waiting)[subscriber] = None

    def _go_live(self, subscriber: Subscriber, lanes: tuple[Lane, ...]) -> None:
        lanes = tuple(sorted(lanes, key=lambda lane: lane.number))
        key = (lanes, subscriber.codec.name, type(subscriber))
        cohort = self._cohorts.get(key)
        if cohort is None:
            cohort = self._cohorts[key] = Cohort(key, subscriber.codec)
            for lane in lanes:
                lane.cohorts[cohort] = None
        cohort.members[subscriber] = None
        subscriber.cohort = cohort
        for lane in lanes:
            ahead = [each for offset, each in lane.ahead.items() if offset > subscriber.warned]
            if ahead:
                subscriber.write(lane.codec.pack(ahead))

    def _go_on_waiting(self) -> None:
        """A lane may have caught up with those who are ahead of it."""
        waiting, self._waiting = self._waiting, {}
        for subscriber in waiting:
            if subscriber.cursors is not None:
                self._place(subscriber, subscriber.cursors)

    def _unplace(self, subscriber: Subscriber) -> None:
        cohort = subscriber.cohort
        if cohort is not None:
            subscriber.cohort = None
            cohort.members.pop(subscriber, None)
            if not cohort.members:
                del self._cohorts[cohort.key]
                for lane in cohort.lanes:
                    lane.cohorts.pop(cohort, None)
        if subscriber.cursors is not None:
            subscriber.cursors = None
            self._behind.pop(subscriber, None)
            self._waiting.pop(subscriber, None)

    def _release(self, lane: Lane) -> None:
        lane.followers -= 1
        if not lane.followers:
            del self._lanes[lane.key]
            self._holding.pop(lane, None)
            by_scope = self._index[lane.key.topic]
            index = by_scope[lane.key.scope]
            index.remove(lane)
            if not index:
                del by_scope[lane.key.scope]


def _next_slot_s(written_s: float, interval_s: float) -> float:
    """When a lane may be written to again: time is cut into slots, and each has at most one write.

    So lanes with the same rate are written to together, and what they say is compressed together.
    """
    if not interval_s or written_s == float("-inf"):
        return written_s
    return (math.floor(written_s / interval_s + 1e-6) + 1) * interval_s

"""Delivers the feed to connections. Fed by hand: batches, joins and slices of work come from `loop.py`.

A connection is *live* (in a cohort, written to at each flush) or *behind* (a cursor for each lane that reads the shared
feed at its own pace). First load, resume and a slow reader are the same: a cursor that becomes live in one synchronous
step, exactly where its lanes have been written to. There is no queue for a connection anywhere.

Everything is as of `flushed`: documents are taken over at the start of a flush, not before, so a snapshot and the
messages that follow it meet without a gap or a repeat.
"""

from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import replace

from fire22.core import codes
from fire22.core.message import Json
from fire22.core.position import Position
from fire22.core.scope import ROOT, agent_of
from fire22.core.topic import DIRECT, Kind, Topic
from fire22.feed.base import Batch, Document, Feed
from fire22.hub import codec
from fire22.hub.base import LaneKey, Page, Resumed, Subscriber
from fire22.hub.catch_up import CatchUp
from fire22.hub.edge import LiveEdge
from fire22.hub.flush import Flush
from fire22.hub.history import History, Need, Pieces, Supply
from fire22.hub.lanes import Lanes
from fire22.hub.mask import Mask
from fire22.hub.pacing import Pacing
from fire22.hub.placement import Placement
from fire22.hub.recipients import Recipients
from fire22.hub.statistics import Statistics
from fire22.hub.ticks import Ticks
from fire22.hub.views import Views
from fire22.observability.sample import Sample


class Delivery:
    """All lanes, cohorts and cursors of one feed.

    Args:
        feed: read for catching up; its batches are handed to `deliver`.
        topics: what may be followed.
        now_ms: the wall clock, for ticks.
        block_bytes_max: memory for encoded blocks of the past.

    Attributes:
        statistics: counters since the start.
        history: blocks and pages of what was.
    """

    def __init__(
        self,
        feed: Feed,
        topics: Mapping[str, Topic],
        *,
        now_ms: Callable[[], int],
        block_bytes_max: int = 32 << 20,
    ) -> None:
        self._feed = feed
        self._now_ms = now_ms
        self._topics = topics = dict(topics)
        self._tree = next((topic.name for topic in topics.values() if topic.scopes), "")
        self.statistics = statistics = Statistics()
        self._edge = edge = LiveEdge(feed.checkpoint)
        self._views = views = Views(feed.documents(), feed.lost)
        self.history = History(feed, topics, views, lambda: edge.watermark_ms, block_bytes_max)
        self._lanes = lanes = Lanes((*topics, DIRECT), edge)
        self._recipients = recipients = Recipients()
        self._placement = placement = Placement(lanes, recipients, edge, statistics)
        self._pacing = pacing = Pacing(topics, edge, statistics)
        self._ticks = ticks = Ticks(feed.epoch, edge, now_ms)
        self._flush = Flush(topics, views, lanes, recipients, placement, pacing, ticks, edge, statistics)
        self._catch_up = CatchUp(self.history, placement, ticks, edge, statistics)

    # What it knows, as of `flushed`.

    @property
    def flushed(self) -> int:
        """Offset up to which live connections have everything that is not held back."""
        return self._edge.offset

    @property
    def flushing(self) -> bool:
        """Whether a flush is between two of its slices; a live connection's lanes must not change then."""
        return self._edge.flushing

    @property
    def watermark_ms(self) -> int:
        """Every source has been read up to this time."""
        return self._edge.watermark_ms

    @property
    def load(self) -> int:
        """How far load is shed; see `LiveEdge.load`."""
        return self._edge.load

    @load.setter
    def load(self, load: int) -> None:
        self._edge.load = load

    @property
    def problem(self) -> str:
        """The code of what keeps the feed from going on, for the ticks; empty where nothing does."""
        return self._ticks.problem

    @problem.setter
    def problem(self, problem: str) -> None:
        self._ticks.problem = problem

    @property
    def behind(self) -> int:
        """How many connections are not live."""
        return self._placement.not_live_count

    @property
    def catching(self) -> tuple[Subscriber, ...]:
        """Connections that are behind and could go on."""
        return self._placement.catching

    @property
    def lane_count(self) -> int:
        """Lanes that somebody follows."""
        return len(self._lanes)

    def samples(self) -> Iterator[Sample]:
        """What is measured of connections, lanes and figures."""
        yield Sample("fire22_connections_catching_up", "Connections not at the live edge.", self.behind)
        yield Sample("fire22_lanes", "Lanes that somebody follows.", self.lane_count)
        help = "How far load is shed: 1 views, 2 and lossy streams, 3 and new connections."
        yield Sample("fire22_load_level", help, self.load)
        age = max(0, self._now_ms() - self.watermark_ms) / 1000
        yield Sample("fire22_watermark_age_seconds", "Age of the figures: now less the watermark.", age)
        yield from self.statistics.samples()
        yield from codec.samples()

    def begin(self, waiting: Mapping[tuple[str, str], int]) -> None:
        """Take what flows have yet to publish as of the start; see `Batch.waiting`."""
        self._edge.begin(waiting)

    def position(self, offset: int) -> Position:
        """The position of an offset in this feed."""
        return self._ticks.position(offset)

    def complete_ms(self, topic: str, scope: str) -> int:
        """Up to which watermark all facts are in what a scope of a topic shows."""
        return self._edge.complete_ms(topic, scope)

    def freshness(self, subscriber: Subscriber) -> dict[str, Json]:
        """What a connection is answered that asks between two ticks."""
        return self._ticks.freshness(subscriber)

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

    def snapshot_page(self, topic: Topic, key: LaneKey, last: int) -> Pieces[Page]:
        """What a new subscription begins with, as of `flushed`, oldest first; in pieces."""
        if topic.kind is Kind.VIEW:
            return self.history.documents(key, self._edge.offset)
        return self.history.page(key, self._edge.offset + 1, last, self._edge.offset)

    def history_page(self, key: LaneKey, before: int | None, limit: int) -> Pieces[Page]:
        """A stream's newest messages below an offset; in pieces."""
        newest = self._edge.offset + 1
        return self.history.page(key, newest if before is None else min(before, newest), limit, self._edge.offset)

    # Connections and their subscriptions.

    def enter(self, subscriber: Subscriber) -> None:
        """Take in a connection that follows nothing yet."""
        self._placement.go_live(subscriber, ())

    def identify(self, subscriber: Subscriber) -> None:
        """From now on it receives what is addressed to its `recipient`. Once for each connection."""
        self._recipients.add(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a connection."""
        lanes = subscriber.lanes
        self._recipients.remove(subscriber)
        self._placement.remove(subscriber)
        for lane in lanes:
            self._lanes.release(lane)

    def resume(self, topic: Topic, position: Position) -> Resumed:
        """Where a subscription with a stored position begins."""
        flushed = self._edge.offset
        if position.epoch != self._feed.epoch:
            return Resumed(flushed, False, codes.EPOCH_CHANGED.name)
        if position.offset > self._feed.checkpoint.offset:
            return Resumed(flushed, False, codes.POSITION_AHEAD.name)
        horizon = self.history.horizon(topic.name)
        if position.offset < horizon:
            return Resumed(flushed, False, codes.POSITION_LOST.name, (position.offset + 1, horizon))
        return Resumed(min(position.offset, flushed), True)

    def follow(self, subscriber: Subscriber, key: LaneKey, cursor: int, *, resumed: bool = False) -> None:
        """Add a subscription; one on the same topic and scope is replaced. Not while `flushing` and live.

        Args:
            cursor: the offset after which its messages are to come.
            resumed: whether the cursor is a stored position: what is addressed to this connection comes from there too.
        """
        if self._follow_live(subscriber, key, cursor):
            return
        cursors = self._placement.cursors(subscriber)
        self._placement.drop(cursors, key.topic, key.scope)
        lane = self._lanes.take(key, subscriber.codec)
        cursors[lane] = cursor
        if resumed and self._topics[key.topic].kind is Kind.VIEW:
            subscriber.needs_snapshot = {*(subscriber.needs_snapshot or ()), lane}
        if resumed and (subscriber.resumed_at is None or cursor < subscriber.resumed_at):
            subscriber.resumed_at = cursor
            kept_from = max(cursor, self.history.horizon(DIRECT))  # a view's position may be older than what is kept
            for each in cursors:
                if each.key.to:
                    cursors[each] = min(cursors[each], kept_from)
        self._placement.place(subscriber, cursors)

    def _follow_live(self, subscriber: Subscriber, key: LaneKey, cursor: int) -> bool:
        """The usual case, made cheap for crowds: a live connection adds a lane from the live edge on."""
        cohort, edge = subscriber.cohort, self._edge
        if cohort is None or edge.flushing or cursor != edge.offset or edge.held:
            return False
        if any(lane.key.topic == key.topic and lane.key.scope == key.scope for lane in cohort.lanes):
            return False
        lane = self._lanes.take(key, subscriber.codec)
        self._placement.remove(subscriber)
        self._placement.go_live(subscriber, (*cohort.lanes, lane))
        return True

    def unfollow(self, subscriber: Subscriber, topic: str, scope: str) -> bool:
        """Remove a subscription; whether there was one. Not while `flushing` and live."""
        cursors = self._placement.cursors(subscriber)
        found = self._placement.drop(cursors, topic, scope)
        self._placement.place(subscriber, cursors)
        return found

    def mask(self, subscriber: Subscriber, key: LaneKey, mask: Mask) -> None:
        """Go on with a subscription under another mask. Not while `flushing` and live.

        A view's documents come whole: what the reader has of them was seen through the other mask.
        """
        cursors = self._placement.cursors(subscriber)
        cursor = next(cursor for lane, cursor in cursors.items() if lane.key == key)
        self._placement.drop(cursors, key.topic, key.scope)
        lane = self._lanes.take(replace(key, mask=mask), subscriber.codec)
        cursors[lane] = cursor
        if self._topics[key.topic].kind is Kind.VIEW:
            cursors[lane] = self.history.horizon(key.topic)
            subscriber.needs_snapshot = {*(subscriber.needs_snapshot or ()), lane}
        self._placement.place(subscriber, cursors)

    # What the loop drives; the generators yield wherever they may pause.

    @property
    def pending_bytes(self) -> int:
        """Payload bytes that wait for the next flush."""
        return self._flush.pending_bytes

    @property
    def urgent(self) -> bool:
        """Whether a critical message should overtake what is under way or waits."""
        return self._flush.urgent

    def due_s(self) -> float | None:
        """When the next lane that holds something back may be written to; None where none does."""
        return self._pacing.due_s()

    def deliver(self, batch: Batch) -> bool:
        """Take a batch for the next flush; whether something critical is in it."""
        return self._flush.take(batch)

    def flush(self, now_s: float) -> Iterator[None]:
        """Write what has come to all live connections; see `Flush.run`."""
        return self._flush.run(now_s)

    def overtake(self) -> Iterator[None]:
        """Write the critical messages that wait, alone. Not beside another overtaking."""
        return self._flush.overtake()

    def heartbeat(self) -> Iterator[None]:
        """Send a tick to every live connection to which nothing was written for two calls; called twice an interval."""
        return self._flush.heartbeat()

    def announce(self, message: bytes) -> Iterator[None]:
        """Send to every connection what is in no feed: what becomes of the server itself."""
        return self._flush.announce(message)

    def catch_up(self, subscriber: Subscriber, supplied: Supply | None = None) -> Need | None:
        """Take a connection one block further, and make it live where it has caught up; see `CatchUp.step`."""
        return self._catch_up.step(subscriber, supplied)

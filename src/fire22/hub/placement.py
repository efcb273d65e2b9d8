"""Where each connection stands: live in a cohort, behind by a cursor, or ahead of a lane that holds back.

Becoming live is one synchronous step, at exactly the offset up to which each lane has been written: there is no moment
in which a message could be missed or come twice.
"""

from fire22.core.scope import ROOT
from fire22.core.topic import DIRECT
from fire22.hub.base import LaneKey, Subscriber
from fire22.hub.edge import LiveEdge
from fire22.hub.lane import Cohort, CohortKey, Lane
from fire22.hub.lanes import Lanes
from fire22.hub.recipients import Recipients
from fire22.hub.statistics import Statistics


class Placement:
    """All cohorts and cursors."""

    def __init__(self, lanes: Lanes, recipients: Recipients, edge: LiveEdge, statistics: Statistics) -> None:
        self._lanes = lanes
        self._recipients = recipients
        self._edge = edge
        self._statistics = statistics
        self._cohorts: dict[CohortKey, Cohort] = {}
        self._behind: dict[Subscriber, None] = {}
        self._ahead: dict[Subscriber, None] = {}

    @property
    def cohorts(self) -> list[Cohort]:
        """The cohorts that there are now."""
        return list(self._cohorts.values())

    @property
    def not_live(self) -> tuple[Subscriber, ...]:
        """Connections that are behind, or ahead of a lane."""
        return (*self._behind, *self._ahead)

    @property
    def catching(self) -> tuple[Subscriber, ...]:
        """Connections that are behind and could go on."""
        return tuple(each for each in self._behind if not each.paused)

    @property
    def not_live_count(self) -> int:
        """How many connections are not live."""
        return len(self._behind) + len(self._ahead)

    def goal(self, subscriber: Subscriber, lane: Lane) -> int:
        """How far a connection reads on: a view that was resumed to the newest state, since it may have seen that."""
        reads_whole = subscriber.needs_snapshot and lane in subscriber.needs_snapshot
        return self._edge.offset if reads_whole else self._edge.written_to(lane)

    def cursors(self, subscriber: Subscriber) -> dict[Lane, int]:
        """For each lane of a connection, the offset up to which it has everything: a copy."""
        if subscriber.cursors is not None:
            return dict(subscriber.cursors)
        if subscriber.cohort is None:
            return {}
        if self._edge.flushing and subscriber.cohort.lanes:
            raise AssertionError("a live connection's lanes changed within a flush")
        return self._live_cursors(subscriber, subscriber.cohort)

    def drop(self, cursors: dict[Lane, int], topic: str, scope: str) -> bool:
        """Take the lane of a subscription out of cursors; whether it was there."""
        for lane in cursors:
            if lane.key.topic == topic and lane.key.scope == scope and not lane.key.to:
                del cursors[lane]
                self._lanes.release(lane)
                return True
        return False

    def place(self, subscriber: Subscriber, cursors: dict[Lane, int]) -> None:
        """Live where it has what every lane has been written, else behind, or ahead of a lane that holds back."""
        self.remove(subscriber)
        behind = any(cursor < self.goal(subscriber, lane) for lane, cursor in cursors.items())
        if not behind and all(cursor == self._edge.written_to(lane) for lane, cursor in cursors.items()):
            subscriber.needs_snapshot = None
            self.go_live(subscriber, tuple(lane for lane in cursors if not lane.key.to))
            return
        subscriber.cursors = cursors
        (self._behind if behind else self._ahead)[subscriber] = None

    def go_live(self, subscriber: Subscriber, lanes: tuple[Lane, ...]) -> None:
        """Join the cohort of these lanes; the connection has all that each of them has been written."""
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
            early = [each for offset, each in lane.sent_early.items() if offset > subscriber.critical_sent_to]
            if early:
                subscriber.write(lane.codec.pack(early))

    def demote(self, subscriber: Subscriber, cohort: Cohort) -> None:
        """A live connection takes no more for now: it reads on from here at its own pace."""
        if subscriber.cohort is not cohort:  # the write has ended it
            return
        cursors = self._live_cursors(subscriber, cohort)
        self.remove(subscriber)
        subscriber.cursors = cursors
        self._behind[subscriber] = None
        self._statistics.demoted += 1

    def place_ahead(self) -> None:
        """A lane may have caught up with those who are ahead of it."""
        ahead, self._ahead = self._ahead, {}
        for subscriber in ahead:
            if subscriber.cursors is not None:
                self.place(subscriber, subscriber.cursors)

    def remove(self, subscriber: Subscriber) -> None:
        """A connection stands nowhere: it leaves, or is about to be placed."""
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
            self._ahead.pop(subscriber, None)

    def _live_cursors(self, subscriber: Subscriber, cohort: Cohort) -> dict[Lane, int]:
        """The cursors of a live connection."""
        cursors = {lane: self._edge.written_to(lane) for lane in cohort.lanes}
        recipient = subscriber.recipient
        if recipient is not None:
            key = LaneKey(DIRECT, ROOT, None, False, subscriber.codec.name, to=self._recipients.targets(recipient))
            cursors[Lane(key, subscriber.codec)] = self._edge.offset
        return cursors

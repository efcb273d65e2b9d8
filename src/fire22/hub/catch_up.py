"""Catching up: a connection that is behind reads the shared feed at its own pace, until it is live."""

from typing import Final

from fire22.hub.base import Subscriber
from fire22.hub.edge import LiveEdge
from fire22.hub.history import Block, History, Need, Supply
from fire22.hub.lane import Lane, Skipped
from fire22.hub.placement import Placement
from fire22.hub.statistics import Statistics
from fire22.hub.ticks import Ticks

LOSSY_OFFSETS: Final = 1 << 22  # how far behind the live edge a lossy subscription is at most: about a second


class CatchUp:
    """Takes connections that are behind one block further at a time."""

    def __init__(
        self, history: History, placement: Placement, ticks: Ticks, edge: LiveEdge, statistics: Statistics
    ) -> None:
        self._history = history
        self._placement = placement
        self._ticks = ticks
        self._edge = edge
        self._statistics = statistics

    def step(self, subscriber: Subscriber, supplied: Supply | None = None) -> Need | None:
        """Take a connection one block further, and make it live where it has caught up.

        One that waited for so long that what it has yet to read is no longer kept is told so (`position_lost`).

        Args:
            supplied: what an earlier call said it needs; left aside where the connection stands elsewhere by now.

        Returns:
            What must be read from storage before the next call; None where memory is enough.
        """
        cursors = subscriber.cursors
        if cursors is None:
            return None
        self._send_critical(subscriber, cursors)
        below = [lane for lane, cursor in cursors.items() if cursor < self._placement.goal(subscriber, lane)]
        if below and subscriber.cursors is cursors:
            lane = min(below, key=cursors.__getitem__)
            block = self._next_block(subscriber, lane, cursors[lane], supplied)
            if block is None:
                subscriber.position_lost()
                return None
            if isinstance(block, Need):
                return block
            self._write(subscriber, cursors, lane, block)
        if subscriber.cursors is cursors:  # the write may have ended the connection
            self._placement.place(subscriber, cursors)
        return None

    def _next_block(
        self, subscriber: Subscriber, lane: Lane, cursor: int, supplied: Supply | None
    ) -> Block | Need | None:
        upto = self._placement.goal(subscriber, lane)
        if lane.key.lossy and upto - cursor > LOSSY_OFFSETS:
            return self._history.skip(lane, cursor, upto - LOSSY_OFFSETS, supplied)
        if subscriber.needs_snapshot and lane in subscriber.needs_snapshot:
            subscriber.needs_snapshot = subscriber.needs_snapshot - {lane} or None
            return self._history.whole(lane, cursor, upto)
        return self._history.block(lane, cursor, upto, supplied)

    def _write(self, subscriber: Subscriber, cursors: dict[Lane, int], lane: Lane, block: Block) -> None:
        low = min(cursors.values())
        cursors[lane] = block.end
        if block.skipped is not None:
            self._statistics.skipped += block.skipped.count
            known = subscriber.skipped or {}
            known[lane] = known[lane].joined(block.skipped) if lane in known else block.skipped
            subscriber.skipped = known
        position = min(cursors.values())
        still_skipping = lane.key.lossy and self._placement.goal(subscriber, lane) - block.end > LOSSY_OFFSETS
        if block.data or (position > low and not still_skipping):
            skipped = _skipped(subscriber, cursors)
            subscriber.skipped = None
            self._statistics.messages += block.count
            caught_up = all(at == self._placement.goal(subscriber, each) for each, at in cursors.items())
            lanes = tuple(each for each in cursors if not each.key.to) if caught_up else None
            subscriber.write(block.data + self._ticks.packed(subscriber.codec, position, lanes, skipped))

    def _send_critical(self, subscriber: Subscriber, cursors: dict[Lane, int]) -> None:
        """Critical messages come before the backlog."""
        for lane, cursor in cursors.items():
            if lane.recent_critical and lane.recent_critical[-1].offset > max(cursor, subscriber.critical_sent_to):
                after = max(cursor, subscriber.critical_sent_to)
                items = [item for item in lane.recent_critical if item.offset > after]
                watermark_ms = self._edge.watermark_ms
                fresh = [lane.message(item) for item in items if not item.is_expired(watermark_ms)]
                if fresh:
                    self._statistics.messages += len(fresh)
                    subscriber.write(lane.codec.pack(fresh))
        newest = max((lane.recent_critical[-1].offset for lane in cursors if lane.recent_critical), default=0)
        subscriber.critical_sent_to = max(subscriber.critical_sent_to, newest)


def _skipped(subscriber: Subscriber, cursors: dict[Lane, int]) -> list[Skipped]:
    """What the lanes that it still follows have left out."""
    return [skipped for lane, skipped in (subscriber.skipped or {}).items() if lane in cursors]

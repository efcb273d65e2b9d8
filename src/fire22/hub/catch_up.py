"""Catching up: a connection that is behind reads the shared feed at its own pace, until it is level and live."""

from typing import Final

from fire22.hub.base import Subscriber
from fire22.hub.edge import LiveEdge
from fire22.hub.history import Block, Need, Past, Supply
from fire22.hub.lane import Lane, Skipped
from fire22.hub.placement import Placement
from fire22.hub.statistics import Statistics
from fire22.hub.ticks import Ticks

LOSSY_OFFSETS: Final = 512  # how far behind the live edge a lossy subscription is at most


class CatchUp:
    """Takes connections that are behind one block further at a time."""

    def __init__(self, past: Past, placement: Placement, ticks: Ticks, edge: LiveEdge, statistics: Statistics) -> None:
        self._past = past
        self._placement = placement
        self._ticks = ticks
        self._edge = edge
        self._statistics = statistics

    def step(self, subscriber: Subscriber, supplied: Supply | None = None) -> Need | None:
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
        below = [lane for lane, cursor in cursors.items() if cursor < self._placement.goal(subscriber, lane)]
        if below and subscriber.cursors is cursors:
            lane = min(below, key=cursors.__getitem__)
            block = self._next_block(subscriber, lane, cursors[lane], supplied)
            if block is None:
                subscriber.overtaken()
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
            return self._past.skip(lane, cursor, upto - LOSSY_OFFSETS, supplied)
        if subscriber.unsure and lane in subscriber.unsure:
            subscriber.unsure = subscriber.unsure - {lane} or None
            return self._past.newest(lane, cursor, upto)
        return self._past.block(lane, cursor, upto, supplied)

    def _write(self, subscriber: Subscriber, cursors: dict[Lane, int], lane: Lane, block: Block) -> None:
        low = min(cursors.values())
        cursors[lane] = block.end
        if block.skipped is not None:
            self._statistics.skipped += block.skipped.count
            known = subscriber.skipped or {}
            known[lane] = known[lane].joined(block.skipped) if lane in known else block.skipped
            subscriber.skipped = known
        position = min(cursors.values())
        still_skipping = lane.key.lossy and self._edge.level(lane) - block.end > LOSSY_OFFSETS
        if block.data or (position > low and not still_skipping):
            skipped = _skipped(subscriber, cursors)
            subscriber.skipped = None
            self._statistics.messages += block.count
            level = all(at == self._placement.goal(subscriber, each) for each, at in cursors.items())
            lanes = tuple(each for each in cursors if not each.key.to) if level else None
            subscriber.write(block.data + self._ticks.packed(subscriber.codec, position, lanes, skipped))

    def _warn(self, subscriber: Subscriber, cursors: dict[Lane, int]) -> None:
        """Critical messages come before the backlog."""
        for lane, cursor in cursors.items():
            if lane.critical and lane.critical[-1].offset > max(cursor, subscriber.warned):
                after = max(cursor, subscriber.warned)
                items = [item for item in lane.critical if item.offset > after]
                watermark_ms = self._edge.watermark_ms
                fresh = [item.message(lane.key.scope) for item in items if not item.is_expired(watermark_ms)]
                if fresh:
                    self._statistics.messages += len(fresh)
                    subscriber.write(lane.codec.pack(fresh))
        newest = max((lane.critical[-1].offset for lane in cursors if lane.critical), default=0)
        subscriber.warned = max(subscriber.warned, newest)


def _skipped(subscriber: Subscriber, cursors: dict[Lane, int]) -> list[Skipped]:
    """What the lanes that it still follows have left out."""
    return [skipped for lane, skipped in (subscriber.skipped or {}).items() if lane in cursors]

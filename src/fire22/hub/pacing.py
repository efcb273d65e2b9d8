"""When a lane may be written to: at each flush, at its own rate, or, under load, once a second where it is a view."""

import math
from collections.abc import Mapping
from typing import Final

from fire22.core.topic import Kind, Topic
from fire22.feed.base import Document
from fire22.hub.edge import LiveEdge
from fire22.hub.encoding import CRITICAL
from fire22.hub.lane import Lane
from fire22.hub.statistics import Statistics

HELD_MAX: Final = 4096  # messages that a lane holds back; with more it is written to, whatever its rate
SHED_INTERVAL_S: Final = 1.0  # how often a view is written to under load


class Pacing:
    """Decides which of the lanes that something has come for are written to, and which hold it back."""

    def __init__(self, topics: Mapping[str, Topic], edge: LiveEdge, statistics: Statistics) -> None:
        self._topics = topics
        self._edge = edge
        self._statistics = statistics

    def due_s(self) -> float | None:
        """When the next lane that holds something back may be written to; None where none does."""
        slots = (_next_slot_s(lane.written_s, self._interval_s(lane)) for lane in self._edge.held)
        return min(slots, default=None)

    def due(self, dirty: dict[Lane, None], now_s: float, written_to: int) -> dict[Lane, dict[str, Document | None]]:
        """The lanes to write to, with the documents that have changed; the others hold back from `written_to` on.

        Args:
            dirty: the lanes that something has come for.
            now_s: seconds of a steady clock.
        """
        due: dict[Lane, dict[str, Document | None]] = {}
        held = self._edge.held
        for lane in {**held, **dirty} if held else dirty:
            interval_s = self._interval_s(lane)
            if interval_s and now_s < _next_slot_s(lane.written_s, interval_s) and len(lane.items) < HELD_MAX:
                self._hold(lane, written_to, shed=interval_s > lane.interval_s)
                if any(item.entry.priority >= CRITICAL for item in lane.items):
                    due[lane] = {}
            else:
                lane.written_to = None
                lane.written_s = now_s
                held.pop(lane, None)
                # Taken out at once: from here on the lane is at the live edge for whoever reads it by cursor.
                due[lane], lane.changed = lane.changed, {}
        return due

    def _interval_s(self, lane: Lane) -> float:
        if self._edge.load and self._topics[lane.key.topic].kind is Kind.VIEW:
            return max(lane.interval_s, SHED_INTERVAL_S)
        return lane.interval_s

    def _hold(self, lane: Lane, written_to: int, *, shed: bool) -> None:
        if lane.written_to is None:
            lane.written_to = written_to
            lane.complete_ms = self._edge.complete_before_ms(lane.key.topic, lane.key.scope)
            self._edge.held[lane] = None
            self._statistics.held += shed


def _next_slot_s(written_s: float, interval_s: float) -> float:
    """When a lane may be written to again: time is cut into slots, and each has at most one write.

    So lanes with the same rate are written to together, and their messages are compressed together.
    """
    if not interval_s or written_s == float("-inf"):
        return written_s
    return (math.floor(written_s / interval_s + 1e-6) + 1) * interval_s

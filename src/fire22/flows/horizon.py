"""When a fact counts, from the log alone: when it happened, unless it is from the future.

It is from the future if its time is more than a minute later than all that is known of time where it stands. Known are
the watermark and the server's own time (`system.now`, said whenever the watermark does not move). So the backlog of an
outage is never from the future, however old the watermark is. In a recorded book, whose facts stand ahead of their
clock, the next clock of the same commit group tells; where none follows, and in an old log, a fact is believed up to
400 days. What is from the future counts as of the watermark.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from fire22.core.event import Event, decode_event
from fire22.core.times import CLOCK_END_MS

CLOCK: Final = "system.clock"
CLOCK_SOURCE: Final = "clock"  # whose watermarks are the server's; those of any other source are recorded
AHEAD_MS_MAX: Final = 60_000  # by which the clocks of writers may differ from ours
UNTOLD_AHEAD_MS_MAX: Final = 400 * 24 * 3_600_000  # the same where the log does not tell the time
NEVER_MS: Final = 1 << 62
_IS_CLOCK: Final = b'"system.clock"'


class Horizon:
    """What the log knows of time, up to the event that is being folded.

    Attributes:
        watermark_ms: every source has been read up to this time.
        now_ms: the server's own time as it was told last; 0 where it is not known.
        latest_ms: what is later is from the future.
    """

    def __init__(self) -> None:
        self.watermark_ms = 0
        self.now_ms = 0
        self.latest_ms = NEVER_MS
        self._group: list[tuple[int, int]] = []  # the clocks of the running group: seq, ms
        self._clocks: deque[tuple[int, int]] = deque()  # those that are not folded yet

    def load(self, watermark_ms: int) -> None:
        """Go back, or on, to a checkpoint; the clocks of the running group are to come again."""
        self.watermark_ms, self.now_ms = watermark_ms, 0
        self._clocks = deque(self._group)
        self._bound()

    def begin(self, bodies: Iterable[tuple[int, bytes]]) -> None:
        """Look at the clocks of a group before its events are folded: a later one tells what came before it.

        Args:
            bodies: its events with their seqs.
        """
        events = [(seq, decode_event(body)) for seq, body in bodies if _IS_CLOCK in body]
        self._group = [(seq, event.at_ms) for seq, event in events if is_clock(event)]
        self._clocks = deque(self._group)
        self._bound()

    def counts_at(self, event: Event) -> tuple[int, bool]:
        """When an event counts, and whether it is from the future."""
        at_ms = event.at_ms
        if at_ms <= self.latest_ms:
            return at_ms, False
        return self.watermark_ms or self.latest_ms - AHEAD_MS_MAX, True

    def clock(self, at_ms: int, seq: int) -> bool:
        """The clock has been told by an event; whether that moves the watermark."""
        while self._clocks and self._clocks[0][0] <= seq:
            self._clocks.popleft()
        moved = at_ms > self.watermark_ms
        self.watermark_ms = max(at_ms, self.watermark_ms)
        self._bound()
        return moved

    def now(self, now_ms: int) -> None:
        """The server's own time has been told; 0 where it is known no longer."""
        self.now_ms = now_ms
        self._bound()

    def _bound(self) -> None:
        """Work out anew beyond which time a fact is from the future."""
        known_ms = self.now_ms or (self._clocks[0][1] if self._clocks else 0)
        if known_ms:
            self.latest_ms = max(known_ms, self.watermark_ms) + AHEAD_MS_MAX
        else:
            self.latest_ms = self.watermark_ms + UNTOLD_AHEAD_MS_MAX if self.watermark_ms else NEVER_MS


def is_clock(event: Event) -> bool:
    """Whether an event moves the watermark; a clock that the calendar has no room after is a dead letter."""
    return event.type == CLOCK and event.at_ms < CLOCK_END_MS

"""Nothing happens: `system.idle` lets the flows say what waits for the watermark or for its turn.

Flows say what is dear in bounded parts, and most of it with the watermark. Where no event comes, nothing would bring
the rest: a recorded book has no clock of its own between two of its events. What a flow says is a function of the log,
so that nothing else happened is an event as well. It is appended only while something waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from fire22.core.errors import Fire22Error
from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.times import to_datetime
from fire22.log.base import Log
from fire22.sources.own_events import append

NEXT_S = 0.02  # between two parts


class IdleSource:
    """Appends `system.idle`.

    Args:
        folded: the number of the event up to which the flows have folded.
        waiting: what waits to be said, by topic and scope, and since when; empty where nothing should be done about it.
        watermark_ms: the time that the event tells.
        idle_ms: so long no event must have come.
        failed: told about an append that failed; it is tried again.
    """

    def __init__(
        self,
        log: Log,
        *,
        folded: Callable[[], int],
        waiting: Callable[[], Mapping[tuple[str, str], int]],
        watermark_ms: Callable[[], int],
        idle_ms: float,
        failed: Callable[[Fire22Error], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = log
        self._folded = folded
        self._waiting = waiting
        self._watermark_ms = watermark_ms
        self._idle_s = idle_ms / 1000
        self._failed = failed
        self._sleep = sleep

    async def run(self) -> None:
        """Append until cancelled."""
        own = 0
        known: dict[tuple[str, str], int] = {}  # what waited before the own event
        while True:
            seen = self._log.last_seq
            await self._sleep(NEXT_S if own and own == seen else self._idle_s)
            waiting = self._waiting()
            if not waiting or self._folded() != seen or self._log.last_seq != seen:
                continue  # nothing waits, it is not folded yet, or something has come
            if own == seen and waiting == known:
                continue  # it did not help: something else has to come first
            known = dict(waiting)
            own = await append(self._log, idle_event(seen, self._watermark_ms()), self._failed) or own


def idle_event(after: int, at_ms: int) -> EncodedEvent:
    """The event that says that nothing has come since event `after`."""
    return encode_event(Event(f"idle:{after}:{at_ms}", "system.idle", "idle", to_datetime(at_ms), msgspec.Raw(b"{}")))

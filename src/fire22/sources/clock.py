"""The clock: `system.clock` says "every source has been read up to t", about once a second.

So a backlog after an outage falls into the windows and days where it belongs. A source that has been silent for
`source_timeout_s` is left out, so that it does not stop the others' time. Recorded sources bring their own clock.

Whenever the watermark does not move, at every start and while no source can be read, `system.now` says what time it is
instead: facts up to then may be read any moment, and are not from the future.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

import msgspec

from fire22.core.errors import Fire22Error
from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.times import to_datetime
from fire22.log.base import Log
from fire22.observability.sample import Sample
from fire22.sources.base import Source
from fire22.sources.own_events import append


class ClockSource:
    """Appends the watermark.

    Args:
        now_ms: the wall clock.
        interval_s: between two watermarks.
        source_timeout_s: a source whose reading is older than this is left out.
        failed: told about an append that failed; the next one is tried all the same.
    """

    def __init__(
        self,
        log: Log,
        sources: Sequence[Source],
        *,
        now_ms: Callable[[], int],
        interval_s: float = 1.0,
        source_timeout_s: float = 30.0,
        failed: Callable[[Fire22Error], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = log
        self._sources = sources
        self._now_ms = now_ms
        self._interval_s = interval_s
        self._timeout_ms = int(source_timeout_s * 1000)
        self._failed = failed
        self._sleep = sleep
        self._last_ms = 0

    def watermark_ms(self) -> int:
        """Every live source has been read up to here; 0 where nothing can be said."""
        now_ms = self._now_ms()
        statuses = [source.status() for source in self._sources]
        walls = [status.read_up_to_ms for status in statuses if not status.recorded]
        if not walls:
            return 0 if statuses else now_ms
        alive = [read for read in walls if read > now_ms - self._timeout_ms]
        return min(alive) if alive else 0

    def silent(self) -> list[str]:
        """The names of the sources that are left out."""
        limit = self._now_ms() - self._timeout_ms
        statuses = [source.status() for source in self._sources]
        return [each.name for each in statuses if not each.recorded and each.read_up_to_ms <= limit]

    def samples(self) -> Iterator[Sample]:
        """What is measured of the sources."""
        now_ms = self._now_ms()
        for source in self._sources:
            status = source.status()
            age = max(0, now_ms - status.read_up_to_ms) / 1000
            yield Sample("fire22_source_age_seconds", "Since a source was read whole.", age, {"source": status.name})

    async def run(self) -> None:
        """Append until cancelled."""
        while True:
            await self.tell()
            await self._sleep(self._interval_s)

    async def tell(self) -> None:
        """Append the watermark or, where it does not move, the time; before the sources run, too."""
        watermark_ms = self.watermark_ms()
        if watermark_ms > self._last_ms:
            self._last_ms = watermark_ms
            event = clock_event(watermark_ms)
        elif self._is_recorded:
            return
        else:
            event = now_event(self._now_ms())
        await append(self._log, event, self._failed)

    @property
    def _is_recorded(self) -> bool:
        """Whether the only time is that of recorded sources."""
        statuses = [source.status() for source in self._sources]
        return bool(statuses) and all(status.recorded for status in statuses)


def clock_event(at_ms: int) -> EncodedEvent:
    """The event that says how far the sources have been read."""
    return encode_event(Event(f"clock:{at_ms}", "system.clock", "clock", to_datetime(at_ms), msgspec.Raw(b"{}")))


def now_event(at_ms: int) -> EncodedEvent:
    """The event that says what time it is."""
    return encode_event(Event(f"now:{at_ms}", "system.now", "clock", to_datetime(at_ms), msgspec.Raw(b"{}")))

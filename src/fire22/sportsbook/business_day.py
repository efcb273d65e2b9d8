"""The business day: when it begins, in the book's own time zone."""

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from fire22.core.times import to_datetime, to_ms

LATEST_MS: Final = 253_402_128_000_000  # 9999-12-30: the days that end within the calendar of every time zone


class BusinessDay:
    """Finds the bounds of business days.

    Args:
        time_zone: an IANA name.
        starts_at: local wall time; one that daylight saving skips begins an hour later, one it repeats at the first.
    """

    def __init__(self, time_zone: str, starts_at: time) -> None:
        self._zone = ZoneInfo(time_zone)
        self._starts_at = starts_at

    def bounds(self, at_ms: int) -> tuple[int, int]:
        """Start and end of the day that holds a moment, as [start, end) in milliseconds since 1970 UTC.

        The last day of the calendar has no end; a moment beyond `LATEST_MS` gets the day of that.
        """
        at_ms = min(at_ms, LATEST_MS)
        local = to_datetime(at_ms).astimezone(self._zone)
        day = local.date()
        start = self._start(day.year, day.month, day.day)
        while at_ms < start:  # twice where a zone has left out a whole date
            day -= timedelta(days=1)
            start = self._start(day.year, day.month, day.day)
        end = start
        while end <= at_ms:
            day += timedelta(days=1)
            end = self._start(day.year, day.month, day.day)
        return start, end

    def _start(self, year: int, month: int, day: int) -> int:
        local = datetime.combine(datetime(year, month, day), self._starts_at, tzinfo=self._zone)
        return to_ms(local.astimezone(UTC))

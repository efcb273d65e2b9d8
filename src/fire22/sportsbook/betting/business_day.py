"""The business day: when it begins, in the book's own time zone."""

from datetime import UTC, date, datetime, time, timedelta
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
        day, at_ms = self.day_of(at_ms), min(at_ms, LATEST_MS)
        start = end = self.starts_ms(day)
        while end <= at_ms:  # twice where a zone has left out a whole date
            day += timedelta(days=1)
            end = self.starts_ms(day)
        return start, end

    def day_of(self, at_ms: int) -> date:
        """The date of the day that holds a moment: the local date on which that day starts."""
        at_ms = min(at_ms, LATEST_MS)
        day = to_datetime(at_ms).astimezone(self._zone).date()
        while at_ms < self.starts_ms(day):  # twice where a zone has left out a whole date
            day -= timedelta(days=1)
        return day

    def starts_ms(self, day: date) -> int:
        """When the day of a date starts."""
        return to_ms(datetime.combine(day, self._starts_at, tzinfo=self._zone).astimezone(UTC))

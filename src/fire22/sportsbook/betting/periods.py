"""The periods of a book: business days, the weeks and months made of them, and what each is called.

A day is called by its date, a week by the date of its first day, a month by year and month: `2026-11-24`, `2026-11-24`,
`2026-11`. Within a kind the names sort as the periods follow each other. All bounds are those of business days, so they
are in the book's time zone and hold across daylight saving: a day has 23, 24 or 25 hours.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from fire22.core.times import to_datetime, to_ms

PeriodKind = Literal["day", "week", "month"]
KINDS: Final[tuple[PeriodKind, ...]] = ("day", "week", "month")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
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


class Period(Struct, frozen=True):
    """One period.

    Args:
        key: what it is called.
        first: its first business day, as `date.toordinal` numbers it.
        after: the first business day after it.
        start_ms, end_ms: [start, end) in milliseconds since 1970 UTC.
    """

    kind: PeriodKind
    key: str
    first: int
    after: int
    start_ms: int
    end_ms: int


class Periods:
    """Finds periods; business days go by their ordinal, as `date.toordinal` numbers them.

    Args:
        time_zone: an IANA name.
        day_starts_at: local wall time.
        week_starts_on: the first day of a week.
    """

    def __init__(self, time_zone: str, day_starts_at: time, week_starts_on: Weekday = "tuesday") -> None:
        self._days = BusinessDay(time_zone, day_starts_at)
        self._weekday = WEEKDAYS.index(week_starts_on)

    def day(self, at_ms: int) -> int:
        """The business day that holds a moment."""
        return self._days.day_of(at_ms).toordinal()

    def starts_ms(self, day: int) -> int:
        """When a business day starts."""
        return self._days.starts_ms(date.fromordinal(day))

    def first(self, kind: PeriodKind, day: int) -> int:
        """The first day of the period that holds a day."""
        if kind == "day":
            return day
        return day - (day - 1 - self._weekday) % 7 if kind == "week" else month_of(day)

    def after(self, kind: PeriodKind, day: int) -> int:
        """The first day after the period that holds a day."""
        if kind == "day":
            return day + 1
        return self.first("week", day) + 7 if kind == "week" else month_after(day)

    def period(self, kind: PeriodKind, at_ms: int) -> Period:
        """The period that holds a moment."""
        day = self.day(at_ms)
        return self.between(kind, self.first(kind, day), self.after(kind, day))

    def between(self, kind: PeriodKind, first: int, after: int) -> Period:
        """The period that is made of the days from `first` until before `after`."""
        return Period(kind, key_of(kind, first), first, after, self.starts_ms(first), self.starts_ms(after))

    def bounds(self, kind: PeriodKind, at_ms: int) -> tuple[int, int]:
        """Start and end of the period that holds a moment, as [start, end) in milliseconds since 1970 UTC."""
        found = self.period(kind, at_ms)
        return found.start_ms, found.end_ms

    def key(self, kind: PeriodKind, at_ms: int) -> str:
        """What the period that holds a moment is called."""
        return key_of(kind, self.first(kind, self.day(at_ms)))


@lru_cache(maxsize=4096)
def key_of(kind: PeriodKind, first: int) -> str:
    """What the period is called that begins with a day."""
    text = date.fromordinal(first).isoformat()
    return text[:7] if kind == "month" else text


def weekday_of(day: int) -> Weekday:
    """The weekday of a business day."""
    return WEEKDAYS[(day - 1) % 7]


@lru_cache(maxsize=4096)
def month_of(day: int) -> int:
    """The first day of a day's month."""
    return date.fromordinal(day).replace(day=1).toordinal()


@lru_cache(maxsize=4096)
def month_after(day: int) -> int:
    """The first day of the month after a day's; the last month of the calendar ends with it."""
    if day >= date(9999, 12, 1).toordinal():
        return date.max.toordinal() + 1
    return (date.fromordinal(day).replace(day=1) + timedelta(days=32)).replace(day=1).toordinal()

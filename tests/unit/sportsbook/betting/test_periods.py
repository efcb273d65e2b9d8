"""Days, weeks and months of a book."""

from datetime import date, datetime, time

import pytest

from fire22.core.times import to_ms, to_text
from fire22.sportsbook.betting.periods import KINDS, PeriodKind, Periods, month_after

HOUR = 3_600_000


def ms(text: str) -> int:
    """Milliseconds of a time in RFC 3339."""
    return to_ms(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("kind", "at", "key", "start", "end"),
    [
        ("day", "2026-11-24T12:00:00Z", "2026-11-24", "2026-11-24T05:00", "2026-11-25T05:00"),
        ("day", "2026-11-24T04:59:59Z", "2026-11-23", "2026-11-23T05:00", "2026-11-24T05:00"),
        ("week", "2026-11-24T05:00:00Z", "2026-11-24", "2026-11-24T05:00", "2026-12-01T05:00"),  # a Tuesday
        ("week", "2026-11-24T04:59:59Z", "2026-11-17", "2026-11-17T05:00", "2026-11-24T05:00"),
        ("week", "2026-11-01T12:00:00Z", "2026-10-27", "2026-10-27T04:00", "2026-11-03T05:00"),  # clocks go back
        ("month", "2026-11-30T12:00:00Z", "2026-11", "2026-11-01T04:00", "2026-12-01T05:00"),
        ("month", "2026-12-01T04:59:59Z", "2026-11", "2026-11-01T04:00", "2026-12-01T05:00"),
    ],
)
def test_a_period_holds_its_moment(kind: PeriodKind, at: str, key: str, start: str, end: str) -> None:
    """Periods begin and end with the book's own days, Tuesday to Monday, and are called by their first day."""
    found = Periods("America/New_York", time(0)).period(kind, ms(at))
    assert (found.key, to_text(found.start_ms)[:16], to_text(found.end_ms)[:16]) == (key, start, end)


def test_days_of_23_and_25_hours() -> None:
    """A day on which clocks change is as long as it is, and all its hours are its own."""
    periods = Periods("America/New_York", time(0))
    for at, hours in (("2026-03-08T12:00:00Z", 23), ("2026-11-01T12:00:00Z", 25), ("2026-11-02T12:00:00Z", 24)):
        start, end = periods.bounds("day", ms(at))
        assert end - start == hours * HOUR
        assert {periods.key("day", moment) for moment in (start, end - 1)} == {at[:10]}


@pytest.mark.parametrize("weekday", ["monday", "tuesday", "sunday"])
def test_weeks_meet_and_begin_on_the_day_that_is_set(weekday: str) -> None:
    """Each day lies in exactly one week, which begins on the configured weekday."""
    periods = Periods("UTC", time(0), weekday)  # type: ignore[arg-type]
    for day in range(date(2026, 11, 1).toordinal(), date(2026, 12, 1).toordinal()):
        first, after = periods.first("week", day), periods.after("week", day)
        assert first <= day < after == first + 7
        assert date.fromordinal(first).strftime("%A").lower() == weekday


def test_months_follow_each_other() -> None:
    """The day after a month is the first of the next one, also at the end of a year."""
    assert date.fromordinal(month_after(date(2026, 12, 31).toordinal())) == date(2027, 1, 1)
    assert date.fromordinal(month_after(date(2026, 1, 31).toordinal())) == date(2026, 2, 1)


def test_keys_sort_as_the_periods_follow() -> None:
    """A list of keys is in the order of time."""
    periods = Periods("UTC", time(0))
    start = ms("2026-01-01T00:00:00Z")
    for kind in KINDS:
        keys = [periods.key(kind, start + day * 24 * HOUR) for day in range(500)]
        assert keys == sorted(keys)

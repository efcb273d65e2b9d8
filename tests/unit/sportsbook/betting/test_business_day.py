"""The business day, in the book's own time zone."""

from datetime import UTC, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from fire22.core.times import to_ms, to_text
from fire22.sportsbook.betting.periods import LATEST_MS, BusinessDay

HOUR = 3_600_000


def ms(text: str) -> int:
    """Milliseconds of a time in RFC 3339."""
    return to_ms(datetime.fromisoformat(text))


def bounds(zone: str, starts_at: str, at: str) -> tuple[str, str]:
    """The bounds of a day, as texts in UTC without their milliseconds."""
    start, end = BusinessDay(zone, time.fromisoformat(starts_at)).bounds(ms(at))
    return to_text(start).replace(".000", ""), to_text(end).replace(".000", "")


@pytest.mark.parametrize(
    ("zone", "starts_at", "at", "start", "end"),
    [
        ("UTC", "00:00", "2026-03-01T12:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
        ("UTC", "06:00", "2026-03-01T05:59:59Z", "2026-02-28T06:00:00Z", "2026-03-01T06:00:00Z"),
        ("UTC", "06:00", "2026-03-01T06:00:00Z", "2026-03-01T06:00:00Z", "2026-03-02T06:00:00Z"),
        ("America/New_York", "00:00", "2026-01-15T04:59:59Z", "2026-01-14T05:00:00Z", "2026-01-15T05:00:00Z"),
        ("America/New_York", "00:00", "2026-01-15T05:00:00Z", "2026-01-15T05:00:00Z", "2026-01-16T05:00:00Z"),
        ("Asia/Kolkata", "00:00", "2026-01-15T18:29:59Z", "2026-01-14T18:30:00Z", "2026-01-15T18:30:00Z"),
        ("Pacific/Auckland", "23:30", "2026-07-01T11:30:00Z", "2026-07-01T11:30:00Z", "2026-07-02T11:30:00Z"),
    ],
)
def test_a_day_holds_its_moment(zone: str, starts_at: str, at: str, start: str, end: str) -> None:
    """A day begins at the book's own hour, wherever the server stands."""
    assert bounds(zone, starts_at, at) == (start, end)


@pytest.mark.parametrize(
    ("starts_at", "at", "start", "end", "hours"),
    [
        # New York goes forward on 8 March 2026 at 02:00, and back on 1 November at 02:00.
        ("00:00", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", 23),
        ("00:00", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25),
        ("06:00", "2026-03-08T06:30:00Z", "2026-03-07T11:00:00Z", "2026-03-08T10:00:00Z", 23),
        ("06:00", "2026-11-01T06:30:00Z", "2026-10-31T10:00:00Z", "2026-11-01T11:00:00Z", 25),
        # 02:30 does not exist on that day: it begins an hour later. 01:30 comes twice: it begins at the first.
        ("02:30", "2026-03-08T12:00:00Z", "2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z", 23),
        ("02:30", "2026-03-08T07:29:59Z", "2026-03-07T07:30:00Z", "2026-03-08T07:30:00Z", 24),
        ("01:30", "2026-11-01T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z", 25),
        ("01:30", "2026-11-01T06:15:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z", 25),
    ],
)
def test_daylight_saving(starts_at: str, at: str, start: str, end: str, hours: int) -> None:
    """Twice a year a day has 23 or 25 hours, and no moment falls between two days."""
    assert bounds("America/New_York", starts_at, at) == (start, end)
    assert ms(end) - ms(start) == hours * HOUR


@pytest.mark.parametrize(
    "zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"]
)
@pytest.mark.parametrize("starts_at", ["00:00", "01:30", "02:30", "23:59"])
def test_days_meet(zone: str, starts_at: str) -> None:
    """Every moment belongs to one day, and each day begins where the one before it ends, in every zone."""
    day = BusinessDay(zone, time.fromisoformat(starts_at))
    at_ms = ms("2011-12-20T00:00:00Z")
    for _ in range(800):
        start, end = day.bounds(at_ms)
        assert start <= at_ms < end
        assert day.bounds(start) == (start, end) == day.bounds(end - 1)
        assert day.bounds(end)[0] == end
        assert 22 * HOUR <= end - start <= 49 * HOUR
        at_ms = end


def test_random_moments_agree_with_the_wall_clock() -> None:
    """A day's bounds are the same wall time on neighbouring dates."""
    random, zone = Random(1), ZoneInfo("Europe/Berlin")
    day = BusinessDay("Europe/Berlin", time(5, 15))
    for _ in range(500):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(10**8))
        start, end = (datetime.fromtimestamp(each / 1000, zone) for each in day.bounds(to_ms(at)))
        assert start <= at < end
        assert (start.time(), end.time()) == (time(5, 15), time(5, 15))
        assert end.date() - start.date() == timedelta(days=1)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_ends_of_the_calendar(zone: str) -> None:
    """A fact with an absurd time is no reason to stop."""
    day = BusinessDay(zone, time(0))
    start, end = day.bounds(0)
    assert start <= 0 < end
    assert day.bounds(253_402_300_799_999) == day.bounds(LATEST_MS)

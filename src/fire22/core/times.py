"""Times as integer milliseconds since 1970 UTC inside, RFC 3339 with milliseconds at the border."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

CLOCK_END_MS: Final = 221_845_392_000_000  # the year 9000: the calendar has no room for what follows a later clock


def to_ms(time: datetime) -> int:
    """Milliseconds since 1970 UTC of an aware datetime, rounded."""
    return round(time.timestamp() * 1000)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=4096)  # what is said of one fact bears one time, and facts come many in a millisecond
def to_text(ms: int) -> str:
    """RFC 3339 UTC with milliseconds, such as 2026-01-31T12:00:00.250Z."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


def to_datetime(ms: int) -> datetime:
    """The aware datetime of milliseconds since 1970 UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)

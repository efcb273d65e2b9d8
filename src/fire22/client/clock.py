"""Time and chance, in one place, so that a test can hold them."""

import asyncio
import random
import time
from typing import Final

BACKOFF_S_MIN: Final = 0.25
BACKOFF_S_MAX: Final = 15.0


class Clock:
    """The real ones."""

    def now_s(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """The local clock, milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def random(self) -> float:
        """A number in [0, 1)."""
        return random.random()  # nosec B311  # spreads attempts to connect, keeps no secret

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def backoff_s(attempt: int, chance: float, retry_after_s: float = 0.0) -> float:
    """How long to wait before the next attempt, in seconds.

    Exponential with full jitter, so that the clients of a server that restarted do not all come back at once.

    Args:
        attempt: 0 for the first after a loss.
        chance: in [0, 1).
        retry_after_s: what the server asked for; it is never less.
    """
    ceiling: float = min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2.0 ** min(attempt, 16))
    return max(chance * ceiling, retry_after_s)

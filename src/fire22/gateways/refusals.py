"""A line in the log for each refusal, at a bounded rate: who is refused often must not fill the disk."""

from collections.abc import Callable
from typing import Final

from fire22.observability.logging import get_logger

LINES_MAX: Final = 20  # at once ...
LINES_PER_S: Final = 1.0  # ... and from then on


class Refusals:
    """Writes the lines: the code, the address, and the place that was asked, never what was sent.

    Args:
        clock: steady, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logger = get_logger()
        self._left = float(LINES_MAX)
        self._at_s = clock()
        self._left_out = 0

    def tell(self, code: str, *, address: str, route: str) -> None:
        """Log a refusal, or count it for the next line.

        Args:
            route: as the table of routes has it, or the name of a transport.
        """
        now_s = self._clock()
        self._left = min(LINES_MAX, self._left + (now_s - self._at_s) * LINES_PER_S)
        self._at_s = now_s
        if self._left < 1:
            self._left_out += 1
            return
        self._left -= 1
        more = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        self._logger.warning("refused", code=code, address=address, route=route, **more)

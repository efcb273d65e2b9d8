"""What becomes of failures that the server outlives: they are counted, logged now and then, and show in its health."""

import asyncio
from collections.abc import Callable
from typing import Final

from fire22.core import codes
from fire22.core.errors import Fire22Error
from fire22.observability.logging import get_logger

LOGGED_S: Final = 60.0  # between two lines of the server's log about the same failure
SHOWN_S: Final = 10.0  # how long a failure that is tried again shows in the health of its stage
OK: Final = "ok"


class Failures:
    """Takes what failed, stage by stage.

    Args:
        count: told about the code of each.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._logger = get_logger()
        self._loop = asyncio.get_running_loop()
        self._met: dict[str, tuple[str, float]] = {}  # by stage: the code, and when it was met

    def of(self, stage: str, *, shown: bool = True) -> Callable[[Fire22Error], None]:
        """What a stage calls with a failure that it tries again.

        Args:
            shown: whether it shows in the stage's health.
        """
        if shown:
            self._met.setdefault(stage, (OK, -SHOWN_S))
        logged: dict[str, float] = {}

        def tell(error: Fire22Error) -> None:
            now_s = self._loop.time()
            if shown:
                # Damage does not pass by being met only once.
                self._met[stage] = (error.code.name, float("inf") if error.code is codes.STORAGE_CORRUPT else now_s)
            self._count(error.code.name)
            # What is tried again several times a second is said now and then.
            if now_s >= logged.get(error.message, 0.0):
                logged.clear()
                logged[error.message] = now_s + LOGGED_S
                self._logger.warning("retrying after an error", stage=stage, code=error.code.name, reason=error.message)

        return tell

    def row_rejected(self, number: int, why: str) -> None:
        """A row of a book is no event."""
        self._count(codes.EVENT_INVALID.name)
        self._logger.warning("outbox row skipped", number=number, reason=why)

    def health(self) -> dict[str, str]:
        """By stage: `ok`, or the code of what failed a moment ago."""
        since_s = self._loop.time() - SHOWN_S
        return {stage: code if at_s > since_s else OK for stage, (code, at_s) in self._met.items()}

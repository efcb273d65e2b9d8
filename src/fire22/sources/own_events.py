"""Appends what the server itself has to say: the clock, and that nothing happens."""

from collections.abc import Callable

from fire22.core import codes
from fire22.core.errors import Fire22Error
from fire22.core.event import EncodedEvent
from fire22.log.base import Log


async def append(log: Log, event: EncodedEvent, failed: Callable[[Fire22Error], None]) -> int:
    """Append an event that need not be said again: the next one says more.

    Args:
        failed: told about a failure that may pass, or that concerns this event alone.

    Returns:
        The event's number; 0 where it could not be appended now.

    Raises:
        Fire22Error: the log is lost for good.
    """
    try:
        answers = await log.append([event])
    except Fire22Error as error:
        # Another event under this id costs this one alone.
        if not error.temporary and error.code is not codes.ID_CONFLICT:
            raise
        failed(error)
        return 0
    return answers[0].seq if answers else 0

"""The errors of the book's arithmetic; they belong to the tree in `core/errors.py`."""

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.sportsbook.betting import codes as betting_codes


class AmountError(RequestError, ValueError):
    """Odds, a factor, a rate or an amount is not readable or out of its bounds (`event_invalid`)."""

    def __init__(self, message: str) -> None:
        super().__init__(codes.EVENT_INVALID, message)


class StateError(RequestError):
    """A wager cannot go from one state to another (`transition_illegal`); `details` names both.

    Args:
        before, after: states of `lifecycle.py`.
        why: one sentence for a person, without the states.
    """

    def __init__(self, before: str, after: str, why: str) -> None:
        message = f"A wager that is {before} cannot become {after}: {why}"
        super().__init__(betting_codes.TRANSITION_ILLEGAL, message, details={"before": before, "after": after})

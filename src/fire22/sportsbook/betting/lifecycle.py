"""What may become of a wager, what that means to who follows it, and what it is worth to end it early.

    requested ──► accepted, review, rejected
    review ─────► accepted, rejected, expired
    accepted ───► settled, cancelled, voided, cashed_out, or modified: accepted at the next version
    settled ────► settled at the next revision, voided

Everything else is the end. A roll-back makes what ended an accepted wager undone: it is accepted again. That takes a
privilege, as do no other transitions.

Source: domain rules, "Lifecycle".
"""

from fractions import Fraction
from typing import Final, Literal

from msgspec import Struct

from fire22.sportsbook.betting.errors import AmountError, StateError
from fire22.sportsbook.betting.money import half_up
from fire22.sportsbook.betting.odds import checked

State = Literal[
    "requested", "review", "accepted", "rejected", "expired", "settled", "cancelled", "voided", "cashed_out"
]
Action = Literal["placed", "modified", "settled", "cancelled"]
Counter = Literal["version", "revision"]


class Transition(Struct, frozen=True):
    """What a transition means.

    Args:
        before, after: the states.
        action: what the ticker says; None where it says nothing, as the wager was never accepted.
        counts: which number of the wager rises by one: the version with the wager itself, the revision with its
            settlement.
        privileged: it is a roll-back.
    """

    before: State
    after: State
    action: Action | None = None
    counts: Counter | None = None
    privileged: bool = False


_TRANSITIONS: Final = {
    (one.before, one.after): one
    for one in (
        Transition("requested", "accepted", "placed"),
        Transition("requested", "review"),
        Transition("requested", "rejected"),
        Transition("review", "accepted", "placed"),
        Transition("review", "rejected"),
        Transition("review", "expired"),
        Transition("accepted", "accepted", "modified", "version"),
        Transition("accepted", "settled", "settled", "revision"),
        Transition("accepted", "cashed_out", "settled", "revision"),
        Transition("accepted", "cancelled", "cancelled", "version"),
        Transition("accepted", "voided", "cancelled", "version"),
        Transition("settled", "settled", "settled", "revision"),
        Transition("settled", "voided", "cancelled", "version"),
        Transition("settled", "accepted", "placed", "version", privileged=True),
        Transition("cancelled", "accepted", "placed", "version", privileged=True),
        Transition("voided", "accepted", "placed", "version", privileged=True),
        Transition("cashed_out", "accepted", "placed", "version", privileged=True),
    )
}


def transition(before: State, after: State, *, privileged: bool = False) -> Transition:
    """What it means that a wager goes from one state to another; the same state twice is a change within it.

    Args:
        privileged: whether who asks may roll back.

    Raises:
        StateError: it cannot, or not without the privilege.
    """
    found = _TRANSITIONS.get((before, after))
    if found is None:
        following = ", ".join(successors(before, privileged=privileged)) or "nothing"
        raise StateError(before, after, f"what may follow is {following}.")
    if found.privileged and not privileged:
        raise StateError(before, after, "a roll-back takes a privilege.")
    return found


def is_legal(before: State, after: State, *, privileged: bool = False) -> bool:
    """Whether a wager may go from one state to another."""
    found = _TRANSITIONS.get((before, after))
    return found is not None and (privileged or not found.privileged)


def successors(before: State, *, privileged: bool = False) -> tuple[State, ...]:
    """The states that may follow one; none follows a terminal state."""
    return tuple(
        one.after for one in _TRANSITIONS.values() if one.before == before and (privileged or not one.privileged)
    )


def cash_out_minor(stake_minor: int, struck: Fraction, now: Fraction, margin: Fraction) -> int:
    """What the book pays to end an open cash wager early: stake · struck / now · (1 − margin), minor units.

    Args:
        stake_minor: the cash risk; not negative. A free play has none, and no price to be ended at.
        struck: decimal odds of the wager; of a parlay the product of its legs.
        now: what the same would be struck at now; a leg that has won counts with 1 there.
        margin: what the book keeps; at least 0, below 1.

    Returns:
        Rounded half up once.

    Raises:
        AmountError: an argument is out of its bounds.
    """
    if stake_minor < 0 or not 0 <= margin < 1:
        raise AmountError(f"a stake is not negative and a margin at least 0, below 1: {stake_minor}, {margin}")
    return half_up(stake_minor * checked(struck) / checked(now) * (1 - margin))

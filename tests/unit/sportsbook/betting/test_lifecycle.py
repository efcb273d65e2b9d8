"""The life of a wager. Source: domain rules, "Lifecycle"."""

from fractions import Fraction
from typing import get_args

import pytest

from fire22.sportsbook.betting import codes
from fire22.sportsbook.betting.errors import AmountError, StateError
from fire22.sportsbook.betting.lifecycle import Action, Counter, State, cash_out_minor, is_legal, successors, transition

STATES: tuple[State, ...] = get_args(State)
LEGAL: dict[State, set[State]] = {
    "requested": {"accepted", "review", "rejected"},
    "review": {"accepted", "rejected", "expired"},
    "accepted": {"settled", "cancelled", "voided", "cashed_out", "accepted"},
    "settled": {"settled", "voided"},
}
ROLLED_BACK: set[State] = {"settled", "cancelled", "voided", "cashed_out"}


@pytest.mark.parametrize("before", STATES)
def test_what_may_follow(before: State) -> None:
    """The table of the domain rules, and nothing else, is legal for whoever has no privilege."""
    assert set(successors(before)) == LEGAL.get(before, set())
    assert {after for after in STATES if is_legal(before, after)} == LEGAL.get(before, set())


@pytest.mark.parametrize("before", STATES)
def test_a_roll_back_takes_a_privilege(before: State) -> None:
    """What ended an accepted wager can be undone by the privileged, and by nobody else."""
    added = {"accepted"} if before in ROLLED_BACK else set()
    assert set(successors(before, privileged=True)) == LEGAL.get(before, set()) | added
    if added:
        assert transition(before, "accepted", privileged=True).privileged
        with pytest.raises(StateError, match="privilege"):
            transition(before, "accepted")


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_legal_is_what_does_not_raise(before: State, after: State) -> None:
    """Asking and doing agree; who may not is told both states."""
    for privileged in (False, True):
        if is_legal(before, after, privileged=privileged):
            found = transition(before, after, privileged=privileged)
            assert (found.before, found.after) == (before, after)
            continue
        with pytest.raises(StateError, match=f"is {before} cannot become {after}") as caught:
            transition(before, after, privileged=privileged)
        assert caught.value.details == {"before": before, "after": after}
        assert caught.value.code is codes.TRANSITION_ILLEGAL


@pytest.mark.parametrize(
    ("before", "after", "action", "counts"),
    [
        ("requested", "accepted", "placed", None),
        ("review", "accepted", "placed", None),
        ("requested", "review", None, None),
        ("requested", "rejected", None, None),
        ("review", "rejected", None, None),
        ("review", "expired", None, None),
        ("accepted", "accepted", "modified", "version"),
        ("accepted", "settled", "settled", "revision"),
        ("settled", "settled", "settled", "revision"),
        ("accepted", "cashed_out", "settled", "revision"),
        ("accepted", "cancelled", "cancelled", "version"),
        ("accepted", "voided", "cancelled", "version"),
        ("settled", "voided", "cancelled", "version"),
        ("settled", "accepted", "placed", "version"),
        ("cancelled", "accepted", "placed", "version"),
    ],
)
def test_what_a_transition_means(before: State, after: State, action: Action | None, counts: Counter | None) -> None:
    """Placed is accepted, cancelled covers voided, and a wager that was never accepted is not said at all."""
    found = transition(before, after, privileged=True)
    assert (found.action, found.counts) == (action, counts)


def test_an_end_is_said() -> None:
    """Who wants to go on from a terminal state is told that nothing follows."""
    with pytest.raises(StateError, match="what may follow is nothing"):
        transition("rejected", "accepted", privileged=True)


@pytest.mark.parametrize(
    ("struck", "now", "margin", "paid"),
    [
        ("3", "2", "0", 15_000),
        ("3", "2", "0.05", 14_250),
        ("2", "4", "0.1", 4_500),
        ("2", "2", "0", 10_000),
        ("1.95", "1.01", "0.05", 18_342),
    ],
)
def test_a_cash_out(struck: str, now: str, margin: str, paid: int) -> None:
    """100.00: stake · odds as struck / odds now · (1 − margin), rounded half up once."""
    assert cash_out_minor(10_000, Fraction(struck), Fraction(now), Fraction(margin)) == paid


@pytest.mark.parametrize(
    ("stake", "struck", "now", "margin"),
    [(-1, "2", "2", "0"), (1, "1", "2", "0"), (1, "2", "1", "0"), (1, "2", "2", "1"), (1, "2", "2", "-0.1")],
)
def test_a_cash_out_out_of_bounds(stake: int, struck: str, now: str, margin: str) -> None:
    """A price is made of a stake, odds above 1 and a margin below 1."""
    with pytest.raises(AmountError):
        cash_out_minor(stake, Fraction(struck), Fraction(now), Fraction(margin))

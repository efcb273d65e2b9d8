"""What may become of a payment, and what it moves."""

import itertools

import pytest

from fire22.sportsbook.betting import payments
from fire22.sportsbook.betting.payments import STATES, State, balance_minor, is_legal, state_of, successors

LEGAL = {
    ("requested", "approved"), ("requested", "completed"), ("requested", "rejected"), ("requested", "failed"),
    ("approved", "completed"), ("approved", "rejected"), ("approved", "failed"), ("completed", "charged_back"),
}  # fmt: skip


def test_only_the_listed_steps_are_legal() -> None:
    """A cashier can take every step of the page, and no other."""
    assert {pair for pair in itertools.product(STATES, STATES) if is_legal(*pair)} == LEGAL
    assert {(before, after) for before in STATES for after in successors(before)} == LEGAL


def test_what_is_undecided_has_something_to_decide() -> None:
    """Whatever waits in the queue can be rejected, and what does not wait cannot."""
    assert {state for state in STATES if is_legal(state, "rejected")} == set(payments.UNDECIDED)


@pytest.mark.parametrize("state", STATES)
def test_the_balance_moves_when_money_does(state: State) -> None:
    """A completed deposit is the customer's gain and a withdrawal the loss; a charge-back is the opposite."""
    expected = {"completed": 250, "charged_back": -250}.get(state, 0)
    assert balance_minor(state, "deposit", 250) == expected
    assert balance_minor(state, "withdrawal", 250) == -expected


def test_each_event_tells_of_one_state() -> None:
    """The type of the event is the step."""
    assert [state_of(f"payment.{state}") for state in STATES] == list(STATES)
    with pytest.raises(AssertionError, match="no step"):
        state_of("payment.lost")

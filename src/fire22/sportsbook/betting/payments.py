"""What may become of a payment, and what each step does to the balance of the customer.

    requested ──► approved, completed, rejected, failed
    approved ───► completed, rejected, failed
    completed ──► charged_back

Everything else is the end. A payment is first heard of in any state: the book may write it when it is done, and what
was under way when the book was connected goes on from where it stood.

Source: domain rules, sections 5 and 6; the transitions are the domain's own judgement.
"""

from typing import Final, Literal

from msgspec import Struct

from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.sportsbook.betting.bounds import Direction
from fire22.sportsbook.betting.money import Major

State = Literal["requested", "approved", "completed", "rejected", "failed", "charged_back"]
STATES: Final[tuple[State, ...]] = ("requested", "approved", "completed", "rejected", "failed", "charged_back")
UNDECIDED: Final[tuple[State, ...]] = ("requested", "approved")

_FOLLOWING: Final[dict[State, tuple[State, ...]]] = {
    "requested": ("approved", "completed", "rejected", "failed"),
    "approved": ("completed", "rejected", "failed"),
    "completed": ("charged_back",),
    "rejected": (),
    "failed": (),
    "charged_back": (),
}
# What a step moves, of the amount, for a deposit; a withdrawal moves the opposite.
_MOVES: Final[dict[State, int]] = {"completed": 1, "charged_back": -1}


class PaymentRecord(Struct, frozen=True, gc=False, array_like=True):
    """A payment as it is known; minor units.

    Args:
        order: the place in the log of the fact that told of it first, or that put it at the end of another line.
        path: of the agent, when it was told of first, and as long as it is undecided the customer's.
        requested_ms: when it was told of first.
    """

    state: State
    order: int
    customer_id: str
    agent_id: str
    path: str
    direction: Direction
    method: str
    amount: int
    requested_ms: int

    @property
    def undecided(self) -> bool:
        """Whether somebody still has to decide about it."""
        return self.state in UNDECIDED


def state_of(event_type: str) -> State:
    """The state that a `payment.*` event tells of."""
    for state in STATES:
        if event_type == f"payment.{state}":
            return state
    raise AssertionError(f"{event_type} is no step of a payment")


def is_legal(before: State, after: State) -> bool:
    """Whether a payment may go from one state to another."""
    return after in _FOLLOWING[before]


def successors(before: State) -> tuple[State, ...]:
    """The states that may follow one."""
    return _FOLLOWING[before]


def balance_minor(state: State, direction: Direction, amount_minor: int) -> int:
    """By what the customer's balance moves when a payment reaches a state; minor units."""
    return _MOVES.get(state, 0) * (amount_minor if direction == "deposit" else -amount_minor)


def amounts(payment: PaymentRecord) -> dict[str, int]:
    """What a payment that waits adds to the sums of the queue; minor units."""
    deposit = payment.direction == "deposit"
    return {"deposits": payment.amount if deposit else 0, "withdrawals": 0 if deposit else payment.amount}


def document(payment_id: str, payment: PaymentRecord, name: str, major: Major) -> dict[str, Json]:
    """What the queue shows of a payment; money in major units. `name` is the customer's, empty where there is none."""
    shown: dict[str, Json] = {
        "paymentId": payment_id,
        "customerId": payment.customer_id,
        "agentId": payment.agent_id,
        "agentPath": payment.path,
        "direction": payment.direction,
        "method": payment.method,
        "amount": major(payment.amount),
        "status": payment.state,
        "requestedAt": to_text(payment.requested_ms),
    }
    return shown | ({"name": name} if name else {})

"""The `data` of every event type of a sportsbook, as frozen structs.

Money is integer minor units (`...Minor` on the wire). `customerId` and `agentId` are the codes people know, `wagerId`
is the wager's own id, `path` is the agent's path when the fact happened (`/` is the house). Unknown fields are ignored,
so that a book may tell more. `sportsbook/schema/triggers.sql` makes these facts for the demo book; another book's
triggers make the same ones.
"""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=1)]
Path = Annotated[str, Meta(pattern="^/")]
Minor = Annotated[int, Meta(ge=0)]
Odds = Annotated[float, Meta(ge=1)]
Ordinal = Annotated[int, Meta(ge=1)]
Time = Annotated[datetime, Meta(tz=True)]


class Fact(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What every fact shares: how it is written."""


class Agent(Fact, frozen=True, gc=False):
    """`agent.created`, `agent.imported`; a repeat carries the whole agent anew."""

    agent_id: Id
    name: str
    path: Path
    level: Ordinal
    status: str


class Customer(Fact, frozen=True, gc=False):
    """`customer.created`, `customer.imported`."""

    customer_id: Id
    agent_id: str
    path: Path
    name: str
    status: str
    last_wager_at: Time | None = None


class Limits(Fact, frozen=True, gc=False):
    """A customer's limits."""

    credit_limit_minor: int
    max_wager_minor: int


class CustomerLimitChanged(Fact, frozen=True, gc=False):
    """`customer.limit_changed`."""

    customer_id: Id
    agent_id: str
    path: Path
    before: Limits
    after: Limits


class CustomerStatusChanged(Fact, frozen=True, gc=False):
    """`customer.status_changed`."""

    customer_id: Id
    agent_id: str
    path: Path
    before: str
    after: str


class Market(Fact, frozen=True, gc=False):
    """`market.created`, `market.imported`."""

    market_id: Id
    event_id: Id
    type: str
    status: str


class MarketStatusChanged(Fact, frozen=True, gc=False):
    """`market.status_changed`."""

    market_id: Id
    status: str


class MarketPriceChanged(Fact, frozen=True, gc=False):
    """`market.price_changed`; decimal odds."""

    market_id: Id
    selection_id: Id
    old_odds: Odds
    new_odds: Odds


class Leg(Fact, frozen=True, gc=False):
    """One leg of a wager, at the decimal odds it was struck at."""

    market_id: Id
    selection_id: Id
    odds: Odds


class WagerFact(Fact, frozen=True, gc=False):
    """What every fact of a wager says: whose it is and what is at stake.

    Args:
        path: the agent's path at acceptance.
        type: `straight`, `parlay` ...
        risk_minor: what the customer loses at most; the stake of a free play is the book's own.
        to_win_minor: the profit if it wins.
    """

    wager_id: Id
    wager_number: int
    customer_id: Id
    agent_id: str
    path: Path
    type: str
    risk_minor: Minor
    to_win_minor: Minor
    free_play: bool


class WagerPlaced(WagerFact, frozen=True, gc=False, kw_only=True):
    """`wager.placed`, `wager.imported` (an open one); at the time it was accepted."""

    channel: str
    status: str
    version: Ordinal
    legs: tuple[Leg, ...] = ()


class WagerSettled(WagerFact, frozen=True, gc=False, kw_only=True):
    """`wager.settled`, and `wager.resettled`, which replaces what was returned before.

    Args:
        revision: 1 for the first settlement.
        return_minor: what the customer gets back, stake included (for a free play only the profit).
        previous_return_minor: what the settlement before this one returned; 0 for the first.
    """

    revision: Ordinal
    result: str
    return_minor: Minor
    previous_return_minor: Minor


class WagerCancelled(WagerFact, frozen=True, gc=False, kw_only=True):
    """`wager.cancelled`; the amounts are those that were counted.

    Args:
        status: `cancelled`, `voided`, or `deleted` (the row is gone).
        settled_return_minor: what its latest settlement returned; absent if it was open.
    """

    status: str
    settled_return_minor: Minor | None = None
    reason: str = ""


class Stake(Fact, frozen=True, gc=False):
    """What was at stake before a change."""

    risk_minor: Minor
    to_win_minor: Minor


class WagerModified(WagerFact, frozen=True, gc=False, kw_only=True):
    """`wager.modified`: an open wager has other amounts now."""

    version: Ordinal
    before: Stake
    legs: tuple[Leg, ...] = ()


class Payment(Fact, frozen=True, gc=False):
    """`payment.requested`, `approved`, `completed`, `rejected`, `failed`, `charged_back`."""

    payment_id: Id
    customer_id: Id
    agent_id: str
    path: Path
    direction: str
    method: str
    amount_minor: Minor
    status: str


class RevenueImported(Fact, frozen=True, gc=False):
    """`revenue.imported`: gross revenue of the settled wagers that were there before the triggers, of one path."""

    path: Path
    revenue_minor: int


class Clock(Fact, frozen=True, gc=False):
    """`system.clock`: everything before its timestamp has been read; it carries nothing else."""


FACTS: Final[dict[str, type[Struct]]] = {
    "agent.created": Agent,
    "agent.imported": Agent,
    "customer.created": Customer,
    "customer.imported": Customer,
    "customer.limit_changed": CustomerLimitChanged,
    "customer.status_changed": CustomerStatusChanged,
    "market.created": Market,
    "market.imported": Market,
    "market.status_changed": MarketStatusChanged,
    "market.price_changed": MarketPriceChanged,
    "wager.placed": WagerPlaced,
    "wager.imported": WagerPlaced,
    "wager.settled": WagerSettled,
    "wager.resettled": WagerSettled,
    "wager.cancelled": WagerCancelled,
    "wager.modified": WagerModified,
    "payment.requested": Payment,
    "payment.approved": Payment,
    "payment.completed": Payment,
    "payment.rejected": Payment,
    "payment.failed": Payment,
    "payment.charged_back": Payment,
    "revenue.imported": RevenueImported,
    "system.clock": Clock,
}

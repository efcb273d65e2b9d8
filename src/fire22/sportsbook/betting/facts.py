"""The `data` of every event type of a sportsbook, as frozen structs.

Money is integer minor units (`...Minor` on the wire). `customerId` and `agentId` are the codes people know, `wagerId`
is the wager's own id, `path` is the agent's path when the fact happened (`/` is the house). Unknown fields are ignored,
so that a book may tell more. `sportsbook/book/schema/triggers.sql` makes these facts for the demo book; another book's
triggers make the same ones.

What their fields may hold stands in `bounds.py`.
"""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from fire22.core.event import TIME_MS_MAX
from fire22.core.times import to_ms
from fire22.sportsbook.betting.bounds import (
    LEGS_MAX,
    Currency,
    Date,
    Direction,
    Id,
    Minor,
    Number,
    Odds,
    Ordinal,
    Path,
    Share,
    SignedMinor,
    SumMinor,
    Time,
)
from fire22.sportsbook.betting.terms import Terms


class FactData(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What every fact shares: how it is written."""


class Agent(FactData, frozen=True, gc=False):
    """`agent.created`, `agent.imported`, and as it was `before` a change; a repeat carries the whole agent anew."""

    agent_id: Id
    name: str
    path: Path
    level: Ordinal
    status: str


class AgentChanged(Agent, frozen=True, gc=False, kw_only=True):
    """`agent.changed`: the whole agent anew. Its next facts have the new path; those of before keep theirs."""

    before: Agent


class Home(FactData, frozen=True, gc=False):
    """Below which agent somebody is."""

    agent_id: str
    path: Path


class Customer(FactData, frozen=True, gc=False):
    """`customer.created`, `customer.imported`.

    Args:
        bet_factor: how much of the usual limits the customer may use; a sharp player's is below 1.
        max_wager_minor: of one wager; 0 is no limit of its own.
        balance_minor: what the book owes the customer when it is told of; what moves it later comes as facts.
    """

    customer_id: Id
    agent_id: str
    path: Path
    name: str
    status: str
    segment: str = ""
    bet_factor: Annotated[float, Meta(gt=0, le=1_000)] = 1.0
    credit_limit_minor: SignedMinor = 0
    max_wager_minor: SignedMinor = 0
    balance_minor: SumMinor = 0
    currency: Currency | None = None
    last_wager_at: Time | None = None

    def __post_init__(self) -> None:
        if self.last_wager_at is not None and not 0 <= to_ms(self.last_wager_at) < TIME_MS_MAX:
            raise ValueError("`lastWagerAt` is not between the years 1970 and 9999 UTC")


class Nature(FactData, frozen=True, gc=False):
    """What a customer is like; see `Customer`."""

    name: str
    segment: str = ""
    bet_factor: Annotated[float, Meta(gt=0, le=1_000)] = 1.0


class CustomerChanged(Nature, frozen=True, gc=False, kw_only=True):
    """`customer.changed`."""

    customer_id: Id
    agent_id: str
    path: Path
    before: Nature


class CustomerMoved(FactData, frozen=True, gc=False):
    """`customer.moved`: from here on it belongs to another agent, with its balance and its next wagers."""

    customer_id: Id
    agent_id: str
    path: Path
    before: Home


class CustomerRenamed(FactData, frozen=True, gc=False):
    """`customer.renamed`: it is the same customer, under another code; `before` is the one it had."""

    customer_id: Id
    agent_id: str
    path: Path
    before: Id


class Limits(FactData, frozen=True, gc=False):
    """A customer's limits."""

    credit_limit_minor: SignedMinor
    max_wager_minor: SignedMinor


class CustomerLimitChanged(FactData, frozen=True, gc=False):
    """`customer.limit_changed`."""

    customer_id: Id
    agent_id: str
    path: Path
    before: Limits
    after: Limits
    currency: Currency | None = None


class CustomerStatusChanged(FactData, frozen=True, gc=False):
    """`customer.status_changed`."""

    customer_id: Id
    agent_id: str
    path: Path
    before: str
    after: str


class Selection(FactData, frozen=True, gc=False):
    """One outcome of a market, at its decimal odds."""

    selection_id: Id
    name: str
    odds: Odds


class Market(FactData, frozen=True, gc=False):
    """`market.created`, `market.imported`.

    Args:
        event_name: of the game, as people know it.
        starts_at: when the game starts; a wager accepted later on a market that is not in play is past-post.
        closes_at: when the market takes no more wagers.
        liability_limit_minor: what the book is willing to lose on it; 0 is no limit of its own.
    """

    market_id: Id
    event_id: Id
    type: str
    status: str
    event_name: str = ""
    sport: str = ""
    period: str = ""
    line: float | None = None
    starts_at: Time | None = None
    closes_at: Time | None = None
    liability_limit_minor: Minor = 0
    selections: Annotated[tuple[Selection, ...], Meta(max_length=500)] = ()


class MarketChanged(Market, frozen=True, gc=False, kw_only=True):
    """`market.changed`: the whole market anew; `before` holds what was another, under the same names."""

    before: dict[str, Any] = {}


class MarketStatusChanged(FactData, frozen=True, gc=False):
    """`market.status_changed`."""

    market_id: Id
    status: str


class MarketPriceChanged(FactData, frozen=True, gc=False):
    """`market.price_changed`; decimal odds."""

    market_id: Id
    selection_id: Id
    old_odds: Odds
    new_odds: Odds


class SelectionResult(FactData, frozen=True, gc=False):
    """How an outcome ended.

    Args:
        result: 1 if it won.
        void: the share of a stake that goes back: 0, 0.5 or 1.
        dead_heat: the share of a stake in play at full odds; above 0 for one that won.
    """

    selection_id: Id
    result: Annotated[int, Meta(ge=0, le=1)]
    void: Share = 0.0
    dead_heat: Share = 1.0

    def __post_init__(self) -> None:
        if self.void not in (0, 0.5, 1):
            raise ValueError("`void` is 0, 0.5 or 1")
        if self.result and not self.dead_heat:
            raise ValueError("`deadHeat` of an outcome that won is above 0")


class MarketResulted(FactData, frozen=True, gc=False):
    """`market.resulted`; told again where a result was corrected."""

    market_id: Id
    results: Annotated[tuple[SelectionResult, ...], Meta(max_length=500)]


class Leg(FactData, frozen=True, gc=False):
    """One leg of a wager, at the decimal odds it was struck at."""

    market_id: Id
    selection_id: Id
    odds: Odds


Legs = Annotated[tuple[Leg, ...], Meta(max_length=LEGS_MAX)]


class WagerFact(FactData, frozen=True, gc=False):
    """What every fact of a wager says: whose it is and what is at stake.

    Args:
        path: the agent's path at acceptance.
        type: `straight`, `parlay` ...
        risk_minor: what the customer loses at most; the stake of a free play is the book's own.
        to_win_minor: the profit if it wins.
        currency: of all amounts of the fact; absent where they are in the book's.
    """

    wager_id: Id
    wager_number: Number
    customer_id: Id
    agent_id: str
    path: Path
    type: str
    risk_minor: Minor
    to_win_minor: Minor
    free_play: bool
    currency: Currency | None = None


class WagerPlaced(WagerFact, frozen=True, gc=False, kw_only=True):
    """`wager.placed`, `wager.imported` (an open one): at the time it was accepted.

    `wager.requested` is one that waits to be accepted; its status is `requested` or `review`.
    """

    channel: str
    status: str
    version: Ordinal
    legs: Legs = ()
    ip: str = ""
    terms: Terms | None = None


class Owner(FactData, frozen=True, gc=False):
    """Whose a wager is or was."""

    wager_number: Number
    customer_id: Id
    agent_id: str
    path: Path


class WagerReopened(WagerPlaced, frozen=True, gc=False, kw_only=True):
    """`wager.reopened`: a wager that was over is open again, at the time of the roll-back.

    Args:
        settled_return_minor: what the settlement returned that held until now; absent if none held.
        moved_from: it is open at another place, or for other amounts; whose it was.
    """

    settled_return_minor: Minor | None = None
    moved_from: Owner | None = None


class WagerRejected(WagerFact, frozen=True, gc=False, kw_only=True):
    """`wager.rejected`: one that was never accepted; status `rejected` or `expired`."""

    status: str
    reason: str = ""


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
        status: `cancelled`, `voided`, `deleted` (the row is gone), or `moved`: the wager is another one now, and what
            follows tells of it anew.
        settled_return_minor: what its latest settlement returned; absent if it was open.
        moved_to: whose it is now.
    """

    status: str
    settled_return_minor: Minor | None = None
    moved_to: Owner | None = None
    reason: str = ""


class Stake(FactData, frozen=True, gc=False):
    """What was at stake before a change.

    Args:
        type, free_play: absent where nobody says so, and then as they are.
        leg: a leg that was another one, or is no more.
    """

    risk_minor: Minor
    to_win_minor: Minor
    type: str | None = None
    free_play: bool | None = None
    leg: Leg | None = None


class WagerModified(WagerFact, frozen=True, gc=False, kw_only=True):
    """`wager.modified`: an open wager has other amounts, another type or other legs now."""

    version: Ordinal
    before: Stake
    legs: Legs = ()
    terms: Terms | None = None


class Payment(FactData, frozen=True, gc=False):
    """`payment.requested`, `approved`, `completed`, `rejected`, `failed`, `charged_back`."""

    payment_id: Id
    customer_id: Id
    agent_id: str
    path: Path
    direction: Direction
    method: str
    amount_minor: Minor
    status: str
    currency: Currency | None = None


class BalanceAdjusted(FactData, frozen=True, gc=False):
    """`balance.adjusted`: the desk moved a customer's balance; the amount is the customer's gain.

    Args:
        kind: `adjustment`, `bonus`, `fee`, `transfer` ...; a bonus costs the book net revenue.
        entry_id: of the entry in the book's ledger.
    """

    entry_id: Id
    customer_id: Id
    agent_id: str
    path: Path
    kind: str
    amount_minor: SignedMinor
    currency: Currency | None = None
    reason: str = ""


class Bracket(FactData, frozen=True, gc=False):
    """The rate for what lies above an amount, up to the next bracket."""

    from_minor: Minor
    rate: Share


class CommissionPlan(FactData, frozen=True, gc=False):
    """`commission.plan_set`: how an agent is paid from a date on.

    Args:
        type: `red_figure`, `profit`, `split`, `reverse_red_figure`, `turnover`, `per_head`, `tiered` or `none`.
        rate: from 0 to 1; of the plans that have one.
        effective_from: the first business day it holds for.
    """

    agent_id: Id
    path: Path
    type: str
    rate: Share = 0.0
    per_head_minor: Minor = 0
    brackets: Annotated[tuple[Bracket, ...], Meta(max_length=50)] = ()
    makeup_minor: Minor = 0
    effective_from: Date = "1970-01-01"


class Session(FactData, frozen=True, gc=False):
    """`session.login`, `session.logout`: a customer comes to the book, and leaves it."""

    customer_id: Id
    agent_id: str
    path: Path
    ip: str = ""


class AlertDecided(FactData, frozen=True, gc=False):
    """`alert.acknowledged`, `alert.closed`: somebody has taken up an alert, or is done with it."""

    alert_id: Id
    actor: str
    note: str = ""


class RevenueImported(FactData, frozen=True, gc=False):
    """`revenue.imported`: gross revenue of the settled wagers that were there before the triggers, of one path."""

    path: Path
    revenue_minor: SumMinor


class RowChanged(FactData, frozen=True, gc=False):
    """`row.changed`, `row.deleted`: the book changed what an accepted fact never changes; it is always set aside.

    Args:
        table: of the demo book.
        id: of the row; the parts of a longer key are separated by `|`.
        before, after: the columns that were changed; nothing after a deletion.
    """

    table: str
    id: str
    before: dict[str, Any]
    after: dict[str, Any] = {}


class Clock(FactData, frozen=True, gc=False):
    """`system.clock`: everything before its timestamp has been read; it carries nothing else."""


FACTS: Final[dict[str, type[Struct]]] = {
    "agent.created": Agent,
    "agent.imported": Agent,
    "customer.created": Customer,
    "customer.imported": Customer,
    "agent.changed": AgentChanged,
    "customer.changed": CustomerChanged,
    "customer.moved": CustomerMoved,
    "customer.renamed": CustomerRenamed,
    "market.changed": MarketChanged,
    "row.changed": RowChanged,
    "row.deleted": RowChanged,
    "customer.limit_changed": CustomerLimitChanged,
    "customer.status_changed": CustomerStatusChanged,
    "market.created": Market,
    "market.imported": Market,
    "market.status_changed": MarketStatusChanged,
    "market.price_changed": MarketPriceChanged,
    "market.resulted": MarketResulted,
    "wager.placed": WagerPlaced,
    "wager.imported": WagerPlaced,
    "wager.settled": WagerSettled,
    "wager.resettled": WagerSettled,
    "wager.cancelled": WagerCancelled,
    "wager.modified": WagerModified,
    "wager.requested": WagerPlaced,
    "wager.rejected": WagerRejected,
    "wager.reopened": WagerReopened,
    "payment.requested": Payment,
    "payment.approved": Payment,
    "payment.completed": Payment,
    "payment.rejected": Payment,
    "payment.failed": Payment,
    "payment.charged_back": Payment,
    "balance.adjusted": BalanceAdjusted,
    "commission.plan_set": CommissionPlan,
    "session.login": Session,
    "session.logout": Session,
    "alert.acknowledged": AlertDecided,
    "alert.closed": AlertDecided,
    "revenue.imported": RevenueImported,
    "system.clock": Clock,
}

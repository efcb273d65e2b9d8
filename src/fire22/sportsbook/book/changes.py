"""What can be changed in the demo book, as data: decided by the simulation or read from a file, written by `writer.py`.

Times are milliseconds since 1970 UTC, amounts integer minor units, prices American odds. Where a price
is none, `odds` are the decimal odds, and `price` is how they are shown.
"""

from typing import Literal

from msgspec import Struct

from fire22.sportsbook.betting.terms import NO_TERMS, Terms


class AddAgent(Struct, frozen=True):
    """A new agent below `parent_id` (None = the house); `path` is that of the parent, a slash, and the code."""

    id: str
    code: str
    name: str
    parent_id: str | None
    level: int
    path: str
    at_ms: int
    credit_limit_minor: int = 0
    max_wager_minor: int = 0


class AddCustomer(Struct, frozen=True):
    """A new customer of an agent."""

    id: str
    code: str
    agent_id: str
    name: str
    at_ms: int
    segment: str = "regular"
    credit_limit_minor: int = 0
    max_wager_minor: int = 0
    bet_factor: float = 1.0


class SetCommissionPlan(Struct, frozen=True):
    """How an agent is paid from a date on; a second plan for the same date replaces the first.

    Args:
        type: `red_figure`, `profit`, `split`, `reverse_red_figure`, `turnover`, `per_head`, `tiered` or `none`.
        rate: from 0 to 1; of the plans that have one.
        brackets: of `tiered`: each from so many minor units on, at a rate; rising from 0.
        makeup_minor: what the agent has to earn back already.
        effective_from: the first business day, such as `2026-03-01`.
    """

    agent_id: str
    type: str
    effective_from: str
    at_ms: int
    rate: float = 0.0
    per_head_minor: int = 0
    brackets: tuple[tuple[int, float], ...] = ()
    makeup_minor: int = 0


class LogAccess(Struct, frozen=True):
    """A customer comes to the book, or leaves it."""

    customer_id: str
    action: Literal["login", "logout"]
    ip: str | None
    at_ms: int


class AddEvent(Struct, frozen=True):
    """A new game of a league."""

    id: str
    league_id: str
    home: str
    away: str
    starts_ms: int
    status: Literal["scheduled", "live"]


class SetEventStatus(Struct, frozen=True):
    """A game begins or ends."""

    event_id: str
    status: Literal["live", "finished"]


class NewSelection(Struct, frozen=True):
    """One outcome of a market and its price."""

    id: str
    name: str
    price: int


class AddMarket(Struct, frozen=True):
    """A new open market with its selections; bets are taken until `closes_ms`."""

    id: str
    event_id: str
    type: str
    period: str
    line: float | None
    closes_ms: int
    liability_limit_minor: int
    selections: tuple[NewSelection, ...]
    at_ms: int


class SetMarketStatus(Struct, frozen=True):
    """A market opens, is suspended or closed."""

    market_id: str
    status: Literal["open", "suspended", "closed"]
    at_ms: int


class SetPrice(Struct, frozen=True):
    """A selection gets another price."""

    selection_id: str
    price: int
    source: str
    at_ms: int


class ResultMarket(Struct, frozen=True):
    """A market is over: one selection won, or none and all stakes go back (`winner_id` None)."""

    market_id: str
    winner_id: str | None
    at_ms: int


class Grade(Struct, frozen=True):
    """How a selection ended, as the book keeps it.

    Args:
        result: 1 if it won, or the part of it that was not void.
        void: the share of a stake that goes back: 0, 0.5 or 1.
        dead_heat: the share of a stake in play at full odds.
        position: the place it finished in, None where that is not told; `tied` selections share it.
    """

    selection_id: str
    result: int
    void: float = 0.0
    dead_heat: float = 1.0
    position: int | None = None
    tied: int = 1


class Deduction(Struct, frozen=True):
    """What is kept of winnings because a runner was withdrawn (Rule 4).

    Args:
        before_ms: of wagers that were accepted before; None is of all.
    """

    percent: float
    before_ms: int | None = None


class GradeMarket(Struct, frozen=True):
    """A market is over, or its result is corrected: every selection has its own result."""

    market_id: str
    grades: tuple[Grade, ...]
    status: Literal["resulted", "voided"]
    at_ms: int
    deductions: tuple[Deduction, ...] = ()


class NewLeg(Struct, frozen=True):
    """One leg of a wager at the price it is struck at."""

    selection_id: str
    price: int
    line: float | None = None
    odds: float | None = None


class PlaceWager(Struct, frozen=True):
    """A wager is accepted, or waits to be; without `number` it gets the next one."""

    id: str
    customer_id: str
    agent_id: str
    agent_path: str
    type: str
    risk_minor: int
    to_win_minor: int
    at_ms: int
    channel: str
    free_play: bool = False
    legs: tuple[NewLeg, ...] = ()
    number: int | None = None
    ip: str | None = None
    status: Literal["accepted", "requested", "review"] = "accepted"
    terms: Terms = NO_TERMS


class AcceptWager(Struct, frozen=True):
    """A wager that waited is accepted."""

    wager_id: str
    at_ms: int


class RejectWager(Struct, frozen=True):
    """A wager that waited is turned down, or nobody decided in time."""

    wager_id: str
    status: Literal["rejected", "expired"]
    reason: str
    actor: str
    at_ms: int


class ReopenWager(Struct, frozen=True):
    """What ended an accepted wager is rolled back."""

    wager_id: str
    reason: str
    actor: str
    at_ms: int


class SettleWager(Struct, frozen=True):
    """A wager is settled, or settled again under the next revision."""

    wager_id: str
    result: str
    return_minor: int
    at_ms: int
    settled_by: str = "system"
    batch_id: str | None = None


class CancelWager(Struct, frozen=True):
    """A wager is called off, before or after its settlement."""

    wager_id: str
    status: Literal["cancelled", "voided"]
    reason: str
    actor: str
    at_ms: int


class DeleteWager(Struct, frozen=True):
    """A wager's rows are removed; only the report of changes keeps it."""

    wager_id: str
    reason: str
    actor: str
    at_ms: int


class ModifyWager(Struct, frozen=True):
    """An open wager gets other amounts; its terms stay unless they are given."""

    wager_id: str
    risk_minor: int
    to_win_minor: int
    reason: str
    actor: str
    at_ms: int
    terms: Terms | None = None


class RequestPayment(Struct, frozen=True):
    """A customer wants to pay in or be paid."""

    id: str
    customer_id: str
    direction: Literal["deposit", "withdrawal"]
    method: str
    amount_minor: int
    at_ms: int


class DecidePayment(Struct, frozen=True):
    """A payment goes on; `completed` and `charged_back` move the customer's balance."""

    payment_id: str
    status: Literal["approved", "completed", "rejected", "failed", "charged_back"]
    decided_by: str
    at_ms: int


class AdjustBalance(Struct, frozen=True):
    """The desk moves a customer's balance; the amount is the customer's gain."""

    customer_id: str
    kind: str
    amount_minor: int
    reason: str
    actor: str
    at_ms: int


class DecideAlert(Struct, frozen=True):
    """Somebody has taken up an alert, or is done with it."""

    alert_id: str
    action: Literal["acknowledged", "closed"]
    actor: str
    note: str
    at_ms: int


class SetLimit(Struct, frozen=True):
    """A customer gets other limits."""

    customer_id: str
    credit_limit_minor: int
    max_wager_minor: int
    at_ms: int


class SetCustomerStatus(Struct, frozen=True):
    """A customer is suspended or active again."""

    customer_id: str
    status: Literal["active", "suspended"]
    at_ms: int


class Clock(Struct, frozen=True):
    """Everything before this time has been written; only in a recorded book."""

    at_ms: int


Change = (
    AddAgent
    | AddCustomer
    | SetCommissionPlan
    | LogAccess
    | AddEvent
    | SetEventStatus
    | AddMarket
    | SetMarketStatus
    | SetPrice
    | ResultMarket
    | GradeMarket
    | PlaceWager
    | AcceptWager
    | RejectWager
    | ReopenWager
    | SettleWager
    | CancelWager
    | DeleteWager
    | ModifyWager
    | RequestPayment
    | DecidePayment
    | AdjustBalance
    | DecideAlert
    | SetLimit
    | SetCustomerStatus
    | Clock
)

"""What can be asked of the desk: the body of each command, as frozen structs. Amounts are integer minor units."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from fire22.sportsbook.betting.bounds import (
    LEGS_MAX,
    MINOR_MAX,
    Direction,
    Minor,
    Odds,
    Ordinal,
    Share,
    SignedMinor,
    Time,
)
from fire22.sportsbook.desk.permits import Flag

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=500)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Stake = Annotated[int, Meta(gt=0, le=MINOR_MAX)]
Ids = Annotated[tuple[Id, ...], Meta(max_length=500)]


Percent = Annotated[float, Meta(ge=0, le=90)]  # Rule 4 keeps no more
Outcome = Literal["win", "loss", "push", "half_win", "half_loss"]


class Command(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What every command shares: how it is written."""


class PickedLeg(Command, frozen=True):
    """One leg of a wager: a selection at the decimal odds its customer was shown."""

    selection_id: Id
    odds: Odds


class PlaceWager(Command, frozen=True):
    """`wager.place`: a wager of a type of `wager_types.py`; `risk_minor` is the whole stake.

    Args:
        legs: in the order of an if-bet.
        type: without it a straight wager (one leg) or a parlay.
        by, points, ties, fraction, places: what the type needs; see `Terms`.
        price_tolerance: by how much of the odds shown the odds now may differ; the wager is struck at those of now.
        free_play: the stake is the house's own, and only the house gives it.
    """

    customer_id: Id
    legs: Annotated[tuple[PickedLeg, ...], Meta(min_length=1, max_length=LEGS_MAX)]
    risk_minor: Stake
    type: Annotated[str, Meta(max_length=32)] = ""
    by: Annotated[tuple[Annotated[int, Meta(ge=1, le=LEGS_MAX)], ...], Meta(max_length=LEGS_MAX)] = ()
    points: Annotated[float, Meta(ge=0, le=1_000)] = 0.0
    ties: Annotated[str, Meta(max_length=16)] = ""
    fraction: Annotated[str, Meta(max_length=16)] = ""
    places: Annotated[int, Meta(ge=0, le=500)] = 0
    price_tolerance: Share = 0.0
    free_play: bool = False
    channel: Annotated[str, Meta(min_length=1, max_length=32)] = "desk"
    ip: Annotated[str, Meta(max_length=45)] = ""


class AcceptWager(Command, frozen=True):
    """`wager.accept`: a wager that was held for review is accepted as it was asked for."""

    wager_id: Id


class RejectWager(Command, frozen=True):
    """`wager.reject`: a wager that was held for review is turned down."""

    wager_id: Id
    reason: Reason


class SelectionResult(Command, frozen=True):
    """How the selection of a leg ended.

    Args:
        dead_heat: the share of the stake in play at full odds; of a win alone.
        rule4_percent: what of the winnings is kept because another runner was withdrawn.
        place, place_dead_heat: of a part that bets on a place; without it, as the book has it.
    """

    selection_id: Id
    result: Outcome
    dead_heat: Annotated[float, Meta(gt=0, le=1)] = 1.0
    rule4_percent: Percent = 0.0
    place: Outcome | None = None
    place_dead_heat: Annotated[float, Meta(gt=0, le=1)] = 1.0


class SettleWager(Command, frozen=True):
    """`wager.settle`: by the results of its selections in the book, or by those given here; also once more."""

    wager_id: Id
    results: Annotated[tuple[SelectionResult, ...], Meta(max_length=LEGS_MAX)] = ()


class CashOutWager(Command, frozen=True):
    """`wager.cash_out`: an open wager, or a part of it, ends by an amount that its customer was offered and has taken.

    Args:
        return_minor: what the customer gets, stake included (for a free play only the profit).
        risk_minor: the part of the stake that ends; the rest stays open. Without it the whole.
        version: the one that the offer was made for; without it, whichever there is.
    """

    wager_id: Id
    return_minor: Minor
    risk_minor: Stake | None = None
    version: Ordinal | None = None


class VoidWager(Command, frozen=True):
    """`wager.void`: the stake goes back, before or after a settlement."""

    wager_id: Id
    reason: Reason


class CancelWager(Command, frozen=True):
    """`wager.cancel`: an open wager is called off."""

    wager_id: Id
    reason: Reason


class ModifyWager(Command, frozen=True):
    """`wager.modify`: an open wager gets another stake.

    Args:
        to_win_minor: what it wins from now on, whatever its odds say; without it, by the odds of the legs.
        version: which one is changed; without it, whichever there is.
    """

    wager_id: Id
    risk_minor: Stake
    reason: Reason
    to_win_minor: Minor | None = None
    version: Ordinal | None = None


class ReopenWager(Command, frozen=True):
    """`wager.reopen`: what ended an accepted wager is rolled back."""

    wager_id: Id
    reason: Reason


class Deduction(Command, frozen=True):
    """What is kept of winnings because a runner was withdrawn (Rule 4).

    Args:
        struck_before: of wagers that were accepted before; without it of all.
    """

    percent: Percent
    struck_before: Time | None = None


class SettleMarket(Command, frozen=True):
    """`market.settle`: the result of a market, and of all its wagers that it decides; also once more.

    Args:
        winners, tied, pushes, half_wins, half_losses: selections; those not named have lost. Those that are tied share
            the places that the winners leave.
        order: in the place of winners and tied: the order of finishing, each place with those that share it.
        places: for how many winners there is a place.
        void: all stakes go back.
        deductions: what is kept of winnings.
    """

    market_id: Id
    winners: Ids = ()
    tied: Ids = ()
    order: Annotated[tuple[Ids, ...], Meta(max_length=500)] = ()
    pushes: Ids = ()
    half_wins: Ids = ()
    half_losses: Ids = ()
    places: Annotated[int, Meta(ge=1, le=500)] = 1
    void: bool = False
    deductions: Annotated[tuple[Deduction, ...], Meta(max_length=20)] = ()


class SetMarketStatus(Command, frozen=True):
    """`market.status`: a market takes wagers, or takes none."""

    market_id: Id
    status: Literal["open", "suspended", "closed"]


class SetLimit(Command, frozen=True):
    """`customer.limit`: what is not given stays."""

    customer_id: Id
    credit_limit_minor: Minor | None = None
    max_wager_minor: Minor | None = None


class SetCustomerStatus(Command, frozen=True):
    """`customer.status`: a customer takes part in betting, or does not."""

    customer_id: Id
    status: Literal["active", "suspended"]
    reason: Reason


class RequestPayment(Command, frozen=True):
    """`payment.request`: a customer wants to pay in or be paid."""

    customer_id: Id
    direction: Direction
    method: Annotated[str, Meta(min_length=1, max_length=64)]
    amount_minor: Stake


class DecidePayment(Command, frozen=True):
    """`payment.approve`, `payment.complete`, `payment.reject`, `payment.fail`, `payment.charge_back`."""

    payment_id: Id


class AdjustBalance(Command, frozen=True):
    """`balance.adjust`: the amount is the customer's gain, and not 0."""

    customer_id: Id
    kind: Literal["adjustment", "bonus", "fee", "transfer"]
    amount_minor: SignedMinor
    reason: Reason


class DecideAlert(Command, frozen=True):
    """`alert.acknowledge`, `alert.close`."""

    alert_id: Id
    note: Text = ""


class DecideApproval(Command, frozen=True):
    """`approval.approve`, `approval.reject`: about a command that waits for a second person."""

    approval_id: Id
    note: Text = ""


class Kind(Struct, frozen=True):
    """A command.

    Args:
        body: what its body is read as.
        flag: what a user's token can list, where a role grants it only to users that carry it.
        of: what it touches: one customer's, for who acts on that customer's part of the tree; or the whole book, for
            who acts on all of it.
    """

    body: type[Command]
    flag: Flag | None = None
    of: Literal["customer", "book"] = "customer"


FREE_PLAY: Final = "wager.place_free"  # what a role needs, beside `wager.place`, to bet the house's money
COMMANDS: Final[dict[str, Kind]] = {
    "wager.place": Kind(PlaceWager, "place"),
    "wager.accept": Kind(AcceptWager),
    "wager.reject": Kind(RejectWager),
    "wager.settle": Kind(SettleWager),
    "wager.cash_out": Kind(CashOutWager),
    "wager.void": Kind(VoidWager),
    "wager.cancel": Kind(CancelWager),
    "wager.modify": Kind(ModifyWager),
    "wager.reopen": Kind(ReopenWager),
    "market.settle": Kind(SettleMarket, of="book"),
    "market.status": Kind(SetMarketStatus, of="book"),
    "customer.limit": Kind(SetLimit, "limits"),
    "customer.status": Kind(SetCustomerStatus, "limits"),
    "payment.request": Kind(RequestPayment),
    "payment.approve": Kind(DecidePayment, "payments"),
    "payment.complete": Kind(DecidePayment, "payments"),
    "payment.reject": Kind(DecidePayment, "payments"),
    "payment.fail": Kind(DecidePayment, "payments"),
    "payment.charge_back": Kind(DecidePayment, "payments"),
    "balance.adjust": Kind(AdjustBalance),
    "alert.acknowledge": Kind(DecideAlert),
    "alert.close": Kind(DecideAlert),
    "approval.approve": Kind(DecideApproval),
    "approval.reject": Kind(DecideApproval),
}

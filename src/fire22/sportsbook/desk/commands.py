"""What can be asked of the desk: the body of each command, as frozen structs. Amounts are integer minor units."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from fire22.sportsbook.desk.permits import Action
from fire22.sportsbook.facts import LEGS_MAX, MINOR_MAX, Direction, Minor, Odds, Ordinal, Share, SignedMinor

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=500)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Stake = Annotated[int, Meta(gt=0, le=MINOR_MAX)]
Ids = Annotated[tuple[Id, ...], Meta(max_length=500)]


class Command(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What every command shares: how it is written."""


class Leg(Command, frozen=True):
    """One leg of a wager: a selection at the decimal odds its customer was shown."""

    selection_id: Id
    odds: Odds


class PlaceWager(Command, frozen=True):
    """`wager.place`: a straight wager (one leg) or a parlay.

    Args:
        price_tolerance: by how much of the odds shown the odds now may differ; the wager is struck at those of now.
        free_play: the stake is the house's own, and only the house gives it.
    """

    customer_id: Id
    legs: Annotated[tuple[Leg, ...], Meta(min_length=1, max_length=LEGS_MAX)]
    risk_minor: Stake
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
    """

    selection_id: Id
    result: Literal["win", "loss", "push", "half_win", "half_loss"]
    dead_heat: Annotated[float, Meta(gt=0, le=1)] = 1.0


class SettleWager(Command, frozen=True):
    """`wager.settle`: by the results of its selections in the book, or by those given here; also once more."""

    wager_id: Id
    results: Annotated[tuple[SelectionResult, ...], Meta(max_length=LEGS_MAX)] = ()


class CashOutWager(Command, frozen=True):
    """`wager.cash_out`: an open wager ends by an amount that its customer was offered and has taken.

    Args:
        return_minor: what the customer gets, stake included (for a free play only the profit).
        version: the one that the offer was made for; without it, whichever there is.
    """

    wager_id: Id
    return_minor: Minor
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
        to_win_minor: without it, by the odds of the legs.
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


class SettleMarket(Command, frozen=True):
    """`market.settle`: the result of a market, and of all its wagers that it decides; also once more.

    Args:
        winners, pushes, half_wins, half_losses: selections; those not named have lost.
        places: for how many winners there is a place; more share them in a dead heat.
        void: all stakes go back.
    """

    market_id: Id
    winners: Ids = ()
    pushes: Ids = ()
    half_wins: Ids = ()
    half_losses: Ids = ()
    places: Annotated[int, Meta(ge=1, le=500)] = 1
    void: bool = False


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


class Kind(Struct, frozen=True):
    """A command: what its body is read as, and what its role must allow."""

    body: type[Command]
    action: Action


COMMANDS: Final[dict[str, Kind]] = {
    "wager.place": Kind(PlaceWager, "place"),
    "wager.accept": Kind(AcceptWager, "settle"),
    "wager.reject": Kind(RejectWager, "settle"),
    "wager.settle": Kind(SettleWager, "settle"),
    "wager.cash_out": Kind(CashOutWager, "settle"),
    "wager.void": Kind(VoidWager, "settle"),
    "wager.cancel": Kind(CancelWager, "settle"),
    "wager.modify": Kind(ModifyWager, "settle"),
    "wager.reopen": Kind(ReopenWager, "roll_back"),
    "market.settle": Kind(SettleMarket, "settle"),
    "market.status": Kind(SetMarketStatus, "markets"),
    "customer.limit": Kind(SetLimit, "limits"),
    "customer.status": Kind(SetCustomerStatus, "limits"),
    "payment.request": Kind(RequestPayment, "request"),
    "payment.approve": Kind(DecidePayment, "payments"),
    "payment.complete": Kind(DecidePayment, "payments"),
    "payment.reject": Kind(DecidePayment, "payments"),
    "payment.fail": Kind(DecidePayment, "payments"),
    "payment.charge_back": Kind(DecidePayment, "payments"),
    "balance.adjust": Kind(AdjustBalance, "adjust"),
    "alert.acknowledge": Kind(DecideAlert, "alerts"),
    "alert.close": Kind(DecideAlert, "alerts"),
}

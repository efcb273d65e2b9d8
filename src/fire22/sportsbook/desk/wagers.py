"""What the desk does with one wager."""

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Literal, cast

import msgspec

from fire22.core import codes
from fire22.core.errors import Details, RequestError
from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.sportsbook import changes, lifecycle, settlement
from fire22.sportsbook.desk import commands, limits
from fire22.sportsbook.desk.case import Case, Done
from fire22.sportsbook.desk.permits import permit
from fire22.sportsbook.desk.reads import Customer, Offer, Wager
from fire22.sportsbook.lifecycle import State
from fire22.sportsbook.odds import profit_minor, to_win_minor
from fire22.sportsbook.settlement import ONE, Leg, LegResult, cash_risk_minor


def place(case: Case, command: commands.PlaceWager) -> Done:
    """A wager is accepted, or held for review where it is over a limit and the house reviews such wagers."""
    if command.free_play:
        permit(case.actor, "free_play")
    customer = case.read.customer(command.customer_id)
    agents = case.read.agents(customer.path)
    _check_active(customer, [agent.status for agent in agents])
    offers = [_offered(case, leg, command.price_tolerance) for leg in command.legs]
    if len({offer.market_id for offer in offers}) < len(offers):
        raise RequestError(codes.COMMAND_INVALID, "A market can be in a wager once.")
    prices = [offer.price for offer in offers]
    to_win = to_win_minor(command.risk_minor, prices)
    over = limits.over_limit(limits.largest_wager(customer, agents, case.house), case.house, command.risk_minor, to_win)
    if over is not None and case.house.over_limit == "reject":
        raise over
    if not command.free_play:
        limits.check_credit(case, customer, agents, command.risk_minor)
    status: Literal["accepted", "review"] = "accepted" if over is None else "review"
    id = case.new_id()
    case.write(
        [
            changes.PlaceWager(
                id,
                customer.id,
                customer.agent_id,
                customer.path,
                "straight" if len(offers) == 1 else "parlay",
                command.risk_minor,
                to_win,
                case.now_ms,
                command.channel,
                command.free_play,
                legs=tuple(changes.NewLeg(offer.id, offer.price, offer.line) for offer in offers),
                ip=command.ip or None,
                status=status,
            )
        ]
    )
    return _done(case, id, {}, {"reason": over.message} if over is not None else {})


def accept(case: Case, command: commands.AcceptWager) -> Done:
    """A wager that was held is accepted, while its markets are open and the credit covers it."""
    wager = _wager(case, command.wager_id, "accepted")
    if wager.status == "accepted":
        raise RequestError(codes.TRANSITION_ILLEGAL, "The wager is accepted already.")
    customer = case.read.customer(wager.customer)
    agents = case.read.agents(customer.path)
    _check_active(customer, [agent.status for agent in agents])
    for selection_id, _ in case.read.legs(wager.id):
        _check_open(case, case.read.offer(selection_id))
    if not wager.free_play:
        limits.check_credit(case, customer, agents, wager.risk)
    case.write([changes.AcceptWager(wager.id, case.now_ms)])
    return _done(case, wager.id, _state(wager))


def reject(case: Case, command: commands.RejectWager) -> Done:
    """A wager that was held is turned down."""
    wager = _wager(case, command.wager_id, "rejected")
    case.write([changes.RejectWager(wager.id, "rejected", command.reason, case.actor.subject, case.now_ms)])
    return _done(case, wager.id, _state(wager))


def settle(case: Case, command: commands.SettleWager) -> Done:
    """A wager is settled by the results of its legs, or settled again; the same settlement changes nothing."""
    wager = _wager(case, command.wager_id, "settled")
    given = {one.selection_id: _result(one) for one in command.results}
    legs = case.read.legs(wager.id)
    strange = given.keys() - {selection_id for selection_id, _ in legs}
    if strange:
        raise RequestError(codes.COMMAND_INVALID, f"The wager has no leg on {min(strange)[:64]}.")
    graded = [msgspec.structs.replace(leg, result=given.get(id, leg.result)) for id, leg in legs]
    change = settlement_of(wager, graded, case, batch_id=None)
    if change is not None:
        case.write([change])
    return _done(case, wager.id, _state(wager))


def settlement_of(wager: Wager, legs: Sequence[Leg], case: Case, *, batch_id: str | None) -> changes.SettleWager | None:
    """The change that settles a wager, or None where it is settled so already.

    Raises:
        StateError: a leg has no result, and none has lost.
    """
    after = settlement.settle(legs, wager.risk, free_play=wager.free_play)
    if wager.status == "settled" and (wager.result, wager.returned) == (after.result, after.return_minor):
        return None
    return changes.SettleWager(
        wager.id, after.result, after.return_minor, case.now_ms, settled_by=case.actor.subject, batch_id=batch_id
    )


def cash_out(case: Case, command: commands.CashOutWager) -> Done:
    """An open wager ends by an amount that was offered: from nothing up to what it could return at most."""
    wager = _wager(case, command.wager_id, "cashed_out")
    _check_version(wager, command.version)
    most = cash_risk_minor(wager.risk, free_play=wager.free_play) + wager.to_win
    if command.return_minor > most:
        message = f"The wager returns {most} at most, not {command.return_minor}."
        raise RequestError(
            codes.LIMIT_EXCEEDED, message, details={"limitMinor": most, "amountMinor": command.return_minor}
        )
    case.write(
        [changes.SettleWager(wager.id, "cashed_out", command.return_minor, case.now_ms, settled_by=case.actor.subject)]
    )
    return _done(case, wager.id, _state(wager))


def void(case: Case, command: commands.VoidWager) -> Done:
    """The stake goes back, and what a settlement moved."""
    return _end(case, command.wager_id, "voided", command.reason)


def cancel(case: Case, command: commands.CancelWager) -> Done:
    """An open wager is called off."""
    return _end(case, command.wager_id, "cancelled", command.reason)


def modify(case: Case, command: commands.ModifyWager) -> Done:
    """An open wager gets another stake; what it wins follows from its odds unless it is given."""
    wager = _wager(case, command.wager_id, "accepted")
    if wager.status != "accepted":
        raise RequestError(codes.TRANSITION_ILLEGAL, f"A wager that is {wager.status} has no amounts to change yet.")
    _check_version(wager, command.version)
    to_win = command.to_win_minor
    if to_win is None:
        odds = prod((leg.odds for _, leg in case.read.legs(wager.id)), start=Fraction(1))
        to_win = profit_minor(command.risk_minor, odds)
    case.write(
        [changes.ModifyWager(wager.id, command.risk_minor, to_win, command.reason, case.actor.subject, case.now_ms)]
    )
    return _done(case, wager.id, _state(wager))


def reopen(case: Case, command: commands.ReopenWager) -> Done:
    """What ended an accepted wager is rolled back: it is open again."""
    wager = _wager(case, command.wager_id, "accepted", privileged=True)
    if wager.status in ("accepted", "requested", "review"):
        raise RequestError(codes.TRANSITION_ILLEGAL, f"A wager that is {wager.status} has not ended.")
    case.write([changes.ReopenWager(wager.id, command.reason, case.actor.subject, case.now_ms)])
    return _done(case, wager.id, _state(wager))


def _end(case: Case, wager_id: str, status: Literal["cancelled", "voided"], reason: str) -> Done:
    wager = _wager(case, wager_id, status)
    case.write([changes.CancelWager(wager.id, status, reason, case.actor.subject, case.now_ms)])
    return _done(case, wager.id, _state(wager))


def _wager(case: Case, wager_id: str, after: State, *, privileged: bool = False) -> Wager:
    """A wager that may go to a state.

    Raises:
        RequestError: `wager_unknown`, or `transition_illegal` with both states.
    """
    wager = case.read.wager(wager_id)
    lifecycle.transition(cast(State, wager.status), after, privileged=privileged)
    return wager


def _check_version(wager: Wager, version: int | None) -> None:
    """Whether a wager is still as it was when somebody looked at it.

    Raises:
        RequestError: `fact_conflict`.
    """
    if version not in (None, wager.version):
        details: Details = {"version": wager.version}
        raise RequestError(codes.FACT_CONFLICT, f"The wager is at version {wager.version} now.", details=details)


def _done(case: Case, wager_id: str, before: dict[str, Json], more: dict[str, Json] | None = None) -> Done:
    """What has become of a wager."""
    after = _state(case.read.wager(wager_id))
    return Done(f"wager:{wager_id}", after | (more or {}), before, after)


def _state(wager: Wager) -> dict[str, Json]:
    state: dict[str, Json] = {
        "wagerId": wager.id,
        "wagerNumber": wager.number,
        "status": wager.status,
        "version": wager.version,
        "riskMinor": wager.risk,
        "toWinMinor": wager.to_win,
    }
    if wager.revision and wager.status in ("settled", "cashed_out"):
        state |= {"result": wager.result, "returnMinor": wager.returned, "revision": wager.revision}
    return state


def _result(one: commands.SelectionResult) -> LegResult:
    share = Fraction(one.dead_heat).limit_denominator(1_000)
    if share != 1 and one.result != "win":
        raise RequestError(codes.COMMAND_INVALID, "Only a win is shared in a dead heat.")
    return LegResult(won=True, dead_heat=share) if share != ONE else settlement.RESULTS[one.result]


def _check_active(customer: Customer, agents: list[str]) -> None:
    """Whether a customer, and every agent above, takes part in betting.

    Raises:
        RequestError: `customer_inactive`.
    """
    if customer.status != "active" or any(status != "active" for status in agents):
        raise RequestError(codes.CUSTOMER_INACTIVE, f"{customer.code} may not bet now.")


def _offered(case: Case, leg: commands.Leg, tolerance: float) -> Offer:
    """What a leg is struck at.

    Raises:
        RequestError: `market_unknown`, `market_closed` or `price_changed`.
    """
    offer = case.read.offer(leg.selection_id)
    _check_open(case, offer)
    if abs(offer.odds - leg.odds) > tolerance * leg.odds + 5e-7:  # prices have six decimals
        details: Details = {"selectionId": offer.id, "odds": offer.odds}
        raise RequestError(codes.PRICE_CHANGED, f"The odds are {offer.odds} now, not {leg.odds}.", details=details)
    return offer


def _check_open(case: Case, offer: Offer) -> None:
    over = offer.event_status == "finished" or offer.closes_at <= to_text(case.now_ms)
    if over or offer.market_status != "open":
        details: Details = {"marketId": offer.market_id, "status": offer.market_status}
        raise RequestError(codes.MARKET_CLOSED, "The market takes no wagers now.", details=details)

"""What the desk does with one wager."""

from fractions import Fraction
from typing import Literal, cast

import msgspec

from fire22.core import codes
from fire22.core.errors import Details, RequestError
from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.sportsbook.betting import codes as betting_codes
from fire22.sportsbook.betting import lifecycle, payoff, settlement
from fire22.sportsbook.betting.errors import StateError
from fire22.sportsbook.betting.lifecycle import State
from fire22.sportsbook.betting.payoff import Bet
from fire22.sportsbook.betting.settlement import GradedLeg, LegResult, cash_risk_minor
from fire22.sportsbook.betting.terms import Terms
from fire22.sportsbook.betting.wager_types import invalid
from fire22.sportsbook.book import changes
from fire22.sportsbook.desk import commands, limits
from fire22.sportsbook.desk.case import Case, Done
from fire22.sportsbook.desk.reads import BookCustomer, BookWager, Offer, deducted


def place(case: Case, command: commands.PlaceWager) -> Done:
    """A wager is accepted, or held for review where it is over a limit and the house reviews such wagers."""
    if command.free_play and not case.free_play:
        raise RequestError(codes.FORBIDDEN, f"The role {case.actor.role} gives no free plays.")
    customer = case.read.customer(command.customer_id)
    case.check_currency(customer.currency)
    agents = case.read.agents(customer.path)
    _check_active(customer, [agent.status for agent in agents])
    offers = [_offered(case, leg, command.price_tolerance) for leg in command.legs]
    if len({offer.market_id for offer in offers}) < len(offers):
        raise RequestError(codes.COMMAND_INVALID, "A market can be in a wager once.")
    bet = _asked(case, command, offers)
    to_win = payoff.to_win_minor(bet)
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
                bet.kind().name,
                command.risk_minor,
                to_win,
                case.now_ms,
                command.channel,
                command.free_play,
                legs=tuple(changes.NewLeg(offer.id, offer.price, line=offer.line, odds=offer.odds) for offer in offers),
                ip=command.ip or None,
                status=status,
                terms=bet.terms,
            )
        ]
    )
    more: dict[str, Json] = {"reason": over.message} if over is not None else {}
    return _done(case, id, None, more)


def accept(case: Case, command: commands.AcceptWager) -> Done:
    """A wager that was held is accepted, while its markets are open and the credit covers it."""
    wager = _wager(case, command.wager_id, "accepted")
    if wager.status == "accepted":
        raise RequestError(betting_codes.TRANSITION_ILLEGAL, "The wager is accepted already.")
    case.check_currency(wager.currency, wager.account)
    customer = case.read.customer(wager.customer)
    agents = case.read.agents(customer.path)
    _check_active(customer, [agent.status for agent in agents])
    for selection_id in case.read.bet(wager)[0]:
        _check_open(case, case.read.offer(selection_id))
    if not wager.free_play:
        limits.check_credit(case, customer, agents, wager.risk)
    case.write([changes.AcceptWager(wager.id, case.now_ms)])
    return _done(case, wager.id, wager)


def reject(case: Case, command: commands.RejectWager) -> Done:
    """A wager that was held is turned down."""
    wager = _wager(case, command.wager_id, "rejected")
    case.write([changes.RejectWager(wager.id, "rejected", command.reason, case.actor.subject, case.now_ms)])
    return _done(case, wager.id, wager)


def settle(case: Case, command: commands.SettleWager) -> Done:
    """A wager is settled by the results of its legs, or settled again; the same settlement changes nothing."""
    wager = _wager(case, command.wager_id, "settled")
    given = {one.selection_id: one for one in command.results}
    selections, bet = case.read.bet(wager)
    strange = given.keys() - set(selections)
    if strange:
        raise RequestError(codes.COMMAND_INVALID, f"The wager has no leg on {min(strange)[:64]}.")
    legs = [_graded(leg, given[id]) if id in given else leg for id, leg in zip(selections, bet.legs, strict=True)]
    _check_places(bet, dict(zip(selections, legs, strict=True)))
    change = settlement_of(wager, msgspec.structs.replace(bet, legs=tuple(legs)), case, batch_id=None)
    if change is not None:
        case.write([change])
    return _done(case, wager.id, wager, amount_minor=None if change is not None else 0)


def _check_places(bet: Bet, legs: dict[str, GradedLeg]) -> None:
    """Whether it is known of each leg that has not won whether it was placed, where its wager bets on that.

    Raises:
        StateError: it is not.
    """
    for id, leg in legs.items():
        lost = leg.result is not None and not leg.result.won and leg.result.void != 1
        if bet.kind().name == "each_way" and lost and leg.place is None:
            raise StateError(
                "accepted", "settled", f"nobody says whether {id[:64]} was placed: its `place` is missing."
            )


def settlement_of(wager: BookWager, bet: Bet, case: Case, *, batch_id: str | None) -> changes.SettleWager | None:
    """The change that settles a wager, or None where it is settled so already.

    Raises:
        StateError: it is not decided.
        RequestError: `wager_type_unknown`, `wager_invalid`, `payout_disputed` or `currency_mismatch`.
    """
    case.check_same(wager.currency, wager.account)
    after = payoff.settle(bet)
    if wager.status == "settled" and (wager.result, wager.returned) == (after.result, after.return_minor):
        return None
    return changes.SettleWager(
        wager.id, after.result, after.return_minor, case.now_ms, settled_by=case.actor.subject, batch_id=batch_id
    )


def cash_out(case: Case, command: commands.CashOutWager) -> Done:
    """An open wager ends by an amount that was offered: from nothing up to what it could return at most."""
    wager = _wager(case, command.wager_id, "cashed_out")
    case.check_currency(wager.currency, wager.account)
    _check_version(wager, command.version)
    if command.risk_minor is not None and command.risk_minor != wager.risk:
        return _cash_out_part(case, wager, command.risk_minor, command.return_minor)
    _check_offer(wager, command.return_minor)
    case.write(
        [changes.SettleWager(wager.id, "cashed_out", command.return_minor, case.now_ms, settled_by=case.actor.subject)]
    )
    return _done(case, wager.id, wager)


def _cash_out_part(case: Case, wager: BookWager, risk: int, returned: int) -> Done:
    """A part of the stake becomes a wager of its own, with the same legs, and is cashed out; the rest stays open."""
    if risk > wager.risk:
        details: Details = {"limitMinor": wager.risk, "amountMinor": risk}
        raise RequestError(betting_codes.LIMIT_EXCEEDED, f"The stake is {wager.risk}, not {risk}.", details=details)
    bet = case.read.bet(wager)[1]
    share, rest = payoff.part(bet, risk), payoff.part(bet, wager.risk - risk)
    to_win, left = cast(int, share.to_win_minor), cast(int, rest.to_win_minor)
    part = changes.PlaceWager(
        case.new_id(), wager.customer_id, wager.agent_id, wager.path, wager.type, risk, to_win, case.now_ms,
        wager.channel, wager.free_play, ip=wager.ip, terms=msgspec.structs.replace(share.terms, part_of=wager.id),
        legs=case.read.written_legs(wager.id),
    )  # fmt: skip
    ended = msgspec.structs.replace(wager, risk=risk, to_win=to_win)
    _check_offer(ended, returned)
    who, reason = case.actor.subject, f"cashed out in part: {part.id}"
    case.write(
        [
            changes.ModifyWager(wager.id, rest.risk_minor, left, reason, who, case.now_ms, rest.terms),
            part,
            changes.SettleWager(part.id, "cashed_out", returned, case.now_ms, settled_by=who),
        ]
    )
    return _done(case, wager.id, wager, {"part": _state(case.read.wager(part.id))}, amount_minor=at_stake_minor(ended))


def _check_offer(wager: BookWager, returned: int) -> None:
    """Whether a wager could return so much.

    Raises:
        RequestError: `limit_exceeded`.
    """
    most = _most(wager)
    if returned > most:
        details: Details = {"limitMinor": most, "amountMinor": returned}
        raise RequestError(betting_codes.LIMIT_EXCEEDED, f"It returns {most} at most, not {returned}.", details=details)


def void(case: Case, command: commands.VoidWager) -> Done:
    """The stake goes back, and what a settlement moved."""
    return _end(case, command.wager_id, "voided", command.reason)


def cancel(case: Case, command: commands.CancelWager) -> Done:
    """An open wager is called off."""
    return _end(case, command.wager_id, "cancelled", command.reason)


def modify(case: Case, command: commands.ModifyWager) -> Done:
    """An open wager gets another stake; what it wins follows from its odds unless it is given: then that is agreed."""
    wager = _wager(case, command.wager_id, "accepted")
    if wager.status != "accepted":
        raise RequestError(
            betting_codes.TRANSITION_ILLEGAL, f"A wager that is {wager.status} has no amounts to change yet."
        )
    case.check_currency(wager.currency, wager.account)
    _check_version(wager, command.version)
    struck = msgspec.structs.replace(case.read.bet(wager)[1], risk_minor=command.risk_minor, to_win_minor=None)
    to_win, terms = _agreed(struck, command.to_win_minor)
    if command.risk_minor > wager.risk or to_win > wager.to_win:
        _check_takes_more(case, wager)
        limits.check_increase(case, wager, command.risk_minor, to_win)
    who = case.actor.subject
    case.write([changes.ModifyWager(wager.id, command.risk_minor, to_win, command.reason, who, case.now_ms, terms)])
    return _done(case, wager.id, wager)


def _check_takes_more(case: Case, wager: BookWager) -> None:
    """Whether a customer could place such a wager now: more at stake, or more to win, is a new risk.

    Raises:
        RequestError: `customer_inactive` or `market_closed`.
    """
    customer = case.read.customer(wager.customer)
    _check_active(customer, [agent.status for agent in case.read.agents(customer.path)])
    for selection_id in case.read.bet(wager)[0]:
        _check_open(case, case.read.offer(selection_id))


def _agreed(struck: Bet, given: int | None) -> tuple[int, Terms]:
    """What a wager wins from now on, and its terms: an amount that its prices do not say was agreed as such.

    Raises:
        RequestError: `wager_type_unknown` or `wager_invalid`, nothing says what it wins.
    """
    if given is None:
        return payoff.to_win_minor(struck), msgspec.structs.replace(struck.terms, agreed=False, won_per="")
    as_struck = payoff.is_as_struck(msgspec.structs.replace(struck, to_win_minor=given))
    return given, msgspec.structs.replace(struck.terms, agreed=not as_struck, won_per="")


def reopen(case: Case, command: commands.ReopenWager) -> Done:
    """What ended an accepted wager is rolled back: it is open again."""
    wager = _wager(case, command.wager_id, "accepted", privileged=True)
    if wager.status in ("accepted", "requested", "review"):
        raise RequestError(betting_codes.TRANSITION_ILLEGAL, f"A wager that is {wager.status} has not ended.")
    case.check_same(wager.currency, wager.account)
    case.write([changes.ReopenWager(wager.id, command.reason, case.actor.subject, case.now_ms)])
    return _done(case, wager.id, wager)


def _end(case: Case, wager_id: str, status: Literal["cancelled", "voided"], reason: str) -> Done:
    wager = _wager(case, wager_id, status)
    if wager.status in ("settled", "cashed_out"):
        case.check_same(wager.currency, wager.account)
    case.write([changes.CancelWager(wager.id, status, reason, case.actor.subject, case.now_ms)])
    return _done(case, wager.id, wager)


def _wager(case: Case, wager_id: str, after: State, *, privileged: bool = False) -> BookWager:
    """A wager that may go to a state.

    Raises:
        RequestError: `wager_unknown`, or `transition_illegal` with both states.
    """
    wager = case.read.wager(wager_id)
    lifecycle.transition(cast(State, wager.status), after, privileged=privileged)
    return wager


def _check_version(wager: BookWager, version: int | None) -> None:
    """Whether a wager is still as it was when somebody looked at it.

    Raises:
        RequestError: `fact_conflict`.
    """
    if version not in (None, wager.version):
        details: Details = {"version": wager.version}
        raise RequestError(
            betting_codes.FACT_CONFLICT, f"The wager is at version {wager.version} now.", details=details
        )


def _done(
    case: Case,
    wager_id: str,
    before: BookWager | None,
    more: dict[str, Json] | None = None,
    *,
    amount_minor: int | None = None,
) -> Done:
    """What has become of a wager.

    Args:
        before: as it was; None where it is new.
        more: for the answer.
        amount_minor: where it is not that of the whole wager.
    """
    wager = case.read.wager(wager_id)
    after = _state(wager)
    amount = _amount(before, wager) if amount_minor is None else amount_minor
    was = {} if before is None else _state(before)
    return Done(f"wager:{wager_id}", after | (more or {}), was, after, wager.customer, amount)


def _amount(before: BookWager | None, after: BookWager) -> int:
    """How much money a change of a wager is about."""
    if before is None or before.status in ("requested", "review"):
        return after.risk if after.status in ("accepted", "review") else 0
    if after.status == before.status == "accepted":
        return max(abs(after.risk - before.risk), abs(after.to_win - before.to_win))
    return max(at_stake_minor(before), at_stake_minor(after))


def at_stake_minor(wager: BookWager) -> int:
    """How much money the end of a wager is about, however it ends: its stake, what it could return, what it returned.

    A winner that is settled as lost moves nothing, and takes from its customer all that it would have returned.
    """
    return max(wager.risk, _most(wager), abs(wager.returned))


def _most(wager: BookWager) -> int:
    """What a wager can return."""
    return cash_risk_minor(wager.risk, free_play=wager.free_play) + wager.to_win


def _state(wager: BookWager) -> dict[str, Json]:
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


def _graded(leg: GradedLeg, one: commands.SelectionResult) -> GradedLeg:
    """A leg with the result that a command gives it."""
    deduction = deducted(one.rule4_percent)
    result = _result(one.result, one.dead_heat, deduction)
    place = None if one.place is None else _result(one.place, one.place_dead_heat, deduction)
    return msgspec.structs.replace(leg, result=result, place=place or leg.place)


def _result(word: commands.Outcome, dead_heat: float, deduction: Fraction) -> LegResult:
    share = _share(dead_heat)
    if share != 1 and word != "win":
        raise RequestError(codes.COMMAND_INVALID, "Only a win is shared in a dead heat.")
    return msgspec.structs.replace(settlement.RESULTS[word], dead_heat=share, deduction=deduction)


def _share(dead_heat: float) -> Fraction:
    """The share that a number means: as it is written, unless it is that of a few who are tied (0.3333333333333333)."""
    few = Fraction(dead_heat).limit_denominator(1_000)
    return few if float(few) == dead_heat else Fraction(repr(dead_heat))


def _asked(case: Case, command: commands.PlaceWager, offers: list[Offer]) -> Bet:
    """The wager that a command asks for, at the prices of now.

    Raises:
        RequestError: `wager_type_unknown` or `wager_invalid`.
    """
    legs = tuple([GradedLeg(offer.exact) for offer in offers])
    given = Terms(
        by=command.by, points=command.points, ties=command.ties, fraction=command.fraction, places=command.places
    )
    bet = Bet(legs, command.risk_minor, None, command.type, given, command.free_play)
    kind = bet.kind()
    strange = [each for each in given.__struct_fields__ if getattr(given, each) and each not in kind.takes]
    if strange:
        raise invalid(f"A wager of the type {kind.name} has no {', '.join(strange)}.")
    if kind.name == "teaser":
        bet = msgspec.structs.replace(bet, terms=_teaser(case, command.points, len(legs)))
    return bet


def _teaser(case: Case, points: float, teams: int) -> Terms:
    """The terms of a teaser as the house offers it; they stay with the wager, whatever it offers later."""
    offered = next((each for each in case.house.teasers if each.points == points), None)
    if offered is None or str(teams) not in offered.pays:
        raise invalid(f"No teaser of {teams} teams by {points:g} points is offered.")
    pays = {count: odds for count, odds in offered.pays.items() if int(count) <= teams}
    return Terms(points=points, pays=pays, ties=offered.ties)


def _check_active(customer: BookCustomer, agents: list[str]) -> None:
    """Whether a customer, and every agent above, takes part in betting.

    Raises:
        RequestError: `customer_inactive`.
    """
    if customer.status != "active" or any(status != "active" for status in agents):
        raise RequestError(betting_codes.CUSTOMER_INACTIVE, f"{customer.code} may not bet now.")


def _offered(case: Case, leg: commands.PickedLeg, tolerance: float) -> Offer:
    """What a leg is struck at.

    Raises:
        RequestError: `market_unknown`, `market_closed` or `price_changed`.
    """
    offer = case.read.offer(leg.selection_id)
    _check_open(case, offer)
    if abs(offer.odds - leg.odds) > tolerance * leg.odds + 5e-7:  # prices have six decimals
        details: Details = {"selectionId": offer.id, "odds": offer.odds}
        raise RequestError(
            betting_codes.PRICE_CHANGED, f"The odds are {offer.odds} now, not {leg.odds}.", details=details
        )
    return offer


def _check_open(case: Case, offer: Offer) -> None:
    over = offer.event_status == "finished" or offer.closes_at <= to_text(case.now_ms)
    if over or offer.market_status != "open":
        details: Details = {"marketId": offer.market_id, "status": offer.market_status}
        raise RequestError(betting_codes.MARKET_CLOSED, "The market takes no wagers now.", details=details)

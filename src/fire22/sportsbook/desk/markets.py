"""What the desk does with a whole market: its status, and its result with all the wagers that it decides."""

from typing import Final, Literal

from fire22.core import codes
from fire22.core.errors import Details, RequestError
from fire22.core.message import Json
from fire22.core.times import to_ms
from fire22.sportsbook.betting import codes as betting_codes
from fire22.sportsbook.betting.errors import StateError
from fire22.sportsbook.betting.settlement import HALF_LOSS, HALF_WIN, LOSS, PUSH, LegResult, place_share
from fire22.sportsbook.book import changes
from fire22.sportsbook.desk import commands
from fire22.sportsbook.desk.case import Case, Done
from fire22.sportsbook.desk.reads import BookMarket
from fire22.sportsbook.desk.wagers import at_stake_minor, settlement_of

REFUSALS_MAX: Final = 100  # that an answer names


def settle(case: Case, command: commands.SettleMarket) -> Done:
    """The result of a market is written, and every wager that is decided now is settled, under one batch id.

    A market with a result can get another: what was settled otherwise is settled again by the difference. Wagers of
    which nobody knows what they pay stay as they are, and are named: one of them stops no other.
    """
    market = case.read.market(command.market_id)
    results = _results(market, command)
    batch_id = case.new_id()
    deductions = tuple([_deduction(each) for each in command.deductions])
    status: Literal["voided", "resulted"] = "voided" if command.void else "resulted"
    case.write([changes.GradeMarket(market.id, tuple(results), status, case.now_ms, deductions)])
    settled = resettled = open = returned = at_stake = 0
    refused: list[Json] = []
    for wager in case.read.wagers_of_market(market.id):
        try:
            change = settlement_of(wager, case.read.bet(wager)[1], case, batch_id=batch_id)
            if change is not None:
                case.write([change])
        except StateError:
            open += 1
            continue
        except RequestError as error:
            refused.append({"wagerId": wager.id, "code": error.code.name, "message": error.message})
            continue
        if change is not None:
            returned += change.return_minor
            at_stake += max(at_stake_minor(wager), change.return_minor)
            settled += wager.status == "accepted"
            resettled += wager.status == "settled"
    after = case.read.market(market.id).status
    result: dict[str, Json] = {
        "marketId": market.id, "status": after, "batchId": batch_id, "settled": settled, "resettled": resettled,
        "open": open, "refused": len(refused), "returnMinor": returned,
    }  # fmt: skip
    if refused:
        result["refusals"] = refused[:REFUSALS_MAX]
    return Done(f"market:{market.id}", result, {"status": market.status}, result, amount_minor=at_stake)


def set_status(case: Case, command: commands.SetMarketStatus) -> Done:
    """A market without a result opens, is suspended or closed."""
    market = case.read.market(command.market_id)
    if market.status in ("resulted", "voided"):
        details: Details = {"before": market.status, "after": command.status}
        message = f"A market that is {market.status} cannot become {command.status}."
        raise RequestError(betting_codes.TRANSITION_ILLEGAL, message, details=details)
    case.write([changes.SetMarketStatus(market.id, command.status, case.now_ms)])
    result = {"marketId": market.id, "status": command.status}
    return Done(f"market:{market.id}", result, {"status": market.status}, {"status": command.status})


def _deduction(one: commands.Deduction) -> changes.Deduction:
    before = None if one.struck_before is None else to_ms(one.struck_before)
    return changes.Deduction(one.percent, before)


def _results(market: BookMarket, command: commands.SettleMarket) -> list[changes.Grade]:
    """The result of every selection.

    Raises:
        RequestError: `command_invalid`, a selection is not of the market or named twice, nothing has a result, or it
            is not said who shares a place.
    """
    order = _order(command)
    ranked = [selection for group in order for selection in group]
    groups = (ranked, command.pushes, command.half_wins, command.half_losses)
    named = [selection for group in groups for selection in group]
    strange = sorted(set(named) - set(market.selections))
    if strange:
        raise RequestError(codes.COMMAND_INVALID, f"The market has no selection {strange[0][:64]}.")
    if len(set(named)) < len(named):
        raise RequestError(codes.COMMAND_INVALID, "A selection has one result.")
    if command.void == bool(named):
        message = "A market is void, or has selections that did not lose: one of the two."
        raise RequestError(codes.COMMAND_INVALID, message)
    whole = PUSH if command.void else LOSS
    results = {selection: _grade(selection, whole) for selection in market.selections}
    position = 1
    for group in order:
        share = place_share(position, len(group), command.places)
        result = LegResult(won=True, dead_heat=share) if share else LOSS
        # Of winners in no order nobody knows who was first.
        told = bool(command.order) or command.places == 1
        for each in group:
            results[each] = _grade(each, result, position if told else None, len(group) if told else 1)
        position += len(group)
    for result, selections in ((PUSH, command.pushes), (HALF_WIN, command.half_wins), (HALF_LOSS, command.half_losses)):
        results |= {each: _grade(each, result) for each in selections}
    return list(results.values())


def _order(command: commands.SettleMarket) -> list[tuple[str, ...]]:
    """The order of finishing: who is alone at a place, and who shares it.

    Raises:
        RequestError: `command_invalid`.
    """
    if command.order:
        if command.winners or command.tied or not all(command.order):
            raise RequestError(codes.COMMAND_INVALID, "The order of finishing says who wins and who is tied.")
        return list(command.order)
    winners, tied, places = command.winners, command.tied, command.places
    if places == 1 and not tied:
        return [winners] if winners else []
    if len(winners) > places or (tied and len(winners) == places):
        message = f"Not all of these have one of the {places} places alone: name those that share one as `tied`."
        raise RequestError(codes.COMMAND_INVALID, message)
    return [*[(each,) for each in winners], *([tied] if tied else [])]


def _grade(selection_id: str, result: LegResult, position: int | None = None, tied: int = 1) -> changes.Grade:
    void, dead_heat = float(result.void), float(result.dead_heat)
    return changes.Grade(selection_id, int(result.won), void, dead_heat, position, tied)

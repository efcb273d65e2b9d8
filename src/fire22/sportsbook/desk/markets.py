"""What the desk does with a whole market: its status, and its result with all the wagers that it decides."""

from fractions import Fraction

from fire22.core import codes
from fire22.core.errors import Details, RequestError
from fire22.core.message import Json
from fire22.sportsbook import changes, settlement
from fire22.sportsbook.desk import commands
from fire22.sportsbook.desk.case import Case, Done
from fire22.sportsbook.desk.reads import Market
from fire22.sportsbook.desk.wagers import settlement_of
from fire22.sportsbook.settlement import HALF_LOSS, HALF_WIN, LOSS, PUSH, LegResult


def settle(case: Case, command: commands.SettleMarket) -> Done:
    """The result of a market is written, and every wager that is decided now is settled, under one batch id.

    A market with a result can get another: what was settled otherwise is settled again by the difference.
    """
    market = case.read.market(command.market_id)
    results = _results(market, command)
    batch_id = case.new_id()
    grades = tuple(_grade(selection, result) for selection, result in results.items())
    case.write([changes.GradeMarket(market.id, grades, "voided" if command.void else "resulted", case.now_ms)])
    settled = resettled = open = returned = 0
    items: list[changes.Change] = []
    for wager in case.read.wagers_of_market(market.id):
        legs = [leg for _, leg in case.read.legs(wager.id)]
        if not settlement.is_decided(legs):
            open += 1
            continue
        change = settlement_of(wager, legs, case, batch_id=batch_id)
        if change is not None:
            items.append(change)
            returned += change.return_minor
            settled += wager.status == "accepted"
            resettled += wager.status == "settled"
    case.write(items)
    after = case.read.market(market.id).status
    result: dict[str, Json] = {
        "marketId": market.id, "status": after, "batchId": batch_id, "settled": settled, "resettled": resettled,
        "open": open, "returnMinor": returned,
    }  # fmt: skip
    return Done(f"market:{market.id}", result, {"status": market.status}, result)


def set_status(case: Case, command: commands.SetMarketStatus) -> Done:
    """A market without a result opens, is suspended or closed."""
    market = case.read.market(command.market_id)
    if market.status in ("resulted", "voided"):
        details: Details = {"before": market.status, "after": command.status}
        message = f"A market that is {market.status} cannot become {command.status}."
        raise RequestError(codes.TRANSITION_ILLEGAL, message, details=details)
    case.write([changes.SetMarketStatus(market.id, command.status, case.now_ms)])
    result = {"marketId": market.id, "status": command.status}
    return Done(f"market:{market.id}", result, {"status": market.status}, {"status": command.status})


def _grade(selection_id: str, result: LegResult) -> changes.Grade:
    return changes.Grade(selection_id, int(result.won), float(result.void), float(result.dead_heat))


def _results(market: Market, command: commands.SettleMarket) -> dict[str, LegResult]:
    """The result of every selection.

    Raises:
        RequestError: `command_invalid`, a selection is not of the market or named twice, or nothing has a result.
    """
    groups = (command.winners, command.pushes, command.half_wins, command.half_losses)
    named = [selection for group in groups for selection in group]
    strange = sorted(set(named) - set(market.selections))
    if strange:
        raise RequestError(codes.COMMAND_INVALID, f"The market has no selection {strange[0][:64]}.")
    if len(set(named)) < len(named):
        raise RequestError(codes.COMMAND_INVALID, "A selection has one result.")
    if command.void == bool(named):
        message = "A market is void, or has selections that did not lose: one of the two."
        raise RequestError(codes.COMMAND_INVALID, message)
    if command.void:
        return dict.fromkeys(market.selections, PUSH)
    share = min(Fraction(1), Fraction(command.places, max(1, len(command.winners))))
    results = dict.fromkeys(market.selections, LOSS)
    results |= dict.fromkeys(command.winners, LegResult(won=True, dead_heat=share))
    results |= dict.fromkeys(command.pushes, PUSH)
    results |= dict.fromkeys(command.half_wins, HALF_WIN)
    return results | dict.fromkeys(command.half_losses, HALF_LOSS)

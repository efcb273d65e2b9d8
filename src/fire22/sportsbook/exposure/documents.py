"""The documents of the `exposure` view: what a scope can lose by market and by event, and in all.

The profit by outcome in a market's document is the answer to "what if": it is what straight wagers on the market bring
if that outcome happens. Markets of one event are correlated (a team that wins also covers), so the sum over an event's
markets is a bound, and so is that over events; grouping the lines of a game by its score margin is not done here.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from fire22.core.message import Json
from fire22.sportsbook.betting.money import Major
from fire22.sportsbook.exposure.netting import MarketBook, Net, ScopeBook
from fire22.sportsbook.registry.records import MarketRecord

# Of a scope, a market, an event, and the answer to `what-if`.
FIELDS: Final = (
    "totalLiability", "isBound", "upperBound", "straight", "parlayProfit", "grossPotentialPayout", "markets",
    "parlays", "linkedMarkets", "components", "largestComponent", "marketId", "eventId", "eventName", "type",
    "status", "line", "limit", "liability", "risk", "wagers", "outcomes", "worst", "scope", "pnl",
)  # fmt: skip

NOBODY: Final = "none"  # the worst outcome of a market on which the book cannot lose
SUMMARY: Final = ""  # the key of the document of a scope in all
EVENT: Final = "event:"  # the key of an event's document begins so

Document = dict[str, Json]


def summary(book: ScopeBook, markets: int, major: Major) -> Document:
    """What a scope can lose in all; money in major units.

    Args:
        markets: how many there are on which something is at stake.
    """
    linked = book.linked
    return {
        "totalLiability": major(book.total),
        "isBound": book.is_bound,
        "upperBound": major(book.bound),
        "straight": major(book.straight),
        "parlayProfit": major(book.potential),
        "grossPotentialPayout": major(book.gross),
        "markets": markets,
        "parlays": book.parlays,
        "linkedMarkets": linked.markets,
        "components": len(linked.components),
        "largestComponent": linked.largest,
    }


def market_document(book: ScopeBook, of: MarketBook, market: MarketRecord | None, major: Major) -> Document:
    """What a scope can lose on one market.

    Args:
        market: as it is known; None once it is over.
    """
    document: Document = {"marketId": of.id}
    if market is not None:
        document |= {"eventId": market.event_id, "eventName": market.event_name, "type": market.type}
        document["status"] = market.status
        if market.line is not None:
            document["line"] = market.line
        if market.liability_limit_minor and book.path == "/":
            document["limit"] = major(market.liability_limit_minor)
    net = of.seen(book)
    outcomes, worst = _outcomes(net, of.places, market, major)
    document |= {
        "liability": major(net.liability),
        "risk": major(net.risk),
        "wagers": net.straight,
        "parlays": net.links,
        "outcomes": outcomes,
        "worst": worst,
    }
    return document


def _outcomes(net: Net, places: Mapping[str, int], market: MarketRecord | None, major: Major) -> tuple[Document, str]:
    named = market.selections if market is not None else {}
    worst, lowest = NOBODY, 0
    outcomes: Document = {}
    base = net.risk - net.known
    for selection in sorted({*named, *places}):
        place = places.get(selection)
        payout = net.payout(place) if place is not None else 0
        known = named.get(selection)
        if known is None and not payout:
            continue
        pnl = base - payout
        if pnl < lowest:
            worst, lowest = selection, pnl
        outcome: Document = {"payout": major(payout), "pnl": major(pnl)}
        if known is not None:
            outcome["name"], outcome["odds"] = known.name, known.odds
        outcomes[selection] = outcome
    return outcomes, worst


def event_document(book: ScopeBook, event_id: str, name: str, markets: Sequence[str], major: Major) -> Document:
    """What a scope can lose on one event: the sum over its markets, which is a bound where several can lose.

    Args:
        markets: those on which something is at stake, in order.
    """
    losses = {each: book.net(each).liability for each in markets}
    document: Document = {"eventId": event_id, "liability": major(sum(losses.values()))}
    if name:
        document["eventName"] = name
    if sum(loss > 0 for loss in losses.values()) > 1:
        document["isBound"] = True
    document["markets"] = {each: major(loss) for each, loss in losses.items()}
    return document

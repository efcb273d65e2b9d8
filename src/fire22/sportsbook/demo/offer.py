"""The demo book's games and markets: what is opened, and at which prices.

A game that is to come has a winner, a spread and a total, of the whole game or of each half as well; a game in play
has one quick market after the other, each open for seconds. All is faster than in life, so that results come while
somebody watches.
"""

from random import Random
from typing import Final

from fire22.sportsbook.book.changes import AddEvent, AddMarket, Change, NewSelection
from fire22.sportsbook.demo.ids import new_id
from fire22.sportsbook.demo.names import LEAGUES, League
from fire22.sportsbook.demo.prices import opened, posted, truth
from fire22.sportsbook.demo.world import IN_PLAY, KnownMarket, KnownSelection

GAME_OPEN_MS: Final = (120_000, 360_000)  # from opening to the start of the game, which closes its markets
QUICK_OPEN_MS: Final = (10_000, 25_000)
MARKET_LIMIT_MINOR: Final = 5_000_000
QUICK_LIMIT_MINOR: Final = 1_000_000
PERIODS: Final = (("game", 1.0), ("first_half", 0.5), ("second_half", 0.5))  # and their share of a game's points
MARKETS_A_PERIOD: Final = 3


def game(rng: Random, at_ms: int, starts_ms: int, *, periods: int = 1) -> list[Change]:
    """A game that starts at `starts_ms`, with the markets that close then."""
    league = rng.choice(LEAGUES)
    event = _event(rng, league, at_ms, starts_ms, live=False)
    items: list[Change] = [event]
    for period, share in PERIODS[:periods]:
        items += _period(rng, league, event, period, share, at_ms)
    return items


def live_game(rng: Random, at_ms: int) -> list[Change]:
    """A game in play, with its first quick market."""
    event = _event(rng, rng.choice(LEAGUES), at_ms, at_ms, live=True)
    return [event, quick_market(rng, event.id, at_ms)]


def quick_market(rng: Random, event_id: str, at_ms: int) -> AddMarket:
    """A market in play that closes within seconds."""
    closes_ms = at_ms + rng.randint(*QUICK_OPEN_MS)
    return _market(rng, event_id, IN_PLAY, "next", None, ("Yes", "No"), closes_ms, QUICK_LIMIT_MINOR, at_ms)


def _event(rng: Random, league: League, at_ms: int, starts_ms: int, *, live: bool) -> AddEvent:
    home, away = rng.sample(league.teams, 2)
    return AddEvent(new_id(rng, at_ms), league.id, home, away, starts_ms, "live" if live else "scheduled")


def _period(rng: Random, league: League, event: AddEvent, period: str, share: float, at_ms: int) -> list[AddMarket]:
    def market(kind: str, line: float | None, outcomes: tuple[str, ...]) -> AddMarket:
        return _market(rng, event.id, kind, period, line, outcomes, event.starts_ms, MARKET_LIMIT_MINOR, at_ms)

    sides = (event.home, event.away)
    winner = market("1x2", None, (*sides, "Draw")) if league.draws else market("moneyline", None, sides)
    # Where games can be drawn, lines stand on quarters too, and may be won or lost by half.
    step = 4 if league.draws else 2
    line = rng.randint(1, step * league.spread_max) / step
    if winner.selections[0].price < winner.selections[1].price:  # the home side is the favourite: it gives points
        line = -line
    total = round(step * league.total * share + rng.randint(-4, 4)) / step
    return [
        winner,
        market("spread", line, tuple(f"{side} {given:+g}" for side, given in zip(sides, (line, -line), strict=True))),
        market("total", total, (f"Over {total:g}", f"Under {total:g}")),
    ]


def _market(
    rng: Random,
    event_id: str,
    kind: str,
    period: str,
    line: float | None,
    names: tuple[str, ...],
    closes_ms: int,
    limit_minor: int,
    at_ms: int,
) -> AddMarket:
    id = new_id(rng, at_ms)
    prices = posted(opened(rng, truth(id, kind, len(names)), names))
    selections = tuple(NewSelection(new_id(rng, at_ms), *each) for each in zip(names, prices, strict=True))
    return AddMarket(id, event_id, kind, period, line, closes_ms, limit_minor, selections, at_ms)


def known(item: AddMarket) -> KnownMarket:
    """A new market as the simulation knows it."""
    selections = [KnownSelection(one.id, one.name, one.price) for one in item.selections]
    return KnownMarket(
        item.id, item.event_id, item.type, item.line, item.closes_ms, True, item.liability_limit_minor, selections
    )

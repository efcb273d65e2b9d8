"""How markets end, and what that settles."""

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache, partial
from random import Random
from typing import Final

from fire22.core.errors import RequestError
from fire22.sportsbook.betting import payoff, settlement
from fire22.sportsbook.betting.odds import decimal_odds
from fire22.sportsbook.betting.payoff import Bet
from fire22.sportsbook.betting.settlement import HALF_LOSS, HALF_WIN, LOSS, PUSH, WIN, LegResult
from fire22.sportsbook.betting.wager_types import PLAIN
from fire22.sportsbook.book import changes
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.demo.agenda import Agenda
from fire22.sportsbook.demo.ids import new_id
from fire22.sportsbook.demo.world import KnownCustomer, KnownMarket, KnownWager, World

Priced = tuple[tuple[int | Fraction, LegResult | None], ...]  # an American price or exact odds, and the result

VOIDED_MARKET: Final = 0.004
PUSHED_LINE: Final = 0.06  # of the spreads and totals on whole numbers
HALVED_LINE: Final = 0.3  # of those on quarters
REGRADED: Final = 0.0005
REGRADED_MS: Final = (10_000, 60_000)


class Grading:
    """Draws results from what is true, and settles by `settlement.py`.

    Args:
        settled: told of each customer whose balance has moved.
    """

    def __init__(
        self, rng: Random, agenda: Agenda, world: World, settled: Callable[[KnownCustomer, int], None]
    ) -> None:
        self._rng = rng
        self._agenda = agenda
        self._world = world
        self._settled = settled

    def result(self, market: KnownMarket, at_ms: int) -> list[Change]:
        """Result a market and settle all it decides, under one batch."""
        results = self._draw(market)
        batch = new_id(self._rng, at_ms)
        grades = tuple(changes.Grade(side, int(one.won), float(one.void)) for side, one in results.items())
        voided = all(one is PUSH for one in results.values())
        items: list[Change] = [changes.GradeMarket(market.id, grades, "voided" if voided else "resulted", at_ms)]
        for wager in market.wagers.values():
            if wager.open:
                items += self._grade(wager, market.id, results, batch, at_ms)
        return items

    def _draw(self, market: KnownMarket) -> dict[str, LegResult]:
        """How each selection ended."""
        winner = self._rng.choices(market.selections, market.true)[0].id
        chance, quarters = self._rng.random(), 4 * (market.line or 0.0) % 4
        whole_line, quarter_line = market.line is not None and quarters == 0, quarters in (1, 3)
        if chance < VOIDED_MARKET or (whole_line and chance < PUSHED_LINE):
            return {one.id: PUSH for one in market.selections}
        won, lost = (HALF_WIN, HALF_LOSS) if quarter_line and chance < HALVED_LINE else (WIN, LOSS)
        return {one.id: won if one.id == winner else lost for one in market.selections}

    def _grade(
        self, wager: KnownWager, market_id: str, results: dict[str, LegResult], batch: str, at_ms: int
    ) -> list[Change]:
        """Give a wager the result of one market, and settle it if that decides it."""
        for leg in wager.legs:
            if leg.market_id == market_id:
                leg.result = results[leg.selection_id]
        settled = self._due(wager)
        if settled is None:
            return []
        self._world.leave(wager, settled.profit_minor)
        self._settled(wager.customer, at_ms)
        if self._rng.random() < REGRADED:
            self._world.doubted[wager.id] = wager
            self._agenda.after(at_ms, REGRADED_MS, partial(self._regrade, wager, settled.profit_minor))
        return [changes.SettleWager(wager.id, settled.result, settled.return_minor, at_ms, batch_id=batch)]

    def _due(self, wager: KnownWager) -> settlement.Settlement | None:
        """The settlement of a wager; None while it is open, and where only its bookmaker can say what it pays."""
        legs: Priced = tuple([(leg.odds or leg.price, leg.result) for leg in wager.legs])
        if not wager.theirs and wager.type in PLAIN:
            return _settled(legs, wager.risk_minor, wager.free_play)
        bet = Bet(_graded(legs), wager.risk_minor, wager.to_win_minor, wager.type, wager.terms, wager.free_play)
        try:
            return None if payoff.returned(bet) is None else payoff.settle(bet)
        except RequestError:
            return None

    def _regrade(self, wager: KnownWager, profit_minor: int, at_ms: int) -> list[Change]:
        """A settlement is corrected: the stake goes back, unless somebody else has looked at it meanwhile."""
        if self._world.doubted.pop(wager.id, None) is None:
            return []
        wager.customer.balance_minor -= profit_minor
        return [changes.SettleWager(wager.id, "push", wager.cash_minor, at_ms, settled_by="desk")]


def _graded(legs: Priced) -> tuple[settlement.GradedLeg, ...]:
    """Legs at exact odds."""
    return tuple(
        [settlement.GradedLeg(decimal_odds(odds) if isinstance(odds, int) else odds, result) for odds, result in legs]
    )


@lru_cache(maxsize=65_536)
def _settled(legs: Priced, risk_minor: int, free_play: bool) -> settlement.Settlement | None:
    """The settlement of a straight wager or a parlay, None while it is not decided; many have the same."""
    bet = Bet(_graded(legs), risk_minor, free_play=free_play)
    return None if payoff.returned(bet) is None else payoff.settle(bet)

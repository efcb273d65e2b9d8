"""How markets end, and what that settles."""

from collections.abc import Callable
from functools import lru_cache, partial
from random import Random
from typing import Final

from fire22.sportsbook import changes, settlement
from fire22.sportsbook.changes import Change
from fire22.sportsbook.odds import decimal_odds
from fire22.sportsbook.settlement import LOSS, PUSH, WIN, LegResult
from fire22.sportsbook.simulation.agenda import Agenda
from fire22.sportsbook.simulation.ids import new_id
from fire22.sportsbook.simulation.world import Customer, Market, Wager, World

VOIDED_MARKET: Final = 0.004
PUSHED_LINE: Final = 0.06  # of the spreads and totals on whole numbers
REGRADED: Final = 0.0005
REGRADED_MS: Final = (10_000, 60_000)


class Grading:
    """Draws results from what is true, and settles by `settlement.py`.

    Args:
        settled: told of each customer whose balance has moved.
    """

    def __init__(self, rng: Random, agenda: Agenda, world: World, settled: Callable[[Customer, int], None]) -> None:
        self._rng = rng
        self._agenda = agenda
        self._world = world
        self._settled = settled

    def result(self, market: Market, at_ms: int) -> list[Change]:
        """Result a market and settle all it decides, under one batch."""
        winner = self._draw(market)
        batch = new_id(self._rng, at_ms)
        items: list[Change] = [changes.ResultMarket(market.id, winner, at_ms)]
        for wager in market.wagers.values():
            if wager.open:
                items += self._grade(wager, market.id, winner, batch, at_ms)
        return items

    def _draw(self, market: Market) -> str | None:
        """The selection that wins; None = all stakes go back."""
        if self._rng.random() < VOIDED_MARKET:
            return None
        if market.line is not None and market.line % 1 == 0 and self._rng.random() < PUSHED_LINE:
            return None
        return self._rng.choices(market.selections, market.true)[0].id

    def _grade(self, wager: Wager, market_id: str, winner: str | None, batch: str, at_ms: int) -> list[Change]:
        """Give a wager the result of one market, and settle it if that decides it."""
        for leg in wager.legs:
            if leg.market_id == market_id:
                leg.result = PUSH if winner is None else WIN if leg.selection_id == winner else LOSS
        legs = tuple([(leg.price, leg.result) for leg in wager.legs])
        settled = _settled(legs, wager.risk_minor, wager.free_play)
        if settled is None:
            return []
        wager.open = False
        del self._world.wagers[wager.id]
        self._book(wager, settled.profit_minor, at_ms)
        if self._rng.random() < REGRADED:
            self._agenda.after(at_ms, REGRADED_MS, partial(self._regrade, wager, settled.profit_minor))
        return [changes.SettleWager(wager.id, settled.result, settled.return_minor, at_ms, batch_id=batch)]

    def _book(self, wager: Wager, profit_minor: int, at_ms: int) -> None:
        customer = wager.customer
        customer.open_minor -= wager.cash_minor
        customer.balance_minor += profit_minor
        customer.lost = customer.lost + 1 if profit_minor < 0 else 0
        self._settled(customer, at_ms)

    def _regrade(self, wager: Wager, profit_minor: int, at_ms: int) -> list[Change]:
        """A settlement is corrected: the stake goes back."""
        wager.customer.balance_minor -= profit_minor
        return [changes.SettleWager(wager.id, "push", wager.cash_minor, at_ms, settled_by="desk")]


@lru_cache(maxsize=65_536)
def _settled(
    legs: tuple[tuple[int, LegResult | None], ...], risk_minor: int, free_play: bool
) -> settlement.Settlement | None:
    """The settlement of legs at American prices, None while it is not decided; many wagers have the same."""
    graded = [settlement.Leg(decimal_odds(price), result) for price, result in legs]
    return settlement.settle(graded, risk_minor, free_play=free_play) if settlement.is_decided(graded) else None

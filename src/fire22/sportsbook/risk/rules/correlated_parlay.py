"""A parlay whose legs depend on each other, so that their combined price is too long.

Legs of one event do, whatever their markets, but for a spread with a total: these only where the spread is a large
share of the total, so that the favourite covers seldom in a game of few points.
"""

from typing import ClassVar, Literal

from fire22.sportsbook.registry.records import MarketRecord
from fire22.sportsbook.risk.base import Finding, Ratio, Rule, RuleSettings, Scene, called, of_customer, title_of


class CorrelatedParlaySettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        spread_share: of the total, from which on a spread and a total are related.
        exempt_types: of wagers whose price takes the relation into account.
    """

    spread_share: Ratio = 0.3
    exempt_types: tuple[str, ...] = ("same_game", "same_game_parlay", "teaser")


class CorrelatedParlay(Rule):
    """One alert for each customer."""

    name: ClassVar[str] = "correlated_parlay"
    settings_type: ClassVar[type[RuleSettings]] = CorrelatedParlaySettings
    looks_at: ClassVar[Literal["all", "straight", "parlays"]] = "parlays"
    settings: CorrelatedParlaySettings

    def placed(self, scene: Scene) -> Finding | None:
        """Judge every pair of legs."""
        bet = scene.bet
        if bet.type in self.settings.exempt_types:
            return None
        before: dict[str, tuple[str, MarketRecord]] = {}
        for leg in bet.legs:
            market = self.book.market(leg.market_id)
            if market is None:
                continue
            other = before.get(market.event_id)
            if other is not None and self._related(other[1], market):
                return self._found(scene, other, (leg.market_id, market))
            before.setdefault(market.event_id, (leg.market_id, market))
        return None

    def _related(self, one: MarketRecord, other: MarketRecord) -> bool:
        lines = {market.type: market.line for market in (one, other)}
        spread, total = lines.get("spread"), lines.get("total")
        if spread is not None and total:
            return abs(spread) >= self.settings.spread_share * total
        return True

    def _found(self, scene: Scene, one: tuple[str, MarketRecord], other: tuple[str, MarketRecord]) -> Finding:
        bet = scene.bet
        return Finding(
            cause=bet.customer_id,
            entity=of_customer(scene),
            severity=self.settings.severity,
            path=bet.path,
            at_ms=scene.move.at_ms,
            title=f"{called(scene)} combines related legs to win {self.said(bet.to_win)}.",
            evidence={
                "eventId": one[1].event_id,
                "event": one[1].event_name or one[1].event_id,
                "markets": [title_of(one[1], one[0]), title_of(other[1], other[0])],
                "legs": len(bet.legs),
                "amount": self.major(bet.risk),
                "toWin": self.major(bet.to_win),
            },
            wager_ids=(bet.wager_id,),
            customer_id=bet.customer_id,
        )

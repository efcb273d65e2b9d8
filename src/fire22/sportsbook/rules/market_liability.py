"""What the book may lose on one market, against the limit of the market."""

from typing import ClassVar

from fire22.core.scope import ROOT
from fire22.sportsbook import liability
from fire22.sportsbook.money import major
from fire22.sportsbook.registry import Movement, OpenWager
from fire22.sportsbook.rule import Entity, Finding, Minor, Ratio, Rule, RuleSettings, Severity, said, title_of


class MarketLiabilitySettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        share: of the limit.
        critical_share: of the limit, from which on it is critical.
        limit_minor: of markets that have no limit of their own; 0 is none; minor units.
    """

    share: Ratio = 0.8
    critical_share: Ratio = 1.0
    limit_minor: Minor = 0


class MarketLiability(Rule):
    """One alert for each market, at the book. Judged once a group, since every wager moves some market."""

    name: ClassVar[str] = "market_liability"
    settings_type: ClassVar[type[RuleSettings]] = MarketLiabilitySettings
    settings: MarketLiabilitySettings

    def adjust(self) -> None:
        """Begin with nothing open."""
        if not hasattr(self, "_markets"):
            self._markets: dict[str, liability.Market] = {}
            self._touched: dict[str, str] = {}

    def loaded(self) -> None:
        """Derive what is open."""
        self._markets = {}
        for wager in self.book.wagers():
            self._add(wager, 1)
        self._touched = {}

    def moved(self, move: Movement) -> None:
        """Follow what is open."""
        if move.closed is not None:
            self._add(move.closed, -1)
        if move.opened is not None:
            self._add(move.opened, 1)

    def flush(self, at_ms: int) -> list[Finding]:
        """Judge the markets that the group has moved."""
        touched, self._touched = self._touched, {}
        findings = [self._judge(market_id, wager_id, at_ms) for market_id, wager_id in touched.items()]
        return [one for one in findings if one is not None]

    def _add(self, wager: OpenWager, sign: int) -> None:
        if len(wager.legs) != 1:
            return
        leg = wager.legs[0]
        market = self._markets.get(leg.market_id)
        if market is None:
            market = self._markets[leg.market_id] = liability.Market()
        market.add(leg.selection_id, wager.cash, wager.to_win, sign)
        if not market.paid and not market.risk:
            del self._markets[leg.market_id]
        if market.liability:
            self._touched[leg.market_id] = wager.wager_id

    def _judge(self, market_id: str, wager_id: str, at_ms: int) -> Finding | None:
        market, settings = self.book.market(market_id), self.settings
        open = self._markets.get(market_id)
        limit = (market.liability_limit_minor if market is not None else 0) or settings.limit_minor
        if open is None or not limit or open.liability < limit * settings.share:
            return None
        severity: Severity = "critical" if open.liability >= limit * settings.critical_share else settings.severity
        name = title_of(market, market_id)
        worst = max(open.paid, key=lambda one: (open.paid[one], one))
        selection = market.selections.get(worst) if market is not None else None
        return Finding(
            cause=market_id,
            entity=Entity("market", market_id, name),
            severity=severity,
            path=ROOT,
            at_ms=at_ms,
            title=f"{name} may cost {said(open.liability)}, {open.liability / limit:.0%} of its limit.",
            evidence={
                "liability": major(open.liability),
                "limit": major(limit),
                "share": round(open.liability / limit, 4),
                "worstSelectionId": worst,
                "worstSelection": selection.name if selection is not None else worst,
                "risk": major(open.risk),
            },
            wager_ids=(wager_id,),
            market_id=market_id,
        )

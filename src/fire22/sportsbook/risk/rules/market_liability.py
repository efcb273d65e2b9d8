"""What the house may lose on the straight wagers of one market, against the limit of the market."""

from math import inf
from typing import ClassVar, Final

from fire22.core.message import Json
from fire22.core.scope import ROOT
from fire22.sportsbook.registry.movement import Movement
from fire22.sportsbook.risk.base import Entity, Finding, Minor, Ratio, Rule, RuleSettings, Severity, percent, title_of
from fire22.sportsbook.risk.prices import ClosedMarket

UNLIMITED: Final = inf


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
    """One alert for each market, at the book.

    Judged once a group, and only where it can have come to that: no wager raises a liability by more than its profit,
    and none that leaves by more than its stake. So what a market had left to its threshold when it was last judged
    tells for long that it is not reached. That is no state: where it is not known, the market is judged, and no more
    comes of it.
    """

    name: ClassVar[str] = "market_liability"
    settings_type: ClassVar[type[RuleSettings]] = MarketLiabilitySettings
    settings: MarketLiabilitySettings

    def adjust(self) -> None:
        """Begin with nothing known of what is left."""
        self._touched: dict[str, str] = {}
        self._left: dict[str, float] = {}

    def loaded(self) -> None:
        """Begin anew."""
        self.adjust()

    def offered(self, market_id: str, at_ms: int) -> None:
        """A market may have another limit."""
        self._left.pop(market_id, None)

    def ended(self, ended: ClosedMarket) -> None:
        """A market that is closed is not looked at for long."""
        self._left.pop(ended.market_id, None)

    def moved(self, move: Movement) -> None:
        """Note which market a straight wager may bring to its threshold."""
        opened, closed = move.opened, move.closed
        wager = opened or closed
        if wager is None or len(wager.legs) != 1:
            return
        market_id, left = wager.legs[0].market_id, self._left
        rest = left.get(market_id, 0)
        if opened is not None:
            rest -= opened.to_win
        if closed is not None:
            rest -= closed.cash
        left[market_id] = rest
        if rest <= 0:
            self._touched[market_id] = wager.wager_id

    def flush(self, at_ms: int) -> list[Finding]:
        """Judge the markets that the group has moved."""
        touched, self._touched = self._touched, {}
        findings = [self._judge(market_id, touched[market_id], at_ms) for market_id in sorted(touched)]
        return [one for one in findings if one is not None]

    def _judge(self, market_id: str, wager_id: str, at_ms: int) -> Finding | None:
        self._left.pop(market_id, None)
        market = self.book.market(market_id)
        limit = (market.liability_limit_minor if market is not None else 0) or self.settings.limit_minor
        left = UNLIMITED
        if limit:
            left = limit * self.settings.share - self.context.exposure.market_liability(ROOT, market_id)
        if left <= 0:
            return self._found(market_id, wager_id, limit, at_ms)
        if market is not None:
            self._left[market_id] = left
        return None

    def _found(self, market_id: str, wager_id: str, limit: int, at_ms: int) -> Finding:
        market, amount = self.book.market(market_id), self.context.exposure.market_liability(ROOT, market_id)
        severity: Severity = "critical" if amount >= limit * self.settings.critical_share else self.settings.severity
        name, share = title_of(market, market_id), round(amount / limit, 3)
        shown = self.context.exposure.market(ROOT, market_id) or {}
        worst = market.selections.get(str(shown.get("worst"))) if market is not None else None
        evidence: dict[str, Json] = {
            "liability": self.major(amount),
            "limit": self.major(limit),
            "share": share,
            "risk": shown.get("risk", 0.0),
            "worstSelectionId": shown.get("worst", ""),
        }
        return Finding(
            cause=market_id,
            entity=Entity("market", market_id, name),
            severity=severity,
            path=ROOT,
            at_ms=at_ms,
            title=f"{name} may cost {self.said(amount)}, {percent(share)} of its limit.",
            evidence=evidence | ({"worstSelection": worst.name} if worst is not None else {}),
            wager_ids=(wager_id,),
            market_id=market_id,
        )

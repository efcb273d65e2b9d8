"""A wager accepted, or raised, after its market had closed: when the game's course or result could be known."""

from math import inf
from typing import Annotated, ClassVar

from msgspec import Meta

from fire22.core.times import to_text
from fire22.sportsbook.registry.records import MarketRecord
from fire22.sportsbook.risk.base import (
    EVER,
    NEVER,
    Entity,
    Finding,
    Rule,
    RuleSettings,
    Scene,
    Severity,
    called,
    lasted,
    title_of,
)
from fire22.sportsbook.risk.prices import deadline_ms


class PastPostSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        grace_ms: so late may a wager be accepted that was under way when the market closed.
    """

    severity: Severity = "critical"
    grace_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 1_000


class PastPost(Rule):
    """One alert for each market.

    A market is closed from when that was told, at the latest from its own time: one for before the game from its start
    where nothing else is known, one in play only from its own.
    """

    name: ClassVar[str] = "past_post"
    settings_type: ClassVar[type[RuleSettings]] = PastPostSettings
    settings: PastPostSettings

    def adjust(self) -> None:
        """Take the grace."""
        self._grace_ms = self.settings.grace_ms

    def placed(self, scene: Scene) -> Finding | None:
        """Judge by every leg."""
        return self._judge(scene, scene.bet.at_ms)

    def passes(self, market: MarketRecord) -> tuple[int, float]:
        """While a market is open, up to its own time."""
        return ((deadline_ms(market) or EVER) if market.status == "open" else NEVER), inf

    def modified(self, scene: Scene) -> Finding | None:
        """Judge a wager that was raised by when that was."""
        before = scene.move.closed
        return self._judge(scene, scene.move.at_ms) if before and scene.bet.to_win > before.to_win else None

    def _judge(self, scene: Scene, at_ms: int) -> Finding | None:
        for leg in scene.bet.legs:
            closed_ms = self._closed_ms(leg.market_id)
            if 0 < closed_ms < at_ms - self._grace_ms:
                return self._found(scene, leg.market_id, closed_ms, at_ms)
        return None

    def _closed_ms(self, market_id: str) -> int:
        """When a market closed or will; 0 is unknown."""
        market = self.book.market(market_id)
        own_ms = deadline_ms(market) if market is not None else 0
        if market is not None and market.status == "open":
            return own_ms
        closing = self.context.prices.closings.get(market_id)
        if closing is None:
            return own_ms
        return min(closing.closed_ms, own_ms) if own_ms else closing.closed_ms

    def _found(self, scene: Scene, market_id: str, closed_ms: int, at_ms: int) -> Finding:
        market, bet = self.book.market(market_id), scene.bet
        name = title_of(market, market_id)
        late_ms = at_ms - closed_ms
        return Finding(
            cause=market_id,
            entity=Entity("market", market_id, name),
            severity=self.settings.severity,
            path=bet.path,
            at_ms=scene.move.at_ms,
            title=f"{called(scene)} has a wager of {lasted(late_ms)} after {name} closed.",
            evidence={
                "acceptedAt": to_text(at_ms),
                "closedAt": to_text(closed_ms),
                "lateSeconds": late_ms / 1_000,
                "amount": self.major(bet.risk),
                "toWin": self.major(bet.to_win),
            },
            wager_ids=(bet.wager_id,),
            customer_id=bet.customer_id,
            market_id=market_id,
        )

"""What the book may lose to one customer on all that is open, against a limit that the customer's bet factor scales.

The limit is the book's own: how much of the usual a customer may use is what the factor says, and below 1 for a sharp
player. What a customer may lose is the business of `credit_utilisation`.
"""

from typing import ClassVar

from fire22.sportsbook.risk.base import Finding, Minor, Ratio, Rule, RuleSettings, Scene, Severity, called, of_customer


class CustomerExposureSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        limit_minor: of the profit that all open wagers of a customer with factor 1 may bring; minor units.
        critical_share: of the limit, from which on it is critical.
    """

    limit_minor: Minor = 5_000_000
    critical_share: Ratio = 2.0


class CustomerExposure(Rule):
    """One alert for each customer."""

    name: ClassVar[str] = "customer_exposure"
    settings_type: ClassVar[type[RuleSettings]] = CustomerExposureSettings
    settings: CustomerExposureSettings

    def adjust(self) -> None:
        """Take the limit."""
        self._limit = self.settings.limit_minor

    def placed(self, scene: Scene) -> Finding | None:
        """Judge what the customer has open now."""
        player = scene.player
        to_win, limit = player.to_win, self._limit * scene.customer.bet_factor
        if to_win < limit:
            return None
        bet, settings, limit = scene.bet, self.settings, round(limit)
        severity: Severity = "critical" if to_win >= limit * settings.critical_share else settings.severity
        return Finding(
            cause=bet.customer_id,
            entity=of_customer(scene),
            severity=severity,
            path=bet.path,
            at_ms=scene.move.at_ms,
            title=f"{called(scene)} may win {self.said(to_win)} on {player.count} open wagers; "
            f"the limit is {self.said(limit)}.",
            evidence={
                "pendingToWin": self.major(to_win),
                "pendingRisk": self.major(player.cash),
                "pending": player.count,
                "limit": self.major(limit),
                "betFactor": scene.customer.bet_factor,
            },
            wager_ids=(bet.wager_id,),
            customer_id=bet.customer_id,
        )

    modified = placed

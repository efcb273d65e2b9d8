"""A wager that is large for the book, or close to the largest that its customer may place.

The share of a customer's maximum counts from `share_risk_minor` on: that a casual player bets the 400.00 he may is no
news to a desk.
"""

from typing import ClassVar

from fire22.sportsbook.risk.base import Finding, Minor, Ratio, Rule, RuleSettings, Scene, Severity, called, of_customer


class LargeBetSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        risk_minor: of one wager; minor units.
        critical_risk_minor: from which on it is critical.
        share_of_max: of the customer's largest wager.
        share_risk_minor: the least risk that is judged by that share.
    """

    risk_minor: Minor = 1_000_000
    critical_risk_minor: Minor = 5_000_000
    share_of_max: Ratio = 0.8
    share_risk_minor: Minor = 200_000


class LargeBet(Rule):
    """One alert for each customer."""

    name: ClassVar[str] = "large_bet"
    settings_type: ClassVar[type[RuleSettings]] = LargeBetSettings
    settings: LargeBetSettings

    def adjust(self) -> None:
        """What is below both thresholds is passed over at once."""
        self.least_minor = min(self.settings.risk_minor, self.settings.share_risk_minor)

    def placed(self, scene: Scene) -> Finding | None:
        """Judge a wager."""
        return self._judge(scene) if scene.bet.risk >= self.least_minor else None

    def modified(self, scene: Scene) -> Finding | None:
        """Judge a wager that was raised."""
        before = scene.move.closed
        if before is None or scene.bet.risk <= before.risk or scene.bet.risk < self.least_minor:
            return None
        return self._judge(scene)

    def _judge(self, scene: Scene) -> Finding | None:
        settings, bet = self.settings, scene.bet
        largest = scene.customer.max_wager_minor
        by_share = largest > 0 and settings.share_risk_minor <= bet.risk and largest * settings.share_of_max <= bet.risk
        if bet.risk < settings.risk_minor and not by_share:
            return None
        severity: Severity = "critical" if bet.risk >= settings.critical_risk_minor else settings.severity
        evidence = {
            "amount": self.major(bet.risk),
            "toWin": self.major(bet.to_win),
            "threshold": self.major(settings.risk_minor),
        }
        if largest > 0:
            evidence |= {"maxWager": self.major(largest), "shareOfMax": round(bet.risk / largest, 3)}
        return Finding(
            cause=bet.customer_id,
            entity=of_customer(scene),
            severity=severity,
            path=bet.path,
            at_ms=scene.move.at_ms,
            title=f"{called(scene)} risks {self.said(bet.risk)} on one wager.",
            evidence=dict(evidence),
            wager_ids=(bet.wager_id,),
            customer_id=bet.customer_id,
        )

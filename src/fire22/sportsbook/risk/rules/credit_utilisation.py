"""How much of a customer's credit is used: open cash risk less balance, of the credit limit."""

from typing import ClassVar

from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.records import CustomerRecord
from fire22.sportsbook.risk.base import Entity, Finding, Ratio, Rule, RuleSettings, Scene, Severity, percent, who


class CreditUtilisationSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        share: of the credit limit.
        critical_share: of the credit limit, from which on it is critical.
    """

    share: Ratio = 0.8
    critical_share: Ratio = 0.95


class CreditUtilisation(Rule):
    """One alert for each customer. One without a credit limit plays with the own money and is passed over."""

    name: ClassVar[str] = "credit_utilisation"
    settings_type: ClassVar[type[RuleSettings]] = CreditUtilisationSettings
    settings: CreditUtilisationSettings

    def adjust(self) -> None:
        """Take the threshold."""
        self._balance = self.context.balances.balance_minor
        self._share = self.settings.share

    def placed(self, scene: Scene) -> Finding | None:
        """Judge by what is open now."""
        limit = scene.customer.credit_limit_minor
        if limit <= 0:
            return None
        bet, cash = scene.bet, scene.player.cash
        balance = self._balance(bet.customer_id)
        if cash - balance < limit * self._share:
            return None
        return self._judge(bet.customer_id, scene.customer, cash, balance, scene.move.at_ms, (bet.wager_id,))

    modified = placed

    def limited(self, customer_id: str, at_ms: int) -> Finding | None:
        """Judge by the new limit."""
        return self._look(customer_id, at_ms)

    def paid(self, kind: str, payment: facts.Payment, at_ms: int) -> Finding | None:
        """Judge what a withdrawal or a charge-back leaves."""
        if kind == "charged_back" or (kind == "completed" and payment.direction == "withdrawal"):
            return self._look(payment.customer_id, at_ms)
        return None

    def _look(self, customer_id: str, at_ms: int) -> Finding | None:
        customer = self.book.customer(customer_id)
        if customer is None:
            return None
        cash = self.context.open_minor(customer_id)
        return self._judge(customer_id, customer, cash, self._balance(customer_id), at_ms, ())

    def _judge(
        self,
        customer_id: str,
        customer: CustomerRecord,
        cash: int,
        balance: int,
        at_ms: int,
        wager_ids: tuple[str, ...],
    ) -> Finding | None:
        limit, used = customer.credit_limit_minor, cash - balance
        if limit <= 0 or used < limit * self.settings.share or used <= 0:
            return None
        share = round(used / limit, 3)
        severity: Severity = "critical" if used >= limit * self.settings.critical_share else self.settings.severity
        return Finding(
            cause=customer_id,
            entity=Entity("customer", customer_id, customer.name),
            severity=severity,
            path=customer.path,
            at_ms=at_ms,
            title=f"{who(customer_id, customer)} uses {percent(share)} of a credit of {self.said(limit)}.",
            evidence={
                "used": self.major(used),
                "creditLimit": self.major(limit),
                "share": share,
                "pendingRisk": self.major(cash),
                "balance": self.major(balance),
            },
            wager_ids=wager_ids,
            customer_id=customer_id,
        )

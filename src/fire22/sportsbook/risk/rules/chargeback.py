"""A payment that was charged back: the money is gone, and what the customer asks for now should wait."""

from typing import ClassVar

from fire22.sportsbook.betting import facts
from fire22.sportsbook.risk.base import DAY_S, Entity, Finding, Minor, Rule, RuleSettings, Seconds, Severity, who


class ChargebackSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        amount_minor: from which on; minor units.
    """

    severity: Severity = "critical"
    cooldown_s: Seconds = DAY_S
    amount_minor: Minor = 0


class Chargeback(Rule):
    """One alert for each customer."""

    name: ClassVar[str] = "chargeback"
    settings_type: ClassVar[type[RuleSettings]] = ChargebackSettings
    settings: ChargebackSettings

    def paid(self, kind: str, payment: facts.Payment, at_ms: int) -> Finding | None:
        """Any, by default."""
        if kind != "charged_back" or payment.amount_minor < self.settings.amount_minor:
            return None
        customer = self.book.customer(payment.customer_id)
        name, amount = who(payment.customer_id, customer), self.said(payment.amount_minor)
        return Finding(
            cause=payment.customer_id,
            entity=Entity("customer", payment.customer_id, customer.name if customer else ""),
            severity=self.settings.severity,
            path=payment.path,
            at_ms=at_ms,
            title=f"A {payment.direction} of {amount} of {name} was charged back: hold payouts.",
            evidence={
                "paymentId": payment.payment_id,
                "amount": self.major(payment.amount_minor),
                "method": payment.method,
                "balance": self.major(self.context.balances.balance_minor(payment.customer_id)),
            },
            customer_id=payment.customer_id,
        )

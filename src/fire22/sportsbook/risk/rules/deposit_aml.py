"""Deposits that the law asks a book to look at: much in a day, and amounts kept just below what must be reported.

Above `daily_minor` in 24 hours any method counts. From `suspicious_minor` on only methods that leave no trace count,
since a card or a bank knows its holder. Structuring is several deposits of `near` the daily threshold: within a day it
is critical, within `structuring_s` it is worth a look.
"""

from typing import Annotated, ClassVar, Final

from msgspec import Meta, Struct, field

from fire22.flows.base import Table
from fire22.sportsbook.betting import facts
from fire22.sportsbook.risk.base import (
    DAY_S,
    Count,
    Entity,
    Finding,
    Minor,
    Rule,
    RuleSettings,
    Seconds,
    Severity,
    listed,
    who,
)  # fmt: skip
from fire22.sportsbook.risk.expiring_table import ExpiringRow, ExpiringTable

DAY_MS: Final = DAY_S * 1_000
DEPOSITS_KEPT: Final = 100  # of a customer: the newest


class DepositAmlSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        daily_minor: more than this in 24 hours, by any method; minor units.
        suspicious_minor: as much as this in 24 hours by `suspicious_methods`; minor units.
        suspicious_methods: whose deposits are added up for `suspicious_minor`.
        near: the least share of `daily_minor` that a deposit just below it has.
        count: of such deposits, or more ...
        structuring_s: ... within less than this.
    """

    daily_minor: Minor = 1_000_000
    suspicious_minor: Minor = 500_000
    suspicious_methods: tuple[str, ...] = ("cash", "crypto")
    near: Annotated[float, Meta(ge=0, le=1)] = 0.8
    count: Count = 3
    structuring_s: Seconds = 7 * DAY_S
    cooldown_s: Seconds = DAY_S


class Deposit(Struct, frozen=True, gc=False, array_like=True):
    """One completed deposit; minor units."""

    at_ms: int
    payment_id: str
    amount: int
    method: str


class Deposits(ExpiringRow, gc=False, array_like=True):
    """A customer's deposits, oldest first."""

    deposits: list[Deposit] = field(default_factory=list)


class DepositAml(Rule):
    """One alert for each customer and kind of suspicion."""

    name: ClassVar[str] = "deposit_aml"
    settings_type: ClassVar[type[RuleSettings]] = DepositAmlSettings
    settings: DepositAmlSettings

    def adjust(self) -> None:
        """Take the windows."""
        if not hasattr(self, "_customers"):
            self._customers: ExpiringTable[Deposits] = ExpiringTable("deposit_aml", Deposits, 0)
        self._structuring_ms = self.settings.structuring_s * 1_000
        self._customers.span_ms = max(DAY_MS, self._structuring_ms)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Deposits by customer."""
        return (self._customers.table,)  # type: ignore[return-value]

    def loaded(self) -> None:
        """Derive when what is forgotten."""
        self._customers.loaded()

    def renamed(self, before: str, customer_id: str) -> None:
        """What was paid in was paid by the same customer."""
        row = self._customers.pop(before)
        if row is not None:
            self._customers.add(customer_id, row)

    def clock(self, now_ms: int) -> tuple[Finding, ...]:
        """Forget whose last deposit is long ago."""
        self._customers.expire(now_ms)
        return ()

    def paid(self, kind: str, payment: facts.Payment, at_ms: int) -> Finding | None:
        """Judge every stretch of time that a completed deposit lies in; the gravest suspicion is told."""
        if kind != "completed" or payment.direction != "deposit":
            return None
        new = Deposit(at_ms, payment.payment_id, payment.amount_minor, payment.method)
        kept = self._add(payment.customer_id, new)
        settings = self.settings
        below = [one for one in kept if settings.daily_minor * settings.near <= one.amount < settings.daily_minor]
        quiet = [one for one in kept if one.method in settings.suspicious_methods]
        daily = max(_stretches(kept, new, DAY_MS), key=_total, default=[])
        cash = max(_stretches(quiet, new, DAY_MS), key=_total, default=[])
        day = max(_stretches(below, new, DAY_MS), key=len, default=[])
        week = max(_stretches(below, new, self._structuring_ms), key=len, default=[])
        if len(day) >= settings.count:
            return self._found(payment, "structuring", "critical", day, at_ms)
        if _total(daily) > settings.daily_minor:
            return self._found(payment, "daily", "critical", daily, at_ms)
        if len(week) >= settings.count:
            return self._found(payment, "structuring", settings.severity, week, at_ms)
        if cash and _total(cash) >= settings.suspicious_minor:
            return self._found(payment, "suspicious", settings.severity, cash, at_ms)
        return None

    def _add(self, customer_id: str, new: Deposit) -> list[Deposit]:
        row = self._customers.get(customer_id)
        if row is None:
            row = Deposits(new.at_ms, [new])
            self._customers.add(customer_id, row)
            return row.deposits
        row.touched_ms = max(row.touched_ms, new.at_ms)
        since_ms = row.touched_ms - self._customers.span_ms
        kept = sorted([*row.deposits, new], key=lambda one: one.at_ms)
        row.deposits = [one for one in kept[-DEPOSITS_KEPT:] if one.at_ms > since_ms]
        self._customers.touch(customer_id, row)
        return row.deposits

    def _found(
        self, payment: facts.Payment, kind: str, severity: Severity, deposits: list[Deposit], at_ms: int
    ) -> Finding:
        customer = self.book.customer(payment.customer_id)
        name, total = who(payment.customer_id, customer), self.said(_total(deposits))
        threshold = self.settings.suspicious_minor if kind == "suspicious" else self.settings.daily_minor
        title = {
            "daily": f"{name} deposited {total} within a day.",
            "suspicious": f"{name} deposited {total} within a day in ways that leave no trace.",
            "structuring": f"{name} made {len(deposits)} deposits just below {self.said(self.settings.daily_minor)}.",
        }[kind]
        return Finding(
            cause=f"{payment.customer_id}:{kind}",
            entity=Entity("customer", payment.customer_id, customer.name if customer else ""),
            severity=severity,
            path=payment.path,
            at_ms=at_ms,
            title=title,
            evidence={
                "kind": kind,
                "threshold": self.major(threshold),
                "deposits": len(deposits),
                "total": self.major(_total(deposits)),
                "amounts": listed(self.major(one.amount) for one in deposits),
                "methods": listed(sorted({one.method for one in deposits})),
                "paymentIds": listed(one.payment_id for one in deposits),
            },
            customer_id=payment.customer_id,
        )


def _total(deposits: list[Deposit]) -> int:
    return sum(one.amount for one in deposits)


def _stretches(deposits: list[Deposit], new: Deposit, span_ms: int) -> list[list[Deposit]]:
    """What lies in each stretch of time that ends with a deposit and has the new one in it."""
    if new not in deposits:
        return []
    ends = {one.at_ms: None for one in deposits if new.at_ms <= one.at_ms < new.at_ms + span_ms}
    return [[one for one in deposits if end_ms - span_ms < one.at_ms <= end_ms] for end_ms in ends]

"""Money that is paid in and asked for again after hardly any play: laundering, or a bonus taken along.

Told when the withdrawal is asked for, so that it can still be held. What is played through once is forgotten.
"""

from typing import ClassVar

from msgspec import field

from fire22.flows.base import Table
from fire22.sportsbook.betting import facts
from fire22.sportsbook.risk.base import (  # fmt: skip
    DAY_S,
    Entity,
    Finding,
    Minor,
    Ratio,
    Rule,
    RuleSettings,
    Scene,
    Seconds,
    who,
)
from fire22.sportsbook.risk.expiring_table import ExpiringRow, ExpiringTable


class MinimalPlaySettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        share: of what was paid in, that is asked for.
        turnover: how many times what was paid in must have been wagered.
        deposit_minor: the least that was paid in; minor units.
        window_s: since the last deposit.
    """

    share: Ratio = 0.8
    turnover: Ratio = 1.0
    deposit_minor: Minor = 50_000
    window_s: Seconds = 7 * DAY_S
    cooldown_s: Seconds = DAY_S


class Unplayed(ExpiringRow, gc=False, array_like=True):
    """What a customer has paid in and not yet played through; minor units. `asked` is what is asked for of it."""

    deposited: int = 0
    turnover: int = 0
    asked: int = 0
    ids: list[str] = field(default_factory=list)


class MinimalPlay(Rule):
    """One alert for each customer."""

    name: ClassVar[str] = "minimal_play"
    settings_type: ClassVar[type[RuleSettings]] = MinimalPlaySettings
    settings: MinimalPlaySettings

    def adjust(self) -> None:
        """Take the window."""
        if not hasattr(self, "_customers"):
            self._customers: ExpiringTable[Unplayed] = ExpiringTable("minimal_play", Unplayed, 0)
        self._customers.span_ms = self.settings.window_s * 1_000

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """What is not played through, by customer."""
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

    def placed(self, scene: Scene) -> None:
        """Count what is wagered."""
        row = self._customers.get(scene.bet.customer_id)
        if row is not None:
            self._played(scene.bet.customer_id, row, scene.bet.cash)

    def modified(self, scene: Scene) -> None:
        """Count what is wagered more, or less."""
        row = self._customers.get(scene.bet.customer_id)
        if row is not None:
            self._played(scene.bet.customer_id, row, scene.move.handle)

    def cancelled(self, scene: Scene) -> None:
        """What was called off was not wagered."""
        self.modified(scene)

    def paid(self, kind: str, payment: facts.Payment, at_ms: int) -> Finding | None:
        """Count what is paid in; judge what is asked for."""
        if payment.direction == "deposit":
            if kind == "completed":
                self._deposited(payment, at_ms)
            return None
        row = self._customers.get(payment.customer_id)
        if row is None or kind not in ("requested", "rejected", "failed"):
            return None
        row.asked = max(0, row.asked + (payment.amount_minor if kind == "requested" else -payment.amount_minor))
        self._customers.touch(payment.customer_id, row)
        return self._judge(payment, row, at_ms) if kind == "requested" else None

    def _deposited(self, payment: facts.Payment, at_ms: int) -> None:
        row = self._customers.get(payment.customer_id)
        if row is None:
            row = Unplayed(at_ms)
            self._customers.add(payment.customer_id, row)
        row.touched_ms = max(row.touched_ms, at_ms)
        row.deposited += payment.amount_minor
        row.ids = [*row.ids[-9:], payment.payment_id]
        self._customers.touch(payment.customer_id, row)

    def _played(self, customer_id: str, row: Unplayed, cash: int) -> None:
        row.turnover = max(0, row.turnover + cash)
        if row.turnover >= row.deposited * self.settings.turnover:
            self._customers.pop(customer_id)
        else:
            self._customers.touch(customer_id, row)

    def _judge(self, payment: facts.Payment, row: Unplayed, at_ms: int) -> Finding | None:
        settings = self.settings
        if row.deposited < settings.deposit_minor or row.asked < row.deposited * settings.share:
            return None
        if row.touched_ms <= at_ms - self._customers.span_ms:
            return None
        customer = self.book.customer(payment.customer_id)
        name = who(payment.customer_id, customer)
        played = self.said(row.turnover)
        return Finding(
            cause=payment.customer_id,
            entity=Entity("customer", payment.customer_id, customer.name if customer else ""),
            severity=settings.severity,
            path=payment.path,
            at_ms=at_ms,
            title=f"{name} paid in {self.said(row.deposited)}, wagered {played} and asks for {self.said(row.asked)}.",
            evidence={
                "deposited": self.major(row.deposited),
                "handle": self.major(row.turnover),
                "asked": self.major(row.asked),
                "depositIds": list(row.ids),
                "paymentId": payment.payment_id,
            },
            customer_id=payment.customer_id,
        )

"""Money in and out, and customers' limits.

Payments follow play. Who comes with little pays in; who has lost much of the credit settles, a large figure with the
agent; who has won much, and has played with what was paid in, takes a part out. Amounts stay far below what a cashier
must report, but for a few large deposits.
"""

from functools import partial
from random import Random
from typing import Final, Literal

from fire22.sportsbook.book import changes
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.demo.agenda import Agenda
from fire22.sportsbook.demo.ids import new_id
from fire22.sportsbook.demo.sessions import Session, Sessions
from fire22.sportsbook.demo.world import KnownCustomer, KnownPayment

DAY_MS: Final = 86_400_000
STEP_MS: Final = (2_000, 20_000)
COME_MS: Final = (1_000, 15_000)
PAYS_IN: Final = 0.2  # of those who come
STAKES_IN: Final = (6, 20)  # usual stakes, of a deposit
OWED: Final = 0.35  # of the credit, at which a customer settles
STAKES_OUT: Final = 8  # usual stakes won, at which a customer takes money out
TURNOVER: Final = 1.5  # of a deposit, before money is taken out
AMOUNT_MIN_MINOR: Final = 2_000
AMOUNT_MAX_MINOR: Final = 200_000
DAY_MAX_MINOR: Final = 400_000
BONUSES: Final = 0.01  # of those who come
BONUS_MINOR: Final = 1_000
LARGE: Final = 0.0005  # of the deposits
LARGE_MINOR: Final = (520_000, 780_000)
REJECTED: Final = 0.03
FAILED: Final = 0.02
CHARGED_BACK: Final = 0.0006
METHODS: Final = (("card", 0.5), ("bank_transfer", 0.2), ("crypto", 0.2), ("cash", 0.1))
LIMIT_FACTORS: Final = (0.5, 0.8, 1.25, 2.0)

Direction = Literal["deposit", "withdrawal"]
Status = Literal["approved", "completed", "rejected", "failed", "charged_back"]


class Cashier:
    """Decides about payments and limits."""

    def __init__(self, rng: Random, agenda: Agenda, sessions: Sessions) -> None:
        self._rng = rng
        self._agenda = agenda
        self._sessions = sessions
        self._payments: dict[str, KnownPayment] = {}  # under way

    def begin(self, payments: list[KnownPayment], now_ms: int) -> None:
        """Take over the payments that are under way."""
        for payment in payments:
            payment.customer.paying = True
            self._payments[payment.id] = payment
            self._agenda.after(now_ms, STEP_MS, partial(self._go_on, payment))

    def decided(self, payment_id: str, status: str) -> None:
        """Somebody else has decided about a payment: it is theirs from now on."""
        payment = self._payments.get(payment_id)
        if payment is None:
            return
        payment.theirs, payment.status = True, status
        if status != "approved":
            payment.customer.paying = False

    def come(self, session: Session, at_ms: int) -> None:
        """A customer has come, and may pay in where little is left."""
        customer, usual = session.customer, session.player.usual_minor
        if customer.balance_minor < STAKES_IN[0] * usual and self._rng.random() < PAYS_IN:
            self._plan(customer, "deposit", usual * self._rng.randint(*STAKES_IN), at_ms)
        elif self._rng.random() < BONUSES:
            self._agenda.after(at_ms, COME_MS, partial(self._give_bonus, customer))

    def settled(self, customer: KnownCustomer, at_ms: int) -> None:
        """A customer's balance has moved: much owed is paid, of much won a part is taken out."""
        if customer.paying:
            return
        if customer.balance_minor < -OWED * customer.credit_limit_minor:
            if -customer.balance_minor > AMOUNT_MAX_MINOR:
                customer.paying = True
                self._agenda.after(at_ms, STEP_MS, partial(self._settle_up, customer))
            else:
                self._plan(customer, "deposit", -customer.balance_minor, at_ms)
            return
        if customer.balance_minor < AMOUNT_MIN_MINOR:
            return
        usual = self._sessions.player(customer).usual_minor
        if customer.balance_minor > STAKES_OUT * usual and customer.unplayed_minor <= 0:
            self._plan(customer, "withdrawal", customer.balance_minor - usual * STAKES_OUT // 2, at_ms)

    def change_customer(self, at_ms: int) -> list[Change]:
        """Limits are raised or cut; a customer is suspended, and let in again when drawn the next time."""
        customer = self._sessions.anybody()
        if customer is None or customer.held:
            return []
        if customer.status != "active" or self._rng.random() < 0.2:
            status: Literal["active", "suspended"] = "suspended" if customer.status == "active" else "active"
            customer.status = status
            return [changes.SetCustomerStatus(customer.id, status, at_ms)]
        factor = self._rng.choice(LIMIT_FACTORS)
        owed = max(0, customer.open_minor - customer.balance_minor)  # nobody is cut below what is at risk
        customer.credit_limit_minor = max(10_000, 2 * owed, 1_000 * round(customer.credit_limit_minor * factor / 1_000))
        customer.max_wager_minor = max(5_000, 1_000 * round(customer.max_wager_minor * factor / 1_000))
        return [changes.SetLimit(customer.id, customer.credit_limit_minor, customer.max_wager_minor, at_ms)]

    def _settle_up(self, customer: KnownCustomer, at_ms: int) -> list[Change]:
        """A large figure is not paid in but settled with the agent, who keeps to the credit that was given."""
        customer.paying = False
        amount = 1_000 * (-customer.balance_minor // 1_000)
        if amount <= 0:
            return []
        customer.balance_minor += amount
        reason = "figure settled with the agent"
        return [changes.AdjustBalance(customer.id, "transfer", amount, reason, "cashier", at_ms)]

    def _give_bonus(self, customer: KnownCustomer, at_ms: int) -> list[Change]:
        customer.balance_minor += BONUS_MINOR
        return [changes.AdjustBalance(customer.id, "bonus", BONUS_MINOR, "welcome back", "cashier", at_ms)]

    def _plan(self, customer: KnownCustomer, direction: Direction, amount_minor: int, at_ms: int) -> None:
        """A payment is asked for soon, unless one is under way."""
        if customer.paying or customer.status != "active":
            return
        amount = 1_000 * (min(max(amount_minor, AMOUNT_MIN_MINOR), AMOUNT_MAX_MINOR) // 1_000)
        if direction == "deposit":
            if self._rng.random() < LARGE:
                amount = 1_000 * (self._rng.randint(*LARGE_MINOR) // 1_000)
            elif self._paid_in(customer, at_ms) + amount > DAY_MAX_MINOR:
                return
            customer.deposited_minor += amount
        customer.paying = True
        payment = KnownPayment(new_id(self._rng, at_ms), customer, direction, amount, "pending")
        self._agenda.after(at_ms, COME_MS, partial(self._request, payment))

    def _paid_in(self, customer: KnownCustomer, at_ms: int) -> int:
        """What a customer has paid in today (UTC), minor units."""
        day = at_ms // DAY_MS
        if customer.deposit_day != day:
            customer.deposit_day, customer.deposited_minor = day, 0
        return customer.deposited_minor

    def _request(self, payment: KnownPayment, at_ms: int) -> list[Change]:
        self._payments[payment.id] = payment
        self._agenda.after(at_ms, STEP_MS, partial(self._go_on, payment))
        methods, shares = [name for name, _ in METHODS], [share for _, share in METHODS]
        method = self._rng.choices(methods, shares)[0]
        return [
            changes.RequestPayment(
                payment.id, payment.customer.id, payment.direction, method, payment.amount_minor, at_ms
            )
        ]

    def _go_on(self, payment: KnownPayment, at_ms: int) -> list[Change]:
        """pending → approved or rejected; approved → completed or failed; seldom completed → charged back."""
        if payment.theirs:
            return []
        draw = self._rng.random()
        status: Status
        if payment.status == "pending":
            status = "rejected" if draw < REJECTED else "approved"
        elif payment.status == "approved":
            status = "failed" if draw < FAILED else "completed"
        elif payment.status == "completed" and payment.direction == "deposit" and draw < CHARGED_BACK:
            status = "charged_back"
        else:
            self._payments.pop(payment.id, None)
            return []
        payment.status = status
        self._moved(payment, status)
        if status in ("approved", "completed"):
            self._agenda.after(at_ms, STEP_MS, partial(self._go_on, payment))
        return [changes.DecidePayment(payment.id, status, "cashier", at_ms)]

    def _moved(self, payment: KnownPayment, status: Status) -> None:
        """Keep what is known of the customer."""
        customer = payment.customer
        if status == "approved":
            return
        if status != "completed":
            self._payments.pop(payment.id, None)  # of one that was completed a charge-back may come
        customer.paying = False
        sign = {"completed": 1, "charged_back": -1}.get(status, 0)
        if payment.direction == "deposit":
            customer.balance_minor += sign * payment.amount_minor
            if status == "completed":
                customer.unplayed_minor = max(0, customer.unplayed_minor) + round(TURNOVER * payment.amount_minor)
        else:
            customer.balance_minor -= sign * payment.amount_minor

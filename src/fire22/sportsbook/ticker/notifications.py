"""Notifications: what concerns one person is said to that person alone, wherever that person is signed in.

A customer (the user `customer:<code>`) is told what becomes of the own wagers once they are placed, of the own payments
once somebody has decided, and when limits, status or balance are changed by hand. Each agent at or above a customer
(the user `agent:<code>`) is told when that customer requests a payment. What a person does is not told to that person;
alerts are the risk rules' to tell.

They go out on the server's internal topic for addressed messages, so they need no subscription and cost a subscriber
of anything else nothing.
"""

from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from fire22.core.address import user
from fire22.core.scope import ROOT, ancestors
from fire22.core.times import to_text
from fire22.core.topic import DIRECT, Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, expect
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.money import Money
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.movement import Movement

_RESULTS: Final = {
    "win": "won",
    "loss": "lost",
    "lose": "lost",
    "push": "was a push",
    "half_win": "half won",
    "half_loss": "half lost",
    "cashed_out": "was cashed out",
}
_ENDS: Final = {
    "moved": "was put right",
    "cancelled": "was cancelled",
    "voided": "was voided",
    "deleted": "was deleted",
}
_STEPS: Final = {
    "payment.approved": ("payment_decided", "was approved"),
    "payment.rejected": ("payment_decided", "was rejected"),
    "payment.completed": ("payment_completed", "is complete"),
    "payment.failed": ("payment_failed", "has failed"),
    "payment.charged_back": ("payment_failed", "was charged back"),
}


class Notification(Struct, frozen=True, gc=False, rename="camel"):
    """`data` of a notification; money in major units.

    Args:
        notification_id: of the event it tells of.
        kind: what happened, for programs.
        text: what happened, for the person.
        ref: the wager, payment, customer or entry it is about.
    """

    notification_id: str
    kind: str
    text: str
    timestamp: str
    ref: str
    amount: float | UnsetType = UNSET


_encode: Final = msgspec.json.Encoder().encode


class Notifications(Flow):
    """Stateless, and comes after the flows that judge the facts."""

    name: ClassVar[str] = "notifications"
    version: ClassVar[int] = 2

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.topics = (Topic(DIRECT, Kind.STREAM, internal=True),)
        self._book = registry

    def handlers(self) -> dict[str, Handler]:
        """What others do to a customer's wagers, payments, limits and balance; what customers ask of agents."""
        return {
            "wager.settled": self._settled,
            "wager.resettled": self._settled,
            **dict.fromkeys(("wager.modified", "wager.cancelled", "wager.reopened"), self._wager),
            "wager.rejected": self._rejected,
            "payment.requested": self._requested,
            **dict.fromkeys(_STEPS, self._payment),
            "customer.limit_changed": self._limit,
            "customer.status_changed": self._status,
            "balance.adjusted": self._adjusted,
        }

    def _settled(self, fact: Fact) -> None:
        wager: facts.WagerSettled = fact.data
        returned = wager.return_minor
        words = _RESULTS.get(wager.result, "was settled")
        if self._book.move.kind == "resettled":
            words = f"{words} after a correction"
        text = f"Your wager {wager.wager_number} {words}, {self._book.money.text(returned)} returned."
        self._say(fact, user("customer", wager.customer_id), "wager_settled", text, wager.wager_id, returned)

    def _wager(self, fact: Fact) -> None:
        move = self._book.move
        wager = move.fact
        text = f"Your wager {wager.wager_number} {_told(move, self._book.money)}."
        self._say(
            fact, user("customer", wager.customer_id), f"wager_{move.kind}", text, wager.wager_id, wager.risk_minor
        )

    def _rejected(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerRejected)
        why = f": {wager.reason}" if wager.reason else ""
        text = f"Your wager {wager.wager_number} was not accepted{why}."
        self._say(fact, user("customer", wager.customer_id), "wager_rejected", text, wager.wager_id, wager.risk_minor)

    def _requested(self, fact: Fact) -> None:
        payment = expect(fact, facts.Payment)
        text = f"{payment.customer_id} requests a {payment.direction} of {self._book.money.text(payment.amount_minor)}."
        for path in ancestors(payment.path)[1:]:
            agent = self._book.agent(path)
            if agent is not None:
                self._say(
                    fact,
                    user("agent", agent.agent_id),
                    "payment_requested",
                    text,
                    payment.payment_id,
                    payment.amount_minor,
                )

    def _payment(self, fact: Fact) -> None:
        payment = expect(fact, facts.Payment)
        kind, words = _STEPS[fact.event.type]
        text = f"Your {payment.direction} of {self._book.money.text(payment.amount_minor)} {words}."
        self._say(fact, user("customer", payment.customer_id), kind, text, payment.payment_id, payment.amount_minor)

    def _limit(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerLimitChanged)
        after, amount = changed.after, self._book.money.text
        largest = amount(after.max_wager_minor) if after.max_wager_minor else "not limited"
        text = f"Your limits were changed: credit {amount(after.credit_limit_minor)}, largest wager {largest}."
        self._say(fact, user("customer", changed.customer_id), "limit_changed", text, changed.customer_id)

    def _status(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerStatusChanged)
        text = f"Your account is now {changed.after}."
        self._say(fact, user("customer", changed.customer_id), "status_changed", text, changed.customer_id)

    def _adjusted(self, fact: Fact) -> None:
        told = expect(fact, facts.BalanceAdjusted)
        why = f" ({told.reason})" if told.reason else ""
        sign = "+" if told.amount_minor > 0 else ""
        text = f"Your balance was changed by {sign}{self._book.money.text(told.amount_minor)}: {told.kind}{why}."
        self._say(fact, user("customer", told.customer_id), "balance_adjusted", text, told.entry_id, told.amount_minor)

    def _say(self, fact: Fact, whose: str, kind: str, text: str, ref: str, amount: int | None = None) -> None:
        at_ms = fact.at_ms
        major = UNSET if amount is None else amount / self._book.money.unit
        data = _encode(Notification(fact.event.id, kind, text, to_text(at_ms), ref, major))
        self.out.stream(DIRECT, ROOT, "notification", at_ms, data, target=f"user:{whose}")


def _told(move: Movement, money: Money) -> str:
    """What has become of a wager that was not settled."""
    wager = move.fact
    if isinstance(wager, facts.WagerCancelled):
        return f"{_ENDS.get(wager.status, 'was cancelled')}{f': {wager.reason}' if wager.reason else ''}"
    if move.kind == "reopened":
        return "is open again"
    return f"was changed: {money.text(wager.risk_minor)} to win {money.text(wager.to_win_minor)}"

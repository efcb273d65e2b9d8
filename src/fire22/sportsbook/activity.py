"""The `activity` stream: what people do in the book, in words."""

from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from fire22.core.times import to_text
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, expect
from fire22.sportsbook import facts
from fire22.sportsbook.money import major
from fire22.sportsbook.ticker import customer_path

_PAYMENT_WORDS: Final = {
    "payment.requested": "requested a {direction}",
    "payment.approved": "had a {direction} approved",
    "payment.completed": "completed a {direction}",
    "payment.rejected": "had a {direction} rejected",
    "payment.failed": "had a {direction} fail",
    "payment.charged_back": "charged a {direction} back",
}
_RESULTS: Final = {"win": ("won a wager", "win"), "loss": ("lost a wager", "loss"), "lose": ("lost a wager", "loss")}
_CANCELS: Final = {"voided": "had a wager voided", "deleted": "had a wager deleted"}
_ALERTS: Final = ("payment.failed", "payment.charged_back", "payment.rejected")


class Activity(Struct, frozen=True, gc=False, rename="camel"):
    """`data` of an `activity_update`; money in major units."""

    activity_id: str
    user_id: str
    action: str
    timestamp: str
    icon: str
    amount: float | UnsetType = UNSET


_encode: Final = msgspec.json.Encoder().encode


class ActivityFeed(Flow):
    """Stateless: each fact that a person would tell makes one message."""

    name: ClassVar[str] = "activity"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self.topics = (Topic("activity", Kind.STREAM, ("userId", "action", "amount", "icon")),)

    def handlers(self) -> dict[str, Handler]:
        """Wagers, payments, and who came to the book."""
        return {
            "wager.placed": self._placed,
            "wager.modified": self._modified,
            "wager.settled": self._settled,
            "wager.resettled": self._resettled,
            "wager.cancelled": self._cancelled,
            **dict.fromkeys(_PAYMENT_WORDS, self._payment),
            "customer.created": self._customer,
            "customer.limit_changed": self._limit,
            "customer.status_changed": self._status,
            "agent.created": self._agent,
        }

    def _placed(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerPlaced)
        kind = "a free play" if wager.free_play else "a parlay" if wager.type == "parlay" else "a wager"
        self._wager(fact, wager, f"placed {kind}", "ticket", wager.risk_minor)

    def _modified(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerModified)
        self._wager(fact, wager, "had a wager changed", "edit", wager.risk_minor)

    def _settled(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerSettled)
        action, icon = _RESULTS.get(wager.result, ("had a wager settled", "push"))
        amount = wager.return_minor if icon == "win" else wager.risk_minor
        self._wager(fact, wager, action, icon, amount)

    def _resettled(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerSettled)
        self._wager(fact, wager, "had a wager settled again", "edit", wager.return_minor)

    def _cancelled(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerCancelled)
        self._wager(fact, wager, _CANCELS.get(wager.status, "had a wager cancelled"), "cancel", wager.risk_minor)

    def _payment(self, fact: Fact) -> None:
        payment = expect(fact, facts.Payment)
        action = _PAYMENT_WORDS[fact.event.type].format(direction=payment.direction)
        icon = "alert" if fact.event.type in _ALERTS else payment.direction
        path = customer_path(payment.path, payment.customer_id)
        self._say(fact, path, payment.customer_id, action, icon, payment.amount_minor)

    def _customer(self, fact: Fact) -> None:
        customer = expect(fact, facts.Customer)
        path = customer_path(customer.path, customer.customer_id)
        self._say(fact, path, customer.customer_id, "joined as a customer", "user-plus")

    def _limit(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerLimitChanged)
        path = customer_path(changed.path, changed.customer_id)
        self._say(fact, path, changed.customer_id, "has a new limit", "edit", changed.after.max_wager_minor)

    def _status(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerStatusChanged)
        path = customer_path(changed.path, changed.customer_id)
        self._say(fact, path, changed.customer_id, f"is now {changed.after}", "user")

    def _agent(self, fact: Fact) -> None:
        agent = expect(fact, facts.Agent)
        self._say(fact, agent.path, agent.agent_id, "joined as an agent", "user-plus")

    def _wager(self, fact: Fact, wager: facts.WagerFact, action: str, icon: str, amount: int) -> None:
        self._say(fact, customer_path(wager.path, wager.customer_id), wager.customer_id, action, icon, amount)

    def _say(self, fact: Fact, path: str, user: str, action: str, icon: str, amount: int | None = None) -> None:
        activity = Activity(
            fact.event.id, user, action, to_text(fact.at_ms), icon, UNSET if amount is None else major(amount)
        )
        self.out.stream("activity", path, "activity_update", fact.at_ms, _encode(activity))

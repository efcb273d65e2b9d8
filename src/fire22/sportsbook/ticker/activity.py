"""The `activity` stream: what people do in the book, in words."""

from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from fire22.core.scope import ROOT, customer_path
from fire22.core.times import to_text
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, expect
from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.flow import Registry

_PAYMENT_WORDS: Final = {
    "payment.requested": "requested a {direction}",
    "payment.approved": "had a {direction} approved",
    "payment.completed": "completed a {direction}",
    "payment.rejected": "had a {direction} rejected",
    "payment.failed": "had a {direction} fail",
    "payment.charged_back": "charged a {direction} back",
}
_RESULTS: Final = {  # with whether the amount is what came back, or else what was staked
    "win": ("won a wager", "win", True),
    "dead_heat": ("won a wager in a dead heat", "win", True),
    "half_win": ("half won a wager", "win", True),
    "loss": ("lost a wager", "loss", False),
    "lose": ("lost a wager", "loss", False),
    "half_loss": ("half lost a wager", "loss", True),
    "cashed_out": ("cashed out a wager", "withdrawal", True),
}
_OTHER_RESULT: Final = ("had a wager settled", "push", False)
_REQUESTS: Final = {"review": ("has a wager held for review", "pause"), "requested": ("asked for a wager", "clock")}
_ENTRIES: Final = {
    "bonus": ("was given a bonus", "deposit"),
    "fee": ("was charged a fee", "withdrawal"),
    "transfer": ("had an amount transferred", "edit"),
}
_CANCELS: Final = {"moved": "had a wager put right", "voided": "had a wager voided", "deleted": "had a wager deleted"}
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
    """Stateless: each fact that a person would tell makes one message.

    Who comes and goes is not told: sessions would bury the rest.
    """

    name: ClassVar[str] = "activity"
    version: ClassVar[int] = 3

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._book = registry
        fields = Activity.__struct_encode_fields__
        self.topics = (Topic("activity", Kind.STREAM, ("userId", "action", "amount", "icon"), fields=fields),)

    def handlers(self) -> dict[str, Handler]:
        """Wagers, payments, what the desk does, and who came to the book."""
        return {
            "wager.requested": self._requested,
            "wager.rejected": self._rejected,
            "wager.placed": self._placed,
            "wager.reopened": self._reopened,
            "wager.modified": self._modified,
            "wager.settled": self._settled,
            "wager.resettled": self._resettled,
            "wager.cancelled": self._cancelled,
            **dict.fromkeys(_PAYMENT_WORDS, self._payment),
            "balance.adjusted": self._adjusted,
            "alert.acknowledged": self._alert,
            "alert.closed": self._alert,
            "commission.plan_set": self._plan,
            "customer.created": self._customer,
            "customer.renamed": self._renamed,
            "customer.moved": self._moved,
            "customer.limit_changed": self._limit,
            "customer.status_changed": self._status,
            "agent.created": self._agent,
            "agent.changed": self._agent_changed,
        }

    def _requested(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerPlaced)
        self._wager(fact, wager, *_REQUESTS.get(wager.status, _REQUESTS["requested"]), wager.risk_minor)

    def _rejected(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerRejected)
        expired = wager.status == "expired"
        action, icon = ("had a wager expire", "clock") if expired else ("had a wager rejected", "cancel")
        self._wager(fact, wager, action, icon, wager.risk_minor)

    def _reopened(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerPlaced)
        self._wager(fact, wager, "had a wager opened again", "edit", wager.risk_minor)

    def _placed(self, fact: Fact) -> None:
        wager: facts.WagerPlaced = fact.data
        action = "placed a wager"
        if wager.free_play:
            action = "placed a free play"
        elif wager.type == "parlay":
            action = "placed a parlay"
        user = wager.customer_id
        self._say(fact, customer_path(wager.path, user), user, action, "ticket", wager.risk_minor)

    def _modified(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerModified)
        self._wager(fact, wager, "had a wager changed", "edit", wager.risk_minor)

    def _settled(self, fact: Fact) -> None:
        wager: facts.WagerSettled = fact.data
        action, icon, pays_back = _RESULTS.get(wager.result, _OTHER_RESULT)
        amount = wager.return_minor if pays_back else wager.risk_minor
        user = wager.customer_id
        self._say(fact, customer_path(wager.path, user), user, action, icon, amount)

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

    def _adjusted(self, fact: Fact) -> None:
        told = expect(fact, facts.BalanceAdjusted)
        icon = "deposit" if told.amount_minor > 0 else "withdrawal"
        action, icon = _ENTRIES.get(told.kind, ("had the balance adjusted", icon))
        path = customer_path(told.path, told.customer_id)
        self._say(fact, path, told.customer_id, action, icon, told.amount_minor)

    def _alert(self, fact: Fact) -> None:
        decided = expect(fact, facts.AlertDecided)
        action = "acknowledged an alert" if fact.event.type == "alert.acknowledged" else "closed an alert"
        self._say(fact, ROOT, decided.actor, action, "alert")

    def _plan(self, fact: Fact) -> None:
        plan = expect(fact, facts.CommissionPlan)
        self._say(fact, plan.path, plan.agent_id, "has a new commission plan", "edit")

    def _customer(self, fact: Fact) -> None:
        customer = expect(fact, facts.Customer)
        path = customer_path(customer.path, customer.customer_id)
        self._say(fact, path, customer.customer_id, "joined as a customer", "user-plus")

    def _renamed(self, fact: Fact) -> None:
        renamed = expect(fact, facts.CustomerRenamed)
        path = customer_path(renamed.path, renamed.customer_id)
        self._say(fact, path, renamed.customer_id, f"was called {renamed.before} before", "edit")

    def _moved(self, fact: Fact) -> None:
        """Told to both agents; neither learns from it who the other is."""
        moved = expect(fact, facts.CustomerMoved)
        if moved.before.path == moved.path:
            return
        for path, words in ((moved.before.path, "left for another agent"), (moved.path, "came from another agent")):
            self._say(fact, customer_path(path, moved.customer_id), moved.customer_id, words, "user")

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

    def _agent_changed(self, fact: Fact) -> None:
        agent = expect(fact, facts.AgentChanged)
        if agent.path != agent.before.path:
            self._say(fact, agent.path, agent.agent_id, "has another place among the agents", "edit")

    def _wager(self, fact: Fact, wager: facts.WagerFact, action: str, icon: str, amount: int) -> None:
        user = wager.customer_id
        self._say(fact, customer_path(wager.path, user), user, action, icon, amount)

    def _say(self, fact: Fact, path: str, user: str, action: str, icon: str, amount: int | None = None) -> None:
        at_ms = fact.at_ms
        major = UNSET if amount is None else amount / self._book.money.unit
        data = _encode(Activity(fact.event.id, user, action, to_text(at_ms), icon, major))
        self.out.stream("activity", path, "activity_update", at_ms, data)

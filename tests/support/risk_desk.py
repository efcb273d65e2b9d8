"""A small book told fact by fact, and the alerts that it raises: what the tests of the risk rules share."""

from collections.abc import Iterable
from typing import Any

from fire22.core.times import to_text
from fire22.flows.base import Flow
from fire22.flows.engine import CONFIGURED
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.exposure.flow import Exposures
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.risk.alerts import Alerts
from fire22.sportsbook.risk.base import Rule
from fire22.sportsbook.risk.rules import RULES
from tests.support.folding import Folding, Told
from tests.support.storage import START_MS

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
AGENTS = ("/M1", "/M1/A1", "/M1/A2", "/M2", "/M2/A3", "/M2/A4")
PATHS = {"C1": "/M1/A1", "C2": "/M1/A2", "C3": "/M2/A3", "C4": "/M2/A4", "C5": "/M1/A1", "C6": "/M2", "C7": "/M1"}
CUSTOMERS = tuple(PATHS)

Document = dict[str, Any]


class Desk:
    """Tells facts, each a group of its own, at `now_ms`; the watermark follows unless `clocked` is false.

    Args:
        rules: that look on.
        settings: by rule, and of the queue.
        clocked: whether the watermark is moved to the time of each fact before it.
        cut: whether everything is started anew from what is stored after each fact.
    """

    def __init__(
        self,
        rules: Iterable[type[Rule]] = RULES,
        settings: dict[str, Any] | None = None,
        *,
        clocked: bool = True,
        cut: bool = False,
    ) -> None:
        looking = tuple(rules)

        def flows() -> tuple[Flow, ...]:
            registry = Registry()
            ledger = Ledger(registry)
            exposures = Exposures(registry)
            return registry, ledger, exposures, Alerts(registry, ledger, exposures, looking)

        self.folding = Folding(flows)
        self.now_ms = START_MS
        self.clocked = clocked
        self.cut = cut
        self._number = 0
        self._wagers: dict[str, Document] = {}
        self._revisions: dict[str, int] = {}
        self.configure(settings or {})
        for path in AGENTS:
            agent = path.rpartition("/")[2]
            self.tell(
                "agent.created",
                {
                    "agentId": agent,
                    "name": f"Agent {agent}",
                    "path": path,
                    "level": path.count("/"),
                    "status": "active",
                },
            )
        for customer in CUSTOMERS:
            self.customer(customer)

    # Facts.

    def tell(self, type: str, data: Document, at_ms: int | None = None) -> Told:
        """One fact; what is said."""
        at_ms = self.now_ms if at_ms is None else at_ms
        if self.clocked and at_ms > self.folding.engine.checkpoint.watermark_ms:
            self._fold("system.clock", {}, at_ms)
        return self._fold(type, data, at_ms)

    def _fold(self, type: str, data: Document, at_ms: int) -> Told:
        said = self.folding.tell(type, data, at_ms)
        if self.cut:
            self.folding.restart()
        return said

    def configure(self, settings: dict[str, Any]) -> None:
        """Settings that hold from here on."""
        self.tell(CONFIGURED, {"flows": {"risk": {"version": 1, "settings": settings}}})

    def wait(self, ms: int) -> Told:
        """Time goes by; the watermark with it."""
        self.now_ms += ms
        return self._fold("system.clock", {}, self.now_ms)

    def customer(self, customer: str, **more: Any) -> None:
        """A customer is told of."""
        self.tell("customer.created", {**self._owner(customer), "name": f"Name {customer}", "status": "active", **more})

    def market(self, market: str = "m1", *, odds: Iterable[float] = (1.91, 1.91), **more: Any) -> None:
        """A market opens; its selections are `<market>.0`, `<market>.1` ..., it closes in an hour."""
        selections = [
            {"selectionId": f"{market}.{index}", "name": f"Side {index}", "odds": each}
            for index, each in enumerate(odds)
        ]
        closes = to_text(self.now_ms + HOUR)
        self.tell(
            "market.created",
            {
                "marketId": market, "eventId": f"event of {market}", "type": "moneyline", "status": "open",
                "eventName": "Here - There", "startsAt": closes, "closesAt": closes, "selections": selections, **more,
            },
        )  # fmt: skip

    def status(self, market: str, status: str) -> None:
        """A market is suspended, closed, open again, or over."""
        self.tell("market.status_changed", {"marketId": market, "status": status})

    def price(self, selection: str, old: float, new: float) -> Told:
        """A price changes."""
        market = selection.rpartition(".")[0]
        return self.tell(
            "market.price_changed", {"marketId": market, "selectionId": selection, "oldOdds": old, "newOdds": new}
        )

    def bet(
        self,
        customer: str = "C1",
        risk: float = 10.0,
        *,
        on: Iterable[str] | str = "m1.0",
        odds: float = 1.91,
        at_ms: int | None = None,
        win: float | None = None,
        **more: Any,
    ) -> str:
        """A wager is accepted; amounts in major units. Returns its id."""
        self._number += 1
        id = f"w{self._number}"
        sides = [on] if isinstance(on, str) else list(on)
        legs = [{"marketId": side.rpartition(".")[0], "selectionId": side, "odds": odds} for side in sides if side]
        to_win = round((odds ** len(legs) - 1) * risk * 100) if win is None else round(win * 100)
        identity = {
            "wagerId": id, "wagerNumber": self._number, **self._owner(customer),
            "type": "parlay" if len(legs) > 1 else "straight", "riskMinor": round(risk * 100), "toWinMinor": to_win,
            "freePlay": False,
        }  # fmt: skip
        identity |= {key: more.pop(key) for key in ("type", "freePlay") if key in more}
        self._wagers[id] = identity
        placed = {**identity, "channel": "web", "status": "accepted", "version": 1, "legs": legs, **more}
        self.tell("wager.placed", placed, at_ms)
        return id

    def modify(self, wager: str, risk: float) -> None:
        """An open wager gets another stake at the same price."""
        identity = self._wagers[wager]
        before = {"riskMinor": identity["riskMinor"], "toWinMinor": identity["toWinMinor"]}
        times = risk * 100 / identity["riskMinor"]
        identity |= {"riskMinor": round(risk * 100), "toWinMinor": round(identity["toWinMinor"] * times)}
        self.tell("wager.modified", {**identity, "version": 2, "before": before})

    def settle(self, wager: str, returned: float = 0.0, *, at_ms: int | None = None) -> None:
        """A wager is settled; what is returned in major units."""
        settled = {**self._wagers[wager], "revision": 1, "result": "settled", "returnMinor": round(returned * 100)}
        self.tell("wager.settled", settled | {"previousReturnMinor": 0}, at_ms)

    def cancel(self, wager: str) -> None:
        """An open wager is called off."""
        self.tell("wager.cancelled", {**self._wagers[wager], "status": "cancelled"})

    def pay(
        self,
        amount: float,
        *,
        customer: str = "C1",
        direction: str = "deposit",
        method: str = "card",
        upto: str = "completed",
        at_ms: int | None = None,
    ) -> str:
        """A payment goes its way from its request to a status; returns its id."""
        self._number += 1
        payment = {
            "paymentId": f"p{self._number}", **self._owner(customer), "direction": direction, "method": method,
            "amountMinor": round(amount * 100),
        }  # fmt: skip
        way = ["requested", "approved", "completed", "charged_back"]
        steps = way[: way.index(upto) + 1] if upto in way else ["requested", upto]
        for step in steps:
            status = "pending" if step == "requested" else step
            self.tell(f"payment.{step}", {**payment, "status": status}, at_ms)
        return f"p{self._number}"

    def login(self, customer: str, ip: str) -> None:
        """A customer comes."""
        self.tell("session.login", {**self._owner(customer), "ip": ip})

    def limits(self, customer: str, credit: float) -> None:
        """A customer gets another credit limit; major units."""
        before = {"creditLimitMinor": 0, "maxWagerMinor": 0}
        after = {"creditLimitMinor": round(credit * 100), "maxWagerMinor": 0}
        self.tell("customer.limit_changed", {**self._owner(customer), "before": before, "after": after})

    def decide(self, status: str, alert: str, actor: str = "risk", note: str = "") -> Told:
        """Somebody acknowledges or closes an alert."""
        return self.tell(f"alert.{status}", {"alertId": alert, "actor": actor, "note": note})

    def _owner(self, customer: str) -> Document:
        path = PATHS[customer]
        return {"customerId": customer, "agentId": path.rpartition("/")[2], "path": path}

    # What is seen.

    def alerts(self, scope: str = "/") -> list[Document]:
        """The documents of a scope, in the order of their ids."""
        return [
            body
            for (topic, where, _), body in sorted(self.folding.documents.items())
            if topic == "alerts" and where == scope
        ]

    def alert(self, scope: str = "/") -> Document:
        """The one alert of a scope."""
        (found,) = self.alerts(scope)
        return found

    def quiet(self) -> bool:
        """Whether nothing was found, and nothing refused."""
        assert not self.folding.refused, self.folding.refused
        return not self.alerts()

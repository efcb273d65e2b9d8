"""Invented histories of a small book: every type of event, in an order that a real book could have written.

What happens to one wager is in the order of its own times; facts of different wagers come late, early and interleaved.
The same seed gives the same events, byte for byte.
"""

from collections.abc import Iterator
from random import Random
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct

from fire22.core.event import Event, Metadata
from fire22.core.times import to_datetime
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.bounds import Direction
from tests.support.storage import START_MS

SECOND: Final = 1000
HOUR: Final = 3_600_000
AGENTS: Final = ("/M1", "/M1/A1", "/M1/A1/S1", "/M1/A2", "/M2", "/M2/A3")
SCOPES: Final = ("/", *AGENTS)
OPEN_TOPICS: Final = ("bench", "news")
MARKETS: Final = 5
ZONES: Final = ("UTC", "America/New_York", "Asia/Kolkata")
DAY_STARTS: Final = ("00:00:00", "06:00:00", "23:30:00")
PAYMENTS: Final = ("requested", "approved", "completed", "rejected", "failed", "charged_back")


class Wager(Struct):
    """What the book knows of a wager."""

    fact: facts.WagerPlaced
    last_ms: int
    revision: int = 0
    returned: int = 0


class History:
    """Makes events without end.

    Args:
        seed: of everything that is random.
        late: share of facts that come late.
        noise: whether there are events that no figure depends on, and some that nobody can read.
    """

    def __init__(self, seed: int, *, start_ms: int = START_MS, late: float = 0.15, noise: bool = True) -> None:
        self.random = Random(seed)
        self.now_ms = start_ms
        self._tells_time = False
        self.watermark_ms = 0
        self._seed = seed
        self._late = late
        self._noise = noise
        self._number = 0
        self._open: dict[str, Wager] = {}
        self._settled: dict[str, Wager] = {}
        self._asked: dict[str, facts.WagerPlaced] = {}
        self._customers = [
            facts.Customer(f"C{number}", _agent_id(path), path, f"Customer {number}", "active")
            for number, path in enumerate(self.random.choice(SCOPES) for _ in range(14))
        ]

    def take(self, count: int) -> list[Event]:
        """The next `count` events."""
        return [event for event, _ in zip(self, range(count), strict=False)]

    def __iter__(self) -> Iterator[Event]:
        if not self._number:
            yield from self._beginning()
        while True:
            self._advance()
            event = self._next()
            yield event
            if event.type == "system.clock" and not self._tells_time:  # of the server: its clock is no recorded one
                self._tells_time = True
                yield self._event("system.now", {}, self.watermark_ms)

    # What there is from the start.

    def _beginning(self) -> Iterator[Event]:
        random = self.random
        yield self._configured()
        for path in AGENTS:
            agent = facts.Agent(_agent_id(path), f"Agent {path}", path, path.count("/"), "active")
            kind = random.choice(("agent.created", "agent.imported"))
            yield self._event(kind, agent, self.now_ms - random.randrange(100) * HOUR)
        for customer in self._customers:
            seen_ms = self.now_ms - random.randrange(50) * HOUR
            last = to_datetime(seen_ms) if random.random() < 0.5 else None
            kind = "customer.imported" if last else "customer.created"
            yield self._event(
                kind,
                msgspec.structs.replace(customer, last_wager_at=last),
                self.now_ms - random.randrange(1, 200) * HOUR,
            )
        for market in range(MARKETS):
            kind = random.choice(("market.created", "market.imported"))
            yield self._event(kind, facts.Market(f"m{market}", f"e{market // 2}", "moneyline", "open"), self.now_ms)
        for path in random.sample(SCOPES, 2):
            revenue = facts.RevenueImported(path, random.randint(-100_000, 100_000))
            yield self._event("revenue.imported", revenue, self.now_ms)
        for _ in range(4):
            yield self._place("wager.imported", self.now_ms - random.randrange(60) * HOUR)

    # What happens next.

    def _advance(self) -> None:
        draw = self.random.random()
        if draw < 0.9:
            self.now_ms += self.random.randrange(200 * SECOND)
        elif draw < 0.98:
            self.now_ms += self.random.randrange(5 * HOUR)
        else:
            self.now_ms += self.random.randrange(60 * HOUR)

    def _next(self) -> Event:
        draw = self.random.random()
        if draw < 0.14:
            return self._clock()
        if self._noise and draw < 0.30:
            return self._other()
        if draw < 0.34:
            return self._told()
        if draw < 0.62 or not (self._open or self._settled):
            return self._place("wager.placed", self._moment(0))
        if draw < 0.90 and self._open:
            return self._change_open()
        return self._change_settled() if self._settled else self._change_open()

    def _moment(self, earliest_ms: int) -> int:
        """When a fact happened: now, or late, or by a wrong clock in the future; not before `earliest_ms`."""
        draw = self.random.random()
        at_ms = self.now_ms
        if draw < self._late:
            at_ms -= self.random.randrange(40 * HOUR)
        elif draw < self._late + 0.05:
            at_ms += self.random.randrange(300 * SECOND)
        return max(at_ms, earliest_ms)

    def _place(self, kind: str, at_ms: int) -> Event:
        random = self.random
        customer = random.choice(self._customers)
        path = customer.path if random.random() < 0.9 else random.choice(SCOPES)
        draw = random.random()
        legs = tuple(self._leg() for _ in range(0 if draw < 0.05 else 1 if draw < 0.8 else random.randint(2, 3)))
        fact = facts.WagerPlaced(
            wager_id=f"w{self._number}",
            wager_number=self._number,
            customer_id=customer.customer_id,
            agent_id=_agent_id(path),
            path=path,
            type="parlay" if len(legs) > 1 else "straight",
            risk_minor=random.randint(0, 20_000),
            to_win_minor=random.randint(0, 60_000),
            free_play=random.random() < 0.15,
            channel=random.choice(("web", "mobile")),
            status="accepted",
            version=1,
            legs=legs,
        )
        self._open[fact.wager_id] = Wager(fact, at_ms)
        return self._event(kind, fact, at_ms)

    def _change_open(self) -> Event:
        wager = self.random.choice(list(self._open.values()))
        draw = self.random.random()
        if draw < 0.65:
            return self._settle(wager)
        return self._modify(wager) if draw < 0.85 else self._cancel(wager, self._open)

    def _change_settled(self) -> Event:
        wager = self.random.choice(list(self._settled.values()))
        return self._settle(wager) if self.random.random() < 0.6 else self._cancel(wager, self._settled)

    def _settle(self, wager: Wager) -> Event:
        fact = wager.fact
        result = self.random.choice(("win", "loss", "push"))
        stake = 0 if fact.free_play else fact.risk_minor
        returned = {"win": stake + fact.to_win_minor, "loss": 0, "push": stake}[result]
        first = wager.revision == 0
        # A settlement that is corrected in place keeps its revision.
        revision = 1 if first else wager.revision + self.random.randint(0, 1)
        settled = facts.WagerSettled(
            **_identity(fact),
            revision=revision,
            result=result,
            return_minor=returned,
            previous_return_minor=wager.returned,
        )
        wager.last_ms = self._moment(wager.last_ms)
        wager.revision, wager.returned = revision, returned
        self._open.pop(fact.wager_id, None)
        self._settled[fact.wager_id] = wager
        return self._event("wager.settled" if first else "wager.resettled", settled, wager.last_ms)

    def _modify(self, wager: Wager) -> Event:
        before = facts.Stake(wager.fact.risk_minor, wager.fact.to_win_minor)
        wager.fact = msgspec.structs.replace(
            wager.fact,
            risk_minor=self.random.randint(0, 20_000),
            to_win_minor=self.random.randint(0, 60_000),
            version=wager.fact.version + 1,
        )
        modified = facts.WagerModified(
            **_identity(wager.fact),
            version=wager.fact.version,
            before=before,
            legs=wager.fact.legs if self.random.random() < 0.7 else (),
        )
        wager.last_ms = self._moment(wager.last_ms)
        return self._event("wager.modified", modified, wager.last_ms)

    def _cancel(self, wager: Wager, among: dict[str, Wager]) -> Event:
        del among[wager.fact.wager_id]
        cancelled = facts.WagerCancelled(
            **_identity(wager.fact),
            # What is settled can only be undone.
            status=self.random.choice(("voided", "deleted") if wager.revision else ("cancelled", "voided", "deleted")),
            settled_return_minor=wager.returned if wager.revision else None,
            reason=self.random.choice(("", "palpable error")),
        )
        return self._event("wager.cancelled", cancelled, self._moment(wager.last_ms))

    def _clock(self) -> Event:
        self.watermark_ms = self.now_ms - self.random.randrange(30 * SECOND)
        return self._event("system.clock", facts.Clock(), self.watermark_ms)

    def _told(self) -> Event:
        """What seldom happens and still moves figures."""
        random = self.random
        if random.random() < 0.3:
            return self._configured()
        if random.random() < 0.3:
            path = random.choice(AGENTS)
            agent = facts.Agent(
                _agent_id(path), f"Agent {path}", path, path.count("/"), random.choice(("active", "closed"))
            )
            return self._event("agent.created", agent, self._moment(0))
        return self._place("wager.placed", self._moment(0))

    def _configured(self) -> Event:
        random = self.random
        kpi = {"time_zone": random.choice(ZONES), "day_starts_at": random.choice(DAY_STARTS)}
        relay = {"open_topics": random.sample(OPEN_TOPICS, random.randint(1, 2))}
        settings = {"kpi": kpi, "relay": relay}
        data = {"flows": {name: {"version": 1, "settings": each} for name, each in settings.items()}}
        return self._event("system.configured", data, self.now_ms)

    def _other(self) -> Event:
        """What moves no figure."""
        random = self.random
        customer = random.choice(self._customers)
        of_customer = {"customer_id": customer.customer_id, "agent_id": customer.agent_id, "path": customer.path}
        market = f"m{random.randrange(MARKETS)}"
        what = random.randrange(17)
        if what >= 9:
            return self._done_by_the_desk(what, of_customer)
        if what == 0:
            state = random.choice(PAYMENTS)
            direction: Direction = random.choice(("deposit", "withdrawal"))
            amount = random.randint(100, 100_000)
            payment = facts.Payment(
                f"p{self._number}", **of_customer, direction=direction, method="card", amount_minor=amount, status=state
            )
            return self._event(f"payment.{state}", payment, self._moment(0))
        if what == 1:
            limits = facts.Limits(10_000, 500), facts.Limits(random.randint(0, 99_999), random.randint(0, 9_999))
            return self._event(
                "customer.limit_changed",
                facts.CustomerLimitChanged(**of_customer, before=limits[0], after=limits[1]),
                self.now_ms,
            )
        if what == 2:
            changed = facts.CustomerStatusChanged(**of_customer, before="active", after="suspended")
            return self._event("customer.status_changed", changed, self.now_ms)
        if what == 3:
            return self._event("market.status_changed", facts.MarketStatusChanged(market, "suspended"), self.now_ms)
        if what == 4:
            return self._event(
                "market.price_changed", facts.MarketPriceChanged(market, f"{market}.0", 1.9, 2.05), self.now_ms
            )
        if what == 5:
            return self._event("wager.placed", {"wagerId": "broken", "riskMinor": "a lot"}, self.now_ms)
        if what == 6:
            return self._event("weather.changed", {"rain": True}, self.now_ms)
        tag: Literal["as:alert", "as:notification", "x"] = random.choice(("as:alert", "as:notification", "x"))
        metadata = Metadata(
            priority=random.randint(-1, 5),
            category=random.choice((*OPEN_TOPICS, "closed")),
            tags=(tag,),
            expires_at=to_datetime(self.now_ms + HOUR) if random.random() < 0.3 else None,
        )
        return self._event("app.said", {"text": f"number {self._number}", "nothing": None}, self.now_ms, metadata)

    def _done_by_the_desk(self, what: int, of_customer: dict[str, str]) -> Event:
        """What the people of the book do beside wagers that were accepted at once."""
        random = self.random
        if what == 9 and self._settled:
            return self._reopen(random.choice(list(self._settled.values())))
        if what == 10 and self._asked:
            asked = self._asked.pop(next(iter(self._asked)))
            status = random.choice(("rejected", "expired"))
            return self._event(
                "wager.rejected", facts.WagerRejected(**_identity(asked), status=status), self._moment(0)
            )
        if what == 11:
            kind = random.choice(("adjustment", "bonus", "fee"))
            amount = random.randint(-9_000, 9_000)
            adjusted = facts.BalanceAdjusted(f"l{self._number}", **of_customer, kind=kind, amount_minor=amount)
            return self._event("balance.adjusted", adjusted, self._moment(0))
        if what == 12:
            path = random.choice(AGENTS)
            plan = facts.CommissionPlan(_agent_id(path), path, random.choice(("split", "profit", "red_figure")), 0.2)
            return self._event("commission.plan_set", plan, self._moment(0))
        if what == 13:
            kind = random.choice(("session.login", "session.logout"))
            return self._event(kind, facts.Session(**of_customer, ip="192.0.2.7"), self._moment(0))
        if what == 14:
            kind = random.choice(("alert.acknowledged", "alert.closed"))
            return self._event(kind, facts.AlertDecided(f"a{self._number}", "risk"), self._moment(0))
        if what == 15:
            return self._result(f"m{random.randrange(MARKETS)}")
        status = random.choice(("requested", "review"))
        asked = facts.WagerPlaced(
            f"w{self._number}", self._number, **of_customer, type="straight", risk_minor=500, to_win_minor=450,
            free_play=False, channel="web", status=status, version=1, legs=(self._leg(),), terms=None,
        )  # fmt: skip
        self._asked[asked.wager_id] = asked
        return self._event("wager.requested", asked, self._moment(0))

    def _result(self, market: str) -> Event:
        """The result of a market, or another one than before; at times in parts, or taken back."""
        random = self.random
        results = tuple(
            facts.SelectionResult(f"{market}.{number}", random.randrange(2), random.choice((0.0, 0.0, 0.5, 1.0)))
            for number in sorted(random.sample(range(3), random.choice((0, 2, 3, 3))))
        )
        return self._event("market.resulted", facts.MarketResulted(market, results), self.now_ms)

    def _reopen(self, wager: Wager) -> Event:
        """The settlement of a wager is rolled back."""
        wager.fact = msgspec.structs.replace(wager.fact, version=wager.fact.version + 1)
        wager.last_ms = self._moment(wager.last_ms)
        self._open[wager.fact.wager_id] = self._settled.pop(wager.fact.wager_id)
        return self._event("wager.reopened", wager.fact, wager.last_ms)

    def _leg(self) -> facts.Leg:
        market = self.random.randrange(MARKETS)
        return facts.Leg(f"m{market}", f"m{market}.{self.random.randrange(3)}", round(self.random.uniform(1.1, 5), 3))

    def _event(self, type: str, data: object, at_ms: int, metadata: Metadata | None = None) -> Event:
        self._number += 1
        raw = Raw(msgspec.json.encode(data))
        source = "clock" if type.startswith("system.") else "history"
        return Event(f"{self._seed}:{self._number}", type, source, to_datetime(at_ms), raw, metadata or Metadata())


def _agent_id(path: str) -> str:
    return path.rpartition("/")[2] or "house"


def _identity(fact: facts.WagerFact) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in facts.WagerFact.__struct_fields__}


# What a book's people rewrite by hand, of the customers and agents of any history.
REWRITTEN = {
    "agent.changed": {"agentId": "A1", "name": "New", "path": "/M1/A1", "level": 2, "status": "active",
                      "before": {"agentId": "A1", "name": "", "path": "/M1/A1", "level": 2, "status": "active"}},
    "customer.changed": {"customerId": "C1", "agentId": "A1", "path": "/M1/A1", "name": "New", "before": {"name": ""}},
    "customer.moved": {"customerId": "C1", "agentId": "A3", "path": "/M2/A3",
                       "before": {"agentId": "A1", "path": "/M1/A1"}},
    "customer.renamed": {"customerId": "N1", "agentId": "A3", "path": "/M2/A3", "before": "C1"},
    "market.changed": {"marketId": "m1", "eventId": "e2", "type": "total", "status": "open", "before": {}},
    "row.changed": {"table": "wagers", "id": "1", "before": {"accepted_at": "a"}, "after": {"accepted_at": "b"}},
    "row.deleted": {"table": "customers", "id": "1", "before": {}},
}  # fmt: skip


def rewritten(last: Event) -> list[Event]:
    """The same as events, at the time of the last one."""
    return [
        msgspec.structs.replace(last, id=f"rewritten:{type}", type=type, data=Raw(msgspec.json.encode(data)))
        for type, data in REWRITTEN.items()
    ]

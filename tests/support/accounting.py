"""Figures, commissions and reports computed slowly, from the list of all facts: the oracle of their flows.

Nothing here is shared with the flows but the shapes of facts and documents. Every amount is a sum over all entries; an
entry is what one fact did to one customer on one day.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fire22.core.times import to_datetime, to_text
from fire22.flows.base import Fact, Flow, Handler
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.facts import FACTS
from fire22.sportsbook.registry.flow import Registry

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
AHEAD_MS = 60_000
Document = dict[str, Any]


class Told(NamedTuple):
    """A fact that was taken, or the watermark (with no data)."""

    type: str
    data: object
    at_ms: int
    future: bool = False


class Spy(Flow):
    """Stands behind those who refuse facts, and notes what they let pass."""

    name = "spy"
    version = 1

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.told: list[Told] = []

    def handlers(self) -> dict[str, Handler]:
        """Everything but the clock, which no flow refuses."""
        return {type: self._note for type in FACTS if type != "system.clock"}

    def clock(self) -> None:
        """The watermark, in its place between the facts."""
        self.told.append(Told("system.clock", None, self.watermark_ms))

    def _note(self, fact: Fact) -> None:
        self.told.append(Told(fact.event.type, fact.data, fact.at_ms, fact.future))


class Entry(NamedTuple):
    """What one fact did to one customer below one agent."""

    day: date
    path: str
    customer: str
    what: dict[str, int]
    wager: str = ""


class Calendar(NamedTuple):
    """Where days and weeks begin; without a change of the settings."""

    zone: str = "UTC"
    starts_at: time = time(0)
    week_starts_on: str = "tuesday"
    restate_weeks: int = 5

    def day(self, at_ms: int) -> date:
        """The business day of a moment."""
        local = to_datetime(at_ms).astimezone(ZoneInfo(self.zone))
        return local.date() - timedelta(days=local.time() < self.starts_at)

    def week(self, day: date) -> date:
        """The first day of its week."""
        while WEEKDAYS[day.weekday()] != self.week_starts_on:
            day -= timedelta(days=1)
        return day

    def span(self, kind: str, day: date) -> tuple[date, date]:
        """The period of a day: its first day, and the first one after it."""
        if kind == "day":
            return day, day + timedelta(days=1)
        if kind == "week":
            return self.week(day), self.week(day) + timedelta(days=7)
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)

    def text(self, day: date) -> str:
        """When a day starts, in UTC."""
        local = f"{day.isoformat()}T{self.starts_at.isoformat()}"
        return to_text(round(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(self.zone)).timestamp() * 1000))


class Wager:
    """What is known of a wager."""

    def __init__(self, fact: facts.WagerFact) -> None:
        self.cash = 0 if fact.free_play else fact.risk_minor
        self.returned: int | None = None


class Accounts:
    """Every entry, from the facts that were taken."""

    def __init__(self, told: Iterable[Told], calendar: Calendar) -> None:
        self.calendar = calendar
        self.entries: list[Entry] = []
        self.before: list[Entry] = []  # of before the weeks that are kept: balances that belong to no period
        self.today: date | None = None
        self.began: date | None = None
        self.plans: dict[str, list[tuple[date, facts.CommissionPlan]]] = {}
        self.makeups: dict[str, int] = {}
        self.agents: dict[str, facts.Agent] = {}
        self.names: dict[str, str] = {}
        self._wagers: dict[str, Wager] = {}
        self._customers: set[str] = set()
        self._watermark_ms = 0
        self._future = False
        for each in told:
            self._take(each)

    @property
    def kept_from(self) -> date:
        """The first day that still takes late facts."""
        assert self.today is not None
        return self.calendar.week(self.today) - timedelta(days=7 * self.calendar.restate_weeks)

    @property
    def told_from(self) -> date:
        """The first day of which there are reports."""
        assert self.began is not None
        return self.calendar.week(self.began) - timedelta(days=7 * self.calendar.restate_weeks)

    def _take(self, told: Told) -> None:
        data, at_ms = told.data, told.at_ms
        self._future = told.future
        if told.type == "system.clock":
            self._clock(at_ms)
            return
        if self._watermark_ms:
            at_ms = at_ms if at_ms <= self._watermark_ms + AHEAD_MS else self._watermark_ms
        if isinstance(data, facts.WagerFact):
            self._wager(told.type, data, at_ms)
        elif isinstance(data, facts.Customer):
            self.names[data.customer_id] = data.name
            if data.customer_id not in self._customers:
                self._customers.add(data.customer_id)
                came = {"new": 1, "opening": data.balance_minor}
                if told.type == "customer.imported" and self.today and self.calendar.day(at_ms) < self.kept_from:
                    self.before.append(Entry(self.calendar.day(at_ms), data.path, data.customer_id, came))
                else:
                    self._enter(at_ms, data.path, data.customer_id, came)
        elif isinstance(data, facts.Payment) and told.type in ("payment.completed", "payment.charged_back"):
            amount = data.amount_minor if data.direction == "deposit" else -data.amount_minor
            name = "chargebacks" if told.type == "payment.charged_back" else f"{data.direction}s"
            value = amount if name == "chargebacks" else abs(amount)
            self._enter(at_ms, data.path, data.customer_id, {name: value})
        elif isinstance(data, facts.BalanceAdjusted):
            bonus = data.amount_minor if data.kind == "bonus" else 0
            what = {"adjustments": data.amount_minor, "bonuses": bonus}
            self._enter(at_ms, data.path, data.customer_id, what)
        elif isinstance(data, facts.Agent):
            self.agents[data.path] = data
        elif isinstance(data, facts.CommissionPlan):
            first = date.fromisoformat(data.effective_from)
            if self.today is not None:
                first = max(first, self.calendar.week(self.today))
            if data.path not in self.plans:
                self.makeups[data.path] = data.makeup_minor
            kept = [each for each in self.plans.get(data.path, []) if each[0] != first]
            self.plans[data.path] = sorted([*kept, (first, data)], key=lambda each: each[0])

    def _clock(self, at_ms: int) -> None:
        self._watermark_ms = max(at_ms, self._watermark_ms)
        day = self.calendar.day(self._watermark_ms)
        if self.today is None:
            self.today = self.began = day
            soon = day + timedelta(days=1)
            month = self.calendar.span("month", self.kept_from)[0]
            old = [each for each in self.entries if each.day < self.kept_from]
            self.before = [each for each in old if "new" in each.what or each.day < month]
            self.entries = [each for each in self.entries if each not in self.before]
            stray = [each for each in self.entries if each.day > soon]
            cells = {(each.path, each.customer, each.day) for each in stray}
            self.entries = [each._replace(day=day) if each in stray else each for each in self.entries]
            self.entries += [Entry(day, path, customer, {"late": 1}) for path, customer, _ in cells]
        self.today = max(day, self.today)

    def _enter(self, at_ms: int, path: str, customer: str, what: dict[str, int], wager: str = "") -> None:
        day = self.calendar.day(at_ms)
        if self.today is not None and day < self.kept_from:
            day = self.today
            what = {**what, "late": 1}
        self.entries.append(Entry(day, path, customer, {**what, "future": int(self._future)}, wager))

    def _wager(self, type: str, data: facts.WagerFact, at_ms: int) -> None:
        what = self._what(type.partition(".")[2], data)
        held = type == "wager.imported" and self.today is not None and self.calendar.day(at_ms) < self.kept_from
        if what and not held:
            self._enter(at_ms, data.path, data.customer_id, what, data.wager_id)

    def _what(self, kind: str, data: facts.WagerFact) -> dict[str, int]:
        id = data.wager_id
        known = self._wagers.get(id)
        new = Wager(data)
        if isinstance(data, facts.WagerPlaced):
            if kind not in ("placed", "imported", "reopened"):
                return {}
            self._wagers[id] = new
            undone = known if kind == "reopened" and known is not None and known.returned is not None else None
            what = {"handle": new.cash}
            if kind != "reopened":
                return what | {"accepted": data.risk_minor, "placed": 1, "parlays": int(len(data.legs) > 1)}
            if undone is not None and undone.returned is not None:
                what["handle"] -= undone.cash
                what |= {"revenue": undone.returned - undone.cash, "settled_handle": -undone.cash}
            return what
        if isinstance(data, facts.WagerModified):
            assert known is not None
            what = {"handle": new.cash - known.cash, "modified": 1}
            self._wagers[id] = new
            return what
        if isinstance(data, facts.WagerSettled):
            self._wagers[id] = new
            new.returned = data.return_minor
            if known is not None and known.returned is None:
                return {"revenue": new.cash - data.return_minor, "settled_handle": new.cash, "settled": 1}
            before = data.previous_return_minor if known is None else known.returned
            assert before is not None
            return {"revenue": before - data.return_minor, "resettled": 1}
        if isinstance(data, facts.WagerCancelled):
            returned = data.settled_return_minor
            if data.status == "deleted":
                self._wagers.pop(id, None)
            what = {"handle": -new.cash, "voided" if data.status == "voided" else "cancelled": 1}
            if known is None or known.returned is not None:
                assert returned is not None
                what |= {"revenue": returned - new.cash, "settled_handle": -new.cash}
            return what
        return {}

    # Sums.

    def of(self, scope: str, first: date | None, after: date) -> list[Entry]:
        """The entries of a scope (an agent's or a customer's) in some days; None is from the beginning."""
        return [
            each
            for each in (self.entries if first else [*self.before, *self.entries])
            if (first is None or first <= each.day) and each.day < after and covers(scope, each)
        ]

    def scopes(self, entries: Iterable[Entry]) -> list[str]:
        """Every agent's scope, and customer's, that some entries lie in."""
        found: set[str] = set()
        for each in entries:
            parts = [] if each.path == "/" else each.path.split("/")[1:]
            found |= {"/" + "/".join(parts[:depth]) for depth in range(len(parts) + 1)}
            found.add(customer_scope(each))
        return sorted(found)


def covers(scope: str, entry: Entry) -> bool:
    """Whether an entry lies in a scope."""
    return f"{customer_scope(entry)}/".startswith(scope if scope == "/" else f"{scope}/")


def customer_scope(entry: Entry) -> str:
    """The customer's own scope."""
    return f"{'' if entry.path == '/' else entry.path}/@{entry.customer}"


def total(entries: Iterable[Entry], name: str) -> int:
    """A sum over entries."""
    return sum(each.what.get(name, 0) for each in entries)


def moved(entries: Iterable[Entry]) -> int:
    """By what entries moved balances."""
    signs = {"opening": 1, "deposits": 1, "withdrawals": -1, "chargebacks": -1, "adjustments": 1, "revenue": -1}
    return sum(sign * total(entries, name) for name, sign in signs.items())


def figures(accounts: Accounts, scope: str, first: date) -> Document:
    """The document of a week, without what names its owner."""
    after = first + timedelta(days=7)
    week = accounts.of(scope, first, after)
    days = [first + timedelta(days=at) for at in range(7)]
    of_days = {WEEKDAYS[day.weekday()]: -total([each for each in week if each.day == day], "revenue") for day in days}
    carry = moved(accounts.of(scope, None, first)) + total(week, "opening")
    minor = {
        "carry": carry,
        "figure": -total(week, "revenue"),
        "deposits": total(week, "deposits"),
        "withdrawals": total(week, "withdrawals"),
        "chargebacks": total(week, "chargebacks"),
        "payments": total(week, "deposits") - total(week, "withdrawals") - total(week, "chargebacks"),
        "adjustments": total(week, "adjustments"),
        "balance": moved(accounts.of(scope, None, after)),
    }
    document: Document = {name: value / 100 for name, value in minor.items()}
    return document | {"week": first.isoformat(), "days": {name: value / 100 for name, value in of_days.items()}}


def report(accounts: Accounts, kind: str, first: date, after: date, scope: str) -> Document:
    """The document of a period."""
    entries = accounts.of(scope, first, after)
    minor = {
        "handle": "handle", "settledHandle": "settled_handle", "revenue": "revenue", "bonuses": "bonuses",
        "chargebacks": "chargebacks", "deposits": "deposits", "withdrawals": "withdrawals",
        "adjustments": "adjustments",
    }  # fmt: skip
    counts = ("placed", "settled", "resettled", "cancelled", "voided", "modified", "parlays")
    document: Document = {name: total(entries, inner) / 100 for name, inner in minor.items()}
    document |= {name: total(entries, name) for name in counts}
    net = total(entries, "revenue") - total(entries, "bonuses") - total(entries, "chargebacks")
    largest = min(((-each.what.get("accepted", 0), each.wager) for each in entries), default=(0, ""))
    document |= {
        "period": kind,
        "from": accounts.calendar.text(first),
        "to": accounts.calendar.text(after),
        "newCustomers": total(entries, "new"),
        "largestWager": -largest[0] / 100,
        "ngr": net / 100,
    }
    if largest[0]:
        document["largestWagerId"] = largest[1]
    if total(entries, "settled_handle"):
        document["hold"] = round(100 * total(entries, "revenue") / total(entries, "settled_handle"), 2)
    for name in ("late", "future"):
        if total(entries, name):
            document[name] = total(entries, name)
    if "@" not in scope:
        document |= _of_many(entries)
    return document


def _of_many(entries: list[Entry]) -> Document:
    figure: dict[tuple[str, str], int] = {}
    for each in entries:
        name = (each.customer, customer_scope(each))
        figure[name] = figure.get(name, 0) - each.what.get("revenue", 0)
    best = sorted((-abs(value), *name) for name, value in figure.items() if value)[:10]
    top = [{"customerId": code, "scope": scope, "figure": figure[code, scope] / 100} for _, code, scope in best]
    return {"players": len({each.customer for each in entries if each.what.get("placed")}), "topCustomers": top}


class Closed(NamedTuple):
    """An agent's week; minor units."""

    plan: str
    net: int
    makeup_before: int
    makeup_after: int
    commission: int
    handle: int
    heads: int


def commissions(accounts: Accounts, weeks: Iterable[date]) -> dict[tuple[date, str], Closed]:
    """Every agent's weeks, from the first to the last, by the domain's words."""
    makeups = dict(accounts.makeups)
    closed: dict[tuple[date, str], Closed] = {}
    for first in sorted(weeks):
        after = first + timedelta(days=7)
        passed: dict[str, list[tuple[int, int, int]]] = {}
        for path in sorted(accounts.agents, key=lambda path: -path.count("/")):
            own = [each for each in accounts.of(path, first, after) if each.path == path]
            below = passed.get(path, [])
            net = total(own, "revenue") + sum(each[0] for each in below)
            handle = max(0, total(own, "handle")) + sum(each[1] for each in below)
            heads = len({each.customer for each in own if each.what.get("placed")}) + sum(each[2] for each in below)
            held = [plan for start, plan in accounts.plans.get(path, []) if start <= first]
            earned, makeup = 0, makeups.get(path, 0)
            if held:
                earned, carried = _earn(held[-1], net, handle, heads, makeup)
                shown = total(accounts.of(path, first, after), "handle")
                closed[first, path] = Closed(held[-1].type, net, makeup, carried, earned, shown, heads)
                makeups[path] = carried
            passed.setdefault(path.rpartition("/")[0], []).append((net - earned, handle, heads))
    return closed


def _earn(plan: facts.CommissionPlan, net: int, handle: int, heads: int, makeup: int) -> tuple[int, int]:
    rate = Fraction(repr(plan.rate))
    carried = max(0, makeup - net)
    simple: dict[str, Callable[[], Fraction]] = {
        "profit": lambda: rate * max(0, net),
        "split": lambda: rate * net,
        "turnover": lambda: rate * handle,
        "per_head": lambda: Fraction(plan.per_head_minor * heads),
        "none": lambda: Fraction(0),
    }
    if plan.type == "red_figure":
        return _half_up(rate * max(0, net - makeup)), carried
    if plan.type == "reverse_red_figure":
        return net - _half_up((1 - rate) * max(0, net - makeup)), carried
    return _half_up(simple[plan.type]()), makeup


def _half_up(amount: Fraction) -> int:
    size = int(abs(amount) + Fraction(1, 2))
    return size if amount >= 0 else -size

"""The `kpi` view: what a book and each of its sub-trees earns and risks now. Source: domain rules, sections 3 and 7.

A fact of agent /M1/A7 counts in /, /M1 and /M1/A7. Kept in tables: what cannot be derived (revenue, the values at the
start of the business day, open wagers, who was active). Derived again at a restart: pending, liability, the counts.

A fact that comes late (its day had begun without it) moves a figure and the figure at the start of the day alike: the
`change` of today is what today's facts did. For sums that is exact. Liability nets and players overlap, so for these it
is what the fact changes now; exact would need a second book as of the start of each day.
"""

from datetime import time
from typing import ClassVar, Final

import msgspec
from msgspec import Raw, Struct

from fire22.core.message import Json
from fire22.core.scope import ancestors
from fire22.core.times import to_ms
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.sportsbook import facts
from fire22.sportsbook.business_day import BusinessDay
from fire22.sportsbook.liability import Exposure
from fire22.sportsbook.money import major
from fire22.sportsbook.players import Players
from fire22.sportsbook.registry import FUTURE_MS_MAX, MOVES, OpenWager, Registry

ACTIVE_MS: Final = 24 * 60 * 60 * 1000


class KpiSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When the business day starts."""

    time_zone: str = "UTC"
    day_starts_at: time = time(0)


class Base(Struct, gc=False, array_like=True):
    """The four figures at the start of the business day."""

    revenue: int = 0
    active: int = 0
    pending: int = 0
    liability: int = 0


class ScopeRow(Struct, gc=False, array_like=True):
    """What is kept of a scope; minor units."""

    revenue: int = 0
    handle: int = 0
    base: Base = msgspec.field(default_factory=Base)


class _Scope:
    """A scope's figures: the kept row and what is derived."""

    __slots__ = ("active", "exposure", "pending", "pending_risk", "row")

    def __init__(self, row: ScopeRow) -> None:
        self.row = row
        self.exposure = Exposure()
        self.pending = 0
        self.pending_risk = 0
        self.active = 0


class Kpi(Flow):
    """One document for each scope."""

    name: ClassVar[str] = "kpi"
    version: ClassVar[int] = 1

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.topics = (Topic("kpi", Kind.VIEW),)
        self._book = registry
        self._rows: Table[ScopeRow] = Table("scope", ScopeRow)
        self._active: Table[int] = Table("active", int)
        self._day_row: Table[tuple[int, int]] = Table("day", tuple[int, int])
        self._scopes: dict[str, _Scope] = {}
        self._players = Players()
        self._business_day = BusinessDay("UTC", time(0))
        self._day_start = 0
        self._day_end = 0
        self._touched: dict[str, None] = {}
        self._at_ms = 0

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Scopes, active customers, the current day."""
        return (self._rows, self._active, self._day_row)  # type: ignore[return-value]

    def configure(self, settings: Raw) -> None:
        """Take the business day that holds from the next one on."""
        taken = msgspec.json.decode(settings, type=KpiSettings)
        self._business_day = BusinessDay(taken.time_zone, taken.day_starts_at)

    def handlers(self) -> dict[str, Handler]:
        """Agents, so that each has its figures from the start; wagers; what was there before."""
        return {
            "agent.created": self._agent,
            "agent.imported": self._agent,
            "customer.imported": self._customer,
            "revenue.imported": self._imported_revenue,
            **dict.fromkeys(MOVES, self._moved),
        }

    def loaded(self) -> None:
        """Derive pending, liability and the counts from the kept rows."""
        for scope, row in self._rows:
            self._scopes[scope] = _Scope(row)
        for wager in self._book.wagers():
            self._expose(wager, 1, late=False)
        for key, at_ms in self._active:
            customer, _, path = key.rpartition("|")
            self._players.seen(customer, path, at_ms)
        for scope, count in self._players.counts.items():
            self._scope(scope).active = count
        day = self._day_row.get("now")
        if day is not None:
            self._day_start, self._day_end = day
        self._touched = {}

    def clock(self) -> None:
        """The window of active players slides; a new business day may begin."""
        if self._day_start > self.watermark_ms + FUTURE_MS_MAX:
            self._day_end = 0  # a fact of before the first watermark began a day that has not come
        self._begin_day(self.watermark_ms)
        self._expire(self.watermark_ms)

    def flush(self) -> None:
        """A document for each scope whose figures moved."""
        # The newest time among the group's own facts: what an earlier group brought is not known after a restart.
        at_ms, self._at_ms = self._at_ms or self.watermark_ms, 0
        for scope in sorted(self._touched):
            self._rows.put(scope, self._scopes[scope].row)
            self.out.view("kpi", scope, "", "kpi_update", at_ms, _document(self._scopes[scope]))
        self._touched = {}

    # Facts.

    def _agent(self, fact: Fact) -> None:
        agent = expect(fact, facts.Agent)
        self._scope(agent.path)
        self._touched[agent.path] = None
        self._time(fact.at_ms)

    def _customer(self, fact: Fact) -> None:
        customer = expect(fact, facts.Customer)
        if customer.last_wager_at is not None:
            at_ms = self._time(to_ms(customer.last_wager_at))
            self._seen(customer.customer_id, customer.path, at_ms, late=at_ms < self._day_start)

    def _imported_revenue(self, fact: Fact) -> None:
        imported = expect(fact, facts.RevenueImported)
        self._at_ms = max(self._at_ms, fact.at_ms)
        self._earn(imported.path, imported.revenue_minor, late=True)

    def _moved(self, fact: Fact) -> None:
        move = self._book.move
        late = self._time(move.at_ms) < self._day_start
        if move.closed is not None:
            self._expose(move.closed, -1, late=late)
        if move.opened is not None:
            self._expose(move.opened, 1, late=late)
        if move.handle:
            for scope in ancestors(move.fact.path):
                self._scope(scope).row.handle += move.handle
                self._touched[scope] = None
        if move.revenue:
            self._earn(move.fact.path, move.revenue, late=late)
        if move.kind in ("placed", "imported"):
            self._seen(move.fact.customer_id, move.fact.path, move.at_ms, late=late)

    # What facts do to figures.

    def _time(self, at_ms: int) -> int:
        """When a fact counts: its own time, but not far ahead of the watermark. It may begin a business day."""
        if self.watermark_ms and at_ms > self.watermark_ms + FUTURE_MS_MAX:
            at_ms = self.watermark_ms + FUTURE_MS_MAX
        self._begin_day(at_ms)
        if at_ms > self._at_ms:
            self._at_ms = at_ms
        return at_ms

    def _begin_day(self, at_ms: int) -> None:
        if at_ms < self._day_end:
            return
        start, end = self._business_day.bounds(at_ms)
        # After a change of the settings the days meet: none begins before the one before it has ended.
        self._day_start, self._day_end = max(start, self._day_end), end
        self._day_row.put("now", (self._day_start, self._day_end))
        self._expire(self._day_start)
        for name, scope in self._scopes.items():
            scope.row.base = Base(scope.row.revenue, scope.active, scope.pending, scope.exposure.total)
            self._touched[name] = None

    def _scope(self, scope: str) -> _Scope:
        figures = self._scopes.get(scope)
        if figures is None:
            figures = self._scopes[scope] = _Scope(ScopeRow())
        return figures

    def _expire(self, now_ms: int) -> None:
        scopes, gone = self._players.expire(now_ms - ACTIVE_MS)
        for scope in scopes:
            self._scope(scope).active = self._players.counts[scope]
            self._touched[scope] = None
        for customer, path in gone:
            self._active.pop(f"{customer}|{path}")

    def _seen(self, customer: str, path: str, at_ms: int, *, late: bool) -> None:
        if at_ms <= max(self.watermark_ms, self._day_start) - ACTIVE_MS:
            return
        for scope in self._players.seen(customer, path, at_ms):
            figures = self._scope(scope)
            figures.active = self._players.counts[scope]
            if late:
                figures.row.base.active += 1
            self._touched[scope] = None
        key = f"{customer}|{path}"
        before = self._active.get(key)
        if before is None or at_ms > before:
            self._active.put(key, at_ms)

    def _expose(self, wager: OpenWager, sign: int, *, late: bool) -> None:
        # Only a straight wager with its one leg known is netted in its market.
        market, selection = (wager.legs[0].market_id, wager.legs[0].selection_id) if len(wager.legs) == 1 else ("", "")
        for scope in ancestors(wager.path):
            figures = self._scope(scope)
            figures.pending += sign
            figures.pending_risk += sign * wager.risk
            exposure = figures.exposure
            before = exposure.total
            exposure.add(market, selection, wager.cash, wager.to_win, sign)
            if late:
                figures.row.base.pending += sign
                figures.row.base.liability += exposure.total - before
            self._touched[scope] = None

    def _earn(self, path: str, amount: int, *, late: bool) -> None:
        for scope in ancestors(path):
            row = self._scope(scope).row
            row.revenue += amount
            if late:
                row.base.revenue += amount
            self._touched[scope] = None


def _document(scope: _Scope) -> dict[str, Json]:
    row = scope.row
    base = row.base
    liability = scope.exposure.total
    document: dict[str, Json] = {
        "revenue": major(row.revenue),
        "activePlayers": scope.active,
        "pending": scope.pending,
        "totalLiability": major(liability),
        "change": {
            "revenue": major(row.revenue - base.revenue),
            "activePlayers": scope.active - base.active,
            "pending": scope.pending - base.pending,
            "totalLiability": major(liability - base.liability),
        },
        "handle": major(row.handle),
        "pendingRisk": major(scope.pending_risk),
    }
    if scope.exposure.bounded:
        document["liabilityIsBound"] = True
    return document

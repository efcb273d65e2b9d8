"""The `kpi` view: what a book and each of its sub-trees earns and risks now. Source: domain rules, sections 3 and 7.

A fact of agent /M1/A7 counts in /, /M1 and /M1/A7. The fold adds up what a commit group does to each agent's path; the
flush brings the sums up the tree, once. Kept in tables: what cannot be derived (sums since the start and of the running
day, week and month, the values at the start of the business day, who was active, who is online). Derived again at a
restart: open wagers and the counts. In a flood a group touches more scopes than it says documents of
(`documents_max`); those that have waited longest come next, and the whole book never waits.

A fact counts in the running periods that hold its time. One that comes late, for a day that is over, moves a figure and
the figure at the start of the day alike: the `change` of today is what today's facts did. Liability nets, so it does
where a commit group brings a scope nothing but late wagers; and what a book held when it was connected is no change.
Periods that are over are restated by the reports. Commission counts with the last moment of its week, once that is
closed: in the running month at most.

Who logged in or wagered, and when each customer left, is kept as times, so it does not matter which is told of first.
"""

from copy import copy
from datetime import time
from itertools import islice
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.core.scope import DEPTH_MAX, ROOT, ancestors
from fire22.core.times import to_ms
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.sportsbook import facts
from fire22.sportsbook.key_figures import (
    Base,
    Commissioned,
    Liabilities,
    Open,
    ScopeFigures,
    ScopeRow,
    Seen,
    Sums,
    document,
)
from fire22.sportsbook.periods import Periods, Weekday
from fire22.sportsbook.players import Players, name
from fire22.sportsbook.registry import FUTURE_MS_MAX, MOVES, OpenWager, Registry

MINUTE_MS: Final = 60_000
ACTIVE_MS: Final = 24 * 60 * MINUTE_MS
BONUS: Final = "bonus"


class KpiSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When the business day and the week start, how long a customer is online, how many documents a group says."""

    time_zone: str = "UTC"
    day_starts_at: time = time(0)
    week_starts_on: Weekday = "tuesday"
    online_minutes: Annotated[float, Meta(gt=0)] = 15.0
    documents_max: Annotated[int, Meta(gt=0)] = 32


class Running(Struct, frozen=True, gc=False, array_like=True):
    """The running periods: when they start and what they are called; ms since 1970 UTC."""

    day_ms: int = 0
    week_ms: int = 0
    month_ms: int = 0
    ends_ms: int = 0
    keys: tuple[str, str, str] = ("", "", "")


class _Moved:
    """What a commit group does to one path.

    Args:
        now: of facts that count in the running day, week and month.
        base_revenue, base_pending: of facts of before the running day.
        late, timely: whether wagers were opened or closed before the running day, and in it.
    """

    __slots__ = ("base_pending", "base_revenue", "late", "now", "open", "timely")

    def __init__(self) -> None:
        self.now = Sums()
        self.open = Open()
        self.base_revenue = 0
        self.base_pending = 0
        self.late = False
        self.timely = False

    def add(self, other: "_Moved") -> None:
        """Take in what was done below."""
        self.now.add(other.now)
        open, more = self.open, other.open
        open.count += more.count
        open.risk += more.risk
        open.to_win += more.to_win
        self.base_revenue += other.base_revenue
        self.base_pending += other.base_pending
        self.late |= other.late
        self.timely |= other.timely


class Kpi(Flow):
    """One document for each scope; comes after the flows that tell liabilities and commissions."""

    name: ClassVar[str] = "kpi"
    version: ClassVar[int] = 3

    def __init__(self, registry: Registry, liabilities: Liabilities, commissions: Commissioned) -> None:
        super().__init__()
        self.topics = (Topic("kpi", Kind.VIEW),)
        self._book = registry
        self._liabilities = liabilities
        self._commissions = commissions
        self._rows: Table[ScopeRow] = Table("scope", ScopeRow)
        self._seen_rows: Table[Seen] = Table("seen", Seen)
        self._left: Table[int] = Table("left", int)
        self._running_row: Table[Running] = Table("running", Running)
        self._scopes: dict[str, ScopeFigures] = {}
        self._active_players = Players()
        self._online_players = Players()
        self._settings = KpiSettings()
        self._online_ms = int(self._settings.online_minutes * MINUTE_MS)
        self._periods = Periods("UTC", time(0))
        self._running = Running()
        self._moves: dict[str, _Moved] = {}
        self._touched: dict[str, None] = {}
        self._waiting: dict[str, None] = {}  # in the order in which they wait
        self._waits = 0
        self._known: dict[str, bool] = {}  # scopes whose liability moves at the start of the day too
        self._at_ms = 0

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Scopes, customers that are active or online, who has left of late, the running periods."""
        return (self._rows, self._seen_rows, self._left, self._running_row)  # type: ignore[return-value]

    def configure(self, settings: Raw) -> None:
        """Take the business day that holds from the next one on."""
        self._settings = taken = msgspec.json.decode(settings, type=KpiSettings)
        self._periods = Periods(taken.time_zone, taken.day_starts_at, taken.week_starts_on)
        self._online_ms = int(taken.online_minutes * MINUTE_MS)

    def handlers(self) -> dict[str, Handler]:
        """Agents, so that each has figures from the start; wagers; what was there before; other gains; sessions."""
        return {
            "agent.created": self._agent,
            "agent.imported": self._agent,
            "customer.imported": self._customer,
            "revenue.imported": self._imported_revenue,
            **dict.fromkeys(MOVES, self._moved),
            "payment.charged_back": self._charged_back,
            "balance.adjusted": self._adjusted,
            "session.login": self._login,
            "session.logout": self._logout,
        }

    def loaded(self) -> None:
        """Derive open wagers and the counts from the kept rows."""
        for scope, row in self._rows:
            self._scopes[scope] = ScopeFigures(row)
        for wager in self._book.wagers():
            self._count(wager, 1, late=False, known=True)
        self._propagate()
        for key, seen in self._seen_rows:
            customer, _, path = key.rpartition("|")
            if seen.wagered_ms:
                self._active_players.seen(customer, path, seen.wagered_ms)
            if seen.alive_ms:
                self._online_players.seen(customer, path, seen.alive_ms)
        for scope in (*self._active_players.counts, *self._online_players.counts):
            self._recount(scope)
        for scope, figures in self._scopes.items():
            figures.liability = self._liabilities.total(scope)
        self._running = self._running_row.get("now") or Running()
        self._touched, self._known = {}, {}
        waiting = [(each.row.waits, scope) for scope, each in self._scopes.items() if each.row.waits]
        self._waiting = dict.fromkeys(scope for _, scope in sorted(waiting))
        self._waits = max(waiting, default=(0, ""))[0]

    def clock(self) -> None:
        """The windows of active and online players slide; a new business day may begin."""
        if self._running.day_ms > self.watermark_ms + FUTURE_MS_MAX:
            # A fact of before the first watermark began a day that has not come.
            self._running = msgspec.structs.replace(self._running, ends_ms=0)
        self._begin_day(self.watermark_ms)
        self._expire(self.watermark_ms)

    def flush(self) -> None:
        """A document for each scope whose figures moved."""
        for path, day_after, commission in self._commissions.posted:
            self._add(path, self._periods.starts_ms(day_after) - 1, Sums(costs=commission))
        self._propagate()
        for scope in self._liabilities.take_changed():
            figures = self._touch(scope)
            liability = self._liabilities.total(scope)
            if self._known.get(scope):
                figures.row.base.liability += liability - figures.liability
            figures.liability = liability
        self._known = {}
        # The newest time among the group's own facts: what an earlier group brought is not known after a restart.
        at_ms, self._at_ms = self._at_ms or self.watermark_ms, 0
        self._wait()
        for scope in self._turn():
            del self._waiting[scope]
            figures = self._scopes[scope]
            figures.row.waits = 0
            said = document(scope, figures, self._liabilities, self._running.keys)
            self.out.view("kpi", scope, "", "kpi_update", at_ms, said)
            self._touched[scope] = None
        for scope in self._touched:
            self._rows.put(scope, self._scopes[scope].row)
        self._touched = {}

    def _turn(self) -> list[str]:
        """Whose document comes now: those that have waited longest, and the whole book's in any case."""
        turn = list(islice(self._waiting, self._settings.documents_max))
        return [*turn, ROOT] if ROOT in self._waiting and ROOT not in turn else turn

    def _wait(self) -> None:
        """Let the scopes whose figures moved wait for their document, behind those that wait already."""
        if not self._waiting:
            self._waits = 0
        new = sorted(scope for scope in self._touched if scope not in self._waiting)
        if new:
            self._waits += 1
            for scope in new:
                self._scopes[scope].row.waits = self._waits
                self._waiting[scope] = None

    # Facts.

    def _agent(self, fact: Fact) -> None:
        self._touch(expect(fact, facts.Agent).path)
        self._time(fact.at_ms)

    def _customer(self, fact: Fact) -> None:
        customer = expect(fact, facts.Customer)
        if customer.last_wager_at is not None:
            at_ms = self._time(to_ms(customer.last_wager_at))
            self._seen(customer.customer_id, customer.path, at_ms)

    def _imported_revenue(self, fact: Fact) -> None:
        imported = expect(fact, facts.RevenueImported)
        self._at_ms = max(self._at_ms, fact.at_ms)
        for scope in ancestors(imported.path):
            row = self._touch(scope).row
            row.base.revenue += imported.revenue_minor
            for sums in (row.ever, row.day, row.week, row.month):
                sums.revenue += imported.revenue_minor

    def _moved(self, fact: Fact) -> None:
        move = self._book.move
        at_ms = move.at_ms
        if at_ms >= self._running.ends_ms:
            self._begin_day(at_ms)
        if at_ms > self._at_ms:
            self._at_ms = at_ms
        accepted = move.kind == "placed" or move.kind == "imported"
        late = at_ms < self._running.day_ms
        known = late or move.kind == "imported"
        if move.closed is not None:
            self._count(move.closed, -1, late=late, known=known)
        if move.opened is not None:
            self._count(move.opened, 1, late=late, known=known)
        path = move.fact.path
        if late or at_ms < self._running.week_ms or at_ms < self._running.month_ms:
            self._add(path, at_ms, Sums(move.revenue, move.handle, move.settled_handle, int(accepted)))
        else:
            now = self._move(path).now
            now.revenue += move.revenue
            now.handle += move.handle
            now.settled += move.settled_handle
            now.wagers += accepted
        if accepted:
            self._seen(move.fact.customer_id, path, at_ms)

    def _charged_back(self, fact: Fact) -> None:
        payment = expect(fact, facts.Payment)
        if payment.direction == "deposit":
            at_ms = self._time(self._book.counts_at(fact))
            self._add(payment.path, at_ms, Sums(costs=payment.amount_minor))

    def _adjusted(self, fact: Fact) -> None:
        adjusted = expect(fact, facts.BalanceAdjusted)
        if adjusted.kind == BONUS:
            at_ms = self._time(self._book.counts_at(fact))
            self._add(adjusted.path, at_ms, Sums(costs=adjusted.amount_minor))

    def _login(self, fact: Fact) -> None:
        session = expect(fact, facts.Session)
        self._alive(session.customer_id, session.path, self._time(self._book.counts_at(fact)))

    def _logout(self, fact: Fact) -> None:
        customer = expect(fact, facts.Session).customer_id
        at_ms = self._time(self._book.counts_at(fact))
        if at_ms <= self._now_ms - self._online_ms:
            return
        self._left.put(customer, max(at_ms, self._left.get(customer) or 0))
        for path in self._online_players.paths(customer):
            seen = self._seen_rows.get(name(customer, path))
            if seen is not None and seen.alive_ms <= at_ms:  # it may have come again before it was told that it left
                for scope in self._online_players.leave(customer, path):
                    self._recount(scope)
                self._forget(customer, path, wagered=False)

    # What facts do to figures.

    @property
    def _now_ms(self) -> int:
        """What the windows of players end with."""
        return max(self.watermark_ms, self._running.day_ms)

    def _time(self, at_ms: int) -> int:
        """When a fact counts: its own time, but not far ahead of the watermark. It may begin a business day."""
        if self.watermark_ms and at_ms > self.watermark_ms + FUTURE_MS_MAX:
            at_ms = self.watermark_ms + FUTURE_MS_MAX
        if at_ms >= self._running.ends_ms:
            self._begin_day(at_ms)
        if at_ms > self._at_ms:
            self._at_ms = at_ms
        return at_ms

    def _begin_day(self, at_ms: int) -> None:
        """Begin the day that holds a moment, and the week and month where they are others."""
        before = self._running
        if at_ms < before.ends_ms:
            return
        self._propagate()
        day, week, month = (self._periods.period(kind, at_ms) for kind in ("day", "week", "month"))
        # After a change of the settings the days meet: none begins before the one before it has ended.
        start_ms = max(day.start_ms, before.ends_ms)
        self._running = Running(
            start_ms, min(week.start_ms, start_ms), min(month.start_ms, start_ms), day.end_ms,
            (day.key, week.key, month.key),
        )  # fmt: skip
        self._running_row.put("now", self._running)
        self._expire(start_ms)
        for scope, figures in self._scopes.items():
            row = figures.row
            row.base = Base(row.ever.revenue, figures.active, figures.open.count, figures.liability)
            row.day = copy(row.ever)
            if week.key != before.keys[1]:
                row.week = copy(row.ever)
            if month.key != before.keys[2]:
                row.month = copy(row.ever)
            self._touched[scope] = None

    def _add(self, path: str, at_ms: int, sums: Sums) -> None:
        """Count what happened at a moment; of periods that began later it is of before."""
        running = self._running
        if at_ms < running.day_ms:
            self._move(path).base_revenue += sums.revenue
        for scope in ancestors(path):
            row = self._touch(scope).row
            row.ever.add(sums)
            for start_ms, before in (
                (running.day_ms, row.day), (running.week_ms, row.week), (running.month_ms, row.month),
            ):  # fmt: skip
                if at_ms < start_ms:
                    before.add(sums)

    def _count(self, wager: OpenWager, sign: int, *, late: bool, known: bool) -> None:
        """An open wager more or less.

        Args:
            late: of before the running day.
            known: it moves liability as it was at the start of the day, too.
        """
        moved = self._move(wager.path)
        open = moved.open
        open.count += sign
        open.risk += sign * wager.risk
        open.to_win += sign * wager.to_win
        if known:
            moved.late = True
        else:
            moved.timely = True
        if late:
            moved.base_pending += sign

    def _move(self, path: str) -> _Moved:
        moved = self._moves.get(path)
        if moved is None:
            moved = self._moves[path] = _Moved()
        return moved

    def _propagate(self) -> None:
        """Bring what the group has done so far up the tree, from the lowest agents on, each sum once."""
        if not self._moves:
            return
        levels: list[dict[str, _Moved]] = [{} for _ in range(DEPTH_MAX)]
        for path, moved in self._moves.items():
            levels[len(ancestors(path)) - 1][path] = moved
        self._moves = {}
        for depth in range(DEPTH_MAX - 1, -1, -1):
            for path, moved in levels[depth].items():
                self._take(path, moved)
                if depth:
                    above, parent = levels[depth - 1], ancestors(path)[-2]
                    sums = above.get(parent)
                    if sums is None:
                        above[parent] = moved  # which is done with below
                    else:
                        sums.add(moved)

    def _take(self, scope: str, moved: _Moved) -> None:
        figures = self._touch(scope)
        row, total, open = figures.row, figures.open, moved.open
        row.ever.add(moved.now)
        row.base.revenue += moved.base_revenue
        row.base.pending += moved.base_pending
        if moved.late or moved.timely:
            self._known[scope] = self._known.get(scope, True) and not moved.timely
        total.count += open.count
        total.risk += open.risk
        total.to_win += open.to_win

    def _touch(self, scope: str) -> ScopeFigures:
        """A scope whose document may have changed."""
        self._touched[scope] = None
        return self._scope(scope)

    def _scope(self, scope: str) -> ScopeFigures:
        figures = self._scopes.get(scope)
        if figures is None:
            figures = self._scopes[scope] = ScopeFigures(ScopeRow())
        return figures

    def _expire(self, now_ms: int) -> None:
        for players, span_ms, wagered in (
            (self._active_players, ACTIVE_MS, True),
            (self._online_players, self._online_ms, False),
        ):
            scopes, gone = players.expire(now_ms - span_ms)
            for scope in scopes:
                self._recount(scope)
            for customer, path in gone:
                self._forget(customer, path, wagered=wagered)
        for customer in [each for each, left_ms in self._left if left_ms <= now_ms - self._online_ms]:
            self._left.pop(customer)

    def _recount(self, scope: str) -> None:
        figures = self._touch(scope)
        figures.active = self._active_players.counts.get(scope, 0)
        figures.online = self._online_players.counts.get(scope, 0)

    def _forget(self, customer: str, path: str, *, wagered: bool) -> None:
        """A customer is no longer active, or online."""
        key = name(customer, path)
        seen = self._seen_rows.get(key)
        if seen is None:
            raise AssertionError(f"nobody has seen {key}")
        if wagered:
            seen.wagered_ms = 0
        else:
            seen.alive_ms = 0
        if seen.wagered_ms or seen.alive_ms:
            self._seen_rows.put(key, seen)
        else:
            self._seen_rows.pop(key)

    def _seen(self, customer: str, path: str, at_ms: int) -> None:
        """A customer has wagered: it is active, and online."""
        key = name(customer, path)
        seen = self._seen_rows.get(key)
        if seen is not None and 0 < seen.wagered_ms <= at_ms and 0 < seen.alive_ms <= at_ms:
            seen.wagered_ms = seen.alive_ms = at_ms
            self._active_players.again(key, at_ms)
            self._online_players.again(key, at_ms)
            self._seen_rows.put(key, seen)
            return
        if at_ms <= self._now_ms - ACTIVE_MS:
            return
        for scope in self._active_players.seen(customer, path, at_ms):
            self._recount(scope)
            if at_ms < self._running.day_ms:
                self._scopes[scope].row.base.active += 1
        if seen is None:
            seen = Seen()
        seen.wagered_ms = max(seen.wagered_ms, at_ms)
        self._alive_since(seen, customer, path, at_ms)
        self._seen_rows.put(key, seen)

    def _alive(self, customer: str, path: str, at_ms: int) -> None:
        """A customer has shown itself: it is online."""
        key = name(customer, path)
        seen = self._seen_rows.get(key) or Seen()
        if self._alive_since(seen, customer, path, at_ms):
            self._seen_rows.put(key, seen)

    def _alive_since(self, seen: Seen, customer: str, path: str, at_ms: int) -> bool:
        if at_ms <= self._now_ms - self._online_ms or at_ms <= (self._left.get(customer) or 0):
            return False
        for scope in self._online_players.seen(customer, path, at_ms):
            self._recount(scope)
        seen.alive_ms = max(seen.alive_ms, at_ms)
        return True

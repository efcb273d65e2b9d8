"""The `kpi` view: what a book and each of its sub-trees earns and risks now. Source: domain rules, sections 3 and 7.

A fact of agent /M1/A7 counts in /, /M1 and /M1/A7. The fold adds up what a commit group does to each agent's path; the
flush brings the sums up the tree, once. Kept in tables: what cannot be derived (sums since the start and of the running
day, week and month, the values at the start of the business day, who was active, who is online). Derived again at a
restart: open wagers and the counts. In a flood a group touches more scopes than it says documents of
(`documents_max`); those that have waited longest come next, and the whole book never waits.

A fact counts in the running periods that hold its time; the watermark alone ends them. What a fact ahead of the day
does is kept aside until its day begins. One that comes late, for a day that is over, moves a figure and
the figure at the start of the day alike: the `change` of today is what today's facts did. Liability nets, so it does
where a commit group brings a scope nothing but late wagers; and what a book held when it was connected is no change.
Nor is what a search finds of a bound on a day on which nothing has moved the scope's liability yet.
Periods that are over are restated by the reports; what is too late for that counts on the running day, there and here,
unless the book held it when it was connected.
Commission counts with the last moment of its week, once that is closed: in the running month at most.
"""

from collections.abc import Callable
from itertools import islice
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.core.scope import ROOT, ancestors
from fire22.core.times import to_ms
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.flows.kept import Kept, KeptRows
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.settings import BookSettings
from fire22.sportsbook.kpi.presence import Presence
from fire22.sportsbook.kpi.rollup import GroupSums, Moved
from fire22.sportsbook.kpi.scope_figures import (
    FIELDS,
    Ahead,
    Base,
    Commissioned,
    FigureSums,
    Liabilities,
    ScopeFigures,
    ScopeRow,
    document,
)
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.movement import MOVES, Movement

MINUTE_MS: Final = 60_000
QUARTER_MS: Final = 15 * MINUTE_MS
BONUS: Final = "bonus"
IDLE_TIMES: Final = 8  # so many times more documents are said while nothing else happens
JOURNAL_BYTES: Final = 1 << 20  # a hundred groups of a large book and more


class KpiSettings(Struct, frozen=True):
    """`[kpi]`.

    Args:
        documents_max: that one commit group says, besides the whole book's; in a flood the others wait for the next
            one, the longest waiting first. At 60 groups a second each of 200 scopes is said five times a second.
    """

    documents_max: Annotated[int, Meta(gt=0)] = 16


class RunningPeriods(Struct, frozen=True, gc=False, array_like=True):
    """The running periods: when they start and end and what they are called; ms since 1970 UTC."""

    day_ms: int = 0
    week_ms: int = 0
    month_ms: int = 0
    ends_ms: int = 0
    keys: tuple[str, str, str] = ("", "", "")
    week_ends_ms: int = 0
    month_ends_ms: int = 0


class Kpi(Flow):
    """One document for each scope; comes after the flows that tell liabilities and commissions.

    Args:
        is_too_late: whether a moment's day can no longer be restated: what happened then counts on the running day, as
            the reports have it.
    """

    name: ClassVar[str] = "kpi"
    version: ClassVar[int] = 7

    def __init__(
        self,
        registry: Registry,
        liabilities: Liabilities,
        commissions: Commissioned,
        is_too_late: Callable[[int], bool] = lambda _: False,
    ) -> None:
        super().__init__()
        self._is_too_late = is_too_late
        self.topics = (Topic("kpi", Kind.VIEW, fields=FIELDS),)
        self._book = registry
        self._liabilities = liabilities
        self._commissions = commissions
        self._rows: KeptRows[ScopeRow] = KeptRows("scope", ScopeRow, JOURNAL_BYTES)
        self._running_row: Table[RunningPeriods] = Table("running", RunningPeriods)
        self._ahead: Table[Ahead] = Table("ahead", Ahead)
        self._too_late: Table[int] = Table("too_late", int)  # when a wager counts whose own day was no longer restated
        self._sums = GroupSums()
        self._scopes: dict[str, ScopeFigures] = {}  # that have a document
        self._presence = Presence(self._sums, self._touch)
        self._settings = KpiSettings()
        self._go_by(BookSettings())
        self._running = RunningPeriods()
        self._touched: dict[str, ScopeFigures] = {}
        self._waiting: dict[str, ScopeFigures] = {}  # in the order in which they wait
        self._waits = 0
        self._is_idle = False
        self._at_ms = 0

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Scopes, customers that are active or online, who has left, running periods, later ones, wagers too late."""
        return (*self._rows.tables, *self._presence.tables, self._running_row, self._ahead, self._too_late)

    def configure(self, settings: Raw) -> None:
        """Take the business day that holds from the next one on."""
        self._settings = msgspec.json.decode(settings, type=KpiSettings)
        self._go_by(msgspec.json.decode(settings, type=BookSettings))

    def _go_by(self, book: BookSettings) -> None:
        self._periods = book.periods
        self._presence.online_ms = int(book.online_minutes * MINUTE_MS)

    def handlers(self) -> dict[str, Handler]:
        """Agents, so that each has figures from the start; wagers; what was there before; other gains; sessions."""
        return {
            "agent.created": self._agent,
            "agent.imported": self._agent,
            "agent.changed": self._agent,
            "customer.imported": self._customer,
            "customer.renamed": self._renamed,
            "revenue.imported": self._imported_revenue,
            **dict.fromkeys(MOVES, self._moved),
            "payment.charged_back": self._charged_back,
            "balance.adjusted": self._adjusted,
            "session.login": self._login,
            "session.logout": self._logout,
        }

    def loaded(self) -> None:
        """Derive open wagers and the counts from the kept rows."""
        self._rows.restore(self._restored_scope)
        for wager in self._book.wagers():
            moved = self._moved_at(wager.path)
            moved.pending += 1
            moved.risk += wager.cash
            moved.to_win += wager.to_win
        self._sums.rise(self._touched)
        self._running = self._running_row.get("now") or RunningPeriods()
        self._presence.loaded(self.watermark_ms, self._running.day_ms)
        for scope, figures in self._scopes.items():
            figures.liability = self._liabilities.total(scope)
        self._touched = {}
        waiting = sorted((each.row.waits, scope) for scope, each in self._scopes.items() if each.row.waits)
        self._waiting = {scope: self._scopes[scope] for _, scope in waiting}
        self._waits = waiting[-1][0] if waiting else 0
        for scope, figures in self._waiting.items():
            self.out.waits("kpi", scope, figures.row.since_ms)

    def _restored_scope(self, scope: str, row: ScopeRow) -> Kept[ScopeRow]:
        figures = self._scopes[scope] = self._sums.scope(scope).figures
        figures.keep(Kept(scope, row))
        return figures.kept

    def clock(self) -> None:
        """The windows of active and online players slide; a new business day may begin."""
        if self._running.day_ms > self.watermark_ms + MINUTE_MS:
            # A fact that the clock had not reached began a day that has not come.
            self._running = msgspec.structs.replace(self._running, ends_ms=0)
        self._begin_day(self.watermark_ms)
        self._presence.advance(self.watermark_ms)

    def idle(self) -> None:
        """More documents are said at once."""
        self._is_idle = True

    def flush(self) -> None:
        """A document for each scope whose figures moved."""
        for path, day_after, commission in self._commissions.posted:
            self._add(path, self._periods.starts_ms(day_after) - 1, FigureSums(costs=commission))
        self._sums.rise(self._touched)
        self._presence.tell()
        for scope in self._liabilities.take_changed():
            figures = self._touched.get(scope) or self._touch(scope)
            liability = self._liabilities.total(scope)
            base = figures.row.base
            found = self._liabilities.is_found(scope)
            if (figures.late and not figures.timely) or (found and not base.stirred):
                base.liability += liability - figures.liability
            elif not found:
                base.stirred = True
            figures.liability = liability
        # The newest time among the group's own facts: what an earlier group brought is not known after a restart.
        at_ms, self._at_ms = self._at_ms or self.watermark_ms, 0
        new = self._wait()
        for scope in self._turn():
            figures = self._touched[scope] = self._waiting.pop(scope)
            figures.row.waits = figures.row.since_ms = 0
            self.out.settled("kpi", scope)
            said = document(figures, self._liabilities, self._running.keys, self._book.money.major)
            self.out.view("kpi", scope, "", "kpi_update", at_ms, said)
        if self._waiting:
            for scope in new:
                if scope in self._waiting:
                    self.out.waits("kpi", scope, self.before_ms)
        self._keep()

    def _keep(self) -> None:
        """Store what the group has changed."""
        for scope in sorted(self._touched):
            figures = self._touched[scope]
            figures.late = figures.timely = False
            self._rows.put(figures.kept)
        self._rows.flush()
        self._scopes.update(self._touched)
        self._touched = {}
        self._presence.flush()

    def _turn(self) -> list[str]:
        """Whose document comes now: those that have waited longest, and the whole book's in any case."""
        room = self._settings.documents_max * (IDLE_TIMES if self._is_idle else 1)
        self._is_idle = False
        turn = list(islice(self._waiting, room))
        return [*turn, ROOT] if ROOT in self._waiting and ROOT not in turn else turn

    def _wait(self) -> list[str]:
        """Let the scopes whose figures moved wait for their document, behind those that wait already; those."""
        if not self._waiting:
            self._waits = 0
        new = sorted(self._touched.keys() - self._waiting.keys())
        if new:
            self._waits += 1
            for scope in new:
                figures = self._waiting[scope] = self._touched[scope]
                figures.row.waits = self._waits
                figures.row.since_ms = self.before_ms
        return new

    # Facts.

    def _agent(self, fact: Fact) -> None:
        self._touch(expect(fact, facts.Agent).path)
        self._time(fact.at_ms)

    def _customer(self, fact: Fact) -> None:
        customer = expect(fact, facts.Customer)
        if customer.last_wager_at is not None:
            at_ms = to_ms(customer.last_wager_at)
            at_ms = self._time(at_ms if at_ms <= self.latest_ms else fact.at_ms)
            self._presence.wagered(self._sums.scope(customer.path), customer.customer_id, at_ms)

    def _renamed(self, fact: Fact) -> None:
        renamed = expect(fact, facts.CustomerRenamed)
        self._presence.renamed(renamed.before, renamed.customer_id)

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
        if at_ms < self._running.day_ms and move.kind != "imported":
            at_ms = self._counted(at_ms)
        if at_ms >= self._running.ends_ms and not self.watermark_ms:
            self._begin_day(at_ms)
        if at_ms > self._at_ms:
            self._at_ms = at_ms
        kind, opened, closed = move.kind, move.opened, move.closed
        moved = self._moved_at(move.fact.path)
        if closed is not None:
            moved.pending -= 1
            moved.risk -= closed.cash
            moved.to_win -= closed.to_win
        if opened is not None:
            moved.pending += 1
            moved.risk += opened.cash
            moved.to_win += opened.to_win
        accepted = kind == "placed" or kind == "imported"
        if not self._running.day_ms <= at_ms < self._running.ends_ms:
            self._of_another_day(move, at_ms, accepted=accepted)
        else:
            moved.revenue += move.revenue
            moved.handle += move.handle
            moved.settled += move.settled_handle
            moved.wagers += accepted
            if kind == "imported":
                self._known(ancestors(moved.figures.scope))
            elif opened is not None or closed is not None:
                moved.timely = True
        if accepted:
            self._presence.wagered(moved, move.fact.customer_id, move.at_ms)
            if at_ms != move.at_ms:
                self._too_late.put(move.fact.wager_id, at_ms)
        elif move.gone_ms:
            counted_ms = self._too_late.pop(move.fact.wager_id) or move.gone_ms
            self._add(move.fact.path, counted_ms, FigureSums(wagers=-1))

    def _of_another_day(self, move: Movement, at_ms: int, *, accepted: bool) -> None:
        """A wager of before the running day was so at its start already; what one ahead does is none of today's."""
        scopes = ancestors(move.fact.path)
        sums = FigureSums(move.revenue, move.handle, move.settled_handle, int(accepted))
        self._add(move.fact.path, at_ms, sums)
        pending = (move.opened is not None) - (move.closed is not None)
        for scope in scopes:
            self._sums.scope(scope).figures.row.base.pending += pending
        if pending and at_ms >= self._running.ends_ms:
            self._kept_aside(move.fact.path, at_ms).pending += pending
        if move.opened is not None or move.closed is not None:
            self._known(scopes)

    def _known(self, scopes: tuple[str, ...]) -> None:
        """Wagers move liability as it was at the start of the day, too."""
        for scope in scopes:
            self._sums.scope(scope).figures.late = True

    def _charged_back(self, fact: Fact) -> None:
        payment = expect(fact, facts.Payment)
        if payment.direction == "deposit":
            at_ms = self._counted(self._time(fact.at_ms))
            self._add(payment.path, at_ms, FigureSums(costs=payment.amount_minor))

    def _adjusted(self, fact: Fact) -> None:
        adjusted = expect(fact, facts.BalanceAdjusted)
        if adjusted.kind == BONUS:
            at_ms = self._counted(self._time(fact.at_ms))
            self._add(adjusted.path, at_ms, FigureSums(costs=adjusted.amount_minor))

    def _login(self, fact: Fact) -> None:
        session = expect(fact, facts.Session)
        at_ms = self._time(fact.at_ms)
        self._presence.logged_in(self._sums.scope(session.path), session.customer_id, at_ms)

    def _logout(self, fact: Fact) -> None:
        customer = expect(fact, facts.Session).customer_id
        self._presence.logged_out(customer, self._time(fact.at_ms))

    # What facts do to figures.

    def _counted(self, at_ms: int) -> int:
        """When a fact of before the running day counts: then, or now if that is too late."""
        return self._running.day_ms if self._is_too_late(at_ms) else at_ms

    def _time(self, at_ms: int) -> int:
        """When a fact counts. It may begin a business day where there is no watermark yet."""
        if at_ms >= self._running.ends_ms and not self.watermark_ms:
            self._begin_day(at_ms)
        if at_ms > self._at_ms:
            self._at_ms = at_ms
        return at_ms

    def _begin_day(self, at_ms: int) -> None:
        """Begin the day that holds a moment, and the week and month where they are others."""
        before = self._running
        if at_ms < before.ends_ms:
            return
        self._sums.rise(self._touched)
        self._presence.tell()
        self._scopes.update(self._touched)
        day, week, month = (self._periods.period(kind, at_ms) for kind in ("day", "week", "month"))
        # After a change of the settings the days meet: none begins before the one before it has ended.
        start_ms = max(day.start_ms, before.ends_ms)
        self._running = RunningPeriods(
            start_ms, min(week.start_ms, start_ms), min(month.start_ms, start_ms), day.end_ms,
            (day.key, week.key, month.key), week.end_ms, month.end_ms,
        )  # fmt: skip
        self._running_row.put("now", self._running)
        self._presence.begin_day(start_ms)
        self._presence.tell()
        bounds = ((start_ms, day.end_ms), (week.start_ms, week.end_ms), (month.start_ms, month.end_ms))
        of_day, of_week, of_month = (self._ahead_within(*each) for each in bounds)
        nothing = Ahead(0, "")
        for scope, figures in self._scopes.items():
            row = figures.row
            today = of_day.get(scope, nothing)
            row.day = row.ever.less(today.sums)
            pending = figures.pending - today.pending
            row.base = Base(row.day.revenue, figures.active, pending, figures.liability)
            if week.key != before.keys[1]:
                row.week = row.ever.less(of_week.get(scope, nothing).sums)
            if month.key != before.keys[2]:
                row.month = row.ever.less(of_month.get(scope, nothing).sums)
            self._touched[scope] = figures
        for key in sorted(key for key, one in self._ahead if one.starts_ms < day.end_ms):
            self._ahead.pop(key)
        begun_ms = min(self._running.week_ms, self._running.month_ms)
        for key in sorted(key for key, counted_ms in self._too_late if counted_ms < begun_ms):
            self._too_late.pop(key)  # it is in no running period, as its own time is in none

    def _ahead_within(self, start_ms: int, end_ms: int) -> dict[str, Ahead]:
        """What was kept aside of a period, by scope."""
        found: dict[str, Ahead] = {}
        for _, one in self._ahead:
            if start_ms <= one.starts_ms < end_ms:
                for scope in ancestors(one.path):
                    whole = found.setdefault(scope, Ahead(0, scope))
                    whole.sums.add(one.sums)
                    whole.pending += one.pending
        return found

    def _kept_aside(self, path: str, at_ms: int) -> Ahead:
        """What is kept aside of an agent's facts around a moment; it is going to change."""
        # Not of whole days: other settings may hold when they begin, and zones differ by quarters of an hour.
        day_ms = self._periods.starts_ms(self._periods.day(at_ms))
        starts_ms = max(at_ms - at_ms % QUARTER_MS, day_ms, self._running.ends_ms)
        key = f"{starts_ms} {path}"
        one = self._ahead.get(key) or Ahead(starts_ms, path)
        self._ahead.put(key, one)
        return one

    def _add(self, path: str, at_ms: int, sums: FigureSums) -> None:
        """Count what happened at a moment; in periods that do not hold it, it is of before."""
        running = self._running
        is_ahead = at_ms >= running.ends_ms
        if is_ahead:
            self._kept_aside(path, at_ms).sums.add(sums)
        for scope in ancestors(path):
            row = self._touch(scope).row
            row.ever.add(sums)
            if is_ahead or at_ms < running.day_ms:
                row.base.revenue += sums.revenue
            for start_ms, end_ms, before in (
                (running.day_ms, running.ends_ms, row.day),
                (running.week_ms, running.week_ends_ms, row.week),
                (running.month_ms, running.month_ends_ms, row.month),
            ):
                if not start_ms <= at_ms < end_ms:
                    before.add(sums)

    def _moved_at(self, path: str) -> Moved:
        """What the group does at an agent's path."""
        moved = self._sums.scopes.get(path) or self._sums.scope(path)
        if not moved.stirred:
            self._sums.stir(moved)
        return moved

    def _touch(self, scope: str) -> ScopeFigures:
        """A scope whose document may have changed."""
        figures = self._touched[scope] = self._sums.scope(scope).figures
        return figures

"""The day book: what each customer did on each business day, below each agent.

Figures, commissions and reports are sums of it.

A fact counts on the day that holds its time. The watermark ends days, weeks and months. A fact that comes later, but
within the weeks that are kept (`restate_weeks`, and the running one), still counts on its own day, and its periods are
restated; one that is later still counts on the running day and is marked as late there.

Days of the running week are cells, one row for each customer and day, so that a commit group writes what it touched.
When a week has ended, its cells are put together into one sheet for each agent and day, which stays encoded, also in
memory: 6,000 customers with action on each of 70 days are some 30 MB. What is older than a month that can be restated
is dropped. Of each ended period a total of each agent's own customers is kept, so that a late fact costs one agent's
sheets and not the whole tree's.

The flows after it read, in their flush: `ended`, `restated`, `due`, `touched`, and the sheets and totals.
"""

from collections.abc import Iterator
from datetime import time
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.core.scope import ancestors
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.flows.kept import Kept, KeptRows
from fire22.sportsbook.accounting.customer_day import Cell, Sheet, Total, merge, most, total_of
from fire22.sportsbook.accounting.day_accounts import Account, Leaf, Money
from fire22.sportsbook.accounting.open_periods import Running
from fire22.sportsbook.accounting.past_days import Sheets
from fire22.sportsbook.accounting.period_totals import Totals
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.periods import KINDS, Period, PeriodKind, Periods, Weekday, month_after, month_of
from fire22.sportsbook.betting.wager_types import PLAIN
from fire22.sportsbook.registry.flow import MOVES, Movement, Registry

BONUS: Final = "bonus"
JOURNAL_BYTES: Final = 2 << 20  # some 20,000 cells
REPORTS: Final = "reports"  # the topic that tells of ended periods
MERGED_MAX: Final = 1_000  # sheets of several days that are kept for the rest of a flush


class DaybookSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When days and weeks begin, how long they can be restated, and how often what follows from them is said."""

    time_zone: str = "UTC"
    day_starts_at: time = time(0)
    week_starts_on: Weekday = "tuesday"
    restate_weeks: Annotated[int, Meta(ge=1, le=52)] = 5
    interval_ms: Annotated[int, Meta(ge=0)] = 2_000


class Late(Struct, frozen=True, gc=False, array_like=True):
    """What came late for a cell: whether its balance moved, the week it lies in, and since which watermark it waits."""

    moved: bool
    week: int
    after: int
    since_ms: int


class Restated(Struct, frozen=True):
    """An ended period into which facts came late.

    Args:
        paths: the agents below whom they fell, with the customers; whether a balance moved.
    """

    period: Period
    paths: dict[str, dict[str, bool]]

    @property
    def scopes(self) -> list[str]:
        """Every agent's scope that it changes, sorted."""
        return sorted({scope for path in self.paths for scope in ancestors(path)})


class Daybook(Flow):
    """Comes after the ledger, which judges payments, and before the flows that read it."""

    name: ClassVar[str] = "daybook"
    version: ClassVar[int] = 3

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.leaves: dict[str, Leaf] = {}
        self.touched: list[Account] = []
        self.touched_leaves: list[Leaf] = []
        self.ended: list[Period] = []
        self.restated: list[Restated] = []
        self.due = False
        self.running = Running()
        self.settings = DaybookSettings()
        self.periods = Periods("UTC", time(0))
        self._book = registry
        self._cells: KeptRows[Cell] = KeptRows("cell", Cell, JOURNAL_BYTES)
        self._sheets = Sheets()
        self._befores: Table[int] = Table("before", int)
        self._totals = Totals()
        self._late: Table[Late] = Table("late", Late)
        self._moved: Table[str] = Table("moved", str)  # where the balance of a customer belongs that was moved
        self._row: Table[Running] = Table("running", Running)
        self._today = (0, 0)  # the running day's bounds, ms
        self._span = (0, 0, 0)  # another day's, and which
        self._merged: dict[tuple[int, int, str], Sheet] = {}  # of this flush: reports ask for what totals were made of
        self._homes: dict[str, tuple[str, ...]] = {}
        self._ending: tuple[int, int] | None = None
        self._ending_weeks: list[tuple[int, int]] = []
        self._leaf_day = Money()  # of the cell that was found last
        self._is_idle = False
        self._tells_late = False

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Cells, sheets, balances before them, totals of ended periods, what came late, the running day."""
        return (
            *self._cells.tables,
            self._sheets.table,
            self._befores,
            *self._totals.tables,
            self._late,
            self._moved,
            self._row,
        )

    def configure(self, settings: Raw) -> None:
        """Take the settings that hold from here on."""
        self.settings = taken = msgspec.json.decode(settings, type=DaybookSettings)
        self.periods = Periods(taken.time_zone, taken.day_starts_at, taken.week_starts_on)
        self._span = (0, 0, 0)
        self._enter_day()

    def handlers(self) -> dict[str, Handler]:
        """Customers, wagers, and what moves a balance."""
        return {
            "customer.created": self._customer,
            "customer.imported": self._customer,
            "customer.moved": self._customer_moved,
            "customer.renamed": self._customer_renamed,
            **dict.fromkeys(MOVES, self._wager),
            "payment.completed": self._payment,
            "payment.charged_back": self._payment,
            "balance.adjusted": self._adjusted,
        }

    def loaded(self) -> None:
        """Derive accounts and agents' days from the kept rows."""
        self.running = self._row.get("now") or Running()
        for key, before in self._befores:
            scope, _, customer = key.rpartition("/@")
            account = self._account(self._leaf(scope or "/"), customer, load=True)
            account.before = before
            account.leaf.before += before
        for customer, path in self._moved:
            self._belongs(customer, path)
        self._cells.restore(self._restored)
        self._sheets.loaded()
        self._totals.loaded()
        self._enter_day()
        self._tell_late()

    def _restored(self, key: str, cell: Cell) -> Kept[Cell]:
        day, _, scope = key.partition("|")
        path, _, customer = scope.rpartition("/@")
        account = self.leaves[path or "/"].accounts[customer]
        kept = account.days[int(day)] = Kept(key, cell)
        account.leaf.day(int(day)).add(cell)
        return kept

    def clock(self) -> None:
        """Days, weeks and months may have ended."""
        day = self.periods.day(self.watermark_ms)
        running = self.running
        if not running.day:
            running.begin(day, self.periods, self.settings.restate_weeks)
            self._gather_stray(day)
            self._ending = (running.weeks[0], day)
            self._ending_weeks = [running.week_of(first) for first in running.weeks[:-1]]
        elif day > running.day:
            since = self._ending[0] if self._ending else running.day
            self._ending = (since, day)
            busy = self._days_with_cells(running.day, day)
            self._ending_weeks += running.advance(day, self.periods, self.settings.restate_weeks, busy)
        else:
            return
        self._row.put("now", running)
        self._enter_day()

    def idle(self) -> None:
        """What follows from the days is due."""
        self._is_idle = True

    def flush(self) -> None:
        """Work out what has ended and what is restated; put away the cells of ended weeks."""
        self._sheets.settle()
        self._merged = {}
        self.ended, self.restated, self.due = [], [], False
        running = self.running
        if running.day and (running.hot_next > running.hot or running.known_from > running.weeks[0]):
            self._put_away()
        if running.day:
            self._look_back()
        self._is_idle = False
        self._cells.flush()
        self._tell_late()

    def _tell_late(self) -> None:
        """Periods that have ended are as of what came late for them and is not restated yet."""
        waits = len(self._late) > 0
        if waits and not self._tells_late:
            self.out.waits(REPORTS, "", min(late.since_ms for _, late in self._late))
        elif self._tells_late and not waits:
            self.out.settled(REPORTS, "")
        self._tells_late = waits

    def _look_back(self) -> None:
        running = self.running
        interval_ms = 0 if self._is_idle else self.settings.interval_ms
        if self._ending is not None or self.watermark_ms - running.said_ms >= interval_ms:
            self.due = True
            running.said_ms = self.watermark_ms
            self._row.put("now", running)
        if self.due and len(self._late):
            self._restate()
        if self._ending is not None:
            self._end()

    # What the flows after it may ask.

    @property
    def changes(self) -> int:
        """Counts the commit groups in which a cell changed, up to this one."""
        return self._cells.group

    def accounts(self) -> Iterator[Account]:
        """Every account."""
        return (account for leaf in self.leaves.values() for account in leaf.accounts.values())

    def take_touched(self) -> tuple[list[Account], list[Leaf]]:
        """The accounts and the agents' paths that this group has touched and that did not wait before."""
        accounts, leaves = self.touched, self.touched_leaves
        self.touched, self.touched_leaves = [], []
        return accounts, leaves

    def sheet(self, first: int, after: int, path: str) -> Sheet:
        """The cells of an agent's own customers, summed over the days from `first` until before `after`."""
        known = self._merged.get((first, after, path))
        if known is not None:
            return known
        days = [sheet for day in range(first, after) if (sheet := self._sheet(day, path))]
        return days[0] if len(days) == 1 else merge(days)

    def week_at(self, at_ms: int) -> int:
        """The first day of the week of a moment that has not been closed: of a coming week, or else the running one."""
        day = self._day(at_ms)
        if day < self.running.week_end:
            return self.running.week
        return max(self.periods.first("week", day), self.running.week_end)

    def running_week(self) -> dict[str, Total]:
        """Revenue, handle and players of each agent's own customers in the running week as it stands; nothing else."""
        first, after = self.running.week, self.running.week_end
        totals: dict[str, Total] = {}
        for path, leaf in self.leaves.items():
            revenue = handle = players = 0
            for account in leaf.accounts.values():
                placed = 0
                for day, kept in account.days.items():
                    if first <= day < after:
                        revenue += kept.row.revenue
                        handle += kept.row.handle
                        placed += kept.row.placed
                players += placed > 0
            totals[path] = Total(revenue=revenue, handle=handle, players=players)
        return totals

    def total_paths(self, kind: PeriodKind, first: int) -> list[str]:
        """The agents (and the house) with something in an ended period, sorted."""
        return self._totals.paths(kind, first)

    def total(self, kind: PeriodKind, first: int, path: str) -> Total | None:
        """An ended period of an agent's own customers."""
        return self._totals.get(kind, first, path)

    def scope_totals(self, period: Period) -> dict[str, Total]:
        """An ended period of every scope that had something in it."""
        totals: dict[str, Total] = {}
        for path in self.total_paths(period.kind, period.first):
            own = self.total(period.kind, period.first, path)
            if own is None:
                continue
            for scope in ancestors(path):
                into = totals.get(scope)
                if into is None:
                    into = totals[scope] = Total()
                into.add(own)
                into.players += own.players
                into.top += own.top
        for total in totals.values():
            total.top = most(total.top)
        self._count_once(period, totals)
        return totals

    def periods_of_week(self, first: int) -> list[Period]:
        """An ended week and, where it has ended too, the month in which the week ended."""
        week = self._totals.period("week", first)
        if week is None:
            return []
        month = self._totals.period("month", month_of(week.after - 1))
        return [week] if month is None else [week, month]

    # Facts.

    def _customer(self, fact: Fact) -> None:
        told = expect(fact, facts.Customer)
        if told.customer_id in self._homes:
            return  # it is told of again; what moves its balance comes as facts
        if fact.event.type == "customer.imported" and self._day(fact.at_ms) < self.running.restate_from:
            account = self._account_at(told.path, told.customer_id)
            self._touch(account)
            self._came_long_ago(account, told.balance_minor)
            return
        cell = self._cell(told.path, told.customer_id, fact, moved=told.balance_minor)
        cell.new += 1
        cell.opening += told.balance_minor
        self._leaf_day.opening += told.balance_minor

    def _customer_moved(self, fact: Fact) -> None:
        """The balance goes along; what the customer did stays with the agent it did it below."""
        told = expect(fact, facts.CustomerMoved)
        customer, at_ms = told.customer_id, fact.at_ms
        former = self._account_at(self._moved.get(customer) or told.before.path, customer)
        self._account_at(told.path, customer)
        self._moved.put(customer, told.path)
        self._belongs(customer, told.path)
        self._carry(former, former.balance, at_ms)

    def _belongs(self, customer: str, path: str) -> None:
        home = self.leaves[path].accounts[customer]
        for each in self._homes[customer]:
            account = self.leaves[each].accounts[customer]
            account.home = home if account is not home else None

    def _carry(self, account: Account, amount: int, at_ms: int) -> None:
        """A part of a balance belongs to where the customer is now."""
        home = account.home
        if home is None or not amount:
            return
        for one, moved in ((account, -amount), (home, amount)):
            self._elsewhere(one, at_ms, moved=moved, counts=False).opening += moved
            self._leaf_day.opening += moved

    def _customer_renamed(self, fact: Fact) -> None:
        """All that is kept of a customer is kept under its new code; what is archived stays as it was said."""
        told = expect(fact, facts.CustomerRenamed)
        before, customer = told.before, told.customer_id
        moved = self._moved.pop(before)
        for path in sorted(self._homes.pop(before, ())):
            leaf = self.leaves[path]
            former = leaf.accounts.pop(before)
            account = self._account(leaf, customer)
            account.before = former.before
            self._befores.put(account.key, former.before)
            self._befores.pop(former.key)
            for day, kept in sorted(former.days.items()):
                self._cells.remove(kept)
                renamed = account.days[day] = Kept(f"{day}|{account.key}", kept.row)
                self._cells.put(renamed)
            for key, late in sorted(self._late):
                day_text, _, scope = key.partition("|")
                if scope == former.key:
                    self._late.pop(key)
                    self._late.put(f"{day_text}|{account.key}", late)
            self._sheets.rename(path, before, customer)
            former.days, former.before, former.waits = {}, 0, False  # it is touched anew: its documents go
            self._touch(former)
            self._touch(account)
        if moved is not None:
            self._moved.put(customer, moved)
            self._belongs(customer, moved)

    def _came_long_ago(self, account: Account, balance: int) -> None:
        """A customer of before the weeks that are kept, or of nobody knows when, is no newcomer."""
        account.before += balance
        account.leaf.before += balance
        self._befores.put(account.key, account.before)

    def _wager(self, fact: Fact) -> None:
        move = self._book.move
        told = move.opened or move.closed or move.fact
        leaf = self.leaves.get(told.path) or self._leaf(told.path)
        account = leaf.accounts.get(told.customer_id) or self._account(leaf, told.customer_id)
        start, end = self._today
        if start <= move.at_ms < end:
            kept = account.today or self._begin_cell(account)
            if kept.group != self._cells.group:
                self._cells.put(kept)
                if not account.waits or not leaf.waits:
                    self._touch(account)
            cell = kept.row
            account.money.revenue += move.revenue
        else:
            cell = self._elsewhere(account, move.at_ms, moved=-move.revenue)
            self._leaf_day.revenue += move.revenue
        if fact.future:
            cell.future += 1
        cell.revenue += move.revenue
        cell.handle += move.handle
        cell.settled_handle += move.settled_handle
        if account.home is not None:
            self._carry(account, -move.revenue, move.at_ms)
        if move.kind == "settled":
            cell.settled += 1
        else:
            self._count(cell, move)

    def _count(self, cell: Cell, move: Movement) -> None:
        """A wager by what happened to it, other than that it was settled."""
        kind, opened = move.kind, move.opened
        if opened is not None:
            if kind == "placed" or kind == "imported":
                if opened.risk >= cell.largest:
                    cell.accepted(opened.risk, opened.wager_id)
                cell.placed += 1
                cell.parlays += len(opened.legs) > 1 and opened.type in PLAIN
            elif kind == "modified":
                cell.modified += 1
        elif kind == "resettled":
            cell.resettled += 1
        elif kind == "cancelled":
            if isinstance(move.fact, facts.WagerCancelled) and move.fact.status == "voided":
                cell.voided += 1
            else:
                cell.cancelled += 1

    def _payment(self, fact: Fact) -> None:
        told = expect(fact, facts.Payment)
        amount = told.amount_minor
        into_balance = amount if told.direction == "deposit" else -amount
        back = fact.event.type == "payment.charged_back"
        moved = -into_balance if back else into_balance
        cell = self._cell(told.path, told.customer_id, fact, moved=moved)
        money = self._leaf_day
        if back:
            cell.chargebacks += into_balance
            money.chargebacks += into_balance
        elif told.direction == "deposit":
            cell.deposits += amount
            money.deposits += amount
        else:
            cell.withdrawals += amount
            money.withdrawals += amount

    def _adjusted(self, fact: Fact) -> None:
        told = expect(fact, facts.BalanceAdjusted)
        amount = told.amount_minor
        cell = self._cell(told.path, told.customer_id, fact, moved=amount)
        cell.adjustments += amount
        self._leaf_day.adjustments += amount
        if told.kind == BONUS:
            cell.bonuses += amount

    # Where a fact counts.

    def _cell(self, path: str, customer: str, fact: Fact, *, moved: int) -> Cell:
        cell = self._elsewhere(self._account_at(path, customer), fact.at_ms, moved=moved)
        cell.future += fact.future
        return cell

    def _elsewhere(self, account: Account, at_ms: int, *, moved: int, counts: bool = True) -> Cell:
        """The cell of any day, and in `_leaf_day` that of its agent; a balance of before the cells moves at once.

        Args:
            counts: whether it is a fact, which may be late, and not what follows from one.
        """
        self._touch(account)
        running = self.running
        day = self._day(at_ms)
        late = 0
        if running.day and day < running.restate_from:
            day, late = running.day, int(counts)
        if day < running.hot:
            cell = self._sheets.cell(day, account.leaf.path, account.customer)
            account.before += moved
            account.leaf.before += moved
            self._befores.put(account.key, account.before)
            self._leaf_day = Money()  # nobody reads an ended week's
        else:
            cell = self._cell_to_change(account, day)
            self._leaf_day = account.leaf.day(day)
        if day < running.day:
            key = f"{day}|{account.key}"
            known = self._late.get(key)
            self._late.put(
                key,
                Late(
                    bool(moved) or (known is not None and known.moved),
                    *running.week_of(day),
                    self.before_ms if known is None else known.since_ms,
                ),
            )
        cell.late += late
        return cell

    def _touch(self, account: Account) -> None:
        if not account.waits:
            account.waits = True
            self.touched.append(account)
        leaf = account.leaf
        if not leaf.waits:
            leaf.waits = True
            self.touched_leaves.append(leaf)

    def _day(self, at_ms: int) -> int:
        """The day that holds a moment; one that has ended does not begin again because settings changed."""
        start, end, day = self._span
        if not start <= at_ms < end:
            day = self.periods.day(at_ms)
            self._span = (self.periods.starts_ms(day), self.periods.starts_ms(day + 1), day)
        return max(day, self.running.day) if at_ms >= self.running.day_ms else min(day, max(self.running.day - 1, 0))

    def _leaf(self, path: str) -> Leaf:
        leaf = self.leaves.get(path)
        if leaf is None:
            leaf = self.leaves[path] = Leaf(path)
        return leaf

    def _account(self, leaf: Leaf, customer: str, *, load: bool = False) -> Account:
        """A new account."""
        account = leaf.accounts[customer] = Account(leaf, customer)
        self._homes[customer] = (*self._homes.get(customer, ()), leaf.path)
        if not load:
            self._befores.put(account.key, 0)
        return account

    def _account_at(self, path: str, customer: str) -> Account:
        leaf = self._leaf(path)
        return leaf.accounts.get(customer) or self._account(leaf, customer)

    def _begin_cell(self, account: Account) -> Kept[Cell]:
        """The account's cell of the running day."""
        day = self.running.day
        account.today = self._cell_of(account, day)
        account.money = account.leaf.day(day)
        return account.today

    def _cell_of(self, account: Account, day: int) -> Kept[Cell]:
        """The cell of a day that has cells; it is there from now on."""
        kept = account.days.get(day)
        if kept is None:
            kept = account.days[day] = Kept(f"{day}|{account.key}", Cell())
            account.leaf.day(day)  # the agent has something on this day
        return kept

    def _cell_to_change(self, account: Account, day: int) -> Cell:
        kept = self._cell_of(account, day)
        if kept.group != self._cells.group:
            self._cells.put(kept)
        return kept.row

    def _enter_day(self) -> None:
        running = self.running
        self._today = (running.day_ms, self.periods.starts_ms(running.day + 1)) if running.day else (0, 0)
        for account in self.accounts():
            account.today = None

    def _gather_stray(self, today: int) -> None:
        """At the first watermark: what lies before the weeks that are kept, or in the future, counts today."""
        for _, leaf in sorted(self.leaves.items()):
            for _, account in sorted(leaf.accounts.items()):
                for day in sorted(day for day in account.days if day < self.running.weeks[0] or day > today + 1):
                    stray = account.days.pop(day)
                    self._cells.remove(stray)
                    money = leaf.days.pop(day, None)
                    if stray.row.new and day < self.running.weeks[0]:
                        self._came_long_ago(account, stray.row.opening)
                        if money is not None:
                            money.opening -= stray.row.opening
                        stray.row.opening = stray.row.new = 0
                        if stray.row == Cell():
                            if money is not None and any(day in each.days for each in leaf.accounts.values()):
                                leaf.days[day] = money  # of the others on that day
                            continue
                    cell = self._cell_to_change(account, today)
                    cell.add(stray.row)
                    cell.late += 1
                    if money is not None:
                        leaf.day(today).add(money)

    # At a flush.

    def _sheet(self, day: int, path: str) -> Sheet:
        if day < self.running.hot:
            return self._sheets.get(day, path)
        leaf = self.leaves.get(path)
        accounts = leaf.accounts.items() if leaf is not None else ()
        return {customer: account.days[day].row for customer, account in accounts if day in account.days}

    def _put_away(self) -> None:
        """The cells of ended weeks become sheets; what can no longer be restated is dropped."""
        running = self.running
        running.forget()
        kept_from = month_of(running.known_from)
        for _, leaf in sorted(self.leaves.items()):
            days: dict[int, Sheet] = {}
            for customer, account in sorted(leaf.accounts.items()):
                moved = 0
                for day in sorted(day for day in account.days if day < running.hot):
                    kept = account.days.pop(day)
                    days.setdefault(day, {})[customer] = kept.row
                    self._cells.remove(kept)
                    moved += kept.row.moved
                if moved:
                    account.before += moved
                    leaf.before += moved
                    self._befores.put(account.key, account.before)
            for day, sheet in sorted(days.items()):
                leaf.days.pop(day, None)
                self._sheets.put(day, leaf.path, sheet)
        self._row.put("now", running)
        self._sheets.drop(kept_from)
        self._totals.drop(kept_from)

    def _end(self) -> None:
        """The periods that have ended since the last flush, with their totals."""
        if self._ending is None:
            raise AssertionError("no day has ended")
        (since, until), self._ending = self._ending, None
        weeks, self._ending_weeks = self._ending_weeks, []
        days = self._days_with_cells(since, until)
        spans: list[tuple[PeriodKind, int, int]] = [("day", day, day + 1) for day in days]
        months = dict.fromkeys(month_of(day) for day in [*days, since] if month_of(day) < month_of(until))
        for first, after in weeks:
            spans.append(("week", first, after))
        spans += [("month", first, month_after(first)) for first in sorted(months)]
        for kind, first, after in spans:
            paths = self._paths_between(first, after)
            if not paths:
                continue
            period = self.periods.between(kind, first, after)
            self._totals.end(period)
            self.ended.append(period)
            for path in paths:
                self._put_total(period, path)
        for day in days:  # what came late for a day that ends only now is in it
            for key in sorted(key for key, _ in self._late if key.startswith(f"{day}|")):
                self._late.pop(key)
        if weeks:
            self.running.hot_next, self.running.known_from = self.running.week, self.running.restate_from
            self._row.put("now", self.running)

    def _days_with_cells(self, since: int, until: int) -> list[int]:
        return sorted({day for leaf in self.leaves.values() for day in leaf.days if since <= day < until})

    def _paths_between(self, first: int, after: int) -> list[str]:
        hot = self.running.hot
        paths = {path for day in range(first, min(after, hot)) for path in self._sheets.paths(day)}
        paths |= {leaf.path for leaf in self.leaves.values() if any(first <= day < after for day in leaf.days)}
        return sorted(paths)

    def _put_total(self, period: Period, path: str) -> None:
        sheet = self.sheet(period.first, period.after, path)
        if period.kind != "day" and len(self._merged) < MERGED_MAX:
            self._merged[period.first, period.after, path] = sheet
        self._totals.put(period, path, total_of(path, sheet))

    def _restate(self) -> None:
        """Work out anew the totals into which facts came late."""
        found: dict[tuple[int, int], tuple[Period, dict[str, dict[str, bool]]]] = {}
        for key, late in sorted(self._late):
            text, _, scope = key.partition("|")
            if self._ending is not None and int(text) >= self._ending[0]:
                continue
            path, _, customer = scope.rpartition("/@")
            for period in self._ended_periods(int(text), late):
                place = (KINDS.index(period.kind), period.first)
                customers = found.setdefault(place, (period, {}))[1].setdefault(path or "/", {})
                customers[customer] = customers.get(customer, False) or late.moved
            self._late.pop(key)
        for place in sorted(found):
            period, paths = found[place]
            for path in paths:
                self._put_total(period, path)
            self.restated.append(Restated(period, paths))

    def _ended_periods(self, day: int, late: Late) -> Iterator[Period]:
        """The periods of a day that had ended before this group."""
        now = self._ending[0] if self._ending is not None else self.running.day
        spans: list[tuple[PeriodKind, int, int]] = [("day", day, day + 1), ("week", late.week, late.after)]
        spans.append(("month", month_of(day), month_after(day)))
        for kind, first, after in spans:
            if after > now:
                continue
            period = self._totals.period(kind, first)
            if period is None:
                period = self.periods.between(kind, first, after)
                self._totals.end(period)
            yield period

    def _count_once(self, period: Period, totals: dict[str, Total]) -> None:
        """A customer who wagered below several agents is one player where they meet."""
        for customer, homes in self._homes.items():
            if len(homes) == 1:
                continue
            met: dict[str, int] = {}
            for path in homes:
                cell = self.sheet(period.first, period.after, path).get(customer)
                if cell is not None and cell.placed:
                    for scope in ancestors(path):
                        met[scope] = met.get(scope, 0) + 1
            for scope, times in met.items():
                totals[scope].players -= times - 1

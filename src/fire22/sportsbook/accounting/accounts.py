"""Every account of the day book: the cells of its days, and where in them a fact counts."""

from collections.abc import Callable, Iterator
from typing import Final

from fire22.flows.base import Fact, Table
from fire22.flows.kept import Kept, KeptRows
from fire22.sportsbook.accounting.customer_day import AgentDay, CustomerDay, Total, merge
from fire22.sportsbook.accounting.day_accounts import Account, AgentAccounts, BalanceMoves
from fire22.sportsbook.accounting.late_facts import LateFacts
from fire22.sportsbook.accounting.open_periods import OpenPeriods
from fire22.sportsbook.accounting.past_days import PastDays
from fire22.sportsbook.betting.periods import Periods
from fire22.sportsbook.betting.settings import BookSettings

JOURNAL_BYTES: Final = 2 << 20  # some 20,000 cells


class Accounts:
    """Kept by the day book.

    Attributes:
        leaves: of each agent's path.
        homes: below which agents a customer has accounts.
        agent_day: of the cell that was found last, the same day of its agent.
        today: the running day's bounds, ms.

    Args:
        before_ms: the watermark without the facts of the running group.
    """

    def __init__(self, late: LateFacts, before_ms: Callable[[], int]) -> None:
        self.leaves: dict[str, AgentAccounts] = {}
        self.homes: dict[str, tuple[str, ...]] = {}
        self.running = OpenPeriods()
        self.late = late
        self.periods = BookSettings().periods
        self.touched: list[Account] = []
        self.touched_leaves: list[AgentAccounts] = []
        self.cells: KeptRows[CustomerDay] = KeptRows("cell", CustomerDay, JOURNAL_BYTES)
        self.sheets = PastDays()
        self.befores: Table[int] = Table("before", int)
        self.moved: Table[str] = Table("moved", str)  # where the balance of a customer belongs that was moved
        self.today = (0, 0)
        self._before_ms = before_ms
        self.agent_day = BalanceMoves()
        self._span = (0, 0, 0)  # another day's bounds, ms, and which

    def __iter__(self) -> Iterator[Account]:
        return (account for leaf in self.leaves.values() for account in leaf.accounts.values())

    def configure(self, periods: Periods) -> None:
        """Take the days that hold from here on."""
        self.periods = periods
        self._span = (0, 0, 0)
        self.enter_day()

    def loaded(self, running: OpenPeriods) -> None:
        """Derive accounts and agents' days from the kept rows."""
        self.running = running
        for key, before in self.befores:
            scope, _, customer = key.rpartition("/@")
            account = self.account(self.leaf(scope or "/"), customer, load=True)
            account.before = before
            account.leaf.before += before
        for customer, path in self.moved:
            self.belongs(customer, path)
        self.cells.restore(self._restored)
        self.sheets.loaded()
        self.enter_day()

    def _restored(self, key: str, cell: CustomerDay) -> Kept[CustomerDay]:
        day, _, scope = key.partition("|")
        path, _, customer = scope.rpartition("/@")
        account = self.leaves[path or "/"].accounts[customer]
        kept = account.days[int(day)] = Kept(key, cell)
        account.leaf.day(int(day)).add(cell)
        return kept

    @property
    def changes(self) -> int:
        """Counts the commit groups in which a cell changed, up to this one."""
        return self.cells.group

    def take_touched(self) -> tuple[list[Account], list[AgentAccounts]]:
        """The accounts and the agents' paths that were touched since the last call and did not wait before."""
        touched, leaves = self.touched, self.touched_leaves
        self.touched, self.touched_leaves = [], []
        return touched, leaves

    def is_too_late(self, at_ms: int) -> bool:
        """Whether a moment's day can no longer be restated, so that what happened then counts on the running day."""
        return bool(self.running.day) and self.day(at_ms) < self.running.restate_from

    def week_at(self, at_ms: int) -> int:
        """The first day of the week of a moment that has not been closed: of a coming week, or else the running one."""
        day = self.day(at_ms)
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

    def sheet(self, first: int, after: int, path: str) -> AgentDay:
        """The cells of an agent's own customers, summed over the days from `first` until before `after`."""
        days = [sheet for day in range(first, after) if (sheet := self.sheet_of(day, path))]
        return days[0] if len(days) == 1 else merge(days)

    # Accounts.

    def leaf(self, path: str) -> AgentAccounts:
        """An agent's path."""
        leaf = self.leaves.get(path)
        if leaf is None:
            leaf = self.leaves[path] = AgentAccounts(path)
        return leaf

    def account(self, leaf: AgentAccounts, customer: str, *, load: bool = False) -> Account:
        """A new account."""
        account = leaf.accounts[customer] = Account(leaf, customer)
        self.homes[customer] = (*self.homes.get(customer, ()), leaf.path)
        if not load:
            self.befores.put(account.key, 0)
        return account

    def account_at(self, path: str, customer: str) -> Account:
        """A customer below an agent, who is there from now on."""
        leaf = self.leaf(path)
        return leaf.accounts.get(customer) or self.account(leaf, customer)

    def belongs(self, customer: str, path: str) -> None:
        """The balance of a customer belongs below an agent, wherever its accounts are."""
        home = self.leaves[path].accounts[customer]
        for each in self.homes[customer]:
            account = self.leaves[each].accounts[customer]
            account.home = home if account is not home else None

    def carry(self, account: Account, amount: int, at_ms: int) -> None:
        """A part of a balance belongs to where the customer is now."""
        home = account.home
        if home is None or not amount:
            return
        for one, moved in ((account, -amount), (home, amount)):
            self.elsewhere(one, at_ms, moved=moved, counts=False).opening += moved
            self.agent_day.opening += moved

    def came_long_ago(self, account: Account, balance: int) -> None:
        """A customer of before the weeks that are kept, or of nobody knows when, is no newcomer."""
        account.before += balance
        account.leaf.before += balance
        self.befores.put(account.key, account.before)

    def touch(self, account: Account) -> None:
        """An account and its agent's figures change."""
        if not account.waits:
            account.waits = True
            self.touched.append(account)
        leaf = account.leaf
        if not leaf.waits:
            leaf.waits = True
            self.touched_leaves.append(leaf)

    def rename(self, before: str, customer: str) -> None:
        """All that is kept of a customer is kept under its new code; what is archived stays as it was said."""
        moved = self.moved.pop(before)
        for path in sorted(self.homes.pop(before, ())):
            leaf = self.leaves[path]
            former = leaf.accounts.pop(before)
            account = self.account(leaf, customer)
            account.before = former.before
            self.befores.put(account.key, former.before)
            self.befores.pop(former.key)
            for day, kept in sorted(former.days.items()):
                self.cells.remove(kept)
                renamed = account.days[day] = Kept(f"{day}|{account.key}", kept.row)
                self.cells.put(renamed)
            self.late.rename(former.key, account.key)
            self.sheets.rename(path, before, customer)
            former.days, former.before, former.waits = {}, 0, False  # it is touched anew: its documents go
            self.touch(former)
            self.touch(account)
        if moved is not None:
            self.moved.put(customer, moved)
            self.belongs(customer, moved)

    # Where a fact counts.

    def cell(self, path: str, customer: str, fact: Fact, *, moved: int) -> CustomerDay:
        """The cell that a fact counts in; see `elsewhere`."""
        cell = self.elsewhere(self.account_at(path, customer), fact.at_ms, moved=moved)
        cell.future += fact.future
        return cell

    def elsewhere(self, account: Account, at_ms: int, *, moved: int, counts: bool = True) -> CustomerDay:
        """The cell of any day, and in `agent_day` that of its agent; a balance of before the cells moves at once.

        Args:
            counts: whether it is a fact, which may be late, and not what follows from one.
        """
        self.touch(account)
        running = self.running
        day = self.day(at_ms)
        late = 0
        if running.day and day < running.restate_from:
            day, late = running.day, int(counts)
        if day < running.hot:
            cell = self.sheets.cell(day, account.leaf.path, account.customer)
            account.before += moved
            account.leaf.before += moved
            self.befores.put(account.key, account.before)
            self.agent_day = BalanceMoves()  # nobody reads an ended week's
        else:
            cell = self._cell_to_change(account, day)
            self.agent_day = account.leaf.day(day)
        if day < running.day:
            week = running.week_of(day)
            self.late.add(day, account.key, moved=bool(moved), week=week, before_ms=self._before_ms())
        cell.late += late
        return cell

    def day(self, at_ms: int) -> int:
        """The day that holds a moment; one that has ended does not begin again because settings changed."""
        start, end, day = self._span
        if not start <= at_ms < end:
            day = self.periods.day(at_ms)
            self._span = (self.periods.starts_ms(day), self.periods.starts_ms(day + 1), day)
        return max(day, self.running.day) if at_ms >= self.running.day_ms else min(day, max(self.running.day - 1, 0))

    def begin_cell(self, account: Account) -> Kept[CustomerDay]:
        """The account's cell of the running day."""
        day = self.running.day
        account.today = self._cell_of(account, day)
        account.money = account.leaf.day(day)
        return account.today

    def _cell_of(self, account: Account, day: int) -> Kept[CustomerDay]:
        """The cell of a day that has cells; it is there from now on."""
        kept = account.days.get(day)
        if kept is None:
            kept = account.days[day] = Kept(f"{day}|{account.key}", CustomerDay())
            account.leaf.day(day)  # the agent has something on this day
        return kept

    def _cell_to_change(self, account: Account, day: int) -> CustomerDay:
        kept = self._cell_of(account, day)
        if kept.group != self.cells.group:
            self.cells.put(kept)
        return kept.row

    def enter_day(self) -> None:
        """Another day runs, or its bounds are others."""
        running = self.running
        self.today = (running.day_ms, self.periods.starts_ms(running.day + 1)) if running.day else (0, 0)
        for account in self:
            account.today = None

    def gather_stray(self, today: int) -> None:
        """At the first watermark: what is of before the weeks that are kept is of no period that is told from now on.

        It is in the balances, and in the month that can still be restated. What is from the future counts today.
        """
        first = self.running.weeks[0]
        for _, leaf in sorted(self.leaves.items()):
            sheets: dict[int, AgentDay] = {}
            for customer, account in sorted(leaf.accounts.items()):
                if not account.days or (min(account.days) >= first and max(account.days) <= today + 1):
                    continue
                for day in sorted(day for day in account.days if day < first):
                    old = account.days.pop(day)
                    self.cells.remove(old)
                    self.came_long_ago(account, old.row.moved)
                    old.row.opening = old.row.new = 0
                    if day >= self.running.kept_from and old.row != CustomerDay():
                        sheets.setdefault(day, {})[customer] = old.row
                for day in sorted(day for day in account.days if day > today + 1):
                    stray = account.days.pop(day)
                    self.cells.remove(stray)
                    cell = self._cell_to_change(account, today)
                    cell.add(stray.row)
                    cell.late += 1
                    money = leaf.days.pop(day, None)
                    if money is not None:
                        leaf.day(today).add(money)
            for day in [day for day in leaf.days if day < first]:
                del leaf.days[day]
            for day, sheet in sorted(sheets.items()):
                self.sheets.put(day, leaf.path, sheet)

    # Days that are over.

    def sheet_of(self, day: int, path: str) -> AgentDay:
        """The cells of an agent's own customers on a day."""
        if day < self.running.hot:
            return self.sheets.get(day, path)
        leaf = self.leaves.get(path)
        accounts = leaf.accounts.items() if leaf is not None else ()
        return {customer: account.days[day].row for customer, account in accounts if day in account.days}

    def put_away(self, kept_from: int) -> None:
        """The cells of ended weeks become sheets.

        Args:
            kept_from: what is of days before it is dropped.
        """
        running = self.running
        for _, leaf in sorted(self.leaves.items()):
            days: dict[int, AgentDay] = {}
            for customer, account in sorted(leaf.accounts.items()):
                if not account.days or min(account.days) >= running.hot:
                    continue
                moved = 0
                for day in sorted(day for day in account.days if day < running.hot):
                    kept = account.days.pop(day)
                    days.setdefault(day, {})[customer] = kept.row
                    self.cells.remove(kept)
                    moved += kept.row.moved
                if moved:
                    account.before += moved
                    leaf.before += moved
                    self.befores.put(account.key, account.before)
            for day, sheet in sorted(days.items()):
                leaf.days.pop(day, None)
                self.sheets.put(day, leaf.path, sheet)
        self.sheets.drop(kept_from)

    def days_with_cells(self, since: int, until: int) -> list[int]:
        """The days from `since` until before `until` on which something happened; all of them have cells still."""
        return sorted({day for leaf in self.leaves.values() for day in leaf.days if since <= day < until})

    def paths_between(self, first: int, after: int) -> list[str]:
        """The agents with something in days from `first` until before `after`, sorted."""
        hot = self.running.hot
        paths = {path for day in range(first, min(after, hot)) for path in self.sheets.paths(day)}
        paths |= {leaf.path for leaf in self.leaves.values() if any(first <= day < after for day in leaf.days)}
        return sorted(paths)

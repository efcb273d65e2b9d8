"""The day book: what each customer did on each business day, below each agent.

Figures, commissions and reports are sums of it.

A fact counts on the day that holds its time. The watermark ends days, weeks and months. A fact that comes later, but
within the weeks that are kept (`restate_weeks`, and the running one), still counts on its own day, and its periods are
restated; one that is later still counts on the running day and is marked as late there. What a book held when it was
connected is no such fact: an open wager of before the kept weeks counts in no report and no commission, as it is in no
period of the key figures.

Days of the running week are cells, one row for each customer and day, so that a commit group writes what it touched.
When a week has ended, its cells are put together into one sheet for each agent and day, which stays encoded, also in
memory: 6,000 customers with action on each of 70 days are some 30 MB. What is older than a month that can be restated
is dropped. Of each ended period a total of each agent's own customers is kept, so that a late fact costs one agent's
sheets and not the whole tree's.

The flows after it read, in their flush: `due`, the `accounts`, and the `periods` that have ended or are restated.
"""

from typing import ClassVar, Final

import msgspec
from msgspec import Raw

from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.sportsbook.accounting.accounts import Accounts
from fire22.sportsbook.accounting.customer_day import CustomerDay
from fire22.sportsbook.accounting.ended_periods import EndedPeriods
from fire22.sportsbook.accounting.late_facts import LateFacts
from fire22.sportsbook.accounting.open_periods import OpenPeriods
from fire22.sportsbook.accounting.settings import FiguresSettings
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.periods import month_of
from fire22.sportsbook.betting.settings import BookSettings
from fire22.sportsbook.betting.wager_types import PLAIN
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.movement import MOVES, Movement

BONUS: Final = "bonus"
REPORTS: Final = "reports"  # the topic that tells of ended periods


class Daybook(Flow):
    """Comes after the ledger, which judges payments, and before the flows that read it.

    Attributes:
        due: whether what follows from the days is said in this flush.
    """

    name: ClassVar[str] = "daybook"
    version: ClassVar[int] = 4

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.due = False
        self.settings = FiguresSettings()
        self._book = registry
        self._late = LateFacts()
        self.accounts = Accounts(self._late, lambda: self.before_ms)
        self.periods = EndedPeriods(self.accounts, self._late)
        self._row: Table[OpenPeriods] = Table("running", OpenPeriods)
        self._is_idle = False
        self._tells_late = False

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Cells, sheets, balances before them, totals of ended periods, what came late, the running day."""
        accounts = self.accounts
        return (
            *accounts.cells.tables,
            accounts.sheets.table,
            accounts.befores,
            *self.periods.tables,
            self._late.table,
            accounts.moved,
            self._row,
        )

    def configure(self, settings: Raw) -> None:
        """Take the settings that hold from here on."""
        self.settings = msgspec.json.decode(settings, type=FiguresSettings)
        self.accounts.configure(msgspec.json.decode(settings, type=BookSettings).periods)

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
        self.accounts.loaded(self._row.get("now") or OpenPeriods())
        self.periods.loaded()
        self._tell_late()

    def clock(self) -> None:
        """Days, weeks and months may have ended."""
        accounts, running, weeks = self.accounts, self.accounts.running, self.settings.restate_weeks
        periods = accounts.periods
        day = periods.day(self.watermark_ms)
        if not running.day:
            running.begin(day, periods, weeks)
            accounts.gather_stray(day)
            self.periods.end_days(running.weeks[0], day, [running.week_of(first) for first in running.weeks[:-1]])
        elif day > running.day:
            since, busy = running.day, accounts.days_with_cells(running.day, day)
            self.periods.end_days(since, day, running.advance(day, periods, weeks, busy))
        else:
            return
        self._row.put("now", running)
        accounts.enter_day()

    def idle(self) -> None:
        """What follows from the days is due."""
        self._is_idle = True

    def flush(self) -> None:
        """Work out what has ended and what is restated; put away the cells of ended weeks."""
        accounts, periods = self.accounts, self.periods
        accounts.sheets.settle()
        periods.begin_flush()
        self.due = False
        running = self.accounts.running
        if running.day and (running.hot_next > running.hot or running.known_from > running.weeks[0]):
            running.forget()
            kept_from = month_of(running.known_from)
            accounts.put_away(kept_from)
            self._row.put("now", running)
            periods.drop(kept_from)
        if running.day:
            self._look_back()
        self._is_idle = False
        accounts.cells.flush()
        self._tell_late()

    def _tell_late(self) -> None:
        """Periods that have ended are as of what came late for them and is not restated yet."""
        waits = len(self._late) > 0
        if waits and not self._tells_late:
            self.out.waits(REPORTS, "", self._late.since_ms)
        elif self._tells_late and not waits:
            self.out.settled(REPORTS, "")
        self._tells_late = waits

    def _look_back(self) -> None:
        running, periods = self.accounts.running, self.periods
        interval_ms = 0 if self._is_idle else self.settings.interval_ms
        if periods.is_ending or self.watermark_ms - running.said_ms >= interval_ms:
            self.due = True
            running.said_ms = self.watermark_ms
            self._row.put("now", running)
        if self.due and len(self._late):
            periods.restate()
        if periods.is_ending and periods.end():
            running.hot_next, running.known_from = running.week, running.restate_from
            self._row.put("now", running)

    # Facts.

    def _customer(self, fact: Fact) -> None:
        told, accounts = expect(fact, facts.Customer), self.accounts
        if told.customer_id in accounts.homes:
            return  # it is told of again; what moves its balance comes as facts
        if fact.event.type == "customer.imported" and accounts.day(fact.at_ms) < accounts.running.restate_from:
            account = accounts.account_at(told.path, told.customer_id)
            accounts.touch(account)
            accounts.came_long_ago(account, told.balance_minor)
            return
        cell = accounts.cell(told.path, told.customer_id, fact, moved=told.balance_minor)
        cell.new += 1
        cell.opening += told.balance_minor
        accounts.agent_day.opening += told.balance_minor

    def _customer_moved(self, fact: Fact) -> None:
        """The balance goes along; what the customer did stays with the agent it did it below."""
        told, accounts = expect(fact, facts.CustomerMoved), self.accounts
        customer, at_ms = told.customer_id, fact.at_ms
        former = accounts.account_at(accounts.moved.get(customer) or told.before.path, customer)
        accounts.account_at(told.path, customer)
        accounts.moved.put(customer, told.path)
        accounts.belongs(customer, told.path)
        accounts.carry(former, former.balance, at_ms)

    def _customer_renamed(self, fact: Fact) -> None:
        renamed = expect(fact, facts.CustomerRenamed)
        self.accounts.rename(renamed.before, renamed.customer_id)

    def _wager(self, fact: Fact) -> None:
        move, accounts = self._book.move, self.accounts
        if move.kind == "imported" and accounts.is_too_late(move.at_ms):
            return
        told = move.opened or move.closed or move.fact
        leaf = accounts.leaves.get(told.path) or accounts.leaf(told.path)
        account = leaf.accounts.get(told.customer_id) or accounts.account(leaf, told.customer_id)
        start, end = accounts.today
        if start <= move.at_ms < end:
            kept = account.today or accounts.begin_cell(account)
            if kept.group != accounts.cells.group:
                accounts.cells.put(kept)
                if not account.waits or not leaf.waits:
                    accounts.touch(account)
            cell = kept.row
            account.money.revenue += move.revenue
        else:
            cell = accounts.elsewhere(account, move.at_ms, moved=-move.revenue)
            accounts.agent_day.revenue += move.revenue
        if fact.future:
            cell.future += 1
        cell.revenue += move.revenue
        cell.handle += move.handle
        cell.settled_handle += move.settled_handle
        if account.home is not None:
            accounts.carry(account, -move.revenue, move.at_ms)
        if move.kind == "settled":
            cell.settled += 1
        else:
            self._count(cell, move)

    def _count(self, cell: CustomerDay, move: Movement) -> None:
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
        cell = self.accounts.cell(told.path, told.customer_id, fact, moved=moved)
        money = self.accounts.agent_day
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
        cell = self.accounts.cell(told.path, told.customer_id, fact, moved=amount)
        cell.adjustments += amount
        self.accounts.agent_day.adjustments += amount
        if told.kind == BONUS:
            cell.bonuses += amount

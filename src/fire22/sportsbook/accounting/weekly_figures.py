"""The `figures` view: weekly figures by player and agent, as a back office reads them.

A scope (an agent's path, or `/`) has one document for each of its direct children, sub-agents (`agent:` and the last
part of the path, the sum of the sub-tree) and customers (`customer:<code>`), and one for itself under the empty key; a
customer's own scope has that one alone. Always: balance = carry + figure + payments + adjustments.

Documents are said with the watermark and at most `documents_max` at a time, so that a burst, or a new week, costs each
of many customers a document in the next minute rather than all at once. Up to half of them are sums of sub-trees,
those nearest the root first, so that a total does not lag behind its lines; else those that have waited longest come
first. When a week has ended, everybody's figures of it are archived; late facts restate them, with the balances that
follow.
"""

from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec
from msgspec import Raw

from fire22.core.message import Json
from fire22.core.scope import ROOT, ancestors
from fire22.core.topic import Kind, Topic
from fire22.flows.backlog import Backlog
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.sportsbook.accounting.customer_day import ActivitySums
from fire22.sportsbook.accounting.day_accounts import Account, AgentAccounts, BalanceMoves
from fire22.sportsbook.accounting.daybook import Daybook
from fire22.sportsbook.accounting.ended_periods import Restated
from fire22.sportsbook.accounting.revisions import Revisions
from fire22.sportsbook.accounting.settings import FiguresSettings
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.money import Major
from fire22.sportsbook.betting.periods import Period, key_of, weekday_of
from fire22.sportsbook.registry.flow import Registry

# Of a document.
FIELDS: Final = (
    "week", "agentId", "customerId", "name", "carry", "days", "figure", "deposits", "withdrawals",
    "chargebacks", "payments", "adjustments", "balance",
)  # fmt: skip

TOPIC = "figures"


class Week:
    """A week of a customer, or the sum of several; minor units. `carry` is the balance that the week begins with."""

    __slots__ = ("adjustments", "carry", "chargebacks", "days", "deposits", "withdrawals")

    def __init__(self, carry: int, days: int) -> None:
        self.carry = carry
        self.days = [0] * days
        self.deposits = self.withdrawals = self.chargebacks = self.adjustments = 0

    def take(self, at: int, what: ActivitySums | BalanceMoves) -> None:
        """Take in a day, the `at`-th of the week."""
        self.days[at] -= what.revenue
        self.deposits += what.deposits
        self.withdrawals += what.withdrawals
        self.chargebacks += what.chargebacks
        self.adjustments += what.adjustments
        self.carry += what.opening

    def add(self, other: "Week") -> None:
        """Take in the same week of somebody else."""
        self.carry += other.carry
        self.days = [one + two for one, two in zip(self.days, other.days, strict=True)]
        self.deposits += other.deposits
        self.withdrawals += other.withdrawals
        self.chargebacks += other.chargebacks
        self.adjustments += other.adjustments

    @property
    def payments(self) -> int:
        """What the customers paid in, less what was paid out."""
        return self.deposits - self.withdrawals - self.chargebacks

    @property
    def balance(self) -> int:
        """At the end."""
        return self.carry + sum(self.days) + self.payments + self.adjustments

    def document(self, first: int, named: dict[str, Json], major: Major) -> dict[str, Json]:
        """As it is said; major units."""
        return {
            "week": key_of("week", first),
            **named,
            "carry": major(self.carry),
            "days": {weekday_of(first + at): major(figure) for at, figure in enumerate(self.days)},
            "figure": major(sum(self.days)),
            "deposits": major(self.deposits),
            "withdrawals": major(self.withdrawals),
            "chargebacks": major(self.chargebacks),
            "payments": major(self.payments),
            "adjustments": major(self.adjustments),
            "balance": major(self.balance),
        }


class Figures(Flow):
    """Comes after the day book."""

    name: ClassVar[str] = "figures"
    version: ClassVar[int] = 4

    def __init__(self, registry: Registry, daybook: Daybook) -> None:
        super().__init__()
        self.topics = (Topic(TOPIC, Kind.VIEW, archived=True, fields=FIELDS),)
        self._book = registry
        self._daybook = daybook
        self._documents_max = FiguresSettings().documents_max
        self._unsaid: Table[int] = Table("unsaid", int)
        self._revision_rows: Table[int] = Table("revision", int)
        self._revisions = Revisions(self._revision_rows)
        self._queue: dict[int, list[str]] = {}  # by since when; a key that was said meanwhile may be left in it
        self._agents_unsaid: dict[str, None] = {}
        self._backlog = Backlog(TOPIC)
        self._by_key: dict[str, Account] = {}
        self._week = 0

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Whose documents have changed, and since when; what was restated."""
        return (self._unsaid, self._revision_rows)  # type: ignore[return-value]

    def configure(self, settings: Raw) -> None:
        """Take the settings that hold from here on."""
        self._documents_max = msgspec.json.decode(settings, type=FiguresSettings).documents_max

    def handlers(self) -> dict[str, Handler]:
        """Agents, so that each has its documents from the start."""
        return dict.fromkeys(("agent.created", "agent.imported", "agent.changed"), self._agent)

    def loaded(self) -> None:
        """Derive the queue."""
        self._by_key = {account.key: account for account in self._daybook.accounts}
        for key, since in self._unsaid:
            self._enqueue(key, since)
            self._owe(key, since)
        self._backlog.tell(self.out)
        running = self._daybook.accounts.running
        self._week = running.week if running.day else 0

    def flush(self) -> None:
        """Queue what the group has changed; archive weeks that have ended; say what is due."""
        accounts, leaves = self._daybook.accounts.take_touched()
        for account in accounts:
            if account.leaf.accounts.get(account.customer) is account:
                self._by_key[account.key] = account
            else:
                self._by_key.pop(account.key, None)  # it has another name now
            self._mark(account.key)
        for leaf in leaves:
            for scope in ancestors(leaf.path):
                self._mark(scope)
        if self._daybook.due:
            self._say_due()
        self._backlog.tell(self.out)

    def _say_due(self) -> None:
        restated = [one for one in self._daybook.periods.restated if one.period.kind == "week"]
        ended = [period for period in self._daybook.periods.ended if period.kind == "week"]
        if restated:
            self._restate(restated, [period.first for period in ended])
        for period in ended:
            self._archive(period)
        if self._daybook.accounts.running.week != self._week:
            self._roll_over()
        self._say()

    # What is said.

    def _agent(self, fact: Fact) -> None:
        self._mark(expect(fact, facts.Agent).path)

    def _mark(self, key: str) -> None:
        if self._unsaid.get(key) is None:
            since = self.before_ms
            self._unsaid.put(key, since)
            self._enqueue(key, since)
            self._owe(key, since)

    def _owe(self, key: str, since: int) -> None:
        for scope in _shown_at(key):
            self._backlog.add(scope, since)

    def _unmark(self, key: str) -> None:
        since = self._unsaid.pop(key)
        if since is not None:
            for scope in _shown_at(key):
                self._backlog.remove(scope, since)

    def _enqueue(self, key: str, since: int) -> None:
        self._queue.setdefault(since, []).append(key)
        if not is_customer(key):
            self._agents_unsaid[key] = None

    def _roll_over(self) -> None:
        self._week = self._daybook.accounts.running.week
        self._revisions.forget(self._daybook.accounts.running.restate_from)
        # Also those of customers who came to an agent and have done nothing there yet.
        self._by_key = {account.key: account for account in self._daybook.accounts}
        for key in sorted(self._by_key):
            self._by_key[key].waits = True
            self._mark(key)
        for scope in self._scopes():
            self._mark(scope)

    def _scopes(self) -> list[str]:
        known = {path for path, _ in self._book.agents()}
        return sorted({ROOT, *known, *(scope for path in self._daybook.accounts.leaves for scope in ancestors(path))})

    def _say(self) -> None:
        taken = self._take(self._documents_max)
        if not taken:
            return
        running = self._daybook.accounts.running
        first, after = running.week, running.week_end
        weeks: dict[str, Week] = {}
        if not all(is_customer(key) for key in taken):
            weeks = self._scope_weeks(first, after)
        for key in taken:
            account = self._by_key.get(key)
            if not is_customer(key):
                self._say_scope(key, first, weeks.get(key) or Week(0, after - first))
            elif account is None:
                self._say_customer(key, None)
            else:
                account.waits = False
                self._say_account(account, first, after)
        for leaf in self._daybook.accounts.leaves.values():
            leaf.waits = False

    def _take(self, documents: int) -> list[str]:
        """Who comes now; each has two documents."""
        room = (documents + 1) // 2
        taken = sorted(self._agents_unsaid, key=lambda scope: (_depth(scope), scope))[: (room + 1) // 2]
        for key in taken:
            self._unmark(key)
        for since in sorted(self._queue):
            waiting = sorted(key for key in self._queue.pop(since) if self._unsaid.get(key) == since)
            left = room - len(taken)
            for key in waiting[:left]:
                self._unmark(key)
            taken += waiting[:left]
            if waiting[left:]:
                self._queue[since] = waiting[left:]
                break
        for key in taken:
            self._agents_unsaid.pop(key, None)
        return taken

    def _say_scope(self, scope: str, first: int, week: Week) -> None:
        at_ms = self.watermark_ms
        document = self._document(week, first, self._agent_named(scope))
        self.out.view(TOPIC, scope, "", "update", at_ms, document)
        if scope != ROOT:
            above = scope.rpartition("/")[0] or ROOT
            self.out.view(TOPIC, above, f"agent:{scope.rpartition('/')[2]}", "update", at_ms, document)

    def _say_account(self, account: Account, first: int, after: int) -> None:
        week = _account_week(account, first, after)
        document = None
        if week.carry or week.balance or any(first <= day < after for day in account.days):
            document = self._document(week, first, self._customer_named(account.customer))
        self._say_customer(account.key, document)

    def _say_customer(self, key: str, document: dict[str, Json] | None) -> None:
        path, _, customer = key.rpartition("/@")
        self.out.view(TOPIC, key, "", "update", self.watermark_ms, document)
        self.out.view(TOPIC, path or ROOT, f"customer:{customer}", "update", self.watermark_ms, document)

    def _agent_id(self, path: str) -> str:
        agent = self._book.agent(path)
        return agent.agent_id if agent is not None else path.rpartition("/")[2]

    def _agent_named(self, path: str) -> dict[str, Json]:
        agent = self._book.agent(path)
        if agent is None:
            return {} if path == ROOT else {"agentId": self._agent_id(path)}
        return {"agentId": agent.agent_id, "name": agent.name}

    def _document(self, week: Week, first: int, named: dict[str, Json]) -> dict[str, Json]:
        return week.document(first, named, self._book.money.major)

    def _customer_named(self, code: str) -> dict[str, Json]:
        customer = self._book.customer(code)
        return {"customerId": code, "name": customer.name} if customer is not None else {"customerId": code}

    # What is archived.

    def _archive(self, period: Period) -> None:
        """A week has ended."""
        first, after = period.first, period.after
        for scope, week in sorted(self._scope_weeks(first, after).items()):
            self._keep(scope, period.first, 1, self._document(week, first, self._agent_named(scope)))
        for key in sorted(self._by_key):
            account = self._by_key[key]
            week = _account_week(account, first, after)
            if week.carry or week.balance or any(first <= day < after for day in account.days):
                self._keep(key, first, 1, self._document(week, first, self._customer_named(account.customer)))

    def _restate(self, restated: list[Restated], ended: list[int]) -> None:
        """Ended weeks into which facts came late, and the balances of the weeks that follow them."""
        running = self._daybook.accounts.running
        weeks = {one.period.first: one.period.after for one in restated}
        weeks |= {week: running.week_of(week)[1] for week in running.weeks[:-1]}
        moved: dict[str, dict[str, None]] = {}
        for first in sorted(week for week in weeks if week not in ended):
            for one in restated:
                if one.period.first == first:
                    for path, customers in one.paths.items():
                        names = [customer for customer, moves in customers.items() if moves]
                        if names:
                            moved.setdefault(path, {}).update(dict.fromkeys(names))
            if moved:
                self._restate_week(first, weeks[first], moved)

    def _restate_week(self, first: int, after: int, moved: dict[str, dict[str, None]]) -> None:
        of_scopes = self._scope_weeks(first, after)
        for scope in sorted({scope for path in moved for scope in ancestors(path)}):
            revision = self._revisions.next(first, scope)
            self._keep(
                scope,
                first,
                revision,
                self._document(of_scopes[scope], first, self._agent_named(scope)),
            )
        for path in sorted(moved):
            leaf = self._daybook.accounts.leaves[path]
            for customer, week in self._past_weeks(leaf, sorted(moved[path]), first, after):
                key = leaf.accounts[customer].key
                revision = self._revisions.next(first, key)
                self._keep(key, first, revision, self._document(week, first, self._customer_named(customer)))

    def _keep(self, scope: str, first: int, revision: int, document: dict[str, Json]) -> None:
        self.out.archive(TOPIC, scope, key_of("week", first), revision, self.watermark_ms, document)

    # Sums.

    def _past_weeks(
        self, leaf: AgentAccounts, customers: Iterable[str], first: int, after: int
    ) -> list[tuple[str, Week]]:
        """An ended week of some of an agent's own customers."""
        hot = self._daybook.accounts.running.hot
        sheets = [(day, self._daybook.periods.sheet(day, day + 1, leaf.path)) for day in range(first, max(hot, after))]
        found: list[tuple[str, Week]] = []
        for customer in customers:
            account = leaf.accounts[customer]
            week = Week(account.before + _moved_before(account, first), after - first)
            for day, sheet in sheets:
                cell = sheet.get(customer)
                if cell is None:
                    continue
                if day < hot:
                    week.carry -= cell.moved
                if day < after:
                    week.take(day - first, cell)
            found.append((customer, week))
        return found

    def _scope_weeks(self, first: int, after: int) -> dict[str, Week]:
        """A week of every scope that has customers, summed up the tree."""
        weeks = {path: self._leaf_week(leaf, first, after) for path, leaf in self._daybook.accounts.leaves.items()}
        levels: dict[int, list[str]] = {}
        for path in weeks:
            levels.setdefault(_depth(path), []).append(path)
        for depth in range(max(levels, default=0), 0, -1):
            for path in levels.get(depth, ()):
                above = path.rpartition("/")[0] or ROOT
                if above not in weeks:
                    weeks[above] = Week(0, after - first)
                    levels.setdefault(depth - 1, []).append(above)
                weeks[above].add(weeks[path])
        return weeks

    def _leaf_week(self, leaf: AgentAccounts, first: int, after: int) -> Week:
        hot = self._daybook.accounts.running.hot
        week = Week(leaf.before, after - first)
        for day, money in leaf.days.items():
            if day < first:
                week.carry += _moved(money)
            elif day < after:
                week.take(day - first, money)
        for day in range(first, hot):
            total = self._daybook.periods.total("day", day, leaf.path)
            if total is None:
                continue
            week.carry -= total.moved
            if day < after:
                week.take(day - first, total)
        return week


def is_customer(scope: str) -> bool:
    """Whether a scope is a customer's own."""
    return "/@" in scope


def _shown_at(key: str) -> tuple[str, ...]:
    """Where an account or an agent has its documents: its own scope, and the one above."""
    return (key,) if key == ROOT else (key, key.rpartition("/")[0] or ROOT)


def _depth(path: str) -> int:
    return 0 if path == ROOT else path.count("/")


def _account_week(account: Account, first: int, after: int) -> Week:
    """A week that has cells of its own."""
    week = Week(account.before, after - first)
    for day, kept in account.days.items():
        if day < first:
            week.carry += kept.row.moved
        elif day < after:
            week.take(day - first, kept.row)
    return week


def _moved_before(account: Account, first: int) -> int:
    return sum(kept.row.moved for day, kept in account.days.items() if day < first)


def _moved(money: BalanceMoves) -> int:
    paid = money.deposits - money.withdrawals - money.chargebacks + money.adjustments
    return money.opening + paid - money.revenue

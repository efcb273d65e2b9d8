"""Who the day book keeps accounts of: customers below their agents, and the sums of an agent's own customers."""

from fire22.core.scope import customer_path
from fire22.flows.kept import Kept
from fire22.sportsbook.accounting.customer_day import ActivitySums, CustomerDay


class Account:
    """A customer below an agent: the cells of days that have one, and the balance before them, minor units.

    `home` is where its customer's balance belongs, if that is elsewhere: below the agent it was moved to.
    `waits` is set where it is known that its figures have changed and were not said since.
    """

    __slots__ = ("before", "customer", "days", "home", "key", "leaf", "money", "today", "waits")

    def __init__(self, leaf: "AgentAccounts", customer: str) -> None:
        self.leaf = leaf
        self.customer = customer
        self.key = customer_path(leaf.path, customer)
        self.before = 0
        self.home: Account | None = None
        self.days: dict[int, Kept[CustomerDay]] = {}
        self.today: Kept[CustomerDay] | None = None
        self.money = BalanceMoves()  # its agent's, of the running day
        self.waits = False

    @property
    def balance(self) -> int:
        """What the facts that count here have made of it, minor units."""
        return self.before + sum(kept.row.moved for kept in self.days.values())


class BalanceMoves:
    """By what a day moved the balances of an agent's own customers; minor units."""

    __slots__ = ("adjustments", "chargebacks", "deposits", "opening", "revenue", "withdrawals")

    def __init__(self) -> None:
        self.revenue = self.deposits = self.withdrawals = self.chargebacks = self.adjustments = self.opening = 0

    def add(self, sums: "ActivitySums | BalanceMoves") -> None:
        """Take in a cell, or another day."""
        self.revenue += sums.revenue
        self.deposits += sums.deposits
        self.withdrawals += sums.withdrawals
        self.chargebacks += sums.chargebacks
        self.adjustments += sums.adjustments
        self.opening += sums.opening


class AgentAccounts:
    """An agent's path (or the house) with the customers directly below it.

    `waits` is set where figures have changed since any scope's were said.
    """

    __slots__ = ("accounts", "before", "days", "path", "waits")

    def __init__(self, path: str) -> None:
        self.path = path
        self.accounts: dict[str, Account] = {}
        self.before = 0
        self.days: dict[int, BalanceMoves] = {}
        self.waits = False

    def day(self, day: int) -> BalanceMoves:
        """A day that has cells."""
        money = self.days.get(day)
        if money is None:
            money = self.days[day] = BalanceMoves()
        return money

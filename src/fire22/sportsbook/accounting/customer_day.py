"""The cells that figures and reports are sums of: what one customer did on one day, below one agent.

A cell is additive but for its largest wager, so weeks, months and sub-trees are sums of cells. Money is integer minor
units.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

TOP: Final = 10  # customers that a total names


class ActivitySums(Struct, gc=False, array_like=True):
    """What happened; minor units, and counts of wagers.

    Args:
        revenue: gross revenue; the customer's figure is the negative of it.
        handle: cash accepted, less what was cancelled.
        settled_handle: cash of what was settled.
        resettled: settlements that were corrected.
        cancelled: with those that were deleted; without those that were voided.
        adjustments: what the desk moved, in the customer's favour; bonuses are a part of it.
        chargebacks: completed deposits that were taken back, less such withdrawals.
        opening: the balance that a customer came with, less that which one took along to another agent.
        new: customers that came.
        late: facts that were too late for their own day and count here instead.
        future: facts that were dated later than any known time and count here instead.
        largest, largest_id: the largest amount of a wager that was placed, and that wager.
    """

    revenue: int = 0
    handle: int = 0
    settled_handle: int = 0
    placed: int = 0
    settled: int = 0
    resettled: int = 0
    cancelled: int = 0
    voided: int = 0
    modified: int = 0
    parlays: int = 0
    deposits: int = 0
    withdrawals: int = 0
    adjustments: int = 0
    bonuses: int = 0
    chargebacks: int = 0
    opening: int = 0
    new: int = 0
    late: int = 0
    future: int = 0
    largest: int = 0
    largest_id: str = ""

    @property
    def paid(self) -> int:
        """By what payments and adjustments moved the balance."""
        return self.deposits - self.withdrawals - self.chargebacks + self.adjustments

    @property
    def moved(self) -> int:
        """By what everything moved the balance."""
        return self.opening + self.paid - self.revenue

    def add(self, other: "ActivitySums") -> None:
        """Take in what happened elsewhere or on another day."""
        self.revenue += other.revenue
        self.handle += other.handle
        self.settled_handle += other.settled_handle
        self.placed += other.placed
        self.settled += other.settled
        self.resettled += other.resettled
        self.cancelled += other.cancelled
        self.voided += other.voided
        self.modified += other.modified
        self.parlays += other.parlays
        self.deposits += other.deposits
        self.withdrawals += other.withdrawals
        self.adjustments += other.adjustments
        self.bonuses += other.bonuses
        self.chargebacks += other.chargebacks
        self.opening += other.opening
        self.new += other.new
        self.late += other.late
        self.future += other.future
        self.accepted(other.largest, other.largest_id)

    def accepted(self, amount: int, wager_id: str) -> None:
        """Remember the largest wager; of equal ones that with the lowest id, whichever came first."""
        if amount > self.largest or (amount == self.largest and wager_id < self.largest_id):
            self.largest, self.largest_id = amount, wager_id


class CustomerDay(ActivitySums, gc=False, array_like=True):
    """One customer's day below one agent, or several of its days together."""


class Top(Struct, frozen=True, gc=False, array_like=True):
    """A customer below an agent, and what it won or lost; minor units."""

    customer_id: str
    path: str
    figure: int


class Total(ActivitySums, gc=False, array_like=True):
    """A period of several customers.

    Args:
        players: distinct customers with an accepted wager.
        top: those who won or lost most, the most first.
    """

    players: int = 0
    top: tuple[Top, ...] = ()


AgentDay = dict[str, CustomerDay]  # cells by customer: an agent's own customers on a day, or over some days

_sheets: Final = msgspec.msgpack.Decoder(AgentDay)
_totals: Final = msgspec.msgpack.Decoder(Total)
_encoder: Final = msgspec.msgpack.Encoder(order="sorted")


def encode_agent_day(sheet: AgentDay) -> bytes:
    """A sheet as it is kept; equal sheets give equal bytes."""
    return _encoder.encode(sheet)


def decode_agent_day(kept: bytes) -> AgentDay:
    """A kept sheet."""
    return _sheets.decode(kept)


def encode_total(total: Total) -> bytes:
    """A total as it is kept."""
    return _encoder.encode(total)


def decode_total(kept: bytes) -> Total:
    """A kept total."""
    return _totals.decode(kept)


def merge(sheets: Iterable[AgentDay]) -> AgentDay:
    """The sheet of several days of the same agent."""
    merged: AgentDay = {}
    for sheet in sheets:
        for customer, cell in sheet.items():
            into = merged.get(customer)
            if into is None:
                into = merged[customer] = CustomerDay()
            into.add(cell)
    return merged


def total_of(path: str, sheet: AgentDay) -> Total:
    """The total of an agent's own customers."""
    total = Total()
    named: list[Top] = []
    for customer, cell in sheet.items():
        total.add(cell)
        if cell.placed:
            total.players += 1
        if cell.revenue:
            named.append(Top(customer, path, -cell.revenue))
    total.top = most(named)
    return total


def most(named: Iterable[Top]) -> tuple[Top, ...]:
    """Those who won or lost most."""
    return tuple(sorted(named, key=lambda one: (-abs(one.figure), one.customer_id, one.path))[:TOP])

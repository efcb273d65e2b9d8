"""The key figures of one scope: what is kept, and the document that is made of it. Amounts are minor units."""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from fire22.core.message import Json
from fire22.flows.kept import Kept
from fire22.sportsbook.betting.money import Major

# Of a document.
FIELDS: Final = (
    "revenue", "activePlayers", "onlinePlayers", "pending", "pendingRisk", "pendingToWin",
    "grossPotentialPayout", "totalLiability", "liabilityIsBound", "change", "handle", "settledHandle", "ngr",
    "hold", "periods",
)  # fmt: skip


class Liabilities(Protocol):
    """What the open wagers of scopes may cost; the exposure flow tells."""

    def total(self, scope: str) -> int:
        """The worst case, minor units."""

    def is_bound(self, scope: str) -> bool:
        """Whether that is an upper bound of it."""

    def gross(self, scope: str) -> int:
        """What would be paid out if every open wager won, minor units."""

    def take_changed(self) -> list[str]:
        """The scopes whose total, or whether it is a bound, has changed since the last call."""

    def is_found(self, scope: str) -> bool:
        """Whether the latest flush changed a scope's total by what it found, and by no fact."""


class Commissioned(Protocol):
    """What agents earn; the commission flow tells."""

    @property
    def posted(self) -> Sequence[tuple[str, int, int]]:
        """What the latest flush has posted of closed weeks.

        Each is an agent's path, the business day after the week (as `date.toordinal` numbers it), and by how many minor
        units the commission of that week is more than was posted before.
        """


class FigureSums(Struct, gc=False, array_like=True):
    """What adds up over wagers and over scopes.

    Args:
        handle: cash risk accepted and not cancelled.
        settled: the part of it that is settled.
        wagers: accepted.
        costs: what makes net revenue of it: bonuses, charge-backs of deposits, commission.
    """

    revenue: int = 0
    handle: int = 0
    settled: int = 0
    wagers: int = 0
    costs: int = 0

    def add(self, other: "FigureSums") -> None:
        """Take in others."""
        self.revenue += other.revenue
        self.handle += other.handle
        self.settled += other.settled
        self.wagers += other.wagers
        self.costs += other.costs

    def less(self, other: "FigureSums") -> "FigureSums":
        """What is left without others."""
        return FigureSums(
            self.revenue - other.revenue,
            self.handle - other.handle,
            self.settled - other.settled,
            self.wagers - other.wagers,
            self.costs - other.costs,
        )


class Ahead(Struct, gc=False, array_like=True):
    """What an agent's facts do in a period that has not begun.

    Args:
        starts_ms: none of them is before it, and all are of the business day that holds it.
        pending: by which the open wagers move.
    """

    starts_ms: int
    path: str
    sums: FigureSums = msgspec.field(default_factory=FigureSums)
    pending: int = 0


class Base(Struct, gc=False, array_like=True):
    """The four figures at the start of the business day; whether a fact of the day has moved the liability since."""

    revenue: int = 0
    active: int = 0
    pending: int = 0
    liability: int = 0
    stirred: bool = False


class ScopeRow(Struct, gc=False, array_like=True):
    """What is kept of a scope: all that cannot be derived from open wagers and who was seen.

    Args:
        ever: since the start.
        day, week, month: what of it is of before the running period.
        base: at the start of the business day.
        waits: its document is older than its figures; since which flush, 0 where it does not.
        since_ms: up to which watermark the document is complete, while it waits.
    """

    ever: FigureSums = msgspec.field(default_factory=FigureSums)
    day: FigureSums = msgspec.field(default_factory=FigureSums)
    week: FigureSums = msgspec.field(default_factory=FigureSums)
    month: FigureSums = msgspec.field(default_factory=FigureSums)
    base: Base = msgspec.field(default_factory=Base)
    waits: int = 0
    since_ms: int = 0


class ScopeFigures:
    """A scope: the kept row and what is derived; amounts are minor units.

    Attributes:
        row: that of `kept`.
        pending, risk, to_win: open wagers.
        liability: as of the last flush.
        late, timely: whether the group opens or closes wagers of before the running day, and of it.
    """

    __slots__ = ("active", "kept", "late", "liability", "online", "pending", "risk", "row", "scope", "timely", "to_win")

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.keep(Kept(scope, ScopeRow()))
        self.pending = self.risk = self.to_win = 0
        self.active = 0
        self.online = 0
        self.liability = 0
        self.late = False
        self.timely = False

    def keep(self, kept: Kept[ScopeRow]) -> None:
        """Take a kept row."""
        self.kept = kept
        self.row = kept.row


def document(
    figures: ScopeFigures, liabilities: Liabilities, keys: tuple[str, str, str], major: Major
) -> dict[str, Json]:
    """What is said of a scope; money in major units.

    Args:
        keys: what the running day, week and month are called.
    """
    row, scope = figures.row, figures.scope
    ever, base = row.ever, row.base
    liability = figures.liability
    day, week, month = keys
    said: dict[str, Json] = {
        "revenue": major(ever.revenue),
        "activePlayers": figures.active,
        "pending": figures.pending,
        "totalLiability": major(liability),
        "change": {
            "revenue": major(ever.revenue - base.revenue),
            "activePlayers": figures.active - base.active,
            "pending": figures.pending - base.pending,
            "totalLiability": major(liability - base.liability),
        },
        **_sums(ever.revenue, ever.handle, ever.settled, ever.costs, major),
        "pendingRisk": major(figures.risk),
        "pendingToWin": major(figures.to_win),
        "grossPotentialPayout": major(liabilities.gross(scope)),
        "onlinePlayers": figures.online,
        "periods": {
            "day": _period(day, ever, row.day, major),
            "week": _period(week, ever, row.week, major),
            "month": _period(month, ever, row.month, major),
        },
    }
    if liabilities.is_bound(scope):
        said["liabilityIsBound"] = True
    return said


def _period(key: str, ever: FigureSums, before: FigureSums, major: Major) -> dict[str, Json]:
    revenue = ever.revenue - before.revenue
    handle, settled = ever.handle - before.handle, ever.settled - before.settled
    sums = _sums(revenue, handle, settled, ever.costs - before.costs, major)
    return {"key": key, "revenue": major(revenue), **sums, "wagers": ever.wagers - before.wagers}


def _sums(revenue: int, handle: int, settled: int, costs: int, major: Major) -> dict[str, Json]:
    said: dict[str, Json] = {
        "handle": major(handle),
        "settledHandle": major(settled),
        "ngr": major(revenue - costs),
    }
    if settled > 0:
        said["hold"] = round(100 * revenue / settled, 2)
    return said

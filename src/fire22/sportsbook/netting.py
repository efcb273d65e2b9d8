"""Straight wagers netted in their markets, for each scope that sees them. Source: domain rules, section 3.

For a market m and an outcome o, PnL_m(o) is what the book wins if o happens; L_m = max(0, -min_o PnL_m(o)). With R the
cash risked on m and P_o what would be paid on o (cash risk and profit), PnL_m(o) = R - P_o. If m is void PnL is 0, and
an outcome nobody backed gives R, so L_m = max(0, max_o P_o - R). A wager whose market has its result moves out of R and
P into K, what is known to be owed, and L_m = max(0, K) + max(0, max_o P_o - R): what is sure to be won is not counted
against what may be lost, here and everywhere.

Netting makes liability non-additive over scopes: each wager is added to every scope above it. That loop is the hottest
of all figures (eight levels, 30,000 times a second), and what it costs is memory that is not in the cache. So the
numbers of one market lie together in one array, with a row for each scope, and the loop stands here once.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fire22.sportsbook.linked import Linked
from fire22.sportsbook.parlay import Parlay
from fire22.sportsbook.registry import OpenWager

# The places of a row. From FIRST on: what would be paid on each outcome, by the market's own numbering of them.
RISK: Final = 0
TOP: Final = 1  # the highest payment on any outcome
KNOWN: Final = 2
LINKS: Final = 3  # parlays with an open leg here
FIRST: Final = 4
_WIDTH: Final = 8  # as most markets have at most four outcomes: one line of the cache


def liability(row: Sequence[int]) -> int:
    """L of a market in a scope, minor units."""
    return max(0, row[KNOWN]) + at_risk(row)


def at_risk(row: Sequence[int]) -> int:
    """What of L an outcome may still cost, minor units."""
    return max(0, row[TOP] - row[RISK])


class ScopeBook:
    """The open wagers that one scope sees.

    Args:
        path: of the scope.
        below: the paths of wagers that it sees.
        markets: those with a row for this scope, by id.
        straight: ΣL of these, minor units.
        potential: what all other wagers may cost at most; parlays with their whole profit.
        blind: wagers whose legs are not known, so that nothing can be said of their markets.
        parlays: open wagers of several legs.
        gross: profit and cash risk of all open wagers.
        linked: the markets that parlays link, and what is known of their joint outcomes.
        stirred: the markets that have changed since the scope's documents were last said.
    """

    __slots__ = ("below", "blind", "gross", "linked", "markets", "parlays", "path", "potential", "stirred", "straight")

    def __init__(self, path: str) -> None:
        self.path = path
        self.below: dict[str, None] = {}
        self.markets: dict[str, MarketBook] = {}
        self.straight = 0
        self.potential = 0
        self.blind = 0
        self.parlays = 0
        self.gross = 0
        self.linked = Linked()
        self.stirred: dict[str, None] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is at stake."""
        return not (self.markets or self.parlays or self.blind)

    @property
    def bound(self) -> int:
        """ΣL and all that parlays may pay: never less than the worst case, minor units."""
        return self.straight + self.potential

    @property
    def total(self) -> int:
        """Total liability: the worst case, or a bound of it."""
        return self.straight + self.potential - self.linked.relief

    @property
    def is_bound(self) -> bool:
        """Whether the total may be more than the worst case."""
        return self.blind > 0 or not self.linked.is_exact


class MarketBook:
    """The open wagers on one market, as each scope sees them.

    Args:
        id: of the market.
        places: in a row, by outcome.
        wagers: those with a leg here, by id.
        straight: how many straight ones there are, by path.
        parlays: those with an open leg here, by path and id.
    """

    __slots__ = ("_data", "_free", "_rows", "_width", "id", "parlays", "places", "straight", "wagers")

    def __init__(self, id: str) -> None:
        self.id = id
        self.places: dict[str, int] = {}
        self.wagers: dict[str, OpenWager] = {}
        self.straight: dict[str, int] = {}
        self.parlays: dict[str, dict[str, Parlay]] = {}
        self._width = _WIDTH
        self._data = array("q")
        self._rows: dict[ScopeBook, int] = {}
        self._free: list[int] = []

    def row(self, scope: ScopeBook) -> Sequence[int]:
        """The numbers of a scope; zeros where nothing is at stake."""
        at = self._rows.get(scope)
        return self._data[at : at + self._width] if at is not None else (0,) * self._width

    def rank(self, scope: ScopeBook) -> tuple[int, int]:
        """Liability and cash risk in a scope that has a row."""
        data, at = self._data, self._rows[scope]
        risk, known = data[at], data[at + KNOWN]
        return max(0, data[at + TOP] - risk) + max(0, known), risk

    def count(self, scope: ScopeBook) -> int:
        """How many straight wagers a scope has here."""
        few, many = (self.straight, scope.below)
        if len(few) > len(many):
            return sum(self.straight.get(path, 0) for path in many)
        return sum(count for path, count in few.items() if path in many)

    def parlays_of(self, scope: ScopeBook) -> Iterator[Parlay]:
        """The parlays of a scope with an open leg here."""
        paths: Iterable[str] = self.parlays if len(self.parlays) < len(scope.below) else scope.below
        for path in paths:
            if path in self.parlays and path in scope.below:
                yield from self.parlays[path].values()

    def place(self, selection: str) -> int:
        """Where an outcome stands in a row."""
        place = self.places.get(selection)
        if place is None:
            place = self.places[selection] = FIRST + len(self.places)
            if place >= self._width:
                self._widen()
        return place

    def net(self, scopes: Iterable[ScopeBook], place: int, cash: int, paid: int, *, surely: int) -> None:
        """Add a straight wager in each scope, or take it away.

        Args:
            place: of its outcome.
            cash, paid: the cash risk, and that with the profit; negative where the wager is taken away.
            surely: by how much the worst case of linked markets rises at most.
        """
        data, rows = self._data, self._rows
        for scope in scopes:
            at = rows.get(scope)
            if at is None:
                at = self._begin(scope)
            risk, top = data[at], data[at + 1]
            before = top - risk if top > risk else 0
            was = data[at + place]
            pays = was + paid
            data[at + place] = pays
            if pays > top:
                data[at + 1] = top = pays
            elif was == top and paid < 0:
                data[at + 1] = top = max(data[at + FIRST : at + self._width])
            risk += cash
            data[at] = risk
            change = top - risk - before if top > risk else -before
            if change:
                scope.straight += change
            if data[at + LINKS]:
                linked = scope.linked
                if linked.components or linked.loose_relief:
                    linked.moved(self.id, change - surely)
            elif not top:
                self._end(scope, at)

    def know(self, scopes: Iterable[ScopeBook], owed: int) -> None:
        """Add a straight wager that has its result to each scope, or take it away.

        Args:
            owed: the customer's profit, negative where it lost; with the opposite sign where the wager is taken away.
        """
        data = self._data
        for scope in scopes:
            at = self._rows.get(scope)
            if at is None:
                at = self._begin(scope)
            known = data[at + KNOWN]
            data[at + KNOWN] = known + owed
            scope.straight += max(0, known + owed) - max(0, known)
            self._end(scope, at)

    def link(self, scopes: Iterable[ScopeBook], opened: int) -> None:
        """Count a parlay with an open leg here (1), or one less (-1)."""
        data = self._data
        for scope in scopes:
            at = self._rows.get(scope)
            if at is None:
                at = self._begin(scope)
            links = data[at + LINKS] + opened
            data[at + LINKS] = links
            if not links:
                scope.linked.markets -= 1
                self._end(scope, at)
            elif links == opened:
                scope.linked.markets += 1

    def _begin(self, scope: ScopeBook) -> int:
        if self._free:
            at = self._free.pop()
        else:
            at = len(self._data)
            self._data.extend((0,) * self._width)
        self._rows[scope] = at
        scope.markets[self.id] = self
        return at

    def _end(self, scope: ScopeBook, at: int) -> None:
        """Free a row if it is all zeros: that says as much as no row."""
        if not any(self._data[at : at + self._width]):
            del self._rows[scope], scope.markets[self.id]
            self._free.append(at)

    def _widen(self) -> None:
        width = 2 * self._width
        data = array("q", bytes(8 * width * len(self._rows)))
        rows: dict[ScopeBook, int] = {}
        for index, (scope, at) in enumerate(self._rows.items()):
            data[index * width : index * width + self._width] = self._data[at : at + self._width]
            rows[scope] = index * width
        self._data, self._rows, self._free, self._width = data, rows, [], width

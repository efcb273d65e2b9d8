"""When linked markets are searched: in turn, the book first and then its sub-trees, within a budget for each step.

Components that have changed get a short search first: most need no more, and one that cannot be solved keeps nobody
waiting. Those where it was in vain get a long one, in their own turn and with half the budget. A search may take more
than a step has left; the next steps make up for it. Nothing here depends on when a flow was restarted: what was found
and where the searches stand are kept in tables.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core.scope import ROOT
from fire22.flows.base import Table
from fire22.sportsbook.exposure.books import Books
from fire22.sportsbook.exposure.components import component, components
from fire22.sportsbook.exposure.linked_markets import Component
from fire22.sportsbook.exposure.netting import MarketBook, ScopeBook
from fire22.sportsbook.exposure.parlay import Parlay
from fire22.sportsbook.exposure.worst_case import Straight, worst


class FoundRow(Struct, frozen=True, gc=False, array_like=True):
    """What a search has found of a component."""

    relief: int
    tried: int
    is_exact: bool


SHORT: Final = 2_000  # states of a first search
Part = tuple[list[str], list[Parlay]]
Parts = Callable[[ScopeBook], Iterable[Part]]


class StepRow(Struct, frozen=True, gc=False, array_like=True):
    """How far the searches have come: states beyond what steps were given, and after which component to go on."""

    debt: int = 0
    scope: str = ""
    key: str = ""


class Searches:
    """Searches the books' components.

    Args:
        tables: what is kept: what was found by scope and component, what is left of earlier solutions by scope, and
            how far the searches have come.
    """

    def __init__(self) -> None:
        self._found: Table[FoundRow] = Table("found", FoundRow)
        self._loose: Table[int] = Table("loose", int)
        self._step: Table[StepRow] = Table("step", StepRow)
        self.tables: tuple[Table[object], ...] = (self._found, self._loose, self._step)  # type: ignore[assignment]

    def restore(self, books: Books) -> None:
        """Tell every scope what was known before a restart."""
        found: dict[str, list[Component]] = {}
        for name, kept in self._found:
            scope, _, key = name.partition("|")
            part = component(books.scopes[scope], key, {})
            if part is None:
                raise AssertionError(f"the component of {key} in {scope} was searched and is too large")
            found.setdefault(scope, []).append(Component(key, part[0], kept.relief, kept.tried, is_exact=kept.is_exact))
        for scope, book in books.scopes.items():
            book.linked.restore(found.get(scope, []), self._loose.get(scope) or 0)

    def keep(self, book: ScopeBook) -> None:
        """Remember what cannot be derived of a scope's linked markets."""
        linked = book.linked
        if linked.dropped:
            for key in linked.dropped:
                self._found.pop(f"{book.path}|{key}")
            linked.dropped = []
        if linked.loose_relief != (self._loose.get(book.path) or 0):
            if linked.loose_relief:
                self._loose.put(book.path, linked.loose_relief)
            else:
                self._loose.pop(book.path)

    def search(self, books: Books, states_step_max: int, states_max: int) -> dict[str, ScopeBook]:
        """Search what has changed, and what was searched in vain, as far as this step may; returns the scopes."""
        searched: dict[str, ScopeBook] = {}
        self._step_on("short", books, components, min(SHORT, states_max), states_step_max, searched)

        def vain(book: ScopeBook) -> Iterator[Part]:
            for key in book.linked.vain(states_max):
                part = component(book, key, {})
                if part is None:
                    raise AssertionError(f"the component of {key} in {book.path} was searched and is too large")
                yield part

        self._step_on("long", books, vain, states_max, states_step_max // 2, searched)
        for book in searched.values():
            self.keep(book)
        return searched

    def _step_on(
        self, name: str, books: Books, parts: Parts, states_max: int, budget: int, searched: dict[str, ScopeBook]
    ) -> None:
        """Search components in turn until the budget is spent."""
        step = self._step.get(name) or StepRow()
        left = budget - step.debt
        after = msgspec.structs.replace(step, debt=max(0, -left))
        if left > 0:
            scope, key = "", ""
            for book, markets, parlays in _in_turn(books, parts, step.scope, step.key):
                if left <= 0:
                    break
                left -= self._search_one(book, markets, parlays, states_max)
                searched[book.path] = book
                scope, key = book.path, markets[0]
            else:
                scope, key = "", ""
            after = StepRow(max(0, -left), scope, key)
        if after != step:
            self._step.put(name, after)

    def _search_one(self, book: ScopeBook, markets: list[str], parlays: list[Parlay], states_max: int) -> int:
        """Search a component and take what is found; returns the states it took."""
        bound = sum(parlay.profit for parlay in parlays) + sum(book.net(id).at_risk for id in markets)
        found = worst({id: straight(book.markets[id], book) for id in markets}, parlays, states_max)
        searched = Component(markets[0], markets, max(0, bound - found.loss), states_max, is_exact=found.exact)
        book.linked.settle(searched)
        self._found.put(f"{book.path}|{searched.key}", FoundRow(searched.relief, states_max, searched.is_exact))
        return found.states


def straight(market: MarketBook, book: ScopeBook) -> Straight:
    """The straight wagers of a market as a scope sees them, for a search."""
    net = market.seen(book)
    paid = zip(market.places, net.paid, strict=False)  # in the same order; there may be outcomes that came later
    return Straight(net.risk, {each: amount for each, amount in paid if amount})


def _in_turn(books: Books, parts: Parts, scope: str, key: str) -> Iterator[tuple[ScopeBook, list[str], list[Parlay]]]:
    """Components by the level of their scopes, going on after one."""
    ordered = sorted(books.scopes.values(), key=_level)
    begin = _level(books.scope(scope)) if scope else (-1, "")
    for book in ordered:
        if _level(book) >= begin:
            for markets, parlays in parts(book):
                if book.path != scope or markets[0] > key:
                    yield book, markets, parlays
    for book in ordered:
        if _level(book) < begin or book.path == scope:
            for markets, parlays in parts(book):
                if book.path != scope or markets[0] <= key:
                    yield book, markets, parlays


def _level(book: ScopeBook) -> tuple[int, str]:
    return (0 if book.path == ROOT else book.path.count("/")), book.path

"""The `exposure` flow: what each scope can lose on its open wagers, by event, market and outcome, and in all.

Source: domain rules, section 3. A scope's total liability is the worst case over the joint outcomes of its markets
where that has been found (`worst_case.py`), and otherwise a bound that says it is one (`linked_markets.py`). Straight
wagers count at once; linked markets are searched when the watermark moves, each within `states_max` and all within
`states_step_max` for each step on average, the book first and then its sub-trees in turn.

Kept in tables: results of markets, what was found of components, how far the searches have come, which documents there
are. Derived again at a restart: everything that follows from the open wagers.

A wager that is a sum of parlays (a round robin, a system bet) counts as these. Of any other that is neither straight
nor a parlay, and of one whose type nobody knows, all that counts is what it wins at most, and the total is a bound.

Limits: markets of one event are taken as independent, which errs upward. A lost parlay that is not settled yet counts
as nothing, a won one with its profit.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.core.message import Json
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.sportsbook.betting import facts
from fire22.sportsbook.exposure.books import Books
from fire22.sportsbook.exposure.documents import FIELDS, Document, market_document
from fire22.sportsbook.exposure.netting import ScopeBook
from fire22.sportsbook.exposure.parlay import results_of
from fire22.sportsbook.exposure.search_schedule import Searches
from fire22.sportsbook.exposure.view import View
from fire22.sportsbook.exposure.what_if import asked, what_if
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.movement import MOVES
from fire22.sportsbook.registry.open_wager import OpenWager

RESULTS_MS: Final = 7 * 24 * 3_600_000  # a result is known for so long after the last wager on its market is over

Positive = Annotated[int, Meta(gt=0)]


class ExposureSettings(Struct, frozen=True):
    """`[exposure]`: what the figures may cost.

    Args:
        states_max: of the search for the worst joint outcome of markets that parlays link; beyond it the total is a
            bound, and says so.
        states_step_max: of all first, short searches together in each interval, on average, and half as many of long
            ones; what is not reached is a bound until its turn.
        interval_ms: how often, by the watermark, searches go on and documents are said.
        markets_max: how many markets each scope shows, those that can cost most.
    """

    states_max: Positive = 100_000
    states_step_max: Positive = 4_000
    interval_ms: Positive = 1_000
    markets_max: Annotated[int, Meta(gt=0, le=1_000)] = 50


class ResultRow(Struct, frozen=True, gc=False, array_like=True):
    """The result of a market: when it was last needed, and (selection, result, void, dead heat) of each outcome."""

    at_ms: int
    rows: tuple[tuple[str, int, float, float], ...]


class Exposures(Flow):
    """Documents of every scope; `total` and `is_bound` for other figures.

    Args:
        registry: the flow before this one that knows the open wagers.
    """

    name: ClassVar[str] = "exposure"
    version: ClassVar[int] = 6

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.topics = (Topic("exposure", Kind.VIEW, fields=FIELDS),)
        self.books = Books()
        self._registry = registry
        self._settings = ExposureSettings()
        self._results: Table[ResultRow] = Table("result", ResultRow)
        self._result_ends: list[tuple[int, str]] = []
        self._searches = Searches()
        self._view = View(registry)
        self._told: dict[str, tuple[int, bool]] = {}
        self._changed: list[str] = []
        self._found: dict[str, None] = {}
        self._due_since: int | None = None
        self._slot = 0
        self._moves: list[tuple[OpenWager | None, OpenWager | None]] = []
        self._is_idle = False

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Results, what searches found, how far they are, and the keys of the documents."""
        return (self._results, *self._searches.tables, *self._view.tables)  # type: ignore[arg-type]

    def configure(self, settings: Raw) -> None:
        """Take what the figures may cost from here on."""
        self._settings = msgspec.json.decode(settings, type=ExposureSettings)
        self._slot = self.watermark_ms // self._settings.interval_ms
        self._view.expire()

    def handlers(self) -> dict[str, Handler]:
        """Wagers, results, and what is shown of markets."""
        return {
            "market.created": self._market,
            "market.imported": self._market,
            "market.changed": self._market_changed,
            "market.status_changed": self._market_status,
            "market.price_changed": self._price,
            "market.resulted": self._resulted,
            **dict.fromkeys(MOVES, self._moved),
        }

    def loaded(self) -> None:
        """Derive what follows from the open wagers, and take what was known of components."""
        self.books = Books()
        self._slot = self.watermark_ms // self._settings.interval_ms
        for market, row in self._results:
            self.books.result(market, results_of(row.rows))
            self._result_ends.append((row.at_ms, market))
        heapq.heapify(self._result_ends)
        for wager in self._registry.wagers():
            self.books.add(wager)
        self.books.take_touched()
        self._searches.restore(self.books)
        self._view.out = self.out
        self._view.restore(self.books)
        self._told = {scope: (book.total, book.is_bound) for scope, book in self.books.scopes.items()}

    def clock(self) -> None:
        """The searches go on and the view is said once in each interval."""
        slot = self.watermark_ms // self._settings.interval_ms
        if slot > self._slot:
            if self._due_since is None:
                self._due_since = self._slot
            self._slot = slot
        self._forget_results()

    def idle(self) -> None:
        """The searches go on, and those come who have waited longest."""
        self._is_idle = True

    def flush(self) -> None:
        """Search what has changed, and say what is due."""
        settings = self._settings
        turns = self._turns()
        self._catch_up()
        touched = self.books.take_touched()
        for book in touched.values():
            self._searches.keep(book)
        self._found = {}
        if turns is not None:
            self.books.share_stirred()
            searched = self._searches.search(self.books, settings.states_step_max, settings.states_max)
            self._found = dict.fromkeys(scope for scope in searched if scope not in touched)
            touched |= searched
        self._changed = []
        for scope in sorted(touched):
            book = touched[scope]
            self._view.scope(scope).stale = True
            now = book.total, book.is_bound
            if now != self._told.get(scope, (0, False)):
                self._told[scope] = now
                self._changed.append(scope)
        self._view.out = self.out
        self._view.wait(sorted(touched), self.before_ms, turns)
        if turns is not None:
            self._view.say(self.books, turns, self.watermark_ms, settings.markets_max)
        self._view.tell()

    def _turns(self) -> list[int] | None:
        """Whose turn it is to be said in this group; None where it is nobody's."""
        idle, self._is_idle = self._is_idle, False
        due_since, self._due_since = self._due_since, None
        if due_since is not None:
            return self._view.turns(due_since, self._slot)
        oldest = self._view.oldest() if idle else None
        return None if oldest is None else [oldest]

    # What other flows may ask.

    def total(self, scope: str) -> int:
        """A scope's total liability, minor units: its worst case, or a bound of it."""
        book = self.books.scopes.get(scope)
        return book.total if book is not None else 0

    def is_bound(self, scope: str) -> bool:
        """Whether a scope's total may be more than its worst case."""
        book = self.books.scopes.get(scope)
        return book is not None and book.is_bound

    def gross(self, scope: str) -> int:
        """What all open wagers of a scope would pay if each of them won, cash risk included; minor units."""
        book = self.books.scopes.get(scope)
        return book.gross if book is not None else 0

    def market_liability(self, scope: str, market: str) -> int:
        """L of the straight wagers of a market in a scope, minor units."""
        book = self.books.scopes.get(scope)
        return book.net(market).liability if book is not None else 0

    def market(self, scope: str, market: str) -> Document | None:
        """A market in a scope as the view shows it; None where nothing is at stake on it."""
        book = self.books.scopes.get(scope)
        if book is None or book.net(market).is_nothing:
            return None
        return market_document(
            book, self.books.markets[market], self._registry.market(market), self._registry.money.major
        )

    def take_changed(self) -> list[str]:
        """The scopes whose total, or whether it is a bound, has changed; as of the last flush."""
        changed, self._changed = self._changed, []
        return changed

    def is_found(self, scope: str) -> bool:
        """Whether the last flush changed a scope's total by a search alone."""
        return scope in self._found

    def what_if(self, scope: str, parameters: Mapping[str, Sequence[str]]) -> dict[str, Json]:
        """What some outcomes would bring a scope, and the worst that may come then; see `what_if.py`.

        Args:
            parameters: `outcome` names selections that win, `void` markets that are void.

        Raises:
            RequestError: `command_invalid`, `not_found`.
        """
        market_of = {each: id for id, market in self._registry.markets() for each in market.selections}
        market_of.update((each, id) for id, market in self.books.markets.items() for each in market.places)
        for parlay in (each for parts in self.books.parlays.values() for each in parts if each is not None):
            market_of.update((leg.selection, leg.market) for leg in parlay.legs)
        ended = asked(parameters, market_of)
        return what_if(self.books.scopes.get(scope) or ScopeBook(scope, (), {}), ended, self._registry.money.major)

    # Facts.

    def _market(self, fact: Fact) -> None:
        market = expect(fact, facts.Market)
        self._view.belongs(market.market_id, market.event_id)

    def _market_changed(self, fact: Fact) -> None:
        market = expect(fact, facts.Market)
        self._view.belongs(market.market_id, None)
        self._view.belongs(market.market_id, market.event_id)
        self._view.told(market.market_id)

    def _market_status(self, fact: Fact) -> None:
        market = expect(fact, facts.MarketStatusChanged).market_id
        if self._registry.market(market) is None:
            self._view.belongs(market, None)
        else:
            self._view.told(market)

    def _price(self, fact: Fact) -> None:
        self._view.told(expect(fact, facts.MarketPriceChanged).market_id)

    def _moved(self, fact: Fact) -> None:
        move = self._registry.move
        self._moves.append((move.closed, move.opened))

    def _catch_up(self) -> None:
        """Bring the books up to the fact at hand: many wagers after each other cost much less than each by itself."""
        books = self.books
        for closed, opened in self._moves:
            if closed is not None:
                books.take(closed)
            if opened is not None:
                books.add(opened)
        self._moves.clear()

    def _resulted(self, fact: Fact) -> None:
        told = expect(fact, facts.MarketResulted)
        rows = tuple([(each.selection_id, each.result, each.void, each.dead_heat) for each in told.results])
        at_ms = max(fact.at_ms, self.watermark_ms)
        self._catch_up()
        self.books.result(told.market_id, results_of(rows))
        self._results.put(told.market_id, ResultRow(at_ms, rows))
        heapq.heappush(self._result_ends, (at_ms, told.market_id))

    def _forget_results(self) -> None:
        ends = self._result_ends
        if ends and ends[0][0] <= self.watermark_ms - RESULTS_MS:
            self._catch_up()
        while ends and ends[0][0] <= self.watermark_ms - RESULTS_MS:
            at_ms, market = heapq.heappop(ends)
            row = self._results.get(market)
            if row is None or row.at_ms != at_ms:
                continue
            if market in self.books.markets:
                self._results.put(market, ResultRow(self.watermark_ms, row.rows))
                heapq.heappush(ends, (self.watermark_ms, market))
            else:
                self._results.pop(market)
                self.books.result(market, None)

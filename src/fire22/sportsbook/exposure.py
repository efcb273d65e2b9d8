"""The `exposure` flow: what each scope can lose on its open wagers, by event, market and outcome, and in all.

Source: domain rules, section 3. A scope's total liability is the worst case over the joint outcomes of its markets
where that has been found (`worst.py`), and otherwise a bound that says it is one (`linked.py`). Straight wagers count
at once; linked markets are searched when the watermark moves, each within `states_max` and all within
`states_step_max` for each step on average, the book first and then its sub-trees in turn.

Kept in tables: results of markets, what was found of components, how far the searches have come, which documents there
are. Derived again at a restart: everything that follows from the open wagers.

Limits: markets of one event are taken as independent, which errs upward. A lost parlay that is not settled yet counts
as nothing, a won one with its profit.
"""

import heapq
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, ClassVar, Final
from zlib import crc32

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.core.scope import ROOT, ancestors
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.sportsbook import facts
from fire22.sportsbook.components import component, components
from fire22.sportsbook.exposure_view import (
    EVENT,
    SUMMARY,
    Document,
    ScopeView,
    event_document,
    market_document,
    summary,
)
from fire22.sportsbook.linked import Component
from fire22.sportsbook.netting import RISK, MarketBook, ScopeBook, at_risk, liability
from fire22.sportsbook.parlay import Parlay, Results, certain, graded, results_of
from fire22.sportsbook.registry import MOVES, OpenWager, Registry
from fire22.sportsbook.worst import Straight, worst

RESULTS_MS: Final = 7 * 24 * 3_600_000  # a result is known for so long after the last wager on its market is over
DEEP: Final = 10  # in a large book sub-trees below the first level are said every so many intervals, some in each
SHALLOW: Final = DEEP  # the turn of the others: always
AGENTS_MANY: Final = 64  # with so many a book is large

Positive = Annotated[int, Meta(gt=0)]


class ExposureSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the figures may cost; see `ExposureConfig`."""

    states_max: Positive = 100_000
    states_step_max: Positive = 10_000
    interval_ms: Positive = 1_000
    markets_max: Positive = 50


class ResultRow(Struct, frozen=True, gc=False, array_like=True):
    """The result of a market: when it was last needed, and (selection, result, void, dead heat) of each outcome."""

    at_ms: int
    rows: tuple[tuple[str, int, float, float], ...]


class FoundRow(Struct, frozen=True, gc=False, array_like=True):
    """What a search has found of a component."""

    relief: int
    is_exact: bool


class StepRow(Struct, frozen=True, gc=False, array_like=True):
    """How far the searches have come: states beyond what steps were given, and after which component to go on."""

    debt: int = 0
    scope: str = ""
    key: str = ""


class _Leaf:
    """Where wagers are: a path with the scopes above it.

    Args:
        scopes: from the root to the path itself.
        stirred: the markets that have changed since that was last shared with the scopes.
        gross: what has not been shared yet of what would be paid at most.
        is_touched: whether anything has happened in this group.
    """

    __slots__ = ("gross", "is_touched", "scopes", "stirred")

    def __init__(self, scopes: tuple[ScopeBook, ...]) -> None:
        self.scopes = scopes
        self.stirred: dict[str, None] = {}
        self.gross = 0
        self.is_touched = False


class Exposures(Flow):
    """Documents of every scope; `total` and `is_bound` for other figures.

    Args:
        registry: the flow before this one that knows the open wagers.
    """

    name: ClassVar[str] = "exposure"
    version: ClassVar[int] = 1

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.topics = (Topic("exposure", Kind.VIEW),)
        self._book = registry
        self._settings = ExposureSettings()
        self._results: Table[ResultRow] = Table("result", ResultRow)
        self._found: Table[FoundRow] = Table("found", FoundRow)
        self._loose: Table[int] = Table("loose", int)
        self._step: Table[StepRow] = Table("step", StepRow)
        self._shown: Table[int] = Table("shown", int)
        self._clear()

    def _clear(self) -> None:
        self._books: dict[str, ScopeBook] = {ROOT: ScopeBook(ROOT)}
        self._views: dict[str, ScopeView] = {ROOT: ScopeView()}
        self._leaves: dict[str, _Leaf] = {}
        self._markets: dict[str, MarketBook] = {}
        self._parlays: dict[str, Parlay | None] = {}
        self._graded: dict[str, Results] = {}
        self._result_ends: list[tuple[int, str]] = []
        self._events: dict[str, dict[str, None]] = {}
        self._event_of: dict[str, str] = {}
        self._touched: list[_Leaf] = []
        self._told_markets: dict[str, None] = {}
        self._told_by_turn: list[dict[str, None]] = [{} for _ in range(DEEP + 1)]
        self._told: dict[str, tuple[int, bool]] = {}
        self._changed: list[str] = []
        self._due_since: int | None = None
        self._slot = 0

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Results, what searches found, how far they are, and the keys of the documents."""
        return (self._results, self._found, self._loose, self._step, self._shown)  # type: ignore[return-value]

    def configure(self, settings: Raw) -> None:
        """Take what the figures may cost from here on."""
        self._settings = msgspec.json.decode(settings, type=ExposureSettings)
        self._slot = self.watermark_ms // self._settings.interval_ms
        for view in self._views.values():
            view.everything = view.stale = True

    def handlers(self) -> dict[str, Handler]:
        """Wagers, results, and what is shown of markets."""
        return {
            "market.created": self._market,
            "market.imported": self._market,
            "market.status_changed": self._market_status,
            "market.price_changed": self._price,
            "market.resulted": self._resulted,
            **dict.fromkeys(MOVES, self._moved),
        }

    def loaded(self) -> None:
        """Derive what follows from the open wagers, and take what was known of components."""
        self._clear()
        self._slot = self.watermark_ms // self._settings.interval_ms
        for market, row in self._results:
            self._graded[market] = results_of(row.rows)
            self._result_ends.append((row.at_ms, market))
        heapq.heapify(self._result_ends)
        for market, known in self._book.markets():
            self._belongs(market, known.event_id)
        for wager in self._book.wagers():
            self._add(wager)
        self._share_gross()
        found: dict[str, list[Component]] = {}
        for name, kept in self._found:
            scope, _, key = name.partition("|")
            part = component(self._books[scope], key, {})
            if part is None:
                raise AssertionError(f"the component of {key} in {scope} was searched and is too large")
            found.setdefault(scope, []).append(Component(key, part[0], kept.relief, is_exact=kept.is_exact))
        for scope, book in self._books.items():
            book.linked.restore(found.get(scope, []), self._loose.get(scope) or 0)
            self._told[scope] = book.total, book.is_bound
        for name, _ in self._shown:
            scope, _, key = name.partition("|")
            self._scope(scope)
            self._views[scope].shown[key] = None
        self._told_markets = {}

    def clock(self) -> None:
        """The searches go on and the view is said once in each interval."""
        slot = self.watermark_ms // self._settings.interval_ms
        if slot > self._slot:
            if self._due_since is None:
                self._due_since = self._slot
            self._slot = slot
        self._forget_results()

    def flush(self) -> None:
        """Search what has changed, and say what is due."""
        touched = self._share_gross()
        self._changed = []
        for book in touched.values():
            self._keep(book)
        if self._due_since is not None:
            self._share_stirred()
            touched |= self._search()
        for scope in sorted(touched):
            book = touched[scope]
            self._views[scope].stale = True
            now = book.total, book.is_bound
            if now != self._told.get(scope, (0, False)):
                self._told[scope] = now
                self._changed.append(scope)
        if self._due_since is not None:
            self._say(self._due_since)
            self._due_since = None

    # What other flows may ask.

    def total(self, scope: str) -> int:
        """A scope's total liability, minor units: its worst case, or a bound of it."""
        book = self._books.get(scope)
        return book.total if book is not None else 0

    def is_bound(self, scope: str) -> bool:
        """Whether a scope's total may be more than its worst case."""
        book = self._books.get(scope)
        return book is not None and book.is_bound

    def gross(self, scope: str) -> int:
        """What all open wagers of a scope would pay if each of them won, cash risk included; minor units."""
        book = self._books.get(scope)
        return book.gross if book is not None else 0

    def market_liability(self, scope: str, market: str) -> int:
        """L of the straight wagers of a market in a scope, minor units."""
        book = self._books.get(scope)
        of = book.markets.get(market) if book is not None else None
        return liability(of.row(book)) if book is not None and of is not None else 0

    def take_changed(self) -> list[str]:
        """The scopes whose total, or whether it is a bound, has changed; as of the last flush."""
        changed, self._changed = self._changed, []
        return changed

    # Facts.

    def _market(self, fact: Fact) -> None:
        market = expect(fact, facts.Market)
        self._belongs(market.market_id, market.event_id)
        self._told_markets[market.market_id] = None

    def _market_status(self, fact: Fact) -> None:
        market = expect(fact, facts.MarketStatusChanged).market_id
        if self._book.market(market) is None:
            self._belongs(market, None)
        self._told_markets[market] = None

    def _price(self, fact: Fact) -> None:
        self._told_markets[expect(fact, facts.MarketPriceChanged).market_id] = None

    def _belongs(self, market: str, event: str | None) -> None:
        before = self._event_of.get(market)
        if before == event:
            return
        self._told_markets[market] = None
        for each in (before, event):
            if each is not None:
                self._told_markets[EVENT + each] = None
        if before is not None:
            del self._events[before][market]
            if not self._events[before]:
                del self._events[before]
            del self._event_of[market]
        if event is not None:
            self._events.setdefault(event, {})[market] = None
            self._event_of[market] = event

    def _moved(self, fact: Fact) -> None:
        move = self._book.move
        if move.closed is not None:
            self._take(move.closed)
        if move.opened is not None:
            self._add(move.opened)

    def _resulted(self, fact: Fact) -> None:
        told = expect(fact, facts.MarketResulted)
        market = told.market_id
        rows = tuple([(each.selection_id, each.result, each.void, each.dead_heat) for each in told.results])
        at_ms = max(self._book.counts_at(fact), self.watermark_ms)
        of = self._markets[market].wagers if market in self._markets else {}
        wagers = [of[id] for id in sorted(of)]
        for wager in wagers:
            self._take(wager)
        self._graded[market] = results_of(rows)
        self._results.put(market, ResultRow(at_ms, rows))
        heapq.heappush(self._result_ends, (at_ms, market))
        for wager in wagers:
            self._add(wager)

    def _forget_results(self) -> None:
        ends = self._result_ends
        while ends and ends[0][0] <= self.watermark_ms - RESULTS_MS:
            at_ms, market = heapq.heappop(ends)
            row = self._results.get(market)
            if row is None or row.at_ms != at_ms:
                continue
            if market in self._markets:
                self._results.put(market, ResultRow(self.watermark_ms, row.rows))
                heapq.heappush(ends, (self.watermark_ms, market))
            else:
                self._results.pop(market)
                del self._graded[market]

    # What wagers do to every scope above them.

    def _scope(self, path: str) -> ScopeBook:
        book = self._books.get(path)
        if book is None:
            book = self._books[path] = ScopeBook(path)
            self._views[path] = ScopeView()
        return book

    def _leaf(self, path: str, gross: int) -> _Leaf:
        """Where a wager is; noted as touched.

        Args:
            gross: by which what would be paid at most rises there.
        """
        leaf = self._leaves.get(path)
        if leaf is None:
            leaf = self._leaves[path] = _Leaf(tuple([self._scope(each) for each in ancestors(path)]))
            for scope in leaf.scopes:
                scope.below[path] = None
        if not leaf.is_touched:
            leaf.is_touched = True
            self._touched.append(leaf)
        leaf.gross += gross
        return leaf

    def _add(self, wager: OpenWager) -> None:
        path, legs = wager.path, wager.legs
        pays = wager.cash + wager.to_win
        leaf = self._leaf(path, pays)
        if len(legs) != 1:
            self._add_parlay(wager, leaf)
            return
        leg = legs[0]
        market = self._market_of(leg.market_id)
        market.wagers[wager.wager_id] = wager
        market.straight[path] = market.straight.get(path, 0) + 1
        leaf.stirred[market.id] = None
        if market.id in self._graded and (owed := certain(wager, self._graded)) is not None:
            market.know(leaf.scopes, owed)
            return
        place = market.places.get(leg.selection_id) or market.place(leg.selection_id)
        market.net(leaf.scopes, place, wager.cash, pays, surely=wager.to_win)

    def _take(self, wager: OpenWager) -> None:
        path, legs = wager.path, wager.legs
        pays = wager.cash + wager.to_win
        leaf = self._leaf(path, -pays)
        if len(legs) != 1:
            self._take_parlay(wager, leaf)
            return
        leg = legs[0]
        market = self._markets[leg.market_id]
        count = market.straight[path] - 1
        if count:
            market.straight[path] = count
        else:
            del market.straight[path]
        leaf.stirred[market.id] = None
        if market.id in self._graded and (owed := certain(wager, self._graded)) is not None:
            market.know(leaf.scopes, -owed)
        else:
            market.net(leaf.scopes, market.places[leg.selection_id], -wager.cash, -pays, surely=wager.cash)
        self._unnote(market, wager)

    def _add_parlay(self, wager: OpenWager, leaf: _Leaf) -> None:
        """A wager of several legs, or of none that is known."""
        if not wager.legs:
            _add_blind(leaf, wager.to_win, 1)
            return
        for leg in wager.legs:
            market = self._market_of(leg.market_id)
            market.wagers[wager.wager_id] = wager
            leaf.stirred[market.id] = None
        parlay = self._parlays[wager.wager_id] = graded(wager, self._graded)
        for scope in leaf.scopes:
            scope.parlays += 1
        if parlay is None:
            return
        for id in parlay.markets:
            market = self._markets[id]
            market.parlays.setdefault(wager.path, {})[wager.wager_id] = parlay
            market.link(leaf.scopes, 1)
        for scope in leaf.scopes:
            scope.potential += parlay.profit
            if scope.linked.components:
                scope.linked.opened(parlay)

    def _take_parlay(self, wager: OpenWager, leaf: _Leaf) -> None:
        if not wager.legs:
            _add_blind(leaf, -wager.to_win, -1)
            return
        parlay = self._parlays.pop(wager.wager_id)
        for scope in leaf.scopes:
            scope.parlays -= 1
        if parlay is not None:
            self._unlink(wager, parlay, leaf)
        for id in dict.fromkeys(leg.market_id for leg in wager.legs):
            leaf.stirred[id] = None
            self._unnote(self._markets[id], wager)

    def _unlink(self, wager: OpenWager, parlay: Parlay, leaf: _Leaf) -> None:
        for id in parlay.markets:
            market = self._markets[id]
            of = market.parlays[wager.path]
            del of[wager.wager_id]
            if not of:
                del market.parlays[wager.path]
            market.link(leaf.scopes, -1)
        for scope in leaf.scopes:
            scope.potential -= parlay.profit
            if parlay.legs and (scope.linked.components or scope.linked.loose_relief):
                scope.linked.closed(parlay)

    def _market_of(self, id: str) -> MarketBook:
        market = self._markets.get(id)
        if market is None:
            market = self._markets[id] = MarketBook(id)
        return market

    def _unnote(self, market: MarketBook, wager: OpenWager) -> None:
        del market.wagers[wager.wager_id]
        if not market.wagers:
            del self._markets[market.id]

    def _share_gross(self) -> dict[str, ScopeBook]:
        """Bring what would be paid at most to every scope; returns those that anything has touched."""
        touched: dict[str, ScopeBook] = {}
        for leaf in self._touched:
            for book in leaf.scopes:
                book.gross += leaf.gross
                touched[book.path] = book
            leaf.gross, leaf.is_touched = 0, False
        self._touched = []
        return touched

    def _share_stirred(self) -> None:
        """Bring what has changed to every scope."""
        for leaf in self._leaves.values():
            if leaf.stirred:
                for book in leaf.scopes:
                    self._views[book.path].stirred.update(leaf.stirred)
                    book.linked.stirred.update(leaf.stirred)
                leaf.stirred = {}

    def _keep(self, book: ScopeBook) -> None:
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

    # Searching.

    def _search(self) -> dict[str, ScopeBook]:
        """Search components that have changed, as many as this step may; returns their scopes."""
        step = self._step.get("now") or StepRow()
        left = self._settings.states_step_max - step.debt
        searched: dict[str, ScopeBook] = {}
        after = msgspec.structs.replace(step, debt=max(0, -left))
        if left > 0:
            scope, key = "", ""
            for book, markets, parlays in self._waiting(step.scope, step.key):
                if left <= 0:
                    break
                left -= self._search_one(book, markets, parlays)
                searched[book.path] = book
                scope, key = book.path, markets[0]
            else:
                scope, key = "", ""
            after = StepRow(max(0, -left), scope, key)
        if after != step:
            self._step.put("now", after)
        for book in searched.values():
            self._keep(book)
        return searched

    def _waiting(self, scope: str, key: str) -> Iterator[tuple[ScopeBook, list[str], list[Parlay]]]:
        """The components to be searched: the book's, then its sub-trees' by level, going on after a component."""
        stirred = sorted((book for book in self._books.values() if book.linked.stirred), key=_level)
        begin = _level(self._scope(scope)) if scope else (-1, "")
        for book in stirred:
            if _level(book) >= begin:
                for part in components(book):
                    if book.path != scope or part[0][0] > key:
                        yield book, *part
        for book in stirred:
            if _level(book) < begin or book.path == scope:
                for part in components(book):
                    if book.path != scope or part[0][0] <= key:
                        yield book, *part

    def _search_one(self, book: ScopeBook, markets: list[str], parlays: list[Parlay]) -> int:
        """Search a component and take what is found; returns the states it took."""
        bound = sum(parlay.profit for parlay in parlays)
        straights: dict[str, Straight] = {}
        for market in markets:
            of = book.markets[market]
            row = of.row(book)
            paid = {each: row[place] for each, place in of.places.items() if row[place]}
            straights[market] = Straight(row[RISK], paid)
            bound += at_risk(row)
        found = worst(straights, parlays, self._settings.states_max)
        component = Component(markets[0], markets, max(0, bound - found.loss), is_exact=found.exact)
        book.linked.settle(component)
        self._found.put(f"{book.path}|{component.key}", FoundRow(component.relief, component.is_exact))
        return found.states

    # Saying.

    def _say(self, since: int) -> None:
        """The documents that have changed, of the scopes whose turn it is."""
        for told in self._told_by_turn:
            told.update(self._told_markets)
        self._told_markets = {}
        turns = [turn for turn in range(DEEP) if (self._slot - turn) // DEEP > (since - turn) // DEEP]
        if self._book.agent_count < AGENTS_MANY:
            turns = list(range(DEEP))
        for scope in sorted(self._books):
            turn = _turn(scope)
            if turn == SHALLOW or turn in turns:
                self._say_scope(self._books[scope], self._views[scope], self._told_by_turn[turn])
        for turn in (*turns, SHALLOW):
            self._told_by_turn[turn] = {}

    def _say_scope(self, book: ScopeBook, view: ScopeView, told: dict[str, None]) -> None:
        if view.stale and (SUMMARY in view.shown or not book.is_empty):
            self._view(book, SUMMARY, summary(book))
            if SUMMARY not in view.shown:
                view.shown[SUMMARY] = None
                self._shown.put(f"{book.path}|{SUMMARY}", 1)
        view.stale = False
        everything = view.everything
        changed = dict.fromkeys(view.take_stirred(book))
        if not everything and not changed and told.keys().isdisjoint(view.shown):
            return
        changed.update(told)
        shown: dict[str, None] = {SUMMARY: None} if SUMMARY in view.shown else {}
        for market in view.ranking.top(self._settings.markets_max, book):
            shown[market] = None
            if market in changed or market not in view.shown:
                self._view(book, market, market_document(book, book.markets[market], self._book.market(market)))
        for event in dict.fromkeys(self._event_of[each] for each in shown if each in self._event_of):
            key = EVENT + event
            markets = sorted(self._events[event])
            if key not in view.shown or key in changed or any(each in changed for each in markets):
                self._view(book, key, self._event(book, event, markets))
            shown[key] = None
        self._show(book, view, shown)

    def _event(self, book: ScopeBook, event: str, markets: list[str]) -> Document:
        known = self._book.market(markets[0])
        return event_document(book, event, known.event_name if known is not None else "", markets)

    def _show(self, book: ScopeBook, view: ScopeView, shown: dict[str, None]) -> None:
        """Remove the documents that are no longer shown, and remember which are."""
        if shown.keys() == view.shown.keys():
            return
        for key in sorted(view.shown.keys() - shown.keys()):
            self._view(book, key, None)
            self._shown.pop(f"{book.path}|{key}")
        for key in shown:
            if key not in view.shown:
                self._shown.put(f"{book.path}|{key}", 1)
        view.shown = shown

    def _view(self, book: ScopeBook, key: str, document: Document | None) -> None:
        self.out.view("exposure", book.path, key, "update", self.watermark_ms, document)


def _add_blind(leaf: _Leaf, profit: int, opened: int) -> None:
    """A wager whose legs are not known."""
    for scope in leaf.scopes:
        scope.potential += profit
        scope.blind += opened


def _level(book: ScopeBook) -> tuple[int, str]:
    return (0 if book.path == ROOT else book.path.count("/")), book.path


@lru_cache(maxsize=65_536)
def _turn(scope: str) -> int:
    """In which of the intervals a scope is said."""
    return SHALLOW if scope.count("/") <= 1 else crc32(scope.encode()) % DEEP

"""Which documents of the `exposure` view are said when.

Documents cost more than the figures in them, so they are said once in an interval, and only those that have changed; a
large book's many small scopes take turns. What is said depends on the books as they are at that moment alone.
"""

from collections.abc import Container, Iterable
from functools import lru_cache
from typing import Final
from zlib import crc32

from fire22.flows.backlog import Backlog
from fire22.flows.base import Emitter, Table
from fire22.sportsbook.exposure.books import Books
from fire22.sportsbook.exposure.documents import EVENT, SUMMARY, Document, event_document, market_document, summary
from fire22.sportsbook.exposure.netting import ScopeBook
from fire22.sportsbook.exposure.top_markets import Ranking
from fire22.sportsbook.registry.flow import Registry

DEEP: Final = 10  # in a large book sub-trees below the first level are said every so many intervals, some in each
SHALLOW: Final = DEEP  # the turn of the others: always
AGENTS_MANY: Final = 16  # with so many a book is large


class ScopeView:
    """What is shown of one scope.

    Args:
        everything: whether any market may have changed.
        stale: whether the sums may have.
        ranking: which markets are shown.
        shown: the keys of the documents there are.
    """

    __slots__ = ("everything", "ranking", "shown", "stale")

    def __init__(self) -> None:
        self.everything = True
        self.stale = True
        self.ranking = Ranking()
        self.shown: dict[str, None] = {}

    def take_stirred(self, book: ScopeBook) -> dict[str, None]:
        """The markets that have changed since the last call, told to the ranking."""
        stirred = dict.fromkeys(self.ranking.markets) | book.stirred if self.everything else book.stirred
        self.ranking.moved(stirred, book)
        self.everything, book.stirred = False, {}
        return stirred


class View:
    """Says the documents of all scopes.

    Args:
        registry: what is known of markets.
    """

    def __init__(self, registry: Registry) -> None:
        self.out: Emitter
        self._registry = registry
        self._shown: Table[list[str]] = Table("shown", list[str])
        self._unsaid: Table[int] = Table("unsaid", int)
        self.tables: tuple[Table[object], ...] = (self._shown, self._unsaid)  # type: ignore[assignment]
        self.clear()

    def clear(self) -> None:
        """Begin anew; nothing is said."""
        self._scopes: dict[str, ScopeView] = {}
        self._events: dict[str, dict[str, None]] = {}
        self._event_of: dict[str, str] = {}
        self._told: dict[str, None] = {}
        self._expired = False
        self._told_by_turn: list[dict[str, None]] = [{} for _ in range(DEEP + 1)]
        self._tells = False  # whether something was told of a market since the last flush
        self._backlog = Backlog("exposure")
        self._at_ms = 0

    def restore(self, books: Books) -> None:
        """Take what was shown before a restart; every market with an open wager has just been stirred."""
        for scope, keys in self._shown:
            books.scope(scope)
            self.scope(scope).shown = dict.fromkeys(keys)
        for market, known in self._registry.markets():
            self.belongs(market, known.event_id)
        self._told, self._expired, self._tells = {}, False, False
        for scope, since_ms in self._unsaid:
            self._backlog.add(scope, since_ms)
        self._backlog.tell(self.out)

    def scope(self, path: str) -> ScopeView:
        """What is shown of a scope."""
        view = self._scopes.get(path)
        if view is None:
            view = self._scopes[path] = ScopeView()
        return view

    def expire(self) -> None:
        """Everything may be other than it was said."""
        for view in self._scopes.values():
            view.everything = view.stale = True
        self._expired = True

    def told(self, market: str) -> None:
        """Something is known anew of a market that is no wager: its prices, its status."""
        self._told[market] = None
        self._tells = True

    def belongs(self, market: str, event: str | None) -> None:
        """A market is of an event from now on; None is of none."""
        self._told[market] = None
        self._tells = True
        before = self._event_of.get(market)
        if before == event:
            return
        for each in (before, event):
            if each is not None:
                self._told[EVENT + each] = None
        if before is not None:
            del self._events[before][market]
            if not self._events[before]:
                del self._events[before]
            del self._event_of[market]
        if event is not None:
            self._events.setdefault(event, {})[market] = None
            self._event_of[market] = event

    def wait(self, touched: Iterable[str], since_ms: int, turns: list[int] | None) -> None:
        """What has changed waits for its turn, unless that is now.

        Args:
            touched: the scopes whose figures a group has changed.
            since_ms: the watermark before the group.
            turns: of the scopes that are said now, as of `say`; None where nothing is.
        """
        for scope in touched:
            if turns is None or not _is_due(scope, turns):
                self._wait(scope, since_ms)
        # What is told of a market concerns whoever shows anything: those that are kept, whatever else has a book.
        if self._expired or self._tells:
            for scope, _ in self._shown:
                if turns is None or not _is_due(scope, turns):
                    self._wait(scope, since_ms)
            self._expired = self._tells = False

    def _wait(self, scope: str, since_ms: int) -> None:
        if scope not in self._backlog:
            self._unsaid.put(scope, since_ms)
            self._backlog.add(scope, since_ms)

    def oldest(self) -> int | None:
        """Whose turn it is when nothing else happens: that of who has waited longest; None where nobody waits."""
        found = min(((since_ms, scope) for scope, since_ms in self._unsaid), default=None)
        return None if found is None else _turn(found[1])

    def turns(self, since: int, slot: int) -> list[int]:
        """Whose turn it is by the watermark.

        Args:
            since: the interval in which they were last said.
            slot: the interval that it is now.
        """
        if self._registry.agent_count < AGENTS_MANY:
            return list(range(DEEP))
        return [turn for turn in range(DEEP) if (slot - turn) // DEEP > (since - turn) // DEEP]

    def say(self, books: Books, turns: list[int], at_ms: int, markets_max: int) -> None:
        """The documents that have changed, of the scopes whose turn it is.

        Args:
            turns: of scopes below the first level; the others always are.
            at_ms: of the watermark.
        """
        self._at_ms = at_ms
        for told in self._told_by_turn:
            told.update(self._told)
        self._told = {}
        # A scope that waits may have no book any more: after a restart there are only those with open wagers.
        for scope in sorted(books.scopes.keys() | dict(self._unsaid).keys()):
            if _is_due(scope, turns):
                book = books.scopes.get(scope)
                if book is not None:
                    self._say_scope(book, self._told_by_turn[_turn(scope)], markets_max)
                since_ms = self._unsaid.pop(scope)
                if since_ms is not None:
                    self._backlog.remove(scope, since_ms)
        for turn in (*turns, SHALLOW):
            self._told_by_turn[turn] = {}

    def tell(self) -> None:
        """Tell which scopes wait."""
        self._backlog.tell(self.out)

    def _say_scope(self, book: ScopeBook, told: dict[str, None], markets_max: int) -> None:
        view = self.scope(book.path)
        everything = view.everything
        changed = view.take_stirred(book)
        at_stake = len(view.ranking.markets)
        if view.stale and (SUMMARY in view.shown or at_stake or book.parlays or book.blind):
            self._put(book, SUMMARY, summary(book, at_stake, self._registry.money.major))
            if SUMMARY not in view.shown:
                self._remember(book, view, {**view.shown, SUMMARY: None})
        view.stale = False
        if not everything and not changed and told.keys().isdisjoint(view.shown):
            return
        changed.update(told)
        shown: dict[str, None] = {SUMMARY: None} if SUMMARY in view.shown else {}
        for market in view.ranking.top(markets_max, book):
            shown[market] = None
            if market in changed or market not in view.shown:
                of, known = book.markets[market], self._registry.market(market)
                self._put(book, market, market_document(book, of, known, self._registry.money.major))
        for event in dict.fromkeys(self._event_of[each] for each in shown if each in self._event_of):
            key = EVENT + event
            if key not in view.shown or key in changed or not changed.keys().isdisjoint(self._events[event]):
                self._put(book, key, self._event(book, event, view.ranking.markets))
            shown[key] = None
        self._show(book, view, shown)

    def _event(self, book: ScopeBook, event: str, at_stake: Container[str]) -> Document:
        markets = self._events[event]
        known = self._registry.market(min(markets))
        name = known.event_name if known is not None else ""
        return event_document(
            book, event, name, sorted(each for each in markets if each in at_stake), self._registry.money.major
        )

    def _show(self, book: ScopeBook, view: ScopeView, shown: dict[str, None]) -> None:
        """Remove the documents that are no longer shown, and remember which are."""
        if shown.keys() == view.shown.keys():
            return
        for key in sorted(view.shown.keys() - shown.keys()):
            self._put(book, key, None)
        self._remember(book, view, shown)

    def _remember(self, book: ScopeBook, view: ScopeView, shown: dict[str, None]) -> None:
        view.shown = shown
        self._shown.put(book.path, list(shown))

    def _put(self, book: ScopeBook, key: str, document: Document | None) -> None:
        self.out.view("exposure", book.path, key, "update", self._at_ms, document)


@lru_cache(maxsize=65_536)
def _turn(scope: str) -> int:
    """In which of the intervals a scope is said."""
    return SHALLOW if scope.count("/") <= 1 else crc32(scope.encode()) % DEEP


def _is_due(scope: str, turns: list[int]) -> bool:
    """Whether a scope is said when it is the turn of some."""
    turn = _turn(scope)
    return turn == SHALLOW or turn in turns

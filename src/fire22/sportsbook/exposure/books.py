"""Every open wager in the books of all scopes that see it."""

from fire22.core.scope import ROOT, ancestors
from fire22.sportsbook.betting.wager_types import PLAIN
from fire22.sportsbook.exposure.netting import MarketBook, ScopeBook
from fire22.sportsbook.exposure.parlay import Parlay, Results, certain, graded, shares
from fire22.sportsbook.registry.open_wager import OpenWager


class AgentScopes:
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


class Books:
    """The books of all scopes and markets, kept while wagers come and go.

    Args:
        scopes: by path.
        markets: those with an open wager, by id.
        parlays: the parlays of open wagers by the wager's id; None is one that is lost. Empty where nothing more is
            known of a wager than what it wins at most.
    """

    def __init__(self) -> None:
        self.markets: dict[str, MarketBook] = {}
        self.scopes: dict[str, ScopeBook] = {}
        self.scope(ROOT)
        self.parlays: dict[str, list[Parlay | None]] = {}
        self._results: dict[str, Results] = {}
        self._leaves: dict[str, AgentScopes] = {}
        self._touched: list[AgentScopes] = []

    def scope(self, path: str) -> ScopeBook:
        """The book of a scope."""
        book = self.scopes.get(path)
        if book is None:
            above = self.scope(ancestors(path)[-2]).chain if path != ROOT else ()
            book = self.scopes[path] = ScopeBook(path, above, self.markets)
        return book

    def result(self, market: str, results: Results | None) -> None:
        """A market has other results than before; None is as if none had been told."""
        of = self.markets[market].wagers if market in self.markets else {}
        wagers = [of[id] for id in sorted(of)]
        for wager in wagers:
            self.take(wager)
        if results is None:
            self._results.pop(market, None)
        else:
            self._results[market] = results
        for wager in wagers:
            self.add(wager)

    def take_touched(self) -> dict[str, ScopeBook]:
        """The scopes that anything has touched since the last call, by path; they get what would be paid at most."""
        touched: dict[str, ScopeBook] = {}
        for leaf in self._touched:
            for book in leaf.scopes:
                book.gross += leaf.gross
                touched[book.path] = book
            leaf.gross, leaf.is_touched = 0, False
        self._touched = []
        return touched

    def share_stirred(self) -> None:
        """Tell every scope which of its markets have changed."""
        for leaf in self._leaves.values():
            if not leaf.stirred:
                continue
            stirred, leaf.stirred = leaf.stirred, {}
            # A market without parlays now is stirred anew when one comes.
            linked = {id: None for id in stirred if id in self.markets and self.markets[id].parlays}
            for book in leaf.scopes:
                book.stirred.update(stirred)
                book.linked.stirred.update(linked)

    def _leaf(self, path: str, gross: int) -> AgentScopes:
        """Where a wager is; noted as touched.

        Args:
            gross: by which what would be paid at most rises there.
        """
        leaf = self._leaves.get(path)
        if leaf is None:
            leaf = self._leaves[path] = AgentScopes(self.scope(path).chain)
            for scope in leaf.scopes:
                scope.below[path] = None
        if not leaf.is_touched:
            leaf.is_touched = True
            self._touched.append(leaf)
        leaf.gross += gross
        return leaf

    def add(self, wager: OpenWager) -> None:
        """A wager is open from now on."""
        path, legs = wager.path, wager.legs
        pays = wager.cash + wager.to_win
        leaf = self._leaf(path, pays)
        if len(legs) != 1 or wager.type not in PLAIN:
            self._add_parlay(wager, leaf)
            return
        leg = legs[0]
        market = self._market_of(leg.market_id)
        market.wagers[wager.wager_id] = wager
        leaf.stirred[market.id] = None
        if market.id in self._results and (owed := certain(wager, self._results)) is not None:
            market.know(leaf.scopes, 1, owed)
        else:
            market.add(leaf.scopes, market.place(leg.selection_id), wager.cash, wager.to_win)

    def take(self, wager: OpenWager) -> None:
        """A wager is open no longer; it must be as it was when it was added."""
        path, legs = wager.path, wager.legs
        pays = wager.cash + wager.to_win
        leaf = self._leaf(path, -pays)
        if len(legs) != 1 or wager.type not in PLAIN:
            self._take_parlay(wager, leaf)
            return
        leg = legs[0]
        market = self.markets[leg.market_id]
        leaf.stirred[market.id] = None
        if market.id in self._results and (owed := certain(wager, self._results)) is not None:
            market.know(leaf.scopes, -1, -owed)
        else:
            market.take(leaf.scopes, market.places[leg.selection_id], wager.cash, wager.to_win)
        self._unnote(market, wager)

    def _add_parlay(self, wager: OpenWager, leaf: AgentScopes) -> None:
        """A wager that is no straight one with a leg that is known."""
        if not wager.legs:
            _add_blind(leaf, wager.to_win, 1)
            return
        for leg in wager.legs:
            market = self._market_of(leg.market_id)
            market.wagers[wager.wager_id] = wager
            leaf.stirred[market.id] = None
        parts = self.parlays[wager.wager_id] = self._parts(wager)
        for scope in leaf.scopes:
            scope.parlays += 1
        if not parts:
            _add_blind(leaf, wager.to_win, 1)
        for parlay in parts:
            if parlay is not None:
                self._link(wager, parlay, leaf)

    def _parts(self, wager: OpenWager) -> list[Parlay | None]:
        """The parlays of a wager; none where nothing more is known of it than what it wins at most."""
        if wager.type in PLAIN:
            return [graded(wager, self._results)]
        return shares(wager, self._results) or []

    def _link(self, wager: OpenWager, parlay: Parlay, leaf: AgentScopes) -> None:
        for id in parlay.markets:
            market = self.markets[id]
            market.parlays.setdefault(wager.path, {})[parlay.id] = parlay
            market.link(leaf.scopes, 1)
        for scope in leaf.scopes:
            scope.potential += parlay.profit
            if scope.linked.components:
                scope.linked.opened(parlay)

    def _take_parlay(self, wager: OpenWager, leaf: AgentScopes) -> None:
        if not wager.legs:
            _add_blind(leaf, -wager.to_win, -1)
            return
        parts = self.parlays.pop(wager.wager_id)
        for scope in leaf.scopes:
            scope.parlays -= 1
        if not parts:
            _add_blind(leaf, -wager.to_win, -1)
        for parlay in parts:
            if parlay is not None:
                self._unlink(wager, parlay, leaf)
        for id in dict.fromkeys(leg.market_id for leg in wager.legs):
            leaf.stirred[id] = None
            self._unnote(self.markets[id], wager)

    def _unlink(self, wager: OpenWager, parlay: Parlay, leaf: AgentScopes) -> None:
        for id in parlay.markets:
            market = self.markets[id]
            of = market.parlays[wager.path]
            del of[parlay.id]
            if not of:
                del market.parlays[wager.path]
            market.link(leaf.scopes, -1)
        for scope in leaf.scopes:
            scope.potential -= parlay.profit
            if parlay.legs and (scope.linked.components or scope.linked.loose_relief):
                scope.linked.closed(parlay)

    def _market_of(self, id: str) -> MarketBook:
        market = self.markets.get(id)
        if market is None:
            market = self.markets[id] = MarketBook(id)
        return market

    def _unnote(self, market: MarketBook, wager: OpenWager) -> None:
        del market.wagers[wager.wager_id]
        if not market.wagers:
            del self.markets[market.id]


def _add_blind(leaf: AgentScopes, profit: int, opened: int) -> None:
    """A wager of which nothing is known but what it wins at most."""
    for scope in leaf.scopes:
        scope.potential += profit
        scope.blind += opened

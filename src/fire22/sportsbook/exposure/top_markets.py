"""The markets of one scope that can cost most, without sorting all of them each time one moves."""

from collections.abc import Iterable
from typing import Final

from fire22.sportsbook.exposure.netting import Net, ScopeBook

_SPARE: Final = 3  # so many times the wanted markets are watched, so that one may fall without a look at all

Rank = tuple[int, int]  # liability, cash risk
_LOWEST: Final[Rank] = (-1, 0)


class Ranking:
    """Watches the highest markets, and remembers what none of the others exceeds.

    What it answers depends on the markets alone, not on what it watches.

    Attributes:
        markets: those on which something is at stake, by id.
    """

    __slots__ = ("_pool", "_rest", "markets")

    def __init__(self) -> None:
        self.markets: dict[str, None] = {}
        self._pool: dict[str, Rank] = {}
        self._rest = _LOWEST

    def moved(self, stirred: Iterable[str], book: ScopeBook) -> None:
        """Markets have changed, come or gone."""
        pool, rest, markets = self._pool, self._rest, self.markets
        for market in stirred:
            net = book.net(market)
            if net.is_nothing:
                markets.pop(market, None)
                pool.pop(market, None)
                continue
            markets[market] = None
            rank = _rank(net)
            if rank > rest or market in pool:
                pool[market] = rank

    def top(self, count: int, book: ScopeBook) -> list[str]:
        """The highest `count` of a scope's markets by liability, then cash risk; ties by id."""
        ranked = _sorted(self._pool.items())
        watched = _SPARE * count
        if len(ranked) < len(self.markets) and (len(ranked) < count or ranked[count - 1][1] <= self._rest):
            ranked = _sorted((each, _rank(book.net(each))) for each in self.markets)
            self._pool = dict(ranked[:watched])
            self._rest = ranked[watched][1] if len(ranked) > watched else _LOWEST
        elif len(ranked) > 2 * watched:
            self._pool = dict(ranked[:watched])
            self._rest = max(self._rest, ranked[watched][1])
        return [market for market, _ in ranked[:count]]


def _rank(net: Net) -> Rank:
    return net.liability, net.risk


def _sorted(ranks: Iterable[tuple[str, Rank]]) -> list[tuple[str, Rank]]:
    return sorted(ranks, key=lambda each: (-each[1][0], -each[1][1], each[0]))

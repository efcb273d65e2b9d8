"""What can be bet on now: open markets by kind, to be drawn from, found and taken off in constant time."""

from collections.abc import Iterator
from random import Random

from fire22.sportsbook.demo.world import KnownMarket


class Board:
    """The open markets of one kind, in no particular order, but always in the same for the same history."""

    def __init__(self) -> None:
        self._markets: list[KnownMarket] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._markets)

    def __iter__(self) -> Iterator[KnownMarket]:
        return iter(self._markets)

    def add(self, market: KnownMarket) -> None:
        """Put a market on the board, unless it is on it."""
        if market.id in self._places:
            return
        self._places[market.id] = len(self._markets)
        self._markets.append(market)

    def discard(self, market: KnownMarket) -> None:
        """Take a market off the board, if it is on it."""
        place = self._places.pop(market.id, None)
        if place is None:
            return
        last = self._markets.pop()
        if last is not market:
            self._markets[place] = last
            self._places[last.id] = place

    def draw(self, rng: Random) -> KnownMarket | None:
        """Any market; None if there is none."""
        return self._markets[int(rng.random() * len(self._markets))] if self._markets else None


class Boards:
    """Both kinds.

    Args:
        games: markets that close when their game starts.
        quick: markets in play.
    """

    def __init__(self) -> None:
        self.games = Board()
        self.quick = Board()

    def of(self, market: KnownMarket) -> Board:
        """The board a market belongs on."""
        return self.quick if market.in_play else self.games

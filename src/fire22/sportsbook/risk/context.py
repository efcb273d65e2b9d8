"""What every risk rule is given: the book, balances and exposure, prices, and what is remembered of each customer.

All of it is bounded: by a number for each customer, and by time for each market. What is open is derived from the
registry; the rest is kept in tables, that of the customers (`customer_history.py`) by way of a journal.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from fire22.core.message import Json
from fire22.flows.base import Table
from fire22.flows.journal import Journal
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.open_wager import OpenWager
from fire22.sportsbook.registry.records import CustomerRecord, MarketRecord
from fire22.sportsbook.risk.customer_history import CustomerHistory, CustomerHistoryRow, player_of, player_row
from fire22.sportsbook.risk.prices import Prices

JOURNAL_BYTES: Final = 2 << 20  # some 20,000 wagers


class MarketCheck:
    """A market that is not over, and which wagers on it every rule that looks at single legs lets pass.

    Attributes:
        until_ms: accepted up to then ...
        odds: ... at most at these, by selection; at any on one that the market does not name.
    """

    __slots__ = ("market", "odds", "until_ms")

    def __init__(self, market: MarketRecord, until_ms: int, times: float) -> None:
        self.market = market
        self.until_ms = until_ms
        self.odds = {id: selection.odds * times for id, selection in market.selections.items()}


class Balances(Protocol):
    """Knows what the book owes its customers."""

    def balance_minor(self, customer_id: str) -> int:
        """Negative where the customer owes the book."""


class Exposure(Protocol):
    """Knows what the book may lose on its markets."""

    def market_liability(self, scope: str, market: str) -> int:
        """Of the straight wagers, minor units."""

    def market(self, scope: str, market: str) -> Mapping[str, Json] | None:
        """The market's document, in major units: `risk`, `worst`, `outcomes` ..."""


Bet = tuple[str, int, int, str]  # customer, time, stake, wager
Result = tuple[str, int, str]  # customer, time, the wager if it was lost


class GroupHistory(NamedTuple):
    """What one commit group did to customers."""

    bets: list[Bet]
    results: list[Result]


class RuleContext:
    """Kept up to date by the flow `risk` before its rules look at a fact.

    Args:
        book: has seen each fact first.
        balances, exposure: likewise.

    Attributes:
        known: the players that were asked for; `player` finds every one.
        offers: of markets, from a wager on them to the next change of anything that decides which wagers pass.
    """

    def __init__(self, book: Registry, balances: Balances, exposure: Exposure) -> None:
        self.book = book
        self.balances = balances
        self.exposure = exposure
        self.players: Table[CustomerHistory] = Table(
            "player", CustomerHistory, enc_hook=player_row, dec_hook=player_of, format=CustomerHistoryRow
        )
        self.known: dict[str, CustomerHistory] = {}
        self.offers: dict[str, MarketCheck] = {}
        self.prices = Prices(book)
        self.watermark_ms = 0
        self._journal: Journal[GroupHistory] = Journal("journal", GroupHistory, JOURNAL_BYTES)
        self._bets: list[OpenWager] = []
        self._results: list[Result] = []
        self._renamed: dict[str, None] = {}  # in this group, both codes of each

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Players, what the last groups did to them, courses of prices, closing prices."""
        return (self.players, self._journal.table, *self.prices.tables)

    def loaded(self, watermark_ms: int) -> None:
        """Derive what the rows do not have yet, and what is open."""
        self.watermark_ms = watermark_ms
        self.known.clear()
        self.offers.clear()
        for number, (bets, results) in self._journal.loaded():
            for customer_id, at_ms, stake, wager_id in bets:
                player = self.player(customer_id)
                if player.stored < number:
                    player.bet(at_ms, stake, wager_id)
            for customer_id, at_ms, lost in results:
                player = self.player(customer_id)
                if player.stored < number:
                    player.result(at_ms, lost)
        for wager in self.book.wagers():
            self.player(wager.customer_id).opened(wager)
        self.prices.loaded()

    # Customers.

    def player(self, customer_id: str) -> CustomerHistory:
        """What is remembered of a customer."""
        player = self.known.get(customer_id) or self.players.get(customer_id)
        if player is None:
            player = CustomerHistory()
            self.players.keep(customer_id, player)
        self.known[customer_id] = player
        return player

    def customer(self, player: CustomerHistory, wager: OpenWager) -> CustomerRecord:
        """Who placed a wager."""
        known = player.row = self.book.customer(wager.customer_id)
        return known if known is not None else CustomerRecord(wager.agent_id, wager.path, "", "")

    def open_minor(self, customer_id: str) -> int:
        """The cash at risk in what a customer has open."""
        player = self.players.get(customer_id)
        return player.cash if player is not None else 0

    def told_of(self, customer_id: str) -> None:
        """What the registry knows of a customer may have changed."""
        player = self.players.get(customer_id)
        if player is not None:
            player.row = None

    def placed(self, player: CustomerHistory, wager: OpenWager) -> int:
        """Remember a bet that is open; returns its place among the player's."""
        player.cash += wager.cash
        player.to_win += wager.to_win
        player.count += 1
        self._bets.append(wager)
        return player.bet(wager.at_ms, wager.cash, wager.wager_id)

    def settled(self, player: CustomerHistory, wager: OpenWager, at_ms: int, returned: int) -> None:
        """Remember how a wager ended; one whose stake went back, and a free play that was lost, say nothing."""
        player.cash -= wager.cash
        player.to_win -= wager.to_win
        player.count -= 1
        if returned != wager.cash:
            lost = wager.wager_id if returned < wager.cash else ""
            self._results.append((wager.customer_id, at_ms, lost))
            player.result(at_ms, lost)

    def renamed(self, before: str, customer_id: str) -> None:
        """What is remembered of a customer is remembered under another code."""
        player = self.player(before)
        player.row = None
        self.known[customer_id] = player
        self.players.put(customer_id, player)
        # What the journal has under the old code must not count for whoever comes under it.
        self.known.pop(before)
        self.players.put(before, CustomerHistory())
        self._bets = [
            msgspec.structs.replace(bet, customer_id=customer_id) if bet.customer_id == before else bet
            for bet in self._bets
        ]
        self._results = [(customer_id, *each[1:]) if each[0] == before else each for each in self._results]
        self._renamed |= dict.fromkeys((before, customer_id))

    def flush(self) -> None:
        """Store what the group did, and the players of the groups that are dropped."""
        self._store()
        for customer_id in self._renamed:
            player = self.player(customer_id)
            player.stored = self._journal.last
            self.players.put(customer_id, player)
        self._renamed = {}

    def _store(self) -> None:
        if not self._bets and not self._results:
            return
        players, journal = self.players, self._journal
        bets = [(one.customer_id, one.at_ms, one.cash, one.wager_id) for one in self._bets]
        for number, dropped in journal.add(GroupHistory(bets, self._results)):
            for customer_id in [*[bet[0] for bet in dropped.bets], *[result[0] for result in dropped.results]]:
                player = self.player(customer_id)
                if player.stored < number:
                    player.stored = journal.last
                    players.put(customer_id, player)
        self._bets, self._results = [], []

    def clock(self, now_ms: int) -> None:
        """Forget what is too old."""
        self.watermark_ms = now_ms
        self.prices.expire(now_ms)

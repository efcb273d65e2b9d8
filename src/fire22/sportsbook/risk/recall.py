"""What the risk rules share: what is remembered of each customer (`customer_history.py`), and the course of prices.

All of it is bounded: by a number for each customer, and by time for each market. What is open is derived from the
registry; the rest is kept in tables, that of the customers by way of a journal.
"""

import heapq
from collections.abc import Mapping
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Struct

from fire22.core.message import Json
from fire22.flows.base import Table
from fire22.flows.journal import Journal
from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.flow import Customer, Market, OpenWager, Registry
from fire22.sportsbook.risk.customer_history import Player, PlayerRow, player_of, player_row

JOURNAL_BYTES: Final = 2 << 20  # some 20,000 wagers
CHANGES_KEPT: Final = 8  # of a price
COURSE_MS: Final = 3_600_000  # a price that has not moved for so long has no course
CLOSING_MS: Final = 14 * 86_400_000  # parlays may wait for long after a market of theirs has closed
CLOSING_LIVE_MS: Final = 3_600_000
LIVE: Final = "in_play"


class Fading(Struct, gc=False, array_like=True):
    """A row that is forgotten some time after it was last touched."""

    touched_ms: int


FadingRow = TypeVar("FadingRow", bound=Fading)


class Memory(Generic[FadingRow]):
    """A table whose rows are forgotten: each once the watermark has passed its time by `span_ms`."""

    def __init__(self, name: str, type: type[FadingRow], span_ms: int) -> None:
        self.table: Table[FadingRow] = Table(name, type)
        self.span_ms = span_ms
        self.get = self.table.get
        self.pop = self.table.pop
        self._ends: list[tuple[int, str]] = []
        self._queued: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.table)

    def add(self, key: str, row: FadingRow) -> None:
        """Keep a new row."""
        self.table.put(key, row)
        queued_ms = self._queued.get(key)
        if queued_ms is None or row.touched_ms < queued_ms:
            self._queue(key, row.touched_ms)

    def touch(self, key: str, row: FadingRow) -> None:
        """A row that is kept has changed; its time has not become earlier."""
        self.table.put(key, row)

    def loaded(self) -> None:
        """Derive when which row ends."""
        self._ends, self._queued = [], {}
        for key, row in self.table:
            self._queue(key, row.touched_ms)

    def expire(self, now_ms: int) -> None:
        """Forget what has not been touched for `span_ms`."""
        since_ms = now_ms - self.span_ms
        ends = self._ends
        while ends and ends[0][0] <= since_ms:
            at_ms, key = heapq.heappop(ends)
            if self._queued.get(key) != at_ms:
                continue  # it was queued again, earlier
            del self._queued[key]
            row = self.table.get(key)
            if row is not None and row.touched_ms <= since_ms:
                self.table.pop(key)
            elif row is not None:
                self._queue(key, row.touched_ms)

    def _queue(self, key: str, at_ms: int) -> None:
        self._queued[key] = at_ms
        heapq.heappush(self._ends, (at_ms, key))


class Change(Struct, frozen=True, gc=False, array_like=True):
    """A price until a time."""

    until_ms: int
    odds: float


class Course(Fading, gc=False, array_like=True):
    """How the price of a selection has come to what it is: the newest changes, oldest first."""

    changes: list[Change] = []

    def before(self, at_ms: int) -> float | None:
        """The price as it was at a time; None where it has not changed since."""
        for change in self.changes:
            if change.until_ms > at_ms:
                return change.odds
        return None


class Closing(Fading, gc=False, array_like=True):
    """A market's last prices before it closed.

    Args:
        live: whether it was in play.
    """

    closed_ms: int
    live: bool
    odds: dict[str, float]


class Ended(Struct, gc=False):
    """A market that takes no more wagers, with its last prices."""

    market_id: str
    market: Market
    at_ms: int


class Offer:
    """A market that is not over, and which wagers on it every rule that looks at single legs lets pass.

    Attributes:
        until_ms: accepted up to then ...
        odds: ... at most at these, by selection; at any on one that the market does not name.
    """

    __slots__ = ("market", "odds", "until_ms")

    def __init__(self, market: Market, until_ms: int, times: float) -> None:
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


class Group(NamedTuple):
    """What one commit group did to customers."""

    bets: list[Bet]
    results: list[Result]


class Recall:
    """Kept by the flow `risk` before its rules look at a fact.

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
        self.players: Table[Player] = Table("player", Player, enc_hook=player_row, dec_hook=player_of, format=PlayerRow)
        self.known: dict[str, Player] = {}
        self.offers: dict[str, Offer] = {}
        self.courses: Memory[Course] = Memory("course", Course, COURSE_MS)
        self.closings: Memory[Closing] = Memory("closing", Closing, CLOSING_MS)
        self.watermark_ms = 0
        self._journal: Journal[Group] = Journal("journal", Group, JOURNAL_BYTES)
        self._bets: list[OpenWager] = []
        self._results: list[Result] = []
        self._renamed: dict[str, None] = {}  # in this group, both codes of each

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Players, what the last groups did to them, courses of prices, closing prices."""
        return (self.players, self._journal.table, self.courses.table, self.closings.table)  # type: ignore[return-value]

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
        self.courses.loaded()
        self.closings.loaded()

    # Customers.

    def player(self, customer_id: str) -> Player:
        """What is remembered of a customer."""
        player = self.known.get(customer_id) or self.players.get(customer_id)
        if player is None:
            player = Player()
            self.players.keep(customer_id, player)
        self.known[customer_id] = player
        return player

    def customer(self, player: Player, wager: OpenWager) -> Customer:
        """Who placed a wager."""
        known = player.row = self.book.customer(wager.customer_id)
        return known if known is not None else Customer(wager.agent_id, wager.path, "", "")

    def open_minor(self, customer_id: str) -> int:
        """The cash at risk in what a customer has open."""
        player = self.players.get(customer_id)
        return player.cash if player is not None else 0

    def told_of(self, customer_id: str) -> None:
        """What the registry knows of a customer may have changed."""
        player = self.players.get(customer_id)
        if player is not None:
            player.row = None

    def placed(self, player: Player, wager: OpenWager) -> int:
        """Remember a bet that is open; returns its place among the player's."""
        player.cash += wager.cash
        player.to_win += wager.to_win
        player.count += 1
        self._bets.append(wager)
        return player.bet(wager.at_ms, wager.cash, wager.wager_id)

    def settled(self, player: Player, wager: OpenWager, at_ms: int, returned: int) -> None:
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
        self.players.put(before, Player())
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
        for number, dropped in journal.add(Group(bets, self._results)):
            for customer_id in [*[bet[0] for bet in dropped.bets], *[result[0] for result in dropped.results]]:
                player = self.player(customer_id)
                if player.stored < number:
                    player.stored = journal.last
                    players.put(customer_id, player)
        self._bets, self._results = [], []

    # Prices.

    def priced(self, change: facts.MarketPriceChanged, at_ms: int) -> None:
        """Remember what a price was."""
        course = self.courses.get(change.selection_id)
        if course is None:
            self.courses.add(change.selection_id, Course(at_ms, [Change(at_ms, change.old_odds)]))
            return
        course.touched_ms = max(course.touched_ms, at_ms)
        changes = course.changes
        changes.append(Change(at_ms, change.old_odds))
        if len(changes) > 1 and at_ms < changes[-2].until_ms:
            changes.sort(key=lambda one: one.until_ms)
        if len(changes) > CHANGES_KEPT:
            del changes[0]
        self.courses.touch(change.selection_id, course)

    def market_status(self, changed: facts.MarketStatusChanged, at_ms: int) -> Ended | None:
        """Remember the last prices of a market that has closed; returns it if it has just done so."""
        if changed.status == "open":
            self.closings.pop(changed.market_id)  # it was closed by mistake
            return None
        market = self.book.market(changed.market_id) or self.book.over
        if changed.status == "suspended" or market is None or self.closings.get(changed.market_id) is not None:
            return None
        live = is_live(market)
        odds = {id: selection.odds for id, selection in market.selections.items()}
        # One clock for all rows: those of markets in play are dated back, so that they are forgotten sooner.
        touched_ms = at_ms - CLOSING_MS + CLOSING_LIVE_MS if live else at_ms
        self.closings.add(changed.market_id, Closing(touched_ms, at_ms, live, odds))
        for id in odds:
            self.courses.pop(id)
        return Ended(changed.market_id, market, at_ms)

    def clock(self, now_ms: int) -> None:
        """Forget what is too old."""
        self.watermark_ms = now_ms
        self.courses.expire(now_ms)
        self.closings.expire(now_ms)

    def odds(self, market: Market | None, selection_id: str) -> float | None:
        """The price of a selection now."""
        selection = market.selections.get(selection_id) if market is not None else None
        return selection.odds if selection is not None else None


def is_live(market: Market) -> bool:
    """Whether a market is for wagers while the game is played."""
    return market.type == LIVE or 0 < market.starts_ms < market.closes_ms


def deadline_ms(market: Market) -> int:
    """Until when a market takes wagers; 0 is unknown."""
    return market.closes_ms or (0 if market.type == LIVE else market.starts_ms)


def overround(market: Market) -> float | None:
    """What the prices of all outcomes imply together, the margin above 1; None where outcomes are not known."""
    if len(market.selections) < 2:
        return None
    return sum([1 / selection.odds for selection in market.selections.values()])

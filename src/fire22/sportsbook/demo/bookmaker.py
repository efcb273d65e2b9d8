"""The bookmaker: opens games, moves prices, closes markets, results them and settles what they decide.

Results are drawn from what is true, not from the prices. A market's wagers are settled with it, in one transaction and
under one batch. Sometimes the score of a game in play changes: its quick market is suspended, priced anew and opened
again, and many bet at once.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from random import Random
from typing import Final

from fire22.sportsbook.betting.odds import american_odds
from fire22.sportsbook.book import changes
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.demo import bettors as players
from fire22.sportsbook.demo import offer, prices
from fire22.sportsbook.demo.agenda import Agenda
from fire22.sportsbook.demo.bettors import Choice
from fire22.sportsbook.demo.board import Boards
from fire22.sportsbook.demo.catalogue import Size
from fire22.sportsbook.demo.grading import Grading
from fire22.sportsbook.demo.world import KnownMarket, World

QUICK_RESULT_MS: Final = (5_000, 30_000)  # after it closed
GAME_RESULT_MS: Final = (60_000, 240_000)
LATE_RESULT_MS: Final = (1_000, 30_000)  # of what should have been resulted while nobody simulated
LIVE_GAME_MARKETS: Final = 20
GOALS: Final = 0.35  # of the quick markets that are open for long enough
GOAL_OPEN_MS: Final = 14_000
GOAL_AFTER_MS: Final = (3_000, 5_000)
SUSPENDED_MS: Final = (1_200, 2_500)
GOAL_FORCE: Final = 1.2
DEPTH_MINOR: Final = 2_000_000  # money on one outcome that multiplies its odds against the others with e
QUICK_DEPTH_MINOR: Final = 600_000
POST_MS_MIN: Final = 1_000  # prices of a market are posted at most so often
LIMIT_USED: Final = 0.7  # of a market's limit, by straight wagers


class Bookmaker:
    """Keeps as many games and markets open as there should be.

    Args:
        deep: how much deeper than usual the markets are.
        excited: told of each market whose game has just seen a goal.
    """

    def __init__(
        self,
        rng: Random,
        agenda: Agenda,
        world: World,
        boards: Boards,
        grading: Grading,
        size: Size,
        *,
        deep: float,
        excited: Callable[[KnownMarket, int], None],
    ) -> None:
        self._rng = rng
        self._agenda = agenda
        self._world = world
        self._boards = boards
        self._grading = grading
        self._size = size
        self._deep = deep
        self._excited = excited
        self._events: dict[str, dict[str, None]] = {}  # event → its markets without a result
        self._live_markets: dict[str, int] = {}  # event in play → quick markets so far

    def begin(self, now_ms: int) -> None:
        """Take over the markets that are there."""
        for market in self._world.markets.values():
            self._watch(market, now_ms)
        self._agenda.at(now_ms, self._open_games)

    # What others ask of the bookmaker.

    def accepts(self, choice: Choice, profit_minor: int) -> bool:
        """Whether a straight wager is within the market's limit."""
        market = choice.market
        limit = market.limit_minor * LIMIT_USED * self._deep
        return not limit or market.worst_minor(choice.index, profit_minor) <= limit

    def moved(self, choice: Choice, weight_minor: float, at_ms: int) -> list[Change]:
        """Money has come: the estimate moves, and prices are posted unless they just were.

        Args:
            weight_minor: the stake, by the respect that its customer has earned.
        """
        market = choice.market
        depth = (QUICK_DEPTH_MINOR if market.in_play else DEPTH_MINOR) * self._deep
        market.likely = prices.pushed(market.likely, choice.index, weight_minor / depth)
        wait = market.mistaken or at_ms - market.posted_ms < POST_MS_MIN
        return [] if wait else self._post(market, "money", at_ms)

    def decided(self, market: KnownMarket, status: str, now_ms: int) -> None:
        """Somebody else has set a market's status, or its result: it stays so, until its time is over."""
        market.over = status in ("resulted", "voided")
        market.held = status != "open"
        market.open = not market.held and market.closes_ms > now_ms
        if market.open:
            self._boards.of(market).add(market)
        else:
            self._boards.of(market).discard(market)

    def look(self, at_ms: int) -> list[Change]:
        """See what other books offer for one market."""
        market = self._boards.games.draw(self._rng)
        if market is None:
            return []
        market.likely = prices.pulled(self._rng, market.likely, market.true)
        return self._post(market, "feed", at_ms)

    def misprice(self, choice: Choice, factor: float, at_ms: int) -> list[Change]:
        """Post one price that pays `factor` times what was meant; nobody else is offered the market meanwhile."""
        market = choice.market
        market.mistaken = True
        self._boards.games.discard(market)
        wrong = [one.price for one in market.selections]
        odds = Fraction(factor * players.decimal(wrong[choice.index])).limit_denominator(20)
        wrong[choice.index] = american_odds(odds)
        return self._set(market, wrong, "trader", at_ms)

    def put_right(self, market: KnownMarket, at_ms: int) -> list[Change]:
        """Post what was meant."""
        market.mistaken = False
        if not market.open:
            return []
        self._boards.games.add(market)
        return self._post(market, "trader", at_ms)

    def _post(self, market: KnownMarket, source: str, at_ms: int) -> list[Change]:
        return self._set(market, prices.posted(market.likely), source, at_ms)

    def _set(self, market: KnownMarket, posted: list[int], source: str, at_ms: int) -> list[Change]:
        """Post these prices; only what differs is said."""
        items: list[Change] = []
        for selection, price in zip(market.selections, posted, strict=True):
            if price != selection.price:
                selection.price = price
                items.append(changes.SetPrice(selection.id, price, source, at_ms))
        market.posted_ms = at_ms
        return items

    # Games and markets.

    def _watch(self, market: KnownMarket, now_ms: int) -> None:
        """Expect the end of a market, and what may happen before."""
        self._events.setdefault(market.event_id, {})[market.id] = None
        if market.in_play:
            self._live_markets.setdefault(market.event_id, 1)
        if market.closes_ms <= now_ms:
            self._agenda.after(now_ms, LATE_RESULT_MS, partial(self._result, market))
            return
        self._boards.of(market).add(market)
        self._agenda.at(market.closes_ms, partial(self._close, market))
        if market.in_play and market.closes_ms - now_ms >= GOAL_OPEN_MS and self._rng.random() < GOALS:
            self._agenda.after(now_ms, GOAL_AFTER_MS, partial(self._goal, market))

    def _adopt(self, items: list[Change], now_ms: int) -> list[Change]:
        """Take new markets into the world."""
        for item in items:
            if isinstance(item, changes.AddMarket):
                market = offer.known(item)
                self._world.markets[market.id] = market
                self._watch(market, now_ms)
        return items

    def _open_games(self, at_ms: int) -> list[Change]:
        """Open games until there are as many as there should be."""
        items: list[Change] = []
        for _ in range(self._size.games + self._size.live_games - len(self._events)):
            if len(self._live_markets) < self._size.live_games:
                items += self._adopt(offer.live_game(self._rng, at_ms), at_ms)
            else:
                starts_ms = at_ms + self._rng.randint(*offer.GAME_OPEN_MS)
                game = offer.game(self._rng, at_ms, starts_ms, periods=self._size.periods)
                items += self._adopt(game, at_ms)
        return items

    def _goal(self, market: KnownMarket, at_ms: int) -> list[Change]:
        """The score changes: no bets until the prices follow."""
        if not market.open:
            return []
        market.open = False
        self._boards.of(market).discard(market)
        scored = self._rng.randrange(len(market.true))
        market.true = prices.pushed(market.true, scored, GOAL_FORCE)
        self._agenda.after(at_ms, SUSPENDED_MS, partial(self._go_on, market))
        return [changes.SetMarketStatus(market.id, "suspended", at_ms)]

    def _go_on(self, market: KnownMarket, at_ms: int) -> list[Change]:
        """The market opens again at other prices."""
        if market.held or market.closes_ms <= at_ms:
            return []
        market.open = True
        self._boards.of(market).add(market)
        market.likely = prices.opened(self._rng, market.true, [one.name for one in market.selections])
        self._excited(market, at_ms)
        return [*self._post(market, "trader", at_ms), changes.SetMarketStatus(market.id, "open", at_ms)]

    def _close(self, market: KnownMarket, at_ms: int) -> list[Change]:
        market.open = False
        self._boards.of(market).discard(market)
        span_ms = QUICK_RESULT_MS if market.in_play else GAME_RESULT_MS
        self._agenda.after(at_ms, span_ms, partial(self._result, market))
        closed: list[Change] = [] if market.over else [changes.SetMarketStatus(market.id, "closed", at_ms)]
        return closed if market.in_play else [*closed, changes.SetEventStatus(market.event_id, "live")]

    def _result(self, market: KnownMarket, at_ms: int) -> list[Change]:
        """Result a market, settle what it decides, and go on with another market or game."""
        market.open = False
        items = [] if market.over else self._grading.result(market, at_ms)
        del self._world.markets[market.id]
        del self._events[market.event_id][market.id]
        return items + self._succeed(market, at_ms)

    def _succeed(self, market: KnownMarket, at_ms: int) -> list[Change]:
        """What follows a market that is over."""
        event = market.event_id
        if self._events[event]:
            return []
        if 0 < self._live_markets.get(event, 0) < LIVE_GAME_MARKETS:
            self._live_markets[event] += 1
            return self._adopt([offer.quick_market(self._rng, event, at_ms)], at_ms)
        del self._events[event]
        self._live_markets.pop(event, None)
        return [changes.SetEventStatus(event, "finished"), *self._open_games(at_ms)]

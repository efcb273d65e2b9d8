"""Decides what happens in the demo book, and when: pure, from a seed, a rate, and the time it is given.

Everything is an appointment on one heap: (time, what to decide then). `step(now_ms)` keeps the appointments that are
due and yields, for each, the changes to write in one transaction; `next_ms` says when to come back. Wagers, price
moves, payments and changes of limits arrive as Poisson processes whose rate follows the hour of the day; markets close
and are resulted at their times, and others open, so what is pending stays bounded.

A simulation that falls behind (a suspended machine, a locked book) leaves out what it missed instead of catching up.
"""

import heapq
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from math import cos, pi
from random import Random
from typing import Final, Literal

from msgspec import Struct, field

from fire22.sportsbook import catalogue, changes, settlement
from fire22.sportsbook.catalogue import new_id
from fire22.sportsbook.changes import Change
from fire22.sportsbook.odds import decimal_odds, price, to_win_minor

BEHIND_MS_MAX: Final = 5_000
HOUR_MS: Final = 3_600_000
RHYTHM_DEPTH: Final = 0.5  # the rate swings by this share around its mean
RHYTHM_PEAK_HOUR: Final = 20  # UTC

# How often things happen for each wager.
PRICE_MOVES: Final = 0.2
PAYMENTS: Final = 0.03
LIMIT_CHANGES: Final = 0.0005

# Shares of the wagers.
QUICK: Final = 0.45
PARLAY: Final = 0.10
FREE_PLAY: Final = 0.02
CANCELLED: Final = 0.003
MODIFIED: Final = 0.003
DELETED: Final = 0.0004
REGRADED: Final = 0.0005

VOIDED_MARKET: Final = 0.004
PUSHED_LINE: Final = 0.06  # of the spreads and totals on whole numbers
QUICK_RESULT_MS: Final = (5_000, 30_000)  # after it closed
GAME_RESULT_MS: Final = (60_000, 240_000)
LATE_RESULT_MS: Final = (1_000, 30_000)  # of what should have been resulted while nobody simulated
LIVE_GAME_MARKETS: Final = 20
CUSTOMER_TRIES: Final = 5
PAYMENT_STEP_MS: Final = (2_000, 20_000)

CHANNELS: Final = (("web", 0.48), ("mobile", 0.42), ("phone", 0.06), ("agent", 0.04))
METHODS: Final = (("card", 0.5), ("bank_transfer", 0.2), ("crypto", 0.2), ("cash", 0.1))
WEIGHTS: Final = {"casual": 1.0, "regular": 3.0, "vip": 5.0, "sharp": 4.0}
STAKES: Final = {"casual": 2_000.0, "regular": 6_000.0, "vip": 60_000.0, "sharp": 40_000.0}  # median, minor units

Result = Literal["win", "loss", "push"]
Decision = Callable[[int], list[Change]]


class Customer(Struct):
    """Who may bet; limits in minor units."""

    id: str
    agent_id: str
    agent_path: str
    segment: str
    status: str
    credit_limit_minor: int
    max_wager_minor: int


class Selection(Struct):
    """One outcome and its present price (American)."""

    id: str
    price: int


class Market(Struct):
    """A market without a result; `wagers` are the open wagers with a leg in it, in order of acceptance."""

    id: str
    event_id: str
    type: str
    line: float | None
    closes_ms: int
    open: bool
    selections: list[Selection]
    wagers: dict[str, None] = field(default_factory=dict)


class Leg(Struct):
    """A leg of an open wager; `result` once its market has one."""

    market_id: str
    selection_id: str
    price: int
    result: Result | None = None


class Wager(Struct):
    """An open wager."""

    id: str
    risk_minor: int
    free_play: bool
    legs: list[Leg]


class Payment(Struct):
    """A payment on its way."""

    id: str
    status: str


class World(Struct):
    """What the simulation knows of the book."""

    customers: list[Customer]
    markets: dict[str, Market]
    wagers: dict[str, Wager]
    payments: list[Payment]


class Simulation:
    """The book's customers, bookmaker and cashier.

    Args:
        world: the state of the book; kept up to date as changes are decided.
        seed: with the same world and the same times, the same decisions.
        rate_hz: wagers a second, on average over a day.
        now_ms: when it begins.
    """

    def __init__(self, world: World, *, seed: str, rate_hz: float, now_ms: int) -> None:
        self._world = world
        self._rng = Random(seed)
        self._rate_hz = rate_hz
        self._heap: list[tuple[int, int, Decision]] = []
        self._serial = 0
        self._events: dict[str, set[str]] = {}  # event → its markets without a result
        self._live_markets: dict[str, int] = {}  # event in play → quick markets so far
        weights = [WEIGHTS.get(one.segment, 1.0) * min(self._rng.paretovariate(1.2), 20) for one in world.customers]
        self._weights = list(accumulate(weights))
        for market in world.markets.values():
            self._watch(market, now_ms)
        for payment in world.payments:
            self._after(now_ms, PAYMENT_STEP_MS, partial(self._go_on_paying, payment))
        self._at(now_ms, self._open_games)
        for decision, share in (
            (self._bet, 1.0),
            (self._move_price, PRICE_MOVES),
            (self._pay, PAYMENTS),
            (self._change_customer, LIMIT_CHANGES),
        ):
            self._arrive(now_ms, share, decision)

    @property
    def next_ms(self) -> int:
        """When the next appointment is."""
        return self._heap[0][0]

    @property
    def pending(self) -> int:
        """How many wagers are open."""
        return len(self._world.wagers)

    def step(self, now_ms: int) -> Iterator[list[Change]]:
        """Keep the appointments up to `now_ms`; each list is one transaction."""
        while self._heap[0][0] <= now_ms:
            at_ms, _, decide = heapq.heappop(self._heap)
            decided = decide(max(at_ms, now_ms - BEHIND_MS_MAX))
            if decided:
                yield decided

    # Appointments.

    def _at(self, at_ms: int, decide: Decision) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (at_ms, self._serial, decide))

    def _after(self, now_ms: int, span_ms: tuple[int, int], decide: Decision) -> None:
        self._at(now_ms + self._rng.randint(*span_ms), decide)

    def _arrive(self, now_ms: int, share: float, decide: Decision) -> None:
        """Make the next appointment of a Poisson process, which then makes its own next one."""

        def arrived(at_ms: int) -> list[Change]:
            self._arrive(at_ms, share, decide)
            return decide(at_ms)

        wait_s = self._rng.expovariate(self._rate_hz * share * rhythm(now_ms))
        self._at(now_ms + max(1, round(wait_s * 1000)), arrived)

    # Games and markets.

    def _watch(self, market: Market, now_ms: int) -> None:
        """Expect the end of a market."""
        self._events.setdefault(market.event_id, set()).add(market.id)
        if market.type == "in_play":
            self._live_markets.setdefault(market.event_id, 1)
        if market.closes_ms > now_ms:
            self._at(market.closes_ms, partial(self._close, market))
        else:
            self._after(now_ms, LATE_RESULT_MS, partial(self._result, market))

    def _adopt(self, items: list[Change], now_ms: int) -> list[Change]:
        """Take new markets into the world."""
        for item in items:
            if isinstance(item, changes.AddMarket):
                selections = [Selection(one.id, one.price) for one in item.selections]
                market = Market(item.id, item.event_id, item.type, item.line, item.closes_ms, True, selections)
                self._world.markets[market.id] = market
                self._watch(market, now_ms)
        return items

    def _open_games(self, at_ms: int) -> list[Change]:
        """Open games until there are as many as there should be."""
        items: list[Change] = []
        for _ in range(catalogue.GAMES + catalogue.LIVE_GAMES - len(self._events)):
            if len(self._live_markets) < catalogue.LIVE_GAMES:
                items += self._adopt(catalogue.live_game(self._rng, at_ms), at_ms)
            else:
                starts_ms = at_ms + self._rng.randint(*catalogue.GAME_OPEN_MS)
                items += self._adopt(catalogue.game(self._rng, at_ms, starts_ms), at_ms)
        return items

    def _close(self, market: Market, at_ms: int) -> list[Change]:
        market.open = False
        span_ms = QUICK_RESULT_MS if market.type == "in_play" else GAME_RESULT_MS
        self._after(at_ms, span_ms, partial(self._result, market))
        return [
            changes.SetMarketStatus(market.id, "closed", at_ms),
            *([changes.SetEventStatus(market.event_id, "live")] if market.type != "in_play" else ()),
        ]

    def _result(self, market: Market, at_ms: int) -> list[Change]:
        """Result a market, settle what can be settled, and go on with another market or game."""
        market.open = False
        winner = self._draw(market)
        batch = new_id(self._rng, at_ms)
        items: list[Change] = [changes.ResultMarket(market.id, winner, at_ms)]
        for wager_id in market.wagers:
            wager = self._world.wagers.get(wager_id)
            if wager is not None:
                items += self._grade(wager, market.id, winner, batch, at_ms)
        del self._world.markets[market.id]
        self._events[market.event_id].discard(market.id)
        return items + self._succeed(market, at_ms)

    def _succeed(self, market: Market, at_ms: int) -> list[Change]:
        """What follows a market that is over."""
        event = market.event_id
        if self._events[event]:
            return []
        if 0 < self._live_markets.get(event, 0) < LIVE_GAME_MARKETS:
            self._live_markets[event] += 1
            return self._adopt([catalogue.quick_market(self._rng, event, at_ms)], at_ms)
        del self._events[event]
        self._live_markets.pop(event, None)
        return [changes.SetEventStatus(event, "finished"), *self._open_games(at_ms)]

    def _draw(self, market: Market) -> str | None:
        """The selection that wins, by the probabilities its prices imply; None = all stakes go back."""
        if self._rng.random() < VOIDED_MARKET:
            return None
        if market.line is not None and market.line % 1 == 0 and self._rng.random() < PUSHED_LINE:
            return None
        weights = [1 / float(decimal_odds(one.price)) for one in market.selections]
        return self._rng.choices(market.selections, weights)[0].id

    # Wagers.

    def _bet(self, at_ms: int) -> list[Change]:
        markets = self._choose_markets()
        customer = self._customer()
        if not markets or customer is None:
            return []
        legs = [self._leg(market) for market in markets]
        free_play = self._rng.random() < FREE_PLAY
        risk = self._stake(customer, parlay=len(legs) > 1)
        wager = Wager(new_id(self._rng, at_ms), risk, free_play, legs)
        self._world.wagers[wager.id] = wager
        for market in markets:
            market.wagers[wager.id] = None
        self._plan_change(wager, at_ms)
        placed = changes.PlaceWager(
            id=wager.id, customer_id=customer.id, agent_id=customer.agent_id, agent_path=customer.agent_path,
            type="parlay" if len(legs) > 1 else "straight", risk_minor=risk,
            to_win_minor=to_win_minor(risk, (leg.price for leg in legs)), at_ms=at_ms, channel=self._pick(CHANNELS),
            free_play=free_play, ip=f"203.0.113.{self._rng.randint(1, 254)}",
            legs=tuple(
                changes.NewLeg(leg.selection_id, leg.price, market.line)
                for leg, market in zip(legs, markets, strict=True)
            ),
        )  # fmt: skip
        return [placed]

    def _choose_markets(self) -> list[Market]:
        """One open market, or several of different games for a parlay; empty if none is open."""
        quick = [one for one in self._world.markets.values() if one.open and one.type == "in_play"]
        games = [one for one in self._world.markets.values() if one.open and one.type != "in_play"]
        if games and self._rng.random() < PARLAY:
            chosen = self._rng.sample(games, min(len(games), self._rng.choice((2, 2, 2, 3, 3, 4))))
            by_event = {one.event_id: one for one in chosen}
            return list(by_event.values())
        if quick and (not games or self._rng.random() < QUICK):
            return [self._rng.choice(quick)]
        return [self._rng.choice(games)] if games else []

    def _leg(self, market: Market) -> Leg:
        selection = self._rng.choice(market.selections)
        return Leg(market.id, selection.id, selection.price)

    def _customer(self) -> Customer | None:
        for _ in range(CUSTOMER_TRIES if self._world.customers else 0):
            chosen = self._rng.choices(self._world.customers, cum_weights=self._weights)[0]
            if chosen.status == "active":
                return chosen
        return None

    def _stake(self, customer: Customer, *, parlay: bool) -> int:
        """A stake in minor units: log-normal around what the segment usually bets, in round figures."""
        amount = STAKES.get(customer.segment, 2_000.0) * self._rng.lognormvariate(0, 0.9) * (0.4 if parlay else 1)
        step = 100 if amount < 5_000 else 500 if amount < 50_000 else 5_000
        return max(100, min(step * round(amount / step), customer.max_wager_minor or 100))

    def _plan_change(self, wager: Wager, at_ms: int) -> None:
        """A few wagers are called off, changed or deleted soon after they were placed."""
        draw = self._rng.random()
        for share, decide in ((CANCELLED, self._cancel), (MODIFIED, self._modify), (DELETED, self._delete)):
            if draw < share:
                self._after(at_ms, (3_000, 20_000), partial(decide, wager.id))
                return
            draw -= share

    def _cancel(self, wager_id: str, at_ms: int) -> list[Change]:
        if self._world.wagers.pop(wager_id, None) is None:
            return []
        status: Literal["cancelled", "voided"] = self._rng.choice(("cancelled", "voided"))
        reason = "customer's request" if status == "cancelled" else "obvious error in the price"
        return [changes.CancelWager(wager_id, status, reason, "desk", at_ms)]

    def _delete(self, wager_id: str, at_ms: int) -> list[Change]:
        if self._world.wagers.pop(wager_id, None) is None:
            return []
        return [changes.DeleteWager(wager_id, "entered twice", "desk", at_ms)]

    def _modify(self, wager_id: str, at_ms: int) -> list[Change]:
        wager = self._world.wagers.get(wager_id)
        if wager is None:
            return []
        wager.risk_minor = max(100, 100 * round(wager.risk_minor * self._rng.choice((0.5, 0.8, 1.5)) / 100))
        to_win = to_win_minor(wager.risk_minor, (leg.price for leg in wager.legs))
        return [changes.ModifyWager(wager_id, wager.risk_minor, to_win, "stake corrected", "desk", at_ms)]

    def _grade(self, wager: Wager, market_id: str, winner: str | None, batch: str, at_ms: int) -> list[Change]:
        """Give a wager the result of one market, and settle it if that decides it."""
        for leg in wager.legs:
            if leg.market_id == market_id:
                leg.result = "push" if winner is None else "win" if leg.selection_id == winner else "loss"
        legs = [_settled_leg(leg) for leg in wager.legs]
        if not settlement.is_decided(legs):
            return []
        del self._world.wagers[wager.id]
        if self._rng.random() < REGRADED:
            self._after(at_ms, (10_000, 60_000), partial(self._regrade, wager))
        settled = settlement.settle(legs, wager.risk_minor, free_play=wager.free_play)
        return [changes.SettleWager(wager.id, settled.result, settled.return_minor, at_ms, batch_id=batch)]

    def _regrade(self, wager: Wager, at_ms: int) -> list[Change]:
        """A settlement is corrected: the stake goes back."""
        returned = settlement.cash_risk_minor(wager.risk_minor, free_play=wager.free_play)
        return [changes.SettleWager(wager.id, "push", returned, at_ms, settled_by="desk")]

    # Prices, payments, limits.

    def _move_price(self, at_ms: int) -> list[Change]:
        """Money on one side: its price shortens, the others lengthen."""
        markets = [one for one in self._world.markets.values() if one.open]
        if not markets:
            return []
        selections = self._rng.choice(markets).selections
        shares = [1 / float(decimal_odds(one.price)) for one in selections]
        shares[self._rng.randrange(len(shares))] += self._rng.uniform(0.01, 0.04)
        items: list[Change] = []
        for selection, share in zip(selections, shares, strict=True):
            moved = price(min(0.95, share / sum(shares)), catalogue.MARGIN)
            if moved != selection.price:
                selection.price = moved
                items.append(changes.SetPrice(selection.id, moved, "trader", at_ms))
        return items

    def _pay(self, at_ms: int) -> list[Change]:
        customer = self._customer()
        if customer is None:
            return []
        payment = Payment(new_id(self._rng, at_ms), "pending")
        deposit = self._rng.random() < 0.7
        amount = 1_000 * max(
            2, round(STAKES.get(customer.segment, 2_000.0) * self._rng.lognormvariate(1.2, 0.7) / 1_000)
        )
        self._after(at_ms, PAYMENT_STEP_MS, partial(self._go_on_paying, payment))
        direction: Literal["deposit", "withdrawal"] = "deposit" if deposit else "withdrawal"
        return [changes.RequestPayment(payment.id, customer.id, direction, self._pick(METHODS), amount, at_ms)]

    def _go_on_paying(self, payment: Payment, at_ms: int) -> list[Change]:
        """pending → approved or rejected; approved → completed or failed; seldom completed → charged back."""
        draw = self._rng.random()
        status: Literal["approved", "completed", "rejected", "failed", "charged_back"]
        if payment.status == "pending":
            status = "rejected" if draw < 0.04 else "approved"
        elif payment.status == "approved":
            status = "failed" if draw < 0.02 else "completed"
        elif draw < 0.01:
            status = "charged_back"
        else:
            return []
        payment.status = status
        if status in ("approved", "completed"):
            self._after(at_ms, PAYMENT_STEP_MS, partial(self._go_on_paying, payment))
        return [changes.DecidePayment(payment.id, status, "cashier", at_ms)]

    def _change_customer(self, at_ms: int) -> list[Change]:
        """Limits are raised or cut; a customer is suspended, and let in again when drawn the next time."""
        if not self._world.customers:
            return []
        customer = self._rng.choice(self._world.customers)
        if customer.status != "active" or self._rng.random() < 0.2:
            customer.status = "suspended" if customer.status == "active" else "active"
            status: Literal["active", "suspended"] = "active" if customer.status == "active" else "suspended"
            return [changes.SetCustomerStatus(customer.id, status, at_ms)]
        factor = self._rng.choice((0.5, 0.8, 1.25, 2.0))
        customer.credit_limit_minor = max(10_000, 1_000 * round(customer.credit_limit_minor * factor / 1_000))
        customer.max_wager_minor = max(5_000, 1_000 * round(customer.max_wager_minor * factor / 1_000))
        return [changes.SetLimit(customer.id, customer.credit_limit_minor, customer.max_wager_minor, at_ms)]

    def _pick(self, options: tuple[tuple[str, float], ...]) -> str:
        return self._rng.choices([name for name, _ in options], [share for _, share in options])[0]


def rhythm(now_ms: int) -> float:
    """The rate at this hour of the day (UTC), as a multiple of its mean."""
    hour = now_ms % (24 * HOUR_MS) / HOUR_MS
    return 1 + RHYTHM_DEPTH * cos(2 * pi * (hour - RHYTHM_PEAK_HOUR) / 24)


def _settled_leg(leg: Leg) -> settlement.Leg:
    result = None if leg.result is None else settlement.RESULTS[leg.result]
    return settlement.Leg(decimal_odds(leg.price), result)

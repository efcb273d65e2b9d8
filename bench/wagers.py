"""Invented events as the triggers of a book write them: agents, customers, markets, then wagers, placed and settled."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Final

import msgspec
from msgspec import Raw, Struct

from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.times import to_datetime
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.odds import decimal_odds, to_win_minor
from fire22.sportsbook.book.changes import AddAgent, AddCustomer, AddMarket
from fire22.sportsbook.demo import catalogue
from fire22.sportsbook.demo.catalogue import SMALL, Size

BEGAN_MS: Final = 1_767_225_600_000
OPEN_MAX: Final = 5_000  # wagers that are open at the same time
PARLAY: Final = 0.10
FREE_PLAY: Final = 0.02
WON: Final = 0.45
STAKES: Final = (5, 100)  # in thousandths of what the customer may place at once, as most people play
CLOCK_MS: Final = 1_000
RATE_HZ: Final = 30_000  # events, so that the watermark moves once in so many

_encode: Final = msgspec.json.Encoder().encode


class Invented:
    """One book's history, the same for the same seed.

    `revenue_minor` is the gross revenue of what was settled so far: what any computation must arrive at.

    Args:
        rate_hz: events a second of the book's own time, in which the watermark moves once a second.
        size: of the book; the small one has three levels of agents, 600 customers, and about 60 markets.
    """

    def __init__(self, seed: int, size: Size = SMALL, *, rate_hz: int = RATE_HZ) -> None:
        self._rng = Random(seed)
        self._rate_hz = rate_hz
        opening = catalogue.opening(self._rng, BEGAN_MS, size)
        self.agents = [each for each in opening if isinstance(each, AddAgent)]
        self._customers = [each for each in opening if isinstance(each, AddCustomer)]
        self._markets = [each for each in opening if isinstance(each, AddMarket)]
        self._agents = {agent.id: agent for agent in self.agents}
        self._open: deque[facts.WagerPlaced] = deque()
        self._number = 0
        self._placed = 0
        self._ticks = 0
        self._at_ms = self._next_clock_ms = BEGAN_MS
        self.revenue_minor = 0

    def events(self, count: int) -> Iterator[EncodedEvent]:
        """Exactly `count` events."""
        return islice(self.wagers(count), count)

    def wagers(self, count: int) -> Iterator[EncodedEvent]:
        """The opening, then so many wagers, each placed and settled, and between them the clock once a second."""
        yield from self.opening()
        yield from self.settled(count)

    def settled(self, count: int) -> Iterator[EncodedEvent]:
        """The same without the opening."""
        last = self._placed + count
        while self._placed < last or self._open:
            yield from self._time()
            if self._placed < last and len(self._open) < OPEN_MAX * self._rng.random():
                placed = self._place()
                self._open.append(placed)
                yield self._event("wager.placed", placed)
            elif self._open:
                yield self._event("wager.settled", self._settle(self._open.popleft()))

    def left_open(self, count: int) -> Iterator[EncodedEvent]:
        """So many wagers that are only placed, and between them the clock."""
        for _ in range(count):
            yield from self._time()
            yield self._event("wager.placed", self._place())

    def _time(self) -> Iterator[EncodedEvent]:
        self._ticks += 1
        self._at_ms = BEGAN_MS + 1000 * self._ticks // self._rate_hz
        if self._at_ms >= self._next_clock_ms:
            self._next_clock_ms = self._at_ms + CLOCK_MS
            yield self._event("system.clock", facts.Clock())

    def opening(self) -> Iterator[EncodedEvent]:
        """The agents, the customers and the markets."""
        for agent in self.agents:
            yield self._event("agent.created", facts.Agent(agent.code, agent.name, agent.path, agent.level, "active"))
        for each in self._customers:
            agent = self._agents[each.agent_id]
            customer = facts.Customer(
                each.code, agent.code, agent.path, each.name, "active", each.segment,
                credit_limit_minor=each.credit_limit_minor, max_wager_minor=each.max_wager_minor,
            )  # fmt: skip
            yield self._event("customer.created", customer)
        for market in self._markets:
            yield self._event("market.created", _market(market))

    def _place(self) -> facts.WagerPlaced:
        rng = self._rng
        self._placed += 1
        customer = rng.choice(self._customers)
        agent = self._agents[customer.agent_id]
        markets = rng.sample(self._markets, 2) if rng.random() < PARLAY else [rng.choice(self._markets)]
        chosen = [(market.id, rng.choice(market.selections)) for market in markets]
        risk = rng.randint(STAKES[0], STAKES[1]) * customer.max_wager_minor // 1_000
        return facts.WagerPlaced(
            wager_id=catalogue.new_id(rng, self._at_ms), wager_number=self._placed, customer_id=customer.code,
            agent_id=agent.code, path=agent.path, type="parlay" if len(chosen) > 1 else "straight", risk_minor=risk,
            to_win_minor=to_win_minor(risk, (selection.price for _, selection in chosen)),
            free_play=rng.random() < FREE_PLAY, channel="web", status="accepted", version=1,
            legs=tuple(facts.Leg(market, each.id, float(decimal_odds(each.price))) for market, each in chosen),
        )  # fmt: skip

    def _settle(self, placed: facts.WagerPlaced) -> facts.WagerSettled:
        won = self._rng.random() < WON
        stake = 0 if placed.free_play else placed.risk_minor
        returned = stake + placed.to_win_minor if won else 0
        self.revenue_minor += stake - returned
        return facts.WagerSettled(
            wager_id=placed.wager_id, wager_number=placed.wager_number, customer_id=placed.customer_id,
            agent_id=placed.agent_id, path=placed.path, type=placed.type, risk_minor=placed.risk_minor,
            to_win_minor=placed.to_win_minor, free_play=placed.free_play, revision=1,
            result="win" if won else "loss", return_minor=returned, previous_return_minor=0,
        )  # fmt: skip

    def _event(self, type: str, data: Struct) -> EncodedEvent:
        self._number += 1
        event = Event(f"0123456789ab:{self._number}", type, "sqlite:book", to_datetime(self._at_ms), Raw(_encode(data)))
        return encode_event(event)


def _market(market: AddMarket) -> facts.Market:
    sides = tuple(facts.Selection(each.id, each.name, float(decimal_odds(each.price))) for each in market.selections)
    return facts.Market(
        market.id, market.event_id, market.type, "open", period=market.period, line=market.line,
        liability_limit_minor=market.liability_limit_minor, selections=sides,
    )  # fmt: skip

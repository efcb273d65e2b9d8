"""Decides what happens in the demo book, and when: pure, from a seed, a rate, and the time it is given.

Everything is an appointment on one agenda. `step(now_ms)` keeps the appointments that are due and yields, for each, the
changes to write in one transaction; `next_ms` says when to come back. Wagers, looks at other books and changes of
limits arrive as Poisson processes whose rate follows the hour of the day; markets close and are resulted at their
times, and others open, so what is pending stays bounded.
"""

from collections.abc import Callable, Iterator
from functools import partial
from math import cos, pi
from random import Random
from typing import Final

from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.demo.agenda import Agenda
from fire22.sportsbook.demo.board import Boards
from fire22.sportsbook.demo.bookmaker import Bookmaker
from fire22.sportsbook.demo.cashier import Cashier
from fire22.sportsbook.demo.catalogue import SMALL, Size
from fire22.sportsbook.demo.corrections import Corrections
from fire22.sportsbook.demo.counter import Betting
from fire22.sportsbook.demo.grading import Grading
from fire22.sportsbook.demo.incidents import NAMES, Incidents, Name, Note
from fire22.sportsbook.demo.sessions import Session, Sessions
from fire22.sportsbook.demo.world import KnownMarket, KnownWager, World

HOUR_MS: Final = 3_600_000
RHYTHM_DEPTH: Final = 0.5  # the rate swings by this share around its mean
RHYTHM_PEAK_HOUR: Final = 20  # UTC
USUAL_RATE_HZ: Final = 20.0  # at which markets have their usual depth
FULL_STAKES_HZ: Final = 0.05  # wagers a second of a customer, from where on stakes shrink so that credit lasts

# How often things happen for each wager, and a bound for what must not grow with load.
LOOKS: Final = 0.2
LOOKS_A_MARKET_HZ: Final = 0.1
LIMIT_CHANGES: Final = 0.0005
LIMIT_CHANGES_HZ_MAX: Final = 0.1

FIRST_INCIDENT_MS: Final = 100_000


class Simulation:
    """The book's customers, bookmaker and cashier.

    Attributes:
        customers: by id.

    Args:
        world: the state of the book; kept up to date as changes are decided.
        seed: with the same world and the same times, the same decisions.
        rate_hz: wagers a second, on average over a day; 0 for none.
        now_ms: when it begins.
        size: how many games and markets are kept open.
        tell: told of each incident as it begins.
    """

    def __init__(
        self,
        world: World,
        *,
        seed: str,
        rate_hz: float,
        now_ms: int,
        size: Size = SMALL,
        tell: Callable[[Note], None] = lambda _: None,
    ) -> None:
        rng = Random(seed)  # nosec B311  # the demo repeats itself by its seed
        self._world = world
        self.customers = {each.id: each for each in world.customers}
        self._now_ms = now_ms
        self._agenda = agenda = Agenda(rng)
        boards = Boards()
        self._sessions = sessions = Sessions(rng, world.customers, rate_hz, self._came)
        self._cashier = cashier = Cashier(rng, agenda, sessions)
        grading = Grading(rng, agenda, world, cashier.settled)
        modest = min(1.0, FULL_STAKES_HZ * len(world.customers) / rate_hz) if rate_hz else 1.0
        deep = max(1.0, modest * rate_hz / USUAL_RATE_HZ)
        self._bookmaker = bookmaker = Bookmaker(
            rng, agenda, world, boards, grading, size, deep=deep, excited=self._excite
        )
        corrections = Corrections(rng, agenda, world, cashier.settled)
        self._betting = betting = Betting(rng, agenda, world, boards, sessions, bookmaker, corrections, rate_hz, modest)
        self._incidents = Incidents(
            rng, agenda, world.customers, boards, sessions, bookmaker, betting, corrections, tell
        )
        bookmaker.begin(now_ms)
        betting.begin(now_ms)
        cashier.begin(world.payments, now_ms)
        looks_hz = min(LOOKS * rate_hz, LOOKS_A_MARKET_HZ * size.markets)
        limits_hz = min(LIMIT_CHANGES * rate_hz, LIMIT_CHANGES_HZ_MAX)
        for decide, mean_hz in (
            (betting.bet, rate_hz),
            (bookmaker.look, looks_hz),
            (cashier.change_customer, limits_hz),
        ):
            if mean_hz:
                agenda.arrive(now_ms, partial(_rate_hz, mean_hz), decide)

    @property
    def next_ms(self) -> int:
        """When the next appointment is."""
        return self._agenda.next_ms

    @property
    def pending(self) -> int:
        """How many wagers are open."""
        return len(self._world.wagers)

    def step(self, now_ms: int) -> Iterator[list[Change]]:
        """Keep the appointments up to `now_ms`; each list is one transaction."""
        for decided in self._agenda.keep(now_ms):
            items = [*self._sessions.logins(), *decided]
            if items:
                yield items

    # What others have done; `others.py` finds it.

    def payment_is(self, payment_id: str, status: str) -> None:
        """Somebody else has decided about a payment."""
        self._cashier.decided(payment_id, status)

    def market_is(self, market_id: str, status: str, now_ms: int) -> None:
        """Somebody else has set a market's status, or its result."""
        market = self._world.markets.get(market_id)
        if market is not None:
            self._bookmaker.decided(market, status, now_ms)

    def wager_is(self, wager_id: str, status: str, found: KnownWager | None) -> None:
        """Somebody else has placed or changed a wager, or ended it.

        Args:
            found: as it is open now.
        """
        world = self._world
        world.doubted.pop(wager_id, None)
        if status != "review":
            world.asked.pop(wager_id, None)
        before = world.wagers.get(wager_id)
        if before is not None:
            world.leave(before)
            before.theirs = True
        if found is not None:
            found.theirs = True
            world.enter(found)

    def plan(self, incident: Name, at_ms: int) -> None:
        """Stage an incident once."""
        self._incidents.plan(incident, at_ms)

    def plan_incidents(self, every_ms: int) -> None:
        """Stage each incident again and again, `every_ms` apart, in turns; the first soon."""
        for turn, name in enumerate(NAMES):
            first_ms = FIRST_INCIDENT_MS + turn * every_ms // len(NAMES)
            self._incidents.plan(name, self._now_ms + first_ms, every_ms)

    def _came(self, session: Session, now_ms: int, leaves_ms: int) -> None:
        self._agenda.at(leaves_ms, partial(self._leave, session))
        self._cashier.come(session, now_ms)

    def _leave(self, session: Session, at_ms: int) -> list[Change]:
        return self._sessions.leave(session, at_ms)

    def _excite(self, market: KnownMarket, at_ms: int) -> None:
        self._betting.excite(market, at_ms)


def rhythm(now_ms: int) -> float:
    """The rate at this hour of the day (UTC), as a multiple of its mean."""
    hour = now_ms % (24 * HOUR_MS) / HOUR_MS
    return 1 + RHYTHM_DEPTH * cos(2 * pi * (hour - RHYTHM_PEAK_HOUR) / 24)


def _rate_hz(mean_hz: float, now_ms: int) -> float:
    return mean_hz * rhythm(now_ms)

"""What a back office must notice: scripted, so that each raises the alert it should and no other.

- `steam`: within half a minute sharp players of many agents take one side of a market, and its price falls away.
- `syndicate`: accounts of several agents come from one address and take the same selection with their usual stakes.
- `wrong_price`: a price is posted that nobody meant; a few see it and are quick, then it is put right and their wagers
  are voided.

Everything else about them is as on any day: one wager each, by customers who were not there, at their usual stakes and
within their limits.
"""

import re
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, Literal, get_args

from msgspec import Struct

from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.demo import bettors as players
from fire22.sportsbook.demo.agenda import Agenda
from fire22.sportsbook.demo.bettors import Choice
from fire22.sportsbook.demo.board import Boards
from fire22.sportsbook.demo.bookmaker import Bookmaker
from fire22.sportsbook.demo.corrections import Corrections
from fire22.sportsbook.demo.counter import Betting
from fire22.sportsbook.demo.sessions import Sessions
from fire22.sportsbook.demo.world import KnownCustomer

Name = Literal["steam", "syndicate", "wrong_price"]
NAMES: Final[tuple[Name, ...]] = get_args(Name)

NEEDED_MS: Final = 100_000  # for so long a market must still be open
AGAIN_MS: Final = 3_000  # when to look again where no market fits
STEAM: Final = (500, 25_000)  # when after the beginning its customers bet
STEAM_STAKES_MINOR: Final = (52_000, 65_000, 81_000, 102_000, 127_000, 159_000)  # no two alike: nobody splits a stake
SYNDICATE: Final = (6, (500, 90_000))
STAKE_MAX_MINOR: Final = 30_000
WRONG_PRICE: Final = (4, (1_500, 9_000))
WRONG_FACTOR: Final = 3.0  # as much as was meant is paid
SET_RIGHT_MS: Final = 12_000
VOIDED_MS: Final = (30_000, 60_000)
VOIDED_WHY: Final = "obvious error in the price"
PICKS: Final = 2_000
NETWORKS: Final = ("192.0.2", "198.51.100", "203.0.113")  # those of documentation: nobody is at home there


class Note(Struct, frozen=True):
    """An incident has begun, for the log."""

    incident: Name
    at_ms: int
    market_id: str
    selection: str
    customers: tuple[str, ...]


class Incidents:
    """Stages them.

    Args:
        tell: told of each as it begins.
    """

    def __init__(
        self,
        rng: Random,
        agenda: Agenda,
        customers: list[KnownCustomer],
        boards: Boards,
        sessions: Sessions,
        bookmaker: Bookmaker,
        betting: Betting,
        corrections: Corrections,
        tell: Callable[[Note], None],
    ) -> None:
        self._rng = rng
        self._agenda = agenda
        self._customers = customers
        self._boards = boards
        self._sessions = sessions
        self._bookmaker = bookmaker
        self._betting = betting
        self._corrections = corrections
        self._tell = tell
        self._stages: dict[Name, Callable[[int], list[Change] | None]] = {
            "steam": self._steam,
            "syndicate": self._syndicate,
            "wrong_price": self._wrong_price,
        }

    def plan(self, name: Name, at_ms: int, every_ms: int | None = None) -> None:
        """Stage an incident at a time, or as soon afterwards as a market and the customers for it are there.

        Args:
            every_ms: and again and again, so long after each time it was staged.
        """
        self._agenda.at(at_ms, partial(self._stage, name, every_ms))

    def _stage(self, name: Name, every_ms: int | None, at_ms: int) -> list[Change]:
        items = self._stages[name](at_ms)
        if items is None:
            self.plan(name, at_ms + AGAIN_MS, every_ms)
            return []
        if every_ms is not None:
            self.plan(name, at_ms + every_ms, every_ms)
        return items

    def _steam(self, at_ms: int) -> list[Change] | None:
        """Those who know take the better side; nothing is wrong with any of the wagers."""
        choice, customers = self._find("sharp", len(STEAM_STAKES_MINOR), at_ms, STEAM_STAKES_MINOR[-1])
        if choice is None:
            return None
        for customer, stake in zip(customers, STEAM_STAKES_MINOR, strict=True):
            self._send(customer, choice, stake, STEAM, at_ms)
        self._told("steam", choice, customers, at_ms)
        return []

    def _syndicate(self, at_ms: int) -> list[Change] | None:
        """Several accounts, one address: somebody bets more than one account would be let."""
        count, span_ms = SYNDICATE
        choice, customers = self._find("regular", count, at_ms)
        if choice is None:
            return None
        ip = f"{self._rng.choice(NETWORKS)}.{self._rng.randint(1, 254)}"
        for customer in customers:
            self._send(customer, choice, self._stake(customer), span_ms, at_ms, ip=ip)
        self._told("syndicate", choice, customers, at_ms)
        return []

    def _wrong_price(self, at_ms: int) -> list[Change] | None:
        """A finger slips; the market is off everybody else's board until the price is right again."""
        count, span_ms = WRONG_PRICE
        choice, customers = self._find("regular", count, at_ms)
        if choice is None:
            return None
        for customer in customers:
            self._send(customer, choice, self._stake(customer), span_ms, at_ms, void=True)
        self._told("wrong_price", choice, customers, at_ms)
        self._agenda.at(at_ms + SET_RIGHT_MS, partial(self._bookmaker.put_right, choice.market))
        return self._bookmaker.misprice(choice, WRONG_FACTOR, at_ms)

    def _find(
        self, segment: str, count: int, at_ms: int, stake_minor: int = STAKE_MAX_MINOR
    ) -> tuple[Choice | None, list[KnownCustomer]]:
        """The better side of a market that stays open, and customers for it; None if there is one without the other."""
        fitting = [
            one
            for one in self._boards.games
            if len(one.selections) == 2 and one.line is not None and one.closes_ms - at_ms >= NEEDED_MS
        ]
        customers = self._pick(segment, count, stake_minor) if fitting else []
        if len(customers) < count:
            return None, []
        market = self._rng.choice(fitting)
        edges = [true * players.decimal(one.price) for true, one in zip(market.true, market.selections, strict=True)]
        return Choice(market, edges.index(max(edges))), customers

    def _pick(self, segment: str, count: int, stake_minor: int) -> list[KnownCustomer]:
        """Customers of a segment who are not there and can afford a stake, each of another agent."""
        found: dict[str, KnownCustomer] = {}
        for _ in range(PICKS):
            customer = self._rng.choice(self._customers)
            if len(found) == count or customer.segment != segment or customer.status != "active":
                continue
            if not self._sessions.is_there(customer) and stake_minor <= players.affordable_minor(customer):
                found.setdefault(customer.agent_id, customer)
        return list(found.values())

    def _stake(self, customer: KnownCustomer) -> int:
        """The usual stake in round figures, but none that draws attention by itself."""
        usual = self._sessions.player(customer).usual_minor
        return min(max(1_000, 1_000 * round(usual / 1_000)), STAKE_MAX_MINOR)

    def _send(
        self,
        customer: KnownCustomer,
        choice: Choice,
        stake_minor: int,
        span_ms: tuple[int, int],
        at_ms: int,
        *,
        ip: str | None = None,
        void: bool = False,
    ) -> None:
        """Let a customer come and take the selection, once, within a span from now."""

        def bet(now_ms: int) -> list[Change]:
            if customer.status != "active" or choice.market.held:
                return []
            session = self._sessions.come(customer, now_ms, ip=ip, passing=True)
            wager, items = self._betting.place(session, [choice], stake_minor, now_ms, free_play=False)
            if void:
                self._agenda.after(now_ms, VOIDED_MS, partial(self._corrections.void, wager, VOIDED_WHY))
            return items

        self._sessions.expect(customer)
        self._agenda.after(at_ms, span_ms, bet)

    def _told(self, name: Name, choice: Choice, customers: list[KnownCustomer], at_ms: int) -> None:
        codes = tuple(customer.code for customer in customers)
        self._tell(Note(name, at_ms, choice.market.id, choice.selection.name, codes))


def parse(text: str) -> tuple[Name, float]:
    """Read `NAME@SECONDS`.

    Raises:
        ValueError: there is no such incident, or no such time; says what there is.
    """
    name, _, after = text.partition("@")
    for known in NAMES:
        if name == known and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", after):
            return known, float(after)
    raise ValueError(f"must be {', '.join(f'{known}@SECONDS' for known in NAMES)}, not {text!r}")

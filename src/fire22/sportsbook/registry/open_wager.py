"""An open wager as all flows know it, made so that many of them fit into memory.

A hundred thousand wagers name the same few thousand customers, agents, markets and selections. Each word is kept once,
and found with the one look that a customer or a selection takes: who bets in the same way as before has the same words,
and all who bet on a selection at the same odds share their leg.
"""

from collections.abc import Callable
from sys import intern
from typing import Final

from msgspec import Struct

from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.terms import Terms

SELECTIONS_MAX: Final = 65_536  # whose legs are remembered


class LegNames(Struct, frozen=True, gc=False, array_like=True):
    """What people call a leg, as the book had it when the wager was placed; empty is unknown.

    Args:
        market: the market's type; period and line say which of that type.
    """

    event_id: str
    event: str
    market: str
    period: str
    selection: str
    line: float | None = None


class StruckLeg(Struct, frozen=True, gc=False, array_like=True):
    """One leg of an open wager; `names` is None where nobody knew the market."""

    market_id: str
    selection_id: str
    odds: float
    names: LegNames | None = None


class OpenWager(Struct, frozen=True, gc=False, array_like=True):
    """An open wager; minor units.

    Args:
        path: the agent's at acceptance.
        cash: what of the risk is the customer's own.
        at_ms: when it was accepted.
    """

    wager_id: str
    number: int
    customer_id: str
    agent_id: str
    path: str
    type: str
    risk: int
    cash: int
    to_win: int
    at_ms: int
    version: int
    channel: str
    ip: str
    legs: tuple[StruckLeg, ...]
    terms: Terms | None = None

    @property
    def free_play(self) -> bool:
        """Whether the stake is the book's own."""
        return self.cash != self.risk


class Bettor(Struct, frozen=True, gc=False):
    """How a customer has bet last, below which agent."""

    customer_id: str
    agent_id: str
    path: str
    channel: str
    ip: str

    def has_placed(self, wager: facts.WagerPlaced) -> bool:
        """Whether this customer's wager was placed in the same way as the last one."""
        return (
            wager.path == self.path
            and wager.agent_id == self.agent_id
            and wager.channel == self.channel
            and wager.ip == self.ip
        )


def bettor_of(wager: facts.WagerPlaced) -> Bettor:
    """How a customer bets now."""
    return Bettor(
        intern(wager.customer_id), intern(wager.agent_id), intern(wager.path), intern(wager.channel), intern(wager.ip)
    )


class Legs:
    """Makes the legs of open wagers; remembers on each selection the last one.

    Args:
        names: of a market's selection now; asked once for each selection until its market is forgotten.
    """

    def __init__(self, names: Callable[[str, str], LegNames | None]) -> None:
        self._names = names
        self._last: dict[str, tuple[StruckLeg]] = {}
        self._of_market: dict[str, dict[str, None]] = {}

    def of(self, legs: tuple[facts.Leg, ...]) -> tuple[StruckLeg, ...]:
        """The legs of a wager; those of a straight one are shared with others."""
        if len(legs) != 1:
            return tuple([self._leg(leg) for leg in legs])
        leg = legs[0]
        known = self._last.get(leg.selection_id)
        if known is not None:
            last = known[0]
            if last.odds == leg.odds and last.market_id == leg.market_id:
                return known
        elif len(self._last) >= SELECTIONS_MAX:
            self._last.clear()
            self._of_market.clear()
        own = self._leg(leg)
        self._of_market.setdefault(own.market_id, {})[own.selection_id] = None
        self._last[own.selection_id] = shared = (own,)
        return shared

    def forget(self, market_id: str) -> None:
        """A market has other names from here on, or none: what is remembered must be what would be found now."""
        for selection_id in self._of_market.pop(market_id, ()):
            self._last.pop(selection_id, None)

    def _leg(self, leg: facts.Leg) -> StruckLeg:
        known = self._last.get(leg.selection_id)
        if known is not None and known[0].market_id == leg.market_id:
            last = known[0]
            if last.odds == leg.odds:
                return last
            return StruckLeg(last.market_id, last.selection_id, leg.odds, last.names)
        names = self._names(leg.market_id, leg.selection_id)
        return StruckLeg(intern(leg.market_id), intern(leg.selection_id), leg.odds, names)

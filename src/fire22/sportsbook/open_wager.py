"""An open wager as all flows know it, made so that many of them fit into memory.

A hundred thousand wagers name the same few thousand customers, agents, markets and selections. Each word is kept once,
and found with the one look that a customer or a selection takes: who bets in the same way as before has the same words,
and all who bet on a selection at the same odds share their leg.
"""

from sys import intern
from typing import Final

from msgspec import Struct

from fire22.sportsbook import facts

SELECTIONS_MAX: Final = 65_536  # whose legs are remembered


class Leg(Struct, frozen=True, gc=False, array_like=True):
    """One leg of an open wager."""

    market_id: str
    selection_id: str
    odds: float


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
    legs: tuple[Leg, ...]

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
    """Makes the legs of open wagers; remembers on each selection the last one."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Leg]] = {}

    def of(self, legs: tuple[facts.Leg, ...]) -> tuple[Leg, ...]:
        """The legs of a wager; those of a straight one are shared with others."""
        if len(legs) != 1:
            return tuple([_leg(leg) for leg in legs])
        leg = legs[0]
        known = self._last.get(leg.selection_id)
        if known is not None:
            last = known[0]
            if last.odds == leg.odds and last.market_id == leg.market_id:
                return known
        elif len(self._last) >= SELECTIONS_MAX:
            self._last.clear()
        own = _leg(leg)
        self._last[own.selection_id] = shared = (own,)
        return shared


def _leg(leg: facts.Leg) -> Leg:
    return Leg(intern(leg.market_id), intern(leg.selection_id), leg.odds)

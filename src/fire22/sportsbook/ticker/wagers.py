"""The `wagers` stream: every change of a wager, as it happens, with what was bet on.

The legs carry the names of the bet: the registry keeps them with each open wager, so a settlement that comes after its
market is over still says them. They are encoded once for all who share them, and put into each message as they are.
"""

from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from fire22.core.scope import customer_path
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.odds import combined_odds
from fire22.sportsbook.betting.terms import Terms
from fire22.sportsbook.betting.wager_types import PLAIN
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.open_wager import SELECTIONS_MAX, OpenWager, StruckLeg
from fire22.sportsbook.registry.published_leg import published_leg

FILTERABLE: Final = ("action", "status", "amount", "customerId", "agentId", "type", "channel", "freePlay", "result")


class WagerUpdate(Struct, frozen=True, gc=False, rename="camel"):
    """`data` of a `wager_update`; money in major units. The first six fields are the specification's."""

    wager_id: str
    status: str
    amount: float
    customer_id: str
    agent_id: str
    action: str
    wager_number: int
    agent_path: str
    type: str
    to_win: float
    free_play: bool | UnsetType = UNSET
    odds: float | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    result: str | UnsetType = UNSET
    returned: float | UnsetType = UNSET
    profit: float | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    legs: Raw | UnsetType = UNSET
    terms: Terms | UnsetType = UNSET


_encode: Final = msgspec.json.Encoder().encode


class Ticker(Flow):
    """Comes after the registry. Each fact of a wager makes one message; what is remembered is only encoded legs."""

    name: ClassVar[str] = "wagers"
    version: ClassVar[int] = 4

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.topics = (Topic("wagers", Kind.STREAM, FILTERABLE, fields=WagerUpdate.__struct_encode_fields__),)
        self._book = registry
        self._said: dict[str, tuple[StruckLeg, bytes, Raw, float]] = {}

    def handlers(self) -> dict[str, Handler]:
        """Wagers, except those that were there before the book was connected."""
        return {
            "wager.placed": self._placed,
            "wager.reopened": self._reopened,
            "wager.modified": self._modified,
            "wager.settled": self._settled,
            "wager.resettled": self._settled,
            "wager.cancelled": self._cancelled,
        }

    # Facts that come often are each read in a function of their own: code that sees one type only is read faster.

    def _placed(self, fact: Fact) -> None:
        wager: facts.WagerPlaced = fact.data
        unit = self._book.money.unit
        path, customer_id = wager.path, wager.customer_id
        opened = self._book.move.opened
        legs, odds, terms = self._bet(opened) if opened is not None else NOTHING
        update = WagerUpdate(
            wager.wager_id, wager.status, wager.risk_minor / unit, customer_id, wager.agent_id, "placed",
            wager.wager_number, path, wager.type, wager.to_win_minor / unit, wager.free_play or UNSET, odds,
            wager.channel or UNSET, UNSET, UNSET, UNSET, UNSET, legs, terms,
        )  # fmt: skip
        self.out.stream("wagers", customer_path(path, customer_id), "wager_update", fact.at_ms, _encode(update))

    def _settled(self, fact: Fact) -> None:
        wager: facts.WagerSettled = fact.data
        unit = self._book.money.unit
        path, customer_id, result = wager.path, wager.customer_id, wager.result
        risk, returned, free_play = wager.risk_minor, wager.return_minor, wager.free_play
        profit = returned if free_play else returned - risk
        closed = self._book.move.closed
        legs, odds, terms = self._bet(closed) if closed is not None else NOTHING
        update = WagerUpdate(
            wager.wager_id, "cashed_out" if result == "cashed_out" else "settled", risk / unit, customer_id,
            wager.agent_id, "settled", wager.wager_number, path, wager.type, wager.to_win_minor / unit,
            free_play or UNSET, odds, UNSET, result, returned / unit, profit / unit, wager.revision, legs, terms,
        )  # fmt: skip
        self.out.stream("wagers", customer_path(path, customer_id), "wager_update", fact.at_ms, _encode(update))

    def _reopened(self, fact: Fact) -> None:
        wager: facts.WagerReopened = fact.data
        self._say(fact, wager, "placed", "accepted", wager.channel or UNSET)

    def _modified(self, fact: Fact) -> None:
        self._say(fact, fact.data, "modified", "accepted")

    def _cancelled(self, fact: Fact) -> None:
        wager: facts.WagerCancelled = fact.data
        self._say(fact, wager, "cancelled", wager.status)

    def _say(
        self, fact: Fact, wager: facts.WagerFact, action: str, status: str, channel: str | UnsetType = UNSET
    ) -> None:
        unit = self._book.money.unit
        path, customer_id = wager.path, wager.customer_id
        bet = self._book.move.opened or self._book.move.closed
        legs, odds, terms = self._bet(bet) if bet is not None else NOTHING
        update = WagerUpdate(
            wager.wager_id, status, wager.risk_minor / unit, customer_id, wager.agent_id, action, wager.wager_number,
            path, wager.type, wager.to_win_minor / unit, wager.free_play or UNSET, odds, channel,
            legs=legs, terms=terms,
        )  # fmt: skip
        self.out.stream("wagers", customer_path(path, customer_id), "wager_update", fact.at_ms, _encode(update))

    def _bet(self, bet: OpenWager) -> tuple[Raw | UnsetType, float | UnsetType, Terms | UnsetType]:
        """What a message says of a bet: the legs, their combined odds if it is struck at these, and its terms."""
        legs = bet.legs
        if len(legs) == 1:
            leg = legs[0]
            known = self._said.get(leg.selection_id)
            if known is None or known[0] is not leg:
                known = self._encoded(leg)
            return known[2], known[3] if bet.type in PLAIN else UNSET, bet.terms or UNSET
        if not legs:
            return UNSET, UNSET, bet.terms or UNSET
        said = []
        for leg in legs:
            known = self._said.get(leg.selection_id)
            said.append(known[1] if known is not None and known[0] is leg else self._encoded(leg)[1])
        odds = combined_odds(legs) if bet.type in PLAIN else UNSET
        return Raw(b"[%b]" % b",".join(said)), odds, bet.terms or UNSET

    def _encoded(self, leg: StruckLeg) -> tuple[StruckLeg, bytes, Raw, float]:
        """A leg that is remembered: by itself, alone in a list, and its odds."""
        if len(self._said) >= SELECTIONS_MAX:
            self._said.clear()
        said = _encode(published_leg(leg))
        known = self._said[leg.selection_id] = leg, said, Raw(b"[%b]" % said), combined_odds((leg,))
        return known


NOTHING: Final = (UNSET, UNSET, UNSET)

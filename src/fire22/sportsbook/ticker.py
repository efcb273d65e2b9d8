"""The `wagers` stream: every change of a wager, as it happens."""

from functools import lru_cache
from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from fire22.core.scope import ROOT
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler
from fire22.sportsbook import facts

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


_encode: Final = msgspec.json.Encoder().encode


def customer_path(path: str, customer: str) -> str:
    """The scope of one customer below its agent."""
    return f"{'' if path == ROOT else path}/@{customer}"


class Ticker(Flow):
    """Stateless: each fact of a wager makes one message."""

    name: ClassVar[str] = "wagers"
    version: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__()
        self.topics = (Topic("wagers", Kind.STREAM, FILTERABLE),)

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
        path, customer_id = wager.path, wager.customer_id
        update = WagerUpdate(
            wager.wager_id, wager.status, wager.risk_minor / 100, customer_id, wager.agent_id, "placed",
            wager.wager_number, path, wager.type, wager.to_win_minor / 100, wager.free_play or UNSET,
            combined_odds(wager.legs) or UNSET, wager.channel,
        )  # fmt: skip
        self.out.stream("wagers", customer_path(path, customer_id), "wager_update", fact.at_ms, _encode(update))

    def _settled(self, fact: Fact) -> None:
        wager: facts.WagerSettled = fact.data
        path, customer_id, result = wager.path, wager.customer_id, wager.result
        risk, returned, free_play = wager.risk_minor, wager.return_minor, wager.free_play
        profit = returned if free_play else returned - risk
        update = WagerUpdate(
            wager.wager_id, "cashed_out" if result == "cashed_out" else "settled", risk / 100, customer_id,
            wager.agent_id, "settled", wager.wager_number, path, wager.type, wager.to_win_minor / 100,
            free_play or UNSET, UNSET, UNSET, result, returned / 100, profit / 100, wager.revision,
        )  # fmt: skip
        self.out.stream("wagers", customer_path(path, customer_id), "wager_update", fact.at_ms, _encode(update))

    def _reopened(self, fact: Fact) -> None:
        wager: facts.WagerReopened = fact.data
        self._say(fact, wager, "placed", "accepted", combined_odds(wager.legs) or UNSET, wager.channel)

    def _modified(self, fact: Fact) -> None:
        wager: facts.WagerModified = fact.data
        self._say(fact, wager, "modified", "accepted", combined_odds(wager.legs) or UNSET)

    def _cancelled(self, fact: Fact) -> None:
        wager: facts.WagerCancelled = fact.data
        self._say(fact, wager, "cancelled", wager.status)

    def _say(
        self,
        fact: Fact,
        wager: facts.WagerFact,
        action: str,
        status: str,
        odds: float | UnsetType = UNSET,
        channel: str | UnsetType = UNSET,
    ) -> None:
        path, customer_id = wager.path, wager.customer_id
        update = WagerUpdate(
            wager.wager_id, status, wager.risk_minor / 100, customer_id, wager.agent_id, action, wager.wager_number,
            path, wager.type, wager.to_win_minor / 100, wager.free_play or UNSET, odds, channel,
        )  # fmt: skip
        self.out.stream("wagers", customer_path(path, customer_id), "wager_update", fact.at_ms, _encode(update))


def combined_odds(legs: tuple[facts.Leg, ...]) -> float:
    """The combined decimal odds, rounded to four decimals; 0 without a leg."""
    if not legs:
        return 0.0
    if len(legs) == 1:
        return _rounded(legs[0].odds)
    odds = 1.0
    for leg in legs:
        odds *= leg.odds
    return round(odds, 4)


@lru_cache(maxsize=4096)  # a book has few prices, and rounding one takes longer than the rest of its wager's message
def _rounded(odds: float) -> float:
    return round(odds, 4)

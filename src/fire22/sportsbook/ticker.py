"""The `wagers` stream: every change of a wager, as it happens."""

from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from fire22.core.scope import ROOT
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, expect
from fire22.sportsbook import facts
from fire22.sportsbook.money import major
from fire22.sportsbook.settlement import customer_profit_minor

FILTERABLE: Final = ("action", "status", "amount", "customerId", "agentId", "type", "channel", "freePlay", "result")


class WagerUpdate(Struct, frozen=True, gc=False, rename="camel", kw_only=True):
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

    def _placed(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerPlaced)
        self._say(fact, wager, _update(wager, "placed", wager.status, odds=_odds(wager.legs), channel=wager.channel))

    def _reopened(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerPlaced)
        self._say(fact, wager, _update(wager, "placed", "accepted", odds=_odds(wager.legs), channel=wager.channel))

    def _modified(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerModified)
        self._say(fact, wager, _update(wager, "modified", "accepted", odds=_odds(wager.legs)))

    def _settled(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerSettled)
        profit = customer_profit_minor(wager.risk_minor, wager.return_minor, free_play=wager.free_play)
        update = _update(
            wager,
            "settled",
            "cashed_out" if wager.result == "cashed_out" else "settled",
            result=wager.result,
            returned=major(wager.return_minor),
            profit=major(profit),
            revision=wager.revision,
        )
        self._say(fact, wager, update)

    def _cancelled(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerCancelled)
        self._say(fact, wager, _update(wager, "cancelled", wager.status))

    def _say(self, fact: Fact, wager: facts.WagerFact, update: WagerUpdate) -> None:
        path = customer_path(wager.path, wager.customer_id)
        self.out.stream("wagers", path, "wager_update", fact.at_ms, _encode(update))


def _update(
    wager: facts.WagerFact,
    action: str,
    status: str,
    *,
    odds: float | UnsetType = UNSET,
    channel: str | UnsetType = UNSET,
    result: str | UnsetType = UNSET,
    returned: float | UnsetType = UNSET,
    profit: float | UnsetType = UNSET,
    revision: int | UnsetType = UNSET,
) -> WagerUpdate:
    return WagerUpdate(
        wager_id=wager.wager_id,
        status=status,
        amount=major(wager.risk_minor),
        customer_id=wager.customer_id,
        agent_id=wager.agent_id,
        action=action,
        wager_number=wager.wager_number,
        agent_path=wager.path,
        type=wager.type,
        to_win=major(wager.to_win_minor),
        free_play=wager.free_play or UNSET,
        odds=odds,
        channel=channel,
        result=result,
        returned=returned,
        profit=profit,
        revision=revision,
    )


def _odds(legs: tuple[facts.Leg, ...]) -> float | UnsetType:
    return combined_odds(legs) or UNSET


def combined_odds(legs: tuple[facts.Leg, ...]) -> float:
    """The combined decimal odds, rounded to four decimals; 0 without a leg."""
    if not legs:
        return 0.0
    odds = 1.0
    for leg in legs:
        odds *= leg.odds
    return round(odds, 4)

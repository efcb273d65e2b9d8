"""The `reviews` view: the wagers that wait to be accepted, by scope, oldest first.

A wager waits from its request until it is accepted, rejected or has expired. It is nobody's risk meanwhile.
"""

from typing import ClassVar, Final

import msgspec
from msgspec import Struct

from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.money import Major
from fire22.sportsbook.betting.odds import combined_odds
from fire22.sportsbook.betting.wager_types import PLAIN
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.open_wager import StruckLeg
from fire22.sportsbook.registry.published_leg import published_leg
from fire22.sportsbook.registry.waiting_list import WaitingList

# Of a wager that waits, and of the sums.
FIELDS: Final = (
    "wagerId", "wagerNumber", "status", "customerId", "agentId", "agentPath", "type", "amount", "toWin",
    "requestedAt", "legs", "odds", "count",
)  # fmt: skip


class Review(Struct, frozen=True, gc=False, array_like=True):
    """A wager that waits; minor units.

    Args:
        order: the place in the log of the fact that told of it first.
        legs: by the names that held when it was asked for.
    """

    status: str
    order: int
    number: int
    customer_id: str
    agent_id: str
    path: str
    type: str
    risk: int
    to_win: int
    legs: tuple[StruckLeg, ...]
    asked_ms: int


class Reviews(Flow):
    """Comes after the registry, which judges what may follow a request."""

    name: ClassVar[str] = "reviews"
    version: ClassVar[int] = 4

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.topics = (Topic("reviews", Kind.VIEW, fields=FIELDS),)
        self._book = registry
        self._asked: Table[Review] = Table("asked", Review)
        self._list = WaitingList(_document, _amounts)
        self._at_ms = 0

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """The wagers that wait."""
        return (self._asked,)  # type: ignore[return-value]

    def handlers(self) -> dict[str, Handler]:
        """Requests, and what ends them."""
        return {
            "customer.renamed": self._renamed,
            "wager.requested": self._requested,
            "wager.rejected": self._ended,
            "wager.placed": self._ended,
        }

    def loaded(self) -> None:
        """Derive the lists."""
        self._list.load(self._asked)

    def flush(self) -> None:
        """The documents that changed."""
        at_ms, self._at_ms = self._at_ms or self.watermark_ms, 0
        for scope, key, document in self._list.changes(self._book.money.major):
            self.out.view("reviews", scope, key, "update", at_ms, document)

    def _requested(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerPlaced)
        before = self._asked.get(wager.wager_id)
        at_ms = fact.at_ms
        self._at_ms = max(self._at_ms, at_ms)
        legs = self._book.legs_of(wager)
        if before is not None and [leg.selection_id for leg in legs] == [leg.selection_id for leg in before.legs]:
            legs = before.legs  # by the names of the first request
        asked = Review(
            wager.status, fact.seq, wager.wager_number, wager.customer_id, wager.agent_id, wager.path, wager.type,
            wager.risk_minor, wager.to_win_minor, legs, at_ms if before is None else before.asked_ms,
        )  # fmt: skip
        self._wait(wager.wager_id, asked, before)

    def _wait(self, id: str, asked: Review, before: Review | None) -> None:
        """Put it into the line; one for another customer or for other amounts comes at the end of it."""
        if before is not None:
            if _place(asked) == _place(before):
                asked = msgspec.structs.replace(asked, order=before.order)
            else:
                self._list.leave(id)
        self._asked.put(id, asked)
        self._list.put(id, asked)

    def _renamed(self, fact: Fact) -> None:
        renamed = expect(fact, facts.CustomerRenamed)
        for id, before in self._list.items():
            if before.customer_id == renamed.before:
                asked = msgspec.structs.replace(before, customer_id=renamed.customer_id, order=fact.seq)
                self._wait(id, asked, before)
                self._at_ms = max(self._at_ms, fact.at_ms)

    def _ended(self, fact: Fact) -> None:
        if not len(self._asked):
            return
        wager_id = expect(fact, facts.WagerFact).wager_id
        if self._asked.get(wager_id) is not None:
            self._asked.pop(wager_id)
            self._list.leave(wager_id)
            self._at_ms = max(self._at_ms, fact.at_ms)


def _place(asked: Review) -> tuple[str, str, int, int]:
    return asked.customer_id, asked.path, asked.risk, asked.to_win


def _amounts(asked: Review) -> dict[str, int]:
    return {"amount": asked.risk, "toWin": asked.to_win}


def _document(wager_id: str, asked: Review, major: Major) -> dict[str, Json]:
    document: dict[str, Json] = {
        "wagerId": wager_id,
        "wagerNumber": asked.number,
        "status": asked.status,
        "customerId": asked.customer_id,
        "agentId": asked.agent_id,
        "agentPath": asked.path,
        "type": asked.type,
        "amount": major(asked.risk),
        "toWin": major(asked.to_win),
        "requestedAt": to_text(asked.asked_ms),
    }
    if asked.legs:
        legs: list[Json] = [msgspec.to_builtins(published_leg(leg)) for leg in asked.legs]
        document["legs"] = legs
        if asked.type in PLAIN:
            document["odds"] = combined_odds(asked.legs)
    return document

"""The `wagers` stream: the payload of each message, field by field."""

import msgspec
import pytest

from fire22.core.event import Event, encode_event
from fire22.feed.base import Entry
from fire22.flows.engine import Engine
from fire22.log.base import Group
from fire22.sportsbook import domain
from fire22.sportsbook.ticker import FILTERABLE, Ticker, customer_path
from tests.storage import START_MS, event

WAGER: dict[str, object] = {
    "wagerId": "w1", "wagerNumber": 7, "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "type": "straight",
    "riskMinor": 1100, "toWinMinor": 1050, "freePlay": False,
}  # fmt: skip
PLACED = {**WAGER, "channel": "web", "status": "accepted", "version": 1}
LEGS = [
    {"marketId": "m1", "selectionId": "s1", "odds": 1.909091},
    {"marketId": "m2", "selectionId": "s2", "odds": 2.5},
]
# What every message of this wager says.
SAID: dict[str, object] = {
    "wagerId": "w1", "amount": 11.0, "customerId": "C1", "agentId": "A7",
    "wagerNumber": 7, "agentPath": "/M1/A7", "type": "straight", "toWin": 10.5,
}  # fmt: skip


def told(type: str, data: object, *, at_ms: int = START_MS) -> Entry:
    """The one message that a fact makes."""
    engine = Engine((Ticker(),), domain.decode)
    fact: Event = event("e", type=type, data=data, at_ms=at_ms)
    batch = engine.fold_group(Group(1, (encode_event(fact).body,)))
    assert not engine.rejected
    ((entry,),) = (record.entries for record in batch.records)
    assert batch.records[0].topic == "wagers"
    assert (entry.type, entry.at_ms, entry.base, entry.target) == ("wager_update", at_ms, 0, "")
    return entry


def payload(type: str, data: object) -> object:
    """The message's data."""
    return msgspec.json.decode(told(type, data).data)


def test_a_placed_wager() -> None:
    """A risk manager sees who bet what, under which agent, at what odds."""
    assert payload("wager.placed", {**PLACED, "legs": LEGS[:1]}) == {
        **SAID, "action": "placed", "status": "accepted", "odds": 1.9091, "channel": "web",
    }  # fmt: skip


def test_a_parlay_shows_its_combined_odds() -> None:
    """The odds of several legs are their product."""
    data = payload("wager.placed", {**PLACED, "type": "parlay", "legs": LEGS})
    assert isinstance(data, dict)
    assert (data["type"], data["odds"]) == ("parlay", 4.7727)


def test_a_wager_without_known_legs_has_no_odds() -> None:
    """What is not known is absent, never null."""
    assert payload("wager.placed", PLACED) == {**SAID, "action": "placed", "status": "accepted", "channel": "web"}


def test_a_free_play_is_marked() -> None:
    """A free play looks like no other wager; an ordinary one carries no mark."""
    data = payload("wager.placed", {**PLACED, "freePlay": True})
    assert isinstance(data, dict) and data["freePlay"] is True


def test_a_modified_wager() -> None:
    """A change shows the amounts that hold now."""
    modified = {**WAGER, "version": 2, "before": {"riskMinor": 500, "toWinMinor": 400}, "legs": LEGS[:1]}
    assert payload("wager.modified", modified) == {**SAID, "action": "modified", "status": "accepted", "odds": 1.9091}


@pytest.mark.parametrize(
    ("result", "free_play", "returned", "said"),
    [
        ("win", False, 2150, {"returned": 21.5, "profit": 10.5}),
        ("loss", False, 0, {"returned": 0.0, "profit": -11.0}),
        ("push", False, 1100, {"returned": 11.0, "profit": 0.0}),
        ("win", True, 1050, {"returned": 10.5, "profit": 10.5, "freePlay": True}),
        ("loss", True, 0, {"returned": 0.0, "profit": 0.0, "freePlay": True}),
    ],
)
def test_a_settled_wager(result: str, free_play: bool, returned: int, said: dict[str, object]) -> None:
    """A settlement says the result, what the customer got back, and the customer's profit."""
    outcome = {"revision": 1, "result": result, "returnMinor": returned, "previousReturnMinor": 0}
    settled = {**WAGER, "freePlay": free_play, **outcome}
    assert payload("wager.settled", settled) == {
        **SAID, "action": "settled", "status": "settled", "result": result, "revision": 1, **said,
    }  # fmt: skip


def test_a_resettled_wager() -> None:
    """A correction is a settlement with a later revision."""
    settled = {**WAGER, "revision": 2, "result": "loss", "returnMinor": 0, "previousReturnMinor": 2150}
    data = payload("wager.resettled", settled)
    assert isinstance(data, dict)
    assert (data["action"], data["revision"], data["profit"]) == ("settled", 2, -11.0)


def test_a_wager_that_was_cashed_out_is_settled() -> None:
    """Who bought a wager back early shows as settled, and the status says how."""
    outcome = {"revision": 1, "result": "cashed_out", "returnMinor": 900, "previousReturnMinor": 0}
    assert payload("wager.settled", {**WAGER, **outcome}) == {
        **SAID, "action": "settled", "status": "cashed_out", "result": "cashed_out", "revision": 1, "returned": 9.0,
        "profit": -2.0,
    }  # fmt: skip


def test_a_wager_that_is_open_again() -> None:
    """A roll-back shows as a wager that is accepted anew."""
    assert payload("wager.reopened", {**PLACED, "version": 3, "legs": LEGS[:1]}) == {
        **SAID, "action": "placed", "status": "accepted", "odds": 1.9091, "channel": "web",
    }  # fmt: skip


@pytest.mark.parametrize("status", ["cancelled", "voided", "deleted"])
@pytest.mark.parametrize("returned", [None, 2150])
def test_a_cancelled_wager(status: str, returned: int | None) -> None:
    """Cancelled, voided and deleted wagers are all `cancelled`; the status tells which."""
    cancelled = {**WAGER, "status": status, **({} if returned is None else {"settledReturnMinor": returned})}
    assert payload("wager.cancelled", cancelled) == {**SAID, "action": "cancelled", "status": status}


def test_a_message_lies_at_its_customer() -> None:
    """An agent sees it by the agent's scope, the customer by its own; the house's customers lie at the top."""
    assert told("wager.placed", PLACED).path == "/M1/A7/@C1"
    assert told("wager.placed", {**PLACED, "path": "/"}).path == "/@C1"
    assert customer_path("/M1", "C2") == "/M1/@C2"


def test_a_late_fact_keeps_its_own_time() -> None:
    """The time of a message is the time of the fact."""
    assert told("wager.placed", PLACED, at_ms=START_MS - 86_400_000).at_ms == START_MS - 86_400_000


def test_an_imported_wager_is_no_news() -> None:
    """Wagers that were there before the book was connected do not run through the ticker."""
    engine = Engine((Ticker(),), domain.decode)
    body = encode_event(event("e", type="wager.imported", data=PLACED)).body
    assert engine.fold_group(Group(1, (body,))).records == ()


def test_money_has_two_decimals() -> None:
    """A cent is never lost or invented on the wire."""
    for minor in (0, 1, 10, 99, 101, 333, 10**13 - 1, 10**13):
        data = told("wager.placed", {**PLACED, "riskMinor": minor, "toWinMinor": minor}).data
        text = data.decode().partition('"amount":')[2].partition(",")[0]
        whole, _, cents = text.partition(".")
        assert int(whole) * 100 + int(cents.ljust(2, "0")) == minor
        assert len(cents) <= 2


def test_filterable_fields_are_fields() -> None:
    """Whatever a filter may name is said by some message."""
    settled = {**WAGER, "freePlay": True, "revision": 1, "result": "win", "returnMinor": 0, "previousReturnMinor": 0}
    known: set[str] = set()
    for data in (payload("wager.placed", PLACED), payload("wager.settled", settled)):
        assert isinstance(data, dict)
        known |= set(data)
    assert set(FILTERABLE) <= known

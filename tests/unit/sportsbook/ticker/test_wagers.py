"""The `wagers` stream: the payload of each message, field by field."""

from collections.abc import Mapping
from typing import Any

import pytest

from fire22.core.scope import customer_path
from fire22.feed.base import Entry
from fire22.flows.base import Flow
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.ticker.wagers import FILTERABLE, Ticker
from tests.support.folding import Folding, entries
from tests.support.storage import START_MS

WAGER: dict[str, object] = {
    "wagerId": "w1", "wagerNumber": 7, "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "type": "straight",
    "riskMinor": 1100, "toWinMinor": 1050, "freePlay": False,
}  # fmt: skip
LEGS: list[dict[str, object]] = [
    {"marketId": "m1", "selectionId": "s1", "odds": 1.909091},
    {"marketId": "m2", "selectionId": "s2", "odds": 2.5},
]
PLACED: dict[str, object] = {**WAGER, "channel": "web", "status": "accepted", "version": 1, "legs": LEGS[:1]}
MARKET = {
    "marketId": "m1", "eventId": "e1", "type": "spread", "status": "open", "eventName": "Oak Valley - Cedar Falls",
    "period": "first_half", "line": -3.5,
    "selections": [{"selectionId": "s1", "name": "Cedar Falls +3.5", "odds": 1.9}],
}  # fmt: skip
NAMED = {
    **LEGS[0], "eventId": "e1", "event": "Oak Valley - Cedar Falls", "market": "spread", "period": "first_half",
    "line": -3.5, "selection": "Cedar Falls +3.5",
}  # fmt: skip
# What every message of this wager says.
SAID: dict[str, object] = {
    "wagerId": "w1", "amount": 11.0, "customerId": "C1", "agentId": "A7", "wagerNumber": 7, "agentPath": "/M1/A7",
    "type": "straight", "toWin": 10.5, "odds": 1.9091, "legs": [NAMED],
}  # fmt: skip
FREE = {"freePlay": True}


def flows() -> tuple[Flow, ...]:
    """The flows under test."""
    registry = Registry()
    return registry, Ticker(registry)


@pytest.fixture
def book() -> Folding:
    """A book with one agent, one customer, and one market of two that are bet on."""
    folding = Folding(flows)
    folding.tell("agent.created", {"agentId": "A7", "name": "", "path": "/M1/A7", "level": 2, "status": "active"})
    owner = {"agentId": "A7", "path": "/M1/A7", "name": "", "status": "active"}
    folding.tell("customer.created", {**owner, "customerId": "C1"})
    folding.tell("market.created", MARKET)
    return folding


def told(book: Folding, type: str, data: Mapping[str, object], *, at_ms: int = START_MS) -> Entry:
    """The one message that a fact makes."""
    book.tell(type, data, at_ms)
    assert not book.refused
    ((record, entry),) = entries(book.batches[-1])
    assert record.topic == "wagers"
    assert (entry.type, entry.at_ms, entry.base, entry.target) == ("wager_update", at_ms, 0, "")
    return entry


def settled(returned: int, result: str = "win", **more: object) -> dict[str, object]:
    """The first settlement."""
    return {**WAGER, "revision": 1, "result": result, "returnMinor": returned, "previousReturnMinor": 0, **more}


def payload(book: Folding, type: str, data: Mapping[str, object]) -> dict[str, Any]:
    """The message's data."""
    return book.body(told(book, type, data))


def test_a_placed_wager(book: Folding) -> None:
    """A risk manager sees who bet what, on what, under which agent, at what odds."""
    assert payload(book, "wager.placed", PLACED) == {
        **SAID, "action": "placed", "status": "accepted", "channel": "web",
    }  # fmt: skip


def test_a_wager_without_a_channel(book: Folding) -> None:
    """A mapped book may not know how a wager came: then nothing is said of it, rather than an empty text."""
    assert "channel" not in payload(book, "wager.placed", {**PLACED, "channel": ""})


def test_a_parlay_shows_its_combined_odds_and_all_legs(book: Folding) -> None:
    """The odds of several legs are their product; a leg on a market that nobody knows says its ids."""
    data = payload(book, "wager.placed", {**PLACED, "type": "parlay", "legs": LEGS})
    assert (data["type"], data["odds"], data["legs"]) == ("parlay", 4.7727, [NAMED, LEGS[1]])


def test_other_types_say_their_terms_and_no_combined_odds(book: Folding) -> None:
    """A round robin pays no product of its odds: it says by what it is played, also when it is settled."""
    round_robin = {**WAGER, "type": "round_robin"}
    said = payload(book, "wager.placed", {**PLACED, **round_robin, "legs": LEGS, "terms": {"by": [2]}})
    assert (said["type"], said["terms"], "odds" in said, len(said["legs"])) == ("round_robin", {"by": [2]}, False, 2)
    said = payload(book, "wager.settled", settled(0, "loss") | round_robin)
    assert (said["terms"], "odds" in said) == ({"by": [2]}, False)


def test_an_unknown_selection_of_a_known_market(book: Folding) -> None:
    """What is known of a leg is said, the name that is not known is absent."""
    data = payload(book, "wager.placed", {**PLACED, "legs": [{**LEGS[0], "selectionId": "s9"}]})
    assert data["legs"] == [{**{key: NAMED[key] for key in NAMED if key != "selection"}, "selectionId": "s9"}]


def test_a_wager_without_known_legs_has_no_odds(book: Folding) -> None:
    """What is not known is absent, never null."""
    data = payload(book, "wager.placed", {**PLACED, "legs": []})
    assert not data.keys() & {"odds", "legs"} and None not in data.values()


@pytest.mark.parametrize("restarts", [False, True])
def test_the_names_are_those_of_the_bet(book: Folding, restarts: bool) -> None:
    """However a market is called later, and when it is long over: its wagers say what was bet on, as it was then."""
    told(book, "wager.placed", PLACED)
    told(book, "wager.placed", {**PLACED, "wagerId": "w2", "wagerNumber": 8})
    book.tell("market.created", {**MARKET, "eventName": "Renamed", "line": -4.5, "selections": []})
    late = payload(book, "wager.placed", {**PLACED, "wagerId": "w3", "wagerNumber": 9})
    assert late["legs"] == [
        {**LEGS[0], "eventId": "e1", "event": "Renamed", "market": "spread", "period": "first_half", "line": -4.5}
    ]
    book.tell("market.status_changed", {"marketId": "m1", "status": "resulted"})
    if restarts:
        book.restart()
    changed = {**WAGER, "version": 2, "before": {"riskMinor": 1100, "toWinMinor": 1050}, "riskMinor": 500}
    assert payload(book, "wager.modified", changed)["legs"] == [NAMED]
    assert payload(book, "wager.settled", settled(0, "loss", riskMinor=500))["legs"] == [NAMED]
    cancelled = {**WAGER, "wagerId": "w2", "wagerNumber": 8, "status": "cancelled"}
    assert payload(book, "wager.cancelled", cancelled)["legs"] == [NAMED]
    assert payload(book, "wager.placed", {**PLACED, "wagerId": "w4", "wagerNumber": 10})["legs"] == LEGS[:1]


def test_a_wager_that_is_told_again_after_a_renaming(book: Folding) -> None:
    """A repeated fact stays one that is known, whatever its market is called by now: nothing is said, or set aside."""
    told(book, "wager.placed", PLACED)
    book.tell("market.created", {**MARKET, "eventName": "Renamed"})
    assert book.tell("wager.placed", PLACED) == [] and not book.refused


def test_a_free_play_is_marked(book: Folding) -> None:
    """A free play looks like no other wager; an ordinary one carries no mark."""
    assert payload(book, "wager.placed", {**PLACED, **FREE})["freePlay"] is True


def test_a_modified_wager(book: Folding) -> None:
    """A change shows the amounts that hold now, and the price that it has now."""
    before = {"riskMinor": 500, "toWinMinor": 400}
    told(book, "wager.placed", {**PLACED, **before, "legs": LEGS[1:]})
    modified = {**WAGER, "version": 2, "before": before, "legs": LEGS[:1]}
    assert payload(book, "wager.modified", modified) == {**SAID, "action": "modified", "status": "accepted"}


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
def test_a_settled_wager(book: Folding, result: str, free_play: bool, returned: int, said: dict[str, object]) -> None:
    """A settlement says the result, what the customer got back, and the customer's profit."""
    told(book, "wager.placed", {**PLACED, "freePlay": free_play})
    assert payload(book, "wager.settled", settled(returned, result, freePlay=free_play)) == {
        **SAID, "action": "settled", "status": "settled", "result": result, "revision": 1, **said,
    }  # fmt: skip


def test_a_resettled_wager(book: Folding) -> None:
    """A correction is a settlement with a later revision; what a wager that is over was on is kept by nobody."""
    told(book, "wager.placed", PLACED)
    told(book, "wager.settled", settled(2150))
    again = {**settled(0, "loss"), "revision": 2, "previousReturnMinor": 2150}
    data = payload(book, "wager.resettled", again)
    assert (data["action"], data["revision"], data["profit"]) == ("settled", 2, -11.0)
    assert "legs" not in data


def test_a_wager_that_was_cashed_out_is_settled(book: Folding) -> None:
    """Who bought a wager back early shows as settled, and the status says how."""
    told(book, "wager.placed", PLACED)
    assert payload(book, "wager.settled", settled(900, "cashed_out")) == {
        **SAID, "action": "settled", "status": "cashed_out", "result": "cashed_out", "revision": 1, "returned": 9.0,
        "profit": -2.0,
    }  # fmt: skip


def test_a_wager_that_is_open_again(book: Folding) -> None:
    """A roll-back shows as a wager that is accepted anew."""
    told(book, "wager.placed", PLACED)
    told(book, "wager.settled", settled(0, "loss"))
    assert payload(book, "wager.reopened", {**PLACED, "version": 3, "settledReturnMinor": 0}) == {
        **SAID, "action": "placed", "status": "accepted", "channel": "web",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "returned"),
    [("cancelled", None), ("voided", None), ("deleted", None), ("voided", 2150), ("deleted", 2150)],
)
def test_a_cancelled_wager(book: Folding, status: str, returned: int | None) -> None:
    """Cancelled, voided and deleted wagers are all `cancelled`; the status tells which."""
    told(book, "wager.placed", PLACED)
    was: dict[str, object] = {}
    said = dict(SAID)
    if returned is not None:
        told(book, "wager.settled", settled(returned))
        was, said = {"settledReturnMinor": returned}, {key: SAID[key] for key in SAID if key not in ("legs", "odds")}
    cancelled = {**WAGER, "status": status, **was}
    assert payload(book, "wager.cancelled", cancelled) == {**said, "action": "cancelled", "status": status}


def test_a_message_lies_at_its_customer(book: Folding) -> None:
    """An agent sees it by the agent's scope, the customer by its own; the house's customers lie at the top."""
    assert told(book, "wager.placed", PLACED).path == "/M1/A7/@C1"
    assert told(book, "wager.placed", {**PLACED, "wagerId": "w2", "path": "/"}).path == "/@C1"
    assert customer_path("/M1", "C2") == "/M1/@C2"


def test_a_late_fact_keeps_its_own_time(book: Folding) -> None:
    """The time of a message is the time of the fact."""
    assert told(book, "wager.placed", PLACED, at_ms=START_MS - 86_400_000).at_ms == START_MS - 86_400_000


def test_an_imported_wager_is_no_news(book: Folding) -> None:
    """Wagers that were there before the book was connected do not run through the ticker; their settlement says all."""
    assert book.tell("wager.imported", PLACED) == []
    assert payload(book, "wager.settled", settled(0, "loss"))["legs"] == [NAMED]


def test_money_has_two_decimals(book: Folding) -> None:
    """A cent is never lost or invented on the wire."""
    for minor in (0, 1, 10, 99, 101, 333, 10**13 - 1, 10**13):
        wager = {**PLACED, "wagerId": f"w{minor}", "riskMinor": minor, "toWinMinor": minor}
        text = told(book, "wager.placed", wager).data.decode().partition('"amount":')[2].partition(",")[0]
        whole, _, cents = text.partition(".")
        assert int(whole) * 100 + int(cents.ljust(2, "0")) == minor
        assert len(cents) <= 2


def test_filterable_fields_are_fields(book: Folding) -> None:
    """Whatever a filter may name is said by some message."""
    known = {
        *payload(book, "wager.placed", {**PLACED, **FREE}), *payload(book, "wager.settled", settled(0, "loss", **FREE))
    }  # fmt: skip
    assert set(FILTERABLE) <= known

"""The `activity` stream: what people do, in words, with the fields of the specification."""

import msgspec
import pytest

from fire22.core.event import encode_event
from fire22.feed.base import Entry
from fire22.flows.engine import Engine
from fire22.log.base import Group
from fire22.sportsbook import domain
from fire22.sportsbook.activity import ActivityFeed
from tests.storage import START_MS, event

WAGER: dict[str, object] = {
    "wagerId": "w1", "wagerNumber": 7, "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "type": "straight",
    "riskMinor": 1100, "toWinMinor": 1050, "freePlay": False,
}  # fmt: skip
PLACED = {**WAGER, "channel": "web", "status": "accepted", "version": 1}
SETTLED = {**WAGER, "revision": 1, "result": "win", "returnMinor": 2150, "previousReturnMinor": 0}
PAYMENT = {
    "paymentId": "p1", "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "direction": "deposit", "method": "card",
    "amountMinor": 5000, "status": "pending",
}  # fmt: skip
CUSTOMER = {"customerId": "C1", "agentId": "A7", "path": "/M1/A7", "name": "One", "status": "active"}
LIMITS = {"creditLimitMinor": 100, "maxWagerMinor": 25_050}


def told(type: str, data: object) -> list[Entry]:
    """The messages that a fact makes."""
    engine = Engine((ActivityFeed(),), domain.decode)
    batch = engine.fold_group(
        Group(1, (encode_event(event("book:12", type=type, data=data, at_ms=START_MS + 250)).body,))
    )
    assert not engine.rejected
    return [entry for record in batch.records for entry in record.entries]


def said(type: str, data: object) -> tuple[object, ...]:
    """What a message says: action, icon, amount."""
    (entry,) = told(type, data)
    body = msgspec.json.decode(entry.data)
    return body["action"], body["icon"], body.get("amount")


def test_the_fields_are_those_of_the_specification() -> None:
    """A developer finds each field under its name; the id is the event's, so a repeat is known."""
    (entry,) = told("wager.placed", PLACED)
    assert msgspec.json.decode(entry.data) == {
        "activityId": "book:12",
        "userId": "C1",
        "action": "placed a wager",
        "amount": 11.0,
        "timestamp": "2026-03-01T12:00:00.250Z",
        "icon": "ticket",
    }
    assert (entry.type, entry.path, entry.at_ms) == ("activity_update", "/M1/A7/@C1", START_MS + 250)


@pytest.mark.parametrize(
    ("type", "data", "expected"),
    [
        ("wager.placed", {**PLACED, "type": "parlay"}, ("placed a parlay", "ticket", 11.0)),
        ("wager.placed", {**PLACED, "freePlay": True}, ("placed a free play", "ticket", 11.0)),
        (
            "wager.modified",
            {**WAGER, "version": 2, "before": {"riskMinor": 1, "toWinMinor": 1}},
            ("had a wager changed", "edit", 11.0),
        ),
        ("wager.settled", SETTLED, ("won a wager", "win", 21.5)),
        ("wager.settled", {**SETTLED, "result": "loss", "returnMinor": 0}, ("lost a wager", "loss", 11.0)),
        ("wager.settled", {**SETTLED, "result": "lose", "returnMinor": 0}, ("lost a wager", "loss", 11.0)),
        ("wager.settled", {**SETTLED, "result": "push", "returnMinor": 1100}, ("had a wager settled", "push", 11.0)),
        ("wager.resettled", {**SETTLED, "revision": 2}, ("had a wager settled again", "edit", 21.5)),
        ("wager.cancelled", {**WAGER, "status": "cancelled"}, ("had a wager cancelled", "cancel", 11.0)),
        ("wager.cancelled", {**WAGER, "status": "voided"}, ("had a wager voided", "cancel", 11.0)),
        ("wager.cancelled", {**WAGER, "status": "deleted"}, ("had a wager deleted", "cancel", 11.0)),
        ("payment.requested", PAYMENT, ("requested a deposit", "deposit", 50.0)),
        ("payment.approved", {**PAYMENT, "direction": "withdrawal"}, ("had a withdrawal approved", "withdrawal", 50.0)),
        ("payment.completed", PAYMENT, ("completed a deposit", "deposit", 50.0)),
        ("payment.rejected", PAYMENT, ("had a deposit rejected", "alert", 50.0)),
        ("payment.failed", PAYMENT, ("had a deposit fail", "alert", 50.0)),
        ("payment.charged_back", PAYMENT, ("charged a deposit back", "alert", 50.0)),
        ("customer.created", CUSTOMER, ("joined as a customer", "user-plus", None)),
        ("customer.limit_changed", {**CUSTOMER, "before": LIMITS, "after": LIMITS}, ("has a new limit", "edit", 250.5)),
        (
            "customer.status_changed",
            {**CUSTOMER, "before": "active", "after": "suspended"},
            ("is now suspended", "user", None),
        ),
    ],
)
def test_each_fact_is_told_in_words(type: str, data: object, expected: tuple[object, ...]) -> None:
    """A head agent reads what happened without knowing event types."""
    assert said(type, data) == expected
    assert told(type, data)[0].path == "/M1/A7/@C1"


def test_a_new_agent_is_told_at_its_own_place() -> None:
    """Who joined is seen by those above."""
    agent = {"agentId": "A7", "name": "Agent", "path": "/M1/A7", "level": 2, "status": "active"}
    (entry,) = told("agent.created", agent)
    assert entry.path == "/M1/A7"
    body = msgspec.json.decode(entry.data)
    assert (body["userId"], body["action"], body["icon"]) == ("A7", "joined as an agent", "user-plus")
    assert "amount" not in body


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("wager.imported", PLACED),
        ("customer.imported", CUSTOMER),
        ("market.price_changed", {"marketId": "m", "selectionId": "s", "oldOdds": 2.0, "newOdds": 2.1}),
        ("revenue.imported", {"path": "/", "revenueMinor": 5}),
    ],
)
def test_what_nobody_did_is_not_told(type: str, data: object) -> None:
    """The past and the prices are no activity."""
    assert told(type, data) == []

"""The `activity` stream: what people do, in words, with the fields of the specification."""

import re
from pathlib import Path

import msgspec
import pytest

import fire22
from fire22.core.event import encode_event
from fire22.feed.base import Entry
from fire22.flows.engine import Engine
from fire22.log.base import Group
from fire22.sportsbook import domain
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.ticker.activity import ActivityFeed
from tests.support.storage import START_MS, event

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
CUSTOMER: dict[str, object] = {"customerId": "C1", "agentId": "A7", "path": "/M1/A7", "name": "One", "status": "active"}
ENTRY = {
    "entryId": "7", "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "kind": "adjustment", "amountMinor": 250,
}  # fmt: skip
LIMITS = {"creditLimitMinor": 100, "maxWagerMinor": 25_050}
ICONS = Path(fire22.__file__).parent / "dashboard" / "views" / "icons.js"
CASES: list[tuple[str, dict[str, object], tuple[object, ...]]] = [
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
    ("wager.settled", {**SETTLED, "result": "half_loss", "returnMinor": 550}, ("half lost a wager", "loss", 5.5)),
    ("wager.settled", {**SETTLED, "result": "half_win"}, ("half won a wager", "win", 21.5)),
    ("wager.settled", {**SETTLED, "result": "dead_heat"}, ("won a wager in a dead heat", "win", 21.5)),
    ("wager.settled", {**SETTLED, "result": "cashed_out"}, ("cashed out a wager", "withdrawal", 21.5)),
    ("wager.requested", {**PLACED, "status": "review"}, ("has a wager held for review", "pause", 11.0)),
    ("wager.requested", {**PLACED, "status": "requested"}, ("asked for a wager", "clock", 11.0)),
    ("wager.rejected", {**WAGER, "status": "rejected"}, ("had a wager rejected", "cancel", 11.0)),
    ("wager.rejected", {**WAGER, "status": "expired"}, ("had a wager expire", "clock", 11.0)),
    ("wager.reopened", PLACED, ("had a wager opened again", "edit", 11.0)),
    ("balance.adjusted", {**ENTRY, "kind": "bonus"}, ("was given a bonus", "deposit", 2.5)),
    ("balance.adjusted", {**ENTRY, "kind": "fee", "amountMinor": -250}, ("was charged a fee", "withdrawal", -2.5)),
    ("balance.adjusted", {**ENTRY, "kind": "transfer"}, ("had an amount transferred", "edit", 2.5)),
    ("balance.adjusted", ENTRY, ("had the balance adjusted", "deposit", 2.5)),
    ("balance.adjusted", {**ENTRY, "amountMinor": -250}, ("had the balance adjusted", "withdrawal", -2.5)),
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
]


def told(type: str, data: object) -> list[Entry]:
    """The messages that a fact makes."""
    engine = Engine((ActivityFeed(Registry()),), domain.decode)
    folded = engine.fold_group(
        Group(1, (encode_event(event("book:12", type=type, data=data, at_ms=START_MS + 250)).body,))
    )
    assert not engine.rejected
    return [entry for record in folded.batch.records for entry in record.entries]


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


@pytest.mark.parametrize(("type", "data", "expected"), CASES)
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


@pytest.mark.parametrize(("type", "action"), [("acknowledged", "acknowledged"), ("closed", "closed")])
def test_what_was_done_about_an_alert_is_told_to_the_whole_book(type: str, action: str) -> None:
    """A risk manager sees who has taken up an alert; the alert's own scope is told by the alert."""
    (entry,) = told(f"alert.{type}", {"alertId": "a1", "actor": "risk-1", "note": "known"})
    body = msgspec.json.decode(entry.data)
    assert (entry.path, body["userId"], body["action"], body["icon"]) == ("/", "risk-1", f"{action} an alert", "alert")


def test_a_commission_plan_is_told_without_its_rate() -> None:
    """An agent learns that there is a new plan; what it says is for whoever may see commission."""
    (entry,) = told("commission.plan_set", {"agentId": "A7", "path": "/M1/A7", "type": "split", "rate": 0.2})
    body = msgspec.json.decode(entry.data)
    assert (entry.path, body["userId"]) == ("/M1/A7", "A7")
    assert (body["action"], body["icon"]) == ("has a new commission plan", "edit")
    assert set(body) == {"activityId", "userId", "action", "timestamp", "icon"}


def test_every_icon_is_one_that_the_page_draws() -> None:
    """No message shows an icon that the page has no drawing for."""
    drawn = set(re.findall(r"^  '?([\w-]+)'?: '", ICONS.read_text(), re.MULTILINE))
    assert {str(expected[1]) for _, _, expected in CASES} <= drawn


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("wager.imported", PLACED),
        ("customer.imported", CUSTOMER),
        ("market.price_changed", {"marketId": "m", "selectionId": "s", "oldOdds": 2.0, "newOdds": 2.1}),
        ("session.login", {"customerId": "C1", "agentId": "A7", "path": "/M1/A7"}),
        ("revenue.imported", {"path": "/", "revenueMinor": 5}),
    ],
)
def test_what_nobody_did_is_not_told(type: str, data: object) -> None:
    """The past and the prices are no activity."""
    assert told(type, data) == []

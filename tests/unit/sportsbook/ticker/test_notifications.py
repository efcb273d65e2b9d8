"""Notifications: who is told what, and that nobody else is."""

import pytest

from fire22.flows.base import Flow
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.ticker.notifications import Notifications
from tests.support.folding import Folding, entries
from tests.support.storage import event
from tests.unit.sportsbook.accounting.test_ledger import ADJUSTED, AGENT, CUSTOMER, PAYMENT, PLACED, SETTLED, WAGER

MASTER: dict[str, object] = {"agentId": "M1", "name": "Master", "path": "/M1", "level": 1, "status": "active"}
LIMITS = {"creditLimitMinor": 10_000, "maxWagerMinor": 0}, {"creditLimitMinor": 2_500, "maxWagerMinor": 12_345}


def flows() -> tuple[Flow, ...]:
    """The flows under test."""
    registry = Registry()
    return registry, Ledger(registry), Notifications(registry)


@pytest.fixture
def book() -> Folding:
    """A book with two agents, one below the other, a customer, and an open wager."""
    folding = Folding(flows)
    folding.tell("agent.created", MASTER)
    folding.tell("agent.created", AGENT)
    assert notified(folding, "customer.created", CUSTOMER) == []
    assert notified(folding, "wager.placed", PLACED) == []
    return folding


def notified(book: Folding, type: str, data: dict[str, object]) -> list[tuple[str, str, str]]:
    """Who is told, of what kind, and the words."""
    batch = book.group([event(f"n:{len(book.batches)}", type=type, data=data)])
    found = []
    for record, entry in entries(batch):
        if record.topic == "direct":
            assert (entry.type, entry.path) == ("notification", "/")
            body = book.body(entry)
            assert body["notificationId"] == f"n:{len(book.batches) - 1}"
            assert body["timestamp"] == "2026-03-01T12:00:00.000Z"
            found.append((entry.target, str(body["kind"]), str(body["text"])))
    return found


@pytest.mark.parametrize(
    ("type", "data", "kind", "text"),
    [
        ("wager.settled", SETTLED, "wager_settled", "Your wager 7 won, 21.50 returned."),
        (
            "wager.settled",
            SETTLED | {"result": "loss", "returnMinor": 0},
            "wager_settled",
            "Your wager 7 lost, 0.00 returned.",
        ),
        (
            "wager.modified",
            WAGER | {"riskMinor": 2000, "version": 2, "before": {"riskMinor": 1100, "toWinMinor": 1050}},
            "wager_modified",
            "Your wager 7 was changed: 20.00 to win 10.50.",
        ),
        ("wager.cancelled", WAGER | {"status": "cancelled"}, "wager_cancelled", "Your wager 7 was cancelled."),
        (
            "wager.cancelled",
            WAGER | {"status": "voided", "reason": "wrong price"},
            "wager_cancelled",
            "Your wager 7 was voided: wrong price.",
        ),
        ("payment.approved", PAYMENT, "payment_decided", "Your deposit of 50.00 was approved."),
        ("payment.completed", PAYMENT, "payment_completed", "Your deposit of 50.00 is complete."),
        (
            "payment.failed",
            PAYMENT | {"direction": "withdrawal"},
            "payment_failed",
            "Your withdrawal of 50.00 has failed.",
        ),
        (
            "customer.limit_changed",
            CUSTOMER | {"before": LIMITS[0], "after": LIMITS[1]},
            "limit_changed",
            "Your limits were changed: credit 25.00, largest wager 123.45.",
        ),
        (
            "customer.status_changed",
            CUSTOMER | {"before": "active", "after": "suspended"},
            "status_changed",
            "Your account is now suspended.",
        ),
        ("balance.adjusted", ADJUSTED, "balance_adjusted", "Your balance was changed by +2.50: bonus (welcome)."),
    ],
)
def test_a_customer_is_told_what_others_did(
    book: Folding, type: str, data: dict[str, object], kind: str, text: str
) -> None:
    """A customer learns at once what became of a wager, a payment or a limit; nobody else is told."""
    assert notified(book, type, data) == [("user:customer:C1", kind, text)]


def test_corrections_and_roll_backs_are_told_as_such(book: Folding) -> None:
    """A customer whose wager is settled again, or is open again, is told so."""
    notified(book, "wager.settled", SETTLED)
    again = SETTLED | {"revision": 2, "result": "loss", "returnMinor": 0, "previousReturnMinor": 2150}
    assert notified(book, "wager.resettled", again) == [
        ("user:customer:C1", "wager_settled", "Your wager 7 lost after a correction, 0.00 returned.")
    ]
    assert notified(book, "wager.reopened", PLACED | {"version": 2}) == [
        ("user:customer:C1", "wager_reopened", "Your wager 7 is open again.")
    ]


def test_a_wager_that_was_asked_for_and_not_accepted(book: Folding) -> None:
    """A customer whose wager is turned down is told why."""
    asked = PLACED | {"wagerId": "w2", "wagerNumber": 8, "status": "review"}
    assert notified(book, "wager.requested", asked) == []
    turned_down = WAGER | {"wagerId": "w2", "wagerNumber": 8, "status": "rejected", "reason": "over the limit"}
    assert notified(book, "wager.rejected", turned_down) == [
        ("user:customer:C1", "wager_rejected", "Your wager 8 was not accepted: over the limit.")
    ]


def test_agents_are_told_of_requests_in_their_tree(book: Folding) -> None:
    """Each agent above a customer learns of a payment to decide about; the customer, who asked, does not."""
    assert notified(book, "payment.requested", PAYMENT) == [
        ("user:agent:M1", "payment_requested", "C1 requests a deposit of 50.00."),
        ("user:agent:A7", "payment_requested", "C1 requests a deposit of 50.00."),
    ]


def test_what_is_refused_is_not_told(book: Folding) -> None:
    """Nobody is told of what the book cannot believe, or of what is said twice."""
    assert notified(book, "wager.settled", SETTLED | {"wagerId": "w9"}) == []
    assert notified(book, "payment.completed", PAYMENT | {"customerId": "C9"}) == []
    assert len(book.refused) == 2
    notified(book, "payment.completed", PAYMENT)
    assert notified(book, "payment.completed", PAYMENT) == []

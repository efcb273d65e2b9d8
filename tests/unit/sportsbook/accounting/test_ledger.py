"""The ledger, case by case; `tests/property/test_ledger.py` compares every balance with the book's own tables."""

from typing import Any

import pytest

from fire22.sportsbook.accounting.ledger import AT_ONCE_MAX, Ledger
from fire22.sportsbook.registry import waiting_list as waiting
from fire22.sportsbook.registry.flow import Registry
from tests.support.folding import Folding, Told, said
from tests.support.storage import START_MS, event

AT = "2026-03-01T12:00:00.000Z"
OWN = "/M1/A7/@C1"
AGENT: dict[str, object] = {"agentId": "A7", "name": "Agent", "path": "/M1/A7", "level": 2, "status": "active"}
CUSTOMER: dict[str, object] = {
    "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "name": "One", "status": "active",
    "creditLimitMinor": 10_000,
}  # fmt: skip
WAGER: dict[str, object] = {
    "wagerId": "w1", "wagerNumber": 7, "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "type": "straight",
    "riskMinor": 1100, "toWinMinor": 1050, "freePlay": False,
}  # fmt: skip
PLACED: dict[str, object] = {**WAGER, "channel": "web", "status": "accepted", "version": 1}
SETTLED: dict[str, object] = {**WAGER, "revision": 1, "result": "win", "returnMinor": 2150, "previousReturnMinor": 0}
PAYMENT: dict[str, object] = {
    "paymentId": "p1", "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "direction": "deposit", "method": "card",
    "amountMinor": 5000, "status": "pending",
}  # fmt: skip
ADJUSTED: dict[str, object] = {
    "entryId": "7", "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "kind": "bonus", "amountMinor": 250,
    "reason": "welcome",
}  # fmt: skip


def flows() -> tuple[Registry, Ledger]:
    """The flows under test."""
    registry = Registry()
    return registry, Ledger(registry)


@pytest.fixture
def book() -> Folding:
    """A book with one agent and one customer, who may owe 100.00."""
    folding = Folding(flows)
    folding.tell("agent.created", AGENT)
    folding.tell("customer.created", CUSTOMER)
    return folding


def balance(book: Folding, scope: str = OWN) -> tuple[Any, ...]:
    """Balance, what is available, and what is at risk."""
    document = book.documents["balances", scope, ""]
    return document["balance"], document["available"], document["pendingRisk"]


def entry(told: Told) -> tuple[Any, ...] | None:
    """Kind, amount, balance and reference of the ledger's entry among what was told; None without one."""
    found = [data for topic, _, data in told if topic == "ledger"]
    if not found:
        return None
    (one,) = found
    return one["kind"], one["amount"], one["balance"], one["ref"]


def test_a_new_customer_has_a_document_and_no_entry(book: Folding) -> None:
    """Who owes nothing can bet with the whole credit."""
    assert book.documents["balances", OWN, ""] == {
        "customerId": "C1", "agentId": "A7", "balance": 0.0, "available": 100.0, "pendingRisk": 0.0,
        "creditLimit": 100.0,
    }  # fmt: skip


def test_an_opening_balance_is_an_entry(book: Folding) -> None:
    """The ledger's sum is the balance from the first moment, also of a customer who was there before."""
    other = CUSTOMER | {"customerId": "C2", "balanceMinor": -750}
    told = book.tell("customer.imported", other)
    assert entry(told) == ("opening", -7.5, -7.5, "C2")
    assert balance(book, "/M1/A7/@C2") == (-7.5, 92.5, 0.0)
    assert entry(book.tell("customer.imported", other)) is None


def test_a_wager_holds_its_stake_and_settles_by_its_profit(book: Folding) -> None:
    """The balance moves when a wager is settled; until then its stake is at risk."""
    assert entry(book.tell("wager.placed", PLACED)) is None
    assert balance(book) == (0.0, 89.0, 11.0)
    assert entry(book.tell("wager.settled", SETTLED)) == ("settlement", 10.5, 10.5, "w1")
    assert balance(book) == (10.5, 110.5, 0.0)


def test_what_is_settled_again_moves_by_the_difference(book: Folding) -> None:
    """A correction posts its delta alone, and a void takes everything back."""
    book.tell("wager.placed", PLACED)
    book.tell("wager.settled", SETTLED)
    again = {**SETTLED, "revision": 2, "result": "loss", "returnMinor": 0, "previousReturnMinor": 2150}
    assert entry(book.tell("wager.resettled", again)) == ("resettlement", -21.5, -11.0, "w1")
    voided = {**WAGER, "status": "voided", "settledReturnMinor": 0}
    assert entry(book.tell("wager.cancelled", voided)) == ("voided", 11.0, 0.0, "w1")
    assert balance(book) == (0.0, 100.0, 0.0)


def test_a_roll_back_of_a_settlement_opens_the_stake_again(book: Folding) -> None:
    """What a settlement paid is taken back, and the wager is at risk as before."""
    book.tell("wager.placed", PLACED)
    book.tell("wager.settled", SETTLED)
    assert entry(book.tell("wager.reopened", {**PLACED, "version": 2})) == ("reopened", -10.5, 0.0, "w1")
    assert balance(book) == (0.0, 89.0, 11.0)


def test_a_free_play_risks_nothing_and_loses_nothing(book: Folding) -> None:
    """The stake of a free play is the book's own."""
    free: dict[str, object] = {"freePlay": True}
    book.tell("wager.placed", PLACED | free)
    assert balance(book) == (0.0, 100.0, 0.0)
    assert entry(book.tell("wager.settled", SETTLED | free | {"result": "loss", "returnMinor": 0})) is None
    assert balance(book) == (0.0, 100.0, 0.0)


def test_a_changed_wager_holds_its_new_stake(book: Folding) -> None:
    """An edit of an open wager changes what is available."""
    book.tell("wager.placed", PLACED)
    before = {"riskMinor": 1100, "toWinMinor": 1050}
    book.tell("wager.modified", {**WAGER, "riskMinor": 2000, "version": 2, "before": before})
    assert balance(book) == (0.0, 80.0, 20.0)


def test_a_new_limit_shows_at_once(book: Folding) -> None:
    """What is available follows the credit limit."""
    limits = {"creditLimitMinor": 10_000, "maxWagerMinor": 0}, {"creditLimitMinor": 2_500, "maxWagerMinor": 0}
    book.tell("customer.limit_changed", CUSTOMER | {"before": limits[0], "after": limits[1]})
    assert book.documents["balances", OWN, ""]["creditLimit"] == 25.0
    assert balance(book) == (0.0, 25.0, 0.0)


def test_a_deposit_step_by_step(book: Folding) -> None:
    """A cashier sees each step, the queue shows what is undecided, and the balance moves when the money has come."""
    (told,) = [each for each in book.tell("payment.requested", PAYMENT) if each[0] == "payments"]
    assert told == (
        "payments",
        OWN,
        {
            "paymentId": "p1", "customerId": "C1", "agentId": "A7", "agentPath": "/M1/A7", "direction": "deposit",
            "method": "card", "amount": 50.0, "status": "requested",
        },
    )  # fmt: skip
    waiting = book.documents["payment_queue", "/M1", "p1"]
    assert (waiting["status"], waiting["amount"], waiting["requestedAt"]) == (
        "requested",
        50.0,
        "2026-03-01T12:00:00.000Z",
    )
    assert entry(book.tell("payment.approved", PAYMENT, START_MS + 5000)) is None
    waiting = book.documents["payment_queue", OWN, "p1"]
    assert (waiting["status"], waiting["requestedAt"]) == ("approved", AT)
    assert balance(book) == (0.0, 100.0, 0.0)
    assert entry(book.tell("payment.completed", PAYMENT)) == ("deposit_completed", 50.0, 50.0, "p1")
    assert balance(book) == (50.0, 150.0, 0.0)
    assert not [name for name in book.documents if name[0] == "payment_queue"]
    assert entry(book.tell("payment.charged_back", PAYMENT)) == ("deposit_charged_back", -50.0, 0.0, "p1")


def test_a_withdrawal_is_the_customers_loss(book: Folding) -> None:
    """What is paid out leaves the balance."""
    told = book.tell("payment.completed", PAYMENT | {"direction": "withdrawal"})
    assert entry(told) == ("withdrawal_completed", -50.0, -50.0, "p1")


def test_what_no_payment_does_is_refused(book: Folding) -> None:
    """A step that cannot follow, another amount, another currency or customer moves nothing and says why."""
    book.tell("payment.completed", PAYMENT)
    assert book.tell("payment.completed", PAYMENT) == []
    assert not book.refused
    for kind, change, code in (
        ("payment.approved", {}, "transition_illegal"),
        ("payment.charged_back", {"amountMinor": 4999}, "fact_conflict"),
        ("payment.charged_back", {"direction": "withdrawal"}, "fact_conflict"),
        ("payment.requested", {"paymentId": "p2", "customerId": "C9"}, "customer_unknown"),
        ("payment.requested", {"paymentId": "p2", "currency": "EUR"}, "currency_mismatch"),
        ("payment.requested", {"paymentId": "p2", "direction": "sideways"}, "event_invalid"),
    ):
        assert book.tell(kind, PAYMENT | change) == []
        assert book.code() == code
    assert balance(book) == (50.0, 150.0, 0.0)


def test_an_adjustment_is_posted_once(book: Folding) -> None:
    """What the desk gives is an entry with its reason; told twice it counts once, told otherwise it is refused."""
    told = book.tell("balance.adjusted", ADJUSTED)
    assert entry(told) == ("bonus", 2.5, 2.5, "7")
    assert "welcome" in str(told)
    assert book.tell("balance.adjusted", ADJUSTED) == []
    assert book.tell("balance.adjusted", ADJUSTED | {"amountMinor": 251}) == []
    assert book.code() == "fact_conflict"
    assert book.tell("balance.adjusted", ADJUSTED | {"entryId": "8", "customerId": "C9"}) == []
    assert book.code() == "customer_unknown"
    assert balance(book) == (2.5, 102.5, 0.0)


def test_a_customer_who_moves_takes_the_balance_along(book: Folding) -> None:
    """After a move the new agent sees the balance, and the old one no more."""
    book.tell("balance.adjusted", ADJUSTED)
    book.tell("customer.created", CUSTOMER | {"agentId": "M1", "path": "/M1"})
    assert ("balances", OWN, "") not in book.documents
    assert balance(book, "/M1/@C1") == (2.5, 102.5, 0.0)
    assert book.tell("balance.adjusted", ADJUSTED | {"entryId": "8"})[0][1] == "/M1/@C1"


def test_a_burst_is_said_at_the_watermark(book: Folding) -> None:
    """A group that touches many customers costs them one document a second, also over a restart."""
    customers = [CUSTOMER | {"customerId": f"D{number}"} for number in range(AT_ONCE_MAX + 1)]
    batch = book.group([event(f"c{i}", type="customer.created", data=each) for i, each in enumerate(customers)])
    assert said(batch) == []
    book.restart()
    told = book.clock(START_MS + 1000)
    assert sorted(path for _, path, _ in told) == sorted(f"/M1/A7/@D{number}" for number in range(AT_ONCE_MAX + 1))


def test_the_queue_is_bounded_and_moves_up(book: Folding, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cashier has the oldest undecided payments on the screen, and how many wait in all."""
    monkeypatch.setattr(waiting, "SHOWN_MAX", 2)
    for number in range(4):
        book.tell("payment.requested", PAYMENT | {"paymentId": f"p{number}"})
    assert queue(book) == ["p0", "p1"]
    assert book.documents["payment_queue", "/M1", ""] == {"count": 4, "deposits": 200.0, "withdrawals": 0.0}
    book.restart()
    book.tell("payment.rejected", PAYMENT | {"paymentId": "p2"})
    assert queue(book) == ["p0", "p1"]
    book.tell("payment.failed", PAYMENT | {"paymentId": "p0"})
    assert queue(book) == ["p1", "p3"]
    book.restart()
    book.tell("payment.failed", PAYMENT | {"paymentId": "p1"})
    assert queue(book) == ["p3"]
    book.tell("payment.completed", PAYMENT | {"paymentId": "p3"})
    assert queue(book) == []
    assert not [name for name in book.documents if name[0] == "payment_queue"]


def queue(book: Folding, scope: str = "/M1") -> list[str]:
    """The payments that a scope's queue shows."""
    return [key for topic, at, key in book.documents if topic == "payment_queue" and at == scope and key]

"""The wagers that wait to be accepted: who sees them, and when they are gone."""

from random import Random

import pytest

from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.reviews import Reviews
from tests.support.folding import Folding
from tests.support.histories import History
from tests.support.storage import START_MS
from tests.unit.sportsbook.accounting.test_ledger import AGENT, CUSTOMER, PLACED, WAGER

LEGS = [{"marketId": "m1", "selectionId": "s1", "odds": 2.0}, {"marketId": "m2", "selectionId": "s2", "odds": 1.5}]
ASKED = PLACED | {"status": "requested", "legs": LEGS}


def flows() -> tuple[Registry, Reviews]:
    """The flows under test."""
    registry = Registry()
    return registry, Reviews(registry)


@pytest.fixture
def book() -> Folding:
    """A book with one agent and one customer."""
    folding = Folding(flows)
    folding.tell("agent.created", AGENT)
    folding.tell("customer.created", CUSTOMER)
    return folding


def waiting(book: Folding, scope: str = "/M1") -> list[str]:
    """The wagers that a scope's list shows."""
    return [key for _, at, key in book.documents if at == scope and key]


def test_a_wager_waits_in_sight_of_all_above(book: Folding) -> None:
    """Who may decide sees what waits since when, its stake and odds, and how much waits in all."""
    book.tell("wager.requested", ASKED)
    book.tell("wager.requested", ASKED | {"status": "review"}, START_MS + 5000)
    assert book.documents["reviews", "/", "w1"] == {
        "wagerId": "w1", "wagerNumber": 7, "status": "review", "customerId": "C1", "agentId": "A7",
        "agentPath": "/M1/A7", "type": "straight", "amount": 11.0, "toWin": 10.5, "odds": 3.0,
        "legs": LEGS, "requestedAt": "2026-03-01T12:00:00.000Z",
    }  # fmt: skip
    assert book.documents["reviews", "/M1/A7/@C1", ""] == {"count": 1, "amount": 11.0, "toWin": 10.5}
    assert {scope for _, scope, _ in book.documents} == {"/", "/M1", "/M1/A7", "/M1/A7/@C1"}


def test_what_is_decided_waits_no_more(book: Folding) -> None:
    """Accepted, rejected and expired wagers leave; one that never waited changes nothing."""
    for number in range(3):
        book.tell("wager.requested", ASKED | {"wagerId": f"w{number}"})
    assert waiting(book) == ["w0", "w1", "w2"]
    book.tell("wager.placed", PLACED | {"wagerId": "w9"})
    book.tell("wager.placed", PLACED | {"wagerId": "w1", "legs": LEGS})
    assert waiting(book) == ["w0", "w2"]
    book.tell("wager.rejected", WAGER | {"wagerId": "w0", "status": "rejected"})
    book.tell("wager.rejected", WAGER | {"wagerId": "w2", "status": "expired"})
    assert book.documents == {}


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_anywhere_changes_no_byte(seed: int) -> None:
    """Wherever the server was stopped, the lists are the same."""
    print(f"seed {seed}")
    random = Random(f"reviews {seed}")
    events = History(seed).take(600)
    steady, stopped = Folding(flows), Folding(flows)
    while events:
        group, events = events[: (size := random.randint(1, 40))], events[size:]
        assert stopped.group(group) == steady.group(group)
        stopped.restart()
    assert sum(len(record.entries) for batch in steady.batches for record in batch.records)

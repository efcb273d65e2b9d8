"""Balances and the ledger against the book's own tables, by plain SQL, after any legal history; and over restarts."""

from pathlib import Path
from random import Random
from typing import Final

import apsw
import msgspec
import pytest

from fire22.core.event import Event
from fire22.feed.base import Batch
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.book import writer
from fire22.sportsbook.registry.flow import Registry
from tests.support.desk import Desk
from tests.support.folding import Folding
from tests.support.histories import History
from tests.support.seeds import seeds

STEPS: Final = 160
Posted = tuple[str, str, float, float, str]  # customer, kind, amount, balance, reference


def flows() -> tuple[Registry, Ledger]:
    """The flows under test."""
    registry = Registry()
    return registry, Ledger(registry)


def by_sql(connection: apsw.Connection) -> dict[str, tuple[float, float, float]]:
    """Balance, what is available and the cash at risk of each customer, from the book's tables alone."""
    sql = """
        SELECT c.code, c.balance_cents, c.credit_limit_cents, (SELECT coalesce(sum(w.risk_cents), 0) FROM wagers w
          WHERE w.customer_id = c.id AND w.status = 'accepted' AND NOT w.is_freeplay) FROM customers c"""
    found: dict[str, tuple[float, float, float]] = {}
    for code, balance, credit, risk in connection.execute(sql):
        assert isinstance(balance, int) and isinstance(credit, int) and isinstance(risk, int)
        found[str(code)] = (balance / 100, (credit + balance - risk) / 100, risk / 100)
    return found


def entries_by_sql(connection: apsw.Connection) -> list[Posted]:
    """Every entry of the book's own ledger, in order."""
    sql = """SELECT c.code, l.kind, l.amount_cents, l.balance_after_cents,
        iif(l.ref_type = 'adjustment', CAST(l.id AS TEXT), l.ref_id)
        FROM ledger_entries l JOIN customers c ON c.id = l.account_id ORDER BY l.id"""
    found: list[Posted] = []
    for code, kind, amount, after, ref in connection.execute(sql):
        assert isinstance(amount, int) and isinstance(after, int)
        found.append((str(code), str(kind), amount / 100, after / 100, str(ref)))
    return found


def posted(batch: Batch) -> list[Posted]:
    """The entries that a batch says."""
    said = [entry for record in batch.records if record.topic == "ledger" for entry in record.entries]
    data = [msgspec.json.decode(entry.data) for entry in said]
    return [(each["customerId"], each["kind"], each["amount"], each["balance"], each["ref"]) for each in data]


@seeds(6, 20)
def test_every_balance_is_the_books_own(seed: int, tmp_path: Path) -> None:
    """A cashier can trust every balance and entry, whatever the desk did and however the server was restarted."""
    print(f"seed {seed}")
    desk, folding = Desk(tmp_path / "book.db", seed), Folding(flows)
    entries: list[Posted] = []
    waiting: list[Event] = []
    for step in range(STEPS):
        writer.write(desk.connection, desk.step())
        waiting += desk.told()
        if desk.random.random() < 0.3 or step == STEPS - 1:
            entries += posted(folding.group(waiting))
            waiting = []
            if desk.random.random() < 0.3:
                folding.restart()
    assert not folding.refused
    folding.clock(desk.now_ms)
    shown = {
        str(document["customerId"]): (document["balance"], document["available"], document["pendingRisk"])
        for (topic, _, _), document in folding.documents.items()
        if topic == "balances"
    }
    assert shown == by_sql(desk.connection)
    assert entries == entries_by_sql(desk.connection)
    assert len(entries) > STEPS / 8
    sums: dict[str, float] = {}
    for customer, _, amount, _, _ in entries:
        sums[customer] = round(sums.get(customer, 0) + amount, 2)
    assert all(shown[customer][0] == total for customer, total in sums.items())
    undecided = desk.column("SELECT id FROM payments WHERE status IN ('pending', 'approved') ORDER BY id")
    queued = [key for topic, at, key in folding.documents if (topic, at) == ("payment_queue", "/")]
    assert sorted(filter(None, queued)) == undecided


@pytest.mark.parametrize("seed", range(20))
def test_a_restart_anywhere_changes_no_byte(seed: int) -> None:
    """Whatever the history and wherever the server was stopped, the ledger says the same."""
    print(f"seed {seed}")
    random = Random(f"ledger {seed}")
    events = History(seed).take(300)
    steady, stopped = Folding(flows), Folding(flows)
    while events:
        group, events = events[: (size := random.randint(1, 40))], events[size:]
        assert stopped.group(group) == steady.group(group)
        if random.random() < 0.4:
            stopped.restart()
    assert stopped.documents == steady.documents
    assert any(topic == "balances" for topic, _, _ in steady.documents)

"""Balances and the ledger against the book's own tables, by plain SQL, after any legal history; and over restarts."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import apsw
import msgspec
import pytest

from fire22.core.event import Event
from fire22.feed.base import Batch
from fire22.sportsbook import book as books
from fire22.sportsbook import changes
from fire22.sportsbook.changes import Change
from fire22.sportsbook.facts import Direction
from fire22.sportsbook.ledger import Ledger
from fire22.sportsbook.registry import Registry
from tests.demo_book import DemoBook
from tests.folding import Folding
from tests.histories import History
from tests.storage import START_MS

STEPS: Final = 160
Posted = tuple[str, str, float, float, str]  # customer, kind, amount, balance, reference
NEXT: Final = {
    "pending": ("approved", "completed", "rejected", "failed"),
    "approved": ("completed", "rejected", "failed"),
    "completed": ("charged_back",),
}


def flows() -> tuple[Registry, Ledger]:
    """The flows under test."""
    registry = Registry()
    return registry, Ledger(registry)


class Desk(DemoBook):
    """Writes what a book's own people could, at random."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(path, seed)
        self.random = Random(seed)
        self.now_ms = START_MS
        self.number = 0
        self.customers = self.column("SELECT id FROM customers ORDER BY code LIMIT 40")

    def pick(self, sql: str) -> str | None:
        """One of what is found."""
        found = self.column(sql)
        return self.random.choice(found) if found else None

    def step(self) -> Sequence[Change]:
        """What happens next; nothing where it needs what is not there."""
        self.now_ms += self.random.randrange(5_000)
        self.number += 1
        often = (self.place, self.settle, self.decide)
        seldom = (self.end, self.modify, self.pay, self.limit, self.reopen, self.adjust, self.ask, self.answer)
        return self.random.choice((*often, *often, *seldom))()

    def place(self) -> list[changes.PlaceWager]:
        """A wager on one or two selections, or a free play."""
        random = self.random
        customer = random.choice(self.customers)
        agent, path = self.connection.execute(
            "SELECT a.id, a.path FROM customers c JOIN agents a ON a.id = c.agent_id WHERE c.id = ?", (customer,)
        ).get
        selections = random.sample(self.column("SELECT id FROM selections ORDER BY id"), random.randint(1, 2))
        legs = tuple(changes.NewLeg(selection, 150) for selection in selections)
        wager = changes.PlaceWager(
            f"w{self.number}", customer, str(agent), str(path), "straight" if len(legs) == 1 else "parlay",
            random.randint(1, 50_000), random.randint(1, 90_000), self.now_ms, "web", random.random() < 0.2, legs,
        )  # fmt: skip
        return [wager]

    def settle(self) -> list[Change]:
        """A first settlement, or a correction of one."""
        wager = self.pick("SELECT id FROM wagers WHERE status IN ('accepted', 'settled') ORDER BY id")
        if wager is None:
            return []
        result = self.random.choice(("win", "loss", "push"))
        return [changes.SettleWager(wager, result, self.random.randint(0, 90_000), self.now_ms)]

    def end(self) -> list[Change]:
        """A wager is called off or its rows are removed, before or after its settlement."""
        wager = self.pick("SELECT id FROM wagers WHERE status IN ('accepted', 'settled') ORDER BY id")
        if wager is None:
            return []
        if self.random.random() < 0.3:
            return [changes.DeleteWager(wager, "test", "desk", self.now_ms)]
        open = self.connection.execute("SELECT status = 'accepted' FROM wagers WHERE id = ?", (wager,)).get
        return [changes.CancelWager(wager, "cancelled" if open else "voided", "test", "desk", self.now_ms)]

    def modify(self) -> list[Change]:
        """An open wager gets other amounts."""
        wager = self.pick("SELECT id FROM wagers WHERE status = 'accepted' ORDER BY id")
        risk, to_win = self.random.randint(1, 50_000), self.random.randint(1, 90_000)
        return [changes.ModifyWager(wager, risk, to_win, "test", "desk", self.now_ms)] if wager else []

    def pay(self) -> list[Change]:
        """A customer wants to pay in or be paid."""
        customer = self.random.choice(self.customers)
        amount = self.random.randint(1, 90_000)
        direction: Direction = self.random.choice(("deposit", "withdrawal"))
        return [changes.RequestPayment(f"p{self.number}", customer, direction, "card", amount, self.now_ms)]

    def decide(self) -> list[Change]:
        """A payment goes on."""
        payment = self.pick("SELECT id FROM payments WHERE status IN ('pending', 'approved', 'completed') ORDER BY id")
        if payment is None:
            return []
        before = self.connection.execute("SELECT status FROM payments WHERE id = ?", (payment,)).get
        after = self.random.choice(NEXT[str(before)])
        return [changes.DecidePayment(payment, after, "desk", self.now_ms)]  # type: ignore[arg-type]

    def reopen(self) -> list[Change]:
        """What ended a wager is rolled back."""
        wager = self.pick("SELECT id FROM wagers WHERE status IN ('settled', 'cancelled', 'voided') ORDER BY id")
        return [changes.ReopenWager(wager, "test", "desk", self.now_ms)] if wager else []

    def adjust(self) -> list[Change]:
        """A balance is moved by hand."""
        amount = self.random.randint(-9_000, 9_000)
        return [changes.AdjustBalance(self.random.choice(self.customers), "bonus", amount, "", "desk", self.now_ms)]

    def ask(self) -> list[Change]:
        """A wager waits to be accepted."""
        return [msgspec.structs.replace(each, status="review") for each in self.place()]

    def answer(self) -> list[Change]:
        """A wager that waited is accepted or turned down."""
        wager = self.pick("SELECT id FROM wagers WHERE status = 'review' ORDER BY id")
        if wager is None:
            return []
        if self.random.random() < 0.5:
            return [changes.AcceptWager(wager, self.now_ms)]
        return [changes.RejectWager(wager, "rejected", "test", "desk", self.now_ms)]

    def limit(self) -> list[Change]:
        """A customer gets another credit limit."""
        return [changes.SetLimit(self.random.choice(self.customers), self.random.randint(0, 900_000), 0, self.now_ms)]


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


@pytest.mark.parametrize("seed", range(6))
def test_every_balance_is_the_books_own(seed: int, tmp_path: Path) -> None:
    """A cashier can trust every balance and entry, whatever the desk did and however the server was restarted."""
    print(f"seed {seed}")
    desk, folding = Desk(tmp_path / "book.db", seed), Folding(flows)
    entries: list[Posted] = []
    waiting: list[Event] = []
    for step in range(STEPS):
        books.write(desk.connection, desk.step())
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

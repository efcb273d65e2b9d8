"""A book that is connected in the middle of its life, against plain SQL over its tables.

What was over before the connection is known by its sums alone; it is corrected, voided, deleted and rolled back all the
same, and settlement rows are deleted without a word.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from fire22.core.event import Event
from fire22.flows.base import Flow
from fire22.sources.sqlite.install import install, uninstall
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.book import changes, database, writer
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.book.schema import OUTBOX
from fire22.sportsbook.kpi.flow import Kpi
from fire22.sportsbook.registry.flow import Registry
from tests.support.desk import Desk
from tests.support.folding import Folding
from tests.support.netted import Netted, Unpaid
from tests.support.seeds import seeds

BEFORE: Final = 200
AFTER: Final = 160

CASH: Final = "iif(w.is_freeplay, 0, w.risk_cents)"
# The revision that holds: the latest one, unless it was rolled back.
HOLDS: Final = """w.status IN ('settled', 'cashed_out') AND s.revision = (SELECT max(l.revision) FROM settlements l
    WHERE l.wager_id = w.id AND l.revision > coalesce((SELECT max(r.after ->> '$.revision') FROM wager_changes r
      WHERE r.wager_id = w.id AND r.action = 'reopened'), 0))"""
SETTLED: Final = f"SELECT s.wager_id FROM settlements s JOIN wagers w ON w.id = s.wager_id WHERE {HOLDS}"
OPEN: Final = f"w.status IN ('accepted', 'settled', 'cashed_out') AND w.id NOT IN ({SETTLED})"
WITHIN: Final = "(?1 = '/' OR w.agent_path = ?1 OR substr(w.agent_path, 1, length(?1) + 1) = ?1 || '/')"
SUMS: Final = {
    "revenue": f"SELECT sum({CASH} - s.return_cents) FROM wagers w JOIN settlements s ON s.wager_id = w.id"
    f" WHERE {HOLDS} AND {WITHIN}",
    "pending": f"SELECT count(*) FROM wagers w WHERE {OPEN} AND {WITHIN}",
    "pendingRisk": f"SELECT sum({CASH}) FROM wagers w WHERE {OPEN} AND {WITHIN}",
    "pendingToWin": f"SELECT sum(w.to_win_cents) FROM wagers w WHERE {OPEN} AND {WITHIN}",
}


class Careless(Desk):
    """Settlement rows are deleted now and then; the status of their wagers may follow later."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(path, seed)
        self.late: list[str] = []
        self.past: set[str] = set()

    def step(self) -> Sequence[Change]:
        """What happens next."""
        while self.late:
            self.write_status(self.late.pop())
        if self.random.random() < 0.1:
            self.unsettle()
            return []
        return super().step()

    def connect(self) -> None:
        """The triggers are installed."""
        install(self.path, OUTBOX)
        self.past = set(self.column("SELECT id FROM wagers WHERE status IN ('settled', 'cancelled', 'voided')"))

    def reopen(self) -> list[Change]:
        """Rather a wager that was over when the book was connected."""
        over = self.column("SELECT id FROM wagers WHERE status IN ('settled', 'cancelled', 'voided') ORDER BY id")
        past = [wager for wager in over if wager in self.past]
        return [changes.ReopenWager(self.random.choice(past), "", "desk", self.now_ms)] if past else super().reopen()

    def unsettle(self) -> None:
        """The row of the settlement that holds is deleted; an earlier one holds again, if there is one."""
        rows = self.rows(
            f"SELECT s.wager_id, s.revision FROM settlements s JOIN wagers w ON w.id = s.wager_id WHERE {HOLDS}"
        )
        if not rows:
            return
        wager, revision = self.random.choice(rows)
        with database.transaction(self.connection):
            before = self.profit(wager)
            self.connection.execute("DELETE FROM settlements WHERE wager_id = ? AND revision = ?", (wager, revision))
            self.move(wager, self.profit(wager) - before)
            if self.one(f"SELECT count(*) FROM ({SETTLED} AND w.id = ?)", wager):
                return
            if self.random.random() < 0.5:
                self.write_status(wager)
            else:
                self.late.append(wager)

    def profit(self, wager: str) -> int:
        """What the settlement that holds has brought the customer."""
        sql = f"SELECT s.profit_cents FROM settlements s JOIN wagers w ON w.id = s.wager_id WHERE {HOLDS} AND w.id = ?"
        return int(self.one(sql, wager) or 0)

    def move(self, wager: str, amount: int) -> None:
        """Post a correction."""
        whose = "SELECT customer_id FROM wagers WHERE id = ?"
        sql = f"UPDATE customers SET balance_cents = balance_cents + ? WHERE id = ({whose})"
        self.connection.execute(sql, (amount, wager))

    def write_status(self, wager: str) -> None:
        """The wager says itself that it is open."""
        self.connection.execute("UPDATE wagers SET status = 'accepted' WHERE id = ?", (wager,))


def flows() -> tuple[Flow, ...]:
    """The flows under test."""
    registry = Registry()
    netted = Netted(registry)
    return registry, netted, Ledger(registry), Kpi(registry, netted, Unpaid())


def wager_id(event: Event) -> str:
    """Which wager a fact is of."""
    return str(msgspec.json.decode(event.data)["wagerId"])


@seeds(8, 24)
def test_figures_are_the_books_after_any_correction(seed: int, tmp_path: Path) -> None:
    """Whoever connects a living book finds its own sums on the screen, also after corrections of what is long past."""
    print(f"seed {seed}")
    desk, folding = Careless(tmp_path / "book.db", seed), Folding(flows)
    uninstall(desk.path)
    for _ in range(BEFORE):
        writer.write(desk.connection, desk.step())
    desk.connect()
    rolled_back: set[str] = set()
    waiting: list[Event] = []
    for step in range(AFTER):
        writer.write(desk.connection, desk.step())
        waiting += desk.told()
        if desk.random.random() < 0.3 or step == AFTER - 1:
            folding.group(waiting)
            rolled_back |= {wager_id(event) for event in waiting if event.type == "wager.reopened"}
            waiting = []
            if desk.random.random() < 0.2:
                folding.restart()
    assert [(each.code.name, each.reason) for each in folding.refused] == []
    assert desk.past & rolled_back
    folding.clock(desk.now_ms)
    for scope in ("/", *desk.column("SELECT path FROM agents")):
        said = folding.documents["kpi", scope, ""]
        money = {name: float(str(said[name])) for name in SUMS}
        count = {name: (desk.one(sql, scope) or 0) / (1 if name == "pending" else 100) for name, sql in SUMS.items()}
        assert money == count, scope
    sql = "SELECT c.code, c.balance_cents / 100.0 FROM customers c"
    kept = {code: balance for code, balance in desk.rows(sql) if balance}
    shown = {d["customerId"]: d["balance"] for (topic, _, _), d in folding.documents.items() if topic == "balances"}
    assert {code: balance for code, balance in shown.items() if balance} == kept

"""A book whose rows are rewritten by hand: every figure is what plain SQL says of the tables as they are.

Customers and agents move and get other codes, wagers get other customers, legs, stakes and stakes of the house's own.
Wagers stay below the agent of their acceptance (`agent_path`), balances are where the customer is now.
"""

from pathlib import Path
from random import Random
from typing import Final

import msgspec

from fire22.core.event import Event
from fire22.core.message import Json
from fire22.core.scope import customer_path
from fire22.core.times import to_datetime
from fire22.sportsbook import domain
from fire22.sportsbook.book import database, writer
from tests.support.desk import Desk
from tests.support.folding import Folding
from tests.support.seeds import seeds

STEPS: Final = 220
WITHIN: Final = "(?1 = '/' OR {0} = ?1 OR substr({0}, 1, length(?1) + 1) = ?1 || '/')"
OF_WAGER: Final = WITHIN.format("w.agent_path")
CASH: Final = "iif(w.is_freeplay, 0, w.risk_cents)"
LATEST: Final = "s.revision = (SELECT max(l.revision) FROM settlements l WHERE l.wager_id = w.id)"
OPEN: Final = f"FROM wagers w WHERE w.status = 'accepted' AND {OF_WAGER}"
SUMS: Final = {
    "revenue": f"SELECT sum({CASH} - s.return_cents) FROM wagers w JOIN settlements s ON s.wager_id = w.id"
    f" WHERE w.status = 'settled' AND {LATEST} AND {OF_WAGER}",
    "handle": f"SELECT sum({CASH}) FROM wagers w WHERE w.status IN ('accepted', 'settled') AND {OF_WAGER}",
    "settledHandle": f"SELECT sum({CASH}) FROM wagers w WHERE w.status = 'settled' AND {OF_WAGER}",
    "pendingRisk": f"SELECT sum({CASH}) {OPEN}",
    "pendingToWin": f"SELECT sum(w.to_win_cents) {OPEN}",
    "grossPotentialPayout": f"SELECT sum({CASH} + w.to_win_cents) {OPEN}",
}
PENDING: Final = f"SELECT count(*) {OPEN}"
BOUND: Final = f"""
    WITH straight AS (SELECT x.market_id AS market, l.selection_id AS outcome, sum({CASH}) AS risk,
        sum({CASH} + w.to_win_cents) AS paid FROM wagers w JOIN wager_legs l ON l.wager_id = w.id
        JOIN selections x ON x.id = l.selection_id
        WHERE w.status = 'accepted' AND w.type = 'straight' AND {OF_WAGER} GROUP BY market, outcome),
      netted AS (SELECT max(0, max(paid) - sum(risk)) AS worst FROM straight GROUP BY market)
    SELECT coalesce((SELECT sum(worst) FROM netted), 0)
      + coalesce((SELECT sum(w.to_win_cents) {OPEN} AND w.type = 'parlay'), 0)"""
# What a customer won, was paid, and was given by hand: by the tables, not by the balance that the book keeps.
BALANCE: Final = f"""
    SELECT coalesce((SELECT sum(s.return_cents - {CASH}) FROM wagers w JOIN settlements s ON s.wager_id = w.id
        WHERE w.customer_id = c.id AND w.status = 'settled' AND {LATEST}), 0)
      + coalesce((SELECT sum(iif(p.direction = 'deposit', p.amount_cents, -p.amount_cents)) FROM payments p
        WHERE p.customer_id = c.id AND p.status = 'completed'), 0)
      + coalesce((SELECT sum(l.amount_cents) FROM ledger_entries l
        WHERE l.account_id = c.id AND l.ref_type = 'adjustment'), 0)"""
CUSTOMERS: Final = f"""
    SELECT c.code, a.path, a.code, ({BALANCE}), (SELECT coalesce(sum({CASH}), 0) FROM wagers w
      WHERE w.customer_id = c.id AND w.status = 'accepted') FROM customers c JOIN agents a ON a.id = c.agent_id"""


class Rewriting(Desk):
    """Writes what a book's people could, and now and then what none of its programs would."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(path, seed)
        self.customers = self.customers[:8]
        self.agents = self.column("SELECT id FROM agents ORDER BY path")
        self.paths = {"/": None, **dict.fromkeys(self.column("SELECT path FROM agents ORDER BY path"))}

    def happened(self) -> list[Event]:
        """The events since the last call; what has no time of its own happened now, by the book's clock."""
        now = to_datetime(self.now_ms)
        return [msgspec.structs.replace(each, timestamp=min(each.timestamp, now)) for each in self.told()]

    def rewrite(self) -> None:
        """Change a row by hand."""
        change = self.random.choice(
            (self.move, self.move, self.rename, self.hand_over, self.hand_over, self.free, self.restake, self.leg,
             self.rename_agent, self.move_agent)
        )  # fmt: skip
        with database.transaction(self.connection):
            change()

    def _wager(self, states: str = "'accepted', 'settled'") -> str:
        return self.pick(f"SELECT id FROM wagers WHERE status IN ({states}) ORDER BY id") or ""

    def _run(self, sql: str, *values: str | int) -> None:
        self.connection.execute(sql, values)

    def move(self) -> None:
        """A customer goes to another agent, with wagers that are open."""
        self._run("UPDATE customers SET agent_id = ? WHERE id = ?", self.random.choice(self.agents), self._customer())

    def rename(self) -> None:
        """A customer gets another code, or one that somebody had before."""
        self._run("UPDATE customers SET code = ? WHERE id = ?", f"R{self.random.randrange(4)}", self._customer())

    def _customer(self) -> str:
        return str(self.random.choice(self.customers))

    def hand_over(self) -> None:
        """A wager was somebody else's."""
        customer = self._customer()
        self._run(
            "UPDATE wagers SET customer_id = c.id, agent_id = a.id, agent_path = a.path"
            " FROM customers c JOIN agents a ON a.id = c.agent_id WHERE c.id = ? AND wagers.id = ?",
            customer, self._wager(),
        )  # fmt: skip

    def free(self) -> None:
        """The stake was the house's own, or was not."""
        self._run("UPDATE wagers SET is_freeplay = 1 - is_freeplay WHERE id = ?", self._wager())

    def restake(self) -> None:
        """The stake was another one."""
        amounts = self.random.randint(1, 50_000), self.random.randint(1, 90_000)
        self._run("UPDATE wagers SET risk_cents = ?, to_win_cents = ? WHERE id = ?", *amounts, self._wager())

    def leg(self) -> None:
        """A leg was another selection."""
        others = self.column("SELECT id FROM selections ORDER BY id")
        self._run(
            "UPDATE OR IGNORE wager_legs SET selection_id = ? WHERE wager_id = ? AND leg_no = 1",
            self.random.choice(others), self._wager("'accepted'"),
        )  # fmt: skip

    def rename_agent(self) -> None:
        """An agent gets another code."""
        agent = self.random.choice(self.agents)
        self._run("UPDATE agents SET code = ? WHERE id = ?", f"Z{self.number}", agent)

    def move_agent(self) -> None:
        """An agent and all below it get another path."""
        before = self.one("SELECT path FROM agents WHERE id = ?", self.random.choice(self.agents))
        after = f"{before.rpartition('/')[0]}/N{self.number}"
        sql = "UPDATE agents SET path = ?2 || substr(path, length(?1) + 1) WHERE path = ?1 OR path LIKE ?1 || '/%'"
        self._run(sql, before, after)
        self.paths |= dict.fromkeys(self.column("SELECT path FROM agents ORDER BY path"))


def money(minor: int | None) -> float:
    """Major units."""
    return (minor or 0) / 100


def cents(value: Json) -> int:
    """Minor units of what is said."""
    assert isinstance(value, int | float)
    return round(value * 100)


def compare(desk: Rewriting, fold: Folding) -> None:
    """Every scope's figures, and where every balance is."""
    for scope in desk.paths:
        kpi = fold.documents["kpi", scope, ""]
        assert {name: kpi[name] for name in SUMS} == {
            name: money(desk.one(sql, scope)) for name, sql in SUMS.items()
        }, scope
        assert kpi["pending"] == desk.one(PENDING, scope), scope
        exposure = fold.documents.get(("exposure", scope, ""), {})
        assert exposure.get("upperBound", 0.0) == money(desk.one(BOUND, scope)), scope
    customers = desk.rows(CUSTOMERS)
    balances = {
        customer_path(path, code): (code, agent, money(balance), money(risk))
        for code, path, agent, balance, risk in customers
    }
    assert {
        scope: (body["customerId"], body["agentId"], body["balance"], body["pendingRisk"])
        for (topic, scope, _), body in fold.documents.items()
        if topic == "balances"
    } == balances
    for scope in desk.paths:
        document = fold.documents.get(("figures", scope, ""), {"balance": 0.0, "figure": 0.0})
        inside = [each for each in customers if scope == "/" or f"{each[1]}/".startswith(f"{scope}/")]
        assert cents(document["balance"]) == sum(balance for _, _, _, balance, _ in inside), scope
        assert cents(document["figure"]) == -(desk.one(SUMS["revenue"], scope) or 0), scope
        lines = [body for (topic, at, key), body in fold.documents.items() if (topic, at) == ("figures", scope) and key]
        assert sum(cents(body["balance"]) for body in lines) == cents(document["balance"]), scope
        assert sum(cents(body["figure"]) for body in lines) == cents(document["figure"]), scope
    for code, path, _, balance, _ in customers:
        own = fold.documents.get(("figures", customer_path(path, code), ""), {"balance": 0.0})
        assert cents(own["balance"]) == balance, code
    codes = {code for code, *_ in customers}
    named = {key for topic, _, key in fold.documents if topic == "figures" and key.startswith("customer:")}
    assert {key.partition(":")[2] for key in named} <= codes


@seeds(4, 16)
def test_rewritten_rows_move_every_figure(seed: int, tmp_path: Path) -> None:
    """Whoever moves, is renamed or gets somebody's wager: both sides' figures are right, after restarts too."""
    print(f"seed {seed}")
    desk, random = Rewriting(tmp_path / "book.db", seed), Random(f"moves {seed}")
    fold, steady = Folding(domain.flows), Folding(domain.flows)
    waiting: list[Event] = []
    for step in range(STEPS):
        if random.random() < 0.3:
            try:
                desk.rewrite()
            except Exception as error:  # a code that somebody has: the book itself refuses it
                assert "UNIQUE" in str(error), error
        else:
            writer.write(desk.connection, desk.step())
        waiting += desk.happened()
        if random.random() < 0.4 or step == STEPS - 1:
            assert fold.group(waiting) == steady.group(waiting)
            waiting = []
            if random.random() < 0.3:
                fold.restart()
        if step % 55 == 54:
            fold.group(waiting), steady.group(waiting)
            waiting = []
            for number in range(1, 12):
                assert fold.clock(desk.now_ms + number * 2_500) == steady.clock(desk.now_ms + number * 2_500)
            desk.now_ms += 30_000
            assert not fold.refused, f"seed {seed}: {fold.refused}"
            compare(desk, fold)

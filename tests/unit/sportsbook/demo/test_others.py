"""The simulated book beside people who act on it: what they have decided stays as they decided it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fire22.sportsbook import domain
from fire22.sportsbook.demo.others import Others
from fire22.sportsbook.demo.simulator import gathered, start, turn
from tests.support.folding import Folding
from tests.support.shop import Shop
from tests.support.storage import START_MS

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class Living(Shop):
    """A shop whose customers and bookmaker are simulated."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.simulation = start(self.connection, rate_hz=4.0, seed=1, now_ms=START_MS)
        self.others = Others(self.connection, self.simulation)

    def live(self, until: Callable[[], object], minutes: int = 40) -> None:
        """Go on until something is there, by the appointments of the simulation."""
        end_ms = self.now_ms + minutes * MINUTE_MS
        while not until() and self.simulation.next_ms <= end_ms:
            self.now_ms = max(self.now_ms, self.simulation.next_ms)
            decided = gathered(self.simulation.step(self.simulation.next_ms))
            while turn(self.connection, self.others, decided, self.now_ms):
                pass

    def last(self, minutes: int = 15) -> None:
        """Go on for so long."""
        self.live(lambda: False, minutes)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Living]:
    """A living book."""
    shop = Living(tmp_path / "book.db")
    yield shop
    shop.desk.close()


@pytest.mark.parametrize("step", ["payment.reject", "payment.fail", "payment.approve", "payment.complete"])
def test_a_payment_stays_as_the_desk_decided(shop: Living, step: str) -> None:
    """A payment that the desk rejects stays rejected: the simulated cashier does not complete it afterwards."""
    pending = "SELECT id FROM payments WHERE status = 'pending' LIMIT 1"
    shop.live(lambda: shop.one(pending))
    payment = shop.one(pending)
    decided = shop.done(step, {"paymentId": payment})["status"]
    customer = shop.one("SELECT customer_id FROM payments WHERE id = ?", payment)
    shop.last(5)
    assert shop.one("SELECT status FROM payments WHERE id = ?", payment) == decided
    entries = shop.column("SELECT kind FROM ledger_entries WHERE ref_id = ?", payment)
    assert len(entries) == (decided == "completed")
    assert shop.one("SELECT balance_cents FROM customers WHERE id = ?", customer) == shop.one(
        "SELECT coalesce(sum(amount_cents), 0) FROM ledger_entries WHERE account_id = ?", customer
    )


@pytest.mark.parametrize(
    ("step", "status"), [("wager.void", "voided"), ("wager.cancel", "cancelled"), ("wager.settle", "settled")]
)
def test_a_wager_stays_as_the_desk_decided(shop: Living, step: str, status: str) -> None:
    """What was voided is not settled with its market, and what was settled by hand is not settled otherwise."""
    open = "SELECT id FROM wagers WHERE status = 'accepted' AND type = 'straight' LIMIT 1"
    shop.live(lambda: shop.one(open))
    wager = shop.one(open)
    selection = shop.one("SELECT selection_id FROM wager_legs WHERE wager_id = ?", wager)
    more: dict[str, object] = {"reason": "by hand"}
    if step == "wager.settle":
        more = {"results": [{"selectionId": selection, "result": "push"}]}
    shop.done(step, {"wagerId": wager, **more})
    shop.last()
    assert shop.one("SELECT status FROM wagers WHERE id = ?", wager) == status
    assert shop.column("SELECT settled_by FROM settlements WHERE wager_id = ?", wager) == (
        ["boss"] if status == "settled" else []
    )


def test_a_wager_of_the_desk_is_settled_with_its_market(shop: Living) -> None:
    """Whoever tries the demo and places a wager sees it settled as any other, at what was agreed."""
    (market,) = shop.column("SELECT id FROM markets WHERE status = 'open' AND type = 'in_play' LIMIT 1")
    selection, odds = shop.rows("SELECT id, odds_decimal FROM selections WHERE market_id = ? LIMIT 1", market)[0]
    body = {"customerId": shop.code, "legs": [{"selectionId": selection, "odds": odds}], "riskMinor": 10_000}
    wager = shop.done("wager.place", body)["wagerId"]
    shop.done("wager.modify", {"wagerId": wager, "riskMinor": 10_000, "toWinMinor": 1_234, "reason": "agreed"})
    returned = "SELECT return_cents FROM settlements WHERE wager_id = ?"
    shop.live(lambda: shop.column(returned, wager), 10)
    (paid,) = shop.column(returned, wager)
    assert paid in (0, 10_000, 11_234)


def test_a_suspended_customer_places_nothing(shop: Living) -> None:
    """And nobody lets the customer back but the desk; limits that it has set stay."""
    bettor = "SELECT customer_id FROM wagers ORDER BY wager_number DESC LIMIT 1"
    shop.live(lambda: shop.one(bettor))
    customer = shop.one(bettor)
    code = shop.one("SELECT code FROM customers WHERE id = ?", customer)
    shop.done("customer.limit", {"customerId": code, "maxWagerMinor": 4_321, "creditLimitMinor": 87_654})
    shop.done("customer.status", {"customerId": code, "status": "suspended", "reason": "watched"})
    placed = shop.one("SELECT count(*) FROM wagers WHERE customer_id = ?", customer)
    for _ in range(20):
        shop.simulation._cashier.change_customer(shop.now_ms)
    shop.last(20)
    assert shop.one("SELECT count(*) FROM wagers WHERE customer_id = ?", customer) == placed
    assert shop.rows("SELECT status, max_wager_cents, credit_limit_cents FROM customers WHERE id = ?", customer) == [
        ("suspended", 4_321, 87_654)
    ]


def test_a_suspended_market_takes_nothing_until_it_ends(shop: Living) -> None:
    """No goal opens it again; at its time it is resulted, and its wagers are settled."""
    (market,) = shop.column("SELECT id FROM markets WHERE type = 'in_play' AND status = 'open' LIMIT 1")
    on_it = "SELECT count(*) FROM wager_legs l JOIN selections s ON s.id = l.selection_id WHERE s.market_id = ?"
    shop.live(lambda: shop.one(on_it, market), 1)
    shop.done("market.status", {"marketId": market, "status": "suspended"})
    wagers = shop.one(on_it, market)
    status = "SELECT status FROM markets WHERE id = ?"
    seen: dict[str, None] = {}

    def is_over() -> bool:
        seen[shop.one(status, market)] = None
        return shop.one(status, market) in ("resulted", "voided")

    shop.live(is_over, 10)
    assert is_over() and list(seen)[:-1] in (["suspended", "closed"], ["suspended"])
    assert shop.one(on_it, market) == wagers


def test_a_market_that_the_desk_has_settled_keeps_its_result(shop: Living) -> None:
    """The bookmaker draws no other, and goes on with the next market of the game."""
    market, event = shop.rows("SELECT id, event_id FROM markets WHERE type = 'in_play' AND status = 'open' LIMIT 1")[0]
    (winner, *_) = shop.column("SELECT id FROM selections WHERE market_id = ? ORDER BY id", market)
    shop.done("market.settle", {"marketId": market, "winners": [winner]})
    shop.last(3)
    assert shop.one("SELECT status FROM markets WHERE id = ?", market) == "resulted"
    assert shop.one("SELECT result FROM selections WHERE id = ?", winner) == 1
    assert shop.one("SELECT count(*) FROM markets WHERE event_id = ?", event) > 1


def test_nothing_that_people_do_leaves_a_dead_letter(shop: Living) -> None:
    """Reviews, payments and wagers are decided by the desk while the book lives: every fact fits the others."""
    folding = Folding(domain.flows)
    for row in shop.rows("SELECT code, name, path, level, status FROM agents ORDER BY level"):
        names = ("agentId", "name", "path", "level", "status")
        folding.tell("agent.created", dict(zip(names, row, strict=True)))
    for code, agent, path in shop.rows(
        "SELECT c.code, a.code, a.path FROM customers c JOIN agents a ON a.id = c.agent_id"
    ):
        told = {"customerId": code, "agentId": agent, "path": path, "name": "", "status": "active"}
        folding.tell("customer.created", told)
    for _ in range(12):
        shop.last(1)
        for sql, name, key in (
            (
                "SELECT id FROM payments WHERE status = 'pending' ORDER BY id DESC LIMIT 1",
                "payment.reject",
                "paymentId",
            ),
            ("SELECT id FROM wagers WHERE status = 'review' ORDER BY id DESC LIMIT 1", "wager.accept", "wagerId"),
            ("SELECT id FROM wagers WHERE status = 'accepted' ORDER BY id LIMIT 1", "wager.void", "wagerId"),
            ("SELECT id FROM wagers WHERE status = 'accepted' ORDER BY id DESC LIMIT 1", "wager.cancel", "wagerId"),
        ):
            for id in shop.column(sql):
                more = {} if name in ("payment.reject", "wager.accept") else {"reason": "by hand"}
                try:
                    shop.done(name, {key: id} | more)
                except Exception as error:
                    assert getattr(error, "code", None) is not None
        folding.group(shop.told())
    assert [each.code.name for each in folding.refused] == []

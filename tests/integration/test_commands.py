"""Commands over HTTP at a running server with a real book: their events arrive on the streams, and they act once."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from fire22.core.role import Grant, Role
from fire22.gateways.http.writing import COMMAND_BYTES_MAX
from fire22.sportsbook import domain
from fire22.sportsbook.book import database
from tests.integration.inside import Talk, make_book, make_config, talking, until
from tests.integration.test_http import Answer, request

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop

# Performs one command as a server does, and dies after the book has committed it, before anybody is answered.
CUT_OFF = """
import asyncio, os, signal, sys, time
from pathlib import Path
from fire22.security.principal import Principal
from fire22.sportsbook.desk import execution
from fire22.sportsbook.desk.settings import DeskSettings
from fire22.sportsbook.roles import roles

class Cut(execution.Desk):
    def _perform(self, *arguments):
        super()._perform(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    desk = Cut(Path(sys.argv[1]), settings=DeskSettings(busy_timeout_s=5.0), currency="USD",
               view=lambda *_: None, now_ms=lambda: time.time_ns() // 1_000_000,
               grants=lambda role: roles(())[role].commands)
    await desk.act(Principal("test", "admin", "/", 0), sys.argv[2], sys.argv[3].encode(), sys.argv[4])

asyncio.run(main())
"""


class Shop:
    """The book behind the server, and who bets there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = database.connect(path)
        (self.customer, self.tree) = self.connection.execute(
            "SELECT c.code, a.path FROM customers c JOIN agents a ON a.id = c.agent_id"
            " WHERE a.path LIKE '/M1/%' AND c.max_wager_cents > 5000 ORDER BY c.code LIMIT 1"
        ).get
        self.connection.execute("UPDATE markets SET closes_at = '2099-01-01T00:00:00.000Z'")

    def one(self, sql: str, *values: str) -> Any:
        """The first column of the first row."""
        return self.connection.execute(sql, values).get

    def wager(self, risk: int = 1000) -> dict[str, Any]:
        """The body of a straight wager on some selection, at its odds."""
        selection, odds = self.connection.execute(
            "SELECT s.id, s.odds_decimal FROM selections s JOIN markets m ON m.id = s.market_id JOIN events e"
            " ON e.id = m.event_id WHERE m.status = 'open' AND e.status = 'scheduled' ORDER BY s.id LIMIT 1"
        ).get
        return {"customerId": self.customer, "legs": [{"selectionId": selection, "odds": odds}], "riskMinor": risk}

    @property
    def scope(self) -> str:
        """The customer's own."""
        return f"{self.tree}/@{self.customer}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server on a small book, for all tests."""
    folder = tmp_path_factory.mktemp("commands")
    async with app.running(make_config(folder / "data", make_book(folder / "book.db"))) as running:
        await until(lambda: running.delivery.knows_scope("/M1/A1"))
        yield running


@pytest.fixture(scope="module")
def shop(server: app.Application) -> Shop:
    """The book behind it."""
    return Shop(Path(server.config.domain.book.path))


def token(server: app.Application, role: str, scope: str = "/", subject: str = "test", *may: str) -> str:
    """A token of this server's key."""
    return server.tokens.sign(subject=subject, role=role, scope=scope, ttl_s=600, now_ms=app.now_ms(), may=may)


async def act(server: app.Application, name: str, body: dict[str, Any], key: str, *, token: str = "") -> Answer:
    """Ask for a command."""
    return await request(server, "POST", f"/v1/commands/{name}", body, token=token, Idempotency_Key=key)


async def done(
    server: app.Application, name: str, body: dict[str, Any], key: str, *, token: str = ""
) -> dict[str, Any]:
    """Ask for a command that must be performed for the first time; its result."""
    answer = await act(server, name, body, key, token=token)
    assert answer.status == 200, answer.body
    said: dict[str, Any] = answer.json
    assert (said["command"], said["key"], said["repeat"]) == (name, key, False)
    return dict(said["result"])


async def heard(talk: Talk, topic: str) -> dict[str, Any]:
    """The data of the next message of a topic."""
    message = await talk.message(lambda message: message.target == topic)
    assert isinstance(message.data, dict)
    return message.data


async def test_a_cash_out_and_a_suspension(server: app.Application, shop: Shop) -> None:
    """The customer hears of both at once, the stream has the settlement, and the figures count it."""
    async with (
        talking(server) as talk,
        talking(server, token=token(server, "customer", shop.scope, shop.customer)) as own,
    ):
        await talk.ask("subscribe", target="wagers")
        placed = await done(server, "wager.place", shop.wager(), "c1")
        assert (await heard(talk, "wagers"))["action"] == "placed"
        offer = {"wagerId": placed["wagerId"], "returnMinor": 400}
        assert (await done(server, "wager.cash_out", offer, "c2"))["status"] == "cashed_out"
        assert (await act(server, "wager.cash_out", offer, "c2")).json["repeat"]
        said = await heard(talk, "wagers")
        assert (said["action"], said["result"], said["returned"], said["profit"]) == (
            "settled",
            "cashed_out",
            4.0,
            -6.0,
        )
        told = await own.message(lambda message: message.type == "notification")
        assert isinstance(told.data, dict)
        assert (told.data["kind"], told.data["ref"]) == ("wager_settled", placed["wagerId"])
        body = {"customerId": shop.customer, "status": "suspended", "reason": "asked for a pause"}
        await done(server, "customer.status", body, "c3", token=token(server, "risk"))
        told = await own.message(lambda message: message.type == "notification")
        assert isinstance(told.data, dict)
        assert told.data["kind"] == "status_changed"
        assert (await act(server, "wager.place", shop.wager(), "c4")).code == "customer_inactive"
        await done(server, "customer.status", body | {"status": "active"}, "c5")


async def test_a_wager_from_its_place_to_its_roll_back(server: app.Application, shop: Shop) -> None:
    """Each command's event comes from the book to whoever follows the stream; the customer hears of it too."""
    async with (
        talking(server) as talk,
        talking(server, token=token(server, "customer", shop.scope, shop.customer)) as own,
    ):
        await talk.ask("subscribe", target="wagers")
        await own.ask("subscribe", target="balances")
        placed = await done(server, "wager.place", shop.wager(), "w1")
        wager = {"wagerId": placed["wagerId"]}
        said = await heard(talk, "wagers")
        assert (said["wagerId"], said["action"], said["amount"]) == (placed["wagerId"], "placed", 10.0)
        assert (await heard(own, "balances"))["pendingRisk"] == 10.0
        await done(server, "wager.modify", wager | {"riskMinor": 2000, "reason": "asked"}, "w2")
        assert (await heard(talk, "wagers"))["amount"] == 20.0
        lost = [{"selectionId": shop.wager()["legs"][0]["selectionId"], "result": "loss"}]
        settled = await done(server, "wager.settle", wager | {"results": lost}, "w3")
        assert (settled["status"], settled["returnMinor"]) == ("settled", 0)
        assert (await heard(talk, "wagers"))["result"] == "loss"
        told = await own.message(lambda message: message.type == "notification" and "lost" in str(message.data))
        assert told.target == f"user:customer:{shop.customer}"
        for key, name, action in (
            ("w4", "wager.void", "cancelled"), ("w5", "wager.reopen", "placed"), ("w6", "wager.cancel", "cancelled"),
        ):  # fmt: skip
            await done(server, name, wager | {"reason": "test"}, key)
            assert (await heard(talk, "wagers"))["action"] == action
        assert (await act(server, "wager.cancel", wager | {"reason": "test"}, "w7")).code == "transition_illegal"
    assert not server.engine.rejected


async def test_a_market_is_settled_in_bulk(server: app.Application, shop: Shop) -> None:
    """One command settles all that a market decides, and each wager's event comes by itself."""
    body = shop.wager(500)
    wagers = {(await done(server, "wager.place", body, f"m{number}"))["wagerId"] for number in range(3)}
    selection = body["legs"][0]["selectionId"]
    market = shop.one("SELECT market_id FROM selections WHERE id = ?", selection)
    async with talking(server) as talk:
        await talk.ask("subscribe", target="wagers", filter={"action": "settled"})
        result = await done(server, "market.settle", {"marketId": market, "winners": [selection]}, "m")
        assert (result["settled"], result["status"]) == (3, "resulted")
        assert {(await heard(talk, "wagers"))["wagerId"] for _ in wagers} == wagers
    assert shop.one("SELECT count(DISTINCT batch_id) FROM settlements WHERE batch_id IS NOT NULL") == 1


async def test_a_payment_between_customer_and_cashier(server: app.Application, shop: Shop) -> None:
    """A customer asks, the cashier sees it in the queue and decides, and the ledger says what it moved."""
    cashier = token(server, "cashier", subject="till")
    customer = token(server, "customer", shop.scope, shop.customer)
    async with talking(server, token=cashier) as till, talking(server, token=customer) as own:
        await till.ask("subscribe", target="payment_queue")
        await till.ask("subscribe", target="payments")
        await own.ask("subscribe", target="ledger")
        asked = {"customerId": shop.customer, "direction": "deposit", "method": "card", "amountMinor": 5000}
        payment = {"paymentId": (await done(server, "payment.request", asked, "p1", token=customer))["paymentId"]}
        waiting = await till.message(lambda message: message.key == payment["paymentId"])
        assert isinstance(waiting.data, dict) and waiting.data["amount"] == 50.0
        assert (await heard(till, "payments"))["status"] == "requested"
        assert (await act(server, "payment.complete", payment, "p2", token=customer)).code == "forbidden"
        await done(server, "payment.complete", payment, "p2", token=cashier)
        assert (await heard(till, "payments"))["status"] == "completed"
        entry = await heard(own, "ledger")
        assert (entry["kind"], entry["amount"], entry["ref"]) == ("deposit_completed", 50.0, payment["paymentId"])
        gone = await till.message(lambda message: message.key == payment["paymentId"])
        assert gone.data is None
        adjust = {"customerId": shop.customer, "kind": "bonus", "amountMinor": 100, "reason": "welcome"}
        await done(server, "balance.adjust", adjust, "p3", token=cashier)
        assert (await heard(own, "ledger"))["reason"] == "welcome"


async def test_limits_and_markets(server: app.Application, shop: Shop) -> None:
    """A master changes a limit in the own tree alone; risk suspends a market, and nobody bets on it."""
    body = {"customerId": shop.customer, "maxWagerMinor": 4000}
    assert (
        await act(server, "customer.limit", body, "l1", token=token(server, "master", "/M2"))
    ).code == "customer_unknown"
    assert (await act(server, "customer.limit", body, "l1", token=token(server, "agent", "/M1"))).code == "forbidden"
    async with talking(server) as talk:
        await talk.ask("subscribe", target="activity", filter={"userId": shop.customer})
        await done(server, "customer.limit", body, "l1", token=token(server, "agent", "/M1", "a", "limits"))
        assert (await heard(talk, "activity"))["action"] == "has a new limit"
    assert (await act(server, "wager.place", shop.wager(4001), "l2")).code == "limit_exceeded"
    wager = shop.wager(100)
    selection = wager["legs"][0]["selectionId"]
    market = {"marketId": shop.one("SELECT market_id FROM selections WHERE id = ?", selection), "status": "suspended"}
    await done(server, "market.status", market, "l3", token=token(server, "risk"))
    assert (await act(server, "wager.place", wager, "l4")).code == "market_closed"
    await done(server, "market.status", market | {"status": "open"}, "l5", token=token(server, "risk"))
    await done(server, "wager.place", wager, "l4")


async def test_an_alert_is_taken_up(server: app.Application, shop: Shop) -> None:
    """A wager close to its customer's limit raises an alert; who sees it takes it up, and everybody sees by whom."""
    limits = {"creditLimitMinor": 900_000, "maxWagerMinor": 250_000}
    await done(server, "customer.limit", {"customerId": shop.customer} | limits, "a0")
    async with talking(server) as talk:
        await talk.ask("subscribe", target="alerts", filter={"rule": "large_bet", "customerId": shop.customer})
        await done(server, "wager.place", shop.wager(240_000), "a1")
        opened = await talk.message(lambda message: message.target == "alerts" and message.data is not None)
        assert isinstance(opened.data, dict) and opened.data["status"] == "open"
        body = {"alertId": opened.key, "note": "a known player"}
        elsewhere = token(server, "master", "/M2")
        assert (await act(server, "alert.acknowledge", body, "a2", token=elsewhere)).code == "alert_unknown"
        master = token(server, "master", "/M1", "boss-1")
        await done(server, "alert.acknowledge", body, "a2", token=master)
        taken = await talk.message(lambda message: message.target == "alerts")
        assert isinstance(taken.data, dict) and taken.data["status"] == "acknowledged"
        assert "boss-1" in str(taken.data)
        await done(server, "alert.close", body, "a3", token=master)
        closed = await talk.message(lambda message: message.target == "alerts")
        assert isinstance(closed.data, dict) and closed.data["status"] == "closed"
        assert (await act(server, "alert.close", body, "a4", token=master)).code == "transition_illegal"


async def test_the_same_key_over_http(server: app.Application, shop: Shop) -> None:
    """A client that got no answer asks again, and nothing happens twice; many at once are one too."""
    body = shop.wager(700)
    answers = await asyncio.gather(*(act(server, "wager.place", body, "same") for _ in range(5)))
    assert {answer.status for answer in answers} == {200}
    assert sorted(bool(answer.json["repeat"]) for answer in answers) == [False, True, True, True, True]
    assert len({str(answer.json["result"]) for answer in answers}) == 1
    other = await act(server, "wager.place", shop.wager(800), "same")
    assert (other.status, other.code) == (409, "id_conflict")
    assert shop.one("SELECT count(*) FROM wagers WHERE risk_cents IN (700, 800)") == 1


async def test_a_command_whose_server_died_before_the_answer(server: app.Application, shop: Shop) -> None:
    """Killed between the commit and the answer, and asked again by key: one effect, and the first answer."""
    body = shop.wager(900)
    text = msgspec.json.encode(body).decode()
    arguments = [sys.executable, "-c", CUT_OFF, str(shop.path), "wager.place", text, "cut"]
    ended = await asyncio.to_thread(subprocess.run, arguments, timeout=150, check=False)
    assert ended.returncode == -signal.SIGKILL
    wager = shop.one("SELECT id FROM wagers WHERE risk_cents = 900")
    answer = await act(server, "wager.place", body, "cut")
    assert (answer.status, answer.json["repeat"]) == (200, True)
    result = answer.json["result"]
    assert isinstance(result, dict) and result["wagerId"] == wager
    assert shop.one("SELECT count(*) FROM wagers WHERE risk_cents = 900") == 1


async def test_what_http_refuses(server: app.Application, shop: Shop) -> None:
    """A command needs its key, a body of JSON, a name that is known, a role, and a token."""
    path = "/v1/commands/wager.place"
    assert (await request(server, "POST", path, shop.wager())).code == "command_invalid"
    assert (await request(server, "POST", path, raw=b"{", Idempotency_Key="k")).code == "json_invalid"
    assert (await request(server, "POST", f"{path}?x=1", shop.wager(), Idempotency_Key="k")).code == "command_invalid"
    assert (await act(server, "wager.win", {}, "k")).code == "command_unknown"
    assert (await act(server, "wager.place", shop.wager(), "k", token=token(server, "auditor"))).code == "forbidden"
    assert (await request(server, "POST", path, shop.wager(), token=None, Idempotency_Key="k")).status == 401
    assert (await request(server, "GET", path)).status == 405
    large = await request(server, "POST", path, raw=b" " * (COMMAND_BYTES_MAX + 1), Idempotency_Key="k")
    assert (large.status, large.code) == (413, "message_too_large")
    for many in (b"[" * 70 + b"]" * 70, b"[" + b"1," * 20_000 + b"1]"):
        refused = await request(server, "POST", path, raw=many, Idempotency_Key="k")
        assert (refused.status, refused.code) == (400, "command_invalid")
        assert b"cannot be taken" in refused.body


async def test_a_book_that_somebody_else_writes(server: app.Application, shop: Shop) -> None:
    """While another program holds the book's lock, the answer says to come back, and nothing was done."""
    other = apsw.Connection(str(shop.path))
    other.execute("BEGIN IMMEDIATE")
    try:
        answer = await act(server, "wager.place", shop.wager(), "locked")
        assert (answer.status, answer.code) == (503, "book_locked")
    finally:
        other.execute("ROLLBACK")
    await done(server, "wager.place", shop.wager(), "locked")


async def test_a_wager_over_a_limit_is_held(tmp_path: Path) -> None:
    """Where the house reviews, a wager over a limit waits in sight until somebody accepts it, and then runs."""
    config = make_config(tmp_path / "data", make_book(tmp_path / "book.db"), desk={"over_limit": "review"})
    async with app.running(config) as reviewing:
        shop = Shop(tmp_path / "book.db")
        await until(lambda: reviewing.delivery.knows_scope("/M1/A1"))
        limits = {"creditLimitMinor": 900_000, "maxWagerMinor": 1_000}
        await done(reviewing, "customer.limit", {"customerId": shop.customer} | limits, "r0")
        async with talking(reviewing, token=token(reviewing, "risk")) as talk:
            await talk.ask("subscribe", target="reviews")
            await talk.ask("subscribe", target="wagers")
            held = await done(reviewing, "wager.place", shop.wager(1_001), "r1")
            assert held["status"] == "review"
            waits = await talk.message(lambda message: message.key == held["wagerId"])
            assert isinstance(waits.data, dict) and waits.data["amount"] == 10.01
            risk = token(reviewing, "risk")
            await done(reviewing, "wager.accept", {"wagerId": held["wagerId"]}, "r2", token=risk)
            assert (await heard(talk, "wagers"))["wagerId"] == held["wagerId"]
            gone = await talk.message(lambda message: message.key == held["wagerId"])
            assert gone.data is None


async def test_without_a_book_there_are_no_commands(tmp_path: Path) -> None:
    """A server that events reach by its API alone has nothing to act on."""
    async with app.running(make_config(tmp_path / "data")) as bare:
        answer = await act(bare, "wager.place", {}, "k")
        assert (answer.status, answer.code) == (400, "not_supported")


@pytest.mark.parametrize(
    ("role", "may", "has", "lacks"),
    [
        ("admin", (), {"wager.place", "payment.approve", "alert.close"}, set()),
        ("risk", (), {"wager.void", "alert.close"}, {"payment.approve"}),
        ("cashier", (), {"payment.approve"}, {"alert.close"}),
        ("master", (), {"alert.close"}, {"payment.approve"}),
        ("master", ("payments",), {"payment.approve"}, {"wager.void"}),
    ],
)
async def test_a_session_names_the_commands_of_its_user(
    server: app.Application, role: str, may: tuple[str, ...], has: set[str], lacks: set[str]
) -> None:
    """The page offers what the user may do, and no more: the session says which commands the server takes."""
    answer = await request(server, "GET", "/v1/session", token=token(server, role, "/", "test", *may))
    commands = set(msgspec.convert(answer.json["commands"], list[str]))
    assert has <= commands
    assert not lacks & commands


async def test_four_eyes_over_http(server: app.Application, shop: Shop) -> None:
    """A clerk is told what waits, another person finds it and approves, and the clerk's key then has the result."""
    clerk = Role(commands={"balance.adjust": Grant(alone_max_minor=1_000)})
    roles = domain.roles(()) | {"clerk": clerk}
    server.service.access.replace(roles)
    body = {"customerId": shop.customer, "kind": "bonus", "amountMinor": 1_001, "reason": "goodwill"}
    asked = await done(server, "balance.adjust", body, "f1", token=token(server, "clerk", subject="ann"))
    assert asked["status"] == "pending"
    admin = token(server, "admin", subject="bob")
    waiting: Any = (await request(server, "GET", "/v1/approvals", token=admin)).json["approvals"]
    assert [(each["approvalId"], each["askedBy"]) for each in waiting] == [(asked["approvalId"], "staff:ann")]
    assert (await request(server, "GET", "/v1/approvals", token=token(server, "auditor"))).json == {"approvals": []}
    decided = await done(server, "approval.approve", {"approvalId": asked["approvalId"]}, "f2", token=admin)
    again = await act(server, "balance.adjust", body, "f1", token=token(server, "clerk", subject="ann"))
    assert (again.json["repeat"], again.json["result"]) == (True, decided["result"])
    server.service.access.replace(domain.roles(()))

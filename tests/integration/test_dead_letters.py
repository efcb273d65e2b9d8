"""Bad data in a running server: it ends as dead letters, moves no figure, and counts once it is put right."""

from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import msgspec
import pytest
import pytest_asyncio
import uvloop
from msgspec import Struct

from fire22 import app
from fire22.core.message import Json, Message
from fire22.gateways.http.writing import DISMISS_BYTES_MAX
from tests.integration.inside import make_book, make_config, sign, talking, until
from tests.integration.test_http import request

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop
AT = "2026-03-01T12:00:00.000Z"
WAGER: dict[str, Json] = {
    "wagerId": "bad-1", "wagerNumber": 99_001, "customerId": "C1", "agentId": "A1", "path": "/M1/A1",
    "type": "straight", "riskMinor": 10_000, "toWinMinor": 9_000, "freePlay": False, "channel": "web",
    "status": "accepted", "version": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small book."""
    return make_book(tmp_path_factory.mktemp("letters") / "book.db")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(book: Path) -> AsyncIterator[app.Application]:
    """A server on it, for all tests."""
    async with app.running(make_config(book.parent / "data", book)) as running:
        await until(lambda: list(running.delivery.documents("kpi", "/M1")))
        yield running


def put_row(book: Path, data: str, *, type: str = "wager.placed", at: str = AT) -> None:
    """A row straight into the mirror's outbox, as a broken trigger might write it; the book's next change shows it."""
    (mirror,) = (book.parent / "data").glob("mirror-*.db")
    for path, sql, values in (
        (mirror, "INSERT INTO fire22_outbox(type, timestamp, data) VALUES(?, ?, ?)", (type, at, data)),
        (book, "UPDATE customers SET name = name || '.' WHERE id = (SELECT min(id) FROM customers)", ()),
    ):
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(5000)
        connection.execute(sql, values)
        connection.close()


def wager(**changes: Json) -> str:
    """The data of a wager, changed."""
    return msgspec.json.encode(WAGER | changes).decode()


def letters(server: app.Application) -> dict[str, dict[str, Json]]:
    """The open letters as the hub shows them, by the event's id."""
    documents = [each.body for each in server.delivery.documents("dead_letters", "/") if each.body is not None]
    return {str(body["eventId"]): body for body in documents}


async def letter(server: app.Application, book: Path, data: str, **row: str) -> dict[str, Json]:
    """The letter that such a row becomes."""
    known = set(letters(server))
    put_row(book, data, **row)
    await until(lambda: set(letters(server)) - known)
    [new] = set(letters(server)) - known
    return letters(server)[new]


class View(Struct):
    """The answer to a request for a view."""

    documents: list[Message]


async def figures(server: app.Application) -> dict[str, Json]:
    """The whole book's figures as a client gets them."""
    answer = await request(server, "GET", "/v1/views/kpi?scope=/M1")
    [document] = msgspec.json.decode(answer.body, type=View).documents
    assert isinstance(document.data, dict)
    return document.data


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"data": wager(riskMinor=-5)}, "riskMinor"),
        ({"data": wager(toWinMinor=-1)}, "toWinMinor"),
        ({"data": wager(riskMinor=1 << 80)}, "64 bits"),
        ({"data": wager(riskMinor="100")}, "riskMinor"),
        ({"data": wager(riskMinor=None)}, "riskMinor"),
        ({"data": wager(customerId=None)}, "customerId"),
        ({"data": wager(legs=[{"marketId": "m", "selectionId": "s", "odds": 1.0}])}, "odds"),
        ({"data": "[]"}, "object"),
        ({"data": "{}"}, "missing"),
        ({"data": "{oops"}, "malformed"),
        ({"data": '{"riskMinor": 1e999}'}, "a double"),
        ({"data": wager(), "at": "yesterday"}, "timestamp"),
        ({"data": "{}", "type": "Wager placed"}, "type"),
        ({"data": '{"flows": {}}', "type": "system.configured"}, "server's own"),
    ],
)
async def test_bad_rows_become_letters_and_move_nothing(
    server: app.Application, book: Path, row: dict[str, str], reason: str
) -> None:
    """Whatever is wrong with a row of the book's outbox, it is seen with why, and no figure has moved."""
    before = await figures(server)
    found = await letter(server, book, **row)
    assert found["code"] == "event_invalid"
    assert reason in str(found["reason"])
    assert found["data"] == row["data"]
    assert await figures(server) == before
    assert (await request(server, "GET", "/readyz")).status == 200
    answer = await request(server, "POST", f"/v1/dead-letters/{found['seq']}/dismiss", {"reason": "a test"})
    assert answer.status == 202
    await until(lambda: found["eventId"] not in letters(server))


def settled(**changes: Json) -> str:
    """The data of a settlement of the wager, changed."""
    fact = {name: value for name, value in WAGER.items() if name not in ("channel", "status", "version")}
    fact |= {"revision": 1, "result": "loss", "returnMinor": 0, "previousReturnMinor": 0}
    return msgspec.json.encode(fact | changes).decode()


@pytest.mark.parametrize(
    ("type", "data", "code"),
    [
        ("wager.placed", wager(customerId="nobody"), "customer_unknown"),
        ("wager.placed", wager(path="/M1/Nobody"), "agent_unknown"),
        ("wager.placed", wager(currency="EUR"), "currency_mismatch"),
        ("wager.settled", settled(wagerId="never"), "wager_unknown"),
        ("wager.cancelled", settled(wagerId="never", status="voided", reason="x"), "wager_unknown"),
        ("payment.completed", "{}", "event_invalid"),
    ],
)
async def test_facts_that_cannot_be_true_become_letters(
    server: app.Application, book: Path, type: str, data: str, code: str
) -> None:
    """What contradicts the book is set aside with its evidence, and no figure has moved."""
    before = await figures(server)
    found = await letter(server, book, data, type=type)
    assert found["code"] == code
    assert code == "event_invalid" or found["evidence"]
    assert await figures(server) == before
    await request(server, "POST", f"/v1/dead-letters/{found['seq']}/dismiss", {"reason": "a test"})
    await until(lambda: found["eventId"] not in letters(server))


async def test_a_settlement_before_its_wager_counts_after_it(server: app.Application, book: Path) -> None:
    """A settlement that came first waits as a letter; once the wager is there it is folded again and closes it; a wager
    with the same id and other content is set aside."""
    early = await letter(server, book, settled(wagerId="late-1"), type="wager.settled")
    assert early["code"] == "wager_unknown"
    before = await figures(server)
    put_row(book, wager(wagerId="late-1"))
    other = await letter(server, book, wager(wagerId="late-1", riskMinor=1))
    assert other["code"] == "fact_conflict"
    between = await figures(server)
    assert between["pending"] == float(str(before["pending"])) + 1
    assert (await request(server, "POST", f"/v1/dead-letters/{early['seq']}/replay")).status == 202
    await until(lambda: early["eventId"] not in letters(server))
    after = await figures(server)
    assert after["pending"] == before["pending"]
    assert after["revenue"] == float(str(before["revenue"])) + 100
    put_row(book, settled(wagerId="late-1"), type="wager.settled")  # a repeat
    again = await letter(server, book, settled(wagerId="late-1", returnMinor=5), type="wager.settled")
    assert again["code"] == "fact_conflict"
    assert await figures(server) == after
    for each in (other, again):
        await request(server, "POST", f"/v1/dead-letters/{each['seq']}/dismiss", {"reason": "a test"})
    await until(lambda: not letters(server))


async def test_a_letter_is_put_right_over_http(server: app.Application, book: Path) -> None:
    """Who looks after the book sees the letter come, corrects it, sees it go, and the figure moves by it, once."""
    before = await figures(server)
    async with talking(server) as talk:
        await talk.ask("subscribe", target="dead_letters")
        found = await letter(server, book, wager(riskMinor=-5))
        assert (await talk.update()).data == found
        path = f"/v1/dead-letters/{found['seq']}/replay"
        refused = await request(server, "POST", path, {"data": WAGER | {"riskMinor": -6}})
        assert (refused.status, refused.code) == (400, "event_invalid")
        assert (await request(server, "POST", path)).status == 202
        assert (await talk.update()).data == found | {"attempts": 2}
        answer = await request(server, "POST", path, {"data": WAGER})
        assert answer.status == 202
        assert int(str(found["seq"])) < int(str(answer.json["seq"])) <= server.log.last_seq
        assert (await talk.update()).data is None
    await until(lambda: server.engine.checkpoint.offset == server.delivery.flushed)
    after = await figures(server)
    assert after["pending"] == float(str(before["pending"])) + 1
    assert after["pendingRisk"] == float(str(before["pendingRisk"])) + 100
    gone = await request(server, "POST", path, {"data": WAGER})
    assert (gone.status, gone.code) == (404, "not_found")


async def test_a_row_of_the_book_is_not_tried_again(server: app.Application, book: Path) -> None:
    """There is no event of a row that could not be made: the reason why stays, and the row is read when it changes."""
    found = await letter(server, book, '{"table": "Bets", "key": "7"}', type="system.row_rejected")
    answer = await request(server, "POST", f"/v1/dead-letters/{found['seq']}/replay")
    assert (answer.status, answer.code) == (400, "event_invalid")
    assert "read again when it changes in the book" in answer.body.decode()
    await until(lambda: server.engine.checkpoint.offset == server.delivery.flushed)
    assert letters(server)[str(found["eventId"])] == found
    await request(server, "POST", f"/v1/dead-letters/{found['seq']}/dismiss", {"reason": "a test"})
    await until(lambda: not letters(server))


@pytest.mark.parametrize(
    ("role", "scope", "path", "body", "status", "code"),
    [
        ("admin", "/", "999999/replay", {}, 404, "not_found"),
        ("admin", "/", "999999/dismiss", {"reason": "x"}, 404, "not_found"),
        ("admin", "/", "x/replay", {}, 404, "not_found"),
        ("admin", "/", "-1/replay", {}, 404, "not_found"),
        ("risk", "/", "999999/replay", {}, 404, "not_found"),
        ("admin", "/M1", "999999/replay", {}, 403, "forbidden"),
        ("auditor", "/", "999999/replay", {}, 403, "forbidden"),
        ("agent", "/", "999999/dismiss", {"reason": "x"}, 403, "forbidden"),
        ("admin", "/", "1/dismiss", {}, 400, "command_invalid"),
        ("admin", "/", "1/dismiss", {"reason": ""}, 400, "command_invalid"),
        ("admin", "/", "1/replay", {"date": {}}, 400, "command_invalid"),
        ("admin", "/", "1/replay", {"timestamp": "2026-03-01T12:00:00"}, 400, "command_invalid"),
        ("admin", "/", "1/replay", [1], 400, "command_invalid"),
    ],
)
async def test_who_may_deal_with_letters(
    server: app.Application, role: str, scope: str, path: str, body: Json, status: int, code: str
) -> None:
    """Only who looks after the whole book may, and a wrong request says what is wrong with it."""
    token = sign(server, role=role, scope=scope)
    answer = await request(server, "POST", f"/v1/dead-letters/{path}", body, token=token)
    assert (answer.status, answer.code) == (status, code)


async def test_deep_data_and_broken_bodies_are_refused(server: app.Application, book: Path) -> None:
    """What the log could not read again never gets into it."""
    found = await letter(server, book, "{oops")
    path = f"/v1/dead-letters/{found['seq']}/replay"
    deep = '{"data": ' + "[" * 70 + "]" * 70 + "}"
    assert (await request(server, "POST", path, raw=deep.encode())).code == "event_invalid"
    assert (await request(server, "POST", path, raw=b"{")).code == "json_invalid"
    assert (await request(server, "POST", path, raw=b'{"data": ' + b"[" * 90_000)).status == 400
    assert letters(server)[str(found["eventId"])]["attempts"] == 1
    dismiss = f"/v1/dead-letters/{found['seq']}/dismiss"
    assert (await request(server, "POST", dismiss, raw=b" " * (DISMISS_BYTES_MAX + 1))).status == 413


@pytest.mark.parametrize(
    ("role", "scope", "status"), [("auditor", "/", 200), ("risk", "/", 200), ("agent", "/M1", 403)]
)
async def test_who_sees_letters(server: app.Application, role: str, scope: str, status: int) -> None:
    """A letter may hold anybody's data: only roles for the whole book see it."""
    token = sign(server, role=role, scope=scope)
    assert (await request(server, "GET", "/v1/views/dead_letters", token=token)).status == status


async def test_letters_in_the_metrics(server: app.Application, book: Path) -> None:
    """An operator is told by how many letters are open, and how many there were by code."""
    await letter(server, book, "{oops")
    text = (await request(server, "GET", "/metrics", token=None)).body.decode()
    assert f"fire22_dead_letters {float(len(letters(server)))}" in text
    assert 'fire22_dead_letters_opened_total{code="event_invalid"}' in text

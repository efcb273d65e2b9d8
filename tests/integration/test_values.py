"""Values that are JSON and yet cannot be said everywhere: what brings one is refused, and nobody else is stopped."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import uvloop
from msgspec import Raw

from fire22 import app
from fire22.client import connect
from fire22.core.event import Event, Metadata, encode_event
from fire22.core.times import to_datetime
from tests.integration.inside import Talk, bench_event, make_book, make_config, sign, talking, until
from tests.integration.test_http import request

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop

UNSAYABLE = [
    b"18446744073709551616",
    b"-9223372036854775809",
    b"1e400",
    b"[-1e999]",
    b'{"a":"\\ud800"}',
    b"1" + b"0" * 5000,
]
DIGITS = "9" * 5000
DEEP = "[" * 50_000 + "]" * 50_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server on a small book with an open topic."""
    folder = tmp_path_factory.mktemp("values")
    async with app.running(make_config(folder / "data", make_book(folder / "book.db"))) as running:
        await until(lambda: running.delivery.knows_scope("/M1/A1"))
        yield running


async def say_as_an_older_log(server: app.Application, id: str, data: bytes, *tags: str) -> None:
    """Put an event into the log that none would be taken for today, and wait until it has been delivered."""
    event = Event(
        id, "test.happened", "test", to_datetime(app.now_ms()), Raw(data), Metadata(category="bench", tags=tags)
    )
    [appended] = await server.log.append([encode_event(event)])
    feed, hub = server.feed, server.delivery
    await until(lambda: feed.checkpoint.seq >= appended.seq and hub.flushed >= feed.checkpoint.offset)


@pytest.mark.parametrize("data", UNSAYABLE, ids=lambda data: data.decode()[:20])
async def test_what_cannot_be_said_is_refused_where_it_enters(server: app.Application, data: bytes) -> None:
    """A publisher is told that its event holds what some client could never read, over HTTP and over the WebSocket."""
    body = msgspec.json.encode(bench_event("unsayable", 0)).replace(b'"data":0', b'"data":' + data)
    answer = await request(server, "POST", "/v1/events", raw=body)
    assert (answer.status, answer.code) == (400, "event_invalid")
    async with talking(server) as talk:
        await talk.socket.send(f'{{"id":7,"command":"publish","event":{body.decode()}}}')
        assert (await talk.answer(7)).code == "event_invalid"


async def test_one_value_of_an_older_log_stops_nobody(server: app.Application) -> None:
    """With readers of every codec, a message that one codec cannot say costs that message there, with an error in its
    place; the others have it, and all go on."""
    async with (
        talking(server, protocols=("fire22.v1.msgpack",)) as binary,
        talking(server, protocols=("fire22.v1.json",)) as text,
    ):
        await binary.socket.send(msgspec.msgpack.encode({"id": 1, "command": "subscribe", "target": "bench"}))
        await read(binary, lambda message: message.get("id") == 1)
        await text.ask("subscribe", target="bench")
        before = left_out(server)
        await say_as_an_older_log(server, "large", b"18446744073709551616")
        await say_as_an_older_log(server, "everyone", b"18446744073709551616", "to:everyone")
        await say_as_an_older_log(server, "good", b'"good"')
        said = await read(binary, lambda message: message.get("data") == "good")
        assert [each["code"] for each in said if each["type"] == "error"] == ["message_unsayable"] * 2
        assert [each.get("data") for each in said if each.get("target") == "bench"] == ["good"]
        assert left_out(server) == before + 2
        assert (await text.update()).data == 18446744073709551616
        assert (await text.update()).data == "good"
    assert (await request(server, "GET", "/readyz")).status in (200, 503)


async def test_a_history_with_such_a_value_has_all_the_rest(server: app.Application) -> None:
    """A page of the past is not lost for one message in it."""
    for id, data in (("h1", b"1"), ("h2", b"1e400"), ("h3", b"3")):
        await say_as_an_older_log(server, id, data)
    async with talking(server, protocols=("fire22.v1.msgpack",)) as talk:
        command = {"id": 1, "command": "history", "target": "bench", "limit": 3}
        await talk.socket.send(msgspec.msgpack.encode(command))
        said = await read(talk, lambda message: message["type"] == "error")
        [reply] = [each for each in said if each.get("id") == 1]
        assert [each["data"] for each in reply["data"]["messages"]] == [1, 3]


async def test_the_python_client_skips_what_it_cannot_read(server: app.Application) -> None:
    """`1e400` on a topic costs the client that message: it says so, keeps its connection, and its position goes on."""
    async with connect(f"http://127.0.0.1:{server.address.port}", token=sign(server), proxy=None) as client:
        messages = client.subscribe("bench")
        await client.wait_live()
        accepted = server.connections.accepted
        await say_as_an_older_log(server, "c1", b"1e400")
        await say_as_an_older_log(server, "c2", b'"after"')
        assert (await anext(messages)).data == "after"
        [error] = client.errors
        assert error.code.name == "message_unsayable"
        assert error.details is not None
        assert error.details["target"] == "bench"
        page = await client.history("bench", limit=2)
        assert [each.data for each in page.messages] == ["after"]
        assert len(client.errors) == 2
        assert server.connections.accepted == accepted


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", f"/v1/history/wagers?before={DIGITS}", "command_invalid"),
        ("GET", f"/v1/history/wagers?limit={DIGITS}", "command_invalid"),
        ("GET", "/v1/history/wagers?before=99999999999999999999", "command_invalid"),
        ("GET", f"/v1/archive/reports?limit={DIGITS}", "command_invalid"),
        ("GET", f"/v1/archive/reports?after={DIGITS}:x", "command_invalid"),
        ("GET", f"/v1/query/exposure?outcome={DIGITS}", None),
        ("GET", f"/v1/views/kpi?scope=/{DIGITS}", "scope_invalid"),
        ("GET", f"/v1/views/{DIGITS}", "topic_unknown"),
        ("POST", f"/v1/dead-letters/{DIGITS}/dismiss", "command_invalid"),
        ("POST", f"/v1/dead-letters/{DIGITS}/replay", "command_invalid"),
        ("POST", f"/v1/commands/{DIGITS}", "command_unknown"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_long_numbers_in_paths_and_queries(
    server: app.Application, method: str, path: str, code: str | None
) -> None:
    """Numbers of thousands of digits in an address are refused with a code, and never a failure of the server."""
    answer = await request(server, method, path, {"reason": "x"} if method == "POST" else None, Idempotency_Key="k")
    assert 400 <= answer.status < 500
    assert code is None or answer.code == code


@pytest.mark.parametrize(
    "value", [DIGITS, f'"{"x" * 10}\\ud800"', DEEP, "1e400", "-" + DIGITS], ids=lambda value: value[:12]
)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/session", '{{"code":{}}}'),
        ("POST", "/v1/events", '{{"id":{}}}'),
        ("POST", "/v1/events", '[{{"id":"a","type":"a.b","source":"s","timestamp":"2026-01-01T00:00:00Z","data":{}}}]'),
        ("POST", "/v1/events", '{{"id":"a","type":"a.b","source":"s","timestamp":{}}}'),
        ("POST", "/v1/commands/wager.place", '{{"customerId":"x","riskMinor":{}}}'),
        ("POST", "/v1/commands/wager.place", "{}"),
        ("POST", "/v1/dead-letters/1/dismiss", '{{"reason":{}}}'),
        ("POST", "/v1/dead-letters/1/replay", '{{"data":{}}}'),
    ],
)
async def test_such_values_in_bodies(server: app.Application, method: str, path: str, body: str, value: str) -> None:
    """Whatever a body holds, its sender gets a 4xx with a code."""
    answer = await request(server, method, path, raw=body.format(value).encode(), Idempotency_Key="k")
    assert answer.code
    assert 400 <= answer.status < 500


@pytest.mark.parametrize("value", [DIGITS, '"\\ud800"', DEEP, "1e400"], ids=lambda value: value[:12])
@pytest.mark.parametrize(
    "frame",
    [
        '{{"id":1,"command":"history","target":"wagers","before":{}}}',
        '{{"id":1,"command":"subscribe","target":"wagers","last":{}}}',
        '{{"id":1,"command":"subscribe","target":"wagers","filter":{{"amount":{}}}}}',
        '{{"id":{},"command":"ping"}}',
        "{}",
    ],
)
async def test_such_values_in_frames(server: app.Application, frame: str, value: str) -> None:
    """Whatever a frame holds, the connection gets an error with a code and goes on."""
    async with talking(server) as talk:
        await talk.socket.send(frame.format(value))
        assert (await talk.message(lambda message: message.type == "error")).code
        await talk.ask("ping")


async def test_a_position_beyond_what_storage_can_hold(server: app.Application) -> None:
    """A number that no feed has reached, nor could, ends neither the connection nor the server."""
    async with talking(server) as talk:
        assert await talk.refused("history", target="wagers", before=10**30) == "command_invalid"
        assert await talk.ask("history", target="wagers", before=2**63 - 1)
        assert (await request(server, "GET", "/healthz")).status == 200


async def read(talk: Talk, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """MessagePack messages up to the first of some kind, with it."""
    found: list[dict[str, Any]] = []
    while True:
        for message in msgspec.msgpack.decode(await talk.socket.recv(decode=False)):
            found.append(message)
            if wanted(message):
                return found


def left_out(server: app.Application) -> float:
    """How many messages the metrics say were left out."""
    line = next(line for line in server.metrics.text().decode().splitlines() if line.startswith("fire22_messages_left"))
    return float(json.loads(line.split()[-1]))

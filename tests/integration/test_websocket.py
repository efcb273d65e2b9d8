"""The WebSocket gateway of a running server, over real sockets: every way in, every answer, every end."""

import asyncio
import base64
import contextlib
import json
import os
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import uvloop
from websockets.exceptions import InvalidStatus

from fire22 import app
from fire22.core.event import encode_event, parse_events
from fire22.core.frames import (
    Close,
    Incoming,
    Opcode,
    Pong,
    ServerFrameParser,
    Text,
    close_frame,
    frame_head,
    masked,
    ping_frame,
    text_frame,
)
from fire22.core.message import Json, Message, decode_json
from fire22.core.position import Position
from fire22.gateways.websocket import AUTH_BYTES_MAX, WebSocket
from fire22.hub.loop import REFUSING
from fire22.security.principal import Principal
from fire22.security.tokens import Tokens
from fire22.sportsbook.book import changes, database, writer
from tests.integration.inside import (
    WAIT_S,
    Talk,
    bench_event,
    make_book,
    make_config,
    sign,
    talking,
    until,
)
from tests.support.storage import stored_groups

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop
LOST_RECORDS = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server on a small book, for all tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("websocket")
    config = make_config(
        folder / "data",
        make_book(folder / "book.db"),
        server={"subscriptions_max": 4, "message_bytes_max": 20_000, "auth_timeout_s": 1},
    )
    async with app.running(config) as running:
        await until(lambda: running.delivery.knows_scope("/M1/A1"))
        yield running


def the_epoch(server: app.Application) -> str:
    """The feed's identity."""
    return server.feed.epoch


@contextlib.asynccontextmanager
async def own(folder: Path, **sections: dict[str, Any]) -> AsyncIterator[app.Application]:
    """A server for one test."""
    async with app.running(make_config(folder, **sections)) as running:
        yield running


async def publish(server: app.Application, talk: Talk, id: str, data: Json = None) -> None:
    """Say something on the open topic, and wait until it has been delivered."""
    seq = (await talk.ask("publish", event=bench_event(id, data)))["seq"]
    assert isinstance(seq, int)
    feed, hub = server.feed, server.delivery
    await until(lambda: feed.checkpoint.seq >= seq and hub.flushed >= feed.checkpoint.offset)


class Raw:
    """A socket without any library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._parser = ServerFrameParser(1 << 24)

    async def open(self, server: app.Application, *, token: str | None = None) -> str:
        """Open the WebSocket; the head of the answer."""
        return await self.request(server, Authorization=f"Bearer {token or sign(server)}")

    async def request(self, server: app.Application, start: str = "GET /v1/ws HTTP/1.1", **changes: str | None) -> str:
        """Send an opening handshake with some headers changed; the head of the answer."""
        headers: dict[str, str | None] = {
            "Host": f"127.0.0.1:{server.address.port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        lines = [start, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(WAIT_S):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    def send_text(self, text: str) -> None:
        """Send a text frame."""
        self.send(masked(text_frame(text.encode()), b"abcd"))

    async def rest(self) -> list[Incoming]:
        """All frames until the server closes the connection."""
        async with asyncio.timeout(WAIT_S):
            data = await self.reader.read(-1)
        return list(self._parser.receive(data))

    async def body(self) -> dict[str, Json]:
        """The JSON body of an answer that is no WebSocket."""
        async with asyncio.timeout(WAIT_S):
            found = json.loads(await self.reader.read(-1))
        assert isinstance(found, dict)
        return found


@contextlib.asynccontextmanager
async def raw(server: app.Application, receive_bytes: int = 0) -> AsyncIterator[Raw]:
    """A connection; with `receive_bytes` one that holds little before it is read."""
    sock = socket.socket()
    sock.setblocking(False)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.address.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=receive_bytes or 1 << 16)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


# Ways in.


@pytest.mark.parametrize("protocol", ["fire22.v1.plain", "fire22.v1.json"])
async def test_modes(server: app.Application, protocol: str) -> None:
    """Every mode that is offered is spoken: one message a frame, or an array of them."""
    async with talking(server, protocols=(protocol,)) as talk:
        assert talk.socket.subprotocol == protocol
        await talk.socket.send('{"id":1,"command":"ping"}')
        frame = await talk.socket.recv()
        assert isinstance(frame, str)
        assert frame.startswith("[") is (protocol == "fire22.v1.json")
        [message] = decode_json(frame)
        assert (message.type, message.id) == ("reply", 1)


async def test_ten_line_client(server: app.Application) -> None:
    """Without any subprotocol each frame is one JSON message."""
    async with talking(server) as talk:
        assert talk.socket.subprotocol is None
        await publish(server, talk, "ten-line")
        await talk.ask("subscribe", target="bench", last=1)
        await publish(server, talk, "ten-line-2", {"n": 1})
        update = await talk.update()
        assert (update.type, update.target, update.scope, update.data) == ("update", "bench", "/", {"n": 1})
        assert (await talk.tick()).data is not None


async def test_first_known_subprotocol(server: app.Application) -> None:
    """Of several offers the first that is spoken here is taken."""
    async with talking(server, protocols=("fire22.v9.future", "fire22.v1.json", "fire22.v1.plain")) as talk:
        assert talk.socket.subprotocol == "fire22.v1.json"


async def test_token_in_subprotocol(server: app.Application) -> None:
    """A browser's token travels as a subprotocol, and never comes back."""
    token = sign(server)
    async with raw(server) as peer:
        head = await peer.request(
            server, Authorization=None, Sec_WebSocket_Protocol=f"fire22.v1.json, fire22.bearer.{token}"
        )
        assert "101 Switching Protocols" in head
        assert re.findall(r"(?i)sec-websocket-protocol: (.*)\r\n", head) == ["fire22.v1.json"]
        assert token not in head
        peer.send_text('{"id":1,"command":"ping"}')
        peer.send(masked(frame_head(Opcode.CLOSE, 0), b"abcd"))
        answer, end = await peer.rest()
        assert isinstance(answer, Text)
        assert answer.payload.startswith('[{"type":"reply"')
        assert token not in answer.payload
        assert end == Close(1000, "")


async def test_token_by_command(server: app.Application) -> None:
    """A client may connect first and send its token as its first command; before that it gets nothing."""
    async with talking(server, token=None) as talk:
        await talk.ask("auth", token=sign(server))
        await talk.ask("ping")


async def test_command_before_the_token(server: app.Application) -> None:
    """Who asks for something before saying who it is is sent away."""
    async with talking(server, token=None) as talk:
        await talk.send("subscribe", target="kpi")
        code, said = await talk.closed()
        assert code == 1008
        assert [(message.type, message.code) for message in said] == [("connection_error", "auth_required")]


async def test_no_token_in_time(server: app.Application) -> None:
    """A connection that never says who it is does not stay."""
    async with talking(server, token=None) as talk:
        code, said = await talk.closed()
        assert (code, said[0].type, said[0].code) == (1008, "connection_error", "auth_required")


@pytest.mark.parametrize(("kind", "expected"), [("wrong", "token_invalid"), ("expired", "token_expired")])
async def test_bad_token(server: app.Application, kind: str, expected: str) -> None:
    """A token that is not this server's, or was, is answered with a message and a close code that say so."""
    bad = (
        sign(server, ttl_s=-1)
        if kind == "expired"
        else Tokens(b"x" * 32).sign(subject="s", role="admin", scope="/", ttl_s=60, now_ms=app.now_ms())
    )
    async with talking(server, token=bad) as talk:
        code, said = await talk.closed()
        assert (code, talk.socket.close_reason) == (1008, expected)
        [message] = said
        assert (message.type, message.code) == ("connection_error", expected)
        assert bad[:20] not in (message.message or "")
    async with talking(server, token=None) as talk:
        await talk.send("auth", token=bad)
        code, said = await talk.closed()
        assert (code, said[-1].code) == (1008, expected)


async def test_refresh(server: app.Application) -> None:
    """A token is renewed without a reconnect, for the same rights."""
    async with talking(server, token=sign(server, role="agent", scope="/M1")) as talk:
        assert await talk.ask("auth", token=sign(server, role="agent", scope="/M1")) == {}
        await talk.send("auth", token=sign(server, role="admin", scope="/"))
        code, said = await talk.closed()
        assert (code, said[-1].code) == (1008, "token_invalid")


async def test_token_that_ends_while_connected(tmp_path: Path) -> None:
    """A token that has ended serves nothing more, and its connection is closed."""
    async with own(tmp_path, hub={"heartbeat_s": 0.5}) as server:
        async with talking(server, token=sign(server, ttl_s=1)) as talk:
            await talk.ask("ping")
            [connection] = server.connections.open
            assert connection.principal is not None
            connection.principal = Principal("test", "admin", "/", app.now_ms() - 1)
            assert await talk.refused("subscribe", target="kpi") == "token_expired"
            assert await talk.refused("publish", event=bench_event("late")) == "token_expired"
            code, said = await talk.closed()
            assert (code, said[-1].type, said[-1].code) == (1008, "connection_error", "token_expired")
        published = [
            body for group in stored_groups(server.config.storage) for body in group.bodies if b'"id":"late"' in body
        ]
        assert not published


# Handshakes that fail.


@pytest.mark.parametrize(
    ("start", "changes", "status", "code"),
    [
        ("GET /v1/ws HTTP/1.1", {"Sec_WebSocket_Protocol": "graphql-ws"}, 400, "subprotocol_unknown"),
        ("GET /v1/ws HTTP/1.1", {"Sec_WebSocket_Protocol": "v9, fire22.bearer.x"}, 400, "subprotocol_unknown"),
        ("GET /v1/other HTTP/1.1", {}, 404, "not_found"),
        ("GET / HTTP/1.1", {}, 404, "not_found"),
        ("POST /v1/ws HTTP/1.1", {}, 426, "protocol_error"),
        ("GET /v1/ws HTTP/1.1", {"Sec_WebSocket_Version": "8"}, 426, "protocol_error"),
        ("GET /v1/ws HTTP/1.1", {"Sec_WebSocket_Key": None}, 426, "protocol_error"),
        ("GET /v1/ws HTTP/1.1", {"Sec_WebSocket_Key": "short"}, 426, "protocol_error"),
    ],
)
async def test_refused_handshake(
    server: app.Application, start: str, changes: dict[str, str | None], status: int, code: str
) -> None:
    """What cannot become a WebSocket is answered with an HTTP status and the one shape of errors."""
    async with raw(server) as peer:
        head = await peer.request(server, start, **changes)
        assert head.startswith(f"HTTP/1.1 {status} ")
        body = await peer.body()
        assert (body["type"], body["code"]) == ("connection_error", code)
        assert ("sec-websocket-version: 13" in head.lower()) is (status == 426)


async def test_path_with_a_query(server: app.Application) -> None:
    """A query behind the address does no harm."""
    async with talking(server, path="/v1/ws?x=1") as talk:
        await talk.ask("ping")


async def test_full_server(tmp_path: Path) -> None:
    """A server that holds all it may refuses the next one before the upgrade, and says when to come back."""
    async with own(tmp_path, server={"connections_max": 2}) as server:
        async with talking(server) as first, talking(server):
            with pytest.raises(InvalidStatus) as caught:
                async with talking(server):
                    pass
            response = caught.value.response
            assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
            assert json.loads(response.body or b"")["code"] == "connections_exceeded"
            await first.ask("ping")
        await until(lambda: not server.connections.open)
        async with talking(server) as talk:
            await talk.ask("ping")


async def test_overloaded_server(server: app.Application) -> None:
    """A server whose flushes take too long takes no new connection, and goes on with those it has."""
    async with talking(server) as first:
        await first.ask("subscribe", target="bench")
        event = {"id": "e", "type": "test.happened", "source": "test", "timestamp": "2026-03-01T12:00:00.000Z"}
        await first.ask("publish", event=event | {"data": {}, "metadata": {"category": "bench"}})
        await first.update()  # a flush has just been
        server.delivery.load = REFUSING
        with pytest.raises(InvalidStatus) as caught:
            async with talking(server):
                pass
        response = caught.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert json.loads(response.body or b"")["code"] == "overloaded"
        await first.ask("ping")
        server.delivery.load = 0
        async with talking(server) as second:
            await second.ask("ping")


# Commands.


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"target": "nothing"}, "topic_unknown"),
        ({"target": "agents"}, "topic_unknown"),
        ({"target": "kpi", "scope": "M1"}, "scope_invalid"),
        ({"target": "kpi", "scope": "/Nobody"}, "scope_unknown"),
        ({"target": "kpi", "scope": "/M1/Nobody/@C1"}, "scope_unknown"),
        ({"target": "wagers", "filter": {"colour": "red"}}, "filter_field_unknown"),
        ({"target": "wagers", "filter": {"status": None}}, "filter_invalid"),
        ({"target": "kpi", "filter": {"revenue": 1}}, "filter_field_unknown"),
        ({"target": "kpi", "after": "nonsense"}, "position_invalid"),
        ({"target": "kpi", "at": "2026-01-01T00:00:00Z"}, "not_supported"),
        ({"target": "kpi", "speed": 2}, "not_supported"),
        ({"target": "kpi", "max_rate_hz": 0.01}, "command_invalid"),
        ({"target": "kpi", "max_rate_hz": "fast"}, "command_invalid"),
        ({"target": "kpi", "lossy": True}, "command_invalid"),
        ({"target": "kpi", "last": 501}, "command_invalid"),
        ({"target": "kpi", "lats": 5}, "command_invalid"),
        ({"scope": "/"}, "command_invalid"),
    ],
)
async def test_refused_subscriptions(server: app.Application, fields: dict[str, Json], code: str) -> None:
    """What is wrong with a subscription is said with a code and the command's id; the connection goes on."""
    async with talking(server) as talk:
        assert await talk.refused("subscribe", **fields) == code
        await talk.ask("ping")


async def test_errors_name_what_there_is(server: app.Application) -> None:
    """A message says what would have been right."""
    async with talking(server) as talk:
        await talk.send("subscribe", target="wagers", filter={"colour": 1})
        assert "status" in str((await talk.answer(1)).message)
        await talk.send("subscribe", target="wages")
        assert "wagers" in str((await talk.answer(2)).message)


async def test_rights(server: app.Application) -> None:
    """An agent sees its own sub-tree, by default the whole of it, and nothing else; it publishes nothing."""
    async with talking(server, token=sign(server, role="agent", scope="/M1")) as talk:
        data = await talk.ask("subscribe", target="kpi")
        assert isinstance(data["snapshot"], list)
        assert [document["scope"] for document in data["snapshot"] if isinstance(document, dict)] == ["/M1"]
        await talk.ask("subscribe", target="kpi", scope="/M1/A1")
        for scope in ("/", "/M2", "/M10", "/Nobody"):
            assert await talk.refused("subscribe", target="kpi", scope=scope) == "scope_forbidden"
        assert await talk.refused("publish", event=bench_event("by-agent")) == "forbidden"
    async with talking(server, token=sign(server, role="cashier")) as talk:
        assert await talk.refused("subscribe", target="kpi") == "topic_forbidden"
    async with talking(server, token=sign(server, role="owner")) as talk:
        assert await talk.refused("subscribe", target="kpi") == "forbidden"


async def test_other_commands(server: app.Application) -> None:
    """Commands that there are not, and those that ask for what there is not, are told apart."""
    async with talking(server) as talk:
        assert await talk.refused("dance") == "command_unknown"
        assert await talk.refused("history", target="kpi") == "command_invalid"
        assert await talk.refused("history", target="wagers", limit=501) == "command_invalid"
        assert await talk.refused("history", target="wagers", before=0) == "command_invalid"
        assert await talk.refused("unsubscribe", target="wagers") == "not_subscribed"
        assert await talk.refused("unsubscribe", target="wagers", scope="nonsense") == "not_subscribed"
        assert await talk.refused("ping", extra=1) == "command_invalid"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "json_invalid"),
        ("{", "json_invalid"),
        ("nonsense", "json_invalid"),
        ('{"id":7,"command":"nope"', "json_invalid"),
        ('{"id":7,"command":"subscribe","target":"kpi","filter":{"a":' + "[" * 10_000, "json_invalid"),
        ("[1]", "command_unknown"),
        (b"\xff\xfe", "json_invalid"),
    ],
)
async def test_frames_that_are_no_commands(server: app.Application, frame: str | bytes, code: str) -> None:
    """Whatever a frame holds, its sender gets an error and may go on; others do not notice."""
    async with talking(server) as other, talking(server) as talk:
        await talk.socket.send(frame)
        error = await talk.message(lambda message: message.type == "error")
        assert (error.code, error.id) == (code, None)
        await talk.ask("ping")
        await other.ask("ping")


async def test_ping(server: app.Application) -> None:
    """A ping is answered with the server's time and how far the figures go."""
    async with talking(server) as talk:
        data = await talk.ask("ping")
        assert data.keys() == {"time", "watermark"}
        await (await talk.socket.ping(b"x" * 125))


async def test_commands_in_binary_frames(server: app.Application) -> None:
    """A command may come as UTF-8 in a binary frame."""
    async with talking(server) as talk:
        await talk.socket.send(b'{"id":5,"command":"ping"}')
        assert (await talk.answer(5)).type == "reply"


async def test_too_many_subscriptions(server: app.Application) -> None:
    """A connection follows so many topics and no more; replacing one needs no room."""
    async with talking(server) as talk:
        for scope in ("/", "/M1", "/M1/A1", "/M1/A2"):
            await talk.ask("subscribe", target="kpi", scope=scope)
        assert await talk.refused("subscribe", target="wagers") == "subscriptions_exceeded"
        await talk.ask("subscribe", target="kpi", scope="/M1", delta=True)
        await talk.ask("unsubscribe", target="kpi", scope="/M1")
        await talk.ask("subscribe", target="wagers")


async def test_commands_in_order(tmp_path: Path) -> None:
    """A command that waits for the disk keeps its place: what was sent after it is done after it."""
    async with own(tmp_path, feed={"ring_bytes_max": 1_000}) as server, talking(server) as talk:
        for number in range(30):
            await publish(server, talk, f"old-{number}", number)
        first = await talk.send("subscribe", target="bench", last=20)
        second = await talk.send("unsubscribe", target="bench")
        third = await talk.send("subscribe", target="bench", last=3)
        snapshots = [await talk.answer(id) for id in (first, second, third)]
        assert [answer.type for answer in snapshots] == ["reply"] * 3
        for answer, count in ((snapshots[0], 20), (snapshots[2], 3)):
            assert isinstance(answer.data, dict)
            assert isinstance(answer.data["snapshot"], list)
            assert [each["data"] for each in answer.data["snapshot"] if isinstance(each, dict)] == list(
                range(30 - count, 30)
            )
        await publish(server, talk, "new", "new")
        assert (await talk.update()).data == "new"
        assert len([message for message in talk.messages if message.target]) == 0


# Streams and views.


async def test_stream_and_resume(server: app.Application) -> None:
    """A subscriber gets a snapshot, then each message once; after a break, what it missed and no more."""
    async with talking(server) as writer:
        for number in range(5):
            await publish(server, writer, f"resume-{number}", number)
        async with talking(server, protocols=("fire22.v1.json",)) as talk:
            data = await talk.ask("subscribe", target="bench", last=2)
            assert isinstance(data["snapshot"], list)
            assert [each["data"] for each in data["snapshot"] if isinstance(each, dict)] == [3, 4]
            assert (data["recovered"], data["kind"]) == (False, "stream")
            await publish(server, writer, "resume-5", 5)
            assert (await talk.update()).data == 5
            tick = await talk.tick()
        assert isinstance(tick.data, dict)
        position = str(tick.data["position"])
        for number in range(6, 9):
            await publish(server, writer, f"resume-{number}", number)
        async with talking(server) as talk:
            data = await talk.ask("subscribe", target="bench", after=position)
            assert (data["recovered"], "snapshot" in data) == (True, False)
            assert [(await talk.update()).data for _ in range(3)] == [6, 7, 8]
            await publish(server, writer, "resume-9", 9)
            assert (await talk.update()).data == 9


async def test_positions_that_cannot_be_resumed(server: app.Application) -> None:
    """A position of another feed or beyond the newest message is answered with the reason and a snapshot."""
    async with talking(server) as talk:
        await publish(server, talk, "positions")
        for position, reason in (
            ("0123456789abcdef-5", "epoch_changed"),
            (f"{the_epoch(server)}-9999999999999999", "position_ahead"),
        ):
            data = await talk.ask("subscribe", target="bench", last=1, after=position)
            assert (data["recovered"], data["reason"]) == (False, reason)
            assert isinstance(data["snapshot"], list)
            assert len(data["snapshot"]) == 1
            here = Position.parse(str(data["position"]))
            assert (here.epoch, here.offset <= server.feed.checkpoint.offset) == (the_epoch(server), True)


async def test_lost_position(tmp_path: Path) -> None:
    """A position whose messages are no longer kept is answered with what was lost, and a snapshot."""
    async with own(tmp_path) as server, talking(server) as talk:
        for number in range(10):
            await publish(server, talk, f"lost-{number}", number)
        await until(lambda: not server.runner.behind and server.delivery.flushed == server.engine.checkpoint.offset)
        # Deletes at most the first so many records, as retention does.
        await server.feed.trim(before_ms=app.now_ms() + 1, bytes_max=1 << 40, records_max=LOST_RECORDS)
        lost = server.feed.lost
        assert lost >= LOST_RECORDS
        data = await talk.ask("subscribe", target="bench", last=2, after=f"{the_epoch(server)}-1")
        assert (data["recovered"], data["reason"]) == (False, "position_lost")
        assert data["lost"] == {"from": 2, "to": lost}
        assert isinstance(data["snapshot"], list)
        assert [each["data"] for each in data["snapshot"] if isinstance(each, dict)] == [8, 9]
        data = await talk.ask("subscribe", target="bench", after=f"{the_epoch(server)}-{lost}")
        assert data["recovered"] is True


async def test_figures_of_a_book(tmp_path: Path) -> None:
    """A wager in the book reaches the ticker of its own sub-tree, passes the filter, and moves the figures."""
    book = make_book(tmp_path / "book.db")
    config = make_config(tmp_path / "data", book)
    async with app.running(config) as server:
        await until(lambda: server.delivery.knows_scope("/M1/A1"))
        connection = database.connect(book)
        [(customer, agent, path)] = list(
            connection.execute(
                "SELECT c.id, a.id, a.path FROM customers c JOIN agents a ON a.id = c.agent_id "
                "WHERE a.path LIKE '/M1/A1%' LIMIT 1"
            )
        )
        async with talking(server) as talk, talking(server) as other:
            whole = await talk.ask("subscribe", target="kpi", scope="/M1", delta=True)
            assert isinstance(whole["snapshot"], list)
            await talk.ask("subscribe", target="wagers", scope="/M1/A1", filter={"amount": {"gte": 20}})
            await other.ask("subscribe", target="wagers", scope="/M1/A2")
            for number, risk in ((1, 1_000), (2, 2_550)):
                wager = changes.PlaceWager(
                    f"w{number}", str(customer), str(agent), str(path), "straight", risk, risk, app.now_ms(), "web"
                )
                writer.write(connection, [wager])
            update = await talk.message(lambda message: message.type == "wager_update")
            assert isinstance(update.data, dict)
            assert (update.data["wagerId"], update.data["amount"], update.data["action"]) == ("w2", 25.5, "placed")
            pending = 0.0
            while pending != 2:
                delta = await talk.message(lambda message: message.type == "kpi_update" and message.patch)
                assert isinstance(delta.data, dict)
                assert delta.base is not None
                value = delta.data.get("pending", pending)
                assert isinstance(value, int | float)
                pending = value
            await other.ask("ping")
            assert not [message for message in other.messages if message.target == "wagers"]
        connection.close()


# Publishing.


async def test_publish(server: app.Application) -> None:
    """A published event is durable when it is answered, idempotent by its id, and reaches the topic's subscribers."""
    async with talking(server) as talk, talking(server) as other:
        await other.ask("subscribe", target="bench")
        event = bench_event("publish-1", {"a": [1, "é", None]}, priority=3, tags=["as:alert"])
        first = await talk.ask("publish", event=event)
        assert first["repeat"] is False
        assert await talk.ask("publish", event=event) == {"seq": first["seq"], "repeat": True}
        assert await talk.refused("publish", event=event | {"data": 5}) == "id_conflict"
        update = await other.update()
        assert (update.type, update.priority, update.data) == ("alert", "critical", {"a": [1, "é", None]})
        await publish(server, talk, "publish-2", 2)
        assert (await other.update()).data == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": "nonsense"}, "event_invalid"),
        ({"type": "system.clock"}, "event_invalid"),
        ({"type": "wager.placed", "data": {"wagerId": 7}}, "event_invalid"),
        ({"timestamp": "yesterday"}, "event_invalid"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "event_invalid"),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, "event_invalid"),
        ({"metadata": {"tags": ["to:role:7"]}}, "event_invalid"),
    ],
)
async def test_bad_events(server: app.Application, changes: dict[str, Json], code: str) -> None:
    """An event that cannot be taken is refused with its command's id, and nothing of it is kept."""
    async with talking(server) as talk:
        assert await talk.refused("publish", event=bench_event("bad") | changes) == code
        await publish(server, talk, f"good-{code}-{len(str(changes))}")


async def test_deep_event(server: app.Application) -> None:
    """An event nested so deep that some reader could not follow is refused, and the server goes on."""
    async with talking(server) as talk:
        event = json.dumps(bench_event("deep")).replace("null", "[" * 900 + "]" * 900)
        await talk.socket.send(f'{{"id":1,"command":"publish","event":{event}}}')
        assert (await talk.answer(1)).code == "event_invalid"
        await talk.ask("ping")


# Limits and ends.


async def test_large_frame(server: app.Application) -> None:
    """A message beyond the limit ends its sender's connection, by its head alone, and nobody else's."""
    async with talking(server) as other:
        async with talking(server) as talk:
            await talk.socket.send("x" * 20_001)
            code, _ = await talk.closed()
            assert code == 1009
        async with raw(server) as peer:
            await peer.open(server)
            peer.send(frame_head(Opcode.TEXT, 1 << 40)[:1] + bytes((0x80 | 127,)) + (1 << 40).to_bytes(8, "big"))
            [end] = await peer.rest()
            assert isinstance(end, Close)
            assert end.code == 1009
        await other.ask("ping")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x00", 1002),  # not masked
        (masked(b"\xc1\x00", b"abcd"), 1002),  # a reserved bit
        (masked(b"\x83\x00", b"abcd"), 1002),  # an unknown opcode
        (masked(b"\x81\x02\xff\xfe", b"abcd"), 1007),  # not UTF-8
        (masked(b"\x88\x01x", b"abcd"), 1002),  # half a close code
        (masked(b"\x88\x02\x03\xe8", b"abcd"), 1000),
        (masked(b"\x88\x02\x0f\xa0", b"abcd"), 4000),
    ],
)
async def test_ends_by_the_peer(server: app.Application, data: bytes, code: int) -> None:
    """A peer that breaks the protocol, or ends the connection, is answered with the code that fits."""
    async with raw(server) as peer:
        await peer.open(server)
        peer.send(data)
        end = (await peer.rest())[-1]
        assert isinstance(end, Close)
        assert end.code == code
    await until(lambda: not server.connections.open)


async def test_sudden_end(server: app.Application) -> None:
    """A peer that is gone is forgotten, with its subscriptions."""
    async with raw(server) as peer:
        await peer.open(server)
        peer.send_text('{"id":1,"command":"subscribe","target":"kpi"}')
        await until(lambda: server.delivery.lane_count)
        peer.writer.transport.abort()
        await until(lambda: not server.connections.open)
    assert server.delivery.lane_count == 0


async def test_heartbeats(tmp_path: Path) -> None:
    """A connection on which nothing happens hears a tick now and then, with position, time and watermark."""
    async with own(tmp_path, hub={"heartbeat_s": 0.05}) as server, talking(server) as talk:
        await talk.ask("subscribe", target="bench")
        for _ in range(3):
            data = (await talk.tick()).data
            assert isinstance(data, dict)
            assert data.keys() == {"position", "time", "watermark"}
            assert Position.parse(str(data["position"])).epoch == the_epoch(server)


async def test_peer_that_takes_nothing(tmp_path: Path) -> None:
    """Who asks and never reads the answers is not heard on for ever, costs a bounded memory, and is ended at last."""
    hub = {"heartbeat_s": 0.2, "outbox_bytes_max": 20_000}
    async with own(tmp_path, hub=hub, server={"stall_s": 0.2}) as server, talking(server) as other:
        async with raw(server, receive_bytes=4_096) as peer:
            await peer.open(server)
            slow = list(server.connections.open)[1]
            assert isinstance(slow, WebSocket)
            peer.send(b"".join(masked(text_frame(b'{"id":1,"command":"ping"}'), b"abcd") for _ in range(50_000)))
            await until(lambda: slow.paused)
            await other.ask("ping")
            assert slow._transport is not None
            assert slow._transport.get_write_buffer_size() < 2 * 20_000
            assert not slow._transport.is_reading()
            await until(lambda: len(server.connections.open) == 1)
        assert re.search(r'fire22_errors_total\{code="stalled"\} 1\.0', server.metrics.text().decode())
        await other.ask("ping")


async def test_slow_reader_gets_everything(tmp_path: Path) -> None:
    """Who reads slowly gets each message once and in order, while others are served as ever."""
    count, batch = 200, 10
    async with (
        own(tmp_path, hub={"outbox_bytes_max": 10_000}) as server,
        talking(server) as quick,
        raw(server, receive_bytes=4_096) as slow,
    ):
        await quick.ask("subscribe", target="bench")
        await slow.open(server)
        slow.send_text('{"id":1,"command":"subscribe","target":"bench"}')
        await until(lambda: sum(len(each.lanes) for each in server.connections.open) == 2)
        for first in range(0, count, batch):
            events = [
                bench_event(f"slow-{number}", {"number": number, "text": "x" * 12_000})
                for number in range(first, first + batch)
            ]
            await server.log.append(list(map(encode_event, parse_events(msgspec.json.encode(events)))))
            assert [number_of(await quick.update()) for _ in range(batch)] == list(range(first, first + batch))
        assert server.delivery.statistics.demoted
        assert len(server.delivery.catching) == 0  # it waits for its peer
        slow.send(masked(frame_head(Opcode.CLOSE, 0), b"abcd"))
        frames = await slow.rest()
        messages = [decode_json(each.payload)[0] for each in frames if isinstance(each, Text)]
        assert [number_of(each) for each in messages if each.target] == list(range(count))
        assert isinstance(frames[-1], Close)


def number_of(message: Message) -> Json:
    """The number that a message of the test carries."""
    assert isinstance(message.data, dict)
    return message.data["number"]


async def test_restart(tmp_path: Path) -> None:
    """A server that ends tells each client to come back, and when; a new one takes nobody meanwhile."""
    async with contextlib.AsyncExitStack() as stack:
        async with own(tmp_path) as server:
            talks = [await stack.enter_async_context(talking(server)) for _ in range(3)]
            for talk in talks:
                await talk.ask("subscribe", target="bench")
            server.service.draining = True
            with pytest.raises(InvalidStatus) as caught:
                async with talking(server):
                    pass
            assert caught.value.response.status_code == 503
        for talk in talks:
            code, said = await talk.closed()
            assert (code, said[-1].type, said[-1].code) == (1012, "connection_error", "restarting")
            assert said[-1].retryAfter is not None
            assert said[-1].retryAfter >= 1


@pytest.mark.parametrize(("size", "code"), [(AUTH_BYTES_MAX, 1000), (AUTH_BYTES_MAX + 1, 1009)])
async def test_who_has_not_signed_in_makes_no_work(server: app.Application, size: int, code: int) -> None:
    """A message that is larger than any token ends the connection, unread."""
    async with raw(server) as peer:
        await peer.request(server)
        peer.send_text("[" * size)
        peer.send(masked(close_frame(1000, ""), b"abcd"))
        ended = next(frame for frame in await peer.rest() if isinstance(frame, Close))
        assert ended.code == code


async def test_a_flood_of_tiny_frames(tmp_path: Path) -> None:
    """Who sends 20,000 pings and fragments at once gets each answer, in turns; another user is answered long before."""
    async with own(tmp_path) as server, raw(server) as peer, talking(server) as good:
        token = server.tokens.sign(subject="greedy", role="admin", scope="/", ttl_s=600, now_ms=app.now_ms())
        await peer.open(server, token=token)
        fragment = masked(frame_head(Opcode.CONTINUATION, 0, final=False), b"abcd")
        start = masked(frame_head(Opcode.TEXT, 0, final=False), b"abcd")
        peer.send(start + (masked(ping_frame(b"!"), b"abcd") + fragment) * 10_000 + masked(close_frame(), b"abcd"))
        await good.ask("ping")
        answered = await peer.rest()
        assert len([frame for frame in answered if isinstance(frame, Pong)]) == 10_000

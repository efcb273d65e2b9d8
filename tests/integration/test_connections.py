"""Connections by their limits: how many there are, how long one may take, who is still there, what is written to it."""

import asyncio
import contextlib
import ctypes
import gc
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop
from websockets.exceptions import InvalidStatus

from fire22 import app
from fire22.core.frames import Close, Text, close_frame, text_frame
from fire22.core.message import decode_json
from fire22.gateways.http.protocol import HttpProtocol
from fire22.gateways.liveness import tcp_info
from fire22.gateways.register import Connections
from fire22.gateways.websocket import WebSocket
from fire22.security.revocation import Revocation
from tests.integration.inside import WAIT_S, Talk, make_config, sign, talking, until
from tests.integration.test_websocket import Raw, own, raw
from tests.support import virtual_time
from tests.support.memory_store import MemoryStore

LOOP_FACTORY = uvloop.new_event_loop
SO_ATTACH_FILTER = 26
CHUNK = b"x" * 20_000


def token_of(server: app.Application, subject: str, *, ttl_s: int = 600) -> str:
    """A user's token."""
    return server.tokens.sign(subject=subject, role="admin", scope="/", ttl_s=ttl_s, now_ms=app.now_ms())


def counted(server: app.Application, code: str) -> int:
    """How many errors of a code the server has counted."""
    found = re.search(rf'fire22_errors_total\{{code="{code}"\}} (\d+)', server.metrics.text().decode())
    return int(found.group(1)) if found else 0


def newest(server: app.Application) -> WebSocket:
    """The server's end of the connection that was opened last."""
    return cast("WebSocket", list(server.connections.open)[-1])


def write_alone(connection: WebSocket, data: bytes) -> None:
    """Write to one connection."""
    connection.write(data)


def write_as_many(connection: WebSocket, data: bytes) -> None:
    """Write as to a whole cohort."""
    WebSocket.write_many([connection], connection.cohort, data)


def fill(connection: WebSocket, write: Callable[[WebSocket, bytes], None] = write_alone) -> int:
    """Write numbered frames until the peer takes no more; how many they were."""
    count = 0
    while not connection.paused:
        write(connection, text_frame(b"%06d" % count + CHUNK))
        count += 1
    return count


async def reset(peer: Raw) -> None:
    """End a connection without a farewell."""
    sock = peer.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()
    await asyncio.sleep(0)  # uvloop closes a socket in the loop's next turn


async def numbers(peer: Raw, count: int) -> list[int]:
    """The numbers of the next frames."""
    size = len(text_frame(b"000000" + CHUNK))
    async with asyncio.timeout(WAIT_S):
        data = await peer.reader.readexactly(count * size)
    head = size - len(CHUNK) - 6
    return [int(data[start + head : start + head + 6]) for start in range(0, len(data), size)]


# What is written.


@pytest.mark.parametrize("write", [write_alone, write_as_many])
async def test_order_whoever_writes(tmp_path: Path, write: Callable[[WebSocket, bytes], None]) -> None:
    """A peer gets what was written in its order, whether its socket took it at once or the transport kept it."""
    async with own(tmp_path) as server, raw(server, receive_bytes=4_096) as peer:
        await peer.open(server)
        connection = newest(server)
        assert connection._descriptor >= 0
        count = fill(connection, write)
        assert connection._descriptor < 0
        for _ in range(3):
            write(connection, text_frame(b"%06d" % count + CHUNK))
            count += 1
        assert await numbers(peer, count) == list(range(count))
        assert not connection.paused
        write(connection, text_frame(b"000007" + CHUNK))
        assert connection._descriptor >= 0
        assert await numbers(peer, 1) == [7]


async def test_the_same_to_many(tmp_path: Path) -> None:
    """What is written to many reaches each that is open, behind what it has yet to take, and nobody else."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(own(tmp_path))
        peers = [await stack.enter_async_context(raw(server, receive_bytes=4_096)) for _ in range(4)]
        connections = []
        for peer in peers:
            await peer.open(server)
            connections.append(newest(server))
        quick, slow, ended, other = peers
        count = fill(connections[1])
        connections[2].restart(retry_after_s=1)
        for connection in connections[:3]:
            write_as_many(connection, text_frame(b"%06d" % count + CHUNK))
        assert await numbers(quick, 1) == [count]
        assert await numbers(slow, count + 1) == list(range(count + 1))
        assert [type(each) for each in await ended.rest()] == [Text, Close]
        connections[3].write(text_frame(b"000001" + CHUNK))
        assert await numbers(other, 1) == [1]


async def test_a_descriptor_that_is_used_again(tmp_path: Path) -> None:
    """What is written to a connection that is gone does not reach the one that has its descriptor now."""
    async with own(tmp_path) as server:
        async with raw(server) as peer:
            await peer.open(server)
            gone = newest(server)
            await reset(peer)
            await until(lambda: not server.connections.open)
        async with contextlib.AsyncExitStack() as stack:
            talks = [await stack.enter_async_context(talking(server)) for _ in range(5)]
            gone.write(text_frame(b"not for you"))
            write_as_many(gone, text_frame(b"not for you"))
            for talk in talks:
                await talk.ask("ping")
                assert not talk.messages


async def test_a_descriptor_of_one_that_is_about_to_close(tmp_path: Path) -> None:
    """Once the server has begun to close a connection, nothing comes behind the close frame."""
    async with own(tmp_path) as server, raw(server) as peer:
        await peer.open(server)
        connection = newest(server)
        connection.restart(retry_after_s=1)
        connection.write(text_frame(b"too late"))
        write_as_many(connection, text_frame(b"too late"))
        async with asyncio.timeout(WAIT_S):
            assert (await peer.reader.read()).endswith(close_frame(1012, "restarting"))


async def test_a_peer_that_has_just_gone(tmp_path: Path) -> None:
    """Writing to a peer that has reset the connection fails nobody; the connection is forgotten."""
    async with own(tmp_path) as server, talking(server) as other, raw(server) as peer:
        await peer.open(server)
        connection = newest(server)
        await reset(peer)
        for _ in range(5):
            connection.write(text_frame(b"anybody?"))
            write_as_many(connection, text_frame(b"anybody?"))
        await until(lambda: len(server.connections.open) == 1)
        await other.ask("ping")


class Encrypted(asyncio.Transport):
    """A transport over a real socket, that encrypts what it is given."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(extra={"socket": sock, "sslcontext": object()})
        self.written = b""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


async def test_encrypted_connection() -> None:
    """Where the transport encrypts, nothing goes past it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport, connection = Encrypted(ours), WebSocket()
        connection.connection_made(transport)
        connection.write(b"one")
        write_as_many(connection, b"two")
        assert transport.written == b"onetwo"
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


# How many there are.


async def refused(server: app.Application, **options: Any) -> None:
    """A connection that is one too many."""
    with pytest.raises(InvalidStatus) as caught:
        async with talking(server, **options):
            pass
    response = caught.value.response
    assert (response.status_code, response.headers["Retry-After"]) == (429, "5")
    body = json.loads(response.body or b"")
    assert (body["type"], body["code"], body["retryAfter"]) == ("connection_error", "connections_exceeded", 5)


async def test_full_user(tmp_path: Path) -> None:
    """A user with all connections it may have is refused before the upgrade; others are not, and it may come again."""
    async with own(tmp_path, server={"connections_user_max": 2}) as server:
        ann, bob = token_of(server, "ann"), token_of(server, "bob")
        async with talking(server, token=ann):
            async with talking(server, token=ann) as second:
                await refused(server, token=token_of(server, "ann", ttl_s=60))
                async with talking(server, token=bob) as other:
                    await other.ask("ping")
                await second.ask("ping")
            await until(lambda: server.connections.rights.held("staff:ann") == 1)
            async with talking(server, token=ann) as second:
                await second.ask("ping")
                await refused(server, token=ann)


async def test_full_user_by_command(tmp_path: Path) -> None:
    """Who says by command that it is a full user is told so, and closed; a renewed token needs no place of its own."""
    async with own(tmp_path, server={"connections_user_max": 1}) as server:
        token = sign(server)
        async with talking(server, token=None) as first:
            await first.ask("auth", token=token)
            async with talking(server, token=None) as second:
                await second.send("auth", token=token)
                code, said = await second.closed()
                assert (code, [message.type for message in said]) == (1013, ["connection_error"])
                assert (said[0].code, said[0].retryAfter) == ("connections_exceeded", 5)
            await first.ask("auth", token=sign(server, ttl_s=500))
            assert server.connections.rights.held("staff:test") == 1
            await refused(server)
        await until(lambda: not server.connections.open)
        assert server.connections.rights.held("staff:test") == 0
        async with talking(server) as talk:
            await talk.ask("ping")


async def test_full_address(tmp_path: Path) -> None:
    """An address with all connections it may have is refused, whoever asks; another address is not."""
    async with own(tmp_path, server={"connections_address_max": 2}) as server:
        async with talking(server, token=token_of(server, "ann")), talking(server, token=None):
            for token in (token_of(server, "bob"), None, "nonsense"):
                await refused(server, token=token)
            async with talking(server, local_addr=("127.0.0.2", 0)) as other:
                await other.ask("ping")
        await until(lambda: not server.connections.open)
        async with talking(server) as talk:
            await talk.ask("ping")


async def test_many_without_a_limit(tmp_path: Path) -> None:
    """With limits of 0 a user and an address may have as many connections as the server."""
    limits = {"connections_user_max": 0, "connections_address_max": 0, "connections_max": 5}
    async with own(tmp_path, server=limits) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(talking(server))
        assert len(server.connections.open) == 5


async def test_bad_token_of_a_full_user(tmp_path: Path) -> None:
    """A token that is not valid is told so behind the upgrade as ever, and takes no user's place."""
    async with (
        own(tmp_path, server={"connections_user_max": 1}) as server,
        talking(server, token=token_of(server, "ann")),
    ):
        async with talking(server, token=token_of(server, "ann", ttl_s=-1)) as talk:
            code, said = await talk.closed()
            assert (code, said[0].type, said[0].code) == (1008, "connection_error", "token_expired")
        assert server.connections.rights.held("staff:ann") == 1


async def leave_orderly(server: app.Application, talk: Talk) -> None:
    await talk.socket.close()


async def leave_suddenly(server: app.Application, talk: Talk) -> None:
    talk.socket.transport.abort()


async def break_the_protocol(server: app.Application, talk: Talk) -> None:
    talk.socket.transport.write(b"\xff\xff")


async def be_refused(server: app.Application, talk: Talk) -> None:
    with pytest.raises(InvalidStatus):
        async with talking(server, protocols=("nonsense",)):
            pass
    await talk.socket.close()


async def bring_a_bad_token(server: app.Application, talk: Talk) -> None:
    await talk.send("auth", token="nonsense")
    await talk.closed()


async def be_sent_away(server: app.Application, talk: Talk) -> None:
    await server.connections.drain(0)
    server.service.draining = False


async def fail_twice(server: app.Application, talk: Talk) -> None:
    connection = newest(server)
    connection.restart(retry_after_s=1)
    connection.position_lost()
    connection.shutdown()


@pytest.mark.parametrize("by_command", [False, True], ids=["token in the handshake", "token by command"])
@pytest.mark.parametrize(
    "leave",
    [leave_orderly, leave_suddenly, break_the_protocol, be_refused, bring_a_bad_token, be_sent_away, fail_twice],
)
async def test_each_place_is_given_back_once(tmp_path: Path, leave: Callable[..., Any], by_command: bool) -> None:
    """However a connection ends, exactly its own place is free again."""
    limits = {"connections_user_max": 3, "connections_address_max": 4}
    async with own(tmp_path, server=limits) as server, talking(server) as staying:
        users, addresses = server.connections.rights, server.connections.addresses
        async with talking(server, token=None if by_command else "") as talk:
            if by_command:
                await talk.ask("auth", token=sign(server))
            assert (users.held("staff:test"), addresses.held("127.0.0.1")) == (2, 2)
            await leave(server, talk)
        rest = 0 if leave is be_sent_away else 1
        await until(lambda: len(server.connections.open) == rest)
        assert (users.held("staff:test"), addresses.held("127.0.0.1")) == (rest, rest)
        if rest:
            await staying.ask("ping")
        assert not len(server.connections.unauthenticated)


# How long one may take.


async def trickle(peer: Raw, data: bytes) -> bytes:
    """Send the same bytes again and again until the server closes the connection; what it said."""
    said = b""
    async with asyncio.timeout(WAIT_S):
        while True:
            peer.send(data)
            with contextlib.suppress(TimeoutError):
                try:
                    got = await asyncio.wait_for(peer.reader.read(1_000), 0.02)
                except ConnectionError:
                    return said
                if not got:
                    return said
                said += got


WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n["


@pytest.mark.parametrize(
    ("first", "then", "answers"),
    [
        (b"", b"", 0),
        (b"", b"\r\n", 0),
        (HEAD, b"X-Header: x\r\n", 0),
        (HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"X-Header: x\r\n", 0),
        (WHOLE, b"\r\n", 1),
        (WHOLE + HEAD, b"X-Header: x\r\n", 1),
    ],
    ids=["nothing", "blank lines", "head", "upgrade", "blank lines after a request", "second request"],
)
async def test_a_request_that_does_not_come(tmp_path: Path, first: bytes, then: bytes, answers: int) -> None:
    """A connection whose request is not whole in time is closed, though bytes of it keep coming."""
    async with own(tmp_path, server={"handshake_timeout_s": 0.2}) as server, raw(server) as peer:
        peer.send(first)
        said = await trickle(peer, then)
        assert said.count(b"HTTP/1.1 200") == answers
        await until(lambda: not len(server.unfinished))


@pytest.mark.parametrize("before", [b"", WHOLE], ids=["first", "behind another"])
async def test_a_body_that_does_not_come(tmp_path: Path, before: bytes) -> None:
    """The body belongs to the request: one that trickles in is not waited for either."""
    async with own(tmp_path, server={"handshake_timeout_s": 0.2}) as server, raw(server) as peer:
        token = f"\r\nAuthorization: Bearer {sign(server)}\r\nContent-Length".encode()
        peer.send(before + POST.replace(b"\r\nContent-Length", token))
        await trickle(peer, b" ")
        await until(lambda: not len(server.unfinished))
        assert server.log.last_seq <= 3


async def test_who_leaves_without_a_request(tmp_path: Path) -> None:
    """A connection that ends before its request is whole is forgotten at once."""
    async with own(tmp_path, server={"handshake_timeout_s": 600}) as server:
        async with raw(server) as peer:
            peer.send(HEAD)
            await until(lambda: len(server.unfinished) == 1)
        await until(lambda: not len(server.unfinished))


@contextlib.asynccontextmanager
async def past_the_timeout(server: app.Application) -> AsyncIterator[None]:
    """The block's end is so late that a connection which was opened before the block, or in it, would be closed."""
    async with raw(server) as idle:
        yield
        async with asyncio.timeout(WAIT_S):
            assert await idle.reader.read() == b""
    async with raw(server) as idle, asyncio.timeout(WAIT_S):
        assert await idle.reader.read() == b""


async def test_who_is_in_time(tmp_path: Path) -> None:
    """Who has sent its request in time is not touched later, as a WebSocket or between two requests."""
    async with own(tmp_path, server={"handshake_timeout_s": 0.2}) as server:
        async with talking(server) as talk, raw(server) as peer:
            async with past_the_timeout(server):
                peer.send(HEAD)
                peer.send(b"\r\n")
                assert b"200 OK" in await peer.reader.readuntil(b"\r\n\r\n")
            await talk.ask("ping")
            peer.send(WHOLE)
            async with asyncio.timeout(WAIT_S):
                assert b"200 OK" in await peer.reader.readuntil(b"HTTP/1.1 200 OK")
        assert not len(server.unfinished)


async def test_who_says_in_time_who_it_is(tmp_path: Path) -> None:
    """A connection that authenticates in time stays; one that came later and does not is closed."""
    async with own(tmp_path, server={"auth_timeout_s": 0.2}) as server, talking(server, token=None) as talk:
        await talk.ask("auth", token=sign(server))
        async with talking(server, token=None) as silent:
            code, said = await silent.closed()
            assert (code, said[0].code) == (1008, "auth_required")
        await talk.ask("ping")
        assert not len(server.connections.unauthenticated)


# Who is still there.


def deafen(peer: socket.socket) -> None:
    """Discard every packet that comes for a socket, as a cable that was pulled out does: a filter takes none."""
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    peer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(instruction)))


async def test_a_peer_that_is_gone(tmp_path: Path) -> None:
    """A peer that is gone without a word is found out; one that does not read, or has nothing to read, stays."""
    async with (
        own(tmp_path, hub={"heartbeat_s": 0.2}) as server,
        talking(server) as live,
        raw(server, receive_bytes=4_096) as stalled,
        raw(server) as gone,
    ):
        await stalled.open(server)
        fill(newest(server))
        await gone.open(server)
        sock = gone.writer.get_extra_info("socket")
        with socket.socket(fileno=sock.fileno()) as view:
            deafen(view)
            view.detach()
        assert len(server.connections.open) == 3
        await until(lambda: len(server.connections.open) == 2)
        assert (counted(server, "peer_gone"), counted(server, "stalled")) == (1, 0)
        assert newest(server).paused
        await live.ask("ping")


async def test_a_peer_that_reads_again(tmp_path: Path) -> None:
    """A peer that has taken nothing for too long is told so, if it reads again at last."""
    config = make_config(tmp_path, hub={"heartbeat_s": 0.2, "outbox_bytes_max": 10_000}, server={"stall_s": 1})
    async with app.running(config) as server, raw(server, receive_bytes=4_096) as peer:
        await peer.open(server)
        fill(newest(server))
        await until(lambda: counted(server, "stalled"))
        *_, message, end = await peer.rest()
        assert isinstance(message, Text)
        assert decode_json(message.payload)[0].code == "stalled"
        assert end == Close(4000, "stalled")
        assert counted(server, "peer_gone") == 0


async def test_what_the_kernel_tells(tmp_path: Path) -> None:
    """The kernel's figures can be read of the server's own end of a connection."""
    async with own(tmp_path) as server, talking(server) as talk:
        await talk.ask("ping")
        transport = newest(server)._transport
        assert transport is not None
        assert tcp_info(transport.get_extra_info("socket"))[0] == 1  # established


class Swept:
    """Stands for a connection; a sweep over it takes a while."""

    def __init__(self, seen: list["Swept"]) -> None:
        self._seen = seen

    def sweep(self, now_s: float) -> None:
        self._seen.append(self)


async def sweep_many(count: int) -> tuple[int, int]:
    """Sweep over so many; how many were seen, and how often others had a turn meanwhile."""
    seen: list[Swept] = []
    revocation = Revocation(MemoryStore(), now_ms=lambda: 0)
    listened = SimpleNamespace(listen=lambda _: None)
    service: Any = SimpleNamespace(
        limits=Nothing(),
        now_ms=lambda: 0,
        revocation=revocation,
        tokens=SimpleNamespace(ring=listened),
        permissions=listened,
    )
    async with asyncio.TaskGroup() as tasks:
        shared = Connections(service, tasks)
        connections: Any = {Swept(seen): None for _ in range(count)}
        shared.open = connections
        sweeping = tasks.create_task(shared.sweep())
        turns = 0
        while not sweeping.done():
            await asyncio.sleep(0)
            turns += 1
    return len(seen), turns


class Nothing:
    """Limits that are not asked for."""

    auth_timeout_s = 1.0
    connections_user_max = connections_address_max = outboxes_bytes_max = 0


def test_a_sweep_lets_others_have_their_turn() -> None:
    """A sweep over very many connections holds up nobody: it looks at a few, and lets others go on."""

    async def main() -> None:
        seen, turns = await sweep_many(1_000)
        assert seen == 1_000
        assert turns >= 100

    virtual_time.run(main(), work_s=lambda: 0.0005)


# What is left behind.


async def test_an_upgrade_leaves_no_garbage(tmp_path: Path) -> None:
    """What spoke HTTP is gone with the upgrade, and a connection with its end: the collector has nothing to find."""
    async with own(tmp_path) as server:
        async with talking(server) as talk:
            await talk.ask("ping")
        await until(lambda: not server.connections.open)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                async with talking(server) as talk:
                    await talk.ask("subscribe", target="bench")
                    assert not [each for each in gc.get_objects() if issubclass(type(each), HttpProtocol)]
            await until(lambda: not server.connections.open)
            await asyncio.sleep(0)
            assert not [each for each in gc.get_objects() if issubclass(type(each), WebSocket)]
        finally:
            gc.enable()

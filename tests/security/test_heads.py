"""Requests that are too much, or of two minds about where they end, before anybody knows who asks."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from fire22.gateways.http.protocol import HEAD_BYTES_MAX, PIPELINED_MAX, UNKNOWN_BYTES_MAX, URL_BYTES_MAX
from tests.integration.inside import WAIT_S, make_config, sign, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book."""
    async with app.running(make_config(tmp_path_factory.mktemp("heads"))) as running:
        yield running


async def statuses(server: app.Application, *parts: bytes) -> list[int]:
    """The statuses of all answers to what is sent, up to the end of the connection that the server makes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    try:
        async with asyncio.timeout(WAIT_S):
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            said = await reader.read(-1)
    finally:
        writer.transport.abort()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


def head(*lines: bytes, method: bytes = b"GET", path: bytes = b"/healthz") -> bytes:
    """A request without a body, after which the connection ends."""
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", *lines, b"Connection: close", b"", b""])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head(b"Host: x"), 200),
        (head(b"Host: x", b"A: " + b"a" * (HEAD_BYTES_MAX - 200)), 200),
        (head(b"Host: x", b"A: " + b"a" * HEAD_BYTES_MAX), 431),
        (head(b"Host: x", *[b"A%d: a" % number for number in range(4000)]), 431),
        (head(b"Host: x", path=b"/healthz?" + b"a" * (URL_BYTES_MAX - 20)), 200),
        (head(b"Host: x", path=b"/healthz?" + b"a" * URL_BYTES_MAX), 414),
        (b"GET /" + b"a" * 3_000_000, 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 3_000_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: a\r\n" * 500_000, 431),
        (b"\r\n" * 1_000_000, 431),
        (b"\x16\x03\x01" + bytes(200), 400),
        (head(), 400),
        (head(b"Host: x", b"Host: y"), 400),
        (head(b"Host: x", b"Host: x"), 400),
        (head(b"Host:"), 400),
        (head(b"Host: a b"), 400),
        (head(b"Host: x/../y"), 400),
        (head(b"Host: [::1]:8080"), 200),
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_heads(server: app.Application, request_: bytes, status: int) -> None:
    """A head is bounded whatever it is made of, names one host, and the client sees what was wrong with it."""
    assert await statuses(server, request_) == [status]
    await until(lambda: not server.front.unknown_bytes)


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([b"Content-Length: 5", b"Content-Length: 6"], b"hello!"),
        ([b"Content-Length: 5", b"Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked", b"Content-Length: 5"], b"0\r\n\r\n"),
        ([b"Content-Length: +5"], b"hello"),
        ([b"Content-Length: 5, 5"], b"hello"),
        ([b"Content-Length: -1"], b""),
        ([b"Content-Length: 0x5"], b"hello"),
        ([b"Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
        ([b"Transfer-Encoding : chunked"], b"0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"ffffffffffffffff1\r\nhello\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"5\r\nhelloXX0\r\n\r\n"),
        ([b" folded"], b""),
        ([b"A: b\nTransfer-Encoding: chunked"], b"0\r\n\r\n"),
        ([b"A: \x00"], b""),
    ],
    ids=repr,
)
async def test_smuggling(server: app.Application, lines: list[bytes], body: bytes) -> None:
    """Nothing that another server could read otherwise is answered as a request, nor what stands behind it."""
    first = b"\r\n".join([b"POST /v1/session HTTP/1.1", b"Host: x", *lines, b"", b""]) + body
    answered = await statuses(server, first + HEALTH)
    assert answered[-1] == 400
    assert 200 not in answered


async def test_pipelined_requests_are_answered_in_their_order(server: app.Application) -> None:
    """An upgrade behind a request that is not answered does not overtake it."""
    assert await statuses(server, HEALTH + UPGRADE) == [200, 400]
    assert await statuses(server, HEALTH * (PIPELINED_MAX - 1) + head(b"Host: x")) == [200] * PIPELINED_MAX
    many = await statuses(server, HEALTH * 500)
    assert many == [200] * PIPELINED_MAX + [503]


async def test_bodies_of_those_who_are_not_known(server: app.Application) -> None:
    """A large body is read only for a token that is good, and only where one is taken."""
    large = b"Content-Length: %d" % (UNKNOWN_BYTES_MAX + 1)
    body = b"[" * (UNKNOWN_BYTES_MAX + 1)
    token = b"Authorization: Bearer " + sign(server).encode()
    events = {"method": b"POST", "path": b"/v1/events"}
    assert await statuses(server, head(b"Host: x", large, **events) + body) == [401]
    assert await statuses(server, head(b"Host: x", large, b"Authorization: Bearer x", **events) + body) == [401]
    assert await statuses(server, head(b"Host: x", large, token, **events) + body) == [400]
    for path in (b"/v1/session", b"/nowhere"):
        assert await statuses(server, head(b"Host: x", large, method=b"POST", path=path) + body) == [413]
    chunked = b"Transfer-Encoding: chunked"
    chunks = b"1000\r\n" + b"[" * 0x1000 + b"\r\n"
    for path in (b"/v1/session", b"/nowhere", b"/v1/events"):
        answered = await statuses(server, head(b"Host: x", chunked, method=b"POST", path=path), *[chunks] * 100)
        assert answered[0] in (401, 404, 413), path
    await until(lambda: not server.front.unknown_bytes)


async def test_memory_of_those_who_are_not_known(server: app.Application) -> None:
    """Many connections with heads that never end hold little, and others are served meanwhile."""
    part = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 12_000
    writers = []
    try:
        for _ in range(100):
            _, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
            writer.write(part)
            writers.append(writer)
        await until(lambda: server.front.unknown_bytes >= 100 * 12_000)
        assert server.front.unknown_bytes <= 100 * len(part)
        assert await statuses(server, head(b"Host: x")) == [200]
    finally:
        for writer in writers:
            writer.transport.abort()
    await until(lambda: not server.front.unknown_bytes)

"""Proxies of TCP connections: whose a connection is, over plain text and TLS, and what others make of the header."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect

from fire22 import app
from tests.integration.inside import WAIT_S, make_config, sign, until
from tests.support.authority import Authority

pytestmark = pytest.mark.asyncio
LOOP_FACTORY = uvloop.new_event_loop
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\0\0\0"
PASSED = ("1.2.3.4", "2001:db8::7")
DENIED = ("6.6.6.6", "2001:db8:6::1")
DENY = ["6.6.6.0/24", "2001:db8:6::/48"]


def headers(address: str) -> tuple[bytes, bytes]:
    """Of both versions, for a client."""
    packed = ip_address(address).packed
    family, text = (0x11, "TCP4") if len(packed) == 4 else (0x21, "TCP6")
    body = packed * 2 + struct.pack("!HH", 4711, 443)
    return (
        f"PROXY {text} {address} {address} 4711 443\r\n".encode(),
        SIGNATURE + struct.pack("!BBH", 0x21, family, len(body)) + body,
    )


@contextlib.asynccontextmanager
async def serving(
    folder: Path, *, tls: Authority | None = None, trusted: str = "127.0.0.1", timeout_s: float = 600, **network: Any
) -> AsyncIterator[app.Application]:
    """A server behind a proxy that speaks the PROXY protocol."""
    settings: dict[str, Any] = {"handshake_timeout_s": timeout_s}
    if tls is not None:
        certificate, key = tls.pair("server")
        settings |= {"tls_certificate": str(certificate), "tls_key": str(key)}
    network = {"trusted_proxies": [trusted], "proxy_protocol": True, "deny": DENY} | network
    async with app.running(make_config(folder, server=settings, network=network)) as server:
        yield server


async def asked(
    server: app.Application,
    pieces: list[bytes],
    tls: Authority | None = None,
    *,
    path: str = "/healthz",
    more: str = "",
) -> bytes:
    """The status line of an answer to a request behind these bytes; empty where the connection is closed instead."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode()
    try:
        async with asyncio.timeout(WAIT_S):
            await loop.sock_connect(sock, ("127.0.0.1", server.address.port))
            for piece in pieces:
                await loop.sock_sendall(sock, piece)
                await asyncio.sleep(0)
            context = None if tls is None else tls.client()
            name = None if tls is None else "127.0.0.1"
            reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name)
            writer.write(request)
            line = await reader.readline()
            writer.transport.abort()
            return line.rstrip()
    except OSError:
        sock.detach()  # the loop has closed it
        return b""


@pytest.mark.parametrize("secure", [False, True])
async def test_whose_a_connection_is(tmp_path: Path, secure: bool) -> None:
    """The client that the proxy names is judged, by both versions and families, also where its TLS comes behind."""
    tls = Authority(tmp_path) if secure else None
    async with serving(tmp_path / "data", tls=tls) as server:
        for address in (*PASSED, *DENIED):
            status = b"HTTP/1.1 200 OK" if address in PASSED else b"HTTP/1.1 403 Forbidden"
            for header in headers(address):
                assert await asked(server, [header], tls) == status
                assert await asked(server, [header[at : at + 1] for at in range(len(header))], tls) == status
        # What a client writes into headers of HTTP changes nothing: its own address is no trusted proxy's.
        for more in ("X-Forwarded-For: 1.1.1.1\r\n", "Forwarded: for=1.1.1.1\r\n"):
            assert await asked(server, [headers(DENIED[0])[0]], tls, more=more) == b"HTTP/1.1 403 Forbidden"
        assert await asked(server, [LOCAL], tls) == b"HTTP/1.1 200 OK"


async def test_a_role_and_a_websocket(tmp_path: Path) -> None:
    """A WebSocket has the client's address too: roles that are bound to networks hold, and the audit has it."""
    async with serving(tmp_path, roles={"admin": ["10.1.0.0/16"]}) as server:
        for address, allowed in (("10.1.2.3", True), ("8.8.8.8", False)):
            sock = socket.create_connection(("127.0.0.1", server.address.port))
            sock.sendall(headers(address)[1])
            sock.setblocking(False)
            bearer = {"authorization": f"Bearer {sign(server)}"}
            url = server.address.url.replace("http", "ws") + "/v1/ws"
            async with connect(url, sock=sock, additional_headers=bearer, proxy=None) as talk:
                if allowed:
                    await until(lambda: any(each.peer == "10.1.2.3" for each in server.connections.open))
                else:
                    assert "address_forbidden" in str(await talk.recv())


async def test_operations_through_a_proxy_on_this_machine(tmp_path: Path) -> None:
    """Who came through a proxy is not this machine, whatever address is named: metrics stay closed."""
    async with serving(tmp_path) as server:
        for header in (*headers("127.0.0.1"), LOCAL):
            assert await asked(server, [header], path="/metrics") == b"HTTP/1.1 401 Unauthorized"


@pytest.mark.parametrize("secure", [False, True])
async def test_a_proxy_that_does_not_say(tmp_path: Path, secure: bool) -> None:
    """Without a header, or with one that is malformed, too long or names no TCP client, the proxy is not served."""
    tls = Authority(tmp_path) if secure else None
    async with serving(tmp_path / "data", tls=tls) as server:
        for header in (
            b"",
            b"PROXY UNKNOWN\r\n",
            b"PROXY " + b"a" * 4096,
            SIGNATURE + b"\x21\0\0\0",
            SIGNATURE + b"\x20\0\xff\xff",
        ):
            assert await asked(server, [header] if header else [], tls) == b""
        assert await asked(server, [headers(PASSED[0])[0]], tls) == b"HTTP/1.1 200 OK"


async def test_a_stranger_with_a_header(tmp_path: Path) -> None:
    """Who is no trusted proxy cannot say who it is: it is served by its own address without a header, else refused."""
    async with serving(tmp_path, trusted="192.0.2.1") as server:
        assert await asked(server, []) == b"HTTP/1.1 200 OK"
        for header in headers(PASSED[0]):
            assert await asked(server, [header]) == b"HTTP/1.1 400 Bad Request"
    async with serving(tmp_path, trusted="192.0.2.1", deny=["127.0.0.1"]) as server:
        assert await asked(server, []) == b"HTTP/1.1 403 Forbidden"


async def test_a_late_header(tmp_path: Path) -> None:
    """A proxy that begins a header and does not end it is let go of in time, and holds nobody up meanwhile."""
    async with serving(tmp_path, timeout_s=0.5) as server:
        readers = []
        for begun in (b"", b"PROXY TCP4 1.2", SIGNATURE):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
            writer.write(begun)
            readers.append((reader, writer))
        assert await asked(server, [headers(PASSED[0])[1]]) == b"HTTP/1.1 200 OK"
        async with asyncio.timeout(WAIT_S):
            for reader, writer in readers:
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
                writer.close()


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_slow_handshake(tmp_path: Path, proxied: bool) -> None:
    """Who connects and does not finish a TLS handshake holds its socket no longer than a request may take to come."""
    tls = Authority(tmp_path)
    async with serving(tmp_path / "data", tls=tls, timeout_s=0.5, proxy_protocol=proxied) as server:
        before = headers(PASSED[0])[0] if proxied else b""
        hello = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.client().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
        for begun in (b"", hello.read()[:50]):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
            writer.write(before + begun)
            async with asyncio.timeout(WAIT_S):
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
            writer.close()

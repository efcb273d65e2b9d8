"""The server's own TLS: HTTP and WebSocket over it, what a browser is told, and a renewal beside open connections."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest
import pytest_asyncio
import uvloop
import websockets.asyncio.client as websockets

from fire22 import app
from fire22.client import ConnectionEnded, connect
from fire22.core.event import Event
from fire22.core.message import Json
from fire22.gateways.sign_in import DEVICE_COOKIE, HOST_PREFIX, SESSION_COOKIE
from fire22.security.sessions import SessionSecret, csrf_of
from tests.integration.inside import WAIT_S, bench_event, make_config, sign
from tests.support.authority import Authority

pytestmark = pytest.mark.asyncio
LOOP_FACTORY = uvloop.new_event_loop


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the clients trust."""
    return Authority(tmp_path)


@pytest_asyncio.fixture
async def server(tmp_path: Path, authority: Authority) -> AsyncIterator[app.Application]:
    """A server with a certificate."""
    certificate, key = authority.pair("server")
    tls = {"tls_certificate": str(certificate), "tls_key": str(key)}
    async with app.running(make_config(tmp_path / "data", server=tls)) as server:
        yield server


def event(id: str, data: Json) -> Event:
    """For the open topic."""
    return msgspec.json.decode(msgspec.json.encode(bench_event(id, data)), type=Event)


async def shown(server: app.Application, client: ssl.SSLContext) -> bytes:
    """The certificate that a new connection is shown."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port, ssl=client)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    assert isinstance(found, bytes)
    assert reader is not None
    return found


async def test_http_and_websocket(server: app.Application, authority: Authority) -> None:
    """A program publishes over a WebSocket and reads over HTTP, both over TLS, and nothing is answered without it."""
    assert server.address.url.startswith("https://127.0.0.1:")
    assert server.link().startswith(server.address.url)
    token = sign(server)
    async with connect(server.address.url, token=token, proxy=None, tls=authority.client()) as client:
        stream = client.subscribe("bench")
        await client.wait_live()
        await client.publish(event("over-tls", {"n": 1}))
        async with asyncio.timeout(WAIT_S):
            assert (await anext(aiter(stream))).data == {"n": 1}
    async with httpx2.AsyncClient(base_url=server.address.url, verify=authority.client(), timeout=WAIT_S) as http:
        answer = await http.get("/v1/session", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200
    plain = server.address.url.replace("https", "http")
    async with httpx2.AsyncClient(base_url=plain, timeout=WAIT_S) as http:
        with pytest.raises(httpx2.TransportError):
            await http.get("/healthz")


async def test_a_stranger_is_not_trusted(server: app.Application) -> None:
    """The client library connects to no server whose certificate nobody vouches for."""
    with pytest.raises(ConnectionEnded) as ended:
        async with connect(server.address.url, token=sign(server), proxy=None, attempts_max=1) as client:
            await client.wait_live()
    assert ended.value.code.name == "unreachable"
    assert "certificate verify failed" in str(ended.value)


async def test_an_old_version(server: app.Application, authority: Authority) -> None:
    """A client that speaks no newer version than TLS 1.1 is refused."""
    client = authority.client()
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        client.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning):
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        await shown(server, client)  # it sees the alert, or the end of the connection
    assert await shown(server, authority.client())


async def test_what_a_browser_is_told(server: app.Application, authority: Authority) -> None:
    """A browser comes back over TLS alone, and keeps its cookies to it."""
    code = server.link().partition("#code=")[2]
    async with httpx2.AsyncClient(base_url=server.address.url, verify=authority.client(), timeout=WAIT_S) as http:
        for path in ("/", "/healthz", "/v1/session", "/none"):
            assert (await http.get(path)).headers["strict-transport-security"].startswith("max-age=31536000")
        headers = {"origin": server.address.url}
        answer = await http.post("/v1/session", json={"code": code}, headers=headers)
        assert answer.status_code == 200, answer.text
        cookies = answer.headers.get_list("set-cookie")
        assert cookies
        for each in cookies:
            assert each.startswith((HOST_PREFIX + SESSION_COOKIE, HOST_PREFIX + DEVICE_COOKIE))
            assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= {part.strip() for part in each.split(";")}
        assert (await http.get("/v1/session")).status_code == 200


async def test_a_refusal_is_seen(server: app.Application, authority: Authority) -> None:
    """A client that sends on and on learns over TLS too why it is refused, and is then let go."""
    async with asyncio.timeout(WAIT_S):
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port, ssl=authority.client())
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * (1 << 20))
            assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
            with contextlib.suppress(OSError):
                while await reader.read(1 << 16):
                    pass
            writer.transport.abort()


async def test_a_page_that_came_in_plain_text(server: app.Application, authority: Authority) -> None:
    """Whoever is on the way can serve a page at the same host over HTTP: it is another page, and so are its cookies."""
    trusted, url = authority.client(), server.address.url
    async with httpx2.AsyncClient(base_url=url, verify=trusted, timeout=WAIT_S) as http:
        code = server.link().partition("#code=")[2]
        signed = await http.post("/v1/session", json={"code": code}, headers={"origin": url})
        secret = signed.cookies[HOST_PREFIX + SESSION_COOKIE]
        http.cookies.clear()
        held = {"cookie": f"{HOST_PREFIX}{SESSION_COOKIE}={secret}", "x-csrf-token": csrf_of(SessionSecret(secret))}
        plain = held | {"origin": url.replace("https", "http")}
        answer = await http.delete("/v1/sessions", headers=plain)
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_forbidden")
        socket_url = url.replace("http", "ws") + "/v1/ws"
        headers = {name: plain[name] for name in ("cookie", "origin")}
        async with websockets.connect(socket_url, additional_headers=headers, ssl=trusted, proxy=None) as socket:
            assert "origin_forbidden" in str(await socket.recv())
        fixed = {"cookie": f"{SESSION_COOKIE}={secret}"}
        assert (await http.get("/v1/session", headers=fixed)).status_code == 401
        assert (await http.get("/v1/session", headers={"cookie": held["cookie"]})).status_code == 200
        assert (await http.delete("/v1/sessions", headers=held | {"origin": url})).status_code == 204


async def test_a_renewal(server: app.Application, authority: Authority) -> None:
    """A new certificate is shown to who connects then; who is connected stays so."""
    trusted = authority.client()
    async with connect(server.address.url, token=sign(server), proxy=None, tls=trusted, attempts_max=1) as client:
        await client.wait_live()
        before = await shown(server, trusted)
        authority.pair("server")
        async with asyncio.timeout(WAIT_S):
            while await shown(server, trusted) == before:
                await asyncio.sleep(0.05)
        await client.publish(event("after-it", None))

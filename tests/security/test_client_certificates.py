"""Client certificates: a machine is who its certificate says, on each transport, for as long as both are good."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop
from websockets.asyncio.client import connect

from fire22 import app
from fire22.security.client_certificate import ClientCertificate
from tests.integration.inside import WAIT_S, make_config, sign
from tests.support.authority import Authority

pytestmark = pytest.mark.asyncio
LOOP_FACTORY = uvloop.new_event_loop
HOUR_MS = 3_600_000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the server and its clients trust."""
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def serving(folder: Path, authority: Authority, **server: Any) -> AsyncIterator[app.Application]:
    """A server that takes client certificates, with a machine `feed`."""
    certificate, key = authority.pair("server")
    tls = {"tls_certificate": str(certificate), "tls_key": str(key), "tls_client_ca": str(authority.file)}
    async with app.running(make_config(folder / "data", server=tls | server)) as running:
        await add(running)
        yield running


async def add(server: app.Application) -> None:
    """The machine."""
    await server.machines.create(
        "feed",
        purpose="tests",
        role="auditor",
        scope="/",
        expires_ms=app.now_ms() + HOUR_MS,
        created_by="staff:ann",
    )


async def asked(server: app.Application, client: ssl.SSLContext, headers: dict[str, str] | None = None) -> str:
    """Who the server says asks over HTTP; else its code, or `refused` by the handshake."""
    try:
        async with httpx2.AsyncClient(base_url=server.address.url, verify=client, timeout=WAIT_S) as http:
            answer = await http.get("/v1/history/bench", headers=headers)
    except httpx2.TransportError:
        return "refused"
    return "ok" if answer.status_code == 200 else str(answer.json()["code"])


@contextlib.asynccontextmanager
async def talking(server: app.Application, client: ssl.SSLContext) -> AsyncIterator[Any]:
    """A WebSocket that brings nothing but the certificate."""
    url = server.address.url.replace("http", "ws") + "/v1/ws"
    async with connect(url, ssl=client, proxy=None) as socket:
        yield socket


async def test_a_machine(tmp_path: Path, authority: Authority) -> None:
    """A machine asks over HTTP and WebSocket by its certificate alone; a token goes first."""
    async with serving(tmp_path, authority) as server:
        client = authority.client("feed")
        assert await asked(server, client) == "ok"
        async with talking(server, client) as socket, asyncio.timeout(WAIT_S):
            await socket.send('{"id":1,"command":"ping"}')
            assert '"reply"' in str(await socket.recv())
            (held,) = server.connections.open
            assert held.principal is not None
            assert (held.principal.user, held.principal.role) == ("machine:feed", "auditor")
        assert await asked(server, client, {"authorization": f"Bearer {sign(server)}"}) == "ok"
        assert await asked(server, client, {"authorization": "Bearer nonsense"}) == "token_invalid"
        # People go on without one.
        assert await asked(server, authority.client(), {"authorization": f"Bearer {sign(server)}"}) == "ok"
        assert await asked(server, authority.client()) == "auth_required"


async def test_a_name_is_no_token(tmp_path: Path, authority: Authority) -> None:
    """Who writes a machine's name where a token stands is nobody."""
    async with serving(tmp_path, authority) as server:
        assert await asked(server, authority.client(), {"authorization": "Bearer feed"}) == "token_invalid"


async def test_a_browser(tmp_path: Path, authority: Authority) -> None:
    """A browser shows its certificate to whatever any page asks for: it counts for nothing there."""
    async with serving(tmp_path, authority) as server:
        client = authority.client("feed")
        for headers in (
            {"origin": server.address.url},
            {"origin": "https://elsewhere.example"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-origin"},
        ):
            assert await asked(server, client, headers) == "auth_required"


async def test_who_is_refused(tmp_path: Path, authority: Authority) -> None:
    """A certificate of another authority or an expired one ends the handshake; one of no machine is nobody's."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    async with serving(tmp_path, authority) as server:
        stranger = authority.client()
        stranger.load_cert_chain(*other.pair("feed", common="feed"))
        assert await asked(server, stranger) == "refused"
        assert await asked(server, authority.client("feed", days=-0.5)) == "refused"
        assert await asked(server, authority.client("unknown")) == "token_invalid"
        assert await asked(server, authority.client("feed")) == "ok"
    async with serving(tmp_path / "required", authority, tls_client_required=True) as server:
        assert await asked(server, authority.client()) == "refused"
        assert await asked(server, authority.client("feed")) == "ok"


async def test_a_removed_machine(tmp_path: Path, authority: Authority) -> None:
    """When a machine is removed, its certificate ends at once: on what is open, and for what comes."""
    async with serving(tmp_path, authority) as server:
        client = authority.client("feed")
        async with talking(server, client) as socket, asyncio.timeout(WAIT_S):
            await socket.send('{"id":1,"command":"ping"}')
            assert '"reply"' in str(await socket.recv())
            await server.machines.revoke("feed", "/")
            assert "token_revoked" in str(await socket.recv())
        assert await asked(server, client) == "token_invalid"


async def test_an_end(tmp_path: Path, authority: Authority) -> None:
    """A connection is open no longer than the certificate is good, however long the machine's row is."""
    async with serving(tmp_path, authority) as server:
        client = authority.client("feed", days=4 / 86_400)
        async with talking(server, client) as socket, asyncio.timeout(WAIT_S):
            (held,) = server.connections.open
            assert held.principal is not None
            ends_ms = held.principal.expires_ms
            assert "token_expired" in str(await socket.recv())
            assert ends_ms <= app.now_ms()
        assert await asked(server, client) == "refused"
        principal = server.machines.recognise(ClientCertificate("feed", app.now_ms() + 2 * HOUR_MS))
        assert principal.expires_ms < app.now_ms() + HOUR_MS + 1


async def test_other_authorities(tmp_path: Path, authority: Authority) -> None:
    """The authorities are exchanged beside a running server: who they vouch for comes in, and nobody else."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    ca = tmp_path / "clients.pem"
    ca.write_bytes(authority.file.read_bytes())
    async with serving(tmp_path, authority, tls_client_ca=str(ca)) as server:
        before, after = authority.client("feed"), authority.client()
        after.load_cert_chain(*other.pair("feed", common="feed"))
        assert (await asked(server, before), await asked(server, after)) == ("ok", "refused")
        ca.write_bytes(other.file.read_bytes())
        async with asyncio.timeout(WAIT_S):
            while await asked(server, after) != "ok":
                await asyncio.sleep(0.05)
        assert await asked(server, before) == "refused"

"""Who connects, from where: spoofed headers of proxies, lists of addresses, and what operators alone may read."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from fire22 import app
from fire22.security.sessions import SessionSecret, csrf_of
from tests.integration.inside import make_config, sign

pytestmark = pytest.mark.asyncio
LOOP_FACTORY = uvloop.new_event_loop
OFFICE = "https://office.example.com"


@contextlib.asynccontextmanager
async def serving(folder: Path, **network: Any) -> AsyncIterator[tuple[app.Application, httpx2.AsyncClient]]:
    """A server with these settings of the network, and a client of it."""
    async with (
        app.running(make_config(folder, network=network)) as server,
        httpx2.AsyncClient(base_url=server.address.url, timeout=60) as client,
    ):
        yield server, client


async def opens(server: app.Application, headers: dict[str, str]) -> int:
    """The status that the handshake of a WebSocket is answered with."""
    url = server.address.url.replace("http", "ws") + "/v1/ws"
    try:
        async with connect(url, additional_headers=headers, proxy=None):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


async def test_operations_behind_a_proxy_on_this_machine(tmp_path: Path) -> None:
    """What tells how the server is answers this machine and operators' tokens, and no client of a proxy here."""
    async with serving(tmp_path) as (server, client):
        for path in ("/metrics", "/readyz"):
            assert (await client.get(path)).status_code == 200
            assert (await client.get(path, headers={"host": "rebound.example"})).status_code == 401
            for name in ("x-forwarded-for", "forwarded", "x-real-ip", "via"):
                assert (await client.get(path, headers={name: "127.0.0.1"})).status_code == 401
            for role, status in (("admin", 200), ("agent", 403)):
                headers = {"x-forwarded-for": "8.8.8.8", "authorization": f"Bearer {sign(server, role=role)}"}
                assert (await client.get(path, headers=headers)).status_code == status
        assert (await client.get("/healthz", headers={"x-forwarded-for": "8.8.8.8"})).status_code == 200


async def test_spoofed_addresses(tmp_path: Path) -> None:
    """A client cannot choose the address by which it is judged: neither without a trusted proxy nor through one."""
    async with serving(tmp_path / "bare", deny=["127.0.0.0/8"]) as (server, client):
        for headers in ({}, {"x-forwarded-for": "10.0.0.1"}, {"forwarded": "for=10.0.0.1"}):
            answer = await client.get("/healthz", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "address_forbidden")
            assert await opens(server, headers) == 403
    network = {"trusted_proxies": ["127.0.0.1"], "deny": ["6.6.6.0/24"]}
    async with serving(tmp_path / "proxy", **network) as (server, client):
        for listed, status in (("6.6.6.6", 403), ("10.0.0.1, 6.6.6.6", 403), ("6.6.6.6, 10.0.0.1", 200)):
            for headers in ({"x-forwarded-for": listed}, {"x-forwarded-for": listed, "forwarded": "for=1.1.1.1"}):
                assert (await client.get("/healthz", headers=headers)).status_code == status
                assert await opens(server, headers) == (101 if status == 200 else 403)


async def test_roles_by_address(tmp_path: Path) -> None:
    """A role is used from its own networks alone, on every transport."""
    network = {"trusted_proxies": ["127.0.0.1"], "roles": {"admin": ["10.1.0.0/16"]}}
    async with serving(tmp_path, **network) as (server, client):
        for address, allowed in (("10.1.2.3", True), ("8.8.8.8", False)):
            headers = {"x-forwarded-for": address, "authorization": f"Bearer {sign(server, role='admin')}"}
            answer = await client.get("/v1/session", headers=headers)
            assert (answer.status_code, answer.json().get("code")) == (
                (200, None) if allowed else (403, "address_forbidden")
            )
            url = server.address.url.replace("http", "ws") + "/v1/ws"
            async with connect(url, additional_headers=headers, proxy=None) as socket:
                assert ("address_forbidden" in str(await socket.recv())) is not allowed
        other = {"x-forwarded-for": "8.8.8.8", "authorization": f"Bearer {sign(server, role='auditor')}"}
        assert (await client.get("/v1/session", headers=other)).status_code == 200


async def test_origins(tmp_path: Path) -> None:
    """Pages that are listed may use the session cookie; all others are refused."""
    async with serving(tmp_path, origins=[OFFICE]) as (server, client):
        code = server.link().partition("#code=")[2]
        signed = await client.post("/v1/session", json={"code": code}, headers={"origin": OFFICE})
        assert signed.status_code == 200
        cookie = "; ".join(part.partition(";")[0] for part in signed.headers.get_list("set-cookie"))
        held = {"cookie": cookie, "x-csrf-token": csrf_of(SessionSecret(cookie.partition("=")[2].partition(";")[0]))}
        for origin, status in (("https://evil.example.com", 403), (OFFICE, 204)):
            answer = await client.delete("/v1/sessions", headers=held | {"origin": origin})
            assert answer.status_code == status

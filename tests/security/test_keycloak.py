"""Signing in with Keycloak as it is released; `make test-keycloak` fetches it and runs this."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
import pytest

from fire22 import app
from tests.integration.inside import make_config, talking
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, Browser, gone, held, trusting, who

pytestmark = [pytest.mark.keycloak, pytest.mark.timeout(600)]

HOME: Final = Path(os.environ.get("FIRE22_KEYCLOAK", ""))
START_S: Final = 300
REALM: Final = "book"
USERS: Final = {"ann": ["traders"], "bob": ["agent-m1", "traders"], "eve": []}


def realm(url: str) -> dict[str, Any]:
    """The realm: who is in which group, and what Keycloak knows of the server."""
    mapper = {
        "name": "groups",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": {"full.path": "false", "claim.name": "groups", "userinfo.token.claim": "true"},
    }
    client = {
        "clientId": CLIENT_ID,
        "secret": CLIENT_SECRET,
        "redirectUris": [f"{url}/v1/oidc/callback"],
        "attributes": {
            "pkce.code.challenge.method": "S256",
            "backchannel.logout.url": f"{url}/v1/oidc/logout",
            "backchannel.logout.session.required": "true",
        },
        "protocolMappers": [mapper],
    }
    users = [
        {
            "username": name,
            "enabled": True,
            "email": f"{name}@book.example",
            "emailVerified": True,
            "firstName": name,
            "lastName": name,
            "groups": [f"/{group}" for group in groups],
            "credentials": [{"type": "password", "value": "any"}],
        }
        for name, groups in USERS.items()
    ]
    groups = [{"name": name} for name in ("traders", "agent-m1")]
    return {"realm": REALM, "enabled": True, "clients": [client], "groups": groups, "users": users}


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def keycloak(port: int, url: str) -> AsyncIterator[None]:
    """Keycloak with the realm, in memory."""
    folder = HOME / "data" / "import"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{REALM}.json").write_bytes(msgspec.json.encode(realm(url)))
    process = await asyncio.create_subprocess_exec(
        str(HOME / "bin" / "kc.sh"),
        "start-dev",
        "--db=dev-mem",
        "--http-host=127.0.0.1",
        f"--http-port={port}",
        "--import-realm",
        stdout=asyncio.subprocess.DEVNULL,
        env=os.environ | {"JAVA_OPTS_APPEND": "-Xmx512m"},
    )
    try:
        async with asyncio.timeout(START_S), httpx2.AsyncClient() as client:
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    address = f"http://127.0.0.1:{port}/realms/{REALM}/.well-known/openid-configuration"
                    if (await client.get(address)).status_code == 200:
                        break
                assert process.returncode is None, "Keycloak has ended"
                await asyncio.sleep(0.5)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def test_sign_in_groups_and_logout_with_keycloak(tmp_path: Path) -> None:
    """Who is in a group signs in, who is in none is refused, and a logout there ends the session here at once."""
    assert (HOME / "bin" / "kc.sh").exists(), "make test-keycloak fetches Keycloak and says where it is"
    port = free_port()
    issuer = f"http://127.0.0.1:{port}/realms/{REALM}"
    config = make_config(tmp_path / "data", oidc=trusting(issuer, tmp_path / "secret", user_claim="preferred_username"))
    async with app.running(config) as server, keycloak(port, server.address.url):
        async with Browser(server) as browser:
            assert (await browser.sign_in("bob")).status_code == 200
            assert (await who(browser))[:3] == ("bob", "agent", "/M1")
        async with Browser(server) as browser:
            answer = await browser.sign_in("eve")
            assert (answer.status_code, await who(browser)) == (403, ("auth_required",))
        async with Browser(server) as browser:
            assert (await browser.sign_in("ann")).status_code == 200
            assert (await who(browser))[:3] == ("ann", "risk", "/")
            async with talking(server, token=None, headers=held(browser)) as talk:
                await talk.ask("ping")
                await browser.sign_out_at(f"{issuer}/protocol/openid-connect/logout")
                await gone(talk)
            assert await who(browser) == ("token_invalid",)

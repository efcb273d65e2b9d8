"""A real OpenID provider in a process of its own (npm `oidc-provider`), and a browser that signs in with it."""

import asyncio
import contextlib
import html
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import httpx2
import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import RSAKey
from msgspec import Struct
from websockets.exceptions import ConnectionClosed

from fire22 import app
from fire22.gateways.sign_in import SESSION_COOKIE
from tests.integration.inside import WAIT_S, Talk, make_config

FOLDER: Final = Path(__file__).parents[1] / "oidc"
CLIENT_ID: Final = "fire22"
CLIENT_SECRET: Final = "a secret of the tests, of no use elsewhere"
STEPS_MAX: Final = 20
ACCOUNTS: Final[Mapping[str, Mapping[str, object]]] = {
    "ann": {"name": "Ann", "preferred_username": "ann.trader", "groups": ["everybody", "traders"]},
    "bob": {"name": "Bob", "preferred_username": "M1", "groups": ["agent-m1", "traders"]},
    "eve": {"name": "Eve", "preferred_username": "eve", "groups": ["everybody"]},
    "old": {"name": "Old", "preferred_username": "old"},
}


class Provider:
    """The provider's process.

    Attributes:
        issuer: its address.
        key: that it signs with, so that a test can sign what it would not.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.issuer = ""
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})

    async def tell(self, command: str, wanted: object) -> dict[str, Any]:
        """Have it do something; its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode({command: wanted}) + b"\n")
        async with asyncio.timeout(WAIT_S):
            line = await self._process.stdout.readline()
        return msgspec.json.decode(line, type=dict[str, Any])

    async def serve(self, url: str, *, in_id_token: bool = False, **client: object) -> None:
        """Begin to answer as a provider that knows a server.

        Args:
            url: of the server.
            in_id_token: whether the ID token has what else only the userinfo endpoint tells.
            client: what is registered about the server beside the usual.
        """
        registered = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [f"{url}/v1/oidc/callback"],
            "backchannel_logout_uri": f"{url}/v1/oidc/logout",
            "backchannel_logout_session_required": True,
        }
        jwks = {"keys": [self.key.as_dict(private=True)]}
        wanted = {"client": registered | client, "jwks": jwks, "accounts": ACCOUNTS, "inIdToken": in_id_token}
        await self.tell("serve", wanted)

    def sign(self, claims: Mapping[str, object], **header: str) -> str:
        """A token by the provider's key."""
        return signed(claims, self.key, **header)

    async def end(self) -> None:
        """End the process."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


def signed(claims: Mapping[str, object], key: RSAKey, **header: str) -> str:
    """A token by a key, under the name of the provider's."""
    protected = {"alg": "RS256", "kid": "one"} | header
    return jws.serialize_compact(protected, msgspec.json.encode(claims), key, algorithms=["RS256"])


@contextlib.asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """A provider that listens and does not answer yet; the test is skipped where it cannot run."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "oidc-provider").is_dir():
        pytest.skip("no OpenID provider; apt-get install -y nodejs npm; (cd tests/oidc && npm ci)")
    process = await asyncio.create_subprocess_exec(
        node,
        "provider.js",
        cwd=FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    provider = Provider(process)
    try:
        provider.issuer = (await provider.tell("listen", True))["issuer"]
        yield provider
    finally:
        await provider.end()


def trusting(issuer: str, secret_file: Path, **more: object) -> dict[str, object]:
    """The section of the configuration of a server that trusts a provider."""
    secret_file.write_text(CLIENT_SECRET)
    groups = [
        {"group": "agent-m1", "role": "agent", "scope": "/M1"},
        {"group": "traders", "role": "risk", "scope": "/"},
    ]
    section = {"issuer": issuer, "name": "Test", "client_id": CLIENT_ID, "client_secret_file": str(secret_file)}
    return section | {"groups": groups} | more


class Browser:
    """Follows redirects and fills in the provider's forms, as a person would; it keeps cookies."""

    def __init__(self, server: app.Application) -> None:
        self.url = server.address.url
        self.client = httpx2.AsyncClient(timeout=WAIT_S, event_hooks={"response": [self._keep_secure]})

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def _keep_secure(self, _: httpx2.Response) -> None:
        """Browsers take a loopback address for secure, and send it cookies that are; the test's client would not."""
        for cookie in self.client.cookies.jar:
            cookie.secure = False

    async def go(self, path: str, **headers: str) -> httpx2.Response:
        """Ask the server for something."""
        return await self.client.get(self.url + path, headers=headers)

    async def begin(self) -> str:
        """Begin to sign in; the address at the provider."""
        answer = await self.go("/v1/oidc/start")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def at_provider(self, address: str, name: str, *, home: str = "") -> str:
        """Sign in at the provider; the address of the server, or of `home`, that it sends the browser to."""
        answer = await self.client.get(address)
        for _ in range(STEPS_MAX):
            here = str(answer.url)
            if "location" in answer.headers:
                there = urljoin(here, answer.headers["location"])
                if there.startswith(home or self.url):
                    return there
                answer = await self.client.get(there)
            else:
                answer = await self.client.post(urljoin(here, _action(answer.text)), data=_filled(answer.text, name))
        raise AssertionError(f"the provider does not send anybody back: {answer.text}")

    async def sign_in(self, name: str) -> httpx2.Response:
        """Sign in; how the server answers in the end."""
        return await self.client.get(await self.at_provider(await self.begin(), name))

    async def sign_out_at(self, address: str) -> None:
        """Sign out at the provider, by the page of this address."""
        answer = await self.client.get(address)
        sent = _fields(answer.text) | {"logout": "yes"}
        answer = await self.client.post(urljoin(address, _action(answer.text)), data=sent)
        assert answer.status_code in (200, 303), answer.text


def _filled(form: str, name: str) -> dict[str, str]:
    """What a person sends by a form: its hidden fields, the own name, and any password."""
    fields = _fields(form)
    return fields | {
        field: value
        for field, value in (("login", name), ("username", name), ("password", "any"))  # pragma: allowlist secret
        if f'name="{field}"' in form
    }


def _fields(form: str) -> dict[str, str]:
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    return dict(hidden)


def _action(form: str) -> str:
    found = re.search(r'action="([^"]+)"', form)
    assert found is not None, form
    return html.unescape(found[1])


class World(Struct):
    """A provider, and a server that trusts it."""

    provider: Provider
    server: app.Application

    def browser(self) -> Browser:
        """A browser that nobody has used yet."""
        return Browser(self.server)


@contextlib.asynccontextmanager
async def world_of(folder: Path, *, in_id_token: bool = False, **more: object) -> AsyncIterator[World]:
    """A world of its own."""
    async with providing() as provider:
        config = make_config(folder / "data", oidc=trusting(provider.issuer, folder / "secret", **more))
        async with app.running(config) as server:
            await provider.serve(str(more.get("url") or server.address.url), in_id_token=in_id_token)
            yield World(provider, server)


async def who(browser: Browser) -> tuple[Any, ...]:
    """Whom the server takes a browser for: name, role, scope, and the id of its session."""
    answer = await browser.go("/v1/session")
    if answer.status_code != 200:
        return (answer.json()["code"],)
    said = answer.json()
    [own] = [each for each in (await browser.go("/v1/sessions")).json()["sessions"] if each["current"]]
    assert own["how"] == "provider"
    return said["subject"], said["role"], said["scope"], own["id"]


async def gone(talk: Talk) -> None:
    """Until a connection has ended."""
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(ConnectionClosed):
            while True:
                await talk.receive()


def held(browser: Browser) -> dict[str, str]:
    """The headers of a WebSocket that a browser opens."""
    cookie = browser.client.cookies[SESSION_COOKIE]
    return {"Cookie": f"{SESSION_COOKIE}={cookie}", "Origin": str(browser.url)}

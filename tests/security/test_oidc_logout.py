"""A real OpenID provider tells who has signed out (OpenID Connect Back-Channel Logout 1.0), and others try to."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop
from joserfc.jwk import RSAKey

from fire22 import app
from fire22.gateways.sign_in import SESSION_COOKIE
from fire22.security.oidc import LOGOUT_EVENT, LOGOUT_S
from tests.integration.inside import make_config, talking
from tests.integration.test_http import request
from tests.support.oidc_provider import (
    CLIENT_ID,
    Browser,
    World,
    gone,
    held,
    providing,
    signed,
    trusting,
    who,
    world_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The world of most tests."""
    async with world_of(tmp_path_factory.mktemp("logout")) as world:
        yield world


async def test_who_signs_out_at_the_provider_is_signed_out_here(world: World) -> None:
    """At once, on every connection; another browser of the same person, with a session of its own there, stays."""
    async with world.browser() as browser, world.browser() as other:
        await browser.sign_in("ann")
        await other.sign_in("ann")
        async with talking(world.server, token=None, headers=held(browser)) as talk:
            await talk.ask("ping")
            await browser.sign_out_at(f"{world.provider.issuer}/session/end")
            await gone(talk)
        assert await who(browser) == ("token_invalid",)
        assert (await who(other))[0] == "ann"


def said(world: World, **changed: object) -> dict[str, object]:
    """What a logout token says, changed; None takes a claim away."""
    now_s = app.now_ms() // 1000
    claims: dict[str, object] = {
        "iss": world.provider.issuer,
        "aud": CLIENT_ID,
        "iat": now_s,
        "exp": now_s + 120,
        "jti": f"jti-{app.now_ms()}-{changed!r}",
        "events": {LOGOUT_EVENT: {}},
        "sub": "ann",
    }
    return {name: value for name, value in (claims | changed).items() if value is not None}


async def log_out(world: World, token: str) -> tuple[int, str]:
    """Tell the server as the provider does; the status, and the code of an error."""
    form = f"logout_token={token}".encode()
    answer = await request(world.server, "POST", "/v1/oidc/logout", token=None, raw=form)
    return answer.status, answer.code if answer.status != 200 else ""


FOREIGN = RSAKey.generate_key(2048, {"kid": "one"})
WRONG: dict[str, Callable[[World], str]] = {
    "empty": lambda world: "",
    "no token": lambda world: "a.b.c",
    "unsigned": lambda world: "eyJhbGciOiJub25lIn0." + world.provider.sign(said(world)).split(".")[1] + ".",
    "by another key": lambda world: signed(said(world), FOREIGN),
    "by a key that nobody knows": lambda world: world.provider.sign(said(world), kid="two"),
    "for something else": lambda world: world.provider.sign(said(world), typ="at+jwt"),
    "of another issuer": lambda world: world.provider.sign(said(world, iss="https://evil.example")),
    "for another client": lambda world: world.provider.sign(said(world, aud="other")),
    "without an audience": lambda world: world.provider.sign(said(world, aud=None)),
    "without a time": lambda world: world.provider.sign(said(world, iat=None)),
    "old": lambda world: world.provider.sign(said(world, iat=app.now_ms() // 1000 - LOGOUT_S - 61)),
    "of the future": lambda world: world.provider.sign(said(world, iat=app.now_ms() // 1000 + 120)),
    "expired": lambda world: world.provider.sign(said(world, exp=app.now_ms() // 1000 - 61)),
    "no event": lambda world: world.provider.sign(said(world, events={})),
    "another event": lambda world: world.provider.sign(said(world, events={"urn:x": {}})),
    "an event that is none": lambda world: world.provider.sign(said(world, events={LOGOUT_EVENT: 1})),
    "with a nonce": lambda world: world.provider.sign(said(world, nonce="n")),
    "of nobody": lambda world: world.provider.sign(said(world, sub=None)),
    "without an id": lambda world: world.provider.sign(said(world, jti=None)),
}


async def test_forged_logouts_end_nothing(world: World) -> None:
    """Each of them is refused with 400, and whoever is signed in stays so."""
    async with world.browser() as browser:
        await browser.sign_in("ann")
        for name, make in WRONG.items():
            assert await log_out(world, make(world)) == (400, "logout_invalid"), name
        for sub, sid in (("bob", None), ("ann", "of another session"), (None, "of another session")):
            assert await log_out(world, world.provider.sign(said(world, sub=sub, sid=sid))) == (200, "")
        assert (await who(browser))[0] == "ann"


async def test_a_logout_token_works_once(world: World) -> None:
    """A token that names a user ends all sessions of the user; when it comes again, those made since then stay."""
    async with world.browser() as browser, world.browser() as other:
        await browser.sign_in("ann")
        await other.sign_in("ann")
        token = world.provider.sign(said(world), typ="logout+jwt")
        assert await log_out(world, token) == (200, "")
        assert await who(browser) == await who(other) == ("token_invalid",)
        await browser.sign_in("ann")
        assert await log_out(world, token) == (400, "logout_invalid")
        assert (await who(browser))[0] == "ann"


async def test_a_logout_after_a_restart(tmp_path: Path) -> None:
    """Sessions of a provider survive a restart, and so does what a logout needs to find them and to refuse a replay."""
    async with providing() as provider:
        config = make_config(tmp_path / "data", oidc=trusting(provider.issuer, tmp_path / "secret"))
        async with app.running(config) as server, Browser(server) as browser:
            await provider.serve(server.address.url)
            async with Browser(server) as other:
                await other.sign_in("bob")
            await browser.sign_in("ann")
            cookie = f"{SESSION_COOKIE}={browser.client.cookies[SESSION_COOKIE]}"
            used = provider.sign(said(World(provider, server), sub="bob"))
            assert (await log_out(World(provider, server), used))[0] == 200
        async with app.running(config) as server:
            assert (await request(server, "GET", "/v1/session", token=None, Cookie=cookie)).status == 200
            world = World(provider, server)
            assert await log_out(world, used) == (400, "logout_invalid")
            assert await log_out(world, provider.sign(said(world))) == (200, "")
            assert (await request(server, "GET", "/v1/session", token=None, Cookie=cookie)).code == "token_invalid"

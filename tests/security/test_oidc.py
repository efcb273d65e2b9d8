"""Signing in with a real OpenID provider, and attacks on that: replays, mix-up, forged logouts, sessions of others."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from fire22.gateways.http.oidc import FLOW_COOKIE
from fire22.gateways.sign_in import HOST_PREFIX, SESSION_COOKIE
from tests.integration.inside import make_config
from tests.integration.test_http import request
from tests.support.oidc_provider import Browser, World, providing, trusting, who, world_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The world of most tests, where groups are told by the userinfo endpoint alone."""
    async with world_of(tmp_path_factory.mktemp("oidc")) as world:
        yield world


async def test_who_is_in_a_group_signs_in(world: World) -> None:
    """The first group of the table that a user is in says the role and the scope; the answer is a page, no redirect."""
    async with world.browser() as browser:
        answer = await browser.sign_in("ann")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert f'content="0; url={world.server.address.url}/"' in answer.text
        set_cookies = answer.headers.get_list("set-cookie")
        [held] = [each for each in set_cookies if each.startswith(f"{SESSION_COOKIE}=")]
        assert {"HttpOnly", "Path=/v1", "SameSite=strict"} <= {part.strip() for part in held.split(";")}
        assert (await who(browser))[:3] == ("ann", "risk", "/")
    async with world.browser() as browser:
        await browser.sign_in("bob")
        assert (await who(browser))[:3] == ("bob", "agent", "/M1")


async def test_groups_and_names_in_the_id_token(tmp_path: Path) -> None:
    """A provider may tell all in the ID token, and an operator which claim names a user."""
    more: dict[str, Any] = {"in_id_token": True, "user_claim": "preferred_username"}
    async with world_of(tmp_path, **more) as world, world.browser() as browser:
        await browser.sign_in("bob")
        assert (await who(browser))[:3] == ("M1", "agent", "/M1")
        assert world.server.people.sessions.of("agent:M1")


@pytest.mark.parametrize("name", ["eve", "old"])
async def test_who_is_in_no_group_is_refused(world: World, name: str) -> None:
    """In other groups or in none: a page says so, and nobody is signed in."""
    async with world.browser() as browser:
        answer = await browser.sign_in(name)
        assert answer.status_code == 403
        assert "no group that has a role here" in answer.text
        assert SESSION_COOKIE not in "".join(answer.headers.get_list("set-cookie"))
        assert await who(browser) == ("auth_required",)


async def test_nobody_takes_over_the_name_of_who_has_a_password(tmp_path: Path) -> None:
    """A user of the provider with the name of a user of the server is somebody else, and is refused."""
    async with world_of(tmp_path) as world, world.browser() as browser:
        await world.server.people.users.add("ann", role="admin", scope="/")
        assert (await browser.sign_in("ann")).status_code == 403
        assert await who(browser) == ("auth_required",)


async def test_each_sign_in_has_a_session_of_its_own(world: World) -> None:
    """The id is new each time, and the session that the browser had before ends."""
    async with world.browser() as browser:
        await browser.sign_in("ann")
        first = await who(browser)
        former = f"{SESSION_COOKIE}={browser.client.cookies[SESSION_COOKIE]}"
        await browser.sign_in("ann")
        assert await who(browser) != first
        answer = await request(world.server, "GET", "/v1/session", token=None, Cookie=former)
        assert answer.code == "token_invalid"


async def test_a_page_tells_the_ways_to_sign_in(world: World, tmp_path: Path) -> None:
    """The page shows a button where a provider is configured, and else none; then its addresses lead nowhere."""
    async with world.browser() as browser:
        assert (await browser.go("/v1/session/ways")).json() == {
            "password": True,
            "provider": {"name": "Test", "href": "v1/oidc/start"},
        }
    async with app.running(make_config(tmp_path)) as server:
        assert (await request(server, "GET", "/v1/session/ways", token=None)).json["provider"] is None
        for method, path in (("GET", "/v1/oidc/start"), ("GET", "/v1/oidc/callback"), ("POST", "/v1/oidc/logout")):
            assert (await request(server, method, path, token=None)).code == "not_found"


# What an attacker tries with the browser of somebody else.


async def test_a_callback_works_once(world: World) -> None:
    """Who sees the address later, in a history or a log, gets nothing by it."""
    async with world.browser() as browser:
        back = await browser.at_provider(await browser.begin(), "ann")
        flow = f"{FLOW_COOKIE}={browser.client.cookies[FLOW_COOKIE]}"
        assert (await browser.client.get(back)).status_code == 200
        path = back.removeprefix(world.server.address.url)
        assert (await request(world.server, "GET", path, token=None, Cookie=flow)).status == 401
        assert (await browser.client.get(back)).status_code == 401


async def test_nobody_is_signed_in_as_the_attacker(world: World) -> None:
    """A callback that another browser has begun is refused: without its cookie, and by the cookie of an own flow."""
    async with world.browser() as attacker, world.browser() as victim:
        back = await attacker.at_provider(await attacker.begin(), "ann")
        assert (await victim.client.get(back)).status_code == 401
        own = parse_qs(urlsplit(await victim.begin()).query)
        assert (await victim.client.get(back)).status_code == 401
        await victim.begin()
        code = parse_qs(urlsplit(back).query)["code"][0]
        assert code not in own
        assert await who(victim) == ("auth_required",)
        assert (await attacker.client.get(back)).status_code == 200


async def test_a_code_of_another_flow_is_no_good(world: World) -> None:
    """A stolen code in a flow of one's own: the provider holds it to the verifier of the browser that it is for."""
    async with world.browser() as victim, world.browser() as attacker:
        stolen = parse_qs(urlsplit(await victim.at_provider(await victim.begin(), "ann")).query)["code"][0]
        state = parse_qs(urlsplit(await attacker.begin()).query)["state"][0]
        path = f"/v1/oidc/callback?code={stolen}&state={state}&iss={world.provider.issuer}"
        answer = await attacker.go(path)
        assert answer.status_code == 401
        assert stolen not in answer.text
        assert await who(attacker) == ("auth_required",)


@pytest.mark.parametrize("iss", ["https://evil.example", None])
async def test_an_answer_of_another_issuer(world: World, iss: str | None) -> None:
    """A mix-up: the answer names another provider, or none although this one always does."""
    async with world.browser() as browser:
        back = await browser.at_provider(await browser.begin(), "ann")
        said = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items() if name != "iss"}
        answer = await browser.client.get(
            f"{world.server.address.url}/v1/oidc/callback", params=said | ({"iss": iss} if iss else {})
        )
        assert (answer.status_code, await who(browser)) == (403, ("auth_required",))
        assert "of another issuer" in answer.text


async def test_a_code_that_has_expired(world: World) -> None:
    """Who comes back an hour later begins again, and then signs in."""
    async with world.browser() as browser:
        back = await browser.at_provider(await browser.begin(), "ann")
        await world.provider.tell("advanceS", 3600)
        try:
            answer = await browser.client.get(back)
        finally:
            await world.provider.tell("advanceS", -3600)
        assert answer.status_code == 401
        assert "expired" in answer.text
        assert (await browser.sign_in("ann")).status_code == 200


async def test_a_flow_that_has_expired(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a browser has begun ends after ten minutes here too, whatever the provider does."""
    oidc = world.server.oidc
    assert oidc is not None
    async with world.browser() as browser:
        back = await browser.at_provider(await browser.begin(), "ann")
        monkeypatch.setattr(oidc, "_now_ms", lambda: app.now_ms() + 601_000)
        assert (await browser.client.get(back)).status_code == 401
        monkeypatch.undo()
        assert await who(browser) == ("auth_required",)


async def test_what_the_provider_says_went_wrong(world: World) -> None:
    """The page says that nobody was signed in, and repeats nothing that came in the address."""
    async with world.browser() as browser:
        state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
        words = "access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E"
        answer = await browser.go(f"/v1/oidc/callback?state={state}&iss={world.provider.issuer}&error={words}")
        assert answer.status_code == 403
        assert "alert" not in answer.text
        assert "access_denied" not in answer.text


async def test_another_page_begins_no_sign_in(world: World) -> None:
    """Neither by a link nor by a picture; the browser says where it comes from."""
    async with world.browser() as browser:
        for site in ("cross-site", "same-site"):
            answer = await browser.go("/v1/oidc/start", **{"Sec-Fetch-Site": site})
            assert (answer.status_code, FLOW_COOKIE in browser.client.cookies) == (403, False)


async def test_over_tls_only_the_server_can_have_set_the_cookies(tmp_path: Path) -> None:
    """Behind a proxy that ends TLS the cookies have the prefix that browsers hold to Secure; plain ones are no good."""
    url = "https://flows.example"
    async with world_of(tmp_path, url=url) as world, world.browser() as browser:
        answer = await browser.go("/v1/oidc/start")
        [held] = answer.headers.get_list("set-cookie")
        assert held.startswith(f"{HOST_PREFIX}{FLOW_COOKIE}=")
        assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= {part.strip() for part in held.split(";")}
        value = held.partition(";")[0]
        for cookie, status in ((value.removeprefix(HOST_PREFIX), 401), (value, 200)):
            back = await browser.at_provider(answer.headers["location"], "ann", home=url)
            path = back.removeprefix(url)
            finished = await request(world.server, "GET", path, token=None, Cookie=cookie)
            assert finished.status == status
        [session] = [each for each in finished.cookies if SESSION_COOKIE in each]
        assert session.startswith(HOST_PREFIX)
        assert {"Secure", "SameSite=strict", "Path=/"} <= {part.strip() for part in session.split(";")}


# The provider cannot be reached.


async def test_a_provider_that_is_down(tmp_path: Path) -> None:
    """Who wants to sign in reads that the provider does not answer; the server itself works, and so do others' ways."""
    async with world_of(tmp_path) as world, world.browser() as browser:
        back = await browser.at_provider(await browser.begin(), "ann")
        await world.provider.end()
        answer = await browser.client.get(back)
        assert answer.status_code == 503
        assert "Test does not answer" in answer.text
        told = await request(world.server, "POST", "/v1/oidc/logout", token=None, raw=b"logout_token=a.b.c")
        assert told.code == "provider_unavailable"
        assert (await request(world.server, "GET", "/v1/session")).status == 200
    async with providing() as provider:  # it listens, and is no provider
        config = make_config(tmp_path / "two", oidc=trusting(provider.issuer, tmp_path / "secret"))
        async with app.running(config) as server, Browser(server) as browser:
            answer = await browser.go("/v1/oidc/start")
            assert answer.status_code == 503
            assert "Test does not answer" in answer.text
            await provider.serve(server.address.url)
            assert (await browser.sign_in("ann")).status_code == 200  # as soon as it answers

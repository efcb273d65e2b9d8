"""Attacks on sessions of a running server: fixation, forged requests, sessions that outlive their end."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import uvloop
from websockets.exceptions import ConnectionClosed

from fire22 import app
from fire22.core.message import Json
from fire22.gateways.sign_in import DEVICE_COOKIE, HOST_PREFIX, SESSION_COOKIE
from tests.integration.inside import WAIT_S, make_config, talking, until
from tests.integration.test_http import Answer, request

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop
PASSWORD = "correct horse battery"  # pragma: allowlist secret


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book, where Ann may sign in."""
    async with app.running(make_config(tmp_path_factory.mktemp("sessions"))) as running:
        hashed = await running.people.passwords.hash(PASSWORD)
        await running.people.users.add("ann", role="admin", scope="/", password=hashed)
        yield running


def origin(server: app.Application) -> dict[str, str]:
    """The server's own page."""
    return {"Origin": server.address.url}


async def enter(server: app.Application, **headers: str) -> Answer:
    """Ann signs in."""
    body: Json = {"name": "ann", "password": PASSWORD}
    return await request(server, "POST", "/v1/session", body, token=None, raw=None, **(origin(server) | headers))


def cookie(answer: Answer, name: str = SESSION_COOKIE) -> str:
    """A cookie that an answer sets; the test's client keeps the last one of several."""
    return next(each.partition(";")[0] for each in answer.cookies if each.startswith(f"{name}="))


async def test_a_session_that_somebody_else_fixed_is_not_taken_over(server: app.Application) -> None:
    """A sign-in never goes on with the session that the browser brought: that one ends."""
    fixed = cookie(await enter(server))
    answer = await enter(server, Cookie=fixed)
    assert cookie(answer) != fixed
    gone = await request(server, "GET", "/v1/session", token=None, Cookie=fixed)
    assert gone.code == "token_invalid"
    invented = f"{SESSION_COOKIE}={'A' * 43}"
    answer = await enter(server, Cookie=invented)
    assert cookie(answer) != invented


@pytest.mark.parametrize("foreign", ["https://evil.example", "null"])
async def test_no_other_page_signs_in_or_out_or_changes_anything(server: app.Application, foreign: str) -> None:
    """Forged requests, also one that would sign the victim in as the attacker, are refused."""
    held = cookie(await enter(server))
    assert (await enter(server, Origin=foreign)).code == "origin_forbidden"
    for method, path in (("DELETE", "/v1/session"), ("DELETE", "/v1/sessions"), ("POST", "/v1/password")):
        answer = await request(server, method, path, {}, token=None, Cookie=held, Origin=foreign)
        assert answer.code == "origin_forbidden"
    assert (await request(server, "GET", "/v1/session", token=None, Cookie=held)).status == 200


async def test_a_change_by_cookie_brings_what_only_the_page_can_read(server: app.Application) -> None:
    """Neither no CSRF token nor that of another session changes anything; a token of one's own needs none."""
    first, second = await enter(server), await enter(server)
    held = {"Cookie": cookie(first)} | origin(server)
    assert first.json["csrf"] != second.json["csrf"]
    for said in ("", str(second.json["csrf"]), "\u00e4"):
        sent = held | {"X-CSRF-Token": said}
        answer = await request(server, "POST", "/v1/events", [], token=None, raw=None, **sent)
        assert (answer.status, answer.code) == (403, "csrf_invalid")
    who = await request(server, "GET", "/v1/session", token=None, Cookie=held["Cookie"])
    assert who.json["csrf"] == first.json["csrf"]
    sent = held | {"X-CSRF-Token": str(who.json["csrf"])}
    assert (await request(server, "POST", "/v1/events", [], token=None, raw=None, **sent)).code != "csrf_invalid"
    assert "csrf" not in (await request(server, "GET", "/v1/session")).json


async def test_a_form_of_another_page_signs_nobody_in(server: app.Application) -> None:
    """A form can send text that reads as JSON, but cannot say that it is."""
    for type in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert (await enter(server, **{"Content-Type": type})).code == "content_type_invalid"


async def test_over_tls_only_the_server_can_have_set_the_cookies(server: app.Application) -> None:
    """Both cookies have the prefix that browsers hold to Secure, no domain and the root; the plain one is no good."""
    host = f"127.0.0.1:{server.address.port}"
    answer = await enter(server, Origin=f"https://{host}")
    names = [each.partition("=")[0] for each in answer.cookies]
    assert names == [HOST_PREFIX + SESSION_COOKIE, HOST_PREFIX + DEVICE_COOKIE]
    for each in answer.cookies:
        assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= {part.strip() for part in each.split(";")}
        assert "Domain" not in each
    held = cookie(answer, HOST_PREFIX + SESSION_COOKIE)
    assert (await request(server, "GET", "/v1/session", token=None, Cookie=held)).status == 200
    plain = held.removeprefix(HOST_PREFIX)
    sent = {"Cookie": plain, "Origin": f"https://{host}"}
    assert (await request(server, "GET", "/v1/session", token=None, raw=None, **sent)).code == "auth_required"


@pytest.mark.parametrize("way", ["sign out", "end one", "end others", "disable"])
async def test_a_session_ends_on_an_open_connection(server: app.Application, way: str) -> None:
    """Whoever holds a WebSocket by the session loses it, whichever way it ends."""
    headers = {"Cookie": cookie(await enter(server))} | origin(server)
    other = {"Cookie": cookie(await enter(server))} | origin(server)
    async with talking(server, token=None, headers=headers) as talk:
        await talk.ask("ping")
        id = server.people.sessions.of("staff:ann")
        mine = next(id for id, _ in id if id in server.connections.sessions())
        if way == "sign out":
            await request(server, "DELETE", "/v1/session", token=None, raw=None, **headers)
        elif way == "end one":
            answer = await request(server, "DELETE", f"/v1/sessions/{mine}", token=None, raw=None, **other)
            assert answer.status == 204
        elif way == "end others":
            assert (await request(server, "DELETE", "/v1/sessions", token=None, raw=None, **other)).status == 204
        else:
            await server.people.disable("ann")
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(ConnectionClosed):
                while True:
                    await talk.receive()
    assert (await request(server, "GET", "/v1/session", token=None, Cookie=headers["Cookie"])).status == 401
    await server.people.users.set_disabled("ann", False)


async def test_nobody_ends_a_session_of_another(server: app.Application) -> None:
    """The ids of others are unknown, even to an administrator's own token."""
    await enter(server)
    [(id, _), *_] = server.people.sessions.of("staff:ann")
    answer = await request(server, "DELETE", f"/v1/sessions/{id}")
    assert (answer.status, answer.code) == (404, "not_found")


async def test_own_sessions_are_listed_with_device_and_place(server: app.Application) -> None:
    """A user sees where else it is signed in."""
    held = cookie(await enter(server, User_Agent="Netscape"))
    answer = await request(server, "GET", "/v1/sessions", token=None, Cookie=held)
    rows = answer.json["sessions"]
    assert isinstance(rows, list)
    [mine] = [row for row in rows if isinstance(row, dict) and row["current"]]
    assert (mine["agent"], mine["address"]) == ("Netscape", "127.0.0.1")


async def test_the_programs_commands_act_beside_the_server(server: app.Application) -> None:
    """A user who is added from the terminal signs in, and one who is disabled there loses what is open."""

    async def run(*arguments: str, line: str = "") -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fire22",
            "user",
            *arguments,
            "--data",
            server.config.data,
            stdin=asyncio.subprocess.PIPE,
        )
        await process.communicate(line.encode())
        assert process.returncode == 0

    await run("add", "eve", "--role", "admin", line=f"{PASSWORD}\n")
    await until(lambda: server.people.users.get("eve"))
    body: Json = {"name": "eve", "password": PASSWORD}
    answer = await request(server, "POST", "/v1/session", body, token=None, raw=None, **origin(server))
    headers = {"Cookie": cookie(answer)} | origin(server)
    async with talking(server, token=None, headers=headers) as talk:
        await talk.ask("ping")
        await run("disable", "eve")
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(ConnectionClosed):
                while True:
                    await talk.receive()

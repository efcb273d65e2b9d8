"""Who is believed to be asking: the same cases for each way into a running server."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
import uvloop
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fire22 import app
from fire22.gateways.sign_in import SESSION_COOKIE
from fire22.security.principal import Principal
from fire22.security.sessions import id_of
from tests.integration.inside import bench_event, make_config, sign, talking
from tests.integration.test_http import request

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop
OWN = "http://127.0.0.1:{port}"
SECRETS: dict[int, str] = {}  # of a session of each server, by its port
Ask = Callable[[app.Application, dict[str, str]], Awaitable[str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book."""
    async with app.running(make_config(tmp_path_factory.mktemp("sign_in"))) as running:
        admin = Principal("ann", "admin", "/", 0)
        SECRETS[running.address.port] = await running.people.sessions.open(admin, named=False)
        yield running


async def read(server: app.Application, headers: dict[str, str]) -> str:
    """Read something over HTTP; the code of the refusal, or nothing."""
    answer = await request(server, "GET", "/v1/session", token=None, raw=None, **headers)
    return "" if answer.status == 200 else str(answer.code)


async def publish(server: app.Application, headers: dict[str, str]) -> str:
    """Change something over HTTP."""
    answer = await request(server, "POST", "/v1/events", bench_event("sign-in"), token=None, raw=None, **headers)
    return "" if answer.status in (200, 202) else str(answer.code)


async def connect(server: app.Application, headers: dict[str, str]) -> str:
    """Open a WebSocket that stays open."""
    try:
        async with talking(server, token=None, headers=headers) as talk:
            with contextlib.suppress(ConnectionClosed):  # what it was told before is read all the same
                await talk.send("ping")
            answer = (await talk.receive())[0]
            return "" if answer.type == "reply" else str(answer.code)
    except InvalidStatus as error:
        return f"HTTP {error.response.status_code}"


EACH_WAY = pytest.mark.parametrize("ask", [read, publish, connect])


@EACH_WAY
@pytest.mark.parametrize("origin", [None, OWN, "http://evil.example"])
async def test_a_token_of_the_clients_own(server: app.Application, ask: Ask, origin: str | None) -> None:
    """A token that the client itself sends is good from every page and every program."""
    headers = {"Authorization": f"Bearer {sign(server)}"} | _origin(server, origin)
    assert await ask(server, headers) == ""


@EACH_WAY
async def test_the_servers_own_page(server: app.Application, ask: Ask) -> None:
    """The page that the server serves is let in by its cookie."""
    assert await ask(server, _cookie(server) | _origin(server, OWN)) == ""


@EACH_WAY
@pytest.mark.parametrize("origin", ["http://evil.example", OWN + "1", "null"])
async def test_another_page(server: app.Application, ask: Ask, origin: str) -> None:
    """A page of another origin cannot use the cookie that the browser adds to its requests."""
    assert await ask(server, _cookie(server) | _origin(server, origin)) == "origin_forbidden"


@pytest.mark.parametrize(("ask", "refusal"), [(read, ""), (publish, "origin_forbidden"), (connect, "origin_forbidden")])
async def test_a_cookie_without_an_origin(server: app.Application, ask: Ask, refusal: str) -> None:
    """Without `Origin` a cookie serves for reading alone, whose answer browsers keep from other pages."""
    assert await ask(server, _cookie(server)) == refusal


@EACH_WAY
async def test_a_token_that_has_ended(server: app.Application, ask: Ask) -> None:
    """A token that has ended is told so."""
    headers = {"Authorization": f"Bearer {sign(server, ttl_s=-60)}"}
    assert await ask(server, headers | _origin(server, OWN)) == "token_expired"


@EACH_WAY
async def test_a_session_is_no_token_and_a_token_no_session(server: app.Application, ask: Ask) -> None:
    """What a cookie holds is nothing as a bearer token, and a token is nothing as a cookie."""
    secret = SECRETS[server.address.port]
    assert await ask(server, {"Authorization": f"Bearer {secret}"} | _origin(server, OWN)) == "token_invalid"
    cookie = {"Cookie": f"{SESSION_COOKIE}={sign(server)}"}
    assert await ask(server, cookie | _origin(server, OWN)) == "token_invalid"


@EACH_WAY
async def test_a_session_that_was_ended(server: app.Application, ask: Ask) -> None:
    """A session that was ended lets nobody in any more."""
    secret = await server.people.sessions.open(Principal("bob", "admin", "/", 0), named=False)
    headers = {"Cookie": f"{SESSION_COOKIE}={secret}"} | _origin(server, OWN)
    assert await ask(server, headers) == ""
    await server.people.sessions.end(id_of(secret))
    assert await ask(server, headers) == "token_invalid"


@EACH_WAY
@pytest.mark.parametrize("token", ["nonsense", ""])
async def test_a_token_that_is_none(server: app.Application, ask: Ask, token: str) -> None:
    """What is no token of this server is refused."""
    expected = "token_invalid" if token else "auth_required"
    assert await ask(server, {"Authorization": f"Bearer {token}"}) == expected


def _cookie(server: app.Application) -> dict[str, str]:
    return {"Cookie": f"x=1; {SESSION_COOKIE}={SECRETS[server.address.port]}; y=2"}


def _origin(server: app.Application, origin: str | None) -> dict[str, str]:
    return {} if origin is None else {"Origin": origin.format(port=server.address.port)}

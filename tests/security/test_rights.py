"""Who may use what: every route against every role and every place in the tree, over real sockets.

The routes and roles come from the running server. What is expected stands here, by hand: a route or a role that has no
row fails, and so does one that lets more people in than its row says.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
import uvloop
from msgspec import Struct

from fire22 import app
from fire22.core.topic import Kind
from fire22.gateways.http.route import Route
from tests.integration.inside import make_book, make_config, sign, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop

OWN: Final = "/M1/A1"
# What is asked for, by somebody whose own scope is OWN; what becomes of it where the topic may be seen.
PLACES: Final = {
    None: "",
    OWN: "",
    "/M1/A1/NOBODY": "scope_unknown",
    "/M1": "scope_forbidden",
    "/": "scope_forbidden",
    "/M1/A2": "scope_forbidden",
    "/M2": "scope_forbidden",
    "/NOBODY": "scope_forbidden",
    "/M1/A10": "scope_forbidden",
    "M1": "scope_invalid",
    "/M1/../M2": "scope_invalid",
    "/M1/A1/../A2": "scope_invalid",
}

FEW: Final = (OWN, "/M1", "/M2")

EVERYBODY: Final = frozenset({"admin", "service", "risk", "auditor", "master", "agent", "customer", "cashier"})
HOUSE: Final = frozenset({"admin", "service"})
_NOT_CASHIER: Final = EVERYBODY - {"cashier"}
_RUNS: Final = EVERYBODY - {"cashier", "customer"}

# Who sees a topic.
SEES: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("kpi", "wagers", "reviews", "activity", "figures", "reports"), _NOT_CASHIER),
    **dict.fromkeys(("payments", "payment_queue", "balances", "ledger", "bench"), EVERYBODY),
    "commission": HOUSE | {"auditor", "master", "agent"},
    **dict.fromkeys(("exposure", "alerts"), _RUNS),
    "dead_letters": HOUSE | {"risk", "auditor"},
    "audit": HOUSE | {"auditor"},
}


class Row(Struct, frozen=True):
    """What is expected of a route.

    Args:
        passes: the roles, in a scope of their own below the house, whose request is handled; None is everybody, also
            who is nobody.
        of_house: the same for the whole book, where that differs.
    """

    passes: frozenset[str] | None
    of_house: frozenset[str] | None = None


ANYBODY: Final = Row(None)
SIGNED_IN: Final = Row(EVERYBODY)
PEOPLE: Final = Row(EVERYBODY - {"service"})
ADMINISTERS: Final = Row(frozenset({"admin"}))
NOBODY: Final[frozenset[str]] = frozenset()

ROUTES: Final[dict[tuple[str, str], Row]] = {
    ("GET", "/v1/session"): SIGNED_IN,
    ("POST", "/v1/session"): ANYBODY,
    ("DELETE", "/v1/session"): ANYBODY,
    ("GET", "/v1/session/ways"): ANYBODY,
    ("GET", "/v1/oidc/start"): ANYBODY,
    ("GET", "/v1/oidc/callback"): ANYBODY,
    ("POST", "/v1/oidc/logout"): ANYBODY,
    ("GET", "/v1/tokens"): ADMINISTERS,
    ("POST", "/v1/tokens"): ADMINISTERS,
    ("DELETE", "/v1/tokens/{name}"): ADMINISTERS,
    ("GET", "/v1/users"): ADMINISTERS,
    ("POST", "/v1/users"): ADMINISTERS,
    ("PATCH", "/v1/users/{name}"): ADMINISTERS,
    ("DELETE", "/v1/users/{name}"): ADMINISTERS,
    ("POST", "/v1/users/{name}/password"): ADMINISTERS,
    ("DELETE", "/v1/users/{name}/second-factor"): ADMINISTERS,
    ("DELETE", "/v1/users/{name}/sessions"): ADMINISTERS,
    ("GET", "/v1/signed-in"): ADMINISTERS,
    ("DELETE", "/v1/signed-in/{id}"): ADMINISTERS,
    ("GET", "/v1/sessions"): SIGNED_IN,
    ("DELETE", "/v1/sessions"): SIGNED_IN,
    ("DELETE", "/v1/sessions/{id}"): SIGNED_IN,
    ("POST", "/v1/password"): SIGNED_IN,
    ("POST", "/v1/second-factor"): PEOPLE,
    ("POST", "/v1/second-factor/confirm"): PEOPLE,
    ("POST", "/v1/second-factor/recovery"): PEOPLE,
    ("POST", "/v1/second-factor/remove"): PEOPLE,
    ("GET", "/v1/views/{topic}"): SIGNED_IN,
    ("GET", "/v1/history/{topic}"): SIGNED_IN,
    ("GET", "/v1/archive/{topic}"): SIGNED_IN,
    ("GET", "/v1/query/{name}"): SIGNED_IN,
    ("POST", "/v1/events"): Row(HOUSE),
    ("POST", "/v1/commands/{name}"): SIGNED_IN,
    ("GET", "/v1/approvals"): SIGNED_IN,
    ("POST", "/v1/dead-letters/{seq}/replay"): Row(NOBODY, HOUSE | {"risk"}),
    ("POST", "/v1/dead-letters/{seq}/dismiss"): Row(NOBODY, HOUSE | {"risk"}),
    ("GET", "/v1/roles"): Row(NOBODY, frozenset({"admin"})),
    ("GET", "/v1/roles/{name}"): Row(NOBODY, frozenset({"admin"})),
    ("PUT", "/v1/roles/{name}"): Row(NOBODY, frozenset({"admin"})),
    ("GET", "/healthz"): ANYBODY,
    # These two from this machine; test_network.py has the other cases.
    ("GET", "/readyz"): ANYBODY,
    ("GET", "/metrics"): ANYBODY,
    ("GET", "/"): ANYBODY,
    ("GET", "/assets/{path:path}"): ANYBODY,
    ("GET", "/client/{path:path}"): ANYBODY,
    ("GET", "/openapi.json"): ANYBODY,
}

# What stands for the places of a path that name no topic.
FILLED: Final = {"name": "what-if", "seq": "1", "path:path": "none", "id": "none"}
REFUSALS: Final = {401, 403}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server on an invented book, which knows its agents."""
    folder = tmp_path_factory.mktemp("rights")
    book = await asyncio.to_thread(make_book, folder / "book.db")
    async with app.running(make_config(folder / "data", book)) as running:
        await until(lambda: running.hub.knows_scope(OWN))
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server: app.Application) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks to it."""
    async with httpx2.AsyncClient(base_url=server.address.url, timeout=60) as client:
        yield client


def holders(server: app.Application, scope: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each role, and the header that says it."""
    for role in sorted(EVERYBODY):  # also where one was added meanwhile
        yield role, {"authorization": f"Bearer {sign(server, role=role, scope=scope)}"}


def address(row: Route) -> str:
    """A path of a route; one that asks for nothing that there is."""
    path = row.path
    for name, value in FILLED.items():
        path = path.replace(f"{{{name}}}", value)
    return path.replace("{topic}", "balances")


async def ask(
    client: httpx2.AsyncClient, row: Route, path: str, headers: dict[str, str], **query: Any
) -> tuple[int, str]:
    """The status and the code of an answer."""
    sent = headers | dict.fromkeys(row.headers, "test")
    answer = await client.request(
        row.method, path, headers=sent, params=query, content=b"{}" if row.body_bytes_max else b""
    )
    error = answer.headers.get("content-type") == "application/json" and answer.status_code >= 400
    return answer.status_code, answer.json()["code"] if error else ""


async def test_every_route_and_every_role_has_a_row(server: app.Application) -> None:
    """Who adds one says here who may use it."""
    served = {(row.method, row.path) for row in server.routes.rows if row.handler is not None}
    assert served == ROUTES.keys()
    assert set(server.service.access.roles) == EVERYBODY
    assert {name for name, topic in server.service.topics.items() if not topic.internal} == SEES.keys()


async def test_nobody_gets_in_where_one_must_be_signed_in(server: app.Application, client: httpx2.AsyncClient) -> None:
    """Without a token, with one that is none, and with one of another server."""
    other = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"  # pragma: allowlist secret
    for row in server.routes.rows:
        if row.handler is None:
            continue
        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": f"Bearer {other}"}):
            status, code = await ask(client, row, address(row), headers)
            expected = ROUTES[row.method, row.path]
            if expected.passes is not None:
                assert (status, code) in ((401, "auth_required"), (401, "token_invalid")), f"{row.method} {row.path}"
            else:
                assert status not in REFUSALS or code == "code_invalid", f"{row.method} {row.path}: {code}"


@pytest.mark.parametrize("scope", ["/", OWN])
async def test_a_role_gets_in_where_its_row_says(
    server: app.Application, client: httpx2.AsyncClient, scope: str
) -> None:
    """Neither more nor fewer: what is handled may still be refused for what it asks, and that is tested below."""
    for row in server.routes.rows:
        if row.handler is None or (expected := ROUTES[row.method, row.path]).passes is None:
            continue
        passes = expected.of_house if scope == "/" and expected.of_house is not None else expected.passes
        for role, headers in holders(server, scope):
            status, code = await ask(client, row, address(row), headers)
            forbidden = status == 403 and code == "forbidden"
            assert forbidden is (role not in (passes or ())), (
                f"{role} in {scope}: {row.method} {row.path}: {status} {code}"
            )


async def test_what_is_read_lies_in_the_own_scope(server: app.Application, client: httpx2.AsyncClient) -> None:
    """Every topic, by every way of reading it, for every role: outside, what is there and what is not look alike."""
    ways = {"views": Kind.VIEW, "history": Kind.STREAM, "archive": None}
    by_path = {row.path: row for row in server.routes.rows if row.method == "GET"}
    asked = 0
    for way, kind in ways.items():
        row = by_path[f"/v1/{way}/{{topic}}"]
        for name, topic in server.service.topics.items():
            if topic.internal or (kind is not None and topic.kind is not kind) or (kind is None and not topic.archived):
                continue
            for role, headers in holders(server, OWN):
                for place, outcome in PLACES.items():
                    if role != "agent" and place not in FEW:
                        continue  # where a place lies is not the role's to say
                    query = {} if place is None else {"scope": place}
                    status, code = await ask(client, row, f"/v1/{way}/{name}", headers, **query)
                    expected = outcome if role in SEES[name] else "topic_forbidden"
                    assert code == expected, f"{role} in {OWN}: {way} of {name} in {place}: {status} {code}"
                    asked += 1
    assert asked > 500

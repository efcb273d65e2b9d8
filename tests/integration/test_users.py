"""Users and sessions, as an administrator deals with them over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from fire22 import app
from tests.integration.inside import make_book, make_config, sign, talking, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book."""
    async with app.running(make_config(tmp_path_factory.mktemp("users") / "data")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server: app.Application) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks to it."""
    async with httpx2.AsyncClient(base_url=server.address.url, timeout=60) as client:
        yield client


def as_role(server: app.Application, role: str = "admin", scope: str = "/") -> dict[str, str]:
    """The header of somebody with a role."""
    return {"authorization": f"Bearer {sign(server, role=role, scope=scope)}"}


async def add(server: app.Application, client: httpx2.AsyncClient, name: str, role: str = "risk") -> dict[str, Any]:
    """A new user, as the answer has it."""
    body = {"name": name, "role": role, "scope": "/"}
    answer = await client.post("/v1/users", json=body, headers=as_role(server))
    assert answer.status_code == 201, answer.text
    added: dict[str, Any] = answer.json()
    return added


async def enter(server: app.Application, client: httpx2.AsyncClient, name: str, password: str) -> dict[str, str] | None:
    """Sign in; the headers of the session, or None."""
    headers = {"origin": server.address.url}
    answer = await client.post("/v1/session", json={"name": name, "password": password}, headers=headers)
    client.cookies.clear()
    if answer.status_code != 200:
        return None
    cookie = "; ".join(value.partition(";")[0] for value in answer.headers.get_list("set-cookie"))
    return headers | {"cookie": cookie, "x-csrf-token": answer.json()["csrf"]}


async def test_an_added_user_signs_in_by_the_password_that_is_shown_once(
    server: app.Application, client: httpx2.AsyncClient
) -> None:
    """It is in that answer and in no other."""
    password = (await add(server, client, "ann"))["password"]
    assert await enter(server, client, "ann", password) is not None
    listed = await client.get("/v1/users", headers=as_role(server))
    [ann] = [user for user in listed.json()["users"] if user["name"] == "ann"]
    assert password not in listed.text
    assert (ann["kind"], ann["sessions"], ann["manageable"]) == ("staff", 1, True)


async def test_a_changed_or_disabled_user_loses_what_is_open(
    server: app.Application, client: httpx2.AsyncClient
) -> None:
    """Another role, another password, an ended session and a disabled user end the connections at once."""
    admin = as_role(server)
    password = (await add(server, client, "bob"))["password"]
    one: dict[str, Any]
    for method, path, body in (
        ("PATCH", "/v1/users/bob", {"role": "cashier"}),
        ("DELETE", "/v1/users/bob/sessions", None),
        ("POST", "/v1/users/bob/password", None),
        ("DELETE", "/v1/signed-in/{id}", None),
        ("PATCH", "/v1/users/bob", {"disabled": True}),
    ):
        headers = await enter(server, client, "bob", password)
        assert headers is not None, f"{method} {path}"
        async with talking(server, token=None, headers=headers) as talk:
            await talk.ask("ping")
            sessions = (await client.get("/v1/signed-in", headers=admin)).json()["sessions"]
            [one] = [each for each in sessions if each["user"] == "bob"]
            answer = await client.request(method, path.format(id=one["id"]), json=body, headers=admin)
            assert answer.status_code in (200, 204), answer.text
            await talk.closed()
        assert (await client.get("/v1/session", headers=headers)).status_code == 401
        password = answer.json().get("password", password) if answer.content else password
    assert await enter(server, client, "bob", password) is None
    await client.patch("/v1/users/bob", json={"disabled": False}, headers=admin)
    assert await enter(server, client, "bob", password) is not None


async def test_nobody_gives_or_touches_more_than_the_own_rights(
    server: app.Application, client: httpx2.AsyncClient
) -> None:
    """Who administers a part of the tree sees, adds and changes nobody outside it, and no one who may more."""
    small = {"administer": True, "topics": ["kpi"]}
    assert (await client.put("/v1/roles/deputy", json=small, headers=as_role(server))).status_code == 201
    await add(server, client, "carl", "admin")
    deputy, below = as_role(server, "deputy"), as_role(server, "deputy", "/M1")

    async def code(headers: dict[str, str], method: str, path: str, body: object = None) -> str:
        answer = await client.request(method, path, json=body, headers=headers)
        assert answer.status_code >= 400
        found: str = answer.json()["code"]
        return found

    assert await code(deputy, "POST", "/v1/users", {"name": "d", "role": "admin", "scope": "/"}) == "forbidden"
    assert await code(deputy, "PATCH", "/v1/users/carl", {"disabled": True}) == "forbidden"
    assert await code(deputy, "POST", "/v1/users/carl/password") == "forbidden"
    assert await code(below, "PATCH", "/v1/users/carl", {"disabled": True}) == "user_unknown"
    assert await code(below, "POST", "/v1/users", {"name": "d", "role": "deputy", "scope": "/"}) == "scope_forbidden"
    assert (await client.get("/v1/users", headers=below)).json() == {"users": []}
    assert (await client.get("/v1/signed-in", headers=below)).json() == {"sessions": []}
    machine = {"name": "d", "role": "service", "scope": "/"}
    assert await code(as_role(server), "POST", "/v1/users", machine) == "user_invalid"
    assert await code(as_role(server), "PATCH", "/v1/users/carl", {"role": "agent"}) == "user_invalid"


async def test_nobody_gives_more_than_they_have_beside_the_role(
    server: app.Application, client: httpx2.AsyncClient
) -> None:
    """What `may` adds to a role counts, for who gives and for who is changed; a token of few topics gives no others."""
    half = {"administer": True, "commands": {"payment.approve": {"flagged": True}}}
    assert (await client.put("/v1/roles/half", json=half, headers=as_role(server))).status_code == 201
    mate = {"name": "mate", "role": "half", "scope": "/"}
    more = {"name": "more", "role": "half", "scope": "/", "may": ["payments"]}
    assert (await client.post("/v1/users", json=more, headers=as_role(server))).status_code == 201

    async def code(method: str, path: str, body: object, headers: dict[str, str]) -> str:
        answer = await client.request(method, path, json=body, headers=headers)
        return str(answer.json()["code"]) if answer.status_code >= 400 else ""

    own = as_role(server, "half")
    assert await code("POST", "/v1/users", more | {"name": "gang"}, own) == "forbidden"
    assert await code("POST", "/v1/users", mate, own) == ""
    assert await code("PATCH", "/v1/users/mate", {"may": ["payments"]}, own) == "forbidden"
    assert await code("PATCH", "/v1/users/mate", {"may": ["nothing"]}, own) == "command_invalid"
    for method, path in (
        ("DELETE", "/v1/users/more"),
        ("POST", "/v1/users/more/password"),
        ("DELETE", "/v1/users/more/sessions"),
    ):
        assert await code(method, path, None, own) == "forbidden"

    assert await code("DELETE", "/v1/users/mate", None, own) == ""
    assert server.people.users.get("mate") is None


async def test_an_agent_or_a_customer_has_a_place(server: app.Application, client: httpx2.AsyncClient) -> None:
    """A slip of an administrator of the whole book does not show it to an agent or a customer."""
    admin = as_role(server)
    for role in ("master", "agent", "customer"):
        body = {"name": f"whole-{role}", "role": role, "scope": "/"}
        answer = await client.post("/v1/users", json=body, headers=admin)
        assert (answer.status_code, answer.json()["code"]) == (409, "user_invalid"), role
        assert server.people.users.get(f"whole-{role}") is None
    placed = {"name": "frank", "role": "agent", "scope": "/M1"}
    assert (await client.post("/v1/users", json=placed, headers=admin)).status_code == 201
    answer = await client.patch("/v1/users/frank", json={"scope": "/"}, headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (409, "user_invalid")


async def test_nobody_disables_the_own_user(server: app.Application, client: httpx2.AsyncClient) -> None:
    """So an administrator does not lock everybody out by mistake."""
    password = (await add(server, client, "eve", "admin"))["password"]
    headers = await enter(server, client, "eve", password)
    assert headers is not None
    said = (await client.get("/v1/session", headers=headers)).json()
    assert "delegate" in said["rights"]
    assert (said["gives"]["service"], said["hasPassword"]) == ("machine", True)
    assert {"audit", "kpi"} <= set(said["topics"])
    answer = await client.patch("/v1/users/eve", json={"disabled": True}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_nobody_becomes_another_by_the_name_of_a_user(tmp_path: Path) -> None:
    """Who administers /M1 adds its own agents and customers by their names, and staff by names that nobody has."""
    book = make_book(tmp_path / "book.db")
    async with (
        app.running(make_config(tmp_path / "data", book)) as server,
        httpx2.AsyncClient(base_url=server.address.url, timeout=60) as client,
    ):
        below = as_role(server, scope="/M1")

        async def code(name: str, role: str, scope: str, headers: dict[str, str] = below) -> str:
            body = {"name": name, "role": role, "scope": scope}
            answer = await client.post("/v1/users", json=body, headers=headers)
            return str(answer.json().get("code", ""))

        await until(lambda: server.delivery.knows_scope("/M1/A1"))
        assert await code("M2", "agent", "/M1/A1") == "user_invalid"
        assert await code("M2", "agent", "/M1/M2") == "scope_forbidden"
        assert await code("M2", "customer", "/M1/A1") == "user_invalid"
        assert await code("ann", "risk", "/M1") == "user_invalid"
        assert await code("ann@M1", "risk", "/M1/nowhere") == "scope_forbidden"
        for name in ("local", "cli"):
            assert await code(name, "admin", "/", as_role(server)) == "user_invalid"
        assert await code("ann@M1", "risk", "/M1") == ""
        assert await code("A1", "agent", "/M1/A1") == ""
        assert await code("M2", "agent", "/M1/A1", as_role(server)) == ""  # who has the whole book may
        answer = await client.delete("/v1/users/M2", headers=below)
        assert answer.json()["code"] == "user_invalid"
        assert (await client.delete("/v1/users/A1", headers=below)).status_code == 204

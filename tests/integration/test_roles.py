"""Roles at a running server: over HTTP and by the program, and what becomes of those who follow what they lose."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from fire22.core.message import Json
from tests.integration.inside import bench_event, make_config, talking
from tests.integration.test_http import Answer, request

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book."""
    async with app.running(make_config(tmp_path_factory.mktemp("roles"))) as running:
        yield running


def token(server: app.Application, role: str, scope: str = "/") -> str:
    """A token of this server's key."""
    return server.tokens.sign(subject="ann", role=role, scope=scope, ttl_s=600, now_ms=app.now_ms())


async def put(server: app.Application, name: str, role: dict[str, Json], by: str = "admin") -> Answer:
    """Change a role."""
    return await request(server, "PUT", f"/v1/roles/{name}", role, token=token(server, by))


async def test_a_role_is_added_and_changed(server: app.Application) -> None:
    """An administrator sees the table, adds a clerk and gives it less, which holds for the next request."""
    listed = await request(server, "GET", "/v1/roles", token=token(server, "admin"))
    roles = listed.json["roles"]
    assert isinstance(roles, dict)
    assert {"admin", "customer"} <= roles.keys()
    clerk: dict[str, Json] = {"topics": ["kpi"], "commands": {"balance.adjust": {"aloneMaxMinor": 100_000}}}
    assert (await request(server, "GET", "/v1/roles/clerk", token=token(server, "admin"))).code == "role_unknown"
    assert (await put(server, "clerk", clerk)).status == 201
    found = await request(server, "GET", "/v1/roles/clerk", token=token(server, "admin"))
    assert (found.json["topics"], found.json["commands"]) == (clerk["topics"], clerk["commands"])
    mine = token(server, "clerk")
    assert (await request(server, "GET", "/v1/views/kpi", token=mine)).status == 200
    assert (await put(server, "clerk", {"topics": []})).status == 200
    assert (await request(server, "GET", "/v1/views/kpi", token=mine)).code == "topic_forbidden"


@pytest.mark.parametrize("role", ["service", "risk", "auditor", "master", "agent", "customer", "cashier"])
async def test_who_does_not_administer(server: app.Application, role: str) -> None:
    """No other role sees or changes the table."""
    for method, path, body in (
        ("GET", "/v1/roles", None),
        ("GET", "/v1/roles/admin", None),
        ("PUT", "/v1/roles/x", {}),
    ):
        answer = await request(server, method, path, body, token=token(server, role))
        assert (answer.status, answer.code) == (403, "forbidden")
    below = await request(server, "GET", "/v1/roles", token=token(server, "admin", "/M1"))
    assert below.code == "forbidden"


async def test_a_malformed_role(server: app.Application) -> None:
    """What was meant is not guessed."""
    assert (await put(server, "clerk2", {"topic": ["kpi"]})).code == "command_invalid"
    assert (await put(server, "admin", {})).code == "forbidden"


async def test_who_follows_what_it_loses(server: app.Application) -> None:
    """A subscription to a topic that its role loses ends at once and is named; the connection goes on."""
    assert (await put(server, "watcher", {"topics": ["kpi", "bench"]})).status == 201
    async with (
        talking(server, token=token(server, "watcher")) as loses,
        talking(server, token=token(server, "watcher")) as stays,
    ):
        await loses.ask("subscribe", target="kpi")
        await stays.ask("subscribe", target="bench")
        assert (await put(server, "watcher", {"topics": ["bench"]})).status == 200
        error = await loses.message(lambda message: message.type == "error")
        assert (error.code, error.target, error.scope) == ("topic_forbidden", "kpi", "/")
        assert await loses.refused("unsubscribe", target="kpi") == "not_subscribed"
        assert await stays.ask("unsubscribe", target="bench") is not None


async def test_a_masked_field(server: app.Application) -> None:
    """What a role may not see is in nothing that it reads, and it cannot ask for it by a filter either."""
    masks: dict[str, Json] = {"bench": ["number"], "wagers": ["customerId"]}
    role: dict[str, Json] = {"topics": ["bench", "wagers"], "masks": masks}
    assert (await put(server, "narrow", role)).status == 201
    async with talking(server, token=token(server, "narrow")) as sees_less, talking(server) as sees:
        await sees_less.ask("subscribe", target="bench")
        await sees.ask("subscribe", target="bench")
        for number in (1, 2):
            event = bench_event(f"masked-{number}", {"number": number, "text": "seen"})
            await sees.ask("publish", event=event)
            masked, whole = await sees_less.update(), await sees.update()
            assert whole.data == {"number": number, "text": "seen"}
            assert masked.data == ({"text": "seen"} if number == 1 else whole.data)
            # From here on it may see all: the subscription that is open goes on with that.
            assert (await put(server, "narrow", role | {"masks": {} if number == 1 else masks})).status == 200
        answer = await request(server, "GET", "/v1/history/bench?limit=2", token=token(server, "narrow"))
        assert b"seen" in answer.body and b"number" not in answer.body
        filter: dict[str, Json] = {"customerId": "C1"}
        await sees.ask("subscribe", target="wagers", filter=filter)
        assert await sees_less.refused("subscribe", target="wagers", filter=filter) == "filter_field_unknown"
        assert await sees_less.refused("history", target="wagers", filter=filter) == "filter_field_unknown"


async def test_a_filter_on_a_field_that_is_masked_since(server: app.Application) -> None:
    """A subscription whose filter asks for a field ends when its role no longer sees it: which messages come would
    tell."""
    role: dict[str, Json] = {"topics": ["wagers"]}
    assert (await put(server, "filtering", role)).status == 201
    async with talking(server, token=token(server, "filtering")) as reader:
        await reader.ask("subscribe", target="wagers", filter={"customerId": "C1"})
        assert (await put(server, "filtering", role | {"masks": {"wagers": ["customerId"]}})).status == 200
        error = await reader.message(lambda message: message.type == "error")
        assert (error.code, error.target) == ("filter_invalid", "wagers")
        assert await reader.refused("unsubscribe", target="wagers") == "not_subscribed"


async def test_changes_are_noted(server: app.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit trail has who changed which role, from what to what."""
    notes: list[tuple[str, str, Json, Json]] = []

    def note(action: str, **said: Any) -> None:
        if action == "role.changed":
            notes.append((said["principal"].user, said["target"], said["before"], said["after"]["topics"]))

    monkeypatch.setattr(server.service.audit, "note", note)
    await put(server, "noted", {"topics": ["kpi"]})
    await put(server, "noted", {"topics": []})
    await put(server, "admin", {})
    (first, second) = notes
    assert first == ("staff:ann", "role:noted", None, ["kpi"])
    assert isinstance(second[2], dict)
    assert (second[2]["topics"], second[3]) == (["kpi"], [])


async def program(*arguments: str, said: bytes = b"") -> tuple[int, bytes, bytes]:
    """What the program does: its status, what it prints and what it reports."""
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fire22", *arguments, stdin=pipe, stdout=pipe, stderr=pipe
    )
    printed, reported = await running.communicate(said)
    return running.returncode or 0, printed, reported


async def test_the_program_changes_roles(server: app.Application) -> None:
    """An operator adds a role from a file, sees it, and gets a token for it."""
    where = ("--url", server.address.url, "--data", str(server.config.folder))
    role = msgspec.json.encode({"topics": ["bench"]})
    status, printed, _ = await program("role", "set", "teller", "-", *where, said=role)
    assert (status, msgspec.json.decode(printed)["topics"]) == (0, ["bench"])
    _, printed, _ = await program("role", "list", *where)
    assert b"teller\tstaff\n" in printed
    assert (await program("role", "show", "teller", *where))[0] == 0
    status, _, reported = await program("role", "show", "nobody", *where)
    assert (status, b"role_unknown" in reported) == (1, True)
    status, printed, _ = await program("token", "--data", str(server.config.folder), "--role", "teller")
    assert status == 0
    bearer = printed.decode().strip()
    assert (await request(server, "GET", "/v1/history/bench", token=bearer)).status == 200
    assert (await program("token", "--data", str(server.config.folder), "--role", "stranger"))[0] == 1

"""Tests for what a running server brings into its audit trail."""

from pathlib import Path

from fire22 import app
from fire22.core.audit import AUDITED, Audited, decode_audited
from fire22.core.event import decode_event
from fire22.core.message import Json
from tests.integration.inside import make_book, make_config, sign, talking, until
from tests.integration.test_http import request


async def entries(server: app.Application) -> list[Audited]:
    """The trail, as the log has it."""
    await server.audit.durable()
    events = [decode_event(body) for group in await server.log.groups(0) for body in group.bodies]
    return [decode_audited(event.data) for event in events if event.type == AUDITED]


async def test_a_refused_command_is_in_the_trail(tmp_path: Path) -> None:
    """An auditor finds who asked for what they may not do, in which role, for which scope, and from where."""
    async with app.running(make_config(tmp_path / "data", make_book(tmp_path / "book.db"))) as server:
        await until(lambda: server.delivery.knows_scope("/M1/A1"))
        path = "/v1/commands/wager.void"
        customer = sign(server, role="customer", scope="/M1/A1")
        body: Json = {"wagerId": "W1"}
        answer = await request(server, "POST", path, body, token=customer, Idempotency_Key="k1")
        assert answer.status == 403, answer.body
        (refused,) = [entry for entry in await entries(server) if entry.outcome == "forbidden"]
    assert (refused.action, refused.user, refused.role) == ("request.refused", "customer:test", "customer")
    assert (refused.scope, refused.address, refused.target) == ("/M1/A1", "127.0.0.1", path)


async def test_what_a_person_publishes_is_in_the_trail(tmp_path: Path) -> None:
    """Events by hand are noted, over HTTP and WebSocket; a machine's are not, which come in thousands."""
    async with app.running(make_config(tmp_path / "data")) as server:
        event: dict[str, Json] = {
            "id": "e1",
            "type": "some.thing",
            "source": "test",
            "timestamp": "2026-01-01T00:00:00Z",
            "data": 1,
        }
        assert (await request(server, "POST", "/v1/events", event, token=sign(server))).status == 202
        service = sign(server, role="service")
        assert (await request(server, "POST", "/v1/events", event | {"id": "e2"}, token=service)).status == 202
        async with talking(server) as talk:
            await talk.ask("publish", event=event | {"id": "e3"})
        noted = [(entry.action, entry.user, entry.target) for entry in await entries(server)]
    assert ("access.begun", "staff:test", "") in noted and ("access.begun", "machine:test", "") in noted
    assert [each for each in noted if each[0] != "access.begun"] == [
        ("request.done", "staff:test", "POST /v1/events"),
        ("event.published", "staff:test", "e3"),
    ]


async def test_a_bad_token_is_in_the_trail(tmp_path: Path) -> None:
    """Whoever tries tokens leaves their address, and no token."""
    async with app.running(make_config(tmp_path / "data")) as server:
        assert (await request(server, "GET", "/v1/views/kpi", token="no.such.token")).status == 401
        (entry,) = await entries(server)
    assert (entry.action, entry.outcome, entry.address, entry.user) == (
        "request.refused",
        "token_invalid",
        "127.0.0.1",
        "",
    )

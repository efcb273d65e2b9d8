"""The HTTP gateway of a running server, over real sockets: events, snapshots, sign-in, health, and the page's files."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
import uvloop
from docs.generated import metrics as metrics_table
from msgspec import Struct

from fire22 import app
from fire22.core.message import Json
from fire22.core.position import Position
from fire22.gateways.sign_in import SESSION_COOKIE
from fire22.security.sessions import SessionSecret, csrf_of
from fire22.sources.clock import clock_event
from fire22.sources.idle import idle_event
from tests.integration.inside import WAIT_S, bench_event, make_book, make_config, sign, talking, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop


class Answer(Struct):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()

    @property
    def json(self) -> dict[str, Json]:
        """The body, an object."""
        return msgspec.json.decode(self.body, type=dict[str, Json])

    @property
    def code(self) -> str:
        """The code of an error, which must be in the one shape of errors."""
        body = self.json
        assert self.headers["content-type"] == "application/json"
        assert body["type"] == "error"
        data = body["data"]
        assert isinstance(data, dict)
        assert (body["code"], body["message"]) == (data["code"], data["message"])
        return str(body["code"])


async def request(
    server: app.Application,
    method: str,
    path: str,
    body: Json = None,
    *,
    token: str | None = "",
    raw: bytes | None = None,
    **headers: str,
) -> Answer:
    """One request on a connection of its own; the path is sent as it is."""
    content = raw if raw is not None else b"" if body is None else msgspec.json.encode(body)
    if token is not None:
        headers["Authorization"] = f"Bearer {token or sign(server)}"
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.address.port}", "Connection: close"]
    if method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(content)}")
        headers = {"Content-Type": "application/json"} | headers
        secret = headers.get("Cookie", "").partition(f"{SESSION_COOKIE}=")[2].partition(";")[0]
        if secret:
            headers = {"X-CSRF-Token": csrf_of(SessionSecret(secret))} | headers
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        async with asyncio.timeout(WAIT_S):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            rest = await reader.read(-1)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    status, *fields = head.strip().split("\r\n")
    return Answer(
        int(status.split()[1]),
        {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)},
        rest,
        tuple(each.partition(": ")[2] for each in fields if each.lower().startswith("set-cookie:")),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server on a small book, for all tests."""
    folder = tmp_path_factory.mktemp("http")
    config = make_config(
        folder / "data", make_book(folder / "book.db"), server={"events_bytes_max": 50_000}, auth={"session_hours": 2}
    )
    async with app.running(config) as running:
        await until(lambda: running.delivery.knows_scope("/M1/A1"))
        yield running


# Events.


async def test_one_event(server: app.Application) -> None:
    """An event is accepted once it is durable, and a repeat is told from a new one."""
    event = bench_event("one")
    answer = await request(server, "POST", "/v1/events", event)
    assert answer.status == 202
    results = answer.json["results"]
    assert isinstance(results, list)
    [first] = results
    assert isinstance(first, dict)
    assert (first["id"], first["repeat"]) == ("one", False)
    again = await request(server, "POST", "/v1/events", event)
    assert (again.status, again.json) == (200, {"results": [first | {"repeat": True}]})


async def test_many_events(server: app.Application) -> None:
    """An array is appended in its order; only where all were repeats the answer is 200."""
    events: list[Json] = [bench_event(f"many-{number}") for number in range(20)]
    answer = await request(server, "POST", "/v1/events", events[:10])
    assert answer.status == 202
    mixed = await request(server, "POST", "/v1/events", events)
    assert mixed.status == 202
    results = mixed.json["results"]
    assert isinstance(results, list)
    rows = [(row["id"], row["seq"], row["repeat"]) for row in results if isinstance(row, dict)]
    assert [id for id, _, _ in rows] == [f"many-{number}" for number in range(20)]
    assert [repeat for _, _, repeat in rows] == [True] * 10 + [False] * 10
    numbers = [seq for _, seq, _ in rows]
    assert numbers == sorted(numbers, key=lambda seq: seq if isinstance(seq, int) else 0)
    assert (await request(server, "POST", "/v1/events", events)).status == 200


@pytest.mark.parametrize(
    ("bad", "status", "code"),
    [
        (bench_event("taken", 2), 409, "id_conflict"),
        (bench_event("") | {"id": ""}, 400, "event_invalid"),
        (bench_event("system", {}) | {"type": "system.clock"}, 400, "event_invalid"),
        (bench_event("wager") | {"type": "wager.placed", "data": {}}, 400, "event_invalid"),
        (bench_event("direct", tags=["to:role:7"]), 400, "event_invalid"),
    ],
)
async def test_all_or_nothing(server: app.Application, bad: dict[str, Json], status: int, code: str) -> None:
    """Where one of many cannot be taken, none is."""
    await request(server, "POST", "/v1/events", bench_event("taken", 1))
    before = bench_event(f"before {bad['id']}")
    answer = await request(server, "POST", "/v1/events", [before, bad, bench_event(f"after {bad['id']}")])
    assert (answer.status, answer.code) == (status, code)
    assert (await request(server, "POST", "/v1/events", before)).status == 202  # not a repeat


async def test_nobody_takes_an_id_of_the_servers_own(tmp_path: Path) -> None:
    """Who guesses the id of the next clock, or of a book's next fact, could otherwise keep it from being appended."""
    async with app.running(make_config(tmp_path / "data", make_book(tmp_path / "book.db"))) as server:
        await until(lambda: server.shows_all and server.hub.knows_scope("/M1/A1"))
        groups = await server.log.groups(0)
        own = {str(msgspec.json.decode(body, type=dict[str, Json])["id"]) for group in groups for body in group.bodies}
        own |= {clock_event(1_790_000_000_000).id, idle_event(7, 1_790_000_000_000).id}  # which come later
        kinds = {re.sub(r"[0-9a-f]{12}:", "book:", id).partition(":")[0]: id for id in own}
        assert set(kinds) == {"configured", "clock", "now", "idle", "book"}
        for id in kinds.values():
            answer = await request(server, "POST", "/v1/events", bench_event(id, 1))
            assert (answer.status, answer.code) == (400, "event_invalid"), id


async def test_more_events_than_a_request_holds(tmp_path: Path) -> None:
    """10,000 events are the most that one request may bring; with one more none is taken."""
    many: list[Json] = [bench_event(f"many {number}") for number in range(10_001)]
    async with app.running(make_config(tmp_path)) as server:
        answer = await request(server, "POST", "/v1/events", many)
        assert (answer.status, answer.code) == (400, "event_invalid")
        assert (await request(server, "POST", "/v1/events", many[:10_000])).status == 202  # no repeat among them


async def test_index_of_the_bad_one(server: app.Application) -> None:
    """Whoever sends many is told which one is wrong."""
    bad = bench_event("bad") | {"type": "wager.placed", "data": {"wagerId": 7}}
    answer = await request(server, "POST", "/v1/events", [bench_event("good"), bad])
    assert answer.json["details"] == {"index": 1}
    answer = await request(server, "POST", "/v1/events", [bench_event("good"), bench_event("bad") | {"source": 5}])
    assert "$[1].source" in str(answer.json["message"])


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "json_invalid"),
        (b"{", "json_invalid"),
        (b"nonsense", "json_invalid"),
        (b"\xff\xfe", "json_invalid"),
        (b"[]", "event_invalid"),
        (b"7", "event_invalid"),
        (b"{}", "event_invalid"),
        (b"[[]]", "event_invalid"),
        (b"[" * 40_000, "event_invalid"),
        (b'{"id":"a","data":' + b"[" * 40_000, "event_invalid"),
        (json.dumps(bench_event("deep")).replace("null", "[" * 900 + "]" * 900).encode(), "event_invalid"),
        (json.dumps(bench_event("early") | {"timestamp": "0001-01-01T00:00:00Z"}).encode(), "event_invalid"),
        (b"[1,2]", "event_invalid"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_bodies(server: app.Application, raw: bytes, code: str) -> None:
    """A body that holds no events is refused with a code, and the server goes on."""
    answer = await request(server, "POST", "/v1/events", raw=raw)
    assert (answer.status, answer.code) == (400, code)
    assert (await request(server, "GET", "/readyz")).status == 200


async def test_large_body(server: app.Application) -> None:
    """A body beyond the limit is refused, whether its length is said or not."""
    answer = await request(server, "POST", "/v1/events", bench_event("large", "x" * 60_000))
    assert (answer.status, answer.code) == (413, "message_too_large")
    chunk = b"8000\r\n" + b"[" * 0x8000 + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    writer.write(
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sign(server)}\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
        + chunk * 2
        + b"0\r\n\r\n"
    )
    async with asyncio.timeout(WAIT_S):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()


async def test_body_that_never_ends(server: app.Application) -> None:
    """A client that goes away within its body is no failure of the server."""
    before = errors(server, "internal")
    _, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    writer.write(
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sign(server)}\r\nContent-Length: 999\r\n\r\n"
        "[".encode()
    )
    await writer.drain()
    await request(server, "GET", "/healthz")
    writer.transport.abort()
    for _ in range(3):
        await request(server, "GET", "/healthz")
    assert errors(server, "internal") == before


def errors(server: app.Application, code: str) -> float:
    """How often a code was answered or met."""
    found = re.search(rf'fire22_errors_total{{code="{code}"}} (\S+)', server.metrics.text().decode())
    return float(found[1]) if found else 0.0


async def test_who_may_publish(server: app.Application) -> None:
    """Only a role that may publish appends; without a good token nobody does."""
    event = bench_event("who")
    for token, status, code in (
        (None, 401, "auth_required"),
        ("nonsense", 401, "token_invalid"),
        (sign(server, ttl_s=-1), 401, "token_expired"),
        (sign(server, role="agent", scope="/M1"), 403, "forbidden"),
        (sign(server, role="owner"), 403, "forbidden"),
    ):
        answer = await request(server, "POST", "/v1/events", event, token=token)
        assert (answer.status, answer.code) == (status, code)
        assert ("www-authenticate" in answer.headers) is (status == 401)
    answer = await request(server, "POST", "/v1/events", event, token=None, Authorization="Basic dXNlcjpwYXNz")
    assert (answer.status, answer.code) == (401, "auth_required")
    assert (await request(server, "POST", "/v1/events", event)).status == 202


# Snapshots.


async def test_view(server: app.Application) -> None:
    """A view's documents of now come with their position, and again only when they have changed."""
    answer = await request(server, "GET", "/v1/views/kpi?scope=/M1")
    assert answer.status == 200
    view = answer.json
    assert (view["topic"], view["scope"]) == ("kpi", "/M1")
    position = Position.parse(str(view["position"]))
    assert position.epoch == server.feed.epoch
    documents = view["documents"]
    assert isinstance(documents, list)
    [document] = documents
    assert isinstance(document, dict)
    assert (document["type"], document["target"], document["scope"]) == ("kpi_update", "kpi", "/M1")
    assert isinstance(document["data"], dict)
    assert {"revenue", "activePlayers", "pending", "totalLiability", "change"} <= document["data"].keys()
    same = await request(server, "GET", "/v1/views/kpi?scope=/M1", If_None_Match=answer.headers["etag"])
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", answer.headers["etag"])
    other = await request(server, "GET", "/v1/views/kpi?scope=/M1", If_None_Match='"something-else"')
    assert other.status == 200


async def test_history(server: app.Application) -> None:
    """A page of a stream's past and where the next one begins, over plain HTTP; bad requests name what is wrong."""
    for number in range(5):
        body = bench_event(f"e{number}", {"n": number})
        assert (await request(server, "POST", "/v1/events", body)).status == 202
    await until(lambda: not server.runner.behind and server.delivery.flushed == server.engine.checkpoint.offset)
    found: list[Json] = []
    query = "?limit=2"
    while query:
        answer = await request(server, "GET", f"/v1/history/bench{query}")
        assert answer.status == 200
        page = json.loads(answer.body)
        found = [message["data"] for message in page["messages"]] + found
        query = f"?limit=2&before={page['before']}" if "before" in page else ""
    assert found[-5:] == [{"n": number} for number in range(5)]
    for path, code in (
        ("kpi", "command_invalid"),
        ("nothing", "topic_unknown"),
        ("bench?limit=501", "command_invalid"),
        ("bench?limit=many", "command_invalid"),
        ("bench?after=1", "command_invalid"),
        ("wagers?scope=M1", "scope_invalid"),
    ):
        answer = await request(server, "GET", f"/v1/history/{path}")
        assert json.loads(answer.body)["code"] == code


async def test_view_and_stream_meet(server: app.Application) -> None:
    """The position of a snapshot is where a WebSocket goes on."""
    view = (await request(server, "GET", "/v1/views/kpi")).json
    async with talking(server) as talk:
        data = await talk.ask("subscribe", target="kpi", after=view["position"])
        assert data["recovered"] is True


@pytest.mark.parametrize(
    ("path", "role", "scope", "status", "code"),
    [
        ("/v1/views/nothing", "admin", "/", 404, "topic_unknown"),
        ("/v1/views/agents", "admin", "/", 404, "topic_unknown"),
        ("/v1/views/wagers", "admin", "/", 404, "topic_unknown"),
        ("/v1/views/kpi?scope=M1", "admin", "/", 400, "scope_invalid"),
        ("/v1/views/kpi?scope=", "admin", "/", 400, "scope_invalid"),
        ("/v1/views/kpi?scope=/Nobody", "admin", "/", 404, "scope_unknown"),
        ("/v1/views/kpi?scope=/", "agent", "/M1", 403, "scope_forbidden"),
        ("/v1/views/kpi?scope=/M10", "agent", "/M1", 403, "scope_forbidden"),
        ("/v1/views/kpi", "cashier", "/", 403, "topic_forbidden"),
        ("/v1/views/kpi?at=2026-01-01T00:00:00Z", "admin", "/", 400, "not_supported"),
        ("/v1/views/kpi?scop=/M1", "admin", "/", 400, "command_invalid"),
    ],
)
async def test_refused_views(server: app.Application, path: str, role: str, scope: str, status: int, code: str) -> None:
    """A snapshot is under the same check as a subscription."""
    answer = await request(server, "GET", path, token=sign(server, role=role, scope=scope))
    assert (answer.status, answer.code) == (status, code)


async def test_own_scope_by_default(server: app.Application) -> None:
    """An agent that names no scope gets its own."""
    answer = await request(server, "GET", "/v1/views/kpi", token=sign(server, role="agent", scope="/M1/A1"))
    assert answer.json["scope"] == "/M1/A1"


# Sign-in.


async def test_sign_in(server: app.Application) -> None:
    """A link signs one browser in, once; its cookie is kept from scripts and works until it is signed out."""
    code = server.link().partition("#code=")[2]
    answer = await request(server, "POST", "/v1/session", {"code": code}, token=None)
    assert answer.status == 200
    assert (answer.json["role"], answer.json["scope"]) == ("admin", "/")
    assert (answer.json["currency"], answer.json["decimals"]) == ("USD", 2)
    cookie = answer.headers["set-cookie"]
    assert re.match(rf"{SESSION_COOKIE}=[\w.-]+; HttpOnly; Max-Age=7200; SameSite=strict", cookie)
    held = cookie.partition(";")[0]
    again = await request(server, "POST", "/v1/session", {"code": code}, token=None)
    assert (again.status, again.code) == (401, "code_invalid")
    assert "set-cookie" not in again.headers
    who = await request(server, "GET", "/v1/session", token=None, Cookie=held)
    assert (who.status, who.json) == (200, answer.json)
    assert (await request(server, "GET", "/v1/views/kpi", token=None, Cookie=held)).status == 200
    own = {"Cookie": held, "Origin": f"http://127.0.0.1:{server.address.port}"}
    out = await request(server, "DELETE", "/v1/session", token=None, raw=None, **own)
    assert out.status == 204
    assert re.match(rf'{SESSION_COOKIE}=""; .*Max-Age=0', out.headers["set-cookie"])
    gone = await request(server, "GET", "/v1/session", token=None, Cookie=held)
    assert (gone.status, gone.code) == (401, "token_invalid")


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "json_invalid"),
        (b"{}", 400, "json_invalid"),
        (b'{"code":7}', 400, "json_invalid"),
        (b'{"code":"x","more":1}', 400, "json_invalid"),
        (b'{"code":"x","name":"ann","password":"y"}', 400, "json_invalid"),  # pragma: allowlist secret
        (b'{"name":"ann"}', 400, "json_invalid"),
        (b'{"name":"ann","password":"guess"}', 401, "sign_in_failed"),  # pragma: allowlist secret
        (b'{"code":"guess"}', 401, "code_invalid"),
        (b"[" * 1_000, 400, "json_invalid"),
        (b"x" * 1_025, 413, "message_too_large"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_sign_in(server: app.Application, raw: bytes, status: int, code: str) -> None:
    """What is no code signs nobody in."""
    answer = await request(server, "POST", "/v1/session", token=None, raw=raw)
    assert (answer.status, answer.code) == (status, code)


async def test_nobody_is_signed_in(server: app.Application) -> None:
    """Without a token the page learns that it must ask for one."""
    answer = await request(server, "GET", "/v1/session", token=None)
    assert (answer.status, answer.code) == (401, "auth_required")
    answer = await request(server, "GET", "/v1/session", token=None, Cookie=f"{SESSION_COOKIE}=nonsense")
    assert (answer.status, answer.code) == (401, "token_invalid")


async def test_session_without_end(server: app.Application) -> None:
    """A token that ends later than a calendar can say is as good as any other, or none at all."""
    token = sign(server, ttl_s=10**12)
    answer = await request(server, "GET", "/v1/session", token=token)
    assert (answer.status, answer.code) == (401, "token_invalid")


# Health, metrics, the page.


async def test_health(server: app.Application) -> None:
    """An operator sees that the process lives and that every stage works."""
    answer = await request(server, "GET", "/healthz", token=None)
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    answer = await request(server, "GET", "/readyz", token=None)
    assert (answer.status, answer.json["status"]) == (200, "ok")
    parts = answer.json["parts"]
    assert isinstance(parts, dict)
    assert {"log", "flows", "sqlite:book"} <= parts.keys()
    assert set(parts.values()) == {"ok"}


async def test_not_ready_while_it_ends(server: app.Application) -> None:
    """A server that shuts down says so before it is gone."""
    server.service.draining = True
    try:
        answer = await request(server, "GET", "/readyz", token=None)
        assert (answer.status, answer.json["status"]) == (503, "degraded")
    finally:
        server.service.draining = False


async def test_metrics(server: app.Application) -> None:
    """Prometheus finds connections, lags and errors by code."""
    await request(server, "GET", "/v1/views/nothing")
    async with talking(server) as talk:
        await talk.ask("ping")
        answer = await request(server, "GET", "/metrics", token=None)
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.body.decode()
    assert 'fire22_connections{transport="websocket"} 1.0' in text
    assert re.search(r'fire22_errors_total\{code="topic_unknown"\} [1-9]', text)
    for stage in ("log", "flows", "feed", "hub"):
        assert f'fire22_lag{{stage="{stage}"}}' in text
    shown = set(re.findall(r"^# TYPE (fire22_\w+)", text, re.MULTILINE)) - {"fire22_errors_created"}
    assert {"fire22_lanes", "fire22_messages_total", "fire22_dead_letters", "fire22_shed_total"} <= shown
    assert shown <= set(re.findall(r"`(\w+)`", metrics_table()))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/views/", 404, "not_found"),
        ("GET", "/v1/views/kpi/more", 404, "not_found"),
        ("GET", "/v1/events", 405, "method_not_allowed"),
        ("DELETE", "/v1/events", 405, "method_not_allowed"),
        ("POST", "/v1/views/kpi", 405, "method_not_allowed"),
        ("PUT", "/v1/session", 405, "method_not_allowed"),
        ("POST", "/", 405, "method_not_allowed"),
        ("POST", "/assets/app.js", 405, "method_not_allowed"),
        ("GET", "/assets/", 404, "not_found"),
        ("GET", "/assets/missing.js", 404, "not_found"),
    ],
)
async def test_addresses(server: app.Application, method: str, path: str, status: int, code: str) -> None:
    """A wrong address or method is answered in the one shape of errors."""
    answer = await request(server, method, path)
    assert (answer.status, answer.code) == (status, code)
    assert ("allow" in answer.headers) is (status == 405)


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/v1/session", "/assets/app.js", "/client/index.js"])
async def test_security_headers(server: app.Application, path: str) -> None:
    """Answers keep a browser from guessing types, leaking addresses, loading anything foreign, or keeping data."""
    headers = (await request(server, "GET", path, token=None)).headers
    of_the_page = path == "/" or path.endswith(".js")
    assert headers["cache-control"] == ("no-cache" if of_the_page else "no-store")
    assert "object-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "camera=()" in headers["permissions-policy"]
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "strict-transport-security" not in headers  # it means nothing over plain HTTP (RFC 6797 section 7.2)
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/v1/views/kpi", "/v1/history/wagers", "/v1/roles", "/v1/tokens", "/metrics"])
async def test_figures_stay_out_of_caches(server: app.Application, path: str) -> None:
    """Whoever uses the browser next finds nobody's figures in its cache."""
    answer = await request(server, "GET", path)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")


async def test_page(server: app.Application) -> None:
    """The page and its modules are there for everybody, and are asked for again when they change."""
    page = await request(server, "GET", "/", token=None)
    assert (page.status, page.headers["cache-control"]) == (200, "no-cache")
    assert b"<!doctype html>" in page.body.lower()
    for path, kind in (
        ("/assets/app.js", "javascript"),
        ("/assets/style.css", "css"),
        ("/client/index.js", "javascript"),
    ):
        answer = await request(server, "GET", path, token=None)
        assert answer.status == 200
        assert kind in answer.headers["content-type"]
        assert answer.headers["cache-control"] == "no-cache"
        again = await request(server, "GET", path, token=None, If_None_Match=answer.headers["etag"])
        assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("folder", ["/assets", "/client"])
@pytest.mark.parametrize(
    "path",
    [
        "/../../config.py",
        "/../__init__.py",
        "/%2e%2e/config.py",
        "/..%2fconfig.py",
        "/%2e%2e%2fconfig.py",
        "/..\\config.py",
        "/....//config.py",
        "//etc/passwd",
        "/%00",
        "/" + "a" * 5_000,
        "/" + "../" * 20 + "etc/passwd",
    ],
)
async def test_files_outside(server: app.Application, folder: str, path: str) -> None:
    """No path leads out of the folders of the page."""
    answer = await request(server, "GET", folder + path, token=None)
    assert (answer.status, answer.code) == (404, "not_found")
    assert b"root:" not in answer.body
    assert b"Config" not in answer.body


async def test_requests_that_are_no_http(server: app.Application) -> None:
    """What is not HTTP costs its sender the connection, and nobody else anything."""
    began = time.monotonic()
    for data in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\x00" * 1_000, b"GET / HTTP/9.9\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
        writer.write(data)
        async with asyncio.timeout(WAIT_S):
            answer = await reader.read(-1)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    assert (await request(server, "GET", "/healthz")).status == 200
    assert time.monotonic() - began < WAIT_S


async def test_keep_alive(server: app.Application) -> None:
    """Many requests may share a connection, also after one that was refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    for path, status in (("/healthz", 200), ("/nothing", 404), ("/v1/session", 401), ("/healthz", 200)):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with asyncio.timeout(WAIT_S):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            assert length is not None
            await reader.readexactly(int(length[1]))
        assert head.startswith(f"http/1.1 {status} ")
    writer.close()
    await writer.wait_closed()

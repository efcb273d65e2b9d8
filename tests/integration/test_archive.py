"""The archive of a running server, over real sockets: pages of closed periods, as JSON and CSV."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urljoin

import pytest
import pytest_asyncio
import uvloop
from msgspec import Raw

from fire22 import app
from fire22.core.message import Json
from fire22.sportsbook import domain
from tests.integration.inside import bench_event, make_config, sign, until
from tests.integration.test_http import request
from tests.support import archiver

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop
DAYS = [f"2026-03-{day:02d}" for day in range(1, 11)]


@pytest.fixture(scope="module")
def with_archiver() -> Iterator[None]:
    """The domain has one more flow, which keeps every number for ever."""
    flows, decode = domain.flows, domain.decode

    def decode_more(type: str, data: Raw) -> object:
        return archiver.decode(type, data) or decode(type, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domain, "flows", lambda: (*flows(), archiver.Archiver("closed")))
        patch.setattr(domain, "decode", decode_more)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, with_archiver: None) -> AsyncIterator[app.Application]:
    """A server with ten closed days, the fourth of them restated."""
    async with app.running(make_config(tmp_path_factory.mktemp("archive") / "data")) as running:
        for number, day in enumerate([*DAYS, DAYS[3]]):
            data: Json = {"key": day, "value": number, "name": "=a, b"}
            event = bench_event(f"n{number}", data) | {"type": "number.said"}
            assert (await request(running, "POST", "/v1/events", event)).status == 202
        await until(lambda: running.feed.checkpoint.seq == running.log.last_seq)
        yield running


def documents(answer: dict[str, Json]) -> list[tuple[Json, Json, Json]]:
    """What a page holds, in short."""
    found = answer["documents"]
    assert isinstance(found, list)
    return [
        (each["key"], each["revision"], each["data"]["value"])
        for each in found
        if isinstance(each, dict) and isinstance(each["data"], dict)
    ]


async def test_pages(server: app.Application) -> None:
    """All closed periods come page by page, each as it was last restated, by what each page says of the next."""
    found: list[tuple[Json, Json, Json]] = []
    path = "/v1/archive/closed?limit=4"
    sizes = []
    while path:
        answer = await request(server, "GET", path)
        assert answer.status == 200
        assert (answer.json["topic"], answer.json["scope"]) == ("closed", "/")
        page = documents(answer.json)
        sizes.append(len(page))
        found += page
        path = urljoin(path, answer.headers["link"].partition(">")[0][1:]) if "after" in answer.json else ""
        assert ("link" in answer.headers) == bool(path)
    assert sizes == [4, 4, 2]
    assert found == [(day, 1, n) if n != 3 else (day, 2, 10) for n, day in enumerate(DAYS)]


async def test_revisions_and_ranges(server: app.Application) -> None:
    """An auditor asks for every revision of a day, or of some days."""
    answer = await request(server, "GET", "/v1/archive/closed?from=2026-03-04&to=2026-03-05&revisions=all")
    assert documents(answer.json) == [("2026-03-04", 1, 3), ("2026-03-04", 2, 10), ("2026-03-05", 1, 4)]
    answer = await request(server, "GET", "/v1/archive/closed?from=2026-04")
    assert documents(answer.json) == []


async def test_csv(server: app.Application) -> None:
    """A bookkeeper downloads a table under a name that says what it is."""
    answer = await request(server, "GET", "/v1/archive/closed?to=2026-03-02&format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="closed_2026-03-02.csv"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.body.decode() == (
        "key,revision,at,value,name\r\n"
        '2026-03-01,1,2026-03-01T12:00:00.000Z,0,"\'=a, b"\r\n'
        '2026-03-02,1,2026-03-01T12:00:00.000Z,1,"\'=a, b"\r\n'
    )


@pytest.mark.parametrize(
    ("path", "role", "scope", "status", "code"),
    [
        ("nothing", "admin", "/", 404, "topic_unknown"),
        ("plain", "admin", "/", 404, "topic_unknown"),
        ("direct", "admin", "/", 404, "topic_unknown"),
        ("closed", "agent", "/", 403, "topic_forbidden"),
        ("closed?scope=/", "admin", "/M1", 403, "scope_forbidden"),
        ("closed?scope=M1", "admin", "/", 400, "scope_invalid"),
        ("closed?limit=0", "admin", "/", 400, "command_invalid"),
        ("closed?after=x", "admin", "/", 400, "command_invalid"),
        ("closed?until=x", "admin", "/", 400, "command_invalid"),
    ],
)
async def test_refused(server: app.Application, path: str, role: str, scope: str, status: int, code: str) -> None:
    """The archive is under the same check as a view of the topic."""
    answer = await request(server, "GET", f"/v1/archive/{path}", token=sign(server, role=role, scope=scope))
    assert (answer.status, answer.code) == (status, code)

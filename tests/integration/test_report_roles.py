"""Who is told what agents earn: by every way that reports and commissions can be read."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from fire22.core.event import encode_event
from tests.integration.inside import make_config, sign, talking, until
from tests.integration.test_http import request
from tests.support.histories import History
from tests.support.storage import START_MS, folding, opened, wait_folded

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop
EVENTS = 900


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server with some weeks of a small book, whose agents have earned."""
    data = tmp_path_factory.mktemp("roles") / "data"
    data.mkdir()
    events = [encode_event(event) for event in History(12).take(EVENTS)]
    async with opened(data / "flows.db") as storage, folding(storage, app.build_engine(())):
        for start in range(0, EVENTS, 50):
            await storage.log.append(events[start : start + 50])
        await wait_folded(storage, EVENTS)
    async with app.running(make_config(data)) as running:
        ended_ms = START_MS + 60 * 86_400_000
        await until(lambda: running.feed.checkpoint.watermark_ms > ended_ms)
        yield running


@pytest.mark.parametrize("format", ["json", "csv"])
@pytest.mark.parametrize("scope", ["/", "/M1"])
async def test_a_download_of_reports_says_nothing_of_commissions(
    server: app.Application, format: str, scope: str
) -> None:
    """Neither a field of it, nor a net figure from which it could be worked out."""
    token = sign(server, role="risk", scope=scope)
    answer = await request(server, "GET", f"/v1/archive/reports?revisions=all&format={format}", token=token)
    assert answer.status == 200
    assert b"commission" not in answer.body
    table = csv.DictReader(io.StringIO(answer.body.decode()))
    documents: Any = [] if format == "csv" else answer.json["documents"]
    found: list[dict[str, Any]] = list(table) if format == "csv" else [each["data"] for each in documents]
    assert {each["period"] for each in found} == {"day", "week", "month"}
    for each in found:
        revenue, *less, ngr = (round(100 * float(each[name])) for name in ("revenue", "bonuses", "chargebacks", "ngr"))
        assert ngr == revenue - sum(less)


async def test_the_stream_of_reports_says_nothing_of_commissions(server: app.Application) -> None:
    """Also not in its totals, live or read back, over WebSocket or HTTP."""
    token = sign(server, role="risk")
    async with talking(server, token=token) as talk:
        said = await talk.ask("subscribe", target="reports", last=500)
        before = await talk.ask("history", target="reports", limit=500)
        answer = await request(server, "GET", "/v1/history/reports?limit=500", token=token)
        for each in (said, before, answer.json):
            text = msgspec.json.encode(each)
            assert b'"week"' in text
            assert b"commission" not in text
        assert await talk.refused("subscribe", target="commission") == "topic_forbidden"


@pytest.mark.parametrize("path", ["archive/commission", "archive/commission?format=csv", "views/commission"])
async def test_what_agents_earn_is_for_those_who_may_see_it(server: app.Application, path: str) -> None:
    """A risk manager is refused; an auditor reads it, the sums of a scope in the archive too."""
    refused = await request(server, "GET", f"/v1/{path}", token=sign(server, role="risk"))
    assert (refused.status, refused.code) == (403, "topic_forbidden")
    answer = await request(server, "GET", f"/v1/{path}", token=sign(server, role="auditor"))
    assert answer.status == 200
    if path.startswith("archive"):
        assert b"week:" in answer.body
        assert b"month:" in answer.body

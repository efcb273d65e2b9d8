"""Requests that a browser or a proxy could be tricked into, against a running server."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from tests.integration.inside import make_config
from tests.integration.test_http import request

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book."""
    async with app.running(make_config(tmp_path_factory.mktemp("requests"))) as running:
        yield running


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "TRACK", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/v1/views/kpi", "/v1/session"])
async def test_no_request_is_sent_back(server: app.Application, method: str, path: str) -> None:
    """A method that nobody needs is refused, and shows a page nothing of the headers that the browser added."""
    answer = await request(server, method, path, X_Mark="hidden-in-a-header")
    assert answer.status in (400, 404, 405)
    assert b"hidden-in-a-header" not in answer.body


@pytest.mark.parametrize("path", ["/", "/v1/session", "/v1/views/kpi", "/v1/roles", "/openapi.json", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_no_other_page_reads_an_answer(server: app.Application, method: str, path: str) -> None:
    """No answer allows a page of another origin to read it, also where it asks beforehand."""
    asked = {"Origin": "https://evil.example", "Access_Control_Request_Method": "POST"}
    answer = await request(server, method, path, raw=None, **asked)
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "path", ["//evil.example/", "/v1/session/", "/assets", "/client/..", "/v1/../assets/", "/.git/"]
)
async def test_nobody_is_sent_elsewhere(server: app.Application, path: str) -> None:
    """No address makes the server redirect, so none leads to a host that the request names."""
    answer = await request(server, "GET", path)
    assert "location" not in answer.headers
    assert not 300 <= answer.status < 400
    assert b"<a href" not in answer.body  # nor is a folder listed


@pytest.mark.parametrize(
    "break_", ["%0d%0aSet-Cookie:%20a=b", "%0aX-Injected:%20yes", "%E5%98%8A%E5%98%8DX-Injected:yes"]
)
async def test_no_header_is_made_of_an_address(server: app.Application, break_: str) -> None:
    """Line breaks in a path or a parameter stay what they are: text."""
    for path in (f"/v1/views/{break_}", f"/v1/archive/reports?format=csv&from={break_}", f"/{break_}"):
        answer = await request(server, "GET", path)
        assert "x-injected" not in answer.headers
        assert not answer.cookies

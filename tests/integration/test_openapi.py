"""The description of the HTTP interface, as a running server gives it to whoever writes a client."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from fire22 import app
from fire22.sportsbook import domain
from tests.integration.inside import make_book, make_config, sign

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server on an invented book."""
    folder = tmp_path_factory.mktemp("openapi")
    book = await asyncio.to_thread(make_book, Path(folder) / "book.db")
    async with app.running(make_config(folder / "data", book)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server: app.Application) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks to it."""
    async with httpx2.AsyncClient(base_url=server.address.url) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(client: httpx2.AsyncClient) -> dict[str, Any]:
    """What it says of itself."""
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def references(value: object) -> Iterator[str]:
    """All that a part of the document refers to."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref":
                yield each
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


async def test_every_route_is_described(server: app.Application, document: dict[str, Any]) -> None:
    """A client's author finds each address, once, with who may use it; each command has a body of its own."""
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = set()
    for row in server.routes.rows:
        path = re.sub(r":\w+\}", "}", row.path)
        if path == "/v1/commands/{name}":
            served |= {("POST", f"/v1/commands/{name}") for name in domain.COMMANDS}
        elif row.handler is not None:
            served.add((row.method, path))
    assert described == served
    placed = document["paths"]["/v1/commands/wager.place"]["post"]
    assert placed["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/PlaceWager"}
    assert [each["name"] for each in placed["parameters"]] == ["Idempotency-Key"]
    assert placed["security"]


async def test_what_it_refers_to_is_there(document: dict[str, Any]) -> None:
    """A generator of clients can resolve all of it."""
    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


async def test_a_described_parameter_is_taken_and_another_refused(
    server: app.Application, client: httpx2.AsyncClient, document: dict[str, Any]
) -> None:
    """The description and the server are of one mind."""
    headers = {"authorization": f"Bearer {sign(server)}"}
    described = document["paths"]["/v1/history/{topic}"]["get"]["parameters"]
    assert {each["name"]: each["in"] for each in described} == {
        "topic": "path",
        "scope": "query",
        "before": "query",
        "limit": "query",
    }
    taken = await client.get("/v1/history/wagers", params={"limit": 1, "scope": "/"}, headers=headers)
    refused = await client.get("/v1/history/wagers", params={"size": 1}, headers=headers)
    assert (taken.status_code, refused.status_code) == (200, 400)


async def test_an_error_is_as_described(client: httpx2.AsyncClient, document: dict[str, Any]) -> None:
    """Every error has the one shape, and its code is in the list."""
    answer = await client.get("/v1/views/kpi")
    assert answer.status_code == 401
    assert answer.json()["code"] in document["components"]["schemas"]["ErrorCode"]["enum"]

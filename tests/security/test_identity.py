"""Two users of one name and different kinds: what is for one of them never reaches the other."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from fire22.core.role import Kind
from tests.integration.inside import bench_event, make_config, talking

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop
ROLES: dict[Kind, str] = {"agent": "agent", "customer": "customer", "machine": "service", "staff": "cashier"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book."""
    async with app.running(make_config(tmp_path_factory.mktemp("identity"))) as running:
        yield running


def token(server: app.Application, role: str) -> str:
    """A token of a user who is always called M1."""
    return server.tokens.sign(subject="M1", role=role, scope="/", ttl_s=600, now_ms=app.now_ms())


@pytest.mark.parametrize("kind", list(ROLES))
async def test_each_kind_gets_its_own(server: app.Application, kind: Kind) -> None:
    """Of the agent, the customer, the clerk and the machine M1 only the one that is addressed is told."""
    async with (
        talking(server, token=token(server, ROLES[kind])) as own,
        talking(server, token=token(server, "admin")) as publisher,
    ):
        others = [other for other in ROLES if other != kind]
        for number, (tag, name) in enumerate([*((other, "theirs") for other in others), (kind, "own")]):
            event = bench_event(f"{kind}-{number}", name, tags=[f"to:user:{tag}:M1"])
            await publisher.ask("publish", event=event)
        first = await own.message(lambda message: message.target is not None)
        assert (first.target, first.data) == (f"user:{kind}:M1", "own")

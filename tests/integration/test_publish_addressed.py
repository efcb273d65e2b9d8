"""Publishing to single users and clients, at a running server: who may, what is refused, what the feed holds."""

from collections.abc import AsyncIterator
from functools import partial

import msgspec
import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from fire22.core.errors import RequestError
from fire22.core.event import Event
from fire22.core.message import Json
from fire22.core.role import Role
from fire22.core.topic import DIRECT
from fire22.feed.base import Entry
from fire22.security.access import Access
from fire22.security.principal import Principal
from fire22.sportsbook.roles import roles
from tests.integration.inside import bench_event, make_config, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book, with a role that may publish and not address anybody."""
    async with app.running(make_config(tmp_path_factory.mktemp("addressed"))) as running:
        running.service.access = Access(roles(("bench",)) | {"feeder": Role(None, publish=True)})
        yield running


def principal(role: str) -> Principal:
    """Who publishes."""
    return Principal("test", role, "/", app.now_ms() + 600_000)


def events(name: str, *tags: tuple[str, ...]) -> list[Event]:
    """Events for the open topic, one with each group of tags, as a gateway reads them."""
    raw: list[Json] = [bench_event(f"{name}-{index}", name, tags=list(each)) for index, each in enumerate(tags)]
    return msgspec.json.decode(msgspec.json.encode(raw), type=list[Event])


def refusal(server: app.Application, role: str, sent: list[Event]) -> RequestError:
    """What these events are refused with."""
    with pytest.raises(RequestError) as caught:
        server.service.publish(principal(role), sent)
    return caught.value


async def publish(server: app.Application, role: str, sent: list[Event]) -> None:
    """Publish events that are taken for the first time, and wait until they are in the feed."""
    appended = await server.service.publish(principal(role), sent)
    assert [each.repeat for each in appended] == [False] * len(sent)
    await until(lambda: server.feed.checkpoint.seq >= appended[-1].seq)


async def entries(server: app.Application, topic: str, name: str) -> list[Entry]:
    """What the feed holds on a topic of the events of this name."""
    records = await server.feed.read(topic, 0, server.feed.checkpoint.offset, records_max=1000)
    data = msgspec.json.encode(name)
    return [entry for record in records for entry in record.entries if entry.data == data]


@pytest.mark.parametrize("role", ["admin", "service"])
async def test_addressed_events_are_kept_for_those_they_name(server: app.Application, role: str) -> None:
    """What a program publishes for single people is in the feed for each of them, and never on the open topic."""
    tags = (("to:user:staff:7", "to:client:till-3", "as:alert"), ("to:everyone", "bulk:1"))
    await publish(server, role, events(f"kept-{role}", *tags))
    said = [(entry.target, entry.type) for entry in await entries(server, DIRECT, f"kept-{role}")]
    assert said == [("user:staff:7", "alert"), ("client:till-3", "alert"), ("everyone", "update")]
    assert await entries(server, "bench", f"kept-{role}") == []


@pytest.mark.parametrize(
    "tag", ["to:user:", "to:user:7", "to:client:a b", "to:user:staff:7\n", "to:role:agent", "to:everyone:7", "to:"]
)
@pytest.mark.parametrize("role", ["admin", "feeder"])
async def test_malformed_addresses(server: app.Application, role: str, tag: str) -> None:
    """Whoever sends an address that can reach nobody is told which tag of which event it is, and nothing is kept."""
    sent = events(f"malformed-{role}-{tag}", ("as:alert",), ("bulk:1", tag))
    error = refusal(server, role, sent)
    assert error.code.name == "event_invalid"
    assert repr(tag) in error.message
    assert error.details == {"index": 1}
    await publish(server, role, sent[:1])


@pytest.mark.parametrize("tag", ["to:user:staff:7", "to:client:till-3", "to:everyone"])
async def test_a_role_that_may_publish_may_not_address_people(server: app.Application, tag: str) -> None:
    """A program that feeds open topics cannot write to single people; with other tags it publishes as ever."""
    sent = events(f"role-{tag}", ("bulk:1", "as:notification"), ("bulk:1", tag))
    error = refusal(server, "feeder", sent)
    assert error.code.name == "forbidden"
    assert error.message == "The role feeder may not address single users, clients or everyone."
    await publish(server, "feeder", sent[:1])
    assert [entry.type for entry in await entries(server, "bench", f"role-{tag}")] == ["notification"]


async def test_a_role_that_may_not_publish_may_not_address_either(server: app.Application) -> None:
    """An agent writes to nobody."""
    error = refusal(server, "agent", events("agent", ("to:user:staff:7",)))
    assert error.message == "The role agent may not publish events."


# From below the house.


def _is_folded(server: app.Application, seq: int) -> bool:
    return server.feed.checkpoint.seq >= seq


def below(events: list[Event], **metadata: Json) -> list[Event]:
    """The same events with more metadata."""
    return [
        msgspec.structs.replace(event, metadata=msgspec.structs.replace(event.metadata, **metadata)) for event in events
    ]


@pytest.mark.parametrize(
    ("tags", "scope", "code"),
    [
        (("to:everyone",), "", "scope_forbidden"),
        (("to:client:till-3",), "", "scope_forbidden"),
        (("to:user:staff:7",), "", "scope_forbidden"),
        (("to:user:customer:C1",), "", "scope_forbidden"),
        ((), "/", "scope_forbidden"),
        ((), "/M10", "scope_forbidden"),
        ((), "M1", "scope_invalid"),
    ],
)
async def test_a_sub_tree_reaches_nobody_outside(
    server: app.Application, tags: tuple[str, ...], scope: str, code: str
) -> None:
    """A program of one master writes to nobody elsewhere: neither by an address nor a place, and not one of many."""
    own = Principal("test", "service", "/M1", app.now_ms() + 600_000)
    sent = [*events(f"own-{code}", ()), *below(events(f"out-{tags}-{scope}", tags), scope=scope)]
    with pytest.raises(RequestError) as caught:
        await server.service.publish(own, sent)
    assert caught.value.code.name == code
    await publish(server, "service", events(f"after-{tags}-{scope}", ()))
    assert await entries(server, "bench", f"own-{code}") == []
    assert await entries(server, DIRECT, f"out-{tags}-{scope}") == []


async def test_a_sub_tree_publishes_at_its_own_place(server: app.Application) -> None:
    """What a program of one master publishes on an open topic is at that master's place, or further down."""
    own = Principal("test", "service", "/M1", app.now_ms() + 600_000)
    for name, scope, place in (("here", "", "/M1"), ("further", "/M1/A7", "/M1/A7")):
        appended = await server.service.publish(own, below(events(name, ()), scope=scope))
        await until(partial(_is_folded, server, appended[-1].seq))
        assert [entry.path for entry in await entries(server, "bench", name)] == [place]
    await publish(server, "service", events("house", ()))
    assert [entry.path for entry in await entries(server, "bench", "house")] == ["/"]

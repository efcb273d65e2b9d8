"""The gateways' contract: the same cases for every transport, against a running server.

A transport says what it can do, and why not the rest; a case names what it needs.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from fire22.core.event import encode_event, parse_events
from fire22.core.message import Json, Message
from fire22.core.position import Position
from fire22.gateways.rates import LimitsConfig, Rates
from tests.integration.inside import WAIT_S, bench_event, make_book, make_config, until
from tests.support.transports import TRANSPORTS, Can, Peer, Refused, Transport

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOP_FACTORY = uvloop.new_event_loop
SUBSCRIPTIONS_MAX = 3
CONNECTIONS_USER_MAX = 3
TOPICS = ("one", "two", "three", "four")
SLOW_MESSAGES = 120
LONG = "x" * 12_000
_number = count()


def each(*needs: Can) -> pytest.MarkDecorator:
    """Run a case on every transport that can do what it needs."""
    able = [transport for transport in TRANSPORTS if transport.can.issuperset(needs)]
    assert able
    return pytest.mark.parametrize("transport", able, ids=str)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server on a small book, for all cases that leave it as it was."""
    folder = tmp_path_factory.mktemp("gateway")
    config = make_config(
        folder / "data",
        make_book(folder / "book.db"),
        relay={"open_topics": list(TOPICS)},
        server={
            "subscriptions_max": SUBSCRIPTIONS_MAX,
            "connections_user_max": CONNECTIONS_USER_MAX,
            "auth_timeout_s": 1,
        },
        hub={"outbox_bytes_max": 10_000, "heartbeat_s": 0.5},
    )
    async with app.running(config) as running:
        await until(lambda: all(running.delivery.documents("kpi", scope) for scope in ("/M1", "/M1/A1")))
        yield running


def token(
    server: app.Application,
    *,
    user: str = "",
    role: str = "admin",
    scope: str = "/",
    ttl_s: int = 600,
    client: str = "",
) -> str:
    """A token; of a user who has no other connection unless one is named."""
    user = user or f"user-{next(_number)}"
    return server.tokens.sign(subject=user, role=role, scope=scope, ttl_s=ttl_s, now_ms=app.now_ms(), client=client)


def event(id: str, data: Json = None, *, topic: str = "one", **metadata: Json) -> dict[str, Json]:
    """An event for an open topic."""
    return bench_event(id, data, category=topic, **metadata)


async def say(server: app.Application, *values: str, topic: str = "one", text: str = "", **metadata: Json) -> None:
    """Say something on an open topic, and wait until the hub has delivered it."""
    events = [
        event(f"said-{next(_number)}", {"value": value, "text": text}, topic=topic, **metadata) for value in values
    ]
    appended = await server.log.append(list(map(encode_event, parse_events(msgspec.json.encode(events)))))
    seq = appended[-1].seq
    await until(lambda: server.feed.checkpoint.seq >= seq and server.delivery.flushed >= server.feed.checkpoint.offset)


def value_of(message: Message | Json) -> Json:
    """What a message of these tests says."""
    data = message.data if isinstance(message, Message) else message["data"]  # type: ignore[call-overload,index]
    assert isinstance(data, dict)
    return data["value"]


async def values(peer: Peer, wanted: int) -> list[Json]:
    """What the next messages say."""
    return [value_of(await peer.update()) for _ in range(wanted)]


async def test_each_transport_says_what_it_can_do() -> None:
    """Nothing is left out unseen: whatever a transport does not do has a reason beside it."""
    for transport in TRANSPORTS:
        assert transport.can | transport.cannot.keys() == frozenset(Can), transport
        assert not transport.can & transport.cannot.keys(), transport
        assert all(transport.cannot.values()), transport


# What a subscription begins with.


@each(Can.SNAPSHOT)
async def test_a_view_begins_with_its_documents(server: app.Application, transport: Transport) -> None:
    """Whoever asks for a view gets its documents as they are now, and the position to follow from."""
    async with transport.connect(server, token(server)) as peer:
        reply = await peer.ask("subscribe", target="kpi", scope="/M1")
        assert Position.parse(str(reply["position"])).epoch == server.feed.epoch
        assert isinstance(reply["snapshot"], list)
        [document] = reply["snapshot"]
        assert isinstance(document, dict)
        assert (document["type"], document["target"], document["scope"]) == ("kpi_update", "kpi", "/M1")
        assert isinstance(document["data"], dict)
        assert {"revenue", "activePlayers", "pending", "totalLiability"} <= document["data"].keys()


@each(Can.SNAPSHOT)
async def test_a_stream_begins_with_its_newest(server: app.Application, transport: Transport) -> None:
    """Whoever asks for a stream gets as many of its newest messages as wanted, oldest first."""
    await say(server, "a", "b", "c")
    async with transport.connect(server, token(server)) as peer:
        reply = await peer.ask("subscribe", target="one", last=2)
        assert isinstance(reply["snapshot"], list)
        assert [value_of(each) for each in reply["snapshot"]] == ["b", "c"]


@each(Can.SNAPSHOT)
async def test_an_own_scope(server: app.Application, transport: Transport) -> None:
    """An agent who names no scope is shown the own sub-tree."""
    async with transport.connect(server, token(server, role="agent", scope="/M1/A1")) as peer:
        reply = await peer.ask("subscribe", target="kpi")
        assert isinstance(reply["snapshot"], list)
        assert [each["scope"] for each in reply["snapshot"]] == ["/M1/A1"]  # type: ignore[call-overload,index]


@each(Can.SNAPSHOT)
@pytest.mark.parametrize(
    ("role", "fields", "code"),
    [
        ("admin", {"target": "nothing"}, "topic_unknown"),
        ("admin", {"target": "direct"}, "topic_unknown"),
        ("admin", {"target": "kpi", "scope": "/M1/NOBODY"}, "scope_unknown"),
        ("admin", {"target": "kpi", "scope": "M1"}, "scope_invalid"),
        ("agent", {"target": "kpi", "scope": "/M1"}, "scope_forbidden"),
        ("agent", {"target": "one", "scope": "/"}, "scope_forbidden"),
        ("cashier", {"target": "kpi"}, "topic_forbidden"),
    ],
)
async def test_a_refused_subscription(
    server: app.Application, transport: Transport, role: str, fields: dict[str, Json], code: str
) -> None:
    """What may not be followed, or is not there, is refused with the same code everywhere; the client may go on."""
    scope = "/" if role == "admin" else "/M1/A1"
    async with transport.connect(server, token(server, role=role, scope=scope)) as peer:
        assert await peer.refused("subscribe", **fields) == code
        await peer.ask("subscribe", target="one")


# What follows.


@each(Can.FOLLOW)
async def test_each_message_comes_once_and_in_order(server: app.Application, transport: Transport) -> None:
    """A subscriber gets what is said from then on, and behind it a position that has it all."""
    async with transport.connect(server, token(server)) as peer:
        await peer.ask("subscribe", target="one", last=0)
        await say(server, "a")
        await say(server, "b", "c")
        await say(server, "elsewhere", topic="two")
        found = [await peer.update() for _ in range(3)]
        assert [value_of(each) for each in found] == ["a", "b", "c"]
        last = found[-1].offset
        assert last is not None
        while Position.parse(await peer.tick()).offset < last:
            pass


@each(Can.FOLLOW)
async def test_resuming(server: app.Application, transport: Transport) -> None:
    """Who comes back with its position gets what it has missed and no more, and then what is new."""
    async with transport.connect(server, token(server)) as peer:
        await peer.ask("subscribe", target="one", last=0)
        await say(server, "seen")
        seen = await peer.update()
        while Position.parse(position := await peer.tick()).offset < (seen.offset or 0):
            pass
    await say(server, "missed 1", "missed 2")
    async with transport.connect(server, token(server)) as peer:
        reply = await peer.ask("subscribe", target="one", after=position)
        assert (reply["recovered"], "snapshot" in reply) == (True, False)
        await say(server, "new")
        assert await values(peer, 3) == ["missed 1", "missed 2", "new"]


@each(Can.FOLLOW)
@pytest.mark.parametrize(("epoch", "ahead", "reason"), [("0" * 8, 0, "epoch_changed"), ("", 10**6, "position_ahead")])
async def test_a_position_of_elsewhere(
    server: app.Application, transport: Transport, epoch: str, ahead: int, reason: str
) -> None:
    """A position that this feed cannot go on from is answered with the reason and a snapshot."""
    await say(server, "newest")
    position = Position(epoch or server.feed.epoch, server.feed.checkpoint.offset + ahead)
    async with transport.connect(server, token(server)) as peer:
        reply = await peer.ask("subscribe", target="one", after=str(position), last=1)
        assert (reply["recovered"], reply["reason"]) == (False, reason)
        assert isinstance(reply["snapshot"], list)
        assert [value_of(each) for each in reply["snapshot"]] == ["newest"]


@each(Can.FOLLOW)
async def test_a_slow_reader(server: app.Application, transport: Transport) -> None:
    """Who does not read for a while costs nobody anything, and then gets each message once and in order."""
    spoken = [f"{number}" for number in range(SLOW_MESSAGES)]
    async with (
        transport.connect(server, token(server)) as quick,
        transport.connect(server, token(server), holds_little=True) as slow,
    ):
        for peer in (quick, slow):
            await peer.ask("subscribe", target="two", last=0)
        demoted = server.delivery.statistics.demoted
        for first in range(0, SLOW_MESSAGES, 10):
            await say(server, *spoken[first : first + 10], topic="two", text=LONG)
            assert await values(quick, 10) == spoken[first : first + 10]
        assert server.delivery.statistics.demoted > demoted
        assert await values(slow, SLOW_MESSAGES) == spoken
        await say(server, "live again", topic="two")
        assert await values(slow, 1) == ["live again"]


@each(Can.FOLLOW)
async def test_a_critical_message_overtakes(server: app.Application, transport: Transport) -> None:
    """What is critical comes before the backlog of a slow reader; nothing else is lost or moved for it."""
    backlog = [f"{number}" for number in range(SLOW_MESSAGES)]
    async with transport.connect(server, token(server), holds_little=True) as slow:
        await slow.ask("subscribe", target="three", last=0)
        for first in range(0, SLOW_MESSAGES, 10):
            await say(server, *backlog[first : first + 10], topic="three", text=LONG)
        await say(server, "critical", topic="three", priority=3)
        seen: dict[int, Json] = {}
        while len(seen) <= SLOW_MESSAGES:
            message = await slow.update()
            assert message.offset is not None
            seen.setdefault(message.offset, value_of(message))
        found = list(seen.values())
        assert found.index("critical") < SLOW_MESSAGES
        assert [each for each in found if each != "critical"] == backlog


@each(Can.FOLLOW)
async def test_what_is_addressed(server: app.Application, transport: Transport) -> None:
    """A user, one of its clients or everyone is told without a subscription, and nobody else is."""
    user = f"ann-{next(_number)}"
    async with (
        transport.connect(server, token(server, user=user, client=f"{user}-phone")) as ann,
        transport.connect(server, token(server)) as bob,
    ):
        await say(server, "to ann", tags=[f"to:user:staff:{user}"])
        await say(server, "to her phone", tags=[f"to:client:{user}-phone"])
        await say(server, "to all", tags=["to:everyone"])
        assert await values(ann, 3) == ["to ann", "to her phone", "to all"]
        assert await values(bob, 1) == ["to all"]


# Who may.


@each(Can.SNAPSHOT)
@pytest.mark.parametrize(
    ("given", "code"), [("expired", "token_expired"), ("nonsense", "token_invalid"), (None, "auth_required")]
)
async def test_a_token_that_does_not_do(
    server: app.Application, transport: Transport, given: str | None, code: str
) -> None:
    """Who does not say who it is, or cannot prove it, is told so and gets nothing."""
    with pytest.raises(Refused) as refused:
        async with transport.connect(server, token(server, ttl_s=-60) if given == "expired" else given) as peer:
            await peer.ask("subscribe", target="one")
    assert refused.value.code == code


@each(Can.FOLLOW)
async def test_a_token_that_ends(server: app.Application, transport: Transport) -> None:
    """A connection does not outlive its token."""
    async with transport.connect(server, token(server, ttl_s=1)) as peer:
        assert (await peer.end()).code == "token_expired"


@each(Can.FOLLOW, Can.COMMAND)
async def test_a_token_by_command(server: app.Application, transport: Transport) -> None:
    """A client may say who it is when it is connected, and renew its token, for itself alone."""
    async with transport.connect(server, None) as peer:
        await peer.ask("auth", token=token(server, user="cleo"))
        await peer.ask("subscribe", target="one")
        await peer.ask("auth", token=token(server, user="cleo"))
        with pytest.raises(Refused) as refused:
            await peer.ask("auth", token=token(server, user="dora"))
        assert refused.value.code == "token_invalid"


@each(Can.FOLLOW)
async def test_nobody_says_who_it_is(server: app.Application, transport: Transport) -> None:
    """A connection without a token is not kept for ever."""
    async with transport.connect(server, None) as peer:
        assert (await peer.end()).code == "auth_required"


# Limits.


@each(Can.FOLLOW, Can.COMMAND)
async def test_a_connection_follows_so_many(server: app.Application, transport: Transport) -> None:
    """One subscription too many is refused; replacing one needs no room, and letting one go makes some."""
    async with transport.connect(server, token(server)) as peer:
        for topic in TOPICS[:SUBSCRIPTIONS_MAX]:
            await peer.ask("subscribe", target=topic)
        assert await peer.refused("subscribe", target=TOPICS[-1]) == "subscriptions_exceeded"
        await peer.ask("subscribe", target=TOPICS[0], lossy=True)
        await peer.ask("unsubscribe", target=TOPICS[1])
        assert await peer.refused("unsubscribe", target=TOPICS[1]) == "not_subscribed"
        await peer.ask("subscribe", target=TOPICS[-1])


@each(Can.FOLLOW)
async def test_a_user_has_so_many_connections(server: app.Application, transport: Transport) -> None:
    """A user's places are counted over all transports; one that is left is free again, and others have their own."""
    user = f"busy-{next(_number)}"
    others = [other for other in TRANSPORTS if Can.FOLLOW in other.can]
    async with contextlib.AsyncExitStack() as stack:
        for number in range(CONNECTIONS_USER_MAX - 1):
            way = others[number % len(others)].connect(server, token(server, user=user))
            await stack.enter_async_context(way)
        async with transport.connect(server, token(server, user=user)):
            with pytest.raises(Refused) as refused:
                await stack.enter_async_context(transport.connect(server, token(server, user=user)))
            assert refused.value.code == "connections_exceeded"
            assert refused.value.retry_after_s is not None
            await stack.enter_async_context(transport.connect(server, token(server)))
        await until(lambda: server.connections.rights.held(f"staff:{user}") < CONNECTIONS_USER_MAX)
        peer = await stack.enter_async_context(transport.connect(server, token(server, user=user)))
        await peer.ask("subscribe", target="one")
    await until(lambda: server.connections.rights.held(f"staff:{user}") == 0)


@each(Can.FOLLOW)
async def test_a_server_that_ends(tmp_path: Path, transport: Transport) -> None:
    """A server that ends tells its clients when to come back, and takes nobody meanwhile."""
    async with app.running(make_config(tmp_path)) as server:
        async with transport.connect(server, token(server)) as peer:
            await peer.ask("subscribe", target="bench")
            ending = asyncio.create_task(server.connections.drain(0))
            ended = await peer.end()
            assert ended.code == "restarting"
            assert ended.retry_after_s is not None
            assert ended.retry_after_s >= 1
            await ending
            with pytest.raises(Refused) as refused:
                async with transport.connect(server, token(server)):
                    pass
            assert refused.value.code == "restarting"
        async with asyncio.timeout(WAIT_S):
            await until(lambda: not server.connections.open)


# What was, and what is said.


@each(Can.HISTORY, Can.PUBLISH)
async def test_history(server: app.Application, transport: Transport) -> None:
    """A client pages back through a stream: each page is the newest below the one before."""
    async with transport.connect(server, token(server)) as peer:
        for value in "abcde":
            await peer.ask(
                "publish", event=event(f"{transport}-{value}-{next(_number)}", {"value": value}, topic="four")
            )
        await say(server, "f", topic="four")
        pages: list[Sequence[Json]] = []
        before: dict[str, Json] = {}
        for _ in range(2):
            page = await peer.ask("history", target="four", limit=3, **before)
            assert isinstance(page["messages"], list)
            pages.append([value_of(each) for each in page["messages"]])
            before = {"before": page["before"]}
        assert pages == [["d", "e", "f"], ["a", "b", "c"]]
        assert await peer.refused("history", target="kpi") == "command_invalid"


@each(Can.PUBLISH)
async def test_publishing(server: app.Application, transport: Transport) -> None:
    """An event is durable when it is answered, is taken once by its id, and only from who may publish."""
    spoken = event(f"published-{next(_number)}", {"value": 1})
    async with transport.connect(server, token(server)) as peer:
        first = await peer.ask("publish", event=spoken)
        assert first["repeat"] is False
        assert await peer.ask("publish", event=spoken) == {"seq": first["seq"], "repeat": True}
        assert await peer.refused("publish", event=spoken | {"data": {"value": 2}}) == "id_conflict"
        assert await peer.refused("publish", event=spoken | {"type": "system.clock"}) == "event_invalid"
    async with transport.connect(server, token(server, role="agent", scope="/M1/A1")) as peer:
        assert await peer.refused("publish", event=spoken) == "forbidden"


@each(Can.SNAPSHOT)
async def test_who_asks_too_much(
    server: app.Application, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has used up what a user may cost is told to come back later, on every transport; others are served."""
    await say(server, "a")
    limits = LimitsConfig(connection_units_per_s=0, user_units_per_s=0.01, scope_units_per_s=0, burst_s=300)
    monkeypatch.setattr(server.service, "rates", Rates(limits))
    async with transport.connect(server, token(server)) as peer, transport.connect(server, token(server)) as other:
        with contextlib.suppress(AssertionError):  # until it is refused
            for _ in range(5):
                await peer.ask("subscribe", target="one", last=1)
        assert await peer.refused("subscribe", target="one", last=1) == "rate_limited"
        await other.ask("subscribe", target="one", last=1)

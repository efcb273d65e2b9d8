"""The Python client against a small server in this process that speaks the protocol and does what a test says."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import pytest
from msgspec import Raw
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from fire22.client import (
    Client,
    ClientState,
    ConnectionEnded,
    Covered,
    Event,
    History,
    Lost,
    Message,
    ServerError,
    Skipped,
    connect,
)
from fire22.client.clock import BACKOFF_S_MAX, BACKOFF_S_MIN, Clock, backoff_s
from fire22.client.connection import websocket_url
from fire22.client.inbox import Snapshot
from fire22.core.errors import RequestError
from fire22.core.times import to_datetime, to_ms

EPOCH = "1f0c9a2b"
AT = "2026-01-01T00:00:00.000Z"
NOW_MS = 1_767_225_600_000  # AT
STALL_S = 62.5  # 2.5 heartbeats of 25 s

Wire = dict[str, Any]  # a message or a command as JSON


class FakeClock(Clock):
    """Time that a test moves. Waits of a reconnect pass at once and are noted; longer ones wait for `advance`."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._now_s = 1_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now_s(self) -> float:
        return self._now_s

    def wall_ms(self) -> int:
        return NOW_MS + 500

    def random(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        if seconds <= BACKOFF_S_MAX:
            self.slept.append(seconds)
            return await asyncio.sleep(0)
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now_s + seconds, sleeper))
        return await sleeper

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds
        due = [sleeper for at_s, sleeper in self._sleepers if at_s <= self._now_s]
        self._sleepers = [(at_s, sleeper) for at_s, sleeper in self._sleepers if at_s > self._now_s]
        for sleeper in due:
            if not sleeper.done():
                sleeper.set_result(None)


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.done = asyncio.Event()

    @property
    def token(self) -> str | None:
        assert self.socket.request is not None
        return self.socket.request.headers.get("Authorization")

    async def command(self) -> Wire:
        """The next command."""
        command = json.loads(await self.socket.recv())
        assert isinstance(command, dict)
        return command

    async def send(self, *messages: Wire) -> None:
        """One frame."""
        await self.socket.send(json.dumps([{"timestamp": AT, **message} for message in messages]))

    async def accept(self, offset: int, *, snapshot: list[Wire] | None = None, **data: Any) -> Wire:
        """Answer the next subscription, from where it asks to go on."""
        command = await self.command()
        recovered = snapshot is None and "after" in command
        data = {"position": at(offset), "recovered": recovered, **data}
        if not recovered:
            data["snapshot"] = [{"timestamp": AT, **message} for message in snapshot or []]
        await self.send({"type": "reply", "id": command["id"], "data": data})
        return command

    async def close(self, code: int = 1012, reason: str = "") -> None:
        await self.socket.close(code, reason)
        self.done.set()

    def vanish(self) -> None:
        """As a machine whose cable was pulled, noticed."""
        self.socket.transport.abort()
        self.done.set()


class FakeServer:
    """Accepts connections and hands them to the test."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.refusals: list[Response] = []
        self.open_peers: list[Peer] = []
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol("fire22.v1.json")],
            process_request=self._process_request,
            compression=None,
            ping_interval=None,
            close_timeout=1,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        for peer in self.open_peers:
            peer.vanish()
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def peer(self) -> Peer:
        """The next connection."""
        return await self.peers.get()

    async def _handle(self, socket: ServerConnection) -> None:
        peer = Peer(socket)
        self.open_peers.append(peer)
        self.peers.put_nowait(peer)
        await peer.done.wait()

    def _process_request(self, socket: ServerConnection, request: Request) -> Response | None:
        assert request.path == "/v1/ws"
        return self.refusals.pop(0) if self.refusals else None


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
async def limit() -> AsyncIterator[None]:
    """No test hangs."""
    async with asyncio.timeout(60):
        yield


def at(offset: int, epoch: str = EPOCH) -> str:
    return f"{epoch}-{offset}"


def wager(offset: int, **more: Any) -> Wire:
    return {
        "type": "wager_update",
        "target": "wagers",
        "offset": offset,
        "data": {"wagerId": f"w{offset}"},
        **more,
    }


def kpi(offset: int, data: Wire | None, **more: Any) -> Wire:
    return {"type": "kpi_update", "target": "kpi", "offset": offset, "data": data, **more}


def tick(offset: int, **more: Any) -> Wire:
    return {"type": "tick", "data": {"position": at(offset), "time": AT, "watermark": AT, **more}}


def row(key: str, offset: int, data: Wire | None, **more: Any) -> Wire:
    return {"type": "update", "target": "open", "key": key, "offset": offset, "data": data, **more}


def refusal(status: HTTPStatus, body: Wire | None = None, retry_after: str = "") -> Response:
    content = json.dumps(body or {}).encode()
    headers = Headers({"Content-Length": str(len(content))})
    if retry_after:
        headers["Retry-After"] = retry_after
    return Response(status, status.phrase, headers, content)


@asynccontextmanager
async def connected(server: FakeServer, clock: FakeClock, **options: Any) -> AsyncIterator[tuple[Client, Peer]]:
    """A client and the server's end of its first connection."""
    async with connect(server.url, clock=clock, proxy=None, **{"token": "t0ken", **options}) as client:
        yield client, await server.peer()


async def offsets(messages: AsyncIterator[Message], count: int) -> list[int | None]:
    """The offsets of the next messages."""
    return [(await anext(messages)).offset for _ in range(count)]


def state_of(client: Client) -> ClientState:
    """A type checker takes a property for something that does not change."""
    return client.state


def position_of(client: Client) -> str | None:
    """As `state_of`."""
    return client.position


async def eventually(holds: Callable[[], object]) -> None:
    """Give the other tasks their turns until something holds."""
    while not holds():
        await asyncio.sleep(0)


async def test_snapshot_then_live(server: FakeServer, clock: FakeClock) -> None:
    """An application that follows a stream gets its newest messages and then each new one."""
    async with connected(server, clock) as (client, peer):
        assert peer.token == "Bearer t0ken"
        assert peer.socket.subprotocol == "fire22.v1.json"
        wagers = client.subscribe("wagers", scope="/M1", filter={"status": ["open"]}, last=2)
        command = await peer.accept(10, snapshot=[wager(9, scope="/M1"), wager(10, scope="/M1")])
        assert command == {
            "id": 1,
            "command": "subscribe",
            "target": "wagers",
            "scope": "/M1",
            "filter": {"status": ["open"]},
            "last": 2,
        }
        await client.wait_live()
        assert state_of(client) is ClientState.LIVE
        await peer.send(wager(10, scope="/M1"), wager(11, scope="/M1"), tick(11))
        assert await offsets(wagers, 3) == [9, 10, 11]
        assert client.position == at(10)  # the application is still busy with 11
        await eventually(lambda: client.watermark is not None)
        assert client.watermark == to_datetime(to_ms(to_datetime(NOW_MS)))
        assert client.freshness_s == 0
    assert state_of(client) is ClientState.CLOSED
    assert [message async for message in wagers] == []
    assert client.position == at(11)


async def test_attempts_that_reach_no_server_end_it(clock: FakeClock) -> None:
    """With `attempts_max` a program ends with a code where it has reached no server in so many attempts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with connect(f"http://127.0.0.1:{port}", clock=clock, proxy=None, attempts_max=3) as client:
        with pytest.raises(ConnectionEnded) as caught:
            await anext(aiter(client.subscribe("wagers")))
    assert caught.value.code.name == "unreachable"
    assert len(clock.slept) == 2


async def test_a_server_that_does_not_answer_is_said_once(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A program without a server does not wait in silence: the first attempt warns, the others do not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with connect(f"http://127.0.0.1:{port}", clock=clock, proxy=None, attempts_max=4) as client:
        with pytest.raises(ConnectionEnded):
            await anext(aiter(client.subscribe("wagers")))
    said = [
        each.getMessage() for each in caplog.records if each.levelname == "WARNING" and each.name == "fire22.client"
    ]
    assert [each for each in said if "no connection to" in each] == said
    assert len(said) == 1


async def test_resumes_without_gap_or_repeat(server: FakeServer, clock: FakeClock) -> None:
    """After a loss the application goes on as if nothing had happened."""
    async with connected(server, clock) as (client, peer):
        wagers = client.subscribe("wagers")
        await peer.accept(10)
        await peer.send(wager(11), tick(11), wager(12))
        assert await offsets(wagers, 2) == [11, 12]
        peer.vanish()
        peer = await server.peer()
        command = await peer.accept(14)
        assert command["after"] == at(11)
        assert state_of(client) is ClientState.CATCHING_UP
        await peer.send(wager(12), wager(13), wager(14), tick(14))
        assert await offsets(wagers, 2) == [13, 14]
        await client.wait_live()
        assert clock.slept == [BACKOFF_S_MIN * 0.5]


async def test_starts_from_a_stored_position(server: FakeServer, clock: FakeClock) -> None:
    """An application that starts again goes on from the position that it stored; a view begins with its document."""
    async with connected(server, clock, position=at(20)) as (client, peer):
        assert client.position == at(20)
        wagers = client.subscribe("wagers")
        client.subscribe("kpi", delta=True)
        client.subscribe("activity", after=None)
        assert (await peer.accept(22))["after"] == at(20)
        assert "after" not in await peer.accept(22, snapshot=[kpi(3, {"pending": 1})])
        assert "after" not in await peer.accept(22)
        await peer.send(wager(21), wager(22), tick(22))
        assert await offsets(wagers, 2) == [21, 22]
        assert client.position == at(20)


async def test_position_waits_for_the_application(server: FakeServer, clock: FakeClock) -> None:
    """What waits in an inbox does not count: the position to store covers only what the application has handled."""
    async with connected(server, clock) as (client, peer):
        wagers = client.subscribe("wagers")
        await peer.accept(10, snapshot=[wager(10)])
        await peer.send(wager(11), tick(11), wager(12), tick(12))
        await eventually(lambda: client.watermark is not None)
        assert position_of(client) is None
        assert await offsets(wagers, 2) == [10, 11]
        assert client.position == wagers.position == at(10)
        assert await offsets(wagers, 1) == [12]
        assert client.position == at(11)


async def test_slow_stream_holds_the_position_of_a_fresh_one(server: FakeServer, clock: FakeClock) -> None:
    """A stream that was added later and not handled yet is covered by the position as well."""
    async with connected(server, clock) as (client, peer):
        wagers = client.subscribe("wagers")
        await peer.accept(10)
        client.subscribe("activity")
        await peer.accept(12, snapshot=[])
        await peer.send(wager(11), tick(13), wager(14), tick(14), wager(15), tick(15))
        assert await offsets(wagers, 3) == [11, 14, 15]
        assert client.position == at(12)


async def test_events_for_exactly_once(server: FakeServer, clock: FakeClock) -> None:
    """An application that stores at `Covered` sees what belongs to each position, and what was lost."""
    async with connected(server, clock) as (client, peer):
        wagers = client.subscribe("wagers")
        events = wagers.events()
        await peer.accept(10, snapshot=[wager(10)])
        await peer.send(wager(11), tick(11))
        seen = [await anext(events) for _ in range(4)]
        assert [type(event) for event in seen] == [Snapshot, Covered, Message, Covered]
        assert str(client.position) == at(11)
        await peer.close()
        peer = await server.peer()
        lost = {"from": 12, "to": 500}
        await peer.accept(900, snapshot=[wager(900)], recovered=False, reason="position_lost", lost=lost)
        event = await anext(events)
        assert isinstance(event, Lost)
        assert event.reason == "position_lost"
        assert event.range is not None
        assert (event.range.from_, event.range.to) == (12, 500)
        assert isinstance(await anext(events), Snapshot)
        wagers.unsubscribe()
        assert [type(event) async for event in events] == [Covered]


async def test_view(server: FakeServer, clock: FakeClock) -> None:
    """A view keeps its documents up to date, whether or not anybody takes the messages."""
    async with connected(server, clock, inbox_messages_max=3) as (client, peer):
        view = client.subscribe("kpi", delta=True)
        assert view.document() is None
        await peer.accept(10, snapshot=[kpi(8, {"pending": 1, "change": {"pending": 1}})])
        for offset in range(11, 31):
            base = 8 if offset == 11 else offset - 1
            await peer.send(kpi(offset, {"pending": offset}, patch=True, base=base), tick(offset))
        await eventually(lambda: client.position == at(30))
        assert view.document() == {"pending": 30, "change": {"pending": 1}}
        message = await anext(view)
        assert (message.offset, message.data, message.patch) == (30, view.document(), False)
        await peer.send(kpi(31, {"a": 1}, key="other"), kpi(32, None))
        assert [(one.key, one.data) for one in [await anext(view), await anext(view)]] == [
            ("other", {"a": 1}),
            (None, None),
        ]
        assert view.documents == {"other": {"a": 1}}


async def test_rows(server: FakeServer, clock: FakeClock) -> None:
    """An application hears that a row is gone if it has it, and nothing of a row that came and went meanwhile."""
    async with connected(server, clock) as (client, peer):
        rows = client.subscribe("open", delta=True)
        await peer.accept(10, snapshot=[row("a", 4, {"n": 1}), row("b", 5, {"n": 2})])
        assert await offsets(rows, 2) == [4, 5]
        await peer.send(row("c", 11, {"n": 3}), row("a", 11, None), row("never", 11, None), tick(11))
        await peer.send(
            row("c", 12, None), row("b", 12, None), row("b", 13, {"n": 4}), row("d", 13, {"n": 5}), tick(13)
        )
        await eventually(lambda: client.position == at(13))
        seen = [await anext(rows) for _ in range(3)]
        assert [(one.key, one.offset, one.data) for one in seen] == [
            ("a", 11, None),
            ("b", 13, {"n": 4}),
            ("d", 13, {"n": 5}),
        ]
        assert rows.documents == {"b": {"n": 4}, "d": {"n": 5}}
        await peer.send(row("a", 14, {"n": 6}), row("b", 14, None), tick(14))
        assert [(one.key, one.data) for one in [await anext(rows), await anext(rows)]] == [("a", {"n": 6}), ("b", None)]
        await peer.send(row("b", 15, {"n": 7}), row("b", 16, None), row("a", 16, None), tick(16))
        await eventually(lambda: client.position == at(16))
        assert [(one.key, one.data) for one in [await anext(rows)]] == [("a", None)]


async def test_removal_without_delta(server: FakeServer, clock: FakeClock) -> None:
    """An application that keeps the rows itself gets each removal as it was sent."""
    async with connected(server, clock) as (client, peer):
        rows = client.subscribe("open")
        await peer.accept(10, snapshot=[row("a", 4, {"n": 1})])
        await peer.send(row("never", 11, None), row("a", 12, None), tick(12))
        seen = [await anext(rows) for _ in range(3)]
        assert [(one.key, one.data) for one in seen] == [("a", {"n": 1}), ("never", None), ("a", None)]


async def test_lossy(server: FakeServer, clock: FakeClock) -> None:
    """An application that takes no more than it can show is told what was left out, before the position passes it."""
    async with connected(server, clock) as (client, peer):
        wagers = client.subscribe("wagers", max_rate_hz=2, lossy=True)
        command = await peer.accept(10)
        assert (command["max_rate_hz"], command["lossy"]) == (2, True)
        events = wagers.events()
        assert [type(await anext(events)) for _ in range(2)] == [Snapshot, Covered]
        skip = {"target": "wagers", "scope": "/", "from": 11, "to": 15, "count": 3}
        await peer.send(wager(16), tick(16, skipped=[skip]), wager(17), tick(17, skipped=[{**skip, "count": 1}]))
        assert (await anext(wagers)).offset == 16
        skipped = await anext(events)
        assert isinstance(skipped, Skipped)
        assert (skipped.range.from_, skipped.range.to, skipped.count) == (11, 15, 3)
        assert wagers.position == at(10)
        assert isinstance(await anext(events), Covered)
        assert wagers.position == at(16)
        assert (await anext(wagers)).offset == 17
        await peer.send(wager(18))
        assert (await anext(wagers)).offset == 18
        assert wagers.messages_skipped == 4


async def test_what_was_skipped_is_bounded(server: FakeServer, clock: FakeClock) -> None:
    """What waits to be told of messages left out counts as the messages do: a slow application holds the server up."""
    async with connected(server, clock, inbox_messages_max=2) as (client, peer):
        wagers = client.subscribe("wagers", max_rate_hz=2, lossy=True)
        await peer.accept(10)
        for offset in (11, 12):
            await peer.send(tick(offset, skipped=[{"target": "wagers", "from": offset, "to": offset, "count": 1}]))
        await eventually(lambda: wagers.inbox.is_full)


async def test_documents_need_delta(server: FakeServer, clock: FakeClock) -> None:
    """Asking for a document of a subscription that keeps none is told what to do."""
    async with connected(server, clock) as (client, _):
        with pytest.raises(ValueError, match="delta=True"):
            client.subscribe("kpi").document()


async def test_missing_patch_heals(server: FakeServer, clock: FakeClock) -> None:
    """A view that misses a patch is asked for again by itself."""
    async with connected(server, clock) as (client, peer):
        view = client.subscribe("kpi", delta=True)
        await peer.accept(10, snapshot=[kpi(8, {"pending": 1})])
        await peer.send(kpi(13, {"pending": 3}, patch=True, base=12))
        assert "after" not in await peer.accept(13, snapshot=[kpi(13, {"pending": 3, "handle": 7})])
        await eventually(lambda: view.document() == {"pending": 3, "handle": 7})


async def test_slow_consumer_pauses_reading(server: FakeServer, clock: FakeClock) -> None:
    """A slow application holds the server up instead of piling up messages, and loses none."""
    async with connected(server, clock, inbox_messages_max=10) as (client, peer):
        wagers = client.subscribe("wagers")
        await peer.accept(0)
        count = 400
        filling = "x" * 50_000  # 20 MB in all, which no kernel buffers for a connection

        async def flood() -> None:
            for offset in range(1, count + 1):
                await peer.send(wager(offset, data=filling), tick(offset))

        async with asyncio.TaskGroup() as tasks:
            flooding = tasks.create_task(flood())
            await eventually(lambda: wagers.inbox.is_full)
            for _ in range(200):
                await asyncio.sleep(0)
            assert not flooding.done()
            assert wagers.inbox._messages == 10
            assert await offsets(wagers, count) == list(range(1, count + 1))


async def test_full_inbox_does_not_block_an_answer(server: FakeServer, clock: FakeClock) -> None:
    """An application that publishes from inside its loop gets its answer although its inbox is full."""
    async with connected(server, clock, inbox_messages_max=2) as (client, peer):
        wagers = client.subscribe("wagers")
        await peer.accept(0)
        await peer.send(*[wager(offset) for offset in range(1, 9)])
        await eventually(lambda: wagers.inbox.is_full)

        async def answer() -> None:
            command = await peer.command()
            await peer.send(wager(9), {"type": "reply", "id": command["id"], "data": {"seq": 7}})

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(answer())
            assert await client.publish(event()) == {"seq": 7}
        assert await offsets(wagers, 9) == list(range(1, 10))


def event() -> Event:
    return Event("e1", "note.written", "test", to_datetime(NOW_MS), Raw(b'{"text":"hello"}'))


async def test_publish_over_a_loss(server: FakeServer, clock: FakeClock) -> None:
    """An event whose answer was lost with the connection is sent again with the same id."""
    async with connected(server, clock) as (client, peer), asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(client.publish(event()))
        first = await peer.command()
        assert first["event"]["id"] == "e1"
        assert first["event"]["data"] == {"text": "hello"}
        peer.vanish()
        peer = await server.peer()
        second = await peer.command()
        assert second["event"] == first["event"]
        await peer.send({"type": "reply", "id": second["id"], "data": {"seq": 7, "repeat": True}})
        assert await publishing == {"seq": 7, "repeat": True}


async def test_publish_refused(server: FakeServer, clock: FakeClock) -> None:
    """An event that the server refuses raises its error where it was published."""
    async with connected(server, clock) as (client, peer), asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(expect_error(client.publish(event())))
        command = await peer.command()
        await peer.send({"type": "error", "id": command["id"], "code": "id_conflict", "message": "Another content."})
        error = await publishing
        assert (error.code.name, error.message, error.temporary) == ("id_conflict", "Another content.", False)


async def test_a_command_beyond_the_limits(server: FakeServer, clock: FakeClock) -> None:
    """Who asks for more than it may is told until when to wait, where it asked; what is sent then is performed."""
    async with connected(server, clock) as (client, peer), asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(expect_error(client.publish(event())))
        command = await peer.command()
        limited = {"code": "rate_limited", "message": "Later.", "retryAfter": 0.25}
        await peer.send({"type": "error", "id": command["id"], **limited})
        error = await publishing
        assert (error.code.name, error.temporary, error.retry_after_s) == ("rate_limited", True, 0.25)
        again = tasks.create_task(client.publish(event()))
        command = await peer.command()
        await peer.send({"type": "reply", "id": command["id"], "data": {"seq": 7, "repeat": False}})
        assert await again == {"seq": 7, "repeat": False}


async def answer_history(peer: Peer, offsets: list[int], before: int | None) -> Wire:
    """Answer the next command with a page."""
    command = await peer.command()
    data: Wire = {"messages": [{"timestamp": AT, **wager(offset)} for offset in offsets]}
    data |= {} if before is None else {"before": before}
    await peer.send({"type": "reply", "id": command["id"], "data": data})
    return command


async def test_history(server: FakeServer, clock: FakeClock) -> None:
    """An application reads what was said earlier, and what to ask for next, although nothing is followed."""
    async with connected(server, clock) as (client, peer), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(
            client.history("wagers", scope="/M1", filter={"action": "placed"}, before=90, limit=2)
        )
        command = await answer_history(peer, [80, 85], 80)
        assert command == {
            "id": 1,
            "command": "history",
            "target": "wagers",
            "scope": "/M1",
            "filter": {"action": "placed"},
            "before": 90,
            "limit": 2,
        }
        page = await asking
        assert ([message.offset for message in page.messages], page.before) == ([80, 85], 80)
        assert page.messages[0].data == {"wagerId": "w80"}


async def test_history_over_a_loss(server: FakeServer, clock: FakeClock) -> None:
    """A page whose answer was lost with the connection is asked for again."""
    async with connected(server, clock) as (client, peer), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(client.history("wagers"))
        assert (await peer.command())["limit"] == 100
        peer.vanish()
        await answer_history(await server.peer(), [], None)
        assert await asking == History(())


async def test_history_pages(server: FakeServer, clock: FakeClock) -> None:
    """An application reads a whole past page by page, over an empty page too, until nothing older is kept."""
    async with connected(server, clock) as (client, peer), asyncio.TaskGroup() as tasks:

        async def read() -> list[list[int | None]]:
            pages = client.history_pages("wagers", limit=2)
            return [[message.offset for message in page.messages] async for page in pages]

        reading = tasks.create_task(read())
        assert "before" not in await answer_history(peer, [8, 9], 8)
        assert (await answer_history(peer, [], 5))["before"] == 8
        command = await answer_history(peer, [2], None)
        assert (command["before"], command["limit"]) == (5, 2)
        assert await reading == [[8, 9], [], [2]]


async def test_history_refused(server: FakeServer, clock: FakeClock) -> None:
    """A refusal, and an answer that is no page, are raised where the history was asked for."""
    async with connected(server, clock) as (client, peer), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(expect_error(client.history("kpi")))
        command = await peer.command()
        await peer.send({"type": "error", "id": command["id"], "code": "command_invalid", "message": "Not of a view."})
        assert (await asking).code.name == "command_invalid"
        asking = tasks.create_task(expect_error(client.history("wagers")))
        await peer.send({"type": "reply", "id": (await peer.command())["id"], "data": {"messages": 7}})
        assert (await asking).code.name == "protocol_error"


async def expect_error(waiting: Awaitable[object]) -> ServerError:
    with pytest.raises(ServerError) as caught:
        await waiting
    return caught.value


async def test_refused_subscription(server: FakeServer, clock: FakeClock) -> None:
    """A subscription that is refused raises in its own iteration; the others go on."""
    async with connected(server, clock) as (client, peer):
        secrets, wagers = client.subscribe("secrets"), client.subscribe("wagers")
        command = await peer.command()
        await peer.send({"type": "error", "id": command["id"], "code": "topic_forbidden", "message": "Not for you."})
        await peer.accept(10, snapshot=[wager(10)])
        assert await offsets(wagers, 1) == [10]
        error = await expect_error(anext(secrets))
        assert error.code.name == "topic_forbidden"
        assert not isinstance(error, ConnectionEnded)
        peer.vanish()
        peer = await server.peer()
        assert (await peer.command())["target"] == "wagers"


@pytest.mark.parametrize("code", ["overloaded", "rate_limited"])
async def test_overloaded_subscription_is_tried_again(server: FakeServer, clock: FakeClock, code: str) -> None:
    """A subscription that an overloaded server puts off, or one beyond a limit, is asked for again when it said."""
    async with connected(server, clock) as (client, peer):
        wagers = client.subscribe("wagers")
        command = await peer.command()
        error = {"code": code, "message": "Later.", "retryAfter": 3}
        await peer.send({"type": "error", "id": command["id"], **error})
        await peer.accept(10, snapshot=[wager(10)])
        assert await offsets(wagers, 1) == [10]
        assert clock.slept == [3]


async def test_second_subscription_replaces(server: FakeServer, clock: FakeClock) -> None:
    """The same target and scope again ends the first iteration; nothing of it leaks into the second."""
    async with connected(server, clock) as (client, peer):
        first = client.subscribe("wagers")
        await peer.accept(10, snapshot=[wager(10)])
        assert await offsets(first, 1) == [10]
        second = client.subscribe("wagers", filter={"status": "open"})
        assert [message async for message in first] == []
        await peer.send(wager(11))
        await peer.accept(11, snapshot=[wager(5)])
        await peer.send(wager(12))
        assert await offsets(second, 2) == [5, 12]


async def test_unsubscribe(server: FakeServer, clock: FakeClock) -> None:
    """Letting go ends the iteration and tells the server."""
    async with connected(server, clock) as (client, peer):
        wagers = client.subscribe("wagers")
        await peer.accept(10, snapshot=[wager(10)])
        assert await offsets(wagers, 1) == [10]
        wagers.unsubscribe()
        wagers.unsubscribe()
        assert [message async for message in wagers] == []
        assert await peer.command() == {"id": 2, "command": "unsubscribe", "target": "wagers"}


async def test_direct_messages(server: FakeServer, clock: FakeClock) -> None:
    """Messages to the user or to everyone come without a subscription."""
    async with connected(server, clock) as (client, peer), asyncio.TaskGroup() as tasks:
        direct = client.direct()

        async def next_one() -> Message:
            return await anext(direct)

        first = tasks.create_task(next_one())
        await eventually(lambda: state_of(client) is ClientState.LIVE)
        await peer.send({"type": "notification", "target": "user:u1", "data": 1}, {"type": "alert", "data": 2})
        assert (await first).data == 1
        assert (await anext(direct)).data == 2
    assert [message async for message in direct] == []


async def test_missed_direct_messages(server: FakeServer, clock: FakeClock) -> None:
    """After a reconnect the subscriptions bring what was addressed to the user meanwhile, and each comes once."""
    async with connected(server, clock) as (client, peer):
        direct = client.direct()
        client.subscribe("wagers")
        await peer.accept(10)
        await peer.send(alert(12), tick(10))
        assert await offsets(direct, 1) == [12]
        peer.vanish()
        peer = await server.peer()
        await peer.send(alert(20), tick(20))
        assert (await peer.accept(20))["after"] == at(10)
        await peer.send(alert(12), alert(15), alert(20), tick(20), alert(21), tick(21))
        assert await offsets(direct, 3) == [20, 15, 21]


def alert(offset: int) -> Wire:
    return {"type": "alert", "target": "user:u1", "offset": offset, "data": {"text": f"a{offset}"}}


async def test_position_waits_for_direct_messages(server: FakeServer, clock: FakeClock) -> None:
    """An addressed message that the application has not handled is not covered by the position to store."""
    async with connected(server, clock) as (client, peer):
        direct = client.direct()
        wagers = client.subscribe("wagers")
        await peer.accept(10)
        await peer.send(tick(10), alert(11), tick(11), wager(12), tick(12), wager(13))
        assert await offsets(wagers, 2) == [12, 13]
        assert wagers.position == at(12)
        assert position_of(client) is None
        assert await offsets(direct, 1) == [11]
        assert position_of(client) == at(10)
        direct.close()
        direct.close()
        assert position_of(client) == at(12)
        assert [message async for message in direct] == []


async def test_direct_messages_hold_up_the_reading(server: FakeServer, clock: FakeClock) -> None:
    """Addressed messages do not pile up either; letting go of them lets the reading go on."""
    async with connected(server, clock, inbox_messages_max=2) as (client, peer):
        direct = client.direct()
        wagers = client.subscribe("wagers")
        await peer.accept(0)
        await peer.send(alert(1), alert(2), wager(3), tick(3))
        await eventually(lambda: direct.inbox.is_full)
        assert not wagers.inbox.is_full
        direct.close()
        assert await offsets(wagers, 1) == [3]


async def test_backoff_grows_until_proven(server: FakeServer, clock: FakeClock) -> None:
    """A client waits longer after each failure, with jitter, and briefly again once the server spoke with it."""
    server.refusals = [refusal(HTTPStatus.INTERNAL_SERVER_ERROR) for _ in range(9)]
    async with connected(server, clock) as (client, peer):
        assert clock.slept == [min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2**attempt) * 0.5 for attempt in range(9)]
        client.subscribe("wagers")
        await peer.accept(10)
        await client.wait_live()
        clock.slept.clear()
        await peer.close(1012)
        await server.peer()
        assert clock.slept == [BACKOFF_S_MIN * 0.5]


async def test_retry_after(server: FakeServer, clock: FakeClock) -> None:
    """A client comes back no earlier than the server asks, over HTTP or in a message."""
    server.refusals = [
        refusal(HTTPStatus.TOO_MANY_REQUESTS, retry_after="7"),
        refusal(HTTPStatus.SERVICE_UNAVAILABLE, {"code": "restarting", "message": "Soon.", "retryAfter": 4.5}),
    ]
    async with connected(server, clock) as (_, peer):
        assert clock.slept == [7, 4.5]
        await peer.send({"type": "connection_error", "code": "restarting", "message": "Soon.", "retryAfter": 2.5})
        await peer.close(1012)
        await server.peer()
        assert clock.slept == [7, 4.5, 2.5]


@pytest.mark.parametrize("code", [4500, 4999, 1008])
async def test_final_codes(server: FakeServer, clock: FakeClock, code: int) -> None:
    """When the server says not to come back the client does not, and everyone who waits hears why."""
    async with connected(server, clock) as (client, peer):
        wagers = client.subscribe("wagers")
        await peer.accept(10, snapshot=[wager(10)])
        await client.wait_live()
        await peer.send({"type": "connection_error", "code": "token_expired", "message": "It has expired."})
        await peer.close(code)
        assert await offsets(wagers, 1) == [10]
        error = await expect_error(anext(wagers))
        assert isinstance(error, ConnectionEnded)
        assert (error.code.name, error.close_code) == ("token_expired", code)
        assert state_of(client) is ClientState.CLOSED
        assert (await expect_error(client.wait_live())) is error
        assert (await expect_error(client.publish(event()))) is error
        assert (await expect_error(anext(client.subscribe("kpi")))) is error
        assert (await expect_error(anext(client.direct()))) is error
        assert (await expect_error(client.history("wagers"))) is error
        assert clock.slept == []


async def test_final_code_without_a_word(server: FakeServer, clock: FakeClock) -> None:
    """A final close without an error message is told with its reason."""
    async with connected(server, clock) as (client, peer):
        await peer.close(4501, "barred")
        error = await expect_error(ended(client))
        assert (error.code.name, error.message) == ("closed", "barred")


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1013, 4000, 4499])
async def test_other_codes_come_back(server: FakeServer, clock: FakeClock, code: int) -> None:
    """After any other close the client comes back."""
    async with connected(server, clock) as (_, peer):
        await peer.close(code)
        await server.peer()


async def test_fresh_token_once(server: FakeServer, clock: FakeClock) -> None:
    """A refused token is renewed once when the application can give a new one; a second refusal is final."""
    given: list[str] = []

    async def token() -> str:
        given.append(f"t{len(given)}")
        return given[-1]

    async with connected(server, clock, token=token) as (client, peer):
        assert peer.token == "Bearer t0"
        client.subscribe("wagers")
        await peer.accept(10)
        await client.wait_live()
        await peer.close(1008, "expired")
        peer = await server.peer()
        assert peer.token == "Bearer t1"
        await peer.accept(10)  # it was good: the next refusal is a first one again
        await client.wait_live()
        await peer.close(1008, "expired")
        await (await server.peer()).close(1008, "expired again")
        error = await expect_error(ended(client))
        assert (error.message, error.temporary) == ("expired again", False)
    assert given == ["t0", "t1", "t2"]


async def ended(client: Client) -> None:
    await eventually(lambda: state_of(client) is ClientState.CLOSED)
    await client.wait_live()


async def test_token_function_fails(server: FakeServer, clock: FakeClock) -> None:
    """A token that cannot be had now is asked for again later."""
    answers = iter(["", "t1"])

    def token() -> str:
        answer = next(answers)
        if not answer:
            raise OSError("the token service is down")
        return answer

    async with connected(server, clock, token=token) as (_, peer):
        assert peer.token == "Bearer t1"
        assert len(clock.slept) == 1


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND])
async def test_final_statuses(server: FakeServer, clock: FakeClock, status: HTTPStatus) -> None:
    """A server that refuses the upgrade for good is not asked again."""
    server.refusals = [refusal(status, {"code": "token_invalid", "message": "Not signed here."})]
    async with connect(server.url, token="t0ken", clock=clock, proxy=None) as client:
        error = await expect_error(client.wait_live())
        assert error.code.name == "token_invalid"
        assert clock.slept == []


async def test_stall(server: FakeServer, clock: FakeClock) -> None:
    """A connection on which nothing comes for two and a half heartbeats is given up, and a new one opened."""
    async with connected(server, clock) as (client, peer):
        wagers = client.subscribe("wagers")
        await peer.accept(10)
        await client.wait_live()
        clock.advance(STALL_S - 1)
        await peer.send(wager(11), tick(11))
        assert await offsets(wagers, 1) == [11]
        clock.advance(2)  # the first look: heard of it two seconds ago
        await eventually(lambda: clock._sleepers)
        assert server.peers.empty()
        clock.advance(STALL_S)
        peer = await server.peer()
        assert (await peer.accept(11))["after"] == at(11)


async def test_slow_application_is_no_stall(server: FakeServer, clock: FakeClock) -> None:
    """A connection that is not read because the application is slow is not taken for dead."""
    async with connected(server, clock, inbox_messages_max=1) as (client, peer):
        wagers = client.subscribe("wagers")
        await peer.accept(0)
        await peer.send(wager(1), wager(2), wager(3), tick(3))
        await eventually(lambda: wagers.inbox.is_full)
        for _ in range(3):
            clock.advance(STALL_S + 1)
            await eventually(lambda: clock._sleepers)
        assert await offsets(wagers, 3) == [1, 2, 3]
        assert server.peers.empty()


@pytest.mark.parametrize("frame", ["nonsense", '{"type":"tick"}', '[{"type":"tick","timestamp":"","data":{}}]'])
async def test_nonsense_from_the_server(server: FakeServer, clock: FakeClock, frame: str) -> None:
    """A server that does not speak the protocol is left, and tried again after a wait that grows."""
    async with connected(server, clock) as (_, peer):
        for _ in range(3):
            await peer.socket.send(frame)
            peer.done.set()
            peer = await server.peer()
        assert clock.slept == [0.125, 0.25, 0.5]


async def test_no_server(clock: FakeClock) -> None:
    """A server that is not there is tried again."""
    async with FakeServer() as gone:
        url = gone.url
    async with connect(url, clock=clock, proxy=None) as client:
        await eventually(lambda: len(clock.slept) >= 3)
        assert client.state in (ClientState.CONNECTING, ClientState.RECONNECTING)
        assert client.position is None


async def test_own_errors_pass_as_they_are(server: FakeServer, clock: FakeClock) -> None:
    """An error of the application inside `async with` is not wrapped in a group."""
    with pytest.raises(KeyError):
        async with connected(server, clock):
            raise KeyError("mine")


async def test_cancelled_while_waiting(server: FakeServer, clock: FakeClock) -> None:
    """An application that is cancelled while it waits for messages ends at once."""
    async with asyncio.TaskGroup() as tasks:

        async def follow() -> None:
            async with connect(server.url, clock=clock, proxy=None) as client:
                async for _ in client.subscribe("wagers"):
                    pass

        following = tasks.create_task(follow())
        await (await server.peer()).accept(10)
        following.cancel()
    assert following.cancelled()


async def test_bad_arguments() -> None:
    """A wrong address or position is told at once."""
    with pytest.raises(ValueError, match="not the address"):
        connect("127.0.0.1:8080")
    with pytest.raises(RequestError, match="position_invalid"):
        connect("http://127.0.0.1:1").subscribe("wagers", after="yesterday")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/ws"),
        ("https://book.example/", "wss://book.example/v1/ws"),
        ("https://book.example/flows", "wss://book.example/flows/v1/ws"),
        ("wss://book.example/v1/ws", "wss://book.example/v1/ws"),
    ],
)
def test_addresses(url: str, expected: str) -> None:
    """The address of the server is enough."""
    assert websocket_url(url) == expected


def test_backoff() -> None:
    """Waits grow from a quarter of a second to fifteen, are spread over the whole range, and respect the server."""
    assert [backoff_s(attempt, 1.0) for attempt in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    assert backoff_s(10_000, 0.0) == 0
    assert backoff_s(3, 0.5) == 1
    assert backoff_s(0, 0.5, 60) == 60

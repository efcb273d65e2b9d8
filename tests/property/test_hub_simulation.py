"""A seeded simulation of everything between the feed and an application, without sockets and in virtual time.

The hub, its loop, the WebSocket gateway and the client's session are the real ones. The feed grows, its memory is small
and its retention short; flushes take their time and load is shed; connections are read in pieces, stall, break and
come back; applications subscribe, let go, change their filters and rates, store their position, are killed and begin
again with it. Whatever happens, each subscription sees exactly what it may see, once, in order (but for critical
messages, which may come early) and without gaps (but for lossy streams, which say them); each document is as the view
was at its offset, and rows that are gone or have left the filter are gone; and who is addressed is told, once.
"""

import asyncio
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from fire22.core.filter import Filter, parse_filter
from fire22.core.frames import Close, ServerFrameParser, Text, masked, text_frame
from fire22.core.interest import (
    ConnectionFailed,
    Delivered,
    DocumentChanged,
    Effect,
    Interest,
    Recovered,
    Refused,
    Request,
    Resubscribed,
    Skipped,
    Snapshot,
    State,
    Ticked,
)
from fire22.core.message import Json, Message, decode_json
from fire22.core.position import Position
from fire22.core.role import Role
from fire22.core.scope import covers
from fire22.core.session import ClientSession
from fire22.core.topic import DIRECT, Kind
from fire22.gateways.limits import Limits
from fire22.gateways.register import Connections
from fire22.gateways.service import Service
from fire22.gateways.websocket import WebSocket
from fire22.hub.delivery import Delivery
from fire22.hub.loop import HubLoop
from fire22.log.base import Appended
from fire22.security.access import Access
from fire22.security.machines import Machines
from fire22.security.permissions import Permissions
from fire22.security.revocation import Revocation
from fire22.security.tokens import SignInCodes, Tokens
from tests.support import virtual_time
from tests.support.memory_feed import MemoryFeed, topics
from tests.support.memory_store import MemoryStore
from tests.support.notes import unaudited
from tests.support.people import people
from tests.support.seeds import seeds

ACCESS = Access({"admin": Role(None)})
STEPS = 4_000
OLD_COMMITS = 200  # groups whose time the log has not kept
BEGAN_MS = 1_800_000_000_000
APPLICATIONS = 6
HEARTBEAT_S = 2.0
BLOCK_BYTES = 100_000
START_MS = 1_767_225_600_000
TOPICS = topics()
LIMITS = msgspec.convert(
    {
        "connections_max": 100,
        "connections_user_max": 100,
        "connections_address_max": 0,
        "subscriptions_max": 64,
        "message_bytes_max": 1 << 20,
        "events_bytes_max": 1 << 20,
        "outbox_bytes_max": 8_000,
        "outboxes_bytes_max": 32 << 20,
        "auth_timeout_s": 10,
        "heartbeat_s": HEARTBEAT_S,
        "stall_s": 10**6,
        "compression": False,
    },
    Limits,
)
SCOPES = ("/", "/M1", "/M1/A7", "/M2")
PATHS = (*SCOPES, "/M1/A7/@C1", "/M10")
STATUSES: tuple[Json, ...] = ("open", "won", "lost")
SERVED = tuple(topic for topic in TOPICS if topic != DIRECT)


class Said(Struct, frozen=True):
    """A message of a stream as the truth knows it."""

    offset: int
    path: str
    data: dict[str, Json]
    expires_ms: int
    priority: int
    target: str


class Truth:
    """All that was ever said, and every state of every document."""

    def __init__(self, feed: MemoryFeed) -> None:
        self.feed = feed
        self._committed_ms = self._commits = 0
        self._streams: dict[str, list[Said]] = {topic: [] for topic in TOPICS}
        self._offsets: dict[str, list[int]] = {topic: [] for topic in TOPICS}
        self._versions: dict[tuple[str, str], dict[str, dict[int, dict[str, Json] | None]]] = {}

    def commit(self) -> None:
        """End a commit group, and remember what it said: offsets follow time, but for the groups of an old log."""
        if self._commits >= OLD_COMMITS:
            self._committed_ms = (self._committed_ms or BEGAN_MS) + (1, 1, 7, 400)[self._commits % 4]
        self._commits += 1
        batch = self.feed.commit(self._committed_ms)
        for record in batch.records:
            if TOPICS[record.topic].kind is Kind.STREAM:
                for offset, entry in enumerate(record.entries, start=record.offset):
                    data = msgspec.json.decode(entry.data)
                    said = Said(offset, entry.path, data, entry.expires_ms, entry.priority, entry.target)
                    self._streams[record.topic].append(said)
                    self._offsets[record.topic].append(offset)
        for document in batch.documents:
            held = self._versions.setdefault((document.topic, document.scope), {})
            held.setdefault(document.key, {})[document.offset] = document.body

    def owed(self, topic: str, scope: str, filter: Filter | None, after: int, upto: int) -> list[int]:
        """The offsets in (after, upto] that a subscriber must have seen: those that cannot have expired."""
        watermark_ms = self.feed.checkpoint.watermark_ms
        return [
            said.offset
            for said in self.visible(topic, scope, filter, after, upto)
            if not said.expires_ms or said.expires_ms > watermark_ms
        ]

    def visible(self, topic: str, scope: str, filter: Filter | None, after: int, upto: int) -> list[Said]:
        """The messages in (after, upto] that a subscriber may see."""
        return [
            said
            for said in self._between(topic, after, upto)
            if covers(scope, said.path) and (filter is None or filter.matches(said.data))
        ]

    def addressed(self, targets: tuple[str, ...], after: int, upto: int) -> list[int]:
        """The offsets in (after, upto] of what is addressed to somebody."""
        return [said.offset for said in self._between(DIRECT, after, upto) if said.target in targets]

    def _between(self, topic: str, after: int, upto: int) -> list[Said]:
        offsets = self._offsets[topic]
        return self._streams[topic][bisect_right(offsets, after) : bisect_right(offsets, upto)]

    def said(self, topic: str, offset: int) -> Said:
        """One message."""
        return self._streams[topic][bisect_left(self._offsets[topic], offset)]

    def newest(self, topic: str, scope: str, upto: int) -> dict[str, int]:
        """By key, the offset of the newest state of each document of a scope as of an offset."""
        return {
            key: next(offset for offset in reversed(versions) if offset <= upto)
            for key, versions in self._versions.get((topic, scope), {}).items()
            if next(iter(versions)) <= upto
        }

    def versions(self, topic: str, scope: str, key: str) -> list[int]:
        """The offsets of a document's states."""
        return list(self._versions[topic, scope][key])

    def body(self, topic: str, scope: str, key: str, offset: int) -> dict[str, Json] | None:
        """A document's state of an offset; None where it was removed."""
        return self._versions[topic, scope][key][offset]


class Line(asyncio.Transport):
    """A connection without a network: the client takes bytes when it likes."""

    def __init__(self, protocol: WebSocket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._protocol = protocol
        self._loop = loop
        self._unread = bytearray()  # by the client
        self._unheard = bytearray()  # by the server
        self._high = 1 << 16
        self._full = self._deaf = self._closing = self._ended = False
        protocol.connection_made(self)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        self._high = high

    def get_write_buffer_size(self) -> int:
        return len(self._unread)

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._closing, "written to a closing transport"
        self._unread += data
        if len(self._unread) > self._high and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def pause_reading(self) -> None:
        self._deaf = True

    def resume_reading(self) -> None:
        if self._deaf:
            self._deaf = False
            self._loop.call_soon(self.hear, b"")

    def close(self) -> None:
        self._closing = True
        self._loop.call_soon(self.end)

    def abort(self) -> None:
        self.close()

    def end(self) -> None:
        """The connection is gone, as the server sees it."""
        self._closing = True
        if not self._ended:
            self._ended = True
            self._protocol.connection_lost(None)

    def hear(self, data: bytes) -> None:
        """The client has sent something."""
        self._unheard += data
        if self._unheard and not self._deaf and not self._closing:
            heard = bytes(self._unheard)
            self._unheard.clear()
            self._protocol.data_received(heard)

    def take(self, size: int) -> bytes:
        """The client takes at most so many bytes."""
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        if self._full and len(self._unread) <= self._high // 4 and not self._ended:
            self._full = False
            self._protocol.resume_writing()
        return taken


class Watch:
    """What one subscription has seen, held against the truth."""

    def __init__(self, truth: Truth, request: Request, after: int | None) -> None:
        self._truth = truth
        self._request = request
        self._is_stream = TOPICS[request.target].kind is Kind.STREAM
        self._filter = parse_filter(request.filter, TOPICS[request.target].filterable, request.target)
        self._scope = request.scope or "/"
        self._upto = after  # everything up to here has been seen; None until the snapshot
        self._early: set[int] = set()  # critical messages that came before their turn
        self._gaps: set[int] = set()  # of a lossy stream, until they are said
        self._seen: set[int] = set()  # of a lossy stream
        self._held: dict[str, int] = {}  # rows that the application has, by their offset
        self._gone: dict[str, int] = {}  # rows that were taken away

    def snapshot(self, messages: tuple[Message, ...], head: int) -> None:
        """It holds the newest that may be seen."""
        if self._is_stream:
            offsets = [message.offset or 0 for message in messages]
            last = self._request.last or 0
            assert len(offsets) <= last
            assert offsets == sorted(set(offsets))
            assert not offsets or offsets[-1] <= head
            for message in messages:
                self._check_said(message)
            kept_from = self._truth.feed.lost if len(offsets) < last else offsets[0] if offsets else head
            missed = set(self._owed(kept_from, head)) - set(offsets)
            assert not missed, f"the snapshot lacks {missed}"
        else:
            self._gone = {}
            self._held = {message.key or "": message.offset or 0 for message in messages}
            newest = self._truth.newest(self._request.target, self._scope, head)
            assert self._held == {key: offset for key, offset in newest.items() if self._sees(key, offset)}
            for message in messages:
                self.document(message, again=True)
        self._early = {offset for offset in self._early if offset > head}
        self._gaps = set()
        self._upto = head

    def resumed(self, after: int) -> None:
        """What a lossy stream had left out after its position may come now."""
        if self._request.lossy:
            self._upto = after
            self._gaps = set()
            self._early = {offset for offset in self._seen if offset > after}

    def delivered(self, message: Message) -> None:
        """It is the next one that may be seen, or a critical one before its turn."""
        if not self._is_stream:
            self.document(message)
            return
        offset = message.offset or 0
        assert self._upto is not None
        assert offset > self._upto, "out of order, or again"
        assert offset not in self._early, "again"
        self._check_said(message)
        if self._request.lossy:
            self._seen.add(offset)
        if self._truth.said(self._request.target, offset).priority == 3:
            before = self._truth.visible(self._request.target, self._scope, self._filter, self._upto, offset - 1)
            if any(said.offset not in self._early for said in before):
                self._early.add(offset)
                return
        missed = [each for each in self._owed(self._upto, offset) if each != offset and each not in self._early]
        assert not missed or self._request.lossy, f"{missed} did not come before {offset}"
        self._gaps.update(missed)
        self._move(offset)

    def skipped(self, first: int, last: int, count: int) -> None:
        """So many messages of a lossy stream were left out."""
        assert self._request.lossy
        visible = self._truth.visible(self._request.target, self._scope, self._filter, first - 1, last)
        certain = [said for said in visible if not said.expires_ms and said.priority < 3]
        assert len(certain) <= count <= len(visible)
        self._gaps = {offset for offset in self._gaps if not first <= offset <= last}
        assert self._upto is not None
        if last > self._upto:
            before = [each for each in self._owed(self._upto, first - 1) if each not in self._early]
            self._gaps.update(before)
            self._move(last)

    def document(self, message: Message, *, again: bool = False) -> None:
        """It is the document as it was at that offset, or gone."""
        key, offset = message.key or "", message.offset or 0
        body = self._truth.body(self._request.target, self._scope, key, offset)
        assert again or offset > max(self._held.get(key, 0), self._gone.get(key, 0))
        if message.data is None:
            assert body is None or not self._sees(key, offset)
            self._held.pop(key, None)
            self._gone[key] = offset
        else:
            assert message.data == body
            assert self._sees(key, offset)
            self._held[key] = offset

    def removed(self, message: Message) -> None:
        """A row is gone; a snapshot that lacks it says no offset."""
        if message.offset is not None:
            self.document(message)

    def complete(self, upto: int) -> None:
        """Everything up to an offset has been seen."""
        if self._is_stream:
            assert self._upto is not None
            missed = [each for each in self._owed(self._upto, upto) if each not in self._early]
            missed += [each for each in self._gaps if each <= upto]
            assert not missed, f"{missed} had not come at position {upto}"
            self._move(max(self._upto, upto))
        else:
            for key, offset in self._truth.newest(self._request.target, self._scope, upto).items():
                known = max(self._held.get(key, 0), self._gone.get(key, 0))
                if known < offset:
                    # It may be further than it says; what came and went meanwhile it need not have seen.
                    assert key not in self._held, f"{key} is older than position {upto}"
                    assert any(not self._sees(key, each) for each in self._since(key, offset)), f"{key} is missing"

    def safe(self, upto: int) -> None:
        """Who begins anew from there misses nothing."""
        if self._is_stream and self._upto is not None:
            missed = [each for each in self._owed(self._upto, upto) if each not in self._early]
            assert not missed, f"{missed} would be lost with position {upto}"

    def _since(self, key: str, offset: int) -> list[int]:
        return [each for each in self._truth.versions(self._request.target, self._scope, key) if each >= offset]

    def _move(self, upto: int) -> None:
        self._upto = upto
        self._early = {offset for offset in self._early if offset > upto}

    def _sees(self, key: str, offset: int) -> bool:
        return self.sees(self._truth.body(self._request.target, self._scope, key, offset))

    def sees(self, body: dict[str, Json] | None) -> bool:
        """Whether a document in this state is one of its rows."""
        return body is not None and (self._filter is None or self._filter.matches(body))

    def _owed(self, after: int, upto: int) -> list[int]:
        return self._truth.owed(self._request.target, self._scope, self._filter, after, upto)

    def _check_said(self, message: Message) -> None:
        said = self._truth.said(self._request.target, message.offset or 0)
        assert (message.offset, message.data) == (said.offset, said.data)
        assert covers(self._scope, said.path)
        assert self._filter is None or self._filter.matches(said.data)


class Letterbox:
    """What is addressed to one application, held against the truth."""

    def __init__(self, truth: Truth, user: str) -> None:
        self._truth = truth
        self._targets = (f"user:staff:{user}", f"client:{user}-phone", "everyone")
        self._from: int | None = None  # everything after here has to come; None until that is known
        self._seen: set[int] = set()

    def connected(self) -> None:
        """What it will be brought depends on what it resumes."""
        self._from = None

    def resumed(self, after: int) -> None:
        """A subscription went on from a position, and brings what was addressed since."""
        self._from = after if self._from is None else min(self._from, after)

    def delivered(self, message: Message) -> None:
        """It is for this application, and has not come before."""
        offset = message.offset or 0
        said = self._truth.said(DIRECT, offset)
        assert said.target in self._targets
        assert message.target == (None if said.target == "everyone" else said.target)
        assert message.data == said.data
        assert offset not in self._seen, f"{offset} again"
        self._seen.add(offset)

    def complete(self, upto: int) -> None:
        """Everything up to a position has come."""
        if self._from is None:
            self._from = upto
        kept_from = max(self._from, self._truth.feed.lost)
        missed = set(self._truth.addressed(self._targets, kept_from, upto)) - self._seen
        assert not missed, f"{missed} had not come at position {upto}"


class Application:
    """A client with a mind of its own."""

    def __init__(self, simulation: "Simulation", chance: random.Random, user: str) -> None:
        self.simulation = simulation
        self.chance = chance
        self.user = user
        self.letterbox = Letterbox(simulation.truth, user)
        self.session = ClientSession()
        self.watches: dict[Interest, Watch] = {}
        self.line: Line | None = None
        self.parser = ServerFrameParser(1 << 26)
        self.stored: str | None = None
        for _ in range(3):
            self.subscribe()

    async def run(self) -> None:
        """Live until the simulation ends, and then until everything has come."""
        while not self.simulation.ended or not self.settled:
            if self.line is None:
                await asyncio.sleep(self.chance.random() * 0.5)
                self.connect()
            await asyncio.sleep(self.chance.random() * 0.03)
            self.receive(self.chance.choice([100, 2_000, 50_000]))
            if not self.simulation.ended:
                await self.act()
        self.check_end()
        if self.line is not None:
            self.line.end()

    @property
    def settled(self) -> bool:
        """Everything has come."""
        position = self.session.position
        return (
            self.line is not None
            and self.session.level
            and position is not None
            and position.offset == self.simulation.feed.checkpoint.offset
        )

    async def act(self) -> None:
        """Do one of the things that applications do."""
        match self.chance.choices(
            ["nothing", "stall", "break", "kill", "store", "subscribe", "let go"], [82, 2, 2, 1, 6, 5, 2]
        )[0]:
            case "stall":
                self.simulation.counted["stalls"] += 1
                await asyncio.sleep(self.chance.random() * 4)
            case "break":
                self.simulation.counted["breaks"] += 1
                self.disconnect()
            case "kill":
                self.simulation.counted["kills"] += 1
                self.kill()
            case "store":
                self.store()
            case "subscribe":
                self.subscribe()
                self.send()
            case "let go":
                if len(self.session.interests) > 1:
                    interest = self.chance.choice(self.session.interests)
                    self.session.unsubscribe(interest)
                    del self.watches[interest]
                    self.send()

    def subscribe(self) -> None:
        """Something new, or the same with another filter, from a snapshot or from the position of now."""
        target = self.chance.choice(SERVED)
        is_stream = TOPICS[target].kind is Kind.STREAM
        filter: dict[str, Json] | None = None
        if target == "wagers" and self.chance.random() < 0.5:
            filter = {"status": self.chance.sample(STATUSES, 2), "amount": {"lte": self.chance.choice([50, 90])}}
        elif target == "desk" and self.chance.random() < 0.6:
            choices: list[dict[str, Json]] = [{"total": [1, 2, 3]}, {"open": True}, {"total": {"gte": 2}}]
            filter = self.chance.choice(choices)
        request = Request(
            target,
            self.chance.choice(SCOPES),
            filter,
            delta=not is_stream and self.chance.random() < 0.7,
            last=self.chance.choice([0, 1, 20, 500]) if is_stream else None,
            max_rate_hz=self.chance.choice([None, None, None, 1, 20]),
            lossy=is_stream and self.chance.random() < 0.2,
        )
        position = earliest(self.session) if is_stream and self.chance.random() < 0.3 else None
        self.follow(request, None if position is None else str(position))

    def follow(self, request: Request, after: str | None) -> None:
        """Subscribe, and watch what comes; the same target and scope again replaces."""
        for interest in self.session.interests:
            if (interest.request.target, interest.request.scope) == (request.target, request.scope):
                del self.watches[interest]
        interest = self.session.subscribe(request, after)
        self.watches[interest] = Watch(
            self.simulation.truth, request, None if after is None else int(after.rpartition("-")[2])
        )

    def connect(self) -> None:
        """Open a connection."""
        self.line = self.simulation.connect(self.user)
        self.letterbox.connected()
        self.parser = ServerFrameParser(1 << 26)
        head, end, rest = self.line.take(10_000).partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 503"):
            self.simulation.counted["refused"] += 1
            self.line = None
            return
        assert head.startswith(b"HTTP/1.1 101")
        assert (end, rest) == (b"\r\n\r\n", b"")
        self.session.connected()
        self.send()

    def disconnect(self) -> None:
        """Lose the connection, and what was on its way."""
        if self.line is not None:
            self.line.end()
            self.line = None
            self.session.disconnected()

    def kill(self) -> None:
        """Begin anew, with what was stored."""
        self.disconnect()
        requests = [interest.request for interest in self.session.interests]
        self.session = ClientSession()
        self.letterbox = Letterbox(self.simulation.truth, self.user)
        self.watches = {}
        for request in requests:
            self.follow(request, self.stored if TOPICS[request.target].kind is Kind.STREAM else None)

    def store(self) -> None:
        """Keep the position, if it is safe to begin from."""
        position = earliest(self.session)
        if position is not None:
            for watch in self.watches.values():
                watch.safe(position.offset)
            self.stored = str(position)

    def send(self) -> None:
        """Send the commands that wait."""
        for command in self.session.commands():
            frame = masked(text_frame(msgspec.json.encode(command)), self.chance.randbytes(4))
            if self.line is not None:
                self.line.hear(frame)

    def receive(self, size: int) -> None:
        """Take some bytes, and hold what they say against the truth."""
        if self.line is None:
            return
        for incoming in self.parser.receive(self.line.take(size)):
            if isinstance(incoming, Close):
                assert incoming.code == 4000
                self.disconnect()
                return
            assert isinstance(incoming, Text)
            for message in decode_json(incoming.payload):
                for effect in self.session.receive(message, now_ms=0):
                    self.check(effect)
        self.send()

    def check(self, effect: Effect) -> None:
        """Hold one effect against the truth."""
        match effect:
            case Delivered(None, message):
                self.letterbox.delivered(message)
            case Delivered(interest, message):
                assert interest is not None
                self.watches[interest].delivered(message)
            case DocumentChanged(interest, message) if message.data is None:
                self.watches[interest].removed(message)
            case DocumentChanged(interest, message):
                self.watches[interest].document(message, again=True)
            case Skipped(interest, range, count):
                self.simulation.counted["skipped"] += 1
                self.watches[interest].skipped(range.from_, range.to, count)
            case Snapshot(interest, messages):
                assert interest.head is not None
                self.watches[interest].snapshot(messages, interest.head.offset)
            case Ticked(position):
                self.letterbox.complete(position.offset)
                for interest, watch in self.watches.items():
                    if interest.state is State.LIVE and interest.position is not None:
                        watch.complete(interest.position.offset)
            case Recovered(interest, recovered, reason, lost):
                if recovered and interest.position is not None:
                    self.letterbox.resumed(interest.position.offset)
                    self.watches[interest].resumed(interest.position.offset)
                self.simulation.counted[reason or "recovered"] += 1
                assert recovered or reason == "position_lost"
                assert (lost is None) is recovered
            case ConnectionFailed(error):
                self.simulation.counted["overtaken"] += 1
                assert error.code == "position_lost"
            case Refused() | Resubscribed():
                raise AssertionError(f"not expected: {effect}")

    def check_end(self) -> None:
        """Everything has come: to the last message, and each document as the hub has it."""
        hub = self.simulation.hub
        for interest, watch in self.watches.items():
            watch.complete(hub.flushed)
            if interest.request.delta:
                documents = hub.documents(interest.request.target, interest.request.scope or "/")
                held = {key: message.data for key, message in interest.documents.items()}
                assert held == {each.key: each.body for each in documents if watch.sees(each.body)}


class NoLog:
    """Nothing is published here."""

    def append(self, *_: object) -> "asyncio.Future[list[Appended]]":
        raise AssertionError("nothing is published")


class Simulation:
    """The server's side."""

    def __init__(self, chance: random.Random, tasks: asyncio.TaskGroup) -> None:
        self.chance = chance
        self.ended = False
        self.counted: Counter[str] = Counter()
        self.feed = MemoryFeed(ring_bytes_max=chance.choice([5_000, 50_000, 1 << 20]))
        self.feed.reading = lambda: asyncio.sleep(chance.random() * 0.05)
        self.truth = Truth(self.feed)
        self.watermark_ms = START_MS
        self.feed.pass_time(START_MS)
        for scope in SCOPES:
            self.feed.change("kpi", scope, {"total": 0})
        self.truth.commit()
        clock = asyncio.get_running_loop()
        self.hub = Delivery(self.feed, TOPICS, now_ms=lambda: START_MS, block_bytes_max=BLOCK_BYTES)
        self.loop = HubLoop(
            self.hub,
            self.feed,
            flush_interval_ms=20,
            flush_bytes_max=5_000,
            heartbeat_s=HEARTBEAT_S,
            shed_ms=chance.choice([3, 250]),
        )
        self.tokens = tokens = Tokens(b"k" * 32)
        no_log: Any = NoLog()
        service = Service(
            log=no_log,
            hub=self.loop,
            access=ACCESS,
            tokens=tokens,
            sign_in=SignInCodes(),
            revocation=(revocation := Revocation(store := MemoryStore(), now_ms=lambda: START_MS)),
            machines=Machines(store, revocation, now_ms=lambda: START_MS),
            people=people(),
            audit=unaudited(),
            permissions=Permissions(MemoryStore(), ACCESS, topics={}, commands={}),
            topics=TOPICS,
            limits=LIMITS,
            now_ms=lambda: START_MS,
            check_event=lambda _type, _data: None,
        )
        shared = Connections(service, tasks)
        self._connection: Callable[[], WebSocket] = shared.bind(WebSocket)
        self._clock = clock

    def connect(self, user: str) -> Line:
        """A new connection, past its handshake."""
        token = self.tokens.sign(
            subject=user, role="admin", scope="/", ttl_s=10**6, now_ms=START_MS, client=f"{user}-phone"
        )
        self.counted["connections"] += 1
        line = Line(self._connection(), self._clock)
        codec = self.chance.choice(["plain", "json"])
        line.hear(
            f"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'x' * 24}\r\n"
            f"Sec-WebSocket-Protocol: fire22.v1.{codec}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        return line

    async def happen(self) -> None:
        """So much happens in the book."""
        for _ in range(STEPS):
            for _ in range(self.chance.choice([1, 1, 1, 3, 12])):
                self.say()
            if self.chance.random() < 0.3:
                self.change()
            if self.chance.random() < 0.05:
                self.address()
            if self.chance.random() < 0.2:
                self.watermark_ms += self.chance.randrange(1, 2_000)
                self.feed.pass_time(self.watermark_ms)
            self.truth.commit()
            if self.chance.random() < 0.01:
                self.feed.drop(len(self.feed.records) // self.chance.choice([2, 3, 10]))
            await asyncio.sleep(self.chance.choice([0, 0.001, 0.01, 0.05]))
        self.ended = True

    def say(self) -> None:
        """A message of a stream."""
        chance = self.chance
        data: dict[str, Json] = {"status": chance.choice(STATUSES), "amount": chance.randrange(100)}
        if chance.random() < 0.05:
            data["text"] = "x" * 2_000
        self.feed.say(
            chance.choice(["wagers", "activity"]),
            chance.choice(PATHS),
            data,
            priority=3 if chance.random() < 0.02 else 1,
            expires_ms=self.watermark_ms + chance.randrange(3_000) if chance.random() < 0.1 else 0,
        )

    def change(self) -> None:
        """A document's new state, or the end of one."""
        chance = self.chance
        body: dict[str, Json] = {"total": chance.randrange(5), "open": chance.random() < 0.5, "text": "x" * 50}
        body |= {name: {"n": chance.randrange(3)} for name in "abc" if chance.random() < 0.5}
        if chance.random() < 0.5:
            self.feed.change("kpi", chance.choice(SCOPES), body)
        else:
            gone = chance.random() < 0.2
            self.feed.change("desk", chance.choice(SCOPES), None if gone else body, key=chance.choice("vwxyz"))

    def address(self) -> None:
        """A message for somebody."""
        user = f"u{self.chance.randrange(APPLICATIONS)}"
        target = self.chance.choice(["everyone", f"user:staff:{user}", f"client:{user}-phone", "user:staff:nobody"])
        self.feed.say(DIRECT, "/", {"n": self.chance.randrange(100)}, target=target)


def earliest(session: ClientSession) -> Position | None:
    """The session's position, held back by every subscription that is behind it."""
    position = session.position
    for interest in session.interests:
        if position is not None and interest.position is not None:
            position = min(position, interest.position)
    return position


async def simulate(seed: int) -> None:
    """One run."""
    chance = random.Random(seed)
    async with asyncio.TaskGroup() as tasks:
        simulation = Simulation(chance, tasks)
        hub = simulation.hub
        running = tasks.create_task(simulation.loop.run())
        applications = [
            Application(simulation, random.Random(chance.random()), f"u{number}") for number in range(APPLICATIONS)
        ]
        async with asyncio.TaskGroup() as clients:
            clients.create_task(simulation.happen())
            for application in applications:
                clients.create_task(application.run())
        print(f"seed {seed}: {hub.flushed} messages, {dict(simulation.counted)}, {hub.statistics}")
        assert hub.lane_count == 0
        assert not hub.catching
        assert simulation.counted["recovered"]
        assert hub.history.size_bytes <= BLOCK_BYTES
        running.cancel()


@seeds(4, 24)
def test_simulation(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks, each subscription sees what it may see, in order, once, and begins anew from what was stored."""
    if seed % 2:  # a critical message overtakes whatever waits
        monkeypatch.setattr("fire22.hub.flush.OVERTAKE_BYTES", 1)
    slow = random.Random(seed)
    virtual_time.run(simulate(seed), work_s=lambda: slow.random() * 0.002)


def test_position_of_the_session() -> None:
    """What the session itself calls its position is safe to store at any moment, as `earliest` is."""

    def receive(type: str, data: Json, id: int | None = None) -> None:
        session.receive(Message(type, "2026-01-01T00:00:00.000Z", data, id=id), now_ms=0)

    def tick(offset: int) -> Json:
        return {"position": f"1f0c9a2b-{offset}", "time": "2026-01-01T00:00:00.000Z"}

    session = ClientSession()
    session.connected()
    session.subscribe(Request("wagers"))
    receive("reply", {"position": "1f0c9a2b-20", "snapshot": []}, 1)
    receive("tick", tick(20))
    session.subscribe(Request("activity"), "1f0c9a2b-10")
    receive("reply", {"position": "1f0c9a2b-20", "recovered": True}, 2)
    assert session.position == Position("1f0c9a2b", 10)
    receive("tick", tick(15))
    assert session.position == Position("1f0c9a2b", 15)

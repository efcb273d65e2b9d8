"""What every connection does, seen on the least that a transport can be: places, the order of commands, ends."""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, cast

import msgspec

from fire22.core.command import Command, parse_command
from fire22.core.message import Json, Message, decode_json
from fire22.core.role import Role
from fire22.gateways.limits import Limits
from fire22.gateways.rates import LimitsConfig, Payer, Rates
from fire22.gateways.register import Connections
from fire22.gateways.service import Service
from fire22.hub.delivery import Delivery
from fire22.hub.loop import HubLoop
from fire22.security.access import Access
from fire22.security.keys import from_secret
from fire22.security.machines import Machines
from fire22.security.permissions import Permissions
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation
from fire22.security.ring import OWN, KeyRing
from fire22.security.signature import encode
from fire22.security.tokens import SignInCodes, Tokens
from tests.support import virtual_time
from tests.support.bare import BareConnection
from tests.support.memory_feed import MemoryFeed, topics
from tests.support.memory_store import MemoryStore
from tests.support.notes import unaudited
from tests.support.people import people

ACCESS = Access({"admin": Role(None)})
NOW_MS = 1_767_225_600_000
KEY = b"k" * 32
NEW = b"n" * 32
LIMITS = Limits(
    connections_max=5,
    connections_user_max=2,
    connections_address_max=3,
    subscriptions_max=4,
    message_bytes_max=1 << 20,
    compression=False,
    events_bytes_max=1 << 20,
    outbox_bytes_max=400,
    outboxes_bytes_max=6_000,
    auth_timeout_s=10,
    heartbeat_s=25,
    stall_s=60,
)


class Waiting:
    """An issuer that has a new key as soon as it answers."""

    def __init__(self, ring: KeyRing) -> None:
        self.answers = asyncio.Event()
        self._ring = ring

    def may_ask(self) -> bool:
        """See Issuer."""
        return True

    async def ask(self) -> None:
        """See Issuer."""
        await self.answers.wait()
        self._ring.replace("jwks", [from_secret(NEW, kid="new", source="jwks")], NOW_MS)


class Server:
    """What stands behind connections: a feed in memory, and a hub that runs by the loop's time."""

    def __init__(self, tasks: asyncio.TaskGroup, ring_bytes_max: int) -> None:
        self.feed = MemoryFeed(ring_bytes_max)
        self.now_ms = NOW_MS
        self.work_s = 0.0
        self.clock_s = 0.0
        delivery = Delivery(self.feed, topics(), now_ms=lambda: self.now_ms)
        self.hub = HubLoop(delivery, self.feed, flush_interval_ms=20, flush_bytes_max=5_000, heartbeat_s=25)
        service = Service(
            log=cast("Any", None),
            hub=self.hub,
            access=ACCESS,
            tokens=Tokens(KEY),
            sign_in=SignInCodes(),
            revocation=(revocation := Revocation(store := MemoryStore(), now_ms=lambda: self.now_ms)),
            machines=Machines(store, revocation, now_ms=lambda: self.now_ms),
            people=people(),
            audit=unaudited(),
            permissions=Permissions(MemoryStore(), ACCESS, topics={}, commands={}),
            topics=topics(),
            limits=LIMITS,
            now_ms=lambda: self.now_ms,
            check_event=lambda _type, _data: None,
            clock=lambda: self.clock_s,
            worked=lambda: self.work_s,
        )
        self.connections = Connections(service, tasks)
        self._kind = self.connections.bind(BareConnection)

    def connect(self, user: str | None = "ann", address: str = "", ttl_s: int = 600) -> BareConnection:
        """A new connection of a user; None is one who has not said who it is."""
        connection = self._kind()
        principal = None if user is None else Principal(user, "admin", "/", NOW_MS + ttl_s * 1000)
        connection.enter(principal, address)
        return connection

    def token(self, *, topics: list[Json] | None = None, ttl_s: int = 600, key: bytes = KEY, kid: str = "") -> str:
        """A token of ann, by the server's key or another one."""
        header = {"alg": "HS256", "typ": "JWT"} | ({"kid": kid} if kid else {})
        claims: dict[str, Json] = {"sub": "ann", "role": "admin", "scope": "/", "exp": NOW_MS // 1000 + ttl_s}
        claims |= {} if topics is None else {"topics": topics}
        signed = f"{encode(msgspec.json.encode(header))}.{encode(msgspec.json.encode(claims))}"
        return f"{signed}.{encode(hmac.digest(key, signed.encode(), 'sha256'))}"

    async def say(self, count: int) -> None:
        """So many wagers, and the time until they are delivered."""
        for number in range(count):
            self.feed.say("wagers", "/", {"number": number, "text": "x" * 100})
            self.feed.commit()
        await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def running(ring_bytes_max: int = 1 << 20) -> AsyncIterator[Server]:
    """A server."""
    async with asyncio.TaskGroup() as tasks:
        server = Server(tasks, ring_bytes_max)
        hub = tasks.create_task(server.hub.run())
        try:
            yield server
        finally:
            hub.cancel()


def run(main: Coroutine[Any, Any, None]) -> None:
    """In virtual time."""
    virtual_time.run(main)


def perform(connection: BareConnection, id: int, command: str, **fields: Json) -> None:
    """Send a command."""
    message: dict[str, Json] = {"id": id, "command": command}
    connection.perform(parse_command(msgspec.json.encode(message | fields)))


def taken(connection: BareConnection) -> list[int]:
    """The ids of the answers that the peer takes."""
    ids = []
    while messages := connection.take():
        ids += [message.id for message in decode_json(b"[%b]" % b",".join(messages)) if message.id is not None]
    return ids


def test_commands_keep_their_order() -> None:
    """A command that waits for the disk keeps its place: what was sent behind it is answered behind it."""

    async def main() -> None:
        async with running(ring_bytes_max=1) as server:
            await server.say(3)
            connection = server.connect()
            perform(connection, 1, "history", target="wagers", limit=3)
            perform(connection, 2, "ping")
            perform(connection, 3, "history", target="wagers", limit=3)
            perform(connection, 4, "subscribe", target="kpi")
            assert taken(connection) == []
            answered = []
            for _ in range(4):
                await asyncio.sleep(1)
                answered += taken(connection)
            assert answered == [1, 2, 3, 4]

    run(main())


def test_input_is_read_in_turns() -> None:
    """A chunk of many small commands and pings is read slice by slice: others go on meanwhile, and its order stays."""

    async def main() -> None:
        async with running() as server:
            greedy, good = server.connect("ann"), server.connect("bob")
            read = []

            def chunk() -> Iterator[Command | None]:
                for number in range(100):
                    server.work_s += 0.000_5
                    read.append(number)
                    yield parse_command(b'{"id":%d,"command":"ping"}' % number) if number % 50 == 0 else None

            greedy.read(chunk())
            assert len(read) <= 5  # slices of 2 ms
            heard_meanwhile = greedy.is_heard
            assert not heard_meanwhile
            perform(good, 7, "ping")
            greedy.read(iter((parse_command(b'{"id":100,"command":"ping"}'),)))
            await asyncio.sleep(0)
            assert len(read) <= 15
            assert taken(good) == [7]
            await asyncio.sleep(1)
            assert len(read) == 100
            assert taken(greedy) == [0, 50, 100]
            assert greedy.is_heard
            left = server.connections.service.left(Payer(user="staff:ann"))
            assert left is not None
            assert left.units_max - left.units >= 7  # three commands, and 98 pieces that are none

    run(main())


def test_who_asks_for_less_is_not_refused() -> None:
    """A connection that has used up what it may cost can still end its subscriptions."""

    async def main() -> None:
        async with running() as server:
            connection = server.connect()
            perform(connection, 1, "subscribe", target="kpi")
            service = server.connections.service
            service.rates = Rates(LimitsConfig(connection_units_per_s=0.001, burst_s=1))
            answers: list[Message] = []
            for id, command in ((2, "ping"), (3, "ping"), (4, "unsubscribe")):
                perform(connection, id, command, **({"target": "kpi"} if command == "unsubscribe" else {}))
                while parts := connection.take():
                    answers += decode_json(b"[%b]" % b",".join(parts))
            assert [(each.id, each.code) for each in answers][-3:] == [(2, None), (3, "rate_limited"), (4, None)]
            assert not connection.lanes

    run(main())


def test_input_that_cannot_be_read() -> None:
    """A failure while input is read costs its sender the connection, and nobody else anything."""

    async def main() -> None:
        async with running() as server:
            connection, other = server.connect("ann"), server.connect("bob")

            def chunk() -> Iterator[Command | None]:
                yield None
                raise KeyError("unexpected")

            connection.read(chunk())
            perform(other, 1, "ping")
            assert connection.ended_by is not None
            assert connection.ended_by.code.name == "internal"
            assert taken(other) == [1]

    run(main())


def test_a_peer_that_takes_nothing_is_not_heard() -> None:
    """Commands wait while their sender does not take its answers, and go on when it does."""

    async def main() -> None:
        async with running() as server:
            connection = server.connect()
            for number in range(20):
                perform(connection, number, "ping")
            assert connection.paused
            assert connection.unsent_bytes < 2 * LIMITS.outbox_bytes_max
            assert taken(connection) == list(range(20))
            assert not connection.paused

    run(main())


def test_who_takes_nothing_for_too_long() -> None:
    """A connection that has taken no byte for `stall_s` is told so and ended; one that takes a little is not."""

    async def main() -> None:
        async with running() as server:
            stalled, slow = server.connect("ann"), server.connect("bob")
            for _ in range(12):
                stalled.write(b"x" * 300 + b"\n")
                slow.write(b"x" * 300 + b"\n")
            assert stalled.paused
            assert slow.paused
            for _ in range(6):
                await server.connections.sweep()
                await asyncio.sleep(25)
                slow.take()
            await server.connections.sweep()
            assert slow.paused
            assert stalled.ended_by is not None
            assert stalled.ended_by.code.name == "stalled"
            assert slow.ended_by is None

    run(main())


def test_slow_readers_together() -> None:
    """Many connections that take nothing hold no more than `outboxes_bytes_max`: the oldest of who has the most end."""

    async def main() -> None:
        async with running() as server:
            slow, good = server.connect("bob"), server.connect("ann")
            slow.write(b"x" * 900 + b"\n")
            many = [server.connect("mallory") for _ in range(12)]
            for each in many:
                each.write(b"x" * 900 + b"\n")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert [each.is_ending for each in many] == [True] * 7 + [False] * 5
            assert not slow.is_ending
            assert server.connections.outboxes.size_bytes == 6 * 901 <= LIMITS.outboxes_bytes_max
            perform(good, 1, "ping")
            assert taken(good) == [1]
            many[-1].take()
            many[-2].hang_up()
            await asyncio.sleep(0)
            assert server.connections.outboxes.size_bytes == 4 * 901

    run(main())


def test_places() -> None:
    """A user, an address and the server have so many places, and each that is left is free again, once."""

    async def main() -> None:
        async with running() as server:
            connections = server.connections
            ann = Principal("ann", "admin", "/", NOW_MS + 1_000)
            first, second = server.connect("ann", "10.0.0.1"), server.connect("ann", "10.0.0.1")
            assert connections.count == {"bare": 2}
            assert connections.excess(ann) is not None
            assert connections.excess(None, "10.0.0.1") is None
            third = server.connect("bob", "10.0.0.1")
            assert connections.excess(None, "10.0.0.1") is not None
            assert connections.excess(None, "10.0.0.2") is None
            assert connections.refusal() is None
            others = [server.connect(f"other-{number}") for number in range(2)]
            refusal = connections.refusal()
            assert refusal is not None
            assert refusal.code.name == "connections_exceeded"
            first.hang_up()
            await asyncio.sleep(0)
            first.leave()
            assert connections.excess(ann) is None
            for each in (second, third, *others):
                each.hang_up()
            await asyncio.sleep(0)
            assert connections.count == {"bare": 0}
            assert not connections.open
            assert connections.rights.held("staff:ann") == connections.addresses.held("10.0.0.1") == 0

    run(main())


def test_a_token_that_ends() -> None:
    """No command is performed for a token that has ended, and its connection ends within the second."""

    async def main() -> None:
        async with running() as server:
            connection = server.connect(ttl_s=60)
            server.connections.rights.end_due()
            assert not connection.is_ending
            server.now_ms += 60_000
            perform(connection, 1, "subscribe", target="wagers")
            [answer] = decode_json(b"[%b]" % b",".join(connection.take()))
            assert (answer.type, answer.code) == ("error", "token_expired")
            server.connections.rights.end_due()
            assert connection.ended_by is not None
            assert connection.ended_by.code.name == "token_expired"

    run(main())


def test_a_refresh_to_less() -> None:
    """With a new token that allows fewer topics the others end at once, the client is told which, and the rest stay."""

    async def main() -> None:
        async with running() as server:
            connection = server.connect()
            for id, topic in enumerate(("kpi", "wagers", "activity"), 1):
                perform(connection, id, "subscribe", target=topic)
            assert taken(connection) == [1, 2, 3]
            perform(connection, 4, "auth", token=server.token(topics=["wagers"]))
            told = decode_json(b"[%b]" % b",".join(part for _ in range(9) for part in connection.take()))
            ended = [(each.target, each.scope, each.code) for each in told if each.type == "error"]
            assert sorted(ended) == [("activity", "/", "topic_forbidden"), ("kpi", "/", "topic_forbidden")]
            assert [each.id for each in told if each.type == "reply"] == [4]
            assert [lane.key.topic for lane in connection.lanes] == ["wagers"]
            server.feed.say("activity", "/", {"text": "secret"})
            await server.say(1)
            said = b"".join(part for _ in range(9) for part in connection.take())
            assert b"wagers" in said
            assert b"secret" not in said

    run(main())


def test_a_refresh_within_a_flush() -> None:
    """A new token that comes while a flush is under way ends subscriptions right after it."""

    async def main() -> None:
        async with running() as server:
            connection = server.connect()
            perform(connection, 1, "subscribe", target="kpi")
            acts: list[Callable[[], None]] = []
            between, server.hub.between_flushes = server.hub.between_flushes, acts.append  # type: ignore[method-assign,assignment]
            perform(connection, 2, "auth", token=server.token(topics=[]))
            assert [lane.key.topic for lane in connection.lanes] == ["kpi"]
            between(acts.pop())
            assert connection.lanes == ()

    run(main())


def test_a_refresh_keeps_its_place_among_the_rights() -> None:
    """A connection ends by the token that it has now: neither with the one before, nor later than the new one."""

    async def main() -> None:
        async with running() as server:
            connection = server.connect(ttl_s=60)
            perform(connection, 1, "auth", token=server.token(ttl_s=120))
            server.now_ms += 60_000
            server.connections.rights.end_due()
            assert not connection.is_ending
            server.now_ms += 60_000
            server.connections.rights.end_due()
            assert connection.ended_by is not None
            connection.leave()
            assert server.connections.rights.held("staff:ann") == 0

    run(main())


def test_a_replaced_key() -> None:
    """When the server's key is replaced, the connections by tokens of the old one end in the same turn."""

    async def main() -> None:
        async with running() as server:
            old, new = server.connect(), server.connect("bob")
            perform(old, 1, "auth", token=server.token())
            ring = server.connections.service.tokens.ring
            ring.replace(OWN, [from_secret(b"n" * 32, source=OWN)], NOW_MS)
            assert old.ended_by is not None
            assert old.ended_by.code.name == "token_revoked"
            assert new.ended_by is None

    run(main())


def test_a_key_that_is_not_known_yet() -> None:
    """A token by a key that the issuer has just made waits for it, and so do the commands behind; others go on."""

    async def main() -> None:
        async with running() as server:
            service = server.connections.service
            service.tokens.issuer = issuer = Waiting(service.tokens.ring)
            connection, other = server.connect(None), server.connect(None)
            perform(connection, 1, "auth", token=server.token(key=NEW, kid="new"))
            perform(connection, 2, "subscribe", target="kpi")
            perform(other, 1, "auth", token=server.token())
            assert taken(other) == [1]
            await asyncio.sleep(1)
            assert taken(connection) == []
            issuer.answers.set()
            await asyncio.sleep(1)
            assert taken(connection) == [1, 2]
            stranger = server.connect(None)
            perform(stranger, 1, "auth", token=server.token(key=NEW, kid="newer"))
            await asyncio.sleep(1)
            assert stranger.ended_by is not None
            assert stranger.ended_by.code.name == "token_invalid"

    run(main())


def test_a_drain_is_spread() -> None:
    """A server that ends sends its clients away one after the other, each with a later time to come back."""

    async def main() -> None:
        async with running() as server:
            connections = [server.connect(f"user-{number}") for number in range(4)]
            before_s = asyncio.get_running_loop().time()
            await server.connections.drain(4.0)
            assert 3 <= asyncio.get_running_loop().time() - before_s < 4
            errors = [each.ended_by for each in connections]
            assert [error and error.retry_after_s for error in errors] == [1, 2, 3, 4]
            refusal = server.connections.refusal()
            assert refusal is not None
            assert refusal.code.name == "restarting"

    run(main())

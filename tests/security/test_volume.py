"""What an agent is sent does not tell how busy the rest of the book is.

The same agent does the same twice, on each transport: beside a book that is quiet, and beside one in which another part
of the tree takes 1,000 wagers meanwhile.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvloop

from fire22 import app
from fire22.core.event import encode_event, parse_events
from fire22.core.message import Json, Message
from fire22.core.position import Position
from fire22.core.times import to_text
from tests.integration.inside import make_book, make_config, until
from tests.support.transports import TRANSPORTS, Can, Peer, Transport

LOOP_FACTORY = uvloop.new_event_loop
PLACES = 1 << 12  # of offsets in a millisecond, which begin in 2024
BEGINS_MS = 1_704_067_200_000
OWN, OTHER = "/M1/A1", "/M1/A2"
BUSY = 1_000
AT_ONCE = 100
_TIMES = frozenset({"timestamp", "time", "watermark", "readTo", "settledAt", "placedAt", "asOf"})
_NUMBERS = frozenset({"offset", "base", "position"})


def told(id: str, kind: str, path: str, **fields: Json) -> dict[str, Json]:
    """An event about the one customer of an agent."""
    agent = path.rpartition("/")[2]
    data: dict[str, Json] = {"customerId": f"C-{agent}", "agentId": agent, "path": path}
    return {"id": id, "type": kind, "source": "test", "timestamp": to_text(app.now_ms()), "data": data | fields}


def customer(path: str) -> dict[str, Json]:
    """Somebody who bets."""
    return told(f"customer {path}", "customer.created", path, name="X", status="active")


def wager(id: str, path: str) -> dict[str, Json]:
    """A straight wager."""
    leg: Json = {"marketId": "m", "selectionId": "s", "odds": 1.9}
    return told(
        id, "wager.placed", path, wagerId=id, wagerNumber=1, type="straight", riskMinor=1_100, toWinMinor=1_000,
        freePlay=False, channel="web", status="accepted", version=1, legs=[leg],
    )  # fmt: skip


async def grown(server: app.Application) -> None:
    """Wait until both agents are known."""
    await until(lambda: server.delivery.knows_scope(OWN) and server.delivery.knows_scope(OTHER))


async def say(server: app.Application, *events: dict[str, Json]) -> None:
    """Append events as one commit group, and wait until the hub has delivered what they say."""
    body = msgspec.json.encode(events)
    seq = (await server.log.append([encode_event(event) for event in parse_events(body)]))[-1].seq
    await until(lambda: server.feed.checkpoint.seq >= seq and server.delivery.flushed >= server.feed.checkpoint.offset)


async def lived(server: app.Application, transport: Transport, *, busy: int) -> tuple[list[Json], list[int]]:
    """What an agent is sent around some wagers of its own, without times; and all the numbers in it that ascend."""
    name = str(transport)
    token = server.tokens.sign(subject="agent", role="agent", scope=OWN, ttl_s=600, now_ms=app.now_ms())
    heard: list[Json] = []
    numbers: list[int] = []

    async def meanwhile(part: int) -> None:
        for first in range(0, busy // 2, AT_ONCE):
            await say(server, *[wager(f"{name} {part} other {first + number}", OTHER) for number in range(AT_ONCE)])

    def hear(said: Json) -> None:
        numbers.extend(ascending(said))
        heard.append(timeless(said))

    async with transport.connect(server, token) as peer:
        hear(await peer.ask("subscribe", target="wagers", last=3))
        for own in range(2):
            await say(server, wager(f"{name} own {own}", OWN))
            if Can.FOLLOW in transport.can:
                hear(msgspec.to_builtins(await of(peer, "wagers")))
            await meanwhile(own)
        if Can.FOLLOW in transport.can:
            hear(msgspec.to_builtins(await peer._next(lambda message: message.type == "tick")))
        hear(await peer.ask("subscribe", target="kpi"))
        hear(await peer.ask("history", target="wagers", limit=2))
        heard.append(await peer.refused("subscribe", target="kpi", scope=OTHER))
    return heard, numbers


async def of(peer: Peer, topic: str) -> Message:
    """The next message of a topic."""
    return await peer._next(lambda message: message.target == topic and message.offset is not None)


def timeless(said: Json) -> Json:
    """What was said, with neither times nor the numbers that are times."""
    if isinstance(said, dict):
        return {name: timeless(each) for name, each in said.items() if name not in _TIMES | _NUMBERS | {"before"}}
    return [timeless(each) for each in said] if isinstance(said, list) else said


def ascending(said: Json) -> Iterator[int]:
    """Offsets and positions, wherever they are in what was said."""
    if isinstance(said, list):
        for each in said:
            yield from ascending(each)
    if isinstance(said, dict):
        for name, each in said.items():
            if name == "position" and isinstance(each, str):
                yield Position.parse(each).offset
            elif name in ("offset", "base", "before") and isinstance(each, int):
                yield each
            else:
                yield from ascending(each)


async def test_nobody_learns_the_volume_of_the_rest(tmp_path: Path) -> None:
    """All that an agent is sent is the same but for time, and the numbers in it are times of commit groups."""
    book = make_book(tmp_path / "book.db")
    found: list[list[tuple[list[Json], list[int]]]] = []
    for busy in (0, BUSY):
        async with app.running(make_config(tmp_path / f"data {busy}", book)) as server:
            await grown(server)
            await say(server, customer(OWN), customer(OTHER))
            began_ms = app.now_ms()
            found.append([await lived(server, each, busy=busy) for each in TRANSPORTS])
            passed_ms = app.now_ms() - began_ms
            # Nothing in a number but time: the wagers of the others would be more places than have passed otherwise.
            for _, numbers in found[-1]:
                known = [number for number in numbers if number // PLACES + BEGINS_MS >= began_ms]
                assert known
                assert max(known) - min(known) <= (passed_ms + 1) * PLACES
                assert max(known) // PLACES + BEGINS_MS <= began_ms + passed_ms
    for quiet, loud in zip(*found, strict=True):
        assert quiet[0] == loud[0]


async def test_a_tick_stands_at_the_end_of_a_millisecond(tmp_path: Path) -> None:
    """A position tells when the newest commit group was written, and not how many messages it became."""
    async with app.running(make_config(tmp_path / "data", make_book(tmp_path / "book.db"))) as server:
        await grown(server)
        await say(server, customer(OWN))
        for count in (1, 40):
            before_ms = app.now_ms()
            await say(server, *[wager(f"{count} {number}", OWN) for number in range(count)])
            stands = server.delivery.flushed
            assert stands % PLACES == PLACES - 1
            assert before_ms <= stands // PLACES + BEGINS_MS <= app.now_ms()

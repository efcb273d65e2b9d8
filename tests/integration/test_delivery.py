"""What a subscriber can ask for, over real WebSockets: rates, lossy streams, history, messages addressed to it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from fire22 import app
from fire22.core.message import Json, Message
from tests.integration.inside import Talk, bench_event, make_config, talking
from tests.support.hub_world import position_of


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[app.Application]:
    """A server with an open topic and no book."""
    async with app.running(make_config(tmp_path)) as running:
        yield running


def sign(server: app.Application, user: str, client: str = "") -> str:
    """A token for somebody."""
    return server.tokens.sign(subject=user, role="admin", scope="/", ttl_s=600, now_ms=app.now_ms(), client=client)


async def publish(talk: Talk, *ids: str, **metadata: Json) -> None:
    """Publish one event for each id."""
    for id in ids:
        await talk.ask("publish", event=bench_event(id, {"id": id}, **metadata))


def said(message: Message) -> Json:
    """The id that a message carries."""
    assert isinstance(message.data, dict)
    return message.data["id"]


async def test_history(server: app.Application) -> None:
    """A client pages back through a stream: each page is the newest below the one before, until nothing is left."""
    async with talking(server) as talk:
        assert await talk.ask("history", target="bench") == {"messages": []}
        await talk.ask("subscribe", target="bench")
        await publish(talk, *(f"e{number}" for number in range(7)))
        for _ in range(7):
            await talk.update()
        pages: list[list[Json]] = []
        before: dict[str, Json] = {}
        while not pages or before:
            page = await talk.ask("history", target="bench", limit=3, **before)
            assert isinstance(page["messages"], list)
            pages.append([each["data"]["id"] for each in page["messages"]])  # type: ignore[call-overload,index]
            before = {"before": page["before"]} if "before" in page else {}
        assert pages == [["e4", "e5", "e6"], ["e1", "e2", "e3"], ["e0"]]


async def test_history_from_storage(tmp_path: Path) -> None:
    """What memory no longer holds comes from the disk, and a command sent after it is answered after it."""
    async with app.running(make_config(tmp_path, feed={"ring_bytes_max": 1})) as server, talking(server) as talk:
        await talk.ask("subscribe", target="bench")
        await publish(talk, *(f"e{number}" for number in range(5)))
        for _ in range(5):
            await talk.update()
        first, second = await talk.send("history", target="bench", limit=4), await talk.send("ping")
        answers = [await talk.message(lambda message: message.type == "reply") for _ in range(2)]
        assert [answer.id for answer in answers] == [first, second]
        assert isinstance(answers[0].data, dict)
        assert len(answers[0].data["messages"]) == 4  # type: ignore[arg-type]


async def test_a_rate(server: app.Application) -> None:
    """With `max_rate_hz` messages gather and come together; none is lost, and no tick passes what is held."""
    rate_hz, writes, loop = 8, 6, asyncio.get_running_loop()
    async with talking(server) as talk, talking(server) as publisher:
        await talk.ask("subscribe", target="bench", max_rate_hz=rate_hz)
        began_s = loop.time()
        for number in range(writes):  # the next one is asked for when the one before has come: so many writes
            await publish(publisher, f"e{number}")
            assert said(await talk.update()) == f"e{number}"
        # Time is cut into slots, and each has at most one write: between the first and the last lie whole ones.
        assert loop.time() - began_s >= (writes - 2) / rate_hz
        await publish(publisher, "a", "b", "c")
        gathered = [await talk.update() for _ in range(3)]
        assert [said(message) for message in gathered] == ["a", "b", "c"]
        offset = gathered[-1].offset
        assert offset is not None
        assert all(position_of(tick) < offset for tick in talk.messages if tick.type == "tick")


async def test_a_lossy_stream(server: app.Application) -> None:
    """What a lossy subscription is not sent is said in the tick that follows: how many, and between which offsets."""
    async with talking(server) as talk, talking(server) as publisher:
        await talk.ask("subscribe", target="bench", max_rate_hz=2, lossy=True)
        await publish(publisher, *(f"e{number}" for number in range(5)))
        came = 0
        skipped: list[tuple[str, int, int, int]] = []
        while came + sum(each[3] for each in skipped) < 5:
            await talk.receive()
            came += sum(message.target == "bench" for message in talk.messages)
            for message in talk.messages:
                if message.type == "tick" and isinstance(message.data, dict):
                    found: Any = message.data.get("skipped", [])
                    skipped += [(each["target"], each["from"], each["to"], each["count"]) for each in found]
            talk.messages.clear()
        assert came + sum(each[3] for each in skipped) == 5
        assert came < 5
        assert all(target == "bench" and first <= last for target, first, last, _ in skipped)


async def test_addressed_messages(server: app.Application) -> None:
    """A user, one of its clients, or everyone is told without a subscription; who was away is told when it resumes."""
    async with talking(server, token=sign(server, "ann", "phone")) as ann, talking(server) as publisher:
        reply = await ann.ask("subscribe", target="bench")
        await publish(publisher, "a", tags=["to:user:staff:ann", "as:alert"])
        await publish(publisher, "b", tags=["to:client:phone"])
        await publish(publisher, "c", tags=["to:everyone"])
        await publish(publisher, "d", tags=["to:user:staff:bob"])
        await publish(publisher, "e")
        found = [await ann.message(lambda message: message.offset is not None) for _ in range(4)]
        assert [said(message) for message in found] == ["a", "b", "c", "e"]
        assert [message.target for message in found] == ["user:staff:ann", "client:phone", None, "bench"]
        assert found[0].type == "alert"
        assert said(await publisher.message(lambda message: message.offset is not None)) == "c"
    async with talking(server, token=sign(server, "bob")) as bob:
        await bob.ask("subscribe", target="bench", after=reply["position"])
        found = [await bob.message(lambda message: message.offset is not None) for _ in range(3)]
        assert sorted(str(said(message)) for message in found) == ["c", "d", "e"]

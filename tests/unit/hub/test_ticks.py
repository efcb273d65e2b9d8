"""Ticks, and the place that a transport has for the position in them."""

import json

import pytest

from fire22.hub.base import Recipient
from tests.support.hub_world import Reader, World, key


class Events:
    """Server-sent events: a tick's position is its `id`."""

    name = "events"
    joins = False
    left_out = 0

    def pack(self, messages: list[bytes]) -> bytes:
        return b"".join([b"data: %b\n\n" % message for message in messages])

    def tick(self, message: bytes, position: str) -> bytes:
        return b"id: %b\n%b" % (position.encode(), self.pack([message]))

    def answer(self, message: bytes) -> bytes:
        return self.pack([message])


def events_of(reader: Reader) -> list[tuple[str, str, str]]:
    """Of each event since the last call: its id, the type of its message, the position in that."""
    found = []
    for event in b"".join(reader.writes).decode().split("\n\n")[:-1]:
        id, _, data = event.rpartition("data: ")
        message = json.loads(data)
        found.append((id.removeprefix("id: ").strip(), message["type"], str(message["data"].get("position", ""))))
    reader.writes.clear()
    return found


def check(reader: Reader, count: int, ticks: int = 1) -> None:
    """So many messages came, the last ones ticks, and each tick and nothing else has its position for an id."""
    events = events_of(reader)
    assert [type == "tick" for _, type, _ in events] == [False] * (count - ticks) + [True] * ticks
    assert [id for id, _, _ in events] == [position for _, _, position in events]


@pytest.fixture
def world() -> World:
    return World()


def test_every_tick_is_written_with_its_position(world: World) -> None:
    """A client of server-sent events may resume from the last id it saw, whatever it was written last."""
    reader = world.join(key("wagers", codec=Events()), codec=Events(), who=Recipient("u"))
    world.wager()
    world.wager()
    world.flush()
    check(reader, 3)
    world.feed.say("direct", "/", {}, target="user:u")
    world.feed.commit()
    world.flush()
    check(reader, 2)
    for _ in range(2):
        for _ in world.hub.heartbeat():
            pass
    check(reader, 1)
    for _ in world.hub.announce(b'{"type":"alert","data":{}}'):
        pass
    check(reader, 2)


def test_who_catches_up_gets_the_position_with_each_block(world: World) -> None:
    """A reader that was behind, and one that was not sent everything, resume from where they stand."""
    reader = world.join(key("wagers", codec=Events(), lossy=True, max_rate_hz=1), codec=Events())
    world.wager()
    world.flush()
    check(reader, 2)
    for _ in range(3):
        world.wager()
    world.flush(after_s=2)  # two of them are left out
    assert world.hub.statistics.skipped == 2
    check(reader, 2)
    world.fall_behind(reader)
    world.wager()
    world.flush(after_s=2)
    world.catch_up(reader)
    check(reader, 2)

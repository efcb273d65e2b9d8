"""A tick's watermark: nobody is told of one whose facts are not in what has been written to them."""

from typing import Any

import pytest

from fire22.core.message import Message
from fire22.core.times import to_text
from tests.support.hub_world import Reader, World, key
from tests.support.storage import START_MS

S = 1000


def at(seconds: int) -> str:
    """The watermark after so many seconds."""
    return to_text(START_MS + seconds * S)


@pytest.fixture
def world() -> World:
    """A hub that has been told what time it is."""
    world = World()
    world.feed.pass_time(START_MS)
    world.feed.commit()
    world.flush()
    return world


def tick_of(reader: Reader) -> dict[str, Any]:
    """The newest tick."""
    data = [each for each in reader.take() if each.type == "tick"][-1].data
    assert isinstance(data, dict)
    return data


def pass_time(world: World, seconds: int) -> None:
    """The watermark moves, and everybody hears something."""
    world.feed.pass_time(START_MS + seconds * S)
    world.wager("/", n=seconds)
    world.flush()


def test_a_tick_is_of_what_its_connection_follows(world: World) -> None:
    """Who follows what waits hears up to when that is complete, and how far the sources are; others do not."""
    both = world.join(key("wagers"), key("kpi", "/M1"))
    other = world.join(key("wagers"), key("kpi", "/M2"))
    world.feed.wait("kpi", "/M1", START_MS)
    pass_time(world, 5)
    told = tick_of(both)
    assert (told["watermark"], told["readTo"]) == (at(0), at(5))
    assert told["late"] == [{"target": "kpi", "scope": "/M1", "watermark": at(0)}]
    told = tick_of(other)
    assert told["watermark"] == at(5) and "late" not in told and "readTo" not in told
    assert world.hub.freshness(both) == {**world.hub.freshness(both), "watermark": at(0), "readTo": at(5)}
    assert (world.hub.complete_ms("kpi", "/M1"), world.hub.complete_ms("kpi", "/M2")) == (START_MS, START_MS + 5 * S)
    world.feed.settle("kpi", "/M1")
    pass_time(world, 6)
    assert tick_of(both) == {**tick_of(other), "watermark": at(6)}


def test_what_waits_of_a_whole_topic(world: World) -> None:
    """A topic may wait as a whole, whatever scope of it is followed."""
    reader = world.join(key("wagers"), key("kpi", "/M1"), key("desk", "/"))
    world.feed.wait("kpi", "", START_MS)
    pass_time(world, 5)
    assert tick_of(reader)["late"] == [{"target": "kpi", "scope": "/M1", "watermark": at(0)}]


def test_what_a_lane_holds_back_is_not_there_yet(world: World) -> None:
    """A subscription with a rate is as old as what it was last written, until it is written to."""
    slow = world.join(key("kpi", "/M1", max_rate_hz=0.1), key("wagers"))
    world.feed.change("kpi", "/M1", {"n": 1})
    world.feed.commit()
    world.flush()
    world.feed.pass_time(START_MS + 5 * S)
    world.feed.change("kpi", "/M1", {"n": 2})
    world.wager("/", n=1)
    world.flush(after_s=1)
    told = tick_of(slow)
    assert (told["watermark"], told["readTo"]) == (at(0), at(5))
    pass_time(world, 6)
    assert tick_of(slow)["watermark"] == at(0)
    world.flush(after_s=20)
    assert tick_of(slow)["watermark"] == at(6)


def test_who_catches_up_is_told_of_no_watermark(world: World) -> None:
    """A reader that has yet to read is told how old what it has is only when it is level."""
    reader = world.join(key("wagers"))
    world.fall_behind(reader)
    for n in range(1, 1500):
        world.wager("/", n=n)
    pass_time(world, 9)
    world.catch_up(reader)
    ticks = [each.data for each in reader.take() if each.type == "tick"]
    assert len(ticks) > 1
    assert all(isinstance(each, dict) and "watermark" not in each for each in ticks[:-1])
    assert isinstance(ticks[-1], dict) and ticks[-1]["watermark"] == at(9)


def test_a_start_knows_what_waits(world: World) -> None:
    """What waited before a restart still does."""
    reader = world.join(key("wagers"), key("kpi", "/M1"))
    world.hub.begin({("kpi", "/M1"): START_MS})
    pass_time(world, 3)
    assert tick_of(reader)["watermark"] == at(0)


def test_everybody_hears_that_the_figures_stop(world: World) -> None:
    """Who is live and who is behind get the alert; each later tick says it as well."""
    live, behind = world.join(key("wagers")), world.join(key("wagers"), key("kpi"))
    world.fall_behind(behind)
    world.hub.problem = "fold_stopped"
    for _ in world.hub.announce(b'{"type":"alert","timestamp":"2026-01-01T00:00:00.000Z","data":1}'):
        pass

    def kinds(messages: list[Message]) -> list[str]:
        return [each.type for each in messages]

    assert (kinds(behind.take()), kinds(live.take())) == (["alert"], ["alert", "tick"])
    pass_time(world, 1)
    assert tick_of(live)["problem"] == "fold_stopped"

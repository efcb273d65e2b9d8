"""Lanes that hold back: rates, lossy streams with a rate, and load that is shed."""

import pytest

from fire22.hub.pacing import HELD_MAX
from tests.support.hub_world import World, key, position_of, rows, set_row


def test_a_view_comes_at_most_so_often(world: World) -> None:
    """Between two writes what changes is merged into one patch on what the subscriber has."""
    reader = world.join(key("desk", delta=True, max_rate_hz=2))
    set_row(world, "one", {"total": 0, "text": "x" * 99})
    assert len(rows(reader)) == 1
    for total in (1, 2, 3):
        set_row(world, "one", {"total": total, "text": "x" * 99})
    assert reader.take() == []
    assert world.hub.due_s() == pytest.approx(0.5)
    world.flush(after_s=0.5)
    [message, tick] = reader.take()
    assert (message.base, message.offset, message.data) == (1, 4, {"total": 3})
    assert position_of(tick) == 4
    assert world.hub.due_s() is None


def test_a_document_that_came_back_to_what_it_was(world: World) -> None:
    """It is said all the same, by an empty patch: the next one is based on it."""
    reader = world.join(key("desk", delta=True, max_rate_hz=1))
    set_row(world, "one", {"total": 0})
    set_row(world, "one", {"total": 1})
    set_row(world, "one", {"total": 0})
    world.flush(after_s=1)
    set_row(world, "one", {"total": 5})
    world.flush(after_s=1)
    found = [(message.base, message.offset, message.data) for message in reader.take() if message.type != "tick"]
    assert found == [(None, 1, {"total": 0}), (1, 3, {}), (3, 4, {"total": 5})]


def test_a_stream_is_gathered(world: World) -> None:
    """With a rate a stream's messages come together, none is lost, and the position stays before what is held."""
    reader = world.join(key("wagers", max_rate_hz=1), key("activity"))
    world.wager()
    world.flush()
    assert reader.positions() == [1]
    for _ in range(3):
        world.wager()
        world.flush()
    world.feed.say("activity", "/", {})
    world.feed.commit()
    world.flush()
    [activity, tick] = reader.take()
    assert (activity.offset, position_of(tick)) == (5, 1)
    for _ in world.hub.heartbeat():
        pass
    world.flush(after_s=1)
    assert [message.offset or position_of(message) for message in reader.take()] == [2, 3, 4, 5]


def test_no_more_is_held_than_a_limit(world: World) -> None:
    """A subscription that holds back too much is written to before its time."""
    reader = world.join(key("wagers", max_rate_hz=0.1))
    world.wager()
    world.flush()
    reader.take()
    for _ in range(HELD_MAX):
        world.feed.say("wagers", "/", {})
    world.feed.commit()
    world.flush()
    assert len(reader.offsets()) == HELD_MAX


def test_joining_what_holds_back(world: World) -> None:
    """Who joins a subscription that holds something back begins with the state of now and misses and repeats nothing;
    who resumes from behind it does as well."""
    lane = key("wagers", max_rate_hz=1)
    first = world.join(lane)
    for _ in range(3):
        world.wager()
        world.flush()
    late = world.join(lane)  # it has everything up to 3, more than the lane has been written
    behind = world.join(lane, at=0)
    world.catch_up(behind)
    assert behind.cohort is first.cohort
    assert late.cohort is None
    assert world.hub.behind == 1
    world.wager()
    world.flush(after_s=1)
    world.catch_up(late)
    assert first.offsets() == behind.offsets() == [1, 2, 3, 4]
    assert late.offsets() == [4]
    assert late.cohort is first.cohort
    assert world.hub.behind == 0


def test_joining_a_view_that_holds_back(world: World) -> None:
    """A slow reader of a view is brought to what its subscription has been written, and patches fit from there on."""
    lane = key("desk", delta=True, max_rate_hz=1)
    first, slow = world.join(lane), world.join(lane)
    set_row(world, "one", {"total": 1, "text": "x" * 200})
    world.fall_behind(slow)
    world.flush(after_s=1)
    set_row(world, "one", {"total": 2, "text": "x" * 200})
    set_row(world, "one", {"total": 3, "text": "x" * 200})
    set_row(world, "two", {"total": 3})
    world.catch_up(slow)
    assert slow.cohort is first.cohort
    world.flush(after_s=1)
    assert rows(first) == rows(slow)


def test_a_lossy_stream_with_a_rate(world: World) -> None:
    """Only the newest message of each interval comes, critical ones aside, and the tick says what was left out."""
    reader = world.join(key("wagers", "/M1", max_rate_hz=1, lossy=True))
    world.wager("/M1")
    world.flush()
    reader.take()
    for _ in range(3):
        world.wager("/M1")
        world.wager("/M2")
        world.flush()
    world.feed.say("wagers", "/M1", {}, priority=3)
    world.feed.commit()
    world.flush()
    assert reader.offsets() == [8]
    world.wager("/M1")
    world.flush(after_s=1)
    [message, tick] = reader.take()
    assert (message.offset, position_of(tick)) == (9, 9)
    assert isinstance(tick.data, dict)
    assert tick.data["skipped"] == [{"target": "wagers", "scope": "/M1", "from": 2, "to": 6, "count": 3}]
    assert world.hub.statistics.skipped == 3


def test_load_is_shed_in_an_order(world: World) -> None:
    """First views come once a second at most, then lossy streams come down to their newest; others lose nothing."""
    view, lossy, stream = world.join(key("desk")), world.join(key("wagers", lossy=True)), world.join(key("wagers"))
    set_row(world, "one", {"total": 0})
    view.take()
    world.hub.load = 1
    set_row(world, "one", {"total": 1})
    world.wager()
    world.wager()
    world.flush()
    assert (view.offsets(), lossy.offsets(), stream.offsets()) == ([], [3, 4], [3, 4])
    world.hub.load = 2
    world.wager()
    world.wager()
    world.flush(after_s=1)
    assert (view.offsets(), lossy.offsets(), stream.offsets()) == ([2], [6], [5, 6])
    set_row(world, "one", {"total": 2})
    world.hub.load = 0
    world.flush()
    assert view.offsets() == [7]
    assert (world.hub.statistics.held, world.hub.statistics.skipped) == (2, 1)

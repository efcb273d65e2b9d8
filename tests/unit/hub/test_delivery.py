"""Subscriptions: where they begin, how they are replaced and end, and what a start knows."""

import pytest

from fire22.core.position import Position
from fire22.hub.base import Resumed
from fire22.hub.delivery import Delivery
from tests.support.hub_world import NOW_MS, TOPICS, World, key
from tests.support.memory_feed import EPOCH, MemoryFeed


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (Position("0ld0ld0ld", 3), Resumed(6, False, "epoch_changed")),
        (Position(EPOCH, 7), Resumed(6, False, "position_ahead")),
        (Position(EPOCH, 1), Resumed(6, False, "position_lost", (2, 2))),
        (Position(EPOCH, 2), Resumed(2, True)),
        (Position(EPOCH, 6), Resumed(6, True)),
    ],
)
def test_positions_that_cannot_be_resumed(world: World, position: Position, expected: Resumed) -> None:
    """A position of another feed, beyond the newest message, or older than what is kept is told from a good one."""
    for _ in range(6):
        world.wager()
    world.flush()
    world.feed.drop(2)
    assert world.hub.resume(TOPICS["wagers"], position) == expected


def test_a_view_has_no_lost_position(world: World) -> None:
    """A view is a state: whoever comes back late gets its documents of now, and nothing was lost."""
    world.feed.change("kpi", "/", {"a": 1})
    world.feed.commit()
    world.wager()
    world.flush()
    world.feed.drop(2)
    assert world.hub.resume(TOPICS["kpi"], Position(EPOCH, 0)) == Resumed(0, True)


def test_position_between_flushes(world: World) -> None:
    """A position that the feed has and the hub has not flushed yet goes on from the live edge of now."""
    world.wager()
    world.flush()
    world.wager()
    assert world.hub.resume(TOPICS["wagers"], Position(EPOCH, 2)) == Resumed(1, True)


def test_unsubscribe(world: World) -> None:
    """What was let go no longer comes; what was not followed cannot be let go."""
    reader = world.join(key("wagers"), key("activity"))
    assert world.hub.unfollow(reader, "wagers", "/")
    assert not world.hub.unfollow(reader, "wagers", "/")
    assert not world.hub.unfollow(reader, "activity", "/M1")
    world.wager()
    world.feed.say("activity", "/", {})
    world.feed.commit()
    world.flush()
    assert [message.type for message in reader.take()] == ["activity_said", "tick"]
    assert world.hub.lane_count == 1


def test_replacement(world: World) -> None:
    """A second subscription on the same topic and scope takes the place of the first."""
    reader = world.join(key("wagers", filter={"status": "open"}), key("wagers", "/M1"))
    world.hub.follow(reader, key("wagers", filter={"status": "won"}), world.hub.flushed)
    assert world.hub.lane_count == 2
    for status in ("open", "won"):
        world.wager(status=status)
    world.flush()
    assert reader.offsets() == [2]


def test_scopes_are_known_from_the_tree(world: World) -> None:
    """An agent is known when the view of the tree has it, and a customer by the agent above."""
    world.feed.change("kpi", "/M1", {"a": 1})
    world.feed.commit()
    world.flush()
    known = [world.hub.knows_scope(scope) for scope in ("/", "/M1", "/M1/@C1", "/@C1", "/M2", "/M2/@C1", "/M1/A7")]
    assert known == [True, True, True, False, False, False, False]


def test_start_from_storage() -> None:
    """After a restart the views are there before anything new has come."""
    feed = MemoryFeed()
    feed.change("kpi", "/", {"a": 1})
    feed.commit()
    hub = Delivery(feed, TOPICS, now_ms=lambda: NOW_MS)
    assert hub.flushed == 1
    assert [document.body for document in hub.documents("kpi", "/")] == [{"a": 1}]

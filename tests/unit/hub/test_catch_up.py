"""Who is behind reads on at its own pace, from memory or storage, and is told where something is gone."""

import pytest

from fire22.core.position import Position
from fire22.hub.base import Resumed
from fire22.hub.catch_up import LOSSY_OFFSETS
from fire22.hub.history import BLOCK_OFFSETS, BLOCK_RECORDS, Supply
from tests.support.hub_world import NOW_MS, TOPICS, World, key, position_of
from tests.support.memory_feed import EPOCH


def test_resume_from_memory(world: World) -> None:
    """Who comes back gets what it missed, in order and once, and is live at exactly the flushed offset."""
    for _ in range(5):
        world.wager()
    world.flush()
    resumed = world.hub.resume(TOPICS["wagers"], Position(EPOCH, 2))
    assert resumed == Resumed(2, True)
    reader = world.join(key("wagers"), at=resumed.cursor)
    world.wager()
    world.flush()
    assert reader.writes == []
    assert world.catch_up(reader) == []
    world.wager()
    world.flush()
    assert [message.offset or position_of(message) for message in reader.take()] == [3, 4, 5, 6, 6, 7, 7]
    assert reader.cohort is not None


def test_resume_from_storage() -> None:
    """What memory no longer holds is read from storage, in bounded blocks, and then memory takes over."""
    world = World(ring_bytes_max=4_000)
    for _ in range(3 * BLOCK_RECORDS):
        world.wager()
        world.flush()
    reader = world.join(key("wagers"), at=0)
    needs = world.catch_up(reader)
    assert [need.after for need in needs] == [0, 64, 128]
    assert reader.offsets() == list(range(1, 3 * BLOCK_RECORDS + 1))
    assert reader.cohort is not None


def test_what_came_while_storage_was_read() -> None:
    """Messages that are flushed during a read from storage are not passed over."""
    world = World(ring_bytes_max=2_000)
    for _ in range(20):
        world.wager()
    world.flush()
    reader = world.join(key("wagers"), at=0)
    need = world.hub.catch_up(reader)
    assert need is not None
    records = world.feed.stored(need.topic, need.after, need.upto, records_max=BLOCK_RECORDS)
    world.wager()
    world.flush()
    world.hub.catch_up(reader, Supply(need, records))
    world.catch_up(reader)
    assert reader.offsets() == list(range(1, 22))


def test_a_read_for_another_subscription_is_left_aside() -> None:
    """What was read for a subscription that was dropped meanwhile is not taken for that of another one."""
    world = World(ring_bytes_max=2_000)
    for _ in range(20):
        world.wager()
        world.feed.say("activity", "/", {})
        world.feed.commit()
    world.flush()
    reader = world.join(key("wagers"), key("activity"), at=0)
    need = world.hub.catch_up(reader)
    assert need is not None
    assert need.topic == "wagers"
    records = world.feed.stored(need.topic, need.after, need.upto, records_max=BLOCK_RECORDS)
    world.hub.unfollow(reader, "wagers", "/")
    world.hub.catch_up(reader, Supply(need, records))
    world.catch_up(reader)
    messages = [message for message in reader.take() if message.type != "tick"]
    assert {message.type for message in messages} == {"activity_said"}
    assert [message.offset for message in messages] == list(range(2, 41, 2))


def test_reader_that_is_overtaken_by_retention() -> None:
    """A reader so slow that its next messages are no longer kept is told, and does not get a silent gap."""
    world = World(ring_bytes_max=2_000)
    slow = world.join(key("wagers"))
    slow.full_after = 1
    for _ in range(50):
        world.wager()
        world.flush()
    world.feed.drop(10)
    slow.paused, slow.full_after = False, None
    world.catch_up(slow)
    assert slow.lost_position
    assert slow.offsets() == [1]


def test_retention_between_the_question_and_the_answer() -> None:
    """What retention takes away while storage is asked is not passed over either."""
    world = World(ring_bytes_max=2_000)
    for _ in range(50):
        world.wager()
    world.flush()
    reader = world.join(key("wagers"), at=5)
    need = world.hub.catch_up(reader)
    assert need is not None
    world.feed.drop(20)
    records = world.feed.stored(need.topic, need.after, need.upto, records_max=BLOCK_RECORDS)
    world.hub.catch_up(reader, Supply(need, records))
    assert reader.lost_position
    assert reader.offsets() == []


def test_position_waits_for_the_lagging_subscription(world: World) -> None:
    """While one of two subscriptions catches up, no tick passes what it has yet to get; both become live at once."""
    for _ in range(2 * BLOCK_OFFSETS):
        world.wager()
    world.feed.say("activity", "/", {})
    world.feed.commit()
    world.flush()
    reader = world.join(key("activity"))
    world.hub.follow(reader, key("wagers"), 100)
    assert reader.cohort is None
    seen: list[int] = []
    while reader.cursors is not None:
        world.feed.say("activity", "/", {})
        world.feed.commit()
        world.flush()
        world.hub.catch_up(reader)
        for message in reader.take():
            if message.type == "tick":
                missing = set(range(101, min(position_of(message), 2 * BLOCK_OFFSETS) + 1)) - set(seen)
                assert not missing
            elif message.target == "wagers":
                assert message.offset is not None
                seen.append(message.offset)
        if len(seen) == 2 * BLOCK_OFFSETS - 100:
            world.catch_up(reader)
    assert seen == list(range(101, 2 * BLOCK_OFFSETS + 1))


@pytest.mark.parametrize("ring_bytes_max", [1 << 20, 20_000])
def test_a_lossy_reader_far_behind(ring_bytes_max: int) -> None:
    """It is taken near the live edge, from memory and from storage alike, and told how many messages it missed."""
    world = World(ring_bytes_max)
    for number in range(2_048):  # in four times as long as it may be behind
        world.feed.say("wagers", "/M1" if number % 2 else "/M2", {"status": "open"})
        world.feed.commit(NOW_MS + 2 * number)
    world.flush()
    offsets = [record.offset for record in world.feed.records if record.entries[0].path == "/M1"]
    assert 3 * LOSSY_OFFSETS < offsets[-1] - offsets[0] < 4 * LOSSY_OFFSETS
    reader = world.join(key("wagers", "/M1", lossy=True), at=0)
    world.catch_up(reader)
    messages = reader.take()
    assert [each.offset for each in messages if each.offset] == offsets[768:]
    said = [each.data["skipped"] for each in messages if isinstance(each.data, dict) and "skipped" in each.data]
    assert said == [[{"target": "wagers", "scope": "/M1", "from": offsets[0], "to": offsets[767], "count": 768}]]
    assert reader.cohort is not None

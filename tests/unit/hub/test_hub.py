"""The hub, fed by hand: what each connection is written, byte for byte, without sockets and in virtual time."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from fire22.core.frames import ServerFrameParser, Text
from fire22.core.message import Json
from fire22.core.patch import apply
from fire22.core.position import Position
from fire22.hub.base import Resumed
from fire22.hub.codec import JSON_BATCH
from fire22.hub.delivery import Delivery
from fire22.hub.history import BLOCK_OFFSETS, BLOCK_RECORDS, Need, Supply
from fire22.hub.loop import HubLoop
from tests.support import virtual_time
from tests.support.hub_world import NOW_MS, TOPICS, Reader, World, key, offsets_of, position_of
from tests.support.memory_feed import EPOCH, MemoryFeed


@pytest.fixture
def world() -> World:
    """A new one."""
    return World()


# The live path.


def test_same_bytes_for_a_cohort(world: World) -> None:
    """Everybody who follows the same lanes is written one and the same object, once, with a tick at its end."""
    readers = [world.join(key("wagers"), key("activity")) for _ in range(200)]
    world.wager()
    world.feed.say("activity", "/", {})
    world.feed.commit()
    world.flush()
    assert len({id(write) for reader in readers for write in reader.writes}) == 1
    assert [message.type for message in readers[0].take()] == ["wagers_said", "activity_said", "tick"]
    assert world.hub.statistics.messages == 400
    assert world.hub.lane_count == 2


def test_messages_name_topic_scope_and_offset(world: World) -> None:
    """A subscriber knows from the message alone to which subscription it belongs."""
    reader = world.join(key("wagers", "/M1"))
    world.feed.say("wagers", "/M1/A7/@C1", {"wagerId": "w1"}, priority=3)
    world.feed.commit()
    world.flush()
    [message, _] = reader.take()
    assert (message.target, message.scope, message.offset) == ("wagers", "/M1", 1)
    assert (message.data, message.priority, message.type) == ({"wagerId": "w1"}, "critical", "wagers_said")


def test_stream_scopes_are_prefixes(world: World) -> None:
    """A stream's subscriber sees its own sub-tree, all of it, and nothing beside it."""
    paths = ["/", "/M1", "/M10", "/M1/A7", "/M1/A7/@C1", "/M2"]
    readers = {scope: world.join(key("wagers", scope)) for scope in ("/", "/M1", "/M1/A7", "/M2", "/M3")}
    for path in paths:
        world.feed.say("wagers", path, {})
    world.feed.commit()
    world.flush()
    seen = {scope: reader.offsets() for scope, reader in readers.items()}
    assert seen == {"/": [1, 2, 3, 4, 5, 6], "/M1": [2, 4, 5], "/M1/A7": [4, 5], "/M2": [6], "/M3": []}


def test_view_scopes_are_exact(world: World) -> None:
    """A view's subscriber gets the documents of the scope itself, not those below."""
    readers = {scope: world.join(key("kpi", scope)) for scope in ("/", "/M1", "/M2")}
    world.feed.change("kpi", "/", {"a": 1})
    world.feed.change("kpi", "/M1", {"a": 2})
    world.feed.commit()
    world.flush()
    assert {scope: reader.offsets() for scope, reader in readers.items()} == {"/": [1], "/M1": [2], "/M2": []}


def test_filter(world: World) -> None:
    """A subscriber gets what passes its filter; where nothing does, nothing is written, not even a tick."""
    reader = world.join(key("wagers", filter={"status": ["open", "won"], "amount": {"gte": 10}}))
    for status, amount in (("open", 9), ("open", 10), ("lost", 99), ("won", 11)):
        world.feed.say("wagers", "/", {"status": status, "amount": amount})
    world.feed.commit()
    world.flush()
    assert reader.offsets() == [2, 4]
    world.wager(status="lost")
    world.flush()
    assert reader.writes == []


def test_lanes_are_shared_by_what_is_asked(world: World) -> None:
    """Equal subscriptions are one lane, however their filter is written; a lane ends with its last follower."""
    one = world.join(key("wagers", filter={"status": ["a", "b"]}))
    other = world.join(key("wagers", filter={"status": ["b", "a"]}))
    third = world.join(key("wagers"))
    assert world.hub.lane_count == 2
    world.hub.leave(one)
    assert world.hub.lane_count == 2
    world.hub.leave(other)
    world.hub.leave(third)
    assert world.hub.lane_count == 0
    world.wager()
    world.flush()
    assert one.writes == other.writes == third.writes == []


def test_codecs(world: World) -> None:
    """Each connection is written in the way it chose."""
    plain = world.join(key("wagers"))
    batch = world.join(key("wagers", codec=JSON_BATCH), codec=JSON_BATCH)
    world.wager()
    world.flush()
    assert len(list(ServerFrameParser(1 << 20).receive(b"".join(plain.writes)))) == 2
    [messages, tick] = ServerFrameParser(1 << 20).receive(b"".join(batch.writes))
    assert isinstance(messages, Text)
    assert isinstance(tick, Text)
    assert messages.payload.startswith('[{"type"')
    assert plain.take() == batch.take()


def test_addressed_messages_stay_away(world: World) -> None:
    """What is for one user alone does not reach those who follow the topic."""
    reader = world.join(key("wagers"))
    world.feed.say("wagers", "/", {}, target="user:7")
    world.feed.commit()
    world.flush()
    assert reader.writes == []


def test_critical_is_told(world: World) -> None:
    """The loop learns that it must flush at once."""
    world.feed.say("wagers", "/", {}, priority=2)
    assert not world.hub.deliver(world.feed.commit())
    world.feed.say("wagers", "/", {}, priority=3)
    assert world.hub.deliver(world.feed.commit())


def test_expired(world: World) -> None:
    """A message past its time, by the feed's own clock, is not delivered, live or later; the position passes it."""
    world.feed.pass_time(NOW_MS)
    reader = world.join(key("wagers"))
    world.feed.say("wagers", "/", {}, expires_ms=NOW_MS)
    world.feed.say("wagers", "/", {}, expires_ms=NOW_MS + 1)
    world.feed.commit()
    world.flush()
    assert reader.offsets() == [2]
    world.feed.pass_time(NOW_MS + 1)
    world.wager()
    world.flush()
    late = world.join(key("wagers"), at=0)
    world.catch_up(late)
    assert late.offsets() == [3]


def test_expiry_of_what_was_cached(world: World) -> None:
    """A block of the past that was encoded for one reader holds nothing that has expired for the next."""
    for _ in range(2 * BLOCK_OFFSETS):
        world.feed.say("wagers", "/", {}, expires_ms=NOW_MS)
    world.feed.commit()
    world.flush()
    first = world.join(key("wagers"), at=0)
    world.catch_up(first)
    assert len(first.offsets()) == 2 * BLOCK_OFFSETS
    world.feed.pass_time(NOW_MS)
    world.wager()
    world.flush()
    second = world.join(key("wagers"), at=0)
    world.catch_up(second)
    assert second.offsets() == [2 * BLOCK_OFFSETS + 1]


# Views.


def test_deltas(world: World) -> None:
    """A subscriber with `delta` gets the document once and then patches, each on the state before it."""
    reader = world.join(key("kpi", delta=True))
    states: list[dict[str, Json]] = [{"a": 1, "b": {"c": 1}}, {"a": 1, "b": {"c": 2}}, {"b": {"c": 2, "d": 3}}]
    for state in states:
        world.feed.change("kpi", "/", state)
        world.feed.commit()
        world.flush()
    messages = [message for message in reader.take() if message.type != "tick"]
    assert [(message.offset, message.patch, message.base) for message in messages] == [
        (1, False, None),
        (2, True, 1),
        (3, True, 2),
    ]
    assert [message.data for message in messages[1:]] == [{"b": {"c": 2}}, {"a": None, "b": {"d": 3}}]


def test_deltas_are_conflated_within_a_flush(world: World) -> None:
    """What changed twice between two flushes is sent once, from the last state that was sent to the newest."""
    reader = world.join(key("kpi", delta=True))
    whole = world.join(key("kpi"))
    document: Json = {"a": 0}
    world.feed.change("kpi", "/", {"a": 0})
    world.feed.commit()
    world.flush()
    for number in range(1, 5):
        world.feed.change("kpi", "/", {"a": number, f"n{number}": 1})
        world.feed.commit()
    world.flush()
    [_, patch] = [message for message in reader.take() if message.type != "tick"]
    assert (patch.offset, patch.base) == (5, 1)
    assert apply(document, patch.data) == {"a": 4, "n4": 1}
    [_, newest] = [message for message in whole.take() if message.type != "tick"]
    assert (newest.offset, newest.patch, newest.data) == (5, False, {"a": 4, "n4": 1})


def test_documents_by_key(world: World) -> None:
    """A view with many documents sends those that changed, each under its key."""
    world.feed.change("desk", "/", {"x": 1}, key="one")
    world.feed.change("desk", "/", {"x": 1}, key="two")
    world.feed.commit()
    world.flush()
    reader = world.join(key("desk", delta=True))
    world.feed.change("desk", "/", {"x": 2}, key="two")
    world.feed.commit()
    world.flush()
    [message, _] = reader.take()
    assert (message.key, message.data, message.base) == ("two", {"x": 2}, 2)


def test_catching_up_with_a_view(world: World) -> None:
    """However many changes were missed, whole documents of now are all that is sent, and deltas go on from them."""
    for number in range(1, 6):
        world.feed.change("desk", "/", {"x": number}, key="one")
        world.feed.commit()
    world.feed.change("desk", "/", {"x": 0}, key="two")
    world.feed.commit()
    world.flush()
    reader = world.join(key("desk", delta=True), at=5)
    world.catch_up(reader)
    [message, tick] = reader.take()
    assert (message.key, message.offset, message.patch) == ("two", 6, False)
    assert position_of(tick) == 6
    world.feed.change("desk", "/", {"x": 9}, key="two")
    world.feed.commit()
    world.flush()
    [message, _] = reader.take()
    assert (message.base, message.offset) == (6, 7)


# Joining.


def snapshot(world: World, topic: str, last: int, scope: str = "/") -> tuple[list[int | None], Need | None]:
    """The offsets of a snapshot."""
    page = world.hub.snapshot_page(TOPICS[topic], key(topic, scope), last)
    return offsets_of(page), page.need


def test_snapshot_and_live_meet(world: World) -> None:
    """Between a snapshot and what follows nothing is missing and nothing comes twice, wherever the join falls."""
    for moment in range(4):
        world = World()
        world.wager()
        if moment > 0:
            world.flush()
        if moment > 1:
            world.wager()
        offsets, need = snapshot(world, "wagers", 500)
        assert need is None
        reader = world.join(key("wagers"))
        if moment == 2:
            world.flush()
        world.wager()
        world.flush()
        assert offsets + reader.offsets() == list(range(1, world.hub.flushed + 1))


def test_snapshot_is_the_newest(world: World) -> None:
    """A stream's snapshot is its newest messages that the subscriber may see, oldest first."""
    for number in range(10):
        world.feed.say("wagers", "/M1" if number % 2 else "/M2", {})
        world.feed.say("wagers", "/M1", {})
        world.feed.commit()
    world.flush()
    assert snapshot(world, "wagers", 3) == ([18, 19, 20], None)
    assert snapshot(world, "wagers", 0) == ([], None)
    assert snapshot(world, "wagers", 2, "/M2") == ([13, 17], None)
    assert snapshot(world, "wagers", 500, "/M2") == ([1, 5, 9, 13, 17], None)


def test_snapshot_of_a_view_is_its_documents(world: World) -> None:
    """A view's subscriber begins with every document of the scope, as of the last flush."""
    world.feed.change("desk", "/", {"x": 1}, key="one")
    world.feed.change("desk", "/", {"x": 2}, key="two")
    world.feed.change("desk", "/M1", {"x": 3}, key="one")
    world.feed.commit()
    assert snapshot(world, "desk", 0) == ([], None)
    world.flush()
    assert snapshot(world, "desk", 0) == ([1, 2], None)


def test_snapshot_from_storage() -> None:
    """Where memory does not reach far enough, the hub says what is to be read, and joins it."""
    world = World(ring_bytes_max=2_000)
    for _ in range(50):
        world.wager()
    world.flush()
    offsets, need = snapshot(world, "wagers", 30)
    assert need is not None
    assert need.upto == offsets[0]

    async def main() -> None:
        loop = HubLoop(world.hub, world.feed, flush_interval_ms=20, flush_bytes_max=1 << 18, heartbeat_s=25)
        page, at = await loop.snapshot(TOPICS["wagers"], key("wagers"), 30)
        assert offsets_of(page) == list(range(21, 51))
        assert at == 50

    virtual_time.run(main())


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


def test_blocks_are_shared_and_bounded() -> None:
    """Blocks of the past are encoded once for many readers, within a limit of memory."""
    world = World(block_bytes_max=100_000)
    for _ in range(4):
        for _ in range(BLOCK_OFFSETS):
            world.feed.say("wagers", "/", {"status": "open"})
        world.feed.commit()
    world.flush()
    readers = [world.join(key("wagers"), at=0) for _ in range(3)]
    for reader in readers:
        world.catch_up(reader)
        assert reader.offsets() == list(range(1, 4 * BLOCK_OFFSETS + 1))
    for number in range(100):  # blocks without a message cost memory too
        reader = world.join(key("wagers", filter={"amount": number}), at=0)
        world.catch_up(reader)
        assert reader.offsets() == []
    kept = sum(len(block.data) + 400 for block in world.hub.history._cache.values())
    assert 0 < kept <= 100_000


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


# Slow readers and lagging subscriptions.


def test_slow_reader(world: World) -> None:
    """Who takes no more is left alone, slows nobody, and gets all of it later at its own pace."""
    slow, quick = world.join(key("wagers")), world.join(key("wagers"))
    slow.full_after = 2
    for _ in range(2 * BLOCK_OFFSETS):
        world.wager()
        world.flush()
    assert len(slow.writes) == 2
    assert quick.offsets() == list(range(1, 2 * BLOCK_OFFSETS + 1))
    assert world.hub.statistics.demoted == 1
    assert slow.cursors is not None
    assert list(world.hub.catching) == []
    slow.full_after, slow.paused = 4, False
    assert list(world.hub.catching) == [slow]
    world.catch_up(slow)
    assert len(slow.writes) == 4
    slow.full_after, slow.paused = None, False
    world.catch_up(slow)
    assert slow.offsets() == list(range(1, 2 * BLOCK_OFFSETS + 1))
    assert slow.cohort is quick.cohort


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


def test_becoming_live_while_a_flush_is_written(world: World) -> None:
    """Whoever becomes live in a pause of a flush has its messages already and is not written them again."""
    for _ in range(200):
        world.join(key("wagers"))
    before = world.join(key("wagers"), at=0)
    world.wager()
    flush: Iterator[None] = world.hub.flush(world.now_s)
    late: list[Reader] = [before]
    for _ in flush:
        assert world.hub.flushing
        late.append(world.join(key("wagers"), at=0))
        for reader in late:
            world.catch_up(reader)
    assert len(late) > 3
    assert {reader.cohort for reader in late} == {before.cohort}
    world.wager()
    world.flush()
    assert [reader.offsets() for reader in late] == [[1, 2]] * len(late)


def test_leaving_while_a_flush_is_written(world: World) -> None:
    """Whoever leaves in a pause is not written to any more, and the others are."""
    readers = [world.join(key("wagers")) for _ in range(200)]
    world.wager()
    for _ in world.hub.flush(world.now_s):
        for reader in readers[150:]:
            world.hub.leave(reader)
    assert [reader.offsets() for reader in readers] == [[1]] * 150 + [[]] * 50


def test_write_that_ends_the_connection(world: World) -> None:
    """A connection that ends within a write is forgotten for good."""

    class Ending(Reader):
        def write(self, data: bytes) -> None:
            super().write(data)
            self.paused = True
            world.hub.leave(self)

    live, catching = Ending(), Ending()
    for reader, cursor in ((live, 1), (catching, 0)):
        world.hub.enter(reader)
        world.hub.follow(reader, key("wagers"), cursor)
    world.hub.unfollow(live, "wagers", "/")
    world.hub.follow(live, key("wagers"), 0)
    world.wager()
    world.flush()
    world.hub.catch_up(catching)
    assert (len(live.writes), len(catching.writes)) == (1, 1)
    assert world.hub.lane_count == 0
    assert (live.cursors, live.cohort, catching.cursors, catching.cohort) == (None, None, None, None)


# Changes of subscriptions.


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


# Timing.


class Timed:
    """A hub in its loop, and when each write of a reader came, in milliseconds since the start."""

    def __init__(self, *, flush_bytes_max: int = 1 << 18, heartbeat_s: float = 25) -> None:
        self.world = World(by_hand=False)
        self.loop = HubLoop(
            self.world.hub,
            self.world.feed,
            flush_interval_ms=20,
            flush_bytes_max=flush_bytes_max,
            heartbeat_s=heartbeat_s,
        )
        self.began_s = asyncio.get_running_loop().time()
        self.written_ms: list[int] = []
        timed = self

        class Clocked(Reader):
            def write(self, data: bytes) -> None:
                super().write(data)
                timed.written_ms.append(timed.now_ms)

        self.reader = Clocked()
        self.world.hub.enter(self.reader)
        self.world.hub.follow(self.reader, key("wagers"), 0)

    @property
    def now_ms(self) -> int:
        """Since the start."""
        return round((asyncio.get_running_loop().time() - self.began_s) * 1000)

    async def wait_until(self, ms: int) -> None:
        """Let time pass."""
        await asyncio.sleep(max(0.0, self.began_s + ms / 1000 - asyncio.get_running_loop().time()))


async def until(holds: Callable[[], bool]) -> None:
    """Give the other tasks their turns until something holds."""
    while not holds():
        await asyncio.sleep(0)


def test_adaptive_batching() -> None:
    """After a quiet interval a message goes out at once; then messages gather; a critical one does not wait."""

    async def main() -> None:
        timed = Timed()
        task = asyncio.create_task(timed.loop.run())
        for ms, priority in ((100, 1), (101, 1), (105, 1), (119, 1), (121, 3), (125, 1), (300, 1)):
            await timed.wait_until(ms)
            timed.world.feed.say("wagers", "/", {}, priority=priority)
            timed.world.feed.commit()
        await timed.wait_until(400)
        task.cancel()
        assert timed.written_ms == [100, 120, 121, 141, 300]
        assert timed.reader.offsets() == [1, 2, 3, 4, 5, 6, 7]

    virtual_time.run(main())


def test_bytes_end_the_gathering() -> None:
    """What gathers is bounded in bytes, too."""

    async def main() -> None:
        timed = Timed(flush_bytes_max=1000)
        task = asyncio.create_task(timed.loop.run())
        for ms, size in ((10, 1), (11, 500), (12, 600), (13, 1)):
            await timed.wait_until(ms)
            timed.world.wager(text="x" * size)
        await timed.wait_until(100)
        task.cancel()
        assert timed.written_ms == [10, 12, 32]

    virtual_time.run(main())


def test_heartbeat() -> None:
    """A connection to which nothing is said hears a tick every interval, also right after something was said."""

    async def main() -> None:
        timed = Timed(heartbeat_s=10)
        task = asyncio.create_task(timed.loop.run())
        await timed.wait_until(11_000)
        timed.world.wager()
        await timed.wait_until(60_001)
        task.cancel()
        gaps = [later - sooner for sooner, later in zip(timed.written_ms, timed.written_ms[1:], strict=False)]
        assert max(gaps) <= 10_000
        assert timed.written_ms == [10_000, 11_000, 20_000, 30_000, 40_000, 50_000, 60_000]
        assert timed.reader.positions() == [0, 1, 1, 1, 1, 1, 1]

    virtual_time.run(main())


def test_changes_wait_for_the_flush_in_order() -> None:
    """What changes subscriptions within a flush happens right after it, in the order in which it was asked for."""

    async def main() -> None:
        timed = Timed()
        for _ in range(500):
            timed.world.join(key("wagers"))
        done: list[str] = []
        task = asyncio.create_task(timed.loop.run())
        timed.world.wager()
        await until(lambda: timed.world.hub.flushing)
        timed.loop.between_flushes(lambda: done.append("first"))
        timed.loop.between_flushes(lambda: done.append("second"))
        assert done == []
        await until(lambda: not timed.world.hub.flushing)
        timed.loop.between_flushes(lambda: done.append("third"))
        assert done == ["first", "second", "third"]
        task.cancel()

    virtual_time.run(main(), work_s=lambda: 0.003)

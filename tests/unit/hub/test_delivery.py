"""How the hub shapes what it delivers: filters on rows, rates, lossy streams, critical and addressed messages, load."""

import asyncio
from typing import Any

import pytest

from fire22.core.frames import ServerFrameParser, Text
from fire22.core.message import Json, decode_json
from fire22.core.position import Position
from fire22.core.topic import DIRECT
from fire22.feed.base import Document
from fire22.hub import views
from fire22.hub.base import Recipient, Resumed
from fire22.hub.catch_up import LOSSY_OFFSETS
from fire22.hub.codec import DEFLATED, PLAIN
from fire22.hub.encoding import Item
from fire22.hub.flush import OVERTAKE_BYTES
from fire22.hub.history import BLOCK_RECORDS
from fire22.hub.index import LaneIndex
from fire22.hub.lane import Lane
from fire22.hub.loop import REFUSING_S, HubLoop
from fire22.hub.pacing import HELD_MAX
from fire22.hub.views import Views
from tests.support import virtual_time
from tests.support.hub_world import TOPICS, Reader, World, key, offsets_of, position_of
from tests.support.memory_feed import EPOCH, MemoryFeed

Row = tuple[str | None, Json]


@pytest.fixture
def world() -> World:
    """A new one."""
    return World()


def set_row(world: World, name: str, body: dict[str, Json] | None, scope: str = "/") -> None:
    """One document's new state, in a commit group and a flush of its own."""
    world.feed.change("desk", scope, body, key=name)
    world.feed.commit()
    world.flush()


def rows(reader: Reader) -> list[Row]:
    """The documents' messages since the last call, ticks aside."""
    return [(message.key, message.data) for message in reader.take() if message.type != "tick"]


# Rows of a view.


def test_rows_come_change_and_go(world: World) -> None:
    """A row comes whole, changes by patches, and goes with `data: null`; when it comes again it is whole again."""
    reader = world.join(key("desk", delta=True))
    plain = world.join(key("desk"))
    set_row(world, "one", {"total": 1, "text": "a"})
    set_row(world, "one", {"total": 2, "text": "a"})
    set_row(world, "one", None)
    set_row(world, "one", {"total": 3, "text": "b"})
    assert rows(reader) == [
        ("one", {"total": 1, "text": "a"}),
        ("one", {"total": 2}),
        ("one", None),
        ("one", {"total": 3, "text": "b"}),
    ]
    assert rows(plain) == [
        ("one", {"total": 1, "text": "a"}),
        ("one", {"total": 2, "text": "a"}),
        ("one", None),
        ("one", {"total": 3, "text": "b"}),
    ]
    assert [document.key for document in world.hub.documents("desk", "/")] == ["one"]


def test_rows_enter_and_leave_a_filter(world: World) -> None:
    """To a subscriber with a filter, a row that no longer matches is gone, and one that begins to match is new."""
    reader = world.join(key("desk", filter={"total": {"gte": 10}}, delta=True))
    set_row(world, "one", {"total": 5, "text": "a"})
    assert reader.take() == []
    set_row(world, "one", {"total": 12, "text": "a"})
    set_row(world, "one", {"total": 13, "text": "a"})
    set_row(world, "one", {"total": 9, "text": "a"})
    set_row(world, "one", {"total": 8, "text": "a"})
    set_row(world, "one", None)
    assert rows(reader) == [("one", {"total": 12, "text": "a"}), ("one", {"total": 13}), ("one", None)]


def test_snapshot_with_a_filter(world: World) -> None:
    """A snapshot holds the rows that match, and none that are gone."""
    set_row(world, "one", {"total": 1})
    set_row(world, "two", {"total": 20})
    set_row(world, "three", {"total": 30})
    set_row(world, "three", None)
    page = world.hub.snapshot_page(TOPICS["desk"], key("desk", filter={"total": {"gte": 10}}), 0)
    assert offsets_of(page) == [2]


def test_a_patch_for_all_that_was_missed(world: World) -> None:
    """A reader that was slow gets one patch for many changes where that is shorter, and else the document."""
    set_row(world, "long", {"total": 0, "text": "x" * 200})
    set_row(world, "short", {"total": 0})
    reader = world.join(key("desk", delta=True))
    reader.full_after = 1
    set_row(world, "long", {"total": 1, "text": "x" * 200})
    assert reader.paused
    reader.take()
    for number in range(2, 7):
        set_row(world, "long", {"total": number, "text": "x" * 200})
        set_row(world, "short", {"total": number})
    reader.paused, reader.full_after = False, None
    world.catch_up(reader)
    long, short, _ = sorted(reader.take(), key=lambda message: message.key or "~")
    assert (long.patch, long.base, long.data) == (True, 3, {"total": 6})
    assert (short.patch, short.data) == (False, {"total": 6})
    assert reader.cohort is not None


def test_what_a_slow_reader_with_a_filter_missed(world: World) -> None:
    """Rows that came into its filter, left it, or came and went meanwhile are told as it has to know them."""
    text = "x" * 200
    for name, total in (("stays", 10), ("leaves", 10), ("comes", 1), ("outside", 1)):
        set_row(world, name, {"total": total, "text": text})
    reader = world.join(key("desk", filter={"total": {"gte": 10}}, delta=True), at=world.hub.flushed)
    reader.paused = True
    set_row(world, "stays", {"total": 11, "text": text})
    assert rows(reader) == [("stays", {"total": 11})]
    set_row(world, "stays", {"total": 12, "text": text})
    set_row(world, "leaves", {"total": 2, "text": text})
    set_row(world, "comes", {"total": 30, "text": text})
    set_row(world, "outside", {"total": 2, "text": text})
    set_row(world, "fleeting", {"total": 50, "text": text})
    set_row(world, "fleeting", None)
    reader.paused = False
    world.catch_up(reader)
    assert rows(reader) == [("stays", {"total": 12}), ("leaves", None), ("comes", {"total": 30, "text": text})]


def test_a_resumed_view_brings_whole_documents(world: World) -> None:
    """Who comes back may have seen newer documents than its position says: no patch is sure to fit, and a row that
    does not match is said to be gone."""
    set_row(world, "one", {"total": 10, "text": "x" * 200})
    set_row(world, "two", {"total": 1, "text": "x" * 200})
    for total in (11, 12):
        set_row(world, "one", {"total": total, "text": "x" * 200})
    set_row(world, "two", {"total": 2, "text": "x" * 200})
    reader = world.join(key("desk"))
    world.hub.follow(reader, key("desk", filter={"total": {"gte": 10}}, delta=True), 2, resumed=True)
    world.catch_up(reader)
    assert rows(reader) == [("one", {"total": 12, "text": "x" * 200}), ("two", None)]


def test_more_changes_than_a_block(world: World) -> None:
    """After more changes than are read at once a slow reader gets the documents as they are."""
    set_row(world, "one", {"total": 0, "text": "x" * 200})
    reader = world.join(key("desk", delta=True))
    world.fall_behind(reader)
    for number in range(BLOCK_RECORDS + 1):
        set_row(world, "one", {"total": number + 1, "text": "x" * 200})
    world.catch_up(reader)
    [message, _] = reader.take()
    assert (message.patch, message.data) == (False, {"total": BLOCK_RECORDS + 1, "text": "x" * 200})


def test_removals_are_remembered_within_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is behind what is remembered of removals is told so, instead of keeping a row for ever."""
    monkeypatch.setattr(views, "REMOVED_MAX", 2)
    world = World()
    for name in "abc":
        set_row(world, name, {"total": 1})
    for name in "abc":
        set_row(world, name, None)
    assert world.hub.resume(TOPICS["desk"], Position(EPOCH, 3)) == Resumed(6, False, "position_lost", (4, 4))
    assert world.hub.resume(TOPICS["desk"], Position(EPOCH, 4)) == Resumed(4, True)
    reader = world.join(key("desk"), at=4)
    world.catch_up(reader)
    assert rows(reader) == [("b", None), ("c", None)]
    slow = world.join(key("desk"), at=3)
    world.catch_up(slow)
    assert slow.lost_position


def test_removals_at_a_start() -> None:
    """Of what was removed before the feed's oldest message only the last is known, and says from where one to go on."""
    documents = [
        Document("desk", "/", "a", "desk_update", 5, 0, None),
        Document("desk", "/", "b", "desk_update", 9, 0, None),
        Document("kpi", "/", "", "kpi_update", 2, 0, {"total": 1}),
    ]
    held = Views(documents, 6)
    assert (held.forgotten("desk"), held.forgotten("kpi")) == (5, 0)
    assert [each.key for each in held.changed_since("desk", "/", 6, {})] == ["b"]
    assert not held.exists("desk", "/")
    assert held.exists("kpi", "/")


# One frame or several.


class _DeflatedServerParser(ServerFrameParser):
    """Reads what a server sends with permessage-deflate."""

    _deflates = True


def frames(reader: Reader) -> list[list[str]]:
    """The types of the messages in each frame since the last call."""
    found = list(_DeflatedServerParser(1 << 20).receive(b"".join(reader.writes)))
    reader.writes.clear()
    return [[message.type for message in decode_json(each.payload)] for each in found if isinstance(each, Text)]


def test_compressed_together_where_nobody_else_shares(world: World) -> None:
    """A compressed batch holds all of a flush, tick included; a lane that several cohorts share is compressed once,
    by itself."""
    codec = DEFLATED["json"]
    wagers, activity = key("wagers", codec=codec), key("activity", codec=codec)
    both = world.join(wagers, activity, codec=codec)
    world.wager()
    world.feed.say("activity", "/", {})
    world.feed.commit()
    world.flush()
    assert frames(both) == [["wagers_said", "activity_said", "tick"]]
    one = world.join(wagers, codec=codec)
    world.wager()
    world.flush()
    assert frames(both) == frames(one) == [["wagers_said"], ["tick"]]
    world.hub.leave(one)
    world.wager()
    world.flush()
    assert frames(both) == [["wagers_said", "tick"]]


# Rates.


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


# Lossy streams.


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


@pytest.mark.parametrize("ring_bytes_max", [1 << 20, 20_000])
def test_a_lossy_reader_far_behind(ring_bytes_max: int) -> None:
    """It is taken near the live edge, from memory and from storage alike, and told how many messages it missed."""
    world = World(ring_bytes_max)
    for number in range(4 * LOSSY_OFFSETS):
        world.wager("/M1" if number % 2 else "/M2", status="open")
    world.flush()
    reader = world.join(key("wagers", "/M1", lossy=True), at=0)
    world.catch_up(reader)
    messages = reader.take()
    assert [each.offset for each in messages if each.offset] == list(
        range(3 * LOSSY_OFFSETS + 2, 4 * LOSSY_OFFSETS + 1, 2)
    )
    said = [each.data["skipped"] for each in messages if isinstance(each.data, dict) and "skipped" in each.data]
    count = 3 * LOSSY_OFFSETS // 2
    assert said == [[{"target": "wagers", "scope": "/M1", "from": 2, "to": 3 * LOSSY_OFFSETS, "count": count}]]
    assert reader.cohort is not None


# Critical messages.


def urgent(world: World) -> bool:
    """Whether the loop should let something overtake."""
    return world.hub.urgent


def overtake(world: World) -> None:
    """What the loop does when something is urgent."""
    for _ in world.hub.overtake():
        pass


def critical(world: World, path: str = "/", **data: Json) -> None:
    """One critical wager in a commit group of its own."""
    world.feed.say("wagers", path, data, priority=3)
    world.feed.commit()


def test_a_critical_message_overtakes_a_flush(world: World) -> None:
    """It comes before the flush under way has ended, once, and no tick passes what it has overtaken."""
    readers = [world.join(key("wagers")) for _ in range(200)]
    world.wager()
    flush = world.hub.flush(world.now_s)
    next(flush)
    critical(world)
    assert urgent(world)
    overtake(world)
    for _ in flush:
        pass
    world.flush()
    for reader in readers:
        assert [each.offset or -position_of(each) for each in reader.take()] == [2, 1, -1, -2]
    assert world.hub.statistics.overtakes == 1


def test_a_critical_message_overtakes_what_waits(world: World) -> None:
    """With much before it a critical message is written alone and first; with little it is not worth a write."""
    reader = world.join(key("wagers"))
    world.wager()
    critical(world)
    assert not urgent(world)
    world.flush()
    assert reader.offsets() == [1, 2]
    world.wager(text="x" * OVERTAKE_BYTES)
    critical(world)
    assert urgent(world)
    overtake(world)
    assert reader.offsets() == [4]
    late = world.join(key("wagers"))  # joins at 2, and is told as well
    assert late.offsets() == [4]
    world.flush()
    assert (reader.offsets(), late.offsets()) == ([3], [3])


def test_a_critical_message_overtakes_what_is_held(world: World) -> None:
    """It does not wait for the rate; the position does. Who joins in between gets it too."""
    lane = key("wagers", max_rate_hz=1)
    reader = world.join(lane)
    world.wager()
    world.flush()
    reader.take()
    world.wager()
    critical(world)
    world.flush()
    assert [each.offset or -position_of(each) for each in reader.take()] == [3, -1]
    late = world.join(lane, at=1)
    assert late.offsets() == [3]
    world.wager()
    world.flush(after_s=1)
    assert reader.offsets() == late.offsets() == [2, 4]


def test_a_critical_message_overtakes_a_backlog(world: World) -> None:
    """Who is behind gets it first, and once more in its place, which a client drops."""
    reader = world.join(key("wagers", "/M1", filter={"status": "open"}))
    world.fall_behind(reader)
    other = world.join(key("wagers", "/M1", filter={"status": "open"}))
    for _ in range(5):
        world.wager("/M1", status="open")
    critical(world, "/M1", status="open")
    critical(world, "/M2", status="open")
    world.flush()
    assert other.offsets() == [1, 2, 3, 4, 5, 6]
    world.catch_up(reader)
    assert reader.offsets() == [6, 1, 2, 3, 4, 5, 6]


# Addressed messages.


def address(world: World, *targets: str, priority: int = 1) -> None:
    """One message for each target, in one commit group."""
    for target in targets:
        world.feed.say(DIRECT, "/", {"for": target}, target=target, priority=priority)
    world.feed.commit()


def test_addressed_messages(world: World) -> None:
    """A user's connections, one client, or all who are known get a message, with a tick, and nobody else does."""
    phone = world.join(key("wagers"), who=Recipient("ann", "phone"))
    laptop = world.join(who=Recipient("ann", "laptop"))
    other = world.join(key("wagers"), who=Recipient("bob"))
    unknown = world.join(key("wagers"))
    address(world, "user:ann", "client:phone", "everyone", "user:nobody")
    world.flush()
    assert [each.target or each.type for each in phone.take()] == ["user:ann", "client:phone", "direct_said", "tick"]
    assert [each.target or each.type for each in laptop.take()] == ["user:ann", "direct_said", "tick"]
    assert [each.offset for each in other.take()] == [3, None]
    assert unknown.take() == []
    world.hub.leave(laptop)
    address(world, "user:ann")
    world.flush()
    assert (phone.offsets(), laptop.offsets(), other.offsets()) == ([5], [], [])


def test_who_takes_no_more_after_an_addressed_message_is_behind(world: World) -> None:
    """A connection that is full with what was addressed to it is written nothing more, and catches up later."""
    reader = world.join(key("wagers"), who=Recipient("ann"))
    reader.full_after = 1
    address(world, "user:ann")
    world.flush()
    assert (reader.paused, reader.cohort) == (True, None)
    assert [each.target or each.type for each in reader.take()] == ["user:ann", "tick"]
    world.wager()
    world.flush()
    assert reader.take() == []
    reader.paused, reader.full_after = False, None
    world.catch_up(reader)
    assert reader.offsets() == [2]
    assert reader.cohort is not None


def test_addressed_beside_what_is_followed(world: World) -> None:
    """In a flush that brings both, one tick ends both, so that a position never passes a message that is to come."""
    reader = world.join(key("wagers"), who=Recipient("ann"))
    world.wager()
    address(world, "user:ann")
    world.flush()
    assert [each.offset or -position_of(each) for each in reader.take()] == [2, 1, -2]


def test_addressed_messages_wait_for_who_is_behind(world: World) -> None:
    """A slow reader gets them in their place, and who resumes gets those since its position."""
    slow = world.join(key("wagers"), who=Recipient("ann"))
    slow.paused = True
    world.wager()
    world.flush()
    address(world, "user:ann", "user:bob")
    world.wager()
    world.flush()
    slow.paused = False
    world.catch_up(slow)
    assert sorted(slow.offsets(), key=str) == [1, 2, 4]
    resumed = world.join(who=Recipient("ann"))
    world.hub.follow(resumed, key("activity"), 1, resumed=True)
    world.hub.follow(resumed, key("wagers"), 1, resumed=True)  # the same position brings them once
    world.catch_up(resumed)
    assert sorted(resumed.offsets(), key=str) == [2, 4]
    assert resumed.cohort is not None
    anew = world.join(key("wagers"), who=Recipient("ann"))
    assert anew.take() == []


def test_an_old_position_of_a_view_does_not_ask_for_what_is_gone(world: World) -> None:
    """A view can be resumed from before the feed's oldest message; what was addressed before that is gone."""
    set_row(world, "one", {"total": 1})
    address(world, "user:ann")
    world.wager()
    address(world, "user:ann")
    world.flush()
    world.feed.drop(3)
    reader = world.join(who=Recipient("ann"))
    world.hub.follow(reader, key("desk"), 0, resumed=True)
    world.catch_up(reader)
    assert not reader.lost_position
    assert reader.offsets() == [1, 4]


# Load.


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


# History.


def test_history_goes_back_page_by_page(world: World) -> None:
    """Each page is the newest below an offset, and says where the next one begins, until nothing older is kept."""
    for number in range(10):
        world.wager("/M1" if number % 2 else "/M2", status="open" if number % 4 == 1 else "won")
    world.flush()
    found, before = [], None
    while True:
        page = world.hub.history_page(key("wagers", "/M1"), before, 2)
        found.append(offsets_of(page))
        if not page.below:
            break
        before = page.below
    assert found == [[8, 10], [4, 6], [2]]
    assert offsets_of(world.hub.history_page(key("wagers", "/M1", filter={"status": "open"}), 9, 500)) == [2, 6]
    assert offsets_of(world.hub.history_page(key("wagers", "/M1"), 10_000, 1)) == [10]


# Which lanes a message reaches.


@pytest.mark.parametrize(
    "filter",
    [
        None,
        {"status": "open"},
        {"status": ["open", "won"], "amount": {"gte": 5}},
        {"amount": {"gte": 5, "lte": 7}},
        {"amount": [1, 5, True]},
        {"amount": True},
        {"status": "open", "amount": [5, 6]},
    ],
)
def test_the_index_finds_what_the_filters_say(filter: dict[str, Json] | None) -> None:
    """A lane is found by a message exactly if its filter passes it, and no more once it is removed."""
    index = LaneIndex()
    lane = Lane(key("wagers", filter=filter), Reader().codec)
    others = [Lane(key("wagers", filter={"status": f"s{number}"}), Reader().codec) for number in range(3)]
    for each in (lane, *others):
        index.add(each)
    assert list(index) == [lane, *others] or set(index) == {lane, *others}
    feed = MemoryFeed()
    feed.say("wagers", "/", {})
    [entry] = feed.commit().records[0].entries
    for data in (
        b'{"status":"open","amount":5}',
        b'{"status":"won","amount":true}',
        b'{"amount":1.0}',
        b'{"amount":[5]}',
    ):
        item = Item(1, "wagers", type(entry)("/", "", "x", 0, 1, data))
        expected = lane.key.filter is None or lane.key.filter.matches(item.fields)
        assert (lane in [*index.open, *index.passing(item)]) is expected
    for each in (lane, *others):
        index.remove(each)
    assert not index
    assert not index.filters


def test_a_thousand_filters(world: World) -> None:
    """Each of many subscribers with a filter of its own gets its own messages alone."""
    readers = [world.join(key("wagers", filter={"amount": number})) for number in range(1000)]
    for number in (7, 7, 500):
        world.wager(amount=number)
    world.flush()
    assert [readers[number].offsets() for number in (6, 7, 500)] == [[], [1, 2], [3]]
    assert world.hub.statistics.messages == 3


@pytest.mark.parametrize(
    "options",
    [
        {"lossy": True},
        {"max_rate_hz": 1},
        {"filter": {"status": "open"}},
        {"scope": "/M1"},
        {"codec": DEFLATED["json"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_subscriptions_that_differ_in_an_option_share_nothing(world: World, options: dict[str, Any]) -> None:
    """Each is written as it asked; two that ask for the same share one lane and one cohort."""
    usual, same = world.join(key("wagers")), world.join(key("wagers"))
    other = world.join(key("wagers", **options), codec=options.get("codec", PLAIN))
    assert usual.cohort is not None
    assert usual.cohort is same.cohort
    assert other.cohort is not None
    assert set(other.cohort.lanes).isdisjoint(usual.cohort.lanes)


def test_overload_ends_with_time() -> None:
    """A server that has nothing more to flush does not refuse newcomers for a flush that took long once."""

    async def main() -> None:
        world = World(by_hand=False)
        loop = HubLoop(world.hub, world.feed, flush_interval_ms=20, flush_bytes_max=1 << 18, heartbeat_s=25, shed_ms=1)
        for _ in range(300):
            world.join(key("wagers"))
        task = asyncio.create_task(loop.run())
        world.wager()
        said: list[bool] = []
        while True not in said:
            await asyncio.sleep(0.001)
            said.append(loop.overloaded)
        await asyncio.sleep(REFUSING_S)
        said.append(loop.overloaded)
        assert said[-2:] == [True, False]
        task.cancel()

    virtual_time.run(main(), work_s=lambda: 0.003)

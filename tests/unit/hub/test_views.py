"""Views: which patches, documents and removals bring a reader up to date."""

import pytest

from fire22.core.message import Json
from fire22.core.patch import apply
from fire22.core.position import Position
from fire22.feed.base import Document
from fire22.hub import views
from fire22.hub.base import Resumed
from fire22.hub.history import BLOCK_RECORDS
from fire22.hub.views import Views
from tests.support.hub_world import TOPICS, World, key, made, offsets_of, position_of, rows, set_row
from tests.support.memory_feed import EPOCH


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
    page = made(world.hub.snapshot_page(TOPICS["desk"], key("desk", filter={"total": {"gte": 10}}), 0))
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

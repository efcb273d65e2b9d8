"""Masks: what a role may not see is in none of the bytes that it is sent, whichever way it reads."""

import msgspec
import pytest
from msgspec.structs import replace

from fire22.core.message import Json
from fire22.core.patch import apply
from fire22.hub.mask import UNMASKED, masked_bytes
from tests.support.hub_world import World, key, made, rows

MASK = frozenset({"name", "phone"})


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b'{"name":"Ann","amount":5,"legs":[{"name":"x"}]}', b'{"amount":5,"legs":[{"name":"x"}]}'),
        (b'{"n\\u0061me":"Ann"}', b"{}"),
        (b"{}", b"{}"),
        (b"null", b"null"),
        (b"[1]", b"[1]"),
    ],
)
def test_fields_are_left_out(data: bytes, seen: bytes) -> None:
    """However a name is written; those of inner objects are other fields."""
    assert masked_bytes(data, MASK) == seen
    assert masked_bytes(data, UNMASKED) is data


def test_a_stream(world: World) -> None:
    """Two roles follow the same stream, and each gets its own message, live, behind and from the past."""
    full, masked = key("wagers"), replace(key("wagers"), mask=MASK)
    sees, sees_less, behind = world.join(full), world.join(masked), world.join(masked)
    world.fall_behind(behind)
    world.wager(name="Ann", amount=5)
    world.flush()
    world.catch_up(behind)
    assert rows(sees) == [(None, {"name": "Ann", "amount": 5})]
    assert rows(sees_less) == rows(behind) == [(None, {"amount": 5})]
    pages = [made(world.hub.history_page(each, None, 10)).messages for each in (full, masked, full)]
    assert [b"Ann" in page for page in pages] == [True, False, True]


def test_a_view(world: World) -> None:
    """A change of a masked field alone is an empty patch: the next patch stands on it."""
    masked = replace(key("desk", delta=True), mask=MASK)
    reader, whole = world.join(masked), world.join(key("desk", delta=True))
    states: list[dict[str, Json]] = [{"name": "Ann", "a": 1}, {"name": "Bea", "a": 1}, {"name": "Bea", "a": 2}]
    for state in states:
        world.feed.change("desk", "/", state, key="one")
        world.feed.commit()
        world.flush()
    messages = [message for message in reader.take() if message.type != "tick"]
    assert [(message.data, message.patch, message.base) for message in messages] == [
        ({"a": 1}, False, None),
        ({}, True, 1),
        ({"a": 2}, True, 2),
    ]
    document: Json = None
    for message in whole.take():
        if message.type != "tick":
            document = apply(document, message.data) if message.patch else message.data
    assert document == {"name": "Bea", "a": 2}
    page = made(world.hub.history.documents(masked, world.hub.flushed))
    assert b"Bea" not in page.messages
    assert b"Bea" in made(world.hub.history.documents(key("desk"), world.hub.flushed)).messages


def test_who_is_behind_gets_masked_patches(world: World) -> None:
    """What is composed from the feed's own patches is masked as well."""
    masked = replace(key("desk", delta=True), mask=MASK)
    reader = world.join(masked)
    world.feed.change("desk", "/", {"name": "Ann", "a": 1, "more": "x" * 200}, key="one")
    world.feed.commit()
    world.flush()
    reader.take()
    world.fall_behind(reader)
    for number in (2, 3):
        world.feed.change("desk", "/", {"name": f"B{number}", "a": number, "more": "x" * 200}, key="one")
        world.feed.commit()
        world.flush()
    world.catch_up(reader)
    [message] = [message for message in reader.take() if message.type != "tick"]
    assert (message.data, message.patch) == ({"a": 3}, True)


def test_a_mask_changes(world: World) -> None:
    """Who follows a view gets its documents once more, whole; who follows a stream reads on from where it stood."""
    view, stream = key("desk", delta=True), key("wagers")
    reader = world.join(view, stream)
    world.feed.change("desk", "/", {"name": "Ann", "a": 1}, key="one")
    world.wager(name="Ann", amount=5)
    world.flush()
    assert len(rows(reader)) == 2
    for key_ in (view, stream):
        world.hub.mask(reader, key_, MASK)
    world.catch_up(reader)
    assert rows(reader) == [("one", {"a": 1})]
    assert reader.cohort is not None
    world.feed.change("desk", "/", {"name": "Bea", "a": 2}, key="one")
    world.wager(name="Bea", amount=6)
    world.flush()
    assert rows(reader) == [("one", {"a": 2}), (None, {"amount": 6})]
    for lane in reader.lanes:
        world.hub.mask(reader, lane.key, UNMASKED)
    world.catch_up(reader)
    assert rows(reader) == [("one", {"name": "Bea", "a": 2})]
    assert msgspec.structs.asdict(view)["mask"] == UNMASKED

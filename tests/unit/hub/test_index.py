"""Which lanes a message reaches, found without asking each filter."""

import pytest

from fire22.core.message import Json
from fire22.hub.encoding import Item
from fire22.hub.index import LaneIndex
from fire22.hub.lane import Lane
from tests.support.hub_world import Reader, World, key
from tests.support.memory_feed import MemoryFeed


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

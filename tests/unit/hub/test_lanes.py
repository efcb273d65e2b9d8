"""Which subscriptions share a lane."""

from typing import Any

import pytest

from fire22.hub.codec import DEFLATED, PLAIN
from tests.support.hub_world import World, key


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

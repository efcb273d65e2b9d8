"""Where connections stand: becoming live and falling behind, also while a flush is written."""

from collections.abc import Iterator

from fire22.hub.history import BLOCK_OFFSETS
from tests.support.hub_world import Reader, World, key


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

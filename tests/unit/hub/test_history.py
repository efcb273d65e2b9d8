"""Snapshots, pages of history, and the encoded blocks that readers who are behind share."""

import pytest
from msgspec.structs import replace

from fire22.gateways.turns import Turns
from fire22.hub import history
from fire22.hub.history import BLOCK_OFFSETS
from fire22.hub.loop import HubLoop
from tests.support import virtual_time
from tests.support.hub_world import NOW_MS, TOPICS, World, key, made, offsets_of


def snapshot(world: World, topic: str, last: int, scope: str = "/") -> list[int | None]:
    """The offsets of a snapshot."""
    return offsets_of(made(world.hub.snapshot_page(TOPICS[topic], key(topic, scope), last)))


def test_snapshot_and_live_meet(world: World) -> None:
    """Between a snapshot and what follows nothing is missing and nothing comes twice, wherever the join falls."""
    for moment in range(4):
        world = World()
        world.wager()
        if moment > 0:
            world.flush()
        if moment > 1:
            world.wager()
        offsets = snapshot(world, "wagers", 500)
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
    assert snapshot(world, "wagers", 3) == [18, 19, 20]
    assert snapshot(world, "wagers", 0) == []
    assert snapshot(world, "wagers", 2, "/M2") == [13, 17]
    assert snapshot(world, "wagers", 500, "/M2") == [1, 5, 9, 13, 17]


def test_snapshot_of_a_view_is_its_documents(world: World) -> None:
    """A view's subscriber begins with every document of the scope, as of the last flush."""
    world.feed.change("desk", "/", {"x": 1}, key="one")
    world.feed.change("desk", "/", {"x": 2}, key="two")
    world.feed.change("desk", "/M1", {"x": 3}, key="one")
    world.feed.commit()
    assert snapshot(world, "desk", 0) == []
    world.flush()
    assert snapshot(world, "desk", 0) == [1, 2]


def test_snapshot_from_storage() -> None:
    """Where memory does not reach far enough, the hub says what is to be read, and joins it."""
    world = World(ring_bytes_max=2_000)
    for _ in range(50):
        world.wager()
    world.flush()

    async def main() -> None:
        loop = HubLoop(world.hub, world.feed, flush_interval_ms=20, flush_bytes_max=1 << 18, heartbeat_s=25)
        page, at = await Turns().perform("ann", loop.snapshot(TOPICS["wagers"], key("wagers"), 30))
        assert offsets_of(page) == list(range(21, 51))
        assert at == 50

    virtual_time.run(main())


def test_history_goes_back_page_by_page(world: World) -> None:
    """Each page is the newest below an offset, and says where the next one begins, until nothing older is kept."""
    for number in range(10):
        world.wager("/M1" if number % 2 else "/M2", status="open" if number % 4 == 1 else "won")
    world.flush()
    found, before = [], None
    while True:
        page = made(world.hub.history_page(key("wagers", "/M1"), before, 2))
        found.append(offsets_of(page))
        if not page.below:
            break
        before = page.below
    assert found == [[8, 10], [4, 6], [2]]
    assert offsets_of(made(world.hub.history_page(key("wagers", "/M1", filter={"status": "open"}), 9, 500))) == [2, 6]
    assert offsets_of(made(world.hub.history_page(key("wagers", "/M1"), 10_000, 1))) == [10]


def test_pages_are_made_once(world: World) -> None:
    """Who asks for the same page between two flushes gets the same bytes, also who began before it was made."""
    for _ in range(200):
        world.wager(status="open")
    world.flush()
    begun = [world.hub.snapshot_page(TOPICS["wagers"], key("wagers"), 200) for _ in range(3)]
    for each in begun:
        assert next(each) is None
    pages = [made(each) for each in begun]
    pages += [made(world.hub.snapshot_page(TOPICS["wagers"], key("wagers"), 200))]
    assert all(each is pages[0] for each in pages)
    assert len(offsets_of(pages[0])) == 200
    hidden = replace(key("wagers"), mask=frozenset({"status"}))
    masked = made(world.hub.snapshot_page(TOPICS["wagers"], hidden, 200))
    assert b'"status"' in pages[0].messages
    assert b'"status"' not in masked.messages
    narrower = made(world.hub.snapshot_page(TOPICS["wagers"], key("wagers", "/M1"), 200))
    assert offsets_of(narrower) == offsets_of(made(world.hub.history_page(key("wagers", "/M1"), None, 200)))
    assert offsets_of(made(world.hub.history_page(key("wagers"), None, 3))) == offsets_of(pages[0])[-3:]
    world.wager()
    world.flush()
    assert snapshot(world, "wagers", 200)[-1] == world.hub.flushed


def test_kept_pages_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of pages is bounded, however many different ones are asked for; all are answered."""
    monkeypatch.setattr(history, "PAGES_BYTES_MAX", 5_000)
    for _ in range(20):
        world.wager()
    world.flush()
    for last in range(1, 21):
        page = made(world.hub.history_page(key("wagers"), None, last))
        assert len(offsets_of(page)) == last
    kept = world.hub.history._pages.values()
    assert 0 < sum(len(each.messages) for each in kept) <= 5_000


def test_a_kept_page_holds_nothing_expired(world: World) -> None:
    """A page that was made for one reader is not given to the next once a message in it has expired."""
    world.feed.say("wagers", "/", {}, expires_ms=NOW_MS)
    world.feed.commit()
    world.flush()
    assert snapshot(world, "wagers", 5) == [1]
    world.feed.pass_time(NOW_MS)
    world.feed.commit()
    world.flush()
    assert snapshot(world, "wagers", 5) == []


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


@pytest.mark.parametrize("apart_ms", [1, 40, 90_000])
def test_blocks_of_sparse_offsets(apart_ms: int) -> None:
    """Commit groups lie apart in time, and their blocks are neither one for each nor lost to readers further on."""
    world = World()
    for number in range(1_000):
        world.feed.say("wagers", "/", {"amount": number})
        world.feed.commit(NOW_MS + number * apart_ms)
    world.flush()
    everything = [record.offset for record in world.feed.records]
    assert everything[-1] - everything[0] == 999 * apart_ms << 12
    behind = world.join(key("wagers"), at=0)
    world.catch_up(behind)
    assert behind.offsets() == everything
    made_once = len(world.hub.history._cache)
    assert 1_000 / 64 <= made_once <= 1_000 / 4
    for start in (100, 500, 903):
        reader = world.join(key("wagers"), at=everything[start] | 4095)  # where a tick stands
        world.catch_up(reader)
        assert reader.offsets() == everything[start + 1 :]
    assert len(world.hub.history._cache) <= made_once + 3 * 8


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

"""The timing of the hub: batching, heartbeats, deferred changes, overload; in virtual time."""

import asyncio
from collections.abc import Callable

from fire22.hub.loop import REFUSING_S, HubLoop
from tests.support import virtual_time
from tests.support.hub_world import Reader, World, key


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

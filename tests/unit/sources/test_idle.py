"""Nothing happens: the event that lets what waits be said, only while something waits, and only while it helps."""

import asyncio

import pytest

from fire22.core.event import EncodedEvent, decode_event
from fire22.log.base import Appended
from fire22.sources.idle import IdleSource


class World:
    """A log whose flows take a part of what waits with each event, and time that passes at once.

    Args:
        parts: how many events it takes until nothing waits.
    """

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.last_seq = 7
        self.appended: list[str] = []
        self.slept: list[float] = []
        self.helps = True
        self.interrupted_at = 0

    def append(self, events: list[EncodedEvent], position: object = None) -> "asyncio.Future[list[Appended]]":
        """The next part is said."""
        self.last_seq += 1
        self.appended.append(decode_event(events[0].body).type)
        self.parts -= self.helps
        future: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        future.set_result([Appended(events[0].id, self.last_seq, False)])
        return future

    async def sleep(self, seconds: float) -> None:
        """Ends after a while."""
        self.slept.append(seconds)
        await asyncio.sleep(0)
        if len(self.slept) == self.interrupted_at:
            self.last_seq += 1
        if len(self.slept) == 40:
            raise asyncio.CancelledError

    async def run(self) -> list[str]:
        """What is appended."""
        source = IdleSource(
            self,  # type: ignore[arg-type]
            folded=lambda: self.last_seq,
            waiting=lambda: {("kpi", str(part)): 1 for part in range(self.parts)},
            watermark_ms=lambda: 1,
            idle_ms=200,
            sleep=self.sleep,
        )
        with pytest.raises(asyncio.CancelledError):
            await source.run()
        return self.appended


async def test_all_that_waits_is_said_part_by_part() -> None:
    """After a while without an event the parts follow each other closely, until nothing waits."""
    world = World(5)
    assert await world.run() == ["system.idle"] * 5
    assert world.slept[:6] == [0.2, 0.02, 0.02, 0.02, 0.02, 0.02]


async def test_where_nothing_waits_nothing_is_appended() -> None:
    """A server at rest writes nothing."""
    assert await World(0).run() == []


async def test_what_does_not_help_is_not_done_again() -> None:
    """Where an event brings nothing forward, another kind has to come first."""
    world = World(3)
    world.helps = False
    assert await world.run() == ["system.idle"]


async def test_an_event_begins_the_wait_anew() -> None:
    """While events come, none is added to them."""
    world = World(3)
    world.interrupted_at = 1
    await world.run()
    assert world.slept[:3] == [0.2, 0.2, 0.02]

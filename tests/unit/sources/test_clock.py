"""The clock: how far every source has been read, in the log, about once a second."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from fire22.core import codes
from fire22.core.errors import Fire22Error, StorageError
from fire22.core.event import EncodedEvent, decode_event
from fire22.log.base import Appended, Group, SourcePosition
from fire22.sources.base import SourceStatus
from fire22.sources.clock import ClockSource, clock_event
from tests.support import virtual_time

NOW_MS = 1_767_225_600_000


@dataclass
class OneSource:
    """A source that says what it is told to."""

    state: SourceStatus

    def status(self) -> SourceStatus:
        return self.state

    def check(self) -> None:
        raise AssertionError("not checked here")

    async def run(self) -> None:
        raise AssertionError("not run here")


@dataclass
class MemoryLog:
    """A log that keeps its events in a list."""

    events: list[EncodedEvent] = field(default_factory=list)
    error: Fire22Error | None = None
    last_seq: int = 0

    def append(
        self, events: Sequence[EncodedEvent], position: SourcePosition | None = None
    ) -> "asyncio.Future[list[Appended]]":
        future: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        if self.error is not None:
            future.set_exception(self.error)
        else:
            self.events += events
            future.set_result([])
        return future

    async def groups(self, after: int, *, events_max: int = 5000) -> list[Group]:
        raise AssertionError("not read here")

    async def source_position(self, source: str) -> str | None:
        raise AssertionError("not read here")

    def on_group(self, wake: object) -> None:
        raise AssertionError("not watched here")


def clock(*states: SourceStatus, now_ms: int = NOW_MS) -> ClockSource:
    """A clock over sources in these states."""
    sources = [OneSource(state) for state in states]
    return ClockSource(MemoryLog(), sources, now_ms=lambda: now_ms, source_timeout_s=30)


def read(ago_ms: int, *, name: str = "a", recorded: bool = False) -> SourceStatus:
    """A source that has been read up to so long ago."""
    return SourceStatus(name, NOW_MS - ago_ms, recorded=recorded)


@pytest.mark.parametrize(
    ("states", "behind_ms"),
    [
        ([], 0),
        ([read(5)], 5),
        ([read(5), read(700), read(20)], 700),
        ([read(5), read(29_999)], 29_999),
        ([read(5), read(30_000)], 5),
        ([read(5), SourceStatus("new")], 5),
        ([read(90_000), read(5, recorded=True)], None),
        ([read(7), read(90_000, recorded=True)], 7),
        ([read(5, recorded=True)], None),
        ([SourceStatus("new")], None),
    ],
)
def test_watermark(states: list[SourceStatus], behind_ms: int | None) -> None:
    """Time goes on as far as the slowest source that is not silent; recorded ones bring their own."""
    assert clock(*states).watermark_ms() == (0 if behind_ms is None else NOW_MS - behind_ms)


def test_silent_sources_are_named() -> None:
    """A source that is left out is flagged."""
    states = [read(5), read(31_000, name="slow"), SourceStatus("new"), read(99_000, name="old", recorded=True)]
    assert clock(*states).silent() == ["slow", "new"]


def test_event() -> None:
    """The event says the time once, by its id too, so that a repeat is known."""
    encoded = clock_event(NOW_MS)
    event = decode_event(encoded.body)
    assert (event.type, event.at_ms, event.id) == ("system.clock", NOW_MS, f"clock:{NOW_MS}")


def test_runs_on() -> None:
    """Each second says how far it is, never goes back, says the time where nothing moved, and outlives a full disk."""

    async def main() -> None:
        log, failures = MemoryLog(), list[str]()
        source = OneSource(SourceStatus("a"))
        loop = asyncio.get_running_loop()
        steps: list[int | Fire22Error | None] = [
            0,
            1_000,
            1_000,
            500,
            StorageError(codes.STORAGE_FULL, "Full."),
            None,
            3_000,
        ]

        def step() -> None:
            change = steps.pop(0) if steps else None
            if isinstance(change, Fire22Error):
                log.error = change
                change = 2_000
            else:
                log.error = None
            if change is not None:
                source.state = SourceStatus("a", change)

        async def sleep(seconds: float) -> None:
            assert seconds == 1.0
            await asyncio.sleep(seconds)
            step()

        step()
        began_s = loop.time()
        running = asyncio.create_task(
            ClockSource(
                log,
                [source],
                now_ms=lambda: 10_000,
                failed=lambda error: failures.append(error.code.name),
                sleep=sleep,
            ).run()
        )
        await asyncio.sleep(20)
        running.cancel()
        assert loop.time() - began_s == 20
        told = [decode_event(event.body) for event in log.events]
        assert [each.at_ms for each in told if each.type == "system.clock"] == [1_000, 3_000]
        assert {each.at_ms for each in told if each.type == "system.now"} == {10_000}
        assert failures == ["storage_full"]

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([SourceStatus("new")], ["system.now"]),
        ([read(90_000)], ["system.now"]),
        ([read(5)], ["system.clock"]),
        ([], ["system.clock"]),
        ([SourceStatus("new", recorded=True)], []),
        ([read(5, recorded=True)], []),
    ],
)
def test_says_the_time_where_it_cannot_say_how_far_it_is(states: list[SourceStatus], told: list[str]) -> None:
    """Before a book is read, and while it cannot be, the log knows the time; a recorded book has its own."""

    async def main() -> None:
        log = MemoryLog()
        await ClockSource(log, [OneSource(state) for state in states], now_ms=lambda: NOW_MS).tell()
        assert [decode_event(event.body).type for event in log.events] == told

    asyncio.run(main())


def test_ends_with_the_log() -> None:
    """A log that is lost for good ends the clock, and with it the server."""

    async def main() -> None:
        log = MemoryLog(error=StorageError(codes.STORAGE_CORRUPT, "Broken."))
        with pytest.raises(StorageError, match="storage_corrupt"):
            await ClockSource(log, [OneSource(SourceStatus("a", 5_000))], now_ms=lambda: 10_000).run()

    virtual_time.run(main())

"""The embedded feed: what is true of the file alone; `tests/contract/test_feed.py` has what is true of every feed."""

from pathlib import Path

import pytest

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.log.maintenance import check
from tests.contract.test_feed import HOUR, Speaker, append, trim_all
from tests.support.storage import opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "flows.db"


async def test_reading_costs_what_is_read(path: Path) -> None:
    """A range near the end of a long feed is found by the index, not by looking at everything before it."""
    async with opened(path) as storage:
        speaker = Speaker()
        for _ in range(40):
            futures = [storage.feed.append(speaker.batch(("a", 1))) for _ in range(50)]
            await futures[-1]
        steps: list[int] = []
        for after in (5, 1990):
            await storage.feed.read("a", after, after + 5, records_max=5)
            reader = storage.feed._reader
            assert reader is not None
            count = [0]

            def step(count: list[int] = count) -> bool:
                count[0] += 1
                return False

            reader.set_progress_handler(step, 10)
            assert len(await storage.feed.read("a", after, after + 5, records_max=5)) == 5
            reader.set_progress_handler(None)
            steps.append(count[0])
        assert steps[1] <= steps[0] + 3, steps


async def test_a_damaged_record_is_named(path: Path) -> None:
    """Damage in an old record is not shown to a client as a message; it is named."""
    async with opened(path) as storage:
        speaker = Speaker()
        await append(storage.feed, *(speaker.batch(("a", 1)) for _ in range(3)))
        await storage.writer.submit(
            lambda connection: connection.execute("UPDATE feed SET body = zeroblob(20) WHERE offset = 2") and None
        )
        with pytest.raises(StorageError, match=r"feed 2 is damaged: .*--repair") as damaged:
            await storage.feed.read("a", 0, 3, records_max=5)
        assert damaged.value.code is codes.STORAGE_CORRUPT


async def test_a_trimmed_file_is_whole(path: Path) -> None:
    """The full check counts what is kept, and misses nothing that retention has taken."""
    async with opened(path) as storage:
        speaker = Speaker()
        await append(storage.feed, *(speaker.batch(("a", 2), at_ms=n * HOUR) for n in range(20)))
        await trim_all(storage.feed, before_ms=12 * HOUR, bytes_max=1 << 40, records_max=5)
    assert check(path).records == 8

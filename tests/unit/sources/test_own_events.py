"""What the server itself appends."""

from pathlib import Path

from fire22.core.errors import Fire22Error
from fire22.core.event import encode_event
from fire22.sources.clock import clock_event, now_event
from fire22.sources.own_events import append
from tests.support.storage import event, opened


async def test_an_id_that_is_taken_does_not_end_the_server(tmp_path: Path) -> None:
    """Another event under the id that a clock would have costs that clock alone; it is said, and the next one comes."""
    failures: list[Fire22Error] = []
    async with opened(tmp_path / "flows.db") as storage:
        await storage.log.append([encode_event(event("clock:5")), encode_event(event("now:5"))])
        assert await append(storage.log, clock_event(5), failures.append) == 0
        assert await append(storage.log, now_event(5), failures.append) == 0
        assert [each.code.name for each in failures] == ["id_conflict"] * 2
        assert await append(storage.log, clock_event(6), failures.append) == 3

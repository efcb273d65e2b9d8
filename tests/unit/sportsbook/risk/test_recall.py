"""What the risk rules share: rows that are forgotten, the course of a price."""

from random import Random

import pytest

from fire22.core.scope import common_path
from fire22.sportsbook.risk.recall import Change, Course, Fading, Memory


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_forgotten_alike_before_and_after_a_restart(seed: int) -> None:
    """A row goes when it was not touched for the span, whether it was put again meanwhile or taken from storage."""
    random = Random(seed)
    memory = Memory("row", Fading, 10)
    known: dict[str, int] = {}
    for now in range(400):
        key = random.choice("abcdef")
        row = memory.get(key)
        if row is None:
            known[key] = now - random.randrange(8)
            memory.add(key, Fading(known[key]))
        elif random.random() < 0.3:
            memory.pop(key)
            del known[key]
        else:
            known[key] = row.touched_ms = max(row.touched_ms, now)
            memory.touch(key, row)
        if random.random() < 0.1:
            stored = [(name, value) for name, value in memory.table.take_changed() if value is not None]
            memory.loaded()
            assert len(stored) <= len(known) + 6
        memory.expire(now)
        known = {name: at for name, at in known.items() if at > now - 10}
        assert {name: each.touched_ms for name, each in memory.table} == known, f"seed {seed}, at {now}"


def test_the_price_at_a_time() -> None:
    """A change holds until its time; after the last one the price is the one of now, which the course does not know."""
    course = Course(30, [Change(10, 2.0), Change(30, 1.9)])
    assert [course.before(at_ms) for at_ms in (0, 9, 10, 29, 30)] == [2.0, 2.0, 1.9, 1.9, None]


@pytest.mark.parametrize(
    ("paths", "shared"),
    [
        (["/M1/A1", "/M1/A2"], "/M1"),
        (["/M1", "/M10"], "/"),
        (["/M1/A1", "/"], "/"),
        (["/M1/A1", "/M1/A1"], "/M1/A1"),
        (["/M1/A1/S1", "/M1/A1"], "/M1/A1"),
        (["/M2"], "/M2"),
    ],
)
def test_the_deepest_path_over_all(paths: list[str], shared: str) -> None:
    """Paths are compared agent by agent, not letter by letter."""
    assert common_path(paths) == shared

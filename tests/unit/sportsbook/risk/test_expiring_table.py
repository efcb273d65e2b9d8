"""Rows that are forgotten some time after they were last touched."""

from random import Random

import pytest

from fire22.sportsbook.risk.expiring_table import ExpiringRow, ExpiringTable


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_forgotten_alike_before_and_after_a_restart(seed: int) -> None:
    """A row goes when it was not touched for the span, whether it was put again meanwhile or taken from storage."""
    random = Random(seed)
    memory = ExpiringTable("row", ExpiringRow, 10)
    known: dict[str, int] = {}
    for now in range(400):
        key = random.choice("abcdef")
        row = memory.get(key)
        if row is None:
            known[key] = now - random.randrange(8)
            memory.add(key, ExpiringRow(known[key]))
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

"""The journal of a flow: rows that are stored seldom, and are whole again at any restart."""

from random import Random

import pytest

from fire22.flows.base import Table
from fire22.flows.journal import Journal

Row = tuple[int, list[int]]  # up to which group it is stored, and numbers
Done = list[tuple[str, int]]


class Lists:
    """Lists of numbers by name, kept by way of a journal of at most so many bytes."""

    def __init__(self, bytes_max: int) -> None:
        self.rows: Table[Row] = Table("rows", Row)  # type: ignore[arg-type]
        self.journal: Journal[Done] = Journal("journal", Done, bytes_max)

    def append(self, name: str, number: int) -> None:
        """Add a number to a list."""
        stored, numbers = self.rows.get(name) or (0, [])
        self.rows.keep(name, (stored, [*numbers, number]))

    def flush(self, done: Done) -> None:
        """End a group."""
        for number, dropped in self.journal.add(done):
            for name, _ in dropped:
                stored, numbers = self.rows.get(name) or (0, [])
                if stored < number:
                    self.rows.put(name, (self.journal.last, numbers))

    def loaded(self) -> None:
        """Go on from what is stored."""
        for number, done in self.journal.loaded():
            for name, each in done:
                if (self.rows.get(name) or (0, []))[0] < number:
                    self.append(name, each)


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_finds_everything(seed: int) -> None:
    """After any group the rows and the journal that are stored make what there was; later rows are alike."""
    random = Random(seed)
    lists, other = Lists(60), Lists(60)
    storage: dict[tuple[str, str], bytes] = {}
    expected: dict[str, list[int]] = {}
    rows = 0
    for group in range(200):
        done = [(random.choice("abcdefgh"), random.randrange(1000)) for _ in range(random.randrange(1, 6))]
        for name, number in done:
            expected.setdefault(name, []).append(number)
            lists.append(name, number)
            other.append(name, number)
        lists.flush(done)
        other.flush(done)
        for one, table in ((lists.rows, "rows"), (lists.journal.table, "journal")):
            changed = one.take_changed()
            rows += len(changed) if table == "rows" else 0
            assert changed == (other.rows if table == "rows" else other.journal.table).take_changed(), f"seed {seed}"
            for key, value in changed:
                storage.pop((table, key), None)
                if value is not None:
                    storage[table, key] = value
        assert sum(len(value) for (table, _), value in storage.items() if table == "journal") <= 60 + 2 * len(storage)
        if random.random() < 0.1:
            lists = Lists(60)
            for (table, key), value in sorted(storage.items()):
                (lists.rows if table == "rows" else lists.journal.table).load(key, value)
            lists.loaded()
            assert {name: (lists.rows.get(name) or (0, []))[1] for name in expected} == expected, f"group {group}"
    assert 0 < rows < 300

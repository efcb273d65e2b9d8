"""Rows that are objects of a flow, stored by way of a journal."""

from random import Random

import pytest

from fire22.flows.kept import Kept, KeptRows

Stored = dict[tuple[str, str], bytes]


class Tallies:
    """Lists of numbers by name, in rows that are kept by way of a journal of at most so many bytes."""

    def __init__(self, bytes_max: int) -> None:
        self.rows: KeptRows[list[int]] = KeptRows("tally", list[int], bytes_max)
        self.tallies: dict[str, Kept[list[int]]] = {}

    def add(self, name: str, number: int) -> None:
        """Add a number to a list."""
        kept = self.tallies.get(name)
        if kept is None:
            kept = self.tallies[name] = Kept(name, [])
        kept.row.append(number)
        if kept.group != self.rows.group:
            self.rows.put(kept)

    def drop(self, name: str) -> None:
        """Forget a list."""
        kept = self.tallies.pop(name, None)
        if kept is not None:
            self.rows.remove(kept)

    def flush(self, storage: Stored) -> list[list[tuple[str, bytes | None]]]:
        """End a group; what it stores."""
        self.rows.flush()
        changed = [table.take_changed() for table in self.rows.tables]
        for table, rows in zip(self.rows.tables, changed, strict=True):
            for key, value in rows:
                storage.pop((table.name, key), None)
                if value is not None:
                    storage[table.name, key] = value
        return changed

    def load(self, storage: Stored, random: Random) -> None:
        """Go on from what is stored, whatever its order."""
        rows = list(storage.items())
        random.shuffle(rows)
        for (name, key), value in rows:
            next(table for table in self.rows.tables if table.name == name).load(key, value)
        self.rows.restore(self._restored)

    def _restored(self, key: str, row: list[int]) -> Kept[list[int]]:
        assert key not in self.tallies
        self.tallies[key] = Kept(key, row)
        return self.tallies[key]


@pytest.mark.parametrize("seed", range(8))
def test_a_restart_finds_every_row(seed: int) -> None:
    """After any group what is stored makes what there was, and what is stored later is the same byte for byte."""
    random = Random(seed)
    whole, broken = Tallies(100), Tallies(100)
    expected: dict[str, list[int]] = {}
    stored, other = Stored(), Stored()
    for group in range(300):
        for _ in range(random.randrange(6)):
            name, number = random.choice("abcdefghij"), random.randrange(1000)
            if random.random() < 0.3:
                expected.pop(name, None)
                whole.drop(name)
                broken.drop(name)
            else:
                expected.setdefault(name, []).append(number)
                whole.add(name, number)
                broken.add(name, number)
        assert whole.flush(stored) == broken.flush(other), f"group {group}"
        assert stored == other
        if random.random() < 0.2:
            broken = Tallies(100)
            broken.load(other, random)
            assert {name: kept.row for name, kept in broken.tallies.items()} == expected, f"group {group}"


def test_what_changes_all_the_time_is_one_row_a_group() -> None:
    """However many rows a group changes, storage writes one; a row that has come to rest is stored by itself."""
    tallies, storage = Tallies(2_000), Stored()
    tallies.add("rests", 1)
    alone: list[str] = []
    for group in range(100):
        for name in "abcdefgh":
            tallies.add(name, group)
            del tallies.tallies[name].row[:-3]
        rows, groups = tallies.flush(storage)
        alone += [key for key, _ in rows]
        assert len([value for _, value in groups if value is not None]) == 1
    assert alone == ["rests"]


def test_who_is_removed_and_comes_again_in_one_group_is_there() -> None:
    """The later object of a key holds, and no trace of the former one comes back."""
    tallies, storage = Tallies(10), Stored()
    tallies.add("a", 1)
    tallies.flush(storage)
    tallies.drop("a")
    tallies.add("a", 2)
    for number in range(20):
        tallies.add("b", number)
        tallies.flush(storage)
    again = Tallies(10)
    again.load(storage, Random(1))
    assert again.tallies["a"].row == [2]

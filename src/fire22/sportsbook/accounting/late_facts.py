"""What came late for days that are over, until their periods are restated."""

from collections.abc import Iterator

from msgspec import Struct

from fire22.flows.base import Table


class LateFact(Struct, frozen=True, gc=False, array_like=True):
    """What came late for a cell: whether its balance moved, the week it lies in, and since which watermark it waits."""

    moved: bool
    week: int
    after: int
    since_ms: int


class LateFacts:
    """By day and account, until somebody takes them."""

    def __init__(self) -> None:
        self.table: Table[LateFact] = Table("late", LateFact)

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[tuple[int, str, LateFact]]:
        """Day, account and what came late, in the order of their keys."""
        for key, late in sorted(self.table):
            day, _, account = key.partition("|")
            yield int(day), account, late

    @property
    def since_ms(self) -> int:
        """The watermark of which the periods that are over are complete, while something waits."""
        return min(late.since_ms for _, late in self.table)

    def add(self, day: int, account: str, *, moved: bool, week: tuple[int, int], before_ms: int) -> None:
        """A fact came late.

        Args:
            moved: whether it moved the balance.
            week: the day's: its first day and the first one after it.
            before_ms: the watermark without it.
        """
        key = f"{day}|{account}"
        known = self.table.get(key)
        first, after = week
        if known is not None:
            moved, before_ms = moved or known.moved, known.since_ms
        self.table.put(key, LateFact(moved, first, after, before_ms))

    def take(self, day: int, account: str) -> None:
        """What came late is in what was made of it."""
        self.table.pop(f"{day}|{account}")

    def take_day(self, day: int) -> None:
        """The same of all of a day."""
        for key in sorted(key for key, _ in self.table if key.startswith(f"{day}|")):
            self.table.pop(key)

    def rename(self, before: str, account: str) -> None:
        """An account has another key."""
        for day, known, late in list(self):
            if known == before:
                self.take(day, before)
                self.table.put(f"{day}|{account}", late)

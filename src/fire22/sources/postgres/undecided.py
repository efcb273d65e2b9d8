"""Which changes may be read, and in which order: pure logic, fed by the reader.

A number is drawn when a row is written, and seen when its transaction commits: at a number that is missing, a
transaction may still be under way, or it was rolled back. Whoever drew a number holds a lock of the table of changes
until its transaction is over. So once none of those is left who held that lock when the number was known to be drawn,
it is decided: the row is there in the next reading, or never (`Limit`).

Transactions are told whole, in the order of their last numbers (`Transactions`). One that saw another's commit has
drawn a later number than all of that one's, so causes come before what they cause. The order of transaction ids would
not do: an id may be drawn long before the rows are written.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from fire22.core.outbox import BookChange

Holders = frozenset[tuple[int, str]]  # server process and transaction
PREPARED: Final = 0  # the process of a transaction that waits for its commit in two phases


class Limit:
    """Up to which number it is decided whether there is a change.

    Args:
        upto: what is decided already.

    Attributes:
        is_waiting: whether holders of the lock are waited for.
    """

    def __init__(self, upto: int) -> None:
        self.upto = upto
        self._barrier = 0
        self._holders: Holders = frozenset()
        self.is_waiting = False

    def seen(self, numbers: Iterable[int]) -> None:
        """Take numbers that were read, in their order: without a gap, nothing has to be waited for."""
        for number in numbers:
            if number > self.upto + 1:
                break
            self.upto = max(self.upto, number)

    def wait(self, last: int, holders: Holders) -> None:
        """Wait for the decision about all numbers up to one.

        Args:
            last: the highest number that was drawn; asked before the holders were.
            holders: of the lock.
        """
        self._barrier, self._holders, self.is_waiting = last, holders, True

    def left(self, holders: Holders) -> None:
        """Who holds the lock now; asked before a reading begins, which then sees what they have committed.

        A transaction that is prepared for a commit in two phases has no process and another name than before, so every
        prepared one is waited for.
        """
        if self.is_waiting:
            self._holders = (self._holders & holders) | {each for each in holders if each[0] == PREPARED}
            if not self._holders:
                self.upto = max(self.upto, self._barrier)
                self.is_waiting = False


class Row(Struct, frozen=True, gc=False):
    """A change and the transaction that it is of."""

    xid: str
    change: BookChange


class Transactions:
    """Changes that were read and not told yet."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def first(self) -> int | None:
        """The lowest number that is not told."""
        return min(self._rows, default=None)

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; one that is here already stays."""
        for row in rows:
            self._rows.setdefault(row.change.number, row)

    def whole(self, upto: int) -> dict[str, list[BookChange]]:
        """The transactions that have no row here after a number, in the order of their last numbers."""
        found: dict[str, list[BookChange]] = {}
        for number in sorted(self._rows):
            row = self._rows[number]
            found.setdefault(row.xid, []).append(row.change)
        whole = {xid: changes for xid, changes in found.items() if changes[-1].number <= upto}
        return dict(sorted(whole.items(), key=lambda each: each[1][-1].number))

    def told(self, changes: Iterable[BookChange]) -> None:
        """Forget changes."""
        for change in changes:
            del self._rows[change.number]

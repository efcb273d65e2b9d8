"""The copy of a book: takes its changes in order, or the whole of it, each in one transaction with the position.

Every source delivers row changes; the domain makes rows of them and puts those of whole transactions in the order that
the triggers need (`core/outbox.py`, `Domain`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from fire22.core.outbox import BookChange, Domain, RowChange, Unusable, Values, read_layout
from fire22.sources.mirror.file import MirrorFile, Position
from fire22.sources.mirror.rows import MirrorRows, with_was
from fire22.sources.mirror.seconds import SecondRows
from fire22.sources.mirror.whole import Scan, WholeBook


class Mirror(MirrorFile):
    """The copy of one book; see `MirrorFile`.

    Args:
        ambiguous: the tables here of whose key the book may have several rows.
    """

    def __init__(self, path: Path, domain: Domain, ambiguous: Collection[str] = ()) -> None:
        super().__init__(path, domain)
        if self.renewed and ambiguous:  # the whole book is compared
            self.position = msgspec.structs.replace(self.position, generation="")
        self._seconds = SecondRows(self.connection, ambiguous)
        self._rows = MirrorRows(self, domain, self._seconds)
        self._whole = WholeBook(self, self._rows, self._seconds, domain)
        self._columns = {need.name: need.columns for need in domain.outbox.tables}

    def apply(self, changes: list[BookChange], position: Position) -> None:
        """Take what was written to the book, in whole transactions, and the position after it."""
        made: list[RowChange | Unusable] = []
        for change in changes:
            if change.op == "layout":
                self.layout = read_layout(str(change.new[0]))
                continue
            made += self.made(change)
        with self.transaction():
            for each in self._domain.order(made):
                self._rows.take(each)
            self.store(position)

    def fill(
        self,
        scan: Scan,
        position: Position,
        at: str,
        *,
        tell: bool,
        first_fact: int,
        layout: str,
        clock: Sequence[BookChange] = (),
        undone: Iterable[BookChange] = (),
        layouts: Sequence[tuple[int, str]] = (),
    ) -> None:
        """Copy the whole book as it was at a position.

        Args:
            tell: whether the rows that are there are told (the domain's bootstrap).
            first_fact: no fact has a number below this.
            layout: of the changes after the position.
            clock: the latest change up to the position that says the book's time, where it is known.
            undone: the changes after the position, which the book has already and nobody has told, the last one first.
            layouts: from which change on the columns are which.
        """
        with self.transaction():
            self.create(first_fact)
            self.set_now(at)
            for _ in self._whole.bring(scan, at, sweep=False):
                pass
            at_first = read_layout(layout) if layout else self._columns
            known = [(number, read_layout(text)) for number, text in layouts]
            later: Counter[Values] = Counter()
            for change in undone:
                if change.source:
                    self.layout = next((one for number, one in reversed(known) if number < change.number), at_first)
                    later.update(self._whole.undo(self._laid(change)))
            self.layout = at_first
            self._whole.wind_back(scan, at, later)
            for said in clock:
                for row in self._domain.rows(said):
                    self._rows.take(row, silent=True)
            self.add_triggers(tell=tell)
            self.put("filled", "1")
            self.store(position)
        self.fresh = False

    def compare(self, scan: Scan, position: Position, at: str, *, layout: str) -> int:
        """Compare the whole book with the mirror, and apply each difference; gives how many there were."""
        with self.transaction():
            self.set_now(at)
            differences = sum(1 for _ in self._whole.bring(scan, at, sweep=True))
            self.layout = read_layout(layout) if layout else self._columns
            self.store(position)
        return differences

    def differences(self, scan: Scan, at: str) -> Iterator[RowChange | Unusable]:
        """What `compare` would apply; nothing stays."""
        with self.tried():
            yield from self._whole.bring(scan, at, sweep=True)

    def made(self, change: BookChange) -> list[RowChange | Unusable]:
        """What a change of the book means for the rows here."""
        laid = self._laid(change)
        return with_was(self._domain, laid, self._domain.rows(laid), self._seconds.tables)

    def _laid(self, change: BookChange) -> BookChange:
        """The values in the order that the domain knows."""
        wanted, there = self._columns.get(change.source), self.layout.get(change.source)
        if wanted is None or there is None:
            return change
        if wanted == there:
            count = len(wanted)
            if len(change.new) == count:
                return change
            return BookChange(
                change.number, change.at, change.source, change.op, change.old[:count], change.new[:count]
            )
        places = [there.index(name) if name in there else -1 for name in wanted]

        def laid(values: Values) -> Values:
            return tuple(values[place] if 0 <= place < len(values) else None for place in places)

        return msgspec.structs.replace(change, old=laid(change.old), new=laid(change.new))

"""A whole book is brought into a mirror, or compared with it.

A row that is as the mirror has it already is passed over. So a first copy, triggers that were missing, a book that was
put back from a backup and a repair are one operation. It reads table by table and remembers keys in a temporary file,
so that a large book needs little memory.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import cast

import msgspec

from fire22.core.outbox import BookChange, Domain, RowChange, Unusable, Values
from fire22.sources.mirror.file import MirrorFile
from fire22.sources.mirror.rows import CLOCK, MirrorRows
from fire22.sources.mirror.statements import Statements

# Reads every row of a book's table in one consistent reading: (table, its columns) → rows as the book has them.
Scan = Callable[[str, tuple[str, ...]], Iterable[Values]]


class WholeBook:
    """What reads all rows of a book."""

    def __init__(self, file: MirrorFile, rows: MirrorRows, domain: Domain) -> None:
        self._connection = file.connection
        self._rows = rows
        self._domain = domain
        self._columns = {need.name: need.columns for need in domain.outbox.tables}

    def bring(self, scan: Scan, at: str, *, sweep: bool) -> Iterator[RowChange | Unusable]:
        """Bring in every row of the book that is another here; with `sweep` also take out what is gone."""
        for table in self._domain.tables:
            statements = self._rows.tables[table.name]
            self._connection.execute("DROP TABLE IF EXISTS temp.seen")
            columns = ", ".join(f"k{place}" for place in range(table.keys))
            self._connection.execute(f"CREATE TEMP TABLE seen({columns}, PRIMARY KEY({columns})) WITHOUT ROWID")
            for source in self._domain.sources(table.name):
                for values in scan(source, self._columns[source]):
                    change = BookChange(0, at, source, "insert", (), values)
                    for made in self._domain.rows(change, table.name):
                        if isinstance(made, RowChange):
                            self._connection.execute(statements.see, made.key)
                            if not self._connection.changes():
                                made = self._second(source, made)
                        if self._rows.take(made, again=True):
                            yield made
            if sweep:
                yield from self._swept(statements, at)

    def undo(self, change: BookChange) -> Counter[Values]:
        """Make a row as it was before a change, without a fact: there are no triggers yet.

        Returns:
            The clocks that the change has brought (1) and taken away (-1).
        """
        before = change.old if change.op != "insert" else ()
        if change.op != "delete":
            gone = msgspec.structs.replace(change, op="delete", old=change.new, new=())
            for each in self._domain.rows(gone):
                self._rows.take(each, silent=True)
        if before:
            for each in self._domain.rows(msgspec.structs.replace(change, op="insert", old=(), new=before)):
                self._rows.take(each, silent=True)
        clocks: Counter[Values] = Counter()
        for values, count in ((change.new, 1), (change.old, -1)):
            if values and change.source in self._domain.sources(CLOCK):
                one = msgspec.structs.replace(change, op="insert", old=(), new=values)
                for row in self._clocks(one):
                    clocks[row] += count
        return clocks

    def wind_back(self, scan: Scan, at: str, later: Counter[Values]) -> None:
        """Make the clock the latest of those that no change after the position has brought."""
        if not later:
            return
        statements = self._rows.tables[CLOCK]
        self._connection.execute(statements.clear)
        for row in self._earlier(scan, at, later):
            self._rows.take(RowChange(at, CLOCK, row[: statements.table.keys], row), silent=True)

    def _earlier(self, scan: Scan, at: str, later: Counter[Values]) -> Iterator[Values]:
        """The clocks of the book without those that came later, and with those that left later."""
        for source in self._domain.sources(CLOCK):
            for values in scan(source, self._columns[source]):
                for row in self._clocks(BookChange(0, at, source, "insert", (), values)):
                    if later[row] > 0:
                        later[row] -= 1
                    else:
                        yield row
        yield from (row for row, count in later.items() if count < 0)

    def _clocks(self, change: BookChange) -> list[Values]:
        """The row of the mirror's clock that a row of the book is."""
        made = self._domain.rows(change, CLOCK)
        return [each.row for each in made if isinstance(each, RowChange) and each.row is not None]

    def _second(self, source: str, change: RowChange) -> RowChange | Unusable:
        """A row of the book whose key another row has too: it is not to take that row's place, unless both are alike.

        A row that is written anew by INSERT OR REPLACE looks the same to a trigger, where the book holds the key to be
        unique; where it does not, `MirrorRows.take` knows a second row when it is inserted.
        """
        kept = self._rows.kept(change)
        if kept is None or change.row is None or kept == change.row or change.table == CLOCK:
            return change
        return self._rows.second(change, source)

    def _swept(self, statements: Statements, at: str) -> Iterator[RowChange]:
        if statements.table.name == CLOCK:
            return
        gone = self._connection.execute(statements.unseen).fetchall()
        for key in gone:
            change = RowChange(at, statements.table.name, cast("Values", key), None)
            if self._rows.take(change):
                yield change

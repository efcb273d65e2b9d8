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
from fire22.sources.mirror.rows import CLOCK, MirrorRows, with_was
from fire22.sources.mirror.seconds import SecondRows
from fire22.sources.mirror.statements import Statements

# Reads every row of a book's table in one consistent reading: (table, its columns) → rows as the book has them.
Scan = Callable[[str, tuple[str, ...]], Iterable[Values]]


class WholeBook:
    """What reads all rows of a book."""

    def __init__(self, file: MirrorFile, rows: MirrorRows, seconds: SecondRows, domain: Domain) -> None:
        self._connection = file.connection
        self._rows = rows
        self._seconds = seconds
        self._domain = domain
        self._columns = {need.name: need.columns for need in domain.outbox.tables}

    def bring(self, scan: Scan, at: str, *, sweep: bool) -> Iterator[RowChange | Unusable]:
        """Bring in every row of the book that is another here; with `sweep` also take out what is gone."""
        for table in self._domain.tables:
            statements = self._rows.tables[table.name]
            self._seconds.clear(table.name)
            self._connection.execute("DROP TABLE IF EXISTS temp.seen")
            columns = ", ".join(f"k{place}" for place in range(table.keys))
            self._connection.execute(f"CREATE TEMP TABLE seen({columns}, PRIMARY KEY({columns})) WITHOUT ROWID")
            for source in self._domain.sources(table.name):
                for made in self._made(scan, source, table.name, at):
                    if isinstance(made, RowChange):
                        self._connection.execute(statements.see, made.key)
                        if table.name in self._seconds.tables and made.row is not None:
                            self._seconds.add(table.name, made.key, made.row)
                            continue
                        if not self._connection.changes():
                            made = self._second(source, made)
                    if self._rows.take(made, again=True):
                        yield made
                yield from self._several(source, table.name, at)
            if sweep:
                yield from self._swept(statements, at)

    def _made(self, scan: Scan, source: str, table: str, at: str) -> Iterator[RowChange | Unusable]:
        """What each row of a book's table is in one of ours."""
        for values in scan(source, self._columns[source]):
            yield from self._domain.rows(BookChange(0, at, source, "insert", (), values), table)

    def _several(self, source: str, table: str, at: str) -> Iterator[RowChange | Unusable]:
        """Of each key the row that was the first stays it; where it is gone, the next one is."""
        if table not in self._seconds.tables:
            return
        for key in self._seconds.keys(table):
            first = self._rows.kept(RowChange(at, table, key, None))
            if first is None or not self._seconds.remove(table, key, first):
                first = self._seconds.next(table, key)
                change = RowChange(at, table, key, first, fresh=True)
                if self._rows.take(change, again=True):
                    yield change
            for other in self._seconds.of(table, key):
                second = self._rows.second(RowChange(at, table, key, other), source)
                if other != first and self._rows.take(second, again=True):
                    yield second

    def undo(self, change: BookChange) -> Counter[Values]:
        """Make a row as it was before a change, without a fact: there are no triggers yet.

        Returns:
            The clocks that the change has brought (1) and taken away (-1).
        """
        before = change.old if change.op != "insert" else ()
        if change.op != "delete":
            gone = msgspec.structs.replace(change, op="delete", old=change.new, new=())
            for each in with_was(self._domain, gone, self._domain.rows(gone), self._seconds.tables):
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
        if kept is None or change.row is None or change.table == CLOCK:
            return change
        if kept == change.row:
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

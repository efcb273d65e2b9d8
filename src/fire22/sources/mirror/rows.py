"""One row of a mirror is made as it shall be.

A row that is as the mirror has it already is passed over, and a row that cannot be made or written costs only itself:
it becomes an outbox row of the type `UNUSABLE`, and the reader makes a dead letter of it.
"""

from collections.abc import Collection
from typing import Final, cast

import apsw
import msgspec

from fire22.core.outbox import BookChange, Domain, RowChange, Unusable, Values
from fire22.sources.mirror.file import MirrorFile
from fire22.sources.mirror.seconds import SecondRows
from fire22.sources.mirror.statements import Statements

UNUSABLE: Final = "system.row_rejected"
CLOCK: Final = "clock"  # a table of one row
_FATAL: Final = (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NoMemError, apsw.BusyError)


class MirrorRows:
    """The rows of one mirror."""

    def __init__(self, file: MirrorFile, domain: Domain, seconds: SecondRows) -> None:
        self._seconds = seconds
        self._file = file
        self._connection = file.connection
        self._execute = file.connection.cursor().execute
        self.tables = {table.name: Statements(table) for table in domain.tables}

    def take(self, change: RowChange | Unusable, *, again: bool = False, silent: bool = False) -> bool:
        """Make a row as it shall be; whether anything is otherwise now.

        Args:
            again: the row is not being written, but looked at: what cannot be used is told once.
            silent: what cannot be used is not told.
        """
        self._file.set_now(change.at)
        if isinstance(change, Unusable):
            return not silent and self._refuse(change, again=again)
        if change.table in self._seconds.tables and not again:
            return self._take_of_several(change, silent=silent)
        return self._take(change, again=again, silent=silent)

    def _take_of_several(self, change: RowChange, *, silent: bool) -> bool:
        """Make a row as it shall be, of whose key the book may have several (`seconds.py` has the table of cases)."""
        seconds, table, row, was = self._seconds, change.table, change.row, change.was
        at = change.before or change.key
        arrives = (change.fresh and not change.replaces) or was == ()
        if arrives and row is not None:
            return self._arrive(change, silent=silent)
        kept = self._first(self.tables[table], at)
        if row is None:
            if was == ():  # by the mapping's condition it was no row of ours
                return False
            if was and seconds.remove(table, at, was):
                return False
            return self._leave(change, at, silent=silent)
        if was and kept != was:
            if change.before is None and seconds.replace(table, at, was, row):
                return False
            if change.before is not None and seconds.remove(table, at, was):
                return self._arrive(change, silent=silent)
        if change.before is None:
            return self._take(change, silent=silent)
        if self.kept(change) is None:
            moved = self._take(change, silent=silent)
            following = seconds.next(table, at)
            if following is not None:
                self._take(RowChange(change.at, table, at, following, fresh=True), silent=silent)
            return moved
        left = self._leave(change, at, silent=silent)
        return self._arrive(change, silent=silent) or left

    def _arrive(self, change: RowChange, *, silent: bool) -> bool:
        """A row comes to a key."""
        kept = self.kept(change)
        if kept is None or change.row is None:
            return self._take(msgspec.structs.replace(change, before=None), silent=silent)
        self._seconds.add(change.table, change.key, change.row)
        if silent or kept == change.row:
            return False
        return self._refuse(self.second(change, change.table), again=False)

    def _leave(self, change: RowChange, at: Values, *, silent: bool) -> bool:
        """The first row of a key leaves it; the next one takes its place."""
        following = self._seconds.next(change.table, at)
        return self._take(RowChange(change.at, change.table, at, following), silent=silent)

    def _take(self, change: RowChange, *, again: bool = False, silent: bool = False) -> bool:
        statements = self.tables[change.table]
        try:
            if change.fresh and change.row is not None and change.before is None:
                self._make_room(statements, change)
                self._execute(statements.insert_new, (*change.row, statements.seal.of(change.row)))
                if self._connection.changes():
                    return True
            kept = self.kept(change)
            if change.row is None:
                if kept is not None:
                    self._execute(statements.delete, change.key)
                return kept is not None
            if change.before is not None:
                if kept is None and self._first(statements, change.before) is not None:
                    self._make_room(statements, change)
                    sealed = (*change.row, statements.seal.of(change.row))
                    self._execute(statements.move, (*sealed, *change.before))
                    return True
                self._execute(statements.delete, change.before)
            # Of a clock the latest time holds, in whichever order its rows are read.
            if kept is not None and (kept == change.row or (change.table == CLOCK and kept > change.row)):
                return False
            self._make_room(statements, change, kept)
            if kept is None:
                self._execute(statements.insert, (*change.row, statements.seal.of(change.row)))
            else:
                self._execute(*statements.update(kept, change.row))
        except apsw.Error as error:
            if isinstance(error, _FATAL):
                raise
            why = Unusable(change.at, change.table, "/".join(map(str, change.key)), "", "", f"cannot be used: {error}")
            return not silent and self._refuse(why, again=again)
        return True

    def second(self, change: RowChange, table: str) -> Unusable:
        """A row of the book whose key another row has too: it is not to take that row's place.

        Args:
            table: as it is called in what is told.
        """
        keys = self.tables[change.table].table
        columns = "/".join(keys.columns[: keys.keys])
        key = "/".join(map(str, change.key))
        return Unusable(change.at, table, key, "", "", f"has another row with the same {columns}")

    def kept(self, change: RowChange) -> Values | None:
        """The row that has a change's key now. 1 and 1.0 in it are the same value, 1 and '1' are not."""
        return self._first(self.tables[change.table], change.key)

    def _first(self, statements: Statements, key: Values) -> Values | None:
        # To its end: a statement that is not finished would keep the file's read lock.
        rows = self._execute(statements.select, key).fetchall()
        return statements.seal.checked(cast("Values", rows[0])) if rows else None

    def _make_room(self, statements: Statements, change: RowChange, kept: Values | None = None) -> None:
        """INSERT OR REPLACE takes a row away that has the same unique value, and no trigger of the book sees that.

        Args:
            kept: the row that is to be another; whose unique values have room already.
        """
        row = change.row
        if row is None or not statements.unique:
            return
        if kept is not None and all(kept[place] == row[place] for place in statements.unique):
            return
        found = set(self._execute(statements.others, statements.others_of(row)).fetchall())
        if found:
            for key in sorted(found - {change.before}, key=str):
                self._execute(statements.delete, key)

    def _refuse(self, change: Unusable, *, again: bool) -> bool:
        reason = change.reason
        where = (change.table, change.key)
        if again:
            known = self._execute("SELECT why FROM fire22_refused WHERE source = ? AND key = ?", where).get
            if known == reason:
                return False
        self._execute("INSERT OR REPLACE INTO fire22_refused VALUES(?, ?, ?)", (*where, reason))
        data = msgspec.json.encode(
            {
                "table": change.table,
                "key": change.key,
                "column": change.column,
                "value": change.value,
                "reason": reason,
            }
        ).decode()
        self._execute("INSERT INTO fire22_outbox(type, timestamp, data) VALUES(?, ?, ?)", (UNUSABLE, change.at, data))
        return True


def with_was(
    domain: Domain, change: BookChange, made: list[RowChange | Unusable], tables: Collection[str]
) -> list[RowChange | Unusable]:
    """What a change of the book means, with the row as it was before, for tables of whose key the book may have several
    rows."""
    if not tables or change.op not in ("update", "delete"):
        return made
    earlier = msgspec.structs.replace(change, op="insert", old=(), new=change.old)

    def told(one: RowChange | Unusable) -> RowChange | Unusable:
        if isinstance(one, Unusable) or one.table not in tables:
            return one
        before = domain.rows(earlier, one.table)
        was = () if not before else before[0].row if isinstance(before[0], RowChange) else None
        return msgspec.structs.replace(one, was=was)

    return [told(one) for one in made]

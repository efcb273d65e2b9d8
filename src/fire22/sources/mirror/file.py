"""A copy of a book in the shape that the domain wants, in a SQLite file of our own, whose triggers write the facts.

Every source delivers row changes; the domain makes rows of them and puts those of whole transactions in the order that
the triggers need (`core/outbox.py`, `Domain`). Rows, facts and the source's position become durable in one transaction
of the mirror, before a fact goes into the log and before anything is trimmed in the book. So the death of any process,
at any moment, loses no change and tells none twice: what is not in the mirror is read again, what is not in the log is
told again under the same number.

A row that is as the mirror has it already is passed over. That makes the whole book comparable with the mirror at any
time (`compare`): a first copy, triggers that were missing, a book that was put back from a backup and a repair are one
operation. It reads table by table and remembers keys in a temporary file, so that a large book needs little memory.

A row that cannot be made or written costs only itself: it becomes an outbox row of the type `UNUSABLE`, and the reader
makes a dead letter of it.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import apsw
import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import (
    OUTBOX_SQL,
    BookChange,
    Domain,
    MirrorTable,
    RowChange,
    Unusable,
    Value,
    Values,
    layout,
    quoted,
    read_layout,
)

UNUSABLE: Final = "system.row_rejected"
STATES: Final = """
CREATE TABLE fire22_state(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE fire22_now(at TEXT NOT NULL);
INSERT INTO fire22_now VALUES('1970-01-01T00:00:00.000Z');
CREATE TABLE fire22_refused(source TEXT, key TEXT, why TEXT, PRIMARY KEY(source, key)) WITHOUT ROWID;
"""
CLOCK: Final = "clock"  # a table of one row
CACHE_KIB: Final = 16_384

# Reads every row of a book's table in one consistent reading: (table, its columns) → rows as the book has them.
Scan = Callable[[str, tuple[str, ...]], Iterable[Values]]


class Fact(NamedTuple):
    """A row of the mirror's outbox; texts as bytes."""

    number: int
    type: bytes
    timestamp: bytes
    data: bytes
    category: bytes
    priority: int


class Position(Struct, frozen=True):
    """How far a book has been read.

    Args:
        number: of the last change that the mirror has.
        witness: what that change said; empty where it was not seen.
        generation: of the installation that the mirror has been compared for.
    """

    number: int = 0
    witness: str = ""
    generation: str = ""


class Mirror:
    """The copy of one book.

    Args:
        path: its file; created where there is none.
        domain: what is made of the book's rows.

    Raises:
        BookError: `book_mirror`, the file is damaged.
    """

    def __init__(self, path: Path, domain: Domain) -> None:
        self.path = path
        self._domain = domain
        self._tables = {table.name: _Statements(table) for table in domain.tables}
        self._connection = apsw.Connection(str(path))
        try:
            self._connection.set_busy_timeout(5_000)
            self._connection.execute(
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-{CACHE_KIB}"
            )
            self.fresh = self._begin()
        except (apsw.CorruptError, apsw.NotADBError) as error:
            self._connection.close()
            raise damaged(path) from error
        except BaseException:
            self._connection.close()
            raise
        self._now = ""
        self.position = self._stored()
        stored = self._state("layout")
        self.layout = read_layout(stored) if stored else {}
        self._columns = {need.name: need.columns for need in domain.outbox.tables}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def filled(self) -> bool:
        """Whether the book has been copied."""
        return self._state("filled") == "1"

    def apply(self, changes: list[BookChange], position: Position) -> None:
        """Take what was written to the book, in whole transactions, and the position after it."""
        made: list[RowChange | Unusable] = []
        for change in changes:
            if change.op == "layout":
                self.layout = read_layout(str(change.new[0]))
                continue
            made += self._domain.rows(self._laid(change))
        with self._transaction():
            for each in self._domain.order(made):
                self._take(each)
            self._store(position)

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
        with self._transaction():
            self._create(first_fact)
            self._set_now(at)
            for _ in self._copied(scan, at, sweep=False):
                pass
            at_first = read_layout(layout) if layout else self._columns
            known = [(number, read_layout(text)) for number, text in layouts]
            later: Counter[Values] = Counter()
            for change in undone:
                if change.source:
                    self.layout = next((one for number, one in reversed(known) if number < change.number), at_first)
                    laid = self._laid(change)
                    self._undo(laid)
                    for each, count in self._clocks(laid):
                        later[each] += count
            self.layout = at_first
            self._wind_back(scan, at, later)
            for said in clock:
                for row in self._domain.rows(said):
                    self._take(row, silent=True)
            self._with_triggers(tell=tell)
            self._put("filled", "1")
            self._store(position)

    def compare(self, scan: Scan, position: Position, at: str, *, layout: str) -> int:
        """Compare the whole book with the mirror, and apply each difference; gives how many there were."""
        with self._transaction():
            self._set_now(at)
            differences = sum(1 for _ in self._copied(scan, at, sweep=True))
            self.layout = read_layout(layout) if layout else self._columns
            self._store(position)
        return differences

    def differences(self, scan: Scan, at: str) -> Iterator[RowChange | Unusable]:
        """What `compare` would apply; nothing stays."""
        with self._transaction(), self._undone():
            yield from self._copied(scan, at, sweep=True)

    def made(self, change: BookChange) -> list[RowChange | Unusable]:
        """What a change of the book means for the rows here."""
        return self._domain.rows(self._laid(change))

    def preview(self, changes: list[BookChange]) -> list[Fact]:
        """The facts that `apply` would make; nothing stays."""
        after = self.numbers()[1]
        made = [row for change in changes for row in self._domain.rows(self._laid(change))]
        with self._transaction(), self._undone():
            for each in self._domain.order(made):
                self._take(each)
            return self.facts(after, len(changes) * 1000 + 1000)

    def facts(self, after: int, rows_max: int) -> list[Fact]:
        """The next facts."""
        found = self._connection.execute(
            "SELECT number, CAST(type AS BLOB), CAST(timestamp AS BLOB), CAST(data AS BLOB), "
            "CAST(category AS BLOB), priority FROM fire22_outbox WHERE number > ? ORDER BY number LIMIT ?",
            (after, rows_max),
        )
        return [Fact(*values) for values in cast("Iterator[tuple[Any, ...]]", found)]

    def numbers(self) -> tuple[int, int]:
        """Up to which fact the outbox was trimmed, and the highest number ever given."""
        last = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'fire22_outbox'").get
        return int(self._state("trimmed_to") or 0), int(last) if isinstance(last, int) else 0

    def trim(self, upto: int) -> None:
        """Delete facts that are in the log."""
        with self._transaction():
            self._connection.execute("DELETE FROM fire22_outbox WHERE number <= ?", (upto,))
            self._put("trimmed_to", str(upto))

    # Its tables.

    def _begin(self) -> bool:
        """Whether the file is new, or its tables are those of another version."""
        there = {str(row[0]) for row in self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if "fire22_state" not in there:
            with self._transaction():
                self._connection.execute(STATES)
                self._connection.execute(OUTBOX_SQL)
            return True
        if not self.filled:
            return True
        if self._state("tables") != self._signature():
            return True
        self._renew_triggers()
        return False

    def _signature(self) -> str:
        shapes = [(each.name, each.ddl) for each in self._domain.tables]
        needs = layout(self._domain.outbox.tables).decode()
        return msgspec.json.encode([shapes, self._domain.indexes, self._domain.outbox.name, needs]).decode()

    def _create(self, first_fact: int) -> None:
        """Empty tables; the facts that are there and their numbers stay."""
        for kind, name in self._made():
            self._connection.execute(f"DROP {kind} IF EXISTS {quoted(name)}")
        for table in self._domain.tables:
            self._connection.execute(table.ddl)
        for sql in self._domain.indexes:
            self._connection.execute(sql)
        self._connection.execute("DELETE FROM fire22_refused")
        last = self.numbers()[1]
        if first_fact - 1 > last:
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'fire22_outbox'")
            self._connection.execute("INSERT INTO sqlite_sequence VALUES('fire22_outbox', ?)", (first_fact - 1,))
            self._put("trimmed_to", str(first_fact - 1))
        self._put("tables", self._signature())

    def _made(self) -> list[tuple[str, str]]:
        rows = self._connection.execute(
            "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'trigger')"
            " AND name NOT IN ('fire22_state', 'fire22_now', 'fire22_refused', 'fire22_outbox')"
            " AND name NOT LIKE 'sqlite_%' ORDER BY type DESC"
        )
        return [(str(kind), str(name)) for kind, name in rows.fetchall()]

    def _with_triggers(self, *, tell: bool) -> None:
        for sql in self._domain.bootstrap if tell else ():
            self._connection.execute(sql)
        for sql in self._domain.triggers:
            self._connection.execute(sql)
        self._put("triggers", self._told())

    def _told(self) -> str:
        return msgspec.json.encode(self._domain.triggers).decode()

    def _renew_triggers(self) -> None:
        """Another version has other triggers over the same tables."""
        if self._state("triggers") == self._told():
            return
        with self._transaction():
            for kind, name in self._made():
                if kind == "trigger":
                    self._connection.execute(f"DROP TRIGGER {quoted(name)}")
            self._with_triggers(tell=False)

    # Its rows.

    def _laid(self, change: BookChange) -> BookChange:
        """The values in the order that the domain knows."""
        wanted, there = self._columns.get(change.source), self.layout.get(change.source)
        if wanted is None or there is None:
            return change
        if wanted == there:
            count = len(wanted)
            old, new = change.old[:count], change.new[:count]
            return BookChange(change.number, change.at, change.source, change.op, old, new)
        places = [there.index(name) if name in there else -1 for name in wanted]

        def laid(values: Values) -> Values:
            return tuple(values[place] if 0 <= place < len(values) else None for place in places)

        return msgspec.structs.replace(change, old=laid(change.old), new=laid(change.new))

    def _copied(self, scan: Scan, at: str, *, sweep: bool) -> Iterator[RowChange | Unusable]:
        """Bring in every row of the book that is another here; with `sweep` also take out what is gone."""
        for table in self._domain.tables:
            statements = self._tables[table.name]
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
                                made = self._second(statements, source, made)
                        if self._take(made, again=True):
                            yield made
            if sweep:
                yield from self._swept(statements, at)

    def _second(self, statements: "_Statements", source: str, change: RowChange) -> RowChange | Unusable:
        """A row of the book whose key another row has too: it is not to take that row's place, unless both are alike.

        Only a reading of the whole book knows that both are there: a row that is written anew by INSERT OR REPLACE
        looks the same to a trigger.
        """
        kept = self._connection.execute(statements.select, change.key).fetchone()
        if kept is None or change.row is None or _same(kept, change.row) or change.table == CLOCK:
            return change
        key = "/".join(map(str, change.key))
        columns = "/".join(statements.table.columns[: statements.table.keys])
        return Unusable(change.at, source, key, "", "", f"has another row with the same {columns}")

    def _swept(self, statements: "_Statements", at: str) -> Iterator[RowChange]:
        if statements.table.name == CLOCK:
            return
        gone = self._connection.execute(statements.unseen).fetchall()
        for key in gone:
            change = RowChange(at, statements.table.name, cast("Values", key), None)
            if self._take(change):
                yield change

    def _undo(self, change: BookChange) -> None:
        """As the row was before a change; there are no triggers yet."""
        before = change.old if change.op != "insert" else ()
        if change.op != "delete":
            gone = msgspec.structs.replace(change, op="delete", old=change.new, new=())
            for each in self._domain.rows(gone):
                self._take(each, silent=True)
        if before:
            for each in self._domain.rows(msgspec.structs.replace(change, op="insert", old=(), new=before)):
                self._take(each, silent=True)

    def _clocks(self, change: BookChange) -> Iterator[tuple[Values, int]]:
        """The clocks that a change brought (1) and took away (-1)."""
        for values, count in ((change.new, 1), (change.old, -1)):
            if values and change.source in self._domain.sources(CLOCK):
                one = msgspec.structs.replace(change, op="insert", old=(), new=values)
                for made in self._domain.rows(one, CLOCK):
                    if isinstance(made, RowChange) and made.row is not None:
                        yield made.row, count

    def _wind_back(self, scan: Scan, at: str, later: "Counter[Values]") -> None:
        """Make the clock the latest of those that no change after the position has brought."""
        if not later:
            return
        statements = self._tables[CLOCK]
        self._connection.execute(f"DELETE FROM {quoted(CLOCK)}")
        for source in self._domain.sources(CLOCK):
            for values in scan(source, self._columns[source]):
                for made in self._domain.rows(BookChange(0, at, source, "insert", (), values), CLOCK):
                    if isinstance(made, RowChange) and made.row is not None:
                        if later[made.row] > 0:
                            later[made.row] -= 1
                        else:
                            self._take(made, silent=True)
        for row, count in later.items():
            if count < 0:  # the book does not have it any more
                self._take(RowChange(at, CLOCK, row[: statements.table.keys], row), silent=True)

    def _take(self, change: RowChange | Unusable, *, again: bool = False, silent: bool = False) -> bool:
        """Make a row as it shall be; whether anything is otherwise now.

        Args:
            again: the row is not being written, but looked at: what cannot be used is told once.
            silent: what cannot be used is not told.
        """
        self._set_now(change.at)
        if isinstance(change, Unusable):
            return not silent and self._refuse(change, again=again)
        statements = self._tables[change.table]
        try:
            kept = self._connection.execute(statements.select, change.key).fetchone()
            if change.row is None:
                if kept is not None:
                    self._connection.execute(statements.delete, change.key)
                return kept is not None
            if change.before is not None:
                if kept is None and self._connection.execute(statements.select, change.before).fetchone() is not None:
                    self._make_room(statements, change)
                    self._connection.execute(statements.move, (*change.row, *change.before))
                    return True
                self._connection.execute(statements.delete, change.before)
            if kept is not None and (_same(kept, change.row) or (change.table == CLOCK and kept > change.row)):
                return False  # of a clock the latest time holds, in whichever order its rows are read
            self._make_room(statements, change)
            self._connection.execute(statements.insert if kept is None else statements.update, change.row)
        except apsw.Error as error:
            if isinstance(error, apsw.FullError | apsw.IOError | apsw.CorruptError | apsw.NoMemError | apsw.BusyError):
                raise
            why = Unusable(change.at, change.table, "/".join(map(str, change.key)), "", "", f"cannot be used: {error}")
            return not silent and self._refuse(why, again=again)
        return True

    def _make_room(self, statements: "_Statements", change: RowChange) -> None:
        """INSERT OR REPLACE takes a row away that has the same unique value, and no trigger of the book sees that."""
        if change.row is None:
            return
        found: set[Values | None] = set()
        for place, sql in statements.others:
            if change.row[place] is not None:
                found.update(self._connection.execute(sql, (change.row[place], *change.key)).fetchall())
        for key in sorted(found - {change.before}, key=str):
            self._connection.execute(statements.delete, key or ())

    def _refuse(self, change: Unusable, *, again: bool) -> bool:
        reason = change.reason
        where = (change.table, change.key)
        if again:
            known = self._connection.execute("SELECT why FROM fire22_refused WHERE source = ? AND key = ?", where).get
            if known == reason:
                return False
        self._connection.execute("INSERT OR REPLACE INTO fire22_refused VALUES(?, ?, ?)", (*where, reason))
        data = msgspec.json.encode(
            {
                "table": change.table,
                "key": change.key,
                "column": change.column,
                "value": change.value,
                "reason": reason,
            }
        ).decode()
        sql = "INSERT INTO fire22_outbox(type, timestamp, data) VALUES(?, ?, ?)"
        self._connection.execute(sql, (UNUSABLE, change.at, data))
        return True

    def _set_now(self, at: str) -> None:
        if at != self._now:
            self._connection.execute("UPDATE fire22_now SET at = ?", (at,))
            self._now = at

    # Its state.

    def _store(self, position: Position) -> None:
        self._put("position", msgspec.json.encode(position).decode())
        self._put("layout", msgspec.json.encode(self.layout).decode())
        self.position = position

    def _stored(self) -> Position:
        text = self._state("position")
        return msgspec.json.decode(text, type=Position) if text else Position()

    def _state(self, key: str) -> str:
        found = self._connection.execute("SELECT value FROM fire22_state WHERE key = ?", (key,)).get
        return str(found) if found is not None else ""

    def _put(self, key: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO fire22_state VALUES(?, ?)", (key, value))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._now = ""
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _undone(self) -> Iterator[None]:
        self._connection.execute("SAVEPOINT looked")
        try:
            yield
        finally:
            self._now = ""
            self._connection.execute("ROLLBACK TO looked; RELEASE looked")


def damaged(path: Path) -> BookError:
    """The mirror cannot be read."""
    return BookError(
        codes.BOOK_GAP,
        f"{path.name}, the copy of the book in the data folder, is damaged: put it back from a backup.",
    )


def _same(kept: tuple[Value, ...], row: Values) -> bool:
    """Whether a row is as it was; 1 and 1.0 are the same, 1 and '1' are not."""
    return kept == row


class _Statements:
    """The SQL of a mirror's table."""

    def __init__(self, table: MirrorTable) -> None:
        self.table = table
        named = {name: f"?{place}" for place, name in enumerate(table.columns, 1)}
        keys = table.columns[: table.keys]
        is_key = " AND ".join(f"{quoted(name)} IS {named[name]}" for name in keys)
        name = quoted(table.name)
        columns = ", ".join(quoted(each) for each in table.columns)
        self.select = f"SELECT {columns} FROM {name} WHERE {is_key}"
        self.delete = f"DELETE FROM {name} WHERE {is_key}"
        derived = {each: _named(sql, named) for each, sql in table.derived.items()}
        into = ", ".join(quoted(each) for each in (*table.columns, *derived))
        self.insert = f"INSERT INTO {name}({into}) VALUES({', '.join((*named.values(), *derived.values()))})"
        moved = " OR ".join(f"{quoted(each)} IS NOT {named[each]}" for each in table.follows) or "0"
        sets = [f"{quoted(each)} = {named[each]}" for each in table.columns[table.keys :]]
        sets += [
            f"{quoted(each)} = CASE WHEN {moved} THEN {sql} ELSE {quoted(each)} END" for each, sql in derived.items()
        ]
        if not sets:
            sets = [f"{quoted(keys[0])} = {named[keys[0]]}"]
        self.update = f"UPDATE {name} SET {', '.join(sets)} WHERE {is_key}"
        was = " AND ".join(f"{quoted(each)} IS ?{len(table.columns) + place}" for place, each in enumerate(keys, 1))
        moved_keys = [f"{quoted(each)} = {named[each]}" for each in keys]
        self.move = f"UPDATE {name} SET {', '.join((*moved_keys, *sets))} WHERE {was}"
        chosen = ", ".join(quoted(each) for each in keys)
        same = " AND ".join(f"{quoted(each)} IS ?{place}" for place, each in enumerate(keys, 2))
        self.others = [
            (table.columns.index(each), f"SELECT {chosen} FROM {name} WHERE {quoted(each)} = ?1 AND NOT ({same})")
            for each in table.unique
        ]
        marks = ", ".join("?" for _ in keys)
        self.see = f"INSERT OR IGNORE INTO temp.seen VALUES({marks})"
        matched = " AND ".join(f"s.k{place} IS t.{quoted(each)}" for place, each in enumerate(keys))
        self.unseen = (
            f"SELECT {', '.join(f't.{quoted(each)}' for each in keys)} FROM {name} t"
            f" WHERE NOT EXISTS (SELECT 1 FROM temp.seen s WHERE {matched})"
        )


def _named(sql: str, named: dict[str, str]) -> str:
    """Put the numbered parameters in the place of the named ones, the longest names first."""
    for name in sorted(named, key=len, reverse=True):
        sql = sql.replace(f":{name}", named[name])
    return sql

"""Reads a PostgreSQL book: what its triggers copied in the book's own transactions.

Whether anything was written is asked every few milliseconds, by the sequence of the numbers: that looks at no rows.
Each reading is one snapshot; `undecided.py` says what of it may be told, and in which order. A transaction is held in
memory whole.

Rejected: NOTIFY in each transaction, which lets all writers wait for one lock at their commit.
"""

import contextlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, Final

import msgspec

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import BookChange, OutboxSchema, TableNeed, Value, Values, layout, quoted
from fire22.sources.base import Reader, Standing
from fire22.sources.mirror.file import Fact
from fire22.sources.postgres.connection import book_errors, connect, title
from fire22.sources.postgres.install import LOST, exists, missing, read_meta
from fire22.sources.postgres.tables import find, find_all
from fire22.sources.postgres.undecided import Holders, Limit, Row, Transactions

FETCH_ROWS: Final = 10_000
TRIM_ROWS: Final = 5000
LOOK_S: Final = 0.2  # for which what was found of the triggers holds
OPEN_S: Final = 5.0  # in which those must be over who write when the book is opened
WAIT_S: Final = 0.01
QUIET_S: Final = 2.0  # for which a moment is waited for at which nothing is undecided
INTEGER_MAX: Final = 2**63

_ROW: Final = 'xid::text, number, to_char(at, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\'), source, op, old::text, new::text'
# Of whoever draws numbers; of ours, which trims, no number is.
_HOLDERS: Final = (
    "SELECT coalesce(pid, 0), virtualtransaction FROM pg_catalog.pg_locks WHERE locktype = 'relation'"
    " AND relation = 'fire22.changes'::regclass AND mode = 'RowExclusiveLock' AND granted"
    " AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
)
_LAST: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM fire22.changes_number_seq"
_STATE: Final = (
    f"SELECT ({_LAST}), (SELECT string_agg(value, ' ' ORDER BY key) FROM fire22.meta"  # nosec B608  # all is constant
    " WHERE key IN ('generation', 'book_id'))"
)


class PostgresBook:
    """A book in a PostgreSQL database; a `Database`.

    Args:
        dsn: its address, such as `postgresql://reader@host/book`; a password belongs into a password file.
        schema: which triggers it must have.
    """

    def __init__(self, dsn: str, schema: OutboxSchema) -> None:
        self._dsn = dsn
        self._schema = schema
        self.title = title(dsn)
        self.name = f"postgresql:{self.title}"[:200]
        run = "fire22 install-triggers --dsn ADDRESS"
        self.again = f"{run} --again"
        self.anew = f"`{run} --uninstall` and then `{run}`, and begin with an empty data folder"

    def errors(self) -> AbstractContextManager[None]:
        """Says what the server reports with our own codes."""
        return book_errors(self._dsn)

    def check(self) -> bool:
        """Whether there is a book with just these triggers; none brings its own clock."""
        with self.errors():
            connection = connect(self._dsn)
            try:
                if not exists(connection):
                    raise _not_installed(self.title)
                find_all(connection, self._schema.tables)
                meta, wanted = read_meta(connection), self._schema
                told = layout(wanted.tables).decode(), wanted.name, str(wanted.version)
                if (meta["layout"], meta["schema"], meta["version"]) != told:
                    message = f"The triggers of {self.title} are not those of the mapping and this version"
                    again = "run `fire22 install-triggers --dsn ADDRESS` (with `--mapping` where it has one)"
                    raise BookError(codes.BOOK_SCHEMA, f"{message}; {again}.")
                return False
            finally:
                connection.close()

    def open(self) -> Reader:
        """Open the book."""
        return PostgresReader(self._dsn, self._schema)


class PostgresReader:
    """An open PostgreSQL book; a `Reader`."""

    recorded = False
    has_former = False
    file: tuple[int, int] | None = None

    def __init__(self, dsn: str, schema: OutboxSchema) -> None:
        self._dsn = dsn
        self._wanted = schema
        self._connection = connect(dsn)
        try:
            if not exists(self._connection):
                raise _not_installed(title(dsn))
            meta = read_meta(self._connection)
            self.book_id = meta["book_id"]
            self.tells_all = meta["bootstrap"] == "1"
            self._generation = ""
            self._trimmed = int(meta["trimmed_to"])
            self._limit = Limit(self._decided())
            self._read_to = 0  # all rows up to here that are not told are in `_pending`
            self._after = -1
            self._pending = Transactions()
            self._state: object = None
            self._missing: list[str] = []
            self._missing_until = 0.0
            self._quiet_until = 0.0
            self._cursors = 0
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Let the book go."""
        self._connection.close()

    def changed(self) -> bool:
        """Whether numbers were drawn, or the triggers installed, since the last call; or something is undecided."""
        state = self._one(_STATE)
        changed = state != self._state or state[0] > self._read_to or len(self._pending) > 0
        self._state = state
        return changed

    def replaced(self) -> bool:
        """Whether the triggers were removed, or there is another book now."""
        if not exists(self._connection):
            return True
        return read_meta(self._connection).get("book_id") != self.book_id

    def missing(self) -> list[str]:
        """The tables whose changes go unseen."""
        now = time.monotonic()
        if now >= self._missing_until:
            self._missing_until = now + LOOK_S
            self._missing = missing(self._connection, self._wanted)
            lost = read_meta(self._connection).get("generation", "").startswith(LOST)
            if lost and not self._missing:
                self._missing = ["a column was missing for a time"]
        return self._missing

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """One consistent reading of the book."""
        if self._limit.is_waiting:
            self._limit.left(self._holders())
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")

    def standing(self) -> Standing:
        """How the changes stand. A new generation is told in a moment at which nothing is undecided, where there is
        one: the whole book is then as its last change left it."""
        meta = read_meta(self._connection)
        generation = meta.get("generation", "")
        if self._generation and generation != self._generation and not self._is_quiet():
            generation = self._generation
        self._generation = generation
        return Standing(
            book_id=meta.get("book_id", ""),
            generation=generation,
            layout=meta.get("layout", ""),
            trimmed_to=int(meta["trimmed_to"]),
            trimmed_fact=int(meta["trimmed_fact"]),
            last=self._limit.upto if self._last() >= self._limit.upto else self._last(),
            empty=meta.get("empty") == "1",
        )

    def _is_quiet(self) -> bool:
        """Whether this reading has no change beyond what is decided; or the book has not been so for long."""
        last = self._last()
        if last > self._limit.upto and not self._limit.is_waiting:
            self._limit.wait(last, self._holders())
        now = time.monotonic()
        self._quiet_until = self._quiet_until or now + QUIET_S
        [beyond] = self._one("SELECT EXISTS (SELECT 1 FROM fire22.changes WHERE number > %s)", self._limit.upto)
        if beyond and now < self._quiet_until:
            return False
        self._quiet_until = 0.0
        return True

    # Rows.

    def change(self, number: int) -> BookChange | None:
        """A change that is still there."""
        found = self._rows("WHERE number = %s", number)
        return found[0].change if found else None

    def changes(self, after: int, rows_max: int) -> list[BookChange]:
        """The next whole transactions; more rows than asked for where one of them is larger."""
        if after != self._after:
            self._after, self._read_to, self._pending = after, after, Transactions()
            others = "xid IN (SELECT xid FROM fire22.changes WHERE number > %s)"
            self._pending.add(self._rows(f"WHERE number <= %s AND {others}", after, after))
        told: list[BookChange] = []
        while len(told) < rows_max:
            rows = self._rows("WHERE number > %s ORDER BY number LIMIT %s", self._read_to, FETCH_ROWS)
            numbers = [row.change.number for row in rows]
            self._pending.add(rows)
            self._limit.seen(number for number in numbers if number > self._limit.upto)
            is_more = len(rows) == FETCH_ROWS
            self._read_to = min(self._limit.upto, numbers[-1]) if is_more else self._limit.upto
            whole = self._pending.whole(self._read_to)
            if is_more and whole:  # some go on in what was not read yet
                sql = "SELECT DISTINCT xid::text FROM fire22.changes WHERE number > %s AND xid::text = ANY(%s)"
                for (xid,) in self._connection.execute(sql, (numbers[-1], [*whole])):
                    del whole[str(xid)]
            for changes in whole.values():
                if told and len(told) + len(changes) > rows_max:
                    # Told by the next reading, which reads them once more.
                    return self._tell(told)
                told += changes
                self._pending.told(changes)
            if not is_more or self._read_to < numbers[-1]:
                break
        last = self._last()
        if last > self._limit.upto and not self._limit.is_waiting:
            self._limit.wait(last, self._holders())
        return self._tell(told)

    def _tell(self, changes: list[BookChange]) -> list[BookChange]:
        if changes:
            self._after = changes[-1].number
        return changes

    def changes_back(self, after: int) -> Iterator[BookChange]:
        """All changes of the transactions that end after a number, the last one first."""
        ended = "SELECT *, max(number) OVER (PARTITION BY xid) AS ends FROM fire22.changes"
        sql = f"SELECT {_ROW} FROM ({ended}) c WHERE ends > %s ORDER BY ends DESC, number DESC"  # nosec B608  # all is constant
        for row in self._stream(sql, (after,)):
            yield _row(row).change

    def last_clock(self, upto: int) -> BookChange | None:
        """No such book brings its own clock."""
        return None

    def layouts(self) -> list[tuple[int, str]]:
        """From which change on the columns are which."""
        rows = self._rows("WHERE op = 'layout' ORDER BY number")
        return [(row.change.number, str(row.change.new[0])) for row in rows]

    def unique(self, table: str) -> list[frozenset[str]]:
        """The primary key and the unique indexes of a table."""
        found, _ = find(self._connection, TableNeed(table, ()))
        if found is None:
            return []
        rows = self._connection.execute(
            "SELECT array_agg(lower(a.attname)) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a"
            " ON a.attrelid = i.indrelid AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])"
            " WHERE i.indrelid = %s::oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL"
            " AND i.indexprs IS NULL GROUP BY i.indexrelid",
            (found.oid,),
        )
        return [frozenset(map(str, columns)) for (columns,) in rows]

    def scan(self, table: str, columns: tuple[str, ...]) -> Iterator[Values]:
        """Every row of a table of the book."""
        with book_errors(self._dsn):  # it is read while the mirror is written
            [found] = find_all(self._connection, (TableNeed(table, columns),))
            values = ", ".join(f"to_jsonb(t.{quoted(each)})" for each in found.columns)
            for (row,) in self._stream(f"SELECT jsonb_build_array({values})::text FROM {found.sql} t"):  # nosec B608  # names are quoted
                yield _values(row)

    def _rows(self, where: str, *arguments: int) -> list[Row]:
        sql = f"SELECT {_ROW} FROM fire22.changes {where}"  # nosec B608  # all is constant
        return [_row(each) for each in self._connection.execute(sql, arguments or None)]

    def _stream(self, sql: str, arguments: tuple[int, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows that need not fit into memory together."""
        self._cursors += 1
        with self._connection.cursor(f"fire22_{self._cursors}") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute(sql, arguments or None)
            yield from cursor

    def _one(self, sql: str, *arguments: int) -> tuple[Any, ...]:
        found = self._connection.execute(sql, arguments or None).fetchone()
        if found is None:
            raise AssertionError("a row is always there")
        return found

    def _last(self) -> int:
        return int(self._one(_LAST)[0])

    def _holders(self) -> Holders:
        return frozenset((int(pid), str(of)) for pid, of in self._connection.execute(_HOLDERS))

    def _decided(self) -> int:
        """The highest number that was drawn, once it is decided whether it and all before it are there.

        Raises:
            BookError: `book_locked`, somebody has been writing for long; tried again.
        """
        limit = Limit(0)
        limit.wait(self._last(), self._holders())
        until = time.monotonic() + OPEN_S
        while True:
            holders = self._holders()
            limit.left(holders)
            if not limit.is_waiting:
                return limit.upto
            if time.monotonic() > until:
                pids = ", ".join(str(pid) for pid, _ in sorted(holders))
                message = f"A transaction of {title(self._dsn)} has not ended for long (server processes {pids})."
                raise BookError(codes.BOOK_LOCKED, message, temporary=True)
            time.sleep(WAIT_S)

    # Trimming.

    def trim(self, upto: int, fact: int) -> int:
        """Delete changes whose facts are in the log, except the last one and those of transactions that go on."""
        if upto != self._after:
            return self._trimmed
        first = self._pending.first
        end = upto if first is None else min(first, upto)
        while True:
            with self._connection.transaction():
                mine = "SELECT value FROM fire22.meta WHERE key = 'book_id' FOR UPDATE SKIP LOCKED"
                if self._connection.execute(mine).fetchone() != (self.book_id,):
                    return self._trimmed  # the triggers are being installed, or were installed anew
                numbers = f"SELECT number FROM fire22.changes WHERE number < %s ORDER BY number LIMIT {TRIM_ROWS}"  # nosec B608  # all is constant
                sql = f"DELETE FROM fire22.changes WHERE number IN ({numbers})"  # nosec B608  # all is constant
                count = self._connection.execute(sql, (end,)).rowcount
                if count < TRIM_ROWS:
                    for key, value in (("trimmed_to", end), ("trimmed_fact", fact if end == upto else -1)):
                        sql = "UPDATE fire22.meta SET value = %s WHERE key = %s"
                        self._connection.execute(sql, (str(value), key))
            if count < TRIM_ROWS:
                self._trimmed = end
                return end

    # What versions up to 4 left in SQLite books.

    def former_facts(self, after: int, rows_max: int) -> list[Fact]:
        """There are none."""
        return []

    def former_last(self) -> int:
        """There are none."""
        return 0


def _row(row: tuple[Any, ...]) -> Row:
    xid, number, at, source, op, old, new = row
    return Row(xid, BookChange(number, at, source, op, _values(old), _values(new)))


def _number(text: str) -> Value:
    """A number with a fraction: as SQLite keeps it, or as its text where that would be another number."""
    made = float(text)
    return made if Decimal(repr(made)) == Decimal(text) else text


_decoder: Final = msgspec.json.Decoder(list[Any], float_hook=_number)
_value_decoder: Final = msgspec.json.Decoder(Any, float_hook=_number)


def _values(text: str | None) -> Values:
    if text is None:
        return ()
    try:
        given = _decoder.decode(text)
    except msgspec.DecodeError:  # a number that no JSON decoder takes: its digits are what is mapped
        given = [_raw(each) for each in msgspec.json.decode(text, type=list[msgspec.Raw])]
    return tuple([_value(each) for each in given])


def _raw(value: msgspec.Raw) -> Any:
    try:
        return _value_decoder.decode(value)
    except msgspec.DecodeError:
        return bytes(value).decode()


def _value(given: Any) -> Value:
    if given is None or type(given) is str or type(given) is float:
        return given
    if isinstance(given, int):
        return int(given) if -INTEGER_MAX <= given < INTEGER_MAX else str(given)
    return msgspec.json.encode(given).decode()


def _not_installed(name: str) -> BookError:
    return BookError(codes.BOOK_MISSING, f"{name} has no triggers yet; run `fire22 install-triggers --dsn ADDRESS`.")

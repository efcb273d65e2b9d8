"""Reads a SQLite book: what its triggers copied in the book's own transactions, in commit order.

`PRAGMA data_version` changes with every commit of another connection and costs microseconds, so it is asked every few
milliseconds, and only then is anything read. SQLite has one writer at a time, so numbers are in commit order and none
is undecided. It does not say where a transaction ends: some whole ones are read together.

Rejected: hooks (they see the own connection alone), watching the file (a change in shared memory is not seen).
"""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, cast

import apsw

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import CHANGES, OUTBOX, BookChange, OutboxSchema, Values, changes_columns, layout, quoted
from fire22.sources.base import Reader, Standing
from fire22.sources.mirror.file import Fact
from fire22.sources.sqlite.connection import BUSY_TIMEOUT_MS, book_errors, connect
from fire22.sources.sqlite.install import OutboxStatus, former, last_number, missing, read_meta, status

BACK_ROWS: Final = 10_000
TRIM_ROWS: Final = 5000
TRIM_BUSY_MS: Final = 20


class SqliteBook:
    """A book in a SQLite file; a `Database`.

    Args:
        path: the book's file.
        schema: which triggers it must have.
    """

    def __init__(self, path: Path, schema: OutboxSchema) -> None:
        self.path = path
        self.name = f"sqlite:{path.stem}"[:200]  # an event's source is not longer
        self.title = path.name
        run = f"fire22 install-triggers {path}"
        self.again = f"{run} --again"
        self.anew = f"`{run} --uninstall` and then `{run}`, and begin with an empty data folder"
        self._schema = schema

    def errors(self) -> AbstractContextManager[None]:
        """Says what SQLite reports with our own codes."""
        return book_errors(self.path)

    def check(self) -> bool:
        """Whether there is a book with just these triggers; gives whether it brings its own clock."""
        with self.errors():
            _check_file(self.path)
            connection = connect(self.path)
            try:
                outbox = status(connection)
                _check_installed(connection, self.path, outbox)
                wanted = self._schema
                told = read_meta(connection).get("layout"), outbox.schema, outbox.version
                if told != (layout(wanted.tables).decode(), wanted.name, wanted.version):
                    message = f"The triggers of {self.title} are not those of the mapping and this version"
                    again = f"run `fire22 install-triggers {self.path}` (with `--mapping` where it has one)"
                    raise BookError(codes.BOOK_SCHEMA, f"{message}; {again}.")
                return outbox.clock == "recorded"
            finally:
                connection.close()

    def open(self) -> Reader:
        """Open the book."""
        return SqliteReader(self.path, self._schema)


class SqliteReader:
    """An open SQLite book; a `Reader`."""

    def __init__(self, path: Path, schema: OutboxSchema) -> None:
        _check_file(path)
        self._path = path
        self._wanted = schema
        found = path.stat()
        self.file: tuple[int, int] | None = (found.st_dev, found.st_ino)
        self._connection = connect(path)
        try:
            # What is trimmed twice after a loss of power is not read twice: the position is in the mirror.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            outbox = status(self._connection)
            _check_installed(self._connection, path, outbox)
            self.book_id = outbox.book_id
            self.recorded = outbox.clock == "recorded"
            self.tells_all = outbox.bootstrap
            self.has_former = outbox.upgraded
            self._encoding = str(self._connection.pragma("encoding"))
            self._trimmed = outbox.trimmed_to
            self._width = _width(self._connection)
            self._version: object = None
            self._schema: object = None
            self._known: object = None  # for which version of the schema the book's id was looked at
            self._missing: list[str] = []
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Let the book go."""
        self._connection.close()

    def changed(self) -> bool:
        """Whether another connection has committed since the last call."""
        version = self._connection.pragma("data_version")
        changed = version != self._version
        self._version = version
        return bool(changed)

    def replaced(self) -> bool:
        """Whether another file is at the path now, or its triggers were removed and installed anew."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return True
        if (found.st_dev, found.st_ino) != self.file:
            return True
        schema = self._connection.pragma("schema_version")
        if schema != self._known:
            self._known = schema
            outbox = status(self._connection)
            return bool(outbox.book_id) and outbox.book_id != self.book_id
        return False

    def missing(self) -> list[str]:
        """The triggers that are not as they should be; they are looked at when the schema has changed."""
        schema = self._connection.pragma("schema_version")
        if schema != self._schema:
            self._schema = schema
            self._missing = missing(self._connection, self._wanted)
        return self._missing

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """One consistent reading of the book."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def standing(self) -> Standing:
        """How the changes stand."""
        meta = read_meta(self._connection)
        return Standing(
            book_id=meta.get("book_id", ""),
            generation=meta.get("generation", ""),
            layout=meta.get("layout", ""),
            trimmed_to=int(meta["trimmed_to"]),
            trimmed_fact=int(meta.get("trimmed_fact", -1)),
            last=last_number(self._connection, CHANGES),
            empty=meta.get("empty") == "1",
        )

    # Rows.

    def change(self, number: int) -> BookChange | None:
        """A change that is still there."""
        found = self._read("number = ?", number, 1)
        return found[0] if found else None

    def changes(self, after: int, rows_max: int) -> list[BookChange]:
        """The next changes."""
        return self._read("number > ?", after, rows_max)

    def changes_back(self, after: int) -> Iterator[BookChange]:
        """All changes after a number, the last one first."""
        last = last_number(self._connection, CHANGES) + 1
        while found := self._read(f"number > {after} AND number < ?", last, BACK_ROWS, down=True):
            yield from found
            last = found[-1].number

    def last_clock(self, upto: int) -> BookChange | None:
        """The latest change up to a number that says the book's time."""
        found = self._read("op = 'clock' AND number <= ?", upto, 1, down=True)
        return found[0] if found else None

    def layouts(self) -> list[tuple[int, str]]:
        """From which change on the columns are which."""
        return [(each.number, str(each.new[0])) for each in self._read("op = 'layout' AND number > ?", 0, -1)]

    def unique(self, table: str) -> list[frozenset[str]]:
        """The primary key, the rowid and the unique indexes of a table."""
        rows = self._connection.execute("SELECT lower(name) FROM pragma_table_info(?) WHERE pk > 0", (table,))
        found = [frozenset(str(row[0]) for row in rows), frozenset(("rowid",))]
        indexes = self._connection.execute(
            'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (table,)
        ).fetchall()
        for (name,) in indexes:
            columns = self._connection.execute("SELECT lower(name) FROM pragma_index_info(?)", (name,)).fetchall()
            if all(column is not None for (column,) in columns):  # an expression has no name
                found.append(frozenset(str(column) for (column,) in columns))
        return [each for each in found if each]

    def scan(self, table: str, columns: tuple[str, ...]) -> Iterator[Values]:
        """Every row of a table of the book."""
        sql = f"SELECT {_guarded([quoted(name) for name in columns])} FROM {quoted(table)}"  # nosec B608  # names are quoted
        with book_errors(self._path):  # it is read while the mirror is written
            for row in cast("Iterator[Values]", self._connection.execute(sql)):
                yield _decoded(row, self._encoding)

    def _read(self, where: str, number: int, rows_max: int, *, down: bool = False) -> list[BookChange]:
        columns = ", ".join(changes_columns(self._width))
        end = f"FROM fire22_changes WHERE {where} ORDER BY number {'DESC' if down else ''} LIMIT {rows_max}"
        with book_errors(self._path):
            try:
                rows = self._connection.execute(f"SELECT number, at, source, op, {columns} {end}", (number,)).fetchall()
            except UnicodeDecodeError:
                names = ["number", "at", "source", "op", *changes_columns(self._width)]
                found = self._connection.execute(f"SELECT {_guarded(names)} {end}", (number,))
                rows = [_decoded(row, self._encoding) for row in cast("Iterator[Values]", found)]
        return [self._change(cast("tuple[Any, ...]", row)) for row in rows]

    def _change(self, row: tuple[Any, ...]) -> BookChange:
        number, at, source, op = row[:4]
        middle = 4 + self._width
        return BookChange(number, str(at), str(source), str(op), row[4:middle], row[middle:])

    # Trimming.

    def trim(self, upto: int, fact: int) -> int:
        """Delete changes whose facts are in the log, except the last one; not now, when somebody writes or the book is
        read-only."""
        if self._connection.readonly("main"):
            return self._trimmed
        self._connection.set_busy_timeout(TRIM_BUSY_MS)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if read_meta(self._connection).get("book_id") != self.book_id:
                return self._trimmed  # the triggers were installed anew a moment ago: the numbers are others
            if self.has_former:
                self._connection.execute(f"DROP TABLE IF EXISTS {OUTBOX}")
            # As many as do not hold a writer up; the rest follows.
            least = self._connection.execute("SELECT min(number) FROM fire22_changes").get
            end = min(upto, int(str(least)) + TRIM_ROWS) if least is not None else upto
            self._connection.execute("DELETE FROM fire22_changes WHERE number < ?", (end,))
            for key, value in (("trimmed_to", end), ("trimmed_fact", fact if end == upto else -1)):
                self._connection.execute("INSERT OR REPLACE INTO fire22_meta VALUES(?, ?)", (key, str(value)))
            self._connection.execute("COMMIT")
            self._trimmed = end
            self.has_former = False
        except apsw.BusyError:
            pass  # the writer goes first; the rows can wait
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        return self._trimmed

    # What versions up to 4 left.

    def former_facts(self, after: int, rows_max: int) -> list[Fact]:
        """The next facts of the outbox in the book."""
        found = self._connection.execute(
            "SELECT number, CAST(type AS BLOB), CAST(timestamp AS BLOB), CAST(data AS BLOB), "
            "CAST(category AS BLOB), priority FROM fire22_outbox WHERE number > ? ORDER BY number LIMIT ?",
            (after, rows_max),
        )
        return [Fact(*values) for values in cast("Iterator[tuple[Any, ...]]", found)]

    def former_last(self) -> int:
        """The highest number that the outbox in the book has ever given."""
        return last_number(self._connection, OUTBOX)


def _guarded(columns: list[str]) -> str:
    """Texts as bytes, beside each column whether it is one: a book may hold some that are not UTF-8."""
    return ", ".join(
        f"iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name}), typeof({name}) = 'text'" for name in columns
    )


def _decoded(row: Values, encoding: str) -> Values:
    """What `_guarded` columns say. A wager whose player's name is in an old encoding counts all the same."""
    pairs = zip(row[::2], row[1::2], strict=True)
    return tuple(
        value.decode(encoding, errors="replace") if is_text and isinstance(value, bytes) else value
        for value, is_text in pairs
    )


def _width(connection: apsw.Connection) -> int:
    count = connection.execute("SELECT count(*) FROM pragma_table_info('fire22_changes')").get
    return (int(str(count)) - len(("number", "at", "source", "op"))) // 2


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise BookError(codes.BOOK_MISSING, f"There is no book at {path}.")


def _check_installed(connection: apsw.Connection, path: Path, outbox: OutboxStatus) -> None:
    if former(connection):
        message = f"The triggers of {path.name} are those of an older version; run `fire22 install-triggers {path}`"
        raise BookError(codes.BOOK_SCHEMA, f"{message} (with `--mapping` where it has one).")
    if not outbox.book_id:
        raise BookError(codes.BOOK_MISSING, f"{path.name} has no triggers yet; run `fire22 install-triggers {path}`.")

"""An open SQLite book: what its triggers copied is read consistently, brought into the mirror, and then trimmed.

It also sees when the book is no longer the one that was read: each reading looks whether the last change is still there
as it was (`book_gap`), and which triggers there are (`book_triggers_missing`).
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import apsw
import msgspec

from fire22.core import codes
from fire22.core.codes import Code
from fire22.core.errors import BookError, Fire22Error
from fire22.core.outbox import (
    CHANGES,
    OUTBOX,
    BookChange,
    Domain,
    RowChange,
    Unusable,
    Values,
    changes_columns,
    layout,
    quoted,
)
from fire22.core.times import to_text
from fire22.sources.mirror.file import Fact, Mirror, Position
from fire22.sources.sqlite.install import BUSY_TIMEOUT_MS, OutboxStatus, connect, former, last_number, missing
from fire22.sources.sqlite.install import status as outbox_status

BATCH_ROWS: Final = 1000
GROUP_ROWS: Final = 50_000  # changes that are put in order together; a larger transaction is taken in parts
TRIM_ROWS: Final = 5000
TRIM_BUSY_MS: Final = 20


class BookReader:
    """An open book, and the mirror that it is copied to."""

    def __init__(self, path: Path, domain: Domain, folder: Path, stored_position: Callable[[str], int | None]) -> None:
        check_file(path)
        self._path = path
        self._domain = domain
        found = path.stat()
        self.file = (found.st_dev, found.st_ino)
        self._connection = connect(path)
        self._mirror: Mirror | None = None
        try:
            # What is trimmed twice after a loss of power is not read twice: the position is in the mirror.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            outbox = outbox_status(self._connection)
            check_installed(self._connection, path, outbox)
            self.book_id = outbox.book_id
            self.name = f"sqlite:{path.stem}"[:200]  # an event's source is not longer
            self.recorded = outbox.clock == "recorded"
            self.tells_all = outbox.bootstrap  # also what was there before the triggers
            self._encoding = str(self._connection.pragma("encoding"))
            self._former = outbox.upgraded
            self._trimmed = outbox.trimmed_to
            self._needs = {need.name: need.columns for need in domain.outbox.tables}
            self._width = _width(self._connection)
            self._version: object = None
            self._schema: object = None
            self.missing = self._look()
            stored = stored_position(outbox.book_id)
            self.position = stored or 0
            file = folder / f"mirror-{outbox.book_id}.db"
            if stored is None:
                _remove(file)  # of another log
            self._mirror = Mirror(file, domain)
        except BaseException:
            self.close()
            raise

    @property
    def mirror(self) -> Mirror:
        """The copy of the book."""
        if self._mirror is None:
            raise AssertionError("the book is not open")
        return self._mirror

    def close(self) -> None:
        if self._mirror is not None:
            self._mirror.close()
        self._connection.close()

    def changed(self) -> bool:
        """Whether another connection has committed since the last call."""
        version = self._connection.pragma("data_version")
        changed = version != self._version
        self._version = version
        return bool(changed)

    def replaced(self) -> bool:
        """Whether another file is at the path now."""
        try:
            found = self._path.stat()
            return (found.st_dev, found.st_ino) != self.file
        except FileNotFoundError:
            return True

    def look(self) -> bool:
        """Whether all triggers are there as they should be."""
        self.missing = self._look()
        return not self.missing

    # Facts of a version up to 4, which lie in the book itself.

    def former_facts(self) -> list[Fact]:
        """Those that are not in the log yet; of an outbox that no trigger fills any more."""
        if not self._former:
            return []
        found = self._connection.execute(
            "SELECT number, CAST(type AS BLOB), CAST(timestamp AS BLOB), CAST(data AS BLOB), "
            "CAST(category AS BLOB), priority FROM fire22_outbox WHERE number > ? ORDER BY number LIMIT ?",
            (self.position, BATCH_ROWS),
        )
        facts = [Fact(*values) for values in cast("Iterator[tuple[Any, ...]]", found)]
        if not self.mirror.fresh:
            return []  # their numbers have gone on in the mirror
        last = last_number(self._connection, OUTBOX)
        first = facts[0].number if facts else last + 1
        if first > self.position + 1 and last > self.position:
            raise _gap(self._path, f"was told up to {first - 1}, but this log has it only to {self.position}")
        if last < self.position:
            raise _older(self._path, last, self.position)
        return facts

    # Changes.

    def facts(self) -> list[Fact]:
        """The next ones that are not in the log."""
        return self.mirror.facts(self.position, BATCH_ROWS)

    def prepare(self) -> None:
        """Copy the book, where that has not been done; see that log, mirror and book meet."""
        mirror = self.mirror
        if not mirror.fresh:
            trimmed_to, last = mirror.numbers()
            if trimmed_to > self.position:
                raise _gap(self._path, f"was told up to {trimmed_to}, but this log has it only to {self.position}")
            if last < self.position:
                raise _gap(
                    self._path, f"was told up to {self.position}, but {mirror.path.name} knows it only to {last}"
                )
            return
        with self._reading():
            outbox, meta = outbox_status(self._connection), read_meta(self._connection)
            at = to_text(_now_ms())
            known = mirror.filled
            # A book that was empty when it was connected is brought in by its changes alone.
            empty = False
            clock: list[BookChange] = []
            if known:  # by a version with other columns
                position = mirror.position
            elif self._former:
                position = Position(0, "", outbox.generation)
            elif self.position:
                told = int(meta.get("trimmed_fact", -1))
                if told != self.position:
                    raise _gap(
                        self._path,
                        f"was told up to {max(told, self.position)}, its copy in the data folder is gone, "
                        f"and this log has it to {self.position}",
                    )
                position = Position(outbox.trimmed_to, "", outbox.generation)
            elif outbox.trimmed_to == 0:
                position = Position(0, "", outbox.generation)
                first = self._changes("number > ?", 0, 1)
                at = first[0].at if first else at
                empty = meta.get("empty") == "1"
            else:
                position = self._end(outbox)
                clock = self._changes("op = 'clock' AND number <= ?", outbox.last, 1, down=True)
            text = msgspec.json.encode(mirror.layout).decode() if known else meta.get("layout", "")
            former = last_number(self._connection, OUTBOX) if self._former else 0
            mirror.fill(
                (lambda _table, _columns: ()) if empty else self._scan,
                position,
                at,
                tell=outbox.bootstrap and not (self._former or self.position or known),
                first_fact=max(self.position, former) + 1,
                layout=text,
                clock=clock,
                undone=() if empty else self._back_to(position.number),
                layouts=[(each.number, str(each.new[0])) for each in self._changes("op = 'layout' AND number > ?", 0)],
            )
            mirror.fresh = False

    def take(self) -> bool:
        """Bring the next changes of the book into the mirror; whether there were any."""
        mirror = self.mirror
        with self._reading():
            meta = read_meta(self._connection)
            generation = meta.get("generation", "")
            again = generation != mirror.position.generation
            broken = self._broken(int(meta["trimmed_to"]))
            if broken and not again:
                raise HeldError(codes.BOOK_GAP, broken)
            if meta.get("layout") != self._layout:
                raise HeldError(codes.BOOK_TRIGGERS_MISSING, "The triggers are those of another mapping or version.")
            if not broken:
                for changes in self._after(mirror.position.number):
                    last = changes[-1]
                    position = Position(last.number, _witness(last), mirror.position.generation)
                    mirror.apply(changes, position)
                    return True
            if again:
                end = self._end(outbox_status(self._connection))
                mirror.compare(self._scan, end, to_text(_now_ms()), layout=meta.get("layout", ""))
                return True
        return False

    def differences(self) -> Iterator[RowChange | Unusable]:
        """What the book holds otherwise than the mirror, but for what the next reading brings; nothing is changed."""
        with self._reading():
            waiting = self._waiting()
            for each in self.mirror.differences(self._scan, to_text(_now_ms())):
                if (each.table, each.key) not in waiting:
                    yield each

    def _waiting(self) -> set[tuple[str, object]]:
        """The rows that changes are about which have not been read; none where the next reading cannot go on."""
        if self._broken(int(read_meta(self._connection)["trimmed_to"])):
            return set()
        rows = [
            row
            for changes in self._after(self.mirror.position.number)
            for change in changes
            if change.op != "layout"
            for row in self.mirror.made(change)
        ]
        moved = {(row.table, row.before) for row in rows if isinstance(row, RowChange) and row.before is not None}
        return moved | {(row.table, row.key) for row in rows}

    @property
    def unread(self) -> int:
        """Changes of the book that have not been read."""
        return last_number(self._connection, CHANGES) - self.mirror.position.number

    def trim(self) -> None:
        """Delete changes whose facts are in the log, except the last one, which shows whether the book is still the
        same; not now, when somebody writes or the book is read-only."""
        upto = self.mirror.position.number
        if self._connection.readonly("main") or (self._trimmed >= upto and not self._former):
            return
        self.mirror.trim(self.position)
        self._connection.set_busy_timeout(TRIM_BUSY_MS)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if self._former:
                self._connection.execute(f"DROP TABLE IF EXISTS {OUTBOX}")
            # As many as do not hold a writer up; the rest follows.
            least = self._connection.execute("SELECT min(number) FROM fire22_changes").get
            end = min(upto, int(str(least)) + TRIM_ROWS) if least is not None else upto
            self._connection.execute("DELETE FROM fire22_changes WHERE number < ?", (end,))
            for key, value in (("trimmed_to", end), ("trimmed_fact", self.position if end == upto else -1)):
                self._connection.execute("INSERT OR REPLACE INTO fire22_meta VALUES(?, ?)", (key, str(value)))
            self._connection.execute("COMMIT")
            self._trimmed = end
            self._former = False
        except apsw.BusyError:
            pass  # the writer goes first; the rows can wait
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)

    # Reading.

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """One consistent reading of the book."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @property
    def _layout(self) -> str:
        return layout(self._domain.outbox.tables).decode()

    def _look(self) -> list[str]:
        schema = self._connection.pragma("schema_version")
        if schema == self._schema:
            return self.missing
        self._schema = schema
        return missing(self._connection, self._domain.outbox)

    def _broken(self, trimmed_to: int) -> str:
        """What shows that the book is not the one that was read, but an older copy; empty if nothing does."""
        position = self.mirror.position
        again = f"Run `fire22 install-triggers {self._path} --again`, which lets the server take the book as it stands."
        last = last_number(self._connection, CHANGES)
        if last < position.number:
            return f"The changes of {self._path.name} end at {last}, but were read to {position.number}. {again}"
        if trimmed_to > position.number:
            return f"The changes of {self._path.name} were trimmed to {trimmed_to} by another reader. {again}"
        if position.witness:
            found = self._changes("number = ?", position.number)
            if not found or _witness(found[0]) != position.witness:
                return f"The change {position.number} of {self._path.name} is not the one that was read. {again}"
        return ""

    def _end(self, outbox: OutboxStatus) -> Position:
        found = self._changes("number = ?", outbox.last)
        return Position(outbox.last, _witness(found[0]) if found else "", outbox.generation)

    def _after(self, number: int) -> Iterator[list[BookChange]]:
        while changes := self._changes("number > ?", number):
            yield changes
            number = changes[-1].number

    def _back_to(self, number: int) -> Iterator[BookChange]:
        """The changes after a number, the last one first."""
        last = last_number(self._connection, CHANGES) + 1
        while changes := self._changes(f"number > {number} AND number < ?", last, down=True):
            yield from changes
            last = changes[-1].number

    def _changes(self, where: str, number: int, rows_max: int = GROUP_ROWS, *, down: bool = False) -> list[BookChange]:
        columns = ", ".join(changes_columns(self._width))
        end = f"FROM fire22_changes WHERE {where} ORDER BY number {'DESC' if down else ''} LIMIT {rows_max}"
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

    def _scan(self, table: str, columns: tuple[str, ...]) -> Iterator[Values]:
        sql = f"SELECT {_guarded([quoted(name) for name in columns])} FROM {quoted(table)}"
        for row in cast("Iterator[Values]", self._connection.execute(sql)):
            yield _decoded(row, self._encoding)


class HeldError(Fire22Error):
    """The book cannot be read on for now; it is looked at again."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(code, message, temporary=True)


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


def _witness(change: BookChange) -> str:
    """What tells a change from any other that could have its number."""
    said = repr((change.at, change.source, change.op, change.old, change.new))
    return hashlib.blake2b(said.encode(errors="replace"), digest_size=16).hexdigest()


def _width(connection: apsw.Connection) -> int:
    count = connection.execute("SELECT count(*) FROM pragma_table_info('fire22_changes')").get
    return (int(str(count)) - len(("number", "at", "source", "op"))) // 2


def read_meta(connection: apsw.Connection) -> dict[str, str]:
    """What is recorded of the installation."""
    return {str(key): str(value) for key, value in connection.execute("SELECT key, value FROM fire22_meta")}


def _remove(file: Path) -> None:
    for each in (file, file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm")):
        each.unlink(missing_ok=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def check_file(path: Path) -> None:
    if not path.is_file():
        raise BookError(codes.BOOK_MISSING, f"There is no book at {path}.")


def check_installed(connection: apsw.Connection, path: Path, outbox: OutboxStatus) -> None:
    if former(connection):
        message = f"The triggers of {path.name} are those of an older version; run `fire22 install-triggers {path}`"
        raise BookError(codes.BOOK_SCHEMA, f"{message} (with `--mapping` where it has one).")
    if not outbox.book_id:
        raise BookError(codes.BOOK_MISSING, f"{path.name} has no triggers yet; run `fire22 install-triggers {path}`.")


def _gap(path: Path, what: str) -> BookError:
    return BookError(
        codes.BOOK_GAP,
        f"{path.name} {what}: restore a newer backup of the log, or run `fire22 install-triggers {path} --uninstall` "
        f"and then `fire22 install-triggers {path}`, which brings in the book as it stands.",
    )


def _older(path: Path, last: int, position: int) -> BookError:
    return BookError(
        codes.BOOK_GAP,
        f"The outbox of {path.name} ends at {last}, but this log has read it to {position}: the book seems to be an "
        f"older copy; put the newer one back, or run `fire22 install-triggers {path} --uninstall` and then "
        f"`fire22 install-triggers {path}`, which brings in the book as it stands.",
    )

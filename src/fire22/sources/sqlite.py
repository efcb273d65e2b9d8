"""Reads the outbox of a SQLite book: what the triggers wrote in the book's own transactions, in commit order.

A thread of its own looks at `PRAGMA data_version` every few milliseconds (it changes with every commit of another
connection, and costs microseconds) and reads only then. The number of the last row that was read is stored in the log
together with the events, so its death at any moment neither loses nor repeats one; rows are trimmed from the outbox
afterwards.

Rejected: hooks (they see the own connection alone), watching the file (a change in shared memory is not seen).
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import apsw
import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.errors import BookError, Fire22Error, RequestError
from fire22.core.event import EncodedEvent, Event, encode_event, join_event
from fire22.core.letter import DATA_BYTES_MAX, ROW_REJECTED, RowRejected
from fire22.core.times import to_datetime
from fire22.log.base import Log, SourcePosition
from fire22.sources.base import SourceStatus
from fire22.sources.outbox import OutboxStatus, book_errors
from fire22.sources.outbox import status as outbox_status

BATCH_ROWS: Final = 1000
TRIM_ROWS: Final = 5000
TRIM_S: Final = 1.0
TRIM_BUSY_MS: Final = 20
RETRY_S: Final = 0.2
INODE_S: Final = 1.0
TEXT_MAX: Final = 200  # characters of a broken row's short texts that are told
_AWAY: Final = (codes.BOOK_MISSING, codes.BOOK_CORRUPT, codes.BOOK_READONLY, codes.BOOK_SCHEMA)
CLOCK: Final = "system.clock"  # which a recorded book brings itself


class _Metadata(Struct, frozen=True, omit_defaults=True):
    priority: int = 1
    category: str = ""


class _Row(NamedTuple):
    """A row of the outbox; texts as bytes, since a book may hold some that are not UTF-8."""

    number: int
    type: bytes
    timestamp: bytes
    data: bytes
    category: bytes
    priority: int


_encode: Final = msgspec.json.Encoder().encode


class SqliteSource:
    """One book.

    Args:
        path: the book's database.
        poll_ms: how often to look for changes.
        now_ms: the wall clock.
        failed: told, in the loop, about each failure that is tried again.
        rejected: told, in the loop, about each row that is no event (its number and why); the log gets its text.
        let_go: called in the source's thread before a book is opened: whoever else in this process has one open that is
            no longer at the path closes it. Two files of one name share SQLite's memory-mapped index of the
            write-ahead log, and within one process no lock keeps the one from cutting it off under the other.

    Attributes:
        file: device and inode of the book that is open; None while none is.
    """

    def __init__(
        self,
        path: Path,
        log: Log,
        *,
        poll_ms: float,
        now_ms: Callable[[], int],
        failed: Callable[[Fire22Error], None] = lambda _: None,
        rejected: Callable[[int, str], None] = lambda _number, _why: None,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._log = log
        self._poll_s = poll_ms / 1000
        self._now_ms = now_ms
        self._failed = failed
        self._rejected = rejected
        self._let_go = let_go
        self.file: tuple[int, int] | None = None
        self._stop = threading.Event()
        self._status = SourceStatus(f"sqlite:{path.name}")
        self._loop: asyncio.AbstractEventLoop | None = None

    def status(self) -> SourceStatus:
        """How it is now."""
        return self._status

    def check(self) -> None:
        """Whether there is a book with triggers, before anything is started on it.

        Raises:
            BookError: `book_missing`, `book_locked`, `book_readonly` or `book_corrupt`.
        """
        with book_errors(self._path):
            _check_file(self._path)
            connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                outbox = outbox_status(connection)
                _check_installed(self._path, outbox)
                self._status = msgspec.structs.replace(self._status, recorded=outbox.clock == "recorded")
            finally:
                connection.close()

    async def run(self) -> None:
        """Read until cancelled."""
        self._loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._thread, args=(self._loop, ended), name="book-reader", daemon=True)
        thread.start()
        try:
            await asyncio.shield(ended)
        finally:
            self._stop.set()
            # The thread may wait for an append that this loop must finish.
            await asyncio.wait([ended])
            ended.exception()

    # In the thread.

    def _thread(self, loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[None]") -> None:
        error: BaseException | None = None
        try:
            while not self._stop.is_set():
                self._attempt()
        except BaseException as caught:
            error = caught

        def end() -> None:
            if not ended.done():
                if error is None:
                    ended.set_result(None)
                else:
                    ended.set_exception(error)

        if not loop.is_closed():
            loop.call_soon_threadsafe(end)

    def _attempt(self) -> None:
        """Open the book and read; after a temporary failure, say so and come back."""
        try:
            with book_errors(self._path):
                self._let_go()
                reader = _Reader(self._path, self._position)
                self.file = reader.file
                try:
                    self._read(reader)
                finally:
                    reader.close()
                    self.file = None
        except Fire22Error as error:
            # A book that was renamed or removed may come back; the server serves what it has until then.
            if not error.temporary and error.code not in _AWAY:
                raise
            self._status = msgspec.structs.replace(self._status, problem=error.code.name)
            self._call(lambda error=error: self._failed(error))  # type: ignore[misc]
            self._stop.wait(RETRY_S)

    def _read(self, reader: "_Reader") -> None:
        self._status = SourceStatus(reader.name, self._status.read_up_to_ms, reader.position, recorded=reader.recorded)
        next_trim = next_look = 0.0
        while not self._stop.is_set():
            before_ms = self._now_ms()
            if reader.changed():
                self._take_all(reader)
            self._status = SourceStatus(reader.name, before_ms, reader.position, recorded=reader.recorded)
            now = time.monotonic()
            if now >= next_trim:
                reader.trim()
                next_trim = now + TRIM_S
            if now >= next_look:
                if reader.replaced():
                    return
                next_look = now + INODE_S
            self._stop.wait(self._poll_s)

    def _take_all(self, reader: "_Reader") -> None:
        while not self._stop.is_set():
            rows = reader.rows()
            if not rows:
                return
            events = []
            for row in rows:
                event = _event(reader.name, reader.book_id, row)
                if isinstance(event, RowRejected):
                    self._call(lambda told=event: self._rejected(told.number, told.reason))  # type: ignore[misc]
                    event = self._letter(reader.name, event)
                events.append(event)
            last = rows[-1].number
            self._append(events, SourcePosition(reader.book_id, str(last)))
            reader.position = last
            self._status = msgspec.structs.replace(self._status, position=last, waiting=len(rows))

    def _letter(self, source: str, row: RowRejected) -> EncodedEvent:
        """The event that tells of a row that is none, under the id that the row would have had: it is told once."""
        return encode_event(Event(row.id, ROW_REJECTED, source, to_datetime(self._now_ms()), Raw(_encode(row))))

    def _append(self, events: list[EncodedEvent], position: SourcePosition) -> None:
        async def append() -> None:
            await self._log.append(events, position)

        asyncio.run_coroutine_threadsafe(append(), self._require_loop()).result()

    def _position(self, book_id: str) -> int:
        async def ask() -> str | None:
            return await self._log.source_position(book_id)

        return int(asyncio.run_coroutine_threadsafe(ask(), self._require_loop()).result() or 0)

    def _call(self, tell: Callable[[], None]) -> None:
        self._require_loop().call_soon_threadsafe(tell)

    def _require_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise AssertionError("the source is not running")
        return self._loop


class _Reader:
    """An open book."""

    def __init__(self, path: Path, stored_position: Callable[[str], int]) -> None:
        _check_file(path)
        self._path = path
        found = path.stat()
        self.file = (found.st_dev, found.st_ino)
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            # What is trimmed twice after a loss of power is not read twice: the position is in the log.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            outbox = outbox_status(self._connection)
            _check_installed(path, outbox)
            self.book_id = outbox.book_id
            self.name = f"sqlite:{path.stem}"[:200]  # an event's source is not longer
            self.recorded = outbox.clock == "recorded"
            self.position = stored_position(outbox.book_id)
            self._trimmed = outbox.trimmed_to
            self._version: object = None
            _check_gap(path, self.position, outbox.trimmed_to, outbox.last)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
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

    def rows(self) -> list[_Row]:
        """The next rows of the outbox."""
        found = self._connection.execute(
            "SELECT number, CAST(type AS BLOB), CAST(timestamp AS BLOB), CAST(data AS BLOB), "
            "CAST(category AS BLOB), priority FROM fire22_outbox WHERE number > ? ORDER BY number LIMIT ?",
            (self.position, BATCH_ROWS),
        )
        return [_Row(*values) for values in cast("Iterator[tuple[Any, ...]]", found)]

    def trim(self) -> None:
        """Delete rows that are in the log; not now, when somebody writes or the book is read-only."""
        if self._trimmed >= self.position or self._connection.readonly("main"):
            return
        upto = min(self.position, self._trimmed + TRIM_ROWS)
        self._connection.set_busy_timeout(TRIM_BUSY_MS)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DELETE FROM fire22_outbox WHERE number <= ?", (upto,))
            self._connection.execute("UPDATE fire22_meta SET value = ? WHERE key = 'trimmed_to'", (str(upto),))
            self._connection.execute("COMMIT")
            self._trimmed = upto
        except apsw.BusyError:
            pass  # the writer goes first; the rows can wait
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise BookError(codes.BOOK_MISSING, f"There is no book at {path}.")


def _check_installed(path: Path, outbox: OutboxStatus) -> None:
    if not outbox.installed:
        raise BookError(codes.BOOK_MISSING, f"{path.name} has no triggers yet; run `fire22 install-triggers {path}`.")


def _check_gap(path: Path, position: int, trimmed_to: int, last: int) -> None:
    again = (
        f"run `fire22 install-triggers {path} --uninstall` and then `fire22 install-triggers {path}`, "
        "which brings in the book as it stands"
    )
    if trimmed_to > position:
        raise BookError(
            codes.BOOK_GAP,
            f"The outbox of {path.name} was read to {trimmed_to} and trimmed, but this log has it only to {position}: "
            f"restore a newer backup of the log, or {again}.",
        )
    if last < position:
        raise BookError(
            codes.BOOK_GAP,
            f"The outbox of {path.name} ends at {last}, but this log has read it to {position}: "
            f"the book seems to be an older copy; put the newer one back, or {again}.",
        )


def _event(source: str, book_id: str, row: _Row) -> EncodedEvent | RowRejected:
    """The event of an outbox row, or what is told of a row that is none."""
    id = f"{book_id}:{row.number}"
    type, timestamp, category = _text(row.type), _text(row.timestamp), _text(row.category)
    data = _text(row.data).strip().encode()
    try:
        if type.startswith("system.") and type != CLOCK:
            raise RequestError(codes.EVENT_INVALID, "Events named system.* are the server's own.")
        return join_event(id, type, source, timestamp, data, _encode(_Metadata(row.priority, category)))
    except RequestError as error:
        why = error.message
    priority = row.priority if isinstance(row.priority, int) else 1
    kept = data[:DATA_BYTES_MAX].decode(errors="ignore")
    return RowRejected(
        row.number, why, id, type[:TEXT_MAX], timestamp[:TEXT_MAX], category[:TEXT_MAX], priority, kept, len(data)
    )


def _text(stored: bytes) -> str:
    """What a text says. A wager whose player's name is in an old encoding counts all the same."""
    return stored.decode(errors="replace")

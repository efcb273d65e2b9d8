"""Reads a SQLite book: what its triggers copied in the book's own transactions, in commit order.

A thread of its own looks at `PRAGMA data_version` every few milliseconds (it changes with every commit of another
connection, and costs microseconds) and reads only then. What was written goes into the mirror (`mirror.py`), whose
triggers make facts of it, and the facts into the log together with the number of the last one. So its death at any
moment neither loses nor repeats one; what both have is trimmed afterwards.

Each reading looks whether the last change that was read is still there as it was: a book that was put back from a
backup under the running server shows itself (`book_gap`). Once a second it looks whether the triggers are those that
were installed (`book_triggers_missing`): tools that rebuild a table lose them. `fire22 install-triggers` mends both;
the whole book is then compared with the mirror, and what is otherwise is told.

Rejected: hooks (they see the own connection alone), watching the file (a change in shared memory is not seen).
"""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.errors import BookError, Fire22Error, RequestError
from fire22.core.event import EncodedEvent, Event, encode_event, join_event
from fire22.core.letter import DATA_BYTES_MAX, ROW_REJECTED, RowRejected
from fire22.core.outbox import Domain, layout
from fire22.core.times import to_datetime
from fire22.log.base import Log, SourcePosition
from fire22.sources.base import SourceStatus
from fire22.sources.mirror.file import UNUSABLE, Fact
from fire22.sources.sqlite.install import book_errors, connect
from fire22.sources.sqlite.install import status as outbox_status
from fire22.sources.sqlite.reader import BookReader, HeldError, check_file, check_installed, read_meta

TRIM_S: Final = 1.0
RETRY_S: Final = 0.2
INODE_S: Final = 1.0
TEXT_MAX: Final = 200  # characters of a broken row's short texts that are told
_AWAY: Final = (codes.BOOK_MISSING, codes.BOOK_CORRUPT, codes.BOOK_READONLY, codes.BOOK_SCHEMA)
CLOCK: Final = "system.clock"  # which a recorded book brings itself


class _Metadata(Struct, frozen=True, omit_defaults=True):
    priority: int = 1
    category: str = ""


_encode: Final = msgspec.json.Encoder().encode


class SqliteSource:
    """One book.

    Args:
        path: the book's database.
        domain: what is made of its rows.
        folder: where its mirror lies.
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
        domain: Domain,
        folder: Path,
        poll_ms: float,
        now_ms: Callable[[], int],
        failed: Callable[[Fire22Error], None] = lambda _: None,
        rejected: Callable[[int, str], None] = lambda _number, _why: None,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._log = log
        self._domain = domain
        self._folder = folder
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
            BookError: `book_missing`, `book_locked`, `book_readonly`, `book_corrupt` or `book_schema`.
        """
        with book_errors(self._path):
            check_file(self._path)
            connection = connect(self._path)
            try:
                outbox = outbox_status(connection)
                check_installed(connection, self._path, outbox)
                wanted = self._domain.outbox
                told = read_meta(connection).get("layout"), outbox.schema, outbox.version
                if told != (layout(wanted.tables).decode(), wanted.name, wanted.version):
                    message = f"The triggers of {self._path.name} are not those of the mapping and this version"
                    again = f"run `fire22 install-triggers {self._path}` (with `--mapping` where it has one)"
                    raise BookError(codes.BOOK_SCHEMA, f"{message}; {again}.")
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
                reader = BookReader(self._path, self._domain, self._folder, self._position)
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
            self._held(error)
            self._stop.wait(RETRY_S)

    def _held(self, error: Fire22Error) -> None:
        self._status = msgspec.structs.replace(self._status, problem=error.code.name)
        self._call(lambda: self._failed(error))

    def _read(self, reader: BookReader) -> None:
        # What was wrong is said until something has been read.
        was = self._status
        self._status = SourceStatus(reader.name, was.read_up_to_ms, reader.position, 0, reader.recorded, was.problem)
        self._tell(reader, reader.former_facts)
        reader.prepare()
        next_trim = next_look = 0.0
        held = False
        while not self._stop.is_set():
            before_ms = self._now_ms()
            now = time.monotonic()
            look = now >= next_look
            if look:
                if reader.replaced():
                    return
                next_look = now + INODE_S
                if not reader.look():
                    names = ", ".join(reader.missing)
                    self._held(
                        HeldError(codes.BOOK_TRIGGERS_MISSING, f"These triggers are missing or changed: {names}.")
                    )
            if reader.changed() or (held and look):
                try:
                    self._take_all(reader)
                    held = False
                except HeldError as error:
                    held = True
                    self._held(error)
            if not held:
                problem = codes.BOOK_TRIGGERS_MISSING.name if reader.missing else ""
                self._status = SourceStatus(reader.name, before_ms, reader.position, 0, reader.recorded, problem)
                if now >= next_trim:
                    reader.trim()
                    next_trim = now + TRIM_S
            self._stop.wait(self._poll_s)

    def _take_all(self, reader: BookReader) -> None:
        """Read until there is nothing more."""
        self._tell(reader, reader.facts)  # of before the last death
        while not self._stop.is_set() and reader.take():
            self._tell(reader, reader.facts)

    def _tell(self, reader: BookReader, read: Callable[[], list[Fact]]) -> None:
        """Bring facts into the log, to their end."""
        while not self._stop.is_set() and (facts := read()):
            events = []
            for fact in facts:
                event = _event(reader.name, reader.book_id, fact)
                if isinstance(event, RowRejected):
                    self._call(lambda told=event: self._rejected(told.number, told.reason))  # type: ignore[misc]
                    event = self._letter(reader.name, event)
                events.append(event)
            last = facts[-1].number
            self._append(events, SourcePosition(reader.book_id, str(last)))
            reader.position = last
            self._status = msgspec.structs.replace(self._status, position=last, waiting=len(facts))

    def _letter(self, source: str, row: RowRejected) -> EncodedEvent:
        """The event that tells of a row that is none, under the id that the row would have had: it is told once."""
        return encode_event(Event(row.id, ROW_REJECTED, source, to_datetime(self._now_ms()), Raw(_encode(row))))

    def _append(self, events: list[EncodedEvent], position: SourcePosition) -> None:
        async def append() -> None:
            await self._log.append(events, position)

        asyncio.run_coroutine_threadsafe(append(), self._require_loop()).result()

    def _position(self, book_id: str) -> int | None:
        async def ask() -> str | None:
            return await self._log.source_position(book_id)

        found = asyncio.run_coroutine_threadsafe(ask(), self._require_loop()).result()
        return None if found is None else int(found)

    def _call(self, tell: Callable[[], None]) -> None:
        self._require_loop().call_soon_threadsafe(tell)

    def _require_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise AssertionError("the source is not running")
        return self._loop


def _event(source: str, book_id: str, row: Fact) -> EncodedEvent | RowRejected:
    """The event of an outbox row, or what is told of a row that is none."""
    id = f"{book_id}:{row.number}"
    type, timestamp, category = _text(row.type), _text(row.timestamp), _text(row.category)
    data = _text(row.data).strip().encode()
    try:
        if type == UNUSABLE:
            raise RequestError(codes.EVENT_INVALID, _reason(data))
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


def _reason(data: bytes) -> str:
    """Why the mirror could not use a row."""
    try:
        return msgspec.json.decode(data, type=dict[str, str])["reason"]
    except (msgspec.DecodeError, KeyError):
        return "Events named system.* are the server's own."

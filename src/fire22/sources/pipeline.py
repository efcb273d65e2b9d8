"""Brings a book into the log: its changes into the mirror (`follower.py`), and the mirror's facts into the log.

A thread of its own asks the book every few milliseconds whether anything was written, and reads only then. Facts go
into the log together with the number of the last one. So its death at any moment neither loses nor repeats one; what
both have is trimmed afterwards.

Once a second it looks whether the triggers are those that were installed (`book_triggers_missing`): tools that rebuild
a table lose them. `fire22 install-triggers` mends that and a book that was put back from a backup (`book_gap`); the
whole book is then compared with the mirror, and what is otherwise is told.
"""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from fire22.core import codes
from fire22.core.errors import Fire22Error
from fire22.core.event import EncodedEvent
from fire22.core.letter import RowRejected
from fire22.core.outbox import Domain
from fire22.log.base import Log, SourcePosition
from fire22.sources.base import Database, HeldError, SourceStatus
from fire22.sources.events import event_of, letter_of
from fire22.sources.follower import BATCH_ROWS, Follower
from fire22.sources.mirror.file import Fact

TRIM_S: Final = 1.0
RETRY_S: Final = 0.2
LOOK_S: Final = 1.0
_AWAY: Final = (codes.BOOK_MISSING, codes.BOOK_CORRUPT, codes.BOOK_READONLY, codes.BOOK_SCHEMA)


class BookSource:
    """One book.

    Args:
        database: the book's.
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
        file: device and inode of the book that is open; None while none is, or where a book is no file.
    """

    def __init__(
        self,
        database: Database,
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
        self._database = database
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
        self._status = SourceStatus(database.name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._appending: concurrent.futures.Future[None] | None = None  # what is on its way into the log

    def status(self) -> SourceStatus:
        """How it is now."""
        return self._status

    def check(self) -> None:
        """Whether there is a book with triggers, before anything is started on it.

        Raises:
            BookError: `book_missing`, `book_locked`, `book_readonly`, `book_corrupt` or `book_schema`.
        """
        self._status = msgspec.structs.replace(self._status, recorded=self._database.check())

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
            with self._database.errors():
                self._let_go()
                follower = Follower(self._database, self._domain, self._folder, self._position)
                self.file = follower.book.file
                try:
                    self._read(follower)
                finally:
                    follower.close()
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

    def _read(self, follower: Follower) -> None:
        # What was wrong is said until something has been read.
        was, book = self._status, follower.book
        self._status = SourceStatus(follower.name, was.read_up_to_ms, follower.position, 0, book.recorded, was.problem)
        self._tell(follower, follower.former_facts)
        follower.prepare()
        self._tell(follower, follower.facts)  # of before the last death
        next_trim = next_look = 0.0
        held = False
        while not self._stop.is_set():
            before_ms = self._now_ms()
            now = time.monotonic()
            look, changed = now >= next_look, book.changed()
            if look:
                if book.replaced():
                    return
                next_look = now + LOOK_S
            # Triggers that are installed or lost are a commit as well.
            if look or changed:
                complete = not follower.missing
                if not follower.look() and (look or complete):
                    names = ", ".join(follower.missing)
                    why = f"These triggers are missing or changed: {names}."
                    self._held(HeldError(codes.BOOK_TRIGGERS_MISSING, why))
            if changed or (held and look):
                try:
                    self._take_all(follower)
                    held = False
                except HeldError as error:
                    held = True
                    self._held(error)
            if not held:
                problem = codes.BOOK_TRIGGERS_MISSING.name if follower.missing else ""
                self._status = SourceStatus(follower.name, before_ms, follower.position, 0, book.recorded, problem)
                if now >= next_trim:
                    follower.trim()
                    next_trim = now + TRIM_S
            self._stop.wait(self._poll_s)

    def _take_all(self, follower: Follower) -> None:
        """Read until there is nothing more; what is written meanwhile makes the book a changed one again."""
        try:
            while not self._stop.is_set() and follower.take():
                self._send(follower, follower.facts)
                if follower.is_current:
                    break
        finally:
            self._await_append()

    def _tell(self, follower: Follower, read: Callable[[], list[Fact]]) -> None:
        """Bring facts into the log, to their end."""
        try:
            self._send(follower, read)
        finally:
            self._await_append()

    def _send(self, follower: Follower, read: Callable[[], list[Fact]]) -> None:
        """Hand facts to the log, to their end: the last of them may still be on their way, while the next are read.

        The follower's position runs ahead of the log by what is on its way. A failed append ends the attempt, and the
        next one begins where the log stands.
        """
        name, book_id = follower.name, follower.book.book_id
        while not self._stop.is_set() and (facts := read()):
            events = []
            for fact in facts:
                event = event_of(name, book_id, fact)
                if isinstance(event, RowRejected):
                    self._call(lambda told=event: self._rejected(told.number, told.reason))  # type: ignore[misc]
                    event = letter_of(name, event, self._now_ms())
                events.append(event)
            last = facts[-1].number
            self._append(events, SourcePosition(book_id, str(last)))
            follower.position = last
            self._status = msgspec.structs.replace(self._status, position=last, waiting=len(facts))
            if len(facts) < BATCH_ROWS:
                break

    def _append(self, events: list[EncodedEvent], position: SourcePosition) -> None:
        async def append() -> None:
            await self._log.append(events, position)

        self._await_append()
        self._appending = asyncio.run_coroutine_threadsafe(append(), self._require_loop())

    def _await_append(self) -> None:
        """Until what was handed to the log is durable there."""
        appending, self._appending = self._appending, None
        if appending is not None:
            appending.result()

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

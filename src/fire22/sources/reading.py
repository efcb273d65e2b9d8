"""Reads a book until it is told to stop: changes into the mirror (`follower.py`), and the mirror's facts into the log.

It asks the book every few milliseconds whether anything was written, and reads only then. Facts go into the log
together with the number of the last one. So its death at any moment neither loses nor repeats one; what both have is
trimmed afterwards.

Once a second it looks whether the triggers are those that were installed (`book_triggers_missing`): tools that rebuild
a table lose them. `fire22 install-triggers` mends that and a book that was put back from a backup (`book_gap`); the
whole book is then compared with the mirror, and what is otherwise is told.

Everything here blocks, and is called from one thread: of the server's process, or of one of its own. What it needs of
the server is a `Host`.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import Fire22Error, RequestError
from fire22.core.event import EncodedEvent
from fire22.core.letter import RowRejected
from fire22.core.outbox import Domain
from fire22.log.base import SourcePosition
from fire22.sources.base import Database, HeldError, SourceStatus
from fire22.sources.events import conflict_of, event_of, letter_of
from fire22.sources.follower import BATCH_ROWS, Follower
from fire22.sources.mirror.file import Fact

BATCH_BYTES: Final = 4 << 20  # of events that are handed to the log at once, but for the last one
_AWAY: Final = (codes.BOOK_MISSING, codes.BOOK_CORRUPT, codes.BOOK_READONLY, codes.BOOK_SCHEMA)


class Pace(Struct, frozen=True):
    """How often a reader does what it does.

    Args:
        poll_s: looks for changes.
        look_s: looks whether book and triggers are those that were there.
        trim_s: trims what is in the log.
        retry_s: comes back after a failure.
    """

    poll_s: float = 0.005
    look_s: float = 1.0
    trim_s: float = 1.0
    retry_s: float = 0.2


class Host(Protocol):
    """The server, as a reader sees it."""

    def position(self, book_id: str) -> int | None:
        """Up to which fact the log has a book; None where it has never heard of it."""

    def append(self, events: list[EncodedEvent], position: SourcePosition) -> None:
        """Hand events to the log; nothing else that was handed over is still on its way."""

    def settle(self) -> None:
        """Until what was handed to the log is durable there.

        Raises:
            Fire22Error: as `Log.append`; nothing of it is in the log.
        """

    def tell(self, status: SourceStatus, file: tuple[int, int] | None) -> None:
        """How the source is from now on, and which file is open: device and inode."""

    def failed(self, error: Fire22Error) -> None:
        """A failure that is tried again."""

    def rejected(self, number: int, why: str) -> None:
        """A row that is no event; the log gets its text."""

    def let_go(self) -> None:
        """A book is about to be opened: whoever else in the server has one open that is no longer at its path has
        closed it when this returns.

        Two files of one name share SQLite's memory-mapped index of the write-ahead log, and within one process no lock
        keeps the one from cutting it off under the other.
        """


class BookReader:
    """Reads one book.

    Args:
        database: the book's.
        domain: what is made of its rows.
        folder: where its mirror lies.
        now_ms: the wall clock.
        stop: set when it shall end.
    """

    def __init__(
        self,
        database: Database,
        domain: Domain,
        folder: Path,
        host: Host,
        pace: Pace,
        stop: threading.Event,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._domain = domain
        self._folder = folder
        self._host = host
        self._pace = pace
        self._stop = stop
        self._now_ms = now_ms
        self._status = SourceStatus(database.name)
        self._file: tuple[int, int] | None = None
        self._sent: list[EncodedEvent] = []  # what is on its way into the log

    def run(self) -> None:
        """Read until stopped.

        Raises:
            Fire22Error: what trying again cannot mend.
        """
        while not self._stop.is_set():
            self._attempt()

    def _attempt(self) -> None:
        """Open the book and read; after a temporary failure, say so and come back."""
        try:
            with self._database.errors():
                self._host.let_go()
                follower = Follower(self._database, self._domain, self._folder, self._host.position)
                self._file = follower.book.file
                try:
                    self._read(follower)
                finally:
                    follower.close()
                    self._file = None
                    self._say(self._status)
        except Fire22Error as error:
            # A book that was renamed or removed may come back; the server serves what it has until then.
            if not error.temporary and error.code not in _AWAY:
                raise
            self._held(error)
            self._stop.wait(self._pace.retry_s)

    def _say(self, status: SourceStatus) -> None:
        self._status = status
        self._host.tell(status, self._file)

    def _held(self, error: Fire22Error) -> None:
        self._say(msgspec.structs.replace(self._status, problem=error.code.name))
        self._host.failed(error)

    def _read(self, follower: Follower) -> None:
        # What was wrong is said until something has been read.
        was, book, pace = self._status, follower.book, self._pace
        self._say(SourceStatus(follower.name, was.read_up_to_ms, follower.position, 0, book.recorded, was.problem))
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
                next_look = now + pace.look_s
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
                self._say(SourceStatus(follower.name, before_ms, follower.position, 0, book.recorded, problem))
                if now >= next_trim:
                    follower.trim()
                    next_trim = now + pace.trim_s
            self._stop.wait(pace.poll_s)

    def _take_all(self, follower: Follower) -> None:
        """Read until there is nothing more; what is written meanwhile makes the book a changed one again."""
        try:
            while not self._stop.is_set() and follower.take():
                self._send(follower, follower.facts)
                if follower.is_current:
                    break
        finally:
            self._settle()

    def _tell(self, follower: Follower, read: Callable[[], list[Fact]]) -> None:
        """Bring facts into the log, to their end."""
        try:
            self._send(follower, read)
        finally:
            self._settle()

    def _send(self, follower: Follower, read: Callable[[], list[Fact]]) -> None:
        """Hand facts to the log, to their end: the last of them may still be on their way, while the next are read.

        The follower's position runs ahead of the log by what is on its way. A failed append ends the attempt, and the
        next one begins where the log stands.
        """
        while not self._stop.is_set() and (facts := read()):
            events: list[EncodedEvent] = []
            size = 0
            for fact in facts:
                if size > BATCH_BYTES:
                    self._append(follower, events, fact.number - 1)
                    events, size = [], 0
                events.append(self._event(follower, fact))
                size += len(events[-1].body)
            self._append(follower, events, facts[-1].number)
            self._say(msgspec.structs.replace(self._status, position=follower.position, waiting=len(facts)))
            if len(facts) < BATCH_ROWS:
                break

    def _event(self, follower: Follower, fact: Fact) -> EncodedEvent:
        event = event_of(follower.name, follower.book.book_id, fact)
        if isinstance(event, RowRejected):
            self._host.rejected(event.number, event.reason)
            return letter_of(follower.name, event, self._now_ms())
        return event

    def _append(self, follower: Follower, events: list[EncodedEvent], last: int) -> None:
        self._settle()
        self._sent = events
        self._host.append(events, SourcePosition(follower.book.book_id, str(last)))
        follower.position = last

    def _settle(self) -> None:
        """Until what was handed to the log is durable there; an event whose id the log has for something else costs
        only itself."""
        sent, self._sent = self._sent, []
        try:
            self._host.settle()
        except RequestError as error:
            if error.code is not codes.ID_CONFLICT:
                raise
            for event in sent:
                if not self._append_one(event, event.id):
                    letter = conflict_of(event)
                    self._host.rejected(letter.number, letter.reason)
                    if not self._append_one(letter.event, event.id):
                        self._host.failed(error)

    def _append_one(self, event: EncodedEvent, id: str) -> bool:
        """Bring an event into the log; whether its id was free, or that of the same event.

        Args:
            id: of the fact: `<book id>:<number>`.
        """
        try:
            self._host.append([event], SourcePosition(*id.rsplit(":", 1)))
            self._host.settle()
        except RequestError as error:
            if error.code is not codes.ID_CONFLICT:
                raise
            return False
        return True

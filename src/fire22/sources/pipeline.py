"""A book as the server sees it: a source whose reader runs in a thread of the server's process.

`process.py` runs the same reader in a process of its own, where it does not compete with the server for the
interpreter's lock.
"""

import asyncio
import concurrent.futures
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from fire22.core.errors import Fire22Error
from fire22.core.event import EncodedEvent
from fire22.core.outbox import Domain
from fire22.log.base import Log, SourcePosition
from fire22.sources.base import Database, SourceStatus
from fire22.sources.reading import BookReader, Pace


class Told(Struct, frozen=True):
    """What a reader tells the server, in the server's loop.

    Args:
        failed: about each failure that is tried again.
        rejected: about each row that is no event (its number and why).
        let_go: see `Host.let_go`; called in another thread than the loop's.
    """

    failed: Callable[[Fire22Error], None] = lambda _: None
    rejected: Callable[[int, str], None] = lambda _number, _why: None
    let_go: Callable[[], None] = lambda: None


class BookSource(ABC):
    """One book.

    Args:
        database: the book's.
        told: is called about what the reader meets.

    Attributes:
        file: device and inode of the book that is open; None while none is, or where a book is no file.
    """

    def __init__(self, database: Database, log: Log, told: Told) -> None:
        self._database = database
        self._log = log
        self._told = told
        self._status = SourceStatus(database.name)
        self.file: tuple[int, int] | None = None

    def status(self) -> SourceStatus:
        """How it is now."""
        return self._status

    def check(self) -> None:
        """Whether there is a book with triggers, before anything is started on it.

        Raises:
            BookError: `book_missing`, `book_locked`, `book_readonly`, `book_corrupt` or `book_schema`.
        """
        self._status = msgspec.structs.replace(self._status, recorded=self._database.check())

    @abstractmethod
    async def run(self) -> None:
        """Read until cancelled."""

    async def _position(self, book_id: str) -> int | None:
        """Up to which fact the log has a book."""
        found = await self._log.source_position(book_id)
        return None if found is None else int(found)


class ThreadedBook(BookSource):
    """A book that is read in a thread.

    Args:
        database: the book's.
        domain: what is made of its rows.
        folder: where its mirror lies.
        now_ms: the wall clock.
    """

    def __init__(
        self,
        database: Database,
        log: Log,
        told: Told,
        *,
        domain: Domain,
        folder: Path,
        pace: Pace,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(database, log, told)
        self._stop = threading.Event()
        self._reader = BookReader(database, domain, folder, self, pace, self._stop, now_ms)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._appending: concurrent.futures.Future[None] | None = None  # what is on its way into the log

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
            self._reader.run()
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

    def position(self, book_id: str) -> int | None:
        """See `Host`."""
        return asyncio.run_coroutine_threadsafe(self._position(book_id), self._require_loop()).result()

    def append(self, events: list[EncodedEvent], position: SourcePosition) -> None:
        """See `Host`."""

        async def append() -> None:
            await self._log.append(events, position)

        self._appending = asyncio.run_coroutine_threadsafe(append(), self._require_loop())

    def settle(self) -> None:
        """See `Host`."""
        appending, self._appending = self._appending, None
        if appending is not None:
            appending.result()

    def tell(self, status: SourceStatus, file: tuple[int, int] | None) -> None:
        """See `Host`."""
        self._status = status
        self.file = file

    def failed(self, error: Fire22Error) -> None:
        """See `Host`."""
        self._require_loop().call_soon_threadsafe(self._told.failed, error)

    def rejected(self, number: int, why: str) -> None:
        """See `Host`."""
        self._require_loop().call_soon_threadsafe(self._told.rejected, number, why)

    def let_go(self) -> None:
        """See `Host`."""
        self._told.let_go()

    def _require_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise AssertionError("the source is not running")
        return self._loop

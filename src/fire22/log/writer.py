"""The one thread that writes to the log's file.

Jobs queue up while a commit is on its way to the disk; the next transaction takes them all (group commit). Appends that
come after a quiet time are committed at once; under load they gather for at most `group_ms`, so that flows emit for
fewer, larger groups. A job for the feed never waits for that.

Rejected: a commit for each job (777 a second); a pool of writers (SQLite has one anyway).
"""

import asyncio
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import apsw

from fire22.core import codes
from fire22.core.errors import Fire22Error, StorageError
from fire22.log.database import storage_error

T = TypeVar("T")


class Participant(Protocol):
    """What keeps numbers of its own beside the file and must follow its transactions. Called in the writer's thread."""

    def committed(self) -> None:
        """The transaction is on disk."""

    def rolled_back(self) -> None:
        """The transaction never was."""


class _Job:
    __slots__ = ("done", "gathers", "work")

    def __init__(
        self, work: Callable[[apsw.Connection], Any], done: Callable[[Any, BaseException | None], None], gathers: bool
    ) -> None:
        self.work = work
        self.done = done
        self.gathers = gathers


class Writer:
    """Runs jobs in transactions on its own thread and reports in the event loop.

    Args:
        connection: used by this thread alone from now on.
        loop: where results are delivered.
        group_ms: the longest that an append gathers company.
        jobs_max: jobs in one transaction.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        loop: asyncio.AbstractEventLoop,
        *,
        group_ms: float,
        jobs_max: int = 1000,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._group_s = group_ms / 1000
        self._jobs_max = jobs_max
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._participants: list[Participant] = []
        self._last_commit = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def join(self, participant: Participant) -> None:
        """Add one who follows the transactions; before `start`."""
        self._participants.append(participant)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Do what is queued, then end the thread and close the connection."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            if self._thread.is_alive():
                self._thread.join()
            self._connection.close()

    def submit(self, work: Callable[[apsw.Connection], T], *, gathers: bool = False) -> "asyncio.Future[T]":
        """Queue a job; the future is done once its transaction is on disk.

        `work` raises a Fire22Error before it has written anything to refuse only itself; whatever else it raises fails
        the whole transaction and every job in it.
        """
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: T, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        if self._closed:
            future.set_exception(StorageError(codes.RESTARTING, "The log is closed."))
        else:
            self._jobs.put(_Job(work, done, gathers))
        return future

    def _run(self) -> None:
        while (batch := self._gather()) is not None:
            outcomes = self._transact(batch)
            self._last_commit = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(_deliver, outcomes)
            except RuntimeError:  # the loop is closed: nobody waits for the outcomes any more
                return

    def _gather(self) -> list[_Job] | None:
        job = self._jobs.get()
        batch: list[_Job] = []
        deadline = self._last_commit + self._group_s
        while job is not None:
            batch.append(job)
            if len(batch) >= self._jobs_max:
                return batch
            try:
                wait = deadline - time.monotonic() if job.gathers else 0.0
                job = self._jobs.get(timeout=wait) if wait > 0 else self._jobs.get_nowait()
            except Empty:
                return batch
        self._jobs.put(None)
        return batch or None

    def _transact(self, batch: list[_Job]) -> list[tuple[_Job, Any, BaseException | None]]:
        outcomes: list[tuple[_Job, Any, BaseException | None]] = []
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                try:
                    outcomes.append((job, job.work(connection), None))
                except Fire22Error as refusal:
                    outcomes.append((job, None, refusal))
            connection.execute("COMMIT")
        except Exception as error:
            failure = storage_error(error) if isinstance(error, apsw.Error | OSError) else error
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for participant in self._participants:
                participant.rolled_back()
            return [(job, None, failure) for job in batch]
        for participant in self._participants:
            participant.committed()
        return outcomes


def _deliver(outcomes: list[tuple[_Job, Any, BaseException | None]]) -> None:
    for job, result, error in outcomes:
        job.done(result, error)

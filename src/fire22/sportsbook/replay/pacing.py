"""Feeds recorded wagers into a book: at recorded pace, some multiple of it, or as fast as possible.

The book is a recorded one: it brings its own time. Before anything that happened at time T is written, a `system.clock`
row says that everything before T has been, about once for each recorded second, and once more at the end. Every
transaction is whole in itself, so a replay that is killed goes on with `resume`.
"""

import heapq
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import BookError, SetupError, SourceError
from fire22.core.outbox import META, Install
from fire22.core.times import to_ms
from fire22.sportsbook.book import database, writer
from fire22.sportsbook.book.changes import AddAgent, AddCustomer, Change, Clock, PlaceWager, SettleWager
from fire22.sportsbook.book.create import create_book
from fire22.sportsbook.replay.recording import Mapping, Recording, Row

BATCH_ROWS: Final = 500
CLOCK_MS: Final = 1000
IDLE_S_MAX: Final = 60.0  # an empty stretch that would take longer is skipped
TICK_S: Final = 1.0


class Progress(Struct, frozen=True):
    """How far a replay is: rows read, the recorded time, and bytes of the file as it lies on disk."""

    rows: int
    at_ms: int
    bytes_read: int
    bytes_total: int


class ReplayReport(Struct, frozen=True):
    """What a replay did.

    Args:
        rows: rows of the file.
        placed, settled: what was written.
        skipped: wagers that were there before.
        customers: new customers.
        revenue_minor: stakes less returns of what was settled now, minor units.
        first_ms, last_ms: the recorded times of the first and last thing in the file; 0 in an empty one.
    """

    rows: int = 0
    placed: int = 0
    settled: int = 0
    skipped: int = 0
    customers: int = 0
    revenue_minor: int = 0
    first_ms: int = 0
    last_ms: int = 0


class Pace:
    """When to write what was recorded at a time.

    Args:
        speed: recorded seconds for each second; None = at once.
        wait: sleeps.
        now_s: a monotonic clock.
    """

    def __init__(self, speed: float | None, wait: Callable[[float], None], now_s: Callable[[], float]) -> None:
        if speed is not None and not speed > 0:
            raise SetupError(codes.CONFIG_INVALID, "The speed of a replay must be above 0.")
        self._speed = speed
        self._wait = wait
        self._now_s = now_s
        self._base: tuple[float, int] | None = None

    def due_in_s(self, at_ms: int) -> float:
        """Seconds to wait until `at_ms` is due; an empty stretch that is too long is skipped."""
        if self._speed is None:
            return 0.0
        now_s = self._now_s()
        if self._base is None:
            self._base = (now_s, at_ms)
        base_s, base_ms = self._base
        wait_s = base_s + (at_ms - base_ms) / 1000 / self._speed - now_s
        if wait_s > IDLE_S_MAX:
            self._base = (now_s, at_ms)
            return 0.0
        return max(0.0, wait_s)

    def pass_until(self, at_ms: int) -> Iterator[int]:
        """Wait until `at_ms` is due; yields recorded times on the way, about once a second."""
        while (left_s := self.due_in_s(at_ms)) > 0:
            self._wait(min(left_s, TICK_S))
            left_ms = self.due_in_s(at_ms) * 1000 * (self._speed or 0)
            if left_ms > 0:
                yield at_ms - round(left_ms)


def replay(
    file: Path,
    mapping: Mapping,
    book: Path,
    *,
    speed: float | None,
    progress: Callable[[Progress], None],
    install: Install,
    resume: bool = False,
    wait: Callable[[float], None] = time.sleep,
    now_s: Callable[[], float] = time.monotonic,
) -> ReplayReport:
    """Write the wagers of a file to a book.

    Args:
        file: CSV or JSON Lines, in order of `placed_at`.
        mapping: which column holds what.
        book: a recorded book; created if there is none.
        speed: recorded seconds for each second; None = as fast as possible.
        progress: told after each transaction of wagers.
        install: `sources.sqlite.install.install`, for a new book.
        resume: leave out the wagers that are there; without it they are an error.

    Raises:
        SetupError: `mapping_invalid`, `config_invalid`.
        SourceError: `input_invalid` with line and column; what was read before it is written.
        BookError: the book is not a recorded one, or as `book.book_errors`.
    """
    pace = Pace(speed, wait, now_s)
    recording = Recording(file, mapping)
    try:
        if not book.exists():
            create_book(book, install=install, clock="recorded")
        connection = database.connect(book)
        try:
            with database.book_errors(book):
                _check_clock(connection, book)
                return _Replay(connection, recording, mapping, pace, progress, resume).run()
        finally:
            connection.close()
    finally:
        recording.close()


class _Replay:
    """One run: what is known of the book, and the batch that is being gathered."""

    def __init__(
        self,
        connection: apsw.Connection,
        recording: Recording,
        mapping: Mapping,
        pace: Pace,
        progress: Callable[[Progress], None],
        resume: bool,
    ) -> None:
        self._connection = connection
        self._recording = recording
        self._columns = mapping.columns
        self._defaults = mapping.book
        self._pace = pace
        self._progress = progress
        self._resume = resume
        self._agents = {str(path): str(code) for path, code in connection.execute("SELECT path, code FROM agents")}
        self._customers = {str(row[0]) for row in connection.execute("SELECT id FROM customers")}
        self._first_number, self._written_ms = _latest(connection)
        self._number = self._first_number
        self._clock_ms = self._written_ms
        self._batch: list[Change] = []
        self._batch_ids: set[str] = set()
        self._done: set[str] = set()  # wagers whose settlement was there before
        self._started = False
        self._rows = self._placed = self._settled = self._skipped = self._added = self._revenue = 0
        self._first_ms = self._last_ms = 0

    def run(self) -> ReplayReport:
        """Replay the whole file."""
        try:
            for at_ms, row, placing in self._in_time():
                if placing:
                    self._place(row, at_ms)
                else:
                    self._settle(row, at_ms)
        except SourceError:
            self._flush()  # what came before the bad row is good
            raise
        if self._started:
            self._tick(max(self._last_ms, self._clock_ms) + 1)
        self._flush()
        return ReplayReport(
            self._rows, self._placed, self._settled, self._skipped, self._added, self._revenue, self._first_ms,
            self._last_ms,
        )  # fmt: skip

    def _in_time(self) -> Iterator[tuple[int, Row, bool]]:
        """What happens when, in order: (time, row, whether it is placed then; else it is settled)."""
        open_rows: list[tuple[int, int, Row]] = []
        latest_ms = 0
        for row in self._recording.rows():
            if row.placed_ms < latest_ms:
                raise self._bad(row, f"column {self._columns.placed_at}: is before the row above")
            latest_ms = row.placed_ms
            while open_rows and open_rows[0][0] <= row.placed_ms:
                settled_ms, _, settled = heapq.heappop(open_rows)
                yield settled_ms, settled, False
            self._rows += 1
            yield row.placed_ms, row, True
            if row.return_minor is None:
                continue
            if row.settled_ms == row.placed_ms:
                yield row.settled_ms, row, False
            else:
                heapq.heappush(open_rows, (row.settled_ms, self._rows, row))
        while open_rows:
            settled_ms, _, settled = heapq.heappop(open_rows)
            yield settled_ms, settled, False

    def _place(self, row: Row, at_ms: int) -> None:
        if self._is_there(row):
            self._skipped += 1
            return
        if at_ms < self._written_ms:
            raise self._bad(row, f"column {self._columns.placed_at}: is before what the book holds")
        self._go_to(at_ms)
        agent_id = self._agent(row.agent_path, at_ms)
        self._customer(row, agent_id)
        self._number += 1
        self._batch_ids.add(row.id)
        self._batch.append(
            PlaceWager(
                id=row.id, customer_id=row.customer, agent_id=agent_id, agent_path=row.agent_path,
                type=self._defaults.type, risk_minor=row.risk_minor,
                to_win_minor=max(0, (row.return_minor or 0) - row.risk_minor), at_ms=at_ms,
                channel=self._defaults.channel, number=self._number,
            )
        )  # fmt: skip
        self._placed += 1

    def _settle(self, row: Row, at_ms: int) -> None:
        if row.return_minor is None or row.id in self._done:
            self._done.discard(row.id)
            return
        self._go_to(at_ms, whole=row.id in self._batch_ids)
        result = _result(row.risk_minor, row.return_minor)
        self._batch.append(SettleWager(row.id, result, row.return_minor, at_ms, settled_by="replay"))
        self._settled += 1
        self._revenue += row.risk_minor - row.return_minor

    def _is_there(self, row: Row) -> bool:
        """Whether the wager was in the book before this replay.

        Raises:
            SourceError: it was, and should not; or it is in the file twice.
        """
        sql = (
            "SELECT w.wager_number, s.wager_id IS NOT NULL FROM wagers w LEFT JOIN settlements s ON s.wager_id = w.id"
            " WHERE w.id = ? LIMIT 1"
        )
        found = self._connection.execute(sql, (row.id,)).fetchone()
        if row.id in self._batch_ids or (found is not None and found[0] > self._first_number):
            raise self._bad(row, f"column {self._columns.id}: wager {row.id} is in the file twice")
        if found is None:
            return False
        if not self._resume:
            what = f"column {self._columns.id}: wager {row.id} is in the book already; continue, or use another book"
            raise self._bad(row, what)
        if found[1]:
            self._done.add(row.id)
        return True

    def _agent(self, path: str, at_ms: int) -> str:
        """The id of the agent with this path (its code); it and those above it are made where they are missing."""
        known = self._agents.get(path)
        if known is not None:
            return known
        above, _, name = path.rpartition("/")
        parent = self._agent(above, at_ms) if above else None
        code = name if name not in self._agents.values() else path[1:].replace("/", ".")
        self._batch.append(AddAgent(code, code, name, parent, path.count("/"), path, at_ms))
        self._agents[path] = code
        return code

    def _customer(self, row: Row, agent_id: str) -> None:
        if row.customer in self._customers:
            return
        self._customers.add(row.customer)
        self._added += 1
        self._batch.append(AddCustomer(row.customer, row.customer, agent_id, row.customer, row.placed_ms))

    def _go_to(self, at_ms: int, *, whole: bool = False) -> None:
        """Let the time pass until `at_ms`, and say that everything before it is written.

        Args:
            whole: what comes belongs to the same transaction as what was gathered, if it is due at once.
        """
        if not self._started:
            self._started = True
            self._first_ms = at_ms
        if self._pace.due_in_s(at_ms) > 0:
            self._flush()
            for passed_ms in self._pace.pass_until(at_ms):
                if passed_ms - self._clock_ms >= CLOCK_MS:
                    self._tick(passed_ms)
                    self._flush()
        elif len(self._batch_ids) >= BATCH_ROWS and not whole:
            self._flush()
        if at_ms // CLOCK_MS > self._clock_ms // CLOCK_MS:
            self._tick(at_ms)
        self._last_ms = at_ms

    def _tick(self, at_ms: int) -> None:
        self._batch.append(Clock(at_ms))
        self._clock_ms = at_ms

    def _flush(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        self._batch_ids.clear()
        writer.write(self._connection, batch)
        recording = self._recording
        self._progress(Progress(self._rows, self._last_ms, recording.bytes_read, recording.bytes_total))

    def _bad(self, row: Row, what: str) -> SourceError:
        message = f"{self._recording.name} line {row.line}: {what}."
        return SourceError(codes.INPUT_INVALID, message, details={"line": row.line})


def _check_clock(connection: apsw.Connection, book: Path) -> None:
    """A book that lives by the wall clock takes no recorded time."""
    if connection.table_exists(None, META):
        clock = connection.execute("SELECT value FROM fire22_meta WHERE key = 'clock'").get
        if clock == "recorded":
            return
    message = f"{book.name} is not a book of recorded wagers; replay into a file that does not exist yet."
    raise BookError(codes.BOOK_SCHEMA, message)


def _latest(connection: apsw.Connection) -> tuple[int, int]:
    """The highest wager number, and the latest time in the book in milliseconds; 0 where there is none."""
    number = connection.execute("SELECT coalesce(max(wager_number), 0) FROM wagers").get
    latest = connection.execute("SELECT max(max(accepted_at, coalesce(settled_at, ''))) FROM wagers").get
    return int(number), 0 if latest is None else to_ms(datetime.fromisoformat(latest))


def _result(risk_minor: int, return_minor: int) -> str:
    """What a return says about the result."""
    if return_minor > risk_minor:
        return "win"
    if return_minor == risk_minor:
        return "push"
    return "loss" if return_minor == 0 else "cash_out"

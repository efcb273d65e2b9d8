"""The embedded log: a table in the one SQLite file.

Numbers are given in the writer's thread, without holes; the newest groups are also kept in memory, so the flows read
the disk only when they are behind.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Final

import apsw

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.event import EncodedEvent, same_content
from fire22.log.base import Appended, Group, SourcePosition
from fire22.log.cipher import PLAIN, Cipher, cipher_of
from fire22.log.database import connect, query, storage_errors
from fire22.log.file import sealed_source
from fire22.log.rows import SELECT, check_row, committed_ms, read_rows, sealed_row
from fire22.log.seal import damaged
from fire22.log.writer import Writer
from fire22.observability.sample import Sample, lag

TAIL_EVENTS_MAX: Final = 20_000


class SqliteLog:
    """See `log/base.py` for the contract.

    Args:
        writer: the file's one writer, not yet started.
        connection: the writer's connection, for reading the end of the log before it starts.
        path: the file, for reading.
        pending_max: events that may wait for the disk; more are refused as `overloaded`.
    """

    def __init__(
        self,
        writer: Writer,
        connection: apsw.Connection,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        *,
        pending_max: int = 100_000,
        vfs: str | None = None,
    ) -> None:
        self._writer = writer
        self._loop = loop
        self._reader = LogReader(path, vfs=vfs, cipher=cipher_of(connection))
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="log-reader")
        with storage_errors():
            newest = connection.execute("SELECT seq, grp FROM log ORDER BY seq DESC LIMIT 1").get
        last, group = newest if isinstance(newest, tuple) else (0, 0)
        self._last = int(last)
        self._pending = 0
        self._pending_max = pending_max
        self._tail: deque[Group] = deque()
        self._tail_events = 0
        self._wakers: list[Callable[[], None]] = []
        # The writer's thread alone touches these.
        self._next = self._last + 1
        self._group = int(group)  # the number of the newest; see `committed_ms` in `rows.py`
        self._open: list[bytes] = []
        writer.join(self)

    @property
    def last_seq(self) -> int:
        """Seq of the newest durable event."""
        return self._last

    @property
    def pending(self) -> int:
        """Events that wait for the disk."""
        return self._pending

    def samples(self) -> Iterator[Sample]:
        """What is measured of the log."""
        yield Sample("fire22_events_total", "Events in the log.", self._last)
        yield lag(self._pending, "log")

    def on_group(self, wake: Callable[[], None]) -> None:
        """Call `wake` in the loop whenever a group has become durable."""
        self._wakers.append(wake)

    def append(
        self, events: Sequence[EncodedEvent], position: SourcePosition | None = None
    ) -> "asyncio.Future[list[Appended]]":
        """Append all of the events or none; done once they are on disk."""
        if self._pending + len(events) > self._pending_max:
            raise RequestError(
                codes.OVERLOADED, f"{self._pending} events wait for the disk; send fewer.", retry_after_s=1
            )
        self._pending += len(events)
        # A source that brings its position has gathered already.
        gathers = position is None
        future = self._writer.submit(lambda connection: self._insert(connection, events, position), gathers=gathers)
        future.add_done_callback(lambda _: self._written(len(events)))
        return future

    async def groups(self, after: int, *, events_max: int = 5000) -> list[Group]:
        """Whole groups after `after`; from memory where they are still there."""
        if after >= self._last:
            return []
        if self._tail and self._tail[0].first <= after + 1:
            found = list(takewhile(lambda group: group.first > after, reversed(self._tail)))
            return _first_events(found[::-1], events_max)
        return await self._loop.run_in_executor(self._reading, lambda: self._reader.groups(after, events_max))

    async def source_position(self, source: str) -> str | None:
        """The position last stored for a source."""
        return await self._loop.run_in_executor(self._reading, lambda: self._reader.source_position(source))

    def close(self) -> None:
        """Stop reading. The writer is closed by its owner."""
        self._reading.shutdown(wait=True)
        self._reader.close()

    def committed(self) -> None:
        """The transaction is on disk: what was inserted in it is one group."""
        if not self._open:
            return
        group = Group(self._next - len(self._open), tuple(self._open), committed_ms(self._group))
        self._open = []
        self._loop.call_soon_threadsafe(self._publish, group)

    def rolled_back(self) -> None:
        """Give the numbers back."""
        self._next -= len(self._open)
        self._open = []

    def _written(self, count: int) -> None:
        self._pending -= count

    def _publish(self, group: Group) -> None:
        self._last = group.last
        self._tail.append(group)
        self._tail_events += len(group.bodies)
        while self._tail_events > TAIL_EVENTS_MAX and len(self._tail) > 1:
            self._tail_events -= len(self._tail.popleft().bodies)
        for wake in self._wakers:
            wake()

    def _insert(
        self, connection: apsw.Connection, events: Sequence[EncodedEvent], position: SourcePosition | None
    ) -> list[Appended]:
        first = self._next
        if not self._open:
            self._group = max(self._group + 1, time.time_ns() // 1_000_000)
        group = self._group
        before = connection.total_changes()
        cipher = cipher_of(connection)
        connection.executemany(
            "INSERT OR IGNORE INTO log VALUES(?, ?, ?, ?, ?)",
            (sealed_row(cipher, seq, group, event.id, event.body) for seq, event in enumerate(events, start=first)),
        )
        if connection.total_changes() - before == len(events):
            result = [Appended(event.id, seq, False) for seq, event in enumerate(events, start=first)]
            self._next += len(events)
            self._open.extend(event.body for event in events)
        else:
            connection.execute("DELETE FROM log WHERE seq >= ?", (first,))
            result = self._insert_new(connection, events, group)
        if position is not None:
            row = sealed_source(position.source, position.position)
            connection.execute("REPLACE INTO source VALUES(?, ?, ?)", row)
        return result

    def _insert_new(self, connection: apsw.Connection, events: Sequence[EncodedEvent], group: int) -> list[Appended]:
        """The same for a call that holds repeats: all are looked up before the first is written."""
        cipher = cipher_of(connection)
        result: list[Appended] = []
        new: dict[str, tuple[int, EncodedEvent]] = {}
        for event in events:
            row = next(query(connection, f"{SELECT} WHERE id = ?", (event.id,)), None)
            if row is not None:
                check_row(row)
            known = new.get(event.id)
            body: bytes | None = known[1].body if known else None
            if row is not None:
                body = cipher.open(row[4], "log", *row[:3])
            if body is not None and not same_content(body, event.body):
                raise RequestError(
                    codes.ID_CONFLICT,
                    "An event with this id and other content was accepted before; ids are unique for ever.",
                    details={"id": event.id},
                )
            if row:
                result.append(Appended(event.id, row[0], True))
            elif known:
                result.append(Appended(event.id, known[0], True))
            else:
                seq = self._next + len(new)
                result.append(Appended(event.id, seq, False))
                new[event.id] = (seq, event)
        connection.executemany(
            "INSERT INTO log VALUES(?, ?, ?, ?, ?)",
            (sealed_row(cipher, seq, group, event.id, event.body) for seq, event in new.values()),
        )
        self._next += len(new)
        self._open.extend(event.body for _, event in new.values())
        return result


class LogReader:
    """Reads groups from the file on a connection of its own, in one thread at a time."""

    def __init__(self, path: Path, *, vfs: str | None = None, cipher: Cipher = PLAIN) -> None:
        self._path = path
        self._vfs = vfs
        self._cipher = cipher
        self._connection: apsw.Connection | None = None

    def groups(self, after: int, events_max: int) -> list[Group]:
        """Whole groups after seq `after`: about `events_max` events, at least one group.

        Raises:
            StorageError: `storage_corrupt` names the damaged event.
        """
        found: list[Group] = []
        with storage_errors():
            number, first, bodies = 0, 0, list[bytes]()
            for seq, group, _, _, body in read_rows(self._open(), after):
                if group != number:
                    if bodies:
                        found.append(Group(first, tuple(bodies), committed_ms(number)))
                        if first + len(bodies) - after > events_max:
                            return found
                    number, first, bodies = group, seq, []
                bodies.append(body)
            if bodies:
                found.append(Group(first, tuple(bodies), committed_ms(number)))
        return found

    def source_position(self, source: str) -> str | None:
        """The position last stored for a source."""
        with storage_errors():
            for _, crc, position in query(self._open(), "SELECT * FROM source WHERE name = ?", (source,)):
                if sealed_source(source, position) != (source, crc, position):
                    raise damaged("source", source)
                return str(position)
        return None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = connect(self._path, vfs=self._vfs, cipher=self._cipher)
        return self._connection


def _first_events(groups: list[Group], events_max: int) -> list[Group]:
    total = 0
    for index, group in enumerate(groups):
        total += len(group.bodies)
        if total > events_max:
            return groups[: index + 1]
    return groups

"""The embedded feed: a table beside the log, with a ring of the recent part in memory.

Records, the flows' changed rows, the views' documents and the checkpoint are written in one transaction, so a restart
goes on exactly where it was. Clients are shown a batch only when it is on disk.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.feed import rows
from fire22.feed.base import (
    Archived,
    Batch,
    Checkpoint,
    Document,
    Record,
    Rows,
    StateRow,
    Stored,
    after_all,
)
from fire22.feed.ring import Ring
from fire22.log.cipher import cipher_of
from fire22.log.database import connect, meta, storage_errors
from fire22.log.seal import damaged
from fire22.log.writer import Writer
from fire22.observability.sample import Sample

Found = TypeVar("Found")


class SqliteFeed:
    """See `feed/base.py` for the contract.

    Args:
        writer: the file's one writer, not yet started.
        connection: the writer's connection, used until the writer starts.
        path: the file, for reading.
        ring_bytes_max: memory for the recent part.
        vfs: the name of SQLite's file layer for reading; None is its own.
    """

    def __init__(
        self,
        writer: Writer,
        connection: apsw.Connection,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        *,
        ring_bytes_max: int = 64 << 20,
        vfs: str | None = None,
    ) -> None:
        self._writer = writer
        self._loop = loop
        self._path = path
        self._vfs = vfs
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="feed-reader")
        self._reader: apsw.Connection | None = None
        self.damage: StorageError | None = None  # what reading has met
        self._connection = connection
        self._cipher = cipher_of(connection)
        self._ring_bytes_max = ring_bytes_max
        self._listeners: list[Callable[[Batch], None]] = []
        self._messages = 0
        self._read_start()

    def _read_start(self) -> None:
        connection = self._connection
        with storage_errors():
            self._epoch = str(meta(connection, "epoch"))
            self._checkpoint = rows.read_checkpoint(connection)
            self._lost = rows.read_lost(connection)
            self._newest = rows.read_newest(connection)
            self._documents = rows.read_documents(connection)
        self._ring = Ring(self._ring_bytes_max, self._checkpoint.offset)

    def begin(self, shape: str) -> bool:
        """Forget what flows of another shape made; before the writer starts."""
        forgets = rows.begin_again(self._connection, self._path, shape)
        if forgets:
            self._read_start()
        return forgets

    def load(self) -> Stored:
        """What the engine goes on from; before the writer starts."""
        return Stored(self._checkpoint, rows.read_state(self._connection), self._documents)

    @property
    def epoch(self) -> str:
        """The feed's identity."""
        return self._epoch

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the feed stands."""
        return self._checkpoint

    @property
    def lost(self) -> int:
        """Offset of the newest message that is no longer kept."""
        return self._lost

    def samples(self) -> Iterator[Sample]:
        """What is measured of the feed."""
        yield Sample("fire22_messages_total", "Messages that joined the feed, since the start.", self._messages)
        yield Sample("fire22_feed_ring_bytes", "Memory of the feed's recent part.", self._ring.size_bytes)

    def documents(self) -> list[Document]:
        """Every view's documents as of the start; asked for before the first batch."""
        return self._documents

    def on_batch(self, deliver: Callable[[Batch], None]) -> None:
        """Call `deliver` with each batch that has become durable."""
        self._listeners.append(deliver)

    def append(self, batch: Batch, changed: tuple[Rows, ...] = ()) -> "asyncio.Future[None]":
        """Write a batch and the rows that changed; the future is done once both are on disk and listeners have it.

        Raises (in the future):
            StorageError: nothing was written; `temporary` tells whether to try again.
        """
        bodies, documents = rows.encoded(batch)
        future = self._writer.submit(lambda connection: rows.write(connection, batch, changed, bodies, documents))
        result: asyncio.Future[None] = self._loop.create_future()

        def done(written: "asyncio.Future[None]") -> None:
            error = written.exception()
            if error is None:
                self._publish(batch)
            if result.cancelled():
                return
            if error is None:
                result.set_result(None)
            else:
                result.set_exception(error)

        future.add_done_callback(done)
        return result

    def read_nowait(self, topic: str, after: int, upto: int, *, records_max: int) -> list[Record] | None:
        """From memory, or None."""
        return self._ring.after(topic, after, upto, records_max)

    async def read(self, topic: str, after: int, upto: int, *, records_max: int) -> list[Record]:
        """From the file. A record that begins at or before `after` and ends behind it is included."""
        newest = self._newest.get(topic, 0)

        def ask(reader: apsw.Connection) -> list[Record]:
            # The subquery takes one step in the index; with the test of the record's end in it, it would walk them all.
            # One record more than asked for shows that none is missing before it.
            found = rows.read_chain(
                reader,
                "WHERE topic = ?1 AND offset + entries - 1 > ?2 AND offset >= coalesce("
                "(SELECT max(offset) FROM feed WHERE topic = ?1 AND offset <= ?2), 0) ORDER BY offset LIMIT ?3",
                (topic, after, records_max + 1),
            )
            begins = max(after, rows.read_lost(reader))
            if found and found[0].prev > begins:
                raise damaged("feed", found[0].prev)
            if len(found) <= records_max and (found[-1].record.last if found else begins) < newest:
                raise damaged("feed", newest)
            return [each.record for each in found[:records_max] if each.record.offset <= upto]

        return await self._read(ask)

    def back_nowait(self, topic: str, before: int) -> tuple[Iterator[Record], bool]:
        """From memory, newest first; and whether storage has nothing older."""
        return self._ring.back(topic, before), self._ring.lost <= self._lost

    async def read_back(self, topic: str, before: int, *, records_max: int) -> list[Record]:
        """From the file, newest first."""
        newest = self._newest.get(topic, 0)

        def ask(reader: apsw.Connection) -> list[Record]:
            where = "WHERE topic = ? AND offset < ? ORDER BY offset DESC LIMIT ?"
            found = rows.read_chain(reader, where, (topic, before, records_max))[::-1]
            # What comes next on the topic says where that before it ends.
            after = rows.read_chain(reader, "WHERE topic = ? AND offset >= ? ORDER BY offset LIMIT 1", (topic, before))
            ends, lost = after[0].prev if after else newest, rows.read_lost(reader)
            if ends > (found[0].record.last if found else lost):
                raise damaged("feed", ends)
            if len(found) < records_max and found and found[-1].prev > lost:
                raise damaged("feed", found[-1].prev)
            return [each.record for each in found]

        return await self._read(ask)

    async def archived(
        self,
        topic: str,
        scope: str,
        *,
        key_from: str = "",
        key_to: str | None = None,
        every_revision: bool = False,
        after: tuple[str, int] | None = None,
        limit: int,
    ) -> list[Archived]:
        """A page of a scope's archive, from the file."""
        where = "WHERE topic = ?1 AND scope = ?2 AND key >= ?3"
        if key_to is not None:
            where += " AND key < ?4"
        if after is not None:
            where += " AND (key, revision) > (?5, ?6)"
        if not every_revision:
            where += (
                " AND NOT EXISTS (SELECT 1 FROM archive AS later WHERE later.topic = ?1 AND later.scope = ?2"
                " AND later.key = archive.key AND later.revision > archive.revision)"
            )
        key_after, revision_after = after or ("", 0)
        end = "" if key_to is None else after_all(key_to)
        values = (topic, scope, max(key_from, key_after), end, key_after, revision_after, limit)
        return await self._read(
            lambda reader: list(rows.read_archive(reader, f"{where} ORDER BY key, revision LIMIT ?7", values))
        )

    async def state(self) -> list[StateRow]:
        """The flows' rows as of the last batch that is on disk, from the file."""
        return await self._read(lambda reader: list(rows.read_state(reader)))

    def trim(self, *, before_ms: int, bytes_max: int, records_max: int = 500) -> "asyncio.Future[int]":
        """Delete the oldest records that are too old or too much; at most `records_max`, so that nothing waits long.

        Returns (in the future): how many were deleted; call again until it is 0.
        """
        future = self._writer.submit(lambda connection: rows.trim(connection, before_ms, bytes_max, records_max))
        result: asyncio.Future[int] = self._loop.create_future()

        def done(trimmed: "asyncio.Future[tuple[int, int | None]]") -> None:
            error = trimmed.exception()
            if result.cancelled():
                return
            if error is not None:
                result.set_exception(error)
                return
            count, lost = trimmed.result()
            self._lost = max(self._lost, lost if lost is not None else 0)
            result.set_result(count)

        future.add_done_callback(done)
        return result

    def close(self) -> None:
        """Stop reading. The writer is closed by its owner."""
        self._reading.shutdown(wait=True)
        if self._reader is not None:
            self._reader.close()

    def _publish(self, batch: Batch) -> None:
        self._checkpoint = batch.checkpoint
        self._documents = []  # those who need them have them
        for record in batch.records:
            self._newest[record.topic] = record.last
            self._messages += len(record.entries)
            self._ring.append(record)
        for listener in self._listeners:
            listener(batch)

    async def _read(self, ask: Callable[[apsw.Connection], Found]) -> Found:
        def run() -> Found:
            with storage_errors():
                if self._reader is None:
                    self._reader = connect(self._path, vfs=self._vfs, cipher=self._cipher)
                self._reader.execute("BEGIN")  # one state of the file, whatever is written meanwhile
                try:
                    return ask(self._reader)
                finally:
                    self._reader.execute("ROLLBACK")

        try:
            return await self._loop.run_in_executor(self._reading, run)
        except StorageError as error:
            if error.code is codes.STORAGE_CORRUPT:
                self.damage = error
            raise

"""The embedded feed: a table beside the log, with a ring of the recent part in memory.

Records, the flows' changed rows, the views' documents and the checkpoint are written in one transaction, so a restart
goes on exactly where it was. Clients are shown a batch only when it is on disk.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar, cast

import apsw
import msgspec

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.core.message import Json
from fire22.feed.base import Archived, Batch, Checkpoint, Document, Record, after_all, decode_entries, encode_entries
from fire22.feed.ring import Ring
from fire22.log.file import FEED_BEGINS, checksum, connect, meta, new_epoch, query, storage_errors
from fire22.log.writer import Writer

_SELECT: Final = "SELECT offset, topic, seq, idx, cnt, at_ms, crc, body FROM feed "
REMOVED: Final = b"null"  # the body of a document that is gone; kept as long as the feed reaches back to its removal
Found = TypeVar("Found")
_document_decoder: Final = msgspec.json.Decoder(dict[str, Json] | None)
_encode: Final = msgspec.json.Encoder().encode


class SqliteFeed:
    """See `feed/base.py` for the contract.

    Args:
        writer: the file's one writer, not yet started.
        connection: the writer's connection, for reading the checkpoint before it starts.
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
        self._epoch = str(meta(connection, "epoch"))
        self._checkpoint = read_checkpoint(connection)
        self._written = self._checkpoint.offset
        oldest = connection.execute("SELECT min(offset) FROM feed").get
        self._lost = oldest - 1 if isinstance(oldest, int) else self._checkpoint.offset
        self._ring = Ring(ring_bytes_max, self._checkpoint.offset)
        self._documents = read_documents(connection)
        self._listeners: list[Callable[[Batch], None]] = []

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

    @property
    def ring_bytes(self) -> int:
        """Memory that the recent part holds, about."""
        return self._ring.size_bytes

    def documents(self) -> list[Document]:
        """Every view's documents as of the start; asked for before the first batch."""
        return self._documents

    def on_batch(self, deliver: Callable[[Batch], None]) -> None:
        """Call `deliver` with each batch that has become durable."""
        self._listeners.append(deliver)

    def append(self, batch: Batch) -> "asyncio.Future[None]":
        """Write a batch; the future is done once it is on disk and listeners have it.

        Raises (in the future):
            StorageError: nothing was written; `temporary` tells whether to try again.
        """
        bodies = [encode_entries(record.entries) for record in batch.records]
        documents = [_encode(document.body) for document in batch.documents]
        future = self._writer.submit(lambda connection: self._write(connection, batch, bodies, documents))
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
        return await self._query(
            # The subquery takes one step in the index; with the test of the record's end in it, it would walk them all.
            "WHERE topic = ?1 AND offset <= ?3 AND offset + entries - 1 > ?2 AND offset >= coalesce("
            "(SELECT max(offset) FROM feed WHERE topic = ?1 AND offset <= ?2), 0) ORDER BY offset LIMIT ?4",
            (topic, after, upto, records_max),
        )

    def back_nowait(self, topic: str, before: int) -> tuple[Iterator[Record], bool]:
        """From memory, newest first; and whether storage has nothing older."""
        return self._ring.back(topic, before), self._ring.lost <= self._lost

    async def read_back(self, topic: str, before: int, *, records_max: int) -> list[Record]:
        """From the file, newest first."""
        return await self._query(
            "WHERE topic = ? AND offset < ? ORDER BY offset DESC LIMIT ?", (topic, before, records_max)
        )

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
            lambda reader: list(read_archive(reader, f"{where} ORDER BY key, revision LIMIT ?7", values))
        )

    async def state(self) -> list[tuple[str, str, bytes]]:
        """The flows' rows as of the last batch that is on disk, from the file."""
        return await self._read(lambda reader: list(read_state(reader)))

    def trim(self, *, before_ms: int, bytes_max: int, records_max: int = 500) -> "asyncio.Future[int]":
        """Delete the oldest records that are too old or too much; at most `records_max`, so that nothing waits long.

        Returns (in the future): how many were deleted; call again until it is 0.
        """
        future = self._writer.submit(lambda connection: _trim(connection, before_ms, bytes_max, records_max))
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
        self._checkpoint = Checkpoint(batch.seq, batch.offset, batch.watermark_ms)
        self._documents = []  # those who need them have them
        for record in batch.records:
            self._ring.append(record)
        for listener in self._listeners:
            listener(batch)

    def _write(self, connection: apsw.Connection, batch: Batch, bodies: list[bytes], documents: list[bytes]) -> None:
        seq, offset = meta(connection, "seq"), meta(connection, "offset")
        if (seq, offset) != (batch.expected_seq, batch.expected):
            raise StorageError(
                codes.FEED_MOVED,
                f"The feed is at message {offset} of event {seq}, "
                f"not at {batch.expected} of {batch.expected_seq} as expected.",
            )
        if batch.records:
            connection.executemany(
                "INSERT INTO feed VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (r.offset, r.topic, r.seq, r.index, r.count, r.at_ms, len(r.entries), checksum(body), body)
                    for r, body in zip(batch.records, bodies, strict=True)
                ),
            )
        if batch.rows:
            connection.executemany(
                "REPLACE INTO state VALUES(?, ?, ?)", (row for row in batch.each_row() if row[2] is not None)
            )
            connection.executemany(
                'DELETE FROM state WHERE "table" = ? AND key = ?',
                (row[:2] for row in batch.each_row() if row[2] is None),
            )
        if documents:
            connection.executemany(
                "REPLACE INTO document VALUES(?, ?, ?, ?, ?, ?, ?)",
                (
                    (d.topic, d.scope, d.key, d.type, d.offset, d.at_ms, body)
                    for d, body in zip(batch.documents, documents, strict=True)
                ),
            )
        if batch.archived:
            connection.executemany(
                "REPLACE INTO archive VALUES(?, ?, ?, ?, ?, ?, ?)",
                ((a.topic, a.scope, a.key, a.revision, a.at_ms, checksum(a.body), a.body) for a in batch.archived),
            )
        connection.execute(
            "REPLACE INTO meta VALUES('seq', ?), ('offset', ?), ('watermark_ms', ?), ('feed_bytes', ?)",
            (
                batch.seq,
                batch.offset,
                batch.watermark_ms,
                int(meta(connection, "feed_bytes") or 0) + sum(map(len, bodies)),
            ),
        )

    async def _query(self, where: str, arguments: tuple[str | int, ...]) -> list[Record]:
        return await self._read(lambda reader: read_records(reader, where, arguments))

    async def _read(self, ask: Callable[[apsw.Connection], Found]) -> Found:
        def run() -> Found:
            with storage_errors():
                if self._reader is None:
                    self._reader = connect(self._path, vfs=self._vfs)
                return ask(self._reader)

        return await self._loop.run_in_executor(self._reading, run)


def read_checkpoint(connection: apsw.Connection) -> Checkpoint:
    """Where the file's feed stands."""
    seq, offset, watermark = (meta(connection, key) for key in ("seq", "offset", "watermark_ms"))
    return Checkpoint(int(seq or 0), int(offset or 0), int(watermark or 0))


def begin_again(connection: apsw.Connection, path: Path, shape: str) -> bool:
    """Where the file's feed was made by flows of another shape, forget all that follows from the log.

    The log stays. The feed begins anew, with another epoch: what it says may differ from what was said before.

    Returns:
        Whether there was something to forget.

    Raises:
        StorageError: `storage_failed`, the log does not reach back to its first event.
    """
    if meta(connection, "shape") == shape:
        return False
    with storage_errors(), connection:
        forgets = read_checkpoint(connection).seq > 0
        if forgets:
            if connection.execute("SELECT min(seq) FROM log").get != 1:
                message = "The figures have to be made again, but the log does not reach back to its first event."
                raise StorageError(codes.STORAGE_FAILED, message, temporary=False)
            connection.execute("DELETE FROM feed; DELETE FROM state; DELETE FROM document; DELETE FROM archive")
            connection.execute(FEED_BEGINS)
            new_epoch(connection, path)
        connection.execute("REPLACE INTO meta VALUES('shape', ?)", (shape,))
    return forgets


def read_documents(connection: apsw.Connection, topic: str | None = None) -> list[Document]:
    """Every view's documents in the file, or those of one topic."""
    select = "SELECT topic, scope, key, type, offset, at_ms, body FROM document"
    rows = query(connection, select) if topic is None else query(connection, f"{select} WHERE topic = ?", (topic,))
    return [
        Document(topic, scope, key, type, offset, at_ms, _document_decoder.decode(body))
        for topic, scope, key, type, offset, at_ms, body in rows
    ]


def read_state(connection: apsw.Connection) -> Iterator[tuple[str, str, bytes]]:
    """Every row of the flows' state in the file, as (table, key, value), one by one: there may be millions."""
    return cast("Iterator[tuple[str, str, bytes]]", query(connection, 'SELECT "table", key, value FROM state'))


def read_records(connection: apsw.Connection, where: str, arguments: tuple[str | int, ...]) -> list[Record]:
    """Records of the file.

    Raises:
        StorageError: `storage_corrupt` names the damaged record.
    """
    found: list[Record] = []
    for offset, topic, seq, index, count, at_ms, crc, body in query(connection, _SELECT + where, arguments):
        if checksum(body) != crc:
            raise StorageError(codes.STORAGE_CORRUPT, f"Record {offset} in the feed is damaged; restore a backup.")
        found.append(Record(offset, topic, seq, index, count, at_ms, decode_entries(body)))
    return found


def read_archive(
    connection: apsw.Connection, where: str = "", arguments: tuple[str | int, ...] = ()
) -> Iterator[Archived]:
    """Documents of the file's archive, one by one.

    Raises:
        StorageError: `storage_corrupt` names the damaged document.
    """
    select = "SELECT topic, scope, key, revision, at_ms, crc, body FROM archive "
    for topic, scope, key, revision, at_ms, crc, body in query(connection, select + where, arguments):
        if checksum(body) != crc:
            name = f"{topic} {scope} {key}, revision {revision},"
            raise StorageError(codes.STORAGE_CORRUPT, f"{name} in the archive is damaged; restore a backup.")
        yield Archived(topic, scope, key, revision, at_ms, body)


def _trim(connection: apsw.Connection, before_ms: int, bytes_max: int, records_max: int) -> tuple[int, int | None]:
    held = int(meta(connection, "feed_bytes") or 0)
    excess = held - bytes_max
    last: int | None = None
    count = 0
    freed = 0
    rows = query(
        connection, "SELECT offset, entries, at_ms, length(body) FROM feed ORDER BY offset LIMIT ?", (records_max,)
    )
    for offset, entries, at_ms, size in rows:
        if at_ms >= before_ms and excess <= 0:
            break
        excess -= size
        freed += size
        last = offset + entries - 1
        count += 1
    if last is not None:
        connection.execute("DELETE FROM feed WHERE offset <= ?", (last,))
        # Of each view's removed documents the newest stays: it says from where on one can know what is gone.
        connection.execute(
            "DELETE FROM document WHERE body = ?2 AND offset < (SELECT max(offset) FROM document AS other"
            " WHERE other.topic = document.topic AND other.body = ?2 AND other.offset <= ?1)",
            (last, REMOVED),
        )
        connection.execute("REPLACE INTO meta VALUES('feed_bytes', ?)", (held - freed,))
    return count, last

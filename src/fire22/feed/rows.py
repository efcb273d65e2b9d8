"""The rows of the feed's tables in the file: written with their seals, verified when they are read.

`begin_again` forgets them all: they follow from the log.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import apsw
import msgspec

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.core.message import Json
from fire22.feed.base import (
    Archived,
    Batch,
    Checkpoint,
    Document,
    Record,
    Rows,
    StateRow,
    decode_entries,
    encode_entries,
)
from fire22.log.cipher import cipher_of
from fire22.log.database import meta, query, set_meta, storage_errors
from fire22.log.file import feed_begins, new_epoch
from fire22.log.seal import damaged, seal

REMOVED: Final = b"null"  # the body of a document that is gone; kept as long as the feed reaches back to its removal
_SELECT: Final = "SELECT offset, topic, seq, idx, cnt, at_ms, entries, prev, crc, body FROM feed "
_NEWEST: Final = "last:"  # of the file's own facts: a topic's newest offset
_NEWEST_RANGE: Final = ("last:", "last;")
_document_decoder: Final = msgspec.json.Decoder(dict[str, Json] | None)
_encode: Final = msgspec.json.Encoder().encode


def write_batch(connection: apsw.Connection, batch: Batch, rows: tuple[Rows, ...]) -> None:
    """Write a batch and the rows that changed with it, within the caller's transaction."""
    write(connection, batch, rows, *encoded(batch))


def encoded(batch: Batch) -> tuple[list[bytes], list[bytes]]:
    """A batch's records and documents as they are kept."""
    records = [encode_entries(record.entries) for record in batch.records]
    return records, [_encode(document.body) for document in batch.documents]


def write(
    connection: apsw.Connection, batch: Batch, rows: tuple[Rows, ...], bodies: list[bytes], documents: list[bytes]
) -> None:
    """The same, of what has been encoded."""
    seq, offset = meta(connection, "seq"), meta(connection, "offset")
    if (seq, offset) != (batch.expected_seq, batch.expected):
        raise StorageError(
            codes.FEED_MOVED,
            f"The feed is at message {offset} of event {seq}, "
            f"not at {batch.expected} of {batch.expected_seq} as expected.",
        )
    cipher = cipher_of(connection)
    records = list(_feed_rows(connection, batch.records, bodies))
    if records:
        connection.executemany("INSERT INTO feed VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", records)
    for changed in rows:
        _write_state(connection, changed)
    if documents:
        connection.executemany(
            "REPLACE INTO document VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (*of, seal(stored, "document", *of), stored)
                for d, body in zip(batch.documents, documents, strict=True)
                for of in ((d.topic, d.scope, d.key, d.type, d.offset, d.at_ms),)
                for stored in (body if body == REMOVED else cipher.close(body, "document", *of),)
            ),
        )
    if batch.archived:
        connection.executemany(
            "REPLACE INTO archive VALUES(?, ?, ?, ?, ?, ?, ?)",
            (
                (*of, seal(stored, "archive", *of), stored)
                for a in batch.archived
                for of in ((a.topic, a.scope, a.key, a.revision, a.at_ms),)
                for stored in (cipher.close(a.body, "archive", *of),)
            ),
        )
    size = int(meta(connection, "feed_bytes") or 0) + sum(len(row[-1]) for row in records)
    stands = {"seq": batch.seq, "offset": batch.offset, "watermark_ms": batch.watermark_ms, "feed_bytes": size}
    set_meta(connection, **stands, **{_NEWEST + record.topic: record.last for record in batch.records})


def _feed_rows(
    connection: apsw.Connection, records: tuple[Record, ...], bodies: list[bytes]
) -> Iterator[tuple[int, str, int, int, int, int, int, int, int, bytes]]:
    """The rows of a batch's records; each topic has at most one."""
    cipher = cipher_of(connection)
    for r, body in zip(records, bodies, strict=True):
        prev = int(meta(connection, _NEWEST + r.topic) or 0)
        of = (r.offset, r.topic, r.seq, r.index, r.count, r.at_ms, len(r.entries), prev)
        stored = cipher.close(body, "feed", *of)
        yield *of, seal(stored, "feed", *of), stored


def _write_state(connection: apsw.Connection, rows: Rows) -> None:
    """Write the changed rows of one table: its part of the seal is the same for all."""
    table, sealed, cipher = rows.table, _sealed_table(rows.table), cipher_of(connection)
    values = [(key, value) for key, value in rows.changed if value is not None]
    if cipher.is_active:
        values = [(key, cipher.close(value, "state", table, key)) for key, value in values]
    connection.executemany(
        "REPLACE INTO state VALUES(?, ?, ?, ?)",
        ((table, key, crc32(value, crc32(key.encode(), sealed)), value) for key, value in values),
    )
    gone = [(table, key) for key, value in rows.changed if value is None]
    if gone:
        connection.executemany('DELETE FROM state WHERE "table" = ? AND key = ?', gone)


def _sealed_table(table: str) -> int:
    """The seal of a row of the state, up to its key; see `seal`."""
    return crc32(f"state\0{table}\0".encode())


def read_lost(connection: apsw.Connection) -> int:
    """Offset of the newest message that is no longer kept; 0 where all are."""
    return int(meta(connection, "lost") or 0)


def read_newest(connection: apsw.Connection) -> dict[str, int]:
    """Of each topic the offset of its newest entry."""
    names = [name for (name,) in query(connection, "SELECT key FROM meta WHERE key >= ? AND key < ?", _NEWEST_RANGE)]
    return {name.removeprefix(_NEWEST): int(meta(connection, name) or 0) for name in names}


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
            feed_begins(connection)
            new_epoch(connection, path)
        set_meta(connection, shape=shape)
    return forgets


def read_documents(connection: apsw.Connection, topic: str | None = None) -> list[Document]:
    """Every view's documents in the file, or those of one topic.

    Raises:
        StorageError: `storage_corrupt` names the damaged document.
    """
    where = "" if topic is None else "WHERE topic = ?"
    select = f"SELECT topic, scope, key, type, offset, at_ms, crc, body FROM document {where}"  # nosec B608  # constants
    found: list[Document] = []
    cipher = cipher_of(connection)
    for *of, crc, body in query(connection, select, () if topic is None else (topic,)):
        if seal(body, "document", *of) != crc:
            raise damaged("document", " ".join(of[:3]))
        topic_of, scope, key, type, offset, at_ms = of
        found.append(
            Document(
                topic_of, scope, key, type, offset, at_ms, _document_decoder.decode(cipher.open(body, "document", *of))
            )
        )
    return found


def read_state(connection: apsw.Connection) -> Iterator[StateRow]:
    """Every row of the flows' state in the file, as (table, key, value), one by one: there may be millions.

    Raises:
        StorageError: `storage_corrupt` names the damaged row.
    """
    current, sealed, cipher = "", _sealed_table(""), cipher_of(connection)
    with storage_errors():
        for table, key, crc, value in query(connection, 'SELECT "table", key, crc, value FROM state'):
            if table != current:
                current, sealed = table, _sealed_table(table)
            if not isinstance(value, bytes) or crc32(value, crc32(key.encode(), sealed)) != crc:
                raise damaged("state", f"{table} {key}")
            yield table, key, cipher.open(value, "state", table, key)


class Chained(NamedTuple):
    """A kept record, and the offset of the last entry before it on its topic."""

    record: Record
    prev: int


def each_record(connection: apsw.Connection) -> Iterator[Record]:
    """Every record of the file, in order, one by one.

    Raises:
        StorageError: `storage_corrupt` names the damaged record.
    """
    return (each.record for each in _read_feed(connection, "ORDER BY offset", ()))


def read_records(connection: apsw.Connection, where: str, arguments: tuple[str | int, ...]) -> list[Record]:
    """Records of the file.

    Raises:
        StorageError: `storage_corrupt` names the damaged record.
    """
    return [each.record for each in _read_feed(connection, where, arguments)]


def read_chain(connection: apsw.Connection, where: str, arguments: tuple[str | int, ...]) -> list[Chained]:
    """Records of one topic, and whether none is missing between them, whichever way they are ordered.

    Raises:
        StorageError: `storage_corrupt` names the record that is damaged or missing.
    """
    found = sorted(_read_feed(connection, where, arguments), key=lambda each: each.record.offset)
    for before, each in pairwise(found):
        if each.prev != before.record.last:
            raise damaged("feed", each.prev)
    return found


def _read_feed(connection: apsw.Connection, where: str, arguments: tuple[str | int, ...]) -> Iterator[Chained]:
    cipher = cipher_of(connection)
    for *of, crc, body in query(connection, _SELECT + where, arguments):
        if seal(body, "feed", *of) != crc:
            raise damaged("feed", of[0])
        offset, topic, seq, index, count, at_ms, _, prev = of
        yield Chained(
            Record(offset, topic, seq, index, count, at_ms, decode_entries(cipher.open(body, "feed", *of))), prev
        )


def read_archive(
    connection: apsw.Connection, where: str = "", arguments: tuple[str | int, ...] = ()
) -> Iterator[Archived]:
    """Documents of the file's archive, one by one.

    Raises:
        StorageError: `storage_corrupt` names the damaged document.
    """
    select = "SELECT topic, scope, key, revision, at_ms, crc, body FROM archive "
    cipher = cipher_of(connection)
    for *of, crc, body in query(connection, select + where, arguments):
        if seal(body, "archive", *of) != crc:
            raise damaged("archive", " ".join(map(str, of[:4])))
        topic, scope, key, revision, at_ms = of
        yield Archived(topic, scope, key, revision, at_ms, cipher.open(body, "archive", *of))


def trim(connection: apsw.Connection, before_ms: int, bytes_max: int, records_max: int) -> tuple[int, int | None]:
    """Delete the oldest records; how many they were, and the offset of the newest message that is gone, if any."""
    held = int(meta(connection, "feed_bytes") or 0)
    excess = held - bytes_max
    count = 0
    freed = 0
    rows = query(connection, "SELECT offset, at_ms, length(body) FROM feed ORDER BY offset LIMIT ?", (records_max + 1,))
    for offset, at_ms, size in rows:
        if count == records_max or (at_ms >= before_ms and excess <= 0):
            last = offset - 1
            break
        excess -= size
        freed += size
        count += 1
    else:
        last = read_checkpoint(connection).offset
    if not count:
        return 0, None
    connection.execute("DELETE FROM feed WHERE offset <= ?", (last,))
    # Of each view's removed documents the newest stays: it says from where on one can know what is gone.
    connection.execute(
        "DELETE FROM document WHERE body = ?2 AND offset < (SELECT max(offset) FROM document AS other"
        " WHERE other.topic = document.topic AND other.body = ?2 AND other.offset <= ?1)",
        (last, REMOVED),
    )
    set_meta(connection, feed_bytes=held - freed, lost=last)
    return count, last

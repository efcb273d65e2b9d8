"""Backup, restore and full checks of the log's file."""

import shutil
from pathlib import Path

import apsw
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import SetupError, StorageError
from fire22.log.file import new_epoch, open_file, query, storage_errors, verify_rows


class StorageReport(Struct, frozen=True):
    """What a full check has read."""

    events: int
    records: int


def backup(source: Path, target: Path) -> None:
    """Copy the file while a server may be writing to it; the copy is whole as of one moment.

    Raises:
        SetupError: `config_invalid`, there is something at `target`, or nothing at `source`.
        StorageError: the file cannot be read or the copy not written.
    """
    if not source.exists():
        raise SetupError(codes.CONFIG_INVALID, f"There is no log at {source}.")
    if target.exists():
        raise SetupError(codes.CONFIG_INVALID, f"There is a file at {target} already; name another.")
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    with storage_errors():
        reader = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
        writer = apsw.Connection(str(part))
        try:
            with writer.backup("main", reader, "main") as copy:
                while not copy.done:
                    copy.step(1000)
            # No file has inode 0: however the copy is put in place, the next start makes a new epoch.
            writer.execute("UPDATE meta SET value = 0 WHERE key = 'inode'")
        finally:
            writer.close()
            reader.close()
        part.rename(target)


def restore(source: Path, target: Path, *, replace: bool = False) -> str:
    """Put a backup in place as the log's file; no server may run on it. Returns the feed's new epoch.

    What was there is kept beside it with the ending `.replaced`.

    Raises:
        SetupError: `config_invalid`, there is a log at `target` and `replace` is not set.
        StorageError: the backup is damaged; nothing was changed.
    """
    if not source.exists():
        raise SetupError(codes.CONFIG_INVALID, f"There is no backup at {source}.")
    if target.exists() and not replace:
        raise SetupError(codes.CONFIG_INVALID, f"There is a log at {target}; --replace keeps it aside and goes on.")
    part = target.with_name(target.name + ".part")
    with storage_errors():
        shutil.copyfile(source, part)
        for suffix in ("-wal", "-shm"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)
    try:
        check(part)
        connection = open_file(part)
        with connection:
            epoch = new_epoch(connection, part)
        connection.pragma("journal_mode", "wal")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    with storage_errors():
        for suffix in ("", "-wal", "-shm"):
            old = target.with_name(target.name + suffix)
            if old.exists():
                old.rename(target.with_name(target.name + ".replaced" + suffix))
        part.rename(target)
    return epoch


def check(path: Path) -> StorageReport:
    """Read everything: the pages, the checksums, the numbers.

    Raises:
        StorageError: `storage_corrupt` names what is damaged.
    """
    with storage_errors():
        connection = open_file(path)
        try:
            verdict = connection.execute("PRAGMA integrity_check(1)").get
            if verdict != "ok":
                raise StorageError(codes.STORAGE_CORRUPT, f"{path.name} is damaged ({verdict}); restore a backup.")
            events = verify_rows(connection, "SELECT seq, crc, body FROM log ORDER BY seq", "log")
            records = verify_rows(connection, "SELECT offset, crc, body FROM feed ORDER BY offset", "feed")
            select = "SELECT topic || ' ' || scope || ' ' || key || ' ' || revision, crc, body FROM archive"
            verify_rows(connection, select, "archive")
            _check_numbers(connection, path)
        finally:
            connection.close()
    return StorageReport(events, records)


def _check_numbers(connection: apsw.Connection, path: Path) -> None:
    """Neither the log nor the feed has a hole."""
    (log_span, log_count), *_ = query(connection, "SELECT coalesce(max(seq) - min(seq) + 1, 0), count(*) FROM log")
    if log_span != log_count:
        raise StorageError(codes.STORAGE_CORRUPT, f"{path.name}: {log_span - log_count} events are missing in the log.")
    (feed_span, feed_count), *_ = query(
        connection, "SELECT coalesce(max(offset + entries) - min(offset), 0), coalesce(sum(entries), 0) FROM feed"
    )
    if feed_span != feed_count:
        raise StorageError(
            codes.STORAGE_CORRUPT, f"{path.name}: {feed_span - feed_count} messages are missing in the feed."
        )

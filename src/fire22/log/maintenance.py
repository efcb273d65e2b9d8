"""Backup, restore and full checks of the log's file.

A backup is one snapshot: it reads within one transaction, so a commit of the server does not begin the copy anew, and
what it holds is one moment. While it reads, SQLite cannot take the write-ahead log back, which grows by what is written
meanwhile (some 10 MB in a minute at 200 wagers a second) and is taken back by the server's next checkpoint.

The log's file is copied as a file, by the kernel. That is the snapshot because the transaction begins when all of the
write-ahead log is in the file (writers wait for it, some milliseconds): SQLite then reads the file alone, and lets
nobody write to it before the transaction ends. Where somebody else reads something older, that cannot be had; the pages
are then copied one by one through SQLite, which takes three times as long, as those of the companions always are.

Rejected: `VACUUM INTO` (twice as long as page by page), the backup API without a transaction (each commit begins the
copy anew), copying the file without one (a checkpoint may tear pages under the copy).
"""

import errno
import glob
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO, Final

import apsw
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import SetupError, StorageError
from fire22.log.cipher import PLAIN, Cipher
from fire22.log.database import Connection, check_pages, connect, meta, query, set_meta, storage_errors, sync
from fire22.log.file import FEED_TABLES, FORMAT, LOG_TABLES, check_content, new_epoch, open_file, verify
from fire22.log.rows import stored_rows
from fire22.log.seal import RESTORE, damaged

EXTRACT_ROWS: Final = 10_000  # in one transaction
_SUFFIXES: Final = ("", "-wal", "-shm")
# What lies beside the log and goes with it: a book as its source told it, the keys of people, the server's own rows.
COMPANIONS: Final = ("mirror-*.db", "people.db", "store.db")
REPLACED: Final = ".replaced"
BACKUP_PAGES: Final = 4_000  # 16 MB, between two looks at how far it is
# What the kernel says where it cannot copy between two files itself: other file systems, or it never can.
_NOT_BY_KERNEL: Final = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)
_sync_data: Final = getattr(os, "fdatasync", os.fsync)  # not everywhere
SETTLE_TIMES: Final = 20  # how often it is tried to have all of the write-ahead log in the file


class StorageReport(Struct, frozen=True):
    """What a full check has read."""

    events: int
    records: int


def backup(source: Path, target: Path, told: Callable[[int, int], None] = lambda _done, _all: None) -> None:
    """Copy the file while a server may be writing to it; the copy is the file as of the start, and on disk in the end.

    Its companions are copied as of the same moment, each beside the target under its name.

    Args:
        told: how many pages of a file have been copied, and of how many.

    Raises:
        SetupError: `config_invalid`, there is something at `target`, or nothing at `source`.
        StorageError: the file cannot be read or the copy not written.
    """
    if not source.exists():
        raise SetupError(codes.CONFIG_INVALID, f"There is no log at {source}.")
    files = {source: target} | {each: _beside(target, each.name) for each in _companions(source.parent)}
    for file in files.values():
        if file.exists():
            raise SetupError(codes.CONFIG_INVALID, f"There is a file at {file} already; name another.")
    parts = {file: file.with_name(file.name + ".part") for file in files.values()}
    for part in parts.values():
        part.unlink(missing_ok=True)
    try:
        with storage_errors():
            with source.open("rb") as opened, _pinned(source, list(files)) as (readers, is_settled):
                for each, reader in readers.items():
                    part = parts[files[each]]
                    mode = stat.S_IMODE(each.stat().st_mode)  # what nobody else could read, nobody else can
                    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
                    if each == source and is_settled:
                        _copy_file(opened, part, reader, told)
                    else:
                        _copy_pages(reader, part, told)
                    reader.execute("ROLLBACK")
            _finish(parts[target])
            for file, part in parts.items():
                sync(part)
                part.rename(file)
            sync(target.parent)
    except BaseException:
        for part in parts.values():
            part.unlink(missing_ok=True)
        raise


def _companions(folder: Path, of: str = "") -> list[Path]:
    """The companions in a folder, in order; of a backup, if one is named."""
    return sorted(found for pattern in COMPANIONS for found in folder.glob(f"{glob.escape(of)}{pattern}"))


def _beside(backup: Path, name: str) -> Path:
    """Where a companion lies beside a backup."""
    return backup.with_name(f"{backup.name}.{name}")


@contextmanager
def _pinned(log: Path, files: list[Path]) -> Iterator[tuple[dict[Path, Connection], bool]]:
    """A reader of each file, all of one moment; and whether the log's reads nothing but its file.

    Of one moment: nothing was committed between the first and the last. Its file alone: the write-ahead log was in it
    when the reader began.
    """
    with ExitStack() as stack:
        readers = {file: stack.enter_context(closing(connect(file))) for file in files}
        watchers = {file: stack.enter_context(closing(connect(file))) for file in files}
        settler = stack.enter_context(closing(connect(log)))
        for tried in count(1):
            _settle(settler)  # the most of it, before anybody has to wait
            with _writers_wait(watchers[log]) as they_wait:
                is_settled = they_wait and _settle(settler)
                before = [watcher.pragma("data_version") for watcher in watchers.values()]
                for reader in readers.values():
                    reader.execute("BEGIN; SELECT 1 FROM sqlite_schema")
                is_one = [watcher.pragma("data_version") for watcher in watchers.values()] == before
            if (is_one or len(files) == 1) and (is_settled or tried >= SETTLE_TIMES):
                break
            for reader in readers.values():
                reader.execute("ROLLBACK")
        yield readers, is_settled


@contextmanager
def _writers_wait(connection: apsw.Connection) -> Iterator[bool]:
    """Nobody commits meanwhile; whether that is so: somebody may be at a long transaction."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except apsw.BusyError:
        yield False
        return
    try:
        yield True
    finally:
        connection.execute("ROLLBACK")


def _settle(connection: apsw.Connection) -> bool:
    """Put what is in the write-ahead log into the file; whether it is all there."""
    connection.execute("SELECT 1 FROM sqlite_schema").fetchall()  # or the connection knows of no such log yet
    try:
        frames, settled = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.BusyError:  # the server is at that itself
        return False
    return frames == settled >= 0


def _copy_range(source: int, target: int, count: int, at: int) -> int:
    """Copy at most so many bytes; how many it were. By the kernel, where it can do that between these two files."""
    try:
        return os.copy_file_range(source, target, count, at, at)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NOT_BY_KERNEL:
            raise
    data = os.pread(source, count, at)
    written = 0
    while written < len(data):
        written += os.pwrite(target, data[written:], at + written)
    return written


def _copy_file(file: BinaryIO, part: Path, reader: apsw.Connection, told: Callable[[int, int], None]) -> None:
    """Copy a file that nobody writes to, by the kernel.

    Args:
        file: open for longer than any connection: closing it ends the locks that this process has on it.
        reader: in a transaction that reads the file alone.
    """
    page_bytes, pages = (int(reader.pragma(name) or 0) for name in ("page_size", "page_count"))
    source, size = file.fileno(), page_bytes * pages
    before_ns = os.fstat(source).st_mtime_ns
    with part.open("r+b") as copy, ThreadPoolExecutor(1) as syncing:
        synced: Future[None] | None = None
        at = 0
        while at < size:
            copied = _copy_range(source, copy.fileno(), min(page_bytes * BACKUP_PAGES, size - at), at)
            if not copied:
                break
            at += copied
            # What waits in memory for the disk would hold up the server's own syncs: it goes there little by little.
            if synced is not None:
                synced.result()
            synced = syncing.submit(_sync_data, copy.fileno())
            told(at // page_bytes, pages)
        if synced is not None:
            synced.result()
    if at != size or os.fstat(source).st_mtime_ns != before_ns:
        raise StorageError(codes.STORAGE_FAILED, "The log's file was changed while it was copied; try again.")


def _copy_pages(reader: apsw.Connection, part: Path, told: Callable[[int, int], None]) -> None:
    """Copy what a transaction reads, page by page."""
    with closing(apsw.Connection(str(part))) as writer:
        # Nobody needs the copy before it is whole, so SQLite need not sync; see `_copy_file`.
        writer.execute("PRAGMA synchronous=OFF")
        with writer.backup("main", reader, "main") as copy:
            while not copy.done:
                copy.step(BACKUP_PAGES)
                sync(part)
                told(copy.page_count - copy.remaining, copy.page_count)


def _finish(part: Path) -> None:
    """Make a copy of the log's file a backup that the next start can tell from it, and look at it as a start would."""
    with closing(apsw.Connection(str(part))) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        if connection.pragma("user_version") == FORMAT:  # one of another version is brought up when it is opened
            check_content(connection, part)
        set_meta(connection, inode=0)  # no file has inode 0: however the copy is put in place, it gets a new epoch


def extract(source: Path, target: Path) -> int:
    """Copy the log and the sources' positions into a new file; what follows from them is left behind.

    Returns:
        How many events there are.

    Raises:
        StorageError: `storage_corrupt`, the log itself is damaged.
    """
    _remove(target)
    with storage_errors(), closing(connect(source)) as old, closing(open_file(target)) as new:
        if old.pragma("user_version") != FORMAT:
            raise StorageError(codes.STORAGE_FORMAT, f"{source.name} is of an older format; {RESTORE}.")
        for table in ("log", "source"):
            check_pages(old, table)
        verify(old, "source")
        new.executemany("INSERT INTO source VALUES(?, ?, ?)", query(old, "SELECT * FROM source"))
        events = 0
        rows = stored_rows(old)
        while some := list(islice(rows, EXTRACT_ROWS)):
            with new:
                new.executemany("INSERT INTO log VALUES(?, ?, ?, ?, ?)", some)
            events += len(some)
    return events


def put_in_place(source: Path, target: Path, ending: str) -> None:
    """Make a file that nobody has open the log's file; what was there is kept beside it with this ending."""
    with storage_errors():
        for suffix in _SUFFIXES:
            old = target.with_name(target.name + suffix)
            if old.exists():
                old.rename(target.with_name(target.name + ending + suffix))
        source.rename(target)
        sync(target.parent)


def _remove(path: Path) -> None:
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def check_source(source: Path) -> None:
    """Whether there is a backup to restore.

    Raises:
        SetupError: `config_invalid`.
    """
    if not source.is_file():
        raise SetupError(codes.CONFIG_INVALID, f"There is no backup at {source}.")


def restore(source: Path, target: Path, *, replace: bool = False) -> str:
    """Put a backup in place as the log's file; no server may run on it. Returns the feed's new epoch.

    What was there is kept beside it with the ending `.replaced`; so are its companions.

    Raises:
        SetupError: `config_invalid`, there is a log at `target` and `replace` is not set.
        StorageError: the backup is damaged; nothing was changed.
    """
    check_source(source)
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
    put_in_place(part, target, REPLACED)
    _restore_companions(source, target)
    return epoch


def _restore_companions(source: Path, target: Path) -> None:
    """Put the companions of a backup beside the log; those that were there belong to another one."""
    with storage_errors():
        for former in _companions(target.parent):
            for suffix in _SUFFIXES:
                file = former.with_name(former.name + suffix)
                if file.exists():
                    file.rename(former.with_name(former.name + REPLACED + suffix))
        for companion in _companions(source.parent, f"{source.name}."):
            shutil.copy(companion, target.with_name(companion.name.removeprefix(f"{source.name}.")))
        sync(target.parent)


def check(path: Path, cipher: Cipher = PLAIN) -> StorageReport:
    """Read everything: the pages, the seals, the numbers. Nobody else has the file open.

    Raises:
        StorageError: `storage_corrupt` names what is damaged.
    """
    with storage_errors(), closing(open_file(path, cipher=cipher)) as connection:
        return _check_all(connection)


def check_beside(path: Path, cipher: Cipher = PLAIN) -> StorageReport:
    """The same while a server runs on the file: as of one moment, and nothing is written.

    Meanwhile SQLite cannot take the write-ahead log back, as in a backup.

    Raises:
        StorageError: `storage_corrupt`; `storage_format`, the server is of another version.
    """
    with storage_errors(), one_moment(path, cipher) as connection:
        version = connection.pragma("user_version")
        if version != FORMAT:
            raise StorageError(codes.STORAGE_FORMAT, f"{path.name} has storage format {version}, not {FORMAT}.")
        return _check_all(connection)


@contextmanager
def one_moment(path: Path, cipher: Cipher = PLAIN) -> Iterator[apsw.Connection]:
    """A connection that reads the file as it is now, whatever is written meanwhile."""
    with closing(connect(path, cipher=cipher)) as connection:
        connection.execute("BEGIN; SELECT 1 FROM sqlite_schema")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


def _check_all(connection: apsw.Connection) -> StorageReport:
    counts = {}
    for table in (*LOG_TABLES, *FEED_TABLES):
        check_pages(connection, table, pragma="integrity_check")
        counts[table] = verify(connection, table)
    _check_numbers(connection)
    return StorageReport(counts["log"], counts["feed"])


# Each record of the feed, and where the one before it on its topic ends.
_CHAIN: Final = (
    "SELECT topic, lag(offset + entries - 1) OVER (PARTITION BY topic ORDER BY offset), offset, prev,"
    " offset + entries - 1 FROM feed"
)
# Each topic's newest message: as it is noted, and as it is kept.
_NEWEST: Final = (
    "SELECT substr(key, 6), value, (SELECT max(offset + entries - 1) FROM feed WHERE topic = substr(key, 6))"
    " FROM meta WHERE key LIKE 'last:%'"
)


def _check_numbers(connection: apsw.Connection) -> None:
    """Neither the log nor the feed has a hole."""
    (log_span, log_count), *_ = query(connection, "SELECT coalesce(max(seq) - min(seq) + 1, 0), count(*) FROM log")
    if log_span != log_count:
        raise damaged("log", f"({log_span - log_count} events are missing)")
    lost, newest = int(meta(connection, "lost") or 0), int(meta(connection, "offset") or 0)
    for topic, before, offset, prev, last in query(connection, _CHAIN):
        # Offsets are sparse: each record says which one of its topic is before it.
        if not lost < offset <= last <= newest or (prev > lost if before is None else prev != before):
            raise damaged("feed", f"(messages of {topic} are missing before {offset})")
    for topic, said, last in query(connection, _NEWEST):
        if int(said) > lost and int(said) != last:
            raise damaged("feed", f"(messages of {topic} up to {said} are missing)")

"""Backup, restore and full checks of the log's file.

A backup is one snapshot: it reads within one transaction, so a commit of the server does not begin the copy anew, and
what it holds is one moment. While it reads, SQLite cannot take the write-ahead log back, which grows by what is written
meanwhile (some 10 MB in a minute at 200 wagers a second) and is taken back by the server's next checkpoint. Rejected:
`VACUUM INTO` (twice as long), the backup API without a transaction (each commit begins the copy anew), copying the
files (a checkpoint may tear pages under the copy).
"""

import glob
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import SetupError, StorageError
from fire22.log.database import check_pages, connect, meta, query, set_meta, storage_errors, sync
from fire22.log.file import FEED_TABLES, FORMAT, LOG_TABLES, new_epoch, open_file, verify
from fire22.log.seal import RESTORE, damaged
from fire22.log.sqlite import read_rows

EXTRACT_ROWS: Final = 10_000  # in one transaction
_SUFFIXES: Final = ("", "-wal", "-shm")
# What lies beside the log and goes with it: a book as its source has told it, and the server's own rows.
COMPANIONS: Final = ("mirror-*.db", "store.db")
REPLACED: Final = ".replaced"
BACKUP_PAGES: Final = 4_000  # 16 MB, between two looks at how far it is


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
            with _pinned(list(files)) as readers:
                for file, reader in readers.items():
                    mode = stat.S_IMODE(file.stat().st_mode)  # what nobody else could read, nobody else can
                    _copy(reader, parts[files[file]], mode, told, is_log=file == source)
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
def _pinned(files: list[Path]) -> Iterator[dict[Path, apsw.Connection]]:
    """A reader of each file, all of one moment: nothing was committed between the first and the last."""
    with ExitStack() as stack:
        readers = {file: stack.enter_context(closing(connect(file))) for file in files}
        watchers = [stack.enter_context(closing(connect(file))) for file in files]
        while True:
            before = [watcher.pragma("data_version") for watcher in watchers]
            for reader in readers.values():
                reader.execute("BEGIN; SELECT 1 FROM sqlite_schema")
            if [watcher.pragma("data_version") for watcher in watchers] == before or len(files) == 1:
                break
            for reader in readers.values():
                reader.execute("ROLLBACK")
        yield readers


def _copy(reader: apsw.Connection, part: Path, mode: int, told: Callable[[int, int], None], *, is_log: bool) -> None:
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    writer = apsw.Connection(str(part))
    try:
        # Nobody needs the copy before it is whole, so SQLite need not sync. But what waits in memory for the disk would
        # hold up the server's own syncs: it goes there little by little.
        writer.execute("PRAGMA synchronous=OFF")
        with writer.backup("main", reader, "main") as copy:
            while not copy.done:
                copy.step(BACKUP_PAGES)
                sync(part)
                told(copy.page_count - copy.remaining, copy.page_count)
        reader.execute("ROLLBACK")
        if is_log:  # no file has inode 0: however the copy is put in place, the next start makes a new epoch
            set_meta(writer, inode=0)
    finally:
        writer.close()


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
        count = 0
        rows = read_rows(old)
        while some := list(islice(rows, EXTRACT_ROWS)):
            with new:
                new.executemany("INSERT INTO log VALUES(?, ?, ?, ?, ?)", some)
            count += len(some)
    return count


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


def check(path: Path) -> StorageReport:
    """Read everything: the pages, the seals, the numbers.

    Raises:
        StorageError: `storage_corrupt` names what is damaged.
    """
    with storage_errors():
        connection = open_file(path)
        try:
            counts = {}
            for table in (*LOG_TABLES, *FEED_TABLES):
                check_pages(connection, table, pragma="integrity_check")
                counts[table] = verify(connection, table)
            _check_numbers(connection)
        finally:
            connection.close()
    return StorageReport(counts["log"], counts["feed"])


def _check_numbers(connection: apsw.Connection) -> None:
    """Neither the log nor the feed has a hole."""
    (log_span, log_count), *_ = query(connection, "SELECT coalesce(max(seq) - min(seq) + 1, 0), count(*) FROM log")
    if log_span != log_count:
        raise damaged("log", f"({log_span - log_count} events are missing)")
    (first, last, count), *_ = query(
        connection, "SELECT min(offset), max(offset + entries) - 1, coalesce(sum(entries), 0) FROM feed"
    )
    lost, newest = int(meta(connection, "lost") or 0), int(meta(connection, "offset") or 0)
    missing = newest - lost - count
    if missing or (count and (first, last) != (lost + 1, newest)):
        raise damaged("feed", f"({missing} messages are missing)")

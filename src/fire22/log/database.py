"""A SQLite file of the data folder: created whole, checked when opened, never silently replaced.

The file is made under another name and renamed when it is complete, so an empty or half-made file under the real name
is damage and said to be. What is in it: `log/file.py`, `store/sqlite.py`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, cast

import apsw
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.log.cipher import PLAIN, Cipher
from fire22.log.seal import REPAIR, RESTORE, damaged, seal

BUSY_TIMEOUT_MS: Final = 5000
EITHER: Final = f"{REPAIR}, or {RESTORE}"
META: Final = "CREATE TABLE meta(key TEXT PRIMARY KEY, crc INTEGER NOT NULL, value) WITHOUT ROWID;"
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")


class Layout(Struct, frozen=True):
    """What a file is.

    Args:
        application_id: SQLite's, so that another program's file is known as such.
        format: the newest that this version knows.
        schema: the SQL that makes the tables.
        migrations: from format n to n + 1.
        mode: the permissions of a new file.
    """

    application_id: int
    format: int
    schema: str
    migrations: Mapping[int, Callable[[apsw.Connection], None]] = {}
    mode: int = 0o600


def create(path: Path, layout: Layout, fill: Callable[[apsw.Connection, Path], None], vfs: str | None = None) -> None:
    """Make the file whole.

    Args:
        fill: writes what a new file holds, given its connection and where it is meanwhile.
    """
    for suffix in ("-wal", "-journal"):
        if path.with_name(path.name + suffix).exists():
            raise StorageError(
                codes.STORAGE_CORRUPT,
                f"{path.name} is missing but {path.name}{suffix} is there: put the file back, or restore a backup.",
            )
    fresh = path.with_name(path.name + ".new")
    for suffix in _SUFFIXES:
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, layout.mode))
    with closing(apsw.Connection(str(fresh), vfs=vfs)) as connection:
        connection.execute(f"PRAGMA application_id={layout.application_id}; PRAGMA user_version={layout.format}")
        connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
        with connection:
            connection.execute(layout.schema)
            fill(connection, fresh)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # closing does it too, but ignores what fails
    fresh.rename(path)
    sync(path.parent)


class Connection(apsw.Connection):
    """A connection that knows what the bodies of its rows are encrypted with; see `cipher_of`."""

    cipher: Cipher = PLAIN


def connect(path: Path, *, vfs: str | None = None, cipher: Cipher = PLAIN) -> Connection:
    """A connection with the settings that every user of the file needs."""
    connection = Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.cipher = cipher
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def query(
    connection: apsw.Connection, sql: str, bindings: tuple[str | int | bytes, ...] = ()
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query. SQLite's types are dynamic; the schema above says what each column holds."""
    return cast("Iterator[tuple[Any, ...]]", connection.execute(sql, bindings))


def meta(connection: apsw.Connection, key: str) -> str | int | None:
    """One value of the file's own facts.

    Raises:
        StorageError: `storage_corrupt`.
    """
    for crc, value in query(connection, "SELECT crc, value FROM meta WHERE key = ?", (key,)):
        if seal(value, "meta", key) != crc or not isinstance(value, str | int):
            raise damaged("meta", key)
        return value
    return None


def set_meta(connection: apsw.Connection, /, **values: str | int) -> None:
    """Set values of the file's own facts."""
    rows = ((key, seal(value, "meta", key), value) for key, value in values.items())
    connection.executemany("REPLACE INTO meta VALUES(?, ?, ?)", rows)


class storage_errors:
    """Turn what SQLite raises into StorageError with a code and a sentence that says what to do."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.Error | OSError | UnicodeDecodeError):
            raise storage_error(error) from error


def storage_error(error: Exception) -> StorageError:
    """The StorageError for what SQLite or the system raised."""
    if isinstance(error, apsw.FullError):
        return StorageError(codes.STORAGE_FULL, "The disk of the data folder is full; free some space.")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError | UnicodeDecodeError):
        return StorageError(codes.STORAGE_CORRUPT, f"A file of the data folder is damaged ({error}): {EITHER}.")
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StorageError(codes.STORAGE_FAILED, "Another program holds a file of the data folder; it is tried again.")
    return StorageError(codes.STORAGE_FAILED, f"A file of the data folder cannot be used: {error}.")


def sync(path: Path) -> None:
    """Make a file durable, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_size(path: Path) -> None:
    """A main file shorter than its header says was cut off in copying."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise StorageError(codes.STORAGE_CORRUPT, f"{path.name} is not a whole SQLite file; restore a backup.")
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    has_wal = path.with_name(path.name + "-wal").exists()
    if size < page * pages and not has_wal:
        raise StorageError(
            codes.STORAGE_CORRUPT,
            f"{path.name} is cut off: {size} of {page * pages} bytes are there; restore a backup.",
        )


def check_format(connection: apsw.Connection, path: Path, layout: Layout) -> None:
    """Whether it is a file of this program in a format that it knows; an older one is brought up, step by step."""
    if connection.pragma("application_id") != layout.application_id:
        raise StorageError(codes.STORAGE_FORMAT, f"{path.name} is a SQLite file of another program.")
    version = connection.pragma("user_version")
    if not isinstance(version, int) or version > layout.format:
        raise StorageError(
            codes.STORAGE_FORMAT,
            f"{path.name} has storage format {version}; this version knows up to {layout.format}: use a newer one.",
        )
    while version < layout.format:
        if version not in layout.migrations:
            raise StorageError(codes.STORAGE_FORMAT, f"{path.name} has storage format {version}, too old to read.")
        with connection:
            layout.migrations[version](connection)
            version += 1
            connection.pragma("user_version", version)


def check_schema(connection: apsw.Connection, layout: Layout) -> None:
    """The tables are what they were created as."""
    model = apsw.Connection(":memory:")
    try:
        model.execute(layout.schema)
        select = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
        if list(query(connection, select)) != list(query(model, select)):
            raise StorageError(codes.STORAGE_CORRUPT, f"The tables of a file are damaged: {RESTORE}.")
    finally:
        model.close()


def check_pages(connection: apsw.Connection, table: str, *, pragma: str = "quick_check") -> None:
    """Whether the pages of a table and its indexes hang together, so that no row is hidden.

    Raises:
        StorageError: `storage_corrupt`, naming the table.
    """
    try:
        verdict = connection.execute(f"PRAGMA {pragma}({table})").get
    except apsw.CorruptError as error:
        verdict = str(error)
    if verdict != "ok":
        raise damaged(table, f"({verdict})")

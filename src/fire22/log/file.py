"""The one SQLite file of the embedded log and feed: created whole, checked when opened, never silently replaced.

The file is made under another name and renamed when it is complete, so an empty or half-made file under the real name
is damage and said to be. The `epoch` names the feed: it is made anew with the file, by `restore`, and when the file's
inode is not the one it was made with (somebody put another copy there), because offsets after such a change may name
other messages than before.

To change the format: raise FORMAT, add the step to MIGRATIONS, add the old file to the tests.
"""

import os
import secrets
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import apsw

from fire22.core import codes
from fire22.core.errors import StorageError

APPLICATION_ID: Final = 0x46323246
FORMAT: Final = 3
QUICK_CHECK_BYTES_MAX: Final = 64 << 20
BUSY_TIMEOUT_MS: Final = 5000

STATE: Final = """
CREATE TABLE state(
    "table" TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY("table", key)) WITHOUT ROWID;
"""
FEED_BEGINS: Final = "REPLACE INTO meta VALUES('seq', 0), ('offset', 0), ('watermark_ms', 0), ('feed_bytes', 0)"
ARCHIVE: Final = """
CREATE TABLE archive(
    topic TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(topic, scope, key, revision)) WITHOUT ROWID;
"""
SCHEMA: Final = f"""{ARCHIVE}{STATE}CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE log(
    seq INTEGER PRIMARY KEY, grp INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE source(name TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE feed(
    offset INTEGER PRIMARY KEY, topic TEXT NOT NULL, seq INTEGER NOT NULL, idx INTEGER NOT NULL, cnt INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, entries INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX feed_topic ON feed(topic, offset);
CREATE TABLE document(
    topic TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL, offset INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(topic, scope, key)) WITHOUT ROWID;
"""
_STATE_BY_TABLE: Final = f"""
ALTER TABLE state RENAME TO former_state;
{STATE}
INSERT INTO state SELECT flow || '/' || substr(key, 1, instr(key, ':') - 1), substr(key, instr(key, ':') + 1), value
    FROM former_state WHERE flow <> 'engine';
INSERT INTO state SELECT 'engine', key, value FROM former_state WHERE flow = 'engine';
DROP TABLE former_state;
"""
MIGRATIONS: Final[dict[int, Callable[[apsw.Connection], None]]] = {  # from format n to n + 1
    1: lambda connection: _run(connection, ARCHIVE),
    2: lambda connection: _run(connection, _STATE_BY_TABLE),
}


def open_file(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """Open the log's file for its one writer; create it where there is none.

    Raises:
        StorageError: `storage_corrupt`, `storage_format`, `storage_full`, or `storage_failed`.
    """
    with storage_errors():
        if not path.exists():
            _create(path, vfs)
        _check_size(path)
        connection = connect(path, vfs=vfs)
        try:
            _check_format(connection, path)
            _check_content(connection, path)
            _check_identity(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def connect(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """A connection with the settings that every user of the file needs."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def new_epoch(connection: apsw.Connection, path: Path) -> str:
    """Give the file a new identity, so that positions of before are known to be of another feed."""
    epoch = secrets.token_hex(4)
    connection.execute("REPLACE INTO meta VALUES('epoch', ?), ('inode', ?)", (epoch, path.stat().st_ino))
    return epoch


def meta(connection: apsw.Connection, key: str) -> str | int | None:
    """One value of the file's own facts."""
    value = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).get
    return value if isinstance(value, str | int) else None


def set_stopped(connection: apsw.Connection, what: str) -> None:
    """Remember, for whoever looks at the file, at which event the figures stop and at what; empty where they do not."""
    if what:
        connection.execute("REPLACE INTO meta VALUES('stopped', ?)", (what,))
    else:
        connection.execute("DELETE FROM meta WHERE key = 'stopped'")


def query(
    connection: apsw.Connection, sql: str, bindings: tuple[str | int | bytes, ...] = ()
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query. SQLite's types are dynamic; the schema above says what each column holds."""
    return cast("Iterator[tuple[Any, ...]]", connection.execute(sql, bindings))


def checksum(body: bytes) -> int:
    """What is kept beside each body: CRC-32, to name damage that SQLite itself would not see."""
    return zlib.crc32(body)


class storage_errors:
    """Turn what SQLite raises into StorageError with a code and a sentence that says what to do."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.Error | OSError):
            raise storage_error(error) from error


def storage_error(error: Exception) -> StorageError:
    """The StorageError for what SQLite or the system raised."""
    if isinstance(error, apsw.FullError):
        return StorageError(codes.STORAGE_FULL, "The disk of the data folder is full; free some space.")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return StorageError(
            codes.STORAGE_CORRUPT, f"The log's file is damaged ({error}); restore a backup with `fire22 restore`."
        )
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StorageError(codes.STORAGE_FAILED, "Another program holds the log's file; it is tried again.")
    return StorageError(codes.STORAGE_FAILED, f"The log's file cannot be used: {error}.")


def _create(path: Path, vfs: str | None) -> None:
    for suffix in ("-wal", "-journal"):
        if path.with_name(path.name + suffix).exists():
            raise StorageError(
                codes.STORAGE_CORRUPT,
                f"{path.name} is missing but {path.name}{suffix} is there: put the file back, or restore a backup.",
            )
    fresh = path.with_name(path.name + ".new")
    for suffix in ("", "-wal", "-shm", "-journal"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    connection = apsw.Connection(str(fresh), vfs=vfs)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT}")
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
    with connection:
        connection.execute(SCHEMA)
        new_epoch(connection, fresh)
        connection.execute(FEED_BEGINS)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # closing does it too, but ignores what fails
    connection.close()
    fresh.rename(path)
    sync(path.parent)


def _run(connection: apsw.Connection, script: str) -> None:
    connection.execute(script)


def sync(path: Path) -> None:
    """Make a file durable, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_size(path: Path) -> None:
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


def _check_format(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StorageError(codes.STORAGE_FORMAT, f"{path.name} is a SQLite file of another program.")
    version = connection.pragma("user_version")
    if not isinstance(version, int) or version > FORMAT:
        raise StorageError(
            codes.STORAGE_FORMAT,
            f"{path.name} has storage format {version}; this version knows up to {FORMAT}: use a newer one.",
        )
    while version < FORMAT:
        if version not in MIGRATIONS:
            raise StorageError(codes.STORAGE_FORMAT, f"{path.name} has storage format {version}, too old to read.")
        with connection:
            MIGRATIONS[version](connection)
            version += 1
            connection.pragma("user_version", version)


def _check_content(connection: apsw.Connection, path: Path) -> None:
    """Cheap proof of health at each start; `fire22 check` reads everything."""
    if path.stat().st_size <= QUICK_CHECK_BYTES_MAX:
        verdict = connection.execute("PRAGMA quick_check(1)").get
        if verdict != "ok":
            raise StorageError(codes.STORAGE_CORRUPT, f"{path.name} is damaged ({verdict}); restore a backup.")
    for table, key in (("log", "seq"), ("feed", "offset")):
        verify_rows(connection, f"SELECT {key}, crc, body FROM {table} ORDER BY {key} DESC LIMIT 100", table)


def verify_rows(connection: apsw.Connection, select: str, table: str) -> int:
    """Compare each row of (key, crc, body) with its checksum; returns how many rows were read.

    Raises:
        StorageError: `storage_corrupt`, naming the table and the key.
    """
    count = 0
    for key, crc, body in query(connection, select):
        if not isinstance(body, bytes) or checksum(body) != crc:
            raise StorageError(codes.STORAGE_CORRUPT, f"{table} {key} does not match its checksum; restore a backup.")
        count += 1
    return count


def _check_identity(connection: apsw.Connection, path: Path) -> None:
    if meta(connection, "inode") != path.stat().st_ino:
        with connection:
            new_epoch(connection, path)

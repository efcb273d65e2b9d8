"""The one SQLite file of the embedded log and feed: created whole, checked when opened, never silently replaced.

The file is made under another name and renamed when it is complete, so an empty or half-made file under the real name
is damage and said to be. The `epoch` names the feed: it is made anew with the file, by `restore`, and when the file's
inode is not the one it was made with (somebody put another copy there), because offsets after such a change may name
other messages than before.

To change the format: raise FORMAT, add the step to MIGRATIONS, add the old file to the tests.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast
from zlib import crc32

import apsw

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.log.seal import REPAIR, RESTORE, damaged, seal

APPLICATION_ID: Final = 0x46323246
FORMAT: Final = 4
QUICK_CHECK_BYTES_MAX: Final = 64 << 20
BUSY_TIMEOUT_MS: Final = 5000
EITHER: Final = f"{REPAIR}, or {RESTORE}"

STATE: Final = """
CREATE TABLE state(
    "table" TEXT NOT NULL, key TEXT NOT NULL, crc INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY("table", key)) WITHOUT ROWID;
"""
ARCHIVE: Final = """
CREATE TABLE archive(
    topic TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(topic, scope, key, revision)) WITHOUT ROWID;
"""
LOG: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, crc INTEGER NOT NULL, value) WITHOUT ROWID;
CREATE TABLE source(name TEXT PRIMARY KEY, crc INTEGER NOT NULL, position TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE log(
    seq INTEGER PRIMARY KEY, grp INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, crc INTEGER NOT NULL, body BLOB NOT NULL);
"""
# `prev` is the offset of the last entry before on the same topic, so that a reader notices a record that is missing.
FEED: Final = f"""{ARCHIVE}{STATE}
CREATE TABLE feed(
    offset INTEGER PRIMARY KEY, topic TEXT NOT NULL, seq INTEGER NOT NULL, idx INTEGER NOT NULL, cnt INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, entries INTEGER NOT NULL, prev INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX feed_topic ON feed(topic, offset);
CREATE TABLE document(
    topic TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL, offset INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(topic, scope, key)) WITHOUT ROWID;
"""
LOG_TABLES: Final = ("meta", "source", "log")
FEED_TABLES: Final = ("feed", "document", "state", "archive")
MIGRATIONS: Final[dict[int, Callable[[apsw.Connection], None]]] = {  # from format n to n + 1
    1: lambda connection: None,  # the archive came; it follows from the log, as does all that the next step makes anew
    2: lambda connection: None,  # the state was kept by flow, then by table
    3: lambda connection: _seal_log(connection),
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
    set_meta(connection, epoch=epoch, inode=path.stat().st_ino)
    return epoch


def feed_begins(connection: apsw.Connection) -> None:
    """The feed has nothing yet."""
    connection.execute("DELETE FROM meta WHERE key LIKE 'last:%'")
    set_meta(connection, seq=0, offset=0, watermark_ms=0, feed_bytes=0, lost=0)


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


def set_stopped(connection: apsw.Connection, what: str) -> None:
    """Remember, for whoever looks at the file, at which event the figures stop and at what; empty where they do not."""
    if what:
        set_meta(connection, stopped=what)
    else:
        connection.execute("DELETE FROM meta WHERE key = 'stopped'")


def query(
    connection: apsw.Connection, sql: str, bindings: tuple[str | int | bytes, ...] = ()
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query. SQLite's types are dynamic; the schema above says what each column holds."""
    return cast("Iterator[tuple[Any, ...]]", connection.execute(sql, bindings))


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
        return StorageError(codes.STORAGE_CORRUPT, f"The log's file is damaged ({error}): {EITHER}.")
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
        connection.execute(LOG + FEED)
        new_epoch(connection, fresh)
        feed_begins(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # closing does it too, but ignores what fails
    connection.close()
    fresh.rename(path)
    sync(path.parent)


def _seal_log(connection: apsw.Connection) -> None:
    """Seal each row of the log. What follows from the log is forgotten, and made again from it with a new epoch."""
    former = dict(query(connection, "SELECT key, value FROM meta"))
    sources = list(query(connection, "SELECT name, position FROM source"))
    for table in (*FEED_TABLES, "meta", "source"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute("ALTER TABLE log RENAME TO former_log")
    connection.execute(LOG + FEED)
    connection.executemany("INSERT INTO log VALUES(?, ?, ?, ?, ?)", _sealed(connection))
    connection.execute("DROP TABLE former_log")
    connection.executemany("INSERT INTO source VALUES(?, ?, ?)", (sealed_source(*each) for each in sources))
    set_meta(connection, epoch=secrets.token_hex(4), inode=former["inode"])
    feed_begins(connection)


def _sealed(connection: apsw.Connection) -> Iterator[tuple[int, int, str, int, bytes]]:
    for seq, group, id, crc, body in query(connection, "SELECT seq, grp, id, crc, body FROM former_log ORDER BY seq"):
        if not isinstance(body, bytes) or crc32(body) != crc:
            raise damaged("log", seq)
        yield seq, group, id, seal(body, "log", seq, group, id), body


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
    """Proof of health at each start, for what is not proven whenever it is read; `fire22 check` reads everything.

    Of the log and the feed each reading proves that no row is missing. All else is looked up by key or read whole:
    there the pages must be in order.
    """
    _check_schema(connection)
    small = path.stat().st_size <= QUICK_CHECK_BYTES_MAX
    for table in (*LOG_TABLES, *FEED_TABLES):
        if small or table not in ("log", "feed"):
            check_pages(connection, table)
    for table in ("meta", "source"):
        verify(connection, table)
    verify(connection, "log", "WHERE seq > (SELECT max(seq) FROM log) - 100")
    verify(
        connection,
        "feed",
        "WHERE offset >= (SELECT min(offset) FROM (SELECT offset FROM feed ORDER BY offset DESC LIMIT 100))",
    )


def _check_schema(connection: apsw.Connection) -> None:
    """The tables are what they were created as."""
    model = apsw.Connection(":memory:")
    try:
        model.execute(LOG + FEED)
        select = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
        if list(query(connection, select)) != list(query(model, select)):
            raise StorageError(codes.STORAGE_CORRUPT, f"The tables of the log's file are damaged: {RESTORE}.")
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


def verify(connection: apsw.Connection, table: str, where: str = "") -> int:
    """Compare each row of a table with its seal; returns how many there were.

    Raises:
        StorageError: `storage_corrupt`, naming the table and the row.
    """
    key, sealed, body = SEALED[table]
    count = 0
    for *of, crc, content in query(connection, f"SELECT {sealed}, crc, {body} FROM {table} {where}"):
        if seal(content, table, *of) != crc:
            raise damaged(table, " ".join(map(str, of[:key])))
        count += 1
    return count


def sealed_source(name: str, position: str) -> tuple[str, int, str]:
    """The row of a source's position."""
    return name, seal(position, "source", name), position


# Of each table: how many columns are its key, what is sealed beside the body, and the body.
SEALED: Final = {
    "meta": (1, "key", "value"),
    "source": (1, "name", "position"),
    "log": (1, "seq, grp, id", "body"),
    "feed": (1, "offset, topic, seq, idx, cnt, at_ms, entries, prev", "body"),
    "document": (3, "topic, scope, key, type, offset, at_ms", "body"),
    "state": (2, '"table", key', "value"),
    "archive": (4, "topic, scope, key, revision, at_ms", "body"),
}


def _check_identity(connection: apsw.Connection, path: Path) -> None:
    if meta(connection, "inode") != path.stat().st_ino:
        with connection:
            new_epoch(connection, path)

"""The one SQLite file of the embedded log and feed: its tables, its formats, and what proves that it is whole.

The `epoch` names the feed: it is made anew with the file, by `restore`, and when the file's
inode is not the one it was made with (somebody put another copy there), because offsets after such a change may name
other messages than before.

To change the format: raise FORMAT, add the step to MIGRATIONS, add the old file to the tests.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

import apsw

from fire22.log.cipher import PLAIN, Cipher, cipher_of
from fire22.log.database import (
    META,
    Layout,
    check_format,
    check_pages,
    check_schema,
    check_size,
    connect,
    create,
    meta,
    query,
    set_meta,
    storage_errors,
)
from fire22.log.seal import damaged, seal

APPLICATION_ID: Final = 0x46323246
FORMAT: Final = 4
QUICK_CHECK_BYTES_MAX: Final = 64 << 20

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
LOG: Final = f"""
{META}
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
ENCRYPTED: Final = ("log", *FEED_TABLES)  # whose bodies are encrypted where there is a key
MIGRATIONS: Final[dict[int, Callable[[apsw.Connection], None]]] = {  # from format n to n + 1
    1: lambda connection: None,  # the archive came; it follows from the log, as does all that the next step makes anew
    2: lambda connection: None,  # the state was kept by flow, then by table
    3: lambda connection: _seal_log(connection),
}


def layout() -> Layout:
    """What the file is."""
    return Layout(APPLICATION_ID, FORMAT, LOG + FEED, MIGRATIONS)


def open_file(path: Path, *, vfs: str | None = None, cipher: Cipher = PLAIN) -> apsw.Connection:
    """Open the log's file for its one writer; create it where there is none.

    Raises:
        StorageError: `storage_corrupt`, `storage_format`, `storage_full`, or `storage_failed`.
    """
    with storage_errors():
        if not path.exists():
            create(path, layout(), _fill, vfs)
        check_size(path)
        connection = connect(path, vfs=vfs, cipher=cipher)
        try:
            check_format(connection, path, layout())
            check_content(connection, path)
            _check_identity(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _fill(connection: apsw.Connection, path: Path) -> None:
    new_epoch(connection, path)
    feed_begins(connection)


def new_epoch(connection: apsw.Connection, path: Path) -> str:
    """Give the file a new identity, so that positions of before are known to be of another feed."""
    epoch = os.urandom(4).hex()
    set_meta(connection, epoch=epoch, inode=path.stat().st_ino)
    return epoch


def feed_begins(connection: apsw.Connection) -> None:
    """The feed has nothing yet."""
    connection.execute("DELETE FROM meta WHERE key LIKE 'last:%'")
    set_meta(connection, seq=0, offset=0, watermark_ms=0, feed_bytes=0, lost=0)


def set_stopped(connection: apsw.Connection, what: str) -> None:
    """Remember, for whoever looks at the file, at which event the figures stop and at what; empty where they do not."""
    if what:
        set_meta(connection, stopped=what)
    else:
        connection.execute("DELETE FROM meta WHERE key = 'stopped'")


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
    set_meta(connection, epoch=os.urandom(4).hex(), inode=former["inode"])
    feed_begins(connection)


def _sealed(connection: apsw.Connection) -> Iterator[tuple[int, int, str, int, bytes]]:
    for seq, group, id, crc, body in query(connection, "SELECT seq, grp, id, crc, body FROM former_log ORDER BY seq"):
        if not isinstance(body, bytes) or crc32(body) != crc:
            raise damaged("log", seq)
        yield seq, group, id, seal(body, "log", seq, group, id), body


def check_content(connection: apsw.Connection, path: Path) -> None:
    """Proof of health at each start, for what is not proven whenever it is read; `fire22 check` reads everything.

    Of the log and the feed each reading proves that no row is missing. All else is looked up by key or read whole:
    there the pages and the keys on them must be in order, which a quick check does not compare.
    """
    check_schema(connection, layout())
    small = path.stat().st_size <= QUICK_CHECK_BYTES_MAX
    for table in (*LOG_TABLES, *FEED_TABLES):
        if table not in ("log", "feed"):
            check_pages(connection, table, pragma="integrity_check")
        elif small:
            check_pages(connection, table)
    for table in ("meta", "source"):
        verify(connection, table)
    verify(connection, "log", "WHERE seq > (SELECT max(seq) FROM log) - 100")
    verify(
        connection,
        "feed",
        "WHERE offset >= (SELECT min(offset) FROM (SELECT offset FROM feed ORDER BY offset DESC LIMIT 100))",
    )


def verify(connection: apsw.Connection, table: str, where: str = "") -> int:
    """Compare each row of a table with its seal, and decrypt it if there is a key; returns how many there were.

    Raises:
        StorageError: `storage_corrupt`, naming the table and the row; `encryption_key_missing`, there is another key.
    """
    key, sealed, body = SEALED[table]
    cipher = cipher_of(connection)
    decrypts = cipher.is_active and table in ENCRYPTED
    count = 0
    for *of, crc, content in query(connection, f"SELECT {sealed}, crc, {body} FROM {table} {where}"):  # nosec B608  # constants of this module
        if seal(content, table, *of) != crc:
            raise damaged(table, " ".join(map(str, of[:key])))
        if decrypts:
            cipher.open(content, table, *of)
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

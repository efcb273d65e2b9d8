"""The embedded store: a SQLite file of its own in the data folder.

Not in the log's file: that one may be made again from the log, copied to another machine or handed to an auditor, and
what is in here must neither get lost nor get about with it. Only the server's user can read it. Backups carry it along
(`log/maintenance.py`).

Each row has a seal (`log/seal.py`) that is verified when it is read. The number of rows is kept too, and all are
verified when the file is opened: a revocation that a damaged page hides would give a right back.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Final, TypeVar

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
from fire22.log.writer import Writer
from fire22.store.base import ABSENT, ANY, Conflict, Delete, Item, Put, check

Found = TypeVar("Found")

NAME: Final = "store.db"  # in the data folder
ITEM: Final = """
CREATE TABLE item(
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, expires_ms INTEGER NOT NULL, crc INTEGER NOT NULL,
    value BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX item_expires ON item(expires_ms) WHERE expires_ms > 0;
"""
LAYOUT: Final = Layout(0x46323253, 1, f"{META}{ITEM}", mode=0o600)
_SELECT: Final = "SELECT key, version, expires_ms, crc, value FROM item "
_ALIVE: Final = "(expires_ms = 0 OR expires_ms > ?1)"


def open_store(path: Path, *, vfs: str | None = None, cipher: Cipher = PLAIN) -> apsw.Connection:
    """Open the store's file for its one writer, and read it whole; create it where there is none.

    Raises:
        StorageError: `storage_corrupt`, `storage_format`, `storage_full`, `storage_failed`, or
            `encryption_key_missing`.
    """
    with storage_errors():
        if not path.exists():
            create(path, LAYOUT, lambda connection, _: set_meta(connection, version=0, items=0), vfs)
        check_size(path)
        connection = connect(path, vfs=vfs, cipher=cipher)
        try:
            check_format(connection, path, LAYOUT)
            check_schema(connection, LAYOUT)
            for table in ("meta", "item"):
                check_pages(connection, table)
            with connection:  # as of one moment: another process may be writing
                count = sum(1 for _ in _items(connection, "", ()))
                if (missing := _number(connection, "items") - count) != 0:
                    raise damaged("store", f"({missing} rows are missing)")
        except BaseException:
            connection.close()
            raise
        return connection


def write_now(path: Path, *changes: Put | Delete, now_ms: int, cipher: Cipher = PLAIN) -> None:
    """Make all of the changes or none, for a program without an event loop, whether a server runs beside it or not.

    Raises:
        Conflict: see `Store.write`.
        StorageError: see `open_store`.
    """
    check(changes)
    with storage_errors(), closing(open_store(path, cipher=cipher)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        outcome = _write(connection, changes, now_ms)
        connection.execute("COMMIT" if isinstance(outcome, int) else "ROLLBACK")
    if isinstance(outcome, Conflict):
        raise outcome


class SqliteStore:
    """See `store/base.py` for the contract.

    Args:
        path: the file; it is created where there is none.
        now_ms: the clock.
        vfs: the name of SQLite's file layer; None is its own.
        cipher: what the values are encrypted with.

    Raises:
        StorageError: see `open_store`.
    """

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        *,
        now_ms: Callable[[], int],
        vfs: str | None = None,
        cipher: Cipher = PLAIN,
    ) -> None:
        self._loop = loop
        self._now_ms = now_ms
        self._writer = Writer(open_store(path, vfs=vfs, cipher=cipher), loop, group_ms=0)
        self._reader = connect(path, vfs=vfs, cipher=cipher)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._version = _number(self._reader, "version")  # up to which the writes of others are known
        self._commits = -1  # SQLite's number of what was committed, at the last look
        self._own: set[int] = set()  # versions of own writes since then
        self._writer.start()

    async def get(self, key: str) -> Item | None:
        """The row, or None."""
        now_ms = self._now_ms()
        where = f"WHERE key = ?2 AND {_ALIVE}"
        return await self._read(lambda reader: next(_items(reader, where, (now_ms, key)), None))

    async def list(self, prefix: str, *, after: str = "", limit: int) -> list[Item]:
        """The rows whose keys begin with the prefix, by key."""
        where = f"WHERE key >= ?2 AND key > ?3 AND {_ALIVE} ORDER BY key LIMIT ?4"
        values = (self._now_ms(), prefix, after, limit)
        return await self._read(
            lambda reader: list(takewhile(lambda item: item.key.startswith(prefix), _items(reader, where, values)))
        )

    async def write(self, *changes: Put | Delete) -> int:
        """All of the changes, or none."""
        check(changes)
        now_ms = self._now_ms()
        outcome = await self._writer.submit(lambda connection: _write(connection, changes, now_ms))
        if isinstance(outcome, Conflict):
            raise outcome
        self._own.add(outcome)
        return outcome

    async def changed_elsewhere(self) -> bool:
        """See `store/watch.py`: there are versions that are not of our own writes."""

        def look(reader: apsw.Connection) -> tuple[int, int]:
            commits = reader.execute("PRAGMA data_version").get  # the method of this name sees no other connection
            return commits, self._version if commits == self._commits else _number(reader, "version")

        self._commits, version = await self._read(look)
        others = any(number not in self._own for number in range(self._version + 1, version + 1))
        self._version = version
        self._own = {number for number in self._own if number > version}
        return others

    async def expire(self, *, items_max: int = 500) -> int:
        """Delete rows that have expired."""
        now_ms = self._now_ms()
        return await self._writer.submit(lambda connection: _expire(connection, now_ms, items_max))

    def close(self) -> None:
        """Write what is queued, and close."""
        self._reading.shutdown(wait=True)
        self._reader.close()
        self._writer.close()

    async def _read(self, ask: Callable[[apsw.Connection], Found]) -> Found:
        def run() -> Found:
            with storage_errors():
                return ask(self._reader)

        return await self._loop.run_in_executor(self._reading, run)


def _items(connection: apsw.Connection, where: str, values: tuple[str | int | bytes, ...]) -> Iterator[Item]:
    cipher = cipher_of(connection)
    for key, version, expires_ms, crc, value in query(connection, _SELECT + where, values):
        if not isinstance(value, bytes) or seal(value, "store", key, version, expires_ms) != crc:
            raise damaged("store", key)
        yield Item(key, cipher.open(value, "store", key, version, expires_ms), version, expires_ms)


def _number(connection: apsw.Connection, name: str) -> int:
    found = meta(connection, name)
    if not isinstance(found, int):
        raise damaged("meta", name)
    return found


def _write(connection: apsw.Connection, changes: tuple[Put | Delete, ...], now_ms: int) -> int | Conflict:
    """Nothing is written before each change has been found to be as expected."""
    before: set[str] = set()  # what is in the file, expired or not
    for each in changes:
        stored = next(_items(connection, "WHERE key = ?1", (each.key,)), None)
        is_alive = stored is not None and not 0 < stored.expires_ms <= now_ms
        version = stored.version if stored is not None and is_alive else ABSENT
        if each.expected not in (ANY, version):
            return Conflict(each.key, version)
        if stored is not None:
            before.add(each.key)
    version, items = _number(connection, "version") + 1, _number(connection, "items")
    for each in changes:
        if isinstance(each, Put):
            _put(connection, each.key, version, each.expires_ms, each.value)
            items += each.key not in before
        elif each.key in before:
            connection.execute("DELETE FROM item WHERE key = ?", (each.key,))
            items -= 1
    set_meta(connection, version=version, items=items)
    return version


def _put(connection: apsw.Connection, key: str, version: int, expires_ms: int, value: bytes) -> None:
    stored = cipher_of(connection).close(value, "store", key, version, expires_ms)
    row = (key, version, expires_ms, seal(stored, "store", key, version, expires_ms), stored)
    connection.execute("REPLACE INTO item VALUES(?, ?, ?, ?, ?)", row)


def rekey(path: Path, cipher: Cipher) -> int:
    """Encrypt by the newest key whatever is not, as `log/rekey.py` does; nobody else has the file open.

    Returns:
        How many rows that were.

    Raises:
        StorageError: see `open_store`.
    """
    with storage_errors(), closing(open_store(path, cipher=cipher)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        outdated = "WHERE substr(value, 1, ?) != ?"
        items = list(_items(connection, outdated, (len(cipher.prefix), cipher.prefix)))
        with connection:
            for item in items:
                _put(connection, item.key, item.version, item.expires_ms, item.value)
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return len(items)


def check_key(path: Path, cipher: Cipher) -> None:
    """Whether every row of a file can be read with the keys.

    Raises:
        StorageError: `encryption_key_missing`, `storage_corrupt`.
    """
    with storage_errors(), closing(connect(path, cipher=cipher)) as connection:
        for _ in _items(connection, "", ()):
            pass


def _expire(connection: apsw.Connection, now_ms: int, items_max: int) -> int:
    expired = "SELECT key FROM item WHERE expires_ms > 0 AND expires_ms <= ? ORDER BY expires_ms LIMIT ?"
    keys = [(key,) for (key,) in query(connection, expired, (now_ms, items_max))]
    if keys:
        connection.executemany("DELETE FROM item WHERE key = ?", keys)
        set_meta(connection, items=_number(connection, "items") - len(keys))
    return len(keys)

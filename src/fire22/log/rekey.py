"""Encrypts a file's rows anew: those of before there was a key, and those of an older one."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.log.cipher import VARIABLE, Cipher, cipher_of
from fire22.log.database import meta, query, set_meta, storage_errors
from fire22.log.file import ENCRYPTED, SEALED, open_file
from fire22.log.seal import damaged, seal

ROWS: Final = 5_000  # in one transaction
_PLAIN: Final = b"null"  # a document that is gone says nothing


def rekey(path: Path, cipher: Cipher, told: Callable[[int], None] = lambda _done: None) -> int:
    """Encrypt by the newest key whatever is not; nobody else has the file open.

    No former row is left in the file or beside it: it is written anew in the end. What was done when it is interrupted
    need not be done again.

    Args:
        told: how many rows have been encrypted.

    Returns:
        How many rows that were.

    Raises:
        SetupError: `config_invalid`, there is no key.
        StorageError: `encryption_key_missing`, some are encrypted by a key that is not there; `storage_corrupt`.
    """
    if not cipher.is_active:
        raise SetupError(codes.CONFIG_INVALID, f"There is no key: `[encryption] key_file` names it, or {VARIABLE}.")
    done = 0
    with storage_errors(), closing(open_file(path, cipher=cipher)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        for table in ENCRYPTED:
            last: tuple[str | int, ...] = ()
            while (page := _page(connection, table, last))[0]:
                last, count = page
                done += count
                told(done)
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return done


def outdated(connection: apsw.Connection) -> int:
    """How many rows are not encrypted by the newest key of the connection."""
    prefix = cipher_of(connection).prefix
    count = 0
    for table in ENCRYPTED:
        body = SEALED[table][2]
        select = f"SELECT count(*) FROM {table} WHERE substr({body}, 1, ?) != ? AND {body} != ?"  # nosec B608  # tables and columns of the own file
        count += next(query(connection, select, (len(prefix), prefix, _PLAIN)))[0]
    return count


def _page(connection: apsw.Connection, table: str, after: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], int]:
    """Go over some rows after a key: the last one's key, and how many were encrypted; no key at the end."""
    cipher = cipher_of(connection)
    key_columns, sealed, body = SEALED[table]
    names = sealed.split(", ")[:key_columns]
    key = ", ".join(names)
    where = f"WHERE ({key}) > ({', '.join('?' * key_columns)})" if after else ""
    select = f"SELECT {sealed}, crc, {body} FROM {table} {where} ORDER BY {key} LIMIT {ROWS}"  # nosec B608  # tables and columns of the own file
    rows = list(query(connection, select, after))
    if not rows:
        return (), 0
    changed = []
    grown = 0
    for *of, crc, content in rows:
        if content.startswith(cipher.prefix) or content == _PLAIN:
            continue
        if seal(content, table, *of) != crc:
            raise damaged(table, " ".join(map(str, of[:key_columns])))
        stored = cipher.close(cipher.open(content, table, *of), table, *of)
        grown += len(stored) - len(content)
        changed.append((seal(stored, table, *of), stored, *of[:key_columns]))
    with connection:
        update = f"UPDATE {table} SET crc = ?, {body} = ? WHERE {' AND '.join(f'{name} = ?' for name in names)}"  # nosec B608  # tables and columns of the own file
        connection.executemany(update, changed)
        if table == "feed" and grown:
            set_meta(connection, feed_bytes=int(meta(connection, "feed_bytes") or 0) + grown)
    return tuple(rows[-1][:key_columns]), len(changed)

"""The rows of the log's table in the file: written with their seals, verified when they are read."""

from collections.abc import Iterator
from typing import Any, Final, cast

import apsw

from fire22.log.cipher import Cipher, cipher_of
from fire22.log.database import query
from fire22.log.seal import damaged, seal

SELECT: Final = "SELECT seq, grp, id, crc, body FROM log"

# A group's number is when it was written, in milliseconds; in rows of older versions it is the seq of its first event.
_TIMES_BEGIN: Final = 1 << 40  # in 2004


def committed_ms(group: int) -> int:
    """When the rows of a group were written, by its number; 0 where that does not tell."""
    return group if group >= _TIMES_BEGIN else 0


def stored_rows(connection: apsw.Connection, after: int = 0) -> Iterator[tuple[int, int, str, int, bytes]]:
    """The rows of the log after seq `after`, in order: each as it is stored, and none missing.

    Raises:
        StorageError: `storage_corrupt` names the row that is damaged or missing.
    """
    for row in query(connection, f"{SELECT} WHERE seq > ? ORDER BY seq", (after,)):
        check_row(row)
        if after and row[0] != after + 1:
            raise damaged("log", after + 1)
        after = row[0]
        yield cast("tuple[int, int, str, int, bytes]", row)


def read_rows(connection: apsw.Connection, after: int = 0) -> Iterator[tuple[int, int, str, int, bytes]]:
    """The same, each with the event's JSON.

    Raises:
        StorageError: `storage_corrupt` names the row that is damaged or missing; `encryption_key_missing`.
    """
    open = cipher_of(connection).open
    for seq, group, id, crc, body in stored_rows(connection, after):
        yield seq, group, id, crc, open(body, "log", seq, group, id)


def check_key(connection: apsw.Connection) -> None:
    """Whether the newest event can be read with the connection's keys.

    Raises:
        StorageError: `encryption_key_missing`, `storage_corrupt`.
    """
    for seq, group, id, _, body in query(connection, f"{SELECT} ORDER BY seq DESC LIMIT 1"):
        cipher_of(connection).open(body, "log", seq, group, id)


def check_row(row: tuple[Any, ...]) -> None:
    """Whether a row of the log is as it was written.

    Raises:
        StorageError: `storage_corrupt`.
    """
    seq, group, id, crc, body = row
    if not isinstance(body, bytes) or seal(body, "log", seq, group, id) != crc:
        raise damaged("log", seq)


def sealed_row(cipher: Cipher, seq: int, group: int, id: str, body: bytes) -> tuple[int, int, str, int, bytes]:
    """The row of an event."""
    body = cipher.close(body, "log", seq, group, id)
    return seq, group, id, seal(body, "log", seq, group, id), body

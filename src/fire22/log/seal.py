"""The seal of each stored row: a checksum that is verified whenever the row is read, so that damage is never served.

It covers all that the row holds and names, its table and key included: a row in another's place is damage too. SQLite
itself notices damage only where its own structure suffers; that is checked when a file is opened, since rows that a
broken page hides are missed by no checksum of others.

Limits: CRC-32 misses one damaged row in four billion, and is no protection against somebody who means harm. The index
of the events' ids is compared with the log by `fire22 check` alone.

Rejected: a checksum of each page by a file layer of our own (every read and write through Python, and files that no
other program can write); a cryptographic digest (ten times the time).
"""

from typing import Final
from zlib import crc32

from fire22.core import codes
from fire22.core.errors import StorageError

ORIGINAL: Final = frozenset(("log", "source", "meta", "store"))  # all other tables follow from the log
RESTORE: Final = "restore a backup with `fire22 restore`"
REPAIR: Final = "stop the server and run `fire22 check --repair`, which makes it again from the log"


def seal(body: object, *of: str | int) -> int:
    """The seal of a row.

    Args:
        body: bytes, or any of SQLite's values.
        of: its table, its key, and what else it holds, in order.
    """
    content = body if isinstance(body, bytes) else repr(body).encode(errors="replace")
    return crc32(content, crc32("\0".join(map(str, of)).encode(errors="replace")))


def damaged(table: str, what: object) -> StorageError:
    """The error for a row that does not match its seal, with the way out."""
    way = RESTORE if table in ORIGINAL else REPAIR
    return StorageError(codes.STORAGE_CORRUPT, f"{table} {what} is damaged: {way}.")

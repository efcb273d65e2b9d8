"""The demo book's SQLite file: how it is opened, one writing transaction, and what its errors are to us."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from fire22.core import codes
from fire22.core.errors import BookError

BUSY_TIMEOUT_MS: Final = 10_000
CACHE_KIB: Final = 32_768  # settling touches rows from all over the book
CHECKPOINT_PAGES: Final = 4_000  # 16 MB: many pages are then copied back once for several transactions


def connect(path: Path) -> apsw.Connection:
    """A connection to an existing book, for writing; `synchronous=NORMAL`.

    Raises:
        BookError: `book_missing`, or as `book_errors`.
    """
    if not path.is_file():
        raise BookError(codes.BOOK_MISSING, f"There is no book at {path}.")
    with book_errors(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.execute("PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}; PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    return connection


@contextmanager
def book_errors(path: Path) -> Iterator[None]:
    """Say what SQLite reports about a book with our own codes."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError, apsw.ProtocolError) as error:
        raise BookError(codes.BOOK_LOCKED, f"Another program holds the lock of {path.name}.") from error
    except (apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise BookError(codes.BOOK_READONLY, f"{path.name} cannot be written.") from error
    except apsw.FullError as error:
        message = f"{path.name} cannot be written: its disk is full."
        raise BookError(codes.BOOK_READONLY, message, temporary=True) from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise BookError(codes.BOOK_CORRUPT, f"{path.name} is damaged or not an SQLite database.") from error
    except (apsw.CantOpenError, apsw.IOError) as error:
        message = f"{path.name} cannot be read or written now."
        raise BookError(codes.BOOK_READONLY, message, temporary=True) from error
    except apsw.SQLError as error:
        raise BookError(codes.BOOK_SCHEMA, f"{path.name} is not a demo book: {error}.") from error


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """One writing transaction; inside another one, part of it."""
    if not connection.getautocommit():
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise

"""Opens a user's SQLite database, and says what SQLite reports about it with our own codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from fire22.core import codes
from fire22.core.errors import BookError

BUSY_TIMEOUT_MS: Final = 5000


def connect(path: Path, flags: int = apsw.SQLITE_OPEN_READWRITE) -> apsw.Connection:
    """A connection to a user's database that waits for who holds its lock: also who only reads may meet one, such as
    that of another connection's end.

    Raises:
        apsw.Error: as SQLite says.
    """
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    return connection


@contextmanager
def book_errors(path: Path) -> Iterator[None]:
    """Say what SQLite reports about the user's database with our own codes."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError, apsw.ProtocolError) as error:
        raise BookError(codes.BOOK_LOCKED, f"Another program holds the lock of {path.name}.") from error
    except (apsw.ReadOnlyError, apsw.PermissionsError, apsw.AuthError) as error:
        raise BookError(codes.BOOK_READONLY, f"{path.name} cannot be written.") from error
    except apsw.FullError as error:
        message = f"{path.name} cannot be written: its disk is full."
        raise BookError(codes.BOOK_READONLY, message, temporary=True) from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise BookError(codes.BOOK_CORRUPT, f"{path.name} is damaged or not an SQLite database.") from error
    except apsw.CantOpenError as error:
        raise BookError(codes.BOOK_MISSING, f"{path.name} cannot be opened.") from error
    except apsw.IOError as error:
        message = f"{path.name} cannot be read or written now."
        raise BookError(codes.BOOK_READONLY, message, temporary=True) from error
    except apsw.SQLError as error:
        raise BookError(codes.BOOK_SCHEMA, f"{path.name} is not as the triggers need it: {error}.") from error

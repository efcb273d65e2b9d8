"""Opens a user's PostgreSQL database, and says what the server reports about it with our own codes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import conninfo, errors

from fire22.core import codes
from fire22.core.errors import BookError

CONNECT_S: Final = 10
LOCK_MS: Final = 5000
# How values are written as JSON must not hang on what the server or the role has set.
SETTINGS: Final = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}

# An address with a password; one that is not encoded is taken for a host or a database, and named as such.
_SECRET: Final = re.compile(r"//[^@]*:[^@]*@|password", re.IGNORECASE)

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(dsn: str) -> Connection:
    """A connection on which each statement is a transaction of its own, unless one is begun.

    Raises:
        psycopg.Error: as the server says.
    """
    options = " ".join(f"-c {name}={value}" for name, value in {**SETTINGS, "lock_timeout": str(LOCK_MS)}.items())
    asked = conninfo.conninfo_to_dict(dsn).get("options")
    return psycopg.connect(
        dsn,
        autocommit=True,
        connect_timeout=CONNECT_S,
        client_encoding="utf8",
        application_name="fire22",
        options=f"{asked} {options}" if asked else options,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )


def title(dsn: str) -> str:
    """What a person calls the book: its database, without whatever is secret in the address."""
    try:
        parts = conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        return "the book"
    name = str(parts.get("dbname") or parts.get("user") or "the book")
    return name if not _SECRET.search(dsn) or re.fullmatch(r"[\w .-]+", name) else "the book"


@contextmanager
def book_errors(dsn: str) -> Iterator[None]:
    """Say what the server reports about the user's database with our own codes."""
    name = title(dsn)
    try:
        yield
    except (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure) as error:
        raise BookError(codes.BOOK_LOCKED, f"Another program holds a lock of {name}.", temporary=True) from error
    except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction) as error:
        message = f"The role of the address has not the rights that are needed in {name}: {_said(error, dsn)}."
        raise BookError(codes.BOOK_READONLY, message) from error
    except errors.DiskFull as error:
        raise BookError(codes.BOOK_READONLY, f"{name} cannot be written: its disk is full.", temporary=True) from error
    except (errors.DataCorrupted, errors.IndexCorrupted) as error:
        raise BookError(codes.BOOK_CORRUPT, f"{name} is damaged.") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise BookError(
            codes.BOOK_MISSING, f"{name} cannot be reached: {_said(error, dsn)}.", temporary=True
        ) from error
    except psycopg.Error as error:
        raise BookError(codes.BOOK_SCHEMA, f"{name} is not as the triggers need it: {_said(error, dsn)}.") from error


def _said(error: psycopg.Error, dsn: str) -> str:
    if error.diag.message_primary is None and _SECRET.search(dsn):
        return "the address cannot be used (it holds a password, so no more is said of it)"
    text = error.diag.message_primary or (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return text.strip().rstrip(".")

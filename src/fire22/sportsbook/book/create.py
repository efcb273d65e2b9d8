"""Creates a book of the demo schema, with its triggers: whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path

import apsw

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.core.outbox import Clock, Install
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.book.database import transaction
from fire22.sportsbook.book.schema import OUTBOX, TABLES_SQL
from fire22.sportsbook.book.writer import write

Row = tuple[str, tuple[str, ...]]  # SQL and its values


def create_book(
    path: Path, *, install: Install, clock: Clock = "wall", rows: Iterable[Row] = (), opening: Iterable[Change] = ()
) -> None:
    """Create a book with its triggers; whole or not at all.

    Args:
        path: the file to create.
        install: `sources.sqlite.install.install`.
        clock: `recorded` for a book that brings its own time.
        rows: what tables that no change writes hold from the start.
        opening: what is written first.

    Raises:
        SetupError: `config_invalid`, there is a file at `path`.
    """
    if path.exists():
        raise SetupError(codes.CONFIG_INVALID, f"There is a file at {path} already; go on with it or name another.")
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    connection = apsw.Connection(str(part))
    try:
        connection.execute("PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON")
        with transaction(connection):
            connection.execute(TABLES_SQL)
            for sql, values in rows:
                connection.execute(sql, values)
            write(connection, opening)
    finally:
        connection.close()
    install(part, OUTBOX, bootstrap=True, clock=clock)
    _make_durable(part, path)


def _make_durable(part: Path, path: Path) -> None:
    connection = apsw.Connection(str(part), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    _sync(part)
    part.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

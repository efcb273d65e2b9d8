"""Installs an outbox in a user's SQLite database, and removes it; knows nothing of what the tables mean.

Everything happens in one transaction of the user's database: the tables, the triggers, and the bootstrap that writes
the rows which are already there. So the first trigger fires right after the last imported row, and a crash leaves
either all or nothing. Running it again changes nothing; a trigger whose SQL changed is replaced.

Limits: `UPDATE OR REPLACE` that removes another row is seen only with `recursive_triggers`. While triggers are
uninstalled with `keep_outbox`, changes are not recorded; a later install says so (`gap_since`) and does not import
twice.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import META, OUTBOX, PREFIX, REPLACED, TABLES, Clock, OutboxSchema, TableNeed
from fire22.core.times import to_ms, to_text

BUSY_TIMEOUT_MS: Final = 5000
BOOK_ID_BYTES: Final = 6


class Plan(Struct, frozen=True):
    """What an installation would do.

    Args:
        tables: tables to create.
        create: triggers and views to create.
        replace: those whose SQL changed.
        drop: those of an older version that are no longer wanted.
        bootstrap: whether the rows that are there would be written to the outbox.
        record: whether only the schema's name or version in `fire22_meta` differs.
    """

    tables: tuple[str, ...] = ()
    create: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    bootstrap: bool = False
    record: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return self == Plan()


class InstallReport(Struct, frozen=True):
    """What an installation did.

    Args:
        book_id: names the book in the ids of its events.
        plan: what was done; empty when all was in place.
        imported: rows written to the outbox by the bootstrap.
        gap_since: when triggers were uninstalled and the outbox kept; changes since then were not recorded. "" = none.
    """

    book_id: str
    plan: Plan
    imported: int
    gap_since: str


class OutboxStatus(Struct, frozen=True):
    """How an outbox stands.

    Args:
        installed: whether the outbox and at least one trigger are there; the rest is empty without an outbox.
        triggers: how many triggers of ours there are.
        trimmed_to: the highest outbox number that was trimmed.
        last: the highest outbox number ever given; 0 = none.
        waiting: rows in the outbox now.
    """

    installed: bool
    book_id: str = ""
    schema: str = ""
    version: int = 0
    clock: str = ""
    triggers: int = 0
    trimmed_to: int = 0
    last: int = 0
    waiting: int = 0


def plan(connection: apsw.Connection, schema: OutboxSchema, *, bootstrap: bool = True) -> Plan:
    """What `install` would do now; changes nothing.

    Raises:
        BookError: `book_schema` names every missing table and column.
    """
    _check_needs(connection, schema.tables)
    tables = _names(connection, "table")
    present = _triggers(connection) | _views(connection)
    wanted = dict((*schema.views, *schema.triggers))
    meta = _meta(connection) if META in tables else {}
    return Plan(
        tables=tuple(name for name, _ in TABLES if name not in tables),
        create=tuple(name for name in wanted if name not in present),
        replace=tuple(name for name in wanted if name in present and present[name] != _normal(wanted[name])),
        drop=tuple(sorted(name for name in present if name not in wanted)),
        bootstrap=bootstrap and "bootstrapped" not in meta,
        record=bool(meta) and (meta["schema"], meta["version"]) != (schema.name, str(schema.version)),
    )


def is_current(path: Path, schema: OutboxSchema) -> bool:
    """Whether a database has just the triggers of a schema.

    Raises:
        BookError: as `install`.
    """
    with _opened(path) as connection, book_errors(path):
        return plan(connection, schema, bootstrap=False).empty


def install(path: Path, schema: OutboxSchema, *, bootstrap: bool = True, clock: Clock = "wall") -> InstallReport:
    """Install the triggers and the outbox, or bring them up to date; idempotent, in one transaction.

    Args:
        path: the user's database; it must exist.
        schema: the triggers and what they need.
        bootstrap: write the rows that are there to the outbox, once in the book's life.
        clock: whose time the book follows; kept as it was first said.

    Raises:
        BookError: `book_missing`, `book_locked`, `book_readonly`, `book_corrupt`, or `book_schema`.
    """
    with _opened(path) as connection, book_errors(path), _transaction(connection):
        todo = plan(connection, schema, bootstrap=bootstrap)
        gap_since = _meta(connection).get("uninstalled", "") if META not in todo.tables else ""
        imported = 0
        if not todo.empty:
            _create_tables(connection, todo)
            _record(connection, schema, clock)
            _change_triggers(connection, schema, todo)
            _check_triggers(connection, schema)
            imported = _bootstrap(connection, schema) if todo.bootstrap else 0
        return InstallReport(_meta(connection)["book_id"], todo, imported, gap_since)


def uninstall(path: Path, *, keep_outbox: bool = False) -> tuple[str, ...]:
    """Remove every trigger and view of ours, and the outbox too unless it is kept to be read to its end.

    Returns:
        The names of what was removed.

    Raises:
        BookError: as `install`.
    """
    with _opened(path) as connection, book_errors(path), _transaction(connection):
        triggers, views = tuple(sorted(_triggers(connection))), tuple(sorted(_views(connection)))
        for name in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        for name in views:
            connection.execute(f'DROP VIEW "{name}"')
        ours = (OUTBOX, META, REPLACED)
        tables = tuple(name for name in ours if name in _names(connection, "table"))
        if keep_outbox:
            if triggers and META in tables:
                _put(connection, "uninstalled", _now())
            return (*triggers, *views)
        for name in tables:
            connection.execute(f"DROP TABLE {name}")
        return (*triggers, *views, *tables)


def status(connection: apsw.Connection) -> OutboxStatus:
    """How the outbox of an open database stands."""
    if not {META, OUTBOX} <= _names(connection, "table"):
        return OutboxStatus(installed=False)
    meta = _meta(connection)
    triggers = len(_triggers(connection))
    return OutboxStatus(
        installed=triggers > 0,
        book_id=meta["book_id"],
        schema=meta["schema"],
        version=int(meta["version"]),
        clock=meta["clock"],
        triggers=triggers,
        trimmed_to=int(meta["trimmed_to"]),
        last=_integer(connection, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'fire22_outbox'"),
        waiting=_integer(connection, "SELECT count(*) FROM fire22_outbox"),
    )


@contextmanager
def book_errors(path: Path) -> Iterator[None]:
    """Say what SQLite reports about the user's database with our own codes."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
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
    except apsw.SQLError as error:
        raise BookError(codes.BOOK_SCHEMA, f"{path.name} is not as the triggers need it: {error}.") from error


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    """A connection that never creates the file."""
    if not path.is_file():
        raise BookError(codes.BOOK_MISSING, f"There is no database at {path}.")
    with book_errors(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        yield connection
    finally:
        connection.close()


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """One writing transaction; its lock is taken at the start, so that what is read stays true."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_needs(connection: apsw.Connection, needs: tuple[TableNeed, ...]) -> None:
    missing: list[str] = []
    for need in needs:
        rows = connection.execute("SELECT lower(name) FROM pragma_table_xinfo(?)", (need.name,))
        columns = {str(row[0]) for row in rows}
        if not columns:
            missing.append(need.name)
        else:
            missing.extend(f"{need.name}.{name}" for name in need.columns if name.lower() not in columns)
    if missing:
        raise BookError(codes.BOOK_SCHEMA, f"The book lacks what the triggers need: {', '.join(missing)}.")


def _create_tables(connection: apsw.Connection, todo: Plan) -> None:
    for name, sql in TABLES:
        if name in todo.tables:
            connection.execute(sql)


def _record(connection: apsw.Connection, schema: OutboxSchema, clock: Clock) -> None:
    first = {"book_id": secrets.token_hex(BOOK_ID_BYTES), "clock": clock, "trimmed_to": "0"}
    connection.executemany("INSERT OR IGNORE INTO fire22_meta VALUES(?, ?)", first.items())
    _put(connection, "schema", schema.name)
    _put(connection, "version", str(schema.version))
    connection.execute("DELETE FROM fire22_meta WHERE key = 'uninstalled'")


def _change_triggers(connection: apsw.Connection, schema: OutboxSchema, todo: Plan) -> None:
    views = _views(connection)
    for name in (*todo.drop, *todo.replace):
        connection.execute(f'DROP {"VIEW" if name in views else "TRIGGER"} "{name}"')
    for name, sql in (*schema.views, *schema.triggers):
        if name in todo.create or name in todo.replace:
            connection.execute(_normal(sql))


def _check_triggers(connection: apsw.Connection, schema: OutboxSchema) -> None:
    """Compile every trigger now: SQLite itself would complain only in the user's first transaction."""
    for need in schema.tables:
        assignments = ", ".join(f'"{name}" = "{name}"' for name in need.columns)
        for sql in (
            f'INSERT INTO "{need.name}" DEFAULT VALUES',
            f'UPDATE "{need.name}" SET {assignments}',
            f'DELETE FROM "{need.name}"',
        ):
            try:
                connection.execute(f"EXPLAIN {sql}")
            except apsw.SQLError as error:
                raise BookError(codes.BOOK_SCHEMA, f"The triggers do not fit {need.name}: {error}.") from error


def _bootstrap(connection: apsw.Connection, schema: OutboxSchema) -> int:
    before = connection.total_changes()
    for sql in schema.bootstrap:
        connection.execute(sql)
    imported = connection.total_changes() - before
    _put(connection, "bootstrapped", _now())
    return imported


def _names(connection: apsw.Connection, kind: str) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = ?", (kind,))
    return {str(row[0]) for row in rows}


def _triggers(connection: apsw.Connection) -> dict[str, str]:
    """Our triggers that are there: name → SQL."""
    return _ours(connection, "trigger")


def _views(connection: apsw.Connection) -> dict[str, str]:
    """Our views that are there: name → SQL."""
    return _ours(connection, "view")


def _ours(connection: apsw.Connection, kind: str) -> dict[str, str]:
    sql = "SELECT name, sql FROM sqlite_schema WHERE type = ? AND substr(name, 1, ?) = ?"
    return {str(row[0]): _normal(str(row[1])) for row in connection.execute(sql, (kind, len(PREFIX), PREFIX))}


def _normal(sql: str) -> str:
    """SQL as SQLite keeps it: without the closing semicolon and the space around."""
    return re.sub(r"^\s*CREATE\s+TRIGGER\s+", "CREATE TRIGGER ", sql, flags=re.IGNORECASE).strip().rstrip(";").rstrip()


def _meta(connection: apsw.Connection) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in connection.execute("SELECT key, value FROM fire22_meta")}


def _put(connection: apsw.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO fire22_meta VALUES(?, ?)", (key, value))


def _integer(connection: apsw.Connection, sql: str) -> int:
    value = connection.execute(sql).get
    if not isinstance(value, int):
        raise AssertionError(f"not an integer: {value!r}")
    return value


def _now() -> str:
    return to_text(to_ms(datetime.now(UTC)))

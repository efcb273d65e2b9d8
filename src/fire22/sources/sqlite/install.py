"""Installs in a user's SQLite database what copies its changes, and removes it; knows nothing of what the tables mean.

Everything happens in one transaction of the user's database, so a crash leaves either all or nothing. Running it again
changes nothing; a trigger whose SQL changed is replaced. Rows that are there are brought in by the first reader, from
one consistent reading that knows which changes it holds already.

Whenever anything was changed, the book gets a new `generation`: whoever reads it then compares all of it with what it
knows (`sources/mirror/`), so that what was written while triggers were missing is brought in.

What versions up to 4 left (triggers that write facts, an outbox of facts) is replaced; facts that nobody has read yet
stay in `fire22_outbox` and are read first.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import (
    CHANGES,
    LAYOUT_SQL,
    META,
    META_SQL,
    OUTBOX,
    PREFIX,
    REPLACED,
    Clock,
    OutboxSchema,
    TableNeed,
    changes_columns,
    changes_sql,
    layout,
    quoted,
    triggers,
    width,
)
from fire22.sources.sqlite.connection import book_errors, connect

BOOK_ID_BYTES: Final = 6


class Plan(Struct, frozen=True):
    """What an installation would do.

    Args:
        tables: tables to create.
        columns: how many places for values the table of changes lacks.
        create: triggers to create.
        replace: those whose SQL changed.
        drop: triggers and views of an older version that are no longer wanted.
        record: whether only the schema's name or version in `fire22_meta` differs.
    """

    tables: tuple[str, ...] = ()
    columns: int = 0
    create: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
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
        first: whether the book had never been connected.
    """

    book_id: str
    plan: Plan
    first: bool


class OutboxStatus(Struct, frozen=True):
    """How a book stands.

    Args:
        installed: whether the table of changes and at least one trigger are there; the rest is empty without a table.
        generation: differs after each installation that changed something.
        bootstrap: whether a first reader brings in the rows that are there.
        upgraded: whether facts of an older version were told of the book.
        triggers: how many triggers of ours there are.
        trimmed_to: the highest number of a change that was trimmed.
        last: the highest number ever given; 0 = none.
        waiting: rows in the table of changes now.
    """

    installed: bool
    book_id: str = ""
    schema: str = ""
    version: int = 0
    clock: str = ""
    generation: str = ""
    bootstrap: bool = True
    upgraded: bool = False
    triggers: int = 0
    trimmed_to: int = 0
    last: int = 0
    waiting: int = 0


def plan(connection: apsw.Connection, schema: OutboxSchema) -> Plan:
    """What `install` would do now; changes nothing.

    Raises:
        BookError: `book_schema` names every missing table and column.
    """
    _check_needs(connection, schema.tables)
    tables = _names(connection, "table")
    present = _triggers(connection) | _views(connection)
    wanted = dict(triggers(schema.tables))
    meta = read_meta(connection) if META in tables else {}
    return Plan(
        tables=tuple(name for name in (META, CHANGES) if name not in tables),
        columns=_missing_columns(connection, schema) if CHANGES in tables else 0,
        create=tuple(name for name in wanted if name not in present),
        replace=tuple(name for name in wanted if name in present and present[name] != wanted[name]),
        drop=tuple(sorted(name for name in present if name not in wanted)),
        record=bool(meta) and (meta["schema"], meta["version"]) != (schema.name, str(schema.version)),
    )


def missing(connection: apsw.Connection, schema: OutboxSchema) -> list[str]:
    """The triggers that are not as they should be, or what else keeps a book's changes from being seen."""
    present, wanted = _triggers(connection), dict(triggers(schema.tables))
    tables = {name.lower() for name in _names(connection, "table")}
    gone = [need.name for need in schema.tables if need.name.lower() not in tables]
    return [*gone, *(name for name, sql in wanted.items() if present.get(name) != sql)]


def is_current(path: Path, schema: OutboxSchema) -> bool:
    """Whether a database has just the triggers of a schema.

    Raises:
        BookError: as `install`.
    """
    with _opened(path) as connection, book_errors(path):
        return plan(connection, schema).empty


def install(
    path: Path,
    schema: OutboxSchema,
    *,
    bootstrap: bool = True,
    clock: Clock = "wall",
    again: bool = False,
    book_id: str = "",
) -> InstallReport:
    """Install the triggers and the table of changes, or bring them up to date; idempotent, in one transaction.

    Args:
        path: the user's database; it must exist.
        schema: what is told of which tables.
        bootstrap: whether the rows that are there are brought in by the first reader.
        clock: whose time the book follows, where the schema leaves it open; kept as it was first said.
        again: let readers compare the whole book with what they know, also where nothing had to be changed.
        book_id: that the book had before its triggers were removed, so that readers know it as the same one; they
            compare the whole book. Empty leaves it as it is.

    Raises:
        BookError: `book_missing`, `book_locked`, `book_readonly`, `book_corrupt`, or `book_schema`.
    """
    with _opened(path) as connection, book_errors(path), _transaction(connection):
        todo = plan(connection, schema)
        first = META in todo.tables
        if not todo.empty or again or book_id:
            _create_tables(connection, schema, todo)
            _record(connection, schema, clock if schema.clock == "wall" else schema.clock, bootstrap=bootstrap)
            if book_id:
                _put(connection, "book_id", book_id)
            _change_triggers(connection, schema, todo)
            _check_triggers(connection, schema)
        return InstallReport(read_meta(connection)["book_id"], todo, first)


def uninstall(path: Path, *, keep_outbox: bool = False) -> tuple[str, ...]:
    """Remove every trigger of ours, and the table of changes too unless it is kept to be read to its end.

    Returns:
        The names of what was removed.

    Raises:
        BookError: as `install`.
    """
    with _opened(path) as connection, book_errors(path), _transaction(connection):
        gone, views = tuple(sorted(_triggers(connection))), tuple(sorted(_views(connection)))
        for name in gone:
            connection.execute(f"DROP TRIGGER {quoted(name)}")
        for name in views:
            connection.execute(f"DROP VIEW {quoted(name)}")
        tables = tuple(name for name in (CHANGES, OUTBOX, META, REPLACED) if name in _names(connection, "table"))
        if keep_outbox:
            return (*gone, *views)
        for name in tables:
            connection.execute(f"DROP TABLE {name}")
        return (*gone, *views, *tables)


def status(connection: apsw.Connection) -> OutboxStatus:
    """How the changes of an open database stand."""
    tables = _names(connection, "table")
    if not {META, CHANGES} <= tables:
        return OutboxStatus(installed=False)
    meta = read_meta(connection)
    count = len(_triggers(connection))
    return OutboxStatus(
        installed=count > 0,
        book_id=meta["book_id"],
        schema=meta["schema"],
        version=int(meta["version"]),
        clock=meta["clock"],
        generation=meta.get("generation", ""),
        bootstrap=meta.get("bootstrap", "1") == "1",
        upgraded=OUTBOX in tables,
        triggers=count,
        trimmed_to=int(meta["trimmed_to"]),
        last=last_number(connection, CHANGES),
        waiting=_integer(connection, "SELECT count(*) FROM fire22_changes"),
    )


def former(connection: apsw.Connection) -> bool:
    """Whether the triggers are those of a version up to 4."""
    tables = _names(connection, "table")
    return META in tables and CHANGES not in tables and bool(_triggers(connection))


def last_number(connection: apsw.Connection, table: str) -> int:
    """The highest number that a table has ever given; 0 = none."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).get
    return found if isinstance(found, int) else 0


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    """A connection that never creates the file."""
    if not path.is_file():
        raise BookError(codes.BOOK_MISSING, f"There is no database at {path}.")
    with book_errors(path):
        connection = connect(path)
    try:
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
    lacks: list[str] = []
    for need in needs:
        rows = connection.execute("SELECT lower(name) FROM pragma_table_xinfo(?)", (need.name,))
        columns = {str(row[0]) for row in rows}
        if not columns:
            lacks.append(need.name)
            continue
        without = connection.execute("SELECT wr FROM pragma_table_list(?)", (need.name,)).get
        columns |= set() if without else {"rowid"}
        lacks.extend(f"{need.name}.{name}" for name in need.columns if name.lower() not in columns)
    if lacks:
        raise BookError(codes.BOOK_SCHEMA, f"The book lacks what the triggers need: {', '.join(lacks)}.")


def _missing_columns(connection: apsw.Connection, schema: OutboxSchema) -> int:
    rows = connection.execute("SELECT count(*) FROM pragma_table_info('fire22_changes')").get
    there = (int(str(rows)) - len(("number", "at", "source", "op"))) // 2
    return max(0, width(schema.tables) - there)


def _create_tables(connection: apsw.Connection, schema: OutboxSchema, todo: Plan) -> None:
    wanted = width(schema.tables)
    for name, sql in ((META, META_SQL), (CHANGES, changes_sql(wanted))):
        if name in todo.tables:
            connection.execute(sql)
    if todo.columns:
        there = {str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info('fire22_changes')")}
        for name in changes_columns(wanted):
            if name not in there:
                connection.execute(f"ALTER TABLE fire22_changes ADD COLUMN {name}")


def _record(connection: apsw.Connection, schema: OutboxSchema, clock: Clock, *, bootstrap: bool) -> None:
    first = {"book_id": secrets.token_hex(BOOK_ID_BYTES), "clock": clock, "bootstrap": str(int(bootstrap))}
    connection.executemany("INSERT OR IGNORE INTO fire22_meta VALUES(?, ?)", first.items())
    connection.execute("INSERT OR IGNORE INTO fire22_meta VALUES('trimmed_to', '0')")
    if "schema" not in read_meta(connection):
        asked = (f"SELECT 1 FROM {quoted(need.name)} LIMIT 1" for need in schema.tables)  # nosec B608  # names are quoted
        _put(connection, "empty", str(int(all(connection.execute(sql).get is None for sql in asked))))
    _put(connection, "schema", schema.name)
    _put(connection, "version", str(schema.version))
    _put(connection, "generation", secrets.token_hex(BOOK_ID_BYTES))
    told = layout(schema.tables).decode()
    if read_meta(connection).get("layout") != told:
        connection.execute(LAYOUT_SQL, (told,))
        _put(connection, "layout", told)


def _change_triggers(connection: apsw.Connection, schema: OutboxSchema, todo: Plan) -> None:
    views = _views(connection)
    for name in (*todo.drop, *todo.replace):
        connection.execute(f"DROP {'VIEW' if name in views else 'TRIGGER'} {quoted(name)}")
    for name, sql in triggers(schema.tables):
        if name in todo.create or name in todo.replace:
            connection.execute(sql)
    if REPLACED in _names(connection, "table"):
        # Of a version up to 4, which trimmed its own outbox; the numbers of changes begin at 1.
        connection.execute(f"DROP TABLE {REPLACED}")
        _put(connection, "trimmed_to", "0")


def _check_triggers(connection: apsw.Connection, schema: OutboxSchema) -> None:
    """Compile every trigger now: SQLite itself would complain only in the user's first transaction."""
    for need in schema.tables:
        assignments = ", ".join(f"{quoted(name)} = {quoted(name)}" for name in need.columns)
        for sql in (
            f"INSERT INTO {quoted(need.name)} DEFAULT VALUES",
            f"UPDATE {quoted(need.name)} SET {assignments}",  # nosec B608  # names are quoted
            f"DELETE FROM {quoted(need.name)}",  # nosec B608  # names are quoted
        ):
            try:
                connection.execute(f"EXPLAIN {sql}")
            except apsw.SQLError as error:
                raise BookError(codes.BOOK_SCHEMA, f"The triggers do not fit {need.name}: {error}.") from error


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
    return {str(row[0]): str(row[1]) for row in connection.execute(sql, (kind, len(PREFIX), PREFIX))}


def read_meta(connection: apsw.Connection) -> dict[str, str]:
    """What is recorded of the installation."""
    return {str(row[0]): str(row[1]) for row in connection.execute("SELECT key, value FROM fire22_meta")}


def _put(connection: apsw.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO fire22_meta VALUES(?, ?)", (key, value))


def _integer(connection: apsw.Connection, sql: str) -> int:
    value = connection.execute(sql).get
    if not isinstance(value, int):
        raise AssertionError(f"not an integer: {value!r}")
    return value

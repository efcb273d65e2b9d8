"""Installs in a user's PostgreSQL database what copies its changes, and removes it; knows nothing of what tables mean.

All of it lies in a schema of its own, `fire22`, but for two triggers at each table. Everything happens in one
transaction; running it again changes nothing. Whenever something was changed, the book gets a new `generation`: whoever
reads it then compares all of it with what it knows.

The trigger's function runs with its owner's rights, so that the book's own roles need none here, and with a search
path that nobody else can write to. It copies values and does nothing else. A column that it no longer finds does not
make the book's own write fail: that the change went unseen is kept, and `missing` says it.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import OutboxSchema, layout, literal, quoted
from fire22.sources.postgres.connection import SETTINGS, Connection, book_errors, connect
from fire22.sources.postgres.tables import Table, find, find_all

BOOK_ID_BYTES: Final = 6
VERSION_MIN: Final = 130000
LOST: Final = "lost"  # a generation begins so after a change that could not be copied
ROWS_TRIGGER: Final = "fire22_changes"
TRUNCATE_TRIGGER: Final = "fire22_truncated"

_SCHEMA: Final = (
    "CREATE SCHEMA fire22",
    "CREATE TABLE fire22.meta(key text PRIMARY KEY, value text NOT NULL)",
    # Numbers are drawn when a row is written, one by one: a cache of them would break their order.
    "CREATE TABLE fire22.changes(number bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,"
    " xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),"
    " at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),"
    " source text NOT NULL, op text NOT NULL, old jsonb, new jsonb)",
)
_SET: Final = " ".join(f"SET {name} = '{value}'" for name, value in SETTINGS.items() if name != "bytea_output")
_HEAD: Final = f"RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp {_SET}"
_TRUNCATED_BODY: Final = """
BEGIN
    UPDATE fire22.meta SET value = md5(random()::text || clock_timestamp()::text) WHERE key = 'generation';
    RETURN NULL;
END"""


class InstallReport(Struct, frozen=True):
    """What an installation did, or would do.

    Args:
        book_id: names the book in the ids of its events; empty where nothing is installed yet.
        statements: what was executed to bring it about; empty when all was in place.
        first: whether the book had never been connected.
    """

    book_id: str
    statements: tuple[str, ...]
    first: bool


def install(
    dsn: str,
    schema: OutboxSchema,
    *,
    bootstrap: bool = True,
    again: bool = False,
    book_id: str = "",
    reader: str = "",
    dry_run: bool = False,
) -> InstallReport:
    """Install the triggers and the table of changes, or bring them up to date; idempotent, in one transaction.

    Args:
        dsn: the address of the book, as a role that owns its tables and may create a schema.
        schema: what is told of which tables.
        bootstrap: whether the rows that are there are brought in by the first reader.
        again: let readers compare the whole book with what they know, also where nothing had to be changed.
        book_id: that the book had before its triggers were removed.
        reader: a role that is given the rights to read the book by them, and no others; empty gives none.
        dry_run: change nothing.

    Raises:
        BookError: `book_missing`, `book_locked`, `book_readonly` or `book_schema`.
    """
    with _opened(dsn) as connection:
        first = not exists(connection)
        tables = find_all(connection, schema.tables)
        wrong = set(missing(connection, schema))
        told = layout(schema.tables).decode()
        meta = {} if first else read_meta(connection)
        todo: list[str] = [*_SCHEMA] if first else []
        todo += _unwanted(connection, tables)
        if first:
            todo.append(_function('fire22."truncated"', _TRUNCATED_BODY))
        for table in tables:
            if table.name in wrong or first:
                todo += _of_table(table)
                todo += _of_partitions(connection, table)
        is_other = (meta.get("schema"), meta.get("version")) != (schema.name, str(schema.version))
        if todo or again or book_id or is_other or meta.get("layout") != told or meta["generation"].startswith(LOST):
            todo += _recorded(tables, schema, meta, bootstrap=bootstrap, book_id=book_id)
        if reader:
            todo += _rights(tables, reader)
        if not dry_run:
            for sql in todo:
                connection.execute(sql)
            meta = read_meta(connection)
        return InstallReport(meta.get("book_id", ""), tuple(todo), first)


def uninstall(dsn: str, *, keep_outbox: bool = False) -> tuple[str, ...]:
    """Remove every trigger of ours, and the schema too unless it is kept to be read to its end.

    Returns:
        The names of what was removed.

    Raises:
        BookError: as `install`.
    """
    with _opened(dsn) as connection:
        removed = []
        for sql in _unwanted(connection, []):
            connection.execute(sql)
            removed.append(sql.removeprefix("DROP TRIGGER "))
        if exists(connection) and not keep_outbox:
            connection.execute("DROP SCHEMA fire22 CASCADE")
            removed.append("fire22")
        return tuple(removed)


def exists(connection: Connection) -> bool:
    """Whether there is a table of changes."""
    found = connection.execute("SELECT to_regclass('fire22.changes') IS NOT NULL").fetchone()
    return found is not None and bool(found[0])


def read_meta(connection: Connection) -> dict[str, str]:
    """What is recorded of the installation."""
    return {str(key): str(value) for key, value in connection.execute("SELECT key, value FROM fire22.meta")}


def missing(connection: Connection, schema: OutboxSchema) -> list[str]:
    """The tables whose changes are not seen as they should be, and the partitions that could be emptied unseen."""
    there = {
        (int(oid), str(name)): str(body)
        for oid, name, body in connection.execute(
            "SELECT t.tgrelid::bigint, t.tgname, p.prosrc FROM pg_catalog.pg_trigger t"
            " JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname = 'fire22' AND t.tgenabled = 'A'"
        )
    }
    wrong: list[str] = []
    for need in schema.tables:
        table, lacks = find(connection, need)
        if table is None or lacks:
            wrong += lacks
            continue
        parts = [table.oid, *(oid for oid, _ in _partitions(connection, table))]
        if there.get((table.oid, ROWS_TRIGGER)) != _body(table) or any(
            there.get((oid, TRUNCATE_TRIGGER)) != _TRUNCATED_BODY for oid in parts
        ):
            wrong.append(need.name)
    return wrong


@contextmanager
def _opened(dsn: str) -> Iterator[Connection]:
    """A connection in a transaction, which is committed at the end."""
    with book_errors(dsn):
        connection = connect(dsn)
        try:
            if connection.info.server_version < VERSION_MIN:
                raise BookError(codes.BOOK_SCHEMA, "The book's server is older than PostgreSQL 13.")
            with connection.transaction():
                yield connection
        finally:
            connection.close()


def _function(name: str, body: str) -> str:
    return f"CREATE OR REPLACE FUNCTION {name}() {_HEAD} AS {literal(body)}"


def _body(table: Table) -> str:
    names = ", ".join(literal(each) for each in table.columns)

    def copied(row: str) -> str:
        return f"jsonb_build_array({', '.join(f'{row} -> {literal(each)}' for each in table.columns)})"

    return f"""
DECLARE
    o jsonb;
    n jsonb;
BEGIN
    IF TG_OP <> 'INSERT' THEN o := to_jsonb(OLD); END IF;
    IF TG_OP <> 'DELETE' THEN n := to_jsonb(NEW); END IF;
    IF NOT coalesce(n, o) ?& ARRAY[{names}] THEN
        UPDATE fire22.meta SET value = '{LOST}' || md5(random()::text)
        WHERE key = 'generation' AND left(value, 4) <> '{LOST}';
        RETURN NULL;
    END IF;
    o := CASE WHEN o IS NULL THEN NULL ELSE {copied("o")} END;
    n := CASE WHEN n IS NULL THEN NULL ELSE {copied("n")} END;
    IF TG_OP <> 'UPDATE' OR o <> n THEN
        INSERT INTO fire22.changes(source, op, old, new) VALUES ({literal(table.name)}, lower(TG_OP), o, n);
    END IF;
    RETURN NULL;
END"""  # nosec B608  # names are quoted, the rest is constant


def _of_table(table: Table) -> list[str]:
    function = f"fire22.{quoted('copy_' + table.name[:50])}"
    return [
        _function(function, _body(table)),
        f"DROP TRIGGER IF EXISTS {ROWS_TRIGGER} ON {table.sql}",
        f"CREATE TRIGGER {ROWS_TRIGGER} AFTER INSERT OR UPDATE OR DELETE ON {table.sql}"
        f" FOR EACH ROW EXECUTE FUNCTION {function}()",
        # Also what a subscription or a restore writes is a change.
        f"ALTER TABLE {table.sql} ENABLE ALWAYS TRIGGER {ROWS_TRIGGER}",
        *_truncated(table.sql),
    ]


def _of_partitions(connection: Connection, table: Table) -> list[str]:
    return [sql for _, name in _partitions(connection, table) for sql in _truncated(name)]


def _truncated(table: str) -> list[str]:
    return [
        f"DROP TRIGGER IF EXISTS {TRUNCATE_TRIGGER} ON {table}",
        f"CREATE TRIGGER {TRUNCATE_TRIGGER} AFTER TRUNCATE ON {table}"
        ' FOR EACH STATEMENT EXECUTE FUNCTION fire22."truncated"()',
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRUNCATE_TRIGGER}",
    ]


def _partitions(connection: Connection, table: Table) -> list[tuple[int, str]]:
    """The partitions of a table: TRUNCATE of one fires only its own trigger."""
    rows = connection.execute(
        "SELECT c.oid::bigint, n.nspname, c.relname FROM pg_catalog.pg_partition_tree(%s::oid) t"
        " JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE t.level > 0 ORDER BY c.oid",
        (table.oid,),
    )
    return [(int(oid), f"{quoted(str(schema))}.{quoted(str(name))}") for oid, schema, name in rows]


def _unwanted(connection: Connection, tables: list[Table]) -> list[str]:
    """Removes our triggers from every table but these and their partitions."""
    kept = {table.oid for table in tables}
    kept |= {oid for table in tables for oid, _ in _partitions(connection, table)}
    rows = connection.execute(
        "SELECT c.oid::bigint, t.tgname, n.nspname, c.relname FROM pg_catalog.pg_trigger t"
        " JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace m ON m.oid = p.pronamespace"
        " WHERE m.nspname = 'fire22' AND NOT t.tgisinternal AND t.tgparentid = 0 ORDER BY c.relname, t.tgname"
    )
    return [
        f"DROP TRIGGER {quoted(str(trigger))} ON {quoted(str(schema))}.{quoted(str(name))}"
        for oid, trigger, schema, name in rows
        if oid not in kept
    ]


def _recorded(
    tables: list[Table], schema: OutboxSchema, meta: dict[str, str], *, bootstrap: bool, book_id: str
) -> list[str]:
    """What is kept of the installation in `fire22.meta`."""
    told = layout(schema.tables).decode()
    values = {
        "schema": schema.name,
        "version": str(schema.version),
        "generation": secrets.token_hex(BOOK_ID_BYTES),
        "layout": told,
    }
    if not meta:
        values |= {
            "book_id": secrets.token_hex(BOOK_ID_BYTES),
            "bootstrap": str(int(bootstrap)),
            "trimmed_to": "0",
            "trimmed_fact": "-1",
        }
    if book_id:
        values["book_id"] = book_id
    made = [
        f"INSERT INTO fire22.meta VALUES ({literal(key)}, {literal(value)})"  # nosec B608  # texts are quoted
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        for key, value in values.items()
    ]
    if not meta:
        there = " OR ".join(f"EXISTS (SELECT 1 FROM {table.sql})" for table in tables) or "false"  # nosec B608  # names are quoted
        made.append(f"INSERT INTO fire22.meta SELECT 'empty', CASE WHEN {there} THEN '0' ELSE '1' END")  # nosec B608  # names are quoted
    if meta.get("layout") != told:
        text = f"jsonb_build_array({literal(told)}::text)"
        made.append(f"INSERT INTO fire22.changes(source, op, new) VALUES ('', 'layout', {text})")  # nosec B608
    return made


def _rights(tables: list[Table], reader: str) -> list[str]:
    """What a reader needs, and no more."""
    role = quoted(reader)
    schemas = sorted({table.schema for table in tables})
    return [
        f"GRANT USAGE ON SCHEMA fire22 TO {role}",
        f"GRANT SELECT, DELETE ON fire22.changes TO {role}",
        f"GRANT SELECT, UPDATE ON fire22.meta TO {role}",
        f"GRANT SELECT ON SEQUENCE fire22.changes_number_seq TO {role}",
        *(f"GRANT USAGE ON SCHEMA {quoted(each)} TO {role}" for each in schemas),
        *(f"GRANT SELECT ({', '.join(map(quoted, each.columns))}) ON {each.sql} TO {role}" for each in tables),
    ]

"""Where the tables and columns are that a mapping names.

A name is taken as it is written, and otherwise in small letters: that is what PostgreSQL makes of a name that was not
quoted when it was created. `schema.table` names a table outside of the search path.
"""

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import TableNeed, quoted
from fire22.sources.postgres.connection import Connection

_TABLE = """
SELECT c.oid::bigint, n.nspname, c.relname FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relname IN (%(name)s::text, lower(%(name)s::text))
AND CASE WHEN %(schema)s::text = '' THEN pg_catalog.pg_table_is_visible(c.oid)
    ELSE n.nspname IN (%(schema)s::text, lower(%(schema)s::text)) END
ORDER BY c.relname = %(name)s::text DESC LIMIT 1
"""
_COLUMNS = "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped"


class Table(Struct, frozen=True):
    """A table of the book.

    Args:
        name: as the mapping has it.
        oid: the server's number of it.
        schema, relation: its own names.
        columns: the own names of the columns that the mapping has, in its order.
    """

    name: str
    oid: int
    schema: str
    relation: str
    columns: tuple[str, ...]

    @property
    def sql(self) -> str:
        """Its name, as SQL."""
        return f"{quoted(self.schema)}.{quoted(self.relation)}"


def find(connection: Connection, need: TableNeed) -> tuple[Table | None, list[str]]:
    """The table that is needed, and what is missing of it."""
    schema, _, name = need.name.rpartition(".")
    found = connection.execute(_TABLE, {"name": name, "schema": schema}).fetchone()
    if found is None:
        return None, [need.name]
    oid, schema, relation = found
    there = {str(row[0]) for row in connection.execute(_COLUMNS, (oid,))}
    columns = tuple(each if each in there else each.lower() for each in need.columns)
    lacks = [f"{need.name}.{each}" for each, own in zip(need.columns, columns, strict=True) if own not in there]
    return Table(need.name, oid, str(schema), str(relation), columns), lacks


def find_all(connection: Connection, needs: tuple[TableNeed, ...]) -> list[Table]:
    """The tables that are needed.

    Raises:
        BookError: `book_schema` names every missing table and column.
    """
    tables, lacks = [], []
    for need in needs:
        table, missing = find(connection, need)
        lacks += missing
        if table is not None:
            tables.append(table)
    if lacks:
        raise BookError(codes.BOOK_SCHEMA, f"The book lacks what the triggers need: {', '.join(lacks)}.")
    return tables

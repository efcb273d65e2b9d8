"""Brings a book of the demo schema that an earlier version made up to the tables of this one.

Only what can be added without touching a row is added: tables, and columns that may be empty or have a default.
"""

import re
from pathlib import Path
from typing import Final

import apsw

from fire22.sportsbook.book.schema.statements import text

_NEEDED: Final = frozenset({"agents", "customers", "wagers"})  # without which a file is no book of this schema


def upgrade(path: Path, *, dry_run: bool = False) -> list[str]:
    """Add what a book lacks, in one transaction.

    Args:
        dry_run: change nothing.

    Returns:
        The statements, in order; none where the book is current or not of this schema.

    Raises:
        apsw.Error: as SQLite says; nothing is changed.
    """
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(5_000)
        connection.execute("BEGIN IMMEDIATE")
        try:
            statements = _lacking(connection)
            for each in () if dry_run else statements:
                connection.execute(each)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return statements
    finally:
        connection.close()


def _lacking(book: apsw.Connection) -> list[str]:
    there = set(_tables(book))
    if not there >= _NEEDED:
        return []
    wanted = apsw.Connection(":memory:")
    try:
        wanted.execute(text("demo.sql"))
        statements: list[str] = []
        for name, sql in _tables(wanted).items():
            if name not in there:
                statements += [sql, *_indexes(wanted, name)]
                continue
            columns = _columns(book, name)
            for column, addable in _columns(wanted, name).items():
                if column not in columns and addable:
                    statements.append(f"ALTER TABLE {name} ADD COLUMN {_definition(sql, column)}")
        return statements
    finally:
        wanted.close()


def _tables(connection: apsw.Connection) -> dict[str, str]:
    sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    return {str(name): str(made) for name, made in connection.execute(sql)}


def _indexes(connection: apsw.Connection, table: str) -> list[str]:
    sql = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL ORDER BY rowid"
    return [str(row[0]) for row in connection.execute(sql, (table,))]


def _columns(connection: apsw.Connection, table: str) -> dict[str, bool]:
    """The columns of a table, and whether each can be added to rows that are there."""
    sql = 'SELECT name, NOT "notnull" OR dflt_value IS NOT NULL FROM pragma_table_xinfo(?)'
    return {str(name): bool(addable) for name, addable in connection.execute(sql, (table,))}


def _definition(create: str, column: str) -> str:
    """The definition of a column in the text of its table: up to the comma that no bracket encloses."""
    found = re.search(rf"[(,]\s*{column}\s", create)
    if found is None:
        raise AssertionError(f"there is no column {column} in: {create[:60]}")
    depth = 0
    for at in range(found.start() + 1, len(create)):
        depth += (create[at] == "(") - (create[at] == ")")
        if depth < 0 or (depth == 0 and create[at] == ","):
            return " ".join(create[found.start() + 1 : at].split())
    raise AssertionError(f"the table ends within {column}")

"""A book of the demo schema that an earlier version made."""

from pathlib import Path

import apsw

from fire22.sportsbook.book.schema import TABLES_SQL
from fire22.sportsbook.book.schema.upgrade import upgrade

LATER = (
    ("customers", "currency"),
    ("selections", "position"),
    ("selections", "tied"),
    ("wagers", "terms"),
    ("wagers", "currency"),
    ("ledger_entries", "reason"),
)


def columns(path: Path) -> list[object]:
    """Every column of every table, with its type and what it may be."""
    connection = apsw.Connection(str(path))
    sql = (
        'SELECT t.name, c.name, c.type, c."notnull", c.dflt_value FROM sqlite_schema t, pragma_table_xinfo(t.name) c '
        "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.name"
    )
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


def test_an_earlier_book_gets_what_it_lacks(tmp_path: Path) -> None:
    """Its rows stay, the new columns have their defaults and checks, and doing it again changes nothing."""
    path, current = tmp_path / "book.db", tmp_path / "current.db"
    for each in (path, current):
        apsw.Connection(str(each)).execute(TABLES_SQL)
    connection = apsw.Connection(str(path))
    connection.execute(
        "INSERT INTO agents(id, code, name, level, path, created_at) VALUES('a', 'M1', 'M', 1, '/M1', '');"
        "INSERT INTO customers(id, code, agent_id, name, created_at, updated_at) VALUES('c', 'C', 'a', 'N', '', '');"
        "INSERT INTO wagers(id, wager_number, customer_id, agent_id, agent_path, type, risk_cents, to_win_cents,"
        " channel, status, accepted_at, updated_at)"
        " VALUES('w', 1, 'c', 'a', '/M1', 'straight', 1, 1, 'web', 'accepted', '', '')"
    )
    for table, column in LATER:
        connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    connection.execute("DROP TABLE market_deductions")
    connection.close()

    planned = upgrade(path, dry_run=True)
    assert columns(path) != columns(current)
    assert upgrade(path) == planned
    assert columns(path) == columns(current)
    assert upgrade(path) == []
    connection = apsw.Connection(str(path))
    assert list(connection.execute("SELECT terms, currency FROM wagers")) == [("{}", None)]
    made = str(connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'selections'").get)
    assert "position INTEGER CHECK(position >= 1)" in made
    connection.close()


def test_another_book_is_left_alone(tmp_path: Path) -> None:
    """Nothing is added to a file that is no book of this schema."""
    path = tmp_path / "book.db"
    apsw.Connection(str(path)).execute("CREATE TABLE customers(id TEXT)")
    assert upgrade(path) == []

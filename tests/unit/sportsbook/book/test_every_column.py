"""No column of the book changes unseen: each is told, set aside, or has its reason."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fire22.core.event import Event
from fire22.core.outbox import BookChange
from fire22.sources.mirror.copy import Mirror
from fire22.sources.mirror.file import Fact
from fire22.sources.sqlite.install import install
from fire22.sportsbook import domain
from fire22.sportsbook.betting import codes
from fire22.sportsbook.book.schema import OUTBOX, TABLES_SQL
from fire22.sportsbook.book.schema import book as book_of
from fire22.sportsbook.book.schema.unchanging import FIXED, KEYS, SILENT
from tests.support.demo_book import read
from tests.support.folding import Folding
from tests.support.storage import START_MS, event

AT = "2026-03-01T12:00:00.000Z"
WAGER = (
    "INSERT INTO wagers(id, wager_number, customer_id, agent_id, agent_path, type, risk_cents, to_win_cents, channel,"
    " ip, status, accepted_at, updated_at, idempotency_key) VALUES('{id}', {number}, 'c1', 'a2', '/M1/A7', 'straight',"
    f" 1100, 1000, 'web', '198.18.0.7', '{{status}}', '{AT}', '{AT}', 'k{{number}}');"
    "INSERT INTO wager_legs(wager_id, leg_no, selection_id, odds_decimal, odds_american, line, result)"
    " VALUES('{id}', 1, 'x1', 1.909091, -110, 1.5, 'win');"
)
# A row or more of every table; wagers that are open, settled, and waiting.
ROWS = f"""
INSERT INTO agents VALUES('a1', 'M1', 'Master', NULL, 1, '/M1', 'active', 0, 0, '{AT}');
INSERT INTO agents VALUES('a2', 'A7', 'Agent', 'a1', 2, '/M1/A7', 'active', 0, 0, '{AT}');
INSERT INTO agents VALUES('a3', 'A8', 'Other', 'a1', 2, '/M1/A8', 'active', 0, 0, '{AT}');
INSERT INTO customers(id, code, agent_id, name, created_at, updated_at)
  VALUES('c1', 'C1', 'a2', 'One', '{AT}', '{AT}'), ('c2', 'C2', 'a2', 'Two', '{AT}', '{AT}');
INSERT INTO commission_plans(agent_id, effective_from, type, created_at, updated_at)
  VALUES('a2', '2026-01-01', 'split', '{AT}', '{AT}');
INSERT INTO access_logs VALUES(1, 'c1', '198.18.0.7', 'login', '{AT}');
INSERT INTO sports VALUES('s1', 'Soccer'), ('s2', 'Tennis');
INSERT INTO leagues VALUES('l1', 's1', 'League'), ('l2', 's2', 'Tour');
INSERT INTO events VALUES('e1', 'l1', 'Home', 'Away', '{AT}', 'scheduled'),
  ('e2', 'l1', 'East', 'West', '{AT}', 'scheduled');
INSERT INTO selections(id, market_id, name, odds_decimal, odds_american, result, updated_at) VALUES
  ('x1', 'm1', 'Home', 1.909091, -110, NULL, '{AT}'), ('x2', 'm1', 'Away', 2.5, 150, NULL, '{AT}'),
  ('y1', 'm2', 'Home', 1.909091, -110, 1, '{AT}'), ('y2', 'm2', 'Away', 2.5, 150, 0, '{AT}');
INSERT INTO markets(id, event_id, type, period, line, status, closes_at, created_at, updated_at) VALUES
  ('m1', 'e1', 'moneyline', 'game', 1.5, 'open', '{AT}', '{AT}', '{AT}'),
  ('m2', 'e1', 'total', 'game', 2.5, 'open', '{AT}', '{AT}', '{AT}');
UPDATE markets SET status = 'resulted' WHERE id = 'm2';
INSERT INTO market_deductions VALUES('m1', 10, '{AT}');
INSERT INTO odds_history VALUES(1, 'x1', 2.0, 'book', '{AT}');
{WAGER.format(id="w1", number=1, status="accepted")}
{WAGER.format(id="w2", number=2, status="accepted")}
INSERT INTO settlements VALUES('w2', 1, 'win', 2100, 1000, 'test', NULL, '{AT}');
UPDATE wagers SET status = 'settled', settled_at = '{AT}' WHERE id = 'w2';
{WAGER.format(id="w3", number=3, status="review")}
INSERT INTO wager_changes VALUES('w1', 1, 'modified', 'risk', '{{}}', '{{}}', 'x', '{AT}');
INSERT INTO ledger_entries VALUES(1, 'customer', 'c1', 'fee', -5, -5, 'adjustment', 'r', '{AT}', 'why', NULL);
INSERT INTO payments VALUES('p1', 'c1', 'deposit', 'cash', 500, 'pending', '{AT}', '{AT}', NULL, NULL);
INSERT INTO payments VALUES('p2', 'c1', 'deposit', 'cash', 500, 'completed', '{AT}', '{AT}', NULL, NULL);
INSERT INTO alert_actions VALUES(1, '1', 'acknowledged', 'risk', 'x', '{AT}');
INSERT INTO commands VALUES('admin', 'k', 'd', '{{}}', '{AT}');
INSERT INTO audit_log VALUES(1, 'admin', 'x', 'y', '{{}}', '{{}}', '{AT}');
"""
# Another value of a column that is neither a free text nor a number.
OTHERS: dict[str, str] = {
    "customers.agent_id": "a3", "commission_plans.agent_id": "a3", "wagers.agent_id": "a3", "agents.parent_id": "a3",
    "access_logs.customer_id": "c2", "wagers.customer_id": "c2", "payments.customer_id": "c2",
    "ledger_entries.account_id": "c2", "access_logs.action": "logout", "leagues.sport_id": "s2",
    "events.league_id": "l2", "events.status": "live", "markets.event_id": "e2", "markets.status": "suspended",
    "wager_legs.selection_id": "x2", "wagers.agent_path": "/M1/A8", "agents.path": "/M1/A9",
    "payments.direction": "withdrawal", "payments.status": "rejected", "alert_actions.action": "closed",
    "commission_plans.effective_from": "2026-02-03", "commission_plans.type": "profit",
    "commission_plans.tiers": "[[0, 0.5]]", "selections.market_id": "m2", "odds_history.selection_id": "x2",
    "market_deductions.market_id": "m2",
    "wagers.currency": "EUR", "customers.currency": "EUR", "payments.currency": "EUR",
    "ledger_entries.currency": "EUR", "wagers.terms": '{"points": 0.5}',
    "wager_changes.after": '{"a": 1}', "settlements.wager_id": "w1",
}  # fmt: skip
# Where the state of a row decides which value may follow.
OF_ROW = {
    ("wagers.status", "w1"): "voided", ("wagers.status", "w2"): "voided", ("wagers.status", "w3"): "rejected",
    ("payments.status", "p2"): "charged_back", ("selections.result", "y1"): "0", ("selections.result", "y2"): "1",
    ("markets.status", "m2"): "open",
}  # fmt: skip
# What says nothing in a row of one state, beside the columns that never say anything.
SILENT_HERE = {
    **{f"markets.{each}:m2": "a market that is over is known no longer"
       for each in ("event_id", "type", "period", "line", "liability_limit_cents", "closes_at")},
    **{f"selections.name:{id}": "its market is over" for id in ("y1", "y2")},
    **{f"selections.{each}:{id}": "a result is told when its market is over"
       for each in ("result", "void_factor", "dead_heat") for id in ("x1", "x2")},
    "wagers.accepted_at:w3": "it is accepted at its own time",
    "wagers.currency:w3": "what waits is told whole when it is accepted",
    "sports.name:s2": "no game is of this sport", "leagues.sport_id:l2": "no game is of this league",
    **{f"events.{each}:e2": "no market is on this game" for each in ("league_id", "home", "away", "starts_at")},
}  # fmt: skip


class Column(NamedTuple):
    """A column as the schema has it."""

    table: str
    name: str
    type: str


def columns() -> list[Column]:
    """Every column of every table of the book, from the schema itself."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES_SQL)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = [
        Column(table, name, type)
        for table in tables
        if not table.startswith("sqlite_")
        for _, name, type, *_ in connection.execute(f"PRAGMA table_info({table})")
    ]
    connection.close()
    return found


COLUMNS = columns()


class Book:
    """A book that an outside program writes, and the figures that are made of what it tells."""

    def __init__(self, path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.executescript(TABLES_SQL)
        connection.close()
        install(path, OUTBOX)
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(ROWS)
        self.connection.row_factory = sqlite3.Row
        self.fold = Folding(domain.flows)
        self.fold.group(read(path))
        (mirror,) = path.parent.glob("mirror-*.db")
        self.mirror = Mirror(mirror, book_of(None))
        assert not [each for each in self.fold.refused if each.code is not codes.ALERT_UNKNOWN]
        self.fold.refused.clear()

    def events(self) -> list[Event]:
        """The events since the last call."""
        last = self.mirror.position.number
        rows = self.connection.execute("SELECT * FROM fire22_changes WHERE number > ?", (last,)).fetchall()
        middle = 4 + (len(rows[0]) - 4) // 2 if rows else 0
        changes = [
            BookChange(row[0], row[1], row[2], row[3], tuple(row[4:middle]), tuple(row[middle:]))
            for row in rows
            if row[2]
        ]
        return [
            event(f"b:{each.number}", type=each.type.decode(), at_ms=START_MS, data=json.loads(each.data))
            for each in self.facts(changes)
        ]

    def facts(self, changes: list[BookChange]) -> list[Fact]:
        """What the mirror tells of changes; it stays as it is."""
        after, position = self.mirror.numbers()[1], self.mirror.position
        with self.mirror.tried(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.mirror, "transaction", contextlib.nullcontext)
            self.mirror.apply(changes, position)
            return self.mirror.facts(after, 100_000)

    def told(self, sql: str) -> tuple[list[str], list[str]]:
        """What a statement tells, by types of events, and the codes of what was refused of it. It is rolled back."""
        self.connection.execute("BEGIN")
        self.connection.execute(sql)
        events = self.events()
        self.connection.execute("ROLLBACK")
        types = [each.type for each in events]
        if not events:
            return [], []
        fold = copy(self.fold)
        fold.group(events)
        refused = [each.code.name for each in fold.refused]
        return types, refused

    def rows(self, table: str) -> list[sqlite3.Row]:
        """The rows of a table."""
        return self.connection.execute(f'SELECT * FROM "{table}"').fetchall()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """A book with rows in every table."""
    made = Book(tmp_path / "book.db")
    yield made
    made.connection.close()
    made.mirror.close()


def key_of(column: Column, row: sqlite3.Row) -> str:
    """What a row is called here."""
    names = KEYS.get(column.table) or (row.keys()[0],)
    return "|".join(str(row[name]) for name in names)


def other(column: Column, row: sqlite3.Row) -> Any:
    """Another value of a column that a row may have."""
    name, before = f"{column.table}.{column.name}", row[column.name]
    value: Any = OF_ROW.get((name, key_of(column, row)), OTHERS.get(name))
    if value is not None:
        return (
            value
            if value != before
            else {"a3": "a2", "c2": "c1", "s2": "s1", "l2": "l1", "e2": "e1", "x2": "x1", "m2": "m1"}[value]
        )
    if column.name.endswith(("_at", "at")) and column.type == "TEXT":
        return "2026-03-02T09:00:00.000Z"
    if column.name == "result" and column.type == "INTEGER":
        return 1 if before != 1 else 0
    if column.name in ("void_factor", "dead_heat"):
        return 0.5
    if column.name in ("is_freeplay", "level"):
        return 1 - before if column.name == "is_freeplay" else before + 1
    if column.type == "INTEGER":
        return (before or 0) + 100
    return (before or 0) + 0.25 if column.type == "REAL" else f"{before or ''}x"


def test_every_column_has_its_place() -> None:
    """Each column that is set aside or says nothing is one of the schema, and stands in one of the two tables."""
    known = {(one.table, one.name) for one in COLUMNS}
    fixed = {(table, name) for table, names in FIXED.items() for name in names}
    silent = {(table, name) for table, names in SILENT.items() for name in names}
    assert fixed <= known
    assert silent <= known
    assert not fixed & silent
    assert all(len(reason) > 15 for names in SILENT.values() for reason in names.values())
    assert {one.table for one in COLUMNS} <= {*SILENT}


@pytest.mark.parametrize("table", sorted({one.table for one in COLUMNS}))
def test_no_column_changes_unseen(book: Book, table: str) -> None:
    """Another value of any column, in a row of any state, is a fact all flows take, a dead letter, or explained."""
    rows = book.rows(table)
    assert rows, f"no row of {table}"
    for column in (one for one in COLUMNS if one.table == table):
        silent, fixed = column.name in SILENT[table], column.name in FIXED.get(table, ())
        for row in rows:
            where = " AND ".join(f"{name} = {row[name]!r}" for name in KEYS.get(table, (row.keys()[0],)))
            types, refused = book.told(f'UPDATE "{table}" SET "{column.name}" = {other(column, row)!r} WHERE {where}')
            what = f"{table}.{column.name}:{key_of(column, row)} told {types}, refused {refused}"
            if silent or f"{table}.{column.name}:{key_of(column, row)}" in SILENT_HERE:
                assert types == [], what
            elif fixed:
                assert "row.changed" in types, what
                assert "change_forbidden" in refused, what
            else:
                assert types, what
                assert [each for each in refused if each != "change_forbidden"] == [], what
                assert refused == [] or types == ["row.changed"], what


@pytest.mark.parametrize("table", ["agents", "customers", "markets", "wagers", "payments", "commission_plans"])
def test_no_column_changes_unseen_by_a_replace(book: Book, table: str) -> None:
    """INSERT OR REPLACE of a row with another value tells what an update tells."""
    keys = KEYS.get(table, ("id",))
    for column in (one for one in COLUMNS if one.table == table and one.name not in keys):
        silent = column.name in SILENT[table]
        for row in book.rows(table):
            values = {**dict(row), column.name: other(column, row)}
            names = ", ".join(f'"{name}"' for name in values)
            written = ", ".join("NULL" if value is None else repr(value) for value in values.values())
            types, refused = book.told(f'INSERT OR REPLACE INTO "{table}"({names}) VALUES({written})')
            what = f"{table}.{column.name}:{key_of(column, row)} told {types}, refused {refused}"
            if table == "commission_plans":
                assert types == ["commission.plan_set"], what
            elif silent or f"{table}.{column.name}:{key_of(column, row)}" in SILENT_HERE:
                assert types in ([], ["wager.requested"]), what  # what waits is told anew, and passed over
            elif column.name in FIXED.get(table, ()):
                assert refused == ["change_forbidden"], what
            else:
                assert types and not refused, what

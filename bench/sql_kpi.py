"""A peer of the flows: the four figures of the whole book, asked of a table after every update."""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

TABLES: Final = """
CREATE TABLE wager(
    id TEXT PRIMARY KEY, customer TEXT NOT NULL, path TEXT NOT NULL, market TEXT, selection TEXT, risk INTEGER NOT NULL,
    cash INTEGER NOT NULL, to_win INTEGER NOT NULL, at TEXT NOT NULL, returned INTEGER);
CREATE INDEX wager_open ON wager(market, selection) WHERE returned IS NULL;
CREATE INDEX wager_at ON wager(at, customer);
"""
REVENUE: Final = "SELECT coalesce(sum(cash - returned), 0) FROM wager WHERE returned IS NOT NULL"
ACTIVE: Final = "SELECT count(DISTINCT customer) FROM wager WHERE at > ?"
PENDING: Final = "SELECT count(*) FROM wager WHERE returned IS NULL"
LIABILITY: Final = """
WITH outcome AS (SELECT market, sum(cash + to_win) AS paid, sum(cash) AS risk FROM wager
    WHERE returned IS NULL AND market IS NOT NULL GROUP BY market, selection),
  netted AS (SELECT max(0, max(paid) - sum(risk)) AS worst FROM outcome GROUP BY market)
SELECT coalesce((SELECT sum(worst) FROM netted), 0)
  + coalesce((SELECT sum(to_win) FROM wager WHERE returned IS NULL AND market IS NULL), 0)
"""


class SqlBook:
    """One table of wagers, with the indexes that the questions want."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(TABLES)
        self._at = ""

    def write(self, events: Iterable[dict[str, Any]]) -> None:
        """Apply events in one transaction."""
        self._connection.execute("BEGIN")
        for event in events:
            self._at = event["timestamp"]
            data = event["data"]
            if event["type"] == "wager.placed":
                self._place(data)
            elif event["type"] == "wager.settled":
                values = (data["returnMinor"], data["wagerId"])
                self._connection.execute("UPDATE wager SET returned = ? WHERE id = ?", values)
        self._connection.execute("COMMIT")

    def figures(self) -> tuple[int, ...]:
        """Revenue, active players, pending, total liability."""
        ask = self._connection.execute
        queries = ((REVENUE, ()), (ACTIVE, (self._at[:10],)), (PENDING, ()), (LIABILITY, ()))
        return tuple(int(ask(sql, values).fetchone()[0]) for sql, values in queries)

    def _place(self, data: dict[str, Any]) -> None:
        legs = data["legs"]
        market, selection = (legs[0]["marketId"], legs[0]["selectionId"]) if len(legs) == 1 else (None, None)
        risk = data["riskMinor"]
        cash = 0 if data["freePlay"] else risk
        self._connection.execute(
            "INSERT INTO wager VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (data["wagerId"], data["customerId"], data["path"], market, selection, risk, cash, data["toWinMinor"],
             self._at),
        )  # fmt: skip

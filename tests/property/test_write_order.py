"""However a book's own program orders what it writes in a transaction, the facts are those of the documented order."""

import random
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from fire22.sources.sqlite.install import install
from fire22.sportsbook.book.schema import OUTBOX, TABLES_SQL
from tests.support.demo_book import read

AT = "2026-03-01T12:00:00.000Z"
ROWS = f"""
INSERT INTO agents VALUES('a1', 'M1', 'Master', NULL, 1, '/M1', 'active', 0, 0, '{AT}');
INSERT INTO customers(id, code, agent_id, name, created_at, updated_at) VALUES('c1', 'C1', 'a1', 'One', '{AT}', '{AT}');
INSERT INTO sports VALUES('s', 'Soccer');
INSERT INTO leagues VALUES('l', 's', 'League');
INSERT INTO events VALUES('e1', 'l', 'Home', 'Away', '{AT}', 'scheduled');
"""


class Writer:
    """Two books with the same business: one is written in the documented order, the other in any order."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng = rng
        self.paths = [folder / "right" / "book.db", folder / "any" / "book.db"]
        self.books = []
        for path in self.paths:
            path.parent.mkdir()
            connection = apsw.Connection(str(path))
            connection.execute(TABLES_SQL)
            install(path, OUTBOX)
            connection.execute(ROWS)
            self.books.append(connection)
        self.wagers: list[str] = []
        self.markets = 0
        self.seconds = 0

    def step(self) -> None:
        """One transaction, perhaps with a part that is rolled back."""
        self.seconds += 1
        kinds = [self.market, self.wager, self.wager, self.settle, self.cancel, self.delete, self.replace]
        statements = self.rng.choice(kinds if self.markets else [self.market])()
        if not statements:
            return
        noise = self.rng.random() < 0.3
        for connection, ordered in zip(self.books, (True, False), strict=True):
            todo = list(statements)
            if not ordered:
                self.rng.shuffle(todo)
            connection.execute("BEGIN")
            for number, sql in enumerate(todo):
                connection.execute(sql)
                if noise and number == 0:
                    connection.execute("SAVEPOINT s; UPDATE customers SET status = 'x'; DELETE FROM wagers")
                    connection.execute("ROLLBACK TO s; RELEASE s")
            connection.execute("COMMIT")

    @property
    def now(self) -> str:
        """The time in the book."""
        return f"2026-03-01T13:{self.seconds // 60:02}:{self.seconds % 60:02}.000Z"

    def market(self) -> list[str]:
        """A market and its selections."""
        self.markets += 1
        m = f"m{self.markets}"
        sides = [
            f"INSERT INTO selections(id, market_id, name, odds_decimal, odds_american, updated_at)"
            f" VALUES('{m}{side}', '{m}', '{side}', 2.5, 150, '{self.now}')"
            for side in "hda"
        ]
        now = self.now
        return [
            *sides,
            f"INSERT INTO markets VALUES('{m}', 'e1', 'moneyline', 'game', NULL, 'open', 0, '{AT}', '{now}', '{now}')",
        ]

    def wager(self) -> list[str]:
        """A wager with some legs."""
        w = f"w{len(self.wagers)}"
        self.wagers.append(w)
        legs = [
            "INSERT INTO wager_legs(wager_id, leg_no, selection_id, odds_decimal, odds_american)"
            f" VALUES('{w}', {leg}, 'm{self.rng.randint(1, self.markets)}h', 2.5, 150)"
            for leg in range(1, self.rng.randint(2, 4))
        ]
        return [*legs, self._header(w)]

    def _header(
        self, w: str, verb: str = "INSERT", status: str = "accepted", risk: int = 1000, version: int = 1
    ) -> str:
        return (
            f"{verb} INTO wagers(id, wager_number, customer_id, agent_id, agent_path, type, risk_cents, to_win_cents,"
            f" channel, status, version, accepted_at, updated_at) VALUES('{w}', {w[1:]}, 'c1', 'a1', '/M1', 'straight',"
            f" {risk}, 1500, 'web', '{status}', {version}, '{AT}', '{self.now}')"
        )

    def settle(self) -> list[str]:
        """A settlement, and the wager's status."""
        w = self._open()
        return [] if w is None else [
            "INSERT INTO settlements(wager_id, revision, result, return_cents, profit_cents, settled_by, settled_at)"
            f" VALUES('{w}', 1, 'win', 2500, 1500, 't', '{self.now}')",
            f"UPDATE wagers SET status = 'settled', updated_at = '{self.now}' WHERE id = '{w}'",
        ]  # fmt: skip

    def cancel(self) -> list[str]:
        """A report, and the change that it is about."""
        w = self._open()
        return [] if w is None else [
            f"INSERT INTO wager_changes VALUES('{w}', 2, 'voided', 'd', '{{}}', '{{}}', 'because', '{self.now}')",
            f"UPDATE wagers SET status = 'cancelled', version = 2, updated_at = '{self.now}' WHERE id = '{w}'",
        ]  # fmt: skip

    def delete(self) -> list[str]:
        """A wager, its legs and the report of it."""
        w = self._open()
        return [] if w is None else [
            f"INSERT INTO wager_changes VALUES('{w}', 2, 'deleted', 'd', '{{}}', '{{}}', 'twice', '{self.now}')",
            f"DELETE FROM wagers WHERE id = '{w}'",
            f"DELETE FROM wager_legs WHERE wager_id = '{w}'",
        ]  # fmt: skip

    def replace(self) -> list[str]:
        """A wager is written again with another stake."""
        w = self._open(keep=True)
        return [] if w is None else [self._header(w, "REPLACE", risk=self.rng.randrange(1, 9999))]

    def _open(self, *, keep: bool = False) -> str | None:
        sql = "SELECT id FROM wagers WHERE status = 'accepted' ORDER BY id"
        found = [str(row[0]) for row in self.books[0].execute(sql)]
        return self.rng.choice(found) if found else None

    def told(self) -> list[list[tuple[str, str, Any]]]:
        """What both tell since the last call."""
        return [
            [(each.type, str(each.timestamp), msgspec.json.decode(each.data)) for each in read(path)]
            for path in self.paths
        ]

    def close(self) -> None:
        """Both."""
        for connection in self.books:
            connection.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [1, 7])
def test_any_order_within_a_transaction_tells_the_same(seed: int, steps: int, tmp_path: Path) -> None:
    """Header first or details first, savepoints, REPLACE, read one by one or several at once: the same facts."""
    print(f"seed {seed}")
    writer = Writer(tmp_path, random.Random(seed))
    types: set[str] = set()
    for _ in range(60 // steps):
        for _ in range(steps):
            writer.step()
        right, other = writer.told()
        assert other == right, f"seed {seed}"
        types |= {type for type, _, _ in right}
    assert {"wager.placed", "market.created"} <= types
    writer.close()

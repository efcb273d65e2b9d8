"""The book of an invented bookmaker in other words than ours (`examples/harbour.toml`), and its own program.

It writes at random: amounts in millionths, fractional prices, seconds since 1970, slips of several lines, every
settlement.
"""

from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import apsw

from tests.support.storage import START_MS
from tests.support.twins import ROOT

MAP: Final = ROOT / "examples" / "harbour.toml"
MICRO: Final = 10_000  # of a hundredth

TABLES: Final = """
CREATE TABLE sub_accounts(id INTEGER PRIMARY KEY, login TEXT, tree TEXT, closed_s INTEGER DEFAULT 0, opened_s INTEGER);
CREATE TABLE punters(id INTEGER PRIMARY KEY, ref TEXT, sub_account INTEGER, name TEXT, barred INTEGER DEFAULT 0,
  class TEXT DEFAULT 'R', factor REAL DEFAULT 1, credit INTEGER, most INTEGER DEFAULT 0, owed INTEGER DEFAULT 0,
  opened_s INTEGER, changed_s INTEGER);
CREATE TABLE visits(punter INTEGER, address TEXT, leaves INTEGER, at_s INTEGER);
CREATE TABLE fixtures(id INTEGER PRIMARY KEY, sport TEXT, home TEXT, away TEXT, off_s INTEGER);
CREATE TABLE boards(id INTEGER PRIMARY KEY, fixture INTEGER, kind TEXT, line REAL, state INTEGER, most_loss INTEGER,
  closes_s INTEGER, opened_s INTEGER, changed_s INTEGER);
CREATE TABLE prices(id INTEGER PRIMARY KEY, board INTEGER, label TEXT, price TEXT, won TEXT, changed_s INTEGER);
CREATE INDEX prices_board ON prices(board);
CREATE TABLE slips(id TEXT PRIMARY KEY, number INTEGER UNIQUE, punter INTEGER, lines INTEGER, stake INTEGER,
  wins INTEGER, free INTEGER, till TEXT, address TEXT, state INTEGER, edition INTEGER DEFAULT 1,
  struck_s INTEGER, changed_s INTEGER);
CREATE TABLE lines(slip TEXT, number INTEGER, board INTEGER, price_id INTEGER, odds REAL, PRIMARY KEY(slip, number));
CREATE TABLE edits(slip TEXT, edition INTEGER, what TEXT, up_to INTEGER, why TEXT, at_s INTEGER,
  PRIMARY KEY(slip, edition));
CREATE TABLE payouts(slip TEXT, turn INTEGER, outcome TEXT, paid INTEGER, at_s INTEGER, PRIMARY KEY(slip, turn));
CREATE TABLE moves(id INTEGER PRIMARY KEY, punter INTEGER, kind TEXT, amount INTEGER, why TEXT, at_s INTEGER);
CREATE TABLE cash(id INTEGER PRIMARY KEY, punter INTEGER, way TEXT, means TEXT, amount INTEGER, state INTEGER,
  asked_s INTEGER, changed_s INTEGER);
"""
TREES: Final = ("/QUAY", "/QUAY/PIER", "/QUAY/PIER/BUOY", "/MOLE")
PRICES: Final = ("evens", "5/2", "10/11", "100/30", "1/4")
HOLDS: Final = "s.state IN (2, 5) AND p.turn = (SELECT max(turn) FROM payouts WHERE slip = s.id)"
WITHIN: Final = """JOIN punters u ON u.id = s.punter JOIN sub_accounts a ON a.id = u.sub_account
    WHERE (?1 = '/' OR a.tree = ?1 OR substr(a.tree, 1, length(?1) + 1) = ?1 || '/')"""
SUMS: Final = {
    "revenue": "SELECT sum(iif(s.free, 0, s.stake) - p.paid) FROM slips s JOIN payouts p ON p.slip = s.id"
    f" {WITHIN} AND {HOLDS}",
    "pending": f"SELECT count(*) * 1000000 FROM slips s {WITHIN} AND s.state = 1",
    "pendingRisk": f"SELECT sum(iif(s.free, 0, s.stake)) FROM slips s {WITHIN} AND s.state = 1",
    "pendingToWin": f"SELECT sum(s.wins) FROM slips s {WITHIN} AND s.state = 1",
}


def decimal(price: str) -> float:
    """Decimal odds of a fractional price."""
    return float(Fraction("1" if price == "evens" else price) + 1)


class Harbour:
    """The book's own program.

    It writes with the server's SQLite: a second one in the same process would drop the first one's POSIX locks.
    """

    def __init__(self, path: Path, seed: int = 1) -> None:
        self.path = path
        self.random = Random(seed)
        self.now_s = START_MS // 1000
        self.connection = apsw.Connection(str(path))
        self.connection.set_busy_timeout(5000)
        self.connection.execute("PRAGMA synchronous=OFF")
        self.connection.execute(TABLES)
        self.slips = 0
        self._people()
        self._offer()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return cast("list[tuple[Any, ...]]", self.connection.execute(sql, values).fetchall())

    def one(self, sql: str, *values: Any) -> Any:
        """The first column of the first row."""
        found = self.rows(sql, *values)
        return found[0][0] if found else None

    def sums(self, scope: str) -> dict[str, float]:
        """What plain SQL over the book's own tables adds up, in major units (and `pending` as a count)."""
        return {name: round((self.one(sql, scope) or 0) / 1_000_000, 2) for name, sql in SUMS.items()}

    def step(self) -> None:
        """Something happens, in one transaction."""
        self.now_s += self.random.randrange(1, 300)
        often = (self.strike, self.strike, self.strike, self.pay_out, self.pay_out)
        mended = (self.pay_out_again, self.end, self.roll_back, self.amend, self.delete, self.forget)
        beside = (self.move, self.cash, self.reprice, self.visit, self.limit)
        self.connection.execute("BEGIN")
        self.random.choice((*often, *mended, *beside))()
        self.connection.execute("COMMIT")

    def strike(self) -> None:
        """A slip of one or two lines is struck."""
        self.slips += 1
        random = self.random
        boards = random.sample((1, 2, 3), random.choice((1, 1, 2)))
        odds = Fraction(1)
        for number, board in enumerate(boards, 1):
            id, price = random.choice(self.rows("SELECT id, price FROM prices WHERE board = ?", board))
            self.run(
                "INSERT INTO lines VALUES(?, ?, ?, ?, ?)", f"s{self.slips}", number, board, id, round(decimal(price), 6)
            )
            odds *= Fraction("1" if price == "evens" else price) + 1
        stake = random.randrange(100, 50_000)
        stakes = (stake * MICRO, round(stake * (odds - 1)) * MICRO, int(random.random() < 0.2))
        values = (f"s{self.slips}", 1000 + self.slips, random.randint(1, 8), len(boards), *stakes, random.choice("WPS"))
        self.run(f"INSERT INTO slips VALUES({'?, ' * 8}NULL, 1, 1, ?, ?)", *values, self.now_s, self.now_s)

    def pay_out(self) -> None:
        """An open slip is settled, or cashed out."""
        slip = self.pick("state = 1")
        if slip is not None:
            self._pay(slip, self.random.choice("WLRC"))

    def pay_out_again(self) -> None:
        """A settlement was a mistake: another one replaces it."""
        slip = self.pick("state = 2")
        if slip is not None:
            self._pay(slip, self.random.choice("WLR"))

    def end(self) -> None:
        """A slip is called off."""
        slip = self.pick("state IN (1, 2)")
        if slip is not None:
            was = self.one("SELECT state FROM slips WHERE id = ?", slip)
            self._edit(slip, "void", None)
            self._owe(slip, -self._profit(slip))
            self._set(slip, 4 if was == 1 else 3)

    def roll_back(self) -> None:
        """What ended a slip is undone."""
        slip = self.pick("state IN (2, 3, 4, 5)")
        if slip is not None:
            self._edit(slip, "rollback", self.one("SELECT max(turn) FROM payouts WHERE slip = ?", slip))
            self._owe(slip, -self._profit(slip))
            self._set(slip, 1)

    def amend(self) -> None:
        """An open slip gets another stake."""
        slip = self.pick("state = 1")
        if slip is not None:
            self._edit(slip, "amend", None)
            sql = "UPDATE slips SET stake = stake + 1230000, edition = edition + 1, changed_s = ? WHERE id = ?"
            self.run(sql, self.now_s, slip)

    def delete(self) -> None:
        """A slip is deleted, with all that belongs to it."""
        slip = self.pick("state IN (1, 2)")
        if slip is not None:
            self._edit(slip, "delete", None)
            self._owe(slip, -self._profit(slip))
            for sql in ("slips WHERE id", "lines WHERE slip", "payouts WHERE slip"):
                self.run(f"DELETE FROM {sql} = ?", slip)

    def forget(self) -> None:
        """A settlement that was a mistake is deleted without a word."""
        slip = self.pick("state = 2 AND (SELECT count(*) FROM payouts WHERE slip = slips.id) = 1")
        if slip is not None:
            self._owe(slip, -self._profit(slip))
            self.run("DELETE FROM payouts WHERE slip = ?", slip)
            self.run("UPDATE slips SET state = 1 WHERE id = ?", slip)

    def move(self) -> None:
        """A balance is moved by hand."""
        punter, amount = self.random.randint(1, 8), self.random.randrange(-9_000, 9_000) * MICRO
        values = (punter, self.random.choice("BFA"), amount, "test", self.now_s)
        self.run("INSERT INTO moves(punter, kind, amount, why, at_s) VALUES(?, ?, ?, ?, ?)", *values)
        self.run("UPDATE punters SET owed = owed + ? WHERE id = ?", amount, punter)

    def cash(self) -> None:
        """A payment is asked for, and perhaps done at once; one that waits is done."""
        waiting = self.rows("SELECT id, punter, way, amount FROM cash WHERE state = 0")
        if waiting and self.random.random() < 0.5:
            id, punter, way, amount = self.random.choice(waiting)
            self.run("UPDATE cash SET state = 2, changed_s = ? WHERE id = ?", self.now_s, id)
            sign = 1 if way == "in" else -1
            self.run("UPDATE punters SET owed = owed + ? WHERE id = ?", sign * amount, punter)
            return
        values = (
            self.random.randint(1, 8),
            self.random.choice(("in", "out")),
            "card",
            self.random.randrange(1, 900) * 10**6,
        )
        columns = "punter, way, means, amount, state, asked_s, changed_s"
        self.run(f"INSERT INTO cash({columns}) VALUES(?, ?, ?, ?, 0, ?, ?)", *values, self.now_s, self.now_s)

    def reprice(self) -> None:
        """A price moves."""
        price, id = self.random.choice(PRICES), self.random.randint(1, 6)
        self.run("UPDATE prices SET price = ?, changed_s = ? WHERE id = ?", price, self.now_s, id)

    def visit(self) -> None:
        """A punter comes, or leaves."""
        values = (self.random.randint(1, 8), "198.18.0.7", self.random.choice((0, 1)), self.now_s)
        self.run("INSERT INTO visits VALUES(?, ?, ?, ?)", *values)

    def limit(self) -> None:
        """A punter gets another credit limit."""
        values = (self.random.randrange(1, 9) * 10**9, self.now_s, self.random.randint(1, 8))
        self.run("UPDATE punters SET credit = ?, changed_s = ? WHERE id = ?", *values)

    def run(self, sql: str, *values: Any) -> None:
        """Execute a statement."""
        self.connection.execute(sql, values)

    def pick(self, where: str) -> str | None:
        """One of the slips of some kind."""
        found = self.rows(f"SELECT id FROM slips WHERE {where} ORDER BY number")
        return str(self.random.choice(found)[0]) if found else None

    def close(self) -> None:
        """The program ends."""
        self.connection.close()

    def _pay(self, slip: str, outcome: str) -> None:
        ((stake, wins, free),) = self.rows("SELECT stake, wins, free FROM slips WHERE id = ?", slip)
        own = 0 if free else stake
        paid = {"W": own + wins, "L": 0, "R": own, "C": own // 2 // MICRO * MICRO}[outcome]
        before = self._profit(slip)
        turn = (self.one("SELECT max(turn) FROM payouts WHERE slip = ?", slip) or 0) + 1
        self.run("INSERT INTO payouts VALUES(?, ?, ?, ?, ?)", slip, turn, outcome, paid, self.now_s)
        self.run("UPDATE slips SET state = ?, changed_s = ? WHERE id = ?", 5 if outcome == "C" else 2, self.now_s, slip)
        self._owe(slip, paid - own - before)

    def _profit(self, slip: str) -> int:
        """What the settlement that holds has brought the punter."""
        sql = "SELECT p.paid - iif(s.free, 0, s.stake) FROM slips s JOIN payouts p ON p.slip = s.id WHERE s.id = ? AND "
        return int(self.one(sql + HOLDS, slip) or 0)

    def _owe(self, slip: str, amount: int) -> None:
        self.run("UPDATE punters SET owed = owed + ? WHERE id = (SELECT punter FROM slips WHERE id = ?)", amount, slip)

    def _edit(self, slip: str, what: str, up_to: int | None) -> None:
        sql = "INSERT INTO edits SELECT id, edition + 1, ?, ?, 'test', ? FROM slips WHERE id = ?"
        self.run(sql, what, up_to, self.now_s, slip)

    def _set(self, slip: str, state: int) -> None:
        sql = "UPDATE slips SET state = ?, edition = edition + 1, changed_s = ? WHERE id = ?"
        self.run(sql, state, self.now_s, slip)

    def _people(self) -> None:
        for number, tree in enumerate(TREES, 1):
            login = tree.rpartition("/")[2]
            self.run(
                "INSERT INTO sub_accounts(id, login, tree, opened_s) VALUES(?, ?, ?, ?)",
                number,
                login,
                tree,
                self.now_s,
            )
        for number in range(1, 9):
            values = (number, f"p{number}", 1 + number % 4, f"Punter {number}", 5 * 10**9, self.now_s, self.now_s)
            columns = "id, ref, sub_account, name, credit, opened_s, changed_s"
            self.run(f"INSERT INTO punters({columns}) VALUES(?, ?, ?, ?, ?, ?, ?)", *values)

    def _offer(self) -> None:
        self.run("INSERT INTO fixtures VALUES(1, 'Rowing', 'Oxford', 'Cambridge', ?)", self.now_s + 86_400)
        for board in (1, 2, 3):
            for side in (0, 1):
                values = (2 * board - side, board, ("Away", "Home")[side], PRICES[board], self.now_s)
                self.run("INSERT INTO prices(id, board, label, price, changed_s) VALUES(?, ?, ?, ?, ?)", *values)
            sql = "INSERT INTO boards VALUES(?, 1, 'moneyline', NULL, 0, 0, 0, ?, ?)"
            self.run(sql, board, self.now_s, self.now_s)

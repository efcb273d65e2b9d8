"""The same business in two books: the demo book, and an invented one with other tables, columns, codes and units."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Final, cast
from zoneinfo import ZoneInfo

import apsw

from fire22.core.event import Event
from fire22.sources.sqlite.install import install
from fire22.sportsbook.book import changes, database, writer
from fire22.sportsbook.book.create import create_book
from fire22.sportsbook.book.schema import OUTBOX, book
from fire22.sportsbook.book.schema.mapping import BookMapping, read_book_mapping
from tests.support.demo_book import told

ROOT: Final = Path(__file__).parents[2]
ZONE: Final = "Europe/London"
# An hour before the clocks are put forward.
START_MS: Final = int(datetime(2026, 3, 29, 0, 0, tzinfo=UTC).timestamp() * 1000)

TABLES: Final = """
CREATE TABLE Agents(AgentNo INTEGER PRIMARY KEY, Login TEXT, Boss INTEGER, Closed INTEGER NOT NULL, Since TEXT);
CREATE TABLE Players(PlayerNo INTEGER PRIMARY KEY, Login TEXT, FullName TEXT, AgentNo INTEGER, State TEXT,
  Credit REAL, MaxBet NUMERIC, BalancePence INTEGER, Since TEXT,
  ChangedAt TEXT);
CREATE TABLE Games(GameNo INTEGER PRIMARY KEY, Sport TEXT, Title TEXT, Kickoff TEXT);
CREATE TABLE Markets(MarketNo INTEGER PRIMARY KEY, GameNo INTEGER, Kind TEXT, Points REAL, State TEXT, Since TEXT,
  ChangedAt TEXT);
CREATE TABLE Sides(SideNo INTEGER PRIMARY KEY, MarketNo INTEGER, Label TEXT, Price INTEGER, ChangedAt TEXT);
CREATE INDEX SidesOfMarket ON Sides(MarketNo);
CREATE TABLE Bets(BetNo INTEGER PRIMARY KEY, PlayerNo INTEGER, SideNo INTEGER, Price INTEGER, Stake NUMERIC,
  Payable NUMERIC, Bonus TEXT, State TEXT, Paid NUMERIC, PlacedAt TEXT, ChangedAt TEXT, Removed INTEGER DEFAULT 0);
CREATE TABLE Cash(CashNo INTEGER PRIMARY KEY, PlayerNo INTEGER, Amount NUMERIC, State INTEGER, AskedMs INTEGER,
  ChangedAt TEXT);
"""


def local(at_ms: int) -> str:
    """What the clock on the wall says."""
    return datetime.fromtimestamp(at_ms // 1000, ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M:%S")


def pounds(minor: int) -> str:
    """An amount as the other book writes it."""
    return str(Decimal(minor) / 100)


def mapping() -> BookMapping:
    """The example's mapping."""
    return read_book_mapping(ROOT / "examples" / "northbet.toml")


class Twins:
    """Every step is written to both books, each in its own words."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.now_ms = START_MS
        demo = folder / "demo" / "demo.db"  # a server's data folder holds the mirror of one book
        demo.parent.mkdir()
        create_book(demo, install=lambda *_, **__: None)
        self.demo = database.connect(demo)
        self.path = folder / "northbet.db"
        self.foreign = apsw.Connection(str(self.path))
        self.foreign.execute(TABLES)
        self.wagers = 0
        self.payments = 0
        self._open: list[tuple[int, int, int, bool]] = []
        self._waiting: list[tuple[int, int, int, bool]] = []
        self._over: list[tuple[int, int, int, bool]] = []
        self._asked: list[int] = []
        self._people()
        self._games()

    def install(self) -> None:
        """Triggers in both books, which bring in what is there."""
        for code, balance in cast(
            "list[tuple[str, int]]", self.demo.execute("SELECT id, balance_cents FROM customers").fetchall()
        ):
            self.foreign.execute("UPDATE Players SET BalancePence = ? WHERE PlayerNo = ?", (balance, code))
        install(Path(self.demo.filename), OUTBOX)
        install(self.path, book(mapping()).outbox)

    def told(self) -> tuple[list[Event], list[Event]]:
        """What the triggers of both have told since the last call."""
        return told(self.demo), told(self.foreign, book(mapping()))

    def step(self) -> None:
        """Something happens."""
        self.now_ms += self.random.randrange(1, 120) * 1000
        often = (self.place, self.place, self.place, self.settle, self.settle)
        rest = (self.settle_again, self.void, self.modify, self.remove, self.decide, self.pay, self.limit, self.price)
        self.random.choice((*often, *rest, self.reopen))()

    def place(self) -> None:
        """A wager is accepted, or held for review."""
        self.wagers += 1
        customer, side = self.random.randint(1, 6), self.random.randint(1, 8)
        price = self.random.choice((-110, 150, 100, -250))
        risk = self.random.randrange(1, 100_000)
        to_win = risk * 7 // 5
        free, held = self.random.random() < 0.2, self.random.random() < 0.2
        leg = changes.NewLeg(str(side), price)
        id = str(self.wagers)
        agent = str(1 + customer % 4)
        path = str(self.demo.execute("SELECT path FROM agents WHERE id = ?", (agent,)).get)
        self.write(
            changes.PlaceWager(
                id, str(customer), agent, path, "straight", risk, to_win, self.now_ms, "web", free, (leg,),
                self.wagers, None, "review" if held else "accepted",
            )
        )  # fmt: skip
        self.run(
            "INSERT INTO Bets VALUES(?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, 0)",
            self.wagers, customer, side, price, pounds(risk), pounds(risk + to_win),
            "Y" if free else self.random.choice(("N", None)), "?" if held else "O", local(self.now_ms),
            local(self.now_ms),
        )  # fmt: skip
        (self._waiting if held else self._open).append((self.wagers, risk, to_win, free))

    def settle(self) -> None:
        """An open wager is settled."""
        if self._open:
            self._grade(self._pop(self._open))

    def settle_again(self) -> None:
        """The result of a settled wager was another one."""
        if self._over:
            self._grade(self._pop(self._over))

    def void(self) -> None:
        """An open or a settled wager is voided."""
        which = self.random.choice((self._open, self._over))
        if which:
            number = self._pop(which)[0]
            self.write(changes.CancelWager(str(number), "voided", "", "desk", self.now_ms))
            self.run("UPDATE Bets SET State = 'V', ChangedAt = ? WHERE BetNo = ?", local(self.now_ms), number)

    def reopen(self) -> None:
        """A settlement is rolled back."""
        if self._over:
            wager = self._pop(self._over)
            self.write(changes.ReopenWager(str(wager[0]), "", "desk", self.now_ms))
            sql = "UPDATE Bets SET State = 'O', Paid = NULL, ChangedAt = ? WHERE BetNo = ?"
            self.run(sql, local(self.now_ms), wager[0])
            self._open.append(wager)

    def modify(self) -> None:
        """An open wager gets other amounts."""
        if self._open:
            number, risk, _, free = self._pop(self._open)
            risk += 100
            self.write(changes.ModifyWager(str(number), risk, risk, "", "desk", self.now_ms))
            sql = "UPDATE Bets SET Stake = ?, Payable = ?, ChangedAt = ? WHERE BetNo = ?"
            self.run(sql, pounds(risk), pounds(2 * risk), local(self.now_ms), number)
            self._open.append((number, risk, risk, free))

    def remove(self) -> None:
        """A wager is deleted: in the other book only marked so."""
        which = self.random.choice((self._open, self._over))
        if which:
            number = self._pop(which)[0]
            self.write(changes.DeleteWager(str(number), "", "desk", self.now_ms))
            self.run("UPDATE Bets SET Removed = 1, ChangedAt = ? WHERE BetNo = ?", local(self.now_ms), number)

    def decide(self) -> None:
        """A wager that waited is accepted or turned down."""
        if not self._waiting:
            return
        wager = self._pop(self._waiting)
        if self.random.random() < 0.5:
            self.write(changes.AcceptWager(str(wager[0]), self.now_ms))
            self.run("UPDATE Bets SET State = 'O', PlacedAt = ? WHERE BetNo = ?", local(self.now_ms), wager[0])
            self._open.append(wager)
        else:
            self.write(changes.RejectWager(str(wager[0]), "rejected", "", "desk", self.now_ms))
            self.run("UPDATE Bets SET State = 'N', ChangedAt = ? WHERE BetNo = ?", local(self.now_ms), wager[0])

    def pay(self) -> None:
        """A payment is asked for, or one that waits is done."""
        if self._asked and self.random.random() < 0.5:
            number = self._asked.pop(self.random.randrange(len(self._asked)))
            self.write(changes.DecidePayment(str(number), "completed", "desk", self.now_ms))
            self.run("UPDATE Cash SET State = 2, ChangedAt = ? WHERE CashNo = ?", local(self.now_ms), number)
            return
        self.payments += 1
        customer, amount = self.random.randint(1, 6), self.random.randrange(1, 50_000)
        direction = self.random.choice((1, -1))
        kind = "deposit" if direction > 0 else "withdrawal"
        id = str(self.payments)
        self.write(changes.RequestPayment(id, str(customer), kind, "card", amount, self.now_ms))  # type: ignore[arg-type]
        at = (self.now_ms, local(self.now_ms))
        self.run("INSERT INTO Cash VALUES(?, ?, ?, 0, ?, ?)", self.payments, customer, pounds(direction * amount), *at)
        self._asked.append(self.payments)

    def limit(self) -> None:
        """A customer gets another credit limit."""
        customer, credit = self.random.randint(1, 6), self.random.randrange(0, 10_000_000)
        self.write(changes.SetLimit(str(customer), credit, 0, self.now_ms))
        sql = "UPDATE Players SET Credit = ?, MaxBet = 0, ChangedAt = ? WHERE PlayerNo = ?"
        self.run(sql, credit / 100, local(self.now_ms), customer)

    def price(self) -> None:
        """A price moves."""
        side, price = self.random.randint(1, 8), self.random.choice((-120, 130, 240))
        self.write(changes.SetPrice(str(side), price, "trader", self.now_ms))
        self.run("UPDATE Sides SET Price = ?, ChangedAt = ? WHERE SideNo = ?", price, local(self.now_ms), side)

    def write(self, *items: changes.Change) -> None:
        """To the demo book."""
        writer.write(self.demo, items)

    def run(self, sql: str, *values: str | int | float | None) -> None:
        """In the other book."""
        self.foreign.execute(sql, values)

    def close(self) -> None:
        """Both."""
        self.demo.close()
        self.foreign.close()

    def _pop(self, wagers: list[tuple[int, int, int, bool]]) -> tuple[int, int, int, bool]:
        return wagers.pop(self.random.randrange(len(wagers)))

    def _grade(self, wager: tuple[int, int, int, bool]) -> None:
        number, risk, to_win, free = wager
        result, state = self.random.choice((("win", "W"), ("loss", "L"), ("push", "P")))
        stake = 0 if free else risk
        returned = {"win": stake + to_win, "loss": 0, "push": stake}[result]
        self._over.append(wager)
        if self.foreign.execute("SELECT round(Paid * 100) FROM Bets WHERE BetNo = ?", (number,)).get == returned:
            return  # the other book has no second row to say so
        self.write(changes.SettleWager(str(number), result, returned, self.now_ms))
        sql = "UPDATE Bets SET State = ?, Paid = ?, ChangedAt = ? WHERE BetNo = ?"
        self.run(sql, state, pounds(returned), local(self.now_ms), number)

    def _people(self) -> None:
        for number, boss in ((1, None), (2, 1), (3, 1), (4, 3)):
            above = self.demo.execute("SELECT path FROM agents WHERE id = ?", (str(boss),)).get if boss else ""
            path = f"{above}/N{number}"
            self.write(
                changes.AddAgent(
                    str(number), f"N{number}", "", str(boss) if boss else None, path.count("/"), path, self.now_ms
                )
            )
            self.run("INSERT INTO Agents VALUES(?, ?, ?, 0, ?)", number, f"N{number}", boss, local(self.now_ms))
        for number in range(1, 7):
            agent = 1 + number % 4
            new = changes.AddCustomer(
                str(number),
                f"P{number}",
                str(agent),
                f"Player {number}",
                self.now_ms,
                segment="",
                credit_limit_minor=500_000,
            )
            self.write(new)
            self.run(
                "INSERT INTO Players VALUES(?, ?, ?, ?, 'A', 5000, 0, 0, ?, ?)",
                number, f"P{number}", f"Player {number}", agent, local(self.now_ms), local(self.now_ms),
            )  # fmt: skip

    def _games(self) -> None:
        both = (local(self.now_ms), local(self.now_ms))
        self.demo.execute("INSERT INTO sports VALUES('s', 'Soccer'); INSERT INTO leagues VALUES('l', 's', 'League')")
        for game in (1, 2):
            starts = self.now_ms + 7_200_000
            self.write(changes.AddEvent(str(game), "l", "Home", "Away", starts, "scheduled"))
            self.run("INSERT INTO Games VALUES(?, 'Soccer', 'Home - Away', ?)", game, local(starts))
            for market in (2 * game - 1, 2 * game):
                sides = tuple(
                    changes.NewSelection(str(2 * market - each), ("Home", "Away")[each], -110) for each in (0, 1)
                )
                self.write(
                    changes.AddMarket(str(market), str(game), "moneyline", "", None, starts, 0, sides, self.now_ms)
                )
                self.run("INSERT INTO Markets VALUES(?, ?, 'moneyline', NULL, 'O', ?, ?)", market, game, *both)
                for each in sides:
                    self.run(
                        "INSERT INTO Sides VALUES(?, ?, ?, -110, ?)",
                        int(each.id),
                        market,
                        each.name,
                        local(self.now_ms),
                    )

"""The people of a demo book, who do at random what such people do."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, Literal

import msgspec

from fire22.sportsbook.betting.bounds import Direction
from fire22.sportsbook.book import changes
from fire22.sportsbook.book.changes import Change
from tests.support.demo_book import DemoBook
from tests.support.storage import START_MS

NEXT: Final = {
    "pending": ("approved", "completed", "rejected", "failed"),
    "approved": ("completed", "rejected", "failed"),
    "completed": ("charged_back",),
}


class Desk(DemoBook):
    """Writes what a book's own people and customers could, at random."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(path, seed)
        self.random = Random(seed)
        self.now_ms = START_MS
        self.number = 0
        self.customers = self.column("SELECT id FROM customers ORDER BY code LIMIT 40")

    def pick(self, sql: str) -> str | None:
        """One of what is found."""
        found = self.column(sql)
        return self.random.choice(found) if found else None

    def step(self) -> Sequence[Change]:
        """What happens next; nothing where it needs what is not there."""
        self.now_ms += self.pause_ms()
        self.number += 1
        often = (self.place, self.settle, self.decide)
        seldom = (self.end, self.modify, self.pay, self.limit, self.reopen, self.adjust, self.ask, self.answer,
                  self.come)  # fmt: skip
        return self.random.choice((*often, *often, *seldom))()

    def pause_ms(self) -> int:
        """How long nothing happens."""
        return self.random.randrange(5_000)

    def place(self) -> list[changes.PlaceWager]:
        """A wager on one or two selections, or a free play."""
        random = self.random
        customer = random.choice(self.customers)
        agent, path = self.connection.execute(
            "SELECT a.id, a.path FROM customers c JOIN agents a ON a.id = c.agent_id WHERE c.id = ?", (customer,)
        ).get
        selections = random.sample(self.column("SELECT id FROM selections ORDER BY id"), random.randint(1, 2))
        legs = tuple(changes.NewLeg(selection, 150) for selection in selections)
        wager = changes.PlaceWager(
            f"w{self.number}", customer, str(agent), str(path), "straight" if len(legs) == 1 else "parlay",
            random.randint(1, 50_000), random.randint(1, 90_000), self.now_ms, "web", random.random() < 0.2, legs,
        )  # fmt: skip
        return [wager]

    def settle(self) -> list[Change]:
        """A first settlement, or a correction of one."""
        wager = self.pick("SELECT id FROM wagers WHERE status IN ('accepted', 'settled') ORDER BY id")
        if wager is None:
            return []
        result = self.random.choice(("win", "loss", "push"))
        return [changes.SettleWager(wager, result, self.random.randint(0, 90_000), self.now_ms)]

    def end(self) -> list[Change]:
        """A wager is called off or its rows are removed, before or after its settlement."""
        wager = self.pick("SELECT id FROM wagers WHERE status IN ('accepted', 'settled') ORDER BY id")
        if wager is None:
            return []
        if self.random.random() < 0.3:
            return [changes.DeleteWager(wager, "test", "desk", self.now_ms)]
        open = self.connection.execute("SELECT status = 'accepted' FROM wagers WHERE id = ?", (wager,)).get
        return [changes.CancelWager(wager, "cancelled" if open else "voided", "test", "desk", self.now_ms)]

    def modify(self) -> list[Change]:
        """An open wager gets other amounts."""
        wager = self.pick("SELECT id FROM wagers WHERE status = 'accepted' ORDER BY id")
        risk, to_win = self.random.randint(1, 50_000), self.random.randint(1, 90_000)
        return [changes.ModifyWager(wager, risk, to_win, "test", "desk", self.now_ms)] if wager else []

    def pay(self) -> list[Change]:
        """A customer wants to pay in or be paid."""
        customer = self.random.choice(self.customers)
        amount = self.random.randint(1, 90_000)
        direction: Direction = self.random.choice(("deposit", "withdrawal"))
        return [changes.RequestPayment(f"p{self.number}", customer, direction, "card", amount, self.now_ms)]

    def decide(self) -> list[Change]:
        """A payment goes on."""
        payment = self.pick("SELECT id FROM payments WHERE status IN ('pending', 'approved', 'completed') ORDER BY id")
        if payment is None:
            return []
        before = self.connection.execute("SELECT status FROM payments WHERE id = ?", (payment,)).get
        after = self.random.choice(NEXT[str(before)])
        return [changes.DecidePayment(payment, after, "desk", self.now_ms)]  # type: ignore[arg-type]

    def reopen(self) -> list[Change]:
        """What ended a wager is rolled back."""
        wager = self.pick("SELECT id FROM wagers WHERE status IN ('settled', 'cancelled', 'voided') ORDER BY id")
        return [changes.ReopenWager(wager, "test", "desk", self.now_ms)] if wager else []

    def adjust(self) -> list[Change]:
        """A balance is moved by hand."""
        amount = self.random.randint(-9_000, 9_000)
        return [changes.AdjustBalance(self.random.choice(self.customers), "bonus", amount, "", "desk", self.now_ms)]

    def ask(self) -> list[Change]:
        """A wager waits to be accepted."""
        return [msgspec.structs.replace(each, status="review") for each in self.place()]

    def answer(self) -> list[Change]:
        """A wager that waited is accepted or turned down."""
        wager = self.pick("SELECT id FROM wagers WHERE status = 'review' ORDER BY id")
        if wager is None:
            return []
        if self.random.random() < 0.5:
            return [changes.AcceptWager(wager, self.now_ms)]
        return [changes.RejectWager(wager, "rejected", "test", "desk", self.now_ms)]

    def limit(self) -> list[Change]:
        """A customer gets another credit limit."""
        return [changes.SetLimit(self.random.choice(self.customers), self.random.randint(0, 900_000), 0, self.now_ms)]

    def come(self) -> list[Change]:
        """A customer comes to the book, or leaves it."""
        action: Literal["login", "logout"] = self.random.choice(("login", "login", "logout"))
        return [changes.LogAccess(self.random.choice(self.customers), action, None, self.now_ms)]

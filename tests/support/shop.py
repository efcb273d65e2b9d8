"""A demo book with a customer, prices that are known, and a desk to ask."""

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec import Struct

from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.role import Kind
from fire22.core.scope import covers
from fire22.security.access import Access
from fire22.sportsbook.desk.execution import ALERTS, Desk
from fire22.sportsbook.desk.permits import Grants, People
from fire22.sportsbook.desk.settings import DeskSettings
from fire22.sportsbook.roles import roles
from tests.support.demo_book import DemoBook
from tests.support.storage import START_MS

ACCESS: Final = Access(roles(()))


class Who(Struct, frozen=True):
    """Somebody who asks."""

    subject: str = "boss"
    role: str = "admin"
    scope: str = "/"
    may: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What its role says."""
        return ACCESS.kind(self.role)

    @property
    def user(self) -> str:
        """Among all."""
        return f"{self.kind}:{self.subject}"


class Alert(Struct, frozen=True):
    """An alert as its view has it: at each scope that covers its path."""

    path: str
    status: str


ADMIN: Final = Who()


class Shop(DemoBook):
    """A demo book with a customer, prices that are known, and a desk.

    Args:
        house: the platform's rules.
        grants: what each role may do; by default as in a new installation.
    """

    def __init__(self, path: Path, house: DeskSettings | None = None, grants: Grants = ACCESS.grants) -> None:
        super().__init__(path)
        self.alerts: dict[str, Alert] = {}
        self.now_ms = START_MS + 1000
        self.number = 0
        self._house = msgspec.structs.replace(house or DeskSettings(), busy_timeout_s=0.02, pending_max=2)
        self.desk = self.desk_of(grants)
        (self.customer, self.code, self.tree) = self.rows(
            "SELECT c.id, c.code, a.path FROM customers c JOIN agents a ON a.id = c.agent_id"
            " WHERE a.level = 3 ORDER BY c.code LIMIT 1"
        )[0]
        self.top = "/" + self.tree.split("/")[1]
        self.set("customers", self.customer, credit_limit_cents=100_000, max_wager_cents=50_000, bet_factor=1.0)
        self.markets = self.column(
            "SELECT m.id FROM markets m JOIN events e ON e.id = m.event_id WHERE m.type IN ('moneyline', '1x2')"
            " AND e.status = 'scheduled' ORDER BY m.id LIMIT 2"
        )
        for market in self.markets:
            self.set("markets", market, closes_at="2030-01-01T00:00:00.000Z")
        self.selections = [
            self.column("SELECT id FROM selections WHERE market_id = ? ORDER BY id", one) for one in self.markets
        ]
        for selections in self.selections:
            for selection, price in zip(selections, (-110, 150, 300), strict=False):
                odds = round(1 + (price / 100 if price > 0 else -100 / price), 6)
                self.set("selections", selection, odds_american=price, odds_decimal=odds)
        self.told()

    def desk_of(self, grants: Grants, people: People | None = None) -> Desk:
        """A desk on this book."""
        return Desk(
            self.path,
            settings=self._house,
            currency="USD",
            view=self.view,
            now_ms=lambda: self.now_ms,
            grants=grants,
            people=people,
        )

    def view(self, topic: str, scope: str, key: str) -> dict[str, Json] | None:
        """A document of a view."""
        alert = self.alerts.get(key) if topic == ALERTS else None
        return {"status": alert.status} if alert is not None and covers(scope, alert.path) else None

    def set(self, table: str, id: str, **values: str | float) -> None:
        """Change a row as the book's own program would."""
        columns = ", ".join(f"{name} = ?" for name in values)
        self.connection.execute(f"UPDATE {table} SET {columns} WHERE id = ?", (*values.values(), id))

    def do(self, name: str, body: dict[str, Any], who: Who = ADMIN, key: str = "") -> dict[str, Any]:
        """Perform a command; its whole answer."""
        self.number += 1
        self.now_ms += 10

        async def act() -> bytes:
            return await self.desk.act(who, name, msgspec.json.encode(body), key or f"key-{self.number}")

        return msgspec.json.decode(asyncio.run(act()), type=dict[str, Any])

    def done(self, name: str, body: dict[str, Any], who: Who = ADMIN) -> dict[str, Any]:
        """Perform a command; its result."""
        answer = self.do(name, body, who)
        assert (answer["command"], answer["repeat"]) == (name, False)
        return dict(answer["result"])

    def refused(self, name: str, body: dict[str, Any], who: Who = ADMIN, key: str = "") -> RequestError:
        """A command that must be refused and change nothing."""
        before = self.dump()
        with pytest.raises(RequestError) as caught:
            self.do(name, body, who, key)
        assert self.dump() == before
        return caught.value

    def wager(self, risk: int = 11_000, *picks: tuple[int, int], **more: Any) -> dict[str, Any]:
        """The body of a wager: by default straight at -110."""
        odds = (1.909091, 2.5, 4.0)
        chosen = picks or ((0, 0),)
        legs = [{"selectionId": self.selections[market][pick], "odds": odds[pick]} for market, pick in chosen]
        return {"customerId": self.code, "legs": legs, "riskMinor": risk} | more

    def placed(self, risk: int = 11_000, *picks: tuple[int, int]) -> str:
        """Place a wager; its id."""
        return str(self.done("wager.place", self.wager(risk, *picks))["wagerId"])

    def balance(self) -> int:
        """The customer's balance."""
        return int(self.one("SELECT balance_cents FROM customers WHERE id = ?", self.customer))

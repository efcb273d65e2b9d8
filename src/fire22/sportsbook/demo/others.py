"""What others do to the book while it is simulated: the desk decides payments, settles, voids, suspends, limits.

Whatever somebody has taken in hand is theirs from then on: a payment that was rejected stays rejected, a wager that was
voided stays void, a suspended customer places nothing, a suspended market stays so until it ends. A wager that the desk
has placed is settled with its markets as any other. Every command is in the book's `audit_log`; it is read in the same
transaction in which the simulation then writes, so nothing can come between.
"""

from typing import Final, cast

import apsw

from fire22.sportsbook.demo.loading import wagers_of
from fire22.sportsbook.demo.simulation import Simulation
from fire22.sportsbook.demo.world import KnownWager

_TOUCHED_SQL: Final = "SELECT id, entity FROM audit_log WHERE id > ? ORDER BY id"
_ON_MARKET_SQL: Final = (
    "SELECT DISTINCT l.wager_id FROM wager_legs l JOIN selections s ON s.id = l.selection_id WHERE s.market_id = ?"
    " ORDER BY l.wager_id"
)


class Others:
    """Tells a simulation what others have done.

    Args:
        connection: to the book; what is there already is known.
    """

    def __init__(self, connection: apsw.Connection, simulation: Simulation) -> None:
        self._connection = connection
        self._simulation = simulation
        self._seen = int(connection.execute("SELECT coalesce(max(id), 0) FROM audit_log").get)

    def catch_up(self, now_ms: int) -> None:
        """Look at what has been done since the last call."""
        touched: dict[str, None] = {}
        rows = cast("list[tuple[int, str]]", self._connection.execute(_TOUCHED_SQL, (self._seen,)).fetchall())
        for number, entity in rows:
            self._seen = number
            touched[entity] = None
        for entity in touched:
            kind, _, id = entity.partition(":")
            if kind == "market":
                self._market(id, now_ms)
            elif kind == "wager":
                self._wager(id)
            elif kind == "payment":
                self._payment(id)
            elif kind == "customer":
                self._customer("code", id, held=True)

    def _market(self, id: str, now_ms: int) -> None:
        status = self._connection.execute("SELECT status FROM markets WHERE id = ?", (id,)).get
        self._simulation.market_is(id, str(status), now_ms)
        if status in ("resulted", "voided"):
            for (wager,) in self._connection.execute(_ON_MARKET_SQL, (id,)).fetchall():
                self._wager(str(wager))

    def _wager(self, id: str) -> None:
        """Of a part that was cashed out, what is left is a wager that was touched; the part is over already."""
        row = self._connection.execute("SELECT status, customer_id FROM wagers WHERE id = ?", (id,)).fetchone()
        if row is None:
            return
        status, customer = row
        found: KnownWager | None = None
        if status == "accepted":
            found = next(iter(wagers_of(self._connection, self._simulation.customers, id)), None)
        self._simulation.wager_is(id, status, found)
        self._customer("id", customer, held=False)

    def _payment(self, id: str) -> None:
        row = self._connection.execute("SELECT status, customer_id FROM payments WHERE id = ?", (id,)).fetchone()
        if row is not None:
            self._simulation.payment_is(id, row[0])
            self._customer("id", row[1], held=False)

    def _customer(self, column: str, value: str, *, held: bool) -> None:
        row = self._connection.execute(
            f"SELECT id, status, credit_limit_cents, max_wager_cents, balance_cents FROM customers WHERE {column} = ?",  # nosec B608  # the column is a constant of this class
            (value,),
        ).fetchone()
        if row is None or row[0] not in self._simulation.customers:
            return
        customer = self._simulation.customers[row[0]]
        _, status, credit, largest, balance = row
        customer.status, customer.balance_minor = status, balance
        customer.credit_limit_minor, customer.max_wager_minor = credit, largest
        customer.held = customer.held or held

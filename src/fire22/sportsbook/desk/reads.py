"""What the desk reads of the book before it decides, in the transaction that it then writes in.

Whatever lies outside the actor's scope is as unknown as what is not there: nobody learns that a sibling exists.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from fire22.core.codes import Code
from fire22.core.errors import RequestError
from fire22.core.scope import ancestors, covers, customer_path
from fire22.sportsbook.betting import codes
from fire22.sportsbook.betting.bounds import MINOR_MAX, SUM_MINOR_MAX
from fire22.sportsbook.betting.odds import as_written, struck_odds
from fire22.sportsbook.betting.payoff import Bet
from fire22.sportsbook.betting.settlement import LOSS, NONE, ONE, GradedLeg, LegResult, dead_heat_share, place_share
from fire22.sportsbook.betting.terms import Terms
from fire22.sportsbook.betting.wager_types import invalid
from fire22.sportsbook.book.changes import NewLeg

DEDUCTED_MAX: Final = Fraction(9, 10)  # by several withdrawals together, as Rule 4 has it


class BookCustomer(Struct, frozen=True):
    """A customer with its agent; minor units. `currency` is that of its amounts, None the book's."""

    id: str
    code: str
    status: str
    bet_factor: float
    credit_limit: int
    max_wager: int
    balance: int
    currency: str | None
    agent_id: str
    path: str


class BookAgent(Struct, frozen=True):
    """An agent; minor units, 0 is no limit of its own."""

    code: str
    path: str
    status: str
    credit_limit: int
    max_wager: int


class Offer(Struct, frozen=True):
    """A selection as it is offered now."""

    id: str
    market_id: str
    market_status: str
    closes_at: str
    event_status: str
    price: int
    odds: float
    line: float | None

    @property
    def exact(self) -> Fraction:
        """The price as it counts."""
        return struck_odds(self.odds, self.price)


class BookWager(Struct, frozen=True, array_like=True):
    """A wager as it stands; minor units. `revision` and `returned` are of its latest settlement, 0 without one.

    `path` is the agent's at acceptance, `home` that of the customer's agent now. `currency` is that of its amounts,
    `account` that of its customer's; None is the book's.
    """

    id: str
    number: int
    customer_id: str
    customer: str
    path: str
    status: str
    version: int
    risk: int
    to_win: int
    free_play: bool
    result: str
    revision: int
    returned: int
    type: str
    terms: str
    agent_id: str
    channel: str
    ip: str | None
    currency: str | None
    account: str | None
    home: str

    @property
    def settled_minor(self) -> int:
        """What its settlement returned that holds now; 0 where none does."""
        return self.returned if self.status in ("settled", "cashed_out") else 0


class BookMarket(Struct, frozen=True):
    """A market, and the results of its selections so far."""

    id: str
    status: str
    selections: tuple[str, ...]


class BookPayment(Struct, frozen=True):
    """A payment as it stands; minor units. `currency` and `account` are as those of a wager."""

    id: str
    customer: str
    path: str
    status: str
    direction: str
    amount: int
    currency: str | None
    account: str | None


class Reader:
    """Reads one book for one actor.

    Args:
        scope: what the actor may act on.
    """

    def __init__(self, connection: apsw.Connection, scope: str) -> None:
        self._connection = connection
        self._scope = scope

    def customer(self, code: str) -> BookCustomer:
        """A customer by the code people know.

        Raises:
            RequestError: `customer_unknown`.
        """
        sql = """
            SELECT c.id, c.code, c.status, c.bet_factor, c.credit_limit_cents, c.max_wager_cents, c.balance_cents,
              c.currency, a.id, a.path FROM customers c JOIN agents a ON a.id = c.agent_id WHERE c.code = ?"""
        row = self._row(sql, code)
        if row is None or not covers(self._scope, customer_path(row[9], row[1])):
            raise _unknown(codes.CUSTOMER_UNKNOWN, "customer", "customerId", code)
        return BookCustomer(*row)

    def open_risk(self, customer_id: str) -> list[tuple[str | None, int]]:
        """The cash that a customer has at risk in open wagers, minor units, by the currency that the wagers say."""
        sql = f"""SELECT currency, {_RISK} FROM wagers
            WHERE customer_id = ? AND status = 'accepted' AND NOT is_freeplay GROUP BY currency"""  # nosec B608  # constants, values are bound
        return [(currency, risk) for currency, risk in self._rows(sql, customer_id)]

    def credit_drawn(self, path: str, own: str) -> list[tuple[str, int]]:
        """What the customers of an agent's sub-tree have at risk beyond their balances, minor units, by the currencies
        of the balances; and, with nothing, every currency of a wager that is another one than its customer's balance
        is in: nobody knows what such a wager draws.

        Args:
            own: the book's currency, which amounts are in that say none.
        """
        sql = f"""
            WITH below AS (SELECT c.id, coalesce(c.currency, ?2) AS currency,
                min(max(c.balance_cents, -{SUM_MINOR_MAX}), {SUM_MINOR_MAX}) AS balance
                FROM agents a JOIN customers c ON c.agent_id = a.id
                WHERE a.path = ?1 OR substr(a.path, 1, length(?1) + 1) = ?1 || '/'),
              open AS (SELECT w.customer_id AS id, coalesce(w.currency, ?2) AS currency, {_RISK} AS risk FROM wagers w
                WHERE w.customer_id IN (SELECT id FROM below) AND w.status = 'accepted' AND NOT w.is_freeplay
                GROUP BY w.customer_id, coalesce(w.currency, ?2)),
              drawn AS (SELECT b.id, b.currency, coalesce(sum(o.risk), 0) - b.balance AS amount
                FROM below b LEFT JOIN open o ON o.id = b.id AND o.currency = b.currency
                GROUP BY b.id HAVING amount > 0)
            SELECT currency, sum(amount) FROM drawn GROUP BY currency
            UNION ALL SELECT DISTINCT iif(o.currency = ?2, b.currency, o.currency), 0 FROM open o JOIN below b
              ON b.id = o.id WHERE o.currency <> b.currency AND o.risk > 0"""  # nosec B608  # constants, values are bound
        rows = self._connection.execute(sql, (path, own))
        return [(currency, amount) for currency, amount in rows]

    def agents(self, path: str) -> list[BookAgent]:
        """The agents from the top down to a path."""
        sql = """SELECT code, path, status, credit_limit_cents, max_wager_cents FROM agents
            WHERE path IN (SELECT value FROM json_each(?)) ORDER BY level"""
        paths = msgspec.json.encode(ancestors(path)).decode()
        return [BookAgent(*row) for row in self._rows(sql, paths)]

    def offer(self, selection_id: str) -> Offer:
        """A selection, its market and its game.

        Raises:
            RequestError: `market_unknown`, or `event_invalid` where its odds are no finite number.
        """
        sql = """
            SELECT s.id, m.id, m.status, m.closes_at, e.status, s.odds_american, s.odds_decimal, m.line
            FROM selections s JOIN markets m ON m.id = s.market_id JOIN events e ON e.id = m.event_id WHERE s.id = ?"""
        row = self._row(sql, selection_id)
        if row is None:
            raise _unknown(codes.MARKET_UNKNOWN, "selection", "selectionId", selection_id)
        as_written(row[6])
        return Offer(*row)

    def wager(self, wager_id: str) -> BookWager:
        """A wager and its latest settlement.

        Raises:
            RequestError: `wager_unknown`.
        """
        row = self._row(_WAGER_SQL + " WHERE w.id = ?", wager_id)
        if row is None or not covers(self._scope, customer_path(row[-1], row[3])):
            raise _unknown(codes.WAGER_UNKNOWN, "wager", "wagerId", wager_id)
        return _wager(row)

    def wagers_of_market(self, market_id: str) -> list[BookWager]:
        """The wagers on a market that are open, or settled and not ended otherwise, in the order of their numbers."""
        sql = f"""{_WAGER_SQL} WHERE w.status IN ('accepted', 'settled') AND w.id IN (SELECT l.wager_id
            FROM selections x JOIN wager_legs l ON l.selection_id = x.id WHERE x.market_id = ?)
            ORDER BY w.wager_number"""  # nosec B608  # constants, values are bound
        return [_wager(row) for row in self._rows(sql, market_id)]

    def bet(self, wager: BookWager) -> tuple[list[str], Bet]:
        """A wager as it is paid, with the results that the book has: the selections of its legs, and it.

        Raises:
            RequestError: `wager_invalid`, its terms cannot be read.
        """
        try:
            terms = msgspec.json.decode(wager.terms, type=Terms)
        except msgspec.DecodeError as error:
            raise invalid(f"The terms of the wager cannot be read: {error}.") from None
        rows = list(self._rows(_LEGS_SQL, wager.id))
        legs = tuple([_leg(row, terms.places) for row in rows])
        bet = Bet(legs, wager.risk, wager.to_win, wager.type, terms, free_play=wager.free_play)
        return [row[0] for row in rows], bet

    def written_legs(self, wager_id: str) -> tuple[NewLeg, ...]:
        """The legs of a wager in order, as they are written."""
        sql = """SELECT selection_id, odds_american, odds_decimal, line FROM wager_legs WHERE wager_id = ?
            ORDER BY leg_no"""
        rows = self._rows(sql, wager_id)
        return tuple([NewLeg(id, price, line=line, odds=odds) for id, price, odds, line in rows])

    def market(self, market_id: str) -> BookMarket:
        """A market and its selections.

        Raises:
            RequestError: `market_unknown`.
        """
        row = self._row("SELECT id, status FROM markets WHERE id = ?", market_id)
        if row is None:
            raise _unknown(codes.MARKET_UNKNOWN, "market", "marketId", market_id)
        sql = "SELECT id FROM selections WHERE market_id = ? ORDER BY id"
        return BookMarket(row[0], row[1], tuple(one[0] for one in self._rows(sql, market_id)))

    def payment(self, payment_id: str) -> BookPayment:
        """A payment.

        Raises:
            RequestError: `payment_unknown`.
        """
        sql = """SELECT p.id, c.code, a.path, p.status, p.direction, p.amount_cents, p.currency, c.currency
            FROM payments p JOIN customers c ON c.id = p.customer_id JOIN agents a ON a.id = c.agent_id
            WHERE p.id = ?"""
        row = self._row(sql, payment_id)
        if row is None or not covers(self._scope, customer_path(row[2], row[1])):
            raise _unknown(codes.PAYMENT_UNKNOWN, "payment", "paymentId", payment_id)
        return BookPayment(*row)

    def alert_action(self, alert_id: str) -> str:
        """What was done about an alert last, or nothing."""
        row = self._row("SELECT action FROM alert_actions WHERE alert_id = ? ORDER BY id DESC LIMIT 1", alert_id)
        return str(row[0]) if row is not None else ""

    def _row(self, sql: str, value: str) -> tuple[Any, ...] | None:
        return self._connection.execute(sql, (value,)).fetchone()

    def _rows(self, sql: str, value: str) -> Iterator[tuple[Any, ...]]:
        return iter(self._connection.execute(sql, (value,)))


# An amount beyond all bounds is set aside by the figures; here it must not overflow the sum of the others.
_RISK: Final = f"sum(min(risk_cents, {MINOR_MAX}))"

_WAGER_SQL: Final = """
    SELECT w.id, w.wager_number, w.customer_id, c.code, w.agent_path, w.status, w.version, w.risk_cents, w.to_win_cents,
      w.is_freeplay, coalesce(s.result, ''), coalesce(s.revision, 0), coalesce(s.return_cents, 0), w.type, w.terms,
      w.agent_id, w.channel, w.ip, w.currency, c.currency, a.path
    FROM wagers w JOIN customers c ON c.id = w.customer_id JOIN agents a ON a.id = c.agent_id
      LEFT JOIN settlements s ON s.wager_id = w.id AND s.revision =
        (SELECT max(l.revision) FROM settlements l WHERE l.wager_id = w.id)"""


def _wager(row: tuple[Any, ...]) -> BookWager:
    return msgspec.convert(row, BookWager, strict=False)


# Each leg with its result, where it finished and how many did so there, in how many places anybody is known to have
# finished, and what is deducted.
_LEGS_SQL: Final = """
    SELECT l.selection_id, l.odds_decimal, l.odds_american, s.result, s.void_factor, s.dead_heat, s.position, s.tied,
      (SELECT count(*) FROM selections o WHERE o.market_id = s.market_id AND o.position IS NOT NULL),
      (SELECT coalesce(sum(d.percent), 0) FROM market_deductions d WHERE d.market_id = s.market_id
        AND (d.before_at IS NULL OR w.accepted_at < d.before_at))
    FROM wager_legs l JOIN selections s ON s.id = l.selection_id JOIN wagers w ON w.id = l.wager_id
    WHERE l.wager_id = ? ORDER BY l.leg_no"""


def _leg(row: tuple[Any, ...], places: int) -> GradedLeg:
    _, decimal, price, won, void, shared, position, tied, known, percent = row
    odds = struck_odds(decimal, price)
    if won is None:
        return GradedLeg(odds)
    deduction = deducted(percent)
    result = LegResult(bool(won), as_written(void), dead_heat_share(shared) if won else ONE, deduction)
    if not places or result.void == 1 or (position is None and known < places):
        return GradedLeg(odds, result)
    share = NONE if position is None else place_share(position, tied, places)
    place = msgspec.structs.replace(LOSS if not share else LegResult(won=True, dead_heat=share), deduction=deduction)
    return GradedLeg(odds, result, place)


def deducted(percent: float) -> Fraction:
    """The share of the winnings that is kept; never all of them."""
    return min(as_written(percent) / 100, DEDUCTED_MAX)


def _unknown(code: Code, what: str, field: str, id: str) -> RequestError:
    return RequestError(code, f"There is no {what} {id[:64]}.", details={field: id[:200]})

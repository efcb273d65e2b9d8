"""Reads from a demo book what the simulation must know, so that it goes on with the book as it finds it."""

from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction

import apsw
import msgspec

from fire22.core.times import to_ms, to_text
from fire22.sportsbook.betting.odds import decimal_odds, struck_odds
from fire22.sportsbook.betting.settlement import LegResult, dead_heat_share
from fire22.sportsbook.betting.terms import Terms
from fire22.sportsbook.demo.cashier import DAY_MS
from fire22.sportsbook.demo.world import (
    KnownCustomer,
    KnownLeg,
    KnownMarket,
    KnownPayment,
    KnownSelection,
    KnownWager,
    World,
)


def load(connection: apsw.Connection, now_ms: int) -> World:
    """What the book holds now: customers, markets without a result, open wagers, and what is under way."""
    customers = _customers(connection, now_ms)
    asked = connection.execute("SELECT id FROM wagers WHERE status IN ('requested', 'review') ORDER BY id")
    world = World(
        list(customers.values()),
        _markets(connection),
        payments=_payments(connection, customers),
        asked={str(id_): None for (id_,) in asked},
    )
    for wager in wagers_of(connection, customers):
        world.enter(wager)
    for customer in customers.values():
        customer.unplayed_minor = 0  # what was played before, nobody remembers
    return world


def _customers(connection: apsw.Connection, now_ms: int) -> dict[str, KnownCustomer]:
    rows = connection.execute(
        "SELECT c.id, c.code, a.id, a.path, c.segment, c.status, c.bet_factor, c.credit_limit_cents, c.max_wager_cents,"
        " c.balance_cents FROM customers c JOIN agents a ON a.id = c.agent_id ORDER BY c.id"
    )
    customers = {str(row[0]): KnownCustomer(*row) for row in rows}
    day = now_ms // DAY_MS
    paid_in = connection.execute(
        "SELECT customer_id, sum(amount_cents) FROM payments WHERE direction = 'deposit' AND requested_at >= ?"
        " GROUP BY customer_id",
        (to_text(day * DAY_MS),),
    )
    for id_, amount in paid_in:
        customers[str(id_)].deposit_day, customers[str(id_)].deposited_minor = day, int(amount)
    return customers


def _markets(connection: apsw.Connection) -> dict[str, KnownMarket]:
    """Markets without a result; one that is suspended or closed takes no bets."""
    sides: dict[str, list[KnownSelection]] = {}
    found: dict[str, tuple[str, str, float | None, str, str, int]] = {}
    rows = connection.execute(
        "SELECT m.id, m.event_id, m.type, m.line, m.closes_at, m.status, m.liability_limit_cents, s.id, s.name,"
        " s.odds_american FROM markets m JOIN selections s ON s.market_id = m.id"
        " WHERE m.status IN ('open', 'suspended', 'closed') ORDER BY m.closes_at, m.id, s.rowid"
    )
    for id_, event, kind, line, closes_at, status, limit, selection, name, american in rows:
        found[id_] = (event, kind, line, closes_at, status, limit)
        sides.setdefault(id_, []).append(KnownSelection(selection, name, american))
    return {
        id_: KnownMarket(
            id_, event, kind, line, _ms(closes_at) if status == "open" else 0, status == "open", limit, sides[id_]
        )
        for id_, (event, kind, line, closes_at, status, limit) in found.items()
    }


def wagers_of(
    connection: apsw.Connection, customers: dict[str, KnownCustomer], id: str | None = None
) -> Iterable[KnownWager]:
    """Open wagers with legs, or one of them; legs of markets that are over have their result.

    Args:
        customers: by id.
    """
    wagers: dict[str, KnownWager] = {}
    rows = connection.execute(
        "SELECT w.id, w.customer_id, w.risk_cents, w.to_win_cents, w.is_freeplay, w.type, w.terms, s.market_id, s.id,"
        " l.odds_american, l.odds_decimal, s.result, s.void_factor, s.dead_heat"
        " FROM wagers w JOIN wager_legs l ON l.wager_id = w.id JOIN selections s ON s.id = l.selection_id"
        f" WHERE w.status = 'accepted'{'' if id is None else ' AND w.id = ?'}"
        " ORDER BY w.accepted_at, w.wager_number, l.leg_no",  # nosec B608  # constants
        () if id is None else (id,),
    )
    for id_, customer, risk, to_win, free_play, type, terms, market_id, selection, american, odds, *result in rows:
        wager = wagers.get(id_)
        if wager is None:
            wager = wagers[id_] = KnownWager(id_, customers[customer], risk, to_win, bool(free_play), [], type=type)
            wager.terms = msgspec.json.decode(terms, type=Terms)
        exact = struck_odds(odds, american)
        other = None if exact == decimal_odds(american) else exact
        wager.legs.append(KnownLeg(market_id, selection, american, _result(*result), other))
    return wagers.values()


def _result(won: int | None, void: float, dead_heat: float) -> LegResult | None:
    if won is None:
        return None
    return LegResult(bool(won), Fraction(void).limit_denominator(2), dead_heat_share(dead_heat))


def _payments(connection: apsw.Connection, customers: dict[str, KnownCustomer]) -> list[KnownPayment]:
    rows = connection.execute(
        "SELECT id, customer_id, direction, amount_cents, status FROM payments"
        " WHERE status IN ('pending', 'approved') ORDER BY id"
    )
    return [KnownPayment(id_, customers[customer], *rest) for id_, customer, *rest in rows]


def _ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))

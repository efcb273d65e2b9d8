"""The demo book: creates it, and writes changes to it, each call in one transaction.

Both the simulator (an outside process) and the replay write through here, as a book's own software would: tables only;
the events come from the triggers. Balances follow the credit model: a customer's balance moves by the profit of a wager
when it is settled, by completed payments, and back when either is undone; every move is a ledger entry.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from fire22.core.errors import Details, RequestError
from fire22.core.outbox import CLOCK_SQL
from fire22.core.times import to_text
from fire22.sportsbook.betting import codes
from fire22.sportsbook.betting.bounds import MINOR_MAX
from fire22.sportsbook.betting.odds import stored_odds
from fire22.sportsbook.betting.settlement import customer_profit_minor
from fire22.sportsbook.book import changes
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.book.database import transaction


def write(connection: apsw.Connection, items: Iterable[Change]) -> None:
    """Write changes in one transaction, in order.

    Raises:
        AssertionError: a change names a wager or payment that is not there.
        RequestError: `limit_exceeded`, a balance would be more than a fact may carry.
        apsw.Error: as SQLite says; nothing is written.
    """
    with transaction(connection):
        for item in items:
            _WRITERS[type(item)](connection, item)


def check_minor(what: str, minor: int) -> None:
    """Whether a fact may carry an amount.

    Raises:
        RequestError: `limit_exceeded`.
    """
    if abs(minor) > MINOR_MAX:
        details: Details = {"limitMinor": MINOR_MAX, "amountMinor": minor, "whose": "platform"}
        message = f"No amount is more than {MINOR_MAX}: the {what} would be {minor}."
        raise RequestError(codes.LIMIT_EXCEEDED, message, details=details)


def gross_revenue_minor(connection: apsw.Connection, path: str = "/") -> int:
    """Gross revenue of a path and all below, by plain SQL over the tables: cash stakes less returns, minor units."""
    sql = """
        SELECT coalesce(sum(iif(w.is_freeplay, 0, w.risk_cents) - s.return_cents), 0)
        FROM wagers w JOIN settlements s ON s.wager_id = w.id
        WHERE w.status IN ('settled', 'cashed_out')
          AND s.revision = (SELECT max(l.revision) FROM settlements l WHERE l.wager_id = w.id)
          AND (? = '/' OR w.agent_path = ? OR substr(w.agent_path, 1, length(?) + 1) = ? || '/')"""
    return int(connection.execute(sql, (path, path, path, path)).get)


def _add_agent(connection: apsw.Connection, item: changes.AddAgent) -> None:
    connection.execute(
        "INSERT INTO agents(id, code, name, parent_id, level, path, credit_limit_cents, max_wager_cents, created_at)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (item.id, item.code, item.name, item.parent_id, item.level, item.path, item.credit_limit_minor,
         item.max_wager_minor, to_text(item.at_ms)),
    )  # fmt: skip


def _add_customer(connection: apsw.Connection, item: changes.AddCustomer) -> None:
    at = to_text(item.at_ms)
    connection.execute(
        "INSERT INTO customers(id, code, agent_id, name, segment, bet_factor, credit_limit_cents, max_wager_cents,"
        " created_at, updated_at) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (item.id, item.code, item.agent_id, item.name, item.segment, item.bet_factor, item.credit_limit_minor,
         item.max_wager_minor, at, at),
    )  # fmt: skip


def _set_commission_plan(connection: apsw.Connection, item: changes.SetCommissionPlan) -> None:
    at = to_text(item.at_ms)
    connection.execute(
        "INSERT INTO commission_plans VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET type = excluded.type,"
        " rate = excluded.rate, per_head_cents = excluded.per_head_cents, tiers = excluded.tiers,"
        " makeup_cents = excluded.makeup_cents, updated_at = excluded.updated_at",
        (item.agent_id, item.effective_from, item.type, item.rate, item.per_head_minor,
         msgspec.json.encode(item.brackets).decode(), item.makeup_minor, at, at),
    )  # fmt: skip


def _log_access(connection: apsw.Connection, item: changes.LogAccess) -> None:
    connection.execute(
        "INSERT INTO access_logs(customer_id, ip, action, at) VALUES(?, ?, ?, ?)",
        (item.customer_id, item.ip, item.action, to_text(item.at_ms)),
    )


def _add_event(connection: apsw.Connection, item: changes.AddEvent) -> None:
    values = (item.id, item.league_id, item.home, item.away, to_text(item.starts_ms), item.status)
    connection.execute("INSERT INTO events VALUES(?, ?, ?, ?, ?, ?)", values)


def _set_event_status(connection: apsw.Connection, item: changes.SetEventStatus) -> None:
    connection.execute("UPDATE events SET status = ? WHERE id = ?", (item.status, item.event_id))


def _add_market(connection: apsw.Connection, item: changes.AddMarket) -> None:
    at = to_text(item.at_ms)
    for one in item.selections:
        connection.execute(
            "INSERT INTO selections(id, market_id, name, odds_decimal, odds_american, updated_at)"
            " VALUES(?, ?, ?, ?, ?, ?)",
            (one.id, item.id, one.name, stored_odds(one.price), one.price, at),
        )
    connection.execute(
        "INSERT INTO markets(id, event_id, type, period, line, status, liability_limit_cents, closes_at, created_at,"
        " updated_at) VALUES(?, ?, ?, ?, ?, 'open', ?, ?, ?, ?)",
        (item.id, item.event_id, item.type, item.period, item.line, item.liability_limit_minor,
         to_text(item.closes_ms), at, at),
    )  # fmt: skip


def _set_market_status(connection: apsw.Connection, item: changes.SetMarketStatus) -> None:
    connection.execute(
        "UPDATE markets SET status = ?, updated_at = ? WHERE id = ?", (item.status, to_text(item.at_ms), item.market_id)
    )


def _set_price(connection: apsw.Connection, item: changes.SetPrice) -> None:
    at, odds = to_text(item.at_ms), stored_odds(item.price)
    connection.execute(
        "INSERT INTO odds_history(selection_id, odds_decimal, source, changed_at) VALUES(?, ?, ?, ?)",
        (item.selection_id, odds, item.source, at),
    )
    connection.execute(
        "UPDATE selections SET odds_decimal = ?, odds_american = ?, updated_at = ? WHERE id = ?",
        (odds, item.price, at, item.selection_id),
    )


def _result_market(connection: apsw.Connection, item: changes.ResultMarket) -> None:
    at = to_text(item.at_ms)
    connection.execute(
        "UPDATE selections SET result = iif(id IS ?1, 1, 0), void_factor = iif(?1 IS NULL, 1, 0), updated_at = ?2"
        " WHERE market_id = ?3",
        (item.winner_id, at, item.market_id),
    )
    status = "voided" if item.winner_id is None else "resulted"
    connection.execute("UPDATE markets SET status = ?, updated_at = ? WHERE id = ?", (status, at, item.market_id))


def _grade_market(connection: apsw.Connection, item: changes.GradeMarket) -> None:
    at = to_text(item.at_ms)
    for one in item.grades:
        connection.execute(
            "UPDATE selections SET result = ?, void_factor = ?, dead_heat = ?, position = ?, tied = ?, updated_at = ?"
            " WHERE id = ?",
            (one.result, one.void, one.dead_heat, one.position, one.tied, at, one.selection_id),
        )
    connection.execute("DELETE FROM market_deductions WHERE market_id = ?", (item.market_id,))
    for each in item.deductions:
        before = None if each.before_ms is None else to_text(each.before_ms)
        connection.execute("INSERT INTO market_deductions VALUES(?, ?, ?)", (item.market_id, each.percent, before))
    connection.execute("UPDATE markets SET status = ?, updated_at = ? WHERE id = ?", (item.status, at, item.market_id))


def _place(connection: apsw.Connection, item: changes.PlaceWager) -> None:
    for number, leg in enumerate(item.legs, 1):
        connection.execute(
            "INSERT INTO wager_legs(wager_id, leg_no, selection_id, odds_decimal, odds_american, line)"
            " VALUES(?, ?, ?, ?, ?, ?)",
            (item.id, number, leg.selection_id, leg.odds or stored_odds(leg.price), leg.price, leg.line),
        )
    at = to_text(item.at_ms)
    connection.execute(
        "INSERT INTO wagers(id, wager_number, customer_id, agent_id, agent_path, type, risk_cents, to_win_cents,"
        " is_freeplay, channel, ip, status, accepted_at, updated_at, idempotency_key, terms) VALUES(?,"
        " coalesce(?, (SELECT coalesce(max(wager_number), 0) + 1 FROM wagers)),"
        " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (item.id, item.number, item.customer_id, item.agent_id, item.agent_path, item.type, item.risk_minor,
         item.to_win_minor, item.free_play, item.channel, item.ip, item.status, at, at, item.id,
         msgspec.json.encode(item.terms).decode()),
    )  # fmt: skip


def _accept(connection: apsw.Connection, item: changes.AcceptWager) -> None:
    connection.execute(
        "UPDATE wagers SET status = 'accepted', accepted_at = ?1, updated_at = ?1 WHERE id = ?2",
        (to_text(item.at_ms), item.wager_id),
    )


def _reject(connection: apsw.Connection, item: changes.RejectWager) -> None:
    at = to_text(item.at_ms)
    _record_change(connection, item.wager_id, item.status, item.actor, item.reason, at, {"status": item.status})
    connection.execute(
        "UPDATE wagers SET status = ?, version = version + 1, updated_at = ? WHERE id = ?",
        (item.status, at, item.wager_id),
    )


def _reopen(connection: apsw.Connection, item: changes.ReopenWager) -> None:
    wager = _wager(connection, item.wager_id)
    at = to_text(item.at_ms)
    after: dict[str, str | int] = {"status": "accepted", "revision": wager.revision}
    _record_change(connection, item.wager_id, "reopened", item.actor, item.reason, at, after)
    connection.execute(
        "UPDATE wagers SET status = 'accepted', version = version + 1, settled_at = NULL, updated_at = ? WHERE id = ?",
        (at, item.wager_id),
    )
    connection.execute("UPDATE wager_legs SET result = NULL WHERE wager_id = ?", (item.wager_id,))
    _post(connection, wager.customer_id, "reopened", -wager.profit, "wager", item.wager_id, at)


def _settle(connection: apsw.Connection, item: changes.SettleWager) -> None:
    wager = _wager(connection, item.wager_id)
    profit = customer_profit_minor(wager.risk, item.return_minor, free_play=wager.free_play)
    at = to_text(item.at_ms)
    connection.execute(
        "INSERT INTO settlements VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        (item.wager_id, wager.revision + 1, item.result, item.return_minor, profit, item.settled_by, item.batch_id, at),
    )
    connection.execute(
        "UPDATE wagers SET status = ?1, settled_at = ?2, updated_at = ?2 WHERE id = ?3",
        ("cashed_out" if item.result == "cashed_out" else "settled", at, item.wager_id),
    )
    connection.execute(
        "UPDATE wager_legs SET result = (SELECT CASE WHEN s.void_factor = 1 THEN 'push'"
        " WHEN s.result IS NULL THEN NULL WHEN s.void_factor > 0 THEN iif(s.result, 'half_win', 'half_loss')"
        " WHEN s.result = 0 THEN 'loss' ELSE iif(s.dead_heat < 1, 'dead_heat', 'win') END"
        " FROM selections s WHERE s.id = selection_id) WHERE wager_id = ?",
        (item.wager_id,),
    )
    kind = "resettlement" if wager.settled else "settlement"
    _post(connection, wager.customer_id, kind, profit - wager.profit, "wager", item.wager_id, at)


def _cancel(connection: apsw.Connection, item: changes.CancelWager) -> None:
    wager = _wager(connection, item.wager_id)
    at = to_text(item.at_ms)
    _record_change(connection, item.wager_id, item.status, item.actor, item.reason, at, {"status": item.status})
    connection.execute(
        "UPDATE wagers SET status = ?, version = version + 1, updated_at = ? WHERE id = ?",
        (item.status, at, item.wager_id),
    )
    _post(connection, wager.customer_id, item.status, -wager.profit, "wager", item.wager_id, at)


def _delete(connection: apsw.Connection, item: changes.DeleteWager) -> None:
    wager = _wager(connection, item.wager_id)
    at = to_text(item.at_ms)
    _record_change(connection, item.wager_id, "deleted", item.actor, item.reason, at, {"status": "deleted"})
    connection.execute("DELETE FROM wagers WHERE id = ?", (item.wager_id,))
    connection.execute("DELETE FROM wager_legs WHERE wager_id = ?", (item.wager_id,))
    connection.execute("DELETE FROM settlements WHERE wager_id = ?", (item.wager_id,))
    _post(connection, wager.customer_id, "deleted", -wager.profit, "wager", item.wager_id, at)


def _modify(connection: apsw.Connection, item: changes.ModifyWager) -> None:
    at = to_text(item.at_ms)
    after = {"riskMinor": item.risk_minor, "toWinMinor": item.to_win_minor}
    _record_change(connection, item.wager_id, "modified", item.actor, item.reason, at, after)
    terms = None if item.terms is None else msgspec.json.encode(item.terms).decode()
    connection.execute(
        "UPDATE wagers SET risk_cents = ?, to_win_cents = ?, terms = coalesce(?, terms), version = version + 1,"
        " updated_at = ? WHERE id = ?",
        (item.risk_minor, item.to_win_minor, terms, at, item.wager_id),
    )


def _request_payment(connection: apsw.Connection, item: changes.RequestPayment) -> None:
    at = to_text(item.at_ms)
    connection.execute(
        "INSERT INTO payments VALUES(?, ?, ?, ?, ?, 'pending', ?, ?, NULL, NULL)",
        (item.id, item.customer_id, item.direction, item.method, item.amount_minor, at, at),
    )


def _decide_payment(connection: apsw.Connection, item: changes.DecidePayment) -> None:
    at = to_text(item.at_ms)
    row = connection.execute(
        "UPDATE payments SET status = ?, decided_by = ?, updated_at = ? WHERE id = ?"
        " RETURNING customer_id, direction, amount_cents",
        (item.status, item.decided_by, at, item.payment_id),
    ).fetchone()
    if row is None:
        raise AssertionError(f"no payment {item.payment_id}")
    customer, direction, amount = row
    sign = {"completed": 1, "charged_back": -1}.get(item.status, 0) * (1 if direction == "deposit" else -1)
    _post(connection, customer, f"{direction}_{item.status}", sign * amount, "payment", item.payment_id, at)


def _adjust(connection: apsw.Connection, item: changes.AdjustBalance) -> None:
    at = to_text(item.at_ms)
    _post(connection, item.customer_id, item.kind, item.amount_minor, "adjustment", item.actor, at, item.reason)


def _decide_alert(connection: apsw.Connection, item: changes.DecideAlert) -> None:
    connection.execute(
        "INSERT INTO alert_actions(alert_id, action, actor_id, note, at) VALUES(?, ?, ?, ?, ?)",
        (item.alert_id, item.action, item.actor, item.note, to_text(item.at_ms)),
    )


def _set_limit(connection: apsw.Connection, item: changes.SetLimit) -> None:
    connection.execute(
        "UPDATE customers SET credit_limit_cents = ?, max_wager_cents = ?, updated_at = ? WHERE id = ?",
        (item.credit_limit_minor, item.max_wager_minor, to_text(item.at_ms), item.customer_id),
    )


def _set_customer_status(connection: apsw.Connection, item: changes.SetCustomerStatus) -> None:
    connection.execute(
        "UPDATE customers SET status = ?, updated_at = ? WHERE id = ?",
        (item.status, to_text(item.at_ms), item.customer_id),
    )


def _clock(connection: apsw.Connection, item: changes.Clock) -> None:
    connection.execute(CLOCK_SQL, (to_text(item.at_ms),))


class _Wager(Struct, frozen=True):
    """A wager as its balance knows it; minor units. `profit` is the customer's of the settlement that holds now."""

    customer_id: str
    risk: int
    free_play: bool
    settled: bool
    revision: int
    profit: int


def _wager(connection: apsw.Connection, wager_id: str) -> _Wager:
    """A wager and its latest settlement; without one, and after a roll-back, nothing of it is in the balance."""
    row = connection.execute(
        "SELECT w.customer_id, w.risk_cents, w.is_freeplay, w.status IN ('settled', 'cashed_out'),"
        " coalesce(s.revision, 0), coalesce(s.profit_cents, 0) FROM wagers w"
        " LEFT JOIN settlements s ON s.wager_id = w.id WHERE w.id = ? ORDER BY s.revision DESC LIMIT 1",
        (wager_id,),
    ).fetchone()
    if row is None:
        raise AssertionError(f"no wager {wager_id}")
    customer, risk, free_play, settled, revision, profit = row
    posted = int(profit) if settled else 0
    return _Wager(str(customer), int(risk), bool(free_play), bool(settled), int(revision), posted)


def _record_change(
    connection: apsw.Connection,
    wager_id: str,
    action: str,
    actor: str,
    reason: str,
    at: str,
    after: Mapping[str, str | int],
) -> None:
    """Write the report of a change before the change itself, as the triggers read its reason."""
    connection.execute(
        "INSERT INTO wager_changes SELECT id, version + 1, ?, ?,"
        " json_object('status', status, 'riskMinor', risk_cents, 'toWinMinor', to_win_cents), ?, ?, ?"
        " FROM wagers WHERE id = ?",
        (action, actor, msgspec.json.encode(after).decode(), reason, at, wager_id),
    )


def _post(
    connection: apsw.Connection,
    customer_id: str,
    kind: str,
    amount: int,
    ref_type: str,
    ref_id: str,
    at: str,
    reason: str = "",
) -> None:
    """Move a customer's balance and say why; nothing where nothing moves.

    Raises:
        RequestError: `limit_exceeded`, it would be more than a fact may carry.
    """
    if amount == 0:
        return
    after = connection.execute(
        "UPDATE customers SET balance_cents = balance_cents + ? WHERE id = ? RETURNING balance_cents",
        (amount, customer_id),
    ).get
    if after is not None and abs(after) > abs(after - amount):  # what is beyond the bound already may come back
        check_minor("balance", after)
    connection.execute(
        "INSERT INTO ledger_entries(account_type, account_id, kind, amount_cents, balance_after_cents, ref_type,"
        " ref_id, created_at, reason, currency)"
        " SELECT 'customer', id, ?, ?, balance_cents, ?, ?, ?, ?, currency FROM customers WHERE id = ?",
        (kind, amount, ref_type, ref_id, at, reason, customer_id),
    )


# The value's argument type is the key; mypy cannot say that of a dictionary.
_WRITERS: Final[dict[type[Change], Callable[[apsw.Connection, Any], None]]] = {
    changes.AddAgent: _add_agent,
    changes.AddCustomer: _add_customer,
    changes.SetCommissionPlan: _set_commission_plan,
    changes.LogAccess: _log_access,
    changes.AddEvent: _add_event,
    changes.SetEventStatus: _set_event_status,
    changes.AddMarket: _add_market,
    changes.SetMarketStatus: _set_market_status,
    changes.SetPrice: _set_price,
    changes.ResultMarket: _result_market,
    changes.GradeMarket: _grade_market,
    changes.PlaceWager: _place,
    changes.AcceptWager: _accept,
    changes.RejectWager: _reject,
    changes.ReopenWager: _reopen,
    changes.SettleWager: _settle,
    changes.CancelWager: _cancel,
    changes.DeleteWager: _delete,
    changes.ModifyWager: _modify,
    changes.RequestPayment: _request_payment,
    changes.DecidePayment: _decide_payment,
    changes.AdjustBalance: _adjust,
    changes.DecideAlert: _decide_alert,
    changes.SetLimit: _set_limit,
    changes.SetCustomerStatus: _set_customer_status,
    changes.Clock: _clock,
}

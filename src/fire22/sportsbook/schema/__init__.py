"""The demo book's schema: its tables, and the outbox triggers that make the facts of `sportsbook/facts.py`.

`triggers.sql` and `bootstrap.sql` repeat a few expressions; they stand here once, as `{name}` or `{name:row}`.
"""

import re
from importlib.resources import files
from typing import Final

from fire22.core.outbox import OutboxSchema, TableNeed

_NOW: Final = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
_TIME: Final = f"coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', @), {_NOW})"
_CUSTOMER_CODE: Final = "coalesce((SELECT code FROM customers WHERE id = @.customer_id), @.customer_id)"
_AGENT_CODE: Final = "coalesce((SELECT code FROM agents WHERE id = @.agent_id), @.agent_id)"
_AGENT_OF_CUSTOMER: Final = "FROM customers c JOIN agents a ON a.id = c.agent_id WHERE c.id = @.customer_id"

_GAME: Final = (
    "FROM events LEFT JOIN leagues ON leagues.id = events.league_id LEFT JOIN sports ON sports.id = leagues.sport_id"
    " WHERE events.id = @.event_id"
)

# `@` stands for the row.
_EXPRESSIONS: Final[dict[str, str]] = {
    "now": _NOW,
    "time": _TIME,
    "changed": (
        f"CASE WHEN NEW.updated_at IS NOT OLD.updated_at THEN {_TIME.replace('@', 'NEW.updated_at')} ELSE {_NOW} END"
    ),
    "customer": (
        f"'customerId', @.code, 'agentId', {_AGENT_CODE},"
        " 'path', coalesce((SELECT path FROM agents WHERE id = @.agent_id), '/')"
    ),
    "profile": (
        "'name', @.name, 'status', @.status, 'segment', @.segment, 'betFactor',"
        " iif(@.bet_factor > 0 AND @.bet_factor <= 1000, @.bet_factor, 1.0), 'creditLimitMinor', @.credit_limit_cents,"
        " 'maxWagerMinor', @.max_wager_cents, 'balanceMinor', @.balance_cents"
    ),
    "market": (
        "json_patch('{}', json_object('marketId', @.id, 'eventId', @.event_id, 'type', @.type, 'status', @.status,"
        f" 'eventName', (SELECT home || ' - ' || away {_GAME}), 'sport', (SELECT sports.name {_GAME}),"
        " 'period', @.period, 'line', @.line,"
        f" 'startsAt', (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', starts_at) {_GAME}),"
        " 'closesAt', strftime('%Y-%m-%dT%H:%M:%fZ', @.closes_at),"
        " 'liabilityLimitMinor', max(0, @.liability_limit_cents),"
        " 'selections', json((SELECT json_group_array(json_object('selectionId', o.id, 'name', o.name,"
        " 'odds', o.odds_decimal)) FROM (SELECT * FROM selections s WHERE s.market_id = @.id AND s.odds_decimal > 1"
        " ORDER BY s.id) o))))"
    ),
    "wager": (
        f"'wagerId', @.id, 'wagerNumber', @.wager_number, 'customerId', {_CUSTOMER_CODE}, 'agentId', {_AGENT_CODE},"
        " 'path', @.agent_path, 'type', @.type, 'riskMinor', @.risk_cents, 'toWinMinor', @.to_win_cents,"
        " 'freePlay', json(iif(@.is_freeplay, 'true', 'false'))"
    ),
    "channel": "'channel', @.channel, 'ip', coalesce(@.ip, '')",
    "plan": (
        "json_object('agentId', a.code, 'path', a.path, 'type', @.type, 'rate', @.rate,"
        " 'perHeadMinor', @.per_head_cents, 'brackets', json((SELECT json_group_array(json_object("
        "'fromMinor', t.value ->> '$[0]', 'rate', t.value ->> '$[1]')) FROM json_each(@.tiers) t)),"
        " 'makeupMinor', @.makeup_cents, 'effectiveFrom', @.effective_from) FROM agents a WHERE a.id = @.agent_id"
    ),
    "payment": (
        f"json_object('paymentId', @.id, 'customerId', {_CUSTOMER_CODE},"
        f" 'agentId', coalesce((SELECT a.code {_AGENT_OF_CUSTOMER}), ''),"
        f" 'path', coalesce((SELECT a.path {_AGENT_OF_CUSTOMER}), '/'),"
        " 'direction', @.direction, 'method', @.method, 'amountMinor', @.amount_cents, 'status', @.status)"
    ),
    "legs": (
        "json((SELECT json_group_array(json_object("
        "'marketId', o.market_id, 'selectionId', o.selection_id, 'odds', o.odds_decimal))"
        " FROM (SELECT s.market_id, l.selection_id, l.odds_decimal FROM wager_legs l"
        " JOIN selections s ON s.id = l.selection_id WHERE l.wager_id = @.id ORDER BY l.leg_no) o))"
    ),
    "returned": (
        "(SELECT s.return_cents FROM settlements s WHERE s.wager_id = @.id AND s.revision > coalesce((SELECT"
        " max(r.after ->> '$.revision') FROM wager_changes r WHERE r.wager_id = @.id AND r.action = 'reopened'), 0)"
        " ORDER BY s.revision DESC LIMIT 1)"
    ),
}


def _needs() -> tuple[TableNeed, ...]:
    columns = {
        "agents": "id code name path level status created_at",
        "customers": (
            "id code agent_id name status segment bet_factor credit_limit_cents max_wager_cents balance_cents "
            "created_at updated_at"
        ),
        "commission_plans": (
            "agent_id effective_from type rate per_head_cents tiers makeup_cents created_at updated_at"
        ),
        "access_logs": "customer_id ip action at",
        "sports": "id name",
        "leagues": "id sport_id",
        "events": "id league_id home away starts_at",
        "markets": "id event_id type period line status liability_limit_cents closes_at created_at updated_at",
        "selections": "id market_id name odds_decimal result void_factor dead_heat updated_at",
        "wagers": (
            "id wager_number customer_id agent_id agent_path type risk_cents to_win_cents is_freeplay channel ip "
            "status version accepted_at updated_at idempotency_key"
        ),
        "wager_legs": "wager_id leg_no selection_id odds_decimal",
        "wager_changes": "wager_id version action after reason",
        "settlements": "wager_id revision result return_cents settled_at",
        "ledger_entries": "id account_type account_id kind amount_cents ref_type reason created_at",
        "alert_actions": "alert_id action actor_id note at",
        "payments": "id customer_id direction method amount_cents status requested_at updated_at",
    }
    return tuple(TableNeed(name, tuple(text.split())) for name, text in columns.items())


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _expand(sql: str) -> str:
    """Put the expressions in the place of `{name}` and `{name:row}`."""

    def expression(match: re.Match[str]) -> str:
        return _EXPRESSIONS[match[1]].replace("@", match[2] or "")

    return re.sub(r"\{(\w+)(?::([\w.]+))?\}", expression, sql)


def _statements(name: str) -> tuple[str, ...]:
    """The statements of a file: each begins at the start of a line, and ends before the next one begins."""
    code = "\n".join(line for line in _text(name).splitlines() if not line.startswith("--"))
    parts = re.split(r"^(?=CREATE |INSERT )", code, flags=re.MULTILINE)
    return tuple(_expand(part).strip().removesuffix(";") for part in parts if part.strip())


def _named(trigger: str) -> tuple[str, str]:
    return trigger.split(maxsplit=3)[2], trigger


TABLES_SQL: Final = _text("demo.sql")

OUTBOX: Final = OutboxSchema(
    name="fire22-demo",
    version=2,
    tables=_needs(),
    triggers=tuple(_named(statement) for statement in _statements("triggers.sql")),
    bootstrap=_statements("bootstrap.sql"),
)

"""Reads `triggers.sql` and `bootstrap.sql`: statements over the tables of `demo.sql`.

They repeat a few expressions, which stand here once, as `{name}` or `{name:row}`. Ids may be numbers in a mapped book;
in facts they are texts.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from fire22.sportsbook.book.schema import unchanging

# When the book was written: a fact is of then, whenever the mirror gets it.
_NOW: Final = "(SELECT at FROM fire22_now)"
_TIME: Final = f"coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', @), {_NOW})"
_CUSTOMER_CODE: Final = "CAST(coalesce((SELECT code FROM customers WHERE id = @.customer_id), @.customer_id) AS TEXT)"
_AGENT_CODE: Final = "CAST(coalesce((SELECT code FROM agents WHERE id = @.agent_id), @.agent_id, '') AS TEXT)"
_AGENT_OF_CUSTOMER: Final = "FROM customers c JOIN agents a ON a.id = c.agent_id WHERE c.id = @.customer_id"

_FACTOR: Final = "iif(@.bet_factor > 0 AND @.bet_factor <= 1000, @.bet_factor, 1.0)"

_GAME: Final = (
    "FROM events LEFT JOIN leagues ON leagues.id = events.league_id LEFT JOIN sports ON sports.id = leagues.sport_id"
    " WHERE events.id = @.event_id"
)
_ROLLED_BACK: Final = (
    "SELECT max(r.after ->> '$.revision') FROM wager_changes r WHERE r.wager_id = @.id AND r.action = 'reopened'"
)

# What is no JSON is told as a text, which is refused with the fact.
_TERMS: Final = (
    "iif(json_valid(CAST(@.terms AS TEXT)), CAST(@.terms AS TEXT), json_quote(CAST(coalesce(@.terms, '') AS TEXT)))"
)

_COUNTED: Final = "('accepted', 'settled', 'cashed_out')"
_OTHER_TERMS: Final = " OR ".join(
    f"OLD.{each} IS NOT NEW.{each}" for each in ("type", "risk_cents", "to_win_cents", "is_freeplay", "terms")
)
_OTHER_OWNER: Final = " OR ".join(
    f"OLD.{each} IS NOT NEW.{each}" for each in ("wager_number", "customer_id", "agent_id", "agent_path")
)
TRIGGERS: Final = "triggers.sql"

# `@` stands for the row.
EXPRESSIONS: Final[dict[str, str]] = {
    "now": _NOW,
    "time": _TIME,
    "changed": (
        f"CASE WHEN NEW.updated_at IS NOT OLD.updated_at THEN {_TIME.replace('@', 'NEW.updated_at')} ELSE {_NOW} END"
    ),
    "customer": (
        f"'customerId', CAST(@.code AS TEXT), 'agentId', {_AGENT_CODE},"
        " 'path', coalesce((SELECT path FROM agents WHERE id = @.agent_id), '/')"  # nosec B608  # constants
    ),
    "home": f"'agentId', {_AGENT_CODE}, 'path', coalesce((SELECT path FROM agents WHERE id = @.agent_id), '/')",  # nosec B608  # constants
    "nature": f"'name', @.name, 'segment', @.segment, 'betFactor', {_FACTOR}",
    "profile": (
        f"'name', @.name, 'status', @.status, 'segment', @.segment, 'betFactor', {_FACTOR},"
        " 'creditLimitMinor', @.credit_limit_cents,"
        " 'maxWagerMinor', @.max_wager_cents, 'balanceMinor', @.balance_cents, 'currency', @.currency"
    ),
    "agent": "'agentId', CAST(@.code AS TEXT), 'name', @.name, 'path', @.path, 'level', @.level, 'status', @.status",
    "results": (
        "json((SELECT json_group_array(json_object('selectionId', CAST(o.id AS TEXT), 'result', o.result,"
        " 'void', o.void_factor, 'deadHeat', o.dead_heat))"
        " FROM (SELECT * FROM selections s WHERE s.market_id = @.id AND s.result IS NOT NULL ORDER BY s.id) o))"
    ),
    "market": (
        "json_patch('{}', json_object('marketId', CAST(@.id AS TEXT), 'eventId', CAST(@.event_id AS TEXT),"
        " 'type', @.type, 'status', @.status,"
        f" 'eventName', (SELECT home || coalesce(' - ' || away, '') {_GAME}), 'sport', (SELECT sports.name {_GAME}),"
        " 'period', @.period, 'line', @.line,"
        f" 'startsAt', (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', starts_at) {_GAME}),"
        " 'closesAt', strftime('%Y-%m-%dT%H:%M:%fZ', @.closes_at),"
        " 'liabilityLimitMinor', max(0, @.liability_limit_cents),"
        " 'selections', json((SELECT json_group_array(json_object('selectionId', CAST(o.id AS TEXT), 'name', o.name,"
        " 'odds', o.odds_decimal)) FROM (SELECT * FROM selections s WHERE s.market_id = @.id AND s.odds_decimal > 1"
        " ORDER BY s.id) o))))"  # nosec B608  # constants
    ),
    "kind_of": (
        "'eventId', CAST(@.event_id AS TEXT), 'type', @.type, 'period', @.period, 'line', @.line,"
        " 'closesAt', @.closes_at, 'liabilityLimitMinor', @.liability_limit_cents"
    ),
    "wager": (
        f"'wagerId', CAST(@.id AS TEXT), 'wagerNumber', @.wager_number, 'customerId', {_CUSTOMER_CODE},"
        f" 'agentId', {_AGENT_CODE},"
        " 'path', @.agent_path, 'type', @.type, 'riskMinor', @.risk_cents, 'toWinMinor', @.to_win_cents,"
        " 'freePlay', json(iif(@.is_freeplay, 'true', 'false')), 'currency', @.currency"
    ),
    "channel": f"'channel', @.channel, 'ip', coalesce(@.ip, ''), 'terms', json(nullif({_TERMS}, '{{}}'))",
    "terms": f"'terms', json({_TERMS})",
    "owner": (
        f"'wagerNumber', @.wager_number, 'customerId', {_CUSTOMER_CODE}, 'agentId', {_AGENT_CODE}, 'path', @.agent_path"
    ),
    "stake": (
        "json_object('riskMinor', @.risk_cents, 'toWinMinor', @.to_win_cents, 'type', @.type,"
        " 'freePlay', json(iif(@.is_freeplay, 'true', 'false')))"
    ),
    "plan": (
        "json_object('agentId', CAST(a.code AS TEXT), 'path', a.path, 'type', @.type, 'rate', @.rate,"
        " 'perHeadMinor', @.per_head_cents, 'brackets', json((SELECT json_group_array(json_object("
        "'fromMinor', t.value ->> '$[0]', 'rate', t.value ->> '$[1]')) FROM json_each(@.tiers) t)),"
        " 'makeupMinor', @.makeup_cents, 'effectiveFrom', @.effective_from) FROM agents a WHERE a.id = @.agent_id"
    ),
    "payment": (
        f"json_object('paymentId', CAST(@.id AS TEXT), 'customerId', {_CUSTOMER_CODE},"
        f" 'agentId', CAST(coalesce((SELECT a.code {_AGENT_OF_CUSTOMER}), '') AS TEXT),"
        f" 'path', coalesce((SELECT a.path {_AGENT_OF_CUSTOMER}), '/'),"
        " 'direction', @.direction, 'method', @.method, 'amountMinor', @.amount_cents,"
        " 'currency', @.currency, 'status', @.status)"
    ),
    "legs": (
        "json((SELECT json_group_array(json_object("
        "'marketId', CAST(o.market_id AS TEXT), 'selectionId', CAST(o.selection_id AS TEXT), 'odds', o.odds_decimal))"
        " FROM (SELECT s.market_id, l.selection_id, l.odds_decimal FROM wager_legs l"
        " JOIN selections s ON s.id = l.selection_id WHERE l.wager_id = @.id ORDER BY l.leg_no) o))"
    ),
    "leg": (
        "json_object('marketId',"
        " CAST(coalesce((SELECT market_id FROM selections WHERE id = @.selection_id), '') AS TEXT),"
        " 'selectionId', CAST(@.selection_id AS TEXT), 'odds', @.odds_decimal)"
    ),
    # A settlement that names no currency is in its wager's.
    "in_own": "iif(@.currency IS NULL, '{}', json_object('currency', @.currency))",
    "holding": (
        "(SELECT max(s.revision) FROM settlements s WHERE s.wager_id = @.id"
        f" AND s.revision > coalesce(({_ROLLED_BACK}), 0))"  # nosec B608  # constants
    ),
    "returned": (
        "(SELECT s.return_cents FROM settlements s WHERE s.wager_id = @.id"
        f" AND s.revision > coalesce(({_ROLLED_BACK} AND r.version <= @.version), 0) ORDER BY s.revision DESC LIMIT 1)"  # nosec B608  # constants
    ),
    "gone": (
        "coalesce((SELECT strftime('%Y-%m-%dT%H:%M:%fZ', g.at) FROM wager_changes g"
        f" WHERE g.wager_id = @.id AND g.version = @.version + 1), {_NOW})"  # nosec B608  # constants
    ),
    # Whether an update of a wager makes another one of it: of other terms, of another owner, and so that what it did is
    # taken back and done again. An owner's number is part of whose it is.
    "other_terms": _OTHER_TERMS,
    "other_wager": f"{_OTHER_TERMS} OR {_OTHER_OWNER}",
    "moved": (
        f"OLD.status IN {_COUNTED} AND NEW.status IN {_COUNTED} AND ({_OTHER_OWNER}"
        f" OR (OLD.status <> 'accepted' OR NEW.status <> 'accepted') AND ({_OTHER_TERMS}))"
    ),
    # Whether the end of a settlement is told for a wager in its state.
    "may_lose_it": "w.status IN ('accepted', 'settled', 'cashed_out')",
}


def text(name: str) -> str:
    """A file of this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def statements(name: str, changed: Mapping[str, str]) -> tuple[str, ...]:
    """The statements of a file: each begins at the start of a line, and ends before the next one begins.

    Args:
        changed: expressions that take the place of those that have their names.
    """
    code = "\n".join(line for line in text(name).splitlines() if not line.startswith("--"))
    parts = re.split(r"^(?=CREATE |INSERT )", code, flags=re.MULTILINE)
    if name == TRIGGERS:
        parts += unchanging.triggers()
    expressions = EXPRESSIONS | dict(changed)
    return tuple(_expand(part, expressions).strip().removesuffix(";") for part in parts if part.strip())


def _expand(sql: str, expressions: Mapping[str, str]) -> str:
    """Put the expressions in the place of `{name}` and `{name:row}`."""

    def expression(match: re.Match[str]) -> str:
        row = match[2] or ""
        return (expressions.get(f"{match[1]}:{row}") or expressions[match[1]]).replace("@", row)

    return re.sub(r"\{(\w+)(?::([\w.]+))?\}", expression, sql)

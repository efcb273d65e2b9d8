"""What a change of the book's rows cannot move, column by column: what is set aside then, and what says nothing.

Every column of `demo.sql` is told by the triggers, stands in `FIXED`, or has its reason in `SILENT`; a test reads the
schema and changes each of them.

`FIXED` columns are what an accepted fact was found by and counted at. No figure can follow another value of them, so a
change is told as `row.changed`, which becomes a dead letter (`change_forbidden`) that somebody has to look at; likewise
a row that is gone from one of the tables in `LASTING`.
"""

from typing import Final

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "access_logs": ("customer_id", "at"),
    "alert_actions": ("alert_id", "at"),
    "commission_plans": ("agent_id", "effective_from"),
    "settlements": ("wager_id", "revision"),
    "wager_legs": ("wager_id", "leg_no"),
}  # of the other tables: `id`

FIXED: Final[dict[str, tuple[str, ...]]] = {
    "commission_plans": ("agent_id", "effective_from"),
    "access_logs": ("customer_id", "ip", "action", "at"),
    "markets": ("id",),
    "selections": ("id", "market_id"),
    "customers": ("currency",),
    "wagers": ("id", "accepted_at", "currency"),
    "wager_legs": ("wager_id", "leg_no"),
    "settlements": ("wager_id", "revision"),
    "payments": ("id", "customer_id", "direction", "method", "amount_cents", "currency", "requested_at"),
    "alert_actions": ("alert_id", "action", "actor_id", "note", "at"),
    "ledger_entries": (
        "account_type", "account_id", "kind", "amount_cents", "currency", "ref_type", "created_at", "reason",
    ),
}  # fmt: skip
# Which rows of a table were told of, where that is not all; a wager that waits is accepted at its own time.
_TOLD: Final = {
    "wagers": "OLD.id IS NOT NEW.id OR OLD.status IN ('accepted', 'settled', 'cashed_out')",
    "ledger_entries": " OR ".join(
        f"{row}.ref_type = 'adjustment' AND {row}.account_type = 'customer'" for row in ("OLD", "NEW")
    ),
}

# Rows that stay, and what of them may be cleared away when it is old: a condition on the row.
LASTING: Final[dict[str, str]] = {
    "agents": "1",
    "customers": "1",
    "commission_plans": "1",
    "markets": "OLD.status NOT IN ('resulted', 'voided')",
    "payments": "OLD.status IN ('pending', 'approved')",
}

_REFERENCE: Final = "a reference within the book: on the wire is the code, or what the tables that follow it tell"
_DESK: Final = "the desk reads it from the book when it decides; no figure is made of it"
_SETTLES: Final = "the desk settles by it, and the settlements that it makes are told"
_WRITER: Final = "when or by whom a row was written: a change of it alone says nothing"
_OTHER: Final = "not shown, and no figure is made of it"
_PRICE: Final = "another way of writing the price beside it"
_ONCE: Final = "the alerts look once at how a wager came: when it is accepted"
_MEMORY: Final = "what the desk remembers of its own work; what that did is told by the rows it wrote"

SILENT: Final[dict[str, dict[str, str]]] = {
    "agents": {
        "id": _REFERENCE,
        "parent_id": "where an agent is says its path",
        "credit_limit_cents": _DESK,
        "max_wager_cents": _DESK,
        "created_at": _WRITER,
    },
    "customers": {
        "id": _REFERENCE,
        "settle_figure_cents": _OTHER,
        "balance_cents": "the sum of the facts that move it, each of which is told",
        "freeplay_cents": _DESK,
        "created_at": _WRITER,
        "updated_at": _WRITER,
    },
    "commission_plans": {},
    "access_logs": {"id": _WRITER},
    "sports": {"id": _REFERENCE},
    "leagues": {"id": _REFERENCE, "name": _OTHER},
    "events": {"id": _REFERENCE, "status": "whether a game is played say its markets"},
    "markets": {"created_at": _WRITER, "updated_at": _WRITER},
    "selections": {"odds_american": _PRICE, "updated_at": _WRITER, "position": _SETTLES, "tied": _SETTLES},
    "market_deductions": dict.fromkeys(("market_id", "percent", "before_at"), _SETTLES),
    "odds_history": dict.fromkeys(
        ("id", "selection_id", "odds_decimal", "source", "changed_at"), "the course of a price that its selection told"
    ),
    "wagers": {
        "channel": _ONCE,
        "ip": _ONCE,
        "version": "counts the changes, each of which is told",
        "settled_at": "a settlement has its own time",
        "updated_at": _WRITER,
        "idempotency_key": "only keeps a wager from being written twice",
    },
    "wager_legs": {
        "odds_american": _PRICE,
        "line": "the line is the market's; it is shown as it was when the wager was placed",
        "result": "how a leg ended says its market",
    },
    "wager_changes": dict.fromkeys(
        ("wager_id", "version", "action", "actor_id", "before", "after", "reason", "at"),
        "the report of a change, read with the change it is about",
    ),
    "settlements": {
        "profit_cents": "follows from the stake and the return",
        "settled_by": _WRITER,
        "batch_id": _WRITER,
        "settled_at": "a settlement counts when it was first told; a correction is told with its own time",
    },
    "ledger_entries": {"id": _WRITER, "balance_after_cents": "follows from the amounts", "ref_id": _OTHER},
    "payments": {"updated_at": _WRITER, "decided_by": _OTHER},
    "alert_actions": {"id": _WRITER},
    "commands": dict.fromkeys(("principal", "key", "digest", "answer", "at"), _MEMORY),
    "audit_log": dict.fromkeys(("id", "actor_id", "action", "entity", "before", "after", "at"), _MEMORY),
}


def triggers() -> tuple[str, ...]:
    """The statements that tell of changed `FIXED` columns and of `LASTING` rows that are gone."""
    changes = [_changed(table, columns) for table, columns in FIXED.items()]
    return (*changes, *(_deleted(table, when) for table, when in LASTING.items()))


def _id(table: str) -> str:
    return " || '|' || ".join(f"OLD.{each}" for each in KEYS.get(table, ("id",)))


def _changed(table: str, columns: tuple[str, ...]) -> str:
    differs = " OR ".join(f"OLD.{each} IS NOT NEW.{each}" for each in columns)
    told = _TOLD.get(table, "")
    if told:
        differs = f"({differs}) AND ({told})"
    before, after = (", ".join(f"'{each}', {row}.{each}" for each in columns) for row in ("OLD", "NEW"))
    return f"""CREATE TRIGGER fire22_{table}_fixed AFTER UPDATE OF {", ".join(columns)} ON {table}
WHEN {differs} BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('row.changed', {{now}}, json_object('table', '{table}',
    'id', CAST({_id(table)} AS TEXT), 'before', json_object({before}), 'after', json_object({after})));
END;"""  # nosec B608  # tables and columns of this module


def _deleted(table: str, when: str) -> str:
    data = f"json_object('table', '{table}', 'id', CAST({_id(table)} AS TEXT), 'before', json('{{}}'))"
    return f"""CREATE TRIGGER fire22_{table}_deleted AFTER DELETE ON {table}
WHEN {when} BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('row.deleted', {{now}}, {data});
END;"""  # nosec B608  # tables and columns of this module

"""The tables that a book can be mapped to, column by column: what each holds, and what it is where a book has none.

The names are those of `demo.sql`. `EXTRA` columns stand in no demo book: they are shorter ways to say something where a
book has no table for it.
"""

from typing import Final, Literal

from msgspec import Struct

Kind = Literal[
    "key", "text", "label", "money", "odds", "time", "date", "integer", "number", "flag", "code", "json", "path",
    "currency",
]  # fmt: skip
Default = str | int | float | None


class Column(Struct, frozen=True):
    """One column.

    Args:
        kind: what its values are once they are mapped. A label stands in paths: it is unique, and has no `/` or `|`.
        default: the value where a book has no such column; nothing if it must be mapped or can be derived.
        required: whether it must be mapped.
        codes: all that a `code` can be.
        refers: the table whose `id` it holds.
        empty: whether a row may have no value.
        derived: whether it can be worked out from other columns.
        extra: whether the demo book has no such column.
        signed: whether an amount may be negative.
        personal: whether it says something of a person beyond the id: its values are told in no message.
        rowid: whether the rowid of the book's table stands for it where it is not mapped.
    """

    kind: Kind
    default: Default = None
    required: bool = False
    codes: tuple[str, ...] = ()
    refers: str = ""
    empty: bool = False
    derived: bool = False
    extra: bool = False
    signed: bool = False
    rowid: bool = False
    personal: bool = False


WAGER_STATES: Final = (
    "requested", "review", "accepted", "rejected", "expired", "settled", "cancelled", "voided", "cashed_out",
)  # fmt: skip
PAYMENT_STATES: Final = ("pending", "approved", "completed", "rejected", "failed", "charged_back")
MARKET_STATES: Final = ("open", "suspended", "closed", "resulted", "voided")

_KEY: Final = Column("key", required=True)
_TEXT: Final = Column("text", required=True)
_LABEL: Final = Column("label", required=True)
_MONEY: Final = Column("money", required=True)
_ODDS: Final = Column("odds", required=True)
_ACTIVE: Final = Column("text", "active")
_MAY_BE_EMPTY: Final = Column("text", "", empty=True)
# What `personal.erasable` keeps from the mirror: of customers by their own keys, of addresses by a pseudonym.
PERSONAL: Final = {"customers": ("name",)}
ADDRESSES: Final = {"access_logs": ("ip",), "wagers": ("ip",)}
_PERSONAL: Final = Column("text", "", empty=True, personal=True)
_NO_TIME: Final = Column("time", empty=True)
_CURRENCY: Final = Column("currency", empty=True)  # of a row's amounts, ISO 4217; empty where it is the book's
_NOTHING: Final = Column("money", 0, signed=True)
_ROW: Final = Column("key", rowid=True)


def _refers(table: str, *, required: bool = True, derived: bool = False) -> Column:
    return Column("key", required=required, refers=table, derived=derived, empty=not required)


TABLES: Final[dict[str, dict[str, Column]]] = {
    "agents": {
        "id": _KEY,
        "code": _LABEL,
        "name": _PERSONAL,
        "parent_id": Column("key", refers="agents", empty=True, extra=True),
        "path": Column("path", derived=True),
        "level": Column("integer", derived=True),
        "status": _ACTIVE,
        "created_at": _NO_TIME,
    },
    "customers": {
        "id": _KEY,
        "code": _LABEL,
        "agent_id": _refers("agents", required=False),
        "name": _PERSONAL,
        "status": _ACTIVE,
        "segment": _MAY_BE_EMPTY,
        "bet_factor": Column("number", 1.0),
        "credit_limit_cents": _NOTHING,
        "max_wager_cents": _NOTHING,
        "balance_cents": _NOTHING,
        "currency": _CURRENCY,
        "created_at": _NO_TIME,
        "updated_at": _NO_TIME,
    },
    "commission_plans": {
        "agent_id": _refers("agents"),
        "effective_from": Column("date", "1970-01-01"),
        "type": Column(
            "code",
            required=True,
            codes=(
                "red_figure", "profit", "split", "reverse_red_figure", "turnover", "per_head", "tiered", "none",
            ),
        ),
        "rate": Column("number", 0.0),
        "per_head_cents": _NOTHING,
        "tiers": Column("json", "[]"),
        "makeup_cents": _NOTHING,
        "created_at": _NO_TIME,
        "updated_at": _NO_TIME,
    },
    "access_logs": {
        "id": _ROW,
        "customer_id": _refers("customers"),
        "ip": _PERSONAL,
        "action": Column("code", required=True, codes=("login", "logout")),
        "at": Column("time", required=True),
    },
    "sports": {"id": _KEY, "name": _TEXT},
    "leagues": {"id": _KEY, "sport_id": _refers("sports")},
    "events": {
        "id": _KEY,
        "league_id": _refers("leagues", required=False),
        "sport": Column("text", empty=True, extra=True),
        "home": _TEXT,
        "away": Column("text", empty=True),
        "starts_at": _NO_TIME,
    },
    "markets": {
        "id": _KEY,
        "event_id": _refers("events"),
        "type": _TEXT,
        "period": _MAY_BE_EMPTY,
        "line": Column("number", empty=True),
        "status": Column("code", "open", codes=MARKET_STATES),
        "liability_limit_cents": _NOTHING,
        "closes_at": _NO_TIME,
        "created_at": _NO_TIME,
        "updated_at": _NO_TIME,
    },
    "selections": {
        "id": _KEY,
        "market_id": _refers("markets"),
        "name": _MAY_BE_EMPTY,
        "odds_decimal": _ODDS,
        "result": Column("integer", empty=True),
        "void_factor": Column("number", 0.0),
        "dead_heat": Column("number", 1.0),
        "updated_at": _NO_TIME,
    },
    "wagers": {
        "id": _KEY,
        "wager_number": Column("integer", required=True),
        "customer_id": _refers("customers"),
        "agent_id": _refers("agents", required=False, derived=True),
        "agent_path": Column("path", derived=True),
        "type": Column("text", "straight"),
        "risk_cents": _MONEY,
        "to_win_cents": _MONEY,
        "is_freeplay": Column("flag", 0),
        "channel": _MAY_BE_EMPTY,
        "ip": _PERSONAL,
        "status": Column("code", required=True, codes=WAGER_STATES),
        "version": Column("integer", 1),
        "accepted_at": Column("time", required=True),
        "updated_at": _NO_TIME,
        "idempotency_key": Column("key", empty=True),
        "currency": _CURRENCY,
        "terms": Column("json", "{}"),
    },
    "wager_legs": {
        "wager_id": _refers("wagers"),
        "leg_no": Column("integer", 1),
        "selection_id": _refers("selections"),
        "market_id": Column("key", refers="markets", extra=True),
        "odds_decimal": _ODDS,
    },
    "wager_changes": {
        "wager_id": _KEY,
        "version": Column("integer", required=True),
        "action": Column("text", required=True),
        "after": Column("json", "{}"),
        "reason": _MAY_BE_EMPTY,
        "at": _NO_TIME,
    },
    "settlements": {
        "wager_id": _refers("wagers"),
        "revision": Column("integer", 1),
        "result": _TEXT,
        "return_cents": _MONEY,
        "settled_at": _NO_TIME,
        "currency": Column("currency", empty=True, extra=True),  # nothing where it is its wager's
    },
    "ledger_entries": {
        "id": _KEY,
        "account_type": Column("text", "customer"),
        "account_id": Column("key", required=True),
        "kind": _TEXT,
        "amount_cents": Column("money", required=True, signed=True),
        "ref_type": Column("text", "adjustment"),
        "reason": _MAY_BE_EMPTY,
        "created_at": _NO_TIME,
        "currency": _CURRENCY,
    },
    "alert_actions": {
        "id": _ROW,
        "alert_id": _TEXT,
        "action": Column("code", required=True, codes=("acknowledged", "closed")),
        "actor_id": _TEXT,
        "note": _MAY_BE_EMPTY,
        "at": Column("time", required=True),
    },
    "payments": {
        "id": _KEY,
        "customer_id": _refers("customers"),
        "direction": Column("code", required=True, codes=("deposit", "withdrawal")),
        "method": _MAY_BE_EMPTY,
        "amount_cents": _MONEY,
        "currency": _CURRENCY,
        "status": Column("code", required=True, codes=PAYMENT_STATES),
        "requested_at": Column("time", required=True),
        "updated_at": _NO_TIME,
    },
    # How far a book that brings its own time (`clock = "recorded"`) has come: its largest `at` so far.
    "clock": {"at": Column("time", required=True)},
}  # fmt: skip
# How many of a table's first columns are its key.
KEYS: Final = {"commission_plans": 2, "wager_legs": 2, "wager_changes": 2, "settlements": 2}
# The tables of a book, those that others refer to first: so a whole book is brought in.
ORDER: Final = (
    "sports", "leagues", "events", "agents", "customers", "commission_plans", "selections", "markets", "wager_changes",
    "wager_legs", "wagers", "settlements", "payments", "ledger_entries", "access_logs", "alert_actions", "clock",
)  # fmt: skip
NEEDED: Final = ("customers", "wagers", "settlements")

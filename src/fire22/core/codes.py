"""Every error code and close code of the system, once.

A code is a stable word for programs; its `meaning` is the sentence PROTOCOL.md prints, and a test compares the
two. `temporary` says whether the same request may work later without a change. `gateways/errors.py` maps codes to
HTTP statuses and WebSocket close codes.
"""

from typing import Final

from msgspec import Struct


class Code(Struct, frozen=True):
    """One error code: its name on the wire, whether trying again may help, and what it means."""

    name: str
    temporary: bool
    meaning: str


ALL: Final[dict[str, Code]] = {}


def _code(name: str, meaning: str, *, temporary: bool = False) -> Code:
    if name in ALL:
        raise AssertionError(f"error code {name} is defined twice")
    ALL[name] = Code(name, temporary, meaning)
    return ALL[name]


# Who you are and what you may see.
AUTH_REQUIRED: Final = _code("auth_required", "No token was given, or not in time.")
TOKEN_INVALID: Final = _code(
    "token_invalid", "The token is malformed, not signed by this server's key, or lacks a claim."
)
TOKEN_EXPIRED: Final = _code("token_expired", "The token was valid once; get a new one.")
CODE_INVALID: Final = _code(
    "code_invalid", "The sign-in code was used already, has expired, or is not of this server run."
)
ORIGIN_FORBIDDEN: Final = _code("origin_forbidden", "The session cookie did not come from the server's own page.")
FORBIDDEN: Final = _code("forbidden", "The role does not allow this.")
TOPIC_FORBIDDEN: Final = _code("topic_forbidden", "The role does not allow this topic.")
SCOPE_FORBIDDEN: Final = _code("scope_forbidden", "The scope lies outside the token's own.")

# What was asked.
JSON_INVALID: Final = _code("json_invalid", "The frame or body is not JSON in UTF-8.")
MESSAGE_TOO_LARGE: Final = _code("message_too_large", "The message is larger than `message_bytes_max`.")
PROTOCOL_ERROR: Final = _code("protocol_error", "The peer broke the WebSocket protocol (RFC 6455).")
SUBPROTOCOL_UNKNOWN: Final = _code("subprotocol_unknown", "None of the offered subprotocols is spoken here.")
COMMAND_UNKNOWN: Final = _code("command_unknown", "There is no such command.")
COMMAND_INVALID: Final = _code("command_invalid", "A field of the command is missing, unknown, or has a wrong type.")
TOPIC_UNKNOWN: Final = _code("topic_unknown", "There is no such topic.")
SCOPE_INVALID: Final = _code("scope_invalid", "The scope is not a path such as / or /M1/A7.")
SCOPE_UNKNOWN: Final = _code("scope_unknown", "There is no such agent or customer.")
FILTER_INVALID: Final = _code("filter_invalid", "The filter has a wrong shape or more than eight fields.")
FILTER_FIELD_UNKNOWN: Final = _code("filter_field_unknown", "The topic does not declare this field as filterable.")
NOT_SUBSCRIBED: Final = _code("not_subscribed", "There is no subscription to this target and scope.")
SUBSCRIPTIONS_EXCEEDED: Final = _code(
    "subscriptions_exceeded", "The connection has `subscriptions_max` subscriptions already."
)
NOT_SUPPORTED: Final = _code("not_supported", "The field is reserved and not served by this version.")
MESSAGE_UNSAYABLE: Final = _code(
    "message_unsayable", "A message holds a value that cannot be delivered here; it was left out."
)
EVENT_INVALID: Final = _code("event_invalid", "A field of the event is missing or has a wrong type or value.")
ID_CONFLICT: Final = _code(
    "id_conflict", "An event with this id, or a command with this key, and other content was accepted before."
)
CUSTOMER_UNKNOWN: Final = _code("customer_unknown", "The fact names a customer that the book has not told of.")
AGENT_UNKNOWN: Final = _code("agent_unknown", "The fact names an agent that the book has not told of.")
WAGER_UNKNOWN: Final = _code("wager_unknown", "There is no such wager, or it was never placed.")
PAYMENT_UNKNOWN: Final = _code("payment_unknown", "There is no such payment.")
MARKET_UNKNOWN: Final = _code("market_unknown", "There is no such market or selection.")
ALERT_UNKNOWN: Final = _code("alert_unknown", "There is no such alert.")
CUSTOMER_INACTIVE: Final = _code("customer_inactive", "The customer, or an agent above, takes no part in betting now.")
MARKET_CLOSED: Final = _code("market_closed", "The market takes no wagers now.")
PRICE_CHANGED: Final = _code("price_changed", "The odds are others now; `details` says which.")
LIMIT_EXCEEDED: Final = _code("limit_exceeded", "The amount is above a limit; `details` says which, and whose it is.")
CREDIT_EXCEEDED: Final = _code("credit_exceeded", "The customer's balance and credit do not cover the amount.")
WAGER_TYPE_UNKNOWN: Final = _code("wager_type_unknown", "Nobody knows wagers of this type here, so none is paid.")
WAGER_INVALID: Final = _code("wager_invalid", "The wager's type cannot have such legs, terms or results.")
PAYOUT_DISPUTED: Final = _code(
    "payout_disputed", "What the wager was written to win is not what its prices say; `details` has both."
)
FACT_CONFLICT: Final = _code("fact_conflict", "The fact contradicts what was told before.")
TRANSITION_ILLEGAL: Final = _code("transition_illegal", "What this is about is in a state that does not allow it.")
CHANGE_FORBIDDEN: Final = _code("change_forbidden", "The book changed what an accepted fact never changes.")
CURRENCY_MISMATCH: Final = _code(
    "currency_mismatch",
    "The amount is in another currency than the book's, and there is no rate for it, or a command would mix two.",
)
NOT_FOUND: Final = _code("not_found", "There is nothing at this address.")
METHOD_NOT_ALLOWED: Final = _code("method_not_allowed", "The address does not take this method.")

# Positions.
POSITION_INVALID: Final = _code("position_invalid", "The position is not of the form epoch-offset.")
POSITION_LOST: Final = _code("position_lost", "Messages after the position are no longer kept; a snapshot follows.")
POSITION_AHEAD: Final = _code("position_ahead", "The position is beyond the newest message; a snapshot follows.")
EPOCH_CHANGED: Final = _code(
    "epoch_changed", "The position is of another feed (a restored or new file); a snapshot follows."
)

# The server's own state.
OVERLOADED: Final = _code("overloaded", "The server takes no more now; come back after `retryAfter`.", temporary=True)
CONNECTIONS_EXCEEDED: Final = _code(
    "connections_exceeded", "The server, the user or the address holds as many connections as allowed.", temporary=True
)
RESTARTING: Final = _code("restarting", "The server shuts down; come back after `retryAfter`.", temporary=True)
STALLED: Final = _code("stalled", "The connection took no byte for `stall_s`.", temporary=True)
PEER_GONE: Final = _code("peer_gone", "The peer acknowledged nothing for two heartbeats.", temporary=True)
INTERNAL: Final = _code("internal", "The server failed; the failure is in its log.", temporary=True)
FLOW_FAILED: Final = _code("flow_failed", "The server failed on this event and set it aside; no figure has seen it.")
FOLD_STOPPED: Final = _code(
    "fold_stopped", "The server cannot go on with the figures; what it serves is true as of the watermark."
)

# The log's file.
STORAGE_FULL: Final = _code("storage_full", "The disk of the log is full; nothing was accepted.", temporary=True)
STORAGE_FAILED: Final = _code(
    "storage_failed", "The log's file could not be written or read; nothing was accepted.", temporary=True
)
STORAGE_CORRUPT: Final = _code("storage_corrupt", "The log's file is damaged or half written.")
STORAGE_FORMAT: Final = _code("storage_format", "The log's file has a storage format this version does not know.")
STORAGE_IN_USE: Final = _code("storage_in_use", "Another server runs on this data folder.")
FEED_MOVED: Final = _code("feed_moved", "Another engine has written to this feed.")

# The book's database.
BOOK_MISSING: Final = _code("book_missing", "There is no book at the configured path, or no triggers in it.")
BOOK_LOCKED: Final = _code("book_locked", "Another program holds the book's lock; it is tried again.", temporary=True)
BOOK_READONLY: Final = _code("book_readonly", "The book cannot be written by this user.")
BOOK_SCHEMA: Final = _code("book_schema", "A table or column that the triggers need is missing in the book.")
BOOK_CORRUPT: Final = _code("book_corrupt", "The book's database is damaged or not SQLite.")
BOOK_GAP: Final = _code("book_gap", "The book's changes and the log do not meet: one of them was restored.")
BOOK_TRIGGERS_MISSING: Final = _code(
    "book_triggers_missing",
    "The book's triggers are not those that were installed, so changes go unseen; install them again.",
    temporary=True,
)

# Starting.
CONFIG_INVALID: Final = _code("config_invalid", "The configuration has an unknown key, a wrong type or a wrong unit.")
MAPPING_INVALID: Final = _code(
    "mapping_invalid", "A mapping has an unknown key or a wrong type, or a value that it cannot map."
)
INPUT_INVALID: Final = _code("input_invalid", "A row of the recorded file cannot be read.")
OUTPUT_FAILED: Final = _code("output_failed", "What a command printed could not be written.")
PORT_IN_USE: Final = _code("port_in_use", "Another program listens on the configured address.")


class Close:
    """WebSocket close codes that the server sends (RFC 6455 section 7.4; 4000-4499 say come back, 4500-4999 do not)."""

    NORMAL: Final = 1000
    PROTOCOL_ERROR: Final = 1002
    INVALID_DATA: Final = 1007
    POLICY: Final = 1008
    TOO_LARGE: Final = 1009
    INTERNAL: Final = 1011
    RESTART: Final = 1012
    OVERLOAD: Final = 1013
    STALLED: Final = 4000

"""The error codes and close codes of the server, each once; a domain defines codes of its own beside them.

A code is a stable word for programs; its `meaning` is the sentence that the page of error codes prints. `temporary`
says whether the same request may work later without a change. `gateways/errors.py` maps codes to WebSocket close codes.
"""

from typing import Final

from msgspec import Struct


class Code(Struct, frozen=True):
    """One error code.

    Args:
        name: on the wire.
        temporary: whether trying again may help.
        meaning: one sentence.
        status: of HTTP; None is 503 for an error that is temporary, and 400 for any other.
    """

    name: str
    temporary: bool
    meaning: str
    status: int | None = None


ALL: Final[dict[str, Code]] = {}  # by name: the server's, and those of each domain that is imported


def define(name: str, meaning: str, *, status: int | None = None, temporary: bool = False) -> Code:
    """A new code; a domain defines those of its own."""
    if name in ALL:
        raise AssertionError(f"error code {name} is defined twice")
    ALL[name] = Code(name, temporary, meaning, status)
    return ALL[name]


# Who you are and what you may see.
AUTH_REQUIRED: Final = define("auth_required", "No token was given, or not in time.", status=401)
TOKEN_INVALID: Final = define(
    "token_invalid", "The token is malformed, not signed by this server's key, or lacks a claim.", status=401
)
TOKEN_EXPIRED: Final = define("token_expired", "The token was valid once; get a new one.", status=401)
TOKEN_REVOKED: Final = define(
    "token_revoked", "The token, the session or all of its user's were ended; sign in again.", status=401
)
CODE_INVALID: Final = define(
    "code_invalid", "The sign-in code was used already, has expired, or is not of this server run.", status=401
)
SIGN_IN_FAILED: Final = define(
    "sign_in_failed", "The name or the password is wrong, or the user may not sign in.", status=401
)
SECOND_FACTOR_REQUIRED: Final = define(
    "second_factor_required", "The password is right; a code of the second factor must come with it.", status=401
)
SECOND_FACTOR_INVALID: Final = define(
    "second_factor_invalid", "The code of the second factor is wrong, or was used before.", status=401
)
SECOND_FACTOR_MISSING: Final = define(
    "second_factor_missing", "The role must have a second factor, and the user has none yet.", status=403
)
PROVIDER_REFUSED: Final = define(
    "provider_refused",
    "The provider has not signed the user in, or none of the user's groups has a role here.",
    status=403,
)
PROVIDER_UNAVAILABLE: Final = define(
    "provider_unavailable",
    "The provider that people sign in with does not answer as it must.",
    status=503,
    temporary=True,
)
LOGOUT_INVALID: Final = define("logout_invalid", "The provider's logout token is not good, or was used before.")
USER_INVALID: Final = define("user_invalid", "The name cannot be a user's, or is taken.", status=409)
USER_UNKNOWN: Final = define("user_unknown", "There is no such user within the own scope.", status=404)
PASSWORD_WEAK: Final = define("password_weak", "The password is too short, too long, or one that is guessed first.")
ORIGIN_FORBIDDEN: Final = define(
    "origin_forbidden", "The session cookie did not come from the server's own page.", status=403
)
ADDRESS_FORBIDDEN: Final = define(
    "address_forbidden", "The server, or the role, may not be used from this network address.", status=403
)
CSRF_INVALID: Final = define(
    "csrf_invalid",
    "A change by the session cookie lacks the `X-CSRF-Token` that `GET /v1/session` gives for this session.",
    status=403,
)
FORBIDDEN: Final = define("forbidden", "The role does not allow this.", status=403)
TOPIC_FORBIDDEN: Final = define("topic_forbidden", "The role does not allow this topic.", status=403)
ROLE_UNKNOWN: Final = define("role_unknown", "There is no such role.", status=404)
ROLE_INVALID: Final = define("role_invalid", "No role can be like this; the message says why.")
SCOPE_FORBIDDEN: Final = define("scope_forbidden", "The scope lies outside the token's own.", status=403)

# What was asked.
JSON_INVALID: Final = define("json_invalid", "The frame or body is not JSON in UTF-8.")
CONTENT_TYPE_INVALID: Final = define("content_type_invalid", "The body must be sent as `application/json`.", status=415)
MESSAGE_TOO_LARGE: Final = define("message_too_large", "The message is larger than `message_bytes_max`.", status=413)
URL_TOO_LONG: Final = define("url_too_long", "The address of a request is longer than 8 kB.", status=414)
HEAD_TOO_LARGE: Final = define("head_too_large", "The head of a request is larger than 16 kB.", status=431)
PROTOCOL_ERROR: Final = define(
    "protocol_error", "The peer broke the protocol: HTTP (RFC 9112) or WebSocket (RFC 6455)."
)
SUBPROTOCOL_UNKNOWN: Final = define("subprotocol_unknown", "None of the offered subprotocols is spoken here.")
COMMAND_UNKNOWN: Final = define("command_unknown", "There is no such command.")
COMMAND_INVALID: Final = define("command_invalid", "A field of the command is missing, unknown, or has a wrong type.")
TOPIC_UNKNOWN: Final = define("topic_unknown", "There is no such topic.", status=404)
SCOPE_INVALID: Final = define("scope_invalid", "The scope is not a path such as / or /M1/A7.")
SCOPE_UNKNOWN: Final = define("scope_unknown", "There is no such agent or customer.", status=404)
FILTER_INVALID: Final = define("filter_invalid", "The filter has a wrong shape or more than eight fields.")
FILTER_FIELD_UNKNOWN: Final = define("filter_field_unknown", "The topic does not declare this field as filterable.")
NOT_SUBSCRIBED: Final = define("not_subscribed", "There is no subscription to this target and scope.")
SUBSCRIPTIONS_EXCEEDED: Final = define(
    "subscriptions_exceeded", "The connection has `subscriptions_max` subscriptions already."
)
NOT_SUPPORTED: Final = define("not_supported", "What was asked for is reserved, or not served here.")
MESSAGE_UNSAYABLE: Final = define(
    "message_unsayable", "A message holds a value that cannot be delivered here; it was left out."
)
EVENT_INVALID: Final = define("event_invalid", "A field of the event is missing or has a wrong type or value.")
ID_CONFLICT: Final = define(
    "id_conflict",
    "An event with this id, or a command with this key, and other content was accepted before.",
    status=409,
)
NAME_TAKEN: Final = define("name_taken", "There is one of this name already.", status=409)
NOT_FOUND: Final = define("not_found", "There is nothing at this address.", status=404)
METHOD_NOT_ALLOWED: Final = define("method_not_allowed", "The address does not take this method.", status=405)

# Positions.
POSITION_INVALID: Final = define("position_invalid", "The position is not of the form epoch-offset.")
POSITION_LOST: Final = define(
    "position_lost", "Messages after the position are no longer kept; a snapshot follows.", status=410
)
POSITION_AHEAD: Final = define("position_ahead", "The position is beyond the newest message; a snapshot follows.")
EPOCH_CHANGED: Final = define(
    "epoch_changed", "The position is of another feed (a restored or new file); a snapshot follows."
)

# The server's own state.
OVERLOADED: Final = define(
    "overloaded", "The server takes no more now; come back after `retryAfter`.", status=503, temporary=True
)
RATE_LIMITED: Final = define(
    "rate_limited",
    "What a connection, user, address or scope may cost is used up; come back after `retryAfter`.",
    status=429,
    temporary=True,
)
CONNECTIONS_EXCEEDED: Final = define(
    "connections_exceeded",
    "The server, the user or the address holds as many connections as allowed.",
    status=503,
    temporary=True,
)
RESTARTING: Final = define(
    "restarting", "The server shuts down; come back after `retryAfter`.", status=503, temporary=True
)
STALLED: Final = define(
    "stalled", "The connection took no byte for `stall_s`, or too little while many did.", temporary=True
)
PEER_GONE: Final = define("peer_gone", "The peer acknowledged nothing for two heartbeats.", temporary=True)
INTERNAL: Final = define("internal", "The server failed; the failure is in its log.", status=500, temporary=True)
FLOW_FAILED: Final = define("flow_failed", "The server failed on this event and set it aside; no figure has seen it.")
FOLD_STOPPED: Final = define(
    "fold_stopped", "The server cannot go on with the figures; what it serves is true as of the watermark.", status=503
)

# The log's file.
STORAGE_FULL: Final = define(
    "storage_full", "The disk of the log is full; nothing was accepted.", status=507, temporary=True
)
STORAGE_FAILED: Final = define(
    "storage_failed", "The log's file could not be written or read; nothing was accepted.", status=503, temporary=True
)
STORAGE_CORRUPT: Final = define("storage_corrupt", "The log's file is damaged or half written.", status=500)
ENCRYPTION_KEY_MISSING: Final = define(
    "encryption_key_missing", "A file of the data folder is encrypted by a key that `[encryption]` does not name."
)
STORAGE_FORMAT: Final = define("storage_format", "The log's file has a storage format this version does not know.")
STORAGE_IN_USE: Final = define("storage_in_use", "Another server runs on this data folder.")
FEED_MOVED: Final = define("feed_moved", "Another engine has written to this feed.")

# The book's database.
BOOK_MISSING: Final = define("book_missing", "There is no book at the configured path, or no triggers in it.")
BOOK_LOCKED: Final = define("book_locked", "Another program holds the book's lock; it is tried again.", temporary=True)
BOOK_READONLY: Final = define("book_readonly", "The book cannot be written by this user.")
BOOK_SCHEMA: Final = define("book_schema", "A table or column that the triggers need is missing in the book.")
BOOK_CORRUPT: Final = define("book_corrupt", "The book's database is damaged or not SQLite.")
BOOK_GAP: Final = define("book_gap", "The book's changes and the log do not meet: one of them was restored.")
BOOK_READER_ENDED: Final = define(
    "book_reader_ended", "The process that reads the book has ended; another one is started.", temporary=True
)
BOOK_TRIGGERS_MISSING: Final = define(
    "book_triggers_missing",
    "The book's triggers are not those that were installed, so changes go unseen; install them again.",
    temporary=True,
)

# Starting.
CONFIG_INVALID: Final = define("config_invalid", "The configuration has an unknown key, a wrong type or a wrong unit.")
MAPPING_INVALID: Final = define(
    "mapping_invalid", "A mapping has an unknown key or a wrong type, or a value that it cannot map."
)
INPUT_INVALID: Final = define("input_invalid", "A row of the recorded file cannot be read.")
OUTPUT_FAILED: Final = define("output_failed", "What a command printed could not be written.")
PORT_IN_USE: Final = define("port_in_use", "Another program listens on the configured address.")


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

"""The one place that maps errors to transports: HTTP statuses, WebSocket close codes, and the one shape of errors."""

from typing import Final, Literal

from fire22.core import codes
from fire22.core.codes import Close, Code
from fire22.core.errors import AuthError, Fire22Error
from fire22.core.message import Json, Message, error_message
from fire22.core.times import to_text

_STATUS: Final[dict[Code, int]] = {
    codes.AUTH_REQUIRED: 401,
    codes.TOKEN_INVALID: 401,
    codes.TOKEN_EXPIRED: 401,
    codes.CODE_INVALID: 401,
    codes.ORIGIN_FORBIDDEN: 403,
    codes.FORBIDDEN: 403,
    codes.TOPIC_FORBIDDEN: 403,
    codes.SCOPE_FORBIDDEN: 403,
    codes.TOPIC_UNKNOWN: 404,
    codes.SCOPE_UNKNOWN: 404,
    codes.CUSTOMER_UNKNOWN: 404,
    codes.AGENT_UNKNOWN: 404,
    codes.WAGER_UNKNOWN: 404,
    codes.PAYMENT_UNKNOWN: 404,
    codes.MARKET_UNKNOWN: 404,
    codes.ALERT_UNKNOWN: 404,
    codes.CUSTOMER_INACTIVE: 409,
    codes.MARKET_CLOSED: 409,
    codes.PRICE_CHANGED: 409,
    codes.WAGER_TYPE_UNKNOWN: 409,
    codes.WAGER_INVALID: 409,
    codes.PAYOUT_DISPUTED: 409,
    codes.LIMIT_EXCEEDED: 409,
    codes.CREDIT_EXCEEDED: 409,
    codes.FACT_CONFLICT: 409,
    codes.TRANSITION_ILLEGAL: 409,
    codes.NOT_FOUND: 404,
    codes.METHOD_NOT_ALLOWED: 405,
    codes.ID_CONFLICT: 409,
    codes.POSITION_LOST: 410,
    codes.MESSAGE_TOO_LARGE: 413,
    codes.NOT_SUPPORTED: 501,
    codes.INTERNAL: 500,
    codes.OVERLOADED: 503,
    codes.CONNECTIONS_EXCEEDED: 503,
    codes.RESTARTING: 503,
    codes.FOLD_STOPPED: 503,
    codes.STORAGE_FULL: 507,
    codes.STORAGE_FAILED: 503,
    codes.STORAGE_CORRUPT: 500,
}

_CLOSE: Final[dict[Code, int]] = {
    codes.MESSAGE_TOO_LARGE: Close.TOO_LARGE,
    codes.PROTOCOL_ERROR: Close.PROTOCOL_ERROR,
    codes.RESTARTING: Close.RESTART,
    codes.OVERLOADED: Close.OVERLOAD,
    codes.CONNECTIONS_EXCEEDED: Close.OVERLOAD,
    codes.STALLED: Close.STALLED,
    codes.POSITION_LOST: Close.STALLED,
    codes.INTERNAL: Close.INTERNAL,
}


def http_status(error: Fire22Error) -> int:
    """The status of an error; what a client asked wrongly is 400."""
    return _STATUS.get(error.code, 503 if error.temporary else 400)


def close_code(error: Fire22Error) -> int:
    """The close code of an error that ends a connection."""
    return _CLOSE.get(error.code, Close.POLICY if isinstance(error, AuthError) else Close.INTERNAL)


def as_message(
    error: Fire22Error, now_ms: int, *, kind: Literal["error", "connection_error"] = "error", id: int | None = None
) -> Message:
    """The message that tells a client of an error."""
    details: dict[str, Json] | None = dict(error.details) if error.details else None
    return error_message(
        kind,
        to_text(now_ms),
        error.code.name,
        error.message,
        id=id,
        retry_after_s=error.retry_after_s,
        details=details,
    )

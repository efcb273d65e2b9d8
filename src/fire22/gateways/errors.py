"""The one place that maps errors to transports: HTTP statuses, close codes, and the one shape of errors."""

from typing import Final, Literal

from fire22.core import codes
from fire22.core.codes import Close, Code
from fire22.core.errors import AuthError, Fire22Error
from fire22.core.message import Json, Message, error_message
from fire22.core.times import to_text

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
    return error.code.status or (503 if error.temporary else 400)


def close_code(error: Fire22Error) -> int:
    """The close code of an error that ends a connection."""
    return _CLOSE.get(error.code, Close.POLICY if isinstance(error, AuthError) else Close.INTERNAL)


def as_message(
    error: Fire22Error,
    now_ms: int,
    *,
    kind: Literal["error", "connection_error"] = "error",
    id: int | None = None,
    target: str | None = None,
    scope: str | None = None,
) -> Message:
    """The message that tells a client of an error.

    Args:
        id: of the command that is refused.
        target: with `scope`: the subscription that has ended.
    """
    details: dict[str, Json] | None = dict(error.details) if error.details else None
    return error_message(
        kind,
        to_text(now_ms),
        error.code.name,
        error.message,
        id=id,
        retry_after_s=error.retry_after_s,
        details=details,
        target=target,
        scope=scope,
    )

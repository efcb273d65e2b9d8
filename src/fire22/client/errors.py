"""The errors that the client raises."""

from typing import Final

from fire22.core import codes
from fire22.core.codes import Code
from fire22.core.errors import Fire22Error
from fire22.core.interest import ErrorBody
from fire22.core.message import Json

CLOSED: Final = "closed"  # the code where the server ended the connection and said no other
UNREACHABLE: Final = "unreachable"  # the code where `attempts_max` attempts reached no server


class ServerError(Fire22Error):
    """The server refused something.

    Args:
        code: a word out of PROTOCOL.md; `error.code.name` gives it back.
        message: for a person.
        retry_after_s: seconds after which to try again, if the server said so.
        details: further facts, if the server said some.
    """

    def __init__(
        self, code: str, message: str, *, retry_after_s: float | None = None, details: dict[str, Json] | None = None
    ) -> None:
        known = codes.ALL.get(code) or Code(code, False, message)
        temporary = known.temporary or retry_after_s is not None
        super().__init__(known, message, retry_after_s=retry_after_s, temporary=temporary)
        self.details: dict[str, Json] | None = details  # type: ignore[assignment]


class ConnectionEnded(ServerError):
    """The connection is closed and does not come back: the token was refused, the server said so, or none answers.

    `close_code` is the WebSocket's, None where it never opened or the application closed it.
    """

    def __init__(self, code: str, message: str, *, close_code: int | None = None) -> None:
        super().__init__(code, message)
        self.close_code = close_code


def server_error(body: ErrorBody) -> ServerError:
    """The error that the server wrote."""
    return ServerError(body.code, body.message, retry_after_s=body.retryAfter, details=body.details)

"""What is read of a request, its parameters and its body, and how it is answered."""

from collections.abc import Mapping, Set
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from fire22.core import codes
from fire22.core.errors import RequestError

Body = TypeVar("Body", bound=Struct)
JSON: Final = "application/json"


async def body_of(request: Request, bytes_max: int) -> bytes:
    """The whole body.

    Raises:
        RequestError: `message_too_large`.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise RequestError(codes.MESSAGE_TOO_LARGE, f"The body is larger than {bytes_max} bytes.")
    return bytes(body)


def address_of(request: Request) -> str:
    """The network address that a request came from."""
    return request.client.host if request.client is not None else ""


def check_parameters(request: Request, known: Set[str]) -> None:
    """Refuse parameters of the query that there are not.

    Raises:
        RequestError: `command_invalid`.
    """
    for name in request.query_params:
        if name not in known:
            raise RequestError(
                codes.COMMAND_INVALID,
                f"There is no parameter {name[:64]}; known are: {', '.join(sorted(known)) or 'none'}.",
            )


def check_json(request: Request) -> None:
    """A body said to be JSON. No form of another page can say so (Fetch, CORS-safelisted request headers).

    Raises:
        RequestError: `content_type_invalid`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise RequestError(codes.CONTENT_TYPE_INVALID, f"Send the body with `Content-Type: {JSON}`.")


def parse(body: bytes, type: type[Body]) -> Body:
    """A body that must be an object of this kind.

    Raises:
        RequestError: `command_invalid` or `json_invalid`.
    """
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        raise RequestError(codes.COMMAND_INVALID, f"The body is not valid: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(codes.JSON_INVALID, f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise RequestError(codes.COMMAND_INVALID, "The body is nested too deep.") from None


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with a JSON body."""
    return Response(msgspec.json.encode(value), status, media_type=JSON, headers=dict(headers or {}))

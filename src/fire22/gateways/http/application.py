"""What uvicorn serves over HTTP: how errors are answered, and the headers of every answer."""

import contextlib
from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fire22.core import codes
from fire22.core.errors import Fire22Error, RequestError
from fire22.gateways.errors import as_message, http_status
from fire22.gateways.http.requests import address_of, json_response
from fire22.gateways.http.route import Table
from fire22.gateways.service import Service

_HEADERS: Final = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), midi=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# A browser that has been here over TLS comes over TLS alone for a year, whatever link it follows.
_OVER_TLS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
# Names, money and secrets stay out of every cache, the browser's too; the page's own files say otherwise.
_UNCACHED: Final = (b"cache-control", b"no-store")


def application(service: Service, table: Table, failed: Callable[[Exception], None]) -> ASGIApp:
    """The ASGI application.

    Args:
        failed: told about what no handler expected.
    """

    async def answer(request: Request, error: Exception) -> Response:
        known = _as_fire22(error)
        if known.code is codes.INTERNAL:
            failed(error)
        caller = getattr(request.state, "caller", None)
        row = table.row(request.method, request.url.path)
        service.count(
            known,
            principal=caller,
            address=address_of(request),
            target=request.url.path,
            route="" if row is None else row.path,
        )
        response = _error(service, known)
        if isinstance(error, HTTPException):
            response.headers.update(error.headers or {})  # `Allow`, with a 405
        return response

    expected = dict.fromkeys((Fire22Error, HTTPException, ClientDisconnect, Exception), answer)
    app = Starlette(routes=list(table.starlette()), exception_handlers=expected)
    app.router.redirect_slashes = False  # a redirect would name whatever host the request named
    return _with_headers(app)


def _as_fire22(error: Exception) -> Fire22Error:
    if isinstance(error, Fire22Error):
        return error
    if isinstance(error, HTTPException):
        code = codes.METHOD_NOT_ALLOWED if error.status_code == 405 else codes.NOT_FOUND
        return RequestError(code, code.meaning)
    if isinstance(error, ClientDisconnect):
        return RequestError(codes.PROTOCOL_ERROR, "The request ended within its body.")
    return RequestError(codes.INTERNAL, codes.INTERNAL.meaning)


def _error(service: Service, error: Fire22Error) -> Response:
    response = json_response(as_message(error, service.now_ms()), status=http_status(error))
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    if http_status(error) == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def _with_headers(app: ASGIApp) -> ASGIApp:
    """Every response carries the headers that keep a browser safe."""
    extra = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = message["headers"]
                kept = () if any(name == _UNCACHED[0] for name, _ in sent) else (_UNCACHED,)
                secured = (_OVER_TLS,) if scope["scheme"] == "https" else ()
                message["headers"] = [*sent, *kept, *extra, *secured]
            await send(message)

        # What went wrong has been answered and reported; uvicorn need not print it as well.
        with contextlib.suppress(Exception):
            await app(scope, receive, with_headers)

    return wrapped

"""What uvicorn serves over HTTP: all addresses, how errors are answered, and the headers of every answer."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fire22.core import codes
from fire22.core.errors import Fire22Error, RequestError
from fire22.gateways.errors import as_message, http_status
from fire22.gateways.http import reading, session, writing
from fire22.gateways.http.requests import json_response
from fire22.gateways.service import Service

_HEADERS: Final = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Health(Struct, frozen=True):
    """How the server is: `ok` or the codes of what is wrong, part by part."""

    status: str
    parts: dict[str, str]


def application(
    service: Service,
    *,
    dashboard: Path,
    client: Path,
    metrics: Callable[[], bytes],
    metrics_type: str,
    health: Callable[[], Health],
    session_s: int,
    failed: Callable[[Exception], None],
) -> ASGIApp:
    """The ASGI application.

    Args:
        dashboard: folder of the page.
        client: folder of the JavaScript client's modules.
        health: how each stage is.
        session_s: how long a browser stays signed in.
        failed: told about what no handler expected.
    """
    state = _State(metrics, metrics_type, health)

    async def page(request: Request) -> Response:
        return FileResponse(dashboard / "index.html", headers={"cache-control": "no-cache"})

    routes = [
        *session.routes(service, session_s),
        *reading.routes(service),
        *writing.routes(service),
        Route("/healthz", state.healthz),
        Route("/readyz", state.readyz),
        Route("/metrics", state.metrics),
        Route("/", page),
        Mount("/assets", StaticFiles(directory=dashboard)),
        Mount("/client", StaticFiles(directory=client)),
    ]

    async def answer(request: Request, error: Exception) -> Response:
        known = _as_fire22(error)
        if known.code is codes.INTERNAL:
            failed(error)
        service.count(known)
        response = _error(service, known)
        if isinstance(error, HTTPException):
            response.headers.update(error.headers or {})  # `Allow`, with a 405
        return response

    expected = dict.fromkeys((Fire22Error, HTTPException, ClientDisconnect, Exception), answer)
    return _with_headers(Starlette(routes=routes, exception_handlers=expected))


class _State:
    """How the server is, for those who look after it."""

    def __init__(self, metrics: Callable[[], bytes], metrics_type: str, health: Callable[[], Health]) -> None:
        self._metrics = metrics
        self._metrics_type = metrics_type
        self._health = health

    async def healthz(self, request: Request) -> Response:
        """The process is alive."""
        return json_response({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Every stage works."""
        health = self._health()
        return json_response(health, status=200 if health.status == "ok" else 503)

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        return Response(self._metrics(), headers={"content-type": self._metrics_type})


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
    """Every response carries the headers that keep a browser safe; files are asked for again, by their ETag."""
    extra = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *extra]
                if scope["path"].startswith(("/assets", "/client")):
                    message["headers"].append((b"cache-control", b"no-cache"))
            await send(message)

        # What went wrong has been answered and reported; uvicorn need not print it as well.
        with contextlib.suppress(Exception):
            await app(scope, receive, with_headers)

    return wrapped

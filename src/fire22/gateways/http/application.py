"""The HTTP gateway: snapshots, events, commands, sign-in, health, metrics, and the dashboard's files."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fire22.core import codes
from fire22.core.command import History, as_number
from fire22.core.errors import Fire22Error, RequestError
from fire22.core.event import Time, parse_events
from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.core.topic import Kind
from fire22.gateways.errors import as_message, http_status
from fire22.gateways.http import archive
from fire22.gateways.service import Service, page_data
from fire22.gateways.sign_in import SAFE_METHODS, SESSION_COOKIE, token_of
from fire22.hub.base import LaneKey
from fire22.hub.codec import PLAIN
from fire22.log.base import Appended
from fire22.security.tokens import Principal

Body = TypeVar("Body", bound=Struct)
JSON: Final = "application/json"
EVENTS_MAX: Final = 10_000  # in one request
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


class _SignIn(Struct, forbid_unknown_fields=True):
    code: str


class _Replay(Struct, forbid_unknown_fields=True):
    data: Raw | UnsetType = UNSET
    timestamp: Time | UnsetType = UNSET


class _Dismiss(Struct, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class _View(Struct, omit_defaults=True):
    topic: str
    scope: str
    position: str
    watermark: str
    documents: Raw
    problem: str = ""


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
    handlers = _Handlers(service, dashboard, metrics, metrics_type, health, session_s)
    routes = [
        Route("/", handlers.page),
        Route("/v1/session", handlers.session, methods=["GET", "POST", "DELETE"]),
        Route("/v1/views/{topic}", handlers.view),
        Route("/v1/history/{topic}", handlers.history),
        Route("/v1/archive/{topic}", handlers.archive),
        Route("/v1/query/{name}", handlers.query),
        Route("/v1/events", handlers.events, methods=["POST"]),
        Route("/v1/commands/{name}", handlers.command, methods=["POST"]),
        Route("/v1/dead-letters/{seq}/replay", handlers.replay_letter, methods=["POST"]),
        Route("/v1/dead-letters/{seq}/dismiss", handlers.dismiss_letter, methods=["POST"]),
        Route("/healthz", handlers.healthz),
        Route("/readyz", handlers.readyz),
        Route("/metrics", handlers.metrics_text),
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


class _Handlers:
    def __init__(
        self,
        service: Service,
        dashboard: Path,
        metrics: Callable[[], bytes],
        metrics_type: str,
        health: Callable[[], Health],
        session_s: int,
    ) -> None:
        self._service = service
        self._dashboard = dashboard
        self._metrics = metrics
        self._metrics_type = metrics_type
        self._health = health
        self._session_s = session_s

    async def page(self, request: Request) -> Response:
        """The dashboard."""
        return FileResponse(self._dashboard / "index.html", headers={"cache-control": "no-cache"})

    async def session(self, request: Request) -> Response:
        """Sign a browser in by a one-time code, say who is signed in, sign out."""
        service = self._service
        if request.method == "DELETE":
            response = Response(status_code=204)
            response.set_cookie(SESSION_COOKIE, max_age=0, path=None, httponly=True, samesite="strict")
            return response
        if request.method == "GET":
            return _json(self._session(self._principal(request)))
        try:
            wanted = msgspec.json.decode(await self._body(request), type=_SignIn)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RequestError(codes.JSON_INVALID, f'The body must be {{"code": "..."}}: {error}.') from None
        principal = service.sign_in.redeem(wanted.code, now_ms=service.now_ms())
        token = service.tokens.sign(
            subject=principal.subject,
            role=principal.role,
            scope=principal.scope,
            ttl_s=self._session_s,
            now_ms=service.now_ms(),
            client=principal.client,
            may=principal.may,
        )
        response = _json(self._session(service.authenticate(token)))
        response.set_cookie(SESSION_COOKIE, token, max_age=self._session_s, path=None, httponly=True, samesite="strict")
        return response

    def _session(self, principal: Principal) -> dict[str, Json]:
        return {
            "subject": principal.subject,
            "role": principal.role,
            "scope": principal.scope,
            "expiresAt": to_text(principal.expires_ms),
            "commands": list(self._service.commands(principal)),
            **self._service.about,
        }

    async def view(self, request: Request) -> Response:
        """One snapshot of a view, with its position and an ETag."""
        service = self._service
        principal = self._principal(request)
        _check_parameters(request, {"scope", "at"})
        if "at" in request.query_params:
            raise RequestError(codes.NOT_SUPPORTED, "The field `at` is reserved and not served by this version.")
        name = request.path_params["topic"]
        topic, scope = service.find(principal, name, request.query_params.get("scope"))
        if topic.kind is not Kind.VIEW:
            raise RequestError(codes.TOPIC_UNKNOWN, f"{name} is a stream, not a view; subscribe to it.")
        hub = service.hub
        tag = f'"{hub.position(hub.changed_at(name, scope))}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        page, offset = await hub.snapshot(topic, LaneKey(name, scope, None, False, PLAIN.name), 0)
        messages = Raw(b"[%b]" % page.messages)
        complete = to_text(hub.complete_ms(name, scope))
        view = _View(name, scope, str(hub.position(offset)), complete, messages, hub.problem)
        return _json(view, headers={"etag": tag, "cache-control": "no-cache"})

    async def history(self, request: Request) -> Response:
        """A page of a stream's past, as the history command gives it."""
        service = self._service
        principal = self._principal(request)
        _check_parameters(request, {"scope", "before", "limit"})
        asked = {name: as_number(value) for name, value in request.query_params.items()}
        try:
            command = msgspec.convert({"id": 0, "target": request.path_params["topic"]} | asked, History)
        except msgspec.ValidationError as error:
            raise RequestError(codes.COMMAND_INVALID, f"The request is not valid: {error}.") from None
        key = service.history(principal, command, PLAIN)
        page = await service.hub.history(key, command.before, command.limit)
        return Response(page_data(page), media_type=JSON, headers={"cache-control": "no-cache"})

    async def archive(self, request: Request) -> Response:
        """A page of what is kept for ever of a topic, under the same check as its messages."""
        service = self._service
        principal = self._principal(request)
        query = dict(request.query_params)
        asked = archive.parse(query)
        topic, scope = service.find(principal, request.path_params["topic"], asked.scope)
        if not topic.archived:
            raise RequestError(codes.TOPIC_UNKNOWN, f"{topic.name} has no archive.")
        found = await service.hub.feed.archived(
            topic.name,
            scope,
            key_from=asked.from_,
            key_to=asked.to,
            every_revision=asked.revisions == "all",
            after=asked.position,
            limit=asked.limit + 1,
        )
        page = found[: asked.limit]
        position = archive.after(page) if len(found) > len(page) else None
        name = archive.file_name(topic.name, scope, asked)
        headers = {"cache-control": "no-cache", "content-disposition": f'attachment; filename="{name}"'}
        if position is not None:
            headers["link"] = archive.next_link(query, position)
        if asked.format == "csv":
            # A large table is not made while others wait.
            return Response(await asyncio.to_thread(archive.as_csv, page), media_type=archive.CSV, headers=headers)
        return Response(archive.as_json(topic.name, scope, page, position), media_type=JSON, headers=headers)

    async def query(self, request: Request) -> Response:
        """Answer a question from the flows as they are now; it says what parameters it has beside `scope`."""
        principal = self._principal(request)
        asked = request.query_params
        parameters = {name: asked.getlist(name) for name in asked if name != "scope"}
        answer = await self._service.query(principal, request.path_params["name"], asked.get("scope"), parameters)
        return Response(answer, media_type=JSON, headers={"cache-control": "no-cache"})

    async def events(self, request: Request) -> Response:
        """Append one event or an array of them, all or none; answered once they are durable."""
        service = self._service
        principal = self._principal(request)
        service.access.check_publish(principal)
        events = parse_events(await self._body(request))
        if not 0 < len(events) <= EVENTS_MAX:
            raise RequestError(codes.EVENT_INVALID, f"A request holds 1 to {EVENTS_MAX} events, not {len(events)}.")
        appended = await service.publish(principal, events)
        status = 200 if all(each.repeat for each in appended) else 202
        return _json({"results": appended}, status=status)

    async def replay_letter(self, request: Request) -> Response:
        """Fold a dead letter's event again, as it is or corrected; answered once that is durable."""
        principal = self._principal(request)
        body = await self._body(request)
        asked = _parse(body, _Replay) if body.strip() else _Replay()
        return await self._done(self._service.replay_letter(principal, _seq(request), asked.data, asked.timestamp))

    async def dismiss_letter(self, request: Request) -> Response:
        """Put a dead letter away; answered once that is durable."""
        principal = self._principal(request)
        asked = _parse(await self._body(request), _Dismiss)
        return await self._done(self._service.dismiss_letter(principal, _seq(request), asked.reason))

    async def _done(self, appending: "asyncio.Future[list[Appended]]") -> Response:
        [appended] = await appending
        return _json({"seq": appended.seq}, status=202)

    async def command(self, request: Request) -> Response:
        """Perform a command of the domain once; answered once its effect is durable."""
        service = self._service
        principal = self._principal(request)
        _check_parameters(request, set())
        key = request.headers.get("idempotency-key")
        body = await self._body(request, service.limits.message_bytes_max)
        answer = await service.act(principal, request.path_params["name"], body, key)
        return Response(answer, media_type=JSON)

    async def healthz(self, request: Request) -> Response:
        """The process is alive."""
        return _json({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Every stage works."""
        health = self._health()
        return _json(health, status=200 if health.status == "ok" else 503)

    async def metrics_text(self, request: Request) -> Response:
        """For Prometheus."""
        return Response(self._metrics(), headers={"content-type": self._metrics_type})

    def _principal(self, request: Request) -> Principal:
        """Who asks."""
        return self._service.authenticate(token_of(request.headers, safe=request.method in SAFE_METHODS))

    async def _body(self, request: Request, bytes_max: int | None = None) -> bytes:
        limit = self._service.limits.events_bytes_max if bytes_max is None else bytes_max
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise RequestError(codes.MESSAGE_TOO_LARGE, f"The body is larger than {limit} bytes.")
        return bytes(body)


def _check_parameters(request: Request, known: set[str]) -> None:
    for name in request.query_params:
        if name not in known:
            raise RequestError(
                codes.COMMAND_INVALID, f"There is no parameter {name[:64]}; known are: {', '.join(sorted(known))}."
            )


def _seq(request: Request) -> int:
    """The number of a dead letter in the path.

    Raises:
        RequestError: `not_found`, it is none; `command_invalid`, it has more digits than any.
    """
    text = request.path_params["seq"]
    seq = as_number(text)
    if isinstance(seq, int):
        return seq
    code = codes.COMMAND_INVALID if text.isdecimal() else codes.NOT_FOUND
    raise RequestError(code, "A dead letter is named by its `seq`, a whole number.")


def _parse(body: bytes, type: type[Body]) -> Body:
    """A body that must be an object of this kind."""
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        raise RequestError(codes.COMMAND_INVALID, f"The body is not valid: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(codes.JSON_INVALID, f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise RequestError(codes.COMMAND_INVALID, "The body is nested too deep.") from None


def _json(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, media_type=JSON, headers=dict(headers or {}))


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
    response = _json(as_message(error, service.now_ms()), status=http_status(error))
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

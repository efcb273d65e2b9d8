"""One row of the table of routes, and what the server does with a request before its handler runs.

A handler gets a `Call`: who asks has been established and allowed, the Origin checked, the body read whole within the
row's limit. So no handler can forget any of that, and what has not passed costs no more than the head of a request.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final, Literal

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.routing import compile_path

from fire22.core import codes
from fire22.core.errors import AuthError, RequestError
from fire22.core.message import Json
from fire22.gateways.http.requests import address_of, body_of, check_parameters
from fire22.gateways.rates import Payer, payer_of
from fire22.gateways.service import Service
from fire22.gateways.sign_in import SAFE_METHODS, is_own_page, token_of
from fire22.security.principal import Principal
from fire22.security.sessions import SessionSecret, csrf_of

# Who may, beside the name of a right that `Access.check_right` knows.
ANYBODY: Final = "anybody"
SIGNED_IN: Final = "signed in"
OPERATORS: Final = "operators"  # from where operators look, or by a token with the right to operate

CSRF_HEADER: Final = "x-csrf-token"


class Call(Struct, frozen=True):
    """A request that may be handled.

    Args:
        request: its head; the body has been read.
        caller: who asks; None on a route for anybody.
        body: all of it; empty where the route takes none.
        payer: who is charged for what it costs beyond the row's `cost`.
    """

    request: Request
    caller: Principal | None
    body: bytes
    payer: Payer = Payer()

    @property
    def principal(self) -> Principal:
        """Who asks, on a route that is not for anybody."""
        if self.caller is None:
            raise AssertionError("a route for anybody asked who it is")
        return self.caller


NOTED_BYTES_MAX: Final = 4 << 10  # of a command's body that the audit trail keeps
Handler = Callable[[Call], Awaitable[Response]]


class Route(Struct, frozen=True, kw_only=True):
    """A row of the table.

    Args:
        method: of HTTP; a GET answers HEAD as well.
        path: as Starlette writes it: `/v1/views/{topic}`.
        handler: answers; None where the connection is handed to a transport of its own, as a WebSocket is.
        who: ANYBODY, SIGNED_IN, OPERATORS, or the name of a right.
        summary: one sentence, for the API's document.
        body_bytes_max: of the body; 0 where it takes none.
        cost: in units of a request that is answered from memory, as the limits of rates charge it.
        parameters: a struct whose fields are the query's parameters; others are refused. None: there are none.
        open_parameters: whether the query may hold more, which the handler checks.
        headers: names of headers that a request must have beside those of HTTP itself.
        request: what the body holds; None where it holds nothing, or bytes that the domain reads.
        answer: what a good answer holds; None where that is no JSON, or the domain's own.
        changes: whether it changes something: then a page of another origin may not ask, and no cookie counts without
            an Origin and the session's CSRF token. By default what a method that is not safe does.
        machine: whether a machine's token may use it.
        enrolling: whether it is for who lacks the second factor that the role must have, too.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler | None
    who: str
    summary: str
    body_bytes_max: int = 0
    cost: float = 1.0
    parameters: type[Struct] | None = None
    open_parameters: bool = False
    headers: tuple[str, ...] = ()
    request: type | None = None
    answer: type | None = None
    changes: bool | None = None
    machine: bool = True
    enrolling: bool = False

    @property
    def is_changing(self) -> bool:
        """Whether it changes something."""
        return self.method not in SAFE_METHODS if self.changes is None else self.changes

    @property
    def right(self) -> str:
        """The right that it needs; on a route for anybody, or for whoever is signed in, it has no meaning."""
        return "operate" if self.who == OPERATORS else self.who

    @property
    def query(self) -> frozenset[str] | None:
        """The names of the query's parameters; None where the handler checks them."""
        if self.open_parameters:
            return None
        fields = msgspec.structs.fields(self.parameters) if self.parameters is not None else ()
        return frozenset(field.encode_name for field in fields)


class Table:
    """All routes of a server."""

    def __init__(self, service: Service, rows: Iterable[Route]) -> None:
        self._service = service
        self.rows: tuple[Route, ...] = tuple(rows)
        self._by_path: dict[str, dict[str, Route]] = {}
        for row in self.rows:
            methods = self._by_path.setdefault(row.path, {})
            if row.method in methods:
                raise AssertionError(f"{row.method} {row.path} has two rows")
            if row.who not in (ANYBODY, SIGNED_IN, OPERATORS):
                service.access.check_is_right(row.who)
            methods[row.method] = row
        self._patterns = [(compile_path(path)[0], methods) for path, methods in self._by_path.items()]

    def row(self, method: str, path: str) -> Route | None:
        """The route that a request is for; None where there is none."""
        for pattern, methods in self._patterns:
            if pattern.fullmatch(path):
                return methods.get("GET" if method == "HEAD" else method)
        return None

    def starlette(self) -> Iterator[StarletteRoute]:
        """What Starlette dispatches by: one route for each path, with all its methods."""
        for path, methods in self._by_path.items():
            served = {method: row for method, row in methods.items() if row.handler is not None}
            if served:
                yield StarletteRoute(path, self._endpoint(served), methods=list(served))

    def _endpoint(self, methods: dict[str, Route]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            row = methods["GET" if request.method == "HEAD" else request.method]
            if row.handler is None:
                raise AssertionError("a route without a handler was dispatched")
            caller = await self._caller(row, request)
            request.state.caller = caller
            if row.query is not None:
                check_parameters(request, row.query)
            payer = _payer(caller, request)
            self._service.charge(payer, row.cost)
            body = await body_of(request, row.body_bytes_max) if row.body_bytes_max else b""
            response = await row.handler(Call(request, caller, body, payer))
            if caller is not None:
                await self._note(row, request, caller, body)
            self._say_limits(payer, response)
            return response

        return endpoint

    def _say_limits(self, payer: Payer, response: Response) -> None:
        """The tightest limit, as draft-ietf-httpapi-ratelimit-headers-10 writes it."""
        left = self._service.left(payer)
        if left is not None:
            burst_s = self._service.limits.rates.burst_s
            response.headers["ratelimit-policy"] = f'"{left.name}";q={left.units_max};w={round(burst_s)}'
            response.headers["ratelimit"] = f'"{left.name}";r={left.units};t={left.reset_s}'

    async def _note(self, row: Route, request: Request, caller: Principal, body: bytes) -> None:
        """Bring what was changed into the audit trail before it is answered."""
        audit, address = self._service.audit, address_of(request)
        audit.seen(caller, address)
        if not row.is_changing or (row.who == "publish" and caller.kind == "machine"):
            return
        target = f"{row.method} {request.url.path}"
        audit.note("request.done", principal=caller, address=address, target=target, after=_asked(row, request, body))
        await audit.durable()

    async def _caller(self, row: Route, request: Request) -> Principal | None:
        """Who asks, where it may.

        Raises:
            AuthError: nobody whom the server knows, a page of another origin, or one that does not know the session.
            RequestError: `forbidden`.
        """
        headers, origins = request.headers, self._service.network.origins
        secure = request.url.scheme == "https"
        if row.who == ANYBODY:
            is_own = is_own_page(headers, safe=False, secure=secure, origins=origins)
            if row.is_changing and "origin" in headers and not is_own:
                raise AuthError(codes.ORIGIN_FORBIDDEN, "This may be asked only by the server's own page.")
            return None
        if row.who == OPERATORS and getattr(request.state, "is_operator", False):
            return None
        token = token_of(
            headers,
            safe=not row.is_changing,
            secure=secure,
            origins=origins,
            certificate=getattr(request.state, "certificate", None),
        )
        principal = await self._service.identify(token, address_of(request), enrolling=row.enrolling)
        if row.is_changing and isinstance(token, SessionSecret):
            said = headers.get(CSRF_HEADER, "").encode()
            if not hmac.compare_digest(said, csrf_of(token).encode()):
                message = "Another session has begun in this browser; load the page again."
                raise AuthError(codes.CSRF_INVALID, message)
        if not row.machine and principal.kind == "machine":
            raise RequestError(codes.FORBIDDEN, "A machine's token is not for this.")
        if row.who != SIGNED_IN:
            self._service.access.check_right(principal, row.right)
        return principal


def _asked(row: Route, request: Request, body: bytes) -> dict[str, Json] | None:
    """What the audit trail keeps of a request: a command's parameters; other bodies may hold what is personal."""
    name = request.path_params.get("name")
    if name is None:
        return None
    asked: dict[str, Json] = {"idempotencyKey": request.headers.get("idempotency-key", "")}
    if len(body) > NOTED_BYTES_MAX:
        return asked | {"bodyBytes": len(body)}
    return asked | {"parameters": msgspec.json.decode(body) if body.strip() else {}}


def _payer(caller: Principal | None, request: Request) -> Payer:
    address = address_of(request)
    return payer_of(caller, address=address) if caller is not None else Payer(address=address)

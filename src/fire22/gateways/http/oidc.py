"""Signing in with another provider, and what the provider tells: who comes back, and who has signed out there."""

import html
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from fire22.core import codes
from fire22.core.errors import AuthError, Fire22Error, RequestError
from fire22.gateways.errors import http_status
from fire22.gateways.http.requests import address_of, json_response
from fire22.gateways.http.route import Call
from fire22.gateways.service import Service
from fire22.gateways.sign_in import HOST_PREFIX, SESSION_COOKIE, cookie_of, token_of
from fire22.security.oidc import FLOW_S, Callback, Oidc
from fire22.security.people import Place
from fire22.security.sessions import SessionSecret, id_of

LOGOUT_BYTES_MAX: Final = 8 << 10
FLOW_COOKIE: Final = "fire22_oidc"
START: Final = "/v1/oidc/start"
CALLBACK: Final = "/v1/oidc/callback"
LOGOUT: Final = "/v1/oidc/logout"
_NO_STORE: Final = {"cache-control": "no-store"}


class Link(Struct):
    """How to sign in with a provider.

    Args:
        name: of the provider.
        href: where a browser begins, relative to the page.
    """

    name: str
    href: str


class Ways(Struct):
    """How people can sign in here.

    Args:
        password: whether by name and password.
        provider: with another provider; null where none is configured.
    """

    password: bool
    provider: Link | None


class OidcRoutes:
    """Its handlers.

    Args:
        session_s: how long a browser stays signed in at most.
    """

    def __init__(self, service: Service, session_s: int) -> None:
        self._service = service
        self._session_s = session_s

    async def ways(self, call: Call) -> Response:
        """How people can sign in."""
        oidc = self._service.oidc
        link = Link(oidc.provider.name, START.removeprefix("/")) if oidc is not None else None
        return json_response(Ways(True, link), headers=_NO_STORE)

    async def start(self, call: Call) -> Response:
        """Send a browser to the provider."""
        oidc, request = self._oidc(), call.request
        try:
            if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                raise AuthError(codes.ORIGIN_FORBIDDEN, "A sign-in begins on the server's own page.")
            begun = await oidc.begin(_place(request), former=_former(request))
        except Fire22Error as error:
            return self._problem(oidc, request, error)
        response = RedirectResponse(begun.address, 303, headers=_NO_STORE)
        _set(response, oidc, FLOW_COOKIE, begun.secret, FLOW_S, "lax")
        return response

    async def callback(self, call: Call) -> Response:
        """Sign in who comes back from the provider.

        The answer is a page that goes on to the server's own, no redirect: that would still count as the provider's
        request, and a browser would not send the session's cookie, which is SameSite=Strict.
        """
        oidc, request = self._oidc(), call.request
        asked = request.query_params
        callback = Callback(*(asked.get(name, "") for name in ("code", "state", "iss", "error")))
        try:
            if any(len(asked.getlist(name)) > 1 for name in ("code", "state", "iss", "error")):
                raise AuthError(codes.CODE_INVALID, "What the provider sent is ambiguous; begin again.")
            entered = await oidc.finish(_cookie(request, oidc), callback, _place(request))
        except Fire22Error as error:
            response = self._problem(oidc, request, error)
        else:
            self._service.audit.note(
                "session.opened", principal=entered.principal, address=address_of(request), after={"how": "provider"}
            )
            response = _page(oidc, "Signed in", "You are signed in.", goes_on=True)
            _set(response, oidc, SESSION_COOKIE, entered.secret, self._session_s, "strict")
        _set(response, oidc, FLOW_COOKIE, "", 0, "lax")
        return response

    async def logout(self, call: Call) -> Response:
        """End the sessions of whom the provider has signed out."""
        try:
            form = dict(parse_qsl(call.body.decode(), max_num_fields=8))
        except ValueError:
            form = {}
        try:
            ended = await self._oidc().log_out(form.get("logout_token", ""))
        except RequestError as error:
            if error.code is codes.LOGOUT_INVALID:
                self._service.audit.note("session.refused", address=address_of(call.request), outcome=error.code.name)
            raise
        for principal in ended:
            self._service.audit.note(
                "session.ended",
                principal=principal,
                address=address_of(call.request),
                target=principal.session,
                after={"how": "provider"},
            )
        return Response(status_code=200, headers=_NO_STORE)

    def _oidc(self) -> Oidc:
        if self._service.oidc is None:
            raise RequestError(codes.NOT_FOUND, "No provider to sign in with is configured here.")
        return self._service.oidc

    def _problem(self, oidc: Oidc, request: Request, error: Fire22Error) -> Response:
        """A page for who was refused: it is a person's browser that asks."""
        address = address_of(request)
        self._service.count(error, address=address, target=request.url.path)
        self._service.audit.note("session.refused", address=address, outcome=error.code.name)
        return _page(oidc, "Not signed in", error.message, status=http_status(error))


def _page(oidc: Oidc, title: str, text: str, *, status: int = 200, goes_on: bool = False) -> Response:
    home = html.escape(f"{oidc.url}/")
    refresh = f'<meta http-equiv="refresh" content="0; url={home}">' if goes_on else ""
    body = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="dark light">{refresh}<link rel="stylesheet" href="{home}assets/style.css">'
        f"<title>{html.escape(title)} – Fire22 Flows</title></head>"
        f'<body><main class="sign-in"><div class="sign-in-box"><h1>{html.escape(title)}</h1>'
        f'<p role="status">{html.escape(text)}</p>'
        f'<p><a href="{home}">{"Go on" if goes_on else "Back to the sign-in"}</a></p></div></main></body></html>'
    )
    return HTMLResponse(body, status, headers=_NO_STORE)


def _place(request: Request) -> Place:
    return Place(address_of(request), request.headers.get("user-agent", ""))


def _former(request: Request) -> str:
    """The id of the session that the browser has; empty where it has none."""
    try:
        held = token_of({"cookie": request.headers.get("cookie", "")}, safe=True)
    except AuthError:
        return ""
    return id_of(held) if isinstance(held, SessionSecret) else ""


def _cookie(request: Request, oidc: Oidc) -> str:
    """What the browser holds of the sign-in that it has begun. Over TLS only the cookie that nobody else can set."""
    headers = {"cookie": request.headers.get("cookie", "")} | ({"origin": "https://"} if oidc.is_secure else {})
    return cookie_of(headers, FLOW_COOKIE) or ""


def _set(response: Response, oidc: Oidc, name: str, value: str, seconds: int, same_site: str) -> None:
    """Set a cookie, or take it away; the paths are those of the other cookies, as a browser sees them."""
    response.set_cookie(
        HOST_PREFIX + name if oidc.is_secure else name,
        value,
        max_age=seconds,
        path="/" if oidc.is_secure else f"{urlsplit(oidc.url).path}/v1",
        secure=oidc.is_secure,
        httponly=True,
        samesite="lax" if same_site == "lax" else "strict",
    )

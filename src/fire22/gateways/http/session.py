"""Signing people in, by name and password or a one-time code, and out; the sessions that a user has."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from fire22.core import codes
from fire22.core.errors import AuthError, RequestError
from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.gateways.http.requests import address_of, check_json, json_response, parse
from fire22.gateways.http.route import Call
from fire22.gateways.service import Service
from fire22.gateways.sign_in import DEVICE_COOKIE, HOST_PREFIX, SESSION_COOKIE, cookie_of, is_secure, token_of
from fire22.security.people import DEVICE_S, Entered, Place
from fire22.security.principal import Principal
from fire22.security.sessions import SessionSecret, csrf_of

SIGN_IN_BYTES_MAX: Final = 1024  # of a body that anybody may send
PASSWORD_BYTES_MAX: Final = 4096

Secret = Annotated[str, Meta(max_length=256)]


class SignIn(Struct, forbid_unknown_fields=True):
    """The code of a one-time link, or a name and a password.

    Args:
        otp: a code of the second factor, where the user has one.
    """

    code: str | None = None
    name: Secret | None = None
    password: Secret | None = None
    otp: Annotated[str, Meta(max_length=64)] | None = None


class NewPassword(Struct, forbid_unknown_fields=True):
    """The password that one has, and the one that one wants."""

    password: Secret
    new: Secret


class Own(Struct, rename="camel"):
    """A session of one's own.

    Args:
        current: whether it is the one that asks.
        agent: how the browser calls itself.
        address: that it was used from last.
        how: one signed in: `link`, `provider` or `password`; empty in sessions of earlier versions.
    """

    id: str
    current: bool
    created_at: str
    used_at: str
    ends_at: str
    agent: str
    address: str
    how: str


class Owns(Struct):
    """The sessions of one's own, the latest used first."""

    sessions: list[Own]


class Session:
    """Its handlers.

    Args:
        session_s: how long a browser stays signed in at most.
    """

    def __init__(self, service: Service, session_s: int) -> None:
        self._service = service
        self._session_s = session_s

    async def sign_in(self, call: Call) -> Response:
        """Sign a browser in. The session that it had ends: each sign-in has its own."""
        check_json(call.request)
        wanted = _wanted(call.body)
        place = _place(call.request)
        try:
            entered = await self._enter(wanted, place)
        except RequestError as error:
            self._service.audit.note(
                "session.refused", address=place.address, target=wanted.name or "", outcome=error.code.name
            )
            raise
        former = self._secret(call.request)
        if former is not None:
            await self._end(former, place.address)
        self._service.audit.note("session.opened", principal=entered.principal, address=place.address)
        response = json_response(
            self._session(entered.principal, entered.secret), headers={"cache-control": "no-store"}
        )
        _set(response, call.request, SESSION_COOKIE, entered.secret, self._session_s)
        if entered.device:
            _set(response, call.request, DEVICE_COOKIE, entered.device, DEVICE_S)
        return response

    async def signed_in(self, call: Call) -> Response:
        """Who is signed in."""
        secret = self._secret(call.request, safe=True) if call.principal.session else None
        return json_response(self._session(call.principal, secret), headers={"cache-control": "no-store"})

    async def sign_out(self, call: Call) -> Response:
        """Sign a browser out: its session ends, on every connection."""
        secret = self._secret(call.request)
        if secret is not None:
            await self._end(secret, address_of(call.request))
        response = Response(status_code=204)
        _set(response, call.request, SESSION_COOKIE, "", 0)
        return response

    async def own(self, call: Call) -> Response:
        """The sessions of who asks."""
        principal = call.principal
        rows = [
            Own(
                id,
                id == principal.session,
                to_text(each.created_ms),
                to_text(each.used_ms),
                to_text(each.ends_ms),
                each.agent,
                each.address,
                each.how,
            )
            for id, each in self._service.people.sessions.of(principal.user)
        ]
        return json_response(Owns(rows), headers={"cache-control": "no-store"})

    async def end_own(self, call: Call) -> Response:
        """End one of one's own sessions."""
        sessions, id = self._service.people.sessions, call.request.path_params["id"]
        if all(id != each for each, _ in sessions.of(call.principal.user)):
            raise RequestError(codes.NOT_FOUND, "You have no such session.")
        await sessions.end(id)
        self._note_ended(call.principal, call.request, id)
        return Response(status_code=204)

    async def end_others(self, call: Call) -> Response:
        """End all of one's own sessions but the one that asks."""
        await self._service.people.sessions.end_all(call.principal.user, but=call.principal.session)
        self._note_ended(call.principal, call.request, call.principal.user)
        return Response(status_code=204)

    async def change_password(self, call: Call) -> Response:
        """Change the own password; all other sessions of the user end."""
        wanted = parse(call.body, NewPassword)
        address = address_of(call.request)
        await self._service.people.change_password(call.principal, wanted.password, wanted.new, address)
        self._service.audit.note("user.password", principal=call.principal, address=address, target=call.principal.user)
        return Response(status_code=204)

    async def _enter(self, wanted: SignIn, place: Place) -> Entered:
        people = self._service.people
        if wanted.name is not None and wanted.password is not None:
            return await people.enter(wanted.name, wanted.password, place, wanted.otp or "")
        principal = self._service.sign_in.redeem(wanted.code or "", now_ms=self._service.now_ms())
        return await people.enter_as(principal, place)

    async def _end(self, secret: SessionSecret, address: str = "") -> None:
        """End the session of a cookie, if it is of one."""
        try:
            principal = self._service.authenticate(secret, address, enrolling=True)
        except AuthError:
            return
        await self._service.people.sessions.end(principal.session)
        self._service.audit.note("session.ended", principal=principal, address=address, target=principal.session)

    def _secret(self, request: Request, *, safe: bool = False) -> SessionSecret | None:
        """What the session cookie of a request from the server's own page holds."""
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        try:
            secure = request.url.scheme == "https"
            found = token_of(headers, safe=safe, secure=secure, origins=self._service.network.origins)
        except AuthError:
            return None
        return found if isinstance(found, SessionSecret) else None

    def _note_ended(self, principal: Principal, request: Request, target: str) -> None:
        self._service.audit.note("session.ended", principal=principal, address=address_of(request), target=target)

    def _session(self, principal: Principal, secret: SessionSecret | None) -> dict[str, Json]:
        people = self._service.people
        factor = people.factor(principal)
        return {
            **({} if secret is None else {"csrf": csrf_of(secret)}),
            "subject": principal.subject,
            "role": principal.role,
            "scope": principal.scope,
            "expiresAt": to_text(principal.expires_ms),
            "topics": list(self._service.followable(principal)),
            "commands": list(self._service.commands(principal)),
            "rights": list(self._service.access.rights(principal)),
            "gives": dict(self._service.access.gives(principal)),
            "hasPassword": people.has_password(principal),
            "hasSecondFactor": bool(factor.secret),
            "recoveryCodes": len(factor.recovery),
            "lacksSecondFactor": people.lacks_factor(principal),
            **self._service.about,
        }


def _wanted(body: bytes) -> SignIn:
    try:
        wanted = msgspec.json.decode(body, type=SignIn)
        by_name = wanted.name is not None and wanted.password is not None
        is_half = (wanted.name is None) is not (wanted.password is None) or (wanted.otp is not None and not by_name)
        if by_name is not (wanted.code is None) or is_half:
            raise msgspec.ValidationError("it has a code, or a name and a password")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f'The body must be {{"code": "..."}} or {{"name": "...", "password": "..."}}: {error}.'
        raise RequestError(codes.JSON_INVALID, message) from None
    return wanted


def _place(request: Request) -> Place:
    headers = request.headers
    device = cookie_of(headers, DEVICE_COOKIE, secure=request.url.scheme == "https")
    return Place(address_of(request), headers.get("user-agent", ""), device or "")


def _set(response: Response, request: Request, name: str, value: str, seconds: int) -> None:
    """Set a cookie, or take it away. Over TLS under the prefix that only the server itself can set."""
    secure = request.url.scheme == "https" or is_secure(request.headers)
    response.set_cookie(
        HOST_PREFIX + name if secure else name,
        value,
        max_age=seconds,
        path="/" if secure else None,
        secure=secure,
        httponly=True,
        samesite="strict",
    )

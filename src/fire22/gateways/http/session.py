"""Signing a browser in, by a one-time code and a cookie, and out."""

from typing import Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.gateways.http.requests import address_of, json_response
from fire22.gateways.http.route import Call
from fire22.gateways.service import Service
from fire22.gateways.sign_in import SESSION_COOKIE
from fire22.security.principal import Principal

SIGN_IN_BYTES_MAX: Final = 1024  # of a body that anybody may send


class SignIn(Struct, forbid_unknown_fields=True):
    """The code of a one-time link."""

    code: str


class Session:
    """Its handlers.

    Args:
        session_s: how long a browser stays signed in.
    """

    def __init__(self, service: Service, session_s: int) -> None:
        self._service = service
        self._session_s = session_s

    async def sign_in(self, call: Call) -> Response:
        """Sign a browser in by a one-time code."""
        service = self._service
        try:
            wanted = msgspec.json.decode(call.body, type=SignIn)
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
        signed_in = service.authenticate(token)
        service.audit.note("session.opened", principal=signed_in, address=address_of(call.request))
        response = json_response(self._session(signed_in))
        response.set_cookie(SESSION_COOKIE, token, max_age=self._session_s, path=None, httponly=True, samesite="strict")
        return response

    async def signed_in(self, call: Call) -> Response:
        """Who is signed in."""
        return json_response(self._session(call.principal))

    async def sign_out(self, call: Call) -> Response:
        """Sign a browser out."""
        response = Response(status_code=204)
        response.set_cookie(SESSION_COOKIE, max_age=0, path=None, httponly=True, samesite="strict")
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

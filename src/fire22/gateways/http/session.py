"""Signing a browser in, by a one-time code and a cookie, and out."""

from typing import Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.gateways.http.requests import body_of, json_response, principal_of
from fire22.gateways.service import Service
from fire22.gateways.sign_in import SESSION_COOKIE
from fire22.security.tokens import Principal

SIGN_IN_BYTES_MAX: Final = 1024  # of a body that anybody may send


class _SignIn(Struct, forbid_unknown_fields=True):
    code: str


def routes(service: Service, session_s: int) -> list[Route]:
    """Its address.

    Args:
        session_s: how long a browser stays signed in.
    """
    return [Route("/v1/session", _Session(service, session_s).session, methods=["GET", "POST", "DELETE"])]


class _Session:
    def __init__(self, service: Service, session_s: int) -> None:
        self._service = service
        self._session_s = session_s

    async def session(self, request: Request) -> Response:
        """Sign a browser in by a one-time code, say who is signed in, sign out."""
        service = self._service
        if request.method == "DELETE":
            response = Response(status_code=204)
            response.set_cookie(SESSION_COOKIE, max_age=0, path=None, httponly=True, samesite="strict")
            return response
        if request.method == "GET":
            return json_response(self._session(principal_of(service, request)))
        try:
            wanted = msgspec.json.decode(await body_of(request, SIGN_IN_BYTES_MAX), type=_SignIn)
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
        response = json_response(self._session(service.authenticate(token)))
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

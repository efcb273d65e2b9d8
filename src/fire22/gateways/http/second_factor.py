"""The own second factor: set up by an app, confirmed by a code of it, replaced, removed; and its recovery codes."""

from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.responses import Response

from fire22.gateways.http.requests import address_of, json_response, parse
from fire22.gateways.http.route import Call
from fire22.gateways.service import Service
from fire22.security import second_factor

BODY_BYTES_MAX: Final = 2048


class Again(Struct, forbid_unknown_fields=True):
    """The own password, once more."""

    password: Annotated[str, Meta(max_length=256)]


class Confirmation(Struct, forbid_unknown_fields=True):
    """A code of the app."""

    otp: Annotated[str, Meta(max_length=64)]


class Enrolment(Struct):
    """What the app is given; shown this once.

    Args:
        secret: in base 32, for who types it.
        address: the same as an `otpauth:` address.
    """

    secret: str
    address: str


class RecoveryCodes(Struct):
    """What signs in once each in place of the app; shown this once."""

    codes: list[str]


class SecondFactorRoutes:
    """Its handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def enrol(self, call: Call) -> Response:
        """Begin to set up a second factor."""
        asked = parse(call.body, Again)
        secret = await self._service.people.enrol(call.principal, asked.password, address_of(call.request))
        address = second_factor.address_of(secret, call.principal.subject)
        return json_response(Enrolment(secret, address), headers={"cache-control": "no-store"})

    async def confirm(self, call: Call) -> Response:
        """From now on each sign-in asks for it."""
        asked = parse(call.body, Confirmation)
        codes = await self._service.people.confirm(call.principal, asked.otp)
        self._note(call, "user.second_factor")
        return json_response(RecoveryCodes(codes), headers={"cache-control": "no-store"})

    async def renew_recovery(self, call: Call) -> Response:
        """New recovery codes; those from before are worth nothing."""
        asked = parse(call.body, Again)
        address = address_of(call.request)
        codes = await self._service.people.renew_recovery(call.principal, asked.password, address)
        self._note(call, "user.recovery_codes")
        return json_response(RecoveryCodes(codes), headers={"cache-control": "no-store"})

    async def remove(self, call: Call) -> Response:
        """Sign in by the password alone from now on."""
        asked = parse(call.body, Again)
        await self._service.people.remove_factor(call.principal, asked.password, address_of(call.request))
        self._note(call, "user.second_factor_removed")
        return Response(status_code=204)

    def _note(self, call: Call, action: str) -> None:
        principal = call.principal
        self._service.audit.note(action, principal=principal, address=address_of(call.request), target=principal.user)

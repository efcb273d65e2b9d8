"""The tokens of machines: made, shown, ended, by who may administer, within the own scope."""

from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.responses import Response

from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.gateways.http.requests import address_of, json_response, parse
from fire22.gateways.http.route import Call
from fire22.gateways.service import Service
from fire22.security.machines import MACHINES_MAX, PURPOSE_MAX, Machine

BODY_BYTES_MAX: Final = 4096
HOURS_MAX: Final = 87_600


class NewToken(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a machine is to get a token for.

    Args:
        name: of the machine; 1 to 64 of a-z, 0-9, `.`, `_`, `-`.
        hours: until the token ends.
    """

    name: Annotated[str, Meta(max_length=64)]
    purpose: Annotated[str, Meta(min_length=1, max_length=PURPOSE_MAX)]
    role: Annotated[str, Meta(max_length=64)]
    scope: Annotated[str, Meta(max_length=1024)]
    hours: Annotated[float, Meta(gt=0, le=HOURS_MAX)]


class Shown(Struct, omit_defaults=True, rename="camel"):
    """A machine, without its token; with it once, in the answer that makes it."""

    name: str
    purpose: str
    role: str
    scope: str
    created_at: str
    created_by: str
    expires_at: str
    used_at: str | None = None
    token: str = ""


class MachineTokens(Struct):
    """A page of machines."""

    tokens: Annotated[list[Shown], Meta(max_length=MACHINES_MAX)]


class MachineRoutes:
    """Its handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def all(self, call: Call) -> Response:
        """The machines within the own scope."""
        found = self._service.machines.all(call.principal.scope)
        return json_response(MachineTokens([_shown(machine) for machine in found]))

    async def create(self, call: Call) -> Response:
        """A new machine and its token, which is shown this once."""
        service, principal = self._service, call.principal
        asked = parse(call.body, NewToken)
        service.access.check_gives(principal, asked.role, asked.scope)
        machine, token = await service.machines.create(
            asked.name,
            purpose=asked.purpose,
            role=asked.role,
            scope=asked.scope,
            expires_ms=service.now_ms() + int(asked.hours * 3_600_000),
            created_by=principal.user,
            within=principal.scope,
        )
        after: dict[str, Json] = {
            "role": machine.role,
            "scope": machine.scope,
            "expiresAt": to_text(machine.expires_ms),
        }
        service.audit.note(
            "machine.created", principal=principal, address=address_of(call.request), target=machine.name, after=after
        )
        shown = _shown(machine)
        shown.token = token
        return json_response(shown, status=201, headers={"cache-control": "no-store"})

    async def revoke(self, call: Call) -> Response:
        """End a machine's token at once."""
        service, principal = self._service, call.principal
        name = call.request.path_params["name"]
        found = service.machines.find(name, principal.scope)
        if found.role in service.access.roles:  # one of a removed role can do nothing, and must be endable
            service.access.check_gives(principal, found.role, found.scope)
        machine = await service.machines.revoke(name, principal.scope)
        before: dict[str, Json] = {"role": machine.role, "scope": machine.scope}
        service.audit.note(
            "machine.revoked", principal=principal, address=address_of(call.request), target=machine.name, before=before
        )
        return Response(status_code=204)


def _shown(machine: Machine) -> Shown:
    return Shown(
        name=machine.name,
        purpose=machine.purpose,
        role=machine.role,
        scope=machine.scope,
        created_at=to_text(machine.created_ms),
        created_by=machine.created_by,
        expires_at=to_text(machine.expires_ms),
        used_at=to_text(machine.used_ms) if machine.used_ms else None,
    )

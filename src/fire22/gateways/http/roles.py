"""The table of roles over HTTP, for who administers."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

from fire22.core.message import Json
from fire22.core.role import Role
from fire22.gateways.http.requests import JSON, parse
from fire22.gateways.http.route import Call
from fire22.gateways.service import Service

BYTES_MAX: Final = 64 << 10


class Table(Struct):
    """Every role by its name.

    Args:
        topics: that a role can be given.
        commands: likewise, each with whether a role can grant it to users with its flag alone.
    """

    roles: Mapping[str, Role]
    topics: tuple[str, ...]
    commands: Mapping[str, bool]


class Roles:
    """Its handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._permissions = service.permissions

    async def all(self, call: Call) -> Response:
        """Every role."""
        return _response(Table(self._permissions.all(), self._permissions.topics, self._permissions.commands))

    async def one(self, call: Call) -> Response:
        """One role."""
        return _response(self._permissions.get(call.request.path_params["name"]))

    async def put(self, call: Call) -> Response:
        """Change a role, or add one; answered once that is durable."""
        name = call.request.path_params["name"]
        service, principal, target = self._service, call.principal, f"role:{name}"
        before, role = await self._permissions.put(principal, name, parse(call.body, Role))
        was = None if before is None else _plain(before)
        service.audit.note("role.changed", principal=principal, target=target, before=was, after=_plain(role))
        return _response(role, status=201 if before is None else 200)


def _plain(role: Role) -> dict[str, Json]:
    found: dict[str, Json] = msgspec.to_builtins(role, order="sorted")
    return found


def _response(value: Struct, *, status: int = 200) -> Response:
    """Sets in order, so that the same table is the same text."""
    return Response(msgspec.json.encode(value, order="sorted"), status, media_type=JSON)

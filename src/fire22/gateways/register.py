"""The register of a server's open connections, of every transport: who is taken, who is looked after, how it ends."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from fire22.core import codes
from fire22.core.errors import AuthError, RequestError
from fire22.gateways.commands import Commands
from fire22.gateways.deadlines import Deadlines
from fire22.gateways.outboxes import Outboxes
from fire22.gateways.quota import Quota
from fire22.gateways.rights import Rights
from fire22.gateways.service import Service
from fire22.observability.sample import Sample, shed
from fire22.security.principal import Principal

if TYPE_CHECKING:
    from fire22.gateways.connection import Connection

Kind = TypeVar("Kind", bound="Connection")
SLICE_S: Final = 0.002  # a sweep holds the loop no longer than this and one connection more


class Connections:
    """What the connections of one server share, of every transport, and the register of those that are open."""

    def __init__(self, service: Service, tasks: asyncio.TaskGroup) -> None:
        self.service = service
        self.tasks = tasks
        self.commands = Commands(service, tasks)
        self.open: dict[Connection, None] = {}
        self.count: dict[str, int] = {}  # of those, by transport
        self.shed = 0  # connections refused because of load
        self.accepted = 0  # since the start
        self.unauthenticated: Deadlines[Connection] = Deadlines(service.limits.auth_timeout_s)
        self.rights = Rights(service.revocation, service.tokens.ring, self.open, service.now_ms)
        service.permissions.listen(self.role_changed)
        self.addresses = Quota(service.limits.connections_address_max)
        self.outboxes: Outboxes[Connection] = Outboxes(service.limits.outboxes_bytes_max)
        self.loop = asyncio.get_running_loop()

    def bind(self, transport: type[Kind]) -> type[Kind]:
        """The class of a transport's connections to this server."""
        self.count.setdefault(transport.transport, 0)
        return type(f"Bound{transport.__name__}", (transport,), {"shared": self, "__slots__": ()})

    def samples(self) -> Iterator[Sample]:
        """What is measured of the connections."""
        for transport, count in self.count.items():
            yield Sample("fire22_connections", "Open connections.", count, {"transport": transport})
        yield shed(self.shed, "connections")
        yield Sample("fire22_outboxes_bytes", "Unsent bytes of who reads slowly.", self.outboxes.size_bytes)

    def sessions(self) -> set[str]:
        """The ids of the sessions by which connections are open."""
        return {each.principal.session for each in self.open if each.principal is not None}

    # Who is taken.

    def refusal(self) -> RequestError | None:
        """Why nobody is taken now, whoever asks; None where somebody may be."""
        if self.service.draining:
            return RequestError(codes.RESTARTING, "The server shuts down.", retry_after_s=2)
        if self.service.hub.overloaded:
            self.shed += 1
            return RequestError(codes.OVERLOADED, "The server takes no new connections now.", retry_after_s=5)
        if len(self.open) >= self.service.limits.connections_max:
            return RequestError(codes.CONNECTIONS_EXCEEDED, "The server is full.", retry_after_s=5)
        return None

    def excess(self, principal: Principal | None, address: str = "") -> RequestError | None:
        """Why this user, or this address, may have no connection more; None where it may."""
        if self.addresses.is_full(address):
            return _exceeded(f"This address holds {self.addresses.each_max} connections, and may hold no more.")
        each_max = self.service.limits.connections_user_max
        if principal is not None and 0 < each_max <= self.rights.held(principal.user):
            return _exceeded(f"This user holds {each_max} connections, and may hold no more.")
        return None

    # Who is looked after.

    def end_unauthenticated(self) -> None:
        """Close who has not said in time who it is. Called about every second."""
        for connection in self.unauthenticated.late(self.loop.time()):
            connection.fail(AuthError(codes.AUTH_REQUIRED, "No token came in time; send it with the auth command."))

    def role_changed(self, role: str) -> None:
        """Hold what connections of a role follow to what it may see now, in slices of the loop."""
        of_role = (each for each in tuple(self.open) if each.principal is not None and each.principal.role == role)
        self._hold(of_role)

    def _hold(self, connections: "Iterator[Connection]") -> None:
        until_s = self.loop.time() + SLICE_S
        for connection in connections:
            self.service.hub.between_flushes(connection.hold_to_rights)
            if self.loop.time() > until_s:
                self.loop.call_soon(self._hold, connections)
                return

    def hold(self, connection: "Connection", user: str) -> None:
        """A connection takes no more for now; too much of that together, and some end."""
        was_full = self.outboxes.is_full
        self.outboxes.add(connection, user)
        if self.outboxes.is_full and not was_full:
            self.loop.call_soon(self._relieve)  # it is within a write

    def _relieve(self) -> None:
        for connection in self.outboxes.excess():
            connection.shed()

    async def sweep(self) -> None:
        """Close who is gone, or has taken nothing for too long; once a heartbeat or more."""
        began_s = now_s = self.loop.time()
        for connection in list(self.open):
            connection.sweep(now_s)
            now_s = self.loop.time()
            if now_s - began_s > SLICE_S:
                await asyncio.sleep(0)
                began_s = now_s = self.loop.time()

    async def drain(self, drain_s: float) -> None:
        """Tell every connection to come back later, spread over `drain_s` seconds, and close them."""
        self.service.draining = True
        connections = list(self.open)
        slices = max(1, min(len(connections), round(drain_s * 20)))
        for number in range(slices):
            for connection in connections[number::slices]:
                connection.restart(retry_after_s=round(1 + drain_s * number / slices, 1))
            if number + 1 < slices:
                await asyncio.sleep(drain_s / slices)


def _exceeded(message: str) -> RequestError:
    return RequestError(codes.CONNECTIONS_EXCEEDED, message, retry_after_s=5)

"""Tokens for machines: each has a name, a purpose, a role, a scope and an end, and is shown once.

Such a token is not signed: it is 32 random bytes, of which the store keeps the SHA-256. So it outlives a change of the
server's key, and ends the moment its row is deleted, or all that its maker holds is ended. A machine may show a client
certificate in its place: the common name of its subject (CN) is the machine's name, and it is good as long as both are.
Its user is of the kind `machine` whatever the role: a machine that is called like an agent receives nothing of that
agent's.

Rows of the store: `machine/<name>`, a `Machine`; `machine_used/<name>`, the time of the last use in milliseconds,
written in batches.
"""

import asyncio
import contextlib
import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import AuthError, RequestError, StorageError
from fire22.core.scope import ROOT, covers, parse_scope
from fire22.observability.logging import get_logger
from fire22.security.client_certificate import ClientCertificate
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation
from fire22.store.base import ABSENT, CHANGES_MAX, Conflict, Delete, Put, Store

TOKEN: Final = "fire22_machine_"  # how each begins, so that one is recognised where it should not lie about
ROWS: Final = "machine/"
USED: Final = "machine_used/"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
PURPOSE_MAX: Final = 200
MACHINES_MAX: Final = 1_000
USED_S: Final = 10.0  # how often the times of last use are written


class Machine(Struct, frozen=True):
    """A machine's token, without the token.

    Args:
        digest: SHA-256 of the token, in hex.
        jti: tells it from others that had or will have the same name.
        created_by: the user who made it.
        used_ms: when it was last used; 0 is never.
    """

    name: str
    purpose: str
    role: str
    scope: str
    digest: str
    jti: str
    created_ms: int
    created_by: str
    expires_ms: int
    used_ms: int = 0


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Machine).decode


class Machines:
    """Makes, checks and ends the tokens of machines.

    Args:
        now_ms: the wall clock.
    """

    def __init__(self, store: Store, revocation: Revocation, *, now_ms: Callable[[], int]) -> None:
        self._store = store
        self.revocation = revocation
        self._now_ms = now_ms
        self._machines: dict[str, Machine] = {}
        self._by_digest: dict[str, Machine] = {}
        self._used: dict[str, int] = {}  # by name: the last use of each
        self._unwritten: set[str] = set()

    async def load(self) -> None:
        """Take what the store holds: at the start, and when another process has written to it.

        Raises:
            StorageError: the store cannot be read.
        """
        rows = await self._store.list(ROWS, limit=MACHINES_MAX)
        used = await self._store.list(USED, limit=MACHINES_MAX)
        self._machines = {machine.name: machine for machine in (_decode(row.value) for row in rows)}
        self._by_digest = {machine.digest: machine for machine in self._machines.values()}
        for row in used:
            name = row.key.removeprefix(USED)
            self._used[name] = max(int(row.value), self._used.get(name, 0))

    def all(self, scope: str) -> Sequence[Machine]:
        """The machines within a scope, by name."""
        found = sorted(self._machines.values(), key=lambda machine: machine.name)
        return [
            msgspec.structs.replace(machine, used_ms=self._used.get(machine.name, 0))
            for machine in found
            if covers(scope, machine.scope) and not self._is_over(machine)
        ]

    def verify(self, token: str) -> Principal:
        """Who a machine's token says is asking.

        Raises:
            AuthError: `token_invalid` or `token_expired`.
        """
        machine = self._by_digest.get(_digest(token))
        if machine is None:
            raise AuthError(codes.TOKEN_INVALID, "The token is not valid here, or was revoked.")
        return self._use(machine, machine.expires_ms)

    def recognise(self, shown: ClientCertificate) -> Principal:
        """Who shows a client certificate.

        Raises:
            AuthError: `token_invalid` or `token_expired`.
        """
        machine = self._machines.get(shown)
        if machine is None:
            raise AuthError(codes.TOKEN_INVALID, "The client certificate names no machine that is known here.")
        return self._use(machine, min(machine.expires_ms, shown.expires_ms))

    def _use(self, machine: Machine, expires_ms: int) -> Principal:
        now_ms = self._now_ms()
        if expires_ms <= now_ms:
            raise AuthError(codes.TOKEN_EXPIRED, "The token or the client certificate has expired; create a new one.")
        self._used[machine.name] = now_ms
        self._unwritten.add(machine.name)
        return self._principal(machine, expires_ms)

    def _principal(self, machine: Machine, expires_ms: int) -> Principal:
        return Principal(
            machine.name,
            machine.role,
            machine.scope,
            expires_ms,
            kind="machine",
            jti=machine.jti,
            issued_ms=machine.created_ms,
            made_by=machine.created_by,
        )

    def _is_over(self, machine: Machine) -> bool:
        """Whether a machine's token has ended with what its maker held."""
        return self.revocation.refuses(self._principal(machine, machine.expires_ms))

    async def create(
        self,
        name: str,
        *,
        purpose: str,
        role: str,
        scope: str,
        expires_ms: int,
        created_by: str,
        within: str = ROOT,
    ) -> tuple[Machine, str]:
        """A new machine, and its token, which nobody can be shown again. That the creator may give it was checked.

        Args:
            within: the creator's scope; the name of a machine outside of it stays taken when its token has expired.

        Raises:
            RequestError: `command_invalid`, or `name_taken`: a machine of this name has a token that is still good.
            StorageError: it could not be stored; there is none.
        """
        now_ms = self._now_ms()
        if NAME.fullmatch(name) is None:
            message = "A machine's name has 1 to 64 of a-z, 0-9, `.`, `_` and `-`, and begins with a letter or digit."
            raise RequestError(codes.COMMAND_INVALID, message)
        if not 0 < len(purpose.strip()) <= PURPOSE_MAX:
            raise RequestError(codes.COMMAND_INVALID, f"A purpose has 1 to {PURPOSE_MAX} characters.")
        if expires_ms <= now_ms:
            raise RequestError(codes.COMMAND_INVALID, "A token ends in the future.")
        before = self._machines.get(name)
        is_over = before is not None and (before.expires_ms <= now_ms or self._is_over(before))
        if before is not None and not (is_over and covers(within, before.scope)):
            raise RequestError(codes.NAME_TAKEN, f"There is a machine {name}; revoke its token first.")
        if before is None and len(self._machines) >= MACHINES_MAX:
            raise RequestError(codes.COMMAND_INVALID, f"There are {MACHINES_MAX} machines, and may be no more.")
        token = TOKEN + secrets.token_urlsafe(32)
        machine = Machine(
            name=name,
            purpose=purpose.strip(),
            role=role,
            scope=parse_scope(scope),
            digest=_digest(token),
            jti=f"machine:{secrets.token_hex(8)}",
            created_ms=now_ms,
            created_by=created_by,
            expires_ms=expires_ms,
        )
        row = await self._store.get(ROWS + name) if before is not None else None
        expected = ABSENT if row is None else row.version
        try:
            await self._store.write(Put(ROWS + name, _encode(machine), expected=expected), Delete(USED + name))
        except Conflict:
            raise RequestError(codes.NAME_TAKEN, f"There is a machine {name} by now.") from None
        if before is not None:
            self._by_digest.pop(before.digest, None)
        self._used.pop(name, None)
        self._machines[name] = self._by_digest[machine.digest] = machine
        return machine, token

    def find(self, name: str, scope: str) -> Machine:
        """The machine of a name.

        Raises:
            RequestError: `not_found`, there is none of this name within the scope.
        """
        machine = self._machines.get(name)
        if machine is None or not covers(scope, machine.scope) or self._is_over(machine):
            raise RequestError(codes.NOT_FOUND, f"There is no machine {name[:64]} within {scope}.")
        return machine

    async def revoke(self, name: str, scope: str) -> Machine:
        """End a machine's token, and every connection by it, at once.

        Args:
            scope: of who revokes.

        Raises:
            RequestError: `not_found`, there is none of this name within the scope.
            StorageError: it could not be stored; it has ended until the server stops.
        """
        machine = self.find(name, scope)
        del self._machines[name]
        self._by_digest.pop(machine.digest, None)
        self._used.pop(name, None)
        self._unwritten.discard(name)
        await self.revocation.end_token(machine.jti, until_ms=machine.expires_ms)
        await self._store.write(Delete(ROWS + name), Delete(USED + name))
        return machine

    async def run(self) -> None:
        """Write the times of last use, and forget the machines of makers who are gone, without end."""
        while True:
            await asyncio.sleep(USED_S)
            try:
                await self.write_used()
                await self.forget_ended()
            except StorageError as error:
                if not error.temporary:
                    raise
                get_logger().warning("what became of machines is not stored", code=error.code.name)

    async def forget_ended(self) -> None:
        """Delete the machines whose tokens have ended with what their makers held.

        Raises:
            StorageError: they could not be; they are refused all the same.
        """
        for machine in [each for each in self._machines.values() if self._is_over(each)]:
            row = await self._store.get(ROWS + machine.name)
            if row is not None and _decode(row.value).jti == machine.jti:
                with contextlib.suppress(Conflict):
                    await self._store.write(Delete(row.key, expected=row.version), Delete(USED + machine.name))
            if self._machines.get(machine.name) is machine:
                get_logger().warning("a machine ended with what its maker held", machine=machine.name)
                del self._machines[machine.name]
                self._by_digest.pop(machine.digest, None)
                self._used.pop(machine.name, None)
                self._unwritten.discard(machine.name)

    async def write_used(self) -> None:
        """Write the times of last use that are not stored yet.

        Raises:
            StorageError: they could not be; they are kept for the next time.
        """
        while self._unwritten:
            names = sorted(self._unwritten)[:CHANGES_MAX]
            self._unwritten.difference_update(names)
            puts = [Put(USED + name, str(self._used[name]).encode()) for name in names if name in self._machines]
            try:
                if puts:
                    await self._store.write(*puts)
            except StorageError:
                self._unwritten.update(names)
                raise


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()

"""Sessions: browsers that are signed in.

The cookie holds 32 random bytes and the store their SHA-256, which is also the session's id and no secret. Each sign-in
makes a new one. Memory answers; the store keeps. A session is written when it begins and deleted when it ends; when it
was used last is written every `WRITE_S` seconds, many in one write.

A session ends by itself after `idle_s` without use (a request, or a connection that is open) and `absolute_s` after it
began, whatever its use. Who ends it earlier ends its connections in the same turn of the loop (`revocation.py`), and
those that another process has deleted from the store end when that is noticed.

Rows of the store: `session/<id>`, a `Session`.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import AuthError, StorageError
from fire22.core.role import Kind
from fire22.observability.logging import get_logger
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation
from fire22.security.users import Users
from fire22.store.base import CHANGES_MAX, Delete, Put, Store

PREFIX: Final = "session/"
PAGE: Final = 500
SECRET_BYTES: Final = 32
WRITE_S: Final = 30.0
AGENT_MAX: Final = 200  # characters that are kept of a browser's name for itself


How = Literal["password", "link", "provider", ""]


class SessionSecret(str):
    """What a session cookie holds. It is no token, and no token is one."""

    __slots__ = ()


class Provided(Struct, frozen=True, omit_defaults=True):
    """Whom a provider has signed in; see OpenID Connect Core 1.0, section 2.

    Args:
        issuer: the provider.
        sub: the user's id there; in a logout token it may be empty, which is any.
        sid: of the session there; empty where the provider names none.
    """

    issuer: str
    sub: str
    sid: str = ""

    def names(self, other: "Provided | None") -> bool:
        """Whether what a logout token says is of this sign-in; without a session's id it is of every one of a user."""
        return (
            other is not None
            and self.issuer == other.issuer
            and (not self.sub or self.sub == other.sub)
            and (self.sid == other.sid or not self.sid or bool(self.sub and not other.sid))
        )


class Session(Struct, frozen=True, omit_defaults=True):
    """A row of the store.

    Args:
        named: whether it is of a user in the store, whose role and scope count as they are now; those here are of who
            came by a one-time link otherwise.
        ends_ms: when it ends whatever its use.
        used_ms: when it was used last.
        agent: how the browser calls itself.
        address: that it was used from last.
        how: its user signed in; empty in rows of earlier versions.
        provided: whom the provider has signed in, where one has.
    """

    subject: str
    role: str
    scope: str
    created_ms: int
    ends_ms: int
    used_ms: int
    named: bool = False
    may: tuple[str, ...] = ()
    client: str = ""
    agent: str = ""
    address: str = ""
    how: How = ""
    provided: Provided | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Session).decode


class Sessions:
    """All sessions.

    Args:
        held: the ids of the sessions that have a connection open.
    """

    def __init__(
        self,
        store: Store,
        users: Users,
        revocation: Revocation,
        *,
        kind_of: Callable[[str], Kind],
        idle_s: float,
        absolute_s: float,
        now_ms: Callable[[], int],
        held: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._store = store
        self._users = users
        self._revocation = revocation
        self._kind_of = kind_of
        self._idle_ms = int(idle_s * 1000)
        self._absolute_ms = int(absolute_s * 1000)
        self._now_ms = now_ms
        self._sessions: dict[str, Session] = {}
        self._used: set[str] = set()  # since they were written
        self.held = held

    async def load(self) -> None:
        """Take what the store holds: at the start, and when another process has written to it.

        Raises:
            StorageError: the store cannot be read.
        """
        before = set(self._sessions)
        found: dict[str, Session] = {}
        after = ""
        while rows := await self._store.list(PREFIX, after=after, limit=PAGE):
            after = rows[-1].key
            found |= {row.key.removeprefix(PREFIX): _decode(row.value) for row in rows}
        for id in before - found.keys():
            await self.end(id)
        for id, session in found.items():
            if id not in before and id not in self._sessions and not self._revocation.refuses(_shown(id, session)):
                self._sessions[id] = session

    async def open(
        self,
        principal: Principal,
        *,
        named: bool,
        agent: str = "",
        address: str = "",
        provided: Provided | None = None,
    ) -> SessionSecret:
        """Begin a session; what its cookie holds."""
        now_ms = self._now_ms()
        secret = SessionSecret(secrets.token_urlsafe(SECRET_BYTES))
        session = Session(
            principal.subject,
            principal.role,
            principal.scope,
            now_ms,
            now_ms + self._absolute_ms,
            now_ms,
            named,
            principal.may,
            principal.client,
            agent[:AGENT_MAX],
            address,
            "provider" if provided is not None else "password" if named else "link",
            provided,
        )
        await self._store.write(Put(PREFIX + id_of(secret), _encode(session), self._until_ms(session)))
        self._sessions[id_of(secret)] = session
        return secret

    def principal(self, secret: SessionSecret) -> Principal:
        """Who a session cookie says is asking.

        Raises:
            AuthError: `token_invalid`, `token_expired` or `token_revoked`.
        """
        id = id_of(secret)
        session = self._sessions.get(id)
        if session is None:
            raise AuthError(codes.TOKEN_INVALID, "There is no such session; sign in.")
        if self._until_ms(session) <= self._now_ms():
            raise AuthError(codes.TOKEN_EXPIRED, "The session has ended; sign in again.")
        if session.named:
            user = self._users.get(session.subject)
            if user is None or user.disabled:
                raise AuthError(codes.TOKEN_REVOKED, "The session was ended; sign in again.")
        self._touch(id, session)
        return self._whose(id, session)

    def is_named(self, id: str) -> bool:
        """Whether a session is of a user in the store, who has signed in by password."""
        session = self._sessions.get(id)
        return session is not None and session.named

    def _whose(self, id: str, session: Session) -> Principal:
        user = self._users.get(session.subject) if session.named else None
        role, scope, may = (user or session).role, (user or session).scope, (user or session).may
        return Principal(
            session.subject,
            role,
            scope,
            session.ends_ms,
            None,
            session.client,
            may,
            self._kind_of(role),
            session=id,
            issued_ms=session.created_ms,
        )

    def of(self, user: str) -> Sequence[tuple[str, Session]]:
        """The sessions of a user (`agent:M1`) with their ids, the latest used first."""
        now_ms = self._now_ms()
        own = [
            (id, session)
            for id, session in self._sessions.items()
            if f"{self._kind_of(session.role)}:{session.subject}" == user and self._until_ms(session) > now_ms
        ]
        return sorted(own, key=lambda each: -each[1].used_ms)

    def all(self) -> Sequence[tuple[str, Principal, Session]]:
        """All sessions with their ids and whose they are, the latest used first."""
        now_ms = self._now_ms()
        found = [
            (id, self._whose(id, session), session)
            for id, session in self._sessions.items()
            if self._until_ms(session) > now_ms
        ]
        return sorted(found, key=lambda each: -each[2].used_ms)

    def of_provider(self, said: Provided) -> Sequence[str]:
        """The ids of the sessions that a provider's logout token names."""
        return [id for id, session in self._sessions.items() if said.names(session.provided)]

    def shown(self, id: str) -> Principal:
        """Whose a session is, for the audit trail."""
        return self._whose(id, self._sessions[id])

    async def end(self, id: str) -> None:
        """End a session, here and on every connection; none, where there is none."""
        session = self._sessions.pop(id, None)
        self._used.discard(id)
        if session is not None:
            await self._revocation.end_session(id, until_ms=session.ends_ms)
            await self._store.write(Delete(PREFIX + id))

    async def end_all(self, user: str, *, but: str = "") -> None:
        """End the sessions of a user, except one."""
        for id, _ in self.of(user):
            if id != but:
                await self.end(id)

    async def run(self) -> None:
        """Write when sessions were used, and forget those that have ended."""
        while True:
            await asyncio.sleep(WRITE_S)
            try:
                await self.write()
            except StorageError as error:
                get_logger().warning("sessions not written", code=error.code.name)

    async def write(self) -> None:
        """Write when sessions were used, and forget those that have ended.

        Raises:
            StorageError: it is tried again at the next time.
        """
        now_ms = self._now_ms()
        for id in set(self.held()) & self._sessions.keys():
            self._touch(id, self._sessions[id])
        for id in [id for id, session in self._sessions.items() if self._until_ms(session) <= now_ms]:
            await self.end(id)
        used = sorted(self._used)
        for start in range(0, len(used), CHANGES_MAX):
            some = [(id, self._sessions[id]) for id in used[start : start + CHANGES_MAX] if id in self._sessions]
            if some:
                await self._store.write(*(Put(PREFIX + id, _encode(each), self._until_ms(each)) for id, each in some))
            self._used.difference_update(id for id, _ in some)
        while await self._store.expire():
            pass

    def _touch(self, id: str, session: Session) -> None:
        now_ms = self._now_ms()
        if now_ms - session.used_ms >= 1000:
            self._sessions[id] = msgspec.structs.replace(session, used_ms=now_ms)
            self._used.add(id)

    def _until_ms(self, session: Session) -> int:
        """When it ends by itself, as it is now."""
        return min(session.ends_ms, session.used_ms + self._idle_ms)


def _shown(id: str, session: Session) -> Principal:
    return Principal(session.subject, session.role, session.scope, 0, session=id, issued_ms=session.created_ms)


async def forget_all(store: Store) -> None:
    """Delete every session of a store that no server uses: what was ended since a backup does not come back with it.

    Raises:
        StorageError: the store cannot be written.
    """
    while rows := await store.list(PREFIX, limit=CHANGES_MAX):
        await store.write(*(Delete(row.key) for row in rows))


def id_of(secret: str) -> str:
    """The id of a session: it tells nothing of what the cookie holds."""
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_of(secret: SessionSecret) -> str:
    """What a page must say beside the session cookie to change something: only who can read the server's answers to the
    session knows it, and the session does not follow from it.
    """
    return hmac.digest(secret.encode(), b"csrf", "sha256").hex()

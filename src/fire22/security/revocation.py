"""Rights that end before their time: of a session, of a user, of one token, of everybody.

What is ended is written to the store, and kept in memory to answer from. Whoever holds something open on it is told in
the same turn of the loop (`listen`), before the write is durable.

A user, or everybody, is ended *as of now*, and with a user the machines that it has made: what was issued until then is
worth nothing, what is issued later is good.
Times of issue are compared in milliseconds, and an equal one is taken for older. A token that does not say when it was
issued is older than any.

Rows of the store, all below `revoked/`: `token/`, `session/` or `user/` and the SHA-256 of the id, or `all`; the value
is a `Revoked`. Those of tokens and sessions expire with what they revoke.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import AuthError, StorageError
from fire22.observability.logging import get_logger
from fire22.security.principal import Principal
from fire22.store.base import Put, Store

PREFIX: Final = "revoked/"
FORGET_S: Final = 60.0
PAGE: Final = 500  # rows that are read at once


class Revoked(Struct, frozen=True):
    """A row of the store.

    Args:
        kind: of what has ended.
        id: of the token, of the session, or the user (`agent:M1`); empty for all.
        before_ms: what was issued until then has ended.
        until_ms: when what has ended would have ended by itself; 0 is never.
    """

    kind: Literal["token", "session", "user", "all"]
    id: str
    before_ms: int
    until_ms: int = 0

    @property
    def key(self) -> str:
        """Of the row. An id may be longer than a key."""
        digest = hashlib.sha256(self.id.encode()).hexdigest()
        return f"{PREFIX}all" if self.kind == "all" else f"{PREFIX}{self.kind}/{digest}"


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Revoked).decode


class Revocation:
    """Answers whether somebody's rights have ended, and ends them.

    Args:
        store: keeps what has ended.
        now_ms: the wall clock.
    """

    def __init__(self, store: Store, *, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._tokens: dict[str, int] = {}  # id: until when it must be remembered
        self._sessions: dict[str, int] = {}
        self._users: dict[str, int] = {}  # user: what was issued until then has ended
        self._before_ms = -1
        self._listeners: list[Callable[[tuple[Revoked, ...]], None]] = []

    def listen(self, listener: Callable[[tuple[Revoked, ...]], None]) -> None:
        """Have somebody told what has just ended; `refuses` knows it by then."""
        self._listeners.append(listener)

    async def load(self) -> None:
        """Take what the store holds: at the start, and when another process has written to it.

        Raises:
            StorageError: the store cannot be read.
        """
        new: list[Revoked] = []
        after = ""
        while rows := await self._store.list(PREFIX, after=after, limit=PAGE):
            after = rows[-1].key
            new += [each for each in (_decode(row.value) for row in rows) if self._take(each)]
        self._tell(tuple(new))

    def refuses(self, principal: Principal) -> bool:
        """Whether a principal's rights have ended before their time."""
        issued_ms = principal.issued_ms
        return (
            issued_ms <= self._before_ms
            or principal.jti in self._tokens
            or principal.session in self._sessions
            or (
                bool(self._users)
                and issued_ms <= max(self._users.get(principal.user, -1), self._users.get(principal.made_by, -1))
            )
        )

    def check(self, principal: Principal) -> None:
        """Let pass whose rights have not ended.

        Raises:
            AuthError: `token_revoked`.
        """
        if self.refuses(principal):
            raise AuthError(codes.TOKEN_REVOKED, "The token or session was ended; sign in again.")

    # Each ends it at once, before the first wait, and is done when that is durable. If the store cannot be written they
    # raise StorageError, and it has ended until the server stops.

    async def end_session(self, id: str, *, until_ms: int = 0) -> None:
        """End a session, on every connection.

        Args:
            until_ms: when it would have ended by itself; 0 is never.
        """
        await self._end(Revoked("session", id, self._now_ms(), until_ms))

    async def end_user(self, user: str) -> None:
        """End all that a user (`agent:M1`) holds now: sessions, tokens, connections, and those of machines it made."""
        await self._end(Revoked("user", user, self._now_ms()))

    async def end_token(self, jti: str, *, until_ms: int = 0) -> None:
        """End one token.

        Args:
            until_ms: when it would have ended by itself; 0 is never.
        """
        await self._end(Revoked("token", jti, self._now_ms(), until_ms))

    async def end_before(self, before_ms: int) -> None:
        """End everything that was issued until then."""
        await self._end(Revoked("all", "", before_ms))

    async def run(self) -> None:
        """Let go of what would have ended by itself, in memory and in the store, without end."""
        while True:
            await asyncio.sleep(FORGET_S)
            self.forget_expired()
            try:
                while await self._store.expire():
                    pass
            except StorageError as error:
                if not error.temporary:
                    raise
                get_logger().warning("expired rows are not deleted", code=error.code.name)

    def forget_expired(self) -> None:
        """Let go of what would have ended by itself."""
        now_ms = self._now_ms()
        for ended in (self._tokens, self._sessions):
            for id in [id for id, until_ms in ended.items() if 0 < until_ms <= now_ms]:
                del ended[id]

    async def _end(self, revoked: Revoked) -> None:
        if revoked.kind in ("token", "session") and not revoked.id:
            raise AssertionError("the empty id is of everybody who has none")
        if self._take(revoked):
            self._tell((revoked,))
        await self._store.write(Put(revoked.key, _encode(revoked), revoked.until_ms))

    def _take(self, revoked: Revoked) -> bool:
        """Remember what has ended; whether that is new."""
        if revoked.kind == "all":
            is_new = revoked.before_ms > self._before_ms
            self._before_ms = max(self._before_ms, revoked.before_ms)
        elif revoked.kind == "user":
            is_new = revoked.before_ms > self._users.get(revoked.id, -1)
            self._users[revoked.id] = max(self._users.get(revoked.id, -1), revoked.before_ms)
        else:
            ended = self._tokens if revoked.kind == "token" else self._sessions
            is_new = revoked.id not in ended
            ended[revoked.id] = revoked.until_ms
        return is_new

    def _tell(self, new: tuple[Revoked, ...]) -> None:
        if new:
            for listener in self._listeners:
                listener(new)

"""Users: people who sign in with a name and a password.

Rows of the store: `user/<kind>:<name>`, a `User`; the kind is what the user's role says. A name belongs to one user,
whatever its kind. Memory answers; the store keeps, and may be written by the program's commands beside the server.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.role import Kind
from fire22.core.scope import parse_scope
from fire22.security.second_factor import Factor
from fire22.store.base import ABSENT, Conflict, Delete, Put, Store

PREFIX: Final = "user/"
PAGE: Final = 500
RESERVED: Final = frozenset({"cli", "local"})  # who the program's own commands and its one-time link act as
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


class User(Struct, frozen=True, omit_defaults=True):
    """A row of the store.

    Args:
        may: what is granted beyond the role.
        disabled: whether the user may not sign in.
        password: the hash of it, see `passwords.py`; empty where none was set, then none is right.
        created_ms: when the user was added.
        password_ms: when the password was set.
        factor: the second one.
        handled: which other users made this one, set its password or removed its second factor: the last time of each.
    """

    name: str
    role: str
    scope: str
    may: tuple[str, ...] = ()
    disabled: bool = False
    password: str = ""
    created_ms: int = 0
    password_ms: int = 0
    factor: Factor = Factor()
    handled: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"User({self.name!r}, {self.role!r}, {self.scope!r})"


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(User).decode


class Users:
    """All users.

    Args:
        kind_of: what the users are that hold a role.
    """

    def __init__(self, store: Store, *, kind_of: Callable[[str], Kind], now_ms: Callable[[], int]) -> None:
        self._store = store
        self._kind_of = kind_of
        self._now_ms = now_ms
        self._users: dict[str, tuple[User, str, int]] = {}  # name: the user, and the row's key and version

    async def load(self) -> None:
        """Take what the store holds: at the start, and when another process has written to it.

        Raises:
            StorageError: the store cannot be read.
        """
        users: dict[str, tuple[User, str, int]] = {}
        after = ""
        while rows := await self._store.list(PREFIX, after=after, limit=PAGE):
            after = rows[-1].key
            for row in rows:
                user = _decode(row.value)
                users[user.name] = (user, row.key, row.version)
        self._users = users

    def get(self, name: str) -> User | None:
        """The user of a name."""
        found = self._users.get(name)
        return None if found is None else found[0]

    def all(self) -> Sequence[User]:
        """All users, by name."""
        return [self._users[name][0] for name in sorted(self._users)]

    async def add(
        self, name: str, *, role: str, scope: str, may: tuple[str, ...] = (), password: str = "", by: str = ""
    ) -> User:
        """A new user.

        Args:
            password: its hash.
            by: the user (`staff:ann`) who adds it; empty for the program's own commands.

        Raises:
            RequestError: `user_invalid`, the name cannot be one, is reserved or taken; `scope_invalid`.
        """
        if not _NAME.fullmatch(name):
            message = (
                "A user's name has 1 to 64 of the characters A-Z, a-z, 0-9 and . _ @ + -, a letter or digit first."
            )
            raise RequestError(codes.USER_INVALID, message)
        if name.casefold() in RESERVED:
            raise RequestError(codes.USER_INVALID, f"{name} is what the program calls itself.")
        if name in self._users:
            raise _taken(name)
        now_ms = self._now_ms()
        password_ms = now_ms if password else 0
        user = User(
            name, role, parse_scope(scope), may, False, password, now_ms, password_ms, handled=_handled({}, by, now_ms)
        )
        key = f"{PREFIX}{self._kind_of(role)}:{name}"
        try:
            version = await self._store.write(Put(key, _encode(user), expected=ABSENT))
        except Conflict:
            raise _taken(name) from None
        self._users[name] = (user, key, version)
        return user

    async def set_password(self, name: str, password: str, *, instead_of: str | None = None, by: str = "") -> User:
        """Set the hash of a password.

        Args:
            instead_of: the hash that it must still be; None for whatever it is.
            by: the other user who sets it.

        Raises:
            RequestError: `user_unknown`, or `id_conflict` where another has changed the user meanwhile.
        """
        user = self.get(name)
        if instead_of is not None and user is not None and user.password != instead_of:
            raise _meanwhile()
        now_ms = self._now_ms()
        return await self._change(name, by=by, password=password, password_ms=now_ms)

    async def set_factor(self, name: str, factor: Factor, *, by: str = "") -> User:
        """Set, use or remove the second factor.

        Args:
            by: the other user who removes it.

        Raises:
            RequestError: see `set_password`.
        """
        return await self._change(name, by=by, factor=factor)

    async def set_disabled(self, name: str, disabled: bool) -> User:
        """Let a user sign in no more, or again.

        Raises:
            RequestError: see `set_password`.
        """
        return await self._change(name, disabled=disabled)

    async def set_rights(self, name: str, *, role: str, scope: str, may: tuple[str, ...], disabled: bool) -> User:
        """Give a user another role of the same kind, another scope or other grants, or let it sign in no more.

        Raises:
            RequestError: see `set_disabled`; `scope_invalid`; `user_invalid`, the role is one of another kind.
        """
        user = self.get(name)
        if user is not None and self._kind_of(role) != self._kind_of(user.role):
            message = (
                f"A user stays of its kind ({self._kind_of(user.role)}); add another one for the role {role[:64]}."
            )
            raise RequestError(codes.USER_INVALID, message)
        return await self._change(name, role=role, scope=parse_scope(scope), may=may, disabled=disabled)

    async def remove(self, name: str) -> User:
        """Remove a user; the name may be given to another one.

        Raises:
            RequestError: see `set_password`.
        """
        found = self._users.get(name)
        if found is None:
            raise _unknown(name)
        user, key, version = found
        try:
            await self._store.write(Delete(key, expected=version))
        except Conflict:
            await self.load()
            raise _meanwhile() from None
        self._users.pop(name, None)
        return user

    async def _change(self, name: str, *, by: str = "", **fields: object) -> User:
        found = self._users.get(name)
        if found is None:
            raise _unknown(name)
        user, key, version = found
        handled = _handled(user.handled, by, self._now_ms())
        changed = msgspec.structs.replace(user, handled=handled, **fields)
        try:
            written = await self._store.write(Put(key, _encode(changed), expected=version))
        except Conflict:
            await self.load()
            raise _meanwhile() from None
        self._users[name] = (changed, key, written)
        return changed


def _handled(before: dict[str, int], by: str, now_ms: int) -> dict[str, int]:
    return before | {by: now_ms} if by else before


def _unknown(name: str) -> RequestError:
    return RequestError(codes.USER_UNKNOWN, f"There is no user {name[:64]}.")


def _meanwhile() -> RequestError:
    return RequestError(codes.ID_CONFLICT, "Another has changed the user meanwhile; try again.")


def _taken(name: str) -> RequestError:
    return RequestError(codes.USER_INVALID, f"There is a user {name} already.")

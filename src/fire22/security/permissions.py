"""The table of roles, as an operator changes it.

The domain brings the roles that there are from the start. What is changed or added is kept in the store, below `role/`:
the role as JSON under its name. A change counts for every request from then on, and whoever listens ends what is open
and no longer allowed.

Nobody gives more than they have, nor changes a role that has more than their own. The role `admin` stays as it is, so
that somebody can always mend the rest. What a role's users are never changes: users are told apart by it.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Final

import msgspec

from fire22.core import codes
from fire22.core.errors import RequestError, SetupError
from fire22.core.role import Role, excess
from fire22.security.access import Access
from fire22.security.principal import Principal
from fire22.store.base import Item, Put, Store

PREFIX: Final = "role/"
FIXED: Final = "admin"
ROLES_MAX: Final = 200
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class Permissions:
    """Changes the roles that `Access` answers by.

    Args:
        store: keeps what was changed.
        topics: that can be followed, each with the fields that it can bring; none where those are not known.
        commands: that can be given, each with whether a role can grant it to users with its flag alone.
    """

    def __init__(
        self, store: Store, access: Access, *, topics: Mapping[str, Collection[str]], commands: Mapping[str, bool]
    ) -> None:
        self._store = store
        self._access = access
        self._topics = topics
        self._commands = commands
        self._changing = asyncio.Lock()
        self._listeners: list[Callable[[str], None]] = []

    def listen(self, listener: Callable[[str], None]) -> None:
        """Have somebody told the name of a role that has just changed."""
        self._listeners.append(listener)

    async def load(self) -> None:
        """Take what the store holds.

        A role that no longer fits this version (a topic or a command is gone) keeps what there is of it.

        Raises:
            StorageError: the store cannot be read.
            SetupError: `config_invalid`, a newer version has written a role in another way.
        """
        rows = await self._store.list(PREFIX, limit=ROLES_MAX)
        kept = {row.key.removeprefix(PREFIX): _kept(row) for row in rows}
        self._access.replace({**self._access.table, **kept})

    @property
    def topics(self) -> tuple[str, ...]:
        """That a role can be given."""
        return tuple(sorted(self._topics))

    @property
    def commands(self) -> Mapping[str, bool]:
        """That a role can be given, each with whether it can be for users with the command's flag alone."""
        return dict(self._commands)

    def all(self) -> dict[str, Role]:
        """Every role by its name."""
        return dict(self._access.table)

    def get(self, name: str) -> Role:
        """A role.

        Raises:
            RequestError: `role_unknown`.
        """
        role = self._access.table.get(name)
        if role is None:
            raise RequestError(codes.ROLE_UNKNOWN, f"There is no role {name[:64]}.")
        return role

    async def put(self, principal: Principal, name: str, role: Role) -> tuple[Role | None, Role]:
        """Change a role, or add one; done once it is durable.

        Returns:
            The role as it was, None where it is new, and as it is.

        Raises:
            RequestError: `forbidden`, `role_invalid` or `not_supported`.
            StorageError: the store cannot be written; nothing has changed.
        """
        async with self._changing:
            before = self._access.table.get(name)
            self._access.check_administer(principal)
            self._check(name, before, role)
            self._check_gives(principal, name, before, role)
            await self._store.write(Put(PREFIX + name, msgspec.json.encode(role, order="sorted")))
            self._access.replace({**self._access.table, name: role})
        for listener in self._listeners:
            listener(name)
        return before, role

    def _check_gives(self, principal: Principal, name: str, before: Role | None, role: Role) -> None:
        """Whether a principal may make this of it.

        Raises:
            RequestError: `forbidden`.
        """
        own = self._access.own(principal)
        if name == FIXED:
            raise RequestError(codes.FORBIDDEN, f"The role {FIXED} stays as it is; add another one.")
        for each, what in ((role, "gives"), (before, "has")):
            more = excess(own, each) if each is not None else ""
            if more:
                message = f"The role {name[:64]} {what} more than your own, {principal.role}: {more}."
                raise RequestError(codes.FORBIDDEN, message)

    def _check(self, name: str, before: Role | None, role: Role) -> None:
        """Whether it can be a role here.

        Raises:
            RequestError: `role_invalid`.
        """
        if not _NAME.fullmatch(name):
            raise _invalid("A role's name has 1 to 64 small letters, digits, - and _, and begins with a letter.")
        if before is None and len(self._access.table) >= ROLES_MAX:
            raise _invalid(f"There are {ROLES_MAX} roles already.")
        if before is not None and before.kind != role.kind:
            raise _invalid(f"The users of {name} are of the kind {before.kind}, and stay so.")
        for topic in sorted({*(role.topics or ()), *role.masks}):
            if topic not in self._topics:
                raise _invalid(f"There is no topic {topic[:64]}.")
        for topic, fields in sorted(role.masks.items()):
            for field in sorted(fields - set(self._topics[topic] or fields)):
                raise _invalid(f"{topic} has no field {field[:64]}{_near(field, self._topics[topic])}.")
        for command, grant in role.commands.items():
            if command not in self._commands:
                raise _invalid(f"There is no command {command[:64]}.")
            if grant.flagged and not self._commands[command]:
                raise _invalid(f"No token can list anything for {command}, so `flagged` would let nobody use it.")


def _near(field: str, fields: Collection[str]) -> str:
    near = get_close_matches(field[:64], fields, n=1)
    return f"; {near[0]} is one" if near else ""


def _kept(row: Item) -> Role:
    try:
        return msgspec.json.decode(row.value, type=Role)
    except msgspec.ValidationError as error:
        message = f"{row.key} in the store is none that this version reads: {error}."
        raise SetupError(codes.CONFIG_INVALID, message) from None


def _invalid(message: str) -> RequestError:
    return RequestError(codes.ROLE_INVALID, message)

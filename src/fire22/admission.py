"""Who may come in: all that knows who asks and what they may, opened, kept up to date and closed together."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any

from fire22.config import AuthConfig
from fire22.core.role import Role
from fire22.log.cipher import Cipher
from fire22.observability.logging import get_logger
from fire22.security.access import Access
from fire22.security.guesses import Guesses
from fire22.security.keychain import Keychain
from fire22.security.machines import Machines
from fire22.security.people import People
from fire22.security.permissions import Permissions
from fire22.security.revocation import Revocation
from fire22.security.tokens import SignInCodes
from fire22.store.sqlite import NAME, SqliteStore
from fire22.store.watch import Load, watch


class Admission:
    """Keys, people, machines, roles and revocations over one store.

    Args:
        folder: of the store.
        key_file: the server's own key.
        cipher: encrypts what the store holds.
        roles: the domain's own; `flags` are what a token may grant beyond them.
        topics: that a role can name.
        commands: that a role can name; see `Permissions`.
        now_ms: the wall clock.

    Raises:
        Fire22Error: a key cannot be used, or the store cannot be opened.
    """

    def __init__(
        self,
        config: AuthConfig,
        folder: Path,
        key_file: Path,
        loop: asyncio.AbstractEventLoop,
        *,
        cipher: Cipher,
        roles: Mapping[str, Role],
        flags: Mapping[str, str],
        topics: Mapping[str, Collection[str]],
        commands: Mapping[str, bool],
        now_ms: Callable[[], int],
    ) -> None:
        self._factor_roles = config.second_factor_roles
        self.access = Access(roles, flags)
        self.keychain = Keychain(config, key_file, kind_of=self.access.kind, now_ms=now_ms)
        self.links = SignInCodes()
        self.store = SqliteStore(folder / NAME, loop, now_ms=now_ms, cipher=cipher)
        self.revocation = Revocation(self.store, now_ms=now_ms)
        self.machines = Machines(self.store, self.revocation, now_ms=now_ms)
        self.people = People(
            self.store,
            self.revocation,
            kind_of=self.access.kind,
            idle_s=config.session_idle_hours * 3600,
            absolute_s=config.session_hours * 3600,
            now_ms=now_ms,
            factor_roles=config.second_factor_roles,
            guesses=Guesses(config.password_words, config.breached_passwords_file),
        )
        self.permissions = Permissions(self.store, self.access, topics=topics, commands=commands)
        self._loads: tuple[Load, ...] = (
            self.revocation.load,
            self.machines.load,
            self.permissions.load,
            self.people.load,
        )

    async def load(self) -> None:
        """Take what the store holds.

        Raises:
            StorageError: it cannot be read.
        """
        await self.people.prepare()
        for load in self._loads:
            await load()
        for role in set(self._factor_roles) - set(self.access.roles):
            get_logger().warning("there is no such role", setting="auth.second_factor_roles", role=role)

    def stages(self, *loads: Load) -> list[Coroutine[Any, Any, None]]:
        """What runs as long as the server does.

        Args:
            loads: who else takes what other processes write to the store.
        """
        return [
            self.keychain.run(),
            watch(self.store, (*self._loads, *loads)),
            self.machines.run(),
            self.revocation.run(),
            self.people.sessions.run(),
        ]

    def close(self) -> None:
        """Close the store, after every task has ended."""
        self.people.close()
        self.store.close()

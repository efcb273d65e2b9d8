"""All keys of a server as it is configured: put together once, and kept up to date while it runs."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.core.role import Kind
from fire22.security.jwks import Jwks
from fire22.security.key_files import LOOK_S, VARIABLE, KeyFiles, own_key
from fire22.security.ring import KeyRing
from fire22.security.tokens import Rules, Tokens

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class Settings(Protocol):
    """Where keys come from, and what their tokens must say; see the section `auth` of the configuration."""

    # Read only, so that a frozen struct has them.

    @property
    def keys_folder(self) -> str: ...

    @property
    def jwks_url(self) -> str: ...

    @property
    def jwks_refresh_s(self) -> float: ...

    @property
    def jwks_stale_s(self) -> float: ...

    @property
    def issuer(self) -> str: ...

    @property
    def audience(self) -> str: ...

    @property
    def leeway_s(self) -> float: ...

    @property
    def key_overlap_s(self) -> float: ...


class Keychain:
    """The keys and the tokens that are checked with them.

    Args:
        key_file: of the server's own key, where the environment has none.
        kind_of: what the users are that hold a role.
        now_ms: the wall clock.

    Raises:
        SetupError: `config_invalid`.
    """

    def __init__(
        self, settings: Settings, key_file: Path, *, kind_of: Callable[[str], Kind], now_ms: Callable[[], int]
    ) -> None:
        _check(settings)
        self._now_ms = now_ms
        self._ring = ring = KeyRing(own_key(key_file), overlap_ms=int(settings.key_overlap_s * 1000))
        is_given = bool(os.environ.get(VARIABLE))
        own = None if is_given else key_file
        folder = Path(settings.keys_folder) if settings.keys_folder else None
        self._files = KeyFiles(ring, own=own, folder=folder, now_ms=now_ms)
        self._files.load()
        self._jwks: Jwks | None = None
        if settings.jwks_url:
            self._jwks = Jwks(
                ring,
                settings.jwks_url,
                refresh_s=settings.jwks_refresh_s,
                stale_s=settings.jwks_stale_s,
                now_ms=now_ms,
            )
        rules = Rules(settings.issuer, settings.audience, int(settings.leeway_s * 1000))
        self.tokens = Tokens(ring, kind_of, rules=rules, issuer=self._jwks)

    async def run(self) -> None:
        """Keep the keys as their sources are, without end."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._files.watch())
            tasks.create_task(self._end_overlaps())
            if self._jwks is not None:
                tasks.create_task(self._jwks.run())

    async def _end_overlaps(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._ring.end_overlap(self._now_ms())


def _check(settings: Settings) -> None:
    """Whether tokens of others can be told to be of the right issuer and for this server (RFC 8725 section 3.8, 3.9).

    Raises:
        SetupError: `config_invalid`.
    """
    if not settings.jwks_url:
        return
    if not settings.issuer or not settings.audience:
        message = "auth.jwks_url needs auth.issuer and auth.audience: an issuer signs tokens for others as well."
        raise SetupError(codes.CONFIG_INVALID, message)
    try:
        url = urlsplit(settings.jwks_url)
    except ValueError:
        raise SetupError(codes.CONFIG_INVALID, "auth.jwks_url is no URL.") from None
    is_plain = url.scheme == "http" and url.hostname in _LOOPBACK
    if not is_plain and (url.scheme != "https" or not url.hostname):
        message = "auth.jwks_url begins with https://, or with http:// where the issuer is on this machine."
        raise SetupError(codes.CONFIG_INVALID, message)

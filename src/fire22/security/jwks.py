"""The keys of an issuer, from its JWKS address (RFC 7517): fetched in the background and when a token names another.

There is one fetch at a time, and for unknown names at most one in 30 seconds: whoever sends invented names causes no
more. The address is the configured one alone; it is never taken from a token, and no redirect is followed. When the
issuer cannot be reached its last keys stay good for `stale_s`, then none.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from fire22.observability.logging import get_logger
from fire22.security.fetching import FetchFailed, fetch
from fire22.security.keys import Key, KeyRefused, from_set
from fire22.security.ring import KeyRing

SOURCE: Final = "jwks"
UNKNOWN_S: Final = 30.0  # between two fetches for names that are not known
RETRY_S: Final = 10.0  # after one that has failed


class Jwks:
    """Keeps the keys of one issuer in a ring.

    Args:
        url: of the set of keys.
        refresh_s: how often it is fetched.
        stale_s: how long keys are good after the last fetch that succeeded.
        now_ms: the wall clock.
    """

    def __init__(self, ring: KeyRing, url: str, *, refresh_s: float, stale_s: float, now_ms: Callable[[], int]) -> None:
        self._ring = ring
        self.url = url
        self._refresh_s = refresh_s
        self._stale_s = stale_s
        self._now_ms = now_ms
        self._logger = get_logger()
        self._fetching: asyncio.Task[bool] | None = None
        self._asked_s = -UNKNOWN_S
        self._fetched_s = -1.0

    async def run(self) -> None:
        """Fetch again and again, without end."""
        loop = asyncio.get_running_loop()
        self._fetched_s = loop.time()
        while True:
            succeeded = await self.fetch()
            if not succeeded and loop.time() - self._fetched_s >= self._stale_s:
                self._ring.replace(SOURCE, [], self._now_ms())
            await asyncio.sleep(self._refresh_s if succeeded else min(RETRY_S, self._refresh_s))

    def may_ask(self) -> bool:
        """Whether a name that is not known may cause a fetch now, or one is under way already."""
        now_s = asyncio.get_running_loop().time()
        return self._fetching is not None or now_s - self._asked_s >= UNKNOWN_S

    async def ask(self) -> None:
        """Fetch because of a name that is not known, if that may be; done when there is nothing more to wait for."""
        if self.may_ask():
            if self._fetching is None:
                self._asked_s = asyncio.get_running_loop().time()
            await self.fetch()

    async def fetch(self) -> bool:
        """Fetch the keys, or wait for the fetch that is under way; whether it succeeded."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)

    def _fetched(self, _: object) -> None:
        self._fetching = None

    async def _fetch(self) -> bool:
        try:
            keys = self._usable(await fetch(self.url))
        except (FetchFailed, KeyRefused) as error:
            self._logger.warning("the issuer's keys cannot be fetched", reason=str(error))
            return False
        self._fetched_s = asyncio.get_running_loop().time()
        if self._ring.replace(SOURCE, keys, self._now_ms()):
            self._logger.info("the issuer's keys changed", kids=[key.kid for key in keys])
        return True

    def _usable(self, found: dict[str, object]) -> list[Key]:
        keys, refused = from_set(found, source=SOURCE)
        for reason in refused:
            self._logger.info("a key of the issuer is not used", reason=reason)
        if any(key.secret for key in keys):
            raise KeyRefused("it has secrets, which everybody could read")
        return keys

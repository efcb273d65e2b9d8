"""The second factors of users: set up, asked for at the sign-in, replaced and removed.

A secret counts from when a code of it has confirmed that the app has it. Until then the one before goes on.
"""

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from fire22.core import codes
from fire22.core.errors import AuthError, RequestError
from fire22.security.second_factor import Factor, accepted_step, digest_of, new_recovery_codes, new_secret
from fire22.security.throttle import Rate, Throttle
from fire22.security.users import User, Users

CODES: Final = Rate(5, 600_000)  # wrong codes; a guess is right by 3 in a million


class Factors:
    """Second factors.

    Args:
        roles: whose users must have one.
    """

    def __init__(self, users: Users, throttle: Throttle, *, roles: Collection[str], now_ms: Callable[[], int]) -> None:
        self._users = users
        self._throttle = throttle
        self._roles = frozenset(roles)
        self._now_ms = now_ms

    def is_required(self, role: str) -> bool:
        """Whether the users of a role must have one."""
        return role in self._roles

    async def check(self, user: User, code: str, device: str) -> User:
        """Ask a user whose password is right for the second factor, where there is one; the user afterwards.

        Args:
            code: that was sent; empty where none was.
            device: that the user has signed in from before; empty where it is none. Each has its own throttle.

        Raises:
            AuthError: `second_factor_required` or `second_factor_invalid`.
            RequestError: `rate_limited`.
        """
        if not user.factor.secret:
            return user
        if not code:
            message = "Send a code of the app, or a recovery code, as well."
            raise AuthError(codes.SECOND_FACTOR_REQUIRED, message)
        buckets = [(f"code {user.name} {device}", CODES)]
        self._throttle.take(buckets, now_ms=self._now_ms())
        changed = await self._write(user, user.factor.used(code, now_ms=self._now_ms()))
        self._throttle.give_back(buckets)
        return changed

    async def enrol(self, user: User) -> str:
        """A new secret, which counts once a code confirms it.

        Raises:
            RequestError: see `Users.set_factor`.
        """
        secret = new_secret()
        await self._users.set_factor(user.name, msgspec.structs.replace(user.factor, pending=secret))
        return secret

    async def confirm(self, user: User, code: str) -> list[str]:
        """Confirm the new secret by a code of it; the recovery codes, of which digests are kept.

        Raises:
            AuthError: `second_factor_invalid`, also where there is no new secret.
            RequestError: `rate_limited`.
        """
        buckets = [(f"confirm {user.name}", CODES)]
        self._throttle.take(buckets, now_ms=self._now_ms())
        pending, changed, recovery = user.factor.pending, None, new_recovery_codes()
        step = accepted_step(pending, code, after_step=0, now_ms=self._now_ms()) if pending else None
        if step is not None:
            changed = Factor(pending, step=step, recovery=_digests(recovery))
        await self._write(user, changed)
        self._throttle.give_back(buckets)
        return recovery

    async def renew(self, user: User) -> list[str]:
        """New recovery codes in place of those that are left.

        Raises:
            RequestError: `not_found`, there is no second factor; see `Users.set_factor`.
        """
        if not user.factor.secret:
            raise RequestError(codes.NOT_FOUND, "There is no second factor; set one up first.")
        recovery = new_recovery_codes()
        changed = msgspec.structs.replace(user.factor, recovery=_digests(recovery))
        await self._users.set_factor(user.name, changed)
        return recovery

    async def remove(self, user: User) -> None:
        """Sign in by the password alone from now on.

        Raises:
            RequestError: see `Users.set_factor`.
        """
        await self._users.set_factor(user.name, Factor())

    async def _write(self, user: User, factor: Factor | None) -> User:
        """Use a code up. Of two uses at the same time one finds that the user was changed meanwhile."""
        if factor is not None:
            try:
                return await self._users.set_factor(user.name, factor)
            except RequestError as error:
                if error.code is not codes.ID_CONFLICT:
                    raise
        message = "The code is wrong, was used before, or its time is over; wait for the next one."
        raise AuthError(codes.SECOND_FACTOR_INVALID, message)


def _digests(recovery: list[str]) -> tuple[str, ...]:
    return tuple(digest_of(code) for code in recovery)

"""Signs people in, by name and password or by a one-time link, whatever the transport."""

import secrets
from collections.abc import Callable, Collection
from typing import Final, cast

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import AuthError, RequestError
from fire22.core.role import Kind
from fire22.core.scope import ROOT
from fire22.security import passwords
from fire22.security.factors import Factors
from fire22.security.guesses import Guesses
from fire22.security.passwords import Passwords
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation
from fire22.security.second_factor import Factor
from fire22.security.sessions import Provided, Sessions, SessionSecret, id_of
from fire22.security.throttle import ADDRESS, USER, Devices, Throttle, prefix_of
from fire22.security.users import User, Users
from fire22.store.base import ABSENT, Conflict, Put, Store

DEVICE_KEY: Final = "key/device"  # the row of the key that signs device cookies
DEVICE_S: Final = 90 * 86_400


class Place(Struct, frozen=True):
    """Where somebody signs in from: the address, how the browser calls itself, and the device cookie it has."""

    address: str = ""
    agent: str = ""
    device: str = ""


class Entered(Struct, frozen=True):
    """Who has signed in: what the session cookie holds, and the device cookie; empty where there is none."""

    principal: Principal
    secret: SessionSecret
    device: str = ""

    def __repr__(self) -> str:
        return f"Entered({self.principal!r})"


class People:
    """Users and their sessions.

    Args:
        idle_s: after which a session ends without use.
        absolute_s: after which it ends whatever its use.
        factor_roles: whose users must have a second factor.
        guesses: what no new password may be.
    """

    def __init__(
        self,
        store: Store,
        revocation: Revocation,
        *,
        kind_of: Callable[[str], Kind],
        idle_s: float,
        absolute_s: float,
        now_ms: Callable[[], int],
        factor_roles: Collection[str] = (),
        guesses: Guesses | None = None,
    ) -> None:
        self._store = store
        self._revocation = revocation
        self._kind_of = kind_of
        self._now_ms = now_ms
        self._guesses = guesses or Guesses()
        self.users = Users(store, kind_of=kind_of, now_ms=now_ms)
        self.sessions = Sessions(
            store, self.users, revocation, kind_of=kind_of, idle_s=idle_s, absolute_s=absolute_s, now_ms=now_ms
        )
        self.passwords = Passwords()
        self._throttle = Throttle()
        self.factors = Factors(self.users, self._throttle, roles=factor_roles, now_ms=now_ms)
        self._devices = Devices(secrets.token_bytes(32))

    async def prepare(self) -> None:
        """Read at the start what the first change of a password would wait for."""
        await self.passwords.prepare(self._guesses)

    async def load(self) -> None:
        """Take what the store holds: at the start, and when another process has written to it.

        A user who was disabled, removed or given another password meanwhile has no session any more.

        Raises:
            StorageError: the store cannot be read.
        """
        before = {user.name: user for user in self.users.all()}
        await self.users.load()
        await self.sessions.load()
        for name, user in before.items():
            now = self.users.get(name)
            if now is None or now.disabled or now.password != user.password:
                await self.sessions.end_all(self.user(user))
            if now is None or (now.disabled and not user.disabled):
                await self._revocation.end_user(self.user(user))
        await self._load_key()

    async def _load_key(self) -> None:
        row = await self._store.get(DEVICE_KEY)
        if row is None:
            key = secrets.token_bytes(32)
            try:
                await self._store.write(Put(DEVICE_KEY, key, expected=ABSENT))
            except Conflict:
                return await self._load_key()
        else:
            key = row.value
        self._devices = Devices(key)
        return None

    async def enter(self, name: str, password: str, place: Place, otp: str = "") -> Entered:
        """Sign somebody in by name and password. An unknown name takes as long, and is answered, as a wrong password.

        Args:
            otp: a code of the second factor; it is looked at when the password is right.

        Raises:
            AuthError: `sign_in_failed`; `second_factor_required` or `second_factor_invalid`, the password is right.
            RequestError: `rate_limited`.
        """
        user = self.users.get(name)
        prefix = prefix_of(place.address)
        device = self._devices.device(place.device, name)
        buckets = [(f"device {name} {device}", USER)] if device else [(f"user {name}", USER), (f"at {prefix}", ADDRESS)]
        self._throttle.take(buckets, now_ms=self._now_ms())
        encoded = "" if user is None or user.disabled else user.password
        try:
            is_right = await self.passwords.check(encoded, password, prefix)
        except RequestError:
            self._throttle.give_back(buckets)
            raise
        now = self.users.get(name)
        # The user may have been changed while the password was checked.
        if not is_right or now is None or now.disabled or now.password != encoded:
            raise AuthError(codes.SIGN_IN_FAILED, "The name or the password is wrong.")
        try:
            now = await self.factors.check(now, otp, device)
        except AuthError as error:
            if error.code is codes.SECOND_FACTOR_REQUIRED:  # nothing was guessed
                self._throttle.give_back(buckets)
            raise
        self._throttle.give_back(buckets)
        secret = await self.sessions.open(
            Principal(name, now.role, now.scope, 0, None, "", now.may),
            named=True,
            agent=place.agent,
            address=place.address,
        )
        # The password may have been reset while the session was written, which ended those that there were.
        now = self.users.get(name)
        if now is None or now.disabled or now.password != encoded:
            await self.sessions.end(id_of(secret))
            raise AuthError(codes.SIGN_IN_FAILED, "The name or the password is wrong.")
        return Entered(self.sessions.principal(secret), secret, self._devices.sign(name))

    async def enter_as(self, principal: Principal, place: Place) -> Entered:
        """Sign in who has come by a one-time link."""
        secret = await self.sessions.open(principal, named=False, agent=place.agent, address=place.address)
        return Entered(self.sessions.principal(secret), secret)

    async def enter_from(self, principal: Principal, provided: Provided, place: Place) -> Entered:
        """Sign in whom another provider has signed in.

        Raises:
            AuthError: `provider_refused`, the name is of somebody who signs in by password, and whose rights these
                would be.
        """
        if self.users.get(principal.subject) is not None:
            message = "Somebody of this name signs in with a password; ask an administrator."
            raise AuthError(codes.PROVIDER_REFUSED, message)
        secret = await self.sessions.open(
            principal, named=False, agent=place.agent, address=place.address, provided=provided
        )
        return Entered(self.sessions.principal(secret), secret)

    async def end_from(self, provided: Provided) -> list[Principal]:
        """End the sessions of whom a provider has signed out, on every connection; whose they were."""
        ended: list[Principal] = []
        for id in self.sessions.of_provider(provided):
            ended.append(self.sessions.shown(id))
            await self.sessions.end(id)
        return ended

    async def change_password(self, principal: Principal, old: str, new: str, address: str) -> None:
        """Change the own password; all other sessions of the user end.

        Raises:
            AuthError: `sign_in_failed`, the old one is wrong; `token_revoked`, the session has ended meanwhile.
            RequestError: `user_unknown`, `password_weak` or `rate_limited`; `id_conflict`, another has set a password
                meanwhile.
            StorageError: the file of breached passwords cannot be read.
        """
        passwords.check_new(new, self._with_password(principal).name, self._guesses)
        user = await self._again(principal, old, address)
        hashed = await self.passwords.hash(new)
        self._revocation.check(principal)
        await self.users.set_password(user.name, hashed, instead_of=user.password)
        await self.sessions.end_all(principal.user, but=principal.session)

    async def enrol(self, principal: Principal, password: str, address: str) -> str:
        """Begin to set up the own second factor, or another one in its place: the secret for the app.

        Raises:
            AuthError: `sign_in_failed`, the password is wrong.
            RequestError: `user_unknown` or `rate_limited`.
        """
        return await self.factors.enrol(await self._again(principal, password, address))

    async def confirm(self, principal: Principal, code: str) -> list[str]:
        """Confirm the second factor that was begun, by a code of the app; the recovery codes. All other sessions of
        the user end.

        Raises:
            AuthError: `second_factor_invalid`.
            RequestError: `user_unknown` or `rate_limited`.
        """
        recovery = await self.factors.confirm(self._with_password(principal), code)
        await self.sessions.end_all(principal.user, but=principal.session)
        return recovery

    async def renew_recovery(self, principal: Principal, password: str, address: str) -> list[str]:
        """New recovery codes in place of those that are left.

        Raises:
            AuthError: `sign_in_failed`, the password is wrong.
            RequestError: `not_found`, there is no second factor; `user_unknown` or `rate_limited`.
        """
        return await self.factors.renew(await self._again(principal, password, address))

    async def remove_factor(self, principal: Principal, password: str, address: str) -> None:
        """Remove the own second factor. All other sessions of the user end; this one too where the role must have one.

        Raises:
            AuthError: `sign_in_failed`, the password is wrong.
            RequestError: `user_unknown` or `rate_limited`.
        """
        await self.factors.remove(await self._again(principal, password, address))
        kept = "" if self.factors.is_required(principal.role) else principal.session
        await self.sessions.end_all(principal.user, but=kept)

    async def reset_factor(self, name: str, *, by: str = "") -> None:
        """Remove a user's second factor, who has lost it; all sessions of the user end.

        Args:
            by: the other user who removes it.

        Raises:
            RequestError: see `Users.set_factor`.
        """
        user = await self.users.set_factor(name, Factor(), by=by)
        await self.sessions.end_all(self.user(user))

    def lacks_factor(self, principal: Principal) -> bool:
        """Whether somebody must set up a second factor before anything else: the role must have one, and who asks has
        signed in by a password alone.
        """
        if not self.factors.is_required(principal.role) or not self.sessions.is_named(principal.session):
            return False
        user = self.users.get(principal.subject)
        return user is None or not user.factor.secret

    def factor(self, principal: Principal) -> Factor:
        """The own second factor."""
        user = self._own(principal)
        return Factor() if user is None else user.factor

    async def _again(self, principal: Principal, password: str, address: str) -> User:
        """Ask for the own password once more.

        Raises:
            AuthError: `sign_in_failed`.
            RequestError: `user_unknown` or `rate_limited`.
        """
        user = self._with_password(principal)
        buckets = [(f"change {user.name}", USER)]
        self._throttle.take(buckets, now_ms=self._now_ms())
        is_right = await self.passwords.check(user.password, password, prefix_of(address))
        now = self._with_password(principal)
        if not is_right or now.password != user.password:
            raise AuthError(codes.SIGN_IN_FAILED, "The password is wrong.")
        self._throttle.give_back(buckets)
        return now

    def _with_password(self, principal: Principal) -> User:
        user = self._own(principal)
        if user is None:
            raise RequestError(codes.USER_UNKNOWN, "Only who has signed in by name and password has a password.")
        return user

    def has_password(self, principal: Principal) -> bool:
        """Whether somebody is a user who signs in by name and password."""
        return self._own(principal) is not None

    def _own(self, principal: Principal) -> User | None:
        user = self.users.get(principal.subject)
        return user if user is not None and self.user(user) == principal.user else None

    async def disable(self, name: str) -> None:
        """Let a user sign in no more; all that the user holds ends, on every connection.

        Raises:
            RequestError: `user_unknown`.
        """
        await self._end(await self.users.set_disabled(name, True))

    async def change(self, name: str, *, role: str, scope: str, may: tuple[str, ...], disabled: bool) -> User:
        """Give a user another role of the same kind, another scope or other grants, or disable it, in one write; where
        that is a change, all that the user holds ends.

        Raises:
            RequestError: see `Users.set_rights`.
        """
        before = self.users.get(name)
        changed = await self.users.set_rights(name, role=role, scope=scope, may=may, disabled=disabled)
        if before is None or _rights(before) != _rights(changed):
            await self._end(changed)
        return changed

    async def remove(self, name: str) -> User:
        """Remove a user; all that the user holds ends, on every connection.

        Raises:
            RequestError: see `Users.remove`.
        """
        removed = await self.users.remove(name)
        await self._end(removed)
        return removed

    async def _end(self, user: User) -> None:
        """End all that a user holds, on every connection."""
        await self._revocation.end_user(self.user(user))
        await self.sessions.end_all(self.user(user))

    def stands(self, user: str, since_ms: int) -> bool:
        """Whether a user (`agent:M1`) has kept all rights since a time: was not removed, disabled or given others."""
        kind, _, name = user.partition(":")
        row = self.users.get(name)
        if row is not None and row.disabled and self.user(row) == user:
            return False
        whose = Principal(name, "", ROOT, 0, kind=cast(Kind, kind), issued_ms=since_ms)
        return not self._revocation.refuses(whose)

    def may_be_one(self, one: str, other: str, since_ms: int) -> bool:
        """Whether one person may sign in as both users: since a time one has made the other, set its password or
        removed its second factor, or those of a user who did.
        """
        return self._has_handled(one, other, since_ms) or self._has_handled(other, one, since_ms)

    def _has_handled(self, one: str, other: str, since_ms: int) -> bool:
        wanted, seen, open_ = _name(one), {_name(other)}, [_name(other)]
        while open_:
            row = self.users.get(open_.pop())
            for by, at_ms in () if row is None else row.handled.items():
                name = _name(by)
                if at_ms >= since_ms and name.casefold() == wanted.casefold():
                    return True
                if at_ms >= since_ms and name not in seen:
                    seen.add(name)
                    open_.append(name)
        return False

    def close(self) -> None:
        """End the thread that checks passwords."""
        self.passwords.close()

    def user(self, user: User) -> str:
        """A user among all: `agent:M1`."""
        return f"{self._kind_of(user.role)}:{user.name}"


def _name(user: str) -> str:
    return user.partition(":")[2]


def _rights(user: User) -> tuple[str, str, tuple[str, ...], bool]:
    return user.role, user.scope, user.may, user.disabled

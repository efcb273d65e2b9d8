"""The users and the sessions within the own scope, for who may give rights to others."""

import secrets
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.scope import ROOT, covers, is_customer, name_of, parse_scope
from fire22.core.times import to_text
from fire22.gateways.http.requests import address_of, json_response, parse
from fire22.gateways.http.route import Call
from fire22.gateways.service import Service
from fire22.security.people import People
from fire22.security.principal import Principal
from fire22.security.users import User

BODY_BYTES_MAX: Final = 4096
PASSWORD_BYTES: Final = 15  # of chance in a first password: 20 characters
May = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=20)]  # what is granted beyond the role


class NewUser(Struct, forbid_unknown_fields=True):
    """Who is to sign in by name and password."""

    name: Annotated[str, Meta(max_length=64)]
    role: Annotated[str, Meta(max_length=64)]
    scope: Annotated[str, Meta(max_length=1024)]
    may: May = ()


class UserChange(Struct, forbid_unknown_fields=True):
    """What is to become of a user; what is left out stays."""

    role: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    scope: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET
    may: May | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class ShownUser(Struct, rename="camel", omit_defaults=True):
    """A user.

    Args:
        sessions: how many there are.
        manageable: whether the caller may change it.
        second_factor: whether the sign-in asks for one.
        password: the one that was just made, shown this once.
    """

    name: str
    kind: str
    role: str
    scope: str
    disabled: bool
    created_at: str
    sessions: int
    manageable: bool
    may: tuple[str, ...] = ()
    password_at: str | None = None
    second_factor: bool = False
    password: str = ""


class ShownUsers(Struct):
    """All users within the caller's scope, by name."""

    users: list[ShownUser]


class SignedIn(Struct, rename="camel"):
    """A session of somebody.

    Args:
        current: whether it is the one that asks.
        manageable: whether the caller may end it.
    """

    id: str
    user: str
    kind: str
    role: str
    scope: str
    current: bool
    manageable: bool
    created_at: str
    used_at: str
    ends_at: str
    agent: str
    address: str


class AllSignedIn(Struct):
    """The sessions within the caller's scope, the latest used first."""

    sessions: list[SignedIn]


class UserRoutes:
    """Its handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def all(self, call: Call) -> Response:
        """The users within the own scope."""
        users = self._people.users.all()
        shown = [self._shown(call.principal, user) for user in users if covers(call.principal.scope, user.scope)]
        return json_response(ShownUsers(shown), headers={"cache-control": "no-store"})

    async def add(self, call: Call) -> Response:
        """A new user with a first password, which is shown this once."""
        asked = parse(call.body, NewUser)
        self._check_gives(call.principal, asked.role, asked.scope, asked.may)
        self._check_name(call.principal, asked.name, asked.role, asked.scope, new=True)
        self._check_kind(asked.role, asked.scope)
        await self._check_place(call.principal, asked.scope)
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        hashed = await self._people.passwords.hash(password)
        self._check_gives(call.principal, asked.role, asked.scope, asked.may)  # it may have changed meanwhile
        user = await self._people.users.add(
            asked.name, role=asked.role, scope=asked.scope, may=asked.may, password=hashed, by=call.principal.user
        )
        self._note(call, "user.added", user.name, after=_rights(user))
        shown = self._shown(call.principal, user)
        shown.password = password
        return json_response(shown, status=201, headers={"cache-control": "no-store"})

    async def change(self, call: Call) -> Response:
        """Change a user's role or scope, or let the user sign in no more or again; what is open ends."""
        asked, user = parse(call.body, UserChange), self._managed(call)
        if asked.scope is not UNSET:
            await self._check_place(call.principal, asked.scope)
            user = self._managed(call)  # the user or the caller may have been changed meanwhile
        role = user.role if asked.role is UNSET else asked.role
        scope = user.scope if asked.scope is UNSET else asked.scope
        may = user.may if asked.may is UNSET else asked.may
        disabled = user.disabled if asked.disabled is UNSET else asked.disabled
        self._check_gives(call.principal, role, scope, may)
        self._check_name(call.principal, user.name, role, scope)
        if (role, scope) != (user.role, user.scope):
            self._check_kind(role, scope)
        changed = await self._people.change(user.name, role=role, scope=scope, may=may, disabled=disabled)
        self._note(call, "user.changed", user.name, before=_rights(user), after=_rights(changed))
        return json_response(self._shown(call.principal, changed), headers={"cache-control": "no-store"})

    async def reset_password(self, call: Call) -> Response:
        """Give a user a new first password, shown this once; all sessions of the user end."""
        user = self._managed(call)
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        hashed = await self._people.passwords.hash(password)
        user = self._managed(call)  # the user or the caller may have been changed meanwhile
        changed = await self._people.users.set_password(user.name, hashed, by=call.principal.user)
        await self._people.sessions.end_all(self._people.user(user))
        self._note(call, "user.password", user.name)
        shown = self._shown(call.principal, changed)
        shown.password = password
        return json_response(shown, headers={"cache-control": "no-store"})

    async def reset_factor(self, call: Call) -> Response:
        """Remove the second factor of a user who has lost it; all sessions of the user end."""
        user = self._managed(call)
        await self._people.reset_factor(user.name, by=call.principal.user)
        self._note(call, "user.second_factor_removed", user.name)
        return Response(status_code=204)

    async def remove(self, call: Call) -> Response:
        """Remove a user; all that the user holds ends."""
        user = self._managed(call)
        await self._people.remove(user.name)
        self._note(call, "user.removed", user.name, before=_rights(user))
        return Response(status_code=204)

    async def end_sessions(self, call: Call) -> Response:
        """End all sessions of a user."""
        user = self._managed(call)
        await self._people.sessions.end_all(self._people.user(user))
        self._note(call, "session.ended", self._people.user(user))
        return Response(status_code=204)

    async def signed_in(self, call: Call) -> Response:
        """The sessions within the own scope."""
        principal = call.principal
        rows = [
            SignedIn(
                id,
                whose.subject,
                whose.kind,
                whose.role,
                whose.scope,
                id == principal.session,
                self._may_give(principal, whose.role, whose.scope, whose.may),
                to_text(session.created_ms),
                to_text(session.used_ms),
                to_text(session.ends_ms),
                session.agent,
                session.address,
            )
            for id, whose, session in self._people.sessions.all()
            if covers(principal.scope, whose.scope)
        ]
        return json_response(AllSignedIn(rows), headers={"cache-control": "no-store"})

    async def end_one(self, call: Call) -> Response:
        """End a session within the own scope."""
        principal, wanted = call.principal, call.request.path_params["id"]
        for id, whose, _ in self._people.sessions.all():
            if id == wanted and covers(principal.scope, whose.scope):
                self._service.access.check_gives(principal, whose.role, whose.scope, whose.may)
                await self._people.sessions.end(id)
                self._note(call, "session.ended", id)
                return Response(status_code=204)
        raise RequestError(codes.NOT_FOUND, "There is no such session in your scope.")

    @property
    def _people(self) -> People:
        return self._service.people

    def _managed(self, call: Call) -> User:
        """The user of a path, whom the caller may change.

        Raises:
            RequestError: `user_unknown`, outside the caller's scope as if there were none; `forbidden`, the user may
                more than the caller, or is the caller.
        """
        name = call.request.path_params["name"]
        user = self._people.users.get(name)
        if user is None or not covers(call.principal.scope, user.scope):
            raise RequestError(codes.USER_UNKNOWN, f"There is no user {name[:64]}.")
        if self._people.user(user) == call.principal.user:
            raise RequestError(codes.FORBIDDEN, "Another person must do this to you.")
        self._service.check_current(call.principal)
        self._service.access.check_gives(call.principal, user.role, user.scope, user.may)
        self._check_name(call.principal, user.name, user.role, user.scope)
        return user

    def _check_name(self, principal: Principal, name: str, role: str, scope: str, *, new: bool = False) -> None:
        """Whether the caller may deal with a user of a name: who acts on a part of the tree must not become, or end,
        an agent or a customer elsewhere, or somebody of the house, by the name of a user.

        Raises:
            RequestError: `user_invalid`.
        """
        if principal.scope == ROOT:
            return
        kind, of = self._service.access.kind(role), name_of(scope)
        if kind == "staff":
            tail = f"@{name_of(principal.scope)}"
            if new and not name.endswith(tail):
                raise RequestError(codes.USER_INVALID, f"The name of a user added here ends in {tail}.")
        elif name != of or is_customer(scope) != (kind == "customer"):
            message = f"A user of the role {role[:64]} has the name and the scope of the {kind} in the tree."
            raise RequestError(codes.USER_INVALID, message)

    def _check_kind(self, role: str, scope: str) -> None:
        """An agent or a customer is a place of the tree; the whole book is the house's.

        Raises:
            RequestError: `user_invalid`.
        """
        kind = self._service.access.kind(role)
        if kind in ("agent", "customer") and parse_scope(scope) == ROOT:
            message = f"A user of the role {role[:64]} is the {kind} of a place in the tree: give it, as /M1/A2."
            raise RequestError(codes.USER_INVALID, message)

    async def _check_place(self, principal: Principal, scope: str) -> None:
        """Whether a scope that is given by who acts on a part of the tree is one that the book knows there.

        Raises:
            RequestError: `scope_invalid` or `scope_forbidden`.
        """
        parse_scope(scope)
        if principal.scope != ROOT and scope != principal.scope:
            kind = "customer" if is_customer(scope) else "agent"
            await self._service.check_place(principal.scope, f"{kind}:{name_of(scope)}")

    def _check_gives(self, principal: Principal, role: str, scope: str, may: tuple[str, ...]) -> None:
        self._service.check_current(principal)
        self._service.access.check_gives(principal, role, scope, may)
        if self._service.access.kind(role) == "machine":
            raise RequestError(codes.USER_INVALID, f"{role} is a role of machines: make a token for one.")

    def _may_manage(self, principal: Principal, user: User) -> bool:
        try:
            self._check_name(principal, user.name, user.role, user.scope)
        except RequestError:
            return False
        return self._may_give(principal, user.role, user.scope, user.may)

    def _may_give(self, principal: Principal, role: str, scope: str, may: tuple[str, ...]) -> bool:
        try:
            self._service.access.check_gives(principal, role, scope, may)
        except RequestError:
            return False
        return True

    def _shown(self, principal: Principal, user: User) -> ShownUser:
        whole = self._people.user(user)
        return ShownUser(
            name=user.name,
            kind=whole.partition(":")[0],
            role=user.role,
            scope=user.scope,
            disabled=user.disabled,
            created_at=to_text(user.created_ms),
            sessions=len(self._people.sessions.of(whole)),
            manageable=whole != principal.user and self._may_manage(principal, user),
            may=user.may,
            password_at=to_text(user.password_ms) if user.password_ms else None,
            second_factor=bool(user.factor.secret),
        )

    def _note(
        self,
        call: Call,
        action: str,
        target: str,
        *,
        before: dict[str, Json] | None = None,
        after: dict[str, Json] | None = None,
    ) -> None:
        self._service.audit.note(
            action,
            principal=call.principal,
            address=address_of(call.request),
            target=target,
            before=before,
            after=after,
        )


def _rights(user: User) -> dict[str, Json]:
    return {"role": user.role, "scope": user.scope, "may": list(user.may), "disabled": user.disabled}

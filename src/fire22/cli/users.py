"""The commands for people who sign in: `user add`, `set`, `passwd`, `disable`, `enable`, `remove`, `list`, and more."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from fire22 import app as application
from fire22.cli.noting import note
from fire22.cli.terminal import DataOption, make_folder, program, told
from fire22.core import codes
from fire22.core.errors import RequestError, SetupError
from fire22.core.message import Json
from fire22.core.role import Role
from fire22.core.scope import ROOT
from fire22.core.times import to_text
from fire22.log.cipher import read_cipher
from fire22.security.access import Access
from fire22.security.guesses import Guesses
from fire22.security.passwords import check_new
from fire22.security.people import People
from fire22.security.permissions import Permissions
from fire22.security.revocation import Revocation
from fire22.security.users import User
from fire22.sportsbook.domain import FLAGS, roles
from fire22.store.sqlite import NAME as STORE
from fire22.store.sqlite import SqliteStore

Answer = TypeVar("Answer")
NameArgument = Annotated[str, typer.Argument(help="The user's name.")]

group: Final = typer.Typer(help="Add, list and end the users who sign in by name and password.")
program.add_typer(group, name="user")


@group.command()
def add(
    name: NameArgument,
    data: DataOption,
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(roles(()))}.")],
    scope: Annotated[
        str | None, typer.Option(help="The sub-tree the user may see: /, /M1/A2; without it the whole book, for staff.")
    ] = None,
    may: Annotated[
        list[str] | None, typer.Option(help=f"Grant more than the role: {', '.join(FLAGS)}. Can be repeated.")
    ] = None,
) -> None:
    """Add a user; the password is asked for, or read as a line of standard input."""
    with told():
        _check_flags(may or ())
        password = _new_password(name)
        make_folder(data)

        async def act(people: People, known: Mapping[str, Role]) -> None:
            _check_role(role, known)
            _check_scope(role, scope, known)
            hashed = await people.passwords.hash(password)
            await people.users.add(name, role=role, scope=scope or ROOT, may=tuple(may or ()), password=hashed)

        _with_people(data, act)
        after: dict[str, Json] = {"role": role, "scope": scope or ROOT, "may": list(may or ())}
        _note(data, "user.added", name, after)


@group.command("set")
def set_rights(
    name: NameArgument,
    data: DataOption,
    role: Annotated[str | None, typer.Option(help="Another role, of the same kind.")] = None,
    scope: Annotated[str | None, typer.Option(help="Another sub-tree.")] = None,
    may: Annotated[
        list[str] | None, typer.Option(help="In place of what is granted beyond the role; none is left with ''.")
    ] = None,
) -> None:
    """Change a user's role, scope or grants; all that the user holds ends, on every connection."""
    with told():
        if role is None and scope is None and may is None:
            raise SetupError(codes.CONFIG_INVALID, "Nothing is changed: give --role, --scope or --may.")
        wanted = None if may is None else tuple(flag for flag in may if flag)
        _check_flags(wanted or ())

        async def act(people: People, known: Mapping[str, Role]) -> None:
            user = _known(people, name)
            _check_role(role or user.role, known)
            if scope is not None:
                _check_scope(role or user.role, scope, known)
            await people.change(
                name,
                role=role or user.role,
                scope=scope or user.scope,
                may=user.may if wanted is None else wanted,
                disabled=user.disabled,
            )

        _with_people(data, act)
        changed: dict[str, Json] = {"role": role, "scope": scope, "may": None if wanted is None else list(wanted)}
        _note(data, "user.changed", name, {key: value for key, value in changed.items() if value is not None})


@group.command()
def remove(name: NameArgument, data: DataOption) -> None:
    """Remove a user; all that the user holds ends, on every connection."""

    async def act(people: People, _: Mapping[str, Role]) -> None:
        await people.remove(name)

    with told():
        _with_people(data, act)
        _note(data, "user.removed", name)


@group.command()
def passwd(name: NameArgument, data: DataOption) -> None:
    """Set a user's password, asked for or read as a line of standard input; all sessions of the user end."""
    with told():
        password = _new_password(name)

        async def act(people: People, _: Mapping[str, Role]) -> None:
            _known(people, name)
            await people.users.set_password(name, await people.passwords.hash(password))
            await people.sessions.end_all(people.user(_known(people, name)))

        _with_people(data, act)
        _note(data, "user.password", name)


@group.command("totp-remove")
def totp_remove(name: NameArgument, data: DataOption) -> None:
    """Remove the second factor of a user who has lost it; all sessions of the user end."""

    async def act(people: People, _: Mapping[str, Role]) -> None:
        await people.reset_factor(_known(people, name).name)

    with told():
        _with_people(data, act)
        _note(data, "user.second_factor_removed", name)


@group.command()
def disable(name: NameArgument, data: DataOption) -> None:
    """Let a user sign in no more; all that the user holds ends, on every connection."""

    async def act(people: People, _: Mapping[str, Role]) -> None:
        await people.disable(_known(people, name).name)

    with told():
        _with_people(data, act)
        _note(data, "user.disabled", name)


@group.command()
def enable(name: NameArgument, data: DataOption) -> None:
    """Let a disabled user sign in again."""

    async def act(people: People, _: Mapping[str, Role]) -> None:
        await people.users.set_disabled(_known(people, name).name, False)

    with told():
        _with_people(data, act)
        _note(data, "user.enabled", name)


@group.command("list")
def list_users(data: DataOption) -> None:
    """List the users: name, role, scope, how many sessions each has, and whether it is disabled."""

    async def act(people: People, _: Mapping[str, Role]) -> list[tuple[User, int]]:
        return [(user, len(people.sessions.of(people.user(user)))) for user in people.users.all()]

    with told():
        for user, sessions in _with_people(data, act):
            print(user.name, user.role, user.scope, sessions, "disabled" if user.disabled else "", sep="\t")


@group.command()
def sessions(name: NameArgument, data: DataOption) -> None:
    """List a user's sessions: id, last use, end, address, browser."""

    async def act(people: People, _: Mapping[str, Role]) -> list[tuple[str, ...]]:
        found = people.sessions.of(people.user(_known(people, name)))
        return [(id, to_text(each.used_ms), to_text(each.ends_ms), each.address, each.agent) for id, each in found]

    with told():
        for row in _with_people(data, act):
            print(*row, sep="\t")


@group.command()
def end(
    name: NameArgument,
    data: DataOption,
    session: Annotated[str | None, typer.Option(help="The id of one session; without it all of them.")] = None,
) -> None:
    """End a user's sessions, or one of them, on every connection."""

    async def act(people: People, _: Mapping[str, Role]) -> None:
        user = people.user(_known(people, name))
        found = [id for id, _ in people.sessions.of(user) if session in (None, id)]
        if session is not None and not found:
            raise RequestError(codes.NOT_FOUND, f"The user {name} has no such session.")
        for id in found:
            await people.sessions.end(id)

    with told():
        _with_people(data, act)
        _note(data, "session.ended", name, {"session": session or "all"})


def _note(data: Path, action: str, name: str, after: dict[str, Json] | None = None) -> None:
    note(data, action, target=name, after=after)


def _new_password(name: str) -> str:
    """From a prompt, or a line of standard input: an argument would be seen by everybody on the machine."""
    if sys.stdin.isatty():
        password = getpass.getpass("New password: ")
        if getpass.getpass("Again: ") != password:
            raise SetupError(codes.CONFIG_INVALID, "The two are not the same.")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    auth = application.load(None).auth
    check_new(password, name, Guesses(auth.password_words, auth.breached_passwords_file))
    return password


def _known(people: People, name: str) -> User:
    user = people.users.get(name)
    if user is None:
        raise RequestError(codes.USER_UNKNOWN, f"There is no user {name}.")
    return user


def _check_role(role: str, known: Mapping[str, Role]) -> None:
    if role not in known or known[role].kind == "machine":
        of_people = ", ".join(name for name, each in known.items() if each.kind != "machine")
        raise SetupError(codes.CONFIG_INVALID, f"{role} is no role of people; there are: {of_people}.")


def _check_scope(role: str, scope: str | None, known: Mapping[str, Role]) -> None:
    """An agent or a customer is a place of the tree; the whole book is the house's."""
    kind = known[role].kind
    if kind in ("agent", "customer") and scope in (None, ROOT):
        message = f"A user of the role {role} is the {kind} of a place in the tree: give it, as --scope /M1/A2."
        raise SetupError(codes.CONFIG_INVALID, message)


def _check_flags(may: Iterable[str]) -> None:
    for flag in may:
        if flag not in FLAGS:
            raise SetupError(codes.CONFIG_INVALID, f"Nothing is called {flag}; there are: {', '.join(FLAGS)}.")


def _with_people(data: Path, act: Callable[[People, Mapping[str, Role]], Awaitable[Answer]]) -> Answer:
    """Do something with the store of a data folder, whether a server runs on it or not."""

    async def main() -> Answer:
        auth, now_ms = application.load(None).auth, application.now_ms
        access = Access(roles(()))
        cipher = read_cipher(application.load(None).encryption.key_file)
        store = SqliteStore(
            data / STORE,
            asyncio.get_running_loop(),
            now_ms=now_ms,
            cipher=cipher,
        )
        people = People(
            store,
            Revocation(store, now_ms=now_ms),
            kind_of=access.kind,
            idle_s=auth.session_idle_hours * 3600,
            absolute_s=auth.session_hours * 3600,
            now_ms=now_ms,
        )
        try:
            await Permissions(store, access, topics={}, commands={}).load()  # the roles as the operator has them
            await people.load()
            return await act(people, access.table)
        finally:
            people.close()
            store.close()

    return asyncio.run(main())

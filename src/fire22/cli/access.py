"""The commands for who follows a server: `token`, `tail`."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import typer

from fire22 import app as application
from fire22.cli.noting import note
from fire22.cli.terminal import DataOption, err, make_folder, program, run, told
from fire22.client import connect as connect_client
from fire22.client.connection import websocket_url
from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.core.message import Json, encode_json
from fire22.core.role import Kind
from fire22.core.scope import ROOT, is_customer, parse_scope
from fire22.core.times import to_text
from fire22.log.cipher import read_cipher
from fire22.log.database import connect as connect_file
from fire22.log.database import storage_errors
from fire22.observability.logging import configure as configure_logging
from fire22.security.key_files import own_key
from fire22.security.machines import Machine, Machines
from fire22.security.permissions import PREFIX as ROLES
from fire22.security.revocation import Revocation
from fire22.security.ring import KeyRing
from fire22.security.tokens import Rules, Tokens, check_client
from fire22.sportsbook.domain import FLAGS, roles
from fire22.store.sqlite import NAME as STORE
from fire22.store.sqlite import SqliteStore

Answer = TypeVar("Answer")

TOKEN_HOURS_MAX = 87_600
ATTEMPTS_MAX = 8  # about half a minute


tokens_group = typer.Typer(help="Print a token, or make, list and revoke those of machines.")
program.add_typer(tokens_group, name="token")


@tokens_group.callback(invoke_without_command=True)
def token(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Folder of the log, the feed and the token key.")] = None,
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(roles(()))}.")] = "admin",
    scope: Annotated[str, typer.Option(help="The sub-tree it may see: /, /M1/A2, /M1/A2/@C12.")] = "/",
    subject: Annotated[str, typer.Option(help="The user's id.")] = "cli",
    client: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Names the device or installation that messages can be addressed to."),
    ] = None,
    may: Annotated[
        list[str] | None, typer.Option(help=f"Grant the user more than the role: {', '.join(FLAGS)}. Can be repeated.")
    ] = None,
    hours: Annotated[float, typer.Option(help="Validity of the token in hours.")] = 24.0,
) -> None:
    """Print a token for the server that runs on a data folder; `create`, `list` and `revoke` are for machines."""
    if context.invoked_subcommand is not None:
        return
    with told():
        if data is None:
            raise SetupError(codes.CONFIG_INVALID, "Name the server's data folder with --data.")
        if role not in roles(()) and not _is_added(data / STORE, role):
            raise SetupError(codes.CONFIG_INVALID, f"There is no role {role}; there are: {', '.join(roles(()))}.")
        if not 0 < hours <= TOKEN_HOURS_MAX:
            message = f"--hours is more than 0 and at most {TOKEN_HOURS_MAX:,} (ten years), not {hours:g}."
            raise SetupError(codes.CONFIG_INVALID, message)
        for flag in may or ():
            if flag not in FLAGS:
                raise SetupError(codes.CONFIG_INVALID, f"Nothing is called {flag}; there are: {', '.join(FLAGS)}.")
        is_new = not data.exists()
        make_folder(data)
        tokens = tokens_of(data)
        signed = tokens.sign(
            subject=subject,
            role=role,
            scope=parse_scope(scope),
            ttl_s=int(hours * 3600),
            now_ms=application.now_ms(),
            client="" if client is None else check_client(client),
            may=tuple(may or ()),
        )
        granted: dict[str, Json] = {"role": role, "scope": scope, "hours": hours, "may": list(may or ())}
        note(data, "token.signed", target=subject, after=granted)
        print(signed)
        if is_new:
            err.print(
                f"There was no folder {data}; a server that is started on it will accept this token.",
                style="yellow",
                markup=False,
                highlight=False,
            )
        _warn_of_unknown(data / "flows.db", scope)


def _is_added(file: Path, role: str) -> bool:
    """Whether an operator has added a role."""
    if not file.is_file():
        return False
    with storage_errors(), contextlib.closing(connect_file(file)) as connection:
        return connection.execute("SELECT 1 FROM item WHERE key = ?", (f"{ROLES}{role}",)).get is not None


def _warn_of_unknown(file: Path, scope: str) -> None:
    """Say so where the book has told of no such agent or customer: a mistyped scope sees nothing at all."""
    if scope == ROOT or not file.is_file():
        return
    with storage_errors(), contextlib.closing(connect_file(file)) as connection:
        among = ("balances",) if is_customer(scope) else ("agents",)
        known = connection.execute("SELECT 1 FROM document WHERE topic = ? AND scope = ?", (*among, scope)).get
    if known is None:
        err.print(
            f"[yellow]The book has told of no {scope} yet; until it does, this token sees nothing.[/]", highlight=False
        )


@tokens_group.command()
def create(
    name: Annotated[str, typer.Argument(help="Of the machine: 1 to 64 of a-z, 0-9, `.`, `_` and `-`.")],
    data: DataOption,
    purpose: Annotated[str, typer.Option(help="What the machine does with it.")],
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(roles(()))}.")] = "service",
    scope: Annotated[str, typer.Option(help="The sub-tree it may act in: /, /M1/A2.")] = "/",
    days: Annotated[float, typer.Option(help="Validity of the token in days.")] = 90.0,
) -> None:
    """Make a token for a machine and print it, this once."""
    with told():
        if role not in roles(()) and not _is_added(data / STORE, role):
            raise SetupError(codes.CONFIG_INVALID, f"There is no role {role}; there are: {', '.join(roles(()))}.")
        if not 0 < days * 24 <= TOKEN_HOURS_MAX:
            raise SetupError(codes.CONFIG_INVALID, "--days is more than 0 and at most 3,650 (ten years).")
        make_folder(data)
        expires_ms = application.now_ms() + int(days * 86_400_000)

        async def act(machines: Machines) -> str:
            _, token = await machines.create(
                name, purpose=purpose, role=role, scope=scope, expires_ms=expires_ms, created_by="staff:cli"
            )
            return token

        created = _with_machines(data, act)
        after: dict[str, Json] = {"role": role, "scope": scope, "purpose": purpose, "days": days}
        note(data, "machine.created", target=name, after=after)
        print(created)


@tokens_group.command("list")
def list_machines(data: DataOption) -> None:
    """List the machines that have tokens: name, role, scope, end, last use, purpose."""
    with told():

        async def act(machines: Machines) -> Sequence[Machine]:
            return machines.all(ROOT)

        for machine in _with_machines(data, act):
            used = to_text(machine.used_ms) if machine.used_ms else "never used"
            ends = to_text(machine.expires_ms)
            print(machine.name, machine.role, machine.scope, ends, used, machine.purpose, sep="\t")


@tokens_group.command()
def revoke(
    data: DataOption,
    name: Annotated[str | None, typer.Argument(help="The machine whose token ends.")] = None,
    jti: Annotated[str | None, typer.Option(help="Instead: the id of a signed token.")] = None,
    user: Annotated[str | None, typer.Option(help="Instead: all that a user holds now, such as agent:M1.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Instead: everything that was issued until now.")] = False,
) -> None:
    """End a token, or all of a user's or everybody's, at once; also while the server runs."""
    with told():
        if sum((name is not None, jti is not None, user is not None, everything)) != 1:
            raise SetupError(codes.CONFIG_INVALID, "Name one machine, or one of --jti, --user, --all.")
        if user is not None and user.partition(":")[0] not in get_args(Kind):
            raise SetupError(codes.CONFIG_INVALID, f"A user is {', '.join(f'{kind}:NAME' for kind in get_args(Kind))}.")
        if jti == "" or name == "":
            raise SetupError(codes.CONFIG_INVALID, "An empty name is nobody's.")

        async def act(machines: Machines) -> None:
            if name is not None:
                await machines.revoke(name, ROOT)
            elif jti is not None:
                await machines.revocation.end_token(jti)
            elif user is not None:
                await machines.revocation.end_user(user)
            else:
                await machines.revocation.end_before(application.now_ms())

        _with_machines(data, act)
        ended: dict[str, Json] = {"machine": name, "id": jti, "user": user, "all": everything or None}
        after = {key: value for key, value in ended.items() if value is not None}
        note(data, "token.revoked", target=name or jti or user or "all", after=after)


def _with_machines(data: Path, act: Callable[[Machines], Awaitable[Answer]]) -> Answer:
    """Do something with the store of a data folder, whether a server runs on it or not."""

    async def main() -> Answer:
        cipher = read_cipher(application.load(None).encryption.key_file)
        store = SqliteStore(
            data / STORE,
            asyncio.get_running_loop(),
            now_ms=application.now_ms,
            cipher=cipher,
        )
        try:
            machines = Machines(store, Revocation(store, now_ms=application.now_ms), now_ms=application.now_ms)
            await machines.load()
            return await act(machines)
        finally:
            store.close()

    return asyncio.run(main())


def tokens_of(data: Path) -> Tokens:
    """What signs for the server on a data folder, where the environment is the server's."""
    auth = application.load(None).auth
    path = Path(auth.key_file) if auth.key_file else data / "token.key"
    return Tokens(KeyRing(own_key(path)), rules=Rules(audience=auth.audience))


@program.command()
def tail(
    topic: Annotated[str, typer.Argument(help="Such as kpi, wagers, activity, alerts, exposure, or an open topic.")],
    url: Annotated[str, typer.Option(help="URL of the server.")] = "http://127.0.0.1:8080",
    data: Annotated[Path | None, typer.Option(help="Data folder whose key signs a token for this call.")] = None,
    bearer: Annotated[
        str | None, typer.Option("--token", envvar="FIRE22_TOKEN", help="A token, instead of --data.")
    ] = None,
    scope: Annotated[str | None, typer.Option(help="Instead of the token's own scope.")] = None,
    attempts: Annotated[
        int, typer.Option(min=0, help="Stop after this many failed attempts to connect in a row; 0 retries forever.")
    ] = ATTEMPTS_MAX,
    last: Annotated[int, typer.Option(help="Start with this many of the newest messages.")] = 10,
    delta: Annotated[bool, typer.Option("--delta", help="Patches of a view instead of whole documents.")] = False,
) -> None:
    """Print a topic's messages, one JSON object a line, until Ctrl-C."""
    configure_logging()
    logging.getLogger("fire22.client").setLevel(logging.INFO)  # a person waits and wants to know for what
    with told():
        _check_url(url)
        if bearer is None:
            if data is None:
                raise SetupError(codes.AUTH_REQUIRED, "Name the server's data folder with --data, or give a --token.")
            tokens = tokens_of(data)
            bearer = tokens.sign(subject="tail", role="admin", scope="/", ttl_s=86400, now_ms=application.now_ms())
    run(_tail(url, bearer, topic, scope, attempts, last, delta))


def _check_url(url: str) -> None:
    try:
        websocket_url(url)
    except ValueError as error:
        raise SetupError(codes.CONFIG_INVALID, str(error)) from None


async def _tail(url: str, bearer: str, topic: str, scope: str | None, attempts: int, last: int, delta: bool) -> None:
    async with connect_client(url, token=bearer, attempts_max=attempts or None) as client:
        async for message in client.subscribe(topic, scope=scope, last=last, delta=delta):
            sys.stdout.buffer.write(encode_json(message) + b"\n")
            sys.stdout.buffer.flush()

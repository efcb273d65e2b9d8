"""The commands for who follows a server: `token`, `tail`."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fire22 import app as application
from fire22.cli.terminal import DataOption, make_folder, program, run, told
from fire22.client import connect as connect_client
from fire22.client.connection import websocket_url
from fire22.config import load
from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.core.message import encode_json
from fire22.core.scope import parse_scope
from fire22.observability.logging import configure as configure_logging
from fire22.security.tokens import Tokens, check_client, load_key
from fire22.sportsbook.desk.permits import FLAGS
from fire22.sportsbook.roles import roles

TOKEN_HOURS_MAX = 87_600


@program.command()
def token(
    data: DataOption,
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(roles(()))}.")] = "admin",
    scope: Annotated[str, typer.Option(help="The sub-tree it may see: /, /M1/A7, /M1/A7/@C12.")] = "/",
    subject: Annotated[str, typer.Option(help="The user's id.")] = "cli",
    client: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Names the device or installation that messages can be addressed to."),
    ] = None,
    may: Annotated[
        list[str] | None, typer.Option(help=f"Grant the user more than the role: {', '.join(FLAGS)}. Can be repeated.")
    ] = None,
    hours: Annotated[float, typer.Option(help="How long it is valid.")] = 24.0,
) -> None:
    """Print a token for the server that runs on a data folder."""
    with told():
        if role not in roles(()):
            raise SetupError(codes.CONFIG_INVALID, f"There is no role {role}; there are: {', '.join(roles(()))}.")
        if not 0 < hours <= TOKEN_HOURS_MAX:
            message = f"--hours is more than 0 and at most {TOKEN_HOURS_MAX:,} (ten years), not {hours:g}."
            raise SetupError(codes.CONFIG_INVALID, message)
        for flag in may or ():
            if flag not in FLAGS:
                raise SetupError(codes.CONFIG_INVALID, f"Nothing is called {flag}; there are: {', '.join(FLAGS)}.")
        make_folder(data)
        tokens = Tokens(load_key(load(None).key_file if _key_is_elsewhere() else data / "token.key"))
        signed = tokens.sign(
            subject=subject,
            role=role,
            scope=parse_scope(scope),
            ttl_s=int(hours * 3600),
            now_ms=application.now_ms(),
            client="" if client is None else check_client(client),
            may=tuple(may or ()),
        )
        print(signed)


def _key_is_elsewhere() -> bool:
    return "FIRE22_AUTH__KEY_FILE" in os.environ


@program.command()
def tail(
    topic: Annotated[str, typer.Argument(help="kpi, wagers, activity, or an open topic.")],
    url: Annotated[str, typer.Option(help="The server.")] = "http://127.0.0.1:8080",
    data: Annotated[Path | None, typer.Option(help="Folder whose key signs a token for this call.")] = None,
    bearer: Annotated[str | None, typer.Option("--token", envvar="FIRE22_TOKEN", help="Or a token.")] = None,
    scope: Annotated[str | None, typer.Option(help="Instead of the token's own.")] = None,
    last: Annotated[int, typer.Option(help="Begin with the newest so many.")] = 10,
    delta: Annotated[bool, typer.Option("--delta", help="Changes of a view instead of whole documents.")] = False,
) -> None:
    """Print a topic's messages, one JSON object a line, until Ctrl-C."""
    configure_logging()
    logging.getLogger("fire22.client").setLevel(logging.INFO)  # a person waits and wants to know for what
    with told():
        _check_url(url)
        if bearer is None:
            if data is None:
                raise SetupError(codes.AUTH_REQUIRED, "Name the server's data folder with --data, or give a --token.")
            tokens = Tokens(load_key(data / "token.key"))
            bearer = tokens.sign(subject="tail", role="admin", scope="/", ttl_s=86400, now_ms=application.now_ms())
    run(_tail(url, bearer, topic, scope, last, delta))


def _check_url(url: str) -> None:
    try:
        websocket_url(url)
    except ValueError as error:
        raise SetupError(codes.CONFIG_INVALID, str(error)) from None


async def _tail(url: str, bearer: str, topic: str, scope: str | None, last: int, delta: bool) -> None:
    async with connect_client(url, token=bearer) as client:
        async for message in client.subscribe(topic, scope=scope, last=last, delta=delta):
            sys.stdout.buffer.write(encode_json(message) + b"\n")
            sys.stdout.buffer.flush()

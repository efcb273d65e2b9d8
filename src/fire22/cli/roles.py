"""The commands for roles: `role list`, `role show`, `role set`. They ask the running server, so that a change counts at
once and is checked and noted as any other."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fire22 import app as application
from fire22.cli.access import tokens_of
from fire22.cli.terminal import program, told
from fire22.core import codes
from fire22.core.errors import SetupError

TIMEOUT_S: Final = 10.0
TOKEN_S: Final = 60

role = typer.Typer(help="Roles of the running server: what each may see and do.", no_args_is_help=True)
program.add_typer(role, name="role")

UrlOption = Annotated[str, typer.Option(help="URL of the server.")]
KeyOption = Annotated[Path | None, typer.Option("--data", help="Data folder whose key signs a token for this call.")]
BearerOption = Annotated[
    str | None, typer.Option("--token", envvar="FIRE22_TOKEN", help="An administrator's token, instead of --data.")
]
HERE: Final = "http://127.0.0.1:8080"


@role.command("list")
def list_roles(url: UrlOption = HERE, data: KeyOption = None, bearer: BearerOption = None) -> None:
    """Print the names of the roles, each with what its users are."""
    with told():
        for name, each in _ask("GET", url, "/v1/roles", data, bearer)["roles"].items():
            print(f"{name}\t{each['kind']}")


@role.command()
def show(
    name: Annotated[str, typer.Argument(help="Of the role.")],
    url: UrlOption = HERE,
    data: KeyOption = None,
    bearer: BearerOption = None,
) -> None:
    """Print a role as JSON, as `role set` takes it."""
    with told():
        _print(_ask("GET", url, f"/v1/roles/{name}", data, bearer))


@role.command("set")
def set_role(
    name: Annotated[str, typer.Argument(help="Of the role; a new one is added.")],
    file: Annotated[Path, typer.Argument(help="JSON of the whole role; - reads the standard input.")],
    url: UrlOption = HERE,
    data: KeyOption = None,
    bearer: BearerOption = None,
) -> None:
    """Change a role, or add one; it counts at once. Prints it as it is now."""
    with told():
        try:
            body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        except OSError as error:
            raise SetupError(codes.CONFIG_INVALID, f"{file} cannot be read: {error.strerror}.") from error
        _print(_ask("PUT", url, f"/v1/roles/{name}", data, bearer, body))


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _ask(
    method: str, url: str, path: str, data: Path | None, bearer: str | None, body: bytes | None = None
) -> dict[str, Any]:
    """What the server answers.

    Raises:
        SetupError: with the code that the server gave; `config_invalid`, it does not answer.
    """
    if not url.startswith(("http://", "https://")):
        raise SetupError(codes.CONFIG_INVALID, f"{url} is no URL of a server: it begins with http:// or https://.")
    if bearer is None:
        if data is None:
            raise SetupError(codes.AUTH_REQUIRED, "Name the server's data folder with --data, or give a --token.")
        bearer = tokens_of(data).sign(
            subject="cli", role="admin", scope="/", ttl_s=TOKEN_S, now_ms=application.now_ms()
        )
    headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
    request = urllib.request.Request(url.rstrip("/") + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # nosec B310  # the scheme is checked above
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as refused:
        with refused:
            said = json.load(refused)
        raise SetupError(codes.ALL.get(said["code"], codes.INTERNAL), said["message"]) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise SetupError(codes.CONFIG_INVALID, f"The server at {url} does not answer: {reason}.") from None

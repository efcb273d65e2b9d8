"""What all commands share: the program, the terminal, options, and how an error is told."""

import asyncio
import contextlib
import errno
import io
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.text import Text

import fire22
from fire22.core import codes
from fire22.core.errors import Fire22Error, SetupError

program = typer.Typer(
    help="A self-hosted real-time back office for a sportsbook.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)


def _version(asked: bool) -> None:
    if asked:
        print(f"fire22 {fire22.__version__}")
        raise typer.Exit


@program.callback()
def _all(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


DataOption = Annotated[Path, typer.Option("--data", help="Folder of the log, the feed and the token key.")]
MappingOption = Annotated[
    Path | None,
    typer.Option("--mapping", help="TOML that names the tables and columns of another book; see examples/."),
]
ConfigOption = Annotated[Path | None, typer.Option("-c", "--config", help="Configuration in TOML.")]


def tell(error: Fire22Error) -> None:
    """What went wrong, for a person and for a program."""
    err.print(Text.assemble(("fire22:", "bold red"), f" {error.message}"), soft_wrap=True)
    err.print(f"[dim]error code: {error.code.name}[/]", highlight=False)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Every expected error is one line that says what to do, and exit status 1."""
    try:
        yield
    except Fire22Error as error:
        tell(error)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


class _Output(io.FileIO):
    """Standard output. Where it cannot be written that is said once, and nothing more is tried."""

    is_broken = False

    def write(self, data: Any) -> int:
        if self.is_broken:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self.is_broken = True
            if error.errno == errno.EPIPE:
                raise
            raise SetupError(codes.OUTPUT_FAILED, f"The output cannot be written: {error.strerror}.") from None


@contextlib.contextmanager
def printed() -> Iterator[None]:
    """What is printed has arrived when the program ends well; otherwise it ends badly, and says so.

    A reader that went away (`| head`) has what it wanted: exit status 1 without a word, as rich and typer do it.
    """
    now = sys.stdout
    output = io.BufferedWriter(_Output(now.fileno(), "w", closefd=False))
    sys.stdout = io.TextIOWrapper(output, now.encoding, now.errors, line_buffering=now.isatty())
    with told():
        try:
            try:
                yield
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            raise SystemExit(1) from None


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run in the fast event loop."""
    with told(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def make_folder(folder: Path) -> None:
    """Make the data folder, where there is none.

    Raises:
        SetupError: `config_invalid`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(codes.CONFIG_INVALID, f"The folder {folder} cannot be made: {error.strerror}.") from None

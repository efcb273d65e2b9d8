"""The commands that run a server: `demo`, `serve`."""

import contextlib
import signal
import subprocess  # nosec B404  # starts this program alone
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from fire22 import app as application
from fire22.app import Settings
from fire22.cli.settings import checked, override, with_book
from fire22.cli.terminal import ConfigOption, DataOption, MappingOption, make_folder, out, program, run, told
from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.flows.relay import RelaySettings
from fire22.observability.logging import configure as configure_logging
from fire22.process import Address, wait_for_signal
from fire22.sources.sqlite import install as outbox
from fire22.sources.sqlite.connection import book_errors
from fire22.sportsbook.book.schema import OUTBOX
from fire22.sportsbook.book.schema.upgrade import upgrade
from fire22.sportsbook.demo.catalogue import FULL, MARKETS_MAX, with_markets
from fire22.sportsbook.demo.create import create_demo
from fire22.sportsbook.demo.incidents import parse


@program.command()
def demo(
    data: DataOption = Path("demo-data"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of HTTP and WebSocket; 0 takes a free one.")] = 8080,
    rate: Annotated[float, typer.Option(help="Average wagers per second; 0 for none.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Random seed of the simulation.")] = 1,
    markets: Annotated[int, typer.Option(help="Approximate number of open markets.")] = FULL.markets,
    incident: Annotated[
        list[str] | None, typer.Option(help="NAME@SECONDS: stage steam, syndicate or wrong_price; can be repeated.")
    ] = None,
    incidents_every: Annotated[float, typer.Option(help="Seconds between staged incidents; 0 for none.")] = 900.0,
) -> None:
    """Run an invented book and the whole server on it."""
    configure_logging()
    with told():
        config = application.load(None)
        book = data / "book.db"
        config = msgspec.structs.replace(
            config,
            data=str(data),
            server=msgspec.structs.replace(config.server, host=host, port=port),
            relay=RelaySettings(tuple(dict.fromkeys((*config.relay.open_topics, "bench")))),
        )
        config = checked(with_book(config, book))
        if not 0 <= rate <= 5000:
            raise SetupError(codes.CONFIG_INVALID, f"--rate is from 0 to 5000 wagers a second, not {rate:g}.")
        if not 1 <= markets <= MARKETS_MAX:
            raise SetupError(codes.CONFIG_INVALID, f"--markets is from 1 to {MARKETS_MAX}, not {markets}.")
        if not incidents_every >= 0:
            raise SetupError(codes.CONFIG_INVALID, f"--incidents-every is 0 or more seconds, not {incidents_every:g}.")
        staged = [f"{name}@{after_s:g}" for name, after_s in map(_incident, incident or ())]
        make_folder(data)
        if not book.exists():
            with out.status("Creating a book: agents, customers, games, markets"):
                size = with_markets(FULL, markets)
                create_demo(book, seed=seed, now_ms=application.now_ms(), install=outbox.install, size=size)
        else:
            with book_errors(book):
                upgrade(book)
            outbox.install(book, OUTBOX)
    options = [f"--rate={rate}", f"--seed={seed}", f"--markets={markets}", f"--incidents-every={incidents_every}"]
    run(_demo(config, book, rate, [*options, *(f"--incident={each}" for each in staged)]))


async def _demo(config: Settings, book: Path, rate: float, options: list[str]) -> None:
    async with application.running(config) as server:
        with _simulator(book, options):
            on = f"the invented book [cyan]{escape(str(book))}[/]"
            out.print(f"\n  [bold]Fire22 Flows[/] runs on {on}, {rate:g} wagers a second.")
            _print_where(server.address, "  ")
            out.print("  Open this link; it signs one browser in, once:\n")
            out.print(f"  [bold green]{server.link()}[/]\n", soft_wrap=True, highlight=False)
            out.print("  [dim]Ctrl-C ends it. What was written stays; the next start goes on from there.[/]\n")
            await wait_for_signal()


def _print_where(address: Address, margin: str) -> None:
    """Nobody should be open to the network without knowing it."""
    if address.is_everywhere:
        text = f"{margin}[yellow]Listens on every address of this machine, port {address.port}[/] (server.host)."
        out.print(text, highlight=False)


def _incident(text: str) -> tuple[str, float]:
    try:
        return parse(text)
    except ValueError as error:
        raise SetupError(codes.CONFIG_INVALID, f"--incident {error}.") from None


@contextlib.contextmanager
def _simulator(book: Path, options: list[str]) -> Iterator[None]:
    """An outside process that writes to the book; it ends with this one, however this one ends."""
    command = [sys.executable, "-m", "fire22.sportsbook.demo.simulator", "--book", str(book), *options]
    # Its own group, so that Ctrl-C in the terminal reaches only the server, which then ends it.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)  # nosec B603  # no shell, and this program's own arguments
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@program.command()
def serve(
    config: ConfigOption = None,
    data: Annotated[Path | None, typer.Option("--data", help="Overrides `data`.")] = None,
    host: Annotated[str | None, typer.Option(help="Overrides `server.host`.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides `server.port`.")] = None,
    book: Annotated[Path | None, typer.Option(help="Overrides `book.path`.")] = None,
    mapping: MappingOption = None,
    open_topic: Annotated[
        list[str] | None, typer.Option(help="Open this topic to any application; can be repeated.")
    ] = None,
    echo: Annotated[bool, typer.Option("--echo", help="Serve /echo, for the conformance suite.")] = False,
) -> None:
    """Run the server on a book."""
    configure_logging()
    with told():
        settings = override(application.load(config), data, host, port, book, tuple(open_topic or ()), mapping)
        if echo:
            settings = msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, echo=True))
    run(_serve(settings))


async def _serve(config: Settings) -> None:
    async with application.running(config) as server:
        _print_where(server.address, "")
        out.print(f"Sign in with [bold green]{server.link()}[/]", soft_wrap=True, highlight=False)
        await wait_for_signal()

"""The program: arguments, and what a person sees in the terminal. The only place that configures logging."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any

import apsw
import msgspec
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fire22 import app as application
from fire22.client import connect as connect_client
from fire22.client.connection import websocket_url
from fire22.config import BookConfig, Config, RelayConfig, ServerConfig, convert, load
from fire22.core import codes, letter
from fire22.core.errors import Fire22Error, SetupError
from fire22.core.message import encode_json
from fire22.core.scope import parse_scope
from fire22.core.times import to_text
from fire22.feed.sqlite import read_documents
from fire22.flows.recompute import Recomputed, Wanted, read_wanted, recompute
from fire22.flows.replay_check import check_replay
from fire22.gateways import archive
from fire22.log import maintenance
from fire22.log.file import connect as connect_file
from fire22.log.file import storage_errors
from fire22.observability.logging import configure as configure_logging
from fire22.security.tokens import Tokens, check_client, load_key
from fire22.sources import outbox
from fire22.sportsbook import book as books
from fire22.sportsbook import replay as replaying
from fire22.sportsbook.catalogue import FULL, MARKETS_MAX, with_markets
from fire22.sportsbook.desk.permits import FLAGS
from fire22.sportsbook.mapping import read_mapping
from fire22.sportsbook.periods import KINDS, PeriodKind
from fire22.sportsbook.reports import TOPIC as REPORTS
from fire22.sportsbook.reports import archive_key
from fire22.sportsbook.roles import roles
from fire22.sportsbook.schema import OUTBOX
from fire22.sportsbook.schema import outbox as outbox_of
from fire22.sportsbook.schema.foreign import BookMapping, read_book_mapping
from fire22.sportsbook.schema.sample import Unmapped, unmapped
from fire22.sportsbook.simulation.incidents import parse

program = typer.Typer(
    help="A self-hosted real-time back office for a sportsbook.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

TOKEN_HOURS_MAX = 87_600
LETTERS_SHOWN_MAX = 20

DataOption = Annotated[Path, typer.Option("--data", help="Folder of the log, the feed and the token key.")]
MappingOption = Annotated[
    Path | None,
    typer.Option("--mapping", help="TOML that names the tables and columns of another book; see examples/."),
]
ConfigOption = Annotated[Path | None, typer.Option("-c", "--config", help="Configuration in TOML.")]


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Every expected error is one line that says what to do, and exit status 1."""
    try:
        yield
    except Fire22Error as error:
        err.print(f"[bold red]fire22:[/] {error.message}", highlight=False, soft_wrap=True)
        err.print(f"[dim]error code: {error.code.name}[/]", highlight=False)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run in the fast event loop."""
    with told(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


@program.command()
def demo(
    data: DataOption = Path("demo-data"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of HTTP and WebSocket; 0 takes a free one.")] = 8080,
    rate: Annotated[float, typer.Option(help="Wagers a second, on average.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Decides what happens.")] = 1,
    markets: Annotated[int, typer.Option(help="Open markets, about.")] = FULL.markets,
    incident: Annotated[
        list[str] | None, typer.Option(help="NAME@SECONDS: stage steam, syndicate or wrong_price; can be given again.")
    ] = None,
    incidents_every: Annotated[
        float, typer.Option(help="Stage all incidents, so many seconds apart, the first soon; 0 leaves them out.")
    ] = 900.0,
) -> None:
    """Run an invented book and the whole server on it."""
    configure_logging()
    with told():
        config = load(None)
        book = data / "book.db"
        config = msgspec.structs.replace(
            config,
            data=str(data),
            server=msgspec.structs.replace(config.server, host=host, port=port),
            book=msgspec.structs.replace(config.book, path=str(book)),
            relay=RelayConfig(tuple(dict.fromkeys((*config.relay.open_topics, "bench")))),
        )
        config = _checked(config)
        if not 0 < rate <= 5000:
            raise SetupError(codes.CONFIG_INVALID, f"--rate is between 0 and 5000 wagers a second, not {rate:g}.")
        if not 1 <= markets <= MARKETS_MAX:
            raise SetupError(codes.CONFIG_INVALID, f"--markets is from 1 to {MARKETS_MAX}, not {markets}.")
        if not incidents_every >= 0:
            raise SetupError(codes.CONFIG_INVALID, f"--incidents-every is 0 or more seconds, not {incidents_every:g}.")
        staged = [f"{name}@{after_s:g}" for name, after_s in map(_incident, incident or ())]
        _make_folder(data)
        if not book.exists():
            with out.status("Creating a book: agents, customers, games, markets"):
                size = with_markets(FULL, markets)
                books.create(book, seed=seed, now_ms=application.now_ms(), install=outbox.install, size=size)
        else:
            outbox.install(book, OUTBOX)
    options = [f"--rate={rate}", f"--seed={seed}", f"--markets={markets}", f"--incidents-every={incidents_every}"]
    run(_demo(config, book, rate, [*options, *(f"--incident={each}" for each in staged)]))


async def _demo(config: Config, book: Path, rate: float, options: list[str]) -> None:
    async with application.running(config) as server:
        with _simulator(book, options):
            out.print(f"\n  [bold]Fire22 Flows[/] runs on the invented book [cyan]{book}[/], {rate:g} wagers a second.")
            out.print("  Open this link; it signs one browser in, once:\n")
            out.print(f"  [bold green]{server.link()}[/]\n", soft_wrap=True, highlight=False)
            out.print("  [dim]Ctrl-C ends it. What was written stays; the next start goes on from there.[/]\n")
            await application.wait_for_signal()


def _incident(text: str) -> tuple[str, float]:
    try:
        return parse(text)
    except ValueError as error:
        raise SetupError(codes.CONFIG_INVALID, f"--incident {error}.") from None


@contextlib.contextmanager
def _simulator(book: Path, options: list[str]) -> Iterator[None]:
    """An outside process that writes to the book; it ends with this one, however this one ends."""
    command = [sys.executable, "-m", "fire22.sportsbook.simulator", "--book", str(book), *options]
    # Its own group, so that Ctrl-C in the terminal reaches only the server, which then ends it.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
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
    open_topic: Annotated[list[str] | None, typer.Option(help="Opens a topic for any application.")] = None,
    echo: Annotated[bool, typer.Option("--echo", help="Serve /echo, for the conformance suite.")] = False,
) -> None:
    """Run the server on a book."""
    configure_logging()
    with told():
        settings = _override(load(config), data, host, port, book, tuple(open_topic or ()))
        if echo:
            settings = msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, echo=True))
    run(_serve(settings))


async def _serve(config: Config) -> None:
    async with application.running(config) as server:
        out.print(f"Sign in with [bold green]{server.link()}[/]", soft_wrap=True, highlight=False)
        await application.wait_for_signal()


def _override(
    config: Config,
    data: Path | None,
    host: str | None,
    port: int | None,
    book: Path | None,
    open_topics: tuple[str, ...],
) -> Config:
    server: ServerConfig = config.server
    if host is not None:
        server = msgspec.structs.replace(server, host=host)
    if port is not None:
        server = msgspec.structs.replace(server, port=port)
    source: BookConfig = config.book if book is None else msgspec.structs.replace(config.book, path=str(book))
    topics = tuple(dict.fromkeys((*config.relay.open_topics, *open_topics)))
    folder = config.data if data is None else str(data)
    changed = msgspec.structs.replace(config, data=folder, server=server, book=source, relay=RelayConfig(topics))
    return _checked(changed)


def _checked(config: Config) -> Config:
    """The configuration, if it could stand in a file as well and its topics can be served."""
    checked = convert(msgspec.to_builtins(config))
    application.build_engine(checked.relay.open_topics)
    return checked


@program.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Recorded wagers: CSV or JSON Lines, also .gz.")],
    mapping: Annotated[Path, typer.Option(help="TOML that names the columns; see examples/.")],
    book: Annotated[Path, typer.Option(help="The book to write to; created if there is none.")],
    speed: Annotated[str, typer.Option(help="Recorded seconds for each second, or `max`.")] = "1",
    resume: Annotated[bool, typer.Option("--resume", help="Leave out the wagers that are in the book.")] = False,
) -> None:
    """Feed recorded wagers into a book, as the book's own program would write them."""
    configure_logging()
    with told():
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err) as bar:
            task = bar.add_task(f"Replaying {file.name}")

            def show(at: replaying.Progress) -> None:
                text = f"{at.rows:,} wagers, {to_text(at.at_ms)[:19]}"
                bar.update(task, total=at.bytes_total, completed=at.bytes_read, description=text)

            report = replaying.replay(
                file,
                read_mapping(mapping),
                book,
                speed=_speed(speed),
                progress=show,
                install=outbox.install,
                resume=resume,
            )
        out.print(
            f"{report.rows:,} rows: {report.placed:,} wagers placed, {report.settled:,} settled, "
            f"{report.skipped:,} there before, {report.customers:,} new customers; "
            f"revenue {report.revenue_minor / 100:,.2f}",
            highlight=False,
        )


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        return float(text)
    except ValueError:
        raise SetupError(codes.CONFIG_INVALID, f"--speed is a number or `max`, not {text}.") from None


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
        _make_folder(data)
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


@program.command("install-triggers")
def install_triggers(
    book: Annotated[Path, typer.Argument(help="The book's SQLite file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Remove the triggers and the outbox.")] = False,
    keep_outbox: Annotated[bool, typer.Option("--keep-outbox", help="With --uninstall: leave what is unread.")] = False,
    bootstrap: Annotated[bool, typer.Option(help="Bring in the rows that are there.")] = True,
    mapping: MappingOption = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also where values cannot be mapped.")] = False,
) -> None:
    """Install the triggers and the outbox table in a book, in one transaction; doing it again changes nothing."""
    with told():
        mapped = read_book_mapping(mapping) if mapping else None
        if uninstall:
            removed = outbox.uninstall(book, keep_outbox=keep_outbox)
            out.print(f"Removed {len(removed)}: {', '.join(removed) or 'nothing was installed'}.", highlight=False)
        elif dry_run:
            plan = _plan(book, mapped, bootstrap=bootstrap)
            if mapped:
                _check_values(book, mapped)
            _print_plan(plan)
        else:
            if mapped and not anyway:
                _plan(book, mapped, bootstrap=bootstrap)
                _check_values(book, mapped)
            report = outbox.install(book, outbox_of(mapped), bootstrap=bootstrap)
            _print_plan(report.plan)
            out.print(f"Book {report.book_id}: {report.imported:,} rows brought in.", highlight=False)
            if report.gap_since:
                err.print(f"[yellow]Changes since {report.gap_since} were not recorded.[/]", highlight=False)


@contextlib.contextmanager
def _reading(book: Path) -> Iterator[apsw.Connection]:
    """A book, to look at only."""
    if not book.is_file():
        raise SetupError(codes.BOOK_MISSING, f"There is no book at {book}.")
    with outbox.book_errors(book):
        connection = apsw.Connection(str(book), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            yield connection
        finally:
            connection.close()


def _plan(book: Path, mapping: BookMapping | None, *, bootstrap: bool) -> outbox.Plan:
    with _reading(book) as connection:
        return outbox.plan(connection, outbox_of(mapping), bootstrap=bootstrap)


def _check_values(book: Path, mapping: BookMapping) -> None:
    """Say every value that the mapping cannot make ours, and end there if there is one."""
    with _reading(book) as connection:
        found = unmapped(connection, mapping)
    for one in found:
        out.print(f"  {_line(one)}", highlight=False, markup=False, soft_wrap=True)
    if found:
        message = (
            f"{len(found):,} values of {book.name} cannot be mapped by {mapping.name}; correct the mapping or them."
        )
        raise SetupError(codes.MAPPING_INVALID, message)
    out.print(f"values: ok, all that were looked at are mapped by {mapping.name}", highlight=False)


def _line(one: Unmapped) -> str:
    rows = "1 row" if one.count == 1 else f"{one.count:,} rows"
    return f"{one.table}.{one.column} = {one.value!r} {one.why} ({rows}, such as {one.key!r})"


def _print_plan(plan: outbox.Plan) -> None:
    if plan.empty:
        out.print("Everything is in place.")
        return
    for verb, names in (
        ("create tables", plan.tables),
        ("create triggers", plan.create),
        ("replace triggers", plan.replace),
        ("drop triggers", plan.drop),
    ):
        if names:
            out.print(f"{verb}: {', '.join(names)}", highlight=False)
    if plan.bootstrap:
        out.print("bring in the rows that are there")


@program.command()
def check(
    config: ConfigOption = None,
    data: Annotated[Path | None, typer.Option("--data", help="Overrides `data`.")] = None,
    book: Annotated[Path | None, typer.Option(help="Overrides `book.path`.")] = None,
    mapping: MappingOption = None,
    replay: Annotated[bool, typer.Option("--replay", help="Fold the log anew and compare the feed.")] = False,
) -> None:
    """Check the configuration, the book and the log's file, before or instead of a start."""
    with told():
        settings = _override(load(config), data, None, None, book, ())
        out.print("configuration: ok")
        if settings.book.path:
            named = mapping or (Path(settings.book.mapping) if settings.book.mapping else None)
            _check_book(Path(settings.book.path), named)
        if not settings.storage.exists():
            out.print(f"log: none yet at {settings.storage}", highlight=False)
            return
        with application.locked(settings.folder):
            report = maintenance.check(settings.storage)
            out.print(f"log: ok, {report.events:,} events; feed: ok, {report.records:,} records", highlight=False)
            _list_letters(settings)
            if replay:
                _check_replay(settings)


def _check_book(path: Path, mapping: Path | None) -> None:
    mapped = read_book_mapping(mapping) if mapping else None
    plan = _plan(path, mapped, bootstrap=True)
    if mapped:
        _check_values(path, mapped)
    if plan.empty:
        out.print("book: ok, triggers are in place")
    else:
        run_it = f"fire22 install-triggers {path}" + (f" --mapping {mapping}" if mapping else "")
        raise SetupError(codes.BOOK_SCHEMA, f"The triggers are not in place; run `{run_it}`.")


def _list_letters(settings: Config) -> None:
    """Dead letters are no damage of the file, but no figure has seen them."""
    connection = apsw.Connection(str(settings.storage), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        documents = read_documents(connection, letter.TOPIC)
    finally:
        connection.close()
    letters = [each.body for each in documents if each.body is not None]
    letters.sort(key=lambda body: int(str(body["seq"])))
    out.print(f"dead letters: {len(letters):,} open" if letters else "dead letters: none")
    for body in letters[:LETTERS_SHOWN_MAX]:
        line = f"  {body['seq']} {body['type']} {body['eventId']}: {body['reason']} ({body['code']})"
        out.print(line, highlight=False, markup=False)
    if len(letters) > LETTERS_SHOWN_MAX:
        out.print(f"  and {len(letters) - LETTERS_SHOWN_MAX:,} more")


def _check_replay(settings: Config) -> None:
    connection = apsw.Connection(str(settings.storage), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        result = check_replay(connection, application.build_engine(settings.relay.open_topics))
    finally:
        connection.close()
    out.print(f"replay: {result.events:,} events give the {result.records:,} kept records, byte for byte")


@program.command()
def report(
    data: DataOption,
    period: Annotated[str, typer.Option(help="day, week or month.")] = "day",
    key: Annotated[str, typer.Option(help="2026-11-24 (of a week its first day), 2026-11; or how several begin.")] = "",
    scope: Annotated[str, typer.Option(help="/, /M1/A7, /M1/A7/@C12.")] = "/",
    format: Annotated[str, typer.Option(help="json or csv.")] = "json",
    revisions: Annotated[bool, typer.Option("--revisions", help="Every revision, not only the newest.")] = False,
    anew: Annotated[bool, typer.Option("--recompute", help="Work it out from the log, and say what differs.")] = False,
) -> None:
    """Print the reports of a scope, also while a server runs; with --recompute as the log gives them."""
    with told():
        wanted = Wanted(REPORTS, parse_scope(scope), archive_key(_period(period), key))
        if format not in ("json", "csv"):
            raise SetupError(codes.CONFIG_INVALID, f"--format is json or csv, not {format}.")
        file = data / "flows.db"
        if not file.is_file():
            raise SetupError(codes.NOT_FOUND, f"There is no log at {file}.")
        with storage_errors():
            connection = connect_file(file)
            try:
                found = _recomputed(connection, wanted) if anew else Recomputed(0, read_wanted(connection, wanted), [])
            finally:
                connection.close()
        _print_reports(wanted, found, format, revisions=revisions)
        if found.differences:
            raise SetupError(codes.STORAGE_CORRUPT, "The archive is not what the log gives with this version's flows.")


def _period(text: str) -> PeriodKind:
    for kind in KINDS:
        if kind == text:
            return kind
    raise SetupError(codes.CONFIG_INVALID, f"--period is {', '.join(KINDS)}, not {text}.")


def _recomputed(connection: apsw.Connection, wanted: Wanted) -> Recomputed:
    with err.status("Folding the log anew"):
        found = recompute(connection, application.build_engine(()), wanted)
    for each in found.differences:
        err.print(f"{each.key} revision {each.revision}: {each.what}", highlight=False, soft_wrap=True)
    err.print(f"{found.events:,} events folded, {len(found.differences)} differences", highlight=False)
    return found


def _print_reports(wanted: Wanted, found: Recomputed, format: str, *, revisions: bool) -> None:
    documents = found.documents
    if not revisions:
        documents = list({each.key: each for each in documents}.values())
    if not documents and not found.differences:
        raise SetupError(codes.NOT_FOUND, f"There is no report of {wanted.scope} under {wanted.key}.")
    if format == "csv":
        sys.stdout.buffer.write(archive.as_csv(documents))
    else:
        sys.stdout.buffer.write(archive.as_json(wanted.topic, wanted.scope, documents, None) + b"\n")
    sys.stdout.buffer.flush()


@program.command()
def backup(data: DataOption, target: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """Copy the log and the feed, also while a server runs on them."""
    with told():
        maintenance.backup(data / "flows.db", target)
        out.print(f"Wrote {target}.", highlight=False)


@program.command()
def restore(
    data: DataOption,
    source: Annotated[Path, typer.Argument(help="A file that `fire22 backup` wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Put what is there aside.")] = False,
) -> None:
    """Put a backup in place; clients notice by its new epoch and take a snapshot."""
    with told(), application.locked(data):
        epoch = maintenance.restore(source, data / "flows.db", replace=replace)
        out.print(f"Restored; the feed's epoch is {epoch}.", highlight=False)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(codes.CONFIG_INVALID, f"The folder {folder} cannot be made: {error.strerror}.") from None


def main() -> None:
    """The entry point."""
    program()

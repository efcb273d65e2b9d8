"""The commands for a data folder: `check`, `report`, `restore`."""

import asyncio
import contextlib
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import apsw
import msgspec
import typer
from msgspec import Struct
from rich.progress import Progress

from fire22 import app as application
from fire22.app import Settings
from fire22.cli.books import check_book, compare_book
from fire22.cli.hardening import findings
from fire22.cli.noting import note
from fire22.cli.server_books import check_in_server
from fire22.cli.settings import override
from fire22.cli.terminal import ConfigOption, DataOption, MappingOption, err, out, program, tell, told
from fire22.core import codes, letter
from fire22.core.errors import BookError, SetupError, StorageError
from fire22.core.scope import ROOT, parse_scope
from fire22.feed.rows import read_documents
from fire22.flows.rebuild import DAMAGED, rebuild
from fire22.flows.recompute import Recomputed, Wanted, read_wanted, recompute
from fire22.flows.relay import opened_topics
from fire22.flows.replay_check import ReplayReport, check_replay
from fire22.gateways.http import archive
from fire22.gateways.turns import at_once
from fire22.log import maintenance
from fire22.log.cipher import Cipher, read_cipher
from fire22.log.database import connect as connect_file
from fire22.log.database import meta, storage_errors
from fire22.log.rekey import outdated
from fire22.log.rows import check_key, read_rows
from fire22.process import locked
from fire22.security.certificate import certificate_of
from fire22.security.revocation import Revocation
from fire22.security.sessions import forget_all
from fire22.sportsbook.book.schema import book as book_of
from fire22.sportsbook.book.schema.mapping import read_book_mapping
from fire22.sportsbook.domain import PERIODS, REPORTS, PeriodKind, report_key
from fire22.store.sqlite import NAME as STORE
from fire22.store.sqlite import SqliteStore
from fire22.store.sqlite import check_key as check_store_key

LETTERS_SHOWN_MAX = 20


class _Period(Struct):
    key: str


class _KeyFigures(Struct):
    periods: dict[str, _Period]


@program.command()
def check(
    config: ConfigOption = None,
    data: Annotated[Path | None, typer.Option("--data", help="Overrides `data`.")] = None,
    book: Annotated[Path | None, typer.Option(help="Overrides `book.path`.")] = None,
    mapping: MappingOption = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Replay the log and compare the feed byte for byte.")
    ] = False,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Compare the book with the server's copy of it, and with the figures.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Rebuild damaged data from the log; import rows that differ.")
    ] = False,
    security: Annotated[
        bool, typer.Option("--security", help="Say what is left open, and what closes it; nothing else is checked.")
    ] = False,
) -> None:
    """Check the configuration, the book and the log's file, before or instead of a start; says all that is wrong."""
    fit = True
    with told():
        settings = override(application.load(config), data, None, None, book, (), mapping)
        certificate_of(settings.server)
        out.print("configuration: ok")
        if security:
            _tell_open(settings, config)
            return
        named = Path(settings.domain.book.mapping) if settings.domain.book.mapping else None
        if settings.domain.book.path:
            fit = _fits(settings, named)
        if settings.folder.exists() and not settings.folder.is_dir():
            raise SetupError(codes.CONFIG_INVALID, f"{settings.folder} is not a folder; `data` names one.")
        if settings.storage.exists():
            with ExitStack() as stack:
                is_alone = _hold(stack, settings, needed=repair or reconcile)
                report = (
                    _check_storage(settings, repair=repair)
                    if is_alone
                    else maintenance.check_beside(settings.storage, _cipher(settings))
                )
                out.print(f"log: ok, {report.events:,} events; feed: ok, {report.records:,} records", highlight=False)
                _tell_encryption(settings)
                _tell_stopped(settings)
                _list_letters(settings)
                if reconcile and settings.domain.book.kind != "sqlite":
                    raise SetupError(codes.CONFIG_INVALID, "--reconcile compares books in SQLite files alone.")
                if reconcile and settings.domain.book.path:
                    fit = compare_book(Path(settings.domain.book.path), named, settings, repair=repair) and fit
                if replay:
                    _check_replay(settings)
                if repair:
                    note(
                        settings.folder,
                        "data.repaired",
                        after={"reconcile": reconcile},
                        key_file=settings.encryption.key_file,
                    )
        else:
            out.print(f"log: none yet at {settings.storage}", highlight=False)
    if not fit:
        raise SystemExit(1)


def _tell_open(settings: Settings, config: Path | None) -> None:
    """What an operator left open; exit status 1 where something is."""
    found = findings(settings, config)
    for each in found:
        out.print(f"open: {each.what}\n      {each.help}", highlight=False, markup=False, soft_wrap=True)
    if found:
        raise SystemExit(1)
    out.print("security: nothing is left open")


def _hold(stack: ExitStack, settings: Settings, *, needed: bool) -> bool:
    """Hold the data folder, so that no server starts on it; whether that could be had: one may run, and be read beside.

    Raises:
        StorageError: `storage_in_use`, and it is needed.
    """
    try:
        stack.enter_context(locked(settings.folder))
    except StorageError as error:
        if needed or error.code is not codes.STORAGE_IN_USE:
            raise
        out.print("a server runs on the data folder: it is checked as of now, and nothing is written", soft_wrap=True)
        return False
    return True


def _fits(settings: Settings, mapping: Path | None) -> bool:
    """Whether the book is fit to be read; what is wrong with it says nothing of the log."""
    book = settings.domain.book
    try:
        if book.kind == "sqlite":
            check_book(Path(book.path), mapping, book.currency)
        else:
            domain = book_of(read_book_mapping(mapping, book.currency) if mapping else None)
            check_in_server(book.kind, book.path, domain.outbox)
    except (SetupError, BookError) as error:
        tell(error)
        return False
    return True


def _tell_stopped(settings: Settings) -> None:
    """A failure of the flows at which the last server stopped folding."""
    connection = apsw.Connection(str(settings.storage), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        stopped, seq = meta(connection, "stopped"), meta(connection, "seq")
    finally:
        connection.close()
    if stopped:
        at, _, what = str(stopped).partition(" ")
        line = (
            f"figures: stopped at event {at} ({what}), as of event {seq}; the log is whole, and a version without this"
            f" fault goes on from there ({codes.FOLD_STOPPED.name})"
        )
        out.print(line, highlight=False, markup=False)


def _cipher(settings: Settings) -> Cipher:
    return read_cipher(settings.encryption.key_file)


def _tell_encryption(settings: Settings) -> None:
    """Whether the rows can be read with the keys, and how many are not encrypted by the newest."""
    cipher = _cipher(settings)
    with storage_errors(), contextlib.closing(connect_file(settings.storage, cipher=cipher)) as connection:
        check_key(connection)
        if cipher.is_active:
            count = outdated(connection)
            rest = f"{count:,} rows are not encrypted by the newest key; `fire22 rekey` does that" if count else "ok"
            out.print(f"encryption: {rest}", highlight=False, soft_wrap=True)


def _check_storage(settings: Settings, *, repair: bool) -> maintenance.StorageReport:
    """Read the log's file whole; make again from the log what follows from it, where that is damaged and asked for."""
    try:
        return maintenance.check(settings.storage, _cipher(settings))
    except StorageError as error:
        if not repair or error.code is not codes.STORAGE_CORRUPT:
            raise
        out.print(error.message, highlight=False, soft_wrap=True)
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("Making it again", total=None)
        rebuild(
            settings.storage,
            application.build_engine(_open_topics(settings)),
            lambda done, events: progress.update(task, completed=done, total=events),
            _cipher(settings),
        )
    out.print(f"repaired; the damaged file is kept as {settings.storage.name}{DAMAGED}", highlight=False)
    return maintenance.check(settings.storage, _cipher(settings))


def _list_letters(settings: Settings) -> None:
    """Dead letters are no damage of the file, but no figure has seen them."""
    connection = connect_file(settings.storage, cipher=_cipher(settings))
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


def _check_replay(settings: Settings) -> None:
    with maintenance.one_moment(settings.storage, _cipher(settings)) as connection:
        result = _replayed(connection, settings.relay.open_topics)
    out.print(f"replay: {result.events:,} events give the {result.records:,} kept records, byte for byte")


def _replayed(connection: apsw.Connection, configured: tuple[str, ...]) -> ReplayReport:
    """Replay with the open topics that the log was served with: whoever checks a folder need not know them.

    A topic that is no longer open has its messages in the feed, unless the feed was made again since.
    """
    opened = opened_topics(read_rows(connection))
    ever = tuple(dict.fromkeys((*configured, *(topic for topics in opened for topic in topics))))
    last = tuple(dict.fromkeys((*configured, *(opened[-1] if opened else ()))))
    if set(ever) != set(last):
        with contextlib.suppress(StorageError):
            return check_replay(connection, application.build_engine(ever))
    return check_replay(connection, application.build_engine(last))


def _open_topics(settings: Settings) -> tuple[str, ...]:
    """Those of the configuration, and those that the last server had."""
    with storage_errors(), contextlib.closing(connect_file(settings.storage, cipher=_cipher(settings))) as connection:
        opened = opened_topics(read_rows(connection))
    return tuple(dict.fromkeys((*settings.relay.open_topics, *(opened[-1] if opened else ()))))


@program.command()
def report(
    config: ConfigOption = None,
    data: Annotated[Path | None, typer.Option("--data", help="Overrides `data`.")] = None,
    period: Annotated[str, typer.Option(help="day, week or month.")] = "day",
    key: Annotated[
        str, typer.Option(help="2026-11-24 (for a week its first day), 2026-11, or a prefix such as 2026.")
    ] = "",
    scope: Annotated[str, typer.Option(help="Scope of the reports: / or an agent's path such as /M1/A2.")] = "/",
    format: Annotated[str, typer.Option(help="json or csv.")] = "json",
    revisions: Annotated[bool, typer.Option("--revisions", help="Every revision, not only the newest.")] = False,
    anew: Annotated[
        bool, typer.Option("--recompute", help="Recompute the reports from the log and print differences.")
    ] = False,
) -> None:
    """Print the reports of a scope, also while a server runs; with --recompute as the log gives them."""
    with told():
        kind = _period(period)
        wanted = Wanted(REPORTS, parse_scope(scope), report_key(kind, key))
        if format not in ("json", "csv"):
            raise SetupError(codes.CONFIG_INVALID, f"--format is json or csv, not {format}.")
        settings = override(application.load(config), data, None, None, None, ())
        file = settings.storage
        if not file.is_file():
            raise SetupError(codes.NOT_FOUND, f"There is no log at {file}.")
        with storage_errors():
            connection = connect_file(file, cipher=_cipher(settings))
            try:
                found = _recomputed(connection, wanted) if anew else Recomputed(0, read_wanted(connection, wanted), [])
                running = "" if found.documents else _running(connection, wanted.scope, kind, key, settings.folder)
            finally:
                connection.close()
        _print_reports(wanted, found, format, running, revisions=revisions)
        if found.differences:
            raise SetupError(codes.STORAGE_CORRUPT, "The archive is not what the log gives with this version's flows.")


def _period(text: str) -> PeriodKind:
    for kind in PERIODS:
        if kind == text:
            return kind
    raise SetupError(codes.CONFIG_INVALID, f"--period is {', '.join(PERIODS)}, not {text}.")


def _recomputed(connection: apsw.Connection, wanted: Wanted) -> Recomputed:
    with err.status("Folding the log anew"):
        found = recompute(connection, application.build_engine(()), wanted)
    for each in found.differences:
        err.print(f"{each.key} revision {each.revision}: {each.what}", highlight=False, soft_wrap=True)
    err.print(f"{found.events:,} events folded, {len(found.differences)} differences", highlight=False)
    return found


def _running(connection: apsw.Connection, scope: str, kind: PeriodKind, key: str, data: Path) -> str:
    """A sentence on the period that still runs, where it is the one that was asked for."""
    bodies = (each.body for each in read_documents(connection, "kpi") if each.body is not None)
    body = next(bodies, None)  # all know the same periods
    if body is None:
        return ""
    now = msgspec.convert(body, type=_KeyFigures).periods[kind].key
    if not now.startswith(key):
        return ""
    where = f"`fire22 tail kpi --data {data}{'' if scope == ROOT else f' --scope {scope}'}`"
    return f" The {kind} {now} is still running, and is reported when it ends; until then {where} follows its figures."


def _print_reports(wanted: Wanted, found: Recomputed, format: str, running: str, *, revisions: bool) -> None:
    documents = found.documents
    if not revisions:
        documents = list({each.key: each for each in documents}.values())
    if not documents and not found.differences:
        raise SetupError(
            codes.NOT_FOUND, f"There is no report of {wanted.scope} under {wanted.key.rstrip(':')}.{running}"
        )
    if format == "csv":
        sys.stdout.buffer.write(at_once(archive.as_csv(documents)))
    else:
        sys.stdout.buffer.write(at_once(archive.as_json(wanted.topic, wanted.scope, documents, None)) + b"\n")
    sys.stdout.buffer.flush()


@program.command()
def restore(
    data: DataOption,
    source: Annotated[Path, typer.Argument(help="A file that `fire22 backup` wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Move an existing log aside first.")] = False,
    config: ConfigOption = None,
) -> None:
    """Put a backup in place; clients notice by its new epoch and take a snapshot."""
    with told():
        maintenance.check_source(source)  # before a folder is made for it
        key_file = application.load(config).encryption.key_file
        cipher = read_cipher(key_file)
        if (store := source.with_name(f"{source.name}.{STORE}")).is_file():
            check_store_key(store, cipher)  # or its sessions could not be ended
    with told(), locked(data):
        epoch = maintenance.restore(source, data / "flows.db", replace=replace)
        asyncio.run(_end_all(data / STORE, cipher))
        note(data, "data.restored", target=str(source), key_file=key_file)
        out.print(f"Restored; the feed's epoch is {epoch}.", highlight=False)


async def _end_all(file: Path, cipher: Cipher) -> None:
    """What was ended since the backup must not come back with it: everything that was issued until now ends."""
    store = SqliteStore(file, asyncio.get_running_loop(), now_ms=application.now_ms, cipher=cipher)
    try:
        await forget_all(store)
        await Revocation(store, now_ms=application.now_ms).end_before(application.now_ms())
    finally:
        store.close()

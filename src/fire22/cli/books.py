"""The commands for a book: `install-triggers`, `replay`; and what `check` says of one."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import apsw
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fire22 import app as application
from fire22.app import Settings
from fire22.cli.reconcile import compare_figures
from fire22.cli.server_books import install_in_server, remove_from_server
from fire22.cli.terminal import MappingOption, err, out, program, told
from fire22.core import codes
from fire22.core.errors import BookError, SetupError
from fire22.core.outbox import RowChange, Unusable
from fire22.core.times import to_text
from fire22.observability.logging import configure as configure_logging
from fire22.sources.follower import Follower
from fire22.sources.sqlite import install as outbox
from fire22.sources.sqlite.connection import book_errors, connect
from fire22.sources.sqlite.reader import SqliteBook
from fire22.sportsbook.book.schema import Book
from fire22.sportsbook.book.schema import book as book_of
from fire22.sportsbook.book.schema.mapping import BookMapping, read_book_mapping
from fire22.sportsbook.book.schema.unmapped import Unmapped, unmapped
from fire22.sportsbook.book.schema.upgrade import upgrade
from fire22.sportsbook.replay import pacing as replaying
from fire22.sportsbook.replay.recording import read_mapping

DIFFERENCES_SHOWN_MAX = 50


@program.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Recorded wagers: CSV or JSON Lines, also .gz.")],
    mapping: Annotated[Path, typer.Option(help="TOML that names the columns; see examples/.")],
    book: Annotated[Path, typer.Option(help="The book to write to; created if there is none.")],
    speed: Annotated[str, typer.Option(help="Replay speed: recorded seconds per second, or `max`.")] = "1",
    resume: Annotated[bool, typer.Option("--resume", help="Skip wagers that are already in the book.")] = False,
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


@program.command("install-triggers")
def install_triggers(
    book: Annotated[Path | None, typer.Argument(help="The book's SQLite file.")] = None,
    dsn: Annotated[
        str,
        typer.Option(help="The address of a book in PostgreSQL instead, such as postgresql://owner@host/book."),
    ] = "",
    reader: Annotated[
        str, typer.Option(help="With --dsn: the role that reads the book; it is given the rights for that.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Remove the triggers and their table.")] = False,
    keep_outbox: Annotated[
        bool, typer.Option("--keep-outbox", help="With --uninstall: keep changes that have not been read.")
    ] = False,
    bootstrap: Annotated[bool, typer.Option(help="Import the rows that the book already has.")] = True,
    again: Annotated[
        bool, typer.Option("--again", help="Have the server compare the whole book with its copy.")
    ] = False,
    book_id: Annotated[
        str, typer.Option(help="The id that the book had before its triggers were removed; `book_gap` says it.")
    ] = "",
    mapping: MappingOption = None,
    config: Annotated[
        Path | None,
        typer.Option("-c", "--config", help="The server's configuration; its currency must match the mapping's."),
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Install even where values cannot be mapped.")] = False,
) -> None:
    """Install the triggers and the table of changes in a book, in one transaction; doing it again changes nothing."""
    with told():
        if book_id and not re.fullmatch("[0-9a-f]{12}", book_id):
            raise SetupError(codes.CONFIG_INVALID, f"--book-id has 12 digits from 0 to f, not {book_id}.")
        currency = application.load(config).domain.book.currency if config else ""
        mapped = read_book_mapping(mapping, currency) if mapping else None
        if dsn and book is None:
            if uninstall:
                remove_from_server(dsn, keep_outbox=keep_outbox)
            else:
                install_in_server(
                    *(dsn, book_of(mapped).outbox),
                    bootstrap=bootstrap,
                    again=again,
                    book_id=book_id,
                    reader=reader,
                    dry_run=dry_run,
                )
            return
        if book is None or dsn or reader:
            raise SetupError(codes.CONFIG_INVALID, "Name a SQLite file, or the address of a book with --dsn.")
        if uninstall:
            removed = outbox.uninstall(book, keep_outbox=keep_outbox)
            out.print(f"Removed {len(removed)}: {', '.join(removed) or 'nothing was installed'}.", highlight=False)
            return
        if mapped is None and _upgrade(book, dry_run=dry_run) and dry_run:
            out.print("Then the triggers would be exchanged.")
        elif dry_run:
            plan = _plan(book, mapped)
            if mapped:
                _check_values(book, mapped)
            _print_plan(plan)
        else:
            if mapped and not anyway:
                _plan(book, mapped)
                _check_values(book, mapped)
            report = outbox.install(book, book_of(mapped).outbox, bootstrap=bootstrap, again=again, book_id=book_id)
            _print_plan(report.plan)
            if report.first and not book_id:
                then = "brings in the rows that are there" if bootstrap else "tells what is written from now on"
                out.print(f"Book {report.book_id}: the server {then}.", highlight=False)
            elif again or book_id or not report.plan.empty:
                out.print(f"Book {report.book_id}: the server compares all of it with what it knows.", highlight=False)


def _upgrade(book: Path, *, dry_run: bool) -> bool:
    """Add what a book of the demo schema lacks that an earlier version made; whether it lacked anything."""
    if not book.is_file():
        return False  # the installation says so
    with book_errors(book):
        statements = upgrade(book, dry_run=dry_run)
    for each in statements:
        out.print(f"{'Would run' if dry_run else 'Ran'}: {' '.join(each.split())}", highlight=False, markup=False)
    return bool(statements)


@contextlib.contextmanager
def _reading(book: Path) -> Iterator[apsw.Connection]:
    """A book, to look at only."""
    if not book.is_file():
        raise SetupError(codes.BOOK_MISSING, f"There is no book at {book}.")
    with book_errors(book):
        connection = connect(book, apsw.SQLITE_OPEN_READONLY)
        try:
            yield connection
        finally:
            connection.close()


def _plan(book: Path, mapping: BookMapping | None) -> outbox.Plan:
    try:
        with _reading(book) as connection:
            return outbox.plan(connection, book_of(mapping).outbox)
    except BookError as error:
        if mapping is not None or error.code is not codes.BOOK_SCHEMA:
            raise
        hint = "A book with tables of its own needs its mapping: --mapping FILE, or book.mapping in the configuration."
        raise BookError(error.code, f"{error.message} {hint}") from None


def _list_values(book: Path, mapping: BookMapping) -> int:
    """Say every value that the mapping cannot make ours; returns how many there are."""
    with _reading(book) as connection:
        found = unmapped(connection, mapping)
    for one in found:
        out.print(f"  {_line(one)}", highlight=False, markup=False, soft_wrap=True)
    if not found:
        out.print(f"values: ok, all that were looked at are mapped by {mapping.name}", highlight=False)
    return len(found)


def _check_values(book: Path, mapping: BookMapping) -> None:
    """Say every value that the mapping cannot make ours, and end there if there is one."""
    if count := _list_values(book, mapping):
        message = f"{count:,} values of {book.name} cannot be mapped by {mapping.name}; correct the mapping or them."
        raise SetupError(codes.MAPPING_INVALID, message)


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


def check_book(path: Path, mapping: Path | None, currency: str) -> None:
    """Say whether a book is fit to be read.

    Args:
        mapping: of a book with other tables.
        currency: of the book, as the configuration says it.

    Raises:
        SetupError: `mapping_invalid`, `config_invalid` where the mapping names another currency, or `book_schema`
            where the triggers are not in place.
    """
    mapped = read_book_mapping(mapping, currency) if mapping else None
    plan = _plan(path, mapped)
    if plan.empty:
        count = _list_values(path, mapped) if mapped else 0
        aside = f"; {count:,} values cannot be mapped, and facts of rows that have them are set aside" if count else ""
        out.print(f"book: ok, triggers are in place{aside}", highlight=False, soft_wrap=True)
        return
    if mapped:
        _check_values(path, mapped)
    run_it = f"fire22 install-triggers {path}" + (f" --mapping {mapping}" if mapping else "")
    raise SetupError(codes.BOOK_SCHEMA, f"The triggers are not in place; run `{run_it}`.")


def compare_book(path: Path, mapping: Path | None, settings: Settings, *, repair: bool) -> bool:
    """Compare a book with what the server knows of it, row by row, then its customers and markets with the figures;
    says each difference, and whether there is none.

    Args:
        settings: of the server; none runs on its data folder.
        repair: let the next start of the server bring the rows that differ in.
    """
    domain = book_of(read_book_mapping(mapping, settings.domain.book.currency) if mapping else None)
    follower = Follower(SqliteBook(path, domain.outbox), domain, settings.folder, lambda _: 0)
    try:
        if follower.mirror.fresh:
            out.print("book and figures: the server has not read the book yet")
            return True
        fit = _compare_rows(follower, domain, path, repair=repair)
        mapped = domain.mapping.tables
        balances = mapped["customers"].column("balance_cents") is not None
        return compare_figures(follower, settings, balances=balances, legs="wager_legs" in mapped) and fit
    finally:
        follower.close()


def _compare_rows(follower: Follower, domain: Book, path: Path, *, repair: bool) -> bool:
    counts: Counter[str] = Counter()
    for each in follower.differences():
        counts[each.table] += 1
        if counts.total() <= DIFFERENCES_SHOWN_MAX:
            out.print(f"  {_difference(each)}", highlight=False, markup=False, soft_wrap=True)
    unread = follower.unread
    if not counts:
        later = f", but for {unread:,} changes that are not read yet" if unread > 0 else ""
        out.print(f"book and figures: ok, every row is known as it is{later}", highlight=False, soft_wrap=True)
        return True
    said = ", ".join(f"{count:,} of {table}" for table, count in sorted(counts.items()))
    waiting = f" ({unread:,} changes have not been read yet)" if unread else ""
    out.print(f"book and figures: {counts.total():,} rows differ: {said}{waiting}", highlight=False, soft_wrap=True)
    if repair:
        outbox.install(path, domain.outbox, again=True)
        out.print("The server's next start brings them in.")
    return repair


def _difference(one: RowChange | Unusable) -> str:
    if isinstance(one, Unusable):
        return one.reason
    key = "/".join(map(str, one.key))
    return f"{one.table} {key} " + (
        "is known, and no longer in the book" if one.row is None else "is known otherwise, or not at all"
    )

"""What `install-triggers` and `check` do with a book in a database server."""

from types import ModuleType

from fire22.cli.terminal import out
from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.core.outbox import OutboxSchema
from fire22.sources.kinds import MAKERS


def install_in_server(
    dsn: str, schema: OutboxSchema, *, bootstrap: bool, again: bool, book_id: str, reader: str, dry_run: bool
) -> None:
    """Install the triggers in a PostgreSQL database, and say what was done; see `sources/postgres/install.py`.

    Raises:
        SetupError, BookError: as `install` there.
    """
    report = _installer(dsn).install(
        dsn, schema, bootstrap=bootstrap, again=again, book_id=book_id, reader=reader, dry_run=dry_run
    )
    for sql in report.statements if dry_run else ():
        out.print(f"{sql};", highlight=False, markup=False, soft_wrap=True)
    if not report.statements:
        out.print("Everything is in place.")
    elif not dry_run:
        then = "brings in the rows that are there" if bootstrap else "tells what is written from now on"
        compares = "compares all of it with what it knows"
        out.print(f"Book {report.book_id}: the server {then if report.first else compares}.", highlight=False)


def remove_from_server(dsn: str, *, keep_outbox: bool) -> None:
    """Remove the triggers from a PostgreSQL database, and say what was removed.

    Raises:
        SetupError, BookError: as `uninstall` in `sources/postgres/install.py`.
    """
    removed = _installer(dsn).uninstall(dsn, keep_outbox=keep_outbox)
    out.print(f"Removed {len(removed)}: {', '.join(removed) or 'nothing was installed'}.", highlight=False)


def check_in_server(kind: str, dsn: str, schema: OutboxSchema) -> None:
    """Say whether a book in a database server is fit to be read.

    Raises:
        SetupError, BookError: why not.
    """
    MAKERS[kind](dsn, schema).check()
    out.print("book: ok, triggers are in place", highlight=False)


def _installer(dsn: str) -> ModuleType:
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        from fire22.sources.postgres import install
    except ImportError:
        message = "Books in PostgreSQL need a driver; this helps: pip install 'fire22-flows[postgres]'."
        raise SetupError(codes.CONFIG_INVALID, message) from None
    try:
        parts = conninfo_to_dict(dsn)
    except ProgrammingError:
        raise SetupError(codes.CONFIG_INVALID, "--dsn is no address of a PostgreSQL database.") from None
    if parts.get("password"):
        message = "A password on the command line is seen by all of the machine; use ~/.pgpass or PGPASSWORD."
        raise SetupError(codes.CONFIG_INVALID, message)
    return install

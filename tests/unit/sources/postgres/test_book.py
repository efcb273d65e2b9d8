"""Books in a real PostgreSQL server: what their own programs may do, and what is told of it."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fire22.core.errors import BookError
from fire22.core.outbox import OutboxSchema, TableNeed
from fire22.sources.kinds import BookAt
from fire22.sources.postgres.install import install, missing, uninstall
from fire22.sources.postgres.reader import PostgresBook, PostgresReader
from tests.support.orders import Orders, reading
from tests.support.postgres import Database, server
from tests.support.storage import opened

SCHEMA = Orders.outbox
ALL = 1_000_000


class Orderly(Database):
    """A database with two tables, of which can be asked what a reader is told."""

    def __init__(self) -> None:
        super().__init__(
            "CREATE TABLE orders(id bigint PRIMARY KEY, name text)",
            "CREATE TABLE lines(id bigint PRIMARY KEY, of bigint, what text)",
        )

    def told(self) -> list[tuple[str, str, tuple[object, ...], tuple[object, ...]]]:
        """What a reader that begins now is told of tables."""
        reader = PostgresReader(self.dsn, SCHEMA)
        try:
            with reader.reading():
                changes = reader.changes(0, ALL)
        finally:
            reader.close()
        return [(each.source, each.op, each.old, each.new) for each in changes if each.source]


@pytest.fixture
def database() -> Iterator[Orderly]:
    """A database with two tables and no triggers."""
    made = Orderly()
    yield made
    made.end()


def test_installing_shows_what_it_does_and_does_it_once(database: Orderly) -> None:
    """A database administrator reads the statements first; doing it again changes nothing, and all can be removed."""
    shown = install(database.dsn, SCHEMA, dry_run=True)
    assert any(sql.startswith("CREATE TRIGGER") for sql in shown.statements)
    assert (shown.book_id, shown.first) == ("", True)
    with pytest.raises(BookError, match="no triggers yet"):
        PostgresBook(database.dsn, SCHEMA).check()
    assert len(install(database.dsn, SCHEMA).book_id) == 12
    PostgresBook(database.dsn, SCHEMA).check()
    assert install(database.dsn, SCHEMA).statements == ()
    assert len(uninstall(database.dsn)) == 5
    assert uninstall(database.dsn) == ()


def test_a_table_that_is_missing_is_named(database: Orderly) -> None:
    """Nothing is installed where the mapping names what is not there."""
    schema = OutboxSchema("orders", 1, (TableNeed("orders", ("id", "colour")), TableNeed("nowhere", ("id",))))
    with pytest.raises(BookError, match=r"orders\.colour, nowhere"):
        install(database.dsn, schema)


def test_names_are_found_as_they_were_written_or_in_small_letters(database: Orderly) -> None:
    """One mapping fits a book whatever the case of its names, also outside of the search path."""
    database.run('CREATE SCHEMA shop; CREATE TABLE shop."Tickets"("TicketId" bigint, Stake numeric)')
    schema = OutboxSchema("tickets", 1, (TableNeed("shop.Tickets", ("TicketId", "Stake")),))
    install(database.dsn, schema)
    database.run('INSERT INTO shop."Tickets" VALUES (1, 5.50)')
    assert database.told() == [("shop.Tickets", "insert", (), (1, 5.5))]


def test_what_the_roles_need(database: Orderly) -> None:
    """The book's role needs no right of ours; the reader's reads the mapped columns and trims, and writes nothing."""
    writer, reader = f"w_{database.name}", f"r_{database.name}"
    database.run(
        f"CREATE ROLE {writer} LOGIN", f"CREATE ROLE {reader} LOGIN", "ALTER TABLE orders ADD COLUMN secret text",
        f"GRANT INSERT ON orders TO {writer}",
    )  # fmt: skip
    try:
        install(database.dsn, SCHEMA, reader=reader)
        database.run("INSERT INTO orders VALUES (1, 'a', 's')", role=writer)
        for sql in ("SELECT * FROM fire22.changes", "DELETE FROM fire22.meta"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.run(sql, role=writer)
        for sql in ("SELECT secret FROM orders", "DELETE FROM orders", "INSERT INTO fire22.meta VALUES ('a', 'b')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.run(sql, role=reader)
        book = PostgresReader(server().dsn(database.name, reader), SCHEMA)
        try:
            assert book.missing() == []
            with book.reading():
                assert list(book.scan("orders", ("id", "name"))) == [(1, "a")]
                [_, change] = book.changes(0, ALL)
            assert book.trim(change.number, 1) == change.number
            assert book.change(change.number) == change
        finally:
            book.close()
    finally:
        database.run(f"DROP OWNED BY {writer}, {reader}", f"DROP ROLE {writer}", f"DROP ROLE {reader}")


def test_functions_of_others_are_not_called(database: Orderly) -> None:
    """Who can put objects before the server's own in his search path gains no rights by writing a row."""
    install(database.dsn, SCHEMA)
    database.run(
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''called''; END'",
        "CREATE FUNCTION evil.jsonb_build_array(jsonb, jsonb) RETURNS jsonb LANGUAGE plpgsql"
        " AS 'BEGIN RAISE ''called''; END'",
        "SET search_path = evil, pg_catalog, public",
        "INSERT INTO orders VALUES (1, 'a')",
    )
    assert database.told() == [("orders", "insert", (), (1, "a"))]


def test_savepoints_and_rollbacks(database: Orderly) -> None:
    """What was rolled back to a savepoint has never been; the rest of its transaction is told together."""
    install(database.dsn, SCHEMA)
    database.run(
        "INSERT INTO orders VALUES (1, 'a')", "SAVEPOINT s", "INSERT INTO orders VALUES (2, 'b')",
        "ROLLBACK TO s", "INSERT INTO orders VALUES (3, 'c')",
    )  # fmt: skip
    assert [new for _, _, _, new in database.told()] == [(1, "a"), (3, "c")]


def test_a_transaction_that_is_open_holds_back_only_itself(database: Orderly) -> None:
    """What committed around it is told, and it is told whole when it commits."""
    install(database.dsn, SCHEMA)
    reader = PostgresReader(database.dsn, SCHEMA)

    def take(after: int) -> list[tuple[object, ...]]:
        with reader.reading():
            return [each.new for each in reader.changes(after, ALL)]

    try:
        assert len(take(0)) == 1  # the layout
        with psycopg.connect(database.dsn) as slow:
            slow.execute("INSERT INTO orders VALUES (1, 'slow')")
            database.run("INSERT INTO orders VALUES (2, 'quick')")
            assert take(1) == []  # number 2 may still come
            assert reader.changed()
            slow.execute("INSERT INTO orders VALUES (3, 'slow too')")
        assert take(1) == [(2, "quick"), (1, "slow"), (3, "slow too")]
        assert reader.changed()
        assert take(4) == []
        assert not reader.changed()
    finally:
        reader.close()


def test_a_column_that_is_renamed_does_not_break_the_book(database: Orderly) -> None:
    """The book's own write succeeds; that its changes go unseen is said until the triggers are installed again."""
    install(database.dsn, SCHEMA)
    database.run("ALTER TABLE orders RENAME COLUMN name TO title", "INSERT INTO orders VALUES (1, 'a')")
    with psycopg.connect(database.dsn) as connection:
        assert missing(connection, SCHEMA) == ["orders.name"]
    assert database.told() == []
    database.run("ALTER TABLE orders RENAME COLUMN title TO name")
    reader = PostgresReader(database.dsn, SCHEMA)
    try:
        assert reader.missing() == ["a column was missing for a time"]
    finally:
        reader.close()
    assert install(database.dsn, SCHEMA).statements
    reader = PostgresReader(database.dsn, SCHEMA)
    try:
        assert reader.missing() == []
    finally:
        reader.close()


VALUES = (
    ("numeric", "12.50", 12.5),
    ("numeric", "0.1", 0.1),
    ("numeric", "12345678901234567890.12", "12345678901234567890.12"),
    ("numeric", "'NaN'", "NaN"),
    ("numeric(30)", "123456789012345678901234", "123456789012345678901234"),
    ("float8", "0.30000000000000004", 0.30000000000000004),
    ("float8", "'Infinity'", "Infinity"),
    ("bigint", "-9223372036854775808", -(2**63)),
    ("boolean", "true", 1),
    ("text", r"E'a\u00e9\'\\'", "aé'\\"),
    ("text", "NULL", None),
    ("char(5)", "'ab'", "ab   "),
    ("timestamptz", "'2026-03-01 12:00:00+02'", "2026-03-01T10:00:00+00:00"),
    ("timestamp", "'2026-03-01 12:00:00.25'", "2026-03-01T12:00:00.25"),
    ("timestamptz", "'infinity'", "infinity"),
    ("date", "'2026-03-01'", "2026-03-01"),
    ("interval", "'1 hour'", "PT1H"),
    ("jsonb", """'{"a": [1]}'""", '{"a":[1]}'),
    ("int[]", "'{1,2}'", "[1,2]"),
    ("bytea", r"'\x00ff'", r"\x00ff"),
)


def test_values_do_not_hang_on_a_sessions_settings(database: Orderly) -> None:
    """Numbers are exact, times in UTC, whatever the writer has set; a trigger and a scan of the table say the same."""
    columns = tuple(f"c{place}" for place in range(len(VALUES)))
    database.run("CREATE TABLE kinds(" + ", ".join(f"c{at} {kind}" for at, (kind, _, _) in enumerate(VALUES)) + ")")
    schema = OutboxSchema("kinds", 1, (TableNeed("kinds", columns),))
    install(database.dsn, schema)
    database.run(
        "SET timezone = 'Asia/Tokyo'", "SET extra_float_digits = 0", "SET intervalstyle = 'postgres_verbose'",
        "SET datestyle = 'German'", f"INSERT INTO kinds VALUES ({', '.join(sql for _, sql, _ in VALUES)})",
    )  # fmt: skip
    wanted = tuple(value for _, _, value in VALUES)
    [(_, _, _, new)] = database.told()
    assert new == wanted
    reader = PostgresReader(database.dsn, schema)
    try:
        with reader.reading():
            assert list(reader.scan("kinds", columns)) == [wanted]
    finally:
        reader.close()


def test_a_nul_cannot_be_stored(database: Orderly) -> None:
    """The server refuses it in a text and in JSON, so none reaches a trigger."""
    install(database.dsn, SCHEMA)
    with pytest.raises(psycopg.DataError), psycopg.connect(database.dsn) as connection:
        connection.execute("INSERT INTO orders VALUES (1, %s)", ("a\0b",))


def test_bulk_loads(database: Orderly) -> None:
    """Rows that COPY brings are changes as well, and a large transaction is told whole."""
    install(database.dsn, SCHEMA)
    with psycopg.connect(database.dsn) as connection, connection.cursor().copy("COPY orders FROM STDIN") as copy:
        for number in range(25_000):
            copy.write_row((number, "x"))
    assert [new[0] for _, _, _, new in database.told()] == list(range(25_000))


async def test_truncated_and_partitioned_tables(database: Orderly, tmp_path: Path) -> None:
    """Rows that TRUNCATE takes are gone for us too, also from one partition; a row that moves stays the same row."""
    database.run(
        "DROP TABLE orders", "CREATE TABLE orders(id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE high PARTITION OF orders FOR VALUES FROM (10) TO (20)",
    )  # fmt: skip
    install(database.dsn, SCHEMA)
    database.run("INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (11, 'c')")
    at = BookAt("postgresql", database.dsn, "tests.support.orders:Orders")
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage) as running:
        assert await running.told(3) == ["made a", "made b", "made c"]
        database.run("TRUNCATE high")
        assert (await running.told(4))[3:] == ["gone c"]
        database.run("CREATE TABLE top PARTITION OF orders FOR VALUES FROM (20) TO (30)")
        await running.problem("book_triggers_missing")  # it could be emptied unseen
        install(database.dsn, SCHEMA)
        await running.problem("")
        database.run("INSERT INTO orders VALUES (21, 'd')")
        assert (await running.told(5))[4:] == ["made d"]
        database.run("TRUNCATE orders")
        assert sorted((await running.told(8))[5:]) == ["gone a", "gone b", "gone d"]


@pytest.mark.parametrize("apart", [False, True])
async def test_lines_before_or_behind_their_order(
    database: Orderly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    """An order is told with its lines, in whichever order its transaction writes them, also by a process apart."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
    install(database.dsn, SCHEMA)
    database.run("INSERT INTO orders VALUES (1, 'a')", "INSERT INTO lines VALUES (1, 1, 'x'), (2, 1, 'y')")
    database.run("INSERT INTO lines VALUES (3, 2, 'z')", "INSERT INTO orders VALUES (2, 'b')")
    at = BookAt("postgresql", database.dsn, "tests.support.orders:Orders")
    async with opened(tmp_path / "flows.db") as storage, reading(at, tmp_path, storage, apart=apart) as running:
        assert await running.told(2) == ["made a: x, y", "made b: z"]


def test_an_address_keeps_its_password_to_itself(database: Orderly) -> None:
    """Neither names nor errors nor what a developer prints shows it."""
    secret = "hunter2"  # pragma: allowlist secret
    dsn = f"postgresql://postgres:{secret}@127.0.0.1:1/{database.name}"
    book = PostgresBook(dsn, SCHEMA)
    with pytest.raises(BookError) as caught:
        book.check()
    said = [book.name, book.title, book.again, book.anew, caught.value.message, repr(BookAt("postgresql", dsn, "a:b"))]
    assert caught.value.code.name == "book_missing"
    assert not any(secret in each for each in said)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:S3%CRET@127.0.0.1:1/db",  # pragma: allowlist secret
        "postgresql://u:p/CRET@127.0.0.1:1/db",  # pragma: allowlist secret
        "postgresql://u:S3@CRET:x@127.0.0.1:1/db",  # pragma: allowlist secret
        "host=127.0.0.1 port=1 password=S3 CRET",  # pragma: allowlist secret
    ],
)
def test_a_password_that_is_not_encoded_is_not_shown_either(dsn: str) -> None:
    """Parts of it are taken for a host, a database or a setting; no message and no name says what they are."""
    book = PostgresBook(dsn, SCHEMA)
    with pytest.raises(BookError) as caught:
        book.check()
    assert not any("CRET" in each for each in (book.name, book.title, book.again, book.anew, caught.value.message))

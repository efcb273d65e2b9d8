"""The outbox in a user's own database: installed whole or not at all, once, and removed again."""

import sqlite3
from pathlib import Path

import apsw
import msgspec
import pytest

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import OutboxSchema, TableNeed
from fire22.sources.sqlite import connection as opening
from fire22.sources.sqlite.connection import book_errors
from fire22.sources.sqlite.install import OutboxStatus, Plan, install, missing, plan, status, uninstall

SCHEMA = OutboxSchema("test", 1, (TableNeed("t", ("id", "name")),))
TRIGGERS = ("fire22_t_delete", "fire22_t_insert", "fire22_t_update")
FORMER = """
    CREATE TABLE fire22_meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE fire22_outbox(number INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, timestamp TEXT NOT NULL,
      data TEXT NOT NULL, category TEXT NOT NULL DEFAULT '', priority INTEGER NOT NULL DEFAULT 1);
    CREATE TABLE fire22_replaced(source TEXT NOT NULL, id TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY(source, id));
    INSERT INTO fire22_meta VALUES('book_id', 'abc'), ('clock', 'wall'), ('trimmed_to', '7'), ('schema', 'test'),
      ('version', '4'), ('bootstrapped', '2026-01-01T00:00:00.000Z');
    CREATE VIEW fire22_things AS SELECT * FROM t;
    CREATE TRIGGER fire22_t_insert AFTER INSERT ON t BEGIN
      INSERT INTO fire22_outbox(type, timestamp, data) VALUES('t.created', 'x', json_object('id', NEW.id)); END;
    CREATE TRIGGER fire22_t_gone AFTER DELETE ON t BEGIN SELECT 1; END
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A user's database with two rows."""
    file = tmp_path / "user.db"
    connection = apsw.Connection(str(file))
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES(1, 'a'), (2, 'b')")
    connection.close()
    return file


def changes(path: Path) -> list[tuple[object, ...]]:
    """What was copied: number, table, kind, old and new values."""
    with sqlite3.connect(path) as connection:
        sql = "SELECT number, source, op, o0, o1, n0, n1 FROM fire22_changes WHERE op <> 'layout' ORDER BY number"
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def run(path: Path, sql: str) -> None:
    """Write as the user's own program would, with whatever SQLite it has."""
    with sqlite3.connect(path) as connection:
        connection.executescript(sql)
    connection.close()


def objects(path: Path) -> set[str]:
    """Every table and trigger of ours."""
    connection = apsw.Connection(str(path))
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'fire22%' AND type <> 'index'")
    names = {str(row[0]) for row in rows}
    connection.close()
    return names


def failing(path: Path, schema: OutboxSchema = SCHEMA) -> BookError:
    """The error of an installation that must fail."""
    with pytest.raises(BookError) as caught:
        install(path, schema)
    return caught.value


def test_what_is_written_is_copied_as_it_is(path: Path) -> None:
    """Old and new values of every row, each of its own type; what is there before is left to the reader."""
    assert install(path, SCHEMA).first
    run(path, "INSERT INTO t VALUES(3, x'00ff')")
    run(path, "UPDATE t SET name = 1.5 WHERE id = 3")
    run(path, "UPDATE t SET name = name")
    run(path, "DELETE FROM t WHERE id = 3")
    assert changes(path) == [
        (2, "t", "insert", None, None, 3, b"\x00\xff"),
        (3, "t", "update", 3, b"\x00\xff", 3, "1.5"),
        (4, "t", "delete", 3, "1.5", None, None),
    ]


def test_installing_twice_changes_nothing(path: Path) -> None:
    """The second installation finds all in place, the same book id and the same generation."""
    first = install(path, SCHEMA)
    before = path.read_bytes()
    second = install(path, SCHEMA)
    assert (second.book_id, second.plan, second.first) == (first.book_id, Plan(), False)
    assert second.plan.empty
    assert path.read_bytes() == before


def test_a_reader_can_be_asked_to_compare(path: Path) -> None:
    """Installed `again`, nothing changes but the generation, by which a reader sees that it is to look at all rows."""
    install(path, SCHEMA)
    before = standing(path)
    assert install(path, SCHEMA, again=True).plan == Plan()
    after = standing(path)
    assert (after.book_id, after.generation != before.generation) == (before.book_id, True)


def test_a_plan_says_what_would_be_done_and_does_nothing(path: Path) -> None:
    """A dry run names tables and triggers, and leaves the user's database as it was."""
    before = path.read_bytes()
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = plan(connection, SCHEMA)
    connection.close()
    assert (found.tables, set(found.create)) == (("fire22_meta", "fire22_changes"), set(TRIGGERS))
    assert path.read_bytes() == before


def test_changed_triggers_are_replaced_and_old_ones_dropped(path: Path) -> None:
    """An upgrade exchanges what changed, widens the table of changes, and says which columns come from now on."""
    first = install(path, SCHEMA)
    run(path, "CREATE TABLE u(a, b, c)")
    wider = msgspec.structs.replace(SCHEMA, version=2, tables=(TableNeed("u", ("a", "b", "c")),))
    report = install(path, wider)
    assert (report.plan.drop, report.plan.columns, report.book_id) == (TRIGGERS, 1, first.book_id)
    run(path, "INSERT INTO u VALUES(1, 2, 3)")
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT source, op, n0, n2 FROM fire22_changes ORDER BY number").fetchall()
    connection.close()
    assert rows == [("", "layout", '{"t":["id","name"]}', None), ("", "layout", '{"u":["a","b","c"]}', None),
                    ("u", "insert", 1, 3)]  # fmt: skip


def test_what_a_former_version_left_is_replaced(path: Path) -> None:
    """Its triggers and views go in the same transaction; facts that nobody has read stay, and so does the book's id."""
    run(path, FORMER)
    run(path, "INSERT INTO t VALUES(3, 'c')")
    report = install(path, SCHEMA)
    assert (report.book_id, report.first) == ("abc", False)
    assert {"fire22_things", "fire22_t_gone"} <= set(report.plan.drop)
    run(path, "INSERT INTO t VALUES(4, 'd')")
    assert [row[1:3] for row in changes(path)] == [("t", "insert")]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT data FROM fire22_outbox").fetchall() == [('{"id":3}',)]
    connection.close()
    assert (standing(path).upgraded, standing(path).trimmed_to) == (True, 0)


def test_everything_that_is_missing_is_named(path: Path) -> None:
    """A database of another shape is refused with every table and column it lacks, and stays untouched."""
    needs = (TableNeed("t", ("id", "price")), TableNeed("u", ("id",)))
    error = failing(path, msgspec.structs.replace(SCHEMA, tables=needs))
    assert error.code is codes.BOOK_SCHEMA
    assert "t.price, u." in error.message
    assert objects(path) == set()


def test_a_table_without_rowid_has_none(path: Path) -> None:
    """A row that can only be named by its rowid is not taken from a table that has none."""
    run(path, "CREATE TABLE w(a PRIMARY KEY) WITHOUT ROWID")
    error = failing(path, msgspec.structs.replace(SCHEMA, tables=(TableNeed("w", ("rowid",)),)))
    assert "w.rowid" in error.message
    install(path, msgspec.structs.replace(SCHEMA, tables=(TableNeed("t", ("rowid",)),)))


def test_triggers_that_are_missing_are_named(path: Path) -> None:
    """A tool that builds a table anew drops its triggers without a word."""
    install(path, SCHEMA)
    run(path, "CREATE TABLE new(id INTEGER PRIMARY KEY, name TEXT); DROP TABLE t; ALTER TABLE new RENAME TO t")
    connection = apsw.Connection(str(path))
    assert sorted(missing(connection, SCHEMA)) == sorted(TRIGGERS)
    connection.close()
    assert set(install(path, SCHEMA).plan.create) == set(TRIGGERS)


def test_numbers_go_on_after_trimming(path: Path) -> None:
    """A change's number names it for ever, though the rows before it are gone."""
    install(path, SCHEMA)
    run(path, "DELETE FROM fire22_changes")
    run(path, "INSERT INTO t VALUES(3, 'c')")
    assert [row[0] for row in changes(path)] == [2]


def test_uninstall_removes_everything(path: Path) -> None:
    """After the removal the database has nothing of ours, and a later installation is another book."""
    first = install(path, SCHEMA)
    assert uninstall(path) == (*TRIGGERS, "fire22_changes", "fire22_meta")
    assert objects(path) == set()
    run(path, "INSERT INTO t VALUES(3, 'c')")
    assert install(path, SCHEMA).book_id != first.book_id
    assert uninstall(path) != ()
    assert uninstall(path) == ()


def test_an_outbox_that_was_kept_goes_on(path: Path) -> None:
    """Removed triggers miss what happens; a later installation has another generation, so that all is compared."""
    first = install(path, SCHEMA)
    before = standing(path)
    assert uninstall(path, keep_outbox=True) == TRIGGERS
    run(path, "INSERT INTO t VALUES(3, 'c')")
    again = install(path, SCHEMA)
    assert (again.book_id, again.first) == (first.book_id, False)
    assert standing(path).generation != before.generation
    assert changes(path) == []


def standing(path: Path) -> OutboxStatus:
    """How a book stands."""
    connection = apsw.Connection(str(path))
    found = status(connection)
    connection.close()
    return found


def test_status_tells_how_the_changes_stand(path: Path) -> None:
    """An operator sees whether triggers are there, which numbers were given and how many rows wait."""
    assert standing(path) == OutboxStatus(installed=False)
    report = install(path, SCHEMA, clock="recorded", bootstrap=False)
    run(path, "INSERT INTO t VALUES(3, 'c')")
    found = msgspec.structs.replace(standing(path), generation="")
    assert found == OutboxStatus(
        True, report.book_id, "test", 1, "recorded", bootstrap=False, triggers=3, trimmed_to=0, last=2, waiting=2
    )


def test_the_clock_stays_as_it_was_first_said(path: Path) -> None:
    """A recorded book stays one, whoever installs again."""
    install(path, SCHEMA, clock="recorded")
    install(path, SCHEMA)
    assert standing(path).clock == "recorded"


def test_a_locked_database_is_a_temporary_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program holds the lock, the error says so and that trying again may help."""
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_MS", 0)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    error = failing(path)
    other.close()
    assert error.code is codes.BOOK_LOCKED
    assert error.temporary


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    """A wrong path is an error, not an empty database."""
    missing = tmp_path / "none.db"
    assert failing(missing).code is codes.BOOK_MISSING
    assert not missing.exists()


def test_a_file_that_is_not_a_database_is_named(tmp_path: Path) -> None:
    """Some other file is refused as damaged."""
    wrong = tmp_path / "wrong.db"
    wrong.write_bytes(b"this is not a database" * 100)
    assert failing(wrong).code is codes.BOOK_CORRUPT


def test_a_database_that_cannot_be_written_is_named(path: Path) -> None:
    """A connection without the right to write gets a clear code."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    with pytest.raises(BookError) as caught, book_errors(path):
        connection.execute("INSERT INTO t VALUES(9, 'x')")
    connection.close()
    assert caught.value.code is codes.BOOK_READONLY

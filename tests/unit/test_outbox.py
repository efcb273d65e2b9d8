"""The outbox in a user's own database: installed whole or not at all, once, and removed again."""

import sqlite3
from pathlib import Path

import apsw
import msgspec
import pytest

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import OutboxSchema, TableNeed
from fire22.sources import outbox
from fire22.sources.outbox import Plan, install, plan, status, uninstall

INSERTED = (
    "CREATE TRIGGER fire22_t_insert AFTER INSERT ON t BEGIN"
    " INSERT INTO fire22_outbox(type, timestamp, data) VALUES('t.created', '2026-01-01T00:00:00.000Z',"
    " json_object('id', NEW.id)); END"
)
SCHEMA = OutboxSchema(
    name="test",
    version=1,
    tables=(TableNeed("t", ("id", "name")),),
    triggers=(("fire22_t_insert", INSERTED),),
    bootstrap=(
        "INSERT INTO fire22_outbox(type, timestamp, data)"
        " SELECT 't.imported', '2026-01-01T00:00:00.000Z', json_object('id', id) FROM t ORDER BY id",
    ),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A user's database with two rows."""
    file = tmp_path / "user.db"
    connection = apsw.Connection(str(file))
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES(1, 'a'), (2, 'b')")
    connection.close()
    return file


def events(path: Path) -> list[tuple[int, str, str]]:
    """The outbox: number, type, data."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT number, type, data FROM fire22_outbox ORDER BY number").fetchall()
    connection.close()
    return rows


def run(path: Path, sql: str) -> None:
    """Write as the user's own program would, with whatever SQLite it has."""
    with sqlite3.connect(path) as connection:
        connection.execute(sql)
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


def test_rows_that_are_there_come_first_then_what_is_written(path: Path) -> None:
    """An engineer installs triggers on a living database: its rows are imported, later ones are told as they come."""
    report = install(path, SCHEMA)
    run(path, "INSERT INTO t VALUES(3, 'c')")
    assert report.imported == 2
    assert events(path) == [(1, "t.imported", '{"id":1}'), (2, "t.imported", '{"id":2}'), (3, "t.created", '{"id":3}')]


def test_installing_twice_changes_nothing(path: Path) -> None:
    """The second installation finds all in place: the same book id, nothing imported again."""
    first = install(path, SCHEMA)
    before = path.read_bytes()
    second = install(path, SCHEMA)
    assert (second.book_id, second.plan, second.imported) == (first.book_id, Plan(), 0)
    assert second.plan.empty
    assert path.read_bytes() == before


def test_a_plan_says_what_would_be_done_and_does_nothing(path: Path) -> None:
    """A dry run names tables and triggers, and leaves the user's database as it was."""
    before = path.read_bytes()
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = plan(connection, SCHEMA)
    connection.close()
    assert found == Plan(
        tables=("fire22_meta", "fire22_outbox", "fire22_replaced"), create=("fire22_t_insert",), bootstrap=True
    )
    assert path.read_bytes() == before


def test_changed_triggers_are_replaced_and_old_ones_dropped(path: Path) -> None:
    """An upgrade exchanges what changed and keeps the outbox and its numbers."""
    first = install(path, SCHEMA)
    changed = (("fire22_t_insert", INSERTED.replace("t.created", "t.added")),)
    assert install(path, msgspec.structs.replace(SCHEMA, version=2, triggers=changed)).plan == Plan(
        replace=("fire22_t_insert",), record=True
    )
    run(path, "INSERT INTO t VALUES(3, 'c')")
    assert events(path)[-1] == (3, "t.added", '{"id":3}')
    other = (("fire22_t_other", INSERTED.replace("fire22_t_insert", "fire22_t_other")),)
    report = install(path, msgspec.structs.replace(SCHEMA, version=3, triggers=other))
    assert report.plan == Plan(create=("fire22_t_other",), drop=("fire22_t_insert",), record=True)
    assert report.book_id == first.book_id


def test_everything_that_is_missing_is_named(path: Path) -> None:
    """A database of another shape is refused with every table and column it lacks, and stays untouched."""
    needs = (TableNeed("t", ("id", "price")), TableNeed("u", ("id",)))
    error = failing(path, msgspec.structs.replace(SCHEMA, tables=needs))
    assert error.code is codes.BOOK_SCHEMA
    assert "t.price, u." in error.message
    assert objects(path) == set()


def test_a_trigger_that_does_not_fit_is_found_at_installation(path: Path) -> None:
    """A trigger with a wrong column is an error now, not in the user's first transaction."""
    wrong = (("fire22_t_insert", INSERTED.replace("NEW.id", "NEW.amount")),)
    error = failing(path, msgspec.structs.replace(SCHEMA, triggers=wrong))
    assert error.code is codes.BOOK_SCHEMA
    assert "NEW.amount" in error.message
    assert objects(path) == set()


def test_a_bootstrap_that_fails_leaves_nothing(path: Path) -> None:
    """Tables, triggers and bootstrap are one transaction."""
    wrong = msgspec.structs.replace(SCHEMA, bootstrap=(*SCHEMA.bootstrap, "INSERT INTO nowhere VALUES(1)"))
    assert failing(path, wrong).code is codes.BOOK_SCHEMA
    assert objects(path) == set()


def test_bootstrap_can_be_left_out_and_done_later(path: Path) -> None:
    """Without a bootstrap only new rows are told; asking for it later imports what is there, once."""
    install(path, SCHEMA, bootstrap=False)
    assert events(path) == []
    assert install(path, SCHEMA).imported == 2
    assert install(path, SCHEMA).imported == 0


def test_numbers_go_on_after_trimming(path: Path) -> None:
    """An outbox number names one event for ever, though the rows before it are gone."""
    install(path, SCHEMA)
    run(path, "DELETE FROM fire22_outbox")
    run(path, "INSERT INTO t VALUES(3, 'c')")
    assert [number for number, _, _ in events(path)] == [3]


def test_uninstall_removes_everything(path: Path) -> None:
    """After the removal the database has nothing of ours, and a later installation is another book."""
    first = install(path, SCHEMA)
    assert uninstall(path) == ("fire22_t_insert", "fire22_outbox", "fire22_meta", "fire22_replaced")
    assert objects(path) == set()
    run(path, "INSERT INTO t VALUES(3, 'c')")
    assert install(path, SCHEMA).book_id != first.book_id
    assert uninstall(path) != ()
    assert uninstall(path) == ()


def test_an_outbox_that_was_kept_reports_the_gap(path: Path) -> None:
    """Removed triggers miss what happens; a later installation says since when, and imports nothing twice."""
    first = install(path, SCHEMA)
    assert first.gap_since == ""
    assert uninstall(path, keep_outbox=True) == ("fire22_t_insert",)
    run(path, "INSERT INTO t VALUES(3, 'c')")
    again = install(path, SCHEMA)
    assert again.book_id == first.book_id
    assert again.gap_since.endswith("Z")
    assert again.imported == 0
    assert install(path, SCHEMA).gap_since == ""
    assert len(events(path)) == 2


def test_status_tells_how_the_outbox_stands(path: Path) -> None:
    """An operator sees whether triggers are there, which numbers were given and how many rows wait."""
    connection = apsw.Connection(str(path))
    assert status(connection) == outbox.OutboxStatus(installed=False)
    report = install(path, SCHEMA, clock="recorded")
    connection.execute("DELETE FROM fire22_outbox WHERE number = 1")
    assert status(connection) == outbox.OutboxStatus(
        True, report.book_id, "test", 1, "recorded", triggers=1, trimmed_to=0, last=2, waiting=1
    )
    connection.close()


def test_the_clock_stays_as_it_was_first_said(path: Path) -> None:
    """A recorded book stays one, whoever installs again."""
    install(path, SCHEMA, clock="recorded")
    install(path, SCHEMA)
    connection = apsw.Connection(str(path))
    assert status(connection).clock == "recorded"
    connection.close()


def test_a_locked_database_is_a_temporary_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program holds the lock, the error says so and that trying again may help."""
    monkeypatch.setattr(outbox, "BUSY_TIMEOUT_MS", 0)
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
    with pytest.raises(BookError) as caught, outbox.book_errors(path):
        connection.execute("INSERT INTO t VALUES(9, 'x')")
    connection.close()
    assert caught.value.code is codes.BOOK_READONLY

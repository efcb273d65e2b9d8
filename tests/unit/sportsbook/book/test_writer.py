"""The demo book: created whole, written in transactions that keep its own accounts right."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import msgspec
import pytest

from fire22.core import codes
from fire22.core.errors import BookError, SetupError
from fire22.core.outbox import Clock, OutboxSchema
from fire22.sources.sqlite.install import install, status
from fire22.sportsbook.book import database, writer
from fire22.sportsbook.book.changes import (
    CancelWager,
    Change,
    DecidePayment,
    DeleteWager,
    ModifyWager,
    NewLeg,
    PlaceWager,
    RequestPayment,
    SetLimit,
    SetPrice,
    SettleWager,
)
from fire22.sportsbook.book.create import create_book
from fire22.sportsbook.demo import catalogue
from fire22.sportsbook.demo.create import create_demo
from tests.support.demo_book import gather

NOW_MS = 1_790_000_000_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A new demo book, open for writing."""
    path = tmp_path / "book.db"
    create_demo(path, seed=1, now_ms=NOW_MS, install=install)
    opened = database.connect(path)
    yield opened
    opened.close()


def placed(connection: apsw.Connection, id: str = "w1", *, free_play: bool = False) -> PlaceWager:
    """A straight wager of 11.00 to win 10.00, of the first customer on the first selection."""
    customer, agent, path = connection.execute(
        "SELECT c.id, a.id, a.path FROM customers c JOIN agents a ON a.id = c.agent_id WHERE c.code = 'C1'"
    ).get
    selection = connection.execute("SELECT min(id) FROM selections").get
    return PlaceWager(
        id=id, customer_id=customer, agent_id=agent, agent_path=path, type="straight", risk_minor=1100,
        to_win_minor=1000, at_ms=NOW_MS, channel="web", free_play=free_play, legs=(NewLeg(selection, -110),),
    )  # fmt: skip


def balance(connection: apsw.Connection) -> int:
    """The balance of the first customer; its ledger must say the same."""
    id_, cents = connection.execute("SELECT id, balance_cents FROM customers WHERE code = 'C1'").get
    entries = connection.execute(
        "SELECT amount_cents, balance_after_cents FROM ledger_entries WHERE account_id = ? ORDER BY id", (id_,)
    ).fetchall()
    running = 0
    for amount, after in entries:
        running += integer(amount)
        assert after == running
    assert cents == running
    return running


def integer(value: object) -> int:
    """A value that must be an integer."""
    assert isinstance(value, int)
    return value


def one(connection: apsw.Connection, sql: str) -> object:
    """A single value."""
    value: object = connection.execute(sql).get
    return value


def test_a_new_book_has_a_tree_customers_and_games(connection: apsw.Connection) -> None:
    """The demo starts with 40 agents in three levels, 600 customers, games with priced markets."""
    levels = connection.execute("SELECT level, count(*) FROM agents GROUP BY level").fetchall()
    assert levels == [(1, 4), (2, 12), (3, 24)]
    assert one(connection, "SELECT count(*) FROM customers") == catalogue.SMALL.customers
    assert one(connection, "SELECT count(*) FROM events") == catalogue.SMALL.games + catalogue.SMALL.live_games
    assert one(connection, "SELECT count(*) FROM agents a JOIN agents p ON p.id = a.parent_id"
                           " WHERE a.path <> p.path || '/' || a.code OR a.level <> p.level + 1") == 0  # fmt: skip
    margins = "SELECT sum(1 / odds_decimal) AS margin FROM selections GROUP BY market_id"
    assert one(connection, f"SELECT min(margin) > 1 AND max(margin) < 1.12 FROM ({margins})") == 1
    assert one(connection, "PRAGMA journal_mode") == "wal"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_new_book_has_told_what_it_has(connection: apsw.Connection) -> None:
    """The triggers are installed over the first rows, which are imported."""
    assert status(connection).installed
    gather(connection)
    told = dict(connection.execute("SELECT type, count(*) FROM told GROUP BY type"))
    markets = one(connection, "SELECT count(*) FROM markets")
    assert told == {
        "agent.imported": 40,
        "commission.plan_set": 40,
        "customer.imported": catalogue.SMALL.customers,
        "market.imported": markets,
    }


def test_the_same_seed_makes_the_same_book(tmp_path: Path) -> None:
    """A demo can be shown twice; another seed makes another one."""
    found: list[object] = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        create_demo(tmp_path / name, seed=seed, now_ms=NOW_MS, install=install)
        opened = database.connect(tmp_path / name)
        found.append(opened.execute("SELECT * FROM customers JOIN selections ORDER BY 1, 2 LIMIT 500").fetchall())
        opened.close()
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_book_is_never_overwritten(tmp_path: Path) -> None:
    """Creating where there is a file is refused."""
    path = tmp_path / "book.db"
    path.write_text("precious")
    with pytest.raises(SetupError) as caught:
        create_demo(path, seed=1, now_ms=NOW_MS, install=install)
    assert caught.value.code is codes.CONFIG_INVALID
    assert path.read_text() == "precious"


def test_a_creation_that_fails_leaves_no_book(tmp_path: Path) -> None:
    """A book appears under its name when it is complete; what was left of a broken try is replaced."""

    def fail(path: Path, schema: OutboxSchema, *, bootstrap: bool = True, clock: Clock = "wall") -> object:
        raise BookError(codes.BOOK_SCHEMA, f"{path.name}, {schema.name}, {bootstrap}, {clock}")

    path = tmp_path / "book.db"
    with pytest.raises(BookError):
        create_demo(path, seed=1, now_ms=NOW_MS, install=fail)
    assert not path.exists()
    create_demo(path, seed=1, now_ms=NOW_MS, install=install)
    assert [file.name for file in tmp_path.iterdir()] == ["book.db"]


def test_an_empty_book_has_only_tables(tmp_path: Path) -> None:
    """A replay starts from nothing, with its own clock."""
    path = tmp_path / "book.db"
    create_book(path, install=install, clock="recorded")
    opened = database.connect(path)
    assert status(opened).clock == "recorded"
    assert one(opened, "SELECT count(*) FROM agents") == 0
    opened.close()


@pytest.mark.parametrize(("free_play", "lost", "won"), [(False, -1100, 1000), (True, 0, 1000)])
def test_balances_follow_settlements(connection: apsw.Connection, free_play: bool, lost: int, won: int) -> None:
    """A settlement moves the balance by its profit, the next revision by the difference, a void moves it back."""
    assert writer.gross_revenue_minor(connection) == 0
    writer.write(connection, [placed(connection, free_play=free_play)])
    assert balance(connection) == 0
    writer.write(connection, [SettleWager("w1", "loss", 0, NOW_MS + 1)])
    assert (balance(connection), writer.gross_revenue_minor(connection)) == (lost, -lost)
    writer.write(connection, [SettleWager("w1", "win", 1000 if free_play else 2100, NOW_MS + 2)])
    assert (balance(connection), writer.gross_revenue_minor(connection)) == (won, -won)
    writer.write(connection, [CancelWager("w1", "voided", "wrong price", "desk", NOW_MS + 3)])
    assert (balance(connection), writer.gross_revenue_minor(connection)) == (0, 0)
    assert one(connection, "SELECT count(*) FROM settlements") == 2


def test_revenue_is_summed_by_path_boundary(connection: apsw.Connection) -> None:
    """/M1 does not count what belongs to /M10."""
    wager = placed(connection)
    for id_, path in (("a", "/M1"), ("b", "/M1/A1"), ("c", "/M10/A1")):
        writer.write(connection, [msgspec.structs.replace(wager, id=id_, agent_path=path)])
        writer.write(connection, [SettleWager(id_, "loss", 0, NOW_MS)])
    assert [writer.gross_revenue_minor(connection, path) for path in ("/", "/M1", "/M1/A1", "/M10", "/M2")] == [
        3300,
        2200,
        1100,
        1100,
        0,
    ]


def test_a_deleted_wager_leaves_only_the_report(connection: apsw.Connection) -> None:
    """All rows of the wager go, its balance is undone, the report of changes stays."""
    writer.write(connection, [placed(connection), SettleWager("w1", "loss", 0, NOW_MS)])
    writer.write(connection, [DeleteWager("w1", "entered twice", "desk", NOW_MS + 1)])
    for table in ("wagers", "wager_legs", "settlements"):
        assert one(connection, f"SELECT count(*) FROM {table}") == 0
    assert balance(connection) == 0
    assert connection.execute("SELECT action, reason FROM wager_changes").get == ("deleted", "entered twice")
    gather(connection)
    last = connection.execute("SELECT type, data ->> '$.reason' FROM told ORDER BY number DESC LIMIT 1").get
    assert last == ("wager.cancelled", "entered twice")


def test_a_modification_is_reported_with_before_and_after(connection: apsw.Connection) -> None:
    """The report of changed wagers shows what the master needs to see."""
    writer.write(connection, [placed(connection)])
    writer.write(connection, [ModifyWager("w1", 550, 500, "stake corrected", "desk", NOW_MS + 1)])
    row = connection.execute('SELECT version, action, actor_id, "before", "after" FROM wager_changes').get
    assert row == (
        2, "modified", "desk", '{"status":"accepted","riskMinor":1100,"toWinMinor":1000}',
        '{"riskMinor":550,"toWinMinor":500}',
    )  # fmt: skip
    assert one(connection, "SELECT version FROM wagers") == 2


def test_payments_move_the_balance_when_they_are_completed(connection: apsw.Connection) -> None:
    """Deposits add, withdrawals take, a chargeback undoes; requests and approvals move nothing."""
    customer = placed(connection).customer_id
    steps: list[tuple[Change, int]] = [
        (RequestPayment("d", customer, "deposit", "card", 5000, NOW_MS), 0),
        (DecidePayment("d", "approved", "cashier", NOW_MS), 0),
        (DecidePayment("d", "completed", "cashier", NOW_MS), 5000),
        (RequestPayment("w", customer, "withdrawal", "card", 2000, NOW_MS), 5000),
        (DecidePayment("w", "completed", "cashier", NOW_MS), 3000),
        (DecidePayment("d", "charged_back", "cashier", NOW_MS), -2000),
    ]
    for change, after in steps:
        writer.write(connection, [change])
        assert balance(connection) == after


def test_a_call_writes_all_or_nothing(connection: apsw.Connection) -> None:
    """A change that cannot be written takes the others of its call with it."""
    with pytest.raises(AssertionError, match="no wager"):
        writer.write(connection, [placed(connection), SettleWager("other", "win", 1, NOW_MS)])
    with pytest.raises(AssertionError, match="no payment"):
        writer.write(connection, [placed(connection), DecidePayment("other", "approved", "cashier", NOW_MS)])
    assert one(connection, "SELECT count(*) FROM wagers") == 0
    with pytest.raises(apsw.ConstraintError):
        writer.write(connection, [placed(connection), placed(connection)])
    assert one(connection, "SELECT count(*) FROM wagers") == 0


def test_prices_and_limits_are_kept_with_their_history(connection: apsw.Connection) -> None:
    """A price change is in the history; both changes are told at their own time."""
    selection = placed(connection).legs[0].selection_id
    customer = placed(connection).customer_id
    writer.write(connection, [SetPrice(selection, 5000, "trader", NOW_MS + 1), SetLimit(customer, 7, 8, NOW_MS + 1)])
    assert one(connection, "SELECT odds_decimal FROM odds_history") == 51.0
    gather(connection)
    told = connection.execute("SELECT type, timestamp FROM told ORDER BY number DESC LIMIT 2").fetchall()
    assert told == [
        ("customer.limit_changed", "2026-09-21T14:13:20.001Z"),
        ("market.price_changed", "2026-09-21T14:13:20.001Z"),
    ]


def test_a_book_that_is_missing_locked_or_damaged_is_named(tmp_path: Path, connection: apsw.Connection) -> None:
    """Each has its own code."""
    with pytest.raises(BookError) as missing:
        database.connect(tmp_path / "none.db")
    (tmp_path / "wrong.db").write_bytes(b"no database" * 1000)
    with pytest.raises(BookError) as damaged:
        database.connect(tmp_path / "wrong.db").execute("SELECT 1 FROM sqlite_schema")
    other = database.connect(tmp_path / "book.db")
    other.set_busy_timeout(0)
    with (
        database.transaction(connection),
        pytest.raises(BookError) as locked,
        database.book_errors(tmp_path / "book.db"),
    ):
        writer.write(other, [placed(connection)])
    other.close()
    assert (missing.value.code, damaged.value.code) == (codes.BOOK_MISSING, codes.BOOK_CORRUPT)
    assert locked.value.code is codes.BOOK_LOCKED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (apsw.IOError, codes.BOOK_READONLY),
        (apsw.CantOpenError, codes.BOOK_READONLY),
        (apsw.ProtocolError, codes.BOOK_LOCKED),
    ],
)
def test_a_disk_that_fails_for_a_while_is_a_temporary_fault(
    tmp_path: Path, error: type[apsw.Error], code: codes.Code
) -> None:
    """Whoever writes a book then is told to come back."""
    with pytest.raises(BookError) as caught, database.book_errors(tmp_path / "book.db"):
        raise error("disk I/O error")
    assert (caught.value.code, caught.value.temporary) == (code, True)


def test_ids_grow_with_time() -> None:
    """Ids of later rows sort after earlier ones, and look like UUIDs of version 7."""
    rng = Random(1)
    ids = [catalogue.new_id(rng, NOW_MS + step) for step in range(100)]
    assert ids == sorted(ids)
    assert all(len(id_) == 36 and id_[14] == "7" and id_[19] in "89ab" for id_ in ids)

"""The simulator: believable wagers from a seed, written as an outside process would, and gone with its parent."""

import os
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import apsw
import msgspec
import pytest
from msgspec import Raw, Struct

from fire22.core.errors import BookError
from fire22.sources.sqlite.install import install
from fire22.sportsbook.book import database, writer
from fire22.sportsbook.book.changes import Change, PlaceWager, SetMarketStatus
from fire22.sportsbook.demo import simulation, simulator
from fire22.sportsbook.demo.agenda import BEHIND_MS_MAX
from fire22.sportsbook.demo.catalogue import SMALL
from fire22.sportsbook.demo.create import create_demo
from fire22.sportsbook.demo.simulation import Simulation
from fire22.sportsbook.demo.world import World
from fire22.sportsbook.domain import decode
from tests.support.demo_book import gather
from tests.support.simulated import lived, new_world

NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new demo book."""
    file = tmp_path / "book.db"
    create_demo(file, seed=1, now_ms=NOW_MS, install=install)
    return file


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    """The demo book, open for writing."""
    opened = database.connect(path)
    opened.execute("PRAGMA synchronous=OFF")
    yield opened
    opened.close()


def live(connection: apsw.Connection, made: Simulation, until_ms: int, *, write: bool = True) -> list[list[Change]]:
    """Let a simulation live until a time, each appointment at its own time."""
    decided: list[list[Change]] = []
    while made.next_ms <= until_ms:
        for items in made.step(made.next_ms):
            decided.append(items)
            if write:
                writer.write(connection, items)
    return decided


def values(connection: apsw.Connection, sql: str) -> dict[str, int]:
    """A table of names and numbers."""
    return {str(name): int(number) for name, number in connection.execute(sql)}


def test_twelve_minutes_of_a_book(connection: apsw.Connection) -> None:
    """Everything a back office shows happens in believable proportions, and the book's own accounts stay right."""
    made = simulator.start(connection, rate_hz=8, seed=1, now_ms=NOW_MS)
    live(connection, made, NOW_MS + 12 * MINUTE_MS)
    gather(connection)
    told = values(connection, "SELECT type, count(*) FROM told GROUP BY type")
    placed = told["wager.placed"]
    assert 3_600 < placed < 8_400
    assert told["wager.settled"] > 0.7 * placed
    for kind, low, high in (
        ("wager.cancelled", 0.001, 0.01),
        ("wager.modified", 0.001, 0.01),
        ("wager.resettled", 0.00005, 0.003),
        ("payment.requested", 0.002, 0.06),
        ("payment.completed", 0.002, 0.06),
        ("market.price_changed", 0.1, 1.0),
    ):
        assert low < told[kind] / placed < high, kind
    assert {"session.login", "session.logout", "balance.adjusted", "wager.requested", "market.resulted"} <= set(told)
    assert connection.execute("SELECT count(*) FROM wagers WHERE status = 'cashed_out'").get > 10
    assert {"customer.limit_changed", "market.created", "market.status_changed", "payment.approved"} <= set(told)
    kinds = values(connection, "SELECT type, count(*) FROM wagers GROUP BY type")
    assert 0.03 < kinds["parlay"] / placed < 0.2
    hold = writer.gross_revenue_minor(connection) / values(connection, "SELECT 'x', sum(risk_cents) FROM wagers")["x"]
    assert -0.1 < hold < 0.2
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute(
        "SELECT count(*) FROM customers c WHERE balance_cents <>"
        " (SELECT coalesce(sum(amount_cents), 0) FROM ledger_entries WHERE account_id = c.id)"
    ).get == 0  # fmt: skip
    assert made.pending == connection.execute("SELECT count(*) FROM wagers WHERE status = 'accepted'").get


def test_every_event_is_exactly_its_fact(connection: apsw.Connection) -> None:
    """What the triggers write has every field of the fact, and no other."""
    live(connection, simulator.start(connection, rate_hz=20, seed=2, now_ms=NOW_MS), NOW_MS + 3 * MINUTE_MS)
    gather(connection)
    for kind, data in connection.execute("SELECT type, data FROM told"):
        fact = decode(kind, Raw(data.encode()))
        assert_said(fact, msgspec.json.decode(data.encode()))


def assert_said(fact: object, written: object) -> None:
    """Every field is written as the fact has it, or left out with its default; nothing else is written."""
    if isinstance(fact, Struct):
        assert isinstance(written, dict)
        fields = {field.encode_name: field for field in msgspec.structs.fields(fact)}
        assert set(written) <= set(fields)
        for name, field in fields.items():
            value = getattr(fact, field.name)
            if name in written:
                assert_said(value, written[name])
            else:
                assert value == field.default
    elif isinstance(fact, tuple):
        assert isinstance(written, list) and len(written) == len(fact)
        for one, other in zip(fact, written, strict=True):
            assert_said(one, other)
    elif isinstance(fact, datetime):
        assert fact == datetime.fromisoformat(str(written))
    else:
        assert fact == written


def test_settlements_come_within_a_minute(connection: apsw.Connection) -> None:
    """Whoever starts the demo sees revenue move soon: quick markets are resulted within 60 s."""
    live(connection, simulator.start(connection, rate_hz=20, seed=3, now_ms=NOW_MS), NOW_MS + MINUTE_MS)
    first_ms, number = connection.execute(
        "SELECT min(unixepoch(settled_at)) * 1000, count(*) FROM wagers WHERE status = 'settled'"
    ).get
    assert first_ms - NOW_MS < 45_000
    assert number > 20


def test_what_is_pending_stays_bounded(connection: apsw.Connection) -> None:
    """In hours of simulation the open wagers do not pile up, and there are always markets to bet on."""
    made = simulator.start(connection, rate_hz=2, seed=4, now_ms=NOW_MS)
    pending: list[int] = []
    for step in range(1, 13):
        decided = live(connection, made, NOW_MS + step * 10 * MINUTE_MS, write=False)
        pending.append(made.pending)
        assert any(type(item).__name__ == "PlaceWager" for items in decided for item in items)
    assert max(pending[2:]) < 2 * 600 * 2
    assert max(pending[6:]) < 2 * max(pending[:6])


def test_the_same_seed_decides_the_same(connection: apsw.Connection) -> None:
    """A simulation is a function of the book, the seed, the rate and the times."""
    lives = [
        live(
            connection,
            simulator.start(connection, rate_hz=10, seed=seed, now_ms=NOW_MS),
            NOW_MS + 2 * MINUTE_MS,
            write=False,
        )
        for seed in (7, 7, 8)
    ]
    assert lives[0] == lives[1]
    assert lives[0] != lives[2]


def test_it_goes_on_with_the_book_that_is_there(connection: apsw.Connection) -> None:
    """A second simulation finds open wagers, markets, payments and reviews, and brings all of them to an end."""
    first = simulator.start(connection, rate_hz=20, seed=1, now_ms=NOW_MS)
    live(connection, first, NOW_MS + 4 * MINUTE_MS)
    customer, agent, agent_path = connection.execute(
        "SELECT c.id, a.id, a.path FROM customers c JOIN agents a ON a.id = c.agent_id LIMIT 1"
    ).get
    asked = PlaceWager(
        "asked", customer, agent, agent_path, "straight", 100_000, 90_000, NOW_MS, "web", status="review"
    )
    writer.write(connection, [asked])
    later_ms = NOW_MS + 600 * MINUTE_MS
    second = simulator.start(connection, rate_hz=0.001, seed=1, now_ms=later_ms)
    assert second.pending == first.pending > 100
    live(connection, second, later_ms + 10 * MINUTE_MS)
    left = connection.execute("SELECT count(*) FROM wagers WHERE status = 'accepted' AND wager_number < 4000").get
    assert left == 0
    assert connection.execute("SELECT count(*) FROM payments WHERE status IN ('pending', 'approved')").get == 0
    assert connection.execute("SELECT status FROM wagers WHERE id = 'asked'").get == "expired"


def test_a_simulation_that_fell_behind_leaves_out_what_it_missed(connection: apsw.Connection) -> None:
    """After an hour of suspension there is no burst of an hour's wagers."""
    made = simulator.start(connection, rate_hz=20, seed=5, now_ms=NOW_MS)
    late_ms = NOW_MS + 60 * MINUTE_MS
    decided = [item for items in made.step(late_ms) for item in items]
    counts = Counter(type(item).__name__ for item in decided)
    assert 0 < counts["PlaceWager"] < 20 * 2 * (BEHIND_MS_MAX / 1000)
    assert made.next_ms > late_ms


def test_a_book_without_customers_has_no_wagers() -> None:
    """An empty world opens games and does nothing else."""
    made = Simulation(World([]), seed="1", rate_hz=50, now_ms=NOW_MS)
    decided = [item for items in made.step(NOW_MS + 4_000) for item in items]
    assert {type(item).__name__ for item in decided} <= {"AddEvent", "AddMarket", "SetPrice", "SetMarketStatus"}


def test_at_rate_0_nobody_bets() -> None:
    """A book for who wants to bet in it by hand: customers, games and prices as ever, and no wager in half an hour."""
    made = Simulation(new_world(1, SMALL), seed="1", rate_hz=0, now_ms=NOW_MS)
    counts = Counter(type(item).__name__ for item in lived(made, NOW_MS + 30 * MINUTE_MS))
    assert counts["PlaceWager"] == 0
    assert counts["SetMarketStatus"] > 0


def test_the_rate_follows_the_day() -> None:
    """The evening is busier than the morning, and the mean of a day is the rate that was asked for."""
    hours = [simulation.rhythm(hour * simulation.HOUR_MS) for hour in range(24)]
    assert sum(hours) / 24 == pytest.approx(1.0)
    assert max(hours) == hours[20] > 2.5 * min(hours)


def started(path: Path, *, rate: str = "200") -> subprocess.Popen[bytes]:
    """A simulator as a process of its own, after it has written its first wager."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fire22.sportsbook.demo.simulator", "--book", str(path), "--rate", rate, "--seed", "3"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    reader = database.connect(path)
    version = reader.execute("PRAGMA data_version").get
    assert process.stderr is not None
    while reader.execute("PRAGMA data_version").get == version:
        ended, _, _ = select.select([process.stderr], [], [], 0.01)
        assert not ended, process.stderr.read()
    reader.close()
    return process


def finished(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """The exit status and what it said, once it ended."""
    assert process.stdin is not None and process.stderr is not None
    status = process.wait(timeout=60)
    said = process.stderr.read()
    process.stdin.close()
    process.stderr.close()
    return status, said


def test_it_ends_when_it_is_asked_to(path: Path) -> None:
    """SIGTERM ends it between two transactions, without a word."""
    process = started(path)
    process.send_signal(signal.SIGTERM)
    assert finished(process) == (0, b"")


def test_it_ends_with_its_parent(path: Path) -> None:
    """When the program that started it is gone, so is it."""
    process = started(path)
    assert process.stdin is not None
    process.stdin.close()
    assert finished(process) == (0, b"")


def test_a_missing_book_is_said(tmp_path: Path) -> None:
    """A wrong path ends it with a message and a code."""
    with pytest.raises(BookError, match="book_missing"):
        simulator.run(tmp_path / "none.db", rate_hz=1, seed=1, wait=lambda _: False)


@pytest.mark.parametrize("rate", ["-1", "1e9", "nan"])
def test_a_rate_out_of_bounds_is_refused(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The rate has limits with a unit."""
    with pytest.raises(SystemExit):
        simulator.main(["--book", "x", "--rate", rate])
    assert "wagers a second" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "said"), [(("--markets", "0"), "5000 markets"), (("--incident", "goal@3"), "wrong_price@SECONDS")]
)
def test_what_cannot_be_simulated_is_refused(
    option: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Markets have a limit, and only what is known can be staged."""
    with pytest.raises(SystemExit):
        simulator.main(["--book", "x", *option])
    assert said in capsys.readouterr().err


def test_much_at_once_is_written_in_few_transactions() -> None:
    """What is due together shares a transaction up to a size; what belongs together is never divided."""
    one: Change = SetMarketStatus("m", "closed", NOW_MS)
    parts = [[one] * 10 for _ in range(250)] + [[one] * 3_000, [one]]
    sizes = [len(items) for items in simulator.gathered(parts)]
    assert sizes == [simulator.CHANGES_MAX, simulator.CHANGES_MAX, 3_500, 1]
    assert list(simulator.gathered([])) == []


def test_a_book_that_stays_locked_ends_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is waited for a few times, then said."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 1)
    other = database.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BookError, match="book_locked"):
        simulator.run(path, rate_hz=1000, seed=1, wait=lambda _: True)
    other.close()

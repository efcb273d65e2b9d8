"""Recorded wagers become a book: every one once, in order, at the pace that was asked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fire22.core import codes
from fire22.core.errors import BookError, SetupError, SourceError
from fire22.core.times import to_text
from fire22.sources.sqlite.install import install
from fire22.sportsbook.book import database
from fire22.sportsbook.demo.create import create_demo
from fire22.sportsbook.replay.pacing import Pace, Progress, ReplayReport, replay
from fire22.sportsbook.replay.recording import Mapping, read_mapping
from tests.support.demo_book import gather

ROOT = Path(__file__).parents[4]
MAPPING = """
[file]
format = "csv"
[columns]
id = "id"
customer = "who"
stake = "stake"
returned = "back"
placed_at = "at"
settled_at = "end"
agent_path = "path"
[units]
time = "unix_s"
"""
T0 = 1_477_928_634
Line = tuple[str, str, str, str, int, int, str]


class Clock:
    """A clock that moves only by waiting."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waited: list[float] = []

    def wait(self, seconds: float) -> None:
        """Let the time pass."""
        self.waited.append(seconds)
        self.now_s += seconds


class Case:
    """A folder with a mapping, a file and a book."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.book = folder / "book.db"
        self.file = folder / "wagers.csv"
        self.clock = Clock()
        self.progress: list[Progress] = []
        (folder / "mapping.toml").write_text(MAPPING)
        self.mapping: Mapping = read_mapping(folder / "mapping.toml")

    def record(self, *lines: Line) -> None:
        """Write the recorded file."""
        rows = [("id", "who", "stake", "back", "at", "end", "path"), *lines]
        self.file.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))

    def run(
        self, *, speed: float | None = None, resume: bool = False, wait: Callable[[float], None] | None = None
    ) -> ReplayReport:
        """Replay the file into the book."""
        return replay(
            self.file, self.mapping, self.book, speed=speed, progress=self.progress.append, install=install,
            resume=resume, wait=wait or self.clock.wait, now_s=lambda: self.clock.now_s,
        )  # fmt: skip

    def fetch(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of the book."""
        connection = database.connect(self.book)
        try:
            if "told" in sql:
                gather(connection)
            return [tuple(row) for row in connection.execute(sql)]
        finally:
            connection.close()

    def told(self) -> list[tuple[object, ...]]:
        """The outbox: type, wager, seconds after the start."""
        rows = self.fetch("SELECT type, data ->> '$.wagerId', unixepoch(timestamp) FROM told ORDER BY number")
        return [(kind, id_, at - T0 if isinstance(at, int) else at) for kind, id_, at in rows]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """An empty folder."""
    return Case(tmp_path)


def wager(number: int, at: int, end: int | None = None, back: str = "0") -> Line:
    """A wager of 10.00, placed `at` seconds after the start, settled at once or at `end`."""
    return (f"w{number}", f"C{number}", "10", back, T0 + at, T0 + (at if end is None else end), "/M1/A7")


def test_events_come_in_recorded_order_behind_the_clock(case: Case) -> None:
    """Settlements come at their own time; before anything of a new second, the clock says all before is read."""
    case.record(wager(1, 0, 3), wager(2, 1), wager(3, 5))
    report = case.run()
    told = [row for row in case.told() if row[0] != "customer.created"]
    assert told == [
        ("system.clock", None, 0),
        ("agent.created", None, 0),
        ("agent.created", None, 0),
        ("wager.placed", "w1", 0),
        ("system.clock", None, 1),
        ("wager.placed", "w2", 1),
        ("wager.settled", "w2", 1),
        ("system.clock", None, 3),
        ("wager.settled", "w1", 3),
        ("system.clock", None, 5),
        ("wager.placed", "w3", 5),
        ("wager.settled", "w3", 5),
        ("system.clock", None, 5),
    ]
    last = case.fetch("SELECT timestamp, data FROM told ORDER BY number DESC LIMIT 1")
    assert last == [(to_text((T0 + 5) * 1000 + 1), "{}")]
    assert report == ReplayReport(
        rows=3, placed=3, settled=3, customers=3, revenue_minor=3000, first_ms=T0 * 1000, last_ms=(T0 + 5) * 1000
    )


def test_agents_and_customers_are_made_at_first_sight(case: Case) -> None:
    """The tree follows the paths of the file; a customer keeps the agent of the first wager."""
    line = wager(1, 0)
    case.record(line, (*wager(2, 1)[:1], "C1", *wager(2, 1)[2:6], "/M2/A7"))
    assert case.run().customers == 1
    assert case.fetch("SELECT path, code, level FROM agents ORDER BY path") == [
        ("/M1", "M1", 1),
        ("/M1/A7", "A7", 2),
        ("/M2", "M2", 1),
        ("/M2/A7", "M2.A7", 2),
    ]
    assert case.fetch("SELECT a.path FROM customers c JOIN agents a ON a.id = c.agent_id") == [("/M1/A7",)]
    assert case.fetch("SELECT agent_path FROM wagers ORDER BY wager_number") == [("/M1/A7",), ("/M2/A7",)]


def test_returns_decide_results(case: Case) -> None:
    """More than the stake is a win, the stake a push, less a cash-out, nothing a loss, no value still open."""
    returns = ("25.5", "10", "4", "0", "")
    case.record(*(wager(number, number, back=back) for number, back in enumerate(returns)))
    report = case.run()
    assert case.fetch("SELECT result, return_cents FROM settlements ORDER BY wager_id") == [
        ("win", 2550), ("push", 1000), ("cash_out", 400), ("loss", 0),
    ]  # fmt: skip
    assert case.fetch("SELECT to_win_cents FROM wagers ORDER BY id") == [(1550,), (0,), (0,), (0,), (0,)]
    assert (report.placed, report.settled, report.revenue_minor) == (5, 4, 4000 - 3950)
    assert case.fetch("SELECT status FROM wagers WHERE id = 'w4'") == [("accepted",)]


def test_recorded_pace_waits_and_keeps_the_clock_going(case: Case) -> None:
    """At pace 1, a wager three seconds later is written three seconds later, with a clock row each second."""
    case.record(wager(1, 0), wager(2, 3))
    seen: list[tuple[float, int]] = []

    def wait(seconds: float) -> None:
        case.clock.wait(seconds)
        seen.append((case.clock.now_s, len(case.fetch("SELECT 1 FROM wagers"))))

    case.run(speed=1, wait=wait)
    assert seen == [(101.0, 1), (102.0, 1), (103.0, 1)]
    assert [at for kind, _, at in case.told() if kind == "system.clock"] == [0, 1, 2, 3, 3]


def test_a_multiple_of_the_pace_waits_less(case: Case) -> None:
    """Ten times the pace takes a tenth of the time."""
    case.record(wager(1, 0), wager(2, 30), wager(3, 60))
    case.run(speed=10)
    assert sum(case.clock.waited) == pytest.approx(6.0)


def test_empty_stretches_are_skipped(case: Case) -> None:
    """Nobody waits through a night; after it the pace goes on from there."""
    case.record(wager(1, 0), wager(2, 30_000), wager(3, 30_002))
    case.run(speed=1)
    assert sum(case.clock.waited) == pytest.approx(2.0)


def test_as_fast_as_possible_never_waits(case: Case) -> None:
    """Without a pace no time passes."""
    case.record(*(wager(number, number) for number in range(20)))
    case.run()
    assert case.clock.waited == []


def test_a_pace_must_be_positive() -> None:
    """A speed of zero would never end."""
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(SetupError):
            Pace(speed, lambda _: None, lambda: 0.0)


def test_wagers_that_are_there_are_refused(case: Case) -> None:
    """Replaying a file into the same book again is an error that says what to do, and changes nothing."""
    case.record(wager(1, 0), wager(2, 1))
    case.run()
    before = case.told()
    with pytest.raises(SourceError) as caught:
        case.run()
    assert caught.value.code is codes.INPUT_INVALID
    assert "line 2" in caught.value.message and "already" in caught.value.message
    assert case.told() == before


def test_a_replay_that_was_cut_off_goes_on(case: Case) -> None:
    """With resume, wagers that are there are left out, and those still open are settled: the book is as if uncut."""

    class Killed(Exception):
        """The replay ends in the middle."""

    lines = [wager(number, number * 2, number * 2 + 5) for number in range(10)]
    case.record(*lines)

    def wait(seconds: float) -> None:
        case.clock.wait(seconds)
        if case.clock.now_s > 107:
            raise Killed

    with pytest.raises(Killed):
        case.run(speed=1, wait=wait)
    assert 0 < len(case.fetch("SELECT 1 FROM wagers")) < 10
    report = case.run(resume=True)
    assert report.skipped > 0
    assert report.skipped + report.placed == report.rows == 10
    told = case.told()
    for kind in ("wager.placed", "wager.settled"):
        assert [id_ for one, id_, _ in told if one == kind] == [f"w{number}" for number in range(10)]
    clocks = [at for kind, _, at in told if kind == "system.clock"]
    assert clocks == sorted(clocks, key=lambda at: at if isinstance(at, int) else 0)
    assert case.run(resume=True).placed == 0


def test_resuming_does_not_wait_for_what_is_there(case: Case) -> None:
    """At recorded pace, a resumed replay starts where it stopped."""
    case.record(wager(1, 0), wager(2, 50))
    case.run()
    case.record(wager(1, 0), wager(2, 50), wager(3, 55), wager(4, 57))
    case.run(speed=1, resume=True)
    assert sum(case.clock.waited) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (wager(3, -5), "column at: is before the row above"),
        (wager(1, 9), "column id: wager w1 is in the file twice"),
        (("w3", "C3", "x", "0", T0 + 9, T0 + 9, "/M1"), "column stake: not a number"),
        (("w3", "C3", "1", "0", T0 + 9, T0 + 9, "M1"), "column path: not the path of an agent"),
    ],
)
def test_a_bad_row_stops_the_replay_after_what_was_good(case: Case, line: Line, words: str) -> None:
    """The error names line and column; the rows above are in the book."""
    case.record(wager(1, 0), wager(2, 1), line)
    with pytest.raises(SourceError) as caught:
        case.run()
    assert caught.value.code is codes.INPUT_INVALID
    assert f"wagers.csv line 4: {words}" in caught.value.message
    assert case.fetch("SELECT id FROM wagers") == [("w1",), ("w2",)]


def test_older_wagers_than_the_book_holds_are_refused(case: Case) -> None:
    """The clock of a book never goes back."""
    case.record(wager(1, 100))
    case.run()
    case.record(wager(2, 50))
    with pytest.raises(SourceError, match="before what the book holds"):
        case.run()


def test_a_book_of_the_wall_clock_takes_no_recording(case: Case) -> None:
    """A living book is never given another time."""
    create_demo(case.book, seed=1, now_ms=T0 * 1000, install=install)
    case.record(wager(1, 0))
    with pytest.raises(BookError) as caught:
        case.run()
    assert caught.value.code is codes.BOOK_SCHEMA


def test_a_missing_file_makes_no_book(case: Case) -> None:
    """A wrong path is said before anything is created."""
    with pytest.raises(SourceError):
        case.run()
    assert not case.book.exists()


def test_an_empty_file_is_nothing(case: Case) -> None:
    """A file with only a header makes an empty book."""
    case.record()
    assert case.run() == ReplayReport()
    assert case.told() == []


def test_progress_is_told(case: Case) -> None:
    """A progress bar learns rows, recorded time and bytes, to the end."""
    case.record(*(wager(number, number) for number in range(1200)))
    case.run()
    assert len(case.progress) == 3
    assert case.progress[-1].rows == 1200
    assert case.progress[-1].at_ms == (T0 + 1199) * 1000
    assert case.progress[-1].bytes_read == case.progress[-1].bytes_total == case.file.stat().st_size

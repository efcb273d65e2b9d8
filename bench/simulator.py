"""What the simulator writes into a book with its triggers: wagers a second, decided, placed, settled, on one core."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec import Struct

from bench.report import Report, Row, alternate
from fire22.sources.sqlite import install as outbox
from fire22.sportsbook.book import database, writer
from fire22.sportsbook.book.changes import PlaceWager, SettleWager
from fire22.sportsbook.book.schema import TABLES_SQL
from fire22.sportsbook.demo.catalogue import FULL
from fire22.sportsbook.demo.create import create_demo
from fire22.sportsbook.demo.simulation import Simulation
from fire22.sportsbook.demo.simulator import CHANGES_MAX, LOADED_PAUSE_S, gathered, start

TARGET: Final = 5_000
RATE_HZ: Final = 5_000.0
START_MS: Final = 1_772_366_400_000
STEP_MS: Final = round(LOADED_PAUSE_S * 1_000)
IDLE_HZ: Final = 0.001
IDLE_STEP_MS: Final = 1_000
SETTLED_MS: Final = 700_000  # by then all games that were open are over
TABLES: Final = ("wager_legs", "wagers", "settlements", "ledger_entries")  # what a wager leaves behind


class Written(Struct):
    """One run.

    Args:
        wagers: placed, each of them settled.
        placing_s: CPU-seconds of this thread until all were placed; settling_s: until all were settled.
        deciding_s: of both, how much the decisions took.
    """

    wagers: int = 0
    settled: int = 0
    placing_s: float = 0.0
    settling_s: float = 0.0
    deciding_s: float = 0.0

    @property
    def all_s(self) -> float:
        """Both."""
        return self.placing_s + self.settling_s


def measure(*, quick: bool) -> Report:
    """In turns with plain INSERTs of the same rows into the same tables without triggers."""
    seconds, rounds = (2, 1) if quick else (10, 3)
    with tempfile.TemporaryDirectory() as folder:
        runs: list[Written] = []

        def ours() -> float:
            runs.append(_simulate(Path(folder) / f"{len(runs)}.db", seconds))
            return runs[-1].all_s

        def plain() -> float:
            return _insert(Path(folder) / f"{len(runs) - 1}.db", Path(folder) / f"plain-{len(runs)}.db")

        took, peer = alternate(rounds, ours, plain)
    one = sorted(runs, key=lambda run: run.all_s)[len(runs) // 2]
    wagers, name = one.wagers, "plain INSERTs, no triggers"
    return Report(
        (
            Row("wagers a second, decided, placed, settled", wagers / took, "more", TARGET, wagers / peer, name),
            Row("wagers a second, decided and placed alone", one.wagers / one.placing_s, "more"),
        ),
        (
            f"{one.wagers:,} wagers at {RATE_HZ:,.0f} a second of the book's own time, then the settlement of "
            f"{one.settled:,}; 200 agents, 6,000 customers; CPU-seconds of the writing thread, transactions of about "
            f"{CHANGES_MAX:,} changes while wagers come",
            f"a wager's decisions take {one.deciding_s / one.wagers * 1e6:.0f} µs, "
            f"its writing {(one.all_s - one.deciding_s) / one.wagers * 1e6:.0f} µs",
            f"the peer inserts the rows of {', '.join(TABLES)} once, as they are at the end, {CHANGES_MAX:,} in a "
            "transaction: no decisions, no events, no balances",
        ),
    )


def _simulate(path: Path, seconds: int) -> Written:
    create_demo(path, seed=1, now_ms=START_MS, install=outbox.install, size=FULL)
    connection = database.connect(path)
    run = Written()
    until_ms = START_MS + seconds * 1_000
    simulation = start(connection, rate_hz=RATE_HZ, seed=1, now_ms=START_MS, size=FULL)
    run.placing_s = _live(connection, simulation, run, range(START_MS, until_ms, STEP_MS))
    simulation = start(connection, rate_hz=IDLE_HZ, seed=1, now_ms=until_ms, size=FULL)
    run.settling_s = _live(connection, simulation, run, range(until_ms, until_ms + SETTLED_MS, IDLE_STEP_MS))
    connection.close()
    if run.settled < 0.98 * run.wagers:
        raise AssertionError(f"only {run.settled} of {run.wagers} wagers were settled")
    return run


def _live(connection: apsw.Connection, simulation: Simulation, run: Written, times_ms: range) -> float:
    """Decide and write; CPU-seconds."""
    began = time.thread_time()
    for now_ms in times_ms:
        deciding = time.thread_time()
        for items in gathered(simulation.step(now_ms)):
            run.deciding_s += time.thread_time() - deciding
            writer.write(connection, items)
            run.wagers += sum(type(item) is PlaceWager for item in items)
            run.settled += sum(type(item) is SettleWager for item in items)
            deciding = time.thread_time()
        run.deciding_s += time.thread_time() - deciding
    return time.thread_time() - began


def _insert(source: Path, target: Path) -> float:
    """Insert what a run has left behind into an empty book; CPU-seconds."""
    read = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    connection = apsw.Connection(str(target))
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL")
    connection.execute(TABLES_SQL)
    tables = {table: read.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    began = time.thread_time()
    for table, rows in tables.items():
        marks = ", ".join("?" * len(rows[0]))
        for some in _parts(rows):
            with database.transaction(connection):
                connection.executemany(f"INSERT INTO {table} VALUES({marks})", some)
    took_s = time.thread_time() - began
    connection.close()
    read.close()
    return took_s


def _parts(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    rows = iter(rows)
    while some := list(islice(rows, CHANGES_MAX)):
        yield some

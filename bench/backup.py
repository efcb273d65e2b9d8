"""`fire22 backup` beside `cp`, on a server that is at work: how long each takes, and what the clients notice of it."""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.clients import OPEN_S_MAX, Ready, Result
from bench.latency import NANOSECONDS_PER_MS, read_pairs
from bench.processes import child, free_port, server, token
from bench.report import Report, Row
from bench.writer import Written
from fire22.log.database import connect
from fire22.log.file import open_file
from fire22.log.seal import seal
from fire22.sources.sqlite import install as outbox
from fire22.sportsbook.demo.create import create_demo

RATE_HZ: Final = 200
CLIENTS: Final = 20
WARM_S: Final = 3.0
EVENT: Final = (
    b'{"id":"filled:%d","type":"bench.filled","source":"bench","timestamp":"2026-01-01T00:00:00Z","data":"%b"}'
)
EVENT_BYTES: Final = 20_000
GROUP: Final = 1_000
TIMES_CP: Final = 2
P99_TIMES: Final = 1.5


class Copied(Struct, frozen=True):
    """One copy: seconds, and when it began and ended by CLOCK_MONOTONIC, nanoseconds."""

    began_ns: int
    ended_ns: int

    @property
    def seconds(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e9


class Run(Struct, frozen=True):
    """What came of it; waits in milliseconds."""

    backups: list[Copied]
    copies: list[Copied]
    waits: list[float]
    waits_during: list[float]
    file_bytes: int
    wal_bytes: int
    start_s: float


def measure(*, quick: bool) -> Report:
    """Backups and copies in turns while wagers come."""
    events, quiet_s, rounds = (5_000, 4.0, 2) if quick else (50_000, 15.0, 8)
    with tempfile.TemporaryDirectory() as folder:
        run = _run(Path(folder), events, quiet_s, rounds)
    ours, peer = (statistics.median(each.seconds for each in copies) for copies in (run.backups, run.copies))
    before, during = (statistics.quantiles(waits, n=100)[98] for waits in (run.waits, run.waits_during))
    size = f"{run.file_bytes / 1e6:,.0f} MB"
    return Report(
        (
            Row(
                f"backup of {size} at {RATE_HZ} wagers a second, s", ours, "less", TIMES_CP * peer, peer, "cp and sync"
            ),
            Row("p99 from commit to message during it, times what it was", during / before, "less", P99_TIMES),
            Row("the write-ahead log after all of them, MB", run.wal_bytes / 1e6, "less"),
        ),
        (
            f"medians of {rounds} each, in turns; ours is the whole program, {run.start_s:.2f} s of it the start; "
            "both are on disk when they end",
            f"p99 {before:.1f} ms over {len(run.waits):,} messages before, {during:.1f} ms over "
            f"{len(run.waits_during):,} during backups; {CLIENTS} clients of kpi and wagers",
        ),
    )


def _run(folder: Path, events: int, quiet_s: float, rounds: int) -> Run:
    book, data, port = folder / "book.db", folder / "data", free_port()
    create_demo(book, seed=1, now_ms=time.time_ns() // NANOSECONDS_PER_MS, install=outbox.install)
    data.mkdir()
    file = data / "flows.db"
    _fill(file, events)
    arrivals, commits = folder / "arrivals.bin", folder / "commits.bin"
    topics = ("--subscribe", "kpi", "--subscribe", "wagers", "--protocol", "fire22.v1.json")
    backups: list[Copied] = []
    copies: list[Copied] = []
    done = threading.Event()

    def copy() -> None:
        time.sleep(WARM_S + quiet_s)
        for number in range(rounds):
            backups.append(_timed(sys.executable, "-m", "fire22", "backup", "--data", data, folder / f"b{number}"))
            (folder / f"b{number}").unlink()
            copies.append(_timed("sh", "-c", f"cp '{file}' '{folder}/c' && sync '{folder}/c'"))
            (folder / "c").unlink()
        done.set()

    with (
        server(data, port, "--book", book),
        child(
            "bench.clients", "--count", CLIENTS, "--record", arrivals, "--port", port, "--token", token(data), *topics
        ) as clients,
    ):
        clients.answer(Ready, OPEN_S_MAX)
        thread = threading.Thread(target=copy)
        began_ns = time.monotonic_ns()
        thread.start()
        first = 1
        waits: list[tuple[int, int]] = []
        committed: dict[int, int] = {}
        while not done.is_set():
            written = _write(book, commits, first, 2.0)
            committed.update(read_pairs(commits))
            first += written.placed
        thread.join()
        time.sleep(1)
        clients.tell()
        clients.answer(Result, OPEN_S_MAX)
        wal_bytes = file.with_name("flows.db-wal").stat().st_size
        start_s = _timed(sys.executable, "-c", "import fire22.copying").seconds
    waits = [(committed[number], at) for number, at in read_pairs(arrivals) if number in committed]
    warm_ns, quiet_ns = began_ns + int(WARM_S * 1e9), began_ns + int((WARM_S + quiet_s) * 1e9)
    return Run(
        backups,
        copies,
        [*_milliseconds(waits, warm_ns, quiet_ns)],
        [each for copied in backups for each in _milliseconds(waits, copied.began_ns, copied.ended_ns)],
        file.stat().st_size,
        wal_bytes,
        start_s,
    )


def _fill(path: Path, events: int) -> None:
    """A log of events that no flow looks at: only its size matters."""
    filling = b"x" * EVENT_BYTES
    with closing(open_file(path)):
        pass
    with closing(connect(path)) as connection:
        for first in range(1, events + 1, GROUP):
            bodies = ((seq, f"filled:{seq}", EVENT % (seq, filling)) for seq in range(first, first + GROUP))
            with connection:
                connection.executemany(
                    "INSERT INTO log VALUES(?, ?, ?, ?, ?)",
                    ((seq, first, id, seal(body, "log", seq, first, id), body) for seq, id, body in bodies),
                )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _write(book: Path, commits: Path, first: int, seconds: float) -> Written:
    schedule = ("--rate", RATE_HZ, "--seconds", seconds, "--first", first)
    with child("bench.writer", "--book", book, *schedule, "--record", commits) as writer:
        return writer.answer(Written, 10 * seconds + OPEN_S_MAX)


def _timed(*arguments: object) -> Copied:
    began_ns = time.monotonic_ns()
    subprocess.run([*map(str, arguments)], check=True, capture_output=True)
    return Copied(began_ns, time.monotonic_ns())


def _milliseconds(waits: list[tuple[int, int]], from_ns: int, to_ns: int) -> Iterator[float]:
    """How long the messages of what was committed in an interval took."""
    return ((at - committed) / NANOSECONDS_PER_MS for committed, at in waits if from_ns <= committed < to_ns)

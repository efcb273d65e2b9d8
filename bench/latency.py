"""Time from a book's commit to the clients' message: a real server on a real book that another process writes to."""

import statistics
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.clients import OPEN_S_MAX, Ready, Result
from bench.processes import Child, child, free_port, server, token
from bench.report import Report, Row, busy_s
from bench.writer import Written
from fire22.sources.sqlite import install as outbox
from fire22.sportsbook.demo.create import create_demo

RATE_HZ: Final = 1_000
CLIENTS: Final = 100
WARM_S: Final = 2.0  # of the writer's time, not counted
DRAIN_S: Final = 3.0
OTHERS_MAX: Final = 0.10  # cores that other programs may take in a round that counts
TRIES_MAX: Final = 4
P50_MS: Final = 20
P99_MS: Final = 80
NANOSECONDS_PER_MS: Final = 1_000_000
PEER: Final = "websockets, 5 ms poll"


class Run(Struct, frozen=True):
    """One side's round; CPU in cores.

    Args:
        others: CPU that other programs took meanwhile.
        missing: messages that had not come `DRAIN_S` after the last commit.
        late_ms: how far the writer was behind its schedule at the worst.
    """

    p50_ms: float
    p99_ms: float
    max_ms: float
    server_cpu: float
    clients_cpu: float
    writer_cpu: float
    late_ms: float
    others: float
    missing: int

    @property
    def quiet(self) -> bool:
        """Whether the round says something about the side rather than about its neighbours."""
        return self.others <= OTHERS_MAX and not self.missing


def measure(*, quick: bool) -> Report:
    """In turns on one book: the server with all its stages, and a peer that polls the table and broadcasts."""
    seconds, rounds = (4, 1) if quick else (12, 3)
    ours: list[Run] = []
    peers: list[Run] = []
    for _ in range(rounds):
        ours.append(_undisturbed(_Bench.ours, seconds, quick=quick))
        peers.append(_undisturbed(_Bench.peer, seconds, quick=quick))
    return Report((*_rows(ours, peers),), (*_notes(ours, peers, seconds, rounds),))


def _undisturbed(side: Callable[["_Bench"], Run], seconds: float, *, quick: bool) -> Run:
    """A round in which other programs left the machine alone; else, after some tries, the least disturbed one.

    A side that pays for each message by itself has no slack on two cores: a fifth of a core taken by a neighbour
    multiplies its tail, and a comparison would measure the neighbour.
    """
    runs: list[Run] = []
    while len(runs) < (1 if quick else TRIES_MAX):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(side(_Bench(Path(folder), seconds)))
        if runs[-1].quiet:
            break
    return min(runs, key=lambda run: (bool(run.missing), run.others))


class _Bench:
    """Rounds, each on a book and a server of its own: what one round leaves unread would make the next one late."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._book = folder / "book.db"
        self._seconds = seconds
        create_demo(self._book, seed=1, now_ms=time.time_ns() // NANOSECONDS_PER_MS, install=outbox.install)

    def ours(self) -> Run:
        data, port = self._folder / "server", free_port()
        with server(data, port, "--book", self._book) as process:
            topics = ("--subscribe", "kpi", "--subscribe", "wagers", "--protocol", "fire22.v1.json")
            run = self._run(process, "--port", port, "--token", token(data), *topics)
        if run.missing:
            raise AssertionError(f"{run.missing} messages are missing")
        return run

    def peer(self) -> Run:
        port = free_port()
        with child("bench.peers", "broadcast", "--port", port, "--book", self._book) as process:
            process.line(OPEN_S_MAX)
            return self._run(process, "--port", port, "--path", "/")

    def _run(self, process: Child, *arguments: object) -> Run:
        arrivals, commits = self._folder / "arrivals.bin", self._folder / "commits.bin"
        with child("bench.clients", "--count", CLIENTS, "--record", arrivals, *arguments) as clients:
            clients.answer(Ready, OPEN_S_MAX)
            busy, began = busy_s(), time.monotonic()
            cpu_s, clients_s = process.cpu_s, clients.cpu_s
            written = self._write(commits)
            cpu_s, clients_s = process.cpu_s - cpu_s, clients.cpu_s - clients_s
            others = (busy_s() - busy - cpu_s - clients_s - written.cpu_s) / (time.monotonic() - began)
            time.sleep(DRAIN_S)
            clients.tell()
            clients.answer(Result, OPEN_S_MAX)
        waits, missing = _waits_ms(read_pairs(commits), read_pairs(arrivals))
        cuts = statistics.quantiles(waits, n=100)
        return Run(
            cuts[49], cuts[98], max(waits), cpu_s / written.seconds, clients_s / written.seconds,
            written.cpu_s / written.seconds, written.late_ms, others, missing,
        )  # fmt: skip

    def _write(self, commits: Path) -> Written:
        seconds = WARM_S + self._seconds
        schedule = ("--rate", RATE_HZ, "--seconds", seconds, "--first", 1)
        with child("bench.writer", "--book", self._book, *schedule, "--record", commits) as writer:
            return writer.answer(Written, 10 * seconds + OPEN_S_MAX)


def read_pairs(path: Path) -> Iterator[tuple[int, int]]:
    """A record of the writer or the clients: wager number, nanoseconds."""
    values = array("q")
    with path.open("rb") as file:
        values.frombytes(file.read())
    return zip(values[::2], values[1::2], strict=True)


def _waits_ms(commits: Iterator[tuple[int, int]], arrivals: Iterator[tuple[int, int]]) -> tuple[list[float], int]:
    """How long each client waited for each wager after the warm-up, and how many messages did not come.

    Raises:
        AssertionError: somebody saw a wager twice.
    """
    committed = dict(list(commits)[round(RATE_HZ * WARM_S) :])
    waits = [(at - committed[number]) / NANOSECONDS_PER_MS for number, at in arrivals if number in committed]
    missing = CLIENTS * len(committed) - len(waits)
    if missing < 0:
        raise AssertionError(f"{-missing} messages came twice")
    return waits, missing


def _rows(ours: list[Run], peers: list[Run]) -> Iterator[Row]:
    load = f"{RATE_HZ:,} wagers a second, {CLIENTS} clients"
    for name, target in (("p50", P50_MS), ("p99", P99_MS), ("max", None)):
        mine, other = (statistics.median(getattr(run, f"{name}_ms") for run in runs) for runs in (ours, peers))
        yield Row(f"commit to message, ms, {name}, {load}", mine, "less", target, other, PEER)
    mine, other = (statistics.median(run.server_cpu for run in runs) for runs in (ours, peers))
    yield Row("CPU of the server, cores, the same load", mine, "less", None, other, PEER)


def _notes(ours: list[Run], peers: list[Run], seconds: float, rounds: int) -> Iterator[str]:
    def percent(runs: list[Run], name: str) -> str:
        return f"{100 * statistics.median(getattr(run, name) for run in runs):.0f} %"

    yield (
        f"{rounds} × {seconds:g} s for each side in turns; medians of the rounds' percentiles over every client and "
        "wager, a new book each time; nobody missed one of ours or saw one twice; each wager is a transaction, and "
        "settled 2 s later (the peer says only new rows, without kpi, log, position or access)"
    )
    yield (
        f"on two cores, in % of one: our server {percent(ours, 'server_cpu')}, its clients "
        f"{percent(ours, 'clients_cpu')}, the writer {percent(ours, 'writer_cpu')}, at most "
        f"{max(run.late_ms for run in ours):.0f} ms behind; peer {percent(peers, 'server_cpu')}, its clients "
        f"{percent(peers, 'clients_cpu')}"
    )
    for side, runs in (("ours", ours), ("peer", peers)):
        each = ", ".join(
            f"{run.p50_ms:.1f} / {run.p99_ms:.1f} ({run.others:.2f}{'' if run.quiet else ', DISTURBED'})"
            for run in runs
        )
        yield f"{side}, p50 / p99 ms of each round (cores that other programs took): {each}"

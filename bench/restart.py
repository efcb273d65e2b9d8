"""Restart with 1,000,000 events in the log: seconds from the start of `fire22 serve` to the first right figure."""

import asyncio
import contextlib
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw, Struct

from bench.processes import Child, child, free_port, program, token
from bench.report import Report, Row
from bench.sql_kpi import REVENUE, SqlBook
from bench.wagers import Invented
from fire22.app import build_engine, convert, flow_settings
from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.times import to_datetime
from fire22.feed.sqlite import SqliteFeed
from fire22.flows.engine import CONFIGURED, configuration
from fire22.log.base import Group
from fire22.log.file import open_file
from fire22.log.sqlite import SqliteLog
from fire22.log.writer import Writer
from fire22.security.key_files import load_key
from fire22.sportsbook.demo.catalogue import FULL

TARGET_S: Final = 3
WAGERS: Final = 500_000  # each of them placed and settled
APPEND: Final = 1_000  # events in one commit group
ROUNDS: Final = 3
WAIT_S: Final = 120
POLL_S: Final = 0.01
SUM: Final = f"import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute({REVENUE!r}).fetchone()[0], flush=True)"


class Made(Struct, frozen=True):
    """A data folder, the peer's file, and what both must say."""

    data: Path
    table: Path
    events: int
    revenue_minor: int
    stored_bytes: int


class Restarted(Struct, frozen=True):
    """Seconds from the start of the process until its figure was there, and the memory that it held then."""

    figure_s: float
    resident_bytes: int


class _Document(Struct):
    data: dict[str, Raw]


class _View(Struct):
    documents: list[_Document]


def measure(*, quick: bool) -> Report:
    """In turns with a process that opens a SQLite file and sums the same wagers."""
    wagers, rounds = (WAGERS // 10, 1) if quick else (WAGERS, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        made = _make(Path(folder), wagers)
        built_s = time.monotonic() - began
        pairs = [(_ours(made), _peer_s(made)) for _ in range(rounds)]
    ours = statistics.median(one.figure_s for one, _ in pairs)
    peer = statistics.median(other for _, other in pairs)
    resident = statistics.median(one.resident_bytes for one, _ in pairs)
    figure = f"restart with {made.events:,} events in the log, s to the first figure"
    return Report(
        (
            Row(figure, ours, "less", TARGET_S, peer, "sqlite3: open, one SUM"),
            Row("the same, resident MB of the server then", resident / 1e6, "less"),
        ),
        (
            f"{rounds} rounds in turns; from the start of the process until GET /v1/views/kpi is answered with the "
            f"revenue of {wagers:,} settled wagers, which is checked; {sum(FULL.levels)} agents on {len(FULL.levels)} "
            f"levels, {FULL.customers:,} customers; the file has {made.stored_bytes / 1e6:,.0f} MB and was in the "
            "system's cache",
            "the peer is a process too: Python, sqlite3, the sum over a table of the same wagers; it has one figure, "
            "of the whole book, and serves nobody",
            f"the log was written by SqliteLog and folded by all flows in {built_s:.0f} s, before the measurement",
        ),
    )


def _make(folder: Path, wagers: int) -> Made:
    """A log of so many wagers with its feed and state, and the same wagers as a table."""
    invented = Invented(seed=1, size=FULL)
    data, table = folder / "data", folder / "wagers.db"
    data.mkdir()
    load_key(data / "token.key")
    events = with_configuration(invented.wagers(wagers))
    with contextlib.closing(sqlite3.connect(table, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        count = asyncio.run(_write(data / "flows.db", events, SqlBook(connection)))
    return Made(data, table, count, invented.revenue_minor, (data / "flows.db").stat().st_size)


def with_configuration(events: Iterator[EncodedEvent]) -> Iterator[EncodedEvent]:
    """As a server of these settings begins its log."""
    settings = Raw(configuration(build_engine(()).flows, flow_settings(convert({}))))
    yield encode_event(Event("configured:0", CONFIGURED, "server", to_datetime(0), settings))
    yield from events


async def _write(path: Path, events: Iterator[EncodedEvent], book: SqlBook) -> int:
    """Append and fold the events in large groups, as a server does; returns how many there were."""
    loop = asyncio.get_running_loop()
    connection = open_file(path)
    writer = Writer(connection, loop, group_ms=0)
    log = SqliteLog(writer, connection, path, loop)
    feed = SqliteFeed(writer, connection, path, loop)
    engine = build_engine(())
    feed.begin(engine.shape)  # as a server does, which would fold all of it again otherwise
    engine.load(*feed.load())
    writer.start()
    try:
        while group := list(islice(events, APPEND)):
            first, *_ = await log.append(group)
            folded = engine.fold_group(Group(first.seq, tuple(each.body for each in group)))
            written = feed.append(folded.batch, folded.rows)
            book.write(msgspec.json.decode(each.body) for each in group)
            await written
        if engine.rejected:
            raise AssertionError(f"the flows could not use {engine.rejected[0]}")
    finally:
        log.close()
        feed.close()
        writer.close()
    return log.last_seq


def _ours(made: Made) -> Restarted:
    port = free_port()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/views/kpi", headers={"authorization": f"Bearer {token(made.data)}"}
    )
    began = time.perf_counter()
    with child("fire22", "serve", "--data", made.data, "--port", port) as process:
        revenue = _first(request, process)
        figure_s = time.perf_counter() - began
        if revenue != made.revenue_minor / 100:
            raise AssertionError(f"the server says {revenue}, not {made.revenue_minor / 100}")
        return Restarted(figure_s, process.statistics.memory_info().rss)


def _first(request: urllib.request.Request, process: Child) -> float:
    """The revenue that a server says as soon as it says anything."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(request) as answer:
            [document] = msgspec.json.decode(answer.read(), type=_View).documents
            return msgspec.json.decode(document.data["revenue"], type=float)
        time.sleep(POLL_S)
    raise TimeoutError(f"no figure within {WAIT_S} s: {process.logged}")


def _peer_s(made: Made) -> float:
    began = time.perf_counter()
    with program("sqlite3", [sys.executable, "-c", SUM, str(made.table)]) as process:
        revenue_minor = int(process.line(WAIT_S))
        taken = time.perf_counter() - began
    if revenue_minor != made.revenue_minor:
        raise AssertionError(f"the table says {revenue_minor}, not {made.revenue_minor}")
    return taken

"""Durable events a second through the log: synchronous=FULL, group commit, many appends at once."""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uvloop
from msgspec import Struct

from bench.report import Report, Row, alternate
from bench.wagers import Invented
from fire22.config import LogConfig
from fire22.core.event import EncodedEvent
from fire22.log.cipher import PLAIN, Cipher
from fire22.log.file import open_file
from fire22.log.sqlite import SqliteLog
from fire22.log.writer import Writer

PEER_GROUP: Final = 100
ONE_BY_ONE_MAX: Final = 2_000  # durable one by one takes its time


class Load(Struct, frozen=True):
    """How events come: `size` in one append, `appenders` appends under way at any time."""

    size: int
    appenders: int


SINGLE: Final = Load(size=1, appenders=2_000)
HUNDRED: Final = Load(size=100, appenders=40)


def measure(*, quick: bool) -> Report:
    """Appends of one and of a hundred events, against the standard library in groups of a hundred and one by one."""
    events = list(Invented(seed=1).events(10_000 if quick else 50_000))
    rounds = 1 if quick else 3
    single, hundred, encrypted, grouped, alone = alternate(
        rounds,
        lambda: _ours(events, SINGLE),
        lambda: _ours(events, HUNDRED),
        lambda: _ours(events, HUNDRED, Cipher([bytes(32)])),
        lambda: _peer(events, PEER_GROUP),
        lambda: _peer(events[:ONE_BY_ONE_MAX], 1),
    )
    size = sum(len(event.body) for event in events) / len(events)
    return Report(
        (
            Row(
                f"durable events a second, {SINGLE.appenders:,} concurrent appends of 1",
                single, "more", 30_000, alone, "sqlite3, one by one",
            ),
            Row(
                f"durable events a second, {HUNDRED.appenders} concurrent appends of 100",
                hundred, "more", 30_000, grouped, f"sqlite3, groups of {PEER_GROUP}",
            ),
            Row(
                f"the same, encrypted at rest ({HUNDRED.appenders} concurrent appends of 100)",
                encrypted, "more", 30_000, hundred, "the row above, not encrypted",
            ),
        ),
        (
            f"{len(events):,} events of {size:.0f} bytes; ours is the log as the server runs it, one event loop "
            "included: numbers, checksums, unique ids, commit groups kept in memory",
            "the peers write into a table with a unique id from one thread, without answers or checksums",
        ),
    )  # fmt: skip


def _ours(events: list[EncodedEvent], load: Load, cipher: Cipher = PLAIN) -> float:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_append_all(Path(folder) / "flows.db", events, load, cipher))


async def _append_all(path: Path, events: list[EncodedEvent], load: Load, cipher: Cipher) -> float:
    loop = asyncio.get_running_loop()
    connection = open_file(path, cipher=cipher)
    writer = Writer(connection, loop, group_ms=LogConfig().group_ms)
    log = SqliteLog(writer, connection, path, loop)
    writer.start()
    calls = iter([events[at : at + load.size] for at in range(0, len(events), load.size)])
    try:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(load.appenders):
                tasks.create_task(_append_some(log, calls))
        taken = time.perf_counter() - began
        if log.last_seq != len(events):
            raise AssertionError(f"{log.last_seq} of {len(events)} events are in the log")
    finally:
        log.close()
        writer.close()
    return len(events) / taken


async def _append_some(log: SqliteLog, calls: Iterator[list[EncodedEvent]]) -> None:
    for call in calls:
        await log.append(call)


def _peer(events: list[EncodedEvent], group: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "peer.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE log(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)")
        began = time.perf_counter()
        for at in range(0, len(events), group):
            connection.execute("BEGIN IMMEDIATE")
            rows = ((event.id, event.body) for event in events[at : at + group])
            connection.executemany("INSERT INTO log(id, body) VALUES(?, ?)", rows)
            connection.execute("COMMIT")
        taken = time.perf_counter() - began
        connection.close()
    return len(events) / taken

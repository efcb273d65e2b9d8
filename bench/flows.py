"""Wagers a second through all flows on one core: every event folded, every commit group flushed."""

import cProfile
import json
import pstats
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from bench.report import Report, Row, alternate
from bench.sql_kpi import SqlBook
from bench.wagers import Invented
from fire22.app import build_engine, flow_settings
from fire22.config import Config
from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.times import to_datetime
from fire22.feed.base import Batch
from fire22.flows.engine import CONFIGURED, Engine, configuration

TARGET: Final = 20_000
GROUPS: Final = (100, 20)
SQL_UPDATES: Final = 30


def measure(*, quick: bool) -> Report:
    """At two group sizes, against the same figures by SQL, and against only reading the same JSON."""
    wagers = 5_000 if quick else 25_000
    invented = Invented(seed=1)
    events = list(invented.wagers(wagers))
    rounds = 1 if quick else 5
    large, small, floor = alternate(
        rounds,
        lambda: _ours(events, GROUPS[0], invented.revenue_minor),
        lambda: _ours(events, GROUPS[1], invented.revenue_minor),
        lambda: _read_json(events),
    )
    sql_large, sql_small = (_by_sql(events, group, wagers) for group in GROUPS)
    peers = "SQL over the book, root scope only"
    rows = (
        Row(f"wagers a second, groups of {GROUPS[0]} events", wagers / large, "more", TARGET, sql_large, peers),
        Row(f"wagers a second, groups of {GROUPS[1]} events", wagers / small, "more", TARGET, sql_small, peers),
        Row("events a second, the former", len(events) / large, "more", None, len(events) / floor, "json.loads alone"),
        Row("events a second, the latter", len(events) / small, "more", None, len(events) / floor, "json.loads alone"),
    )
    return Report(
        rows,
        (
            f"{wagers:,} wagers, each placed and settled, of {len(invented.agents)} agents on three levels; "
            "a CPU-second of one thread, the feed's bytes not yet encoded",
            "the final revenue is checked against the sum of the wagers; "
            f"SQL: {SQL_UPDATES} updates at the end of the same history, one query of four figures each",
        ),
    )


def profile() -> None:
    """Print where the time goes."""
    events = list(Invented(seed=1).wagers(25_000))
    profiler = cProfile.Profile()
    profiler.enable()
    _fold(_engine(), [event.body for event in events], GROUPS[0])
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(35)


def _engine() -> Engine:
    engine = build_engine(())
    data = msgspec.Raw(configuration(engine.flows, flow_settings(Config())))
    engine.fold(encode_event(Event("configured:0", CONFIGURED, "server", to_datetime(0), data)).body)
    engine.flush()
    return engine


def _fold(engine: Engine, bodies: Sequence[bytes], group: int) -> Batch:
    batch = engine.flush()
    for at in range(0, len(bodies), group):
        for body in bodies[at : at + group]:
            engine.fold(body)
        batch = engine.flush()
    return batch


def _ours(events: list[EncodedEvent], group: int, revenue_minor: int) -> float:
    """CPU seconds."""
    engine = _engine()
    bodies = [event.body for event in events]
    found: list[Batch] = []
    taken = _cpu_s(lambda: found.append(_fold(engine, bodies, group)))
    root = next(document for document in found[0].documents if (document.topic, document.scope) == ("kpi", "/"))
    body = root.body or {}
    if body["revenue"] != revenue_minor / 100 or body["pending"] != 0 or engine.rejected:
        raise AssertionError(f"the flows say {body}, not a revenue of {revenue_minor / 100}")
    return taken


def _read_json(events: list[EncodedEvent]) -> float:
    """CPU seconds."""
    return _cpu_s(lambda: [json.loads(event.body) for event in events])


def _by_sql(events: list[EncodedEvent], group: int, wagers: int) -> float:
    """Wagers a second, if every group of events is written to a table and the figures are asked for anew."""
    rows = [json.loads(event.body) for event in events]
    first = len(rows) - SQL_UPDATES * group
    with sqlite3.connect(":memory:", isolation_level=None) as connection:
        book = SqlBook(connection)
        book.write(rows[:first])

        def update() -> None:
            for at in range(first, len(rows), group):
                book.write(rows[at : at + group])
                book.figures()

        taken = _cpu_s(update)
    return wagers / len(rows) * SQL_UPDATES * group / taken


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began

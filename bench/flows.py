"""Wagers a second through all flows on one core: every event folded, every commit group flushed.

The book is a large operator's: 200 agents on eight levels, 6,000 customers, 2,000 open markets. Its own time runs so
that the watermark moves once in 30,000 events, as it does where 15,000 wagers a second are placed and settled.
"""

import cProfile
import gc
import json
import pstats
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Final

import msgspec
from msgspec import Struct

from bench.report import Report, Row, alternate
from bench.sql_kpi import SqlBook
from bench.wagers import Invented
from fire22.app import Settings, build_engine, convert, flow_settings
from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.times import to_datetime
from fire22.flows.engine import CONFIGURED, Engine, configuration
from fire22.sportsbook.demo.catalogue import FULL, Size, with_markets
from fire22.sportsbook.risk.rules import RULES

TARGET: Final = 15_000
GOAL: Final = 50_000
UPDATE_TARGET: Final = 1_000  # times the SQL query over UPDATE_WAGERS
UPDATE_WAGERS: Final = 1_000_000
UPDATES: Final = 300
QUERIES: Final = 3
GROUPS: Final = (500, 100, 20)
MARKETS: Final = 2_000
LARGE: Final = with_markets(FULL, MARKETS)
DEPTHS: Final = (2, 4, 8)
OPEN: Final = (1_000, 10_000, 100_000)
SQL_UPDATES: Final = 20


class Course(Struct, frozen=True):
    """Events to fold: those before the measurement, and those in it."""

    before: list[EncodedEvent]
    measured: list[EncodedEvent]
    wagers: int
    revenue_minor: int


def measure(*, quick: bool) -> Report:
    """At three group sizes, beside the same figures by SQL; the course of the cost; one update beside one query."""
    wagers = 10_000 if quick else 40_000
    rounds = 1 if quick else 3
    course = _course(LARGE, wagers)
    taken = alternate(rounds, *(_side(course, group) for group in GROUPS), lambda: _read_json(course.measured))
    by_sql = [_by_sql(course, group) for group in GROUPS]
    rows = [
        Row(
            f"wagers a second through all flows, groups of {group} events",
            wagers / seconds,
            "more",
            TARGET if group == GROUPS[0] else None,
            sql,
            "SQL over the book, four figures of the root",
        )
        for group, seconds, sql in zip(GROUPS, taken, by_sql, strict=False)
    ]
    events = len(course.measured)
    rows.append(
        Row("events a second, the first", events / taken[0], "more", None, events / taken[-1], "json.loads alone")
    )
    rows += _courses(wagers // 2, quick=quick)
    rows.append(_update(quick=quick))
    return Report(tuple(rows), tuple(_notes(course)))


def _notes(course: Course) -> Iterator[str]:
    agents = sum(LARGE.levels)
    yield (
        f"{course.wagers:,} wagers, each placed and settled, of {agents} agents on {len(LARGE.levels)} levels, "
        f"{LARGE.customers:,} customers, {MARKETS:,} open markets; a CPU-second of one thread, the collector as "
        f"the server has it; rows and messages encoded, not written to disk; the goal beyond the target is {GOAL:,}"
    )
    yield "the final revenue, the open wagers and that nothing was set aside are checked in every round"
    yield f"SQL: {SQL_UPDATES} updates at the end of the same history, four queries each, one scope; ours every scope"
    yield (
        f"one update: a wager settled as a commit group of its own, after {UPDATE_WAGERS:,} wagers, against four "
        "queries over a table of as many with the indexes they want, in memory"
    )


# One course.


def _course(size: Size, wagers: int, open: int = 0) -> Course:
    invented = Invented(1, size)
    before = [*invented.opening(), *invented.left_open(open)]
    measured = list(invented.settled(wagers))
    return Course(before, measured, wagers, invented.revenue_minor)


def _side(course: Course, group: int, config: Settings | None = None) -> Callable[[], float]:
    """CPU seconds of the measured events, after those before them."""
    config = config or convert({})

    def run() -> float:
        engine = _engine(config)
        _fold(engine, [event.body for event in course.before], GROUPS[0])
        bodies = [event.body for event in course.measured]
        gc.collect()
        gc.freeze()  # as the server does once it has started
        try:
            taken = _cpu_s(lambda: _fold(engine, bodies, group))
        finally:
            gc.unfreeze()
        _check(engine, course)
        return taken

    return run


def _check(engine: Engine, course: Course) -> None:
    for _ in range(sum(FULL.levels)):  # until no document waits
        engine.flush()
    body = engine.document("kpi", "/", "") or {}
    if body["revenue"] != course.revenue_minor / 100 or engine.rejected:
        raise AssertionError(
            f"the flows say {body}, not a revenue of {course.revenue_minor / 100}; {engine.rejected[:3]}"
        )


def _engine(config: Settings) -> Engine:
    engine = build_engine(())
    data = msgspec.Raw(configuration(engine.flows, flow_settings(config)))
    engine.fold(encode_event(Event("configured:0", CONFIGURED, "server", to_datetime(0), data)).body)
    engine.flush()
    return engine


def _fold(engine: Engine, bodies: Sequence[bytes], group: int) -> None:
    for at in range(0, len(bodies), group):
        for body in bodies[at : at + group]:
            engine.fold(body)
        engine.flush()


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


# Curves.


def _courses(wagers: int, *, quick: bool) -> Iterator[Row]:
    """Microseconds for each event, over the depth of the tree, open wagers and rules."""
    agents = sum(FULL.levels)
    for depth in DEPTHS:
        levels = tuple(agents // depth for _ in range(depth))
        size = Size(levels, LARGE.customers, LARGE.games, LARGE.live_games, LARGE.periods)
        yield _course_row(f"µs an event, {depth} levels of agents", _course(size, wagers))
    for open in OPEN[:2] if quick else OPEN:
        yield _course_row(f"µs an event, {open:,} open wagers", _course(LARGE, wagers, open))
    names = [rule.name for rule in RULES]
    for count in (0, len(names) // 2, len(names)):
        off = {name: {"enabled": False} for name in names[count:]}
        yield _course_row(f"µs an event, {count} rules", _course(LARGE, wagers), convert({"risk": off}))


def _course_row(figure: str, course: Course, config: Settings | None = None) -> Row:
    taken = _side(course, GROUPS[0], config)()
    floor = _read_json(course.measured)
    events = len(course.measured)
    return Row(figure, taken / events * 1e6, "less", None, floor / events * 1e6, "json.loads alone")


# Peers.


def _read_json(events: list[EncodedEvent]) -> float:
    """CPU seconds."""
    return _cpu_s(lambda: [json.loads(event.body) for event in events])


def _by_sql(course: Course, group: int) -> float:
    """Wagers a second, if every group of events is written to a table and the figures are asked for anew."""
    rows = [json.loads(event.body) for event in course.measured]
    first = max(0, len(rows) - SQL_UPDATES * group)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        book = SqlBook(connection)
        book.write(rows[:first])

        def update() -> None:
            for at in range(first, len(rows), group):
                book.write(rows[at : at + group])
                book.figures()

        taken = _cpu_s(update)
    return course.wagers / len(rows) * (len(rows) - first) / taken


def _update(*, quick: bool) -> Row:
    """One update of the kpi view against running the query again."""
    wagers = UPDATE_WAGERS // 20 if quick else UPDATE_WAGERS
    invented = Invented(1, LARGE)
    engine = _engine(convert({}))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        book = SqlBook(connection)
        for batch in _batches(invented, wagers):
            _fold(engine, [event.body for event in batch], GROUPS[0])
            book.write(json.loads(event.body) for event in batch)
        bodies = [event.body for event in invented.settled(UPDATES // 2)]
        ours = statistics.median(_cpu_s(lambda body=body: _fold(engine, [body], 1)) for body in bodies)  # type: ignore[misc]
        by_sql = statistics.median(_cpu_s(book.figures) for _ in range(QUERIES))
    return Row(
        f"times faster a kpi update is than the query, {wagers:,} wagers", by_sql / ours, "more", UPDATE_TARGET,
        1, f"SQLite, {by_sql * 1000:,.0f} ms a query; ours {ours * 1e6:,.0f} µs",
    )  # fmt: skip


def _batches(invented: Invented, wagers: int) -> Iterator[list[EncodedEvent]]:
    yield list(invented.opening())
    step = 10_000
    for at in range(0, wagers, step):
        yield list(invented.settled(min(step, wagers - at)))


def profile() -> None:
    """Print where the time goes."""
    course = _course(LARGE, 20_000)
    engine = _engine(convert({}))
    _fold(engine, [event.body for event in course.before], GROUPS[0])
    profiler = cProfile.Profile()
    profiler.enable()
    _fold(engine, [event.body for event in course.measured], GROUPS[0])
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(35)

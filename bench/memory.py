"""What a wager costs in memory: a million settled ones, then 100,000 open ones, in all flows, beside plain ways.

`python -m bench.memory SIDE SETTLED OPEN` is one side, a process of its own: it prints its resident bytes before the
wagers, with the settled ones, and with the open ones as well. Another process makes the events (SIDE is `events`).
"""

import ctypes
import gc
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import msgspec
import psutil  # type: ignore[import-untyped]
from msgspec import Struct

from bench.processes import child
from bench.report import Report, Row
from bench.restart import with_configuration
from bench.sql_kpi import SqlBook
from bench.wagers import Invented
from fire22.app import build_engine
from fire22.sportsbook.demo.catalogue import FULL

SETTLED: Final = 1_000_000
OPEN: Final = 100_000
GROUP: Final = 500
WAIT_S: Final = 1_800
Take = Callable[[list[bytes]], object]


class Held(Struct, frozen=True):
    """Resident bytes."""

    before: int
    settled: int
    open: int


def measure(*, quick: bool) -> Report:
    """One side after the other."""
    settled, opened = (SETTLED // 20, OPEN // 20) if quick else (SETTLED, OPEN)
    sides = {side: _held(side, settled, opened) for side in SIDES}
    ours = sides["ours"]
    rows = []
    for side, name in (("dataclasses", "dict of dataclasses"), ("sqlite", "SQLite in memory")):
        peer = sides[side]
        of_settled = f"memory of a settled wager, bytes, {settled:,} of them"
        of_open = f"memory of an open wager, bytes, {opened:,} of them"
        rows += [
            Row(of_settled, _each(ours.settled - ours.before, settled), "less", None,
                _each(peer.settled - peer.before, settled), name),
            Row(of_open, _each(ours.open - ours.settled, opened), "less", None,
                _each(peer.open - peer.settled, opened), name),
        ]  # fmt: skip
    return Report(
        tuple(rows),
        (
            "growth of the resident memory of a process that folds them; ours holds every figure of all flows as well, "
            f"for {sum(FULL.levels)} agents and {FULL.customers:,} customers; the peers keep the wagers alone",
            f"all of ours at the end: {ours.open / 1e6:,.0f} MB resident, {ours.before / 1e6:,.0f} of them before the "
            "first wager",
        ),
    )


def _each(bytes: int, count: int) -> float:
    return bytes / count


def _held(side: str, settled: int, opened: int) -> Held:
    with child("bench.memory", side, settled, opened) as process:
        return process.answer(Held, WAIT_S)


def _ours() -> Take:
    engine = build_engine(())

    def take(bodies: list[bytes]) -> None:
        for body in bodies:
            engine.fold(body)
        engine.flush()
        if engine.rejected:
            raise AssertionError(f"the flows could not use {engine.rejected[0]}")

    return take


@dataclass
class _Wager:
    wager_id: str
    customer_id: str
    path: str
    type: str
    risk: int
    to_win: int
    free_play: bool
    at: str
    legs: list[dict[str, Any]]
    returned: int | None = None


def _dataclasses() -> Take:
    wagers: dict[str, _Wager] = {}

    def take(bodies: list[bytes]) -> None:
        for event in map(json.loads, bodies):
            data = event["data"]
            if event["type"] == "wager.placed":
                wagers[data["wagerId"]] = _Wager(
                    data["wagerId"], data["customerId"], data["path"], data["type"], data["riskMinor"],
                    data["toWinMinor"], data["freePlay"], event["timestamp"], data["legs"],
                )  # fmt: skip
            elif event["type"] == "wager.settled":
                wagers[data["wagerId"]].returned = data["returnMinor"]

    return take


def _sqlite() -> Take:
    book = SqlBook(sqlite3.connect(":memory:", isolation_level=None))
    return lambda bodies: book.write(map(json.loads, bodies))


SIDES: Final[dict[str, Callable[[], Take]]] = {"ours": _ours, "dataclasses": _dataclasses, "sqlite": _sqlite}


def _measured(side: str, settled: int, opened: int) -> Held:
    """Take the events of another process, and look at the own memory on the way."""
    take = SIDES[side]()
    maker = [sys.executable, "-m", "bench.memory", "events", str(settled), str(opened)]
    with subprocess.Popen(maker, stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise AssertionError("the output is not a pipe")
        stages = [_taken(take, process.stdout) for _ in range(3)]
    return Held(*stages)


def _taken(take: Take, source: IO[bytes]) -> int:
    """Take events up to an empty line; the resident bytes then."""
    group: list[bytes] = []
    for line in iter(source.readline, b"\n"):
        if not line:
            raise AssertionError("the events ended too early")
        group.append(line)
        if len(group) == GROUP:
            take(group)
            group = []
    take(group)
    del group
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free and not yet given back is nobody's
    return int(psutil.Process().memory_info().rss)


def _events(settled: int, opened: int) -> Iterator[bytes]:
    """The opening, the settled wagers, the open ones: a line each, and an empty one after each part."""
    invented = Invented(seed=1, size=FULL)
    parts = (with_configuration(invented.opening()), invented.settled(settled), invented.left_open(opened))
    for part in parts:
        for event in part:
            yield event.body + b"\n"
        yield b"\n"


def _main(side: str, settled: int, opened: int) -> None:
    if side == "events":
        for line in _events(settled, opened):
            sys.stdout.buffer.write(line)
    else:
        sys.stdout.buffer.write(msgspec.json.encode(_measured(side, settled, opened)) + b"\n")
        sys.stdout.buffer.flush()
        sys.stdin.read()  # until the caller has its answer


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

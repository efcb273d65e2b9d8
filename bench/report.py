"""What a measurement says, and the table of it."""

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

MET: Final = "met"
MISSED: Final = "MISSED"


class Row(Struct, frozen=True):
    """One figure.

    Args:
        figure: what was measured, with its unit.
        ours: our value.
        better: which direction is good.
        target: what must be reached; None where nothing is required.
        peer: the value of whoever is compared; None where nobody is.
        peer_name: who that is.
    """

    figure: str
    ours: float
    better: Literal["more", "less"]
    target: float | None = None
    peer: float | None = None
    peer_name: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer."""
        if not self.peer or not self.ours:
            return None
        return self.ours / self.peer if self.better == "more" else self.peer / self.ours

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.target is None:
            return ""
        met = self.ours >= self.target if self.better == "more" else self.ours <= self.target
        return MET if met else MISSED


class Report(Struct, frozen=True):
    """What one measurement has found: its rows, and what a reader needs to judge them."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def alternate(rounds: int, *sides: Callable[[], float]) -> list[float]:
    """The median of each side, measured in turns, so that a busy minute of the machine falls on all of them."""
    values: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, values, strict=True):
            found.append(side())
    return [statistics.median(found) for found in values]


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that also reads well in a terminal."""
    heads = ("figure", "ours", "target", "peer", "ratio", "verdict")
    lines = [heads, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def machine() -> str:
    """What was measured on: cores, versions, and what the disk takes to make 4 kB durable."""
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version} (peers), "
        f"`fdatasync` of 4 kB {_sync_ms(grows=False):.2f} ms in place, {_sync_ms(grows=True):.2f} ms at a file's end, "
        f"load average at the start {os.getloadavg()[0]:.1f}"
    )


def number(value: float) -> str:
    """Three digits that matter, thousands apart."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _cells(row: Row) -> tuple[str, ...]:
    sign = "≥" if row.better == "more" else "≤"
    target = "" if row.target is None else f"{sign} {number(row.target)}"
    peer = "" if row.peer is None else f"{number(row.peer)} ({row.peer_name})"
    ratio = "" if row.ratio is None else f"{number(row.ratio)} ×"
    return row.figure, number(row.ours), target, peer, ratio, row.verdict


def busy_s() -> float:
    """CPU seconds that all cores have worked so far, for whatever process, interrupts and a stealing host included."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _sync_ms(*, grows: bool) -> float:
    """SQLite's log mostly writes in place, which is about twice as fast as growing."""
    count = 100
    with tempfile.TemporaryDirectory() as folder:
        descriptor = os.open(Path(folder) / "probe", os.O_CREAT | os.O_WRONLY)
        try:
            if not grows:
                os.pwrite(descriptor, bytes(4096 * count), 0)
                os.fsync(descriptor)
            taken = [_sync_once_s(descriptor) for _ in range(count)]
        finally:
            os.close(descriptor)
    return statistics.median(taken) * 1000


def _sync_once_s(descriptor: int) -> float:
    os.write(descriptor, bytes(4096))
    began = time.perf_counter()
    os.fdatasync(descriptor)
    return time.perf_counter() - began

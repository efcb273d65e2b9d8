"""A book's own program, as a process: commits wagers at a steady rate, settles them later, and says when it committed.

    python -m bench.writer --book book.db --rate 1000 --seconds 10 --first 1 --record commits.bin

Each wager is a transaction of its own; those that are open for `SETTLE_S` are settled a few at a time. The record is
pairs of signed 64-bit integers: wager number, and CLOCK_MONOTONIC in nanoseconds right before its COMMIT.
"""

import argparse
import time
from array import array
from collections import deque
from pathlib import Path
from random import Random
from typing import Final

import apsw
import msgspec
from msgspec import Struct

from fire22.sportsbook.betting.odds import to_win_minor
from fire22.sportsbook.book import database, writer
from fire22.sportsbook.book.changes import NewLeg, PlaceWager, SettleWager

SETTLE_S: Final = 2.0
SETTLE_EVERY: Final = 25  # wagers; as many are settled in one transaction


class Written(Struct, frozen=True):
    """What the writer did.

    Args:
        late_ms: how far it was behind its schedule at the worst.
    """

    placed: int
    settled: int
    seconds: float
    cpu_s: float
    late_ms: float


class Writer:
    """Places and settles wagers of random customers on random markets."""

    def __init__(self, connection: apsw.Connection, *, first: int, seed: int) -> None:
        self._connection = connection
        self._rng = Random(seed)
        self._number = first
        self._open: deque[tuple[float, PlaceWager]] = deque()
        self._customers = list(
            connection.execute("SELECT c.id, a.id, a.path FROM customers c JOIN agents a ON a.id = c.agent_id")
        )
        self._selections = list(connection.execute("SELECT id, odds_american FROM selections"))
        self.commits = array("q")
        self.settled = 0

    def place(self) -> None:
        """Commit one wager."""
        customer, agent, path = self._rng.choice(self._customers)
        selection, price = self._rng.choice(self._selections)
        risk = self._rng.randint(10, 500) * 100
        wager = PlaceWager(
            id=f"w{self._number}", customer_id=customer, agent_id=agent, agent_path=path, type="straight",
            risk_minor=risk, to_win_minor=to_win_minor(risk, (price,)), at_ms=time.time_ns() // 1_000_000,
            channel="web", legs=(NewLeg(selection, price),),
        )  # fmt: skip
        with database.transaction(self._connection):
            writer.write(self._connection, [wager])
            self.commits.extend((self._number, time.monotonic_ns()))
        self._open.append((time.monotonic(), wager))
        self._number += 1

    def settle(self) -> None:
        """Commit the settlement of what has been open long enough."""
        before = time.monotonic() - SETTLE_S
        at_ms = time.time_ns() // 1_000_000
        items: list[SettleWager] = []
        while self._open and self._open[0][0] < before:
            wager = self._open.popleft()[1]
            won = self._rng.random() < 0.45
            returned = wager.risk_minor + wager.to_win_minor if won else 0
            items.append(SettleWager(wager.id, "win" if won else "loss", returned, at_ms))
        writer.write(self._connection, items)
        self.settled += len(items)


def run(writer: Writer, *, rate_hz: float, seconds: float) -> Written:
    """Write by the clock; being late does not thin the schedule out."""
    late_s = 0.0
    cpu_before, began = time.process_time(), time.monotonic()
    count = round(rate_hz * seconds)
    for number in range(count):
        ahead_s = began + number / rate_hz - time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s)
        late_s = max(late_s, -ahead_s)
        writer.place()
        if number % SETTLE_EVERY == 0:
            writer.settle()
    taken = time.monotonic() - began
    return Written(count, writer.settled, taken, time.process_time() - cpu_before, late_s * 1000)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.writer")
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--record", type=Path, required=True)
    arguments = parser.parse_args()
    connection = database.connect(arguments.book)
    try:
        writer = Writer(connection, first=arguments.first, seed=arguments.first)
        written = run(writer, rate_hz=arguments.rate, seconds=arguments.seconds)
    finally:
        connection.close()
    with arguments.record.open("wb") as file:
        writer.commits.tofile(file)
    print(msgspec.json.encode(written).decode(), flush=True)


if __name__ == "__main__":
    main()

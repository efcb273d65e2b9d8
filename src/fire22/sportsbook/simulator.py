"""Runs a simulation against a demo book, as an outside process: `python -m fire22.sportsbook.simulator --book PATH`.

It goes on with the book as it finds it, writes through SQLite like any other program, and knows nothing of the server.
It ends on SIGTERM or SIGINT, and when its parent is gone (end of a piped standard input, or another parent process).
"""

import argparse
import os
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import apsw

from fire22.core.errors import Fire22Error
from fire22.core.times import to_ms
from fire22.sportsbook import book
from fire22.sportsbook.changes import Change
from fire22.sportsbook.simulation import (
    Customer,
    Leg,
    Market,
    Payment,
    Result,
    Selection,
    Simulation,
    Wager,
    World,
)

WAIT_S_MAX: Final = 1.0
WRITE_TRIES: Final = 6  # each waits for the lock as long as book.BUSY_TIMEOUT_MS
RATE_HZ_MAX: Final = 5_000.0


def load(connection: apsw.Connection) -> World:
    """What the book holds now: active and suspended customers, markets without a result, open wagers, payments."""
    markets = _markets(connection)
    return World(_customers(connection), markets, _wagers(connection, markets), _payments(connection))


def run(path: Path, *, rate_hz: float, seed: int, wait: Callable[[float], bool]) -> None:
    """Simulate until told to stop.

    Args:
        path: an existing book.
        rate_hz: wagers a second on average over a day.
        seed: with the book's number of wagers, decides what happens.
        wait: sleeps for at most so many seconds, and says whether to go on.

    Raises:
        BookError: the book is missing, locked for too long, not writable, or damaged.
    """
    connection = book.connect(path)
    try:
        with book.book_errors(path):
            simulation = start(connection, rate_hz=rate_hz, seed=seed, now_ms=_now_ms())
            while wait(min(WAIT_S_MAX, max(0, simulation.next_ms - _now_ms()) / 1000)):
                for items in simulation.step(_now_ms()):
                    _write(connection, items)
                    if not wait(0):
                        return
    finally:
        connection.close()


def start(connection: apsw.Connection, *, rate_hz: float, seed: int, now_ms: int) -> Simulation:
    """A simulation that goes on with a book; the same seed goes on differently in a book that has grown."""
    last = connection.execute("SELECT coalesce(max(wager_number), 0) FROM wagers").get
    return Simulation(load(connection), seed=f"{seed}:{last}", rate_hz=rate_hz, now_ms=now_ms)


def main(arguments: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = argparse.ArgumentParser(prog="simulator", description="Writes invented wagers to a demo book.")
    parser.add_argument("--book", type=Path, required=True, help="the book's SQLite file; it must exist")
    parser.add_argument("--rate", type=_rate, default=20.0, help="wagers a second on average over a day (20)")
    parser.add_argument("--seed", type=int, default=1, help="decides what happens (1)")
    given = parser.parse_args(arguments)
    try:
        run(given.book, rate_hz=given.rate, seed=given.seed, wait=_Waiter().wait)
    except Fire22Error as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1
    return 0


class _Waiter:
    """Sleeps until a time, a signal, or the end of the parent."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._stopped = False
        self._woken, waker = socket.socketpair()
        waker.setblocking(False)
        self._waker = waker  # must live as long as the signals may come
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._watched: list[int] = [self._woken.fileno()]
        if _is_piped(sys.stdin.fileno() if sys.stdin else -1):
            self._watched.append(sys.stdin.fileno())

    def wait(self, seconds: float) -> bool:
        """Sleep; False if it is time to end."""
        ready, _, _ = select.select(self._watched, [], [], seconds)
        for descriptor in ready:
            if not os.read(descriptor, 4096):
                self._stopped = True
        return not self._stopped and os.getppid() == self._parent

    def _stop(self, *_: object) -> None:
        self._stopped = True


def _is_piped(descriptor: int) -> bool:
    """Whether a parent holds the other end; a terminal or /dev/null says nothing about it."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= RATE_HZ_MAX:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {RATE_HZ_MAX:g} wagers a second")
    return rate


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _write(connection: apsw.Connection, items: list[Change]) -> None:
    """Write one transaction; a book that stays locked is tried again, then given up."""
    for left in range(WRITE_TRIES - 1, -1, -1):
        try:
            book.write(connection, items)
            return
        except apsw.BusyError:
            if left == 0:
                raise


def _customers(connection: apsw.Connection) -> list[Customer]:
    rows = connection.execute(
        "SELECT c.id, a.id, a.path, c.segment, c.status, c.credit_limit_cents, c.max_wager_cents"
        " FROM customers c JOIN agents a ON a.id = c.agent_id ORDER BY c.id"
    )
    return [Customer(*row) for row in rows]


def _markets(connection: apsw.Connection) -> dict[str, Market]:
    """Markets without a result; one that is suspended or closed takes no bets."""
    markets: dict[str, Market] = {}
    rows = connection.execute(
        "SELECT m.id, m.event_id, m.type, m.line, m.closes_at, m.status, s.id, s.odds_american"
        " FROM markets m JOIN selections s ON s.market_id = m.id"
        " WHERE m.status IN ('open', 'suspended', 'closed') ORDER BY m.closes_at, m.id, s.rowid"
    )
    for id_, event, kind, line, closes_at, status, selection, american in rows:
        if id_ not in markets:
            closes_ms = _ms(closes_at) if status == "open" else 0
            markets[id_] = Market(id_, event, kind, line, closes_ms, status == "open", [])
        markets[id_].selections.append(Selection(selection, american))
    return markets


def _wagers(connection: apsw.Connection, markets: dict[str, Market]) -> dict[str, Wager]:
    """Open wagers with legs; each is entered in its markets. Legs of markets that are over have their result."""
    wagers: dict[str, Wager] = {}
    rows = connection.execute(
        "SELECT w.id, w.risk_cents, w.is_freeplay, s.market_id, s.id, l.odds_american,"
        " CASE WHEN s.void_factor = 1 THEN 'push' WHEN s.result = 1 THEN 'win' WHEN s.result = 0 THEN 'loss' END"
        " FROM wagers w JOIN wager_legs l ON l.wager_id = w.id JOIN selections s ON s.id = l.selection_id"
        " WHERE w.status = 'accepted' ORDER BY w.accepted_at, w.wager_number, l.leg_no"
    )
    for id_, risk, free_play, market_id, selection, american, result in rows:
        wager = wagers.setdefault(id_, Wager(id_, risk, bool(free_play), []))
        wager.legs.append(Leg(market_id, selection, american, _result(result)))
        if market_id in markets:
            markets[market_id].wagers[id_] = None
    return wagers


def _result(text: str | None) -> Result | None:
    match text:
        case "win" | "loss" | "push" | None:
            return text
        case _:
            raise AssertionError(f"no such result: {text}")


def _payments(connection: apsw.Connection) -> list[Payment]:
    rows = connection.execute("SELECT id, status FROM payments WHERE status IN ('pending', 'approved') ORDER BY id")
    return [Payment(*row) for row in rows]


def _ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


if __name__ == "__main__":
    sys.exit(main())

"""Runs a simulation against a demo book, as an outside process: `python -m fire22.sportsbook.demo.simulator`.

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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct

from fire22.core.errors import Fire22Error
from fire22.observability.logging import configure, get_logger
from fire22.sportsbook.book import database, writer
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.demo.catalogue import FULL, MARKETS_MAX, SMALL, Size, with_markets
from fire22.sportsbook.demo.incidents import NAMES, Name, Note, parse
from fire22.sportsbook.demo.loading import load
from fire22.sportsbook.demo.others import Others
from fire22.sportsbook.demo.simulation import Simulation

WAIT_S_MAX: Final = 1.0
PAUSE_S: Final = 0.005  # between two looks at what is due, so that much of it shares a transaction
LOADED_HZ: Final = 500.0  # wagers a second, from where on transactions are few and large instead of soon
LOADED_PAUSE_S: Final = 0.05
CHANGES_MAX: Final = 1_000  # of a transaction, about
WRITE_TRIES: Final = 6  # each waits for the lock as long as book.BUSY_TIMEOUT_MS
RATE_HZ_MAX: Final = 5_000.0


class Script(Struct, frozen=True):
    """What is to happen besides what happens by itself.

    Args:
        incidents: each once, so many seconds after the beginning.
        every_s: all of them again and again, so many seconds apart; 0 = not at all.
    """

    incidents: tuple[tuple[Name, float], ...] = ()
    every_s: float = 0.0


def run(
    path: Path,
    *,
    rate_hz: float,
    seed: int,
    wait: Callable[[float], bool],
    size: Size = FULL,
    script: Script = Script(),  # noqa: B008 -- frozen
) -> None:
    """Simulate until told to stop.

    Args:
        path: an existing book.
        rate_hz: wagers a second on average over a day; 0 for none.
        seed: with the book's number of wagers, decides what happens.
        wait: sleeps for at most so many seconds, and says whether to go on.
        size: how many games and markets are kept open.
        script: the incidents to stage.

    Raises:
        BookError: the book is missing, locked for too long, not writable, or damaged.
    """
    connection = database.connect(path)
    try:
        with database.book_errors(path):
            simulation = start(connection, rate_hz=rate_hz, seed=seed, now_ms=_now_ms(), size=size, script=script)
            others = Others(connection, simulation)
            pause_s = PAUSE_S if rate_hz < LOADED_HZ else LOADED_PAUSE_S
            while wait(min(WAIT_S_MAX, max(pause_s, (simulation.next_ms - _now_ms()) / 1000))):
                now_ms = _now_ms()
                decided = gathered(simulation.step(now_ms)) if simulation.next_ms <= now_ms else iter(())
                while _write(connection, others, decided, now_ms):
                    if not wait(0):
                        return
    finally:
        connection.close()


def start(
    connection: apsw.Connection,
    *,
    rate_hz: float,
    seed: int,
    now_ms: int,
    size: Size = SMALL,
    script: Script = Script(),  # noqa: B008 -- frozen
) -> Simulation:
    """A simulation that goes on with a book; the same seed goes on differently in a book that has grown."""
    last = connection.execute("SELECT coalesce(max(wager_number), 0) FROM wagers").get
    world = load(connection, now_ms)
    simulation = Simulation(world, seed=f"{seed}:{last}", rate_hz=rate_hz, now_ms=now_ms, size=size, tell=_tell)
    for name, after_s in script.incidents:
        simulation.plan(name, now_ms + round(after_s * 1000))
    if script.every_s:
        simulation.plan_incidents(round(script.every_s * 1000))
    return simulation


def gathered(decided: Iterable[list[Change]]) -> Iterator[list[Change]]:
    """What is due at the same time, in as few transactions as `CHANGES_MAX` allows; none is divided."""
    items: list[Change] = []
    for each in decided:
        items += each
        if len(items) >= CHANGES_MAX:
            yield items
            items = []
    if items:
        yield items


def main(arguments: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = argparse.ArgumentParser(prog="simulator", description="Writes invented wagers to a demo book.")
    parser.add_argument("--book", type=Path, required=True, help="the book's SQLite file; it must exist")
    parser.add_argument(
        "--rate", type=_rate, default=20.0, help="wagers a second on average over a day (20); 0 for none"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides what happens (1)")
    parser.add_argument("--markets", type=_markets, default=FULL.markets, help=f"open markets ({FULL.markets})")
    parser.add_argument(
        "--incident",
        type=_incident,
        action="append",
        default=[],
        metavar="NAME@SECONDS",
        help=f"stage {', '.join(NAMES)} so long after the start; can be given again",
    )
    parser.add_argument(
        "--incidents-every", type=float, default=0, help="stage all of them, so many seconds apart (0: not)"
    )
    given = parser.parse_args(arguments)
    configure()
    script = Script(tuple(given.incident), given.incidents_every)
    size = with_markets(FULL, given.markets)
    try:
        run(given.book, rate_hz=given.rate, seed=given.seed, wait=_Waiter().wait, size=size, script=script)
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
    if not 0 <= rate <= RATE_HZ_MAX:
        raise argparse.ArgumentTypeError(f"must be from 0 to {RATE_HZ_MAX:g} wagers a second")
    return rate


def _incident(text: str) -> tuple[Name, float]:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _markets(text: str) -> int:
    markets = int(text)
    if not 1 <= markets <= MARKETS_MAX:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MARKETS_MAX} markets")
    return markets


def _tell(note: Note) -> None:
    get_logger().info(
        "incident staged",
        incident=note.incident,
        market=note.market_id,
        selection=note.selection,
        customers=list(note.customers),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def turn(connection: apsw.Connection, others: Others, decided: Iterator[list[Change]], now_ms: int) -> bool:
    """One transaction: see what others have done, decide, and write it; whether there was anything to decide.

    Args:
        decided: what is decided when it is asked for, so that nobody can come between.
    """
    with database.transaction(connection):
        others.catch_up(now_ms)
        items = next(decided, None)
        if items is not None:
            writer.write(connection, items)
    return items is not None


def _write(connection: apsw.Connection, others: Others, decided: Iterator[list[Change]], now_ms: int) -> bool:
    """One transaction; a book that stays locked is tried again, then given up."""
    for _ in range(WRITE_TRIES - 1):
        try:
            return turn(connection, others, decided, now_ms)
        except apsw.BusyError:
            pass  # the lock is asked for before anything is decided, so nothing was lost
    return turn(connection, others, decided, now_ms)


if __name__ == "__main__":
    sys.exit(main())

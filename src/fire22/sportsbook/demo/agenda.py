"""What is due when: one heap of appointments, kept in order of time, and of arrival where times are equal."""

import heapq
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from fire22.sportsbook.book.changes import Change

BEHIND_MS_MAX: Final = 5_000

Decision = Callable[[int], list[Change]]


class Agenda:
    """Appointments: at a time something is decided, which may make further ones.

    Who falls behind (a suspended machine, a locked book) leaves out what was missed instead of catching up: a decision
    is never made for a time more than `BEHIND_MS_MAX` ago.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._heap: list[tuple[int, int, Decision]] = []
        self._serial = 0

    @property
    def next_ms(self) -> int:
        """When the next appointment is."""
        return self._heap[0][0]

    def keep(self, now_ms: int) -> Iterator[list[Change]]:
        """Keep what is due up to `now_ms`; each list belongs in one transaction, and may be empty."""
        heap = self._heap
        while heap[0][0] <= now_ms:
            at_ms, _, decide = heapq.heappop(heap)
            yield decide(max(at_ms, now_ms - BEHIND_MS_MAX))

    def at(self, at_ms: int, decide: Decision) -> None:
        """Decide at a time."""
        self._serial += 1
        heapq.heappush(self._heap, (at_ms, self._serial, decide))

    def after(self, now_ms: int, span_ms: tuple[int, int], decide: Decision) -> None:
        """Decide somewhen within a span from now."""
        self.at(now_ms + self._rng.randint(*span_ms), decide)

    def arrive(self, now_ms: int, rate_hz: Callable[[int], float], decide: Decision) -> None:
        """Decide again and again, as a Poisson process of the rate that holds at each time; from now on."""
        due_ms = float(now_ms)

        def wait() -> None:
            nonlocal due_ms
            due_ms += self._rng.expovariate(rate_hz(int(due_ms))) * 1000
            self.at(int(due_ms), arrived)

        def arrived(at_ms: int) -> list[Change]:
            nonlocal due_ms
            due_ms = max(due_ms, at_ms)
            wait()
            return decide(at_ms)

        wait()

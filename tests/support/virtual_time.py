"""An event loop in virtual time: nothing is waited for, and the same seed gives the same run."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Selector(selectors.SelectSelector):
    """Instead of waiting, lets the loop's time pass."""

    pass_time: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("every task waits for something that will never happen")
        self.pass_time(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while anything is to be done, but for `work_s`, which each look at it takes.

    Args:
        work_s: how long the work between two looks at the clock takes.
    """

    def __init__(self, work_s: Callable[[], float] = lambda: 0.0) -> None:
        self.now_s = 1_000.0
        self._work_s = work_s
        selector = _Selector()
        selector.pass_time = self._pass
        super().__init__(selector)

    def time(self) -> float:
        """The virtual time, in seconds."""
        self.now_s += self._work_s()
        return self.now_s

    def _pass(self, seconds: float) -> None:
        self.now_s += max(0.0, seconds)


def run(main: Coroutine[Any, Any, None], work_s: Callable[[], float] = lambda: 0.0) -> None:
    """Run in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(work_s)) as runner:
        runner.run(main)

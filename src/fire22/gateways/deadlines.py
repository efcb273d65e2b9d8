"""Those who have to do something within a time that is the same for all; without a timer for each."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Who = TypeVar("Who")


class Deadlines(Generic[Who]):
    """Who is waited for, the longest first: a look costs only those who are late.

    Args:
        timeout_s: within which each must be removed again.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._since_s: dict[Who, float] = {}

    def add(self, who: Who, now_s: float) -> None:
        """Wait for somebody; who is waited for already has no more time by that."""
        self._since_s.setdefault(who, now_s)

    def remove(self, who: Who) -> None:
        """No longer wait for somebody."""
        self._since_s.pop(who, None)

    def late(self, now_s: float) -> Iterator[Who]:
        """Who has had the whole time; each is removed as it comes."""
        while self._since_s:
            who, since_s = next(iter(self._since_s.items()))
            if now_s - since_s < self._timeout_s:
                break
            del self._since_s[who]
            yield who

    def __len__(self) -> int:
        return len(self._since_s)

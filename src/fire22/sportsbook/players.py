"""Active players: distinct customers with an accepted wager in the trailing window, for each scope.

A customer who was moved counts at each path where it wagered, and once where the paths meet.
"""

import heapq

from fire22.core.scope import ancestors


def name(customer: str, path: str) -> str:
    """One customer at one path; no path has a `|`."""
    return f"{customer}|{path}"


class Players:
    """Counts by scope, kept while customers come and their time runs out."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        self._ends: list[tuple[int, str]] = []
        self._queued: dict[str, int] = {}  # which of its ends is looked at

    def seen(self, customer: str, path: str, at_ms: int) -> tuple[str, ...]:
        """A customer wagered; returns the scopes whose count changed."""
        key = name(customer, path)
        last = self._last.get(key)
        if last is not None:
            if at_ms > last:
                self._last[key] = at_ms
            return ()
        self._last[key] = at_ms
        self._queue(at_ms, key)
        others = self._paths.get(customer, ())
        self._paths[customer] = (*others, path)
        return self._count(path, others, 1)

    def again(self, key: str, at_ms: int) -> None:
        """One who counts, by its `name`, wagered once more, and not earlier."""
        self._last[key] = at_ms

    def paths(self, customer: str) -> tuple[str, ...]:
        """Where a customer counts."""
        return self._paths.get(customer, ())

    def leave(self, customer: str, path: str) -> tuple[str, ...]:
        """A customer counts at a path no longer; returns the scopes whose count changed."""
        key = name(customer, path)
        del self._last[key], self._queued[key]
        return self._uncount(customer, path)

    def expire(self, since_ms: int) -> tuple[list[str], list[tuple[str, str]]]:
        """Forget who has not wagered after `since_ms`; returns the scopes that changed, and who was forgotten."""
        scopes: list[str] = []
        gone: list[tuple[str, str]] = []
        while self._ends and self._ends[0][0] <= since_ms:
            end_ms, key = heapq.heappop(self._ends)
            if self._queued.get(key) != end_ms:  # has left since
                continue
            last = self._last[key]
            if last > since_ms:  # wagered again since it was put here
                self._queue(last, key)
                continue
            del self._last[key], self._queued[key]
            customer, _, path = key.rpartition("|")
            scopes += self._uncount(customer, path)
            gone.append((customer, path))
        return scopes, gone

    def _queue(self, end_ms: int, key: str) -> None:
        heapq.heappush(self._ends, (end_ms, key))
        self._queued[key] = end_ms

    def _uncount(self, customer: str, path: str) -> tuple[str, ...]:
        others = tuple(each for each in self._paths[customer] if each != path)
        if others:
            self._paths[customer] = others
        else:
            del self._paths[customer]
        return self._count(path, others, -1)

    def _count(self, path: str, others: tuple[str, ...], sign: int) -> tuple[str, ...]:
        changed = ancestors(path)
        if others:
            elsewhere = {scope for other in others for scope in ancestors(other)}
            changed = tuple(scope for scope in changed if scope not in elsewhere)
        for scope in changed:
            self.counts[scope] = self.counts.get(scope, 0) + sign
        return changed

"""A table whose rows are forgotten some time after they were last touched."""

import heapq
from typing import Generic, TypeVar

from msgspec import Struct

from fire22.flows.base import Table


class ExpiringRow(Struct, gc=False, array_like=True):
    """A row that is forgotten some time after it was last touched."""

    touched_ms: int


Row = TypeVar("Row", bound=ExpiringRow)


class ExpiringTable(Generic[Row]):
    """A table whose rows are forgotten: each once the watermark has passed its time by `span_ms`."""

    def __init__(self, name: str, type: type[Row], span_ms: int) -> None:
        self.table: Table[Row] = Table(name, type)
        self.span_ms = span_ms
        self.get = self.table.get
        self.pop = self.table.pop
        self._ends: list[tuple[int, str]] = []
        self._queued: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.table)

    def add(self, key: str, row: Row) -> None:
        """Keep a new row."""
        self.table.put(key, row)
        queued_ms = self._queued.get(key)
        if queued_ms is None or row.touched_ms < queued_ms:
            self._queue(key, row.touched_ms)

    def touch(self, key: str, row: Row) -> None:
        """A row that is kept has changed; its time has not become earlier."""
        self.table.put(key, row)

    def loaded(self) -> None:
        """Derive when which row ends."""
        self._ends, self._queued = [], {}
        for key, row in self.table:
            self._queue(key, row.touched_ms)

    def expire(self, now_ms: int) -> None:
        """Forget what has not been touched for `span_ms`."""
        since_ms = now_ms - self.span_ms
        ends = self._ends
        while ends and ends[0][0] <= since_ms:
            at_ms, key = heapq.heappop(ends)
            if self._queued.get(key) != at_ms:
                continue  # it was queued again, earlier
            del self._queued[key]
            row = self.table.get(key)
            if row is not None and row.touched_ms <= since_ms:
                self.table.pop(key)
            elif row is not None:
                self._queue(key, row.touched_ms)

    def _queue(self, key: str, at_ms: int) -> None:
        self._queued[key] = at_ms
        heapq.heappush(self._ends, (at_ms, key))

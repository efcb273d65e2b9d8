"""The feed's recent part, in memory: each topic's records in order, limited by bytes over all topics."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator

from fire22.feed.base import Record

_RECORD_BYTES = 200  # what a record and an entry cost beside their data, about
_ENTRY_BYTES = 160


def _size(record: Record) -> int:
    return _RECORD_BYTES + sum(_ENTRY_BYTES + len(entry.data) for entry in record.entries)


class Ring:
    """The newest records.

    Args:
        bytes_max: about how much memory the records may hold; the oldest go first.
        lost: offset up to which nothing is in memory.
    """

    def __init__(self, bytes_max: int, lost: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._order: deque[tuple[str, int]] = deque()
        self._topics: dict[str, _Shelf] = {}
        self.lost = lost

    @property
    def size_bytes(self) -> int:
        """About how much memory is held."""
        return self._bytes

    def append(self, record: Record) -> None:
        """Add the newest record, and drop the oldest while over the limit."""
        size = _size(record)
        self._topics.setdefault(record.topic, _Shelf()).append(record)
        self._order.append((record.topic, size))
        self._bytes += size
        while self._bytes > self._bytes_max and len(self._order) > 1:
            topic, size = self._order.popleft()
            self.lost = self._topics[topic].pop_oldest().last
            self._bytes -= size

    def after(self, topic: str, after: int, upto: int, records_max: int) -> list[Record] | None:
        """The topic's first records with entries in (after, upto], or None where some may be gone from memory."""
        if after < self.lost:
            return None
        shelf = self._topics.get(topic)
        return shelf.between(after, upto, records_max) if shelf else []

    def back(self, topic: str, before: int) -> Iterator[Record]:
        """The topic's records that begin below `before`, newest first."""
        shelf = self._topics.get(topic)
        return shelf.back(before) if shelf else iter(())


class _Shelf:
    """One topic's records, with cheap removal at the old end: a list and where it begins."""

    __slots__ = ("_lasts", "_records", "_start")

    def __init__(self) -> None:
        self._records: list[Record | None] = []
        self._lasts: list[int] = []
        self._start = 0

    def append(self, record: Record) -> None:
        self._records.append(record)
        self._lasts.append(record.last)

    def pop_oldest(self) -> Record:
        record = self._records[self._start]
        if record is None:
            raise AssertionError("the ring's order and its shelves disagree")
        self._records[self._start] = None
        self._start += 1
        if self._start > 1024 and self._start * 2 > len(self._records):
            del self._records[: self._start]
            del self._lasts[: self._start]
            self._start = 0
        return record

    def between(self, after: int, upto: int, records_max: int) -> list[Record]:
        found: list[Record] = []
        for index in range(bisect_left(self._lasts, after + 1, self._start), len(self._records)):
            record = self._records[index]
            if record is None or record.offset > upto or len(found) >= records_max:
                break
            found.append(record)
        return found

    def back(self, before: int) -> Iterator[Record]:
        newest = min(bisect_left(self._lasts, before, self._start), len(self._records) - 1)
        for index in range(newest, self._start - 1, -1):
            record = self._records[index]
            if record is not None and record.offset < before:
                yield record

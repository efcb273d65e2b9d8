"""For rows that change with nearly every event: each commit group stores what it did, and each row is stored seldom.

A row of hundreds of bytes that is stored for each event that adds a few costs more than the event does. Instead what a
group did to all such rows is one row of its own, and they are stored only when a group that changed them is dropped
from the journal. So a row that changes with each of a hundred groups is stored once, and never waits for long.

A row says up to which group it is stored, as a number of the journal; at a restart the groups after that are done to it
again.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from fire22.flows.base import Table

Done = TypeVar("Done")


class Journal(Generic[Done]):
    """What the last groups did, by number.

    Args:
        name: of the table.
        type: of what one group did.
        bytes_max: of all groups; beyond it the oldest are dropped.

    Attributes:
        last: the number of the group that was added last; they are counted from 1.
    """

    def __init__(self, name: str, type: type[Done], bytes_max: int) -> None:
        self.table: Table[bytes] = Table(name, bytes, format=type)
        self.last = 0
        self._first = 1
        self._bytes = 0
        self._bytes_max = bytes_max
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(type).decode

    def loaded(self) -> Iterator[tuple[int, Done]]:
        """The groups that were stored, the oldest first."""
        groups = sorted((int(number), done) for number, done in self.table)
        self._bytes = sum(len(done) for _, done in groups)
        self.last = groups[-1][0] if groups else 0
        self._first = groups[0][0] if groups else 1
        return ((number, self._decode(done)) for number, done in groups)

    def add(self, done: Done) -> Iterator[tuple[int, Done]]:
        """Keep what a group did; yields those that are dropped for it, whose rows must be stored now."""
        return ((number, self._decode(dropped)) for number, dropped in self._push(done))

    def push(self, done: Done) -> list[int]:
        """The same for who knows what the dropped groups did: their numbers."""
        return [number for number, _ in self._push(done)]

    def _push(self, done: Done) -> Iterator[tuple[int, bytes]]:
        body = self._encode(done)
        self.last += 1
        self._bytes += len(body)
        self.table.put(str(self.last), body)
        while self._bytes > self._bytes_max and self._first < self.last:
            dropped = self.table.pop(str(self._first))
            if dropped is None:
                raise AssertionError("the groups of a journal are numbered without a gap")
            self._bytes -= len(dropped)
            yield self._first, dropped
            self._first += 1

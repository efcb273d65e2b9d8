"""Wagers by their ids: whole while they are open, a few packed numbers once they are over.

A wager has one row for all its life, so what ends it replaces that row, and of one that was placed and settled within a
commit group nothing but the end is stored.
"""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from fire22.flows.base import Table, schema_of
from fire22.flows.packed import Pages
from fire22.sportsbook.betting.lifecycle import State

Open = TypeVar("Open", bound=Struct)


class ClosedWager(Struct, frozen=True, gc=False, array_like=True):
    """What is kept of a wager that is over; minor units.

    Args:
        returned: 0 where it was never settled.
        counted: whether its stake is in the handle; that of a wager of before the connection is not.
        at_ms: when it was accepted; 0 where that is not known.
    """

    state: State
    risk: int
    cash: int
    to_win: int
    revision: int
    returned: int
    counted: bool = True
    at_ms: int = 0


_OVER: Final = 0x90 + len(ClosedWager.__struct_fields__)  # what the MessagePack of its short array begins with


class WagerTable(Table[Open], Generic[Open]):
    """A table of open wagers, in the order in which they came, that also knows those that are over.

    Args:
        name: unique in the flow.
        open: of an open wager; kept as an array of at most 15 fields, and not of as many as that of one that is over.

    `open` is for reading: every open wager by its id.
    """

    def __init__(self, name: str, open: type[Open]) -> None:
        super().__init__(name, open)
        self.open: dict[str, Open] = self._rows
        self._over = Pages()
        self._decode_over = msgspec.msgpack.Decoder(ClosedWager).decode
        self._fresh: dict[str, Open | ClosedWager | None] = {}  # since rows were taken; None is gone

    def __len__(self) -> int:
        return len(self.open)

    def __iter__(self) -> Iterator[tuple[str, Open]]:
        return iter(self.open.items())

    @property
    def schema(self) -> object:
        """See Table."""
        return super().schema, schema_of(ClosedWager)

    def get(self, key: str) -> Open | None:
        """An open wager, or None."""
        return self.open.get(key)

    def over(self, key: str) -> ClosedWager | None:
        """What is kept of a wager that is over, or None."""
        if key in self._fresh:
            row = self._fresh[key]
            return row if isinstance(row, ClosedWager) else None
        value = self._over.get(key)
        return None if value is None else self._decode_over(value)

    def put(self, key: str, row: Open) -> None:
        """A wager is open that was not over, or is open in another way than before."""
        self.open[key] = self._fresh[key] = row

    def end(self, key: str, row: ClosedWager) -> None:
        """A wager is over, or over in another way than before."""
        self.open.pop(key, None)
        self._fresh[key] = row

    def reopen(self, key: str, row: Open) -> None:
        """A wager is open that was over."""
        self._over.update([(key, None)])
        self.put(key, row)

    def pop(self, key: str) -> Open | None:
        """Forget a wager, whatever it is; returns it where it was open."""
        self._over.update([(key, None)])
        self._fresh[key] = None
        return self.open.pop(key, None)

    def load(self, key: str, value: bytes) -> None:
        """Take a stored row."""
        if value[0] == _OVER:
            self._over.load(key, value)
        else:
            self.open[key] = self._decoder.decode(value)

    def loaded(self) -> None:
        """Every stored row has been taken."""
        self._over.settle()

    @property
    def is_changed(self) -> bool:
        """Whether there are changed rows to take."""
        return bool(self._fresh)

    def take_changed(self) -> list[tuple[str, bytes | None]]:
        """The rows changed since the last call, as (key, value); None is a removed one."""
        encode = self._encoder.encode
        changed: list[tuple[str, bytes | None]] = []
        over: list[tuple[str, bytes | None]] = []
        for key, row in self._fresh.items():
            one = (key, None if row is None else encode(row))
            changed.append(one)
            if type(row) is ClosedWager:
                over.append(one)
        self._fresh = {}
        self._over.update(over)
        return changed

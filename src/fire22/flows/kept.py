"""Rows of which each is an object of a flow: the flow changes them in place, and they are stored by way of a journal.

What a commit group changes lies in the journal, as the rows are then. A row that no later group has changed is stored
by itself when the journal drops its group; one that is changed all the time never is.
"""

from collections.abc import Callable
from typing import Any, Final, Generic

import msgspec
from msgspec import Raw, Struct

from fire22.flows.base import Row, Table
from fire22.flows.journal import Journal

NOWHERE: Final = 0
_Done = list[tuple[str, Raw, int, bool]]  # as the journal keeps them


class Kept(Struct, Generic[Row], gc=False, eq=False, array_like=True):
    """A row by its key; the number of the group that changed it last, as the journal counts; whether it is removed."""

    key: str
    row: Row
    group: int = NOWHERE
    gone: bool = False


class KeptRows(Generic[Row]):
    """The rows of one kind.

    Attributes:
        group: the number of the running group. Where a row's is another one, `put` it when changing it.

    Args:
        name: unique in the flow, with `<name>_journal`.
        type: of a row; MessagePack keeps it.
        bytes_max: of the journal.
    """

    def __init__(self, name: str, type: type[Row], bytes_max: int) -> None:
        self.group = NOWHERE + 1
        self._table: Table[Row] = Table(name, type)
        self._journal: Journal[Any] = Journal(f"{name}_journal", _Done, bytes_max)
        self._decode = msgspec.msgpack.Decoder(type).decode
        self._changed: list[Kept[Row]] = []
        self._groups: dict[int, list[Kept[Row]]] = {}  # those that lie in the journal
        self._gone: dict[str, Kept[Row]] = {}  # the removed rows in them

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """What is stored."""
        return (self._table, self._journal.table)

    def put(self, kept: Kept[Row]) -> None:
        """A row is new or changes, for the first time in this group."""
        if kept.group == NOWHERE and self._gone:
            former = self._gone.pop(kept.key, None)
            if former is not None:
                former.group = NOWHERE
        kept.group = self.group
        self._changed.append(kept)

    def remove(self, kept: Kept[Row]) -> None:
        """A row is needed no longer; one with its key that comes later is another object."""
        kept.gone = True
        if kept.group != self.group:
            self.put(kept)
        self._gone[kept.key] = kept

    def flush(self) -> None:
        """Store what the group has changed."""
        if not self._changed:
            return
        self._groups[self.group] = changed = self._changed
        for number in self._journal.push(changed):
            self._rest(number)
        self._changed, self.group = [], self.group + 1

    def restore(self, make: Callable[[str, Row], Kept[Row]]) -> None:
        """Make the object of each row that is stored, once the tables are loaded."""
        groups: list[tuple[int, _Done]] = list(self._journal.loaded())
        last = {key: (number, value, gone) for number, done in groups for key, value, _, gone in done}
        for key, row in self._table:
            if key not in last:
                make(key, row)
        found: dict[str, Kept[Row]] = {}
        for key, (number, value, gone) in last.items():
            if gone:
                kept = self._gone[key] = Kept[Any](key, None, gone=True)
            else:
                kept = make(key, self._decode(value))
            kept.group = number
            found[key] = kept
        self._groups = {number: [found[key] for key, *_ in done if last[key][0] == number] for number, done in groups}
        self.group = self._journal.last + 1

    def _rest(self, number: int) -> None:
        """Store those that no later group has changed by themselves."""
        resting = {kept.key: kept for kept in self._groups.pop(number) if kept.group == number}
        for key in sorted(resting):
            kept = resting[key]
            if kept.gone:
                del self._gone[key]
                self._table.pop(key)
            else:
                self._table.put(key, kept.row)

"""The state of an engine as it is stored: the tables of its flows, and a few rows of its own."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from fire22.feed.base import Rows, StateRow
from fire22.flows.base import Table

ENGINE: Final = "engine"  # the table of the engine's own rows


class State:
    """The tables by name, and the engine's own rows.

    Args:
        tables: those of the flows, by flow and table, such as `kpi/scope`.
    """

    def __init__(self, tables: Mapping[str, Table[object]]) -> None:
        self._tables = tables
        self._own: dict[str, bytes] = {}

    @property
    def schema(self) -> list[tuple[str, object]]:
        """What is stored, in words that change when its format does."""
        return [(name, table.schema) for name, table in self._tables.items()]

    def put(self, key: str, value: bytes) -> None:
        """Store a row of the engine's own with the next batch."""
        self._own[key] = value

    def load(self, rows: Iterable[StateRow]) -> dict[str, bytes]:
        """Give each table its rows; returns the engine's own.

        Those of one table come together from storage, and there may be millions.
        """
        self._own = {}
        own: dict[str, bytes] = {}
        current = ""
        load: Callable[[str, bytes], None] = _pass_over
        for name, key, value in rows:
            if name == ENGINE:
                own[key] = value
                continue
            if name != current:
                table = self._tables.get(name)
                load = table.load if table is not None else _pass_over
                current = name
            load(key, value)
        for table in self._tables.values():
            table.loaded()
        return own

    def take(self) -> tuple[Rows, ...]:
        """The rows that have changed since the last call."""
        own, self._own = self._own, {}
        rows = [Rows(ENGINE, [(key, own[key])]) for key in sorted(own)]
        rows += [Rows(name, table.take_changed()) for name, table in self._tables.items() if table.is_changed]
        return tuple(rows)


def _pass_over(key: str, value: bytes) -> None:
    """A row of a table that this version does not have any more."""

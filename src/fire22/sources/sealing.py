"""A domain whose rows say nothing of a person but by the person's own key (`log/people.py`).

Rows are sealed before they come to the mirror, so that nothing behind it ever holds the plain text.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from fire22.core.outbox import BookChange, Domain, MirrorTable, OutboxSchema, RowChange, TableNeed, Unusable, Values
from fire22.log.cipher import Cipher
from fire22.log.people import People
from fire22.sources.base import Database
from fire22.sources.kinds import BookAt


class _Places(Struct, frozen=True):
    """Where in a row of a table what is: the columns that are sealed, those with an address, the person's code."""

    sealed: tuple[int, ...]
    addresses: tuple[int, ...]
    code: int


class SealedDomain:
    """See `core/outbox.py`, `Domain`, of which this is one around another."""

    def __init__(self, domain: Domain, people: People) -> None:
        self._domain = domain
        self._people = people
        self._places: Final[Mapping[str, _Places]] = {
            table.name: _Places(
                tuple(map(table.columns.index, table.personal)),
                tuple(map(table.columns.index, table.addresses)),
                table.columns.index(table.person) if table.person else 0,
            )
            for table in domain.tables
            if table.personal or table.addresses
        }

    @property
    def outbox(self) -> OutboxSchema:
        """See Domain."""
        return self._domain.outbox

    @property
    def tables(self) -> tuple[MirrorTable, ...]:
        """See Domain."""
        return self._domain.tables

    @property
    def indexes(self) -> tuple[str, ...]:
        """See Domain."""
        return self._domain.indexes

    @property
    def triggers(self) -> tuple[str, ...]:
        """See Domain."""
        return self._domain.triggers

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """See Domain."""
        return self._domain.bootstrap

    def sources(self, table: str) -> tuple[str, ...]:
        """See Domain."""
        return self._domain.sources(table)

    def key(self, table: str) -> TableNeed | None:
        """See Domain."""
        return self._domain.key(table)

    def order(self, changes: list[RowChange | Unusable]) -> list[RowChange | Unusable]:
        """See Domain."""
        return self._domain.order(changes)

    def rows(self, change: BookChange, only: str = "") -> list[RowChange | Unusable]:
        """See Domain; what is personal is sealed."""
        return [self._sealed(each) for each in self._domain.rows(change, only)]

    def keep(self) -> None:
        """Write the keys that were made."""
        self._people.keep()

    def _sealed(self, change: RowChange | Unusable) -> RowChange | Unusable:
        places = self._places.get(change.table) if isinstance(change, RowChange) else None
        if places is None or not isinstance(change, RowChange):
            return change
        row = None if change.row is None else self._row(places, change.row)
        return replace(change, row=row, was=self._row(places, change.was) if change.was else change.was)

    def _row(self, places: _Places, row: Values) -> Values:
        made = list(row)
        for place in places.sealed:
            if row[place]:
                made[place] = self._people.seal(str(row[0]), str(row[places.code]), str(row[place]))
        for place in places.addresses:
            if row[place]:
                made[place] = self._people.pseudonym(str(row[place]))
        return tuple(made)


def sealed_book(book: BookAt, folder: Path, seals: Cipher | None) -> tuple[Database, Domain]:
    """A book's database, and what is made of its rows.

    Args:
        folder: where the keys of people lie.
        seals: see `open_book`.

    Raises:
        Fire22Error: the domain cannot be made, or the keys cannot be read.
    """
    database, domain = book.make()
    return database, domain if seals is None else SealedDomain(domain, People(folder, seals))

"""Rows of a book whose key another row has too, where the book does not hold a mapped key to be unique.

The mirror has one row of each key: the first. The others are kept here, with the values that they would have there.
So a change of one is not taken for a change of the first, and the next one takes the place of a first one that leaves.
What a change was about is known by the values that the row had: rows of a book have no other name.

| what happens in the book | first | others of the key | told |
|---|---|---|---|
| a row comes, the key is free | it | | its facts |
| a row comes, the key is taken | stays | it joins | a dead letter, unless both are alike |
| another is changed, keeps its key | stays | it is as it is now | nothing |
| another is deleted | stays | without it | nothing |
| the first is changed, keeps its key | as it is now | stay | its facts |
| the first is deleted, there are others | the next one | without that | what differs |
| the first is deleted, there are none | | | that it is gone |
| the first gets another key that is free | moves there; here the next one | without that | what differs |
| the first gets another key that is taken | here the next one | it joins those there | likewise, a dead letter |
| another gets another key | stays | leaves here, and comes there as a new row does | as of a row that comes |

Of two rows that are alike, a change is the first's and a deletion the other's: nobody can tell. Where the values that a
row had are unknown, because they could not be used, the first one is meant.
"""

from collections.abc import Collection
from typing import Final, cast

import apsw
import msgspec

from fire22.core.outbox import Values
from fire22.sources.mirror.seal import Seal

TABLE: Final = "fire22_seconds"
SECONDS_SQL: Final = (
    "CREATE TABLE IF NOT EXISTS fire22_seconds("
    "number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, key BLOB NOT NULL, row BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS fire22_seconds_key ON fire22_seconds(source, key)"
)
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class SecondRows:
    """The rows beside the first one of each key.

    Args:
        tables: of the mirror, of whose key the book may have several rows.
    """

    def __init__(self, connection: apsw.Connection, tables: Collection[str]) -> None:
        self._execute = connection.execute
        self._connection = connection
        self.tables = frozenset(tables)
        self._seals = {table: Seal(table) for table in tables}

    def add(self, table: str, key: Values, row: Values) -> None:
        """A row comes to a key that is taken."""
        self._execute(
            "INSERT INTO fire22_seconds(source, key, row) VALUES(?, ?, ?)",
            (table, _encode(key), self._packed(table, row)),
        )

    def remove(self, table: str, key: Values, row: Values) -> bool:
        """Such a row leaves; whether there was one."""
        self._execute(
            "DELETE FROM fire22_seconds WHERE number = (SELECT max(number) FROM fire22_seconds"
            " WHERE source = ? AND key = ? AND row = ?)",
            (table, _encode(key), self._packed(table, row)),
        )
        return self._connection.changes() > 0

    def replace(self, table: str, key: Values, was: Values, row: Values) -> bool:
        """Such a row is otherwise now; whether there was one."""
        self._execute(
            "UPDATE fire22_seconds SET row = ? WHERE number = (SELECT min(number) FROM fire22_seconds"
            " WHERE source = ? AND key = ? AND row = ?)",
            (self._packed(table, row), table, _encode(key), self._packed(table, was)),
        )
        return self._connection.changes() > 0

    def next(self, table: str, key: Values) -> Values | None:
        """The one that takes the place of a first row that leaves; it is no second one any more."""
        found = self._execute(
            "DELETE FROM fire22_seconds WHERE number = (SELECT min(number) FROM fire22_seconds"
            " WHERE source = ? AND key = ?) RETURNING row",
            (table, _encode(key)),
        ).fetchall()
        return self._seals[table].unpacked(cast("bytes", found[0][0])) if found else None

    def keys(self, table: str) -> list[Values]:
        """The keys that there are such rows of, in the order in which they came."""
        sql = "SELECT key FROM fire22_seconds WHERE source = ? GROUP BY key ORDER BY min(number)"
        return [_key(key) for (key,) in self._execute(sql, (table,)).fetchall()]

    def of(self, table: str, key: Values) -> list[Values]:
        """The rows of a key, in the order in which they came."""
        sql = "SELECT row FROM fire22_seconds WHERE source = ? AND key = ? ORDER BY number"
        found = self._execute(sql, (table, _encode(key))).fetchall()
        return [self._seals[table].unpacked(cast("bytes", row)) for (row,) in found]

    def clear(self, table: str) -> None:
        """The whole table is about to be brought in."""
        if table in self.tables:
            self._execute("DELETE FROM fire22_seconds WHERE source = ?", (table,))

    def _packed(self, table: str, row: Values) -> bytes:
        return self._seals[table].packed(row)


def _key(stored: object) -> Values:
    return tuple(_decode(cast("bytes", stored)))

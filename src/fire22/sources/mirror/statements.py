"""The SQL of a mirror's table, written once."""

import re
from typing import Final

from fire22.core.outbox import MirrorTable, Values, quoted
from fire22.sources.mirror.seal import COLUMN, Seal

UPDATES_MAX: Final = 200  # texts of a table that are kept, by which columns differ
_PARAMETER: Final = re.compile(r"\?(\d+)")


class Statements:
    """What is done with the rows of one table of a mirror, as SQL.

    Args:
        table: whose rows.
    """

    def __init__(self, table: MirrorTable) -> None:
        self.table = table
        self.seal = Seal(table.name)
        self._updates: dict[tuple[int, ...], tuple[str, int]] = {}
        named = {name: f"?{place}" for place, name in enumerate(table.columns, 1)}
        keys = table.columns[: table.keys]
        is_key = " AND ".join(f"{quoted(name)} IS {named[name]}" for name in keys)
        name = quoted(table.name)
        columns = ", ".join(quoted(each) for each in (*table.columns, COLUMN))
        self.select = f"SELECT {columns} FROM {name} WHERE {is_key}"  # nosec B608  # names are quoted, values are bound
        self.delete = f"DELETE FROM {name} WHERE {is_key}"  # nosec B608  # names are quoted, values are bound
        self.clear = f"DELETE FROM {name}"  # nosec B608  # names are quoted, values are bound
        self._derived = derived = {each: _named(sql, named) for each, sql in table.derived.items()}
        seal = f"?{len(table.columns) + 1}"
        into = ", ".join(quoted(each) for each in (*table.columns, COLUMN, *derived))
        self.insert = f"INSERT INTO {name}({into}) VALUES({', '.join((*named.values(), seal, *derived.values()))})"  # nosec B608  # names are quoted, values are bound
        # Does nothing where there is such a row.
        self.insert_new = f"{self.insert} ON CONFLICT({', '.join(map(quoted, keys))}) DO NOTHING"
        moved = " OR ".join(f"{quoted(each)} IS NOT {named[each]}" for each in table.follows) or "0"
        sets = [f"{quoted(each)} = {named[each]}" for each in table.columns[table.keys :]]
        sets += [
            f"{quoted(each)} = CASE WHEN {moved} THEN {sql} ELSE {quoted(each)} END" for each, sql in derived.items()
        ]
        self._is_key = is_key
        sets.append(f"{COLUMN} = {seal}")
        was = " AND ".join(f"{quoted(each)} IS ?{len(table.columns) + 1 + place}" for place, each in enumerate(keys, 1))
        moved_keys = [f"{quoted(each)} = {named[each]}" for each in keys]
        self.move = f"UPDATE {name} SET {', '.join((*moved_keys, *sets))} WHERE {was}"  # nosec B608  # names are quoted, values are bound
        chosen = ", ".join(quoted(each) for each in keys)
        same = " AND ".join(f"{quoted(each)} IS {named[each]}" for each in keys)
        self.unique = tuple(table.columns.index(each) for each in table.unique)
        # A union, for each of them to be looked up in its own index; NULL is like nothing.
        self.others = " UNION ".join(
            f"SELECT {chosen} FROM {name} WHERE {quoted(each)} = {named[each]} AND NOT ({same})"  # nosec B608  # names are quoted, values are bound
            for each in table.unique
        )
        self._others_takes = max((table.keys, *(place + 1 for place in self.unique)))
        marks = ", ".join("?" for _ in keys)
        self.see = f"INSERT OR IGNORE INTO temp.seen VALUES({marks})"
        matched = " AND ".join(f"s.k{place} IS t.{quoted(each)}" for place, each in enumerate(keys))
        self.unseen = (
            f"SELECT {', '.join(f't.{quoted(each)}' for each in keys)} FROM {name} t"
            f" WHERE NOT EXISTS (SELECT 1 FROM temp.seen s WHERE {matched})"  # nosec B608  # names are quoted, values are bound
        )

    def update(self, kept: Values, row: Values) -> tuple[str, Values]:
        """Sets the columns that differ, so that only the triggers which look at one of them run.

        Returns:
            The statement and its parameters.
        """
        places = tuple([place for place, value in enumerate(row) if value != kept[place]])
        found = self._updates.get(places)
        if found is None:
            found = self._update(places)
            if len(self._updates) < UPDATES_MAX:
                self._updates[places] = found
        # 1 and 1.0 are the same value, and not the same in a seal: what does not differ stays as it is.
        after = tuple([new if new != old else old for old, new in zip(kept, row, strict=True)])
        return found[0], (*row[: found[1]], self.seal.of(after))

    def others_of(self, row: Values) -> Values:
        """The parameters of `others`, for a row that is to be written."""
        return row[: self._others_takes]

    def _update(self, places: tuple[int, ...]) -> tuple[str, int]:
        """The statement, and how many of a row's values it takes before the seal."""
        columns = [self.table.columns[place] for place in places]
        sets = [f"{quoted(each)} = ?{place + 1}" for each, place in zip(columns, places, strict=True)]
        if not set(columns).isdisjoint(self.table.follows):
            sets += [f"{quoted(each)} = {sql}" for each, sql in self._derived.items()]
        takes = max(map(int, _PARAMETER.findall(" ".join((*sets, self._is_key)))))
        sets.append(f"{COLUMN} = ?{takes + 1}")
        sql = f"UPDATE {quoted(self.table.name)} SET {', '.join(sets)} WHERE {self._is_key}"  # nosec B608  # names are quoted, values are bound
        return sql, takes


def _named(sql: str, named: dict[str, str]) -> str:
    """Put the numbered parameters in the place of the named ones, the longest names first."""
    for name in sorted(named, key=len, reverse=True):
        sql = sql.replace(f":{name}", named[name])
    return sql

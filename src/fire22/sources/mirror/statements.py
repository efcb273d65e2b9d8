"""The SQL of a mirror's table, written once."""

from fire22.core.outbox import MirrorTable, quoted


class Statements:
    """What is done with the rows of one table of a mirror, as SQL.

    Args:
        table: whose rows.
    """

    def __init__(self, table: MirrorTable) -> None:
        self.table = table
        named = {name: f"?{place}" for place, name in enumerate(table.columns, 1)}
        keys = table.columns[: table.keys]
        is_key = " AND ".join(f"{quoted(name)} IS {named[name]}" for name in keys)
        name = quoted(table.name)
        columns = ", ".join(quoted(each) for each in table.columns)
        self.select = f"SELECT {columns} FROM {name} WHERE {is_key}"
        self.delete = f"DELETE FROM {name} WHERE {is_key}"
        self.clear = f"DELETE FROM {name}"
        derived = {each: _named(sql, named) for each, sql in table.derived.items()}
        into = ", ".join(quoted(each) for each in (*table.columns, *derived))
        self.insert = f"INSERT INTO {name}({into}) VALUES({', '.join((*named.values(), *derived.values()))})"
        moved = " OR ".join(f"{quoted(each)} IS NOT {named[each]}" for each in table.follows) or "0"
        sets = [f"{quoted(each)} = {named[each]}" for each in table.columns[table.keys :]]
        sets += [
            f"{quoted(each)} = CASE WHEN {moved} THEN {sql} ELSE {quoted(each)} END" for each, sql in derived.items()
        ]
        if not sets:
            sets = [f"{quoted(keys[0])} = {named[keys[0]]}"]
        self.update = f"UPDATE {name} SET {', '.join(sets)} WHERE {is_key}"
        was = " AND ".join(f"{quoted(each)} IS ?{len(table.columns) + place}" for place, each in enumerate(keys, 1))
        moved_keys = [f"{quoted(each)} = {named[each]}" for each in keys]
        self.move = f"UPDATE {name} SET {', '.join((*moved_keys, *sets))} WHERE {was}"
        chosen = ", ".join(quoted(each) for each in keys)
        same = " AND ".join(f"{quoted(each)} IS ?{place}" for place, each in enumerate(keys, 2))
        self.others = [
            (table.columns.index(each), f"SELECT {chosen} FROM {name} WHERE {quoted(each)} = ?1 AND NOT ({same})")
            for each in table.unique
        ]
        marks = ", ".join("?" for _ in keys)
        self.see = f"INSERT OR IGNORE INTO temp.seen VALUES({marks})"
        matched = " AND ".join(f"s.k{place} IS t.{quoted(each)}" for place, each in enumerate(keys))
        self.unseen = (
            f"SELECT {', '.join(f't.{quoted(each)}' for each in keys)} FROM {name} t"
            f" WHERE NOT EXISTS (SELECT 1 FROM temp.seen s WHERE {matched})"
        )


def _named(sql: str, named: dict[str, str]) -> str:
    """Put the numbered parameters in the place of the named ones, the longest names first."""
    for name in sorted(named, key=len, reverse=True):
        sql = sql.replace(f":{name}", named[name])
    return sql

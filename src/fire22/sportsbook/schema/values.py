"""SQL expressions that make our values of another book's: codes, units, times, prices, agents' paths.

A value that cannot be made is passed on as it is (a text where a number should be), so that the fact which carries it
is refused with the value as evidence; a time that cannot be read is the present, as everywhere in the triggers.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from fire22.core.outbox import PREFIX
from fire22.sportsbook.schema.columns import TABLES, Column
from fire22.sportsbook.schema.foreign import BookMapping, Code, ColumnMapping

ROW: Final = "book"  # what a view calls the row of the book's table
ISO: Final = "'%Y-%m-%dT%H:%M:%fZ'"
OFFSETS: Final = f"{PREFIX}offsets"
FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2060
LEVELS_MAX: Final = 9  # one more than a path may have, so that a circle gives a path that is refused

_MONEY: Final = {"minor": "@", "major": "@ * 100", "micro": "@ / 10000.0"}
# SQLite would read "5-2" as 5, and "1.2.3" as 1.2; a text compared to a number is always the greater one.
_NUMBER: Final = "@ GLOB '*[0-9]*' AND @ NOT GLOB '*[^-+0-9.]*' AND @ NOT GLOB '?*[-+]*' AND @ NOT GLOB '*.*.*'"
_AMERICAN: Final = "CASE WHEN CAST(@ AS REAL) > 0 THEN @ / 100.0 + 1 WHEN CAST(@ AS REAL) < 0 THEN 100.0 / -(@) + 1 END"
_IS_FRACTION: Final = "@ GLOB '[0-9]*/[0-9]*' AND @ NOT GLOB '*[^0-9./]*' AND @ NOT GLOB '*/*/*' AND @ NOT GLOB '*.*.*'"
_FRACTION: Final = (
    "CAST(substr(@, 1, instr(@, '/') - 1) AS REAL) / nullif(CAST(substr(@, instr(@, '/') + 1) AS REAL), 0) + 1"
)
_DATED: Final = "@ GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'"  # else "12:00" would be noon of some day


def quoted(name: str) -> str:
    """A name of the book, as SQL."""
    return f'"{name}"'


def literal(value: Code | None) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(int(value)) if isinstance(value, bool) else repr(value)


def raw(mapped: ColumnMapping, row: str) -> str:
    """What the book holds for a column."""
    if mapped.column is not None:
        return f"{row}.{quoted(mapped.column)}"
    if mapped.sql is not None:
        return f"({mapped.sql.replace('{row}', row)})"
    return literal(mapped.value)


def offsets_view(zone: str) -> tuple[str, str]:
    """From which local time on a zone has which offset, of the years 2000 to 2060: (name, SQL of the view).

    A local time that comes twice is taken the first time; one that never comes as if the clock had not been put
    forward yet.
    """
    rows = ", ".join(f"('{start}', {offset})" for start, offset in _offsets(ZoneInfo(zone)))
    return OFFSETS, f"CREATE VIEW {OFFSETS}(local_from, offset_s) AS SELECT * FROM (VALUES {rows})"


def _offsets(zone: ZoneInfo) -> list[tuple[str, int]]:
    at, end = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(LAST_YEAR, 12, 31, tzinfo=UTC)
    before = _offset(zone, at)
    rows = [("0000-01-01T00:00:00", int(before.total_seconds()))]
    while at < end:
        following = at + timedelta(days=1)
        after = _offset(zone, following)
        if after != before:
            changes_at = _change(zone, at, following)
            local = (changes_at + max(before, after)).strftime("%Y-%m-%dT%H:%M:%S")
            rows.append((local, int(after.total_seconds())))
            before = after
        at = following
    return rows


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second with the later offset."""
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    found = at.astimezone(zone).utcoffset()
    if found is None:
        raise AssertionError("a zone without an offset")
    return found


class Values:
    """The expressions of one mapping."""

    def __init__(self, mapping: BookMapping) -> None:
        self._mapping = mapping

    @property
    def local(self) -> bool:
        """Whether any time is a local one."""
        of_columns = (
            (mapped.time or self._mapping.time) == "local"
            for name, table in self._mapping.tables.items()
            for each in table.columns
            if TABLES[name][each].kind == "time" and (mapped := table.column(each)) is not None
        )
        return any(of_columns)

    def view(self, name: str) -> str:
        """The view that shows the book's rows as those of one of our tables; empty where the book has none."""
        table = self._mapping.tables.get(name)
        head = f"CREATE VIEW {PREFIX}{name} AS SELECT"
        columns = [each for each, column in TABLES[name].items() if not column.extra or self._has(name, each)]
        if table is None:
            return f"{head} {', '.join(f'NULL AS {quoted(each)}' for each in columns)} WHERE 0"
        shown = ",\n  ".join(f"{self.of(name, each, ROW)} AS {quoted(each)}" for each in columns)
        where = f"\nWHERE {table.where.replace('{row}', ROW)}" if table.where else ""
        return f"{head}\n  {shown}\nFROM {quoted(table.table)} {ROW}{where}"

    def of(self, table: str, name: str, row: str) -> str:
        """One of our columns, over a row of the book's table."""
        column, mapped = TABLES[table][name], self._mapping.tables[table].column(name)
        if mapped is None:
            return self._derived(table, name, row) if column.derived else literal(column.default)
        if mapped.value is not None:
            return literal(mapped.value)
        made = self._converted(column, mapped, raw(mapped, row))
        default = column.default if mapped.default is None else mapped.default
        return made if default is None else f"coalesce({made}, {literal(default)})"

    def _has(self, table: str, name: str) -> bool:
        mapped = self._mapping.tables.get(table)
        return mapped is not None and name in mapped.columns

    def _derived(self, table: str, name: str, row: str) -> str:
        match table, name:
            case "agents", "path":
                return self._path(row)
            case "agents", "level":
                path = self.of(table, "path", row)
                return f"length({path}) - length(replace({path}, '/', ''))"
            case "wagers", "agent_id":
                customer = self.of(table, "customer_id", row)
                return f"(SELECT c.agent_id FROM {PREFIX}customers c WHERE c.id = {customer})"
            case "wagers", "agent_path":
                agent = self.of(table, "agent_id", row)
                return f"coalesce((SELECT a.path FROM {PREFIX}agents a WHERE a.id = {agent}), '/')"
        raise AssertionError(f"{table}.{name} is not derived")

    def _path(self, row: str) -> str:
        """An agent's path from the codes of those above; only a view may hold the recursion."""
        if row != ROW:
            return f"(SELECT p.path FROM {PREFIX}agents p WHERE p.id = {self.of('agents', 'id', row)})"
        if not self._has("agents", "parent_id"):
            return f"'/' || {self.of('agents', 'code', row)}"
        table = quoted(self._mapping.tables["agents"].table)
        first, above = ([self.of("agents", each, at) for each in ("id", "parent_id", "code")] for at in (row, "above"))
        return (
            "(WITH RECURSIVE up(id, parent, path, depth) AS ("
            f"SELECT {first[0]}, {first[1]}, '/' || {first[2]}, 1 UNION ALL "
            f"SELECT {above[0]}, {above[1]}, '/' || {above[2]} || up.path, up.depth + 1 FROM {table} above "
            f"JOIN up ON {above[0]} = up.parent AND up.parent <> up.id WHERE up.depth < {LEVELS_MAX}) "
            "SELECT path FROM up ORDER BY depth DESC LIMIT 1)"
        )

    def _converted(self, column: Column, mapped: ColumnMapping, value: str) -> str:
        if mapped.codes:
            return _coded(column, mapped, value)
        match column.kind:
            case "money":
                made = _MONEY[mapped.money or self._mapping.money].replace("@", value)
                return _numeric(value, f"CAST(round({made}) AS INTEGER)")
            case "odds":
                return _odds(mapped.odds or self._mapping.odds, value)
            case "time":
                return _time(mapped.time or self._mapping.time, value)
            case "integer":
                return _numeric(value, f"CAST({value} AS INTEGER)")
            case "number":
                return _numeric(value, f"CAST({value} AS REAL)")
            case "date":
                return f"date({value})"
            case "text" | "label" | "code" | "path":
                return f"CAST({value} AS TEXT)"
        return value


def _numeric(value: str, made: str) -> str:
    return f"iif({_NUMBER.replace('@', value)}, {made}, {value})"


def _coded(column: Column, mapped: ColumnMapping, value: str) -> str:
    """Our code for each of the book's; what is not mapped stays as it is."""
    numeric = column.kind in ("flag", "integer", "number")
    lines = []
    for ours, theirs in mapped.codes.items():
        made = {"true": "1", "false": "0"}.get(ours, ours) if numeric else literal(ours)
        lines += [f"WHEN {literal(each)} THEN {made}" for each in theirs]
    other = value if numeric else f"CAST({value} AS TEXT)"
    return f"CASE {value} {' '.join(lines)} ELSE {other} END"


def _odds(how: str, value: str) -> str:
    if how == "american":
        return _numeric(value, f"round({_AMERICAN.replace('@', value)}, 6)")
    if how == "fractional":
        return f"iif({_IS_FRACTION.replace('@', value)}, round({_FRACTION.replace('@', value)}, 6), {value})"
    return _numeric(value, f"round(CAST({value} AS REAL), 6)")


def _time(how: str, value: str) -> str:
    if how == "unix_s":
        return f"strftime({ISO}, {value}, 'unixepoch')"
    if how == "unix_ms":
        return f"strftime({ISO}, {value} / 1000.0, 'unixepoch')"
    dated = f"iif({_DATED.replace('@', value)}, {value}, NULL)"
    if how == "iso":
        return f"strftime({ISO}, {dated})"
    offset = (
        f"(SELECT o.offset_s FROM {OFFSETS} o WHERE o.local_from <= strftime('%Y-%m-%dT%H:%M:%S', {value})"
        " ORDER BY o.local_from DESC LIMIT 1)"
    )
    return f"strftime({ISO}, {dated}, printf('%+d seconds', -{offset}))"

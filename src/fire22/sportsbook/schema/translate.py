"""Makes the triggers of a book: those of the demo book, or the same ones over another book's tables.

A mapped book gets a view `fire22_<table>` for each of our tables, which shows its rows as ours; whatever a trigger
reads beside its own row, it reads there. `NEW` and `OLD` are the book's own row, so each of our columns becomes an
expression over it. The book's time zone is the view `fire22_offsets`: SQLite knows no zones.

A condition on the rows (`where`) makes a row appear by an update as well as by an insert, so every INSERT trigger gets
a twin for that, and every DELETE trigger one for a row that disappears. Where wagers hold their own settlement, a wager
that is written with it tells of both, and only the twins of the settlement's triggers are left.

A code that is not mapped is told as a fact that cannot be read: it becomes a dead letter, never a wrong figure.

Rejected: the whole of a view in the place of each table name, which makes triggers of 10 kB that nobody can read.
"""

import re
from typing import Final

from fire22.core.outbox import PREFIX, OutboxSchema, TableNeed
from fire22.sportsbook.schema.columns import PAYMENT_STATES, TABLES, WAGER_STATES
from fire22.sportsbook.schema.foreign import BookMapping, TableMapping
from fire22.sportsbook.schema.statements import EXPRESSIONS, statements
from fire22.sportsbook.schema.values import Values, literal, offsets_view, quoted

VERSION: Final = 5
DEMO: Final = "fire22-demo"

_HEAD: Final = re.compile(
    r"CREATE TRIGGER (\w+) (BEFORE|AFTER) (INSERT|DELETE|UPDATE)(?: OF ([\w, ]+?))? ON (\w+)\s*(?:WHEN (.*?))?\s*"
    r"BEGIN\b(.*)END\Z",
    re.DOTALL,
)
_SOURCE: Final = re.compile(rf"\b(FROM|JOIN) ({'|'.join(TABLES)})\b(?:\s+([a-z]\w*))?")
_ROW: Final = re.compile(r"\b(NEW|OLD)\.(\w+)")
_INNER: Final = re.compile(r"\[\[(NEW|OLD)\]\]")

# A status that is not mapped would be no status that any trigger waits for, and so pass unseen.
_UNMAPPED: Final = """CREATE TRIGGER fire22_{table}_unmapped AFTER INSERT ON {table}
WHEN {bad} BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('{type}', {now}, json_object('{id}', CAST(NEW.id AS TEXT),
    'unmapped', json_object({values})));
END"""


def outbox(mapping: BookMapping | None) -> OutboxSchema:
    """The triggers of a mapped book, or without a mapping those of the demo book."""
    if mapping is None:
        plain = statements("triggers.sql", {})
        triggers = tuple((_matched(each)[1], each) for each in plain)
        return OutboxSchema(DEMO, VERSION, _demo_needs(), triggers, statements("bootstrap.sql", {}))
    return _Translation(mapping).outbox()


def _demo_needs() -> tuple[TableNeed, ...]:
    return tuple(
        TableNeed(name, tuple(each for each, column in columns.items() if not column.extra))
        for name, columns in TABLES.items()
    )


def _matched(statement: str) -> re.Match[str]:
    found = _HEAD.match(statement)
    if found is None:
        raise AssertionError(f"not a trigger as they are written here: {statement[:60]}")
    return found


class _Translation:
    """One mapping at work."""

    def __init__(self, mapping: BookMapping) -> None:
        self._mapping = mapping
        self._values = Values(mapping)
        self._in_row = mapping.tables["settlements"].table.lower() == mapping.tables["wagers"].table.lower()

    def outbox(self) -> OutboxSchema:
        """The schema with the book's own tables and columns."""
        changed = self._changed()
        told = [*statements("triggers.sql", changed), *self._unmapped()]
        triggers = [one for each in told for one in self._triggers(each)]
        bootstrap = tuple(_sources(each) for each in statements("bootstrap.sql", changed))
        name = f"{DEMO.split('-', 1)[0]}-mapped-{self._mapping.name}"
        return OutboxSchema(name, VERSION, self._needs(), tuple(triggers), bootstrap, self._views())

    def _needs(self) -> tuple[TableNeed, ...]:
        columns: dict[str, dict[str, None]] = {}
        for table in self._mapping.tables.values():
            names = columns.setdefault(table.table, {})
            for each in table.columns:
                mapped = table.column(each)
                if mapped is not None and mapped.column is not None:
                    names[mapped.column] = None
        return tuple(TableNeed(name, tuple(names)) for name, names in columns.items())

    def _views(self) -> tuple[tuple[str, str], ...]:
        views = [(PREFIX + name, self._values.view(name)) for name in TABLES]
        if self._values.local:
            views.append(offsets_view(self._mapping.time_zone))
        return tuple(views)

    def _changed(self) -> dict[str, str]:
        """The expressions that are others in this book."""
        unique = ("id", *self._mapping.tables["wagers"].unique)
        changed = {"same_wager": " OR ".join(f"w.{each} = NEW.{each}" for each in unique)}
        legs, events = self._mapping.tables.get("wager_legs"), self._mapping.tables.get("events")
        if legs is not None and "market_id" in legs.columns:
            joined = " JOIN selections s ON s.id = l.selection_id"
            changed["legs"] = EXPRESSIONS["legs"].replace(joined, "").replace("s.market_id", "l.market_id")
        if events is not None and "sport" in events.columns:
            sport = "'sport', (SELECT e.sport FROM events e WHERE e.id = @.event_id)"
            changed["market"] = re.sub(r"'sport', \(SELECT sports\.name.*?@\.event_id\)", sport, EXPRESSIONS["market"])
        if self._in_row:
            changed["settlement_is_new"] = "r.data ->> '$.settledReturnMinor' IS NOT s.return_cents"
            changed["may_lose_it"] = "w.status IN ('settled', 'cashed_out')"
            for row in ("NEW", "OLD"):
                holds = self._where("settlements", f"[[{row}]]") or "1"
                returned = self._values.of("settlements", "return_cents", f"[[{row}]]")
                changed[f"returned:{row}"] = f"iif({holds}, {returned}, NULL)"
        return changed

    def _unmapped(self) -> list[str]:
        """Triggers for codes that the mapping does not know."""
        wagers = f"coalesce(NEW.status, '') NOT IN {_list(WAGER_STATES)} OR coalesce(NEW.is_freeplay, 2) NOT IN (0, 1)"
        payments = f"coalesce(NEW.status, '') NOT IN {_list(PAYMENT_STATES)}"
        made = []
        for table, bad, type, id, columns in (
            ("wagers", wagers, "wager.placed", "wagerId", ("status", "is_freeplay")),
            ("payments", payments, "payment.requested", "paymentId", ("status",)),
        ):
            values = ", ".join(f"'{table}.{each}', NEW.{each}" for each in columns)
            insert = _UNMAPPED.format(table=table, bad=bad, type=type, now=EXPRESSIONS["now"], id=id, values=values)
            moved = " OR ".join(f"NEW.{each} IS NOT OLD.{each}" for each in columns)
            update = insert.replace("_unmapped AFTER INSERT", f"_unmapped_update AFTER UPDATE OF {', '.join(columns)}")
            made += [insert, update.replace(f"WHEN {bad}", f"WHEN ({bad}) AND ({moved})")]
        return made

    def _triggers(self, statement: str) -> list[tuple[str, str]]:
        """What a trigger becomes: itself over the book's table, and its twins; nothing where there is no table."""
        name, moment, event, columns, table, when, body = _matched(statement).groups()
        mapped = self._mapping.tables.get(table)
        if mapped is None:
            return []
        if table == "wager_legs" and event != "UPDATE" and mapped.table == self._mapping.tables["wagers"].table:
            return []  # a leg in its wager's row comes and goes with it
        condition = self._rows(table, when) if when else ""
        new, old = self._where(table, "NEW"), self._where(table, "OLD")
        head, on = f"CREATE TRIGGER {{}} {moment}", f"ON {quoted(mapped.table)}"

        def made(suffix: str, event: str, *guards: str, does: str = body) -> tuple[str, str]:
            whole = " AND ".join(f"({each})" for each in (*guards, condition) if each)
            when = f"WHEN {whole} " if whole else ""
            does = self._rows(table, _sources(does))
            return name + suffix, f"{head.format(name + suffix)} {event} {on}\n{when}BEGIN{does}END"

        triggers = []
        alone = table == "settlements" and self._in_row
        if event == "INSERT":
            if not alone:
                triggers.append(made("", event, new))
            if new:
                triggers.append(made("_enter", "UPDATE", f"NOT {old}", new))
        elif event == "DELETE":
            if not alone:
                triggers.append(made("", event, old))
            if old:
                # An update has a time of its own, where a deletion has none.
                does = body.replace(EXPRESSIONS["now"], _changed_at(table))
                triggers.append(made("_leave", "UPDATE", old, f"NOT {new}", does=does))
        else:
            triggers.append(made("", f"UPDATE{self._update_of(mapped, columns)}", old, new))
        return triggers

    def _update_of(self, table: TableMapping, columns: str | None) -> str:
        """The book's columns for ours, if they are columns; else every update is looked at."""
        found: dict[str, None] = {}
        for each in columns.split(", ") if columns else ():
            mapped = table.column(each)
            if mapped is not None and mapped.column is None and mapped.value is None:
                return ""
            if mapped is not None and mapped.column is not None:
                found[quoted(mapped.column)] = None
        return f" OF {', '.join(found)}" if found else ""

    def _where(self, table: str, row: str) -> str:
        where = self._mapping.tables[table].where
        return f"coalesce(({where.replace('{row}', row)}), 0)" if where else ""

    def _rows(self, table: str, sql: str) -> str:
        """Put expressions over the book's row in the place of our columns of NEW and OLD."""
        sql = _ROW.sub(lambda found: self._values.of(table, found[2], found[1]), sql)
        return _INNER.sub(r"\1", sql)


def _sources(sql: str) -> str:
    """Read from the views, under the names that the statement uses."""
    return _SOURCE.sub(lambda found: f"{found[1]} {PREFIX}{found[2]} {found[3] or found[2]}", sql)


def _changed_at(table: str) -> str:
    """When an update happened: the time that it wrote into its row, else the present."""
    column = "updated_at" if "updated_at" in TABLES[table] else "settled_at"
    return EXPRESSIONS["changed"].replace("updated_at", column)


def _list(codes: tuple[str, ...]) -> str:
    return f"({', '.join(literal(each) for each in codes)})"

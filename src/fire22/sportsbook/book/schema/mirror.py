"""A book as the sources need to know it (`core/outbox.py`, `Domain`): what is told of its tables, the tables of its
mirror, and the triggers there that make the facts of `sportsbook/betting/facts.py`.

The demo book is mapped to itself, so that there is one way for every book. The mirror's tables are those of `demo.sql`
without its constraints: what they forbid is refused, row by row, before it gets here or by the facts. Columns have no
type, for the values have been made by kind already.
"""

import hashlib
import re
from functools import cache
from typing import Final

import msgspec

from fire22.core.outbox import BookChange, MirrorTable, OutboxSchema, RowChange, TableNeed, Unusable, quoted
from fire22.sportsbook.book.schema.columns import ADDRESSES, KEYS, ORDER, PERSONAL, TABLES
from fire22.sportsbook.book.schema.mapping import BookMapping, TableMapping
from fire22.sportsbook.book.schema.order import ordered
from fire22.sportsbook.book.schema.rows import CLOCK, BookRows, stored
from fire22.sportsbook.book.schema.statements import EXPRESSIONS, statements

VERSION: Final = 6
DEMO: Final = "fire22-demo"

_PARENT: Final = "coalesce((SELECT path FROM agents WHERE id = :parent_id), '') || '/' || :code"
_AGENT: Final = "(SELECT agent_id FROM customers WHERE id = :customer_id)"
_LEVEL: Final = "length({0}) - length(replace({0}, '/', ''))"

_INDEXES: Final = (
    "CREATE INDEX customers_agent ON customers(agent_id)",
    "CREATE INDEX agents_parent ON agents(parent_id)",
    "CREATE INDEX leagues_sport ON leagues(sport_id)",
    "CREATE INDEX events_league ON events(league_id)",
    "CREATE INDEX markets_event ON markets(event_id)",
    "CREATE INDEX selections_market ON selections(market_id)",
    "CREATE INDEX wagers_customer ON wagers(customer_id)",
    "CREATE INDEX wagers_number ON wagers(wager_number)",
    "CREATE INDEX wagers_idempotency_key ON wagers(idempotency_key) WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX wager_legs_selection ON wager_legs(selection_id)",
)
_CLOCK: Final = tuple(
    f"CREATE TRIGGER fire22_clock_{event} AFTER {event.upper()} ON clock{when} BEGIN"
    " INSERT INTO fire22_outbox(type, timestamp, data) VALUES('system.clock', NEW.at, '{}'); END"  # nosec B608  # constants
    for event, when in (("insert", ""), ("update", " WHEN NEW.at IS NOT OLD.at"))
)
_CLOCK_NOW: Final = "INSERT INTO fire22_outbox(type, timestamp, data) SELECT 'system.clock', at, '{}' FROM clock"
# Those below an agent have its path before their own, whoever of them came first.
_PATHS: Final = (
    "CREATE TRIGGER fire22_paths_insert AFTER INSERT ON agents BEGIN"
    " UPDATE agents SET path = NEW.path || '/' || code WHERE parent_id = NEW.id AND id <> NEW.id; END",
    "CREATE TRIGGER fire22_paths_update AFTER UPDATE OF path ON agents WHEN OLD.path <> NEW.path BEGIN"
    " UPDATE agents SET path = NEW.path || substr(path, length(OLD.path) + 1)"
    " WHERE substr(path, 1, length(OLD.path) + 1) = OLD.path || '/' AND id <> NEW.id; END",
    "CREATE TRIGGER fire22_levels AFTER UPDATE OF path ON agents BEGIN"
    f" UPDATE agents SET level = {_LEVEL.format('path')} WHERE level <> {_LEVEL.format('path')}; END",  # nosec B608  # constants
)


class Book:
    """One kind of book, by its mapping."""

    def __init__(self, mapping: BookMapping, name: str) -> None:
        self.mapping = mapping
        self._rows = BookRows(mapping, name, VERSION)
        self.tables = tuple(_table(each, mapping) for each in ORDER)
        columns = {table.name: table.columns for table in self.tables}
        self._versions = {each: columns[each].index("version") for each in ("wagers", "wager_changes")}
        in_row = mapping.tables["settlements"].table.lower() == mapping.tables["wagers"].table.lower()
        changed = _changed(in_row=in_row)
        self.indexes = _INDEXES
        paths = () if "path" in columns["agents"] else _PATHS
        self.triggers = (*paths, *statements("triggers.sql", changed), *_CLOCK)
        self.bootstrap = (*statements("bootstrap.sql", changed), _CLOCK_NOW)

    @property
    def outbox(self) -> OutboxSchema:
        """What is told of the book."""
        return self._rows.outbox

    def sources(self, table: str) -> tuple[str, ...]:
        """The book's table that rows of one of the mirror's are made of."""
        return self._rows.sources(table)

    def key(self, table: str) -> TableNeed | None:
        """The book's table and columns that are the key of one of the mirror's tables."""
        return self._rows.key(table)

    def rows(self, change: BookChange, only: str = "") -> list[RowChange | Unusable]:
        """What a change of the book means for the mirror."""
        return self._rows.rows(change, only)

    def order(self, changes: list[RowChange | Unusable]) -> list[RowChange | Unusable]:
        """The changes of some whole transactions as the triggers need them."""
        return ordered(changes, self._versions)

    def keep(self) -> None:
        """Its rows need nothing beside the mirror."""


def book(mapping: BookMapping | None) -> Book:
    """A mapped book, or without a mapping the demo book."""
    if mapping is None:
        return _demo()
    # Another meaning of the same columns is another schema: the whole book is compared after it.
    meant = hashlib.blake2b(msgspec.json.encode(mapping), digest_size=4).hexdigest()
    return Book(mapping, f"fire22-mapped-{mapping.name}-{meant}")


@cache
def _demo() -> Book:
    tables = {
        name: TableMapping(
            name,
            {each: each for each, column in columns.items() if not column.extra},
            unique=("wager_number", "idempotency_key") if name == "wagers" else (),
        )
        for name, columns in TABLES.items()
        if name != CLOCK
    }
    return Book(BookMapping("demo", tables), DEMO)


def _table(name: str, mapping: BookMapping) -> MirrorTable:
    columns = ("id", "at") if name == CLOCK else tuple(each for each, _ in stored(name, mapping))
    derived, follows = _derived(name, columns)
    keys = KEYS.get(name, 1)
    declared = ", ".join(quoted(each) for each in (*columns, *derived))
    key = ", ".join(quoted(each) for each in columns[:keys])
    unique = mapping.tables[name].unique if name in mapping.tables else ()
    # Numbered rows: what is in no key comes in the order of its writing.
    ddl = f"CREATE TABLE {quoted(name)}({declared}, PRIMARY KEY({key}))"
    return MirrorTable(
        name,
        columns,
        keys,
        tuple(each for each in unique if each in columns),
        derived,
        follows,
        ddl,
        personal=PERSONAL.get(name, ()),
        addresses=ADDRESSES.get(name, ()),
        person="code" if name in PERSONAL else "",
    )


def _derived(name: str, columns: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
    made: dict[str, str] = {}
    follows: tuple[str, ...] = ()
    if name == "agents":
        path = ":path" if "path" in columns else _PARENT
        made = {"path": _PARENT, "level": _LEVEL.format(f"({path})")}
        follows = ("path",) if "path" in columns else ("parent_id", "code")
    elif name == "wagers":
        agent = ":agent_id" if "agent_id" in columns else _AGENT
        made = {"agent_id": _AGENT, "agent_path": f"coalesce((SELECT path FROM agents WHERE id = {agent}), '/')"}  # nosec B608  # constants
        follows = ("customer_id", *(("agent_id",) if "agent_id" in columns else ()))
    return {each: sql for each, sql in made.items() if each not in columns}, follows


def _changed(*, in_row: bool) -> dict[str, str]:
    """The expressions that know what only some books have."""
    legs = EXPRESSIONS["legs"].replace("JOIN selections s", "LEFT JOIN selections s")
    changed = {
        "legs": legs.replace("s.market_id", "coalesce(l.market_id, s.market_id) AS market_id", 1),
        "market": re.sub(
            r"'sport', (\(SELECT sports\.name.*?@\.event_id\))",
            r"'sport', coalesce((SELECT e.sport FROM events e WHERE e.id = @.event_id), \1)",
            EXPRESSIONS["market"],
        ),
    }
    if in_row:  # the wager's own status has said it
        changed["may_lose_it"] = "w.status IN ('settled', 'cashed_out')"
    return changed

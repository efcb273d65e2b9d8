"""Makes rows as `demo.sql` has them of a book's own rows: strictly, each column by its kind (`numbers.py`).

One of the book's rows may be several of ours (a wager with its leg and its settlement), or none (`where`). A row that
leaves by its condition is gone; one whose key changes is another one. A value that cannot be ours costs the rows that
it would be in.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core.outbox import BookChange, OutboxSchema, RowChange, TableNeed, Unusable, Value, Values
from fire22.core.times import CLOCK_END_MS, to_text
from fire22.sportsbook.betting.money import Money
from fire22.sportsbook.book.schema import numbers
from fire22.sportsbook.book.schema.columns import KEYS, ORDER, TABLES, Column
from fire22.sportsbook.book.schema.expression import Expression
from fire22.sportsbook.book.schema.mapping import BookMapping, ColumnMapping, TableMapping
from fire22.sportsbook.book.schema.numbers import BadValueError, Given, shown
from fire22.sportsbook.book.schema.operations import Result

CLOCK: Final = "clock"
CLOCK_END: Final = to_text(CLOCK_END_MS)
ROWID: Final = "rowid"
HIDDEN: Final = "***"  # in the place of a personal value
_OF_ROW: Final = re.compile(r'\{row\}\.(?:"([^"]+)"|(\w+))')
CURRENCIES_MAX: Final = 500  # whose readers are kept
# Of one row of the book: a leg comes before its wager and leaves after it, a settlement comes and leaves after it.
_WITHIN: Final = {"wager_legs": 0, "selections": 0, "wagers": 1, "markets": 1, "settlements": 2}

# Kinds of columns whose values are taken as they are where they have this type (`numbers.py`).
PASSES: Final[dict[str, type]] = {"key": str, "text": str, "label": str, "path": str, "integer": int}


class ColumnReader(Struct, frozen=True):
    """How one of our columns is made.

    Args:
        name: ours.
        theirs: the book's column, or the text of the expression.
        raw: what the book holds.
        made: what that is with us; BadValueError where it cannot be.
        default: in the place of nothing.
        needed: whether nothing is not enough.
        place: of the book's column in a row; -1 where an expression or a constant stands for it.
        passes: the type whose values are ours as they are.
        constant: whether it is the default always.
    """

    name: str
    theirs: str
    raw: Callable[[Values], Result | float]
    made: Callable[[Given], Value]
    default: Value
    needed: bool
    place: int = -1
    passes: type | None = None
    constant: bool = False

    def read(self, row: Values) -> Value:
        """Our value.

        Raises:
            BadValueError: there is none.
        """
        raw: Given = None
        try:
            raw = self.raw(row)
            value = None if raw is None else self.made(raw)
        except BadValueError as error:
            raise BadValueError(error.why, error.value or shown(raw), error.column or self.theirs) from None
        if value is None:
            value = self.default
            if self.needed and (value is None or value == ""):
                raise BadValueError("is empty", "", self.theirs)
        return value


class TableReader:
    """Makes rows of one of our tables.

    Args:
        name: ours.
        columns: of the book's table, in the order of a row.
    """

    def __init__(self, name: str, mapping: BookMapping, columns: tuple[str, ...]) -> None:
        self.name = name
        self.table = mapping.tables[name]
        self.places = {each: place for place, each in enumerate(columns)}
        self.keys = KEYS.get(name, 1)
        self._mapping = mapping
        self.readers = self._readers(mapping.currency)
        self._columns = compiled(self.readers)
        self._key = compiled(self.readers[: self.keys])
        self._of_currency = {mapping.currency: (self.readers, self._columns)}
        currencies = [each for each in self.readers if each.name == "currency" and each.name in self.table.columns]
        self.currency = currencies[0] if currencies else None
        self.where = self._expression(self.table.where) if self.table.where else None
        changed = [each for each in self.readers if each.name in ("updated_at", "settled_at")]
        self.changed = changed[0] if changed else None
        self._personal = personal_columns(mapping, self.table.table)

    def hides(self, told: str) -> bool:
        """Whether a value may be personal.

        Args:
            told: the book's column that it is of, or the expression that it is worked out by.
        """
        return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", told) for name in self._personal)

    def row(self, values: Values) -> Values | None:
        """Our row; None where its condition does not hold.

        Raises:
            BadValueError: a value cannot be ours.
        """
        if not self.holds(values):
            return None
        readers, columns = self.readers, self._columns
        if self.currency is not None:
            currency = str(self.currency.read(values) or self._mapping.currency)
            found = self._of_currency.get(currency)
            if found is None:
                made = self._readers(currency)
                found = made, compiled(made)
                if len(self._of_currency) < CURRENCIES_MAX:
                    self._of_currency[currency] = found
            readers, columns = found
        try:
            return columns(values)
        except BadValueError:
            return tuple([reader.read(values) for reader in readers])  # says which value it is

    def holds(self, values: Values) -> bool:
        """Whether the row counts."""
        return self.where is None or bool(self.where(values))

    def key(self, values: Values) -> Values | None:
        """What the row is called; None where it has no name."""
        try:
            return self._key(values)
        except BadValueError:
            return None

    def _readers(self, currency: str) -> list[ColumnReader]:
        """What reads the columns of a row whose amounts are in a currency."""
        mapping = msgspec.structs.replace(self._mapping, currency=currency)
        return [self._reader(mapping, each, column) for each, column in stored(self.name, mapping)]

    def _reader(self, mapping: BookMapping, name: str, column: Column) -> ColumnReader:
        mapped = mapped_column(self.table, name, column)
        if mapped is None:
            return ColumnReader(
                name, name, lambda _: None, lambda value: None, column.default, needed=False, constant=True
            )
        default = column.default if mapped.default is None else mapped.default
        if self.name == "settlements" and column.kind == "currency" and default is None:
            default = self._mapping.currency  # a settlement that says nothing would be in its wager's currency
        if mapped.value is not None:
            constant: Value = mapped.value
            return ColumnReader(name, name, lambda _: None, lambda value: None, constant, needed=False, constant=True)
        made = converter(mapping, column, mapped)
        kinds = ("key", "money", "code", "label", "integer", "path")
        needed = column.required and column.kind in kinds
        if mapped.column is not None:
            place = self.places[mapped.column]
            passes = None if mapped.codes else PASSES.get(column.kind)
            return ColumnReader(name, mapped.column, lambda row: row[place], made, default, needed, place, passes)
        expression = self._expression(mapped.sql or "NULL")
        return ColumnReader(name, expression.text, expression, made, default, needed)

    def _expression(self, text: str) -> Expression:
        made = Expression(text)
        made.bind(list(self.places))
        return made


def personal_columns(mapping: BookMapping, table: str) -> frozenset[str]:
    """The columns of one of the book's tables that hold something of a person, whichever table of ours takes it."""
    found: set[str] = set()
    for ours, mapped in mapping.tables.items():
        for name in mapped.columns if mapped.table == table else ():
            column = mapped.column(name)
            if column is None or not (column.personal or TABLES[ours][name].personal):
                continue
            if column.column is not None:
                found.add(column.column)
            found.update(quoted or plain for quoted, plain in _OF_ROW.findall(column.sql or ""))
    return frozenset(found)


def compiled(readers: Sequence[ColumnReader]) -> Callable[[Values], Values]:
    """Makes all columns of a row at once.

    A value of the type that `PASSES` says is ours as it is. A value that cannot be ours is a BadValueError that
    does not say which it was: `ColumnReader.read` does.
    """
    defaults = [each.default for each in readers]
    plain = [(at, each.place, each.passes, each.made) for at, each in enumerate(readers) if each.place >= 0]
    computed = [(at, each.read) for at, each in enumerate(readers) if each.place < 0 and not each.constant]
    needed = [at for at, each in enumerate(readers) if each.needed]

    def made(values: Values) -> Values:
        row = defaults.copy()
        for at, place, passes, convert in plain:
            value = values[place]
            if value is not None:
                found = value if type(value) is passes else convert(value)
                if found is not None:
                    row[at] = found
        for at, read in computed:
            row[at] = read(values)
        for at in needed:
            if row[at] is None or row[at] == "":
                raise BadValueError("is empty")
        return tuple(row)

    return made


def mapped_column(table: TableMapping, name: str, column: Column) -> ColumnMapping | None:
    """Where a column comes from, the rowid of the book's table included."""
    return table.column(name) or (ColumnMapping(column=ROWID) if column.rowid else None)


def stored(name: str, mapping: BookMapping | None = None) -> list[tuple[str, Column]]:
    """The columns of one of our tables that rows carry: all but those that the mirror works out by itself."""
    mapped = mapping.tables[name].columns if mapping is not None and name in mapping.tables else {}
    return [(each, column) for each, column in TABLES[name].items() if not column.derived or each in mapped]


def converter(mapping: BookMapping, column: Column, mapped: ColumnMapping) -> Callable[[Given], Value]:
    """What reads a column's values."""
    if mapped.codes:
        return numbers.coded({theirs: _code(column, ours) for ours, all in mapped.codes.items() for theirs in all})
    match column.kind:
        case "money":
            return numbers.money(_units(mapping)[mapped.money or mapping.money])
        case "odds":
            return numbers.odds(mapped.odds or mapping.odds)
        case "time":
            return numbers.time(mapped.time or mapping.time, mapping.time_zone)
        case "code":
            return numbers.one_of(column.codes)
    return numbers.of_kind(column.kind)


def _units(mapping: BookMapping) -> dict[str, Decimal]:
    """What the units of amounts are in minor ones, which depends on how many decimals the currency has."""
    unit = Decimal(Money(mapping.currency).unit)
    return {"minor": Decimal(1), "major": unit, "micro": unit / 1_000_000}


def _code(column: Column, ours: str) -> Value:
    if column.kind in ("flag", "integer", "number"):
        return {"true": 1, "false": 0}.get(ours) if ours in ("true", "false") else int(ours)
    return ours


class BookRows:
    """The rows of a whole book.

    Args:
        mapping: of its tables to ours.
    """

    def __init__(self, mapping: BookMapping, name: str, version: int) -> None:
        self.mapping = mapping
        self._needs = needs(mapping)
        self.outbox = OutboxSchema(name, version, self._needs, mapping.clock)
        columns = {need.name: need.columns for need in self._needs}
        tables = [each for each in ORDER if each in mapping.tables]
        self.readers: dict[str, TableReader] = {
            each: TableReader(each, mapping, columns[self._source(each)]) for each in tables
        }
        self._by_source: dict[str, list[TableReader]] = {}
        for name in sorted(tables, key=lambda each: _WITHIN.get(each, 1)):
            self._by_source.setdefault(self._source(name), []).append(self.readers[name])

    def sources(self, table: str) -> tuple[str, ...]:
        """The book's table that one of ours comes from."""
        return (self._source(table),) if table in self.readers else ()

    def key(self, table: str) -> TableNeed | None:
        """The book's table and columns that are the key of one of ours; None where an expression is."""
        reader = self.readers.get(table)
        if reader is None or table == CLOCK:
            return None
        keys = reader.readers[: reader.keys]
        if any(each.place < 0 and not each.constant for each in keys):
            return None
        return TableNeed(reader.table.table, tuple(each.theirs for each in keys if each.place >= 0))

    def rows(self, change: BookChange, only: str = "") -> list[RowChange | Unusable]:
        """What a change of the book means, in the order that it needs by itself."""
        if change.op == CLOCK:
            return [_clock(change, change.new[0])]
        here: list[RowChange | Unusable] = []
        gone: list[RowChange | Unusable] = []
        for reader in self._by_source.get(change.source, ()):
            if only and reader.name != only:
                continue
            made = self._of(reader, change)
            if made is not None:
                (gone if isinstance(made, RowChange) and made.row is None else here).append(made)
        if len(gone) > 1:
            gone.sort(key=lambda each: -1 if isinstance(each, RowChange) and each.table in ("wagers", "markets") else 0)
        # A settlement that leaves an open wager does so after the wager's status has said it.
        return [*here, *gone] if change.op != "delete" else gone

    def _source(self, table: str) -> str:
        return self.mapping.tables[table].table

    def _of(self, reader: TableReader, change: BookChange) -> RowChange | Unusable | None:
        before = reader.key(change.old) if change.op != "insert" else None
        if change.op != "delete":
            try:
                row = reader.row(change.new)
            except BadValueError as error:
                return self._unusable(reader, change, error)
            if row is not None:
                if reader.name == CLOCK:
                    return _clock(change, row[0])
                after = row[: reader.keys]
                moved = before if before != after else None
                return RowChange(change.at, reader.name, after, row, change.op == "insert", moved)
        if before is not None and reader.name != CLOCK:
            return RowChange(self._left_at(reader, change), reader.name, before, None)
        return None

    def _left_at(self, reader: TableReader, change: BookChange) -> str:
        """When a row left: an update has a time of its own, where a deletion has none."""
        if change.op == "update" and reader.changed is not None:
            try:
                before, after = reader.changed.read(change.old), reader.changed.read(change.new)
            except BadValueError:
                return change.at
            return after if isinstance(after, str) and after != before else change.at
        return change.at

    def _unusable(self, reader: TableReader, change: BookChange, error: BadValueError) -> Unusable:
        parts = []
        for each in reader.readers[: reader.keys]:
            try:
                parts.append(str(each.read(change.new)))
            except BadValueError:
                parts.append("?")
        value = HIDDEN if error.value and reader.hides(error.column or reader.table.where) else error.value
        return Unusable(change.at, reader.table.table, "/".join(parts), error.column, value, error.why)


def _clock(change: BookChange, at: Value) -> RowChange | Unusable:
    made = numbers.time("iso", "UTC")(at)
    if made is None:
        return Unusable(change.at, CLOCK, str(change.number), "at", shown(at), "is no time")
    if str(made) >= CLOCK_END:
        return Unusable(change.at, CLOCK, str(change.number), "at", shown(at), "is near the end of the calendar")
    return RowChange(change.at, CLOCK, ("1",), ("1", made))


def needs(mapping: BookMapping) -> tuple[TableNeed, ...]:
    """The book's tables and their columns that are told of."""
    columns: dict[str, dict[str, None]] = {}
    for name, table in mapping.tables.items():
        names = columns.setdefault(table.table, {})
        for each in Expression(table.where).columns if table.where else ():
            names[each] = None
        for each, column in TABLES[name].items():
            mapped = mapped_column(table, each, column)
            if mapped is None:
                continue
            if mapped.column is not None:
                names[mapped.column] = None
            for needed in Expression(mapped.sql).columns if mapped.sql else ():
                names[needed] = None
    return tuple(TableNeed(name, tuple(names)) for name, names in columns.items())

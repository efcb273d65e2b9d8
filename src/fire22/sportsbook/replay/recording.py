"""Reads recorded wagers from CSV or JSON Lines (also gzipped), by a mapping that names the columns.

The mapping is TOML:

    [file]
    format = "csv"              # or "jsonl"
    nulls = ["", "NA"]          # texts that mean: no value
    [columns]
    id = "Id"                   # unique for ever
    customer = "Player"
    stake = "Bet"
    placed_at = "PlayDate"
    profit = "Profit"           # what was won on top of the stake; no value = lost.  Or:
    # returned = "Payout"       # what came back, stake included; no value = still open
    # settled_at = "..."        # without it a wager settles when it is placed
    # agent_path = "..."        # such as /M1/A7; without it everything belongs to book.agent_path
    [units]
    money_decimals = 2          # decimals of the minor unit: amounts are rounded to it, once
    time = "rfc3339"            # or "unix_s", "unix_ms"; a time without an offset is UTC
    [book]
    agent_path = "/BB"
    type = "straight"
    channel = "web"
"""

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Final, Literal, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from fire22.core import codes
from fire22.core.errors import RequestError, SetupError, SourceError
from fire22.core.scope import is_customer, parse_scope
from fire22.core.times import to_ms
from fire22.sportsbook.betting.odds import minor_units
from fire22.sportsbook.book.mapping_file import read_mapping_file

_CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
AGENT_LEVELS_MAX: Final = 8

T = TypeVar("T")
Name = Annotated[str, Meta(min_length=1)]


class FileFormat(Struct, frozen=True, forbid_unknown_fields=True):
    """How the file is written."""

    format: Literal["csv", "jsonl"]
    nulls: tuple[str, ...] = ("",)


class Columns(Struct, frozen=True, forbid_unknown_fields=True):
    """Which column holds what; `profit` or `returned`, not both."""

    id: Name
    customer: Name
    stake: Name
    placed_at: Name
    profit: Name | None = None
    returned: Name | None = None
    settled_at: Name | None = None
    agent_path: Name | None = None


class Units(Struct, frozen=True, forbid_unknown_fields=True):
    """What the numbers mean."""

    money_decimals: Annotated[int, Meta(ge=0, le=8)] = 2
    time: Literal["rfc3339", "unix_s", "unix_ms"] = "rfc3339"


class Defaults(Struct, frozen=True, forbid_unknown_fields=True):
    """What the file does not say."""

    agent_path: Name = "/R"
    type: Name = "straight"
    channel: Name = "web"


class Mapping(Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping as its file says it."""

    file: FileFormat
    columns: Columns
    units: Units = Units()
    book: Defaults = Defaults()


class Row(Struct, frozen=True, gc=False):
    """One recorded wager, amounts in minor units; without `return_minor` it is still open."""

    line: int
    id: str
    customer: str
    agent_path: str
    risk_minor: int
    return_minor: int | None
    placed_ms: int
    settled_ms: int


def read_mapping(path: Path) -> Mapping:
    """Read a mapping.

    Raises:
        SetupError: `mapping_invalid`; the message names the key.
    """
    return read_mapping_file(path, Mapping, _wrong)


def _wrong(mapping: Mapping) -> Iterator[str]:
    if (mapping.columns.profit is None) == (mapping.columns.returned is None):
        yield "columns: name either columns.profit or columns.returned"
    try:
        _agent_path(mapping.book.agent_path)
    except ValueError as error:
        yield f"book.agent_path: {error}"


class Recording:
    """A recorded file, open for reading.

    Args:
        path: CSV or JSON Lines; gzipped if its name ends in `.gz`.
        mapping: which column holds what.

    Raises:
        SourceError: `input_invalid`, there is no such file.
    """

    def __init__(self, path: Path, mapping: Mapping) -> None:
        try:
            self._raw: IO[bytes] = path.open("rb")
        except OSError as error:
            raise SourceError(codes.INPUT_INVALID, f"{path} cannot be read: {error.strerror}.") from None
        self.name = path.name
        self._path = path
        self._mapping = mapping
        self.bytes_total = path.stat().st_size

    @property
    def bytes_read(self) -> int:
        """How far the file is read, in its own (compressed) bytes."""
        return self.bytes_total if self._raw.closed else self._raw.tell()

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def rows(self) -> Iterator[Row]:
        """The wagers, in order.

        Raises:
            SourceError: `input_invalid`; the message names line and column.
            SetupError: `mapping_invalid`, the file lacks a column.
        """
        reader = _Reader(self._mapping)
        for line, values in self._records():
            try:
                yield reader.row(line, values)
            except _BadColumn as error:
                raise self._bad(line, f"column {error.column}: {error}") from None

    def _records(self) -> Iterator[tuple[int, dict[str, str | None]]]:
        """Line number and text by column, None where there is no value."""
        read = _read_csv if self._mapping.file.format == "csv" else _read_jsonl
        line = 0
        zipped = self._path.suffix == ".gz"
        lines = cast(IO[bytes], gzip.GzipFile(fileobj=self._raw)) if zipped else self._raw
        try:
            for line, values in read(lines, self._mapping):
                yield line, values
        except (csv.Error, ValueError, RecursionError, msgspec.DecodeError, EOFError, zlib.error, OSError) as error:
            raise self._bad(line + 1, str(error)) from None

    def _bad(self, line: int, what: str) -> SourceError:
        return SourceError(codes.INPUT_INVALID, f"{self.name} line {line}: {what}.", details={"line": line})


class _BadColumn(ValueError):
    """A value that cannot be read, and the column it stands in."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


def _names(columns: Columns) -> dict[str, str]:
    """The columns that are mapped: our name → the file's."""
    return {key: str(getattr(columns, key)) for key in columns.__struct_fields__ if getattr(columns, key) is not None}


def _read_csv(raw: IO[bytes], mapping: Mapping) -> Iterator[tuple[int, dict[str, str | None]]]:
    # Decoded line by line, as a text wrapper would close the file under its owner.
    reader = csv.reader((line.decode().removeprefix("\ufeff") for line in raw), strict=True)
    header = next(reader, [])
    names = _names(mapping.columns)
    for key, name in names.items():
        if name not in header:
            message = f"The file has no column {name}, which the mapping names as columns.{key}."
            raise SetupError(codes.MAPPING_INVALID, message)
    places = [(key, header.index(name)) for key, name in names.items()]
    nulls = frozenset(mapping.file.nulls)
    width = len(header)
    for record in reader:
        if len(record) != width:
            raise csv.Error(f"{len(record)} columns in place of {width}")
        yield reader.line_num, {key: None if (text := record[at]) in nulls else text for key, at in places}


def _read_jsonl(raw: IO[bytes], mapping: Mapping) -> Iterator[tuple[int, dict[str, str | None]]]:
    # Amounts stay exact: a number with a fraction is read as a decimal, not as a float.
    decoder = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)
    nulls = frozenset(mapping.file.nulls)
    names = _names(mapping.columns)
    for line, text in enumerate(raw, 1):
        if not text.strip():
            continue
        record = decoder.decode(text)
        texts = {key: None if (value := record.get(name)) is None else str(value) for key, name in names.items()}
        yield line, {key: None if value in nulls else value for key, value in texts.items()}


class _Reader:
    """Makes rows of texts."""

    def __init__(self, mapping: Mapping) -> None:
        self._names = _names(mapping.columns)
        self._default_path = mapping.book.agent_path
        self._money = partial(minor_units, decimals=mapping.units.money_decimals)
        self._time = _TIMES[mapping.units.time]

    def row(self, line: int, values: dict[str, str | None]) -> Row:
        """Make a row.

        Raises:
            _BadColumn: a value is missing or cannot be read.
        """
        risk = self._needed(values, "stake", self._money)
        placed = self._needed(values, "placed_at", self._time)
        settled = self._given(values, "settled_at", self._time)
        if settled is not None and settled < placed:
            raise _BadColumn(self._names["settled_at"], "is before the wager was placed")
        return Row(
            line,
            self._needed(values, "id", str),
            self._needed(values, "customer", _code),
            self._given(values, "agent_path", _agent_path) or self._default_path,
            risk,
            self._returned(values, risk),
            placed,
            placed if settled is None else settled,
        )

    def _returned(self, values: dict[str, str | None], risk: int) -> int | None:
        if risk < 0:
            raise _BadColumn(self._names["stake"], "is negative")
        if "profit" in self._names:
            profit = self._given(values, "profit", self._money)
            returned: int | None = 0 if profit is None else risk + profit
        else:
            returned = self._given(values, "returned", self._money)
        if returned is not None and returned < 0:
            raise _BadColumn(self._names.get("profit") or self._names["returned"], "makes the return negative")
        return returned

    def _needed(self, values: dict[str, str | None], key: str, convert: Callable[[str], T]) -> T:
        value = self._given(values, key, convert)
        if value is None:
            raise _BadColumn(self._names[key], "has no value")
        return value

    def _given(self, values: dict[str, str | None], key: str, convert: Callable[[str], T]) -> T | None:
        text = values.get(key)
        if text is None:
            return None
        try:
            return convert(text)
        except (ValueError, OverflowError) as error:
            raise _BadColumn(self._names[key], str(error)) from None


def _code(text: str) -> str:
    if not _CODE.fullmatch(text):
        raise ValueError(f"not a code of letters, digits, dot, dash, underscore: {text[:80]!r}")
    return text


def _agent_path(text: str) -> str:
    try:
        parse_scope(text)
    except RequestError:
        raise ValueError(f"not the path of an agent: {text[:80]!r}") from None
    if text == "/" or is_customer(text) or text.count("/") > AGENT_LEVELS_MAX:
        raise ValueError(f"not the path of an agent: {text[:80]!r}")
    return text


def _rfc3339(text: str) -> int:
    time = datetime.fromisoformat(text)
    return to_ms(time if time.tzinfo else time.replace(tzinfo=UTC))


_TIMES: Final[dict[str, Callable[[str], int]]] = {
    "rfc3339": _rfc3339,
    "unix_s": partial(minor_units, decimals=3),
    "unix_ms": partial(minor_units, decimals=0),
}

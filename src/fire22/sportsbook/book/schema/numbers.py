"""Reads what another book holds in a column as what we hold: strictly, so that nothing passes as something else.

A text is a number only if all of it is. A REAL is the decimal that its shortest text says; where that has a fraction of
a minor unit by less than a millionth (sums of floats: 1035.0700000000152), it is the amount that was meant.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from math import isfinite
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from fire22.core.outbox import Value

Given = str | int | float | bytes | Decimal | None
SHOWN_MAX: Final = 60
DIGITS_MAX: Final = 40
NOISE: Final = Decimal("0.000001")  # of a minor unit: less than anybody means, more than floats make of sums
JSON_DEPTH_MAX: Final = 50
KNOWN_MAX: Final = 4_096  # texts of times that are remembered, of each column ...
WRITTEN_MAX: Final = 40  # ... and how long they may be
_NUMBER: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)")
_FRACTION: Final = re.compile(r"\d{1,9}/\d{1,9}")
_WRITTEN: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_DATED: Final = re.compile(r"\d{4}-\d\d-\d\d")
_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WORDS: Final = {
    "key": "key", "text": "text", "label": "text", "money": "amount", "odds": "price", "time": "time", "date": "date",
    "integer": "whole number", "number": "number", "flag": "yes or no", "code": "known code", "json": "JSON",
    "path": "text", "currency": "currency code of three capital letters",
}  # fmt: skip


class BadValueError(ValueError):
    """A value that cannot be what it should be.

    Args:
        why: "is no number", "is not mapped" ...
        value: what was looked at, where it is not the column's own.
        column: the book's column, where it is known.
    """

    def __init__(self, why: str, value: str = "", column: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.value = value
        self.column = column


def shown(value: object) -> str:
    """A value as it is said; the beginning of a long one."""
    if isinstance(value, bytes):
        text = f"x'{value[: SHOWN_MAX // 2].hex()}'"
        return text if len(value) <= SHOWN_MAX // 2 else f"{text[:-1]}…'"
    text = str(value) if not isinstance(value, str) else f"`{value[:SHOWN_MAX]}`"
    return text if len(str(value)) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def number(value: Given) -> int | Decimal | None:
    """A number, exactly as it is written.

    Raises:
        BadValueError: it is none.
    """
    if value is None or isinstance(value, int | Decimal):
        return value
    if isinstance(value, float):
        if not isfinite(value):
            raise BadValueError("is no number")
        return Decimal(repr(value))
    if isinstance(value, str):
        text = value.strip(" ")
        if len(text) <= DIGITS_MAX and _NUMBER.fullmatch(text):
            return Decimal(text)
    raise BadValueError("is no number")


def money(unit: Decimal) -> Callable[[Given], int | None]:
    """Amounts, as minor units; `unit` is what 1 is in minor units."""
    whole = int(unit) if unit == int(unit) else 0

    def made(value: Given) -> int | None:
        if type(value) is int and whole:
            return _bounded(value * whole)
        try:
            exact = number(value)
        except BadValueError:
            raise BadValueError("is no amount") from None
        if exact is None:
            return None
        amount = exact * unit
        minor = amount.to_integral_value(ROUND_HALF_UP)
        if amount != minor and not (isinstance(value, float | Decimal) and abs(amount - minor) < NOISE):
            raise BadValueError("has a fraction of a minor unit")
        return _bounded(int(minor))

    return made


def whole(value: Given) -> int | None:
    """A whole number."""
    if type(value) is int:
        return value
    exact = number(value)
    if exact is None or isinstance(exact, int):
        return exact
    if exact != exact.to_integral_value():
        raise BadValueError("is no whole number")
    return _bounded(int(exact))


def real(value: Given) -> float | None:
    """Any number."""
    if type(value) is float and isfinite(value):
        return value
    exact = number(value)
    return None if exact is None else float(exact)


def flag(value: Given) -> int | None:
    """0 or 1."""
    if type(value) is int and 0 <= value <= 1:
        return value
    exact = number(value)
    if exact is not None and exact not in (0, 1):
        raise BadValueError("is no yes or no")
    return None if exact is None else int(exact)


def text(value: Given) -> str | None:
    """A text; a number as it is written."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, bytes):
        raise BadValueError("is no text")
    return str(value)


def key(value: Given) -> str | None:
    """What a row is called: 7, 7.0 and '7' are the same; a blob (a UUID, say) as hexadecimal digits."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, bytes):
        return value.hex()
    exact = number(value)
    return str(int(exact)) if exact is not None and exact == int(exact) else str(value)


def currency(value: Given) -> str | None:
    """ISO 4217; an empty text is none, which is the book's."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and _CURRENCY.fullmatch(value):
        return value
    raise BadValueError("is no currency code of three capital letters")


def json_text(value: Given) -> str | None:
    """A JSON array or object, as text."""
    if value is None or value == "{}" or value == "[]":
        return value  # type: ignore[return-value]
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            msgspec.json.decode(value)
            if _depth(value) <= JSON_DEPTH_MAX:
                return value
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
    raise BadValueError("is no JSON")


def date(value: Given) -> str | None:
    """YYYY-MM-DD."""
    if value is None:
        return None
    if isinstance(value, str) and _DATED.match(value):
        try:
            return datetime.fromisoformat(value[:10]).date().isoformat()
        except ValueError:
            pass
    raise BadValueError("is no date")


def odds(how: str) -> Callable[[Given], Value]:
    """Prices, as decimal odds with at most six decimals.

    Args:
        how: "decimal", "american" or "fractional".
    """

    def decimal(value: Given) -> float | None:
        if type(value) is float and isfinite(value):
            return round(value, 6)
        exact = number(value)
        return None if exact is None else round(float(exact), 6)

    def american(value: Given) -> float | None:
        exact = number(value)
        if exact is None:
            return None
        if exact == 0:
            raise BadValueError("is no price above 1")
        return round(float(exact / Decimal(100) + 1 if exact > 0 else Decimal(100) / -exact + 1), 6)

    def fractional(value: Given) -> float | None:
        if value is None:
            return None
        if isinstance(value, str) and _FRACTION.fullmatch(value):
            over, under = map(int, value.split("/"))
            if under:
                return round(float(Decimal(over) / under + 1), 6)
        raise BadValueError("is no price above 1")

    return _saying("is no price above 1", {"decimal": decimal, "american": american, "fractional": fractional}[how])


def time(how: str, zone: str) -> Callable[[Given], str | None]:
    """Times, as RFC 3339 UTC with milliseconds; None for what is none: the fact is then of the present.

    Args:
        how: "iso" (UTC, or with an offset), "local" (of `zone`), "unix_s" or "unix_ms".
    """
    if how in ("unix_s", "unix_ms"):
        factor = 1000 if how == "unix_s" else 1

        def unix(value: Given) -> str | None:
            try:
                exact = number(value)
                return None if exact is None else _written(datetime.fromtimestamp(float(exact * factor) / 1000, UTC))
            except (BadValueError, ValueError, OverflowError, OSError):
                return None

        return unix
    region = ZoneInfo(zone) if how == "local" else UTC

    def dated(value: Given) -> str | None:
        if not isinstance(value, str) or not _DATED.match(value):
            return None
        try:
            at = datetime.fromisoformat(value.strip())
            if _WRITTEN.fullmatch(value):
                return value
            # A local time that comes twice is taken the first time; one that never comes as if the clock had not been
            # put forward yet.
            return _written((at if at.tzinfo else at.replace(tzinfo=region)).astimezone(UTC))
        except (ValueError, OverflowError):
            return None

    remembered = lru_cache(KNOWN_MAX)(dated)  # a row's times come again with each of its changes

    def known(value: Given) -> str | None:
        return remembered(value) if type(value) is str and len(value) <= WRITTEN_MAX else dated(value)

    return known


def coded(codes: dict[Value, Value]) -> Callable[[Given], Value]:
    """Our codes for the book's; a number and the text that says it are the same."""
    known: dict[object, Value] = {}
    for theirs, ours in codes.items():
        known[theirs] = ours
    for theirs, ours in codes.items():
        if said := _numbered(theirs):
            known.setdefault(said, ours)

    def made(value: Given) -> Value:
        if value is None:
            return None
        found = known.get(value, known)
        if found is known:
            found = known.get(_numbered(value), known)
        if found is known:
            raise BadValueError("is not mapped")
        return found  # type: ignore[return-value]

    return made


def one_of(allowed: tuple[str, ...]) -> Callable[[Given], str | None]:
    """Our own codes."""

    def made(value: Given) -> str | None:
        if value is not None and value not in allowed:
            raise BadValueError("is not mapped")
        return text(value)

    return made


def of_kind(kind: str) -> Callable[[Given], Value]:
    """What reads a kind of column that needs no unit."""
    plain: dict[str, Callable[[Given], Value]] = {
        "key": key, "text": text, "label": text, "path": text, "integer": whole, "number": real, "flag": flag,
        "date": date, "json": json_text, "currency": currency,
    }  # fmt: skip
    return _saying(f"is no {_WORDS[kind]}", plain[kind])


def _saying(why: str, made: Callable[[Given], Value]) -> Callable[[Given], Value]:
    def said(value: Given) -> Value:
        try:
            return made(value)
        except BadValueError:
            raise BadValueError(why) from None

    return said


def _numbered(value: object) -> object:
    """The number that a value says, so that 1, 1.0 and '1' meet; else nothing that is in any table."""
    try:
        return ("number", Decimal(number(value) or 0)) if isinstance(value, str | int | float | Decimal) else ()
    except BadValueError:
        return ()


def _bounded(value: int) -> int:
    if not -(1 << 63) <= value < 1 << 63:
        raise BadValueError("is too large")
    return value


def _written(at: datetime) -> str:
    since = at - _ZERO
    ms = (since.days * 86_400 + since.seconds) * 1000 + (since.microseconds + 500) // 1000
    second = datetime.fromtimestamp(ms // 1000, UTC)
    return (
        f"{second:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"
        if second.year >= 1000
        else f"{second.isoformat()[:19]}.{ms % 1000:03}Z"
    )


def _depth(value: str) -> int:
    depth = most = 0
    inside = False
    at = iter(value)
    for each in at:
        if inside:
            if each == "\\":
                next(at, "")
            inside = each != '"'
        elif each == '"':
            inside = True
        elif each in "[{":
            depth += 1
            most = max(most, depth)
        elif each in "]}":
            depth -= 1
    return most

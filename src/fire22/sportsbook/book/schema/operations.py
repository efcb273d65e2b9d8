"""What the operators and functions of an expression do; each takes and gives a `Node`, or values.

NULL is None and makes NULL of what is worked out with it. Raises `BadValueError` where a text is no number.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from fire22.core.outbox import Value
from fire22.sportsbook.book.schema.numbers import BadValueError, number, shown

Result = str | int | Decimal | bytes | None
Row = Sequence[Value]
Node = Callable[[Row], Result]


def column(name: str, places: dict[str, int]) -> Node:
    """The value of a column of the book."""

    def value(row: Row) -> Result:
        found = row[places[name]]
        if not isinstance(found, float):
            return found
        try:
            return number(found)
        except BadValueError as error:
            raise BadValueError(error.why, shown(found), name) from None

    value.__name__ = name
    return value


def column_name(node: Node) -> str:
    """The column whose value a node is; empty where it is worked out."""
    return node.__name__ if node.__qualname__.startswith("column.") else ""


def number_of(value: Result) -> int | Decimal:
    """The number that a value says."""
    if isinstance(value, int | Decimal):
        return value
    made = number(value)
    if made is None:
        raise AssertionError("NULL was looked at before")
    return made


def _operand(node: Node, value: Result) -> int | Decimal:
    """A number; of a column that holds none its name is said."""
    try:
        return number_of(value)
    except BadValueError as error:
        raise BadValueError(error.why, shown(value), column_name(node)) from None


def text_of(value: Result) -> str:
    """A value as text."""
    if isinstance(value, bytes):
        raise BadValueError("is no text", shown(value))
    return str(value)


def is_true(value: Result) -> bool:
    """Whether a condition holds; NULL does not."""
    return value is not None and number_of(value) != 0


def arithmetic(sign: str, left: Node, right: Node) -> Node:
    """`+`, `-`, `*`, `/` or `%` of two values."""

    def worked_out(row: Row) -> Result:
        first, second = left(row), right(row)
        if first is None or second is None:
            return None
        a, b = _operand(left, first), _operand(right, second)
        try:
            match sign:
                case "+":
                    return a + b
                case "-":
                    return a - b
                case "*":
                    return a * b
            if b == 0:
                return None
            return Decimal(a) / b if sign == "/" else Decimal(a) % b
        except InvalidOperation:
            raise BadValueError("is too large", shown(first)) from None

    return worked_out


def joined(left: Node, right: Node) -> Node:
    """`||`."""

    def whole(row: Row) -> Result:
        first, second = left(row), right(row)
        return None if first is None or second is None else text_of(first) + text_of(second)

    return whole


def equal(left: Result, right: Result) -> int | None:
    """A text equals a number if it says that number."""
    if left is None or right is None:
        return None
    numbers = isinstance(left, int | Decimal), isinstance(right, int | Decimal)
    if numbers in ((True, False), (False, True)):
        try:
            return int(number_of(left) == number_of(right))
        except BadValueError:
            return 0
    return int(left == right)


def is_same(left: Result, right: Result) -> bool:
    """`IS`: NULL is the same as NULL alone."""
    return left is right if left is None or right is None else equal(left, right) == 1


def compared(sign: str, left: Node, right: Node) -> Node:
    """A comparison by its sign."""

    def held(row: Row) -> Result:
        first, second = left(row), right(row)
        if first is None or second is None:
            return None
        if sign in ("=", "=="):
            return equal(first, second)
        if sign in ("<>", "!="):
            return int(equal(first, second) == 0)
        if isinstance(first, str) and isinstance(second, str):
            order = (first > second) - (first < second)
        else:
            a, b = _operand(left, first), _operand(right, second)
            order = (a > b) - (a < b)
        return int({"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[sign])

    return held


def both(left: Node, right: Node) -> Node:
    """AND."""

    def held(row: Row) -> Result:
        first = left(row)
        if first is not None and not is_true(first):
            return 0
        second = right(row)
        if second is not None and not is_true(second):
            return 0
        return None if first is None or second is None else 1

    return held


def either(left: Node, right: Node) -> Node:
    """OR."""

    def held(row: Row) -> Result:
        first = left(row)
        if is_true(first):
            return 1
        second = right(row)
        if is_true(second):
            return 1
        return None if first is None or second is None else 0

    return held


def turned(node: Node, negated: bool) -> Node:
    """A condition, or with `negated` its opposite."""
    if not negated:
        return node
    return lambda row: None if (value := node(row)) is None else int(not value)


def like(value: Result, pattern: Result) -> Result:
    """LIKE, in which case does not count."""
    if value is None or pattern is None:
        return None
    parts = ["." if each == "_" else ".*" if each == "%" else re.escape(each) for each in text_of(pattern)]
    return int(re.fullmatch("".join(parts), text_of(value), re.IGNORECASE | re.DOTALL) is not None)


def _absolute(value: Result) -> int | Decimal:
    exact = number_of(value)
    return -exact if exact < 0 else exact


def _rounded(value: Result, places: Result = 0) -> Result:
    digits = int(number_of(places))
    return number_of(value) if not -12 <= digits <= 12 else round(Decimal(number_of(value)) + 0, digits)


def _substr(value: Result, start: Result, length: Result = 1 << 30) -> Result:
    text, first, count = text_of(value), int(number_of(start)), int(number_of(length))
    begin = first - 1 if first > 0 else max(0, len(text) + first)
    return text[begin : begin + count]


def _json_object(*values: Result) -> Result:
    if len(values) % 2:
        raise BadValueError("has a key without a value")
    pairs = zip(values[::2], values[1::2], strict=True)
    made = {text_of(key): float(value) if isinstance(value, Decimal) else value for key, value in pairs}
    return msgspec.json.encode(made).decode()


# name → (least and most arguments, whether NULL makes NULL, what it does).
FUNCTIONS: Final[dict[str, tuple[int, int, bool, Callable[..., Result]]]] = {
    "abs": (1, 1, True, _absolute),
    "round": (1, 2, True, _rounded),
    "min": (2, 99, True, lambda *values: min(map(number_of, values))),
    "max": (2, 99, True, lambda *values: max(map(number_of, values))),
    "coalesce": (2, 99, False, lambda *values: next((each for each in values if each is not None), None)),
    "ifnull": (2, 2, False, lambda value, other: other if value is None else value),
    "nullif": (2, 2, False, lambda value, other: None if equal(value, other) == 1 else value),
    "lower": (1, 1, True, lambda value: text_of(value).lower()),
    "upper": (1, 1, True, lambda value: text_of(value).upper()),
    "trim": (1, 2, True, lambda value, what=" ": text_of(value).strip(text_of(what))),
    "ltrim": (1, 2, True, lambda value, what=" ": text_of(value).lstrip(text_of(what))),
    "rtrim": (1, 2, True, lambda value, what=" ": text_of(value).rstrip(text_of(what))),
    "length": (1, 1, True, lambda value: len(value) if isinstance(value, bytes) else len(text_of(value))),
    "substr": (2, 3, True, _substr),
    "replace": (3, 3, True, lambda value, old, new: text_of(value).replace(text_of(old), text_of(new))),
    "instr": (2, 2, True, lambda value, part: text_of(value).find(text_of(part)) + 1),
    "json_object": (0, 99, False, _json_object),
}

"""The expressions of a mapping: a small part of SQL over one row, worked out exactly and strictly.

    {row}.Payable - {row}.Stake
    iif({row}.Amount > 0, 'deposit', 'withdrawal')
    CASE {row}.Kind WHEN 'S' THEN 'straight' ELSE 'parlay' END
    json_object('revision', {row}.up_to)

There are numbers, texts, NULL, `+ - * / % ||`, comparisons, `IS [NOT]`, `[NOT] IN`, `[NOT] BETWEEN`, `[NOT] LIKE`,
AND, OR, NOT, CASE, CAST and the functions of `FUNCTIONS`. Two things are not as in SQL, since this is about money:
numbers are decimals (12.1 - 5.3 is 6.8, and 1 / 4 is 0.25), and a text that is no number is an error wherever a number
is needed, where SQLite would read '5,50' as 5. NULL is as in SQL: what is worked out with it is NULL.

Rejected: SQLite itself (its operators cannot be made strict), a library (CEL would be another language beside the
mappings that there are, and a binary dependency).
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

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<text>'(?:[^']|'')*')"""
    r"""|\{row\}\.(?:"(?P<quoted>[^"]+)"|(?P<column>\w+))|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<sign>\|\||<=|>=|<>|!=|==|[-+*/%(),<>=]))"""
)
_DEPTH_MAX: Final = 50
_BINDING: Final = {"OR": 1, "AND": 2, "COMPARE": 4, "+": 6, "-": 6, "*": 7, "/": 7, "%": 7, "||": 8}
_COMPARISONS: Final = ("=", "==", "<>", "!=", "<", "<=", ">", ">=")


class ExpressionError(ValueError):
    """A text is no expression; one sentence without its end."""


class Expression:
    """A compiled expression.

    Args:
        text: as the mapping has it.

    Attributes:
        columns: the book's columns that it needs.

    Raises:
        ExpressionError: it is none, or uses what is not there.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: tuple[str, ...] = ()
        self._places: dict[str, int] = {}
        parser = _Parser(text, self._places)
        self._node = parser.whole()
        self.columns = tuple(parser.columns)

    def bind(self, columns: Sequence[str]) -> None:
        """Say in which order a row has the book's columns."""
        self._places.update({name: columns.index(name) for name in self.columns})

    def __call__(self, row: Row) -> Result:
        """The value for a row.

        Raises:
            BadValueError: a text is no number, or a number cannot be worked out.
        """
        return self._node(row)


class _Parser:
    """Reads by binding power: each operator takes what binds tighter than itself."""

    def __init__(self, text: str, places: dict[str, int]) -> None:
        self._places = places
        self.columns: dict[str, None] = {}
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._read(0)
        if self._kind != "end":
            raise ExpressionError(f"{self._text!r} is not expected")
        return node

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def _text(self) -> str:
        return self._tokens[self._at][1]

    def _word(self, *words: str) -> bool:
        """Whether these words come next; then they are taken."""
        found = [(kind, text.upper()) for kind, text in self._tokens[self._at : self._at + len(words)]]
        if found != [("word", word) for word in words]:
            return False
        self._at += len(words)
        return True

    def _sign(self, sign: str) -> bool:
        if (self._kind, self._text) != ("sign", sign):
            return False
        self._at += 1
        return True

    def _need(self, sign: str) -> None:
        if not self._sign(sign):
            raise ExpressionError(f"{sign} is missing before {self._text or 'the end'!r}")

    def _need_word(self, word: str) -> None:
        if not self._word(word):
            raise ExpressionError(f"{word} is missing before {self._text or 'the end'!r}")

    def _read(self, binding: int) -> Node:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise ExpressionError("it is nested too deeply")
        left = self._first()
        while (made := self._next(left, binding)) is not None:
            left = made
        self._depth -= 1
        return left

    def _first(self) -> Node:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            value: Result = Decimal(text) if "." in text else int(text)
            return lambda _: value
        if kind == "text":
            inner = text[1:-1].replace("''", "'")
            return lambda _: inner
        if kind == "column":
            self.columns[text] = None
            return _column(text, self._places)
        if kind == "sign" and text == "(":
            node = self._read(0)
            self._need(")")
            return node
        if kind == "sign" and text in "+-":
            node = self._read(_BINDING["||"])
            return _arithmetic("-" if text == "-" else "+", lambda _: 0, node)
        if kind == "word":
            return self._of_word(text)
        raise ExpressionError(f"{text or 'the end'!r} is not expected")

    def _of_word(self, word: str) -> Node:
        name = word.upper()
        if name == "NULL":
            return lambda _: None
        if name in ("TRUE", "FALSE"):
            truth = int(name == "TRUE")
            return lambda _: truth
        if name == "NOT":
            node = self._read(3)
            return lambda row: None if (value := node(row)) is None else int(not _true(value))
        if name == "CASE":
            return self._case()
        self._need("(")
        if name == "CAST":
            return self._cast()
        arguments: list[Node] = []
        while not self._sign(")"):
            if arguments:
                self._need(",")
            arguments.append(self._read(0))
        return _called(word.lower(), arguments)

    def _case(self) -> Node:
        of = None if self._word("WHEN") else self._read(0)
        if of is not None:
            self._need_word("WHEN")
        whens: list[tuple[Node, Node]] = []
        while True:
            condition = self._read(0)
            self._need_word("THEN")
            whens.append((condition, self._read(0)))
            if not self._word("WHEN"):
                break
        other: Node = self._read(0) if self._word("ELSE") else lambda _: None
        self._need_word("END")

        def chosen(row: Row) -> Result:
            value = None if of is None else of(row)
            for condition, then in whens:
                made = condition(row)
                if (_true(made) if of is None else _equal(value, made)) == 1:
                    return then(row)
            return other(row)

        return chosen

    def _cast(self) -> Node:
        node = self._read(0)
        self._need_word("AS")
        kind = self._text.upper()
        self._at += 1
        self._need(")")
        if kind == "TEXT":
            return lambda row: None if (value := node(row)) is None else _text(value)
        if kind in ("INTEGER", "INT"):
            return lambda row: None if (value := node(row)) is None else int(_number(value))
        if kind in ("REAL", "NUMERIC", "DECIMAL"):
            return lambda row: None if (value := node(row)) is None else _number(value)
        raise ExpressionError(f"there is no CAST AS {kind}")

    def _next(self, left: Node, binding: int) -> Node | None:
        """What an operator makes of what stands before it; None where none binds tighter."""
        kind, text = self._tokens[self._at]
        name = text.upper()
        if kind == "sign" and text in _BINDING and _BINDING[text] > binding:
            self._at += 1
            right = self._read(_BINDING[text])
            return _joined(left, right) if text == "||" else _arithmetic(text, left, right)
        if kind == "sign" and text in _COMPARISONS and binding < _BINDING["COMPARE"]:
            self._at += 1
            return _compared(text, left, self._read(_BINDING["COMPARE"]))
        if kind != "word":
            return None
        if name in ("AND", "OR") and _BINDING[name] > binding:
            self._at += 1
            return (
                _both(left, self._read(_BINDING[name])) if name == "AND" else _either(left, self._read(_BINDING[name]))
            )
        return self._of_comparison(left) if binding < _BINDING["COMPARE"] else None

    def _of_comparison(self, left: Node) -> Node | None:
        if self._word("IS", "NOT"):
            right = self._read(_BINDING["COMPARE"])
            return lambda row: int(not _is(left(row), right(row)))
        if self._word("IS"):
            right = self._read(_BINDING["COMPARE"])
            return lambda row: int(_is(left(row), right(row)))
        negated = self._word("NOT")
        if self._word("IN"):
            return _turned(self._in(left), negated)
        if self._word("BETWEEN"):
            low = self._read(_BINDING["COMPARE"])
            self._need_word("AND")
            high = self._read(_BINDING["COMPARE"])
            return _turned(_both(_compared(">=", left, low), _compared("<=", left, high)), negated)
        if self._word("LIKE"):
            pattern = self._read(_BINDING["COMPARE"])
            return _turned(lambda row: _like(left(row), pattern(row)), negated)
        if negated:
            raise ExpressionError("NOT is not expected")
        return None

    def _in(self, left: Node) -> Node:
        self._need("(")
        options: list[Node] = []
        while not self._sign(")"):
            if options:
                self._need(",")
            options.append(self._read(0))

        def within(row: Row) -> Result:
            value = left(row)
            found = [_equal(value, option(row)) for option in options]
            return 1 if 1 in found else None if None in found else 0

        return within


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"{text[at : at + 20].strip()!r} is not understood")
        kind = str(match.lastgroup)
        found.append(("column" if kind == "quoted" else kind, match[kind]))
        at = match.end()
    return [*found, ("end", "")]


def _column(name: str, places: dict[str, int]) -> Node:
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


def _number(value: Result) -> int | Decimal:
    if isinstance(value, int | Decimal):
        return value
    made = number(value)
    if made is None:
        raise AssertionError("NULL was looked at before")
    return made


def _operand(node: Node, value: Result) -> int | Decimal:
    """A number; of a column that holds none its name is said."""
    try:
        return _number(value)
    except BadValueError as error:
        name = node.__name__ if node.__qualname__.startswith("_column.") else ""
        raise BadValueError(error.why, shown(value), name) from None


def _text(value: Result) -> str:
    if isinstance(value, bytes):
        raise BadValueError("is no text", shown(value))
    return str(value)


def _true(value: Result) -> bool:
    return value is not None and _number(value) != 0


def _arithmetic(sign: str, left: Node, right: Node) -> Node:
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


def _joined(left: Node, right: Node) -> Node:
    def whole(row: Row) -> Result:
        first, second = left(row), right(row)
        return None if first is None or second is None else _text(first) + _text(second)

    return whole


def _equal(left: Result, right: Result) -> int | None:
    """A text equals a number if it says that number."""
    if left is None or right is None:
        return None
    numbers = isinstance(left, int | Decimal), isinstance(right, int | Decimal)
    if numbers in ((True, False), (False, True)):
        try:
            return int(_number(left) == _number(right))
        except BadValueError:
            return 0
    return int(left == right)


def _is(left: Result, right: Result) -> bool:
    return left is right if left is None or right is None else _equal(left, right) == 1


def _compared(sign: str, left: Node, right: Node) -> Node:
    def held(row: Row) -> Result:
        first, second = left(row), right(row)
        if first is None or second is None:
            return None
        if sign in ("=", "=="):
            return _equal(first, second)
        if sign in ("<>", "!="):
            return int(_equal(first, second) == 0)
        if isinstance(first, str) and isinstance(second, str):
            order = (first > second) - (first < second)
        else:
            a, b = _operand(left, first), _operand(right, second)
            order = (a > b) - (a < b)
        return int({"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[sign])

    return held


def _both(left: Node, right: Node) -> Node:
    def held(row: Row) -> Result:
        first = left(row)
        if first is not None and not _true(first):
            return 0
        second = right(row)
        if second is not None and not _true(second):
            return 0
        return None if first is None or second is None else 1

    return held


def _either(left: Node, right: Node) -> Node:
    def held(row: Row) -> Result:
        first = left(row)
        if _true(first):
            return 1
        second = right(row)
        if _true(second):
            return 1
        return None if first is None or second is None else 0

    return held


def _turned(node: Node, negated: bool) -> Node:
    if not negated:
        return node
    return lambda row: None if (value := node(row)) is None else int(not value)


def _like(value: Result, pattern: Result) -> Result:
    if value is None or pattern is None:
        return None
    parts = ["." if each == "_" else ".*" if each == "%" else re.escape(each) for each in _text(pattern)]
    return int(re.fullmatch("".join(parts), _text(value), re.IGNORECASE | re.DOTALL) is not None)


def _absolute(value: Result) -> int | Decimal:
    exact = _number(value)
    return -exact if exact < 0 else exact


def _rounded(value: Result, places: Result = 0) -> Result:
    digits = int(_number(places))
    return _number(value) if not -12 <= digits <= 12 else round(Decimal(_number(value)) + 0, digits)


def _substr(value: Result, start: Result, length: Result = 1 << 30) -> Result:
    text, first, count = _text(value), int(_number(start)), int(_number(length))
    begin = first - 1 if first > 0 else max(0, len(text) + first)
    return text[begin : begin + count]


def _json_object(*values: Result) -> Result:
    if len(values) % 2:
        raise BadValueError("has a key without a value")
    pairs = zip(values[::2], values[1::2], strict=True)
    made = {_text(key): float(value) if isinstance(value, Decimal) else value for key, value in pairs}
    return msgspec.json.encode(made).decode()


# name → (least and most arguments, whether NULL makes NULL, what it does).
FUNCTIONS: Final[dict[str, tuple[int, int, bool, Callable[..., Result]]]] = {
    "abs": (1, 1, True, _absolute),
    "round": (1, 2, True, _rounded),
    "min": (2, 99, True, lambda *values: min(map(_number, values))),
    "max": (2, 99, True, lambda *values: max(map(_number, values))),
    "coalesce": (2, 99, False, lambda *values: next((each for each in values if each is not None), None)),
    "ifnull": (2, 2, False, lambda value, other: other if value is None else value),
    "nullif": (2, 2, False, lambda value, other: None if _equal(value, other) == 1 else value),
    "lower": (1, 1, True, lambda value: _text(value).lower()),
    "upper": (1, 1, True, lambda value: _text(value).upper()),
    "trim": (1, 2, True, lambda value, what=" ": _text(value).strip(_text(what))),
    "ltrim": (1, 2, True, lambda value, what=" ": _text(value).lstrip(_text(what))),
    "rtrim": (1, 2, True, lambda value, what=" ": _text(value).rstrip(_text(what))),
    "length": (1, 1, True, lambda value: len(value) if isinstance(value, bytes) else len(_text(value))),
    "substr": (2, 3, True, _substr),
    "replace": (3, 3, True, lambda value, old, new: _text(value).replace(_text(old), _text(new))),
    "instr": (2, 2, True, lambda value, part: _text(value).find(_text(part)) + 1),
    "json_object": (0, 99, False, _json_object),
}


def _called(name: str, arguments: list[Node]) -> Node:
    if name == "iif" and len(arguments) in (2, 3):
        condition, then = arguments[:2]
        other = arguments[2] if len(arguments) == 3 else lambda _: None
        return lambda row: then(row) if _true(condition(row)) else other(row)
    found = FUNCTIONS.get(name)
    if found is None:
        raise ExpressionError(f"there is no function {name}")
    least, most, strict, does = found
    if not least <= len(arguments) <= most:
        raise ExpressionError(f"{name} takes other arguments")

    def value(row: Row) -> Result:
        made = [argument(row) for argument in arguments]
        if strict and any(each is None for each in made):
            return None
        try:
            return does(*made)
        except BadValueError as error:
            first = arguments[0]
            column = error.column or (first.__name__ if first.__qualname__.startswith("_column.") else "")
            raise BadValueError(error.why, error.value or shown(made[0]), column) from None

    return value

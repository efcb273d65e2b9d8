"""The expressions of a mapping: a small part of SQL over one row, worked out exactly and strictly.

    {row}.Payable - {row}.Stake
    iif({row}.Amount > 0, 'deposit', 'withdrawal')
    CASE {row}.Kind WHEN 'S' THEN 'straight' ELSE 'parlay' END
    json_object('revision', {row}.up_to)

There are numbers, texts, NULL, `+ - * / % ||`, comparisons, `IS [NOT]`, `[NOT] IN`, `[NOT] BETWEEN`, `[NOT] LIKE`,
AND, OR, NOT, CASE, CAST and the functions of `operations.FUNCTIONS`. Two things are not as in SQL, since this is about
money: numbers are decimals (12.1 - 5.3 is 6.8, and 1 / 4 is 0.25), and a text that is no number is an error wherever a
number is needed, where SQLite would read '5,50' as 5. NULL is as in SQL: what is worked out with it is NULL.

Rejected: SQLite itself (its operators cannot be made strict), a library (CEL would be another language beside the
mappings that there are, and a binary dependency).
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from fire22.sportsbook.book.schema.numbers import BadValueError, shown
from fire22.sportsbook.book.schema.operations import (
    FUNCTIONS,
    Node,
    Result,
    Row,
    arithmetic,
    both,
    column,
    column_name,
    compared,
    either,
    equal,
    is_same,
    is_true,
    joined,
    like,
    number_of,
    text_of,
    turned,
)

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
            return column(text, self._places)
        if kind == "sign" and text == "(":
            node = self._read(0)
            self._need(")")
            return node
        if kind == "sign" and text in "+-":
            node = self._read(_BINDING["||"])
            return arithmetic("-" if text == "-" else "+", lambda _: 0, node)
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
            return lambda row: None if (value := node(row)) is None else int(not is_true(value))
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
                if (is_true(made) if of is None else equal(value, made)) == 1:
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
            return lambda row: None if (value := node(row)) is None else text_of(value)
        if kind in ("INTEGER", "INT"):
            return lambda row: None if (value := node(row)) is None else int(number_of(value))
        if kind in ("REAL", "NUMERIC", "DECIMAL"):
            return lambda row: None if (value := node(row)) is None else number_of(value)
        raise ExpressionError(f"there is no CAST AS {kind}")

    def _next(self, left: Node, binding: int) -> Node | None:
        """What an operator makes of what stands before it; None where none binds tighter."""
        kind, text = self._tokens[self._at]
        name = text.upper()
        if kind == "sign" and text in _BINDING and _BINDING[text] > binding:
            self._at += 1
            right = self._read(_BINDING[text])
            return joined(left, right) if text == "||" else arithmetic(text, left, right)
        if kind == "sign" and text in _COMPARISONS and binding < _BINDING["COMPARE"]:
            self._at += 1
            return compared(text, left, self._read(_BINDING["COMPARE"]))
        if kind != "word":
            return None
        if name in ("AND", "OR") and _BINDING[name] > binding:
            self._at += 1
            return both(left, self._read(_BINDING[name])) if name == "AND" else either(left, self._read(_BINDING[name]))
        return self._of_comparison(left) if binding < _BINDING["COMPARE"] else None

    def _of_comparison(self, left: Node) -> Node | None:
        if self._word("IS", "NOT"):
            right = self._read(_BINDING["COMPARE"])
            return lambda row: int(not is_same(left(row), right(row)))
        if self._word("IS"):
            right = self._read(_BINDING["COMPARE"])
            return lambda row: int(is_same(left(row), right(row)))
        negated = self._word("NOT")
        if self._word("IN"):
            return turned(self._in(left), negated)
        if self._word("BETWEEN"):
            low = self._read(_BINDING["COMPARE"])
            self._need_word("AND")
            high = self._read(_BINDING["COMPARE"])
            return turned(both(compared(">=", left, low), compared("<=", left, high)), negated)
        if self._word("LIKE"):
            pattern = self._read(_BINDING["COMPARE"])
            return turned(lambda row: like(left(row), pattern(row)), negated)
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
            found = [equal(value, option(row)) for option in options]
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


def _called(name: str, arguments: list[Node]) -> Node:
    if name == "iif" and len(arguments) in (2, 3):
        condition, then = arguments[:2]
        other = arguments[2] if len(arguments) == 3 else lambda _: None
        return lambda row: then(row) if is_true(condition(row)) else other(row)
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
            name = error.column or column_name(arguments[0])
            raise BadValueError(error.why, error.value or shown(made[0]), name) from None

    return value

"""Odds, exact: fractions until the one rounding at the end.

Odds are decimal everywhere inside: what a stake of 1 returns if it wins, a `Fraction` above 1. American prices are
integers at least 100 away from 0, and +100 is the one name of even money; fractional odds n/m are the profit on 1.

Source: domain rules, "Odds".
"""

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache
from math import isfinite, prod
from typing import Final, Literal, Protocol

from fire22.sportsbook.betting.bounds import ODDS_MAX
from fire22.sportsbook.betting.errors import AmountError
from fire22.sportsbook.betting.money import half_up

AMOUNT_DIGITS_MAX: Final = 17  # places before the point, less one: what 64 bits hold
ODDS_DECIMALS: Final = 6
PRICE_STEP: Final = 5
AMERICAN_MAX: Final = 5000

Notation = Literal["american", "decimal", "fractional"]

# As many digits as bounded odds can need, so that no text costs more to read than it is worth.
_TEXTS: Final[dict[Notation, re.Pattern[str]]] = {
    "american": re.compile(r"[+-]?[0-9]{3,9}"),
    "decimal": re.compile(r"[0-9]{1,7}(\.[0-9]{1,12})?"),
    "fractional": re.compile(r"[0-9]{1,9}/[0-9]{1,9}"),
}


def decimal_odds(american: int) -> Fraction:
    """Decimal odds of an American price: −110 is 21/11.

    Raises:
        AmountError: the price is less than 100 away from 0.
    """
    if abs(american) < 100:
        raise AmountError(f"an American price is at least 100 away from 0: {american}")
    return 1 + (Fraction(american, 100) if american > 0 else Fraction(100, -american))


def as_written(number: float) -> Fraction:
    """A number of a book's row, to the last decimal of its shortest text.

    Raises:
        AmountError: it is beyond every number, as SQLite keeps `9e999`.
    """
    if not isfinite(number):
        raise AmountError(f"a number is finite: {number}")
    return Fraction(repr(float(number)))


def struck_odds(decimal: float, american: int) -> Fraction:
    """The exact decimal odds of a price that a book keeps in both ways.

    The decimal odds are the price; an American one is a way to show it, and mostly rounded: 1.95 is shown as −105,
    which would be 41/21. But six decimals cannot say every American price: where they are that price rounded, as
    1.909091 is −110, they mean it.

    Raises:
        AmountError: the odds are not above 1.
    """
    exact = checked(as_written(decimal))
    if abs(american) >= 100:
        shown = decimal_odds(american)
        if round(shown, ODDS_DECIMALS) == exact:
            return shown
    return exact


def american_odds(odds: Fraction) -> int:
    """The American price nearest to decimal odds; even money is +100.

    Raises:
        AmountError: the odds are not above 1.
    """
    nearest = half_up(american_exact(odds))
    return 100 if nearest == -100 else nearest


def american_exact(odds: Fraction) -> Fraction:
    """The American price of decimal odds, unrounded: 1.95 is −2000/19.

    Raises:
        AmountError: the odds are not above 1.
    """
    profit = checked(odds) - 1
    return profit * 100 if profit >= 1 else -100 / profit


def fractional_odds(odds: Fraction) -> str:
    """Decimal odds as n/m in lowest terms: 21/11 is 10/11, even money 1/1.

    Raises:
        AmountError: the odds are not above 1.
    """
    profit = checked(odds) - 1
    return f"{profit.numerator}/{profit.denominator}"


def checked(odds: Fraction) -> Fraction:
    """The odds themselves.

    Raises:
        AmountError: they are not above 1, as odds must be that pay anything.
    """
    if odds <= 1:
        raise AmountError(f"decimal odds are above 1: {odds}")
    return odds


def parse_odds(text: str, notation: Notation | None = None) -> Fraction:
    """Read odds exactly, as decimal odds.

    Args:
        text: "-110" or "+150" (American), "1.95" (decimal), "10/11" (fractional).
        notation: without it the sign, the point or the stroke tells; a bare whole number could be American or decimal
            and is refused.

    Raises:
        AmountError: the text is no odds of this notation, or they are out of bounds.
    """
    if notation is None:
        notation = _notation(text)
    if not _TEXTS[notation].fullmatch(text):
        raise AmountError(f"not {notation} odds: {text[:20]!r}")
    odds = _READERS[notation](text)
    if not 1 < odds <= ODDS_MAX:
        raise AmountError(f"decimal odds are above 1 and at most {ODDS_MAX:.0f}: {text[:20]!r}")
    return odds


def stored_odds(american: int) -> float:
    """Decimal odds as the book keeps them: rounded to six decimals."""
    return float(round(decimal_odds(american), ODDS_DECIMALS))


def price(probability: float, margin: float) -> int:
    """The American price a book offers for a probability in (0, 1), with its margin, in steps of 5."""
    fair = Fraction(1 / min(max(probability * (1 + margin), 0.01), 0.99)).limit_denominator(10_000)
    raw = american_odds(fair)
    stepped = PRICE_STEP * round(raw / PRICE_STEP)
    if -100 <= stepped < 100:
        return 100
    return max(-AMERICAN_MAX, min(AMERICAN_MAX, stepped))


def profit_minor(risk_minor: int, odds: Fraction) -> int:
    """The profit of a stake at decimal odds if it wins, in minor units, rounded half up once.

    Raises:
        AmountError: the stake is negative or the odds are not above 1.
    """
    if risk_minor < 0:
        raise AmountError(f"a stake is not negative: {risk_minor}")
    return half_up(risk_minor * (checked(odds) - 1))


def to_win_minor(risk_minor: int, prices: Iterable[int]) -> int:
    """The profit of a wager on one or more American prices if all of them win, in minor units.

    Raises:
        AmountError: the stake is negative, a price is none, or there is no price.
    """
    return profit_minor(risk_minor, prod((decimal_odds(one) for one in prices), start=Fraction(1)))


def minor_units(text: str, decimals: int = 2) -> int:
    """An amount written in major units as integer minor units, rounded half up once.

    Raises:
        ValueError: not a finite number, or one that no book can hold.
    """
    try:
        amount = Decimal(text)
    except ArithmeticError:
        raise ValueError(f"not a number: {text[:80]!r}") from None
    if not amount.is_finite():
        raise ValueError(f"not a finite number: {text[:80]!r}")
    if amount.adjusted() + decimals > AMOUNT_DIGITS_MAX:
        raise ValueError(f"too large a number: {text[:20]!r}")
    return int(amount.scaleb(decimals).to_integral_value(ROUND_HALF_UP))


def _notation(text: str) -> Notation:
    if "/" in text:
        return "fractional"
    if text[:1] in ("+", "-"):
        return "american"
    if "." in text:
        return "decimal"
    raise AmountError(f"odds have a sign, a point or a stroke: {text[:20]!r}")


def _fractional(text: str) -> Fraction:
    numerator, _, denominator = text.partition("/")
    if int(denominator) == 0:
        raise AmountError(f"not fractional odds: {text!r}")
    return 1 + Fraction(int(numerator), int(denominator))


_READERS: Final[dict[Notation, Callable[[str], Fraction]]] = {
    "american": lambda text: decimal_odds(int(text)),
    "decimal": Fraction,
    "fractional": _fractional,
}


class HasOdds(Protocol):
    """A leg, as far as its price goes."""

    @property
    def odds(self) -> float:
        """Decimal odds."""


def combined_odds(legs: Sequence[HasOdds]) -> float:
    """The combined decimal odds, rounded to four decimals; 0 without a leg."""
    if not legs:
        return 0.0
    if len(legs) == 1:
        return _rounded(legs[0].odds)
    odds = 1.0
    for leg in legs:
        odds *= leg.odds
    return round(odds, 4)


@lru_cache(maxsize=4096)  # a book has few prices, and rounding one takes longer than the rest of its wager's message
def _rounded(odds: float) -> float:
    return round(odds, 4)

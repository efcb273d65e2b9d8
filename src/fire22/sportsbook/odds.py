"""Odds and money, exact: fractions until the one rounding at the end.

Source: domain rules, "Odds", "Settlement", "Parlay", "Free play".
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import prod
from typing import Final

ODDS_DECIMALS: Final = 6
PRICE_STEP: Final = 5
AMERICAN_MAX: Final = 5000


def decimal_odds(american: int) -> Fraction:
    """Decimal odds of an American price (|price| ≥ 100): −110 is 21/11."""
    if abs(american) < 100:
        raise ValueError(f"an American price is at least 100 away from 0: {american}")
    return 1 + (Fraction(american, 100) if american > 0 else Fraction(100, -american))


def american_odds(odds: Fraction) -> int:
    """The American price nearest to decimal odds > 1; even money is +100."""
    price = half_up((odds - 1) * 100) if odds >= 2 else -half_up(100 / (odds - 1))
    return 100 if price == -100 else price


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


def half_up(amount: Fraction) -> int:
    """Round a non-negative amount to an integer, halves up."""
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


def to_win_minor(risk_minor: int, prices: Iterable[int]) -> int:
    """The profit of a wager on one or more American prices if all of them win, in minor units."""
    return half_up(risk_minor * (prod((decimal_odds(one) for one in prices), start=Fraction(1)) - 1))


def return_minor(risk_minor: int, multipliers: Iterable[Fraction], *, free_play: bool) -> int:
    """What a settled wager returns, in minor units.

    Args:
        risk_minor: the stake.
        multipliers: of each leg: its decimal odds if it won, 1 if it was void, 0 if it lost.
        free_play: only the profit is returned.
    """
    returned = half_up(risk_minor * prod(multipliers, start=Fraction(1)))
    return max(0, returned - risk_minor) if free_play else returned


def minor_units(text: str, decimals: int = 2) -> int:
    """An amount written in major units as integer minor units, rounded half up once.

    Raises:
        ValueError: not a finite number.
    """
    try:
        amount = Decimal(text)
    except ArithmeticError:
        raise ValueError(f"not a number: {text!r}") from None
    if not amount.is_finite():
        raise ValueError(f"not a finite number: {text!r}")
    return int(amount.scaleb(decimals).to_integral_value(ROUND_HALF_UP))

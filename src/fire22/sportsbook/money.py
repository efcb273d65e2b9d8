"""Money: integer minor units inside, a JSON number in major units with two decimals outside, one rounding between."""

from fractions import Fraction


def major(minor: int) -> float:
    """Major units. The nearest double to n/100 prints with at most two decimals, so nothing is lost on the wire."""
    return minor / 100


def half_up(amount: Fraction) -> int:
    """Round to an integer, halves away from zero: what is owed and what is due are rounded alike."""
    size = (2 * abs(amount.numerator) + amount.denominator) // (2 * amount.denominator)
    return size if amount.numerator >= 0 else -size

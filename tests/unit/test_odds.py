"""Odds and money: exact until the one rounding."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fire22.sportsbook import odds

AMERICAN = st.one_of(st.integers(100, 5000), st.integers(-5000, -101))


@pytest.mark.parametrize(("american", "decimal"), [(-110, Fraction(21, 11)), (150, Fraction(5, 2)), (100, Fraction(2))])
def test_american_prices_become_decimal_odds(american: int, decimal: Fraction) -> None:
    """The two usual notations mean the same price."""
    assert odds.decimal_odds(american) == decimal


@given(AMERICAN)
def test_prices_survive_the_round_trip(american: int) -> None:
    """American to decimal and back changes nothing."""
    assert odds.american_odds(odds.decimal_odds(american)) == american


def test_even_money_is_plus_100() -> None:
    """−100 and +100 are one price with one name."""
    assert odds.american_odds(odds.decimal_odds(-100)) == 100


def test_a_price_between_is_refused() -> None:
    """There are no American prices between −100 and +100."""
    with pytest.raises(ValueError, match="at least 100"):
        odds.decimal_odds(50)


def test_to_win_is_exact() -> None:
    """110,000.00 at −110 wins 100,000.00; six rounded decimals would pay a cent too much."""
    assert odds.to_win_minor(11_000_000, [-110]) == 10_000_000


@pytest.mark.parametrize(
    ("risk", "multipliers", "returned"),
    [
        (5000, [Fraction(21, 11), Fraction(5, 2)], 23_864),
        (10_000, [Fraction(2), Fraction(1), Fraction(7, 5)], 28_000),
        (10_000, [Fraction(0), Fraction(2)], 0),
    ],
)
def test_parlays_return_the_product(risk: int, multipliers: list[Fraction], returned: int) -> None:
    """The vectors of the domain rules."""
    assert odds.return_minor(risk, multipliers, free_play=False) == returned


def test_a_free_play_returns_only_its_profit() -> None:
    """The stake of a free play belongs to the book."""
    assert odds.return_minor(1000, [Fraction(5, 2)], free_play=True) == 1500
    assert odds.return_minor(1000, [Fraction(0)], free_play=True) == 0
    assert odds.return_minor(1000, [Fraction(1)], free_play=True) == 0


@pytest.mark.parametrize(("text", "minor"), [("0.53", 53), ("2e3", 200_000), ("1.005", 101), ("-1.5", -150)])
def test_amounts_are_read_exactly(text: str, minor: int) -> None:
    """Recorded amounts never pass through a float."""
    assert odds.minor_units(text) == minor


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "12,50", "abc"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """A text that is no finite number is an error."""
    with pytest.raises(ValueError, match="number"):
        odds.minor_units(text)


@given(st.floats(0.01, 0.99))
def test_an_offered_price_is_a_price(probability: float) -> None:
    """Whatever the probability, the book offers a valid price in steps of five."""
    price = odds.price(probability, 0.045)
    assert abs(price) >= 100
    assert price % 5 == 0
    assert price != -100

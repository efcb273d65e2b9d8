"""Odds and amounts: exact until the one rounding. Vectors of the domain rules, "Odds"."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fire22.core import codes
from fire22.sportsbook.betting import odds
from fire22.sportsbook.betting.errors import AmountError
from fire22.sportsbook.betting.money import half_up

AMERICAN = st.one_of(st.integers(100, 5000), st.integers(-5000, -101))


@pytest.mark.parametrize(
    ("american", "decimal"),
    [
        (-110, Fraction(21, 11)),
        (150, Fraction(5, 2)),
        (100, Fraction(2)),
        (-100, Fraction(2)),
        (-200, Fraction(3, 2)),
        (-2000, Fraction(21, 20)),
    ],
)
def test_american_prices_become_decimal_odds(american: int, decimal: Fraction) -> None:
    """A > 0: A/100 + 1; A < 0: 100/|A| + 1."""
    assert odds.decimal_odds(american) == decimal


@pytest.mark.parametrize(
    ("decimal", "exact", "american"),
    [
        ("2.5", 150, 150),
        ("2", 100, 100),
        ("1.95", Fraction(-2000, 19), -105),
        ("1.5", -200, -200),
        ("2.005", Fraction(201, 2), 101),
        ("1.999", Fraction(-100_000, 999), 100),
    ],
)
def test_decimal_odds_become_american_prices(decimal: str, exact: Fraction, american: int) -> None:
    """d ≥ 2: (d − 1)·100; d < 2: −100/(d − 1); the nearest whole price, and never −100."""
    assert odds.american_exact(Fraction(decimal)) == exact
    assert odds.american_odds(Fraction(decimal)) == american


@given(AMERICAN)
def test_prices_survive_the_round_trip(american: int) -> None:
    """American to decimal and back changes nothing."""
    assert odds.american_odds(odds.decimal_odds(american)) == american


@given(st.fractions(Fraction(101, 100), 1000))
def test_exact_prices_mean_the_same_odds(decimal: Fraction) -> None:
    """Nothing is lost between the notations before a price is rounded."""
    american = odds.american_exact(decimal)
    assert abs(american) >= 100
    assert decimal == 1 + (american / 100 if american > 0 else 100 / -american)


@given(st.fractions(Fraction(101, 100), 1000, max_denominator=100_000))
def test_fractional_odds_survive_the_round_trip(decimal: Fraction) -> None:
    """Decimal to n/m and back is exact."""
    assert odds.parse_odds(odds.fractional_odds(decimal)) == decimal


def test_fractional_odds_are_the_profit() -> None:
    """n/m: d = n/m + 1."""
    assert odds.fractional_odds(odds.decimal_odds(-110)) == "10/11"
    assert odds.fractional_odds(Fraction(2)) == "1/1"
    assert odds.parse_odds("7/2") == Fraction(9, 2)


def test_even_money_is_plus_100() -> None:
    """−100 and +100 are one price with one name."""
    assert odds.american_odds(odds.decimal_odds(-100)) == 100


@pytest.mark.parametrize("american", [0, 50, 99, -99])
def test_a_price_between_is_refused(american: int) -> None:
    """There are no American prices between −100 and +100."""
    with pytest.raises(ValueError, match="at least 100"):
        odds.decimal_odds(american)


@pytest.mark.parametrize("convert", [odds.american_odds, odds.american_exact, odds.fractional_odds, odds.checked])
@pytest.mark.parametrize("decimal", [Fraction(1), Fraction(1, 2), Fraction(0), Fraction(-2)])
def test_odds_that_pay_nothing_are_refused(convert: Callable[[Fraction], object], decimal: Fraction) -> None:
    """Decimal odds are above 1, whatever they are to become."""
    with pytest.raises(AmountError, match="above 1"):
        convert(decimal)


@pytest.mark.parametrize(
    ("text", "notation", "decimal"),
    [
        ("-110", None, Fraction(21, 11)),
        ("+150", None, Fraction(5, 2)),
        ("150", "american", Fraction(5, 2)),
        ("1.95", None, Fraction(39, 20)),
        ("2", "decimal", Fraction(2)),
        ("3.10", None, Fraction(31, 10)),
        ("10/11", None, Fraction(21, 11)),
        ("4/2", "fractional", Fraction(3)),
        ("1000000", "decimal", Fraction(1_000_000)),
    ],
)
def test_odds_are_read_exactly(text: str, notation: odds.Notation | None, decimal: Fraction) -> None:
    """What a trader types never passes through a float."""
    assert odds.parse_odds(text, notation) == decimal


@pytest.mark.parametrize(
    ("text", "notation"),
    [
        ("", None), ("2", None), ("150", None), ("evens", None), ("+99", None), ("-1.5", None), ("+1000000000", None),
        ("+100000000", None), ("1.0", None), ("0.5", None), ("1.", None), (".5", None), ("1.95 ", None), ("1,95", None),
        ("1e3", "decimal"), ("1000000.1", None), ("NaN", "decimal"), ("٢.٥", None), ("0/1", None), ("1/0", None),
        ("-1/2", None), ("1/2/3", None), ("1.5/2", None), ("9" * 5000, "decimal"), ("1/" + "9" * 5000, None),
        ("1.95", "american"), ("-110", "decimal"), ("+150", "fractional"), ("50", "american"),
    ],
)  # fmt: skip
def test_what_is_no_odds_is_refused(text: str, notation: odds.Notation | None) -> None:
    """A text that is no odds, or ambiguous, is a coded error that quotes no more than the beginning of it."""
    with pytest.raises(AmountError) as caught:
        odds.parse_odds(text, notation)
    assert isinstance(caught.value, ValueError)
    assert caught.value.code is codes.EVENT_INVALID
    assert len(caught.value.message) < 100


def test_to_win_is_exact() -> None:
    """110,000.00 at −110 wins 100,000.00; six rounded decimals would pay a cent too much."""
    assert odds.to_win_minor(11_000_000, [-110]) == 10_000_000


def test_to_win_of_a_parlay() -> None:
    """50.00 on −110 and +150 returns 238.64."""
    assert odds.to_win_minor(5000, [-110, 150]) == 23_864 - 5000


@pytest.mark.parametrize(("risk", "decimal", "profit"), [(1, "1.5", 1), (3, "1.5", 2), (1, "1.49", 0), (0, "2", 0)])
def test_a_profit_is_rounded_half_up_once(risk: int, decimal: str, profit: int) -> None:
    """Half a cent is the customer's."""
    assert odds.profit_minor(risk, Fraction(decimal)) == profit


@pytest.mark.parametrize(("risk", "prices"), [(-1, [100]), (100, []), (100, [-110, 0])])
def test_a_wager_that_is_none_wins_nothing(risk: int, prices: list[int]) -> None:
    """A negative stake, or no price, is an error instead of a profit."""
    with pytest.raises(AmountError):
        odds.to_win_minor(risk, prices)


@pytest.mark.parametrize(
    ("amount", "rounded"), [("0.5", 1), ("-0.5", -1), ("1.5", 2), ("-1.5", -2), ("2.49", 2), ("-2.49", -2), ("0", 0)]
)
def test_halves_are_rounded_away_from_zero(amount: str, rounded: int) -> None:
    """What an agent owes is rounded as what an agent is due."""
    assert half_up(Fraction(amount)) == rounded


@pytest.mark.parametrize(("text", "minor"), [("0.53", 53), ("2e3", 200_000), ("1.005", 101), ("-1.5", -150)])
def test_amounts_are_read_exactly(text: str, minor: int) -> None:
    """Recorded amounts never pass through a float."""
    assert odds.minor_units(text) == minor


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "12,50", "abc", "1e999999", "9" * 5000])
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

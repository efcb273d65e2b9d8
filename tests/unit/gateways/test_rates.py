"""What a sender may cost in a time."""

import random

import pytest

from fire22.core.errors import RequestError
from fire22.gateways.rates import FULL_KEPT_MAX, LimitsConfig, Payer, Rates
from tests.support.seeds import seeds

LIMITS = LimitsConfig(
    connection_units_per_s=10, user_units_per_s=20, address_units_per_s=0, scope_units_per_s=100, burst_s=5
)
ANN = Payer("1", "staff:ann", "10.0.0.1", "/M1")


def take(rates: Rates, payer: Payer, units: float, now_s: float) -> float:
    """Charge it; 0, or the time to wait."""
    try:
        rates.take(payer, units, now_s)
    except RequestError as error:
        assert error.code.name == "rate_limited"
        assert error.retry_after_s is not None
        return error.retry_after_s
    return 0.0


def test_a_burst_and_then_the_rate() -> None:
    """Who has been quiet may use five seconds' worth at once; then one waits until there is enough again."""
    rates = Rates(LIMITS)
    assert take(rates, ANN, 50, 0) == 0
    assert take(rates, ANN, 1, 0) == pytest.approx(0.1)
    assert take(rates, ANN, 1, 0.1) == 0


def test_all_or_nothing() -> None:
    """What one limit refuses is charged to none of the others."""
    rates = Rates(LIMITS)
    assert take(rates, ANN, 50, 0) == 0
    for _ in range(1_000):
        assert take(rates, ANN, 1, 0) > 0
    assert take(rates, Payer("2", "staff:ann", "", "/M1"), 50, 0) == 0
    assert take(rates, Payer("3", "staff:ann", "", "/M1"), 1, 0) == pytest.approx(0.05)
    assert take(rates, Payer("4", "staff:bob", "", "/M1"), 50, 0) == 0


def test_a_request_that_costs_more_than_all() -> None:
    """It is let through for who has used nothing, and then waited for."""
    rates = Rates(LIMITS)
    assert take(rates, ANN, 80, 0) == 0
    assert take(rates, ANN, 1, 0) == pytest.approx(3.1)


def test_what_was_not_estimated_is_charged_afterwards() -> None:
    """An answer that cost much delays the next request, and what is left is said."""
    rates = Rates(LIMITS)
    assert take(rates, ANN, 1, 0) == 0
    rates.settle(ANN, 59, 0)
    left = rates.left(ANN, 0)
    assert left is not None
    assert (left.name, left.units, left.units_max, left.reset_s) == ("connection", 0, 50, 6)
    assert take(rates, ANN, 1, 0) == pytest.approx(1.1)


def test_full_buckets_are_forgotten() -> None:
    """A crowd of addresses or users that is gone leaves nothing behind."""
    rates = Rates(LIMITS)
    for number in range(3 * FULL_KEPT_MAX):
        rates.take(Payer(user=str(number)), 1, number)
    assert len(rates) <= FULL_KEPT_MAX + 1


@seeds(5, 200)
def test_never_more_than_burst_and_rate(seed: int) -> None:
    """Whatever is asked and when, a sender gets no more than a burst and what its rate gives since."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    rates, now_s, used = Rates(LIMITS), 0.0, 0.0
    for _ in range(2_000):
        now_s += chance.expovariate(15)
        units = chance.choice((1, 1, 2, 5))
        wait_s = take(rates, ANN, units, now_s)
        if wait_s and chance.random() < 0.1:
            now_s += wait_s
            assert take(rates, ANN, units, now_s) == 0, "who waits for `retryAfter` is served"
            used += units
        elif not wait_s:
            used += units
        assert used <= 50 + 10 * now_s + 0.1

"""What the risk rules know of the course of a price."""

from fire22.sportsbook.risk.prices import PriceChange, PriceHistory


def test_the_price_at_a_time() -> None:
    """A change holds until its time; after the last one the price is the one of now, which the course does not know."""
    course = PriceHistory(30, [PriceChange(10, 2.0), PriceChange(30, 1.9)])
    assert [course.before(at_ms) for at_ms in (0, 9, 10, 29, 30)] == [2.0, 2.0, 1.9, 1.9, None]

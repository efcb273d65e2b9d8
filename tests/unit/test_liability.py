"""Liability, with the test vectors of the domain rules (section 3)."""

from fire22.sportsbook.liability import Market


def market(*wagers: tuple[str, int, int]) -> Market:
    """A market with wagers of (selection, cash risk, to win)."""
    found = Market()
    for selection, risk, to_win in wagers:
        found.add(selection, risk, to_win, 1)
    return found


def results(market: Market, outcomes: str) -> list[int]:
    """What the book wins on each outcome."""
    return [market.risk - market.paid.get(outcome, 0) for outcome in outcomes]


def test_a_two_way_market() -> None:
    """A 1100 to win 1000, B 550 to win 500: the book loses 450 if A wins."""
    two_way = market(("A", 1100, 1000), ("B", 550, 500))
    assert results(two_way, "AB") == [-450, 600]
    assert two_way.liability == 450


def test_a_three_way_market() -> None:
    """H 100 at 2.5, D 50 at 3.2, A 80 at 3.0: -20, +70, -10."""
    three_way = market(("H", 100, 150), ("D", 50, 110), ("A", 80, 160))
    assert results(three_way, "HDA") == [-20, 70, -10]
    assert three_way.liability == 20


def test_a_total() -> None:
    """Over 110 to win 100, under 220 to win 200; a push gives everything back."""
    total = market(("over", 110, 100), ("under", 220, 200))
    assert [total.risk - total.paid[side] for side in ("over", "under")] == [120, -90]
    assert total.liability == 90


def test_a_book_that_cannot_lose_has_no_liability() -> None:
    """Balanced action at a margin wins on every outcome, and a push costs nothing."""
    assert market(("A", 110, 100), ("B", 110, 100)).liability == 0
    assert market().liability == 0


def test_a_free_play_loses_the_book_its_profit_and_wins_it_nothing() -> None:
    """The stake of a free play is not the customer's."""
    assert market(("A", 0, 100)).liability == 100
    assert market(("A", 0, 100), ("B", 90, 80)).liability == 80
    assert results(market(("A", 0, 100), ("B", 90, 80)), "AB") == [-10, -80]
    assert market(("A", 0, 100), ("A", 110, 100)).liability == 200


def test_what_is_taken_away_was_never_there() -> None:
    """A settled or cancelled wager leaves no trace in the market."""
    one = market(("A", 1100, 1000), ("B", 550, 500))
    assert one.add("A", 1100, 1000, -1) == 500 - 450
    assert one.liability == 500
    assert one.add("B", 550, 500, -1) == -500
    assert (one.risk, one.paid, one.liability) == (0, {}, 0)

"""Settlement, with the test vectors of the domain rules ("Settlement", "Parlay", "Free play")."""

from fractions import Fraction

import pytest

from fire22.sportsbook.betting import payoff
from fire22.sportsbook.betting.errors import AmountError, StateError
from fire22.sportsbook.betting.odds import decimal_odds
from fire22.sportsbook.betting.settlement import (
    HALF,
    HALF_LOSS,
    HALF_WIN,
    LOSS,
    PUSH,
    RESULTS,
    WIN,
    GradedLeg,
    LegResult,
    Posting,
    Settlement,
    cash_risk_minor,
    customer_profit_minor,
    dead_heat_share,
    multiplier,
    post,
)
from tests.support.slips import dead_heat, settle

AT_195 = Fraction("1.95")


def leg(odds: str | int, result: LegResult | None) -> GradedLeg:
    """A leg at decimal odds as text, or at an American price."""
    return GradedLeg(decimal_odds(odds) if isinstance(odds, int) else Fraction(odds), result)


@pytest.mark.parametrize(
    ("result", "returned"),
    [
        ("win", 19_500),
        ("loss", 0),
        ("push", 10_000),
        ("void", 10_000),
        ("cancelled", 10_000),
        ("half_win", 14_750),
        ("half_loss", 5_000),
    ],
)
def test_a_straight_wager(result: str, returned: int) -> None:
    """The table of the domain rules: what 100.00 at 1.95 returns."""
    settled = settle([GradedLeg(AT_195, RESULTS[result])], 10_000)
    assert (settled.return_minor, settled.profit_minor) == (returned, returned - 10_000)
    assert settled.result == ("push" if result in ("void", "cancelled") else result)
    assert settled.revision == 1


@pytest.mark.parametrize(
    ("result", "factor"),
    [(WIN, AT_195), (LOSS, 0), (PUSH, 1), (HALF_WIN, Fraction("1.475")), (HALF_LOSS, HALF)],
)
def test_a_leg_multiplies_the_stake(result: LegResult, factor: Fraction) -> None:
    """v + (1 − v)·r·h·d, unrounded."""
    assert multiplier(AT_195, result) == factor


def test_a_parlay_with_a_push_and_a_half_win() -> None:
    """2.0 won, a push, 1.8 half won: 100.00 returns 280.00, and two teams are left."""
    settled = settle([leg("2.0", WIN), leg("1.91", PUSH), leg("1.8", HALF_WIN)], 10_000)
    assert settled == Settlement("win", 2, 28_000, 18_000)


def test_a_parlay_at_american_prices() -> None:
    """50.00 on −110 and +150 returns 238.64."""
    assert settle([leg(-110, WIN), leg(150, WIN)], 5_000) == Settlement("win", 2, 23_864, 18_864)


@pytest.mark.parametrize(
    ("legs", "result", "teams"),
    [
        ([leg("2.0", LOSS), leg("2.0", WIN)], "loss", 2),
        ([leg("2.0", LOSS), leg("2.0", None)], "loss", 1),
        ([leg("2.0", PUSH), leg("2.0", PUSH)], "push", 0),
        ([leg("2.0", PUSH), leg("2.0", HALF_LOSS)], "half_loss", 1),
        ([leg("2.0", PUSH), leg("2.0", WIN)], "win", 1),
        ([leg("2.0", WIN), leg("1.5", HALF_LOSS)], "push", 2),
        ([leg("1.5", WIN), leg("1.5", HALF_LOSS)], "loss", 2),
        ([leg("3.0", WIN), leg("1.5", HALF_LOSS)], "win", 2),
    ],
)
def test_the_word_for_a_parlay(legs: list[GradedLeg], result: str, teams: int) -> None:
    """One leg that counts decides alone; several are won, lost or even by what became of the stake."""
    settled = settle(legs, 1_000)
    assert (settled.result, settled.teams) == (result, teams)
    profit = settled.profit_minor
    assert ("win" if profit > 0 else "push" if profit == 0 else "loss") == result.removeprefix("half_")


def test_a_parlay_is_rounded_once() -> None:
    """Three legs at −110 on 0.33: rounding each leg would lose a cent."""
    assert settle([leg(-110, WIN)] * 3, 33).return_minor == 230
    each = 33
    for _ in range(3):
        each = settle([leg(-110, WIN)], each).return_minor
    assert each == 229


@pytest.mark.parametrize(
    ("sharing", "places", "returned"), [(2, 1, 20_000), (3, 1, 13_333), (3, 2, 26_667), (2, 2, 40_000), (1, 3, 40_000)]
)
def test_a_dead_heat_divides_the_stake(sharing: int, places: int, returned: int) -> None:
    """100.00 at 4.0: the part of the stake that has a place wins at full odds, the rest is lost."""
    settled = settle([GradedLeg(Fraction(4), dead_heat(sharing, places))], 10_000)
    assert settled.return_minor == returned
    assert settled.result == ("win" if sharing <= places else "dead_heat")


@pytest.mark.parametrize(
    ("number", "share"),
    [
        (0.5, "1/2"), (0.333333, "1/3"), (1 / 3, "1/3"), (0.142857, "1/7"), (0.0005, "1/2000"), (1, "1"), (0, "0"),
        (0.333334, "333334/1000000"),
    ],
)  # fmt: skip
def test_the_share_that_a_number_means(number: float, share: str) -> None:
    """That of a few who are tied, where it is that to six decimals; otherwise what is written."""
    assert dead_heat_share(number) == Fraction(share)


@pytest.mark.parametrize(
    ("result", "returned"),
    [("win", 9_500), ("loss", 0), ("push", 0), ("half_win", 4_750), ("half_loss", 0)],
)
def test_a_free_play_returns_only_its_profit(result: str, returned: int) -> None:
    """The stake of a free play belongs to the book: a loss earns the book nothing, and the customer loses nothing."""
    settled = settle([GradedLeg(AT_195, RESULTS[result])], 10_000, free_play=True)
    assert (settled.return_minor, settled.profit_minor) == (returned, returned)


def test_a_free_play_parlay() -> None:
    """A parlay is free as a straight is."""
    assert settle([leg(-110, WIN), leg(150, WIN)], 5_000, free_play=True).return_minor == 18_864


@pytest.mark.parametrize(
    ("results", "decided"),
    [
        ([None], False),
        ([WIN, None], False),
        ([PUSH, None], False),
        ([HALF_LOSS, None], False),
        ([LOSS, None], True),
        ([WIN, PUSH], True),
    ],
)
def test_a_wager_is_decided_by_a_loss_or_by_all(results: list[LegResult | None], decided: bool) -> None:
    """A wager is settled as soon as nothing can change it, and no sooner."""
    legs = [GradedLeg(AT_195, result) for result in results]
    assert (payoff.returned(payoff.Bet(tuple(legs), 100)) is not None) is decided
    if not decided:
        with pytest.raises(StateError, match="no result"):
            settle(legs, 100)


def test_the_first_settlement_posts_all_of_it() -> None:
    """A customer who wins 95.00 is credited with it, and the book earns as much less."""
    won = settle([GradedLeg(AT_195, WIN)], 10_000)
    assert post(None, won) == Posting(won, 9_500, -9_500)


def test_settling_again_posts_the_difference() -> None:
    """From won to lost takes the profit and the stake; the revision rises."""
    won, lost = (settle([GradedLeg(AT_195, result)], 10_000) for result in (WIN, LOSS))
    again = post(won, lost)
    assert again == Posting(Settlement("loss", 1, 0, -10_000, 2), -19_500, 19_500)
    back = post(again.settlement, won)
    assert (back.settlement.revision, back.balance_minor) == (3, 19_500)


def test_the_same_settlement_twice_posts_nothing() -> None:
    """Feeds often send two settlements for an outcome: the second changes neither money nor revision."""
    lost = post(None, settle([GradedLeg(AT_195, LOSS)], 10_000)).settlement
    assert post(lost, settle([GradedLeg(AT_195, LOSS)], 10_000)) == Posting(lost, 0, 0)


def test_a_free_play_settled_again() -> None:
    """Correcting a won free play to a push takes back the profit and no stake."""
    won, pushed = (settle([GradedLeg(AT_195, result)], 10_000, free_play=True) for result in (WIN, PUSH))
    assert post(won, pushed).balance_minor == -9_500


def test_a_free_play_risks_no_cash() -> None:
    """Handle, liability and revenue count only what is the customer's own."""
    assert (cash_risk_minor(500, free_play=False), cash_risk_minor(500, free_play=True)) == (500, 0)
    assert customer_profit_minor(500, 0, free_play=False) == -500
    assert customer_profit_minor(500, 0, free_play=True) == 0


@pytest.mark.parametrize("void", [Fraction(-1, 2), Fraction(1, 4), Fraction(3, 2)])
def test_a_stake_is_void_in_halves(void: Fraction) -> None:
    """Any other void factor is an error of the feed."""
    with pytest.raises(AmountError, match="void"):
        LegResult(won=True, void=void)


@pytest.mark.parametrize("share", [Fraction(0), Fraction(-1), Fraction(3, 2)])
def test_a_dead_heat_leaves_a_share(share: Fraction) -> None:
    """Nobody wins more than the whole stake, and a share of nothing is no win."""
    with pytest.raises(AmountError, match="dead heat"):
        LegResult(won=True, dead_heat=share)


def test_what_is_no_wager_is_refused() -> None:
    """No leg, a negative stake, and odds that pay nothing are errors."""
    with pytest.raises(AmountError, match="stake"):
        settle([], 100)
    with pytest.raises(AmountError, match="stake"):
        settle([GradedLeg(AT_195, WIN)], -1)
    with pytest.raises(AmountError, match="above 1"):
        GradedLeg(Fraction(1))

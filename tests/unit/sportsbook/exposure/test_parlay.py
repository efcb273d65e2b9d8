"""What a wager of several legs can still pay as its legs get results."""

from fire22.sportsbook.betting.terms import Terms
from fire22.sportsbook.exposure.parlay import Parlay, Results, certain, graded, results_of
from fire22.sportsbook.registry.open_wager import OpenWager, StruckLeg

LEGS = (StruckLeg("m1", "a", 2.0), StruckLeg("m2", "b", 1.8), StruckLeg("m3", "c", 1.5))


def wager(
    *legs: StruckLeg, risk: int = 10_000, to_win: int = 44_000, free_play: bool = False, agreed: bool = False
) -> OpenWager:
    """An open wager of 100.00."""
    cash = 0 if free_play else risk
    terms = Terms(agreed=True) if agreed else None
    return OpenWager("w1", 1, "C1", "A1", "/M1", "parlay", risk, cash, to_win, 0, 1, "web", "", legs or LEGS, terms)


def after(**results: tuple[int, float, float]) -> dict[str, Results]:
    """The results of markets, whose one selection is known by the market."""
    names = {leg.market_id: leg.selection_id for leg in LEGS}
    return {market: results_of([(names[market], *each)]) for market, each in results.items()}


def rest(open: OpenWager, results: dict[str, Results]) -> Parlay:
    """The wager, which is not lost."""
    found = graded(open, results)
    assert found is not None
    return found


def test_a_leg_that_has_won_rolls_on() -> None:
    """The stake rolls into the remaining odds, and what the wager pays at most stays what it was struck for."""
    left = rest(wager(), after(m1=(1, 0, 1)))
    assert left.profit == 44_000
    assert left.markets == ("m2", "m3")
    assert left.pay(0b01) == 30_000  # m2 void: 100 at 2.0 and 1.5


def test_a_lost_leg_ends_it() -> None:
    """Nothing is left to lose on it."""
    assert graded(wager(), after(m2=(0, 0, 1))) is None


def test_other_results_multiply_as_in_settlement() -> None:
    """100 at 2.0 won, void, 1.8 half won returns 280, as in the domain rules; half lost, it is half of that."""
    won_void = after(m1=(1, 0, 1), m3=(0, 1, 1))
    assert rest(wager(), won_void).profit == 26_000
    assert rest(wager(), won_void | after(m2=(1, 0.5, 1))).profit == 18_000
    assert rest(wager(), after(m1=(0, 0.5, 1))).pay(0) == 13_500
    assert rest(wager(), after(m1=(1, 0, 0.5))).profit == 10_000 * 27 // 10 - 10_000


def test_it_never_pays_more_than_it_was_struck_for() -> None:
    """A payout table below the product of the odds holds also after a void leg."""
    assert rest(wager(to_win=20_000), after(m3=(0, 1, 1))).profit == 20_000


def test_a_free_play_pays_its_profit_only() -> None:
    """A loss earns the book nothing, a half lost leg does not either."""
    free = wager(free_play=True)
    assert (rest(free, {}).cash, rest(free, {}).pay(0)) == (0, 44_000)
    assert rest(free, after(m1=(0, 0.5, 1), m2=(0, 1, 1), m3=(0, 1, 1))).profit == 0


def test_without_a_result_for_its_selection_a_leg_is_open() -> None:
    """A market may be told in parts."""
    assert rest(wager(), {"m1": results_of([("another", 1, 0, 1)])}).markets == ("m1", "m2", "m3")


def test_what_a_straight_wager_gives_is_certain_after_its_result() -> None:
    """To the cent what settlement gives; what it was struck for where it has won whole."""
    straight = wager(StruckLeg("m1", "a", 1.95), to_win=9_500)
    assert certain(straight, {}) is None
    assert certain(straight, after(m1=(1, 0, 1))) == 9_500
    assert certain(straight, after(m1=(0, 0, 1))) == -10_000
    assert certain(straight, after(m1=(0, 1, 1))) == 0
    assert certain(straight, after(m1=(1, 0.5, 1))) == 4_750
    assert certain(straight, after(m1=(0, 0.5, 1))) == -5_000
    assert certain(wager(StruckLeg("m1", "a", 1.95), free_play=True), after(m1=(0, 0, 1))) == 0


def test_a_dead_heat_leaves_exactly_its_share() -> None:
    """A two-thousandth of 100.00 at 1.95 returns 0.10 and not twice as much."""
    straight = wager(StruckLeg("m1", "a", 1.95), to_win=9_500)
    assert certain(straight, after(m1=(1, 0, 0.0005))) == 10 - 10_000


def test_an_agreed_amount_is_what_a_half_win_is_half_of() -> None:
    """100.00 at 1.9 that was agreed to win 150.00 gives 75.00 half won, and a quarter of 150.00 less after a tie."""
    straight = wager(StruckLeg("m1", "a", 1.9), to_win=15_000, agreed=True)
    assert certain(straight, after(m1=(1, 0.5, 1))) == 7_500
    assert certain(straight, after(m1=(1, 0, 0.5))) == 2_500
    less = wager(StruckLeg("m1", "a", 1.9), to_win=6_000, agreed=True)
    assert certain(less, after(m1=(1, 0.5, 1))) == 3_000


def test_where_two_amounts_are_disputed_the_greater_counts() -> None:
    """Settlement refuses 45.00 or 75.00 until somebody says which; until then the book may lose 75.00."""
    assert certain(wager(StruckLeg("m1", "a", 1.9), to_win=15_000), after(m1=(1, 0.5, 1))) == 7_500
    assert certain(wager(StruckLeg("m1", "a", 1.9), to_win=6_000), after(m1=(1, 0.5, 1))) == 4_500


def test_an_agreed_parlay_wins_its_share_of_the_amount() -> None:
    """100.00 to win 880.00 where the prices say 440.00 wins twice what its prices say after a void leg, too."""
    agreed = wager(to_win=88_000, agreed=True)
    assert rest(agreed, {}).pay(0b001) == 10_000 + 2 * 17_000  # m1 void: 1.8 × 1.5
    assert rest(agreed, after(m1=(0, 1, 1))).profit == 2 * 17_000
    assert rest(agreed, after(m1=(1, 0.5, 1))).profit == 2 * 30_500
    less = wager(to_win=22_000, agreed=True)
    assert rest(less, after(m1=(0, 1, 1))).profit == 17_000 // 2
    assert rest(wager(to_win=22_000), after(m1=(0, 1, 1))).profit == 17_000

"""Settlement against a slow oracle: the parts of the stake are carried from leg to leg as decimals."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from fire22.sportsbook.betting.settlement import (
    HALF_LOSS,
    HALF_WIN,
    LOSS,
    PUSH,
    WIN,
    GradedLeg,
    LegResult,
    Settlement,
    post,
)
from tests.support.slips import dead_heat, settle

CENTS = st.integers(101, 2_000)
RESULT = st.one_of(
    st.sampled_from([WIN, LOSS, PUSH, HALF_WIN, HALF_LOSS]),
    st.builds(dead_heat, st.integers(1, 5), st.integers(1, 3)),
)
LEG = st.builds(lambda cents, result: GradedLeg(Fraction(cents, 100), result), CENTS, RESULT)
LEGS = st.lists(LEG, min_size=1, max_size=6)
RISK = st.integers(0, 10**9)


def oracle(legs: list[GradedLeg], risk_minor: int) -> int:
    """What a stake returns: of each leg the void part goes on as it is, the part in play wins or is lost."""
    with localcontext(prec=200):
        stake = Decimal(risk_minor)
        divisor = Decimal(1)  # dead heats are divided last, so that the digits stay exact
        for leg in legs:
            assert leg.result is not None
            share = leg.result.dead_heat
            odds = Decimal(leg.odds.numerator) / leg.odds.denominator
            void = stake * Decimal(str(float(leg.result.void)))
            won = (stake - void) * odds * share.numerator if leg.result.won else Decimal(0)
            stake = void * share.denominator + won
            divisor *= share.denominator
        whole, rest = divmod(2 * stake + divisor, 2 * divisor)
        assert 0 <= rest < 2 * divisor
        return int(whole)


@given(legs=LEGS, risk=RISK)
def test_the_return_is_the_oracles(legs: list[GradedLeg], risk: int) -> None:
    """A customer gets what each part of the stake earns, to the cent."""
    settled = settle(legs, risk)
    assert settled.return_minor == oracle(legs, risk)
    assert settled.profit_minor == settled.return_minor - risk
    assert settled.revision == 1


@given(cents=CENTS, risk=RISK)
def test_a_won_straight_is_stake_times_odds(cents: int, risk: int) -> None:
    """The schoolbook product, rounded by the decimal module."""
    product = Decimal(risk) * cents / 100
    expected = int(product.quantize(Decimal(1), ROUND_HALF_UP))
    assert settle([GradedLeg(Fraction(cents, 100), WIN)], risk).return_minor == expected


@given(legs=LEGS, odds=CENTS, risk=RISK, place=st.integers(0, 6), free_play=st.booleans())
def test_a_void_leg_drops_out(legs: list[GradedLeg], odds: int, risk: int, place: int, free_play: bool) -> None:
    """A parlay with a void leg is the parlay without it, word, teams and money."""
    longer = [*legs[:place], GradedLeg(Fraction(odds, 100), PUSH), *legs[place:]]
    assert settle(longer, risk, free_play=free_play) == settle(legs, risk, free_play=free_play)


@given(leg=LEG, others=st.lists(CENTS, max_size=4), risk=RISK, free_play=st.booleans())
def test_a_parlay_of_one_leg_is_a_straight(leg: GradedLeg, others: list[int], risk: int, free_play: bool) -> None:
    """Where all other legs are void, what is left is a straight wager on the one."""
    void = [GradedLeg(Fraction(cents, 100), PUSH) for cents in others]
    assert settle([*void, leg], risk, free_play=free_play) == settle([leg], risk, free_play=free_play)


@given(legs=LEGS, risk=RISK)
def test_the_order_of_legs_does_not_matter(legs: list[GradedLeg], risk: int) -> None:
    """A parlay is a set of legs."""
    assert settle(legs[::-1], risk) == settle(legs, risk)


@given(legs=LEGS, risk=RISK)
def test_a_loss_cannot_be_undone_by_later_legs(legs: list[GradedLeg], risk: int) -> None:
    """Once a leg has lost, the others need no result."""
    lost = GradedLeg(Fraction(2), LOSS)
    opened = [GradedLeg(leg.odds) for leg in legs]
    settled = settle([*opened, lost], risk)
    assert (settled.result, settled.return_minor) == ("loss", 0)
    assert settle([*legs, lost], risk).return_minor == 0


@given(legs=LEGS, risk=RISK)
def test_a_free_play_is_never_worth_more(legs: list[GradedLeg], risk: int) -> None:
    """A free play pays the profit of the same cash wager, and never takes anything."""
    cash, free = settle(legs, risk), settle(legs, risk, free_play=True)
    assert free.return_minor == free.profit_minor == max(0, cash.profit_minor)


@given(
    results=st.lists(st.lists(RESULT, min_size=3, max_size=3), min_size=1, max_size=6),
    risk=RISK,
    free_play=st.booleans(),
)
def test_resettlements_add_up_to_the_last(results: list[list[LegResult]], risk: int, free_play: bool) -> None:
    """However often a wager is settled again, balance and revenue have moved by its last settlement."""
    latest: Settlement | None = None
    balance = revenue = changes = 0
    for row in results:
        settled = settle(
            [GradedLeg(Fraction(odds), result) for odds, result in zip((2, 3, 4), row, strict=True)], risk,
            free_play=free_play,
        )  # fmt: skip
        for _ in range(2):  # a feed says it twice
            before = latest
            posting = post(latest, settled)
            latest = posting.settlement
            balance += posting.balance_minor
            revenue += posting.revenue_minor
            changes += latest != before
            assert latest.revision == changes
    assert latest is not None
    assert balance == latest.profit_minor == -revenue

"""What agents earn, with the test vectors of the domain rules ("Agent commission")."""

from fractions import Fraction

import pytest

from fire22.sportsbook.accounting.commission_plans import (
    AgentWeek,
    PerHead,
    Plan,
    Profit,
    RateBracket,
    RedFigure,
    ReverseRedFigure,
    Split,
    Tiered,
    Turnover,
    WeekFigures,
    cascade,
    close_week,
)
from fire22.sportsbook.betting.errors import AmountError

FIFTH = Fraction(1, 5)
WEEKS = (-500_000, 300_000, 400_000)  # the weeks of the domain rules, in minor units
TIERS = Tiered(
    (RateBracket(0, Fraction(1, 10)), RateBracket(100_000, Fraction(1, 5)), RateBracket(500_000, Fraction(3, 10)))
)


def weeks(plan: Plan) -> tuple[list[int], list[int]]:
    """Commission and make-up after each of the weeks, one after the other."""
    paid, makeups = [], [0]
    for net in WEEKS:
        period = close_week(plan, WeekFigures(net), makeups[-1])
        assert period.makeup_before_minor == makeups[-1]
        assert period.commission_minor + period.passed_up_minor == net
        paid.append(period.commission_minor)
        makeups.append(period.makeup_after_minor)
    return paid, makeups[1:]


@pytest.mark.parametrize(
    ("plan", "paid", "makeups"),
    [
        (RedFigure(FIFTH), [0, 0, 40_000], [500_000, 200_000, 0]),
        (Profit(FIFTH), [0, 60_000, 80_000], [0, 0, 0]),
        (Split(FIFTH), [-100_000, 60_000, 80_000], [0, 0, 0]),
        (ReverseRedFigure(FIFTH), [-500_000, 300_000, 240_000], [500_000, 200_000, 0]),
    ],
    ids=["red figure", "profit", "split", "reverse red figure"],
)
def test_three_weeks(plan: Plan, paid: list[int], makeups: list[int]) -> None:
    """−5000, +3000, +4000 at 20 %: what the agent earns, and the make-up that is carried."""
    assert weeks(plan) == (paid, makeups)


def test_above_a_reverse_red_figure() -> None:
    """Who is above earns (1 − rate) of what is won beyond the make-up, and never bears what customers win."""
    plan = ReverseRedFigure(FIFTH)
    assert [close_week(plan, WeekFigures(net)).passed_up_minor for net in (-500_000, 0, 400_000)] == [0, 0, 320_000]
    assert close_week(plan, WeekFigures(400_000), 200_000).passed_up_minor == 160_000


def test_per_head() -> None:
    """An amount for each customer with action, whoever won."""
    assert close_week(PerHead(1_000), WeekFigures(-500_000, 900_000, 7)).commission_minor == 7_000


def test_turnover() -> None:
    """A share of the handle, whoever won."""
    assert close_week(Turnover(Fraction(1, 100)), WeekFigures(-500_000, 900_000, 7)).commission_minor == 9_000


@pytest.mark.parametrize(
    ("net", "paid"),
    [
        (-500_000, 0),
        (0, 0),
        (50_000, 5_000),
        (100_000, 10_000),
        (300_000, 50_000),
        (500_000, 90_000),
        (600_000, 120_000),
    ],
)
def test_tiers_are_marginal(net: int, paid: int) -> None:
    """Each bracket's rate counts for what lies within it, so one more cent never costs an agent anything."""
    assert close_week(TIERS, WeekFigures(net)).commission_minor == paid


def test_a_commission_is_rounded_once() -> None:
    """Half a cent goes to the agent, and where the agent pays in, from the agent."""
    assert close_week(Profit(FIFTH), WeekFigures(3)).commission_minor == 1
    assert close_week(Profit(Fraction(1, 2)), WeekFigures(1)).commission_minor == 1
    assert close_week(Split(Fraction(1, 2)), WeekFigures(-1)).commission_minor == -1
    halves = Tiered((RateBracket(0, Fraction(1, 2)), RateBracket(1, Fraction(1, 2))))
    assert close_week(halves, WeekFigures(2)).commission_minor == 1


def test_a_make_up_outlives_a_change_of_plan() -> None:
    """An agent who changes to a plan without make-up and back still has to earn it back."""
    period = close_week(Profit(FIFTH), WeekFigures(300_000), 200_000)
    assert (period.commission_minor, period.makeup_after_minor) == (60_000, 200_000)
    assert close_week(None, WeekFigures(300_000), 200_000).makeup_after_minor == 200_000


def test_the_cascade() -> None:
    """10,000 at 20 %, then 30 %: 2000, 2400, and 5600 for the house."""
    found = cascade(
        [
            AgentWeek("M1", None, Profit(Fraction(3, 10)), WeekFigures(0)),
            AgentWeek("A1", "M1", Profit(FIFTH), WeekFigures(1_000_000)),
        ]
    )
    assert {name: period.commission_minor for name, period in found.periods.items()} == {"A1": 200_000, "M1": 240_000}
    assert found.house_minor == 560_000


def test_a_tree_in_any_order() -> None:
    """Sub-agents are closed before who is above them; heads and handle are those of the whole sub-tree."""
    agents = [
        AgentWeek("A1", "M1", Turnover(Fraction(1, 100)), WeekFigures(50_000, 400_000, 3)),
        AgentWeek("A2", "M1", None, WeekFigures(1_000, 5_000, 1)),
        AgentWeek("M1", None, PerHead(500), WeekFigures(-10_000, 100_000, 2)),
        AgentWeek("S1", "A1", RedFigure(Fraction(1, 2)), WeekFigures(100_000, 200_000, 4), makeup_minor=60_000),
        AgentWeek("M2", None, None, WeekFigures(7_000, 1, 1), makeup_minor=5),
    ]
    forward, backward = cascade(agents), cascade(agents[::-1])
    assert forward.house_minor == backward.house_minor == 7_000 + 115_000 - 5_000
    assert forward.periods == backward.periods
    periods = forward.periods
    assert (periods["S1"].commission_minor, periods["S1"].makeup_after_minor) == (20_000, 0)
    assert (periods["A1"].net_minor, periods["A1"].commission_minor, periods["A1"].heads) == (130_000, 6_000, 7)
    assert (periods["M1"].net_minor, periods["M1"].commission_minor, periods["M1"].heads) == (115_000, 5_000, 10)
    assert (periods["M2"].commission_minor, periods["M2"].makeup_after_minor) == (0, 5)


def test_an_empty_tree() -> None:
    """A house without agents closes its week too."""
    assert (cascade([]).periods, cascade([]).house_minor) == ({}, 0)


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ([("A", "B")], "missing"),
        ([("A", None), ("A", None)], "twice"),
        ([("A", "B"), ("B", "A"), ("C", None)], "circle"),
        ([("A", "A")], "circle"),
    ],
)
def test_what_is_no_tree_is_refused(parents: list[tuple[str, str | None]], message: str) -> None:
    """Money is passed up only where there is one way up for it."""
    with pytest.raises(AmountError, match=message):
        cascade([AgentWeek(name, parent, None, WeekFigures(1)) for name, parent in parents])


@pytest.mark.parametrize("rate", [Fraction(-1, 100), Fraction(101, 100)])
def test_a_rate_is_a_share(rate: Fraction) -> None:
    """No plan pays less than nothing or more than all."""
    for plan in (RedFigure, Profit, Split, ReverseRedFigure, Turnover):
        with pytest.raises(AmountError, match="rate"):
            plan(rate)
    with pytest.raises(AmountError, match="rate"):
        RateBracket(0, rate)


@pytest.mark.parametrize("starts", [(), (1,), (0, 0), (0, 5, 3)])
def test_brackets_begin_at_zero_and_rise(starts: tuple[int, ...]) -> None:
    """Each amount lies in exactly one bracket."""
    with pytest.raises(AmountError, match="brackets"):
        Tiered(tuple(RateBracket(start, FIFTH) for start in starts))


def test_amounts_that_cannot_be_are_refused() -> None:
    """Counts, handle and make-up are never negative."""
    for make in (
        lambda: PerHead(-1),
        lambda: WeekFigures(0, -1),
        lambda: WeekFigures(0, 0, -1),
        lambda: close_week(Profit(FIFTH), WeekFigures(0), -1),
    ):
        with pytest.raises(AmountError, match="not negative"):
            make()

"""Commission against slow oracles: cent by cent for brackets, from the house down for the cascade."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

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

RATE = st.integers(0, 100_000).map(lambda steps: Fraction(steps, 100_000))  # as a book keeps it: five decimals
MINOR = st.integers(-(10**9), 10**9)
FIGURES = st.builds(WeekFigures, MINOR, st.integers(0, 10**9), st.integers(0, 50))
MAKEUP = st.integers(0, 10**9)


def tiered(starts: Sequence[int], rates: Sequence[Fraction]) -> Tiered:
    """Brackets with their starts in order."""
    return Tiered(tuple(RateBracket(start, rate) for start, rate in zip(sorted({0, *starts}), rates, strict=False)))


def tiers(start_max: int) -> st.SearchStrategy[Tiered]:
    """Up to four brackets."""
    starts = st.lists(st.integers(1, start_max), max_size=3)
    return st.builds(tiered, starts, st.lists(RATE, min_size=4, max_size=4))


PLAN: st.SearchStrategy[Plan | None] = st.one_of(
    st.none(),
    *(st.builds(plan, RATE) for plan in (RedFigure, Profit, Split, ReverseRedFigure, Turnover)),
    st.builds(PerHead, st.integers(0, 10_000)),
    tiers(10**9),
)


@st.composite
def trees(draw: st.DrawFn) -> list[AgentWeek]:
    """Up to twelve agents, each below one before it or the house, shuffled."""
    agents: list[AgentWeek] = []
    for number in range(draw(st.integers(0, 12))):
        parent = draw(st.integers(-1, number - 1))
        above = None if parent < 0 else f"A{parent}"
        agents.append(AgentWeek(f"A{number}", above, draw(PLAN), draw(FIGURES), draw(MAKEUP)))
    return draw(st.permutations(agents))


def rounded(amount: Decimal) -> int:
    """Half up, by the decimal module."""
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def part(rate: Fraction, amount: int) -> int:
    """A share of an amount; rates of five decimals are exact as decimals."""
    return rounded(Decimal(rate.numerator) / rate.denominator * amount)


def oracle(plan: Plan | None, week: WeekFigures, makeup: int) -> int:
    """What is left for who is above, by the formulas as they are written."""
    net = week.net_minor
    if isinstance(plan, RedFigure):
        return net - part(plan.rate, max(0, net - makeup))
    if isinstance(plan, Profit):
        return net - part(plan.rate, max(0, net))
    if isinstance(plan, Split):
        return net - part(plan.rate, net)
    if isinstance(plan, ReverseRedFigure):
        return part(1 - plan.rate, max(0, net - makeup))
    if isinstance(plan, Turnover):
        return net - part(plan.rate, week.handle_minor)
    if isinstance(plan, PerHead):
        return net - plan.per_head_minor * week.heads
    if isinstance(plan, Tiered):
        ends = [*(one.from_minor for one in plan.brackets[1:]), None]
        paid = Decimal(0)
        for bracket, end in zip(plan.brackets, ends, strict=True):
            top = net if end is None else min(net, end)
            if top > bracket.from_minor:
                paid += Decimal(bracket.rate.numerator) / bracket.rate.denominator * (top - bracket.from_minor)
        return net - rounded(paid)
    return net


@given(plan=PLAN, week=FIGURES, makeup=MAKEUP)
def test_a_week_is_shared_by_the_formulas(plan: Plan | None, week: WeekFigures, makeup: int) -> None:
    """What an agent earns and what goes up are the whole net, to the cent."""
    period = close_week(plan, week, makeup)
    assert period.passed_up_minor == oracle(plan, week, makeup)
    assert period.commission_minor + period.passed_up_minor == week.net_minor


@given(plan=tiers(60), net=st.integers(-10, 100))
def test_brackets_cent_by_cent(plan: Tiered, net: int) -> None:
    """Each cent is paid at the rate of the bracket it lies in."""
    paid = Fraction(0)
    for cent in range(net):
        paid += [one.rate for one in plan.brackets if one.from_minor <= cent][-1]
    assert close_week(plan, WeekFigures(net)).commission_minor == rounded(Decimal(int(paid * 100_000)) / 100_000)


@given(rate=RATE, nets=st.lists(MINOR, max_size=10))
def test_a_make_up_is_what_is_not_earned_back(rate: Fraction, nets: list[int]) -> None:
    """The make-up is how far the running net lies below its highest point, and only new heights are paid for."""
    makeup = running = highest = beyond = 0
    for net in nets:
        period = close_week(RedFigure(rate), WeekFigures(net), makeup)
        makeup = period.makeup_after_minor
        running += net
        risen = max(0, running - highest)
        highest = max(highest, running)
        beyond += risen
        assert makeup == highest - running
        assert period.commission_minor == part(rate, risen)
    assert beyond == highest


def passed_up(agents: list[AgentWeek], parent: str | None) -> tuple[int, int, int]:
    """What reaches one from all directly below: net, handle, heads; worked out from above."""
    net = handle = heads = 0
    for agent in agents:
        if agent.parent_id == parent:
            below = passed_up(agents, agent.agent_id)
            own = agent.own
            week = WeekFigures(own.net_minor + below[0], own.handle_minor + below[1], own.heads + below[2])
            net += oracle(agent.plan, week, agent.makeup_minor)
            handle += week.handle_minor
            heads += week.heads
    return net, handle, heads


@given(agents=trees())
def test_the_cascade_conserves_the_net(agents: list[AgentWeek]) -> None:
    """Commissions and the house's part are what all customers lost; the house gets what the recursion gives it."""
    found = cascade(agents)
    earned = sum(period.commission_minor for period in found.periods.values())
    assert earned + found.house_minor == sum(agent.own.net_minor for agent in agents)
    assert found.house_minor == passed_up(agents, None)[0]
    assert found.periods.keys() == {agent.agent_id for agent in agents}


@given(agents=trees())
def test_an_agents_week_does_not_depend_on_who_is_above(agents: list[AgentWeek]) -> None:
    """A sub-agent is owed the same whatever the plans above are."""
    whole = cascade(agents).periods
    parents = {agent.parent_id for agent in agents}
    for agent in agents:
        if agent.agent_id not in parents:
            assert whole[agent.agent_id] == close_week(agent.plan, agent.own, agent.makeup_minor)

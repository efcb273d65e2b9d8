"""What agents earn in a week, and what is passed up the tree: integer minor units, each amount rounded half up once.

The net of a week is what customers lost (the book's view: positive is good). An agent's commission is figured on the
net that reaches the agent: of the agent's own customers, and what the sub-agents passed up. What is left goes to the
next agent above, and at last to the house, so that the commissions and the house's part always sum to the net of all
customers.

Make-up is what customers won in earlier weeks and an agent has not earned back. Plans without it carry it along
unchanged, so that a change of plan forgives nothing by itself.

Source: domain rules, "Agent commission".
"""

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias, assert_never

from msgspec import Struct

from fire22.sportsbook.betting.errors import AmountError
from fire22.sportsbook.betting.money import half_up


class _Rated(Struct, frozen=True):
    """A plan with one rate, from 0 to 1."""

    rate: Fraction

    def __post_init__(self) -> None:
        _check_rate(self.rate)


class RedFigure(_Rated, frozen=True):
    """Pays of what is won beyond the make-up; a lost week adds to the make-up and pays nothing."""


class Profit(_Rated, frozen=True):
    """Pays of each won week; lost weeks are forgotten."""


class Split(_Rated, frozen=True):
    """Shares won and lost weeks alike (Dutch): the agent pays in after a lost one."""


class ReverseRedFigure(_Rated, frozen=True):
    """The agent bears what customers win; above the agent, 1 − rate of what is won beyond the make-up is earned."""


class Turnover(_Rated, frozen=True):
    """Pays of the handle, whoever wins."""


class PerHead(Struct, frozen=True):
    """Pays for each customer with action; minor units."""

    per_head_minor: int

    def __post_init__(self) -> None:
        if self.per_head_minor < 0:
            raise AmountError(f"an amount per head is not negative: {self.per_head_minor}")


class RateBracket(Struct, frozen=True):
    """The rate for what lies above `from_minor`, up to the next bracket."""

    from_minor: int
    rate: Fraction

    def __post_init__(self) -> None:
        _check_rate(self.rate)


class Tiered(Struct, frozen=True):
    """Pays of a won week by marginal brackets; they begin at 0 and rise."""

    brackets: tuple[RateBracket, ...]

    def __post_init__(self) -> None:
        starts = [one.from_minor for one in self.brackets]
        if starts[:1] != [0] or any(after <= before for before, after in pairwise(starts)):
            raise AmountError(f"brackets begin at 0 and rise: {starts}")


Plan: TypeAlias = RedFigure | Profit | Split | ReverseRedFigure | Turnover | PerHead | Tiered


class WeekFigures(Struct, frozen=True):
    """A week of some customers.

    Args:
        net_minor: what they lost, net; negative if they won. Minor units.
        handle_minor: what they staked in cash.
        heads: how many of them had action.
    """

    net_minor: int
    handle_minor: int = 0
    heads: int = 0

    def __post_init__(self) -> None:
        if self.handle_minor < 0 or self.heads < 0:
            raise AmountError(f"handle and heads are not negative: {self.handle_minor}, {self.heads}")


class ClosedWeek(Struct, frozen=True):
    """A closed week of an agent; minor units.

    Args:
        net_minor: the net that the commission was figured on.
        makeup_before_minor, makeup_after_minor: at the start of the week, and carried into the next.
        commission_minor: the agent's; negative where the agent pays in.
        passed_up_minor: what is left of the net, for who is above.
        heads: customers with action, of the agent and all below.
    """

    net_minor: int
    makeup_before_minor: int
    makeup_after_minor: int
    commission_minor: int
    passed_up_minor: int
    heads: int


class AgentWeek(Struct, frozen=True):
    """An agent at the end of a week.

    Args:
        parent_id: who is above; None for the house.
        plan: None earns nothing and passes everything up.
        own: of the agent's own customers, without those of sub-agents.
        makeup_minor: carried from the week before; not negative.
    """

    agent_id: str
    parent_id: str | None
    plan: Plan | None
    own: WeekFigures
    makeup_minor: int = 0


class Cascade(Struct, frozen=True):
    """A closed week of a tree: each agent's period by id, and what reaches the house, minor units."""

    periods: dict[str, ClosedWeek]
    house_minor: int


def close_week(plan: Plan | None, week: WeekFigures, makeup_minor: int = 0) -> ClosedWeek:
    """Close an agent's week.

    Args:
        week: all that reaches the agent.
        makeup_minor: carried from the week before.

    Raises:
        AmountError: the make-up is negative.
    """
    if makeup_minor < 0:
        raise AmountError(f"a make-up is not negative: {makeup_minor}")
    net = week.net_minor
    carried = max(0, makeup_minor - net) if isinstance(plan, RedFigure | ReverseRedFigure) else makeup_minor
    earned = commission_minor(plan, week, makeup_minor)
    return ClosedWeek(net, makeup_minor, carried, earned, net - earned, week.heads)


def commission_minor(plan: Plan | None, week: WeekFigures, makeup_minor: int = 0) -> int:
    """The commission of a week, minor units, rounded half up once; negative where the agent pays in."""
    net = week.net_minor
    beyond = max(0, net - makeup_minor)
    match plan:
        case None:
            return 0
        case RedFigure(rate):
            return half_up(rate * beyond)
        case Profit(rate):
            return half_up(rate * max(0, net))
        case Split(rate):
            return half_up(rate * net)
        case ReverseRedFigure(rate):
            return net - half_up((1 - rate) * beyond)
        case Turnover(rate):
            return half_up(rate * week.handle_minor)
        case PerHead(per_head_minor):
            return per_head_minor * week.heads
        case Tiered(brackets):
            return half_up(_tiered(brackets, net))
        case _:
            assert_never(plan)


def cascade(agents: Iterable[AgentWeek]) -> Cascade:
    """Close the week of a whole tree, from the lowest agents up.

    Args:
        agents: in any order; each parent among them.

    Returns:
        Σ commission + the house's part = Σ net of all agents' own customers, exactly.

    Raises:
        AmountError: an agent comes twice, a parent is missing, or agents are above each other in a circle.
    """
    given = list(agents)
    known = {one.agent_id: one for one in given}
    if len(known) < len(given):
        raise AmountError("an agent comes twice in a week")
    reached = {one.agent_id: one.own for one in given}
    periods: dict[str, ClosedWeek] = {}
    house = 0
    for agent in _upwards(known):
        week = reached[agent.agent_id]
        period = periods[agent.agent_id] = close_week(agent.plan, week, agent.makeup_minor)
        if agent.parent_id is None:
            house += period.passed_up_minor
        else:
            above = reached[agent.parent_id]
            reached[agent.parent_id] = WeekFigures(
                above.net_minor + period.passed_up_minor,
                above.handle_minor + week.handle_minor,
                above.heads + week.heads,
            )
    return Cascade(periods, house)


def _upwards(agents: dict[str, AgentWeek]) -> list[AgentWeek]:
    """Every agent after all below it."""
    waiting = dict.fromkeys(agents, 0)  # agent → sub-agents that are not placed yet
    for agent in agents.values():
        if agent.parent_id is not None:
            if agent.parent_id not in waiting:
                raise AmountError(f"the agent above {agent.agent_id} is missing: {agent.parent_id}")
            waiting[agent.parent_id] += 1
    placed = [agent for agent in agents.values() if waiting[agent.agent_id] == 0]
    for agent in placed:  # grows while it is walked
        if agent.parent_id is not None:
            waiting[agent.parent_id] -= 1
            if waiting[agent.parent_id] == 0:
                placed.append(agents[agent.parent_id])
    if len(placed) < len(agents):
        raise AmountError("agents are above each other in a circle")
    return placed


def _tiered(brackets: tuple[RateBracket, ...], net_minor: int) -> Fraction:
    """Each bracket's rate on what of the net lies within it."""
    total = Fraction(0)
    ends = [one.from_minor for one in brackets[1:]]
    for bracket, end in zip(brackets, [*ends, max(net_minor, 0)], strict=True):
        total += bracket.rate * max(0, min(net_minor, end) - bracket.from_minor)
    return total


def _check_rate(rate: Fraction) -> None:
    if not 0 <= rate <= 1:
        raise AmountError(f"a rate is at least 0 and at most 1: {rate}")

"""The demo book's agents: a tree up to eight levels deep, wide where most books are, with thin deep branches.

A code is the letter of its level and a number: M1 is a master, A1 an agent of a master, S1 a sub-agent, and so on.
"""

from random import Random
from typing import Final

from fire22.sportsbook.book.changes import AddAgent, SetCommissionPlan
from fire22.sportsbook.demo.ids import new_id
from fire22.sportsbook.demo.names import person

LETTERS: Final = "MASTUVWX"  # of the levels; C is a customer's
HOUSE_LIMIT_MINOR: Final = 100_000_000
EVEN_LEVELS: Final = 3

# Commission plans and their shares; rates from the top of the tree downwards fall to half.
PLANS: Final = (
    ("red_figure", 0.50), ("profit", 0.15), ("split", 0.10), ("tiered", 0.10), ("reverse_red_figure", 0.05),
    ("turnover", 0.05), ("per_head", 0.05),
)  # fmt: skip
RATES: Final = (0.20, 0.25, 0.30)
TURNOVER_RATE: Final = 0.01
PER_HEAD_MINOR: Final = (300, 500, 800)
BRACKETS: Final = ((0, 0.15), (500_000, 0.20), (2_000_000, 0.25))
PLANS_FROM: Final = "2020-01-07"


def agents(rng: Random, at_ms: int, levels: tuple[int, ...]) -> list[AddAgent]:
    """A new tree, parents before their children.

    Args:
        levels: how many agents each level has, from the top; at most eight levels.

    Returns:
        The first three levels below each parent in turn; deeper ones below whom chance prefers, as trees grow in life:
        some agents have many below them, many have none.
    """
    found: list[AddAgent] = []
    above: list[AddAgent] = []
    for level, count in enumerate(levels, 1):
        here: list[AddAgent] = []
        for number in range(1, count + 1):
            parent = _parent(rng, above, level, (number - 1) * len(above) // count)
            here.append(_agent(rng, at_ms, level, number, parent))
        found += here
        above = here
    return found


def plans(rng: Random, found: list[AddAgent]) -> list[SetCommissionPlan]:
    """How each agent is paid."""
    names, shares = [name for name, _ in PLANS], [share for _, share in PLANS]
    return [_plan(rng, agent, rng.choices(names, shares)[0]) for agent in found]


def _plan(rng: Random, agent: AddAgent, type: str) -> SetCommissionPlan:
    rate = round(rng.choice(RATES) / (2 if agent.level > EVEN_LEVELS else 1), 3)
    rates = {"turnover": TURNOVER_RATE, "per_head": 0.0, "tiered": 0.0}
    return SetCommissionPlan(
        agent.id,
        type,
        PLANS_FROM,
        agent.at_ms,
        rate=rates.get(type, rate),
        per_head_minor=rng.choice(PER_HEAD_MINOR) if type == "per_head" else 0,
        brackets=BRACKETS if type == "tiered" else (),
    )


def _parent(rng: Random, above: list[AddAgent], level: int, turn: int) -> AddAgent | None:
    if not above:
        return None
    # The square of a uniform draw prefers those at the front: the older, larger agents.
    return above[turn] if level <= EVEN_LEVELS else above[int(len(above) * rng.random() ** 2)]


def _agent(rng: Random, at_ms: int, level: int, number: int, parent: AddAgent | None) -> AddAgent:
    code = f"{LETTERS[level - 1]}{number}"
    path = f"{parent.path if parent else ''}/{code}"
    limit = HOUSE_LIMIT_MINOR // 4 ** min(level, 5)
    return AddAgent(new_id(rng, at_ms), code, person(rng), parent.id if parent else None, level, path, at_ms, limit)

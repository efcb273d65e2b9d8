"""What a new demo book holds: its agents, customers, sports, and first games. Pure; all names are invented.

There are two sizes. `SMALL` is for tests and examples: 40 agents in three levels, 600 customers. `FULL` is a large
operator: 200 agents in eight levels, 6,000 customers, of whom most belong to agents without sub-agents.
"""

from collections.abc import Iterator
from math import ceil
from random import Random
from typing import Final

from msgspec import Struct

from fire22.sportsbook.book.changes import AddAgent, AddCustomer, Change
from fire22.sportsbook.demo import agents as tree
from fire22.sportsbook.demo import offer
from fire22.sportsbook.demo.ids import new_id as new_id
from fire22.sportsbook.demo.names import LEAGUES, person

FIRST_START_MS: Final = 60_000  # from opening the book to the earliest start of a game
MARKETS_MAX: Final = 5_000
WIDE_MARKETS: Final = 300  # from here on games have markets for their halves as well


class Size(Struct, frozen=True):
    """How large a demo book is.

    Args:
        levels: agents of each level, from the top.
        games: games to come that are open at any time; live_games: games in play.
        periods: of a game that have markets of their own.
    """

    levels: tuple[int, ...]
    customers: int
    games: int
    live_games: int
    periods: int = 1

    @property
    def markets(self) -> int:
        """About how many markets are open at any time."""
        return self.games * self.periods * offer.MARKETS_A_PERIOD + self.live_games


SMALL: Final = Size((4, 12, 24), 600, 18, 3)
FULL: Final = Size((6, 18, 44, 50, 36, 24, 14, 8), 6_000, 36, 6)


class Segment(Struct, frozen=True):
    """A kind of customer: its share of all, and the limits it is given; minor units."""

    share: float
    credit_limit_minor: int
    max_wager_minor: int
    bet_factor: float = 1.0


SEGMENTS: Final = {
    "casual": Segment(0.68, 100_000, 50_000),
    "regular": Segment(0.25, 500_000, 200_000),
    "vip": Segment(0.05, 5_000_000, 2_000_000),
    "sharp": Segment(0.02, 2_000_000, 500_000, 0.8),
}


def with_markets(size: Size, markets: int) -> Size:
    """A size with about so many open markets."""
    periods = 1 if markets < WIDE_MARKETS else len(offer.PERIODS)
    live_games = max(1, min(size.live_games, markets // 10))
    games = ceil(max(1, markets - live_games) / (periods * offer.MARKETS_A_PERIOD))
    return Size(size.levels, size.customers, games, live_games, periods)


def sports_rows() -> Iterator[tuple[str, tuple[str, ...]]]:
    """The sports and leagues, as SQL with its values."""
    for league in LEAGUES:
        yield "INSERT INTO sports VALUES(?, ?)", (f"sport-{league.id}", league.sport)
        yield "INSERT INTO leagues VALUES(?, ?, ?)", (league.id, f"sport-{league.id}", league.name)


def opening(rng: Random, now_ms: int, size: Size = SMALL) -> list[Change]:
    """What a new demo book starts with: the tree, the customers, the first games."""
    agents = tree.agents(rng, now_ms, size.levels)
    items: list[Change] = [*agents, *tree.plans(rng, agents), *_customers(rng, agents, now_ms, size.customers)]
    for _ in range(size.games):
        starts_ms = now_ms + rng.randint(FIRST_START_MS, offer.GAME_OPEN_MS[1])
        items += offer.game(rng, now_ms, starts_ms, periods=size.periods)
    for _ in range(size.live_games):
        items += offer.live_game(rng, now_ms)
    return items


def _customers(rng: Random, agents: list[AddAgent], at_ms: int, count: int) -> Iterator[AddCustomer]:
    """Customers of all agents; an agent without sub-agents has five times as many as a master."""
    parents = {agent.parent_id for agent in agents}
    weights = [1 if agent.level == 1 else 2 if agent.id in parents else 5 for agent in agents]
    shares = [segment.share for segment in SEGMENTS.values()]
    owners = rng.choices(agents, weights, k=count)
    kinds = rng.choices(list(SEGMENTS), shares, k=count)
    for number, (agent, kind) in enumerate(zip(owners, kinds, strict=True), 1):
        segment = SEGMENTS[kind]
        yield AddCustomer(
            new_id(rng, at_ms), f"C{number}", agent.id, person(rng), at_ms, kind, segment.credit_limit_minor,
            segment.max_wager_minor, segment.bet_factor,
        )  # fmt: skip

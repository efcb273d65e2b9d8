"""What the demo book is about: its agents, customers, sports, games and markets. Pure; all names are invented.

The tree has three levels: masters (M1 ...), agents (A1 ...), sub-agents (S1 ...); most customers belong to sub-agents.
"""

from collections.abc import Iterator
from random import Random
from typing import Final

from msgspec import Struct

from fire22.sportsbook.changes import AddAgent, AddCustomer, AddEvent, AddMarket, Change, NewSelection
from fire22.sportsbook.odds import price

MASTERS: Final = 4
AGENTS_EACH: Final = 3
CUSTOMERS: Final = 600
GAMES: Final = 18
LIVE_GAMES: Final = 3
MARGIN: Final = 0.045
GAME_OPEN_MS: Final = (120_000, 360_000)  # from opening to the start of the game, which closes its markets
QUICK_OPEN_MS: Final = (10_000, 25_000)
MARKET_LIMIT_MINOR: Final = 5_000_000
QUICK_LIMIT_MINOR: Final = 1_000_000


class League(Struct, frozen=True):
    """A league: its sport, whether games can end in a draw, and the usual spread and total."""

    id: str
    sport: str
    name: str
    draws: bool
    spread_max: int
    total: float
    teams: tuple[str, ...]


LEAGUES: Final = (
    League(
        "gridiron", "American football", "Gridiron Conference", False, 10, 44.5,
        ("Harbor City", "Redwood", "Ironton", "Lakeside", "Summit", "Bayview", "Prairie", "Canyon"),
    ),
    League(
        "hoops", "Basketball", "Continental Hoops", False, 9, 221.5,
        ("Northport", "Silver Lake", "Easton", "Granite", "Westgate", "Delta", "Highland", "Riverton"),
    ),
    League(
        "diamond", "Baseball", "Diamond League", False, 2, 8.5,
        ("Oak Valley", "Port Royal", "Mesa", "Brighton", "Cedar Falls", "Kingsport", "Madera", "Stonebridge"),
    ),
    League(
        "ice", "Ice hockey", "Northern Ice League", False, 2, 6.0,
        ("Frostburg", "Whitehorse", "Timmins", "Kirkland", "Boulder", "Alma", "Saguenay", "Thunder Bay"),
    ),
    League(
        "premier", "Soccer", "First Division", True, 2, 2.5,
        ("Ashford", "Milton", "Carrick", "Dunmore", "Elmbridge", "Fairhaven", "Glenrock", "Holbrook"),
    ),
    League(
        "court", "Tennis", "Grand Court Tour", False, 5, 22.5,
        ("A. Moreau", "B. Lindqvist", "C. Okafor", "D. Petrov", "E. Tanaka", "F. Almeida", "G. Novak", "H. Reyes"),
    ),
)  # fmt: skip

FIRST_NAMES: Final = (
    "Alex", "Amara", "Ben", "Carla", "Chris", "Dana", "Diego", "Elena", "Emil", "Farid", "Grace", "Hana", "Igor", "Ivy",
    "Jamal", "Jo", "Kai", "Lena", "Luis", "Maya", "Nadia", "Noor", "Omar", "Paula", "Quinn", "Rosa", "Sam", "Tara",
    "Uma", "Victor", "Wes", "Yara", "Zoe",
)  # fmt: skip
LAST_NAMES: Final = (
    "Abbott", "Barros", "Castillo", "Dunn", "Ellis", "Fischer", "Garza", "Hughes", "Ibarra", "Jensen", "Keller",
    "Lopez", "Marsh", "Nolan", "Ortiz", "Pratt", "Quist", "Ramos", "Stone", "Torres", "Usher", "Vance", "Walsh",
    "Young", "Zeller",
)  # fmt: skip

# segment: (share of the customers, credit limit, largest wager), amounts in minor units
SEGMENTS: Final[dict[str, tuple[float, int, int]]] = {
    "casual": (0.68, 100_000, 50_000),
    "regular": (0.25, 500_000, 200_000),
    "vip": (0.05, 5_000_000, 2_000_000),
    "sharp": (0.02, 1_000_000, 500_000),
}


def new_id(rng: Random, at_ms: int) -> str:
    """A UUID of version 7: in order of time, so that tables and indexes grow at their end."""
    bits = rng.getrandbits(74)
    value = at_ms << 80 | 7 << 76 | (bits >> 62) << 64 | 2 << 62 | bits & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def sports_rows() -> Iterator[tuple[str, tuple[str, ...]]]:
    """The sports and leagues, as SQL with its values."""
    for league in LEAGUES:
        yield "INSERT INTO sports VALUES(?, ?)", (f"sport-{league.id}", league.sport)
        yield "INSERT INTO leagues VALUES(?, ?, ?)", (league.id, f"sport-{league.id}", league.name)


def opening(rng: Random, now_ms: int) -> list[Change]:
    """What a new demo book starts with: the tree, the customers, the first games."""
    agents = _agents(rng, now_ms)
    items: list[Change] = [*agents, *_customers(rng, agents, now_ms)]
    for _ in range(GAMES):
        items += game(rng, now_ms, now_ms + rng.randint(60_000, GAME_OPEN_MS[1]))
    for _ in range(LIVE_GAMES):
        items += live_game(rng, now_ms)
    return items


def game(rng: Random, at_ms: int, starts_ms: int) -> list[Change]:
    """A game that starts at `starts_ms`, with the markets that close then."""
    league = rng.choice(LEAGUES)
    event = _event(rng, league, at_ms, starts_ms, live=False)
    home, away = event.home, event.away
    strength = rng.uniform(0.25, 0.75)
    line = rng.randint(0, 2 * league.spread_max) / 2 + 0.5
    if strength > 0.5:
        line = -line
    total = league.total + rng.randint(-4, 4) / 2

    def market(kind: str, line: float | None, outcomes: tuple[tuple[str, float], ...]) -> AddMarket:
        return _market(rng, event.id, kind, "game", line, starts_ms, MARKET_LIMIT_MINOR, outcomes, at_ms)

    draw = 0.26 if league.draws else 0.0
    winner = ((home, strength * (1 - draw)), (away, (1 - strength) * (1 - draw)))
    kind = "1x2" if league.draws else "moneyline"
    return [
        event,
        market(kind, None, (*winner, ("Draw", draw)) if league.draws else winner),
        market("spread", line, ((f"{home} {line:+g}", 0.5), (f"{away} {-line:+g}", 0.5))),
        market("total", total, ((f"Over {total:g}", 0.5), (f"Under {total:g}", 0.5))),
    ]


def live_game(rng: Random, at_ms: int) -> list[Change]:
    """A game in play, with its first quick market."""
    event = _event(rng, rng.choice(LEAGUES), at_ms, at_ms, live=True)
    return [event, quick_market(rng, event.id, at_ms)]


def quick_market(rng: Random, event_id: str, at_ms: int) -> AddMarket:
    """A market in play that closes within seconds."""
    strength = rng.uniform(0.3, 0.7)
    outcomes = (("Yes", strength), ("No", 1 - strength))
    closes = at_ms + rng.randint(*QUICK_OPEN_MS)
    return _market(rng, event_id, "in_play", "next", None, closes, QUICK_LIMIT_MINOR, outcomes, at_ms)


def _event(rng: Random, league: League, at_ms: int, starts_ms: int, *, live: bool) -> AddEvent:
    home, away = rng.sample(league.teams, 2)
    return AddEvent(new_id(rng, at_ms), league.id, home, away, starts_ms, "live" if live else "scheduled")


def _market(
    rng: Random,
    event_id: str,
    kind: str,
    period: str,
    line: float | None,
    closes_ms: int,
    limit_minor: int,
    outcomes: tuple[tuple[str, float], ...],
    at_ms: int,
) -> AddMarket:
    selections = tuple(NewSelection(new_id(rng, at_ms), name, price(share, MARGIN)) for name, share in outcomes)
    return AddMarket(new_id(rng, at_ms), event_id, kind, period, line, closes_ms, limit_minor, selections, at_ms)


def _name(rng: Random) -> str:
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"


def _agents(rng: Random, at_ms: int) -> list[AddAgent]:
    """Masters, each with agents, each with two sub-agents: 40 in all."""
    agents: list[AddAgent] = []

    def add(letter: str, parent: AddAgent | None) -> AddAgent:
        code = f"{letter}{sum(one.code[0] == letter for one in agents) + 1}"
        path = f"{parent.path if parent else ''}/{code}"
        level = path.count("/")
        limit = 100_000_000 // 4**level
        agent = AddAgent(new_id(rng, at_ms), code, _name(rng), parent.id if parent else None, level, path, at_ms, limit)
        agents.append(agent)
        return agent

    for _ in range(MASTERS):
        master = add("M", None)
        for _ in range(AGENTS_EACH):
            agent = add("A", master)
            add("S", agent)
            add("S", agent)
    return agents


def _customers(rng: Random, agents: list[AddAgent], at_ms: int) -> Iterator[AddCustomer]:
    weights = [{1: 1, 2: 2, 3: 5}[agent.level] for agent in agents]
    shares = [share for share, _, _ in SEGMENTS.values()]
    for number in range(1, CUSTOMERS + 1):
        agent = rng.choices(agents, weights)[0]
        segment = rng.choices(list(SEGMENTS), shares)[0]
        _, credit, largest = SEGMENTS[segment]
        yield AddCustomer(new_id(rng, at_ms), f"C{number}", agent.id, _name(rng), at_ms, segment, credit, largest)

"""Who bets what.

Recreational players bet what they like: favourites, overs, parlays, seldom a draw; one stake out of habit, now and then
a little more. A few chase their losses. Sharp players look for a price that is better than the truth allows, and pass
where there is none. A player's habits are a function of the customer's id, so they outlive the simulator.
"""

from random import Random
from typing import Final

from msgspec import Struct

from fire22.sportsbook.betting.terms import NO_TERMS, Terms
from fire22.sportsbook.demo.board import Boards
from fire22.sportsbook.demo.prices import is_over
from fire22.sportsbook.demo.world import KnownCustomer, KnownMarket, KnownSelection

EDGE_MIN: Final = 0.01  # what a sharp player expects to win of a stake
SHARP_LOOKS: Final = 16  # markets looked at before each wager
QUICK: Final = 0.45
FREE_PLAY: Final = 0.02
PARLAY_TEAMS: Final = (2, 2, 2, 3, 3, 4)
PARLAY_STAKE: Final = 0.4
ROUND_ROBINS: Final = 0.15  # of the wagers on three teams and more
BY_TWOS: Final = Terms(by=(2,))
OVERS: Final = 2.2
DRAWS: Final = 0.35
RAISED: Final = 0.04
RAISE: Final = 1.25
PLUNGE_MINOR: Final = (1_000_000, 1_400_000)
CHASERS: Final = 0.004
CHASED_LOSSES: Final = 4
DOUBLED_MAX: Final = 3
STAKE_MIN_MINOR: Final = 100
OF_MAX_WAGER: Final = 0.75  # nobody goes to the very limit
HABITUAL: Final = 0.5
OF_FUNDS: Final = 0.6
OF_CREDIT: Final = 0.72
ADDRESSES: Final = 1 << 17  # of 198.18.0.0/15, which no one on the internet has
CHANNELS: Final = (("web", 0.48), ("mobile", 0.42), ("phone", 0.06), ("agent", 0.04))


class Habit(Struct, frozen=True):
    """What a segment is like.

    Args:
        stake_minor: the median of its players' usual stakes; `spread`: standard deviation of their logarithm.
        active: how often such a player is there.
        parlays: share of the wagers.
        favourites: how strongly probability attracts; 0 = not at all.
        respect: how much of a stake counts as news about the truth.
        plunges: share of the wagers that are far larger than usual.
    """

    stake_minor: int
    spread: float
    active: float
    parlays: float
    favourites: float
    respect: float
    plunges: float = 0.0


HABITS: Final = {
    "casual": Habit(2_000, 0.6, 1.0, 0.16, 1.6, 0.05),
    "regular": Habit(6_000, 0.6, 2.0, 0.08, 1.2, 0.1),
    "vip": Habit(60_000, 0.5, 3.0, 0.04, 0.8, 0.05, plunges=0.0004),
    "sharp": Habit(40_000, 0.3, 4.0, 0.0, 0.0, 2.0),
}


class Player(Struct, frozen=True):
    """A customer's habits."""

    habit: Habit
    sharp: bool
    usual_minor: int
    chaser: bool
    channel: str
    ip: str | None


class Choice(Struct, frozen=True):
    """A market and the index of a selection in it."""

    market: KnownMarket
    index: int

    @property
    def selection(self) -> KnownSelection:
        """The selection itself."""
        return self.market.selections[self.index]


def player(customer: KnownCustomer) -> Player:
    """The habits of a customer."""
    draw = Random(f"player:{customer.id}")  # nosec B311  # the demo repeats itself by its seed
    habit = HABITS.get(customer.segment, HABITS["regular"])
    usual = habit.stake_minor * draw.lognormvariate(0, habit.spread)
    channel = draw.choices([name for name, _ in CHANNELS], [share for _, share in CHANNELS])[0]
    ip = address(customer.code) if channel in ("web", "mobile") else None
    chaser = customer.segment != "sharp" and draw.random() < CHASERS
    return Player(habit, customer.segment == "sharp", round(usual), chaser, channel, ip)


def address(code: str) -> str:
    """Where a customer is at home; a few share their address with one neighbour."""
    digits = "".join(each for each in code if each.isdigit())
    number = int(digits[-9:] or "0")
    if number % 20 == 1:
        number -= 1
    place = number * 7919 % ADDRESSES
    return f"198.{18 + (place >> 16)}.{place >> 8 & 255}.{place & 255}"


def choose(rng: Random, player: Player, boards: Boards) -> list[Choice]:
    """What a player bets on: one selection, or several of different games for a parlay; empty = nothing."""
    if player.sharp:
        found = best(rng, boards, SHARP_LOOKS)
        return [found] if found is not None else []
    if len(boards.games) > 1 and rng.random() < player.habit.parlays:
        by_event: dict[str, KnownMarket] = {}
        for _ in range(rng.choice(PARLAY_TEAMS)):
            market = _popular(rng, boards)
            if market is not None:
                by_event.setdefault(market.event_id, market)
        return [liked(rng, player, market) for market in by_event.values()]
    market = boards.quick.draw(rng) if not boards.games or rng.random() < QUICK else None
    market = market or _popular(rng, boards)
    return [liked(rng, player, market)] if market is not None else []


def type_of(wager_id: str, teams: int, *, free_play: bool) -> tuple[str, Terms]:
    """The type of a wager and its terms; a function of its id, so that nothing else is drawn otherwise."""
    if teams == 1:
        return "straight", NO_TERMS
    if teams > 2 and not free_play and int(wager_id[-4:], 16) < ROUND_ROBINS * 0x10000:
        return "round_robin", BY_TWOS
    return "parlay", NO_TERMS


def best(rng: Random, boards: Boards, looks: int) -> Choice | None:
    """The selection of some markets with the largest edge over its price; None where none is worth it."""
    found, edge_found = None, EDGE_MIN
    for _ in range(min(looks, 2 * len(boards.games))):
        market = boards.games.draw(rng)
        if market is None:
            return None
        for index, selection in enumerate(market.selections):
            edge = market.true[index] * decimal(selection.price) - 1
            if edge > edge_found:
                found, edge_found = Choice(market, index), edge
    return found


def liked(rng: Random, player: Player, market: KnownMarket) -> Choice:
    """The selection of a market that a recreational player takes."""
    weights = [
        likely**player.habit.favourites * (OVERS if is_over(one.name) else DRAWS if one.name == "Draw" else 1.0)
        for likely, one in zip(market.likely, market.selections, strict=True)
    ]
    return Choice(market, rng.choices(range(len(weights)), weights)[0])


def stake_minor(rng: Random, player: Player, customer: KnownCustomer, mood: float, *, parlay: bool) -> int:
    """What a player stakes, in round figures, and within the customer's own limits; 0 = nothing is left to stake.

    Args:
        mood: of the day; the usual stake is multiplied with it.
    """
    amount = min(player.usual_minor, HABITUAL * (customer.max_wager_minor or player.usual_minor)) * mood
    if parlay:
        amount *= PARLAY_STAKE
    if rng.random() < RAISED:
        amount *= RAISE
    elif player.habit.plunges and rng.random() < player.habit.plunges:
        amount = max(amount, rng.uniform(*PLUNGE_MINOR))
    if player.chaser and customer.lost >= CHASED_LOSSES:
        amount *= 2 ** min(customer.lost - CHASED_LOSSES + 1, DOUBLED_MAX)
    step = 100 if amount < 5_000 else 500 if amount < 50_000 else 5_000
    stake = max(STAKE_MIN_MINOR, step * round(amount / step))
    return stake if stake <= affordable_minor(customer) else 0


def affordable_minor(customer: KnownCustomer) -> int:
    """The largest stake that a customer's limits leave: of one wager, of all at risk, of the credit in use."""
    credit, balance = customer.credit_limit_minor, customer.balance_minor
    at_risk = OF_FUNDS * min(1.0, customer.bet_factor) * max(0, credit + balance) - customer.open_minor
    unused = OF_CREDIT * credit + balance - customer.open_minor
    largest = OF_MAX_WAGER * customer.max_wager_minor if customer.max_wager_minor else at_risk
    return int(min(largest, at_risk, unused))


def _popular(rng: Random, boards: Boards) -> KnownMarket | None:
    """A game's market; rather one that starts soon."""
    first, second = boards.games.draw(rng), boards.games.draw(rng)
    if first is None or second is None:
        return None
    return first if first.closes_ms < second.closes_ms else second


def decimal(price: int) -> float:
    """Decimal odds of an American price, near enough for a choice."""
    return 1 + (price / 100 if price > 0 else 100 / -price)

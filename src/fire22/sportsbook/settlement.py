"""What a wager returns once its legs have results: exact fractions, rounded half up once, at the end.

A leg multiplies the stake with v + (1 − v)·r·h·d: r is 1 if it won, v the share of the stake that is void, h the share
that a dead heat leaves in play, d the decimal odds. A parlay multiplies all its legs; a void leg multiplies with 1, so
it drops out. A free play is staked with the book's own money: it returns its profit only, and a loss earns the book
nothing.

Limits: parlays at the odds of their legs. Payout tables, teasers and the void rules of same-game parlays differ from
book to book and are not here.

Source: domain rules, "Settlement", "Parlay", "Free play".
"""

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Final, Literal

import msgspec
from msgspec import Struct

from fire22.sportsbook.errors import AmountError, StateError
from fire22.sportsbook.money import half_up
from fire22.sportsbook.odds import checked

ONE: Final = Fraction(1)
HALF: Final = Fraction(1, 2)
NONE: Final = Fraction(0)

Result = Literal["win", "loss", "push", "half_win", "half_loss", "dead_heat"]


class LegResult(Struct, frozen=True):
    """How the selection of a leg ended.

    Args:
        won: whether it won, or the part of it that was not void.
        void: the share of the stake that goes back: 0, 1/2 or 1.
        dead_heat: the share of the stake in play at full odds where several share a place; above 0, at most 1.

    Raises:
        AmountError: a share is out of its bounds.
    """

    won: bool
    void: Fraction = NONE
    dead_heat: Fraction = ONE

    def __post_init__(self) -> None:
        if self.void not in (NONE, HALF, ONE):
            raise AmountError(f"a stake is void whole, half or not at all: {self.void}")
        if not 0 < self.dead_heat <= 1:
            raise AmountError(f"the share of a dead heat is above 0 and at most 1: {self.dead_heat}")

    @property
    def name(self) -> Result:
        """The word for a wager that this result alone decides."""
        if self.void == 1:
            return "push"
        if self.void:
            return "half_win" if self.won else "half_loss"
        if not self.won:
            return "loss"
        return "win" if self.dead_heat == 1 else "dead_heat"


WIN: Final = LegResult(won=True)
LOSS: Final = LegResult(won=False)
PUSH: Final = LegResult(won=False, void=ONE)
HALF_WIN: Final = LegResult(won=True, void=HALF)
HALF_LOSS: Final = LegResult(won=False, void=HALF)

# By the words of a book; a void or cancelled selection is a push.
RESULTS: Final = {
    "win": WIN,
    "loss": LOSS,
    "push": PUSH,
    "void": PUSH,
    "cancelled": PUSH,
    "half_win": HALF_WIN,
    "half_loss": HALF_LOSS,
}


class Leg(Struct, frozen=True):
    """One leg of a wager.

    Args:
        odds: decimal, as struck; above 1.
        result: None while there is none.

    Raises:
        AmountError: the odds are not above 1.
    """

    odds: Fraction
    result: LegResult | None = None

    def __post_init__(self) -> None:
        checked(self.odds)


class Settlement(Struct, frozen=True):
    """A settled wager; amounts in minor units.

    Args:
        result: of the whole wager.
        teams: the legs with a result that are not void; a parlay is reduced to these.
        return_minor: what the customer gets back, stake included (for a free play only the profit).
        profit_minor: the customer's, negative where the customer lost.
        revision: 1 for the first settlement of a wager.
    """

    result: Result
    teams: int
    return_minor: int
    profit_minor: int
    revision: int = 1


class Posting(Struct, frozen=True):
    """What a settlement moves: its difference from the one before it, in minor units.

    Args:
        settlement: the one that holds from here on.
        balance_minor: what the customer's balance moves by.
        revenue_minor: what the book's gross revenue moves by.
    """

    settlement: Settlement
    balance_minor: int
    revenue_minor: int


def dead_heat(sharing: int, places: int = 1) -> LegResult:
    """A win that `sharing` selections share, where there are `places` for them: the stake is divided.

    Raises:
        AmountError: nobody shares, or there is no place.
    """
    if sharing < 1 or places < 1:
        raise AmountError(f"a dead heat is of at least one selection for at least one place: {sharing}, {places}")
    return LegResult(won=True, dead_heat=min(ONE, Fraction(places, sharing)))


def multiplier(odds: Fraction, result: LegResult) -> Fraction:
    """What a leg multiplies the stake with: v + (1 − v)·r·h·d."""
    won = result.dead_heat * odds if result.won else NONE
    return result.void + (1 - result.void) * won


def is_decided(legs: Sequence[Leg]) -> bool:
    """Whether a wager can be settled: one leg has lost, or each has a result."""
    names = [leg.result and leg.result.name for leg in legs]
    return "loss" in names or None not in names


def settle(legs: Sequence[Leg], risk_minor: int, *, free_play: bool = False) -> Settlement:
    """Settle a straight wager (one leg) or a parlay (several).

    Args:
        legs: at least one; some may have no result where another has lost.
        risk_minor: the stake, minor units; not negative.
        free_play: the stake is the book's own.

    Returns:
        The first settlement; `post` compares it with one before it.

    Raises:
        AmountError: there is no leg, or the stake is negative.
        StateError: the wager is not decided.
    """
    if not legs or risk_minor < 0:
        raise AmountError(f"a wager has a leg and a stake that is not negative: {len(legs)}, {risk_minor}")
    if not is_decided(legs):
        raise StateError("accepted", "settled", "a leg has no result.")
    graded = [(leg.odds, leg.result) for leg in legs if leg.result is not None]
    factor = prod((multiplier(odds, result) for odds, result in graded), start=ONE)
    returned = half_up(risk_minor * factor)
    if free_play:
        returned = max(0, returned - risk_minor)
    counted = [result for _, result in graded if result.void != 1]
    profit = customer_profit_minor(risk_minor, returned, free_play=free_play)
    return Settlement(_result(counted, factor), len(counted), returned, profit)


def post(before: Settlement | None, after: Settlement) -> Posting:
    """Settle again by the difference; the same settlement told twice moves nothing and keeps its revision.

    Args:
        before: the latest settlement of the wager; None for its first.
        after: what holds; its own revision does not count.
    """
    if before is None:
        return Posting(msgspec.structs.replace(after, revision=1), after.profit_minor, -after.profit_minor)
    following = msgspec.structs.replace(after, revision=before.revision)
    if following == before:
        return Posting(before, 0, 0)
    delta = after.profit_minor - before.profit_minor
    return Posting(msgspec.structs.replace(after, revision=before.revision + 1), delta, -delta)


def cash_risk_minor(risk_minor: int, *, free_play: bool) -> int:
    """What of a stake is the customer's own, in minor units."""
    return 0 if free_play else risk_minor


def customer_profit_minor(risk_minor: int, return_minor: int, *, free_play: bool) -> int:
    """The customer's profit on a settled wager; the book's gross revenue is the same, negative. Minor units."""
    return return_minor - cash_risk_minor(risk_minor, free_play=free_play)


def _result(counted: Sequence[LegResult], factor: Fraction) -> Result:
    """The word for a wager: of its one leg that counts; of several by whether the stake grew."""
    if not counted:
        return "push"
    if len(counted) == 1:
        return counted[0].name
    if factor == 1:
        return "push"
    return "win" if factor > 1 else "loss"

"""How a leg ended and what it multiplies a stake with; what a settlement is, and what it moves.

A leg multiplies the stake with v + (1 − v)·r·h·(1 + (d − 1)·(1 − q)): r is 1 if it won, v the share of the stake that
is void, h the share that a dead heat leaves in play, d the decimal odds, q what is deducted from the winnings because
another runner was withdrawn (Rule 4). How legs are put together is the business of the wager's type
(`wager_types.py`), and what is then paid of `payoff.py`.

Source: domain rules, "Settlement", "Parlay", "Free play"; Tattersalls' Rule 4.
"""

from fractions import Fraction
from typing import Final, Literal

import msgspec
from msgspec import Struct

from fire22.sportsbook.betting.errors import AmountError
from fire22.sportsbook.betting.odds import as_written, checked

ONE: Final = Fraction(1)
HALF: Final = Fraction(1, 2)
NONE: Final = Fraction(0)
_TIED_MAX: Final = 1_000

Result = Literal["win", "loss", "push", "half_win", "half_loss", "dead_heat"]


class LegResult(Struct, frozen=True):
    """How the selection of a leg ended.

    Args:
        won: whether it won, or the part of it that was not void.
        void: the share of the stake that goes back: 0, 1/2 or 1.
        dead_heat: the share of the stake in play at full odds where several share a place; above 0, at most 1.
        deduction: the share of the winnings that is kept because another runner was withdrawn; at least 0, below 1.

    Raises:
        AmountError: a share is out of its bounds.
    """

    won: bool
    void: Fraction = NONE
    dead_heat: Fraction = ONE
    deduction: Fraction = NONE

    def __post_init__(self) -> None:
        if self.void not in (NONE, HALF, ONE):
            raise AmountError(f"a stake is void whole, half or not at all: {self.void}")
        if not 0 < self.dead_heat <= 1:
            raise AmountError(f"the share of a dead heat is above 0 and at most 1: {self.dead_heat}")
        if not 0 <= self.deduction < 1:
            raise AmountError(f"a deduction is a share of the winnings below 1: {self.deduction}")

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


class GradedLeg(Struct, frozen=True):
    """One leg of a wager.

    Args:
        odds: decimal, as struck; above 1.
        result: None while there is none.
        place: of the part that bets on a place; None while there is none, or where the result says it.

    Raises:
        AmountError: the odds are not above 1.
    """

    odds: Fraction
    result: LegResult | None = None
    place: LegResult | None = None

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


def multiplier(odds: Fraction, result: LegResult) -> Fraction:
    """What a leg multiplies the stake with: v + (1 − v)·r·h·(1 + (d − 1)·(1 − q))."""
    won = NONE
    if result.won:
        won = result.dead_heat * (1 + (odds - 1) * (1 - result.deduction) if result.deduction else odds)
    return result.void + (1 - result.void) * won


def dead_heat_share(number: float) -> Fraction:
    """The share that a dead heat leaves in play, as a book keeps it.

    It is the share of a few who are tied where the number is that, whole or rounded to the six decimals that a book's
    column has (0.333333 is a third), and otherwise exactly what is written: 0.0005 is a two-thousandth.

    Raises:
        AmountError: it is no finite number.
    """
    exact = as_written(number)
    few = exact.limit_denominator(_TIED_MAX)
    return few if number in (float(few), float(round(few, 6))) else exact


def place_share(position: int, tied: int, places: int) -> Fraction:
    """The share of a stake in play of a selection that finished at a position with others; with 0 it has no place.

    Args:
        position: from 1 on; how many finished before it, and one.
        tied: how many share the position, itself included.
        places: how many there are.
    """
    return max(NONE, min(ONE, Fraction(places - position + 1, tied)))


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

"""What an open wager can still pay, leg by leg as markets get their results.

A leg that has won rolls its stake into the remaining odds: what the wager pays at most stays what it was struck for. A
void leg drops out, a half or shared one multiplies with what it is worth; a lost leg ends the wager. A wager never pays
more than it was struck for, whatever the product of its odds; where an amount was agreed on that is not what its prices
say, it pays by that, and where it is disputed which of the two holds, what is more counts. What the book is sure to
keep of a stake is not counted against what it may lose elsewhere. Amounts are minor units, exact, and rounded once.

Limit: what is deducted from winnings (Rule 4) is not told with a result, so that such a wager counts as paid in full
until it is settled.

Source: domain rules, "Settlement", "Parlays", "Free play".
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Final

from msgspec import Struct

from fire22.core.errors import RequestError
from fire22.sportsbook.betting.money import half_up
from fire22.sportsbook.betting.payoff import Bet, at_most, gain, is_as_struck
from fire22.sportsbook.betting.settlement import ONE, GradedLeg, LegResult, dead_heat_share, multiplier
from fire22.sportsbook.betting.terms import NO_TERMS
from fire22.sportsbook.betting.wager_types import known, parlays
from fire22.sportsbook.registry.open_wager import OpenWager, StruckLeg

SHARES_MAX: Final = 32  # parlays of one wager; one of more is a bound
SURELY_ROUNDING: Final = 0.9  # minor units by which an amount may differ from its prices however it was rounded
VOID: Final = ""  # the outcome of a market whose stakes go back
Results = Mapping[str, LegResult]  # by selection, of one market


class OpenLeg(Struct, frozen=True, gc=False):
    """A leg without a result; its decimal odds are `numerator / denominator`."""

    market: str
    selection: str
    numerator: int
    denominator: int


class Parlay:
    """A wager of several legs that is not lost.

    Args:
        stake: risk, cash risk, and the profit it was struck for; minor units.
        legs: those without a result, by market and selection.
        factor: what the legs with a result multiply the stake with.
        struck: whether every leg with a result has won whole, so that the wager still pays what it was struck for.
        gain: how many times the profit that its prices give it wins; see `payoff.gain`.
    """

    __slots__ = ("_factor", "_gain", "_pays", "_struck", "cash", "id", "legs", "markets", "profit", "risk", "to_win")

    def __init__(
        self,
        id: str,
        stake: tuple[int, int, int],
        legs: tuple[OpenLeg, ...],
        factor: Fraction,
        *,
        struck: bool,
        gain: Fraction = ONE,
    ) -> None:
        self.id = id
        self.risk, self.cash, self.to_win = stake
        self.legs = legs
        self.markets: tuple[str, ...] = tuple(dict.fromkeys(leg.market for leg in legs))
        self._factor = factor
        self._struck = struck
        self._gain = gain
        self._pays: dict[int, int] = {}
        self.profit = self.pay(0) - self.cash

    def pay(self, void: int) -> int:
        """What the book pays beyond what it keeps if the wager loses, when no open leg loses.

        Args:
            void: bit k is set where open leg k is void; the others win.

        Returns:
            The customer's profit and cash risk, minor units.
        """
        found = self._pays.get(void)
        if found is None:
            found = self._pays[void] = self._pay(void)
        return found

    def after(self, ended: Mapping[str, str]) -> "Parlay | None":
        """The parlay once markets have ended; None if it is lost.

        Args:
            ended: the selection that won, by market; `VOID` where stakes went back.
        """
        legs: list[OpenLeg] = []
        factor, struck = self._factor, self._struck
        for leg in self.legs:
            outcome = ended.get(leg.market)
            if outcome is None:
                legs.append(leg)
            elif outcome == leg.selection:
                factor *= Fraction(leg.numerator, leg.denominator)
            elif outcome == VOID:
                struck = False
            else:
                return None
        stake = self.risk, self.cash, self.to_win
        return type(self)(self.id, stake, tuple(legs), factor, struck=struck, gain=self._gain)

    def _pay(self, void: int) -> int:
        if not void and self._struck:
            return self.cash + self.to_win
        numerator, denominator = self.risk * self._factor.numerator, self._factor.denominator
        for index, leg in enumerate(self.legs):
            if not void >> index & 1:
                numerator *= leg.numerator
                denominator *= leg.denominator
        profit = (numerator - self.risk * denominator) * self._gain.numerator
        won = self._rounded(profit, denominator * self._gain.denominator)
        return self.cash + min(max(0, won), self.to_win)

    @staticmethod
    def _rounded(numerator: int, denominator: int) -> int:
        return (2 * numerator + denominator) // (2 * denominator)


class Share(Parlay):
    """One of the parlays that a wager is the sum of. The wager is rounded once, so each of them is rounded up."""

    __slots__ = ()

    @staticmethod
    def _rounded(numerator: int, denominator: int) -> int:
        return -(-numerator // denominator)


def graded(wager: OpenWager, results: Mapping[str, Results]) -> Parlay | None:
    """A parlay after the results so far; None if it is lost.

    Args:
        results: by market, of those that have some.
    """
    found = _graded(wager.legs, results)
    if found is None:
        return None
    legs, factor, struck = found
    stake = wager.risk, wager.cash, wager.to_win
    return Parlay(wager.wager_id, stake, legs, factor, struck=struck, gain=_gain(wager))


def _gain(wager: OpenWager) -> Fraction:
    """How many times the profit that a parlay's prices give it wins."""
    if abs(wager.risk * (prod([leg.odds for leg in wager.legs]) - 1) - wager.to_win) < SURELY_ROUNDING:
        return ONE
    return gain(_bet(wager, ""))


def _bet(wager: OpenWager, type: str, result: LegResult | None = None) -> Bet:
    """A wager as it is paid.

    Args:
        type: empty where it is straight or a parlay, by the number of its legs.
        result: of each leg.
    """
    legs = tuple([GradedLeg(exact(leg.odds), result) for leg in wager.legs])
    terms = wager.terms or NO_TERMS
    return Bet(legs, wager.risk, wager.to_win, type, terms, free_play=wager.free_play)


def shares(wager: OpenWager, results: Mapping[str, Results]) -> list[Parlay | None] | None:
    """The parlays that a wager is the sum of, after the results so far; None is one that is lost.

    Returns:
        None where it is no such sum, or of too many, or its amounts are not what its prices say: then all that is
        known of it is what it wins at most. So it is with free plays, where one parlay's loss takes another's win.
    """
    kind = known(wager.type)
    if kind is None or not kind.is_parlays or wager.free_play:
        return None
    terms = wager.terms or NO_TERMS
    bet = _bet(wager, wager.type)
    legs = bet.legs
    try:
        struck = is_as_struck(bet)
    except RequestError:
        return None
    picks = parlays(kind, terms, len(legs)) if struck else []
    count = len(picks)
    if not 0 < count <= min(SHARES_MAX, wager.risk):
        return None
    found: list[Parlay | None] = []
    for number, (share, pick) in enumerate(picks):
        stake = wager.risk * (number + 1) // count - wager.risk * number // count
        whole = Fraction(wager.risk) * share / stake
        pays = stake * whole * prod((legs[each].odds for each in pick), start=ONE)
        to_win = -(-pays.numerator // pays.denominator) - stake
        left = _graded([wager.legs[each] for each in pick], results)
        if left is None:
            found.append(None)
            continue
        open, factor, _ = left
        id = f"{wager.wager_id}#{number}"
        found.append(Share(id, (stake, stake, to_win), open, factor * whole, struck=False))
    return found


def _graded(
    legs: Iterable[StruckLeg], results: Mapping[str, Results]
) -> tuple[tuple[OpenLeg, ...], Fraction, bool] | None:
    """The open legs of a parlay, what the others multiply its stake with, and whether all of these have won whole."""
    left: list[OpenLeg] = []
    factor, struck = ONE, True
    for leg in legs:
        result = _result(leg, results)
        if result is None:
            odds = exact(leg.odds)
            left.append(OpenLeg(leg.market_id, leg.selection_id, odds.numerator, odds.denominator))
            continue
        if not result.won and not result.void:
            return None
        struck = struck and result.won and not result.void and result.dead_heat == 1
        factor *= multiplier(exact(leg.odds), result)
    return tuple(sorted(left, key=_by_market)), factor, struck


def certain(wager: OpenWager, results: Mapping[str, Results]) -> int | None:
    """What a wager of one leg with a result gives its customer: the profit, minor units; None without a result."""
    leg = wager.legs[0]
    result = _result(leg, results)
    if result is None:
        return None
    if result.won and not result.void and result.dead_heat == 1:
        return wager.to_win
    if not result.won and not result.void:
        return -wager.cash
    returned = at_most(_bet(wager, "", result))
    if returned is None:
        raise AssertionError("a wager is open though its one leg has a result")
    return min(max(half_up(returned) - wager.risk, -wager.cash), wager.to_win)


@lru_cache(maxsize=8_192)
def exact(odds: float) -> Fraction:
    """Decimal odds as the fraction that their shortest text says."""
    return Fraction(repr(odds))


def results_of(rows: Iterable[tuple[str, int, float, float]]) -> dict[str, LegResult]:
    """The results of a market by selection, of (selection, result, void, dead heat)."""
    return {selection: _leg_result(result, void, heat) for selection, result, void, heat in rows}


def _leg_result(result: int, void: float, heat: float) -> LegResult:
    """As `settlement.py` knows them: void by halves."""
    return LegResult(won=bool(result), void=Fraction(round(2 * void), 2), dead_heat=dead_heat_share(heat) or ONE)


def _result(leg: StruckLeg, results: Mapping[str, Results]) -> LegResult | None:
    market = results.get(leg.market_id)
    return None if market is None else market.get(leg.selection_id)


def _by_market(leg: OpenLeg) -> tuple[str, str]:
    return leg.market, leg.selection

"""Wagers of which nothing but legs and stake is known, settled."""

from collections.abc import Sequence

from fire22.sportsbook.betting import payoff
from fire22.sportsbook.betting.settlement import GradedLeg, LegResult, Settlement, place_share


def settle(legs: Sequence[GradedLeg], risk_minor: int, *, free_play: bool = False) -> Settlement:
    """Settle a straight wager or a parlay of which nothing but its prices was written down."""
    return payoff.settle(payoff.Bet(tuple(legs), risk_minor, free_play=free_play))


def dead_heat(sharing: int, places: int = 1) -> LegResult:
    """A win that several share."""
    return LegResult(won=True, dead_heat=place_share(1, sharing, places))

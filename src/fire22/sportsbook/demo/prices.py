"""What is true, what is offered, and how money moves it.

Every market has true probabilities, a function of its id alone, so that a simulator which is started anew knows them
again. The bookmaker opens with an estimate of them, blurred by `BLUR`, and leans against what recreational players like
(favourites, overs), since their money comes anyway. Then two forces move the estimate: each accepted wager, by its size
against the market's depth and by the respect its customer has earned, and now and then a look at what other books
offer, who know more together. So prices end nearer to the truth than they began, who knows the truth beats the closing
price, and who follows taste pays the margin and a little more.

Estimates are moved as odds are: multiplied with e to the force, then brought back to a sum of 1; so none leaves (0, 1),
and the posted prices of a market always hold the margin.

Rejected: a true probability that wanders (it would have to be kept outside the book to survive a restart).
"""

from collections.abc import Sequence
from functools import cache
from math import exp, log
from random import Random
from typing import Final

from fire22.sportsbook.betting.odds import price

MARGIN: Final = 0.045
BLUR: Final = 0.05  # standard deviation of the logarithm of an opening estimate
LEAN: Final = 0.11  # how much dearer a favourite and an over are opened
LIKELY_MIN: Final = 0.03
LIKELY_MAX: Final = 0.93
PULL: Final = 0.10  # of the way to the truth, at each look at other books
PULL_NOISE: Final = 0.01


def truth(market_id: str, kind: str, outcomes: int) -> list[float]:
    """The true probabilities of a market's outcomes, in their order; they sum to 1."""
    draw = Random(f"truth:{market_id}")  # nosec B311  # the demo repeats itself by its seed
    if outcomes == 2:
        even = kind in ("spread", "total")
        first = min(max(draw.gauss(0.5, 0.025), 0.4), 0.6) if even else draw.uniform(0.28, 0.72)
        return [first, 1 - first]
    if outcomes == 3:
        drawn = draw.uniform(0.22, 0.30)
        home = draw.uniform(0.28, 0.72) * (1 - drawn)
        return [home, 1 - drawn - home, drawn]
    return _normal([draw.uniform(0.5, 2.0) for _ in range(outcomes)])


def implied(odds: Sequence[float]) -> list[float]:
    """The probabilities behind decimal odds, their margin taken out in proportion."""
    return _normal([1 / each for each in odds])


def opened(rng: Random, true: Sequence[float], names: Sequence[str]) -> list[float]:
    """The bookmaker's first estimate."""
    blurred = [each * exp(rng.gauss(0, BLUR)) for each in true]
    favourite = max(range(len(true)), key=lambda index: true[index])
    overs = [index for index, name in enumerate(names) if is_over(name)]
    leaning = overs[0] if overs else favourite
    blurred[leaning] *= exp(LEAN)
    return _bounded(blurred)


def pushed(likely: Sequence[float], index: int, force: float) -> list[float]:
    """The estimate after money on one outcome: its odds against the others multiplied with e to the force."""
    moved = list(likely)
    moved[index] *= exp(force)
    return _bounded(moved)


def pulled(rng: Random, likely: Sequence[float], true: Sequence[float]) -> list[float]:
    """The estimate after a look at other books."""
    return _bounded(
        [
            here * exp(PULL * log(there / here) + rng.gauss(0, PULL_NOISE))
            for here, there in zip(likely, true, strict=True)
        ]
    )


def posted(likely: Sequence[float]) -> list[int]:
    """The American prices for an estimate, each with the margin."""
    return [_priced(round(each, 4)) for each in likely]


def is_over(name: str) -> bool:
    """Whether an outcome is the over of a total."""
    return name.startswith("Over")


@cache
def _priced(probability: float) -> int:
    return price(probability, MARGIN)


def _normal(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    return [each / total for each in weights]


def _bounded(weights: Sequence[float]) -> list[float]:
    return _normal([min(max(each, LIKELY_MIN), LIKELY_MAX) for each in _normal(weights)])

"""A stake far above what the customer usually bets.

Stakes spread widely, and more so the larger they are: with the usual spread every thirtieth is five times the median.
So a spike must also be well above the largest of the last bets, and of a size that matters.
"""

from fractions import Fraction
from typing import Annotated, ClassVar

from msgspec import Meta

from fire22.sportsbook.betting.money import half_up
from fire22.sportsbook.risk.base import (
    DAY_S,
    Finding,
    Minor,
    Ratio,
    Rule,
    RuleSettings,
    Scene,
    Seconds,
    called,
    of_customer,
)  # fmt: skip
from fire22.sportsbook.risk.customer_history import BETS_KEPT


class StakeSpikeSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        times_median: more than so many times the median of the last bets.
        times_largest: and more than so many times the largest of them.
        bets: so many bets before it must be known, at least.
        stake_minor: the least stake that is judged; minor units.
    """

    times_median: Ratio = 5.0
    times_largest: Ratio = 2.0
    bets: Annotated[int, Meta(ge=2, le=BETS_KEPT - 1)] = 20
    stake_minor: Minor = 100_000
    cooldown_s: Seconds = DAY_S


class StakeSpike(Rule):
    """One alert for each customer. Free plays count neither way: they are the book's own money."""

    name: ClassVar[str] = "stake_spike"
    settings_type: ClassVar[type[RuleSettings]] = StakeSpikeSettings
    settings: StakeSpikeSettings

    def adjust(self) -> None:
        """Take the least stake."""
        self.least_minor = max(1, self.settings.stake_minor)

    def placed(self, scene: Scene) -> Finding | None:
        """Judge a stake by those before it."""
        stake = scene.bet.cash
        if stake < self.least_minor or scene.place < self.settings.bets:
            return None
        before = sorted([one for one in scene.player.stakes[: scene.place] if one])
        if len(before) < self.settings.bets:
            return None
        settings, middle = self.settings, len(before) // 2
        median = before[middle] if len(before) % 2 else (before[middle - 1] + before[middle]) / 2
        if stake <= median * settings.times_median or stake <= before[-1] * settings.times_largest:
            return None
        times = round(stake / median, 1)
        return Finding(
            cause=scene.bet.customer_id,
            entity=of_customer(scene),
            severity=settings.severity,
            path=scene.bet.path,
            at_ms=scene.move.at_ms,
            title=f"{called(scene)} staked {self.said(stake)}, {times:.1f} times the usual.",
            evidence={
                "amount": self.major(stake),
                "median": self.major(half_up(Fraction(median))),
                "largest": self.major(before[-1]),
                "times": times,
                "bets": len(before),
            },
            wager_ids=(scene.bet.wager_id,),
            customer_id=scene.bet.customer_id,
        )

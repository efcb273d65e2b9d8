"""A customer who has lost and raises the stakes.

Four of the last five lost and a stake above one and a half times the one before happens by chance with every twelfth
wager. So the default asks for the third such raise in a row, and for a stake of a size that matters.
"""

from itertools import pairwise
from typing import Annotated, ClassVar

from msgspec import Meta

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
from fire22.sportsbook.risk.customer_history import IDS_KEPT, RESULTS_KEPT


class LossChasingSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        lost: so many ...
        of: ... of the last wagers that were settled when this one was accepted. A push counts neither way.
        times_previous: a raise is a stake of more than so many times the one before it.
        raises: in a row, this one the last.
        stake_minor: the least stake that is judged; minor units.
    """

    lost: Annotated[int, Meta(ge=1, le=RESULTS_KEPT)] = 4
    of: Annotated[int, Meta(ge=1, le=RESULTS_KEPT)] = 5
    times_previous: Ratio = 1.5
    raises: Annotated[int, Meta(ge=1, le=IDS_KEPT - 1)] = 3
    stake_minor: Minor = 50_000
    cooldown_s: Seconds = DAY_S


class LossChasing(Rule):
    """One alert for each customer."""

    name: ClassVar[str] = "loss_chasing"
    settings_type: ClassVar[type[RuleSettings]] = LossChasingSettings
    settings: LossChasingSettings

    def adjust(self) -> None:
        """Take the least stake."""
        self.least_minor = max(1, self.settings.stake_minor)

    def placed(self, scene: Scene) -> Finding | None:
        """Judge a stake by those just before it, then by what was lost."""
        stake, settings = scene.bet.cash, self.settings
        first = scene.place - settings.raises
        if stake < self.least_minor or first < 0:
            return None
        stakes = scene.player.stakes[first : scene.place + 1]
        times = settings.times_previous
        for before, after in pairwise(stakes):
            if not before or after <= before * times:
                return None
        lost = scene.player.lost_of(settings.of, scene.bet.at_ms)
        if lost is None or len(lost) < settings.lost:
            return None
        return Finding(
            cause=scene.bet.customer_id,
            entity=of_customer(scene),
            severity=settings.severity,
            path=scene.bet.path,
            at_ms=scene.move.at_ms,
            title=f"{called(scene)} lost {len(lost)} of {settings.of} and raised to {self.said(stake)}.",
            evidence={"lost": len(lost), "of": settings.of, "amounts": [self.major(one) for one in stakes]},
            wager_ids=(*lost, scene.bet.wager_id),
            customer_id=scene.bet.customer_id,
        )

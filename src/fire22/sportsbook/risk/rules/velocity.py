"""Many wagers of one customer in a short time, for the book and for the customer.

Five wagers in ten minutes, as some books have it, is what any customer does while a game is in play. So the default is
twenty, at four times the customer's own average pace; that is known after an hour. `times_usual = 0` leaves the average
out.
"""

from typing import Annotated, ClassVar

from msgspec import Meta

from fire22.sportsbook.risk.base import (
    HOUR_S,
    Finding,
    Ratio,
    Rule,
    RuleSettings,
    Scene,
    Seconds,
    called,
    lasted,
    of_customer,
)
from fire22.sportsbook.risk.customer_history import BETS_KEPT


class VelocitySettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        bets: so many or more ...
        window_s: ... within less than this.
        times_usual: and at least so many times as fast as the customer does on average.
        history_s: for how long a customer must be known for that average.
    """

    bets: Annotated[int, Meta(ge=2, le=BETS_KEPT)] = 20
    window_s: Seconds = 600
    times_usual: Ratio = 4.0
    history_s: Seconds = HOUR_S


class Velocity(Rule):
    """One alert for each customer."""

    name: ClassVar[str] = "velocity"
    settings_type: ClassVar[type[RuleSettings]] = VelocitySettings
    settings: VelocitySettings

    def adjust(self) -> None:
        """Take the thresholds."""
        self._bets = self.settings.bets
        self._window_ms = self.settings.window_s * 1_000

    def placed(self, scene: Scene) -> Finding | None:
        """Any `bets` in a row with this one among them, the fastest that there are."""
        bets, times, place = self._bets, scene.player.times, scene.place
        last = len(times) - 1
        if last + 1 < bets or place < 0:
            return None
        if place == last:
            first = last - bets + 1
        else:  # it came late, and may be in the midst
            firsts = range(max(0, place - bets + 1), min(place, last - bets + 1) + 1)
            first = min(firsts, key=lambda one: times[one + bets - 1] - times[one], default=-1)
            if first < 0:
                return None
        took_ms = times[first + bets - 1] - times[first]
        return self._judge(scene, took_ms, times[first]) if took_ms < self._window_ms else None

    def _judge(self, scene: Scene, took_ms: int, first_ms: int) -> Finding | None:
        settings, known = self.settings, scene.player
        before_ms = first_ms - known.since_ms
        usual = (known.told - settings.bets) * self._window_ms / before_ms if before_ms > 0 else 0.0
        pace = settings.bets * self._window_ms / max(1, took_ms)
        unknown = before_ms < settings.history_s * 1_000
        if settings.times_usual and (unknown or pace < usual * settings.times_usual):
            return None
        return Finding(
            cause=scene.bet.customer_id,
            entity=of_customer(scene),
            severity=settings.severity,
            path=scene.bet.path,
            at_ms=scene.move.at_ms,
            title=f"{called(scene)} placed {settings.bets} wagers within {lasted(took_ms)}.",
            evidence={
                "bets": settings.bets,
                "tookSeconds": took_ms / 1_000,
                "windowSeconds": settings.window_s,
                "usualBets": round(usual, 2),
            },
            wager_ids=tuple(known.ids),
            customer_id=scene.bet.customer_id,
        )

"""Steam: several customers take the same side within a minute, and its price shortens with them.

Other sources speak of three books at once; of one book's data, five customers are the sign. Only stakes of some size
count, since small ones on a popular side come by the dozen.
"""

from typing import ClassVar, Literal

from fire22.core.scope import common_path
from fire22.flows.base import Table
from fire22.sportsbook.betting import facts
from fire22.sportsbook.risk.backers import Backer, Backers
from fire22.sportsbook.risk.base import (
    Count,
    Entity,
    Finding,
    Minor,
    Ratio,
    Rule,
    RuleSettings,
    Scene,
    Seconds,
    listed,
    priced,
    side_of,
)  # fmt: skip
from fire22.sportsbook.risk.prices import is_live, odds_now


class SteamSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        customers: so many or more ...
        window_s: ... within less than this.
        line_move: the share by which the decimal odds have shortened since the first of them.
        follow_s: so long after the last of them the price may follow.
        stake_minor: the least stake that counts; minor units.
        live: whether markets in play are looked at: there prices follow the game.
    """

    customers: Count = 5
    window_s: Seconds = 60
    line_move: Ratio = 0.03
    follow_s: Seconds = 60
    stake_minor: Minor = 50_000
    live: bool = False


class Steam(Rule):
    """One alert for each selection; at the deepest agent over all of it."""

    name: ClassVar[str] = "steam"
    settings_type: ClassVar[type[RuleSettings]] = SteamSettings
    looks_at: ClassVar[Literal["all", "straight", "parlays"]] = "straight"
    settings: SteamSettings

    def adjust(self) -> None:
        """Take the windows and the least stake."""
        self._window_ms = self.settings.window_s * 1_000
        self._follow_ms = self.settings.follow_s * 1_000
        self.least_minor = max(1, self.settings.stake_minor)
        span_ms = self._window_ms + self._follow_ms
        if not hasattr(self, "_backers"):
            self._backers = Backers("steam", span_ms)
        self._backers.span(span_ms)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Who has backed what."""
        return (self._backers.table,)  # type: ignore[return-value]

    def loaded(self) -> None:
        """Derive when what is forgotten."""
        self._backers.loaded()

    def clock(self, now_ms: int) -> tuple[Finding, ...]:
        """Forget what nobody backed lately."""
        self._backers.clock(now_ms)
        return ()

    def placed(self, scene: Scene) -> Finding | None:
        """Judge a straight wager of some size by those with it."""
        bet = scene.bet
        if bet.cash < self.least_minor:
            return None
        if not self.settings.live and scene.market is not None and is_live(scene.market):
            return None
        self._backers.add(bet)
        return self._judge(bet.legs[0].market_id, bet.legs[0].selection_id, scene.move.at_ms)

    def priced(self, change: facts.MarketPriceChanged, at_ms: int) -> Finding | None:
        """Judge a price that shortens by those who backed it just before."""
        if change.new_odds >= change.old_odds:
            return None
        return self._judge(change.market_id, change.selection_id, at_ms)

    def _judge(self, market_id: str, selection_id: str, at_ms: int) -> Finding | None:
        side = self._backers.get(selection_id)
        if side is None or len(side.backers) < self.settings.customers:
            return None
        run = self._run(side.backers, at_ms)
        if not run:
            return None
        market = self.book.market(market_id)
        now = odds_now(market, selection_id)
        course = self.context.prices.courses.get(selection_id)
        before = course.before(run[0].at_ms - 1) if course is not None else None
        if now is None or before is None or now > before * (1 - self.settings.line_move):
            return None
        return self._found(market_id, selection_id, run, before, now, at_ms)

    def _run(self, backers: list[Backer], at_ms: int) -> list[Backer]:
        """The last run of enough customers within the window that the price may still follow; empty without one."""
        for last in range(len(backers) - 1, -1, -1):
            end_ms = backers[last].at_ms
            if end_ms > at_ms:
                continue
            if at_ms - end_ms > self._follow_ms:
                return []
            run = [one for one in backers[: last + 1] if one.at_ms > end_ms - self._window_ms]
            if len({one.customer_id for one in run}) >= self.settings.customers:
                return run
        return []

    def _found(
        self, market_id: str, selection_id: str, run: list[Backer], before: float, now: float, at_ms: int
    ) -> Finding:
        name = side_of(self.book.market(market_id), market_id, selection_id)
        customers = sorted({one.customer_id for one in run})
        money = sum(one.cash for one in run)
        return Finding(
            cause=selection_id,
            entity=Entity("selection", selection_id, name),
            severity=self.settings.severity,
            path=common_path([one.path for one in run]),
            at_ms=at_ms,
            title=f"{len(customers)} customers put {self.said(money)} on {name}; "
            f"it went from {priced(before)} to {priced(now)}.",
            evidence={
                "customers": len(customers),
                "customerIds": listed(customers),
                "risk": self.major(money),
                "oddsBefore": before,
                "oddsNow": now,
                "lineMove": round(1 - now / before, 3),
                "tookSeconds": (run[-1].at_ms - run[0].at_ms) / 1_000,
            },
            wager_ids=tuple(one.wager_id for one in run),
            market_id=market_id,
        )

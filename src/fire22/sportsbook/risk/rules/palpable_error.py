"""A price that nobody meant, and the wagers struck at it. Three signs, each an alert of the selection.

- The prices of all outcomes of a market together leave the customer a profit whatever happens: none is meant so. What
  was raised last is wrong. It is a warning while it stands for `stands_ms`, and critical with the first wager.
- A price is raised by half or more and soon taken back: what was struck between is at a price that neither neighbour
  bears out. In play a goal that is not given does the same, so markets in play are left out.
- A wager was struck far above any price that was on offer just then.
"""

from typing import Annotated, ClassVar

from msgspec import Meta, field

from fire22.core.message import Json
from fire22.core.scope import ROOT, common_path
from fire22.flows.base import Table
from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.open_wager import StruckLeg
from fire22.sportsbook.registry.records import MarketRecord
from fire22.sportsbook.risk.base import (
    EVER,
    NEVER,
    WAGER_IDS_MAX,
    Entity,
    Finding,
    Ratio,
    Rule,
    RuleSettings,
    Scene,
    Seconds,
    Severity,
    called,
    percent,
    priced,
    side_of,
)  # fmt: skip
from fire22.sportsbook.risk.expiring_table import ExpiringRow, ExpiringTable
from fire22.sportsbook.risk.prices import ClosedMarket, is_live, odds_now, overround

Milliseconds = Annotated[int, Meta(ge=0, le=3_600_000)]


class PalpableErrorSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        overround: what the prices of a market imply together, below which they are wrong.
        stands_ms: so long they may be so while they are being changed one by one.
        jump: the factor by which a price is raised, from which on it is watched.
        window_s: within which a raised price is taken back.
        off: the factor above the highest price on offer, from which on a wager's own is wrong.
        offered_s: so long ago a price may have been on offer.
    """

    overround: Ratio = 0.98
    stands_ms: Milliseconds = 2_000
    jump: Annotated[float, Meta(gt=1, le=1_000)] = 1.5
    window_s: Seconds = 900
    off: Annotated[float, Meta(gt=1, le=1_000)] = 1.25
    offered_s: Seconds = 60


class Wrong(ExpiringRow, gc=False, array_like=True):
    """A market whose prices are wrong together, since `touched_ms`. An empty `selection_id` is any."""

    selection_id: str
    overround: float
    before: float = 0.0
    is_said: bool = False


class Jump(ExpiringRow, gc=False, array_like=True):
    """A price that was raised much at `touched_ms`, and what was struck at it; minor units."""

    before: float
    odds: float
    risk: int = 0
    to_win: int = 0
    paths: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


class PalpableError(Rule):
    """One alert for each selection, at the book: what is wrong is the house's price."""

    name: ClassVar[str] = "palpable_error"
    settings_type: ClassVar[type[RuleSettings]] = PalpableErrorSettings
    settings: PalpableErrorSettings

    def adjust(self) -> None:
        """Take the thresholds."""
        if not hasattr(self, "_wrong"):
            self._wrong: ExpiringTable[Wrong] = ExpiringTable("palpable_error", Wrong, 0)
            self._jumps: ExpiringTable[Jump] = ExpiringTable("palpable_error_jump", Jump, 0)
            self._unsaid: dict[str, None] = {}
            self._is_watching = False
        self._window_ms = self._jumps.span_ms = self.settings.window_s * 1_000
        self._wrong.span_ms = 14 * 86_400_000
        self._off = self.settings.off

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Markets with wrong prices, and prices that were raised much."""
        return (self._wrong.table, self._jumps.table)  # type: ignore[return-value]

    def loaded(self) -> None:
        """Derive which wrong prices are yet to be told of."""
        self._wrong.loaded()
        self._jumps.loaded()
        self._unsaid = {key: None for key, row in sorted(self._wrong.table) if not row.is_said}
        self._watch()

    def _watch(self) -> None:
        is_watching = len(self._wrong) + len(self._jumps) > 0
        if is_watching != self._is_watching:
            self._is_watching = is_watching
            self.context.offers.clear()

    # Prices.

    def offered(self, market_id: str, at_ms: int) -> None:
        """Look at the prices of a market that was told of."""
        self._look(market_id, "", 0.0, at_ms)
        self._watch()

    def priced(self, change: facts.MarketPriceChanged, at_ms: int) -> Finding | None:
        """Look at a price with the others, and with the ones before it."""
        rose = change.new_odds > change.old_odds
        self._look(change.market_id, change.selection_id if rose else "", change.old_odds, at_ms)
        found = self._follow(change, at_ms)
        self._watch()
        return found

    def ended(self, ended: ClosedMarket) -> None:
        """What is closed is offered no longer."""
        self._forget(ended.market_id)
        for selection_id in ended.market.selections:
            self._jumps.pop(selection_id)
        self._watch()

    def _look(self, market_id: str, raised: str, before: float, at_ms: int) -> None:
        market = self.book.market(market_id)
        implied = overround(market) if market is not None else None
        if implied is None or implied >= self.settings.overround:
            self._forget(market_id)
            return
        row = self._wrong.get(market_id)
        if row is None:
            self._wrong.add(market_id, Wrong(at_ms, raised, round(implied, 4), before))
            self._unsaid[market_id] = None
        elif raised and implied < row.overround:
            row.selection_id, row.before, row.overround = raised, before, round(implied, 4)
            self._wrong.touch(market_id, row)

    def _forget(self, market_id: str) -> None:
        if self._wrong.pop(market_id) is not None:
            self._unsaid.pop(market_id, None)

    def _follow(self, change: facts.MarketPriceChanged, at_ms: int) -> Finding | None:
        """Watch a price that is raised much; it is told of when it is taken back and something was struck at it."""
        id = change.selection_id
        jump = self._jumps.get(id)
        if jump is not None:
            back = change.new_odds * self.settings.jump < jump.odds or change.new_odds <= jump.before
            if at_ms - jump.touched_ms >= self._window_ms or back:
                self._jumps.pop(id)
            return self._taken_back(change, jump, at_ms) if back and jump.ids else None
        market = self.book.market(change.market_id)
        if market is not None and not is_live(market) and change.new_odds >= change.old_odds * self.settings.jump:
            self._jumps.add(id, Jump(at_ms, change.old_odds, change.new_odds))
        return None

    def _taken_back(self, change: facts.MarketPriceChanged, jump: Jump, at_ms: int) -> Finding | None:
        if at_ms - jump.touched_ms >= self._window_ms:
            return None
        name = side_of(self.book.market(change.market_id), change.market_id, change.selection_id)
        return Finding(
            cause=change.selection_id,
            entity=Entity("selection", change.selection_id, name),
            severity="critical",
            path=ROOT,
            at_ms=at_ms,
            title=f"{name} was {priced(jump.odds)} between {priced(jump.before)} and {priced(change.new_odds)}, "
            "and was struck.",
            evidence={
                "oddsBefore": jump.before,
                "odds": jump.odds,
                "oddsAfter": change.new_odds,
                "wagers": len(jump.ids),
                "amount": self.major(jump.risk),
                "toWin": self.major(jump.to_win),
                "agentPath": common_path(jump.paths),
            },
            wager_ids=tuple(jump.ids),
            market_id=change.market_id,
        )

    def clock(self, now_ms: int) -> list[Finding]:
        """Warn of wrong prices that stand; forget raised ones that stood."""
        self._jumps.expire(now_ms)
        self._wrong.expire(now_ms)
        self._watch()
        findings: list[Finding] = []
        for market_id in sorted(self._unsaid):
            row = self._wrong.get(market_id)
            if row is None:
                del self._unsaid[market_id]
            elif now_ms - row.touched_ms >= self.settings.stands_ms:
                del self._unsaid[market_id]
                row.is_said = True
                self._wrong.touch(market_id, row)
                findings.append(self._stands(market_id, row, now_ms))
        return findings

    def _stands(self, market_id: str, row: Wrong, now_ms: int) -> Finding:
        market = self.book.market(market_id)
        name = side_of(market, market_id, row.selection_id)
        evidence: dict[str, Json] = dict(_wrong(row))
        odds = odds_now(market, row.selection_id)
        return Finding(
            cause=row.selection_id or market_id,
            entity=Entity("selection", row.selection_id or market_id, name),
            severity=self.settings.severity,
            path=ROOT,
            at_ms=now_ms,
            title=f"The prices with {name} imply only {percent(round(row.overround, 3))} together.",
            evidence=evidence | ({"odds": odds} if odds is not None else {}),
            market_id=market_id,
        )

    # Wagers.

    def passes(self, market: MarketRecord) -> tuple[int, float]:
        """While nothing is being watched, at prices that are not far above the one on offer."""
        return (NEVER, 0.0) if self._is_watching else (EVER, self._off)

    def placed(self, scene: Scene) -> Finding | None:
        """Judge each leg's price; the first that is wrong is told."""
        for leg in scene.bet.legs:
            jump = self._jumps.get(leg.selection_id)
            if jump is not None:
                self._struck(scene, leg, jump)
            wrong = self._wrong.get(leg.market_id)
            if wrong is not None and wrong.selection_id in ("", leg.selection_id):
                return self._found(scene, leg, _wrong(wrong))
            market = self.book.market(leg.market_id)
            selection = market.selections.get(leg.selection_id) if market is not None else None
            if selection is not None and leg.odds > selection.odds * self._off:
                highest = self._highest(leg, selection.odds, scene.bet.at_ms)
                if leg.odds > highest * self._off:
                    return self._found(scene, leg, {"oddsOffered": highest})
        return None

    def _struck(self, scene: Scene, leg: StruckLeg, jump: Jump) -> None:
        """Remember a wager at a price that was raised much."""
        if leg.odds * self.settings.off < jump.odds or len(jump.ids) >= WAGER_IDS_MAX:
            return
        jump.risk += scene.bet.risk
        jump.to_win += scene.bet.to_win
        jump.paths = sorted({*jump.paths, scene.bet.path})
        jump.ids = [*jump.ids, scene.bet.wager_id]
        self._jumps.touch(leg.selection_id, jump)

    def _highest(self, leg: StruckLeg, odds: float, at_ms: int) -> float:
        """The highest price that was on offer up to when a wager was accepted; the price now is one."""
        course = self.context.prices.courses.get(leg.selection_id)
        since_ms = at_ms - self.settings.offered_s * 1_000
        return max([odds, *(one.odds for one in course.changes if one.until_ms >= since_ms)] if course else [odds])

    def _found(self, scene: Scene, leg: StruckLeg, evidence: dict[str, float]) -> Finding:
        bet = scene.bet
        name = side_of(self.book.market(leg.market_id), leg.market_id, leg.selection_id)
        severity: Severity = "critical"
        return Finding(
            cause=leg.selection_id,
            entity=Entity("selection", leg.selection_id, name),
            severity=severity,
            path=ROOT,
            at_ms=scene.move.at_ms,
            title=f"{called(scene)} struck {priced(leg.odds)} on {name}.",
            evidence={"odds": leg.odds, **evidence, "amount": self.major(bet.risk), "toWin": self.major(bet.to_win)},
            wager_ids=(bet.wager_id,),
            market_id=leg.market_id,
        )


def _wrong(row: Wrong) -> dict[str, float]:
    """The evidence of prices that are wrong together; what the raised one was before, where that is known."""
    return {"overround": round(row.overround, 3)} | ({"oddsBefore": row.before} if row.before else {})

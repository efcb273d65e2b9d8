"""The course of prices, and the last ones before a market closed; all of it is forgotten after a time."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from fire22.flows.base import Table
from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.records import MarketRecord
from fire22.sportsbook.risk.expiring_table import ExpiringRow, ExpiringTable

CHANGES_KEPT: Final = 8  # of a price
COURSE_MS: Final = 3_600_000  # a price that has not moved for so long has no course
CLOSING_MS: Final = 14 * 86_400_000  # parlays may wait for long after a market of theirs has closed
CLOSING_LIVE_MS: Final = 3_600_000
LIVE: Final = "in_play"


class PriceChange(Struct, frozen=True, gc=False, array_like=True):
    """A price until a time."""

    until_ms: int
    odds: float


class PriceHistory(ExpiringRow, gc=False, array_like=True):
    """How the price of a selection has come to what it is: the newest changes, oldest first."""

    changes: list[PriceChange] = msgspec.field(default_factory=list)

    def before(self, at_ms: int) -> float | None:
        """The price as it was at a time; None where it has not changed since."""
        for change in self.changes:
            if change.until_ms > at_ms:
                return change.odds
        return None


class ClosingPrices(ExpiringRow, gc=False, array_like=True):
    """A market's last prices before it closed.

    Args:
        live: whether it was in play.
    """

    closed_ms: int
    live: bool
    odds: dict[str, float]


class ClosedMarket(Struct, gc=False):
    """A market that takes no more wagers, with its last prices."""

    market_id: str
    market: MarketRecord
    at_ms: int


class Prices:
    """What the rules share of prices.

    Args:
        book: has seen each fact first.

    Attributes:
        courses: by selection.
        closings: by market.
    """

    def __init__(self, book: Registry) -> None:
        self._book = book
        self.courses: ExpiringTable[PriceHistory] = ExpiringTable("course", PriceHistory, COURSE_MS)
        self.closings: ExpiringTable[ClosingPrices] = ExpiringTable("closing", ClosingPrices, CLOSING_MS)

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Courses of prices, closing prices."""
        return (self.courses.table, self.closings.table)

    def loaded(self) -> None:
        """Derive when which row is forgotten."""
        self.courses.loaded()
        self.closings.loaded()

    def expire(self, now_ms: int) -> None:
        """Forget what is too old."""
        self.courses.expire(now_ms)
        self.closings.expire(now_ms)

    def priced(self, change: facts.MarketPriceChanged, at_ms: int) -> None:
        """Remember what a price was."""
        course = self.courses.get(change.selection_id)
        if course is None:
            self.courses.add(change.selection_id, PriceHistory(at_ms, [PriceChange(at_ms, change.old_odds)]))
            return
        course.touched_ms = max(course.touched_ms, at_ms)
        changes = course.changes
        changes.append(PriceChange(at_ms, change.old_odds))
        if len(changes) > 1 and at_ms < changes[-2].until_ms:
            changes.sort(key=lambda one: one.until_ms)
        if len(changes) > CHANGES_KEPT:
            del changes[0]
        self.courses.touch(change.selection_id, course)

    def market_status(self, changed: facts.MarketStatusChanged, at_ms: int) -> ClosedMarket | None:
        """Remember the last prices of a market that has closed; returns it if it has just done so."""
        if changed.status == "open":
            self.closings.pop(changed.market_id)  # it was closed by mistake
            return None
        market = self._book.market(changed.market_id) or self._book.over
        if changed.status == "suspended" or market is None or self.closings.get(changed.market_id) is not None:
            return None
        live = is_live(market)
        odds = {id: selection.odds for id, selection in market.selections.items()}
        # One clock for all rows: those of markets in play are dated back, so that they are forgotten sooner.
        touched_ms = at_ms - CLOSING_MS + CLOSING_LIVE_MS if live else at_ms
        self.closings.add(changed.market_id, ClosingPrices(touched_ms, at_ms, live, odds))
        for id in odds:
            self.courses.pop(id)
        return ClosedMarket(changed.market_id, market, at_ms)


def is_live(market: MarketRecord) -> bool:
    """Whether a market is for wagers while the game is played."""
    return market.type == LIVE or 0 < market.starts_ms < market.closes_ms


def deadline_ms(market: MarketRecord) -> int:
    """Until when a market takes wagers; 0 is unknown."""
    return market.closes_ms or (0 if market.type == LIVE else market.starts_ms)


def overround(market: MarketRecord) -> float | None:
    """What the prices of all outcomes imply together, the margin above 1; None where outcomes are not known."""
    if len(market.selections) < 2:
        return None
    return sum([1 / selection.odds for selection in market.selections.values()])


def odds_now(market: MarketRecord | None, selection_id: str) -> float | None:
    """The price of a selection now."""
    selection = market.selections.get(selection_id) if market is not None else None
    return selection.odds if selection is not None else None

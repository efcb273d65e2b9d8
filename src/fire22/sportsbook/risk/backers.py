"""Who has backed a selection lately, with stakes of a size that matters; what steam and swarms are found in."""

from typing import Final

from msgspec import Struct, field

from fire22.flows.base import Table
from fire22.sportsbook.registry.open_wager import OpenWager
from fire22.sportsbook.risk.expiring_table import ExpiringRow, ExpiringTable

BACKERS_KEPT: Final = 50  # of a selection: the newest


class Backer(Struct, frozen=True, gc=False, array_like=True):
    """One wager on one selection; minor units."""

    at_ms: int
    wager_id: str
    customer_id: str
    agent_id: str
    path: str
    cash: int


class Side(ExpiringRow, gc=False, array_like=True):
    """The wagers on one selection, oldest first by their times."""

    market_id: str
    backers: list[Backer] = field(default_factory=list)


class Backers:
    """Sides by selection.

    Args:
        name: of the table.
        span_ms: how long a wager is remembered.
    """

    def __init__(self, name: str, span_ms: int) -> None:
        self._sides: ExpiringTable[Side] = ExpiringTable(name, Side, span_ms)

    @property
    def table(self) -> Table[Side]:
        """The state."""
        return self._sides.table

    def span(self, span_ms: int) -> None:
        """Remember for so long from here on."""
        self._sides.span_ms = span_ms

    def loaded(self) -> None:
        """Derive when which side ends."""
        self._sides.loaded()

    def clock(self, now_ms: int) -> None:
        """Forget sides that nobody backed lately."""
        self._sides.expire(now_ms)

    def add(self, wager: OpenWager) -> Side:
        """Remember a straight wager; returns its side."""
        leg = wager.legs[0]
        backer = Backer(wager.at_ms, wager.wager_id, wager.customer_id, wager.agent_id, wager.path, wager.cash)
        side = self._sides.get(leg.selection_id)
        if side is None:
            side = Side(wager.at_ms, leg.market_id, [backer])
            self._sides.add(leg.selection_id, side)
            return side
        backers = side.backers
        backers.append(backer)
        if backer.at_ms < side.touched_ms:
            backers.sort(key=lambda one: one.at_ms)
        side.touched_ms = max(side.touched_ms, backer.at_ms)
        since_ms = side.touched_ms - self._sides.span_ms
        side.backers = [one for one in backers[-BACKERS_KEPT:] if one.at_ms > since_ms]
        self._sides.touch(leg.selection_id, side)
        return side

    def get(self, selection_id: str) -> Side | None:
        """Who has backed a selection."""
        return self._sides.get(selection_id)

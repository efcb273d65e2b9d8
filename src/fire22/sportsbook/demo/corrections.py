"""What becomes of a few wagers before their markets end: called off, changed, deleted, cashed out."""

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache, partial
from random import Random
from typing import Final, Literal

from fire22.sportsbook.betting.lifecycle import cash_out_minor
from fire22.sportsbook.betting.odds import decimal_odds, to_win_minor
from fire22.sportsbook.betting.wager_types import PLAIN
from fire22.sportsbook.book import changes
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.demo.agenda import Agenda
from fire22.sportsbook.demo.world import KnownCustomer, KnownWager, World

# Shares of the wagers, and when after they were placed.
CANCELLED: Final = 0.003
MODIFIED: Final = 0.003
DELETED: Final = 0.0004
CASHED_OUT: Final = 0.01
CORRECTED_MS: Final = (3_000, 20_000)
CASHED_OUT_MS: Final = (20_000, 120_000)
CASH_OUT_MARGIN: Final = Fraction(1, 20)
MODIFIED_TO: Final = (0.5, 0.8)


class Corrections:
    """Changes wagers by hand, and buys some back.

    Args:
        settled: told of each customer whose balance has moved.
    """

    def __init__(
        self, rng: Random, agenda: Agenda, world: World, settled: Callable[[KnownCustomer, int], None]
    ) -> None:
        self._rng = rng
        self._agenda = agenda
        self._world = world
        self._settled = settled

    def plan(self, wager: KnownWager, at_ms: int) -> None:
        """Decide what a new wager comes to, if anything."""
        draw = self._rng.random()
        for share, span_ms, decide in (
            (CASHED_OUT, CASHED_OUT_MS, self._cash_out),
            (CANCELLED, CORRECTED_MS, self._cancel),
            (MODIFIED, CORRECTED_MS, self._modify),
            (DELETED, CORRECTED_MS, self._delete),
        ):
            if draw < share:
                self._agenda.after(at_ms, span_ms, partial(decide, wager))
                return
            draw -= share

    def void(self, wager: KnownWager, reason: str, at_ms: int) -> list[Change]:
        """Call off a wager, if it is still open."""
        return self._undo(wager, changes.CancelWager(wager.id, "voided", reason, "desk", at_ms))

    def _cancel(self, wager: KnownWager, at_ms: int) -> list[Change]:
        status: Literal["cancelled", "voided"] = self._rng.choice(("cancelled", "voided"))
        reason = "customer's request" if status == "cancelled" else "placed after a change of the line-up"
        return self._undo(wager, changes.CancelWager(wager.id, status, reason, "desk", at_ms))

    def _delete(self, wager: KnownWager, at_ms: int) -> list[Change]:
        return self._undo(wager, changes.DeleteWager(wager.id, "entered twice", "desk", at_ms))

    def _undo(self, wager: KnownWager, change: Change) -> list[Change]:
        if not wager.open or wager.theirs:
            return []
        self._world.leave(wager)
        return [change]

    def _modify(self, wager: KnownWager, at_ms: int) -> list[Change]:
        if not wager.open or wager.theirs or wager.type not in PLAIN:
            return []
        wager.customer.open_minor -= wager.cash_minor
        wager.risk_minor = max(100, 100 * round(wager.risk_minor * self._rng.choice(MODIFIED_TO) / 100))
        wager.to_win_minor = profit_minor(wager.risk_minor, tuple([leg.price for leg in wager.legs]))
        wager.customer.open_minor += wager.cash_minor
        return [changes.ModifyWager(wager.id, wager.risk_minor, wager.to_win_minor, "stake corrected", "desk", at_ms)]

    def _cash_out(self, wager: KnownWager, at_ms: int) -> list[Change]:
        """Buy a straight cash wager back at the price of now, while its market is open."""
        market = self._world.markets.get(wager.legs[0].market_id)
        if (
            not wager.open
            or wager.theirs
            or wager.free_play
            or len(wager.legs) > 1
            or market is None
            or not market.open
        ):
            return []
        leg = wager.legs[0]
        now = next(decimal_odds(one.price) for one in market.selections if one.id == leg.selection_id)
        returned = cash_out_minor(wager.risk_minor, decimal_odds(leg.price), now, CASH_OUT_MARGIN)
        self._world.leave(wager, returned - wager.risk_minor)
        self._settled(wager.customer, at_ms)
        return [changes.SettleWager(wager.id, "cashed_out", returned, at_ms, settled_by=wager.customer.code)]


def profit_minor(stake_minor: int, prices: tuple[int, ...]) -> int:
    """The profit of a stake at American prices if all of them win, minor units."""
    return _straight(stake_minor, prices[0]) if len(prices) == 1 else to_win_minor(stake_minor, prices)


@lru_cache(maxsize=65_536)
def _straight(stake_minor: int, price: int) -> int:
    return to_win_minor(stake_minor, (price,))

"""What the risk rules remember of one customer: the last bets, how the last wagers ended, and what is open."""

from array import array
from bisect import bisect_right
from typing import Final, NamedTuple

from fire22.sportsbook.registry.open_wager import OpenWager
from fire22.sportsbook.registry.records import CustomerRecord

BETS_KEPT: Final = 25  # of a customer: enough for a median over twenty
IDS_KEPT: Final = 5  # of these bets' ids: the newest
RESULTS_KEPT: Final = 10


class CustomerHistoryRow(NamedTuple):
    """What is stored of a player."""

    stored: int
    since_ms: int
    told: int
    times: list[int]
    stakes: list[int]
    ids: list[str]
    ended: list[int]
    lost: list[str]


class CustomerHistory:
    """One customer; minor units. Bets and results are in the order of their times, oldest first.

    Attributes:
        row: the registry's; None where it has to be asked for.
        cash, to_win, count: of the open wagers.
        stored: up to which group of the journal its row is stored.
        since_ms: when the first bet that was ever told was accepted.
        told: how many bets were ever told.
        times, stakes: of the last bets; cash, 0 for a free play.
        ids: of the newest of them.
        ended: when the last wagers were settled.
        lost: their ids; empty where one was not lost.
    """

    __slots__ = (
        "cash", "count", "ended", "ids", "lost", "row", "since_ms", "stakes", "stored", "times", "to_win", "told",
    )  # fmt: skip

    def __init__(self) -> None:
        self.row: CustomerRecord | None = None
        self.cash = 0
        self.to_win = 0
        self.count = 0
        self.stored = 0
        self.since_ms = 0
        self.told = 0
        self.times = array("q")
        self.stakes = array("q")
        self.ids: list[str] = []
        self.ended = array("q")
        self.lost: list[str] = []

    # Open wagers.

    def opened(self, wager: OpenWager) -> None:
        """A wager is open."""
        self.cash += wager.cash
        self.to_win += wager.to_win
        self.count += 1

    def closed(self, wager: OpenWager) -> None:
        """A wager is open no longer."""
        self.cash -= wager.cash
        self.to_win -= wager.to_win
        self.count -= 1

    # Bets and results.

    def bet(self, at_ms: int, stake: int, wager_id: str) -> int:
        """Put a bet at its place; returns its index, negative where it is older than all that are kept."""
        times, ids = self.times, self.ids
        place = len(times)
        if not place or at_ms >= times[-1]:
            times.append(at_ms)
            self.stakes.append(stake)
            ids.append(wager_id)
            if not self.told:
                self.since_ms = at_ms
        else:
            place = self._late(at_ms, stake, wager_id)
        self.told += 1
        if len(ids) > IDS_KEPT:
            del ids[0]
        if len(times) > BETS_KEPT:
            del times[0], self.stakes[0]
            place -= 1
        return place

    def _late(self, at_ms: int, stake: int, wager_id: str) -> int:
        """Put a bet before the later ones."""
        place = bisect_right(self.times, at_ms)
        of_ids = place - len(self.times) + len(self.ids)
        if of_ids >= 0:
            self.ids.insert(of_ids, wager_id)
        self.times.insert(place, at_ms)
        self.stakes.insert(place, stake)
        self.since_ms = min(self.since_ms, at_ms)
        return place

    def result(self, at_ms: int, lost: str) -> None:
        """Put how a wager ended at its place: its id if it was lost, else nothing."""
        ended = self.ended
        if not ended or at_ms >= ended[-1]:
            ended.append(at_ms)
            self.lost.append(lost)
        else:
            place = bisect_right(ended, at_ms)
            ended.insert(place, at_ms)
            self.lost.insert(place, lost)
        if len(ended) > RESULTS_KEPT:
            del ended[0], self.lost[0]

    def lost_of(self, count: int, upto_ms: int) -> list[str] | None:
        """Which of the last `count` wagers settled up to a time were lost; None where there are fewer."""
        known = bisect_right(self.ended, upto_ms)
        return [id for id in self.lost[known - count : known] if id] if known >= count else None


def player_row(player: CustomerHistory) -> CustomerHistoryRow:
    """A player as it is stored."""
    return CustomerHistoryRow(
        player.stored, player.since_ms, player.told, player.times.tolist(), player.stakes.tolist(), player.ids,
        player.ended.tolist(), player.lost,
    )  # fmt: skip


def player_of(type: type[CustomerHistory], row: CustomerHistoryRow) -> CustomerHistory:
    """A stored player, with nothing open."""
    player = type()
    player.stored, player.since_ms, player.told, times, stakes, player.ids, ended, player.lost = row
    player.times.extend(times)
    player.stakes.extend(stakes)
    player.ended.extend(ended)
    return player

"""Who is active and who is online: when each customer wagered, showed itself and left, kept and counted by scope.

All of it is kept as times, so it does not matter which is told of first.
"""

from collections.abc import Callable
from typing import Any, Final

from fire22.flows.base import Table
from fire22.flows.kept import KeptRows
from fire22.sportsbook.kpi.active_customers import SHOWN, WAGERED, Player, Window, names, new_player
from fire22.sportsbook.kpi.rollup import GroupSums, Moved
from fire22.sportsbook.kpi.scope_figures import ScopeFigures

ACTIVE_MS: Final = 24 * 3_600_000
NEVER: Final = [0, 0]  # who neither is active nor online
JOURNAL_BYTES: Final = 1 << 20


class Presence:
    """Kept by the flow `kpi`; tells scopes their counts.

    Args:
        touch: gives a scope's figures, which are going to change.

    Attributes:
        online_ms: for how long a customer is online after it was seen.
    """

    def __init__(self, sums: GroupSums, touch: Callable[[str], ScopeFigures]) -> None:
        self.online_ms = 15 * 60_000
        self._sums = sums
        self._touch = touch
        self._seen: KeptRows[list[int]] = KeptRows("seen", list[int], JOURNAL_BYTES)
        self._left: Table[int] = Table("left", int)
        self._active = Window(WAGERED)
        self._online = Window(SHOWN)
        self._forgotten: list[Player] = []  # by a window of the two
        self._watermark_ms = self._day_ms = 0
        self._changed: dict[str, None] = {}  # scopes whose counts are to be told

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Customers that are active or online, who has left of late."""
        return (*self._seen.tables, self._left)

    def loaded(self, watermark_ms: int, day_ms: int) -> None:
        """Derive the counts from the kept rows."""
        self._watermark_ms, self._day_ms = watermark_ms, day_ms
        self._seen.restore(self._restored)
        self._changed = dict.fromkeys((*self._active.counts, *self._online.counts))
        self.tell()

    def tell(self) -> None:
        """Tell the scopes whose counts have changed since the last call: many facts of a group change the same ones."""
        changed, self._changed = self._changed, {}
        for scope in changed:
            figures = self._touch(scope)
            figures.active = self._active.counts.get(scope, 0)
            figures.online = self._online.counts.get(scope, 0)

    def advance(self, watermark_ms: int) -> None:
        """The windows end with another watermark."""
        self._watermark_ms = watermark_ms
        self._expire(watermark_ms)

    def begin_day(self, day_ms: int) -> None:
        """A business day has begun."""
        self._day_ms = day_ms
        self._expire(day_ms)

    def flush(self) -> None:
        """Store what the group has changed."""
        for gone in sorted(self._forgotten, key=lambda each: each.key):
            if gone.row != NEVER:
                self._mark(gone)
            elif not gone.gone:
                self._seen.remove(gone)
                customer, path = names(gone)
                del self._sums.scope(path).players[customer]
        self._forgotten = []
        self._seen.flush()

    def wagered(self, moved: Moved, customer: str, at_ms: int) -> None:
        """A customer has wagered: it is active, and online."""
        one = moved.players.get(customer) or self._player(moved, customer)
        row = one.row
        if 0 < row[WAGERED] <= at_ms and 0 < row[SHOWN] <= at_ms:
            row[WAGERED] = row[SHOWN] = at_ms
            if one.group != self._seen.group:
                self._seen.put(one)
        elif at_ms > self._now_ms - ACTIVE_MS:
            for scope in self._active.seen(one, at_ms):
                self._changed[scope] = None
                if at_ms < self._day_ms:
                    self._touch(scope).row.base.active += 1
            self._mark(one)
            self._showed(one, customer, at_ms)

    def logged_in(self, moved: Moved, customer: str, at_ms: int) -> None:
        """A customer is online."""
        self._showed(self._player(moved, customer), customer, at_ms)

    def logged_out(self, customer: str, at_ms: int) -> None:
        """A customer has left, below whichever agent it was seen."""
        if at_ms <= self._now_ms - self.online_ms:
            return
        self._left.put(customer, max(at_ms, self._left.get(customer) or 0))
        for one in self._online.players(customer):
            if one.row[SHOWN] <= at_ms:  # it may have come again before it was told that it left
                self._changed |= dict.fromkeys(self._online.leave(one))
                self._forgotten.append(one)

    def renamed(self, before: str, customer: str) -> None:
        """Whoever was seen under another code was seen under this one."""
        left = self._left.pop(before)
        if left is not None:
            self._left.put(customer, left)
        seen = {one.key: one for window in (self._active, self._online) for one in window.players(before)}
        for _, one in sorted(seen.items()):
            times = list(one.row)
            for window, at_ms in zip((self._active, self._online), times, strict=True):
                if at_ms:
                    window.leave(one)
            self._forgotten.append(one)
            again = self._player(self._sums.scope(names(one)[1]), customer)
            again.row[:] = times
            for window, at_ms in zip((self._active, self._online), times, strict=True):
                if at_ms:
                    window.enter(again)
            self._mark(again)

    @property
    def _now_ms(self) -> int:
        """What the windows end with."""
        return max(self._watermark_ms, self._day_ms)

    def _restored(self, key: str, row: list[int]) -> Player:
        kept = Player(key, row)
        customer, path = names(kept)
        self._sums.scope(path).players[customer] = kept
        for window, at_ms in zip((self._active, self._online), row, strict=True):
            if at_ms:
                window.enter(kept)
        return kept

    def _expire(self, now_ms: int) -> None:
        for window, span_ms in ((self._active, ACTIVE_MS), (self._online, self.online_ms)):
            scopes, gone = window.expire(now_ms - span_ms)
            self._changed |= dict.fromkeys(scopes)
            self._forgotten += gone
        for customer in [each for each, left_ms in self._left if left_ms <= now_ms - self.online_ms]:
            self._left.pop(customer)

    def _player(self, moved: Moved, customer: str) -> Player:
        one = moved.players.get(customer)
        if one is None:
            one = moved.players[customer] = new_player(customer, moved.figures.scope)
            self._forgotten.append(one)  # unless it is seen
        return one

    def _mark(self, one: Player) -> None:
        """What is kept of a player changes."""
        if one.group != self._seen.group:
            self._seen.put(one)

    def _showed(self, one: Player, customer: str, at_ms: int) -> None:
        """A customer has shown itself: it is online."""
        if at_ms > self._now_ms - self.online_ms and at_ms > (self._left.get(customer) or 0):
            for scope in self._online.seen(one, at_ms):
                self._changed[scope] = None
            self._mark(one)

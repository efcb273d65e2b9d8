"""The hold of an agent's whole sub-tree, over four weeks, is below what is healthy.

A few hours below are luck: nothing is said before the whole stretch is known and enough was wagered in it. Kept are
sums by day (UTC) and agent, all below one agent of the first level in one row, since a group moves most of them; they
are judged once an hour of the watermark.
"""

from typing import Annotated, ClassVar, Final

from msgspec import Meta

from fire22.core.scope import ROOT, ancestors
from fire22.flows.base import Table
from fire22.sportsbook.registry.movement import Movement
from fire22.sportsbook.risk.base import (
    DAY_S,
    HOUR_S,
    Entity,
    Finding,
    Minor,
    Ratio,
    Rule,
    RuleSettings,
    Seconds,
    percent,
)

DAY_MS: Final = DAY_S * 1_000
HOUR_MS: Final = HOUR_S * 1_000


class HoldDropSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        hold: gross revenue of settled handle, below which it is low.
        days: of the stretch; all of them must be known.
        handle_minor: the least that was settled in it; minor units.
    """

    hold: Ratio = 0.05
    days: Annotated[int, Meta(ge=1, le=366)] = 28
    handle_minor: Minor = 10_000_000
    cooldown_s: Seconds = 7 * DAY_S


Sums = list[int]  # revenue and settled handle; minor units
Place = tuple[int, str, dict[str, Sums], Sums]  # an agent's sums of a day: the day, the key of their row, the row, they


class HoldDrop(Rule):
    """One alert for each agent, and one for the book."""

    name: ClassVar[str] = "hold_drop"
    settings_type: ClassVar[type[RuleSettings]] = HoldDropSettings
    settings: HoldDropSettings

    def adjust(self) -> None:
        """Make the tables, once; store what a group has moved before a change of the settings."""
        if not hasattr(self, "_days"):
            self._days: Table[dict[str, Sums]] = Table("hold_drop", dict[str, Sums])
            self._first: Table[int] = Table("hold_drop_since", int)
            self._places: dict[str, Place] = {}
            self._moved: dict[str, dict[str, Sums]] = {}
            self._hour = 0
        self._store()

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Sums by path, by `<day>|<agent of the first level>`; and the first day that is known."""
        return (self._days, self._first)  # type: ignore[return-value]

    def loaded(self) -> None:
        """Go on from the hour that was judged last."""
        self._hour = self.context.watermark_ms // HOUR_MS

    def earned(self, move: Movement) -> None:
        """Add it up; stored when the group ends."""
        number, wager = move.at_ms // DAY_MS, move.closed or move.fact
        place = self._places.get(wager.path)
        if place is None or place[0] != number:
            place = self._places[wager.path] = self._place(number, wager.path)
        _, key, row, sums = place
        sums[0] += move.revenue
        sums[1] += move.settled_handle
        self._moved[key] = row

    def _place(self, number: int, path: str) -> Place:
        """Where an agent's sums of a day are."""
        key = f"{number}|{path.split('/', 2)[1]}"
        row = self._moved.get(key) or self._days.get(key)
        if row is None:
            row = {}
            self._began(number)
        return number, key, row, row.setdefault(path, [0, 0])

    def flush(self, at_ms: int) -> tuple[Finding, ...]:
        """Store what the group has moved."""
        self._store()
        return ()

    def _store(self) -> None:
        for key, row in self._moved.items():
            self._days.put(key, row)
        self._moved = {}

    def _began(self, day: int) -> None:
        before = self._first.get("day")
        if before is None or day < before:
            self._first.put("day", day)

    def clock(self, now_ms: int) -> list[Finding]:
        """Judge the last whole days once an hour."""
        hour = now_ms // HOUR_MS
        if hour == self._hour:
            return []
        self._hour = hour
        self._store()
        today = now_ms // DAY_MS
        self._forget(today - self.settings.days)
        first = self._first.get("day")
        if first is None or today - first < self.settings.days:
            return []
        return self._judge(today, now_ms)

    def _forget(self, since: int) -> None:
        """Days before the stretch are gone; that something was known before it stays."""
        for key in sorted(key for key, _ in self._days if int(key.partition("|")[0]) < since):
            self._days.pop(key)
        self._places = {}

    def _judge(self, today: int, now_ms: int) -> list[Finding]:
        sums: dict[str, Sums] = {}
        for key, row in self._days:
            if int(key.partition("|")[0]) >= today:
                continue
            for path, (revenue, handle) in row.items():
                for scope in ancestors(path):
                    of_scope = sums.setdefault(scope, [0, 0])
                    of_scope[0] += revenue
                    of_scope[1] += handle
        settings = self.settings
        return [
            self._found(scope, sums[scope], now_ms)
            for scope in sorted(sums)
            if sums[scope][1] >= max(1, settings.handle_minor) and sums[scope][0] < settings.hold * sums[scope][1]
        ]

    def _found(self, scope: str, sums: Sums, now_ms: int) -> Finding:
        revenue, handle = sums
        agent = self.book.agent(scope)
        name = "The book" if scope == ROOT else f"{agent.name if agent else ''} ({scope})".lstrip()
        hold = round(revenue / handle, 3)
        return Finding(
            cause=scope,
            entity=Entity("agent", scope, agent.name if agent else ""),
            severity=self.settings.severity,
            path=scope,
            at_ms=now_ms,
            title=f"{name} held {percent(hold)} of {self.said(handle)} over {self.settings.days} days.",
            evidence={
                "hold": hold,
                "threshold": self.settings.hold,
                "revenue": self.major(revenue),
                "settledHandle": self.major(handle),
                "days": self.settings.days,
            },
        )

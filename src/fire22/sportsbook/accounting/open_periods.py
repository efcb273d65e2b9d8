"""Which day and week of a book are running, and which past weeks can still be restated.

The watermark moves the running day, by as many days as it likes. A day that has ended never runs again, whatever the
settings become: what happens after its end counts in a later one. A change of the first day of the week holds from the
end of the running week on, and the week that follows may be shorter; so weeks meet, and each day lies in one.

What can no longer be restated is known until the flush after the one that said so: it may have ended in the same group.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from fire22.sportsbook.betting.periods import Periods, month_of

GAP_DAYS_MAX: Final = 400  # after so long without a watermark, weeks in which nothing happened are passed over
WEEK: Final = 7


class OpenPeriods(Struct, gc=False, array_like=True):
    """What is kept; days by their ordinal, 0 before the first watermark.

    Args:
        day: the running day.
        day_ms: when it began.
        weeks: the first days of the weeks that are known, the last of them the running one.
        restate_from: the first day of the weeks that can be restated.
        week_end: the first day of the next week.
        hot: days from here on have cells of their own, those before it lie in sheets.
        hot_next: what `hot` becomes.
        known_from: what the first of `weeks` becomes.
        said_ms: the watermark of when documents were said last.
    """

    day: int = 0
    day_ms: int = 0
    weeks: tuple[int, ...] = ()
    restate_from: int = 0
    week_end: int = 0
    hot: int = 0
    hot_next: int = 0
    known_from: int = 0
    said_ms: int = 0

    @property
    def week(self) -> int:
        """The first day of the running week."""
        return self.weeks[-1]

    @property
    def kept_from(self) -> int:
        """The first day whose cells are needed: a month can be restated as long as one of its days can."""
        return month_of(self.restate_from)

    def week_of(self, day: int) -> tuple[int, int]:
        """A known day's week: its first day and the first one after it."""
        after = self.week_end
        for first in reversed(self.weeks):
            if first <= day:
                return first, after
            after = first
        raise AssertionError(f"day {day} is before the weeks that are known")

    def begin(self, day: int, periods: Periods, restate_weeks: int) -> None:
        """The first watermark has come."""
        week = periods.first("week", day)
        self.day, self.day_ms = day, periods.starts_ms(day)
        self.weeks = tuple(week - WEEK * back for back in range(restate_weeks, -1, -1))
        self.week_end = week + WEEK
        self.hot = self.hot_next = self.restate_from = self.known_from = self.weeks[0]

    def advance(self, day: int, periods: Periods, restate_weeks: int, busy: Sequence[int]) -> list[tuple[int, int]]:
        """A later day runs; returns the weeks that have ended, as (first day, first day after).

        Args:
            busy: the days from the running one on in which something happened, in order.
        """
        self.day, self.day_ms = day, max(self.day_ms, periods.starts_ms(day))
        ended: list[tuple[int, int]] = []
        weeks = list(self.weeks)
        told_apart = self.week_end + GAP_DAYS_MAX
        kept = periods.first("week", day) - WEEK * restate_weeks
        while day >= self.week_end:
            first, after = weeks[-1], self.week_end
            at = bisect_left(busy, first)
            next_busy = busy[at] if at < len(busy) else day
            if told_apart <= first < kept and next_busy >= after:  # the stretch passed over stands as one week
                after = max(after, min(periods.first("week", next_busy), kept))
            else:
                ended.append((first, after))
            weeks.append(after)
            self.week_end = periods.after("week", after)
        self.weeks = tuple(weeks)
        self.restate_from = max(self.restate_from, weeks[-restate_weeks - 1 :][0])
        return ended

    def forget(self) -> None:
        """What was said to be known no longer is not known any more."""
        self.hot = self.hot_next
        self.weeks = tuple(first for first in self.weeks if first >= self.known_from)

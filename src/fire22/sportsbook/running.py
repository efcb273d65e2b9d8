"""Which day and week of a book are running, and which past weeks can still be restated.

The watermark moves the running day. A day that has ended never runs again, whatever the settings become: what happens
after its end counts in a later one. A change of the first day of the week holds from the end of the running week on,
and the week that follows may be shorter; so weeks meet, and each day lies in one.
"""

from typing import Final

from msgspec import Struct

from fire22.sportsbook.periods import Periods, month_of

GAP_DAYS_MAX: Final = 400  # in a longer time without a watermark no week is told apart
WEEK: Final = 7


class Running(Struct, gc=False, array_like=True):
    """What is kept; days by their ordinal, 0 before the first watermark.

    Args:
        day: the running day.
        day_ms: when it began.
        weeks: the first days of the weeks that are kept, the last of them the running one.
        week_end: the first day of the next week.
        hot: days from here on have cells of their own, those before it lie in sheets.
        hot_next: what `hot` becomes.
        said_ms: the watermark of when documents were said last.
    """

    day: int = 0
    day_ms: int = 0
    weeks: tuple[int, ...] = ()
    week_end: int = 0
    hot: int = 0
    hot_next: int = 0
    said_ms: int = 0

    @property
    def week(self) -> int:
        """The first day of the running week."""
        return self.weeks[-1]

    @property
    def kept_from(self) -> int:
        """The first day whose cells are kept: a month can be restated as long as one of its days can."""
        return month_of(self.weeks[0])

    def week_of(self, day: int) -> tuple[int, int]:
        """A kept day's week, or that of a day soon to come: its first day and the first one after it."""
        if day >= self.week_end:
            return self.week_end, self.week_end + WEEK
        after = self.week_end
        for first in reversed(self.weeks):
            if first <= day:
                return first, after
            after = first
        raise AssertionError(f"day {day} is before the weeks that are kept")

    def begin(self, day: int, periods: Periods, restate_weeks: int) -> None:
        """The first watermark has come."""
        week = periods.first("week", day)
        self.day, self.day_ms = day, periods.starts_ms(day)
        self.weeks = tuple(week - WEEK * back for back in range(restate_weeks, -1, -1))
        self.week_end = week + WEEK
        self.hot = self.hot_next = self.weeks[0]

    def advance(self, day: int, periods: Periods, restate_weeks: int) -> list[tuple[int, int]]:
        """A later day runs; returns the weeks that have ended, as (first day, first day after)."""
        self.day, self.day_ms = day, max(self.day_ms, periods.starts_ms(day))
        ended: list[tuple[int, int]] = []
        weeks = list(self.weeks)
        while day >= self.week_end:
            ended.append((weeks[-1], self.week_end))
            weeks.append(self.week_end)
            if day - self.week_end > GAP_DAYS_MAX:  # the week after may hold what was a little ahead
                after = periods.after("week", self.week_end)
                ended.append((self.week_end, after))
                weeks += [after, periods.first("week", day) - WEEK * (restate_weeks + 1)]
            self.week_end = periods.after("week", weeks[-1])
        self.weeks = tuple(weeks[-restate_weeks - 1 :])
        return ended

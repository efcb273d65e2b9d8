"""Days, weeks and months that have ended, with the totals of each scope in them, and how they are restated."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from fire22.core.scope import ancestors
from fire22.flows.base import Table
from fire22.sportsbook.accounting.accounts import Accounts
from fire22.sportsbook.accounting.customer_day import AgentDay, Total, most, total_of
from fire22.sportsbook.accounting.late_facts import LateFact, LateFacts
from fire22.sportsbook.accounting.period_totals import PeriodTotals
from fire22.sportsbook.betting.periods import KINDS, Period, PeriodKind, month_after, month_of

MERGED_MAX: Final = 1_000  # sheets of several days that are kept for the rest of a flush


class Restated(Struct, frozen=True):
    """An ended period into which facts came late.

    Args:
        paths: the agents below whom they fell, with the customers; whether a balance moved.
    """

    period: Period
    paths: dict[str, dict[str, bool]]

    @property
    def scopes(self) -> list[str]:
        """Every agent's scope that it changes, sorted."""
        return sorted({scope for path in self.paths for scope in ancestors(path)})


class EndedPeriods:
    """Kept by the day book.

    Attributes:
        ended, restated: in this flush.
    """

    def __init__(self, accounts: Accounts, late: LateFacts) -> None:
        self.ended: list[Period] = []
        self.restated: list[Restated] = []
        self._accounts = accounts
        self._late = late
        self._totals = PeriodTotals()
        self._ending: tuple[int, int] | None = None
        self._ending_weeks: list[tuple[int, int]] = []
        self._merged: dict[
            tuple[int, int, str], AgentDay
        ] = {}  # of this flush: reports ask for what totals were made of

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Totals of ended periods."""
        return self._totals.tables

    @property
    def is_ending(self) -> bool:
        """Whether a day has ended since the last flush."""
        return self._ending is not None

    def loaded(self) -> None:
        """Derive which there are."""
        self._totals.loaded()

    def end_days(self, since: int, until: int, weeks: list[tuple[int, int]]) -> None:
        """The days from `since` until before `until` have ended, and so have weeks."""
        self._ending = (self._ending[0] if self._ending else since, until)
        self._ending_weeks += weeks

    def begin_flush(self) -> None:
        """Nothing has ended and nothing is restated yet."""
        self._merged = {}
        self.ended, self.restated = [], []

    def drop(self, kept_from: int) -> None:
        """Forget the periods that began before a day."""
        self._totals.drop(kept_from)

    def sheet(self, first: int, after: int, path: str) -> AgentDay:
        """The cells of an agent's own customers, summed over the days from `first` until before `after`."""
        known = self._merged.get((first, after, path))
        return known if known is not None else self._accounts.sheet(first, after, path)

    def total_paths(self, kind: PeriodKind, first: int) -> list[str]:
        """The agents (and the house) with something in an ended period, sorted."""
        return self._totals.paths(kind, first)

    def total(self, kind: PeriodKind, first: int, path: str) -> Total | None:
        """An ended period of an agent's own customers."""
        return self._totals.get(kind, first, path)

    def scope_totals(self, period: Period) -> dict[str, Total]:
        """An ended period of every scope that had something in it."""
        totals: dict[str, Total] = {}
        for path in self.total_paths(period.kind, period.first):
            own = self.total(period.kind, period.first, path)
            if own is None:
                continue
            for scope in ancestors(path):
                into = totals.get(scope)
                if into is None:
                    into = totals[scope] = Total()
                into.add(own)
                into.players += own.players
                into.top += own.top
        for total in totals.values():
            total.top = most(total.top)
        self._count_once(period, totals)
        return totals

    def periods_of_week(self, first: int) -> list[Period]:
        """An ended week and, where it has ended too, the month in which the week ended."""
        week = self._totals.period("week", first)
        if week is None:
            return []
        month = self._totals.period("month", month_of(week.after - 1))
        return [week] if month is None else [week, month]

    def end(self) -> bool:
        """Work out the periods that have ended since the last flush; whether a week is among them."""
        if self._ending is None:
            raise AssertionError("no day has ended")
        (since, until), self._ending = self._ending, None
        weeks, self._ending_weeks = self._ending_weeks, []
        days = self._accounts.days_with_cells(since, until)
        spans: list[tuple[PeriodKind, int, int]] = [("day", day, day + 1) for day in days]
        months = dict.fromkeys(month_of(day) for day in [*days, since] if month_of(day) < month_of(until))
        for first, after in weeks:
            spans.append(("week", first, after))
        spans += [("month", first, month_after(first)) for first in sorted(months)]
        for kind, first, after in spans:
            paths = self._accounts.paths_between(first, after)
            if not paths:
                continue
            period = self._accounts.periods.between(kind, first, after)
            self._totals.end(period)
            self.ended.append(period)
            for path in paths:
                self._put_total(period, path)
        for day in days:  # what came late for a day that ends only now is in it
            self._late.take_day(day)
        return bool(weeks)

    def _put_total(self, period: Period, path: str) -> None:
        sheet = self.sheet(period.first, period.after, path)
        if period.kind != "day" and len(self._merged) < MERGED_MAX:
            self._merged[period.first, period.after, path] = sheet
        self._totals.put(period, path, total_of(path, sheet))

    def restate(self) -> None:
        """Work out anew the totals into which facts came late."""
        found: dict[tuple[int, int], tuple[Period, dict[str, dict[str, bool]]]] = {}
        for day, scope, late in list(self._late):
            if self._ending is not None and day >= self._ending[0]:
                continue
            path, _, customer = scope.rpartition("/@")
            for period in self._periods_of(day, late):
                place = (KINDS.index(period.kind), period.first)
                customers = found.setdefault(place, (period, {}))[1].setdefault(path or "/", {})
                customers[customer] = customers.get(customer, False) or late.moved
            self._late.take(day, scope)
        for place in sorted(found):
            period, paths = found[place]
            for path in paths:
                self._put_total(period, path)
            self.restated.append(Restated(period, paths))

    def _periods_of(self, day: int, late: LateFact) -> Iterator[Period]:
        """The periods of a day that had ended before this group."""
        now = self._ending[0] if self._ending is not None else self._accounts.running.day
        spans: list[tuple[PeriodKind, int, int]] = [("day", day, day + 1), ("week", late.week, late.after)]
        spans.append(("month", month_of(day), month_after(day)))
        for kind, first, after in spans:
            if after > now:
                continue
            period = self._totals.period(kind, first)
            if period is None:
                period = self._accounts.periods.between(kind, first, after)
                self._totals.end(period)
            yield period

    def _count_once(self, period: Period, totals: dict[str, Total]) -> None:
        """A customer who wagered below several agents is one player where they meet."""
        for customer, homes in self._accounts.homes.items():
            if len(homes) == 1:
                continue
            met: dict[str, int] = {}
            for path in homes:
                cell = self.sheet(period.first, period.after, path).get(customer)
                if cell is not None and cell.placed:
                    for scope in ancestors(path):
                        met[scope] = met.get(scope, 0) + 1
            for scope, times in met.items():
                totals[scope].players -= times - 1

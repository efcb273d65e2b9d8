"""The periods that have ended and can be restated, with the totals of each agent's own customers in them."""

from typing import Any

from fire22.flows.base import Table
from fire22.sportsbook.accounting.customer_day import Total, decode_total, encode_total
from fire22.sportsbook.betting.periods import KINDS, Period, PeriodKind


class PeriodTotals:
    """Every total that is kept; periods by their kind and first day."""

    def __init__(self) -> None:
        self._totals: Table[bytes] = Table("total", bytes)
        self._periods: Table[Period] = Table("period", Period)
        self._paths: dict[tuple[PeriodKind, int], dict[str, None]] = {}

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Totals and periods."""
        return (self._totals, self._periods)

    def loaded(self) -> None:
        """Derive which there are."""
        for key, _ in self._totals:
            kind, first, path = _parse(key)
            self._paths.setdefault((kind, first), {})[path] = None

    def period(self, kind: PeriodKind, first: int) -> Period | None:
        """A period that has ended."""
        return self._periods.get(f"{kind}:{first}")

    def end(self, period: Period) -> None:
        """A period has ended."""
        self._periods.put(f"{period.kind}:{period.first}", period)

    def paths(self, kind: PeriodKind, first: int) -> list[str]:
        """The agents (and the house) with something in a period, sorted."""
        return sorted(self._paths.get((kind, first), ()))

    def get(self, kind: PeriodKind, first: int, path: str) -> Total | None:
        """A period of an agent's own customers."""
        kept = self._totals.get(f"{kind}:{first}|{path}")
        return decode_total(kept) if kept is not None else None

    def put(self, period: Period, path: str, total: Total) -> None:
        """Add or replace a total."""
        kind, first = period.kind, period.first
        self._totals.put(f"{kind}:{first}|{path}", encode_total(total))
        self._paths.setdefault((kind, first), {})[path] = None

    def drop(self, before: int) -> None:
        """Forget the periods that began before a day."""
        for kind, first in sorted(name for name in self._paths if name[1] < before):
            self._periods.pop(f"{kind}:{first}")
            for path in sorted(self._paths.pop((kind, first))):
                self._totals.pop(f"{kind}:{first}|{path}")


def _parse(key: str) -> tuple[PeriodKind, int, str]:
    name, _, path = key.partition("|")
    kind, _, first = name.partition(":")
    for known in KINDS:
        if known == kind:
            return known, int(first), path
    raise AssertionError(f"{key} is no total's")

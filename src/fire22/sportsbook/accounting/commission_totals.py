"""What the agents of each scope earned together in a week and in a month: when it has ended, and when it is restated.

The commissions archive it under `week:2026-11-24` or `month:2026-11`, at every scope that covers an agent with a plan:
who may not follow what agents earn finds no trace of it in the reports. A month has the weeks that ended in it. A week
that is closed again with another commission makes the next revision of both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from fire22.core.message import Json
from fire22.core.scope import ancestors
from fire22.core.times import to_text
from fire22.flows.base import Table
from fire22.sportsbook.accounting.daybook import Daybook
from fire22.sportsbook.accounting.revisions import Revisions
from fire22.sportsbook.betting.money import Major
from fire22.sportsbook.betting.periods import Period

Sums = Callable[[int, int], Mapping[str, int]]


class CommissionSum(Struct, frozen=True):
    """A scope's commissions of a period; minor units."""

    period: Period
    scope: str
    earned: int
    revision: int

    @property
    def key(self) -> str:
        """In the archive; that of an agent's own week has no word before it."""
        return f"{self.period.kind}:{self.period.key}"

    def document(self, major: Major) -> dict[str, Json]:
        """As it is archived."""
        return {
            "period": self.period.kind,
            "from": to_text(self.period.start_ms),
            "to": to_text(self.period.end_ms),
            "commission": major(self.earned),
        }


class CommissionSums:
    """Knows what was restated.

    Args:
        table: of the flow that owns it.
    """

    def __init__(self, daybook: Daybook, table: Table[int]) -> None:
        self._daybook = daybook
        self._revisions = Revisions(table)

    def due(self, changed: Mapping[int, Sequence[str]], sums: Sums) -> Iterator[CommissionSum]:
        """What is to be archived now.

        Args:
            changed: the agents whose commission of a closed week is another now, by the week's first day.
            sums: of each scope, of the weeks whose last day lies in a range of days.
        """
        book = self._daybook.periods
        ended = {(period.kind, period.first): period for period in book.ended if period.kind != "day"}
        restated: dict[tuple[str, int], tuple[Period, dict[str, None]]] = {}
        for first, paths in sorted(changed.items()):
            for period in book.periods_of_week(first):
                _, scopes = restated.setdefault((period.kind, period.first), (period, {}))
                scopes.update(dict.fromkeys(scope for path in paths for scope in ancestors(path)))
        for name, (period, scopes) in sorted(restated.items()):
            if name not in ended:
                of_period = sums(period.first, period.after)
                for scope in sorted(scopes):
                    revision = self._revisions.next(period.first, f"{period.kind}|{scope}")
                    yield CommissionSum(period, scope, of_period[scope], revision)
        for period in ended.values():
            for scope, earned in sorted(sums(period.first, period.after).items()):
                yield CommissionSum(period, scope, earned, 1)
        if ended:
            self._revisions.forget(self._daybook.accounts.running.kept_from)

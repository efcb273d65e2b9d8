"""Batch updates: what each scope did in a day, a week, a month; archived when the period has ended, and kept for ever.

Every agent's scope, the house and every customer that had something in a period gets one document in the archive of the
topic `reports`, under `day:2026-11-24`, `week:2026-11-24` or `month:2026-11`. A message on the stream of that name
says of each agent's scope that it is out. What comes late makes the period's next revision, and is said likewise.

NGR here is gross revenue less bonuses and charge-backs. What agents earn of it is for whom may follow the topic
`commission`; see `commission_totals.py`.
"""

from typing import ClassVar, Final

import msgspec
from msgspec import Struct

from fire22.core.message import Json
from fire22.core.scope import customer_path
from fire22.core.times import to_text
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Flow, Handler, Table
from fire22.sportsbook.accounting.customer_day import ActivitySums, Total
from fire22.sportsbook.accounting.daybook import Daybook
from fire22.sportsbook.accounting.revisions import Revisions
from fire22.sportsbook.betting.money import Major
from fire22.sportsbook.betting.periods import Period, PeriodKind
from fire22.sportsbook.registry.flow import Registry

TOPIC: Final = "reports"
FILTERABLE: Final = ("scope", "period", "key", "revision")
# Of a message, and of the document in the archive.
FIELDS: Final = (
    "scope", "key", "revision", "totals", "period", "from", "to", "handle", "settledHandle", "revenue",
    "bonuses", "chargebacks", "ngr", "placed", "settled", "resettled", "cancelled", "voided", "modified",
    "parlays", "newCustomers", "deposits", "withdrawals", "adjustments", "largestWager", "largestWagerId",
    "hold", "late", "future", "players", "topCustomers",
)  # fmt: skip
_encode: Final = msgspec.json.Encoder().encode


class ReportOut(Struct, frozen=True, gc=False):
    """`data` of a `reports` message: which document is out, and its totals, money in major units."""

    scope: str
    period: PeriodKind
    key: str
    revision: int
    totals: dict[str, Json]


def archive_key(kind: PeriodKind, key: str) -> str:
    """The key of a period's document in the archive."""
    return f"{kind}:{key}"


class Reports(Flow):
    """Comes after the day book."""

    name: ClassVar[str] = "reports"
    version: ClassVar[int] = 3

    def __init__(self, registry: Registry, daybook: Daybook) -> None:
        super().__init__()
        self.topics = (Topic(TOPIC, Kind.STREAM, FILTERABLE, archived=True, fields=FIELDS),)
        self._book = registry
        self._daybook = daybook
        self._revision_rows: Table[int] = Table("revision", int)
        self._revisions = Revisions(self._revision_rows)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """What was restated."""
        return (self._revision_rows,)  # type: ignore[return-value]

    def handlers(self) -> dict[str, Handler]:
        """None: all comes from the day book."""
        return {}

    def flush(self) -> None:
        """Archive what has ended and what is restated."""
        if not self._daybook.due:
            return
        book = self._daybook.periods
        paths = {(one.period.kind, one.period.first): one.paths for one in book.restated}
        periods = {(one.period.kind, one.period.first): one.period for one in book.restated}
        scopes = {(one.period.kind, one.period.first): dict.fromkeys(one.scopes) for one in book.restated}
        for name, period in sorted(periods.items()):
            totals = book.scope_totals(period)
            for scope in sorted(scopes[name]):
                self._say(period, scope, totals.get(scope) or Total(), restated=True)
            for path, customers in sorted(paths.get(name, {}).items()):
                sheet = book.sheet(period.first, period.after, path)
                for customer in sorted(customers):
                    self._keep(period, customer_path(path, customer), sheet[customer], restated=True)
        for period in book.ended:
            self._end(period)
        if book.ended:
            self._revisions.forget(self._daybook.accounts.running.kept_from)

    def _end(self, period: Period) -> None:
        book = self._daybook.periods
        for scope, total in sorted(book.scope_totals(period).items()):
            self._say(period, scope, total, restated=False)
        for path in book.total_paths(period.kind, period.first):
            for customer, cell in sorted(book.sheet(period.first, period.after, path).items()):
                self._keep(period, customer_path(path, customer), cell, restated=False)

    def _say(self, period: Period, scope: str, total: Total, *, restated: bool) -> None:
        revision, document = self._keep(period, scope, total, restated=restated)
        totals: dict[str, Json] = {name: value for name, value in document.items() if isinstance(value, int | float)}
        out = ReportOut(scope, period.kind, period.key, revision, totals)
        self.out.stream(TOPIC, scope, "update", self.watermark_ms, _encode(out))

    def _keep(self, period: Period, scope: str, sums: ActivitySums, *, restated: bool) -> tuple[int, dict[str, Json]]:
        key = archive_key(period.kind, period.key)
        revision = self._revisions.next(period.first, f"{period.kind}|{scope}") if restated else 1
        document = _document(period, sums, self._book.money.major)
        self.out.archive(TOPIC, scope, key, revision, self.watermark_ms, document)
        return revision, document


def _document(period: Period, sums: ActivitySums, major: Major) -> dict[str, Json]:
    document: dict[str, Json] = {
        "period": period.kind,
        "from": to_text(period.start_ms),
        "to": to_text(period.end_ms),
        "handle": major(sums.handle),
        "settledHandle": major(sums.settled_handle),
        "revenue": major(sums.revenue),
        "bonuses": major(sums.bonuses),
        "chargebacks": major(sums.chargebacks),
        "ngr": major(sums.revenue - sums.bonuses - sums.chargebacks),
        "placed": sums.placed,
        "settled": sums.settled,
        "resettled": sums.resettled,
        "cancelled": sums.cancelled,
        "voided": sums.voided,
        "modified": sums.modified,
        "parlays": sums.parlays,
        "newCustomers": sums.new,
        "deposits": major(sums.deposits),
        "withdrawals": major(sums.withdrawals),
        "adjustments": major(sums.adjustments),
        "largestWager": major(sums.largest),
    }
    if sums.largest_id:
        document["largestWagerId"] = sums.largest_id
    if sums.settled_handle:
        document["hold"] = round(100 * sums.revenue / sums.settled_handle, 2)
    if sums.late:
        document["late"] = sums.late
    if sums.future:
        document["future"] = sums.future
    if isinstance(sums, Total):
        _of_many(document, sums, major)
    return document


def _of_many(document: dict[str, Json], total: Total, major: Major) -> None:
    document["players"] = total.players
    document["topCustomers"] = [
        {
            "customerId": one.customer_id,
            "scope": customer_path(one.path, one.customer_id),
            "figure": major(one.figure),
        }
        for one in total.top
    ]

"""The `commission` view: what each agent earns, week by week, closed for the whole tree at once.

A week is closed when the watermark has passed its end: the plans that hold on its first day are applied from the lowest
agents up, and the make-up is carried. Facts that come late for a closed week close it again with the next revision, and
say the `difference` to what was posted before; weeks after it follow where the make-up has changed. A plan never
holds for a week that was closed before the plan was told of.

A document lies in the agent's own scope alone: under the key of each week that can still be restated, and under
`current` for the running week as it stands. It tells what reached the agent and what the agent earns of it, nothing of
who is above.

Source: domain rules, "Agent commission"; the arithmetic is in `commission_plans.py`.
"""

from datetime import date
from fractions import Fraction
from typing import ClassVar, Final

import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.message import Json
from fire22.core.scope import ROOT, ancestors, covers
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Refused, Table, expect
from fire22.sportsbook.accounting import commission_plans as arithmetic
from fire22.sportsbook.accounting.commission_totals import CommissionSums
from fire22.sportsbook.accounting.customer_day import Total
from fire22.sportsbook.accounting.daybook import Daybook
from fire22.sportsbook.accounting.settings import CommissionSettings
from fire22.sportsbook.betting import codes as betting_codes
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.errors import AmountError
from fire22.sportsbook.betting.periods import key_of
from fire22.sportsbook.registry.flow import Registry

# Of a document, and of one in the archive.
FIELDS: Final = (
    "week", "period", "from", "to", "agentId", "plan", "rate", "net", "makeupBefore", "makeupAfter",
    "commission", "handle", "heads", "status", "revision", "difference",
)  # fmt: skip

TOPIC: Final = "commission"
CURRENT: Final = "current"
SINCE: Final = "since"  # up to which watermark the running week's estimate is complete, beside when it was made


class PlanRow(Struct, frozen=True, gc=False, array_like=True):
    """A plan as it was told of, and the first day it holds for."""

    first: int
    type: str
    rate: float
    per_head_minor: int
    brackets: tuple[tuple[int, float], ...]


class WeekRow(Struct, frozen=True, gc=False, array_like=True):
    """An agent's closed week, up to the day `after`; minor units."""

    after: int
    revision: int
    net: int
    makeup_before: int
    makeup_after: int
    commission: int
    handle: int
    heads: int


class Commissions(Flow):
    """Comes after the day book and before the reports."""

    name: ClassVar[str] = "commission"
    version: ClassVar[int] = 2

    def __init__(self, registry: Registry, daybook: Daybook) -> None:
        super().__init__()
        self.topics = (Topic(TOPIC, Kind.VIEW, archived=True, fields=FIELDS),)
        self.changed: dict[int, list[str]] = {}
        self.posted: list[tuple[str, int, int]] = []
        self._book = registry
        self._daybook = daybook
        self._interval_ms = CommissionSettings().interval_ms
        self._plans: Table[tuple[PlanRow, ...]] = Table("plan", tuple[PlanRow, ...])
        self._weeks: Table[WeekRow] = Table("week", WeekRow)
        self._makeups: Table[int] = Table("makeup", int)
        self._earned: Table[int] = Table("earned", int)
        self._said: Table[int] = Table("said", int)
        self._restated: Table[int] = Table("restated", int)
        self._sums = CommissionSums(daybook, self._restated)
        self._closed: dict[int, dict[str, None]] = {}
        self._changes = 0  # of the day book, as far as it is known to be waiting
        self._is_stirred = False
        self._is_idle = False

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Plans, closed weeks, the make-up carried into the running one, what was earned in all, restated sums."""
        return (self._plans, self._weeks, self._makeups, self._earned, self._said, self._restated)  # type: ignore[return-value]

    def configure(self, settings: Raw) -> None:
        """Take the settings that hold from here on."""
        self._interval_ms = msgspec.json.decode(settings, type=CommissionSettings).interval_ms

    def handlers(self) -> dict[str, Handler]:
        """Plans; all else comes from the day book."""
        return {"commission.plan_set": self._plan}

    def loaded(self) -> None:
        """Derive which weeks are closed."""
        for key, _ in self._weeks:
            first, _, path = key.partition("|")
            self._closed.setdefault(int(first), {})[path] = None
        self._changes = self._daybook.accounts.changes
        since = self._said.get(SINCE)
        if since is not None:
            self.out.waits(TOPIC, "", since)

    def idle(self) -> None:
        """The running week is estimated."""
        self._is_idle = True

    def flush(self) -> None:
        """Close what has ended, close again what was restated, estimate what runs."""
        self.changed, self.posted = {}, []
        accounts, periods = self._daybook.accounts, self._daybook.periods
        running = accounts.running
        interval_ms = 0 if self._is_idle else self._interval_ms
        self._is_idle = False
        if not len(self._plans):
            return
        if accounts.changes != self._changes or self._is_stirred:
            self._changes, self._is_stirred = accounts.changes, False
            if self._said.get(SINCE) is None:
                self._said.put(SINCE, self.before_ms)
                self.out.waits(TOPIC, "", self.before_ms)
        if not self._daybook.due:
            return
        restated = [one.period for one in periods.restated if one.period.kind == "week"]
        if restated:
            since = min(period.first for period in restated)
            spans = {period.first: period.after for period in restated}
            spans |= {first: running.week_of(first)[1] for first in self._closed if first in running.weeks}
            for first in sorted(first for first in spans if first >= since):
                self._close(first, spans[first])
        ended = [period for period in periods.ended if period.kind == "week"]
        for period in ended:
            self._close(period.first, period.after)
        for each in self._sums.due(self.changed, self._sums_minor):
            document = each.document(self._book.money.major)
            self.out.archive(TOPIC, each.scope, each.key, each.revision, self.watermark_ms, document)
        if ended:
            self._forget(running.restate_from, running.kept_from)
        said_ms = self._said.get("ms") or 0
        if ended or self.watermark_ms - said_ms >= interval_ms:
            self._said.put("ms", self.watermark_ms)
            self._said.pop(SINCE)
            self.out.settled(TOPIC, "")
            self._estimate(running.week, running.week_end)

    # What other flows may ask.

    def commission_minor(self, scope: str) -> int:
        """What the agents of a sub-tree earned in all weeks that were ever closed, minor units."""
        return self._earned.get(scope) or 0

    # Plans.

    def _plan(self, fact: Fact) -> None:
        told = expect(fact, facts.CommissionPlan)
        if self._book.agent(told.path) is None:
            raise Refused(betting_codes.AGENT_UNKNOWN, f"There is no agent at {told.path}.", path=told.path)
        brackets = tuple((each.from_minor, each.rate) for each in told.brackets)
        first = _ordinal(told.effective_from)
        if self._daybook.accounts.running.day:
            first = max(first, self._daybook.accounts.week_at(fact.at_ms))
        row = PlanRow(first, told.type, told.rate, told.per_head_minor, brackets)
        _arithmetic_plan(row)  # refuses what cannot be figured
        known = self._plans.get(told.path)
        if known is None and told.makeup_minor:
            self._makeups.put(told.path, told.makeup_minor)
        # The later of two with the same day replaces the earlier.
        others = [each for each in known or () if each.first != first]
        self._is_stirred = True
        self._plans.put(told.path, tuple(sorted([*others, row], key=lambda each: each.first)))

    def _plan_of(self, path: str, first: int) -> PlanRow | None:
        """The plan that holds on the first day of a week."""
        held = [row for row in self._plans.get(path) or () if row.first <= first]
        return held[-1] if held else None

    # Weeks.

    def _close(self, first: int, after: int) -> None:
        """Close a week, or close it again, and post what has changed."""
        totals = {
            path: self._daybook.periods.total("week", first, path)
            for path in self._daybook.periods.total_paths("week", first)
        }
        found = self._cascade(first, totals, closed=True)
        for path, period in found.items():
            handle = self._handle_below(path, totals)
            known = self._weeks.get(f"{first}|{path}")
            revision = 1 if known is None else known.revision + 1
            row = WeekRow(
                after, revision, period.net_minor, period.makeup_before_minor, period.makeup_after_minor,
                period.commission_minor, handle, period.heads,
            )  # fmt: skip
            if known is not None and msgspec.structs.replace(row, revision=known.revision) == known:
                continue
            self._post(path, first, row, known)

    def _post(self, path: str, first: int, row: WeekRow, known: WeekRow | None) -> None:
        difference = row.commission - (known.commission if known is not None else 0)
        self._weeks.put(f"{first}|{path}", row)
        self._closed.setdefault(first, {})[path] = None
        if difference:
            self.changed.setdefault(first, []).append(path)
            self.posted.append((path, row.after, difference))
        if first == max(week for week, paths in self._closed.items() if path in paths):
            self._makeups.put(path, row.makeup_after)
        for scope in ancestors(path):
            self._earned.put(scope, (self._earned.get(scope) or 0) + difference)
        document = self._document(path, first, row)
        document |= {"status": "closed", "revision": row.revision, "difference": self._book.money.major(difference)}
        at_ms = self.watermark_ms
        if first >= self._daybook.accounts.running.restate_from:
            self.out.view(TOPIC, path, key_of("week", first), "update", at_ms, document)
        self.out.archive(TOPIC, path, key_of("week", first), row.revision, at_ms, document)

    def _cascade(
        self, first: int, totals: dict[str, Total | None], *, closed: bool
    ) -> dict[str, arithmetic.ClosedWeek]:
        """The week of every agent with a plan, from the lowest up."""
        paths = dict.fromkeys(path for path, _ in self._book.agents())
        paths |= dict.fromkeys(path for path in totals if path != ROOT)
        plans = {path: self._plan_of(path, first) for path in paths}
        weeks = [
            arithmetic.AgentWeek(
                path,
                next((above for above in reversed(ancestors(path)[:-1]) if above in paths), None),
                _arithmetic_plan(plans[path]),
                _own(totals.get(path)),
                self._makeup(path, first) if closed else self._makeups.get(path) or 0,
            )
            for path in paths
        ]
        periods = arithmetic.cascade(weeks).periods
        return {path: periods[path] for path in sorted(paths) if plans[path] is not None}

    def _sums_minor(self, since: int, until: int) -> dict[str, int]:
        """What the agents of each sub-tree earned in the weeks whose last day lies in [since, until), minor units.

        They are known as long as their month can be restated. A scope without a closed week is not there.
        """
        sums: dict[str, int] = {}
        for first, paths in self._closed.items():
            for path in paths:
                row = self._weeks.get(f"{first}|{path}")
                if row is not None and since < row.after <= until:
                    for scope in ancestors(path):
                        sums[scope] = sums.get(scope, 0) + row.commission
        return sums

    def _makeup(self, path: str, first: int) -> int:
        """What is carried into a week: where a week before it was closed again, that one's; else as it was."""
        before = [week for week in sorted(self._closed) if week < first and path in self._closed[week]]
        if before:
            row = self._weeks.get(f"{before[-1]}|{path}")
            if row is not None:
                return row.makeup_after
        later = [week for week in sorted(self._closed) if week >= first and path in self._closed[week]]
        row = self._weeks.get(f"{later[0]}|{path}") if later else None
        return row.makeup_before if row is not None else self._makeups.get(path) or 0

    def _handle_below(self, path: str, totals: dict[str, Total | None]) -> int:
        return sum(total.handle for at, total in totals.items() if total is not None and covers(path, at))

    def _forget(self, weeks_from: int, kept_from: int) -> None:
        """Weeks that can no longer be restated leave the view, and later, with their month, the tables."""
        for first in sorted(first for first in self._closed if first < weeks_from):
            for path in sorted(self._closed[first]):
                self.out.view(TOPIC, path, key_of("week", first), "update", self.watermark_ms, None)
                row = self._weeks.get(f"{first}|{path}")
                if row is not None and row.after <= kept_from:
                    self._weeks.pop(f"{first}|{path}")
                    del self._closed[first][path]
            if not self._closed[first]:
                del self._closed[first]

    # The running week.

    def _estimate(self, first: int, after: int) -> None:
        totals: dict[str, Total | None] = dict(self._daybook.accounts.running_week())
        for path, period in self._cascade(first, totals, closed=False).items():
            row = WeekRow(
                after, 0, period.net_minor, period.makeup_before_minor, period.makeup_after_minor,
                period.commission_minor, self._handle_below(path, totals), period.heads,
            )  # fmt: skip
            document = self._document(path, first, row) | {"status": "running"}
            self.out.view(TOPIC, path, CURRENT, "update", self.watermark_ms, document)

    def _document(self, path: str, first: int, row: WeekRow) -> dict[str, Json]:
        agent, plan = self._book.agent(path), self._plan_of(path, first)
        if plan is None:
            raise AssertionError(f"{path} has no plan in the week of day {first}")
        major = self._book.money.major
        document: dict[str, Json] = {
            "week": key_of("week", first),
            "agentId": agent.agent_id if agent is not None else path.rpartition("/")[2],
            "plan": plan.type,
            "net": major(row.net),
            "makeupBefore": major(row.makeup_before),
            "makeupAfter": major(row.makeup_after),
            "commission": major(row.commission),
            "handle": major(row.handle),
            "heads": row.heads,
        }
        if plan.rate:
            document["rate"] = plan.rate
        return document


def _own(total: Total | None) -> arithmetic.WeekFigures:
    """Of an agent's own customers. What was cancelled of an earlier week's wagers does not make a handle negative."""
    if total is None:
        return arithmetic.WeekFigures(0)
    return arithmetic.WeekFigures(total.revenue, max(0, total.handle), total.players)


def _ordinal(text: str) -> int:
    """The ordinal of a date.

    Raises:
        Refused: there is no such date.
    """
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        raise Refused(codes.EVENT_INVALID, f"There is no date {text}.", effectiveFrom=text) from None


def _arithmetic_plan(row: PlanRow | None) -> arithmetic.Plan | None:
    """A plan to calculate with.

    Raises:
        Refused: it cannot be figured.
    """
    if row is None:
        return None
    rate = Fraction(repr(row.rate))
    try:
        match row.type:
            case "none":
                return None
            case "red_figure":
                return arithmetic.RedFigure(rate)
            case "profit":
                return arithmetic.Profit(rate)
            case "split":
                return arithmetic.Split(rate)
            case "reverse_red_figure":
                return arithmetic.ReverseRedFigure(rate)
            case "turnover":
                return arithmetic.Turnover(rate)
            case "per_head":
                return arithmetic.PerHead(row.per_head_minor)
            case "tiered":
                brackets = tuple(arithmetic.RateBracket(start, Fraction(repr(share))) for start, share in row.brackets)
                return arithmetic.Tiered(brackets)
    except AmountError as error:
        raise Refused(codes.EVENT_INVALID, f"The plan cannot be figured: {error}.", type=row.type) from None
    raise Refused(codes.EVENT_INVALID, f"There is no plan {row.type}.", type=row.type)

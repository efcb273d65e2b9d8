"""Weekly figures, commissions and reports against a slow recomputation from all facts that were taken."""

from collections.abc import Iterable
from datetime import date, time, timedelta
from random import Random

import msgspec
import pytest
from msgspec import Raw

from fire22.core.event import Event
from fire22.core.scope import ancestors
from fire22.core.times import to_datetime
from fire22.feed.base import Archived, Batch
from fire22.flows.base import Flow
from fire22.sportsbook.accounting.commissions import Commissions
from fire22.sportsbook.accounting.daybook import Daybook
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.accounting.reports import Reports
from fire22.sportsbook.accounting.weekly_figures import Figures
from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.flow import Registry
from tests.support.accounting import (
    Accounts,
    Calendar,
    Closed,
    Document,
    Entry,
    Spy,
    commissions,
    figures,
    moved,
    report,
)
from tests.support.folding import Folding
from tests.support.histories import AGENTS, History
from tests.support.storage import START_MS

DAY_MS = 24 * 3_600_000
PLANS = ("red_figure", "profit", "split", "reverse_red_figure", "turnover", "per_head", "none")


def flows() -> tuple[Flow, ...]:
    """The flows under test, and those they need."""
    registry = Registry()
    daybook = Daybook(registry)
    paid = Commissions(registry, daybook)
    return (
        registry, Ledger(registry), Spy(registry), daybook, Figures(registry, daybook), paid,
        Reports(registry, daybook),
    )  # fmt: skip


def configured(calendar: Calendar, at_ms: int, *, documents_max: int = 10_000, interval_ms: int = 0) -> Event:
    """The settings of these flows as an event."""
    settings = {
        "daybook": {
            "time_zone": calendar.zone,
            "day_starts_at": calendar.starts_at.isoformat(),
            "week_starts_on": calendar.week_starts_on,
            "restate_weeks": calendar.restate_weeks,
            "interval_ms": interval_ms,
        },
        "figures": {"documents_max": documents_max},
        "commission": {"interval_ms": 0},
    }
    data = {"flows": {name: {"version": 1, "settings": each} for name, each in settings.items()}}
    return Event(f"set:{at_ms}", "system.configured", "test", to_datetime(at_ms), Raw(msgspec.json.encode(data)))


def clock(at_ms: int) -> Event:
    """The watermark moves."""
    return Event(f"clock:{at_ms}", "system.clock", "clock", to_datetime(at_ms), Raw(b"{}"))


def plan(random: Random, number: int, at_ms: int) -> Event:
    """An agent gets a plan."""
    path = random.choice(AGENTS)
    days = to_datetime(at_ms).date() + timedelta(days=random.randrange(-60, 20))
    told = facts.CommissionPlan(
        path.rpartition("/")[2], path, random.choice(PLANS), random.choice((0.1, 0.25, 0.333)),
        per_head_minor=500, makeup_minor=random.choice((0, 5_000)),
        effective_from=random.choice(("1970-01-01", days.isoformat())),
    )  # fmt: skip
    raw = Raw(msgspec.json.encode(told))
    return Event(f"plan:{number}", "commission.plan_set", "test", to_datetime(at_ms), raw)


def history(seed: int, calendar: Calendar, count: int) -> list[Event]:
    """A history with plans, and with facts that are later than any week that is kept."""
    random = Random(f"history {seed}")
    made = History(seed, start_ms=START_MS + random.randrange(300) * DAY_MS, late=random.choice((0.0, 0.2, 0.4)))
    events: list[Event] = [configured(calendar, START_MS)]
    for number, each in enumerate(made.take(count)):
        if each.type == "system.configured":
            continue
        if each.type != "system.clock" and random.random() < 0.02:
            back_ms = random.randrange(40 * DAY_MS)
            each = Event(each.id, each.type, each.source, to_datetime(each.at_ms - back_ms), each.data, each.metadata)
        events.append(each)
        if number > 40 and random.random() < 0.02:
            events.append(plan(random, number, each.at_ms))
    return [*events, clock(made.now_ms + 10), clock(made.now_ms + 20)]


def grouped(events: list[Event], random: Random, share: float) -> list[list[Event]]:
    """The events in groups of random size, the last one alone."""
    groups: list[list[Event]] = [[]]
    for each in events[:-1]:
        groups[-1].append(each)
        if random.random() < share:
            groups.append([])
    return [*(group for group in groups if group), [events[-1]]]


def calendar_of(seed: int) -> Calendar:
    """A book's settings."""
    random = Random(f"calendar {seed}")
    return Calendar(
        random.choice(("UTC", "America/New_York", "Asia/Kolkata")),
        random.choice((time(0), time(6), time(23, 30))),
        random.choice(("tuesday", "monday", "saturday")),
        random.choice((1, 2, 5)),
    )


def spy_of(folding: Folding) -> Spy:
    """The spy among the flows."""
    (spy,) = [flow for flow in folding.engine.flows if isinstance(flow, Spy)]
    return spy


def newest(batches: Iterable[Batch]) -> dict[tuple[str, str, str], Archived]:
    """The newest revision of everything archived, each revision having come once and in its order."""
    found: dict[tuple[str, str, str], Archived] = {}
    for batch in batches:
        for each in batch.archived:
            name = (each.topic, each.scope, each.key)
            before = found.get(name)
            assert each.revision == before.revision + 1 if before else each.revision in (1, 2), each
            found[name] = each
    return found


def without_names(document: Document) -> Document:
    """A document of figures without what names its owner."""
    return {name: value for name, value in document.items() if name not in ("agentId", "customerId", "name")}


def check_view(folding: Folding, accounts: Accounts) -> None:
    """Every scope's document of the running week, in its own scope and in that of its agent."""
    assert accounts.today is not None
    week = accounts.calendar.week(accounts.today)
    after = week + timedelta(days=7)
    soon = accounts.of("/", None, date.max)
    expected: dict[tuple[str, str], Document] = {}
    for scope in sorted({"/", *accounts.agents, *accounts.scopes(soon)}):
        document = figures(accounts, scope, week)
        above, _, last = scope.rpartition("/")
        if last.startswith("@"):
            if not (document["carry"] or document["balance"] or accounts.of(scope, week, after)):
                continue
            expected[above or "/", f"customer:{last[1:]}"] = document
        elif scope != "/":
            expected[above or "/", f"agent:{last}"] = document
        expected[scope, ""] = document
    said = {name[1:]: without_names(body) for name, body in folding.documents.items() if name[0] == "figures"}
    assert said == expected
    for document in said.values():
        parts = document["carry"], *document["days"].values(), document["payments"], document["adjustments"]
        assert document["balance"] == pytest.approx(sum(parts), abs=0.001)


def check_running(folding: Folding, accounts: Accounts) -> None:
    """What each agent with a plan would earn if the running week ended now."""
    assert accounts.today is not None
    week = accounts.calendar.week(accounts.today)
    closed = commissions(accounts, {*ended(accounts, "week"), week})
    said = {name[1]: body for name, body in folding.documents.items() if name[0::2] == ("commission", "current")}
    expected = {path: each for (first, path), each in closed.items() if first == week}
    assert set(said) == set(expected)
    for path, each in expected.items():
        minor = (each.net, each.makeup_before, each.makeup_after, each.commission, each.handle)
        body = said[path]
        names = ("net", "makeupBefore", "makeupAfter", "commission", "handle")
        assert tuple(round(100 * float(str(body[name]))) for name in names) == minor, path
        assert (body["heads"], body["week"], body["status"]) == (each.heads, week.isoformat(), "running")


def ended(accounts: Accounts, kind: str) -> dict[date, list[Entry]]:
    """The periods that have ended, with their entries."""
    assert accounts.today is not None
    found: dict[date, list[Entry]] = {}
    for each in accounts.entries:
        first, after = accounts.calendar.span(kind, each.day)
        if after <= accounts.today and (kind == "month" or first >= accounts.told_from):
            found.setdefault(first, []).append(each)
    return found


def check_archive(folding: Folding, accounts: Accounts) -> None:
    """The newest revision of every ended period is what all facts together say."""
    archive = newest(folding.batches)
    bodies = {name: msgspec.json.decode(each.body) for name, each in archive.items()}
    weeks = ended(accounts, "week")
    paid = commissions(accounts, weeks)
    expected: dict[tuple[str, str, str], Document] = {}
    for kind in ("day", "week", "month"):
        for first, entries in ended(accounts, kind).items():
            _, after = accounts.calendar.span(kind, first)
            key = first.isoformat()[: 7 if kind == "month" else 10]
            for scope in accounts.scopes(entries):
                expected["reports", scope, f"{kind}:{key}"] = report(accounts, kind, first, after, scope)
    assert {name: body for name, body in bodies.items() if name[0] == "reports"} == expected
    check_sums(bodies, accounts, paid)
    for (topic, scope, key), body in bodies.items():
        if topic == "figures":
            assert without_names(body) == figures(accounts, scope, date.fromisoformat(key)), (scope, key)
    for week, entries in weeks.items():
        for scope in accounts.scopes(each for each in entries if moved([each])):
            assert ("figures", scope, week.isoformat()) in bodies
    closed = {(week.isoformat(), path): each for (week, path), each in paid.items()}
    assert {name[2:0:-1] for name in bodies if name[0] == "commission" and ":" not in name[2]} == set(closed)
    for (key, path), each in closed.items():
        body = bodies["commission", path, key]
        minor = each.net, each.makeup_before, each.makeup_after, each.commission, each.handle
        said = (body[name] for name in ("net", "makeupBefore", "makeupAfter", "commission", "handle"))
        assert tuple(round(100 * value) for value in said) == minor, (key, path)
        assert (body["plan"], body["heads"]) == (each.plan, each.heads)


def check_sums(
    bodies: dict[tuple[str, str, str], Document], accounts: Accounts, paid: dict[tuple[date, str], Closed]
) -> None:
    """What all agents of a scope earned in a week, and in a month, is the sum over their closed weeks."""
    sums: dict[tuple[str, str], int] = {}
    for (week, path), each in paid.items():
        month = (week + timedelta(days=6)).replace(day=1)
        for kind, first in (("week", week), ("month", month)):
            if accounts.today is not None and accounts.calendar.span(kind, first)[1] <= accounts.today:
                key = f"{kind}:{first.isoformat()[: 7 if kind == 'month' else 10]}"
                for scope in ancestors(path):
                    sums[scope, key] = sums.get((scope, key), 0) + each.commission
    said = {
        name[1:]: round(100 * body["commission"])
        for name, body in bodies.items()
        if name[0] == "commission" and ":" in name[2]
    }
    assert {name: earned for name, earned in said.items() if earned} == {
        name: each for name, each in sums.items() if each
    }


@pytest.mark.parametrize("seed", range(16))
def test_figures_reports_and_commissions_are_what_all_facts_together_say(seed: int) -> None:
    """A bookkeeper can trust every figure of every period and scope, whatever came and however late."""
    random = Random(f"groups {seed}")
    calendar = calendar_of(seed)
    folding = Folding(flows)
    groups = grouped(history(seed, calendar, 700), random, random.choice((0.1, 0.5)))
    looked = random.sample(range(len(groups)), 4)
    for number, group in enumerate(groups):
        folding.group(group)
        if number in looked and group[-1].type == "system.clock" and number:
            check_view(folding, Accounts(spy_of(folding).told, calendar))
    accounts = Accounts(spy_of(folding).told, calendar)
    check_view(folding, accounts)
    check_running(folding, accounts)
    check_archive(folding, accounts)


@pytest.mark.parametrize("seed", range(20, 26))
def test_a_restart_anywhere_changes_nothing(seed: int) -> None:
    """From whatever group the flows go on, every byte they say, archive and keep is the same."""
    random = Random(f"restarts {seed}")
    calendar = calendar_of(seed)
    groups = grouped(history(seed, calendar, 500), random, 0.3)
    again = configured(calendar_of(seed + 1000), groups[len(groups) // 2][0].at_ms, documents_max=4, interval_ms=60_000)
    groups.insert(len(groups) // 2, [again])
    whole, broken = Folding(flows), Folding(flows)
    stops = set(random.sample(range(len(groups)), 25))
    for number, group in enumerate(groups):
        one, other = whole.group(group), broken.group(group)
        assert one == other, number
        if number in stops:
            broken.restart()


def test_few_documents_at_a_time_come_to_the_same() -> None:
    """Documents that are held back in a burst come with the next watermarks, and then all is as it should be."""
    seed = 31
    calendar = Calendar()
    events = history(seed, calendar, 300)
    events[0] = configured(calendar, START_MS, documents_max=6)
    folding = Folding(flows)
    for group in grouped(events, Random(seed), 0.3):
        said = folding.group(group)
        assert sum(len(each.entries) for each in said.records if each.topic == "figures") <= 6
    for number in range(60):
        folding.clock(events[-1].at_ms + 1 + number)
    check_view(folding, Accounts(spy_of(folding).told, calendar))


def stories(events: list[Event]) -> dict[str, list[Event]]:
    """The facts of each wager and payment; what belongs to none has a story of its own."""
    found: dict[str, list[Event]] = {}
    for each in events:
        data = msgspec.json.decode(each.data)
        name = data.get("wagerId") or data.get("paymentId") or data.get("customerId") or each.id
        found.setdefault(f"{each.type.partition('.')[0]}:{name}", []).append(each)
    return found


@pytest.mark.parametrize("seed", range(40, 44))
def test_the_order_of_independent_facts_does_not_matter(seed: int) -> None:
    """Between two watermarks the facts of different wagers may come in any order: the figures are the same."""
    random = Random(f"order {seed}")
    calendar = calendar_of(seed)
    events = history(seed, calendar, 400)
    told, mixed = Folding(flows), Folding(flows)
    for folding in (told, mixed):
        folding.group(events[:40])
    between: list[Event] = []
    for each in events[40:]:
        if each.type not in ("system.clock", "commission.plan_set", "agent.created"):
            between.append(each)
            continue
        told.group([*between, each])
        mixed.group([*interleaved(between, random), each])
        between = []
    archives = [{name: each.body for name, each in newest(folding.batches).items()} for folding in (told, mixed)]
    assert archives[0] == archives[1]
    for name, document in told.documents.items():
        if name[0] in ("figures", "commission"):
            assert mixed.documents[name] == document


def interleaved(events: list[Event], random: Random) -> list[Event]:
    """The facts in another order, but those of one wager, payment or customer as they were."""
    waiting = list(stories(events).values())
    mixed: list[Event] = []
    while waiting:
        story = random.choice(waiting)
        mixed.append(story.pop(0))
        waiting = [story for story in waiting if story]
    return mixed

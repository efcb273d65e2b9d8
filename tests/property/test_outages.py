"""Whatever was down and however clocks jump: every period is what plain SQL says, and the same as without any outage.

A book is written to over weeks. One server reads it all the time; others are down for hours or days, cannot read the
book, are killed and go on from what they stored, take commit groups of any size, or live by a clock that jumps.
`FIRE22_OUTAGE_SEEDS` is how many histories are tried (12).
"""

import os
import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec import Raw

from fire22.core.event import Event
from fire22.core.times import to_datetime
from fire22.flows.base import Flow
from fire22.sportsbook.accounting.commissions import Commissions
from fire22.sportsbook.accounting.daybook import Daybook
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.accounting.reports import Reports
from fire22.sportsbook.accounting.weekly_figures import Figures
from fire22.sportsbook.kpi.flow import Kpi
from fire22.sportsbook.registry.flow import Registry
from tests.support.folding import Folding
from tests.support.netted import Netted
from tests.support.storage import event

SEEDS: Final = range(int(os.environ.get("FIRE22_OUTAGE_SEEDS", "12")))
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
ZONES: Final = {  # each in the weeks in which its clocks change
    "America/New_York": date(2026, 10, 12),
    "Australia/Lord_Howe": date(2026, 9, 14),
    "America/Santiago": date(2026, 8, 17),
}
PATHS: Final = ("/M1", "/M1/A1", "/M2")
SCOPES: Final = ("/", *PATHS)
SETUP: Final = 2 + 2 * len(PATHS)  # events with which a book begins
RATES: Final = {"/M1/A1": 0.25, "/M1": 0.2}  # the first shares what its customers lose, the second makes up first

Document = dict[str, Any]


def flows() -> tuple[Flow, ...]:
    """What keeps periods, and the key figures."""
    registry = Registry()
    netted, daybook = Netted(registry), Daybook(registry)
    paid = Commissions(registry, daybook)
    return (
        registry, netted, Ledger(registry), daybook, Figures(registry, daybook), paid, Reports(registry, daybook),
        Kpi(registry, netted, paid),
    )  # fmt: skip


class Days:
    """A book's calendar, found by asking for the local date of every quarter of an hour."""

    def __init__(self, zone: str, first: date, count: int) -> None:
        self.first = first
        self.starts: dict[date, int] = {}
        info = ZoneInfo(zone)
        at_ms = int(to_ms_of(first) - 2 * DAY_MS)
        while len(self.starts) < count + 3:
            self.starts.setdefault(to_datetime(at_ms).astimezone(info).date(), at_ms)
            at_ms += 15 * MINUTE_MS
        del self.starts[min(self.starts)]  # it had begun before

    def day(self, at_ms: int) -> date:
        """The day that holds a moment."""
        return max(day for day, start in self.starts.items() if start <= at_ms)

    def span(self, kind: str, day: date) -> tuple[date, date]:
        """The period of a day."""
        if kind == "day":
            return day, day + timedelta(1)
        if kind == "week":
            first = day - timedelta((day.weekday() - 1) % 7)
            return first, first + timedelta(7)
        return day.replace(day=1), (day.replace(day=1) + timedelta(32)).replace(day=1)


def to_ms_of(day: date) -> int:
    """Midnight in UTC."""
    return (day - date(1970, 1, 1)).days * DAY_MS


class Book:
    """What was written, when, and what each fact did, in a table."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(f"book {seed}")
        self.zone = random.choice(sorted(ZONES))
        self.days = Days(self.zone, ZONES[self.zone], 75)
        self.began_ms = now_ms = to_ms_of(ZONES[self.zone]) + random.randrange(DAY_MS)
        self.written: list[tuple[int, Event]] = []
        self.sql = sqlite3.connect(":memory:")
        self.sql.execute("CREATE TABLE facts(at, path, handle, revenue, settled, placed, paid)")
        self.open: list[tuple[int, Document]] = []
        self._begin(now_ms)
        self.plan_ms = now_ms + random.randrange(30 * DAY_MS)
        while now_ms < self.began_ms + 45 * DAY_MS:
            before_ms, now_ms = now_ms, now_ms + random.randrange(random.choice((2 * MINUTE_MS, 9 * HOUR_MS)))
            if before_ms < self.plan_ms <= now_ms:
                self._plan("/M1/A1", "split", self.plan_ms)
            random.choice((self._place, self._place, self._settle, self._settle, self._pay))(now_ms)
        self.ended_ms = now_ms

    def begun(self, source: str) -> list[Event]:
        """What the book holds when a server first reads it, and its clock."""
        events = [said("system.now", self.began_ms)] if source == "clock" else []
        return [*events, *(each for _, each in self.written[:SETUP]), said("system.clock", self.began_ms, source)]

    def _write(self, now_ms: int, at_ms: int, type: str, data: Document, **did: int) -> None:
        self.written.append((now_ms, event(f"e{len(self.written)}", type=type, at_ms=at_ms, data=data)))
        if did:
            columns = [did.get(name, 0) for name in ("handle", "revenue", "settled", "placed", "paid")]
            self.sql.execute("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)", (at_ms, data["path"], *columns))

    def _begin(self, now_ms: int) -> None:
        settings = {
            "daybook": {"time_zone": self.zone, "interval_ms": 0},
            "kpi": {"time_zone": self.zone, "documents_max": 100},
            "commission": {"interval_ms": 0},
        }
        data = {"flows": {name: {"version": 1, "settings": each} for name, each in settings.items()}}
        self._write(now_ms, now_ms, "system.configured", data)
        for path in PATHS:
            id = path.rpartition("/")[2]
            about = {"agentId": id, "name": id, "path": path, "level": path.count("/"), "status": "active"}
            self._write(now_ms, now_ms, "agent.created", about)
        for path in PATHS:
            about = {"customerId": f"C{path[-2:]}", "agentId": path[-2:], "path": path, "name": "", "status": "active"}
            self._write(now_ms, now_ms, "customer.created", about)
        self._plan("/M1", "red_figure", now_ms)

    def _plan(self, path: str, type: str, now_ms: int) -> None:
        about = {"agentId": path[-2:], "path": path, "type": type, "rate": RATES[path], "effectiveFrom": "1970-01-01"}
        self._write(now_ms, now_ms, "commission.plan_set", about)

    def _late(self, now_ms: int, earliest_ms: int) -> int:
        """When something happened that is written now: now, or up to ten days ago."""
        if self.random.random() > 0.15:
            return now_ms
        return max(now_ms - self.random.randrange(10 * DAY_MS), earliest_ms)

    def _place(self, now_ms: int) -> None:
        at_ms, risk = self._late(now_ms, self.began_ms), 400 * self.random.randrange(1, 200)
        path, number = self.random.choice(PATHS), len(self.written)
        about: Document = {
            "wagerId": f"w{number}", "wagerNumber": number, "customerId": f"C{path[-2:]}", "agentId": path[-2:],
            "path": path, "type": "straight", "riskMinor": risk, "toWinMinor": risk, "freePlay": False,
        }  # fmt: skip
        placed = {"channel": "web", "status": "accepted", "version": 1}
        self._write(now_ms, at_ms, "wager.placed", about | placed, handle=risk, placed=1)
        self.open.append((at_ms, about))

    def _settle(self, now_ms: int) -> None:
        if not self.open:
            return
        placed_ms, about = self.open.pop(self.random.randrange(len(self.open)))
        risk, returned = about["riskMinor"], self.random.choice((0, 1, 2)) * about["riskMinor"]
        result = {"revision": 1, "result": "x", "returnMinor": returned, "previousReturnMinor": 0}
        at_ms = self._late(now_ms, placed_ms)
        self._write(now_ms, at_ms, "wager.settled", about | result, revenue=risk - returned, settled=risk)

    def _pay(self, now_ms: int) -> None:
        at_ms, path = self._late(now_ms, self.began_ms), self.random.choice(PATHS)
        amount = self.random.choice((-100, 100)) * self.random.randrange(1, 500)
        entry = {
            "entryId": f"a{len(self.written)}", "customerId": f"C{path[-2:]}", "agentId": path[-2:], "path": path,
            "kind": "adjustment", "amountMinor": amount, "reason": "",
        }  # fmt: skip
        self._write(now_ms, at_ms, "balance.adjusted", entry, paid=amount)

    def sums(self, scope: str, since_ms: int, until_ms: int) -> tuple[int, ...]:
        """Handle, revenue, settled handle, wagers, adjustments and facts of a scope in [since, until)."""
        sql = """SELECT total(handle), total(revenue), total(settled), total(placed), total(paid), count(*) FROM facts
            WHERE at >= ? AND at < ? AND (path = ? OR path LIKE ? || '/%' OR ? = '/')"""
        row = self.sql.execute(sql, (since_ms, until_ms, scope, scope, scope)).fetchone()
        return tuple(int(each) for each in row)

    def of(self, kind: str, day: date, scope: str, until_ms: int = 1 << 60) -> tuple[int, ...]:
        """The same of the period of a day."""
        first, after = self.days.span(kind, day)
        starts = self.days.starts
        return self.sums(scope, starts.get(first, 0), min(starts.get(after, until_ms), until_ms))


def said(kind: str, at_ms: int, source: str = "clock") -> Event:
    """A clock, or what time it is."""
    return Event(f"{kind}:{source}:{at_ms}", kind, source, to_datetime(at_ms), Raw(b"{}"))


def told_all_the_time(book: Book) -> Iterator[list[Event]]:
    """The groups of a server that is never down."""
    yield book.begun("clock")
    for now_ms, each in book.written[SETUP:]:
        yield [said("system.clock", now_ms), each]
    yield [said("system.clock", book.ended_ms)]


def told_after_outages(book: Book, random: Random) -> Iterator[list[Event] | None]:
    """The groups of a server that is down now and then, or whose book is; None is where it is killed."""
    pending = book.begun("clock")
    down_until_ms = 0
    for now_ms, each in book.written[SETUP:]:
        if now_ms >= down_until_ms > 0:
            start = min(now_ms, down_until_ms)
            yield None
            yield [said("system.now", start)]
            yield from cut(pending, random)
            pending, down_until_ms = [said("system.clock", start)], 0
        if not down_until_ms:
            pending.append(said("system.clock", now_ms - 1))  # as each second
        pending.append(each)
        if down_until_ms:
            if random.random() < 0.2:  # the server is up, and its book is not
                yield [said("system.now", now_ms)]
            continue
        pending.append(said("system.clock", now_ms))
        if random.random() < 0.3:
            yield from cut(pending, random)
            pending = []
            if random.random() < 0.1:
                yield None
            if random.random() < 0.15:
                down_until_ms = now_ms + random.randrange(random.choice((DAY_MS, 4 * DAY_MS, 15 * DAY_MS)))
    yield [said("system.now", book.ended_ms)]
    yield from cut([*pending, said("system.clock", book.ended_ms)], random)


def told_by_a_recorded_clock(book: Book, random: Random) -> Iterator[list[Event] | None]:
    """The groups of a recorded book, whose clock stands still for long and then jumps."""
    events = book.begun("book")
    share = random.choice((0.5, 0.1, 0.02))
    for now_ms, each in book.written[SETUP:]:
        events.append(each)
        if random.random() < share:
            events.append(said("system.clock", now_ms, "book"))
    events.append(said("system.clock", book.ended_ms, "book"))
    for group in cut(events, random):
        yield group
        if random.random() < 0.05:
            yield None


def cut(events: list[Event], random: Random) -> Iterator[list[Event]]:
    """Commit groups of any size."""
    left = list(events)
    while left:
        size = random.randrange(1, random.choice((3, 30, 300)))
        yield left[:size]
        left = left[size:]


def folded(groups: Iterator[list[Event] | None] | Iterator[list[Event]]) -> Folding:
    """A server that has read it all."""
    folding = Folding(flows)
    for group in groups:
        if group is None:
            folding.restart()
        else:
            folding.group(group)
    assert not folding.refused
    return folding


def archive(folding: Folding) -> dict[tuple[str, str, str], Document]:
    """The newest of each document, without what says how often it was restated."""
    found: dict[tuple[str, str, str], Document] = {}
    for batch in folding.batches:
        for each in batch.archived:
            body = msgspec.json.decode(each.body, type=dict[str, Any])
            for name in ("revision", "difference"):
                body.pop(name, None)
            found[each.topic, each.scope, each.key] = body
    return found


def check_reports(book: Book, documents: dict[tuple[str, str, str], Document]) -> None:
    """Every ended day, week and month in which something happened, of every scope, and no other."""
    today = book.days.day(book.ended_ms)
    expected = {}
    for kind in ("day", "week", "month"):
        for day in book.days.starts:
            first, after = book.days.span(kind, day)
            for scope in SCOPES if after <= today else ():
                handle, revenue, settled, placed, paid, facts = book.of(kind, day, scope)
                if facts:
                    key = first.isoformat()[: 7 if kind == "month" else 10]
                    minor = handle, revenue, settled, paid
                    expected[scope, f"{kind}:{key}"] = (*(each / 100 for each in minor), placed)
    names = ("handle", "revenue", "settledHandle", "adjustments", "placed")
    reports = {
        name[1:]: tuple(body[each] for each in names)
        for name, body in documents.items()
        if name[0] == "reports" and "@" not in name[1]
    }
    empty = (0, 0, 0, 0, 0)  # of a period in which somebody came
    assert {name: each for name, each in reports.items() if each != empty or name in expected} == expected


def check_commissions(book: Book, documents: dict[tuple[str, str, str], Document]) -> None:
    """What both agents earn of each week, the second of what the first leaves, after making up for what was lost."""
    today, makeup = book.days.day(book.ended_ms), 0
    plan_week = book.days.span("week", book.days.day(book.plan_ms))[0]
    for first in sorted({book.days.span("week", day)[0] for day in book.days.starts}):
        if first + timedelta(7) > today or not book.of("week", first, "/")[5]:
            continue
        below = book.of("week", first, "/M1/A1")[1]
        share = below // 4 if first >= plan_week else 0
        net = book.of("week", first, "/M1")[1] - share
        earned = max(0, net - makeup) // 5
        makeup = max(0, makeup - net)
        said_of = [documents.get(("commission", path, first.isoformat()), {}) for path in ("/M1/A1", "/M1")]
        assert [each.get("commission", 0) for each in said_of] == [share / 100, earned / 100], first
        assert said_of[1]["makeupAfter"] == makeup / 100, first


def check_key_figures(book: Book, folding: Folding) -> None:
    """The running day, week and month, and all since the start."""
    today = book.days.day(book.ended_ms)
    for scope in SCOPES:
        document: Any = folding.documents["kpi", scope, ""]
        ever = book.sums(scope, 0, 1 << 60)
        assert (document["handle"], document["revenue"]) == (ever[0] / 100, ever[1] / 100), scope
        pending = sum(about["path"] == scope or f"{about['path']}/".startswith(f"{scope}/".replace("//", "/"))
                      for _, about in book.open)  # fmt: skip
        assert document["pending"] == pending, scope
        assert document["change"]["revenue"] == book.of("day", today, scope)[1] / 100, scope
        for kind in ("day", "week", "month"):
            handle, revenue, settled, placed, _, _ = book.of(kind, today, scope)
            period = document["periods"][kind]
            names = ("handle", "revenue", "settledHandle", "wagers")
            assert [period[name] for name in names] == [handle / 100, revenue / 100, settled / 100, placed], (
                scope,
                kind,
            )


def key_figures(folding: Folding) -> dict[str, Any]:
    """The key figures of every scope; of players and liability, not how they stood when the day began."""
    found: dict[str, Any] = {scope: dict(folding.documents["kpi", scope, ""]) for scope in SCOPES}
    for document in found.values():
        document["change"] = {name: document["change"][name] for name in ("revenue", "pending")}
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_outages_kills_and_jumps_change_no_figure(seed: int) -> None:
    """A bookmaker finds the same day, week, month, commission and key figure whatever was down, and SQL agrees."""
    print(f"seed {seed}")
    book, random = Book(seed), Random(f"outages {seed}")
    plain = folded(told_all_the_time(book))
    others = [folded(told_after_outages(book, random)), folded(told_by_a_recorded_clock(book, random))]
    documents = archive(plain)
    for folding in (plain, *others):
        found = archive(folding)
        check_reports(book, found)
        check_commissions(book, found)
        check_key_figures(book, folding)
        assert {name: body for name, body in found.items() if name[0] != "figures"} == {
            name: body for name, body in documents.items() if name[0] != "figures"
        }
        for name in found.keys() & documents.keys():
            assert found[name] == documents[name], name
        assert key_figures(folding) == key_figures(plain)

"""Days, weeks and months end with everything that happened in them, however far a clock jumps and whatever was down.

The values are those of the books of an operator: plain sums of what was written, by its own time.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from fire22.core.event import Event
from fire22.core.times import to_datetime, to_ms
from fire22.flows.base import Flow
from fire22.sportsbook import domain
from tests.property.test_figures import flows
from tests.support.folding import Folding
from tests.support.storage import event

SETTINGS = {
    "daybook": {"time_zone": "UTC", "day_starts_at": "00:00:00", "interval_ms": 0},
    "commission": {"interval_ms": 0},
}


def at(text: str) -> int:
    """Milliseconds of a moment of 2026, such as `10-06 01:00`."""
    return to_ms(datetime.fromisoformat(f"2026-{text}+00:00"))


class Book:
    """A book with one agent and one customer, and a server that reads it.

    Args:
        recorded: the book brings its own clock.
        made: the flows.
    """

    def __init__(self, *, recorded: bool = True, made: Callable[[], tuple[Flow, ...]] = flows) -> None:
        self.folding = Folding(made)
        self._clock_source = "book" if recorded else "clock"
        self._number = 0
        data = {"flows": {name: {"version": 1, "settings": each} for name, each in SETTINGS.items()}}
        self.group(
            [
                self.event("system.configured", "01-01 00:00", **data),
                self.event(
                    "agent.created", "01-01 00:00", agentId="M1", name="M", path="/M1", level=1, status="active"
                ),
                self.event(
                    "customer.created", "01-01 00:00", customerId="C1", agentId="M1", path="/M1", name="C",
                    status="active",
                ),
                self.event(
                    "commission.plan_set", "01-01 00:00", agentId="M1", path="/M1", type="split", rate=0.5,
                    effectiveFrom="1970-01-01",
                ),
            ]
        )  # fmt: skip

    def event(self, kind: str, when: str, /, **data: object) -> Event:
        """An event."""
        self._number += 1
        return event(f"e{self._number}", type=kind, at_ms=at(when), data=data)

    def clock(self, when: str) -> Event:
        """The watermark."""
        self._number += 1
        return Event(f"c{self._number}", "system.clock", self._clock_source, to_datetime(at(when)), Raw(b"{}"))

    def now(self, when: str) -> Event:
        """What time it is at the server."""
        self._number += 1
        return Event(f"n{self._number}", "system.now", "clock", to_datetime(at(when)), Raw(b"{}"))

    def lost(self, when: str, minor: int) -> list[Event]:
        """A wager that is placed and lost."""
        self._number += 1
        wager: dict[str, Any] = {
            "wagerId": f"w{self._number}", "wagerNumber": self._number, "customerId": "C1", "agentId": "M1",
            "path": "/M1", "type": "straight", "riskMinor": minor, "toWinMinor": minor, "freePlay": False,
        }  # fmt: skip
        placed = self.event("wager.placed", when, **wager, channel="web", status="accepted", version=1)
        settled = self.event(
            "wager.settled", when, **wager, revision=1, result="lose", returnMinor=0, previousReturnMinor=0
        )
        return [placed, settled]

    def group(self, events: Sequence[Event]) -> None:
        """A commit group."""
        self.folding.group(events)
        assert not self.folding.refused

    def handles(self, kind: str) -> dict[str, float]:
        """The handle of each archived period of a kind that has one, in its newest revision."""
        found: dict[str, float] = {}
        for batch in self.folding.batches:
            for each in batch.archived:
                name, _, key = each.key.partition(":")
                if (each.topic, each.scope, name) == ("reports", "/", kind):
                    found[key] = msgspec.json.decode(each.body)["handle"]
        return {key: handle for key, handle in found.items() if handle}

    def commissions(self) -> dict[str, float]:
        """What the agent earned in each week that is closed."""
        found: dict[str, float] = {}
        for batch in self.folding.batches:
            for each in batch.archived:
                if each.topic == "commission" and each.scope == "/M1" and ":" not in each.key:
                    found[each.key] = msgspec.json.decode(each.body)["commission"]
        return found


def test_the_backlog_of_an_outage_counts_on_its_own_days() -> None:
    """The server was down while a business day ended: each wager is on the day on which it was made."""
    book = Book(recorded=False)
    book.group([book.now("11-27 16:00"), book.clock("11-27 16:25:16")])
    book.group([*book.lost("11-27 16:25:16", 1100), book.clock("11-27 16:25:16")])
    midnight = "11-27 23:59"
    book.group([book.now("11-28 00:03")])
    backlog = [
        *book.lost(f"{midnight}:40", 2200),
        *book.lost("11-28 00:00:05", 5500),
        *book.lost("11-28 00:01:30", 11000),
    ]
    book.group(backlog[:3])
    book.folding.restart()
    book.group(backlog[3:])
    book.group([book.clock("11-28 00:03:01")])
    assert book.handles("day")["2026-11-27"] == 33.0
    assert [each.key for batch in book.folding.batches for each in batch.archived if each.key == "day:2026-11-27"]
    book.group([book.clock("11-29 00:00")])
    assert book.handles("day")["2026-11-28"] == 165.0


def test_a_clock_may_jump_over_a_weeks_end_with_a_late_wager_before_it() -> None:
    """A recorded book whose clock jumps by 100 days does not end the server, and its late wager has its day."""
    book = Book()
    book.group([book.clock("06-02 00:00")])
    book.group(book.lost("06-02 10:00", 1000))
    book.group([book.clock("06-04 00:00")])
    book.group([*book.lost("05-05 12:00", 700), book.clock("09-12 00:00")])
    assert book.handles("day") == {"2026-05-05": 7.0, "2026-06-02": 10.0}
    assert book.handles("week")["2026-06-02"] == 10.0
    assert book.handles("month") == {"2026-05": 7.0, "2026-06": 10.0}
    book.folding.restart()
    book.group([book.clock("09-13 00:00")])


@pytest.mark.parametrize("together", [False, True])
def test_a_month_that_is_jumped_over_is_closed_with_its_wagers(together: bool) -> None:
    """A clock that jumps from October into December leaves no day, week or month out."""
    book = Book()
    steps = [
        [book.clock("10-01 00:00")],
        book.lost("10-01 10:00", 1000),
        book.lost("10-03 10:00", 2000),
        [book.clock("10-06 01:00")],
        [book.clock("12-20 00:00")],
    ]
    for group in [[each for step in steps for each in step]] if together else steps:
        book.group(group)
    assert book.handles("day") == {"2026-10-01": 10.0, "2026-10-03": 20.0}
    assert book.handles("week") == {"2026-09-29": 30.0}
    assert book.handles("month") == {"2026-10": 30.0}
    assert {week: earned for week, earned in book.commissions().items() if earned} == {"2026-09-29": 15.0}


def test_facts_ahead_of_a_recorded_clock_are_in_the_weeks_that_it_jumps_over() -> None:
    """What stands before a clock that jumps over months lies in every one of them."""
    book = Book()
    book.group([book.clock("03-01 00:00")])
    days = ["03-02", "03-20", "04-10", "05-31", "07-01"]
    for number, day in enumerate(days, 1):
        book.group(book.lost(f"{day} 12:00", 100 * number))
    book.group([book.clock("08-15 00:00")])
    assert book.handles("day") == {f"2026-{day}": float(number) for number, day in enumerate(days, 1)}
    assert book.handles("month") == {"2026-03": 3.0, "2026-04": 3.0, "2026-05": 4.0, "2026-07": 5.0}
    assert sum(book.handles("week").values()) == 15.0
    assert sum(book.commissions().values()) == 7.5


def test_weeks_beyond_a_year_without_a_clock_are_closed_where_something_happened() -> None:
    """A server that was down for two years still closes each week in which something was written."""
    book = Book(recorded=False)
    book.group([book.now("01-02 00:00"), book.clock("01-02 00:00")])
    later = to_ms(to_datetime(at("01-02 00:00")).replace(year=2028))
    book.group([event("n", type="system.now", at_ms=later, data={})])
    in_between = to_ms(to_datetime(at("08-10 12:00")).replace(year=2027))
    for each in book.lost("08-10 12:00", 900):
        book.group([msgspec.structs.replace(each, timestamp=to_datetime(in_between))])
    book.group([Event("last", "system.clock", "clock", to_datetime(later), Raw(b"{}"))])
    assert book.handles("day")["2027-08-10"] == book.handles("week")["2027-08-10"] == 9.0
    assert book.handles("month")["2027-08"] == 9.0
    assert book.commissions()["2027-08-10"] == 4.5


def test_a_fact_of_the_future_counts_as_of_the_watermark_and_is_flagged() -> None:
    """A wrong clock in the book moves nothing into another day, and the day's report says that it was there."""
    book = Book(recorded=False)
    book.group([book.now("11-27 10:00"), book.clock("11-27 23:59:50")])
    book.group(book.lost("11-28 00:00:51", 1000))
    book.group(book.lost("11-28 00:00:50", 200))
    book.group([book.clock("11-29 00:00")])
    assert book.handles("day") == {"2026-11-27": 10.0, "2026-11-28": 2.0}
    (day,) = [
        msgspec.json.decode(each.body)
        for batch in book.folding.batches
        for each in batch.archived
        if (each.topic, each.scope, each.key) == ("reports", "/", "day:2026-11-27")
    ]
    assert day["future"] == 2


def test_a_later_clock_of_the_group_tells_that_a_recorded_fact_is_of_the_future() -> None:
    """In a recorded book a fact more than a minute behind the clock that follows it counts as of the one before it."""
    book = Book()
    book.group([book.clock("11-27 10:00")])
    book.group([*book.lost("11-29 10:00", 1000), book.clock("11-27 10:01"), book.clock("11-30 00:00")])
    assert book.handles("day") == {"2026-11-27": 10.0}


def test_a_plan_that_was_set_while_the_server_was_down_holds_from_its_own_week() -> None:
    """A plan is told of late where the server was down; no week that had ended when it was set is paid by it."""
    book = Book(recorded=False)
    book.group([book.now("11-03 10:00"), book.clock("11-03 10:00")])
    book.group([book.now("11-25 10:00")])
    plan = book.event(
        "commission.plan_set", "11-20 10:00", agentId="M1", path="/M1", type="split", rate=0.1,
        effectiveFrom="1970-01-01",
    )  # fmt: skip
    book.group([*book.lost("11-05 10:00", 1000), *book.lost("11-18 10:00", 2000), plan])
    book.group([book.clock("11-25 10:00")])
    assert {week: earned for week, earned in book.commissions().items() if earned} == {
        "2026-11-03": 5.0, "2026-11-17": 2.0,
    }  # fmt: skip


def day_report(book: Book, key: str) -> dict[str, Any]:
    """A day of the whole book as it was archived last."""
    found = [each for batch in book.folding.batches for each in batch.archived]
    ours = [each.body for each in found if (each.topic, each.scope, each.key) == ("reports", "/", f"day:{key}")]
    return msgspec.json.decode(ours[-1], type=dict[str, Any])


def test_the_largest_wager_of_a_day_is_one_that_was_placed_on_it() -> None:
    """A wager of yesterday that is made larger today is not the largest of a day on which none was placed."""
    book = Book(recorded=False)
    book.group([book.now("11-27 10:00"), book.clock("11-27 10:00")])
    placed, _ = book.lost("11-27 10:00", 1000)
    about = msgspec.json.decode(placed.data)
    before = {"riskMinor": 1000, "toWinMinor": 1000}
    more = about | {"riskMinor": 5000, "toWinMinor": 5000, "version": 2, "before": before}
    del more["channel"], more["status"]
    book.group([placed, book.clock("11-28 10:00"), book.event("wager.modified", "11-28 10:00", **more)])
    book.group([book.clock("11-29 00:00")])
    assert day_report(book, "2026-11-27")["largestWager"] == 10.0
    assert (day_report(book, "2026-11-28")["largestWager"], day_report(book, "2026-11-28")["modified"]) == (0.0, 1)


@pytest.mark.parametrize("clock_first", [False, True])
def test_a_customer_of_nobody_knows_when_is_no_newcomer(clock_first: bool) -> None:
    """A book whose customers have no date does not show them as new, and late, when it is connected."""
    book = Book(recorded=False)
    told = book.event(
        "customer.imported", "11-27 09:00", customerId="C9", agentId="M1", path="/M1", name="", status="active",
        balanceMinor=700,
    )  # fmt: skip
    imported = msgspec.structs.replace(told, timestamp=to_datetime(0))
    start = [book.now("11-27 10:00"), book.clock("11-27 10:00")]
    book.group([*start, imported] if clock_first else [imported, *start])
    placed, _ = book.lost("11-27 10:00", 1000)
    book.group([placed, book.clock("11-28 10:00")])
    report = day_report(book, "2026-11-27")
    assert report["newCustomers"] == 0
    assert report.get("late", 0) == 0
    figures = book.folding.documents["figures", "/M1/@C9", ""]
    assert (figures["carry"], figures["balance"]) == (7.0, 7.0)


@pytest.mark.parametrize("clock_first", [False, True])
def test_what_a_book_held_when_it_was_connected_is_of_its_own_time(clock_first: bool) -> None:
    """An open wager of May is in no figure of the day of connection, in no report, and no head of the commission."""
    book = Book(made=domain.flows)
    plan = {"agentId": "M1", "path": "/M1", "type": "per_head", "perHeadMinor": 1_500, "effectiveFrom": "1970-01-01"}
    book.group([book.event("commission.plan_set", "01-01 00:00", **plan)])
    (old, _), (recent, _) = book.lost("05-01 12:00", 2_200), book.lost("10-05 12:00", 700)
    held = [msgspec.structs.replace(each, type="wager.imported") for each in (old, recent)]
    clock = book.clock("10-06 01:00")
    book.group([clock, *held] if clock_first else [*held, clock])
    book.group([*book.lost("10-06 02:00", 1_100), book.clock("10-06 12:00")])
    today: dict[str, Any] = msgspec.to_builtins(book.folding.documents["kpi", "/", ""])
    assert (today["periods"]["day"]["handle"], today["periods"]["day"]["wagers"]) == (11.0, 1)
    assert (today["handle"], today["pending"]) == (40.0, 2)
    book.group([book.clock("10-07 01:00")])
    assert book.handles("day") == {"2026-10-05": 7.0, "2026-10-06": 11.0}
    assert day_report(book, "2026-10-06").get("late", 0) == 0
    book.group([book.clock("10-14 01:00")])
    assert book.commissions() == {"2026-09-29": 15.0, "2026-10-06": 15.0}


def test_what_is_too_late_counts_on_the_same_day_everywhere() -> None:
    """The key figures of a day are those of its report: what is too late for its own day is in both, what is not in
    neither."""
    book = Book(made=domain.flows)
    book.group([book.clock("10-06 01:00")])
    book.group([*book.lost("08-01 12:00", 1_100), *book.lost("10-01 12:00", 2_200), *book.lost("10-06 00:30", 4_400)])
    book.group([book.clock("10-06 12:00")])
    today: dict[str, Any] = msgspec.to_builtins(book.folding.documents["kpi", "/", ""])
    assert today["periods"]["day"]["handle"] == 55.0
    assert today["change"]["revenue"] == today["periods"]["day"]["revenue"] == 55.0
    assert (today["handle"], today["periods"]["day"]["wagers"]) == (77.0, 2)
    book.group([book.clock("10-07 01:00")])
    assert book.handles("day") == {"2026-10-01": 22.0, "2026-10-06": 55.0}

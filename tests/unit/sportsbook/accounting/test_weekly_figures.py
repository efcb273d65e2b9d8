"""Weekly figures, commissions and reports of a small book, day by day."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from fire22.core.times import to_ms, to_text
from fire22.feed.base import Archived
from fire22.flows.base import Flow
from fire22.sportsbook.accounting.commissions import Commissions
from fire22.sportsbook.accounting.daybook import Daybook
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.accounting.reports import Reports
from fire22.sportsbook.accounting.weekly_figures import Figures
from fire22.sportsbook.registry.flow import Registry
from tests.support.folding import Folding, Told

HOUR = 3_600_000


def flows() -> tuple[Flow, ...]:
    """The flows of money."""
    registry = Registry()
    daybook = Daybook(registry)
    paid = Commissions(registry, daybook)
    return registry, Ledger(registry), daybook, Figures(registry, daybook), paid, Reports(registry, daybook)


class Book:
    """A book in New York: agents M1 and below it A1, the customers C1 (of A1), C2 (of M1) and C3 (of the house)."""

    def __init__(self, now: str = "2026-11-17T15:00:00Z", documents_max: int = 400, **settings: object) -> None:
        self.folding = Folding(flows)
        self.number = 0
        self.homes = {"C1": "/M1/A1", "C2": "/M1", "C3": "/"}
        self.documents_max = documents_max
        self.settings = {"time_zone": "America/New_York", "interval_ms": 5_000, **settings}
        self.configure(now)
        self.begin(now)

    def configure(self, at: str, **changed: object) -> None:
        """The settings, as they are from here on."""
        self.settings |= changed
        told = {
            "daybook": self.settings,
            "figures": {"documents_max": self.documents_max},
            "commission": {"interval_ms": 0},
        }
        data: dict[str, object] = {"flows": {name: {"version": 1, "settings": each} for name, each in told.items()}}
        self.tell("system.configured", data, at)

    def begin(self, now: str) -> None:
        """Agents, customers, and the time."""
        for level, path in enumerate(("/M1", "/M1/A1"), 1):
            id = path.rpartition("/")[2]
            agent = {"agentId": id, "name": f"Agent {id}", "path": path, "level": level, "status": "active"}
            self.tell("agent.created", agent, now)
        for code in self.homes:
            self.tell("customer.created", {**self.of(code), "name": code, "status": "active"}, now)
        self.folding.clock(ms(now) - 5_000)
        self.clock(now)

    def of(self, code: str) -> dict[str, object]:
        """Who a fact is about."""
        path = self.homes[code]
        return {"customerId": code, "agentId": path.rpartition("/")[2] or "house", "path": path}

    def tell(self, type: str, data: dict[str, object], at: str) -> Told:
        """A fact at a time."""
        return self.folding.tell(type, data, ms(at))

    def clock(self, at: str) -> Told:
        """The watermark."""
        return self.folding.clock(ms(at))

    def wager(self, code: str, risk: int, returned: int | None, at: str, *, result: str = "loss") -> str:
        """A wager is placed, and settled at once unless it stays open; minor units. Until then the time has come."""
        self.clock(at)
        self.number += 1
        id = f"w{self.number}"
        both = {
            **self.of(code), "wagerId": id, "wagerNumber": self.number, "type": "straight", "riskMinor": risk,
            "toWinMinor": risk, "freePlay": False,
        }  # fmt: skip
        placed = {"channel": "web", "status": "accepted", "version": 1, "legs": []}
        self.tell("wager.placed", {**both, **placed}, at)
        if returned is not None:
            settled = {"revision": 1, "result": result, "returnMinor": returned, "previousReturnMinor": 0}
            self.tell("wager.settled", {**both, **settled}, at)
        return id

    def document(self, topic: str, scope: str, key: str = "") -> dict[str, Any]:
        """A view's document."""
        return self.folding.documents[topic, scope, key]

    def archived(self, topic: str, scope: str, key: str) -> list[dict[str, Any]]:
        """What was archived under a key, revision by revision."""
        found: list[Archived] = [each for batch in self.folding.batches for each in batch.archived]
        ours = [each for each in found if (each.topic, each.scope, each.key) == (topic, scope, key)]
        assert [each.revision for each in ours] == sorted({each.revision for each in ours})
        return [msgspec.json.decode(each.body) for each in ours]


def ms(text: str) -> int:
    """Milliseconds of a time in RFC 3339."""
    return to_ms(datetime.fromisoformat(text))


def test_a_week_of_a_customer_and_of_those_above() -> None:
    """A head agent drills down from the book to a player, and the sums are those of what is below."""
    book = Book()
    book.wager("C1", 10_000, 0, "2026-11-17T16:00:00Z")
    book.wager("C1", 5_000, 10_000, "2026-11-19T16:00:00Z", result="win")
    book.wager("C2", 2_000, 0, "2026-11-19T17:00:00Z")
    payment = {**book.of("C1"), "paymentId": "p1", "method": "card", "amountMinor": 4_000, "status": "completed"}
    book.tell("payment.completed", {**payment, "direction": "deposit"}, "2026-11-19T18:00:00Z")
    book.clock("2026-11-19T19:00:00Z")
    own = book.document("figures", "/M1/A1/@C1")
    assert own["customerId"] == "C1"
    assert (own["carry"], own["figure"], own["payments"], own["balance"]) == (0, -50, 40, -10)
    assert {day: figure for day, figure in own["days"].items() if figure} == {"tuesday": -100, "thursday": 50}
    assert book.document("figures", "/M1/A1", "customer:C1") == own
    assert book.document("figures", "/M1", "agent:A1")["figure"] == -50
    assert book.document("figures", "/M1", "customer:C2")["figure"] == -20
    assert book.document("figures", "/", "agent:M1")["figure"] == book.document("figures", "/")["figure"] == -70
    assert ("figures", "/", "customer:C1") not in book.folding.documents
    assert ("figures", "/M1/@C1", "") not in book.folding.documents


def test_a_total_does_not_wait_behind_its_lines() -> None:
    """In a burst the book and its head agents have their sums at once, and every player's line comes in its turn."""
    book = Book(documents_max=8)
    book.homes |= {f"D{number}": "/M1/A1" for number in range(20)}
    for number in range(20):
        customer = {**book.of(f"D{number}"), "name": "D", "status": "active"}
        book.tell("customer.created", customer, "2026-11-17T15:00:01Z")
        book.wager(f"D{number}", 1_000, 0, "2026-11-17T15:00:02Z")
    for at in ("2026-11-17T15:01:00Z", "2026-11-17T15:02:00Z"):
        book.wager("C2", 1_000, 0, at)
        book.clock(at.replace(":00Z", ":10Z"))
    assert book.document("figures", "/")["figure"] == -220
    assert book.document("figures", "/M1")["figure"] == -220
    lines = [key for topic, scope, key in book.folding.documents if (topic, scope) == ("figures", "/M1/A1")]
    assert 1 < len(lines) < 15
    for number in range(10):
        book.clock(f"2026-11-17T15:03:{5 * number:02}Z")
    lines = [key for topic, scope, key in book.folding.documents if (topic, scope) == ("figures", "/M1/A1")]
    assert len(lines) == 2 + 20


def test_a_week_rolls_over_on_tuesday() -> None:
    """What a week ends with, the next one begins with; the ended week is kept."""
    book = Book()
    book.wager("C1", 10_000, 0, "2026-11-23T16:00:00Z")
    book.clock("2026-11-24T04:59:59Z")
    assert book.document("figures", "/M1/A1/@C1")["week"] == "2026-11-17"
    book.clock("2026-11-24T05:00:00Z")
    after = book.document("figures", "/M1/A1/@C1")
    assert (after["week"], after["carry"], after["figure"], after["balance"]) == ("2026-11-24", -100, 0, -100)
    (kept,) = book.archived("figures", "/M1/A1/@C1", "2026-11-17")
    assert (kept["carry"], kept["figure"], kept["balance"], kept["days"]["monday"]) == (0, -100, -100, -100)


def test_a_customer_without_anything_leaves_the_sheet() -> None:
    """A sheet shows who has a balance or had action, and nobody else."""
    book = Book()
    book.clock("2026-11-18T15:00:00Z")
    assert ("figures", "/M1/A1", "customer:C1") in book.folding.documents  # it came this week
    book.clock("2026-11-25T15:00:00Z")
    assert ("figures", "/M1/A1", "customer:C1") not in book.folding.documents
    assert ("figures", "/M1", "agent:A1") in book.folding.documents


def test_a_late_result_restates_its_week_and_the_balances_after_it() -> None:
    """A result that comes a week late is in the week where it belongs, and every balance since is right."""
    book = Book()
    book.wager("C1", 10_000, 0, "2026-11-18T16:00:00Z")
    book.clock("2026-11-25T15:00:00Z")
    book.clock("2026-12-02T15:00:00Z")
    book.wager("C1", 3_000, 0, "2026-11-20T16:00:00Z")
    book.clock("2026-12-02T15:00:10Z")
    revisions = book.archived("figures", "/M1/A1/@C1", "2026-11-17")
    assert [(each["figure"], each["balance"]) for each in revisions] == [(-100, -100), (-130, -130)]
    # Nothing was in the week between, so nothing was archived when it ended; now its balance is another.
    (between,) = book.archived("figures", "/M1/A1/@C1", "2026-11-24")
    assert (between["carry"], between["figure"], between["balance"]) == (-130, 0, -130)
    assert book.document("figures", "/M1/A1/@C1")["carry"] == -130
    assert [each["revenue"] for each in book.archived("reports", "/M1", "week:2026-11-17")] == [100, 130]
    (day,) = book.archived("reports", "/M1/A1", "day:2026-11-20")
    assert (day["revenue"], day["players"], day["placed"]) == (30, 1, 1)
    assert [each["revenue"] for each in book.archived("reports", "/", "month:2026-11")] == [100, 130]


def test_what_is_too_late_counts_today_and_says_so() -> None:
    """A fact of before the weeks that are kept changes no old figure; the day that takes it says that it did."""
    book = Book(restate_weeks=1)
    book.clock("2026-12-02T15:00:00Z")
    book.wager("C1", 3_000, 0, "2026-11-20T16:00:00Z")
    book.clock("2026-12-03T15:00:00Z")
    (day,) = book.archived("reports", "/M1/A1", "day:2026-12-02")
    assert (day["revenue"], day["late"]) == (30, 2)
    assert not book.archived("reports", "/M1/A1", "day:2026-11-20")


@pytest.mark.parametrize(
    ("now", "first", "last", "key", "hours"),
    [
        ("2026-03-08T05:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T03:59:59Z", "2026-03-08", 23),
        ("2026-11-01T04:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T04:59:59Z", "2026-11-01", 25),
    ],
)
def test_a_day_on_which_clocks_change(now: str, first: str, last: str, key: str, hours: int) -> None:
    """A day's report has all its hours, 23 or 25 of them, and is out when they are over."""
    book = Book(now)
    for at in (first, last):
        book.wager("C2", 1_000, 0, at)
        book.clock(at)
    assert not book.archived("reports", "/M1", f"day:{key}")
    end = ms(last) + 1_000
    said = book.folding.clock(end)
    (report,) = book.archived("reports", "/M1", f"day:{key}")
    assert report["revenue"] == 20
    assert ms(report["to"]) - ms(report["from"]) == hours * HOUR
    assert ms(report["to"]) == end
    out = [data for topic, path, data in said if topic == "reports" and path == "/M1"]
    assert [(each["period"], each["key"], each["revision"]) for each in out] == [("day", key, 1)]
    assert out[0]["totals"]["revenue"] == 20


def test_what_a_report_says() -> None:
    """A bookkeeper reads from a day's report what was staked, won, given, and by how many."""
    book = Book()
    book.wager("C1", 10_000, 0, "2026-11-18T16:00:00Z")
    book.wager("C2", 4_000, 8_000, "2026-11-18T16:00:00Z", result="win")
    book.wager("C2", 25_000, None, "2026-11-18T16:00:00Z")
    adjusted = {**book.of("C2"), "entryId": "l1", "kind": "bonus", "amountMinor": 500}
    book.tell("balance.adjusted", adjusted, "2026-11-18T17:00:00Z")
    back = {**book.of("C2"), "paymentId": "p1", "method": "card", "amountMinor": 700, "direction": "deposit"}
    book.tell("payment.completed", {**back, "status": "completed"}, "2026-11-18T17:00:00Z")
    book.tell("payment.charged_back", {**back, "status": "charged_back"}, "2026-11-18T17:00:00Z")
    book.clock("2026-11-19T15:00:00Z")
    (day,) = book.archived("reports", "/M1", "day:2026-11-18")
    assert (day["handle"], day["settledHandle"], day["revenue"], day["hold"]) == (390, 140, 60, 42.86)
    assert (day["bonuses"], day["chargebacks"], day["deposits"], day["ngr"]) == (5, 7, 7, 48)
    assert (day["placed"], day["settled"], day["players"], day["largestWager"]) == (3, 2, 2, 250)
    assert day["largestWagerId"] == "w3"
    assert [(each["customerId"], each["figure"]) for each in day["topCustomers"]] == [("C1", -100), ("C2", 40)]
    (own,) = book.archived("reports", "/M1/@C2", "day:2026-11-18")
    assert (own["revenue"], own["placed"]) == (-40, 2)
    assert "players" not in own


def planned(book: Book, path: str, type: str, rate: float, at: str, **more: object) -> None:
    """An agent gets a plan."""
    plan = {"agentId": path.rpartition("/")[2], "path": path, "type": type, "rate": rate, **more}
    book.tell("commission.plan_set", plan, at)


def test_a_commission_is_closed_weekly_up_the_tree_with_its_make_up() -> None:
    """Red figure, 20 %, weeks of -50, 30 and 40: nothing, nothing, 4; who is above is paid of what is left."""
    book = Book("2026-11-03T15:00:00Z")
    planned(book, "/M1/A1", "red_figure", 0.2, "2026-11-03T15:00:00Z")
    planned(book, "/M1", "profit", 0.5, "2026-11-03T15:00:00Z")
    book.wager("C1", 5_000, 10_000, "2026-11-03T16:00:00Z", result="win")
    book.clock("2026-11-03T17:00:00Z")
    running = book.document("commission", "/M1/A1", "current")
    assert (running["status"], running["net"], running["makeupAfter"]) == ("running", -50, 50)
    book.clock("2026-11-10T15:00:00Z")
    book.wager("C1", 3_000, 0, "2026-11-10T16:00:00Z")
    book.clock("2026-11-17T15:00:00Z")
    book.wager("C1", 4_000, 0, "2026-11-17T16:00:00Z")
    book.clock("2026-11-24T15:00:00Z")
    weeks = [book.document("commission", "/M1/A1", key) for key in ("2026-11-03", "2026-11-10", "2026-11-17")]
    assert [(each["makeupBefore"], each["commission"], each["makeupAfter"]) for each in weeks] == [
        (0, 0, 50),
        (50, 0, 20),
        (20, 4, 0),
    ]
    above = book.document("commission", "/M1", "2026-11-17")
    assert (above["net"], above["commission"]) == (36, 18)
    for scope, earned in (("/M1/A1", 4), ("/M1", 22), ("/", 22)):
        (sums,) = book.archived("commission", scope, "week:2026-11-17")
        assert (sums["period"], sums["commission"]) == ("week", earned)
        (report,) = book.archived("reports", scope, "week:2026-11-17")
        assert "commission" not in report
        assert report["ngr"] == 40


def test_a_month_that_ended_long_ago_has_its_commissions() -> None:
    """After a silence of many weeks a month has what was earned in it, though its weeks are not restated any more."""
    book = Book("2026-11-03T15:00:00Z")
    planned(book, "/M1/A1", "profit", 0.2, "2026-11-03T15:00:00Z")
    book.wager("C1", 5_000, 0, "2026-11-03T16:00:00Z")
    book.clock("2027-03-20T15:00:00Z")
    (sums,) = book.archived("commission", "/", "month:2026-11")
    assert (sums["period"], sums["commission"]) == ("month", 10)


def test_a_late_fact_closes_a_week_again_and_what_follows_from_it() -> None:
    """A corrected week posts its difference, and the make-up of the weeks after it with theirs."""
    book = Book("2026-11-03T15:00:00Z")
    planned(book, "/M1/A1", "red_figure", 0.2, "2026-11-03T15:00:00Z")
    book.wager("C1", 5_000, 10_000, "2026-11-03T16:00:00Z", result="win")
    book.clock("2026-11-10T15:00:00Z")
    book.wager("C1", 8_000, 0, "2026-11-10T16:00:00Z")
    book.clock("2026-11-17T15:00:00Z")
    book.wager("C1", 4_000, 0, "2026-11-05T16:00:00Z")
    book.clock("2026-11-17T15:00:10Z")
    first = book.archived("commission", "/M1/A1", "2026-11-03")
    assert [(each["net"], each["makeupAfter"], each["difference"]) for each in first] == [(-50, 50, 0), (-10, 10, 0)]
    second = book.archived("commission", "/M1/A1", "2026-11-10")
    assert [(each["makeupBefore"], each["commission"], each["difference"]) for each in second] == [
        (50, 6, 6),
        (10, 14, 8),
    ]
    assert [each["revision"] for each in second] == [1, 2]
    assert [each["commission"] for each in book.archived("commission", "/", "week:2026-11-10")] == [6, 14]
    assert [each["ngr"] for each in book.archived("reports", "/M1/A1", "week:2026-11-10")] == [80]
    paid = next(flow for flow in book.folding.engine.flows if isinstance(flow, Commissions))
    assert paid.commission_minor("/M1/A1") == paid.commission_minor("/") == 1_400


def test_a_plan_holds_for_no_week_that_had_ended() -> None:
    """A plan that is told of today, with a date of long ago, changes nothing that was closed."""
    book = Book("2026-11-03T15:00:00Z")
    planned(book, "/M1/A1", "profit", 0.2, "2026-11-03T15:00:00Z")
    book.wager("C1", 5_000, 0, "2026-11-03T16:00:00Z")
    book.clock("2026-11-10T15:00:00Z")
    planned(book, "/M1/A1", "profit", 0.4, "2026-11-10T16:00:00Z", effectiveFrom="2026-11-03")
    book.wager("C1", 1_000, 0, "2026-11-04T16:00:00Z")
    book.wager("C1", 5_000, 0, "2026-11-10T16:00:00Z")
    book.clock("2026-11-17T15:00:00Z")
    assert [book.document("commission", "/M1/A1", key)["commission"] for key in ("2026-11-03", "2026-11-10")] == [
        12,
        20,
    ]


def test_no_one_sees_who_is_above() -> None:
    """A sub-agent's own scope says nothing of the rate or the part of the agent above."""
    book = Book("2026-11-03T15:00:00Z")
    planned(book, "/M1/A1", "profit", 0.2, "2026-11-03T15:00:00Z")
    planned(book, "/M1", "profit", 0.55, "2026-11-03T15:00:00Z")
    book.wager("C1", 10_000, 0, "2026-11-03T16:00:00Z")
    book.clock("2026-11-10T15:00:00Z")
    own = {key: body for (topic, scope, key), body in book.folding.documents.items() if scope == "/M1/A1"}
    assert own[""]["figure"] == 0  # the new week
    said = msgspec.json.encode(own).decode()
    assert "0.55" not in said
    assert "M1" not in said.replace("/M1/A1", "")
    assert "44" not in said  # what the agent above earns


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"path": "/M9"}, "agent_unknown"),
        ({"type": "generous"}, "event_invalid"),
        ({"type": "tiered", "brackets": [{"fromMinor": 100, "rate": 0.1}]}, "event_invalid"),
        ({"effectiveFrom": "2026-02-30"}, "event_invalid"),
    ],
)
def test_a_plan_that_cannot_be_is_set_aside(more: dict[str, object], code: str) -> None:
    """A plan that nobody can figure becomes a dead letter, and the one before it holds on."""
    book = Book()
    plan = {"agentId": "A1", "path": "/M1/A1", "type": "profit", "rate": 0.2}
    book.tell("commission.plan_set", {**plan, **more}, "2026-11-17T15:00:00Z")
    assert book.folding.code() == code


def test_years_without_a_watermark() -> None:
    """A book that slept for years wakes up with its balances, and what was running then is closed."""
    book = Book()
    book.wager("C1", 10_000, 0, "2026-11-18T16:00:00Z")
    book.clock("2031-06-03T15:00:00Z")
    document = book.document("figures", "/M1/A1/@C1")
    assert (document["week"], document["carry"], document["balance"]) == ("2031-06-03", -100, -100)
    (week,) = book.archived("figures", "/M1/A1/@C1", "2026-11-17")
    assert week["balance"] == -100
    assert book.archived("reports", "/", "month:2026-11")


def test_memory_holds_the_running_week_and_what_can_be_restated() -> None:
    """After months of action only some weeks lie in memory, most of it encoded."""
    book = Book(restate_weeks=1)
    day = ms("2026-11-17T16:00:00Z")
    for number in range(120):
        book.wager("C1", 1_000, 0, to_text(day + number * 24 * HOUR))
    book.folding.clock(day + 119 * 24 * HOUR + 10_000)
    daybook = next(flow for flow in book.folding.engine.flows if isinstance(flow, Daybook))
    held = {table.name: len(table) for table in daybook.tables}
    assert sum(len(account.days) for account in daybook.accounts) <= 8
    assert held["cell"] <= 8
    assert held["sheet"] <= 14 + 31
    assert held["total"] <= (14 + 31) * 2
    assert held["late"] == 0
    assert book.document("figures", "/")["balance"] == -1200


def test_an_ended_day_does_not_begin_again_because_the_book_moved() -> None:
    """A book that goes three time zones west has one longer day, and no report is written twice."""
    book = Book("2026-11-18T04:30:00Z")
    book.wager("C1", 1_000, 0, "2026-11-18T04:59:00Z")
    book.clock("2026-11-18T05:00:00Z")
    book.configure("2026-11-18T05:30:00Z", time_zone="America/Los_Angeles")  # where it is still the 17th
    book.wager("C1", 2_000, 0, "2026-11-18T06:00:00Z")
    adjusted = {**book.of("C1"), "entryId": "l1", "kind": "fee", "amountMinor": -500}
    book.tell("balance.adjusted", adjusted, "2026-11-18T06:00:00Z")
    book.clock("2026-11-18T08:30:00Z")
    book.wager("C1", 4_000, 0, "2026-11-19T07:59:00Z")
    book.clock("2026-11-19T08:00:00Z")
    assert [each["revenue"] for each in book.archived("reports", "/", "day:2026-11-17")] == [10]
    (day,) = book.archived("reports", "/", "day:2026-11-18")
    assert (day["revenue"], day["adjustments"]) == (60, -5)
    book.configure("2026-11-19T09:00:00Z", time_zone="Asia/Tokyo")  # where the 19th is nearly over
    book.wager("C1", 8_000, 0, "2026-11-19T14:00:00Z")
    book.clock("2026-11-19T15:00:00Z")
    assert [each["revenue"] for each in book.archived("reports", "/", "day:2026-11-19")] == [80]


def test_another_first_day_of_the_week_holds_from_the_next_week_on() -> None:
    """The running week ends as it would have; the one after it is shorter, and no day lies in two weeks."""
    book = Book("2026-11-17T15:00:00Z")
    book.configure("2026-11-18T15:00:00Z", week_starts_on="friday")
    book.wager("C1", 1_000, 0, "2026-11-23T15:00:00Z")
    book.wager("C1", 2_000, 0, "2026-11-26T15:00:00Z")
    book.wager("C1", 4_000, 0, "2026-11-27T15:00:00Z")
    book.clock("2026-12-04T15:00:00Z")
    weeks = {key: book.archived("figures", "/", key)[-1] for key in ("2026-11-17", "2026-11-24", "2026-11-27")}
    assert [each["figure"] for each in weeks.values()] == [-10, -20, -40]
    assert [len(each["days"]) for each in weeks.values()] == [7, 3, 7]


def test_of_equal_wagers_the_largest_is_the_same_in_any_order() -> None:
    """Which of two equal wagers a report names does not depend on which one came first."""
    for order in ((1, 2), (2, 1)):
        book = Book()
        for number in order:
            book.number = number - 1
            book.wager("C1", 7_000, None, "2026-11-18T16:00:00Z")
        book.clock("2026-11-19T15:00:00Z")
        assert book.archived("reports", "/", "day:2026-11-18")[0]["largestWagerId"] == "w1"

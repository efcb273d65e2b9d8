"""The `kpi` view, case by case; `tests/property/test_kpi.py` compares every figure with a recomputation."""

from datetime import date

import msgspec
import pytest

from fire22.core.event import Event, encode_event
from fire22.core.message import Json
from fire22.feed.base import Batch
from fire22.flows.engine import Engine
from fire22.log.base import Group
from fire22.sportsbook import domain
from fire22.sportsbook.kpi.flow import Kpi
from fire22.sportsbook.registry.flow import Registry
from tests.support.netted import Netted, Unpaid
from tests.support.storage import START_MS, event

HOUR = 3_600_000
MIDNIGHT = START_MS + 12 * HOUR


class Book:
    """A kpi flow, fed by hand, one fact a group."""

    def __init__(self, restated_from_ms: int = 0) -> None:
        registry = Registry()
        netted, self.unpaid = Netted(registry), Unpaid()
        kpi = Kpi(registry, netted, self.unpaid, lambda at_ms: at_ms < restated_from_ms)
        self.engine = Engine((registry, netted, kpi), domain.decode)
        self.documents: dict[str, dict[str, Json]] = {}
        self._number = 0
        for code in ("M1", "M2"):
            self.tell("agent.created", 0, agentId=code, name="", path=f"/{code}", level=1, status="active")
        for code in ("C1", "C2"):
            about = {"agentId": "M1", "path": "/M1", "name": "", "status": "active"}
            self.tell("customer.created", 0, customerId=code, **about)

    def tell(self, kind: str, at_ms: int, /, **data: object) -> Batch:
        """A fact becomes a group of its own."""
        self._number += 1
        fact: Event = event(f"e{self._number}", type=kind, at_ms=at_ms, data=data)
        batch = self.engine.fold_group(Group(self._number, (encode_event(fact).body,))).batch
        assert not self.engine.rejected
        for document in batch.documents:
            self.documents[document.scope] = document.body or {}
        return batch

    def wager(self, kind: str, at_ms: int, id: str = "w1", /, **data: object) -> None:
        """A fact of a wager: 11.00 to win 10.00, of customer C1 at /M1."""
        placed = {"channel": "web", "status": "accepted", "version": 1} if kind == "wager.placed" else {}
        legs = {"legs": [{"marketId": "m", "selectionId": "a", "odds": 1.9}]} if kind == "wager.placed" else {}
        identity = {
            "wagerId": id, "wagerNumber": 1, "customerId": "C1", "agentId": "M1", "path": "/M1", "type": "straight",
            "riskMinor": 1100, "toWinMinor": 1000, "freePlay": False,
        }  # fmt: skip
        self.tell(kind, at_ms, **{**identity, **placed, **legs, **data})

    def clock(self, at_ms: int) -> None:
        """The watermark."""
        self.tell("system.clock", at_ms)

    def four(self, scope: str = "/") -> tuple[Json, ...]:
        """Revenue, active players, pending, liability."""
        return tuple(self.documents[scope][name] for name in ("revenue", "activePlayers", "pending", "totalLiability"))

    def period(self, kind: str, scope: str = "/") -> dict[str, Json]:
        """The figures of the running day, week or month."""
        periods = self.documents[scope]["periods"]
        assert isinstance(periods, dict)
        period = periods[kind]
        assert isinstance(period, dict)
        return period

    def change(self, scope: str = "/") -> tuple[Json, ...]:
        """Their change since the start of the day."""
        change = self.documents[scope]["change"]
        assert isinstance(change, dict)
        return tuple(change[name] for name in ("revenue", "activePlayers", "pending", "totalLiability"))


def settled(
    book: Book, at_ms: int, returned: int, *, revision: int = 1, before: int = 0, kind: str = "wager.settled"
) -> None:
    """The wager is settled."""
    book.wager(kind, at_ms, revision=revision, result="x", returnMinor=returned, previousReturnMinor=before)


def test_the_fields_are_those_of_the_specification() -> None:
    """A developer finds the four figures and their change, and what else is known beside them."""
    book = Book()
    book.wager("wager.placed", START_MS)
    sums = {"handle": 11.0, "settledHandle": 0.0, "ngr": 0.0}
    period = {"revenue": 0.0, **sums, "wagers": 1}
    assert book.documents["/"] == {
        "revenue": 0.0, "activePlayers": 1, "pending": 1, "totalLiability": 10.0,
        "change": {"revenue": 0.0, "activePlayers": 1, "pending": 1, "totalLiability": 10.0},
        **sums, "pendingRisk": 11.0, "pendingToWin": 10.0, "grossPotentialPayout": 21.0, "onlinePlayers": 1,
        "periods": {
            "day": {"key": "2026-03-01", **period},
            "week": {"key": "2026-02-24", **period},
            "month": {"key": "2026-03", **period},
        },
    }  # fmt: skip
    assert book.documents["/M1"] == book.documents["/"]


def test_revenue_is_what_the_book_keeps() -> None:
    """A loss earns the stake, a win costs the profit, a push nothing."""
    for returned, revenue in ((0, 11.0), (2100, -10.0), (1100, 0.0)):
        book = Book()
        book.wager("wager.placed", START_MS)
        settled(book, START_MS + 1, returned)
        assert book.four() == (revenue, 1, 0, 0.0)


@pytest.mark.parametrize("revision", [1, 2])
def test_a_corrected_settlement_counts_its_difference(revision: int) -> None:
    """A settlement corrected in place, or by a new revision, replaces what was returned before and nothing else."""
    book = Book()
    book.wager("wager.placed", START_MS)
    settled(book, START_MS + 1, 2100)
    settled(book, START_MS + 2, 0, revision=revision, before=2100, kind="wager.resettled")
    assert book.four() == (11.0, 1, 0, 0.0)


def test_a_resettlement_of_an_open_wager_is_its_first() -> None:
    """Where the book never told the first settlement, the stake is earned all the same."""
    book = Book()
    book.wager("wager.placed", START_MS)
    settled(book, START_MS + 2, 0, revision=2, kind="wager.resettled")
    assert book.four() == (11.0, 1, 0, 0.0)


def test_a_resettlement_of_a_wager_of_before_counts_its_difference() -> None:
    """A wager settled before the book was connected is in the imported revenue; only the correction is new."""
    book = Book()
    book.tell("revenue.imported", START_MS, path="/M1", revenueMinor=1100)
    settled(book, START_MS + 2, 2100, revision=2, kind="wager.resettled")
    assert book.four() == (-10.0, 0, 0, 0.0)


def test_a_wager_that_is_told_twice_counts_once() -> None:
    """A wager both imported and placed is one wager."""
    book = Book()
    for kind in ("wager.placed", "wager.imported"):
        book.wager(kind, START_MS, channel="web", status="accepted", version=1)
    assert book.four()[2] == 1
    assert book.documents["/"]["handle"] == 11.0


def test_the_change_begins_anew_at_midnight() -> None:
    """A new business day starts from the figures as they stand."""
    book = Book()
    book.clock(START_MS)
    book.wager("wager.placed", START_MS)
    settled(book, START_MS + HOUR, 0)
    book.wager("wager.placed", START_MS + HOUR, "w2")
    assert book.change() == (11.0, 1, 1, 10.0)
    book.clock(MIDNIGHT + 1)
    assert book.four() == (11.0, 1, 1, 10.0)
    assert book.change() == (0.0, 0, 0, 0.0)


def test_a_late_fact_belongs_to_its_own_day() -> None:
    """After an outage over midnight, yesterday's wagers do not look like today's."""
    book = Book()
    book.clock(START_MS)
    book.clock(MIDNIGHT + HOUR)
    book.wager("wager.placed", MIDNIGHT - HOUR)
    assert book.four() == (0.0, 1, 1, 10.0)
    assert book.change() == (0.0, 0, 0, 0.0)
    settled(book, MIDNIGHT - HOUR + 5, 0)
    assert book.four() == (11.0, 1, 0, 0.0)
    assert book.change() == (0.0, 0, 0, 0.0)


def test_a_book_that_is_imported_shows_no_change() -> None:
    """In the first second nothing has happened today, in whatever order the rows came."""
    book = Book()
    book.tell("agent.imported", START_MS, agentId="M1", name="M", path="/M1", level=1, status="active")
    book.wager("wager.imported", START_MS - 30 * HOUR, channel="web", status="accepted", version=1)
    book.tell("revenue.imported", START_MS, path="/M1", revenueMinor=-500)
    last = "2026-03-01T03:00:00Z"
    book.tell(
        "customer.imported", START_MS - 99 * HOUR,
        customerId="C2", agentId="M1", path="/M1", name="n", status="active", lastWagerAt=last,
    )  # fmt: skip
    book.clock(START_MS)
    assert book.four() == (-5.0, 1, 1, 10.0)
    assert book.change() == (0.0, 0, 0, 0.0)  # one customer was active at midnight, another is now


def test_imported_revenue_carries_its_time() -> None:
    """The first figures of a connected book are not dated 1970."""
    batch = Book().tell("revenue.imported", START_MS, path="/", revenueMinor=5)
    assert batch.records[0].entries[0].at_ms == START_MS


def test_players_of_yesterday_are_those_at_the_start_of_the_day() -> None:
    """After a long gap the change counts from who was active at midnight, not from who was when time stood still."""
    book = Book()
    book.clock(START_MS)
    book.wager("wager.placed", START_MS)
    book.clock(MIDNIGHT + 60 * HOUR)
    assert book.four()[1] == 0
    assert book.change()[1] == 0


def session(book: Book, kind: str, at_ms: int, customer: str = "C1") -> None:
    """A customer comes or leaves."""
    book.tell(f"session.{kind}", at_ms, customerId=customer, agentId="M1", path="/M1")


def online(book: Book) -> Json:
    """Who is there now."""
    return book.documents["/"]["onlinePlayers"]


def test_who_logs_in_is_online_until_the_log_out() -> None:
    """An operator sees how many are there, also when one of them comes back at once."""
    book = Book()
    book.clock(START_MS)
    session(book, "login", START_MS)
    session(book, "login", START_MS + 1, "C2")
    assert online(book) == 2
    session(book, "logout", START_MS + 2)
    assert online(book) == 1
    session(book, "login", START_MS + 3)
    assert online(book) == 2
    session(book, "logout", START_MS + 4, "C9")
    assert online(book) == 2


def test_a_log_out_that_is_told_late_ends_only_what_was_before_it() -> None:
    """In whatever order a log-in, a wager and a log-out are told of, who came again after leaving is online."""
    book = Book()
    book.clock(START_MS + HOUR // 10)
    session(book, "login", START_MS + 2)
    session(book, "logout", START_MS + 1)
    assert online(book) == 1
    session(book, "logout", START_MS + 3)
    book.wager("wager.placed", START_MS + 2)
    assert online(book) == 0
    book.wager("wager.placed", START_MS + 4, "w2")
    assert online(book) == 1


def test_who_does_nothing_is_no_longer_online() -> None:
    """A wager is a sign of life as a log-in is; fifteen minutes without one end it."""
    book = Book()
    book.clock(START_MS)
    session(book, "login", START_MS)
    book.wager("wager.placed", START_MS + HOUR // 6)
    book.clock(START_MS + HOUR // 4)
    assert online(book) == 1
    book.clock(START_MS + HOUR // 6 + HOUR // 4)
    assert online(book) == 0
    assert book.four()[1] == 1


def test_net_revenue_is_what_bonuses_and_charge_backs_leave() -> None:
    """What was given away and what was taken back is not earned, whatever the wagers brought."""
    book = Book()
    book.clock(START_MS)
    book.wager("wager.placed", START_MS)
    settled(book, START_MS + 1, 0)
    about = {"customerId": "C1", "agentId": "M1", "path": "/M1"}
    for number, (kind, amount) in enumerate((("bonus", 300), ("adjustment", 5000))):
        book.tell("balance.adjusted", START_MS + 2, entryId=str(number), kind=kind, amountMinor=amount, **about)
    for direction in ("deposit", "withdrawal"):
        book.tell(
            "payment.charged_back", START_MS + 3, paymentId=direction, direction=direction, method="card",
            amountMinor=200, status="charged_back", **about,
        )  # fmt: skip
    assert (book.documents["/M1"]["revenue"], book.documents["/M1"]["ngr"]) == (11.0, 6.0)
    assert book.period("day")["ngr"] == 6.0


def test_commission_comes_off_with_the_end_of_its_week() -> None:
    """What agents earn is no net revenue of those above, in the month their week ended in; a correction moves it."""
    book = Book()
    week_ends_ms = START_MS + 36 * HOUR
    book.clock(week_ends_ms + 1)
    for posted in (250, -100):
        book.unpaid.posted = [("/M1", date(2026, 3, 3).toordinal(), posted)]
        book.clock(week_ends_ms + 2)
    book.unpaid.posted = []
    for scope in ("/", "/M1"):
        assert book.documents[scope]["ngr"] == -1.5
        assert [book.period(kind, scope)["ngr"] for kind in ("day", "week", "month")] == [0.0, 0.0, -1.5]
    assert book.documents["/M2"]["ngr"] == 0.0


def test_hold_is_of_what_is_settled() -> None:
    """A risk manager compares revenue with the stakes that it came from; without any there is no hold."""
    book = Book()
    book.wager("wager.placed", START_MS)
    assert "hold" not in book.documents["/"]
    settled(book, START_MS + 1, 1000)
    assert book.documents["/"]["hold"] == 9.09


def test_each_period_counts_the_facts_that_it_holds() -> None:
    """Yesterday's late wager is in the week and the month, not in the day; last week's only in the month."""
    monday = START_MS + 8 * 24 * HOUR  # 9 March 2026, noon; its week began on the 3rd
    book = Book()
    book.clock(monday)
    book.wager("wager.placed", monday)
    book.wager("wager.placed", monday - 24 * HOUR, "w2")
    book.wager("wager.placed", monday - 7 * 24 * HOUR, "w3")
    book.wager("wager.placed", monday - 60 * 24 * HOUR, "w4")
    assert [book.period(kind)["wagers"] for kind in ("day", "week", "month")] == [1, 2, 3]
    assert book.documents["/"]["handle"] == 44.0
    book.clock(monday + 24 * HOUR)
    assert [book.period(kind)["wagers"] for kind in ("day", "week", "month")] == [0, 0, 3]
    assert [book.period(kind)["key"] for kind in ("day", "week", "month")] == ["2026-03-10", "2026-03-10", "2026-03"]


def test_the_window_of_active_players_ends_exactly() -> None:
    """A customer is active for 24 hours after the wager, by the watermark."""
    book = Book()
    book.wager("wager.placed", START_MS)
    book.clock(START_MS + 24 * HOUR - 1)
    assert book.four()[1] == 1
    book.clock(START_MS + 24 * HOUR)
    assert book.four()[1] == 0
    book.wager("wager.placed", START_MS, "w2")
    assert book.four()[1] == 0


def test_a_fact_of_the_future_is_held_to_the_watermark() -> None:
    """A wrong clock in the book does not begin tomorrow today, nor keep a player active for a year."""
    book = Book()
    book.clock(START_MS)
    book.wager("wager.placed", START_MS + 99_000 * HOUR)
    book.clock(START_MS + HOUR)
    book.wager("wager.placed", START_MS + HOUR, "w2", customerId="C2")
    assert book.change() == (0.0, 2, 2, 20.0)
    book.clock(START_MS + 26 * HOUR)
    assert book.four()[1] == 0


def test_a_fact_ahead_of_a_recorded_clock_does_not_end_the_day() -> None:
    """A bet of the 20th in a recorded book leaves the figures of the 3rd alone, and counts once the 20th begins."""
    book, day = Book(), 24 * HOUR
    book.clock(START_MS)
    book.wager("wager.placed", START_MS, "w1", riskMinor=2000)
    key = book.period("day")["key"]
    book.wager("wager.placed", START_MS + 17 * day, "w2", riskMinor=4000)
    book.wager("wager.placed", START_MS, "w3", riskMinor=700)
    book.clock(START_MS + HOUR)
    today = book.period("day")
    assert (today["key"], today["handle"], today["wagers"]) == (key, 27.0, 2)
    assert book.change()[2] == 2
    book.clock(START_MS + 16 * day)
    assert (book.period("day")["handle"], book.change()[2]) == (0.0, 0)
    book.clock(START_MS + 17 * day)
    assert (book.period("day")["handle"], book.period("day")["wagers"], book.change()[2]) == (40.0, 1, 1)
    book.clock(START_MS + 18 * day)
    assert (book.period("day")["handle"], book.change()[2]) == (0.0, 0)
    assert book.documents["/"]["handle"] == 67.0


def test_a_writer_whose_clock_is_fast_ends_no_day() -> None:
    """At midnight a bet that is dated 22 s ahead waits for the new day; what comes meanwhile is of the old one."""
    book = Book()
    book.tell("system.now", MIDNIGHT - 3_000)
    book.clock(MIDNIGHT - 3_000)
    book.wager("wager.placed", MIDNIGHT - 4_000, "w1", riskMinor=2000)
    key = book.period("day")["key"]
    book.wager("wager.placed", MIDNIGHT + 22_000, "w2", riskMinor=4000)
    lost = {"riskMinor": 4000, "returnMinor": 0, "previousReturnMinor": 0, "result": "lost", "revision": 1}
    book.wager("wager.settled", MIDNIGHT + 23_000, "w2", **lost)
    book.wager("wager.placed", MIDNIGHT - 2_000, "w3", riskMinor=700)
    today = book.period("day")
    assert (today["key"], today["handle"], today["revenue"], book.change()[0]) == (key, 27.0, 0.0, 0.0)
    book.clock(MIDNIGHT)
    today = book.period("day")
    assert today["key"] != key
    assert (today["handle"], today["revenue"], book.change()[0], book.change()[2]) == (40.0, 40.0, 40.0, 0)


def test_a_day_that_has_not_come_ends_with_the_first_watermark() -> None:
    """A fact from the far future that came before any clock does not stop business days for years."""
    book = Book()
    book.wager("wager.placed", START_MS + 9000 * HOUR)
    book.clock(START_MS)
    book.wager("wager.placed", START_MS + 1, "w2")
    assert book.change()[2] == 1
    book.clock(MIDNIGHT)
    assert book.change()[2] == 0


def test_new_settings_begin_with_the_next_day() -> None:
    """A change of the day's start never counts an hour in two days."""
    book = Book()
    book.clock(START_MS)
    book.wager("wager.placed", START_MS)
    flows = {"kpi": {"version": 1, "settings": {"time_zone": "America/New_York", "day_starts_at": "06:00:00"}}}
    book.tell("system.configured", START_MS, flows=flows)
    book.clock(MIDNIGHT - 1)
    assert book.change()[2] == 1
    book.clock(MIDNIGHT)
    assert book.change()[2] == 0
    book.wager("wager.placed", MIDNIGHT + 1, "w2")
    assert book.change()[2] == 1
    book.clock(MIDNIGHT + 11 * HOUR)  # 06:00 in New York
    assert book.change()[2] == 0


def test_bound_liability_is_said_to_be_one() -> None:
    """With a parlay open the liability is an upper bound; once it is settled the flag is gone."""
    book = Book()
    book.wager(
        "wager.placed", START_MS, type="parlay", legs=[{"marketId": m, "selectionId": "a", "odds": 2} for m in "mn"]
    )
    assert book.documents["/"]["liabilityIsBound"] is True
    settled(book, START_MS + 1, 0)
    assert "liabilityIsBound" not in book.documents["/"]


def test_no_document_holds_null() -> None:
    """`null` in a patch means removal, so no figure may be null."""
    book = Book()
    book.wager("wager.placed", START_MS)
    assert b"null" not in msgspec.json.encode(book.documents)


def test_in_a_flood_documents_wait_their_turn() -> None:
    """A group says so many documents, and the whole book's always; the others follow with the next groups."""
    book = Book()
    book.tell("system.configured", START_MS, flows={"kpi": {"version": 1, "settings": {"documents_max": 1}}})
    book.wager("wager.placed", START_MS, agentId="M2", path="/M2")
    book.wager("wager.placed", START_MS, "w2")
    assert (book.documents["/"]["pending"], book.documents["/M2"]["pending"]) == (2, 0)
    for at_ms in range(START_MS, START_MS + 3):
        book.clock(at_ms)
    assert [book.documents[scope]["pending"] for scope in ("/", "/M1", "/M2")] == [2, 1, 1]


def test_a_wager_that_is_deleted_was_none() -> None:
    """A wager of yesterday that is deleted today is none of yesterday's any more, and takes nothing from today's."""
    book = Book()
    book.clock(START_MS)
    book.wager("wager.placed", START_MS, "w1")
    book.wager("wager.placed", START_MS, "w2")
    book.wager("wager.cancelled", START_MS + 1, "w1", status="deleted")
    assert book.period("day")["wagers"] == 1
    book.clock(MIDNIGHT + 1)
    book.wager("wager.placed", MIDNIGHT + 2, "w3")
    book.wager("wager.cancelled", MIDNIGHT + 3, "w2", status="deleted")
    assert (book.period("day")["wagers"], book.period("month")["wagers"]) == (1, 1)


def test_a_settled_wager_that_is_deleted_was_none() -> None:
    """A wager of three days ago, lost and deleted today, takes nothing from today's; nor does one that was reopened."""
    book = Book()
    book.clock(START_MS)
    for id in ("w1", "w2"):
        book.wager("wager.placed", START_MS, id)
    now_ms = START_MS + 3 * 24 * HOUR
    book.clock(now_ms)
    lost = {"riskMinor": 1100, "returnMinor": 0, "previousReturnMinor": 0, "result": "lost", "revision": 1}
    book.wager("wager.settled", now_ms, "w1", **lost)
    book.wager("wager.cancelled", now_ms + 1, "w1", status="deleted", settledReturnMinor=0)
    book.wager("wager.cancelled", now_ms + 1, "w2", status="cancelled")
    book.wager("wager.reopened", now_ms + 2, "w2", channel="web", status="accepted", version=2)
    book.wager("wager.cancelled", now_ms + 3, "w2", status="deleted")
    assert [book.period(kind)["wagers"] for kind in ("day", "week", "month")] == [0, 0, 0]


def test_a_wager_too_late_for_its_day_is_deleted_where_it_counted() -> None:
    """It counted on the day on which it was told of, and that day loses it; the days after it lose nothing."""
    for days, left in ((0, [0, 0, 0]), (1, [0, 0, 0])):
        book = Book(restated_from_ms=START_MS)
        book.clock(START_MS)
        book.wager("wager.placed", START_MS - 90 * 24 * HOUR)
        assert [book.period(kind)["wagers"] for kind in ("day", "week", "month")] == [1, 1, 1]
        now_ms = START_MS + days * 24 * HOUR
        book.clock(now_ms)
        book.wager("wager.cancelled", now_ms, status="deleted")
        assert [book.period(kind)["wagers"] for kind in ("day", "week", "month")] == left


def test_what_a_search_finds_is_no_change_of_a_day_without_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Liability that is known better today than yesterday has not changed; what today's wagers bring has."""
    book = Book()
    book.clock(START_MS)
    book.wager("wager.placed", START_MS)
    book.clock(MIDNIGHT + 1)
    netted = book.engine.flows[1]
    assert isinstance(netted, Netted)

    def find(total: int) -> None:
        monkeypatch.setattr(netted, "total", lambda _: total)
        monkeypatch.setattr(netted, "take_changed", lambda: ["/"])
        monkeypatch.setattr(netted, "is_found", lambda _: True)
        book.clock(MIDNIGHT + total)
        monkeypatch.undo()

    find(400)
    assert book.documents["/"]["totalLiability"] == 4.0
    assert book.change()[3] == 0.0
    book.wager("wager.placed", MIDNIGHT + 500, "w2")
    assert book.change()[3] == 16.0

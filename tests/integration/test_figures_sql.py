"""Figures and reports of a simulated book against plain SQL over its own tables."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from fire22.app import build_engine, convert, flow_settings
from fire22.core.event import Event, encode_event
from fire22.core.message import Json
from fire22.core.scope import covers
from fire22.core.times import to_datetime, to_text
from fire22.feed.base import Archived
from fire22.flows.engine import CONFIGURED, Engine, configuration
from fire22.flows.horizon import CLOCK
from fire22.sportsbook.book import writer
from fire22.sportsbook.demo import simulator
from fire22.sportsbook.demo.catalogue import SMALL
from tests.support.demo_book import DemoBook
from tests.support.storage import START_MS

MINUTE_MS = 60_000
HOURS = 37  # from a Sunday noon: over two midnights, the second of them the end of a week
RATE_HZ = 0.015
FEW_GAMES = msgspec.structs.replace(SMALL, games=4, live_games=1)


class Simulated:
    """A simulated book, and all that the flows archived and show of it."""

    def __init__(self, path: Path) -> None:
        self.book = DemoBook(path)
        self.book.connection.execute("PRAGMA synchronous=OFF")
        self.engine = build_engine(())
        self.archive: dict[tuple[str, str, str], Archived] = {}
        config = convert({"figures": {"documents_max": 100_000}})
        settings = Raw(configuration(self.engine.flows, flow_settings(config)))
        self.fold([Event("set", CONFIGURED, "test", to_datetime(START_MS), settings)])
        made = simulator.start(self.book.connection, rate_hz=RATE_HZ, seed=3, now_ms=START_MS, size=FEW_GAMES)
        for minute in range(1, HOURS * 60 + 1):
            now_ms = START_MS + minute * MINUTE_MS
            for items in made.step(now_ms):
                writer.write(self.book.connection, items)
            if minute % 30 == 0:
                self.tick(now_ms)
        self.end_ms = now_ms

    def tick(self, now_ms: int) -> None:
        """Fold what the book has told, and the time."""
        self.fold([*self.book.told(), Event(f"clock:{now_ms}", CLOCK, "test", to_datetime(now_ms), Raw(b"{}"))])

    def fold(self, events: list[Event]) -> None:
        """Events become one group."""
        for event in events:
            self.engine.fold(encode_event(event).body)
        for each in self.engine.flush().batch.archived:
            self.archive[each.topic, each.scope, each.key] = each


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """The book, once for all tests of this file."""
    return Simulated(tmp_path_factory.mktemp("simulated") / "book.db")


def documents(engine: Engine) -> dict[tuple[str, str], dict[str, Json]]:
    """The view of figures by scope and key."""
    return {name[1:]: each.body or {} for name, each in engine.output.documents.items() if name[0] == "figures"}


def test_net_revenue_leaves_out_all_that_is_paid(simulated: Simulated) -> None:
    """In every scope the book keeps its revenue less bonuses, charge-backs, and what agents earned in ended weeks."""
    for second in range(1, 4):  # so that no document waits
        simulated.tick(simulated.end_ms + second)
    given = dict(
        simulated.book.rows(
            "SELECT a.path, sum(iif(l.kind = 'bonus', l.amount_cents, -l.amount_cents)) FROM ledger_entries l"
            " JOIN customers c ON c.id = l.account_id JOIN agents a ON a.id = c.agent_id"
            " WHERE l.kind IN ('bonus', 'deposit_charged_back') GROUP BY a.path"
        )
    )
    earned: Counter[str] = Counter()
    for (topic, scope, key), each in simulated.archive.items():
        if topic == "commission" and ":" not in key:
            earned[scope] += round(100 * msgspec.json.decode(each.body)["commission"])
    assert given and any(earned.values())
    for scope in ("/", *simulated.book.column("SELECT path FROM agents")):
        body = simulated.engine.document("kpi", scope) or {}
        paid = sum(amount for path, amount in (*given.items(), *earned.items()) if covers(scope, path))
        assert round(100 * (float(str(body["revenue"])) - float(str(body["ngr"])))) == paid, scope


CUSTOMERS = "customers c JOIN agents a ON a.id = c.agent_id"
SCOPE = "a.path || '/@' || c.code"


def test_every_balance_is_the_books_own(simulated: Simulated) -> None:
    """Each customer's balance on the weekly sheet is that of the book's table, and the house's is their sum."""
    assert not simulated.engine.rejected
    sheet = documents(simulated.engine)
    kept = dict(simulated.book.rows(f"SELECT {SCOPE}, c.balance_cents FROM {CUSTOMERS}"))
    shown = {scope: round(100 * float(str(body["balance"]))) for (scope, key), body in sheet.items() if "@" in scope}
    assert {scope: balance for scope, balance in kept.items() if balance} == {k: v for k, v in shown.items() if v}
    assert round(100 * float(str(sheet["/", ""]["balance"]))) == sum(kept.values())
    assert len(shown) > 100


def test_every_day_is_the_sum_of_the_ledger(simulated: Simulated) -> None:
    """Each ended day's revenue and payments of each agent are the sums of the book's own ledger entries."""
    today = to_text(simulated.end_ms)[:10]
    rows = simulated.book.rows(
        "SELECT substr(l.created_at, 1, 10) AS day, a.path,"
        " sum(iif(l.ref_type = 'wager', -l.amount_cents, 0)), sum(iif(l.ref_type <> 'wager', l.amount_cents, 0))"
        " FROM ledger_entries l JOIN customers c ON c.id = l.account_id JOIN agents a ON a.id = c.agent_id"
        " WHERE day < ? GROUP BY day, a.path",
        today,
    )
    revenue: Counter[tuple[str, str]] = Counter()
    moved: Counter[tuple[str, str]] = Counter()
    for day, path, earned, paid in rows:
        parts = path.split("/")
        for scope in ("/", *("/".join(parts[:depth]) for depth in range(2, len(parts) + 1))):
            revenue[day, scope] += earned
            moved[day, scope] += paid
    compared = 0
    for (topic, scope, key), each in simulated.archive.items():
        if topic == "reports" and key.startswith("day:") and "@" not in scope:
            body = msgspec.json.decode(each.body)
            day = key.partition(":")[2]
            paid = body["deposits"] - body["withdrawals"] - body["chargebacks"] + body["adjustments"]
            assert round(100 * body["revenue"]) == revenue[day, scope], (key, scope)
            assert round(100 * paid) == moved[day, scope], (key, scope)
            compared += 1
    assert compared > 20
    assert {scope for _, scope in revenue} <= {scope for topic, scope, _ in simulated.archive if topic == "reports"}


def test_every_day_counts_the_wagers_of_the_table(simulated: Simulated) -> None:
    """Each ended day's wagers, parlays and distinct players are those of the book's table."""
    today = to_text(simulated.end_ms)[:10]
    since = to_text(START_MS)[:10]
    rows = simulated.book.rows(
        "SELECT substr(accepted_at, 1, 10) AS day, count(*), sum(type = 'parlay'), count(DISTINCT customer_id),"
        " max(risk_cents) FROM wagers WHERE status NOT IN ('requested', 'review', 'rejected', 'expired')"
        " AND day >= ? AND day < ? GROUP BY day",
        since,
        today,
    )
    assert len(rows) >= 2
    for day, placed, parlays, players, largest in rows:
        body = msgspec.json.decode(simulated.archive["reports", "/", f"day:{day}"].body)
        # A row that the desk deleted, soon after it was written, is not in the table any more.
        deleted = "SELECT count(*) FROM wager_changes WHERE action = 'deleted' AND substr(at, 1, 10) = ?"
        placed += simulated.book.one(deleted, day)
        said = (body["placed"], body["parlays"], body["players"], round(100 * body["largestWager"]))
        assert said == (placed, parlays, players, largest), day


def test_a_week_is_the_sum_of_its_days(simulated: Simulated) -> None:
    """The ended week of every scope says the same as its days together."""
    weeks = [name for name in simulated.archive if name[0] == "reports" and name[2].startswith("week:")]
    assert weeks
    for topic, scope, key in weeks:
        body = msgspec.json.decode(simulated.archive[topic, scope, key].body)
        found = [
            msgspec.json.decode(each.body)
            for (other, at, name), each in simulated.archive.items()
            if other == "reports" and at == scope and name.startswith("day:")
        ]
        days = [day for day in found if body["from"] <= day["from"] < body["to"]]
        for field in ("handle", "revenue", "settledHandle", "deposits"):
            assert round(100 * body[field]) == sum(round(100 * day[field]) for day in days), (scope, field)
        for field in ("placed", "settled", "cancelled", "voided", "modified", "parlays"):
            assert body[field] == sum(day[field] for day in days), (scope, field)

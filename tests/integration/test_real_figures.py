"""50,000 real wagers, by player, day and week: what the file says and what is archived are the same, to the cent."""

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw, Struct

from fire22.app import build_engine, convert, flow_settings
from fire22.core.event import Event, encode_event
from fire22.core.times import to_datetime
from fire22.flows.engine import CONFIGURED, configuration
from fire22.flows.horizon import CLOCK
from fire22.sources.sqlite import install as outbox
from fire22.sportsbook.book import database, writer
from fire22.sportsbook.replay.pacing import ReplayReport, replay
from fire22.sportsbook.replay.recording import read_mapping
from tests.support.demo_book import read

pytestmark = [pytest.mark.external_data, pytest.mark.timeout(300)]

MAPPING = Path(__file__).parents[2] / "examples" / "bustabit.toml"
GROUP = 500
MONTHS = timedelta(days=70)

Archive = dict[tuple[str, str, str], dict[str, Any]]
Sums = dict[tuple[str, str], Counter[str]]  # by player and period, integer cents


def events_of(book: Path) -> Iterator[Event]:
    """What the triggers of the book told, in its order; after it the watermark goes on until every period has ended."""
    at = datetime.now(UTC)
    for each in read(book):
        at = each.timestamp
        yield each
    yield Event("the end", CLOCK, "test", at + MONTHS, Raw(b"{}"))


class Folded(Struct, frozen=True):
    """What became of the recorded wagers.

    Args:
        book: that they were replayed into.
        types: how many events of which type its triggers told.
    """

    book: Path
    report: ReplayReport
    types: Counter[str]
    archive: Archive


@pytest.fixture(scope="module")
def folded(recorded_wagers: Path, tmp_path_factory: pytest.TempPathFactory) -> Folded:
    """The file replayed into a book as fast as it goes, and all that it told folded by all flows."""
    book = tmp_path_factory.mktemp("real") / "book.db"
    report = replay(
        recorded_wagers, read_mapping(MAPPING), book, speed=None, progress=lambda _: None, install=outbox.install
    )
    engine = build_engine(())
    settings = Raw(configuration(engine.flows, flow_settings(convert({}))))
    engine.fold(encode_event(Event("set", CONFIGURED, "test", to_datetime(1), settings)).body)
    found: Archive = {}
    types: Counter[str] = Counter()
    for number, event in enumerate(events_of(book)):
        types[event.type] += 1
        engine.fold(encode_event(event).body)
        if number % GROUP == 0 or event.id == "the end":
            for each in engine.flush().batch.archived:
                name = (each.topic, each.scope, each.key)
                assert (name in found) is (each.revision > 1)
                found[name] = msgspec.json.decode(each.body)
    assert not engine.rejected
    return Folded(book, report, types, found)


@pytest.fixture(scope="module")
def archive(folded: Folded) -> Archive:
    """Everything that is archived then."""
    return folded.archive


def test_the_recorded_wagers_add_up_to_the_cent(folded: Folded) -> None:
    """50,000 real wagers make a revenue of −2,287,118.27, by plain SQL over the book, and each is told once."""
    report = folded.report
    assert (report.placed, report.settled, report.customers) == (50_000, 50_000, 4_149)
    assert report.revenue_minor == -228_711_827
    connection = database.connect(folded.book)
    assert writer.gross_revenue_minor(connection) == writer.gross_revenue_minor(connection, "/BB") == -228_711_827
    assert connection.execute("SELECT sum(balance_cents) FROM customers").get == 228_711_827
    assert connection.execute("SELECT count(*) FROM wagers WHERE status <> 'settled'").get == 0
    connection.close()
    assert dict(folded.types) == {
        "agent.created": 1,
        "customer.created": 4_149,
        "system.clock": 42_154,  # the last one is the test's own
        "wager.placed": 50_000,
        "wager.settled": 50_000,
    }


@pytest.fixture(scope="module")
def told(recorded_wagers: Path) -> dict[str, Sums]:
    """The sums of the file itself, by kind of period."""
    sums: dict[str, Sums] = {"day": {}, "week": {}, "month": {}}
    with gzip.open(recorded_wagers, "rt", newline="") as file:
        for row in csv.DictReader(file):
            day = datetime.fromisoformat(row["PlayDate"]).date()
            tuesday = day - timedelta(days=(day.weekday() - 1) % 7)
            stake = int(Decimal(row["Bet"]) * 100)
            won = 0 if row["Profit"] == "NA" else int(Decimal(row["Profit"]) * 100)
            wager = Counter(handle=stake, revenue=stake if row["Profit"] == "NA" else -won, placed=1)
            for kind, key in (("day", str(day)), ("week", str(tuesday)), ("month", str(day)[:7])):
                for player in (row["Player"], ""):
                    of_player = sums[kind].setdefault((player, key), Counter())
                    of_player.update(wager)
    return sums


@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_every_report_is_that_of_the_file(archive: Archive, told: dict[str, Sums], kind: str) -> None:
    """Each player and the house have the periods of the file and no others, with its handle, revenue and count."""
    archived: dict[tuple[str, str], tuple[int, int, int]] = {}
    for (topic, scope, key), body in archive.items():
        if topic == "reports" and key.startswith(f"{kind}:") and scope != "/BB":
            player = scope.removeprefix("/BB/@") if scope != "/" else ""
            amounts = (round(100 * body["handle"]), round(100 * body["revenue"]), body["placed"])
            archived[player, key.partition(":")[2]] = amounts
    expected = {name: (each["handle"], each["revenue"], each["placed"]) for name, each in told[kind].items()}
    assert len(expected) > 1_000
    assert archived == expected
    assert sum(revenue for (player, _), (_, revenue, _) in archived.items() if not player) == -228_711_827


def test_players_are_counted_once_a_period(archive: Archive, told: dict[str, Sums]) -> None:
    """A period's players are the distinct ones of the file."""
    for kind, sums in told.items():
        for key in {key for _, key in sums}:
            players = sum(1 for player, at in sums if at == key and player)
            assert archive["reports", "/", f"{kind}:{key}"]["players"] == players


def test_every_weekly_figure_is_that_of_the_file(archive: Archive, told: dict[str, Sums]) -> None:
    """Each player's figure of each day and week is what the file says, and the balance goes on from week to week."""
    balances: Counter[str] = Counter()
    weeks = sorted({key for topic, _, key in archive if topic == "figures"})
    seen = 0
    for week in weeks:
        first = datetime.fromisoformat(week).date()
        days = [str(first + timedelta(days=number)) for number in range(7)]
        for (topic, scope, key), body in archive.items():
            if topic != "figures" or key != week or not scope.startswith("/BB/@"):
                continue
            player = scope.removeprefix("/BB/@")
            figures = [-told["day"].get((player, day), Counter())["revenue"] for day in days]
            assert [round(100 * figure) for figure in body["days"].values()] == figures
            assert round(100 * body["carry"]) == balances[player]
            balances[player] += sum(figures)
            assert round(100 * body["balance"]) == balances[player]
            seen += 1
    assert seen >= len({name for name in told["week"] if name[0]})
    everybody = sum(each["revenue"] for (player, _), each in told["week"].items() if player)
    assert sum(balances.values()) == -everybody

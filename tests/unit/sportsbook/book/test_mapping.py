"""A book with other tables, columns, codes and units gives the figures that the demo book gives."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import apsw
import msgspec
import pytest

from fire22.core.errors import BookError, SetupError
from fire22.core.event import Event
from fire22.core.message import Json
from fire22.core.outbox import CLOCK_SQL
from fire22.core.times import to_ms, to_text
from fire22.sources.mirror.rows import UNUSABLE
from fire22.sources.sqlite.install import Plan, install, is_current, plan, uninstall
from fire22.sportsbook import domain
from fire22.sportsbook.book import database
from fire22.sportsbook.book.schema import OUTBOX, Book, book, numbers
from fire22.sportsbook.book.schema.mapping import BookMapping, ColumnMapping, TableMapping, read_book_mapping
from fire22.sportsbook.book.schema.unmapped import unmapped
from fire22.sportsbook.demo.create import create_demo
from tests.support.demo_book import follow, read, told
from tests.support.folding import Folding
from tests.support.twins import ROOT, START_MS, TABLES, Twins, mapping

TIMELESS = ("agent.imported", "customer.imported", "market.imported", "revenue.imported")
FIGURES = ("kpi", "exposure", "balances", "payment_queue", "figures", "commission", "markets")


@pytest.mark.parametrize("seed", range(2))
def test_a_mapped_book_gives_the_same_figures(seed: int, tmp_path: Path) -> None:
    """The same business in both books, from before the triggers were there: the same figures, and nothing refused."""
    twins = Twins(tmp_path, seed)
    folds = (Folding(domain.flows), Folding(domain.flows))
    for _ in range(60):
        twins.step()
    twins.install()
    for _ in range(15):
        heard = twins.told()
        assert kinds(heard[1], twins.now_ms) == kinds(heard[0], twins.now_ms), f"seed {seed}"
        for fold, events in zip(folds, heard, strict=True):
            fold.group(events)
            fold.clock(twins.now_ms)
        for _ in range(10):
            twins.step()
    twins.close()
    assert [fold.refused for fold in folds] == [[], []], f"seed {seed}"
    theirs, ours = (figures(fold) for fold in folds)
    assert {topic for topic, _, _ in ours} >= {"kpi", "exposure", "balances", "figures"}
    assert {key: body for key, body in theirs.items() if body != ours.get(key)} == {}, f"seed {seed}"
    assert set(theirs) == set(ours), f"seed {seed}"


def kinds(events: list[Event], until_ms: int) -> list[tuple[str, datetime | None]]:
    """What was told, and of when, if the book said when; a second settlement has no revision in the other book."""
    told = []
    for each in events:
        known = each.type not in TIMELESS and START_MS <= to_ms(each.timestamp) <= until_ms
        told.append((each.type.replace("resettled", "settled"), each.timestamp if known else None))
    return told


def figures(fold: Folding) -> dict[tuple[str, str, str], dict[str, Json]]:
    """The documents that say what the book earned, owes and risks."""
    return {key: body for key, body in fold.documents.items() if key[0] in FIGURES}


@pytest.fixture
def foreign(tmp_path: Path) -> apsw.Connection:
    """The other book with an agent, a player, a game and its market; no triggers yet."""
    made = apsw.Connection(str(tmp_path / "northbet.db"))
    made.execute(TABLES)
    made.execute(f"""
        INSERT INTO Agents VALUES(1, 'M1', NULL, 0, '{NOON}'), (2, 'A7', 1, 0, '{NOON}');
        INSERT INTO Players VALUES(7, 'P7', 'Seven', 2, 'A', 100, 50, 0, '{NOON}', '{NOON}');
        INSERT INTO Games VALUES(1, 'Soccer', 'Home - Away', '{NOON}');
        INSERT INTO Markets VALUES(1, 1, 'moneyline', NULL, 'O', '{NOON}', '{NOON}');
        INSERT INTO Sides VALUES(1, 1, 'Home', -110, '{NOON}'), (2, 1, 'Away', 150, '{NOON}')""")
    return made


NOON = "2026-07-01 12:00:00"


def bet(verb: str = "INSERT", **other: object) -> str:
    """The SQL of a bet: 11.00 to win 10.00."""
    row = {
        "BetNo": 1, "PlayerNo": 7, "SideNo": 1, "Price": -110, "Stake": "11.00", "Payable": 21, "Bonus": "N",
        "State": "O", "PlacedAt": NOON, "ChangedAt": NOON,
    } | other  # fmt: skip
    values = ", ".join("NULL" if each is None else repr(each) for each in row.values())
    return f"{verb} INTO Bets({', '.join(row)}) VALUES({values})"


def heard(connection: apsw.Connection, domain: Book | None = None) -> list[tuple[str, dict[str, Any]]]:
    """What was told since the last call."""
    events = told(connection, domain or book(mapping()))
    return [(each.type, msgspec.json.decode(each.data, type=dict[str, Any])) for each in events]


def put_in(connection: apsw.Connection) -> None:
    """Install the triggers, and leave out what they bring in."""
    install(Path(connection.filename), book(mapping()).outbox)
    heard(connection)


def test_a_bet_is_a_wager_with_its_leg(foreign: apsw.Connection) -> None:
    """Numbers become texts, pounds become pence, London time becomes UTC, an American price decimal odds."""
    put_in(foreign)
    foreign.execute(bet())
    (event,) = told(foreign, book(mapping()))
    assert (event.type, event.timestamp) == ("wager.placed", datetime(2026, 7, 1, 11, tzinfo=UTC))
    assert msgspec.json.decode(event.data) == {
        "wagerId": "1", "wagerNumber": 1, "customerId": "P7", "agentId": "A7", "path": "/M1/A7", "type": "straight",
        "riskMinor": 1100, "toWinMinor": 1000, "freePlay": False, "channel": "web", "ip": "", "status": "accepted",
        "version": 1, "legs": [{"marketId": "1", "selectionId": "1", "odds": 1.909091}], "terms": None,
        "currency": None,
    }  # fmt: skip


def test_what_is_there_is_brought_in(foreign: apsw.Connection) -> None:
    """Paths follow from the agents above; open and waiting wagers, payments, and the revenue of the past."""
    foreign.execute(f"{bet()}; {bet(BetNo=2, State='?')}; {bet(BetNo=3, State='L', Paid=0)}; {bet(BetNo=4, Removed=1)}")
    foreign.execute(f"INSERT INTO Cash VALUES(1, 7, -20.5, 0, 1782900000000, '{NOON}')")
    install(Path(foreign.filename), book(mapping()).outbox)
    events = heard(foreign)
    assert [type for type, _ in events] == [
        "agent.imported", "agent.imported", "customer.imported", "market.imported", "revenue.imported",
        "wager.imported", "wager.requested", "payment.requested",
    ]  # fmt: skip
    assert [events[1][1][name] for name in ("path", "level", "status")] == ["/M1/A7", 2, "active"]
    assert [events[3][1][name] for name in ("eventName", "sport")] == ["Home - Away", "Soccer"]
    assert events[4][1] == {"path": "/M1/A7", "revenueMinor": 1100}
    payment = events[7][1]
    assert [payment[name] for name in ("direction", "amountMinor", "customerId")] == ["withdrawal", 2050, "P7"]


def test_a_settled_bet_is_told_however_it_is_written(foreign: apsw.Connection) -> None:
    """At once, by an update, by REPLACE of an open one, and again with another result."""
    put_in(foreign)
    foreign.execute(bet(State="W", Paid=21))
    foreign.execute(f"{bet(BetNo=2)}; UPDATE Bets SET State = 'L', Paid = 0 WHERE BetNo = 2")
    foreign.execute(f"{bet(BetNo=3)}; {bet('REPLACE', BetNo=3, State='W', Paid=21)}")
    foreign.execute(bet("REPLACE", BetNo=3, State="P", Paid=11))
    foreign.execute(bet("REPLACE", BetNo=3, State="P", Paid=11))
    foreign.execute("UPDATE Bets SET State = 'V' WHERE BetNo = 2")
    assert [
        (
            type,
            data["wagerId"],
            data.get("returnMinor"),
            data.get("previousReturnMinor", data.get("settledReturnMinor")),
        )
        for type, data in heard(foreign)
    ] == [
        ("wager.placed", "1", None, None),
        ("wager.settled", "1", 2100, 0),
        ("wager.placed", "2", None, None),
        ("wager.settled", "2", 0, 0),
        ("wager.placed", "3", None, None),
        ("wager.settled", "3", 2100, 0),
        ("wager.resettled", "3", 1100, 2100),
        ("wager.cancelled", "2", None, 0),
    ]


def test_a_settlement_may_name_its_own_currency(foreign: apsw.Connection) -> None:
    """Its amount has that currency's decimals; the fact says it, so one in another than its wager's is set aside."""
    foreign.execute("ALTER TABLE Bets ADD COLUMN Cur TEXT; ALTER TABLE Bets ADD COLUMN PaidCur TEXT")
    northbet = mapping()
    named = {"wagers": "Cur", "settlements": "PaidCur"}
    tables = {
        name: msgspec.structs.replace(table, columns={**table.columns, "currency": ColumnMapping(column=named[name])})
        for name, table in northbet.tables.items()
        if name in named
    }
    paid = ColumnMapping(column="Paid", money="major")
    tables["settlements"].columns["return_cents"] = paid
    domain = book(msgspec.structs.replace(northbet, tables={**northbet.tables, **tables}))
    install(Path(foreign.filename), domain.outbox)
    heard(foreign, domain)
    foreign.execute(bet(State="W", Cur="KWD", PaidCur="KWD", Paid="21.005"))
    (_, placed), (_, settled) = heard(foreign, domain)
    assert (placed["riskMinor"], placed["currency"]) == (11_000, "KWD")
    assert (settled["returnMinor"], settled["currency"]) == (21_005, "KWD")
    foreign.execute("UPDATE Bets SET PaidCur = 'JPY', Paid = 21")
    ((type, settled),) = heard(foreign, domain)
    assert (type, settled["returnMinor"], settled["currency"]) == ("wager.resettled", 21, "JPY")
    foreign.execute("UPDATE Bets SET PaidCur = NULL, Paid = '21.00'")
    ((type, settled),) = heard(foreign, domain)
    assert (type, settled["returnMinor"], settled["currency"]) == ("wager.resettled", 2_100, northbet.currency)


def test_a_bet_marked_as_removed_is_a_deleted_wager(foreign: apsw.Connection) -> None:
    """A row that leaves by its condition is gone, one that comes back is placed."""
    put_in(foreign)
    foreign.execute(bet())
    foreign.execute("UPDATE Bets SET Removed = 1")
    foreign.execute("UPDATE Bets SET Removed = 0")
    assert [(type, data["status"]) for type, data in heard(foreign)] == [
        ("wager.placed", "accepted"), ("wager.cancelled", "deleted"), ("wager.placed", "accepted"),
    ]  # fmt: skip


def test_a_row_that_leaves_is_dated_by_the_change_that_took_it_out(foreign: apsw.Connection) -> None:
    """A bet that is only marked as removed was removed when its row says that it was changed."""
    put_in(foreign)
    foreign.execute(f"{bet()}; UPDATE Bets SET Removed = 1, ChangedAt = '2026-07-02 12:00:00'")
    assert [(each.type, each.timestamp.day) for each in told(foreign, book(mapping()))] == [
        ("wager.placed", 1),
        ("wager.cancelled", 2),
    ]


@pytest.mark.parametrize("how", ["UPDATE Bets SET State = 'O', Paid = NULL", "REPLACE"])
def test_a_bet_that_is_open_again_tells_what_had_been_paid(foreign: apsw.Connection, how: str) -> None:
    """A settlement in the bet's own row is gone after the roll-back; it is told once, from the row as it was."""
    put_in(foreign)
    foreign.execute(bet(State="W", Paid=21))
    heard(foreign)
    foreign.execute(bet("REPLACE") if how == "REPLACE" else how)
    assert [(type, data.get("settledReturnMinor")) for type, data in heard(foreign)] == [("wager.reopened", 2100)]


def test_a_settlement_can_leave_a_bet_that_stays_settled(foreign: apsw.Connection) -> None:
    """Where a settlement counts once it is paid, a bet whose payment is taken out is open again."""
    table = mapping().tables["settlements"]
    paid = msgspec.structs.replace(table, where="{row}.State IN ('W', 'L', 'P') AND {row}.Paid IS NOT NULL")
    other = book(msgspec.structs.replace(mapping(), tables=mapping().tables | {"settlements": paid}))
    install(Path(foreign.filename), other.outbox)
    foreign.execute(bet(State="W", Paid=21))
    heard(foreign, other)
    foreign.execute("UPDATE Bets SET Paid = NULL, ChangedAt = '2026-07-02 12:00:00'")
    (event,) = told(foreign, other)
    assert (event.type, event.timestamp.day) == ("wager.reopened", 2)
    assert msgspec.json.decode(event.data)["settledReturnMinor"] == 2100


def refused(connection: apsw.Connection) -> list[str]:
    """Why rows could not be used, since the last call."""
    return [str(data["reason"]) for type, data in heard(connection) if type == UNUSABLE]


def test_a_code_that_is_not_mapped_becomes_a_dead_letter(foreign: apsw.Connection) -> None:
    """A status that nobody thought of is not passed over: table, column, value and row are named."""
    put_in(foreign)
    foreign.execute(bet(State="Z"))
    assert refused(foreign) == ["`Z` in Bets.State is not mapped (row 1)."]
    foreign.execute(f"{bet(BetNo=2)}; UPDATE Bets SET State = 'Q' WHERE BetNo = 2")
    assert refused(foreign) == ["`Q` in Bets.State is not mapped (row 2)."]
    foreign.execute("UPDATE Bets SET State = 'L', Paid = 0 WHERE BetNo = 2")
    assert [type for type, _ in heard(foreign)] == ["wager.settled"]


def test_what_is_personal_is_told_in_no_message(foreign: apsw.Connection) -> None:
    """A dead letter and a check name the row and the column of a person's data, and never what it says.

    Personal are the columns that always are, those that the mapping marks, and what is worked out from them.
    """
    tables = mapping().tables
    stake = ColumnMapping(column="Stake", personal=True)
    bets = msgspec.structs.replace(tables["wagers"], columns=tables["wagers"].columns | {"risk_cents": stake})
    marked = msgspec.structs.replace(mapping(), tables=tables | {"wagers": bets})
    install(Path(foreign.filename), book(marked).outbox)
    heard(foreign, book(marked))
    foreign.execute(bet(Stake="0171 2345", State="O"))
    player = "INSERT INTO Players VALUES(8, 'P8', CAST('Jane Roe' AS BLOB), 7, 'A', 0, 0, 0, ?, ?)"
    foreign.execute(player, (NOON, NOON))
    letters = [data for type, data in heard(foreign, book(marked)) if type == UNUSABLE]
    assert [each["value"] for each in letters] == ["***", "***"], letters
    assert {each["column"] for each in letters} == {"Stake", "FullName"}
    found = [each for each in unmapped(foreign, marked) if "Stake" in each.column or each.column == "FullName"]
    assert found
    assert {each.value for each in found} == {"***"}
    assert "0171" not in repr((letters, found)) and "4a616e65" not in repr((letters, found))


@pytest.mark.parametrize("amount", ["5,50", "1 200.00", "$7.25", "", "12a", "--5", b"\x01", "9" * 5000])
def test_a_text_that_is_no_number_is_no_amount(foreign: apsw.Connection, amount: Any) -> None:
    """Also inside an expression, and in a row that comes later: `abs('5,50')` is not 500."""
    put_in(foreign)
    foreign.execute("INSERT INTO Cash VALUES(1, 7, ?, 0, 1782900000000, ?)", (amount, NOON))
    (why,) = refused(foreign)
    assert "Cash.Amount is no number" in why
    foreign.execute("INSERT INTO Cash VALUES(2, 7, '-5.50', 0, 1782900000000, ?)", (NOON,))
    ((type, data),) = heard(foreign)
    assert (type, data["direction"], data["amountMinor"]) == ("payment.requested", "withdrawal", 550)


def test_amounts_may_be_real(foreign: apsw.Connection) -> None:
    """What floats make of sums is not a fraction of a penny; what is one is refused, and can be rounded on purpose."""
    put_in(foreign)
    rng = random.Random(22)
    for number in range(1, 60):
        stake = rng.randrange(1, 10**7)
        foreign.execute(bet(BetNo=number, Stake=stake / 100, Payable=stake / 100 + rng.randrange(10**7) / 100))
    placed = [data for type, data in heard(foreign) if type == "wager.placed"]
    assert len(placed) == 59
    foreign.execute(bet(BetNo=101, Stake=sum([0.1] * 3), Payable=1000.0000000000152))
    ((_, data),) = heard(foreign)
    assert (data["riskMinor"], data["toWinMinor"]) == (30, 99970)
    foreign.execute(bet(BetNo=102, Stake=1.001))
    assert "1.001 in Bets.Stake has a fraction of a minor unit (row 102)." in refused(foreign)
    columns = mapping().tables["wagers"].columns | {
        "risk_cents": ColumnMapping(sql="round({row}.Stake, 2)"),
        "to_win_cents": ColumnMapping(sql="round({row}.Payable - {row}.Stake, 2)"),
    }
    rounded = msgspec.structs.replace(mapping().tables["wagers"], columns=columns)
    other = book(msgspec.structs.replace(mapping(), tables=mapping().tables | {"wagers": rounded}))
    foreign.execute(bet(BetNo=103, Stake=1.001))
    assert [each.type for each in told(foreign, other)] == ["wager.placed"]


def test_every_value_that_cannot_be_mapped_is_reported(foreign: apsw.Connection) -> None:
    """Before anything is installed: where, what, how often, an example, and why; and nothing is written for it."""
    good = f"{bet()}; {bet(BetNo=2, State='L', Paid='0')}"
    foreign.execute(good)
    before = Path(foreign.filename).read_bytes()
    reader = apsw.Connection(foreign.filename, flags=apsw.SQLITE_OPEN_READONLY)
    assert unmapped(reader, mapping()) == []
    foreign.execute(f"""
        {bet(BetNo=3, State="Z")}; {bet(BetNo=4, State="Z")}; {bet(BetNo=5, Bonus="?")}; {bet(BetNo=6, Stake="eleven")};
        {bet(BetNo=7, Stake=1.001)}; {bet(BetNo=8, Price=0)}; {bet(BetNo=9, PlacedAt="yesterday")};
        {bet(BetNo=10, PlayerNo=99)}; {bet(BetNo=11, Stake=-5)}; {bet(BetNo=12, State="W")};
        UPDATE Agents SET Login = 'a/b' WHERE AgentNo = 1; UPDATE Players SET Login = NULL""")
    found = {(one.table, one.column, one.value, one.count, one.key, one.why) for one in unmapped(reader, mapping())}
    assert found >= {
        ("Bets", "State", "Z", 2, 3, "is not mapped"),
        ("Bets", "Bonus", "?", 1, 5, "is not mapped"),
        ("Bets", "Stake", "eleven", 1, 6, "is no amount"),
        ("Bets", "Stake", 1.001, 1, 7, "has a fraction of a minor unit"),
        ("Bets", "Price", 0, 1, 8, "is no price above 1"),
        ("Bets", "PlacedAt", "yesterday", 1, 9, "is no time after 1970"),
        ("Bets", "PlayerNo", 99, 1, 10, "is none of the customers"),
        ("Bets", "Stake", -5, 1, 11, "is an amount that cannot be"),
        ("Bets", "Paid", None, 1, 12, "is empty"),
        ("Players", "Login", None, 1, 7, "is empty"),
        ("Agents", "Login", "a/b", 1, 1, "is no part of a path"),
    }
    assert not is_current(Path(foreign.filename), book(mapping()).outbox)
    foreign.execute("DELETE FROM Bets")
    foreign.execute("UPDATE Agents SET Login = 'M1' WHERE AgentNo = 1; UPDATE Players SET Login = 'P7'")
    assert unmapped(reader, mapping()) == []
    assert len(before) == len(Path(foreign.filename).read_bytes())
    reader.close()


def test_what_would_lead_the_figures_astray_is_reported(foreign: apsw.Connection) -> None:
    """Agents above each other in a circle, two players of one name, a time of day alone: none of it is guessed."""
    foreign.execute("UPDATE Agents SET Boss = 2 WHERE AgentNo = 1")
    foreign.execute(
        f"INSERT INTO Players SELECT 8, Login, FullName, AgentNo, State, 0, 0, 0, '12:00', '{NOON}' FROM Players"
    )
    found = {(one.table, one.column, one.count, one.why) for one in unmapped(foreign, mapping())}
    assert {(table, column, count, why.partition(" of ")[0]) for table, column, count, why in found} == {
        ("Agents", "path", 1, "is no path"),
        ("Players", "Login", 2, "is there more than once"),
        ("Players", "Since", 1, "is no time after 1970"),
    }


def test_american_prices_may_be_written_with_a_sign(foreign: apsw.Connection) -> None:
    """Texts such as "+150" mean what they say, in a column of any kind."""
    foreign.execute("ALTER TABLE Sides ADD COLUMN Shown TEXT; UPDATE Sides SET Shown = '+150'")
    columns = {**mapping().tables["selections"].columns, "odds_decimal": ColumnMapping(sql="trim({row}.Shown)")}
    table = msgspec.structs.replace(mapping().tables["selections"], columns=columns)
    other = msgspec.structs.replace(mapping(), tables=mapping().tables | {"selections": table})
    assert unmapped(foreign, other) == []
    install(Path(foreign.filename), book(other).outbox)
    assert [each["odds"] for type, data in heard(foreign, book(other)) for each in data.get("selections", ())] == [
        2.5,
        2.5,
    ]


def test_a_book_without_selections_names_the_market_of_each_leg(foreign: apsw.Connection) -> None:
    """Where prices are nowhere but on the bets, the market of a leg is a column of its own, and is checked."""
    tables = {name: table for name, table in mapping().tables.items() if name != "selections"}
    legs = tables["wager_legs"]
    foreign.execute("ALTER TABLE Bets ADD COLUMN MarketNo INTEGER DEFAULT 1")
    tables["wager_legs"] = msgspec.structs.replace(legs, columns={**legs.columns, "market_id": "MarketNo"})
    other = msgspec.structs.replace(mapping(), tables=tables)
    foreign.execute(f"{bet()}; {bet(BetNo=2, MarketNo=7)}")
    assert [(one.column, one.value, one.why) for one in unmapped(foreign, other)] == [
        ("MarketNo", 7, "is none of the markets")
    ]
    install(Path(foreign.filename), book(other).outbox)
    legs_told = [data["legs"] for type, data in heard(foreign, book(other)) if type == "wager.imported"]
    assert legs_told[0] == [{"marketId": "1", "selectionId": "1", "odds": 1.909091}]


def test_rare_codes_are_found_beside_the_sample(foreign: apsw.Connection) -> None:
    """One wrong code among many rows is found though few rows are looked at."""
    for number in range(1, 200):
        foreign.execute(bet(BetNo=number, State="Z" if number == 77 else "O"))
    (found,) = unmapped(foreign, mapping(), rows_max=10)
    assert (found.value, found.count, found.key) == ("Z", 1, 77)


LINES = """
CREATE TABLE Lines(LineNo INTEGER PRIMARY KEY, BetNo, SideNo, Price);
"""


def lines(**columns: str) -> BookMapping:
    """The mapping of the other book, whose legs have a table of their own."""
    names: dict[str, str | ColumnMapping] = {"wager_id": "BetNo", "selection_id": "SideNo", "odds_decimal": "Price"}
    tables = {**mapping().tables, "wager_legs": TableMapping("Lines", {**names, **columns})}
    return msgspec.structs.replace(mapping(), tables=tables)


def test_legs_with_a_table_of_their_own_need_a_number(tmp_path: Path) -> None:
    """Without one all legs of a parlay would be the first: the mapping is refused with what would help."""
    path = tmp_path / "map.toml"
    text = (ROOT / "examples" / "northbet.toml").read_text()
    before, _, after = text.partition('[tables.wager_legs]\ntable = "Bets"')
    path.write_text(f'{before}[tables.wager_legs]\ntable = "Lines"{after}')
    with pytest.raises(SetupError) as caught:
        read_book_mapping(path)
    assert "tables.wager_legs.columns.leg_no is missing" in caught.value.message
    assert "such as the row's own id" in caught.value.message


def test_a_key_of_two_rows_is_found_before_anything_is_installed(foreign: apsw.Connection) -> None:
    """Two lines of a slip under one key are told with the key; by the line's own number they are two."""
    foreign.execute(LINES + "INSERT INTO Lines VALUES(1, 5, 1, -110), (2, 5, 2, 150), (3, 6, 1, -110)")
    foreign.execute(bet(BetNo=5))
    foreign.execute(bet(BetNo=6))
    found = [(each.table, each.column, each.value, each.count, each.why) for each in unmapped(foreign, lines())]
    assert found == [("Lines", "BetNo/leg_no", "5/1", 1, "is the key of rows that differ")]
    assert unmapped(foreign, lines(leg_no="LineNo")) == []


def test_a_second_row_of_a_key_takes_no_place(foreign: apsw.Connection) -> None:
    """Of two lines with one key the first counts, and the second is a dead letter that names table and key."""
    foreign.execute(LINES + "INSERT INTO Lines VALUES(1, 5, 1, -110), (2, 5, 2, 150)")
    foreign.execute(bet(BetNo=5))
    install(Path(foreign.filename), book(lines()).outbox)
    found = [bytes(each.data).decode() for each in told(foreign, book(lines())) if each.type == UNUSABLE]
    assert len(found) == 1
    assert "Lines has another row with the same wager_id/leg_no (row 5/1)." in found[0]


def test_triggers_go_whole(foreign: apsw.Connection) -> None:
    """What was installed for a mapping is removed again, and a changed mapping changes its triggers."""
    path = Path(foreign.filename)
    before = foreign.execute("SELECT group_concat(name) FROM sqlite_schema").get
    install(path, book(mapping()).outbox)
    assert is_current(path, book(mapping()).outbox)
    other = msgspec.structs.replace(mapping(), money="minor")
    # The triggers copy values, whatever they mean; what is recorded of the mapping has the whole book compared.
    assert plan(foreign, book(other).outbox) == Plan(record=True)
    fewer = {name: table for name, table in mapping().tables.items() if name != "payments"}
    other = msgspec.structs.replace(mapping(), tables=fewer)
    changed = plan(foreign, book(other).outbox)
    assert changed.drop == ("fire22_Cash_delete", "fire22_Cash_insert", "fire22_Cash_update")
    install(path, book(other).outbox)
    assert is_current(path, book(other).outbox)
    uninstall(path)
    assert foreign.execute("SELECT group_concat(name) FROM sqlite_schema WHERE name <> 'sqlite_sequence'").get == before


@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
def test_local_times_are_those_of_the_zone(zone: str) -> None:
    """Over sixty years, also in the hours around a change of the clocks, as the zone's own data say."""
    made = numbers.time("local", zone)
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    some = [datetime(2000, 1, 2) + timedelta(minutes=rng.randrange(60 * 365 * 24 * 60)) for _ in range(300)]
    for at in (datetime(2026, 3, 29, 0, 30), datetime(2026, 10, 25, 0, 0), datetime(2026, 11, 1, 0, 0)):
        some += [at + timedelta(minutes=minutes) for minutes in range(0, 240, 10)]
    for local in some:
        expected = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert made(str(local)) == f"{expected:%Y-%m-%dT%H:%M:%S}.000Z", f"{local} in {zone}, seed {seed}"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (('time_zone = "Europe/London"', 'time_zone = "Europe/Lundon"'), "time_zone"),
        (('money = "major"', 'money = "pounds"'), "money"),
        (("[tables.customers.columns]", "[tables.customers.colums]"), "colums"),
        (('risk_cents = "Stake"', 'stake = "Stake"'), "tables.wagers.columns.risk_cents is missing"),
        (('risk_cents = "Stake"', 'risk_cents = "Stake"\nrisk = "Stake"'), "tables.wagers.columns.risk is unknown"),
        (("accepted = [", "akzepted = ["), "tables.wagers.columns.status.codes.akzepted"),
        (('rejected = ["N"]', 'rejected = ["O"]'), "tables.wagers.columns.status.codes: 'O' stands there twice"),
        (("[tables.payments", "[tables.paiments"), "tables.paiments"),
        (('channel = { value = "web" }', 'channel = { value = "web", column = "Stake" }'), "channel: one of"),
        (('code = "Login"', 'code = { column = "Login", odds = "american" }'), "code.odds: it holds no odds"),
        (
            ('code = "Login"', 'code = "Login"\ncurrency = { value = "gbp" }'),
            "tables.customers.columns.currency.value: gbp is no currency code of three capital letters",
        ),
        (
            ('risk_cents = "Stake"', 'risk_cents = "Stake"\ncurrency = "Money"'),
            "tables.settlements.columns.currency is missing: wagers name theirs",
        ),
    ],
)
def test_a_wrong_mapping_names_the_key(tmp_path: Path, change: tuple[str, str], word: str) -> None:
    """An engineer who mistypes a key reads which one it was."""
    path = tmp_path / "map.toml"
    text = (ROOT / "examples" / "northbet.toml").read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(SetupError) as caught:
        read_book_mapping(path)
    assert word in caught.value.message


def test_every_mistake_of_a_mapping_is_told_at_once(tmp_path: Path) -> None:
    """A new mapping has many mistakes: of keys, of types, of units and of sense, and each is told with its place."""
    path = tmp_path / "map.toml"
    text = (ROOT / "examples" / "northbet.toml").read_text()
    for old, new in (
        ('time_zone = "Europe/London"', 'time_zone = "Europe/Lundon"'),
        ('money = "major"', 'money = "pounds"'),
        ("accepted = [", "akzepted = ["),
        ('channel = { value = "web" }', 'channel = { value = "web", colum = "Stake" }'),
        ('code = "Login"', 'code = { column = "Login", odds = "american" }'),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    with pytest.raises(SetupError) as caught:
        read_book_mapping(path)
    for word in (
        "not valid in 6 places",
        "time_zone: there is no Europe/Lundon",
        "money: there is no pounds; known are: minor, major, micro",
        "tables.wagers.columns.status.codes.akzepted",
        "tables.wagers.columns.channel.colum: there is no such key; did you mean tables.wagers.columns.channel.column?",
        "tables.agents.columns.code.odds: it holds no odds",
        "tables.customers.columns.code.odds: it holds no odds",
    ):
        assert word in caught.value.message


def test_a_report_of_changes_goes_by_the_versions_of_wagers(tmp_path: Path) -> None:
    """Without them nobody could say which change a line of the report is about."""
    path = tmp_path / "map.toml"
    report = """
[tables.wager_changes]
table = "Log"
columns = { wager_id = "BetNo", version = "Number", action = "Deed" }
"""
    path.write_text((ROOT / "examples" / "northbet.toml").read_text() + report)
    with pytest.raises(SetupError) as caught:
        read_book_mapping(path)
    assert "tables.wagers.columns.version is missing" in caught.value.message


def test_a_book_that_lacks_a_column_is_named(foreign: apsw.Connection) -> None:
    """A mapping that does not fit is refused with every table and column that is missing."""
    foreign.execute("ALTER TABLE Bets RENAME COLUMN Stake TO Amount")
    with pytest.raises(BookError) as caught:
        install(Path(foreign.filename), book(mapping()).outbox)
    assert "Bets.Stake" in caught.value.message


def test_the_demo_book_needs_no_mapping() -> None:
    """Without a mapping the triggers are over the demo book's own tables."""
    assert book(None).outbox == OUTBOX


# A book that brings its own time.


@pytest.fixture
def recorded(foreign: apsw.Connection) -> Book:
    """The other book with a table of clocks."""
    foreign.execute("CREATE TABLE Ticks(No INTEGER PRIMARY KEY, At TEXT)")
    ticks = TableMapping("Ticks", {"at": ColumnMapping(column="At", time="iso")})
    return book(msgspec.structs.replace(mapping(), clock="recorded", tables={**mapping().tables, "clock": ticks}))


def tick(connection: apsw.Connection, *at: str) -> None:
    """The book's clock."""
    connection.executemany("INSERT INTO Ticks(At) VALUES(?)", [(each,) for each in at])


def clocks(events: list[Event]) -> list[tuple[int, str]]:
    """Where among the events clocks are, and what they say."""
    return [(place, to_text(each.at_ms)) for place, each in enumerate(events) if each.type == "system.clock"]


def test_the_clock_of_a_recorded_book_is_told_when_it_is_connected(foreign: apsw.Connection, recorded: Book) -> None:
    """A desk that connects a living recorded book has its time at once: a bet of last week is not one of the future."""
    tick(foreign, "2026-07-01T11:00:00Z", "2026-07-01T13:00:00Z", "2026-07-01T12:00:00Z")
    foreign.execute(bet())
    install(Path(foreign.filename), recorded.outbox)
    events = told(foreign, recorded)
    assert clocks(events) == [(len(events) - 1, "2026-07-01T13:00:00.000Z")]
    assert events[-2].type == "wager.imported"


def test_a_clock_that_came_after_the_triggers_is_told_in_its_place(foreign: apsw.Connection, recorded: Book) -> None:
    """What was written between the installation and the server's first start comes in the order of its writing."""
    tick(foreign, "2026-07-01T11:00:00Z", "2026-07-01T12:30:00Z")
    install(Path(foreign.filename), recorded.outbox)
    foreign.execute(f"UPDATE Ticks SET At = '2026-07-01T14:00:00Z' WHERE No = 2; {bet()}")
    tick(foreign, "2026-07-01T15:00:00Z")
    events = told(foreign, recorded)
    assert [at for _, at in clocks(events)] == [f"2026-07-01T{at}:00.000Z" for at in ("12:30", "14:00", "15:00")]
    assert [each.type for each in events[-3:]] == ["system.clock", "wager.placed", "system.clock"]


def test_the_clocks_of_a_recorded_book_agree_with_its_figures(foreign: apsw.Connection, recorded: Book) -> None:
    """`check --reconcile` compares the largest clock, which is all that is kept: the others are no differences."""
    path = Path(foreign.filename)
    tick(foreign, "2026-07-01T11:00:00Z", "2026-07-01T13:00:00Z", "2026-07-01T12:00:00Z")
    install(path, recorded.outbox)
    told(foreign, recorded)
    tick(foreign, "2026-07-01T12:30:00Z", "2026-07-01T14:00:00Z")
    reader = follow(path, recorded, lambda _: 10**6)
    assert list(reader.differences()) == []  # what has not been read yet comes with the next reading
    reader.close()
    assert [at for _, at in clocks(told(foreign, recorded))] == ["2026-07-01T14:00:00.000Z"]
    reader = follow(path, recorded, lambda _: 10**6)
    assert list(reader.differences()) == []
    reader.close()


def test_a_clock_near_the_end_of_the_calendar_is_set_aside(foreign: apsw.Connection, recorded: Book) -> None:
    """The largest time there is moves no clock, whether it was there before or is written later."""
    last = "9999-12-31T23:59:59.999Z"
    tick(foreign, "2026-07-01T11:00:00Z", last)
    install(Path(foreign.filename), recorded.outbox)
    events = told(foreign, recorded)
    assert [at for _, at in clocks(events)] == ["2026-07-01T11:00:00.000Z"]
    tick(foreign, last, "2026-07-01T12:00:00Z")
    events += told(foreign, recorded)
    assert clocks(events)[1:] == [(len(events) - 1, "2026-07-01T12:00:00.000Z")]
    assert [each.type for each in events].count(UNUSABLE) == 2


def test_a_new_server_of_a_recorded_demo_book_has_its_time(tmp_path: Path) -> None:
    """A server with an empty log, beside a book whose changes were trimmed by another, knows the clock written last."""
    path = tmp_path / "book.db"
    create_demo(path, seed=1, now_ms=START_MS, install=install, clock="recorded")
    connection = database.connect(path)
    connection.execute(CLOCK_SQL, ("2026-07-01T11:00:00.000Z",))
    read(path)
    connection.execute(CLOCK_SQL, ("2026-07-01T12:00:00.000Z",))
    read(path)
    (tmp_path / "other").mkdir()
    reader = follow(path, book(None), lambda _: None, tmp_path / "other")
    reader.prepare()
    assert [each.timestamp for each in reader.facts() if each.type == b"system.clock"] == [b"2026-07-01T12:00:00.000Z"]
    reader.close()
    connection.close()


def test_a_currency_that_is_not_the_books_is_told_with_the_other_mistakes(tmp_path: Path) -> None:
    """Who corrects a mapping learns in the first start that its currency is not the configured one, too."""
    path = tmp_path / "mapping.toml"
    path.write_text('name = "northbet"\ntime_zone = "Mars/Base"\ncurrency = "USD"\n[tables]\n')
    with pytest.raises(SetupError) as raised:
        read_book_mapping(path, "EUR")
    told = str(raised.value)
    assert "time_zone: there is no Mars/Base" in told
    assert "currency: it is USD, and `book.currency` of the configuration is EUR; both must be the same" in told
    assert "tables.wagers is missing" in told

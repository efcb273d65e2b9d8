"""The demo book's triggers: every change is told once, whatever SQL the book's own program uses."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fire22.core.times import to_text
from fire22.sources.sqlite.install import install
from fire22.sportsbook.book.schema import OUTBOX, TABLES_SQL
from fire22.sportsbook.domain import decode
from tests.support.demo_book import read

AT = "2026-03-01T12:00:00.000Z"
LATER = "2026-03-01T12:05:00.250Z"
LATEST = "2026-03-01T12:06:00.000Z"

WEB: dict[str, object] = {"channel": "web", "ip": "198.18.0.7"}

# A book with one agent, two customers, one market; the wagers come in the tests.
ROWS = f"""
INSERT INTO agents VALUES('a1', 'M1', 'Master', NULL, 1, '/M1', 'active', 0, 0, '{AT}');
INSERT INTO agents VALUES('a2', 'A7', 'Agent', 'a1', 2, '/M1/A7', 'active', 0, 0, '{AT}');
INSERT INTO customers(id, code, agent_id, name, credit_limit_cents, max_wager_cents, created_at, updated_at)
  VALUES('c1', 'C1', 'a2', 'One', 1000, 500, '{AT}', '{AT}'), ('c2', 'C2', 'a2', 'Two', 0, 0, '{AT}', '{AT}');
INSERT INTO sports VALUES('s', 'Soccer');
INSERT INTO leagues VALUES('l', 's', 'League');
INSERT INTO events VALUES('e1', 'l', 'Home', 'Away', '{AT}', 'scheduled');
INSERT INTO markets VALUES('m1', 'e1', 'moneyline', 'game', NULL, 'open', 0, '{AT}', '{AT}', '{AT}');
INSERT INTO selections(id, market_id, name, odds_decimal, odds_american, updated_at)
  VALUES('x1', 'm1', 'Home', 1.909091, -110, '{AT}'), ('x2', 'm1', 'Away', 2.5, 150, '{AT}');
"""


REOPENED = """INSERT INTO wager_changes
    VALUES('w1', {version}, 'reopened', 'risk', '{{}}', json_object('revision', {revision}), 'x', '-')"""


class Book:
    """A book written by the SQLite of Python itself, which is older than ours: an outside program."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys=ON")

    def run(self, sql: str) -> None:
        """Execute statements in one transaction."""
        self.connection.executescript(f"BEGIN; {sql}; COMMIT;")

    def wager(self, id: str = "w1", number: int = 1, *, verb: str = "INSERT", **other: object) -> str:
        """The SQL of a wager: 11.00 to win 10.00 on Home."""
        row: dict[str, object] = {
            "id": id, "wager_number": number, "customer_id": "c1", "agent_id": "a2", "agent_path": "/M1/A7",
            "type": "straight", "risk_cents": 1100, "to_win_cents": 1000, "is_freeplay": 0, **WEB,
            "status": "accepted", "version": 1, "accepted_at": AT, "updated_at": AT, "idempotency_key": f"k-{id}",
        } | other  # fmt: skip
        values = ", ".join(repr(value) for value in row.values())
        return f"{verb} INTO wagers({', '.join(row)}) VALUES({values})"

    def leg(self, id: str = "w1") -> str:
        """The SQL of a wager's leg."""
        return f"INSERT INTO wager_legs VALUES('{id}', 1, 'x1', 1.909091, -110, NULL, NULL)"

    def settlement(self, id: str = "w1", returned: int = 2100, revision: int = 1, *, verb: str = "INSERT") -> str:
        """The SQL of a settlement."""
        return (
            f"{verb} INTO settlements VALUES('{id}', {revision}, 'win', {returned}, {returned - 1100}, 'test', NULL,"
            f" '{LATER}')"
        )

    def settled(self, id: str = "w1") -> str:
        """The SQL of the status that follows a settlement."""
        return f"UPDATE wagers SET status = 'settled', settled_at = '{LATER}', updated_at = '{LATER}' WHERE id = '{id}'"

    def told(self) -> list[tuple[str, dict[str, object]]]:
        """The events since the last call, each checked against its fact."""
        events: list[tuple[str, dict[str, object]]] = []
        for each in read(self.path):
            assert decode(each.type, each.data) is not None
            data = msgspec.json.decode(each.data, type=dict[str, object])
            if data.get("currency", "") is None:
                del data["currency"]  # the book's own
            events.append((each.type, {**data, "at": to_text(each.at_ms)}))
        return events

    def types(self) -> list[str]:
        """The types of the events since the last call."""
        return [kind for kind, _ in self.told()]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """A book whose first rows have been told."""
    path = tmp_path / "book.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(TABLES_SQL + ROWS)
    connection.close()
    install(path, OUTBOX)
    made = Book(path)
    made.told()
    yield made
    made.connection.close()


IDENTITY = {
    "wagerId": "w1", "wagerNumber": 1, "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "type": "straight",
    "riskMinor": 1100, "toWinMinor": 1000, "freePlay": False,
}  # fmt: skip
STAKE = {"riskMinor": 1100, "toWinMinor": 1000, "type": "straight", "freePlay": False}
LEGS = [{"marketId": "m1", "selectionId": "x1", "odds": 1.909091}]


def test_an_accepted_wager_is_placed_with_its_legs(book: Book) -> None:
    """Legs are written before their wager in the same transaction, so the event carries them."""
    book.run(f"{book.leg()}; {book.wager()}")
    placed = {
        **IDENTITY,
        "channel": "web",
        "ip": "198.18.0.7",
        "status": "accepted",
        "version": 1,
        "legs": LEGS,
        "terms": None,
        "at": AT,
    }
    assert book.told() == [("wager.placed", placed)]


def test_a_wager_in_review_is_placed_when_it_is_accepted(book: Book) -> None:
    """Requested and reviewed wagers are nobody's risk yet; each step is told."""
    book.run(f"{book.leg()}; {book.wager(status='requested')}")
    book.run("UPDATE wagers SET status = 'review'")
    asked = {**IDENTITY, **WEB, "version": 1, "legs": LEGS, "terms": None}
    told = [(kind, {name: data[name] for name in (*asked, "status")}) for kind, data in book.told()]
    assert told == [("wager.requested", asked | {"status": status}) for status in ("requested", "review")]
    book.run("UPDATE wagers SET status = 'accepted'")
    assert book.types() == ["wager.placed"]


def test_a_rejected_wager_is_told_with_its_reason(book: Book) -> None:
    """Who asked learns why not; what was not accepted cannot be cancelled, and its deletion is nothing."""
    book.run(book.wager(status="review"))
    assert book.types() == ["wager.requested"]
    book.run(
        "INSERT INTO wager_changes VALUES('w1', 2, 'rejected', 'risk', '{}', '{}', 'too much', '" + LATER + "');"
        "UPDATE wagers SET status = 'rejected', version = 2, updated_at = '" + LATER + "'"
    )
    rejected = {**IDENTITY, "status": "rejected", "reason": "too much", "at": LATER}
    assert book.told() == [("wager.rejected", rejected)]
    book.run("DELETE FROM wagers")
    assert book.types() == []


def test_a_rolled_back_settlement_is_not_taken_back_twice(book: Book) -> None:
    """After a roll-back the wager is open; ending it then says nothing of what was returned before."""
    book.run(f"{book.leg()}; {book.wager()}; {book.settlement()}; {book.settled()}")
    book.told()
    again = "UPDATE wagers SET status = 'accepted', version = 2, settled_at = NULL, updated_at = '" + LATEST + "'"
    book.run(f"{REOPENED.format(version=2, revision=1)}; {again}")
    reopened = {
        **IDENTITY,
        "channel": "web",
        "ip": "198.18.0.7",
        "status": "accepted",
        "version": 2,
        "legs": LEGS,
        "settledReturnMinor": 2100,
        "at": LATEST,
    }
    assert book.told() == [("wager.reopened", reopened)]
    book.run(f"{book.settlement(returned=0, revision=2)}; {book.settled()}")
    book.run("UPDATE wagers SET status = 'voided', version = 3")
    settled, cancelled = book.told()
    assert (settled[0], settled[1]["returnMinor"]) == ("wager.resettled", 0)
    assert (cancelled[0], cancelled[1]["settledReturnMinor"]) == ("wager.cancelled", 0)
    book.run(REOPENED.format(version=4, revision=2))
    book.run("UPDATE wagers SET status = 'accepted', version = 4")
    book.run("UPDATE wagers SET status = 'cancelled', version = 5")
    assert [(kind, data.get("settledReturnMinor")) for kind, data in book.told()] == [
        ("wager.reopened", None), ("wager.cancelled", None),
    ]  # fmt: skip


def test_a_roll_back_tells_what_it_takes_back(book: Book) -> None:
    """The return of the settlement that held, with a report of the change or without one, also by REPLACE; what was
    called off had returned nothing."""
    for id, number in (("w1", 1), ("w2", 2), ("w3", 3)):
        book.run(f"{book.wager(id, number)}; {book.settlement(id, 100 * number)}; {book.settled(id)}")
    book.run("UPDATE wagers SET status = 'voided' WHERE id = 'w3'")
    book.told()
    book.run("UPDATE wagers SET status = 'accepted' WHERE id = 'w1'")
    report = "INSERT INTO wager_changes VALUES('w2', 2, 'reopened', 'risk', '{}', json_object('revision', 1), 'x', '-')"
    book.run(f"{report}; {book.wager('w2', 2, verb='REPLACE', version=2)}")
    book.run(book.wager("w3", 3, verb="REPLACE"))
    told = [(kind, data["wagerId"], data.get("settledReturnMinor")) for kind, data in book.told()]
    assert told == [("wager.reopened", "w1", 100), ("wager.reopened", "w2", 200), ("wager.reopened", "w3", None)]


def test_a_deleted_settlement_holds_no_longer(book: Book) -> None:
    """The one before it holds again, and without one the wager is open, before its status says so and after it."""
    book.run(f"{book.leg()}; {book.wager()}; {book.settlement()}; {book.settled()}; {book.settlement('w1', 1100, 2)}")
    book.told()
    book.run("DELETE FROM settlements WHERE revision = 2")
    *_, (kind, data) = book.told()
    again = {"revision": 1, "result": "win", "returnMinor": 2100, "previousReturnMinor": 1100}
    assert (kind, {name: data[name] for name in again}) == ("wager.resettled", again)
    book.run("DELETE FROM settlements")
    *_, (kind, data) = book.told()
    open = {
        **IDENTITY,
        **WEB,
        "status": "accepted",
        "version": 1,
        "legs": LEGS,
        "terms": None,
        "settledReturnMinor": 2100,
    }
    assert (kind, {name: data[name] for name in open}) == ("wager.reopened", open)
    book.run(f"UPDATE wagers SET status = 'accepted', updated_at = '{LATEST}'")
    assert [(kind, data.get("settledReturnMinor")) for kind, data in book.told()] == [("wager.reopened", None)]


def test_settlements_deleted_together_end_where_the_wager_is(book: Book) -> None:
    """All of a wager's settlements go in one statement, or one is deleted before its status was written."""
    book.run(f"{book.wager()}; {book.settlement()}; {book.settled()}; {book.settlement('w1', 1100, 2)}")
    book.told()
    book.run("DELETE FROM settlements")
    assert book.told()[-1][0] == "wager.reopened"
    book.run(f"{book.wager('w2', 2)}; {book.settlement('w2')}; DELETE FROM settlements")
    assert book.types() == ["wager.placed", "wager.settled", "wager.reopened"]


def test_a_deleted_settlement_that_did_not_hold_is_nothing(book: Book) -> None:
    """An earlier revision, one of a wager that was called off, and all of a wager that is gone."""
    book.run(f"{book.wager()}; {book.settlement()}; {book.settled()}; {book.settlement('w1', 1100, 2)}")
    book.run(f"{book.wager('w2', 2)}; {book.settlement('w2')}; UPDATE wagers SET status = 'voided' WHERE id = 'w2'")
    book.told()
    book.run("DELETE FROM settlements WHERE wager_id = 'w1' AND revision = 1")
    book.run("DELETE FROM settlements WHERE wager_id = 'w2'")
    assert book.types() == []
    book.run("DELETE FROM wagers WHERE id = 'w1'; DELETE FROM settlements WHERE wager_id = 'w1'")
    assert book.types() == ["wager.cancelled"]


def test_a_settlement_goes_back_to_none_that_was_rolled_back(book: Book) -> None:
    """What was rolled back does not hold again because a later settlement is deleted, or because it is edited."""
    book.run(f"{book.leg()}; {book.wager()}; {book.settlement()}; {book.settled()}")
    book.run(f"{REOPENED.format(version=2, revision=1)}; UPDATE wagers SET status = 'accepted', version = 2")
    book.told()
    book.run("UPDATE settlements SET return_cents = 5 WHERE revision = 1")
    assert book.types() == []
    book.run(f"{book.settlement(returned=0, revision=2)}; {book.settled()}")
    book.told()
    book.run("DELETE FROM settlements WHERE revision = 2")
    assert [(kind, data["settledReturnMinor"]) for kind, data in book.told()] == [("wager.reopened", 0)]


def test_a_settlement_replaced_with_recursive_triggers_adds_up(book: Book) -> None:
    """Also with delete triggers firing, a replaced settlement is one change of it."""
    book.run(f"{book.wager()}; {book.settlement()}; {book.settled()}")
    book.told()
    book.connection.execute("PRAGMA recursive_triggers=ON")
    book.run(book.settlement(returned=1100, verb="REPLACE"))
    assert [(kind, data.get("previousReturnMinor")) for kind, data in book.told()] == [("wager.resettled", 2100)]


def test_a_deletion_is_dated_by_its_report(book: Book) -> None:
    """A book that brings its own time says in the report of changes when a row was deleted; without one it is now."""
    report = "INSERT INTO wager_changes VALUES('{}', 2, '{}', 'desk', '{{}}', '{{}}', '', '{}')"
    book.run(
        f"{book.wager()}; {book.wager('w2', 2)}; {book.settlement('w2')}; {book.settled('w2')}; {book.wager('w3', 3)}"
    )
    book.told()
    book.run(f"{report.format('w1', 'deleted', LATEST)}; DELETE FROM wagers WHERE id = 'w1'")
    book.run(f"{report.format('w2', 'corrected', LATER)}; DELETE FROM settlements")
    book.run("DELETE FROM wagers WHERE id = 'w3'")
    (_, deleted), (_, reopened), (_, unreported) = book.told()
    assert [deleted["at"], reopened["at"]] == [LATEST, LATER]
    assert str(unreported["at"]) > LATEST


def test_an_adjustment_is_told_and_other_entries_are_not(book: Book) -> None:
    """What the desk moves by hand is a fact of its own; what a wager or payment moves is told by these."""
    columns = "account_type, account_id, kind, amount_cents, balance_after_cents, ref_type, ref_id, created_at, reason"
    for values in (
        "'bonus', 250, 250, 'adjustment', 'x', '" + AT + "', 'hello'",
        "'fee', -50, 200, 'adjustment', 'x', '" + AT + "', ''",
        "'settlement', 9, 209, 'wager', 'w', '" + AT + "', ''",
    ):
        book.run(f"INSERT INTO ledger_entries({columns}) VALUES('customer', 'c1', {values})")
    whose = {"customerId": "C1", "agentId": "A7", "path": "/M1/A7", "at": AT}
    assert book.told() == [
        ("balance.adjusted", {"entryId": "1", "kind": "bonus", "amountMinor": 250, "reason": "hello", **whose}),
        ("balance.adjusted", {"entryId": "2", "kind": "fee", "amountMinor": -50, **whose}),
    ]


def test_what_is_done_about_an_alert_is_told(book: Book) -> None:
    """Who took up an alert, and with what words."""
    insert = "INSERT INTO alert_actions(alert_id, action, actor_id, note, at) VALUES"
    book.run(f"{insert}('a1', 'acknowledged', 'risk-1', '', '{AT}'), ('a1', 'closed', 'risk-1', 'known', '{LATER}')")
    assert book.told() == [
        ("alert.acknowledged", {"alertId": "a1", "actor": "risk-1", "at": AT}),
        ("alert.closed", {"alertId": "a1", "actor": "risk-1", "note": "known", "at": LATER}),
    ]


def test_a_market_is_told_whole_and_so_is_its_result(book: Book) -> None:
    """The selections, written first, come with their market; a corrected result is told again."""
    book.run(
        "INSERT INTO selections(id, market_id, name, odds_decimal, odds_american, updated_at) VALUES"
        f"('y1', 'm2', 'Over', 1.909091, -110, '{AT}'), ('y2', 'm2', 'Under', 2.5, 150, '{AT}');"
        f"INSERT INTO markets VALUES('m2', 'e1', 'total', 'game', 2.5, 'open', 5000, '{LATER}', '{AT}', '{AT}')"
    )
    assert book.told() == [
        (
            "market.created",
            {
                "marketId": "m2", "eventId": "e1", "type": "total", "status": "open", "eventName": "Home - Away",
                "sport": "Soccer", "period": "game", "line": 2.5, "startsAt": AT, "closesAt": LATER,
                "liabilityLimitMinor": 5000, "at": AT,
                "selections": [
                    {"selectionId": "y1", "name": "Over", "odds": 1.909091},
                    {"selectionId": "y2", "name": "Under", "odds": 2.5},
                ],
            },
        )
    ]  # fmt: skip
    book.run(
        "UPDATE selections SET result = 1, dead_heat = 0.5 WHERE id = 'y1';"
        "UPDATE selections SET result = 0 WHERE id = 'y2';"
        f"UPDATE markets SET status = 'resulted', updated_at = '{LATER}' WHERE id = 'm2'"
    )
    results = [
        {"selectionId": "y1", "result": 1, "void": 0.0, "deadHeat": 0.5},
        {"selectionId": "y2", "result": 0, "void": 0.0, "deadHeat": 1.0},
    ]
    assert book.told() == [
        ("market.resulted", {"marketId": "m2", "results": results, "at": LATER}),
        ("market.status_changed", {"marketId": "m2", "status": "resulted", "at": LATER}),
    ]
    book.run("UPDATE selections SET result = 0, void_factor = 1 WHERE market_id = 'm2'")
    book.run(f"UPDATE markets SET status = 'resulted', updated_at = '{LATEST}' WHERE id = 'm2'")
    *_, (kind, data) = book.told()
    assert kind == "market.resulted"
    assert [each["void"] for each in data["results"]] == [1.0, 1.0]  # type: ignore[attr-defined]


def test_the_settlement_row_settles(book: Book) -> None:
    """One event, at the time of the settlement; the status that follows adds none."""
    book.run(book.wager())
    book.told()
    book.run(f"{book.settlement()}; {book.settled()}")
    settled = {"revision": 1, "result": "win", "returnMinor": 2100, "previousReturnMinor": 0, "at": LATER}
    assert book.told() == [("wager.settled", {**IDENTITY, **settled})]


def test_a_second_revision_tells_what_it_replaces(book: Book) -> None:
    """A resettlement carries the earlier return, so that only the difference is posted."""
    book.run(f"{book.wager()}; {book.settlement()}; {book.settled()}")
    book.told()
    book.run(book.settlement(returned=1100, revision=2))
    *_, (kind, data) = book.told()
    assert (kind, data["returnMinor"], data["previousReturnMinor"]) == ("wager.resettled", 1100, 2100)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE settlements SET return_cents = 1100",
        f"INSERT OR REPLACE INTO settlements VALUES('w1', 1, 'push', 1100, 0, 'test', NULL, '{LATER}')",
    ],
)
def test_a_settlement_changed_in_place_is_resettled(book: Book, change: str) -> None:
    """A program that corrects the row itself changes the figures all the same."""
    book.run(f"{book.wager()}; {book.settlement()}; {book.settled()}")
    book.told()
    book.run(change)
    *_, (kind, data) = book.told()
    assert (kind, data["returnMinor"], data["previousReturnMinor"]) == ("wager.resettled", 1100, 2100)


def test_a_cancelled_wager_gives_its_reason(book: Book) -> None:
    """The report of changes is written first; its reason is in the event, at the time of the change."""
    book.run(book.wager())
    book.told()
    book.run(
        f"INSERT INTO wager_changes VALUES('w1', 2, 'voided', 'desk', '{{}}', '{{}}', 'wrong price', '{LATER}');"
        f"UPDATE wagers SET status = 'voided', version = 2, updated_at = '{LATER}'"
    )
    cancelled = {**IDENTITY, "status": "voided", "reason": "wrong price", "at": LATER}
    assert book.told() == [("wager.cancelled", cancelled)]


def test_a_settled_wager_that_is_voided_tells_what_it_had_returned(book: Book) -> None:
    """Voiding after the settlement takes the settlement's revenue back."""
    book.run(f"{book.wager()}; {book.settlement()}; {book.settled()}")
    book.told()
    book.run("UPDATE wagers SET status = 'voided'")
    *_, (kind, data) = book.told()
    assert (kind, data["settledReturnMinor"]) == ("wager.cancelled", 2100)
    assert "reason" not in data


@pytest.mark.parametrize("settled", [False, True])
def test_a_deleted_wager_is_an_event_too(book: Book, settled: bool) -> None:
    """Whoever deletes rows to hide a wager is seen, with the amounts that were counted."""
    book.run(book.wager())
    if settled:
        book.run(f"{book.settlement()}; {book.settled()}")
    book.told()
    book.run("DELETE FROM wagers; DELETE FROM settlements")
    *_, (kind, data) = book.told()
    assert kind == "wager.cancelled"
    assert (data["status"], data["riskMinor"], data.get("settledReturnMinor")) == (
        "deleted",
        1100,
        2100 if settled else None,
    )


def test_deleting_a_cancelled_wager_is_not_told_again(book: Book) -> None:
    """What was taken out of the figures once is not taken out twice."""
    book.run(book.wager())
    book.run("UPDATE wagers SET status = 'cancelled'")
    book.told()
    book.run("DELETE FROM wagers")
    assert book.types() == []


def test_changed_amounts_of_an_open_wager_are_a_modification(book: Book) -> None:
    """The event has both the new and the old amounts."""
    book.run(f"{book.leg()}; {book.wager()}")
    book.told()
    book.run(f"UPDATE wagers SET risk_cents = 550, to_win_cents = 500, version = 2, updated_at = '{LATER}'")
    modified = {
        **IDENTITY, "riskMinor": 550, "toWinMinor": 500, "version": 2,
        "before": STAKE, "legs": LEGS, "terms": {}, "at": LATER,
    }  # fmt: skip
    assert book.told() == [("wager.modified", modified)]


def test_a_change_of_nothing_is_nothing(book: Book) -> None:
    """Writing the same values again is no event."""
    book.run(book.wager())
    book.told()
    book.run("UPDATE wagers SET risk_cents = 1100, status = 'accepted', channel = 'phone'")
    book.run(book.wager(verb="INSERT OR REPLACE"))
    assert book.types() == []


def test_replace_modifies(book: Book) -> None:
    """INSERT OR REPLACE of an open wager is a modification, not a second wager; its legs stay."""
    book.run(f"{book.leg()}; {book.wager()}")
    book.told()
    book.run(book.wager(verb="REPLACE", risk_cents=2200, to_win_cents=2000, version=2))
    *_, (kind, data) = book.told()
    assert (kind, data["riskMinor"], data["before"]) == (
        "wager.modified",
        2200,
        STAKE,
    )
    assert data["legs"] == LEGS


def test_replace_cancels(book: Book) -> None:
    """INSERT OR REPLACE with another status cancels, with the amounts that were counted."""
    book.run(f"{book.wager()}; {book.settlement()}; {book.settled()}")
    book.told()
    book.run(book.wager(verb="REPLACE", status="cancelled", risk_cents=5))
    *_, (kind, data) = book.told()
    assert (kind, data["riskMinor"], data["settledReturnMinor"]) == ("wager.cancelled", 1100, 2100)


def test_replace_that_removes_another_wager_tells_both(book: Book) -> None:
    """A row with the same number or key is removed by REPLACE without any delete trigger; it is seen."""
    book.run(f"{book.wager('w1', 1)}; {book.wager('w2', 2)}")
    book.told()
    book.run(book.wager("w3", 2, verb="REPLACE", idempotency_key="k-w1"))
    told = [(kind, data["wagerId"], data["status"]) for kind, data in book.told()]
    assert told == [
        ("wager.cancelled", "w1", "deleted"),
        ("wager.cancelled", "w2", "deleted"),
        ("wager.placed", "w3", "accepted"),
    ]


def test_replace_with_recursive_triggers_is_the_update_it_does(book: Book) -> None:
    """Also with delete triggers firing, a replaced wager is one change of it."""
    book.run(book.wager())
    book.told()
    book.connection.execute("PRAGMA recursive_triggers=ON")
    book.run(book.wager(verb="REPLACE", risk_cents=2200))
    told = [(kind, data["riskMinor"], data["before"]) for kind, data in book.told()]
    before = {"riskMinor": 1100, "toWinMinor": 1000, "type": "straight", "freePlay": False}
    assert told == [("wager.modified", 2200, before)]


def test_insert_or_ignore_of_a_known_wager_is_nothing(book: Book) -> None:
    """An ignored insert tells nothing, and does not confuse what comes after it."""
    book.run(book.wager())
    book.told()
    book.run(book.wager(verb="INSERT OR IGNORE", risk_cents=5))
    assert book.types() == []
    book.run("DELETE FROM wagers")
    assert book.types() == ["wager.cancelled"]
    book.run(book.wager())
    assert book.types() == ["wager.placed"]


def test_an_upsert_is_the_update_it_does(book: Book) -> None:
    """INSERT ... ON CONFLICT DO UPDATE tells the modification once."""
    book.run(book.wager())
    book.told()
    book.run(f"{book.wager()} ON CONFLICT(id) DO UPDATE SET risk_cents = 2200")
    assert book.types() == ["wager.modified"]


def test_a_rolled_back_wager_is_not_told(book: Book) -> None:
    """No event exists without its row."""
    book.connection.execute("BEGIN")
    book.connection.execute(book.wager())
    book.connection.execute("ROLLBACK")
    assert book.types() == []


def test_a_wager_written_after_its_settlement_is_told_whole(book: Book) -> None:
    """A program that writes settled wagers in any order loses no event."""
    book.run(f"{book.settlement()}; {book.wager(status='settled')}")
    assert book.types() == ["wager.placed", "wager.settled"]
    book.run(f"{book.wager('w2', 2, status='settled')}; {book.settlement('w2')}")
    assert book.types() == ["wager.placed", "wager.settled"]


def test_a_row_with_a_missing_customer_is_still_told(book: Book) -> None:
    """A trigger never makes the book's own write fail: unknown ids are told as they are."""
    book.connection.execute("PRAGMA foreign_keys=OFF")
    book.run(book.wager(customer_id="nobody", agent_id="none", accepted_at="not a time"))
    book.run(
        f"INSERT INTO payments VALUES('p', 'nobody', 'deposit', 'cash', 100, 'pending', '{AT}', '{AT}', NULL, NULL)"
    )
    placed, payment = book.told()
    assert (placed[1]["customerId"], placed[1]["agentId"]) == ("nobody", "none")
    assert (payment[1]["customerId"], payment[1]["path"]) == ("nobody", "/")


def test_other_notations_of_time_are_understood(book: Book) -> None:
    """SQLite's own notation and offsets become RFC 3339 UTC with milliseconds."""
    book.run(book.wager(accepted_at="2026-03-01 13:30:00+01:30"))
    assert book.told()[0][1]["at"] == "2026-03-01T12:00:00.000Z"


def test_payments_are_told_step_by_step(book: Book) -> None:
    """Each status of a payment is an event of its own, also by REPLACE."""
    book.run(f"INSERT INTO payments VALUES('p', 'c1', 'deposit', 'card', 5000, 'pending', '{AT}', '{AT}', NULL, NULL)")
    book.run(f"UPDATE payments SET status = 'approved', updated_at = '{LATER}'")
    book.run(
        f"REPLACE INTO payments VALUES('p', 'c1', 'deposit', 'card', 5000, 'completed', '{AT}', '{LATER}', 'x', NULL)"
    )
    book.run(
        f"REPLACE INTO payments VALUES('p', 'c1', 'deposit', 'card', 5000, 'completed', '{AT}', '{LATER}', 'y', NULL)"
    )
    book.run("UPDATE payments SET status = 'charged_back'")
    told = book.told()
    assert [kind.removeprefix("payment.") for kind, _ in told] == ["requested", "approved", "completed", "charged_back"]
    assert told[1][1] == {
        "paymentId": "p", "customerId": "C1", "agentId": "A7", "path": "/M1/A7", "direction": "deposit",
        "method": "card", "amountMinor": 5000, "status": "approved", "at": LATER,
    }  # fmt: skip


def test_limits_and_status_of_customers_are_told(book: Book) -> None:
    """A change of limits or status has before and after, also by REPLACE; other columns are nobody's business."""
    book.run("UPDATE customers SET credit_limit_cents = 2000, balance_cents = 7 WHERE id = 'c1'")
    book.run("UPDATE customers SET balance_cents = 8 WHERE id = 'c1'")
    book.run("UPDATE customers SET status = 'suspended' WHERE id = 'c1'")
    book.connection.execute("PRAGMA foreign_keys=OFF")
    book.run(
        "REPLACE INTO customers(id, code, agent_id, name, credit_limit_cents, max_wager_cents, created_at, updated_at)"
        f" VALUES('c1', 'C1', 'a2', 'One', 9, 9, '{AT}', '{LATER}')"
    )
    told = book.told()
    assert [kind for kind, _ in told[:2]] == ["customer.limit_changed", "customer.status_changed"]
    before = {"creditLimitMinor": 1000, "maxWagerMinor": 500}
    assert told[0][1]["before"] == before
    replaced = dict(told[2:])
    assert set(replaced) == {"customer.limit_changed", "customer.status_changed"}
    assert replaced["customer.limit_changed"]["before"] == before | {"creditLimitMinor": 2000}
    assert replaced["customer.limit_changed"]["after"] == {"creditLimitMinor": 9, "maxWagerMinor": 9}


def test_markets_and_prices_are_told(book: Book) -> None:
    """New markets, their status, and every price."""
    book.run(f"INSERT INTO markets VALUES('m2', 'e1', 'total', 'game', 2.5, 'open', 0, '{AT}', '{AT}', '{AT}')")
    book.run("UPDATE markets SET status = 'closed' WHERE id = 'm2'")
    book.run(f"UPDATE selections SET odds_decimal = 2.6, odds_american = 160, updated_at = '{LATER}' WHERE id = 'x2'")
    told = book.told()
    assert [kind for kind, _ in told] == ["market.created", "market.status_changed", "market.price_changed"]
    price = {"marketId": "m1", "selectionId": "x2", "oldOdds": 2.5, "newOdds": 2.6, "at": LATER}
    assert told[2][1] == price


def test_who_comes_and_leaves_is_told(book: Book) -> None:
    """Each line of the access log is a session's beginning or end, with the customer's codes and address."""
    book.run(
        "INSERT INTO access_logs(customer_id, ip, action, at)"
        f" VALUES('c1', '198.18.0.7', 'login', '{AT}'), ('c1', NULL, 'logout', '{LATER}')"
    )
    who = {"customerId": "C1", "agentId": "A7", "path": "/M1/A7"}
    assert book.told() == [
        ("session.login", {**who, "ip": "198.18.0.7", "at": AT}),
        ("session.logout", {**who, "ip": "", "at": LATER}),
    ]


def test_a_commission_plan_is_told_whole_each_time(book: Book) -> None:
    """A plan that is written or changed carries all of itself; written again as it is, it says nothing."""
    row = f"('a2', '2026-03-03', 'tiered', 0, 0, '[[0, 0.1], [500000, 0.2]]', 70, '{AT}', '{AT}')"
    book.run(f"INSERT INTO commission_plans VALUES{row}; INSERT OR REPLACE INTO commission_plans VALUES{row}")
    book.run(f"UPDATE commission_plans SET type = 'profit', rate = 0.25, tiers = '[]', updated_at = '{LATER}'")
    tiered = {
        "agentId": "A7", "path": "/M1/A7", "type": "tiered", "rate": 0.0, "perHeadMinor": 0, "makeupMinor": 70,
        "brackets": [{"fromMinor": 0, "rate": 0.1}, {"fromMinor": 500000, "rate": 0.2}],
        "effectiveFrom": "2026-03-03", "at": AT,
    }  # fmt: skip
    profit = {**tiered, "type": "profit", "rate": 0.25, "brackets": [], "at": LATER}
    assert book.told() == [("commission.plan_set", each) for each in (tiered, profit)]


def test_what_is_there_is_imported(tmp_path: Path) -> None:
    """Installed on a living book: agents, customers with their last wager, markets, revenue by path, open and
    waiting wagers, undecided payments."""
    path = tmp_path / "living.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(TABLES_SQL + ROWS)
    connection.close()
    book = Book(path)
    lost = book.settlement("w2", returned=0).replace("'win'", "'loss'")
    book.run(f"{book.leg()}; {book.wager('w1', 1)}")
    book.run(f"{book.wager('w2', 2)}; {lost}; {book.settled('w2')}")
    book.run(f"{book.wager('w3', 3)}; {book.settlement('w3')}; {book.settlement('w3', 1100, 2)}; {book.settled('w3')}")
    book.run(f"{book.wager('w4', 4, is_freeplay=1)}; {book.settlement('w4', 1000)}; {book.settled('w4')}")
    book.run(f"{book.wager('w5', 5)}; {book.settlement('w5')}; UPDATE wagers SET status = 'voided' WHERE id = 'w5'")
    book.run(f"{book.leg('w6')}; {book.wager('w6', 6, status='review')}; {book.wager('w7', 7, status='rejected')}")
    for number, status in enumerate(("pending", "approved", "completed"), 1):
        book.run(
            f"INSERT INTO payments VALUES('p{number}', 'c1', 'deposit', 'card', 5000, '{status}', '{AT}', '{AT}', NULL,"
            " NULL)"
        )
    install(path, OUTBOX)
    told = book.told()
    book.connection.close()
    reviewed, *payments = told[7:]
    assert (reviewed[0], reviewed[1]["wagerId"], reviewed[1]["status"]) == ("wager.requested", "w6", "review")
    assert [(kind, data["paymentId"]) for kind, data in payments] == [
        ("payment.requested", "p1"), ("payment.approved", "p2"),
    ]  # fmt: skip
    assert [kind for kind, _ in told[:7]] == [
        "agent.imported", "agent.imported", "customer.imported", "customer.imported", "market.imported",
        "revenue.imported", "wager.imported",
    ]  # fmt: skip
    assert [told[2][1].get("lastWagerAt"), told[3][1].get("lastWagerAt")] == [AT, None]
    # 11.00 lost, one pushed at its second revision, a free play won for 10.00; the voided one does not count.
    assert (told[5][1]["path"], told[5][1]["revenueMinor"]) == ("/M1/A7", 1100 + 0 - 1000)
    imported = {
        **IDENTITY,
        "channel": "web",
        "ip": "198.18.0.7",
        "status": "accepted",
        "version": 1,
        "legs": LEGS,
        "terms": None,
        "at": AT,
    }
    assert told[6][1] == imported

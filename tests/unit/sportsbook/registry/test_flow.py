"""The gate before the figures: which facts count, what they do, and why the others are set aside."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from fire22.core.event import encode_event
from fire22.flows.base import Fact, Flow, Handler
from fire22.flows.engine import Engine
from fire22.log.base import Group
from fire22.sportsbook import domain
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.movement import MOVES, Movement
from tests.support.storage import START_MS, event

IDENTITY: dict[str, Any] = {
    "wagerId": "w1", "wagerNumber": 1, "customerId": "C1", "agentId": "M1", "path": "/M1", "type": "straight",
    "riskMinor": 1100, "toWinMinor": 1000, "freePlay": False,
}  # fmt: skip
PLACED = {
    **IDENTITY, "channel": "web", "status": "accepted", "version": 1,
    "legs": [{"marketId": "m", "selectionId": "a", "odds": 1.9}],
}  # fmt: skip


class Watcher(Flow):
    """Notes what the flows after the registry see."""

    name = "watcher"
    version = 1

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._book = registry
        self.moves: list[Movement] = []

    def handlers(self) -> dict[str, Handler]:
        """Wagers."""
        return dict.fromkeys(MOVES, self._moved)

    def _moved(self, fact: Fact) -> None:
        self.moves.append(self._book.move)


class Book:
    """A registry, fed by hand, one fact a group, of a book with one agent and one customer."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.watcher = Watcher(self.registry)
        self.engine = Engine((self.registry, self.watcher), domain.decode)
        self.rows: dict[tuple[str, str], bytes] = {}
        self._number = 0
        self.tell("agent.created", agentId="M1", name="", path="/M1", level=1, status="active")
        self.tell("customer.created", customerId="C1", agentId="M1", path="/M1", name="", status="active")

    def tell(self, kind: str, at_ms: int = START_MS, /, **data: object) -> str:
        """A fact; returns the code with which it was set aside, or ""."""
        self._number += 1
        body = encode_event(event(f"e{self._number}", type=kind, at_ms=at_ms, data=data)).body
        folded = self.engine.fold_group(Group(self.engine.checkpoint.seq + 1, (body,)))
        for table, key, value in folded.each_row():
            if value is None:
                self.rows.pop((table, key), None)
            else:
                self.rows[table, key] = value
        rejected, self.engine.rejected[:] = list(self.engine.rejected), []
        return rejected[0].code.name if rejected else ""

    def place(self, **other: object) -> str:
        """The wager is placed: 11.00 to win 10.00."""
        return self.tell("wager.placed", **{**PLACED, **other})

    def settle(
        self, returned: int, *, kind: str = "wager.settled", revision: int = 1, before: int = 0, **other: object
    ) -> str:
        """It is settled."""
        about = {
            **IDENTITY,
            "result": "x",
            "revision": revision,
            "returnMinor": returned,
            "previousReturnMinor": before,
        }
        return self.tell(kind, **{**about, **other})

    def cancel(self, status: str = "cancelled", returned: int | None = None, **other: object) -> str:
        """It is called off."""
        was = {} if returned is None else {"settledReturnMinor": returned}
        return self.tell("wager.cancelled", **{**IDENTITY, "status": status, **was, **other})

    def modify(self, risk: int, *, before: int = 1100, version: int = 2) -> str:
        """Its stake is another."""
        stake = {"riskMinor": before, "toWinMinor": 1000}
        return self.tell("wager.modified", **{**IDENTITY, "riskMinor": risk, "version": version, "before": stake})

    def reopen(self, returned: int | None = None, **other: object) -> str:
        """It is open again."""
        was = {} if returned is None else {"settledReturnMinor": returned}
        return self.tell("wager.reopened", **{**PLACED, **was, **other})

    @property
    def last(self) -> Movement:
        """What the other flows saw last."""
        return self.watcher.moves[-1]

    def sums(self) -> tuple[int, int, int, int]:
        """Revenue, handle, settled handle and open wagers by all movements so far."""
        moves = self.watcher.moves
        count = sum((each.opened is not None) - (each.closed is not None) for each in moves)
        return (
            sum(each.revenue for each in moves),
            sum(each.handle for each in moves),
            sum(each.settled_handle for each in moves),
            count,
        )

    def restarted(self) -> None:
        """Go on from what is stored."""
        checkpoint = self.engine.checkpoint
        self.registry = Registry()
        watcher = Watcher(self.registry)
        watcher.moves = self.watcher.moves
        self.watcher = watcher
        self.engine = Engine((self.registry, watcher), domain.decode)
        self.engine.load(checkpoint, [(table, key, value) for (table, key), value in self.rows.items()], ())


# What facts do.


def test_the_life_of_a_wager_in_the_words_of_accounting() -> None:
    """Each step says what it opens, closes and earns; the sums are those of the book."""
    book = Book()
    assert book.place() == ""
    assert book.sums() == (0, 1100, 0, 1)
    assert book.modify(2000) == ""
    assert book.sums() == (0, 2000, 0, 1)
    assert (book.last.closed and book.last.closed.risk, book.last.opened and book.last.opened.risk) == (1100, 2000)
    assert book.last.opened is not None and book.last.opened.legs[0].selection_id == "a"
    assert book.settle(0, riskMinor=2000) == ""
    assert book.sums() == (2000, 2000, 2000, 0)
    assert book.settle(3000, kind="wager.resettled", revision=2, riskMinor=2000) == ""
    assert book.sums() == (-1000, 2000, 2000, 0)
    assert book.cancel("voided", 3000, riskMinor=2000) == ""
    assert book.sums() == (0, 0, 0, 0)
    assert [move.kind for move in book.watcher.moves] == ["placed", "modified", "settled", "resettled", "cancelled"]


def test_a_roll_back_undoes_what_ended_a_wager() -> None:
    """A settlement or a cancellation that was a mistake leaves the book as if the wager had been open all the time."""
    ends: tuple[Callable[[Book], str], ...] = (
        lambda book: book.settle(2100),
        lambda book: book.cancel(),
        lambda book: book.cancel("voided"),
    )
    for end in ends:
        book = Book()
        book.place()
        assert end(book) == ""
        assert book.reopen() == ""
        assert book.sums() == (0, 1100, 0, 1)
        assert book.settle(0) == ""
        assert book.sums() == (1100, 1100, 1100, 0)


def test_the_stake_of_a_free_play_is_nobodys_cash() -> None:
    """A free play adds nothing to handle, loses nothing, and a win costs its profit."""
    book = Book()
    book.place(freePlay=True)
    assert book.last.opened is not None and book.last.opened.free_play
    assert book.sums() == (0, 0, 0, 1)
    assert book.settle(1000, freePlay=True) == ""
    assert book.sums() == (-1000, 0, 0, 0)


def test_a_wager_that_was_deleted_may_come_again() -> None:
    """A row that is gone leaves its number free."""
    book = Book()
    book.place()
    assert book.cancel("deleted") == ""
    assert book.place(riskMinor=500) == ""
    assert book.sums() == (0, 500, 0, 1)


def test_a_wager_may_wait_before_it_is_accepted() -> None:
    """A requested wager counts nowhere until it is accepted; a rejected one never does."""
    book = Book()
    asked = {**PLACED, "status": "review"}
    assert book.tell("wager.requested", **asked) == ""
    assert book.watcher.moves == []
    assert book.place() == ""
    assert book.tell("wager.requested", **asked) == "transition_illegal"
    assert book.tell("wager.requested", **{**asked, "wagerId": "w2"}) == ""
    assert book.tell("wager.rejected", **{**IDENTITY, "wagerId": "w2", "status": "rejected"}) == ""
    assert book.tell("wager.rejected", **{**IDENTITY, "wagerId": "w2", "status": "rejected"}) == "wager_unknown"
    assert book.sums() == (0, 1100, 0, 1)


def test_a_correction_of_a_wager_of_before_the_connection_counts_by_what_it_says() -> None:
    """Where only sums are known of the past, a resettlement or voiding brings its difference; else it is set aside."""
    book = Book()
    assert book.settle(2100, kind="wager.resettled", revision=2) == "wager_unknown"
    assert book.cancel("voided", 2100) == "wager_unknown"
    book.tell("revenue.imported", path="/M1", revenueMinor=1100)
    assert book.settle(2100, kind="wager.resettled", revision=2) == ""
    assert book.sums() == (-2100, 0, 0, 0)
    assert book.cancel("voided", 2100) == ""
    assert book.sums() == (-1100, 0, 0, 0)
    assert book.reopen() == ""
    assert book.sums() == (-1100, 1100, 0, 1)
    assert book.settle(0, wagerId="w9") == "wager_unknown"


def test_a_roll_back_of_a_wager_of_before_the_connection_counts_by_what_it_says() -> None:
    """Where only sums are known of the past, what had been returned comes back, and the stake is in the handle now."""
    book = Book()
    assert book.reopen(2100) == "wager_unknown"
    book.tell("revenue.imported", path="/M1", revenueMinor=-1000)
    assert book.reopen(2100) == ""
    assert book.sums() == (1000, 1100, 0, 1)
    assert book.last.kind == "reopened"
    assert book.settle(0) == ""
    assert book.sums() == (2100, 1100, 1100, 0)
    assert book.reopen(wagerId="w2") == ""
    assert book.sums() == (2100, 2200, 1100, 1)


def test_a_roll_back_told_again_is_passed_over() -> None:
    """A settlement row that is deleted and the status that follows are one roll-back; other content is a mistake."""
    book = Book()
    book.place()
    book.settle(2100)
    assert book.reopen(999) == "fact_conflict"
    assert [book.reopen(2100), book.reopen(), book.reopen(2100)] == ["", "", ""]
    assert book.sums() == (0, 1100, 0, 1)
    assert book.reopen(riskMinor=5) == "transition_illegal"
    book.cancel()
    assert book.reopen(2100) == "fact_conflict"
    assert book.reopen() == ""


# What is set aside.


def bad(kind: str, **wrong: object) -> tuple[str, dict[str, object]]:
    """A fact with something wrong in it."""
    base = PLACED if kind == "wager.placed" else IDENTITY
    return kind, {**base, **wrong}


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (bad("wager.placed", customerId="C9"), "customer_unknown"),
        (bad("wager.placed", path="/M9"), "agent_unknown"),
        (bad("wager.placed", riskMinor=-1), "event_invalid"),
        (bad("wager.placed", toWinMinor=-1), "event_invalid"),
        (bad("wager.placed", legs=[{"marketId": "m", "selectionId": "a", "odds": 1.0}]), "event_invalid"),
        (bad("wager.placed", currency="EUR"), "currency_mismatch"),
        (bad("wager.settled", revision=1, result="win", returnMinor=1, previousReturnMinor=0), "wager_unknown"),
        (bad("wager.cancelled", status="voided"), "wager_unknown"),
        (bad("wager.modified", version=2, before={"riskMinor": 1, "toWinMinor": 1}), "wager_unknown"),
        (bad("wager.reopened", channel="web", status="accepted", version=1), "wager_unknown"),
        (("customer.limit_changed", {
            "customerId": "C9", "agentId": "M1", "path": "/M1",
            "before": {"creditLimitMinor": 1, "maxWagerMinor": 1}, "after": {"creditLimitMinor": 2, "maxWagerMinor": 1},
        }), "customer_unknown"),
    ],
)  # fmt: skip
def test_bad_data_is_set_aside_and_counts_nowhere(fact: tuple[str, dict[str, object]], code: str) -> None:
    """No figure is silently wrong: what cannot be true is kept with its reason, and no other flow sees it."""
    kind, data = fact
    book = Book()
    rows = dict(book.rows)
    assert book.tell(kind, **data) == code
    assert book.watcher.moves == []
    assert {name: row for name, row in book.rows.items() if name[0].startswith("book/")} == {
        name: row for name, row in rows.items() if name[0].startswith("book/")
    }
    assert book.place() == ""


@pytest.mark.parametrize(
    "told",
    [
        lambda book: book.place(riskMinor=1200),
        lambda book: book.place(legs=[{"marketId": "m", "selectionId": "b", "odds": 1.9}]),
        lambda book: book.modify(2000, before=900),
        lambda book: book.settle(0, riskMinor=900),
        lambda book: book.settle(0, freePlay=True),
        lambda book: book.settle(0, path="/"),
        lambda book: book.settle(0, customerId="C2"),
        lambda book: book.cancel(path="/"),
        lambda book: book.cancel(riskMinor=900),
    ],
)
def test_a_fact_that_contradicts_an_open_wager_is_set_aside(told: Any) -> None:
    """A duplicate with other content, or a step from another stake, is a conflict; the wager stays as it was."""
    book = Book()
    book.place()
    assert told(book) == "fact_conflict"
    assert book.sums() == (0, 1100, 0, 1)
    assert book.settle(0) == ""


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (lambda book: book.settle(0), "fact_conflict"),
        (lambda book: book.settle(0, kind="wager.resettled", revision=2, before=999), "fact_conflict"),
        (lambda book: book.cancel("voided", 999), "fact_conflict"),
        (lambda book: book.cancel("cancelled", 2100), "transition_illegal"),
        (lambda book: book.modify(2000), "transition_illegal"),
        (lambda book: book.place(riskMinor=5), "fact_conflict"),
    ],
)
def test_a_fact_that_contradicts_a_settled_wager_is_set_aside(told: Any, code: str) -> None:
    """Only a correction that starts from what is known, or a voiding, changes what was settled."""
    book = Book()
    book.place()
    book.settle(2100)
    assert told(book) == code
    assert book.sums() == (-1000, 1100, 1100, 0)


def test_what_is_cancelled_stays_cancelled() -> None:
    """A wager that was called off is not settled, changed or called off in another way; only a roll-back opens it."""
    book = Book()
    book.place()
    book.cancel()
    for code in (book.settle(0), book.modify(2000), book.cancel("voided"), book.settle(0, kind="wager.resettled")):
        assert code == "transition_illegal"
    assert book.sums() == (0, 0, 0, 0)


def test_a_repeat_is_passed_over() -> None:
    """Feeds say things twice; the second time nothing happens, and nobody is bothered."""
    book = Book()
    steps: tuple[Callable[[], str], ...] = (
        book.place, lambda: book.modify(1100 + 100), lambda: book.settle(2100, riskMinor=1200),
        lambda: book.settle(0, kind="wager.resettled", revision=2, before=2100, riskMinor=1200),
        lambda: book.cancel("voided", 0, riskMinor=1200),
    )  # fmt: skip
    for number, step in enumerate(steps, 1):
        assert [step(), step()] == ["", ""], number
        assert len(book.watcher.moves) == number


def test_a_restart_forgets_nothing() -> None:
    """The same facts are refused, passed over and counted after a restart as before it."""
    book = Book()
    book.place()
    book.place(wagerId="w2")
    book.settle(2100, wagerId="w2")
    book.tell("wager.requested", **{**PLACED, "wagerId": "w3", "status": "review"})
    book.restarted()
    assert book.place() == ""
    assert book.settle(0, wagerId="w2") == "fact_conflict"
    assert book.settle(0, wagerId="w2", kind="wager.resettled", revision=2, before=2100) == ""
    assert book.place(wagerId="w4", customerId="C9") == "customer_unknown"
    assert book.tell("wager.rejected", **{**IDENTITY, "wagerId": "w3", "status": "expired"}) == ""
    assert book.settle(0) == ""
    assert book.sums() == (2200, 2200, 2200, 0)


def test_what_it_knows_of_customers_and_markets() -> None:
    """Limits, prices and times are those of now; a market that is over is forgotten."""
    book = Book()
    about = {"customerId": "C1", "agentId": "M1", "path": "/M1"}
    limits = {"creditLimitMinor": 5, "maxWagerMinor": 7}
    book.tell("customer.limit_changed", **about, before=limits, after={**limits, "maxWagerMinor": 9})
    book.tell("customer.status_changed", **about, before="active", after="suspended")
    customer = book.registry.customer("C1")
    assert customer is not None
    assert (customer.credit_limit_minor, customer.max_wager_minor, customer.status) == (5, 9, "suspended")
    selections = [{"selectionId": "a", "name": "Home", "odds": 1.9}]
    book.tell(
        "market.created", marketId="m", eventId="e", type="moneyline", status="open", eventName="A v B",
        startsAt="2026-03-01T12:00:00Z", selections=selections, liabilityLimitMinor=100,
    )  # fmt: skip
    book.tell("market.price_changed", marketId="m", selectionId="a", oldOdds=1.9, newOdds=2.1)
    book.restarted()
    market = book.registry.market("m")
    assert market is not None
    assert (market.starts_ms, market.event_name, market.selections["a"].odds) == (START_MS, "A v B", 2.1)
    book.tell("market.status_changed", marketId="m", status="resulted")
    assert book.registry.market("m") is None


def test_a_fact_of_the_future_counts_as_of_the_watermark() -> None:
    """A wrong clock in the book moves nothing into next year."""
    book = Book()
    book.tell("system.clock", START_MS)
    book.tell("wager.placed", START_MS + 401 * 24 * 3_600_000, **PLACED)
    assert book.last.at_ms == START_MS


def test_the_currency_is_the_books() -> None:
    """An amount that names the book's currency counts, one that names none too."""
    book = Book()
    settings = {"flows": {"book": {"version": 1, "settings": {"currency": "EUR"}}}}
    book.engine.fold(encode_event(event("c", type="system.configured", data=settings)).body)
    assert book.place(currency="USD") == "currency_mismatch"
    assert book.place(currency="EUR") == ""
    assert msgspec.json.decode(Raw(msgspec.json.encode(book.registry.money.currency))) == "EUR"

"""Amounts in other currencies: set aside without a rate, else in the book's currency to the last minor unit."""

from pathlib import Path
from typing import Any

import pytest

from fire22.core.message import Json
from fire22.sportsbook import domain
from fire22.sportsbook.book.schema.mapping import BookMapping, TableMapping
from fire22.sportsbook.book.schema.numbers import BadValueError
from fire22.sportsbook.book.schema.rows import TableReader
from tests.support.demo_book import DemoBook
from tests.support.folding import Folding
from tests.support.storage import START_MS

HOUR_MS = 3_600_000
OWNER: dict[str, Any] = {"customerId": "C1", "agentId": "A1", "path": "/A1"}
WAGER = {
    **OWNER, "wagerId": "w", "wagerNumber": 7, "type": "straight", "riskMinor": 10_000, "toWinMinor": 9_500,
    "freePlay": False,
}  # fmt: skip
PLACED = {**WAGER, "channel": "web", "status": "accepted", "version": 1}
SETTLED = {**WAGER, "revision": 1, "result": "win", "returnMinor": 19_500, "previousReturnMinor": 0}
PAYMENT = {**OWNER, "paymentId": "p", "direction": "deposit", "method": "cash", "amountMinor": 10_001}
EUR: list[Json] = [
    {"rate": "1.0825", "since": "2026-01-01T00:00:00Z"},
    {"rate": "2", "since": "2026-03-01T13:00:00Z"},
]


def configured(book: Folding, rates: Json, currency: str = "USD") -> None:
    """From here on the book has these rates."""
    settings = {"currency": currency, "rates": rates}
    book.tell("system.configured", {"flows": {"book": {"version": 1, "settings": settings}}})


def in_eur(told: dict[str, Any], **other: object) -> dict[str, Any]:
    """A fact in another currency than the book's."""
    return {**told, "currency": "EUR", **other}


@pytest.fixture
def book() -> Folding:
    """A book in dollars with a customer, and two rates of the euro."""
    made = Folding(domain.flows)
    configured(made, {"EUR": EUR, "JPY": [{"rate": "0.0067", "since": "2026-01-01T00:00:00Z"}]})
    made.clock(START_MS)
    made.tell("agent.created", {"agentId": "A1", "name": "", "path": "/A1", "level": 1, "status": "active"})
    made.tell("customer.created", {**OWNER, "name": "", "status": "active"})
    return made


def balance(book: Folding) -> Json:
    """The customer's."""
    book.clock(START_MS + 3 * HOUR_MS)
    return book.documents["balances", "/A1/@C1", ""]["balance"]


def test_a_wager_counts_in_the_books_currency(book: Folding) -> None:
    """100.00 euros at 1.0825 are 108.25 at stake; a win of 95.00 is worth 102.84, rounded once, half up (102.8375)."""
    (ticker,) = (data for topic, _, data in book.tell("wager.placed", in_eur(PLACED)) if topic == "wagers")
    assert (ticker["amount"], ticker["toWin"]) == (108.25, 102.84)
    assert book.documents["kpi", "/A1", ""]["pendingRisk"] == 108.25


def test_a_wager_keeps_its_rate(book: Folding) -> None:
    """What was staked and what comes back are converted alike, whatever the rate has become; over a restart too."""
    book.tell("wager.placed", in_eur(PLACED))
    book.restart()
    book.tell("wager.settled", in_eur(SETTLED), START_MS + 2 * HOUR_MS)
    assert not book.refused
    assert balance(book) == 102.84  # 211.09 returned, 108.25 staked
    assert book.documents["kpi", "/", ""]["revenue"] == -102.84


def test_a_rate_holds_from_its_time_on(book: Folding) -> None:
    """A wager is converted at the rate of when it was accepted."""
    book.tell("wager.placed", in_eur(PLACED, wagerId="later", wagerNumber=8), START_MS + 2 * HOUR_MS)
    assert book.documents["kpi", "/A1", ""]["pendingRisk"] == 200.0
    book.tell("wager.placed", in_eur(PLACED))
    assert book.documents["kpi", "/A1", ""]["pendingRisk"] == 308.25


def test_rates_hold_from_their_place_in_the_log(book: Folding) -> None:
    """New settings change what comes after them and nothing before; a wager of before goes on at its own rate."""
    book.tell("wager.placed", in_eur(PLACED))
    configured(book, {"EUR": [{"rate": "3", "since": "2026-01-01T00:00:00Z"}]})
    book.tell("wager.settled", in_eur(SETTLED, returnMinor=0, result="loss"))
    assert not book.refused
    assert book.documents["kpi", "/", ""]["revenue"] == 108.25
    book.tell("wager.placed", in_eur(PLACED, wagerId="next", wagerNumber=8))
    assert book.documents["kpi", "/", ""]["pendingRisk"] == 300.0


def test_a_payment_keeps_its_rate(book: Folding) -> None:
    """A deposit that was asked for at one rate is complete at the same one."""
    book.tell("payment.requested", in_eur(PAYMENT, status="pending"))
    book.tell("payment.completed", in_eur(PAYMENT, status="completed"), START_MS + 2 * HOUR_MS)
    assert not book.refused
    assert balance(book) == 108.26  # 100.01 at 1.0825 are 108.260825


def test_decimals_are_each_currencys_own(book: Folding) -> None:
    """1,500 yen, which have no decimals, are 10.05 dollars at 0.0067."""
    book.tell("balance.adjusted", {**OWNER, "entryId": "1", "kind": "bonus", "amountMinor": 1_500, "currency": "JPY"})
    assert balance(book) == 10.05


def test_limits_and_balances_are_converted(book: Folding) -> None:
    """A customer of another currency has a credit and a balance in the book's."""
    who = {**OWNER, "customerId": "C2", "name": "", "status": "active", "creditLimitMinor": 10_000}
    book.tell("customer.created", in_eur(who, balanceMinor=-2_000))
    limits = {"before": {"creditLimitMinor": 10_000, "maxWagerMinor": 0}}
    after = {"creditLimitMinor": 20_000, "maxWagerMinor": 0}
    book.clock(START_MS + 1_000)
    document = book.documents["balances", "/A1/@C2", ""]
    assert (document["creditLimit"], document["balance"]) == (108.25, -21.65)
    book.tell("customer.limit_changed", in_eur({**OWNER, "customerId": "C2"}, after=after, **limits))
    book.clock(START_MS + 2_000)
    assert book.documents["balances", "/A1/@C2", ""]["creditLimit"] == 216.5


@pytest.mark.parametrize(
    ("currency", "at_ms", "code"),
    [("CHF", START_MS, "currency_mismatch"), ("EUR", START_MS - 3_000 * HOUR_MS, "currency_mismatch")],
)
def test_without_a_rate_a_fact_is_set_aside(book: Folding, currency: str, at_ms: int, code: str) -> None:
    """No figure is made of an amount whose worth nobody has said, of that time."""
    book.tell("wager.placed", {**PLACED, "currency": currency}, at_ms)
    assert book.code() == code
    assert book.documents["kpi", "/A1", ""]["pending"] == 0


def test_a_wager_has_one_currency(book: Folding) -> None:
    """A settlement in yen of a wager in euros is set aside, with both."""
    book.tell("wager.placed", in_eur(PLACED))
    book.tell("wager.settled", {**SETTLED, "currency": "JPY"})
    assert book.code() == "fact_conflict"


def test_a_rate_of_a_refused_fact_is_nobodys(book: Folding) -> None:
    """What was set aside leaves no rate behind for the next fact."""
    book.tell("wager.placed", in_eur(PLACED, path="/NOBODY"))
    assert book.code() == "agent_unknown"
    book.tell("wager.placed", PLACED)
    book.tell("wager.settled", SETTLED, START_MS + 2 * HOUR_MS)
    assert not book.refused
    assert balance(book) == 95.0


def test_an_amount_too_large_at_its_rate_is_set_aside(book: Folding) -> None:
    """An absurd rate costs the fact that it is used for, and nobody else."""
    configured(book, {"EUR": [{"rate": "999999999999", "since": "2026-01-01T00:00:00Z"}]})
    book.tell("wager.placed", in_eur(PLACED))
    assert book.code() == "event_invalid"


def test_a_books_row_tells_its_currency(tmp_path: Path, book: Folding) -> None:
    """A book of several currencies names each row's; a row without one is in the book's own."""
    demo = DemoBook(tmp_path / "book.db")
    events = demo.told()
    customer, agent, path = demo.rows(
        "SELECT c.id, a.id, a.path FROM customers c JOIN agents a ON a.id = c.agent_id ORDER BY c.code LIMIT 1"
    )[0]
    for id, currency in (("e", "EUR"), ("d", None)):
        demo.connection.execute(
            "INSERT INTO wagers(id, wager_number, customer_id, agent_id, agent_path, type, risk_cents, to_win_cents,"
            " channel, status, accepted_at, updated_at, currency) VALUES(?, ?, ?, ?, ?, 'straight', 10000, 9500, 'web',"
            " 'accepted', '2026-03-01T12:00:00Z', '2026-03-01T12:00:00Z', ?)",
            (id, ord(id), customer, agent, path, currency),
        )
    fold = Folding(domain.flows)
    configured(fold, {"EUR": EUR})
    fold.group([*events, *demo.told()])
    assert not fold.refused
    for _ in range(20):
        fold.group([])
    assert fold.documents["kpi", path, ""]["pendingRisk"] == 208.25


COLUMNS = {
    "id": "Id", "customer_id": "Player", "direction": "Way", "amount_cents": "Amount", "currency": "Money",
    "status": "State", "requested_at": "At",
}  # fmt: skip


def amount_of(amount: str, currency: str | None, book: str = "USD") -> int:
    """What a mapped book's payment is in minor units."""
    mapping = BookMapping("x", {"payments": TableMapping("Pay", dict(COLUMNS))}, money="major", currency=book)
    reader = TableReader("payments", mapping, tuple(COLUMNS.values()))
    row = reader.row(("p", "c", "deposit", amount, currency, "pending", "2026-03-01T12:00:00Z"))
    assert row is not None
    found = dict(zip([each.name for each in reader.readers], row, strict=True))["amount_cents"]
    assert isinstance(found, int)
    return found


def test_a_mapped_amount_has_its_currencys_decimals() -> None:
    """15.50 are 1,550 cents and 15,500 fils; 1,500 yen are 1,500, by the row's currency and else by the book's."""
    amounts = (amount_of("15.50", None), amount_of("15.50", "KWD"), amount_of("1500", "JPY"))
    assert amounts == (1_550, 15_500, 1_500)
    assert (amount_of("1500", None, "JPY"), amount_of("15.505", None, "KWD")) == (1_500, 15_505)


def test_an_empty_currency_of_a_mapped_book_is_the_books() -> None:
    """An empty text says as little as no value: the amount has the decimals of the book's currency."""
    assert (amount_of("1500", "", "JPY"), amount_of("15.505", "", "KWD")) == (1_500, 15_505)


def test_a_currency_that_is_none_is_said_in_words() -> None:
    """`eur` is not taken for a currency: who reads of the row learns its column, the value and what was expected."""
    with pytest.raises(BadValueError, match="is no currency code of three capital letters") as caught:
        amount_of("15.50", "eur")
    assert (caught.value.column, caught.value.value) == ("Money", "`eur`")


@pytest.mark.parametrize(("amount", "currency"), [("15.505", "USD"), ("15.5", "JPY"), ("0.0001", "KWD")])
def test_a_mapped_amount_is_never_rounded(amount: str, currency: str) -> None:
    """More decimals than the currency has cannot be meant: the row is set aside."""
    with pytest.raises(BadValueError, match="fraction of a minor unit"):
        amount_of(amount, currency)

"""Amounts have as many decimals as the book's currency."""

import json
import re
from decimal import Decimal

import pytest

from fire22.sportsbook import domain
from fire22.sportsbook.betting.errors import AmountError
from fire22.sportsbook.betting.money import Money
from tests.support.folding import Folding
from tests.support.storage import START_MS

DAY_MS = 24 * 3_600_000
OWNER = {"customerId": "C1", "agentId": "A1", "path": "/A1"}
WAGER = {
    **OWNER, "wagerId": "w", "wagerNumber": 7, "type": "straight", "riskMinor": 1_234_567, "toWinMinor": 2_000_001,
    "freePlay": False,
}  # fmt: skip
LEG = {"marketId": "m", "selectionId": "s", "odds": 2.62}
PAYMENT = {**OWNER, "paymentId": "p", "direction": "deposit", "method": "cash", "amountMinor": 1_500_003}


@pytest.mark.parametrize(
    ("currency", "decimals", "text"),
    [("JPY", 0, "1,234,567"), ("CLP", 0, "1,234,567"), ("USD", 2, "12,345.67"), ("KWD", 3, "1,234.567"),
     ("CLF", 4, "123.4567"), ("XYZ", 2, "12,345.67")],
)  # fmt: skip
def test_decimals_are_the_currencys(currency: str, decimals: int, text: str) -> None:
    """An amount of minor units is read by a person, and sent to a program, as its currency is written."""
    money = Money(currency)
    assert (money.decimals, money.text(1_234_567)) == (decimals, text)
    assert json.dumps(money.major(1_234_567)) == (text.replace(",", "") if decimals else "1234567.0")
    assert money.minor(text.replace(",", "")) == 1_234_567


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("JPY", "1.5"), ("USD", "0.001"), ("KWD", "0.0001"), ("USD", "5,50"), ("USD", "1 200.00"), ("USD", "$7"),
     ("USD", ""), ("USD", "NaN"), ("USD", "Infinity")],
)  # fmt: skip
def test_what_is_no_amount_is_not_rounded(currency: str, amount: str) -> None:
    """More decimals than the currency has, or no number at all, is an error and never another amount."""
    with pytest.raises(AmountError):
        Money(currency).minor(amount)


def test_zeros_behind_an_amount_are_none_too_many() -> None:
    """A book may write more zeros than the currency has decimals: the amount is the same."""
    assert Money("JPY").minor("1500.00") == 1500
    assert Money("USD").minor(Decimal("-2.5000")) == -250


def _told(currency: str) -> list[tuple[str, str, object]]:
    """Everything that a small book in a currency says, as (topic, where, what)."""
    book = Folding(domain.flows)
    rules = {"large_bet": {"risk_minor": 100}, "chargeback": {}}
    flows = {"book": {"version": 1, "settings": {"currency": currency}}}
    flows["risk"] = {"version": 1, "settings": rules}
    said = book.tell("system.configured", {"flows": flows})
    steps: list[tuple[str, dict[str, object]]] = [
        ("system.clock", {}),
        ("agent.created", {"agentId": "A1", "name": "", "path": "/A1", "level": 1, "status": "active"}),
        ("commission.plan_set", {"agentId": "A1", "path": "/A1", "type": "split", "rate": 0.5}),
        ("customer.created", {**OWNER, "name": "", "status": "active", "creditLimitMinor": 7_000_000}),
        ("market.created", {"marketId": "m", "eventId": "e", "type": "1x2", "status": "open",
                            "liabilityLimitMinor": 1_000_000,
                            "selections": [{"selectionId": "s", "name": "Home", "odds": 2.62}]}),
        ("wager.requested", {**WAGER, "wagerId": "r", "channel": "web", "status": "review", "version": 1}),
        ("wager.placed", {**WAGER, "channel": "web", "status": "accepted", "version": 1, "legs": [LEG]}),
        ("payment.requested", {**PAYMENT, "status": "pending"}),
        ("system.clock", {}),
        ("payment.completed", {**PAYMENT, "status": "completed"}),
        ("wager.settled", {**WAGER, "revision": 1, "result": "loss", "returnMinor": 0, "previousReturnMinor": 0}),
        ("payment.charged_back", {**PAYMENT, "status": "charged_back"}),
        ("customer.limit_changed", {**OWNER, "before": {"creditLimitMinor": 7_000_000, "maxWagerMinor": 0},
                                    "after": {"creditLimitMinor": 8_000_001, "maxWagerMinor": 5_000_003}}),
        ("balance.adjusted", {**OWNER, "entryId": "1", "kind": "fee", "amountMinor": -1_000_001}),
        ("system.clock", {}),
        ("system.clock", {}),
    ]  # fmt: skip
    at_ms = START_MS
    for number, (type, data) in enumerate(steps):
        at_ms += 1_000 if number < len(steps) - 1 else 40 * DAY_MS
        said += book.tell(type, data, at_ms)
        assert not book.refused, book.refused
        said += [(topic, f"{scope} {key}", body) for (topic, scope, key), body in sorted(book.documents.items())]
        archived = book.batches[-1].archived
        said += [(f"{one.topic} archive", f"{one.scope} {one.key}", json.loads(one.body)) for one in archived]
    return said


COUNTS = {"alertId", "hold", "odds", "times", "shareOfMax", "share", "rate", "price", "line", "level"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT")
AMOUNT = re.compile(r"[\d,]{5,}(?:\.\d+)?")


def _amounts(value: object, at: str = "") -> list[tuple[str, str, float]]:
    """Every number with decimals below a value: where it stands, and as it is written."""
    if isinstance(value, dict):
        return [each for name, one in value.items() if name not in COUNTS for each in _amounts(one, f"{at}.{name}")]
    if isinstance(value, list):
        return [each for one in value for each in _amounts(one, at)]
    if isinstance(value, float):
        return [(at, json.dumps(value), value)]
    if isinstance(value, str):
        found = [] if TIME.match(value) else AMOUNT.findall(value)
        return [(at, one, float(one.replace(",", ""))) for one in found]
    return []


def _all(currency: str) -> dict[str, list[tuple[str, str, float]]]:
    found: dict[str, list[tuple[str, str, float]]] = {}
    for topic, where, data in _told(currency):
        if topic != "agents":
            found.setdefault(f"{topic} {where}", []).extend(_amounts(data))
    return found


@pytest.mark.parametrize(("currency", "unit"), [("JPY", 1), ("KWD", 1_000)])
def test_everything_is_said_in_the_books_currency(currency: str, unit: int) -> None:
    """Figures, messages, alerts and sentences give the same minor units in each currency."""
    usual, other = _all("USD"), _all(currency)
    assert usual.keys() == other.keys()
    topics = set()
    for name, amounts in usual.items():
        assert [each[0] for each in amounts] == [each[0] for each in other[name]], name
        for (at, _, hundredths), (_, text, said) in zip(amounts, other[name], strict=True):
            assert round(said * unit) == round(hundredths * 100), f"{name}{at}: {text} for {hundredths}"
            if hundredths:
                topics.add(name.split(" ")[0])
    assert topics >= {
        "kpi", "wagers", "activity", "ledger", "payments", "payment_queue", "balances", "exposure", "figures",
        "commission", "reports", "reviews", "alerts", "direct",
    }, topics  # fmt: skip

"""Every type of wager at the desk: what it is placed at, what it pays, and what the figures then say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from fire22.core.errors import RequestError
from fire22.sportsbook import domain
from fire22.sportsbook.betting.bounds import MINOR_MAX
from fire22.sportsbook.book import changes, writer
from fire22.sportsbook.desk.settings import DeskSettings, Teaser
from tests.support.folding import Folding
from tests.support.shop import Shop
from tests.support.storage import START_MS

SIX_POINTS: Final = Teaser(6.0, {"2": "-115", "3": "+160"})


class Types(Shop):
    """A shop with markets of which every price is what a test says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, DeskSettings(teasers=(SIX_POINTS,)))
        self.set("customers", self.customer, credit_limit_cents=10**9, max_wager_cents=10**9)
        self.connection.execute("UPDATE agents SET credit_limit_cents = 0, max_wager_cents = 0")
        self.event = self.one("SELECT event_id FROM markets WHERE id = ?", self.markets[0])
        self.count = 0
        self.told()

    def runners(self, *odds: float) -> list[str]:
        """A market with these decimal odds; its selections. The American prices are what others would show."""
        self.count += 1
        market = f"race-{self.count}"
        selections = tuple(changes.NewSelection(f"{market}-{n:02}", f"Runner {n}", -105) for n in range(len(odds)))
        closes_ms = START_MS + 10**9
        self.write(changes.AddMarket(market, self.event, "race", "", None, closes_ms, 0, selections, START_MS))
        for selection, price in zip(selections, odds, strict=True):
            self.set("selections", selection.id, odds_decimal=price)
        return [each.id for each in selections]

    def write(self, *items: changes.Change) -> None:
        """Change the book as its own program would."""
        writer.write(self.connection, items)

    def bet(self, risk: int, *legs: str, **more: Any) -> dict[str, Any]:
        """Place a wager on selections at their odds of now."""
        shown = [
            {"selectionId": each, "odds": self.one("SELECT odds_decimal FROM selections WHERE id = ?", each)}
            for each in legs
        ]
        return self.done("wager.place", {"customerId": self.code, "legs": shown, "riskMinor": risk} | more)

    def settled(self, wager: dict[str, Any], **results: str) -> int:
        """Settle a wager by results that are given (`race_1_00="win"`); its return."""
        given = [{"selectionId": name.replace("_", "-"), "result": result} for name, result in results.items()]
        return int(self.done("wager.settle", {"wagerId": wager["wagerId"], "results": given})["returnMinor"])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Types]:
    """A shop that takes every type."""
    shop = Types(tmp_path / "book.db")
    yield shop
    shop.desk.close()


# Prices.


@pytest.mark.parametrize(
    ("odds", "risk", "result", "to_win", "returned"),
    [
        (1.95, 10_000, "win", 9_500, 19_500),
        (1.95, 10_000, "half_win", 9_500, 14_750),
        (1.333, 100_000, "win", 33_300, 133_300),
        (1.909091, 11_000_000, "win", 10_000_001, 21_000_001),
    ],
)
def test_a_price_is_what_the_book_says(
    shop: Types, odds: float, risk: int, result: str, to_win: int, returned: int
) -> None:
    """The decimal odds are the price; the American one beside them (-105 here) is how it is shown."""
    (selection,) = shop.runners(odds)
    wager = shop.bet(risk, selection)
    assert wager["toWinMinor"] == to_win
    assert shop.one("SELECT odds_decimal FROM wager_legs") == odds
    assert shop.settled(wager, race_1_00=result) == returned


def test_an_american_price_is_exact_where_its_decimals_are_rounded(shop: Types) -> None:
    """-110 is 21/11: 110,000.00 wins 100,000.00, though six decimals say a cent more."""
    (selection,) = shop.runners(1.909091)
    shop.set("selections", selection, odds_american=-110)
    wager = shop.bet(11_000_000, selection)
    assert wager["toWinMinor"] == 10_000_000
    assert shop.settled(wager, race_1_00="win") == 21_000_000


def written(shop: Types, risk: int, to_win: int, *legs: str, type: str = "straight", terms: str = "{}") -> str:
    """A wager that the book's own program has written."""
    id = f"written-{shop.count}-{shop.one('SELECT count(*) FROM wagers')}"
    agent, path = shop.rows(
        "SELECT a.id, a.path FROM agents a JOIN customers c ON c.agent_id = a.id WHERE c.id = ?", shop.customer
    )[0]
    new = [
        changes.NewLeg(each, -105, None, shop.one("SELECT odds_decimal FROM selections WHERE id = ?", each))
        for each in legs
    ]
    shop.write(changes.PlaceWager(id, shop.customer, agent, path, type, risk, to_win, START_MS, "web", legs=tuple(new)))
    shop.set("wagers", id, terms=terms)
    return id


def test_a_wager_pays_what_was_written_down(shop: Types) -> None:
    """100.00 at 1.95 to win 95.00 returns 195.00, whatever the American price beside it would say."""
    (selection,) = shop.runners(1.95)
    wager = written(shop, 10_000, 9_500, selection)
    assert shop.settled({"wagerId": wager}, race_1_00="win") == 19_500
    assert shop.settled({"wagerId": wager}, race_1_00="half_win") == 14_750
    assert shop.balance() == 4_750


def test_what_was_agreed_holds(shop: Types) -> None:
    """A wager changed to win 80.00 on 100.00 pays 180.00, half of it 140.00, and in a dead heat half of 180.00."""
    (selection,) = shop.runners(1.95)
    wager = shop.bet(10_000, selection)
    body = {"wagerId": wager["wagerId"], "riskMinor": 10_000, "toWinMinor": 8_000, "reason": "boost taken back"}
    assert shop.done("wager.modify", body)["toWinMinor"] == 8_000
    assert shop.settled(wager, race_1_00="win") == 18_000
    assert shop.settled(wager, race_1_00="half_win") == 14_000
    tied = [{"selectionId": selection, "result": "win", "deadHeat": 0.5}]
    assert shop.done("wager.settle", {"wagerId": wager["wagerId"], "results": tied})["returnMinor"] == 9_000
    assert shop.settled(wager, race_1_00="push") == 10_000


def test_what_nobody_can_know_is_refused_with_both_figures(shop: Types) -> None:
    """Written to win 120.00 where the price says 95.00: nothing is paid until somebody says which holds."""
    (selection,) = shop.runners(1.95)
    wager = written(shop, 10_000, 12_000, selection)
    win = {"wagerId": wager, "results": [{"selectionId": selection, "result": "win"}]}
    error = shop.refused("wager.settle", win)
    assert (error.code.name, error.details) == (
        "payout_disputed",
        {"toWinMinor": 12_000, "struckToWinMinor": 9_500, "returnMinor": 22_000, "struckReturnMinor": 19_500},
    )
    other = shop.bet(2_000, selection)
    result = shop.done("market.settle", {"marketId": "race-1", "winners": [selection]})
    assert (result["settled"], result["refused"], result["open"]) == (1, 1, 0)
    assert [(each["wagerId"], each["code"]) for each in result["refusals"]] == [(wager, "payout_disputed")]
    assert shop.one("SELECT return_cents FROM settlements WHERE wager_id = ?", other["wagerId"]) == 3_900
    shop.done("wager.modify", {"wagerId": wager, "riskMinor": 10_000, "toWinMinor": 12_000, "reason": "so agreed"})
    assert shop.done("wager.settle", win)["returnMinor"] == 22_000
    assert (
        shop.done("wager.settle", {**win, "results": [{"selectionId": selection, "result": "loss"}]})["revision"] == 2
    )


def test_a_loss_is_no_dispute(shop: Types) -> None:
    """Where both figures say the same of a result, it is settled."""
    (selection,) = shop.runners(1.95)
    wager = written(shop, 10_000, 12_000, selection)
    assert shop.settled({"wagerId": wager}, race_1_00="loss") == 0


# Types.


def test_a_round_robin(shop: Types) -> None:
    """Three teams by 2s, 100.00 each: win, win, loss at 2.0 returns 400.00."""
    legs = [shop.runners(2.0)[0] for _ in range(3)]
    wager = shop.bet(30_000, *legs, type="round_robin", by=[2])
    assert wager["toWinMinor"] == 90_000
    assert shop.settled(wager, race_1_00="win", race_2_00="win", race_3_00="loss") == 40_000
    assert shop.settled(wager, race_1_00="win", race_2_00="loss", race_3_00="loss") == 0


def test_a_teaser_pays_by_its_table(shop: Types) -> None:
    """Two teams at -110 each, 100.00 to win 86.96: both win 186.96, a tie of one gives the stake back."""
    legs = [shop.runners(1.909091)[0] for _ in range(2)]
    wager = shop.bet(10_000, *legs, type="teaser", points=6)
    assert wager["toWinMinor"] == 8_696
    assert shop.settled(wager, race_1_00="win", race_2_00="win") == 18_696
    assert shop.settled(wager, race_1_00="win", race_2_00="push") == 10_000
    assert shop.settled(wager, race_1_00="push", race_2_00="loss") == 0
    assert msgspec.json.decode(shop.one("SELECT terms FROM wagers")) == {
        "points": 6.0, "pays": {"2": "-115"}, "ties": "push",
    }  # fmt: skip
    half = [{"selectionId": legs[0], "result": "half_win"}, {"selectionId": legs[1], "result": "win"}]
    assert shop.refused("wager.settle", {"wagerId": wager["wagerId"], "results": half}).code.name == "wager_invalid"


def test_a_teaser_that_the_book_wrote_pays_what_it_says(shop: Types) -> None:
    """Without a pay table the amount decides; with a team less nobody knows, and it is refused."""
    legs = [shop.runners(1.909091)[0] for _ in range(3)]
    two = written(shop, 10_000, 8_696, *legs[:2], type="teaser")
    assert shop.settled({"wagerId": two}, race_1_00="win", race_2_00="win") == 18_696
    three = written(shop, 10_000, 16_000, *legs, type="teaser")
    tied = [{"selectionId": each, "result": result} for each, result in zip(legs, ("win", "win", "push"), strict=True)]
    assert shop.refused("wager.settle", {"wagerId": three, "results": tied}).code.name == "wager_invalid"


def test_an_if_bet(shop: Types) -> None:
    """The second bet is made out of what the first returned; the stake is all that can be lost."""
    legs = [shop.runners(2.0)[0], shop.runners(1.5)[0]]
    wager = shop.bet(10_000, *legs, type="if_bet")
    assert wager["toWinMinor"] == 15_000
    for first, second, returned in (
        ("win", "win", 25_000), ("win", "loss", 10_000), ("win", "push", 20_000), ("push", "win", 10_000),
    ):  # fmt: skip
        assert shop.settled(wager, race_1_00=first, race_2_00=second) == returned
    assert shop.settled(wager, race_1_00="loss") == 0
    goes_on = shop.bet(10_000, *legs, type="if_bet", ties="go")
    assert shop.settled(goes_on, race_1_00="push", race_2_00="win") == 15_000


def test_a_reverse(shop: Types) -> None:
    """Two if-bets, one in each order, of half the stake each."""
    legs = [shop.runners(2.0)[0] for _ in range(2)]
    wager = shop.bet(20_000, *legs, type="reverse")
    assert wager["toWinMinor"] == 40_000
    # First wins, second loses: +100 -100 in one order, -100 in the other.
    assert shop.settled(wager, race_1_00="win", race_2_00="loss") == 10_000
    assert shop.settled(wager, race_1_00="loss", race_2_00="loss") == 0


def test_each_way(shop: Types) -> None:
    """Half to win, half to be placed at a fifth of the odds; the place is settled by itself."""
    runners = shop.runners(*[6.0] * 8)
    market = {"marketId": "race-1", "places": 1}
    first, third, fourth = (
        shop.bet(10_000, runners[each], type="each_way", fraction="1/5", places=3) for each in (0, 2, 3)
    )
    assert first["toWinMinor"] == 30_000
    order = [[runners[0]], [runners[1]], [runners[2], runners[4]], [runners[3]]]
    result = shop.done("market.settle", {**market, "order": order})
    assert (result["settled"], result["open"], result["refused"]) == (3, 0, 0)
    returns = dict(shop.rows("SELECT wager_id, return_cents FROM settlements"))
    assert returns == {first["wagerId"]: 40_000, third["wagerId"]: 5_000, fourth["wagerId"]: 0}
    unknown = shop.bet(10_000, *shop.runners(6.0, 6.0)[:1], type="each_way", fraction="1/5", places=3)
    assert shop.done("market.settle", {"marketId": "race-2", "winners": ["race-2-01"]})["open"] == 1
    placed = {"selectionId": "race-2-00", "result": "loss", "place": "win"}
    assert shop.done("wager.settle", {"wagerId": unknown["wagerId"], "results": [placed]})["returnMinor"] == 10_000


def test_rule_4(shop: Types) -> None:
    """A runner is withdrawn: 25 % of the winnings are kept of wagers struck before, and none of later ones."""
    runners = shop.runners(5.0, 5.0, 5.0)
    before = shop.bet(10_000, runners[0])
    shop.now_ms += 1_000
    withdrawn_at = "2026-03-01T12:00:01.500Z"
    later = shop.bet(10_000, runners[0])
    deductions = [{"percent": 25, "struckBefore": withdrawn_at}]
    body = {"marketId": "race-1", "winners": runners[:1], "pushes": runners[2:], "deductions": deductions}
    shop.done("market.settle", body)
    returns = dict(shop.rows("SELECT wager_id, return_cents FROM settlements"))
    assert returns == {before["wagerId"]: 40_000, later["wagerId"]: 50_000}
    shop.done("market.settle", {**body, "deductions": []})
    assert shop.one("SELECT return_cents FROM settlements WHERE revision = 2") == 50_000
    given = {"wagerId": later["wagerId"], "results": [{"selectionId": runners[0], "result": "win", "rule4Percent": 10}]}
    assert shop.done("wager.settle", given)["returnMinor"] == 46_000


def test_a_dead_heat_of_some(shop: Types) -> None:
    """Ten places, 7 clear and 6 tied for the last three: 50.00 at 3.0 returns 150.00 or 75.00."""
    runners = shop.runners(*[3.0] * 20)
    clear, tied, last = (shop.bet(5_000, runners[each]) for each in (0, 12, 19))
    body = {"marketId": "race-1", "places": 10}
    assert shop.refused("market.settle", {**body, "winners": runners[:13]}).code.name == "command_invalid"
    shop.done("market.settle", {**body, "winners": runners[:7], "tied": runners[7:13]})
    returns = dict(shop.rows("SELECT wager_id, return_cents FROM settlements"))
    assert returns == {clear["wagerId"]: 15_000, tied["wagerId"]: 7_500, last["wagerId"]: 0}
    order = [[each] for each in runners[:7]] + [runners[7:13]]
    assert shop.done("market.settle", {**body, "order": order})["resettled"] == 0


def test_a_part_is_cashed_out(shop: Types) -> None:
    """40.00 of 100.00 are taken for 45.00; the other 60.00 go on, and the figures are those of the whole."""
    (selection,) = shop.runners(1.95)
    wager = shop.bet(10_000, selection)
    body = {"wagerId": wager["wagerId"], "riskMinor": 4_000, "returnMinor": 4_500}
    assert shop.refused("wager.cash_out", body | {"riskMinor": 10_001}).code.name == "limit_exceeded"
    assert shop.refused("wager.cash_out", body | {"returnMinor": 7_801}).code.name == "limit_exceeded"
    result = shop.done("wager.cash_out", body)
    assert (result["status"], result["riskMinor"], result["toWinMinor"]) == ("accepted", 6_000, 5_700)
    part = result["part"]
    assert (part["status"], part["riskMinor"], part["toWinMinor"], part["returnMinor"]) == (
        "cashed_out", 4_000, 3_800, 4_500,
    )  # fmt: skip
    assert shop.balance() == 500
    shop.done("market.settle", {"marketId": "race-1", "winners": [selection]})
    assert shop.balance() == 500 + 5_700


@pytest.mark.parametrize("line", [-2.5, 5.5])
def test_a_part_keeps_the_legs_of_the_whole(shop: Types, line: float) -> None:
    """Half of 100.00 at 1.869565 on a line is cashed out, and paid at these odds when it is opened again."""
    (selection,) = shop.runners(1.869565)
    shop.set("selections", selection, odds_american=-115)
    shop.set("markets", "race-1", line=line)
    body = {"wagerId": shop.bet(10_000, selection)["wagerId"], "riskMinor": 5_000, "returnMinor": 4_000}
    part = shop.done("wager.cash_out", body)["part"]
    legs = shop.rows("SELECT selection_id, odds_american, odds_decimal, line FROM wager_legs")
    assert legs == [(selection, -115, 1.869565, line)] * 2
    shop.done("wager.reopen", {"wagerId": part["wagerId"], "reason": "mistake"})
    assert shop.settled(part, race_1_00="win") == 9_348


def test_what_is_left_after_many_parts_is_paid(shop: Types) -> None:
    """100.00 at -110, of which 18.00, 6.00 and 9.00 are cashed out: the other 67.00 win 60.91, and pay it."""
    (selection,) = shop.runners(1.909091)
    shop.set("selections", selection, odds_american=-110)
    wager = shop.bet(10_000, selection)
    for risk in (1_800, 600, 900):
        result = shop.done("wager.cash_out", {"wagerId": wager["wagerId"], "riskMinor": risk, "returnMinor": risk})
    assert (result["riskMinor"], result["toWinMinor"]) == (6_700, 6_091)
    assert shop.settled(wager, race_1_00="win") == 12_791


def test_no_amount_is_more_than_a_fact_carries(shop: Types) -> None:
    """A stake, a win, a return and a balance beyond the bound are refused before anything is written."""
    legs = [shop.runners(1.9)[0] for _ in range(3)]
    shop.set("customers", shop.customer, credit_limit_cents=MINOR_MAX, max_wager_cents=0)
    wager = shop.bet(10_000, *legs)["wagerId"]
    body = {"wagerId": wager, "reason": "x"}

    def refused(name: str, body: dict[str, Any]) -> Any:
        error = shop.refused(name, body)
        assert (error.code.name, (error.details or {})["limitMinor"]) == ("limit_exceeded", MINOR_MAX)
        return (error.details or {})["amountMinor"]

    refused("wager.modify", body | {"riskMinor": MINOR_MAX})
    assert refused("wager.modify", body | {"riskMinor": MINOR_MAX, "toWinMinor": 1}) == MINOR_MAX + 1
    picks = [{"selectionId": each, "odds": 1.9} for each in legs]
    refused("wager.place", {"customerId": shop.code, "legs": picks, "riskMinor": MINOR_MAX - 20_000})
    adjust = {"customerId": shop.code, "kind": "bonus", "amountMinor": MINOR_MAX, "reason": "x"}
    shop.done("balance.adjust", adjust)
    assert refused("balance.adjust", adjust | {"amountMinor": 1}) == MINOR_MAX + 1
    win = [{"selectionId": each, "result": "win"} for each in legs]
    refused("wager.settle", {"wagerId": wager, "results": win})
    single = shop.bet(10_000, legs[0])["wagerId"]
    result = shop.done("market.settle", {"marketId": "race-1", "winners": legs[:1]})
    assert (result["settled"], result["open"]) == (0, 1)
    assert [(each["wagerId"], each["code"]) for each in result["refusals"]] == [(single, "limit_exceeded")]
    assert shop.one("SELECT count(*) FROM settlements WHERE wager_id = ?", single) == 0
    shop.done("balance.adjust", adjust | {"amountMinor": -MINOR_MAX})
    assert shop.done("wager.settle", {"wagerId": single})["returnMinor"] == 19_000


def test_what_nobody_knows_is_refused(shop: Types) -> None:
    """A type, legs or terms that make no sense are refused when they are placed; a type unknown is never paid."""
    legs = [shop.runners(2.0)[0] for _ in range(3)]

    def why(**more: Any) -> tuple[str, str]:
        with pytest.raises(RequestError) as caught:
            shop.bet(3_000, *legs, **more)
        return caught.value.code.name, caught.value.message

    assert why(type="progressive")[0] == "wager_type_unknown"
    for more in (
        {"type": "straight"}, {"type": "yankee"}, {"type": "round_robin"}, {"type": "round_robin", "by": [4]},
        {"type": "round_robin", "by": [2, 2]}, {"type": "parlay", "by": [2]}, {"type": "teaser", "points": 7},
        {"type": "each_way", "fraction": "1/5"}, {"type": "each_way", "fraction": "5/1", "places": 3},
        {"type": "each_way", "fraction": "x", "places": 3}, {"type": "if_bet", "ties": "maybe"},
    ):  # fmt: skip
        assert why(**more)[0] == "wager_invalid", more
    wager = written(shop, 10_000, 9_000, legs[0], type="progressive")
    win = {"wagerId": wager, "results": [{"selectionId": legs[0], "result": "win"}]}
    assert shop.refused("wager.settle", win).code.name == "wager_type_unknown"
    result = shop.done("market.settle", {"marketId": "race-1", "winners": legs[:1]})
    assert [each["code"] for each in result["refusals"]] == ["wager_type_unknown"]
    assert shop.done("wager.void", {"wagerId": wager, "reason": "unknown"})["status"] == "voided"
    broken = written(shop, 10_000, 10_000, legs[1], terms='{"by": "all"}')
    assert shop.refused("wager.settle", {**win, "wagerId": broken}).code.name == "wager_invalid"


def test_amounts_of_commands_are_in_the_books_currency(shop: Types) -> None:
    """What has an amount, or checks a limit, is refused for a customer or a wager in euros, with both currencies."""
    (selection,) = shop.runners(1.9)
    wager = shop.bet(10_000, selection)["wagerId"]
    held = written(shop, 10_000, 9_000, selection)
    shop.connection.execute("UPDATE wagers SET status = 'review' WHERE id = ?", (held,))
    who, reason = {"customerId": shop.code}, {"reason": "x"}
    place = who | {"legs": [{"selectionId": selection, "odds": 1.9}], "riskMinor": 1_000}
    of_wager: list[tuple[str, dict[str, Any]]] = [
        ("wager.cash_out", {"wagerId": wager, "returnMinor": 1_000}),
        ("wager.cash_out", {"wagerId": wager, "returnMinor": 1_000, "riskMinor": 2_000}),
        ("wager.modify", {"wagerId": wager, "riskMinor": 1_000} | reason),
        ("wager.accept", {"wagerId": held}),
    ]
    of_customer: list[tuple[str, dict[str, Any]]] = [
        ("wager.place", place),
        ("customer.limit", who | {"maxWagerMinor": 1_000}),
        ("payment.request", who | {"direction": "deposit", "method": "card", "amountMinor": 1_000}),
        ("balance.adjust", who | {"kind": "bonus", "amountMinor": 1_000} | reason),
    ]
    both = {"currency": "EUR", "book": "USD"}
    shop.connection.execute("UPDATE wagers SET currency = 'EUR'")
    for name, body in of_wager:
        error = shop.refused(name, body)
        assert (error.code.name, error.details) == ("currency_mismatch", both), name
    shop.set("customers", shop.customer, currency="EUR")
    for name, body in of_wager + of_customer:
        error = shop.refused(name, body)
        assert (error.code.name, error.details) == ("currency_mismatch", both), name
    shop.connection.execute("UPDATE wagers SET currency = 'USD'")
    shop.set("customers", shop.customer, currency="USD")  # said, and the book's
    for name, body in of_wager[1:] + of_customer:
        shop.done(name, body)


def test_what_is_at_risk_in_two_currencies_is_not_added_up(shop: Types) -> None:
    """With an open wager in yen, neither the credit nor what an account in dollars can be paid is known."""
    (selection,) = shop.runners(1.9)
    shop.set("wagers", shop.bet(10_000, selection)["wagerId"], currency="JPY")
    place = {"customerId": shop.code, "legs": [{"selectionId": selection, "odds": 1.9}], "riskMinor": 1_000}
    pay = {"customerId": shop.code, "direction": "withdrawal", "method": "card", "amountMinor": 1}
    for name, body in (("wager.place", place), ("payment.request", pay)):
        assert shop.refused(name, body).details == {"currency": "JPY", "book": "USD"}


def test_a_wager_in_its_accounts_own_currency_is_settled_in_it(shop: Types) -> None:
    """In euros on an account in euros it is paid, opened again and voided; on an account in dollars nothing moves."""
    (selection,) = shop.runners(1.9)
    wagers = [shop.bet(10_000, selection)["wagerId"] for _ in range(2)]
    deposit = {"customerId": shop.code, "direction": "deposit", "method": "card", "amountMinor": 1_000}
    payment = {"paymentId": shop.done("payment.request", deposit)["paymentId"]}
    shop.set("wagers", wagers[0], currency="EUR")
    shop.set("payments", payment["paymentId"], currency="EUR")
    both = {"currency": "EUR", "book": "USD"}
    win = {"wagerId": wagers[0], "results": [{"selectionId": selection, "result": "win"}]}
    assert shop.refused("wager.settle", win).details == both
    assert shop.refused("payment.complete", payment).details == both
    result = shop.done("market.settle", {"marketId": "race-1", "winners": [selection]})
    assert (result["settled"], result["refused"], result["refusals"][0]["code"]) == (1, 1, "currency_mismatch")
    shop.set("customers", shop.customer, currency="EUR")
    named = {"wagerId": wagers[1], "reason": "x"}
    for name in ("wager.reopen", "wager.void"):
        assert shop.refused(name, named).details == {"currency": "USD", "account": "EUR"}
    before = shop.balance()
    shop.told()
    assert shop.done("wager.settle", win)["returnMinor"] == 19_000
    ((kind, told),) = shop.heard()
    assert (kind, told["currency"], told["returnMinor"]) == ("wager.settled", "EUR", 19_000)
    assert shop.balance() - before == 9_000
    assert shop.one("SELECT currency FROM ledger_entries ORDER BY id DESC LIMIT 1") == "EUR"
    shop.done("wager.reopen", {"wagerId": wagers[0], "reason": "x"})
    shop.done("wager.void", {"wagerId": wagers[0], "reason": "x"})
    assert shop.done("payment.complete", payment)["status"] == "completed"
    assert shop.balance() - before == 1_000


def test_a_share_is_what_is_written(shop: Types) -> None:
    """A two-thousandth of 100,000.00 at 2.0 returns 100.00, a third 66,666.67; what is no share is no command."""
    (selection,) = shop.runners(2.0)
    wager = shop.bet(10_000_000, selection)["wagerId"]

    def result(**more: Any) -> dict[str, Any]:
        return {"wagerId": wager, "results": [{"selectionId": selection, "result": "win"} | more]}

    for share, returned in ((0.0005, 10_000), (0.123457, 2_469_140), (1 / 3, 6_666_667), (0.5, 10_000_000)):
        assert shop.done("wager.settle", result(deadHeat=share))["returnMinor"] == returned
    shop.set("selections", selection, result=1, void_factor=0.0, dead_heat=0.0005)
    assert shop.done("wager.settle", {"wagerId": wager})["returnMinor"] == 10_000
    for share in (0, -0.5, 1.01):
        assert shop.refused("wager.settle", result(deadHeat=share)).code.name == "command_invalid"
    assert shop.done("wager.settle", result(rule4Percent=90))["returnMinor"] == 11_000_000
    deductions = [{"percent": 90.5}]
    for name, body in (
        ("wager.settle", result(rule4Percent=90.5)),
        ("market.settle", {"marketId": "race-1", "winners": [selection], "deductions": deductions}),
    ):
        assert shop.refused(name, body).code.name == "command_invalid"


def test_a_place_that_nobody_has_told_is_asked_for(shop: Types) -> None:
    """Each way, a runner that has lost may have been placed: the refusal says that `place` is missing."""
    (selection,) = shop.runners(6.0)
    wager = shop.bet(2_000, selection, type="each_way", fraction="1/5", places=3)["wagerId"]
    lost = {"selectionId": selection, "result": "loss"}
    error = shop.refused("wager.settle", {"wagerId": wager, "results": [lost]})
    assert (
        error.code.name == "transition_illegal" and f"{selection} was placed: its `place` is missing" in error.message
    )
    body = {"wagerId": wager, "results": [lost | {"place": "win"}]}
    assert shop.done("wager.settle", body)["returnMinor"] == 2_000


# What the figures say.


@pytest.mark.parametrize(
    ("type", "legs", "more"),
    [
        ("straight", 1, {}),
        ("parlay", 2, {}),
        ("round_robin", 3, {"by": [2]}),
        ("trixie", 3, {}),
        ("yankee", 4, {}),
        ("teaser", 2, {"points": 6}),
        ("if_bet", 2, {}),
        ("reverse", 2, {}),
        ("each_way", 1, {"fraction": "1/5", "places": 3}),
    ],
)
def test_every_figure_follows_a_wager_of_each_type(shop: Types, type: str, legs: int, more: dict[str, Any]) -> None:
    """Placed, cashed out in part, won, lost, void and opened again: balance and revenue are those of the book."""
    folding = Folding(domain.flows)
    for code, name, path, level, status in shop.rows(
        "SELECT code, name, path, level, status FROM agents ORDER BY level"
    ):
        folding.tell("agent.created", {"agentId": code, "name": name, "path": path, "level": level, "status": status})
    told = {"customerId": shop.code, "agentId": "A", "path": shop.tree, "name": "One", "status": "active"}
    folding.tell("customer.created", told)
    picks = [shop.runners(2.5, 1.5)[0] for _ in range(legs)]
    wager = shop.bet(24_000, *picks, type=type, **more)
    body = {"wagerId": wager["wagerId"]}
    markets = [f"race-{number}" for number in range(1, legs + 1)]

    def agrees() -> None:
        shop.now_ms += 10_000
        folding.group(shop.told())
        folding.clock(shop.now_ms)
        assert not folding.refused
        balance = folding.documents["balances", f"{shop.tree}/@{shop.code}", ""]["balance"]
        assert balance == shop.balance() / 100
        revenue = folding.documents["kpi", "/", ""]["revenue"]
        assert revenue == writer.gross_revenue_minor(shop.connection) / 100

    agrees()
    said = folding.documents["exposure", "/", ""]
    assert said["grossPotentialPayout"] == (24_000 + wager["toWinMinor"]) / 100
    shop.done("wager.cash_out", body | {"riskMinor": 6_000, "returnMinor": 5_000})
    agrees()
    order = [[picks[0]], ["race-1-01"]] if type == "each_way" else None
    for won in range(legs):
        result = {"order": order} if order else {"winners": [picks[won]]}
        shop.done("market.settle", {"marketId": markets[won], **result})
    agrees()
    whole = 18_000 + shop.one("SELECT to_win_cents FROM wagers WHERE id = ?", wager["wagerId"])
    returned = "SELECT return_cents FROM settlements WHERE wager_id = ? ORDER BY revision DESC LIMIT 1"
    assert shop.one(returned, wager["wagerId"]) == whole
    shop.done("market.settle", {"marketId": markets[0], "void": True})
    agrees()
    shop.done("market.settle", {"marketId": markets[0], "order": [["race-1-01"], [], [picks[0]]][::2]})
    agrees()
    shop.done("wager.reopen", body | {"reason": "x"})
    agrees()
    shop.done("wager.void", body | {"reason": "x"})
    agrees()
    assert folding.documents["kpi", "/", ""]["pending"] == 0

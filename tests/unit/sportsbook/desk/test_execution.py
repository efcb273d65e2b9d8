"""The desk on a real demo book: what each command does, what it refuses and leaves alone, and that it acts once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from fire22.core.errors import BookError, RequestError
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.book import writer
from fire22.sportsbook.desk.execution import is_demo
from fire22.sportsbook.desk.settings import DeskSettings
from fire22.sportsbook.registry.flow import Registry
from tests.support.folding import Folding
from tests.support.shop import ADMIN, Alert, Shop, Who


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop that rejects what is over a limit."""
    shop = Shop(tmp_path / "book.db")
    yield shop
    shop.desk.close()


# Placing.


def test_a_wager_is_placed_and_told_by_the_book(shop: Shop) -> None:
    """The wager is in the book as it was asked for, and its event comes from the book's own triggers."""
    result = shop.done("wager.place", shop.wager(11_000, channel="phone", ip="192.0.2.1"))
    assert {**result, "wagerId": "w", "wagerNumber": 1} == {
        "wagerId": "w", "wagerNumber": 1, "status": "accepted", "version": 1, "riskMinor": 11_000, "toWinMinor": 10_000,
    }  # fmt: skip
    ((kind, told),) = shop.heard()
    assert (kind, told["wagerId"], told["customerId"], told["path"]) == (
        "wager.placed",
        result["wagerId"],
        shop.code,
        shop.tree,
    )
    assert (told["riskMinor"], told["toWinMinor"], told["channel"], told["type"]) == (
        11_000,
        10_000,
        "phone",
        "straight",
    )
    assert told["legs"] == [{"marketId": shop.markets[0], "selectionId": shop.selections[0][0], "odds": 1.909091}]
    ((actor, action, entity, after),) = shop.rows("SELECT actor_id, action, entity, after FROM audit_log")
    assert (actor, action, entity) == ("staff:boss", "wager.place", f"wager:{result['wagerId']}")
    assert msgspec.json.decode(after) == result


def test_a_parlay_wins_by_all_its_odds(shop: Shop) -> None:
    """What a parlay wins is exact: 100.00 at 21/11 times 5/2."""
    result = shop.done("wager.place", shop.wager(10_000, (0, 0), (1, 1)))
    assert result["toWinMinor"] == 37_727
    assert shop.one("SELECT type FROM wagers") == "parlay"


def test_the_odds_must_be_those_that_were_shown(shop: Shop) -> None:
    """A price that moved is refused with the one of now; within the tolerance the wager is struck at that of now."""
    shop.set("selections", shop.selections[0][0], odds_american=-115, odds_decimal=1.869565)
    error = shop.refused("wager.place", shop.wager())
    assert (error.code.name, error.details) == (
        "price_changed", {"selectionId": shop.selections[0][0], "odds": 1.869565},
    )  # fmt: skip
    assert shop.refused("wager.place", shop.wager(priceTolerance=0.02)).code.name == "price_changed"
    assert shop.done("wager.place", shop.wager(11_500, priceTolerance=0.03))["toWinMinor"] == 10_000


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("markets", {"status": "suspended"}),
        ("markets", {"closes_at": "2026-03-01T12:00:00.000Z"}),
        ("events", {"status": "finished"}),
    ],
)
def test_a_market_that_takes_no_wagers(shop: Shop, table: str, change: dict[str, str]) -> None:
    """Nobody bets on what is suspended, past its close, or over."""
    id = (
        shop.markets[0]
        if table == "markets"
        else shop.one("SELECT event_id FROM markets WHERE id = ?", shop.markets[0])
    )
    shop.set(table, id, **change)
    assert shop.refused("wager.place", shop.wager()).code.name == "market_closed"


def test_who_may_not_bet(shop: Shop) -> None:
    """A suspended customer, one below a closed agent, and one that is not there."""
    assert shop.refused("wager.place", shop.wager() | {"customerId": "nobody"}).code.name == "customer_unknown"
    shop.connection.execute(
        "UPDATE agents SET status = 'closed' WHERE path = ?", (shop.tree[: shop.tree.index("/", 1)],)
    )
    assert shop.refused("wager.place", shop.wager()).code.name == "customer_inactive"
    shop.connection.execute("UPDATE agents SET status = 'active'")
    shop.set("customers", shop.customer, status="suspended")
    assert shop.refused("wager.place", shop.wager()).code.name == "customer_inactive"


def test_the_credit_must_cover_the_stakes(shop: Shop) -> None:
    """Credit limit and balance less what is at risk: the wager that would go beyond is refused with the figures."""
    shop.placed(50_000)
    shop.placed(40_000)
    error = shop.refused("wager.place", shop.wager(10_001))
    assert (error.code.name, error.details) == ("credit_exceeded", {"availableMinor": 10_000, "riskMinor": 10_001})
    shop.placed(10_000)


def test_an_agents_credit_covers_its_whole_tree(shop: Shop) -> None:
    """What all customers below draw beyond their balances stays within it; nobody's winnings cover another's stakes."""
    other, code = shop.rows(
        "SELECT c.id, c.code FROM customers c JOIN agents a ON a.id = c.agent_id WHERE a.path LIKE ? AND c.id <> ?"
        " ORDER BY c.code LIMIT 1", f"{shop.top}/%", shop.customer,
    )[0]  # fmt: skip
    shop.set(
        "customers", other, credit_limit_cents=100_000, max_wager_cents=50_000, bet_factor=1.0, balance_cents=5_000
    )
    shop.connection.execute("UPDATE agents SET credit_limit_cents = 30000 WHERE path = ?", (shop.top,))
    shop.done("wager.place", shop.wager(25_000) | {"customerId": code})  # 5,000 of it is the customer's own
    error = shop.refused("wager.place", shop.wager(10_001))
    whose = {"whose": f"agent {shop.top[1:]}", "riskMinor": 10_001}
    assert (error.code.name, error.details) == ("credit_exceeded", whose | {"availableMinor": 10_000})
    below = Who("p", "customer", f"{shop.tree}/@{shop.code}")
    told = shop.refused("wager.place", shop.wager(10_001), below)
    assert (told.code.name, told.message) == ("stake_refused", "This stake cannot be taken now.")  # not whose credit
    shop.placed(10_000)
    shop.set("customers", shop.customer, balance_cents=15_000)
    shop.placed(5_000)  # own money needs no credit
    assert shop.refused("wager.place", shop.wager(20_001)).code.name == "credit_exceeded"


def test_an_agents_credit_is_counted_in_one_currency(shop: Shop) -> None:
    """Yen that somebody below has drawn are not added to dollars: what needs the agent's credit is refused."""
    (other,) = shop.rows(
        "SELECT c.id FROM customers c JOIN agents a ON a.id = c.agent_id WHERE a.path LIKE ? AND c.id <> ?"
        " ORDER BY c.code LIMIT 1", f"{shop.top}/%", shop.customer,
    )[0]  # fmt: skip
    shop.connection.execute("UPDATE agents SET credit_limit_cents = 30000 WHERE path = ?", (shop.top,))
    shop.set("customers", other, balance_cents=-100, currency="JPY")
    error = shop.refused("wager.place", shop.wager(10_000))
    assert (error.code.name, error.details) == ("currency_mismatch", {"whose": f"agent {shop.top[1:]}"})
    shop.set("customers", other, balance_cents=100)  # draws nothing
    shop.placed(10_000)
    shop.set("customers", other, balance_cents=-100, currency="USD")
    assert shop.refused("wager.place", shop.wager(19_901)).code.name == "credit_exceeded"
    shop.placed(19_900)


def test_an_agents_credit_is_not_drawn_in_one_currency_by_a_balance_in_another(shop: Shop) -> None:
    """Somebody below with 100.00 dollars who risks 99.00 pounds: nobody knows what that draws of the agent's credit."""
    (other,) = shop.rows(
        "SELECT c.id FROM customers c JOIN agents a ON a.id = c.agent_id WHERE a.path LIKE ? AND c.id <> ?"
        " ORDER BY c.code LIMIT 1", f"{shop.top}/%", shop.customer,
    )[0]  # fmt: skip
    code = str(shop.one("SELECT code FROM customers WHERE id = ?", other))
    shop.set("customers", other, balance_cents=10_000, max_wager_cents=50_000, bet_factor=1.0)
    wager = shop.done("wager.place", shop.wager(9_900) | {"customerId": code})["wagerId"]
    shop.connection.execute("UPDATE agents SET credit_limit_cents = 30000 WHERE path = ?", (shop.top,))
    whose = {"whose": f"agent {shop.top[1:]}"}
    shop.set("wagers", wager, currency="GBP")
    error = shop.refused("wager.place", shop.wager(10_000))
    assert (error.code.name, error.details) == ("currency_mismatch", whose)
    shop.set("wagers", wager, currency="USD")
    shop.set("customers", other, currency="JPY")
    assert shop.refused("wager.place", shop.wager(10_000)).details == whose
    shop.set("wagers", wager, currency="JPY")  # its own, and covered
    shop.placed(10_000)


def test_numbers_beyond_all_bounds_stop_nobody_else(shop: Shop) -> None:
    """An infinite bet factor, price or share is refused with a sentence, and an absurd stake overflows no sum."""
    shop.set("customers", shop.customer, bet_factor=float("inf"))
    assert shop.refused("wager.place", shop.wager()).code.name == "event_invalid"
    shop.set("customers", shop.customer, bet_factor=1.0)
    shop.set("selections", shop.selections[0][0], odds_decimal=float("inf"))
    assert shop.refused("wager.place", shop.wager()).code.name == "event_invalid"
    shop.set("selections", shop.selections[0][0], odds_decimal=1.909091)
    shop.connection.execute("UPDATE agents SET credit_limit_cents = 30000 WHERE path = ?", (shop.top,))
    for wager in [shop.placed(100), shop.placed(100)]:
        shop.set("wagers", wager, risk_cents=2**63 - 1)
    assert shop.refused("wager.place", shop.wager()).code.name == "credit_exceeded"


def test_an_infinite_share_of_a_dead_heat_refuses_its_own_wagers(shop: Shop) -> None:
    """As does none at all for a winner; that of a loser is nothing to anybody."""
    wager = shop.placed(10_000)
    selection = shop.selections[0][0]
    shop.set("selections", selection, result=1, dead_heat=float("inf"))
    body = {"wagerId": wager}
    assert shop.refused("wager.settle", body).code.name == "event_invalid"
    shop.set("selections", selection, dead_heat=0.0)
    assert shop.refused("wager.settle", body).code.name == "event_invalid"
    shop.set("selections", selection, result=0)
    assert shop.done("wager.settle", body)["returnMinor"] == 0


def test_a_held_wager_needs_credit_when_it_is_accepted(tmp_path: Path) -> None:
    """The customer's, and that of the agents above."""
    shop = Shop(tmp_path / "book.db", DeskSettings("review", 2_000))
    held = {"wagerId": shop.done("wager.place", shop.wager(3_000))["wagerId"]}
    shop.connection.execute("UPDATE agents SET credit_limit_cents = 2999 WHERE path = ?", (shop.tree,))
    assert shop.refused("wager.accept", held).code.name == "credit_exceeded"
    shop.connection.execute("UPDATE agents SET credit_limit_cents = 3000 WHERE path = ?", (shop.tree,))
    assert shop.done("wager.accept", held)["status"] == "accepted"
    shop.desk.close()


def test_a_free_play_is_the_houses_to_give(shop: Shop) -> None:
    """Its stake needs no credit, is within the limits, and returns only the profit; nobody else gives one."""
    shop.set("customers", shop.customer, credit_limit_cents=0)
    shop.told()
    body = shop.wager(11_000, freePlay=True)
    for who in (Who(shop.code, "customer", f"{shop.tree}/@{shop.code}"), Who("a", "agent", shop.tree, ("place",))):
        assert shop.refused("wager.place", body, who).code.name == "forbidden"
    assert shop.refused("wager.place", shop.wager(50_001, freePlay=True)).code.name == "limit_exceeded"
    wager = shop.done("wager.place", body)["wagerId"]
    ((kind, told),) = shop.heard()
    assert (kind, told["freePlay"]) == ("wager.placed", True)
    win = [{"selectionId": shop.selections[0][0], "result": "win"}]
    assert shop.done("wager.settle", {"wagerId": wager, "results": win})["returnMinor"] == 10_000
    assert shop.balance() == 10_000


def test_the_lowest_limit_holds(shop: Shop) -> None:
    """The player's limit times the bet factor, then an agent's far above, then the platform's."""
    shop.set("customers", shop.customer, bet_factor=0.5)
    error = shop.refused("wager.place", shop.wager(25_001))
    assert (error.code.name, error.details) == (
        "limit_exceeded", {"limitMinor": 25_000, "amountMinor": 25_001, "whose": f"customer {shop.code}"},
    )  # fmt: skip
    shop.connection.execute("UPDATE agents SET max_wager_cents = 9000 WHERE path = ?", (shop.top,))
    shop.connection.execute("UPDATE agents SET max_wager_cents = 9500 WHERE path = ?", (shop.tree,))
    assert (shop.refused("wager.place", shop.wager(9001)).details or {})["whose"] == f"agent {shop.top[1:]}"
    shop.placed(9000)


def test_the_platform_limits_every_wager(tmp_path: Path) -> None:
    """What any wager may risk and win."""
    shop = Shop(tmp_path / "book.db", DeskSettings("reject", 2_000, 2_500))
    assert (shop.refused("wager.place", shop.wager(2_001)).details or {})["whose"] == "platform"
    assert shop.refused("wager.place", shop.wager(2_000, (0, 1))).details == {
        "limitMinor": 2_500, "amountMinor": 3_000, "whose": "platform",
    }  # fmt: skip
    shop.placed(2_000)
    shop.desk.close()


def test_what_is_over_a_limit_can_be_held_for_review(tmp_path: Path) -> None:
    """Where the house reviews, such a wager waits; it is nobody's risk until somebody accepts it."""
    shop = Shop(tmp_path / "book.db", DeskSettings("review", 2_000))
    held = shop.done("wager.place", shop.wager(3_000))
    other = shop.done("wager.place", shop.wager(4_000))
    assert held["status"] == "review" and "2000" in held["reason"]
    assert [kind for kind, _ in shop.heard()] == ["wager.requested", "wager.requested"]
    assert shop.done("wager.accept", {"wagerId": held["wagerId"]})["status"] == "accepted"
    assert shop.done("wager.reject", {"wagerId": other["wagerId"], "reason": "too much"})["status"] == "rejected"
    told = shop.heard()
    assert [kind for kind, _ in told] == ["wager.placed", "wager.rejected"]
    assert told[1][1]["reason"] == "too much"
    assert shop.refused("wager.accept", {"wagerId": other["wagerId"]}).code.name == "transition_illegal"
    assert shop.refused("wager.accept", {"wagerId": held["wagerId"]}).code.name == "transition_illegal"
    late = shop.done("wager.place", shop.wager(5_000))
    shop.set("markets", shop.markets[0], status="closed")
    assert shop.refused("wager.accept", {"wagerId": late["wagerId"]}).code.name == "market_closed"
    shop.desk.close()


# Settling.


def test_a_wager_is_settled_exactly_and_again_by_the_difference(shop: Shop) -> None:
    """A win returns stake and profit to the cent; the same again is nothing; a correction posts its delta."""
    wager = shop.placed()
    win = [{"selectionId": shop.selections[0][0], "result": "win"}]
    result = shop.done("wager.settle", {"wagerId": wager, "results": win})
    assert (result["status"], result["result"], result["returnMinor"], result["revision"]) == (
        "settled",
        "win",
        21_000,
        1,
    )
    assert shop.balance() == 10_000
    shop.heard()
    again = shop.done("wager.settle", {"wagerId": wager, "results": win})
    assert again["revision"] == 1 and shop.heard() == []
    half = [{"selectionId": shop.selections[0][0], "result": "half_win"}]
    assert shop.done("wager.settle", {"wagerId": wager, "results": half})["returnMinor"] == 16_000
    ((kind, told),) = shop.heard()
    assert (kind, told["previousReturnMinor"], told["returnMinor"]) == ("wager.resettled", 21_000, 16_000)
    assert shop.balance() == 5_000
    tied = [{"selectionId": shop.selections[0][0], "result": "win", "deadHeat": 0.5}]
    assert shop.done("wager.settle", {"wagerId": wager, "results": tied})["returnMinor"] == 10_500


def test_what_cannot_be_settled(shop: Shop) -> None:
    """A wager without a result, one that is over otherwise, one that is not there, a leg that is not its own."""
    wager = shop.placed()
    assert shop.refused("wager.settle", {"wagerId": wager}).code.name == "transition_illegal"
    strange = [{"selectionId": "x", "result": "win"}]
    assert shop.refused("wager.settle", {"wagerId": wager, "results": strange}).code.name == "command_invalid"
    tied = [{"selectionId": shop.selections[0][0], "result": "loss", "deadHeat": 0.5}]
    assert shop.refused("wager.settle", {"wagerId": wager, "results": tied}).code.name == "command_invalid"
    assert shop.refused("wager.settle", {"wagerId": "w"}).code.name == "wager_unknown"
    shop.done("wager.cancel", {"wagerId": wager, "reason": "asked"})
    error = shop.refused("wager.settle", {"wagerId": wager, "results": []})
    assert (error.code.name, error.details) == ("transition_illegal", {"before": "cancelled", "after": "settled"})


def test_a_wager_is_cashed_out(shop: Shop) -> None:
    """An offer that was taken ends an open wager, between nothing and all that it could return."""
    wager = shop.placed()
    offer = {"wagerId": wager, "returnMinor": 12_500, "version": 1}
    error = shop.refused("wager.cash_out", offer | {"returnMinor": 21_001})
    assert (error.code.name, error.details) == ("limit_exceeded", {"limitMinor": 21_000, "amountMinor": 21_001})
    assert shop.refused("wager.cash_out", offer | {"returnMinor": -1}).code.name == "command_invalid"
    assert shop.refused("wager.cash_out", offer | {"version": 2}).code.name == "fact_conflict"
    assert shop.refused("wager.cash_out", offer, Who("a", "agent", "/")).code.name == "forbidden"
    result = shop.done("wager.cash_out", offer)
    assert (result["status"], result["result"], result["returnMinor"]) == ("cashed_out", "cashed_out", 12_500)
    assert shop.balance() == 1_500
    assert [(kind, data.get("result")) for kind, data in shop.heard()][1:] == [("wager.settled", "cashed_out")]
    assert shop.rows("SELECT entity, after ->> '$.returnMinor' FROM audit_log ORDER BY id DESC LIMIT 1") == [
        (f"wager:{wager}", 12_500)
    ]
    for name, body in (("wager.cash_out", offer), ("wager.settle", {"wagerId": wager})):
        assert shop.refused(name, body).code.name == "transition_illegal"
    assert shop.done("market.settle", {"marketId": shop.markets[0], "winners": [shop.selections[0][0]]})["settled"] == 0
    assert shop.done("wager.reopen", {"wagerId": wager, "reason": "x"})["status"] == "accepted"
    assert shop.balance() == 0


def test_a_free_play_is_cashed_out_of_its_profit_alone(shop: Shop) -> None:
    """Its stake was never the customer's."""
    wager = shop.done("wager.place", shop.wager(11_000, freePlay=True))["wagerId"]
    assert (shop.refused("wager.cash_out", {"wagerId": wager, "returnMinor": 10_001}).details or {})[
        "limitMinor"
    ] == 10_000
    shop.done("wager.cash_out", {"wagerId": wager, "returnMinor": 4_000})
    assert shop.balance() == 4_000


def test_ends_and_their_roll_back(shop: Shop) -> None:
    """Cancel an open wager, void a settled one, open each again; only an administrator rolls back."""
    wager = shop.placed()
    assert shop.done("wager.cancel", {"wagerId": wager, "reason": "asked"})["status"] == "cancelled"
    assert shop.refused("wager.cancel", {"wagerId": wager, "reason": "asked"}).code.name == "transition_illegal"
    risk = Who("r", "risk")
    assert shop.refused("wager.reopen", {"wagerId": wager, "reason": "oops"}, risk).code.name == "forbidden"
    assert shop.done("wager.reopen", {"wagerId": wager, "reason": "oops"})["status"] == "accepted"
    assert shop.refused("wager.reopen", {"wagerId": wager, "reason": "oops"}).code.name == "transition_illegal"
    shop.done("wager.settle", {"wagerId": wager, "results": [{"selectionId": shop.selections[0][0], "result": "win"}]})
    assert shop.refused("wager.cancel", {"wagerId": wager, "reason": "late"}).code.name == "transition_illegal"
    assert shop.done("wager.void", {"wagerId": wager, "reason": "wrong price"}, risk)["status"] == "voided"
    assert shop.balance() == 0
    kinds = [kind for kind, _ in shop.heard()]
    assert kinds == ["wager.placed", "wager.cancelled", "wager.reopened", "wager.settled", "wager.cancelled"]


def test_an_open_wager_is_changed(shop: Shop) -> None:
    """A new stake wins by the same odds unless told otherwise; only the version that was seen is changed."""
    wager = shop.placed()
    body = {"wagerId": wager, "riskMinor": 22_000, "reason": "asked", "version": 1}
    assert shop.done("wager.modify", body)["toWinMinor"] == 20_000
    error = shop.refused("wager.modify", body)
    assert (error.code.name, error.details) == ("fact_conflict", {"version": 2})
    assert shop.done("wager.modify", body | {"version": 2, "toWinMinor": 7})["toWinMinor"] == 7
    told = [(kind, data.get("before")) for kind, data in shop.heard()]
    stake = {"riskMinor": 11_000, "toWinMinor": 10_000, "type": "straight", "freePlay": False}
    assert told[1] == ("wager.modified", stake)


def test_a_change_of_a_wager_has_the_limits_of_a_new_one(tmp_path: Path) -> None:
    """No modification gets a customer above the house's, the customer's or the credit's limit; less is always taken."""
    shop = Shop(tmp_path / "book.db", DeskSettings("review", 60_000, 50_000))
    wager = shop.placed()
    body = {"wagerId": wager, "riskMinor": 11_000, "reason": "asked"}

    def refused(**more: int) -> tuple[str, Any]:
        error = shop.refused("wager.modify", body | more)
        return error.code.name, error.details

    assert refused(riskMinor=10**12)[0] == "limit_exceeded"
    over = {"limitMinor": 50_000, "amountMinor": 50_001}
    whose = f"customer {shop.code}"
    assert refused(riskMinor=50_001, toWinMinor=1) == ("limit_exceeded", over | {"whose": whose})
    assert refused(toWinMinor=50_001) == ("limit_exceeded", over | {"whose": "platform"})
    shop.set("customers", shop.customer, credit_limit_cents=20_000)
    assert refused(riskMinor=20_001) == ("credit_exceeded", {"availableMinor": 9_000, "riskMinor": 9_001})
    shop.done("wager.modify", body | {"riskMinor": 20_000, "toWinMinor": 50_000})
    shop.set("customers", shop.customer, credit_limit_cents=0, max_wager_cents=1_000)
    shop.done("wager.modify", body | {"riskMinor": 19_000, "toWinMinor": 49_000})
    shop.desk.close()


def test_a_market_settles_all_that_it_decides(shop: Shop) -> None:
    """One command grades a market; what it decides is settled in one transaction under one batch id."""
    won, lost = shop.placed(11_000), shop.placed(5_000, (0, 1))
    parlay, dead = shop.placed(2_000, (0, 0), (1, 0)), shop.placed(3_000, (0, 1), (1, 0))
    shop.heard()
    market = shop.markets[0]
    result = shop.done("market.settle", {"marketId": market, "winners": [shop.selections[0][0]]})
    assert (result["status"], result["settled"], result["resettled"], result["open"]) == ("resulted", 3, 0, 1)
    assert result["returnMinor"] == 21_000
    rows = dict(shop.rows("SELECT wager_id, batch_id FROM settlements"))
    assert rows == dict.fromkeys((won, lost, dead), result["batchId"])
    kinds = [kind for kind, _ in shop.heard()]
    assert kinds == ["market.resulted", "market.status_changed"] + ["wager.settled"] * 3
    assert shop.balance() == 10_000 - 5_000 - 3_000
    other = shop.done("market.settle", {"marketId": shop.markets[1], "void": True})
    assert (other["status"], other["settled"], other["resettled"], other["open"]) == ("voided", 1, 0, 0)
    assert shop.one("SELECT return_cents FROM settlements WHERE wager_id = ?", parlay) == 3_818
    assert shop.refused("market.status", {"marketId": market, "status": "open"}).code.name == "transition_illegal"


def test_a_corrected_result_settles_again(shop: Shop) -> None:
    """A market that was graded wrong is graded again: what changes moves by the difference, the rest stays."""
    first, second = shop.placed(11_000), shop.placed(4_000, (0, 1))
    shop.done("market.settle", {"marketId": shop.markets[0], "winners": [shop.selections[0][0]]})
    shop.heard()
    tied = {"marketId": shop.markets[0], "winners": shop.selections[0][:2]}
    result = shop.done("market.settle", tied)
    assert (result["settled"], result["resettled"]) == (0, 2)
    returns = dict(shop.rows("SELECT wager_id, return_cents FROM settlements WHERE revision = 2"))
    assert returns == {first: 10_500, second: 5_000}
    assert shop.done("market.settle", tied)["resettled"] == 0
    assert shop.balance() == -500 + 1_000


def test_what_is_no_result_of_a_market(shop: Shop) -> None:
    """A selection of another market, one named twice, void and winners at once, or nothing at all."""
    market, pick = shop.markets[0], shop.selections[0][0]
    for body in (
        {"winners": [shop.selections[1][0]]},
        {"winners": [pick], "pushes": [pick]},
        {"winners": [pick], "void": True},
        {},
    ):
        assert shop.refused("market.settle", {"marketId": market} | body).code.name == "command_invalid"
    assert shop.refused("market.settle", {"marketId": "m", "void": True}).code.name == "market_unknown"
    assert shop.done("market.status", {"marketId": market, "status": "suspended"}) == {
        "marketId": market,
        "status": "suspended",
    }


# Money.


def test_a_limit_is_changed_and_what_is_not_given_stays(shop: Shop) -> None:
    """A risk manager changes one limit; the event tells both."""
    result = shop.done("customer.limit", {"customerId": shop.code, "maxWagerMinor": 7_000}, Who("r", "risk"))
    assert result == {"customerId": shop.code, "creditLimitMinor": 100_000, "maxWagerMinor": 7_000}
    ((kind, told),) = shop.heard()
    assert (kind, told["after"]) == ("customer.limit_changed", {"creditLimitMinor": 100_000, "maxWagerMinor": 7_000})


def test_an_agent_gives_no_more_than_it_has(shop: Shop) -> None:
    """Who manages a sub-tree stays within the own limits, and within the own tree."""
    top = shop.top
    shop.connection.execute(
        "UPDATE agents SET credit_limit_cents = 150000, max_wager_cents = 8000 WHERE path = ?", (top,)
    )
    master = Who("m", "master", top)
    body = {"customerId": shop.code, "creditLimitMinor": 150_000, "maxWagerMinor": 8_000}
    shop.done("customer.limit", body, master)
    for above in ({"creditLimitMinor": 150_001}, {"maxWagerMinor": 8_001}, {"maxWagerMinor": 0}):
        assert shop.refused("customer.limit", body | above, master).code.name == "limit_exceeded"
    elsewhere = Who("m", "master", "/M2" if top != "/M2" else "/M3")
    assert shop.refused("customer.limit", body, elsewhere).code.name == "customer_unknown"
    agent = Who("a", "agent", shop.tree)
    assert shop.refused("customer.limit", body, agent).code.name == "forbidden"


def test_a_scope_of_a_customer_is_within_its_agents_limits(shop: Shop) -> None:
    """Whose limits are those of the own agent has those of the customer's agent there, and none without an agent."""
    shop.connection.execute("UPDATE agents SET credit_limit_cents = 150000 WHERE path = ?", (shop.tree,))
    master = Who("m", "master", f"{shop.tree}/@{shop.code}")
    body = {"customerId": shop.code, "creditLimitMinor": 150_000, "maxWagerMinor": 1}
    shop.done("customer.limit", body, master)
    assert shop.refused("customer.limit", body | {"creditLimitMinor": 150_001}, master).code.name == "limit_exceeded"
    assert shop.refused("customer.limit", body, Who("m", "master", "/")).code.name == "forbidden"


def test_a_customer_is_suspended_and_comes_back(shop: Shop) -> None:
    """Who manages a sub-tree suspends below it; only the house lets a customer bet again. The audit has the reason."""
    body = {"customerId": shop.code, "status": "suspended", "reason": "chargeback"}
    back = body | {"status": "active", "reason": "paid"}
    master, agent = Who("m", "master", shop.top), Who("a", "agent", shop.tree, ("limits",))
    elsewhere = Who("m", "master", "/M2" if shop.top != "/M2" else "/M3")
    assert shop.refused("customer.status", body, elsewhere).code.name == "customer_unknown"
    assert shop.refused("customer.status", body, Who("a", "agent", shop.tree)).code.name == "forbidden"
    assert shop.done("customer.status", body, agent) == {"customerId": shop.code, "status": "suspended"}
    assert shop.refused("wager.place", shop.wager()).code.name == "customer_inactive"
    assert shop.done("customer.status", body, master) == {"customerId": shop.code, "status": "suspended"}
    for who in (master, agent):
        assert shop.refused("customer.status", back, who).code.name == "forbidden"
    assert shop.done("customer.status", back, Who("r", "risk"))["status"] == "active"
    told = [(kind, data["before"], data["after"]) for kind, data in shop.heard()]
    assert told == [
        ("customer.status_changed", "active", "suspended"), ("customer.status_changed", "suspended", "active"),
    ]  # fmt: skip
    audit = shop.rows("SELECT actor_id, before ->> '$.status', after ->> '$.reason' FROM audit_log")
    agents = [("agent:a", "active", "chargeback"), ("agent:m", "suspended", "chargeback")]
    assert audit == [*agents, ("staff:r", "suspended", "paid")]
    shop.set("customers", shop.customer, status="closed")
    assert shop.refused("customer.status", back).code.name == "transition_illegal"


def test_a_payment_from_request_to_charge_back(shop: Shop) -> None:
    """A customer asks, a cashier decides; each step is told, and the money moves once."""
    own = Who(shop.code, "customer", f"{shop.tree}/@{shop.code}")
    cashier = Who("till", "cashier")
    asked = {"customerId": shop.code, "direction": "deposit", "method": "card", "amountMinor": 5_000}
    payment = shop.done("payment.request", asked, own)
    id = {"paymentId": payment["paymentId"]}
    assert payment["status"] == "requested"
    assert shop.refused("payment.approve", id, own).code.name == "forbidden"
    assert shop.refused("payment.charge_back", id, cashier).code.name == "transition_illegal"
    assert shop.done("payment.approve", id, cashier)["status"] == "approved"
    assert shop.done("payment.complete", id, cashier)["status"] == "completed"
    assert shop.balance() == 5_000
    assert shop.refused("payment.reject", id, cashier).code.name == "transition_illegal"
    shop.done("payment.charge_back", id, cashier)
    assert shop.balance() == 0
    assert [kind for kind, _ in shop.heard()] == [
        "payment.requested", "payment.approved", "payment.completed", "payment.charged_back",
    ]  # fmt: skip
    other = shop.done("payment.request", asked, own)
    shop.done("payment.reject", {"paymentId": other["paymentId"]}, cashier)
    assert shop.refused("payment.fail", {"paymentId": other["paymentId"]}, cashier).code.name == "transition_illegal"
    assert shop.refused("payment.fail", {"paymentId": "p"}, cashier).code.name == "payment_unknown"


def test_what_lies_outside_the_own_scope_is_not_there(shop: Shop) -> None:
    """Whoever may act in one sub-tree is told of a customer, wager or payment in another as if there were none."""
    wager = shop.placed(1_000)
    asked = {"customerId": shop.code, "direction": "deposit", "method": "card", "amountMinor": 5_000}
    payment = shop.done("payment.request", asked)["paymentId"]
    before = shop.rows("SELECT status FROM wagers UNION ALL SELECT status FROM payments")
    for scope in (f"{shop.top}X", f"{shop.tree}/@{shop.code}X"):
        elsewhere = Who("chief", "admin", scope)
        assert shop.refused("wager.place", shop.wager(), elsewhere).code.name == "customer_unknown"
        assert shop.refused("payment.request", asked, elsewhere).code.name == "customer_unknown"
        gone = {"wagerId": wager, "reason": "asked"}
        assert shop.refused("wager.cancel", gone, elsewhere).code.name == "wager_unknown"
        assert shop.refused("payment.approve", {"paymentId": payment}, elsewhere).code.name == "payment_unknown"
    assert shop.rows("SELECT status FROM wagers UNION ALL SELECT status FROM payments") == before
    within = Who("chief", "admin", shop.top)
    assert shop.done("payment.approve", {"paymentId": payment}, within)["status"] == "approved"
    shop.done("wager.cancel", {"wagerId": wager, "reason": "asked"}, within)


def test_only_own_money_is_paid_out(shop: Shop) -> None:
    """Credit is for betting: a withdrawal is of the balance that is not at risk, also when it is completed."""
    body = {"customerId": shop.code, "direction": "withdrawal", "method": "bank", "amountMinor": 3_000}
    assert shop.refused("payment.request", body).code.name == "credit_exceeded"
    shop.done("balance.adjust", {"customerId": shop.code, "kind": "bonus", "amountMinor": 4_000, "reason": "hello"})
    payment = shop.done("payment.request", body)
    wager = shop.placed(2_000)
    assert shop.refused("payment.complete", {"paymentId": payment["paymentId"]}).code.name == "credit_exceeded"
    shop.done("wager.cancel", {"wagerId": wager, "reason": "asked"})
    shop.done("payment.complete", {"paymentId": payment["paymentId"]})
    assert shop.balance() == 1_000


def test_an_adjustment_is_an_entry_with_its_reason(shop: Shop) -> None:
    """A cashier moves a balance by hand, and why is in the ledger, the audit and the event."""
    body = {"customerId": shop.code, "kind": "fee", "amountMinor": -250, "reason": "card fee"}
    assert shop.done("balance.adjust", body, Who("till", "cashier"))["balanceMinor"] == -250
    ((kind, told),) = shop.heard()
    assert (kind, told["kind"], told["amountMinor"], told["reason"]) == ("balance.adjusted", "fee", -250, "card fee")
    assert shop.rows("SELECT kind, amount_cents, reason FROM ledger_entries") == [("fee", -250, "card fee")]
    assert shop.refused("balance.adjust", body | {"amountMinor": 0}).code.name == "command_invalid"


# Alerts.


def test_an_alert_is_taken_up_and_closed(shop: Shop) -> None:
    """Who may see an alert may take it up; what was decided is told, and cannot be decided again."""
    shop.alerts["a1"] = Alert("/M1/A1", "open")
    body = {"alertId": "a1", "note": "known player"}
    for scope in ("/M2", "/M1/A2"):
        assert shop.refused("alert.acknowledge", body, Who("m", "master", scope)).code.name == "alert_unknown"
    assert shop.refused("alert.close", body | {"alertId": "a2"}).code.name == "alert_unknown"
    assert shop.done("alert.acknowledge", body, Who("m", "master", "/M1")) == {
        "alertId": "a1",
        "status": "acknowledged",
    }
    # The rules have not heard of it yet.
    assert shop.refused("alert.acknowledge", body).code.name == "transition_illegal"
    shop.done("alert.close", body)
    assert shop.refused("alert.close", body).code.name == "transition_illegal"
    assert [(kind, data["actor"]) for kind, data in shop.heard()] == [
        ("alert.acknowledged", "m"),
        ("alert.closed", "boss"),
    ]


# Once for each key.


def test_the_same_key_acts_once(shop: Shop) -> None:
    """Whoever asks again with the same key gets the first answer; with other content, a conflict."""
    first = shop.do("wager.place", shop.wager(), key="k")
    again = shop.do("wager.place", dict(reversed(shop.wager().items())), key="k")
    assert again == first | {"repeat": True}
    spelt = {**shop.wager(), "freePlay": False, "channel": "desk", "priceTolerance": 0}
    assert shop.do("wager.place", spelt, key="k") == again
    with pytest.raises(RequestError) as caught:
        shop.do("wager.place", shop.wager(12_000), key="k")
    assert caught.value.code.name == "id_conflict"
    assert shop.one("SELECT count(*) FROM wagers") == 1
    assert not shop.do("wager.place", shop.wager(), Who("other"), key="k")["repeat"]
    assert shop.one("SELECT count(*) FROM wagers") == 2


def test_old_keys_are_forgotten_little_by_little(shop: Shop) -> None:
    """Thirty days later the table has only what is younger, and no command has had much to do for it."""
    for number in range(10):
        shop.do("customer.limit", {"customerId": shop.code, "maxWagerMinor": number}, key=f"old{number}")
    assert shop.do("customer.limit", {"customerId": shop.code, "maxWagerMinor": 0}, key="old0")["repeat"]
    shop.now_ms += 30 * 86_400_000
    counts = []
    for number in range(6):
        shop.do("customer.limit", {"customerId": shop.code, "maxWagerMinor": number}, key=f"new{number}")
        counts.append(shop.one("SELECT count(*) FROM commands"))
    assert counts == [8, 6, 4, 4, 5, 6]
    assert shop.column("SELECT key FROM commands ORDER BY key") == [f"new{number}" for number in range(6)]
    assert not shop.do("customer.limit", {"customerId": shop.code, "maxWagerMinor": 7}, key="old0")["repeat"]
    plan = shop.rows("EXPLAIN QUERY PLAN SELECT principal, key FROM commands WHERE at < ? ORDER BY at LIMIT 3", "2026")
    assert "INDEX commands_at" in str(plan)


def test_a_refusal_leaves_the_key_free(shop: Shop) -> None:
    """What was refused can be asked again with the same key once the reason is gone."""
    shop.set("markets", shop.markets[0], status="suspended")
    with pytest.raises(RequestError):
        shop.do("wager.place", shop.wager(), key="k")
    shop.set("markets", shop.markets[0], status="open")
    assert not shop.do("wager.place", shop.wager(), key="k")["repeat"]


def test_another_writer_holds_the_book(shop: Shop) -> None:
    """While another program writes, a command says so and has done nothing; then the same key works."""
    shop.connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(BookError) as caught:
        shop.do("wager.place", shop.wager(), key="k")
    assert (caught.value.code.name, caught.value.temporary) == ("book_locked", True)
    shop.connection.execute("ROLLBACK")
    assert not shop.do("wager.place", shop.wager(), key="k")["repeat"]


def test_the_desk_has_a_bound(shop: Shop) -> None:
    """Commands beyond `pending_max` are turned away at once; those that wait are performed."""

    async def crowd() -> list[str]:
        shop.connection.execute("BEGIN IMMEDIATE")
        body = msgspec.json.encode(shop.wager())
        waiting = [
            asyncio.ensure_future(shop.desk.act(ADMIN, "wager.place", body, f"k{number}")) for number in range(2)
        ]
        with pytest.raises(RequestError) as caught:
            shop.desk.act(ADMIN, "wager.place", body, "k2")
        shop.connection.execute("ROLLBACK")
        await asyncio.gather(*waiting, return_exceptions=True)
        await shop.desk.act(ADMIN, "wager.place", body, "k2")
        return [caught.value.code.name]

    assert asyncio.run(crowd()) == ["overloaded"]


# What is asked.


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("wager.win", {}, "command_unknown"),
        ("wager.place", {}, "command_invalid"),
        ("wager.void", {"wagerId": "w"}, "command_invalid"),
        ("wager.void", {"wagerId": "w", "reason": "x", "extra": 1}, "command_invalid"),
        ("balance.adjust", {"customerId": "C1", "kind": "gift", "amountMinor": 1, "reason": "x"}, "command_invalid"),
        (
            "payment.request",
            {"customerId": "C1", "direction": "in", "method": "m", "amountMinor": 1},
            "command_invalid",
        ),
    ],
)
def test_what_is_no_command(shop: Shop, name: str, body: dict[str, Any], code: str) -> None:
    """A command that is not known, or whose fields are not right, says which."""
    assert shop.refused(name, body).code.name == code


def test_bodies_and_keys_that_are_none(shop: Shop) -> None:
    """A body must be JSON, and a key short and readable."""
    for body, key, code in (
        (b"{", "k", "json_invalid"),
        (b"{}", "", "command_invalid"),
        (b"{}", "k\n", "command_invalid"),
    ):
        with pytest.raises(RequestError) as caught:
            shop.desk.act(ADMIN, "wager.void", body, key)
        assert caught.value.code.name == code


def test_a_market_is_once_in_a_wager(shop: Shop) -> None:
    """Two outcomes of one market cannot both win."""
    assert shop.refused("wager.place", shop.wager(1_000, (0, 0), (0, 1))).code.name == "command_invalid"


def test_only_a_demo_book_is_acted_on(shop: Shop, tmp_path: Path) -> None:
    """A book with other tables, or without its triggers, is left alone."""
    assert is_demo(shop.path)
    other = tmp_path / "other.db"
    apsw.Connection(str(other)).execute("CREATE TABLE t(x)")
    assert not is_demo(other)
    assert not is_demo(tmp_path / "none.db")
    shop.connection.execute("UPDATE fire22_meta SET value = '0' WHERE key = 'version'")
    assert not is_demo(shop.path)


def test_the_ledger_follows_the_desk(tmp_path: Path) -> None:
    """Whatever the desk does, the balances that the events give are those of the book."""
    shop = Shop(tmp_path / "book.db")
    folding = Folding(lambda: (registry := Registry(), Ledger(registry)))
    writer.write(shop.connection, [])
    wager, other = shop.placed(), shop.placed(4_000, (0, 1))
    shop.done("market.settle", {"marketId": shop.markets[0], "winners": [shop.selections[0][1]]})
    shop.done("wager.reopen", {"wagerId": wager, "reason": "x"})
    shop.done(
        "market.settle",
        {"marketId": shop.markets[0], "halfWins": [shop.selections[0][0]], "pushes": [shop.selections[0][1]]},
    )
    shop.done("wager.void", {"wagerId": other, "reason": "x"})
    shop.done("wager.reopen", {"wagerId": other, "reason": "x"})
    shop.done("wager.settle", {"wagerId": other})
    shop.done("balance.adjust", {"customerId": shop.code, "kind": "bonus", "amountMinor": 123, "reason": "x"})
    agents = shop.rows("SELECT code, name, path, level, status FROM agents ORDER BY level")
    for code, name, path, level, status in agents:
        folding.tell("agent.created", {"agentId": code, "name": name, "path": path, "level": level, "status": status})
    told = {"customerId": shop.code, "agentId": "A", "path": shop.tree, "name": "One", "status": "active"}
    folding.tell("customer.created", told)
    folding.group(shop.told())
    assert not folding.refused
    assert folding.documents["balances", f"{shop.tree}/@{shop.code}", ""]["balance"] == shop.balance() / 100
    assert shop.balance() == shop.one(
        "SELECT sum(amount_cents) FROM ledger_entries WHERE account_id = ?", shop.customer
    )
    shop.desk.close()


def test_who_may_not_bet_gets_no_more_by_a_modification(shop: Shop) -> None:
    """Of a customer who is suspended, or on a market that is closed, a wager gets no larger stake and wins no more; a
    smaller one is possible, as a correction is.
    """
    id = shop.placed(10_000)
    more = {"wagerId": id, "riskMinor": 11_000, "reason": "x"}
    wins_more = more | {"riskMinor": 10_000, "toWinMinor": 10_000}
    shop.set("customers", shop.customer, status="suspended")
    assert shop.refused("wager.modify", more).code.name == "customer_inactive"
    assert shop.refused("wager.modify", wins_more).code.name == "customer_inactive"
    shop.set("customers", shop.customer, status="active")
    shop.set("markets", shop.markets[0], status="suspended")
    assert shop.refused("wager.modify", more).code.name == "market_closed"
    assert shop.refused("wager.modify", wins_more).code.name == "market_closed"
    assert shop.done("wager.modify", more | {"riskMinor": 9_000})["riskMinor"] == 9_000
    shop.set("markets", shop.markets[0], status="open")
    assert shop.done("wager.modify", more)["riskMinor"] == 11_000

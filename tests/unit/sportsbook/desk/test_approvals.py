"""Four eyes: what a role may not do alone waits in the book until another person has decided about it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from fire22.core.role import Grant, Role
from fire22.security.access import Access
from fire22.security.people import People
from fire22.sportsbook.desk.sums import WINDOW_MS
from fire22.sportsbook.roles import roles
from tests.support.people import people as made
from tests.support.shop import Shop, Who

ALONE: Final = 100_000  # a clerk's 1,000.00
MAY: Final = (
    "payment.approve", "payment.complete", "balance.adjust", "wager.settle", "market.settle", "customer.limit",
    "wager.void", "wager.modify", "wager.cash_out", "wager.cancel", "wager.reopen",
)  # fmt: skip
ROLES: Final = roles(()) | {
    "clerk": Role(commands=dict.fromkeys(MAY, Grant(alone_max_minor=ALONE))),
    "chief": Role(
        commands=dict.fromkeys(MAY, Grant(alone_max_minor=ALONE, approve=True))
        | dict.fromkeys(("approval.approve", "approval.reject"), Grant())
    ),
}
CLERK, CHIEF = Who("ann", "clerk"), Who("bob", "chief")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with clerks and their chiefs."""
    shop = Shop(tmp_path / "book.db", grants=Access(ROLES).grants)
    shop.set("customers", shop.customer, credit_limit_cents=1_000_000, max_wager_cents=1_000_000)
    yield shop
    shop.desk.close()


def adjustment(shop: Shop, amount: int = ALONE + 1) -> dict[str, Any]:
    """The body of an adjustment."""
    return {"customerId": shop.code, "kind": "bonus", "amountMinor": amount, "reason": "goodwill"}


def held(shop: Shop, who: Who = CLERK, key: str = "") -> str:
    """An adjustment that waits; its id."""
    result = shop.do("balance.adjust", adjustment(shop), who, key)["result"]
    assert result["status"] == "pending"
    return str(result["approvalId"])


def listed(shop: Shop, who: Who) -> list[dict[str, Any]]:
    """What waits, as somebody sees it."""
    found = msgspec.json.decode(asyncio.run(shop.desk.approvals(who)), type=dict[str, list[dict[str, Any]]])
    return found["approvals"]


def payment(shop: Shop, amount: int) -> dict[str, Any]:
    """A deposit that was asked for."""
    asked = {"customerId": shop.code, "direction": "deposit", "method": "card", "amountMinor": amount}
    return {"paymentId": shop.done("payment.request", asked)["paymentId"]}


def wager(shop: Shop, amount: int) -> dict[str, Any]:
    """A wager at 2.5 that returns so much if it wins, and how it ended."""
    id = shop.placed(amount * 2 // 5, (0, 1))
    return {"wagerId": id, "results": [{"selectionId": shop.selections[0][1], "result": "win"}]}


def again(shop: Shop, amount: int) -> dict[str, Any]:
    """A wager that was settled as lost, and is won after all."""
    body = wager(shop, amount)
    lost = [{**body["results"][0], "result": "loss"}]
    shop.done("wager.settle", body | {"results": lost})
    return body


def market(shop: Shop, amount: int) -> dict[str, Any]:
    """A market with a wager that returns so much."""
    shop.placed(amount * 2 // 5, (0, 1))
    return {"marketId": shop.markets[0], "winners": [shop.selections[0][1]]}


def credit(shop: Shop, amount: int) -> dict[str, Any]:
    """A credit limit that is raised by so much."""
    return {"customerId": shop.code, "creditLimitMinor": 1_000_000 + amount}


def won(shop: Shop, amount: int) -> dict[str, Any]:
    """A wager with the same stake that wins by so much more."""
    return {"wagerId": shop.placed(10_000, (0, 1)), "riskMinor": 10_000, "toWinMinor": 15_000 + amount, "reason": "x"}


def given_up(shop: Shop, amount: int) -> dict[str, Any]:
    """A wager that could return so much and ends by a cash-out that pays nothing."""
    return {"wagerId": shop.placed(amount * 2 // 5, (0, 1)), "returnMinor": 0}


def given_up_in_part(shop: Shop, amount: int) -> dict[str, Any]:
    """A part of a wager that could return so much and ends by a cash-out that pays nothing."""
    risk = amount * 2 // 5
    return {"wagerId": shop.placed(2 * risk, (0, 1)), "riskMinor": risk, "returnMinor": 0}


def lost(shop: Shop, amount: int) -> dict[str, Any]:
    """A wager that could return so much, to be settled as lost."""
    body = wager(shop, amount)
    return body | {"results": [{**body["results"][0], "result": "loss"}]}


def called_off(shop: Shop, amount: int) -> dict[str, Any]:
    """A wager that could return so much, to be called off."""
    return {"wagerId": wager(shop, amount)["wagerId"], "reason": "x"}


def over(shop: Shop, amount: int) -> dict[str, Any]:
    """A wager that could have returned so much and was lost, to be rolled back."""
    body = lost(shop, amount)
    shop.done("wager.settle", body)
    return {"wagerId": body["wagerId"], "reason": "x"}


def market_lost(shop: Shop, amount: int) -> dict[str, Any]:
    """A market with a wager that could return so much, to be settled against it."""
    return market(shop, amount) | {"winners": [shop.selections[0][0]]}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("wager.modify", won),
        ("wager.cash_out", given_up),
        ("wager.cash_out", given_up_in_part),
        ("balance.adjust", adjustment),
        ("balance.adjust", lambda shop, amount: adjustment(shop, -amount)),
        ("payment.approve", payment),
        ("payment.complete", payment),
        ("wager.settle", wager),
        ("wager.settle", again),
        ("wager.settle", lost),
        ("wager.void", called_off),
        ("wager.void", over),
        ("wager.cancel", called_off),
        ("wager.reopen", over),
        ("market.settle", market_lost),
        ("market.settle", market),
        ("customer.limit", credit),
    ],
)
def test_what_is_above_a_roles_amount_waits(shop: Shop, name: str, body: Callable[[Shop, int], dict[str, Any]]) -> None:
    """A clerk does alone what is up to the amount; more changes nothing until a second person agrees to it."""
    assert shop.done(name, body(shop, ALONE), CLERK).get("status") != "pending"
    shop.set("customers", shop.customer, credit_limit_cents=1_000_000)
    shop.now_ms += WINDOW_MS
    shop.connection.execute("UPDATE markets SET status = 'open'")
    asked = body(shop, ALONE + 5)
    before = shop.rows("SELECT * FROM customers"), shop.rows("SELECT status, version FROM wagers")
    answer = shop.do(name, asked, CLERK, "k")
    assert (answer["result"]["status"], answer["result"]["amountMinor"] > ALONE) == ("pending", True)
    assert (shop.rows("SELECT * FROM customers"), shop.rows("SELECT status, version FROM wagers")) == before
    decided = shop.done("approval.approve", {"approvalId": answer["result"]["approvalId"]}, CHIEF)
    assert (decided["status"], decided["command"]) == ("approved", name)
    repeated = shop.do(name, asked, CLERK, "k")
    assert (repeated["repeat"], repeated["result"]) == (True, decided["result"])
    assert "pending" not in decided["result"].values() or name.startswith("payment")
    ((actor,),) = shop.rows("SELECT actor_id FROM audit_log WHERE action = ? ORDER BY id DESC LIMIT 1", name)
    assert actor == "staff:ann"


def status(shop: Shop, amount: int, who: Who, name: str = "balance.adjust") -> str:
    """How an adjustment of an amount is answered."""
    return str(shop.done(name, adjustment(shop, amount), who).get("status", "done"))


def test_an_amount_that_is_split_waits_too(shop: Shop) -> None:
    """Ten parts are done alone; the eleventh, which makes the sum of 24 hours too large, waits, whatever the clerk
    signs in as. A colleague has a sum of their own, and the clerk may go on when the first parts are a day old.
    """
    begun_ms = shop.now_ms
    assert [status(shop, 9_999, CLERK) for _ in range(10)] == ["done"] * 10
    assert status(shop, 9_999, CLERK) == status(shop, -9_999, CLERK) == "pending"
    assert status(shop, 9_999, Who("ANN", "clerk")) == "pending"
    assert status(shop, 9_999, Who("carl", "clerk")) == "done"
    assert status(shop, 10, CLERK) == "done"
    approved = shop.done("approval.approve", {"approvalId": listed(shop, CHIEF)[0]["approvalId"]}, CHIEF)
    assert approved["status"] == "approved"
    shop.now_ms = begun_ms + WINDOW_MS - 1_000
    assert status(shop, 9_999, CLERK) == "pending"
    shop.now_ms = begun_ms + WINDOW_MS + 1_000
    assert status(shop, 9_999, CLERK) == "done"


def test_a_sum_of_a_day_of_its_own(tmp_path: Path) -> None:
    """A role may have a sum of 24 hours above its amount: then many small amounts are done alone up to that."""
    clerk = Role(commands={"balance.adjust": Grant(alone_max_minor=1_000, alone_day_minor=3_000)})
    shop = Shop(tmp_path / "book.db", grants=Access(roles(()) | {"clerk": clerk}).grants)
    assert status(shop, 1_001, CLERK) == "pending"
    assert [status(shop, 1_000, CLERK) for _ in range(4)] == ["done", "done", "done", "pending"]
    shop.desk.close()


def test_what_is_settled_so_already_is_about_nothing(shop: Shop) -> None:
    """A settlement that changes nothing needs nobody's approval, however much the wager is about."""
    body = wager(shop, 5 * ALONE)
    shop.done("wager.settle", body)
    assert shop.done("wager.settle", body, CLERK).get("status") == "settled"


def test_the_pending_answer_is_given_again(shop: Shop) -> None:
    """Who asks again by the same key asks once; by another key, or with other content, that is another thing."""
    first = shop.do("balance.adjust", adjustment(shop), CLERK, "k")
    again = shop.do("balance.adjust", adjustment(shop), CLERK, "k")
    assert again == first | {"repeat": True}
    assert shop.refused("balance.adjust", adjustment(shop, ALONE + 2), CLERK, "k").code.name == "id_conflict"
    other = shop.do("balance.adjust", adjustment(shop), CLERK, "k2")
    assert other["result"]["approvalId"] != first["result"]["approvalId"]
    assert len(listed(shop, CHIEF)) == 2


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (CLERK, "forbidden"),  # the asker, whose role approves nothing either
        (Who("ann", "chief"), "forbidden"),  # the asker in another role
        (Who("ANN", "admin"), "forbidden"),
        (Who("bob", "service"), "forbidden"),  # a machine
        (Who("eve", "cashier"), "forbidden"),
        (Who("bob", "chief", "/M9"), "approval_unknown"),
    ],
)
@pytest.mark.parametrize("name", ["approval.approve", "approval.reject"])
def test_who_may_not_decide(shop: Shop, name: str, who: Who, code: str) -> None:
    """Nobody decides about what they asked for, by whatever they sign in as, nor who may not approve such a thing."""
    id = held(shop)
    assert shop.refused(name, {"approvalId": id}, who).code.name == code


def test_a_role_that_approves_other_things(shop: Shop) -> None:
    """To give a command is not to approve it: that takes `approve` of the held command's grant."""
    id = held(shop)
    assert shop.refused("approval.approve", {"approvalId": id}, Who("r", "risk")).code.name == "forbidden"


def test_it_is_decided_once(shop: Shop) -> None:
    """What was rejected cannot be approved, nor what was approved again; the asker is told of the rejection."""
    id = held(shop, key="k")
    assert shop.done("approval.reject", {"approvalId": id, "note": "no"}, CHIEF)["status"] == "rejected"
    assert shop.refused("approval.approve", {"approvalId": id}, CHIEF).code.name == "transition_illegal"
    error = shop.refused("balance.adjust", adjustment(shop), CLERK, "k")
    assert (error.code.name, error.details) == ("approval_rejected", {"approvalId": id})
    other = held(shop)
    shop.done("approval.approve", {"approvalId": other}, CHIEF)
    assert shop.refused("approval.approve", {"approvalId": other}, Who("b", "admin")).code.name == "transition_illegal"
    assert shop.balance() == ALONE + 1
    assert listed(shop, CHIEF) == []


async def _known(shop: Shop, act: str) -> People:
    """Ann, who asks, and bob, who decides, after something was done."""
    known = made(lambda: shop.now_ms)
    by = {"made": "staff:ann", "before": "staff:ann", "through": "staff:eve", "reverse": ""}
    await known.users.add("bob", role="chief", scope="/", by=by.get(act, ""))
    await known.users.add("eve", role="chief", scope="/", by="staff:ann")
    await known.users.add("ann", role="clerk", scope="/", by="staff:bob" if act == "reverse" else "")
    if act == "password":
        await known.users.set_password("bob", "hash", by="staff:ann")
    if act == "factor":
        await known.reset_factor("bob", by="staff:ann")
    return known


@pytest.mark.parametrize("act", ["made", "password", "factor", "through", "reverse", "before", ""])
def test_nobody_approves_through_an_account_of_ones_own(shop: Shop, act: str) -> None:
    """Who could have signed in as both, for having made one or reset its password, is no second person for a day."""
    known = asyncio.run(_known(shop, act))
    if act == "before":
        shop.now_ms += 24 * 3_600_000 + 1
    shop.desk.close()
    shop.desk = shop.desk_of(Access(ROLES).grants, known)
    id = held(shop)
    if act in ("", "before"):
        assert shop.done("approval.approve", {"approvalId": id}, CHIEF)["status"] == "approved"
    else:
        assert shop.refused("approval.approve", {"approvalId": id}, CHIEF).code.name == "forbidden"
    known.close()


@pytest.mark.parametrize("act", ["remove", "disable", "demote"])
def test_what_an_asker_wanted_who_has_lost_rights_is_not_done(shop: Shop, act: str) -> None:
    """An approval performs nothing for somebody who was removed, disabled or demoted after asking."""
    known = asyncio.run(_known(shop, ""))
    shop.desk.close()
    shop.desk = shop.desk_of(Access(ROLES).grants, known)
    id = held(shop)
    if act == "remove":
        asyncio.run(known.remove("ann"))
    elif act == "disable":
        asyncio.run(known.disable("ann"))
    else:
        asyncio.run(known.change("ann", role="risk", scope="/", may=(), disabled=False))
    assert shop.refused("approval.approve", {"approvalId": id}, CHIEF).code.name == "asker_changed"
    assert shop.done("approval.reject", {"approvalId": id}, CHIEF)["status"] == "rejected"
    known.close()


def test_it_expires(shop: Shop) -> None:
    """What nobody decided about for a day is neither done nor shown, and the asker is told."""
    id = held(shop, key="k")
    shop.now_ms += 24 * 3_600_000
    assert listed(shop, CHIEF) == []
    assert shop.refused("approval.approve", {"approvalId": id}, CHIEF).code.name == "approval_expired"
    assert shop.refused("balance.adjust", adjustment(shop), CLERK, "k").code.name == "approval_expired"
    assert shop.balance() == 0


def test_what_waits_survives_a_restart(shop: Shop) -> None:
    """What was asked for before a server stopped is decided after it has started again."""
    id = held(shop)
    shop.desk.close()
    shop.desk = shop.desk_of(Access(ROLES).grants)
    assert [each["approvalId"] for each in listed(shop, CHIEF)] == [id]
    shop.done("approval.approve", {"approvalId": id}, CHIEF)
    assert shop.balance() == ALONE + 1


def test_who_sees_what_waits(shop: Shop) -> None:
    """Those who may decide about it and its asker see it, within their scope as the customer is placed now."""
    id = held(shop)
    for who in (CHIEF, CLERK, Who("a", "admin", shop.top)):
        ((shown),) = listed(shop, who)
        assert (shown["approvalId"], shown["askedBy"], shown["amountMinor"]) == (id, "staff:ann", ALONE + 1)
        assert (shown["command"], shown["entity"]) == ("balance.adjust", f"customer:{shop.code}")
        assert shown["body"] == adjustment(shop)
    for who in (Who("x", "cashier"), Who("b", "admin", "/M9"), Who("r", "risk")):
        assert listed(shop, who) == []


def test_more_money_than_was_approved(shop: Shop) -> None:
    """What has grown meanwhile is not what the second person saw, so it must be asked for anew."""
    body = market(shop, ALONE + 5)
    id = shop.do("market.settle", body, CLERK)["result"]["approvalId"]
    shop.placed(40_000, (0, 1))
    assert shop.refused("approval.approve", {"approvalId": id}, CHIEF).code.name == "fact_conflict"


def test_the_askers_rights_count_when_it_is_done(tmp_path: Path) -> None:
    """A clerk who may no longer do it at all does not get it done by what was asked before."""
    now = dict(ROLES)
    shop = Shop(tmp_path / "book.db", grants=lambda role: now[role].commands)
    id = held(shop)
    now["clerk"] = Role()
    assert shop.refused("approval.approve", {"approvalId": id}, CHIEF).code.name == "forbidden"
    shop.desk.close()


def test_so_many_may_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user cannot fill the book with what waits."""
    monkeypatch.setattr("fire22.sportsbook.desk.approvals.EACH_MAX", 2)
    held(shop)
    held(shop)
    assert shop.refused("balance.adjust", adjustment(shop), CLERK).code.name == "overloaded"
    held(shop, Who("eve", "clerk"))


# Keys.


def test_a_key_is_of_its_user_scope_and_command(shop: Shop) -> None:
    """The customer M1 and the agent M1, one scope and another, one command and another: each has keys of its own."""
    body = shop.wager(100)
    path = f"{shop.tree}/@{shop.code}"
    askers = [
        Who("M1", "customer", path), Who("M1", "agent", shop.tree, ("place",)), Who("M1", "agent", path, ("place",)),
    ]  # fmt: skip
    ids = [shop.do("wager.place", body, who, "k")["result"]["wagerId"] for who in askers]
    assert len(set(ids)) == 3
    assert [shop.do("wager.place", body, who, "k")["repeat"] for who in askers] == [True] * 3
    shop.done("balance.adjust", adjustment(shop), Who("M1"))
    assert shop.do("payment.request", {
        "customerId": shop.code, "direction": "deposit", "method": "card", "amountMinor": 1,
    }, askers[0], "k")["repeat"] is False  # fmt: skip


def test_a_key_of_an_earlier_version(shop: Shop) -> None:
    """Who repeats a command across an upgrade is answered as before, and nothing is done twice."""
    shop.do("balance.adjust", adjustment(shop, 5), Who("old"), "k")
    shop.connection.execute("UPDATE commands SET principal = 'old'")
    assert shop.do("balance.adjust", adjustment(shop, 5), Who("old"), "k")["repeat"] is True
    assert shop.do("balance.adjust", adjustment(shop, 6), Who("old"), "k")["repeat"] is False
    assert shop.balance() == 11

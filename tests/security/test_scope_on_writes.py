"""Nobody writes outside the own scope: every command, type of event and address against every place in the tree.

The cases are made from the tables of commands and of types of events: a new one without a row here fails.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import pytest
from msgspec import Raw

from fire22.core.question import REACH, Outside, Question
from fire22.core.role import Grant, Role
from fire22.core.scope import customer_path
from fire22.security.access import Access
from fire22.sportsbook import domain
from fire22.sportsbook.betting.facts import FACTS
from fire22.sportsbook.desk.commands import COMMANDS
from fire22.sportsbook.reach import TOUCHES
from fire22.sportsbook.roles import roles
from tests.support.folding import Folding
from tests.support.shop import Alert, Shop, Who

# A role that may give each command wherever the scope allows it.
ABLE: Final = {"approval.approve": "admin", "approval.reject": "admin"}
PLACES: Final = ("foreign", "parent", "sibling", "absent")

# Commands: what each is about, made new in the book.


def _wager(shop: Shop) -> dict[str, Any]:
    return {"wagerId": shop.placed(100)}


def _because(make: Callable[[Shop], dict[str, Any]]) -> Callable[[Shop], dict[str, Any]]:
    return lambda shop: make(shop) | {"reason": "test"}


def _held(shop: Shop) -> dict[str, Any]:
    id = shop.placed(100)
    shop.set("wagers", id, status="review")
    return {"wagerId": id}


def _ended(shop: Shop) -> dict[str, Any]:
    id = shop.placed(100)
    shop.done("wager.void", {"wagerId": id, "reason": "test"})
    return {"wagerId": id, "reason": "test"}


def _graded(shop: Shop) -> dict[str, Any]:
    return _wager(shop) | {"results": [{"selectionId": shop.selections[0][0], "result": "win"}]}


def _payment(*steps: str) -> Callable[[Shop], dict[str, Any]]:
    def make(shop: Shop) -> dict[str, Any]:
        asked = {"customerId": shop.code, "direction": "deposit", "method": "card", "amountMinor": 100}
        id = shop.done("payment.request", asked)["paymentId"]
        for step in steps:
            shop.done(f"payment.{step}", {"paymentId": id})
        return {"paymentId": id}

    return make


def _alert(shop: Shop) -> dict[str, Any]:
    id = f"a{len(shop.alerts)}"
    shop.alerts[id] = Alert(customer_path(shop.tree, shop.code), "open")
    return {"alertId": id}


def _open_market(shop: Shop) -> dict[str, Any]:
    ids = shop.column("SELECT id FROM markets WHERE status = 'open' ORDER BY id")
    return {"marketId": next(id for id in ids if id not in shop.markets), "status": "suspended"}


def _customer(**more: Any) -> Callable[[Shop], dict[str, Any]]:
    return lambda shop: {"customerId": shop.code} | more


def _held_adjustment(shop: Shop) -> dict[str, Any]:
    body = _customer(kind="bonus", amountMinor=100_001, reason="test")(shop)
    return {"approvalId": shop.done("balance.adjust", body, Who("clerk", "clerk"))["approvalId"]}


BODIES: Final[dict[str, Callable[[Shop], dict[str, Any]]]] = {
    "wager.place": lambda shop: shop.wager(100),
    "wager.accept": _held,
    "wager.reject": _because(_held),
    "wager.settle": _graded,
    "wager.cash_out": lambda shop: _wager(shop) | {"returnMinor": 50},
    "wager.void": _because(_wager),
    "wager.cancel": _because(_wager),
    "wager.modify": lambda shop: _wager(shop) | {"riskMinor": 200, "reason": "test"},
    "wager.reopen": _ended,
    "market.settle": lambda shop: {"marketId": shop.markets[1], "void": True},
    "market.status": _open_market,
    "customer.limit": _customer(maxWagerMinor=50_000),
    "customer.status": _customer(status="active", reason="test"),
    "payment.request": _customer(direction="deposit", method="card", amountMinor=100),
    "payment.approve": _payment(),
    "payment.complete": _payment("approve"),
    "payment.reject": _payment(),
    "payment.fail": _payment("approve"),
    "payment.charge_back": _payment("complete"),
    "balance.adjust": _customer(kind="bonus", amountMinor=100, reason="test"),
    "approval.approve": _held_adjustment,
    "approval.reject": _held_adjustment,
    "alert.acknowledge": _alert,
    "alert.close": _alert,
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose customer is below a third-level agent."""
    clerk = Role(commands={"balance.adjust": Grant(alone_max_minor=100_000)})
    access = Access(roles(()) | {"clerk": clerk})
    shop = Shop(tmp_path_factory.mktemp("scopes") / "book.db", grants=access.grants)
    yield shop
    shop.desk.close()


def scope_of(shop: Shop, place: str) -> str:
    """From where in the tree somebody asks for whom the customer is foreign, of the parent, or of a sibling."""
    parent = shop.tree.rpartition("/")[0]
    scopes: dict[str, str] = {
        "foreign": shop.one("SELECT path FROM agents WHERE level = 1 AND path <> ? ORDER BY path LIMIT 1", shop.top),
        "parent": f"{shop.tree}/BELOW",
        "sibling": f"{parent}/SIBLING",
        "absent": shop.tree,
    }
    return scopes[place]


def absent(body: dict[str, Any]) -> dict[str, Any]:
    """The same command about what there is not."""
    return {name: "nothing" if name.endswith("Id") else value for name, value in body.items()}


def test_every_command_has_a_row() -> None:
    """A command that is added says here what it is about."""
    assert BODIES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", list(COMMANDS))
def test_commands(shop: Shop, name: str) -> None:
    """A role that may do everything does it within its scope; elsewhere nothing happens, whether it is there or not."""
    of, codes = COMMANDS[name].of, set()
    body = BODIES[name](shop)
    for place in PLACES:
        who = Who("m", ABLE.get(name, "service"), scope_of(shop, place))
        error = shop.refused(name, absent(body) if place == "absent" else body, who)
        shown = error.code.name, tuple(error.details or ())
        codes.add(shown)
    assert len(codes) == 1, "what is outside is refused as what is not there"
    ((code, _),) = codes
    assert code == "scope_forbidden" if of == "book" else code.endswith("_unknown")
    own = Who("m", ABLE.get(name, "service"), "/" if of == "book" else shop.tree)
    shop.done(name, body, own)


def test_a_wager_follows_its_customer(shop: Shop) -> None:
    """Whoever had a customer before it was moved settles none of its wagers any more, and who has it now does."""
    body = _graded(shop)
    place = scope_of(shop, "foreign")
    agent = shop.one("SELECT agent_id FROM customers WHERE id = ?", shop.customer)
    shop.set("customers", shop.customer, agent_id=shop.one("SELECT id FROM agents WHERE path = ?", place))
    assert shop.refused("wager.settle", body, Who("m", "service", shop.tree)).code.name == "wager_unknown"
    assert shop.done("wager.settle", body, Who("m", "service", place))["result"] == "win"
    shop.set("customers", shop.customer, agent_id=agent)


@pytest.mark.parametrize("role", ["risk", "service", "admin"])
def test_a_market_is_the_houses(shop: Shop, role: str) -> None:
    """A role below the house neither gives a market a result nor learns what it would have paid, nor is it offered."""
    who = Who("r", role, shop.top)
    for name in ("market.settle", "market.status"):
        error = shop.refused(name, BODIES[name](shop), who)
        assert (error.code.name, error.details) == ("scope_forbidden", None)
        assert name not in shop.desk.commands(who)
        assert name in shop.desk.commands(Who("r", role))


# Events: what each type says of a customer, its wager and its payment.

AGENTS: Final = {"M1": "/M1", "A1": "/M1/A1", "B1": "/M1/A1/B1", "A2": "/M1/A2", "M2": "/M2", "A9": "/M2/A9"}
# Each customer by its place as the publisher of /M1/A1 sees it.
CUSTOMERS: Final = {"own": ("C1", "B1"), "parent": ("C0", "M1"), "sibling": ("C2", "A2"), "foreign": ("C9", "A9")}
MINE: Final = "/M1/A1"
AT: Final = "2026-03-01T12:00:00Z"


def home(place: str) -> dict[str, Any]:
    """Whose a fact is, and where that is; of somebody absent, where the publisher would have it."""
    code, agent = CUSTOMERS.get(place, ("CX", "B1"))
    return {"customerId": code, "agentId": agent, "path": AGENTS[agent]}


def example(type: str, place: str) -> dict[str, Any]:
    """A fact of a type about somebody at a place, which the domain can read."""
    who = home(place)
    code, agent, path = who["customerId"], who["agentId"], who["path"]
    if type.startswith("agent."):
        told = {"agentId": agent if place != "absent" else "AX", "name": "x", "path": path, "level": 1, "status": "x"}
        return told | ({"before": told} if type == "agent.changed" else {})
    wager = who | {"wagerId": f"w-{code}", "wagerNumber": 7, "type": "straight", "riskMinor": 1, "toWinMinor": 1}
    wager |= {"freePlay": False, "channel": "web", "status": "accepted", "version": 1}
    wager |= {"revision": 1, "result": "win", "returnMinor": 2, "previousReturnMinor": 0}
    if type == "wager.modified":
        wager |= {"before": {"riskMinor": 1, "toWinMinor": 1}}
    payment = who | {
        "paymentId": f"p-{code}",
        "direction": "deposit",
        "method": "card",
        "amountMinor": 1,
        "status": "x",
    }
    befores: dict[str, Any] = {
        "customer.changed": {"name": "x"},
        "customer.moved": {"agentId": agent, "path": path},
        "customer.renamed": code,
        "customer.status_changed": "active",
    }
    limits = {"creditLimitMinor": 1, "maxWagerMinor": 1}
    market = {"marketId": "m1", "eventId": "e1", "type": "moneyline", "status": "open"}
    by_family: dict[str, dict[str, Any]] = {
        "customer": who | {"name": "x", "status": "active"},
        "wager": wager,
        "payment": payment,
        "balance": who | {"entryId": "7", "kind": "bonus", "amountMinor": 1},
        "session": who,
        "commission": {"agentId": agent if place != "absent" else "AX", "path": path, "type": "none"},
        "market": market | {"selectionId": "s", "oldOdds": 2.0, "newOdds": 3.0, "results": []},
        "alert": {"alertId": "a", "actor": "x"},
        "revenue": {"path": path, "revenueMinor": 1},
        "row": {"table": "t", "id": "1", "before": {}},
        "system": {},
    }
    told = dict(by_family[type.partition(".")[0]])
    if type == "customer.renamed":
        told["customerId"] = "CX"  # the new code; `before` is whose it is
    if type == "customer.limit_changed":
        return told | {"before": limits, "after": limits}
    if type in befores:
        told |= {"before": befores[type]}
    if type == "customer.status_changed":
        told |= {"after": "suspended"}
    return told


def lying(told: dict[str, Any]) -> dict[str, Any]:
    """The same fact, claiming that all of it is where the publisher may act."""
    claimed = {"agentId": "B1", "path": AGENTS["B1"]}
    changed = told | {name: value for name, value in claimed.items() if name in told and "customerId" in told}
    before = told.get("before")
    if isinstance(before, dict) and "path" in before and "customerId" in told:
        changed["before"] = before | claimed
    return changed


@pytest.fixture(scope="module")
def book() -> Folding:
    """A book with agents and customers everywhere, each with a wager, one that waits, one that is over, a payment."""
    folding = Folding(domain.flows)
    for id, path in AGENTS.items():
        told = {"agentId": id, "name": id, "path": path, "level": path.count("/"), "status": "active"}
        folding.tell("agent.created", told)
    for place in CUSTOMERS:
        folding.tell("customer.created", example("customer.created", place))
        placed = example("wager.placed", place)
        code = placed["customerId"]
        folding.tell("wager.placed", placed)
        folding.tell("wager.requested", placed | {"wagerId": f"asked-{code}", "status": "review"})
        over = placed | {"wagerId": f"over-{code}"}
        folding.tell("wager.placed", over)
        folding.tell("wager.settled", over)
        folding.tell("payment.requested", example("payment.requested", place))
    assert folding.refused == []
    return folding


def outside(book: Folding, type: str, told: dict[str, Any], scope: str = MINE, *users: str) -> Outside:
    """What of an event and of those whom it addresses a scope does not cover."""
    data = msgspec.json.encode(told)
    domain.decode(type, Raw(data))
    question = Question(REACH, scope, {"type": [type], "data": [data.decode()], "user": users})
    found = domain.answer(book.engine.flows, question)
    assert isinstance(found, Outside)
    return found


REFUSED: Final = Outside(event=0)
TAKEN: Final = Outside()
CREATES: Final = {"agent.created", "agent.imported", "agent.changed", "customer.created", "customer.imported"}


def test_every_type_of_event_has_a_row() -> None:
    """A type of event that is added says what of the tree it touches."""
    assert TOUCHES.keys() == set(FACTS.values())


@pytest.mark.parametrize("type", list(FACTS))
def test_events(book: Folding, type: str) -> None:
    """A publisher tells of the own sub-tree, and of nobody else by any claim; book-wide types are the house's."""
    whole = TOUCHES[FACTS[type]] is None
    assert outside(book, type, example(type, "own")) == (REFUSED if whole else TAKEN)
    for place in ("foreign", "parent", "sibling"):
        told = example(type, place)
        assert outside(book, type, told) == REFUSED, place
        assert outside(book, type, lying(told) if "customerId" in told else told) == REFUSED, place
    first = type in CREATES and type != "agent.changed"
    assert outside(book, type, example(type, "absent")) == (TAKEN if first else REFUSED)


@pytest.mark.parametrize("type", [type for type in FACTS if type.startswith(("wager.", "payment."))])
def test_events_by_another_id(book: Folding, type: str) -> None:
    """An own customer claimed for somebody else's wager or payment is refused, and so is any wager that is over."""
    told = example(type, "own")
    for name in ("wagerId", "paymentId"):
        for id in ("w-C9", "asked-C9", "over-C9", "over-C1", "p-C9"):
            if name in told and (name == "paymentId") == id.startswith("p-"):
                assert outside(book, type, told | {name: id}) == REFUSED, id
    for name in ("movedFrom", "movedTo"):
        if type == ("wager.reopened" if name == "movedFrom" else "wager.cancelled"):
            owner = {"wagerNumber": 7} | home("foreign")
            assert outside(book, type, told | {name: owner}) == REFUSED
            assert outside(book, type, told | {name: owner | {"path": "/M1/A1", "agentId": "A1"}}) == REFUSED


def test_events_that_take_a_place(book: Folding) -> None:
    """Nobody moves a customer in or out, takes a code that somebody has, or calls an own agent like another's."""
    moved = example("customer.moved", "own")
    assert outside(book, "customer.moved", moved | {"path": "/M2/A9", "agentId": "A9"}) == REFUSED
    stolen = example("customer.moved", "foreign") | {"path": "/M1/A1/B1", "agentId": "B1"}
    assert outside(book, "customer.moved", stolen) == REFUSED
    renamed = example("customer.renamed", "own")
    assert outside(book, "customer.renamed", renamed | {"customerId": "C9"}) == REFUSED
    assert outside(book, "customer.renamed", renamed | {"customerId": "C1b"}) == TAKEN
    agent = example("agent.created", "absent") | {"path": "/M1/A1/AX"}
    assert outside(book, "agent.created", agent) == TAKEN
    assert outside(book, "agent.created", agent | {"agentId": "M2"}) == REFUSED
    assert outside(book, "customer.changed", example("customer.changed", "own") | {"agentId": "M2"}) == REFUSED


@pytest.mark.parametrize(
    ("user", "taken"),
    [
        ("customer:C1", True), ("agent:A1", True), ("agent:B1", True),
        *[(f"customer:{code}", False) for code in ("C0", "C2", "C9", "CX", "A1")],
        *[(f"agent:{id}", False) for id in ("M1", "A2", "M2", "A9", "AX", "C1")],
        *[(f"{kind}:C1", False) for kind in ("staff", "machine")],
    ],
)  # fmt: skip
def test_addresses(book: Folding, user: str, taken: bool) -> None:
    """A publisher addresses the agents and customers of the own sub-tree, and nobody else, known or not."""
    found = outside(book, "shop.opened", {}, MINE, user)
    assert found == (TAKEN if taken else Outside(user=user))

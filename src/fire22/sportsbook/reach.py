"""What of the tree an event or an address touches: who may act on a part of the book only must stay within that part.

An event is within a scope when everything is that it names: the paths that it claims, and whoever stands behind its
customers, agents, wagers and payments as the book knows them now. What an event claims of a customer therefore never
replaces where that customer belongs. Types whose effect is not of one place need the whole book: markets, decisions
about alerts, sums of before the connection, changes that are set aside.

What is not known is within no scope, unless the event is the one that tells of it first.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from msgspec import Raw, Struct

from fire22.core import address
from fire22.core.question import Outside, Question
from fire22.core.scope import covers, customer_path
from fire22.flows.base import Flow
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.flow import Registry

Decode = Callable[[str, Raw], object]


class Touched(Struct, frozen=True):
    """What an event names.

    Args:
        paths: that it claims, of agents or of customers.
        customers, agents, wagers, payments: ids of whom and what it is about.
        new: those of the ids that the book need not know yet, because the event tells of them first.
    """

    paths: tuple[str, ...]
    customers: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    wagers: tuple[str, ...] = ()
    payments: tuple[str, ...] = ()
    new: frozenset[str] = frozenset()


def _agent(told: facts.Agent) -> Touched:
    return Touched((told.path,), agents=(told.agent_id,), new=frozenset({told.agent_id}))


def _agent_changed(told: facts.AgentChanged) -> Touched:
    agents = (told.agent_id, told.before.agent_id)
    new = frozenset({told.agent_id} - {told.before.agent_id})
    return Touched((told.path, told.before.path), agents=agents, new=new)


def _customer(told: Any) -> Touched:
    """Any fact of one customer below one agent."""
    return Touched((customer_path(told.path, told.customer_id),), (told.customer_id,), (told.agent_id,))


def _new_customer(told: facts.Customer) -> Touched:
    path = customer_path(told.path, told.customer_id)
    return Touched((path,), (told.customer_id,), (told.agent_id,), new=frozenset({told.customer_id}))


def _moved(told: facts.CustomerMoved) -> Touched:
    paths = tuple([customer_path(path, told.customer_id) for path in (told.path, told.before.path)])
    return Touched(paths, (told.customer_id,), (told.agent_id, told.before.agent_id))


def _renamed(told: facts.CustomerRenamed) -> Touched:
    paths = tuple([customer_path(told.path, each) for each in (told.customer_id, told.before)])
    new = frozenset({told.customer_id} - {told.before})
    return Touched(paths, (told.customer_id, told.before), (told.agent_id,), new=new)


def _wager(told: facts.WagerFact) -> Touched:
    owners = [each for name in ("moved_from", "moved_to") if (each := getattr(told, name, None)) is not None]
    whose = [told, *owners]
    return Touched(
        tuple([customer_path(each.path, each.customer_id) for each in whose]),
        tuple([each.customer_id for each in whose]),
        tuple([each.agent_id for each in whose]),
        wagers=(told.wager_id,),
        new=frozenset({told.wager_id}),  # one that was never placed is nobody's
    )


def _payment(told: facts.Payment) -> Touched:
    return Touched(
        (customer_path(told.path, told.customer_id),),
        (told.customer_id,),
        (told.agent_id,),
        payments=(told.payment_id,),
        new=frozenset({told.payment_id}),
    )


def _plan(told: facts.CommissionPlan) -> Touched:
    return Touched((told.path,), agents=(told.agent_id,))


# By the type of the data; None needs the whole book. Every type of fact has a row.
TOUCHES: Final[dict[type[Struct], Callable[[Any], Touched] | None]] = {
    facts.Agent: _agent,
    facts.AgentChanged: _agent_changed,
    facts.Customer: _new_customer,
    facts.CustomerChanged: _customer,
    facts.CustomerLimitChanged: _customer,
    facts.CustomerStatusChanged: _customer,
    facts.CustomerMoved: _moved,
    facts.CustomerRenamed: _renamed,
    facts.WagerPlaced: _wager,
    facts.WagerModified: _wager,
    facts.WagerRejected: _wager,
    facts.WagerReopened: _wager,
    facts.WagerSettled: _wager,
    facts.WagerCancelled: _wager,
    facts.Payment: _payment,
    facts.BalanceAdjusted: _customer,
    facts.Session: _customer,
    facts.CommissionPlan: _plan,
    facts.Market: None,
    facts.MarketChanged: None,
    facts.MarketStatusChanged: None,
    facts.MarketPriceChanged: None,
    facts.MarketResulted: None,
    facts.AlertDecided: None,
    facts.RevenueImported: None,
    facts.RowChanged: None,
    facts.Clock: None,
}


def outside(flows: Iterable[Flow], decode: Decode, question: Question) -> Outside:
    """The answer to a question `REACH`."""
    registry = ledger = None
    for flow in flows:
        registry = flow if isinstance(flow, Registry) else registry
        ledger = flow if isinstance(flow, Ledger) else ledger
    if registry is None or ledger is None:
        raise AssertionError("the flows of a book hold a registry and a ledger")
    reach = Reach(registry, ledger)
    asked = question.parameters
    for index, (type, data) in enumerate(zip(asked["type"], asked["data"], strict=True)):
        if not reach.covers_event(question.scope, decode(type, Raw(data.encode()))):
            return Outside(event=index)
    return Outside(user=next((each for each in asked["user"] if not reach.covers_user(question.scope, each)), None))


class Reach:
    """Whether events and addresses are within a scope, by what the book knows now; good for one question."""

    def __init__(self, registry: Registry, ledger: Ledger) -> None:
        self._book = registry
        self._ledger = ledger
        self._places: dict[str, list[str]] = {}  # of the agents, by their ids
        for path, agent in registry.agents():
            self._places.setdefault(agent.agent_id, []).append(path)

    def covers_event(self, scope: str, data: object) -> bool:
        """Whether a scope covers all that an event touches.

        Args:
            data: of an event, as its type; None is one of a type that is not the book's, and touches nothing of it.
        """
        if data is None:
            return True
        find = TOUCHES[type(data)]  # type: ignore[index]
        if find is None:
            return False
        touched = find(data)
        return all(covers(scope, path) for path in touched.paths) and all(self._behind(scope, touched))

    def covers_user(self, scope: str, user: str) -> bool:
        """Whether a scope covers a user that is addressed: an agent or a customer; nobody else has a place in the tree.

        Args:
            user: with its kind, as `agent:M1`.
        """
        kind, name = address.kind_of(user)
        if kind == "customer":
            return self._customer(scope, name, new=False)
        return kind == "agent" and self._agent(scope, name, new=False)

    def _behind(self, scope: str, touched: Touched) -> Iterator[bool]:
        new = touched.new
        yield from (self._customer(scope, each, new=each in new) for each in touched.customers)
        yield from (self._agent(scope, each, new=each in new) for each in touched.agents)
        yield from (self._wager(scope, each, new=each in new) for each in touched.wagers)
        yield from (self._payment(scope, each, new=each in new) for each in touched.payments)

    def _customer(self, scope: str, code: str, *, new: bool) -> bool:
        known = self._book.customer(code)
        return new if known is None else covers(scope, customer_path(known.path, code))

    def _agent(self, scope: str, agent_id: str, *, new: bool) -> bool:
        """Of an agent that was moved every place counts: its facts of before have the old one."""
        places = self._places.get(agent_id)
        return new if places is None else all(covers(scope, path) for path in places)

    def _wager(self, scope: str, wager_id: str, *, new: bool) -> bool:
        """Nothing tells whose a wager was that is over, so it is within no scope."""
        owner = self._book.owner_of(wager_id)
        if owner is None:
            return new and not self._book.is_over(wager_id)
        return self._customer(scope, owner, new=False)

    def _payment(self, scope: str, payment_id: str, *, new: bool) -> bool:
        known = self._ledger.payment(payment_id)
        return new if known is None else self._customer(scope, known.customer_id, new=False)

"""The agents and customers of a book, as they are now. Nobody is ever forgotten."""

from typing import Any

from fire22.core.scope import ROOT
from fire22.flows.base import Fact, Handler, Refused, Repeated, Table, expect
from fire22.sportsbook.betting import codes, facts
from fire22.sportsbook.registry.records import AgentRecord, CustomerRecord


class Directory:
    """Kept by the registry.

    Attributes:
        agents: by path; what an agent was at another path stays known there, since its facts have that path.
        customers: by code.
    """

    def __init__(self) -> None:
        self.agents: Table[AgentRecord] = Table("agent", AgentRecord)
        self.customers: Table[CustomerRecord] = Table("customer", CustomerRecord)

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Agents and customers."""
        return (self.agents, self.customers)

    def handlers(self) -> dict[str, Handler]:
        """Of everybody, but for a customer's other code, which its wagers have too."""
        return {
            "agent.created": self._agent,
            "agent.imported": self._agent,
            "agent.changed": self._agent_changed,
            "customer.created": self._customer,
            "customer.imported": self._customer,
            "customer.changed": self._changed,
            "customer.moved": self._moved,
            "customer.limit_changed": self._limit,
            "customer.status_changed": self._status,
        }

    def rename(self, before: str, customer_id: str) -> None:
        """A customer has another code.

        Raises:
            Refused: `fact_conflict`, somebody has that code already, or `customer_unknown`.
        """
        if self.customers.get(customer_id) is not None:
            raise Refused(codes.FACT_CONFLICT, f"There is a customer {customer_id} already.", customerId=before)
        customer = self._known(before)
        self.customers.pop(before)
        self.customers.put(customer_id, customer)

    def check_agent(self, path: str) -> None:
        """Whether there is an agent at a path, or it is the house.

        Raises:
            Refused: `agent_unknown`.
        """
        if path != ROOT and self.agents.get(path) is None:
            raise Refused(codes.AGENT_UNKNOWN, f"There is no agent at {path}.", path=path)

    def _known(self, code: str) -> CustomerRecord:
        customer = self.customers.get(code)
        if customer is None:
            raise Refused(codes.CUSTOMER_UNKNOWN, f"There is no customer {code}.", customerId=code)
        return customer

    def _agent(self, fact: Fact) -> None:
        agent = expect(fact, facts.Agent)
        self.agents.put(agent.path, AgentRecord(agent.agent_id, agent.name, agent.status))

    def _agent_changed(self, fact: Fact) -> None:
        changed = expect(fact, facts.AgentChanged)
        if self.agents.get(changed.before.path) is None:
            reason = f"There is no agent at {changed.before.path}."
            raise Refused(codes.AGENT_UNKNOWN, reason, path=changed.before.path)
        self.agents.put(changed.path, AgentRecord(changed.agent_id, changed.name, changed.status))

    def _customer(self, fact: Fact) -> None:
        one = expect(fact, facts.Customer)
        row = CustomerRecord(
            one.agent_id, one.path, one.name, one.status, one.segment, one.bet_factor, one.credit_limit_minor,
            one.max_wager_minor,
        )  # fmt: skip
        self.customers.put(one.customer_id, row)

    def _changed(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerChanged)
        customer = self._known(changed.customer_id)
        customer.name, customer.segment, customer.bet_factor = changed.name, changed.segment, changed.bet_factor
        self.customers.put(changed.customer_id, customer)

    def _moved(self, fact: Fact) -> None:
        moved = expect(fact, facts.CustomerMoved)
        customer = self._known(moved.customer_id)
        self.check_agent(moved.path)
        if (customer.agent_id, customer.path) == (moved.agent_id, moved.path):
            raise Repeated
        customer.agent_id, customer.path = moved.agent_id, moved.path
        self.customers.put(moved.customer_id, customer)

    def _limit(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerLimitChanged)
        customer = self._known(changed.customer_id)
        customer.credit_limit_minor = changed.after.credit_limit_minor
        customer.max_wager_minor = changed.after.max_wager_minor
        self.customers.put(changed.customer_id, customer)

    def _status(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerStatusChanged)
        customer = self._known(changed.customer_id)
        customer.status = changed.after
        self.customers.put(changed.customer_id, customer)

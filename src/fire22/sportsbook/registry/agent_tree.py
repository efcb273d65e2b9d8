"""The agent tree as a view: a document for each agent's path. The hub knows by it which scopes there are."""

from typing import ClassVar

from fire22.core.message import Json
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, expect
from fire22.sportsbook.betting import facts


class Tree(Flow):
    """One document for each agent; stateless, since each fact of an agent carries all of it."""

    name: ClassVar[str] = "tree"
    version: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__()
        self.topics = (Topic("agents", Kind.VIEW, internal=True, scopes=True),)
        self._changed: dict[str, tuple[int, facts.Agent]] = {}

    def handlers(self) -> dict[str, Handler]:
        """Agents."""
        return dict.fromkeys(("agent.created", "agent.imported", "agent.changed"), self._agent)

    def flush(self) -> None:
        """Documents of the agents that are new or changed."""
        for path, (at_ms, agent) in self._changed.items():
            document: dict[str, Json] = {
                "agentId": agent.agent_id,
                "name": agent.name,
                "level": agent.level,
                "status": agent.status,
            }
            self.out.view("agents", path, "", "update", at_ms, document)
        self._changed = {}

    def _agent(self, fact: Fact) -> None:
        agent = expect(fact, facts.Agent)
        self._changed[agent.path] = (fact.at_ms, agent)

"""Who and what the book is known to hold: its agents and customers, and its markets that are not over."""

from msgspec import Struct


class AgentRecord(Struct, frozen=True, gc=False, array_like=True):
    """An agent, by its path."""

    agent_id: str
    name: str
    status: str


class CustomerRecord(Struct, gc=False, array_like=True):
    """A customer, by its code; minor units. `path` is where it belongs now."""

    agent_id: str
    path: str
    name: str
    status: str
    segment: str = ""
    bet_factor: float = 1.0
    credit_limit_minor: int = 0
    max_wager_minor: int = 0


class SelectionRecord(Struct, gc=False, array_like=True):
    """An outcome of a market and its decimal odds now."""

    name: str
    odds: float


class MarketRecord(Struct, gc=False, array_like=True):
    """A market that is not over, by its id; 0 ms is unknown."""

    event_id: str
    type: str
    status: str
    event_name: str = ""
    sport: str = ""
    period: str = ""
    line: float | None = None
    starts_ms: int = 0
    closes_ms: int = 0
    liability_limit_minor: int = 0
    selections: dict[str, SelectionRecord] = {}

"""What a flow's own failure costs: an event, or the folding, never the service.

A flow changes its objects in place, so what it has half done cannot be undone there. Instead the engine begins anew
from the rows that were stored with the last batch, as a restart does, and folds the running group again without the
event that failed. So nothing is half changed, an event that does no harm costs nothing for it, and a replay of the log
by the same code sets the same events aside.

Each failure costs a rebuild. Where all of the last events of one type have failed, only one of them in so many is tried
from then on, until one succeeds: what is broken for a type of event as a whole costs a bounded part of the time.

Rejected: undoing by hand (every handler would need its inverse); a copy of the flows beside them (twice the memory and
the work, for what should not happen); trying each event first (it changes state).
"""

from typing import Final

from fire22.core import codes
from fire22.flows.base import Table
from fire22.flows.letters import Failure

IN_A_ROW: Final = 16  # failures of one type after another, from which on one event in as many is tried
FAILED: Final = Failure(codes.FLOW_FAILED, "The server failed on it; the traceback is in the output of its log.")
UNTRIED: Final = Failure(
    codes.FLOW_FAILED, "The server failed on all of the events of this type before it, and did not try this one."
)


class FlowFailed(Exception):
    """A flow raised on an event: the engine is half changed and must be rebuilt. The cause is the flow's exception."""

    def __init__(self, seq: int, type: str) -> None:
        super().__init__(f"A flow failed on event {seq} ({type}).")
        self.seq = seq
        self.type = type


class FoldStopped(Exception):
    """A failure that belongs to no single event; the engine is half changed. The cause is the flow's exception.

    Args:
        seq: of the event up to which it had folded.
        what: the type of the event that failed, `flush`, or `load`: the rows that are stored.
    """

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(f"The figures stop at event {seq} ({what}).")
        self.seq = seq
        self.what = what


class Breaker:
    """How many events of each type have failed without one that succeeded since.

    Attributes:
        table: the counts by type; a row for each type that fails.
    """

    def __init__(self) -> None:
        self.table: Table[int] = Table("failing", int)

    def is_tried(self, type: str) -> bool:
        """Whether the next event of a type is folded."""
        count = self.table.get(type) or 0
        return count < IN_A_ROW or count % IN_A_ROW == 0

    def failed(self, type: str) -> None:
        """An event of a type has failed, or was not tried."""
        self.table.put(type, (self.table.get(type) or 0) + 1)

    def succeeded(self, type: str) -> None:
        """An event of a type has been folded."""
        if self.table.get(type) is not None:
            self.table.pop(type)

"""A few flows fed by hand: one fact a group or many, with a restart wherever a test wants one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from fire22.core import letter
from fire22.core.event import Event, encode_event
from fire22.core.message import Json
from fire22.feed.base import Batch, Checkpoint, Document, Entry, Record
from fire22.flows.base import Flow
from fire22.flows.engine import Engine, Folded, Rejected
from fire22.log.base import Group
from fire22.sportsbook import domain
from tests.support.storage import START_MS, event

Flows = Callable[[], tuple[Flow, ...]]
Told = list[tuple[str, str, Any]]  # topic, path, data


class Folding:
    """An engine, what it has stored, and what it has said.

    Args:
        flows: makes new ones, in their order.
        rows: the rows that are stored, by table and key.
    """

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self.engine = Engine(flows(), domain.decode)
        self.batches: list[Batch] = []
        self.documents: dict[tuple[str, str, str], dict[str, Json]] = {}
        self.refused: list[Rejected] = []
        self._stored: dict[tuple[str, str, str], Document] = {}
        self.rows: dict[tuple[str, str], bytes] = {}
        self._checkpoint = Checkpoint(0, 0, 0)
        self._number = 0

    def group(self, events: Sequence[Event]) -> Batch:
        """Events become one group; what it says."""
        return self.fold(events).batch

    def fold(self, events: Sequence[Event]) -> Folded:
        """The same, with the rows that are stored."""
        bodies = tuple(encode_event(each).body for each in events)
        folded = self.engine.fold_group(Group(self.engine.checkpoint.seq + 1, bodies))
        batch = folded.batch
        self.refused += self.engine.rejected
        self.engine.rejected.clear()
        self.batches.append(batch)
        self._checkpoint = batch.checkpoint
        for table, key, value in folded.each_row():
            if value is None:
                self.rows.pop((table, key), None)
            else:
                self.rows[table, key] = value
        for document in batch.documents:
            name = (document.topic, document.scope, document.key)
            if document.body is None:
                self.documents.pop(name, None)
                self._stored.pop(name, None)
            else:
                self.documents[name] = document.body
                self._stored[name] = document
        return folded

    def tell(self, type: str, data: Mapping[str, object], at_ms: int = START_MS) -> Told:
        """A fact becomes a group of its own; what is said, as (topic, path, data)."""
        self._number += 1
        return said(self.group([event(f"t:{self._number}", type=type, at_ms=at_ms, data=dict(data))]))

    def clock(self, at_ms: int) -> Told:
        """The watermark moves."""
        return self.tell("system.clock", {}, at_ms)

    def body(self, entry: Entry) -> dict[str, Any]:
        """What an entry says."""
        return msgspec.json.decode(entry.data, type=dict[str, Any])

    def code(self) -> str:
        """The code of the one fact refused since the last call."""
        (refused,) = self.refused
        self.refused.clear()
        return refused.code.name

    def __copy__(self) -> "Folding":
        """The same as of now; what becomes of the one is nothing to the other."""
        other = Folding(self._flows)
        other.documents, other._stored, other.rows = dict(self.documents), dict(self._stored), dict(self.rows)
        other._checkpoint, other._number = self._checkpoint, self._number
        other.restart()
        return other

    def restart(self) -> None:
        """Go on with new flows from what was stored, whose rows come in the order of their keys."""
        self.engine = Engine(self._flows(), domain.decode)
        rows = [(table, key, value) for (table, key), value in sorted(self.rows.items())]
        self.engine.load(self._checkpoint, rows, [self._stored[name] for name in sorted(self._stored)])


def said(batch: Batch) -> Told:
    """What a batch says, as (topic, path, data)."""
    return [(record.topic, entry.path, msgspec.json.decode(entry.data)) for record, entry in entries(batch)]


def entries(batch: Batch) -> list[tuple[Record, Entry]]:
    """The entries of a batch with their records; dead letters are asked for by `Folding.code`."""
    return [(record, entry) for record in batch.records if record.topic != letter.TOPIC for entry in record.entries]

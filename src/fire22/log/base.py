"""The log's contract: events in an order, durable before they are acknowledged.

Events are appended in commit groups: what became durable together. A group's boundaries are stored, since flows emit
once for each group and what they emit must not depend on timing.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from fire22.core.event import EncodedEvent


class Appended(Struct, frozen=True):
    """The answer for one appended event.

    Args:
        id: the event's.
        seq: its place in the log; that of the first time where it is a repeat.
        repeat: whether the log had it already.
    """

    id: str
    seq: int
    repeat: bool


class Group(Struct, frozen=True):
    """One commit group.

    Args:
        first: seq of its first event.
        bodies: the events' JSON, in order; the last has seq `first + len(bodies) - 1`.
        committed_ms: when it was written, later with each group; 0 in a log that did not keep it.
    """

    first: int
    bodies: tuple[bytes, ...]
    committed_ms: int = 0

    @property
    def last(self) -> int:
        """Seq of its last event."""
        return self.first + len(self.bodies) - 1


class SourcePosition(Struct, frozen=True):
    """How far a source has been read; stored together with the events that it covers."""

    source: str
    position: str


class Log(Protocol):
    """What a log offers; `tests/contract/test_log.py` runs against each."""

    @property
    def last_seq(self) -> int:
        """Seq of the newest durable event; 0 in an empty log."""

    def append(
        self, events: Sequence[EncodedEvent], position: SourcePosition | None = None
    ) -> "Future[list[Appended]]":
        """Append all of the events or none.

        The future is done once they are on disk. A repeat (same id, same content) is accepted and ignored.

        Raises (in the future):
            RequestError: `id_conflict`; nothing of this call was appended.
            RequestError: `overloaded`, at once, when too many events wait.
            StorageError: nothing was appended; `temporary` tells whether to try again.
        """

    async def groups(self, after: int, *, events_max: int = 5000) -> list[Group]:
        """Whole groups after `after`, oldest first: about `events_max` events; none when there is nothing newer.

        Args:
            after: 0, or the last seq of a group.
        """

    async def source_position(self, source: str) -> str | None:
        """The position last stored for a source."""

    def on_group(self, wake: Callable[[], None]) -> None:
        """Call `wake` in the event loop whenever a group has become durable."""

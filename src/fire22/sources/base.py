"""What every source of events can tell: how far it has read, and how it is."""

from typing import Protocol

from msgspec import Struct


class SourceStatus(Struct, frozen=True):
    """How a source is.

    Args:
        name: unique.
        read_up_to_ms: everything that happened before has been read; 0 before the first complete reading.
        position: the source's own; 0 where it has none.
        waiting: rows seen and not yet in the log.
        recorded: it brings its own clock.
        problem: the code of what keeps it from reading now; empty when it reads.
    """

    name: str
    read_up_to_ms: int = 0
    position: int = 0
    waiting: int = 0
    recorded: bool = False
    problem: str = ""


class Source(Protocol):
    """A source of events."""

    def status(self) -> SourceStatus:
        """How it is now; cheap, from any thread."""

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            BookError, SourceError: what trying again cannot mend.
        """

"""A book whose flows have a fault: they raise on what a test says, after others have folded it and half changed."""

from collections.abc import Callable
from typing import ClassVar

from msgspec import Raw

from fire22.core.event import Event, encode_event
from fire22.flows.base import Fact, Flow, Handler, Table
from fire22.flows.engine import Engine
from fire22.flows.relay import Relay
from fire22.sportsbook import domain
from fire22.sportsbook.betting.facts import FACTS
from tests.support.histories import OPEN_TOPICS

Fails = Callable[[Event], BaseException | None]  # what a flow raises on an event
FailsLater = Callable[[int], Exception | None]  # what it raises by how many facts it has counted


def never(event: Event) -> None:
    """No fault."""


def never_later(count: int) -> None:
    """No fault."""


def after(count: int) -> FailsLater:
    """A fault from so many facts on."""
    return lambda counted: KeyError("a mistake of ours") if counted >= count else None


class Faulty(Flow):
    """Counts facts, and raises in the middle of that.

    Args:
        fails: on which facts.
        clock, flush: what it raises when the watermark moves or a group ends, by how many facts it has counted.
    """

    name: ClassVar[str] = "faulty"
    version: ClassVar[int] = 1

    def __init__(self, fails: Fails = never, clock: FailsLater = never_later, flush: FailsLater = never_later) -> None:
        super().__init__()
        self._fails = fails
        self._clock = clock
        self._flush = flush
        self._counts: Table[int] = Table("count", int)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """The counts."""
        return (self._counts,)  # type: ignore[return-value]

    def handlers(self) -> dict[str, Handler]:
        """All facts of the domain."""
        return dict.fromkeys((each for each in FACTS if not each.startswith("system.")), self._fact)

    def clock(self) -> None:
        """Fail, or not."""
        self._raise(self._clock)

    def flush(self) -> None:
        """Fail, or not."""
        self._raise(self._flush)

    def _raise(self, fails: FailsLater) -> None:
        error = fails(sum(count for _, count in self._counts))
        if error is not None:
            raise error

    def _fact(self, fact: Fact) -> None:
        self._counts.put(fact.event.type, (self._counts.get(fact.event.type) or 0) + 1)
        error = self._fails(fact.event)
        if error is not None:
            raise error


class Builds:
    """Makes engines of the whole book with the fault, and counts how often flows are made.

    Args:
        fails, clock, flush: see `Faulty`.
    """

    def __init__(self, fails: Fails = never, clock: FailsLater = never_later, flush: FailsLater = never_later) -> None:
        self.made = 0
        self._with = (fails, clock, flush)

    def flows(self) -> tuple[Flow, ...]:
        """New flows."""
        self.made += 1
        return (*domain.flows(), Faulty(*self._with), Relay(OPEN_TOPICS))

    def engine(self, open_topics: tuple[str, ...] = OPEN_TOPICS) -> Engine:
        """A new engine; called as `app.build_engine` is."""
        return Engine(self.flows(), domain.decode, remake=self.flows)


def nothing(event: Event) -> bytes:
    """An event that nobody folds, in place of another."""
    return encode_event(Event(f"no:{event.id}", "test.nothing", "test", event.timestamp, Raw(b"{}"))).body

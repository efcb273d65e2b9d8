"""The flow that ships with the server: events addressed to an open topic are delivered there as they came.

So any application can publish and subscribe without writing a flow.
"""

from typing import ClassVar

import msgspec
from msgspec import Raw, Struct

from fire22.core.event import Event
from fire22.core.scope import ROOT
from fire22.core.times import to_ms
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler


class RelaySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which topics are open; anybody whose role may publish may write there."""

    open_topics: tuple[str, ...] = ()


class Relay(Flow):
    """`metadata.category` names an open topic: the event's data goes out on it.

    The tags `as:alert` and `as:notification` choose the message's type; otherwise it is an `update`.
    """

    name: ClassVar[str] = "relay"
    version: ClassVar[int] = 1

    def __init__(self, open_topics: tuple[str, ...]) -> None:
        super().__init__()
        self.topics = tuple(Topic(name, Kind.STREAM) for name in open_topics)
        self._served = frozenset(open_topics)
        self._open: frozenset[str] = frozenset()

    def configure(self, settings: Raw) -> None:
        """Take the topics that are open from here on; one that is no longer served stays silent."""
        wanted = msgspec.json.decode(settings, type=RelaySettings).open_topics
        self._open = self._served.intersection(wanted)

    def handlers(self) -> dict[str, Handler]:
        """Every event with a category."""
        return {"*": self._relay}

    def _relay(self, fact: Fact) -> None:
        event = fact.event
        metadata = event.metadata
        if metadata.category in self._open:
            self.out.stream(
                metadata.category,
                ROOT,
                _type(event),
                fact.at_ms,
                bytes(event.data),
                priority=metadata.level,
                expires_ms=to_ms(metadata.expires_at) if metadata.expires_at else 0,
            )


def _type(event: Event) -> str:
    for tag, type in (("as:alert", "alert"), ("as:notification", "notification")):
        if tag in event.metadata.tags:
            return type
    return "update"

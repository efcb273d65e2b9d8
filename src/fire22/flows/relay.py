"""The flow that ships with the server: events with an address are delivered there as they came.

An address is an open topic, or the users and clients that tags name. So any application can publish and subscribe
without writing a flow.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.core import codes
from fire22.core.address import is_address, parse_address
from fire22.core.errors import RequestError, SetupError
from fire22.core.event import Event, decode_event
from fire22.core.scope import ROOT, parse_scope
from fire22.core.times import to_ms
from fire22.core.topic import DIRECT, Kind, Topic
from fire22.flows.base import Fact, Flow, Handler

TopicName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}\Z")]


class RelaySettings(Struct, frozen=True):
    """`[relay]`: which topics are open.

    Args:
        open_topics: where anybody may publish whose role allows it.
    """

    open_topics: tuple[TopicName, ...] = ()


class _Settings(Struct, frozen=True):
    settings: RelaySettings = RelaySettings()


class _Flows(Struct, frozen=True):
    relay: _Settings = _Settings()


class _Configured(Struct, frozen=True):
    """Of the `data` of `system.configured`, what the relay was told."""

    flows: _Flows = _Flows()


class Relay(Flow):
    """`metadata.category` names an open topic: the event's data goes out on it, at `metadata.scope`.

    Tags that begin with `to:` name users and clients instead: the data goes out on `direct`, once for each of them, and
    on no open topic. The tags `as:alert` and `as:notification` choose the message's type; otherwise it is an `update`.

    Raises:
        SetupError: `config_invalid`, an open topic has the name of the internal one.
    """

    name: ClassVar[str] = "relay"
    version: ClassVar[int] = 3

    def __init__(self, open_topics: tuple[str, ...]) -> None:
        super().__init__()
        if DIRECT in open_topics:
            message = f"The topic {DIRECT} is the server's own; open one of another name."
            raise SetupError(codes.CONFIG_INVALID, message)
        opened = tuple(Topic(name, Kind.STREAM) for name in open_topics)
        self.topics = (*opened, Topic(DIRECT, Kind.STREAM, internal=True))
        self._served = frozenset(open_topics)
        self._open: frozenset[str] = frozenset()

    def configure(self, settings: Raw) -> None:
        """Take the topics that are open from here on; one that is no longer served stays silent."""
        wanted = msgspec.json.decode(settings, type=RelaySettings).open_topics
        self._open = self._served.intersection(wanted)

    def handlers(self) -> dict[str, Handler]:
        """Every event with a category or tags."""
        return {"*": self._relay}

    def _relay(self, fact: Fact) -> None:
        metadata = fact.event.metadata
        addresses = [tag for tag in metadata.tags if is_address(tag)]
        if addresses:
            for target in _targets(addresses):
                self._say(fact, DIRECT, ROOT, target)
        elif metadata.category in self._open:
            self._say(fact, metadata.category, _scope(metadata.scope), "")

    def _say(self, fact: Fact, topic: str, scope: str, target: str) -> None:
        event = fact.event
        metadata = event.metadata
        self.out.stream(
            topic,
            scope,
            _type(event),
            fact.at_ms,
            bytes(event.data),
            priority=metadata.level,
            target=target,
            expires_ms=to_ms(metadata.expires_at) if metadata.expires_at else 0,
        )


def opened_topics(rows: Iterable[tuple[int, int, str, int, bytes]]) -> list[tuple[str, ...]]:
    """The open topics of each configuration in a log, in its order.

    Args:
        rows: of the log, as `log.sqlite.read_rows` gives them.
    """
    return [
        msgspec.json.decode(event.data, type=_Configured).flows.relay.settings.open_topics
        for *_, body in rows
        if b"system.configured" in body and (event := decode_event(body)).type == "system.configured"
    ]


def _targets(addresses: Iterable[str]) -> list[str]:
    """Each target once, in the order of the tags.

    Whoever publishes is told about a malformed one; an event that is in the log in another way must not stop the
    engine, nor reach everybody in place of somebody.
    """
    targets: dict[str, None] = {}
    for tag in addresses:
        with suppress(RequestError):
            targets[parse_address(tag)] = None
    return list(targets)


def _scope(said: str) -> str:
    """Where in the tree an event is; one that names no place, which only a book can let in, is at `/`."""
    try:
        return parse_scope(said or ROOT)
    except RequestError:
        return ROOT


def _type(event: Event) -> str:
    for tag, type in (("as:alert", "alert"), ("as:notification", "notification")):
        if tag in event.metadata.tags:
            return type
    return "update"

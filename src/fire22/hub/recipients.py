"""Who can be addressed: the connections of each user and client."""

from collections.abc import Iterator

from fire22.hub.base import Recipient, Subscriber
from fire22.hub.encoding import EVERYONE

_One = Subscriber | dict[Subscriber, None]  # nearly always one: a dict for each would be most of its memory


class Recipients:
    """The connections that are identified, by what can be addressed to them."""

    def __init__(self) -> None:
        self._all: dict[Subscriber, None] = {}
        self._users: dict[str, _One] = {}
        self._clients: dict[str, _One] = {}

    def add(self, subscriber: Subscriber) -> None:
        """Take in a connection that knows its `recipient`."""
        recipient = subscriber.recipient
        if recipient is None:
            raise AssertionError("a connection is identified when it knows who it is")
        self._all[subscriber] = None
        _add(self._users, recipient.user, subscriber)
        if recipient.client:
            _add(self._clients, recipient.client, subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Let go of a connection, if it is here."""
        recipient = subscriber.recipient
        if self._all.pop(subscriber, subscriber) is None and recipient is not None:
            _remove(self._users, recipient.user, subscriber)
            if recipient.client:
                _remove(self._clients, recipient.client, subscriber)

    def of(self, target: str) -> Iterator[Subscriber]:
        """The connections that a target means."""
        if target == EVERYONE:
            yield from tuple(self._all)
            return
        kind, _, name = target.partition(":")
        found = (self._users if kind == "user" else self._clients).get(name)
        if isinstance(found, dict):
            yield from tuple(found)
        elif found is not None:
            yield found

    def targets(self, recipient: Recipient) -> tuple[str, ...]:
        """What reaches a recipient."""
        client = (f"client:{recipient.client}",) if recipient.client else ()
        return (f"user:{recipient.user}", *client, EVERYONE)


def _add(by_name: dict[str, _One], name: str, subscriber: Subscriber) -> None:
    found = by_name.get(name)
    if found is None:
        by_name[name] = subscriber
    elif isinstance(found, dict):
        found[subscriber] = None
    else:
        by_name[name] = {found: None, subscriber: None}


def _remove(by_name: dict[str, _One], name: str, subscriber: Subscriber) -> None:
    found = by_name.get(name)
    if isinstance(found, dict):
        found.pop(subscriber, None)
        if not found:
            del by_name[name]
    else:
        by_name.pop(name, None)

"""What has come for a subscription and was not taken yet.

A stream's messages wait in order; from `messages_max` on the inbox is `full`, and the client reads no further from the
socket until the application has taken some. A view's documents are conflated: only the newest of each key waits, so an
application that never takes them holds nobody up. A document that came and went between two looks is not mentioned: its
removal would be that of something the application never had.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from fire22.core.interest import OffsetRange
from fire22.core.message import Message
from fire22.core.position import Position


class Lost(Struct, frozen=True):
    """After a reconnect what was missed could not be had again; a snapshot follows.

    Args:
        reason: `position_lost`, `position_ahead`, `epoch_changed`, if the server said so.
        range: the offsets that are lost, if known.
    """

    reason: str | None
    range: OffsetRange | None


class Skipped(Struct, frozen=True):
    """Of a subscription with `lossy` the server left messages out.

    Args:
        range: the offsets of the first and of the last of them.
        count: how many messages of this subscription they were.
    """

    range: OffsetRange
    count: int


class Snapshot(Struct, frozen=True):
    """It takes the place of all that came before; oldest first."""

    messages: tuple[Message, ...]


class Covered(Struct, frozen=True):
    """Everything of this subscription up to here has been taken: the position to store with it."""

    position: Position


SubscriptionEvent = Message | Snapshot | Lost | Skipped | Covered


class _Document:
    """A place in the queue whose message is replaced while it waits."""

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        self.message = message


class Inbox:
    """See the module.

    Args:
        messages_max: from so many on it is full.
        taken: called when something was taken or the inbox was closed.
    """

    def __init__(self, messages_max: int, taken: Callable[[], None]) -> None:
        self._messages_max = messages_max
        self._taken = taken
        self._items: deque[SubscriptionEvent | _Document] = deque()
        self._documents: dict[str, _Document] = {}
        self._shown: set[str] = set()  # the keys of the documents that the application has
        self._messages = 0
        self._ready = asyncio.Event()
        self._is_closed = False
        self._error: Exception | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be read."""
        return self._messages >= self._messages_max and not self._is_closed

    def put(self, event: SubscriptionEvent) -> None:
        """Append; of positions in a row only the last one stays."""
        if self._is_closed:
            return
        if isinstance(event, Covered) and self._items and isinstance(self._items[-1], Covered):
            self._items.pop()
        self._append(event)
        self._messages += _weight(event)

    def put_document(self, message: Message) -> None:
        """Append a document, or put it in the place of an older state that still waits."""
        key = message.key or ""
        waiting = self._documents.get(key)
        if waiting is not None:
            waiting.message = message
        elif not self._is_closed:
            self._documents[key] = _Document(message)
            self._append(self._documents[key])

    def close(self, error: Exception | None = None) -> None:
        """Nothing more comes: what waits can still be taken, then the error is raised or the iteration ends."""
        if not self._is_closed:
            self._is_closed = True
            self._error = error
            self._ready.set()
            self._taken()

    async def take(self) -> SubscriptionEvent:
        """The next event.

        Raises:
            StopAsyncIteration: the inbox was closed.
        """
        while True:
            item = await self._next()
            if not isinstance(item, _Document):
                self._messages -= _weight(item)
                self._taken()
                return item
            del self._documents[item.message.key or ""]
            if self._show(item.message):
                return item.message

    async def _next(self) -> "SubscriptionEvent | _Document":
        while not self._items:
            if self._is_closed:
                raise self._error or StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._items.popleft()

    def _show(self, message: Message) -> bool:
        """Whether the application is to see this document; a removal only of one that it has."""
        key = message.key or ""
        was_shown = key in self._shown
        if message.data is None:
            self._shown.discard(key)
            return was_shown
        self._shown.add(key)
        return True

    def _append(self, item: SubscriptionEvent | _Document) -> None:
        self._items.append(item)
        self._ready.set()


def _weight(event: SubscriptionEvent) -> int:
    if isinstance(event, Snapshot):
        return len(event.messages)
    return 1 if isinstance(event, Message | Skipped) else 0

"""One subscription, as the application holds it."""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Self

from fire22.client.inbox import Covered, Inbox, Lost, Skipped, Snapshot, SubscriptionEvent
from fire22.core.interest import (
    Delivered,
    DocumentChanged,
    Effect,
    Interest,
    Recovered,
    State,
)
from fire22.core.interest import Skipped as SkippedCame
from fire22.core.interest import Snapshot as SnapshotCame
from fire22.core.message import Json, Message
from fire22.core.position import Position

logger = logging.getLogger("fire22.client")


class Subscription:
    """What comes for one (target, scope): `async for message in subscription`.

    It goes on over reconnects, each message once. A message counts as handled when the next one is asked for. When the
    server refuses or ends the subscription the iteration raises `ServerError`; when the application lets go of it or
    replaces it, the iteration ends.

    Attributes:
        messages_skipped: with `lossy`: how many messages the server left out before what has been taken so far;
            `events` says which.
    """

    def __init__(
        self, interest: Interest, inbox: Inbox, unsubscribe: Callable[["Subscription"], None], start: Position | None
    ) -> None:
        self.interest = interest
        self.inbox = inbox
        self.refusals = 0
        self.messages_skipped = 0
        self.handled = start
        self.first: Position | None = None  # of the first snapshot: an older position covers this subscription
        self._unsubscribe = unsubscribe
        self._waiting: deque[Message] = deque()

    @property
    def target(self) -> str:
        """The topic."""
        return self.interest.request.target

    @property
    def scope(self) -> str | None:
        """The scope that was asked for; None for all that the token may see."""
        return self.interest.request.scope

    @property
    def position(self) -> str | None:
        """Everything of this subscription up to here has been handled; what to give as `after` later."""
        return None if self.handled is None else str(self.handled)

    @property
    def documents(self) -> dict[str, Json]:
        """The whole documents of a view by key, as of now; for `delta=True`."""
        return {key: message.data for key, message in self._messages().items()}

    def document(self, key: str = "") -> Json:
        """One whole document of a view, as of now, or None while there is none; for `delta=True`. Do not change it."""
        message = self._messages().get(key)
        return None if message is None else message.data

    def unsubscribe(self) -> None:
        """Let go: nothing more comes, and the iteration ends after what has come already."""
        self._unsubscribe(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not self._waiting:
            event = await self._next()
            if isinstance(event, Message):
                return event
            if isinstance(event, Snapshot):
                self._waiting.extend(event.messages)
        return self._waiting.popleft()

    async def events(self) -> AsyncIterator[SubscriptionEvent]:
        """Everything that happens, not only the messages: `Message`, `Snapshot`, `Lost`, `Skipped` and `Covered`.

        An application that stores what it makes of the messages stores it at `Covered`, together with its position,
        and so counts each message exactly once, even when it is killed. For a view with `delta` each document comes
        whole, and its removal as a message with its `key` and `data` None. With `lossy` a `Skipped` comes before the
        `Covered` that passes what was left out.
        """
        while True:
            try:
                event = await self._next()
            except StopAsyncIteration:
                return
            yield event

    def receive(self, effect: Effect) -> None:
        """Take an effect of the session that belongs to this subscription."""
        if isinstance(effect, Delivered):
            self.inbox.put(effect.message)
        elif isinstance(effect, DocumentChanged):
            self.inbox.put_document(effect.message)
        elif isinstance(effect, Recovered) and not effect.recovered:
            logger.warning("%s was not recovered: %s %s", self.target, effect.reason, effect.lost)
            self.inbox.put(Lost(effect.reason, effect.lost))
        elif isinstance(effect, SkippedCame):
            self.inbox.put(Skipped(effect.range, effect.count))
        elif isinstance(effect, SnapshotCame):
            self.refusals = 0
            self.first = self.first or self.interest.position
            if not self.interest.request.delta:  # documents follow one by one
                self.inbox.put(Snapshot(effect.messages))
                self.covered()

    def covered(self) -> None:
        """Mark that everything up to the interest's position has been put in."""
        if self.interest.state is State.LIVE and self.interest.position is not None:
            self.inbox.put(Covered(self.interest.position))

    async def _next(self) -> SubscriptionEvent:
        event = await self.inbox.take()
        if isinstance(event, Covered):
            self.handled = event.position
        elif isinstance(event, Skipped):
            self.messages_skipped += event.count
        return event

    def _messages(self) -> dict[str, Message]:
        if not self.interest.request.delta:
            raise ValueError("Documents are kept for a subscription with delta=True only.")
        return self.interest.documents

"""Messages that are addressed to this user, this client or everyone, as the application holds them."""

from collections.abc import Callable
from typing import Self

from fire22.client.inbox import Covered, Inbox
from fire22.core.message import Message
from fire22.core.position import Position


class Direct:
    """`async for message in direct`: each message once, from the moment on at which `Client.direct` was called.

    It goes on over reconnects. A message counts as handled when the next one is asked for; `Client.position` waits for
    that, and a full inbox holds up the reading, so let go of it with `close` when it is no longer iterated.
    """

    def __init__(self, inbox: Inbox, handled: Position | None, close: Callable[["Direct"], None]) -> None:
        self.inbox = inbox
        self.handled = handled
        self._close = close

    def close(self) -> None:
        """Let go: nothing more comes, and the iteration ends after what has come already."""
        self._close(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while True:
            event = await self.inbox.take()
            if isinstance(event, Message):
                return event
            if isinstance(event, Covered):
                self.handled = event.position

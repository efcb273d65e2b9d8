"""Audit trails for tests: one that keeps what it is told, and one that forgets it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from fire22.core.audit import Audited, decode_audited
from fire22.core.errors import Fire22Error
from fire22.core.event import EncodedEvent, decode_event
from fire22.security.audit import Audit


class Book:
    """Stands for the log: keeps what is appended in it, unless it is told to fail.

    Attributes:
        events: appended so far, in their order.
        appends: how many calls took them.
        failure: what an append fails with in the future; `refusal`, at once.
    """

    def __init__(self) -> None:
        self.events: list[EncodedEvent] = []
        self.appends = 0
        self.failure: Fire22Error | None = None
        self.refusal: Fire22Error | None = None

    def append(self, events: Sequence[EncodedEvent]) -> "asyncio.Future[Any]":
        """See Log."""
        if self.refusal is not None:
            raise self.refusal
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
            return future
        self.appends += 1
        known = {event.id for event in self.events}
        self.events += [event for event in events if event.id not in known]
        future.set_result([])
        return future

    @property
    def entries(self) -> list[Audited]:
        """What was noted."""
        return [decode_audited(decode_event(event.body).data) for event in self.events]

    @property
    def told(self) -> list[dict[str, Any]]:
        """The same, as a reader of the log sees it."""
        return [msgspec.json.decode(decode_event(event.body).data) for event in self.events]


def unaudited() -> Audit:
    """An audit trail that nobody reads."""
    return Audit(Book().append, asyncio.get_running_loop(), now_ms=lambda: 0)

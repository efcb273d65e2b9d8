"""People who sign in, on a store in memory."""

from collections.abc import Callable
from typing import Any

from fire22.core.role import Kind
from fire22.security.people import People
from fire22.security.revocation import Revocation
from fire22.store.base import Store
from tests.support.memory_store import MemoryStore

KINDS: dict[str, Kind] = {"agent": "agent", "customer": "customer", "service": "machine"}


def people(now_ms: Callable[[], int] = lambda: 0, store: Store | None = None, **more: Any) -> People:
    """Nobody yet; a session ends after an hour without use, or a day."""
    kept = MemoryStore(now_ms) if store is None else store
    return People(
        kept,
        Revocation(kept, now_ms=now_ms),
        kind_of=lambda role: KINDS.get(role, "staff"),
        idle_s=3_600,
        absolute_s=86_400,
        now_ms=now_ms,
        **more,
    )

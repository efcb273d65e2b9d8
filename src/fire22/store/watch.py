"""Notices what other processes write to the store, such as the program's own commands, while the server runs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

from fire22.core.errors import StorageError
from fire22.observability.logging import get_logger

LOOK_S: Final = 0.25


class Watched(Protocol):
    """A store that others may write to."""

    async def changed_elsewhere(self) -> bool:
        """Whether another process may have written since the last call; True once too often does no harm."""


Load = Callable[[], Awaitable[object]]  # takes what the store holds


async def watch(store: Watched, loads: Iterable[Load]) -> None:
    """Have everything that is kept of the store in memory loaded again when it has changed; without end.

    Args:
        loads: what loads; each is called alone, in order.
    """
    loads = tuple(loads)
    missed = False
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            missed = await store.changed_elsewhere() or missed
            if missed:
                for load in loads:
                    await load()
                missed = False
        except StorageError as error:
            if not error.temporary:
                raise
            get_logger().warning("the store cannot be read now", code=error.code.name)

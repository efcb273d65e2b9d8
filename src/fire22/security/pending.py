"""Brings the notes that the program's own commands leave in the store (`leaving.py`) into the log.

The event of a note keeps its id and time, so that one that is brought in twice, after a crash, is one entry.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from fire22.core import codes
from fire22.core.audit import AUDITED, decode_audited
from fire22.core.errors import Fire22Error, RequestError, StorageError
from fire22.core.event import EncodedEvent, decode_event
from fire22.security.audit import Append
from fire22.security.leaving import ROWS
from fire22.store.base import CHANGES_MAX, Delete, Item, Store

RETRY_S: Final = 1.0


class Pending:
    """Brings the notes that were left into the log.

    Args:
        append: see `Audit`.
    """

    def __init__(self, store: Store, append: Append) -> None:
        self._store = store
        self._append = append
        self._due = asyncio.Event()
        self._due.set()

    async def load(self) -> None:
        """Look soon: another process has written to the store."""
        self._due.set()

    async def run(self, failed: Callable[[Fire22Error], None]) -> None:
        """Bring in what has been left and what will be, without end.

        Args:
            failed: told of what is tried again, and of notes that could not be used.

        Raises:
            StorageError: the store is damaged.
        """
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                while await self._bring(failed):
                    pass
            except Fire22Error as error:
                if isinstance(error, StorageError) and not error.temporary:
                    raise
                failed(error)
                await asyncio.sleep(RETRY_S)
                self._due.set()

    async def _bring(self, failed: Callable[[Fire22Error], None]) -> bool:
        """Bring in the oldest, and remove their rows once they are durable; whether there were any."""
        rows = await self._store.list(ROWS, limit=CHANGES_MAX)
        for row in rows:
            event = _event_of(row)
            if event is None:
                failed(StorageError(codes.EVENT_INVALID, f"The row {row.key} of the store is no audit note."))
                continue
            try:
                await self._append([event])
            except RequestError as error:
                if error.code is not codes.ID_CONFLICT:
                    raise
                failed(error)  # not one of ours, whose ids are random
        if rows:
            await self._store.write(*(Delete(row.key) for row in rows))
        return bool(rows)


def _event_of(row: Item) -> EncodedEvent | None:
    """The note in a row; None where there is none."""
    try:
        event = decode_event(row.value)
        decode_audited(event.data)
    except msgspec.MsgspecError:
        return None
    return EncodedEvent(event.id, row.value) if event.type == AUDITED else None

"""Where a server keeps what it has accepted and said: the log and the feed, opened and closed together.

Another kind of storage is another class with these attributes, made by `app.py` in place of this one.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from fire22.feed.sqlite import SqliteFeed
from fire22.log.cipher import PLAIN, Cipher
from fire22.log.file import open_file, set_stopped
from fire22.log.people import People, check_setting
from fire22.log.rows import check_key
from fire22.log.sqlite import SqliteLog
from fire22.log.writer import Writer


class EmbeddedStorage:
    """One SQLite file with one writer: the log, and the feed beside it.

    Until `start`, nothing is written but by `feed.begin`.

    Args:
        path: the file; it is created where there is none.
        group_ms: the longest that an append gathers company.
        pending_max: events that may wait for the disk.
        ring_bytes_max: memory for the recent part of the feed.
        vfs: the name of SQLite's file layer; None is its own.
        cipher: what the bodies of the rows are encrypted with.
        erasable: whether what is personal is sealed by keys that can be erased (`log/people.py`).

    Attributes:
        seals: what encrypts those keys; None where there are none.

    Raises:
        StorageError: see `open_file`; `encryption_key_missing`.
        SetupError: `config_invalid`, what was stored was not stored so.
    """

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        *,
        group_ms: float,
        pending_max: int,
        ring_bytes_max: int,
        vfs: str | None = None,
        cipher: Cipher = PLAIN,
        erasable: bool = False,
    ) -> None:
        self.connection = open_file(path, vfs=vfs, cipher=cipher)
        check_key(self.connection)
        self.writer = Writer(self.connection, loop, group_ms=group_ms)
        self.log = SqliteLog(self.writer, self.connection, path, loop, pending_max=pending_max, vfs=vfs)
        check_setting(path.parent, erasable=erasable, begun=self.log.last_seq > 0)
        self.seals = cipher if erasable else None
        self._people = People(path.parent, cipher) if erasable else None
        self.feed = SqliteFeed(self.writer, self.connection, path, loop, ring_bytes_max=ring_bytes_max, vfs=vfs)

    @property
    def opened(self) -> Callable[[bytes], bytes] | None:
        """What opens the texts of a message that are sealed; None where none are."""
        return None if self._people is None else self._people.open

    def start(self) -> None:
        """Begin to write; `connection` is the writer's own from here on."""
        set_stopped(self.connection, "")  # this start tries again
        self.writer.start()

    def note_stopped(self, what: str) -> None:
        """Remember, for whoever looks at the storage, where the figures stop and why."""
        self.writer.submit(lambda connection: set_stopped(connection, what))

    def close(self) -> None:
        """Write what is queued, and close."""
        self.log.close()
        self.feed.close()
        self.writer.close()
        if self._people is not None:
            self._people.close()

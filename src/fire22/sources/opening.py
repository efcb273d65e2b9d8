"""Makes the source of a book: read in a process of its own, or in a thread of this one."""

from collections.abc import Callable
from pathlib import Path

from fire22.log.base import Log
from fire22.log.cipher import Cipher
from fire22.sources import wire
from fire22.sources.kinds import BookAt
from fire22.sources.pipeline import BookSource, ThreadedBook, Told
from fire22.sources.process import ProcessBook
from fire22.sources.reading import Pace
from fire22.sources.sealing import sealed_book


def open_book(
    book: BookAt,
    log: Log,
    told: Told,
    *,
    folder: Path,
    pace: Pace,
    apart: bool,
    now_ms: Callable[[], int],
    seals: Cipher | None = None,
) -> BookSource:
    """The source of a book; nothing is read before it runs.

    Args:
        told: is called about what the reader meets.
        folder: where the mirror lies.
        apart: whether a process of its own reads it; that goes by the system's clock.
        now_ms: the wall clock.
        seals: what encrypts the keys that what is personal is sealed with; None where it is not sealed.

    Raises:
        Fire22Error: the domain cannot be made.
    """
    if apart:
        keys = None if seals is None else seals.keys
        return ProcessBook(book.make()[0], log, told, wire.Begin(book, str(folder.absolute()), pace, keys))
    database, domain = sealed_book(book, folder, seals)
    return ThreadedBook(database, log, told, domain=domain, folder=folder, pace=pace, now_ms=now_ms)

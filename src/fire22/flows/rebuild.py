"""Makes all that follows from the log again, in a new file: for a file whose feed, documents or state are damaged."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fire22.feed.rows import begin_again, read_state, write_batch
from fire22.flows.engine import Engine
from fire22.flows.replay_check import read_groups
from fire22.log.cipher import PLAIN, Cipher
from fire22.log.database import storage_errors
from fire22.log.file import open_file
from fire22.log.maintenance import extract, put_in_place

DAMAGED = ".damaged"  # the ending under which the damaged file is kept


def rebuild(
    path: Path,
    engine: Engine,
    told: Callable[[int, int], None] = lambda _done, _all: None,
    cipher: Cipher = PLAIN,
) -> int:
    """Fold the log of a file that nobody has open into a new one, and put that in its place.

    The feed's epoch is new: clients take a snapshot.

    Args:
        engine: fresh.
        told: how many events have been folded, and of how many.
        cipher: of the file.

    Returns:
        How many events there are.

    Raises:
        StorageError: `storage_corrupt`, the log itself is damaged; nothing was changed.
    """
    fresh = path.with_name(path.name + ".repaired")
    count = extract(path, fresh)
    with storage_errors(), closing(open_file(fresh, cipher=cipher)) as connection:
        begin_again(connection, fresh, engine.shape)
        for group in read_groups(connection, count):
            with connection:
                folded = engine.fold_group(group, lambda: read_state(connection))
                write_batch(connection, folded.batch, folded.rows)
            engine.rejected.clear()
            told(group.last, count)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    put_in_place(fresh, path, DAMAGED)
    return count

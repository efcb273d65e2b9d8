"""Shows that the feed is a function of the log: folds the whole log anew and compares, byte for byte."""

from collections.abc import Iterator

import apsw
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.feed.base import encode_entries
from fire22.feed.sqlite import read_checkpoint
from fire22.flows.engine import Engine
from fire22.log.base import Group
from fire22.log.file import query


class ReplayReport(Struct, frozen=True):
    """What was folded and compared."""

    events: int
    records: int


def check_replay(connection: apsw.Connection, engine: Engine) -> ReplayReport:
    """Fold the log from its beginning with a fresh engine and compare with the feed that is kept.

    Raises:
        StorageError: `storage_corrupt` names the first record that differs; `storage_failed`, the log does not reach
            back to its first event.
    """
    checkpoint = read_checkpoint(connection)
    kept = query(connection, "SELECT offset, topic, seq, idx, cnt, at_ms, body FROM feed ORDER BY offset")
    expected = next(kept, None)
    compared = 0
    for group in _groups(connection, checkpoint.seq):
        for record in engine.fold_group(group).records:
            if expected is None or record.offset < expected[0]:
                continue  # no longer kept
            body = encode_entries(record.entries)
            made = (record.offset, record.topic, record.seq, record.index, record.count, record.at_ms, body)
            if made != expected:
                raise StorageError(
                    codes.STORAGE_CORRUPT,
                    f"Record {record.offset} on {record.topic} is not what the log gives with this version's flows.",
                )
            compared += 1
            expected = next(kept, None)
    if expected is not None:
        raise StorageError(codes.STORAGE_CORRUPT, f"Record {expected[0]} in the feed does not come from the log.")
    return ReplayReport(engine.checkpoint.seq, compared)


def _groups(connection: apsw.Connection, upto: int) -> Iterator[Group]:
    number, first, bodies = 0, 0, list[bytes]()
    for seq, group, body in query(connection, "SELECT seq, grp, body FROM log WHERE seq <= ? ORDER BY seq", (upto,)):
        if not bodies and seq != 1 and not first:
            raise StorageError(codes.STORAGE_FAILED, "The log does not reach back to its first event.", temporary=False)
        if group != number:
            if bodies:
                yield Group(first, tuple(bodies))
            number, first, bodies = group, seq, []
        bodies.append(body)
    if bodies:
        yield Group(first, tuple(bodies))

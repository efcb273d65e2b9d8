"""Shows that the feed is a function of the log: folds the whole log anew and compares, byte for byte."""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import TypeVar

import apsw
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.feed.base import Archived, Document
from fire22.feed.rows import each_record, read_archive, read_checkpoint, read_documents, read_state
from fire22.flows.engine import Engine
from fire22.flows.replica import Replica
from fire22.log.base import Group
from fire22.log.rows import committed_ms, read_rows

Key = TypeVar("Key", bound=tuple[str, ...])


class ReplayReport(Struct, frozen=True):
    """What was folded and compared."""

    events: int
    records: int


def check_replay(connection: apsw.Connection, engine: Engine) -> ReplayReport:
    """Fold the log from its beginning with a fresh engine and compare with all that is kept of the feed.

    Compared are the records (retention may have taken the oldest), the views' documents, the archive, the flows' state
    and the checkpoint.

    Raises:
        StorageError: `storage_corrupt` names the first thing that differs; `storage_failed`, the log does not reach
            back to its first event.
    """
    checkpoint = read_checkpoint(connection)
    kept = each_record(connection)
    expected = next(kept, None)
    compared = 0
    documents: dict[tuple[str, str, str], Document] = {}
    replica = Replica(engine)
    archive: dict[tuple[str, str, str, int], bytes] = {}
    for group in read_groups(connection, checkpoint.seq):
        batch = replica.fold(group)
        documents.update(((each.topic, each.scope, each.key), each) for each in batch.documents)
        archive.update((_name(each), _digest(each)) for each in batch.archived)
        for record in batch.records:
            if not compared and (expected is None or record.offset < expected.offset):
                continue  # no longer kept
            # Compared as read: a record of an older version lacks the fields that came later.
            if record != expected:
                raise _differs(f"Record {record.offset} on {record.topic}")
            compared += 1
            expected = next(kept, None)
    if expected is not None:
        raise StorageError(codes.STORAGE_CORRUPT, f"Record {expected.offset} in the feed does not come from the log.")
    if engine.checkpoint != checkpoint:
        raise _differs("The checkpoint of the feed")
    _compare(replica.rows, {(table, key): value for table, key, value in read_state(connection)}, "State")
    # Of removed documents retention leaves the newest alone.
    kept_documents = {(each.topic, each.scope, each.key): each for each in read_documents(connection)}
    made = {key: each for key, each in documents.items() if each.body is not None or key in kept_documents}
    _compare(made, kept_documents, "Document")
    _compare_archive(archive, connection)
    return ReplayReport(engine.checkpoint.seq, compared)


def _compare(made: Mapping[Key, object], kept: Mapping[Key, object], what: str) -> None:
    for key in sorted({*made, *kept}):
        if made.get(key) != kept.get(key):
            raise _differs(f"{what} {' '.join(key)}")


def _compare_archive(made: dict[tuple[str, str, str, int], bytes], connection: apsw.Connection) -> None:
    """The kept documents pass one by one: there may be more of them than memory."""
    for each in read_archive(connection):
        if made.pop(_name(each), None) != _digest(each):
            raise _differs(f"The archive's {_words(_name(each))}")
    for name in made:
        raise _differs(f"The archive's {_words(name)}")


def _name(archived: Archived) -> tuple[str, str, str, int]:
    return archived.topic, archived.scope, archived.key, archived.revision


def _digest(archived: Archived) -> bytes:
    return hashlib.blake2b(b"%d %b" % (archived.at_ms, archived.body), digest_size=16).digest()


def _words(name: tuple[str, str, str, int]) -> str:
    topic, scope, key, revision = name
    return f"{topic} {scope} {key}, revision {revision},"


def _differs(what: str) -> StorageError:
    return StorageError(codes.STORAGE_CORRUPT, f"{what} is not what the log gives with this version's flows.")


def read_groups(connection: apsw.Connection, upto: int) -> Iterator[Group]:
    """The commit groups of a file's log, from the first event on.

    Raises:
        StorageError: `storage_failed`, the log does not reach back to its first event.
    """
    number, first, bodies = 0, 0, list[bytes]()
    for seq, group, _, _, body in takewhile(lambda row: row[0] <= upto, read_rows(connection)):
        if not bodies and seq != 1 and not first:
            raise StorageError(codes.STORAGE_FAILED, "The log does not reach back to its first event.", temporary=False)
        if group != number:
            if bodies:
                yield Group(first, tuple(bodies), committed_ms(number))
            number, first, bodies = group, seq, []
        bodies.append(body)
    if bodies:
        yield Group(first, tuple(bodies), committed_ms(number))

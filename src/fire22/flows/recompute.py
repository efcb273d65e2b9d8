"""Works out archived documents anew from the log, and says each difference to what is archived."""

from collections.abc import Iterator

import apsw
import msgspec
from msgspec import Struct

from fire22.core.message import Json
from fire22.feed.base import Archived, after_all
from fire22.feed.rows import read_archive, read_checkpoint
from fire22.flows.engine import Engine
from fire22.flows.replay_check import read_groups
from fire22.flows.replica import Replica

_encode = msgspec.json.Encoder().encode


class Wanted(Struct, frozen=True):
    """Which documents: of a topic and scope, with the keys that begin with `key`."""

    topic: str
    scope: str
    key: str

    def covers(self, archived: Archived) -> bool:
        """Whether a document is one of them."""
        place = (archived.topic, archived.scope)
        return place == (self.topic, self.scope) and archived.key.startswith(self.key)


class Difference(Struct, frozen=True):
    """What a document of the archive says otherwise than the log."""

    key: str
    revision: int
    what: str


class Recomputed(Struct, frozen=True):
    """The documents as the log gives them, every revision, and how the archive differs."""

    events: int
    documents: list[Archived]
    differences: list[Difference]


def read_wanted(connection: apsw.Connection, wanted: Wanted) -> list[Archived]:
    """The documents as they are archived, by key and revision.

    Raises:
        StorageError: `storage_corrupt` names a damaged document.
    """
    where = "WHERE topic = ? AND scope = ? AND key >= ? AND key < ? ORDER BY key, revision"
    return list(read_archive(connection, where, (wanted.topic, wanted.scope, wanted.key, after_all(wanted.key))))


def recompute(connection: apsw.Connection, engine: Engine, wanted: Wanted) -> Recomputed:
    """Fold the log from its beginning with a fresh engine and compare; a server may run on the file meanwhile.

    Raises:
        StorageError: `storage_failed`, the log does not reach back to its first event; `storage_corrupt`.
    """
    connection.execute("BEGIN")  # one state of the file, whatever is written meanwhile
    try:
        made: dict[tuple[str, int], Archived] = {}
        replica = Replica(engine)
        for group in read_groups(connection, read_checkpoint(connection).seq):
            found = (each for each in replica.fold(group).archived if wanted.covers(each))
            made.update(((each.key, each.revision), each) for each in found)
        kept = {(each.key, each.revision): each for each in read_wanted(connection, wanted)}
    finally:
        connection.execute("ROLLBACK")
    documents = [made[name] for name in sorted(made)]
    differences = [
        Difference(key, revision, what)
        for key, revision in sorted({*made, *kept})
        for what in _differences(kept.get((key, revision)), made.get((key, revision)))
    ]
    return Recomputed(engine.checkpoint.seq, documents, differences)


def _differences(kept: Archived | None, made: Archived | None) -> Iterator[str]:
    if kept is None or made is None:
        yield "is not archived" if kept is None else "is archived, and the log does not give it"
        return
    archived, anew = _fields(kept), _fields(made)
    for name in dict.fromkeys([*archived, *anew]):
        one, other = archived.get(name), anew.get(name)
        if one != other:
            yield f"{name} is archived as {_shown(one)}, and the log gives {_shown(other)}"


def _fields(archived: Archived) -> dict[str, Json]:
    return msgspec.json.decode(archived.body, type=dict[str, Json])


def _shown(value: Json) -> str:
    return "nothing" if value is None else _encode(value).decode()

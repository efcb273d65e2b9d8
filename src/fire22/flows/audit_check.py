"""Checks the audit trail in a file: recomputes hashes, chain and tree from the log, and compares with what was kept.

Compared are the archived document of every entry, and every signed head. Each finds what the other cannot: a document
names the first entry that was changed, a head finds that entry and document were changed together.
"""

from collections.abc import Callable, Iterator

import apsw
import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.audit import AUDITED, HEAD, TOPIC, Head, entry_bytes
from fire22.core.errors import StorageError
from fire22.core.event import Event, decode_event
from fire22.core.merkle import Tree, leaf
from fire22.core.scope import ROOT
from fire22.feed.rows import read_archive
from fire22.flows.trail import key_of, link
from fire22.log.rows import read_rows

_HINTS = (AUDITED.encode(), HEAD.encode())


class Entry(Struct, frozen=True):
    """One entry, as it is in the log."""

    number: int
    seq: int
    event: Event
    hash: bytes
    chain: bytes


class Read(Struct):
    """The trail as the log gives it.

    Attributes:
        heads: the signed heads with the seq of each, in their order.
    """

    entries: list[Entry]
    tree: Tree
    heads: list[tuple[int, Head]]


def read(connection: apsw.Connection) -> Read:
    """Read the trail from the log.

    Raises:
        StorageError: `storage_corrupt` names the damaged event.
    """
    found = Read([], Tree(), [])
    chain = b""
    for seq, event in _events(connection):
        if event.type == HEAD:
            try:
                found.heads.append((seq, msgspec.json.decode(event.data, type=Head)))
            except msgspec.MsgspecError:
                raise _wrong(f"The head in event {seq} is none") from None
            continue
        hash = leaf(entry_bytes(event))
        chain = link(chain, hash)
        found.tree.append(hash)
        found.entries.append(Entry(len(found.entries) + 1, seq, event, hash, chain))
    return found


def check(
    connection: apsw.Connection,
    found: Read,
    *,
    is_signed: Callable[[Head], bool],
    key: str | None = None,
    kept: Head | None = None,
) -> None:
    """Compare the trail with its documents, its signed heads, and a head that was kept elsewhere.

    Args:
        is_signed: whether a head's signature is by the key that it names.
        key: the only key that heads may be signed with; None takes any.
        kept: a head that was exported before.

    Raises:
        StorageError: `storage_corrupt` names the first entry that does not fit.
    """
    documents = {each.key: each.body for each in read_archive(connection) if (each.topic, each.scope) == (TOPIC, ROOT)}
    for entry in found.entries:
        body = documents.pop(key_of(entry.number), None)
        told = msgspec.json.decode(body, type=_Hashes) if body is not None else None
        if told != _Hashes(entry.hash.hex(), entry.chain.hex()):
            what = "has no document" if told is None else "is not what it was, or stands elsewhere"
            raise _wrong(f"Audit entry {entry.number} (event {entry.seq}) {what}")
    if documents:
        raise _wrong(f"Audit entry {int(min(documents))} is missing in the log")
    heads = [(f"the head in event {seq}", head) for seq, head in found.heads]
    if kept is not None:
        heads.append(("the head that was kept", kept))
    fits = 0
    for name, head in sorted(heads, key=lambda each: each[1].size):
        if (key is not None and head.key != key) or not is_signed(head):
            raise _wrong(f"The signature of {name} is not by the key of the trail")
        if head.size > len(found.entries):
            raise _wrong(f"Audit entry {len(found.entries) + 1} is missing: {name} is of {head.size} entries")
        same = head.size == 0 or found.entries[head.size - 1].chain.hex() == head.chain
        if not same or found.tree.root(head.size).hex() != head.root:
            raise _wrong(f"An audit entry from {fits + 1} to {head.size} is not what it was: {name} does not fit")
        fits = head.size


class _Hashes(Struct):
    hash: str
    chain: str


def _events(connection: apsw.Connection) -> Iterator[tuple[int, Event]]:
    for seq, _, _, _, body in read_rows(connection):
        if any(hint in body for hint in _HINTS):
            event = decode_event(body)
            if event.type in (AUDITED, HEAD):
                yield seq, event


def _wrong(what: str) -> StorageError:
    return StorageError(codes.STORAGE_CORRUPT, f"{what}.")

"""Lanes and cohorts: what connections share.

A lane is (topic, scope, filter, delta, codec). Its new messages are encoded and framed once for each flush. A cohort is
the set of live connections that follow the same lanes; they share the joined bytes too.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core.filter import Filter
from fire22.core.message import Json, message_tail, stream_head
from fire22.core.patch import diff
from fire22.core.times import to_text
from fire22.feed.base import Document, Entry
from fire22.hub.codec import Codec

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Json]).decode


class LaneKey(Struct, frozen=True):
    """What makes two subscriptions the same lane."""

    topic: str
    scope: str
    filter: Filter | None
    delta: bool
    codec: str


class Change(Struct, frozen=True):
    """A view's document before and after a flush; `before` is None where it is new."""

    before: Document | None
    after: Document


class Subscriber(ABC):
    """A connection as the hub sees it; gateways derive theirs from it.

    `cohort` is set while it is live, `cursors` while it is catching up: for each of its lanes the offset up to which
    it has everything. A live connection holds nothing of its own.
    """

    __slots__ = ("cohort", "cursors", "paused")

    codec: Codec

    def __init__(self) -> None:
        self.cohort: Cohort | None = None
        self.cursors: dict[Lane, int] | None = None
        self.paused = False

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Hand bytes to the transport; never waits, never fails."""

    @abstractmethod
    def overtaken(self) -> None:
        """What it has yet to read is no longer kept: end the connection; it comes back and is told what it lost."""

    @property
    def lanes(self) -> tuple["Lane", ...]:
        """The lanes that are followed, live or not."""
        if self.cohort is not None:
            return self.cohort.lanes
        return tuple(self.cursors or ())


class Cohort:
    """Live connections that follow the same lanes."""

    __slots__ = ("codec", "lanes", "members", "quiet")

    def __init__(self, lanes: tuple["Lane", ...], codec: Codec) -> None:
        self.lanes = lanes
        self.codec = codec
        self.members: dict[Subscriber, None] = {}
        self.quiet = 0  # calls of `Hub.heartbeat` since something was written


class Lane:
    """One lane: what has come since the last flush, and the cohorts that wait for it.

    Args:
        number: of the lanes of one hub; says whose messages come first in a flush.
    """

    __slots__ = ("changes", "codec", "cohorts", "entries", "followers", "key", "number", "ready")

    def __init__(self, key: LaneKey, codec: Codec, number: int = 0) -> None:
        self.key = key
        self.codec = codec
        self.number = number
        self.entries: list[tuple[int, Entry]] = []
        self.changes: list[Change] = []
        self.cohorts: dict[Cohort, None] = {}
        self.followers = 0
        self.ready = b""

    def pack_new(self, watermark_ms: int) -> int:
        """Make the flush's bytes of what has come; returns the number of messages."""
        messages = self.encode_entries(self.entries, watermark_ms) if self.entries else self.encode_changes()
        self.entries = []
        self.changes = []
        self.ready = self.codec.pack(messages) if messages else b""
        return len(messages)

    def encode_entries(self, entries: Iterable[tuple[int, Entry]], watermark_ms: int) -> list[bytes]:
        """The messages of a stream that pass the filter and have not expired."""
        key = self.key
        passes = key.filter.matches if key.filter else None
        return [
            stream_head(entry.type, to_text(entry.at_ms))
            + entry.data
            + message_tail(key.topic, key.scope, offset, priority=entry.priority)
            for offset, entry in entries
            if (not entry.expires_ms or entry.expires_ms > watermark_ms)
            and not entry.target
            and (passes is None or passes(_decode(entry.data)))
        ]

    def encode_changes(self) -> list[bytes]:
        """The messages of a view's changed documents: patches where the lane takes them."""
        if not self.key.delta:
            return [encode_document(change.after, self.key.scope) for change in self.changes]
        return [_encode_delta(change, self.key.scope) for change in self.changes]


def encode_document(document: Document, scope: str) -> bytes:
    """A message that holds a whole document."""
    return (
        stream_head(document.type, to_text(document.at_ms))
        + _encode(document.body)
        + message_tail(document.topic, scope, document.offset, key=document.key)
    )


def _encode_delta(change: Change, scope: str) -> bytes:
    before, after = change.before, change.after
    if before is None:
        return encode_document(after, scope)
    return (
        stream_head(after.type, to_text(after.at_ms))
        + _encode(diff(before.body, after.body))
        + message_tail(after.topic, scope, after.offset, key=after.key, base=before.offset)
    )

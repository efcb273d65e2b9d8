"""The feed: messages in an order, derived from the log.

One record for each topic and commit group. Its entries are the messages, each with an offset of its own: the entry at
index i has offset `record.offset + i`.

`Feed` is what readers use, in whatever process; `FeedWriter` is the same for the one engine that appends. What a commit
group became has two halves: the batch, which every reader gets, and the changed rows of the flows' state, which are
stored in the same transaction and leave the engine's process never.
"""

from asyncio import Future
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from fire22.core.message import Json


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One message in the feed, before it is addressed to a lane.

    Args:
        path: of a stream's fact; of a view, the exact scope.
        key: the view's document; empty where a scope has only one.
        type: the message's type.
        at_ms: the message's timestamp.
        priority: 0 to 3.
        data: JSON; for a view a merge patch on the document of (path, key) as of offset `base`, or `null`: it is gone.
        base: see `data`; 0 where `data` is the whole document, or of a stream.
        target: `user:<kind>:<id>`, `client:<id>` or `everyone`, for whom alone it is; else empty.
        expires_ms: not delivered later than this; 0 is never.
        was: of a view whose topic declares filterable fields: their values as of `base`, as a JSON object; else empty.
            It tells whether a reader with a filter holds the document.
    """

    path: str
    key: str
    type: str
    at_ms: int
    priority: int
    data: bytes
    base: int = 0
    target: str = ""
    expires_ms: int = 0
    was: bytes = b""


class Record(Struct, frozen=True):
    """What one commit group says on one topic.

    Args:
        offset: of the first entry.
        topic: its name.
        seq: of the group's last event.
        index: of this record among the `count` records of the group.
    """

    offset: int
    topic: str
    seq: int
    index: int
    count: int
    at_ms: int
    entries: tuple[Entry, ...]

    @property
    def last(self) -> int:
        """Offset of the last entry."""
        return self.offset + len(self.entries) - 1


class Document(Struct, frozen=True):
    """A view's document as of `offset`; `body` has no null anywhere, and is None where the document was removed."""

    topic: str
    scope: str
    key: str
    type: str
    offset: int
    at_ms: int
    body: dict[str, Json] | None


class Archived(Struct, frozen=True, gc=False):
    """A document that is kept for ever: a closed period, say. Never loaded, never trimmed; read by key.

    Args:
        scope: exact, as of a view.
        key: sorts as the documents are read.
        revision: the highest of a key is its newest.
        body: a JSON object without a null anywhere.
    """

    topic: str
    scope: str
    key: str
    revision: int
    at_ms: int
    body: bytes


class Checkpoint(Struct, frozen=True):
    """Where the feed stands: the last folded event, the newest message, the watermark."""

    seq: int
    offset: int
    watermark_ms: int


class Rows(Struct, frozen=True, gc=False):
    """What a commit group changed in one table of the flows' state: the engine's own half, which no reader gets.

    Args:
        table: the flow's name and the table's, such as `kpi/scope`.
        changed: (key, value); None removes a row.
    """

    table: str
    changed: list[tuple[str, bytes | None]]


SETTLED: Final = -1  # of a scope in which nothing waits


class Batch(Struct, frozen=True):
    """What one commit group says: appended in one transaction, and delivered to every reader.

    Args:
        seq: of the group's last event: the flows' checkpoint.
        offset: of the newest message after this batch.
        expected: of the newest message before it; a feed that is elsewhere refuses the batch (fences a second engine).
        expected_seq: of the last event before it, likewise; a batch that says nothing moves this alone.
        watermark_ms: every source has been read up to this time.
        documents: the views' documents that changed.
        archived: what joins the archive, in order; the same key and revision again replaces it.
        waiting: (topic, scope, since) where the watermark changed up to which a scope is complete; `SETTLED` where it
            is that of the batch again. An empty scope is all of a topic. Not stored: the flows know it.
    """

    seq: int
    offset: int
    expected: int
    expected_seq: int
    watermark_ms: int
    records: tuple[Record, ...]
    documents: tuple[Document, ...]
    archived: tuple[Archived, ...] = ()
    waiting: tuple[tuple[str, str, int], ...] = ()

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the feed stands with this batch."""
        return Checkpoint(self.seq, self.offset, self.watermark_ms)


StateRow = tuple[str, str, bytes]  # of the flows' state as it is stored: table, key, value


class Stored(NamedTuple):
    """What an engine goes on from: the checkpoint, and the flows' rows and the views' documents as of it."""

    checkpoint: Checkpoint
    rows: Iterable[StateRow]
    documents: Iterable[Document]


def after_all(prefix: str) -> str:
    """The text behind every text that begins with `prefix`."""
    return prefix + "\U0010ffff"


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(tuple[Entry, ...])


def encode_entries(entries: tuple[Entry, ...]) -> bytes:
    """The entries as the feed keeps them."""
    return _encoder.encode(entries)


def decode_entries(body: bytes) -> tuple[Entry, ...]:
    """The entries of a kept record."""
    return _decoder.decode(body)


class Feed(Protocol):
    """What readers use: the hub, the gateways. `tests/contract/test_feed.py` runs against each."""

    @property
    def epoch(self) -> str:
        """The feed's identity."""

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the feed stands."""

    @property
    def lost(self) -> int:
        """Offset of the newest message that is no longer kept; 0 where all are."""

    def read_nowait(self, topic: str, after: int, upto: int, *, records_max: int) -> list[Record] | None:
        """The topic's first records with entries in (after, upto]; None where memory does not hold them."""

    async def read(self, topic: str, after: int, upto: int, *, records_max: int) -> list[Record]:
        """The same from storage: the first `records_max`."""

    def back_nowait(self, topic: str, before: int) -> tuple[Iterator[Record], bool]:
        """The topic's records in memory that begin below `before`, newest first; and whether no others are kept."""

    async def read_back(self, topic: str, before: int, *, records_max: int) -> list[Record]:
        """The topic's newest `records_max` records that begin below `before`, newest first, from storage."""

    def documents(self) -> list[Document]:
        """Every view's documents as of the checkpoint, the removed ones too as long as the feed reaches back to them;
        read once at start."""

    async def archived(
        self,
        topic: str,
        scope: str,
        *,
        key_from: str = "",
        key_to: str | None = None,
        every_revision: bool = False,
        after: tuple[str, int] | None = None,
        limit: int,
    ) -> list[Archived]:
        """A page of a scope's archive from storage, by key and then revision.

        Args:
            key_from: the first key.
            key_to: the last, with all that begin with it; None is the end.
            every_revision: whether the older revisions of a key come too.
            after: the key and the revision of the last one had.
            limit: how many at most.
        """

    def on_batch(self, deliver: Callable[[Batch], None]) -> None:
        """Call `deliver` in the event loop with each batch that has become durable, in order."""


class FeedWriter(Feed, Protocol):
    """The feed for the one engine that appends to it; `tests/contract/test_feed.py` runs against each."""

    def begin(self, shape: str) -> bool:
        """Before anything else: where flows of another shape made what is stored, forget all that follows from the log.

        The feed then begins anew, with another epoch, since what it says may differ from what was said before.

        Args:
            shape: the engine's, see `Engine.shape`.

        Returns:
            Whether there was something to forget.

        Raises:
            StorageError: `storage_failed`, the log does not reach back to its first event.
        """

    def load(self) -> Stored:
        """What the engine goes on from; read once, before the first batch. Rows of one table come together.

        Raises (also while the rows are read, one by one):
            StorageError: `storage_corrupt` names the damaged row.
        """

    async def state(self) -> Iterable[StateRow]:
        """The flows' rows as of the last batch that is durable, those of one table together."""

    def append(self, batch: Batch, changed: tuple[Rows, ...] = ()) -> "Future[None]":
        """Write a batch and the rows that changed with it, or nothing.

        The future is done once both are durable and the listeners have the batch. Batches become durable in the order
        in which they are appended; one behind a batch that failed is refused.

        Raises (in the future):
            StorageError: `feed_moved`, the feed is not where the batch expects it; otherwise `temporary` tells whether
                to try again.
        """

    def trim(self, *, before_ms: int, bytes_max: int, records_max: int = 500) -> "Future[int]":
        """Delete the oldest records that are too old or too much; documents, state and archive stay.

        Args:
            before_ms: records whose time is earlier go.
            bytes_max: of all kept records; beyond it the oldest go.
            records_max: at most so many in one call, so that nothing waits long.

        Returns (in the future): how many were deleted; call again until it is 0.
        """

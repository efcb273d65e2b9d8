"""The history of a lane: blocks for those who are behind, snapshots for those who begin, history for those who ask.

All read the shared feed, from memory or, where a `Need` asks for it, from storage. What was encoded for one is kept for
the next by (lane, range of offsets): readers who were cut off together ask for the same ranges, and in between ranges
are aligned, so that readers who stand anywhere meet in the same blocks.
"""

from bisect import bisect_right
from collections.abc import Callable, Generator
from itertools import islice
from typing import TypeVar

from msgspec import Struct

from fire22.core.filter import Filter
from fire22.core.scope import covers
from fire22.core.topic import Kind, Topic
from fire22.feed.base import Entry, Feed, Record
from fire22.hub.base import LaneKey, Page
from fire22.hub.encoding import Item, passes, whole_message
from fire22.hub.lane import Lane, Skipped
from fire22.hub.mask import Mask, masked_document
from fire22.hub.views import Views, entries_by_key, messages_since

BLOCK_OFFSETS = 512  # a block of a stream ends where the next such range begins, or a wider one
BLOCK_WIDER = 8  # times, while fewer than so many records are in it:
BLOCK_RECORDS_MIN = 16
OFFSETS_END = 1 << 53
BLOCK_RECORDS = 64
PAGE_RECORDS_MAX = 20_000  # how far back a page of a rare lane looks in storage
PIECE_ENTRIES = 64  # of a page, between two pauses ...
PIECE_BYTES = 64 << 10  # ... or so much of its documents
PAGES_BYTES_MAX = 16 << 20  # of pages that are kept between two flushes
_CACHED_BYTES = 400  # what a kept block costs beside its data, about
# Of a page: the topic, scope, filter and mask, before which offset, and how many messages; 0 is all that a view has.
_PageKey = tuple[str, str, Filter | None, Mask, int, int]


class Need(Struct, frozen=True):
    """Records that a cursor needs from storage before it can go on."""

    topic: str
    after: int
    upto: int


Result = TypeVar("Result")
# What is made in pieces: None is a pause; for a Need it is sent the newest BLOCK_RECORDS records below `need.upto`.
Pieces = Generator[Need | None, list[Record] | None, Result]


class Supply(Struct, frozen=True):
    """What was read for a Need: all its records, or the first BLOCK_RECORDS of them."""

    need: Need
    records: list[Record]


class Block(Struct, frozen=True):
    """The next step of a cursor.

    Args:
        data: finished frames; empty where the range has nothing for the lane.
        count: of the messages in it.
        end: the offset that it reaches.
        skipped: what a lossy lane leaves out instead.
    """

    data: bytes
    count: int
    end: int
    skipped: Skipped | None = None


class History:
    """Reads what was: encoded blocks, and pages.

    Args:
        views: the documents as of the flushed offset.
        watermark_ms: the feed's own clock, for what has expired.
        bytes_max: memory for kept blocks.
    """

    def __init__(
        self, feed: Feed, topics: dict[str, Topic], views: Views, watermark_ms: Callable[[], int], bytes_max: int
    ) -> None:
        self._feed = feed
        self._topics = topics
        self._views = views
        self._watermark_ms = watermark_ms
        self._bytes_max = bytes_max
        self._bytes = 0
        self._cache: dict[tuple[LaneKey, int, int], Block] = {}
        self._pages: dict[_PageKey, Page] = {}  # as of one flushed offset and watermark
        self._pages_at = (-1, -1)
        self._pages_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Memory that kept blocks take, about."""
        return self._bytes

    # Those who are behind.

    def horizon(self, topic: str) -> int:
        """The lowest cursor from which everything that is missing can still be read.

        A view is a state: whatever became of its documents, those of now are all there is to know, as long as it is
        known which are gone.
        """
        is_view = self._topics[topic].kind is Kind.VIEW
        return self._views.forgotten(topic) if is_view else self._feed.lost

    def block(self, lane: Lane, cursor: int, upto: int, supplied: Supply | None) -> Block | Need | None:
        """The next step of a cursor towards `upto`, what it needs from storage for that, or None: it is gone."""
        key = lane.key
        is_view = self._topics[key.topic].kind is Kind.VIEW
        kept = self._cache.get((key, cursor, upto)) if is_view else None
        if kept is not None:
            return kept
        if cursor < self.horizon(key.topic):
            return None
        records = self._feed.read_nowait(key.topic, cursor, upto, records_max=BLOCK_RECORDS)
        if is_view:
            return self._view_block(lane, cursor, upto, records)
        if records is not None:
            return self._stream_block(lane, cursor, records, upto)
        if supplied is not None and (supplied.need.topic, supplied.need.after) == (key.topic, cursor):
            # The records reach only as far as was asked for; the live edge may have moved on since.
            return self._stream_block(lane, cursor, supplied.records, supplied.need.upto)
        return Need(key.topic, cursor, upto)

    def skip(self, lane: Lane, cursor: int, upto: int, supplied: Supply | None) -> Block | Need | None:
        """As `block`, for a lossy lane: count what is there instead of sending it."""
        records = self._feed.read_nowait(lane.key.topic, cursor, upto, records_max=BLOCK_RECORDS)
        if records is None:
            if cursor < self.horizon(lane.key.topic):
                return None
            if supplied is None or (supplied.need.topic, supplied.need.after) != (lane.key.topic, cursor):
                return Need(lane.key.topic, cursor, upto)
            records, upto = supplied.records, supplied.need.upto
        end = min(upto, records[-1].last) if len(records) >= BLOCK_RECORDS else upto
        items = self._items(lane.key, records, cursor, end)
        if not items:
            return Block(b"", 0, end)
        skipped = Skipped(lane.key.topic, lane.key.scope, items[0].offset, items[-1].offset, len(items))
        return Block(b"", 0, end, skipped)

    def whole(self, lane: Lane, cursor: int, upto: int) -> Block | None:
        """All documents of a view that have changed since, whole: for who may hold newer ones than at its cursor, so
        that no patch is known to fit."""
        key = lane.key
        if cursor < self.horizon(key.topic):
            return None
        kept = self._cache.get((key, cursor, -upto))
        if kept is None:
            messages = messages_since(
                self._views.changed_since(key.topic, key.scope, cursor, {}),
                key.filter,
                key.mask,
                delta=False,
                patches=None,
            )
            kept = self._cached((key, cursor, -upto), self._pack(lane, messages, upto))
        return kept

    def _view_block(self, lane: Lane, cursor: int, upto: int, records: list[Record] | None) -> Block:
        """All that has become of the documents since, at once: only their newest state is of interest."""
        key = lane.key
        changed = self._views.changed_since(key.topic, key.scope, cursor, lane.changed)
        whole = records is not None and len(records) < BLOCK_RECORDS
        patches = entries_by_key(records, key.scope, cursor, upto) if records is not None and whole else None
        messages = messages_since(changed, key.filter, key.mask, delta=key.delta, patches=patches)
        return self._cached((key, cursor, upto), self._pack(lane, messages, upto))

    def _stream_block(self, lane: Lane, cursor: int, records: list[Record], upto: int) -> Block:
        """The lane's messages in the records up to the end of an aligned range; records are all there are to `upto`,
        or the first BLOCK_RECORDS of them."""
        if not records:
            return Block(b"", 0, upto)
        first = max(records[0].offset, cursor + 1)
        # A range without messages before it is part of the block, so that who comes from further back meets it too.
        low = max(cursor, first // BLOCK_OFFSETS * BLOCK_OFFSETS - 1)
        end = min(_range_end(first, records), upto)
        if len(records) >= BLOCK_RECORDS:
            end = min(end, records[-1].last)
        kept = self._cache.pop((lane.key, low, end), None)
        if kept is not None:
            self._cache[lane.key, low, end] = kept  # the newest again
            return kept
        items = self._items(lane.key, records, cursor, end)
        addressed = bool(lane.key.to)
        messages = [item.addressed() if addressed else item.message(lane.key.scope, lane.key.mask) for item in items]
        block = self._pack(lane, messages, end)
        # What will expire is not the same for the next reader; what is addressed has only one.
        if addressed or any(item.entry.expires_ms for item in items):
            return block
        return self._cached((lane.key, low, end), block)

    def _items(
        self, key: LaneKey, records: list[Record], after: int, upto: int, before: int | None = None
    ) -> list[Item]:
        watermark_ms = self._watermark_ms()
        upto = upto if before is None else min(upto, before - 1)
        return [
            item
            for record in records
            if record.offset <= upto
            for offset, entry in enumerate(record.entries, start=record.offset)
            if after < offset <= upto and _is_for(key, entry)
            for item in (Item(offset, key.topic, entry),)
            if not item.is_expired(watermark_ms) and (key.filter is None or key.filter.matches(item.fields))
        ]

    def _pack(self, lane: Lane, messages: list[bytes], end: int) -> Block:
        return Block(lane.codec.pack(messages) if messages else b"", len(messages), end)

    def _cached(self, name: tuple[LaneKey, int, int], block: Block) -> Block:
        self._cache[name] = block
        self._bytes += len(block.data) + _CACHED_BYTES
        while self._bytes > self._bytes_max:
            oldest = next(iter(self._cache))
            self._bytes -= len(self._cache.pop(oldest).data) + _CACHED_BYTES
        return block

    # Those who begin, and those who ask: in pieces, so that nothing else waits for the whole.

    def documents(self, key: LaneKey, flushed: int) -> Pieces[Page]:
        """A view's documents that a subscription sees; made once for all who begin between two flushes."""
        name = (key.topic, key.scope, key.filter, key.mask, flushed, 0)
        page = self._kept_page(name, flushed)
        if page is None:
            made_at = self._pages_at
            documents = list(self._views.all(key.topic, key.scope))  # as of now, whatever is flushed meanwhile
            found: list[bytes] = []
            size = 0
            for number, document in enumerate(documents, start=1):
                if passes(key.filter, document.body):
                    found.append(whole_message(masked_document(document, key.mask)))
                    size += len(found[-1])
                if number % PIECE_ENTRIES == 0 or size > PIECE_BYTES:
                    size = 0
                    yield None
            page = Page(b",".join(found), len(found), 0, len(documents))
            self._keep_page(name, page, made_at)
        return page

    def _kept_page(self, name: _PageKey, flushed: int) -> Page | None:
        """The page of who asked for the same since the last flush."""
        at = (flushed, self._watermark_ms())
        if self._pages_at != at:
            self._pages_at, self._pages, self._pages_bytes = at, {}, 0
        return self._pages.get(name)

    def _keep_page(self, name: _PageKey, page: Page, made_at: tuple[int, int]) -> None:
        """Keep it for who asks for the same, unless it is of a former flush, or what is kept is much already."""
        size = len(page.messages) + _CACHED_BYTES
        if self._pages_at == made_at and name not in self._pages and self._pages_bytes + size <= PAGES_BYTES_MAX:
            self._pages[name] = page
            self._pages_bytes += size

    def page(self, key: LaneKey, before: int, last: int, flushed: int) -> Pieces[Page]:
        """A stream's newest `last` messages below an offset; made once for all who ask for them between two flushes."""
        if key.to:
            return (yield from self._read_page(key, before, last))
        name = (key.topic, key.scope, key.filter, key.mask, before, last)
        page = self._kept_page(name, flushed)
        made_at = self._pages_at
        pieces = self._read_page(key, before, last)
        found: list[Record] | None = None
        while page is None:
            try:
                need = pieces.send(found)
            except StopIteration as end:
                page = end.value
                self._keep_page(name, page, made_at)
                break
            found = yield need
            if self._pages_at == made_at:  # many began together, and one of them has made it by now
                page = self._pages.get(name)
        return page

    def _read_page(self, key: LaneKey, before: int, last: int) -> Pieces[Page]:
        found: list[Item] = []
        below, looked, from_storage = before, 0, 0
        is_in_memory = True
        while len(found) < last and from_storage < PAGE_RECORDS_MAX:
            if is_in_memory:
                newest, all_kept = self._feed.back_nowait(key.topic, below)
                records = list(islice(newest, BLOCK_RECORDS))
                is_in_memory = bool(records) or all_kept
                if not is_in_memory:
                    continue
            else:
                records = (yield Need(key.topic, 0, below)) or []
                from_storage += len(records)
            if not records:
                below = 0
                break
            for record in records:
                for upto in range(len(record.entries), 0, -PIECE_ENTRIES):
                    first = max(0, upto - PIECE_ENTRIES)
                    found += self._items(key, [record], record.offset + first - 1, record.offset + upto - 1, before)[
                        ::-1
                    ]
                    looked += upto - first
                    if looked % PIECE_ENTRIES < upto - first:
                        yield None
                    if len(found) >= last:
                        break
                below = record.offset
                if len(found) >= last:
                    break
        if len(found) >= last:
            del found[last:]
            below = found[-1].offset if found else 0
        messages: list[bytes] = []
        for number, item in enumerate(reversed(found), start=1):
            messages.append(item.message(key.scope, key.mask))
            if number % PIECE_ENTRIES == 0:
                yield None
        return Page(b",".join(messages), len(messages), below, looked)


def _range_end(first: int, records: list[Record]) -> int:
    """The end of the aligned range of a block: offsets are sparse, so it is as wide as to hold some records."""
    lasts = [record.last for record in records]
    reach = lasts[-1] if len(records) >= BLOCK_RECORDS else OFFSETS_END
    size = BLOCK_OFFSETS
    end = _aligned_end(first, size)
    while bisect_right(lasts, end) < BLOCK_RECORDS_MIN and size < OFFSETS_END:
        size *= BLOCK_WIDER
        wider = _aligned_end(first, size)
        held = bisect_right(lasts, wider)
        if wider > reach or sum(len(record.entries) for record in records[: held + 1]) > BLOCK_OFFSETS:
            break
        end = wider
    return end


def _aligned_end(offset: int, size: int) -> int:
    return (offset // size + 1) * size - 1


def _is_for(key: LaneKey, entry: Entry) -> bool:
    return entry.target in key.to if key.to else not entry.target and covers(key.scope, entry.path)

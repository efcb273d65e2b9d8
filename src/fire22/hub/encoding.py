"""What a flush writes: a stream's item, a document's change. Each is encoded once, for all lanes that it reaches."""

from collections.abc import Mapping
from typing import Final

import msgspec

from fire22.core.filter import Filter
from fire22.core.message import Json, message_tail, stream_head
from fire22.core.patch import diff
from fire22.core.times import to_text
from fire22.feed.base import Document, Entry
from fire22.hub.mask import UNMASKED, Mask, masked_bytes

EVERYONE: Final = "everyone"
CRITICAL: Final = 3  # the priority of what overtakes

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Json]).decode


class Item:
    """One message of a stream, on its way to some lanes."""

    __slots__ = ("_fields", "_head", "_mask", "_message", "_scope", "entry", "offset", "topic")

    def __init__(self, offset: int, topic: str, entry: Entry) -> None:
        self.offset = offset
        self.topic = topic
        self.entry = entry
        self._fields: Mapping[str, Json] | None = None
        self._head: bytes | None = None
        self._scope = ""
        self._mask = UNMASKED
        self._message = b""  # the message as the scope above saw it through that mask

    @property
    def fields(self) -> Mapping[str, Json]:
        """The payload, for filters."""
        if self._fields is None:
            self._fields = _decode(self.entry.data)
        return self._fields

    def message(self, scope: str, mask: Mask = UNMASKED) -> bytes:
        """The message as the followers of a scope see it, through their mask."""
        if self._scope != scope or self._mask != mask:
            start = self._head_of(masked_bytes(self.entry.data, mask)) if mask else self._start
            self._message = start + message_tail(self.topic, scope, self.offset, priority=self.entry.priority)
            self._scope, self._mask = scope, mask
        return self._message

    def addressed(self) -> bytes:
        """The message as the one to whom it is addressed sees it."""
        target = "" if self.entry.target == EVERYONE else self.entry.target
        return self._start + message_tail(target, "", self.offset, priority=self.entry.priority)

    @property
    def _start(self) -> bytes:
        if self._head is None:
            self._head = self._head_of(self.entry.data)
        return self._head

    def _head_of(self, data: bytes) -> bytes:
        return stream_head(self.entry.type, to_text(self.entry.at_ms)) + data

    def is_expired(self, watermark_ms: int) -> bool:
        """Whether it is no longer to be delivered, by the feed's own clock."""
        return 0 < self.entry.expires_ms <= watermark_ms


class Change:
    """A view's document between two moments: patch, whole or removal, each made when the first lane asks for it.

    Args:
        before: as the reader has it; None or without a body where it has none.
        after: as it is; without a body where it is gone.
    """

    __slots__ = ("_patch", "_removal", "_whole", "after", "before")

    def __init__(self, before: Document | None, after: Document) -> None:
        self.before = before
        self.after = after
        self._patch: bytes | None = None
        self._whole: bytes | None = None
        self._removal: bytes | None = None

    def message(self, filter: Filter | None, *, delta: bool) -> bytes | None:
        """What a reader is sent: a patch or the whole, a removal (it is gone, or left the filter), or nothing."""
        held = self.before is not None and passes(filter, self.before.body)
        if not passes(filter, self.after.body):
            return self.removal if held else None
        return self.patch if held and delta else self.whole

    @property
    def whole(self) -> bytes:
        """The document."""
        if self._whole is None:
            self._whole = whole_message(self.after)
        return self._whole

    @property
    def removal(self) -> bytes:
        """It is gone, for this reader."""
        if self._removal is None:
            self._removal = removal_message(self.after)
        return self._removal

    @property
    def patch(self) -> bytes:
        """What has changed in it. Equal documents give an empty patch: the next one is based on this offset."""
        if self._patch is None:
            if self.before is None or self.before.body is None or self.after.body is None:
                raise AssertionError("a patch is between two documents")
            self._patch = patch_message(self.after, diff(self.before.body, self.after.body), self.before.offset)
        return self._patch


def passes(filter: Filter | None, body: Mapping[str, Json] | None) -> bool:
    """Whether a reader with a filter sees a document in this state."""
    return body is not None and (filter is None or filter.matches(body))


def whole_message(document: Document) -> bytes:
    """A message that holds a whole document."""
    return _message(document, document.body, None)


def patch_message(document: Document, patch: dict[str, Json], base: int) -> bytes:
    """A message that makes the document of what it was as of `base`."""
    return _message(document, patch, base)


def removal_message(document: Document) -> bytes:
    """A message that takes the document away."""
    return _message(document, None, None)


def fields_of(was: bytes) -> Mapping[str, Json]:
    """The filterable fields of a document before an entry, from the entry's `was`."""
    return _decode(was) if was else {}


def _message(document: Document, data: dict[str, Json] | None, base: int | None) -> bytes:
    return (
        stream_head(document.type, to_text(document.at_ms))
        + _encode(data)
        + message_tail(document.topic, document.scope, document.offset, key=document.key, base=base)
    )

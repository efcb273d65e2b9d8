"""The views' documents as of the flushed offset, and what became of them between two offsets."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from fire22.core.filter import Filter
from fire22.core.message import Json
from fire22.core.patch import compose
from fire22.feed.base import Document, Entry, Record
from fire22.hub.encoding import fields_of, passes, patch_message, removal_message, whole_message
from fire22.hub.mask import Mask, masked_document, masked_fields

REMOVED_MAX: Final = 10_000  # removed documents of a topic that are remembered; older readers take a snapshot

_decode: Final = msgspec.json.Decoder(dict[str, Json] | None).decode


class Views:
    """Documents by (topic, scope) and key. One that was removed is remembered with its offset, without a body.

    Args:
        lost: the feed's own: of what was removed up to there, only the last is known.
    """

    def __init__(self, documents: Iterable[Document], lost: int) -> None:
        self._documents: dict[tuple[str, str], dict[str, Document]] = {}
        self._removed: dict[str, dict[tuple[str, str], int]] = {}
        self._forgotten: dict[str, int] = {}
        for document in sorted(documents, key=lambda each: each.offset):
            self.apply(document)
            if document.body is None and document.offset <= lost:
                self._forgotten[document.topic] = document.offset

    def apply(self, document: Document) -> Document | None:
        """A document in its new state; returns what was held."""
        held = self._documents.setdefault((document.topic, document.scope), {})
        before = held.get(document.key)
        held[document.key] = document
        if before is not None and before.body is None:
            self._removed[document.topic].pop((document.scope, document.key), None)
        if document.body is None:
            self._remember_removal(document)
        return before

    def exists(self, topic: str, scope: str) -> bool:
        """Whether a scope has any document."""
        return any(each.body is not None for each in self._documents.get((topic, scope), {}).values())

    def get(self, topic: str, scope: str, key: str) -> Document:
        """A document that was applied."""
        return self._documents[topic, scope][key]

    def find(self, topic: str, scope: str, key: str) -> Document | None:
        """A document that is there now."""
        found = self._documents.get((topic, scope), {}).get(key)
        return found if found is not None and found.body is not None else None

    def all(self, topic: str, scope: str) -> Iterator[Document]:
        """A scope's documents."""
        return (each for each in self._documents.get((topic, scope), {}).values() if each.body is not None)

    def changed_at(self, topic: str, scope: str) -> int:
        """Offset of the newest change of a scope, removals included."""
        held = self._documents.get((topic, scope), {})
        return max((each.offset for each in held.values()), default=0)

    def forgotten(self, topic: str) -> int:
        """Offset of the newest removal that is not remembered: who is behind it cannot be told what is gone."""
        return self._forgotten.get(topic, 0)

    def changed_since(self, topic: str, scope: str, after: int, instead: dict[str, Document | None]) -> list[Document]:
        """The documents that have changed after an offset, oldest first, removals too.

        Args:
            instead: documents that are to be taken as they were (None: there was none).
        """
        held = self._documents.get((topic, scope), {})
        if instead:
            held = {key: document for key, document in {**held, **instead}.items() if document is not None}
        changed = [each for each in held.values() if each.offset > after]
        changed.sort(key=lambda each: each.offset)
        return changed

    def _remember_removal(self, document: Document) -> None:
        removed = self._removed.setdefault(document.topic, {})
        removed[document.scope, document.key] = document.offset
        if len(removed) > REMOVED_MAX:
            scope, key = oldest = next(iter(removed))
            self._forgotten[document.topic] = removed.pop(oldest)
            del self._documents[document.topic, scope][key]


def messages_since(
    documents: Iterable[Document],
    filter: Filter | None,
    mask: Mask,
    *,
    delta: bool,
    patches: dict[str, list[Entry]] | None,
) -> list[bytes]:
    """The messages that bring a reader who is behind up to date.

    Args:
        documents: those that have changed, as they are now; without a body where they are gone.
        patches: by key, the entries since where the reader stands; None where these are not at hand.
    """
    messages = (
        _message_since(each, filter, mask, delta=delta, entries=patches[each.key] if patches is not None else None)
        for each in documents
    )
    return [message for message in messages if message is not None]


def _message_since(
    document: Document, filter: Filter | None, mask: Mask, *, delta: bool, entries: Sequence[Entry] | None
) -> bytes | None:
    first = entries[0] if entries else None
    if not passes(filter, document.body):
        # Where it is not known what the reader holds, it is sent: one row too few is no harm, one too many is.
        unknown = first is None
        held = first is not None and first.base > 0 and (filter is None or filter.matches(fields_of(first.was)))
        return removal_message(document) if unknown or held else None
    whole = whole_message(masked_document(document, mask))
    if not delta or first is None or not entries or not first.base:
        return whole
    if filter is not None and not filter.matches(fields_of(first.was)):
        return whole
    patch = _composed(entries)
    if patch is None:
        return whole
    composed = patch_message(document, masked_fields(patch, mask), first.base)
    return composed if len(composed) < len(whole) else whole


def _composed(entries: Sequence[Entry]) -> dict[str, Json] | None:
    """One patch for all, or None where there is none: it was removed meanwhile, or the patches do not compose."""
    result: dict[str, Json] | None = {}
    for entry in entries:
        patch = _decode(entry.data) if entry.base else None
        if patch is None or result is None:
            return None
        result = compose(result, patch) if result else patch
    return result


def entries_by_key(records: Iterable[Record], scope: str, after: int, upto: int) -> dict[str, list[Entry]]:
    """The entries of each document of a scope in (after, upto]."""
    found: dict[str, list[Entry]] = {}
    for record in records:
        for offset, entry in enumerate(record.entries, start=record.offset):
            if entry.path == scope and after < offset <= upto:
                found.setdefault(entry.key, []).append(entry)
    return found

"""Topics: what can be followed."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

DIRECT: Final = "direct"  # the internal stream of messages that are for somebody alone; see `Entry.target`


class Kind(StrEnum):
    """How a topic's messages relate to each other.

    STREAM: append-only; the scope is a prefix at path boundaries.
    VIEW: documents by (scope, key) with a latest value; the scope is exact. Snapshot, then deltas.
    """

    STREAM = "stream"
    VIEW = "view"


class Topic(Struct, frozen=True):
    """A topic's declaration.

    Args:
        name: as in `target`.
        kind: stream or view.
        filterable: the fields of `data` that a filter may name.
        internal: never served to clients.
        scopes: whether this view's scopes are the tree: a scope is known when it has a document here.
        archived: whether documents of this topic are kept for ever, by key and revision, beside its messages.
        fields: every name at the first level of its messages, documents and answers to questions; empty where others
            decide what it brings.
    """

    name: str
    kind: Kind
    filterable: tuple[str, ...] = ()
    internal: bool = False
    scopes: bool = False
    archived: bool = False
    fields: tuple[str, ...] = ()

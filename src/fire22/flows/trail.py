"""The flow of the audit trail: numbers the entries, chains and hashes them, and publishes them on the topic `audit`.

An entry's document is archived for ever, in the actor's scope and every scope above it. It carries the hash of the
entry and the hash of the chain up to it, so `fire22 audit verify` can name the first entry that is not what it was.
"""

import hashlib
from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.audit import AUDITED, TOPIC, Audited, decode_audited, entry_bytes
from fire22.core.merkle import grow, leaf, root
from fire22.core.message import Json
from fire22.core.scope import ancestors
from fire22.core.times import to_text
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Refused, Table

FILTERABLE: Final = ("action", "outcome", "user", "role", "address", "target")
FIELDS: Final = ("number", "at", *Audited.__struct_encode_fields__, "hash", "chain")
_KEY: Final = "tree"
_encode: Final = msgspec.json.Encoder().encode


class Frontier(Struct, array_like=True):
    """All entries so far, in about log2(n) hashes.

    Args:
        size: how many entries there are.
        chain: the hash of the last link.
        peaks: the roots of the tree's full sub-trees, the largest first.
    """

    size: int = 0
    chain: bytes = b""
    peaks: list[bytes] = []

    @property
    def root(self) -> bytes:
        """The root of the Merkle tree."""
        return root(self.peaks)


def link(chain: bytes, hash: bytes) -> bytes:
    """The next link of the chain."""
    return hashlib.sha256(chain + hash).digest()


class Trail(Flow):
    """Numbers, hashes and publishes the entries of the audit trail."""

    name: ClassVar[str] = "audit"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self.topics = (Topic(TOPIC, Kind.STREAM, FILTERABLE, archived=True, fields=FIELDS),)
        self._rows: Table[Frontier] = Table("frontier", Frontier)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """The frontier of the tree."""
        return (self._rows,)  # type: ignore[return-value]

    @property
    def frontier(self) -> Frontier:
        """All entries so far."""
        return self._rows.get(_KEY) or Frontier()

    def handlers(self) -> dict[str, Handler]:
        """The entries."""
        return {AUDITED: self._entry}

    def _entry(self, fact: Fact) -> None:
        event = fact.event
        try:
            entry = decode_audited(event.data)
        except msgspec.MsgspecError as error:
            raise Refused(codes.EVENT_INVALID, f"This is no audit entry: {error}.") from None
        now = self.frontier
        hash = leaf(entry_bytes(event))
        chain = link(now.chain, hash)
        peaks = list(now.peaks)
        grow(peaks, now.size, hash)
        self._rows.put(_KEY, Frontier(now.size + 1, chain, peaks))
        number = now.size + 1
        document: dict[str, Json] = {"number": number, "at": to_text(event.at_ms)}
        document |= _without_nulls(msgspec.json.decode(event.data))
        document |= {"scope": entry.scope, "outcome": entry.outcome, "hash": hash.hex(), "chain": chain.hex()}
        self.out.stream(TOPIC, entry.scope, "update", fact.at_ms, _encode(document))
        for scope in ancestors(entry.scope):
            self.out.archive(TOPIC, scope, key_of(number), 1, event.at_ms, document)


def key_of(number: int) -> str:
    """The archive's key of an entry: in the order of the numbers."""
    return f"{number:012}"


def _without_nulls(value: Json) -> dict[str, Json]:
    """An object as documents may hold it."""
    cleaned = _cleaned(value)
    if not isinstance(cleaned, dict):
        raise AssertionError("an entry is an object")
    return cleaned


def _cleaned(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _cleaned(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return ["" if inner is None else _cleaned(inner) for inner in value]
    return value


def audited(flows: Iterable[Flow]) -> tuple[int, bytes, bytes]:
    """How many audit entries are folded, the root of their tree, and the end of their chain."""
    (trail,) = (flow for flow in flows if isinstance(flow, Trail))
    frontier = trail.frontier
    return frontier.size, frontier.root, frontier.chain

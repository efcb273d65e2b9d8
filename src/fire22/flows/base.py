"""What a flow is: a pure fold over events that owns some state and says messages.

A flow has no I/O, no clock, no randomness, and never iterates over a set: replaying the log must give the same feed,
byte for byte. It *folds* each event and *flushes* once for each commit group. What it cannot derive again at a restart
it keeps in tables, whose changed rows are stored together with the messages.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from fire22.core.codes import Code
from fire22.core.event import Event
from fire22.core.message import Json
from fire22.core.topic import Topic


class Fact(Struct, frozen=True, gc=False):
    """An event as a flow sees it.

    Args:
        seq: its place in the log.
        at_ms: when it counts, milliseconds since 1970 UTC: when it happened, or the watermark if it is from the future.
        event: as it was accepted.
        data: the event's data, read as the domain's type for it; None where the domain knows none. A handler of one
            type of event may rely on its type; one of several asks for it (`expect`).
        future: its own time is later than anything the log knows of time; see the engine.
    """

    seq: int
    at_ms: int
    event: Event
    data: Any
    future: bool = False


class Refused(Exception):
    """A fact contradicts what is known: it is set aside as a dead letter, and no other flow sees it.

    Only the first flow that handles a type of event may raise it, before it has changed anything.

    Args:
        code: why, for programs.
        reason: why, for a person; one sentence.
        evidence: what is known, beside what the fact says.
    """

    def __init__(self, code: Code, reason: str, **evidence: Json) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.evidence = evidence


class Repeated(Exception):
    """A fact says again what is known: no other flow sees it. Raised as `Refused` is."""


Handler = Callable[[Fact], None]
Row = TypeVar("Row")
Data = TypeVar("Data")


def expect(fact: Fact, type: type[Data]) -> Data:
    """The fact's data, as the type that the domain reads this kind of event as."""
    data = fact.data
    if not isinstance(data, type):
        raise AssertionError(f"{fact.event.type} was not read as {type.__name__}")
    return data


def schema_of(type: object) -> object:
    """How a type is encoded: its schema without descriptions, which say nothing of the bytes."""
    return _without_descriptions(msgspec.json.schema(type))


def _without_descriptions(schema: object) -> object:
    if isinstance(schema, dict):
        kept = ((key, value) for key, value in schema.items() if key != "description" or isinstance(value, dict))
        return {key: _without_descriptions(value) for key, value in kept}
    if isinstance(schema, list):
        return [_without_descriptions(value) for value in schema]
    return schema


class Table(Generic[Row]):
    """Rows of a flow's state by key: in memory, with the changed ones remembered until they are stored.

    A row that was loaded stays in its stored bytes until it is asked for. Nothing may depend on the order of the rows:
    a restart changes it.

    Args:
        name: unique in the flow.
        type: of a row; MessagePack keeps it.
        enc_hook, dec_hook: as msgspec has them, where MessagePack does not know the type.
        format: the type that rows are stored as, where it is another.
    """

    def __init__(
        self,
        name: str,
        type: type[Row],
        *,
        enc_hook: Callable[[Row], object] | None = None,
        dec_hook: Callable[[type[Row], Any], Row] | None = None,
        format: object = None,
    ) -> None:
        self.name = name
        self._rows: dict[str, Row] = {}
        self._stored: dict[str, bytes] = {}
        self._changed: dict[str, None] = {}
        self._encoder = msgspec.msgpack.Encoder(enc_hook=enc_hook)
        self._decoder = msgspec.msgpack.Decoder(type, dec_hook=dec_hook)
        self._format = format or type

    def __len__(self) -> int:
        return len(self._rows) + len(self._stored)

    def __iter__(self) -> Iterator[tuple[str, Row]]:
        if self._stored:
            decode = self._decoder.decode
            self._rows.update({key: decode(value) for key, value in self._stored.items()})
            self._stored = {}
        return iter(self._rows.items())

    @property
    def schema(self) -> object:
        """What a row is, in words that change when the rows' format does."""
        return schema_of(self._format)

    def get(self, key: str) -> Row | None:
        """The row, or None."""
        row = self._rows.get(key)
        if row is None and self._stored:
            value = self._stored.pop(key, None)
            if value is not None:
                row = self._rows[key] = self._decoder.decode(value)
        return row

    def put(self, key: str, row: Row) -> None:
        """Add or replace a row; call it also after changing a row in place."""
        if self._stored:
            self._stored.pop(key, None)
        self._rows[key] = row
        self._changed[key] = None

    def keep(self, key: str, row: Row) -> None:
        """Add or replace a row that need not be stored before it is put."""
        if self._stored:
            self._stored.pop(key, None)
        self._rows[key] = row

    def pop(self, key: str) -> Row | None:
        """Remove and return a row, or None."""
        row = self.get(key)
        if row is not None:
            del self._rows[key]
            self._changed[key] = None
        return row

    def load(self, key: str, value: bytes) -> None:
        """Take a stored row."""
        self._stored[key] = value

    def loaded(self) -> None:
        """Every stored row has been taken."""

    @property
    def is_changed(self) -> bool:
        """Whether there are changed rows to take."""
        return bool(self._changed)

    def take_changed(self) -> list[tuple[str, bytes | None]]:
        """The rows changed since the last call, as (key, value); None is a removed one."""
        encode = self._encoder.encode
        rows = self._rows
        changed = [(key, encode(rows[key]) if key in rows else None) for key in self._changed]
        self._changed = {}
        return changed


class Emitter(ABC):
    """Where a flow says its messages; the engine gives them their offsets."""

    @abstractmethod
    def stream(
        self,
        topic: str,
        path: str,
        type: str,
        at_ms: int,
        data: bytes,
        *,
        priority: int = 1,
        target: str = "",
        expires_ms: int = 0,
    ) -> None:
        """Append a message to a stream; `data` is JSON."""

    @abstractmethod
    def view(
        self,
        topic: str,
        scope: str,
        key: str,
        type: str,
        at_ms: int,
        document: dict[str, Json] | None,
        *,
        priority: int = 1,
    ) -> None:
        """Set a view's document, at most once in a flush; it holds no null. None removes it.

        Nothing is said when it did not change. A critical change is flushed at once; it overtakes nothing, since the
        changes of a view build on each other.
        """

    @abstractmethod
    def waits(self, topic: str, scope: str, since_ms: int) -> None:
        """What a scope shows is as of a watermark: what has come since is not in it yet. Said at the end of a flush.

        Args:
            scope: of a view, exact; empty is every scope of the topic.
            since_ms: the flow's `before_ms` when that came.
        """

    @abstractmethod
    def settled(self, topic: str, scope: str) -> None:
        """What a scope shows is as of now."""

    @abstractmethod
    def archive(self, topic: str, scope: str, key: str, revision: int, at_ms: int, document: dict[str, Json]) -> None:
        """Keep a document for ever, outside of memory; it holds no null. The topic declares that it has an archive.

        Keys are read in their order as text. A later revision does not replace an earlier one; the same one again does.
        """


class Flow(ABC):
    """One pure fold.

    Class attributes:
        name: unique; the owner of its rows.
        version: raised whenever the same events would give other messages.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    topics: tuple[Topic, ...] = ()

    def __init__(self) -> None:
        self.out: Emitter
        self.watermark_ms = 0
        self.latest_ms = 0  # no time that is told can be later
        self.before_ms = 0  # the watermark as of the last flush: whatever a group brings has happened since then

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """The flow's state."""
        return ()

    @abstractmethod
    def handlers(self) -> dict[str, Handler]:
        """What folds each type of event; `*` is every event with a category or tags."""

    def adapters(self) -> dict[str, Callable[[Fact], Fact]]:
        """What makes a fact of each type what every flow is to see of it; raises `Refused` where it cannot."""
        return {}

    def configure(self, settings: Raw) -> None:
        """Take the settings that hold from this event on."""

    def loaded(self) -> None:
        """Derive what is derived: the tables have just been filled at a restart."""

    def clock(self) -> None:
        """The watermark has moved to `self.watermark_ms`."""

    def idle(self) -> None:
        """Nothing else happens: the flush that follows says a part of what waits for the watermark, or for its turn."""

    def flush(self) -> None:
        """Say what the group has changed. What has to wait is told by `Emitter.waits`, here and when it is loaded."""

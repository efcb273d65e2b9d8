"""What gateways and the hub agree on: a connection as the hub sees it, what can be followed, and what may be called.

A gateway needs this file and `codec.py`, and nothing else of the hub.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct

from fire22.core.errors import Fire22Error
from fire22.core.filter import Filter
from fire22.core.message import Json
from fire22.core.position import Position
from fire22.core.topic import Topic
from fire22.feed.base import Document, Feed, Record
from fire22.hub.codec import Codec
from fire22.hub.mask import UNMASKED, Mask

if TYPE_CHECKING:
    from fire22.hub.lane import Cohort, Lane, Skipped


class LaneKey(Struct, frozen=True):
    """What makes two subscriptions the same lane: one with equal keys shares every byte.

    Args:
        scope: messages of this path and all below it; of a view, exactly this scope.
        filter: None lets everything pass.
        delta: whether a view's changes come as patches.
        codec: the name of the subscriber's codec.
        max_rate_hz: how often the lane is written to at most; 0 is every flush.
        lossy: whether messages of a stream may be left out.
        to: of what is addressed to single connections: the targets; empty for everything that is subscribed to.
        mask: fields of the payload that are left out.
    """

    topic: str
    scope: str
    filter: Filter | None
    delta: bool
    codec: str
    max_rate_hz: float = 0.0
    lossy: bool = False
    to: tuple[str, ...] = ()
    mask: Mask = UNMASKED


class Recipient(Struct, frozen=True):
    """To whom messages can be addressed."""

    user: str
    client: str = ""


class Resumed(Struct, frozen=True):
    """Where a subscription with a stored position begins.

    Args:
        cursor: the offset after which its messages come.
        recovered: whether that is the stored position, so that nothing is missing.
        reason: the code of why it is not.
        lost: the first and the last offset of what is no longer kept, where that is why.
    """

    cursor: int
    recovered: bool
    reason: str = ""
    lost: tuple[int, int] | None = None


class Page(Struct, frozen=True):
    """Messages of a snapshot or of history, oldest first.

    Args:
        messages: finished JSON, joined by commas.
        count: of them.
        below: the offset before which the next page begins; 0 where nothing older is kept.
        looked: how many messages or documents were looked at for it.
    """

    messages: bytes
    count: int
    below: int
    looked: int = 0


Result = TypeVar("Result")
# What is made in pieces, so that others need not wait for the whole: it yields None where it may pause, and otherwise
# what reads the records that it needs from storage; these it is sent.
Pieces = Generator[Callable[[], Awaitable[list[Record]]] | None, list[Record] | None, Result]


class Subscriber(ABC):
    """A connection as the hub sees it; gateways derive theirs from it.

    `cohort` is set while it is live, `cursors` while it is catching up: for each of its lanes the offset up to which
    it has everything. A live connection holds nothing of its own. Only the hub changes these, and what is below
    `paused`.

    Attributes:
        codec: how its messages become bytes; set before it enters, and never changed.
        paused: it takes no more for now. Set within a `write` or outside of it; see `Hub.writable`.
        resumed_at: the lowest position from which one of its subscriptions was resumed.
        critical_sent_to: offset up to which critical messages have been sent, before what it has yet to read.
        skipped: while it is behind: what its lossy lanes have left out since its last tick.
        needs_snapshot: lanes of views that were resumed: it may hold newer documents than its position says, so that
            those that have changed must come whole.
    """

    __slots__ = ("cohort", "critical_sent_to", "cursors", "needs_snapshot", "paused", "resumed_at", "skipped")

    codec: Codec

    def __init__(self) -> None:
        self.cohort: Cohort | None = None
        self.cursors: dict[Lane, int] | None = None
        self.paused = False
        self.resumed_at: int | None = None
        self.critical_sent_to = 0
        self.skipped: dict[Lane, Skipped] | None = None
        self.needs_snapshot: set[Lane] | None = None

    @property
    def recipient(self) -> Recipient | None:
        """Who it is, for what is addressed to it; None while nobody knows."""
        return None

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Hand bytes to the transport; never waits, never fails. May end the connection, and call `Hub.leave`."""

    @staticmethod
    def write_many(members: "Sequence[Subscriber]", cohort: object, data: bytes) -> bool:
        """Hand the same bytes to those of one kind whose `cohort` it still is; whether any may take no more for now."""
        for member in members:
            if member.cohort is cohort:
                member.write(data)
        return True

    @abstractmethod
    def position_lost(self) -> None:
        """What comes next for it is no longer kept: end the connection; it comes back and is told what it lost."""

    @abstractmethod
    def fail(self, error: Fire22Error) -> None:
        """What comes next for it cannot be read from storage: send the error, and end the connection."""

    @property
    def lanes(self) -> tuple["Lane", ...]:
        """The lanes that are followed, live or not."""
        if self.cohort is not None:
            return self.cohort.lanes
        return tuple(lane for lane in self.cursors or () if not lane.key.to)


class Hub(Protocol):
    """The hub, as a gateway uses it.

    Everything it knows is as of `flushed`, the offset up to which live connections have been written to: a snapshot
    taken now, and a subscription that begins at `flushed`, meet without a gap or a repeat.

    A connection is a `Subscriber`: it enters once, is identified once somebody knows who it is, follows lanes, and
    leaves once, whatever ended it; leaving again does nothing. Its subscriptions must not change while `flushing`;
    `between_flushes` waits for the end of the flush. A gateway sets `paused` on a connection that takes no more, and
    calls `writable` when it takes bytes again; the hub has it catch up from where it stood.

    All of it is called in the event loop. Nothing waits but what is `async`.
    """

    # What readers see.

    def codec(self, codec: Codec) -> Codec:
        """The codec of a connection, which also opens what is sealed."""

    def opened(self, message: bytes) -> bytes:
        """An answer in JSON with what is sealed opened, for who gets it without a codec."""

    # What is known.

    @property
    def flushed(self) -> int:
        """Offset up to which live connections have everything that is not held back."""

    @property
    def flushing(self) -> bool:
        """Whether a flush is between two of its slices; a connection's subscriptions must not change then."""

    @property
    def overloaded(self) -> bool:
        """Whether no new connections should be taken."""

    @property
    def problem(self) -> str:
        """The code of what keeps the feed from going on; empty where nothing does."""

    @property
    def feed(self) -> Feed:
        """What is delivered; for reading its archive."""

    def position(self, offset: int) -> Position:
        """The position of an offset in this feed."""

    def knows_scope(self, scope: str) -> bool:
        """Whether there is such an agent; of a customer, whether the agent above exists."""

    def complete_ms(self, topic: str, scope: str) -> int:
        """Up to which watermark all facts are in what a scope of a topic shows."""

    def document(self, topic: str, scope: str, key: str) -> Document | None:
        """One of a view's documents."""

    def changed_at(self, topic: str, scope: str) -> int:
        """Offset of the newest change of a view's scope, removals included."""

    def freshness(self, subscriber: Subscriber) -> dict[str, Json]:
        """What a connection is answered that asks between two ticks: the time, the watermark of what it is shown, and
        the problem, where there is one."""

    # Pages, in pieces; see `Pieces`.

    def snapshot(self, topic: Topic, key: LaneKey, last: int) -> Pieces[tuple[Page, int]]:
        """What a new subscription begins with: a view's documents, a stream's newest `last`; and the offset as of which
        it is, which is that of the call.

        A view's documents are always in memory.

        Raises:
            Fire22Error: the storage cannot be read.
        """

    def history(self, key: LaneKey, before: int | None, limit: int) -> Pieces[Page]:
        """A stream's newest messages below an offset; None is after the newest.

        Raises:
            Fire22Error: the storage cannot be read.
        """

    # Connections and their subscriptions.

    def enter(self, subscriber: Subscriber) -> None:
        """Take in a connection that follows nothing yet."""

    def identify(self, subscriber: Subscriber) -> None:
        """From now on it receives what is addressed to its `recipient`. Once for each connection."""

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a connection, and what it follows."""

    def writable(self, subscriber: Subscriber) -> None:
        """A connection that was paused takes bytes again."""

    def resume(self, topic: Topic, position: Position) -> Resumed:
        """Where a subscription with a stored position begins."""

    def follow(self, subscriber: Subscriber, key: LaneKey, cursor: int, *, resumed: bool = False) -> None:
        """Add a subscription; one on the same topic and scope is replaced. Not while `flushing`.

        Args:
            cursor: the offset after which its messages are to come.
            resumed: whether the cursor is a stored position: what is addressed to this connection comes from there too.
        """

    def unfollow(self, subscriber: Subscriber, topic: str, scope: str) -> bool:
        """Remove a subscription; whether there was one. Not while `flushing`."""

    def mask(self, subscriber: Subscriber, key: LaneKey, mask: Mask) -> None:
        """Go on with a subscription under another mask; a view's documents come once more. Not while `flushing`."""

    def between_flushes(self, act: Callable[[], None]) -> None:
        """Do what changes a connection's subscriptions: now, or right after the flush that is under way; in order."""

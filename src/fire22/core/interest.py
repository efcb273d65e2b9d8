"""What a client follows, and everything that can happen to it.

The parts that `core/session.py` is made of: an `Interest` holds what is known about one (target, scope), and an
`Effect` tells the caller of the session what to do about a message.
"""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core.message import Json, Message
from fire22.core.position import Position

SEEN_MAX: Final = 100_000  # beyond it the oldest are forgotten, and may come twice


class Request(Struct, frozen=True):
    """What to follow; (target, scope) names it.

    Args:
        target: a topic.
        scope: a path in the agent tree; None for all that the token may see.
        filter: conditions on the fields of `data`, as in PROTOCOL.md.
        delta: keep a view's documents here, and receive only what changes.
        last: how many messages the snapshot of a stream holds.
        max_rate_hz: 0.1 to 1000: it is written to at most so often. Of a view the changes between are merged; the
            messages of a stream gather, and none is lost.
        lossy: for streams: with `max_rate_hz` only the newest message of each interval comes, and one who is far behind
            is taken near the live edge; what was left out is said (`Skipped`).
    """

    target: str
    scope: str | None = None
    filter: dict[str, Json] | None = None
    delta: bool = False
    last: int | None = None
    max_rate_hz: float | None = None
    lossy: bool = False


class ErrorBody(Struct, frozen=True):
    """An error as it stands on the wire; `retryAfter` in seconds."""

    code: str = "unknown"
    message: str = ""
    retryAfter: float | None = None
    details: dict[str, Json] | None = None


class OffsetRange(Struct, frozen=True, rename={"from_": "from"}):
    """Offsets from `from_` to `to`, both included."""

    from_: int
    to: int


class State(StrEnum):
    """IDLE: not connected. PENDING: asked for, no reply yet. LIVE: answered. REFUSED: answered with an error."""

    IDLE = "idle"
    PENDING = "pending"
    LIVE = "live"
    REFUSED = "refused"


class Interest:
    """One thing that the client follows.

    Attributes:
        request: what was asked for.
        state: see `State`.
        position: everything up to here has been delivered; None before the first reply.
        head: where the feed stood when the reply was written; None while there is none.
        documents: for `delta`: the newest message of each key, with the whole document as its data.
        is_view: whether the server has said that it is one.
        newest: of a view: the newest offset, above the position, at which each document came or was removed, by key.
    """

    __slots__ = ("documents", "head", "is_view", "newest", "position", "request", "seen", "state")

    def __init__(self, request: Request, position: Position | None) -> None:
        self.request = request
        self.state = State.IDLE
        self.position = position
        self.head: Position | None = None
        self.seen: dict[tuple[int, str], None] = {}
        self.documents: dict[str, Message] = {}
        self.is_view = request.delta
        self.newest: dict[str, int] = {}

    @property
    def level(self) -> bool:
        """Whether it has been answered, and what had been missed has come."""
        if self.state is not State.LIVE:
            return self.state is State.REFUSED
        if self.head is None:
            return True
        here = self.position
        return here is not None and here.epoch == self.head.epoch and here.offset >= self.head.offset

    def is_repeat(self, message: Message) -> bool:
        """Whether a message was delivered before; from now on it was."""
        if message.offset is None:
            return False
        if self.covers(message.offset):
            return True
        name = (message.offset, message.key or "")
        if name in self.seen:
            return True
        self.seen[name] = None
        if len(self.seen) > SEEN_MAX:
            del self.seen[next(iter(self.seen))]
        return False

    def is_outdated(self, message: Message) -> bool:
        """Of a view: whether its document, or the removal, has come as of this offset or later; from now on it has."""
        offset, key = message.offset, message.key or ""
        if offset is None:
            return False
        if self.covers(offset) or offset <= self.newest.get(key, -1):
            return True
        self.newest[key] = offset
        if len(self.newest) > SEEN_MAX:
            del self.newest[next(iter(self.newest))]
        return False

    def covers(self, offset: int) -> bool:
        """Whether the position has passed an offset."""
        return self.position is not None and offset <= self.position.offset

    def advance(self, position: Position) -> None:
        """A tick came: forget what it has passed."""
        known = self.position
        self.position = later(known, position)
        if known is not None and known.epoch != position.epoch:
            self.seen.clear()
            self.newest.clear()
            return
        if self.seen:
            self.seen = {name: None for name in self.seen if name[0] > position.offset}
        if self.newest:
            self.newest = {key: offset for key, offset in self.newest.items() if offset > position.offset}


class Snapshot(Struct, frozen=True):
    """It takes the place of all that was known; oldest first. The documents of a `delta` interest follow one by one."""

    interest: Interest
    messages: tuple[Message, ...]


class Delivered(Struct, frozen=True):
    """A message, once. Without an interest it is for this user, this client or everyone."""

    interest: Interest | None
    message: Message


class DocumentChanged(Struct, frozen=True):
    """A document in its new state: `message.data` is the whole of it, or None when it is gone."""

    interest: Interest
    message: Message


class Recovered(Struct, frozen=True):
    """The answer to an interest that had a position: what was missed follows, or (not `recovered`) a snapshot.

    Args:
        interest: whose answer it is.
        recovered: whether what was missed follows without a gap.
        reason: otherwise: `position_lost`, `position_ahead`, `epoch_changed`.
        lost: the offsets that can no longer be had, if known.
    """

    interest: Interest
    recovered: bool
    reason: str | None = None
    lost: OffsetRange | None = None


class Skipped(Struct, frozen=True):
    """Messages of a lossy stream were left out: the first and the last of them, and how many of this interest."""

    interest: Interest
    range: OffsetRange
    count: int


class Refused(Struct, frozen=True):
    """An interest was answered with an error. It is asked for again on the next connection, or by `retry`."""

    interest: Interest
    error: ErrorBody


class Resubscribed(Struct, frozen=True):
    """An interest was found incomplete and asked for anew; a snapshot will follow."""

    interest: Interest


class Answered(Struct, frozen=True):
    """Another command's reply."""

    id: int
    data: Json


class Failed(Struct, frozen=True):
    """Another command's error; without an `id` it belongs to no command."""

    id: int | None
    error: ErrorBody


class ConnectionFailed(Struct, frozen=True):
    """Why the server is about to close the connection."""

    error: ErrorBody


class Ticked(Struct, frozen=True):
    """Everything up to `position` has been delivered; times in milliseconds since 1970 UTC."""

    position: Position
    time_ms: int
    watermark_ms: int | None


Effect = (
    Snapshot
    | Delivered
    | DocumentChanged
    | Recovered
    | Skipped
    | Refused
    | Resubscribed
    | Answered
    | Failed
    | ConnectionFailed
    | Ticked
)


def restart(interest: Interest, snapshot: tuple[Message, ...], timestamp: str) -> list[Effect]:
    """A snapshot takes the place of all that was known."""
    interest.position = interest.head
    interest.seen.clear()
    interest.newest.clear()
    effects: list[Effect] = [Snapshot(interest, snapshot)]
    if not interest.request.delta:
        for message in snapshot:
            interest.is_repeat(message)
        return effects
    gone, interest.documents = interest.documents, {}
    for message in snapshot:
        if message.data is not None:
            gone.pop(message.key or "", None)
            effects.append(keep(interest, message))
    for message in gone.values():
        removal = msgspec.structs.replace(message, data=None, offset=None, timestamp=timestamp)
        effects.append(DocumentChanged(interest, removal))
    return effects


def keep(interest: Interest, message: Message) -> DocumentChanged:
    """A whole document takes the place of the one that is held."""
    interest.documents[message.key or ""] = message
    return DocumentChanged(interest, message)


def remove(interest: Interest, message: Message) -> list[Effect]:
    """A document is gone. Of one that is not held nobody has heard, so there is nothing to say."""
    if interest.documents.pop(message.key or "", None) is None:
        return []
    return [DocumentChanged(interest, msgspec.structs.replace(message, patch=False, base=None))]


def later(known: Position | None, following: Position) -> Position:
    """The later of two; where the epochs differ, the following one: the feed that it names is the one that lives."""
    if known is not None and known.epoch == following.epoch and known.offset > following.offset:
        return known
    return following


def earlier(newest: Position, other: Position) -> Position:
    """The earlier of two; where the epochs differ, the other one, because only an older feed can be meant."""
    if newest.epoch == other.epoch and newest.offset <= other.offset:
        return newest
    return other

"""Events: facts that go in.

Field names are the product's public ones (PROTOCOL.md, "Event"). `data` stays the bytes it came as: the log keeps what
was said, and only a flow that knows the type reads it.
"""

from collections.abc import Generator
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.nesting import DEPTH_MAX, why_too_much
from fire22.core.sayable import is_grammatical, why_unsayable
from fire22.core.times import to_ms


class Priority(IntEnum):
    """How urgent a message is; `CRITICAL` flushes at once."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


EVENT_BYTES_MAX: Final = 1 << 20  # of one event of many that a client sends
NO_TEXT: Final = "A text holds half of a surrogate pair, which is no text in UTF-8."
TIME_MS_MAX: Final = 253_402_300_800_000  # the year 10000, which RFC 3339 cannot write

Time = Annotated[datetime, Meta(tz=True)]
TagText = Annotated[str, Meta(max_length=256)]


class Metadata(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What addresses and shapes an event.

    Args:
        priority: 0 to 3, low to critical; others are clamped.
        category: names an open topic for the relay flow.
        tags: free words; `to:user:<kind>:<id>`, `to:client:<id>`, `as:alert` and `as:notification` have a meaning.
        expires_at: after this the message is no longer delivered.
        scope: the path in the tree of what an open topic tells; empty is the whole book.
    """

    priority: int = Priority.NORMAL
    category: Annotated[str, Meta(max_length=64)] = ""
    tags: Annotated[tuple[TagText, ...], Meta(max_length=32)] = ()
    expires_at: Time | None = None
    scope: Annotated[str, Meta(max_length=600)] = ""

    def __post_init__(self) -> None:
        if self.expires_at is not None and not 0 < to_ms(self.expires_at) < TIME_MS_MAX:
            raise ValueError("`expiresAt` is not between the years 1970 and 9999 UTC")

    @property
    def level(self) -> Priority:
        """The priority, clamped."""
        return Priority(min(max(self.priority, Priority.LOW), Priority.CRITICAL))


class Event(Struct, frozen=True, rename="camel"):
    """One fact. What comes from outside is checked where it comes in, and not again when it is read from the log.

    Args:
        id: unique for ever, given by the source.
        type: dotted, lower case, past tense: `wager.placed`.
        source: who says it.
        timestamp: when it happened; aware, and in the years 1970 to 9999 UTC.
        data: any JSON value that every codec can say (`core/sayable.py`), as raw bytes; at most `DEPTH_MAX` deep.
        metadata: address and shape.
    """

    id: str
    type: str
    source: str
    timestamp: datetime
    data: Raw
    metadata: Metadata = Metadata()

    @property
    def at_ms(self) -> int:
        """When it happened, in milliseconds since 1970 UTC."""
        return to_ms(self.timestamp)


class SubmittedEvent(Event, frozen=True, rename="camel"):
    """An event as it may come from outside."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    type: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\Z", max_length=100)]
    source: Annotated[str, Meta(min_length=1, max_length=200)]
    timestamp: Time
    data: Raw
    metadata: Metadata = Metadata()

    def __post_init__(self) -> None:
        if not 0 <= self.at_ms < TIME_MS_MAX:
            raise ValueError("`timestamp` is not between the years 1970 and 9999 UTC")
        check_data(bytes(self.data))


class EncodedEvent(Struct, frozen=True):
    """An event ready for the log: its id and its JSON."""

    id: str
    body: bytes


def check_data(data: bytes) -> None:
    """Refuse JSON that a reader or a codec could not take.

    Raises:
        ValueError: what is wrong with the field `data`, for a person.
    """
    why = why_too_much(data)
    if why:
        raise ValueError(f"`data` cannot be taken: {why}")
    why = why_unsayable(data)
    if why:
        raise ValueError(f"`data` cannot be delivered: {why}")


_encoder: Final = msgspec.json.Encoder()
_accepted: Final = msgspec.json.Decoder(Event)
_submitted: Final = msgspec.json.Decoder(SubmittedEvent)
_raws: Final = msgspec.json.Decoder(list[Raw])
_TOO_DEEP: Final = f"The event is nested more than {DEPTH_MAX} deep."


def encode_event(event: Event) -> EncodedEvent:
    """The event as the log keeps it."""
    return EncodedEvent(event.id, _encoder.encode(event))


def decode_event(body: bytes) -> Event:
    """Read an event that the log accepted before."""
    return _accepted.decode(body)


def parse_events(body: bytes) -> list[Event]:
    """Read one event or an array of them, as a client sent it.

    Raises:
        RequestError: `json_invalid` or `event_invalid`; the message names the field.
    """
    steps = read_events(body)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            events: list[Event] = end.value
            return events


def read_events(body: bytes) -> Generator[None, Any, list[Event]]:
    """`parse_events` in steps: one finds the events in the body, and each other reads one."""
    is_array = body.lstrip()[:1] == b"["
    try:
        parts = _raws.decode(body) if is_array else [body]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RequestError(codes.JSON_INVALID, f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise RequestError(codes.EVENT_INVALID, _TOO_DEEP) from None
    events: list[Event] = []
    for index, part in enumerate(parts):
        yield
        events.append(_read_event(bytes(part), f"$[{index}]" if is_array else "$"))
    return events


def _read_event(text: bytes, path: str) -> Event:
    """One event of a body; `path` is where it is."""
    if len(text) > EVENT_BYTES_MAX:
        raise RequestError(codes.EVENT_INVALID, f"An event has at most {EVENT_BYTES_MAX} bytes.")
    try:
        return _submitted.decode(text)
    except msgspec.ValidationError as error:
        why = str(error)
        placed = why.replace("`$", f"`{path}") if "`$" in why or path == "$" else f"{why} - at `{path}`"
        raise RequestError(codes.EVENT_INVALID, f"The event is not valid: {placed}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if not why_too_much(text) and is_grammatical(text):
            raise RequestError(codes.EVENT_INVALID, NO_TEXT) from None
        raise RequestError(codes.JSON_INVALID, f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise RequestError(codes.EVENT_INVALID, _TOO_DEEP) from None


class _Parts(Struct, frozen=True):
    """An Event with its timestamp and metadata as they were written."""

    id: str
    type: str
    source: str
    timestamp: str
    data: Raw
    metadata: Raw


def join_event(id: str, type: str, source: str, timestamp: str, data: bytes, metadata: bytes) -> EncodedEvent:
    """The event of parts that are kept one by one; `data` and `metadata` are meant to be JSON.

    Raises:
        RequestError: `event_invalid`, with why they are no event.
    """
    raw = data.strip()
    event = EncodedEvent(id, _encoder.encode(_Parts(id, type, source, timestamp, Raw(raw), Raw(metadata))))
    try:
        decoded = _submitted.decode(event.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RequestError(codes.EVENT_INVALID, str(error)) from None
    except RecursionError:
        raise RequestError(codes.EVENT_INVALID, "`data` is nested too deep") from None
    if decoded.id != id or bytes(decoded.data) != raw:
        raise RequestError(codes.EVENT_INVALID, "`data` is not one JSON value")
    return event


def same_content(one: bytes, other: bytes) -> bool:
    """Whether two encoded events say the same, however they write it.

    The order of keys, a default that is said, `1.0` for `1` and the offset of a time are ways of writing.
    """
    if one == other:
        return True
    first, second = decode_event(one), decode_event(other)
    if msgspec.structs.replace(first, data=second.data) != second:
        return False
    try:
        return same_value(msgspec.json.decode(first.data), msgspec.json.decode(second.data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # an older log may hold what cannot be read
        return bytes(first.data) == bytes(second.data)


def same_value(one: Json, other: Json) -> bool:
    """Whether two JSON values are the same: `1` and `1.0` are one number, `true` and `1` are not."""
    if isinstance(one, dict):
        if not isinstance(other, dict) or one.keys() != other.keys():
            return False
        return all(same_value(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same_value, one, other))
    return one == other and isinstance(one, bool) is isinstance(other, bool)

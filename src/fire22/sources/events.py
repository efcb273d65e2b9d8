"""Makes events of a mirror's facts, and of a fact that is no event what is told of it as a dead letter."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.event import EncodedEvent, Event, decode_event, encode_event, join_event
from fire22.core.letter import DATA_BYTES_MAX, ROW_REJECTED, RowRejected
from fire22.core.times import to_datetime, to_text
from fire22.sources.mirror.file import Fact
from fire22.sources.mirror.rows import UNUSABLE

TEXT_MAX: Final = 200  # characters of a broken row's short texts that are told
CLOCK: Final = "system.clock"  # which a recorded book brings itself


class _Metadata(Struct, frozen=True, omit_defaults=True):
    priority: int = 1
    category: str = ""


_encode: Final = msgspec.json.Encoder().encode


def event_of(source: str, book_id: str, fact: Fact) -> EncodedEvent | RowRejected:
    """The event of a fact, or what is told of one that is none.

    Args:
        source: of the event.
    """
    id = f"{book_id}:{fact.number}"
    type, timestamp, category = _text(fact.type), _text(fact.timestamp), _text(fact.category)
    data = _text(fact.data).strip().encode()
    try:
        if type == UNUSABLE:
            raise RequestError(codes.EVENT_INVALID, _reason(data))
        if type.startswith("system.") and type != CLOCK:
            raise RequestError(codes.EVENT_INVALID, "Events named system.* are the server's own.")
        return join_event(id, type, source, timestamp, data, _encode(_Metadata(fact.priority, category)))
    except RequestError as error:
        why = error.message
    priority = fact.priority if isinstance(fact.priority, int) else 1
    kept = data[:DATA_BYTES_MAX].decode(errors="ignore")
    return RowRejected(
        fact.number, why, id, type[:TEXT_MAX], timestamp[:TEXT_MAX], category[:TEXT_MAX], priority, kept, len(data)
    )


def letter_of(source: str, row: RowRejected, at_ms: int) -> EncodedEvent:
    """The event that tells of a row that is none, under the id that the row would have had: it is told once."""
    return encode_event(Event(row.id, ROW_REJECTED, source, to_datetime(at_ms), Raw(_encode(row))))


class Conflict(Struct, frozen=True):
    """An event whose id the log has for another one.

    Args:
        number: of the fact.
        event: what tells of it, under an id that no fact has.
    """

    number: int
    reason: str
    event: EncodedEvent


def conflict_of(event: EncodedEvent) -> Conflict:
    """What is told in the place of an event whose id the log has for another one; the same each time."""
    known = decode_event(event.body)
    data = bytes(known.data)
    number = int(event.id.rpartition(":")[2])
    reason = f"The log has another event with the id {event.id}."
    row = RowRejected(
        number,
        reason,
        event.id,
        known.type,
        to_text(known.at_ms),
        known.metadata.category,
        known.metadata.priority,
        data[:DATA_BYTES_MAX].decode(errors="ignore"),
        len(data),
    )
    letter = Event(f"{event.id}:0", ROW_REJECTED, known.source, known.timestamp, Raw(_encode(row)))
    return Conflict(number, reason, encode_event(letter))


def _text(stored: bytes) -> str:
    """What a text says. A wager whose player's name is in an old encoding counts all the same."""
    return stored.decode(errors="replace")


def _reason(data: bytes) -> str:
    """Why the mirror could not use a row."""
    try:
        return msgspec.json.decode(data, type=dict[str, str])["reason"]
    except (msgspec.DecodeError, KeyError):
        return "Events named system.* are the server's own."

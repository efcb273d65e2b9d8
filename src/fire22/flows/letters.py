"""Dead letters: what is in the log and could not be used stays in sight until somebody has dealt with it.

An event whose data does not fit, a fact that contradicts what is known, a row of an outbox that is no event: each
becomes a document of the view `dead_letters` with the reason and the evidence. It can be folded again, as it is (when
what it lacked has come meanwhile) or corrected, or put away. Both are events, so a replay of the log does them again.

The engine owns this flow and hands it what the others have refused. At most `letters_max` are open: beyond that the
oldest leaves the view. It is counted, and the log still has its event.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct

from fire22.core import codes
from fire22.core.codes import Code
from fire22.core.errors import RequestError
from fire22.core.event import Event, decode_event, join_event
from fire22.core.letter import DATA_BYTES_MAX, TOPIC, LetterDismissed, LetterReplayed, RowRejected
from fire22.core.message import Json
from fire22.core.scope import ROOT
from fire22.core.times import to_text
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Flow, Handler, Table
from fire22.observability.sample import Sample

SHOWN_BYTES_MAX: Final = 4 << 10  # of an event's data in the document
FILTERABLE: Final = ("type", "source", "code", "attempts")
FIELDS: Final = (
    "seq", "eventId", "type", "source", "timestamp", "code", "reason", "evidence", "data", "dataBytes",
    "attempts", "receivedAt", "tried",
)  # fmt: skip
_encode: Final = msgspec.json.Encoder().encode
_evidence: Final = msgspec.json.Decoder(dict[str, Json]).decode


class Failure(Struct, frozen=True):
    """Why an event could not be used; see `Refused`."""

    code: Code
    reason: str
    evidence: dict[str, Json] = {}


class LettersSettings(Struct, frozen=True):
    """`[letters]`.

    Args:
        letters_max: that may be open; beyond it the oldest leaves the view and is counted, and the log still has its
            event.
    """

    letters_max: Annotated[int, Meta(gt=0)] = 1_000


class Letter(Struct, frozen=True, gc=False, array_like=True):
    """An open letter.

    Args:
        timestamp: of the event, as text: a row may hold one that is none.
        metadata: of the event; JSON.
        data: of the event as it came; only the beginning of what is longer than `DATA_BYTES_MAX`.
        data_bytes: how long it was.
        evidence: a JSON object.
        received_ms: the watermark when it became a letter.
        tried: the data of the last attempt, where it was a correction.
    """

    seq: int
    event_id: str
    type: str
    source: str
    timestamp: str
    metadata: bytes
    data: bytes
    data_bytes: int
    received_ms: int
    code: str
    reason: str
    evidence: bytes
    attempts: int = 1
    tried: bytes = b""


class Letters(Flow):
    """The open letters, by the seq of the event that became one."""

    name: ClassVar[str] = "letters"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self.topics = (Topic(TOPIC, Kind.VIEW, FILTERABLE, fields=FIELDS),)
        self._letters: Table[Letter] = Table("letter", Letter)
        self._counts: Table[int] = Table("count", int)
        self._order: dict[int, None] = {}
        self._changed: dict[int, int] = {}
        self._letters_max = LettersSettings().letters_max

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """The open letters, and how many there were."""
        return (self._letters, self._counts)  # type: ignore[return-value]

    def configure(self, settings: Raw) -> None:
        """Take the limit; a lower one holds from the next letter on."""
        self._letters_max = msgspec.json.decode(settings, type=LettersSettings).letters_max

    def handlers(self) -> dict[str, Handler]:
        """None: the engine hands letters over."""
        return {}

    def loaded(self) -> None:
        """Put the letters in their order."""
        self._order = dict.fromkeys(sorted(letter.seq for _, letter in self._letters))

    def flush(self) -> None:
        """Say which letters have come, changed and gone."""
        for seq, at_ms in self._changed.items():
            letter = self._letters.get(str(seq))
            document = None if letter is None else _document(letter)
            self.out.view(TOPIC, ROOT, str(seq), "update", at_ms, document)
        self._changed = {}

    # What the metrics show.

    @property
    def open(self) -> int:
        """How many letters there are."""
        return len(self._letters)

    def counts(self) -> dict[str, int]:
        """How many letters there have ever been: by code, as `code:<name>`, and how many were `replayed` with success,
        `dismissed`, and `dropped` at the limit."""
        return dict(self._counts)

    def samples(self) -> Iterator[Sample]:
        """What is measured of dead letters."""
        yield Sample("fire22_dead_letters", "Events that could not be used and wait for somebody.", self.open)
        for what, count in sorted(self.counts().items()):
            kind, _, code = what.partition(":")
            if kind == "code":
                help = "Events that could not be used, by the code of the reason."
                yield Sample("fire22_dead_letters_opened_total", help, count, {"code": code})
            else:
                help = "Dead letters that are gone: replayed with success, dismissed, or dropped at the limit."
                yield Sample("fire22_dead_letters_closed_total", help, count, {"how": kind})

    # What the engine hands over.

    def get(self, seq: int) -> Letter | None:
        """An open letter."""
        return self._letters.get(str(seq))

    def add(self, seq: int, event: Event, failure: Failure, received_ms: int) -> None:
        """An event of the log could not be used."""
        data = bytes(event.data)
        self._add(
            Letter(
                seq,
                event.id,
                event.type,
                event.source,
                to_text(event.at_ms),
                _encode(event.metadata),
                data[:DATA_BYTES_MAX],
                len(data),
                received_ms,
                failure.code.name,
                failure.reason,
                _written(failure.evidence),
            )
        )

    def add_row(self, seq: int, event: Event) -> None:
        """A source has met a row that is no event."""
        row = msgspec.json.decode(event.data, type=RowRejected)
        metadata: dict[str, Json] = {"priority": row.priority, "category": row.category}
        self._add(
            Letter(
                seq,
                row.id,
                row.type,
                event.source,
                row.timestamp,
                _encode(metadata),
                row.data.encode(),
                row.data_bytes,
                event.at_ms,
                codes.EVENT_INVALID.name,
                row.reason,
                _written({"row": row.number}),
            )
        )

    def event(self, letter: Letter, asked: LetterReplayed) -> Event | Failure:
        """The event of a letter, corrected as was asked for, or why there is none."""
        if letter.type.startswith("system."):
            return Failure(codes.EVENT_INVALID, "Events named system.* are the server's own.")
        if asked.data is UNSET and letter.data_bytes > DATA_BYTES_MAX:
            reason = f"Its {letter.data_bytes} bytes of data are too many to be kept; give the data with the attempt."
            return Failure(codes.EVENT_INVALID, reason)
        data = letter.data if asked.data is UNSET else bytes(asked.data)
        timestamp = letter.timestamp if asked.timestamp is UNSET else asked.timestamp.isoformat()
        try:
            joined = join_event(letter.event_id, letter.type, letter.source, timestamp, data, letter.metadata)
        except RequestError as error:
            return Failure(codes.EVENT_INVALID, error.message)
        return decode_event(joined.body)

    def failed(self, letter: Letter, asked: LetterReplayed, failure: Failure, at_ms: int) -> None:
        """Another attempt was in vain."""
        again = msgspec.structs.replace(
            letter,
            code=failure.code.name,
            reason=failure.reason,
            evidence=_written(failure.evidence),
            attempts=letter.attempts + 1,
            tried=b"" if asked.data is UNSET else bytes(asked.data)[:SHOWN_BYTES_MAX],
        )
        self._letters.put(str(letter.seq), again)
        self._changed[letter.seq] = at_ms

    def replayed(self, letter: Letter, at_ms: int) -> None:
        """An attempt has succeeded."""
        self._remove(letter.seq, "replayed", at_ms)

    def dismiss(self, event: Event) -> None:
        """Put a letter away; one that is gone already stays so."""
        seq = msgspec.json.decode(event.data, type=LetterDismissed).seq
        if self.get(seq) is not None:
            self._remove(seq, "dismissed", event.at_ms)

    def _add(self, letter: Letter) -> None:
        self._letters.put(str(letter.seq), letter)
        self._order[letter.seq] = None
        self._changed[letter.seq] = letter.received_ms
        self._count(f"code:{letter.code}")
        while len(self._order) > self._letters_max:
            self._remove(next(iter(self._order)), "dropped", letter.received_ms)

    def _remove(self, seq: int, how: str, at_ms: int) -> None:
        self._letters.pop(str(seq))
        del self._order[seq]
        self._changed[seq] = at_ms
        self._count(how)

    def _count(self, what: str) -> None:
        self._counts.put(what, (self._counts.get(what) or 0) + 1)


def _document(letter: Letter) -> dict[str, Json]:
    document: dict[str, Json] = {
        "seq": letter.seq,
        "eventId": letter.event_id,
        "type": letter.type,
        "source": letter.source,
        "timestamp": letter.timestamp,
        "code": letter.code,
        "reason": letter.reason,
        "evidence": dict(_evidence(letter.evidence)),
        "data": _shown(letter.data),
        "attempts": letter.attempts,
        "receivedAt": to_text(letter.received_ms),
    }
    if letter.data_bytes > SHOWN_BYTES_MAX:
        document["dataBytes"] = letter.data_bytes
    if letter.tried:
        document["tried"] = _shown(letter.tried)
    return document


def _shown(data: bytes) -> str:
    """As text: a document holds no null, and what came may."""
    return data[:SHOWN_BYTES_MAX].decode(errors="replace")


def _written(evidence: dict[str, Json]) -> bytes:
    return _encode({name: value for name, value in evidence.items() if value is not None})

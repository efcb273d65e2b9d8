"""How messages become the bytes of a connection. One codec each for every way of writing them.

What enters is checked, so every codec can encode it. A message of an older log may still hold what one cannot: it is
left out on the connections that use that codec, an error takes its place, and all else goes on.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec

from fire22.core.deflate import deflate
from fire22.core.frames import Opcode, binary_frame, deflated_frame, text_frame
from fire22.core.message import Json, encode_json
from fire22.core.sayable import left_out, salvage, sayable_part
from fire22.observability.logging import get_logger
from fire22.observability.sample import Sample

DEFLATE_BYTES_MIN: Final = 128  # smaller payloads gain nothing
ANSWER_DEFLATE_BYTES_MIN: Final = 1024


class Codec(Protocol):
    """Packs finished JSON messages for one kind of connection."""

    @property
    def name(self) -> str:
        """Unique; part of a lane's key."""

    @property
    def joins(self) -> bool:
        """Whether many messages packed together are much shorter than each by itself."""

    @property
    def left_out(self) -> int:
        """Messages that it could not encode, since the process began."""

    def pack(self, messages: list[bytes]) -> bytes:
        """The bytes to write for at least one message."""

    def tick(self, message: bytes, position: str) -> bytes:
        """The bytes of a tick by itself, which ends a flush.

        Args:
            message: the tick, which holds the position too.
            position: where its readers stand then, for a transport that has a place of its own for it (server-sent
                events write `id:`). Where a codec `joins`, a tick may also be packed with the messages before it.
        """

    def answer(self, message: bytes) -> bytes:
        """The bytes of a message that nobody shares."""


class _Frames(ABC):
    """Every message, or every batch of them, is one WebSocket frame.

    Args:
        deflates: compress each payload by itself, so that the same bytes serve every connection.
    """

    name: str
    opcode: Opcode
    batches: bool = True

    def __init__(self, *, deflates: bool = False) -> None:
        self._deflates = deflates
        self.left_out = 0
        if deflates:
            self.name = f"{self.name}+deflate"

    @property
    def joins(self) -> bool:
        """A batch is compressed as a whole."""
        return self._deflates and self.batches

    def pack(self, messages: list[bytes]) -> bytes:
        """See Codec."""
        try:
            return self.frames(messages)
        except _NOT_ENCODABLE:
            return self.frames(self._encodable(messages))

    def tick(self, message: bytes, position: str) -> bytes:
        """The position is in the message."""
        return self.pack([message])

    def answer(self, message: bytes) -> bytes:
        """Compressed only where it is long: nobody shares the work."""
        try:
            return self.frame(self.payload([message]), ANSWER_DEFLATE_BYTES_MIN)
        except _NOT_ENCODABLE:
            return self.frames(self._encodable([message]))

    def frames(self, messages: list[bytes]) -> bytes:
        """All of them."""
        return self.frame(self.payload(messages))

    def _encodable(self, messages: list[bytes]) -> list[bytes]:
        """The messages, with an error in the place of each that cannot be encoded."""
        found: list[bytes] = []
        for message in messages:
            rest, lost = sayable_part(salvage(message))
            if rest is not None:
                found.append(_to_json(rest))
            found += map(_error, lost)
            self.left_out += len(lost)
        return found

    @abstractmethod
    def payload(self, messages: list[bytes]) -> bytes:
        """Messages as one payload."""

    def frame(self, payload: bytes, deflate_bytes_min: int = DEFLATE_BYTES_MIN) -> bytes:
        """One payload as a frame."""
        if self._deflates and len(payload) >= deflate_bytes_min:
            return deflated_frame(self.opcode, deflate(payload))
        return text_frame(payload) if self.opcode is Opcode.TEXT else binary_frame(payload)


class _Plain(_Frames):
    """Every frame is one JSON message."""

    name = "plain"
    opcode = Opcode.TEXT
    batches = False

    def frames(self, messages: list[bytes]) -> bytes:
        return b"".join([self.frame(_text(message)) for message in messages])

    def payload(self, messages: list[bytes]) -> bytes:
        return _text(messages[0])


class _JsonBatch(_Frames):
    """Every text frame is a JSON array of messages."""

    name = "json"
    opcode = Opcode.TEXT

    def payload(self, messages: list[bytes]) -> bytes:
        return _text(b"[%b]" % b",".join(messages))


class _MsgpackBatch(_Frames):
    """Every binary frame is a MessagePack array of messages."""

    name = "msgpack"
    opcode = Opcode.BINARY

    def payload(self, messages: list[bytes]) -> bytes:
        return _to_msgpack(_from_json(b"[%b]" % b",".join(messages)))


class Opening:
    """Another codec, for messages in which something has to be opened first: once for all who share the bytes.

    Args:
        opened: makes of a message in JSON what its readers see.
    """

    def __init__(self, codec: Codec, opened: Callable[[bytes], bytes]) -> None:
        self._codec = codec
        self._opened = opened
        self.name = codec.name
        self.joins = codec.joins

    @property
    def left_out(self) -> int:
        """See Codec."""
        return self._codec.left_out

    def pack(self, messages: list[bytes]) -> bytes:
        """See Codec."""
        return self._codec.pack(list(map(self._opened, messages)))

    def tick(self, message: bytes, position: str) -> bytes:
        """A tick says nothing of anybody."""
        return self._codec.tick(message, position)

    def answer(self, message: bytes) -> bytes:
        """See Codec."""
        return self._codec.answer(self._opened(message))


def _text(payload: bytes) -> bytes:
    """The payload of a text frame; a peer ends the connection over one that is no UTF-8."""
    if not payload.isascii():
        payload.decode()
    return payload


def _error(message: Json) -> bytes:
    """What takes the place of a message that cannot be encoded."""
    error = left_out(message)
    get_logger().warning("message left out", code=error.code, **(error.details or {}))
    return encode_json(error)


_NOT_ENCODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError)
_to_json: Final = msgspec.json.Encoder().encode
_from_json: Final = msgspec.json.Decoder().decode
_to_msgpack: Final = msgspec.msgpack.Encoder().encode

PLAIN: Final[Codec] = _Plain()
JSON_BATCH: Final[Codec] = _JsonBatch()
MSGPACK_BATCH: Final[Codec] = _MsgpackBatch()
DEFLATED: Final[dict[str, Codec]] = {
    "plain": _Plain(deflates=True),
    "json": _JsonBatch(deflates=True),
    "msgpack": _MsgpackBatch(deflates=True),
}
ALL: Final[tuple[Codec, ...]] = (PLAIN, JSON_BATCH, MSGPACK_BATCH, *DEFLATED.values())


def samples() -> Iterator[Sample]:
    """What all codecs have counted."""
    help = "Messages that a connection's codec could not say, so that they were left out."
    yield Sample("fire22_messages_left_out_total", help, sum(each.left_out for each in ALL))

"""How messages become the bytes of a connection. One codec each for every way of writing them."""

from abc import ABC, abstractmethod
from typing import Final, Protocol

import msgspec

from fire22.core.deflate import deflate
from fire22.core.frames import Opcode, binary_frame, deflated_frame, text_frame

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

    def pack(self, messages: list[bytes]) -> bytes:
        """The bytes to write for at least one message."""

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
        if deflates:
            self.name = f"{self.name}+deflate"

    @property
    def joins(self) -> bool:
        """A batch is compressed as a whole."""
        return self._deflates and self.batches

    def pack(self, messages: list[bytes]) -> bytes:
        """See Codec."""
        return self.frame(self.payload(messages))

    def answer(self, message: bytes) -> bytes:
        """Compressed only where it is long: nobody shares the work."""
        return self.frame(self.payload([message]), ANSWER_DEFLATE_BYTES_MIN)

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

    def pack(self, messages: list[bytes]) -> bytes:
        return b"".join(map(self.frame, messages))

    def payload(self, messages: list[bytes]) -> bytes:
        return messages[0]


class _JsonBatch(_Frames):
    """Every text frame is a JSON array of messages."""

    name = "json"
    opcode = Opcode.TEXT

    def payload(self, messages: list[bytes]) -> bytes:
        return b"[%b]" % b",".join(messages)


class _MsgpackBatch(_Frames):
    """Every binary frame is a MessagePack array of messages."""

    name = "msgpack"
    opcode = Opcode.BINARY

    def payload(self, messages: list[bytes]) -> bytes:
        return _to_msgpack(_from_json(b"[%b]" % b",".join(messages)))


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

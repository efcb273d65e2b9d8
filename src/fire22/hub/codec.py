"""How messages become the bytes of a connection. One codec each for every way of writing them."""

from typing import Final, Protocol

import msgspec

from fire22.core.deflate import deflate
from fire22.core.frames import Opcode, binary_frame, deflated_frame, text_frame

DEFLATE_BYTES_MIN: Final = 128  # smaller payloads gain nothing


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


class _Frames:
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

    def frame(self, payload: bytes) -> bytes:
        """One payload as a frame."""
        if self._deflates and len(payload) >= DEFLATE_BYTES_MIN:
            return deflated_frame(self.opcode, deflate(payload))
        return text_frame(payload) if self.opcode is Opcode.TEXT else binary_frame(payload)


class _Plain(_Frames):
    """Every frame is one JSON message."""

    name = "plain"
    opcode = Opcode.TEXT
    batches = False

    def pack(self, messages: list[bytes]) -> bytes:
        return b"".join(map(self.frame, messages))


class _JsonBatch(_Frames):
    """Every text frame is a JSON array of messages."""

    name = "json"
    opcode = Opcode.TEXT

    def pack(self, messages: list[bytes]) -> bytes:
        return self.frame(b"[%b]" % b",".join(messages))


class _MsgpackBatch(_Frames):
    """Every binary frame is a MessagePack array of messages."""

    name = "msgpack"
    opcode = Opcode.BINARY

    def pack(self, messages: list[bytes]) -> bytes:
        return self.frame(_to_msgpack(_from_json(b"[%b]" % b",".join(messages))))


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

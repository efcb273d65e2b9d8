"""How messages become the bytes of a connection. One codec each for every way of writing them."""

from typing import Final, Protocol

from fire22.core.frames import text_frame


class Codec(Protocol):
    """Packs finished JSON messages for one kind of connection."""

    @property
    def name(self) -> str:
        """Unique; part of a lane's key."""

    def pack(self, messages: list[bytes]) -> bytes:
        """The bytes to write for at least one message."""


class _Plain:
    """Every frame is one JSON message."""

    name = "plain"

    def pack(self, messages: list[bytes]) -> bytes:
        return b"".join(map(text_frame, messages))


class _JsonBatch:
    """Every text frame is a JSON array of messages."""

    name = "json"

    def pack(self, messages: list[bytes]) -> bytes:
        return text_frame(b"[%b]" % b",".join(messages))


PLAIN: Final[Codec] = _Plain()
JSON_BATCH: Final[Codec] = _JsonBatch()

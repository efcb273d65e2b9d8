"""permessage-deflate (RFC 7692), without context takeover in either direction.

Each message is compressed by itself, so the bytes of one message serve everybody and a connection holds no compressor.
"""

import re
import zlib
from typing import Final

from msgspec import Struct

from fire22.core.codes import MESSAGE_TOO_LARGE, PROTOCOL_ERROR, Close
from fire22.core.errors import RequestError

NAME: Final = "permessage-deflate"
WINDOW_BITS_MAX: Final = 15
LEVEL: Final = 6
_TAIL: Final = b"\x00\x00\xff\xff"  # of a flush; left out on the wire (section 7.2.1)
_BITS: Final = re.compile(r'"?(8|9|1[0-5])"?')


class Deflate(Struct, frozen=True):
    """What was agreed on.

    Args:
        window_bits: of what the server sends; 9 to 15.
        response: the value of the answer's Sec-WebSocket-Extensions.
    """

    window_bits: int
    response: str


class InflateError(RequestError):
    """A compressed message that cannot be read; close the connection with `close_code`."""

    def __init__(self, close_code: int, message: str) -> None:
        super().__init__(MESSAGE_TOO_LARGE if close_code == Close.TOO_LARGE else PROTOCOL_ERROR, message)
        self.close_code = close_code


def negotiate(offers: str) -> Deflate | None:
    """Take the first offer of a Sec-WebSocket-Extensions header that can be served, or none (section 5.1)."""
    for offer in offers.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name == NAME:
            agreed = _agree(parameters)
            if agreed is not None:
                return agreed
    return None


def deflate(payload: bytes, window_bits: int = WINDOW_BITS_MAX) -> bytes:
    """The payload of a compressed message (section 7.2.1)."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -window_bits)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]


def inflate(payload: bytes, bytes_max: int) -> bytes:
    """What a compressed message says (section 7.2.2).

    Raises:
        InflateError: close code 1009, it says more than `bytes_max` bytes; 1007, it is not deflated.
    """
    decompressor = zlib.decompressobj(-WINDOW_BITS_MAX)
    try:
        plain = decompressor.decompress(payload + _TAIL, bytes_max + 1)
    except zlib.error:
        raise InflateError(Close.INVALID_DATA, "A compressed message is not deflated data.") from None
    if len(plain) > bytes_max:
        raise InflateError(Close.TOO_LARGE, f"A message has at most {bytes_max} bytes; this one inflates to more.")
    return plain


def _agree(parameters: list[str]) -> Deflate | None:
    """One offer: every parameter known, well formed, and there once."""
    seen: set[str] = set()
    window_bits = WINDOW_BITS_MAX
    for parameter in parameters:
        key, equals, value = (part.strip() for part in parameter.partition("="))
        bits = _BITS.fullmatch(value)
        if key in seen:
            return None
        seen.add(key)
        if key in ("server_no_context_takeover", "client_no_context_takeover"):
            if equals:
                return None
        elif key == "server_max_window_bits":
            if bits is None or bits[1] == "8":  # zlib makes no raw stream with a window of 8 bits
                return None
            window_bits = int(bits[1])
        elif key == "client_max_window_bits":
            if equals and bits is None:
                return None
        else:
            return None
    response = f"{NAME}; server_no_context_takeover; client_no_context_takeover"
    if "server_max_window_bits" in seen:
        response += f"; server_max_window_bits={window_bits}"
    return Deflate(window_bits, response)

"""WebSocket frames (RFC 6455), fed by hand: bytes in, messages out, and ready-made frames for the way back.

A server holds one `FrameParser` for each connection, and nearly all of them are idle nearly always. So an idle parser
keeps nothing but its limit: an incomplete head or control frame waits in `_rest` (at most 130 bytes), an incomplete
message in `_message`, and both are given up with the byte that completes them. What a peer announces costs nothing;
only bytes that came are stored, at most `message_bytes_max` of them.

What the parser does depends on the bytes alone and never on how the network cut them into chunks: each check is made
as soon as the bytes it needs are there, and text is checked to be UTF-8 while it arrives, also within one frame.

Rejected: keeping the fragments of a message in a list (a million fragments of one byte would cost many times the
limit), and decoding text to `str` piece by piece (four bytes a character after one emoji).
"""

import codecs
from base64 import b64encode
from collections.abc import Iterator
from enum import IntEnum
from hashlib import sha1
from struct import pack
from typing import ClassVar, Final

from msgspec import Struct

from fire22.core.codes import MESSAGE_TOO_LARGE, PROTOCOL_ERROR, Code
from fire22.core.codes import Close as CloseCode
from fire22.core.deflate import InflateError, inflate
from fire22.core.errors import RequestError

CONTROL_BYTES_MAX: Final = 125

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_FINAL: Final = 0x80
_RESERVED: Final = 0x70
_COMPRESSED: Final = 0x40  # RSV1, of permessage-deflate (RFC 7692 section 6)
_CONTROL: Final = 0x08
_MASKED: Final = 0x80
_utf8: Final = codecs.getincrementaldecoder("utf-8")


class Opcode(IntEnum):
    """The kinds of frames (RFC 6455 section 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


_OPCODES: Final = frozenset(int(opcode) for opcode in Opcode)


class Text(Struct, frozen=True, gc=False):
    """A whole text message."""

    payload: str


class Binary(Struct, frozen=True, gc=False):
    """A whole binary message."""

    payload: bytes


class Ping(Struct, frozen=True, gc=False):
    """To be answered by a pong with the same payload."""

    payload: bytes


class Pong(Struct, frozen=True, gc=False):
    """The answer to a ping; it may also come unasked."""

    payload: bytes


class Close(Struct, frozen=True, gc=False):
    """The peer's close frame: `code` is None where it gave none. Nothing after it is read."""

    code: int | None
    reason: str


Incoming = Text | Binary | Ping | Pong | Close


class FrameError(RequestError):
    """The peer broke the protocol or a limit: close the connection with `close_code`."""

    def __init__(self, close_code: int, code: Code, message: str) -> None:
        super().__init__(code, message)
        self.close_code = close_code


class _Head(Struct, frozen=True, gc=False):
    """A frame's head: `mask` is empty for an unmasked frame; the payload begins at `start` of the chunk."""

    opcode: int
    final: bool
    size: int
    mask: bytes
    start: int
    compressed: bool


class _Partial:
    """A data message of which bytes are missing: of its current frame, or further frames."""

    __slots__ = ("_at", "_compressed", "_decoder", "_mask", "_opcode", "_payload", "final", "missing")

    def __init__(self, opcode: int, *, compressed: bool) -> None:
        self._opcode = opcode
        self._compressed = compressed
        self._payload = bytearray()
        self._decoder = _utf8() if opcode == Opcode.TEXT and not compressed else None
        self._mask = b""
        self._at = 0
        self.final = False
        self.missing = 0

    @property
    def size(self) -> int:
        """Bytes of the message that have come so far."""
        return len(self._payload)

    def begin(self, head: _Head) -> None:
        """Go on with the next frame of the message."""
        self.final = head.final
        self.missing = head.size
        self._mask = head.mask
        self._at = 0

    def feed(self, piece: bytes) -> None:
        """Take a piece of the current frame's payload."""
        phase = self._at & 3
        plain = _unmask(piece, self._mask[phase:] + self._mask[:phase])
        if self._decoder is not None:
            _checked(self._decoder, plain, final=False)
        self._payload += plain
        self._at += len(piece)
        self.missing -= len(piece)

    def finish(self, bytes_max: int) -> Text | Binary:
        """The message, now that all of it is there; at most `bytes_max` bytes when inflated."""
        if self._compressed:
            return _whole(self._opcode, _inflated(bytes(self._payload), bytes_max))
        if self._decoder is None:
            return Binary(bytes(self._payload))
        _checked(self._decoder, b"", final=True)
        return Text(self._payload.decode())


class FrameParser:
    """Reads what a client sends: masked frames.

    Args:
        message_bytes_max: of one message, over all its fragments and also when inflated.
    """

    __slots__ = ("_closed", "_message", "_message_bytes_max", "_rest")

    _expects_masks: ClassVar[bool] = True
    _deflates: ClassVar[bool] = False

    def __init__(self, message_bytes_max: int) -> None:
        self._message_bytes_max = message_bytes_max
        self._rest = b""
        self._message: _Partial | None = None
        self._closed = False

    def allow(self, message_bytes_max: int) -> None:
        """Another limit from the next frame on."""
        self._message_bytes_max = message_bytes_max

    def receive(self, data: bytes) -> Iterator[Incoming]:
        """Read the next chunk; iterate to the end, since the chunk is read while you do. Raises as `pieces`."""
        return (incoming for incoming in self.pieces(data) if incoming is not None)

    def pieces(self, data: bytes) -> Iterator[Incoming | None]:
        """Read the next chunk frame by frame, to the end: None for each frame that completes no message.

        What came whole before a violation in the same chunk is yielded first, and then the violation is raised. After
        a violation or the peer's close frame everything further is ignored.

        Raises:
            FrameError: close code 1002 (`protocol_error`), 1007 (the same code: text that is not UTF-8) or 1009
                (`message_too_large`).
        """
        if self._closed:
            return
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at = 0
        while at < len(data):
            try:
                at, incoming = self._next(data, at)
            except FrameError:
                self._close()
                raise
            yield incoming

    def _close(self) -> None:
        self._closed = True
        self._message = None
        self._rest = b""

    def _next(self, data: bytes, at: int) -> tuple[int, Incoming | None]:
        """Read one frame, or the part of it that is there; return where the next one begins."""
        if self._message is not None and self._message.missing:
            return self._take(data, at, self._message)
        head = self._read_head(data, at)
        if head is None or (head.opcode & _CONTROL and len(data) - head.start < head.size):
            self._rest = data[at:]
            return len(data), None
        end = head.start + head.size
        if head.opcode & _CONTROL:
            incoming = _control(head.opcode, _unmask(data[head.start : end], head.mask))
            if isinstance(incoming, Close):
                self._close()
                end = len(data)
            return end, incoming
        if self._message is None:
            if head.final and end <= len(data):
                payload = _unmask(data[head.start : end], head.mask)
                if head.compressed:
                    payload = _inflated(payload, self._message_bytes_max)
                return end, _whole(head.opcode, payload)
            self._message = _Partial(head.opcode, compressed=head.compressed)
        self._message.begin(head)
        return self._take(data, head.start, self._message)

    def _take(self, data: bytes, at: int, message: _Partial) -> tuple[int, Incoming | None]:
        """Feed the message with what is there of its current frame."""
        end = min(at + message.missing, len(data))
        if end > at:
            message.feed(data[at:end])
        if message.missing or not message.final:
            return end, None
        self._message = None
        return end, message.finish(self._message_bytes_max)

    def _read_head(self, data: bytes, at: int) -> _Head | None:
        """Read and check a frame's head (RFC 6455 section 5.2), or return None while it is incomplete."""
        if len(data) - at < 2:
            return None
        first, second = data[at], data[at + 1]
        opcode, size, at = first & 0x0F, second & 0x7F, at + 2
        self._check_kind(first, second)
        if size > CONTROL_BYTES_MAX:
            width = 2 if size == 126 else 8
            if len(data) - at < width:
                return None
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
            if size < (126 if width == 2 else 65_536):  # "the minimal number of bytes MUST be used"
                raise _violation("The length of a frame is not written with the fewest bytes.")
            if size >> 63:
                raise _violation("The length of a frame has its topmost bit set.")
        if not opcode & _CONTROL:
            self._check_size(size)
        final, compressed = bool(first & _FINAL), bool(first & _COMPRESSED)
        if not self._expects_masks:
            return _Head(opcode, final, size, b"", at, compressed)
        if len(data) - at < 4:
            return None
        return _Head(opcode, final, size, data[at : at + 4], at + 4, compressed)

    def _check_kind(self, first: int, second: int) -> None:
        """Check everything that the first two bytes say."""
        opcode = first & 0x0F
        self._check_reserved(first & _RESERVED, opcode)
        if opcode not in _OPCODES:
            raise _violation(f"A frame has the unknown opcode {opcode}.")
        if bool(second & _MASKED) is not self._expects_masks:
            raise _violation("A client must mask its frames, and a server must not.")  # section 5.1
        if opcode & _CONTROL:
            if not first & _FINAL:
                raise _violation("A control frame is fragmented.")  # section 5.4
            if second & 0x7F > CONTROL_BYTES_MAX:
                raise _violation(f"A control frame has more than {CONTROL_BYTES_MAX} bytes.")  # section 5.5
        elif opcode == Opcode.CONTINUATION:
            if self._message is None:
                raise _violation("A continuation frame continues nothing.")
        elif self._message is not None:
            raise _violation("A message begins before the one before it ended.")

    def _check_reserved(self, bits: int, opcode: int) -> None:
        """Refuse reserved bits, but for the one that says that a message is compressed, on its first frame."""
        if bits == _COMPRESSED and self._deflates and opcode in (Opcode.TEXT, Opcode.BINARY):
            return
        if bits:
            raise _violation("A reserved bit is set that no extension has given a meaning.")

    def _check_size(self, size: int) -> None:
        if self._message is not None:
            size += self._message.size
        if size > self._message_bytes_max:
            raise FrameError(
                CloseCode.TOO_LARGE,
                MESSAGE_TOO_LARGE,
                f"A message has at most {self._message_bytes_max} bytes; this one has {size} or more.",
            )


class DeflateFrameParser(FrameParser):
    """Reads what a client sends with which permessage-deflate was agreed on, without context takeover."""

    __slots__ = ()

    _deflates = True


class ServerFrameParser(FrameParser):
    """Reads what a server sends: frames without masks. For clients, tests and measurements."""

    __slots__ = ()

    _expects_masks = False


def _violation(message: str) -> FrameError:
    return FrameError(CloseCode.PROTOCOL_ERROR, PROTOCOL_ERROR, message)


def _not_utf8(what: str) -> FrameError:
    return FrameError(CloseCode.INVALID_DATA, PROTOCOL_ERROR, f"{what} is not UTF-8.")


def _checked(decoder: codecs.IncrementalDecoder, payload: bytes, *, final: bool) -> None:
    try:
        decoder.decode(payload, final)
    except UnicodeDecodeError:
        raise _not_utf8("A text message") from None


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """Apply a mask (RFC 6455 section 5.3) as one large exclusive or; masking and unmasking are the same."""
    size = len(payload)
    if not mask or not size:
        return payload
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


def _inflated(payload: bytes, bytes_max: int) -> bytes:
    try:
        return inflate(payload, bytes_max)
    except InflateError as error:
        raise FrameError(error.close_code, error.code, error.message) from None


def _whole(opcode: int, payload: bytes) -> Text | Binary:
    """A message of one frame that is all there."""
    if opcode == Opcode.BINARY:
        return Binary(payload)
    try:
        return Text(payload.decode())
    except UnicodeDecodeError:
        raise _not_utf8("A text message") from None


def _control(opcode: int, payload: bytes) -> Ping | Pong | Close:
    if opcode == Opcode.PING:
        return Ping(payload)
    if opcode == Opcode.PONG:
        return Pong(payload)
    return _read_close(payload)


def _read_close(payload: bytes) -> Close:
    """Read the body of a close frame (RFC 6455 section 5.5.1)."""
    if not payload:
        return Close(None, "")
    if len(payload) == 1:
        raise _violation("A close frame has half a code.")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        raise _violation(f"A close frame has the code {code}, which must not be sent.")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise _not_utf8("The reason in a close frame") from None


def may_be_sent(code: int) -> bool:
    """Whether a close frame may carry this code (RFC 6455 section 7.4 and the registry: 1012 to 1014 are taken)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def frame_head(opcode: int, size: int, *, final: bool = True) -> bytes:
    """The head of an unmasked frame, for a payload of `size` bytes that is joined from parts elsewhere."""
    first = (_FINAL if final else 0) | opcode
    if size < 126:
        return bytes((first, size))
    if size < 65_536:
        return pack("!BBH", first, 126, size)
    return pack("!BBQ", first, 127, size)


def text_frame(payload: bytes) -> bytes:
    """A whole text message as one frame; `payload` is UTF-8 already."""
    return frame_head(Opcode.TEXT, len(payload)) + payload


def binary_frame(payload: bytes) -> bytes:
    """A whole binary message as one frame."""
    return frame_head(Opcode.BINARY, len(payload)) + payload


def deflated_frame(opcode: int, payload: bytes) -> bytes:
    """A whole compressed message as one frame; `payload` is deflated already (RFC 7692 section 6.1)."""
    head = frame_head(opcode, len(payload))
    return bytes((head[0] | _COMPRESSED,)) + head[1:] + payload


def ping_frame(payload: bytes = b"") -> bytes:
    """A ping; at most 125 bytes."""
    return _control_frame(Opcode.PING, payload)


def pong_frame(payload: bytes = b"") -> bytes:
    """The answer to a ping, with the ping's payload."""
    return _control_frame(Opcode.PONG, payload)


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    """A close frame; a reason of more than 123 bytes is cut at a character. Without a code there is no reason."""
    if code is None:
        return _control_frame(Opcode.CLOSE, b"")
    if not may_be_sent(code):
        raise AssertionError(f"close code {code} must not be sent")
    text = reason.encode()[: CONTROL_BYTES_MAX - 2].decode(errors="ignore")
    return _control_frame(Opcode.CLOSE, code.to_bytes(2, "big") + text.encode())


def _control_frame(opcode: Opcode, payload: bytes) -> bytes:
    if len(payload) > CONTROL_BYTES_MAX:
        raise AssertionError(f"a control frame has at most {CONTROL_BYTES_MAX} bytes")
    return frame_head(opcode, len(payload)) + payload


def masked(frame: bytes, mask: bytes) -> bytes:
    """An unmasked frame as a client sends it; `mask` is four bytes that the caller drew at random."""
    if len(mask) != 4:
        raise AssertionError("a mask has four bytes")
    start = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[:1] + bytes((frame[1] | _MASKED,)) + frame[2:start] + mask + _unmask(frame[start:], mask)


def accept_key(key: bytes) -> bytes:
    """The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 section 4.2.2)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())

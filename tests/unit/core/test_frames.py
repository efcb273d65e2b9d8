"""WebSocket frames, against RFC 6455."""

import sys
from collections.abc import Iterable

import pytest

from fire22.core.codes import MESSAGE_TOO_LARGE, PROTOCOL_ERROR, Code
from fire22.core.frames import (
    Binary,
    Close,
    FrameError,
    FrameParser,
    Incoming,
    Opcode,
    Ping,
    Pong,
    ServerFrameParser,
    Text,
    accept_key,
    binary_frame,
    close_frame,
    frame_head,
    masked,
    may_be_sent,
    ping_frame,
    pong_frame,
    text_frame,
)

LIMIT = 70_000
MASK = b"\x37\xfa\x21\x3d"


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0) -> bytes:
    """A client's frame, well formed or not."""
    plain = frame_head(opcode | reserved, len(payload), final=final) + payload
    return masked(plain, MASK)


def read(parser: FrameParser, chunks: Iterable[bytes]) -> tuple[list[Incoming], tuple[int, Code] | None]:
    """Everything that comes out, and the violation that ended it."""
    incoming: list[Incoming] = []
    try:
        for chunk in chunks:
            for one in parser.receive(chunk):
                incoming.append(one)
    except FrameError as error:
        return incoming, (error.close_code, error.code)
    return incoming, None


def refused(data: bytes) -> tuple[int, Code] | None:
    """How a parser refuses these bytes when nothing came out of them."""
    incoming, violation = read(FrameParser(LIMIT), [data])
    assert incoming == []
    return violation


VALID: list[tuple[str, bytes, list[Incoming]]] = [
    ("RFC 6455 section 5.7: a masked text", bytes.fromhex("818537fa213d7f9f4d5158"), [Text("Hello")]),
    (
        "RFC 6455 section 5.7: a masked pong",
        bytes.fromhex("8a8537fa213d7f9f4d5158"),
        [Pong(b"Hello")],
    ),
    ("an empty text", frame(Opcode.TEXT), [Text("")]),
    ("an empty binary", frame(Opcode.BINARY), [Binary(b"")]),
    ("125 bytes", frame(Opcode.BINARY, b"x" * 125), [Binary(b"x" * 125)]),
    ("126 bytes", frame(Opcode.BINARY, b"x" * 126), [Binary(b"x" * 126)]),
    ("65,535 bytes", frame(Opcode.BINARY, b"x" * 65_535), [Binary(b"x" * 65_535)]),
    ("65,536 bytes", frame(Opcode.BINARY, b"x" * 65_536), [Binary(b"x" * 65_536)]),
    ("exactly the limit", frame(Opcode.TEXT, b"x" * LIMIT), [Text("x" * LIMIT)]),
    ("a ping without a payload", frame(Opcode.PING), [Ping(b"")]),
    ("a ping of 125 bytes", frame(Opcode.PING, b"p" * 125), [Ping(b"p" * 125)]),
    ("text of every width", frame(Opcode.TEXT, "aé€😀".encode()), [Text("aé€😀")]),
    (
        "characters cut by fragments, with control frames between them",
        frame(Opcode.TEXT, b"\xf0\x9f", final=False)
        + frame(Opcode.PING, b"1")
        + frame(Opcode.CONTINUATION, b"\x98", final=False)
        + frame(Opcode.PONG, b"2")
        + frame(Opcode.CONTINUATION, b"\x80", final=True),
        [Ping(b"1"), Pong(b"2"), Text("😀")],
    ),
    (
        "empty fragments",
        frame(Opcode.BINARY, final=False)
        + frame(Opcode.CONTINUATION, final=False)
        + frame(Opcode.CONTINUATION, b"x", final=False)
        + frame(Opcode.CONTINUATION),
        [Binary(b"x")],
    ),
    (
        "two fragmented messages in a row",
        frame(Opcode.TEXT, b"a", final=False)
        + frame(Opcode.CONTINUATION, b"b")
        + frame(Opcode.BINARY, b"c", final=False)
        + frame(Opcode.CONTINUATION, b"d"),
        [Text("ab"), Binary(b"cd")],
    ),
    ("a close without a code", frame(Opcode.CLOSE), [Close(None, "")]),
    ("a close with a code", frame(Opcode.CLOSE, b"\x03\xe8"), [Close(1000, "")]),
    ("a close with a reason", frame(Opcode.CLOSE, b"\x03\xe9" + "tschüss".encode()), [Close(1001, "tschüss")]),
    (
        "what follows a close is ignored, even a violation",
        frame(Opcode.CLOSE, b"\x03\xe8") + frame(Opcode.TEXT, b"late") + b"\xff\xff",
        [Close(1000, "")],
    ),
    (
        "a close between the fragments of a message",
        frame(Opcode.TEXT, b"a", final=False) + frame(Opcode.CLOSE) + frame(Opcode.CONTINUATION, b"b"),
        [Close(None, "")],
    ),
]

WRONG: list[tuple[str, bytes, int]] = [
    ("RSV1", frame(Opcode.TEXT, b"x", reserved=0x40), 1002),
    ("RSV2", frame(Opcode.TEXT, b"x", reserved=0x20), 1002),
    ("RSV3 on a control frame", frame(Opcode.PING, reserved=0x10), 1002),
    *[(f"opcode {opcode}", frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    ("no mask", text_frame(b"Hello"), 1002),
    ("a ping of 126 bytes", frame(Opcode.PING, b"p" * 126), 1002),
    ("a close of 126 bytes", frame(Opcode.CLOSE, b"\x03\xe8" + b"p" * 124), 1002),
    ("a fragmented ping", frame(Opcode.PING, final=False), 1002),
    ("a fragmented close", frame(Opcode.CLOSE, final=False), 1002),
    ("a continuation of nothing", frame(Opcode.CONTINUATION, b"x"), 1002),
    ("a continuation of nothing, not final", frame(Opcode.CONTINUATION, b"x", final=False), 1002),
    ("a new text inside a text", frame(Opcode.TEXT, final=False) + frame(Opcode.TEXT), 1002),
    ("a new binary inside a text", frame(Opcode.TEXT, final=False) + frame(Opcode.BINARY), 1002),
    ("a continuation after the end", frame(Opcode.TEXT, final=False) + frame(Opcode.CONTINUATION, b"\xff"), 1007),
    ("125 in 16 bits", b"\x82\xfe\x00\x7d" + MASK, 1002),
    ("65,535 in 64 bits", b"\x82\xff" + (65_535).to_bytes(8, "big") + MASK, 1002),
    ("the top bit of a length", b"\x82\xff" + (1 << 63).to_bytes(8, "big"), 1002),
    ("a head above the limit", b"\x82\xff" + (LIMIT + 1).to_bytes(8, "big"), 1009),
    ("a head far above the limit", b"\x81\xff" + ((1 << 63) - 1).to_bytes(8, "big"), 1009),
    (
        "fragments above the limit",
        frame(Opcode.TEXT, b"x" * LIMIT, final=False) + frame(Opcode.CONTINUATION, b"x"),
        1009,
    ),
    ("half a close code", frame(Opcode.CLOSE, b"\x03"), 1002),
    ("a reason that is not UTF-8", frame(Opcode.CLOSE, b"\x03\xe8\xce\xba\xff"), 1007),
    ("text that is not UTF-8", frame(Opcode.TEXT, b"\xce\xba\xff"), 1007),
    ("text that ends inside a character", frame(Opcode.TEXT, "€".encode()[:2]), 1007),
    ("a surrogate", frame(Opcode.TEXT, b"\xed\xa0\x80"), 1007),
    ("an overlong slash", frame(Opcode.TEXT, b"\xc0\xaf"), 1007),
    ("beyond the last character", frame(Opcode.TEXT, b"\xf4\x90\x80\x80"), 1007),
    ("fragments that end inside a character", frame(Opcode.TEXT, b"\xe2", final=False) + frame(0, b"\x82"), 1007),
    ("the first of two fragments is not UTF-8", frame(Opcode.TEXT, b"\xff", final=False), 1007),
    ("not UTF-8, seen before the frame is whole", frame(Opcode.TEXT, b"\xff" + b"x" * 1000)[:20], 1007),
]

# Each is small enough to be cut everywhere.
STREAMS = [(name, data) for name, data, _ in VALID + WRONG if len(data) <= 300]


@pytest.mark.parametrize(("name", "data", "expected"), VALID, ids=[name for name, _, _ in VALID])
def test_valid(name: str, data: bytes, expected: list[Incoming]) -> None:
    """A client that keeps to the protocol is read."""
    assert read(FrameParser(LIMIT), [data]) == (expected, None)


@pytest.mark.parametrize(("name", "data", "close_code"), WRONG, ids=[name for name, _, _ in WRONG])
def test_wrong(name: str, data: bytes, close_code: int) -> None:
    """A client that breaks the protocol is refused with the code the standard gives for it."""
    code = MESSAGE_TOO_LARGE if close_code == 1009 else PROTOCOL_ERROR
    assert refused(data) == (close_code, code)


@pytest.mark.parametrize(("name", "data"), STREAMS, ids=[name for name, _ in STREAMS])
def test_every_split(name: str, data: bytes) -> None:
    """However the network cuts a stream, the server reads the same from it."""
    whole = read(FrameParser(LIMIT), [data])
    assert read(FrameParser(LIMIT), [data[at : at + 1] for at in range(len(data))]) == whole
    for at in range(len(data) + 1):
        assert read(FrameParser(LIMIT), [data[:at], data[at:]]) == whole


def test_large_message_in_pieces() -> None:
    """A large message that arrives in many pieces of odd sizes is unmasked in the right phase."""
    payload = bytes(range(256)) * 200
    data = frame(Opcode.BINARY, payload)
    chunks = [data[at : at + 1_237] for at in range(0, len(data), 1_237)]
    assert read(FrameParser(LIMIT), chunks) == ([Binary(payload)], None)


def test_each_frame_is_a_piece() -> None:
    """Who reads a chunk can stop after each frame, also within a message of many fragments."""
    data = frame(Opcode.TEXT, b"a", final=False) + frame(0, final=False) * 3 + frame(Opcode.PING) + frame(0, b"b")
    assert list(FrameParser(LIMIT).pieces(data)) == [None] * 4 + [Ping(b""), Text("ab")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
def test_close_codes_refused(code: int) -> None:
    """A close code that must not be on the wire is refused, and never sent."""
    assert refused(frame(Opcode.CLOSE, code.to_bytes(2, "big"))) == (1002, PROTOCOL_ERROR)
    assert not may_be_sent(code)
    with pytest.raises(AssertionError, match="must not be sent"):
        close_frame(code)


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4001, 4500, 4999])
def test_close_codes_taken(code: int) -> None:
    """Every registered and private close code is read and sent."""
    assert read(FrameParser(LIMIT), [masked(close_frame(code, "why"), MASK)]) == ([Close(code, "why")], None)


def test_messages_before_a_violation_come_first() -> None:
    """What a client said properly before it broke the protocol still counts, and nothing afterwards."""
    parser = FrameParser(LIMIT)
    data = frame(Opcode.TEXT, b"1") + frame(Opcode.TEXT, b"2") + text_frame(b"unmasked") + frame(Opcode.TEXT, b"3")
    assert read(parser, [data]) == ([Text("1"), Text("2")], (1002, PROTOCOL_ERROR))
    assert list(parser.receive(frame(Opcode.TEXT, b"4"))) == []


def test_idle_parser_keeps_nothing() -> None:
    """Between messages a connection costs one small object, whatever it said before."""
    fresh, used = FrameParser(LIMIT), FrameParser(LIMIT)
    for name, data, _ in VALID:
        if "close" not in name:
            assert read(used, [data[at : at + 100] for at in range(0, len(data), 100)])[1] is None
    state = [[getattr(parser, slot) for slot in FrameParser.__slots__] for parser in (fresh, used)]
    assert state[0] == state[1]
    assert sys.getsizeof(used) <= 64


def test_announced_bytes_cost_nothing() -> None:
    """A client that announces a large message and sends nothing of it makes the server store nothing."""
    parser = FrameParser(1 << 40)
    assert list(parser.receive(b"\x82\xff" + (1 << 39).to_bytes(8, "big") + MASK)) == []
    message = parser._message
    assert message is not None
    assert message.size == 0


WRITTEN = [
    ("RFC 6455 section 5.7: an unmasked text", text_frame(b"Hello"), "810548656c6c6f"),
    ("RFC 6455 section 5.7: a masked text", masked(text_frame(b"Hello"), MASK), "818537fa213d7f9f4d5158"),
    ("RFC 6455 section 5.7: a fragment", frame_head(Opcode.TEXT, 3, final=False) + b"Hel", "010348656c"),
    ("RFC 6455 section 5.7: a last fragment", frame_head(Opcode.CONTINUATION, 2) + b"lo", "80026c6f"),
    ("RFC 6455 section 5.7: a ping", ping_frame(b"Hello"), "890548656c6c6f"),
    ("RFC 6455 section 5.7: 256 bytes", binary_frame(bytes(256))[:6], "827e01000000"),
    ("RFC 6455 section 5.7: 64 KiB", binary_frame(bytes(65_536))[:12], "827f00000000000100000000"),
    ("a pong", pong_frame(b"Hello"), "8a0548656c6c6f"),
    ("an empty ping", ping_frame(), "8900"),
    ("a close", close_frame(), "8800"),
    ("a close with a code", close_frame(1000), "880203e8"),
    ("a close with a reason", close_frame(1012, "go"), "880403f4676f"),
]


@pytest.mark.parametrize(("name", "written", "expected"), WRITTEN, ids=[name for name, _, _ in WRITTEN])
def test_written(name: str, written: bytes, expected: str) -> None:
    """The server writes the bytes that the standard shows."""
    assert written.hex() == expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_round_trip(size: int) -> None:
    """What the server writes, a client reads, and the other way round, at every width of the length."""
    payload = bytes(index * 7 % 256 for index in range(size))
    assert list(ServerFrameParser(LIMIT).receive(binary_frame(payload))) == [Binary(payload)]
    assert list(FrameParser(LIMIT).receive(masked(binary_frame(payload), MASK))) == [Binary(payload)]


def test_client_refuses_masks() -> None:
    """A client refuses a masked frame from a server."""
    assert read(ServerFrameParser(LIMIT), [frame(Opcode.TEXT)])[1] == (1002, PROTOCOL_ERROR)


def test_long_reason_is_cut() -> None:
    """A reason that is too long for a close frame is cut, and never inside a character."""
    written = close_frame(1008, "é" * 100)
    assert list(ServerFrameParser(LIMIT).receive(written)) == [Close(1008, "é" * 61)]


@pytest.mark.parametrize("write", [ping_frame, pong_frame])
def test_long_control_payload_is_a_mistake(write: object) -> None:
    """Our own code never writes a control frame that is too long."""
    with pytest.raises(AssertionError, match="at most 125"):
        write(b"x" * 126)  # type: ignore[operator]


def test_mask_has_four_bytes() -> None:
    """Our own code never masks with a wrong mask."""
    with pytest.raises(AssertionError, match="four bytes"):
        masked(ping_frame(), b"abc")


def test_accept_key() -> None:
    """The handshake's answer is the one in RFC 6455 section 1.3."""
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

"""WebSocket frames under arbitrary bytes and arbitrary cuts."""

from hypothesis import given
from hypothesis import strategies as st

from fire22.core.frames import (
    Binary,
    Close,
    FrameError,
    FrameParser,
    Incoming,
    Opcode,
    Ping,
    Pong,
    Text,
    close_frame,
    frame_head,
    masked,
    may_be_sent,
    ping_frame,
    pong_frame,
)

LIMIT = 400

masks = st.binary(min_size=4, max_size=4)
close_codes = st.integers(1000, 4999).filter(may_be_sent)
controls = st.one_of(
    st.builds(Ping, st.binary(max_size=125)),
    st.builds(Pong, st.binary(max_size=125)),
)
messages = st.one_of(
    st.builds(Text, st.text(max_size=80)),
    st.builds(Binary, st.binary(max_size=300)),
    controls,
)
# Bytes that look like frames: a plausible start, then anything.
likely = st.builds(
    lambda first, second, rest: bytes((first, second)) + rest,
    st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A]),
    st.one_of(st.integers(0x80, 0x90), st.sampled_from([0xFD, 0xFE, 0xFF])),
    st.binary(max_size=40),
)
streams = st.lists(st.one_of(st.binary(max_size=60), likely), max_size=8).map(b"".join)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """The bytes in chunks, cut where `at` says."""
    ends = [*sorted({min(end, len(data)) for end in at}), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def run(chunks: list[bytes]) -> tuple[list[Incoming], int | None]:
    """What comes out, and the close code of the violation; never more is stored than the limit allows."""
    parser = FrameParser(LIMIT)
    incoming: list[Incoming] = []
    try:
        for chunk in chunks:
            for one in parser.receive(chunk):
                incoming.append(one)
            stored = parser._message
            assert len(parser._rest) <= 130
            assert stored is None or stored.size <= LIMIT
    except FrameError as error:
        assert parser._message is None
        assert parser._rest == b""
        return incoming, error.close_code
    return incoming, None


@given(streams, st.lists(st.integers(0, 300), max_size=20))
def test_anything(data: bytes, at: list[int]) -> None:
    """Whatever bytes a stranger sends, and however they are cut: a clean refusal or messages, the same each time."""
    whole = run([data])
    assert run(cut(data, at)) == whole
    assert run([data[index : index + 1] for index in range(len(data))]) == whole
    assert whole[1] in (None, 1002, 1007, 1009)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Incoming], bytes]:
    """Messages, and a client's bytes for them: fragmented at will, with control frames between the fragments."""
    expected: list[Incoming] = []
    frames: list[bytes] = []

    def control(one: Ping | Pong) -> None:
        expected.append(one)
        write = ping_frame if isinstance(one, Ping) else pong_frame
        frames.append(masked(write(one.payload), draw(masks)))

    for message in draw(st.lists(messages, max_size=6)):
        if isinstance(message, Ping | Pong):
            control(message)
            continue
        assert isinstance(message, Text | Binary)
        text = isinstance(message, Text)
        payload = message.payload.encode() if isinstance(message, Text) else message.payload
        pieces = cut(payload, draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        for index, piece in enumerate(pieces):
            kind = (Opcode.TEXT if text else Opcode.BINARY) if index == 0 else Opcode.CONTINUATION
            last = index == len(pieces) - 1
            frames.append(masked(frame_head(kind, len(piece), final=last) + piece, draw(masks)))
            if not last:
                for one in draw(st.lists(controls, max_size=1)):
                    control(one)
        expected.append(message)
    if draw(st.booleans()):
        code, reason = draw(close_codes), draw(st.text(max_size=30))
        expected.append(Close(code, reason))
        frames.append(masked(close_frame(code, reason), draw(masks)))
    return expected, b"".join(frames)


@given(conversations(), st.lists(st.integers(0, 2_000), max_size=30))
def test_round_trip(conversation: tuple[list[Incoming], bytes], at: list[int]) -> None:
    """What a client says is what the server reads, however it is fragmented, masked and cut."""
    expected, data = conversation
    assert run(cut(data, at)) == (expected, None)

"""permessage-deflate, as RFC 7692 has it."""

import os
import zlib

import pytest

from fire22.core.codes import Close
from fire22.core.deflate import InflateError, deflate, inflate, negotiate
from fire22.core.frames import (
    Binary,
    DeflateFrameParser,
    FrameError,
    FrameParser,
    Opcode,
    Text,
    deflated_frame,
    frame_head,
    masked,
)

MASK = b"\x01\x02\x03\x04"
BASE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offers", "response"),
    [
        ("", None),
        ("permessage-bzip2", None),
        ("permessage-deflate", BASE),
        ("permessage-deflate; client_max_window_bits", BASE),
        ("permessage-deflate; client_max_window_bits=10", BASE),
        ('permessage-deflate; server_max_window_bits="11"', f"{BASE}; server_max_window_bits=11"),
        ("permessage-deflate; server_max_window_bits=15", f"{BASE}; server_max_window_bits=15"),
        ("x-webkit-deflate-frame, permessage-deflate; server_no_context_takeover", BASE),
        # What is not well formed, or cannot be served, is declined; the next offer counts.
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; unheard_of", None),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", BASE),
    ],
)
def test_an_offer_is_taken_or_declined(offers: str, response: str | None) -> None:
    """A client gets exactly what it offered, without context takeover, or no compression."""
    agreed = negotiate(offers)
    assert (agreed.response if agreed else None) == response


@pytest.mark.parametrize("payload", [b"Hello", b"", b"a" * 100_000, os.urandom(5_000)])
@pytest.mark.parametrize("window_bits", [9, 12, 15])
def test_what_is_deflated_inflates_to_the_same(payload: bytes, window_bits: int) -> None:
    """Every payload comes back, whatever the window."""
    assert inflate(deflate(payload, window_bits), len(payload)) == payload


def test_the_examples_of_the_standard() -> None:
    """The messages of RFC 7692 section 7.2.3 are read, also in two frames and without compression."""
    assert inflate(bytes.fromhex("f248cdc9c90700"), 10) == b"Hello"
    assert inflate(bytes.fromhex("000500faff48656c6c6f00"), 10) == b"Hello"  # a block without compression
    parser = DeflateFrameParser(1000)
    first = masked(b"\x41\x03" + bytes.fromhex("f248cd"), MASK)
    second = masked(b"\x80\x04" + bytes.fromhex("c9c90700"), MASK)
    assert list(parser.receive(first)) == []
    assert list(parser.receive(second)) == [Text("Hello")]


def test_a_bomb_is_refused_when_it_passes_the_limit() -> None:
    """A small frame that would inflate to a gigabyte costs only its sender, and no memory beyond the limit."""
    parser = DeflateFrameParser(10_000)
    bomb = deflated_frame(Opcode.BINARY, deflate(b"\0" * 1_000_000))
    with pytest.raises(FrameError) as caught:
        list(parser.receive(masked(bomb, MASK)))
    assert caught.value.close_code == Close.TOO_LARGE


def test_what_is_not_deflated_is_refused() -> None:
    """Garbage with the compressed bit closes the connection with 1007."""
    with pytest.raises(InflateError) as caught:
        inflate(b"\xff\xff\xff", 100)
    assert caught.value.close_code == Close.INVALID_DATA
    parser = DeflateFrameParser(100)
    with pytest.raises(FrameError):
        list(parser.receive(masked(deflated_frame(Opcode.TEXT, b"\xff\xff\xff"), MASK)))


def test_compressed_text_must_be_utf8() -> None:
    """Text is checked after it was inflated."""
    parser = DeflateFrameParser(100)
    with pytest.raises(FrameError) as caught:
        list(parser.receive(masked(deflated_frame(Opcode.TEXT, deflate(b"\xc3\x28")), MASK)))
    assert caught.value.close_code == Close.INVALID_DATA


def test_the_compressed_bit_stands_only_on_the_first_frame_and_only_where_agreed() -> None:
    """RSV1 on a continuation, on a control frame, or without the extension is a violation."""
    frame = masked(deflated_frame(Opcode.BINARY, deflate(b"abc")), MASK)
    assert list(DeflateFrameParser(100).receive(frame)) == [Binary(b"abc")]
    with pytest.raises(FrameError):
        list(FrameParser(100).receive(frame))
    start = masked(frame_head(Opcode.BINARY, 1, final=False) + b"a", MASK)
    for bad in (b"\xc0\x01b", b"\xc9\x00"):
        parser = DeflateFrameParser(100)
        assert list(parser.receive(start)) == []
        with pytest.raises(FrameError):
            list(parser.receive(masked(bad, MASK)))


def test_zlib_itself_reads_what_we_write() -> None:
    """The payload is a raw deflate stream whose last four bytes of a flush were left out."""
    text = b'{"type":"tick"}' * 50
    assert zlib.decompress(deflate(text) + b"\x00\x00\xff\xff\x03\x00", -15) == text

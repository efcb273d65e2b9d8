"""Every way of writing messages says the same."""

import json
from typing import Any

import msgspec
import pytest

from fire22.core.deflate import inflate
from fire22.core.frames import Binary, FrameParser, Opcode, ServerFrameParser, Text
from fire22.hub.codec import DEFLATE_BYTES_MIN, DEFLATED, JSON_BATCH, MSGPACK_BATCH, PLAIN, Codec

SHORT = b'{"type":"tick"}'
LONG = json.dumps({"type": "wager_update", "data": {"wagerId": "w" * 300, "amount": 1.5}}).encode()


class InflatingParser(ServerFrameParser):
    """Reads compressed frames as a client with permessage-deflate does."""

    __slots__ = ()

    _deflates = True


def read(parser: FrameParser, data: bytes) -> list[Any]:
    """The messages in the bytes, one after the other."""
    found: list[Any] = []
    for incoming in parser.receive(data):
        assert isinstance(incoming, Text | Binary)
        value = (
            msgspec.msgpack.decode(incoming.payload)
            if isinstance(incoming, Binary)
            else msgspec.json.decode(incoming.payload)
        )
        found += value if isinstance(value, list) else [value]
    return found


@pytest.mark.parametrize("codec", [PLAIN, JSON_BATCH, MSGPACK_BATCH, *DEFLATED.values()], ids=lambda codec: codec.name)
def test_every_codec_says_the_same(codec: Codec) -> None:
    """Whatever a client speaks, it reads the same messages in the same order."""
    data = codec.pack([SHORT, LONG, SHORT])
    assert read(InflatingParser(1 << 20), data) == [json.loads(SHORT), json.loads(LONG), json.loads(SHORT)]


def test_names_are_unique() -> None:
    """A codec's name is part of a lane's key, so no two share bytes by mistake."""
    names = [codec.name for codec in (PLAIN, JSON_BATCH, MSGPACK_BATCH, *DEFLATED.values())]
    assert len(set(names)) == len(names)


def test_small_payloads_are_not_compressed() -> None:
    """A tick is written as it is: compressing it gains nothing and costs time."""
    assert DEFLATED["json"].pack([SHORT]) == JSON_BATCH.pack([SHORT])
    packed = DEFLATED["json"].pack([LONG])
    assert packed[0] & 0x40
    assert packed[0] & 0x0F == Opcode.TEXT
    assert len(LONG) >= DEFLATE_BYTES_MIN
    assert inflate(packed[2:] if packed[1] < 126 else packed[4:], 1 << 20) == b"[%b]" % LONG


@pytest.mark.parametrize("codec", [MSGPACK_BATCH, DEFLATED["msgpack"]], ids=lambda codec: codec.name)
def test_one_message_that_cannot_be_said_costs_only_itself(codec: Codec) -> None:
    """MessagePack has no integer beyond 64 bits: an error takes that message's place, and is counted."""
    before = codec.left_out
    bad = b'{"type":"update","target":"bench","offset":7,"timestamp":"t","data":18446744073709551616}'
    first, error, last = read(InflatingParser(1 << 20), codec.pack([SHORT, bad, LONG]))
    assert (first, last) == (json.loads(SHORT), json.loads(LONG))
    assert (error["code"], error["details"]) == ("message_unsayable", {"target": "bench", "offset": 7})
    assert codec.left_out == before + 1
    assert read(InflatingParser(1 << 20), codec.answer(bad))[0]["code"] == "message_unsayable"


@pytest.mark.parametrize("codec", [PLAIN, JSON_BATCH, DEFLATED["json"]], ids=lambda codec: codec.name)
def test_text_that_is_no_utf8_is_never_put_in_a_text_frame(codec: Codec) -> None:
    """A peer ends its connection over such a frame, again at each attempt; it gets an error instead."""
    bad = b'{"type":"update","data":"\xed\xa0\x80"}'
    first, error, last = read(InflatingParser(1 << 20), codec.pack([SHORT, bad, '{"type":"ü"}'.encode()]))
    assert (first, error["code"], last) == (json.loads(SHORT), "message_unsayable", {"type": "ü"})

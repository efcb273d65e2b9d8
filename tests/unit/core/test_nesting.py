"""What a text would become is found out without making it."""

import random
import struct

import msgspec
import pytest

from fire22.core.nesting import BRACKETS_MAX, CONTAINERS_MAX, DEPTH_MAX, VALUES_MAX, why_binary_too_much, why_too_much

pack = msgspec.msgpack.encode


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, ""),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "nested"),
        (b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1), "nested"),
        (b'["' + b"[" * 1000 + b'"]', ""),
        (b'["' + b'\\"[' * 1000 + b'\\\\"]', ""),
        (b'["\\\\",' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"]", "nested"),
        (b"[" + b"[]," * (CONTAINERS_MAX - 2) + b"{}]", ""),
        (b"[" + b"1," * (VALUES_MAX - 1) + b"1]", ""),
        (b"[" + b"1," * VALUES_MAX + b"1]", "values"),
        (b"{" + b'"a":1,' * VALUES_MAX + b'"b":1}', "values"),
        (b'["' + b"a," * VALUES_MAX + b'"]', ""),
        (b"[" + b"[]," * (CONTAINERS_MAX - 1) + b"{}]", "arrays and objects"),
        (b'["' + b"[" * (BRACKETS_MAX - 1) + b'"]', ""),
        (b'["' + b"[" * BRACKETS_MAX + b'"]', "opening brackets"),
        (b'{"a":"","b":"[","c":"","d":' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}", "nested"),
    ],
)
def test_json(text: bytes, why: str) -> None:
    """Depth and number of arrays and objects are those outside of texts."""
    assert msgspec.json.decode(text) is not None
    assert why in why_too_much(text)
    assert bool(why) is bool(why_too_much(text))


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (pack([1.5, "x" * 300, b"y" * 300, {"a": [None, True, -7, 2**40]}]), ""),
        (pack({"text": "привет" * 20_000}), ""),  # whose bytes look like thousands of arrays
        (pack({"numbers": [1.5] * (VALUES_MAX - 3)}), ""),
        (pack({"numbers": [1] * VALUES_MAX}), "values"),
        (pack({str(number): 1 for number in range(VALUES_MAX)}), "values"),
        (pack([[]] * (CONTAINERS_MAX + 1)), "values"),
        (pack([{}] * (CONTAINERS_MAX + 1)), "values"),
        (pack([[]] * (CONTAINERS_MAX - 2)), ""),
        (b"\x81\xa1a\xcb" + struct.pack(">d", float("nan")), "number"),
        (b"\x81\xa1a\xcb" + struct.pack(">d", float("-inf")), "number"),
        (b"\x81\xa1a\xca" + struct.pack(">f", float("inf")), "number"),
        (b"\x81\xa1a\xcb" + struct.pack(">d", 1.7e308), ""),
        (b"\x81\xa1a\xcb\x7f", ""),  # cut off: the decoder says so
    ],
    ids=range(13),
)
def test_messagepack(frame: bytes, why: str) -> None:
    """Texts and numbers are not taken for arrays, and no array for a text."""
    assert why in why_binary_too_much(frame)
    assert bool(why) is bool(why_binary_too_much(frame))


def test_the_walk_agrees_with_the_decoder() -> None:
    """Frames of every kind of value are walked to their end, so that nothing hides behind a wrong length."""
    seed = 20_260_401
    print("seed", seed)
    chance = random.Random(seed)
    kinds: list[object] = [None, True, 1, -1, 200, 40_000, 2**33, -200, -40_000, -(2**40), 0.5]
    kinds += ["a", "b" * 40, "c" * 300, "d" * 70_000, b"e", b"f" * 300]
    kinds += [[], {}, [1] * 20, {str(number): number for number in range(20)}]
    nan = b"\xcb\x7f\xf8" + bytes(6)
    for _ in range(200):
        values = [chance.choice(kinds) for _ in range(chance.randrange(1, 30))]
        frame = pack(values) if len(values) > 15 else bytes([0x90 + len(values)]) + b"".join(map(pack, values))
        assert not why_binary_too_much(frame)
        longer = b"\xdc" + struct.pack(">H", len(values) + 1) + b"".join(map(pack, values)) + nan
        assert "number" in why_binary_too_much(longer)

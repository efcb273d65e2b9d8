"""How much a text of JSON or a frame of MessagePack would become, found out before it becomes that.

A short text can make many objects: an empty array is two bytes of JSON and one of MessagePack, and 56 bytes or more of
memory. So what comes from outside is measured in passes over its bytes, none of which makes an object for each value:
a mebibyte costs a few milliseconds, whatever it holds, and what passes costs as little to decode.
"""

from itertools import accumulate
from typing import Final

DEPTH_MAX: Final = 64  # of arrays and objects in each other; readers recurse, each with a limit of its own
BRACKETS_MAX: Final = 50_000  # opening ones, those within texts too
CONTAINERS_MAX: Final = 20_000  # arrays and objects in what becomes objects
VALUES_MAX: Final = 20_000  # of all kinds, in what becomes objects
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{},"'))
_NOT_OPENING: Final = bytes(set(range(256)) - set(b"[{"))
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
# Bytes after the first of each kind of value with a fixed size: numbers, and extensions of 1 to 16 bytes.
_SIZES: Final = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8} | {
    0xD4 + power: 1 + (1 << power) for power in range(5)
}
# Bytes of the length of each kind of value that says its length: binary, extension (and a byte for its type), text.
_LENGTHS: Final = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)} | {
    0xD9: (1, 0),
    0xDA: (2, 0),
    0xDB: (4, 0),
}
_FLOAT_SPECIALS: Final = (b"\xca\x7f", b"\xca\xff", b"\xcb\x7f", b"\xcb\xff")  # NaN and infinity begin so


def why_too_much(text: bytes) -> str:
    """Why valid JSON is not made objects of; empty where it may be."""
    if len(text) <= DEPTH_MAX:
        return ""
    opening, commas = text.count(b"[") + text.count(b"{"), text.count(b",")
    if opening <= DEPTH_MAX and commas < VALUES_MAX:
        return ""
    if opening > BRACKETS_MAX:
        return f"it holds more than {BRACKETS_MAX} opening brackets"
    structure = _structure(text)
    brackets = structure.translate(None, b",")
    if opening > CONTAINERS_MAX and len(brackets.translate(None, _NOT_OPENING)) > CONTAINERS_MAX:
        return f"it holds more than {CONTAINERS_MAX} arrays and objects"
    if len(structure) - len(brackets) >= VALUES_MAX:
        return f"it holds more than {VALUES_MAX} values"
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH_MAX:
        return f"it is nested more than {DEPTH_MAX} deep"
    return ""


def _structure(text: bytes) -> bytes:
    """The brackets and commas outside of texts."""
    kept = text.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NOT_STRUCTURE)
    return b"".join(kept.replace(b'""', b"").split(b'"')[::2])


def why_binary_too_much(frame: bytes) -> str:
    """Why MessagePack is not made objects of, or has a number that JSON has not; empty where neither is so.

    A frame of as many bytes as there may be values is gone through only where it may hold such a number.
    """
    if len(frame) <= VALUES_MAX and not any(special in frame for special in _FLOAT_SPECIALS):
        return ""
    return _walk(frame)


def _walk(frame: bytes) -> str:
    """Go through the values of a frame; one that is cut off is left to the decoder to refuse."""
    at, size = 0, len(frame)
    for _ in range(VALUES_MAX):
        if at >= size:
            return ""
        kind = frame[at]
        at += 1
        if kind < 0xA0 or kind >= 0xE0 or 0xC0 <= kind <= 0xC3:
            continue
        if kind < 0xC0:
            at += kind & 0x1F
        elif kind in _SIZES:
            if kind < 0xCC and _is_special(frame, kind, at):
                return "it holds a number that JSON does not have"
            at += _SIZES[kind]
        elif kind in _LENGTHS:
            width, more = _LENGTHS[kind]
            at += width + more + int.from_bytes(frame[at : at + width], "big")
        else:
            at += 2 if kind in (0xDC, 0xDE) else 4
    return f"it holds more than {VALUES_MAX} values" if at < size else ""


def _is_special(frame: bytes, kind: int, at: int) -> bool:
    """Whether a float is NaN or infinite: all bits of its exponent are set."""
    if at + 1 >= len(frame):
        return False
    return frame[at] & 0x7F == 0x7F and frame[at + 1] >= (0x80 if kind == 0xCA else 0xF0)

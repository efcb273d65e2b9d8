"""How much a text of JSON or a frame of MessagePack would become, found out before it becomes that.

A short text can make many objects: an empty array is two bytes of JSON and one of MessagePack, and 56 bytes or more of
memory. So what comes from outside is measured in passes over its bytes, none of which makes an object for each value:
a mebibyte costs a few milliseconds, whatever it holds.
"""

from itertools import accumulate
from typing import Final

DEPTH_MAX: Final = 64  # of arrays and objects in each other; readers recurse, each with a limit of its own
BRACKETS_MAX: Final = 50_000  # opening ones, those within texts too
CONTAINERS_MAX: Final = 20_000  # arrays and objects in what becomes objects
VALUES_MAX: Final = 50_000  # of a MessagePack frame whose bytes do not show at once that it is harmless
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_NOT_OPENING: Final = bytes(set(range(256)) - set(b"[{"))
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_CONTAINERS: Final = bytes(set(range(256)) - {*range(0x80, 0xA0), *range(0xDC, 0xE0)})
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
    opening = text.count(b"[") + text.count(b"{")
    if opening <= DEPTH_MAX:
        return ""
    if opening > BRACKETS_MAX:
        return f"it holds more than {BRACKETS_MAX} opening brackets"
    brackets = _brackets(text)
    if opening > CONTAINERS_MAX and len(brackets.translate(None, _NOT_OPENING)) > CONTAINERS_MAX:
        return f"it holds more than {CONTAINERS_MAX} arrays and objects"
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH_MAX:
        return f"it is nested more than {DEPTH_MAX} deep"
    return ""


def _brackets(text: bytes) -> bytes:
    """The brackets outside of texts."""
    kept = text.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NOT_STRUCTURE)
    return b"".join(kept.replace(b'""', b"").split(b'"')[::2])


def why_binary_too_much(frame: bytes) -> str:
    """Why MessagePack is not made objects of, or has a number that JSON has not; empty where neither is so.

    Bytes of text and numbers may look like the beginning of an array. Only where too many of them do, the values are
    gone through one by one.
    """
    floats = b"\xca" in frame or b"\xcb" in frame
    may_be_special = floats and any(special in frame for special in _FLOAT_SPECIALS)
    few = len(frame) <= CONTAINERS_MAX or len(frame.translate(None, _NOT_CONTAINERS)) <= CONTAINERS_MAX
    if few and not may_be_special:
        return ""
    return _walk(frame)


def _walk(frame: bytes) -> str:
    """Go through the values of a frame; one that is cut off is left to the decoder to refuse."""
    at, containers, size = 0, 0, len(frame)
    for _ in range(VALUES_MAX):
        if at >= size:
            return ""
        kind = frame[at]
        at += 1
        if kind < 0x80 or kind >= 0xE0 or kind in (0xC0, 0xC1, 0xC2, 0xC3):
            continue
        if kind < 0xA0:
            containers += 1
        elif kind < 0xC0:
            at += kind & 0x1F
        elif kind in _LENGTHS:
            width, more = _LENGTHS[kind]
            at += width + more + int.from_bytes(frame[at : at + width], "big")
        elif kind in _SIZES:
            if frame[at - 1 : at + 1] in _FLOAT_SPECIALS and _is_special(frame, kind, at):
                return "it holds a number that JSON does not have"
            at += _SIZES[kind]
        else:
            containers += 1
            at += 2 if kind in (0xDC, 0xDE) else 4
        if containers > CONTAINERS_MAX:
            return f"it holds more than {CONTAINERS_MAX} arrays and maps"
    return f"it holds more than {VALUES_MAX} values" if at < size else ""


def _is_special(frame: bytes, kind: int, at: int) -> bool:
    """Whether a float is NaN or infinite: all bits of its exponent are set."""
    return frame[at + 1] >= (0x80 if kind == 0xCA else 0xF0) if at + 1 < len(frame) else False

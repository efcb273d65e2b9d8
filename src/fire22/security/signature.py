"""Signed tokens in their compact form (RFC 7515): strictly read, and checked with a key that we know already.

Nothing in a token says what it is checked with but its `kid`, which is looked up among our keys and is never a path, an
address or a key. `jku`, `x5u`, `jwk` and `x5c` are not read. What `crit` names must be understood, and nothing is.
A part that is not the one canonical base64url of its bytes is refused, so that one token has one form.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from fire22.security.keys import KID_MAX, Key, canonical


class Header(Struct, frozen=True):
    """What is read of a token's header.

    Args:
        alg: of the signature.
        kid: names the key; empty where it names none.
        typ: of the whole token.
        crit: extensions that must be understood.
        b64: whether the payload is encoded; only an extension may say so.
    """

    alg: Annotated[str, Meta(max_length=16)]
    kid: Annotated[str, Meta(max_length=KID_MAX)] = ""
    typ: Annotated[str, Meta(max_length=64)] = ""
    crit: Raw | UnsetType = UNSET
    b64: Raw | UnsetType = UNSET


class NotSigned(Exception):
    """A text is no token that one of our keys has signed."""


class NoKey(NotSigned):
    """There is no key of this name; a newer set of keys may have it."""


_header: Final = msgspec.json.Decoder(Header).decode
Find = Callable[[str, str], Sequence[Key]]


def read(token: str, find: Find) -> tuple[bytes, Header, Key]:
    """The payload, the header, and the key that has signed them.

    Args:
        find: the keys of an algorithm and a `kid`.

    Raises:
        NotSigned: whatever is wrong with it.
    """
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise NotSigned("not three parts of text")
    try:
        header = _header(decode(parts[0]))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise NotSigned("the header is not as it must be") from None
    if header.crit is not UNSET or header.b64 is not UNSET:
        raise NotSigned("the header has extensions")
    payload, signature = decode(parts[1]), decode(parts[2])
    keys = find(canonical(header.alg), header.kid)
    if not keys:
        raise NoKey("no such key")
    signed = f"{parts[0]}.{parts[1]}".encode()
    for key in keys:
        if key.verifies(signed, signature):
            return payload, header, key
    raise NotSigned("the signature is not good")


def decode(part: str) -> bytes:
    """The bytes of a part.

    Raises:
        NotSigned: it is not their base64url.
    """
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise NotSigned("not base64url") from None
    if encode(data) != part:
        raise NotSigned("not the one base64url of its bytes")
    return data


def encode(data: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()

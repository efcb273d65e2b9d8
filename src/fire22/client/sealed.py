"""End-to-end encryption of what is addressed to one user or client: the server stores and delivers ciphertext alone.

The publisher calls `seal`, the recipient `open`. It is HPKE (RFC 9180) in base mode with X25519, HKDF-SHA256 and
AES-128-GCM: `data` of the message is `{"sealed": "<base64>"}`, which holds the encapsulated key (32 bytes), then the
ciphertext with its tag. `info` is `fire22-sealed-1`, a zero byte and the target, so what was meant for one recipient
cannot be passed off as meant for another.

It says nothing of who sent it: whoever may publish and knows the public key can seal. The server sees the recipient,
the event's type, tags and times, and the length.

Needs `cryptography` from version 47 on (the extra `sealed`).
"""

import base64
import binascii
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from fire22.core.message import Json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import Suite

PREFIX: Final = b"fire22-sealed-1"
KEY_BYTES: Final = 32


class SealedError(Exception):
    """What came cannot be opened: it is not sealed, or not for this key and target, or it was altered."""


class KeyPair(Struct, frozen=True):
    """A recipient's keys, 32 bytes each; the private one stays where it was made, and `repr` does not show it."""

    public: bytes
    private: bytes

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public.hex()})"


def key_pair() -> KeyPair:
    """New keys; the public one goes to those who shall write."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    key = X25519PrivateKey.generate()
    return KeyPair(key.public_key().public_bytes_raw(), key.private_bytes_raw())


def seal(data: Json, public_key: bytes, *, target: str) -> Json:
    """The `data` of an event that the recipient alone can read.

    Args:
        data: any JSON value.
        public_key: the recipient's, 32 bytes.
        target: `user:<kind>:<id>` or `client:<id>`, as in the tag `to:…` of the event.

    Raises:
        ValueError: the public key is none.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    key = X25519PublicKey.from_public_bytes(public_key)
    sealed = _suite().encrypt(msgspec.json.encode(data), key, _info(target))
    return {"sealed": base64.b64encode(sealed).decode()}


def open(data: Json, private_key: bytes, *, target: str) -> Json:
    """What was given to `seal`.

    Args:
        data: of the message.
        private_key: the recipient's, 32 bytes.
        target: of the message.

    Raises:
        SealedError: see there.
        ValueError: the private key is none.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    key: X25519PrivateKey = X25519PrivateKey.from_private_bytes(private_key)
    text = data.get("sealed") if isinstance(data, dict) else None
    if not isinstance(text, str):
        raise SealedError("The message is not sealed.")
    try:
        opened = _suite().decrypt(base64.b64decode(text, validate=True), key, _info(target))
        value: Json = msgspec.json.decode(opened)
    except (InvalidTag, ValueError, binascii.Error):
        raise SealedError("The message is not for this key and target, or was altered.") from None
    return value


def _suite() -> "Suite":
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)


def _info(target: str) -> bytes:
    return PREFIX + b"\0" + target.encode()

"""Signed heads of the audit trail: at intervals the server signs how many entries there are and their hash (Ed25519).

A head goes into the log as an event `system.audit_head`. Who keeps a copy of one elsewhere can show later that nothing
before it has been changed, even by somebody who may write to all of the server's files. The private key lies in the
data folder, readable by its owner alone; the public one beside it, for everybody.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Raw

from fire22.core import codes
from fire22.core.audit import HEAD, Head, head_bytes
from fire22.core.errors import Fire22Error, SetupError
from fire22.core.event import Event, encode_event
from fire22.core.times import to_datetime
from fire22.observability.logging import get_logger
from fire22.security.audit import SOURCE, Append

INTERVAL_S: Final = 60.0
KEY_FILE: Final = "audit.key"
PUBLIC_FILE: Final = "audit.pub"
_encode: Final = msgspec.json.Encoder().encode


class Heads:
    """Signs heads of the trail that the flows have folded.

    Args:
        folder: of the key; it is made on first use.
        frontier: how many entries there are, the root of their tree, and the end of their chain.
        append: see `Audit`.
        now_ms: the wall clock.

    Raises:
        SetupError: `config_invalid`, the key's file cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        frontier: Callable[[], tuple[int, bytes, bytes]],
        append: Append,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._key = load_signing_key(folder)
        self._frontier = frontier
        self._append = append
        self._now_ms = now_ms
        self._signed = 0

    async def run(self) -> None:
        """Sign a head whenever there are new entries, once a minute at most, without end."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.sign()

    async def sign(self) -> None:
        """Sign a head of what has been folded, unless there is one."""
        size, root, chain = self._frontier()
        if size <= self._signed:
            return
        head = signed_head(self._key, size, root, chain)
        event = Event(
            f"audit_head:{secrets.token_hex(12)}", HEAD, SOURCE, to_datetime(self._now_ms()), Raw(_encode(head))
        )
        try:
            await self._append([encode_event(event)])
        except Fire22Error as error:
            get_logger().warning("audit head not written", reason=error.message)
            return
        self._signed = size


def signed_head(key: Ed25519PrivateKey, size: int, root: bytes, chain: bytes) -> Head:
    """A head with its signature."""
    head = Head(size, root.hex(), chain.hex(), key.public_key().public_bytes_raw().hex())
    return msgspec.structs.replace(head, signature=key.sign(head_bytes(head)).hex())


def is_signed(head: Head) -> bool:
    """Whether a head's signature is by the key that it names."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(head.key)).verify(
            bytes.fromhex(head.signature), head_bytes(head)
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def load_signing_key(folder: Path) -> Ed25519PrivateKey:
    """The private key in a data folder; made on first use, and its public half written beside it.

    Raises:
        SetupError: `config_invalid`.
    """
    path = folder / KEY_FILE
    try:
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))
        public = folder / PUBLIC_FILE
        if not public.exists():
            public.write_text(key.public_key().public_bytes_raw().hex() + "\n")
    except OSError as error:
        message = f"The key {path} of the audit trail cannot be used: {error.strerror}."
        raise SetupError(codes.CONFIG_INVALID, message) from error
    except ValueError:
        message = f"The key {path} of the audit trail must be 64 hexadecimal digits."
        raise SetupError(codes.CONFIG_INVALID, message) from None
    return key


def public_key(folder: Path) -> str | None:
    """The public key in a data folder, in hexadecimal digits; None where there is none."""
    with contextlib.suppress(OSError):
        return (folder / PUBLIC_FILE).read_text().strip()
    return None

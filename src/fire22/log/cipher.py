"""Encryption at rest: the rows of `flows.db` and `store.db` are AES-256-GCM under the book's key, where there is one.

An encrypted body is 0xC1, the key's id (4 bytes), a salt (8), a nonce (12), and the ciphertext with its tag (16): 41
bytes more than the text. Neither JSON nor MessagePack begins with 0xC1; another body that does is escaped. The
associated data is the row's table and all that its seal covers beside the body, the event's id or the document's key
among it, so a row in another's place is refused.

A key has an id, the beginning of its SHA-256. Rows are encrypted by a key that is derived (HKDF-SHA-256) from the
newest one and a random salt; another salt is taken at each start and after 2^28 rows, because random nonces of 96 bits
are good for 2^32 messages under one key.

The seal (`seal.py`) covers the encrypted body: copies, backups and their checks need no key.

What stays readable: the ids of events, topics, scopes, keys of documents and of the flows' rows, numbers and times.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw

from fire22.core import codes
from fire22.core.errors import SetupError, StorageError
from fire22.log.seal import damaged

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE: Final = "FIRE22_ENCRYPTION_KEYS"
MARK: Final = b"\xc1"
ID_BYTES: Final = 4
SALT_BYTES: Final = 8
NONCE_BYTES: Final = 12
ROWS_MAX: Final = 1 << 28  # of one salt
_PREFIX: Final = len(MARK) + ID_BYTES
_HEAD: Final = _PREFIX + SALT_BYTES
ESCAPED: Final = MARK + bytes(ID_BYTES)  # before a body that is not encrypted and begins with the mark itself
_KEY: Final = re.compile(r"[0-9a-fA-F]{64}")


class Cipher:
    """Encrypts and decrypts the bodies of rows.

    Args:
        keys: of 32 bytes each, the newest last; without any, bodies are kept as they are.
    """

    __slots__ = ("_keys", "_left", "_newest", "_opened", "_sealing")

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {key_id(key): key for key in keys}
        self._newest = key_id(keys[-1]) if keys else b""
        self._opened: dict[bytes, AESGCM] = {}  # by key id and salt
        self._sealing: tuple[bytes, AESGCM] | None = None
        self._left = 0

    def __repr__(self) -> str:
        return f"Cipher({len(self._keys)} keys)"

    @property
    def is_active(self) -> bool:
        """Whether there is a key."""
        return bool(self._keys)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Those that it was made with, for another process that the server starts."""
        return tuple(self._keys.values())

    @property
    def prefix(self) -> bytes:
        """What each body begins with that is encrypted by the newest key."""
        return MARK + self._newest

    def close(self, body: bytes, table: str, *of: str | int) -> bytes:
        """The body as it is stored.

        Args:
            table: the row's.
            of: its key, and what else it holds that its seal covers, in order.
        """
        if not self._newest:
            return body if body[:1] != MARK else ESCAPED + body
        if not self._left or self._sealing is None:
            salt = os.urandom(SALT_BYTES)
            self._sealing = self.prefix + salt, self._derived(self._newest + salt)
            self._left = ROWS_MAX
        self._left -= 1
        head, key = self._sealing
        nonce = os.urandom(NONCE_BYTES)
        return b"%b%b%b" % (head, nonce, key.encrypt(nonce, body, _place(table, of)))

    def open(self, body: bytes, table: str, *of: str | int) -> bytes:
        """What was given to `close`; a body that is not encrypted is returned as it is.

        Raises:
            StorageError: `encryption_key_missing`; `storage_corrupt`, it was altered or is another row's.
        """
        if body[:1] != MARK:
            return body
        if body.startswith(ESCAPED):
            return body[_PREFIX:]
        from cryptography.exceptions import InvalidTag

        key = self._opened.get(body[len(MARK) : _HEAD]) or self._derived(body[len(MARK) : _HEAD])
        try:
            return key.decrypt(body[_HEAD : _HEAD + NONCE_BYTES], body[_HEAD + NONCE_BYTES :], _place(table, of))
        except (InvalidTag, ValueError):
            raise damaged(table, of[0] if table in ("log", "feed") else " ".join(map(str, of))) from None

    def _derived(self, name: bytes) -> "AESGCM":
        """The key for a key's id and a salt."""
        # Loading them takes longer than what a command without a key has to do.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        key = self._keys.get(name[:ID_BYTES])
        if key is None:
            which = name[:ID_BYTES].hex()
            message = (
                f"A file of the data folder is encrypted by the key {which}: name the key's file in `[encryption]`, or"
                f" set {VARIABLE}."
            )
            raise StorageError(codes.ENCRYPTION_KEY_MISSING, message)
        derived = HKDF(SHA256(), 32, salt=name[ID_BYTES:], info=b"fire22 rows").derive(key)
        found = self._opened[name] = AESGCM(derived)
        return found


PLAIN: Final = Cipher()


def _place(table: str, of: tuple[str | int, ...]) -> bytes:
    return "\0".join((table, *map(str, of))).encode(errors="replace")


def key_id(key: bytes) -> bytes:
    """What names a key in the rows that it encrypts."""
    return hashlib.sha256(b"fire22 key " + key).digest()[:ID_BYTES]


def cipher_of(connection: apsw.Connection) -> Cipher:
    """The cipher that a connection was opened with."""
    found: Cipher = getattr(connection, "cipher", PLAIN)
    return found


def read_cipher(key_file: str, environment: Mapping[str, str] = os.environ) -> Cipher:
    """The cipher of the keys in the environment, or in a file: 64 hexadecimal digits each, the newest last.

    Args:
        key_file: empty where there is none.

    Raises:
        SetupError: `config_invalid`; the message never holds what was read.
    """
    given = environment.get(VARIABLE, "").strip()
    where = VARIABLE if given else f"The key file {key_file}"
    if not given:
        if not key_file:
            return PLAIN
        try:
            given = Path(key_file).read_text("ascii")
        except OSError as error:
            raise SetupError(codes.CONFIG_INVALID, f"{where} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            given = ""
    keys = given.replace(",", " ").split()
    if not keys or not all(map(_KEY.fullmatch, keys)):
        message = f"{where} must hold keys of 64 hexadecimal digits, such as `openssl rand -hex 32` prints."
        raise SetupError(codes.CONFIG_INVALID, message)
    return Cipher([bytes.fromhex(key) for key in keys])

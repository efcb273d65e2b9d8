"""The keys of customers: what a book says of a person is sealed with the person's own key, and erased with it.

Sealed values go through mirror, log, flows, feed and archive as they are: `{{p:ID:TEXT}}`, AES-SIV (RFC 5297), whose
associated data is the person's id. It is deterministic: equal values of one person stay equal, so that a row is
compared and a replay gives the same bytes. They are opened where a message becomes the bytes of a connection.

An address says who shares it, and nobody reads it: in its place stands a pseudonym (HMAC-SHA-256, cut to 80 bits) by
one key of the file. Without that key, trying all addresses tells nothing.

The keys lie in `people.db`, encrypted by the book's key where there is one. Who is erased has a row without a key, and
a line in `erased.txt`, which no backup holds: a file of keys that is put back from a backup is erased again when it is
opened.
"""

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw
import msgspec

from fire22.core import codes
from fire22.core.errors import RequestError, SetupError, StorageError
from fire22.log.cipher import PLAIN, Cipher
from fire22.log.database import storage_errors
from fire22.log.seal import damaged

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

NAME: Final = "people.db"  # in the data folder
ERASED: Final = "erased.txt"  # beside it: the ids of who was erased, a line of JSON each
SHOWN: Final = "erased"  # in the place of what can no longer be read
DAMAGED: Final = "unreadable"  # where the key is there and does not fit
_SEALED: Final = re.compile(rb"\{\{p:([A-Za-z0-9_-]*):([A-Za-z0-9_-]*)\}\}")
_MARK: Final = b"{{p:"
_KEY_BYTES: Final = 32
_CACHED: Final = 100_000
_PSEUDONYMS: Final = ""  # the id of the key of all pseudonyms; nobody is called so
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS person(id TEXT PRIMARY KEY, code TEXT NOT NULL, key BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS person_code ON person(code);
"""


class People:
    """The file of keys, for one thread.

    Args:
        folder: the data folder; the file is created where there is none.

    Raises:
        StorageError: `storage_corrupt`, `storage_failed`; `encryption_key_missing`.
    """

    def __init__(self, folder: Path, cipher: Cipher = PLAIN) -> None:
        self._cipher = cipher
        self._erased = folder / ERASED
        self._keys: dict[str, tuple[str, AESSIV | None]] = {}
        self._new: dict[str, tuple[str, bytes]] = {}
        with storage_errors():
            path = folder / NAME
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = apsw.Connection(str(path))
            self._connection.set_busy_timeout(5_000)
            self._connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON")
            self._connection.execute(_TABLES)
        for id in self._listed():
            row = self._row(id)
            if row is not None and row[1]:
                self._destroy(id)
        known = self._row(_PSEUDONYMS)
        self._pseudonyms = known[1] if known is not None else os.urandom(_KEY_BYTES)
        if known is None:
            self._new[_PSEUDONYMS] = "", self._pseudonyms
            self.keep()
        self.pseudonym = lru_cache(_CACHED)(self._pseudonym)
        self._opened = lru_cache(_CACHED)(self._open_one)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def seal(self, id: str, code: str, value: str) -> str:
        """A value of a person, sealed; of one who was erased it is the same for every value.

        Args:
            code: what people call the person by.
        """
        if not value:
            return value
        name = urlsafe_b64encode(id.encode(errors="replace")).rstrip(b"=").decode()
        key = self._sealing(id, code)
        body = key.encrypt(value.encode(errors="replace"), [id.encode(errors="replace")]) if key is not None else b""
        return f"{{{{p:{name}:{urlsafe_b64encode(body).rstrip(b'=').decode()}}}}}"

    def open(self, message: bytes) -> bytes:
        """A message in JSON with what is sealed in its texts opened, or said to be erased."""
        return _SEALED.sub(self._opening, message) if _MARK in message else message

    def keep(self) -> None:
        """Write the keys that were made: before anything that they seal is written."""
        if not self._new:
            return
        rows = [
            (id, code, self._cipher.close(key, "person", id) if key else b"") for id, (code, key) in self._new.items()
        ]
        with storage_errors(), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO person VALUES(?, ?, ?)", rows)
        self._new.clear()

    def erase(self, code: str) -> str:
        """Destroy the key of a person; nobody else has the file open.

        Args:
            code: what people call the person by.

        Returns:
            The person's id in the book.

        Raises:
            RequestError: `not_found`.
        """
        with storage_errors():
            rows = self._connection.execute("SELECT id FROM person WHERE code = ?1 AND id != ''", (code,)).fetchall()
        if not rows:
            raise RequestError(codes.NOT_FOUND, f"No customer is called {code}.")
        for (id,) in rows:
            # The list first: whatever happens then, the next who opens the file goes on.
            if id not in self._listed():
                with self._erased.open("ab+") as file:
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
                    file.write(msgspec.json.encode(id) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
            self._destroy(str(id))
        return ", ".join(str(id) for (id,) in rows)

    def encrypt_anew(self) -> int:
        """Encrypt every key by the newest one of the book; how many those are."""
        with storage_errors():
            rows = self._connection.execute("SELECT id, key FROM person WHERE length(key) > 0").fetchall()
            made = [(self._cipher.close(self._key(str(id), key), "person", str(id)), id) for id, key in rows]
            with self._connection:
                self._connection.executemany("UPDATE person SET key = ? WHERE id = ?", made)
            self._clean()
        return len(made)

    def _destroy(self, id: str) -> None:
        with storage_errors():
            with self._connection:
                self._connection.execute("UPDATE person SET key = x'' WHERE id = ?", (id,))
            self._clean()
        self._keys.pop(id, None)

    def _clean(self) -> None:
        """Leave no former content in the file or in its write-ahead log."""
        self._connection.execute("VACUUM")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _listed(self) -> list[str]:
        try:
            # A last line without its end was never acknowledged: the erasure is asked for again.
            whole = self._erased.read_bytes().rpartition(b"\n")[0]
            return [msgspec.json.decode(line, type=str) for line in whole.splitlines()]
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise StorageError(codes.STORAGE_FAILED, f"{ERASED} cannot be read: {error}.") from None

    def _sealing(self, id: str, code: str) -> "AESSIV | None":
        """The key of a person, which is made where there is none."""
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        known = self._keys.get(id)
        if known is not None and known[0] == code:
            return known[1]
        found = self._row(id)
        key = found[1] if found is not None else os.urandom(_KEY_BYTES)
        if found is None and id in self._listed():
            key = b""
        if found is None or found[0] != code:
            self._new[id] = code, key
        if len(self._keys) >= _CACHED:
            self._keys.clear()
        self._keys[id] = code, AESSIV(key) if key else None
        return self._keys[id][1]

    def _row(self, id: str) -> tuple[str, bytes] | None:
        if id in self._new:
            return self._new[id]
        with storage_errors():
            row = self._connection.execute("SELECT code, key FROM person WHERE id = ?", (id,)).fetchone()
        return None if row is None else (str(row[0]), self._key(id, row[1]))

    def _key(self, id: str, stored: object) -> bytes:
        key = self._cipher.open(stored, "person", id) if isinstance(stored, bytes) and stored else b""
        if len(key) not in (0, _KEY_BYTES):
            raise damaged("person", id)
        return key

    def _pseudonym(self, address: str) -> str:
        """What stands for an address: the same for the same one."""
        return f"ip-{hmac.digest(self._pseudonyms, address.encode(errors='replace'), hashlib.sha256)[:10].hex()}"

    def _opening(self, found: re.Match[bytes]) -> bytes:
        try:
            return self._opened(found[1], found[2])
        except StorageError:
            return DAMAGED.encode()

    def _open_one(self, name: bytes, text: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        try:
            id = urlsafe_b64decode(name + b"=" * (-len(name) % 4)).decode()
            row = self._row(id)
            if row is not None and row[1] and text and id != _PSEUDONYMS:
                body = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
                value = AESSIV(row[1]).decrypt(body, [id.encode()]).decode()
                return msgspec.json.encode(value)[1:-1]
        except (ValueError, InvalidTag):
            return DAMAGED.encode()
        return SHOWN.encode()


def check_setting(folder: Path, *, erasable: bool, begun: bool) -> None:
    """Hold a data folder to what it began with: half of it sealed would be erased by half.

    Args:
        begun: whether the log holds anything.

    Raises:
        SetupError: `config_invalid`.
    """
    is_sealed = (folder / NAME).is_file()
    if is_sealed and not erasable:
        message = f"The names in this data folder are sealed ({NAME}): leave `personal.erasable` true."
        raise SetupError(codes.CONFIG_INVALID, message)
    if erasable and begun and not is_sealed:
        message = "This data folder holds names that are not sealed: `personal.erasable` needs an empty one."
        raise SetupError(codes.CONFIG_INVALID, message)

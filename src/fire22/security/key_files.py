"""Keys in files: the server's own, and a folder of others' public keys; read again without a restart when one changes.

The own key is that of the environment (`FIRE22_TOKEN_KEY`), or of a file that is made on first use. In the folder each
file is a key, and its name without the ending is the key's `kid`: `.pem` a public key, `.jwk` a JSON Web Key, `.key`
the text of an HS256 key. Another file is passed over. A file that cannot be used is reported and gives no key, so that
its tokens end; the own key alone stays as it was until its file can be used again.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.observability.logging import get_logger
from fire22.security.keys import SECRET_BYTES_MIN, SET_KEYS_MAX, Key, KeyRefused, from_jwk, from_pem, from_secret
from fire22.security.ring import OWN, KeyRing

VARIABLE: Final = "FIRE22_TOKEN_KEY"
FOLDER: Final = "folder"  # the source of the keys in it
FILE_BYTES_MAX: Final = 64 << 10
LOOK_S: Final = 0.25
_Stamp = tuple[int, int, int]  # what changes when a file is written: time in nanoseconds, bytes, inode


def load_key(path: Path) -> bytes:
    """The key in a file; made on first use, readable by its owner alone.

    Raises:
        SetupError: `config_invalid`, when the file cannot be used.
    """
    try:
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(SECRET_BYTES_MIN))
        return path.read_text().strip().encode()
    except OSError as error:
        raise SetupError(codes.CONFIG_INVALID, f"The token key {path} cannot be used: {error.strerror}.") from error
    except UnicodeDecodeError:
        message = f"The token key {path} must be text, such as `openssl rand -hex 32` prints."
        raise SetupError(codes.CONFIG_INVALID, message) from None


def own_key(path: Path, environment: Mapping[str, str] = os.environ) -> Key:
    """What the server signs with: the environment's key, or the file's.

    Raises:
        SetupError: `config_invalid`.
    """
    given = environment.get(VARIABLE, "").strip().encode()
    try:
        return from_secret(given or load_key(path), source=OWN)
    except KeyRefused as error:
        where = VARIABLE if given else f"The token key {path}"
        raise SetupError(codes.CONFIG_INVALID, f"{where} cannot be used: {error}.") from None


def read_folder(folder: Path) -> tuple[list[Key], list[str]]:
    """The keys of a folder, and what is wrong with those that cannot be used.

    Raises:
        OSError: the folder cannot be read.
    """
    keys, refused = list[Key](), list[str]()
    kids: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in _READERS or path.name.startswith("."):
            continue
        try:
            if path.stem in kids:
                raise KeyRefused(f"{kids[path.stem]} has the same name")
            if len(keys) >= SET_KEYS_MAX:
                raise KeyRefused(f"the folder has more than {SET_KEYS_MAX}")
            if path.stat().st_size > FILE_BYTES_MAX:
                raise KeyRefused("it is too large")
            keys.append(_READERS[path.suffix](path.read_bytes(), path.stem))
            kids[path.stem] = path.name
        except (KeyRefused, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            refused.append(f"{path.name}: {reason}")
    return keys, refused


def _secret(data: bytes, kid: str) -> Key:
    return from_secret(data.strip(), kid=kid, source=FOLDER)


def _pem(data: bytes, kid: str) -> Key:
    return from_pem(data, kid=kid, source=FOLDER)


def _jwk(data: bytes, kid: str) -> Key:
    try:
        jwk = msgspec.json.decode(data, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise KeyRefused("it is no JSON Web Key") from None
    if jwk.setdefault("kid", kid) != kid:
        raise KeyRefused("its kid is not the name of the file")
    return from_jwk(jwk, source=FOLDER)


_READERS: Final[Mapping[str, Callable[[bytes, str], Key]]] = {".pem": _pem, ".jwk": _jwk, ".key": _secret}


class KeyFiles:
    """Keeps a ring as the files are.

    Args:
        ring: gets the keys; it has the own one already.
        own: its file; None where it is not from one.
        folder: of others' keys; None where there is none.
        now_ms: the wall clock.
    """

    def __init__(self, ring: KeyRing, *, own: Path | None, folder: Path | None, now_ms: Callable[[], int]) -> None:
        self._ring = ring
        self._own = own
        self._folder = folder
        self._now_ms = now_ms
        self._logger = get_logger()
        self._stamps: dict[Path, _Stamp] = {}

    def load(self) -> None:
        """Read the folder for the first time.

        Raises:
            SetupError: `config_invalid`, the folder cannot be read or one of its keys not be used.
        """
        self._stamps = self._look()
        if self._folder is None:
            return
        try:
            keys, refused = read_folder(self._folder)
        except OSError as error:
            message = f"auth.keys_folder {self._folder} cannot be read: {error.strerror}."
            raise SetupError(codes.CONFIG_INVALID, message) from None
        if refused:
            raise SetupError(codes.CONFIG_INVALID, f"auth.keys_folder {self._folder}: {'; '.join(refused)}.")
        self._ring.replace(FOLDER, keys, self._now_ms())

    async def watch(self) -> None:
        """Read again what has changed, without end."""
        while True:
            await asyncio.sleep(LOOK_S)
            stamps = await asyncio.to_thread(self._look)
            if stamps != self._stamps:
                self._stamps = stamps
                self._take(*await asyncio.to_thread(self._read))

    def _look(self) -> dict[Path, _Stamp]:
        """What tells whether a file has been written."""
        stamps: dict[Path, _Stamp] = {}
        paths = [] if self._own is None else [self._own]
        with contextlib.suppress(OSError):
            paths += [] if self._folder is None else sorted(self._folder.iterdir())[: 4 * SET_KEYS_MAX]
        for path in paths:
            try:
                stat = path.stat()
            except OSError:
                continue
            stamps[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return stamps

    def _read(self) -> tuple[Key | None, list[Key], list[str]]:
        own, keys, refused = None, list[Key](), list[str]()
        if self._own is not None:
            try:
                own = from_secret(self._own.read_text().strip().encode(), source=OWN)
            except (KeyRefused, OSError, UnicodeDecodeError) as error:
                why = str(error) if isinstance(error, KeyRefused) else "it cannot be read"
                refused.append(f"{self._own.name}: {why}; the key before it stays")
        if self._folder is not None:
            try:
                keys, more = read_folder(self._folder)
                refused += more
            except OSError as error:
                refused.append(f"{self._folder}: {error.strerror}")
        return own, keys, refused

    def _take(self, own: Key | None, keys: list[Key], refused: list[str]) -> None:
        now_ms = self._now_ms()
        changed = own is not None and self._ring.replace(OWN, [own], now_ms)
        if self._folder is not None:
            changed = self._ring.replace(FOLDER, keys, now_ms) or changed
        if changed:
            self._logger.info("token keys changed", kids=[key.kid for key in keys])
        for each in refused:
            self._logger.warning("a token key cannot be used", reason=each)

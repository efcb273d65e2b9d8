"""The keys that tokens are checked with now, from all their sources; the first of the server's own signs.

A source hands in all that it has (`replace`). A key that it has no more is good for `overlap_ms` longer, then not at
all: whoever holds a connection by one of its tokens is told so (`listen`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.security.keys import Key, KeyRefused, from_secret

OWN: Final = "own"  # the source of the keys that the server signs with


class KeyRing:
    """Keys by algorithm and name.

    Args:
        own: what the server signs with.
        overlap_ms: how long a key is good after its source has it no more.
    """

    def __init__(self, own: Key, *, overlap_ms: int = 0) -> None:
        self._overlap_ms = overlap_ms
        self._of: dict[str, tuple[Key, ...]] = {OWN: (own,)}
        self._leaving: dict[str, tuple[Key, int]] = {}  # by print: until when it is good
        self._listeners: list[Callable[[], None]] = []
        self._build()

    @property
    def own(self) -> Key:
        """What the server signs with."""
        return self._of[OWN][0]

    @property
    def secrets(self) -> tuple[Key, ...]:
        """The server's own keys that are good now, the newest first."""
        return self._secrets

    def find(self, algorithm: str, kid: str) -> Sequence[Key]:
        """The keys of an algorithm with this name, which may be empty."""
        return self._found.get((algorithm, kid), ())

    def has(self, print: str) -> bool:
        """Whether a key is good now."""
        return print in self._prints

    def listen(self, listener: Callable[[], None]) -> None:
        """Have somebody told when keys are no longer good."""
        self._listeners.append(listener)

    def replace(self, source: str, keys: Iterable[Key], now_ms: int) -> bool:
        """Take all keys of a source in place of those that it had; whether that changes anything."""
        new = {key.print: key for key in keys}
        before = {key.print: key for key in self._of.get(source, ())}
        if list(new) == list(before):
            return False
        self._of[source] = tuple(new.values())
        for print in new:
            self._leaving.pop(print, None)
        if self._overlap_ms:
            for print, key in before.items():
                if print not in new:
                    self._leaving[print] = (key, now_ms + self._overlap_ms)
        self._change()
        return True

    def end_overlap(self, now_ms: int) -> None:
        """Let go of the keys whose time after their replacement is over. Called again and again."""
        over = [print for print, (_, until_ms) in self._leaving.items() if until_ms <= now_ms]
        for print in over:
            del self._leaving[print]
        if over:
            self._change()

    def _change(self) -> None:
        before = self._prints
        self._build()
        if before - self._prints:
            for listener in self._listeners:
                listener()

    def _build(self) -> None:
        keys = [key for of in self._of.values() for key in of] + [key for key, _ in self._leaving.values()]
        found: dict[tuple[str, str], tuple[Key, ...]] = {}
        for key in keys:
            name = (key.algorithm, key.kid)
            found[name] = (*found.get(name, ()), key)
        self._found = found
        self._prints = frozenset(key.print for key in keys)
        self._secrets = tuple(key for key in found.get(("HS256", ""), ()) if key.source == OWN)


def ring_of(secret: bytes, *, overlap_ms: int = 0) -> KeyRing:
    """The keys of a server that has but its own.

    Raises:
        SetupError: `config_invalid`, the key is too short.
    """
    try:
        return KeyRing(from_secret(secret, source=OWN), overlap_ms=overlap_ms)
    except KeyRefused as error:
        raise SetupError(codes.CONFIG_INVALID, f"The token key cannot be used: {error}.") from None

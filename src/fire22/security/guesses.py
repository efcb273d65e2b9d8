"""Passwords that are guessed first: common ones, words of the place, and those that were breached elsewhere.

`common_passwords.txt` has the 30,000 commonest of zxcvbn 4.4.2 (MIT; the notice is in the file), the commonest first.
Most are shorter than a password may be, so one with digits and signs around it, or said more than once, counts as it.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from fire22.core import codes
from fire22.core.errors import RequestError, SetupError, StorageError

COMMON: Final = Path(__file__).with_name("common_passwords.txt")
LEFT_MIN: Final = 8  # characters that must be left beside the words of the place
WORD_MIN: Final = 3
_HASH: Final = re.compile(rb"[0-9A-Fa-f]{40}(:[0-9]+)?\r?\n?")
_LINE_MAX: Final = 128
_SIGNS: Final = str.maketrans("@4301!5$7", "aaeoiisst")  # how letters are written as digits and signs


class Guesses:
    """What somebody would try who knows people, this place and what was stolen elsewhere.

    Args:
        words: of the place, such as its name, brands and teams; see `auth.password_words`.
        breached: a file with the SHA-1 of each breached password, 40 hexadecimal digits a line, sorted, each perhaps
            with `:` and a count, as Have I Been Pwned gives it; empty is none.

    Raises:
        SetupError: `config_invalid`, the file cannot be read or is another one.
    """

    def __init__(self, words: Iterable[str] = (), breached: str = "") -> None:
        self._words = [word.casefold() for word in ("fire22", *words) if word.strip()]
        self._breached = Path(breached) if breached else None
        if self._breached is not None:
            try:
                with self._breached.open("rb") as file:
                    first = file.readline(_LINE_MAX)
            except OSError as error:
                message = f"auth.breached_passwords_file cannot be read: {error.strerror}."
                raise SetupError(codes.CONFIG_INVALID, message) from None
            if not _HASH.fullmatch(first):
                message = "auth.breached_passwords_file has no SHA-1 of 40 hexadecimal digits in its first line."
                raise SetupError(codes.CONFIG_INVALID, message)

    @staticmethod
    def prepare() -> None:
        """Read the list of common passwords, once for the process; it takes about 0.1 s."""
        _common()

    def check(self, password: str, name: str) -> None:
        """Whether a password is none of these.

        Args:
            name: of its user.

        Raises:
            RequestError: `password_weak`.
            StorageError: the file of breached passwords cannot be read.
        """
        lower = password.casefold()
        steps = {ord(after) - ord(before) for before, after in pairwise(lower)}
        if len(set(lower)) < 5 or len(steps) == 1 or _is_common(lower):
            raise RequestError(codes.PASSWORD_WEAK, "This password is guessed first; choose another.")
        left = lower
        for word in sorted((*self._words, *_parts(name)), key=len, reverse=True):
            left = left.replace(word, "")
        if left != lower and len(left) < LEFT_MIN:
            message = "This password is little more than the user's name or words of this place; choose another."
            raise RequestError(codes.PASSWORD_WEAK, message)
        if self._breached is not None and _is_breached(self._breached, password):
            raise RequestError(codes.PASSWORD_WEAK, "This password was breached elsewhere; choose another.")


@cache
def _common() -> frozenset[str]:
    lines = COMMON.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("# "))


def _is_common(lower: str) -> bool:
    """Whether a password is a common one, with digits and signs around it or said more than once."""
    common = _common()
    for text in (lower, lower.translate(_SIGNS)):
        # `1qaz2wsx` is common with its digits, `password` in `password1234` without them.
        parts = {part for part in re.split(r"[\W\d_]+", text) if part}
        for each in (text, text.strip(" !?.*#+-_"), *(parts if len(parts) == 1 else ())):
            if each in common or _unit(each) in common:
                return True
    # The signs at the end may be signs, and only those within the word letters: `p@ssw0rd1234`.
    inner = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", lower)
    return inner.translate(_SIGNS) in common or _unit(inner.translate(_SIGNS)) in common


def _unit(text: str) -> str:
    """What a text says more than once, or the text."""
    at = (text + text).find(text, 1)
    return text[:at] if text else text


def _parts(name: str) -> list[str]:
    lower = name.casefold()
    return [part for part in (lower, *re.split(r"[^a-z0-9]+", lower)) if len(part) >= WORD_MIN]


def _is_breached(path: Path, password: str) -> bool:
    """Whether a sorted file has the hash of a password; it is looked up by halves, whatever its size."""
    wanted = hashlib.sha1(password.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest().encode()
    try:
        with path.open("rb") as file:
            low, high = 0, file.seek(0, 2)
            while low < high:
                middle = (low + high) // 2
                file.seek(max(middle - 1, 0))
                if middle:
                    file.readline(_LINE_MAX)  # the rest of the line before
                start, line = file.tell(), file.readline(_LINE_MAX)
                found = line[:40].lower()
                if start >= high or not line:
                    high = middle
                elif found == wanted:
                    return True
                elif found < wanted:
                    low = file.tell()
                else:
                    high = middle
    except OSError as error:
        message = f"The file of breached passwords cannot be read: {error.strerror}."
        raise StorageError(codes.STORAGE_FAILED, message, temporary=True) from error
    return False

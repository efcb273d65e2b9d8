"""What no new password may be: too short, common, words of the place, breached."""

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from fire22.core import codes
from fire22.core.errors import Fire22Error, RequestError, SetupError
from fire22.security.guesses import COMMON, Guesses, _common
from fire22.security.passwords import LENGTH_MIN, Passwords, check_new
from fire22.security.people import Place
from tests.support.people import people as made

GOOD = "correct horse battery"  # pragma: allowlist secret


def is_refused(password: str, guesses: Guesses, name: str = "ann.miller") -> bool:
    """Whether a password may not be set."""
    try:
        check_new(password, name, guesses)
    except RequestError as refused:
        assert refused.code is codes.PASSWORD_WEAK
        return True
    return False


@pytest.mark.parametrize(
    "password",
    [
        "short", "x" * 257, "aaaaaaaaaaaaaa", "abcdefghijklmnop", "121212121212", "annfire22ann", "ann.miller2026",
        "Miller-Miller-1", "password1234", "P@ssw0rd1234", "PasswordPassword", "qwerty123456", "1qaz2wsx3edc",
        "!!!dragon2026!!!", "iloveyou2024!", "goldbook2026!", "GoldBook Fire22",
    ],
)  # fmt: skip
def test_passwords_that_are_guessed_first(password: str) -> None:
    """A password that is short, a pattern, common, or little more than names of its user or the place is refused."""
    assert is_refused(password, Guesses(["Goldbook", "Rovers"]))


@pytest.mark.parametrize(
    "password", [GOOD, "goldbook and seven quiet herons", "ann has 4 blue herons", "\U0001f426" * 3 + GOOD]
)
def test_passwords_that_are_not(password: str) -> None:
    """Length counts: no kinds of characters are asked for, and a name may stand in a long password."""
    assert not is_refused(password, Guesses(["Goldbook", "Rovers"]))


def test_words_of_a_place() -> None:
    """The words that an operator lists are refused with a little around them, whatever their case; without them not."""
    assert is_refused("GOLDBOOK-2026!", Guesses(["goldbook"]))
    assert is_refused("rovers goldbook 26", Guesses(["Goldbook", "Rovers"]))
    assert not is_refused("GOLDBOOK-2026!", Guesses())


def test_the_commonest_passwords() -> None:
    """None of the 30,000 commonest may be set, nor with a year behind it where that makes it long enough."""
    common = [line for line in COMMON.read_text(encoding="utf-8").splitlines() if not line.startswith("# ")]
    assert len(common) == 30_000
    guesses = Guesses()
    assert [each for each in common if not is_refused(each, guesses)] == []
    words = [each for each in common[:3_000] if each.isalpha() and len(each) + 4 >= LENGTH_MIN]
    assert len(words) > 30
    assert [each for each in words if not is_refused(f"{each.title()}2026", guesses)] == []


@pytest.mark.parametrize("ending", ["\n", ":42\r\n"])
@pytest.mark.parametrize("upper", [True, False])
def test_breached_passwords(tmp_path: Path, ending: str, upper: bool) -> None:
    """Every password of the operator's file is refused and no other is, wherever it stands among the sorted lines."""
    breached = [f"quiet heron number {number}" for number in range(500)]
    lines = sorted(hashlib.sha1(each.encode(), usedforsecurity=False).hexdigest() for each in breached)
    file = tmp_path / "breached.txt"
    file.write_text("".join((line.upper() if upper else line) + ending for line in lines), newline="")
    guesses = Guesses(breached=str(file))
    assert [each for each in breached if not is_refused(each, guesses)] == []
    assert not any(is_refused(f"loud heron number {number}", guesses) for number in range(500))
    file.unlink()
    with pytest.raises(Fire22Error, match="storage_failed"):
        check_new(GOOD, "ann", guesses)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A file of breached passwords that is missing or another one is told before the start, by the setting's name."""
    other = tmp_path / "words.txt"
    other.write_text("password\n")
    for path in (other, tmp_path / "none.txt"):
        with pytest.raises(SetupError, match="breached_passwords_file"):
            Guesses(breached=str(path))


async def test_a_user_who_changes_the_own_password() -> None:
    """Whoever changes the own password is held to the operator's words too."""
    people = made(guesses=Guesses(["Goldbook"]))
    await people.load()
    await people.users.add("ann", role="risk", scope="/", password=await people.passwords.hash(GOOD))
    principal = people.sessions.principal((await people.enter("ann", GOOD, Place())).secret)
    with pytest.raises(RequestError, match="password_weak"):
        await people.change_password(principal, GOOD, "goldbook2026!", "")
    people.close()


def test_the_list_is_read_on_the_thread_of_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the start of a server nobody who sets a password keeps the others waiting for the file."""
    read: list[str] = []
    before = Path.read_text

    def noting(path: Path, *args: Any, **more: Any) -> str:
        read.append(threading.current_thread().name)
        return before(path, *args, **more)

    monkeypatch.setattr(Path, "read_text", noting)
    _common.cache_clear()
    passwords = Passwords()
    asyncio.run(passwords.prepare(Guesses()))
    passwords.close()
    check_new(GOOD, "ann", Guesses())
    assert [name.startswith("passwords") for name in read] == [True]

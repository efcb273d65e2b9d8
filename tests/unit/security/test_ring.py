"""The key ring: which keys are good, and how long one that was replaced still is."""

import pytest

from fire22.core.errors import SetupError
from fire22.security.keys import Key, from_secret
from fire22.security.ring import OWN, KeyRing, ring_of

NOW_MS = 1_767_225_600_000


def key(letter: str, *, kid: str = "", source: str = OWN) -> Key:
    return from_secret(letter.encode() * 32, kid=kid, source=source)


def test_a_replaced_key_ends_at_once() -> None:
    """Without an overlap a key that is replaced is good no more, and whoever listens is told once."""
    ring = KeyRing(key("a"))
    told: list[bool] = []
    old = ring.own
    ring.listen(lambda: told.append(ring.has(old.print)))
    assert ring.replace(OWN, [key("b")], NOW_MS)
    assert told == [False]
    assert [each.secret for each in ring.secrets] == [b"b" * 32]
    assert not ring.replace(OWN, [key("b")], NOW_MS)
    assert ring.replace("folder", [key("c", kid="c", source="folder")], NOW_MS)
    assert len(told) == 1
    assert ring.replace("folder", [], NOW_MS)
    assert len(told) == 2


def test_an_overlap() -> None:
    """With an overlap the old key checks tokens for so long, the new one signs, and a key that comes back stays."""
    ring = KeyRing(key("a"), overlap_ms=1_000)
    old = ring.own
    told: list[int] = []
    ring.listen(lambda: told.append(1))
    ring.replace(OWN, [key("b")], NOW_MS)
    assert ring.own.secret == b"b" * 32
    assert [each.secret for each in ring.secrets] == [b"b" * 32, b"a" * 32]
    ring.end_overlap(NOW_MS + 999)
    assert ring.has(old.print)
    assert told == []
    ring.end_overlap(NOW_MS + 1_000)
    assert not ring.has(old.print)
    assert told == [1]
    ring.replace(OWN, [old], NOW_MS)
    ring.replace(OWN, [key("b")], NOW_MS)
    ring.replace(OWN, [old], NOW_MS + 10)
    ring.end_overlap(NOW_MS + 9_999)
    assert ring.has(old.print)


def test_names() -> None:
    """A key is found by its algorithm and its name, exactly; the nameless ones are not for tokens that name one."""
    ring = ring_of(b"k" * 32)
    named = key("n", kid="n", source="folder")
    ring.replace("folder", [named], NOW_MS)
    assert ring.find("HS256", "n") == (named,)
    assert ring.find("HS256", "") == (ring.own,)
    assert ring.find("RS256", "n") == ()
    assert ring.find("HS256", "x") == ()
    assert ring.secrets == (ring.own,)


def test_a_key_says_nothing_of_itself() -> None:
    """Neither the text of a key nor what tells it from others holds it."""
    each = key("s", kid="name")
    assert "sss" not in repr(each)
    assert each.print not in (b"s" * 32).hex()
    assert each.print != from_secret(b"s" * 32, kid="other", source=OWN).print


def test_a_short_key() -> None:
    """A key that can be guessed is refused."""
    with pytest.raises(SetupError, match="at least 32 bytes"):
        ring_of(b"short")

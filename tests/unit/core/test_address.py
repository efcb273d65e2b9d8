"""Addresses: which tags name somebody, and whom."""

import sys

import pytest

from fire22.core.address import is_address, is_id, parse_address
from fire22.core.errors import RequestError


@pytest.mark.parametrize(
    ("tag", "target"),
    [
        ("to:user:staff:7", "user:staff:7"),
        ("to:user:staff:" + "x" * 200, "user:staff:" + "x" * 200),
        ("to:client:till-3/left", "client:till-3/left"),
        ("to:client:a:b", "client:a:b"),
        ("to:user:staff:Zoë.Müller@example.com", "user:staff:Zoë.Müller@example.com"),
        ("to:user:staff:安", "user:staff:安"),
        ("to:user:staff:😀", "user:staff:😀"),
        ("to:user:agent:user:7", "user:agent:user:7"),
        ("to:user:staff:everyone", "user:staff:everyone"),
        ("to:everyone", "everyone"),
    ],
)
def test_addresses(tag: str, target: str) -> None:
    """A program names a user, a client or everyone, with ids as they are known elsewhere."""
    assert is_address(tag)
    assert parse_address(tag) == target


@pytest.mark.parametrize(
    "tag",
    [
        "to:",
        "to:user",
        "to:user:staff:",
        "to:client:",
        "to:role:x",
        "to:User:7",
        "to:everyone:7",
        "to:everyone ",
        "to:everyone\n",
        "to: user:7",
        "to:user:staff:" + "x" * 201,
        *(f"to:user:staff:{id}" for blank in " \t\n\r\x00\x1f\x7f\x85\xa0" for id in (blank, f"{blank}a", f"a{blank}")),
        *(f"to:client:a{blank}b" for blank in "\u2003\u2028\u3000\u200b\u200e\u202e\u2066\ufeff"),
        "to:user:staff:\ud800",
    ],
)
def test_malformed(tag: str) -> None:
    """An address that can reach nobody is refused by name, and its characters do no harm where the answer is shown."""
    assert is_address(tag)
    with pytest.raises(RequestError) as caught:
        parse_address(tag)
    assert caught.value.code.name == "event_invalid"
    assert repr(tag[:64]) in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "tag", ["", "to", "To:user:7", " to:user:staff:7", "bulk:to:user:staff:7", "as:alert", "user:staff:7"]
)
def test_other_tags(tag: str) -> None:
    """A tag that does not begin with `to:` is somebody's own word; it is never taken for an address."""
    assert not is_address(tag)
    with pytest.raises(RequestError):
        parse_address(tag)


def test_no_character_that_python_calls_a_blank_or_a_control_is_in_an_id() -> None:
    """Ids that look alike are alike: whatever is shown as nothing or as a gap is refused."""
    characters = map(chr, range(sys.maxunicode + 1))
    taken = [
        each for each in characters if is_id(each) and (each.isspace() or ord(each) < 32 or 127 <= ord(each) < 160)
    ]
    assert taken == []
    assert not is_id("")

"""Positions: what clients store."""

import pytest

from fire22.core.errors import RequestError
from fire22.core.position import Position


@pytest.mark.parametrize("text", ["1f0c9a2b-0", "1f0c9a2b-123", "0123456789abcdef0123456789abcdef-9999999999999999"])
def test_round_trip(text: str) -> None:
    """What a client stored is read as it was said."""
    assert str(Position.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "5",
        "1f0c9a2b",
        "1f0c9a2b-",
        "-5",
        "1F0C9A2B-5",
        "1f0c9a2-5",
        "1f0c9a2b--5",
        "1f0c9a2b-05",
        "1f0c9a2b-+5",
        "1f0c9a2b-5 ",
        "1f0c9a2b-5\n",
        "1f0c9a2b-٥",
        "1f0c9a2b-" + "9" * 17,
        "0" * 33 + "-5",
    ],
)
def test_refused(text: str) -> None:
    """Anything else is refused, and the message says how a position looks."""
    with pytest.raises(RequestError, match="looks like 1f0c9a2b-123") as caught:
        Position.parse(text)
    assert caught.value.code.name == "position_invalid"


def test_order() -> None:
    """Within one feed the later position is the greater."""
    assert Position("1f0c9a2b", 9) < Position("1f0c9a2b", 10)

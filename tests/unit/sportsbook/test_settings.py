"""The sections of the configuration that are the sportsbook's own."""

from typing import Any, get_args

import msgspec
import pytest

from fire22.sources.kinds import MAKERS
from fire22.sportsbook.settings import Kind, Settings, problems


def test_a_source_is_the_long_form_of_the_books_database() -> None:
    """Whoever names the book in `[[sources]]` gets what `[book]` says otherwise; the rest of `[book]` stays."""
    raw = {
        "sources": [{"kind": "sqlite", "path": "b.db", "mapping": "m.toml", "poll_ms": 7}],
        "book": {"currency": "EUR"},
    }
    assert problems(raw) == []
    book = msgspec.convert(raw, Settings).book
    assert (book.kind, book.path, book.mapping, book.poll_ms, book.currency) == ("sqlite", "b.db", "m.toml", 7.0, "EUR")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"sources": [{"path": "a.db"}, {"path": "b.db"}]}, "there are 2, and only one book can be followed"),
        ({"sources": [{"path": "a.db"}], "book": {"path": "b.db"}}, "stands in `[book]` as well"),
    ],
)
def test_what_cannot_be_followed_is_said(raw: dict[str, Any], why: str) -> None:
    """A second book, or one that is named twice, is refused before a start rather than left out in silence."""
    [found] = problems(raw)
    assert found.place == "sources"
    assert why in found.what


def test_every_kind_of_database_can_be_configured() -> None:
    """The kinds of the configuration are those that the program can follow."""
    assert set(get_args(Kind)) == set(MAKERS)

"""Scopes: paths in the agent tree, and what covers what."""

import pytest

from fire22.core.errors import RequestError
from fire22.core.scope import DEPTH_MAX, agent_of, ancestors, common_path, covers, is_customer, parse_scope


@pytest.mark.parametrize(
    "text", ["/", "/M1", "/M1/A7", "/M1/A7/@C12", "/@C1", "/a.b-c_d", "/..a/.b/c..", "/" + "x" * 64, "/x" * DEPTH_MAX]
)
def test_paths(text: str) -> None:
    """A path in the tree is taken as it is."""
    assert parse_scope(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M1",
        "//",
        "/M1/",
        "/M1//A7",
        "/@C1/A7",
        "/@",
        "/@@C",
        "/M 1",
        "/M1\n",
        "/é",
        "/..",
        "/M1/./A7",
        "/M1/../M2",
        "/M1/@..",
        "/*",
        "/" + "x" * 65,
        "/x" * (DEPTH_MAX + 1),
        "/x" * 100_000,
    ],
)
def test_refused(text: str) -> None:
    """Anything else is refused by name, however long."""
    with pytest.raises(RequestError, match="scope_invalid"):
        parse_scope(text)


@pytest.mark.parametrize(
    ("scope", "path", "expected"),
    [
        ("/", "/", True),
        ("/", "/M1/A7/@C12", True),
        ("/M1", "/M1", True),
        ("/M1", "/M1/A7", True),
        ("/M1", "/M10", False),
        ("/M1/A7", "/M1", False),
        ("/M1", "/", False),
        ("/M1/@C1", "/M1/@C12", False),
    ],
)
def test_covers(scope: str, path: str, expected: bool) -> None:
    """A scope covers itself and what is below it, at path boundaries: an agent never sees the agent beside it."""
    assert covers(scope, path) is expected
    assert (scope in ancestors(path)) is expected


def test_ancestors() -> None:
    """A fact of one customer counts for every agent above, from the root down."""
    assert ancestors("/") == ("/",)
    assert ancestors("/M1/A7/@C12") == ("/", "/M1", "/M1/A7", "/M1/A7/@C12")


def test_customers() -> None:
    """A customer is told from an agent, and belongs to the agent above."""
    assert is_customer("/M1/@C1")
    assert not is_customer("/M1")
    assert not is_customer("/")
    assert [agent_of(scope) for scope in ("/M1/A7/@C1", "/M1", "/@C1", "/")] == ["/M1/A7", "/M1", "/", "/"]


@pytest.mark.parametrize(
    ("paths", "shared"),
    [
        (["/M1/A1", "/M1/A2"], "/M1"),
        (["/M1", "/M10"], "/"),
        (["/M1/A1", "/"], "/"),
        (["/M1/A1", "/M1/A1"], "/M1/A1"),
        (["/M1/A1/S1", "/M1/A1"], "/M1/A1"),
        (["/M2"], "/M2"),
    ],
)
def test_the_deepest_path_over_all(paths: list[str], shared: str) -> None:
    """Paths are compared agent by agent, not letter by letter."""
    assert common_path(paths) == shared

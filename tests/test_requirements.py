"""Every library is pinned to one version with its hashes, and what pyproject asks for is what is pinned."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
_PINNED = re.compile(r"(?P<name>[\w.\-]+)==(?P<version>[\w.+!]+)(?: ; (?P<marker>[^\\]+?))?")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}")


def entries(text: str) -> list[list[str]]:
    """The lines of each requirement, without the signs that join them."""
    joined = re.sub(r" \\\n", "\n", text)
    return [entry.splitlines() for entry in re.split(r"\n(?! )", joined.strip())]


def pinned(name: str) -> dict[str, set[str]]:
    """The versions of each library in a file; there are several where they differ by platform."""
    found: dict[str, set[str]] = {}
    for first, *_ in entries((ROOT / "requirements" / f"{name}.txt").read_text()):
        match = _PINNED.fullmatch(first)
        assert match is not None, first
        found.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    return found


def wanted() -> dict[str, list[str]]:
    """What each file must hold, as pyproject asks for it."""
    raw: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {
        name: [each for each in group if isinstance(each, str)] for name, group in raw["dependency-groups"].items()
    }
    project = raw["project"]
    server = [*project["dependencies"], *project["optional-dependencies"]["server"], *groups["build"]]
    return {
        "server": server,
        "dev": [*server, *groups["dev"]],
        "docs": groups["docs"],
        "security": groups["security"],
    }


@pytest.mark.parametrize("file", FILES, ids=lambda each: each.stem)
def test_each_library_has_one_version_and_hashes(file: Path) -> None:
    """Nobody who answers in the place of a registry can give the server another library."""
    for first, *hashes in entries(file.read_text()):
        assert _PINNED.fullmatch(first), first
        assert hashes, f"{first} has no hash"
        assert all(_HASH.fullmatch(each) for each in hashes), first


@pytest.mark.parametrize("name", sorted(wanted()))
def test_what_is_asked_for_is_pinned(name: str) -> None:
    """A library that pyproject names is in the file, in a version that it allows."""
    there = pinned(name)
    for text in wanted()[name]:
        requirement = Requirement(text)
        versions = there.get(canonicalize_name(requirement.name))
        assert versions, f"requirements/{name}.txt lacks {text}; make requirements pins it"
        assert all(requirement.specifier.contains(version) for version in versions), text


def test_every_file_is_held_to_something() -> None:
    """A new file of requirements cannot come without being held to pyproject."""
    assert {file.stem for file in FILES} == wanted().keys()


def test_one_library_has_one_version_everywhere() -> None:
    """What the tests were run with is what the server is run with."""
    server, dev = pinned("server"), pinned("dev")
    assert {name: dev[name] for name in server if name in dev} == {name: server[name] for name in server if name in dev}

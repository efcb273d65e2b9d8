"""Holds the code to the table of which layer may import which."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "fire22"

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "client": {"core"},
    "log": {"core"},
    "feed": {"core", "log"},
    "sources": {"core", "log"},
    "flows": {"core", "log", "feed"},
    "sportsbook": {"core", "flows"},
    "hub": {"core", "feed"},
    "gateways": {"core", "log", "feed", "hub", "security"},
    "security": {"core"},
    "observability": {"core"},
}
# The program may import all.
MAY_IMPORT["cli"] = {*MAY_IMPORT, "app", "config", "process"}
IMPURE = {"asyncio", "socket", "sqlite3", "apsw", "time", "random", "secrets", "threading", "os", "subprocess"}
CLIENT_NEEDS = {"msgspec", "websockets"}


def modules(layer: str) -> list[Path]:
    """The files of a layer."""
    return sorted((SOURCE / layer).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The full names of what a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("layer", sorted(MAY_IMPORT))
def test_a_layer_imports_only_what_it_may(layer: str) -> None:
    """Dependencies point one way, so that a layer can be read and replaced alone."""
    allowed = MAY_IMPORT[layer] | {layer} | (set() if layer == "core" else {"observability"})
    for path in modules(layer):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "fire22" and len(parts) > 1:
                assert parts[1] in allowed, f"{path.relative_to(SOURCE)} imports {name}"


@pytest.mark.parametrize("path", modules("core"), ids=lambda path: path.name)
def test_the_core_is_pure(path: Path) -> None:
    """The core does no I/O and asks no clock: it is fed by hand."""
    assert not {name.split(".")[0] for name in imports(path)} & IMPURE


def test_every_package_has_its_row() -> None:
    """A new folder must say what it may import."""
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)


def test_the_client_needs_only_its_own_dependencies() -> None:
    """`pip install fire22-flows` without extras gives a working client."""
    standard = set(__import__("sys").stdlib_module_names)
    for layer in ("core", "client"):
        for path in modules(layer):
            outside = {name.split(".")[0] for name in imports(path)} - standard - {"fire22"}
            assert outside <= CLIENT_NEEDS, f"{path.relative_to(SOURCE)} imports {outside - CLIENT_NEEDS}"

"""Holds the code to the table of which layer may import which."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "fire22"

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "client": {"core"},
    "log": {"core"},
    "feed": {"core", "log"},
    "store": {"core", "log"},
    "sources": {"core", "log"},
    "flows": {"core", "log", "feed"},
    "sportsbook": {"core", "flows"},
    "hub": {"core", "feed"},
    "gateways": {"core", "log", "feed", "hub", "security"},
    "security": {"core", "store"},
    "observability": {"core"},
    # What wires them is a file each.
    "config": {"core", "flows", "gateways", "security"},
    "process": {"core"},
    "storage": {"feed", "log"},
    "copying": {"core", "log"},
    "failures": {"core"},
    "admission": {"config", "core", "log", "security", "store"},
    "serving": {"config", "gateways", "process"},
}
MAY_IMPORT["app"] = set(MAY_IMPORT) - {"client"}
# The program may import all.
MAY_IMPORT["cli"] = {*MAY_IMPORT}
MAY_IMPORT["__main__"] = {"cli", "copying", "core"}
# The rooms of `sportsbook/`: a room of figures imports neither what writes a book nor another room of figures.
ROOMS: dict[str, set[str]] = {
    "betting": set(),
    "registry": {"betting"},
    "ticker": {"betting", "registry"},
    "accounting": {"betting", "registry"},
    "exposure": {"betting", "registry"},
    "kpi": {"betting", "registry"},
    "risk": {"betting", "registry"},
    "book": {"betting"},
    "desk": {"betting", "book"},
    "replay": {"betting", "book"},
    "demo": {"betting", "book"},
}
FIGURES = {"registry", "ticker", "accounting", "exposure", "kpi", "risk"}
# What the domain hands to the application may use every room but these.
WITHOUT = {
    "domain.py": {"replay", "demo"},
    "settings.py": {"book", "replay", "demo"},
    "reconcile.py": {"desk", "replay", "demo"},
    "roles.py": set(ROOMS),
    "reach.py": {"book", "desk", "replay", "demo"},
}
# What of the sportsbook may be imported from outside of it.
DOMAIN_FOR = {"app.py": {"domain"}, "cli": {"domain", "reconcile", "book", "replay", "demo"}}
# Where a file that is put there is found, and needs no name.
FOUND = {"sportsbook/risk/rules"}
PACKAGES = sorted(path.parent.relative_to(SOURCE) for path in SOURCE.rglob("__init__.py") if path.parent != SOURCE)
FOLDERS = [path for path in PACKAGES if path.as_posix() not in FOUND]
IMPURE = {"asyncio", "socket", "sqlite3", "apsw", "time", "random", "secrets", "threading", "os", "subprocess"}
CLIENT_NEEDS = {"msgspec", "websockets"}
# What a file of the client needs besides, which an application imports by its own name.
CLIENT_EXTRAS = {"sealed.py": {"cryptography"}}


def modules(layer: str) -> list[Path]:
    """The files of a layer, or the one that it is."""
    file = SOURCE / f"{layer}.py"
    return [file] if file.is_file() else sorted((SOURCE / layer).rglob("*.py"))


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
            if parts[0] == "fire22" and len(parts) > 1 and parts[1] != "__version__":
                assert parts[1] in allowed, f"{path.relative_to(SOURCE)} imports {name}"


def rooms_of(path: Path) -> set[str]:
    """The rooms of the sportsbook that a file imports."""
    found = (name.split(".") for name in imports(path) if name.startswith("fire22.sportsbook."))
    return {parts[2] for parts in found}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    """Within the sportsbook too, imports run one way; only rooms of figures know flows, and none of them the book."""
    for path in modules(f"sportsbook/{room}"):
        wrong = rooms_of(path) - ROOMS[room] - {room}
        assert not wrong, f"{path.relative_to(SOURCE)} imports {wrong}"
        if room not in FIGURES:
            assert not any(name.startswith("fire22.flows") for name in imports(path)), path


def test_every_room_has_its_row() -> None:
    """A new room must say what it may import, and so must what stands between the rooms and the application."""
    assert {path.parent.name for path in (SOURCE / "sportsbook").glob("*/__init__.py")} == set(ROOMS)
    beside = {path.name for path in (SOURCE / "sportsbook").glob("*.py")} - {"__init__.py"}
    assert beside == set(WITHOUT)
    for name, rooms in WITHOUT.items():
        assert not rooms_of(SOURCE / "sportsbook" / name) & rooms, name


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_no_name_in_a_room_repeats_the_rooms(room: str) -> None:
    """`exposure/view.py` rather than `exposure/exposure_view.py`."""
    assert not [path for path in modules(f"sportsbook/{room}") if path.stem.split("_")[0] == room]


@pytest.mark.parametrize("path", modules("core"), ids=lambda path: path.name)
def test_the_core_is_pure(path: Path) -> None:
    """The core does no I/O and asks no clock: it is fed by hand."""
    assert not {name.split(".")[0] for name in imports(path)} & IMPURE


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_folder_names_its_files(folder: Path) -> None:
    """Whoever opens a folder finds its files in the docstring, in reading order, and none that is gone."""
    path = SOURCE / folder
    named = set(re.findall(r"`(\w+\.py|\w+/)`", ast.get_docstring(ast.parse((path / "__init__.py").read_text())) or ""))
    there = {each.name for each in path.glob("*.py")} | {f"{each.parent.name}/" for each in path.glob("*/__init__.py")}
    assert named, f"{folder}/__init__.py names no file"
    assert not named - there, f"{folder}/__init__.py names what is gone: {sorted(named - there)}"


def test_every_package_has_its_row() -> None:
    """A new folder, or a file beside the folders, must say what it may import."""
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages | {path.stem for path in SOURCE.glob("*.py")} - {"__init__"} == set(MAY_IMPORT)


def test_the_server_knows_its_domain_by_one_file() -> None:
    """Another domain could stand beside the sportsbook: `app.py` takes `sportsbook/domain.py`, and nobody else any.

    The program's commands that set up, replay and compare a book know what is not the server's.
    """
    for path in SOURCE.rglob("*.py"):
        part = path.relative_to(SOURCE).parts[0]
        if part != "sportsbook":
            wrong = rooms_of(path) - DOMAIN_FOR.get(part, set())
            assert not wrong, f"{path.relative_to(SOURCE)} imports {wrong}"
            of_book = {name for name in imports(path) if name.startswith("fire22.sportsbook.book.")}
            assert all(name.startswith("fire22.sportsbook.book.schema") for name in of_book), path


def test_the_client_needs_only_its_own_dependencies() -> None:
    """`pip install fire22-flows` without extras gives a working client."""
    standard = set(__import__("sys").stdlib_module_names)
    for layer in ("core", "client"):
        for path in modules(layer):
            outside = {name.split(".")[0] for name in imports(path)} - standard - {"fire22"}
            assert outside <= CLIENT_NEEDS | CLIENT_EXTRAS.get(path.name, set()), (
                f"{path.relative_to(SOURCE)} imports {outside - CLIENT_NEEDS}"
            )

"""The documents say what the code does: a setting, code, command or topic that is undocumented or wrong fails here."""

import re
import shlex
import tomllib
from pathlib import Path
from random import Random
from typing import Any, get_args

import msgspec
import pytest
import typer.main

from fire22.app import build_engine, convert
from fire22.cli import program
from fire22.core import codes
from fire22.core.codes import Close
from fire22.core.command import NAMES
from fire22.core.errors import Fire22Error
from fire22.core.message import MessageType
from fire22.gateways.errors import http_status
from fire22.sportsbook.betting.facts import FACTS
from fire22.sportsbook.demo import agents as tree
from fire22.sportsbook.demo.catalogue import FULL
from fire22.sportsbook.desk import commands
from fire22.sportsbook.desk.commands import COMMANDS
from fire22.sportsbook.desk.permits import GRANTS
from fire22.sportsbook.roles import roles

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROTOCOL = (ROOT / "PROTOCOL.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
SOURCES = {path: path.read_text() for path in (ROOT / "src" / "fire22").rglob("*.py")}


def rows(heading: str) -> list[list[str]]:
    """The cells of the tables under a heading of the protocol, without head and rule."""
    section = PROTOCOL.split(heading, 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_error_code_is_in_the_protocol() -> None:
    """A client's developer finds each code with its status, what it means and whether to try again."""
    written = {row[0].strip("`"): (row[2], row[3]) for row in rows("## Error codes")}
    assert written == {name: ("yes" if code.temporary else "no", code.meaning) for name, code in codes.ALL.items()}
    for name, statuses, *_ in rows("## Error codes"):
        status = http_status(Fire22Error(codes.ALL[name.strip("`")], ""))
        assert statuses == "–" or str(status) in statuses.split(", "), name


@pytest.mark.parametrize("name", [name.upper() for name in codes.ALL])
def test_every_error_code_is_used(name: str) -> None:
    """No code is listed that nothing answers with."""
    assert any(re.search(rf"codes\.{name}\b", text) for text in SOURCES.values())


def test_every_close_code_is_in_the_protocol() -> None:
    """The close codes that the server sends are those that are listed."""
    written = {int(row[0]) for row in rows("### Ends")}
    sent = {value for name, value in vars(Close).items() if not name.startswith("_")}
    assert sent <= written | {1007}
    assert written <= sent | {1007}


def test_commands_and_message_types_are_in_the_protocol() -> None:
    """Every command and every type of message is described."""
    assert {row[0].strip("`") for row in rows("### Commands")} == set(NAMES)
    for type in get_args(MessageType):
        assert f"`{type}`" in PROTOCOL


def test_topics_are_in_the_protocol_with_what_they_can_be_filtered_by() -> None:
    """Every topic a client may follow is listed with its kind and its filterable fields."""
    written = {row[0].strip("`"): row for row in rows("### Topics")}
    for topic in build_engine(()).topics.values():
        if not topic.internal:
            row = written[topic.name]
            assert row[1].startswith(topic.kind.value)
            assert set(re.findall(r"`(\w+)`", row[4])) == set(topic.filterable)


def test_event_types_and_roles_are_in_the_protocol() -> None:
    """Every event type that is checked, and every role, is described."""
    for name in (*FACTS, *roles(())):
        assert f"`{name}`" in PROTOCOL


def test_every_command_on_the_book_is_in_the_protocol_with_its_fields_and_roles() -> None:
    """Who writes an integration finds each command, each of its fields, and who may use it."""
    written = {row[0].strip("`"): row[1] for row in rows("## Acting on the book") if len(row) == 3}
    assert set(written) == set(COMMANDS)
    for name, kind in COMMANDS.items():
        assert fields(kind.body) == set(re.findall(r"\w+", written[name])), name
    section = PROTOCOL.split("| commands | roles |", 1)[1].split("\n#", 1)[0]
    for kind in COMMANDS.values():
        for role, grant in GRANTS[kind.action].items():
            assert f"`{role}`" in section
            assert not grant.flagged or f"`{kind.action}` in" in section


def fields(type: Any) -> set[str]:
    """The names of a struct's fields as they are written, and those of the structs in its arrays."""
    found: set[str] = set()
    for field in msgspec.structs.fields(type):
        found.add(field.encode_name)
        for inner in re.findall(r"commands\.(\w+)", str(field.type)):
            found |= fields(getattr(commands, inner))
    return found


def test_the_example_configuration_has_every_key_with_its_default() -> None:
    """An operator sees in one file all there is to set; the defaults in it are the real ones."""
    raw = tomllib.loads((ROOT / "examples" / "fire22.toml").read_text())
    assert convert(raw) == convert({})
    assert keys(raw) == keys(convert({}).raw())


def keys(raw: dict[str, Any], prefix: str = "") -> set[str]:
    """The full names of all keys."""
    found: set[str] = set()
    for key, value in raw.items():
        found |= keys(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
    return found


def code_lines(text: str) -> list[str]:
    """The lines of fenced blocks, and what stands between backquotes."""
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", text)


def programs() -> dict[str, Any]:
    """The program's commands by name."""
    group: Any = typer.main.get_command(program)
    found: dict[str, Any] = group.commands
    return found


@pytest.mark.parametrize("line", sorted({line for line in code_lines(README) if line.startswith("fire22 ")}))
def test_commands_in_the_readme_exist(line: str) -> None:
    """What the README says to type is understood by the program, option by option."""
    name, *arguments = shlex.split(line)[1:]
    command = programs()[name]
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    for argument in arguments:
        if argument.startswith("-"):
            assert argument in known, f"{name} has no {argument}"


@pytest.mark.parametrize("scope", sorted(set(re.findall(r"--scope (/[\w/]+)|scope=\"(/\w+)\"", README))))
def test_the_agents_in_the_readme_are_in_the_demo(scope: tuple[str, str]) -> None:
    """Who types what the README says against the demo sees somebody's figures."""
    assert "".join(scope) in {agent.path for agent in tree.agents(Random(1), 0, FULL.levels)}


def test_every_command_is_in_the_readme() -> None:
    """No command of the program is left out."""
    for name in programs():
        assert f"`fire22 {name}" in README, name


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))))
def test_make_targets_in_the_readme_exist(target: str) -> None:
    """`make` knows what the README says."""
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


def test_the_links_of_the_documents_lead_somewhere() -> None:
    """No document points to a file that is not there."""
    for document in ROOT.glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in link:
                assert (ROOT / link).exists(), f"{document.name}: {link}"


def test_dependencies_and_folders_have_their_reason() -> None:
    """The architecture says why each library is there, and what each folder is for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in (*project["dependencies"], *project["optional-dependencies"]["server"]):
        name = re.split(r"[><=\[]", requirement)[0]
        assert f"`{name}`" in ARCHITECTURE, name
    for folder in (path.parent.name for path in (ROOT / "src" / "fire22").glob("*/__init__.py")):
        assert f"`{folder}/`" in ARCHITECTURE, folder

"""The documents say what the code does: a setting, code, command or topic that is undocumented or wrong fails here."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from random import Random
from typing import Any, get_args

import msgspec
import pytest
import typer.main
from docs.__main__ import build, page
from docs.generated import DocumentError
from docs.generated import fields as described

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
from fire22.sportsbook.risk.rules import RULES
from fire22.sportsbook.roles import roles

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "pages"
README = (ROOT / "README.md").read_text()
TEXTS = {path.relative_to(PAGES).as_posix(): page(path) for path in sorted(PAGES.rglob("*.md"))}
OPERATIONS = TEXTS["operations.md"]
WEBSOCKET = TEXTS["protocol/websocket.md"]
TOPICS = TEXTS["sportsbook/topics.md"]
COMMANDS_PAGE = TEXTS["sportsbook/commands.md"]
INTERNALS = "".join(text for name, text in TEXTS.items() if name.startswith("internals/"))
MAKEFILE = (ROOT / "Makefile").read_text()
SOURCES = {path: path.read_text() for path in (ROOT / "src" / "fire22").rglob("*.py")}
DOCUMENTS = [
    *ROOT.glob("*.md"), *PAGES.rglob("*.md"), ROOT / "examples" / "README.md", ROOT / "clients" / "js" / "README.md",
]  # fmt: skip
TABLE_WIDTH_MAX = 160
WIDTH_MAX = 130


def section(text: str, heading: str) -> str:
    """What a page says under a heading, up to the next one of its level or above."""
    level = len(heading.partition(" ")[0])
    return re.split(rf"^#{{1,{level}}} ", text.split(f"\n{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]
    heads = [number - 1 for number, row in enumerate(cells) if set(row) == {"---"}]
    return [row for number, row in enumerate(cells) if number not in heads and number - 1 not in heads]


def test_every_error_code_is_in_the_protocol() -> None:
    """A client's developer finds each code with its status, what it means and whether to try again."""
    written = {row[0].strip("`"): (row[2], row[3]) for row in rows(TEXTS["protocol/errors.md"])}
    assert written == {name: ("yes" if code.temporary else "no", code.meaning) for name, code in codes.ALL.items()}
    for name, statuses, *_ in rows(TEXTS["protocol/errors.md"]):
        status = http_status(Fire22Error(codes.ALL[name.strip("`")], ""))
        assert statuses == "–" or str(status) in statuses.split(", "), name


@pytest.mark.parametrize("name", [name.upper() for name in codes.ALL])
def test_every_error_code_is_used(name: str) -> None:
    """No code is listed that nothing answers with."""
    assert any(re.search(rf"codes\.{name}\b", text) for text in SOURCES.values())


def test_every_close_code_is_in_the_protocol() -> None:
    """The close codes that the server sends are those that are listed."""
    written = {int(row[0]) for row in rows(section(WEBSOCKET, "## Ends"))}
    sent = {value for name, value in vars(Close).items() if not name.startswith("_")}
    assert sent <= written | {1007}
    assert written <= sent | {1007}


def test_commands_and_message_types_are_in_the_protocol() -> None:
    """Every command and every type of message is described."""
    commands_there = section(WEBSOCKET, "## Commands").partition("\n### ")[0]
    assert {row[0].strip("`") for row in rows(commands_there)} == set(NAMES)
    for type in get_args(MessageType):
        assert f"`{type}`" in section(TEXTS["protocol/messages.md"], "## Types")


def test_topics_are_in_the_protocol_with_what_they_can_be_filtered_by() -> None:
    """Every topic a client may follow is listed with its kind and its filterable fields."""
    for topic in build_engine(()).topics.values():
        if not topic.internal:
            text = section(TOPICS, f"## `{topic.name}`")
            assert text.strip().lower().startswith(topic.kind.value), topic.name
            said = re.search(r"^Filterable: (.*?)\.$", text, re.MULTILINE)
            assert said is not None, topic.name
            assert set(re.findall(r"`(\w+)`", said[1])) == set(topic.filterable), topic.name


def test_event_types_and_roles_are_in_the_protocol() -> None:
    """Every event type that is checked, and every role, is described."""
    for name in FACTS:
        assert f"`{name}`" in TEXTS["sportsbook/events.md"], name
    for name in roles(()):
        assert f"`{name}`" in TEXTS["sportsbook/roles.md"], name


def test_the_topics_that_each_role_may_follow_are_in_the_table() -> None:
    """Who makes a token sees which topics its role opens."""
    text = section(TEXTS["sportsbook/roles.md"], "## Topics")
    head = [re.findall(r"`(\w+)`", cell) for cell in text.split("\n|", 1)[1].split("\n", 1)[0].strip("|").split("|")]
    table = {row[0].strip("`"): row for row in rows(text)}
    for name, role in roles(("open topics",)).items():
        if role.topics is not None:
            [column] = [number for number, names in enumerate(head) if name in names]
            assert {topic for topic, row in table.items() if row[column] == "yes"} == role.topics, name


def test_every_command_on_the_book_is_in_the_protocol_with_its_fields_and_roles() -> None:
    """Who writes an integration finds each command, each of its fields, and who may use it."""
    text = section(COMMANDS_PAGE, "## The commands")
    written = {re.sub(r"[`\[]|\]\(.*\)", "", row[0]): row[1] for row in rows(text)}
    assert set(written) == set(COMMANDS)
    for name, kind in COMMANDS.items():
        for field in fields(kind.body):
            assert re.search(rf"\b{field}\b", text), f"{name}: {field}"
        for word in re.findall(r"\b\w+\b", re.sub(r"\[.*|, and .*", "", written[name].replace("legs: [", ""))):
            assert word in fields(kind.body), f"{name} has no {word}"
    section_of_roles = section(COMMANDS_PAGE, "## Who may use them")
    allowed = {re.sub(r" with .*", "_free", row[0]).replace("`", ""): row[1] for row in rows(section_of_roles)}
    for role, each in roles(()).items():
        for name, grant in each.commands.items():
            (row,) = [said for names, said in allowed.items() if name in names.split(", ")]
            assert f"`{role}`" in row, f"{name}: {role}"
            assert not grant.flagged or f"`{COMMANDS[name].flag}` in" in row, name


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


LINES = {line for text in (README, *TEXTS.values()) for line in code_lines(text) if line.startswith("fire22 ")}


@pytest.mark.parametrize("line", sorted(LINES))
def test_commands_in_the_documents_exist(line: str) -> None:
    """What the documents say to type is understood by the program, option by option."""
    name, *arguments = shlex.split(line)[1:]
    command = programs()[name]
    commands = getattr(command, "commands", None)
    if commands is not None and arguments and arguments[0] in commands:  # a group, such as `audit`; `token` runs alone
        command = commands[arguments.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    for argument in arguments:
        if argument.startswith("-"):
            assert argument in known, f"{name} has no {argument}"


SHOWN = README + OPERATIONS + TEXTS["clients/python.md"]


@pytest.mark.parametrize("scope", sorted(set(re.findall(r"--scope (/[\w/]+)|scope=\"(/\w+)\"", SHOWN))))
def test_the_agents_in_the_documents_are_in_the_demo(scope: tuple[str, str]) -> None:
    """Who types what the documents say against the demo sees somebody's figures."""
    assert "".join(scope) in {agent.path for agent in tree.agents(Random(1), 0, FULL.levels)}


def test_every_command_is_in_the_operations() -> None:
    """No command of the program is left out."""
    for name in programs():
        assert f"`fire22 {name}" in section(OPERATIONS, "## The program"), name


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))))
def test_make_targets_in_the_readme_exist(target: str) -> None:
    """`make` knows what the README says."""
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as the site makes them."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.relative_to(ROOT).as_posix())
def test_the_links_of_a_document_lead_somewhere(document: Path) -> None:
    """No document points to a file or a section that is not there."""
    text = document.read_text()
    for file, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", re.sub(r"`[^`\n]*`", "", text)):
        if "://" in file:
            continue
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), file
        if anchor:
            assert anchor in anchors(page(target)), f"{file}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.relative_to(ROOT).as_posix())
def test_the_lines_of_a_document_can_be_read(document: Path) -> None:
    """Lines end at sentences, and no table needs a wide window to be read as text."""
    if document.name == "CHANGELOG.md":
        return
    prose = re.sub(r"^```.*?^```$|^<svg.*?^</svg>$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for line in prose.splitlines():
        assert len(line) <= (TABLE_WIDTH_MAX if line.startswith("|") else WIDTH_MAX), line


def test_every_page_is_in_the_contents() -> None:
    """A reader of the site reaches every page from its navigation."""
    listed = re.findall(r'"([\w/-]+\.md)"', (ROOT / "docs" / "zensical.toml").read_text())
    assert sorted(listed) == sorted(TEXTS)


def test_the_site_builds(tmp_path: Path) -> None:
    """The site has no dead link, no dead anchor and nothing that a reader's machine would fetch."""
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("zensical is missing; make docs installs it")
    site = build(tmp_path)
    assert len(list(site.rglob("*.html"))) == len(TEXTS) + 1  # and 404.html


def test_an_undocumented_setting_fails() -> None:
    """A setting without a description cannot be missed: the site is not built."""

    class Section(msgspec.Struct):
        """A section.

        Args:
            port: is described.
        """

        port: int = 1
        host: str = ""

    with pytest.raises(DocumentError, match="host"):
        list(described(Section))


CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\b(?:src|tests|docs|examples)/[\w./-]*[\w/]", CONTRIBUTING))))
def test_the_files_that_the_recipes_name_are_there(path: str) -> None:
    """Who adds a topic, a rule, a source or a transport finds each file that is to be touched."""
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w./-]+)`", INTERNALS))))
def test_the_tests_of_the_invariants_are_there(path: str) -> None:
    """Who doubts an invariant finds its test."""
    assert (ROOT / path).exists()


ASVS = TEXTS["security/asvs.md"]
PROOFS = sorted(set(re.findall(r"`(tests/[\w./-]+::\w+)`", ASVS)))


@pytest.mark.parametrize("proof", PROOFS)
def test_the_tests_of_the_requirements_are_there(proof: str) -> None:
    """Who doubts that a requirement on security is met finds the test that proves it, and can run it by its name."""
    path, _, name = proof.partition("::")
    assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), name


def test_every_requirement_has_a_proof_or_says_what_is_missing() -> None:
    """No row is left open, none comes twice, and the sums above the table are those of its rows."""
    found = [row for row in rows(ASVS) if len(row) == 3 and re.fullmatch(r"\d+\.\d+\.\d+", row[0])]
    assert len({row[0] for row in found}) == len(found)
    assert all(row[2] for row in found)
    missing = sum(row[2].startswith("missing") for row in found)
    tested = sum(bool(re.match(r"`tests/", row[2])) for row in found)
    sums = [int(number) for number in re.findall(r"\d+", ASVS.split("\nOf ", 1)[1].partition("\n\n")[0])]
    assert sums == [len(found), tested, len(found) - tested - missing, missing]


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_every_risk_rule_is_described(rule: str) -> None:
    """A risk manager reads what each rule looks for."""
    assert f"`{rule}`" in {row[0] for row in rows(section(TEXTS["sportsbook/alerts.md"], "## Rules"))}


def test_dependencies_and_folders_have_their_reason() -> None:
    """The documents say why each library is there, and what each folder is for."""
    raw = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*raw["project"]["dependencies"], *raw["project"]["optional-dependencies"]["server"]]
    for requirement in (*wanted, *raw["dependency-groups"]["docs"]):
        name = re.split(r"[><=\[]", requirement)[0]
        assert f"`{name}`" in section(TEXTS["internals/decisions.md"], "## Libraries"), name
    for folder in (path.parent.name for path in (ROOT / "src" / "fire22").glob("*/__init__.py")):
        assert f"`{folder}/`" in INTERNALS, folder

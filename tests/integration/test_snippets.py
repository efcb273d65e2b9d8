"""What the documents say to type runs as it stands, against a demo: fenced blocks, pasted whole."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fire22.core.event import parse_events
from fire22.core.message import decode_json
from fire22.sources.sqlite import install as outbox
from fire22.sportsbook.demo.create import create_demo
from tests.integration.processes import free_port, started

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "js"
NOW_MS = 1_900_000_000_000


def blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of a document in a language; none at all would make every test here pass."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)
    found = [text for named, text in fenced if named == language]
    assert found, f"{document} has no block of {language or 'a shell'}"
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The port of a demo, and an environment with a token for it in TOKEN."""
    folder = tmp_path_factory.mktemp("demo")
    data = folder / "demo-data"
    with started("demo", "--data", data, "--port", 0, "--rate", 40, until="/#code=", stderr=folder / "log") as said:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#code=", said)
        assert found is not None, said
        command = [sys.executable, "-m", "fire22", "token", "--data", str(data)]
        token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        yield found[1], {**os.environ, "TOKEN": token, "PYTHONUNBUFFERED": "1"}


def first_lines(command: list[str], environment: dict[str, str], count: int) -> list[str]:
    """What a program that goes on for ever prints first; it is ended then."""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = [line for _, line in zip(range(count), process.stdout, strict=False)]
        process.kill()
        assert len(lines) == count, [*lines, process.stderr.read()]
        return lines


def test_python(demo: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """The Python of its page, pasted into a file, prints wagers."""
    port, environment = demo
    for number, block in enumerate(blocks("docs/pages/clients/python.md", "python")):
        if "127.0.0.1" not in block:
            continue  # needs no server; its page's own test runs it
        file = tmp_path / f"snippet{number}.py"
        file.write_text(block.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
        for line in first_lines([sys.executable, str(file)], environment, 3):
            assert re.fullmatch(r"[0-9a-f-]{36} [a-z_]+\n", line), line


def test_javascript(demo: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """The JavaScript of its README, pasted into a file one after the other, runs in this Node and prints."""
    node, websockets = shutil.which("node"), CLIENT / "node_modules" / "ws"
    if node is None or not websockets.is_dir():
        pytest.skip("Node or its package ws is missing; apt-get install -y nodejs npm, then make check-js")
    port, environment = demo
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "ws").symlink_to(websockets)
    (modules / "fire22-client").symlink_to(CLIENT)
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    file = tmp_path / "snippet.js"
    file.write_text("\n".join(blocks("clients/js/README.md", "js")).replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    said = "".join(first_lines([node, "--preserve-symlinks", str(file)], environment, 6))
    assert re.search(r"^-?\d", said, re.MULTILINE), said


def test_requests_by_curl(demo: tuple[str, dict[str, str]]) -> None:
    """The requests by `curl` reach the server: only the wager of the command on the book is invented."""
    if shutil.which("curl") is None:
        pytest.skip("curl is missing; apt-get install -y curl")
    port, environment = demo
    answers = []
    for block in blocks("docs/pages/clients/index.md", ""):
        if block.startswith("curl "):
            text = block.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
            done = subprocess.run(["bash", "-c", text], env=environment, capture_output=True, text=True, check=True)
            answers.append(json.loads(done.stdout))
    view, command, published = answers
    assert view["topic"] == "kpi"
    assert command["code"] == "wager_unknown"
    assert published["results"][0]["repeat"] is False


def test_first_steps_with_a_book(tmp_path: Path) -> None:
    """The README's commands for one's own book work in this order, in a folder that holds nothing but the book."""
    create_demo(tmp_path / "book.db", seed=1, now_ms=NOW_MS, install=outbox.install)
    outbox.uninstall(tmp_path / "book.db")
    program = tmp_path / "bin" / "fire22"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fire22 "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    [block] = [
        each
        for each in blocks("docs/pages/start.md", "")
        if each.startswith("fire22 install-triggers book.db --dry-run")
    ]
    assert re.search(r"^fire22 serve .*--port 8080$", block, flags=re.M)
    for line in block.replace("8080", str(free_port())).splitlines():
        served = line.startswith("fire22 serve ")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=tmp_path, env=environment, **pipes) as process:  # type: ignore[call-overload]
            said = ""
            if served:  # until Ctrl-C; what comes after it is typed in another terminal
                said = process.stdout.readline()
                process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=150)
        assert process.returncode in ((0, 130) if served else (0,)), f"{line}: {said}{rest}{errors}"
        assert "Traceback" not in errors
        assert not served or said.startswith("Sign in with http://127.0.0.1:")


@pytest.mark.parametrize("name", ["protocol/events", "protocol/messages", "sportsbook/commands", "clients/index"])
def test_examples_of_the_protocol(name: str) -> None:
    """An event that a page shows is one, and each message is read as the clients read it."""
    for block in blocks(f"docs/pages/{name}.md", "json"):
        shown = json.loads(block)
        if "source" in shown:
            assert parse_events(block.encode())
        elif "command" not in shown and "approvalId" not in shown:  # a command's answer over HTTP
            [message] = decode_json(block.encode())
            assert message.type == shown["type"]

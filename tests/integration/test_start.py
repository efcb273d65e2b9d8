"""The page "Start here", followed step by step: its files are saved, its commands typed, its output awaited."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processes import free_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "pages" / "start.md"
WAIT_S = 60
RECONCILE = "fire22 check --data fire22-data --book shop.db --mapping shop.toml --reconcile"


class Reader:
    """Somebody with the page, an empty folder and a terminal.

    Args:
        folder: empty.
        port: takes the place of the 8080 that the page says.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.output: list[str] = []  # of the last command
        self.running: list[subprocess.Popen[str]] = []
        self.listening: list[threading.Thread] = []
        self.environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
        program = folder / "bin" / "fire22"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fire22 "$@"\n')
        program.chmod(0o755)
        (program.parent / "python3").symlink_to(sys.executable)

    def type(self, block: str) -> None:
        """Type the lines of a block, one after the other."""
        for line in block.splitlines():
            text = line.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
            if line.startswith("fire22 serve"):
                self.start(f"exec {text} --port {self.port}")
                self.wait_for("listening")
            elif line.startswith("fire22 tail"):
                self.start(f"exec {text} --url http://127.0.0.1:{self.port}")
            elif line.startswith("export "):
                name, _, value = text.removeprefix("export ").partition("=")
                self.environment[name] = self.done(f"echo {value}").strip()
            else:
                self.output = [self.done(text)]

    def done(self, text: str) -> str:
        """What a command prints that ends by itself."""
        done = subprocess.run(
            ["bash", "-c", text], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=WAIT_S
        )
        assert done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, text: str) -> None:
        """Start a command that goes on until Ctrl-C; what it prints is collected."""
        process = subprocess.Popen(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.running.append(process)
        output: list[str] = []
        self.output = output
        assert process.stdout is not None
        self.listening.append(threading.Thread(target=output.extend, args=(process.stdout,)))
        self.listening[-1].start()

    def wait_for(self, expected: str) -> None:
        """Wait until the last command has printed a line of the page, where `…` stands for anything."""
        pattern = ".*".join(re.escape(each) for each in expected.split("…"))
        deadline = time.monotonic() + WAIT_S
        while not any(re.search(pattern, line) for line in list(self.output)):
            assert time.monotonic() < deadline, f"{expected} did not come: {self.output}"
            time.sleep(0.05)

    def end(self) -> None:
        """Press Ctrl-C in all terminals."""
        for process in self.running:
            process.send_signal(signal.SIGINT)
            process.wait(WAIT_S)
        for thread in self.listening:
            thread.join(WAIT_S)
        for process in self.running:
            assert process.stdout is not None
            process.stdout.close()
        self.running.clear()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader; what was started is ended, whatever happens."""
    found = Reader(tmp_path, free_port())
    yield found
    found.end()


def test_the_page_leads_to_a_connected_book(reader: Reader) -> None:
    """Who follows the page has live wagers, a figure by HTTP, a dead letter, equal sums, a clean book at the end."""
    text = PAGE.read_text().partition("\n## What next\n")[0]
    steps = re.findall(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)
    assert len(steps) > 10
    for kind, title, block in steps:
        if title:
            (reader.folder / title).write_text(block)
        elif kind == "sh":
            if "--uninstall" in block:
                reader.end()
                reader.type(RECONCILE)
                assert "customers and markets: ok" in reader.output[0], reader.output
            reader.type(block)
        else:
            assert kind == "text"
            for line in block.splitlines():
                reader.wait_for(line)
    with contextlib.closing(sqlite3.connect(reader.folder / "shop.db")) as book:
        names = [name for (name,) in book.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")]
    assert names == ["agents", "players", "bets"]

"""Processes that are measured, and those that help: started here, ended here, by their own id."""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import psutil  # type: ignore[import-untyped]
from msgspec import Struct

from fire22.security.key_files import load_key
from fire22.security.tokens import Tokens

START_S: Final = 30
END_S: Final = 20
Answer = TypeVar("Answer", bound=Struct)


class Child:
    """A process of ours with its standard input and output at hand; what it logs is shown only if it fails.

    Args:
        core: the only core that it and its threads may use; None leaves that to the system.
    """

    def __init__(self, name: str, arguments: Sequence[str], *, core: int | None = None) -> None:
        self._name = name
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            [*_pinned(core), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self._read = b""
        self.statistics = psutil.Process(self._process.pid)

    @property
    def cpu_s(self) -> float:
        """What it has taken so far, threads and processes below it included."""
        family = [self.statistics, *self.statistics.children(recursive=True)]
        return float(sum(times.user + times.system for times in (each.cpu_times() for each in family)))

    @property
    def logged(self) -> str:
        """The end of what it has logged."""
        self._log.seek(0)
        return self._log.read()[-4000:].decode(errors="replace")

    def line(self, seconds: float) -> bytes:
        """The next line that it prints.

        Raises:
            TimeoutError: none came in time, or it ended.
        """
        output = self._process.stdout
        if output is None:
            raise AssertionError("the output is not a pipe")
        deadline = time.monotonic() + seconds
        while b"\n" not in self._read:
            left = deadline - time.monotonic()
            chunk = b"" if not select.select([output], [], [], max(0, left))[0] else os.read(output.fileno(), 65_536)
            if not chunk:
                raise TimeoutError(f"no line from {self._name}: {self.logged}")
            self._read += chunk
        line, _, self._read = self._read.partition(b"\n")
        return line

    def answer(self, type: type[Answer], seconds: float) -> Answer:
        """The next line, as JSON of a type."""
        return msgspec.json.decode(self.line(seconds), type=type)

    def tell(self, line: str = "") -> None:
        """Write a line to it: go, or stop, as it understands."""
        if self._process.stdin is None:
            raise AssertionError("the input is not a pipe")
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """End it, in an orderly way if it can."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


@contextlib.contextmanager
def child(module: str, *arguments: object, core: int | None = None) -> Iterator[Child]:
    """`python -m MODULE ARGUMENTS` for as long as the block lasts."""
    with program(module, [sys.executable, "-m", module, *map(str, arguments)], core=core) as process:
        yield process


@contextlib.contextmanager
def program(name: str, arguments: Sequence[str], *, core: int | None = None) -> Iterator[Child]:
    """Any program for as long as the block lasts."""
    process = Child(name, arguments, core=core)
    try:
        yield process
    finally:
        process.end()


@contextlib.contextmanager
def server(data: Path, port: int, *arguments: object, core: int | None = None) -> Iterator[Child]:
    """`fire22 serve` on a folder, from when it answers."""
    with child("fire22", "serve", "--data", data, "--port", port, *arguments, core=core) as process:
        wait_for(f"http://127.0.0.1:{port}/healthz")
        yield process


def wait_for(url: str) -> None:
    """Until an address answers.

    Raises:
        TimeoutError: it does not.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{url} does not answer")


def token(data: Path, subject: str = "bench", *, role: str = "admin", scope: str = "/") -> str:
    """A token of a user for the server on a folder."""
    tokens = Tokens(load_key(data / "token.key"))
    return tokens.sign(subject=subject, role=role, scope=scope, ttl_s=3600, now_ms=time.time_ns() // 1_000_000)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _pinned(core: int | None) -> list[str]:
    """What to put before a command so that it runs on one core; nothing where that cannot be."""
    taskset = shutil.which("taskset")
    if core is None or taskset is None or core not in os.sched_getaffinity(0):
        return []
    return [taskset, "-c", str(core)]

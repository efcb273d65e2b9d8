"""Server processes for tests: started as a user would, killed by their own id."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

START_S = 90  # ends early; so long only on a machine that is busy with much else
PORTS = range(10_240, 32_768)  # below those that the system gives to outgoing connections, so that none takes one away

_random = random.SystemRandom()


def free_port() -> int:
    """A port that nobody listens on now, and that nobody gets by chance before it is listened on."""
    while True:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port := _random.choice(PORTS)))
            return port


class Server:
    """`fire22 serve` or `fire22 demo` on a folder; can be killed and started again on the same port."""

    def __init__(self, command: str, data: Path, *arguments: str, port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self.data = data
        self._command = [sys.executable, "-m", "fire22", command, "--data", str(data), "--port", str(self.port)]
        self._command += arguments
        self._process: asyncio.subprocess.Process | None = None
        self._log = data.with_name(data.name + ".log")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What it has printed so far, over all its starts."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def link(self) -> str:
        """The sign-in link of its latest start."""
        links: list[str] = re.findall(r"http://\S+/#code=\S+", self.output)
        return links[-1]

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdout=log, stderr=log)
        async with asyncio.timeout(START_S):
            while not await asyncio.to_thread(self._answers):
                if self._process.returncode is not None:
                    raise AssertionError(f"the server ended: {self.output[-2000:]}")
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End it at once, as a loss of power would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it in an orderly way."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            os.kill(process.pid, number)
            await process.wait()
        self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=20):
            return True
        return False


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """Start a server, and end it whatever happens."""
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


async def run_program(*arguments: str, seconds: float = 150) -> str:
    """Run `fire22` to its end; returns what it printed.

    Raises:
        AssertionError: it failed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fire22", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise AssertionError(f"fire22 {' '.join(arguments)} failed: {output.decode()}")
    return output.decode()


@contextlib.contextmanager
def started(*arguments: object, until: str, stderr: Path) -> Iterator[str]:
    """A server until it has printed something; what it has printed."""
    command = [sys.executable, "-m", "fire22", *map(str, arguments)]
    with (
        stderr.open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True) as process,
    ):
        assert process.stdout is not None
        said = ""
        try:
            for line in process.stdout:
                said += line
                if until in line:
                    break
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

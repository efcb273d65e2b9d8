"""The light load generator from Python: `load.c` compiled once, driven by lines. See the head of `load.c`.

with load(core=1) as generator:
    generator.open("all", 1000, port, path="/v1/ws", tokens=[token], subscribe=[[SUBSCRIBE]], replies=True)
    generator.publisher("one", port, template=TEMPLATE, path="/v1/ws", token=token)
    generator.one("one", "all", count=100)
    print(generator.report("all"))
"""

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from bench.processes import Child, program

ANSWER_S: Final = 150
NO_COMPILER: Final = "A C compiler is missing. This helps:  apt-get install -y gcc libc6-dev zlib1g-dev"
Answer = TypeVar("Answer", bound="Done")


class Done(Struct, frozen=True, kw_only=True):
    """What every command answers."""

    ok: bool
    error: str = ""


class Hello(Done, frozen=True, kw_only=True):
    """What it can: with zlib, compressed connections too."""

    zlib: bool = False


class Opened(Done, frozen=True, kw_only=True):
    """So many connections of the group are open and subscribed."""

    count: int = 0
    seconds: float = 0.0


class Said(Done, frozen=True, kw_only=True):
    """The number of the last message, and how long all of them took."""

    number: int = 0
    seconds: float = 0.0


class Finished(Done, frozen=True, kw_only=True):
    """How an open loop went.

    Args:
        refused: requests that were answered with an error.
        complete: everybody has received the last message, and every request has been answered.
        late_ms: the worst delay of sending itself, because too much was on its way already.
        seconds: from the first message until all had arrived.
    """

    sent: int = 0
    refused: int = 0
    complete: bool = False
    late_ms: float = 0.0
    seconds: float = 0.0
    number: int = 0


class Waited(Done, frozen=True, kw_only=True):
    """When the connections had the number: milliseconds since `zero` or `reopen`, over all connections."""

    complete: bool = False
    reached: int = 0
    open: int = 0
    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


class Seen(Done, frozen=True, kw_only=True):
    """What a group's connections have seen since `zero`.

    Args:
        open: connections that are open and subscribed.
        lost: connections that the server has ended.
        deflated: connections that agreed on compression.
        unequal: compressed connections with other bytes than the witnesses: `messages` is of the witnesses alone.
        payload_bytes: of frames, compressed as they came.
        gaps: messages that are missing.
        least: the smallest number that somebody saw last.
        most: the largest.
        position: of the first connection's last tick.
        cpu_s: of the generator since it was started.
    """

    open: int = 0
    lost: int = 0
    deflated: int = 0
    unequal: int = 0
    frames: int = 0
    payload_bytes: int = 0
    messages: int = 0
    gaps: int = 0
    repeats: int = 0
    least: int = 0
    most: int = 0
    latencies: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    position: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0


class LoadError(Exception):
    """The generator could not do what it was told."""


class Load:
    """One generator process. A command that fails raises LoadError with what the generator says."""

    def __init__(self, process: Child, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._files = 0
        self.zlib = process.answer(Hello, ANSWER_S).zlib

    @property
    def cpu_s(self) -> float:
        """What the generator has taken so far."""
        return self._process.cpu_s

    def open(
        self,
        group: str,
        count: int,
        port: int,
        *,
        path: str = "/",
        tokens: Sequence[str] = (),
        headers: Sequence[str] = (),
        protocol: str = "",
        deflate: bool = False,
        subscribe: Sequence[Sequence[str]] = (),
        replies: bool = False,
        witness: int = 16,
        sequence: Literal["every", "rising"] = "every",
        receive_bytes: int = 0,
    ) -> Opened:
        """Open connections and subscribe; `subscribe` holds the text frames of each connection, round robin."""
        fields: dict[str, object] = {
            "group": group,
            "count": count,
            "port": port,
            "path": path,
            "protocol": protocol,
            "deflate": int(deflate),
            "replies": int(replies),
            "witness": witness,
            "sequence": sequence,
            "receive_bytes": receive_bytes,
            "tokens": self._file(tokens),
            "subscribe": self._file("\t".join(frames) for frames in subscribe),
        }
        return self.tell("open", Opened, *(f"header={line}" for line in headers), **fields)

    def reopen(
        self,
        group: str,
        *,
        subscribe: Sequence[Sequence[str]] = (),
        number: int = 0,
        first: int = 0,
        count: int | None = None,
    ) -> Opened:
        """Open what was closed, with other subscribe frames; `{position}` stands for each connection's own."""
        fields = {"group": group, "number": number, **_range(first, count)}
        if subscribe:
            fields["subscribe"] = self._file("\t".join(frames) for frames in subscribe)
        return self.tell("reopen", Opened, **fields)

    def publisher(
        self,
        name: str,
        port: int,
        *,
        template: str,
        kind: Literal["ws", "post"] = "ws",
        path: str = "/",
        token: str = "",
        protocol: str = "",
        array: bool = False,
        batch: int = 1,
        ahead: int = 4,
        first: int | None = None,
    ) -> None:
        """Connect a publisher; `@N@` and `@T@` in the template stand for the number and the time it was due.

        Numbers begin with `first`, by default where the publisher of this name had been, or with 1.
        """
        fields: dict[str, object] = {"name": name, "port": port, "kind": kind, "path": path, "protocol": protocol}
        fields |= {"template": self._file([template]), "array": int(array), "batch": batch, "ahead": ahead}
        if token:
            fields["token"] = token
        if first is not None:
            fields["next"] = first
        self.tell("publisher", Done, **fields)

    def one(self, publisher: str, group: str, *, count: int, timeout_s: float = 60) -> Said:
        """Send `count` messages, each once everybody has received the one before."""
        return self.tell("one", Said, publisher=publisher, group=group, count=count, timeout_s=timeout_s)

    def rate(self, publisher: str, *, hz: float, seconds: float, every_ms: float = 5) -> None:
        """Begin to send at a rate, whatever the server does; `finish` waits for the end of it."""
        self.tell("rate", Done, publisher=publisher, hz=hz, seconds=seconds, every_ms=every_ms)

    def finish(self, publisher: str, group: str, *, timeout_s: float = 5) -> Finished:
        """Until all is sent and has arrived, but not longer than `timeout_s` after the last was sent."""
        return self.tell("finish", Finished, publisher=publisher, group=group, timeout_s=timeout_s)

    def wait(self, group: str, number: int, *, timeout_s: float = 60) -> Waited:
        """Until every open connection has seen a number."""
        return self.tell("wait", Waited, group=group, number=number, timeout_s=timeout_s)

    def stop(self, group: str, *, first: int = 0, count: int | None = None) -> None:
        """Stop reading of some connections."""
        self.tell("stop", Done, group=group, **_range(first, count))

    def go(self, group: str, *, first: int = 0, count: int | None = None) -> None:
        """Read on."""
        self.tell("go", Done, group=group, **_range(first, count))

    def close(
        self, group: str, *, first: int = 0, count: int | None = None, how: Literal["reset", "end"] = "reset"
    ) -> None:
        """Close some connections: reset, or ended in order."""
        self.tell("close", Done, group=group, how=how, **_range(first, count))

    def zero(self, group: str) -> None:
        """Forget what was counted, not the numbers seen last."""
        self.tell("zero", Done, group=group)

    def report(self, group: str, *, file: Path | None = None) -> Seen:
        """What the group has seen; `file` gets a line for each connection."""
        fields: dict[str, object] = {"group": group}
        if file is not None:
            fields["file"] = file
        return self.tell("report", Seen, **fields)

    def tell(self, verb: str, type: type[Answer], *more: str, **fields: object) -> Answer:
        """Any command.

        Raises:
            LoadError: it failed.
        """
        told = "\t".join([verb, *(f"{key}={value}" for key, value in fields.items() if value != ""), *more])
        self._process.tell(told)
        line = self._process.line(ANSWER_S)
        answered = msgspec.json.decode(line, type=type)
        if not answered.ok:
            raise LoadError(f"{verb}: {answered.error}")
        return answered

    def _file(self, lines: "Sequence[str] | Iterator[str]") -> str:
        """A file with these lines; none where there are none."""
        text = "\n".join(lines)
        if not text:
            return ""
        self._files += 1
        path = self._folder / f"lines-{self._files}"
        path.write_text(text + "\n")
        return str(path)


@contextlib.contextmanager
def load(*, core: int | None = None) -> Iterator[Load]:
    """A generator for as long as the block lasts, on one core where a number is given."""
    arguments = [str(compiled("load.c"))]
    with tempfile.TemporaryDirectory() as folder, program("the load generator", arguments, core=core) as process:
        yield Load(process, Path(folder))


@functools.cache
def compiled(source: str) -> Path:
    """The program of a C file beside this one; compiled once, into a folder that lasts as long as this process.

    Raises:
        FileNotFoundError: there is no compiler, with what helps.
    """
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError(NO_COMPILER)
    path = _folder() / Path(source).stem
    command = [compiler, "-O2", "-o", str(path), str(Path(__file__).with_name(source))]
    tries = [[*command, "-lz"], [*command, "-DWITHOUT_ZLIB"]]
    results = [subprocess.run(tries[0], capture_output=True, text=True, check=False)]
    if results[0].returncode:
        results.append(subprocess.run(tries[1], capture_output=True, text=True, check=False))
    if results[-1].returncode:
        raise FileNotFoundError(f"{source} does not compile. {NO_COMPILER}\n{results[-1].stderr[-2000:]}")
    return path


@functools.cache
def _folder() -> Path:
    return Path(_temporary().name)


@functools.cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="fire22-bench-")


def _range(first: int, count: int | None) -> dict[str, object]:
    return {"from": first} if count is None else {"from": first, "count": count}

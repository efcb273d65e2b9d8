"""A server with its subscribers and a publisher, ready to be measured: ours, or a peer.

The server has one core, the generator (`load.c`) the other. Every side delivers the same message of about 150 bytes to
the same number of subscribers; ours appends each to its durable log first. CPU is all that the server's processes took,
from the first message until the last had arrived everywhere, publishing included.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.beside import Kind, peer
from bench.load import Load, load
from bench.processes import Child, free_port, server, token
from bench.report import busy_s

SERVER_CORE: Final = 0
GENERATOR_CORE: Final = 1
SUBSCRIBERS: Final = 1_000
P99_MS: Final = 100.0
OVERLOADED_MS: Final = 300.0  # a rate with a higher p99 is far too much
DRAIN_S: Final = 3.0
POST_EVENTS: Final = 500  # in one request to us
AHEAD: Final = 16  # requests on their way to a peer that takes one message in each
OTHERS_MAX: Final = 0.10  # cores that other programs may take in a sample that is not repeated
QUIET_S_MAX: Final = 5.0
LOOK_S: Final = 0.5
OURS: Final = "fire22"
_DATA: Final = '{"n":@N@,"t":@T@,"said":"bench"}'
_TIME: Final = "2026-01-31T12:00:00.250Z"
PEER_MESSAGE: Final = (
    f'{{"type":"update","timestamp":"{_TIME}","data":{_DATA},"target":"bench","scope":"/","offset":@N@}}'
)
EVENT: Final = (
    f'{{"id":"bench-@N@","type":"bench.said","source":"bench","timestamp":"{_TIME}","data":{_DATA},'
    '"metadata":{"category":"bench"}}'
)
COMMAND: Final = f'{{"id":@N@,"command":"publish","event":{EVENT}}}'
SUBSCRIBE: Final = '{"id":1,"command":"subscribe","target":"bench"}'


class Sample(Struct, frozen=True):
    """One open loop at one rate.

    Args:
        delivered: messages that arrived, over all subscribers.
        complete: everything arrived, in order, once.
        generator: how much of its core the generator took.
        others: cores that other programs took.
        late_ms: how far sending itself was behind, because too much was on its way.
    """

    hz: float
    delivered: int
    cpu_s: float
    seconds: float
    p50_ms: float
    p99_ms: float
    complete: bool
    generator: float
    others: float
    late_ms: float

    @property
    def good(self) -> bool:
        """Everything arrived, and in time."""
        return self.complete and self.p99_ms <= P99_MS

    @property
    def keeps_up(self) -> bool:
        """It may be late, but the server is not far from taking this much: more need not be worse."""
        return self.complete and self.p99_ms <= OVERLOADED_MS

    @property
    def for_cpu_second(self) -> float:
        """Messages delivered for each second of the server's CPU."""
        return self.delivered / self.cpu_s if self.cpu_s else 0.0


class Cost(Struct, frozen=True):
    """Messages one at a time: microseconds of the server for each delivery, cores of the generator and of others."""

    us: float
    generator: float
    others: float


class Stage:
    """A server with its subscribers and a publisher."""

    def __init__(self, process: Child, generator: Load) -> None:
        self._process = process
        self._generator = generator

    def one_by_one(self, count: int) -> Cost:
        """Each message when everybody has the one before."""
        self._generator.one("publisher", "all", count=max(10, count // 10))
        began, busy = time.monotonic(), busy_s()
        cpu, generator = self._process.cpu_s, self._generator.cpu_s
        self._generator.one("publisher", "all", count=count)
        seconds, busy = time.monotonic() - began, busy_s() - busy
        cpu, generator = self._process.cpu_s - cpu, self._generator.cpu_s - generator
        seen = self._generator.report("all")
        if seen.gaps or seen.repeats or seen.lost:
            raise AssertionError(f"{seen.gaps} gaps, {seen.repeats} repeats, {seen.lost} lost")
        others = max(0.0, busy - cpu - generator)  # the two clocks differ a little
        return Cost(cpu / (count * SUBSCRIBERS) * 1e6, generator / seconds, others / seconds)

    def at_rate(self, hz: float, seconds: float) -> Sample:
        """An open loop."""
        load = self._generator
        load.zero("all")
        began, busy = time.monotonic(), busy_s()
        cpu, generator = self._process.cpu_s, load.cpu_s
        load.rate("publisher", hz=hz, seconds=seconds)
        finished = load.finish("publisher", "all", timeout_s=DRAIN_S)
        cpu, generator = self._process.cpu_s - cpu, load.cpu_s - generator
        taken_s, busy = time.monotonic() - began, busy_s() - busy
        seen = load.report("all")
        faultless = not (finished.refused or finished.error or seen.gaps or seen.repeats or seen.lost or seen.unequal)
        return Sample(
            hz=hz,
            delivered=seen.messages,
            cpu_s=cpu,
            seconds=taken_s,
            p50_ms=seen.p50_ms,
            p99_ms=seen.p99_ms,
            complete=finished.complete and faultless and seen.messages == finished.sent * SUBSCRIBERS,
            generator=generator / taken_s,
            others=max(0.0, busy - cpu - generator) / taken_s,
            late_ms=finished.late_ms,
        )


@contextlib.contextmanager
def stage(name: str, *, protocol: str = "", deflate: bool = False, posts: bool = False) -> Iterator[Stage]:
    """A side ready to publish.

    Args:
        name: of a peer, or OURS.
        protocol: the subprotocol, of ours.
        deflate: whether subscribers of ours offer compression.
        posts: publish to ours by arrays of events over HTTP instead of WebSocket commands.
    """
    with contextlib.ExitStack() as stack:
        if name == OURS:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            port = free_port()
            process = stack.enter_context(server(data, port, "--open-topic", "bench", core=SERVER_CORE))
            generator = stack.enter_context(load(core=GENERATOR_CORE))
            _open_ours(generator, port, data, protocol=protocol, deflate=deflate, posts=posts)
        else:
            running = stack.enter_context(peer(name, core=SERVER_CORE))
            process = running.child
            generator = stack.enter_context(load(core=GENERATOR_CORE))
            _open_peer(generator, running.port, running.kind)
        yield Stage(process, generator)


def _open_ours(generator: Load, port: int, data: Path, *, protocol: str, deflate: bool, posts: bool) -> None:
    generator.open(
        "all",
        SUBSCRIBERS,
        port,
        path="/v1/ws",
        tokens=[token(data, f"bench-{number}") for number in range(SUBSCRIBERS)],
        subscribe=[[SUBSCRIBE]],
        replies=True,
        protocol=protocol,
        deflate=deflate,
    )
    if posts:
        generator.publisher(
            "publisher",
            port,
            kind="post",
            path="/v1/events",
            token=token(data),
            template=EVENT,
            array=True,
            batch=POST_EVENTS,
        )
    else:
        generator.publisher("publisher", port, path="/v1/ws", token=token(data), template=COMMAND)


def _open_peer(generator: Load, port: int, kind: Kind) -> None:
    frames = [kind.subscribe] if kind.subscribe else []
    generator.open("all", SUBSCRIBERS, port, path=kind.subscribe_path, deflate=kind.compresses, subscribe=frames)
    template = PEER_MESSAGE.join(kind.wrap)
    generator.publisher(
        "publisher", port, kind=kind.publish_kind, path=kind.publish_path, template=template, ahead=AHEAD
    )


def wait_quiet() -> None:
    """Until other programs leave the machine alone, but not for long."""
    deadline = time.monotonic() + QUIET_S_MAX
    while time.monotonic() < deadline:
        busy = busy_s()
        time.sleep(LOOK_S)
        if busy_s() - busy <= OTHERS_MAX * LOOK_S:
            return

"""The longest pause of a server's loop under load, seen from outside: questions every few milliseconds (`probe.py`).

15,000 connections follow one topic on which messages are published steadily, while other connections come and go. The
longest time that an answer took is the longest time that the loop did something else: a flush, accepting somebody, the
garbage collector. A peer gets fewer messages, as it writes each one to each connection by itself.
"""

import contextlib
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.beside import PEERS, Missing, peer
from bench.load import Load, LoadError, Opened, load
from bench.probe import Asked
from bench.processes import START_S, Child, child, free_port, server, token
from bench.report import Report, Row, busy_s
from bench.stage import EVENT, GENERATOR_CORE, OTHERS_MAX, PEER_MESSAGE, SERVER_CORE, SUBSCRIBE, wait_quiet

PAUSE_MS_MAX: Final = 20
CONNECTIONS: Final = 15_000
QUICK_CONNECTIONS: Final = 3_000
SPARE_DESCRIPTORS: Final = 1_000
CHURN: Final = 50  # connections opened together, and closed again
CHURN_S: Final = 0.5
HZ: Final = 50
PEER_HZ: Final = 1
EVERY_MS: Final = 3
IDLE_S: Final = 4
NAMES: Final = ("ws", "bun", "websockets")
TRIES_MAX: Final = 3
SETTINGS: Final = "[server]\nconnections_user_max = 0\n"


class Paused(Struct, frozen=True):
    """What the probe saw of one side.

    Args:
        before: while there was only the probe.
        idle: with all connections, and nothing to do.
        loaded: under load.
        server: cores that it took under load.
        churned: connections that were opened and closed meanwhile, a second.
        refused: how many times the server took no more connections, because it was overloaded.
        delivered: messages a second that arrived, over all connections.
        complete: all that was published had arrived soon after.
    """

    connections: int
    before: Asked
    idle: Asked
    loaded: Asked
    server: float
    generator: float
    others: float
    churned: float
    refused: int
    delivered: float
    complete: bool


def measure(*, quick: bool) -> Report:
    """Ours and peers in languages with a loop."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    connections = min(QUICK_CONNECTIONS if quick else CONNECTIONS, hard - SPARE_DESCRIPTORS)
    seconds, tries = (5.0, 1) if quick else (12.0, TRIES_MAX)
    sides = {"ours": _ours(connections, seconds, tries)}
    notes: list[str] = []
    for name in NAMES:
        try:
            sides[PEERS[name].label] = _peer(name, connections, seconds / 2)
        except Missing as error:
            notes.append(f"could not be had: {PEERS[name].label}: {' '.join(str(error).split())[:300]}")
    return Report((*_rows(sides),), (*_notes(sides, seconds), *notes))


def _ours(connections: int, seconds: float, tries: int) -> Paused:
    with contextlib.ExitStack() as stack:
        data, port = Path(stack.enter_context(tempfile.TemporaryDirectory())), free_port()
        settings = data / "fire22.toml"
        settings.write_text(SETTINGS)
        arguments = ("--config", settings, "--open-topic", "bench")
        process = stack.enter_context(server(data, port, *arguments, core=SERVER_CORE))
        generator = stack.enter_context(load(core=GENERATOR_CORE))
        bearer = token(data)
        asking = ("--port", port, "--token", bearer, "--every-ms", EVERY_MS)
        probe = stack.enter_context(child("bench.probe", *asking, core=GENERATOR_CORE))

        opening = partial(
            generator.open, port=port, path="/v1/ws", tokens=[bearer], subscribe=[[SUBSCRIBE]], replies=True,
            protocol="fire22.v1.json",
        )  # fmt: skip
        side = _Side(process, generator, probe, opening)
        side.open(connections)
        generator.publisher(
            "publisher", port, kind="post", path="/v1/events", token=bearer, template=EVENT, array=True, batch=100
        )
        runs: list[Paused] = []
        while len(runs) < tries:
            runs.append(side.under_load(connections, HZ, seconds))
            if runs[-1].others <= OTHERS_MAX:
                break
        return min(runs, key=lambda run: run.others)


def _peer(name: str, connections: int, seconds: float) -> Paused:
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(peer(name, core=SERVER_CORE))
        generator = stack.enter_context(load(core=GENERATOR_CORE))
        kind, port = running.kind, running.port
        asking = ("--port", port, "--path", kind.subscribe_path, "--frames", "--every-ms", EVERY_MS)
        probe = stack.enter_context(child("bench.probe", *asking, core=GENERATOR_CORE))
        side = _Side(
            running.child,
            generator,
            probe,
            partial(generator.open, port=port, path=kind.subscribe_path),
        )
        side.open(connections)
        generator.publisher("publisher", port, kind=kind.publish_kind, path=kind.publish_path, template=PEER_MESSAGE)
        return side.under_load(connections, PEER_HZ, seconds)


class _Side:
    """A server, its crowd and its probe."""

    def __init__(self, process: Child, generator: Load, probe: Child, opening: Callable[[str, int], Opened]) -> None:
        self._process = process
        self._generator = generator
        self._probe = probe
        self._opening = opening
        self._before: Asked | None = None
        self.refused = 0

    def open(self, connections: int) -> None:
        """Ask a server that has nothing to do, then open the crowd."""
        self._probe.line(START_S)
        self._period()
        time.sleep(IDLE_S)
        self._before = self._period()
        self._opening("all", connections)
        time.sleep(1)

    def under_load(self, connections: int, hz: float, seconds: float) -> Paused:
        """Publish at a rate while other connections come and go."""
        wait_quiet()
        self._period()
        time.sleep(IDLE_S)
        idle = self._period()
        self._generator.zero("all")
        began, busy = time.monotonic(), busy_s()
        cpu, generated = self._process.cpu_s, self._generator.cpu_s
        self.refused = 0
        churned = self._churn(hz, seconds)
        loaded = self._period()
        taken_s, busy = time.monotonic() - began, busy_s() - busy
        cpu, generated = self._process.cpu_s - cpu, self._generator.cpu_s - generated
        finished = self._generator.finish("publisher", "all", timeout_s=10)
        seen = self._generator.report("all")
        if seen.gaps or seen.repeats or seen.lost or finished.error or self._before is None:
            raise AssertionError(f"{seen.gaps} gaps, {seen.repeats} repeats, {seen.lost} lost {finished.error}")
        return Paused(
            connections=connections,
            before=self._before,
            idle=idle,
            loaded=loaded,
            server=cpu / taken_s,
            generator=generated / taken_s,
            others=max(0.0, busy - cpu - generated) / taken_s,
            churned=churned / taken_s,
            refused=self.refused,
            delivered=seen.messages / finished.seconds,
            complete=finished.complete,
        )

    def _churn(self, hz: float, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        self._generator.rate("publisher", hz=hz, seconds=seconds)
        churned = 0
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._opening("churn", CHURN)
                churned += CHURN
                self._generator.close("churn", how="end")
            except LoadError as error:
                if "overloaded" not in str(error):
                    raise
                self.refused += 1
            time.sleep(min(CHURN_S, left))
        return churned

    def _period(self) -> Asked:
        """What was asked since the last call."""
        self._probe.tell()
        return self._probe.answer(Asked, START_S)


def _rows(sides: dict[str, Paused]) -> Iterator[Row]:
    ours = sides["ours"]
    what = f"{ours.connections:,} connections, {HZ} messages a second"
    for label, side in sides.items():
        if side is not ours:
            name = f"{label}, {PEER_HZ} a second"
            most, p99 = side.loaded.max_ms, side.loaded.p99_ms
            yield Row(f"longest pause, ms, {what}", ours.loaded.max_ms, "less", PAUSE_MS_MAX, most, name)
            yield Row("p99 of the same answers, ms", ours.loaded.p99_ms, "less", None, p99, name)


def _notes(sides: dict[str, Paused], seconds: float) -> Iterator[str]:
    yield (
        f"a question every {EVERY_MS} ms for {seconds:g} s (peers {seconds / 2:g} s), whether or not the last was "
        "answered: ours by the command ping, peers by WebSocket's ping, at most 50 of which wait (so a peer's p99 is "
        f"rather too good); the longest answer time counts, whatever took it; every {CHURN_S:g} s {CHURN} connections "
        f"are opened and closed; server on core {SERVER_CORE}, generator and probe on core {GENERATOR_CORE}, the probe "
        f"{'before' if sides['ours'].loaded.prompt else 'NOT before'} the generator"
    )
    for label, side in sides.items():
        yield (
            f"{label}, p50 / p99 / max ms: {_three(side.loaded)} under load, {_three(side.idle)} with all connections "
            f"idle, {_three(side.before)} with the probe alone; server {100 * side.server:.0f} %, generator "
            f"{100 * side.generator:.0f} %, others {100 * side.others:.0f} % of a core; {side.delivered:,.0f} messages "
            f"delivered and {side.churned:.0f} connections opened a second"
            f"{f'; {side.refused} times no more were taken (overloaded)' if side.refused else ''}"
            f"{'' if side.complete else '; NOT all had arrived 10 s after the end'}"
        )


def _three(asked: Asked) -> str:
    return f"{asked.p50_ms:.2f} / {asked.p99_ms:.2f} / {asked.max_ms:.1f}"

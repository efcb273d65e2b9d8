"""What it takes to hold many connections: resident bytes of an idle one, and how many a second are accepted.

Ours is authenticated, has agreed on permessage-deflate and follows `kpi` and `wagers` of the whole book; a peer has
agreed on compression where it can, and only holds its connections, subscribed where there is something to subscribe to.
One side at a time, the server on one core, the generator on the other.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.beside import PEERS, Kind, Missing, peer
from bench.load import Load, load
from bench.processes import START_S, Child, free_port, program, server, token
from bench.report import Report, Row, busy_s
from bench.stage import GENERATOR_CORE, SERVER_CORE, wait_quiet

BYTES_MAX: Final = 3_000
OPENED_HZ: Final = 2_000
CONNECTIONS: Final = 15_000
QUICK_CONNECTIONS: Final = 2_000
WARM: Final = 200  # opened before the first look, so that what is loaded once is not counted
SPARE_DESCRIPTORS: Final = 500
SETTLE_S: Final = 3.0  # also a garbage-collected peer has then done what it does by itself
QUICK_SETTLE_S: Final = 1.0
SUBSCRIBE: Final = [
    '{"id":1,"command":"subscribe","target":"kpi","delta":true}',
    '{"id":2,"command":"subscribe","target":"wagers"}',
]
SETTINGS: Final = "[server]\nconnections_user_max = 0\n"  # here all are one user's
WITHOUT: Final = ("nchan", "centrifugo")  # compress nothing, or nothing by default
WEBSOCKETS: Final = Kind("websockets, deflate", lambda _port, _folder: (), compresses=True, subscribe_path="/")
NAMES: Final = ("ws-deflate", "bun-deflate", *WITHOUT)


class Held(Struct, frozen=True):
    """What `count` connections took.

    Args:
        rss: resident bytes for each, of the process and those below it.
        uss: the part of it that is no other process's.
        generator: cores that the generator took while they opened; `others` what other programs took.
        deflated: how many agreed on compression.
    """

    count: int
    rss: float
    uss: float
    opened_hz: float
    server: float
    generator: float
    others: float
    deflated: int


class _Opening(Struct, frozen=True):
    """How one side is connected to."""

    port: int
    path: str
    tokens: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    replies: bool = False


def measure(*, quick: bool) -> Report:
    """Ours, then every peer that can be had."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(QUICK_CONNECTIONS if quick else CONNECTIONS, hard - SPARE_DESCRIPTORS)
    settle_s = QUICK_SETTLE_S if quick else SETTLE_S
    ours = _ours(count, settle_s)
    peers: dict[str, Held] = {}
    notes: list[str] = []
    for name in (*NAMES, "websockets"):
        kind = WEBSOCKETS if name == "websockets" else PEERS[name]
        try:
            held = _websockets(count, settle_s) if name == "websockets" else _peer(name, count, settle_s)
        except Missing as error:
            notes.append(f"could not be had: {kind.label}: {' '.join(str(error).split())[:300]}")
        else:
            peers[f"{kind.label}{'' if held.deflated else ', uncompressed'}"] = held
    return Report((*_rows(ours, peers),), (*_notes(ours, peers, settle_s), *notes))


def _ours(count: int, settle_s: float) -> Held:
    with tempfile.TemporaryDirectory() as folder:
        data, port = Path(folder), free_port()
        settings = data / "fire22.toml"
        settings.write_text(SETTINGS)
        with server(data, port, "--config", settings, core=SERVER_CORE) as process:
            opening = _Opening(port, "/v1/ws", (token(data),), tuple(SUBSCRIBE), replies=True)
            return _hold(process, opening, count, settle_s)


def _peer(name: str, count: int, settle_s: float) -> Held:
    with peer(name, core=SERVER_CORE) as running:
        opening = _Opening(running.port, running.kind.subscribe_path, (), running.kind.subscribe)
        return _hold(running.child, opening, count, settle_s)


def _websockets(count: int, settle_s: float) -> Held:
    port = free_port()
    command = [sys.executable, "-m", "bench.peers", "hold", "--port", str(port), "--compressed"]
    with program("websockets", command, core=SERVER_CORE) as process:
        process.line(START_S)
        return _hold(process, _Opening(port, "/"), count, settle_s)


def _hold(process: Child, opening: _Opening, count: int, settle_s: float) -> Held:
    wait_quiet()
    with load(core=GENERATOR_CORE) as generator:
        _open(generator, "warm", opening, WARM)
        time.sleep(settle_s)
        rss, uss = _memory(process)
        began, busy = time.monotonic(), busy_s()
        cpu, generated = process.cpu_s, generator.cpu_s
        _open(generator, "all", opening, count)
        seconds, busy = time.monotonic() - began, busy_s() - busy
        cpu, generated = process.cpu_s - cpu, generator.cpu_s - generated
        time.sleep(settle_s)
        rss_after, uss_after = _memory(process)
        seen = generator.report("all")
    if seen.open != count:
        raise AssertionError(f"{count - seen.open} of {count} connections were closed")
    return Held(
        count=count,
        rss=(rss_after - rss) / count,
        uss=(uss_after - uss) / count,
        opened_hz=count / seconds,
        server=cpu / seconds,
        generator=generated / seconds,
        others=max(0.0, busy - cpu - generated) / seconds,
        deflated=seen.deflated,
    )


def _open(generator: Load, group: str, opening: _Opening, count: int) -> None:
    generator.open(
        group,
        count,
        opening.port,
        path=opening.path,
        tokens=opening.tokens,
        deflate=True,
        subscribe=[opening.subscribe] if opening.subscribe else [],
        replies=opening.replies,
        witness=1_000_000,  # nobody inflates
    )


def _memory(process: Child) -> tuple[int, int]:
    family = [process.statistics, *process.statistics.children(recursive=True)]
    full = [each.memory_full_info() for each in family]
    return sum(each.rss for each in full), sum(each.uss for each in full)


def _rows(ours: Held, peers: dict[str, Held]) -> Iterator[Row]:
    figure = f"resident bytes a connection, {ours.count:,} idle, permessage-deflate"
    for label, held in peers.items():
        yield Row(figure, ours.rss, "less", BYTES_MAX, held.rss, label)
    for label, held in peers.items():
        yield Row("connections opened a second", ours.opened_hz, "more", OPENED_HZ, held.opened_hz, label)


def _notes(ours: Held, peers: dict[str, Held], settle_s: float) -> Iterator[str]:
    yield (
        f"growth of the server's processes from {WARM} connections to {ours.count + WARM:,}, {settle_s:g} s after the "
        "last one was ready; the kernel's part of a socket is in no figure; one side at a time, server on core "
        f"{SERVER_CORE}, generator on core {GENERATOR_CORE}"
    )
    yield (
        "ours has checked a token and followed kpi and wagers of the whole book, two commands that were answered, "
        "before a connection counts as opened; of the peers only the handshake does; nobody has sent a message yet: "
        "what a peer keeps for compressing comes with the first one"
    )
    for label, held in (("ours", ours), *peers.items()):
        yield (
            f"{label}: USS {held.uss:,.0f} bytes a connection, {held.deflated:,} of {held.count:,} agreed on "
            f"compression; while opening: server {100 * held.server:.0f} %, generator {100 * held.generator:.0f} %, "
            f"others {100 * held.others:.0f} % of a core"
        )

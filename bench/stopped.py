"""Readers that stop: 100 of 1,000 take nothing for a minute, while the feed's memory is full already.

What it does to the others' latency, how much memory it costs the server, and whether anything is missing once they read
on. A peer that keeps a queue for each connection is measured the same way.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.beside import Missing, peer
from bench.load import Load, load
from bench.processes import Child, free_port, server, token
from bench.report import Report, Row
from bench.stage import EVENT, GENERATOR_CORE, PEER_MESSAGE, SERVER_CORE, SUBSCRIBE, wait_quiet

READERS: Final = 900
STOPPED: Final = 100
STOPPED_S: Final = 60
PEER_STOPPED_S: Final = 20  # enough to see a queue grow
HZ: Final = 30  # what every peer can take
RING_BYTES: Final = 1 << 20
WARM: Final = 600  # messages that fill the ring
WARM_HZ: Final = 60
PADDING: Final = 2_000  # bytes of a message, so that a minute of them is more than a kernel holds for a connection
RECEIVE_BYTES: Final = 4_096  # what the kernel holds for a stopped reader
RATIO_MAX: Final = 1.2
GROWTH_MB: Final = 20
PEERS: Final = ("ws", "websockets")
SETTINGS: Final = f"[server]\nconnections_user_max = 0\n\n[feed]\nring_bytes_max = {RING_BYTES}\n"


class Outcome(Struct, frozen=True):
    """One side.

    Args:
        before_ms, stopped_ms: p99 of the others, before and while some had stopped.
        growth_mb: of the server's resident memory meanwhile.
        missing: messages that the stopped ones did not have in order and once after they had read on.
        lost: connections that the server had ended.
    """

    before_ms: float
    stopped_ms: float
    growth_mb: float
    missing: int
    lost: int


def measure(*, quick: bool) -> Report:
    """Ours, and peers beside it."""
    seconds = 10 if quick else STOPPED_S
    ours = _ours(seconds)
    peers: dict[str, Outcome] = {}
    notes = [_note("ours", ours)]
    for name in PEERS:
        try:
            peers[name] = _peer(name, min(seconds, PEER_STOPPED_S))
            notes.append(_note(name, peers[name]))
        except Missing as missing:
            notes.append(f"could not be had: {missing}")
    notes.append(
        f"{READERS + STOPPED:,} connections of one lane, {HZ} messages of {PADDING:,} bytes a second, "
        f"{STOPPED} stopped for {seconds} s (peers at most {PEER_STOPPED_S})"
    )
    notes.append(f"the ring of ours holds {RING_BYTES >> 20} MB and was full before")
    return Report(tuple(_rows(ours, peers)), tuple(notes))


def _rows(ours: Outcome, peers: dict[str, Outcome]) -> Iterator[Row]:
    what = f"{STOPPED} of {READERS + STOPPED:,} readers stopped"
    first = next(iter(peers), "")
    for name in list(peers) or [""]:
        beside = peers.get(name)
        yield Row(
            f"{what}: the others' p99, times what it was", ours.stopped_ms / ours.before_ms, "less",
            RATIO_MAX if name == first else None, beside.stopped_ms / beside.before_ms if beside else None, name,
        )  # fmt: skip
        yield Row(
            f"{what}: growth of the server, MB", ours.growth_mb, "less", GROWTH_MB if name == first else None,
            beside.growth_mb if beside else None, name,
        )  # fmt: skip
    yield Row(f"{what}: messages lost after they read on", ours.missing + ours.lost, "less", 0)


def _note(name: str, found: Outcome) -> str:
    return (
        f"{name}: p99 of the others {found.before_ms:.1f} ms before, {found.stopped_ms:.1f} ms with {STOPPED} stopped; "
        f"{found.growth_mb:.1f} MB more; then {found.missing} missing, {found.lost} connections ended"
    )


def _padded(template: str) -> str:
    """A message that weighs something."""
    return template.replace('"said":"bench"', f'"said":"{"x" * PADDING}"')


def _ours(seconds: float) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        data, port = Path(folder), free_port()
        settings = data / "fire22.toml"
        settings.write_text(SETTINGS)
        arguments = ("--config", settings, "--open-topic", "bench")
        with server(data, port, *arguments, core=SERVER_CORE) as process, load(core=GENERATOR_CORE) as generator:
            bearer = token(data)
            for name, count in (("others", READERS), ("stopped", STOPPED)):
                generator.open(
                    name, count, port, path="/v1/ws", tokens=[bearer], subscribe=[[SUBSCRIBE]], replies=True,
                    protocol="fire22.v1.json", receive_bytes=RECEIVE_BYTES if name == "stopped" else 0,
                )  # fmt: skip
            generator.publisher(
                "publisher",
                port,
                kind="post",
                path="/v1/events",
                token=bearer,
                template=_padded(EVENT),
                array=True,
                batch=100,
            )
            _warm(generator)
            return _run(process, generator, seconds)


def _peer(name: str, seconds: float) -> Outcome:
    with peer(name, core=SERVER_CORE) as running, load(core=GENERATOR_CORE) as generator:
        kind = running.kind
        frames = [kind.subscribe] if kind.subscribe else []
        for group, count in (("others", READERS), ("stopped", STOPPED)):
            generator.open(
                group, count, running.port, path=kind.subscribe_path, subscribe=frames,
                receive_bytes=RECEIVE_BYTES if group == "stopped" else 0,
            )  # fmt: skip
        generator.publisher(
            "publisher", running.port, kind=kind.publish_kind, path=kind.publish_path,
            template=_padded(PEER_MESSAGE).join(kind.wrap), ahead=16,
        )  # fmt: skip
        return _run(running.child, generator, seconds)


def _run(process: Child, generator: Load, seconds: float) -> Outcome:
    """Before, while they stand still, and after."""
    before = [_p99(generator, seconds / 4) for _ in range(2)]
    memory = _resident(process)
    generator.stop("stopped")
    while_stopped = [_p99(generator, seconds / 2) for _ in range(2)]
    growth = _resident(process) - memory
    last = generator.report("others").most
    generator.go("stopped")
    generator.wait("stopped", last, timeout_s=60)
    seen = generator.report("stopped")
    missing = seen.gaps + seen.repeats + (last - seen.least if seen.least else 0) * (seen.open > 0)
    return Outcome(statistics.median(before), statistics.median(while_stopped), growth / 1e6, missing, seen.lost)


def _warm(generator: Load) -> None:
    """Fill the ring."""
    generator.rate("publisher", hz=WARM_HZ, seconds=WARM / WARM_HZ)
    last = generator.finish("publisher", "others", timeout_s=30).number
    generator.wait("stopped", last, timeout_s=30)


def _p99(generator: Load, seconds: float) -> float:
    wait_quiet()
    generator.zero("others")
    generator.rate("publisher", hz=HZ, seconds=seconds)
    generator.finish("publisher", "others", timeout_s=10)
    return generator.report("others").p99_ms


def _resident(process: Child) -> int:
    time.sleep(0.5)
    return sum(each.memory_info().rss for each in (process.statistics, *process.statistics.children(recursive=True)))

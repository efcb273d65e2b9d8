"""Many clients cut off at once: how long until all have what they missed, and are live again.

All follow one topic, are cut by a reset, miss messages, and come back with the position of their last tick. From the
first reconnect on, until a further message, published once all have caught up, has reached everybody. No number may be
missing or come twice, across the break too.
"""

import contextlib
import json
import resource
import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.beside import PEERS, Missing
from bench.load import Load, load
from bench.processes import START_S, Child, free_port, program, server, token
from bench.report import Report, Row, busy_s
from bench.stage import EVENT, GENERATOR_CORE, PEER_MESSAGE, SERVER_CORE, SUBSCRIBE, wait_quiet

CLIENTS: Final = 15_000
QUICK_CLIENTS: Final = 2_000
PEER_CLIENTS: Final = 2_000  # with 15,000 it would take some minutes
MISSED: Final = 1_000
SEEN: Final = 10  # before the break
SPARE_DESCRIPTORS: Final = 500
SECONDS_MAX: Final = 15
WAIT_S_MAX: Final = 120
PUBLISH_HZ: Final = 2_000
PEER: Final = "nchan"
SETTINGS: Final = "[server]\nconnections_user_max = 0\n"
RESUME: Final = json.dumps({"id": 1, "command": "subscribe", "target": "bench", "after": "{position}"})
# What `beside.py` configures, and what resuming needs in its place.
NCHAN: Final = {
    "nchan_message_buffer_length 20;": f"nchan_message_buffer_length {2 * MISSED};",
    "nchan_subscriber_first_message newest;": "nchan_subscriber_first_message newest;\n"
    "            nchan_subscriber_last_message_id $arg_last;",
}


class Resumed(Struct, frozen=True):
    """How one side's clients came back.

    Args:
        seconds: from the first reconnect until all were live and had everything.
        opened_s: until all were connected and subscribed; `caught_up_s`: until all had what they missed.
        server: cores that it took.
    """

    clients: int
    seconds: float
    opened_s: float
    caught_up_s: float
    gaps: int
    repeats: int
    server: float
    generator: float
    others: float
    resident_mb: float


class _NchanAnswer(Struct):
    last_message_id: str


def measure(*, quick: bool) -> Report:
    """Ours and nchan, which keeps messages in memory and resumes by the id of the last one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    clients = min(QUICK_CLIENTS if quick else CLIENTS, hard - SPARE_DESCRIPTORS)
    ours = _ours(clients)
    notes: list[str] = []
    peer: Resumed | None = None
    try:
        peer = _nchan(min(clients, PEER_CLIENTS))
    except Missing as error:
        notes.append(f"could not be had: {PEERS[PEER].label}: {' '.join(str(error).split())[:300]}")
    sides = {"ours": ours} | ({PEERS[PEER].label: peer} if peer else {})
    return Report((*_rows(ours, peer),), (*_notes(sides), *notes))


def _ours(clients: int) -> Resumed:
    with tempfile.TemporaryDirectory() as folder:
        data, port = Path(folder), free_port()
        settings = data / "fire22.toml"
        settings.write_text(SETTINGS)
        arguments = ("--config", settings, "--open-topic", "bench")
        with server(data, port, *arguments, core=SERVER_CORE) as process, load(core=GENERATOR_CORE) as generator:
            bearer = token(data)
            generator.open(
                "all", clients, port, path="/v1/ws", tokens=[bearer], subscribe=[[SUBSCRIBE]], replies=True,
                protocol="fire22.v1.json",
            )  # fmt: skip
            generator.publisher(
                "publisher", port, kind="post", path="/v1/events", token=bearer, template=EVENT, array=True, batch=100
            )
            generator.one("publisher", "all", count=SEEN)
            generator.close("all")
            _publish(generator, MISSED)
            generator.zero("all")
            return _come_back(process, generator, "all", clients, lambda: _reopen(generator))


def _reopen(generator: Load) -> float:
    return generator.reopen("all", subscribe=[[RESUME]], number=SEEN + MISSED).seconds


def _nchan(clients: int) -> Resumed:
    with _nchan_server() as (process, port), load(core=GENERATOR_CORE) as generator:
        generator.open("before", clients, port, path="/subscribe")
        generator.publisher("publisher", port, kind="post", path="/publish", template=PEER_MESSAGE)
        generator.one("publisher", "before", count=SEEN)
        last = _last_id(port)
        generator.close("before")
        _publish(generator, MISSED, group="before")

        def open_again() -> float:
            # All have the same last message, so its id stands in the address; the numbers begin anew.
            return generator.open("all", clients, port, path=f"/subscribe?last={last}").seconds

        return _come_back(process, generator, "all", clients, open_again)


@contextlib.contextmanager
def _nchan_server() -> Iterator[tuple[Child, int]]:
    """nchan as `beside.py` starts it, but with a buffer that holds what is missed, and resuming by id."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="fire22-bench-") as folder:
        command = PEERS[PEER].command(port, Path(folder))
        configuration = Path(folder) / "nginx.conf"
        text = configuration.read_text()
        for before, after in NCHAN.items():
            if before not in text:
                raise AssertionError(f"{before} is no longer in the configuration of nchan")
            text = text.replace(before, after)
        configuration.write_text(text)
        with program(PEER, command, core=SERVER_CORE) as process:
            _wait_for(port)
            yield process, port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise Missing("nginx does not start")


def _last_id(port: int) -> str:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/publish", headers={"Accept": "text/json"})
    with urllib.request.urlopen(asked, timeout=START_S) as answered:
        return msgspec.json.decode(answered.read(), type=_NchanAnswer).last_message_id


def _publish(generator: Load, count: int, *, group: str = "all") -> None:
    """Publish while nobody is there."""
    generator.rate("publisher", hz=PUBLISH_HZ, seconds=count / PUBLISH_HZ)
    finished = generator.finish("publisher", group, timeout_s=WAIT_S_MAX)
    if finished.error or not finished.complete:
        raise AssertionError(f"what should be missed was not published: {finished}")


def _come_back(process: Child, generator: Load, group: str, clients: int, reopen: Callable[[], float]) -> Resumed:
    wait_quiet()
    began, busy = time.monotonic(), busy_s()
    cpu, generated = process.cpu_s, generator.cpu_s
    opened_s = reopen()
    waited = generator.wait(group, SEEN + MISSED, timeout_s=WAIT_S_MAX)
    caught_up_s = time.monotonic() - began
    resident = process.statistics.memory_info().rss
    generator.one("publisher", group, count=1)
    seconds, busy = time.monotonic() - began, busy_s() - busy
    cpu, generated = process.cpu_s - cpu, generator.cpu_s - generated
    seen = generator.report(group)
    missing = clients * (MISSED + 1) - (seen.messages - seen.repeats)
    if not waited.complete or seen.lost or seen.open != clients:
        raise AssertionError(f"{waited.reached} of {clients} have caught up, {seen.lost} were lost")
    return Resumed(
        clients=clients,
        seconds=seconds,
        opened_s=opened_s,
        caught_up_s=caught_up_s,
        gaps=max(seen.gaps, missing),
        repeats=seen.repeats,
        server=cpu / seconds,
        generator=generated / seconds,
        others=max(0.0, busy - cpu - generated) / seconds,
        resident_mb=resident / 1e6,
    )


def _rows(ours: Resumed, peer: Resumed | None) -> Iterator[Row]:
    name = f"{PEERS[PEER].label}, {peer.clients:,} clients" if peer else ""
    what = f"{ours.clients:,} clients cut at once, {MISSED:,} messages missed by each"
    others = (peer.seconds, peer.gaps, peer.repeats) if peer else (None, None, None)
    yield Row(f"s until all are live again, {what}", ours.seconds, "less", SECONDS_MAX, others[0], name)
    yield Row("messages missing after it, all clients", ours.gaps, "less", 0, others[1], name)
    yield Row("messages repeated after it, all clients", ours.repeats, "less", 0, others[2], name)


def _notes(sides: dict[str, Resumed]) -> Iterator[str]:
    yield (
        "from the first reconnect until each had all it missed and one further message, published then, had reached "
        f"everybody; at most 64 handshakes at a time; {len(PEER_MESSAGE)} bytes each; server on core {SERVER_CORE}, "
        f"generator on core {GENERATOR_CORE}"
    )
    yield (
        "ours: each client sends its own position, the log and the feed are durable; nchan: the id of the last message "
        "stands in the address, messages are in memory, the handshake checks no token"
    )
    for label, found in sides.items():
        yield (
            f"{label}, {found.clients:,} clients: all connected after {found.opened_s:.1f} s, caught up after "
            f"{found.caught_up_s:.1f} s; server {100 * found.server:.0f} %, generator {100 * found.generator:.0f} %, "
            f"others {100 * found.others:.0f} % of a core; resident then {found.resident_mb:.0f} MB"
        )

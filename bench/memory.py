"""Resident bytes of an idle subscribed connection."""

import resource
import tempfile
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.clients import OPEN_S_MAX, Ready, Result
from bench.processes import Child, child, free_port, server, token
from bench.report import Report, Row

TARGET_BYTES: Final = 4096
CONNECTIONS: Final = 10_000
WARM: Final = 200  # opened before the first look, so that what is loaded once is not counted
SPARE_DESCRIPTORS: Final = 500
SETTLE_S: Final = 3.0


class Held(Struct, frozen=True):
    """What `count` connections took: bytes for each, resident and unique, and how fast they came."""

    count: int
    rss: float
    uss: float
    opened_hz: float
    clients_cpu: float


def measure(*, quick: bool) -> Report:
    """Our server with subscriptions to kpi and wagers, against `websockets` that only holds its connections."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(1_000 if quick else CONNECTIONS, hard - SPARE_DESCRIPTORS)
    ours, peer = _ours(count), _peer(count)
    name = "websockets 17, nothing subscribed"
    return Report(
        (
            Row(f"resident bytes a connection, {count:,} idle", ours.rss, "less", TARGET_BYTES, peer.rss, name),
            Row("unique bytes a connection (USS)", ours.uss, "less", None, peer.uss, name),
            Row("connections opened a second", ours.opened_hz, "more", None, peer.opened_hz, name),
        ),
        (
            f"growth of the server's process from {WARM} connections to {count + WARM:,}, {SETTLE_S:g} s after the "
            "last one was ready; ours is authenticated and follows kpi and wagers of the whole book",
            f"opened by one process, {100 * ours.clients_cpu:.0f} % of a core while ours opened; "
            "the kernel's part of a socket is in neither figure",
        ),
    )


def _ours(count: int) -> Held:
    with tempfile.TemporaryDirectory() as folder:
        data, port = Path(folder), free_port()
        with server(data, port) as process:
            topics = ("--subscribe", "kpi", "--subscribe", "wagers")
            return _hold(process, count, "--port", port, "--token", token(data), *topics)


def _peer(count: int) -> Held:
    port = free_port()
    with child("bench.peers", "hold", "--port", port) as process:
        process.line(OPEN_S_MAX)
        return _hold(process, count, "--port", port, "--path", "/")


def _hold(process: Child, count: int, *arguments: object) -> Held:
    with child("bench.clients", "--count", WARM, *arguments) as warm:
        warm.answer(Ready, OPEN_S_MAX)
        time.sleep(SETTLE_S)
        rss, uss = _memory(process)
        with child("bench.clients", "--count", count, *arguments) as clients:
            cpu_s = clients.cpu_s
            ready = clients.answer(Ready, OPEN_S_MAX)
            cpu_s = clients.cpu_s - cpu_s
            time.sleep(SETTLE_S)
            rss_after, uss_after = _memory(process)
            clients.tell()
            lost = clients.answer(Result, OPEN_S_MAX).closed
    if lost:
        raise AssertionError(f"{lost} of {count} connections were closed")
    return Held(
        count, (rss_after - rss) / count, (uss_after - uss) / count, count / ready.seconds, cpu_s / ready.seconds
    )


def _memory(process: Child) -> tuple[int, int]:
    full = process.statistics.memory_full_info()
    return int(full.rss), int(full.uss)

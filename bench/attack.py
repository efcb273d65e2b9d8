"""A good client among attackers: those who never finish a request, who read nothing, who say nothing, who ask too much.

The good client asks for the time over and over, and its p99 with each crowd is compared with its p99 without it; so is
the server's memory. It is measured twice: as the server is by default, and without cost limits and with slices so long
that commands are performed as they come.

    python -m bench.attack KIND PORT COUNT TOKEN...     a crowd: prints a line when it is there, ends with its input
"""

import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect

from bench.processes import Child, child, free_port, server, token
from bench.report import Report, Row

KINDS: Final = ("slowloris", "slow readers", "unauthenticated", "greedy")
GREEDY: Final = 20
PIPELINED: Final = 8
EVENTS: Final = 2_000
NICENESS: Final = -10
GONE_S: Final = 30.0
PAUSE_S: Final = 0.005  # of the good client, between an answer and the next command
RATIO_MAX: Final = 2.0
GROWTH_MB_MAX: Final = 100.0
OPEN: Final = (
    "[server]\nconnections_user_max = 0\nhandshake_timeout_s = 60\nauth_timeout_s = 60\n"
    '[relay]\nopen_topics = ["bench"]\n'
)
UNLIMITED: Final = (
    "[limits]\nconnection_units_per_s = 0\nuser_units_per_s = 0\nscope_units_per_s = 0\nslice_ms = 1000\n"
)


class Outcome(Struct, frozen=True):
    """What one crowd does: the good client's p99 beside that without it, and the most memory it costs the server."""

    p99_ms: float
    ratio: float
    growth_mb: float


class Plan(Struct, frozen=True):
    """How many of each crowd there are, how often a crowd comes, and how long each window is."""

    count: int
    rounds: int
    seconds: float


def measure(*, quick: bool) -> Report:
    """Each crowd, with and without limits and turns."""
    plan = Plan(200, 3, 0.8) if quick else Plan(1_000, 5, 3.0)
    with _before_others():
        after = {kind: _outcome(kind, "", plan) for kind in KINDS}
        before = {kind: _outcome(kind, UNLIMITED, plan) for kind in KINDS}
    rows: list[Row] = []
    for kind in KINDS:
        ours, theirs = after[kind], before[kind]
        name = "without limits and turns"
        figure = f"p99 of a good client among {kind}, times that without them"
        rows.append(Row(figure, ours.ratio, "less", RATIO_MAX, theirs.ratio, name))
        figure = f"memory of {kind}, MB"
        rows.append(Row(figure, ours.growth_mb, "less", GROWTH_MB_MAX, theirs.growth_mb, name))
    crowds = f"{plan.count} of each crowd, {GREEDY} greedy with {PIPELINED} commands `history limit=500` on the way"
    p99 = ", ".join(f"{kind} {after[kind].p99_ms:.1f} (without {before[kind].p99_ms:.1f})" for kind in KINDS)
    load = f"programs that ran at once on the machine, the last minute: {os.getloadavg()[0]:.1f}"
    return Report(tuple(rows), (crowds, f"p99 in ms, median of {plan.rounds} windows: {p99}", load))


@contextlib.contextmanager
def _before_others() -> Iterator[None]:
    """Let the programs of the bench have the processors before others, where that is allowed.

    What is always busy waits for others longer than what is seldom so: beside other programs a server under attack
    would be compared with their slices.
    """
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)


def _outcome(kind: str, settings: str, plan: Plan) -> Outcome:
    """One crowd, which comes to a server of its own and goes: each window with it lies between two without it.

    What else the machine does is then in both, and the median leaves out the windows in which it did much.
    """
    with tempfile.TemporaryDirectory() as folder:
        data, port = Path(folder) / "data", free_port()
        config = Path(folder) / "fire22.toml"
        config.write_text(OPEN + settings)
        with server(data, port, "--config", config) as process:
            _fill(data, port)
            return _windows(kind, data, port, process, plan)


def _windows(kind: str, data: Path, port: int, process: Child, plan: Plan) -> Outcome:
    tokens = [token(data, f"greedy-{number}") for number in range(GREEDY)]
    files, rss, grown = process.statistics.num_fds(), _rss_mb(process), 0.0
    among: list[float] = []
    with asyncio.Runner() as loop:
        good = loop.run(_connected(port, token(data, "good")))
        loop.run(_p99_ms(good, 0.5))  # what is only done once is not measured
        alone = [loop.run(_p99_ms(good, plan.seconds))]
        for _ in range(plan.rounds):
            size = GREEDY if kind == "greedy" else plan.count
            with child("bench.attack", kind.replace(" ", "-"), port, size, *tokens) as crowd:
                crowd.line(60)
                among.append(loop.run(_p99_ms(good, plan.seconds)))
                grown = max(grown, _rss_mb(process) - rss)
            _wait_until_gone(process, files + 1)
            alone.append(loop.run(_p99_ms(good, plan.seconds)))
        loop.run(good.close())
    ratios = [here / ((one + other) / 2) for here, one, other in zip(among, alone, alone[1:], strict=False)]
    return Outcome(statistics.median(among), statistics.median(ratios), grown)


def _wait_until_gone(process: Child, files: int) -> None:
    """Until the server has let a crowd go, and has no more files open than before it, but for a few of its own."""
    deadline = time.monotonic() + GONE_S
    while process.statistics.num_fds() > files + 10 and time.monotonic() < deadline:
        time.sleep(0.1)


def _rss_mb(process: Child) -> float:
    return float(process.statistics.memory_info().rss) / 1e6


def _fill(data: Path, port: int) -> None:
    """A past that is worth reading."""
    events = [
        {
            "id": f"attack-{number}",
            "type": "bench.said",
            "source": "bench",
            "timestamp": "2026-01-01T00:00:00Z",
            "data": {"number": number, "text": "x" * 200},
            "metadata": {"priority": 1, "category": "bench", "tags": []},
        }
        for number in range(EVENTS)
    ]
    headers = {"authorization": f"Bearer {token(data)}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/events", json.dumps(events).encode(), headers)
    with urllib.request.urlopen(request, timeout=20):
        time.sleep(1)


async def _connected(port: int, secret: str) -> ClientConnection:
    """A good client: it is there before any crowd."""
    headers = {"authorization": f"Bearer {secret}"}
    address = f"ws://127.0.0.1:{port}/v1/ws"
    return await connect(address, additional_headers=headers, compression=None, ping_interval=None)


async def _p99_ms(socket: ClientConnection, seconds: float) -> float:
    """How long a good client waits for its answers: 99 of 100 are quicker."""
    took: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        await socket.send(json.dumps({"id": len(took), "command": "history", "target": "bench", "limit": 10}))
        while json.loads(await socket.recv()).get("id") != len(took):
            pass
        took.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(PAUSE_S)
    return statistics.quantiles(took, n=100)[98] if len(took) > 1 else seconds * 1000


async def crowd(kind: str, port: int, count: int, tokens: list[str]) -> None:
    """Attack until the input ends."""
    async with asyncio.TaskGroup() as tasks:
        attackers = [tasks.create_task(_attack(kind, port, tokens[n % len(tokens)])) for n in range(count)]
        await asyncio.sleep(1)
        print("there", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for each in attackers:
            each.cancel()


async def _attack(kind: str, port: int, secret: str) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        if kind == "slowloris":
            while True:
                writer.write(b"X-Slow: 1\r\n")
                await asyncio.sleep(1)
        if kind != "unauthenticated":
            writer.write(f"Authorization: Bearer {secret}\r\n".encode())
        writer.write(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
        writer.write(b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        last = {"command": "subscribe", "target": "bench", "last": 500}
        past = {"command": "history", "target": "bench", "limit": 500}
        asked = last if kind == "slow-readers" else past
        while kind in ("slow-readers", "greedy"):
            for _ in range(PIPELINED):
                writer.write(_frame(json.dumps({"id": 1, **asked}).encode()))
            await writer.drain()
            if kind == "slow-readers":
                break
            for _ in range(PIPELINED):
                await reader.read(1 << 20)
        await asyncio.Event().wait()


def _frame(payload: bytes) -> bytes:
    """A masked text frame; the mask is zero."""
    return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload


if __name__ == "__main__":
    asyncio.run(crowd(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))

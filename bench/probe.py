"""Asks a server something small every few milliseconds, and says how long the answers took.

    python -m bench.probe --port 8080 --path /v1/ws --token … --every-ms 3

Of ours it asks by the command `ping`; with `--frames` by WebSocket's own ping. It asks whether or not the last answer
has come (at most 50 pings ahead), so a pause of the server delays every question that falls into it. It prints `ready`;
then each line that it reads ends a period, which it says as a line of JSON, and begins the next. It runs before other
programs of its core, where the system allows that, so that it measures the server and not the queue for its own core.
"""

import argparse
import contextlib
import gc
import os
import select
import socket
import sys
import time
from array import array
from collections import deque
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core.frames import Opcode, masked, text_frame

KEY: Final = "MDEyMzQ1Njc4OWFiY2RlZg=="
MASK: Final = b"\x01\x02\x03\x04"
READ_BYTES: Final = 1 << 18
RUN_S_MAX: Final = 300
PING: Final = b"\x89\x00"
PONG: Final = 10
FRAMES_AHEAD_MAX: Final = 50  # Node's `ws` ends a connection that sends more than 60 pings ahead of its answers


class Asked(Struct, frozen=True):
    """One period; milliseconds.

    Args:
        prompt: whether the probe ran before other programs.
        open: questions without an answer at the end; the oldest of them counts as long as it has waited.
    """

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    prompt: bool
    open: int


class Probe:
    """One connection."""

    def __init__(self, sock: socket.socket, *, frames: bool, every_ms: float, prompt: bool) -> None:
        self._sock = sock
        self._frames = frames
        self._every_s = every_ms / 1000
        self._prompt = prompt
        self._asked: deque[float] = deque()
        self._took = array("d")
        self._number = 0
        self._kept = b""

    def run(self) -> None:
        """Until the input ends."""
        deadline = due = time.monotonic()
        deadline += RUN_S_MAX
        while due < deadline:
            left = due - time.monotonic()
            if left <= 0:
                self._ask()
                due += self._every_s
                continue
            ready, _, _ = select.select([self._sock, sys.stdin], [], [], left)
            if self._sock in ready:
                self._read()
            if sys.stdin in ready and not self._end_period():
                return

    def _ask(self) -> None:
        if self._frames and len(self._asked) >= FRAMES_AHEAD_MAX:
            return
        self._number += 1
        command = f'{{"id":{self._number},"command":"ping"}}'.encode()
        frame = PING if self._frames else text_frame(command)
        self._asked.append(time.monotonic())
        self._sock.sendall(masked(frame, MASK))

    def _read(self) -> None:
        data = self._sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server has ended the probe")
        now = time.monotonic()
        for _ in range(self._answers(self._kept + data)):
            self._took.append(now - self._asked.popleft())

    def _answers(self, data: bytes) -> int:
        """How many whole frames are answers; they come in the order of the questions."""
        at, found = 0, 0
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start], "big")
            if len(data) < start + size:
                break
            if self._frames:
                found += data[at] & 0x0F == PONG
            else:
                found += data[at] & 0x0F == Opcode.TEXT and b'"type":"reply"' in data[start : start + size]
            at = start + size
        self._kept = data[at:]
        return found

    def _end_period(self) -> bool:
        if not sys.stdin.readline():
            return False
        waiting = time.monotonic() - self._asked[0] if self._asked else 0.0
        took = sorted(self._took) or [0.0]
        asked = Asked(
            count=len(self._took),
            p50_ms=took[len(took) // 2] * 1000,
            p99_ms=took[min(len(took) - 1, len(took) * 99 // 100)] * 1000,
            max_ms=max(took[-1], waiting) * 1000,
            prompt=self._prompt,
            open=len(self._asked),
        )
        sys.stdout.buffer.write(msgspec.json.encode(asked) + b"\n")
        sys.stdout.buffer.flush()
        self._took = array("d")
        return True


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.probe")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/v1/ws")
    parser.add_argument("--token", default="")
    parser.add_argument("--every-ms", type=float, default=3.0)
    parser.add_argument("--frames", action="store_true")
    arguments = parser.parse_args()
    sock = connected(arguments.port, arguments.path, arguments.token)
    prompt = False
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        prompt = True
    gc.disable()
    print("ready", flush=True)
    Probe(sock, frames=arguments.frames, every_ms=arguments.every_ms, prompt=prompt).run()


def connected(port: int, path: str, token: str) -> socket.socket:
    """A WebSocket after its handshake, of which not a byte behind that has been read."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        *([f"Authorization: Bearer {token}"] if token else ()),
    ]
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = sock.recv(1)  # not a byte of the first frame
        if not chunk:
            raise ConnectionError(head.decode("latin-1"))
        head += chunk
    if not head.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(head.decode("latin-1"))
    sock.settimeout(None)
    return sock


if __name__ == "__main__":
    main()

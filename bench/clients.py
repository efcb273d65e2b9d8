"""The load generator: many WebSocket clients in one light process, on raw sockets and epoll.

It opens connections, subscribes, and then only reads, with as little work for each byte as it can: it finds the ends of
frames, and with `--record` the numbers of the wagers in them. It says how much CPU it took, so that a reader sees it is
not the bottleneck. Times are CLOCK_MONOTONIC, which all processes of a machine share; a message's time is taken when
the bytes that complete its frame have been read.

    python -m bench.clients --port 8080 --count 100 --token … --subscribe kpi --record arrivals.bin

prints `{"ready": …}` once every connection is open and subscribed, reads until a line or the end of its input, prints
its `Result` and ends. A record is pairs of signed 64-bit integers: wager number, nanoseconds.
"""

import argparse
import json
import os
import re
import resource
import select
import socket
import sys
import time
from array import array
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core.frames import Opcode, masked, text_frame

OPENING_MAX: Final = 64  # connections being opened at the same time; a usual backlog is 100
READ_BYTES: Final = 1 << 20
OPEN_S_MAX: Final = 120
RUN_S_MAX: Final = 300  # it ends by itself
KEY: Final = "MDEyMzQ1Njc4OWFiY2RlZg=="
MASK: Final = b"\x01\x02\x03\x04"
WAGER: Final = re.compile(rb'"wagerId": ?"w(\d+)", ?"status": ?"accepted"')
REPLY: Final = b'"type":"reply"'


class Result(Struct, frozen=True):
    """What the clients have seen since they were ready."""

    frames: int
    payload_bytes: int
    closed: int
    cpu_s: float
    wall_s: float


class Ready(Struct, frozen=True):
    """All are open and subscribed."""

    count: int
    seconds: float


class _Client:
    __slots__ = ("pending", "replies", "sock", "upgraded")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.pending = b""
        self.upgraded = False
        self.replies = 0  # still to come


class Clients:
    """All connections of one process.

    Args:
        request: the bytes that ask for the upgrade.
        commands: the frames that subscribe; each is answered by one reply.
    """

    def __init__(self, address: tuple[str, int], request: bytes, commands: list[bytes], *, record: bool) -> None:
        self._address = address
        self._request = request
        self._commands = b"".join(commands)
        self._replies = len(commands)
        self._record = record
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._buffer = bytearray(READ_BYTES)
        self.ready = 0
        self.frames = 0
        self.payload_bytes = 0
        self.closed = 0
        self.arrivals = array("q")

    def open(self, count: int) -> None:
        """Open connections until `count` are subscribed.

        Raises:
            TimeoutError: they were not in time.
        """
        deadline = time.monotonic() + OPEN_S_MAX
        while self.ready < count:
            while len(self._clients) < min(count, self.ready + OPENING_MAX):
                self._connect()
            if time.monotonic() > deadline or self.closed:
                raise TimeoutError(f"{self.ready} of {count} connections are ready, {self.closed} were closed")
            self._turn(0.1)

    def run(self) -> None:
        """Read until somebody writes to this process or closes its input."""
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN)
        deadline = time.monotonic() + RUN_S_MAX
        while self._turn(1.0) and time.monotonic() < deadline:
            pass

    def _turn(self, seconds: float) -> bool:
        for descriptor, _ in self._poll.poll(seconds, 512):
            client = self._clients.get(descriptor)
            if client is None:
                return False
            self._read(client)
        return True

    def _connect(self) -> None:
        sock = socket.create_connection(self._address, timeout=10)
        sock.sendall(self._request)
        sock.setblocking(False)
        self._clients[sock.fileno()] = _Client(sock)
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, client: _Client) -> None:
        try:
            size = client.sock.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._lose(client)
            return
        now_ns = time.monotonic_ns()
        data = client.pending + self._buffer[:size]
        if not client.upgraded:
            data = self._upgrade(client, data)
        end = self._frames(client, data)
        client.pending = bytes(data[end:])
        if client.replies:
            self._count_replies(client, data[:end])
        if self._record:
            numbers = WAGER.findall(data, 0, end)
            for found in numbers:
                self.arrivals.append(int(found))
                self.arrivals.append(now_ns)

    def _upgrade(self, client: _Client, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return data
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.decode("latin-1"))
        client.upgraded = True
        client.replies = self._replies
        if self._commands:
            client.sock.sendall(self._commands)
        else:
            self.ready += 1
        return rest

    def _frames(self, client: _Client, data: bytes) -> int:
        """Walk over whole frames; returns where the last one ends."""
        if not client.upgraded:
            return 0
        at, size = 0, len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                length = int.from_bytes(data[at + 2 : start], "big")
            if start + length > size:
                break
            if data[at] & 0x0F == Opcode.CLOSE:
                self._lose(client)
            self.frames += 1
            self.payload_bytes += length
            at = start + length
        return at

    def _count_replies(self, client: _Client, data: bytes) -> None:
        client.replies -= data.count(REPLY)
        if client.replies == 0:
            self.ready += 1

    def _lose(self, client: _Client) -> None:
        if self._clients.pop(client.sock.fileno(), None) is not None:
            self.closed += 1
            self._poll.unregister(client.sock.fileno())
            client.sock.close()


def main() -> None:
    """See the module."""
    arguments = _arguments()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    commands = [_subscribe(number, target) for number, target in enumerate(arguments.subscribe, 1)]
    address = ("127.0.0.1", arguments.port)
    clients = Clients(address, _request(arguments), commands, record=arguments.record is not None)
    began = time.monotonic()
    clients.open(arguments.count)
    _say(Ready(clients.ready, time.monotonic() - began))
    began, cpu_before = time.monotonic(), _cpu_s()
    clients.frames = clients.payload_bytes = 0
    clients.run()
    result = Result(
        clients.frames, clients.payload_bytes, clients.closed, _cpu_s() - cpu_before, time.monotonic() - began
    )
    if arguments.record is not None:
        with arguments.record.open("wb") as file:
            clients.arrivals.tofile(file)
    _say(result)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.clients")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--path", default="/v1/ws")
    parser.add_argument("--token", default="")
    parser.add_argument("--protocol", default="")
    parser.add_argument("--subscribe", action="append", default=[])
    parser.add_argument("--record", type=Path)
    return parser.parse_args()


def _request(arguments: argparse.Namespace) -> bytes:
    lines = [
        f"GET {arguments.path} HTTP/1.1",
        f"Host: 127.0.0.1:{arguments.port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
    ]
    if arguments.token:
        lines.append(f"Authorization: Bearer {arguments.token}")
    if arguments.protocol:
        lines.append(f"Sec-WebSocket-Protocol: {arguments.protocol}")
    return "\r\n".join([*lines, "", ""]).encode()


def _subscribe(number: int, target: str) -> bytes:
    command = json.dumps({"id": number, "command": "subscribe", "target": target, "delta": True})
    return masked(text_frame(command.encode()), MASK)


def _cpu_s() -> float:
    return sum(os.times()[:2])


def _say(message: Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

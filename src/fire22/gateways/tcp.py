"""A connection over a TCP socket of its own, which it has taken over from the HTTP server.

Bytes go straight to the socket while the transport holds none, and behind what it holds otherwise. What the transport
holds beyond `outbox_bytes_max` pauses the connection.
"""

import asyncio
import os
import socket
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final, cast

from fire22.gateways.connection import Connection
from fire22.gateways.liveness import is_gone, tcp_info
from fire22.hub.base import Subscriber

SEND_BUFFER_BYTES: Final = 128 << 10  # of the kernel, for each socket
CLOSE_WAIT_S: Final = 5.0
GATHERED_MAX: Final = 8  # answers that are written in one call
GATHERED_BYTES_MAX: Final = 4096  # of an answer; with a longer one what was gathered is written at once
_NO_DESCRIPTOR: Final = -1


class TcpConnection(asyncio.Protocol, Connection):
    """One connection; what is spoken on it is `receive` and the codec."""

    __slots__ = ("_descriptor", "_gathered", "_transport")

    def __init__(self) -> None:
        Connection.__init__(self)
        # Of the socket, while nothing waits in the transport's buffer and it is not about to close. The number may be
        # another connection's as soon as this one is lost.
        self._descriptor = _NO_DESCRIPTOR
        self._gathered: list[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """What the peer has sent: handed to `Connection.read`, which reads it in the user's turns."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """See `receive`."""
        self.receive(data)

    def eof_received(self) -> bool:
        """The peer will send no more: end."""
        self._descriptor = _NO_DESCRIPTOR
        return False

    def pause_writing(self) -> None:
        """More than `outbox_bytes_max` waits."""
        self.pause()

    def resume_writing(self) -> None:
        """Most of it has been taken."""
        self.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._descriptor = _NO_DESCRIPTOR
        self._transport = None
        self.leave()

    def shutdown(self) -> None:
        """uvicorn's request to end."""
        self.restart(retry_after_s=1)

    def step(self, until_s: float) -> bool:
        """See Worker; what is answered meanwhile goes out in few calls."""
        self._gathered = []
        try:
            return super().step(until_s)
        finally:
            self._let_go()

    # What is written.

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket, or behind others to the transport; nothing on one that is closed or about to be."""
        if self._gathered is not None:
            self._gathered.append(data)
            if len(data) > GATHERED_BYTES_MAX or len(self._gathered) >= GATHERED_MAX:
                self._let_go()
                self._gathered = []
            return
        if self._descriptor < 0:
            self._write_behind(data)
            return
        try:
            written = os.write(self._descriptor, data)
        except OSError:  # it is full, or broken: the transport meets the same, and knows what to do
            written = 0
        if written < len(data):
            self._write_rest(data[written:])

    @staticmethod
    def write_many(members: Sequence[Subscriber], cohort: object, data: bytes) -> bool:
        """`write` on each of many connections, with nothing but the system call where the socket takes all."""
        write, size = os.write, len(data)
        slow = False
        for member in cast("Sequence[TcpConnection]", members):
            if member.cohort is not cohort:  # it has left in a pause
                continue
            if member._descriptor < 0:
                member._write_behind(data)
                slow = True
                continue
            try:
                written = write(member._descriptor, data)
            except OSError:
                written = 0
            if written < size:
                member._write_rest(data[written:])
                slow = True
        return slow

    def _let_go(self) -> None:
        """Write what was gathered in one turn: answers to many commands in one call."""
        gathered, self._gathered = self._gathered, None
        if gathered:
            self.write(b"".join(gathered))

    def _write_rest(self, data: bytes) -> None:
        """Leave to the transport what the socket does not take, and from here on what comes after it."""
        self._descriptor = _NO_DESCRIPTOR
        cast("asyncio.Transport", self._transport).write(data)

    def _write_behind(self, data: bytes) -> None:
        """Write where something may wait already."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() == 0:
            self._descriptor = _descriptor_of(transport)
            if self._descriptor >= 0:
                self.write(data)
                return
        transport.write(data)

    # See Connection.

    @property
    def is_ending(self) -> bool:
        """See Caller."""
        return self._transport is None or self._transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        """What the transport holds."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def hear(self, *, on: bool) -> None:
        """Read the socket, or leave what comes to TCP's own window."""
        if self._transport is not None:
            if on:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def is_gone(self) -> bool:
        """As the kernel knows it."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        return sock is not None and is_gone(tcp_info(sock), 2 * self.shared.service.limits.heartbeat_s * 1000)

    def abort(self) -> None:
        """See Connection."""
        self._descriptor = _NO_DESCRIPTOR
        if self._transport is not None:
            self._transport.abort()

    @property
    def address(self) -> str:
        """Of the peer's machine; empty where it has none."""
        peer = None if self._transport is None else self._transport.get_extra_info("peername")
        return peer[0] if peer else ""

    def set_limits(self) -> None:
        """Bound what is kept for the peer: here by `outbox_bytes_max`, in the kernel by SEND_BUFFER_BYTES."""
        if self._transport is None:
            return
        self._transport.set_write_buffer_limits(high=self.shared.service.limits.outbox_bytes_max)
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def close_transport(self) -> None:
        """Close behind what was written; what the peer does not take is not waited for without end."""
        self._let_go()
        transport = self._transport
        self._descriptor = _NO_DESCRIPTOR
        if transport is not None and not transport.is_closing():
            transport.close()
            wait_s = min(CLOSE_WAIT_S, self.shared.service.limits.stall_s)
            self.shared.loop.call_later(wait_s, transport.abort)


def _descriptor_of(transport: asyncio.Transport) -> int:
    """What may be written to beside the transport; -1 where it has no socket, or encrypts what goes there."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("sslcontext") is not None:
        return _NO_DESCRIPTOR
    return int(sock.fileno())

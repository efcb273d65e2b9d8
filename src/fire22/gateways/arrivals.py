"""New connections: whose each one is, as a trusted proxy says, before TLS and HTTP begin.

With `network.proxy_protocol` a connection from a trusted proxy begins with a PROXY header, and one without is closed.
Others are served as they are: what looks like a header from them is no HTTP, and refused as such.

A header is looked at before it is taken from the socket (MSG_PEEK), so that not a byte of the TLS handshake behind it
is read here: no event loop gives bytes back to its own TLS.
"""

import asyncio
import socket
from collections.abc import Callable
from ssl import SSLContext
from typing import Final, Protocol, cast

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.gateways.network import Networks
from fire22.gateways.proxy import HEADER_BYTES_MAX, Source, read_header

BACKLOG: Final = 4096
ACCEPTED_MAX: Final = 64  # at once, before others have a turn
FULL_S: Final = 0.1  # until it is tried again where the process has no descriptor left


class Arriving(Protocol):
    """A protocol that can be told whose its connection is."""

    claimed: tuple[str, int] | None


class Timeouts(Struct, frozen=True):
    """Of a connection's beginning and end.

    Args:
        header_s: until the PROXY header has come whole.
        handshake_s: until a TLS handshake is done.
        shutdown_s: in which a peer answers the end of TLS; then the socket is closed all the same.
    """

    header_s: float
    handshake_s: float
    shutdown_s: float


class Port(Struct, frozen=True):
    """How what connects is taken.

    Args:
        context: of TLS; None is plain text.
        refused: is told of a connection from a trusted proxy that does not say whose it is, and of the proxy's address.
    """

    networks: Networks
    context: SSLContext | None
    timeouts: Timeouts
    refused: Callable[[RequestError, str], None]

    async def open(self, sock: socket.socket, make: Callable[[], asyncio.Protocol]) -> "asyncio.Server | Arrivals":
        """Accept the connections of a listening socket.

        Args:
            make: makes the protocol of a connection.
        """
        loop = asyncio.get_running_loop()
        if self.networks.config.proxy_protocol:
            return Arrivals(self, sock, make)
        if self.context is None:
            return await loop.create_server(make, sock=sock, backlog=BACKLOG)
        return await loop.create_server(
            make,
            sock=sock,
            backlog=BACKLOG,
            ssl=self.context,
            ssl_handshake_timeout=self.timeouts.handshake_s,
            ssl_shutdown_timeout=self.timeouts.shutdown_s,
        )


class Arrivals:
    """Accepts connections of which trusted proxies say whose they are."""

    def __init__(self, port: Port, listening: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._make = make
        self._port = port
        self._waiting: dict[socket.socket, tuple[bytearray, str, asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Accept no more, and let go of those who have not said whose they are."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listening)
        for sock in list(self._waiting):
            self._forget(sock)
            sock.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Until nothing is left to do."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_MAX):
            try:
                sock, peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is left: what waits would wake us without end
                self._loop.remove_reader(self._listening)
                self._again = self._loop.call_later(FULL_S, self._loop.add_reader, self._listening, self._accept)
                return
            sock.setblocking(False)
            address = peer[0]
            if not self._port.networks.is_trusted(address):
                self._begin(sock, None)
                continue
            timer = self._loop.call_later(self._port.timeouts.header_s, self._refuse, sock, "did not come in time")
            self._waiting[sock] = (bytearray(), address, timer)
            self._loop.add_reader(sock, self._look, sock)

    def _look(self, sock: socket.socket) -> None:
        """Read on in a header; what stands behind it is left in the socket."""
        taken, _, _ = self._waiting[sock]
        try:
            seen = sock.recv(HEADER_BYTES_MAX - len(taken), socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._refuse(sock, "did not come whole")
            return
        if not seen:
            self._refuse(sock, "did not come whole")
            return
        try:
            source = read_header(bytes(taken + seen))
        except ValueError:
            self._refuse(sock, "is none, or names no client")
            return
        wanted = len(seen) if source is None else source.size - len(taken)
        taken += sock.recv(wanted)  # they are there, so all of them come
        if source is not None:
            self._forget(sock)
            self._begin(sock, source)

    def _forget(self, sock: socket.socket) -> None:
        _, _, timer = self._waiting.pop(sock)
        timer.cancel()
        self._loop.remove_reader(sock)

    def _refuse(self, sock: socket.socket, why: str) -> None:
        address = self._waiting[sock][1]
        self._forget(sock)
        sock.close()
        self._port.refused(RequestError(codes.PROTOCOL_ERROR, f"The PROXY header of a trusted proxy {why}."), address)

    def _begin(self, sock: socket.socket, source: Source | None) -> None:
        """Hand a connection over to TLS and HTTP."""

        def make() -> asyncio.Protocol:
            protocol = self._make()
            if source is not None:
                cast("Arriving", protocol).claimed = (source.address, source.port)
            return protocol

        task = self._loop.create_task(self._serve(sock, make))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        try:
            if self._port.context is None:
                await self._loop.connect_accepted_socket(make, sock)
            else:
                await self._loop.connect_accepted_socket(
                    make,
                    sock,
                    ssl=self._port.context,
                    ssl_handshake_timeout=self._port.timeouts.handshake_s,
                    ssl_shutdown_timeout=self._port.timeouts.shutdown_s,
                )
        except OSError:  # the peer has gone, or speaks no TLS: it costs nobody else
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise

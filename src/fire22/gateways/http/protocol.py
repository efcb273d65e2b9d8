"""uvicorn's HTTP protocol, with a limit to how long a request may take to arrive."""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fire22.gateways.deadlines import Deadlines


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection. `unfinished` is set on the class that is handed to uvicorn.

    A request is waited for from the connection's first moment, and again from the first byte of each further one. Bytes
    that trickle in give it no more time. Between two requests uvicorn's own keep-alive time-out holds.
    """

    unfinished: ClassVar[Deadlines["HttpProtocol"]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self.unfinished.add(self, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self.unfinished.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Part of a request, or of what a parser passes over before one."""
        if self.cycle is None or self.cycle.response_complete:
            self.unfinished.add(self, self.loop.time())
        super().data_received(data)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, and let go of the parser.

        It holds this object and this object holds it: without that a crowd that connects would leave the garbage
        collector something to find for each connection.
        """
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        """A request begins, perhaps while the one before it is being answered."""
        self.unfinished.add(self, self.loop.time())
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """A request is whole; one that asks for an upgrade too."""
        self.unfinished.remove(self)
        super().on_message_complete()


def end_unfinished(unfinished: Deadlines[HttpProtocol], now_s: float) -> None:
    """Close the connections whose request has not arrived in time."""
    for protocol in unfinished.late(now_s):
        protocol.transport.abort()

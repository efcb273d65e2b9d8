"""An endpoint that sends every message back, for the WebSocket conformance suite; off unless asked for.

It has no token, no subprotocol and no rate limit, and takes messages of up to 16 MiB.
"""

from typing import Any, ClassVar, Final

from fire22.core.command import Command
from fire22.core.deflate import deflate
from fire22.core.frames import DeflateFrameParser, FrameParser, Opcode, binary_frame, deflated_frame, text_frame
from fire22.gateways import handshake
from fire22.gateways.websocket import WebSocket

PATH: Final = "/echo"
MESSAGE_BYTES_MAX: Final = 16 << 20


class EchoWebSocket(WebSocket):
    """A connection of the server that also serves `/echo`."""

    __slots__ = ("_echoes", "_window_bits")

    paths: ClassVar[tuple[str, ...]] = (*WebSocket.paths, PATH)

    def __init__(self, **ignored: Any) -> None:
        super().__init__(**ignored)
        self._echoes = False
        self._window_bits = 0

    def _accept(self, request: handshake.Request) -> None:
        if request.path != PATH:
            super()._accept(request)
            return
        agreed = request.deflate
        self._window_bits = agreed.window_bits if agreed else 0
        self._parser = (DeflateFrameParser if agreed else FrameParser)(MESSAGE_BYTES_MAX)
        self.write(handshake.accept(request, None, agreed))
        self._echoes = True

    def _has_said_enough(self) -> bool:
        return not self._echoes and super()._has_said_enough()

    def _receive_message(self, payload: str | bytes) -> Command | None:
        if not self._echoes:
            return super()._receive_message(payload)
        opcode = Opcode.TEXT if isinstance(payload, str) else Opcode.BINARY
        data = payload.encode() if isinstance(payload, str) else payload
        if self._window_bits:
            self.write(deflated_frame(opcode, deflate(data, self._window_bits)))
        else:
            self.write(text_frame(data) if opcode is Opcode.TEXT else binary_frame(data))
        return None

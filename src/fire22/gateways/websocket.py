"""The WebSocket gateway: one small protocol object for each connection, behind uvicorn's own HTTP port.

uvicorn builds the object when a request asks for the upgrade, hands it the transport and the request's bytes, and is
out of the way from then on. The object is also the hub's Subscriber, so an idle connection is this object, its parser
and its transport, and nothing else.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

from fire22.core import codes
from fire22.core.codes import Close as CloseCode
from fire22.core.command import Command, CommandError, parse_binary_command, parse_command
from fire22.core.deflate import WINDOW_BITS_MAX
from fire22.core.errors import AuthError, Fire22Error, RequestError
from fire22.core.frames import (
    Binary,
    Close,
    DeflateFrameParser,
    FrameError,
    FrameParser,
    Ping,
    Text,
    close_frame,
    may_be_sent,
    pong_frame,
)
from fire22.core.message import encode_json
from fire22.gateways import handshake
from fire22.gateways.errors import as_message, close_code, http_status
from fire22.gateways.sign_in import token_of
from fire22.gateways.tcp import TcpConnection
from fire22.hub.codec import DEFLATED, JSON_BATCH, MSGPACK_BATCH, PLAIN, Codec
from fire22.security.client_certificate import ClientCertificate
from fire22.security.principal import Principal
from fire22.security.tokens import KeyUnknown

# Before anybody is known: bytes of a message, also when inflated (a token is smaller), and frames of any kind.
AUTH_BYTES_MAX: Final = 8_192
AUTH_FRAMES_MAX: Final = 32
_CODECS: Final[dict[str, Codec]] = {
    handshake.PLAIN: PLAIN,
    handshake.JSON_BATCH: JSON_BATCH,
    handshake.MSGPACK_BATCH: MSGPACK_BATCH,
}


class WebSocket(TcpConnection):
    """One connection."""

    __slots__ = ("_certificate", "_heard", "_is_secure", "_parser")

    transport = "websocket"
    paths: ClassVar[tuple[str, ...]] = ("/v1/ws",)

    def __init__(self, app_state: Mapping[str, Any] | None = None, **_: Any) -> None:
        super().__init__()
        state = app_state or {}  # what the HTTP connection has found out
        self._peer = state.get("address", "")
        self._is_secure = state.get("scheme") == "https"
        self._certificate: ClientCertificate | None = state.get("certificate")
        self._parser: FrameParser | None = None
        self._heard = 0  # frames before anybody was known

    @property
    def address(self) -> str:
        """Of the client, also behind a trusted proxy."""
        return self._peer or super().address

    # Opening.

    def _open(self, data: bytes) -> None:
        request = handshake.read_request(data)
        why = handshake.problem(request)
        if why is not None:
            self._refuse(426, RequestError(codes.PROTOCOL_ERROR, why))
        elif request.path not in self.paths:
            self._refuse(404, RequestError(codes.NOT_FOUND, "There is no WebSocket at this address; try /v1/ws."))
        elif (refusal := self.shared.refusal()) is not None:
            self._refuse(http_status(refusal), refusal)
        else:
            self._accept(request)

    def _refuse(self, status: int, error: Fire22Error) -> None:
        self.shared.service.count(error, address=self.address, route=self.transport)
        body = encode_json(as_message(error, self.shared.service.now_ms(), kind="connection_error"))
        phrase = HTTPStatus(status).phrase
        self.write(handshake.refuse(status, phrase, body, retry_after_s=error.retry_after_s))
        self.close_transport()

    def _accept(self, request: handshake.Request) -> None:
        offered = request.subprotocols
        chosen = next((each for each in offered if each in _CODECS), None)
        if chosen is None and offered:
            known = ", ".join(_CODECS)
            self._refuse(400, RequestError(codes.SUBPROTOCOL_UNKNOWN, f"This version speaks: {known}."))
            return
        principal, failure, token, waits = None, None, None, False
        try:
            service = self.shared.service
            token = token_of(
                request.headers,
                safe=False,
                secure=self._is_secure,
                offered=request.offered_token,
                origins=service.network.origins,
                certificate=self._certificate,
            )
            principal = None if token is None else service.authenticate(token, self.address)
        except KeyUnknown:  # found out after the upgrade: commands wait until the issuer of its key has been asked
            waits = True
        except AuthError as error:  # told after the upgrade: no page sees the answer to a handshake
            failure = error
        excess = self.shared.excess(principal, self.address)
        if excess is not None:
            self._refuse(429, excess)
            return
        self._upgrade(request, chosen)
        self.enter(principal, self.address, failure)
        if token is not None and waits:
            self.authenticate(token)

    def _upgrade(self, request: handshake.Request, chosen: str | None) -> None:
        """Answer the handshake; from here on frames are spoken."""
        codec = _CODECS[chosen] if chosen else PLAIN
        deflate = request.deflate if self.shared.service.limits.compression else None
        # Shared bytes have the full window; who wants a smaller one gets messages as they are, which is allowed.
        shares = deflate is not None and deflate.window_bits == WINDOW_BITS_MAX
        self.codec = DEFLATED[codec.name] if shares else codec
        parser = FrameParser if deflate is None else DeflateFrameParser
        self._parser = parser(AUTH_BYTES_MAX)
        self.set_limits()
        self.write(handshake.accept(request, chosen, deflate))

    def _become(self, principal: Principal) -> None:
        """Who is known may send larger messages."""
        super()._become(principal)
        if self._parser is not None:
            self._parser.allow(self.shared.service.limits.message_bytes_max)

    # Frames.

    def receive(self, data: bytes) -> None:
        """The request first, then frames."""
        if self._parser is None:
            self._open(data)
        else:
            self.read(self._commands(self._parser, data))

    def _commands(self, parser: FrameParser, data: bytes) -> Iterator[Command | None]:
        """The commands of a chunk; None for each frame that is none."""
        try:
            for incoming in parser.pieces(data):
                if self.is_ending or (self.principal is None and self._has_said_enough()):
                    return
                if isinstance(incoming, Text | Binary):
                    yield self._receive_message(incoming.payload)
                    continue
                if isinstance(incoming, Ping):
                    self.write(pong_frame(incoming.payload))
                elif isinstance(incoming, Close):
                    self._answer_close(incoming)
                yield None
        except FrameError as error:
            self.shared.service.count(error)
            self._end(error.close_code, error.message)
            self.silence()

    def _has_said_enough(self) -> bool:
        """End a connection that says much, and not who it is: nobody unknown may make the server work."""
        self._heard += 1
        if self._heard <= AUTH_FRAMES_MAX:
            return False
        self._end(CloseCode.POLICY, f"before auth a connection sends at most {AUTH_FRAMES_MAX} frames")
        self.silence()
        return True

    def _receive_message(self, payload: str | bytes) -> Command | None:
        """The command in a message; what is none is answered."""
        try:
            return parse_command(payload) if isinstance(payload, str) else parse_binary_command(payload)
        except CommandError as error:
            self.refuse_input(error, error.id)
            return None

    # Ends.

    def close(self, error: Fire22Error) -> None:
        """With the close code of the error."""
        self._end(close_code(error), error.code.name)

    def _answer_close(self, incoming: Close) -> None:
        code = incoming.code if incoming.code is not None and may_be_sent(incoming.code) else CloseCode.NORMAL
        self._end(code, "")
        self.silence()

    def _end(self, code: int, reason: str) -> None:
        self.write(close_frame(code, reason.encode()[:120].decode(errors="ignore")))
        self.close_transport()

"""uvicorn's HTTP protocol, with limits to what a request may bring before anybody knows who asks.

A request is judged while its head arrives: its size, its one `Host`, the body that it announces against the limit of
its route. A body of more than UNKNOWN_BYTES_MAX needs a token that is good. What is refused is answered, in its order,
the sending side is closed, and what still comes is dropped for a second: closed at once, the connection would be reset,
and the client would not see why.
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar, Final
from urllib.parse import unquote

import httptools
from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fire22.core import codes
from fire22.core.errors import AuthError, RequestError
from fire22.core.message import encode_json
from fire22.gateways import handshake
from fire22.gateways.deadlines import Deadlines
from fire22.gateways.errors import as_message, http_status
from fire22.gateways.http.route import ANYBODY, Route
from fire22.gateways.service import Service
from fire22.gateways.sign_in import token_of
from fire22.security.client_certificate import ClientCertificate, shown_by
from fire22.security.tokens import KeyUnknown

HEAD_BYTES_MAX: Final = 16_384
URL_BYTES_MAX: Final = 8_192
UNKNOWN_BYTES_MAX: Final = 8_192  # of a body whose sender is not known, or that its route does not take
UNKNOWN_TOTAL_BYTES_MAX: Final = 16 << 20  # of all heads and bodies whose senders are not known
PIPELINED_MAX: Final = 8
DISCARD_S: Final = 1.0
_SLICE_BYTES: Final = 16_384
_HOST: Final = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]{1,255}")


class Front(Struct):
    """What the HTTP connections of a server share.

    Args:
        row: the route of a method and a path; None where there is none.
        unknown_bytes: held of requests whose senders are not known.
    """

    service: Service
    row: Callable[[str, str], Route | None]
    unfinished: Deadlines["HttpProtocol"]
    unknown_bytes: int = 0


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection. `front` is set on the class that is handed to uvicorn.

    A request is waited for from the connection's first moment, and again from the first byte of each further one. Bytes
    that trickle in give it no more time. Between two requests uvicorn's own keep-alive time-out holds.
    """

    front: ClassVar[Front]
    claimed: tuple[str, int] | None = None  # the client as a PROXY header names it; an empty address is the peer's own
    _in_head = True  # the head of a request has not come whole
    _head_bytes = 0  # of its fields so far
    _raw_bytes = 0  # of it so far, also of a field that the parser has not told yet
    _body_bytes = 0  # of the request so far
    _body_bytes_max = 0
    _is_known = False
    _held = 0  # in `front.unknown_bytes`
    _refusal: RequestError | AuthError | None = None
    _has_refused = False
    _certificate: ClientCertificate | None = None
    _address = ""  # of the client of the request so far

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._certificate = shown_by(transport.get_extra_info("ssl_object"))
        if self.claimed is not None and self.claimed[0]:
            self.client = self.claimed
        self.front.unfinished.add(self, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self.front.unfinished.remove(self)
        self._release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Part of a request, or of what a parser passes over before one."""
        if self.cycle is None or self.cycle.response_complete:
            self.front.unfinished.add(self, self.loop.time())
        self._unset_keepalive_if_required()
        for start in range(0, len(data), _SLICE_BYTES):
            if self._refusal is not None or self.transport.is_closing():
                return  # dropped
            piece = data[start : start + _SLICE_BYTES]
            if self._in_head and not self._count_head(len(piece)):
                return
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                if self._refusal is None:
                    self._upgrade()
                return
            except httptools.HttpParserError:
                self._refuse(RequestError(codes.PROTOCOL_ERROR, "This is not a request in HTTP/1.1."))
                return

    def _upgrade(self) -> None:
        self._release()
        if self._should_upgrade():
            self.handle_websocket_upgrade()
        else:
            self._refuse(RequestError(codes.PROTOCOL_ERROR, "Only an upgrade to a WebSocket is known here."))

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, and let go of the parser.

        It holds this object and this object holds it: without that a crowd that connects would leave the garbage
        collector something to find for each connection.
        """
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins, perhaps while the one before it is being answered."""
        self.front.unfinished.add(self, self.loop.time())
        self._in_head = True
        self._head_bytes = self._raw_bytes = self._body_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Part of the address."""
        super().on_url(url)
        self._head_bytes += len(url)
        if len(self.url) > URL_BYTES_MAX:
            self._refuse(RequestError(codes.URL_TOO_LONG, f"An address has at most {URL_BYTES_MAX} bytes."))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head."""
        if self._refusal is None:
            self._head_bytes += len(name) + len(value) + 4
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse_head()
            else:
                super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Judge the request by its head."""
        self._in_head = False
        if self._refusal is not None:
            return
        refusal = self._see() or self._judge()
        if refusal is not None:
            self._refuse(refusal)
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        if self._refusal is not None:
            return
        self._body_bytes += len(body)
        if self._body_bytes > self._body_bytes_max:
            self._refuse(self._too_large())
        elif self._is_known or self._hold(len(body)):
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole; one that asks for an upgrade too."""
        if self._refusal is None:
            self.front.unfinished.remove(self)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is written: the next request's turn, or that of what is said before the end."""
        if not self.pipeline:
            self._release()
        super().on_response_complete()
        if self._refusal is not None and not self._is_answering():
            self._write_refusal(self._refusal)

    # What is judged.

    def _see(self) -> AuthError | None:
        """Find out where a request comes from; why it may not come from there, or None."""
        network = self.front.service.network
        headers: dict[str, str] = {}
        for raw, value in self.headers:
            name, text = raw.decode("latin-1"), value.decode("latin-1")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        host, port = self.client or ("", 0)
        seen = network.see(host, headers, proxied=self.claimed is not None)
        self._address = seen.address
        self.scope["client"] = (seen.address, port if seen.address == host else 0)
        self.scope["scheme"] = seen.scheme or self.scheme or "http"
        self.scope["state"] = {"is_operator": seen.is_operator, "certificate": self._certificate}
        # For the WebSocket, where the connection becomes one.
        self.app_state = {
            "address": seen.address,
            "scheme": self.scope["scheme"],
            "certificate": self._certificate,
        }
        return network.refusal(seen.address)

    def _judge(self) -> RequestError | AuthError | None:
        """Why a request is refused by its head; None where it is not."""
        hosts = [value for name, value in self.headers if name == b"host"]
        version = self.parser.get_http_version()
        if len(hosts) != 1 and (hosts or version != "1.0"):
            return RequestError(codes.PROTOCOL_ERROR, "A request names exactly one Host.")
        if hosts and not _HOST.fullmatch(hosts[0]):
            return RequestError(codes.PROTOCOL_ERROR, "The Host is no name or address.")
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (codings != [b"chunked"] or version == "1.0"):
            return RequestError(codes.PROTOCOL_ERROR, "The only transfer coding is chunked.")
        if self._is_answering():
            if self.parser.should_upgrade():
                return RequestError(codes.PROTOCOL_ERROR, "An upgrade does not come behind an unanswered request.")
            if len(self.pipeline) + 1 >= PIPELINED_MAX:
                return RequestError(codes.OVERLOADED, f"At most {PIPELINED_MAX} requests wait for an answer.")
        return self._judge_body()

    def _judge_body(self) -> RequestError | AuthError | None:
        """Hold what is announced of a body to what its route and its sender may bring."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}
        length = headers.get("content-length", "0")
        announced = int(length) if length.isdecimal() else 0
        self._is_known = False
        self._body_bytes_max = UNKNOWN_BYTES_MAX
        if announced <= UNKNOWN_BYTES_MAX and "transfer-encoding" not in headers:
            return None
        path = unquote(self.url.partition(b"?")[0].decode("latin-1"))
        row = self.front.row(self.parser.get_method().decode("latin-1"), path)
        if row is not None:
            self._body_bytes_max = max(UNKNOWN_BYTES_MAX, row.body_bytes_max)
        if announced > self._body_bytes_max:
            return self._too_large()
        if row is None or row.who == ANYBODY:
            return None
        try:
            token = token_of(
                headers,
                safe=not row.is_changing,
                secure=self.scope["scheme"] == "https",
                origins=self.front.service.network.origins,
                certificate=self._certificate,
            )
            self.front.service.authenticate(token, self._address)
            self._is_known = True
        except KeyUnknown:  # its issuer is asked when the request is handled
            return None
        except (AuthError, RequestError) as error:
            self._body_bytes_max = UNKNOWN_BYTES_MAX
            return error if announced > UNKNOWN_BYTES_MAX else None
        return None

    def _too_large(self) -> RequestError:
        message = f"The body is larger than {self._body_bytes_max} bytes."
        return RequestError(codes.MESSAGE_TOO_LARGE, message)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # What is held.

    def _count_head(self, size: int) -> bool:
        """Count bytes of a head; whether there is room for them."""
        self._raw_bytes += size
        if self._raw_bytes > HEAD_BYTES_MAX + _SLICE_BYTES:
            self._refuse_head()
            return False
        return self._hold(size)

    def _hold(self, size: int) -> bool:
        """Count bytes of somebody unknown; whether there is room for them."""
        front = self.front
        if front.unknown_bytes + size > UNKNOWN_TOTAL_BYTES_MAX:
            message = "Too much is being sent by clients that are not known yet."
            self._refuse(RequestError(codes.OVERLOADED, message, retry_after_s=2))
            return False
        front.unknown_bytes += size
        self._held += size
        return True

    def _release(self) -> None:
        self.front.unknown_bytes -= self._held
        self._held = 0

    # How it is refused.

    def _refuse_head(self) -> None:
        message = f"The head of a request has at most {HEAD_BYTES_MAX} bytes."
        self._refuse(RequestError(codes.HEAD_TOO_LARGE, message))

    def _refuse(self, error: RequestError | AuthError) -> None:
        """Answer with an error behind what is being answered, and end the connection."""
        if self._refusal is not None:
            return
        self._refusal = error
        self.front.service.count(error, address=self._address or (self.client or ("", 0))[0], route="http")
        self.front.unfinished.remove(self)
        if self._is_answering() and self.cycle.more_body:
            self._abandon()
        if not self._is_answering() or self.cycle.disconnected:
            self._write_refusal(error)

    def _abandon(self) -> None:
        """Tell the handler of a request whose body does not come whole that the client has gone."""
        if self.pipeline or self.cycle.response_started:  # no answer could come in its order
            self.transport.abort()
            return
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _write_refusal(self, error: RequestError | AuthError) -> None:
        transport = self.transport
        if self._has_refused or transport.is_closing():
            return
        self._has_refused = True
        self._unset_keepalive_if_required()
        status = http_status(error)
        body = encode_json(as_message(error, self.front.service.now_ms()))
        phrase = HTTPStatus(status).phrase
        transport.write(handshake.refuse(status, phrase, body, retry_after_s=error.retry_after_s))
        if not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(DISCARD_S, transport.abort)


def end_unfinished(unfinished: Deadlines[HttpProtocol], now_s: float) -> None:
    """Close the connections whose request has not arrived in time."""
    for protocol in unfinished.late(now_s):
        protocol.transport.abort()

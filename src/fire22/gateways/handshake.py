"""The WebSocket opening handshake (RFC 6455 section 4.2), from the bytes of the request."""

from collections.abc import Mapping

from msgspec import Struct

from fire22.core.deflate import Deflate, negotiate
from fire22.core.frames import accept_key

BEARER = "fire22.bearer."
PLAIN = "fire22.v1.plain"
JSON_BATCH = "fire22.v1.json"
MSGPACK_BATCH = "fire22.v1.msgpack"


class Request(Struct, frozen=True):
    """An upgrade request. Header names are lower case; repeated ones are joined by a comma."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """What the client offers to speak."""
        return tuple(each for each in self._offered if not each.startswith(BEARER))

    @property
    def offered_token(self) -> str | None:
        """The token among the subprotocols, where a browser has to put it."""
        return next((each.removeprefix(BEARER) for each in self._offered if each.startswith(BEARER)), None)

    @property
    def _offered(self) -> tuple[str, ...]:
        offered = self.headers.get("sec-websocket-protocol", "")
        return tuple(each.strip() for each in offered.split(",") if each.strip())

    @property
    def deflate(self) -> Deflate | None:
        """Compression that the client offers and that can be served."""
        return negotiate(self.headers.get("sec-websocket-extensions", ""))


def read_request(data: bytes) -> Request:
    """Read the head of a request that an HTTP parser has already accepted."""
    head, *lines = data.decode("latin-1").split("\r\n")
    method, target, _ = head.split(" ", 2)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            name = name.strip().lower()
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return Request(method, target.partition("?")[0], headers)


def problem(request: Request) -> str | None:
    """What is wrong with the handshake, or None (RFC 6455 section 4.2.1)."""
    headers = request.headers
    if request.method != "GET":
        return "A WebSocket is opened with GET."
    if headers.get("sec-websocket-version") != "13":
        return "Only WebSocket version 13 is spoken here."
    if len(headers.get("sec-websocket-key", "")) != 24:
        return "The header Sec-WebSocket-Key is missing or wrong."
    return None


def accept(request: Request, subprotocol: str | None, deflate: Deflate | None) -> bytes:
    """The response that opens the connection."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_key(request.headers["sec-websocket-key"].encode()),
    ]
    if subprotocol is not None:
        lines.append(b"Sec-WebSocket-Protocol: " + subprotocol.encode())
    if deflate is not None:
        lines.append(b"Sec-WebSocket-Extensions: " + deflate.response.encode())
    return b"\r\n".join(lines) + b"\r\n\r\n"


def refuse(status: int, reason: str, body: bytes, *, retry_after_s: float | None = None) -> bytes:
    """The response that does not."""
    lines = [
        f"HTTP/1.1 {status} {reason}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if status == 426:
        lines.append("Sec-WebSocket-Version: 13")
    if retry_after_s is not None:
        lines.append(f"Retry-After: {max(1, round(retry_after_s))}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

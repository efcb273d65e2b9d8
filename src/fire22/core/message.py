"""Messages: what a client sees.

Field names are the product's public ones (PROTOCOL.md, "Message"), in JSON and in MessagePack.
"""

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import Struct

MessageType = Literal[
    "tick",
    "update",
    "alert",
    "notification",
    "error",
    "kpi_update",
    "wager_update",
    "activity_update",
    "connection_error",
    "reply",
]
PriorityName = Literal["low", "normal", "high", "critical"]
PRIORITY_NAMES: Final[tuple[PriorityName, ...]] = ("low", "normal", "high", "critical")

if TYPE_CHECKING:
    Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
else:
    Json = Any  # msgspec reads recursive types only as Any


class Message(Struct, frozen=True, omit_defaults=True):
    """One message as a client receives it.

    Args:
        type: a MessageType; a client passes on one that a newer server has added.
        timestamp: RFC 3339 UTC with milliseconds.
        data: the payload; a merge patch where `patch` is true.
        target: the topic, or `user:<kind>:<id>`, `client:<id>`; absent means everyone.
        priority: absent means normal.
        scope: the scope subscribed to.
        key: the document of a view that has many.
        offset: absent on replies, ticks and ephemeral topics.
        patch: whether `data` is an RFC 7396 merge patch on this document as of offset `base`.
        base: see `patch`.
        id: of the command that a reply or an error answers.
        code: of an error; with `message`, `retryAfter` and `details` beside it and again in `data`.
    """

    type: str
    timestamp: str
    data: Json = None
    target: str | None = None
    priority: PriorityName = "normal"
    scope: str | None = None
    key: str | None = None
    offset: int | None = None
    patch: bool = False
    base: int | None = None
    id: int | None = None
    code: str | None = None
    message: str | None = None
    retryAfter: float | None = None
    details: dict[str, Json] | None = None


_json: Final = msgspec.json.Encoder()
_msgpack: Final = msgspec.msgpack.Encoder()
_json_one: Final = msgspec.json.Decoder(Message)
_json_many: Final = msgspec.json.Decoder(list[Message])
_msgpack_many: Final = msgspec.msgpack.Decoder(list[Message])
_quote: Final = msgspec.json.encode


def encode_json(message: Message) -> bytes:
    """One message as JSON."""
    return _json.encode(message)


def encode_msgpack(messages: list[Message]) -> bytes:
    """Messages as one MessagePack array."""
    return _msgpack.encode(messages)


def decode_json(body: bytes | str) -> list[Message]:
    """Read a frame of either JSON mode: one message or an array of them.

    Raises:
        msgspec.DecodeError: not JSON, or not a message.
    """
    text = body.lstrip()
    array = text[:1] in (b"[", "[")
    return _json_many.decode(body) if array else [_json_one.decode(body)]


def decode_msgpack(body: bytes) -> list[Message]:
    """Read a frame of the MessagePack mode.

    Raises:
        msgspec.DecodeError: not MessagePack, or not an array of messages.
    """
    return _msgpack_many.decode(body)


def error_message(
    kind: Literal["error", "connection_error"],
    timestamp: str,
    code: str,
    text: str,
    *,
    id: int | None = None,
    retry_after_s: float | None = None,
    details: dict[str, Json] | None = None,
    target: str | None = None,
    scope: str | None = None,
) -> Message:
    """The one shape of errors: flat, and again in `data` as every message has it.

    Args:
        target: with `scope`: the subscription that has ended; absent where the error is about something else.
    """
    data: dict[str, Json] = {"code": code, "message": text}
    if retry_after_s is not None:
        data["retryAfter"] = retry_after_s
    if details:
        data["details"] = details
    return Message(
        kind,
        timestamp,
        data,
        target,
        scope=scope,
        id=id,
        code=code,
        message=text,
        retryAfter=retry_after_s,
        details=details or None,
    )


def stream_head(type: str, timestamp: str) -> bytes:
    """The bytes of a message up to its data; `stream_tail` closes it.

    Finished messages are joined from ready parts in the live path, since the payload is encoded once for all lanes.
    """
    return b'{"type":"%b","timestamp":"%b","data":' % (type.encode(), timestamp.encode())


def message_tail(
    target: str,
    scope: str,
    offset: int,
    *,
    key: str = "",
    priority: int = 1,
    base: int | None = None,
) -> bytes:
    """The bytes of a message after its data; an empty `target` is everyone, an empty `scope` none."""
    parts: list[bytes] = []
    if target:
        parts += [b',"target":', _quote(target)]
    if priority != 1:
        parts.append(b',"priority":"%b"' % PRIORITY_NAMES[priority].encode())
    if scope:
        parts += [b',"scope":', _quote(scope)]
    if key:
        parts += [b',"key":', _quote(key)]
    parts.append(b',"offset":%d' % offset)
    if base is not None:
        parts.append(b',"patch":true,"base":%d' % base)
    parts.append(b"}")
    return b"".join(parts)

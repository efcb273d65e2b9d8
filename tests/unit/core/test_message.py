"""Messages: the same in JSON, in MessagePack, and where they are joined from ready parts."""

import msgspec
import pytest

from fire22.core.message import (
    PRIORITY_NAMES,
    Json,
    Message,
    decode_json,
    decode_msgpack,
    encode_json,
    encode_msgpack,
    error_message,
    message_tail,
    stream_head,
)

AT = "2026-01-31T12:00:00.250Z"
MESSAGES = [
    Message("tick", AT, {"position": "1f0c9a2b-5", "time": AT, "watermark": AT}),
    Message("update", AT, None, target="bench", scope="/", offset=1),
    Message("update", AT, [1, 2.5, "é\u2028", False], target="user:7"),
    Message("alert", AT, {"a": {"b": []}}, target="bench", priority="critical", scope="/M1", offset=2**53),
    Message("kpi_update", AT, {"revenue": -10.25}, "kpi", "normal", "/M1", "", 7, True, 5),
    Message("a type of a newer server", AT, 1),
    error_message("error", AT, "overloaded", "Later.", id=3, retry_after_s=0.5, details={"a": 1}),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_json(message: Message) -> None:
    """What the server writes is what a client reads, alone or in an array."""
    body = encode_json(message)
    assert decode_json(body) == [message]
    assert decode_json(body.decode()) == [message]
    assert decode_json(b" [" + body + b"," + body + b"]") == [message, message]


def test_msgpack() -> None:
    """The same in MessagePack."""
    assert decode_msgpack(encode_msgpack(MESSAGES)) == MESSAGES


def test_absent_is_not_sent() -> None:
    """Fields that say nothing take no bytes."""
    assert encode_json(Message("reply", AT, {}, id=1)) == b'{"type":"reply","timestamp":"%b","data":{},"id":1}' % (
        AT.encode()
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"5", b'{"type":1}', b'{"type":"tick"}', b"\xff", b"[{}]"])
def test_nonsense(body: bytes) -> None:
    """A frame that holds no message is told from one that does."""
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_json(body)


@pytest.mark.parametrize("priority", range(4))
@pytest.mark.parametrize("key", ["", 'k"é'])
@pytest.mark.parametrize("base", [None, 0, 3])
def test_joined_bytes(priority: int, key: str, base: int | None) -> None:
    """A message joined from ready parts in the live path is the one that the encoder would have written."""
    data: Json = {"a": [1, "x"], "é": None}
    joined = (
        stream_head("wager_update", AT)
        + msgspec.json.encode(data)
        + message_tail("wagers", '/M"1', 12, key=key, priority=priority, base=base)
    )
    [decoded] = decode_json(joined)
    expected = Message(
        "wager_update",
        AT,
        data,
        target="wagers",
        priority=PRIORITY_NAMES[priority],
        scope='/M"1',
        key=key or None,
        offset=12,
        patch=base is not None,
        base=base,
    )
    assert decoded == expected
    assert joined == encode_json(expected)

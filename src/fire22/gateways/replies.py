"""The bytes of replies to commands, the same on every transport."""

import msgspec
from msgspec import Raw

from fire22.core.position import Position
from fire22.core.times import to_text
from fire22.gateways.rates import Left
from fire22.gateways.service import Follow
from fire22.hub.base import Page


def subscribed(follow: Follow, position: Position, snapshot: Page | None, complete_ms: int | None) -> bytes:
    """The `data` of the reply to a subscription.

    Args:
        position: of the snapshot; of the live edge where what was missed follows.
        snapshot: None where what was missed follows.
        complete_ms: up to which watermark all facts are in the snapshot, where that is known.
    """
    resumed = follow.resumed
    data: dict[str, object] = {
        "position": str(position),
        "kind": follow.topic.kind.value,
        "recovered": resumed is not None and resumed.recovered,
    }
    if resumed is not None and resumed.reason:
        data["reason"] = resumed.reason
    if resumed is not None and resumed.lost:
        data["lost"] = {"from": resumed.lost[0], "to": resumed.lost[1]}
    if complete_ms is not None:
        data["watermark"] = to_text(complete_ms)
    if snapshot is not None:
        data["snapshot"] = Raw(b"[%b]" % snapshot.messages)
    return msgspec.json.encode(data)


def page_data(page: Page) -> bytes:
    """The `data` of the reply to a history command."""
    before = b',"before":%d' % page.below if page.below else b""
    return b'{"messages":[%b]%b}' % (page.messages, before)


def reply(id: int, now_ms: int, data: bytes, left: Left | None = None) -> bytes:
    """A reply to a command; `data` is JSON.

    Args:
        left: what may still be used; said when it is less than half.
    """
    said = b""
    if left is not None and left.units * 2 < left.units_max:
        limit = {"name": left.name, "remaining": left.units, "reset": left.reset_s}
        said = b',"limit":%b' % msgspec.json.encode(limit)
    return b'{"type":"reply","timestamp":"%b","data":%b,"id":%d%b}' % (to_text(now_ms).encode(), data, id, said)

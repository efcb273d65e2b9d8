"""Ticks: what ends a flush and keeps a connection alive. They hold the position, the time and the watermark."""

from collections.abc import Callable, Sequence

from fire22.core.message import Json, Message, encode_json
from fire22.core.position import Position
from fire22.core.times import to_text
from fire22.hub.base import Subscriber
from fire22.hub.codec import Codec
from fire22.hub.edge import LiveEdge
from fire22.hub.lane import Lane, Skipped


class Ticks:
    """Makes ticks; one is encoded once for all who get the same.

    Args:
        epoch: of the feed.
        now_ms: the wall clock.

    Attributes:
        problem: the code of what keeps the feed from going on; empty where nothing does.
    """

    def __init__(self, epoch: str, edge: LiveEdge, now_ms: Callable[[], int]) -> None:
        self.problem = ""
        self._epoch = epoch
        self._edge = edge
        self._now_ms = now_ms
        self._newest = b""  # the newest tick without `skipped`, and of what it was made
        self._newest_of: tuple[object, ...] = ()
        self._newest_packed: dict[str, bytes] = {}  # by codec

    def position(self, offset: int) -> Position:
        """The position of an offset in this feed."""
        return Position(self._epoch, offset)

    def packed(
        self, codec: Codec, offset: int, lanes: tuple[Lane, ...] | None, skipped: list[Skipped] | None = None
    ) -> bytes:
        """The bytes of a tick; see `message`."""
        message = self.message(offset, lanes, skipped)
        if skipped:
            return codec.tick(message, str(self.position(offset)))
        packed = self._newest_packed.get(codec.name)
        if packed is None:
            packed = self._newest_packed[codec.name] = codec.tick(message, str(self.position(offset)))
        return packed

    def message(self, offset: int, lanes: tuple[Lane, ...] | None, skipped: list[Skipped] | None = None) -> bytes:
        """A tick.

        Args:
            lanes: of the connections; None where one is behind, so that it is not known how old is what it has.
            skipped: what its lossy lanes have left out since the last one.
        """
        edge, now_ms = self._edge, self._now_ms()
        if skipped:
            return self._encoded(offset, now_ms, {} if lanes is None else self._complete(lanes), skipped)
        # Those for whom something waits are few at a time; the others share theirs.
        complete = None if lanes is None else edge.watermark_ms if edge.is_complete else self._complete(lanes)
        of = (offset, now_ms, self.problem, complete)
        if self._newest_of != of:
            complete = {} if lanes is None else self._complete(lanes)
            self._newest_of, self._newest_packed = of, {}
            self._newest = self._encoded(offset, now_ms, complete, ())
        return self._newest

    def _encoded(self, offset: int, now_ms: int, complete: dict[str, Json], skipped: Sequence[Skipped]) -> bytes:
        now = to_text(now_ms)
        data: dict[str, Json] = {"position": str(self.position(offset)), "time": now, **complete}
        if self.problem:
            data["problem"] = self.problem
        if skipped:
            data["skipped"] = [
                {"target": each.target, "scope": each.scope, "from": each.first, "to": each.last, "count": each.count}
                for each in skipped
            ]
        return encode_json(Message("tick", now, data))

    def freshness(self, subscriber: Subscriber) -> dict[str, Json]:
        """What a connection is answered that asks between two ticks."""
        found: dict[str, Json] = {"time": to_text(self._now_ms())}
        if subscriber.cohort is not None:
            found |= self._complete(subscriber.cohort.lanes)
        return found | ({"problem": self.problem} if self.problem else {})

    def _complete(self, lanes: tuple[Lane, ...]) -> dict[str, Json]:
        """Up to when everything is complete that these lanes show, and where it is not so far as the sources are read.

        Args:
            lanes: none of them behind what it has been written.
        """
        edge, known = self._edge, self._edge.watermark_ms
        if edge.is_complete:
            return {"watermark": to_text(known)}
        late: list[Json] = []
        least = known
        for lane in lanes:
            topic, scope = lane.key.topic, lane.key.scope
            complete = edge.complete_ms(topic, scope) if lane.written_to is None else lane.complete_ms
            if complete < known:
                least = min(least, complete)
                late.append({"target": topic, "scope": scope, "watermark": to_text(complete)})
        found: dict[str, Json] = {"watermark": to_text(least)}
        if late:
            found |= {"readTo": to_text(known), "late": late}
        return found

"""All lanes that somebody follows, and which of them a message reaches."""

from collections.abc import Iterable, Iterator

from fire22.core.scope import ancestors
from fire22.feed.base import Record
from fire22.hub.base import LaneKey
from fire22.hub.codec import Codec
from fire22.hub.edge import LiveEdge
from fire22.hub.encoding import Item
from fire22.hub.index import LaneIndex
from fire22.hub.lane import Lane


class Lanes:
    """Lanes by key, and indexed by (topic, scope).

    Args:
        topics: the names of all there are.
    """

    def __init__(self, topics: Iterable[str], edge: LiveEdge) -> None:
        self._edge = edge
        self._by_key: dict[LaneKey, Lane] = {}
        self._index: dict[str, dict[str, LaneIndex]] = {topic: {} for topic in topics}
        self._newest_number = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def take(self, key: LaneKey, codec: Codec) -> Lane:
        """The lane of a key, with one follower more."""
        lane = self._by_key.get(key)
        if lane is None:
            self._newest_number += 1
            lane = self._by_key[key] = Lane(key, codec, self._newest_number)
            self._index[key.topic].setdefault(key.scope, LaneIndex()).add(lane)
        lane.followers += 1
        return lane

    def release(self, lane: Lane) -> None:
        """One follower less; a lane that nobody follows is gone."""
        lane.followers -= 1
        if not lane.followers:
            del self._by_key[lane.key]
            self._edge.held.pop(lane, None)
            by_scope = self._index[lane.key.topic]
            index = by_scope[lane.key.scope]
            index.remove(lane)
            if not index:
                del by_scope[lane.key.scope]

    def of_view(self, topic: str, scope: str) -> Iterable[Lane]:
        """The lanes of a view's scope, whatever their filters."""
        return self._index[topic].get(scope, ())

    def reached(self, item: Item) -> Iterator[Lane]:
        """The lanes that a stream's message reaches."""
        for scope in ancestors(item.entry.path):
            index = self._index[item.topic].get(scope)
            if index is not None:
                yield from index.open
                yield from index.passing(item)

    def collect(self, record: Record, dirty: dict[Lane, None]) -> None:
        """Put a stream's messages into the lanes that they reach, and note these in `dirty`."""
        by_scope = self._index[record.topic]
        if not by_scope:
            return
        for offset, entry in enumerate(record.entries, start=record.offset):
            if entry.target:
                continue
            item: Item | None = None
            for scope in ancestors(entry.path):
                index = by_scope.get(scope)
                if index is None:
                    continue
                item = item or Item(offset, record.topic, entry)
                for lane in index.open:
                    lane.items.append(item)
                    dirty[lane] = None
                if index.filters:
                    for lane in index.passing(item):
                        lane.items.append(item)
                        dirty[lane] = None

"""The live edge: up to where live connections have been written to, and how complete that is.

A lane has been written up to the edge, unless it holds something back (`max_rate_hz`, or the server is under load).
A connection's position never passes the offset up to which each of its lanes has been written.
"""

from collections.abc import Iterable, Mapping

from fire22.feed.base import SETTLED, Batch, Checkpoint
from fire22.hub.lane import Lane

_Scope = tuple[str, str]  # topic and scope; an empty scope is all of a topic


class LiveEdge:
    """Where the hub stands in the feed.

    Attributes:
        offset: up to which live connections have everything that is not held back.
        watermark_ms: every source has been read up to this time.
        held: the lanes that hold something back.
        flushing: whether a flush is between two of its slices.
        load: how far load is shed: 0 not at all, 1 views are written to once a second at most, 2 lossy streams are cut
            to their newest message in each flush as well.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.offset = checkpoint.offset
        self.watermark_ms = checkpoint.watermark_ms
        self.held: dict[Lane, None] = {}
        self.flushing = False
        self.load = 0
        self._late: dict[_Scope, int] = {}
        self._late_before: dict[_Scope, int] = {}  # of what the running flush changes
        self._watermark_before_ms = self.watermark_ms

    def begin(self, waiting: Mapping[_Scope, int]) -> None:
        """Take what flows have yet to publish as of the start; see `Batch.waiting`."""
        self._late = dict(waiting)

    def advance(self, batches: Iterable[Batch]) -> None:
        """Take over the offset and the watermark of these batches, and what flows have yet to publish."""
        self._watermark_before_ms, self._late_before = self.watermark_ms, {}
        for batch in batches:
            for topic, scope, since_ms in batch.waiting:
                name = (topic, scope)
                self._late_before.setdefault(name, self._late.get(name, SETTLED))
                if since_ms == SETTLED:
                    self._late.pop(name, None)
                else:
                    self._late[name] = since_ms
            self.offset = batch.offset
            self.watermark_ms = batch.watermark_ms

    # How complete what is shown is.

    @property
    def is_complete(self) -> bool:
        """Whether what every lane shows is complete up to the watermark."""
        return not self._late and not self.held

    def complete_ms(self, topic: str, scope: str) -> int:
        """Up to which watermark all facts are in what a scope of a topic shows."""
        if not self._late:
            return self.watermark_ms
        late, known = self._late, self.watermark_ms
        return min(known, late.get((topic, scope), known), late.get((topic, ""), known))

    def complete_before_ms(self, topic: str, scope: str) -> int:
        """The same before the batches of the running flush."""
        since = [self._late_before.get(name, self._late.get(name, SETTLED)) for name in ((topic, scope), (topic, ""))]
        return min([self._watermark_before_ms, *(each for each in since if each != SETTLED)])

    # Up to where lanes have been written.

    def written_to(self, lane: Lane) -> int:
        """The offset up to which a lane has been written."""
        return self.offset if lane.written_to is None else lane.written_to

    def lowest_written(self, lanes: tuple[Lane, ...]) -> int:
        """The position of who follows these lanes live."""
        if not self.held:
            return self.offset
        return min([lane.written_to for lane in lanes if lane.written_to is not None], default=self.offset)

"""Lanes and cohorts: what connections share.

A lane is (topic, scope, filter, delta, codec, rate, lossy, mask). Its new messages are encoded and framed once for each
flush. A cohort is the set of live connections that follow the same lanes; they share the joined bytes too.
"""

from collections import deque

from msgspec import Struct

from fire22.feed.base import Document
from fire22.hub.base import LaneKey, Subscriber
from fire22.hub.codec import Codec
from fire22.hub.encoding import Item

CRITICAL_MAX = 16  # critical messages of a lane that are kept for readers who are behind


class Skipped(Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """What a lossy subscription was not sent: `count` of its messages, between two offsets, both included."""

    target: str
    scope: str
    first: int
    last: int
    count: int

    def joined(self, other: "Skipped") -> "Skipped":
        """This and what was left out later, as one."""
        return Skipped(self.target, self.scope, self.first, other.last, self.count + other.count)


class Cohort:
    """Live connections of one kind that follow the same lanes."""

    __slots__ = ("codec", "idle_beats", "key", "lanes", "members")

    def __init__(self, key: "CohortKey", codec: Codec) -> None:
        self.key = key
        self.lanes = key[0]
        self.codec = codec
        self.members: dict[Subscriber, None] = {}
        self.idle_beats = 0  # calls of `Delivery.heartbeat` since something was written


CohortKey = tuple[tuple["Lane", ...], str, type[Subscriber]]


class Lane:
    """One lane: what has come since it was last written to, and the cohorts that wait for it.

    Args:
        number: in the order in which lanes were made, which is that of their messages in a flush.

    Attributes:
        items: a stream's new messages.
        changed: a view's changed documents by key, each as it was when the lane was last written to.
        written_to: while something is held back: the offset up to which all has been written; else None.
        complete_ms: while something is held back: up to which watermark all facts are in what has been written.
        written_s: when it was last written to, seconds of a steady clock.
        encoded: the messages of the flush under way.
        skipped: what a lossy lane leaves out in the flush under way.
        tick_due: whether the flush under way reaches messages that were sent early, so that a tick is due.
        sent_early: by offset, critical messages that were sent before the flush that reaches their offset.
        recent_critical: the newest critical messages, for readers who are behind; None while there was none.
    """

    __slots__ = (
        "_packed",
        "changed",
        "codec",
        "cohorts",
        "complete_ms",
        "encoded",
        "followers",
        "interval_s",
        "items",
        "key",
        "number",
        "recent_critical",
        "sent_early",
        "skipped",
        "tick_due",
        "written_s",
        "written_to",
    )

    def __init__(self, key: LaneKey, codec: Codec, number: int = 0) -> None:
        self.key = key
        self.codec = codec
        self.number = number
        self.interval_s = 1 / key.max_rate_hz if key.max_rate_hz else 0.0
        self.items: list[Item] = []
        self.changed: dict[str, Document | None] = {}
        self.cohorts: dict[Cohort, None] = {}
        self.followers = 0
        self.written_to: int | None = None
        self.complete_ms = 0
        self.written_s = float("-inf")
        self.encoded: list[bytes] = []
        self._packed = b""
        self.skipped: Skipped | None = None
        self.tick_due = False
        self.sent_early: dict[int, bytes] = {}
        self.recent_critical: deque[Item] | None = None

    @property
    def packed(self) -> bytes:
        """The frames of the encoded messages, made once for all cohorts."""
        if not self._packed:
            self._packed = self.codec.pack(self.encoded)
        return self._packed

    def end_flush(self) -> None:
        """All cohorts have been written to."""
        self.encoded, self._packed, self.skipped, self.tick_due = [], b"", None, False

    def encode_critical(self, item: Item) -> bytes:
        """A critical message as it is sent; remembered for readers who are behind."""
        if self.recent_critical is None:
            self.recent_critical = deque(maxlen=CRITICAL_MAX)
        self.recent_critical.append(item)
        return self.message(item)

    def message(self, item: Item) -> bytes:
        """A message of a stream as the lane's followers see it."""
        return item.message(self.key.scope, self.key.mask)

"""A hub that is run by hand, on a feed that is a list, and connections that keep what they are written."""

from fire22.core.errors import Fire22Error
from fire22.core.filter import parse_filter
from fire22.core.frames import ServerFrameParser, Text
from fire22.core.message import Json, Message, decode_json
from fire22.core.position import Position
from fire22.hub.base import LaneKey, Page, Recipient, Subscriber
from fire22.hub.codec import PLAIN, Codec
from fire22.hub.delivery import Delivery
from fire22.hub.history import BLOCK_RECORDS, Need, Pieces, Supply
from tests.support.memory_feed import MemoryFeed, topics

NOW_MS = 1_767_225_600_000
TOPICS = topics()
Row = tuple[str | None, Json]  # the key of a document, and its data


class Reader(Subscriber):
    """A connection that keeps what it is written."""

    def __init__(self, codec: Codec = PLAIN) -> None:
        super().__init__()
        self.codec = codec
        self.writes: list[bytes] = []
        self.full_after: int | None = None
        self.lost_position = False
        self.who: Recipient | None = None

    @property
    def recipient(self) -> Recipient | None:
        return self.who

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        if self.full_after is not None and len(self.writes) >= self.full_after:
            self.paused = True

    def fail(self, error: Fire22Error) -> None:
        """Nothing can be read: the test ends."""
        raise error

    def position_lost(self) -> None:
        self.lost_position = True

    def take(self) -> list[Message]:
        """What has been written since the last call, read as a client reads it."""
        parser = ServerFrameParser(1 << 24)
        frames = [each for each in parser.receive(b"".join(self.writes)) if isinstance(each, Text)]
        self.writes.clear()
        return [message for frame in frames for message in decode_json(frame.payload)]

    def offsets(self) -> list[int | None]:
        """The offsets of the messages written since the last call."""
        return [message.offset for message in self.take() if message.type != "tick"]

    def positions(self) -> list[int]:
        """The positions of the ticks written since the last call."""
        return [position_of(message) for message in self.take() if message.type == "tick"]


def position_of(tick: Message) -> int:
    """The offset that a tick says has come."""
    assert isinstance(tick.data, dict)
    return Position.parse(str(tick.data["position"])).offset


def key(
    topic: str,
    scope: str = "/",
    *,
    filter: dict[str, Json] | None = None,
    delta: bool = False,
    codec: Codec = PLAIN,
    max_rate_hz: float = 0.0,
    lossy: bool = False,
) -> LaneKey:
    """What a subscription asks for."""
    parsed = parse_filter(filter, TOPICS[topic].filterable, topic)
    return LaneKey(topic, scope, parsed, delta, codec.name, max_rate_hz, lossy)


def made(pieces: Pieces[Page]) -> Page:
    """A page that memory holds all of."""
    while True:
        try:
            assert next(pieces) is None
        except StopIteration as end:
            page: Page = end.value
            return page


class World:
    """A feed, and a hub that is not run by any loop."""

    def __init__(self, ring_bytes_max: int = 1 << 20, block_bytes_max: int = 32 << 20, *, by_hand: bool = True) -> None:
        self.feed = MemoryFeed(ring_bytes_max)
        self.now_s = 0.0
        self.hub = Delivery(self.feed, TOPICS, now_ms=lambda: NOW_MS, block_bytes_max=block_bytes_max)
        if by_hand:
            self.feed.on_batch(self.hub.deliver)

    def join(self, *keys: LaneKey, codec: Codec = PLAIN, at: int | None = None, who: Recipient | None = None) -> Reader:
        """A connection that follows these from the live edge, or from an offset."""
        reader = Reader(codec)
        reader.who = who
        self.hub.enter(reader)
        if who is not None:
            self.hub.identify(reader)
        for each in keys:
            self.hub.follow(reader, each, self.hub.flushed if at is None else at)
        return reader

    def wager(self, path: str = "/", **data: Json) -> None:
        """One wager in a commit group of its own."""
        self.feed.say("wagers", path, data)
        self.feed.commit()

    def flush(self, *, after_s: float = 0.0) -> None:
        """A whole flush, so much later."""
        self.now_s += after_s
        for _ in self.hub.flush(self.now_s):
            pass

    def fall_behind(self, reader: Reader) -> None:
        """A live connection becomes one that has to catch up."""
        assert reader.cohort is not None, "it is not live"
        self.hub._placement.demote(reader, reader.cohort)

    def catch_up(self, reader: Reader, upto: int = 1_000) -> list[Need]:
        """Catch a connection up; what came from storage is returned."""
        needs = []
        while reader.cursors is not None and not reader.paused and not reader.lost_position and upto:
            upto -= 1
            need = self.hub.catch_up(reader)
            if need is not None:
                needs.append(need)
                records = self.feed.stored(need.topic, need.after, need.upto, records_max=BLOCK_RECORDS)
                self.hub.catch_up(reader, Supply(need, records))
        return needs


def offsets_of(page: Page) -> list[int | None]:
    """The offsets of the messages in a page."""
    messages = decode_json(b"[%b]" % page.messages)
    assert len(messages) == page.count
    return [message.offset for message in messages]


def set_row(world: World, name: str, body: dict[str, Json] | None, scope: str = "/") -> None:
    """One document's new state, in a commit group and a flush of its own."""
    world.feed.change("desk", scope, body, key=name)
    world.feed.commit()
    world.flush()


def rows(reader: Reader) -> list[Row]:
    """The documents' messages since the last call, ticks aside."""
    return [(message.key, message.data) for message in reader.take() if message.type != "tick"]

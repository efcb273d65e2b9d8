"""Bytes on the wire: ten minutes of the demo's `kpi` and `wagers`, as subscribers of different kinds are written them.

The demo's own book, simulation, triggers, flows and hub, driven by their own clock instead of the wall's: the same ten
minutes in some seconds, and the same bytes in every run. A flush happens when `hub/loop.py` would flush. The book has
lived for five minutes before, so that bets are settled as well as placed.
"""

import tempfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Raw

from bench.report import Report, Row
from fire22.app import build_engine, convert, flow_settings
from fire22.core.errors import Fire22Error
from fire22.core.event import Event, encode_event
from fire22.core.times import to_datetime
from fire22.feed.base import Archived, Checkpoint, Document, Record
from fire22.flows.engine import CONFIGURED, Engine, configuration
from fire22.flows.horizon import CLOCK
from fire22.hub.base import LaneKey, Subscriber
from fire22.hub.codec import DEFLATED, PLAIN, Codec
from fire22.hub.delivery import Delivery
from fire22.log.base import Group
from fire22.sources.follower import Follower
from fire22.sources.sqlite import install as outbox
from fire22.sources.sqlite.reader import SqliteBook
from fire22.sportsbook.book import database, writer
from fire22.sportsbook.book.schema import book
from fire22.sportsbook.demo.create import create_demo
from fire22.sportsbook.demo.simulator import start

START_MS: Final = 1_767_275_400_000  # 13:50 UTC: the demo's day has its average rate around 14:00
WARM_S: Final = 300
RATE_HZ: Final = 20.0
CLOCK_MS: Final = 1_000
SHARE_DEFAULT: Final = 35.0
SHARE_AT_4_HZ: Final = 15.0


class _Reader(Subscriber):
    """Counts what it is written."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec
        self.bytes = 0

    def write(self, data: bytes) -> None:
        self.bytes += len(data)

    def fail(self, error: Fire22Error) -> None:
        """Nothing can be read: the test ends."""
        raise error

    def position_lost(self) -> None:
        raise AssertionError("it is always live")


class _Ws(_Reader):
    """Node ws with perMessageDeflate: true, as it is usually used: each message compressed, with context takeover,
    from 1,024 bytes on (its threshold), in a message of its own."""

    THRESHOLD: Final = 1_024

    def __init__(self) -> None:
        super().__init__(PLAIN)
        self._deflate = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -15)

    def write(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            length, head = data[at + 1], 2
            if length == 126:
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            payload = data[at + head : at + head + length]
            at += head + length
            if length >= self.THRESHOLD:
                payload = self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
            self.bytes += len(payload) + (2 if len(payload) < 126 else 4)


class _Feed:
    """A feed that nobody needs to read back: everybody is live."""

    epoch = "1f0c9a2b"
    lost = 0

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def checkpoint(self) -> Checkpoint:
        return self._engine.checkpoint

    def read_nowait(self, topic: str, after: int, upto: int, *, records_max: int) -> list[Record] | None:
        raise AssertionError("everybody is live")

    async def read(self, topic: str, after: int, upto: int, *, records_max: int) -> list[Record]:
        raise AssertionError("everybody is live")

    def back_nowait(self, topic: str, before: int) -> tuple[Iterator[Record], bool]:
        raise AssertionError("everybody is live")

    async def read_back(self, topic: str, before: int, *, records_max: int) -> list[Record]:
        raise AssertionError("everybody is live")

    def documents(self) -> list[Document]:
        return []

    async def archived(
        self,
        topic: str,
        scope: str,
        *,
        key_from: str = "",
        key_to: str | None = None,
        every_revision: bool = False,
        after: tuple[str, int] | None = None,
        limit: int,
    ) -> list[Archived]:
        raise AssertionError("everybody is live")

    def on_batch(self, deliver: object) -> None:
        raise AssertionError("batches are handed over here")


class _Demo:
    """The demo, from the book to the hub, in its own time."""

    def __init__(self, folder: Path) -> None:
        config = convert({})
        self.now_ms = START_MS
        self._interval_ms = config.hub.flush_interval_ms
        self._earliest_ms = 0.0
        self._clock_ms = START_MS
        self._engine = build_engine(())
        self._feed = _Feed(self._engine)
        self.hub = Delivery(self._feed, self._engine.topics, now_ms=lambda: self.now_ms)
        self._pending = False
        path = folder / "book.db"
        create_demo(path, seed=1, now_ms=START_MS, install=outbox.install)
        self._book = database.connect(path)
        self._simulation = start(self._book, rate_hz=RATE_HZ, seed=1, now_ms=START_MS)
        domain = book(None)
        self._reader = Follower(SqliteBook(path, domain.outbox), domain, folder, lambda _: None)
        self._reader.prepare()
        settings = Raw(configuration(self._engine.flows, flow_settings(config)))
        self._fold([Event("configured", CONFIGURED, "server", to_datetime(START_MS), settings)])
        self._take()

    def run(self, seconds: int) -> None:
        """Let so much time pass."""
        until_ms = self.now_ms + seconds * 1000
        while True:
            at_ms = min(self._simulation.next_ms, self._clock_ms)
            self._flush_until(min(at_ms, until_ms))
            if at_ms > until_ms:
                self.now_ms = until_ms
                return
            self.now_ms = max(self.now_ms, at_ms)
            if at_ms == self._clock_ms:
                self._fold([Event(f"clock:{at_ms}", CLOCK, "server", to_datetime(at_ms), Raw(b"{}"))])
                self._clock_ms += CLOCK_MS
                continue
            for changes in self._simulation.step(at_ms):
                writer.write(self._book, changes)
                self._take()

    def follow(self, reader: _Reader, *, delta: bool, max_rate_hz: float = 0.0) -> _Reader:
        """Subscribe to both topics from here on."""
        self.hub.enter(reader)
        for topic in ("kpi", "wagers"):
            patches = delta and topic == "kpi"
            key = LaneKey(topic, "/", None, patches, reader.codec.name, max_rate_hz)
            self.hub.follow(reader, key, self.hub.flushed)
        return reader

    def _take(self) -> None:
        """What the last transaction has put into the outbox: one commit group."""
        while self._reader.take():
            pass
        while facts := self._reader.facts():
            self._reader.position = facts[-1].number
            self._fold(
                [
                    Event(
                        f"book:{each.number}",
                        each.type.decode(),
                        "book",
                        datetime.fromisoformat(each.timestamp.decode()),
                        Raw(each.data),
                    )
                    for each in facts
                ]
            )

    def _fold(self, events: list[Event]) -> None:
        bodies = tuple(encode_event(event).body for event in events)
        folded = self._engine.fold_group(Group(self._engine.checkpoint.seq + 1, bodies))
        self.hub.deliver(folded.batch)
        self._pending = True

    def _flush_until(self, at_ms: float) -> None:
        """The flushes that the loop would make before `at_ms`."""
        while True:
            due_s = self.hub.due_s()
            next_ms = self._earliest_ms if self._pending else float("inf") if due_s is None else due_s * 1000
            next_ms = max(next_ms, self._earliest_ms, float(self.now_ms))
            if next_ms > at_ms or (not self._pending and due_s is None):
                return
            self.now_ms = round(next_ms)
            self._earliest_ms = next_ms + self._interval_ms
            self._pending = False
            for _ in self.hub.flush(next_ms / 1000):
                pass


def measure(*, quick: bool) -> Report:
    """Each kind of subscriber beside full JSON: whole documents and messages, one in a frame, as they are."""
    seconds = 60 if quick else 600
    with tempfile.TemporaryDirectory() as folder:
        demo = _Demo(Path(folder))
        demo.run(WARM_S)
        full = demo.follow(_Reader(PLAIN), delta=False)
        ws = demo.follow(_Ws(), delta=False)
        default = demo.follow(_Reader(DEFLATED["json"]), delta=True)
        slow = demo.follow(_Reader(DEFLATED["json"]), delta=True, max_rate_hz=4)
        packed = demo.follow(_Reader(DEFLATED["msgpack"]), delta=True)
        slow_packed = demo.follow(_Reader(DEFLATED["msgpack"]), delta=True, max_rate_hz=4)
        before = demo.hub.statistics.flushes
        demo.run(seconds)
        flushes = demo.hub.statistics.flushes - before

    def share(reader: _Reader) -> float:
        return 100 * reader.bytes / full.bytes

    peer, name = share(ws), "Node ws, perMessageDeflate: true"
    what = "bytes on the wire, % of full JSON"
    return Report(
        (
            Row(f"{what}, default settings", share(default), "less", SHARE_DEFAULT, peer, name),
            Row(f"{what}, max_rate_hz 4", share(slow), "less", SHARE_AT_4_HZ, peer, name),
            Row(f"{what}, MessagePack", share(packed), "less", None, peer, name),
            Row(f"{what}, MessagePack, max_rate_hz 4", share(slow_packed), "less", None, peer, name),
        ),
        (
            f"{seconds} s of the demo at its own rate ({RATE_HZ:g} wagers a second then) after {WARM_S} s, in its "
            f"own time, {flushes:,} flushes; kpi and wagers of the whole book, kpi by deltas, permessage-deflate",
            f"full JSON: {full.bytes:,} bytes of frames: whole documents and messages, each in a text frame, with "
            "ticks; TCP and TLS are in none of them",
            "the peer compresses each full message above its usual threshold of 1,024 bytes, with context takeover; "
            "computed with the same zlib",
        ),
    )

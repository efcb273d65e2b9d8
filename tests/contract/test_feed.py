"""What every feed must do, for its readers and for the engine. Another feed joins by one more entry in OPENERS.

What is kept for ever: `test_archive.py`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random

import msgspec
import pytest
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.core.message import Json
from fire22.feed.base import (
    SETTLED,
    Archived,
    Batch,
    Checkpoint,
    Document,
    Entry,
    FeedWriter,
    Record,
    Rows,
    StateRow,
)
from tests.support.memory_feed import Kept, ListFeed
from tests.support.storage import Storage, encoded

HOUR = 3_600_000
SHAPE = "one"


class Opened(Struct):
    """A feed under test, as an engine has just begun with it."""

    feed: FeedWriter
    forgot: bool
    rows: list[StateRow]
    documents: list[Document]


Open = Callable[..., AbstractAsyncContextManager[Opened]]


def begun(feed: FeedWriter, shape: str) -> Opened:
    """What an engine of that shape finds."""
    forgot = feed.begin(shape)
    checkpoint, rows, documents = feed.load()
    assert checkpoint == feed.checkpoint
    return Opened(feed, forgot, list(rows), list(documents))


def open_sqlite(folder: Path) -> Open:
    """Opens the feed in one SQLite file, as often as it is called."""

    @contextlib.asynccontextmanager
    async def open(*, ring_bytes_max: int = 64 << 20, shape: str = SHAPE) -> AsyncIterator[Opened]:
        storage = Storage(folder / "flows.db", ring_bytes_max=ring_bytes_max)
        opened = begun(storage.feed, shape)
        storage.start()
        try:
            await storage.log.append([encoded("the first")])  # what the feed follows from
            yield opened
        finally:
            storage.close()

    return open


def open_list(folder: Path) -> Open:
    """Opens the tests' own feed."""
    kept = Kept()

    @contextlib.asynccontextmanager
    async def open(*, ring_bytes_max: int = 64 << 20, shape: str = SHAPE) -> AsyncIterator[Opened]:
        nonlocal kept
        feed = ListFeed(ring_bytes_max, kept)
        yield begun(feed, shape)
        kept = feed.kept

    return open


OPENERS = {"sqlite": open_sqlite, "list": open_list}


@pytest.fixture(params=sorted(OPENERS))
def open(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the feed under test; again on what was written before."""
    return OPENERS[request.param](tmp_path)


def entries(count: int, size: int = 10, at_ms: int = 0) -> tuple[Entry, ...]:
    """Some messages."""
    return tuple(Entry("/", "", "update", at_ms, 1, b'"%b"' % (b"x" * size)) for _ in range(count))


class Speaker:
    """Makes batches that follow on each other."""

    def __init__(self, at: Checkpoint | None = None) -> None:
        self.seq, self.offset = (at.seq, at.offset) if at else (0, 0)

    def batch(
        self,
        *said: tuple[str, int],
        at_ms: int = 0,
        size: int = 10,
        documents: tuple[Document, ...] = (),
        archived: tuple[Archived, ...] = (),
        waiting: tuple[tuple[str, str, int], ...] = (),
    ) -> Batch:
        """A batch that says so many messages on these topics."""
        expected, expected_seq = self.offset, self.seq
        self.seq += 1
        records = []
        for index, (topic, count) in enumerate(said):
            body = entries(count, size, at_ms)
            records.append(Record(self.offset + 1, topic, self.seq, index, len(said), at_ms, body))
            self.offset += count
        return Batch(self.seq, self.offset, expected, expected_seq, at_ms, tuple(records), documents, archived, waiting)


async def append(feed: FeedWriter, *batches: Batch) -> list[Record]:
    """Append batches; their records."""
    for batch in batches:
        await feed.append(batch)
    return [record for batch in batches for record in batch.records]


def of(records: list[Record], topic: str) -> list[Record]:
    """A topic's own."""
    return [record for record in records if record.topic == topic]


async def test_a_new_feed_is_empty(open: Open) -> None:
    """Before the first message nothing is there and nothing is lost."""
    async with open() as opened:
        feed = opened.feed
        assert (feed.checkpoint, feed.lost, feed.documents()) == (Checkpoint(0, 0, 0), 0, [])
        assert feed.read_nowait("a", 0, 10, records_max=5) == []
        assert await feed.read("a", 0, 10, records_max=5) == []
        records, complete = feed.back_nowait("a", 1)
        assert (list(records), complete) == ([], True)


async def test_a_batch_is_seen_once_it_is_durable(open: Open) -> None:
    """Listeners hear of each batch in order, when it can be read back, and before the writer of it is told."""
    async with open() as opened:
        heard: list[int] = []
        opened.feed.on_batch(lambda batch: heard.append(batch.seq))
        speaker = Speaker()
        futures = [opened.feed.append(speaker.batch(("a", 2))) for _ in range(20)]
        assert heard == []
        await futures[-1]
        assert heard == list(range(1, 21))
        assert opened.feed.checkpoint == Checkpoint(20, 40, 0)
        assert len(await opened.feed.read("a", 0, 40, records_max=100)) == 20


async def test_ranges_from_storage(open: Open) -> None:
    """A client far behind reads a topic's range, with the record that its position lies in the middle of."""
    async with open(ring_bytes_max=1) as opened:
        speaker = Speaker()
        records = await append(
            opened.feed, *(speaker.batch(("a", 3), ("b", 2)) if n % 3 else speaker.batch(("b", 1)) for n in range(30))
        )
        for topic in ("a", "b"):
            known = of(records, topic)
            for after in range(opened.feed.checkpoint.offset + 2):
                for upto in (after, after + 1, after + 7, 1000):
                    right = [each for each in known if each.last > after and each.offset <= upto]
                    assert await opened.feed.read(topic, after, upto, records_max=100) == right, (topic, after, upto)
                    assert await opened.feed.read(topic, after, upto, records_max=2) == right[:2]
        assert await opened.feed.read("none", 0, 1000, records_max=10) == []


async def test_memory_then_storage(open: Open) -> None:
    """What the ring has dropped is still in storage, and both give the same records."""
    async with open(ring_bytes_max=5000) as opened:
        speaker = Speaker()
        records = await append(opened.feed, *(speaker.batch(("a", 2)) for _ in range(100)))
        assert opened.feed.read_nowait("a", 0, 200, records_max=100) is None
        assert await opened.feed.read("a", 0, 200, records_max=100) == records
        near = opened.feed.read_nowait("a", 197, 200, records_max=100)
        assert near == records[98:] == await opened.feed.read("a", 197, 200, records_max=100)
        assert opened.feed.lost == 0


@pytest.mark.parametrize("ring_bytes_max", [1, 3000, 1 << 20])
async def test_backwards(open: Open, ring_bytes_max: int) -> None:
    """A stream's newest messages are found from memory, and from storage where memory says it has not all."""
    async with open(ring_bytes_max=ring_bytes_max) as opened:
        speaker = Speaker()
        records = await append(opened.feed, *(speaker.batch(("a", 2), ("b", 1)) for _ in range(30)))
        newest_first = of(records, "a")[::-1]
        for before in (1, 2, 3, 45, 90, 1000):
            right = [each for each in newest_first if each.offset < before]
            found = await opened.feed.read_back("a", before, records_max=10)
            assert found == right[:10]
            memory, complete = opened.feed.back_nowait("a", before)
            held = list(memory)
            assert held == right[: len(held)]
            if complete:
                assert held == right
        assert opened.feed.back_nowait("a", 1000)[1] is (ring_bytes_max == 1 << 20)


async def test_a_second_engine_is_fenced(open: Open) -> None:
    """A batch that does not follow on what is there is refused for good, and nothing of it is written."""
    async with open() as opened:
        speaker = Speaker()
        records = await append(opened.feed, speaker.batch(("a", 2)), speaker.batch())
        for expected, expected_seq in ((0, 2), (3, 2), (2, 1), (2, 3), (0, 0)):
            stranger = Speaker(Checkpoint(expected_seq, expected, 0))
            row = Rows("flow/table", [("key", b"stranger")])
            with pytest.raises(StorageError) as refused:
                await opened.feed.append(stranger.batch(("a", 1)), (row,))
            assert refused.value.code is codes.FEED_MOVED
            assert not refused.value.temporary
        assert opened.feed.checkpoint == Checkpoint(2, 2, 0)
        assert await opened.feed.read("a", 0, 100, records_max=10) == records
        await append(opened.feed, speaker.batch(("a", 1)))
        assert list(await opened.feed.state()) == []


async def test_nothing_overtakes_a_batch_that_failed(open: Open) -> None:
    """Of batches that are on their way together, those behind one that is refused are refused too, and may come again
    in order."""
    async with open() as opened:
        speaker = Speaker()
        await append(opened.feed, speaker.batch(("a", 1)))
        missing, behind, last = speaker.batch(("a", 1)), speaker.batch(("b", 1)), speaker.batch()
        outcomes = await asyncio.gather(*map(opened.feed.append, (behind, last)), return_exceptions=True)
        assert [getattr(each, "code", None) for each in outcomes] == [codes.FEED_MOVED, codes.FEED_MOVED]
        assert await asyncio.gather(*map(opened.feed.append, (missing, behind, last))) == [None, None, None]
        assert opened.feed.checkpoint == Checkpoint(4, 3, 0)


async def test_a_caller_who_leaves_does_not_undo_the_batch(open: Open) -> None:
    """An append that nobody waits for any more is written and delivered all the same."""
    async with open() as opened:
        heard: list[int] = []
        opened.feed.on_batch(lambda batch: heard.append(batch.seq))
        speaker = Speaker()
        opened.feed.append(speaker.batch(("a", 1)), (Rows("flow/table", [("key", b"1")]),)).cancel()
        await append(opened.feed, speaker.batch(("a", 1)))
        assert heard == [1, 2]
        assert list(await opened.feed.state()) == [("flow/table", "key", b"1")]


async def test_readers_get_what_is_said_and_nothing_of_the_state(open: Open) -> None:
    """A reader, in whatever process, is handed the batch as it was made: what waits is in it, no row of a flow is."""
    archived = Archived("kpi", "/", "2026-03-01", 1, 7, b"{}")
    document = Document("kpi", "/", "", "kpi_update", 1, 5, {"revenue": 1.5})
    async with open() as opened:
        heard: list[Batch] = []
        opened.feed.on_batch(heard.append)
        speaker = Speaker()
        waiting = (("kpi", "/", 3), ("kpi", "/M1", SETTLED))
        batch = speaker.batch(("kpi", 1), at_ms=9, documents=(document,), archived=(archived,), waiting=waiting)
        await opened.feed.append(batch, (Rows("flow/table", [("secret", b"of the flow")]),))
        assert heard == [batch]
        assert b"of the flow" not in msgspec.msgpack.encode(heard)
        assert await opened.feed.archived("kpi", "/", limit=5) == [archived]


async def test_the_state_is_that_of_the_last_batch(open: Open) -> None:
    """An engine that has to begin anew gets each row as it was stored last, those of one table together."""
    async with open() as opened:
        speaker = Speaker()
        for number in range(5):
            rows = [Rows(f"flow/{table}", [(f"{number % 3}", b"%d" % number)]) for table in "ab"]
            await opened.feed.append(speaker.batch(), tuple(rows))
        await opened.feed.append(speaker.batch(), (Rows("flow/b", [("1", None), ("never", None)]),))
        state = list(await opened.feed.state())
        assert sorted(state) == [
            ("flow/a", "0", b"3"), ("flow/a", "1", b"4"), ("flow/a", "2", b"2"),
            ("flow/b", "0", b"3"), ("flow/b", "2", b"2"),
        ]  # fmt: skip
        tables = [table for table, _, _ in state]
        assert tables == sorted(tables) or tables == sorted(tables, reverse=True)


async def test_flows_of_another_shape_begin_anew(open: Open) -> None:
    """After an upgrade that makes figures otherwise nothing of before is shown, and clients know by the epoch."""
    document = Document("kpi", "/", "", "kpi_update", 1, 5, {"revenue": 1.5})
    archived = Archived("kpi", "/", "2026-03-01", 1, 7, b"{}")
    async with open() as opened:
        assert not opened.forgot
        speaker = Speaker()
        batch = speaker.batch(("kpi", 1), documents=(document,), archived=(archived,))
        await opened.feed.append(batch, (Rows("flow/table", [("key", b"1")]),))
        epoch = opened.feed.epoch
    async with open() as opened:
        assert not opened.forgot
        assert (opened.feed.epoch, opened.documents) == (epoch, [document])
        assert opened.rows == [("flow/table", "key", b"1")]
    async with open(shape="another") as opened:
        assert opened.forgot
        assert opened.feed.epoch != epoch
        assert (opened.feed.checkpoint, opened.feed.lost) == (Checkpoint(0, 0, 0), 0)
        assert (opened.rows, opened.documents, opened.feed.documents()) == ([], [], [])
        assert await opened.feed.read("kpi", 0, 9, records_max=9) == []
        assert await opened.feed.archived("kpi", "/", limit=5) == []
        await append(opened.feed, Speaker().batch(("kpi", 2)))
        epoch = opened.feed.epoch
    async with open(shape="another") as opened:
        assert not opened.forgot
        assert (opened.feed.epoch, opened.feed.checkpoint) == (epoch, Checkpoint(1, 2, 0))


async def test_documents_and_rows_after_a_restart(open: Open) -> None:
    """A restart finds the newest of every document and row, and the checkpoint that belongs to them."""

    def document(scope: str, offset: int, revenue: float) -> Document:
        return Document("kpi", scope, "", "kpi_update", offset, 5, {"revenue": revenue, "change": {"revenue": 1.5}})

    async with open() as opened:
        epoch = opened.feed.epoch
        speaker = Speaker()
        await opened.feed.append(
            speaker.batch(("kpi", 2), documents=(document("/", 1, 1.0), document("/M1", 2, 2.0))),
            (Rows("kpi/scope", [("/", b"1"), ("/M1", b"2")]), Rows("kpi/open", [("w1", b"3")])),
        )
        await opened.feed.append(
            speaker.batch(("kpi", 1), at_ms=777, documents=(document("/", 3, 4.25),)),
            (Rows("kpi/scope", [("/", b"4")]), Rows("kpi/open", [("w1", None), ("never", None)])),
        )
    async with open() as opened:
        assert opened.feed.epoch == epoch
        assert opened.feed.checkpoint == Checkpoint(2, 3, 777)
        assert sorted(opened.feed.documents(), key=lambda each: each.scope) == [
            document("/", 3, 4.25),
            document("/M1", 2, 2.0),
        ]
        assert sorted(opened.rows) == [("kpi/scope", "/", b"4"), ("kpi/scope", "/M1", b"2")]
        assert opened.feed.read_nowait("kpi", 0, 3, records_max=5) is None
        assert opened.feed.read_nowait("kpi", 3, 3, records_max=5) == []
        assert len(await opened.feed.read("kpi", 0, 3, records_max=5)) == 2
        assert opened.feed.back_nowait("kpi", 4)[1] is False


async def trim_all(feed: FeedWriter, *, before_ms: int, bytes_max: int, records_max: int) -> int:
    """Trim until there is nothing left to trim; how many times."""
    times = 0
    while await feed.trim(before_ms=before_ms, bytes_max=bytes_max, records_max=records_max):
        times += 1
    return times


async def test_old_records_are_trimmed(open: Open) -> None:
    """Retention by age deletes from the old end, in steps, and moves `lost` so that clients are told."""
    async with open() as opened:
        speaker = Speaker()
        records = await append(opened.feed, *(speaker.batch(("a", 2), at_ms=n * HOUR) for n in range(20)))
        times = await trim_all(opened.feed, before_ms=12 * HOUR, bytes_max=1 << 40, records_max=5)
        assert times == 3
        assert opened.feed.lost == 24
        assert await opened.feed.read("a", 0, 100, records_max=100) == records[12:]
        assert opened.feed.checkpoint.offset == 40
    async with open() as opened:
        assert opened.feed.lost == 24
        await append(opened.feed, Speaker(opened.feed.checkpoint).batch(("a", 1), at_ms=21 * HOUR))
        assert len(await opened.feed.read("a", 24, 100, records_max=100)) == 9


async def test_what_is_gone_is_known_for_as_long_as_one_can_ask(open: Open) -> None:
    """A client that resumes learns which documents were removed since; of those that retention has passed, each view's
    newest stays, which says from where on that is known."""

    def document(key: str, offset: int, body: dict[str, Json] | None) -> Document:
        return Document("desk", "/", key, "desk_update", offset, 5, body)

    def held(opened: Opened) -> list[tuple[str, int, bool]]:
        return sorted((each.key, each.offset, each.body is None) for each in opened.feed.documents())

    async with open() as opened:
        speaker = Speaker()
        documents = [document(key, offset, {"x": 1}) for offset, key in enumerate("abcd", 1)]
        await append(opened.feed, speaker.batch(("desk", 4), documents=tuple(documents)))
        for offset, key in enumerate("abc", 5):
            await append(opened.feed, speaker.batch(("desk", 1), documents=(document(key, offset, None),)))
    async with open() as opened:
        assert held(opened) == [("a", 5, True), ("b", 6, True), ("c", 7, True), ("d", 4, False)]
        await opened.feed.trim(before_ms=1, bytes_max=1 << 40, records_max=3)
        assert opened.feed.lost == 6
    async with open() as opened:
        assert held(opened) == [("b", 6, True), ("c", 7, True), ("d", 4, False)]


async def test_what_is_too_much_is_trimmed(open: Open) -> None:
    """Retention by size deletes the oldest until the rest fits, also after a restart."""
    async with open() as opened:
        speaker = Speaker()
        await append(opened.feed, *(speaker.batch(("a", 1), size=1000) for _ in range(20)))
        await trim_all(opened.feed, before_ms=0, bytes_max=10_500, records_max=3)
        kept = await opened.feed.read("a", 0, 100, records_max=100)
        assert len(kept) == 10
        assert opened.feed.lost == 10
    async with open() as opened:
        speaker = Speaker(opened.feed.checkpoint)
        await append(opened.feed, *(speaker.batch(("a", 1), size=1000) for _ in range(3)))
        await trim_all(opened.feed, before_ms=0, bytes_max=10_500, records_max=3)
        assert opened.feed.lost == 13


async def test_a_trimmed_out_feed_knows_what_is_lost(open: Open) -> None:
    """With every record deleted the position stays, and everything up to it is known to be gone."""
    async with open() as opened:
        await append(opened.feed, Speaker().batch(("a", 7)))
        assert await opened.feed.trim(before_ms=1, bytes_max=1 << 40) == 1
        assert await opened.feed.trim(before_ms=1, bytes_max=1 << 40) == 0
        assert opened.feed.lost == 7
    async with open() as opened:
        assert (opened.feed.lost, opened.feed.checkpoint.offset) == (7, 7)
        await append(opened.feed, Speaker(opened.feed.checkpoint).batch(("a", 1)))
        assert opened.feed.lost == 7
        assert [each.offset for each in await opened.feed.read("a", 7, 8, records_max=5)] == [8]


@pytest.mark.parametrize("seed", range(4))
async def test_ranges_agree_with_a_list(open: Open, seed: int) -> None:
    """Whatever was said, dropped from memory and trimmed, a range is what a plain list gives."""
    random = Random(seed)
    known: list[Record] = []
    async with open(ring_bytes_max=4000) as opened:
        speaker = Speaker()
        for number in range(150):
            said = [(topic, random.randint(1, 4)) for topic in "abc" if random.random() < 0.5]
            known += await append(opened.feed, speaker.batch(*said, at_ms=number * 1000))
            if random.random() < 0.1:
                await opened.feed.trim(before_ms=(number - 40) * 1000, bytes_max=1 << 40)
            after = random.randrange(opened.feed.lost, speaker.offset + 1)
            upto = random.randrange(after, speaker.offset + 3)
            topic, limit = random.choice("abc"), random.randint(1, 20)
            right = [each for each in of(known, topic) if each.last > after and each.offset <= upto][:limit]
            assert await opened.feed.read(topic, after, upto, records_max=limit) == right
            assert opened.feed.read_nowait(topic, after, upto, records_max=limit) in (None, right)

"""The embedded feed: what was said, in order, durable before anybody sees it."""

from pathlib import Path
from random import Random

import pytest

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.feed.base import Batch, Checkpoint, Document, Entry, Record, Rows
from fire22.feed.sqlite import SqliteFeed
from fire22.log.file import open_file
from fire22.log.maintenance import check
from tests.support.storage import Storage, opened

HOUR = 3_600_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "flows.db"


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
        rows: tuple[Rows, ...] = (),
        documents: tuple[Document, ...] = (),
    ) -> Batch:
        """A batch that says so many messages on these topics."""
        expected, expected_seq = self.offset, self.seq
        self.seq += 1
        records = []
        for index, (topic, count) in enumerate(said):
            body = entries(count, size, at_ms)
            records.append(Record(self.offset + 1, topic, self.seq, index, len(said), at_ms, body))
            self.offset += count
        return Batch(self.seq, self.offset, expected, expected_seq, at_ms, tuple(records), rows, documents)


async def append(storage: Storage, *batches: Batch) -> list[Record]:
    """Append batches; their records."""
    for batch in batches:
        await storage.feed.append(batch)
    return [record for batch in batches for record in batch.records]


def of(records: list[Record], topic: str) -> list[Record]:
    """A topic's own."""
    return [record for record in records if record.topic == topic]


async def test_a_new_feed_is_empty(path: Path) -> None:
    """Before the first message nothing is there and nothing is lost."""
    async with opened(path) as storage:
        feed = storage.feed
        assert (feed.checkpoint, feed.lost, feed.documents()) == (Checkpoint(0, 0, 0), 0, [])
        assert feed.read_nowait("a", 0, 10, records_max=5) == []
        assert await feed.read("a", 0, 10, records_max=5) == []
        records, complete = feed.back_nowait("a", 1)
        assert (list(records), complete) == ([], True)


async def test_a_batch_is_seen_once_it_is_durable(path: Path) -> None:
    """Listeners hear of each batch in order, when it can be read back, and before the writer of it is told."""
    async with opened(path) as storage:
        heard: list[int] = []
        storage.feed.on_batch(lambda batch: heard.append(batch.seq))
        speaker = Speaker()
        futures = [storage.feed.append(speaker.batch(("a", 2))) for _ in range(20)]
        assert heard == []
        await futures[-1]
        assert heard == list(range(1, 21))
        assert storage.feed.checkpoint == Checkpoint(20, 40, 0)
        assert len(await storage.feed.read("a", 0, 40, records_max=100)) == 20


async def test_ranges_from_storage(path: Path) -> None:
    """A client far behind reads a topic's range, with the record that its position lies in the middle of."""
    async with opened(path, ring_bytes_max=1) as storage:
        speaker = Speaker()
        records = await append(
            storage, *(speaker.batch(("a", 3), ("b", 2)) if n % 3 else speaker.batch(("b", 1)) for n in range(30))
        )
        for topic in ("a", "b"):
            known = of(records, topic)
            for after in range(storage.feed.checkpoint.offset + 2):
                for upto in (after, after + 1, after + 7, 1000):
                    right = [each for each in known if each.last > after and each.offset <= upto]
                    assert await storage.feed.read(topic, after, upto, records_max=100) == right, (topic, after, upto)
                    assert await storage.feed.read(topic, after, upto, records_max=2) == right[:2]
        assert await storage.feed.read("none", 0, 1000, records_max=10) == []


async def test_reading_costs_what_is_read(path: Path) -> None:
    """A range near the end of a long feed is found by the index, not by looking at everything before it."""
    async with opened(path) as storage:
        speaker = Speaker()
        for _ in range(40):
            futures = [storage.feed.append(speaker.batch(("a", 1))) for _ in range(50)]
            await futures[-1]
        steps: list[int] = []
        for after in (5, 1990):
            await storage.feed.read("a", after, after + 5, records_max=5)
            reader = storage.feed._reader
            assert reader is not None
            count = [0]

            def step(count: list[int] = count) -> bool:
                count[0] += 1
                return False

            reader.set_progress_handler(step, 10)
            assert len(await storage.feed.read("a", after, after + 5, records_max=5)) == 5
            reader.set_progress_handler(None)
            steps.append(count[0])
        assert steps[1] <= steps[0] + 3, steps


async def test_memory_then_storage(path: Path) -> None:
    """What the ring has dropped is still in storage, and both give the same records."""
    async with opened(path, ring_bytes_max=5000) as storage:
        speaker = Speaker()
        records = await append(storage, *(speaker.batch(("a", 2)) for _ in range(100)))
        assert storage.feed.ring_bytes <= 5000
        assert storage.feed.read_nowait("a", 0, 200, records_max=100) is None
        assert await storage.feed.read("a", 0, 200, records_max=100) == records
        near = storage.feed.read_nowait("a", 197, 200, records_max=100)
        assert near == records[98:] == await storage.feed.read("a", 197, 200, records_max=100)
        assert storage.feed.lost == 0


@pytest.mark.parametrize("ring_bytes_max", [1, 3000, 1 << 20])
async def test_backwards(path: Path, ring_bytes_max: int) -> None:
    """A stream's newest messages are found from memory, and from storage where memory says it has not all."""
    async with opened(path, ring_bytes_max=ring_bytes_max) as storage:
        speaker = Speaker()
        records = await append(storage, *(speaker.batch(("a", 2), ("b", 1)) for _ in range(30)))
        newest_first = of(records, "a")[::-1]
        for before in (1, 2, 3, 45, 90, 1000):
            right = [each for each in newest_first if each.offset < before]
            found = await storage.feed.read_back("a", before, records_max=10)
            assert found == right[:10]
            memory, complete = storage.feed.back_nowait("a", before)
            held = list(memory)
            assert held == right[: len(held)]
            if complete:
                assert held == right
        assert storage.feed.back_nowait("a", 1000)[1] is (ring_bytes_max == 1 << 20)


async def test_a_second_engine_is_fenced(path: Path) -> None:
    """A batch that does not follow on what is there is refused for good, and nothing of it is written."""
    async with opened(path) as storage:
        speaker = Speaker()
        records = await append(storage, speaker.batch(("a", 2)), speaker.batch())
        for expected, expected_seq in ((0, 2), (3, 2), (2, 1), (2, 3), (0, 0)):
            stranger = Speaker(Checkpoint(expected_seq, expected, 0))
            row = Rows("flow/table", [("key", b"stranger")])
            with pytest.raises(StorageError) as refused:
                await storage.feed.append(stranger.batch(("a", 1), rows=(row,)))
            assert refused.value.code is codes.FEED_MOVED
            assert not refused.value.temporary
        assert storage.feed.checkpoint == Checkpoint(2, 2, 0)
        assert await storage.feed.read("a", 0, 100, records_max=10) == records
        await append(storage, speaker.batch(("a", 1)))
    connection = open_file(path)
    assert connection.execute("SELECT count(*) FROM state").get == 0
    connection.close()


async def test_documents_and_rows_after_a_restart(path: Path) -> None:
    """A restart finds the newest of every document and row, and the checkpoint that belongs to them."""

    def document(scope: str, offset: int, revenue: float) -> Document:
        return Document("kpi", scope, "", "kpi_update", offset, 5, {"revenue": revenue, "change": {"revenue": 1.5}})

    async with opened(path) as storage:
        epoch = storage.feed.epoch
        speaker = Speaker()
        await append(
            storage,
            speaker.batch(
                ("kpi", 2),
                rows=(Rows("kpi/scope", [("/", b"1"), ("/M1", b"2")]), Rows("kpi/open", [("w1", b"3")])),
                documents=(document("/", 1, 1.0), document("/M1", 2, 2.0)),
            ),
            speaker.batch(
                ("kpi", 1),
                at_ms=777,
                rows=(Rows("kpi/scope", [("/", b"4")]), Rows("kpi/open", [("w1", None), ("never", None)])),
                documents=(document("/", 3, 4.25),),
            ),
        )
    async with opened(path) as storage:
        assert storage.feed.epoch == epoch
        assert storage.feed.checkpoint == Checkpoint(2, 3, 777)
        assert sorted(storage.feed.documents(), key=lambda each: each.scope) == [
            document("/", 3, 4.25),
            document("/M1", 2, 2.0),
        ]
        assert storage.state == [("kpi/scope", "/", b"4"), ("kpi/scope", "/M1", b"2")]
        assert storage.feed.read_nowait("kpi", 0, 3, records_max=5) is None
        assert storage.feed.read_nowait("kpi", 3, 3, records_max=5) == []
        assert len(await storage.feed.read("kpi", 0, 3, records_max=5)) == 2
        assert storage.feed.back_nowait("kpi", 4)[1] is False


async def trim_all(feed: SqliteFeed, *, before_ms: int, bytes_max: int, records_max: int) -> int:
    """Trim until there is nothing left to trim; how many times."""
    times = 0
    while await feed.trim(before_ms=before_ms, bytes_max=bytes_max, records_max=records_max):
        times += 1
    return times


async def test_old_records_are_trimmed(path: Path) -> None:
    """Retention by age deletes from the old end, in steps, and moves `lost` so that clients are told."""
    async with opened(path) as storage:
        speaker = Speaker()
        records = await append(storage, *(speaker.batch(("a", 2), at_ms=n * HOUR) for n in range(20)))
        times = await trim_all(storage.feed, before_ms=12 * HOUR, bytes_max=1 << 40, records_max=5)
        assert times == 3
        assert storage.feed.lost == 24
        assert await storage.feed.read("a", 0, 100, records_max=100) == records[12:]
        assert storage.feed.checkpoint.offset == 40
    async with opened(path) as storage:
        assert storage.feed.lost == 24
        await append(storage, Speaker(storage.feed.checkpoint).batch(("a", 1), at_ms=21 * HOUR))
    assert check(path).records == 9


async def test_what_is_too_much_is_trimmed(path: Path) -> None:
    """Retention by size deletes the oldest until the rest fits, also after a restart."""
    async with opened(path) as storage:
        speaker = Speaker()
        await append(storage, *(speaker.batch(("a", 1), size=1000) for _ in range(20)))
        await trim_all(storage.feed, before_ms=0, bytes_max=10_500, records_max=3)
        kept = await storage.feed.read("a", 0, 100, records_max=100)
        assert len(kept) == 10
        assert storage.feed.lost == 10
    async with opened(path) as storage:
        speaker = Speaker(storage.feed.checkpoint)
        await append(storage, *(speaker.batch(("a", 1), size=1000) for _ in range(3)))
        await trim_all(storage.feed, before_ms=0, bytes_max=10_500, records_max=3)
        assert storage.feed.lost == 13


async def test_a_trimmed_out_feed_knows_what_is_lost(path: Path) -> None:
    """With every record deleted the position stays, and everything up to it is known to be gone."""
    async with opened(path) as storage:
        await append(storage, Speaker().batch(("a", 7)))
        assert await storage.feed.trim(before_ms=1, bytes_max=1 << 40) == 1
        assert await storage.feed.trim(before_ms=1, bytes_max=1 << 40) == 0
        assert storage.feed.lost == 7
    async with opened(path) as storage:
        assert (storage.feed.lost, storage.feed.checkpoint.offset) == (7, 7)
        await append(storage, Speaker(storage.feed.checkpoint).batch(("a", 1)))
        assert storage.feed.lost == 7
        assert [each.offset for each in await storage.feed.read("a", 7, 8, records_max=5)] == [8]


async def test_a_damaged_record_is_named(path: Path) -> None:
    """Damage in an old record is not shown to a client as a message; it is named."""
    async with opened(path) as storage:
        speaker = Speaker()
        await append(storage, *(speaker.batch(("a", 1)) for _ in range(3)))
        await storage.writer.submit(
            lambda connection: connection.execute("UPDATE feed SET body = zeroblob(20) WHERE offset = 2") and None
        )
        with pytest.raises(StorageError, match=r"feed 2 is damaged: .*--repair") as damaged:
            await storage.feed.read("a", 0, 3, records_max=5)
        assert damaged.value.code is codes.STORAGE_CORRUPT


@pytest.mark.parametrize("seed", range(4))
async def test_ranges_agree_with_a_list(path: Path, seed: int) -> None:
    """Whatever was said, dropped from memory and trimmed, a range is what a plain list gives."""
    random = Random(seed)
    known: list[Record] = []
    async with opened(path, ring_bytes_max=4000) as storage:
        speaker = Speaker()
        for number in range(150):
            said = [(topic, random.randint(1, 4)) for topic in "abc" if random.random() < 0.5]
            known += await append(storage, speaker.batch(*said, at_ms=number * 1000))
            if random.random() < 0.1:
                await storage.feed.trim(before_ms=(number - 40) * 1000, bytes_max=1 << 40)
            after = random.randrange(storage.feed.lost, speaker.offset + 1)
            upto = random.randrange(after, speaker.offset + 3)
            topic, limit = random.choice("abc"), random.randint(1, 20)
            right = [each for each in of(known, topic) if each.last > after and each.offset <= upto][:limit]
            assert await storage.feed.read(topic, after, upto, records_max=limit) == right
            assert storage.feed.read_nowait(topic, after, upto, records_max=limit) in (None, right)

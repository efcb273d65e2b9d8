"""An open log and feed, wired as the application wires them, for tests that need the real file."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import apsw
import msgspec

from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.times import to_datetime
from fire22.feed.base import encode_entries
from fire22.feed.rows import read_archive, read_documents, read_records, read_state
from fire22.flows.engine import Engine
from fire22.flows.runner import Runner
from fire22.log.base import Group
from fire22.log.cipher import PLAIN, Cipher
from fire22.log.database import connect, query
from fire22.log.file import SEALED
from fire22.log.seal import seal
from fire22.log.sqlite import LogReader
from fire22.storage import EmbeddedStorage

START_MS = 1_772_366_400_000  # 2026-03-01T12:00:00Z


class Storage(EmbeddedStorage):
    """The application's own storage, and what tests ask of it.

    Args:
        group_ms: how long appends gather company.
        vfs: the name of the VFS that every connection uses.
        cipher: of the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        group_ms: float = 0,
        pending_max: int = 100_000,
        ring_bytes_max: int = 64 << 20,
        vfs: str | None = None,
        cipher: Cipher = PLAIN,
    ) -> None:
        super().__init__(
            path,
            asyncio.get_running_loop(),
            group_ms=group_ms,
            pending_max=pending_max,
            ring_bytes_max=ring_bytes_max,
            vfs=vfs,
            cipher=cipher,
        )
        _, rows, documents = self.feed.load()
        self.state, self.documents = list(rows), list(documents)

    def load(self, engine: Engine) -> Engine:
        """The engine, gone on from what the file holds."""
        engine.load(self.feed.checkpoint, self.state, self.documents)
        return engine

    async def append_group(self, events: Sequence[EncodedEvent]) -> None:
        """Append events so that they become exactly one commit group."""
        await self.log.append(events)

    async def append_together(self, calls: Sequence[Sequence[EncodedEvent]]) -> list[object]:
        """Several appends in one transaction; their answers or errors."""
        with self.stopped():
            futures = [self.log.append(events) for events in calls]
        return list(await asyncio.gather(*futures, return_exceptions=True))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """The disk takes nothing meanwhile: what is submitted in the block shares one transaction after it."""
        taken, release = threading.Event(), threading.Event()

        def hold(_: apsw.Connection) -> None:
            taken.set()
            release.wait(10)

        self.writer.submit(hold)
        if not taken.wait(10):
            raise AssertionError("the writer does not take jobs")
        try:
            yield
        finally:
            release.set()


@contextlib.asynccontextmanager
async def opened(
    path: Path,
    *,
    group_ms: float = 0,
    pending_max: int = 100_000,
    ring_bytes_max: int = 64 << 20,
    vfs: str | None = None,
    cipher: Cipher = PLAIN,
) -> AsyncIterator[Storage]:
    """A running log and feed on `path`, closed in the end."""
    storage = Storage(
        path, group_ms=group_ms, pending_max=pending_max, ring_bytes_max=ring_bytes_max, vfs=vfs, cipher=cipher
    )
    storage.start()
    try:
        yield storage
    finally:
        storage.close()


@contextlib.asynccontextmanager
async def folding(storage: Storage, engine: Engine) -> AsyncIterator[Runner]:
    """A runner at work on the storage."""
    runner = Runner(storage.log, storage.feed, storage.load(engine))
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def wait_folded(storage: Storage, seq: int) -> None:
    """Until the feed has come to event `seq`."""
    reached = asyncio.Event()
    storage.feed.on_batch(lambda batch: reached.set() if batch.seq >= seq else None)
    if storage.feed.checkpoint.seq < seq:
        await asyncio.wait_for(reached.wait(), 30)


def event(
    id: str,
    *,
    type: str = "test.happened",
    at_ms: int = START_MS,
    data: object = None,
    source: str = "test",
) -> Event:
    """An event, in short."""
    return Event(id, type, source, to_datetime(at_ms), msgspec.Raw(msgspec.json.encode(data)))


def encoded(id: str, *, type: str = "test.happened", at_ms: int = START_MS, data: object = None) -> EncodedEvent:
    """An event ready for the log, in short."""
    return encode_event(event(id, type=type, at_ms=at_ms, data=data))


def stored_groups(path: Path, cipher: Cipher = PLAIN) -> list[Group]:
    """Every commit group in the file."""
    reader = LogReader(path, cipher=cipher)
    try:
        found: list[Group] = []
        while more := reader.groups(found[-1].last if found else 0, 1000):
            found += more
        return found
    finally:
        reader.close()


def reseal(connection: apsw.Connection) -> None:
    """Seal every row as it is now: what a test has changed is then no damage, but something else than the log gives."""
    for table, (_, sealed, body) in SEALED.items():
        rows = list(query(connection, f"SELECT {sealed}, {body} FROM {table}"))
        where = " AND ".join(f"{name} = ?" for name in sealed.split(", "))
        connection.executemany(
            f"UPDATE {table} SET crc = ? WHERE {where}", ((seal(body, table, *of), *of) for *of, body in rows)
        )


def feed_bytes(connection: apsw.Connection) -> list[tuple[object, ...]]:
    """The feed, its documents, archive and the flows' state, in bytes and in an order that does not depend on time."""
    records = [
        (each.offset, each.topic, each.seq, each.index, each.count, each.at_ms, encode_entries(each.entries))
        for each in read_records(connection, "ORDER BY offset", ())
    ]
    sort = msgspec.json.Encoder(order="sorted")
    documents = sorted(
        (each.topic, each.scope, each.key, each.type, each.offset, each.at_ms, sort.encode(each.body))
        for each in read_documents(connection)
    )
    archive = [msgspec.structs.astuple(each) for each in read_archive(connection)]
    return [*records, *documents, *sorted(archive), *sorted(read_state(connection))]


def read_feed(path: Path, cipher: Cipher = PLAIN) -> list[tuple[object, ...]]:
    """The same of a file that nobody has open."""
    connection = connect(path, cipher=cipher)
    try:
        return feed_bytes(connection)
    finally:
        connection.close()

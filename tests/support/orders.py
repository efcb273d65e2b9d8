"""A domain of two tables, an order and its lines, for tests of sources: small, and with all that sources must keep."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from fire22.core.event import Event, decode_event
from fire22.core.outbox import BookChange, MirrorTable, OutboxSchema, RowChange, TableNeed, Unusable
from fire22.sources.kinds import BookAt
from fire22.sources.opening import open_book
from fire22.sources.pipeline import Told
from fire22.sources.reading import Pace
from tests.support.storage import Storage

NOW_MS = 1_772_366_400_000
WAIT_S = 60
QUICK = Pace(poll_s=0.001, look_s=0.005, trim_s=0.005, retry_s=0.005)  # so that nothing is waited for
TABLES = (
    "CREATE TABLE orders(id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE TABLE lines(id INTEGER PRIMARY KEY, of, what)",
)
CLOCK = "clock"


def _fact(type: str, row: str) -> str:
    lines = f"(SELECT json_group_array(l.what) FROM (SELECT what FROM lines WHERE of = {row}.id ORDER BY id) l)"
    data = f"json_object('name', {row}.name, 'lines', json({lines}))"
    return f"INSERT INTO fire22_outbox(type, timestamp, data) SELECT '{type}', at, {data} FROM fire22_now"


class Orders:
    """An order is told with its lines, in whichever order a transaction writes them."""

    outbox = OutboxSchema("orders", 1, (TableNeed("orders", ("id", "name")), TableNeed("lines", ("id", "of", "what"))))
    tables = (
        MirrorTable("lines", ("id", "of", "what"), 1, (), {}, (), "CREATE TABLE lines(id PRIMARY KEY, of, what)"),
        MirrorTable("orders", ("id", "name"), 1, (), {}, (), "CREATE TABLE orders(id PRIMARY KEY, name)"),
    )
    indexes = ()
    triggers = tuple(
        f"CREATE TRIGGER orders_{op} AFTER {op.upper()} ON orders BEGIN {_fact(type, row)}; END"
        for op, type, row in (
            ("insert", "order.made", "NEW"),
            ("update", "order.changed", "NEW"),
            ("delete", "order.gone", "OLD"),
        )
    )
    bootstrap = (_fact("order.imported", "o") + ", orders o ORDER BY o.id",)

    def sources(self, table: str) -> tuple[str, ...]:
        """A table is made of the one with its name; there is no clock."""
        return () if table == CLOCK else (table,)

    def key(self, table: str) -> TableNeed | None:
        """The id of each."""
        return TableNeed(table, ("id",))

    def rows(self, change: BookChange, only: str = "") -> list[RowChange | Unusable]:
        """Each row as it is, except an order without a name."""
        if change.source not in ("orders", "lines") or only not in ("", change.source):
            return []
        row = change.new if change.op != "delete" else change.old
        if change.op != "delete" and change.source == "orders" and row[1] is None:
            return [Unusable(change.at, "orders", str(row[0]), "name", "", "is empty")]
        kept = None if change.op == "delete" else row
        before = change.old[:1] if change.op == "update" and change.old[:1] != row[:1] else None
        return [RowChange(change.at, change.source, row[:1], kept, change.op == "insert", before)]

    def order(self, changes: list[RowChange | Unusable]) -> list[RowChange | Unusable]:
        """Lines go before their order's insert."""
        made = {each.key[0]: at for at, each in enumerate(changes) if isinstance(each, RowChange) and _is_new(each)}

        def place(at: int) -> tuple[int, int, int]:
            each = changes[at]
            of = each.row[1] if isinstance(each, RowChange) and each.table == "lines" and each.row is not None else None
            first = made.get(of, at) if of is not None else at
            return (first, -1, at) if first < at else (at, 0, at)

        return [changes[at] for at in sorted(range(len(changes)), key=place)]

    def keep(self) -> None:
        """Its rows need nothing."""


def _is_new(change: RowChange) -> bool:
    return change.table == "orders" and change.fresh


class Running:
    """A source at work, and what it told."""

    def __init__(self, book: BookAt, folder: Path, storage: Storage, *, apart: bool = False) -> None:
        self.failures: list[str] = []
        self.rejected: list[tuple[int, str]] = []
        told = Told(
            failed=lambda error: self.failures.append(error.code.name),
            rejected=lambda number, why: self.rejected.append((number, why)),
        )
        self.now_ms = NOW_MS
        self.source = open_book(
            book, storage.log, told, folder=folder, pace=QUICK, apart=apart, now_ms=lambda: self.now_ms
        )
        self.storage = storage
        self.task = asyncio.create_task(self.source.run())

    async def events(self, count: int) -> list[Event]:
        """The log's events, once there are so many."""
        await self.until(lambda: self.storage.log.last_seq >= count)
        groups = await self.storage.log.groups(0)
        return [decode_event(body) for group in groups for body in group.bodies]

    async def told(self, count: int) -> list[str]:
        """What became of which order: `made a`, with its lines `made a: x, y`."""
        return [_said(each) for each in await self.events(count)]

    async def problem(self, code: str) -> None:
        """Until it says what keeps it from reading; empty: until nothing does."""
        await self.until(lambda: self.source.status().problem == code)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Until a thread has come so far."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.001)

    async def stop(self) -> None:
        """End it."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


def _said(event: Event) -> str:
    data = msgspec.json.decode(event.data)
    if "name" not in data:
        return event.type
    lines = f": {', '.join(data['lines'])}" if data["lines"] else ""
    return f"{event.type.partition('.')[2]} {data['name']}{lines}"


@contextlib.asynccontextmanager
async def reading(book: BookAt, folder: Path, storage: Storage, *, apart: bool = False) -> AsyncIterator[Running]:
    """A source, ended in the end."""
    running = Running(book, folder, storage, apart=apart)
    try:
        yield running
    finally:
        await running.stop()

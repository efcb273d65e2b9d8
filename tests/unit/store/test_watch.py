"""The watch: what another process writes to the store is loaded, and own writes are not."""

import asyncio
from pathlib import Path

from fire22.store.base import Delete, Put
from fire22.store.sqlite import SqliteStore
from fire22.store.watch import watch


def opened(path: Path) -> SqliteStore:
    return SqliteStore(path, asyncio.get_running_loop(), now_ms=lambda: 0)


async def test_only_the_writes_of_others(tmp_path: Path) -> None:
    """Own writes are told from those of others, however they are mixed, and each is noticed once."""
    ours, theirs = opened(tmp_path / "store.db"), opened(tmp_path / "store.db")
    assert not await ours.changed_elsewhere()
    await ours.write(Put("a", b"1"))
    assert not await ours.changed_elsewhere()
    await theirs.write(Put("b", b"1"))
    await ours.write(Put("c", b"1"))
    assert await ours.changed_elsewhere()
    assert not await ours.changed_elsewhere()
    await ours.write(Put("c", b"2"))
    await theirs.write(Delete("a"))
    assert await ours.changed_elsewhere()
    assert await theirs.changed_elsewhere()
    assert not await theirs.changed_elsewhere()
    for store in (ours, theirs):
        store.close()


async def test_loads_follow(tmp_path: Path) -> None:
    """Whoever keeps rows in memory has them as soon as another process has written them."""
    ours, theirs = opened(tmp_path / "store.db"), opened(tmp_path / "store.db")
    seen: list[list[str]] = []

    async def load() -> None:
        seen.append([item.key for item in await ours.list("", limit=9)])

    watching = asyncio.create_task(watch(ours, [load]))
    await theirs.write(Put("x", b"1"))
    async with asyncio.timeout(20):
        while ["x"] not in seen:
            await asyncio.sleep(0.01)
    watching.cancel()
    for store in (ours, theirs):
        store.close()

"""The archive's contract: the same tests against each feed."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import msgspec
import pytest
import pytest_asyncio

from fire22.feed.base import Archived, Feed
from fire22.feed.sqlite import SqliteFeed
from tests.support.archiver import engine as archiving_engine
from tests.support.memory_feed import MemoryFeed
from tests.support.storage import opened

Write = tuple[str, str, int, int]  # scope, key, revision, a value


class World:
    """A feed, and how documents get into its archive."""

    def __init__(self, feed: Feed, write: Callable[[list[Write]], object]) -> None:
        self.feed = feed
        self._write = write

    async def write(self, *documents: Write) -> None:
        """One batch."""
        outcome = self._write(list(documents))
        if outcome is not None:
            await outcome  # type: ignore[misc]

    async def read(self, scope: str = "/", **how: object) -> list[tuple[str, int, object]]:
        """What a page holds, as (key, revision, value)."""
        how.setdefault("limit", 100)
        page: list[Archived] = await self.feed.archived("kpi", scope, **how)  # type: ignore[arg-type]
        assert {each.scope for each in page} <= {scope}
        return [(each.key, each.revision, msgspec.json.decode(each.body)["value"]) for each in page]


@contextlib.asynccontextmanager
async def in_memory(path: Path) -> AsyncIterator[World]:
    """The tests' own feed."""
    feed = MemoryFeed()

    def write(documents: list[Write]) -> None:
        for scope, key, revision, value in documents:
            feed.archive("kpi", scope, key, revision, {"value": value})
        feed.commit()

    yield World(feed, write)


@contextlib.asynccontextmanager
async def in_file(path: Path) -> AsyncIterator[World]:
    """The embedded feed."""
    async with opened(path / "flows.db") as storage:
        engine = storage.load(archiving_engine())

        def write(documents: list[Write]) -> object:
            for scope, key, revision, value in documents:
                engine.output.archive("kpi", scope, key, revision, 7, {"value": value})
            folded = engine.flush()
            return storage.feed.append(folded.batch, folded.rows)

        yield World(storage.feed, write)


@pytest_asyncio.fixture(params=[in_memory, in_file])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Each feed."""
    async with request.param(tmp_path) as opened_world:
        yield opened_world


async def test_documents_come_by_key_and_the_newest_of_each(world: World) -> None:
    """A reader of reports gets each period once, as it was last restated, in the order of the keys."""
    await world.write(("/", "2026-03-02", 1, 20), ("/", "2026-03-01", 1, 10), ("/M1", "2026-03-01", 1, 5))
    await world.write(("/", "2026-03-01", 2, 11))
    assert await world.read() == [("2026-03-01", 2, 11), ("2026-03-02", 1, 20)]
    assert await world.read("/M1") == [("2026-03-01", 1, 5)]
    assert await world.read("/M2") == []


async def test_every_revision_stays(world: World) -> None:
    """An auditor sees what was said before it was restated."""
    await world.write(("/", "a", 1, 1), ("/", "a", 2, 2))
    await world.write(("/", "b", 1, 3), ("/", "a", 3, 4))
    assert await world.read(every_revision=True) == [("a", 1, 1), ("a", 2, 2), ("a", 3, 4), ("b", 1, 3)]


async def test_the_same_revision_again_replaces_it(world: World) -> None:
    """A period is never kept twice under one number."""
    await world.write(("/", "a", 1, 1), ("/", "a", 1, 2))
    assert await world.read(every_revision=True) == [("a", 1, 2)]
    await world.write(("/", "a", 1, 3))
    assert await world.read(every_revision=True) == [("a", 1, 3)]


async def test_a_range_of_keys_holds_its_end_with_all_that_begins_so(world: World) -> None:
    """`to` a month takes in its days, and `to` a day its customers."""
    keys = ["2026-02-28", "2026-03", "2026-03-01", "2026-03-31/Ä", "2026-04-01"]
    await world.write(*(("/", key, 1, 0) for key in keys))
    assert [key for key, *_ in await world.read(key_from="2026-03", key_to="2026-03")] == keys[1:4]
    assert [key for key, *_ in await world.read(key_from="2026-03-31", key_to="2026-03-31")] == keys[3:4]
    assert [key for key, *_ in await world.read(key_from="2026-03-02")] == keys[3:]
    assert [key for key, *_ in await world.read(key_to="2026-02")] == keys[:1]


@pytest.mark.parametrize("seed", range(4))
async def test_pages_are_the_whole(world: World, seed: int) -> None:
    """Whatever the size of the pages, one after another they hold every document once and in order."""
    random = Random(seed)
    model: dict[tuple[str, int], int] = {}
    for _ in range(5):
        some = {(random.choice("abcdeÄ𝄞"), random.randint(1, 3)): random.randint(0, 99) for _ in range(6)}
        model |= some
        await world.write(*(("/", key, revision, value) for (key, revision), value in some.items()))
    everything = [(key, revision, value) for (key, revision), value in sorted(model.items())]
    newest = list({key: (key, revision, value) for key, revision, value in everything}.values())
    for every_revision, expected in ((True, everything), (False, newest)):
        limit = random.randint(1, 4)
        found: list[tuple[str, int, object]] = []
        after: tuple[str, int] | None = None
        while page := await world.read(every_revision=every_revision, after=after, limit=limit):
            assert len(page) <= limit
            found += page
            after = page[-1][:2]
        assert found == expected, f"seed {seed}"


async def test_retention_leaves_the_archive_alone(tmp_path: Path) -> None:
    """What closed periods say is kept for ever, whatever becomes of the messages."""
    async with in_file(tmp_path) as world:
        await world.write(("/", "a", 1, 1))
        feed = world.feed
        assert isinstance(feed, SqliteFeed)
        while await feed.trim(before_ms=1 << 50, bytes_max=0):
            pass
        assert await world.read() == [("a", 1, 1)]

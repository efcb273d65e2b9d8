"""What every store must do. Another store joins by one more entry in OPENERS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random

import pytest

from fire22.log.cipher import PLAIN, Cipher
from fire22.store.base import ABSENT, CHANGES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, Conflict, Delete, Item, Put, Store
from fire22.store.sqlite import SqliteStore


class Clock:
    """Time that passes when it is told to."""

    now_ms = 1_000

    def __call__(self) -> int:
        """What time it is."""
        return self.now_ms


Open = Callable[[], AbstractAsyncContextManager[Store]]


def open_sqlite(folder: Path, clock: Clock, cipher: Cipher = PLAIN) -> Open:
    """Opens the store in one SQLite file, as often as it is called."""

    @contextlib.asynccontextmanager
    async def open() -> AsyncIterator[Store]:
        store = SqliteStore(folder / "store.db", asyncio.get_running_loop(), now_ms=clock, cipher=cipher)
        try:
            yield store
        finally:
            store.close()

    return open


def open_encrypted(folder: Path, clock: Clock) -> Open:
    """The same, of a file whose values are encrypted."""
    return open_sqlite(folder, clock, Cipher([bytes(32)]))


OPENERS = {"sqlite": open_sqlite, "encrypted": open_encrypted}


@pytest.fixture
def clock() -> Clock:
    """The store's."""
    return Clock()


@pytest.fixture(params=sorted(OPENERS))
def open(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Open:
    """Opens the store under test; again on what was written before."""
    return OPENERS[request.param](tmp_path, clock)


async def keys(store: Store, prefix: str = "", *, after: str = "", limit: int = 100) -> list[str]:
    """The keys of a page."""
    return [item.key for item in await store.list(prefix, after=after, limit=limit)]


async def test_a_row_is_there_until_it_is_deleted(open: Open) -> None:
    """What is put is read back as it was, also after a restart; what is deleted, or never was, is not there."""
    async with open() as store:
        assert await store.get("user/ann") is None
        version = await store.write(Put("user/ann", b"\0one"))
        assert version > 0
        assert await store.get("user/ann") == Item("user/ann", b"\0one", version)
    async with open() as store:
        assert await store.get("user/ann") == Item("user/ann", b"\0one", version)
        second = await store.write(Put("user/ann", b"two"))
        assert second > version
        assert await store.get("user/ann") == Item("user/ann", b"two", second)
        await store.write(Delete("user/ann"), Delete("user/nobody"))
        assert await store.get("user/ann") is None
    async with open() as store:
        assert await store.get("user/ann") is None


async def test_rows_are_listed_by_prefix_in_order(open: Open) -> None:
    """All of one kind come in the order of their keys, and those of a kind whose name begins alike do not."""
    names = ["user/a", "user/a/b", "user/a0", "user/Z", "user/é", "user/𝄞", "user", "users/a", "use", "v", "user/%"]
    async with open() as store:
        await store.write(*(Put(name, name.encode()) for name in names))
        assert await keys(store, "user/") == sorted(name for name in names if name.startswith("user/"))
        assert await keys(store, "user") == sorted(name for name in names if name.startswith("user"))
        assert await keys(store) == sorted(names)
        assert await keys(store, "w") == []
        assert [item.value for item in await store.list("user/a/", limit=9)] == [b"user/a/b"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_are_the_whole(open: Open, limit: int) -> None:
    """Whatever the size of the pages, each row comes once."""
    names = [f"{kind}/{number}" for kind in "ab" for number in range(7)]
    async with open() as store:
        await store.write(*(Put(name, b"") for name in names))
        found: list[str] = []
        while page := await keys(store, "a/", after=found[-1] if found else "", limit=limit):
            assert len(page) <= limit
            found += page
        assert found == names[:7]


async def test_whoever_is_late_is_told(open: Open) -> None:
    """Of two who change what they both have read, the second hears that it is something else now, and changes
    nothing."""
    async with open() as store:
        first = await store.write(Put("a", b"1", expected=ABSENT))
        with pytest.raises(Conflict) as conflict:
            await store.write(Put("a", b"2", expected=ABSENT))
        assert (conflict.value.key, conflict.value.version) == ("a", first)
        second = await store.write(Put("a", b"3", expected=first))
        for change in (
            Put("a", b"4", expected=first),
            Delete("a", expected=first),
            Put("a", b"5", expected=second + 1),
        ):
            with pytest.raises(Conflict):
                await store.write(change)
        assert await store.get("a") == Item("a", b"3", second)
        await store.write(Delete("a", expected=second))
        with pytest.raises(Conflict) as conflict:
            await store.write(Delete("a", expected=second))
        assert conflict.value.version == ABSENT
        await store.write(Delete("a", expected=ABSENT))


async def test_a_version_never_comes_again(open: Open) -> None:
    """A row that was deleted and put again, even with the same content, is not the one that somebody has read."""
    async with open() as store:
        first = await store.write(Put("a", b"1"))
        await store.write(Delete("a"))
    async with open() as store:
        await store.write(Put("a", b"1"))
        with pytest.raises(Conflict):
            await store.write(Put("a", b"2", expected=first))


async def test_several_rows_change_together_or_not_at_all(open: Open) -> None:
    """A session that is exchanged for another is never there twice, nor lost."""
    async with open() as store:
        version = await store.write(Put("session/1", b"ann"), Put("count", b"1"))
        assert [item.version for item in await store.list("", limit=9)] == [version, version]
        await store.write(Delete("session/1", expected=version), Put("session/2", b"ann", expected=ABSENT))
        with pytest.raises(Conflict) as conflict:
            await store.write(Put("count", b"2"), Delete("session/2"), Put("session/3", b"", expected=version))
        assert conflict.value.key == "session/3"
        assert await keys(store) == ["count", "session/2"]
        assert (await store.list("count", limit=1))[0].value == b"1"


async def test_a_row_expires(open: Open, clock: Clock) -> None:
    """From its time on a row is as if it were not there, for who reads, lists or expects something."""
    async with open() as store:
        version = await store.write(Put("code/1", b"x", expires_ms=2_000), Put("code/2", b"y"))
        clock.now_ms = 1_999
        assert await store.get("code/1") == Item("code/1", b"x", version, 2_000)
        clock.now_ms = 2_000
        assert await store.get("code/1") is None
        assert await keys(store, "code/") == ["code/2"]
        with pytest.raises(Conflict):
            await store.write(Put("code/1", b"z", expected=version))
        await store.write(Put("code/1", b"z", expires_ms=3_000, expected=ABSENT))
        assert await keys(store, "code/") == ["code/1", "code/2"]
        await store.write(Put("code/1", b"for ever"))
        clock.now_ms = 9_000
        assert await keys(store, "code/") == ["code/1", "code/2"]


async def test_what_has_expired_takes_no_room(open: Open, clock: Clock) -> None:
    """Expired rows are deleted in steps; the others stay."""
    async with open() as store:
        await store.write(*(Put(f"code/{number}", b"", expires_ms=2_000 + number) for number in range(7)))
        await store.write(Put("code/7", b""))
        assert await store.expire() == 0
        clock.now_ms = 2_004
        assert [await store.expire(items_max=3) for _ in range(3)] == [3, 2, 0]
        assert await keys(store) == ["code/5", "code/6", "code/7"]
    clock.now_ms = 1_000
    async with open() as store:
        assert await keys(store) == ["code/5", "code/6", "code/7"]


async def test_many_who_count_together_lose_nothing(open: Open) -> None:
    """Whoever reads, changes and tries again on a conflict has counted once, whatever the others did meanwhile."""
    async with open() as store:
        await store.write(Put("count", b"0"))

        async def count() -> None:
            while True:
                item = await store.get("count")
                assert item is not None
                with contextlib.suppress(Conflict):
                    await store.write(Put("count", b"%d" % (int(item.value) + 1), expected=item.version))
                    return

        await asyncio.gather(*(count() for _ in range(20)))
        item = await store.get("count")
        assert item is not None and item.value == b"20"


async def test_a_write_that_conflicts_costs_the_others_nothing(open: Open) -> None:
    """Of writes that reach the disk together only the refused one is refused."""
    async with open() as store:
        writes = (store.write(Put("a", b"", expected=ABSENT if number != 3 else 99)) for number in range(1, 4))
        outcomes = await asyncio.gather(store.write(Put("b", b"")), *writes, return_exceptions=True)
        assert [isinstance(each, Conflict) for each in outcomes] == [False, False, True, True]
        assert await keys(store) == ["a", "b"]


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (Put("", b""),),
        (Put("x" * (KEY_BYTES_MAX + 1), b""),),
        (Put("a", bytes(VALUE_BYTES_MAX + 1)),),
        (Put("a", b""), Delete("a")),
        tuple(Put(f"{number}", b"") for number in range(CHANGES_MAX + 1)),
    ],
)
async def test_a_mistake_is_not_written(open: Open, changes: tuple[Put | Delete, ...]) -> None:
    """A write that is empty, too large, or says two things of one row is the caller's mistake."""
    async with open() as store:
        with pytest.raises(AssertionError):
            await store.write(*changes)
        assert await keys(store) == []


async def test_the_largest_row(open: Open) -> None:
    """Keys and values may be as long as is said."""
    async with open() as store:
        key, value = "é" * (KEY_BYTES_MAX // 2), bytes(VALUE_BYTES_MAX)
        await store.write(Put(key, value))
        item = await store.get(key)
        assert item is not None and item.value == value


@pytest.mark.parametrize("seed", range(4))
async def test_a_store_agrees_with_a_dict(open: Open, clock: Clock, seed: int) -> None:
    """Whatever was put, deleted, expired and reopened, there is what a plain dict holds."""
    print(f"seed {seed}")
    random = Random(seed)
    every = [f"{kind}/{number}" for kind in "ab" for number in range(5)]
    model: dict[str, tuple[bytes, int, int]] = {}

    def alive() -> dict[str, tuple[bytes, int, int]]:
        return {key: row for key, row in sorted(model.items()) if not 0 < row[1] <= clock.now_ms}

    for _ in range(4):
        async with open() as store:
            for _ in range(40):
                names = random.sample(every, random.randint(1, 3))
                changes: list[Put | Delete] = []
                fits = True
                for name in names:
                    at = alive()[name][2] if name in alive() else ABSENT
                    expected = random.choice((-1, -1, at, at, at + 1))
                    fits = fits and expected in (-1, at)
                    expires_ms = random.choice((0, clock.now_ms + random.randint(1, 50)))
                    put = Put(name, random.randbytes(3), expires_ms, expected)
                    changes.append(put if random.random() < 0.7 else Delete(name, expected))
                try:
                    version = await store.write(*changes)
                except Conflict:
                    assert not fits
                else:
                    assert fits
                    for each in changes:
                        if isinstance(each, Put):
                            model[each.key] = (each.value, each.expires_ms, version)
                        else:
                            model.pop(each.key, None)
                clock.now_ms += random.randint(0, 10)
                if random.random() < 0.2:
                    await store.expire(items_max=2)
                prefix = random.choice(("", "a/", "b/", "a/3"))
                expected_rows = [
                    Item(key, value, version, expires_ms)
                    for key, (value, expires_ms, version) in alive().items()
                    if key.startswith(prefix)
                ]
                assert await store.list(prefix, limit=100) == expected_rows

"""The embedded store: its file. `tests/contract/test_store.py` has what is true of every store."""

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import apsw
import pytest

from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.store.base import Delete, Put
from fire22.store.sqlite import SqliteStore, open_store
from tests.support.power import PowerLoss

# What SQLite cannot report, since it was closing, when the power fails.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*the power is off:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "store.db"


@contextlib.asynccontextmanager
async def opened(path: Path, vfs: str | None = None) -> AsyncIterator[SqliteStore]:
    """The store, closed in the end."""
    store = SqliteStore(path, asyncio.get_running_loop(), now_ms=lambda: 0, vfs=vfs)
    try:
        yield store
    finally:
        store.close()


async def test_only_the_servers_user_can_read_it(path: Path) -> None:
    """Somebody else on the machine reads no session, not in the write-ahead log either."""
    async with opened(path) as store:
        await store.write(Put("session/1", b"secret"))
        for file in (path, path.with_name("store.db-wal")):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE item SET value = 'ben' WHERE key = 'b'", "store b is damaged"),
        ("UPDATE item SET expires_ms = 0 WHERE key = 'b'", "store b is damaged"),
        ("UPDATE item SET key = 'c' WHERE key = 'b'", "store c is damaged"),
        ("DELETE FROM item WHERE key = 'b'", r"store \(1 rows are missing\)"),
        ("UPDATE meta SET value = 1 WHERE key = 'items'", "meta items is damaged"),
        ("DROP INDEX item_expires", "tables"),
    ],
)
async def test_damage_is_named_at_the_start(path: Path, damage: str, words: str) -> None:
    """A row that was changed, moved or hidden gives nobody a right: the start names it, and a backup is the way out."""
    async with opened(path) as store:
        await store.write(Put("a", b"ann", 5_000), Put("b", b"bob", 5_000))
    connection = apsw.Connection(str(path))
    connection.execute(damage)
    connection.close()
    with pytest.raises(StorageError, match=words) as found:
        open_store(path)
    assert found.value.code is codes.STORAGE_CORRUPT
    assert "restore a backup" in found.value.message


async def test_damage_is_named_where_it_is_read(path: Path) -> None:
    """What the disk changes while the server runs is not taken for what was written."""
    async with opened(path) as store:
        await store.write(Put("a", b"ann"), Put("b", b"bob"))
        other = apsw.Connection(str(path))
        other.execute("UPDATE item SET value = CAST('ben' AS BLOB) WHERE key = 'b'")
        other.close()
        for read in (store.get("b"), store.list("", limit=5), store.write(Delete("b"))):
            with pytest.raises(StorageError, match="store b is damaged"):
                await read
        assert (await store.get("a")) is not None


async def test_another_programs_file_is_refused(path: Path) -> None:
    """A file of another kind under the store's name is not taken over."""
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs(x)")
    connection.close()
    with pytest.raises(StorageError) as refused:
        open_store(path)
    assert refused.value.code is codes.STORAGE_FORMAT


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_a_write_survives_the_loss_of_power_whole_or_not_at_all(tmp_path: Path, seed: int, torn: bool) -> None:
    """Whatever was answered is there when the machine starts again, and of what was not there is all or nothing."""
    print(f"seed {seed}")
    random = Random(f"{seed} {torn}")
    power = PowerLoss()
    path = tmp_path / "store.db"
    answered = written = 0
    for _ in range(5):
        power.cut_after(random.randrange(60))
        with contextlib.suppress(apsw.Error, StorageError):
            async with opened(path, power.name) as store:
                while written < 200:
                    written += 1
                    await store.write(*(Put(f"{place}", b"%d" % written) for place in range(3)))
                    answered = written
        power.restore(tmp_path, random if torn else None)
        async with opened(path, power.name) as store:
            values = {item.value for item in await store.list("", limit=9)}
            assert len(values) <= 1, f"half of a write is there: {values}"
            found = int(next(iter(values), b"0"))
            assert answered <= found <= written
            answered = written = found
    power.unregister()

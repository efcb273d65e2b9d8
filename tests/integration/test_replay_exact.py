"""Replay is exact: the feed is a function of the log, byte for byte, under any hash seed."""

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import apsw
import msgspec
import pytest

from fire22 import app
from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.core.event import encode_event
from fire22.flows.replay_check import check_replay
from fire22.log.database import connect
from fire22.log.maintenance import backup, check
from fire22.sportsbook import domain
from tests.support import archiver
from tests.support.histories import OPEN_TOPICS, REWRITTEN, History, rewritten
from tests.support.storage import feed_bytes, folding, opened, read_feed, reseal, stored_groups, wait_folded

EVENTS = 3000
ROOT = Path(__file__).parents[2]

# Run in a process of its own: folds the log of a file anew into another file, and compares with the feed that is kept.
REBUILD = """
import sys
from pathlib import Path
from tests.integration.test_replay_exact import rebuild
print(rebuild(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def digest(rows: list[tuple[object, ...]]) -> str:
    """One word for the whole of a feed with its documents and state."""
    return hashlib.sha256(msgspec.msgpack.encode(rows)).hexdigest()


def rebuild(source: Path, target: Path) -> str:
    """Fold the log of `source` into a new file and check the kept feed against it; the digest of the new feed."""
    connection = connect(source)
    check_replay(connection, app.build_engine(OPEN_TOPICS))
    connection.close()

    async def fold() -> str:
        async with opened(target) as storage:
            engine = app.build_engine(OPEN_TOPICS)
            for group in stored_groups(source):
                folded = engine.fold_group(group)
                future = storage.feed.append(folded.batch, folded.rows)
            await future
            return digest(await storage.writer.submit(feed_bytes))

    return asyncio.run(fold())


async def rebuild_apart(source: Path, target: Path, hash_seed: str) -> str:
    """The same in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", REBUILD, str(source), str(target)),
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, failed = await asyncio.wait_for(process.communicate(), 150)
    assert process.returncode == 0, failed.decode()
    return said.decode().strip()


async def write(path: Path, seed: int, count: int, *, restarts: int = 0) -> None:
    """A history appended in groups of random size while the flows run beside it."""
    random = Random(seed)
    told = History(seed).take(count - len(REWRITTEN))
    middle = count // 2
    events = [encode_event(event) for event in (*told[:middle], *rewritten(told[middle - 1]), *told[middle:])]
    stops = [*sorted(random.sample(range(1, count), restarts)), count]
    start = 0
    for stop in stops:
        async with opened(path) as storage, folding(storage, app.build_engine(OPEN_TOPICS)):
            while start < stop:
                end = min(stop, start + random.choice((1, 1, 2, 5, 40)))
                await storage.log.append(events[start:end])
                start = end
            if stop == count:
                await wait_folded(storage, count)


async def test_a_feed_rebuilt_from_the_log_is_the_same(tmp_path: Path) -> None:
    """An auditor replays the log in two processes with different hash seeds: every byte is the one that clients saw."""
    path = tmp_path / "flows.db"
    seed = 20_260_301
    print(f"seed {seed}")
    await write(path, seed, EVENTS, restarts=3)
    types = {msgspec.json.decode(body)["type"] for group in stored_groups(path) for body in group.bodies}
    handled = {type for flow in domain.flows() for type in flow.handlers()}
    assert {*handled, "system.configured", "app.said"} <= types
    original = digest(read_feed(path))
    rebuilt = await asyncio.gather(*(rebuild_apart(path, tmp_path / f"{seed}.db", seed) for seed in ("1", "2")))
    assert rebuilt == [original, original]
    report = check(path)
    assert report.events == EVENTS


async def test_a_backup_replays_to_the_same_feed(tmp_path: Path) -> None:
    """A backup taken from a running server is whole: its log gives its feed."""
    path, copy = tmp_path / "flows.db", tmp_path / "backup.db"
    events = [encode_event(event) for event in History(8).take(400)]
    async with opened(path) as storage, folding(storage, app.build_engine(OPEN_TOPICS)):
        for start in range(0, 400, 10):
            await storage.log.append(events[start : start + 10])
            if start == 200:
                await asyncio.get_running_loop().run_in_executor(None, backup, path, copy)
    report = await asyncio.get_running_loop().run_in_executor(None, check, copy)
    assert report.events >= 210
    connection = connect(copy)
    check_replay(connection, app.build_engine(OPEN_TOPICS))
    connection.close()


@pytest.fixture
async def recorded(tmp_path: Path) -> Path:
    """A small log with its feed."""
    path = tmp_path / "flows.db"
    await write(path, 9, 200)
    return path


def refused(path: Path, sql: str, *words: str) -> None:
    """After the change the replay check names what differs."""
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    reseal(connection)
    with pytest.raises(StorageError) as found:
        check_replay(connection, app.build_engine(OPEN_TOPICS))
    connection.close()
    assert found.value.code in (codes.STORAGE_CORRUPT, codes.STORAGE_FAILED)
    assert not found.value.temporary
    for word in words:
        assert word in found.value.message


LAST = "(SELECT max(offset) FROM feed)"
MIDDLE = "(SELECT offset FROM feed ORDER BY offset LIMIT 1 OFFSET 20)"


def test_the_check_agrees_with_what_was_written(recorded: Path) -> None:
    """The check says how much it has compared."""
    connection = connect(recorded)
    report = check_replay(connection, app.build_engine(OPEN_TOPICS))
    assert report.events == 200
    assert report.records == connection.execute("SELECT count(*) FROM feed").get
    connection.close()


def test_the_check_finds_a_changed_record(recorded: Path) -> None:
    """A message that does not follow from the log is named."""
    refused(recorded, f"UPDATE feed SET at_ms = at_ms + 1 WHERE offset = {MIDDLE}", "Record")


@pytest.mark.parametrize("which", [LAST, MIDDLE])
def test_the_check_finds_a_missing_record(recorded: Path, which: str) -> None:
    """A message that the log gives and the feed does not have is found, wherever it was."""
    refused(recorded, f"DELETE FROM feed WHERE offset = {which}")


def test_the_check_finds_a_record_too_many(recorded: Path) -> None:
    """A message that nothing in the log says is named."""
    refused(
        recorded,
        f"INSERT INTO feed SELECT offset + entries, topic, seq, idx, cnt, at_ms, entries, prev, crc, body FROM feed "
        f"WHERE offset = {LAST}",
        "does not come from the log",
    )


def test_the_check_finds_a_changed_document(recorded: Path) -> None:
    """A snapshot that is not the sum of its messages is named."""
    refused(
        recorded, """UPDATE document SET body = '{"revenue":1.0}' WHERE topic = 'kpi' AND scope = '/'""", "kpi", "/"
    )


def test_the_check_finds_changed_state(recorded: Path) -> None:
    """State that does not follow from the log would spoil the next figure; it is named."""
    refused(recorded, "DELETE FROM state WHERE \"table\" = 'kpi/running' AND key = 'now'", "kpi/running", "now")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE archive SET at_ms = 1 WHERE key = 'b' AND revision = 2", "kpi / b, revision 2"),
        ("DELETE FROM archive WHERE key = 'a' AND revision = 1", "kpi / a, revision 1"),
        (
            "INSERT INTO archive SELECT topic, scope, 'z', 1, at_ms, crc, body FROM archive LIMIT 1",
            "kpi / z, revision 1",
        ),
    ],
)
async def test_the_check_finds_what_the_archive_should_not_say(tmp_path: Path, sql: str, words: str) -> None:
    """A closed period that is not what the log gives, is missing, or was put there, is named."""
    path = tmp_path / "flows.db"
    async with opened(path) as storage, folding(storage, archiver.engine()):
        await storage.log.append([archiver.number(f"n{index}", "ab"[index % 2], index) for index in range(6)])
        await wait_folded(storage, 6)
    connection = apsw.Connection(str(path))
    check_replay(connection, archiver.engine())
    connection.execute(sql)
    reseal(connection)
    with pytest.raises(StorageError, match=words):
        check_replay(connection, archiver.engine())
    connection.close()


def test_the_check_needs_the_whole_log(recorded: Path) -> None:
    """With the beginning of the log gone there is nothing to compare with, and the check says so."""
    refused(recorded, "DELETE FROM log WHERE seq < 5", "first event")


def test_a_trimmed_feed_is_checked_as_far_as_it_is_kept(recorded: Path) -> None:
    """Retention is no damage."""
    connection = connect(recorded)
    whole = check_replay(connection, app.build_engine(OPEN_TOPICS))
    connection.execute(f"DELETE FROM feed WHERE offset < {MIDDLE}")
    assert check_replay(connection, app.build_engine(OPEN_TOPICS)).records == whole.records - 20
    connection.execute("DELETE FROM feed")
    assert check_replay(connection, app.build_engine(OPEN_TOPICS)).records == 0
    connection.close()

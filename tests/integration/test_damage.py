"""Two bytes of the log's file are changed at many places: what is served is the truth, or is refused with a code."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
import msgspec
import pytest
from typer.testing import CliRunner

from fire22 import app
from fire22.cli import program
from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.core.event import encode_event
from fire22.core.topic import DIRECT
from fire22.feed.base import Archived, Record
from fire22.feed.rows import begin_again, read_archive, read_documents, read_records
from fire22.log import file as log_file
from fire22.log.database import connect, storage_errors
from fire22.log.maintenance import backup, check
from tests.integration.inside import make_config, sign, talking, until
from tests.integration.test_http import request
from tests.support.histories import History
from tests.support.storage import Storage, folding, opened, wait_folded

PLACES: Final = 200
EVENTS: Final = 400
OPEN_TOPICS: Final = ("bench", "chat")
PAGE: Final = 4096
REFUSED: Final = (codes.STORAGE_CORRUPT, codes.STORAGE_FORMAT)
TABLES: Final = ("log", "feed", "document", "state", "archive", "meta", "source")

Served = dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small book's weeks, closed in order."""
    path = tmp_path_factory.mktemp("damage") / "flows.db"

    async def write() -> None:
        events = [encode_event(event) for event in History(5).take(EVENTS)]
        engine = app.build_engine(OPEN_TOPICS)
        with contextlib.closing(log_file.open_file(path)) as connection:
            begin_again(connection, path, engine.shape)
        async with opened(path) as storage, folding(storage, engine):
            for start in range(0, EVENTS, 20):
                await storage.log.append(events[start : start + 20])
            await wait_folded(storage, EVENTS)

    asyncio.run(write())
    return path


async def told(ask: Callable[[], Any]) -> Any:
    """What is served, or that it is refused with one of the codes."""
    try:
        return await ask()
    except StorageError as error:
        assert error.code in REFUSED, error
        assert not error.temporary
        return error.code


async def served(path: Path) -> Served:
    """All that a server reads from its file for figures and clients: each part, or the code that refuses it."""
    try:
        storage = Storage(path)
    except StorageError as error:
        assert error.code in REFUSED, error
        return {"start": error.code}
    storage.start()
    found: Served = {"start": (storage.feed.epoch, storage.feed.checkpoint, storage.feed.lost, storage.log.last_seq)}
    try:
        found["documents"] = sorted(storage.documents, key=lambda each: (each.topic, each.scope, each.key))
        found["state"] = sorted(storage.state)
        found["log"] = await told(lambda: storage.log.groups(0, events_max=10_000))
        found["source"] = await told(lambda: storage.log.source_position("none"))
        for topic in app.build_engine(OPEN_TOPICS).topics:
            found[f"{topic} on"] = await told(partial(forwards, storage, topic))
            found[f"{topic} back"] = await told(partial(backwards, storage, topic))
        for kind in ("day", "week", "month"):
            found[f"archive {kind}"] = await told(partial(archived, storage, kind))
        copy = path.with_name("copy.db")
        copy.unlink(missing_ok=True)
        with contextlib.suppress(StorageError):
            backup(path, copy)
            check(copy)
            found["backup"] = copied(copy)
    finally:
        storage.close()
    return found


async def forwards(storage: Storage, topic: str) -> list[Record]:
    """A topic's records as somebody who comes back reads them, a few at a time."""
    found: list[Record] = []
    upto = storage.feed.checkpoint.offset
    while True:
        after = found[-1].last if found else 0
        some = await storage.feed.read(topic, after, upto, records_max=7)
        if not some:
            return found
        found += some


async def backwards(storage: Storage, topic: str) -> list[Record]:
    """The same as its history is read."""
    found: list[Record] = []
    before = storage.feed.checkpoint.offset + 1
    while some := await storage.feed.read_back(topic, before, records_max=7):
        found += some
        before = some[-1].offset
    return found


async def archived(storage: Storage, kind: str) -> list[Archived]:
    """A kind of reports, by pages."""
    found: list[Archived] = []
    after = None
    while True:
        some = await storage.feed.archived(
            "reports", "/", key_from=f"{kind}:", key_to=f"{kind}:", every_revision=True, after=after, limit=3
        )
        if not some:
            return found
        found += some
        after = (some[-1].key, some[-1].revision)


def copied(copy: Path) -> tuple[object, ...]:
    """What a backup holds."""
    connection = connect(copy)
    try:
        with storage_errors():
            records = read_records(connection, "ORDER BY offset", ())
            return records, list(read_archive(connection)), [each.offset for each in read_documents(connection)]
    finally:
        connection.close()


def damage(path: Path, random: Random, *, structure: bool) -> int:
    """Change two bytes of a file, somewhere or where a page says what is in it; returns where."""
    content = bytearray(path.read_bytes())
    if structure:
        at = random.randrange(len(content) // PAGE) * PAGE + random.randrange(120)
    else:
        at = random.randrange(len(content) - 1)
    for index in (at, at + 1):
        content[index] ^= random.randrange(1, 256)
    path.write_bytes(content)
    return at


@pytest.fixture(scope="module")
def truth(whole: Path) -> Served:
    """What is served of the file as it is."""
    return asyncio.run(served(whole))


@pytest.mark.parametrize("structure", [False, True], ids=["anywhere", "in the heads of pages"])
@pytest.mark.parametrize("large", [False, True], ids=["checked at the start", "too large for that"])
def test_two_changed_bytes_are_never_served(
    whole: Path, truth: Served, tmp_path: Path, structure: bool, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure, a message, a report and a backup are what they were, or are refused: at each of many places."""
    if large:
        monkeypatch.setattr(log_file, "QUICK_CHECK_BYTES_MAX", 0)
    assert all(not isinstance(part, codes.Code) for part in truth.values())
    assert len(truth["state"]) > 100
    assert sum(len(part) for name, part in truth.items() if name.endswith(" back")) > 100
    assert truth["archive day"]
    refused = 0
    for number in range(PLACES // 4):
        seed = number + 1000 * structure + 10_000 * large
        path = tmp_path / f"{seed}" / "flows.db"
        path.parent.mkdir()
        copy = Path(shutil.copy(whole, path))
        at = damage(copy, Random(seed), structure=structure)
        found = asyncio.run(served(copy))
        different = [name for name, part in found.items() if part != truth[name] and not isinstance(part, codes.Code)]
        # The epoch is new where the copy's inode is.
        different = [name for name in different if name != "start" or found[name][1:] != truth[name][1:]]
        assert not different, f"seed {seed}: two bytes at {at} are served as truth in {different}"
        refused += any(isinstance(part, codes.Code) for part in found.values())
        shutil.rmtree(path.parent)
    print(f"{refused} of {PLACES // 4} were noticed by what was read")
    assert refused > PLACES // 40


@pytest.mark.parametrize("table", TABLES)
def test_a_changed_digit_is_named_with_the_way_out(whole: Path, tmp_path: Path, table: str) -> None:
    """An operator is told which row is damaged; what follows from the log is made again by `--repair`, byte for byte,
    and the log itself is restored."""
    data = tmp_path / "data"
    data.mkdir()
    path = Path(shutil.copy(whole, data / "flows.db"))
    connection = apsw.Connection(str(path))
    before = copied(path)
    body = {"state": "value", "meta": "value", "source": "position"}.get(table, "body")
    if table == "source":
        connection.execute("INSERT INTO source VALUES('book', 0, '7')")
    elif table == "meta":
        connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'offset'")
    else:
        where = f"WHERE rowid = (SELECT rowid FROM {table} LIMIT 1 OFFSET 3)" if table in ("log", "feed") else ""
        connection.execute(f"UPDATE {table} SET {body} = CAST(replace({body}, '1', '2') || ' ' AS BLOB) {where}")
    connection.close()
    run = CliRunner().invoke(program, ["check", "--data", str(data)])
    assert run.exit_code == 1
    assert "storage_corrupt" in run.output
    assert f"{table} " in run.output
    derived = table not in ("log", "source", "meta")
    assert ("--repair" in run.output) is derived
    assert "Traceback" not in run.output
    run = CliRunner().invoke(program, ["check", "--data", str(data), "--repair"])
    if derived or table == "meta":
        assert run.exit_code == 0, run.output
        assert CliRunner().invoke(program, ["check", "--data", str(data)]).exit_code == 0
        assert (data / "flows.db.damaged").exists()
        if derived:
            assert copied(path) == before
    else:
        assert run.exit_code == 1
        assert "restore" in run.output
        assert not (data / "flows.db.damaged").exists()


@contextlib.asynccontextmanager
async def running(whole: Path, folder: Path, sql: str) -> AsyncIterator[app.Application]:
    """A server on a copy of the file, to which something happens while it runs."""
    folder.mkdir()
    shutil.copy(whole, folder / "flows.db")
    config = make_config(folder, relay={"open_topics": list(OPEN_TOPICS)})
    async with app.running(config) as server:
        connection = connect(config.storage)
        connection.execute(sql)
        connection.close()
        yield server


async def test_a_running_server_serves_no_damaged_record(whole: Path, tmp_path: Path) -> None:
    """History and subscriptions that would need a damaged record are refused, `/readyz` says so and goes on saying so,
    and everything else is served."""
    sql = "UPDATE feed SET body = CAST(replace(body, '1', '2') AS BLOB) WHERE topic = 'wagers'"
    async with running(whole, tmp_path / "data", sql) as server:
        await until(lambda: server.shows_all)
        assert (await request(server, "GET", "/readyz")).json["parts"].get("storage") is None  # type: ignore[union-attr]
        answer = await request(server, "GET", "/v1/history/wagers")
        assert (answer.status, answer.code) == (500, "storage_corrupt")
        assert (await request(server, "GET", "/v1/views/kpi")).status == 200
        async with talking(server) as talk:
            assert await talk.refused("history", target="wagers") == "storage_corrupt"
            assert await talk.refused("subscribe", target="wagers", last=50) == "storage_corrupt"
            await talk.ask("subscribe", target="wagers", after=f"{server.feed.epoch}-0")
            code, said = await talk.closed()
            assert code == 1011
            assert said[-1].code == "storage_corrupt"
        async with talking(server) as other:
            await other.ask("subscribe", target="activity", last=10)
        answer = await request(server, "GET", "/readyz")
        assert answer.status == 503
        assert msgspec.json.decode(answer.body)["parts"]["storage"] == "storage_corrupt"


async def test_a_record_that_is_gone_is_damage_too(whole: Path, tmp_path: Path) -> None:
    """No reader takes a gap for silence: a missing record is found from both sides, at the end and in between."""
    for which in ("max", "min"):
        sql = f"DELETE FROM feed WHERE offset = (SELECT {which}(offset) FROM feed WHERE topic = 'wagers')"
        async with running(whole, tmp_path / which, sql) as server:
            newest = server.feed.checkpoint.offset
            with pytest.raises(StorageError):
                await forwards_of(server, 0, newest)
            with pytest.raises(StorageError):
                await server.feed.read_back("wagers", newest + 1, records_max=500)
            assert server.feed.damage is not None
            assert await server.feed.read_back(DIRECT, newest + 1, records_max=500) is not None


async def forwards_of(server: app.Application, after: int, upto: int) -> list[Record]:
    """The records of the topic `wagers`, from the file."""
    return await server.feed.read("wagers", after, upto, records_max=500)


async def test_a_server_does_not_start_on_a_damaged_figure(whole: Path, tmp_path: Path) -> None:
    """One digit of a stored document changed on disk: the start says which document, and how it is made again."""
    folder = tmp_path / "data"
    folder.mkdir()
    path = Path(shutil.copy(whole, folder / "flows.db"))
    connection = apsw.Connection(str(path))
    connection.execute(
        "UPDATE document SET body = CAST(replace(body, '1', '9') AS BLOB) WHERE topic = 'kpi' AND scope = '/'"
    )
    assert connection.changes() == 1
    connection.close()
    config = make_config(folder, relay={"open_topics": list(OPEN_TOPICS)})
    with pytest.raises(StorageError, match=r"document kpi / .*--repair"):
        async with app.running(config):
            pass
    run = CliRunner().invoke(program, ["check", "--data", str(folder), "--repair"])
    assert run.exit_code == 0, run.output
    async with app.running(config) as server:
        assert sign(server)
        assert (await request(server, "GET", "/v1/views/kpi")).status == 200

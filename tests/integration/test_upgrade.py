"""A version that keeps or makes the figures otherwise makes them again from the log, before it shows one."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from fire22 import app
from fire22.core import codes
from fire22.core.errors import StorageError
from fire22.core.event import encode_event
from fire22.core.position import Position
from fire22.feed.rows import begin_again
from fire22.flows.replay_check import check_replay
from fire22.log.database import connect, meta
from fire22.log.maintenance import check
from tests.integration.inside import make_config, talking, until
from tests.support.histories import History
from tests.support.storage import reseal

EVENTS = 400


async def served(folder: Path, *, facts: bool = False, after: str | None = None) -> dict[str, Any]:
    """Serve what a folder holds, with more facts where wanted: the answer to who asks for the root's key figures."""
    async with app.running(make_config(folder)) as server:
        if facts:
            for event in History(seed=1).take(EVENTS):
                await server.log.append([encode_event(event)])
            await until(lambda: server.shows_all)
        async with talking(server) as talk:
            return await talk.ask("subscribe", target="kpi", **({"after": after} if after else {}))


def change(folder: Path, sql: str) -> None:
    """Change the file of a stopped server."""
    connection = apsw.Connection(str(make_config(folder).storage))
    connection.execute(sql)
    reseal(connection)
    connection.close()


async def test_figures_of_another_version_are_made_again(tmp_path: Path) -> None:
    """State that this version cannot read is not read: nobody sees another figure than the log's, and none is lost."""
    before = await served(tmp_path, facts=True)
    change(tmp_path, "UPDATE meta SET value = 'other' WHERE key = 'shape'")
    change(tmp_path, "UPDATE state SET value = x'c1'; DELETE FROM document WHERE topic = 'kpi'; DELETE FROM archive")
    after = await served(tmp_path, after=before["position"])
    assert epoch(after) != epoch(before)
    assert after["recovered"] is False
    assert revenue(after) == revenue(before) != 0
    replayed(tmp_path)


async def test_figures_of_this_version_go_on(tmp_path: Path) -> None:
    """A restart of the same version makes nothing again: positions of before hold."""
    before = await served(tmp_path, facts=True)
    after = await served(tmp_path, after=before["position"])
    assert epoch(after) == epoch(before)
    assert after["recovered"] is True
    replayed(tmp_path)


async def test_an_upgrade_that_is_killed_goes_on(tmp_path: Path) -> None:
    """Where making the figures again breaks off, the next start does the rest before it shows one."""
    before = await served(tmp_path, facts=True)
    path = make_config(tmp_path).storage
    shape = app.build_engine(("bench",)).shape
    connection = connect(path)
    assert begin_again(connection, path, shape) is False
    assert begin_again(connection, path, "other") is True
    assert begin_again(connection, path, shape) is False  # nothing is left to forget
    connection.close()
    after = await served(tmp_path)
    assert revenue(after) == revenue(before)
    replayed(tmp_path)
    check(path)


async def test_a_log_without_its_beginning_is_not_taken_for_one(tmp_path: Path) -> None:
    """Figures of half a log would be wrong: what is there stays, and the start says why."""
    await served(tmp_path, facts=True)
    change(tmp_path, "DELETE FROM log WHERE seq = 1; UPDATE meta SET value = 'other' WHERE key = 'shape'")
    with pytest.raises(StorageError, match="first event") as refused:
        async with app.running(make_config(tmp_path)):
            pass
    assert refused.value.code is codes.STORAGE_FAILED
    connection = connect(make_config(tmp_path).storage)
    assert meta(connection, "shape") == "other"
    assert connection.execute("SELECT count(*) FROM state").get > 0
    connection.close()


def revenue(answer: dict[str, Any]) -> float:
    """The root's gross revenue."""
    (document,) = answer["snapshot"]
    return float(document["data"]["revenue"])


def epoch(answer: dict[str, Any]) -> str:
    """Of the feed that answered."""
    return Position.parse(answer["position"]).epoch


def replayed(folder: Path) -> None:
    """All that is kept is what the log gives."""
    connection = connect(make_config(folder).storage)
    check_replay(connection, app.build_engine(("bench",)))
    connection.close()

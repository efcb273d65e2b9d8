"""How a running server says how it is."""

from pathlib import Path

import apsw
import pytest

from fire22 import app
from fire22.core import codes
from fire22.core.errors import SetupError, StorageError
from fire22.log.database import storage_error
from fire22.sources.clock import clock_event


async def test_a_full_disk_shows_in_the_health(tmp_path: Path) -> None:
    """An operator who looks at /readyz while the disk is full sees which stage cannot write, and why."""
    config = app.convert({"data": str(tmp_path), "server": {"port": 0, "drain_s": 0}})
    async with app.running(config) as server:
        assert server.health().status == "ok"
        server.runner._failed(storage_error(apsw.FullError("database or disk is full")))
        health = server.health()
        assert health.status == "degraded"
        assert health.parts["feed"] == codes.STORAGE_FULL.name


async def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second server on a folder is refused; the first goes on."""
    config = app.convert({"data": str(tmp_path), "server": {"port": 0, "drain_s": 0}})
    async with app.running(config) as server:
        with pytest.raises(StorageError) as caught:
            async with app.running(config):
                raise AssertionError("the second server started")
        assert caught.value.code is codes.STORAGE_IN_USE
        (appended,) = await server.log.append([clock_event(1)])
        assert not appended.repeat


@pytest.mark.parametrize("topic", ["kpi", "agents"])
def test_an_open_topic_cannot_take_the_place_of_the_books_own(topic: str) -> None:
    """However the server is started, nobody publishes what others take for the book's figures."""
    with pytest.raises(SetupError) as caught:
        app.build_engine((topic,))
    assert caught.value.code is codes.CONFIG_INVALID

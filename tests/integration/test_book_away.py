"""The book's file is renamed, removed or replaced under a running server: no command is answered into a file that
nobody reads, the server goes on, says what is missing, and has the book again when it is back."""

import contextlib
import resource
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
import uvloop

from fire22 import app, process
from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.sportsbook.desk import orders
from tests.integration.inside import make_book, make_config, until
from tests.integration.test_commands import Shop
from tests.integration.test_http import Answer, request

LOOP_FACTORY = uvloop.new_event_loop


@contextlib.asynccontextmanager
async def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[app.Application, Path]]:
    """A server on a small book that looks after it often."""
    monkeypatch.setattr(app, "LOOK_S", 0.02)
    path = make_book(folder / "book.db")
    async with app.running(make_config(folder / "data", path)) as server:
        await until(lambda: server.delivery.knows_scope("/M1/A1"))
        yield server, path


async def place(server: app.Application, shop: Shop, key: str) -> Answer:
    """Place a wager."""
    body: Any = shop.wager()
    return await request(server, "POST", "/v1/commands/wager.place", body, Idempotency_Key=key)


async def parts(server: app.Application) -> dict[str, str]:
    """What `/readyz` says that is not ok."""
    found = (await request(server, "GET", "/readyz")).json["parts"]
    assert isinstance(found, dict)
    return {str(name): str(part) for name, part in found.items() if part != "ok"}


async def told(server: app.Application, holds: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """What `/readyz` says, once it says that."""
    ends = time.monotonic() + 60
    while not holds(found := await parts(server)):
        assert time.monotonic() < ends, found
    return found


async def test_a_book_that_was_renamed_away_is_missed_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is away commands are refused with `book_missing`, figures are served, and `/readyz` says so; when it is
    back, the same key works and its wager is told."""
    async with serving(tmp_path, monkeypatch) as (server, path):
        shop = Shop(path)
        assert (await place(server, shop, "first")).status == 200
        away = path.with_name("away.db")
        path.rename(away)
        answer = await place(server, shop, "second")
        assert (answer.status, answer.code) == (503, "book_missing")
        said = await told(server, lambda found: "desk" in found and any(map(_is_source, found)))
        assert {part for name, part in said.items() if name == "desk" or _is_source(name)} == {"book_missing"}
        assert (await request(server, "GET", "/v1/views/kpi")).status == 200
        assert shop.one("SELECT count(*) FROM wagers") == 1
        away.rename(path)
        await told(server, lambda found: not found)
        before = server.log.last_seq
        assert (await place(server, shop, "second")).status == 200
        await until(lambda: server.log.last_seq > before and b"wager.placed" in _newest(server))
        assert shop.one("SELECT count(*) FROM wagers") == 2


@pytest.mark.parametrize("how", ["replaced", "removed and put back"])
async def test_a_command_reaches_the_file_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A copy is put in the place of the book: the next command is written there, and not to the file that is gone."""
    async with serving(tmp_path, monkeypatch) as (server, path):
        shop = Shop(path)
        assert (await place(server, shop, "first")).status == 200
        shop.connection.close()
        copy = path.with_name("copy.db")
        shutil.copy(path, copy)
        if how == "replaced":
            copy.replace(path)
        else:
            path.unlink()
            assert (await request(server, "POST", "/v1/commands/wager.place", {}, Idempotency_Key="k")).status == 400
            body: Any = (shop := Shop(copy)).wager()
            shop.connection.close()
            answer = await request(server, "POST", "/v1/commands/wager.place", body, Idempotency_Key="second")
            assert answer.code == "book_missing"
            copy.replace(path)
        await until(lambda: server.sources[0].file == (path.stat().st_dev, path.stat().st_ino))  # type: ignore[attr-defined]
        await told(server, lambda found: not found)
        shop = Shop(path)
        assert (await place(server, shop, "second")).status == 200
        assert shop.one("SELECT count(*) FROM wagers") == 2


async def test_a_command_is_not_answered_from_a_file_that_was_replaced_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file goes between the check and the commit: the command is not said to be done, and its key works again."""
    async with serving(tmp_path, monkeypatch) as (server, path):
        body: Any = (shop := Shop(path)).wager()
        shop.connection.close()
        copy = path.with_name("copy.db")
        shutil.copy(path, copy)
        record = orders.record

        def replace(*arguments: Any) -> None:
            record(*arguments)
            if copy.exists():
                copy.replace(path)

        monkeypatch.setattr(orders, "record", replace)
        answer = await request(server, "POST", "/v1/commands/wager.place", body, Idempotency_Key="k")
        assert (answer.status, answer.code) == (503, "book_missing")
        await told(server, lambda found: not found)
        shop = Shop(path)
        assert (await request(server, "POST", "/v1/commands/wager.place", body, Idempotency_Key="k")).status == 200
        assert shop.one("SELECT count(*) FROM wagers") == 1


async def test_a_file_that_is_no_book_gets_no_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody puts another database in the book's place: commands say so, and figures are served."""
    async with serving(tmp_path, monkeypatch) as (server, path):
        shop = Shop(path)
        body: Any = shop.wager()
        shop.connection.close()
        assert (await request(server, "POST", "/v1/commands/wager.place", body, Idempotency_Key="a")).status == 200
        other = path.with_name("other.db")
        connection = apsw.Connection(str(other))
        connection.execute("CREATE TABLE theirs(x)")
        connection.close()
        other.replace(path)
        # By what the book left of a write-ahead log.
        codes_of = ("book_schema", "book_corrupt")
        said = await told(server, lambda found: found.get("desk") in codes_of and any(map(_is_source, found)))
        answer = await request(server, "POST", "/v1/commands/wager.place", body, Idempotency_Key="b")
        assert (answer.status, answer.code) == (503, said["desk"])
        assert (await request(server, "GET", "/v1/views/kpi")).status == 200


async def test_a_desk_that_cannot_write_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A book on a disk that takes nothing more: `/readyz` says it before anybody gives a command."""
    async with serving(tmp_path, monkeypatch) as (server, _):
        await told(server, lambda found: not found)

        def readonly(_: apsw.Connection) -> contextlib.AbstractContextManager[None]:
            raise apsw.ReadOnlyError("attempt to write a readonly database")

        with monkeypatch.context() as broken:
            broken.setattr("fire22.sportsbook.book.database.transaction", readonly)
            assert (await told(server, lambda found: "desk" in found))["desk"] == "book_readonly"
        await told(server, lambda found: not found)


@pytest.mark.parametrize(
    ("descriptors", "wanted", "allowed"), [(20_000, 0, 19_744), (20_000, 500, 500), (1024, 5000, 768), (257, 0, 1)]
)
def test_connections_by_the_limit_of_open_files(descriptors: int, wanted: int, allowed: int) -> None:
    """A server takes no more connections than the system lets it open files for, whatever is configured."""
    assert process.connections_allowed(descriptors, 256, wanted) == allowed


def test_too_few_open_files_are_said_at_the_start() -> None:
    """With a limit at which nobody could be served, the start says what to raise, instead of failing at each accept."""
    with pytest.raises(SetupError, match="ulimit -n") as refused:
        process.connections_allowed(64, 256, 0)
    assert refused.value.code is codes.CONFIG_INVALID


def test_no_limit_at_all_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system sets none, the server still knows how many connections it takes."""
    infinity = resource.RLIM_INFINITY
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, infinity))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert process.raise_descriptor_limit() == process.DESCRIPTORS_MAX
    assert asked == [(process.DESCRIPTORS_MAX, process.DESCRIPTORS_MAX)]


def _is_source(part: str) -> bool:
    return part.startswith("sqlite:")


def _newest(server: app.Application) -> bytes:
    """The newest events, as they are in memory."""
    return b"".join(body for group in list(server.log._tail)[-20:] for body in group.bodies)

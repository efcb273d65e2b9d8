"""50,000 real wagers through the whole line, while the server is killed again and again.

Replay writes to a book as an outside program would; triggers, log, flows, feed and hub carry them to a client that
reconnects with its position. What the client has in the end is compared with the book and with the file itself.
"""

import asyncio
import csv
import gzip
import json
import random
import time
import urllib.request
from decimal import Decimal
from pathlib import Path

import apsw
import pytest
from msgspec import Struct

from fire22.client import connect
from fire22.core.message import Json
from fire22.security.key_files import load_key
from fire22.security.tokens import Tokens
from fire22.sources.sqlite import install as outbox
from fire22.sportsbook.book import writer
from fire22.sportsbook.book.create import create_book
from tests.browser.page import open_page
from tests.integration.processes import Server, run_program, serving

pytestmark = [pytest.mark.external_data, pytest.mark.timeout(300)]

MAPPING = Path(__file__).parents[2] / "examples" / "bustabit.toml"
KILLS = 12
SEED = 20261123
SPEED = "150000"  # forty days in about half a minute, so that every kill falls into the flow
ACTIONS = {"wager.placed": "placed", "wager.settled": "settled"}


class Run(Struct, frozen=True):
    """What is left after the run."""

    file: Path
    folder: Path
    book: Path
    seen: list[tuple[str, str]]
    document: Json
    view: Json
    kills: int


@pytest.fixture(scope="module")
def run(recorded_wagers: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run, once for all tests of this file."""
    return asyncio.run(replay_under_fire(recorded_wagers, tmp_path_factory.mktemp("real")))


async def replay_under_fire(file: Path, folder: Path) -> Run:
    """Replay the file into a fresh book while the server on it is killed."""
    book = folder / "book.db"
    create_book(book, install=outbox.install, clock="recorded")
    record_commits(book)
    server = Server("serve", folder / "data", "--book", str(book))
    async with serving(server):
        token = admin_token(server.data)
        start = epoch(view(server, token)) + "-0"
        seen: list[tuple[str, str]] = []
        async with connect(server.url, token=token, proxy=None) as client:
            kpi = client.subscribe("kpi", delta=True)
            reading = asyncio.create_task(collect(client.subscribe("wagers", after=start), seen))
            replaying = asyncio.create_task(
                run_program("replay", str(file), "--mapping", str(MAPPING), "--book", str(book), "--speed", SPEED)
            )
            kills = await kill_again_and_again(server, seen)
            await replaying
            expected = len(committed(book))
            async with asyncio.timeout(120):
                while len(seen) < expected or kpi.document() != document(view(server, token)):
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)  # anything that came twice would come now
            reading.cancel()
            return Run(file, folder, book, seen, kpi.document(), document(view(server, token)), kills)


async def collect(subscription: object, seen: list[tuple[str, str]]) -> None:
    """Keep what a subscription brings."""
    async for message in subscription:  # type: ignore[attr-defined]
        seen.append((message.data["wagerId"], message.data["action"]))


async def kill_again_and_again(server: Server, seen: list[tuple[str, str]]) -> int:
    """Kill the server at random moments, each time while messages flow."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for _ in range(KILLS):
        before = len(seen)
        async with asyncio.timeout(60):
            while len(seen) == before:
                await asyncio.sleep(0.005)
        await asyncio.sleep(chance.uniform(0.0, 0.6))
        await server.kill()
        await server.start()
    return KILLS


def record_commits(book: Path) -> None:
    """Let the book itself note what is committed, in order, for the test alone."""
    connection = apsw.Connection(str(book))
    connection.execute("CREATE TABLE test_commits(number INTEGER PRIMARY KEY, type TEXT, wager TEXT)")
    for table, column, type in (("wagers", "id", "wager.placed"), ("settlements", "wager_id", "wager.settled")):
        connection.execute(
            f"CREATE TRIGGER test_{table} AFTER INSERT ON {table} BEGIN "
            f"INSERT INTO test_commits(type, wager) VALUES('{type}', NEW.{column}); END"
        )
    connection.close()


def committed(book: Path) -> list[tuple[str, str]]:
    """The wagers and their actions, in the order of the book's commits."""
    connection = apsw.Connection(str(book))
    try:
        rows = connection.execute("SELECT wager, type FROM test_commits ORDER BY number").fetchall()
    finally:
        connection.close()
    return [(str(wager), ACTIONS[str(type)]) for wager, type in rows]


def admin_token(data: Path) -> str:
    """A token for the server on a folder."""
    tokens = Tokens(load_key(data / "token.key"))
    return tokens.sign(subject="test", role="admin", scope="/", ttl_s=3600, now_ms=time.time_ns() // 1_000_000)


def view(server: Server, token: str) -> dict[str, Json]:
    """The server's own answer for the whole book."""
    request = urllib.request.Request(f"{server.url}/v1/views/kpi", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        body: dict[str, Json] = json.load(response)
    return body


def document(answer: dict[str, Json]) -> Json:
    """The one document of a view's answer."""
    documents = answer["documents"]
    assert isinstance(documents, list)
    first = documents[0] if documents else {}
    assert isinstance(first, dict)
    return first.get("data")


def epoch(answer: dict[str, Json]) -> str:
    """The epoch in a view's answer."""
    return str(answer["position"]).partition("-")[0]


def test_revenue_is_that_of_the_file_to_the_cent(run: Run) -> None:
    """The final revenue is what the file says, by the view, by the client, and by plain SQL over the book."""
    lost = won = Decimal(0)
    with gzip.open(run.file, "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["Profit"] == "NA":
                lost += Decimal(row["Bet"])
            else:
                won += Decimal(row["Profit"])
    assert lost - won == Decimal("-2287118.27")
    assert isinstance(run.view, dict)
    assert run.view["revenue"] == float(lost - won)
    assert run.view["pending"] == 0
    assert run.document == run.view
    connection = apsw.Connection(str(run.book))
    assert writer.gross_revenue_minor(connection) == int((lost - won) * 100)
    connection.close()


def test_nothing_is_lost_and_nothing_comes_twice(run: Run) -> None:
    """Over at least ten kills the client's list of wagers and actions is exactly the book's, in commit order."""
    assert run.kills >= 10
    expected = committed(run.book)
    assert len(expected) == 100_000
    assert run.seen == expected


async def test_a_new_start_shows_the_same_and_the_log_gives_the_feed(run: Run) -> None:
    """After the kills the file is whole, the feed is what the log gives, and a new server has the same figures."""
    output = await run_program("check", "--data", str(run.folder / "data"), "--book", str(run.book), "--replay")
    assert "byte for byte" in output
    async with serving(Server("serve", run.folder / "data", "--book", str(run.book))) as server:
        assert document(view(server, admin_token(server.data))) == run.view


async def test_the_page_shows_the_figures(run: Run, chromium: str) -> None:
    """A risk manager's page shows the revenue of the recorded wagers, to the cent."""
    server = Server("serve", run.folder / "data", "--book", str(run.book))
    async with serving(server), open_page(chromium, server.link) as page:
        await page.wait_for_function("() => document.body.innerText.includes('2,287,118.27')")

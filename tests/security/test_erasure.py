"""Erasing a customer: the key of what is personal is destroyed, and money, order and replay stay as they were."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
import uvloop
from typer.testing import CliRunner

from fire22 import app
from fire22.cli import program
from fire22.core.errors import RequestError, SetupError, StorageError
from fire22.flows.replay_check import check_replay
from fire22.log.cipher import PLAIN, Cipher
from fire22.log.database import connect, query
from fire22.log.people import DAMAGED, ERASED, NAME, SHOWN, People, check_setting
from fire22.sportsbook.book import writer
from fire22.sportsbook.demo import simulator
from fire22.sportsbook.demo.catalogue import SMALL
from tests.integration.inside import make_config, talking, until
from tests.integration.test_http import request
from tests.support.demo_book import DemoBook
from tests.support.storage import START_MS

LOOP_FACTORY = uvloop.new_event_loop
SEED = 20_261_129
KEY = Cipher([bytes(range(32))])


FEW_GAMES = msgspec.structs.replace(SMALL, games=4, live_games=1)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> DemoBook:
    """A book with wagers, payments and sessions."""
    made = DemoBook(tmp_path_factory.mktemp("book") / "book.db")
    made.connection.execute("PRAGMA synchronous=OFF")
    running = simulator.start(made.connection, rate_hz=1, seed=SEED, now_ms=START_MS, size=FEW_GAMES)
    for minute in range(1, 8):
        for items in running.step(START_MS + minute * 60_000):
            writer.write(made.connection, items)
    made.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return made


def config(folder: Path, book: DemoBook, *, reader: str = "thread", erasable: bool = True) -> app.Settings:
    """Of a server on a copy of the book, for a book has one reader."""
    copy = folder / "book.db"
    if not copy.exists():
        folder.mkdir(exist_ok=True)
        shutil.copyfile(book.path, copy)
    return make_config(folder / "data", copy, book={"reader": reader}, personal={"erasable": erasable})


def documents(folder: Path, *, erasable: bool = True) -> dict[str, Any]:
    """All documents of all scopes as they are read, but for alerts, which name addresses."""
    people = People(folder) if erasable else None
    found: dict[str, Any] = {}
    with closing(connect(folder / "flows.db")) as connection:
        for topic, scope, key, body in query(connection, "SELECT topic, scope, key, body FROM document"):
            if topic != "alerts" and body != b"null":
                assert isinstance(body, bytes)
                found[f"{topic} {scope} {key}"] = msgspec.json.decode(people.open(body) if people else body)
    if people is not None:
        people.close()
    return found


async def told(server: app.Application) -> None:
    """The whole book has been read and shown."""
    await until(lambda: server.delivery.watermark_ms > START_MS and server.shows_all and not server.engine.waiting)


async def figures_page(server: app.Application, scope: str) -> str:
    """All that is shown of a topic with names, by each way to read it."""
    await told(server)
    async with talking(server) as talk:
        follow = await talk.ask("subscribe", target="figures", scope=scope)
        past = await talk.ask("history", target="wagers", limit=500)
    csv = await request(server, "GET", f"/v1/archive/figures?format=csv&limit=1000&scope={scope}")
    view = await request(server, "GET", f"/v1/views/figures?scope={scope}")
    return f"{follow} {past} {csv.body.decode()} {view.body.decode()}"


def in_files(folder: Path, texts: set[str]) -> set[str]:
    """Which texts are anywhere in the files of a folder."""
    content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return {each for each in texts if each.encode() in content}


def personal(book: DemoBook) -> tuple[set[str], set[str]]:
    """The names of customers that no agent has too, and the addresses that they came from."""
    names = set(book.column("SELECT name FROM customers EXCEPT SELECT name FROM agents"))
    addresses = set(book.column("SELECT ip FROM wagers UNION SELECT ip FROM access_logs"))
    return {each for each in names if each}, {each for each in addresses if each}


@pytest.mark.parametrize("reader", ["thread", "process"])
async def test_an_erased_customer_is_in_no_file_and_every_figure_stays(
    reader: str, book: DemoBook, tmp_path: Path
) -> None:
    """Names are read while their keys are there; of who is erased "erased" is read, and money is as it was."""
    settings = config(tmp_path, book, reader=reader)
    names, addresses = personal(book)
    code, name, scope = book.rows(
        "SELECT c.code, c.name, a.path FROM customers c JOIN agents a ON a.id = c.agent_id"
        " WHERE c.id IN (SELECT customer_id FROM wagers WHERE status = 'settled')"
        " AND c.name IN (SELECT name FROM customers GROUP BY name HAVING count(*) = 1)"
        " AND c.name NOT IN (SELECT name FROM agents) LIMIT 1"
    )[0]
    async with app.running(settings) as server:
        said = await figures_page(server, scope)
        assert name in said
        assert SHOWN not in said
        assert not [each for each in addresses if each in said]
    assert len(names) > 100
    assert len(addresses) > 10
    assert in_files(tmp_path / "data", names | addresses) == set()
    before = documents(tmp_path / "data")
    done = CliRunner().invoke(program, ["erase", code, "--data", str(tmp_path / "data")])
    assert done.exit_code == 0, done.output
    assert "audit trail does not say" not in done.output
    async with app.running(settings) as server:
        said = await figures_page(server, scope)
        assert name not in said
        assert SHOWN in said
        assert await replayed(tmp_path / "data") > 0
    after = documents(tmp_path / "data")
    was = msgspec.json.encode(before).decode().replace(f'"{name}"', f'"{SHOWN}"')
    assert after == msgspec.json.decode(was)
    assert len(after) > 100


async def test_money_is_the_same_whether_names_are_sealed_or_not(book: DemoBook, tmp_path: Path) -> None:
    """Sealing changes no figure: what is shown of both servers is equal."""
    shown = []
    for erasable in (False, True):
        async with app.running(config(tmp_path / str(erasable), book, erasable=erasable)) as server:
            await told(server)
        shown.append(documents(tmp_path / str(erasable) / "data", erasable=erasable))
    assert len(shown[0]) > 100
    assert shown[0] == shown[1]


async def replayed(folder: Path) -> int:
    """How many events are replayed to the same bytes."""
    with closing(connect(folder / "flows.db")) as connection:
        return check_replay(connection, app.build_engine(("bench",))).events


def test_who_is_erased_stays_erased(tmp_path: Path) -> None:
    """The book says the name again, the keys are put back from a backup, or the person was never heard of since."""
    people = People(tmp_path, KEY)
    sealed = people.seal("7", "C7", "Ann Lee")
    assert sealed == people.seal("7", "C7", "Ann Lee") != people.seal("8", "C8", "Ann Lee")
    people.keep()
    people.close()
    backup = tmp_path / "backup.db"
    shutil.copyfile(tmp_path / NAME, backup)
    people = People(tmp_path, KEY)
    assert people.open(f'{{"a":"{sealed} won"}}'.encode()) == b'{"a":"Ann Lee won"}'
    people.erase("C7")
    people.close()
    for _ in range(2):
        people = People(tmp_path, KEY)
        assert people.open(sealed.encode()) == SHOWN.encode()
        again = people.seal("7", "C7", "Ann Lee")
        assert people.open(again.encode()) == SHOWN.encode()
        assert again != sealed
        people.keep()
        people.close()
        shutil.copyfile(backup, tmp_path / NAME)
    (tmp_path / NAME).unlink()
    people = People(tmp_path, KEY)
    assert people.open(people.seal("7", "C7", "Ann Lee").encode()) == SHOWN.encode()
    people.close()


def test_the_destroyed_key_is_in_no_file(tmp_path: Path) -> None:
    """Neither the file of keys nor its write-ahead log holds what opened the name."""
    people = People(tmp_path, PLAIN)
    people.seal("7", "C7", "Ann Lee")
    people.keep()
    (key,) = [
        bytes(row[0]) for row in apsw.Connection(str(tmp_path / NAME)).execute("SELECT key FROM person WHERE id = 7")
    ]
    assert len(key) == 32
    people.erase("C7")
    assert not any(key in path.read_bytes() for path in tmp_path.iterdir())
    people.close()


def test_a_key_is_encrypted_anew(tmp_path: Path) -> None:
    """After `fire22 rekey` the newest key of the book opens the names, and the former one is no longer needed."""
    people = People(tmp_path, KEY)
    sealed = people.seal("7", "C7", "Ann Lee")
    people.keep()
    people.close()
    new = bytes(range(32, 64))
    people = People(tmp_path, Cipher([*KEY.keys, new]))
    assert people.encrypt_anew() == 2
    people.close()
    people = People(tmp_path, Cipher([new]))
    assert people.open(sealed.encode()) == b"Ann Lee"
    people.close()
    with pytest.raises(StorageError, match="name the key"):
        People(tmp_path, KEY)


@pytest.mark.parametrize("name", ['Q"uo\\te', "Zoë Ł", "{{p:Nw:AAAA}}", "</script>"])
def test_a_name_is_opened_as_it_was(name: str, tmp_path: Path) -> None:
    """Whatever is in a name, a message with it stays JSON, and what looks sealed in it is not opened."""
    people = People(tmp_path)
    message = msgspec.json.encode({"name": people.seal("7", "C7", name)})
    assert msgspec.json.decode(people.open(message)) == {"name": name}
    people.close()


def test_a_sealed_text_of_another_person_says_nothing(tmp_path: Path) -> None:
    """A text that was moved under another's id, altered or invented opens nothing."""
    people = People(tmp_path)
    sealed = people.seal("7", "C7", "Ann Lee")
    people.seal("8", "C8", "Bob Ray")
    other = people.seal("8", "C8", "Bob Ray").split(":")[1]
    for text in (sealed.replace(sealed.split(":")[1], other, 1), sealed[:-4] + "AA}}", "{{p::AAAA}}", "{{p:Nw:A}}"):
        assert people.open(text.encode()) in (SHOWN.encode(), DAMAGED.encode())
    people.close()


@pytest.mark.parametrize("cipher", [PLAIN, KEY], ids=["plain", "encrypted"])
def test_a_damaged_key_is_no_erased_customer(cipher: Cipher, tmp_path: Path) -> None:
    """Its name reads unreadable, all others are there, and no message ends what delivers it."""
    people = People(tmp_path, cipher)
    sealed, other = people.seal("7", "C7", "Ann Lee"), people.seal("8", "C8", "Bob Ray")
    people.keep()
    people.close()
    with closing(apsw.Connection(str(tmp_path / NAME))) as connection:
        (key,) = [bytes(row[0]) for row in connection.execute("SELECT key FROM person WHERE id = '7'")]
        changed = key[:-1] + bytes([key[-1] ^ 1])
        connection.execute("UPDATE person SET key = ? WHERE id = '7'", (changed,))
    people = People(tmp_path, cipher)
    assert people.open(f"{sealed} {other}".encode()) == f"{DAMAGED} Bob Ray".encode()
    people.close()


def test_a_torn_line_of_who_was_erased_stops_nobody(tmp_path: Path) -> None:
    """An erasure whose line was not written whole was never told as done; the next is written behind what is whole."""
    people = People(tmp_path)
    for id in ("7", "8"):
        people.seal(id, f"C{id}", "Ann Lee")
    people.keep()
    people.close()
    (tmp_path / ERASED).write_bytes(b'"5"\n"7')
    people = People(tmp_path)
    assert people.open(people.seal("7", "C7", "Ann Lee").encode()) == b"Ann Lee"
    people.erase("C8")
    people.close()
    assert (tmp_path / ERASED).read_bytes() == b'"5"\n"8"\n'


def test_half_a_folder_is_not_sealed(tmp_path: Path) -> None:
    """The setting is chosen before the first start: names that lie in the log unsealed could not be erased."""
    check_setting(tmp_path, erasable=False, begun=True)
    check_setting(tmp_path, erasable=True, begun=False)
    with pytest.raises(SetupError, match="needs an empty one"):
        check_setting(tmp_path, erasable=True, begun=True)
    People(tmp_path).close()
    check_setting(tmp_path, erasable=True, begun=True)
    with pytest.raises(SetupError, match="leave"):
        check_setting(tmp_path, erasable=False, begun=True)


def test_nobody_is_erased_by_a_wrong_name(tmp_path: Path) -> None:
    """Who is asked to erase a customer that is not there is told so, and nothing is listed."""
    people = People(tmp_path)
    for code in ("C1", ""):
        with pytest.raises(RequestError, match="No customer"):
            people.erase(code)
    assert not (tmp_path / ERASED).exists()
    people.close()

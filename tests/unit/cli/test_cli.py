"""The program: what a person types, and what it answers when that is wrong."""

import asyncio
import contextlib
import re
import socket
from pathlib import Path

import apsw
import msgspec
import pytest
from typer.testing import CliRunner, Result

from fire22 import __version__, app
from fire22.cli import program
from fire22.core.event import Metadata, encode_event
from fire22.flows.engine import CONFIGURED, configuration
from fire22.log.database import meta
from fire22.log.file import open_file
from fire22.process import locked
from fire22.security.key_files import load_key
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation
from fire22.security.tokens import Tokens
from fire22.sources.sqlite import install as outbox
from fire22.sportsbook.demo.create import create_demo
from fire22.store.sqlite import NAME as STORE
from fire22.store.sqlite import SqliteStore
from tests.support.people import people
from tests.support.storage import encoded, event, folding, opened, wait_folded
from tests.support.twins import ROOT, TABLES

NOW_MS = 1_900_000_000_000


def fire22(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(program, [str(each) for each in arguments])


def refused(code: str, *arguments: object) -> str:
    """Run a command that must fail with a code and no traceback; returns what it said."""
    result = fire22(*arguments)
    assert result.exit_code == 1, result.output
    assert f"error code: {code}" in result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A demo book whose triggers were removed again."""
    path = tmp_path / "book.db"
    create_demo(path, seed=1, now_ms=NOW_MS, install=outbox.install)
    outbox.uninstall(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with an empty log."""
    folder = tmp_path / "data"
    folder.mkdir()
    open_file(folder / "flows.db").close()
    return folder


def epoch(path: Path) -> str:
    """The epoch of a log's file."""
    connection = apsw.Connection(str(path))
    try:
        return str(meta(connection, "epoch"))
    finally:
        connection.close()


def test_a_token_is_for_the_server_on_the_folder(tmp_path: Path) -> None:
    """`fire22 token` prints a token that this folder's server takes, with the role and scope that were asked for."""
    result = fire22("token", "--data", tmp_path / "data", "--role", "agent", "--scope", "/M1/A7")
    principal = Tokens(load_key(tmp_path / "data" / "token.key")).verify(result.stdout.strip(), now_ms=app.now_ms())
    assert (principal.role, principal.scope) == ("agent", "/M1/A7")
    assert (tmp_path / "data" / "token.key").stat().st_mode & 0o777 == 0o600


async def agents_of(data: Path) -> None:
    """A log that has told of an agent and a customer."""
    agent = {"agentId": "a", "path": "/M1", "name": "M1", "level": 1, "status": "active"}
    customer = {"customerId": "C1", "agentId": "a", "path": "/M1", "name": "C", "status": "active"}
    async with opened(data / "flows.db") as storage, folding(storage, app.build_engine(())):
        facts = (("1", "agent.created", agent), ("2", "customer.created", customer))
        await storage.log.append([encoded(id, type=type, data=body) for id, type, body in facts])
        await wait_folded(storage, 2)


def test_a_token_for_a_scope_that_nobody_knows_comes_with_a_warning(data: Path) -> None:
    """A mistyped agent is noticed at once, and not by an empty page; the token is printed all the same."""
    asyncio.run(agents_of(data))
    for scope, known in (("/", True), ("/M1", True), ("/M1/@C1", True), ("/NOPE", False), ("/M1/@C2", False)):
        result = fire22("token", "--data", data, "--scope", scope)
        assert result.exit_code == 0
        assert result.stdout.count(".") == 2
        assert (f"has told of no {scope} yet" in result.stderr) is not known, scope


def test_a_token_for_a_folder_that_was_not_there_comes_with_a_warning(tmp_path: Path) -> None:
    """A mistyped folder is made, and no running server takes its token: that is said, once."""
    for warned in (True, False):
        result = fire22("token", "--data", tmp_path / "typo")
        assert result.exit_code == 0
        assert ("There was no folder" in result.stderr) is warned


def test_a_token_may_name_a_client(tmp_path: Path) -> None:
    """`fire22 token --client` prints a token for one device or installation; an id that none can have is refused."""
    result = fire22("token", "--data", tmp_path / "data", "--client", "till-3")
    principal = Tokens(load_key(tmp_path / "data" / "token.key")).verify(result.stdout.strip(), now_ms=app.now_ms())
    assert (principal.subject, principal.client) == ("cli", "till-3")
    for wrong in ("", "till 3", "x" * 201):
        assert "1 to 200" in refused("config_invalid", "token", "--data", tmp_path / "data", "--client", wrong)


def test_wrong_arguments_are_named(tmp_path: Path, book: Path) -> None:
    """A wrong role, scope, rate, speed or mapping is one sentence that says what would be right."""
    assert "there are: admin" in refused("config_invalid", "token", "--data", tmp_path, "--role", "boss")
    assert "/M1/A7" in refused("scope_invalid", "token", "--data", tmp_path, "--scope", "M1")
    assert "5000" in refused("config_invalid", "demo", "--data", tmp_path / "d", "--rate", "-1")
    assert "steam@SECONDS" in refused("config_invalid", "demo", "--data", tmp_path / "d", "--incident", "goal@3")
    assert "5000" in refused("config_invalid", "demo", "--data", tmp_path / "d", "--markets", "0")
    assert "seconds" in refused("config_invalid", "demo", "--data", tmp_path / "d", "--incidents-every", "-1")
    recorded = tmp_path / "wagers.csv"
    recorded.write_text("Id\n1\n")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text("[file]\nformt = 'csv'\n")
    assert "formt" in refused("mapping_invalid", "replay", recorded, "--mapping", mapping, "--book", tmp_path / "b.db")
    assert "`max`" in refused(
        "config_invalid",
        "replay",
        recorded,
        "--mapping",
        Path(__file__).parents[3] / "examples" / "bustabit.toml",
        "--book",
        tmp_path / "b.db",
        "--speed",
        "fast",
    )
    assert "--data" in refused("auth_required", "tail", "wagers")


def test_a_wrong_configuration_names_its_key(tmp_path: Path) -> None:
    """An unknown key or a wrong unit stops the start with the key's name."""
    config = tmp_path / "fire22.toml"
    config.write_text("[hub]\nflush_interval_s = 1\n")
    assert "hub.flush_interval_ms" in refused("config_invalid", "serve", "-c", config)
    config.write_text("[hub]\nheartbeat_s = '25s'\n")
    assert "hub.heartbeat_s" in refused("config_invalid", "serve", "-c", config)
    assert "cannot be read" in refused("config_invalid", "check", "-c", tmp_path / "none.toml")


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    """The operator learns that another program listens, and how to choose another port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("port_in_use", "serve", "--data", tmp_path / "data", "--port", port)
    assert "--port" in said


def test_an_address_that_there_is_not_is_said(tmp_path: Path) -> None:
    """A host that no name server and no interface knows is a wrong configuration, not a port in use."""
    there_is_not = ("--port", 0, "--host", "no.such.host.invalid")
    assert "--host" in refused("config_invalid", "serve", "--data", tmp_path / "data", *there_is_not)


def test_a_missing_or_foreign_book_is_said(tmp_path: Path, book: Path) -> None:
    """No file, no triggers, and a file that is no database are three different sentences."""
    refused("book_missing", "install-triggers", tmp_path / "none.db")
    refused("book_missing", "install-triggers", tmp_path / "none.db", "--dry-run")
    refused("book_missing", "serve", "--data", tmp_path / "data", "--port", 0, "--book", tmp_path / "none.db")
    said = refused("book_missing", "serve", "--data", tmp_path / "data", "--port", 0, "--book", book)
    assert "fire22 install-triggers" in said
    junk = tmp_path / "junk.db"
    junk.write_text("not a database at all, but long enough to look at" * 50)
    refused("book_corrupt", "install-triggers", junk)
    apsw.Connection(str(tmp_path / "other.db")).execute("CREATE TABLE wagers(id)").close()
    assert "wagers" in refused("book_schema", "install-triggers", tmp_path / "other.db")


def test_triggers_come_once_and_go_whole(book: Path) -> None:
    """A dry run changes nothing, the second install finds everything in place, uninstalling leaves no trace."""
    before = book.read_bytes()
    assert "create triggers" in fire22("install-triggers", book, "--dry-run").output
    assert book.read_bytes() == before
    first = fire22("install-triggers", book)
    assert first.exit_code == 0
    assert "brings in the rows that are there" in " ".join(first.output.split())
    assert "Everything is in place" in fire22("install-triggers", book).output
    assert "Removed" in fire22("install-triggers", book, "--uninstall").output
    connection = apsw.Connection(str(book))
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'fire22%'").get == 0
    connection.close()


def test_a_mapped_book_is_checked_before_it_is_touched(tmp_path: Path, data: Path) -> None:
    """What cannot be mapped is printed value by value; after a correction the triggers come, of that mapping alone."""
    book, map = tmp_path / "northbet.db", ROOT / "examples" / "northbet.toml"
    connection = apsw.Connection(str(book))
    connection.execute(TABLES)
    connection.execute("INSERT INTO Agents VALUES(1, 'M1', NULL, 7, NULL)")
    before = book.read_bytes()
    for arguments in (("install-triggers", book), ("check", "--data", data, "--book", book)):
        said = refused("mapping_invalid", *arguments, "--mapping", map)
        assert "Agents.Closed = 7 is not mapped (1 row, such as 1)" in said
    assert book.read_bytes() == before
    connection.execute("UPDATE Agents SET Closed = 1")
    connection.close()
    assert "install-triggers" in refused("book_schema", "check", "--data", data, "--book", book, "--mapping", map)
    assert "brings in" in fire22("install-triggers", book, "--mapping", map).output
    assert "triggers are in place" in fire22("check", "--data", data, "--book", book, "--mapping", map).output
    other = tmp_path / "other.toml"
    other.write_text(map.read_text().replace('money = "major"', 'money = "micro"'))
    config = tmp_path / "fire22.toml"
    config.write_text(f'data = "{data}"\n[book]\npath = "{book}"\nmapping = "{other}"\n')
    assert "not those of the mapping" in refused("book_schema", "serve", "-c", config, "--port", 0)


def test_the_currencies_of_mapping_and_configuration_are_one(tmp_path: Path, data: Path) -> None:
    """A mapping in pounds beside a configuration in dollars would count each for the other: both are named."""
    book, map = tmp_path / "northbet.db", tmp_path / "map.toml"
    apsw.Connection(str(book)).execute(TABLES)
    text = (ROOT / "examples" / "northbet.toml").read_text()
    map.write_text(f'currency = "GBP"\n{text}')
    config = tmp_path / "fire22.toml"
    config.write_text(f'data = "{data}"\n[book]\npath = "{book}"\nmapping = "{map}"\n')
    for arguments in (
        ("check", "-c", config),
        ("install-triggers", book, "--mapping", map, "-c", config),
        ("serve", "-c", config, "--port", 0),
    ):
        said = " ".join(refused("mapping_invalid", *arguments).split())
        assert "is GBP" in said and "`book.currency` of the configuration is USD" in said
    assert "brings in" in fire22("install-triggers", book, "--mapping", map).output


def test_check_says_what_is_missing(book: Path, data: Path) -> None:
    """Before a start the operator sees whether book and log are fit."""
    assert "install-triggers" in refused("book_schema", "check", "--data", data, "--book", book)
    fire22("install-triggers", book)
    result = fire22("check", "--data", data, "--book", book, "--replay")
    assert result.exit_code == 0, result.output
    assert "byte for byte" in result.output
    assert "none yet" in fire22("check", "--data", data.with_name("fresh")).output
    (data / "flows.db").write_bytes(b"garbage" * 1000)
    refused("storage_corrupt", "check", "--data", data)
    assert "is not a folder" in refused("config_invalid", "check", "--data", data / "flows.db")


async def letters_of(data: Path, count: int) -> None:
    """A log whose every event is one that no flow can use."""
    async with opened(data / "flows.db") as storage, folding(storage, app.build_engine(())):
        await storage.log.append([encoded(f"bad{n}", type="wager.placed", data={"n": n}) for n in range(count)])
        await wait_folded(storage, count)


def test_check_names_the_dead_letters(data: Path) -> None:
    """The operator sees what waits to be dealt with, the oldest first, and a check does not fail for it."""
    assert "dead letters: none" in fire22("check", "--data", data).output
    asyncio.run(letters_of(data, 25))
    result = fire22("check", "--data", data, "--replay")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "dead letters: 25 open" in lines
    assert [line.split()[:3] for line in lines if "bad" in line] == [
        [str(number + 1), "wager.placed", f"bad{number}:"] for number in range(20)
    ]
    assert "event_invalid" in result.output
    assert "  and 5 more" in lines
    assert "byte for byte" in result.output


def test_a_restored_backup_has_a_new_epoch(data: Path, tmp_path: Path) -> None:
    """A backup is never written over something; restoring one makes positions of before known to be of another feed."""
    copy = tmp_path / "copy.db"
    assert fire22("backup", "--data", data, copy).exit_code == 0
    refused("config_invalid", "backup", "--data", data, copy)
    refused("config_invalid", "restore", "--data", data, copy)
    before = epoch(data / "flows.db")
    assert fire22("restore", "--data", data, copy, "--replace").exit_code == 0
    assert epoch(data / "flows.db") != before
    assert epoch(data / "flows.db.replaced") == before
    refused("config_invalid", "restore", "--data", data, tmp_path / "none.db", "--replace")
    refused("config_invalid", "restore", "--data", tmp_path / "fresh", tmp_path / "none.db")
    assert not (tmp_path / "fresh").exists()
    copy.write_bytes(copy.read_bytes()[:5000])
    refused("storage_corrupt", "restore", "--data", data, copy, "--replace")
    assert (data / "flows.db").exists()


def test_nothing_that_was_ended_comes_back_with_a_backup(data: Path, tmp_path: Path) -> None:
    """Sessions, and tokens that were revoked after the backup was made, are of no use on the restored folder."""
    copy, now_ms = tmp_path / "copy.db", app.now_ms()
    old = Principal("ann", "admin", "/", now_ms + 10**9, issued_ms=now_ms)
    later = msgspec.structs.replace(old, issued_ms=now_ms + 10**7)

    async def enter() -> None:
        with contextlib.closing(SqliteStore(data / STORE, asyncio.get_running_loop(), now_ms=app.now_ms)) as store:
            await people(app.now_ms, store).sessions.open(old, named=False)

    async def restored() -> tuple[bool, bool, int]:
        with contextlib.closing(SqliteStore(data / STORE, asyncio.get_running_loop(), now_ms=app.now_ms)) as store:
            revocation = Revocation(store, now_ms=app.now_ms)
            await revocation.load()
            return revocation.refuses(old), revocation.refuses(later), len(await store.list("session/", limit=10))

    asyncio.run(enter())
    assert fire22("backup", "--data", data, copy).exit_code == 0
    assert fire22("token", "revoke", "--data", data, "--user", "staff:ann").exit_code == 0
    assert fire22("restore", "--data", data, copy, "--replace").exit_code == 0
    assert asyncio.run(restored()) == (True, False, 0)


def test_the_version_is_said() -> None:
    """`fire22 --version` is what a report of a fault begins with."""
    result = fire22("--version")
    assert (result.exit_code, result.output) == (0, f"fire22 {__version__}\n")


def test_a_check_beside_a_server_reads_alone(data: Path) -> None:
    """An operator checks the folder of a server that runs; what would write is refused, and says that it runs."""
    with locked(data):
        result = fire22("check", "--data", data, "--replay")
        assert result.exit_code == 0, result.output
        assert "a server runs on the data folder" in result.output
        assert "log: ok" in result.output and "byte for byte" in result.output
        for option in ("--repair", "--reconcile"):
            refused("storage_in_use", "check", "--data", data, option)
    assert "a server runs" not in fire22("check", "--data", data).output


def test_a_check_goes_on_where_the_book_has_faults(tmp_path: Path, data: Path) -> None:
    """Of a mapped book without its mapping `check --replay` names `--mapping`, and compares the log all the same."""
    book, map = tmp_path / "northbet.db", ROOT / "examples" / "northbet.toml"
    connection = apsw.Connection(str(book))
    connection.execute(TABLES)
    result = fire22("check", "--data", data, "--book", book, "--replay")
    assert result.exit_code == 1
    assert "--mapping FILE" in " ".join(result.stderr.split())
    assert "byte for byte" in result.stdout
    assert fire22("install-triggers", book, "--mapping", map).exit_code == 0
    connection.execute("INSERT INTO Agents VALUES(1, 'M1', NULL, 7, NULL)")
    connection.close()
    result = fire22("check", "--data", data, "--book", book, "--mapping", map, "--replay")
    said = " ".join(result.stdout.split())
    assert "Agents.Closed = 7 is not mapped" in said
    assert "1 values cannot be mapped, and facts of rows that have them are set aside" in said
    assert "byte for byte" in said
    assert result.exit_code == 0, result.output


async def relayed(data: Path, *configurations: tuple[str, ...]) -> None:
    """A log on which servers ran one after the other, each with these open topics, and relayed an event to each."""
    for number, topics in enumerate(configurations):
        engine = app.build_engine(topics)
        settings = configuration(engine.flows, {"relay": {"open_topics": list(topics)}})
        events = [encoded(f"set{number}", type=CONFIGURED, data=msgspec.json.decode(settings))]
        for topic in ("bench", "news"):
            said = msgspec.structs.replace(event(f"{number} {topic}"), metadata=Metadata(category=topic))
            events.append(encode_event(said))
        async with opened(data / "flows.db") as storage, folding(storage, engine):
            await storage.log.append(events)
            await wait_folded(storage, storage.log.last_seq)


@pytest.mark.parametrize("configurations", [[("bench",)], [("bench", "news"), ("bench",)], [(), ("news",)]])
def test_a_replay_serves_the_open_topics_of_the_log(data: Path, configurations: list[tuple[str, ...]]) -> None:
    """Who checks a folder need not know which topics its servers had opened; the feed is not called corrupt."""
    asyncio.run(relayed(data, *configurations))
    result = fire22("check", "--data", data, "--replay")
    assert result.exit_code == 0, result.output
    assert "byte for byte" in result.output


def test_a_repair_keeps_the_messages_of_open_topics(data: Path) -> None:
    """What is made again from the log has the messages of the topics that its last server had opened."""
    asyncio.run(relayed(data, ("bench",)))
    with contextlib.closing(apsw.Connection(str(data / "flows.db"))) as connection:
        connection.execute("UPDATE feed SET at_ms = at_ms + 1 WHERE topic = 'bench'")
    assert "repaired" in fire22("check", "--data", data, "--repair").output
    with contextlib.closing(apsw.Connection(str(data / "flows.db"))) as connection:
        assert connection.execute("SELECT count(*) FROM feed WHERE topic = 'bench'").get == 1
    assert fire22("check", "--data", data, "--replay").exit_code == 0


def test_a_report_is_found_by_the_configuration(data: Path, tmp_path: Path) -> None:
    """`fire22 report -c` reads the data folder that the configuration names, and `--data` comes before it."""
    config = tmp_path / "fire22.toml"
    config.write_text(f'data = "{data}"\n')
    assert "There is no report of /" in refused("not_found", "report", "-c", config)
    said = refused("not_found", "report", "-c", config, "--data", tmp_path / "other")
    assert f"There is no log at {tmp_path / 'other'}" in said


def test_a_server_takes_the_mapping_of_its_book_as_an_option(tmp_path: Path, data: Path) -> None:
    """`fire22 serve --mapping` is `book.mapping`: without it the tables of another book are not understood."""
    book, map = tmp_path / "northbet.db", ROOT / "examples" / "northbet.toml"
    with contextlib.closing(apsw.Connection(str(book))) as connection:
        connection.execute(TABLES)
    assert fire22("install-triggers", book, "--mapping", map).exit_code == 0
    other = tmp_path / "other.toml"
    other.write_text(map.read_text().replace('money = "major"', 'money = "micro"'))
    said = refused("book_schema", "serve", "--data", data, "--book", book, "--mapping", other, "--port", 0)
    assert "not those of the mapping" in said


def test_the_running_day_has_no_report_yet(data: Path) -> None:
    """Who asks for today's report learns when it comes, and what to follow until then."""
    asyncio.run(agents_of(data))
    said = refused("not_found", "report", "--data", data)
    day = re.search(r"The day (\d{4}-\d\d-\d\d) is still running", said)
    assert day is not None, said
    assert f"`fire22 tail kpi --data {data}`" in said.replace("\n", "")
    assert "still running" in refused("not_found", "report", "--data", data, "--key", day[1])
    assert "still running" not in refused("not_found", "report", "--data", data, "--key", "2001-01-01")


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "A1", "--role", "agent"),
        ("add", "A1", "--role", "agent", "--scope", "/"),
        ("add", "C1", "--role", "customer"),
        ("set", "ann"),
        ("set", "ann", "--role", "agent", "--scope", "/"),
    ],
)
def test_a_user_below_the_house_has_a_place(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """An agent or a customer without a place in the tree is not added as the whole book; a change says what changes."""
    data = tmp_path / "data"
    password = "correct horse battery"  # pragma: allowlist secret
    added = CliRunner().invoke(program, ["user", "add", "ann", "--role", "risk", "--data", str(data)], input=password)
    assert added.exit_code == 0
    result = CliRunner().invoke(program, ["user", *arguments, "--data", str(data)], input=password)
    assert (result.exit_code, "error code: config_invalid" in result.stderr) == (1, True)
    listed = fire22("user", "list", "--data", data).stdout
    assert listed.split("\t")[:3] == ["ann", "risk", "/"]

"""Encryption at rest: who has the data folder but not the key learns nothing of what was said."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import apsw
import msgspec
import pytest
from typer.testing import CliRunner

from fire22 import app
from fire22.cli import program
from fire22.core import codes
from fire22.core.errors import SetupError, StorageError
from fire22.core.event import EncodedEvent, encode_event
from fire22.flows.rebuild import rebuild
from fire22.flows.replay_check import check_replay
from fire22.log import maintenance
from fire22.log.cipher import PLAIN, VARIABLE, Cipher, read_cipher
from fire22.log.database import connect, query
from fire22.log.file import open_file
from fire22.log.rekey import rekey
from fire22.store.base import Put
from fire22.store.sqlite import SqliteStore
from fire22.store.sqlite import rekey as rekey_store
from tests.support.histories import OPEN_TOPICS, History
from tests.support.storage import folding, opened, read_feed, reseal, stored_groups, wait_folded

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
KEY = Cipher([OLD])
SEED = 20_261_129
TABLES = {"log": "body", "feed": "body", "document": "body", "state": "value", "archive": "body"}


def told(count: int) -> list[EncodedEvent]:
    """The events of a history."""
    return [encode_event(event) for event in History(SEED).take(count)]


async def write(path: Path, cipher: Cipher, count: int = 600) -> None:
    """A history with its figures."""
    async with opened(path, cipher=cipher) as storage:
        events = told(count)
        async with folding(storage, app.build_engine(OPEN_TOPICS)):
            for at in range(0, count, 100):
                await storage.append_group(events[at : at + 100])
            await wait_folded(storage, count)


def bodies(path: Path) -> Iterator[bytes]:
    """Every stored body but that of a document that is gone."""
    connection = apsw.Connection(str(path))
    for table, name in TABLES.items():
        yield from (body for (body,) in query(connection, f"SELECT {name} FROM {table}") if body != b"null")
    connection.close()


def said(path: Path) -> set[bytes]:
    """Fragments of 24 bytes of what an open file says in its events, documents and messages."""
    found = {body[at : at + 24] for body in bodies(path) for at in range(40, len(body) - 24, 97)}
    assert len(found) > 1_000
    return found


def in_folder(folder: Path, fragments: set[bytes]) -> list[bytes]:
    """Which fragments are anywhere in the files of a folder."""
    content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return [each for each in fragments if each in content]


async def test_no_file_holds_what_was_said(tmp_path: Path) -> None:
    """Neither the log nor the feed, the documents, the state, the archive, the write-ahead log or a backup does."""
    plain, data = tmp_path / "plain" / "flows.db", tmp_path / "data" / "flows.db"
    for path in (plain, data):
        path.parent.mkdir()
    await write(plain, PLAIN)
    fragments = said(plain)
    # But for those that SQLite cuts in two pages.
    assert len(in_folder(plain.parent, fragments)) > 0.95 * len(fragments)
    async with opened(data, cipher=KEY) as storage:
        events = told(600)
        async with folding(storage, app.build_engine(OPEN_TOPICS)):
            await storage.append_group(events)
            await wait_folded(storage, 600)
        assert data.with_name("flows.db-wal").stat().st_size
        maintenance.backup(data, data.with_name("copy.db"))
        # Ids and keys stand in rows as well; what is left is in no file.
        assert [each for each in in_folder(data.parent, fragments) if b'":"' in each or b'":{' in each] == []
    assert all(body.startswith(KEY.prefix) for body in bodies(data))


async def test_figures_do_not_depend_on_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay of an encrypted log gives the same feed, byte for byte, as that of a plain one of the same time."""
    plain, closed = tmp_path / "plain.db", tmp_path / "closed.db"
    monkeypatch.setattr("fire22.log.sqlite.time", SimpleNamespace(time_ns=lambda: 1_772_431_524_386_000_000))
    await write(plain, PLAIN)
    await write(closed, KEY)
    assert read_feed(closed, KEY) == read_feed(plain)
    connection = connect(closed, cipher=KEY)
    assert check_replay(connection, app.build_engine(OPEN_TOPICS)).events == 600
    connection.close()
    assert maintenance.check(closed, KEY).events == 600
    assert rebuild(closed, app.build_engine(OPEN_TOPICS), cipher=KEY) == 600
    assert all(body.startswith(KEY.prefix) for body in bodies(closed))


async def test_a_new_key_takes_over_and_the_old_one_can_go(tmp_path: Path) -> None:
    """The operator adds a key, which encrypts from then on; `rekey` does the rest, and nothing of before is left."""
    path = tmp_path / "flows.db"
    await write(path, PLAIN)
    before, fragments = read_feed(path), said(path)
    assert rekey(path, KEY) > 600
    assert not [each for each in in_folder(tmp_path, fragments) if b'":"' in each]
    both, new = Cipher([OLD, NEW]), Cipher([NEW])
    async with opened(path, cipher=both) as storage:
        late = told(610)[600:]
        await storage.log.append(late)
    assert next(reversed(stored_groups(path, both))).bodies == tuple(event.body for event in late)
    assert rekey(path, both) > 600
    assert rekey(path, both) == 0
    assert read_feed(path, new) == before
    assert maintenance.check(path, new).events == 610
    with pytest.raises(StorageError) as refused:
        read_feed(path, KEY)
    assert refused.value.code is codes.ENCRYPTION_KEY_MISSING
    async with opened(path, cipher=new) as storage:
        assert await storage.feed.trim(before_ms=1 << 60, bytes_max=0) > 0


async def test_a_row_in_anothers_place_is_damage(tmp_path: Path) -> None:
    """Who can write the file but has no key cannot give one event the content of another, or change it."""
    path = tmp_path / "flows.db"
    await write(path, KEY, 200)
    connection = connect(path)
    one, other = (body for (body,) in query(connection, "SELECT body FROM log WHERE seq IN (7, 8)"))
    for body in (other, one[:-1] + bytes([one[-1] ^ 1]), one[:20], KEY.prefix):
        connection.execute("UPDATE log SET body = ? WHERE seq = 7", (body,))
        reseal(connection)
        with pytest.raises(StorageError) as refused:
            stored_groups(path, KEY)
        assert refused.value.code is codes.STORAGE_CORRUPT
    connection.close()


def test_commands_say_that_the_key_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server and a check without the key say so and end; a backup and a restore need none."""
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    data.mkdir()
    asyncio.run(write(data / "flows.db", KEY, 200))
    monkeypatch.setenv("FIRE22_RELAY__OPEN_TOPICS", msgspec.json.encode(OPEN_TOPICS).decode())

    def fire22(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(program, [str(each) for each in arguments])
        return result.exit_code, " ".join(result.output.split())

    for arguments in (("check",), ("report",), ("serve", "--port", 0)):
        code, text = fire22(*arguments, "--data", data)
        assert code == 1, text
        assert "error code: encryption_key_missing" in text
    assert fire22("backup", "--data", data, copy)[0] == 0
    assert fire22("restore", "--data", data, copy, "--replace")[0] == 0
    monkeypatch.setenv(VARIABLE, OLD.hex())
    code, text = fire22("check", "--data", data, "--replay")
    assert code == 0, text
    assert "encryption: ok" in text
    monkeypatch.setenv(VARIABLE, f"{OLD.hex()} {NEW.hex()}")
    assert "`fire22 rekey`" in fire22("check", "--data", data)[1]
    assert fire22("rekey", "--data", data)[0] == 0
    assert "encryption: ok" in fire22("check", "--data", data)[1]


def test_the_store_holds_no_secret_of_a_user(tmp_path: Path) -> None:
    """What is kept of users, sessions and machines is encrypted too, at once or by `rekey`, also in a backup.

    A restore ends sessions, for which it has to read them: without the key it is refused before anything is done.
    """
    path, clock = tmp_path / "data" / "store.db", iter(range(1, 1_000))
    path.parent.mkdir()

    async def put(cipher: Cipher, key: str) -> None:
        store = SqliteStore(path, asyncio.get_running_loop(), now_ms=lambda: next(clock), cipher=cipher)
        await store.write(Put(key, b'{"totp":"JBSWY3DPEHPK3PXP"}'))
        item = await store.get(key)
        assert item is not None and item.value == b'{"totp":"JBSWY3DPEHPK3PXP"}'
        store.close()

    asyncio.run(put(PLAIN, "user/staff:ann"))
    assert in_folder(tmp_path, {b"JBSWY3DPEHPK3PXP"})
    assert (rekey_store(path, KEY), rekey_store(path, KEY)) == (1, 0)
    asyncio.run(put(KEY, "user/staff:bob"))
    open_file(path.with_name("flows.db"), cipher=KEY).close()
    maintenance.backup(path.with_name("flows.db"), tmp_path / "copy.db")
    assert not in_folder(tmp_path, {b"JBSWY3DPEHPK3PXP"})
    result = CliRunner().invoke(program, ["restore", "--data", str(tmp_path / "fresh"), str(tmp_path / "copy.db")])
    assert "error code: encryption_key_missing" in result.output
    assert not (tmp_path / "fresh").exists()
    with pytest.raises(StorageError) as refused:
        asyncio.run(put(Cipher([NEW]), "user/staff:eve"))
    assert refused.value.code is codes.ENCRYPTION_KEY_MISSING


def test_keys_are_read_and_never_told(tmp_path: Path) -> None:
    """A key file that cannot be used is refused at the start, by a message without its content."""
    file = tmp_path / "keys"
    assert not read_cipher("", {}).is_active
    file.write_text(f"{OLD.hex()}\n{NEW.hex()}\n")
    assert read_cipher(str(file), {}).prefix == Cipher([NEW]).prefix
    assert read_cipher(str(file), {VARIABLE: OLD.hex()}).prefix == KEY.prefix
    assert OLD.hex() not in repr(KEY) and str(OLD) not in repr(KEY)
    for content in ("", "secret-and-short", f"{OLD.hex()}\nsecret", "gé"):
        file.write_text(content)
        with pytest.raises(SetupError) as refused:
            read_cipher(str(file), {})
        assert refused.value.code is codes.CONFIG_INVALID
        assert "secret" not in refused.value.message and OLD.hex() not in refused.value.message
    with pytest.raises(SetupError):
        read_cipher(str(tmp_path / "none"), {})
    with pytest.raises(SetupError):
        rekey(tmp_path / "flows.db", PLAIN)

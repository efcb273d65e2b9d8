"""Tests for what a running server brings into its audit trail."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from typer.testing import CliRunner, Result

from fire22 import app
from fire22.cli import program
from fire22.core.audit import AUDITED, Audited, decode_audited
from fire22.core.errors import StorageError
from fire22.core.event import decode_event
from fire22.core.merkle import extends
from fire22.core.message import Json
from fire22.flows import audit_check
from fire22.flows.trail import key_of
from fire22.log.cipher import PLAIN
from fire22.log.rows import read_rows, sealed_row
from fire22.log.seal import seal
from fire22.security.heads import is_signed, load_signing_key, public_key, signed_head
from tests.integration.inside import make_book, make_config, sign, talking, until
from tests.integration.test_http import request


async def entries(server: app.Application) -> list[Audited]:
    """The trail, as the log has it."""
    await server.audit.durable()
    events = [decode_event(body) for group in await server.log.groups(0) for body in group.bodies]
    return [decode_audited(event.data) for event in events if event.type == AUDITED]


async def test_a_refused_command_is_in_the_trail(tmp_path: Path) -> None:
    """An auditor finds who asked for what they may not do, in which role, for which scope, and from where."""
    async with app.running(make_config(tmp_path / "data", make_book(tmp_path / "book.db"))) as server:
        await until(lambda: server.delivery.knows_scope("/M1/A1"))
        path = "/v1/commands/wager.void"
        customer = sign(server, role="customer", scope="/M1/A1")
        body: Json = {"wagerId": "W1"}
        answer = await request(server, "POST", path, body, token=customer, Idempotency_Key="k1")
        assert answer.status == 403, answer.body
        (refused,) = [entry for entry in await entries(server) if entry.outcome == "forbidden"]
    assert (refused.action, refused.user, refused.role) == ("request.refused", "customer:test", "customer")
    assert (refused.scope, refused.address, refused.target) == ("/M1/A1", "127.0.0.1", path)


async def test_what_a_person_publishes_is_in_the_trail(tmp_path: Path) -> None:
    """Events by hand are noted, over HTTP and WebSocket; a machine's are not, which come in thousands."""
    async with app.running(make_config(tmp_path / "data")) as server:
        event: dict[str, Json] = {
            "id": "e1",
            "type": "some.thing",
            "source": "test",
            "timestamp": "2026-01-01T00:00:00Z",
            "data": 1,
        }
        assert (await request(server, "POST", "/v1/events", event, token=sign(server))).status == 202
        service = sign(server, role="service")
        assert (await request(server, "POST", "/v1/events", event | {"id": "e2"}, token=service)).status == 202
        async with talking(server) as talk:
            await talk.ask("publish", event=event | {"id": "e3"})
        noted = [(entry.action, entry.user, entry.target) for entry in await entries(server)]
    assert ("access.begun", "staff:test", "") in noted and ("access.begun", "machine:test", "") in noted
    assert [each for each in noted if each[0] != "access.begun"] == [
        ("request.done", "staff:test", "POST /v1/events"),
        ("event.published", "staff:test", "e3"),
    ]


async def test_a_bad_token_is_in_the_trail(tmp_path: Path) -> None:
    """Whoever tries tokens leaves their address, and no token."""
    async with app.running(make_config(tmp_path / "data")) as server:
        assert (await request(server, "GET", "/v1/views/kpi", token="no.such.token")).status == 401
        (entry,) = await entries(server)
    assert (entry.action, entry.outcome, entry.address, entry.user) == (
        "request.refused",
        "token_invalid",
        "127.0.0.1",
        "",
    )


async def test_what_a_command_of_the_program_does_is_in_the_trail(tmp_path: Path) -> None:
    """Whoever makes a token on the machine itself leaves a note: beside a running server, and before it starts."""
    folder = tmp_path / "data"
    await asyncio.to_thread(make_token, folder, "before")
    found: list[Audited] = []
    async with app.running(make_config(folder)) as server:
        await asyncio.to_thread(make_token, folder, "beside")
        while len(found) < 2:
            await asyncio.sleep(0)
            found = [entry for entry in await entries(server) if entry.action == "machine.created"]
    assert [(entry.target, entry.user, entry.role) for entry in found] == [
        ("before", "staff:cli", "admin"),
        ("beside", "staff:cli", "admin"),
    ]


def make_token(folder: Path, name: str) -> None:
    """As a person at the machine does it."""
    arguments = ["token", "create", name, "--data", str(folder), "--purpose", "reads figures"]
    assert CliRunner().invoke(program, arguments).exit_code == 0


Rows = list[tuple[str, bytes]]


async def audited(folder: Path, count: int) -> Path:
    """The file of a server that has noted so much, with a signed head."""
    async with app.running(make_config(folder)) as server:
        for number in range(count):
            server.audit.note("user.changed", target=f"user {number}", after={"limit": None, "number": number})
        await server.audit.durable()
        await until(lambda: server.engine.checkpoint.seq >= server.log.last_seq and server.shows_all)
        await server.heads.sign()
        return server.config.storage


def verify(file: Path, key: str | None = None) -> None:
    """As `fire22 audit verify` does it."""
    with closing(apsw.Connection(str(file))) as connection:
        audit_check.check(connection, audit_check.read(connection), is_signed=is_signed, key=key)


def tamper(file: Path, change: Callable[[Rows], None]) -> None:
    """Write the log anew, otherwise, with seals that fit."""
    with closing(apsw.Connection(str(file))) as connection:
        rows = [(id, body) for _, _, id, _, body in read_rows(connection)]
        change(rows)
        connection.execute("DELETE FROM log")
        connection.executemany(
            "INSERT INTO log VALUES(?, ?, ?, ?, ?)",
            (sealed_row(PLAIN, seq, seq, id, body) for seq, (id, body) in enumerate(rows, 1)),
        )


def place(rows: Rows, number: int) -> int:
    """Where an entry is."""
    return [index for index, (_, body) in enumerate(rows) if b'"system.audited"' in body][number - 1]


def flipped(rows: Rows) -> None:
    """Somebody changes what an entry says."""
    at = place(rows, 5)
    rows[at] = rows[at][0], rows[at][1].replace(b"user 4", b"user 9")


def dropped(rows: Rows) -> None:
    """Somebody removes an entry."""
    del rows[place(rows, 5)]


def reordered(rows: Rows) -> None:
    """Somebody exchanges two."""
    one, other = place(rows, 5), place(rows, 8)
    rows[one], rows[other] = rows[other], rows[one]


def inserted(rows: Rows) -> None:
    """Somebody adds one."""
    id, body = rows[place(rows, 9)]
    rows.insert(place(rows, 5), (f"{id}x", body.replace(id.encode(), id.encode() + b"x")))


@pytest.mark.parametrize("change", [flipped, dropped, reordered, inserted])
async def test_what_is_changed_in_the_log_is_found(tmp_path: Path, change: Callable[[Rows], None]) -> None:
    """Whoever changes, removes, reorders or adds an entry is found, by the number of the first that does not fit."""
    file = await audited(tmp_path / "data", 12)
    verify(file, public_key(tmp_path / "data"))
    tamper(file, change)
    with pytest.raises(StorageError, match="Audit entry 5 "):
        verify(file)


async def test_what_is_changed_together_with_its_documents_is_found_by_a_head(tmp_path: Path) -> None:
    """Who makes the documents anew as well cannot sign: the entries under the head do not fit it."""
    file = await audited(tmp_path / "data", 12)
    tamper(file, flipped)
    with closing(apsw.Connection(str(file))) as connection:
        for entry in audit_check.read(connection).entries:
            hashes = {"hash": entry.hash.hex(), "chain": entry.chain.hex()}
            archived(connection, entry.number, msgspec.json.encode(hashes))
    with pytest.raises(StorageError, match="An audit entry from 1 to 12 is not what it was"):
        verify(file)


async def test_a_head_by_another_key_is_found(tmp_path: Path) -> None:
    """Who signs with a key of their own is found by whoever knows the trail's."""
    file = await audited(tmp_path / "data", 3)
    with closing(apsw.Connection(str(file))) as connection:
        found = audit_check.read(connection)
        kept = signed_head(load_signing_key(tmp_path), 3, found.tree.root(), found.entries[-1].chain)
        audit_check.check(connection, found, is_signed=is_signed, kept=kept)
        with pytest.raises(StorageError, match="the head that was kept"):
            audit_check.check(connection, found, is_signed=is_signed, key=public_key(tmp_path / "data"), kept=kept)
    assert (tmp_path / "data" / "audit.key").stat().st_mode & 0o777 == 0o600


async def test_an_earlier_head_is_shown_to_be_the_beginning(tmp_path: Path) -> None:
    """Who kept a head, and sees none of the entries, can check that the trail has only grown since."""
    folder = tmp_path / "data"
    await audited(folder, 5)
    earlier = await printed("head", folder)
    await audited(folder, 9)
    shown = await printed("proof", folder, "--from", str(earlier["size"]))
    newest, path = shown["head"], [bytes.fromhex(each) for each in shown["proof"]]
    assert newest["size"] > earlier["size"]
    root, was = bytes.fromhex(newest["root"]), bytes.fromhex(earlier["root"])
    assert shown["fromRoot"] == earlier["root"]
    assert extends(earlier["size"], was, newest["size"], root, path)
    assert not extends(earlier["size"], bytes(32), newest["size"], root, path)
    for wrong, code in (
        ((), "config_invalid"),
        (("1", "--from", "1"), "config_invalid"),
        (("--from", "999"), "not_found"),
    ):
        result = await asyncio.to_thread(audit, "proof", folder, *wrong)
        assert (result.exit_code, f"error code: {code}" in result.output) == (1, True), result.output


async def printed(command: str, folder: Path, *more: str) -> dict[str, Any]:
    """What a command of the trail prints."""
    result = await asyncio.to_thread(audit, command, folder, *more)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def audit(command: str, folder: Path, *more: str) -> Result:
    """Run a command of the trail."""
    return CliRunner().invoke(program, ["audit", command, "--data", str(folder), *more])


def archived(connection: apsw.Connection, number: int, body: bytes) -> None:
    """Put a document in the place of an entry's, with a seal that fits."""
    key, scope = key_of(number), "/"
    at_ms = connection.execute("SELECT at_ms FROM archive WHERE topic = 'audit' AND key = ?", (key,)).get
    crc = seal(body, "archive", "audit", scope, key, 1, at_ms)
    connection.execute(
        "UPDATE archive SET crc = ?, body = ? WHERE topic = 'audit' AND scope = ? AND key = ?", (crc, body, scope, key)
    )


def test_an_empty_key_is_none(tmp_path: Path) -> None:
    """Whoever means to check by a key kept elsewhere, and has none there, is not told that all is well."""
    refused = audit("verify", tmp_path, "--key", "")
    assert refused.exit_code == 1
    assert "--key is empty" in refused.output

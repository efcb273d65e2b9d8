"""Tests for the notes in the audit trail that commands leave, where the data folder is encrypted."""

import asyncio
import secrets
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from fire22.cli import program
from fire22.core.audit import Audited, decode_audited
from fire22.core.event import decode_event
from fire22.log.cipher import VARIABLE, read_cipher
from fire22.log.file import open_file
from fire22.security.leaving import ROWS
from fire22.store.base import Put
from fire22.store.sqlite import NAME, SqliteStore, write_now

NOW_MS = 1_795_919_338_515


def fire22(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(program, [str(each) for each in arguments], input="Stormy-Harbour-42\n")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that names a new key of the encryption at rest."""
    (tmp_path / "rows.keys").write_text(secrets.token_hex(32))
    path = tmp_path / "fire22.toml"
    path.write_text(f'data = "{tmp_path / "data"}"\n[encryption]\nkey_file = "{tmp_path / "rows.keys"}"\n')
    return path


@pytest.fixture
def data(tmp_path: Path, config: Path) -> Path:
    """A data folder whose rows are encrypted by the key."""
    folder = tmp_path / "data"
    folder.mkdir()
    cipher = read_cipher(str(tmp_path / "rows.keys"))
    write_now(folder / NAME, Put("machine/a", b"{}"), now_ms=NOW_MS, cipher=cipher)
    open_file(folder / "flows.db", cipher=cipher).close()
    return folder


async def notes(data: Path) -> list[Audited]:
    """What has been left in the store, in its order."""
    cipher = read_cipher(str(data.parent / "rows.keys"))
    with closing(SqliteStore(data / NAME, asyncio.get_running_loop(), now_ms=lambda: NOW_MS, cipher=cipher)) as store:
        return [decode_audited(decode_event(row.value).data) for row in await store.list(ROWS, limit=10)]


async def test_a_key_in_the_configuration_is_enough(data: Path, config: Path) -> None:
    """Commands that are told of a configuration note what they do on an encrypted folder, the target included."""
    copy = data.parent / "copy.db"
    with_config = ("-c", config)
    for command in (
        ("rekey", *with_config),
        ("backup", "--data", data, copy),
        ("restore", copy, "--data", data, "--replace", *with_config),
    ):
        result = await asyncio.to_thread(fire22, *command)
        assert (result.exit_code, result.stderr.strip()) == (0, ""), result.output
    assert [(entry.action, entry.target) for entry in await notes(data)] == [
        ("data.rekeyed", ""),
        ("data.restored", str(copy)),
    ]
    assert str(copy).encode() not in (data / NAME).read_bytes()


async def test_without_the_key_a_command_says_what_it_lacks(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A user is not added, a token is made without its note; with the key in the environment both are noted."""
    add = ("user", "add", "ann", "--role", "risk", "--data", data)
    token = ("token", "--role", "risk", "--data", data)
    refused = await asyncio.to_thread(fire22, *add)
    assert (refused.exit_code, "error code: encryption_key_missing" in refused.stderr) == (1, True)
    made = await asyncio.to_thread(fire22, *token)
    assert (made.exit_code, made.stdout.count(".")) == (0, 2)
    assert "the audit trail does not say so (token.signed cli): " in made.stderr and VARIABLE in made.stderr
    assert await notes(data) == []
    monkeypatch.setenv(VARIABLE, (tmp_path / "rows.keys").read_text())
    for command in (
        add,
        token,
        ("user", "set", "ann", "--may", "", "--data", data),
        ("user", "totp-remove", "ann", "--data", data),
        ("user", "remove", "ann", "--data", data),
    ):
        result = await asyncio.to_thread(fire22, *command)
        assert result.exit_code == 0, result.output
    found = await notes(data)
    assert [(entry.action, entry.target) for entry in found] == [
        ("user.added", "ann"),
        ("token.signed", "cli"),
        ("user.changed", "ann"),
        ("user.second_factor_removed", "ann"),
        ("user.removed", "ann"),
    ]
    assert found[2].after == msgspec.Raw(b'{"may":[]}')

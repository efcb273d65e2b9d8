"""What `fire22 check --security` finds: each thing that an operator can leave open, and nothing where all is closed."""

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fire22 import app
from fire22.cli import program
from fire22.cli.hardening import findings
from fire22.log.cipher import read_cipher
from fire22.security.users import Users
from fire22.store.sqlite import NAME as STORE
from fire22.store.sqlite import SqliteStore
from tests.support.authority import Authority

TOKEN_KEY = "0123456789abcdef" * 4
ENCRYPTION_KEY = "fedcba9876543210" * 4
PROVIDER = {
    "issuer": "https://id.example",
    "client_id": "fire22",
    "groups": [{"group": "g", "role": "admin", "scope": "/"}],
}


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """A file with these permissions."""
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder in which nothing is open: one user with a password, keys of their own."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    write(folder / "token.key", TOKEN_KEY)
    write(tmp_path / "encryption.key", ENCRYPTION_KEY)
    add_user(folder, password="a hash")  # pragma: allowlist secret
    return folder


def add_user(folder: Path, *, password: str) -> None:
    """A user in the store of a data folder."""

    async def main() -> None:
        cipher = read_cipher(str(folder.parent / "encryption.key"), {})
        store = SqliteStore(folder / STORE, asyncio.get_running_loop(), now_ms=app.now_ms, cipher=cipher)
        try:
            users = Users(store, kind_of=lambda _: "staff", now_ms=app.now_ms)
            await users.add("ann", role="admin", scope="/", password=password)
        finally:
            store.close()

    asyncio.run(main())


def found(folder: Path, environment: dict[str, str] | None = None, **sections: dict[str, Any]) -> list[str]:
    """What is found open with these settings."""
    encryption = {"encryption": {"key_file": str(folder.parent / "encryption.key")}}
    config = app.convert({"data": str(folder)} | encryption | sections)
    return [each.what for each in findings(config, None, environment or {})]


def test_nothing_is_open(folder: Path) -> None:
    """An operator who has closed everything is told so, also behind a proxy and with networks of the own house."""
    assert found(folder) == []
    network = {"trusted_proxies": ["10.0.0.5/32"], "operators": ["10.0.0.0/8", "fd00::/8"]}
    assert found(folder, server={"host": "0.0.0.0"}, network=network) == []
    assert found(folder, oidc=PROVIDER, auth={"jwks_url": "http://127.0.0.1/keys"}) == []


@pytest.mark.parametrize(
    ("section", "values", "what"),
    [
        ("server", {"host": "0.0.0.0"}, "plain HTTP on 0.0.0.0"),
        ("server", {"host": ""}, "plain HTTP on every address"),
        ("server", {"host": "192.0.2.1"}, "plain HTTP on 192.0.2.1"),
        ("server", {"echo": True}, "server.echo"),
        ("server", {"connections_user_max": 0}, "server.connections_user_max is 0"),
        ("limits", {"connection_units_per_s": 0.0}, "limits.connection_units_per_s is 0"),
        ("limits", {"user_units_per_s": 0.0}, "limits.user_units_per_s is 0"),
        ("limits", {"scope_units_per_s": 0.0}, "limits.scope_units_per_s is 0"),
        ("network", {"trusted_proxies": ["0.0.0.0/0"]}, "network.trusted_proxies has 0.0.0.0/0"),
        ("network", {"trusted_proxies": ["::/0"]}, "network.trusted_proxies has ::/0"),
        ("network", {"operators": ["0.0.0.0/1"]}, "network.operators has 0.0.0.0/1"),
        ("network", {"operators": ["8.8.0.0/16"]}, "network.operators has 8.8.0.0/16"),
        ("network", {"origins": ["http://office.example"]}, "network.origins is http://office.example"),
        ("auth", {"session_hours": 1_000.0}, "auth.session_hours is 1000"),
        ("auth", {"session_idle_hours": 100.0}, "auth.session_idle_hours is 100"),
        ("auth", {"jwks_url": "http://id.example/keys"}, "auth.jwks_url is http://"),
        ("oidc", PROVIDER | {"issuer": "http://id.example"}, "oidc.issuer is http://"),
        ("oidc", PROVIDER | {"url": "http://office.example"}, "oidc.url is http://"),
    ],
)
def test_a_setting(folder: Path, section: str, values: dict[str, Any], what: str) -> None:
    """An operator is told of each setting that leaves something open, and of nothing else."""
    (only,) = found(folder, **{section: values})
    assert what in only


def test_the_servers_own_tls(folder: Path, tmp_path: Path) -> None:
    """With a certificate nothing is plain; an operator is told when it ends soon, or others can read its key."""
    authority = Authority(tmp_path)
    for days, count in ((365, 0), (13, 1), (-1, 1)):
        certificate, key = map(str, authority.pair("server", days=days))
        server = {"host": "0.0.0.0", "tls_certificate": certificate, "tls_key": key}
        told = found(folder, server=server)
        assert [each for each in told if " ends at " in each] == told
        assert len(told) == count
    certificate, key = map(str, authority.pair("server", days=365))
    Path(key).chmod(0o640)
    (only,) = found(folder, server={"host": "0.0.0.0", "tls_certificate": certificate, "tls_key": key})
    assert key in only


def test_encryption_is_off(folder: Path) -> None:
    """An operator is told that whoever gets a backup reads everything."""
    plain = folder.parent / "plain"
    plain.mkdir(mode=0o700)
    (only,) = found(plain, oidc=PROVIDER, encryption={})
    assert "encrypted" in only


def test_nobody_has_a_password(folder: Path) -> None:
    """An operator is told that links alone sign people in: without users, and with one who has no password."""
    (folder / STORE).unlink()
    for _ in range(2):
        (only,) = found(folder)
        assert "No user has a password" in only
        if not (folder / STORE).exists():
            add_user(folder, password="")
    assert found(folder, oidc=PROVIDER) == []


def test_what_others_can_read(folder: Path, tmp_path: Path) -> None:
    """An operator is told of the data folder, of each file in it, of key files and of a book that others can read."""
    folder.chmod(0o750)
    (only,) = found(folder)
    assert "look into the data folder" in only
    (folder / "token.key").chmod(0o640)
    assert any(str(folder / "token.key") in each for each in found(folder))
    folder.chmod(0o700)
    assert found(folder) == []
    (tmp_path / "encryption.key").chmod(0o644)
    (only,) = found(folder)
    assert "encryption.key" in only
    (tmp_path / "encryption.key").chmod(0o600)
    book = write(tmp_path / "book.db", "", 0o644)
    (only,) = found(folder, book={"path": str(book)})
    assert "read the book" in only


def test_what_others_can_change(folder: Path, tmp_path: Path) -> None:
    """An operator is told where others can change the configuration, or add a key by which tokens are good."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    assert found(folder, auth={"keys_folder": str(keys)}) == []
    keys.chmod(0o777)
    (only,) = found(folder, auth={"keys_folder": str(keys)})
    assert "change" in only and str(keys) in only
    keys.chmod(0o700)
    write(keys / "partner.key", "partner of another length, 32 bytes and more", 0o644)
    (only,) = found(folder, auth={"keys_folder": str(keys)})
    assert "sign tokens" in only


def test_keys(folder: Path, tmp_path: Path) -> None:
    """An operator is told of keys that are short, are no random ones, or are used twice; never what they are."""
    for weak in ("short", "a" * 64):
        (only,) = found(folder, {"FIRE22_TOKEN_KEY": weak})
        assert only == "FIRE22_TOKEN_KEY can be guessed."
    (only,) = found(folder, {"FIRE22_TOKEN_KEY": ENCRYPTION_KEY})
    assert "the same key" in only and ENCRYPTION_KEY not in only
    write(folder / "token.key", "0" * 64)
    (only,) = found(folder)
    assert "can be guessed" in only
    write(folder / "token.key", TOKEN_KEY)
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    write(keys / "partner.key", TOKEN_KEY)
    (only,) = found(folder, auth={"keys_folder": str(keys)})
    assert "the same key" in only
    write(keys / "partner.key", "short")
    (only,) = found(folder, auth={"keys_folder": str(keys)})
    assert "cannot be used" in only


def test_the_command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script sees by the exit status whether something is open, and a person what closes it; no file changes."""
    for name in [name for name in os.environ if name.startswith("FIRE22_")]:
        monkeypatch.delenv(name)
    text = f'data = "{folder}"\n[encryption]\nkey_file = "{tmp_path}/encryption.key"\n'
    config = write(tmp_path / "fire22.toml", text)
    result = CliRunner().invoke(program, ["check", "--security", "-c", str(config)])
    assert result.exit_code == 0, result.output
    assert "nothing is left open" in result.output
    folder.chmod(0o755)
    config.chmod(0o666)
    result = CliRunner().invoke(program, ["check", "--security", "-c", str(config)])
    assert result.exit_code == 1
    assert f"chmod 700 {folder}" in result.output and f"chmod go-w {config}" in result.output
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_certificate_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a start an operator is told of a key that is another's, that is missing, or that has no certificate."""
    for name in [name for name in os.environ if name.startswith("FIRE22_")]:
        monkeypatch.delenv(name)
    authority = Authority(tmp_path)
    (certificate, key), (_, other) = authority.pair("server"), authority.pair("other")
    for of, named, why in (
        (certificate, other, "key values mismatch"),
        (certificate, tmp_path / "none.pem", "No such file"),
        ("", key, "tls_key needs tls_certificate"),
        (certificate, key, ""),
    ):
        text = f'data = "{tmp_path}/none"\n[server]\ntls_certificate = "{of}"\ntls_key = "{named}"\n'
        config = write(tmp_path / "fire22.toml", text)
        result = CliRunner().invoke(program, ["check", "-c", str(config)])
        assert result.exit_code == (1 if why else 0), result.output
        assert why in " ".join(result.output.split())
        assert ("config_invalid" in result.output) is bool(why)


def test_who_vouches_for_machines(folder: Path, tmp_path: Path) -> None:
    """An operator is told of many authorities of client certificates, of one that ends, and who else can add one."""
    authority = Authority(tmp_path)
    certificate, key = map(str, authority.pair("server", days=365))
    ca = tmp_path / "clients.pem"
    ca.write_bytes(authority.pair("lasting", days=365)[0].read_bytes())
    ca.chmod(0o644)
    server = {"host": "0.0.0.0", "tls_certificate": certificate, "tls_key": key, "tls_client_ca": str(ca)}
    before = len(found(folder, server=server))
    ca.write_bytes(authority.file.read_bytes() * 3)
    ca.chmod(0o666)
    told = " ".join(found(folder, server=server))
    assert len(found(folder, server=server)) == before + 3
    assert "has 3 authorities" in told and f"The certificate {ca} ends" in told and f"Others can change {ca}" in told

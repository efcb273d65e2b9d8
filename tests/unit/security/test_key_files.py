"""Keys in files: made, read, refused, and read again when they change."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc.jwk import ECKey

from fire22.core.errors import SetupError
from fire22.security.key_files import KeyFiles, load_key, own_key, read_folder
from fire22.security.ring import KeyRing, ring_of

NOW_MS = 1_767_225_600_000
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """The public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for the files to be read again."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def test_key_file_is_made(tmp_path: Path) -> None:
    """The first start makes a key that only its owner can read; every later one uses it."""
    path = tmp_path / "token.key"
    key = load_key(path)
    assert len(key) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path) == key


def test_key_file_of_another_program(tmp_path: Path) -> None:
    """A key that was put there is used as it is, without the line's end."""
    path = tmp_path / "token.key"
    path.write_text("k" * 40 + "\n")
    assert load_key(path) == b"k" * 40


def test_key_file_cannot_be_used(tmp_path: Path) -> None:
    """A key file that cannot be read is named, with what to do."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(bytes(range(200, 240)))
    for name, said in (("folder", "directory"), ("missing/token.key", "No such file"), ("binary", "must be text")):
        with pytest.raises(SetupError, match=said) as caught:
            load_key(tmp_path / name)
        assert caught.value.code.name == "config_invalid"
        assert name in caught.value.message


def test_the_environments_key(tmp_path: Path) -> None:
    """A key in the environment takes the place of the file, which is not even made."""
    path = tmp_path / "token.key"
    assert own_key(path, {"FIRE22_TOKEN_KEY": "e" * 40 + "\n"}).secret == b"e" * 40
    assert not path.exists()
    assert own_key(path, {"FIRE22_TOKEN_KEY": ""}).secret == path.read_bytes()


def test_a_short_key_is_not_shown(tmp_path: Path) -> None:
    """A key that can be guessed is refused, and what is said of it does not hold it."""
    path = tmp_path / "token.key"
    path.write_text("hunter2")
    for environment in ({}, {"FIRE22_TOKEN_KEY": "hunter2"}):
        with pytest.raises(SetupError, match="at least 32 bytes") as caught:
            own_key(path, environment)
        assert "hunter2" not in str(caught.value)


def test_a_folder(tmp_path: Path) -> None:
    """Each file is a key under its own name, for the algorithm that follows from its kind; others are passed over."""
    (tmp_path / "idp.pem").write_bytes(pem(RSA))
    (tmp_path / "curve.pem").write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    (tmp_path / "edwards.pem").write_bytes(pem(ed25519.Ed25519PrivateKey.generate()))
    (tmp_path / "shared.key").write_text("k" * 32 + "\n")
    (tmp_path / "jose.jwk").write_bytes(msgspec.json.encode(ECKey.generate_key("P-256").as_dict(private=False)))
    (tmp_path / "README.md").write_text("not a key")
    (tmp_path / ".hidden.pem").write_text("not a key")
    keys, refused = read_folder(tmp_path)
    assert {(key.kid, key.algorithm) for key in keys} == {
        ("idp", "RS256"),
        ("curve", "ES256"),
        ("edwards", "EdDSA"),
        ("shared", "HS256"),
        ("jose", "ES256"),
    }
    assert refused == []
    assert "k" * 32 not in repr(keys)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.pem", b"nonsense", "no public key"),
        (
            "a.pem",
            RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "no public key",
        ),
        ("a.pem", pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "2,048 bits"),
        ("a.pem", pem(ec.generate_private_key(ec.SECP256K1())), "malformed|not used here"),
        ("a.key", b"short", "at least 32 bytes"),
        ("a.jwk", b"[]", "no JSON Web Key"),
        ("a.jwk", msgspec.json.encode(ECKey.generate_key("P-256").as_dict(private=True)), "private key"),
        ("a.jwk", b'{"kty":"oct","kid":"b","k":"' + b"A" * 43 + b'"}', "not the name of the file"),
        ("a.jwk", b'{"kty":"oct","k":5}', "malformed"),
        ("a.pem", b"x" * 100_000, "too large"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    """A file that gives no good key is named with the reason at the start, and nothing of its content."""
    (tmp_path / name).write_bytes(content)
    files = KeyFiles(ring_of(b"k" * 32), own=None, folder=tmp_path, now_ms=lambda: NOW_MS)
    with pytest.raises(SetupError, match=why) as caught:
        files.load()
    assert name in str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    files = KeyFiles(ring_of(b"k" * 32), own=None, folder=tmp_path / "missing", now_ms=lambda: NOW_MS)
    with pytest.raises(SetupError, match="missing"):
        files.load()


async def test_files_are_read_again(tmp_path: Path) -> None:
    """A key that is added, replaced or removed counts without a restart; a bad one does not end the others."""
    own, folder = tmp_path / "token.key", tmp_path / "keys"
    folder.mkdir()
    own.write_text("a" * 32)
    ring = KeyRing(own_key(own, {}))
    files = KeyFiles(ring, own=own, folder=folder, now_ms=lambda: NOW_MS)
    files.load()
    watching = asyncio.create_task(files.watch())
    (folder / "idp.pem").write_bytes(pem(RSA))
    await until(lambda: bool(ring.find("RS256", "idp")))
    own.write_text("b" * 32)
    await until(lambda: ring.own.secret == b"b" * 32)
    assert [key.secret for key in ring.secrets] == [b"b" * 32]
    own.write_text("short")
    (folder / "idp.pem").write_bytes(pem(ed25519.Ed25519PrivateKey.generate()))
    await until(lambda: bool(ring.find("EdDSA", "idp")))
    assert not ring.find("RS256", "idp")
    assert ring.own.secret == b"b" * 32
    own.unlink()
    (folder / "idp.pem").unlink()
    await until(lambda: not ring.find("EdDSA", "idp"))
    assert ring.own.secret == b"b" * 32
    watching.cancel()

"""Messages that one recipient alone can read: what the server stores and delivers of them is ciphertext."""

import base64
from pathlib import Path
from typing import Final

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from fire22 import app
from fire22.client import connect, sealed
from fire22.core.event import Event
from fire22.core.message import Json
from tests.integration.inside import bench_event, make_config, sign, until

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "sealed.json"
TARGET: Final = "user:staff:test"
SECRET: Final = "The vault opens at nine."


async def test_the_server_never_has_what_it_delivers(tmp_path: Path) -> None:
    """A program writes to a user, who reads it, and no file of the server holds it, encrypted at rest or not."""
    keys = sealed.key_pair()
    async with app.running(make_config(tmp_path)) as server:
        async with connect(server.address.url, token=sign(server), proxy=None) as client:
            messages = client.direct()
            await client.wait_live()
            data = sealed.seal({"text": SECRET}, keys.public, target=TARGET)
            body = msgspec.json.encode(bench_event("sealed-1", data, tags=[f"to:{TARGET}"]))
            await client.publish(msgspec.json.decode(body, type=Event))
            message = await anext(aiter(messages))
        assert message.target == TARGET
        assert sealed.open(message.data, keys.private, target=TARGET) == {"text": SECRET}
        await until(lambda: server.feed.checkpoint.seq >= server.log.last_seq)
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert msgspec.json.encode(data)[2:40] in content
    assert SECRET.encode() not in content


def test_only_the_recipient_opens_it() -> None:
    """Another key, another target, a changed byte and what is not sealed at all are refused, without a detail."""
    keys, other = sealed.key_pair(), sealed.key_pair()
    data = sealed.seal(["a", 1], keys.public, target=TARGET)
    assert isinstance(data, dict)
    text = str(data["sealed"])
    assert data != sealed.seal(["a", 1], keys.public, target=TARGET)
    altered: list[Json] = [
        {"sealed": text[:-8] + "AAAAAAA="},
        {"sealed": text[:20]},
        {"sealed": "é"},
        {"sealed": 1},
        [],
    ]
    for private, target, each in (
        (other.private, TARGET, data),
        (keys.private, "user:agent:test", data),
        *((keys.private, TARGET, one) for one in altered),
    ):
        with pytest.raises(sealed.SealedError):
            sealed.open(each, private, target=target)
    with pytest.raises(ValueError):
        sealed.seal(1, b"short", target=TARGET)
    assert keys.private.hex() not in repr(keys) and str(keys.private) not in repr(keys)


def opened(private: bytes, target: str, text: str) -> bytes:
    """RFC 9180, written anew with nothing but X25519, HKDF and AES-GCM."""
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x01"

    def labeled(suite_id: bytes, label: bytes, value: bytes) -> bytes:
        return b"HPKE-v1" + suite_id + label + value

    def expand(key: bytes, suite_id: bytes, label: bytes, info: bytes, length: int) -> bytes:
        return HKDFExpand(SHA256(), length, length.to_bytes(2, "big") + labeled(suite_id, label, info)).derive(key)

    def extract(salt: bytes, suite_id: bytes, label: bytes, value: bytes) -> bytes:
        return HKDF.extract(SHA256(), salt or bytes(32), labeled(suite_id, label, value))

    content = base64.b64decode(text)
    key = X25519PrivateKey.from_private_bytes(private)
    shared = key.exchange(X25519PublicKey.from_public_bytes(content[:32]))
    context = content[:32] + key.public_key().public_bytes_raw()
    secret = expand(extract(b"", kem, b"eae_prk", shared), kem, b"shared_secret", context, 32)
    info = b"fire22-sealed-1\0" + target.encode()
    schedule = b"\0" + extract(b"", suite, b"psk_id_hash", b"") + extract(b"", suite, b"info_hash", info)
    prk = extract(secret, suite, b"secret", b"")
    nonce = expand(prk, suite, b"base_nonce", schedule, 12)
    return AESGCM(expand(prk, suite, b"key", schedule, 16)).decrypt(nonce, content[32:], b"")


def test_the_format_is_that_of_the_document() -> None:
    """Whoever writes another client finds in the vectors what it must open."""
    for each in msgspec.json.decode(VECTORS.read_bytes()):
        private = bytes.fromhex(each["private"])
        assert sealed.open({"sealed": each["sealed"]}, private, target=each["target"]) == each["data"]
        assert msgspec.json.decode(opened(private, each["target"], each["sealed"])) == each["data"]
        fresh = sealed.seal(each["data"], bytes.fromhex(each["public"]), target=each["target"])
        assert isinstance(fresh, dict)
        assert msgspec.json.decode(opened(private, each["target"], str(fresh["sealed"]))) == each["data"]

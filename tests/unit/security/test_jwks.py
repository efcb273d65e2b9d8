"""The keys of an issuer, fetched from a server that answers well, badly, slowly, or not at all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from joserfc.jwk import ECKey, OctKey, RSAKey

from fire22.security import fetching, jwks
from fire22.security.jwks import Jwks
from fire22.security.ring import ring_of

NOW_MS = 1_767_225_600_000


class Issuer:
    """An HTTP server on a free port.

    Attributes:
        body: what it answers with.
        status: of the answer, with headers.
        asked: how often.
        holds: while it is set, answers wait.
    """

    def __init__(self) -> None:
        self.body = b""
        self.status = b"200 OK"
        self.asked = 0
        self.holds = asyncio.Event()
        self.holds.set()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        await self.holds.wait()
        head = b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (self.status, len(self.body))
        with contextlib.suppress(OSError):
            writer.write(head + self.body)
            await writer.drain()
        writer.close()

    def publish(self, *keys: Any, **more: object) -> None:
        """Answer with a set of keys."""
        self.body = msgspec.json.encode({"keys": [key.as_dict(private=False) for key in keys], **more})


@contextlib.asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """An issuer."""
    issuer = Issuer()
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    async with server:
        yield issuer


def made(issuer: Issuer, *, stale_s: float = 60.0, refresh_s: float = 60.0) -> Jwks:
    """What fetches its keys."""
    return Jwks(ring_of(b"k" * 32), issuer.url, refresh_s=refresh_s, stale_s=stale_s, now_ms=lambda: NOW_MS)


def rsa(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what goes on in the background."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_keys_are_fetched() -> None:
    """The keys of the set are good; one that is for something else is left out, and a rotation takes their place."""
    async with issuing() as issuer:
        keys = made(issuer)
        issuer.publish(rsa("one"), ECKey.generate_key("P-256", {"kid": "two", "use": "enc"}))
        assert await keys.fetch()
        assert keys._ring.find("RS256", "one")
        assert not keys._ring.find("ES256", "two")
        issuer.publish(ECKey.generate_key("P-256", {"kid": "two", "use": "sig"}))
        assert await keys.fetch()
        assert not keys._ring.find("RS256", "one")
        assert keys._ring.find("ES256", "two")


async def test_one_fetch_at_a_time() -> None:
    """However many connections bring unknown keys, the issuer is asked once, and again after half a minute at most."""
    async with issuing() as issuer:
        issuer.publish(rsa("one"))
        issuer.holds.clear()
        keys = made(issuer)
        waiting = [asyncio.create_task(keys.ask()) for _ in range(100)]
        await until(lambda: issuer.asked == 1)
        assert keys.may_ask()
        issuer.holds.set()
        await asyncio.gather(*waiting)
        assert not keys.may_ask()
        for _ in range(10):
            await keys.ask()
        assert issuer.asked == 1
        keys._asked_s -= jwks.UNKNOWN_S
        assert keys.may_ask()
        await keys.ask()
        assert issuer.asked == 2


async def test_bad_answers() -> None:
    """An answer that is too large, no set, a redirect or an error gives no keys, and takes none away."""
    async with issuing() as issuer:
        keys = made(issuer)
        issuer.publish(rsa("one"))
        assert await keys.fetch()
        one = issuer.body
        for status, body in (
            (b"200 OK", b" " * (fetching.BYTES_MAX + 1)),
            (b"200 OK", b"[" * 100_000),
            (b"200 OK", b"\xff"),
            (b"200 OK", b'{"keys":5}'),
            (b"200 OK", b'{"keys":[%b]}' % b",".join([b"{}"] * 65)),
            (b"302 Found\r\nLocation: http://127.0.0.1:1/", b""),
            (b"500 Oops", one),
            (b"not a status", one),
        ):
            issuer.status, issuer.body = status, body
            assert not await keys.fetch()
            assert keys._ring.find("RS256", "one")
        issuer.status = b"200 OK"
        secret = OctKey.generate_key(256, {"kid": "secret"}).as_dict(private=True)
        issuer.body = msgspec.json.encode({"keys": [secret]})
        assert not await keys.fetch()
        assert not keys._ring.find("HS256", "secret")


async def test_stale_keys() -> None:
    """While the issuer is down its keys stay good for a bounded time, then they are not."""
    async with issuing() as issuer:
        keys = made(issuer, stale_s=0.3, refresh_s=0.02)
        issuer.publish(rsa("one"))
        running = asyncio.create_task(keys.run())
        await until(lambda: bool(keys._ring.find("RS256", "one")))
        issuer.status = b"503 Down"
        before = issuer.asked
        await until(lambda: issuer.asked > before + 1)
        await until(lambda: not keys._ring.find("RS256", "one"))
        issuer.status = b"200 OK"
        await until(lambda: bool(keys._ring.find("RS256", "one")))
        running.cancel()


async def test_nobody_answers() -> None:
    """An issuer that cannot be reached is no error of the server."""
    async with issuing() as issuer:
        keys = made(issuer)
        keys.url = "http://127.0.0.1:1/keys"
        assert not await keys.fetch()

"""What another provider says of itself is believed only of itself."""

import asyncio

import msgspec
import pytest

from fire22.core.errors import RequestError
from fire22.security.provider import GroupConfig, OidcConfig, Provider


@pytest.mark.parametrize(
    ("said", "is_good"), [("{own}", True), ("https://evil.example", False), ("{own}/", False), ("", False)]
)
async def test_metadata_of_another_issuer(said: str, is_good: bool) -> None:
    """Metadata that name another issuer than the one they were fetched from are refused, and sign nobody in."""
    own = ""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        body = msgspec.json.encode({"issuer": said.format(own=own), **{name: f"{own}/{name}" for name in names}})
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        own = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = OidcConfig(issuer=own, client_id="fire22", groups=(GroupConfig("traders", "risk", "/"),))
        provider = Provider(config, now_ms=lambda: 0)
        if is_good:
            assert (await provider.metadata()).issuer == own
        else:
            with pytest.raises(RequestError, match="provider_unavailable"):
                await provider.metadata()

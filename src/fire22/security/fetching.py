"""Small JSON documents of a provider or an issuer, over HTTP: bounded in size and time, and no redirect is followed."""

import asyncio
import ssl
from functools import cache
from typing import Final

import httpx2
import msgspec

BYTES_MAX: Final = 256 << 10
FETCH_S: Final = 5.0  # a fetch takes no longer


class FetchFailed(Exception):
    """An address did not answer with a JSON object; the text says why, and holds nothing of the answer."""


@cache
def tls() -> ssl.SSLContext:
    """Which servers are trusted. It is made once: reading all certificate authorities takes tens of milliseconds."""
    return httpx2.create_ssl_context()


async def fetch(url: str, *, bearer: str = "") -> dict[str, object]:
    """The JSON object at an address.

    Args:
        bearer: a token to ask with; empty is none.

    Raises:
        FetchFailed: whatever went wrong.
    """
    headers = {"accept": "application/json"} | ({"authorization": f"Bearer {bearer}"} if bearer else {})
    body = bytearray()
    try:
        async with (
            asyncio.timeout(FETCH_S),
            httpx2.AsyncClient(timeout=FETCH_S, follow_redirects=False, verify=tls()) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise FetchFailed(f"the answer is {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > BYTES_MAX:
                    raise FetchFailed(f"the answer has more than {BYTES_MAX} bytes")
    except FetchFailed:
        raise
    except Exception as error:  # whatever a stranger's answer does to a library must not end the server
        raise FetchFailed(type(error).__name__) from None
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FetchFailed("the answer is not a JSON object") from None

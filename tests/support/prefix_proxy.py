"""A reverse proxy that serves a server under a path: nginx's `location /book/ { proxy_pass http://server/; }`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

PREFIX = "/book/"


@contextlib.asynccontextmanager
async def prefixed(port: int) -> AsyncIterator[str]:
    """The address under which a server on this machine is reached; everything beside it is not found."""
    open_now: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            open_now.add(task)
            task.add_done_callback(open_now.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, rest = head.split(b" ", 2)
            if not target.startswith(PREFIX.encode()):
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
                return
            if b"upgrade: websocket" not in head.lower():  # one request a connection keeps this short
                rest = rest.replace(b"\r\nConnection: keep-alive", b"").replace(
                    b"\r\n", b"\r\nConnection: close\r\n", 1
                )
            ahead, behind = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(behind):
                behind.write(b"%b /%b %b" % (method, target.removeprefix(PREFIX.encode()), rest))
                upward = asyncio.create_task(_pass_on(reader, behind))
                await _pass_on(ahead, writer)
                upward.cancel()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PREFIX}"
    finally:
        server.close()
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

"""A server within the test's own process, on a free port, and a client that speaks to it frame by frame."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from fire22 import app
from fire22.core.message import Json, Message, decode_json
from fire22.sources.sqlite import install as outbox
from fire22.sportsbook.demo.create import create_demo

WAIT_S = 60  # ends early; so long only on a machine that is busy with much else


def make_config(folder: Path, book: Path | None = None, /, **sections: dict[str, Any]) -> app.Settings:
    """A configuration for a test: a free port, an open topic, and an end without waiting."""
    raw: dict[str, Any] = {"data": str(folder), "relay": {"open_topics": ["bench"]}}
    raw["book"] = {"path": "" if book is None else str(book), "poll_ms": 2, "reader": "thread"}
    raw["book"] |= sections.pop("book", {})
    raw["server"] = {"port": 0, "drain_s": 0} | sections.pop("server", {})
    return app.convert(raw | sections)


def make_book(path: Path) -> Path:
    """A small invented book: /M1, /M1/A1 and more."""
    create_demo(path, seed=1, now_ms=app.now_ms(), install=outbox.install)
    return path


def sign(server: app.Application, *, role: str = "admin", scope: str = "/", ttl_s: int = 600) -> str:
    """A token of this server's key."""
    return server.tokens.sign(subject="test", role=role, scope=scope, ttl_s=ttl_s, now_ms=app.now_ms())


async def until(holds: Callable[[], object]) -> None:
    """Until the server has come so far."""
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0.001)


class Talk:
    """An open WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[Message] = []  # what came and was not asked for yet
        self._id = 0

    async def receive(self) -> list[Message]:
        """The next frame's messages; they are also kept."""
        async with asyncio.timeout(WAIT_S):
            messages = decode_json(await self.socket.recv())
        self.messages += messages
        return messages

    async def message(self, wanted: Callable[[Message], bool]) -> Message:
        """The first message of some kind, among those that came or come; the others stay."""
        while True:
            for index, message in enumerate(self.messages):
                if wanted(message):
                    return self.messages.pop(index)
            await self.receive()

    async def update(self) -> Message:
        """The next message of a topic."""
        return await self.message(lambda message: message.target is not None)

    async def tick(self) -> Message:
        """The next tick."""
        return await self.message(lambda message: message.type == "tick")

    async def answer(self, id: int) -> Message:
        """The answer to a command."""
        return await self.message(lambda message: message.id == id)

    async def send(self, command: str, **fields: Json) -> int:
        """Send a command; its id."""
        self._id += 1
        await self.socket.send(msgspec.json.encode({"id": self._id, "command": command} | fields).decode())
        return self._id

    async def ask(self, command: str, **fields: Json) -> dict[str, Json]:
        """Send a command that must succeed; the data of its reply."""
        answer = await self.answer(await self.send(command, **fields))
        assert answer.type == "reply", answer
        assert isinstance(answer.data, dict)
        return answer.data

    async def refused(self, command: str, **fields: Json) -> str:
        """Send a command that must fail; the code of its error."""
        id = await self.send(command, **fields)
        answer = await self.answer(id)
        assert (answer.type, answer.id) == ("error", id), answer
        assert isinstance(answer.data, dict)
        assert (answer.code, answer.message) == (answer.data["code"], answer.data["message"])
        return str(answer.code)

    async def closed(self) -> tuple[int, list[Message]]:
        """How the server closes the connection: the code, and what it said before."""
        async with asyncio.timeout(WAIT_S):
            said = list(self.messages)
            with contextlib.suppress(ConnectionClosed):
                while True:
                    said += decode_json(await self.socket.recv())
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code, said


@contextlib.asynccontextmanager
async def talking(
    server: app.Application,
    *,
    token: str | None = "",
    protocols: tuple[str, ...] = (),
    headers: dict[str, str] | None = None,
    path: str = "/v1/ws",
    **options: Any,
) -> AsyncIterator[Talk]:
    """A connection; as an administrator unless a token (or None) is given."""
    headers = dict(headers or {})
    if token is not None:
        headers["Authorization"] = f"Bearer {token or sign(server)}"
    async with connect(
        f"ws://127.0.0.1:{server.address.port}{path}",
        additional_headers=headers,
        subprotocols=[Subprotocol(each) for each in protocols] or None,
        proxy=None,
        ping_interval=None,
        **options,
    ) as socket:
        yield Talk(socket)


def bench_event(id: str, data: Json = None, **metadata: Json) -> dict[str, Json]:
    """An event for the open topic."""
    event: dict[str, Json] = {
        "id": id,
        "type": "test.happened",
        "source": "test",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "data": data,
    }
    return event | {"metadata": {"category": "bench"} | metadata}

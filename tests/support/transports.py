"""Each way to a running server, as the gateways' contract drives it. A new transport adds one class, and its line in
TRANSPORTS.

All speak in the protocol's own commands: `ask("subscribe", target="kpi")` is answered with the data of the reply,
`refused` with the code of the error.
"""

import asyncio
import contextlib
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import ClassVar
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from fire22 import app
from fire22.core.command import parse_command
from fire22.core.errors import AuthError, Fire22Error
from fire22.core.message import Json, Message, decode_json, decode_msgpack
from tests.integration.inside import WAIT_S
from tests.integration.test_http import request
from tests.support.bare import BareConnection


class Can(Enum):
    """What a transport may offer."""

    SNAPSHOT = "what a subscription begins with"
    HISTORY = "older messages"
    PUBLISH = "events of a client"
    FOLLOW = "messages as they come, on a connection that lasts"
    COMMAND = "further commands on that connection"


class Refused(Exception):
    """The server has refused, or ended, a connection: the code says why."""

    def __init__(self, code: str, retry_after_s: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_s = retry_after_s


class Peer(ABC):
    """A client at the other end of a transport."""

    def __init__(self) -> None:
        self._kept: list[Message] = []  # what came and was not asked for yet
        self._id = 0

    @abstractmethod
    async def command(self, message: dict[str, Json]) -> None:
        """Send a command."""

    @abstractmethod
    async def receive(self) -> list[Message]:
        """The next messages.

        Raises:
            Refused: the connection has ended.
        """

    async def ask(self, command: str, **fields: Json) -> dict[str, Json]:
        """Send a command that must succeed; the data of its reply."""
        answer = await self._answer(command, fields)
        assert answer.type == "reply", answer
        assert isinstance(answer.data, dict)
        return answer.data

    async def refused(self, command: str, **fields: Json) -> str:
        """Send a command that must fail; the code of its error."""
        answer = await self._answer(command, fields)
        assert answer.type == "error", answer
        assert isinstance(answer.data, dict)
        assert (answer.code, answer.message) == (answer.data["code"], answer.data["message"])
        return str(answer.code)

    async def update(self) -> Message:
        """The next message of a topic, or one that is addressed to this client."""
        return await self._next(lambda message: message.offset is not None)

    async def tick(self) -> str:
        """The position of the next tick."""
        message = await self._next(lambda message: message.type == "tick")
        assert isinstance(message.data, dict)
        return str(message.data["position"])

    async def end(self) -> Refused:
        """Why the server ends the connection."""
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    await self.receive()
        except Refused as refused:
            return refused

    async def _answer(self, command: str, fields: dict[str, Json]) -> Message:
        self._id += 1
        id = self._id
        message: dict[str, Json] = {"id": id, "command": command}
        await self.command(message | fields)
        return await self._next(lambda message: message.id == id)

    async def _next(self, wanted: Callable[[Message], bool]) -> Message:
        """The next of some kind, among those that came or come; the others stay."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for index, message in enumerate(self._kept):
                    if wanted(message):
                        return self._kept.pop(index)
                messages = await self.receive()
                for message in messages:
                    if message.type == "connection_error":
                        raise Refused(str(message.code), message.retryAfter)
                self._kept += messages


class Transport(ABC):
    """A way to a running server.

    Attributes:
        can: what the contract asks of it.
        cannot: all else, with the reason.
    """

    name: str
    can: ClassVar[frozenset[Can]] = frozenset(Can)
    cannot: ClassVar[dict[Can, str]] = {}

    def __str__(self) -> str:
        return self.name

    @abstractmethod
    def connect(
        self, server: app.Application, token: str | None, *, holds_little: bool = False
    ) -> contextlib.AbstractAsyncContextManager[Peer]:
        """A client. One that `holds_little` makes the server wait as soon as it does not receive.

        Raises:
            Refused: the server did not take it.
        """


class WebSocketTransport(Transport):
    """`/v1/ws` in one of its ways of writing."""

    def __init__(self, subprotocol: str) -> None:
        self.name = f"websocket {subprotocol.rpartition('.')[2]}"
        self._subprotocol = subprotocol

    @contextlib.asynccontextmanager
    async def connect(
        self, server: app.Application, token: str | None, *, holds_little: bool = False
    ) -> AsyncIterator[Peer]:
        """See Transport."""
        sock = socket.socket()
        sock.setblocking(False)
        if holds_little:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.address.port))
        async with contextlib.AsyncExitStack() as stack:
            opening = connect(
                f"ws://127.0.0.1:{server.address.port}/v1/ws",
                sock=sock,
                additional_headers={} if token is None else {"Authorization": f"Bearer {token}"},
                subprotocols=[Subprotocol(self._subprotocol)],
                compression=None if holds_little else "deflate",
                max_queue=1 if holds_little else 64,
                max_size=None,
                proxy=None,
                ping_interval=None,
            )
            try:
                peer = _WebSocketPeer(await stack.enter_async_context(opening))
            except InvalidStatus as error:
                sock.close()
                [message] = decode_json(bytes(error.response.body or b""))
                raise Refused(str(message.code), message.retryAfter) from None
            try:
                yield peer
            finally:
                if holds_little:  # a farewell would have to wait behind what is not read
                    peer.hang_up()


class _WebSocketPeer(Peer):
    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self._socket = socket
        self._said: Message | None = None  # the last message about the connection

    def hang_up(self) -> None:
        """End the connection without a word."""
        self._socket.transport.abort()

    async def command(self, message: dict[str, Json]) -> None:
        with contextlib.suppress(ConnectionClosed):  # what was said before is read all the same
            await self._socket.send(msgspec.json.encode(message).decode())

    async def receive(self) -> list[Message]:
        try:
            frame = await self._socket.recv()
        except ConnectionClosed:
            said = self._said
            raise Refused(str(said and said.code), said.retryAfter if said else None) from None
        is_msgpack = self._socket.subprotocol == "fire22.v1.msgpack"
        messages = decode_msgpack(frame) if is_msgpack and isinstance(frame, bytes) else decode_json(frame)
        self._said = next((each for each in messages if each.type == "connection_error"), self._said)
        return messages


class BareTransport(Transport):
    """What a transport is at the least, within the process."""

    name = "bare"

    @contextlib.asynccontextmanager
    async def connect(
        self, server: app.Application, token: str | None, *, holds_little: bool = False
    ) -> AsyncIterator[Peer]:
        """See Transport."""
        connections = server.connections
        principal, failure = None, None
        try:
            principal = None if token is None else server.service.authenticate(token)
        except AuthError as error:
            failure = error
        refusal = connections.refusal() or connections.excess(principal)
        if refusal is not None:
            raise Refused(refusal.code.name, refusal.retry_after_s)
        connection = connections.bind(BareConnection)()
        connection.enter(principal, failure=failure)
        try:
            yield _BarePeer(connection)
        finally:
            connection.hang_up()


class _BarePeer(Peer):
    def __init__(self, connection: BareConnection) -> None:
        super().__init__()
        self._connection = connection

    async def command(self, message: dict[str, Json]) -> None:
        try:
            self._connection.perform(parse_command(msgspec.json.encode(message)))
        except Fire22Error as error:
            self._connection.answer_error(error, None)

    async def receive(self) -> list[Message]:
        while not (messages := self._connection.take()):
            if self._connection.is_ending:
                error = self._connection.ended_by
                raise Refused(error.code.name if error else "", error.retry_after_s if error else None)
            await asyncio.sleep(0.001)
        return decode_json(b"[%b]" % b",".join(messages))


class HttpTransport(Transport):
    """The HTTP views: each command is a request of its own."""

    name = "http"
    can = frozenset({Can.SNAPSHOT, Can.HISTORY, Can.PUBLISH})
    cannot: ClassVar = {
        Can.FOLLOW: "a request is answered once, with what there is",
        Can.COMMAND: "each request stands by itself and brings its own token",
    }

    @contextlib.asynccontextmanager
    async def connect(
        self, server: app.Application, token: str | None, *, holds_little: bool = False
    ) -> AsyncIterator[Peer]:
        """See Transport."""
        yield _HttpPeer(server, token)


class _HttpPeer(Peer):
    def __init__(self, server: app.Application, token: str | None) -> None:
        super().__init__()
        self._server = server
        self._token = token
        self._answers: list[Message] = []

    async def command(self, message: dict[str, Json]) -> None:
        method, path, body = self._request(message)
        answer = await request(self._server, method, path, body, token=self._token)
        if answer.status < 400:
            data = self._data(str(message["command"]), answer.json)
            self._answers.append(Message("reply", "", data, id=_id(message)))
            return
        [error] = decode_json(answer.body)
        assert error.code is not None
        if answer.status == 401:
            raise Refused(error.code)
        self._answers.append(msgspec.structs.replace(error, id=_id(message)))

    async def receive(self) -> list[Message]:
        answers, self._answers = self._answers, []
        return answers

    def _request(self, message: dict[str, Json]) -> tuple[str, str, Json]:
        fields = {name: value for name, value in message.items() if name not in ("id", "command", "target")}
        if message["command"] == "publish":
            return "POST", "/v1/events", fields["event"]
        topic = self._server.service.topics.get(str(message["target"]))
        is_stream = topic is not None and topic.kind.value == "stream"
        if message["command"] == "subscribe" and is_stream:
            fields["limit"] = fields.pop("last", 50)
        folder = "history" if message["command"] == "history" or is_stream else "views"
        return "GET", f"/v1/{folder}/{message['target']}?{urlencode(fields)}", None

    def _data(self, command: str, answer: dict[str, Json]) -> dict[str, Json]:
        """The answer as the command has it."""
        if command == "publish":
            assert isinstance(answer["results"], list)
            [result] = answer["results"]
            assert isinstance(result, dict)
            return {"seq": result["seq"], "repeat": result["repeat"]}
        if command == "subscribe":
            return {"position": answer.get("position"), "snapshot": answer.get("documents", answer.get("messages"))}
        return answer


def _id(message: dict[str, Json]) -> int:
    assert isinstance(message["id"], int)
    return message["id"]


TRANSPORTS: tuple[Transport, ...] = (
    WebSocketTransport("fire22.v1.plain"),
    WebSocketTransport("fire22.v1.json"),
    WebSocketTransport("fire22.v1.msgpack"),
    BareTransport(),
    HttpTransport(),
)

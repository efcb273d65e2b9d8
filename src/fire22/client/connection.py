"""One WebSocket after the other: open it, watch it, and after a loss come back. What its frames say is none of its
business.

Three tasks belong to each connection: one reads, one writes, and one watches that the server is heard of. They live as
long as the connection; `run`, which opens one after the other, lives as long as its owner.
"""

import asyncio
import inspect
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from fire22.client.clock import Clock, backoff_s
from fire22.client.errors import CLOSED, UNREACHABLE, ConnectionEnded
from fire22.core.codes import Close
from fire22.core.interest import ErrorBody
from fire22.core.session import SessionError

STALL_HEARTBEATS: Final = 2.5
CONNECT_S_MAX: Final = 10.0
CLOSE_S_MAX: Final = 5.0

SUBPROTOCOL: Final = Subprotocol("fire22.v1.json")

Token = str | Callable[[], str | Awaitable[str]]

logger = logging.getLogger("fire22.client")

# What may happen to a connection without being anybody's mistake here.
_LOSSES: Final = (OSError, EOFError, InvalidHandshake, ConnectionClosed, SessionError, msgspec.DecodeError)
_RETRIED_STATUSES: Final = frozenset({408, 425, 429})


class Owner(Protocol):
    """Whom a connection works for."""

    def connected(self) -> None:
        """A connection is open."""

    def disconnected(self) -> None:
        """It is gone."""

    def take_commands(self) -> list[str]:
        """The frames to send now."""

    async def wait_readable(self) -> None:
        """Wait until there is room for what a frame may bring."""

    async def receive(self, frame: str | bytes) -> None:
        """Take a frame; may wait for room on the way."""


class Settings(msgspec.Struct, frozen=True):
    """How to connect; see `fire22.client.connect`."""

    url: str
    token: Token | None
    heartbeat_s: float
    message_bytes_max: int
    proxy: str | Literal[True] | None
    tls: ssl.SSLContext | None
    attempts_max: int | None = None


class Connection:
    """See the module.

    Attributes:
        is_trying: whether an attempt is under way, or has succeeded.
        commands_wait: set it when there is something to send.
        said: why the server is about to close, where it said so.
    """

    def __init__(self, settings: Settings, owner: Owner, clock: Clock) -> None:
        self.is_trying = True
        self.commands_wait = asyncio.Event()
        self.said: ErrorBody | None = None
        self._settings = settings
        self._owner = owner
        self._clock = clock
        self._stall_s = settings.heartbeat_s * STALL_HEARTBEATS
        self._attempt = 0
        self._was_connected = False
        self._retry_after_s = 0.0
        self._token_was_renewed = False
        self._heard_s = 0.0
        self._is_listening = False

    def proven(self) -> None:
        """The server speaks the protocol with us: after the next loss the waiting begins anew."""
        self._attempt = 0
        self._token_was_renewed = False

    async def run(self) -> ConnectionEnded:
        """Open one connection after the other; return why there is to be none any more."""
        while True:
            self.is_trying = True
            error = await self._connect_once()
            self.is_trying = False
            ended = self._judge(error)
            if ended is not None:
                logger.warning("connection to %s ended: %s", self._settings.url, ended)
                return ended
            if self._attempt + 1 == self._settings.attempts_max:
                return ConnectionEnded(UNREACHABLE, f"No server answers at {self._settings.url}: {_words(error)}")
            wait_s = backoff_s(self._attempt, self._clock.random(), self._retry_after_s)
            first = not self._was_connected and self._attempt == 0  # nobody is there perhaps; later ones come back
            level = logging.WARNING if first else logging.INFO
            logger.log(level, "no connection to %s (%s); next attempt in %.2f s", self._settings.url, error, wait_s)
            self._attempt += 1
            self._retry_after_s = 0.0
            await self._clock.sleep(wait_s)

    async def _connect_once(self) -> Exception:
        """Hold one connection as long as it lasts; return what ended it."""
        self.said = None
        try:
            token = await self._bearer()
        except Exception as error:  # the application's own function; it may work the next time
            logger.warning("the token could not be had", exc_info=error)
            return error
        try:
            socket = await self._open(token)
        except _LOSSES as error:
            return error
        logger.info("connected to %s", self._settings.url)
        self._was_connected = True
        try:
            return await self._hold(socket)
        finally:
            self._owner.disconnected()
            await socket.close()

    async def _bearer(self) -> str | None:
        token = self._settings.token
        if not callable(token):
            return token
        given = token()
        return await given if inspect.isawaitable(given) else given

    async def _open(self, token: str | None) -> ClientConnection:
        settings = self._settings
        tls = settings.tls
        if tls is None and settings.url.startswith("wss:"):
            tls = ssl.create_default_context()
        return await open_websocket(
            settings.url,
            subprotocols=[SUBPROTOCOL],
            additional_headers={} if token is None else {"Authorization": f"Bearer {token}"},
            proxy=settings.proxy,
            open_timeout=CONNECT_S_MAX,
            close_timeout=CLOSE_S_MAX,
            ping_interval=None,  # the server's heartbeats are watched instead
            max_size=settings.message_bytes_max,
            ssl=tls,
        )

    async def _hold(self, socket: ClientConnection) -> Exception:
        self._owner.connected()
        async with asyncio.TaskGroup() as tasks:
            helpers = [tasks.create_task(self._write(socket)), tasks.create_task(self._watch(socket))]
            try:
                return await self._read(socket)
            finally:
                for helper in helpers:
                    helper.cancel()

    async def _read(self, socket: ClientConnection) -> Exception:
        """Read until the connection ends; return what ended it."""
        try:
            while True:
                await self._owner.wait_readable()
                self._heard_s = self._clock.now_s()
                self._is_listening = True
                frame = await socket.recv()
                self._is_listening = False
                await self._owner.receive(frame)
        except _LOSSES as error:
            return error
        finally:
            self._is_listening = False

    async def _write(self, socket: ClientConnection) -> None:
        """Send commands as they arise."""
        try:
            while True:
                for frame in self._owner.take_commands():
                    await socket.send(frame)
                await self.commands_wait.wait()
                self.commands_wait.clear()
        except ConnectionClosed:
            return  # the reader sees the same, and says so

    async def _watch(self, socket: ClientConnection) -> None:
        """Give the connection up when nothing is heard of the server while we listen."""
        while True:
            left_s = self._stall_s
            if self._is_listening:
                left_s -= self._clock.now_s() - self._heard_s
            if left_s <= 0:
                logger.warning("nothing came from %s for %.0f s", self._settings.url, self._stall_s)
                socket.transport.abort()
                return
            await self._clock.sleep(left_s)

    def _judge(self, error: Exception) -> ConnectionEnded | None:
        """Decide whether to come back, and when; return the reason not to."""
        if isinstance(error, InvalidStatus):
            self.said = _said_over_http(error.response.body)
        if self.said is not None and self.said.retryAfter is not None:
            self._retry_after_s = self.said.retryAfter
        if isinstance(error, InvalidStatus):
            return self._judge_status(error.response)
        if isinstance(error, ConnectionClosed) and error.rcvd is not None:
            if error.rcvd.code == Close.POLICY:
                return self._renew_token(error.rcvd.code, error.rcvd.reason)
            if 4500 <= error.rcvd.code <= 4999:
                return self._ending(error.rcvd.code, error.rcvd.reason)
        return None

    def _judge_status(self, response: Response) -> ConnectionEnded | None:
        """The server answered with an HTTP status instead of a WebSocket."""
        status, retry_after = response.status_code, response.headers.get("Retry-After", "")
        if retry_after.isdecimal():
            self._retry_after_s = max(self._retry_after_s, float(retry_after))
        if status == 401:
            return self._renew_token(None, "The token was refused.")
        if 400 <= status < 500 and status not in _RETRIED_STATUSES:
            return self._ending(None, f"The server answered with HTTP status {status}.")
        return None

    def _renew_token(self, close_code: int | None, reason: str) -> ConnectionEnded | None:
        """The token was refused: only a fresh one is a reason to come back, once."""
        if not callable(self._settings.token) or self._token_was_renewed:
            return self._ending(close_code, reason)
        self._token_was_renewed = True
        return None

    def _ending(self, close_code: int | None, reason: str) -> ConnectionEnded:
        said = self.said or ErrorBody(CLOSED, reason or "The server closed the connection for good.")
        return ConnectionEnded(said.code, said.message, close_code=close_code)


def websocket_url(url: str) -> str:
    """The address of the WebSocket of the server at an address.

    Raises:
        ValueError: it is not one.
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise ValueError(f"{url!r} is not the address of a server, such as http://127.0.0.1:8080.")
    path = parts.path.rstrip("/")
    return urlunsplit((scheme, parts.netloc, path if path.endswith("/v1/ws") else f"{path}/v1/ws", parts.query, ""))


def _words(error: Exception) -> str:
    """What went wrong, as a sentence."""
    text = str(error).strip() or type(error).__name__
    return text if text.endswith(".") else f"{text}."


def _said_over_http(body: bytes | bytearray | None) -> ErrorBody | None:
    """The error in the body of an HTTP answer, if it is one of ours."""
    try:
        return msgspec.json.decode(body or b"", type=ErrorBody)
    except msgspec.MsgspecError:
        return None

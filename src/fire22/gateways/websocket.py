"""The WebSocket gateway: one small protocol object for each connection, behind uvicorn's own HTTP port.

uvicorn builds the object when a request asks for the upgrade, hands it the transport and the request's bytes, and is
out of the way from then on. The object is also the hub's Subscriber, so an idle connection is this object, its parser
and its transport, and nothing else.

Commands are performed in their order, one after the other: the next one waits while a snapshot is read from the disk,
while a flush is under way, and while the peer does not take its answers. Nothing is read from a peer whose commands
wait or that takes nothing, so what one connection can make the server hold is one chunk of commands and one answer more
than `outbox_bytes_max`.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Coroutine, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final, cast

import msgspec

from fire22.core import codes
from fire22.core.codes import Close as CloseCode
from fire22.core.command import (
    Auth,
    Command,
    CommandError,
    History,
    Ping,
    Publish,
    Subscribe,
    Unsubscribe,
    parse_binary_command,
    parse_command,
)
from fire22.core.deflate import WINDOW_BITS_MAX
from fire22.core.errors import AuthError, Fire22Error, RequestError
from fire22.core.frames import (
    Binary,
    Close,
    DeflateFrameParser,
    FrameError,
    FrameParser,
    Text,
    close_frame,
    may_be_sent,
    pong_frame,
)
from fire22.core.frames import (
    Ping as PingFrame,
)
from fire22.core.message import encode_json
from fire22.gateways import handshake
from fire22.gateways.deadlines import Deadlines
from fire22.gateways.errors import as_message, close_code
from fire22.gateways.liveness import is_gone, tcp_info
from fire22.gateways.quota import Quota
from fire22.gateways.service import Follow, Service, page_data, reply, subscribed
from fire22.hub.codec import DEFLATED, JSON_BATCH, MSGPACK_BATCH, PLAIN, Codec
from fire22.hub.lane import Cohort, LaneKey, Recipient, Subscriber
from fire22.hub.past import Page
from fire22.observability.logging import get_logger
from fire22.security.tokens import Principal

# Set without a path, so that a browser keeps it to `/v1/` under whatever path a proxy serves the page.
SESSION_COOKIE = "fire22_sign_in"
_CODECS: Final[dict[str, Codec]] = {
    handshake.PLAIN: PLAIN,
    handshake.JSON_BATCH: JSON_BATCH,
    handshake.MSGPACK_BATCH: MSGPACK_BATCH,
}
SEND_BUFFER_BYTES = 128 << 10  # of the kernel, for each socket
CLOSE_WAIT_S = 5.0
GATHERED_MAX = 8  # answers that are written in one call
GATHERED_BYTES_MAX = 4096  # of an answer; with a longer one what was gathered is written at once
SLICE_S = 0.002  # a sweep holds the loop no longer than this and one connection more
_NO_DESCRIPTOR: Final = -1
_encode: Final = msgspec.json.Encoder().encode


class WebSockets:
    """What all connections of one server share, and the register of those that are open."""

    def __init__(self, service: Service, tasks: asyncio.TaskGroup) -> None:
        self.service = service
        self.tasks = tasks
        self.open: dict[WebSocket, None] = {}
        self.shed = 0  # connections refused because of load
        self.accepted = 0  # since the start
        self.unauthenticated: Deadlines[WebSocket] = Deadlines(service.limits.auth_timeout_s)
        self.users = Quota(service.limits.connections_user_max)
        self.addresses = Quota(service.limits.connections_address_max)
        self.loop = asyncio.get_running_loop()

    def end_unauthenticated(self) -> None:
        """Close who has not said in time who it is. Called about every second."""
        for connection in self.unauthenticated.late(self.loop.time()):
            connection.fail(AuthError(codes.AUTH_REQUIRED, "No token came in time; send it with the auth command."))

    async def sweep(self) -> None:
        """Close who is gone, who has taken nothing for too long, or whose token has ended; once a heartbeat or more."""
        began_s = now_s = self.loop.time()
        for connection in list(self.open):
            connection.sweep(now_s, self.service.now_ms())
            now_s = self.loop.time()
            if now_s - began_s > SLICE_S:
                await asyncio.sleep(0)
                began_s = now_s = self.loop.time()

    async def drain(self, drain_s: float) -> None:
        """Tell every connection to come back later, spread over `drain_s` seconds, and close them."""
        self.service.draining = True
        connections = list(self.open)
        slices = max(1, min(len(connections), round(drain_s * 20)))
        for number in range(slices):
            for connection in connections[number::slices]:
                connection.restart(retry_after_s=round(1 + drain_s * number / slices, 1))
            if number + 1 < slices:
                await asyncio.sleep(drain_s / slices)


class WebSocket(asyncio.Protocol, Subscriber):
    """One connection. `shared` is set on the class that is handed to uvicorn."""

    __slots__ = (
        "_address",
        "_descriptor",
        "_gathered",
        "_parser",
        "_performing",
        "_taken",
        "_transport",
        "_waiting",
        "codec",
        "principal",
    )

    shared: ClassVar[WebSockets]
    paths: ClassVar[tuple[str, ...]] = ("/v1/ws",)

    def __init__(self, **_: Any) -> None:
        Subscriber.__init__(self)
        self.codec: Codec = PLAIN
        self.principal: Principal | None = None
        self._address = ""  # where connections are counted by it
        # Of the socket, while nothing waits in the transport's buffer and it is not about to close. The number may be
        # another connection's as soon as this one is lost.
        self._descriptor = _NO_DESCRIPTOR
        self._gathered: list[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._parser: FrameParser | None = None
        self._waiting: deque[Command] | None = None
        self._performing = False
        # While paused: when it was last seen to have taken something, and the bytes that were left then.
        self._taken: tuple[float, int] | None = None

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """The request first, then frames."""
        if self._parser is None:
            self._open(data)
            return
        self._gathered = []
        try:
            for incoming in self._parser.receive(data):
                if self._is_ending:
                    return
                if isinstance(incoming, Text | Binary):
                    self._receive(incoming.payload)
                elif isinstance(incoming, PingFrame):
                    self.write(pong_frame(incoming.payload))
                elif isinstance(incoming, Close):
                    self._answer_close(incoming)
        except FrameError as error:
            self.shared.service.count(error)
            self._end(error.close_code, error.message)
        finally:
            self._let_go()

    def eof_received(self) -> bool:
        """The peer will send no more: end."""
        self._descriptor = _NO_DESCRIPTOR
        return False

    def pause_writing(self) -> None:
        """The peer takes less than it is sent: the hub makes it catch up at its own pace, and we hear it no more."""
        self.paused = True
        self._taken = (self.shared.loop.time(), 0)
        self._set_reading()

    def resume_writing(self) -> None:
        """It takes bytes again."""
        self.paused = False
        self._taken = None
        self.shared.service.hub.resumed()
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._descriptor = _NO_DESCRIPTOR
        self._transport = None
        shared = self.shared
        shared.unauthenticated.remove(self)
        if self in shared.open:
            del shared.open[self]
            shared.service.hub.hub.leave(self)
            if self._address:
                shared.addresses.release(self._address)
            if self.principal is not None:
                shared.users.release(self.principal.subject)

    def shutdown(self) -> None:
        """uvicorn's request to end."""
        self.restart(retry_after_s=1)

    # What the hub calls.

    @property
    def recipient(self) -> Recipient | None:
        """Who it is, as its token says."""
        principal = self.principal
        return None if principal is None else Recipient(principal.subject, principal.client)

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket, or behind others to the transport; nothing on one that is closed or about to be."""
        if self._gathered is not None:
            self._gathered.append(data)
            if len(data) > GATHERED_BYTES_MAX or len(self._gathered) >= GATHERED_MAX:
                self._let_go()
                self._gathered = []
            return
        if self._descriptor < 0:
            self._write_behind(data)
            return
        try:
            written = os.write(self._descriptor, data)
        except OSError:  # it is full, or broken: the transport meets the same, and knows what to do
            written = 0
        if written < len(data):
            self._write_rest(data[written:])

    @staticmethod
    def write_many(members: Sequence[Subscriber], cohort: Cohort, data: bytes) -> bool:
        """`write` on each of many connections, with nothing but the system call where the socket takes all."""
        write, size = os.write, len(data)
        slow = False
        for member in cast("Sequence[WebSocket]", members):
            if member.cohort is not cohort:  # it has left in a pause
                continue
            if member._descriptor < 0:
                member._write_behind(data)
                slow = True
                continue
            try:
                written = write(member._descriptor, data)
            except OSError:
                written = 0
            if written < size:
                member._write_rest(data[written:])
                slow = True
        return slow

    def _let_go(self) -> None:
        """Write what was gathered while one piece of input was dealt with: answers to many commands in one call."""
        gathered, self._gathered = self._gathered, None
        if gathered:
            self.write(b"".join(gathered))

    def _write_rest(self, data: bytes) -> None:
        """Leave to the transport what the socket does not take, and from here on what comes after it."""
        self._descriptor = _NO_DESCRIPTOR
        cast("asyncio.Transport", self._transport).write(data)

    def _write_behind(self, data: bytes) -> None:
        """Write where something may wait already."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() == 0:
            self._descriptor = _descriptor_of(transport)
            if self._descriptor >= 0:
                self.write(data)
                return
        transport.write(data)

    def overtaken(self) -> None:
        """It read so slowly that what comes next for it is gone."""
        message = "What you have yet to read is no longer kept; come back and take a snapshot."
        self.fail(RequestError(codes.POSITION_LOST, message, retry_after_s=1))

    # What the register calls.

    def sweep(self, now_s: float, now_ms: int) -> None:
        """See WebSockets.sweep."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._is_gone(transport):
            self._abandon(transport)
        elif self._stalled_s(transport, now_s) > self.shared.service.limits.stall_s:
            self.fail(RequestError(codes.STALLED, "The connection took no byte for too long.", retry_after_s=1))
        elif self.principal is not None and self.principal.expires_ms <= now_ms:
            self.fail(AuthError(codes.TOKEN_EXPIRED, "The token has expired; come back with a new one."))

    def _is_gone(self, transport: asyncio.Transport) -> bool:
        sock = transport.get_extra_info("socket")
        return sock is not None and is_gone(tcp_info(sock), 2 * self.shared.service.limits.heartbeat_s * 1000)

    def _stalled_s(self, transport: asyncio.Transport, now_s: float) -> float:
        """How long it has taken nothing of what waits for it, as far as was seen."""
        if self._taken is None:
            return 0.0
        since_s, unsent_bytes = self._taken
        if transport.get_write_buffer_size() != unsent_bytes:
            self._taken = (now_s, transport.get_write_buffer_size())
            return 0.0
        return now_s - since_s

    def _abandon(self, transport: asyncio.Transport) -> None:
        """End the connection of a peer that is no longer there to be told."""
        self.shared.service.count(RequestError(codes.PEER_GONE, "Nothing was acknowledged for two heartbeats."))
        self._descriptor = _NO_DESCRIPTOR
        transport.abort()
        self.shared.service.hub.hub.leave(self)

    def restart(self, *, retry_after_s: float) -> None:
        """Ask the client to come back."""
        self.fail(RequestError(codes.RESTARTING, "The server restarts.", retry_after_s=retry_after_s))

    # Opening.

    def _open(self, data: bytes) -> None:
        request = handshake.read_request(data)
        service = self.shared.service
        why = handshake.problem(request)
        if why is not None:
            self._refuse(426, RequestError(codes.PROTOCOL_ERROR, why))
        elif request.path not in self.paths:
            self._refuse(404, RequestError(codes.NOT_FOUND, "There is no WebSocket at this address; try /v1/ws."))
        elif service.draining:
            self._refuse(503, RequestError(codes.RESTARTING, "The server shuts down.", retry_after_s=2))
        elif service.hub.overloaded:
            self.shared.shed += 1
            error = RequestError(codes.OVERLOADED, "The server takes no new connections now.", retry_after_s=5)
            self._refuse(503, error)
        elif len(self.shared.open) >= service.limits.connections_max:
            error = RequestError(codes.CONNECTIONS_EXCEEDED, "The server is full.", retry_after_s=5)
            self._refuse(503, error)
        else:
            self._accept(request)

    def _refuse(self, status: int, error: Fire22Error) -> None:
        self.shared.service.count(error)
        body = encode_json(as_message(error, self.shared.service.now_ms(), kind="connection_error"))
        phrase = HTTPStatus(status).phrase
        self.write(handshake.refuse(status, phrase, body, retry_after_s=error.retry_after_s))
        self._close_transport()

    def _accept(self, request: handshake.Request) -> None:
        offered = [each for each in request.subprotocols if not each.startswith(handshake.BEARER)]
        chosen = next((each for each in offered if each in _CODECS), None)
        if offered and chosen is None:
            known = ", ".join(_CODECS)
            self._refuse(400, RequestError(codes.SUBPROTOCOL_UNKNOWN, f"This version speaks: {known}."))
            return
        principal, failure = None, None
        try:
            principal = self._principal_of(request)
        except AuthError as error:  # told after the upgrade: no page sees the answer to a handshake
            failure = error
        exceeded = self._exceeded_address() or self._exceeded_user(principal)
        if exceeded is not None:
            self._refuse(429, exceeded)
            return
        self._upgrade(request, chosen)
        self._take_place(principal)
        if failure is not None:
            self.fail(failure)
            return
        hub = self.shared.service.hub.hub
        hub.enter(self)
        if principal is None:
            self.shared.unauthenticated.add(self, self.shared.loop.time())
        else:
            hub.identify(self)

    def _principal_of(self, request: handshake.Request) -> Principal | None:
        """Who asks; None where that is said later, by command."""
        token, cookie = request.token, request.cookie(SESSION_COOKIE)
        if token is None and cookie is not None:
            if not request.same_origin:
                raise AuthError(codes.ORIGIN_FORBIDDEN, "The session cookie works only from the server's own page.")
            token = cookie
        return None if token is None else self.shared.service.authenticate(token)

    def _upgrade(self, request: handshake.Request, chosen: str | None) -> None:
        """Answer the handshake; from here on frames are spoken."""
        codec = _CODECS[chosen] if chosen else PLAIN
        deflate = request.deflate if self.shared.service.limits.compression else None
        # Shared bytes have the full window; who wants a smaller one gets messages as they are, which is allowed.
        shares = deflate is not None and deflate.window_bits == WINDOW_BITS_MAX
        self.codec = DEFLATED[codec.name] if shares else codec
        parser = FrameParser if deflate is None else DeflateFrameParser
        self._parser = parser(self.shared.service.limits.message_bytes_max)
        self._set_limits()
        self.write(handshake.accept(request, chosen, deflate))

    def _set_limits(self) -> None:
        if self._transport is None:
            return
        self._transport.set_write_buffer_limits(high=self.shared.service.limits.outbox_bytes_max)
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    # Places: what `_take_place` and `_authenticate` count, `connection_lost` releases.

    def _exceeded_address(self) -> RequestError | None:
        addresses = self.shared.addresses
        if not addresses.each_max or self._transport is None:
            return None
        peer = self._transport.get_extra_info("peername")
        self._address = peer[0] if peer else ""
        if not addresses.is_full(self._address):
            return None
        return _exceeded(f"This address holds {addresses.each_max} connections, and may hold no more.")

    def _exceeded_user(self, principal: Principal | None) -> RequestError | None:
        users = self.shared.users
        if principal is None or not users.is_full(principal.subject):
            return None
        return _exceeded(f"This user holds {users.each_max} connections, and may hold no more.")

    def _take_place(self, principal: Principal | None) -> None:
        self.shared.open[self] = None
        self.shared.accepted += 1
        if self._address:
            self.shared.addresses.take(self._address)
        if principal is not None:
            self._become(principal)

    def _become(self, principal: Principal) -> None:
        """It is known who asks."""
        self.shared.users.take(principal.subject)
        self.principal = principal

    # Commands.

    @property
    def _is_ending(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _receive(self, payload: str | bytes) -> None:
        try:
            command = parse_command(payload) if isinstance(payload, str) else parse_binary_command(payload)
        except CommandError as error:
            self._answer_error(error, error.id)
            return
        if self._waiting is None:
            self._waiting = deque((command,))
            self._go_on()
        else:
            self._waiting.append(command)

    def _go_on(self) -> None:
        """Perform the commands that wait, as far as nothing holds them up."""
        hub = self.shared.service.hub
        while self._waiting and not (self._performing or self.paused or self._is_ending):
            if hub.hub.flushing and isinstance(self._waiting[0], Subscribe | Unsubscribe):
                hub.change(self._go_on)
                break
            self._performing = True
            self._performing = not self._finish(self._waiting.popleft())
        if not self._waiting:
            self._waiting = None
        self._set_reading()

    def _set_reading(self) -> None:
        """Hear the peer, unless its commands wait or it takes nothing."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self.paused or self._waiting is not None:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _finish(self, command: Command) -> bool:
        """Perform a command; whether it is finished, or goes on by itself."""
        try:
            return self._perform(command)
        except AuthError as error:
            if isinstance(command, Auth) or self.principal is None:
                self.fail(error)
            else:
                self._answer_error(error, command.id)
        except Fire22Error as error:
            self._answer_error(error, command.id)
        return True

    def _perform(self, command: Command) -> bool:
        service = self.shared.service
        if isinstance(command, Auth):
            self._authenticate(command)
            return True
        if self.principal is None:
            raise AuthError(codes.AUTH_REQUIRED, "The first command must be auth, or bring the token when connecting.")
        if isinstance(command, Subscribe):
            return self._subscribe(command, self.principal)
        if isinstance(command, Unsubscribe):
            self._unsubscribe(command, self.principal)
        elif isinstance(command, Publish):
            self._publish(command, self.principal)
        elif isinstance(command, Ping):
            self._answer(command.id, _encode(service.hub.hub.stand(self)))
        elif isinstance(command, History):
            return self._history(command, self.principal)
        return True

    def _authenticate(self, command: Auth) -> None:
        principal = self.shared.service.authenticate(command.token)
        before = self.principal
        if before is None:
            exceeded = self._exceeded_user(principal)
            if exceeded is not None:
                self.fail(exceeded)
                return
            self._become(principal)
            self.shared.unauthenticated.remove(self)
            self.shared.service.hub.hub.identify(self)
        elif _identity(before) != _identity(principal):
            message = "A refreshed token has the same user, client, role and scope; connect anew."
            raise AuthError(codes.TOKEN_INVALID, message)
        else:
            self.principal = principal
        self._answer(command.id, b"{}")

    def _subscribe(self, command: Subscribe, principal: Principal) -> bool:
        follow = self.shared.service.follow(principal, command, self.codec)
        self._check_room(follow.key)
        if follow.resumed is not None and follow.resumed.recovered:
            self._join(command.id, follow, None, follow.resumed.cursor)
            return True
        hub = self.shared.service.hub.hub
        page = hub.snapshot(follow.topic, follow.key, follow.last)
        if page.need is None:
            self._join(command.id, follow, page, hub.flushed)
            return True
        self._go_on_by_itself(command.id, self._subscribe_with_snapshot(command.id, follow))
        return False

    def _history(self, command: History, principal: Principal) -> bool:
        service = self.shared.service
        key = service.history(principal, command, self.codec)
        page = service.hub.hub.history(key, command.before, command.limit)
        if page.need is None:
            self._answer(command.id, page_data(page))
            return True
        self._go_on_by_itself(command.id, self._answer_history(command, key, page))
        return False

    async def _answer_history(self, command: History, key: LaneKey, page: Page) -> None:
        hub = self.shared.service.hub
        before = hub.hub.flushed + 1 if command.before is None else command.before
        self._answer(command.id, page_data(await hub.read_on(key, page, before, command.limit)))
        self._performed()

    def _go_on_by_itself(self, id: int, work: Coroutine[Any, Any, None]) -> None:
        """Perform a command that needs the disk; the next one waits for it."""

        async def perform() -> None:
            try:
                await work
            except Fire22Error as error:
                self._answer_error(error, id)
                self._performed()
            except Exception as error:  # whatever it is, it costs this command alone
                get_logger().error("command failed", exc_info=error)
                self._answer_error(RequestError(codes.INTERNAL, codes.INTERNAL.meaning), id)
                self._performed()

        self.shared.tasks.create_task(perform())

    def _check_room(self, key: LaneKey) -> None:
        """A subscription on the same topic and scope is replaced, and needs none."""
        followed = [(lane.key.topic, lane.key.scope) for lane in self.lanes]
        limit = self.shared.service.limits.subscriptions_max
        if len(followed) >= limit and (key.topic, key.scope) not in followed:
            raise RequestError(codes.SUBSCRIPTIONS_EXCEEDED, f"A connection follows at most {limit}.")

    async def _subscribe_with_snapshot(self, id: int, follow: Follow) -> None:
        """The cursor starts where the snapshot ends."""
        hub = self.shared.service.hub
        page, offset = await hub.snapshot(follow.topic, follow.key, follow.last)

        def join() -> None:
            self._join(id, follow, page, offset)
            self._performed()

        hub.change(join)

    def _performed(self) -> None:
        """The command that went on by itself has been answered."""
        self._performing = False
        self._go_on()

    def _join(self, id: int, follow: Follow, snapshot: Page | None, offset: int) -> None:
        if self._is_ending:
            return
        hub = self.shared.service.hub
        # What follows a resume reaches the live edge of now; a snapshot is as of its own offset.
        position = hub.hub.position(hub.hub.flushed if snapshot is None else offset)
        is_newest = snapshot is not None and offset == hub.hub.flushed
        complete_ms = hub.hub.complete_ms(follow.topic.name, follow.key.scope) if is_newest else None
        self._answer(id, subscribed(follow, position, snapshot, complete_ms))
        hub.hub.follow(self, follow.key, offset, resumed=snapshot is None)
        hub.resumed()

    def _unsubscribe(self, command: Unsubscribe, principal: Principal) -> None:
        scope = principal.scope if command.scope is None else command.scope
        if not self.shared.service.hub.hub.unfollow(self, command.target, scope):
            raise RequestError(codes.NOT_SUBSCRIBED, "There is no subscription to this target and scope.")
        self._answer(command.id, b"{}")

    def _publish(self, command: Publish, principal: Principal) -> None:
        future = self.shared.service.publish(principal, [command.event])
        self.shared.tasks.create_task(self._answer_published(command.id, future))

    async def _answer_published(self, id: int, future: "asyncio.Future[Any]") -> None:
        try:
            (appended,) = await future
        except Fire22Error as error:
            self._answer_error(error, id)
            return
        except Exception as error:
            get_logger().error("command failed", exc_info=error)
            self._answer_error(RequestError(codes.INTERNAL, codes.INTERNAL.meaning), id)
            return
        repeat = b"true" if appended.repeat else b"false"
        self._answer(id, b'{"seq":%d,"repeat":%b}' % (appended.seq, repeat))

    # Answers and ends.

    def _answer(self, id: int, data: bytes) -> None:
        self.write(self.codec.answer(reply(id, self.shared.service.now_ms(), data)))

    def _answer_error(self, error: Fire22Error, id: int | None) -> None:
        self.shared.service.count(error)
        self.write(self.codec.answer(encode_json(as_message(error, self.shared.service.now_ms(), id=id))))

    def fail(self, error: Fire22Error) -> None:
        """Say why, and close."""
        if self._is_ending:
            return
        self.shared.service.count(error)
        message = as_message(error, self.shared.service.now_ms(), kind="connection_error")
        self.write(self.codec.answer(encode_json(message)))
        self._end(close_code(error), error.code.name)

    def _answer_close(self, incoming: Close) -> None:
        code = incoming.code if incoming.code is not None and may_be_sent(incoming.code) else CloseCode.NORMAL
        self._end(code, "")

    def _end(self, code: int, reason: str) -> None:
        self.write(close_frame(code, reason.encode()[:120].decode(errors="ignore")))
        self._close_transport()
        self.shared.service.hub.hub.leave(self)

    def _close_transport(self) -> None:
        self._let_go()
        transport = self._transport
        self._descriptor = _NO_DESCRIPTOR
        if transport is not None and not transport.is_closing():
            transport.close()
            # What the peer does not take is not waited for without end.
            wait_s = min(CLOSE_WAIT_S, self.shared.service.limits.stall_s)
            self.shared.loop.call_later(wait_s, transport.abort)


def _descriptor_of(transport: asyncio.Transport) -> int:
    """What may be written to beside the transport; -1 where it has no socket, or encrypts what goes there."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("sslcontext") is not None:
        return _NO_DESCRIPTOR
    return int(sock.fileno())


def _exceeded(message: str) -> RequestError:
    return RequestError(codes.CONNECTIONS_EXCEEDED, message, retry_after_s=5)


def _identity(principal: Principal) -> tuple[str, str, str, str]:
    return principal.subject, principal.client, principal.role, principal.scope

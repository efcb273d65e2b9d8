"""A connection, whatever carries it: who asks, what it may cost, and its commands in their order.

A transport derives its class from `Connection` and adds three things: how the bytes of a message get to the peer
(`write`, of `codec`), how the connection ends (`close`), and when the peer takes no more (it calls `pause` and
`resume`). All else is here, the same for all: places are counted across transports, so that a user has no more
connections by using several.

Commands are performed one after the other, in the turns of their user (`turns.py`), and charged to it (`rates.py`).
The next one waits while a page is read, while a flush is under way, and while the peer does not take its answers.
What has come is read in those turns too, command by command: a chunk of many small ones holds nobody up. Nothing more
is taken from a peer whose commands wait or that takes nothing (`hear`), so what one connection can make the server hold
is one chunk of input, one command, and one answer more than `outbox_bytes_max`.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import ClassVar, Final

from fire22.core import codes
from fire22.core.command import Auth, Command, Subscribe, Unsubscribe
from fire22.core.errors import AuthError, Fire22Error, RequestError
from fire22.core.message import encode_json
from fire22.gateways.commands import Caller
from fire22.gateways.errors import as_message
from fire22.gateways.rates import Payer, payer_of
from fire22.gateways.register import Connections
from fire22.gateways.replies import reply
from fire22.gateways.turns import Progress, Work, Worker
from fire22.hub.base import Recipient
from fire22.hub.codec import PLAIN, Codec
from fire22.observability.logging import get_logger
from fire22.security.principal import Principal
from fire22.security.tokens import KeyUnknown

COMMAND_UNITS: Final = 1.0  # what a command costs before it is known what it reads
PIECE_UNITS: Final = 0.05  # what a piece of input costs that is no command: a ping, a part of a message
NOBODY: Final = Payer()


class Connection(Caller, Worker):
    """One connection. `shared` is set on the classes that `Connections.bind` makes.

    Attributes:
        transport: what carries it, as the metrics name it.
    """

    __slots__ = ("_address", "_next", "_peer", "_performing", "_taken", "_waiting", "codec", "principal")

    shared: ClassVar[Connections]
    transport: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.codec: Codec = PLAIN
        self.principal: Principal | None = None
        self._address = ""  # where connections are counted by it
        self._peer = ""  # the address that the audit trail names
        self._waiting: deque[Iterator[Command | None]] | None = None  # input, as it is read
        self._next: Command | None = None  # was read, and is held up
        self._performing = False  # until it is known who asks
        self._is_heard = True
        self._is_ready = False  # its turn will come
        self._progress: Progress[float] | None = None  # of the command under way
        self._performed_id = 0
        self._payer = NOBODY
        # While paused: when it was last seen to have taken something, and the bytes that were left then.
        self._taken: tuple[float, int] | None = None

    # What a transport adds, beside `write` and `is_ending`.

    @property
    @abstractmethod
    def unsent_bytes(self) -> int:
        """What was written and not taken yet."""

    @abstractmethod
    def hear(self, *, on: bool) -> None:
        """Read what the peer sends, or let it wait."""

    @abstractmethod
    def close(self, error: Fire22Error) -> None:
        """End the connection behind what was written; the last message has told why."""

    @abstractmethod
    def abort(self) -> None:
        """End the connection at once: nobody is there to be told."""

    def is_gone(self) -> bool:
        """Whether the peer is known to be no longer there."""
        return False

    # What a transport calls.

    def enter(self, principal: Principal | None, address: str = "", failure: AuthError | None = None) -> None:
        """The connection is open, and `Connections.refusal` and `excess` had nothing against it.

        Args:
            principal: who asks; None where that is said by command.
            address: of the peer's machine.
            failure: what is wrong with the token that came; it is told, and the connection ends.
        """
        shared = self.shared
        self.codec = shared.service.hub.codec(self.codec)
        shared.open[self] = None
        shared.count[self.transport] += 1
        shared.accepted += 1
        self._peer = address
        self._payer = Payer(connection=str(shared.accepted), address=address)
        if address and shared.addresses.each_max:
            self._address = address
            shared.addresses.take(address)
        if principal is not None:
            self._become(principal)
        if failure is not None:
            self.fail(failure)
            return
        shared.service.hub.enter(self)
        if principal is None:
            shared.unauthenticated.add(self, shared.loop.time())
        else:
            shared.service.hub.identify(self)

    def perform(self, command: Command) -> None:
        """Perform a command, after what waits."""
        self.read(iter((command,)))

    def read(self, commands: Iterator[Command | None]) -> None:
        """Perform the commands of what the peer has sent, after what waits.

        Args:
            commands: reads on with each step, in the user's turns; None is a piece that is no command, and has been
                dealt with.
        """
        if self._waiting is None:
            self._waiting = deque((commands,))
            self._go_on()
        else:
            self._waiting.append(commands)

    def pause(self) -> None:
        """The peer takes less than it is sent: the hub makes it catch up at its own pace, and we hear it no more."""
        self.paused = True
        self._taken = (self.shared.loop.time(), 0)
        self.shared.hold(self, self._user)
        self._set_hearing()

    def resume(self) -> None:
        """It takes bytes again."""
        self.paused = False
        self._taken = None
        self.shared.outboxes.remove(self)
        self.shared.service.hub.writable(self)
        self._go_on()

    def leave(self) -> None:
        """The connection is gone: forget it."""
        shared = self.shared
        self._waiting = self._next = None
        shared.unauthenticated.remove(self)
        shared.outboxes.remove(self)
        shared.service.rates.forget(self._payer)
        if self in shared.open:
            del shared.open[self]
            shared.count[self.transport] -= 1
            shared.service.hub.leave(self)
            if self._address:
                shared.addresses.release(self._address)
            if self.principal is not None:
                shared.rights.remove(self, self.principal)

    def silence(self) -> None:
        """The connection ends: the hub writes nothing more to it."""
        self.shared.service.hub.leave(self)

    # What the hub calls.

    @property
    def recipient(self) -> Recipient | None:
        """Who it is, as its token says."""
        principal = self.principal
        return None if principal is None else Recipient(principal.user, principal.client)

    def position_lost(self) -> None:
        """It read so slowly that what comes next for it is gone."""
        message = "What you have yet to read is no longer kept; come back and take a snapshot."
        self.fail(RequestError(codes.POSITION_LOST, message, retry_after_s=1))

    def fail(self, error: Fire22Error) -> None:
        """Say why, and close."""
        if self.is_ending:
            return
        self._count(error)
        message = as_message(error, self.shared.service.now_ms(), kind="connection_error")
        self.write(self.codec.answer(encode_json(message)))
        self.close(error)
        self.silence()

    # What the register calls.

    def sweep(self, now_s: float) -> None:
        """See Connections.sweep."""
        if self.is_ending:
            return
        if self.is_gone():
            self.shared.service.count(RequestError(codes.PEER_GONE, "Nothing was acknowledged for two heartbeats."))
            self.abort()
            self.silence()
        elif self._stalled_s(now_s) > self.shared.service.limits.stall_s:
            self.fail(RequestError(codes.STALLED, "The connection took no byte for too long.", retry_after_s=1))

    def shed(self) -> None:
        """End at once: what those who read slowly have yet to take is more than the server keeps for them."""
        message = "The connections of this user have too much unread; read what is sent, or ask for less."
        self._count(RequestError(codes.STALLED, message))
        self.abort()
        self.silence()

    def _stalled_s(self, now_s: float) -> float:
        """How long it has taken nothing of what waits for it, as far as was seen."""
        if self._taken is None:
            return 0.0
        since_s, unsent_bytes = self._taken
        if self.unsent_bytes != unsent_bytes:
            self._taken = (now_s, self.unsent_bytes)
            return 0.0
        return now_s - since_s

    def restart(self, *, retry_after_s: float) -> None:
        """Ask the client to come back."""
        self.fail(RequestError(codes.RESTARTING, "The server restarts.", retry_after_s=retry_after_s))

    # Commands, in their order.

    def _go_on(self) -> None:
        """Perform the commands that wait, in the user's turn, as far as nothing holds them up."""
        if not self._is_ready and self._can_go_on:
            self._is_ready = True
            self.shared.service.turns.ready(self._user, self)
        self._set_hearing()

    @property
    def _can_go_on(self) -> bool:
        if self._waiting is None or self._performing or self.paused or self.is_ending:
            return False
        return self._progress is None or not self._progress.is_waiting

    @property
    def _user(self) -> str:
        """Among whom turns are shared: who is unknown counts by its address."""
        return self.principal.user if self.principal is not None else f"address:{self._payer.address}"

    @property
    def is_midway(self) -> bool:
        """See Worker: whether a command is under way."""
        return self._progress is not None

    def step(self, until_s: float) -> bool:
        """Perform commands until about this time; see Worker."""
        clock = self.shared.service.turns.clock
        was_midway = self.is_midway
        while self._can_go_on:
            if not self._perform_next():
                break
            if not self._waiting and self._next is None and self._progress is None:
                self._waiting = None
            elif self._can_go_on and (clock() >= until_s or (was_midway and not self.is_midway)):
                return True  # who was first to end a command lets the user's other connections go on
        self._is_ready = False
        self._set_hearing()
        return False

    def _perform_next(self) -> bool:
        """Perform the next command, or the next piece of one; False while a flush holds it up."""
        hub = self.shared.service.hub
        if self._progress is not None:
            self._advance(self._progress)
            return True
        command = self._next if self._next is not None else self._read_next()
        self._next = None
        if command is None:
            return True
        if hub.flushing and isinstance(command, Subscribe | Unsubscribe):
            self._next = command
            hub.between_flushes(self._go_on)
            return False
        work = self._begin(command)
        if work is not None:
            self._performed_id = command.id
            self._progress = Progress(self.shared.service.turns.reads, self._user, work, self._go_on)
        return True

    def _read_next(self) -> Command | None:
        """Read the next piece of what has come; None where that is no command."""
        waiting = self._waiting
        if not waiting:
            return None
        try:
            command = next(waiting[0])
        except StopIteration:
            waiting.popleft()
            return None
        except Exception as error:  # it costs its sender the connection, and nobody else
            get_logger().error("input could not be read", exc_info=error)
            waiting.clear()
            self.fail(RequestError(codes.INTERNAL, codes.INTERNAL.meaning))
            return None
        if command is None:
            self.shared.service.settle(self._payer, PIECE_UNITS)
        return command

    def _advance(self, progress: Progress[float]) -> None:
        """One piece of the command under way; if it fails, its sender is told, and nobody else notices."""
        service = self.shared.service
        try:
            if not progress.advance():
                return
            service.settle(self._payer, progress.result)
        except Fire22Error as error:
            self.answer_error(error, self._performed_id)
        except Exception as error:
            get_logger().error("command failed", exc_info=error)
            self.answer_error(RequestError(codes.INTERNAL, codes.INTERNAL.meaning), self._performed_id)
        self._progress = None

    def _set_hearing(self) -> None:
        """Hear the peer, unless its commands wait or it takes nothing."""
        on = not self.paused and self._waiting is None
        if on is not self._is_heard and not self.is_ending:
            self._is_heard = on
            self.hear(on=on)

    def _performed(self) -> None:
        """A command that went on by itself is done: the next one may begin."""
        self._performing = False
        self._go_on()

    def refuse_input(self, error: RequestError, id: int | None) -> None:
        """Say what is wrong with input that is no command; it costs what a command costs."""
        try:
            self.shared.service.charge(self._payer, COMMAND_UNITS)
        except RequestError as limited:
            error = limited
        self.answer_error(error, id)

    def _begin(self, command: Command) -> Work[float] | None:
        """Perform a command, or begin it: the rest of it is returned."""
        try:
            if isinstance(command, Unsubscribe):  # who asks for less is not refused
                self.shared.service.settle(self._payer, COMMAND_UNITS)
            else:
                self.shared.service.charge(self._payer, COMMAND_UNITS)
            if isinstance(command, Auth):
                self._performing = not self._authenticate(command.token, command.id)
                return None
            if self.principal is None:
                message = "The first command must be auth, or bring the token when connecting."
                raise AuthError(codes.AUTH_REQUIRED, message)
            return self.shared.commands.perform(self, self.principal, command)
        except AuthError as error:
            if isinstance(command, Auth) or self.principal is None:
                self.fail(error)
            else:
                self.answer_error(error, command.id)
        except Fire22Error as error:
            self.answer_error(error, command.id)
        return None

    def authenticate(self, token: str) -> None:
        """Find out who asks by a token that came when connecting; commands wait for that as for any other.

        Raises:
            AuthError: nobody whom the server knows, and no issuer needs to be asked.
        """
        self._performing = not self._authenticate(token, None)

    def _authenticate(self, token: str, id: int | None) -> bool:
        """Take a token; whether that is finished, or goes on when the issuer of its key has been asked.

        Args:
            id: of the command that brought it; None where none did, and none is answered.

        Raises:
            AuthError: nobody whom the server knows.
        """
        service = self.shared.service
        try:
            self._identified(service.authenticate(token, self._peer), id)
        except KeyUnknown:
            self.shared.tasks.create_task(self._authenticate_later(token, id))
            return False
        return True

    async def _authenticate_later(self, token: str, id: int | None) -> None:
        try:
            principal = await self.shared.service.identify(token, self._peer)
            if not self.is_ending:
                self._identified(principal, id)
        except AuthError as error:
            self.fail(error)
        self._performed()

    def _identified(self, principal: Principal, id: int | None) -> None:
        """It is known who asks, or anew what they may."""
        before = self.principal
        if before is None:
            excess = self.shared.excess(principal)
            if excess is not None:
                self.fail(excess)
                return
            self._become(principal)
            self.shared.unauthenticated.remove(self)
            self.shared.service.hub.identify(self)
        elif _identity(before) != _identity(principal):
            message = "A refreshed token has the same user, client, role and scope; connect anew."
            raise AuthError(codes.TOKEN_INVALID, message)
        else:
            self.shared.rights.remove(self, before)
            self._become(principal)
            self.shared.service.hub.between_flushes(self.hold_to_rights)
        if id is not None:
            self.answer(id, b"{}")

    def hold_to_rights(self) -> None:
        """Hold the subscriptions to what the principal may see now. Not within a flush.

        One that it may not have any more ends, and is named; one of which it sees other fields goes on with those.
        """
        service = self.shared.service
        if self.principal is None or self.is_ending:
            return
        for key in [lane.key for lane in self.lanes]:
            try:
                mask = service.check_follows(self.principal, key)
                if mask != key.mask:
                    service.hub.mask(self, key, mask)
            except RequestError as error:
                service.hub.unfollow(self, key.topic, key.scope)
                self._count(error, key.topic)
                message = as_message(error, service.now_ms(), target=key.topic, scope=key.scope)
                self.write(self.codec.answer(encode_json(message)))

    def _become(self, principal: Principal) -> None:
        """It is known who asks; `leave` releases the place."""
        self.shared.rights.add(self, principal)
        self.principal = principal
        self._payer = payer_of(principal, connection=self._payer.connection, address=self._payer.address)
        self.shared.service.audit.seen(principal, self._peer)

    def _count(self, error: Fire22Error, target: str = "") -> None:
        self.shared.service.count(
            error, principal=self.principal, address=self._peer, target=target, route=self.transport
        )

    # Answers.

    @property
    def peer(self) -> str:
        """See Caller."""
        return self._peer

    def answer(self, id: int, data: bytes) -> None:
        """See Caller."""
        service = self.shared.service
        left = service.left(self._payer)
        self.write(self.codec.answer(reply(id, service.now_ms(), data, left)))

    def answer_error(self, error: Fire22Error, id: int | None) -> None:
        """See Caller."""
        self._count(error)
        self.write(self.codec.answer(encode_json(as_message(error, self.shared.service.now_ms(), id=id))))


def _identity(principal: Principal) -> tuple[str, str, str, str]:
    return principal.subject, principal.client, principal.role, principal.scope

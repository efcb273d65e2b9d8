"""The client's half of the protocol as a state machine, fed by hand.

    session.connected()                         a connection is open
    session.receive(message, now_ms=now_ms)     a message came; what follows from it is returned
    session.commands()                          what to send now
    session.disconnected()                      the connection is gone

**Positions.** A tick says: everything that this connection follows has come, up to here. It says nothing about an
interest whose reply has not come yet. So each interest has a position of its own: the later of the ticks since it
became live and of the reply that brought its snapshot; that one is its `after` on the next connection. The session's
position is the newest tick's, held back while an interest stands behind it, unanswered or catching up: whoever stores
the session's position and begins anew with it misses nothing.

**Repeats.** What lies at or below an interest's position has been delivered. What lies above it and has been seen (a
critical message overtakes) is remembered by offset and key until the position passes it, and dropped when it comes
again. Of a view what is older than the document that came, or than its removal, is dropped even if it was never seen:
what follows a position may begin with states that were left out or passed before.

**Documents.** An interest with `delta` follows a view: its documents are kept here by key. A patch whose `base` is not
the offset of the document that is held means that something is missing; the interest is then asked for anew, without
`after`, and a snapshot heals it. A message without data removes the document of its key.

**Addressed messages**, to this user, this client or everyone, belong to no interest. A subscription with a position
brings those that were missed after it, however far the ticks have come since, so no position says which of them have
come: they are known as repeats only by the offsets of the newest ones.

Rejected: one position for the whole session (a subscription that is added later begins above it, and would receive
again, out of order, what its snapshot left out).

The JavaScript client is the same machine; both pass `tests/vectors/client_session.json`.
"""

from collections import deque
from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct

from fire22.core import codes, patch
from fire22.core.errors import RequestError
from fire22.core.event import Event
from fire22.core.interest import (
    Answered,
    ConnectionFailed,
    Delivered,
    Effect,
    ErrorBody,
    Failed,
    Interest,
    OffsetRange,
    Recovered,
    Refused,
    Request,
    Resubscribed,
    Skipped,
    State,
    Ticked,
    earlier,
    keep,
    later,
    remove,
    restart,
)
from fire22.core.message import Json, Message
from fire22.core.position import Position
from fire22.core.times import to_ms

CLOCK_SAMPLES: Final = 8

DISCONNECTED: Final = "disconnected"  # the code of a command whose answer was lost with the connection

CommandName = Literal["subscribe", "unsubscribe", "auth", "history", "publish", "ping"]


class SessionError(RequestError):
    """The server said something that the protocol does not know; give up this connection."""


class Command(Struct, frozen=True, omit_defaults=True):
    """What a client asks for. Field names are those of PROTOCOL.md; absent fields are not sent."""

    id: int
    command: CommandName
    target: str | None = None
    scope: str | None = None
    filter: dict[str, Json] | None = None
    delta: bool = False
    last: int | None = None
    after: str | None = None
    max_rate_hz: float | None = None
    lossy: bool = False
    token: str | None = None
    before: int | None = None
    limit: int | None = None
    event: Event | None = None


class _Skip(Struct, frozen=True, rename={"from_": "from"}):
    """What was left out of one subscription, as a tick says it."""

    target: str
    from_: int
    to: int
    count: int
    scope: str | None = None


class _Late(Struct, frozen=True):
    target: str
    scope: str
    watermark: datetime


class _Tick(Struct, frozen=True):
    position: str
    time: datetime
    watermark: datetime | None = None
    readTo: datetime | None = None
    late: tuple[_Late, ...] = ()
    skipped: tuple[_Skip, ...] = ()


class _Subscribed(Struct, frozen=True):
    position: str | None = None
    kind: str | None = None
    recovered: bool = False
    reason: str | None = None
    lost: OffsetRange | None = None
    snapshot: tuple[Message, ...] = ()


class _Asked(Struct, frozen=True):
    """A command without an answer: for which interest, and whether it named a position."""

    interest: Interest | None
    resumed: bool


class ClientSession:
    """What a client knows and what it has to do next; see the module."""

    def __init__(self) -> None:
        self._interests: dict[tuple[str, str | None], Interest] = {}
        self._direct = Interest(Request(""), None)  # addressed messages: no request and no position, and no repeats
        self._epoch: str | None = None
        self._asked: dict[int, _Asked] = {}
        self._commands: list[Command] = []
        self._clock_samples: deque[int] = deque(maxlen=CLOCK_SAMPLES)
        self._ticked: Position | None = None
        self._watermark_ms: int | None = None
        self._late: dict[tuple[str, str], int] = {}
        self._read_to_ms: int | None = None
        self._last_id = 0
        self._is_connected = False

    @property
    def position(self) -> Position | None:
        """Everything that is followed has come up to here; None before the first tick."""
        position = self._ticked
        if position is not None:
            for interest in self._interests.values():
                if interest.state is not State.REFUSED and interest.position is not None:
                    position = earlier(position, interest.position)
        return position

    def complete_ms(self, target: str, scope: str | None) -> int | None:
        """Up to when all facts are in what a subscription shows, milliseconds since 1970 UTC; None before a tick.

        Args:
            scope: as it was subscribed to; None is the token's own, of which the least of the topic's is told.
        """
        of_topic = [at for (topic, at_scope), at in self._late.items() if topic == target and scope in (None, at_scope)]
        return min(of_topic, default=self._read_to_ms)

    @property
    def watermark_ms(self) -> int | None:
        """All facts up to this time are in the figures; milliseconds since 1970 UTC."""
        return self._watermark_ms

    @property
    def clock_difference_ms(self) -> int:
        """The server's clock minus the local one, from the tick that travelled fastest; 0 before the first."""
        return max(self._clock_samples, default=0)

    @property
    def level(self) -> bool:
        """Whether all interests have been answered, and what had been missed has come."""
        return self._is_connected and all(interest.level for interest in self._interests.values())

    @property
    def interests(self) -> tuple[Interest, ...]:
        """All that is followed, in the order in which it was asked for."""
        return tuple(self._interests.values())

    def subscribe(self, request: Request, after: str | None = None) -> Interest:
        """Follow something, from a stored position or from a snapshot. The same target and scope again: replaces.

        Raises:
            RequestError: `position_invalid`.
        """
        interest = Interest(request, None if after is None else _position(after))
        self._interests[request.target, request.scope] = interest
        if self._is_connected:
            self._request(interest)
        return interest

    def unsubscribe(self, interest: Interest) -> None:
        """Let go; of something that was replaced or let go before, nothing happens."""
        if not self._is_current(interest):
            return
        del self._interests[interest.request.target, interest.request.scope]
        if interest.state in (State.PENDING, State.LIVE):
            self.command("unsubscribe", target=interest.request.target, scope=interest.request.scope)

    def retry(self, interest: Interest) -> None:
        """Ask again for something that was refused."""
        if self._is_connected and interest.state is State.REFUSED and self._is_current(interest):
            self._request(interest)

    def command(
        self,
        name: CommandName,
        *,
        target: str | None = None,
        scope: str | None = None,
        filter: dict[str, Json] | None = None,
        before: int | None = None,
        limit: int | None = None,
        token: str | None = None,
        event: Event | None = None,
    ) -> int:
        """Send another command while connected.

        Returns:
            The id that its `Answered` or `Failed` will carry.
        """
        id = self._next_id()
        command = Command(id, name, target, scope, filter, before=before, limit=limit, token=token, event=event)
        return self._send(command, _Asked(None, False))

    def commands(self) -> list[Command]:
        """Take what is to be sent now, in order."""
        commands, self._commands = self._commands, []
        return commands

    def connected(self) -> None:
        """A connection is open: ask for everything, from where it was left."""
        self._is_connected = True
        self._clock_samples.clear()
        for interest in self._interests.values():
            self._request(interest)

    def disconnected(self) -> list[Effect]:
        """The connection is gone; returned is a failure for each command that will not be answered any more."""
        error = ErrorBody(DISCONNECTED, "The connection was lost before the answer came.")
        effects: list[Effect] = [Failed(id, error) for id, asked in self._asked.items() if asked.interest is None]
        for interest in self._interests.values():
            interest.state = State.IDLE
        self._is_connected = False
        self._commands.clear()
        self._asked.clear()
        return effects

    def receive(self, message: Message, *, now_ms: int) -> list[Effect]:
        """Take a message from the server.

        Args:
            message: in the order in which they came.
            now_ms: the local clock, milliseconds since 1970 UTC.

        Raises:
            SessionError: the message is none of this protocol; the connection is of no more use.
        """
        try:
            if message.type == "tick":
                return self._tick(msgspec.convert(message.data, _Tick), now_ms)
            if message.type == "reply":
                return self._reply(message)
        except msgspec.ValidationError as error:
            raise SessionError(codes.PROTOCOL_ERROR, f"A {message.type} is not as it must be: {error}.") from None
        if message.type == "error":
            return self._error(message)
        if message.type == "connection_error":
            return [ConnectionFailed(_error_body(message))]
        return self._message(message)

    def _is_current(self, interest: Interest) -> bool:
        return self._interests.get((interest.request.target, interest.request.scope)) is interest

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _send(self, command: Command, asked: _Asked) -> int:
        self._asked[command.id] = asked
        self._commands.append(command)
        return command.id

    def _request(self, interest: Interest) -> None:
        request, position = interest.request, interest.position
        interest.state = State.PENDING
        interest.head = None
        command = Command(
            self._next_id(),
            "subscribe",
            request.target,
            request.scope,
            request.filter,
            request.delta,
            request.last,
            None if position is None else str(position),
            request.max_rate_hz,
            request.lossy,
        )
        self._send(command, _Asked(interest, position is not None))

    def _tick(self, tick: _Tick, now_ms: int) -> list[Effect]:
        position = _position(tick.position)
        self._ticked = later(self._ticked, position)
        self._see_epoch(position)
        for interest in self._interests.values():
            if interest.state is State.LIVE:
                interest.advance(position)
        time_ms = to_ms(tick.time)
        self._clock_samples.append(time_ms - now_ms)
        if tick.watermark is not None:  # one that says none is of a connection that catches up: the last still holds
            self._watermark_ms = to_ms(tick.watermark)
            self._read_to_ms = self._watermark_ms if tick.readTo is None else to_ms(tick.readTo)
            self._late = {(each.target, each.scope): to_ms(each.watermark) for each in tick.late}
        return [*self._skipped(tick), Ticked(position, time_ms, self._watermark_ms)]

    def _skipped(self, tick: _Tick) -> list[Skipped]:
        found = [(self._live_interest(skip.target, skip.scope), skip) for skip in tick.skipped]
        return [
            Skipped(interest, OffsetRange(skip.from_, skip.to), skip.count)
            for interest, skip in found
            if interest is not None
        ]

    def _see_epoch(self, position: Position) -> None:
        """The offsets of another feed say nothing about those of this one."""
        if self._epoch is not None and self._epoch != position.epoch:
            self._direct.seen.clear()
        self._epoch = position.epoch

    def _reply(self, message: Message) -> list[Effect]:
        if message.id is None:
            return []
        asked = self._asked.pop(message.id, None)
        if asked is None:
            return []
        if asked.interest is None:
            return [Answered(message.id, message.data)]
        if not self._is_current(asked.interest):
            return []
        return self._subscribed(asked, message, msgspec.convert(message.data, _Subscribed))

    def _subscribed(self, asked: _Asked, message: Message, reply: _Subscribed) -> list[Effect]:
        interest = asked.interest
        if interest is None:
            raise AssertionError("a reply to subscribe has an interest")
        interest.state = State.LIVE
        interest.head = None if reply.position is None else _position(reply.position)
        if interest.head is not None:
            self._see_epoch(interest.head)
        interest.is_view = interest.request.delta or reply.kind == "view"
        effects: list[Effect] = []
        if asked.resumed:
            effects.append(Recovered(interest, reply.recovered, reply.reason, reply.lost))
        if not reply.recovered:
            return effects + restart(interest, reply.snapshot, message.timestamp)
        for one in reply.snapshot:
            effects += self._deliver(interest, one)
        return effects

    def _error(self, message: Message) -> list[Effect]:
        error = _error_body(message)
        asked = None if message.id is None else self._asked.pop(message.id, None)
        interest = None if asked is None else asked.interest
        if message.id is None and message.target is not None:  # a right was withdrawn, and a subscription with it
            interest = self._live_interest(message.target, message.scope)
            if interest is None:
                return []
            interest.documents.clear()
        if interest is None:
            return [Failed(message.id, error)]
        if not self._is_current(interest):
            return []
        interest.state = State.REFUSED
        return [Refused(interest, error)]

    def _interest_of(self, target: str, scope: str | None) -> Interest | None:
        return self._interests.get((target, scope)) or self._interests.get((target, None))

    def _live_interest(self, target: str, scope: str | None) -> Interest | None:
        """Before its reply an interest can only meet leftovers of the one that it replaces."""
        interest = self._interest_of(target, scope)
        return interest if interest is not None and interest.state is State.LIVE else None

    def _message(self, message: Message) -> list[Effect]:
        if message.target is None or message.target.startswith(("user:", "client:")):
            return [] if self._direct.is_repeat(message) else [Delivered(None, message)]
        interest = self._live_interest(message.target, message.scope)
        return [] if interest is None else self._deliver(interest, message)

    def _deliver(self, interest: Interest, message: Message) -> list[Effect]:
        if interest.request.delta:
            return self._document(interest, message)
        is_known = interest.is_outdated(message) if interest.is_view else interest.is_repeat(message)
        return [] if is_known else [Delivered(interest, message)]

    def _document(self, interest: Interest, message: Message) -> list[Effect]:
        if interest.is_outdated(message):
            return []
        if message.data is None:
            return remove(interest, message)
        if not message.patch:
            return [keep(interest, message)]
        known = interest.documents.get(message.key or "")
        if known is None or known.offset != message.base:
            return self._again(interest)
        whole = patch.apply(known.data, message.data)
        return [keep(interest, msgspec.structs.replace(message, data=whole, patch=False, base=None))]

    def _again(self, interest: Interest) -> list[Effect]:
        """Something is missing: begin anew with a snapshot."""
        interest.position = None
        self._request(interest)
        return [Resubscribed(interest)]


def _error_body(message: Message) -> ErrorBody:
    """Errors are flat, and the same in `data`."""
    if message.code is not None:
        return ErrorBody(message.code, message.message or "", message.retryAfter, message.details)
    try:
        return msgspec.convert(message.data, ErrorBody)
    except msgspec.ValidationError:
        return ErrorBody()


def _position(text: str) -> Position:
    """Read a position; to a client the epoch is just a name."""
    epoch, _, offset = text.rpartition("-")
    if not epoch or not offset.isdecimal() or len(offset) > 16:
        raise SessionError(codes.POSITION_INVALID, f"{text[:60]!r} is not a position such as 1f0c9a2b-123.")
    return Position(epoch, int(offset))

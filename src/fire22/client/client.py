"""The Python client: one connection that comes back by itself, driving `core/session.py`.

    async with connect("http://127.0.0.1:8080", token=token) as client:
        async for message in client.subscribe("wagers", scope="/M1", last=50):
            ...

**Backpressure.** When the inbox of a stream is full the client reads nothing more, for any subscription: the server
notices that nothing is taken and keeps the client's place as a position; nothing is lost and nothing piles up. While
the application waits for an answer (`publish`, `history`) the reading goes on all the same, since the answer comes
behind what fills the inbox; otherwise the two would wait for each other.

**Addressed messages** come without a subscription:

    async for message in client.direct():
        print(message.target or "everyone", message.data)

What was said while there was no connection is brought by the subscriptions, since these have a position: a client that
follows nothing gets only what is said while it is connected.

Rejected: a task and a socket for each subscription (one position resumes everything only on one connection); dropping
the oldest messages of a full inbox (a stream never drops silently).
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Final, Literal, Self

import msgspec
from msgspec import UNSET, UnsetType

from fire22.client.answers import Answers
from fire22.client.clock import Clock, backoff_s
from fire22.client.connection import Connection, Settings, Token, websocket_url
from fire22.client.direct import Direct
from fire22.client.errors import CLOSED, ConnectionEnded, ServerError, server_error
from fire22.client.history import History, to_history
from fire22.client.inbox import Covered, Inbox
from fire22.client.reading import read_frame
from fire22.client.state import ClientState
from fire22.client.subscription import Subscription
from fire22.core.event import Event
from fire22.core.interest import (
    Answered,
    ConnectionFailed,
    Delivered,
    Effect,
    Failed,
    Interest,
    Refused,
    Request,
    Ticked,
    earlier,
)
from fire22.core.message import Json
from fire22.core.session import DISCONNECTED, ClientSession
from fire22.core.times import to_datetime

HEARTBEAT_S: Final = 25.0
HISTORY_MESSAGES: Final = 100
INBOX_MESSAGES_MAX: Final = 1_000
ERRORS_MAX: Final = 100
MESSAGE_BYTES_MAX: Final = 16 * 2**20

_encoder: Final = msgspec.json.Encoder()

logger = logging.getLogger("fire22.client")


def connect(
    url: str,
    *,
    token: Token | None = None,
    position: str | None = None,
    heartbeat_s: float = HEARTBEAT_S,
    inbox_messages_max: int = INBOX_MESSAGES_MAX,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
    attempts_max: int | None = None,
    proxy: str | Literal[True] | None = True,
    tls: ssl.SSLContext | None = None,
    clock: Clock | None = None,
) -> "Client":
    """Connect, and stay connected until the `async with` ends.

    Args:
        url: of the server: http, https, ws or wss.
        token: or a function that gives one (it may be `async`); it is asked before each attempt.
        position: where streams go on from: what `Client.position` said earlier.
        heartbeat_s: the server's; a connection on which nothing comes for 2.5 of them is given up.
        inbox_messages_max: for each stream; see the module about what happens then.
        message_bytes_max: of one frame from the server.
        attempts_max: so many in a row that reach no server end it (`unreachable`); None goes on for ever.
        proxy: as for `websockets`: True takes it from the environment, None takes none.
        tls: how to check an https server; None for the usual way.
        clock: for tests.
    """
    settings = Settings(websocket_url(url), token, heartbeat_s, message_bytes_max, proxy, tls, attempts_max)
    return Client(settings, position, inbox_messages_max, Clock() if clock is None else clock)


class Client:
    """A connection that comes back; made by `connect`.

    Attributes:
        errors: the newest errors that no command and no subscription awaits, such as `message_unsayable`: a message
            held a value that cannot be read here, and was left out. `details` say of which topic, and its offset.
    """

    def __init__(self, settings: Settings, position: str | None, inbox_messages_max: int, clock: Clock) -> None:
        self._start = position
        self._inbox_messages_max = inbox_messages_max
        self._clock = clock
        self._session = ClientSession()
        self._connection = Connection(settings, self, clock)
        self._subscriptions: dict[Interest, Subscription] = {}
        self._direct: list[Direct] = []
        self._answers = Answers()
        self.errors: deque[ServerError] = deque(maxlen=ERRORS_MAX)
        self._tasks = asyncio.TaskGroup()
        self._owned: set[asyncio.Task[None]] = set()
        self._ended: ConnectionEnded | None = None
        self._is_connected = False
        self._has_followed = False
        self._may_read = asyncio.Event()
        self._open = asyncio.Event()  # connected, or ended
        self._level = asyncio.Event()  # live, or ended

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._own(self._tasks.create_task(self._run()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._owned:
            task.cancel()
        self._end(ConnectionEnded(CLOSED, "The application closed the connection."), None)
        # The application's own error goes its way as it is, not in a group with ours.
        if isinstance(error, asyncio.CancelledError):
            await self._tasks.__aexit__(kind, error, traceback)
        else:
            await self._tasks.__aexit__(None, None, None)

    @property
    def state(self) -> ClientState:
        """What the connection is doing."""
        if self._ended is not None:
            return ClientState.CLOSED
        if self._is_connected:
            return ClientState.LIVE if self._session.level else ClientState.CATCHING_UP
        return ClientState.CONNECTING if self._connection.is_trying else ClientState.RECONNECTING

    @property
    def position(self) -> str | None:
        """Everything up to here has been handled; what to store, and to give to `connect` later.

        The message that the application is busy with does not count, and neither does what waits in an inbox, of a
        stream or of `direct`. Views with `delta` do not hold it back: their documents come whole after a new start.
        """
        streams = [one for one in self._subscriptions.values() if not one.interest.request.delta]
        if self._start is not None and not self._has_followed:
            return self._start
        if streams and all(one.handled is None for one in streams):
            return self._start
        if any(one.handled is None for one in self._direct):
            return self._start
        newest = self._session.position
        handled = [one.handled or one.first for one in streams] + [one.handled for one in self._direct]
        for position in handled:
            if position is not None:
                newest = position if newest is None else earlier(newest, position)
        return self._start if newest is None else str(newest)

    def complete_up_to(self, target: str, scope: str | None = None) -> datetime | None:
        """Up to when all facts are in what the subscription to a topic and scope shows; None before the first tick.

        `watermark` is the least of all subscriptions.
        """
        complete_ms = self._session.complete_ms(target, scope)
        return None if complete_ms is None else to_datetime(complete_ms)

    @property
    def watermark(self) -> datetime | None:
        """All facts up to this time are in the figures."""
        watermark_ms = self._session.watermark_ms
        return None if watermark_ms is None else to_datetime(watermark_ms)

    @property
    def freshness_s(self) -> float | None:
        """The age of the figures in seconds by the server's clock, None before the first tick."""
        watermark_ms = self._session.watermark_ms
        if watermark_ms is None:
            return None
        return (self._clock.wall_ms() + self._session.clock_difference_ms - watermark_ms) / 1000

    def subscribe(
        self,
        target: str,
        *,
        scope: str | None = None,
        filter: Mapping[str, Json] | None = None,
        delta: bool = False,
        last: int | None = None,
        after: str | UnsetType | None = UNSET,
        max_rate_hz: float | None = None,
        lossy: bool = False,
    ) -> Subscription:
        """Follow a topic. The same target and scope again: replaces, and ends the iteration of the first.

        Args:
            target: the topic.
            scope: a path in the agent tree; None for all that the token may see.
            filter: `{field: value | [values] | {"gte"?, "lte"?}}`; all must hold.
            delta: for a view: receive only what changes and keep whole documents here, newest state only.
            last: how many messages the snapshot of a stream holds.
            after: a stored position; None for a snapshot. Unset: the position given to `connect`, and for `delta` a
                snapshot.
            max_rate_hz: 0.1 to 1000: it is written to at most so often. Of a view what changes between is merged; the
                messages of a stream gather and come together, and none is lost.
            lossy: for streams: with `max_rate_hz` only the newest message of each interval comes, and one who is far
                behind is taken near the live edge. `Subscription.events` says what was left out.

        Raises:
            RequestError: `position_invalid`.
        """
        if isinstance(after, UnsetType):
            after = None if delta else self._start
        request = Request(target, scope, None if filter is None else dict(filter), delta, last, max_rate_hz, lossy)
        interest = self._session.subscribe(request, after)
        for known in list(self._subscriptions.values()):
            if (known.target, known.scope) == (target, scope):
                self._forget(known)
        self._has_followed = True
        inbox = Inbox(self._inbox_messages_max, self._refresh_reading)
        subscription = Subscription(interest, inbox, self._unsubscribe, interest.position)
        if self._ended is None:
            self._subscriptions[interest] = subscription
        else:
            inbox.close(self._ended)
        self._refresh()
        return subscription

    def direct(self) -> Direct:
        """Messages to this user, this client and everyone, from this call on, whatever is followed.

        Call it before `subscribe` to get those that the subscriptions bring from before: what was said while there was
        no connection comes with a subscription that goes on from a position. Following nothing, or only views that
        begin with a snapshot, brings only what is said while the connection stands.
        """
        inbox = Inbox(self._inbox_messages_max, self._refresh_reading)
        direct = Direct(inbox, self._session.position, self._close_direct)
        if self._ended is None:
            self._direct.append(direct)
        else:
            inbox.close(self._ended)
        return direct

    def _close_direct(self, direct: Direct) -> None:
        if direct in self._direct:
            self._direct.remove(direct)
        direct.inbox.close()

    async def wait_live(self) -> None:
        """Wait until all subscriptions have been answered, and what had been missed has come.

        A stream that has more to catch up with than its inbox holds must be iterated by another task meanwhile.

        Raises:
            ConnectionEnded: it will not happen.
        """
        await self._level.wait()
        if self._ended is not None:
            raise self._ended

    async def publish(self, event: Event) -> Json:
        """Append an event; it is on disk when this returns.

        When the connection is lost before the answer the event is sent again on the next one: its id makes that safe.

        Returns:
            The data of the server's reply.

        Raises:
            ServerError: it was refused.
            ConnectionEnded: there is no connection any more.
        """
        return await self._ask(lambda: self._session.command("publish", event=event))

    async def history(
        self,
        target: str,
        *,
        scope: str | None = None,
        filter: Mapping[str, Json] | None = None,
        before: int | None = None,
        limit: int = HISTORY_MESSAGES,
    ) -> History:
        """What a stream said earlier; nothing is followed. It is asked again when the connection is lost meanwhile.

        Args:
            target: the topic.
            scope: as for `subscribe`.
            filter: as for `subscribe`.
            before: only offsets below it; None for the newest.
            limit: 1 to 500 messages at most.

        Raises:
            ServerError: it was refused, such as `command_invalid` of a view.
            ConnectionEnded: there is no connection any more.
        """
        conditions = None if filter is None else dict(filter)

        def command() -> int:
            return self._session.command(
                "history", target=target, scope=scope, filter=conditions, before=before, limit=limit
            )

        return to_history(await self._ask(command))

    async def history_pages(
        self,
        target: str,
        *,
        scope: str | None = None,
        filter: Mapping[str, Json] | None = None,
        before: int | None = None,
        limit: int = HISTORY_MESSAGES,
    ) -> AsyncIterator[History]:
        """Older and older pages, down to the oldest that is kept; each oldest first. Everything else as `history`."""
        while True:
            page = await self.history(target, scope=scope, filter=filter, before=before, limit=limit)
            yield page
            if page.before is None:
                return
            before = page.before

    async def _ask(self, command: Callable[[], int]) -> Json:
        """Give a command, on each connection anew until it is answered; return the data of the reply."""
        while True:
            await self._open.wait()
            if self._ended is not None:
                raise self._ended
            try:
                return await self._ask_once(command())
            except ServerError as error:
                if error.code.name != DISCONNECTED:
                    raise

    async def _ask_once(self, id: int) -> Json:
        answer = self._answers.expect(id)
        self._refresh()
        self._refresh_reading()
        try:
            return await answer
        finally:
            self._answers.forget(id)
            self._refresh_reading()

    def _unsubscribe(self, subscription: Subscription) -> None:
        self._session.unsubscribe(subscription.interest)
        self._forget(subscription)
        self._refresh()

    def _forget(self, subscription: Subscription, error: Exception | None = None) -> None:
        self._subscriptions.pop(subscription.interest, None)
        subscription.inbox.close(error)

    def _refresh(self) -> None:
        """Something changed: let the tasks and those who wait look again."""
        self._connection.commands_wait.set()
        _put(self._open, self._is_connected or self._ended is not None)
        _put(self._level, self.state is ClientState.LIVE or self._ended is not None)

    def _refresh_reading(self) -> None:
        inboxes = [one.inbox for one in self._subscriptions.values()] + [one.inbox for one in self._direct]
        _put(self._may_read, bool(self._answers) or not any(inbox.is_full for inbox in inboxes))

    def _end(self, error: ConnectionEnded, shown: Exception | None) -> None:
        """Close for good; `shown` is what the iterations raise, None to just end them."""
        if self._ended is not None:
            return
        self._ended = error
        self.disconnected()
        for subscription in self._subscriptions.values():
            subscription.inbox.close(shown)
        for direct in self._direct:
            direct.inbox.close(shown)
        self._refresh()

    async def _run(self) -> None:
        ended = await self._connection.run()
        self._end(ended, ended)

    def _own(self, task: asyncio.Task[None]) -> None:
        self._owned.add(task)
        task.add_done_callback(self._owned.discard)

    # What the connection asks of its owner.

    def connected(self) -> None:
        """A connection is open."""
        self._is_connected = True
        self._session.connected()
        self._refresh()

    def disconnected(self) -> None:
        """It is gone."""
        self._is_connected = False
        self._receive(self._session.disconnected())
        self._refresh()

    def take_commands(self) -> list[str]:
        """The frames to send now."""
        return [_encoder.encode(command).decode() for command in self._session.commands()]

    async def wait_readable(self) -> None:
        """Wait until no inbox is full."""
        self._refresh_reading()
        await self._may_read.wait()

    async def receive(self, frame: str | bytes) -> None:
        """Take a frame, message by message, as the inboxes have room."""
        for message in read_frame(frame):
            await self.wait_readable()
            self._receive(self._session.receive(message, now_ms=self._clock.wall_ms()))
            if message.type in ("tick", "reply"):
                self._connection.proven()
        self._refresh()

    def _receive(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._receive_one(effect)
        self._refresh_reading()

    def _receive_one(self, effect: Effect) -> None:
        if isinstance(effect, Answered):
            self._answers.settle(effect.id, effect.data)
        elif isinstance(effect, Failed):
            error = server_error(effect.error)
            self._answers.settle(effect.id, error)
            if effect.id is None:
                self.errors.append(error)
        elif isinstance(effect, ConnectionFailed):
            self._connection.said = effect.error
        elif isinstance(effect, Ticked):
            self._covered()
        elif isinstance(effect, Refused):
            self._refused(effect)
        elif isinstance(effect, Delivered) and effect.interest is None:
            for direct in self._direct:
                direct.inbox.put(effect.message)
        elif effect.interest is not None and effect.interest in self._subscriptions:
            self._subscriptions[effect.interest].receive(effect)

    def _covered(self) -> None:
        """Mark in each inbox that everything up to here has been put in."""
        for subscription in self._subscriptions.values():
            subscription.covered()
        position = self._session.position
        if position is not None:
            for direct in self._direct:
                direct.inbox.put(Covered(position))

    def _refused(self, effect: Refused) -> None:
        """A subscription was refused: try again when that may help, otherwise its iteration raises."""
        subscription = self._subscriptions.get(effect.interest)
        if subscription is None:
            return
        error = server_error(effect.error)
        if error.temporary:
            wait_s = backoff_s(subscription.refusals, self._clock.random(), error.retry_after_s or 0.0)
            subscription.refusals += 1
            self._own(self._tasks.create_task(self._retry(effect.interest, wait_s)))
        else:
            self._session.unsubscribe(effect.interest)
            self._forget(subscription, error)

    async def _retry(self, interest: Interest, wait_s: float) -> None:
        await self._clock.sleep(wait_s)
        self._session.retry(interest)
        self._refresh()


def _put(event: asyncio.Event, is_set: bool) -> None:
    if is_set:
        event.set()
    else:
        event.clear()

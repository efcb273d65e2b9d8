"""What each command does for the connection that sent it, whatever its transport."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Coroutine
from typing import Any, Final

import msgspec

from fire22.core import codes
from fire22.core.command import Command, History, Ping, Publish, Subscribe, Unsubscribe
from fire22.core.errors import Fire22Error, RequestError
from fire22.core.message import Json
from fire22.gateways.rates import units_of
from fire22.gateways.replies import page_data, subscribed
from fire22.gateways.service import Follow, Service
from fire22.gateways.turns import Pause, Work
from fire22.hub.base import LaneKey, Page, Subscriber
from fire22.log.base import Appended
from fire22.observability.logging import get_logger
from fire22.security.principal import Principal

_encode: Final = msgspec.json.Encoder().encode


class Caller(Subscriber):
    """A connection as its commands see it."""

    __slots__ = ()

    @property
    @abstractmethod
    def is_ending(self) -> bool:
        """Whether it has been closed, or is about to be: nothing is written to it any more."""

    @property
    @abstractmethod
    def peer(self) -> str:
        """The network address that it came from; empty where none is known."""

    @abstractmethod
    def answer(self, id: int, data: bytes) -> None:
        """Reply to a command; `data` is JSON."""

    @abstractmethod
    def answer_error(self, error: Fire22Error, id: int | None) -> None:
        """Say why a command was not performed."""


class Commands:
    """Performs the commands of all connections.

    Args:
        tasks: where events go on that are not durable yet.
    """

    def __init__(self, service: Service, tasks: asyncio.TaskGroup) -> None:
        self._service = service
        self._tasks = tasks

    def perform(self, caller: Caller, principal: Principal, command: Command) -> Work[float] | None:
        """Perform a command: at once (None), or in pieces, which give what it has cost beside its request, in units.

        Raises:
            Fire22Error: why it is not performed.
        """
        if isinstance(command, Subscribe):
            return self._subscribe(caller, principal, command)
        if isinstance(command, History):
            return self._history(caller, principal, command)
        if isinstance(command, Unsubscribe):
            self._unsubscribe(caller, principal, command)
        elif isinstance(command, Publish):
            self._publish(caller, principal, command)
        elif isinstance(command, Ping):
            caller.answer(command.id, _encode(self._service.hub.freshness(caller)))
        return None

    # Subscriptions.

    def _subscribe(self, caller: Caller, principal: Principal, command: Subscribe) -> Work[float] | None:
        follow = self._service.follow(principal, command, caller.codec)
        self._check_room(caller, follow.key)
        if follow.resumed is not None and follow.resumed.recovered:
            self._join(caller, command.id, follow, None, follow.resumed.cursor)
            return None
        return self._begin(caller, command.id, follow)

    def _check_room(self, caller: Caller, key: LaneKey) -> None:
        """A subscription on the same topic and scope is replaced, and needs none."""
        followed = [(lane.key.topic, lane.key.scope) for lane in caller.lanes]
        limit = self._service.limits.subscriptions_max
        if len(followed) >= limit and (key.topic, key.scope) not in followed:
            raise RequestError(codes.SUBSCRIPTIONS_EXCEEDED, f"A connection follows at most {limit}.")

    def _begin(self, caller: Caller, id: int, follow: Follow) -> Work[float]:
        """The cursor starts where the snapshot ends."""
        hub = self._service.hub
        page, offset = yield from hub.snapshot(follow.topic, follow.key, follow.last)
        while hub.flushing:
            yield Pause(hub.between_flushes)
        self._join(caller, id, follow, page, offset)
        return units_of(page.looked, len(page.messages))

    def _join(self, caller: Caller, id: int, follow: Follow, snapshot: Page | None, offset: int) -> None:
        if caller.is_ending:
            return
        hub = self._service.hub
        # What follows a resume reaches the live edge of now; a snapshot is as of its own offset.
        position = hub.position(hub.flushed if snapshot is None else offset)
        is_newest = snapshot is not None and offset == hub.flushed
        complete_ms = hub.complete_ms(follow.topic.name, follow.key.scope) if is_newest else None
        caller.answer(id, subscribed(follow, position, snapshot, complete_ms))
        hub.follow(caller, follow.key, offset, resumed=snapshot is None)

    def _unsubscribe(self, caller: Caller, principal: Principal, command: Unsubscribe) -> None:
        scope = principal.scope if command.scope is None else command.scope
        if not self._service.hub.unfollow(caller, command.target, scope):
            raise RequestError(codes.NOT_SUBSCRIBED, "There is no subscription to this target and scope.")
        caller.answer(command.id, b"{}")

    # What was, and what is new.

    def _history(self, caller: Caller, principal: Principal, command: History) -> Work[float]:
        key = self._service.history(principal, command, caller.codec)
        return self._read_history(caller, command, key)

    def _read_history(self, caller: Caller, command: History, key: LaneKey) -> Work[float]:
        page = yield from self._service.hub.history(key, command.before, command.limit)
        caller.answer(command.id, page_data(page))
        return units_of(page.looked, len(page.messages))

    def _publish(self, caller: Caller, principal: Principal, command: Publish) -> None:
        """The next command need not wait until the event is durable."""
        appending = self._service.publish(principal, [command.event])
        if principal.kind != "machine":
            appending = self._noted(caller, principal, command, appending)
        self._tasks.create_task(_succeeds(caller, command.id, _answer_published(caller, command.id, appending)))

    async def _noted(
        self, caller: Caller, principal: Principal, command: Publish, appending: Awaitable[list[Appended]]
    ) -> list[Appended]:
        """What a person publishes is in the audit trail before it is answered."""
        appended = await appending
        after: dict[str, Json] = {"type": command.event.type, "seq": appended[0].seq}
        audit = self._service.audit
        audit.note("event.published", principal=principal, address=caller.peer, target=command.event.id, after=after)
        await audit.durable()
        return appended


async def _answer_published(caller: Caller, id: int, appending: Awaitable[list[Appended]]) -> None:
    (appended,) = await appending
    repeat = b"true" if appended.repeat else b"false"
    caller.answer(id, b'{"seq":%d,"repeat":%b}' % (appended.seq, repeat))


async def _succeeds(caller: Caller, id: int, work: Coroutine[Any, Any, None]) -> bool:
    """Whether a command's work ends well; if not, its sender is told, and nobody else notices."""
    try:
        await work
    except Fire22Error as error:
        caller.answer_error(error, id)
        return False
    except Exception as error:
        get_logger().error("command failed", exc_info=error)
        caller.answer_error(RequestError(codes.INTERNAL, codes.INTERNAL.meaning), id)
        return False
    return True

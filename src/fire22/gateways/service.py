"""What every gateway does with a request, whatever transport it came by."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Raw, Struct, UnsetType

from fire22.core import codes, letter
from fire22.core.address import is_address, parse_address
from fire22.core.command import History, Subscribe
from fire22.core.errors import AuthError, Fire22Error, RequestError
from fire22.core.event import Event, check_data, encode_event
from fire22.core.filter import parse_filter
from fire22.core.message import Json
from fire22.core.position import Position
from fire22.core.question import Ask, Question
from fire22.core.scope import ROOT, agent_of
from fire22.core.times import to_datetime, to_text
from fire22.core.topic import Kind, Topic
from fire22.hub.base import Hub, LaneKey, Page, Resumed
from fire22.hub.codec import Codec
from fire22.log.base import Appended, Log
from fire22.security.access import Access
from fire22.security.tokens import Principal, SignInCodes, Tokens


class Limits(Struct, frozen=True):
    """What one sender may cost."""

    connections_max: int
    connections_user_max: int
    connections_address_max: int
    subscriptions_max: int
    message_bytes_max: int
    compression: bool
    events_bytes_max: int
    outbox_bytes_max: int
    auth_timeout_s: float
    heartbeat_s: float
    stall_s: float


class Desk(Protocol):
    """What performs commands; the domain's own, which knows what they mean."""

    def act(self, actor: Principal, name: str, body: bytes, key: str) -> Awaitable[bytes]:
        """Perform a command once for each of its actor's keys; the answer as JSON.

        Raises:
            Fire22Error: now or in the future, why it is not performed; then it has changed nothing.
        """

    def commands(self, actor: Principal) -> Sequence[str]:
        """The names of the commands that an actor may give."""


class Follow(Struct, frozen=True):
    """A checked subscription."""

    topic: Topic
    key: LaneKey
    last: int
    resumed: Resumed | None


class Service:
    """Authentication, access, subscriptions and publishing for the gateways.

    Args:
        desk: performs commands; None where nothing does.
        questions: what can be asked, by name: the topic that the asker must be allowed to follow.
        ask: sends a question to the engine; needed where there are questions.
        about: what the domain tells of itself to who signs in.
        check_event: raises msgspec.ValidationError where the domain knows the event's type and its data does not fit.
        count_error: told about the code of each error that a client is answered with.
    """

    def __init__(
        self,
        *,
        log: Log,
        hub: Hub,
        access: Access,
        tokens: Tokens,
        sign_in: SignInCodes,
        topics: Mapping[str, Topic],
        limits: Limits,
        now_ms: Callable[[], int],
        check_event: Callable[[str, Raw], object],
        count_error: Callable[[str], None] = lambda _: None,
        desk: Desk | None = None,
        questions: Mapping[str, str] | None = None,
        ask: Ask | None = None,
        about: Mapping[str, Json] | None = None,
    ) -> None:
        self.log = log
        self.hub = hub
        self.access = access
        self.tokens = tokens
        self.sign_in = sign_in
        self.topics = topics
        self.limits = limits
        self.now_ms = now_ms
        self._check_event = check_event
        self._count_error = count_error
        self._desk = desk
        self._questions = questions or {}
        self._ask = ask
        self.about = about or {}
        self.draining = False

    def count(self, error: Fire22Error) -> None:
        """Count an error by its code."""
        self._count_error(error.code.name)

    def authenticate(self, token: str | None) -> Principal:
        """Who a token says is asking.

        Raises:
            AuthError: `auth_required`, `token_invalid` or `token_expired`.
        """
        if not token:
            raise AuthError(codes.AUTH_REQUIRED, "A token is required; `fire22 token` prints one.")
        return self.tokens.verify(token, now_ms=self.now_ms())

    def find(self, principal: Principal, target: str, scope: str | None) -> tuple[Topic, str]:
        """The topic and the scope of a request.

        Raises:
            AuthError: `token_expired`.
            RequestError: `topic_unknown`, `scope_unknown`, or what Access refuses.
        """
        self._check_current(principal)
        topic = self.topics.get(target)
        if topic is None or topic.internal:
            known = ", ".join(name for name, each in self.topics.items() if not each.internal)
            raise RequestError(codes.TOPIC_UNKNOWN, f"There is no topic {target[:64]}; there are: {known}.")
        allowed = self.access.scope(principal, topic, scope)
        if not self.hub.knows_scope(allowed):
            raise RequestError(codes.SCOPE_UNKNOWN, f"There is no {agent_of(allowed)} in the agent tree.")
        return topic, allowed

    def follow(self, principal: Principal, command: Subscribe, codec: Codec) -> Follow:
        """Check a subscription.

        Raises:
            RequestError: whatever is wrong with it.
        """
        _refuse_reserved(command)
        topic, scope = self.find(principal, command.target, command.scope)
        if command.lossy and topic.kind is not Kind.STREAM:
            message = f"{topic.name} is a view: its changes are merged and none is left out; `lossy` is for streams."
            raise RequestError(codes.COMMAND_INVALID, message)
        filter = parse_filter(command.filter, topic.filterable, topic.name)
        delta = command.delta and topic.kind is Kind.VIEW
        key = LaneKey(topic.name, scope, filter, delta, codec.name, command.max_rate_hz or 0.0, command.lossy)
        resumed = self.hub.resume(topic, Position.parse(command.after)) if command.after is not None else None
        return Follow(topic, key, command.last, resumed)

    def history(self, principal: Principal, command: History, codec: Codec) -> LaneKey:
        """Check a request for older messages; what they are read with.

        Raises:
            RequestError: whatever is wrong with it.
        """
        topic, scope = self.find(principal, command.target, command.scope)
        if topic.kind is not Kind.STREAM:
            message = f"{topic.name} is a view: it has documents and no messages to go back to."
            raise RequestError(codes.COMMAND_INVALID, message)
        filter = parse_filter(command.filter, topic.filterable, topic.name)
        return LaneKey(topic.name, scope, filter, False, codec.name)

    def query(
        self, principal: Principal, name: str, scope: str | None, parameters: Mapping[str, Sequence[str]]
    ) -> Awaitable[bytes]:
        """Answer a question about a scope, as JSON.

        Raises:
            AuthError: `token_expired`.
            RequestError: `not_found`, what Access refuses, or in the future, what is wrong with the question.
        """
        topic = self._questions.get(name)
        if topic is None or self._ask is None:
            known = ", ".join(self._questions)
            raise RequestError(codes.NOT_FOUND, f"There is no query {name[:64]}; there are: {known or 'none'}.")
        _, allowed = self.find(principal, topic, scope)
        return self._ask(Question(name, allowed, parameters))

    def publish(self, principal: Principal, events: Sequence[Event]) -> "asyncio.Future[list[Appended]]":
        """Append events, all or none; done once they are durable.

        Raises:
            AuthError: `token_expired`.
            RequestError: `forbidden`, `event_invalid` or `overloaded`; in the future, `id_conflict`.
        """
        self._check_current(principal)
        self.access.check_publish(principal)
        for index, event in enumerate(events):
            self._check(event, index)
            self._check_addresses(principal, event, index)
        return self.log.append([encode_event(event) for event in events])

    def replay_letter(
        self, principal: Principal, seq: int, data: Raw | UnsetType, timestamp: datetime | UnsetType
    ) -> "asyncio.Future[list[Appended]]":
        """Have a dead letter's event folded again, corrected where `data` or `timestamp` is set; done once that is
        durable.

        Raises:
            AuthError: `token_expired`.
            RequestError: `forbidden`, `not_found`, or `event_invalid` where the data does not fit either, and where
                the letter is of a row of the book.
        """
        document = self._letter(principal, seq)
        if str(document["type"]).startswith("system."):
            message = "A row of the book cannot be tried again: it is read again when it changes in the book."
            raise RequestError(codes.EVENT_INVALID, message)
        if not isinstance(data, UnsetType):
            try:
                check_data(bytes(data))
            except ValueError as error:
                raise RequestError(codes.EVENT_INVALID, f"The event is not valid: {error}.") from None
            self._check_data(str(document["type"]), data, None)
        return self._append_own(letter.REPLAYED, letter.LetterReplayed(seq, principal.subject, data, timestamp))

    def dismiss_letter(self, principal: Principal, seq: int, reason: str) -> "asyncio.Future[list[Appended]]":
        """Have a dead letter put away; done once that is durable.

        Raises:
            AuthError: `token_expired`.
            RequestError: `forbidden` or `not_found`.
        """
        self._letter(principal, seq)
        return self._append_own(letter.DISMISSED, letter.LetterDismissed(seq, reason, principal.subject))

    def _letter(self, principal: Principal, seq: int) -> dict[str, Json]:
        self._check_current(principal)
        self.access.check_operate(principal)
        document = self.hub.document(letter.TOPIC, ROOT, str(seq))
        if document is None or document.body is None:
            raise RequestError(codes.NOT_FOUND, f"There is no dead letter {seq}, or it has been dealt with.")
        return document.body

    def _append_own(self, type: str, data: Struct) -> "asyncio.Future[list[Appended]]":
        """Append an event of the server's own."""
        id = f"{type}:{secrets.token_hex(12)}"
        event = Event(id, type, "server", to_datetime(self.now_ms()), Raw(msgspec.json.encode(data)))
        return self.log.append([encode_event(event)])

    def act(self, principal: Principal, name: str, body: bytes, key: str | None) -> Awaitable[bytes]:
        """Perform a command of the domain, once for each key.

        Raises:
            AuthError: `token_expired`.
            RequestError: `not_supported`, `command_invalid`, or what the domain says, now or in the future.
        """
        self._check_current(principal)
        if self._desk is None:
            message = "This server serves no book that commands could act on; those of the demo schema it can."
            raise RequestError(codes.NOT_SUPPORTED, message)
        if key is None:
            raise RequestError(codes.COMMAND_INVALID, "A command needs an Idempotency-Key header.")
        return self._desk.act(principal, name, body, key)

    def commands(self, principal: Principal) -> Sequence[str]:
        """The commands that a principal may give here; none where there is no book that they could act on."""
        return () if self._desk is None else self._desk.commands(principal)

    def _check_current(self, principal: Principal) -> None:
        """A connection may outlive its token by a moment, and must not use it any more."""
        if principal.expires_ms <= self.now_ms():
            raise AuthError(codes.TOKEN_EXPIRED, "The token has expired; send a new one with the auth command.")

    def _check(self, event: Event, index: int) -> None:
        if event.type.startswith("system."):
            raise RequestError(
                codes.EVENT_INVALID, "Events named system.* are the server's own.", details={"index": index}
            )
        self._check_data(event.type, event.data, {"index": index})

    def _check_data(self, type: str, data: Raw, details: dict[str, str | int | float | bool] | None) -> None:
        try:
            self._check_event(type, data)
        except msgspec.ValidationError as error:
            message = f"The data of {type} is not valid: {error}."
            raise RequestError(codes.EVENT_INVALID, message, details=details) from None

    def _check_addresses(self, principal: Principal, event: Event, index: int) -> None:
        for tag in event.metadata.tags:
            if is_address(tag):
                try:
                    parse_address(tag)
                except RequestError as error:
                    raise RequestError(error.code, error.message, details={"index": index}) from None
                self.access.check_address(principal)


def _refuse_reserved(command: Subscribe) -> None:
    for name in ("at", "speed"):
        if getattr(command, name) is not None:
            raise RequestError(codes.NOT_SUPPORTED, f"The field `{name}` is reserved and not served by this version.")


def subscribed(follow: Follow, position: Position, snapshot: Page | None, complete_ms: int | None) -> bytes:
    """The `data` of the reply to a subscription.

    Args:
        position: of the snapshot; of the live edge where what was missed follows.
        snapshot: None where what was missed follows.
        complete_ms: up to which watermark all facts are in the snapshot, where that is known.
    """
    resumed = follow.resumed
    data: dict[str, object] = {
        "position": str(position),
        "kind": follow.topic.kind.value,
        "recovered": resumed is not None and resumed.recovered,
    }
    if resumed is not None and resumed.reason:
        data["reason"] = resumed.reason
    if resumed is not None and resumed.lost:
        data["lost"] = {"from": resumed.lost[0], "to": resumed.lost[1]}
    if complete_ms is not None:
        data["watermark"] = to_text(complete_ms)
    if snapshot is not None:
        data["snapshot"] = Raw(b"[%b]" % snapshot.messages)
    return msgspec.json.encode(data)


def page_data(page: Page) -> bytes:
    """The `data` of the reply to a history command."""
    before = b',"before":%d' % page.below if page.below else b""
    return b'{"messages":[%b]%b}' % (page.messages, before)


def reply(id: int, now_ms: int, data: bytes) -> bytes:
    """A reply to a command; `data` is JSON."""
    return b'{"type":"reply","timestamp":"%b","data":%b,"id":%d}' % (to_text(now_ms).encode(), data, id)

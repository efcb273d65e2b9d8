"""What every gateway does with a request, whatever transport it came by."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.address import is_address, parse_address
from fire22.core.command import History, Subscribe
from fire22.core.errors import AuthError, Fire22Error, RequestError
from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.filter import parse_filter
from fire22.core.message import Json
from fire22.core.position import Position
from fire22.core.question import REACH, Ask, Outside, Question
from fire22.core.scope import ROOT, agent_of, covers, parse_scope
from fire22.core.topic import Kind, Topic
from fire22.gateways.limits import Limits
from fire22.gateways.network import NetworkConfig, Networks
from fire22.gateways.rates import Left, Payer, Rates
from fire22.gateways.refusals import Refusals
from fire22.gateways.turns import Turns, Work, at_once
from fire22.hub.base import Hub, LaneKey, Resumed
from fire22.hub.codec import Codec
from fire22.hub.mask import Mask, masked_bytes
from fire22.log.base import Appended, Log
from fire22.security.access import Access
from fire22.security.audit import Audit
from fire22.security.client_certificate import ClientCertificate
from fire22.security.machines import TOKEN, Machines
from fire22.security.oidc import Oidc
from fire22.security.people import People
from fire22.security.permissions import Permissions
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation
from fire22.security.sessions import SessionSecret
from fire22.security.tokens import KeyUnknown, SignInCodes, Tokens

_REFUSALS: Final = frozenset({401, 403, 429})  # statuses of errors that are noted in the audit trail
_LOGGED: Final = _REFUSALS | {413, 414, 431}
# What the server tells itself, and the facts of a book by its id: a client's event under one of these would keep the
# server's own from being appended.
_OWN_IDS: Final = re.compile(r"(clock|now|idle|configured|[0-9a-f]{12}):[0-9:]*")


class Desk(Protocol):
    """What performs commands; the domain's own, which knows what they mean."""

    def act(self, actor: Principal, name: str, body: bytes, key: str) -> Awaitable[bytes]:
        """Perform a command once for each of its actor's keys; the answer as JSON.

        Raises:
            Fire22Error: now or in the future, why it is not performed; then it has changed nothing.
        """

    def commands(self, actor: Principal) -> Sequence[str]:
        """The names of the commands that an actor may give."""

    def approvals(self, actor: Principal) -> Awaitable[bytes]:
        """The commands that wait for a second person, as an actor may see them, as JSON."""


class Follow(Struct, frozen=True):
    """A checked subscription."""

    topic: Topic
    key: LaneKey
    last: int
    resumed: Resumed | None


class Service:
    """Authentication, access, subscriptions and publishing for the gateways.

    Args:
        people: users and their sessions.
        audit: takes notes of who did what.
        network: from where what may be used; None is everything from everywhere.
        desk: performs commands; None where nothing does.
        questions: what can be asked, by name: the topic that the asker must be allowed to follow.
        ask: sends a question to the engine; needed where there are questions.
        about: what the domain tells of itself to who signs in.
        check_event: raises msgspec.ValidationError where the domain knows the event's type and its data does not fit.
        oidc: signs people in with another provider; None where none is configured.
        clock: steady, in seconds: how fast what was used up comes back.
        worked: what the thread of the loop has worked, in seconds; see `Turns`.
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
        revocation: Revocation,
        people: People,
        audit: Audit,
        permissions: Permissions,
        machines: Machines,
        topics: Mapping[str, Topic],
        limits: Limits,
        network: Networks | None = None,
        now_ms: Callable[[], int],
        check_event: Callable[[str, Raw], object],
        count_error: Callable[[str], None] = lambda _: None,
        desk: Desk | None = None,
        questions: Mapping[str, str] | None = None,
        ask: Ask | None = None,
        about: Mapping[str, Json] | None = None,
        clock: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.thread_time,
        oidc: Oidc | None = None,
    ) -> None:
        self.log = log
        self.hub = hub
        self.access = access
        self.tokens = tokens
        self.sign_in = sign_in
        self.revocation = revocation
        self.people = people
        self.audit = audit
        self.permissions = permissions
        self.machines = machines
        self.oidc = oidc
        self.topics = topics
        self.limits = limits
        self.network = network or Networks(NetworkConfig())
        self.now_ms = now_ms
        self._check_event = check_event
        self._count_error = count_error
        self._desk = desk
        self._questions = questions or {}
        self._ask = ask
        self.about = about or {}
        self.draining = False
        self.rates = Rates(limits.rates)
        self.turns = Turns(limits.rates.slice_ms / 1000, worked)
        self._clock = clock
        self._refusals = Refusals(clock)

    def count(
        self,
        error: Fire22Error,
        *,
        principal: Principal | None = None,
        address: str = "",
        target: str = "",
        route: str = "",
    ) -> None:
        """Count an error by its code; a refusal is noted in the log and in the audit trail.

        Args:
            principal: who is answered with it; None where that is not known.
            address: that the request came from.
            target: what was asked for.
            route: as the table of routes has it, or the name of a transport.
        """
        self._count_error(error.code.name)
        if error.code.status in _LOGGED:
            self._refusals.tell(error.code.name, address=address, route=route)
        if error.code.status in _REFUSALS:
            self.audit.note(
                "request.refused", principal=principal, address=address, target=target, outcome=error.code.name
            )

    def charge(self, payer: Payer, units: float) -> None:
        """Charge a request, by estimate, before anything is done for it.

        Raises:
            RequestError: `rate_limited`.
        """
        self.rates.take(payer, units, self._clock())

    def settle(self, payer: Payer, units: float) -> None:
        """Charge what it has cost beyond the estimate."""
        self.rates.settle(payer, units, self._clock())

    def left(self, payer: Payer) -> Left | None:
        """The tightest of a payer's limits."""
        return self.rates.left(payer, self._clock())

    def authenticate(self, token: str | None, address: str = "", *, enrolling: bool = False) -> Principal:
        """Who a token, or what a session cookie holds, says is asking.

        Args:
            address: that it came from.
            enrolling: whether who lacks the second factor that the role must have is let in.

        Raises:
            KeyUnknown: `token_invalid`; `identify` may still let it in.
            AuthError: `auth_required`, `token_invalid`, `token_expired`, `token_revoked`,
                `address_forbidden` or `second_factor_missing`.
        """
        if not token:
            raise AuthError(codes.AUTH_REQUIRED, "A token is required; `fire22 token` prints one.")
        if isinstance(token, SessionSecret):
            principal = self.people.sessions.principal(token)
        elif isinstance(token, ClientCertificate):
            principal = self.machines.recognise(token)
        elif token.startswith(TOKEN):
            principal = self.machines.verify(token)
        else:
            principal = self.tokens.verify(token, now_ms=self.now_ms())
        self.revocation.check(principal)
        self.network.check_role(principal.role, address)
        if not enrolling and self.people.lacks_factor(principal):
            message = f"The role {principal.role} must have a second factor: set one up first."
            raise AuthError(codes.SECOND_FACTOR_MISSING, message)
        return principal

    async def identify(self, token: str | None, address: str = "", *, enrolling: bool = False) -> Principal:
        """Who a token says is asking; one whose key is not known is checked again when its issuer has been asked.

        Raises:
            AuthError: see `authenticate`.
        """
        try:
            return self.authenticate(token, address, enrolling=enrolling)
        except KeyUnknown:
            if self.tokens.issuer is None:
                raise
            await self.tokens.issuer.ask()
            return self.authenticate(token, address, enrolling=enrolling)

    def find(self, principal: Principal, target: str, scope: str | None) -> tuple[Topic, str]:
        """The topic and the scope of a request.

        Raises:
            AuthError: `token_expired`.
            RequestError: `topic_unknown`, `scope_unknown`, or what Access refuses.
        """
        self.check_current(principal)
        topic = self.topics.get(target)
        if topic is None or topic.internal:
            known = ", ".join(sorted(name for name, each in self.topics.items() if not each.internal))
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
        mask = self.access.mask(principal, topic.name)
        filter = parse_filter(command.filter, _seen(topic.filterable, mask), topic.name)
        delta = command.delta and topic.kind is Kind.VIEW
        rate_hz = command.max_rate_hz or 0.0
        key = LaneKey(topic.name, scope, filter, delta, codec.name, rate_hz, command.lossy, mask=mask)
        resumed = self.hub.resume(topic, Position.parse(command.after)) if command.after is not None else None
        return Follow(topic, key, command.last, resumed)

    def check_follows(self, principal: Principal, key: LaneKey) -> Mask:
        """The mask under which a principal may go on following what it follows.

        Raises:
            RequestError: what Access refuses.
        """
        topic = self.topics[key.topic]
        self.access.scope(principal, topic, key.scope)
        mask = self.access.mask(principal, topic.name)
        if key.filter is not None and any(each.field in mask for each in key.filter.conditions):
            message = f"The role {principal.role} no longer sees what its filter on {topic.name} asks for."
            raise RequestError(codes.FILTER_INVALID, message)
        return mask

    def history(self, principal: Principal, command: History, codec: Codec) -> LaneKey:
        """Check a request for older messages; what they are read with.

        Raises:
            RequestError: whatever is wrong with it.
        """
        topic, scope = self.find(principal, command.target, command.scope)
        if topic.kind is not Kind.STREAM:
            message = f"{topic.name} is a view: it has documents and no messages to go back to."
            raise RequestError(codes.COMMAND_INVALID, message)
        mask = self.access.mask(principal, topic.name)
        filter = parse_filter(command.filter, _seen(topic.filterable, mask), topic.name)
        return LaneKey(topic.name, scope, filter, False, codec.name, mask=mask)

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
        mask = self.access.mask(principal, topic)
        answer = self._ask(Question(name, allowed, parameters))
        return _masked(answer, mask) if mask else answer

    def publish(self, principal: Principal, events: Sequence[Event]) -> Awaitable[list[Appended]]:
        """Append events, all or none; done once they are durable.

        Raises:
            AuthError: `token_expired`.
            RequestError: `forbidden`, `scope_forbidden`, `event_invalid` or `overloaded`, now or in the future; in the
                future, `id_conflict`.
        """
        return at_once(self.publishing(principal, events))

    def publishing(self, principal: Principal, events: Sequence[Event]) -> Work[Awaitable[list[Appended]]]:
        """`publish` as work in pieces: a slice does not take thousands of events."""
        self.check_current(principal)
        self.access.check_publish(principal)
        users: list[str] = []
        encoded: list[EncodedEvent] = []
        for index, event in enumerate(events):
            self._check(event, index)
            users += self._addressed(principal, event, index)
            encoded.append(encode_event(event))
            yield None
        self.check_current(principal)  # it may have ended meanwhile
        if principal.scope == ROOT:
            return self.log.append(encoded)
        return self._publish_within(principal.scope, events, users)

    async def _publish_within(self, scope: str, events: Sequence[Event], users: list[str]) -> list[Appended]:
        """Append events of who may act on a part of the tree: all that they touch lies there, or nothing is appended.

        Nothing else runs between an answer of this process's own flows and the appending.
        """
        events = [_placed(event, scope, index) for index, event in enumerate(events)]
        if self._ask is None:
            raise RequestError(codes.SCOPE_FORBIDDEN, "Nobody can tell here what events touch; publish for /.")
        asked = {
            "type": [event.type for event in events],
            "data": [bytes(event.data).decode() for event in events],
            "user": users,
        }
        outside = msgspec.json.decode(await self._ask(Question(REACH, scope, asked)), type=Outside)
        if outside.event is not None:
            message = f"The event touches what is outside {scope}, or what the book does not know."
            raise RequestError(codes.SCOPE_FORBIDDEN, message, details={"index": outside.event})
        if outside.user is not None:
            raise RequestError(codes.SCOPE_FORBIDDEN, f"The user {outside.user[:64]} is outside {scope}.")
        return await self.log.append([encode_event(event) for event in events])

    async def check_place(self, within: str, user: str) -> None:
        """Whether an agent or a customer has its place in a part of the tree, by what the book knows.

        Args:
            user: with its kind, as `agent:M1`.

        Raises:
            RequestError: `scope_forbidden`; one that there is not alike.
        """
        asked: dict[str, list[str]] = {"type": [], "data": [], "user": [user]}
        if (
            self._ask is None
            or msgspec.json.decode(await self._ask(Question(REACH, within, asked)), type=Outside) != Outside()
        ):
            raise RequestError(codes.SCOPE_FORBIDDEN, f"The book knows no {user[:80]} within {within}.")

    def act(self, principal: Principal, name: str, body: bytes, key: str | None) -> Awaitable[bytes]:
        """Perform a command of the domain, once for each key.

        Raises:
            AuthError: `token_expired`.
            RequestError: `not_supported`, `command_invalid`, or what the domain says, now or in the future.
        """
        self.check_current(principal)
        desk = self._book_desk()
        if key is None:
            raise RequestError(codes.COMMAND_INVALID, "A command needs an Idempotency-Key header.")
        return desk.act(principal, name, body, key)

    def _book_desk(self) -> Desk:
        if self._desk is None:
            message = "This server serves no book that commands could act on; those of the demo schema it can."
            raise RequestError(codes.NOT_SUPPORTED, message)
        return self._desk

    def approvals(self, principal: Principal) -> Awaitable[bytes]:
        """The commands that wait for a second person, as JSON: those that a principal may decide about, or has
        asked for, within the own scope.

        Raises:
            RequestError: `not_supported`.
        """
        return self._book_desk().approvals(principal)

    def followable(self, principal: Principal) -> Sequence[str]:
        """The names of the topics that a principal may follow."""
        found = (name for name, topic in self.topics.items() if not topic.internal)
        return [name for name in found if self.access.sees(principal, name)]

    def commands(self, principal: Principal) -> Sequence[str]:
        """The commands that a principal may give here; none where there is no book that they could act on."""
        return () if self._desk is None else self._desk.commands(principal)

    def check_current(self, principal: Principal) -> None:
        """A connection may outlive its token by a moment, and must not use it any more.

        Raises:
            AuthError: `token_expired` or `token_revoked`.
        """
        if principal.expires_ms <= self.now_ms():
            raise AuthError(codes.TOKEN_EXPIRED, "The token has expired; send a new one with the auth command.")
        self.revocation.check(principal)
        self.tokens.check_key(principal)

    def _check(self, event: Event, index: int) -> None:
        if event.metadata.scope:
            parse_scope(event.metadata.scope)
        if event.type.startswith("system."):
            raise RequestError(
                codes.EVENT_INVALID, "Events named system.* are the server's own.", details={"index": index}
            )
        if _OWN_IDS.fullmatch(event.id):
            message = "Ids such as `clock:1` or those of a book's facts are the server's own."
            raise RequestError(codes.EVENT_INVALID, message, details={"index": index})
        self.check_data(event.type, event.data, {"index": index})

    def check_data(self, type: str, data: Raw, details: dict[str, str | int | float | bool] | None = None) -> None:
        """The data of an event fits its type, where the domain knows that.

        Raises:
            RequestError: `event_invalid`, with these details.
        """
        try:
            self._check_event(type, data)
        except msgspec.ValidationError as error:
            message = f"The data of {type} is not valid: {error}."
            raise RequestError(codes.EVENT_INVALID, message, details=details) from None

    def _addressed(self, principal: Principal, event: Event, index: int) -> list[str]:
        """The users to whom an event is addressed, each as `agent:M1`.

        Raises:
            RequestError: `event_invalid`; `forbidden`, the role may address nobody; `scope_forbidden`, an address that
                names no user, and so no place in the tree, by who may act on a part of it.
        """
        users: list[str] = []
        for tag in event.metadata.tags:
            if is_address(tag):
                try:
                    kind, _, name = parse_address(tag).partition(":")
                except RequestError as error:
                    raise RequestError(error.code, error.message, details={"index": index}) from None
                self.access.check_address(principal)
                if kind == "user":
                    users.append(name)
                elif principal.scope != ROOT:
                    message = f"Only users can be addressed from {principal.scope}: customers and agents of its own."
                    raise RequestError(codes.SCOPE_FORBIDDEN, message, details={"index": index})
        return users


def _placed(event: Event, scope: str, index: int) -> Event:
    """An event of a publisher within its scope: at the path that it names, or at the scope itself.

    Raises:
        RequestError: `scope_invalid` or `scope_forbidden`.
    """
    said = event.metadata.scope
    if said and not covers(scope, parse_scope(said)):
        message = f"The event's scope {said} is outside {scope}."
        raise RequestError(codes.SCOPE_FORBIDDEN, message, details={"index": index})
    metadata = msgspec.structs.replace(event.metadata, scope=said or scope)
    return msgspec.structs.replace(event, metadata=metadata)


async def _masked(answer: Awaitable[bytes], mask: Mask) -> bytes:
    return masked_bytes(await answer, mask)


def _seen(fields: tuple[str, ...], mask: Mask) -> tuple[str, ...]:
    """A filter on what is masked would answer questions about what is not to be seen."""
    return tuple(each for each in fields if each not in mask) if mask else fields


def _refuse_reserved(command: Subscribe) -> None:
    for name in ("at", "speed"):
        if getattr(command, name) is not None:
            raise RequestError(codes.NOT_SUPPORTED, f"The field `{name}` is reserved and not served by this version.")

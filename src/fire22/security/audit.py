"""The audit trail: notes of what people and programs do are gathered here and appended to the log.

A note costs its caller no wait: it is encoded, and appended with all others of the same turn of the event loop.
Refusals can come in floods, so of identical ones (action, code, user, address) the first is written at once, and those
that follow within a second become one entry with their count. Only `KINDS_MAX` kinds of refusals have entries of their
own in a second; the rest are counted by action and code. While the log cannot be written, notes wait in memory, at most
`WAITING_MAX`; those beyond are counted, and the count becomes an entry.
"""

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fire22.core.audit import AUDITED, OK, Audited
from fire22.core.errors import Fire22Error
from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.message import Json
from fire22.core.scope import ROOT
from fire22.core.times import to_datetime
from fire22.observability.logging import get_logger
from fire22.observability.sample import Sample
from fire22.security.principal import Principal

REPEAT_S: Final = 1.0  # within which identical refusals are one entry
KINDS_MAX: Final = 100  # of refusals in that time; more are counted by action and code alone
WAITING_MAX: Final = 10_000  # notes that wait for the log
SEEN_MAX: Final = 10_000  # users with their addresses whose use is not noted again
BATCH_MAX: Final = 500  # notes in one append
RETRY_S: Final = 1.0
TEXT_MAX: Final = 200  # characters of a text that came from outside
VALUE_BYTES_MAX: Final = 4 << 10  # of `before` and `after`, as JSON
LOST: Final = "audit.lost"
SOURCE: Final = "server"
_SECRET: Final = re.compile(
    r"pass(word|wd|phrase)|secret|token|otp|cookie|hash|recovery|(private|api)_?key|^code$", re.IGNORECASE
)
# What a command may say of a person beyond the id.
_PERSONAL: Final = re.compile(
    r"^(ip|(full|first|last|sur)_?name|e_?mail|(tele)?phone|mobile|device|iban|address|birth.*)$", re.IGNORECASE
)
_HIDDEN: Final = "***"

_encode: Final = msgspec.json.Encoder().encode
_NOBODY: Final = Principal("", "", ROOT, 0)
_Kind = tuple[str, str, str, str]  # action, code, user, address

Append = Callable[[Sequence[EncodedEvent]], "asyncio.Future[Any]"]


class Audit:
    """Takes notes, and brings them into the log.

    Args:
        append: appends events to the log, all or none; done once they are durable.
        loop: in which notes are taken.
        now_ms: the wall clock.
    """

    def __init__(self, append: Append, loop: asyncio.AbstractEventLoop, *, now_ms: Callable[[], int]) -> None:
        self._append = append
        self._loop = loop
        self._now_ms = now_ms
        self._waiting: deque[EncodedEvent] = deque()
        self._appending: dict[asyncio.Future[Any], int] = {}  # with the number of notes in each
        self._is_held = False  # the last append failed
        self._flush_due: asyncio.Handle | None = None
        self._repeats: dict[_Kind, tuple[Audited, int]] = {}  # refusals of this second, and how many are not written
        self._repeats_due: asyncio.Handle | None = None
        self._seen: dict[tuple[str, str, str], None] = {}
        self._lost = 0  # notes that no entry tells of yet
        self._noted = 0
        self._refused = 0
        self._lost_ever = 0

    def samples(self) -> Iterator[Sample]:
        """What is measured of the audit trail."""
        yield Sample("fire22_audit_notes_total", "Notes taken for the audit trail.", self._noted)
        yield Sample("fire22_audit_refusals_total", "Of those, refusals.", self._refused)
        yield Sample(
            "fire22_audit_lost_total", "Notes without an entry of their own: the log took none.", self._lost_ever
        )
        yield Sample(
            "fire22_audit_waiting",
            "Notes that are not in the log yet.",
            len(self._waiting) + sum(self._appending.values()),
        )

    def note(
        self,
        action: str,
        *,
        principal: Principal | None = None,
        address: str = "",
        target: str = "",
        before: Mapping[str, Json] | None = None,
        after: Mapping[str, Json] | None = None,
        outcome: str = OK,
    ) -> None:
        """Note an action; never raises, never waits. Called in the event loop.

        Args:
            action: dotted, lower case: `session.opened`.
            principal: who acts; None where that is not known.
            address: that the request came from.
            target: what is acted on.
            before, after: what is changed; what is named as a secret (`password`, `token` …) or as personal (`ip`,
                `email` …) is left out at any depth.
            outcome: `ok`, or the code of the error that the actor is answered with.
        """
        try:
            self._noted += 1
            entry = _entry(action, principal, address, target, before, after, outcome)
            if outcome == OK:
                self._wait(entry)
            else:
                self._refused += 1
                self._refuse(entry)
        except Exception as error:  # whoever is answered is answered, whatever becomes of the note
            self._lose(1)
            get_logger().error("audit note failed", action=action, exc_info=error)

    def seen(self, principal: Principal, address: str) -> None:
        """Note that a token or a session is used, once for each address from which it is; never raises."""
        use = (principal.user, principal.session or principal.jti, address)
        if use in self._seen:
            return
        while len(self._seen) >= SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        self._seen[use] = None
        self.note("access.begun", principal=principal, address=address)

    async def durable(self) -> None:
        """Until every note that was taken is on disk, or could not be written now; then it waits in memory."""
        self._flush()
        if self._appending:
            await asyncio.wait(list(self._appending))

    async def close(self) -> None:
        """Write what is left, and take no note more."""
        self._tell_repeats()
        await self.durable()
        for due in (self._flush_due, self._repeats_due):
            if due is not None:
                due.cancel()
        if self._waiting or self._lost:
            get_logger().error("audit notes lost at the end", notes=len(self._waiting) + self._lost)

    # Refusals.

    def _refuse(self, entry: Audited) -> None:
        kind = (entry.action, entry.outcome, entry.user, entry.address)
        if kind not in self._repeats and len(self._repeats) >= KINDS_MAX:
            kind = (entry.action, entry.outcome, "", "")
            entry = Audited(entry.action, entry.outcome)
        first, more = self._repeats.get(kind, (None, 0))
        if first is None:
            self._repeats[kind] = (entry, 0)
            self._wait(entry)
        else:
            self._repeats[kind] = (first, more + 1)
        if self._repeats_due is None:
            self._repeats_due = self._loop.call_later(REPEAT_S, self._tell_repeats)

    def _tell_repeats(self) -> None:
        """End the second: what came again becomes an entry with its count."""
        if self._repeats_due is not None:
            self._repeats_due.cancel()
            self._repeats_due = None
        repeats, self._repeats = self._repeats, {}
        for entry, more in repeats.values():
            if more:
                self._wait(msgspec.structs.replace(entry, count=more))

    # On the way to the log.

    def _wait(self, entry: Audited) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._lose(entry.count)
            return
        self._waiting.append(_event(entry, self._now_ms()))
        self._flush_in(0.0)

    def _lose(self, count: int) -> None:
        self._lost += count
        self._lost_ever += count

    def _flush_in(self, seconds: float) -> None:
        if self._flush_due is None:
            self._flush_due = (
                self._loop.call_later(seconds, self._flush) if seconds else self._loop.call_soon(self._flush)
            )

    def _flush(self) -> None:
        """Append all that waits."""
        if self._flush_due is not None:
            self._flush_due.cancel()
            self._flush_due = None
        if self._lost and len(self._waiting) < WAITING_MAX:
            self._waiting.append(_event(Audited(LOST, count=self._lost), self._now_ms()))
            self._lost = 0
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_MAX))]
            try:
                future = self._append(batch)
            except Fire22Error as error:
                self._come_back(batch, error)
                return
            self._appending[future] = len(batch)
            future.add_done_callback(lambda done, batch=batch: self._appended(done, batch))  # type: ignore[misc]

    def _appended(self, done: "asyncio.Future[Any]", batch: list[EncodedEvent]) -> None:
        del self._appending[done]
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is None:
            self._is_held = False
        else:
            self._come_back(batch, error)

    def _come_back(self, batch: list[EncodedEvent], error: BaseException) -> None:
        """The log takes nothing now: keep the notes, under the same ids, and try again."""
        if not self._is_held:
            self._is_held = True
            get_logger().warning("audit notes wait for the log", reason=str(error))
        self._waiting.extendleft(reversed(batch))
        self._flush_in(RETRY_S)


def _entry(
    action: str,
    principal: Principal | None,
    address: str,
    target: str,
    before: Mapping[str, Json] | None,
    after: Mapping[str, Json] | None,
    outcome: str,
) -> Audited:
    who = principal or _NOBODY
    return Audited(
        action,
        outcome,
        who.user[:TEXT_MAX] if principal else "",
        who.role[:TEXT_MAX],
        who.scope,
        who.session,
        who.jti,
        who.client,
        address=address[:TEXT_MAX],
        target=target[:TEXT_MAX],
        before=_written(before),
        after=_written(after),
    )


def _written(value: Mapping[str, Json] | None) -> Raw | UnsetType:
    """JSON without secrets; what is too large is left out and its size is said."""
    if value is None:
        return UNSET
    written = _encode(without_secrets(value))
    return Raw(written if len(written) <= VALUE_BYTES_MAX else b'{"omittedBytes":%d}' % len(written))


def without_secrets(value: Any) -> Any:
    """A value of JSON in which what is named as a secret or as personal is hidden, at any depth."""
    if isinstance(value, Mapping):
        return {name: _HIDDEN if _is_hidden(name, inner) else without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value


def _is_hidden(name: str, value: Any) -> bool:
    """Whether a value is not for the trail. A boolean tells nothing of a person: `address` of a role is a right."""
    return bool(_SECRET.search(name) or (_PERSONAL.search(name) and not isinstance(value, bool)))


def _event(entry: Audited, at_ms: int) -> EncodedEvent:
    id = f"audit:{secrets.token_hex(12)}"
    return encode_event(Event(id, AUDITED, SOURCE, to_datetime(at_ms), Raw(_encode(entry))))

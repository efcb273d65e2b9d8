"""Ends connections whose rights end: when the token's time is up, and in the turn of the loop that revokes them.

Whom a revocation concerns is found by two indexes, from a user and from a session to its connections, so that its cost
is that of the connections which end. A connection's end by time stands in a queue of deadlines; looking costs only
those who are due. Only what ends everybody, or one token of a user, looks at each connection.

Many are ended in slices: the first within the call, the others in the next turns of the loop. None of them can ask for
anything meanwhile, as `Service.check_current` refuses it.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from fire22.core import codes
from fire22.core.errors import AuthError, Fire22Error
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation, Revoked
from fire22.security.ring import KeyRing

SLICE_S: Final = 0.002  # ending holds the loop no longer than this and one connection more
LOOK_S: Final = 0.2  # how often it is looked who is due
_GRAIN_MS: Final = 200  # who is due within the same span is one entry of the queue


class Holder(Protocol):
    """A connection, as far as its rights go."""

    principal: Principal | None

    def fail(self, error: Fire22Error) -> None:
        """Say why, and close."""


Who = TypeVar("Who")


class Index(Generic[Who]):
    """Who belongs to a name. Most names have one, which is kept as it is."""

    def __init__(self) -> None:
        self._of: dict[str, Who | dict[Who, None]] = {}

    def add(self, name: str, who: Who) -> None:
        """One more belongs to a name."""
        of = self._of.get(name)
        if of is None:
            self._of[name] = who
        elif isinstance(of, dict):
            of[who] = None
        else:
            self._of[name] = {of: None, who: None}

    def remove(self, name: str, who: Who) -> None:
        """It was added, and belongs there no more."""
        of = self._of[name]
        if isinstance(of, dict) and len(of) > 1:
            del of[who]
        else:
            del self._of[name]

    def of(self, name: str) -> tuple[Who, ...]:
        """All that belong to a name."""
        of = self._of.get(name)
        if of is None:
            return ()
        return tuple(of) if isinstance(of, dict) else (of,)

    def count(self, name: str) -> int:
        """How many they are."""
        of = self._of.get(name)
        return 0 if of is None else len(of) if isinstance(of, dict) else 1

    def __len__(self) -> int:
        return len(self._of)


class Expiries(Generic[Who]):
    """Who is due at which time; who is removed leaves nothing behind."""

    def __init__(self) -> None:
        self._at: dict[int, dict[Who, None]] = {}
        self._times: list[int] = []  # a heap of the keys, and of some that are gone

    def add(self, at_ms: int, who: Who) -> None:
        """Somebody is due at a time."""
        span = _span(at_ms)
        due = self._at.get(span)
        if due is None:
            due = self._at[span] = {}
            heapq.heappush(self._times, span)
            if len(self._times) > 2 * len(self._at) + 64:
                self._times = list(self._at)
                heapq.heapify(self._times)
        due[who] = None

    def remove(self, at_ms: int, who: Who) -> None:
        """It is not waited for any more, if it was."""
        due = self._at.get(_span(at_ms))
        if due is not None:
            due.pop(who, None)
            if not due:
                del self._at[_span(at_ms)]

    def due(self, now_ms: int) -> Iterator[Who]:
        """Who is due; each is removed as it comes."""
        while self._times and self._times[0] <= now_ms:
            due = self._at.get(self._times[0])
            if due:
                yield due.popitem()[0]
            else:
                self._at.pop(heapq.heappop(self._times), None)

    def __len__(self) -> int:
        return sum(len(due) for due in self._at.values())


def _span(at_ms: int) -> int:
    """The end of the span that a time lies in: nobody is due too early."""
    return -(-at_ms // _GRAIN_MS) * _GRAIN_MS


class Rights:
    """The connections of those who are known, by what their rights hang on.

    Args:
        ring: the keys that their tokens were checked with.
        everybody: all connections that are open.
        now_ms: the wall clock.
    """

    def __init__(
        self,
        revocation: Revocation,
        ring: KeyRing,
        everybody: Iterable[Holder],
        now_ms: Callable[[], int],
    ) -> None:
        self._revocation = revocation
        self._ring = ring
        self._everybody = everybody
        self._now_ms = now_ms
        self._users: Index[Holder] = Index()
        self._makers: Index[Holder] = Index()  # of machines
        self._sessions: Index[Holder] = Index()
        self._expiries: Expiries[Holder] = Expiries()
        self._loop = asyncio.get_running_loop()
        revocation.listen(self._revoked)
        ring.listen(self._replaced)

    def add(self, holder: Holder, principal: Principal) -> None:
        """A connection is somebody's from now on."""
        self._users.add(principal.user, holder)
        if principal.made_by:
            self._makers.add(principal.made_by, holder)
        if principal.session:
            self._sessions.add(principal.session, holder)
        self._expiries.add(principal.expires_ms, holder)

    def remove(self, holder: Holder, principal: Principal) -> None:
        """It is no more."""
        self._users.remove(principal.user, holder)
        if principal.made_by:
            self._makers.remove(principal.made_by, holder)
        if principal.session:
            self._sessions.remove(principal.session, holder)
        self._expiries.remove(principal.expires_ms, holder)

    def held(self, user: str) -> int:
        """How many connections a user has."""
        return self._users.count(user)

    async def watch(self) -> None:
        """End who is due, without end."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.end_due()

    def end_due(self) -> None:
        """End the connections whose tokens have expired."""
        error = AuthError(codes.TOKEN_EXPIRED, "The token has expired; come back with a new one.")
        self.end(self._expiries.due(self._now_ms()), error)

    def _revoked(self, new: tuple[Revoked, ...]) -> None:
        """See Revocation.listen."""
        concerned: dict[Holder, None] = {}
        for each in new:
            if each.kind == "user":
                concerned.update(dict.fromkeys((*self._users.of(each.id), *self._makers.of(each.id))))
            elif each.kind == "session":
                concerned.update(dict.fromkeys(self._sessions.of(each.id)))
            else:
                concerned = dict.fromkeys(self._everybody)
                break
        refuses = self._revocation.refuses
        error = AuthError(codes.TOKEN_REVOKED, "The token or session was ended; sign in again.")
        self.end((each for each in concerned if each.principal is not None and refuses(each.principal)), error)

    def _replaced(self) -> None:
        """See KeyRing.listen."""
        error = AuthError(codes.TOKEN_REVOKED, "The key of this token was replaced; get a new token.")
        everybody = [(each, each.principal) for each in self._everybody]
        has = self._ring.has
        self.end((each for each, who in everybody if who is not None and who.key and not has(who.key)), error)

    def end(self, holders: Iterator[Holder], error: Fire22Error) -> None:
        """End connections, in slices of the loop."""
        until_s = self._loop.time() + SLICE_S
        for holder in holders:
            holder.fail(error)
            if self._loop.time() > until_s:
                self._loop.call_soon(self.end, holders, error)
                return

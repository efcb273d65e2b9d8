"""Who is there: customers come, bet for some minutes, and leave. All wagers are placed by somebody who is there."""

from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import Final

from msgspec import Struct

from fire22.sportsbook.book.changes import Change, LogAccess
from fire22.sportsbook.demo import bettors as players
from fire22.sportsbook.demo.world import KnownCustomer

STAY_MS: Final = (240_000, 900_000)
PASSING_MS: Final = (30_000, 90_000)
GAP_MS: Final = 90_000  # on average between two wagers of one who is there, where there are enough customers
SHARE_MAX: Final = 0.3  # of the customers, at the same time
PAUSE_MS: Final = 4_000  # nobody places two wagers within less, if others can
TRIES: Final = 6
MOODS: Final = (0.9, 1.0, 1.0, 1.1)


class Session(Struct):
    """A customer who is there; `place` among those who may bet by chance, -1 if not among them."""

    customer: KnownCustomer
    player: players.Player
    mood: float
    ip: str | None
    last_ms: int = 0
    place: int = 0


class Sessions:
    """The customers who are there, at a rate of wagers a second.

    Args:
        began: told of each who came, with the time at which it will leave.
    """

    def __init__(
        self, rng: Random, customers: list[KnownCustomer], rate_hz: float, began: Callable[[Session, int, int], None]
    ) -> None:
        self._rng = rng
        self._customers = customers
        self._began = began
        self._there: list[Session] = []
        self._logins: list[Change] = []
        self._by_id: dict[str, Session] = {}
        self._expected: dict[str, None] = {}
        self._players: dict[str, players.Player] = {}
        self._wanted = max(1, round(min(rate_hz * GAP_MS / 1000, SHARE_MAX * len(customers))))
        self._weights = list(accumulate(self._activity(one) for one in customers))

    def __len__(self) -> int:
        return len(self._there)

    def next(self, now_ms: int) -> Session | None:
        """Who bets now: somebody who comes, while too few are there; else somebody who is there."""
        if len(self._there) < self._wanted:
            for _ in range(TRIES):
                customer = self.anybody()
                if customer is not None and customer.status == "active" and not self.is_there(customer):
                    return self.come(customer, now_ms)
        return self.somebody(now_ms)

    def somebody(self, now_ms: int) -> Session | None:
        """Somebody who is there, rather one who has not just bet."""
        found = None
        for _ in range(TRIES if self._there else 0):
            found = self._there[int(self._rng.random() * len(self._there))]
            if now_ms - found.last_ms >= PAUSE_MS and found.customer.status == "active":
                return found
        return found if found is not None and found.customer.status == "active" else None

    def anybody(self) -> KnownCustomer | None:
        """Any customer, there or not; those who bet more are drawn more often."""
        if not self._customers:
            return None
        return self._rng.choices(self._customers, cum_weights=self._weights)[0]

    def come(self, customer: KnownCustomer, now_ms: int, *, ip: str | None = None, passing: bool = False) -> Session:
        """A customer comes, from home or from `ip`; one who is `passing` bets nothing by chance and leaves soon."""
        player = self.player(customer)
        session = Session(customer, player, self._rng.choice(MOODS), ip or player.ip, now_ms - PAUSE_MS)
        self._expected.pop(customer.id, None)
        self._by_id[customer.id] = session
        self._logins.append(LogAccess(customer.id, "login", session.ip, now_ms))
        if passing:
            session.place = -1
        else:
            session.place = len(self._there)
            self._there.append(session)
        stay_ms = self._rng.randint(*(PASSING_MS if passing else STAY_MS))
        self._began(session, now_ms, now_ms + stay_ms)
        return session

    def leave(self, session: Session, now_ms: int) -> list[Change]:
        """A customer is gone."""
        del self._by_id[session.customer.id]
        if session.place >= 0:
            last = self._there.pop()
            if last is not session:
                self._there[session.place] = last
                last.place = session.place
        return [LogAccess(session.customer.id, "logout", session.ip, now_ms)]

    def logins(self) -> list[Change]:
        """The log-ins since the last call."""
        logins, self._logins = self._logins, []
        return logins

    def is_there(self, customer: KnownCustomer) -> bool:
        """Whether a customer is there, or will come as expected."""
        return customer.id in self._by_id or customer.id in self._expected

    def expect(self, customer: KnownCustomer) -> None:
        """A customer who is not there will come at a time of its own, and not before."""
        self._expected[customer.id] = None

    def player(self, customer: KnownCustomer) -> players.Player:
        """The habits of a customer."""
        found = self._players.get(customer.id)
        if found is None:
            found = self._players[customer.id] = players.player(customer)
        return found

    def _activity(self, customer: KnownCustomer) -> float:
        habit = players.HABITS.get(customer.segment, players.HABITS["regular"])
        return habit.active * min(Random(f"activity:{customer.id}").paretovariate(1.5), 8)  # nosec B311  # the demo repeats itself by its seed
